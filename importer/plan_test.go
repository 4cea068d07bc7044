package importer

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wattle-storage/wattle/erasure"
	it "github.com/wattle-storage/wattle/importer/importertest"
	"github.com/wattle-storage/wattle/whatif"
)

var planDay = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

func planOf(t *testing.T, dump []byte, to string, fill, growth float64) *Plan {
	t.Helper()
	f, err := Read(mems(dump), Options{})
	if err != nil {
		t.Fatal(err)
	}
	target := Target{}
	if to != "" {
		if target, err = ParseTarget(to); err != nil {
			t.Fatal(err)
		}
	}
	target.Fill = fill
	s := f.Scenario()
	s.Prices.EURPerDrive = whatif.Exactly(400)
	p, err := f.Plan(s, target, DefaultPace, growth, planDay)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(p); err != nil {
		t.Error(err)
	}
	return p
}

func TestPlanBytes(t *testing.T) {
	p := planOf(t, it.Air().Report(), "rs:4+2@seagate-x22-22tb", 0, 0)
	stored := int64(118e12 + 24e12)
	if p.BytesRead < stored || p.BytesRead > stored+3e9 || math.Abs(float64(p.BytesWritten)-1.5*float64(stored)) > 9e9 {
		t.Errorf("%d read, %d written; want %d and half as much again", p.BytesRead, p.BytesWritten, stored)
	}
	if p.BytesWAN != 0 {
		t.Errorf("%d between the sites of one site", p.BytesWAN)
	}
	if p.Verdict != "go" || p.BreakEven.Energy == nil || p.BreakEven.Carbon == nil || p.BreakEven.Money == nil {
		t.Errorf("%s: %v, %+v", p.Verdict, p.Why, p.BreakEven)
	}
	if p.KgBought.Typical <= 0 || p.KgOff <= 0 {
		t.Errorf("%g kg bought, %g written off", p.KgBought.Typical, p.KgOff)
	}
	two := planOf(t, it.TwoSites().Report(), "seagate-x22-22tb", 0, 0)
	if two.BytesWAN == 0 || two.BytesRead <= two.BytesWritten {
		t.Errorf("coded pools are rebuilt shard by shard: %d read, %d written, %d between sites", two.BytesRead, two.BytesWritten, two.BytesWAN)
	}
}

// TestPlanBreakEven: on the day of break-even what was saved is what it took.
func TestPlanBreakEven(t *testing.T) {
	for _, growth := range []float64{0, 0.2} {
		p := planOf(t, it.Air().Report(), "rs:4+2@seagate-x22-22tb", 0, growth)
		y := p.BreakEven.Energy.Years.Typical - p.Days.Typical/365.25
		saved := p.KWhSaved.Typical * y
		if growth > 0 {
			saved = p.KWhSaved.Typical * (math.Pow(1+growth, y) - 1) / math.Log(1+growth)
		}
		if math.Abs(saved/p.KWhMove.Typical-1) > 1e-9 {
			t.Errorf("growth %g: %g kWh saved by then, the move took %g", growth, saved, p.KWhMove.Typical)
		}
		e := p.BreakEven.Energy
		if !(e.Earliest <= e.Date && e.Date <= e.Latest) || e.Date <= "2026-11-24" {
			t.Errorf("%+v", e)
		}
		if growth > 0 && p.FullIn == nil {
			t.Error("growth, and never full")
		}
	}
}

