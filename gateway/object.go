package gateway

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
	"golang.org/x/sync/errgroup"

	"github.com/wattle-storage/wattle/cluster"
)

// Content headers that an object keeps, by the names under which they are stored.
const (
	headerCache       = "Cache-Control"
	headerDisposition = "Content-Disposition"
	headerEncoding    = "Content-Encoding"
	headerLanguage    = "Content-Language"
	headerExpires     = "Expires"
	headerRedirect    = "X-Amz-Website-Redirect-Location"
	headerClass       = "X-Amz-Storage-Class"
)

// headers collects content headers, those that are not empty.
func headers(cache, disposition, encoding, language, expires, redirect *string, class string) map[string]string {
	h := map[string]string{}
	for name, p := range map[string]*string{headerCache: cache, headerDisposition: disposition, headerLanguage: language, headerExpires: expires, headerRedirect: redirect} {
		if v := str(p); v != "" {
			h[name] = v
		}
	}
	if v := withoutChunked(str(encoding)); v != "" {
		h[headerEncoding] = v
	}
	if class != "" && class != string(types.StorageClassStandard) {
		h[headerClass] = strings.Clone(class)
	}
	return h
}

// withoutChunked is a Content-Encoding without aws-chunked, which is of the transfer.
func withoutChunked(encoding string) string {
	var kept []string
	for _, e := range strings.Split(encoding, ",") {
		if e = strings.TrimSpace(e); e != "" && !strings.EqualFold(e, "aws-chunked") {
			kept = append(kept, e)
		}
	}
	return strings.Join(kept, ",")
}

// storageClass is the class that a request names; there is one kind of storage, and the
// class is kept for whoever asks.
func storageClass(ctx context.Context) (string, error) {
	r := request(ctx)
	if r == nil {
		return "", nil
	}
	class := string(r.Request.Header.Peek(headerClass))
	if class != "" && !slices.Contains(types.StorageClass("").Values(), types.StorageClass(class)) {
		return "", s3err.APIError{Code: "InvalidStorageClass", Description: "The storage class you specified is not valid.", HTTPStatusCode: http.StatusBadRequest}
	}
	return class, nil
}

// PutObject stores an object.
func (f *front) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	var out s3response.PutObjectOutput
	bucket, key := str(in.Bucket), str(in.Key)
	about := subject{bucket: bucket, key: key}
	o, err := f.putOptions(ctx, in, about)
	if err != nil {
		return out, err
	}
	body, err := f.newPayload(ctx, in.Body, hint(in.ContentLength), sums{in.ChecksumCRC32, in.ChecksumCRC32C, in.ChecksumCRC64NVME, in.ChecksumSHA1, in.ChecksumSHA256, in.ChecksumMD5, in.ChecksumSHA512, in.ChecksumXXHASH64, in.ChecksumXXHASH3, in.ChecksumXXHASH128}, in.ChecksumAlgorithm, f.wantsMD5(ctx))
	if err != nil {
		return out, err
	}
	defer body.close()
	want := announced(ctx, in.ContentLength)
	o.Finish = func(size int64, a *cluster.Attributes) error { return body.finish(size, want, a) }
	obj, err := f.store.Put(f.ctx, bucket, key, body, o)
	if err != nil {
		return out, f.conditionFailed(err, o, about)
	}
	f.spent(ctx, "put", obj.Energy)
	f.expiration(ctx, obj)
	sum := sumsOf(obj.Checksum)
	out = s3response.PutObjectOutput{ETag: quoted(obj.ETag), ChecksumType: checksumType(obj.Checksum), ChecksumCRC32: sum.CRC32, ChecksumCRC32C: sum.CRC32C,
		ChecksumCRC64NVME: sum.CRC64NVME, ChecksumSHA1: sum.SHA1, ChecksumSHA256: sum.SHA256, ChecksumMD5: sum.MD5, ChecksumSHA512: sum.SHA512, ChecksumXXHASH64: sum.XXHASH64, ChecksumXXHASH3: sum.XXHASH3, ChecksumXXHASH128: sum.XXHASH128, Size: &obj.Size}
	if v := f.versionOf(obj); v != nil {
		out.VersionID = *v
	}
	return out, nil
}

