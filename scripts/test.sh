#!/usr/bin/env bash
# Sets up what a fresh machine lacks (libtorch; as root also a one-machine Slurm) and runs every
# check: format, clippy, documentation, all tests with and without the feature `torch`.
# Needs Rust, a C++ compiler, python3 with pip. The last line counts the tests.
#
# usage: scripts/test.sh [--no-slurm]
set -euo pipefail
case "${1:-}" in
  -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
  --no-slurm | "") ;;
  *) echo "test: unknown argument \`$1\` (see --help)" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
log=$(mktemp -d)
export METAQNN_SKIPPED="$log/skipped"      # tests that cannot run here say so in this file
: >"$METAQNN_SKIPPED"
step() { echo "== $* (after ${SECONDS} s)"; }

finish() {
  status=$?
  [ -z "${slurm:-}" ] || scripts/slurm-sandbox.sh down >/dev/null 2>&1 || true
  count() { sed -n "s/^test result:.* \([0-9]*\) $1.*/\1/p" "$log"/*.log 2>/dev/null | awk '{ sum += $1 } END { print sum + 0 }'; }
  skipped=$(sort -u "$METAQNN_SKIPPED" | wc -l)
  failed=$(count failed)
  [ "$status" = 0 ] || [ "$failed" != 0 ] || failed=1      # a step that is no test failed
  [ "$skipped" = 0 ] || { echo "skipped here:"; sort -u "$METAQNN_SKIPPED"; }
  echo "$(($(count passed) - skipped)) passed, $failed failed, $skipped skipped"
  rm -rf "$log"
  [ "$failed" = 0 ] || exit 1
}
trap finish EXIT

step "format"
cargo fmt --check

step "without torch: clippy, tests"
cargo clippy --no-default-features --all-targets --quiet -- -D warnings
cargo test --no-default-features --no-fail-fast 2>&1 | tee "$log/plain.log"

step "libtorch"
libtorch=$(scripts/setup-libtorch.sh)
eval "$libtorch"

step "images"
if images=$(scripts/fetch-data.sh fashion-mnist "${METAQNN_DATA:-$PWD/target/data}/fashion-mnist" 2>&1); then
  export METAQNN_FASHION_MNIST="${METAQNN_DATA:-$PWD/target/data}/fashion-mnist"
else
  echo "$images"
fi

if [ "${1:-}" != --no-slurm ] && [ "$(id -u)" = 0 ]; then
  step "Slurm"
  slurm=$(scripts/slurm-sandbox.sh up)
  eval "$slurm"
  export METAQNN_SLURM=1
fi

step "with torch: clippy, documentation, tests"
cargo clippy --all-targets --quiet -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --quiet
cargo test --no-fail-fast 2>&1 | tee "$log/torch.log"
step "done"
