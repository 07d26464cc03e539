#!/usr/bin/env bash
# Installs h2load, with which "make bench" compares servers, where Debian's packages can be
# installed. Elsewhere it says what is missing; the rows that need it are then not measured.
set -euo pipefail

command -v h2load >/dev/null && exit
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "bench: h2load is missing; installing nghttp2-client" >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends nghttp2-client; } >/dev/null || true
fi
command -v h2load >/dev/null ||
  echo "bench: h2load is missing, so some goals are not measured: install nghttp2 (Debian: nghttp2-client)" >&2
