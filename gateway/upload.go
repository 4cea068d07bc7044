package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/wattle-storage/wattle/cluster"
)

// Limits of multipart uploads.
const (
	maxParts = 10000
	minPart  = 5 << 20 // of all but the last
)

func encode(h hash.Hash) string { return base64.StdEncoding.EncodeToString(h.Sum(nil)) }

// makeToken hides that a continuation token is a key: only its maker may read it.
func makeToken(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

func openToken(token string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) == 0 {
		return "", s3err.APIError{Code: "InvalidArgument", Description: "The continuation token provided is incorrect", HTTPStatusCode: http.StatusBadRequest}
	}
	return string(b), nil
}

// CreateMultipartUpload begins an upload.
func (f *front) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (out s3response.InitiateMultipartUploadResult, err error) {
	bucket, key := str(in.Bucket), str(in.Key)
	about := subject{bucket: bucket, key: key}
	tags, err := backend.ParseObjectTags(str(in.Tagging))
	if err != nil {
		return out, err
	}
	if len(tags) > 10 {
		return out, s3err.GetAPIError(s3err.ErrObjectTaggingLimited)
	}
	class, err := storageClass(ctx)
	if err != nil {
		return out, err
	}
	o := cluster.PutOptions{User: who(ctx), ContentType: str(in.ContentType), Meta: plainWords(cloned(in.Metadata)), Attributes: cluster.Attributes{Tags: tags,
		Headers: headers(in.CacheControl, in.ContentDisposition, in.ContentEncoding, in.ContentLanguage, in.Expires, in.WebsiteRedirectLocation, class)}}
	if a := strings.Clone(string(in.ChecksumAlgorithm)); a != "" {
		if _, err := newHash(a); err != nil {
			return out, err
		}
		o.Checksum = cluster.Checksum{Algorithm: a, Composite: in.ChecksumType == types.ChecksumTypeComposite}
	}
	if o.ACL, err = f.putACL(ctx, bucket); err != nil {
		return out, err
	}
	if err := f.lock(bucket, &o.Attributes, string(in.ObjectLockMode), in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus); err != nil {
		return out, err
	}
	u, err := f.store.StartUpload(f.ctx, bucket, key, o)
	if err != nil {
		return out, f.fail(err, about)
	}
	f.abortion(ctx, bucket, key, u.Created)
	return s3response.InitiateMultipartUploadResult{Bucket: bucket, Key: key, UploadId: u.ID}, nil
}

// UploadPart stores a part.
func (f *front) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	bucket, key, upload := str(in.Bucket), str(in.Key), str(in.UploadId)
	about := subject{bucket: bucket, key: key, upload: upload}
	u, err := f.store.Upload(f.ctx, bucket, key, upload)
	if err != nil {
		return nil, f.fail(err, about)
	}
	body, err := f.newPayload(ctx, in.Body, hint(in.ContentLength), sums{in.ChecksumCRC32, in.ChecksumCRC32C, in.ChecksumCRC64NVME, in.ChecksumSHA1, in.ChecksumSHA256, in.ChecksumMD5, in.ChecksumSHA512, in.ChecksumXXHASH64, in.ChecksumXXHASH3, in.ChecksumXXHASH128}, in.ChecksumAlgorithm, f.wantsMD5(ctx))
	if err != nil {
		return nil, err
	}
	defer body.close()
	given := body.want != "" || body.trailer != nil
	want, extra, err := body.forUpload(u, given)
	if err != nil {
		return nil, err
	}
	length := announced(ctx, in.ContentLength)
	var answered cluster.Checksum
	o := cluster.PutOptions{Room: roomOf(ctx), User: who(ctx), Size: hint(in.ContentLength), Finish: func(size int64, a *cluster.Attributes) error {
		err := body.finish(size, length, a)
		answered = a.Checksum
		if extra != nil {
			a.Checksum = cluster.Checksum{Algorithm: want, Value: encode(extra)}
		}
		return err
	}}
	var r io.Reader = body
	if extra != nil {
		r = io.TeeReader(body, extra)
	}
	p, err := f.store.PutPart(f.ctx, bucket, key, upload, int(*in.PartNumber), r, o)
	if err != nil {
		return nil, f.fail(err, about)
	}
	out := &s3.UploadPartOutput{ETag: ptr(quoted(p.ETag))}
	if given || u.Checksum.Algorithm != "" {
		s := sumsOf(answered)
		out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256, out.ChecksumMD5, out.ChecksumSHA512, out.ChecksumXXHASH64, out.ChecksumXXHASH3, out.ChecksumXXHASH128 = s.CRC32, s.CRC32C, s.CRC64NVME, s.SHA1, s.SHA256, s.MD5, s.SHA512, s.XXHASH64, s.XXHASH3, s.XXHASH128
	}
	return out, nil
}

