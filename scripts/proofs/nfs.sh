# Searches on a real NFS 4.2: a server and two client machines, c1 and c2, eight workers on each (as root; 6 minutes).
#
# Cases: two_clients dead_client paused_client rebooted_client local_locks      (default: all of them)
#
# The machines are guests of scripts/nfs-lab.sh, with one slow CPU each: figures compare with each other only.
# Environment: PROVE_ITERATIONS, networks of two_clients (default: 300).

proof() {
  [ "$(id -u)" = 0 ] || fail "guests need root for their network"
  prepare
  export NFS_LAB_DIR=${PROVE_LAB:-/run/metaqnn-prove-nfs} NFS_LAB_NETWORK=${PROVE_NETWORK:-10.79.1} NFS_LAB_LEASE=10
  trap 'scripts/nfs-lab.sh down' EXIT
  scripts/nfs-lab.sh up
  local all=(two_clients dead_client paused_client rebooted_client local_locks)
  local case began
  for case in "${@:-${all[@]}}"; do
    declare -F "nfs_$case" >/dev/null || fail "there is no case \`$case\` (see --help)"
    began=$SECONDS
    echo "== $case"
    "nfs_$case"
    echo "   held, $((SECONDS - began)) s"
  done
  [ -n "${PROVE_DIR:-}" ] || rm -rf "$root"
}

on() { scripts/nfs-lab.sh run "$1" "$2"; }

# search_on_nfs NAME NETWORKS CLAIM_LIFETIME [EPOCH_SECONDS]: makes an experiment in /mnt/nfs/NAME.
search_on_nfs() {
  name=$1 dir=$root/$1 results=$2
  rm -rf "$dir" "$dir".*
  cat >"$dir.yaml" <<END
experiment: {name: $1, seed: $RANDOM}
data: {classes: 10, input_size: 32, channels: 3}
search_space: {max_layers: 6, filters: [8, 16, 32], fc_widths: [32, 16]}
epsilon_schedule:
  - {epsilon: 1.0, architectures: $((results / 2))}
  - {epsilon: 0.5, architectures: $((results - results / 2))}
training: {trainer: synthetic, epochs: 4, synthetic_epoch_seconds: ${4:-0.05}, claim_lifetime: $3}
END
  on c1 "rm -rf /mnt/nfs/$1 && $METAQNN init -q $dir.yaml /mnt/nfs/$1"
}

# workers CLIENT: eight of them, until there is nothing to claim. What they tell lies beside the experiment's copy.
workers() {
  on "$1" "
    status=0 pids=()
    for worker in 1 2 3 4 5 6 7 8; do
      $METAQNN train /mnt/nfs/$name --until-done --reduce --json >>$dir.$1.\$worker.json 2>>$dir.$1.\$worker.log &
      pids+=(\$!)
    done
    echo \${pids[*]} >$dir.$1.pids
    for pid in \${pids[*]}; do wait \$pid || status=1; done
    exit \$status" || {
    local status=$?
    [ $status = 125 ] || tail -n 3 "$dir.$1".*.log >&2
    return $status
  }
}

# The server's own word, since a client may remember an older one.
log_size() { on server "stat -c %s /mnt/export/$name/replay.csv"; }
has_rows() { [ "$(on server "wc -l </mnt/export/$name/replay.csv")" -ge "$1" ]; }
has_grown() { [ "$(log_size)" -gt "$1" ]; }

# Every claim and every result that a worker told of stands in the log, and no result was told of twice.
check_told() {
  local event rows
  for event in claimed recorded; do
    rows='$2 == "claimed"'
    [ $event = claimed ] || rows='$2 ~ /^(trained|stopped|failed)$/'
    cat "$dir".c?.*.json | sed -n "s/^{\"event\":\"$event\",\"iteration\":\([0-9]*\).*/\1/p" | sort >"$dir.$event"
    [ -z "$(comm -23 "$dir.$event" <(awk -F, "$rows { print \$1 }" "$dir/replay.csv" | sort -u))" ] || fail "a row is lost: $event"
    [ -z "$(uniq -d "$dir.$event")" ] || fail "two workers were told the same: $event"
  done
  echo "   $(wc -l <"$dir.claimed") claims and $(wc -l <"$dir.recorded") results told of by workers, all in the log"
}

