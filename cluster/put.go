package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/placement"
	"github.com/wattle-storage/wattle/seal"
)

// checkKey tells what is wrong with a key, if anything.
func checkKey(key string) error {
	switch {
	case key == "":
		return &NameError{"key", key, "it is empty; name the object, as in bucket/key"}
	case len(key) > MaxKey:
		return &NameError{"key", short(key), fmt.Sprintf("it has %d bytes, and at most %d are allowed", len(key), MaxKey)}
	case !utf8.ValidString(key):
		return &NameError{"key", key, "it is not valid UTF-8"}
	case strings.ContainsRune(key, 0):
		return &NameError{"key", key, "it holds a zero byte"}
	}
	return nil
}

// short cuts what an error shows of a name.
func short(name string) string {
	const most = 48
	if len(name) <= most {
		return name
	}
	return name[:most] + "…"
}

// checkBucket tells what is wrong with a bucket name, if anything. The rules are those of
// S3, so that a bucket can be served under its name.
func checkBucket(name string) error {
	why := ""
	switch {
	case len(name) < minBucket || len(name) > MaxBucket:
		why = fmt.Sprintf("it has %d bytes, and %d to %d are allowed", len(name), minBucket, MaxBucket)
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || strings.IndexFunc(name, badInBucket) >= 0:
		why = "lower-case letters, digits, '-' and '.' are allowed"
	case strings.ContainsAny(name[:1]+name[len(name)-1:], "-."):
		why = "it must begin and end with a letter or a digit"
	case strings.Contains(name, ".."):
		why = "it holds two dots in a row"
	}
	if why == "" {
		return nil
	}
	return &NameError{"bucket name", name, why}
}

func badInBucket(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
}

// ParseAddress splits "bucket", "bucket/key", "s3://bucket/key" or "wattle://bucket/key".
// The key is empty when there is none.
func ParseAddress(s string) (bucket, key string, err error) {
	rest := s
	for _, scheme := range []string{"s3://", "wattle://"} {
		rest = strings.TrimPrefix(rest, scheme)
	}
	bucket, key, _ = strings.Cut(rest, "/")
	if err := checkBucket(bucket); err != nil {
		return "", "", fmt.Errorf("address %q: %w", short(s), err)
	}
	if key != "" {
		if err := checkKey(key); err != nil {
			return "", "", fmt.Errorf("address %q: %w", short(s), err)
		}
	}
	return bucket, key, nil
}

// MakeBucket makes an empty bucket.
func (c *Cluster) MakeBucket(ctx context.Context, name string) error {
	return c.MakeBucketWith(ctx, name, nil)
}

// MakeBucketWith makes an empty bucket with settings.
func (c *Cluster) MakeBucketWith(ctx context.Context, name string, settings map[string]string) error {
	if err := checkBucket(name); err != nil {
		return err
	}
	_, err := c.submit(ctx, &request{rec: record{Kind: recMakeBucket, Bucket: name, Time: c.now(), Meta: settings}})
	return err
}

// RemoveBucket removes an empty bucket.
func (c *Cluster) RemoveBucket(ctx context.Context, name string) error {
	if _, err := c.catalog.bucket(ctx, name); err != nil {
		return err
	}
	_, err := c.submit(ctx, &request{rec: record{Kind: recRemoveBucket, Bucket: name, Time: c.now()}})
	c.seen.Delete(name)
	return err
}

// expect fails when a bucket is not there, before work is done for it. It may be wrong about
// one that was just removed; the batch decides.
func (c *Cluster) expect(ctx context.Context, bucket string) error {
	if _, ok := c.seen.Load(bucket); ok {
		return nil
	}
	_, err := c.catalog.bucket(ctx, bucket)
	if err == nil {
		c.seen.Store(bucket, true)
	}
	return err
}

// Delete removes an object. Its space is freed when no reader needs it.
func (c *Cluster) Delete(ctx context.Context, bucket, key string) error {
	if _, _, err := c.catalog.lookup(ctx, bucket, key); err != nil {
		return err
	}
	_, err := c.submit(ctx, &request{rec: record{Kind: recDelete, Bucket: bucket, Key: key, Time: c.now()}})
	return err
}