// forUpload makes a part's payload fit its upload: it takes the upload's checksum, whatever
// else the client gave. extra takes it when the client gave another.
func (p *payload) forUpload(u cluster.Upload, given bool) (algorithm string, extra hash.Hash, err error) {
	algorithm = u.Checksum.Algorithm
	switch {
	case algorithm == "":
		algorithm = defaultAlgorithm
	case given && p.algorithm != algorithm:
		return "", nil, s3err.GetChecksumTypeMismatchErr(types.ChecksumAlgorithm(algorithm), types.ChecksumAlgorithm(p.algorithm))
	case !given && u.Checksum.Composite:
		return "", nil, s3err.GetChecksumTypeMismatchErr(types.ChecksumAlgorithm(algorithm), "null")
	}
	if p.algorithm == algorithm {
		return algorithm, nil, nil
	}
	h, err := newHash(algorithm)
	if err != nil {
		return "", nil, err
	}
	if !given { // nobody waits for another
		if p.quickIsSlow() {
			p.slow = p.slow[1:]
		}
		if p.algorithm, p.quick = algorithm, h; isSlow(algorithm) {
			p.slow = append([]hash.Hash{h}, p.slow...)
		}
		return algorithm, nil, nil
	}
	return algorithm, h, nil
}

// UploadPartCopy stores a range of an object as a part.
func (f *front) UploadPartCopy(ctx context.Context, in *s3.UploadPartCopyInput) (out s3response.CopyPartResult, err error) {
	bucket, key, upload := str(in.Bucket), str(in.Key), str(in.UploadId)
	about := subject{bucket: bucket, key: key, upload: upload}
	u, err := f.store.Upload(f.ctx, bucket, key, upload)
	if err != nil {
		return out, f.fail(err, about)
	}
	from, src, err := f.source(in.CopySource, in.ExpectedSourceBucketOwner,
		conditions{in.CopySourceIfMatch, in.CopySourceIfNoneMatch, in.CopySourceIfModifiedSince, in.CopySourceIfUnmodifiedSince})
	if err != nil {
		return out, err
	}
	first, length, err := copyRange(src.Size, str(in.CopySourceRange))
	if err != nil {
		return out, err
	}
	if length > maxPut {
		return out, s3err.GetEntityTooLargeErr(length, maxPut)
	}
	var r io.Reader = strings.NewReader("")
	if length > 0 {
		got, err := f.store.Get(f.ctx, from.bucket, from.key, cluster.GetOptions{User: who(ctx), Offset: first, Length: length, Version: src.VersionID()})
		if err != nil {
			return out, f.fail(err, from)
		}
		defer got.Close()
		r = got
	}
	algorithm := u.Checksum.Algorithm
	if algorithm == "" {
		algorithm = defaultAlgorithm
	}
	body, err := f.newPayload(f.ctx, r, length, sums{}, types.ChecksumAlgorithm(algorithm), !f.opaque)
	if err != nil {
		return out, err
	}
	defer body.close()
	p, err := f.store.PutPart(f.ctx, bucket, key, upload, int(*in.PartNumber), body, cluster.PutOptions{Room: roomOf(ctx), User: who(ctx), Size: length,
		Finish: func(size int64, a *cluster.Attributes) error { return body.finish(size, length, a) }})
	if err != nil {
		return out, f.fail(err, about)
	}
	out = s3response.CopyPartResult{ETag: ptr(quoted(p.ETag)), LastModified: p.Modified}
	if u.Checksum.Algorithm != "" {
		s := sumsOf(p.Checksum)
		out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256, out.ChecksumMD5, out.ChecksumSHA512, out.ChecksumXXHASH64, out.ChecksumXXHASH3, out.ChecksumXXHASH128 = s.CRC32, s.CRC32C, s.CRC64NVME, s.SHA1, s.SHA256, s.MD5, s.SHA512, s.XXHASH64, s.XXHASH3, s.XXHASH128
	}
	if v := f.answered(src, from.version); v != nil {
		out.CopySourceVersionId = *v
	}
	return out, nil
}

