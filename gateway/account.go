package gateway

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"

	"github.com/wattle-storage/wattle/cluster"
)

// Roles of a user: it may use buckets that it owns or was given; make buckets too; or do all.
const (
	RoleUser  = string(auth.RoleUser)
	RoleMaker = string(auth.RoleUserPlus)
	RoleAdmin = string(auth.RoleAdmin)
)

// Errors of accounts.
var (
	ErrUserExists   = errors.New("user exists already")
	ErrUserNotFound = errors.New("user not found")
	ErrRole         = errors.New("unknown role")
	ErrSecretKey    = errors.New("the key that secrets are encrypted with is not the right one")
)

// A User is who may sign requests beside the root key.
type User struct {
	Access  string    `json:"access_key"`
	Role    string    `json:"role"`
	Created time.Time `json:"created"`
	Secret  string    `json:"secret_key,omitempty"` // only when it was just made
	Limits  *Limits   `json:"limits,omitempty"`
}

// stored is a User in the cluster's settings.
type stored struct {
	Role    string    `json:"role"`
	Created time.Time `json:"created"`
	Sealed  []byte    `json:"sealed"` // nonce and secret, AES-256-GCM with the access key as associated data
	Limits  *Limits   `json:"limits,omitempty"`
}

// settingUser is what the names of users' settings begin with.
const settingUser = "user/"

// Users are the accounts of a cluster. Their secrets lie in its catalog and journal,
// encrypted with a key that lies in neither.
type Users struct {
	s    settingStore
	seal cipher.AEAD
	rand func([]byte)
}

type settingStore interface {
	Settings(ctx context.Context, bucket string) (*cluster.Settings, error)
	Set(ctx context.Context, bucket, name, value string) error
	Unset(ctx context.Context, bucket, name string) error
}

// NewUsers reads the accounts of a store, whose secrets are encrypted with key (32 bytes).
func NewUsers(s settingStore, key []byte) (*Users, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	seal, err := cipher.NewGCM(block)
	return &Users{s, seal, func(p []byte) { rand.Read(p) }}, err
}

// SecretKey reads the key from a file, and makes one when there is none.
func SecretKey(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b = make([]byte, 32)
		rand.Read(b)
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		_, err = f.Write(b)
		return b, errors.Join(err, f.Sync(), f.Close())
	}
	if err == nil && len(b) != 32 {
		err = fmt.Errorf("%s: %w: it has %d bytes, and 32 are needed", path, ErrSecretKey, len(b))
	}
	return b, err
}

// NewKey makes an access key and its secret.
func NewKey() Credentials {
	var b [40]byte
	rand.Read(b[:])
	secret := strings.NewReplacer("+", "a", "/", "b").Replace(base64.RawStdEncoding.EncodeToString(b[10:]))
	return Credentials{base32.StdEncoding.EncodeToString(b[:10]), secret}
}

// Add makes a user. Without a secret it gets one, which is told this once.
func (u *Users) Add(ctx context.Context, access, secret, role string) (User, error) {
	switch {
	case !slices.Contains([]string{RoleUser, RoleMaker, RoleAdmin}, role):
		return User{}, fmt.Errorf("role %q: %w: want %s, %s or %s", role, ErrRole, RoleUser, RoleMaker, RoleAdmin)
	case len(access) < 3 || len(access) > 128 || strings.IndexFunc(access, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/,=\"", r) }) >= 0:
		return User{}, fmt.Errorf("access key %q: want 3 to 128 letters, digits and signs but no /, comma, = or quotes", access)
	case secret != "" && len(secret) < 8:
		return User{}, fmt.Errorf("the secret of %s has %d characters, and at least 8 are needed", access, len(secret))
	}
	if secret == "" {
		secret = NewKey().Secret
	}
	if _, err := u.get(ctx, access); err == nil {
		return User{}, fmt.Errorf("%s: %w", access, ErrUserExists)
	} else if !errors.Is(err, ErrUserNotFound) {
		return User{}, err
	}
	nonce := make([]byte, u.seal.NonceSize())
	u.rand(nonce)
	v := stored{Role: role, Created: time.Now().UTC().Truncate(time.Second), Sealed: u.seal.Seal(nonce, nonce, []byte(secret), []byte(access))}
	return User{Access: access, Role: role, Created: v.Created, Secret: secret}, u.s.Set(ctx, "", settingUser+access, asJSON(v))
}