func (f *front) putOptions(ctx context.Context, in s3response.PutObjectInput, about subject) (o cluster.PutOptions, err error) {
	tags, err := backend.ParseObjectTags(str(in.Tagging))
	if err != nil {
		return o, err
	}
	if len(tags) > 10 {
		return o, s3err.GetAPIError(s3err.ErrObjectTaggingLimited)
	}
	class, err := storageClass(ctx)
	if err != nil {
		return o, err
	}
	o = cluster.PutOptions{Room: roomOf(ctx), User: who(ctx), ContentType: str(in.ContentType), Meta: plainWords(cloned(in.Metadata)), Size: hint(in.ContentLength), Attributes: cluster.Attributes{Tags: tags,
		Headers: headers(in.CacheControl, in.ContentDisposition, in.ContentEncoding, in.ContentLanguage, in.Expires, in.WebsiteRedirectLocation, class)}}
	if o.ACL, err = f.putACL(ctx, about.bucket); err != nil {
		return o, err
	}
	if err := f.lock(about.bucket, &o.Attributes, string(in.ObjectLockMode), in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus); err != nil {
		return o, err
	}
	return o, f.conditions(&o, in.IfMatch, in.IfNoneMatch, about)
}

// conditions takes the conditions of a write into o. Those that fail now fail before the
// body is read; the store decides again when it commits.
func (f *front) conditions(o *cluster.PutOptions, ifMatch, ifNoneMatch *string, about subject) error {
	o.IfMatch, o.IfAbsent = strings.Trim(str(ifMatch), `"`), ifNoneMatch != nil
	switch {
	case ifMatch == nil && ifNoneMatch == nil:
		return nil
	case ifNoneMatch != nil && *ifNoneMatch != "*":
		return s3err.GetNotImplementedErr("If-None-Match", s3err.NmpAdditionalMessageIfNoneMatch)
	case ifMatch != nil && ifNoneMatch != nil:
		return s3err.GetNotImplementedErr("If-Match,If-None-Match", s3err.NmpAdditionalMessageMultipleCondHeaders)
	}
	now, err := f.store.Head(f.ctx, about.bucket, about.key, "")
	switch {
	case errors.Is(err, cluster.ErrObjectNotFound) && o.IfMatch != "":
		return f.fail(err, about)
	case errors.Is(err, cluster.ErrObjectNotFound):
		return nil
	case err != nil:
		return f.fail(err, about)
	case o.IfAbsent:
		return s3err.GetPreconditionFailedErr(s3err.ConditionIfNoneMatch)
	case o.IfMatch != "*" && o.IfMatch != etagOf(now):
		return s3err.GetPreconditionFailedErr(s3err.ConditionIfMatch)
	}
	return nil
}

// headerOf is a header of a request, nil when it is not there.
func headerOf(r *fasthttp.RequestCtx, name string) *string {
	if v := r.Request.Header.Peek(name); len(v) > 0 {
		return ptr(string(v))
	}
	return nil
}

// conditionFailed says which condition of a write it was that failed.
func (f *front) conditionFailed(err error, o cluster.PutOptions, about subject) error {
	if errors.Is(err, cluster.ErrPrecondition) {
		if o.IfAbsent {
			return s3err.GetPreconditionFailedErr(s3err.ConditionIfNoneMatch)
		}
		return s3err.GetPreconditionFailedErr(s3err.ConditionIfMatch)
	}
	return f.fail(err, about)
}

