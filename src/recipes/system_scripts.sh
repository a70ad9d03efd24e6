# Runs the maintainer scripts that $1 names on the root around it.
maintainer_script() {
  package=$1
  script=$2
  shift 2
  printf '%s: %s %s\n' "$package" "$script" "$*"
  status=0
  env DPKG_ADMINDIR=/var/lib/dpkg DPKG_MAINTSCRIPT_NAME="$script" DPKG_MAINTSCRIPT_PACKAGE="${package%%:*}" \
    DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 "/var/lib/dpkg/info/$package.$script" "$@" || status=$?
  if [ "$status" -ne 0 ]; then
    printf '%s: %s failed with exit status %s\n' "$package" "$script" "$status"
    exit "$status"
  fi
}

# Nothing starts services.
policy=/usr/sbin/policy-rc.d
if [ -e "$policy" ]; then
  policy=
else
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi

# The cache of fonts holds the times of their directories, which are the layers' in the image.
for directory in /usr/share/fonts /usr/share/fonts/* /usr/share/fonts/*/* /usr/share/fonts/*/*/* \
  /usr/share/fonts/*/*/*/* /usr/local/share/fonts; do
  if [ -d "$directory" ]; then
    touch -d "@$SOURCE_DATE_EPOCH" "$directory"
  fi
done

. "$1"

if [ -s /var/lib/dpkg/triggers/Unincorp ]; then
  dpkg --triggers-only --pending
fi

# What holds times, what processes leave for each other, and the number by which one machine differs from all others.
if [ -n "$policy" ]; then
  rm -f "$policy"
fi
rm -f /etc/machine-id /var/lib/dbus/machine-id
rm -f /etc/.pwd.lock /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
rm -f /var/cache/ldconfig/aux-cache /var/cache/debconf/*.dat /var/cache/debconf/*.dat-old
rm -f /var/lib/dpkg/*-old /var/lib/dpkg/lock /var/lib/dpkg/lock-frontend
rm -f /var/lib/dpkg/triggers/Lock
rm -f /var/log/*.log /var/log/apt/*.log
