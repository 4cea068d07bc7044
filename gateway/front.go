package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/energy"
)

// front is the back end that the protocol's front end calls.
type front struct {
	backend.BackendUnsupported
	store    Store
	ctx      context.Context // of the server: a request's own ends with its handler, before a body is sent
	cancel   context.CancelFunc
	log      *slog.Logger
	metrics  *metrics
	opaque   bool
	stall    time.Duration
	root     string
	users    *Users
	quotas   *quotas
	owners   owners
	policies policies
	grid     energy.Estimate // g/kWh; zero: answers say nothing of carbon
}

func (f *front) String() string { return "wattle" }

// str is a copy of a string of a request.
func str(p *string) string {
	if p == nil {
		return ""
	}
	return strings.Clone(*p)
}

func cloned(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	c := make(map[string]string, len(m))
	for k, v := range m {
		c[strings.Clone(k)] = strings.Clone(v)
	}
	return c
}

// ptr is nil for the zero value: then the answer leaves the thing out.
func ptr[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// request is the HTTP request that a call is made for, or nil.
func request(ctx context.Context) *fasthttp.RequestCtx {
	r, _ := ctx.(*fasthttp.RequestCtx)
	return r
}

// query is a parameter that the front end does not pass on.
func query(ctx context.Context, name string) string {
	if r := request(ctx); r != nil {
		return string(r.QueryArgs().Peek(name))
	}
	return ""
}

func account(ctx context.Context) auth.Account {
	a, _ := ctx.Value("account").(auth.Account)
	return a
}

// who is the access key that a request was signed with, "" for one that was not signed.
func who(ctx context.Context) string { return strings.Clone(account(ctx).Access) }

// A subject is what an error is about.
type subject struct{ bucket, key, version, upload string }

// fail turns an error of the store into one of S3.
func (f *front) fail(err error, s subject) error {
	var s3 s3err.S3Error
	var name *cluster.NameError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &s3):
		return s3
	case errors.As(err, &name):
		return nameError(name, s)
	case errors.Is(err, cluster.ErrBucketNotFound):
		return s3err.GetBucketErr(s3err.ErrNoSuchBucket, s.bucket)
	case errors.Is(err, cluster.ErrBucketNotEmpty):
		return s3err.GetBucketErr(s3err.ErrBucketNotEmpty, s.bucket)
	case errors.Is(err, cluster.ErrObjectNotFound) && len(s.key) > cluster.MaxKey:
		return s3err.GetKeyTooLongErr(int64(len(s.key)), cluster.MaxKey)
	case errors.Is(err, cluster.ErrObjectNotFound):
		return noSuchKey{s3err.GetAPIError(s3err.ErrNoSuchKey), s.key}
	case errors.Is(err, cluster.ErrVersionNotFound):
		return s3err.GetNoSuchVersionErr(s.key, s.version)
	case errors.Is(err, cluster.ErrDeleteMarker):
		return s3err.GetMethodNotAllowedErr("", "DeleteMarker", []string{http.MethodDelete})
	case errors.Is(err, cluster.ErrUploadNotFound):
		return s3err.GetNoSuchUploadErr(s.upload)
	case errors.Is(err, cluster.ErrPart):
		return s3err.GetAPIError(s3err.ErrInvalidPart)
	case errors.Is(err, cluster.ErrPrecondition):
		return s3err.GetPreconditionFailedErr("")
	case errors.Is(err, cluster.ErrNoSpace):
		return s3err.GetAPIError(s3err.ErrNoSpaceLeftOnDevice)
	}
	f.log.Error("request failed", "bucket", s.bucket, "key", s.key, "error", err)
	switch {
	case errors.Is(err, cluster.ErrTooManyFailures):
		return s3err.APIError{Code: "ServiceUnavailable", HTTPStatusCode: http.StatusServiceUnavailable,
			Description: "Too many disks are away for this to be stored as safely as promised. Try again later."}
	case errors.Is(err, cluster.ErrDataLost):
		return s3err.APIError{Code: "InternalError", HTTPStatusCode: http.StatusInternalServerError,
			Description: "Some of the object's bytes are lost or corrupt beyond repair."}
	case errors.Is(err, context.Canceled):
		return s3err.APIError{Code: "ServiceUnavailable", HTTPStatusCode: http.StatusServiceUnavailable, Description: "The server is stopping."}
	}
	return s3err.GetAPIError(s3err.ErrInternalError)
}

func nameError(e *cluster.NameError, s subject) error {
	switch {
	case e.Kind == "bucket name":
		return s3err.GetBucketErr(s3err.ErrInvalidBucketName, s.bucket)
	case e.Kind == "version id":
		return s3err.GetInvalidArgumentErr(s3err.InvalidArgVersionId, s.version)
	case len(s.key) > cluster.MaxKey:
		return s3err.GetKeyTooLongErr(int64(len(s.key)), cluster.MaxKey)
	}
	return s3err.APIError{Code: "InvalidArgument", HTTPStatusCode: http.StatusBadRequest, Description: "The key cannot be used: " + e.Why + "."}
}

// settings returns what is set for a bucket.
func (f *front) settings(bucket string) (map[string]string, error) {
	s, err := f.store.Settings(f.ctx, bucket)
	if err != nil {
		return nil, f.fail(err, subject{bucket: bucket})
	}
	return s.Values, nil
}

// versionOf is the id that an answer names, none in a bucket without versions.
func (f *front) versionOf(o cluster.Object) *string {
	if !o.Versioned {
		if set, err := f.settings(o.Bucket); err != nil || set[cluster.SettingVersioning] == "" {
			return nil
		}
	}
	return ptr(o.VersionID())
}

// quoted is an ETag as answers carry it.
func quoted(etag string) string {
	if etag == "" {
		return ""
	}
	return `"` + etag + `"`
}

// etagOf is an object's ETag; one that was put without has the version's.
func etagOf(o cluster.Object) string {
	if o.ETag != "" {
		return o.ETag
	}
	return opaqueETag(o.Sequence)
}
