package gateway

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/cespare/xxhash/v2"
	"github.com/minio/crc64nvme"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3err"
	"github.com/zeebo/xxh3"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/gateway/md5lanes"
)

// defaultAlgorithm is the checksum of bodies for which the client chose none.
const defaultAlgorithm = "CRC64NVME"

// newHash makes the hash of a checksum algorithm.
func newHash(algorithm string) (hash.Hash, error) {
	switch algorithm {
	case "CRC32":
		return crc32.NewIEEE(), nil
	case "CRC32C":
		return crc32.New(castagnoli), nil
	case "CRC64NVME":
		return crc64nvme.New(), nil
	case "SHA1":
		return sha1.New(), nil
	case "SHA256":
		return sha256.New(), nil
	case "MD5":
		return md5.New(), nil
	case "SHA512":
		return sha512.New(), nil
	case "XXHASH64":
		return xxhash.New(), nil
	case "XXHASH3":
		return xxh3.New(), nil
	case "XXHASH128":
		return xxh3.New128(), nil
	}
	return nil, s3err.GetAPIError(s3err.ErrInvalidChecksumAlgorithm)
}

// isSlow tells whether an algorithm is taken beside the reading.
func isSlow(algorithm string) bool {
	return strings.HasPrefix(algorithm, "SHA") || algorithm == "MD5"
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sums are the checksums of a request or an answer, by algorithm.
type sums struct {
	CRC32, CRC32C, CRC64NVME, SHA1, SHA256    *string
	MD5, SHA512, XXHASH64, XXHASH3, XXHASH128 *string
}

// each calls yield for the checksums that are given.
func (s sums) each(yield func(algorithm, value string) bool) {
	for _, c := range []struct {
		name  string
		value *string
	}{{"CRC32", s.CRC32}, {"CRC32C", s.CRC32C}, {"CRC64NVME", s.CRC64NVME}, {"SHA1", s.SHA1}, {"SHA256", s.SHA256},
		{"MD5", s.MD5}, {"SHA512", s.SHA512}, {"XXHASH64", s.XXHASH64}, {"XXHASH3", s.XXHASH3}, {"XXHASH128", s.XXHASH128}} {
		if c.value != nil && *c.value != "" && !yield(c.name, *c.value) {
			return
		}
	}
}

// first returns the checksum that is given, if one is.
func (s sums) first() (algorithm, value string) {
	for name, value := range s.each {
		return name, strings.Clone(value)
	}
	return "", ""
}

func (s sums) count() int {
	n := 0
	for range s.each {
		n++
	}
	return n
}

func sumsOf(c cluster.Checksum) (s sums) {
	switch c.Algorithm {
	case "CRC32":
		s.CRC32 = &c.Value
	case "CRC32C":
		s.CRC32C = &c.Value
	case "CRC64NVME":
		s.CRC64NVME = &c.Value
	case "SHA1":
		s.SHA1 = &c.Value
	case "SHA256":
		s.SHA256 = &c.Value
	case "MD5":
		s.MD5 = &c.Value
	case "SHA512":
		s.SHA512 = &c.Value
	case "XXHASH64":
		s.XXHASH64 = &c.Value
	case "XXHASH3":
		s.XXHASH3 = &c.Value
	case "XXHASH128":
		s.XXHASH128 = &c.Value
	}
	return s
}

func checksumType(c cluster.Checksum) types.ChecksumType {
	switch {
	case c.Algorithm == "":
		return ""
	case c.Composite:
		return types.ChecksumTypeComposite
	}
	return types.ChecksumTypeFullObject
}

// A payload reads a body, watches that it goes on coming, and takes its digests on the way:
// the slow ones beside the reading, in a goroutine of their own.
type payload struct {
	r     io.Reader
	hold  *hold // what the request was admitted with
	conn  net.Conn
	stall time.Duration
	renew time.Time

	transfer *tracked // nil: the body comes as it is

	algorithm string
	want      string // value that the client gave, in base64
	quick     hash.Hash
	slow      []hash.Hash
	md5       hash.Hash      // of a small body; nil: none
	lane      *md5lanes.Hash // of a large one; nil: none

	size    int64
	chunk   []byte
	chunks  chan []byte
	done    sync.WaitGroup
	trailer middlewares.ChecksumReader // carries the checksum itself, verified
}

// besideAfter is how many bytes are hashed where they are read: a goroutine is not worth it.
const besideAfter = 128 << 10

const chunkSize = 128 << 10

// laneFrom is from how many bytes on an MD5 is taken together with others.
const laneFrom = 32 << 10

var chunkPool = sync.Pool{New: func() any { b := make([]byte, 0, chunkSize); return &b }}

// newPayload prepares to read a body of about size bytes, 0 or less when that is not known.
// withMD5 asks for the MD5.
func (f *front) newPayload(ctx context.Context, r io.Reader, size int64, given sums, algorithm types.ChecksumAlgorithm, withMD5 bool) (*payload, error) {
	p := &payload{r: r, stall: f.stall, hold: holdOf(ctx)}
	if req := request(ctx); req != nil {
		p.conn = req.Conn()
		p.transfer, _ = req.UserValue(trackedBody).(*tracked)
	}
	p.algorithm, p.want = given.first()
	if t, ok := r.(middlewares.ChecksumReader); ok && t.Algorithm() != "" {
		p.trailer, p.algorithm = t, strings.ToUpper(t.Algorithm())
	}
	if p.algorithm == "" {
		p.algorithm = strings.Clone(string(algorithm))
	}
	if p.algorithm == "" {
		p.algorithm = defaultAlgorithm
	}
	if p.trailer == nil {
		h, err := newHash(p.algorithm)
		if err != nil {
			return nil, err
		}
		if isSlow(p.algorithm) {
			p.slow = append(p.slow, h)
		}
		p.quick = h
	}
	if withMD5 {
		p.startMD5(size)
	}
	return p, nil
}

func (p *payload) startMD5(size int64) {
	if size <= 0 || size > laneFrom {
		p.lane = md5lanes.New()
		return
	}
	p.md5 = md5.New()
	p.slow = append(p.slow, p.md5)
}

func (p *payload) Read(b []byte) (int, error) {
	if p.conn != nil {
		if now := time.Now(); now.After(p.renew) {
			p.conn.SetReadDeadline(now.Add(p.stall))
			p.renew = now.Add(p.stall / 8)
		}
	}
	n, err := p.r.Read(b)
	p.size += int64(n)
	p.hash(b[:n])
	if e := p.hold.pass(n); e != nil {
		return n, e
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errSlow()
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
	return n, err
}

func (p *payload) hash(b []byte) {
	if p.quick != nil && !p.quickIsSlow() {
		p.quick.Write(b)
	}
	if p.lane != nil {
		_, _ = p.lane.Write(b) // copies, and is computed elsewhere
	}
	if len(p.slow) == 0 || len(b) == 0 {
		return
	}
	if p.chunks == nil && p.size <= besideAfter {
		for _, h := range p.slow {
			h.Write(b)
		}
		return
	}
	if p.chunks == nil {
		p.chunks = make(chan []byte, 3)
		p.done.Go(func() {
			for c := range p.chunks {
				for _, h := range p.slow {
					h.Write(c)
				}
				c = c[:0]
				chunkPool.Put(&c)
			}
		})
	}
	for len(b) > 0 {
		if p.chunk == nil {
			p.chunk = *chunkPool.Get().(*[]byte)
		}
		n := min(len(b), chunkSize-len(p.chunk))
		p.chunk = append(p.chunk, b[:n]...)
		b = b[n:]
		if len(p.chunk) == chunkSize {
			p.chunks <- p.chunk
			p.chunk = nil
		}
	}
}

func (p *payload) quickIsSlow() bool { return len(p.slow) > 0 && p.slow[0] == p.quick }

// close ends the use of everything; it may be called again.
func (p *payload) close() {
	p.wait()
	if p.lane != nil {
		p.lane.Close()
		p.lane = nil
	}
}

// wait waits for the goroutine; the digests are complete then.
func (p *payload) wait() {
	if p.chunks != nil {
		if len(p.chunk) > 0 {
			p.chunks <- p.chunk
		}
		p.chunk = nil
		close(p.chunks)
		p.done.Wait()
		p.chunks = nil
		p.slow = nil
	}
	if p.conn != nil {
		p.conn.SetReadDeadline(time.Time{})
	}
}

// checksum is that of the whole body; it fails when the client gave another.
func (p *payload) checksum() (cluster.Checksum, error) {
	p.wait()
	c := cluster.Checksum{Algorithm: p.algorithm}
	if p.trailer != nil {
		c.Value = strings.Clone(p.trailer.Checksum())
		return c, nil
	}
	c.Value = base64.StdEncoding.EncodeToString(p.quick.Sum(nil))
	if p.want != "" && p.want != c.Value {
		return c, s3err.GetChecksumBadDigestErr(types.ChecksumAlgorithm(p.algorithm))
	}
	return c, nil
}

// etag is the MD5 of the body, or a tag of its checksum that no client takes for an MD5.
func (p *payload) etag(c cluster.Checksum) string {
	p.wait()
	if p.lane != nil {
		sum := p.lane.Sum()
		return hex.EncodeToString(sum[:])
	}
	if p.md5 != nil {
		return hex.EncodeToString(p.md5.Sum(nil))
	}
	sum := sha256.Sum256(fmt.Append(nil, c.Algorithm, c.Value, p.size))
	return hex.EncodeToString(sum[:16]) + "-0"
}

// finish checks a body that was read to its end against what was announced, and fills in
// what is known now. want is its length, or negative when that was not said.
func (p *payload) finish(size, want int64, a *cluster.Attributes) error {
	if want >= 0 && size != want || !p.transfer.complete() {
		return s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
	c, err := p.checksum()
	if err != nil {
		return err
	}
	a.Checksum, a.ETag = c, p.etag(c)
	return nil
}

// opaqueETag is the ETag of an object that was put without one.
func opaqueETag(seq int64) string { return fmt.Sprintf("%032x-0", uint64(seq)) }

// compositeChecksum is the checksum of the parts' checksums.
func compositeChecksum(algorithm string, parts []cluster.Part) (cluster.Checksum, error) {
	h, err := newHash(algorithm)
	if err != nil {
		return cluster.Checksum{}, err
	}
	for _, p := range parts {
		b, err := base64.StdEncoding.DecodeString(p.Checksum.Value)
		if err != nil {
			return cluster.Checksum{}, err
		}
		h.Write(b)
	}
	return cluster.Checksum{Algorithm: algorithm, Value: fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(h.Sum(nil)), len(parts)), Composite: true}, nil
}

// multipartETag is the MD5 of the parts' MD5s with their number.
func multipartETag(parts []cluster.Part) string {
	h := md5.New()
	for _, p := range parts {
		tag, _, _ := strings.Cut(p.ETag, "-")
		if b, err := hex.DecodeString(tag); err == nil {
			h.Write(b)
		}
	}
	return fmt.Sprintf("%x-%d", h.Sum(nil), len(parts))
}
