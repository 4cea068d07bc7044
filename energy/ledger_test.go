package energy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func bigOf(a Amount) *big.Int {
	n := new(big.Int).SetUint64(a.hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(a.lo))
}

var anyAmount = rapid.Custom(func(t *rapid.T) Amount {
	return Amount{rapid.Uint64Range(0, 1<<40).Draw(t, "hi") >> rapid.IntRange(0, 64).Draw(t, "small"), rapid.Uint64().Draw(t, "lo")}
})

// TestSplit: parts sum to the whole, and none is a nanojoule away from its exact share.
func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyAmount.Draw(t, "a")
		weights := rapid.SliceOfN(rapid.OneOf(rapid.Uint64Range(0, 1<<58), rapid.Uint64Range(0, 3), rapid.Just(uint64(0))), 1, 20).Draw(t, "weights")
		parts, sum, all := a.Split(weights), Amount{}, new(big.Int)
		for _, w := range weights {
			all.Add(all, new(big.Int).SetUint64(w))
		}
		for i, p := range parts {
			sum = sum.Plus(p)
			if all.Sign() == 0 {
				continue
			}
			share := new(big.Int).Mul(bigOf(a), new(big.Int).SetUint64(weights[i]))
			share.Quo(share, all)
			if d := new(big.Int).Sub(bigOf(p), share); d.Sign() < 0 || d.Cmp(big.NewInt(1)) > 0 {
				t.Fatalf("part %d is %s, its share %s", i, bigOf(p), share)
			}
		}
		if sum != a {
			t.Fatalf("parts of %s sum to %s", a, sum)
		}
	})
	if got := Nano(10).Split([]uint64{1, 1, 1}); !slices.Equal(got, []Amount{Nano(4), Nano(3), Nano(3)}) {
		t.Errorf("%v", got)
	}
	if got := Nano(100).Split([]uint64{1 << 63, 1 << 63, 0}); !slices.Equal(got, []Amount{Nano(50), Nano(50), {}}) {
		t.Errorf("weights past 64 bits: %v", got)
	}
}

func TestAmount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyAmount.Draw(t, "a"), anyAmount.Draw(t, "b")
		if got := a.Plus(b).Minus(b); got != a {
			t.Fatalf("%s + %s - %s = %s", a, b, b, got)
		}
		if a.Less(b) != (bigOf(a).Cmp(bigOf(b)) < 0) {
			t.Fatalf("%s < %s is %v", a, b, a.Less(b))
		}
		p, err := json.Marshal(a)
		var back Amount
		if err == nil {
			err = json.Unmarshal(p, &back)
		}
		if err != nil || back != a {
			t.Fatalf("%s came back as %s, %v", p, back, err)
		}
	})
	for a, want := range map[Amount]string{{}: "0", Nano(1): "0.000000001", Nano(1_500_000_000): "1.5", Nano(7e9): "7"} {
		if a.String() != want {
			t.Errorf("%s, want %s", a, want)
		}
	}
	for _, bad := range []string{`-1`, `1e9`, `"x"`, `1.0000000001`, `.`, `null`, `1` + strings.Repeat("0", 30)} {
		var a Amount
		if err := a.UnmarshalJSON([]byte(bad)); !errors.Is(err, errAmount) {
			t.Errorf("%s: %v, %v", bad, a, err)
		}
	}
	for w, want := range map[Watts]string{5: "18000", 0.87: "3132", 5.3: "19080", -1: "0"} {
		if got := w.Exactly(time.Hour).String(); got != want {
			t.Errorf("%s for an hour is %s J, want %s", w, got, want)
		}
	}
}

// ledger is one of three drives, of which the third is an unknown model, and two buckets.
func ledger(spin time.Duration) *Ledger {
	l := NewLedger(epoch)
	l.Settings.SpinDown = SpinDown{spin}
	for i, p := range []string{"helium-5w", "seagate-es3-4tb-sata", "mystery"} {
		l.Set(epoch, int32(i), Place{Site: fmt.Sprint("site", i%2), Name: fmt.Sprint("site", i%2, "/d", i), Profile: p, Capacity: 4e12})
	}
	return l
}