// copyRange reads x-amz-copy-source-range, which unlike Range must lie within the source.
func copyRange(size int64, s string) (first, length int64, err error) {
	if s == "" {
		return 0, size, nil
	}
	bad := s3err.GetInvalidArgumentErr(s3err.InvalidArgCopySourceRange, s)
	a, b, ok := strings.Cut(strings.TrimPrefix(s, "bytes="), "-")
	if !ok || !strings.HasPrefix(s, "bytes=") {
		return 0, 0, bad
	}
	first, e1 := strconv.ParseInt(a, 10, 64)
	last, e2 := strconv.ParseInt(b, 10, 64)
	switch {
	case e1 != nil || e2 != nil || first < 0 || last < first:
		return 0, 0, bad
	case last >= size:
		return 0, 0, s3err.GetInvalidArgExceedingRange(size)
	}
	return first, last - first + 1, nil
}

// CompleteMultipartUpload makes the object of the parts that the request names.
func (f *front) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (out s3response.CompleteMultipartUploadResult, version string, err error) {
	bucket, key, upload := str(in.Bucket), str(in.Key), str(in.UploadId)
	about := subject{bucket: bucket, key: key, upload: upload}
	o := cluster.PutOptions{Room: roomOf(ctx), User: who(ctx)}
	if err := f.conditions(&o, in.IfMatch, in.IfNoneMatch, about); err != nil {
		return out, "", err
	}
	u, err := f.store.Upload(f.ctx, bucket, key, upload)
	if errors.Is(err, cluster.ErrUploadNotFound) {
		return f.completedBefore(err, about)
	}
	if err != nil {
		return out, "", f.fail(err, about)
	}
	parts, err := f.chosen(u, in.MultipartUpload.Parts)
	if err != nil {
		return out, "", err
	}
	if in.ChecksumType != "" && in.ChecksumType != uploadType(u.Checksum) {
		return out, "", s3err.GetChecksumTypeMismatchOnMpErr(uploadType(u.Checksum))
	}
	size := int64(0)
	for _, p := range parts {
		size += p.Size
	}
	if in.MpuObjectSize != nil && *in.MpuObjectSize != size {
		return out, "", s3err.GetIncorrectMpObjectSizeErr(size, *in.MpuObjectSize)
	}
	if o.Checksum, err = wholeChecksum(u.Checksum, parts); err != nil {
		return out, "", err
	}
	algorithm, given := (sums{in.ChecksumCRC32, in.ChecksumCRC32C, in.ChecksumCRC64NVME, in.ChecksumSHA1, in.ChecksumSHA256, in.ChecksumMD5, in.ChecksumSHA512, in.ChecksumXXHASH64, in.ChecksumXXHASH3, in.ChecksumXXHASH128}).first()
	if given != "" && algorithm == o.Checksum.Algorithm && given != o.Checksum.Value && given != strings.SplitN(o.Checksum.Value, "-", 2)[0] {
		return out, "", s3err.GetChecksumBadDigestErr(types.ChecksumAlgorithm(algorithm))
	}
	o.ETag = multipartETag(parts)
	obj, err := f.store.CompleteUpload(f.ctx, bucket, key, upload, parts, o)
	if errors.Is(err, cluster.ErrUploadNotFound) {
		return f.completedBefore(err, about)
	}
	if err != nil {
		return out, "", f.conditionFailed(err, o, about)
	}
	return f.completed(obj)
}

