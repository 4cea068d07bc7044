package cluster

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestUsage: whatever is put, copied, deleted, uploaded and completed, with versions and
// without, what is counted on the way is what the catalog sums up.
func TestUsage(t *testing.T) {
	c, _ := newMemCluster(t, InitOptions{}, 0)
	if err := c.MakeBucket(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	put(t, c, "before", randomBytes(300, 1))
	if err := c.TrackUsage(ctx); err != nil {
		t.Fatal(err)
	}
	buckets := []string{"bucket", "other"}
	var uploads []Upload
	rapid.Check(t, func(rt *rapid.T) {
		bucket := rapid.SampledFrom(buckets).Draw(rt, "bucket")
		key := fmt.Sprint(rapid.IntRange(0, 3).Draw(rt, "key"))
		p := randomBytes(rapid.IntRange(0, 3000).Draw(rt, "size"), 1)
		switch step := rapid.IntRange(0, 9).Draw(rt, "step"); {
		case step < 3:
			c.Put(ctx, bucket, key, bytes.NewReader(p), PutOptions{IfAbsent: step == 2}) //nolint:errcheck // refusals count too
		case step == 3:
			c.Copy(ctx, "bucket", "before", bucket, key, PutOptions{}) //nolint:errcheck // likewise
		case step == 4:
			c.DeleteVersion(ctx, bucket, key, DeleteOptions{}) //nolint:errcheck // likewise
		case step == 5:
			var all []Object
			c.Versions(ctx, bucket, "", "", "", func(o Object) bool { all = append(all, o); return true }) //nolint:errcheck // likewise
			if len(all) > 0 {
				o := rapid.SampledFrom(all).Draw(rt, "version")
				c.DeleteVersion(ctx, bucket, o.Key, DeleteOptions{Version: o.VersionID()}) //nolint:errcheck // likewise
			}
		case step == 6:
			c.Set(ctx, bucket, SettingVersioning, rapid.SampledFrom([]string{VersioningEnabled, VersioningSuspended}).Draw(rt, "versioning")) //nolint:errcheck // likewise
		case step == 7:
			if u, err := c.StartUpload(ctx, bucket, key, PutOptions{}); err == nil {
				uploads = append(uploads, u)
			}
		case len(uploads) > 0:
			i := rapid.IntRange(0, len(uploads)-1).Draw(rt, "upload")
			u := uploads[i]
			c.PutPart(ctx, u.Bucket, u.Key, u.ID, rapid.IntRange(1, 2).Draw(rt, "number"), bytes.NewReader(p), PutOptions{}) //nolint:errcheck // likewise
			switch rapid.IntRange(0, 3).Draw(rt, "end") {
			case 0:
				c.AbortUpload(ctx, u.Bucket, u.Key, u.ID) //nolint:errcheck // likewise
			case 1:
				parts, _ := c.Parts(ctx, u.Bucket, u.Key, u.ID, 0, 10)
				if len(parts) > 0 {
					c.CompleteUpload(ctx, u.Bucket, u.Key, u.ID, parts[:1], PutOptions{}) //nolint:errcheck // likewise
				}
			}
		}
		got, err := c.Usages(ctx)
		want, e := c.catalog.usages(ctx)
		if err != nil || e != nil || !cmp.Equal(got, want) {
			rt.Fatalf("%v, %v: %s", err, e, cmp.Diff(want, got))
		}
		one, err := c.Usage(ctx, bucket)
		if err != nil || one != want[bucket] {
			rt.Fatalf("%s: %+v, want %+v, %v", bucket, one, want[bucket], err)
		}
	})
}