func hint(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// announced is the length that a body must have, negative when it was not said: a form's
// says more than its file, and a chunked transfer nothing.
func announced(ctx context.Context, n *int64) int64 {
	r := request(ctx)
	if n == nil || r == nil || r.IsPost() || r.Request.Header.ContentLength() < 0 && len(r.Request.Header.Peek("X-Amz-Decoded-Content-Length")) == 0 {
		return -1
	}
	return *n
}

// wantsMD5 tells whether the MD5 of a body is needed.
func (f *front) wantsMD5(ctx context.Context) bool {
	r := request(ctx)
	return !f.opaque || r != nil && len(r.Request.Header.Peek("Content-Md5")) > 0
}

// A selection is the part of an object that an answer carries.
type selection struct {
	from, length int64
	header       *string       // Content-Range
	parts        *int32        // how many parts the object has
	part         *cluster.Part // which of them it is
}

// checksum is that of what is selected, if it was taken.
func (s selection) checksum(o cluster.Object) cluster.Checksum {
	switch {
	case s.part != nil:
		c := s.part.Checksum
		c.Composite = o.Checksum.Composite
		return c
	case s.length == o.Size:
		return o.Checksum
	}
	return cluster.Checksum{}
}

// ifRange is the range that a read wants, if what it has the beginning of is this (RFC 9110,
// section 13.1.5); else it wants the whole.
func ifRange(ctx context.Context, o cluster.Object, rng *string) *string {
	r := request(ctx)
	if r == nil {
		return rng
	}
	v := string(r.Request.Header.Peek("If-Range"))
	t, err := http.ParseTime(v)
	if v == "" || v == quoted(etagOf(o)) || err == nil && t.Equal(o.Modified.Truncate(time.Second)) {
		return rng
	}
	return nil
}

// choose finds what Range or partNumber select.
func (f *front) choose(o cluster.Object, rng *string, part *int32) (s selection, err error) {
	s.length = o.Size
	if part == nil {
		var ok bool
		s.from, s.length, ok, err = backend.ParseObjectRange(o.Size, str(rng))
		if ok {
			s.header = ptr(fmt.Sprintf("bytes %d-%d/%d", s.from, s.from+s.length-1, o.Size))
		}
		return s, err
	}
	parts, err := f.store.ObjectParts(f.ctx, o)
	if err != nil {
		return s, f.fail(err, subject{bucket: o.Bucket, key: o.Key})
	}
	n := int32(max(1, len(parts)))
	if *part < 1 || *part > n {
		return s, s3err.GetInvalidPartNumberRangeErr(n, *part)
	}
	if len(parts) > 0 {
		s.parts = &n
		for _, p := range parts[:*part-1] {
			s.from += p.Size
		}
		s.length, s.part = parts[*part-1].Size, &parts[*part-1]
	}
	if s.length > 0 {
		s.header = ptr(fmt.Sprintf("bytes %d-%d/%d", s.from, s.from+s.length-1, o.Size))
	}
	return s, nil
}

// The conditions of a read.
type conditions struct {
	match, noneMatch            *string
	modifiedSince, notModSince_ *time.Time
}

// check decides conditions in the order of RFC 9110, section 13.2.2. Times count in whole
// seconds, as the answers give them.
func (c conditions) check(etag string, modified time.Time) error {
	modified = modified.Truncate(time.Second)
	switch {
	case c.match != nil && !tagIn(*c.match, etag):
		return s3err.GetPreconditionFailedErr(s3err.ConditionIfMatch)
	case c.match == nil && c.notModSince_ != nil && modified.After(*c.notModSince_):
		return s3err.GetPreconditionFailedErr(s3err.ConditionIfUnmodifiedSince)
	case c.noneMatch != nil && tagIn(*c.noneMatch, etag):
		return s3err.GetAPIError(s3err.ErrNotModified)
	case c.noneMatch == nil && c.modifiedSince != nil && !modified.After(*c.modifiedSince):
		return s3err.GetAPIError(s3err.ErrNotModified)
	}
	return nil
}

// tagIn tells whether a list of ETags, or *, holds one.
func tagIn(list, etag string) bool {
	for _, t := range strings.Split(list, ",") {
		t = strings.Trim(strings.TrimPrefix(strings.TrimSpace(t), "W/"), `"`)
		if t == "*" || t == etag {
			return true
		}
	}
	return false
}

// tellOf puts on an answer without the object what there is to say of it: which it is, to who
// has it already, and how long, to who asked for more (RFC 9110, sections 15.4.5 and 15.5.17).
func tellOf(ctx context.Context, o cluster.Object, err error) {
	r := request(ctx)
	var s3 s3err.S3Error
	if r == nil || !errors.As(err, &s3) {
		return
	}
	switch h := &r.Response.Header; s3.StatusCode() {
	case http.StatusNotModified:
		h.Set("ETag", quoted(etagOf(o)))
		h.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
		for _, name := range []string{headerCache, headerExpires} {
			if v := o.Headers[name]; v != "" {
				h.Set(name, v)
			}
		}
	case http.StatusRequestedRangeNotSatisfiable:
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", o.Size))
	}
}

// body is what GET sends; closing it lets go of the stripes.
type body struct {
	cluster.Reader
	to    taker
	after func(error)
}

func (b body) WriteTo(w io.Writer) (int64, error) {
	n, err := b.Reader.WriteTo(b.to.writer(w))
	if b.after != nil {
		b.after(err)
	}
	return n, err
}

// readFirst is how much is read before the answer begins: then it can say what it cost, and
// what cannot be read is an error and no broken body.
const readFirst = 64 << 10

// An inMemory is a body that was read before the answer began.
type inMemory struct {
	bytes.Reader
	mem *[readFirst]byte // nil, or where its bytes are
}

// readFirsts is memory for bodies that are worth keeping it for.
var readFirsts = sync.Pool{New: func() any { return new([readFirst]byte) }}

// readBody reads a body of n <= readFirst bytes.
func readBody(r io.Reader, n int64) (*inMemory, error) {
	const least = readFirst / 4 // less is left to the collector: slow clients are many
	b := &inMemory{}
	var p []byte
	if n < least {
		p = make([]byte, n)
	} else {
		b.mem = readFirsts.Get().(*[readFirst]byte)
		p = b.mem[:n]
	}
	if _, err := io.ReadFull(r, p); err != nil {
		b.Close()
		return nil, err
	}
	b.Reset(p)
	return b, nil
}

// Close gives the memory back; nothing can be read any more.
func (b *inMemory) Close() error {
	b.Reset(nil)
	if b.mem != nil {
		readFirsts.Put(b.mem)
		b.mem = nil
	}
	return nil
}

// GetObject reads an object, or a range or a part of it.
func (f *front) GetObject(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	bucket, key, version := str(in.Bucket), str(in.Key), str(in.VersionId)
	about := subject{bucket: bucket, key: key, version: version}
	var s selection
	r, err := f.store.Get(f.ctx, bucket, key, cluster.GetOptions{Version: version, User: who(ctx), Select: func(o cluster.Object) (int64, int64, error) {
		err := conditions{in.IfMatch, in.IfNoneMatch, in.IfModifiedSince, in.IfUnmodifiedSince}.check(etagOf(o), o.Modified)
		if err == nil {
			s, err = f.choose(o, ifRange(ctx, o, in.Range), in.PartNumber)
		}
		tellOf(ctx, o, err)
		return s.from, s.length, err
	}})
	if errors.Is(err, cluster.ErrObjectNotFound) || errors.Is(err, cluster.ErrDeleteMarker) {
		if o, _ := f.store.Head(f.ctx, bucket, key, version); o.Marker {
			return &s3.GetObjectOutput{DeleteMarker: ptr(true), LastModified: &o.Modified}, f.fail(err, about)
		}
	}
	if err != nil {
		return nil, f.fail(err, about)
	}
	o, out := r.Object(), &s3.GetObjectOutput{}
	switch {
	case s.length == 0:
		r.Close()
	case s.length <= readFirst:
		b, err := readBody(r, s.length)
		spent := r.Energy()
		r.Close()
		if err != nil {
			return nil, f.fail(err, about)
		}
		f.spent(ctx, "get", &spent)
		out.Body = b
	default:
		if p, ok := r.(interface{ Estimate() cluster.Spent }); ok {
			f.tell(ctx, p.Estimate(), "estimated from the reads that are planned")
		}
		out.Body = body{r, f.taker(ctx), func(err error) {
			f.metrics.spent("get", r.Energy().Joules)
			if err != nil {
				f.log.Warn("body broke off", "bucket", bucket, "key", key, "error", err)
			}
		}}
	}
	f.expiration(ctx, o)
	c := s.checksum(o)
	if in.ChecksumMode != types.ChecksumModeEnabled {
		c = cluster.Checksum{}
	}
	sum, h := sumsOf(c), o.Headers
	out.AcceptRanges, out.ContentLength, out.ContentRange, out.PartsCount = ptr("bytes"), &s.length, s.header, s.parts
	out.ETag, out.LastModified, out.ContentType, out.Metadata = ptr(quoted(etagOf(o))), &o.Modified, ptr(o.ContentType), encodedWords(o.Meta)
	out.CacheControl, out.ContentDisposition, out.ContentEncoding, out.ContentLanguage = ptr(h[headerCache]), ptr(h[headerDisposition]), ptr(h[headerEncoding]), ptr(h[headerLanguage])
	out.ExpiresString, out.WebsiteRedirectLocation, out.StorageClass = ptr(h[headerExpires]), ptr(h[headerRedirect]), types.StorageClass(h[headerClass])
	out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256, out.ChecksumMD5, out.ChecksumSHA512, out.ChecksumXXHASH64, out.ChecksumXXHASH3, out.ChecksumXXHASH128 = sum.CRC32, sum.CRC32C, sum.CRC64NVME, sum.SHA1, sum.SHA256, sum.MD5, sum.SHA512, sum.XXHASH64, sum.XXHASH3, sum.XXHASH128
	out.ChecksumType, out.TagCount, out.VersionId = checksumType(c), ptr(int32(len(o.Tags))), f.answered(o, version)
	out.ObjectLockMode, out.ObjectLockRetainUntilDate, out.ObjectLockLegalHoldStatus = lockOf(o)
	return out, nil
}

// answered is the version id of an answer to a request that asked for one, or for none.
func (f *front) answered(o cluster.Object, asked string) *string {
	if asked != "" {
		return ptr(o.VersionID())
	}
	return f.versionOf(o)
}

// HeadObject tells of an object.
func (f *front) HeadObject(ctx context.Context, in *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
	bucket, key, version := str(in.Bucket), str(in.Key), str(in.VersionId)
	about := subject{bucket: bucket, key: key, version: version}
	o, err := f.store.Head(f.ctx, bucket, key, version)
	if err != nil {
		if o.Marker {
			return &s3.HeadObjectOutput{DeleteMarker: ptr(true), LastModified: &o.Modified}, f.fail(err, about)
		}
		return nil, f.fail(err, about)
	}
	var s selection
	err = conditions{in.IfMatch, in.IfNoneMatch, in.IfModifiedSince, in.IfUnmodifiedSince}.check(etagOf(o), o.Modified)
	if err == nil {
		s, err = f.choose(o, in.Range, in.PartNumber)
	}
	if err != nil {
		tellOf(ctx, o, err)
		return nil, err
	}
	f.expiration(ctx, o)
	c := s.checksum(o)
	if in.ChecksumMode != types.ChecksumModeEnabled {
		c = cluster.Checksum{}
	}
	sum, h := sumsOf(c), o.Headers
	mode, until, hold := lockOf(o)
	return &s3.HeadObjectOutput{AcceptRanges: ptr("bytes"), ContentLength: &s.length, ContentRange: s.header, PartsCount: s.parts,
		ETag: ptr(quoted(etagOf(o))), LastModified: &o.Modified, ContentType: ptr(o.ContentType), Metadata: encodedWords(o.Meta),
		CacheControl: ptr(h[headerCache]), ContentDisposition: ptr(h[headerDisposition]), ContentEncoding: ptr(h[headerEncoding]), ContentLanguage: ptr(h[headerLanguage]),
		ExpiresString: ptr(h[headerExpires]), WebsiteRedirectLocation: ptr(h[headerRedirect]), StorageClass: types.StorageClass(h[headerClass]),
		ChecksumCRC32: sum.CRC32, ChecksumCRC32C: sum.CRC32C, ChecksumCRC64NVME: sum.CRC64NVME, ChecksumSHA1: sum.SHA1, ChecksumSHA256: sum.SHA256, ChecksumMD5: sum.MD5, ChecksumSHA512: sum.SHA512, ChecksumXXHASH64: sum.XXHASH64, ChecksumXXHASH3: sum.XXHASH3, ChecksumXXHASH128: sum.XXHASH128,
		ChecksumType: checksumType(c), TagCount: ptr(int32(len(o.Tags))), VersionId: f.answered(o, version),
		ObjectLockMode: mode, ObjectLockRetainUntilDate: until, ObjectLockLegalHoldStatus: hold}, nil
}

// GetObjectAttributes tells of an object and its parts.
func (f *front) GetObjectAttributes(ctx context.Context, in *s3.GetObjectAttributesInput) (out s3response.GetObjectAttributesResponse, err error) {
	bucket, key, version := str(in.Bucket), str(in.Key), str(in.VersionId)
	about := subject{bucket: bucket, key: key, version: version}
	o, err := f.store.Head(f.ctx, bucket, key, version)
	if err != nil {
		if o.Marker {
			out.DeleteMarker, out.VersionId = ptr(true), f.answered(o, version)
		}
		return out, f.fail(err, about)
	}
	parts, err := f.store.ObjectParts(f.ctx, o)
	if err != nil {
		return out, f.fail(err, about)
	}
	out = s3response.GetObjectAttributesResponse{ETag: ptr(etagOf(o)), ObjectSize: &o.Size, StorageClass: classOf(o.Headers), VersionId: f.answered(o, version), LastModified: &o.Modified}
	if o.Checksum.Algorithm != "" {
		s := sumsOf(o.Checksum)
		out.Checksum = &types.Checksum{ChecksumCRC32: s.CRC32, ChecksumCRC32C: s.CRC32C, ChecksumCRC64NVME: s.CRC64NVME, ChecksumSHA1: s.SHA1, ChecksumSHA256: s.SHA256, ChecksumMD5: s.MD5, ChecksumSHA512: s.SHA512, ChecksumXXHASH64: s.XXHASH64, ChecksumXXHASH3: s.XXHASH3, ChecksumXXHASH128: s.XXHASH128, ChecksumType: checksumType(o.Checksum)}
	}
	if len(parts) > 0 {
		out.ObjectParts = partsPage(parts, in.PartNumberMarker, in.MaxParts)
		if r := request(ctx); r != nil {
			r.SetUserValue(partsCount, len(parts))
		}
	}
	return out, nil
}

// partsPage is the page of an object's parts after a marker.
func partsPage(parts []cluster.Part, marker *string, limit *int32) *s3response.ObjectParts {
	page := &s3response.ObjectParts{MaxParts: 1000}
	if limit != nil {
		page.MaxParts = int(*limit)
	}
	page.PartNumberMarker, _ = strconv.Atoi(str(marker))
	for i, p := range parts {
		n := int32(i + 1)
		if int(n) <= page.PartNumberMarker {
			continue
		}
		if len(page.Parts) == page.MaxParts {
			page.IsTruncated = true
			break
		}
		s := sumsOf(p.Checksum)
		page.Parts = append(page.Parts, types.ObjectPart{PartNumber: &n, Size: &p.Size, ChecksumCRC32: s.CRC32, ChecksumCRC32C: s.CRC32C,
			ChecksumCRC64NVME: s.CRC64NVME, ChecksumSHA1: s.SHA1, ChecksumSHA256: s.SHA256, ChecksumMD5: s.MD5, ChecksumSHA512: s.SHA512, ChecksumXXHASH64: s.XXHASH64, ChecksumXXHASH3: s.XXHASH3, ChecksumXXHASH128: s.XXHASH128})
		page.NextPartNumberMarker = int(n)
	}
	return page
}

// DeleteObject removes an object or a version, or leaves a delete marker.
func (f *front) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	out, spent, err := f.delete(who(ctx), in)
	f.spent(ctx, "delete", spent)
	return out, err
}

