package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/wattle-storage/wattle/cluster"
)

// lockConfig is a bucket's object lock; it is an error when there is none.
func (f *front) lockConfig(bucket string) (auth.BucketLockConfig, error) {
	var c auth.BucketLockConfig
	v, err := f.get(bucket, settingLock, s3err.GetAPIError(s3err.ErrMissingObjectLockConfiguration))
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(v, &c); err != nil {
		return c, err
	}
	if !c.Enabled {
		return c, s3err.GetAPIError(s3err.ErrMissingObjectLockConfiguration)
	}
	return c, nil
}

// lock takes a write's retention and legal hold into a, or the bucket's default.
func (f *front) lock(bucket string, a *cluster.Attributes, mode string, until *time.Time, hold types.ObjectLockLegalHoldStatus) error {
	wanted := mode != "" || hold != ""
	c, err := f.lockConfig(bucket)
	switch {
	case err != nil && !wanted && !errors.Is(err, s3err.GetAPIError(s3err.ErrMissingObjectLockConfiguration)):
		return err
	case err != nil && !wanted:
		return nil
	case errors.Is(err, s3err.GetAPIError(s3err.ErrMissingObjectLockConfiguration)):
		return s3err.GetAPIError(s3err.ErrMissingObjectLockConfigurationNoSpaces)
	case err != nil:
		return err
	}
	a.LegalHold, a.Released = hold == types.ObjectLockLegalHoldStatusOn, hold == types.ObjectLockLegalHoldStatusOff
	if mode != "" && until != nil {
		a.Retention = cluster.Retention{Mode: strings.Clone(mode), Until: *until}
	} else if d := c.DefaultRetention; d != nil {
		end := time.Now().UTC()
		if d.Days != nil {
			end = end.AddDate(0, 0, int(*d.Days))
		}
		if d.Years != nil {
			end = end.AddDate(int(*d.Years), 0, 0)
		}
		a.Retention = cluster.Retention{Mode: string(d.Mode), Until: end}
	}
	return nil
}

// lockOf is what an answer says of an object's lock.
func lockOf(o cluster.Object) (mode types.ObjectLockMode, until *time.Time, hold types.ObjectLockLegalHoldStatus) {
	switch {
	case o.LegalHold:
		hold = types.ObjectLockLegalHoldStatusOn
	case o.Released:
		hold = types.ObjectLockLegalHoldStatusOff
	}
	if o.Retention.Mode != "" {
		mode, until = types.ObjectLockMode(o.Retention.Mode), &o.Retention.Until
	}
	return mode, until, hold
}

// PutObjectLockConfiguration sets a bucket's object lock.
func (f *front) PutObjectLockConfiguration(_ context.Context, bucket string, config []byte) error {
	set, err := f.settings(strings.Clone(bucket))
	if err != nil {
		return err
	}
	if set[cluster.SettingVersioning] != cluster.VersioningEnabled {
		return s3err.GetAPIError(s3err.ErrObjectLockConfigurationNotAllowed)
	}
	var c auth.BucketLockConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	if d := c.DefaultRetention; d != nil && d.Days == nil && d.Years == nil {
		return s3err.GetAPIError(s3err.ErrMalformedXML)
	}
	return f.set(bucket, settingLock, config)
}

// GetObjectLockConfiguration returns a bucket's object lock.
func (f *front) GetObjectLockConfiguration(_ context.Context, bucket string) ([]byte, error) {
	return f.get(bucket, settingLock, s3err.GetBucketErr(s3err.ErrObjectLockConfigurationNotFound, strings.Clone(bucket)))
}

// locked looks up a version whose lock is asked for or changed.
func (f *front) locked(bucket, key, version string) (subject, cluster.Object, error) {
	about := subject{bucket: strings.Clone(bucket), key: strings.Clone(key), version: strings.Clone(version)}
	if _, err := f.lockConfig(about.bucket); err != nil {
		return about, cluster.Object{}, err
	}
	o, err := f.store.Head(f.ctx, about.bucket, about.key, about.version)
	if errors.Is(err, cluster.ErrObjectNotFound) && o.Marker {
		err = cluster.ErrDeleteMarker
	}
	return about, o, f.fail(err, about)
}

