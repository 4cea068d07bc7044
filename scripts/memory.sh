#!/bin/sh
# Streams 4 GiB through put and get and tells the peak memory of each, in KiB. Fails above
# 256 MiB. Needs GNU time and 16 GB of disk below $TMPDIR.
set -eu
size=${1:-4294967296}
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
(cd "$here" && go build -o "$work/wattle" ./cmd/wattle)
export WATTLE_DIR="$work/cluster"
"$work/wattle" -q init --sites 1 --racks 1 --hosts 14 --disks 1 --scheme rs:10+4
"$work/wattle" -q mb bucket
source() { openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c "$size"; }
peak() { awk '/Maximum resident/ {print $NF}' "$1"; }
source | /usr/bin/time -v -o "$work/put.time" "$work/wattle" -q put - bucket/large
/usr/bin/time -v -o "$work/get.time" "$work/wattle" -q get bucket/large - | sha256sum >"$work/got"
source | sha256sum >"$work/want"
cmp "$work/want" "$work/got"
echo "put: $(peak "$work/put.time") KiB, get: $(peak "$work/get.time") KiB"
test "$(peak "$work/put.time")" -lt 262144 && test "$(peak "$work/get.time")" -lt 262144
