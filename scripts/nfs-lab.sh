#!/usr/bin/env bash
# A real NFS on this one machine: a server and two clients, each a User Mode Linux guest with a kernel, caches and a
# network card of its own, so that what only two machines show can be tried. Debian or Ubuntu, as root, with
# /dev/net/tun and a C compiler; the host's kernel needs no NFS.
#
#   scripts/nfs-lab.sh up                       # `server`, `c1` and `c2`, in about 10 s; installs what it needs
#   scripts/nfs-lab.sh run c1 'ls /mnt/nfs'     # in that guest, as root, by bash; its output, its exit status
#   scripts/nfs-lab.sh run clients 'COMMAND'    # on c1 and c2 at once, each line of output with its name
#   scripts/nfs-lab.sh kill c1                  # as if its plug were pulled
#   scripts/nfs-lab.sh boot c1                  # and pushed in again
#   scripts/nfs-lab.sh down                     # ends all guests and throws their disk away
#
# Several `run` may go on at once. The export lies at /mnt/nfs (NFSv4.2, default options). Every other path of a guest
# but /mnt and /run is the host's own, so that a program built here runs there. A guest has one slow CPU: its
# timings may be compared with each other only. Settings, from the environment:
#   NFS_LAB_DIR      state and logs (default /run/metaqnn-nfs, /tmp/... where /run is read-only)
#   NFS_LAB_LEASE    seconds until the server gives up a client that is silent (default 10; 90 on a usual server)
#   NFS_LAB_MEMORY   MB of a guest (default 384)
#   NFS_LAB_NETWORK  first three numbers of the guests' addresses (default 10.79.0)
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# The kernel hands these to a guest's init, which is this script.
dir=${NFS_LAB_DIR:-} lease=${NFS_LAB_LEASE:-10} network=${NFS_LAB_NETWORK:-10.79.0} memory=${NFS_LAB_MEMORY:-384}
if [ -z "$dir" ]; then [ -w /run ] && dir=/run/metaqnn-nfs || dir=/tmp/metaqnn-nfs; fi
script=$(readlink -f "$0")
guests=(server c1 c2)

say() { echo "nfs-lab: $*" >&2; }

