#!/usr/bin/env bash
# A restore drill: proves that a copy of the ledger can take its place, and how long that takes.
#
#   restore-drill.sh --data FILE     of a copy that is made now, of a running server's file
#   restore-drill.sh --copy FILE     of a copy that is there
#   restore-drill.sh --follow DIR    of what "creditd backup --follow DIR" has
#   ... --head FILE                  and that it goes on from the head of the last drill
#
# It restores into a directory of its own, audits, starts a server on a free port of loopback with
# a key that nobody else knows, and grants and charges an account there. The ledger itself is
# read, and not changed; its last backup stays the last one, since the drill's copy is deleted. The
# status is 0 where all of that went well. Run it as the user that owns the files, such as
# sudo -u creditd /usr/share/doc/creditd/examples/restore-drill.sh --follow /var/backups/creditd/follow
set -euo pipefail

usage() {
  sed -n '2,15s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
creditd=${CREDITD:-creditd}
source= from= head=
while [ $# -gt 1 ]; do
  case "$1" in
  --data | --copy | --follow) [ -z "$from" ] || usage; source=${1#--} from=$2 ;;
  --head) head=$2 ;;
  *) usage ;;
  esac
  shift 2
done
[ $# = 0 ] && [ -n "$from" ] || usage

# Nothing of a server's own configuration counts here.
for name in $(compgen -e CREDITD_ || true); do unset "$name"; done

work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
umask 077
began=$(date +%s.%N)
said() { printf '%6.1f s  %s\n' "$(awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN {print b - a}')" "$*"; }
failed() {
  said "FAILED: $*"
  exit 1
}

[ -z "$head" ] || [ -w "$(dirname "$head")" ] ||
  failed "no head can be written to $(dirname "$head"): make the directory, or give it to $(id -un)"

copy_of_data() {
  # "creditd backup" notes the time of its copy beside the file, for the alert of a backup that is old.
  local noted
  noted=$(readlink -f "$from")-backup
  [ ! -e "$noted" ] || cp -p -- "$noted" "$work/noted"
  "$creditd" backup "$copy" --data "$from" >/dev/null || failed "no copy of $from"
  if [ -e "$work/noted" ]; then
    cp -p -- "$work/noted" "$noted.drill" && mv -- "$noted.drill" "$noted"
  else
    rm -f -- "$noted"
  fi || failed "the time of the last backup cannot be put back"
}

copy=$work/creditd.db
case "$source" in
data) copy_of_data ;;
copy)
  cp -- "$from" "$copy" || failed "no copy of $from"
  # The newest entries may be there.
  [ ! -e "$from-wal" ] || cp -- "$from-wal" "$copy-wal"
  ;;
follow) "$creditd" restore "$from" --to "$copy" >/dev/null || failed "nothing restored of $from" ;;
esac
said "restored, $(stat -c %s "$copy") bytes"

"$creditd" audit --data "$copy" >"$work/audit" || failed "$(cat "$work/audit")"
if [ -n "$head" ] && [ -s "$head" ]; then
  "$creditd" audit --data "$copy" --since "$(cat "$head")" >"$work/audit" ||
    failed "it does not go on from $(cat "$head"): $(cat "$work/audit")"
fi
said "$(head -n 1 "$work/audit" | sed "s|^$copy|the copy|")"
new_head=$("$creditd" audit --data "$copy" --head)

CREDITD_KEY=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export CREDITD_KEY
CREDITD_ADMIN_KEY=$CREDITD_KEY "$creditd" serve --listen 127.0.0.1:0 --listen-unix "$work/socket" \
  --data "$copy" >"$work/log" 2>&1 &
server=$!
export CREDITD_ADDR=unix:$work/socket
until "$creditd" health >/dev/null 2>&1; do
  kill -0 "$server" 2>/dev/null || failed "no server starts: $(tail -n 1 "$work/log")"
  sleep 0.05
done
said "a server serves it"

account=restore-drill-$RANDOM$RANDOM
"$creditd" grant "$account" 1 >/dev/null && "$creditd" charge "$account" --credits 1 >/dev/null ||
  failed "the copy takes no writes"
kill "$server" && wait "$server" || failed "the server did not stop in order"
server=
"$creditd" audit --data "$copy" --since "$new_head" >/dev/null || failed "the copy is damaged after writes"
said "it was written to, stopped, and proved again"
[ -z "$head" ] || { echo "$new_head" >"$head.new" && mv "$head.new" "$head"; }