// PutObjectRetention sets a version's retention.
func (f *front) PutObjectRetention(_ context.Context, bucket, key, version string, retention []byte) error {
	about, _, err := f.locked(bucket, key, version)
	if err != nil {
		return err
	}
	var in s3response.PutObjectRetentionInput
	if err := json.Unmarshal(retention, &in); err != nil {
		return err
	}
	r := cluster.Retention{Mode: strings.Clone(string(in.Mode)), Until: in.RetainUntilDate.Time}
	return f.fail(f.store.SetRetention(f.ctx, about.bucket, about.key, about.version, r), about)
}

// noLock is the error of a version of whose lock nothing was said. Whoever asks for it gets 404;
// the front end, when it decides on something else, looks for its own.
func noLock(ctx context.Context) error {
	e := s3err.GetAPIError(s3err.ErrNoSuchObjectLockConfiguration)
	if r := request(ctx); r != nil && r.IsGet() {
		e.HTTPStatusCode = http.StatusNotFound
	}
	return e
}

// GetObjectRetention returns a version's retention.
func (f *front) GetObjectRetention(ctx context.Context, bucket, key, version string) ([]byte, error) {
	_, o, err := f.locked(bucket, key, version)
	var absent s3err.NoSuchVersionError
	if r := request(ctx); errors.As(err, &absent) && r != nil && !r.IsGet() {
		return nil, s3err.GetAPIError(s3err.ErrNoSuchKey) // the front end asks whether it may be deleted, and nothing holds it
	}
	if err != nil {
		return nil, err
	}
	if o.Retention.Mode == "" {
		return nil, noLock(ctx)
	}
	return []byte(asJSON(types.ObjectLockRetention{Mode: types.ObjectLockRetentionMode(o.Retention.Mode), RetainUntilDate: &o.Retention.Until})), nil
}

// PutObjectLegalHold puts a legal hold on a version, or takes it away.
func (f *front) PutObjectLegalHold(_ context.Context, bucket, key, version string, on bool) error {
	about, _, err := f.locked(bucket, key, version)
	if err != nil {
		return err
	}
	return f.fail(f.store.SetLegalHold(f.ctx, about.bucket, about.key, about.version, on), about)
}

// GetObjectLegalHold tells whether a version is held; of one of which nothing was ever said, it
// is an error to ask for it.
func (f *front) GetObjectLegalHold(ctx context.Context, bucket, key, version string) (*bool, error) {
	_, o, err := f.locked(bucket, key, version)
	if err != nil {
		return nil, err
	}
	if r := request(ctx); r != nil && r.IsGet() && !o.LegalHold && !o.Released {
		return nil, noLock(ctx)
	}
	return &o.LegalHold, nil
}

// GetObjectTagging returns a version's tags.
func (f *front) GetObjectTagging(_ context.Context, bucket, key, version string) (map[string]string, error) {
	about := subject{bucket: strings.Clone(bucket), key: strings.Clone(key), version: strings.Clone(version)}
	o, err := f.store.Head(f.ctx, about.bucket, about.key, about.version)
	return o.Tags, f.fail(err, about)
}

// PutObjectTagging replaces a version's tags.
func (f *front) PutObjectTagging(ctx context.Context, bucket, key, version string, tags map[string]string) error {
	if r := request(ctx); r != nil && r.IsPut() && !bytes.Contains(r.Request.Body(), []byte("TagSet")) { // the front end takes none for an empty one
		return s3err.GetAPIError(s3err.ErrMalformedXML)
	}
	about := subject{bucket: strings.Clone(bucket), key: strings.Clone(key), version: strings.Clone(version)}
	return f.fail(f.store.SetTags(f.ctx, about.bucket, about.key, about.version, cloned(tags)), about)
}

// DeleteObjectTagging takes a version's tags away.
func (f *front) DeleteObjectTagging(ctx context.Context, bucket, key, version string) error {
	return f.PutObjectTagging(ctx, bucket, key, version, nil)
}