func (f *front) completed(obj cluster.Object) (out s3response.CompleteMultipartUploadResult, version string, err error) {
	s := sumsOf(obj.Checksum)
	out = s3response.CompleteMultipartUploadResult{Bucket: ptr(obj.Bucket), Key: ptr(obj.Key), ETag: ptr(quoted(obj.ETag)), ChecksumType: ptr(checksumType(obj.Checksum)),
		ChecksumCRC32: s.CRC32, ChecksumCRC32C: s.CRC32C, ChecksumCRC64NVME: s.CRC64NVME, ChecksumSHA1: s.SHA1, ChecksumSHA256: s.SHA256, ChecksumMD5: s.MD5, ChecksumSHA512: s.SHA512, ChecksumXXHASH64: s.XXHASH64, ChecksumXXHASH3: s.XXHASH3, ChecksumXXHASH128: s.XXHASH128}
	if v := f.versionOf(obj); v != nil {
		version = *v
	}
	return out, version, nil
}

// completedBefore answers a completion that is repeated, because its answer was lost, as the
// first one was; unless the upload never was, or something else lies there now.
func (f *front) completedBefore(cause error, about subject) (out s3response.CompleteMultipartUploadResult, version string, err error) {
	obj, err := f.store.Head(f.ctx, about.bucket, about.key, "")
	if err != nil || obj.Upload == 0 || fmt.Sprintf("%016x", uint64(obj.Upload)) != about.upload {
		return out, "", f.fail(cause, about)
	}
	return f.completed(obj)
}

func uploadType(c cluster.Checksum) types.ChecksumType {
	if c.Algorithm == "" {
		return "null"
	}
	return checksumType(c)
}

