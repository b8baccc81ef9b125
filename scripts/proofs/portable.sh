# The same bytes from five programs: built for speed, without optimisation, for this very processor, statically
# with musl, and the first one on a processor without FMA and AVX2, as glibc's tunables show it (most of the time
# is builds). Needs an x86-64 with FMA and `rustup target add x86_64-unknown-linux-musl`.
#
# Cases: whole      a search of 150 networks with 100 in the burn-in: log, curves, Q-table, predictor
#        stopping   a search in which most networks are stopped
#        simulate   curves of a search replayed by four regressors
#        strategies searches of each other strategy (STRATEGIES), which learn from results or not
# (default: all of them). Each program also verifies the others' searches. METAQNN is not used: all are built here,
# or those of PROGRAMS (such as "release debug without_fma", which needs no musl).

proof() {
  local musl=x86_64-unknown-linux-musl
  unset METAQNN
  prepare
  declare -gA programs=()
  local program
  for program in ${PROGRAMS:-release debug native musl without_fma}; do
    case $program in
    debug) cargo build --no-default-features --quiet && programs[debug]=$PWD/target/debug/metaqnn ;;
    native)
      RUSTFLAGS=-Ctarget-cpu=native cargo build --no-default-features --quiet --release --target-dir target/native
      programs[native]=$PWD/target/native/release/metaqnn
      ;;
    musl)
      rustup target list --installed | grep -q "^$musl$" || fail "there is no target $musl (rustup target add $musl)"
      cargo build --no-default-features --quiet --release --target $musl
      programs[musl]=$PWD/target/$musl/release/metaqnn
      ;;
    release | without_fma) programs[$program]=$METAQNN ;;
    *) fail "there is no program \`$program\`" ;;
    esac
  done
  [ -n "${programs[release]:-}" ] || fail "the others are compared with \`release\`"
  cases portable whole stopping simulate strategies -- "$@"
}

# by PROGRAM ARGUMENT...: runs one of the programs.
by() {
  local tunables=
  [ "$1" != without_fma ] || tunables=glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX,-AVX512F
  GLIBC_TUNABLES=$tunables "${programs[$1]}" "${@:2}"
}

# compared [nothing]: one search of `$root/config.yaml` by each program, all equal, and each clean for each program;
# `nothing`: no predictor is fitted, and the strategy does not learn.
compared() {
  local maker reader
  rm -rf "$root/searches"
  mkdir "$root/searches"
  for maker in "${!programs[@]}"; do
    by "$maker" run -q "$root/config.yaml" "$root/searches/$maker" >/dev/null
    for reader in "${!programs[@]}"; do
      by "$reader" verify "$root/searches/$maker" >"$root/verify" || fail "$maker for $reader: $(cat "$root/verify")"
    done
  done
  python3 - "$root/searches" "${1:-}" <<'END' || fail "see above"
import csv, pathlib, sys
ELSEWHERE = {"train_seconds", "saved_seconds", "lost_seconds", "device", "host", "job", "task", "started_at", "time", "expires_at", "seconds"}
def contents(search):
    found = {}
    for path in sorted([search / "replay.csv", *search.glob("curves/*.csv"), *search.glob("views/*/*"), *search.glob("predictors/*/*")]):
        name = str(path.relative_to(search))
        if path.name in ("q_table.csv", "strategy.bin", "predictor.yaml"):
            found[name] = path.read_bytes()
        elif path.parent.name == "curves" or name == "replay.csv":
            rows = csv.DictReader(path.open())
            found[name] = [{key: row[key] for key in row if key not in ELSEWHERE} for row in rows]
    return found
searches = {path.name: contents(path) for path in sorted(pathlib.Path(sys.argv[1]).iterdir())}
release = searches["release"]
for name, found in searches.items():
    differ = sorted(file for file in found.keys() | release.keys() if found.get(file) != release.get(file))
    if differ:
        sys.exit(f"{name} differs from release in {len(differ)} files: {differ[:5]}")
events = [row["event"] for row in release["replay.csv"]]
learned = {name.rsplit("/", 1)[1] for name in release if "/" in name} - {"q_table.csv"}
learned = [name for name in ("predictor.yaml", "strategy.bin") if name in learned]
assert learned or sys.argv[2] == "nothing"
print(f"   {len(searches)} searches are equal: {events.count('trained')} networks trained, "
      f"{events.count('stopped')} stopped, {events.count('failed')} failed; {len(release)} files each, "
      f"with {' and '.join(learned) or 'nothing learned'}")
END
}

# config RANDOM GREEDY EARLY_STOPPING [STRATEGY SPACE]: writes the configuration.
config() {
  cat >"$root/config.yaml" <<END
experiment: {name: portable, seed: $RANDOM}
data: {classes: 10, input_size: 32, channels: 3}
search_space: {${5:-max_layers: 18}}
epsilon_schedule:
  - {epsilon: 1.0, architectures: $1}
  - {epsilon: 0.1, architectures: $2}
training: {trainer: synthetic}
early_stopping: {$3}
strategy: {${4:-}}
END
}

portable_whole() {
  config 130 20 'refit_every: 0'
  compared
}

portable_stopping() {
  config 60 60 'burn_in: 40, refit_every: 20, draws: 20, threshold: 0.95'
  compared
}

portable_strategies() {
  local kind networks='"[SM(10)]", "[GAP(10), SM(10)]", "[C(64,3,1), SM(10)]", "[C(64,3,1), P(2,2), SM(10)]"'
  for kind in ${STRATEGIES:-exploit_best evolution bayesian policy_gradient random exhaustive list}; do
    echo "   $kind:"
    case $kind in
    # All of its space, which holds so many.
    exhaustive) set -- "kind: exhaustive" "max_layers: 4, filters: [64, 128], kernels: [3], pools: [[2, 2]], fc_widths: [128]" ;;
    list) set -- "kind: list, list: {repeats: 15, architectures: [$networks]}" "" nothing ;;
    *) set -- "kind: $kind" "" ;;
    esac
    config 40 20 'burn_in: 30, refit_every: 20, draws: 20' "${@:1:2}"
    compared "${3:-}"
  done
}

portable_simulate() {
  local program regressor
  config 60 1 'enabled: false'
  by release run -q "$root/config.yaml" "$root/recorded" >/dev/null
  for program in "${!programs[@]}"; do
    for regressor in nu-svr-rbf nu-svr-linear ols random-forest; do
      by "$program" simulate -q "$root/recorded" --burn-in 20 --orders 2 --regressor $regressor --json \
        --scores "$root/scores.csv"
      cat "$root/scores.csv"
    done >"$root/$program.replays"
    cmp "$root/release.replays" "$root/$program.replays" || fail "$program replays otherwise"
  done
  echo "   ${#programs[@]} times the same $(wc -l <"$root/release.replays") lines of four regressors"
}
