package gateway

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/wattle-storage/wattle/cluster"
)

// An encoding writes keys into an answer as the request wants them.
type encoding string

// encodingOf reads encoding-type, which the front end does not pass on.
func encodingOf(ctx context.Context) (encoding, error) {
	switch v := query(ctx, "encoding-type"); v {
	case "", string(types.EncodingTypeUrl):
		return encoding(v), nil
	default:
		return "", s3err.APIError{Code: "InvalidArgument", Description: "Invalid Encoding Method specified in Request", HTTPStatusCode: 400}
	}
}

// key encodes all but what S3 leaves as it is.
func (e encoding) key(s string) string {
	if e == "" {
		return s
	}
	return strings.NewReplacer("%2F", "/", "%2A", "*", "+", "%20").Replace(url.QueryEscape(s))
}

// object is a line of a listing.
func (e encoding) object(o cluster.Object, owner *types.Owner) s3response.Object {
	out := s3response.Object{ETag: ptr(quoted(etagOf(o))), Key: ptr(e.key(o.Key)), LastModified: &o.Modified, Owner: owner, Size: &o.Size,
		StorageClass: types.ObjectStorageClass(classOf(o.Headers)), ChecksumType: checksumType(o.Checksum)}
	if o.Checksum.Algorithm != "" {
		out.ChecksumAlgorithm = []types.ChecksumAlgorithm{types.ChecksumAlgorithm(o.Checksum.Algorithm)}
	}
	return out
}

func (e encoding) prefixes(list []string) []types.CommonPrefix {
	var out []types.CommonPrefix
	for _, p := range list {
		out = append(out, types.CommonPrefix{Prefix: ptr(e.key(p))})
	}
	return out
}

// page lists one page; none when at most 0 keys are wanted.
func (f *front) page(bucket, prefix, delimiter, after string, limit int32) (cluster.Page, error) {
	if _, err := f.settings(bucket); err != nil {
		return cluster.Page{}, err
	}
	if limit == 0 {
		return cluster.Page{}, nil
	}
	page, err := f.store.List(f.ctx, bucket, cluster.ListOptions{Prefix: prefix, Delimiter: delimiter, After: after, Limit: int(limit)})
	return page, f.fail(err, subject{bucket: bucket})
}

// ownersIn tells of the owners of a bucket's objects, most of which are the bucket's.
func (f *front) ownersIn(bucket string) func(cluster.Object) *types.Owner {
	set, err := f.settings(bucket)
	if err != nil {
		return func(cluster.Object) *types.Owner { return nil }
	}
	mine := f.ownerOf(set)
	owner := &types.Owner{ID: &mine, DisplayName: &mine}
	return func(o cluster.Object) *types.Owner {
		if o.ACL == "" {
			return owner
		}
		id := f.objectACL(set, o).Owner
		return &types.Owner{ID: &id, DisplayName: &id}
	}
}

// ListObjects is the first version of listing.
func (f *front) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (out s3response.ListObjectsResult, err error) {
	bucket, prefix, delimiter, marker := str(in.Bucket), str(in.Prefix), str(in.Delimiter), str(in.Marker)
	e, err := encodingOf(ctx)
	if err != nil {
		return out, err
	}
	page, err := f.page(bucket, prefix, delimiter, marker, *in.MaxKeys)
	if err != nil {
		return out, err
	}
	out = s3response.ListObjectsResult{Name: &bucket, Prefix: ptrTo(e.key(prefix)), Marker: ptrTo(e.key(marker)), MaxKeys: in.MaxKeys, Delimiter: ptr(e.key(delimiter)),
		IsTruncated: ptrTo(page.Next != ""), CommonPrefixes: e.prefixes(page.Prefixes), EncodingType: types.EncodingType(e)}
	owner := f.ownersIn(bucket)
	for _, o := range page.Objects {
		out.Contents = append(out.Contents, e.object(o, owner(o)))
	}
	if delimiter != "" {
		out.NextMarker = ptr(e.key(page.Next))
	}
	return out, nil
}

func ptrTo[T any](v T) *T { return &v }

