#!/usr/bin/env bash
# systemd reads our units without a complaint, and they are as confined as they were: the
# exposure that "systemd-analyze security" works out, times ten, is at most what stands here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

declare -A exposure_max=([creditd]=12 [creditd-backup]=4 [creditd-audit]=4)

# Units are read from a root of their own: nothing of this machine counts but systemd's own units.
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
install -D -m 755 /bin/true "$root/usr/bin/creditd"
install -D -m 755 /bin/true "$root/bin/sh"
mkdir -p "$root/usr/lib/systemd/system"
system=/usr/lib/systemd/system
[ -d $system ] || system=/lib/systemd/system
cp -a $system/*.target $system/*.slice $system/*.mount "$root/usr/lib/systemd/system/"
cp deploy/systemd/*.service deploy/systemd/*.timer "$root/usr/lib/systemd/system/"

for unit in deploy/systemd/*.service deploy/systemd/*.timer; do
  unit=$(basename "$unit")
  said=$(systemd-analyze verify --man=no --root="$root" "$unit" 2>&1) && [ -z "$said" ] || {
    echo "$unit: $said"
    exit 1
  }
done
passed=0
for unit in "${!exposure_max[@]}"; do
  [ -e "deploy/systemd/$unit.service" ]
  report=$(systemd-analyze security --no-pager --offline=true --root="$root" \
    --threshold="${exposure_max[$unit]}" "$unit.service" 2>&1) || {
    grep -e ✗ -e Overall <<<"$report"
    exit 1
  }
  grep Overall <<<"$report"
  passed=$((passed + 1))
done
[ $passed = "$(ls deploy/systemd/*.service | wc -l)" ] || {
  echo "a unit has no line in $0"
  exit 1
}
