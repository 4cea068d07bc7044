package cluster

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wattle-storage/wattle/seal"
)

func FuzzJournal(f *testing.F) {
	layout := []extent{{Stripe: 7, Count: 3, Shard: 4096, Len: 100_000}, {Stripe: 1 << 41, Col: 3, Off: 4096, Len: 77, Sum: 1 << 63}}
	f.Add(encodeJournal(nil))
	f.Add(encodeJournal([]record{{Kind: recPut, Bucket: "bucket", Key: "k", Size: 100_077, Layout: []extent{
		{Stripe: 7, Count: 3, Shard: 4096, Len: 100_000, Key: 9, Salt: seal.Salt{1}}, {Stripe: 1 << 41, Col: 3, Off: 4096, Len: 77, Sum: 1 << 63, Key: 1 << 31, Salt: seal.Salt{15: 2}}}}}))
	f.Add(encodeJournal([]record{{Kind: recFence, Time: 5}}))
	f.Add(encodeJournal([]record{
		{Kind: recMakeBucket, Bucket: "bucket", Time: 1},
		{Kind: recPut, Bucket: "bucket", Key: "a/b", Size: 100_077, Layout: layout, ContentType: "text/plain", Meta: map[string]string{"k": "v", "": "x"}, IfAbsent: true},
		{Kind: recCopy, Bucket: "bucket", Key: "c", From: "other", FromKey: "d", FromSequence: -3, Replace: true, IfSequence: 1 << 40},
		{Kind: recDelete, Bucket: "bucket", Key: "a/b", Time: -1},
		{Kind: recRemoveBucket, Bucket: "bucket"},
	}))
	attributes := Attributes{ETag: "0cc1", Headers: map[string]string{"Cache-Control": "no-cache"}, Tags: map[string]string{"a": "b", "c": ""},
		Checksum: Checksum{Algorithm: "CRC32C", Value: "AAAA==-3", Composite: true}, Retention: Retention{Mode: "GOVERNANCE", Until: time.Unix(1<<31, 0).UTC()}, LegalHold: true, Released: true, Upload: 77}
	f.Add(encodeJournal([]record{
		{Kind: recMakeBucket, Bucket: "bucket", Meta: map[string]string{"acl": "{}"}},
		{Kind: recPut, Bucket: "bucket", Key: "k", Size: 77, Layout: layout[1:], Attributes: attributes, IfMatch: "*"},
		{Kind: recCopy, Bucket: "bucket", Key: "k", From: "bucket", FromKey: "k", FromSequence: 1, Replace: true, Attributes: attributes},
		{Kind: recDelete, Bucket: "bucket", Key: "k", Version: nullVersion, IfMatch: "e", IfSequence: 5},
		{Kind: recSetting, Bucket: "bucket", Name: "versioning", Value: "Enabled"},
		{Kind: recSetting, Name: "x", Remove: true},
		{Kind: recAttributes, Bucket: "bucket", Key: "k", Version: 1 << 40, Fields: setTags, Attributes: attributes},
		{Kind: recUpload, Bucket: "bucket", Key: "k", ContentType: "text/plain", Meta: map[string]string{"k": "v"}, Attributes: attributes},
		{Kind: recPart, Bucket: "bucket", Key: "k", Upload: 1 << 41, Number: 3, Size: 77, Layout: layout[1:], Attributes: attributes},
		{Kind: recComplete, Bucket: "bucket", Key: "k", Upload: 1 << 41, Chosen: []chosenPart{{1, 5}, {3, 1 << 42}}, IfAbsent: true, Attributes: attributes},
		{Kind: recAbort, Bucket: "bucket", Key: "k", Upload: 1 << 41},
		{Kind: recCheckpoint, Size: 100_000, FromSequence: 77, Layout: layout},
		{Kind: recMoved, Bucket: "bucket", Key: "k", FromSequence: 1 << 40, Old: extent{Stripe: 9, Col: 1, Len: 77, Sum: 5}, Layout: layout[1:]},
	}))
	f.Fuzz(func(t *testing.T, p []byte) {
		records, err := decodeJournal(p)
		if err != nil {
			if records != nil {
				t.Errorf("%d records of a journal that is malformed", len(records))
			}
			return
		}
		again, err := decodeJournal(encodeJournal(records))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(records) {
			t.Errorf("%+v came back as %+v, %v", records, again, err)
		}
		for _, r := range records {
			for _, e := range r.Layout {
				if e.Len < 0 || e.Count == 0 && e.Len > packLimit {
					t.Errorf("extent %+v was believed", e)
				}
			}
		}
	})
}

