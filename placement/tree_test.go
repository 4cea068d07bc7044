package placement

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestShuffled: the same disks in another order give the same table, before and after a
// change.
func TestShuffled(t *testing.T) {
	m := Uniform(3, 2, 3, 3, nil, 1e13)
	for i := range m.Sites {
		m.Sites[i].Racks[0].Hosts[1].Disks[0].Capacity = 18e12
	}
	tree, _ := m.Tree()
	l := Limits{"site": 5, "rack": 3}
	rng := rand.New(rand.NewPCG(1, 2))
	var digests []string
	for range 4 {
		leaves := slices.Clone(tree.Leaves())
		rng.Shuffle(len(leaves), func(i, j int) { leaves[i], leaves[j] = leaves[j], leaves[i] })
		again, err := NewTree(tree.Levels(), leaves)
		if err != nil {
			t.Fatal(err)
		}
		tab, err := again.Build(15, l, Options{PGs: 256})
		if err != nil {
			t.Fatal(err)
		}
		fewer, _ := NewTree(tree.Levels(), slices.DeleteFunc(leaves, func(l Leaf) bool { return l.ID == 7 }))
		p, err := fewer.Change(tab, l, Options{})
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, tab.Digest()+p.Table.Digest())
	}
	if len(slices.Compact(digests)) != 1 {
		t.Errorf("digests differ: %v", digests)
	}
}

