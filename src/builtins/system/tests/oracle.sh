#!/bin/bash
# oracle.sh SUITE DIR [PACKAGE...]
#
# Lets Debian's own tools make the system that the tests compare with:
#
#   DIR/debs   the packages: everything essential, usr-is-merged, mawk and what is asked for, with all they depend on
#   DIR/root   what mmdebstrap makes of exactly these, with every maintainer script run
#
# Runs as root on a Debian machine with mmdebstrap, takes the archives that its apt is configured with, and leaves the
# machine's own package state alone. Then: COGNIX_DEBIAN_ORACLE=DIR cargo test --features oracle-tests debian_oracle
set -euo pipefail
suite=$1 directory=$2
shift 2
mkdir -p "$directory"
directory=$(cd "$directory" && pwd -P)
apt=$directory/apt
rm -rf "$apt" "$directory/root" "$directory/debs"
mkdir -p "$apt/etc/parts" "$apt/lists/partial" "$directory/debs/partial"
: > "$apt/status"

archive() { # of the machine's own sources, the first that is or is not for security updates
  apt-get --print-uris update 2>/dev/null | sed -n -e "/-security/$1d" -e "s#^'\(https\{0,1\}://[^']*/\)dists/[^']*'.*#\1#p" | sed -n 1p
}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
main=$(archive '') security=$(archive '!')
{
  echo "deb [arch=amd64 signed-by=$keyring] $main $suite main"
  echo "deb [arch=amd64 signed-by=$keyring] $main $suite-updates main"
  echo "deb [arch=amd64 signed-by=$keyring] $security $suite-security main"
} > "$apt/etc/sources.list"
options=(
  -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt"
  -o Dir::Cache::archives="$directory/debs" -o Dir::Etc::sourcelist="$apt/etc/sources.list"
  -o Dir::Etc::sourceparts="$apt/etc/parts" -o APT::Install-Recommends=false -o APT::Sandbox::User=
  -o Debug::NoLocking=true -o Acquire::Languages=none -o Acquire::Retries=3
)
apt-get -qq "${options[@]}" update
essential=$(cat_lists() { for list in "$apt"/lists/*_Packages*; do /usr/lib/apt/apt-helper cat-file "$list"; done; }
  cat_lists | awk '/^Package:/ { name = $2 } /^Essential: yes/ { print name }' | sort -u)
# shellcheck disable=SC2086 # the names are words
apt-get -qq -y "${options[@]}" --download-only install $essential usr-is-merged mawk "$@"
rm -rf "$directory/debs/partial" "$directory/debs/lock"

names=$(for deb in "$directory"/debs/*.deb; do dpkg-deb -f "$deb" Package; done | paste -sd,)
hook=()
[ "$suite" != bookworm ] || hook=(--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr)
SOURCE_DATE_EPOCH=315532800 mmdebstrap --quiet --mode=root --variant=custom --include="$names" --skip=cleanup/apt \
  "${hook[@]}" --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
  "$suite" "$directory/root" "$apt/etc/sources.list"
