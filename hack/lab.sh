#!/usr/bin/env bash
# Starts the lab (stand-ins for proxies on loopback addresses, some at fault), lets
# palisade verify find out which, and writes the report into a folder (default: lab).
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-lab}
mkdir -p "$folder"
go build -o "$folder/lab" ./cmd/lab
go build -o "$folder/palisade" ./cmd/palisade

mkfifo "$folder/ready.$$"
"$folder/lab" "$folder/targets" >"$folder/ready.$$" &
lab=$!
trap 'kill "$lab" 2>/dev/null || true; rm -f "$folder/ready.$$"' EXIT
read -r targets <"$folder/ready.$$"

code=0
"$folder/palisade" verify --direct --targets "$targets" --timeout 1s --attempts 1 -o json >"$folder/report.json" || code=$?
"$folder/palisade" report "$folder/report.json"
"$folder/palisade" report "$folder/report.json" -o html >"$folder/report.html"
echo "exit code $code (1: something is broken, as it is meant to be); the page is $folder/report.html"
