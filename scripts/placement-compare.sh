#!/usr/bin/env bash
# Lays wattle's placement beside crushtool (Debian: ceph-base) and swift-ring-builder (Debian:
# swift), where they are installed: 576 disks at 3 sites, equal and of mixed size, 10+5 with at most
# 5 a site and 1 a host, and 8+4 with 1 a host; then a host more, and a host less. All mappings are
# measured by `wattle placement metrics`. Usage: scripts/placement-compare.sh [BITS] (default 12:
# 4,096 groups; at 16 swift is left out, since it takes minutes). KINDS and TOOLS choose.
set -euo pipefail
bits=${1:-12} pgs=$((1 << ${1:-12}))
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
: "${WATTLE:=}" "${KINDS:=equal mixed}" "${TOOLS:=crushtool swift-ring-builder}"
have() { [[ " $TOOLS " == *" $1 "* ]] && command -v $1 > /dev/null; }
if [ -z "$WATTLE" ]; then WATTLE=$work/wattle; go build -o "$WATTLE" ./cmd/wattle; fi

# topology KIND CHANGE: the tree as YAML, as a crush map and as lines for swift.
topology() {
  local kind=$1 change=$2 id=0 host=0 s r h d cap profile out=$work/$1-$2
  { echo "sites:"; } > $out.yaml
  { for t in choose_local_tries:0 choose_local_fallback_tries:0 choose_total_tries:50 chooseleaf_descend_once:1 chooseleaf_vary_r:1 chooseleaf_stable:1 straw_calc_version:1; do echo "tunable ${t/:/ }"; done; } > $out.crush
  : > $out.dev; : > $out.host; : > $out.rack; : > $out.site; : > $out.swift
  for s in 1 2 3; do
    echo "  - {name: site$s, racks: [" >> $out.yaml
    echo "site site$s { id -$s" > $out.s1
    for r in 1 2 3 4; do
      echo "      {name: rack$r, hosts: [" >> $out.yaml
      echo "rack s${s}r$r { id -$((10 + 10 * s + r))" > $out.r1
      for h in 1 2 3 4 5; do
        local first=$id
        cap=10 profile=air-7w
        [ $kind = mixed ] && [ $((h % 2)) = 0 ] && cap=18 profile=helium-5w
        if [ $h = 5 ]; then
          [ $change = more ] && [ $s$r = 11 ] || continue
          first=576
        else id=$((id + 12)); fi
        [ $change = less ] && [ $s$r$h = 111 ] && continue
        host=$((100 + 100 * s + 10 * r + h))
        echo "        {name: host$h, disks: [{count: 12, id: $first, profile: $profile, capacity: ${cap}TB}]}," >> $out.yaml
        echo "host s${s}r${r}h$h { id -$host" >> $out.host
        echo " alg straw2" >> $out.host; echo " hash 0" >> $out.host
        for d in $(seq $first $((first + 11))); do
          echo "device $d osd.$d" >> $out.dev
          echo " item osd.$d weight $cap.000" >> $out.host
          echo "r${s}z${r}-10.$s.$r.$h:6000/d$d $cap" >> $out.swift
        done
        echo "}" >> $out.host
        echo " item s${s}r${r}h$h weight $((12 * cap)).000" >> $out.r1
      done
      echo "      ]}," >> $out.yaml
      { head -1 $out.r1; echo " alg straw2"; echo " hash 0"; tail -n +2 $out.r1; echo "}"; } >> $out.rack
      echo " item s${s}r$r weight $(awk '/item/ {n += $4} END {printf "%.3f", n}' $out.r1)" >> $out.s1
    done
    echo "  ]}" >> $out.yaml
    { head -1 $out.s1; echo " alg straw2"; echo " hash 0"; tail -n +2 $out.s1; echo "}"; } >> $out.site
    echo " item site$s weight $(awk '/item/ {n += $4} END {printf "%.3f", n}' $out.s1)" >> $out.root
  done
  { sort -k2n $out.dev
    printf 'type 0 osd\ntype 1 host\ntype 2 rack\ntype 3 site\ntype 4 root\n'
    cat $out.host $out.rack $out.site
    echo "root default { id -5"; echo " alg straw2"; echo " hash 0"; cat $out.root; echo "}"
    for rule in 0 1; do
      echo "rule r$rule { id $rule"; echo " type erasure"; echo " min_size 1"; echo " max_size 20"; echo " step set_chooseleaf_tries 5"; echo " step set_choose_tries 100"; echo " step take default"
      if [ $rule = 0 ]; then echo " step choose indep 3 type site"; echo " step chooseleaf indep 5 type host"; else echo " step chooseleaf indep 0 type host"; fi
      echo " step emit"; echo "}"
    done; } >> $out.crush
  rm -f $out.root
  # one thing a line, as the compiler wants it
  sed -i -E 's/ \{ id (-?[0-9]+)/ {\n id \1/' $out.crush
}

