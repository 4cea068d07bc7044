#!/bin/sh
# Tells the peak memory of `wattle serve` (rs:12+4) with 64 uploads at a time of which each has
# announced 1 GiB. They are broken off after SECONDS (by default 30), since all of them would
# take 90 GB; of those nothing may stay. As many of 64 MiB, announced, are then sent to their
# end. Fails above 300 MiB. Needs curl, and some 25 GB of disk below $TMPDIR.
# Usage: scripts/uploads.sh [SECONDS]
set -eu
seconds=${1:-30} uploads=64 port=19000
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
server= clients=
cleanup() {
	for p in $clients $server; do kill "$p" 2>/dev/null && wait "$p" || true; done
	rm -rf "$work"
}
trap cleanup EXIT INT TERM
(cd "$here" && go build -o "$work/wattle" ./cmd/wattle)
export WATTLE_ROOT_USER=memory WATTLE_ROOT_PASSWORD=memory-secret WATTLE_DIR="$work/cluster"
"$work/wattle" -q init --sites 1 --racks 1 --hosts 16 --disks 1 --scheme rs:12+4 >"$work/log"
"$work/wattle" -q serve --listen 127.0.0.1:$port --log none >"$work/log" 2>&1 &
server=$!
for _ in $(seq 100); do
	if curl -s -o "$work/answer" "http://127.0.0.1:$port/readyz"; then break; fi
	sleep 0.1
done
s3() { exec curl -s --fail --aws-sigv4 aws:amz:us-east-1:s3 --user "$WATTLE_ROOT_USER:$WATTLE_ROOT_PASSWORD" -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" -H "Expect:" "$@"; }
peak() { awk '/VmHWM/ {print $2}' "/proc/$server/status"; }
send() { # SIZE NAME: 64 uploads at a time, in the background
	truncate -s "$1" "$work/body"
	clients=
	for i in $(seq $uploads); do
		s3 -m 300 -T "$work/body" "http://127.0.0.1:$port/bucket/$2/$i" >>"$work/answers" &
		clients="$clients $!"
	done
}
(s3 -X PUT "http://127.0.0.1:$port/bucket" >"$work/answer")
send 1G broken
sleep "$seconds"
under=$(for p in $clients; do kill -0 "$p" 2>/dev/null && echo "$p"; done | wc -l)
echo "after $seconds s: $under uploads of 1 GiB under way, $(du -sm "$WATTLE_DIR" | cut -f1) MiB on the disks, peak $(peak) KiB"
for p in $clients; do kill -9 "$p" 2>/dev/null && wait "$p" 2>/dev/null || true; done
send 64M whole
for p in $clients; do wait "$p"; done
clients=
broken=$("$work/wattle" ls bucket/broken/ | wc -l)
whole=$("$work/wattle" ls bucket/whole/ | wc -l)
echo "$whole uploads of 64 MiB done, of those broken off $broken are there; peak $(peak) KiB"
test "$under" -eq $uploads && test "$whole" -eq $uploads && test "$broken" -eq 0 && test "$(peak)" -lt 307200