// TestPlanNo says when not to.
func TestPlanNo(t *testing.T) {
	no := func(p *Plan, part string) {
		t.Helper()
		if p.Verdict == "go" || !strings.Contains(strings.Join(p.Why, "; "), part) {
			t.Errorf("%s: %v, want %q", p.Verdict, p.Why, part)
		}
	}
	no(planOf(t, it.Air().Report(), "rs:8+3", 0, 0), "lacks")
	no(planOf(t, it.Air().Report(), "rs:12+4", 0, 0), "needs 16 servers")
	no(planOf(t, it.Air().Report(), "rs:8+1@seagate-x22-22tb", 0, 0), "stands 1 lost shards, replica:3 2")
	no(planOf(t, it.TwoSites().Report(), "rs:8+4@seagate-x22-22tb", 0, 0), "survives 4 shards, today's 1 site")
	no(planOf(t, it.TwoSites().Report(), "ibm-75gxp@0.5TB", 0, 0), "times today's watts")
	f, err := Read(mems([]byte("model,count,capacity\nST16000NM001G,12,16TB\n")), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Plan(f.Scenario(), Target{Scheme: "rs:4+2"}, DefaultPace, 0, planDay); err == nil {
		t.Error("a plan without knowing what is stored")
	}
	if _, err := ParseTarget("rs:4"); err == nil {
		t.Error("rs:4 is a target")
	}
	if _, err := ParseTarget("helium-5w"); err == nil || !strings.Contains(err.Error(), "helium-5w@8TB") {
		t.Errorf("a drive without capacity: %v", err)
	}
}

func TestPlanNines(t *testing.T) {
	p := planOf(t, it.Air().Report(), "rs:4+2@seagate-x22-22tb", 0, 0)
	if p.NinesDuring == nil || p.NinesDuring.Typical != math.Min(p.NinesFrom.Typical, p.NinesTo.Typical) {
		t.Errorf("%v on the way from %v to %v", p.NinesDuring, p.NinesFrom, p.NinesTo)
	}
}

// TestCrushtool compiles and tests the map where Ceph's crushtool is at hand.
func TestCrushtool(t *testing.T) {
	tool, err := exec.LookPath("crushtool")
	for _, c := range []struct {
		dump   []byte
		scheme string
		sites  int
	}{{it.Air().Report(), "rs:8+3", 1}, {it.TwoSites().Report(), "rs:4+4", 2}, {it.TwoSites().Report(), "rs:8+3", 1}, {it.Air().Report(), "replica:3", 1}} {
		f, e := Read(mems(c.dump), Options{})
		if e != nil {
			t.Fatal(e)
		}
		s, _ := erasure.Parse(c.scheme)
		text, e := f.CrushMap(s)
		if e != nil {
			t.Fatal(e)
		}
		if got := strings.Contains(string(text), "choose indep 2 type datacenter"); got != (c.sites == 2) {
			t.Errorf("%s: a rule over sites: %v", c.scheme, got)
		}
		if strings.Count(string(text), "device ") != f.DriveCount()-countRole(f, Journal) {
			t.Errorf("%s: not every drive is a device", c.scheme)
		}
		if err != nil {
			continue
		}
		in, out := filepath.Join(t.TempDir(), "map.txt"), filepath.Join(t.TempDir(), "map")
		if e := os.WriteFile(in, text, 0o644); e != nil {
			t.Fatal(e)
		}
		if msg, e := exec.Command(tool, "-c", in, "-o", out).CombinedOutput(); e != nil {
			t.Fatalf("%s: %v: %s", c.scheme, e, msg)
		}
		msg, e := exec.Command(tool, "-i", out, "--test", "--rule", "1", "--num-rep", itoa(s.N()), "--show-bad-mappings", "--min-x", "0", "--max-x", "255").CombinedOutput()
		if e != nil || strings.Contains(string(msg), "bad mapping") {
			t.Errorf("%s: %v: %s", c.scheme, e, msg)
		}
	}
	if err != nil {
		t.Skip("crushtool is not installed: the maps were written, not compiled")
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

func countRole(f *Found, r Role) (n int) {
	for _, b := range f.Fleet {
		if b.Role == r {
			n += b.Count
		}
	}
	return n
}

func TestStoreSettings(t *testing.T) {
	for _, c := range []struct {
		store, scheme string
		sites         int
		want          string
	}{
		{"ceph", "rs:8+3", 1, "k=8 m=3"},
		{"ceph", "rs:6+6", 2, "choose indep 2 type datacenter"},
		{"ceph", "lrc:12+2+2", 1, "not the same"},
		{"minio", "rs:12+4", 1, "EC:4"},
		{"minio", "replica:3", 1, "codes every object"},
		{"seaweedfs", "rs:10+4", 1, "ec.encode"},
		{"seaweedfs", "rs:8+3", 1, "not to be had"},
		{"seaweedfs", "replica:3", 3, "defaultReplication=200"},
		{"garage", "replica:3", 3, "replication_factor = 3"},
		{"garage", "rs:9+6", 3, "the twin of the same tolerance is replica:"},
	} {
		s, err := erasure.Parse(c.scheme)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := StoreSettings(c.store, s, c.sites)
		if err != nil || !strings.Contains(strings.Join(lines, "\n"), c.want) {
			t.Errorf("%s %s: %v %v, want %q", c.store, c.scheme, lines, err, c.want)
		}
	}
	if _, err := StoreSettings("floppy", erasure.Scheme{Kind: erasure.Replica, K: 1, M: 1}, 1); err == nil {
		t.Error("floppy is a store")
	}
}
