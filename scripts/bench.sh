#!/bin/sh
# Measures wattle beside a plain loop on a tmpfs and on a fresh ext4 image. Needs root (loop
# mounts), 12 GB of memory for the tmpfs and 12 GB of disk. Usage: scripts/bench.sh [ROUNDS]
set -eu
rounds=${1:-5}
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
cleanup() {
	umount "$work/ext4" "$work/tmpfs" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT INT TERM
(cd "$here" && go build -o "$work/wattle" ./cmd/wattle)
mkdir "$work/ext4" "$work/tmpfs"
truncate -s 12G "$work/image"
mkfs.ext4 -q -F "$work/image"
mount -o loop "$work/image" "$work/ext4"
mount -t tmpfs -o size=12G tmpfs "$work/tmpfs"
for fs in ext4 tmpfs; do
	echo "== $fs: one object of 1 GiB, and listing"
	"$work/wattle" -q bench --scratch "$work/$fs" --scheme rs:10+4 --size none --large 1GiB --keys 100000 --rounds "$rounds"
	echo
done
echo "== ext4: 4 KiB objects, rs:12+4"
"$work/wattle" -q bench --scratch "$work/ext4" --scheme rs:12+4 --size 4KiB --concurrency 1,8,32 --seconds 2 --large none --keys 0 --rounds "$rounds"
