#!/usr/bin/env bash
# Measures Estimate through the Python and the Go client beside the bare generated
# stubs, all against the server at ADDRESS, which this leaves as it is. A line of JSON
# on stdout for each row, all pairs of runs on stderr. Needs what `make setup` installs.
set -euo pipefail

usage="usage: run.sh ADDRESS [SECONDS_OF_A_RUN [PAIRS]]"
address=${1:?$usage}
seconds=${2:-1}
pairs=${3:-5}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$here/../../.tools/venv/bin/python
[ -x "$python" ] || { echo "run.sh: there is no .tools/venv: run \`make setup\` first" >&2; exit 1; }

"$python" "$here/python/estimate.py" "$address" --seconds "$seconds" --pairs "$pairs"

# Built before it runs: the tool that builds would take time from the first runs.
program=$(mktemp)
trap 'rm -f "$program"' EXIT
go build -C "$here/go" -mod=readonly -o "$program" .
"$program" -seconds "$seconds" -pairs "$pairs" "$address"
