package gateway

import (
	"context"
	"crypto/subtle"
	"errors"
)

// Admin tells whether an access key and its secret are those of an administrator: the root,
// or a user of that role. u may be nil.
func (k Credentials) Admin(ctx context.Context, u *Users, access, secret string) (bool, error) {
	want, role := k.Secret, RoleAdmin
	if access != k.Access {
		var err error
		if role, want, err = u.find(ctx, access); err != nil {
			return false, err
		}
	}
	same := subtle.ConstantTimeCompare([]byte(want), []byte(secret)) == 1
	return same && want != "" && role == RoleAdmin, nil
}

// Still tells whether an access key is that of an administrator.
func (k Credentials) Still(ctx context.Context, u *Users, access string) bool {
	if access == k.Access {
		return true
	}
	role, _, err := u.find(ctx, access)
	return err == nil && role == RoleAdmin
}

// find is secret, of a user that is not there too: it has neither.
func (u *Users) find(ctx context.Context, access string) (role, secret string, err error) {
	if u == nil {
		return "", "", nil
	}
	role, secret, err = u.secret(ctx, access)
	if errors.Is(err, ErrUserNotFound) {
		return "", "", nil
	}
	return role, secret, err
}
