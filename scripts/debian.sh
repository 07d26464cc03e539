#!/usr/bin/env bash
# Installs programs that a step needs, where they are missing and Debian's packages can be
# installed.
#
#   scripts/debian.sh STEP PROGRAM[=PACKAGE]...
set -euo pipefail

step=$1
shift
PATH=$PATH:/usr/sbin:/sbin

missing() { # those of $@ whose program is not there
  for wanted in "$@"; do
    command -v "${wanted%%=*}" >/dev/null || echo "$wanted"
  done
}

mapfile -t wanted < <(missing "$@")
[ ${#wanted[@]} -gt 0 ] || exit 0
packages=("${wanted[@]#*=}")
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "$step: ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends "${packages[@]}"; } >/dev/null || true
fi
mapfile -t wanted < <(missing "$@")
if [ ${#wanted[@]} -gt 0 ]; then
  echo "$step: ${wanted[*]%%=*} missing: install (Debian: ${wanted[*]#*=})" >&2
  exit 1
fi
