# Processes killed at random moments, torn logs, many starts at once: local searches with the synthetic trainer.
#
# Cases: workers   1,000 times SIGKILL (KILLS) over searches of 8 workers that train and reduce
#        together  64 workers started at the same instant on a new experiment
#        cuts      the log cut at every byte of its last three rows: each opens, repairs, goes on
# (default: all of them; 5 minutes)

proof() {
  prepare
  cases kills workers together cuts -- "$@"
}

# local_search NAME ARCHITECTURES EPOCH_SECONDS: an experiment whose schedule is long enough for what is done to it.
local_search() {
  dir=$root/$1
  rm -rf "$dir" "$dir.yaml"
  cat >"$dir.yaml" <<END
experiment: {name: $1, seed: $RANDOM}
data: {classes: 10, input_size: 28, channels: 1}
search_space: {max_layers: 8}
epsilon_schedule:
  - {epsilon: 1.0, architectures: $(($2 * 2 / 3))}
  - {epsilon: 0.1, architectures: $(($2 / 3))}
training: {trainer: synthetic, epochs: 4, synthetic_epoch_seconds: $3}
END
  metaqnn init -q "$dir.yaml" "$dir"
  results=$(($2 * 2 / 3 + $2 / 3))
}

# ends_well: the search goes on to its end with nobody killing, and its files hold what they should.
ends_well() {
  metaqnn run -q "$dir.yaml" "$dir" --workers 4 >/dev/null || fail "$dir does not go on to its end"
  audit
}

kills_workers() {
  local kills=${KILLS:-1000} n=0
  while [ "$kills" -gt 0 ]; do
    n=$((n + 1))
    local_search "workers$n" 1200 0.01
    scripts/proofs/kills.py "$METAQNN" "$dir" "$kills" "$RANDOM" >"$root/killed" || fail "$dir: $(cat "$root/killed")"
    sed 's/^/   /' "$root/killed"
    kills=$((kills - $(sed -n 's/^\([0-9]*\) killed.*/\1/p' "$root/killed")))
    ends_well
  done
}

kills_together() {
  local_search together 120 0.05
  scripts/proofs/kills.py "$METAQNN" "$dir" 0 "$RANDOM" 64 | sed 's/^/   /'
  ends_well
}

kills_cuts() {
  local_search cuts 12 0
  metaqnn train -q "$dir" --until-done >/dev/null
  local before=$dir whole=$root/whole.csv iteration size from cut torn pieces=0
  cp "$dir/replay.csv" "$whole"
  size=$(stat -c %s "$whole")
  from=$(head -n -3 "$whole" | wc -c)
  # Those who come later have trained nothing yet.
  for iteration in $(tail -n 3 "$whole" | cut -d, -f1 | sort -u); do
    rm -f "$dir/curves/$(printf %06d "$iteration")".*
  done
  dir=$root/cut
  cp "$before.yaml" "$dir.yaml"
  for ((cut = from; cut < size; cut++)); do
    rm -rf "$dir"
    cp -r "$before" "$dir"
    head -c "$cut" "$whole" >"$dir/replay.csv"
    ends_well >/dev/null
    # A piece of a row is kept; a log that ends with its newline has none.
    torn=$(head -c "$cut" "$whole" | tail -c 1 | grep -vc '^$' || true)
    [ "$(ls "$dir/torn" 2>/dev/null | wc -l)" = "$torn" ] || fail "cut at byte $cut: torn/ holds $(ls "$dir/torn" | wc -l) pieces"
    pieces=$((pieces + torn))
  done
  echo "   cut at $((size - from)) bytes; what was left of a row was kept $pieces times"
}
