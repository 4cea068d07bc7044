package gateway

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/s3response"

	"github.com/wattle-storage/wattle/cluster"
)

// limited is the back end behind the limits of buckets and users: what it passes on has been
// authenticated and authorised, and admitted.
type limited struct{ *front }

// within admits a request for a bucket and makes it.
func within[T any](l limited, ctx context.Context, bucket *string, do func() (T, error)) (out T, err error) {
	if _, err := l.admit(ctx, str(bucket)); err != nil {
		return out, err
	}
	return do()
}

// holding admits a request that stores something, of which size bytes are announced, and makes
// it with room reserved.
func holding[T any](l limited, ctx context.Context, bucket *string, size func() cluster.Usage, do func() (T, error)) (out T, err error) {
	h, err := l.admit(ctx, str(bucket))
	if err != nil {
		return out, err
	}
	if h == nil {
		return do()
	}
	defer func() { h.room.Release() }()
	if err := h.reserve(size()); err != nil {
		return out, l.fail(err, subject{bucket: h.bucket})
	}
	if r := request(ctx); r != nil {
		r.SetUserValue(holdKey, h)
		defer r.RemoveUserValue(holdKey)
	}
	return do()
}

func (l limited) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	return holding(l, ctx, in.Bucket, func() cluster.Usage {
		return cluster.Usage{Bytes: max(0, announced(ctx, in.ContentLength)), Objects: 1}
	},
		func() (s3response.PutObjectOutput, error) { return l.front.PutObject(ctx, in) })
}

func (l limited) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	return holding(l, ctx, in.Bucket, func() cluster.Usage { return cluster.Usage{Bytes: max(0, announced(ctx, in.ContentLength))} },
		func() (*s3.UploadPartOutput, error) { return l.front.UploadPart(ctx, in) })
}

func (l limited) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	return holding(l, ctx, in.Bucket, func() cluster.Usage { return cluster.Usage{Bytes: l.sizeOf(in.CopySource, ""), Objects: 1} },
		func() (s3response.CopyObjectOutput, error) { return l.front.CopyObject(ctx, in) })
}

func (l limited) UploadPartCopy(ctx context.Context, in *s3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	return holding(l, ctx, in.Bucket, func() cluster.Usage { return cluster.Usage{Bytes: l.sizeOf(in.CopySource, str(in.CopySourceRange))} },
		func() (s3response.CopyPartResult, error) { return l.front.UploadPartCopy(ctx, in) })
}

// sizeOf is how many bytes a copy takes; of one that will be refused, none.
func (l limited) sizeOf(source *string, rng string) int64 {
	_, o, err := l.source(source, nil, conditions{})
	if err != nil {
		return 0
	}
	_, n, err := copyRange(o.Size, rng)
	if err != nil {
		return 0
	}
	return n
}

func (l limited) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	type answer struct {
		out     s3response.CompleteMultipartUploadResult
		version string
	}
	a, err := holding(l, ctx, in.Bucket, func() cluster.Usage { return cluster.Usage{Objects: 1} }, func() (a answer, err error) {
		a.out, a.version, err = l.front.CompleteMultipartUpload(ctx, in)
		return a, err
	})
	return a.out, a.version, err
}

func (l limited) GetObject(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	h, err := l.admit(ctx, str(in.Bucket))
	if err != nil {
		return nil, err
	}
	out, err := l.front.GetObject(ctx, in)
	if err != nil {
		return out, l.unseen(ctx, str(in.Bucket), err)
	}
	if h != nil && len(h.flow) > 0 && err == nil && out.Body != nil {
		out.Body = slowBody{out.Body, h, l.taker(ctx)}
	}
	return out, err
}

func (l limited) HeadObject(ctx context.Context, in *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
	return within(l, ctx, in.Bucket, func() (*s3.HeadObjectOutput, error) {
		out, err := l.front.HeadObject(ctx, in)
		return out, l.unseen(ctx, str(in.Bucket), err)
	})
}

func (l limited) GetObjectAttributes(ctx context.Context, in *s3.GetObjectAttributesInput) (s3response.GetObjectAttributesResponse, error) {
	return within(l, ctx, in.Bucket, func() (s3response.GetObjectAttributesResponse, error) { return l.front.GetObjectAttributes(ctx, in) })
}

func (l limited) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	return within(l, ctx, in.Bucket, func() (*s3.DeleteObjectOutput, error) { return l.front.DeleteObject(ctx, in) })
}

func (l limited) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	return within(l, ctx, in.Bucket, func() (s3response.DeleteResult, error) {
		rest, refused := l.deletable(ctx, str(in.Bucket), in.Delete.Objects)
		in.Delete.Objects = rest
		res, err := l.front.DeleteObjects(ctx, in)
		res.Error = append(res.Error, refused...)
		return res, err
	})
}

func (l limited) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	return within(l, ctx, in.Bucket, func() (s3response.InitiateMultipartUploadResult, error) {
		return l.front.CreateMultipartUpload(ctx, in)
	})
}

func (l limited) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput) error {
	_, err := within(l, ctx, in.Bucket, func() (struct{}, error) { return struct{}{}, l.front.AbortMultipartUpload(ctx, in) })
	return err
}

func (l limited) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	return within(l, ctx, in.Bucket, func() (s3response.ListObjectsResult, error) { return l.front.ListObjects(ctx, in) })
}

func (l limited) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	return within(l, ctx, in.Bucket, func() (s3response.ListObjectsV2Result, error) { return l.front.ListObjectsV2(ctx, in) })
}

func (l limited) ListObjectVersions(ctx context.Context, in *s3.ListObjectVersionsInput) (s3response.ListVersionsResult, error) {
	return within(l, ctx, in.Bucket, func() (s3response.ListVersionsResult, error) { return l.front.ListObjectVersions(ctx, in) })
}

func (l limited) ListMultipartUploads(ctx context.Context, in *s3.ListMultipartUploadsInput) (s3response.ListMultipartUploadsResult, error) {
	return within(l, ctx, in.Bucket, func() (s3response.ListMultipartUploadsResult, error) { return l.front.ListMultipartUploads(ctx, in) })
}

func (l limited) ListParts(ctx context.Context, in *s3.ListPartsInput) (s3response.ListPartsResult, error) {
	return within(l, ctx, in.Bucket, func() (s3response.ListPartsResult, error) { return l.front.ListParts(ctx, in) })
}
