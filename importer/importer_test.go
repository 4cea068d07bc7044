package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	it "github.com/wattle-storage/wattle/importer/importertest"
)

var update = flag.Bool("update", false, "rewrite golden files")

func mem(name string, p []byte) File {
	return File{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil }}
}

func mems(docs ...[]byte) (list []File) {
	for i, d := range docs {
		list = append(list, mem(fmt.Sprintf("%d.json", i), d))
	}
	return list
}

// fixtures are the inputs of one import each.
var fixtures = []struct {
	name string
	docs [][]byte
}{
	{"ceph-air", [][]byte{it.Air().Report()}},
	{"ceph-two-sites", [][]byte{it.TwoSites().Report()}},
	{"ceph-mimic", [][]byte{it.Mimic().Report()}},
	{"ceph-hidden", [][]byte{it.Hidden().Report()}},
	{"ceph-three-files", [][]byte{it.Air().Tree(), it.Air().DF(), it.Air().Metadata()}},
	{"minio", [][]byte{it.MinIO()}},
	{"rustfs", [][]byte{it.RustFS()}},
	{"smartctl", [][]byte{
		it.Smart("HGST HUH721008ALE604", "7SABC123", 8001563222016, 32564, 26000, true, false),
		it.Smart("HGST HUH721008ALE604", "REDACTED", 8001563222016, 52564, 90, true, false),
		it.Smart("HGST HUH721008ALE604", "REDACTED", 8001563222016, 62564, 90, true, false),
		it.Smart("UNHEARD OF 9000", "X1Y2Z3", 8001563222016, 100, 3, true, false),
		it.Smart("", "", 0, 0, 0, false, true)}},
	{"lsblk", [][]byte{[]byte(lsblkText)}},
	{"csv", [][]byte{[]byte("model,count,capacity,host\nST16000NM001G,12,16TB,a\nST8000VN0022,12,7.28TiB,b\nmystery,2,7680,b\n")}},
	{"csv-semicolons", [][]byte{[]byte("Model;Count;Capacity_TB\nWUH721818ALE6L4;24;18\nMZQL23T8HCLS;4;3,84\n")}},
	{"backblaze", [][]byte{[]byte(backblazeText)}},
}

const lsblkText = `{"blockdevices": [
 {"name":"loop0","model":null,"serial":null,"size":"63.9M","rota":"0","type":"loop","tran":null},
 {"name":"sda","model":"ST4000NM0033-9ZM170 ","serial":"Z1Z0SECR","size":4000787030016,"rota":true,"type":"disk","tran":"sata","children":[{"name":"sda1","size":1,"type":"part"}]},
 {"name":"sdb","model":"TOSHIBA MG08ACA16TE","serial":"Y1Z0SECR","size":"14.6T","rota":"1","type":"disk","tran":"sata"},
 {"name":"nvme0n1","model":"SAMSUNG MZQL2960HCJR-00A07","serial":"S64G","size":960197124096,"rota":false,"type":"disk","tran":"nvme"}]}`

const backblazeText = `date,serial_number,model,capacity_bytes,failure,smart_9_raw,smart_22_raw
2026-09-01,ZC1AAAA1,ST12000NM0007,12000138625024,0,31000,
2026-09-01,ZC1AAAA2,ST12000NM0007,12000138625024,1,31000,
2026-09-01,8CG00001,HGST HUH728080ALE600,8001563222016,0,52000,100
2026-09-02,ZC1AAAA1,ST12000NM0007,-1,0,31024,
2026-09-02,8CG00001,HGST HUH728080ALE600,8001563222016,0,52024,100
2026-09-02,ZC1AAAA3,ST12000NM0007,12000138625024,0,10,
`

// whole is everything that was kept.
func whole(f *Found) []byte {
	out, err := json.MarshalIndent(struct {
		*Found
		Guessed, Missing []string
		Hosts            []Host
	}{f, texts(f.Guessed), texts(f.Missing), f.Hosts}, "", " ")
	if err != nil {
		panic(err)
	}
	return out
}

func texts(n []Note) (list []string) {
	for _, x := range n {
		list = append(list, x.String())
	}
	return list
}

