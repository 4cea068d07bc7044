package dashboard

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wattle-storage/wattle/energy"
)

// TestHistorySums: the samples, and what waits to be worked off, sum to what the ledger
// charged, and no drive draws more than a drive can.
func TestHistorySums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := start
		l := energy.NewLedger(now)
		sites := []string{"site1", "site2", "site3"}
		for i := range int32(6) {
			l.Set(now, i, energy.Place{Site: sites[i%3], Name: sites[i%3], Profile: "seagate-x22-22tb", Capacity: 22e12})
		}
		l.Settings.SpinDown.After = time.Duration(rapid.IntRange(0, 30).Draw(t, "spin-down")) * time.Second
		var h history
		h.add(l)
		before := l.Parts().Sum()
		drawn := 0.0
		for range rapid.IntRange(1, 30).Draw(t, "samples") {
			for range rapid.IntRange(0, 5).Draw(t, "works") {
				n := rapid.Int64Range(1, 2000).Draw(t, "ios")
				l.Work(now, rapid.Int32Range(0, 5).Draw(t, "drive"), energy.ForGet, energy.Work{Reads: n, ReadSeeks: n, BytesRead: n * 4096}, nil)
			}
			l.Coded(time.Duration(rapid.IntRange(0, 1000).Draw(t, "coding"))*time.Millisecond, nil)
			now = now.Add(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms")) * time.Millisecond)
			l.Settle(now)
			h.add(l)
			p := h.since(time.Time{})
			s := p.Samples[len(p.Samples)-1]
			all := s.Coding
			for _, site := range s.Watts {
				sum := 0.0
				for _, w := range site {
					sum += w
				}
				if sum > 2*31 { // two drives, the dearest state is the start
					t.Fatalf("two drives draw %v W", sum)
				}
				all += sum
			}
			drawn += all * s.Span
		}
		waiting := 0.0
		for id, d := range h.drives {
			for s, at := range d.waiting {
				waiting += draw(energy.MeterOf(l.Drives[id].Profile), energy.State(s)) * at.Seconds()
			}
		}
		want := float64(l.Parts().Sum().Minus(before).Joules())
		if got := drawn + waiting; math.Abs(got-want) > 1e-4*want+1e-6 {
			t.Fatalf("samples sum to %v J and %v J wait, the ledger says %v J", drawn, waiting, want)
		}
	})
}

// TestHistoryIsBounded: an hour is kept in order, and the oldest goes.
func TestHistoryIsBounded(t *testing.T) {
	var h history
	l := energy.NewLedger(start)
	for i := range int32(mostSites + 9) {
		l.Set(start, i, energy.Place{Site: string(rune('a' + i)), Profile: "helium-5w", Capacity: 1})
	}
	for i := range 3 * hour {
		l.Settle(start.Add(time.Duration(i) * sampleEvery))
		h.add(l)
		h.add(l) // at the same moment: nothing
	}
	p := h.since(time.Time{})
	if len(p.Samples) != hour || len(p.Sites) != mostSites+1 || p.Sites[mostSites] != "others" {
		t.Fatalf("%d samples of %d sites", len(p.Samples), len(p.Sites))
	}
	for i := 1; i < hour; i++ {
		if p.Samples[i].At-p.Samples[i-1].At != sampleEvery.Milliseconds() {
			t.Fatalf("sample %d is %d ms after the one before", i, p.Samples[i].At-p.Samples[i-1].At)
		}
	}
	if got := h.since(time.UnixMilli(p.Samples[hour-3].At)); len(got.Samples) != 2 {
		t.Errorf("%d samples after the last but two, want 2", len(got.Samples))
	}
	if w := p.Samples[0].Watts; len(w) != mostSites+1 || len(w[mostSites]) != len(shownStates) {
		t.Errorf("the first sample kept has %d sites", len(w))
	}
}