// delete is DeleteObject with what it cost, which is nil when nothing was deleted.
func (f *front) delete(user string, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, *cluster.Spent, error) {
	bucket, key, version := str(in.Bucket), str(in.Key), str(in.VersionId)
	about := subject{bucket: bucket, key: key, version: version}
	o := cluster.DeleteOptions{Version: version, User: user, IfMatch: strings.Trim(str(in.IfMatch), `"`)}
	if in.IfMatchSize != nil || in.IfMatchLastModifiedTime != nil {
		now, err := f.store.Head(f.ctx, bucket, key, version)
		if err != nil {
			return nil, nil, f.fail(err, about)
		}
		if in.IfMatchSize != nil && *in.IfMatchSize != now.Size {
			return nil, nil, s3err.GetPreconditionFailedErr(s3err.ConditionIfMatchSize)
		}
		if t := in.IfMatchLastModifiedTime; t != nil && t.Unix() != now.Modified.Unix() {
			return nil, nil, s3err.GetPreconditionFailedErr(s3err.ConditionIfMatchLastModTime)
		}
		o.IfSequence = now.Sequence
	}
	gone, err := f.store.DeleteVersion(f.ctx, bucket, key, o)
	switch {
	case errors.Is(err, cluster.ErrObjectNotFound) && len(key) > cluster.MaxKey:
		return nil, nil, f.fail(err, about)
	case errors.Is(err, cluster.ErrObjectNotFound), errors.Is(err, cluster.ErrVersionNotFound): // gone it is, whatever was to match
		return &s3.DeleteObjectOutput{VersionId: ptr(version)}, nil, nil
	case errors.Is(err, cluster.ErrPrecondition):
		return nil, nil, s3err.GetPreconditionFailedErr(s3err.ConditionIfMatch)
	case err != nil:
		return nil, nil, f.fail(err, about)
	}
	out := &s3.DeleteObjectOutput{VersionId: ptr(version)}
	if gone.Marker {
		out.DeleteMarker = ptr(true)
	}
	if version == "" && gone.Marker {
		out.VersionId = ptr(gone.VersionID())
	}
	return out, gone.Energy, nil
}

