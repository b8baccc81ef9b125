# Searches on shared file systems other than NFS, each mounted twice on this machine (as root, with FUSE; 3 minutes).
# Installs glusterfs-server, sshfs and openssh-server where they are missing; no daemon of the system is touched.
#
# Cases: gluster gluster_direct_io sshfs      (default: all of them)
#
#   gluster             two mounts of one volume with default options, two workers on each
#   gluster_direct_io   the same with the mount option `direct-io-mode=enable`
#   sshfs               refused unless this machine works alone; `doctor` names the remedy
#
# Environment: PROVE_ITERATIONS, networks of each search (default: 200).

proof() {
  [ "$(id -u)" = 0 ] || fail "mounts need root"
  [ -c /dev/fuse ] || fail "there is no /dev/fuse (modprobe fuse)"
  command -v glusterd gluster sshfs /usr/sbin/sshd >/dev/null && [ -x /usr/sbin/sshd ] ||
    scripts/apt-install.sh glusterfs-server glusterfs-client sshfs openssh-server
  prepare
  lab=$(mktemp -d /tmp/metaqnn-filesystems.XXXXXX)
  mkdir "$lab"/{brick,lib,run,a,b,ssh,served}
  daemons=() mounts=()
  trap take_down EXIT
  cases filesystems gluster gluster_direct_io sshfs -- "$@"
}

# Unmounts and ends only what was started here, by its process file.
take_down() {
  local path file
  for path in "${mounts[@]}"; do
    mountpoint -q "$path" && { umount "$path" || umount -l "$path"; }
  done
  for file in "${daemons[@]}" "$lab"/run/vols/*/*.pid; do
    [ ! -s "$file" ] || kill "$(cat "$file")" 2>/dev/null || true
  done
  # A brick writes its log until it has ended.
  for _ in $(seq 50); do
    rm -rf "$lab" 2>/dev/null && break
    sleep 0.1
  done
}

gluster_command() { gluster --mode=script --glusterd-sock="$lab/sock" --log-file="$lab/cli.log" "$@"; }

# Starts a server of one brick, with its state below $lab. Its port is Gluster's own.
gluster_up() {
  [ ! -e "$lab/sock" ] || return 0
  cat >"$lab/glusterd.vol" <<END
volume management
    type mgmt/glusterd
    option working-directory $lab/lib
    option run-directory $lab/run
    option glusterd-sockfile $lab/sock
    option transport-type socket
    option transport.socket.listen-port 24007
    option max-port 60999
end-volume
END
  glusterd -f "$lab/glusterd.vol" -p "$lab/glusterd.pid" -l "$lab/glusterd.log" || fail "glusterd does not start: $(tail -n 3 "$lab/glusterd.log")"
  daemons+=("$lab/glusterd.pid")
  within 30 gluster_command volume create shared "$(hostname):$lab/brick" force >/dev/null || fail "no volume"
  within 30 gluster_command volume start shared >/dev/null || fail "the volume does not start"
}

# gluster_mounts [OPTION]: mounts the volume as $lab/a and $lab/b.
gluster_mounts() {
  local name
  gluster_up
  for name in a b; do
    glusterfs --volfile-server="$(hostname)" --volfile-id=shared --log-file="$lab/$name.log" "$@" "$lab/$name"
    mounts+=("$lab/$name")
    within 30 mountpoint -q "$lab/$name" || fail "no mount: $(tail -n 3 "$lab/$name.log")"
  done
}

gluster_unmount() {
  umount "$lab/a" "$lab/b"
  mounts=()
}

# shared_search NAME: a search by two workers on each mount; audited through both.
shared_search() {
  local mount worker pids=() status=0
  search "$1" 60 $((${PROVE_ITERATIONS:-200} - 60)) 0
  metaqnn init -q "$dir.yaml" "$lab/a/$1"
  for worker in 1 2; do
    for mount in a b; do
      metaqnn train "$lab/$mount/$1" --until-done --reduce -q 2>"$dir.$mount$worker.log" &
      pids+=($!)
    done
  done
  for worker in "${pids[@]}"; do wait "$worker" || status=1; done
  [ $status = 0 ] || fail "a worker has failed: $(cat "$dir".*.log)"
  for mount in a b; do
    metaqnn verify "$lab/$mount/$1" >"$dir.verify" || fail "$(cat "$dir.verify")"
  done
  tail -n 1 "$dir.verify" | sed 's/^/   /'
  rm -rf "$dir" && dir=$lab/a/$1
  audit_log "$1"
}

# Every wanted result is there once, and no row is gone: iterations are numbered without a gap.
audit_log() {
  local said
  said=$(scripts/audit-search.py "$dir" "$results") || fail "$1: $said"
  echo "   $said"
}

# examined FOLDER: what `doctor` says of the file system, and how long it took.
examined() {
  local began=$SECONDS status=0
  metaqnn doctor "$1" >"$lab/doctor" 2>&1 || status=$?
  [ $((SECONDS - began)) -lt 60 ] || fail "doctor took $((SECONDS - began)) s"
  echo "   doctor, $((SECONDS - began)) s, exit $status:"
  grep -E '(locks|log|mount)( |:)' "$lab/doctor" | sed 's/^/     /'
  return $status
}

filesystems_gluster() {
  gluster_mounts
  examined "$lab/a" || fail "doctor refuses Gluster"
  shared_search gluster
  gluster_unmount
}

filesystems_gluster_direct_io() {
  gluster_mounts --direct-io-mode=enable
  examined "$lab/a" || fail "doctor refuses Gluster"
  shared_search gluster_direct_io
  gluster_unmount
}

# Logs in to this machine with a key made for it, at a port of its own.
filesystems_sshfs() {
  local port=$((20000 + RANDOM % 20000)) said status=0
  mkdir -p /run/sshd
  ssh-keygen -q -t ed25519 -N '' -f "$lab/ssh/host"
  ssh-keygen -q -t ed25519 -N '' -f "$lab/ssh/key"
  /usr/sbin/sshd -f /dev/null -p $port -o ListenAddress=127.0.0.1 -h "$lab/ssh/host" -o PidFile="$lab/ssh/pid" \
    -o AuthorizedKeysFile="$lab/ssh/key.pub" -o StrictModes=no -o PermitRootLogin=yes -o Subsystem='sftp internal-sftp'
  daemons+=("$lab/ssh/pid")
  within 10 sshfs "127.0.0.1:$lab/served" "$lab/a" -p $port -o IdentityFile="$lab/ssh/key" -o StrictHostKeyChecking=no \
    -o UserKnownHostsFile=/dev/null || fail "sshfs does not mount"
  mounts=("$lab/a")
  search sshfs 3 2 0
  metaqnn init -q "$dir.yaml" "$lab/a/sshfs"
  said=$(metaqnn train "$lab/a/sshfs" 2>&1) || status=$?
  [ $status = 4 ] || fail "sshfs is not refused: exit $status, $said"
  echo "   train: $said"
  status=0
  examined "$lab/a/sshfs" || status=$?
  [ $status = 4 ] && grep -q 'is sshfs' "$lab/doctor" || fail "doctor does not name sshfs"
  metaqnn train "$lab/a/sshfs" --single-node --until-done --reduce -q || fail "refused with --single-node"
  metaqnn verify "$lab/a/sshfs" | tail -n 1 | sed 's/^/   --single-node: /'
  umount "$lab/a"
  mounts=()
}
