#!/bin/sh
# Measures `wattle serve` (rs:12+4, synced) over S3 in turn with the null backend, which is the
# front end with nothing behind it, on a fresh ext4 image and on a tmpfs; the last column is the
# median over the rounds of wattle's rate over the null backend's. Needs root (loop mounts), 12 GB
# of memory for the tmpfs and 12 GB of disk. Usage: scripts/s3-bench.sh [ROUNDS [SECONDS]]
# SIZES, CONCURRENCY, FILESYSTEMS and ETAG choose less.
set -eu
rounds=${1:-5} seconds=${2:-2}
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
serve= null=
cleanup() {
	for p in $serve $null; do kill "$p" 2>/dev/null && wait "$p" || true; done
	umount "$work/ext4" "$work/tmpfs" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT INT TERM
(cd "$here" && go build -o "$work/" ./cmd/wattle ./bench/null)
export WATTLE_ROOT_USER=bench WATTLE_ROOT_PASSWORD=bench-secret AWS_ACCESS_KEY_ID=bench AWS_SECRET_ACCESS_KEY=bench-secret
up() {
	for _ in $(seq 100); do
		if curl -s -o "$work/answer" "http://127.0.0.1:$1/"; then return; fi
		sleep 0.1
	done
	echo "nothing answers on port $1" >&2
	exit 1
}
mkdir "$work/ext4" "$work/tmpfs"
truncate -s 12G "$work/image"
mkfs.ext4 -q -F "$work/image"
mount -o loop "$work/image" "$work/ext4"
mount -t tmpfs -o size=12G tmpfs "$work/tmpfs"
"$work/null" 127.0.0.1:19001 &
null=$!
up 19001
for fs in ${FILESYSTEMS:-ext4 tmpfs}; do
	"$work/wattle" -q init --dir "$work/$fs/cluster" --sites 1 --racks 1 --hosts 16 --disks 1 --capacity 1TB --scheme rs:12+4
	"$work/wattle" serve --dir "$work/$fs/cluster" --listen 127.0.0.1:19000 --log none --etag "${ETAG:-md5}" >"$work/log" &
	serve=$!
	up 19000
	echo "== $fs"
	"$work/wattle" -q bench --s3 http://127.0.0.1:19000 --against http://127.0.0.1:19001 --size "${SIZES:-4KiB,64KiB,1MiB,16MiB}" \
		--concurrency "${CONCURRENCY:-8,32}" --rounds "$rounds" --seconds "$seconds" --keys "${KEYS:-0}"
	kill "$serve" && wait "$serve" || true
	serve=
	rm -rf "$work/$fs/cluster"
done