// Limit sets the limits of a user; none takes them away.
func (u *Users) Limit(ctx context.Context, access string, l Limits) error {
	if err := l.check(); err != nil {
		return err
	}
	v, err := u.get(ctx, access)
	if err != nil {
		return err
	}
	if v.Limits = &l; l == (Limits{}) {
		v.Limits = nil
	}
	return u.s.Set(ctx, "", settingUser+access, asJSON(v))
}

// LimitBucket sets the limits of a bucket; none takes them away.
func (u *Users) LimitBucket(ctx context.Context, bucket string, l Limits) error {
	return SetLimits(ctx, u.s, bucket, l)
}

// Remove takes a user away. What it owns stays, and is the administrators'.
func (u *Users) Remove(ctx context.Context, access string) error {
	if _, err := u.get(ctx, access); err != nil {
		return err
	}
	return u.s.Unset(ctx, "", settingUser+access)
}

// List returns all users in order, without their secrets.
func (u *Users) List(ctx context.Context) ([]User, error) {
	set, err := u.s.Settings(ctx, "")
	if err != nil {
		return nil, err
	}
	list := []User{}
	for _, name := range set.SettingNames() {
		if access, ok := strings.CutPrefix(name, settingUser); ok {
			v, err := u.get(ctx, access)
			if err != nil {
				return nil, err
			}
			list = append(list, User{Access: access, Role: v.Role, Created: v.Created, Limits: v.Limits})
		}
	}
	return list, nil
}

func (u *Users) get(ctx context.Context, access string) (v stored, err error) {
	set, err := u.s.Settings(ctx, "")
	if err != nil {
		return v, err
	}
	text, ok := set.Values[settingUser+access]
	if !ok {
		return v, fmt.Errorf("%s: %w", access, ErrUserNotFound)
	}
	return v, json.Unmarshal([]byte(text), &v)
}

// secret returns a user's role and secret.
func (u *Users) secret(ctx context.Context, access string) (role, secret string, err error) {
	v, err := u.get(ctx, access)
	if err != nil {
		return "", "", err
	}
	n := u.seal.NonceSize()
	if len(v.Sealed) < n {
		return "", "", ErrSecretKey
	}
	p, err := u.seal.Open(nil, v.Sealed[:n], v.Sealed[n:], []byte(access))
	if err != nil {
		return "", "", fmt.Errorf("secret of %s: %w", access, ErrSecretKey)
	}
	return v.Role, string(p), nil
}

// accounts tells the front end who may sign requests.
type accounts struct{ f *front }

// GetUserAccount returns the account of an access key.
func (a accounts) GetUserAccount(access string) (auth.Account, error) {
	access = strings.Clone(access)
	if access == a.f.root {
		return auth.Account{Access: access, Role: auth.RoleAdmin}, nil
	}
	if a.f.users == nil {
		return auth.Account{}, auth.ErrNoSuchUser
	}
	role, secret, err := a.f.users.secret(a.f.ctx, access)
	switch {
	case errors.Is(err, ErrUserNotFound):
		return auth.Account{}, auth.ErrNoSuchUser
	case err != nil:
		a.f.log.Error("account cannot be used", "access", access, "error", err)
		return auth.Account{}, s3err.GetAPIError(s3err.ErrInternalError)
	}
	return auth.Account{Access: access, Secret: secret, Role: auth.Role(role)}, nil
}

// ResolveAccounts returns the access keys that do not exist.
func (a accounts) ResolveAccounts(keys []string) ([]string, error) {
	missing := []string{}
	for _, k := range keys {
		if _, err := a.GetUserAccount(k); errors.Is(err, auth.ErrNoSuchUser) {
			missing = append(missing, strings.Clone(k))
		} else if err != nil {
			return nil, err
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