// chosen finds the parts that a completion names, and refuses what does not fit.
func (f *front) chosen(u cluster.Upload, named []types.CompletedPart) ([]cluster.Part, error) {
	all, err := f.store.Parts(f.ctx, u.Bucket, u.Key, u.ID, 0, maxParts)
	if err != nil {
		return nil, f.fail(err, subject{bucket: u.Bucket, key: u.Key, upload: u.ID})
	}
	byNumber := map[int]cluster.Part{}
	for _, p := range all {
		byNumber[p.Number] = p
	}
	var parts []cluster.Part
	last := int32(0)
	for _, n := range named {
		switch {
		case n.PartNumber == nil || n.ETag == nil:
			return nil, s3err.GetAPIError(s3err.ErrMalformedXML)
		case *n.PartNumber < 1 || *n.PartNumber > maxParts:
			return nil, s3err.GetInvalidArgumentErr(s3err.InvalidArgCompleteMpPartNumber, fmt.Sprint(*n.PartNumber))
		case *n.PartNumber <= last:
			return nil, s3err.GetAPIError(s3err.ErrInvalidPartOrder)
		}
		last = *n.PartNumber
		p, ok := byNumber[int(last)]
		if !ok || strings.Trim(*n.ETag, `"`) != p.ETag {
			return nil, s3err.GetInvalidPartErr(u.ID, last, strings.Trim(*n.ETag, `"`))
		}
		if err := checkPart(u, p, n); err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	for i, p := range parts {
		if i < len(parts)-1 && p.Size < minPart {
			return nil, s3err.GetEntityTooSmallErr(p.Size, minPart)
		}
	}
	return parts, nil
}

// checkPart compares the checksum that a completion names for a part.
func checkPart(u cluster.Upload, p cluster.Part, n types.CompletedPart) error {
	given := sums{n.ChecksumCRC32, n.ChecksumCRC32C, n.ChecksumCRC64NVME, n.ChecksumSHA1, n.ChecksumSHA256, n.ChecksumMD5, n.ChecksumSHA512, n.ChecksumXXHASH64, n.ChecksumXXHASH3, n.ChecksumXXHASH128}
	algorithm, value := given.first()
	switch {
	case given.count() > 1:
		return s3err.GetInvalidArgumentErr(s3err.InvalidArgChecksumPart, value)
	case value != "" && algorithm != p.Checksum.Algorithm && p.Checksum.Algorithm != "":
		return s3err.GetChecksumBadDigestErr(types.ChecksumAlgorithm(algorithm))
	case value == "" && u.Checksum.Composite:
		return s3err.APIError{Code: "InvalidRequest", HTTPStatusCode: http.StatusBadRequest, Description: fmt.Sprintf(
			"The upload was created using a %s checksum, and the request to complete it must include the checksum of each part; that of part %d is missing.", strings.ToLower(u.Checksum.Algorithm), p.Number)}
	case value != "" && algorithm == p.Checksum.Algorithm && value != p.Checksum.Value:
		return s3err.GetInvalidPartErr(u.ID, int32(p.Number), p.ETag)
	}
	return nil
}

// wholeChecksum is the checksum of the object that the parts make.
func wholeChecksum(of cluster.Checksum, parts []cluster.Part) (cluster.Checksum, error) {
	if of.Composite {
		return compositeChecksum(of.Algorithm, parts)
	}
	if of.Algorithm == "" {
		of.Algorithm = defaultAlgorithm
	}
	algorithm := types.ChecksumAlgorithm(of.Algorithm)
	if !utils.IsChecksumComposable(algorithm) {
		return cluster.Checksum{}, s3err.GetChecksumSchemaMismatchErr(algorithm, types.ChecksumTypeFullObject)
	}
	c := cluster.Checksum{Algorithm: of.Algorithm}
	for i, p := range parts {
		if i == 0 {
			c.Value = p.Checksum.Value
			continue
		}
		var err error
		if c.Value, err = utils.AddCRCChecksum(algorithm, c.Value, p.Checksum.Value, p.Size); err != nil {
			return c, err
		}
	}
	return c, nil
}

// AbortMultipartUpload drops an upload.
func (f *front) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput) error {
	bucket, key, upload := str(in.Bucket), str(in.Key), str(in.UploadId)
	about := subject{bucket: bucket, key: key, upload: upload}
	if t := in.IfMatchInitiatedTime; t != nil {
		u, err := f.store.Upload(f.ctx, bucket, key, upload)
		if err != nil {
			return f.fail(err, about)
		}
		if u.Created.Unix() != t.Unix() {
			return s3err.GetPreconditionFailedErr(s3err.ConditionIfMatchInitiatedTime)
		}
	}
	return f.fail(f.store.AbortUpload(f.ctx, bucket, key, upload), about)
}

