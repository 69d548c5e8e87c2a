#!/usr/bin/env bash
# Runs every fuzz target of every package in turn, each for the time given
# (default 60s). Go takes one target at a time, so they are listed first.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-60s}

# `go test -list` prints the names of a package's targets and then "ok <package>".
targets=$(go test -list '^Fuzz' ./... | awk '/^Fuzz/ {names[n++] = $1} /^(ok|\?)/ {for (i = 0; i < n; i++) print $2, names[i]; n = 0}')
if [ -z "$targets" ]; then
  echo "no fuzz targets"
  exit 0
fi
while read -r package name; do
  echo "== $package $name ($time)"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x "$package" </dev/null
done <<<"$targets"