// TestDigest pins a table: it must not change from one machine or version to another.
func TestDigest(t *testing.T) {
	tab, err := Build(Uniform(3, 2, 2, 3, nil, 1e13), 15, Rule{Site: 5, Rack: 3, Host: 2}, Options{PGs: 256, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tab.Digest()[:16], "6d77acf1f21a9ba9"; got != want {
		t.Errorf("digest %s, want %s: stored clusters would move their shards", got, want)
	}
}

func TestDeep(t *testing.T) {
	levels := []string{"l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8"}
	var leaves []Leaf
	for i := range 256 {
		path := make([]string, 8)
		for j := range path {
			path[j] = fmt.Sprint("d", i>>(7-j)&1)
		}
		leaves = append(leaves, Leaf{Disk{ID: DiskID(i), Name: "x", Capacity: 1e12}, path})
	}
	tree, err := NewTree(levels, leaves)
	if err != nil {
		t.Fatal(err)
	}
	l := Limits{"l1": 4, "l3": 2, "l8": 1}
	tab, err := tree.Build(8, l, Options{PGs: 256})
	if err != nil {
		t.Fatal(err)
	}
	hold(t, tree, tab, l)
	text := `
levels: [region, room, row, host]
tree:
  - name: north
    children: [{name: a, children: [{children: [{name: h, disks: [{count: 3, capacity: 1TB}, {name: big, capacity: 18TB, id: 70}]}]}]}]
  - children: [{children: [{children: [{disks: [{count: 4, capacity: 1TB}]}]}]}]
`
	tree, err = ParseTree([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range tree.Leaves() {
		names = append(names, fmt.Sprint(l.ID, " ", l))
	}
	want := "0 north/a/row1/h/disk1, 1 north/a/row1/h/disk2, 2 north/a/row1/h/disk3, 70 north/a/row1/h/big, " +
		"71 region2/room1/row1/host1/disk1, 72 region2/room1/row1/host1/disk2, 73 region2/room1/row1/host1/disk3, 74 region2/room1/row1/host1/disk4"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestAbsurd(t *testing.T) {
	one := func(capacity int64) []Leaf { return []Leaf{{Disk{Name: "d", Capacity: capacity}, []string{"h"}}} }
	tree, err := NewTree([]string{"host"}, one(1))
	if err != nil {
		t.Fatal(err)
	}
	tab, err := tree.Build(1, nil, Options{})
	if err != nil || tab.PGs() == 0 || tab.Disks(0)[0] != 0 {
		t.Errorf("one disk, one shard: %v", err)
	}
	if _, err := tree.Build(2, nil, Options{}); !errors.Is(err, ErrRule) {
		t.Errorf("one disk, two shards: %v", err)
	}
	for name, make := range map[string]func() (*Tree, error){
		"no disk":               func() (*Tree, error) { return NewTree([]string{"host"}, nil) },
		"which no disk has":     func() (*Tree, error) { return NewTree([]string{"host"}, one(math.MaxInt64)) },
		"two disks have number": func() (*Tree, error) { return NewTree([]string{"host"}, append(one(1), one(2)...)) },
		"are called": func() (*Tree, error) {
			two := append(one(1), one(2)...)
			two[1].ID = 1
			return NewTree([]string{"host"}, two)
		},
		"lies 1 deep":    func() (*Tree, error) { return NewTree([]string{"site", "host"}, one(1)) },
		"levels of":      func() (*Tree, error) { return NewTree(make([]string, 99), one(1)) },
		"distinct names": func() (*Tree, error) { return NewTree([]string{"a", "a"}, one(1)) },
	} {
		if _, err := make(); err == nil || !errors.Is(err, ErrMap) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	none, err := NewTree([]string{"host"}, one(0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.Build(1, nil, Options{}); !errors.Is(err, ErrRule) {
		t.Errorf("a disk of 0 bytes: %v", err)
	}
	for _, l := range []Limits{{"planet": 1}, {"host": -1}, {"disk": 2}} {
		if _, err := tree.Build(1, l, Options{}); !errors.Is(err, ErrRule) {
			t.Errorf("limits %v: %v", l, err)
		}
	}
	for _, o := range []Options{{PGs: 3}, {PGs: 1 << 30}, {PGs: -1}, {Scatter: -1}} {
		if _, err := tree.Build(1, nil, o); !errors.Is(err, ErrRule) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestExtremes: a byte beside the largest disk, and many disks without a domain.
func TestExtremes(t *testing.T) {
	leaves := []Leaf{{Disk{ID: 9, Name: "a", Capacity: 1}, []string{}}, {Disk{ID: 3, Name: "b", Capacity: maxCapacity}, []string{}}, {Disk{ID: 4, Name: "c", Capacity: maxCapacity}, []string{}}}
	tree, err := NewTree(nil, leaves)
	if err != nil {
		t.Fatal(err)
	}
	tab, err := tree.Build(2, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if loads, _ := hold(t, tree, tab, nil); loads[3] != int64(tab.PGs()) || loads[9] > 1 {
		t.Errorf("loads %v", loads)
	}
	leaves = nil
	for i := range 100_000 {
		leaves = append(leaves, Leaf{Disk{ID: DiskID(i), Name: fmt.Sprint(i), Capacity: int64(1+i%3) * 1e12}, nil})
	}
	if tree, err = NewTree(nil, leaves); err != nil {
		t.Fatal(err)
	}
	if tab, err = tree.Build(6, nil, Options{PGs: 1 << 14}); err != nil {
		t.Fatal(err)
	}
	fewer, _ := NewTree(nil, leaves[50:])
	p, err := fewer.Change(tab, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	hold(t, fewer, p.Table, nil)
}

func TestScatter(t *testing.T) {
	tree, _ := Uniform(3, 4, 4, 6, nil, 1e13).Tree()
	l := Limits{"site": 5, "host": 1}
	for _, want := range []int{40, 80, 150} {
		tab, err := tree.Build(15, l, Options{PGs: 1 << 11, Scatter: want})
		if err != nil {
			t.Fatal(err)
		}
		hold(t, tree, tab, l)
		m, err := tree.Measure(tab, l)
		if err != nil || m.ScatterWidth < 0.8*float64(want) || m.ScatterWidth > 1.2*float64(want) {
			t.Errorf("scatter %.1f, want %d; %v", m.ScatterWidth, want, err)
		}
	}
}

func TestSplit(t *testing.T) {
	tab, err := Build(Uniform(3, 2, 2, 3, nil, 1e13), 6, Rule{Site: 2}, Options{PGs: 64})
	if err != nil {
		t.Fatal(err)
	}
	twice, err := tab.Split()
	if err != nil {
		t.Fatal(err)
	}
	for stripe := range uint64(5000) {
		stripe = stripe<<40 | stripe
		if !slices.Equal(tab.Disks(tab.PG(stripe)), twice.Disks(twice.PG(stripe))) {
			t.Fatalf("stripe %x changed its disks", stripe)
		}
	}
}

// TestEvenStripes: a thousand stripes a disk lie within 3 % of each disk's share.
func TestEvenStripes(t *testing.T) {
	m := Uniform(3, 2, 2, 3, nil, 1e13)
	tab, err := Build(m, 15, Rule{Site: 5, Rack: 3, Host: 2}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const stripes = 36 * 1000 / 15
	loads := map[DiskID]int{}
	for writer := range uint64(4) {
		for i := range uint64(stripes / 4) {
			for _, d := range tab.Disks(tab.PG((writer+7)<<40 | i + 1)) {
				loads[d]++
			}
		}
	}
	for d, n := range loads {
		if math.Abs(float64(n)/1000-1) > 0.03 {
			t.Errorf("disk %d has %d stripes of 1000", d, n)
		}
	}
}

func TestMapping(t *testing.T) {
	tab, err := Build(Uniform(3, 1, 2, 3, nil, 1e13), 4, Rule{Site: 2}, Options{PGs: 64})
	if err != nil {
		t.Fatal(err)
	}
	tab.rows[5] = None
	var b bytes.Buffer
	if n, err := tab.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	got, err := ReadTable(&b)
	if err != nil || !reflect.DeepEqual(got, tab) {
		t.Errorf("%v: the table differs", err)
	}
	for text, want := range map[string]string{
		"": "empty", "1 2\n3\n": "line 2", "1 2\n3 x\n": "line 2", "1 -2\n": "line 1", "1\n2\n3\n": "power of two", "99999999999\n": "not the number", "\n": "line 1",
	} {
		if _, err := ReadTable(strings.NewReader(text)); !errors.Is(err, ErrMapping) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add([]byte("1 2 3\n4 5 -1\n"))
	f.Add([]byte("-1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		tab, err := ReadTable(bytes.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if _, err := tab.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		if again, err := ReadTable(&b); err != nil || !reflect.DeepEqual(again, tab) {
			t.Errorf("%q does not come back: %v", text, err)
		}
	})
}

func FuzzParseTree(f *testing.F) {
	f.Add([]byte("levels: [room, host]\ntree: [{name: a, children: [{disks: [{count: 3, capacity: 1TB, id: 4}]}]}]"))
	f.Add([]byte("sites: [{racks: [{hosts: [{disks: [{count: 9, capacity: 1TB}]}]}]}]"))
	f.Add([]byte("levels: [host]\ntree: [{disks: [{capacity: 1TB, out: true}]}, {disks: [{capacity: 1B}]}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		tree, err := ParseTree(text)
		if err != nil || len(tree.Leaves()) > 1000 {
			return
		}
		tab, err := tree.Build(1, nil, Options{PGs: 8})
		if err == nil {
			hold(t, tree, tab, nil)
		}
	})
}

func TestParseLimits(t *testing.T) {
	if l, err := ParseLimits("site=5, host=1"); err != nil || l["site"] != 5 || l["host"] != 1 {
		t.Errorf("%v, %v", l, err)
	}
	for _, text := range []string{"", "site", "site=", "=1", "site=0", "site=-1", "site=1,site=2", "site=1,", "si te=1", "site=99999999999999999999"} {
		if l, err := ParseLimits(text); err == nil {
			t.Errorf("%q: %v, %v", text, l, err)
		}
	}
}

func FuzzParseLimits(f *testing.F) {
	f.Add("site=5,host=1")
	f.Add("rack=2, disk=1")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLimits(text)
		if err != nil {
			return
		}
		if l["disk"] != 0 { // said of every disk
			delete(l, "disk")
		}
		again, err := ParseLimits(l.String())
		if delete(again, "disk"); err != nil || !reflect.DeepEqual(again, l) {
			t.Errorf("%q reads %v, and %q reads %v, %v", text, l, l, again, err)
		}
	})
}

func ExampleTree_Change() {
	tree, _ := Uniform(3, 2, 4, 3, nil, 18e12).Tree()
	limits := Limits{"site": 5, "host": 1}
	table, _ := tree.Build(15, limits, Options{PGs: 1024})

	more := append(slices.Clone(tree.Leaves()), Leaf{Disk{ID: 72, Name: "new", Capacity: 18e12}, []string{"site1", "rack1", "host1"}})
	next, _ := NewTree(tree.Levels(), more)
	plan, _ := next.Change(table, limits, Options{})
	fmt.Printf("%d of %d shards move, and no fewer could\n", len(plan.Moves), 1024*15)
	fmt.Println("all to the new disk:", !slices.ContainsFunc(plan.Moves, func(m Move) bool { return m.To != 72 }))
	// Output:
	// 204 of 15360 shards move, and no fewer could
	// all to the new disk: true
}

func BenchmarkChange(b *testing.B) {
	tree, _ := Uniform(3, 4, 4, 12, nil, 1e13).Tree()
	l := Limits{"site": 5, "host": 1}
	tab, err := tree.Build(15, l, Options{PGs: 1 << 16})
	if err != nil {
		b.Fatal(err)
	}
	left, _ := NewTree(tree.Levels(), tree.Leaves()[12:])
	for b.Loop() {
		if _, err := left.Change(tab, l, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPG(b *testing.B) {
	tree, _ := Uniform(3, 4, 4, 12, nil, 1e13).Tree()
	tab, _ := tree.Build(15, Limits{"site": 5, "host": 1}, Options{PGs: 1 << 16})
	sum, i := DiskID(0), uint64(0)
	for b.Loop() {
		sum += tab.Disks(tab.PG(i))[3]
		i++
	}
	_ = sum
}