// ListMultipartUploads lists the uploads of a bucket that are under way.
func (f *front) ListMultipartUploads(ctx context.Context, in *s3.ListMultipartUploadsInput) (out s3response.ListMultipartUploadsResult, err error) {
	bucket, prefix, delimiter, key, upload := str(in.Bucket), str(in.Prefix), str(in.Delimiter), str(in.KeyMarker), str(in.UploadIdMarker)
	e, err := encodingOf(ctx)
	if err != nil {
		return out, err
	}
	if key == "" {
		upload = ""
	}
	set, err := f.settings(bucket)
	if err != nil {
		return out, err
	}
	out = s3response.ListMultipartUploadsResult{Bucket: bucket, Prefix: e.key(prefix), Delimiter: e.key(delimiter), KeyMarker: e.key(key), UploadIDMarker: upload,
		EncodingType: string(e), MaxUploads: int(*in.MaxUploads)}
	seen := ""
	if delimiter != "" && strings.HasSuffix(key, delimiter) {
		seen = key
	}
	n := 0
	err = f.store.Uploads(f.ctx, bucket, prefix, key, upload, func(u cluster.Upload) bool {
		folded := ""
		if i := strings.Index(u.Key[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			folded = u.Key[:len(prefix)+i+len(delimiter)]
		}
		if folded != "" && folded == seen {
			return true
		}
		if n == out.MaxUploads {
			out.IsTruncated = n > 0
			return false
		}
		n++
		if folded != "" {
			seen, out.NextKeyMarker, out.NextUploadIDMarker = folded, e.key(folded), ""
			out.CommonPrefixes = append(out.CommonPrefixes, s3response.CommonPrefix{Prefix: e.key(folded)})
			return true
		}
		out.NextKeyMarker, out.NextUploadIDMarker = e.key(u.Key), u.ID
		line := s3response.Upload{Key: e.key(u.Key), UploadID: u.ID, Initiated: u.Created, StorageClass: classOf(u.Headers),
			ChecksumAlgorithm: types.ChecksumAlgorithm(u.Checksum.Algorithm), ChecksumType: checksumType(u.Checksum)}
		who := f.objectACL(set, cluster.Object{Attributes: u.Attributes}).Owner
		line.Owner = s3response.Owner{ID: who, DisplayName: who}
		line.Initiator = s3response.Initiator(line.Owner)
		out.Uploads = append(out.Uploads, line)
		return true
	})
	if !out.IsTruncated {
		out.NextKeyMarker, out.NextUploadIDMarker = "", ""
	}
	if errors.Is(err, cluster.ErrUploadNotFound) { // the marker is none of this store's ids
		return out, s3err.GetInvalidArgumentErr(s3err.InvalidArgUploadIdMarker, upload)
	}
	return out, f.fail(err, subject{bucket: bucket, upload: upload})
}

// classOf is the storage class among stored headers.
func classOf(headers map[string]string) types.StorageClass {
	if c := headers[headerClass]; c != "" {
		return types.StorageClass(c)
	}
	return types.StorageClassStandard
}

// ListParts lists the parts of an upload.
func (f *front) ListParts(ctx context.Context, in *s3.ListPartsInput) (out s3response.ListPartsResult, err error) {
	bucket, key, upload, after := str(in.Bucket), str(in.Key), str(in.UploadId), 0
	about := subject{bucket: bucket, key: key, upload: upload}
	if m := str(in.PartNumberMarker); m != "" {
		if after, err = strconv.Atoi(m); err != nil || after < 0 {
			return out, s3err.GetInvalidArgMaxLimiter("part-number-marker", m)
		}
	}
	u, err := f.store.Upload(f.ctx, bucket, key, upload)
	if err != nil {
		return out, f.fail(err, about)
	}
	f.abortion(ctx, bucket, key, u.Created)
	limit := int(*in.MaxParts)
	parts, err := f.store.Parts(f.ctx, bucket, key, upload, after, limit+1)
	if err != nil {
		return out, f.fail(err, about)
	}
	out = s3response.ListPartsResult{Bucket: bucket, Key: key, UploadID: upload, StorageClass: classOf(u.Headers), PartNumberMarker: after, MaxParts: limit,
		ChecksumAlgorithm: types.ChecksumAlgorithm(u.Checksum.Algorithm), ChecksumType: checksumType(u.Checksum)}
	if set, err := f.settings(bucket); err == nil {
		who := f.objectACL(set, cluster.Object{Attributes: u.Attributes}).Owner
		out.Owner = s3response.Owner{ID: who, DisplayName: who}
		out.Initiator = s3response.Initiator(out.Owner)
	}
	if len(parts) > limit {
		parts, out.IsTruncated = parts[:limit], limit > 0
	}
	for _, p := range parts {
		line := s3response.Part{PartNumber: p.Number, LastModified: p.Modified, ETag: quoted(p.ETag), Size: p.Size}
		if u.Checksum.Algorithm != "" {
			s := sumsOf(p.Checksum)
			line.ChecksumCRC32, line.ChecksumCRC32C, line.ChecksumCRC64NVME, line.ChecksumSHA1, line.ChecksumSHA256, line.ChecksumMD5, line.ChecksumSHA512, line.ChecksumXXHASH64, line.ChecksumXXHASH3, line.ChecksumXXHASH128 = s.CRC32, s.CRC32C, s.CRC64NVME, s.SHA1, s.SHA256, s.MD5, s.SHA512, s.XXHASH64, s.XXHASH3, s.XXHASH128
		}
		out.Parts = append(out.Parts, line)
		out.NextPartNumberMarker = p.Number
	}
	return out, nil
}
