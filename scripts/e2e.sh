#!/usr/bin/env bash
# e2e: use `wattle serve` through real clients and compare what comes back: sound, with a site
# failed, and after kill -9 in the middle of an upload. Clients that are not installed are named
# and passed over; Debian has awscli, s3cmd, rclone, restic, python3-boto3, curl. With ROUNDS=sound
# only the sound cluster is used.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d); server=
trap '[ -z "$server" ] || kill -9 $server 2>/dev/null || true; rm -rf "$work"' EXIT
go build -o "$work/wattle" ./cmd/wattle
(cd e2e && go build -o "$work/e2e" .)
export WATTLE_DIR=$work/cluster WATTLE_ROOT_USER=e2ekey WATTLE_ROOT_PASSWORD=e2esecret123
export AWS_ACCESS_KEY_ID=$WATTLE_ROOT_USER AWS_SECRET_ACCESS_KEY=$WATTLE_ROOT_PASSWORD AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
export HOME=$work
unset AWS_CA_BUNDLE AWS_PROFILE
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
export WATTLE_URL=http://127.0.0.1:$port
AWS=/usr/bin/aws; [ -x $AWS ] || AWS=aws
failures=0

start() {
	"$work/wattle" serve --listen 127.0.0.1:$port --log none >"$work/serve.log" 2>&1 & server=$!
	for _ in $(seq 100); do
		curl -sf "$WATTLE_URL/readyz" >/dev/null && return
		kill -0 $server 2>/dev/null || { cat "$work/serve.log"; exit 1; }
		sleep 0.1
	done
	echo "the server does not answer"; cat "$work/serve.log"; exit 1
}
stop() { kill -TERM $server; wait $server; server=; }
digests() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }
same() { diff <(digests "$1") <(digests "$2"); }

# client NAME COMMAND...: runs a round trip if the client is there.
client() {
	local name=$1 program=$2; shift 2
	if ! command -v "$program" >/dev/null; then echo "-- $name: $program is not installed"; return; fi
	( set -euo pipefail; "$@" ) >"$work/out" 2>&1 & # not in the condition itself, where -e does nothing
	if wait $!; then echo "ok $name ($round)"; else echo "FAILED $name ($round)"; tail -20 "$work/out"; failures=$((failures + 1)); fi
}

