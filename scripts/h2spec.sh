#!/usr/bin/env bash
# Builds h2spec into .tools/bin, unless it is there.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$repo/.tools

mkdir -p "$tools/bin"
# It is no module of Go's kind, so what it is built of is pinned by one of ours.
stamp=$tools/bin/.h2spec-$(cat "$repo"/tests/h2spec/go.* | sha256sum | cut -c 1-16)
if [ ! -x "$tools/bin/h2spec" ] || [ ! -e "$stamp" ]; then
  echo "h2spec into .tools/bin"
  (cd "$repo/tests/h2spec" && go build -o "$tools/bin/h2spec" github.com/summerwind/h2spec/cmd/h2spec)
  touch "$stamp"
fi
