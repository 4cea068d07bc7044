package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/wattle-storage/wattle/disks"
	"github.com/wattle-storage/wattle/placement"
)

// TestMemo: whatever readers look up beside changes, a memo never holds what a change that was
// committed since has replaced, and it stays within its limits.
func TestMemo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &memo{}
		truth := map[uint64]uint64{} // sequence by stripe, as the catalog has it
		type look struct {
			s    *stripe
			turn uint64
		}
		var under []look // lookups that have read and not remembered yet
		id := rapid.Uint64Range(1, 3)
		open, changed := touched{}, map[uint64]uint64{}
		t.Repeat(map[string]func(*rapid.T){
			"look up": func(t *rapid.T) {
				n := id.Draw(t, "stripe")
				s, turn := m.stripe(n)
				if s != nil && s.Seq != truth[n] {
					t.Fatalf("stripe %d is remembered as of %d and is of %d", n, s.Seq, truth[n])
				}
				under = append(under, look{&stripe{ID: n, Seq: truth[n]}, turn})
			},
			"remember": func(t *rapid.T) {
				if len(under) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(under)-1).Draw(t, "lookup")
				m.rememberStripe(under[i].s, under[i].turn)
				under = append(under[:i], under[i+1:]...)
			},
			"begin": func(t *rapid.T) {
				if m.turn%2 == 1 {
					t.Skip()
				}
				n := id.Draw(t, "stripe")
				open = touched{}
				open.stripe(n)
				open.all = rapid.Bool().Draw(t, "all")
				changed = map[uint64]uint64{n: truth[n] + 1}
				m.begin(&open)
			},
			"end": func(t *rapid.T) {
				if m.turn%2 == 0 {
					t.Skip()
				}
				if rapid.Bool().Draw(t, "committed") {
					for n, seq := range changed {
						truth[n] = seq
					}
				}
				m.end()
			},
		})
	})
}

func TestMemoLimits(t *testing.T) {
	m := &memo{}
	for i := range uint64(3 * memoStripes) {
		m.rememberStripe(&stripe{ID: i}, 0)
		m.rememberObject(objectName{"bucket", fmt.Sprint(i)}, whereabouts{layout: make([]extent, 1+i%2*memoExtents)}, 0)
		if s, _ := m.stripe(0); s == nil {
			t.Fatalf("stripe 0, which is asked for all the time, is forgotten after %d others", i)
		}
	}
	if n := len(m.stripes.newer) + len(m.stripes.older); n > 2*memoStripes {
		t.Errorf("%d stripes are remembered", n)
	}
	if _, ok, _ := m.object(objectName{"bucket", "0"}); !ok {
		t.Error("an object of one extent is not remembered")
	}
	if _, ok, _ := m.object(objectName{"bucket", "1"}); ok {
		t.Error("an object of many extents is remembered")
	}
	var many touched
	for i := range 2 * touchedMost {
		many.object("bucket", fmt.Sprint(i))
	}
	if m.begin(&many); len(m.objects.newer)+len(m.objects.older) > 0 {
		t.Error("objects are remembered after a change of more than can be named")
	}
}

// TestRemembered: what was read, and is remembered, is read anew after each kind of change.
func TestRemembered(t *testing.T) {
	c, _ := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3")})
	first, second := randomBytes(200_000, 1), randomBytes(3000, 2)
	put(t, c, "k", first)
	wantBytes(t, c, "k", first)
	wantBytes(t, c, "k", first)

	if err := c.SetTags(ctx, "bucket", "k", "", map[string]string{"a": "b"}); err != nil {
		t.Fatal(err)
	}
	o, err := c.Head(ctx, "bucket", "k", "")
	if err != nil || o.Tags["a"] != "b" {
		t.Errorf("tags %v, %v", o.Tags, err)
	}
	o.Tags["a"] = "of whoever asked"
	if o, _ = c.Head(ctx, "bucket", "k", ""); o.Tags["a"] != "b" {
		t.Errorf("tags %v after a caller changed its own", o.Tags)
	}

	s, i := firstStripe(t, c)
	m, err := c.copyShard(ctx, s, false, i, spare(t, c, s, i), disks.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if won, err := c.relocate(ctx, []move{m}, nil); won != 1 || err != nil {
		t.Fatalf("won %d, %v", won, err)
	}
	if d := wantBytes(t, c, "k", first); d.Shards > 0 || there(c, m.old) {
		t.Errorf("degraded after a move: %+v; the old place is there: %v", d, there(c, m.old))
	}

	if _, err := c.Copy(ctx, "bucket", "k", "bucket", "copy", PutOptions{}); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, c, "copy", first)
	put(t, c, "copy", second)
	wantBytes(t, c, "copy", second)
	if err := c.Delete(ctx, "bucket", "k"); err != nil {
		t.Fatal(err)
	}
	c.reapNow()
	if _, err := c.Get(ctx, "bucket", "k", GetOptions{}); !errors.Is(err, ErrObjectNotFound) {
		t.Errorf("a deleted object: %v", err)
	}
	put(t, c, "k", second)
	wantBytes(t, c, "k", second)
}

// TestCrowded: with more under way than there are processors objects are read part by
// part, whole and in ranges, sound and with disks away.
func TestCrowded(t *testing.T) {
	sealed, _, _ := newSealed(t, "rs:4+3")
	plain, _ := newCluster(t, InitOptions{Scheme: scheme(t, "rs:4+3")})
	for name, c := range map[string]*Cluster{"plain": plain, "sealed": sealed} {
		t.Run(name, func(t *testing.T) {
			c.serving.Add(int64(c.processors))
			defer c.serving.Add(-int64(c.processors))
			body := randomBytes(3_000_001, 1)
			put(t, c, "k", body)
			check := func() {
				t.Helper()
				wantBytes(t, c, "k", body)
				for _, r := range [][2]int{{0, 1}, {70_000, 70_001}, {131_000, 900_000}, {1_048_575, 3_000_001}, {3_000_000, 3_000_001}} {
					got, _, err := read(c, "k", GetOptions{Offset: int64(r[0]), Length: int64(r[1] - r[0])})
					if err != nil || !bytes.Equal(got, body[r[0]:r[1]]) {
						t.Fatalf("range %v: %d bytes, %v", r, len(got), err)
					}
				}
			}
			check()
			for id := range 3 {
				c.suspect(placement.DiskID(id*5), errLate)
			}
			check()
		})
	}
}