# row NAME KIND POLICY CASE MAPPING [OLD]: a line of the table.
row() {
  local name=$1 kind=$2 policy=$3 change=$4 map=$5 old=${6:-} took=${7:-}
  local scheme=rs:10+5 limit=site=5,host=1
  [ $policy = 8+4 ] && scheme=rs:8+4 limit=host=1
  local more=()
  [ -n "$old" ] && more=(--from $work/$kind-same.yaml --old $old)
  "$WATTLE" placement metrics --topology $work/$kind-$change.yaml --scheme $scheme --limit $limit --mapping $map "${more[@]}" --json > $work/m.json
  get() { sed -n "s/.*\"$1\": \([-0-9.e+]*\),*$/\1/p" $work/m.json | head -1; }
  printf '| %s | %s | %s | %s | %.3f / %.3f | %s | %s | %.0f | %s | %s | %s |\n' "$name" $kind $policy $change \
    $(get max_over_target) $(get min_over_target) $(get limit_violations) $(get short_pgs) $(get scatter_width_mean) \
    "$(get moved_pos)" "$([ -n "$old" ] && printf %.3f $(get moved_over_bound))" "$took"
}

seconds() { local t=$(date +%s%N); "$@"; took=$(awk "BEGIN {printf \"%.2f s\", ($(date +%s%N) - $t) / 1e9}"); }

crush() { # KIND CHANGE RULE N MAPPING
  crushtool -c $work/$1-$2.crush -o $work/$1-$2.bin
  for try in 1 2 3 4 5; do # it was seen to end early on a busy machine
    crushtool --test -i $work/$1-$2.bin --rule $3 --num-rep $4 --min-x 0 --max-x $((pgs - 1)) --show-mappings 2> /dev/null > $work/crush.out || true
    sed -n 's/.*\[\(.*\)\]/\1/p' $work/crush.out | sed 's/,/ /g; s/2147483647/-1/g' > $5
    [ $(wc -l < $5) = $pgs ] && return
  done
  echo "crushtool gives $(wc -l < $5) of $pgs mappings" >&2
  return 1
}

swift_dump() { # BUILDER MAPPING
  $(sed -n "1s/^#!//p" "$(command -v swift-ring-builder)") - "$1" "$2" <<'PY'
import sys
from swift.common.ring import RingBuilder
b = RingBuilder.load(sys.argv[1])
ids = {d['id']: int(d['device'][1:]) for d in b.devs if d}
with open(sys.argv[2], 'w') as f:
    for part in range(b.parts):
        f.write(' '.join(str(ids.get(row[part], -1)) for row in b._replica2part2dev) + '\n')
PY
}

swift_build() { # KIND N BUILDER
  swift-ring-builder $3 create $bits $2 1 > /dev/null
  xargs -a $work/$1-same.swift swift-ring-builder $3 add > /dev/null
  swift-ring-builder $3 rebalance 1 > /dev/null || [ $? = 1 ]
}

swift_change() { # KIND CHANGE BUILDER: as many passes as bring something
  if [ $2 = more ]; then grep -Fvxf $work/$1-same.swift $work/$1-more.swift | xargs swift-ring-builder $3 add > /dev/null
  else grep -Fvxf $work/$1-less.swift $work/$1-same.swift | cut -d' ' -f1 | while read -r d; do swift-ring-builder $3 remove --yes $d > /dev/null || true; done; fi
  for pass in 1 2 3 4 5 6 7 8; do
    swift-ring-builder $3 pretend_min_part_hours_passed > /dev/null
    swift-ring-builder $3 rebalance 1 > $work/pass 2>&1 || true
    grep -q "Reassigned" $work/pass || break
  done
}

echo "| tool | disks | policy | change | max / min load over target | rows over a limit | short rows | peers | moved | moved over bound | time |"
echo "|---|---|---|---|---|---|---|---|---|---|---|"
for kind in $KINDS; do
  for change in same more less; do topology $kind $change; done
  for policy in 10+5 8+4; do
    n=15 rule=0 scheme=rs:10+5 limit=site=5,host=1
    [ $policy = 8+4 ] && n=12 rule=1 scheme=rs:8+4 limit=host=1
    a=(--scheme $scheme --limit $limit)
    seconds "$WATTLE" placement build --topology $work/$kind-same.yaml "${a[@]}" --pgs $pgs --mapping $work/w.map > /dev/null
    row wattle $kind $policy same $work/w.map "" "$took"
    for change in more less; do
      seconds "$WATTLE" placement change --from $work/$kind-same.yaml --old $work/w.map --topology $work/$kind-$change.yaml "${a[@]}" --mapping $work/w2.map > /dev/null
      row wattle $kind $policy $change $work/w2.map $work/w.map "$took"
    done
    if have crushtool; then
      seconds crush $kind same $rule $n $work/c.map
      row CRUSH $kind $policy same $work/c.map "" "$took"
      for change in more less; do
        seconds crush $kind $change $rule $n $work/c2.map
        row CRUSH $kind $policy $change $work/c2.map $work/c.map "$took"
      done
    fi
    if have swift-ring-builder && [ $bits -le 12 ]; then
      rm -f $work/ring.builder; seconds swift_build $kind $n $work/ring.builder
      swift_dump $work/ring.builder $work/s.map
      row swift $kind $policy same $work/s.map "" "$took"
      for change in more less; do
        cp $work/ring.builder $work/ring2.builder
        seconds swift_change $kind $change $work/ring2.builder
        swift_dump $work/ring2.builder $work/s2.map
        row swift $kind $policy $change $work/s2.map $work/s.map "$took"
      done
    fi
  done
done
