package gateway

import (
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"
)

// accounts tells the front end who may sign requests.
type accounts struct{ f *front }

// GetUserAccount returns the account of an access key.
func (a accounts) GetUserAccount(access string) (auth.Account, error) {
	if access == a.f.root {
		return auth.Account{Access: access, Role: auth.RoleAdmin}, nil
	}
	return auth.Account{}, auth.ErrNoSuchUser
}

// ResolveAccounts returns the access keys that do not exist.
func (a accounts) ResolveAccounts(keys []string) ([]string, error) {
	missing := []string{}
	for _, k := range keys {
		if _, err := a.GetUserAccount(k); err != nil {
			missing = append(missing, k)
		}
	}
	return missing, nil
}

// CreateAccount is not offered over S3: `wattle user` manages accounts.
func (accounts) CreateAccount(auth.Account) error { return notOverS3() }

// UpdateUserAccount is not offered over S3.
func (accounts) UpdateUserAccount(string, auth.MutableProps) error { return notOverS3() }

// DeleteUserAccount is not offered over S3.
func (accounts) DeleteUserAccount(string) error { return notOverS3() }

// ListUserAccounts is not offered over S3.
func (accounts) ListUserAccounts() ([]auth.Account, error) { return nil, notOverS3() }

// Shutdown has nothing to do.
func (accounts) Shutdown() error { return nil }

func notOverS3() error { return s3err.GetAPIError(s3err.ErrAdminMethodNotSupported) }