// DeleteObjects removes many, which share batches of the store.
func (f *front) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	type outcome struct {
		out   *s3.DeleteObjectOutput
		spent *cluster.Spent
		err   error
	}
	var res s3response.DeleteResult
	bucket := str(in.Bucket)
	if _, err := f.settings(bucket); err != nil {
		return res, err
	}
	doc := deleteDoc(ctx)
	list, quiet, user := in.Delete.Objects, doc.Quiet, who(ctx)
	if len(list) > 1000 || doc.XMLName.Local != "Delete" {
		return res, s3err.GetAPIError(s3err.ErrMalformedXML)
	}
	outcomes := make([]outcome, len(list))
	var g errgroup.Group
	g.SetLimit(64)
	for i, o := range list {
		g.Go(func() error {
			out, spent, err := f.delete(user, &s3.DeleteObjectInput{Bucket: &bucket, Key: o.Key, VersionId: o.VersionId, IfMatch: o.ETag, IfMatchSize: o.Size, IfMatchLastModifiedTime: o.LastModifiedTime})
			outcomes[i] = outcome{out, spent, err}
			return nil
		})
	}
	_ = g.Wait() // none of them fails: each has its outcome
	var all *cluster.Spent
	for _, o := range outcomes {
		switch {
		case o.spent == nil:
		case all == nil:
			all = ptr(*o.spent)
		default:
			*all = all.Plus(*o.spent)
		}
	}
	f.spent(ctx, "delete", all)
	for i, o := range list {
		key, version := str(o.Key), str(o.VersionId)
		if err := outcomes[i].err; err != nil {
			var e s3err.S3Error
			if !errors.As(err, &e) {
				e = s3err.GetAPIError(s3err.ErrInternalError)
			}
			res.Error = append(res.Error, types.Error{Key: &key, VersionId: ptr(version), Code: ptr(e.BaseError().Code), Message: ptr(e.BaseError().Description)})
			continue
		}
		if quiet {
			continue
		}
		d := types.DeletedObject{Key: &key, VersionId: ptr(version), DeleteMarker: outcomes[i].out.DeleteMarker}
		if d.DeleteMarker != nil {
			d.DeleteMarkerVersionId = outcomes[i].out.VersionId
		}
		res.Deleted = append(res.Deleted, d)
	}
	return res, nil
}