# Copies the experiment to the host, where its files are audited.
inspect() {
  on c2 "$METAQNN status /mnt/nfs/$name --json" >"$dir.status"
  grep -q '"condition":"finished"' "$dir.status" || { cat "$dir.status" && fail "$dir is not finished"; }
  for client in c1 c2; do
    on $client "$METAQNN reduce /mnt/nfs/$name --rebuild" >/dev/null || fail "$client: a rebuild gives another view"
  done
  on server "cp -r /mnt/export/$name $dir"
  audit
  check_told
  ! grep -q 'panicked' "$dir".c?.*.log || fail "a worker panicked"
}

nfs_two_clients() {
  search_on_nfs both "${PROVE_ITERATIONS:-300}" 86400
  local began=$(date +%s.%N) first
  workers c1 &
  first=$!
  workers c2 || fail "a worker on c2 failed"
  wait $first || fail "a worker on c1 failed"
  awk -v began="$began" -v ended="$(date +%s.%N)" -v results="$results" \
    'BEGIN { printf "   %d networks in %.1f s: %.1f a second\n", results, ended - began, results / (ended - began) }'
  inspect
  local client
  for client in c1 c2; do
    echo "   $(awk -F, -v client=$client '$2 ~ /^(trained|stopped|failed)$/ { n += index($0, "," client ",") > 0 } END { print n }' \
      "$dir/replay.csv") of them on $client"
  done
}

