# A file system of 2 MiB that is full for a while during a search (as root; 2 minutes).
#
# Cases: pages        one task after the other, each with a page more room than the last: errors name the disk, no result is lost
#        for_a_while  8 workers at once, while the disk is full again and again
# (default: all of them)

proof() {
  [ "$(id -u)" = 0 ] || fail "a small file system needs root"
  prepare
  disk=$(mktemp -d)
  mount -t tmpfs -o size=2m tmpfs "$disk"
  trap 'umount -l "$disk" && rmdir "$disk"' EXIT
  cases full_disk pages for_a_while -- "$@"
}

# room BYTES: leaves that much room and no more.
room() {
  rm -f "$disk/filler"
  cat /dev/zero >"$disk/filler" 2>/dev/null || true
  truncate -s "-$1" "$disk/filler"
}

small_search() {
  dir=$disk/search
  rm -rf "$dir" "$disk/filler"
  cat >"$root/small.yaml" <<END
experiment: {name: small, seed: $RANDOM}
data: {classes: 10, input_size: 16, channels: 1}
search_space: {max_layers: 4, filters: [8, 16, 32], fc_widths: [32, 16]}
epsilon_schedule:
  - {epsilon: 1.0, architectures: 60}
  - {epsilon: 0.1, architectures: 30}
training: {trainer: synthetic, epochs: 4, synthetic_epoch_seconds: 0.02}
END
  metaqnn init -q "$root/small.yaml" "$dir"
  results=90
}

ends_well() {
  rm -f "$disk/filler"
  metaqnn run -q "$root/small.yaml" "$dir" --workers 4 >/dev/null || fail "$dir does not go on to its end"
  audit
}

full_disk_pages() {
  small_search
  local pages status before said=$root/said ended=0 unlearned=0
  for ((pages = 0; pages < 30; pages++)); do
    room $((pages * 4096))
    before=$(events trained)
    status=0
    # TERM ends the wait for room; the status is then 75.
    timeout --preserve-status 1 "$METAQNN" train "$dir" --reduce --single-node >/dev/null 2>"$said" || status=$?
    case $status in
    0) ;;
    4 | 75) ended=$((ended + 1)) && grep -q 'No space left on device\|disk full' "$said" || fail "the disk is not named: $(cat "$said")" ;;
    *) fail "exit status $status with $pages pages of room: $(cat "$said")" ;;
    esac
    ! grep -q 'nothing is learned yet' "$said" || unlearned=$((unlearned + 1))
    [ "$(events trained)" -ge "$before" ] || fail "results have gone"
  done
  echo "   of 30 tasks $ended ended without a result, $unlearned recorded one and could not learn from it"
  [ $ended -gt 0 ] && [ $unlearned -gt 0 ] || fail "the disk was never full enough"
  ends_well
}

full_disk_for_a_while() {
  small_search
  local times=0 ended=0 search
  until is_finished 2>/dev/null; do
    metaqnn run -q "$root/small.yaml" "$dir" --workers 8 >/dev/null 2>"$root/said" &
    search=$!
    while kill -0 "$search" 2>/dev/null; do
      sleep "0.$(printf %03d $((RANDOM % 500)))"
      room 0
      times=$((times + 1))
      sleep "0.$(printf %03d $((RANDOM % 500)))"
      rm -f "$disk/filler"
    done
    wait "$search" && continue
    ended=$((ended + 1))
    grep -q 'No space left on device\|disk full' "$root/said" || fail "the search ended, and not for want of room: $(cat "$root/said")"
  done
  echo "   full $times times; the search ended $ended times over it and went on"
  ends_well
}