// Copy makes an object that shares the source's bytes. Content type and metadata are the
// source's unless o gives either, and so are the attributes unless o says Replace; no lock
// is copied.
func (c *Cluster) Copy(ctx context.Context, fromBucket, fromKey, bucket, key string, o PutOptions) (Object, error) {
	if err := errors.Join(checkBucket(bucket), checkKey(key)); err != nil {
		return Object{}, err
	}
	src, _, err := c.catalog.find(ctx, fromBucket, fromKey, o.Version)
	if err != nil {
		return Object{}, err
	}
	if !o.Replace {
		o.Attributes = src.Attributes
		o.Retention, o.LegalHold, o.Released, o.ACL = Retention{}, false, false, ""
	}
	return c.submit(ctx, &request{room: o.Room, user: o.User, rec: record{Kind: recCopy, Bucket: bucket, Key: key, Time: c.now(),
		From: fromBucket, FromKey: fromKey, FromSequence: src.Sequence, Replace: o.Replace || o.ContentType != "" || o.Meta != nil,
		ContentType: o.ContentType, Meta: o.Meta, Attributes: o.Attributes, IfAbsent: o.IfAbsent, IfSequence: o.IfSequence, IfMatch: o.IfMatch}})
}

func (c *Cluster) now() int64 { return c.clock().UnixNano() }

// Put stores what r gives until EOF under a key, replacing what was there, and returns
// when it is durable. When r fails, nothing is stored.
func (c *Cluster) Put(ctx context.Context, bucket, key string, r io.Reader, o PutOptions) (Object, error) {
	if c.readOnly {
		return Object{}, ErrReadOnly
	}
	if err := errors.Join(checkBucket(bucket), checkKey(key)); err != nil {
		return Object{}, err
	}
	if err := c.expect(ctx, bucket); err != nil {
		return Object{}, err
	}
	return c.stream(ctx, record{Kind: recPut, Bucket: bucket, Key: key, ContentType: o.ContentType, Meta: o.Meta,
		Attributes: o.Attributes, IfAbsent: o.IfAbsent, IfSequence: o.IfSequence, IfMatch: o.IfMatch}, r, o)
}

// stream stores what r gives as the bytes of rec.
func (c *Cluster) stream(ctx context.Context, rec record, r io.Reader, o PutOptions) (Object, error) {
	if err := c.reserve.admits(); err != nil {
		return Object{}, fmt.Errorf("%s/%s: %w", rec.Bucket, rec.Key, err)
	}
	req := &request{rec: rec, room: o.Room, user: o.User, bill: c.bill(energy.ForPut, energy.Share{Bucket: rec.Bucket, Weight: 1, User: o.User})}
	s := &stream{c: c, req: req, r: r, hint: o.Size, bill: req.bill}
	if key, ok := c.sealingKey(); ok { // one salt an object: its units differ by their places
		s.key, s.salt = key.ID(), seal.NewSalt()
		s.box = key.Box(seal.ForExtent, c.config.ID, s.salt)
	}
	defer s.close()
	if rec.Kind != recCheckpoint {
		c.serving.Add(1)
		defer c.serving.Add(-1)
	}
	err := s.fill(ctx)
	if err == nil && o.Finish != nil {
		err = o.Finish(req.rec.Size, &req.rec.Attributes)
	}
	if err != nil {
		s.scrap()
		return Object{}, fmt.Errorf("%s/%s: %w", rec.Bucket, rec.Key, err)
	}
	req.rec.Time = c.now()
	obj, err := c.submit(ctx, req)
	if err != nil {
		var decided requestError
		if !errors.As(err, &decided) && !errors.Is(err, errUncertain) { // else the catalog names the stripes, or may
			s.scrap()
		}
		return Object{}, err
	}
	return obj, nil
}

// directMost is the announced size up to which an object is written past the page cache. Its
// sync comes as soon as it is written, and somebody waits for it; of a longer one the disks
// write back what came before while the next stripes are read and coded.
const directMost = 64 << 20

// A stream turns the bytes of one put into stripes. A full stripe is coded and appended
// while the next is read; the last one, and what is left for packing, go with the batch.
type stream struct {
	c    *Cluster
	req  *request
	r    io.Reader
	hint int64
	bill *bill

	box  *seal.Box // nil: nothing is encrypted
	key  seal.ID
	salt seal.Salt

	head     []byte               // reserved from the pool
	lent     *[packLimit + 1]byte // of heads, when head is of it
	reserved int64

	mu      sync.Mutex
	err     error // guarded by mu; the first of a writer
	writers sync.WaitGroup
	slots   chan struct{}
	spread  []*buffer

	fresh   int64       // guarded by mu; bytes appended since the last sync ahead began
	syncing atomic.Bool // a sync ahead is under way
}

