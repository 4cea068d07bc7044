#!/usr/bin/env bash
# Grows a cluster from three to four sites and back with a tree of files in it, kills the
# rebalance in the middle, and compares. Usage: scripts/grow.sh [TREE] (default: Go's sources).
set -euo pipefail
tree=${1:-$(go env GOROOT)}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
go build -o "$work/wattle" ./cmd/wattle
export WATTLE_DIR=$work/c
w() { echo "\$ wattle $*"; "$work/wattle" "$@"; }
live() { # bytes of live shards on the disks whose path begins with $1
	"$work/wattle" status --json | awk -v site="\"$1" '
		/"name":/ { here = index($2, site) == 1 }
		/"live":/ && here { sum += $2 }
		END { printf "%d", sum }'
}
rebalance() { # to the end; how much it moved
	echo "\$ wattle rebalance"
	bytes=$("$work/wattle" rebalance --json | sed -n 's/^    "bytes": \([0-9]*\),/\1/p')
}
kill_midway() { # once some of it is done
	local pid start
	start=$(live site4/)
	"$work/wattle" rebalance -q --rate 50MB & pid=$!
	until [ "$(live site4/)" != "$start" ]; do sleep 0.1; done
	sleep 0.3
	kill -9 $pid && echo "killed -9 the rebalance"
	wait $pid 2>/dev/null || true
}
moved() { # what a kill left done, and what the next run did, beside the least
	echo "bytes moved: $1 before the kill and $2 after it, $(($1 + $2)) in all; what had to move: $3; ratio $(awk "BEGIN { printf \"%.4f\", ($1 + $2) / $3 }")"
}

w init --sites 3 --racks 2 --hosts 2 --disks 3 --scheme rs:9+6 --capacity 100GB
w mb tree
w put -r -q "$tree" tree >/dev/null
w status | sed -n 1,4p
w add site site4 --racks 2 --hosts 2 --disks 3
echo "raw bytes before: $(live site)"
kill_midway
w get -r -q tree "$work/out1"
diff -r "$tree" "$work/out1" && echo "diff -r after the kill: empty"
before=$(live site4/)
rebalance
w status
moved "$before" "$bytes" "$(($(live site) / 4))"
w get -r -q tree "$work/out2"
diff -r "$tree" "$work/out2" && echo "diff -r on four sites: empty"
w drain site4 --later
must=$(live site4/)
kill_midway
left=$(live site4/)
rebalance
w status | sed -n 1,4p
moved "$((must - left))" "$bytes" "$must"
w get -r -q tree "$work/out3"
diff -r "$tree" "$work/out3" && echo "diff -r on three sites again: empty"
