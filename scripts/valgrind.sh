#!/usr/bin/env bash
# Installs valgrind, by which "make instructions" counts, where Debian's packages can be
# installed. Nothing else needs it. It is in every distribution.
set -euo pipefail

command -v valgrind >/dev/null && exit
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "instructions: valgrind"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends valgrind; } >/dev/null || true
fi
if ! command -v valgrind >/dev/null; then
  echo "instructions: valgrind is missing: install it (Debian: valgrind)" >&2
  exit 1
fi
