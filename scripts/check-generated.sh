#!/usr/bin/env bash
# Fails where the clients' generated code is not what the .proto files generate.
# Changes nothing.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHON=$repo/.tools/venv/bin/python
export TOOLS_BIN=$repo/.tools/bin

"$repo/clients/python/generate.sh" --check

cd "$repo/clients/go"
kept=$(mktemp -d)
cp -R creditdv1 reason.go "$kept/"
restore() {
  rm -rf creditdv1 reason.go
  cp -R "$kept/creditdv1" "$kept/reason.go" .
  rm -rf "$kept"
}
trap restore EXIT
./generate.sh
if ! diff -r "$kept/creditdv1" creditdv1 || ! diff "$kept/reason.go" reason.go; then
  echo "the Go client's generated code is not what the .proto files generate: run make generate" >&2
  exit 1
fi