// ListObjectsV2 is the second version of listing.
func (f *front) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input) (out s3response.ListObjectsV2Result, err error) {
	bucket, prefix, delimiter, after := str(in.Bucket), str(in.Prefix), str(in.Delimiter), str(in.StartAfter)
	e, err := encodingOf(ctx)
	if err != nil {
		return out, err
	}
	token, from := str(in.ContinuationToken), after
	if token != "" {
		if from, err = openToken(token); err != nil {
			return out, err
		}
	}
	page, err := f.page(bucket, prefix, delimiter, from, *in.MaxKeys)
	if err != nil {
		return out, err
	}
	out = s3response.ListObjectsV2Result{Name: &bucket, Prefix: ptrTo(e.key(prefix)), StartAfter: ptr(e.key(after)), MaxKeys: in.MaxKeys, Delimiter: ptr(e.key(delimiter)),
		IsTruncated: ptrTo(page.Next != ""), CommonPrefixes: e.prefixes(page.Prefixes), EncodingType: types.EncodingType(e),
		KeyCount: ptrTo(int32(len(page.Objects) + len(page.Prefixes)))}
	if token != "" || request(ctx) != nil && request(ctx).QueryArgs().Has("continuation-token") {
		out.ContinuationToken = &token
	}
	if page.Next != "" {
		out.NextContinuationToken = ptr(makeToken(page.Next))
	}
	owner := func(cluster.Object) *types.Owner { return nil }
	if in.FetchOwner != nil && *in.FetchOwner {
		owner = f.ownersIn(bucket)
	}
	for _, o := range page.Objects {
		out.Contents = append(out.Contents, e.object(o, owner(o)))
	}
	return out, nil
}

// ListObjectVersions lists versions and delete markers.
func (f *front) ListObjectVersions(ctx context.Context, in *s3.ListObjectVersionsInput) (out s3response.ListVersionsResult, err error) {
	bucket, prefix, delimiter := str(in.Bucket), str(in.Prefix), str(in.Delimiter)
	key, version := str(in.KeyMarker), str(in.VersionIdMarker)
	e, err := encodingOf(ctx)
	if err != nil {
		return out, err
	}
	if _, err := f.settings(bucket); err != nil {
		return out, err
	}
	if version != "" && key == "" {
		return out, s3err.APIError{Code: "InvalidArgument", Description: "A version-id marker cannot be specified without a key marker.", HTTPStatusCode: 400}
	}
	out = s3response.ListVersionsResult{Name: &bucket, Prefix: ptrTo(e.key(prefix)), Delimiter: ptr(e.key(delimiter)), KeyMarker: ptrTo(e.key(key)), VersionIdMarker: ptrTo(version),
		MaxKeys: in.MaxKeys, EncodingType: types.EncodingType(e), IsTruncated: ptrTo(false)}
	owner := f.ownersIn(bucket)
	n, seen, lastKey, lastVersion := int32(0), "", "", ""
	if strings.HasPrefix(key, prefix) && delimiter != "" && strings.HasSuffix(key, delimiter) {
		seen = key // the marker is a prefix that was listed
	}
	if *in.MaxKeys == 0 {
		return out, nil
	}
	err = f.store.Versions(f.ctx, bucket, prefix, key, version, func(o cluster.Object) bool {
		folded := ""
		if delimiter != "" {
			if i := strings.Index(o.Key[len(prefix):], delimiter); i >= 0 {
				folded = o.Key[:len(prefix)+i+len(delimiter)]
			}
		}
		if folded != "" && folded == seen {
			return true
		}
		if n == *in.MaxKeys {
			out.IsTruncated, out.NextKeyMarker, out.NextVersionIdMarker = ptrTo(true), ptr(e.key(lastKey)), ptr(lastVersion)
			return false
		}
		n++
		if folded != "" {
			seen, lastKey, lastVersion = folded, folded, ""
			out.CommonPrefixes = append(out.CommonPrefixes, types.CommonPrefix{Prefix: ptr(e.key(folded))})
			return true
		}
		lastKey, lastVersion = o.Key, o.VersionID()
		e.version(&out, o, owner(o))
		return true
	})
	return out, f.fail(err, subject{bucket: bucket, version: version})
}

// version adds a version or a marker to a listing.
func (e encoding) version(out *s3response.ListVersionsResult, o cluster.Object, owner *types.Owner) {
	if o.Marker {
		out.DeleteMarkers = append(out.DeleteMarkers, types.DeleteMarkerEntry{IsLatest: &o.Latest, Key: ptr(e.key(o.Key)), LastModified: ptrTo(o.Modified.Truncate(time.Second)), Owner: owner, VersionId: ptr(o.VersionID())})
		return
	}
	line := e.object(o, owner)
	out.Versions = append(out.Versions, s3response.ObjectVersion{ChecksumAlgorithm: line.ChecksumAlgorithm, ChecksumType: line.ChecksumType, ETag: line.ETag, IsLatest: &o.Latest, Key: line.Key,
		LastModified: line.LastModified, Owner: owner, Size: line.Size, StorageClass: types.ObjectVersionStorageClass(line.StorageClass), VersionId: ptr(o.VersionID())})
}
