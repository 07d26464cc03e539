#!/usr/bin/env bash
# Installs creditd into a file system: the program, its manual and pages, completions of shells, units
# of systemd, examples. "make install" and the Debian package are both made by it.
#
#   deploy/install.sh PROGRAM DESTDIR PREFIX SYSCONFDIR
#
# Configuration that is there stays as it is.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ $# = 4 ] || {
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
program=$1 destdir=${2%/} prefix=${3%/} sysconfdir=${4%/}
to=$destdir$prefix

[ -x "$program" ] || {
  echo "install: there is no program $program: run cargo build --release" >&2
  exit 1
}

install -D -m 755 "$program" "$to/bin/creditd"

# They name the program as it was called.
man=$to/share/man/man1
install -d "$man" "$to/share/bash-completion/completions" "$to/share/zsh/site-functions" \
  "$to/share/fish/vendor_completions.d"
"$to/bin/creditd" man "$man" >/dev/null
gzip -9nf "$man"/creditd*.1
"$to/bin/creditd" completion bash >"$to/share/bash-completion/completions/creditd"
"$to/bin/creditd" completion zsh >"$to/share/zsh/site-functions/_creditd"
"$to/bin/creditd" completion fish >"$to/share/fish/vendor_completions.d/creditd.fish"
chmod 644 "$man"/* "$to/share/bash-completion/completions/creditd" \
  "$to/share/zsh/site-functions/_creditd" "$to/share/fish/vendor_completions.d/creditd.fish"

for unit in creditd.service creditd-backup.service creditd-audit.service creditd-audit.timer; do
  install -d "$to/lib/systemd/system"
  sed "s|/usr/bin/creditd|$prefix/bin/creditd|" "$repo/deploy/systemd/$unit" >"$to/lib/systemd/system/$unit"
  chmod 644 "$to/lib/systemd/system/$unit"
done
install -D -m 644 "$repo/deploy/systemd/sysusers.conf" "$to/lib/sysusers.d/creditd.conf"
install -D -m 644 "$repo/deploy/systemd/tmpfiles.conf" "$to/lib/tmpfiles.d/creditd.conf"

# Messages of the program name them: docs/rate-cards.md.
install -d "$to/share/doc/creditd"
install -m 644 "$repo"/docs/*.md "$to/share/doc/creditd/"

examples=$to/share/doc/creditd/examples
install -d "$examples/rate-cards"
install -m 644 "$repo"/rate-cards/*.toml "$repo"/rate-cards/examples/*.toml "$examples/rate-cards/"
install -D -m 755 "$repo/deploy/restore-drill.sh" "$examples/restore-drill.sh"
# Dashboards and alerts.
for file in grafana/creditd.json prometheus/creditd.rules.yml prometheus/tests.yml prometheus/prometheus.yml; do
  [ ! -e "$repo/deploy/$file" ] || install -D -m 644 "$repo/deploy/$file" "$examples/$file"
done

configuration() { # from to
  [ -e "$destdir$sysconfdir/$2" ] || install -D -m 644 "$repo/deploy/$1" "$destdir$sysconfdir/$2"
}
configuration creditd.toml creditd/creditd.toml
configuration creditd.default default/creditd