// TestConservation: whatever happens, the parts sum to the whole at every moment, by every
// key, to the nanojoule, and the times of a drive to its age.
func TestConservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := ledger(rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(t, "spin-down"))
		l.Settings.Gap = rapid.SampledFrom([]time.Duration{-1, 0, time.Hour}).Draw(t, "gap")
		now := epoch
		names := []string{"alpha", "beta", "gamma"}
		shares := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Share {
			return Share{rapid.SampledFrom(names).Draw(t, "bucket"), rapid.Uint64Range(0, 1e15).Draw(t, "weight"), rapid.SampledFrom([]string{"", "anna", "ben"}).Draw(t, "user")}
		}), 0, 4)
		steps := map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(-1e9, 3e13).Draw(t, "ns")))
			},
			"work": func(t *rapid.T) {
				n := func(most int64) int64 { return rapid.Int64Range(0, most).Draw(t, "n") }
				l.Work(now, rapid.Int32Range(0, 2).Draw(t, "drive"), Cause(rapid.IntRange(1, causes-1).Draw(t, "why")),
					Work{n(100), n(100), n(10), n(100), n(100), n(1e9), n(1e9)}, shares.Draw(t, "shares"))
			},
			"code": func(t *rapid.T) {
				l.Coded(time.Duration(rapid.Int64Range(-5, 1e10).Draw(t, "cpu")), shares.Draw(t, "shares"))
			},
			"hold": func(t *rapid.T) {
				l.Hold(now, rapid.SampledFrom(names).Draw(t, "bucket"), rapid.Int64Range(-1e13, 1e13).Draw(t, "raw"))
			},
			"settle": func(*rapid.T) { l.Settle(now) },
			"resume": func(*rapid.T) { l.Resume(now) },
			"fail": func(t *rapid.T) {
				id := rapid.Int32Range(0, 2).Draw(t, "drive")
				p := l.Drives[id].Place
				p.Off = rapid.Bool().Draw(t, "off")
				l.Set(now, id, p)
			},
			"store": func(t *rapid.T) {
				p, err := l.Encode()
				if err == nil {
					l, err = DecodeLedger(p)
				}
				if err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) { conserved(t, l) },
		}
		t.Repeat(steps)
	})
}

func conserved(t *rapid.T, l *Ledger) {
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	for id, d := range l.Drives {
		if got, want := d.Times.Sum()+d.Unseen, d.At.Sub(l.Since); got != want {
			t.Fatalf("drive %d: times of %s in an age of %s", id, got, want)
		}
	}
	all := l.Parts().Sum()
	for _, what := range []string{"cause", "bucket", "site", "drive"} {
		for _, spread := range []bool{false, true} {
			rows, err := l.By(what, spread)
			if err != nil {
				t.Fatal(err)
			}
			var sum Amount
			for _, r := range rows {
				sum = sum.Plus(r.Joules)
			}
			if sum != all {
				t.Fatalf("by %s, spread %v: %s J in parts of %s", what, spread, sum, all)
			}
		}
	}
	for _, spread := range []bool{false, true} {
		var sum Amount
		for _, r := range l.ByUser(func(bucket string) string { return map[string]string{"alpha": "anna", "beta": "carl"}[bucket] }, spread) {
			if sum = sum.Plus(r.Joules); all.Less(r.Joules) {
				t.Fatalf("by user, spread %v: %s bears %s J of %s", spread, r.Name, r.Joules, all)
			}
		}
		if sum != all {
			t.Fatalf("by user, spread %v: %s J in parts of %s", spread, sum, all)
		}
	}
	e := l.Band()
	if e.Validate() != nil || math.Abs(e.Typical-float64(all.Joules())) > 1e-6*e.Typical+1e-3 {
		t.Fatalf("band %+v of %s J", e, all)
	}
}

