#!/usr/bin/env bash
# Grows a cluster from three to four sites and back with a tree of files in it, kills the
# rebalance in the middle, and compares. Usage: scripts/grow.sh [TREE] (default: Go's sources).
set -euo pipefail
tree=${1:-$(go env GOROOT)}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
go build -o "$work/wattle" ./cmd/wattle
export WATTLE_DIR=$work/c
w() { echo "\$ wattle $*"; "$work/wattle" "$@"; }
raw() { "$work/wattle" status --json | sed -n 's/.*"raw_bytes": \([0-9]*\).*/\1/p' | head -1; }

w init --sites 3 --racks 2 --hosts 2 --disks 3 --scheme rs:9+6 --capacity 100GB
w mb tree
w put -r -q "$tree" tree >/dev/null
w status | head -4
w add site site4 --racks 2 --hosts 2 --disks 3
echo "raw bytes before: $(raw)"
"$work/wattle" rebalance --rate 300MB & pid=$!
sleep 1.5; kill -9 $pid 2>/dev/null && echo "killed -9 the rebalance"; wait $pid 2>/dev/null || true
w get -r -q tree "$work/out1"
diff -r "$tree" "$work/out1" && echo "diff -r after the kill: empty"
w rebalance
w status
w get -r -q tree "$work/out2"
diff -r "$tree" "$work/out2" && echo "diff -r on four sites: empty"
w drain site4 --later
"$work/wattle" rebalance --rate 300MB & pid=$!
sleep 1.5; kill -9 $pid 2>/dev/null && echo "killed -9 the rebalance"; wait $pid 2>/dev/null || true
w rebalance
w status | head -4
w get -r -q tree "$work/out3"
diff -r "$tree" "$work/out3" && echo "diff -r on three sites again: empty"