func TestFixtures(t *testing.T) {
	for _, c := range fixtures {
		f, err := Read(mems(c.docs...), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		f.Sources = nil
		for i := range f.Hosts { // the list of drives is long: the batches say it
			f.Hosts[i].Drives = f.Hosts[i].Drives[:min(2, len(f.Hosts[i].Drives))]
		}
		f.Hosts = f.Hosts[:min(2, len(f.Hosts))]
		golden(t, c.name+".json", whole(f))
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (renew with -update): %s", name, d)
	}
}

func TestCounts(t *testing.T) {
	f, err := Read(mems(it.Air().Report()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := f.DriveCount(); n != 8*12+4*10+12 {
		t.Errorf("%d drives, want 136 with data and 12 shared by databases", n)
	}
	if f.Sizes.Raw != 96*4e12+40*6e12 {
		t.Errorf("raw %d", f.Sizes.Raw)
	}
	if got := f.Sizes.Stored; got != 118e12+24e12+900e6 {
		t.Errorf("stored %d", got)
	}
	var sum int
	for _, b := range f.Fleet {
		sum += b.Count
	}
	if sum != f.DriveCount() {
		t.Errorf("batches have %d drives, hosts %d", sum, f.DriveCount())
	}
}

func TestNamesAreDropped(t *testing.T) {
	for _, c := range fixtures {
		f, err := Read(mems(c.docs...), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range append(it.Secrets, "SECR", "7SABC123", "8CG00001", ".json") {
			if bytes.Contains(whole(f), []byte(secret)) {
				t.Errorf("%s: keeps %q", c.name, secret)
			}
		}
	}
	f, err := Read(mems(it.TwoSites().Report()), Options{KeepNames: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hel-ceph01", "paris-north", "customer-backup"} {
		if !bytes.Contains(whole(f), []byte(name)) {
			t.Errorf("does not keep %q when asked", name)
		}
	}
	for _, secret := range []string{"AQSECRETKEY", "10.77."} {
		if bytes.Contains(whole(f), []byte(secret)) {
			t.Errorf("keeps %q", secret)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "is empty"},
		{"blank", " \n ", "is empty"},
		{"report line alone", "report 123456\n", "is empty"},
		{"prose", "hello\nworld\n", "is no kind of file"},
		{"other JSON", `{"hello": 1}`, "has members hello"},
		{"mc error", `{"status":"error","error":{"message":"Access Denied."}}`, "error that `mc` printed"},
		{"utf-16", "\xff\xfe{\x00", "UTF-16"},
		{"gzip", "\x1f\x8b\x08nonsense", "gzip"},
		{"no drives", `{"blockdevices": []}`, "no drive was found"},
		{"short line", "model,count,capacity\nST16000NM001G,12\n", "line 2 has 2 columns"},
		{"bad count", "model,count,capacity\nST16000NM001G,many,16TB\n", `line 2: count "many"`},
		{"bad capacity", "model,count,capacity\nST16000NM001G,1,big\n", `line 2: capacity "big"`},
		{"readings", "# HELP kepler_platform_watts x\nkepler_platform_watts 1\n", "wattle calibrate"},
		{"no servers", `{"info":{"mode":"offline"},"status":"success"}`, "names no servers"},
		{"cut", `{"osdmap": {"pools": [{"pool": 1`, "ends at byte 32 in the middle"},
		{"broken", `{"osdmap": {]}`, "no sound JSON at byte 12"},
		{"deep", `{"osdmap": ` + strings.Repeat("[", 20000), "no sound JSON"},
	} {
		_, err := Read([]File{mem("dump.json", []byte(c.text))}, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v is no ErrInput", c.name, err)
		}
	}
	if _, err := Read(mems(it.MinIO(), it.Air().Report()), Options{}); err == nil || !strings.Contains(err.Error(), "two clusters") {
		t.Errorf("two clusters: %v", err)
	}
}

func TestTalkAround(t *testing.T) {
	want, err := Read(mems(it.Air().Report()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{
		append([]byte("report 2789123\n"), it.Air().Report()...),
		append([]byte("\xef\xbb\xbf"), it.Air().Report()...),
		append(it.Air().Report(), "\nreport 2789123\n"...),
	} {
		got, err := Read([]File{mem("x", text)}, Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		if d := cmp.Diff(want.Sizes, got.Sizes); d != "" {
			t.Error(d)
		}
	}
}

// TestTruncated cuts each fixture at 100 places: an error, or a note that the end is open.
func TestTruncated(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range fixtures {
		doc := c.docs[0]
		end := len(bytes.TrimRight(doc, "\n"))
		for range 100 {
			cut := rng.IntN(end)
			f, err := Read([]File{mem("cut", doc[:cut])}, Options{})
			if err == nil && !strings.Contains(strings.Join(texts(f.Missing), "\n"), "the last line has no end") {
				// at the end of a line of CSV nothing shows
				if cut == 0 || doc[cut-1] != '\n' || doc[0] == '{' || doc[0] == '[' {
					t.Errorf("%s cut at %d of %d: no error", c.name, cut, len(doc))
				}
			}
		}
	}
}

// TestSwapped gives values of each JSON fixture another type, 100 times: whatever changes in
// the totals is noted.
func TestSwapped(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, c := range fixtures {
		var v any
		if json.Unmarshal(bytes.ReplaceAll(c.docs[0], []byte("nan,"), []byte("0,")), &v) != nil {
			continue
		}
		v = prune(v) // small, so that swaps hit what matters
		base, _ := json.Marshal(v)
		want, err := Read(append([]File{mem("x", base)}, mems(c.docs[1:]...)...), Options{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for range 100 {
			var w any
			_ = json.Unmarshal(base, &w)
			path := swap(rng, &w, "")
			doc, _ := json.Marshal(w)
			got, err := Read(append([]File{mem("x", doc)}, mems(c.docs[1:]...)...), Options{})
			if err != nil {
				continue
			}
			if math.Abs(got.Sizes.Fill-want.Sizes.Fill) < 1e-9 { // sums of floats in another order
				got.Sizes.Fill = want.Sizes.Fill
			}
			if cmp.Equal(want.Sizes, got.Sizes) && want.DriveCount() == got.DriveCount() {
				continue
			}
			if cmp.Equal(texts(want.Missing), texts(got.Missing)) && cmp.Equal(texts(want.Guessed), texts(got.Guessed)) {
				t.Errorf("%s: %s swapped changes %+v to %+v without a word", c.name, path, want.Sizes, got.Sizes)
			}
		}
	}
}

// prune keeps few elements of long lists.
func prune(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k := range x {
			x[k] = prune(x[k])
		}
	case []any:
		if len(x) > 30 {
			x = x[:30]
		}
		for i := range x {
			x[i] = prune(x[i])
		}
		return x
	}
	return v
}

// swap changes the type of a random value and returns its path.
func swap(rng *rand.Rand, v *any, path string) string {
	stop := rng.IntN(4) == 0 && path != ""
	switch x := (*v).(type) {
	case map[string]any:
		if keys := sortedKeys(x); len(keys) > 0 && !stop {
			k := keys[rng.IntN(len(keys))]
			w := x[k]
			p := swap(rng, &w, path+"."+k)
			x[k] = w
			return p
		}
	case []any:
		if len(x) > 0 && !stop {
			return swap(rng, &x[rng.IntN(len(x))], path+"[]")
		}
	}
	others := []any{true, "x", 1.5, -7.0, []any{}, map[string]any{}, nil, 1e30}
	*v = others[rng.IntN(len(others))]
	return path
}

func TestLarge(t *testing.T) {
	f, err := Read(mems(it.Large(424, 8<<20).Report()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if f.DriveCount() != 424 {
		t.Errorf("%d drives", f.DriveCount())
	}
}

func BenchmarkReport50MB(b *testing.B) {
	doc := it.Large(424, 50<<20).Report()
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if _, err := Read(mems(doc), Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleRead() {
	dump := it.Smart("HGST HUH721010ALE604", "7SABC123", 10000831348736, 32564, 128, true, false)
	f, err := Read([]File{mem("sda.json", dump)}, Options{})
	if err != nil {
		panic(err)
	}
	b := f.Fleet[0]
	fmt.Println(b.Count, b.Model, b.Technology, b.How, b.Profile)
	// Output: 1 HGST HUH721010ALE604 helium exact hgst-he10-10tb
}
