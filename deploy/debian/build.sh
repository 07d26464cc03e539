#!/usr/bin/env bash
# Builds the Debian package of this machine's architecture.
#
#   deploy/debian/build.sh [--program FILE] [--version VERSION] [--into DIRECTORY]
#
# The program is target/release/creditd unless another is given, the version that of Cargo.toml.
# The same files make the same package, byte for byte, where SOURCE_DATE_EPOCH is the same;
# without it that is the time of the last commit.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
program=$repo/target/release/creditd
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$repo/Cargo.toml" | head -1)
into=$repo/target/deb
while [ $# -gt 0 ]; do
  case "$1" in
  --program) program=$2 ;;
  --version) version=$2 ;;
  --into) into=$2 ;;
  *)
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
  esac
  shift 2
done
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$repo" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
architecture=$(dpkg --print-architecture)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022
"$repo/deploy/install.sh" "$program" "$root" /usr /etc
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$root/usr/bin/creditd"
mv "$root/usr/share/zsh/site-functions" "$root/usr/share/zsh/vendor-completions"

doc=$root/usr/share/doc/creditd
# As Debian has its documents: compressed where they are larger than 4 KiB.
find "$doc" -maxdepth 1 -name '*.md' -size +4095c -exec gzip -9n {} +
install -m 644 "$here/copyright" "$doc/copyright"
{
  echo "creditd ($version) stable; urgency=medium"
  echo
  echo "  * See https://github.com/creditd/creditd/blob/main/CHANGELOG.md"
  echo
  echo " -- The creditd authors <creditd@users.noreply.github.com>  $(date -R -u -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$doc/changelog.gz"

# What the program needs, by the symbols that it uses.
mkdir "$work/debian"
printf 'Source: creditd\n\nPackage: creditd\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O "root/usr/bin/creditd" | sed -n 's/^shlibs:Depends=//p')

install -d "$root/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@DEPENDS@/$depends/" \
  -e "s/@INSTALLED_SIZE@/$(du -k -s --apparent-size "$root" | cut -f 1)/" \
  "$here/control.in" >"$root/DEBIAN/control"
install -m 644 "$here/conffiles" "$root/DEBIAN/conffiles"
install -m 755 "$here/postinst" "$here/prerm" "$here/postrm" "$root/DEBIAN/"
(cd "$root" && find usr etc -type f -print0 | sort -z | xargs -0 md5sum) >"$work/md5sums"
grep -v -F -f <(sed 's|^/|  |' "$here/conffiles") "$work/md5sums" >"$root/DEBIAN/md5sums"
chmod 644 "$root/DEBIAN/md5sums"

mkdir -p "$into"
dpkg-deb --build --root-owner-group -Zxz "$root" "$into/creditd_${version}_$architecture.deb"
