package importer

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	it "github.com/wattle-storage/wattle/importer/importertest"
	"github.com/wattle-storage/wattle/placement"
	"github.com/wattle-storage/wattle/whatif"
)

func first(t *testing.T, o Options, docs ...[]byte) (*Found, *Answer) {
	t.Helper()
	f, err := Read(mems(docs...), o)
	if err != nil {
		t.Fatal(err)
	}
	a, err := f.First(f.Scenario())
	if err != nil {
		t.Fatal(err)
	}
	return f, a
}

// TestScenarioFile: what is written is what whatif and placement read.
func TestScenarioFile(t *testing.T) {
	for _, c := range fixtures {
		f, err := Read(mems(c.docs...), Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := f.Scenario()
		text, err := f.ScenarioYAML(s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := whatif.Parse("cluster.yaml", text)
		if err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, text)
			continue
		}
		x, err := whatif.Run(s)
		if err != nil {
			t.Fatal(err)
		}
		y, err := whatif.Run(back)
		if err != nil {
			t.Fatal(err)
		}
		if d := math.Abs(x.Baseline.Watts.Typical/y.Baseline.Watts.Typical - 1); d > 1e-9 {
			t.Errorf("%s: %g W, and %g W from the file", c.name, x.Baseline.Watts.Typical, y.Baseline.Watts.Typical)
		}
		hosts := 0
		for _, site := range f.Sites {
			hosts += site.Hosts
		}
		if x.Baseline.Drives != float64(f.DriveCount()) || x.Baseline.Servers != float64(hosts) {
			t.Errorf("%s: the model has %g drives in %g servers, found were %d in %d", c.name, x.Baseline.Drives, x.Baseline.Servers, f.DriveCount(), hosts)
		}
		m, err := placement.ParseTopology(f.TopologyYAML())
		if err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, f.TopologyYAML())
			continue
		}
		data := 0
		for _, b := range f.Fleet {
			if b.Role == Data && b.Bytes > 0 {
				data += b.Count
			}
		}
		if len(m.Disks()) != data {
			t.Errorf("%s: %d disks in the topology, %d hold data", c.name, len(m.Disks()), data)
		}
	}
}

