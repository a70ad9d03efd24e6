#!/bin/sh
# Makes the libraries, the caches and the certificates of this folder, with gcc 12 (gcc-multilib, and the cross compilers for
# aarch64 and armhf), ldconfig (glibc 2.36) and openssl 3.0 of Debian 12. arm64's cache is written by arm64's own ldconfig:
# LDCONFIG_ARM64 is a command that runs the one of libc-bin_2.36-9+deb12u14_arm64.deb, `qemu-aarch64-static -L ROOT
# ROOT/sbin/ldconfig` for example. The names of the certificates are what `openssl x509 -subject_hash` says about them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
rm -rf libraries certificates ld.so.cache ld.so.cache.arm64
mkdir libraries certificates

library() { # file, soname or nothing, more flags
  file=$1 soname=$2
  shift 2
  printf 'int answer(void) { return 42; }\n' > /tmp/answer.c
  "${compiler:-gcc}" -shared -fPIC -nostdlib -s -O1 -Wl,-z,noseparate-code -Wl,-z,max-page-size=256 -Wl,-z,norelro \
    -Wl,--build-id=none -Wl,--hash-style=gnu \
    ${soname:+-Wl,-soname,$soname} "$@" -o "libraries/$file" /tmp/answer.c
  rm /tmp/answer.c
}
library libalpha.so.1.9 libalpha.so.1
library libalpha.so.1.10 libalpha.so.1
library libalpha-v3.so libalpha.so.1 -march=x86-64-v3 -Wl,-z,x86-64-v3
library libalpha-v2.so libalpha.so.1
library libplain.so ''
library libbeta-2.5.so libbeta.so.2
library libbeta32.so libbeta.so.2 -m32
compiler=aarch64-linux-gnu-gcc-12
library libgamma-aarch64.so.1.2 libgamma.so.1
library libplain-aarch64.so ''
compiler=arm-linux-gnueabihf-gcc-12
library libdelta-armhf.so.3 libdelta.so.3

# root: as the test lays it out
root=$(mktemp -d)
lib=$root/usr/lib/x86_64-linux-gnu
mkdir -p "$lib/glibc-hwcaps/x86-64-v3" "$lib/glibc-hwcaps/x86-64-v2" "$lib/glibc-hwcaps/empty" "$root/etc/ld.so.conf.d" \
  "$root/opt/lib" "$root/var/cache/ldconfig"
ln -s usr/lib "$root/lib"
cp libraries/libalpha.so.1.9 libraries/libalpha.so.1.10 libraries/libplain.so libraries/libbeta-2.5.so "$lib"
cp libraries/libalpha-v3.so "$lib/glibc-hwcaps/x86-64-v3/libalpha.so.1"
cp libraries/libalpha-v2.so "$lib/glibc-hwcaps/x86-64-v2/libalpha.so.1"
cp libraries/libalpha.so.1.9 "$root/opt/lib/libalpha.so.1"
cp libraries/libbeta32.so "$root/opt/lib/libbeta32.so"
ln -s libbeta-2.5.so "$lib/libbeta.so"
ln -s libalpha.so.1.10 "$lib/libalpha.so"
ln -s libplain.so "$lib/libplain.so.5"
printf 'not a library\n' > "$lib/libscript.so"
printf 'include /etc/ld.so.conf.d/*.conf # first\n' > "$root/etc/ld.so.conf"
printf '# local\n/opt/lib/\n' > "$root/etc/ld.so.conf.d/local.conf"
printf '/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n/nowhere\n' > "$root/etc/ld.so.conf.d/multiarch.conf"
printf '/hidden\n' > "$root/etc/ld.so.conf.d/.hidden.conf"
ldconfig -r "$root"
cp "$root/etc/ld.so.cache" ld.so.cache
ldconfig -p -r "$root" || ldconfig -p -C ld.so.cache
find "$root" -type l -printf '%P -> %l\n' | sort
rm -rf "$root"

root=$(mktemp -d)
lib=$root/usr/lib/aarch64-linux-gnu
mkdir -p "$lib/glibc-hwcaps/atomics" "$root/etc/ld.so.conf.d" "$root/var/cache/ldconfig"
ln -s usr/lib "$root/lib"
cp libraries/libgamma-aarch64.so.1.2 "$lib/libgamma.so.1.2"
cp libraries/libgamma-aarch64.so.1.2 "$lib/libgamma.so.1.10"
cp libraries/libgamma-aarch64.so.1.2 "$lib/glibc-hwcaps/atomics/libgamma.so.1"
cp libraries/libalpha.so.1.9 "$lib/libalpha.so.1"
cp libraries/libdelta-armhf.so.3 "$root/usr/lib/libdelta.so.3"
cp libraries/libplain-aarch64.so "$root/usr/lib/libepsilon.so"
ln -s libgamma.so.1.10 "$lib/libgamma.so"
printf 'include /etc/ld.so.conf.d/*.conf\n' > "$root/etc/ld.so.conf"
printf '/usr/local/lib/aarch64-linux-gnu\n/lib/aarch64-linux-gnu\n/usr/lib/aarch64-linux-gnu\n' \
  > "$root/etc/ld.so.conf.d/aarch64-linux-gnu.conf"
$LDCONFIG_ARM64 -r "$root"
cp "$root/etc/ld.so.cache" ld.so.cache.arm64
rm -rf "$root"

certificate() { # name, subject, string kind
  printf '[req]\ndistinguished_name=dn\nstring_mask=%s\nutf8=yes\nprompt=no\n[dn]\n%s\n' "$3" "$2" > /tmp/request.cnf
  openssl req -x509 -newkey ed25519 -nodes -keyout /dev/null -config /tmp/request.cnf -days 36500 -out /tmp/certificate.pem 2>/dev/null
  hash=$(openssl x509 -subject_hash -noout -in /tmp/certificate.pem)
  mv /tmp/certificate.pem "certificates/$1.$hash.crt"
  rm /tmp/request.cnf
}
certificate utf8 'C=DE
O="  Größe   und  ÄHNLICHES "
CN=Test Root' utf8only
certificate bmp 'O=Főtanúsítvány  AB
CN=X' pkix
certificate printable 'C=US
O=Some  Printable Text
OU=A
CN=upper CASE' default
certificate multi 'C=US
0.OU=one
1.OU=Two
+CN=Three' nombstr
