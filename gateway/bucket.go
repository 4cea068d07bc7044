package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/wattle-storage/wattle/cluster"
)

// Names of a bucket's settings.
const (
	settingACL       = "acl"
	settingPolicy    = "policy"
	settingCORS      = "cors"
	settingTags      = "tags"
	settingOwnership = "ownership"
	settingWebsite   = "website"
	settingLock      = "lock"
)

// ownerOf is the access key of a bucket's owner.
func (f *front) ownerOf(set map[string]string) string {
	if owner := f.owners.of(set); owner != "" {
		return owner
	}
	return f.root
}

// owners remembers what was read of ACLs, since each request asks for the owner of its bucket.
type owners struct {
	mu sync.Mutex
	by map[string]string // guarded by mu; by ACL as it is stored
}

func (o *owners) of(set map[string]string) string {
	const most = 1024
	o.mu.Lock()
	defer o.mu.Unlock()
	owner, ok := o.by[set[settingACL]]
	if ok {
		return owner
	}
	if len(o.by) >= most || o.by == nil {
		o.by = map[string]string{}
	}
	owner = OwnerOf(set)
	o.by[set[settingACL]] = owner
	return owner
}

// OwnerOf returns the access key of the owner in a bucket's settings, "" for one that the
// command made.
func OwnerOf(set map[string]string) string {
	acl, err := auth.ParseACL([]byte(set[settingACL]))
	if err != nil {
		return ""
	}
	return acl.Owner
}

// ListBuckets lists the buckets of an account, or all for an administrator.
func (f *front) ListBuckets(ctx context.Context, in s3response.ListBucketsInput) (out s3response.ListAllMyBucketsResult, err error) {
	owner, after, prefix := strings.Clone(in.Owner), strings.Clone(in.ContinuationToken), strings.Clone(in.Prefix)
	out.Owner = s3response.CanonicalUser{ID: owner, DisplayName: owner}
	out.Prefix = prefix
	if after != "" {
		if after, err = openToken(after); err != nil {
			return out, err
		}
	}
	names, err := f.store.BucketNames(f.ctx)
	if err != nil {
		return out, f.fail(err, subject{})
	}
	list := []s3response.ListAllMyBucketsEntry{}
	for _, name := range names {
		if name <= after || !strings.HasPrefix(name, prefix) {
			continue
		}
		s, err := f.store.Settings(f.ctx, name)
		if errors.Is(err, cluster.ErrBucketNotFound) {
			continue
		}
		if err != nil {
			return out, f.fail(err, subject{bucket: name})
		}
		if !in.IsAdmin && f.ownerOf(s.Values) != owner {
			continue
		}
		if in.MaxBuckets > 0 && len(list) == int(in.MaxBuckets) {
			out.ContinuationToken = makeToken(list[len(list)-1].Name)
			break
		}
		list = append(list, s3response.ListAllMyBucketsEntry{Name: name, CreationDate: s.Created})
	}
	out.Buckets.Bucket = list
	return out, nil
}

// HeadBucket tells whether a bucket is there.
func (f *front) HeadBucket(ctx context.Context, in *s3.HeadBucketInput) (*s3.HeadBucketOutput, error) {
	_, err := f.settings(str(in.Bucket))
	return &s3.HeadBucketOutput{}, err
}

// CreateBucket makes a bucket.
func (f *front) CreateBucket(ctx context.Context, in *s3.CreateBucketInput, acl []byte) error {
	bucket := str(in.Bucket)
	list, ownership := madeWith(ctx, in.ObjectOwnership, acl)
	set := map[string]string{settingACL: list}
	if ownership != "" {
		set[settingOwnership] = ownership
	}
	if in.CreateBucketConfiguration != nil {
		tags, err := backend.ParseCreateBucketTags(in.CreateBucketConfiguration.Tags)
		if err != nil {
			return err
		}
		if len(tags) > 0 {
			set[settingTags] = asJSON(cloned(tags))
		}
	}
	if in.ObjectLockEnabledForBucket != nil && *in.ObjectLockEnabledForBucket {
		now := time.Now().UTC()
		set[settingLock] = asJSON(auth.BucketLockConfig{Enabled: true, CreatedAt: &now})
		set[cluster.SettingVersioning] = cluster.VersioningEnabled
	}
	if strings.Contains(bucket, ".-") || strings.Contains(bucket, "-.") || reserved(bucket) { // no name of a host
		return s3err.GetBucketErr(s3err.ErrInvalidBucketName, bucket)
	}
	err := f.store.MakeBucketWith(f.ctx, bucket, set)
	if errors.Is(err, cluster.ErrExists) {
		now, e := f.settings(bucket)
		if e == nil && f.ownerOf(now) == f.ownerOf(set) {
			return s3err.GetBucketErr(s3err.ErrBucketAlreadyOwnedByYou, bucket)
		}
		return s3err.GetBucketErr(s3err.ErrBucketAlreadyExists, bucket)
	}
	return f.fail(err, subject{bucket: bucket})
}

// reserved tells whether a name is of those that S3 keeps for itself.
func reserved(bucket string) bool {
	for _, prefix := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(bucket, prefix) {
			return true
		}
	}
	for _, suffix := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(bucket, suffix) {
			return true
		}
	}
	return false
}

func asJSON(v any) string {
	b, _ := json.Marshal(v) // plain data: it marshals
	return string(b)
}

