#!/usr/bin/env bash
# Installs what the tests need beside Rust, Go and Python themselves: a virtual
# environment for the Python client, buf and the schema's generators in .tools/venv, one
# with the newest grpcio in .tools/venv-newest, what builds the site and the release in
# .tools/venv-build, grpcurl and staticcheck in .tools/bin,
# what docs/other-languages.md runs with in .tools/node. All versions are pinned; what is
# there already is left alone.
set -euo pipefail

grpcurl_version=v1.9.4
staticcheck_version=v0.8.2
buf_version=1.75.0

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$repo/.tools
venv=$tools/venv

fail() {
  echo "setup: $*" >&2
  exit 1
}

command -v cargo >/dev/null || fail "cargo is missing: install Rust by rustup"
command -v go >/dev/null || fail "go is missing: install Go 1.26 or later"
command -v python3 >/dev/null || fail "python3 is missing: install Python 3.10 or later"
command -v cc >/dev/null || fail "a C compiler is missing: install gcc or clang (for SQLite)"

# The environment is made anew when what belongs into it has changed.
wanted=$({ cat "$repo/clients/python/requirements-dev.txt"; echo "buf-bin==$buf_version"; python3 --version; } | sha256sum)
if [ "$(cat "$venv/.wanted" 2>/dev/null)" != "$wanted" ]; then
  echo "setup: Python packages into .tools/venv"
  rm -rf "$venv"
  python3 -m venv "$venv" || fail "python3 cannot make a virtual environment: install python3-venv"
  "$venv/bin/pip" install --quiet -r "$repo/clients/python/requirements-dev.txt" "buf-bin==$buf_version"
  "$venv/bin/pip" install --quiet --no-deps --no-build-isolation -e "$repo/clients/python"
  echo "$wanted" >"$venv/.wanted"
fi

# The same tests run once more with the newest of what users may have beside the client.
newest=$tools/venv-newest
wanted=$({ cat "$repo/clients/python/requirements-newest.txt"; python3 --version; } | sha256sum)
if [ "$(cat "$newest/.wanted" 2>/dev/null)" != "$wanted" ]; then
  echo "setup: Python packages into .tools/venv-newest"
  rm -rf "$newest"
  python3 -m venv "$newest"
  "$newest/bin/pip" install --quiet -r "$repo/clients/python/requirements-newest.txt"
  "$newest/bin/pip" install --quiet --no-deps --no-build-isolation -e "$repo/clients/python"
  echo "$wanted" >"$newest/.wanted"
fi

# What builds the site and the release.
build=$tools/venv-build
wanted=$({ cat "$repo/scripts/requirements-build.txt"; python3 --version; } | sha256sum)
if [ "$(cat "$build/.wanted" 2>/dev/null)" != "$wanted" ]; then
  echo "setup: Python packages into .tools/venv-build"
  rm -rf "$build"
  python3 -m venv "$build"
  "$build/bin/pip" install --quiet -r "$repo/scripts/requirements-build.txt"
  echo "$wanted" >"$build/.wanted"
fi

# Installs a Go program unless this version is there.
go_program() { # name package version
  local stamp=$tools/bin/.$1-$3
  [ -x "$tools/bin/$1" ] && [ -e "$stamp" ] && return
  echo "setup: $1 $3 into .tools/bin"
  GOBIN=$tools/bin go install "$2@$3"
  touch "$stamp"
}

mkdir -p "$tools/bin"
go_program grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl "$grpcurl_version"
go_program staticcheck honnef.co/go/tools/cmd/staticcheck "$staticcheck_version"

# What docs/other-languages.md runs with, in .tools/node: made anew when that, or the
# Node that it is for, has changed.
command -v npm >/dev/null || fail "npm is missing: install Node.js 20 or later"
wanted=$({ cat "$repo"/tests/languages/package*.json; node --version; } | sha256sum)
if [ "$(cat "$tools/node/.wanted" 2>/dev/null)" != "$wanted" ]; then
  echo "setup: Node packages into .tools/node"
  rm -rf "$tools/node"
  mkdir -p "$tools/node"
  cp "$repo"/tests/languages/package*.json "$tools/node/"
  (cd "$tools/node" && npm ci --ignore-scripts --no-audit --no-fund --silent) || fail "npm cannot install its packages"
  echo "$wanted" >"$tools/node/.wanted"
fi