func FuzzStripeInfo(f *testing.F) {
	for _, text := range []string{"rs:9+6", "replica:3", "lrc:6+2+4"} {
		s := newStripe(1, scheme(f, text), make([]uint32, scheme(f, text).K))
		s.Columns[0] = 70_000
		for i := range s.Places {
			s.Places[i].Disk = none
		}
		s.Places[0].Disk, s.Places[0].Segment, s.Places[0].Offset, s.Places[0].Length = 3, 9, 4096, 70_464
		f.Add(s.appendInfo(nil))
		s.Key = 1 << 31
		f.Add(s.appendInfo(nil))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		s, again := &stripe{ID: 5}, &stripe{ID: 5}
		if s.decodeInfo(p) != nil {
			return
		}
		if err := again.decodeInfo(s.appendInfo(nil)); err != nil || fmt.Sprint(again) != fmt.Sprint(s) {
			t.Errorf("%+v came back as %+v, %v", s, again, err)
		}
		if len(s.Columns) != s.Scheme.K || len(s.Places) != s.Scheme.N() {
			t.Errorf("%d columns and %d places of %v", len(s.Columns), len(s.Places), s.Scheme)
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"bucket", "bucket/key", "s3://bucket/a/b", "wattle://b.c-d/é", "/x", "a//b", "s3://", "bucket/", strings.Repeat("k", 1200), "bu\x00cket/k", "b/\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		bucket, key, err := ParseAddress(s)
		if err != nil {
			return
		}
		if checkBucket(bucket) != nil {
			t.Errorf("%q gave the bucket %q", s, bucket)
		}
		if key != "" && (!utf8.ValidString(key) || len(key) > MaxKey) {
			t.Errorf("%q gave the key %q", s, key)
		}
		b2, k2, err := ParseAddress("s3://" + bucket + "/" + key)
		if err != nil || b2 != bucket || k2 != key {
			t.Errorf("%q gave %q and %q, and these %q and %q, %v", s, bucket, key, b2, k2, err)
		}
	})
}

// pageOf is List over a sorted slice.
func pageOf(keys []string, o ListOptions) (list []string, more bool) {
	limit := o.Limit
	if limit <= 0 {
		limit = 1000
	}
	seen := map[string]bool{}
	for _, k := range keys {
		if !strings.HasPrefix(k, o.Prefix) || k <= o.After {
			continue
		}
		entry := k
		if i := strings.Index(k[len(o.Prefix):], o.Delimiter); o.Delimiter != "" && i >= 0 {
			entry = k[:len(o.Prefix)+i+len(o.Delimiter)]
			if entry == o.After || seen[entry] {
				continue
			}
		}
		if len(list) == limit {
			return list, true
		}
		seen[entry] = true
		list = append(list, entry)
	}
	return list, false
}

// entries are the keys and the folded prefixes of a page.
func (p Page) entries() []string {
	list := slices.Clone(p.Prefixes)
	for _, o := range p.Objects {
		list = append(list, o.Key)
	}
	return list
}