# Stops the workers on c1 while one of them has the lock: then the log does not grow, and nobody on c2 gets the lock.
stopped_with_the_lock() {
  local size
  on c1 "
    for try in {1..1000}; do
      while read -r _ kind _ mode pid _; do
        [ \"\$kind \$mode\" = \"FLOCK WRITE\" ] || continue
        kill -STOP \$pid
        sleep 0.1 # what it does in the kernel, it does to the end
        grep -q \"FLOCK .* WRITE \$pid \" /proc/locks && kill -STOP \$(cat $dir.c1.pids) && exit
        kill -CONT \$pid
      done </proc/locks
    done 2>/dev/null
    exit 1" || fail "no worker on c1 was caught with the lock"
  size=$(log_size)
  on c2 "for try in {1..20}; do ! flock --nonblock /mnt/nfs/$name/replay.csv true || exit; sleep 0.1; done" || fail "the lock is free"
  [ "$(log_size)" = "$size" ] || fail "the log grows"
}

nfs_dead_client() {
  search_on_nfs dead 300 60
  local second size began lost recorded
  workers c1 2>/dev/null &
  workers c2 &
  second=$!
  within 60 has_rows 40 || fail "the workers do not begin"
  stopped_with_the_lock
  size=$(log_size)
  scripts/nfs-lab.sh kill c1
  began=$(date +%s.%N)
  within 60 has_grown "$size" || fail "the lock of a dead machine stays taken"
  awk -v began="$began" -v now="$(date +%s.%N)" \
    'BEGIN { printf "   c2 has the lock %.1f s after the end of c1; the lease is 10 s\n", now - began }'
  grep -q 'waiting for the lock' "$dir".c2.*.log || fail "nobody was told that c2 waits for the lock"
  wait $second || fail "a worker on c2 failed"
  # What c1 had claimed ends by its time alone, since nobody on c2 knows whether c1 lives.
  within 90 ends_on_c2 || fail "the claims of c1 do not end"
  scripts/nfs-lab.sh boot c1
  inspect
  # (With a claim, the draws that waited for it are lost.)
  lost=$(awk -F, '$2 == "lost"' "$dir/replay.csv" | grep -v 'iteration [0-9]* was lost') || true
  [ -z "$(grep -v 'its time is over,,c1,' <<<"$lost")" ] || fail "a claim was lost for another reason: $lost"
  lost=$(grep -c . <<<"$lost") || true
  recorded=$(tail -c "+$((size + 1))" "$dir/replay.csv" | grep -cE '^[0-9]+,(trained|stopped|failed),.*,c1,') || true
  [ $((lost + recorded)) -gt 0 ] || fail "c1 left neither a claim nor a result"
  echo "   of c1: $recorded results recorded by c2 from the files it left, $lost claims lost when their time was over"
}

ends_on_c2() {
  on c2 "$METAQNN reduce -q /mnt/nfs/$name"
  workers c2
  on c2 "$METAQNN status /mnt/nfs/$name --json" | grep -q '"condition":"finished"'
}

# Stops c1 as a whole, at any step of its workers, and lets it go on unless one of them has the lock.
stands_still_with_the_lock() {
  kill -STOP "$1"
  size=$(log_size)
  on c2 "for try in {1..10}; do ! flock --nonblock /mnt/nfs/$name/replay.csv true || exit; sleep 0.1; done" &&
    [ "$(log_size)" = "$size" ] && return
  kill -CONT "$1"
  sleep "0.$((RANDOM % 4))"
  return 1
}

# A machine that stands still for longer than its lease, with the lock held, has lost the lock when it goes on: the
# worker that believes it has it must not write. (Its failed write is told to others on that machine, too.)
nfs_paused_client() {
  search_on_nfs paused 600 86400
  local first second size machine refused
  workers c1 2>/dev/null &
  first=$!
  workers c2 &
  second=$!
  within 60 has_rows 40 || fail "the workers do not begin"
  machine=$(cat "$NFS_LAB_DIR/c1/pid")
  within 60 stands_still_with_the_lock "$machine" || fail "c1 was not caught with the lock"
  within 60 has_grown "$size" || fail "the lock of a machine that stands still stays taken"
  sleep 2
  kill -CONT "$machine"
  wait $second || fail "a worker on c2 failed"
  wait $first || true # it fails, unless all that was left to it was to unlock
  refused=$(grep -h ^error "$dir".c1.*.log || true)
  echo "   c1: $(grep -c . <<<"$refused") workers end: $(head -n 1 <<<"${refused:-nobody had to write any more}")"
  [ -z "$(grep -v 'replay.csv.*Input/output error' <<<"$refused")" ] || fail "another error: $refused"
  on c1 "$METAQNN reduce -q /mnt/nfs/$name"
  workers c1 || fail "a worker on c1 failed"
  inspect
}

nfs_rebooted_client() {
  # Epochs so long that the end of c1 finds trainings under way, not only results that wait for the lock.
  search_on_nfs reboot 150 86400 0.5
  local second open lost
  workers c1 2>/dev/null &
  workers c2 &
  second=$!
  within 60 has_rows 40 || fail "the workers do not begin"
  scripts/nfs-lab.sh kill c1
  wait $second || fail "a worker on c2 failed"
  on c2 "$METAQNN reduce -q /mnt/nfs/$name"
  ! on server "grep ,lost, /mnt/export/$name/replay.csv" || fail "nothing was to be known on c2 of the claims of c1"
  scripts/nfs-lab.sh boot c1
  on c1 "$METAQNN reduce -q /mnt/nfs/$name"
  lost=$(on server "grep -c ',lost,.*its process is gone' /mnt/export/$name/replay.csv") || fail "no claim was lost by the reduce on c1"
  echo "   $lost claims of c1 lost by a reduce there after it had come back"
  workers c1 || fail "a worker on c1 failed"
  inspect
}

# A mount that keeps locks to one machine.
nfs_local_locks() {
  search_on_nfs local 4 86400
  local options said status size
  size=$(log_size)
  on c1 "rpcbind -w; mkdir -p /mnt/local"
  for options in nolock local_lock=all local_lock=flock; do
    on c1 "mount -t nfs -o vers=3,$options $NFS_LAB_NETWORK.2:/mnt/export /mnt/local" ||
      fail "no mount with $options"
    status=0
    said=$(on c1 "$METAQNN train /mnt/local/$name") || status=$?
    echo "   $options: exit status $status, $said"
    [ $status = 4 ] || fail "train was to be refused with exit status 4"
    grep -q "/mnt/local/$name.*$options" <<<"$said" || fail "the message was to name path and option"
    [ "$(log_size)" = "$size" ] || fail "nothing was to be written"
    ! on c1 "$METAQNN reduce /mnt/local/$name" >/dev/null || fail "reduce was to be refused"
    on c1 "$METAQNN train -q --single-node /mnt/local/$name" || fail "a person who says that there is one machine is believed"
    size=$(log_size)
    on c1 "umount /mnt/local"
  done
}
