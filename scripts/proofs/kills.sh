# Processes killed at random moments, many starts at once: local searches with the synthetic trainer.
#
# Cases: workers   1,000 times SIGKILL (KILLS) over searches of 8 workers that train and learn, and a
#                  quarter as often over reduces that publish and write tables beside them
#        models    300 times SIGKILL over a search whose trainer writes models, which are those of the best
#        strategies  200 times SIGKILL (KILLS) over searches of each strategy (STRATEGIES), as `workers`
#        together  64 workers started at the same instant on a new experiment
# (default: all of them; 10 minutes)

proof() {
  prepare
  cases kills workers models strategies together -- "$@"
}

# local_search NAME ARCHITECTURES EPOCH_SECONDS [TRAINER SPACE STRATEGY]: an experiment whose schedule is long
# enough for what is done to it.
local_search() {
  dir=$root/$1
  rm -rf "$dir" "$dir.yaml"
  cat >"$dir.yaml" <<END
experiment: {name: $1, seed: $RANDOM}
data: {classes: 10, input_size: 28, channels: 1}
search_space: {max_layers: 8${5:-}}
epsilon_schedule:
  - {epsilon: 1.0, architectures: $(($2 / 4))}
  - {epsilon: 0.1, architectures: $(($2 - $2 / 4))}
training: {trainer: ${4:-synthetic}, epochs: 4, synthetic_epoch_seconds: $3}
strategy: ${6:-{\}}
END
  metaqnn init -q "$dir.yaml" "$dir"
  results=$2
}

# ends_well: the search goes on to its end with nobody killing, and its files hold what they should.
ends_well() {
  metaqnn run -q "$dir.yaml" "$dir" --workers 4 >/dev/null || fail "$dir does not go on to its end"
  audit
}

# kills_over NAME KILLS ARCHITECTURES [SPACE STRATEGY]: kills over as many searches as it takes.
kills_over() {
  local kills=$2 n=0
  while [ "$kills" -gt 0 ]; do
    n=$((n + 1))
    local_search "$1$n" "$3" 0.01 synthetic "${@:4}"
    scripts/proofs/kills.py "$METAQNN" "$dir" "$kills" "$RANDOM" >"$root/killed" || fail "$dir: $(cat "$root/killed")"
    sed 's/^/   /' "$root/killed"
    kills=$((kills - $(sed -n 's/^\([0-9]*\) killed.*/\1/p' "$root/killed")))
    ends_well
  done
}

kills_workers() { kills_over workers "${KILLS:-1000}" 1200; }

kills_strategies() {
  local kind networks='"[SM(10)]", "[GAP(10), SM(10)]", "[C(8,3,1), SM(10)]", "[C(8,3,1), P(2,2), SM(10)]"'
  for kind in ${STRATEGIES:-q_learning exploit_best evolution bayesian policy_gradient random exhaustive list}; do
    case $kind in
    # All of its space, which holds so many.
    exhaustive) set -- 1025 ", filters: [8], kernels: [3], fc_widths: [16]" "{kind: exhaustive}" ;;
    list) set -- 1200 "" "{kind: list, list: {repeats: 300, architectures: [$networks]}}" ;;
    *) set -- 1200 "" "{kind: $kind}" ;;
    esac
    kills_over "$kind" "${KILLS:-200}" "$@"
  done
}

kills_models() {
  local_search models 900 0 "command, command: [python3, $PWD/scripts/proofs/model-trainer.py, '0.02']" \
    ", filters: [4, 8], fc_widths: [16, 8]"
  scripts/proofs/kills.py "$METAQNN" "$dir" "${KILLS:-300}" "$RANDOM" 4 >"$root/killed" || fail "$dir: $(cat "$root/killed")"
  sed 's/^/   /' "$root/killed"
  ends_well
  scripts/proofs/models.py "$dir" | sed 's/^/   /' || fail "$dir: models"
}

kills_together() {
  local_search together 120 0.05
  scripts/proofs/kills.py "$METAQNN" "$dir" 0 "$RANDOM" 64 | sed 's/^/   /'
  ends_well
}
