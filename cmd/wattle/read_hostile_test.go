package main

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// TestReadHostile gives scripts/read.py disks whose sums all verify and whose journals were made to
// do harm. It says what it makes of them, and writes nothing outside the directory that it was given.
func TestReadHostile(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("scripts/read.py needs python3, which is not there")
	}
	makeBucket := func(name string) []byte { return journalRecord(1, name, nil) }
	put := func(key string, size uint64, layout ...byte) []byte {
		p := binary.AppendUvarint(journalString(nil, key), size)
		return journalRecord(3, "bucket", append(append(p, 0, 0), layout...))
	}
	many := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	for name, c := range map[string]struct {
		journal []byte
		said    string
	}{
		"sound":               {journalOf(makeBucket("bucket"), put("empty", 0, 0)), "1 objects in 1 buckets"},
		"bucket that climbs":  {journalOf(makeBucket("../../evil")), "0 objects in 1 buckets"},
		"keys that climb":     {journalOf(makeBucket("bucket"), put("../../evil", 0, 0), put("/evil", 0, 0), put("a/../../../evil", 0, 0)), "3 objects"},
		"key in a file":       {journalOf(makeBucket("bucket"), put("a", 0, 0), put("a/b", 0, 0)), "2 objects"},
		"a stripe that lacks": {journalOf(makeBucket("bucket"), put("a", 9, 1, 77, 1, 9, 9)), "stripe 4d is lost"},
		"stripes past all":    {journalOf(makeBucket("bucket"), put("a", 9, append(append([]byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f}, many...), 0)...)), "1 could not be read"},
		"a key of no text":    {journalOf(makeBucket("bucket"), put("\xff\xfe", 0, 0)), "1 objects"},
		"an absurd time":      {journalOf(makeBucket("bucket"), append(append([]byte{3, 0}, many...), put("a", 0, 0)[3:]...)), "1 objects"},
		"attributes cut off":  {journalOf(makeBucket("bucket"), append(withFlag(put("a", 0, 0), 8), 2, 1, 9)), "1 batches of changes are missing"},
		"tags cut off":        {journalOf(makeBucket("bucket"), append(withFlag(put("a", 0, 0), 8), 3, 3, 1, 9)), "1 objects"},
		"too many records":    {append([]byte{1}, many...), "a count is too large"},
		"too long a record":   {append([]byte{1, 1}, many...), "ends too early"},
		"an unknown record":   {journalOf(journalRecord(99, "bucket", []byte{0})), "kind 99"},
		"another version":     {[]byte{9, 0}, "unknown version"},
		"an endless number":   {append([]byte{1}, strings.Repeat("\xff", 30)...), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			writeDisk(t, filepath.Join(root, "disk"), c.journal)
			out := filepath.Join(root, "in", "out")
			said, _ := exec.Command("python3", "../../scripts/read.py", filepath.Join(root, "disk"), out).CombinedOutput()
			if strings.Contains(string(said), "Traceback") || !strings.Contains(string(said), c.said) {
				t.Errorf("%s, want %q", said, c.said)
			}
			for dir, most := range map[string]int{root: 2, filepath.Dir(out): 1} {
				if list, err := os.ReadDir(dir); err != nil || len(list) > most {
					t.Errorf("%v lie in %s, %v", list, dir, err)
				}
			}
		})
	}
}

func journalString(p []byte, s string) []byte {
	return append(binary.AppendUvarint(p, uint64(len(s))), s...)
}

func journalRecord(kind byte, bucket string, fields []byte) []byte {
	return append(journalString([]byte{kind, 0, 0}, bucket), fields...)
}

func withFlag(record []byte, flag byte) []byte {
	record[1] |= flag
	return record
}

func journalOf(records ...[]byte) []byte {
	p := binary.AppendUvarint([]byte{1}, uint64(len(records)))
	for _, r := range records {
		p = journalString(p, string(r))
	}
	return p
}

func seeded(p []byte, seed uint64) uint64 {
	d := xxhash.NewWithSeed(seed)
	d.Write(p)
	return d.Sum64()
}

// writeDisk writes a disk with one segment of one shard, of a stripe without data, as
// doc/format.md describes it.
func writeDisk(t *testing.T, dir string, journal []byte) {
	t.Helper()
	le := binary.LittleEndian
	const generation, stripe = 7, 1<<40 | 1
	seed := func(stripe uint64, index byte, block uint32) uint64 {
		p := le.AppendUint64(le.AppendUint64(nil, generation), stripe)
		return xxhash.Sum64(le.AppendUint32(append(p, index), block))
	}
	id := strings.Repeat("ab", 16)
	p := le.AppendUint32(append([]byte("WATTLSEG"), 1, 0, 0, 0), 1)
	p = le.AppendUint64(p, generation)
	for range 2 { // cluster and disk
		p = le.AppendUint64(le.AppendUint64(p, seeded([]byte(id), 0)), seeded([]byte(id), 1))
	}
	p = le.AppendUint64(p, xxhash.Sum64(p))
	h := append([]byte("WShd"), 1, 0, 0, 1, 1, 1, 0, 0)   // a replica of one
	h = le.AppendUint32(append(h, make([]byte, 8)...), 1) // writer 1
	h = le.AppendUint64(le.AppendUint64(h, stripe), 1)    // batch 1
	h = le.AppendUint64(h, 1)                             // and committed
	h = le.AppendUint32(append(h, make([]byte, 4)...), uint32(len(journal)))
	h = append(h, make([]byte, 16)...) // and one column, empty
	h = le.AppendUint64(h, seeded(h, seed(64, 0, 0xfffffffe)))
	p = append(append(p, h...), journal...)
	p = le.AppendUint64(p, seeded(journal, seed(stripe, 0, 0xffffffff)))
	about, err := json.Marshal(map[string]any{"format": 1, "cluster": id, "disk": id})
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "segments"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "disk.json"), about, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "segments", "00000001.seg"), p, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