// fill reads all of r.
func (s *stream) fill(ctx context.Context) error {
	size := packLimit + 1
	if s.hint > 0 && s.hint <= packLimit {
		size = int(s.hint) + 1
	}
	if err := s.grab(ctx, size); err != nil {
		return err
	}
	n, err := readFull(s.r, s.head)
	if err == nil && size <= packLimit { // the hint was too small
		head := s.head
		if err := s.grab(ctx, packLimit+1); err != nil {
			return err
		}
		var m int
		copy(s.head, head)
		m, err = readFull(s.r, s.head[n:])
		n += m
	}
	for {
		s.req.rec.Size += int64(n)
		switch {
		case err == io.EOF:
			s.req.data = s.head[:n]
			return s.finish(n > 0)
		case err != nil:
			return err
		}
		var last bool
		if last, err = s.stripe(ctx, n); err != nil {
			return err
		}
		if last {
			s.req.data = nil
			return s.finish(false)
		}
		n, err = readFull(s.r, s.head)
	}
}

func (s *stream) grab(ctx context.Context, n int) error {
	if s.reserved < int64(n) {
		if err := s.c.pool.reserve(ctx, int64(n)-s.reserved); err != nil {
			return err
		}
		s.reserved = int64(n)
	}
	if n <= packLimit/4 {
		s.head = make([]byte, n)
		return nil
	}
	if s.lent == nil {
		s.lent = heads.Get().(*[packLimit + 1]byte)
	}
	s.head = s.lent[:n]
	return nil
}

// heads are memory for what is read first.
var heads = sync.Pool{New: func() any { return new([packLimit + 1]byte) }}

// stripe reads one stripe, of which n bytes are in head, and tells whether it is the last.
func (s *stream) stripe(ctx context.Context, n int) (last bool, err error) {
	scheme, shard := s.c.config.Scheme, s.c.shard
	column := s.c.columnRoom(shard)
	data := scheme.K * int(column)
	if len(s.spread) > 0 {
		s.write(ctx, s.spread[len(s.spread)-1])
	}
	if err := s.failed(); err != nil {
		return false, err
	}
	data = s.expected(n, data)
	mem, err := s.c.pool.get(ctx, s.c.memoryFor(int64(data)))
	if err != nil {
		return false, err
	}
	copied := copy(mem[:data], s.head[:n])
	rest := n - copied // a stripe of a wide code may hold less than head
	m, err := readFull(s.r, mem[copied:data])
	if err == nil && data < scheme.K*int(shard) {
		err = s.ended()
	}
	if rest > 0 || err != nil && err != io.EOF {
		s.c.pool.put(mem)
		if err == nil || err == io.EOF {
			err = fmt.Errorf("a stripe of %s holds less than %d bytes", scheme, packLimit)
		}
		return false, err
	}
	size := int64(copied + m)
	s.req.rec.Size += int64(m)
	e := extent{Stripe: s.c.stripeID(), Count: 1, Shard: shardFor(size, scheme.K, column), Len: size}
	if s.box != nil {
		e.Key, e.Salt = s.key, s.salt
	}
	b := newBuffer(e.Stripe, scheme, e.columns(size, scheme.K), mem)
	if s.box != nil {
		b.Key, b.plain = s.key, &plaintext{s.box, size, e.Shard}
	}
	b.Seq, b.reserve = s.c.sequence.Load()+1, s.req.rec.Kind == recCheckpoint
	b.direct = s.hint > 0 && s.hint <= directMost
	s.spread = append(s.spread, b)
	s.extend(e)
	return err == io.EOF, nil
}

// expected is how many bytes the next stripe, of which n are read, should hold, at most data:
// memory for more than what was announced would only keep others waiting.
func (s *stream) expected(n, data int) int {
	left := s.hint - (s.req.rec.Size - int64(n))
	if s.hint > 0 && left >= int64(n) && left < int64(data) {
		return int(left)
	}
	return data
}

// memoryFor is the memory of a spread stripe of size bytes, or of fewer, should they end before.
func (c *Cluster) memoryFor(size int64) int {
	scheme := c.config.Scheme
	e := extent{Count: 1, Shard: shardFor(size, scheme.K, c.columnRoom(c.shard)), Key: c.sealing()}
	n := stripeBytes(scheme, e.columns(size, scheme.K))
	if e.Key != 0 {
		n += seal.Overhead // fewer bytes may leave the last column one unit more
	}
	return min(inSteps(n), scheme.N()*int(c.shard))
}