func TestLevers(t *testing.T) {
	for _, c := range fixtures {
		_, a := first(t, Options{}, c.docs...)
		last, product := 1.0, 1.0
		for i, l := range a.Levers {
			if !l.Feasible || l.Factor.Typical > worthWhile || len(l.Needs) == 0 || len(l.Breaks) == 0 {
				t.Errorf("%s: lever %+v", c.name, l)
			}
			if i == 0 && math.Abs(l.Joint.Typical-l.Factor.Typical) > 1e-9 {
				t.Errorf("%s: the first lever does %g alone and %g jointly", c.name, l.Factor.Typical, l.Joint.Typical)
			}
			if l.Joint.Typical > worthWhile*last+1e-9 {
				t.Errorf("%s: %s brings %g to %g only", c.name, l.Name, last, l.Joint.Typical)
			}
			last, product = l.Joint.Typical, product*l.Factor.Typical
		}
		if math.Abs(product-a.Product) > 1e-12 {
			t.Errorf("%s: product %g, want %g", c.name, a.Product, product)
		}
		sum := 0.0
		for _, part := range a.Evidence {
			sum += part
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("%s: evidence sums to %g", c.name, sum)
		}
		if _, err := json.Marshal(a); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestPageOfSites: the page's best option stands what today does, which is no site.
func TestPageOfSites(t *testing.T) {
	_, a := first(t, Options{}, it.TwoSites().Report())
	if a.Report.Advice.Best != "drives" || a.Answer.NinesDisasters == nil {
		t.Errorf("best %q, nines %v: %s", a.Report.Advice.Best, a.Answer.NinesDisasters, a.Answer.Because["nines"])
	}
	var page bytes.Buffer
	if err := a.HTML(&page); err != nil || !strings.Contains(page.String(), "What stands today") || strings.Contains(page.String(), "https://") {
		t.Errorf("%v: %s", err, page.String())
	}
}

// TestNothingToChange: new helium drives, full, in as many servers as the code needs.
func TestNothingToChange(t *testing.T) {
	c := it.Ceph{Profiles: map[string]map[string]string{"ec": {"k": "8", "m": "3", "plugin": "isa"}},
		Rules: []it.CephRule{{Name: "r", Steps: []string{"take default", "chooseleaf_indep 0 host"}}},
		Pools: []it.CephPool{{Name: "data", Size: 11, MinSize: 9, Profile: "ec", PGs: 2048, Stored: 1780e12, Object: 1e9}}}
	for range 12 {
		c.Hosts = append(c.Hosts, it.CephHost{Name: "h", Drives: 12, Model: "ST22000NM001E", Bytes: 22000969973760, Used: 0.76})
		c.Hosts[len(c.Hosts)-1].Name = "h" + string(rune('a'+len(c.Hosts)))
	}
	_, a := first(t, Options{}, c.Report())
	if len(a.Levers) != 0 || !strings.Contains(a.Verdict, "no change needed") {
		t.Errorf("%s: %+v", a.Verdict, a.Levers)
	}
}

func TestFindings(t *testing.T) {
	want := func(a *Answer, level, part string) {
		t.Helper()
		for _, f := range a.Findings {
			if f.Level == level && strings.Contains(f.What, part) && f.Why != "" && f.Do != "" {
				return
			}
		}
		t.Errorf("no %s with %q in %+v", level, part, a.Findings)
	}
	_, air := first(t, Options{}, it.Air().Report())
	want(air, Danger, "failure domain osd")
	want(air, Danger, "min_size 1")
	want(air, Danger, "stands 1 lost")
	want(air, Warning, "down")
	_, two := first(t, Options{}, it.TwoSites().Report())
	want(two, Danger, "min_size 8 = k")
	want(two, Warning, "no site may be lost")
	want(two, Warning, "shards of groups a drive")
	few := it.TwoSites()
	few.Hosts = few.Hosts[:8]
	_, a := first(t, Options{}, few.Report())
	want(a, Danger, "8 servers for 11 shards")
	full := it.Mimic()
	for i := range full.Hosts {
		full.Hosts[i].Used = 0.9
	}
	_, a = first(t, Options{}, full.Report())
	want(a, Warning, "the fullest drive is 90 % full")
	for _, f := range two.Findings {
		if strings.HasPrefix(f.What, "pool 1:") {
			t.Errorf("the sound pool 1: %+v", f)
		}
	}
}

// TestSiteTolerance: 4+4 with four shards a site survives one of two; by host it does not.
func TestSiteTolerance(t *testing.T) {
	f, _ := first(t, Options{}, it.TwoSites().Report())
	for _, p := range f.Pools {
		got := f.toleranceOf(p.Name, p.scheme).Sites
		want := 0
		if p.Scheme == "rs:4+4" {
			want = 1
		}
		if got != want {
			t.Errorf("%s survives %d sites, want %d", p.Scheme, got, want)
		}
	}
}

func TestAnswersKeepNoNames(t *testing.T) {
	for _, docs := range [][][]byte{{it.Air().Report()}, {it.TwoSites().Report()}, {it.MinIO()}} {
		f, a := first(t, Options{}, docs...)
		out, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		text, err := f.ScenarioYAML(a.Scenario)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range it.Secrets {
			for name, p := range map[string][]byte{"answer": out, "scenario": text, "topology": f.TopologyYAML(), "template": f.UnknownYAML()} {
				if bytes.Contains(p, []byte(secret)) {
					t.Errorf("the %s keeps %q", name, secret)
				}
			}
		}
	}
}

func TestRecognise(t *testing.T) {
	for _, c := range []struct {
		d    Drive
		want Match
	}{
		{Drive{Model: "HGST HUH721010ALE604"}, Match{Technology: "helium", Profile: "hgst-he10-10tb", How: Exact}},
		{Drive{Model: "  HGST HUH721008ALE604"}, Match{Technology: "helium", Profile: "hgst-he10-10tb", How: Family}},
		{Drive{Model: "HUS726060ALA640"}, Match{Technology: "helium", Profile: "hgst-he6-6tb", How: Exact}},
		{Drive{Model: "HGST HUS726060ALE614"}, Match{Technology: "air", How: Class}},
		{Drive{Model: "WDC  WUH721818ALE6L4"}, Match{Technology: "helium", How: Class}},
		{Drive{Model: "ATA ST16000NM001G-2KK103"}, Match{Technology: "helium", Profile: "seagate-x16-16tb", How: Exact}},
		{Drive{Model: "ST14000NM001G"}, Match{Technology: "helium", Profile: "seagate-x16-16tb", How: Family}},
		{Drive{Model: "TOSHIBA MG08SCA16TEY"}, Match{Technology: "helium", Profile: "toshiba-mg08-16tb", How: Exact}},
		{Drive{Model: "MG08ADA800E"}, Match{Technology: "air", How: Class}},
		{Drive{Model: "ST8000AS0002-1NA17Z"}, Match{Technology: "smr", Profile: "gadient-smr-8tb", How: Exact}},
		{Drive{Model: "SAMSUNG MZQL21T9HCJR-00A07"}, Match{Technology: "ssd", How: Class}},
		{Drive{Model: "DELL PERC H710", Bytes: 4e12, spins: yes}, Match{Technology: "air", How: Hidden}},
		{Drive{Model: "QEMU HARDDISK", Bytes: 16e12}, Match{Technology: "helium", How: Hidden}},
		{Drive{Model: "mystery", Bytes: 18e12, spins: yes}, Match{Technology: "helium", How: Class}},
		{Drive{Model: "mystery", Bytes: 8e12, spins: yes}, Match{Technology: "hdd", How: Class}},
		{Drive{Model: "mystery", Bytes: 8e12, helium: yes}, Match{Technology: "helium", How: Class}},
		{Drive{Model: "mystery", Bytes: 4e12, spins: yes}, Match{Technology: "air", How: Class}},
		{Drive{Bytes: 7.68e12}, Match{Technology: "ssd", How: Class}},
		{Drive{Model: "HUSMR7632BHP301"}, Match{Technology: "ssd", How: Class}},
		{Drive{Model: "HGST SN260 HUSMR7676BHP3Y1", Bytes: 7.6e12}, Match{Technology: "ssd", How: Class}},
		{Drive{Model: "Seagate BarraCuda 120 SSD ZA250CM10003", Bytes: 250e9}, Match{Technology: "ssd", How: Class}},
		{Drive{Model: "HGST HMS5C4040ALE640"}, Match{Technology: "air", How: Class}},
		{Drive{Model: "ST33000651AS", Bytes: 3e12, spins: yes}, Match{Technology: "air", How: Class}},
		{Drive{Model: "ST33000650NS"}, Match{Technology: "air", Profile: "seagate-es2-2tb-sas", How: Family}},
		{Drive{Model: "ST8000DM004-2CX188"}, Match{Technology: "smr", How: Class}},
		{Drive{Model: "ST10000NM017B"}, Match{Technology: "air", How: Class}},
		{Drive{Model: "WDC WUS721010ALE6L4"}, Match{Technology: "air", How: Class}},
		{Drive{Model: "DELLBOSS VD", Bytes: 480e9}, Match{Technology: "ssd", How: Hidden}},
		{Drive{Model: "NETAPP LUN C-Mode", Bytes: 4e12, spins: yes}, Match{Technology: "air", How: Hidden}},
		{Drive{}, Match{Technology: "hdd", How: Class}},
	} {
		got := Recognise(c.d)
		if got.Why == "" {
			t.Errorf("%q: no reason", c.d.Model)
		}
		got.Why, got.Product = "", ""
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q %g TB: %s", c.d.Model, float64(c.d.Bytes)/1e12, d)
		}
	}
}

// TestProfilesOfLines: a line names a profile that exists, and the class of its technology.
func TestProfilesOfLines(t *testing.T) {
	for _, l := range modelTable() {
		if l.profile != "" && l.exact != "" && !l.own.MatchString(strings.Split(strings.ReplaceAll(l.exact, ".*", "X"), "|")[0]) && !strings.ContainsAny(l.exact, "[(.") {
			t.Errorf("%s: %q does not match itself", l.product, l.exact)
		}
		b := Batch{How: Class, Technology: l.technology}
		if id, _ := b.profile(); b.idleW() <= 0 {
			t.Errorf("%s: %s draws nothing", l.product, id)
		}
		if l.profile != "" && !hasWatts(l.profile) && l.profile != "wd-hc570-22tb" && l.profile != "wd-hc580-24tb" && l.profile != "wd-hc680-28tb" && l.profile != "seagate-x24-24tb" && l.profile != "toshiba-mg11-24tb" {
			t.Errorf("%s: profile %s has no watts", l.product, l.profile)
		}
	}
}

func TestAssume(t *testing.T) {
	f, err := Read(mems([]byte("model,count,capacity,host\nST16000NM001G,12,16TB,a\nST16000NM001G,12,16TB,b\n")), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Assume("rs:4+2", 90e12); err != nil {
		t.Fatal(err)
	}
	a, err := f.First(f.Scenario())
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(a.Answer.StoredTB-90) > 1e-9 || math.Abs(a.Answer.Fill-90/(384*0.9/1.5)) > 1e-9 {
		t.Errorf("stored %g TB, fill %g", a.Answer.StoredTB, a.Answer.Fill)
	}
	if err := f.Assume("rs:4", 0); err == nil {
		t.Error("rs:4 is a scheme")
	}
}
