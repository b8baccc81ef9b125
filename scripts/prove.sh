#!/usr/bin/env bash
# Long proofs, each a command that prints its figures and fails on any violation. The tests hold short forms.
#
# usage: scripts/prove.sh PROOF [CASE...]
#
#   damage   files of a search damaged, found and mended
#   fashion  one network on the whole of Fashion-MNIST: its accuracy for three seeds
#   slurm    searches on a real Slurm of four nodes with two fake GPUs each
#   kills    workers killed at random moments, 64 workers started at once
#   finalize final trainings killed at random moments, here and on a real Slurm
#   full_disk   a file system of 2 MiB that is full for a while
#   nfs      searches on a real NFS: a server and two client machines
#   portable the same bytes with musl, without FMA, without optimisation, for this very processor
#   filesystems searches on Gluster and sshfs, mounted twice
#   report   the page of a search in a browser, with pictures of it
#   simulate early stopping on the recorded curves of 341 networks
#   stopping a search on Fashion-MNIST with and without early stopping
#   strategies real searches by several strategies, and the test error of what they found
#
# Each proof is a file in scripts/proofs/, whose head says what it does and which cases it has.
#
# Environment: METAQNN, the program (default: built here without libtorch); PROVE_DIR, where the
# experiments lie (default: a new temporary folder, removed when all went well); PROVE_SEED.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "prove: $*" >&2; }
fail() { say "FAILED: $*" && exit 1; }

# Builds `metaqnn-torch`, too, where no program is given.
with_libtorch() {
  if [ -z "${METAQNN:-}" ]; then
    eval "$(scripts/setup-libtorch.sh)"
    cargo build --release --quiet
    METAQNN=$PWD/target/release/metaqnn
  fi
}

# The experiments of one proof, each in a folder of its own.
prepare() {
  if [ -z "${METAQNN:-}" ]; then
    cargo build --release --no-default-features --quiet
    METAQNN=$PWD/target/release/metaqnn
  fi
  RANDOM=${PROVE_SEED:-1}
  root=${PROVE_DIR:-$(mktemp -d)}
  mkdir -p "$root"
  say "experiments lie in $root"
}

metaqnn() { "$METAQNN" "$@"; }

# within SECONDS COMMAND...: repeats a command until it succeeds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.2
  done
}

# cases PROOF CASE... -- [CHOSEN...]: runs the chosen cases, or all, and says how long each took.
cases() {
  local proof=$1 all=() case began
  shift
  while [ "$1" != -- ]; do all+=("$1") && shift; done
  shift
  for case in "${@:-${all[@]}}"; do
    declare -F "${proof}_$case" >/dev/null || fail "there is no case \`$case\` (there are: ${all[*]})"
    began=$SECONDS
    echo "== $case"
    "${proof}_$case"
    echo "   held, $((SECONDS - began)) s"
  done
  [ -n "${PROVE_DIR:-}" ] || rm -rf "$root"
}

# search NAME RANDOM GREEDY EPOCH_SECONDS [LINE...]: makes an experiment in $root/NAME, with further lines
# of its section `slurm`.
search() {
  dir=$root/$1
  rm -rf "$dir" "$dir.yaml"
  {
    cat <<END
experiment: {name: $1, seed: $RANDOM}
data: {classes: 10, input_size: 16, channels: 1}
search_space: {max_layers: 4, filters: [8, 16, 32], fc_widths: [32, 16]}
epsilon_schedule:
  - {epsilon: 1.0, architectures: $2}
  - {epsilon: 0.1, architectures: $3}
training: {${training:-trainer: synthetic, epochs: 4}, synthetic_epoch_seconds: $4, claim_lifetime: ${claim_lifetime:-86400}}
slurm:
  gres: gpu:1
  cpus_per_task: 1
  max_parallel: 8
END
    [ $# -lt 5 ] || printf '  %s\n' "${@:5}"
  } >"$dir.yaml"
  metaqnn init -q "$dir.yaml" "$dir"
  results=$(($2 + $3))
}

events() { awk -F, -v event="$1" '$2 == event' "$dir/replay.csv" | wc -l; }
has_events() { [ "$(events "$1")" -ge "$2" ]; }
is_finished() { metaqnn status "$dir" --json | grep -q '"condition":"finished"'; }

audit() {
  local counted
  counted=$(scripts/audit-search.py "$dir" "$results") || fail "$dir: $counted"
  metaqnn verify "$dir" >"$dir.verify" || fail "$dir: $(cat "$dir.verify")"
  metaqnn reduce "$dir" --rebuild >/dev/null || fail "$dir: a rebuild gives another view"
  echo "   $(basename "$dir"): $counted"
}

case ${1:-} in
-h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" && exit ;;
esac
[ -n "${1:-}" ] && [ -f "scripts/proofs/$1.sh" ] || { say "usage: $0 PROOF [CASE...] (see --help)" && exit 2; }
# shellcheck source=/dev/null
source "scripts/proofs/$1.sh"
shift
proof "$@"