// deleteDoc is what the front end does not pass on of a delete of many: whether it is one, and
// wants to hear of errors only.
func deleteDoc(ctx context.Context) (doc struct {
	XMLName xml.Name
	Quiet   bool
}) {
	doc.XMLName.Local = "Delete"
	if r := request(ctx); r != nil {
		_ = xml.Unmarshal(r.Request.Body(), &doc) // which the front end has read before
	}
	return doc
}

// CopyObject makes an object that shares the bytes of another.
func (f *front) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (out s3response.CopyObjectOutput, err error) {
	bucket, key := str(in.Bucket), str(in.Key)
	from, src, err := f.source(in.CopySource, in.ExpectedSourceBucketOwner,
		conditions{in.CopySourceIfMatch, in.CopySourceIfNoneMatch, in.CopySourceIfModifiedSince, in.CopySourceIfUnmodifiedSince})
	if err != nil {
		return out, err
	}
	if src.Size > maxPut {
		return out, s3err.GetCopySourceObjectTooLargeErr(maxPut)
	}
	o, err := f.copyOptions(ctx, in, src)
	if err != nil {
		return out, err
	}
	if from.bucket == bucket && from.key == key && from.version == "" && in.MetadataDirective != types.MetadataDirectiveReplace &&
		in.TaggingDirective != types.TaggingDirectiveReplace && in.ChecksumAlgorithm == "" && o.Headers[headerClass] == src.Headers[headerClass] &&
		str(in.WebsiteRedirectLocation) == "" {
		return out, s3err.GetAPIError(s3err.ErrInvalidCopyDest)
	}
	if err := f.lock(bucket, &o.Attributes, string(in.ObjectLockMode), in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus); err != nil {
		return out, err
	}
	about := subject{bucket: bucket, key: key, version: from.version}
	if r := request(ctx); r != nil { // the front end does not pass these on
		if err := f.conditions(&o, headerOf(r, "If-Match"), headerOf(r, "If-None-Match"), about); err != nil {
			return out, err
		}
	}
	o.Version = src.VersionID()
	if a := strings.Clone(string(in.ChecksumAlgorithm)); a != "" && (a != src.Checksum.Algorithm || src.Checksum.Composite) {
		if o.Checksum, err = f.checksumOf(src, a); err != nil {
			return out, err
		}
	}
	obj, err := f.store.Copy(f.ctx, from.bucket, from.key, bucket, key, o)
	if err != nil {
		return out, f.conditionFailed(err, o, about)
	}
	f.spent(ctx, "copy", obj.Energy)
	s := sumsOf(obj.Checksum)
	out.VersionId, out.CopySourceVersionId = f.versionOf(obj), f.answered(src, from.version)
	out.CopyObjectResult = &s3response.CopyObjectResult{ETag: ptr(quoted(etagOf(obj))), LastModified: &obj.Modified, ChecksumType: checksumType(obj.Checksum),
		ChecksumCRC32: s.CRC32, ChecksumCRC32C: s.CRC32C, ChecksumCRC64NVME: s.CRC64NVME, ChecksumSHA1: s.SHA1, ChecksumSHA256: s.SHA256, ChecksumMD5: s.MD5, ChecksumSHA512: s.SHA512, ChecksumXXHASH64: s.XXHASH64, ChecksumXXHASH3: s.XXHASH3, ChecksumXXHASH128: s.XXHASH128}
	return out, nil
}

