#!/usr/bin/env bash
# Puts prometheus and promtool, by which "make observe" checks the dashboard and the rules, into
# .tools/prometheus: from Debian's package, which is unpacked and not installed, so that no
# service starts. Where there is no apt-get, those of the PATH are taken.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$repo/.tools/prometheus

[ -x "$tools/prometheus" ] && [ -x "$tools/promtool" ] && exit
mkdir -p "$tools"
if command -v apt-get >/dev/null && command -v dpkg >/dev/null; then
  echo "observe: prometheus, from Debian's package, into .tools/prometheus"
  unpacked=$(mktemp -d "$tools/unpacked.XXXXXX")
  trap 'rm -rf "$unpacked"' EXIT
  # The lists of packages may be old, or missing.
  (cd "$unpacked" && { apt-get -qq download prometheus || { apt-get -qq update && apt-get -qq download prometheus; }; }) >/dev/null 2>&1 || true
  package=$(find "$unpacked" -name 'prometheus_*.deb')
  if [ -n "$package" ]; then
    dpkg -x "$package" "$unpacked"
    mv "$unpacked/usr/bin/prometheus" "$unpacked/usr/bin/promtool" "$tools/"
    exit
  fi
fi
for program in prometheus promtool; do
  found=$(command -v $program) || {
    echo "observe: $program is missing: install it (Debian: prometheus)" >&2
    exit 1
  }
  ln -sf "$found" "$tools/$program"
done
