// Command null serves S3 with nothing behind the front end that `wattle serve` uses: puts are
// read and forgotten, gets are zeros. What it does in a second is the most that any store
// behind that front end can do; `wattle bench --s3` measures both.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: null HOST:PORT, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY set")
		os.Exit(2)
	}
	key := middlewares.RootUserConfig{Access: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: os.Getenv("AWS_SECRET_ACCESS_KEY")}
	srv, err := s3api.New(nothing{}, key, "us-east-1", auth.NewIAMServiceSingle(auth.Account{Access: key.Access, Secret: key.Secret, Role: auth.RoleAdmin}), nil, nil, nil, nil,
		s3api.WithQuiet(), s3api.WithKeepAlive(), s3api.WithConcurrencyLimiter(4096, 1024))
	if err == nil {
		err = srv.ServeMultiPort(os.Args[1:])
	}
	fmt.Fprintln(os.Stderr, "null:", err)
	os.Exit(1)
}

// nothing is the back end. A key's last part but one begins with the size of its objects, as
// the bench names them.
type nothing struct{ backend.BackendUnsupported }

var acl = []byte(`{"Owner":"root"}`)

func (nothing) CreateBucket(context.Context, *s3.CreateBucketInput, []byte) error { return nil }
func (nothing) DeleteBucket(context.Context, string) error                        { return nil }
func (nothing) GetBucketAcl(context.Context, *s3.GetBucketAclInput) ([]byte, error) {
	return acl, nil
}
func (nothing) GetBucketPolicy(_ context.Context, b string) ([]byte, error) {
	return nil, s3err.GetBucketErr(s3err.ErrNoSuchBucketPolicy, b)
}
func (nothing) GetBucketCors(_ context.Context, b string) ([]byte, error) {
	return nil, s3err.GetBucketErr(s3err.ErrNoSuchCORSConfiguration, b)
}
func (nothing) GetObjectLockConfiguration(_ context.Context, b string) ([]byte, error) {
	return nil, s3err.GetBucketErr(s3err.ErrObjectLockConfigurationNotFound, b)
}
func (nothing) GetBucketVersioning(context.Context, string) (s3response.GetBucketVersioningOutput, error) {
	return s3response.GetBucketVersioningOutput{}, nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 1<<20); return &b }}

func (nothing) PutObject(_ context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{in.Body}, *b)
	return s3response.PutObjectOutput{ETag: `"d41d8cd98f00b204e9800998ecf8427e"`}, err
}

var zeros = make([]byte, 64<<20)

func (nothing) GetObject(_ context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	size, _, _ := strings.Cut(*in.Key, "-")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n > int64(len(zeros)) {
		return nil, s3err.GetAPIError(s3err.ErrNoSuchKey)
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(zeros[:n])), ContentLength: &n}, nil
}

func (nothing) ListObjectsV2(_ context.Context, in *s3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	no := false
	return s3response.ListObjectsV2Result{Name: in.Bucket, IsTruncated: &no}, nil
}
