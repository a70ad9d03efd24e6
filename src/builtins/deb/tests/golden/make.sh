#!/bin/sh
# Makes the packages of this folder with dpkg-deb 1.21.22 (Debian 12), once for each compression. Run as root, because
# the owners are part of what is tested.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
cd "$work"
mkdir -p DEBIAN bin usr/bin lib/x86_64-linux-gnu etc/secret tmp
long=usr/share/a-directory-whose-name-is-rather-long/another-directory-whose-name-is-rather-long/and-one-more
mkdir -p "$long"
printf 'Package: greeting\nVersion: 1:2.0-1\nArchitecture: amd64\nMaintainer: Nobody <nobody@localhost>\nDescription: says hello\n and nothing else\n' > DEBIAN/control
printf '#!/bin/sh\nexit 0\n' > DEBIAN/postinst
chmod 755 DEBIAN/postinst
printf '#!/bin/sh\necho hello\n' > bin/hello
chmod 755 bin/hello
ln bin/hello bin/hullo
ln -s /lib/x86_64-linux-gnu/libgreeting.so.1 usr/bin/greeting
printf 'not really a library\n' > lib/x86_64-linux-gnu/libgreeting.so.1
printf 'x' > "$long/file-in-a-deep-place"
ln -s "$long/file-in-a-deep-place-that-does-not-exist-but-has-a-name-over-a-hundred-bytes" usr/bin/deep
printf 'setuid\n' > usr/bin/root-only
chown 0:42 usr/bin/root-only
chmod 4750 usr/bin/root-only
printf 'group\n' > 'etc/with\backslash'
chmod 700 etc/secret
chmod 1777 tmp
( find . -path ./DEBIAN -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum | sed 's# \./# #' ) > DEBIAN/md5sums
find . -exec touch -h -d @315532800 {} +
for compression in none gzip xz zstd; do
  SOURCE_DATE_EPOCH=315532800 dpkg-deb -Z$compression --uniform-compression -b . "$here/$compression.deb" > /dev/null
done
rm -rf "$work"