aws_cli() {
	local b=s3://aws-$round e="$AWS --endpoint-url $WATTLE_URL"
	$e s3 mb $b
	$e s3 sync --quiet "$work/tree" $b/tree
	$e s3 sync --quiet $b/tree "$work/aws-back"; same "$work/tree" "$work/aws-back"
	$e s3 cp --quiet "$work/big" $b/big; $e s3 cp --quiet $b/big - | cmp - "$work/big"
	$e s3 mv --quiet $b/big $b/moved; $e s3 cp --quiet $b/moved - | cmp - "$work/big"
	$e s3api head-object --bucket aws-$round --key moved | grep -q '"ContentLength": 41943047'
	local url; url=$($e s3 presign $b/moved); curl -sf "$url" | cmp - "$work/big"
	[ "$($e s3 ls --recursive $b/tree | wc -l)" = "$(find "$work/tree" -type f | wc -l)" ]
	$e s3 rm --quiet --recursive $b; $e s3 rb $b
}
s3cmd_() {
	local s="s3cmd --no-progress --host=127.0.0.1:$port --host-bucket=127.0.0.1:$port --no-ssl --access_key=$AWS_ACCESS_KEY_ID --secret_key=$AWS_SECRET_ACCESS_KEY" b=s3://s3cmd-$round
	$s mb $b; $s sync "$work/tree/" $b/tree/ ; mkdir -p "$work/s3cmd-back"; $s sync $b/tree/ "$work/s3cmd-back/"; same "$work/tree" "$work/s3cmd-back"
	$s put "$work/big" $b/big; $s get --force $b/big "$work/s3cmd-big"; cmp "$work/big" "$work/s3cmd-big"
	$s info $b/big; $s cp $b/big $b/copy; $s del --recursive --force $b/; $s rb $b
}
rclone_() {
	export RCLONE_CONFIG_W_TYPE=s3 RCLONE_CONFIG_W_PROVIDER=Other RCLONE_CONFIG_W_ENDPOINT=$WATTLE_URL RCLONE_CONFIG_W_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID RCLONE_CONFIG_W_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY
	rclone sync "$work/tree" w:rclone-$round/tree; rclone check "$work/tree" w:rclone-$round/tree
	rclone copy "$work/big" w:rclone-$round --s3-chunk-size 8M; rclone cat w:rclone-$round/big | cmp - "$work/big"
	rclone copy w:rclone-$round/tree "$work/rclone-back"; same "$work/tree" "$work/rclone-back"
	rclone check --download "$work/tree" w:rclone-$round/tree; rclone purge w:rclone-$round
}
boto3() { WORK=$work ROUND=$round python3 scripts/e2e.py; }
restic_() {
	export RESTIC_REPOSITORY=s3:$WATTLE_URL/restic-$round RESTIC_PASSWORD=x
	restic init; restic backup "$work/tree"; echo more >"$work/tree/more.$round"; restic backup "$work/tree"; restic check --read-data
	restic restore latest --target "$work/restic-back"; same "$work/tree" "$work/restic-back$work/tree"; restic forget --keep-last 1 --prune; restic check
}
go_() { "$work/e2e"; }
# keep leaves objects behind that later rounds look at again.
keep() {
	local e="$AWS --endpoint-url $WATTLE_URL"
	$e s3 mb s3://kept; $e s3 sync --quiet "$work/kept" s3://kept
}
kept() {
	local e="$AWS --endpoint-url $WATTLE_URL"
	rm -rf "$work/kept-back"; $e s3 sync --quiet s3://kept "$work/kept-back"; same "$work/kept" "$work/kept-back"
}
# survived: the kept objects are there, and nothing of what was on its way.
survived() {
	local e="$AWS --endpoint-url $WATTLE_URL" k
	for k in never never2; do if $e s3api head-object --bucket kept --key $k; then echo "$k is there"; return 1; fi; done
	kept
}
clients() {
	client "aws CLI" $AWS aws_cli; client s3cmd s3cmd s3cmd_; client rclone rclone rclone_
	client boto3 python3 boto3; client restic restic restic_; client "minio-go, aws-sdk-go-v2" go go_
}

mkdir -p "$work/tree/deep/er" "$work/kept"
head -c 41943047 /dev/urandom >"$work/big"
for i in $(seq 60); do head -c $((i * 977)) /dev/urandom >"$work/tree/deep/f $i"; done
echo plus >"$work/tree/deep/er/a+b & c"; : >"$work/tree/empty"; head -c 9000000 /dev/urandom >"$work/tree/nine"
cp -r "$work/tree/deep" "$work/tree/nine" "$work/kept"

"$work/wattle" init --quiet
start; round=sound; clients
if [ "${ROUNDS:-all}" = sound ]; then
	stop; [ $failures = 0 ] || { echo "$failures failed"; exit 1; }
	exit 0
fi
client "kept objects" $AWS keep
stop; "$work/wattle" fail site site2 --quiet
start; round=degraded; clients; client "kept objects" $AWS kept
stop; "$work/wattle" restore site site2 --quiet; "$work/wattle" repair --quiet

start; round=killed
$AWS configure set default.s3.max_bandwidth 8MB/s
$AWS --endpoint-url $WATTLE_URL s3 cp --quiet "$work/big" s3://kept/never >/dev/null 2>&1 & one=$!
curl -s --limit-rate 8M --aws-sigv4 aws:amz:us-east-1:s3 --user $AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
	-T "$work/big" "$WATTLE_URL/kept/never2" >/dev/null & two=$!
sleep 2.5; kill -9 $server; wait $server 2>/dev/null || true
if wait $one || wait $two; then echo "an upload was over before the kill"; exit 1; fi
$AWS configure set default.s3.max_bandwidth 1GB/s
start; client "kept objects" $AWS survived; client "aws CLI" $AWS aws_cli
stop
rm "$WATTLE_DIR"/catalog.db*; "$work/wattle" recover --quiet >/dev/null
start; round=recovered; client "kept objects" $AWS survived; stop
[ $failures = 0 ] || { echo "$failures failed"; exit 1; }