// TestByUser: who asks bears the asking, who owns the bucket the rest of it.
func TestByUser(t *testing.T) {
	l := ledger(0)
	l.Hold(epoch, "photos", 6e12)
	w := Work{Reads: 1, ReadSeeks: 1, BytesRead: 1e6}
	asked := l.Work(epoch.Add(time.Second), 0, ForGet, w, []Share{{Bucket: "photos", User: "ben", Weight: 1}})
	strange := l.Work(epoch.Add(2*time.Second), 0, ForGet, w, []Share{{Bucket: "photos", Weight: 1}})
	l.Settle(epoch.Add(time.Hour))
	rows := map[string]Row{}
	for _, r := range l.ByUser(func(string) string { return "anna" }, false) {
		rows[r.Name] = r
	}
	if got := rows["ben"]; got.Joules != asked || got.Causes[ForGet] != asked {
		t.Errorf("ben bears %+v, want %s J", got, asked)
	}
	if got := rows["anna"]; got.Causes[ForGet] != strange || got.Causes[ForIdle].IsZero() {
		t.Errorf("anna bears %+v, want %s J of gets and the idling", got, strange)
	}
	for _, r := range l.ByUser(func(string) string { return "" }, false) {
		rows[r.Name] = r
	}
	if rows[NoUser].Joules != rows["anna"].Joules || rows[Unallocated].Joules.IsZero() {
		t.Errorf("without an owner: %+v", rows)
	}
	for _, bad := range []string{`{"users":{"ben":{"get":5}}}`, `{"users":{"ben":null}}`} {
		if _, err := DecodeLedger([]byte(`{"buckets":{"b":` + bad + `}}`)); !errors.Is(err, ErrLedger) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestYear: a year of a cluster's drives takes no time to count, and is watts times hours.
func TestYear(t *testing.T) {
	l := ledger(0)
	l.Settings.Gap = -1
	l.Hold(epoch, "half", 6e12)
	for m := range 12 {
		l.Work(epoch.Add(time.Duration(m)*Year/12), 0, ForGet, Work{Reads: 1000, ReadSeeks: 1000, BytesRead: 1e9}, []Share{{Bucket: "half", Weight: 1}})
	}
	l.Resume(epoch.Add(Year))
	es3 := l.Drives[1].Spent.Sum().Joules().KWh()
	if want := 7.4 * YearHours / 1000; math.Abs(es3-want) > 1e-9 {
		t.Errorf("an idle drive of 7.4 W used %v kWh in a year, want %v", es3, want)
	}
	rows, err := l.By("bucket", false)
	if err != nil || len(rows) != 2 || rows[0].Name != Unallocated || rows[1].Name != "half" {
		t.Fatalf("%+v, %v", rows, err)
	}
	if idle, free := rows[1].Causes[ForIdle], rows[0].Causes[ForIdle]; math.Abs(float64(idle.Joules())/float64(free.Joules())-1) > 1e-9 {
		t.Errorf("half of the capacity bears %s J of idling, the rest %s J", idle, free)
	}
	if busy := l.Drives[0].Times[Active]; busy != 12*1000*11_560_000 {
		t.Errorf("12,000 reads took %s", busy)
	}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
}

// TestHold: who comes late bears nothing of the time before, though it comes with work.
func TestHold(t *testing.T) {
	l := ledger(0)
	l.Hold(epoch, "early", 6e12)
	later := epoch.Add(time.Hour)
	l.Work(later, 0, ForPut, Work{Writes: 1, WriteSeeks: 1}, []Share{{Bucket: "late", Weight: 1}})
	l.Hold(later, "late", 6e12)
	l.Settle(later)
	if late := l.Buckets["late"].Spent; !late[ForIdle].IsZero() || late[ForPut].IsZero() {
		t.Errorf("late bears %v", late)
	}
	l.Settle(later.Add(time.Hour))
	idle := func(name string) float64 { return float64(l.Buckets[name].Spent[ForIdle].Joules()) }
	if r := idle("early") / idle("late"); math.Abs(r-2) > 1e-3 {
		t.Errorf("early bears %v J of idling and late %v", idle("early"), idle("late"))
	}
}

// TestQueue: a drive that is asked for more than it can do is active beyond now, and idles
// the less afterwards.
func TestQueue(t *testing.T) {
	l := ledger(0)
	l.Work(epoch, 1, ForPut, Work{Writes: 1, BytesWritten: 1e12}, nil)
	d := l.Drives[1]
	if busy := d.At.Sub(epoch); busy < time.Hour || d.Times[Idle] != 0 {
		t.Fatalf("busy for %s, idle for %s", busy, d.Times[Idle])
	}
	l.Settle(epoch.Add(time.Minute))
	if d.Times[Idle] != 0 {
		t.Errorf("idle for %s with work queued", d.Times[Idle])
	}
	l.Settle(epoch.Add(24 * time.Hour))
	if sum := d.Times.Sum(); sum != 24*time.Hour || d.Times[Idle] < 20*time.Hour {
		t.Errorf("times %v", d.Times)
	}
}

// TestSpinDownNext is the state machine by the clock.
func TestSpinDownNext(t *testing.T) {
	p := SpinDown{10 * time.Minute}
	for _, x := range []struct {
		p     SpinDown
		after time.Duration
		state State
		ask   time.Duration
	}{
		{p, 0, Idle, 10 * time.Minute}, {p, 9 * time.Minute, Idle, 10 * time.Minute}, {p, 10 * time.Minute, Standby, 0}, {p, Year, Standby, 0},
		{SpinDown{}, Year, Idle, 0},
	} {
		s, ask := x.p.Next(epoch, epoch.Add(x.after))
		if s != x.state || (ask.IsZero() != (x.ask == 0)) || !ask.IsZero() && ask.Sub(epoch) != x.ask {
			t.Errorf("%s, %s after: %s, ask at %s", x.p, x.after, s, ask)
		}
	}
}

// TestStandby: a drive stops, stands, and starts at the expense of who wakes it.
func TestStandby(t *testing.T) {
	l := ledger(10 * time.Minute)
	l.Hold(epoch, "b", 1)
	spent := l.Work(epoch.Add(time.Hour), 1, ForGet, Work{Reads: 1, ReadSeeks: 1}, []Share{{Bucket: "b", Weight: 1}})
	d := l.Drives[1]
	if d.Times[Idle] != 10*time.Minute || d.Times[Standby] != 50*time.Minute || d.Starts != 1 || d.Times[SpinUp] == 0 {
		t.Errorf("%+v", d)
	}
	if got, want := d.Spent[ForIdle].String(), "7050"; got != want { // 600 s of 7.4 W and 3000 s of 0.87 W
		t.Errorf("idled for %s J, want %s", got, want)
	}
	_, start := MeterOf(d.Profile).Start()
	if spent.Less(start) || l.Buckets["b"].Spent[ForGet] != spent {
		t.Errorf("the get cost %s J, and the start alone %s", spent, start)
	}
	if d.Gaps != 1 || d.Beyond <= 0 {
		t.Errorf("%d gaps, %s beyond break-even", d.Gaps, d.Beyond)
	}
}

// TestRest: the yardsticks of the notes: a stop pays back within minutes, the budget of
// starts allows one in 53 minutes, and the verdict follows the gaps.
func TestRest(t *testing.T) {
	r := MeterOf("seagate-es3-4tb-sata").Rest()
	if r.BreakEven < 30*time.Second || r.BreakEven > 2*time.Minute || r.Budget.Round(time.Minute) != 53*time.Minute || r.Timer().After != r.Budget {
		t.Errorf("%+v", r)
	}
	if ssd := MeterOf("solidigm-p5316-31tb").Rest(); ssd.BreakEven != 0 || !strings.Contains(ssd.Judge(9, time.Hour, time.Hour), "does not pay") {
		t.Errorf("flash: %+v", ssd)
	}
	for after, want := range map[time.Duration]string{0: "", time.Second: "break-even", 10 * time.Minute: "rated starts", time.Hour: ""} {
		if got := r.Warn(SpinDown{after}); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", after, got, want)
		}
	}
	for _, x := range []struct {
		gaps        int64
		beyond, all time.Duration
		want        string
	}{
		{0, 0, 24 * time.Hour, "no gap"},
		{1000, 20 * time.Hour, 24 * time.Hour, "too early"},
		{10, 20 * time.Hour, 24 * time.Hour, "would save at most"},
	} {
		if got := r.Judge(x.gaps, x.beyond, x.all); !strings.Contains(got, x.want) {
			t.Errorf("%+v: %s", x, got)
		}
	}
}

// TestResume: of a long time alone only Settings.Gap counts, and the ledger says what it
// left out.
func TestResume(t *testing.T) {
	l := ledger(0)
	l.Settings.Gap = time.Hour
	l.Resume(epoch.Add(3 * time.Hour))
	if d := l.Drives[1]; d.Times[Idle] != time.Hour || d.Unseen != 2*time.Hour || l.Unseen != 2*time.Hour {
		t.Errorf("%+v, %s unseen", d, l.Unseen)
	}
	l.Resume(epoch.Add(4 * time.Hour))
	if d := l.Drives[1]; d.Times[Idle] != 2*time.Hour || l.Unseen != 2*time.Hour {
		t.Errorf("%+v, %s unseen", d, l.Unseen)
	}
}

// TestAbsorb: notes count in order of their time, and change what a drive is.
func TestAbsorb(t *testing.T) {
	l := ledger(0)
	at := func(h int) time.Time { return epoch.Add(time.Duration(h) * time.Hour) }
	read := Note{From: at(2), To: at(2)}
	read.Add(1, ForGet, "b", Work{Reads: 1, ReadSeeks: 1})
	read.Add(1, ForGet, "b", Work{Reads: 2})
	read.AddCPU("b", time.Second)
	p, err := json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeNote(p)
	if err != nil || len(back.Work) != 1 || back.Work[0].Reads != 3 {
		t.Fatalf("%s: %+v, %v", p, back, err)
	}
	l.Absorb([]Note{back, {From: at(1), To: at(1), Off: map[int32]bool{0: true}}, {From: at(3), To: at(4), Off: map[int32]bool{0: false}}}, at(4))
	if d := l.Drives[0]; d.Times[Off] != 2*time.Hour || d.Times[Idle] != 2*time.Hour {
		t.Errorf("%v", d.Times)
	}
	if l.Buckets["b"].Spent[ForGet].IsZero() || l.Coding.String() != "4.2" {
		t.Errorf("%+v", l)
	}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{`{`, `{"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}`, `{"work":[{"reads":-1}]}`, `{"work":[{"for":"fun"}]}`, `{"cpu":[{"ns":-1}]}`} {
		if _, err := DecodeNote([]byte(bad)); !errors.Is(err, ErrLedger) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzDecodeLedger(f *testing.F) {
	l := ledger(time.Hour)
	l.Work(epoch.Add(time.Hour), 1, ForGet, Work{Reads: 1, ReadSeeks: 1}, []Share{{Bucket: "b", Weight: 1}})
	l.Settle(epoch.Add(2 * time.Hour))
	p, err := l.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"drives":{"1":null}}`))
	f.Add(bytes.Replace(p, []byte(`"coding_ns":0`), []byte(`"coding_ns":00`), 1))
	f.Add(bytes.Replace(p, []byte(`"coding":0`), []byte(`"coding":01`), 1))
	f.Add(bytes.Replace(p, []byte(`"unallocated":{`), []byte(`"unallocated":{"get":1.,`), 1))
	f.Add(bytes.Replace(p, []byte(`"reads":1`), []byte(`"reads":+1`), 1))
	f.Fuzz(func(t *testing.T, p []byte) {
		if l, ok := plainLedger(p); ok {
			want := &Ledger{}
			if err := json.Unmarshal(p, want); err != nil || !reflect.DeepEqual(l, want) {
				t.Fatalf("read as %+v, and encoding/json: %+v, %v", l, want, err)
			}
		}
		l, err := DecodeLedger(p)
		if err != nil {
			return
		}
		l.Settle(l.At.Add(time.Hour))
		if err := l.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDecodeNote(f *testing.F) {
	f.Add([]byte(`{"from":"2026-01-01T00:00:00Z","to":"2026-01-01T01:00:00Z","work":[{"drive":1,"for":"get","bucket":"b","reads":3,"bytes_read":10}],"cpu":[{"ns":5}],"off":{"1":true}}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		n, err := DecodeNote(p)
		if err != nil {
			return
		}
		l := ledger(0)
		l.Settings.Gap = 0
		l.Absorb([]Note{n}, epoch.Add(Year))
		if err := l.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkYear counts a year of 36 drives that are used every hour.
func BenchmarkYear(b *testing.B) {
	for b.Loop() {
		l := NewLedger(epoch)
		for i := range int32(36) {
			l.Set(epoch, i, Place{Profile: "helium-5w", Capacity: 18e12})
		}
		for h := range 8766 {
			l.Work(epoch.Add(time.Duration(h)*time.Hour), int32(h%36), ForGet, Work{Reads: 1, ReadSeeks: 1, BytesRead: 65536}, nil)
		}
		l.Settle(epoch.Add(Year))
	}
}

func ExampleLedger() {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := NewLedger(now)
	l.Set(now, 1, Place{Site: "paris", Name: "paris/d1", Profile: "seagate-es3-4tb-sata", Capacity: 4e12})
	l.Hold(now, "photos", 1e12)
	l.Work(now, 1, ForPut, Work{Writes: 2, WriteSeeks: 2, Syncs: 1, BytesWritten: 1e9}, []Share{{Bucket: "photos", Weight: 1}})
	l.Settle(now.Add(time.Hour))
	rows, err := l.By("bucket", false)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range rows {
		fmt.Println(r.Name, r.Joules, r.Causes[ForIdle], r.Causes[ForPut])
	}
	fmt.Println(l.Parts().Sum())
	// Output:
	// (unallocated) 19958.26158084 19958.26158084 0
	// photos 6691.760084275 6652.75386028 39.006223995
	// 26650.021665115
}
