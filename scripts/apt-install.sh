#!/usr/bin/env bash
# Installs packages of Debian or Ubuntu as root, without starting their daemons. Waits for apt's locks, which unattended
# upgrades hold for a while on a machine that has just started, and says so.
#
# usage: scripts/apt-install.sh [PACKAGE...]      without a package only the lists are fetched
#
# Environment: APT_WAIT, seconds to wait for each lock (default 120).
set -euo pipefail
case ${1:-} in -*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" && exit ;; esac
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
wait=${APT_WAIT:-120}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# try ARGUMENT...: apt-get with these. (Its option DPkg::Lock::Timeout does not cover the lock of `apt-get update`.)
try() {
  local deadline=$((SECONDS + wait)) said=
  until apt-get -q "$@" >"$log" 2>&1; do
    grep -Eq 'Could not get lock|Unable to (acquire|lock)|locked by another process' "$log" || return 1
    [ $SECONDS -lt $deadline ] || return 1
    [ -n "$said" ] || echo "apt-install: another program holds a lock of apt; waiting for it, up to $wait s" >&2
    said=1
    sleep 1
  done
}

failed() {
  tail -n 12 "$log" >&2
  echo "apt-install: apt-get cannot $*" >&2
  exit 1
}

if [ $# = 0 ]; then
  try update || failed "fetch its lists"
  exit
fi
# Packages would start daemons of their own; a policy of 101 forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
  trap 'rm -f "$log" $policy' EXIT
fi
install=(install -y --no-install-recommends "$@")
try "${install[@]}" || { try update && try "${install[@]}"; } || failed "install $*"