// FuzzList holds pages of a cluster against the same of a sorted slice.
func FuzzList(f *testing.F) {
	keys := []string{"a", "a/", "a/b", "a/b/c", "a/b/d", "a/c", "a//", "a//x", "b", "b\x01", "b/é", "b/é/1", "b/ê", "c\u00ff", "c\u07ff/1", "z/\U0010ffff", "z/\U0010ffff/1", "z0", "zz"}
	slices.Sort(keys)
	c, _ := newCluster(f, InitOptions{Scheme: scheme(f, "replica:3")})
	for _, k := range keys {
		put(f, c, k, nil)
	}
	f.Add("", "", "", 0)
	f.Add("a/", "/", "", 2)
	f.Add("", "/", "a/", 1)
	f.Add("b/é", "é", "b/é/1", 3)
	f.Add("z/", "\U0010ffff", "", 1)
	f.Fuzz(func(t *testing.T, prefix, delimiter, after string, limit int) {
		o := ListOptions{Prefix: prefix, Delimiter: delimiter, After: after, Limit: min(limit, 1<<20)}
		page, err := c.List(ctx, "bucket", o)
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		got := page.entries()
		slices.Sort(got)
		want, more := pageOf(keys, o)
		slices.Sort(want)
		if !slices.Equal(got, want) || (page.Next != "") != more {
			t.Errorf("%+v: %q, next %q; want %q, more: %v", o, got, page.Next, want, more)
		}
	})
}

// TestListPages: pages put together are the whole, whatever their size.
func TestListPages(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Scheme: scheme(t, "replica:3")})
	var keys []string
	for i := range 60 {
		k := fmt.Sprintf("%c/%02d/%d", 'a'+i%3, i%7, i)
		put(t, c, k, nil)
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, delimiter := range []string{"", "/"} {
		want, _ := pageOf(keys, ListOptions{Delimiter: delimiter})
		for _, limit := range []int{1, 2, 7, 59, 60, 1000} {
			var got []string
			for o := (ListOptions{Delimiter: delimiter, Limit: limit}); ; {
				page, err := c.List(ctx, "bucket", o)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, page.entries()...)
				if o.After = page.Next; o.After == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("delimiter %q in pages of %d: %q, want %q", delimiter, limit, got, want)
			}
		}
	}
}

// FuzzPack: what is packed lies apart, in columns with nothing between.
func FuzzPack(f *testing.F) {
	f.Add([]byte{1, 2, 3}, byte(4))
	f.Add(bytes.Repeat([]byte{255}, 80), byte(12))
	f.Fuzz(func(t *testing.T, lengths []byte, k byte) {
		if k == 0 || len(lengths) == 0 || len(lengths) > 500 {
			return
		}
		sizes, total := make([]int, len(lengths)), 0
		for i, b := range lengths {
			sizes[i] = 1 + int(b)*257
			total += sizes[i]
		}
		slots, cols := pack(sizes, int(k), 256<<10)
		var used [][]bool
		sum := 0
		for _, stripe := range cols {
			if len(stripe) != int(k) {
				t.Fatalf("%d columns, want %d", len(stripe), k)
			}
			for _, n := range stripe {
				used = append(used, make([]bool, n))
				sum += int(n)
			}
		}
		if sum != total {
			t.Errorf("%d bytes in columns, want %d", sum, total)
		}
		for i, s := range slots {
			for j := range sizes[i] {
				at := &used[s.Stripe*int(k)+s.Col][int(s.Off)+j]
				if *at {
					t.Fatalf("items overlap at %+v", s)
				}
				*at = true
			}
		}
	})
}

// FuzzShipped: any bytes make a log that ends somewhere, and what it holds is as it was shipped.
func FuzzShipped(f *testing.F) {
	head := shippedHeader("c", 4)
	one := shipment{seq: 5, before: 4, time: 6, incarnation: 7, journal: []byte("journal")}
	two := shipment{seq: 9, before: 5, journal: []byte{}}
	f.Add(slices.Concat(head, one.append(nil), two.append(nil)))
	f.Add(slices.Concat(head, two.append(nil)))
	f.Add(head)
	f.Fuzz(func(t *testing.T, p []byte) {
		l := &shipped{at: map[uint64]span{}}
		if err := l.scan(bytes.NewReader(p), "c"); err != nil {
			return
		}
		if l.size > int64(len(p)) || l.last.seq < l.base {
			t.Fatalf("%+v of %d bytes", l, len(p))
		}
		again := slices.Clone(head[:0])
		again = append(again, shippedHeader("c", l.base)...)
		r, before := bytes.NewReader(p[shippedHead:]), l.base
		for range l.at {
			s, ok, err := readShipment(r, before)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			again, before = s.append(again), s.seq
		}
		if !bytes.Equal(again, p[:l.size]) {
			t.Fatal("what was read is not what was written")
		}
	})
}
