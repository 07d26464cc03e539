#!/usr/bin/env bash
# The clients' rows of the benchmark: starts the server that is measured, $BENCH_CREDITD,
# over a data file that is thrown away, and lets run.sh measure against it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=${BENCH_CREDITD:?the path of the program that serves}
folder=$(mktemp -d)
mkfifo "$folder/banner"
"$program" serve --listen 127.0.0.1:0 --data "$folder/creditd.db" >"$folder/banner" 2>"$folder/log" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$folder"' EXIT

exec 3<"$folder/banner"
read -r line <&3 || { cat "$folder/log" >&2; exit 1; }
"$here/run.sh" "${line##* listens on }" "$@"
