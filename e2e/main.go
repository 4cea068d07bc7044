// Command e2e uses an S3 endpoint through the clients that Go programs use, and compares
// what comes back. Endpoint and key are those of the environment: WATTLE_URL,
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
	miniokeys "github.com/minio/minio-go/v7/pkg/credentials"
)

func main() {
	ctx := context.Background()
	if err := errors.Join(named("minio-go", viaMinio(ctx)), named("aws-sdk-go-v2", viaSDK(ctx))); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
}

func named(client string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", client, err)
	}
	fmt.Println("ok", client)
	return nil
}

func random(n int, seed uint64) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(p)
	return p
}

var sizes = []int{0, 1, 100_000, 6 << 20, 40 << 20}

// same compares what was read with what was written.
func same(key string, want []byte, r io.Reader) error {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if sum := sha256.Sum256(want); n != int64(len(want)) || !bytes.Equal(h.Sum(nil), sum[:]) {
		return fmt.Errorf("%s: %d bytes are not the %d that were put", key, n, len(want))
	}
	return nil
}

func viaMinio(ctx context.Context) error {
	u, err := url.Parse(os.Getenv("WATTLE_URL"))
	if err != nil {
		return err
	}
	c, err := minio.New(u.Host, &minio.Options{Creds: miniokeys.NewStaticV4(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""), Secure: u.Scheme == "https", Region: "us-east-1"})
	if err != nil {
		return err
	}
	const bucket = "minio-go"
	if ok, err := c.BucketExists(ctx, bucket); err != nil || !ok {
		if err := errors.Join(err, c.MakeBucket(ctx, bucket, minio.MakeBucketOptions{})); err != nil {
			return err
		}
	}
	for i, n := range sizes {
		key, body := fmt.Sprintf("dir/é %d", n), random(n, uint64(i))
		if _, err := c.PutObject(ctx, bucket, key, bytes.NewReader(body), int64(n), minio.PutObjectOptions{PartSize: 8 << 20, UserMetadata: map[string]string{"k": "v"}, ContentType: "a/b"}); err != nil {
			return err
		}
		o, err := c.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		if err := same(key, body, o); err != nil {
			return err
		}
		info, err := o.Stat()
		if err != nil || info.UserMetadata["K"] != "v" || info.ContentType != "a/b" {
			return fmt.Errorf("%s: %+v, %v", key, info, err)
		}
	}
	n := 0
	for o := range c.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true, Prefix: "dir/"}) {
		if o.Err != nil {
			return o.Err
		}
		n++
	}
	if n != len(sizes) {
		return fmt.Errorf("%d objects listed, want %d", n, len(sizes))
	}
	if _, err := c.ComposeObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: "composed"}, minio.CopySrcOptions{Bucket: bucket, Object: fmt.Sprintf("dir/é %d", sizes[4])},
		minio.CopySrcOptions{Bucket: bucket, Object: fmt.Sprintf("dir/é %d", sizes[2])}); err != nil {
		return err
	}
	o, err := c.GetObject(ctx, bucket, "composed", minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	return same("composed", append(random(sizes[4], 4), random(sizes[2], 2)...), o)
}

func viaSDK(ctx context.Context) error {
	c := s3.New(s3.Options{BaseEndpoint: aws.String(os.Getenv("WATTLE_URL")), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), "")})
	bucket := aws.String("aws-sdk-go-v2")
	if _, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: bucket}); err != nil {
		if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}); err != nil {
			return err
		}
	}
	up := manager.NewUploader(c, func(u *manager.Uploader) { u.PartSize = 8 << 20 })
	for i, n := range sizes {
		key, body := fmt.Sprintf("dir/+ %d", n), random(n, uint64(10+i))
		if _, err := up.Upload(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: bytes.NewReader(body), Metadata: map[string]string{"k": "v"}}); err != nil {
			return err
		}
		got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &key, ChecksumMode: "ENABLED"})
		if err != nil {
			return err
		}
		if err := same(key, body, got.Body); err != nil {
			return err
		}
		if got.Metadata["k"] != "v" {
			return fmt.Errorf("%s: metadata %v", key, got.Metadata)
		}
	}
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: bucket, MaxKeys: aws.Int32(2)})
	n := 0
	for pages.HasMorePages() {
		p, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		n += len(p.Contents)
	}
	if n != len(sizes) {
		return fmt.Errorf("%d objects listed, want %d", n, len(sizes))
	}
	return nil
}
