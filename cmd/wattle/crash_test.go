package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wattle-storage/wattle/cluster"
)

var (
	crashes   = flag.Int("crash.n", 12, "processes that TestCrash kills")
	crashSeed = flag.Uint64("crash.seed", 1, "what TestCrash does")
	crashTime = flag.Duration("crash.time", 0, "stop TestCrash after this long; 0 for never")
)

// A crashTest runs the command in processes of their own, kills some of them at a random
// moment, and holds what is read afterwards against what was acknowledged.
type crashTest struct {
	t     *testing.T
	rng   *rand.Rand
	dir   string                   // of the cluster
	other string                   // of its standby
	tmp   string                   // for files
	may   map[string][]sum         // by key: what may be there; the zero sum is nothing
	took  map[string]time.Duration // by kind of command: how long it takes

	runs, kills, acked, reads int
	killed                    map[string]int
}

type sum [sha256.Size]byte

// memoryDir is a directory in memory where that is had: a killed process loses nothing that
// the kernel has, so that there is no need to wait for a disk.
func memoryDir(t *testing.T) string {
	if _, err := os.Stat("/dev/shm"); err != nil {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "wattle-crash-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// crashSchemes are those of the clusters of TestCrash, by the seed, and their disks a site.
var crashSchemes = []struct{ scheme, disks string }{{"rs:2+2", "2"}, {"lrc:4+2+2", "3"}, {"replica:3", "1"}}

// newCrashTest makes a cluster: of which scheme, and whether it is encrypted, says the seed.
func newCrashTest(t *testing.T, dir, tmp string) *crashTest {
	c := &crashTest{t: t, rng: rand.New(rand.NewPCG(*crashSeed, 0)), dir: filepath.Join(dir, "c"), other: filepath.Join(dir, "standby"), tmp: tmp,
		may: map[string][]sum{}, took: map[string]time.Duration{}, killed: map[string]int{}}
	var encrypt []string
	if *crashSeed%4 == 0 {
		t.Setenv("WATTLE_KEY_FILE", filepath.Join(tmp, "keys"))
		encrypt = []string{"--encrypt"}
	}
	kind := crashSchemes[(*crashSeed+2)%3]
	c.must(append([]string{"init", "--sites", "3", "--racks", "1", "--hosts", "1", "--disks", kind.disks, "--scheme", kind.scheme, "--capacity", "1GB"}, encrypt...)...)
	c.must("mb", "bucket")
	return c
}

// run runs a command to its end.
func (c *crashTest) run(args ...string) (code int, said string) {
	c.runs++
	start := time.Now()
	cmd := exec.Command("wattle", append([]string{"--dir", c.dir}, args...)...)
	out, err := cmd.CombinedOutput()
	c.took[args[0]] = (3*c.took[args[0]] + time.Since(start)) / 4
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("wattle %v: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func (c *crashTest) must(args ...string) {
	c.t.Helper()
	if code, said := c.run(args...); code != 0 && code != 5 {
		c.t.Fatalf("wattle %s: exit code %d\n%s", strings.Join(args, " "), code, said)
	}
}

// kill runs a command and kills it within twice the time that it takes. It tells whether the command
// had ended well before that, and whether it was refused.
func (c *crashTest) kill(args ...string) (done, refused bool) {
	c.t.Helper()
	c.runs++
	most := c.took[args[0]]
	if most == 0 {
		most = 50 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.rng.Int64N(2*int64(most))))
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "wattle", append([]string{"--dir", c.dir}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	_ = cmd.Run()                // its state says how it ended
	if cmd.ProcessState == nil { // killed before it began
		return false, false
	}
	switch code := cmd.ProcessState.ExitCode(); {
	case code == -1:
		c.kills++
		c.killed[args[0]]++
		return false, false
	case code == 0 || code == 5: // the deadline may have passed as it ended
		c.took[args[0]] = (3*c.took[args[0]] + time.Since(start)) / 4
		c.acked++
		return true, false
	case code == 4:
		return false, true
	default:
		c.t.Fatalf("wattle %s: exit code %d\n%s", strings.Join(args, " "), code, &out)
		return false, false
	}
}

// change records what a change of a key may have left.
func (c *crashTest) change(key string, d sum, done bool) {
	if done {
		c.may[key] = []sum{d}
		return
	}
	if len(c.may[key]) == 0 {
		c.may[key] = []sum{{}}
	}
	c.may[key] = append(c.may[key], d)
}

func (c *crashTest) key() string { return fmt.Sprintf("f%02d", c.rng.IntN(20)) }

// put stores a tree of some files, or one file of many stripes.
func (c *crashTest) put() {
	dir := filepath.Join(c.tmp, "put")
	os.RemoveAll(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	files := map[string]sum{}
	most, n := 20_000, 1+c.rng.IntN(6)
	if c.rng.IntN(4) == 0 {
		most, n = 3_000_000, 1
	}
	for range n {
		p := make([]byte, c.rng.IntN(most))
		rand.NewChaCha8([32]byte{byte(c.rng.Uint64()), byte(c.rng.Uint64()), byte(c.rng.Uint64()), byte(c.rng.Uint64())}).Read(p)
		key := c.key()
		files[key] = sha256.Sum256(p)
		if err := os.WriteFile(filepath.Join(dir, key), p, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	done, _ := c.kill("put", "-r", dir, "bucket/p")
	for key, d := range files {
		c.change(key, d, done)
	}
}

func (c *crashTest) remove() {
	key := c.key()
	done, missing := c.kill("rm", "bucket/p/"+key)
	if !missing {
		c.change(key, sum{}, done)
	} else if len(c.may[key]) > 0 && !slices.Contains(c.may[key], sum{}) {
		c.t.Fatalf("%s is gone", key)
	}
}

// copy copies a key of which is known what it holds.
func (c *crashTest) copy() {
	from, to := c.key(), c.key()
	if len(c.may[from]) != 1 || c.may[from][0] == (sum{}) {
		return
	}
	done, missing := c.kill("cp", "bucket/p/"+from, "bucket/p/"+to)
	if missing {
		c.t.Fatalf("%s is gone", from)
	}
	c.change(to, c.may[from][0], done)
}

// repair kills a repair with a disk out of service, and a scrub that checks it once it is back.
func (c *crashTest) repair() {
	disk := c.disk()
	c.must("fail", disk)
	if c.rng.IntN(2) == 0 {
		c.put()
	}
	c.kill("repair")
	c.check()
	c.must("restore", disk)
	c.kill("repair")
	c.must("repair")
	c.kill("rebalance")
}

// disks names the disks of the map that are not on their way out.
func (c *crashTest) disks() (names []string) {
	code, said := c.run("status", "--json", "--quiet")
	var st cluster.Status
	if err := json.Unmarshal([]byte(said), &st); code != 0 || err != nil {
		c.t.Fatalf("status: exit code %d, %v\n%s", code, err, said)
	}
	for _, site := range st.Sites {
		for _, d := range site.Disks {
			if !d.Draining {
				names = append(names, d.Name)
			}
		}
	}
	return names
}

func (c *crashTest) disk() string {
	names := c.disks()
	return names[c.rng.IntN(len(names))]
}

// replace kills the change of a disk, lost or not, for a new one, and the moves that it asks for.
func (c *crashTest) replace() {
	disk := c.disk()
	lost := c.rng.IntN(3) == 0
	if lost {
		c.must("fail", disk)
	}
	c.kill("replace", disk)
	if c.rng.IntN(2) == 0 {
		c.put()
	}
	c.check()
	c.kill("rebalance")
	c.check()
	c.must("rebalance")
	if code, _ := c.run("restore", disk); lost && code != 0 && slices.Contains(c.disks(), disk) {
		c.t.Fatalf("restore %s: exit code %d", disk, code)
	}
	c.must("repair")
}

// recover kills a recovery, from the disks alone or from the standby, and then lets one come to
// its end.
func (c *crashTest) recover() {
	if c.rng.IntN(2) == 0 {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			os.Remove(filepath.Join(c.dir, "catalog.db"+suffix))
		}
	}
	how := []string{"recover"}
	if _, err := os.Stat(c.other); err == nil && c.rng.IntN(2) == 0 {
		how = []string{"standby", "--promote", c.other}
	}
	for range 1 + c.rng.IntN(2) {
		c.kill(how...)
	}
	c.must(how...)
}

// read reads all by scripts/read.py, which knows nothing but the format on disk, and compares.
func (c *crashTest) read() {
	if exec.Command("python3", "-c", "import cryptography").Run() != nil {
		return
	}
	out := filepath.Join(c.tmp, "read")
	os.RemoveAll(out)
	if said, err := exec.Command("python3", "../../scripts/read.py", c.dir, out).CombinedOutput(); err != nil {
		c.t.Fatalf("read.py: %v\n%s", err, said)
	}
	c.reads++
	seen := map[string]sum{}
	files, _ := os.ReadDir(filepath.Join(out, "bucket/p"))
	for _, f := range files {
		seen[f.Name()] = sumOf(c.t, filepath.Join(out, "bucket/p", f.Name()))
	}
	for key, may := range c.may {
		if len(may) == 1 && may[0] != seen[key] {
			c.t.Fatalf("%s, read from the disks alone, is not what it was; there: %v; seed %d, after %d kills", key, seen[key] != sum{}, *crashSeed, c.kills)
		}
	}
	if len(seen) > len(c.may) {
		c.t.Fatalf("read from the disks alone: %d objects, at most %d were put", len(seen), len(c.may))
	}
}

// ship kills the standby as it catches up; now and then it comes to its end.
func (c *crashTest) ship() {
	c.kill("standby", "--once", c.other)
	if c.rng.IntN(3) == 0 || !c.followed() {
		c.must("standby", "--once", c.other)
	}
}

// followed tells whether there is a copy to take over from.
func (c *crashTest) followed() bool {
	list, err := filepath.Glob(filepath.Join(c.other, "*.db"))
	return err == nil && len(list) > 0
}

func sumOf(t *testing.T, path string) sum {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(p)
}

// check reads all and compares.
func (c *crashTest) check() {
	out := filepath.Join(c.tmp, "get")
	os.RemoveAll(out)
	if code, said := c.run("get", "-r", "bucket/p", out); code != 0 && code != 5 && !(code == 4 && len(c.may) == 0 || code == 4 && c.allMayBeGone()) {
		c.t.Fatalf("get: exit code %d\n%s", code, said)
	}
	seen := map[string]sum{}
	files, _ := os.ReadDir(out)
	for _, f := range files {
		p, err := os.ReadFile(filepath.Join(out, f.Name()))
		if err != nil {
			c.t.Fatal(err)
		}
		seen[f.Name()] = sha256.Sum256(p)
	}
	for key, may := range c.may {
		if !slices.Contains(may, seen[key]) {
			c.t.Fatalf("%s is none of the %d things that it may be; there: %v; seed %d, after %d kills", key, len(may), seen[key] != sum{}, *crashSeed, c.kills)
		}
		c.may[key] = []sum{seen[key]}
	}
	for key := range seen {
		if c.may[key] == nil {
			c.t.Fatalf("%s is there, and was never put", key)
		}
	}
}

func (c *crashTest) allMayBeGone() bool {
	for _, may := range c.may {
		if !slices.Contains(may, sum{}) {
			return false
		}
	}
	return true
}

// TestCrash kills the command with SIGKILL at random moments of puts, deletes, copies, repairs,
// rebalances, replacements of disks, servers with clients, scrubs, compactions, recoveries, standbys and promotions, and compares what is there by digest. A recovery may bring
// back, whole, the last change of a process that was killed; it is asked for only after others
// came to their end.
func TestCrash(t *testing.T) {
	c := newCrashTest(t, memoryDir(t), t.TempDir())
	start := time.Now()
	for i := 0; c.kills < *crashes && (*crashTime == 0 || time.Since(start) < *crashTime); i++ {
		switch c.rng.IntN(25) {
		case 0:
			c.repair()
		case 1:
			c.kill("scrub", "--parity")
		case 2:
			c.kill("compact")
		case 3:
			c.check()
			c.must("put", os.Args[0], "bucket/last") // so that nothing before it is uncertain
			c.must("rm", "bucket/last")
			c.read()
			c.recover()
		case 20, 21:
			c.ship()
		case 22:
			c.replace()
		case 23, 24:
			c.serve()
		case 4, 5, 6:
			c.remove()
		case 7, 8:
			c.copy()
		case 9:
			c.kill("get", "-r", "bucket/p", filepath.Join(c.tmp, "killed"))
		default:
			c.put()
		}
		c.check()
	}
	c.must("repair")
	c.must("scrub", "--parity")
	c.check()
	t.Logf("%d processes, %d killed %v, %d changes acknowledged, %d keys whole of %s, read %d times without Wattle, in %v", c.runs, c.kills, c.killed, c.acked, len(c.may), crashSchemes[(*crashSeed+2)%3].scheme, c.reads, time.Since(start).Round(time.Second))
}

// TestFullFileSystem fills the file system that all disks share, remounts it for reading
// only, and finds all that was acknowledged, each time. It needs to be allowed to mount.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "none", dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v, %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	c := newCrashTest(t, dir, t.TempDir())
	refused := 0
	file := filepath.Join(c.tmp, "file")
	for i := 0; i < 200 && refused < 5; i++ {
		p := make([]byte, c.rng.IntN(400_000))
		rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(p)
		if err := os.WriteFile(file, p, 0o600); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprintf("f%02d", i%60)
		code, said := c.run("put", file, "bucket/p/"+key)
		if code != 0 {
			refused++
			if !strings.Contains(said, "space") && !strings.Contains(said, "full") {
				t.Errorf("a put on a full file system: exit code %d\n%s", code, said)
			}
		}
		c.change(key, sha256.Sum256(p), code == 0)
	}
	if refused == 0 {
		t.Fatal("the file system did not fill")
	}
	c.check()
	others := filepath.Join(dir, "others") // fill it to the last byte
	if err := os.WriteFile(others, make([]byte, 64<<20), 0o600); err == nil {
		t.Fatal("the file system is not full")
	}
	for i := range 60 {
		key := fmt.Sprintf("f%02d", i)
		if c.may[key] != nil && c.may[key][0] != (sum{}) && i%2 == 0 {
			c.must("rm", "bucket/p/"+key)
			c.change(key, sum{}, true)
		}
	}
	c.check()
	if err := os.Remove(others); err != nil {
		t.Fatal(err)
	}
	c.must("put", file, "bucket/p/"+"f59")
	c.change("f59", sumOf(t, file), true)
	c.check()
	if out, err := exec.Command("mount", "-o", "remount,ro", dir).CombinedOutput(); err != nil {
		t.Skipf("remount: %v, %s", err, out)
	}
	c.check()
	if code, said := c.run("put", file, "bucket/p/f00"); code == 0 || !strings.Contains(said, "read-only") {
		t.Errorf("a put on a read-only file system: exit code %d\n%s", code, said)
	}
	if out, err := exec.Command("mount", "-o", "remount,rw", dir).CombinedOutput(); err != nil {
		t.Fatalf("remount: %v, %s", err, out)
	}
	c.must("compact")
	c.must("repair")
	c.check()
	t.Logf("%d refused, %d processes", refused, c.runs)
}
