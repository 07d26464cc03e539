#!/usr/bin/env bash
# The clients' rows of the benchmark: starts the server that is measured, $BENCH_CREDITD,
# over a data file that is thrown away, and lets run.sh measure against it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=${BENCH_CREDITD:?the path of the program that serves}
folder=$(mktemp -d)
"$program" serve --listen 127.0.0.1:0 --data "$folder/creditd.db" 2>"$folder/log" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$folder"' EXIT

line=
for _ in $(seq 1000); do
  line=$(grep -m 1 ' listens on ' "$folder/log") && break
  kill -0 "$server" 2>/dev/null || break
  sleep 0.01
done
[ -n "$line" ] || { cat "$folder/log" >&2; exit 1; }
"$here/run.sh" "${line##* listens on }" "$@"