// ended returns io.EOF when nothing is left to read. What is left else was not announced, and
// is read with the next stripe.
func (s *stream) ended() error {
	var more [1]byte
	n, err := readFull(s.r, more[:])
	if n > 0 {
		s.r, err = io.MultiReader(bytes.NewReader(more[:n]), s.r), nil
	}
	return err
}

// extend adds a stripe to the layout, to the run before it when it continues that.
func (s *stream) extend(next extent) {
	l := s.req.rec.Layout
	if n := len(l); n > 0 {
		e := &l[n-1]
		full := int64(e.Count) * int64(s.c.config.Scheme.K) * int64(e.Shard)
		if e.Stripe+uint64(e.Count) == next.Stripe && e.Shard == next.Shard && e.Len == full {
			e.Count++
			e.Len += next.Len
			return
		}
	}
	s.req.rec.Layout = append(l, next)
}

// encode encrypts what is to be, and computes the parity.
func (s *stream) encode(b *buffer) error {
	return s.bill.coding(func() error {
		b.seal()
		return s.c.code(b.Scheme).Encode(b.shards)
	})
}

// write codes and appends a full stripe, beside the reading of the next.
func (s *stream) write(ctx context.Context, b *buffer) {
	if s.slots == nil {
		s.slots = make(chan struct{}, 2)
		s.req.dirty = map[placement.DiskID]bool{}
	}
	s.slots <- struct{}{}
	s.writers.Go(func() {
		defer func() { <-s.slots }()
		touched := map[placement.DiskID]bool{}
		err := s.encode(b)
		if err == nil {
			err = s.c.store(s.bill.on(ctx), []*buffer{b}, false, nil, touched)
		}
		s.c.release(b)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err == nil {
			s.err = err
		}
		s.req.written = append(s.req.written, b.stripe)
		for d := range touched {
			s.req.dirty[d] = true
		}
		for _, n := range b.Columns {
			s.fresh += int64(n)
		}
		if s.fresh >= syncAhead && s.syncing.CompareAndSwap(false, true) {
			s.fresh = 0
			dirty := maps.Clone(s.req.dirty)
			go func() { // not waited for, since a disk may hang: the batch's own sync stands in its queue
				defer s.syncing.Store(false)
				s.c.syncAhead(s.bill.on(ctx), dirty)
			}()
		}
	})
}

// syncAhead is after how many bytes of a large object its disks are synced beside the
// stream, so that the sync of the batch that publishes it finds little to do and no disk
// falls behind the others by what is only in memory.
const syncAhead = 64 << 20

// syncAhead syncs disks. Whether that failed is known when it counts: a disk does not forget
// which shards a failed sync has made doubtful.
func (c *Cluster) syncAhead(ctx context.Context, dirty map[placement.DiskID]bool) {
	var wg sync.WaitGroup
	for id := range dirty {
		if d := c.disk(id); d != nil {
			wg.Go(func() {
				if err := d.Sync(ctx); err != nil {
					c.suspect(id, err)
				}
			})
		}
	}
	wg.Wait()
}

func (s *stream) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// finish waits for the writers. The last stripe stays in memory for the batch, unless
// bytes to pack go with it anyway.
func (s *stream) finish(packed bool) error {
	if n := len(s.spread); n > 0 {
		last := s.spread[n-1]
		if packed {
			s.write(context.Background(), last)
		} else {
			if err := s.encode(last); err != nil {
				return err
			}
			s.req.tail = last
		}
	}
	s.writers.Wait()
	return s.failed()
}

// scrap frees what was written for a put that failed.
func (s *stream) scrap() {
	s.writers.Wait()
	s.c.scrap(s.req.written)
}

func (s *stream) close() {
	s.writers.Wait()
	for _, b := range s.spread {
		if b.mem != nil {
			s.c.release(b)
		}
	}
	s.c.pool.unreserve(s.reserved)
	if s.lent != nil {
		heads.Put(s.lent)
	}
}

// readFull fills p from r. Its error is io.EOF when r ended, at or before the end of p.
func readFull(r io.Reader, p []byte) (int, error) {
	n, err := io.ReadFull(r, p)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}
