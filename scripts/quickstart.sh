#!/usr/bin/env bash
# From a fresh Debian or Ubuntu machine to a real search: libtorch, the build, Fashion-MNIST, and
# `metaqnn run configs/quickstart.yaml`. Run it again to go on after an interruption.
#
# usage: scripts/quickstart.sh [DIR]     (default: ./quickstart)
set -euo pipefail
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0; fi
here=$(cd "$(dirname "$0")/.." && pwd)
experiment=$(realpath -m "${1:-quickstart}")
cd "$here"

for tool in cargo python3 c++; do
  command -v "$tool" >/dev/null || { echo "quickstart: \`$tool\` is missing (Rust: https://rustup.rs; else: apt install python3-pip g++)" >&2; exit 4; }
done
step() { echo "quickstart: $*" >&2; }

step "libtorch"
libtorch=$(scripts/setup-libtorch.sh)
eval "$libtorch"
step "building metaqnn and metaqnn-torch"
cargo build --release --quiet
step "Fashion-MNIST"
scripts/fetch-data.sh fashion-mnist data/fashion-mnist
step "searching, in \`$experiment\`"
workers=$(nproc)
target/release/metaqnn run configs/quickstart.yaml "$experiment" --workers "$((workers < 4 ? workers : 4))"
