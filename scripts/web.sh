#!/usr/bin/env bash
# web: the dashboard in headless Chromium against a real server on a fresh cluster. Wants
# node 20, and Debian's chromium (or CHROMIUM=path); the rest comes from npm by the lock file.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/wattle" ./cmd/wattle
cd e2e/web
[ -d node_modules ] || npm ci --no-audit --no-fund
npm run --silent types
WATTLE=$work/wattle WORK=$work npm run --silent test