fail() {
  say "$1"
  for log in "$dir"/*.log; do
    [ ! -s "$log" ] || { echo "--- last lines of $log" && tail -n 12 "$log"; } >&2
  done
  exit 1
}

# within SECONDS COMMAND...: repeats a command until it succeeds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

# --- in a guest ---

# Folders of the host that a guest must not share: sockets and locks of daemons lie there.
own_folders() {
  mount -t proc proc /proc
  mount -t sysfs sys /sys
  mount -t tmpfs tmpfs /mnt
  mkdir -p /mnt/nfs /mnt/export /mnt/pipefs /mnt/lab
  mount --bind "$dir" /mnt/lab # reached below /mnt, since it may lie in /run
  for folder in /run /var/lib/nfs; do mount -t tmpfs tmpfs "$folder"; done
  mkdir -p /var/lib/nfs/v4recovery /var/lib/nfs/sm /run/rpcbind
}

start_network() {
  hostname "$1"
  ip link set lo up
  ip address add "$network.$2/24" dev vec0
  ip link set vec0 up
}

serve() {
  modprobe -d /mnt/lab/modules nfsd
  # Version 3 would have every lock wait for a minute, for clients of an earlier life of the server.
  echo 3 >/proc/sys/fs/nfs/nlm_timeout
  echo 1 >/proc/sys/fs/nfs/nlm_grace_period
  mount -t ext4 /dev/ubda /mnt/export
  mount -t nfsd nfsd /proc/fs/nfsd
  echo "$lease" >/proc/fs/nfsd/nfsv4leasetime
  echo "$lease" >/proc/fs/nfsd/nfsv4gracetime
  touch /var/lib/nfs/etab /var/lib/nfs/rmtab
  # Before anybody can ask: the kernel remembers a refusal.
  exportfs -o rw,sync,no_root_squash,no_subtree_check,insecure,fsid=0 "$network.0/24:/mnt/export"
  rpcbind -w
  rpc.mountd
  rpc.nfsd 8
  echo Y >/proc/fs/nfsd/v4_end_grace # nobody has locks to take back
}

attach() {
  modprobe -d /mnt/lab/modules nfsv4
  modprobe -d /mnt/lab/modules nfsv3
  mount -t rpc_pipefs pipefs /mnt/pipefs
  within 60 mount -t nfs4 -o vers=4.2 "$network.2:/" /mnt/nfs
}

# Runs every script that appears in the guest's folder, each in the background.
obey() {
  local job
  cd /
  touch "/mnt/lab/$1/ready"
  while true; do
    for job in "/mnt/lab/$1"/*.command; do
      [ -e "$job" ] || continue
      job=${job%.command}
      mv "$job.command" "$job.begun"
      (
        status=0
        bash "$job.begun" </dev/null >"$job.output" 2>&1 || status=$?
        echo "$status" >"$job.ending"
        mv "$job.ending" "$job.status"
      ) &
    done
    sleep 0.05
  done
}

guest() {
  own_folders
  exec >"/mnt/lab/$1.log" 2>&1 </dev/null
  set -x
  start_network "$1" "$2"
  case $1 in server) serve ;; *) attach ;; esac
  set +x
  obey "$1"
}

# --- on the host ---

install_packages() {
  local missing=() program
  for program in linux.uml:user-mode-linux rpc.nfsd:nfs-kernel-server mount.nfs:nfs-common rpcbind:rpcbind \
    ip:iproute2 modprobe:kmod mkfs.ext4:e2fsprogs; do
    command -v "${program%:*}" >/dev/null || missing+=("${program#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  "$(dirname "$script")/apt-install.sh" "${missing[@]}" 9>&- || fail "User Mode Linux and NFS cannot be installed"
}

# A network has a switch and cards of its own, so that two labs may stand beside each other.
interface() { echo "nfs${network//./}-${1:0:2}"; }

start_switch() {
  local guest
  ip link add "$(interface switch)" type bridge
  ip link set "$(interface switch)" up
  for guest in "${guests[@]}"; do
    ip tuntap add "$(interface "$guest")" mode tap
    ip link set "$(interface "$guest")" master "$(interface switch)" up
  done
}

# The library that guests need beside them, if this processor asks for it (see its source).
build_preload() {
  preload=
  grep -qw amx_tile /proc/cpuinfo || return 0
  preload=$dir/nfs-lab.so
  [ -e "$preload" ] || cc -O2 -Wall -shared -fPIC -o "$preload" "$(dirname "$script")/nfs-lab.c" -ldl || fail "it does not compile"
}

# A guest is a session of processes, the first of which bears its name.
session() {
  local pid
  pid=$(cat "$dir/$1/pid" 2>/dev/null) && grep -qsazF "NFS_LAB_ROLE=$1" "/proc/$pid/cmdline" && echo "$pid"
}
is_ready() { [ -e "$dir/$1/ready" ] && session "$1" >/dev/null; }

boot() {
  local number disk=()
  [[ " ${guests[*]} " = *" $1 "* ]] || fail "there is no guest \`$1\`"
  ! session "$1" >/dev/null || return 0
  case $1 in server) number=2 disk=("ubda=$dir/disk") ;; c*) number=$((2 + ${1#c})) ;; esac
  build_preload
  # Packets that the host has merged are taken (gro): without it they are lost, and lost again when they are repeated.
  rm -rf "${dir:?}/$1"
  mkdir -p "$dir/$1"
  # Linux shares its processors among sessions, and a guest is a new one: its share is to be the caller's. (Starved by
  # another session, guests do not even come up.)
  LD_PRELOAD=$preload setsid bash -c '{ echo "$0" >/proc/self/autogroup; } 2>/dev/null; exec linux.uml "$@"' \
    "$(sed 's/.* //' /proc/self/autogroup 2>/dev/null)" \
    "${disk[@]}" "mem=${memory}M" root=/dev/root rootfstype=hostfs rootflags=/ rw quiet \
    "vec0:transport=tap,ifname=$(interface "$1"),depth=64,gro=1" con=null con0=null,fd:1 "umid=$1" "uml_dir=$dir/uml/" \
    "init=$script" "NFS_LAB_ROLE=$1" "NFS_LAB_NUMBER=$number" "NFS_LAB_DIR=$dir" "NFS_LAB_LEASE=$lease" \
    "NFS_LAB_NETWORK=$network" </dev/null >"$dir/$1.console.log" 2>&1 9>&- &
  echo $! >"$dir/$1/pid"
}

wait_for() {
  local guest
  for guest; do within 60 is_ready "$guest" || fail "$guest does not come up"; done
}

unplug() {
  local pid
  pid=$(session "$1") || return 0
  kill -9 $(ps -o pid= -s "$pid") 2>/dev/null || true # some end while they are listed
  within 10 eval "! session $1 >/dev/null"
}

up() {
  local guest
  if is_ready server && is_ready c1 && is_ready c2; then return; fi
  down
  mkdir -p "$dir/modules/lib" "$dir/uml"
  install_packages
  ln -s /usr/lib/uml/modules "$dir/modules/lib/modules"
  fallocate -l 256M "$dir/disk" # a full disk here must not be one there
  mkfs.ext4 -q -E nodiscard "$dir/disk"
  start_switch
  for guest in "${guests[@]}"; do boot "$guest"; done
  wait_for "${guests[@]}"
  say "server, c1 and c2 are up; end them with: $0 down"
}

down() {
  local guest
  for guest in "${guests[@]}"; do
    unplug "$guest"
    ip link delete "$(interface "$guest")" 2>/dev/null || true
  done
  ip link delete "$(interface switch)" 2>/dev/null || true
  find "$dir" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
}

# run_on GUEST COMMAND: prints the command's output when it ends. Status 125: the guest died first.
run_on() {
  local job
  is_ready "$1" || { say "$1 is not up" && return 125; }
  job=$(mktemp "$dir/$1/XXXXXXXX")
  printf '%s\n' "$2" >"$job"
  mv "$job" "$job.command"
  until [ -e "$job.status" ]; do
    session "$1" >/dev/null || { say "$1 has died" && return 125; }
    sleep 0.05
  done
  cat "$job.output"
  return "$(cat "$job.status")"
}

run() {
  [ "$1" = clients ] || { run_on "$@" && return || return $?; }
  local status=0 first
  run_on c1 "$2" | sed 's/^/c1: /' &
  first=$!
  run_on c2 "$2" | sed 's/^/c2: /' || status=$?
  wait "$first" || status=$?
  return $status
}

if [ $$ = 1 ]; then
  guest "$NFS_LAB_ROLE" "$NFS_LAB_NUMBER"
  exit
fi
case ${1:-}:$# in
up:1 | down:1 | boot:2 | kill:2)
  [ "$(id -u)" = 0 ] || { say "guests need root for their network" && exit 1; }
  mkdir -p "$dir"
  exec 9>"$dir/lock" && flock 9
  case $1 in
  up) up ;;
  down) down ;;
  kill) unplug "$2" ;;
  boot) boot "$2" && wait_for "$2" ;;
  esac
  ;;
run:3) run "$2" "$3" ;;
-h:* | --help:*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" ;;
*) say "usage: $0 up|run|kill|boot|down (see --help)" && exit 2 ;;
esac