// maxPut is the largest object that one put or copy may make.
const maxPut = 5 << 30

// source looks up what a copy copies.
func (f *front) source(header, owner *string, c conditions) (subject, cluster.Object, error) {
	bucket, key, version, err := backend.ParseCopySource(str(header))
	from := subject{bucket: bucket, key: key, version: version}
	if err != nil {
		return from, cluster.Object{}, err
	}
	set, err := f.settings(bucket)
	if err != nil {
		return from, cluster.Object{}, err
	}
	if want := str(owner); want != "" && want != f.ownerOf(set) {
		return from, cluster.Object{}, s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	o, err := f.store.Head(f.ctx, bucket, key, version)
	if errors.Is(err, cluster.ErrDeleteMarker) {
		return from, o, s3err.APIError{Code: "InvalidRequest", HTTPStatusCode: http.StatusBadRequest, Description: "The source of a copy request may not specifically refer to a delete marker by version id."}
	}
	if err != nil {
		return from, o, f.fail(err, from)
	}
	err = c.check(etagOf(o), o.Modified)
	if err != nil && errors.Is(err, s3err.GetAPIError(s3err.ErrNotModified)) {
		condition := s3err.ConditionIfNoneMatch
		if c.noneMatch == nil {
			condition = "If-Modified-Since"
		}
		err = s3err.GetPreconditionFailedErr(condition)
	}
	return from, o, err
}

// copyOptions are what the copy has beside its bytes.
func (f *front) copyOptions(ctx context.Context, in s3response.CopyObjectInput, src cluster.Object) (o cluster.PutOptions, err error) {
	class, err := storageClass(ctx)
	if err != nil {
		return o, err
	}
	o = cluster.PutOptions{Room: roomOf(ctx), User: who(ctx), Replace: true, ContentType: src.ContentType, Meta: src.Meta, Attributes: src.Attributes}
	o.Retention, o.LegalHold, o.Released = cluster.Retention{}, false, false
	if o.ACL, err = f.putACL(ctx, str(in.Bucket)); err != nil {
		return o, err
	}
	o.Headers = cloned(src.Headers)
	if o.Headers == nil {
		o.Headers = map[string]string{}
	}
	delete(o.Headers, headerRedirect)
	if in.MetadataDirective == types.MetadataDirectiveReplace {
		o.ContentType, o.Meta = str(in.ContentType), plainWords(cloned(in.Metadata))
		o.Headers = headers(in.CacheControl, in.ContentDisposition, in.ContentEncoding, in.ContentLanguage, in.Expires, nil, "")
	}
	if v := str(in.WebsiteRedirectLocation); v != "" {
		o.Headers[headerRedirect] = v
	}
	delete(o.Headers, headerClass)
	if class != "" && class != string(types.StorageClassStandard) {
		o.Headers[headerClass] = class
	}
	if in.TaggingDirective == types.TaggingDirectiveReplace {
		if o.Tags, err = backend.ParseObjectTags(str(in.Tagging)); err == nil && len(o.Tags) > 10 {
			err = s3err.GetAPIError(s3err.ErrObjectTaggingLimited)
		}
	}
	return o, err
}

// checksumOf reads an object to take another checksum of it.
func (f *front) checksumOf(o cluster.Object, algorithm string) (c cluster.Checksum, err error) {
	h, err := newHash(algorithm)
	if err != nil {
		return c, err
	}
	r, err := f.store.Get(f.ctx, o.Bucket, o.Key, cluster.GetOptions{Version: o.VersionID()})
	if err != nil {
		return c, f.fail(err, subject{bucket: o.Bucket, key: o.Key, version: o.VersionID()})
	}
	defer r.Close()
	if _, err := r.WriteTo(h); err != nil {
		return c, f.fail(err, subject{bucket: o.Bucket, key: o.Key})
	}
	return cluster.Checksum{Algorithm: algorithm, Value: encode(h)}, nil
}