// DeleteBucket removes an empty bucket.
func (f *front) DeleteBucket(_ context.Context, bucket string) error {
	bucket = strings.Clone(bucket)
	err := f.store.RemoveBucket(f.ctx, bucket)
	if errors.Is(err, cluster.ErrBucketNotEmpty) {
		if set, e := f.settings(bucket); e == nil && set[cluster.SettingVersioning] != "" {
			return s3err.GetBucketErr(s3err.ErrVersionedBucketNotEmpty, bucket)
		}
	}
	return f.fail(err, subject{bucket: bucket})
}

// get reads a setting; missing is the error when it is not set.
func (f *front) get(bucket, name string, missing error) ([]byte, error) {
	set, err := f.settings(strings.Clone(bucket))
	if err != nil {
		return nil, err
	}
	v, ok := set[name]
	if !ok {
		return nil, missing
	}
	return []byte(v), nil
}

func (f *front) set(bucket, name string, value []byte) error {
	bucket = strings.Clone(bucket)
	return f.fail(f.store.Set(f.ctx, bucket, name, string(value)), subject{bucket: bucket})
}

func (f *front) unset(bucket, name string) error {
	bucket = strings.Clone(bucket)
	return f.fail(f.store.Unset(f.ctx, bucket, name), subject{bucket: bucket})
}

// PutBucketAcl replaces the access control list.
func (f *front) PutBucketAcl(_ context.Context, bucket string, data []byte) error {
	return f.set(bucket, settingACL, data)
}

// PutBucketVersioning switches versioning.
func (f *front) PutBucketVersioning(_ context.Context, bucket string, status types.BucketVersioningStatus) error {
	if status == types.BucketVersioningStatusSuspended {
		if _, err := f.lockConfig(bucket); err == nil {
			e := s3err.GetAPIError(s3err.ErrSuspendedVersioningNotAllowed)
			e.HTTPStatusCode = http.StatusConflict
			return e
		}
	}
	return f.set(bucket, cluster.SettingVersioning, []byte(status))
}

// GetBucketVersioning tells how versioning stands.
func (f *front) GetBucketVersioning(_ context.Context, bucket string) (out s3response.GetBucketVersioningOutput, err error) {
	set, err := f.settings(strings.Clone(bucket))
	if v := set[cluster.SettingVersioning]; v != "" {
		out.Status = ptr(types.BucketVersioningStatus(v))
	}
	return out, err
}

// PutBucketOwnershipControls says who owns objects.
func (f *front) PutBucketOwnershipControls(_ context.Context, bucket string, o types.ObjectOwnership) error {
	return f.set(bucket, settingOwnership, []byte(o))
}

// GetBucketOwnershipControls tells who owns objects.
func (f *front) GetBucketOwnershipControls(_ context.Context, bucket string) (types.ObjectOwnership, error) {
	v, err := f.get(bucket, settingOwnership, s3err.GetBucketErr(s3err.ErrOwnershipControlsNotFound, strings.Clone(bucket)))
	return types.ObjectOwnership(v), err
}

// DeleteBucketOwnershipControls takes the rule away.
func (f *front) DeleteBucketOwnershipControls(_ context.Context, bucket string) error {
	return f.unset(bucket, settingOwnership)
}

// PutBucketCors replaces the rules for browsers.
func (f *front) PutBucketCors(_ context.Context, bucket string, cors []byte) error {
	return f.set(bucket, settingCORS, cors)
}

// GetBucketCors returns the rules for browsers.
func (f *front) GetBucketCors(_ context.Context, bucket string) ([]byte, error) {
	return f.get(bucket, settingCORS, s3err.GetBucketErr(s3err.ErrNoSuchCORSConfiguration, strings.Clone(bucket)))
}

// DeleteBucketCors takes the rules for browsers away.
func (f *front) DeleteBucketCors(_ context.Context, bucket string) error {
	return f.unset(bucket, settingCORS)
}

// PutBucketWebsite replaces the website's configuration.
func (f *front) PutBucketWebsite(_ context.Context, bucket string, website []byte) error {
	return f.set(bucket, settingWebsite, website)
}

// GetBucketWebsite returns the website's configuration.
func (f *front) GetBucketWebsite(_ context.Context, bucket string) ([]byte, error) {
	return f.get(bucket, settingWebsite, s3err.GetBucketErr(s3err.ErrNoSuchWebsiteConfiguration, strings.Clone(bucket)))
}

// DeleteBucketWebsite takes the website's configuration away.
func (f *front) DeleteBucketWebsite(_ context.Context, bucket string) error {
	return f.unset(bucket, settingWebsite)
}

// GetBucketTagging returns a bucket's tags.
func (f *front) GetBucketTagging(_ context.Context, bucket string) (map[string]string, error) {
	v, err := f.get(bucket, settingTags, s3err.GetBucketErr(s3err.ErrBucketTaggingNotFound, strings.Clone(bucket)))
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	return tags, json.Unmarshal(v, &tags)
}

// PutBucketTagging replaces a bucket's tags.
func (f *front) PutBucketTagging(_ context.Context, bucket string, tags map[string]string) error {
	if tags == nil {
		return f.unset(bucket, settingTags)
	}
	return f.set(bucket, settingTags, []byte(asJSON(cloned(tags))))
}

// DeleteBucketTagging takes a bucket's tags away.
func (f *front) DeleteBucketTagging(_ context.Context, bucket string) error {
	return f.unset(bucket, settingTags)
}

// ChangeBucketOwner gives a bucket to another account.
func (f *front) ChangeBucketOwner(_ context.Context, bucket, owner string) error {
	set, err := f.settings(strings.Clone(bucket))
	if err != nil {
		return err
	}
	acl, err := auth.ParseACL([]byte(set[settingACL]))
	if err != nil {
		return err
	}
	acl.Owner = strings.Clone(owner)
	return f.set(bucket, settingACL, []byte(asJSON(acl)))
}
