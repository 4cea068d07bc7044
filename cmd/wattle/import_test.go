package main

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	it "github.com/wattle-storage/wattle/importer/importertest"
)

// fixture runs `fixture NAME FILE` and writes a dump of a cluster that does not exist.
func fixture(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: fixture NAME FILE")
	}
	air := it.Air()
	text, ok := map[string][]byte{
		"air": air.Report(), "two-sites": it.TwoSites().Report(), "minio": it.MinIO(), "rustfs": it.RustFS(), "mimic": it.Mimic().Report(),
		"tree": air.Tree(), "df": air.DF(), "metadata": air.Metadata(),
		"smart":  it.Smart("HGST HUH721010ALE604", "7SABC123", 10000831348736, 32564, 128, true, false),
		"asleep": it.Smart("", "", 0, 0, 0, false, true),
	}[args[0]]
	if !ok {
		ts.Fatalf("no fixture %q", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o644))
}
