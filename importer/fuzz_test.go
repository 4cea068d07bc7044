package importer

import (
	"testing"

	it "github.com/wattle-storage/wattle/importer/importertest"
)

// small is a cluster of few drives, so that fuzzing changes what matters.
func small() it.Ceph {
	c := it.TwoSites()
	c.Hosts = c.Hosts[:2]
	for i := range c.Hosts {
		c.Hosts[i].Drives, c.Hosts[i].DB = 2, "INTEL SSDPE2KX010T8"
	}
	return c
}

// fuzz runs a reader over changed texts: an error, or sums that hold.
func fuzz(f *testing.F, kind Kind, seeds ...[]byte) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		b := newBuild(Options{})
		b.most = 5000 // a line may name a million drives, which takes seconds under the fuzzer
		rc, _ := mem("x", p).Open()
		in, err := unpack(rc)
		if err != nil || in.skipTalk() != nil || b.read(kind, in) != nil {
			return
		}
		found, err := b.found()
		if err != nil {
			return
		}
		n := 0
		for _, x := range found.Fleet {
			n += x.Count
			if x.Bytes < 0 || x.AFR < 0 {
				t.Errorf("a batch of %d bytes, AFR %g", x.Bytes, x.AFR)
			}
		}
		s := found.Sizes
		if n != found.DriveCount() || s.Raw < 0 || s.Used < 0 || s.Stored < 0 || s.Usable < 0 || !(s.Fill >= 0) {
			t.Errorf("%d drives in batches, %d on hosts; %+v", n, found.DriveCount(), s)
		}
		whole(found)
	})
}

func FuzzCephReport(f *testing.F) {
	mimic := small()
	mimic.Mimic, mimic.NaN = true, true
	fuzz(f, CephReport, small().Report(), mimic.Report())
}
func FuzzCephTree(f *testing.F)     { fuzz(f, CephTree, small().Tree()) }
func FuzzCephDF(f *testing.F)       { fuzz(f, CephDF, small().DF()) }
func FuzzCephMetadata(f *testing.F) { fuzz(f, CephMetadata, small().Metadata()) }
func FuzzMinIO(f *testing.F)        { fuzz(f, MinIO, it.MinIO(), it.RustFS()) }
func FuzzSmartctl(f *testing.F) {
	fuzz(f, Smartctl, it.Smart("HGST HUH721008ALE604", "7SABC123", 8001563222016, 32564, 26000, true, false), it.Smart("", "", 0, 0, 0, false, true))
}
func FuzzLSBLK(f *testing.F) { fuzz(f, LSBLK, []byte(lsblkText)) }
func FuzzDriveCSV(f *testing.F) {
	fuzz(f, DriveCSV, []byte(backblazeText), []byte("Model;Count;Capacity_TB\nWUH721818ALE6L4;24;18\nMZQL23T8HCLS;4;3,84\n"))
}

func FuzzDetect(f *testing.F) {
	for _, c := range fixtures {
		f.Add(c.docs[0][:min(2000, len(c.docs[0]))])
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		rc, _ := mem("x", p).Open()
		if in, err := unpack(rc); err == nil {
			if kind, err := in.detect(); err == nil && kind == "" {
				t.Error("no kind and no error")
			}
		}
	})
}
