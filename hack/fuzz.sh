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
# fuzz runs one target. Now and then Go takes the end of the time for a failure, and says "context
# deadline exceeded" and no more: that found nothing, so the target is run once more. What fails otherwise, or again, fails.
fuzz() {
  local log
  log=$(mktemp)
  for attempt in 1 2; do
    if go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 10x "$1" </dev/null 2>&1 | tee "$log"; then
      rm -f "$log"
      return 0
    fi
    if [ "$attempt" = 2 ] || grep -q 'Failing input written' "$log" || ! grep -qx ' *context deadline exceeded' "$log"; then
      rm -f "$log"
      return 1
    fi
    echo "its time ended as a failure without an input; once more"
  done
}

while read -r package name; do
  echo "== $package $name ($time)"
  fuzz "$package" "$name"
done <<<"$targets"
