# One network on the whole of Fashion-MNIST with the search recipe: its validation accuracy after two
# epochs, for three seeds (5 minutes on two quiet cores). A healthy training is near 0.90.
#
# Environment: METAQNN, with metaqnn-torch beside it (default: built here with libtorch); METAQNN_DATA,
# where fashion-mnist/ lies (default: target/data, fetched there when it is missing).

network='[C(64,3,1), P(2,2), C(128,3,1), P(2,2), FC(128), SM(10)]'
with_dropout='[C(64,3,1), P(2,2), D(1,4), C(128,3,1), P(2,2), D(2,4), FC(128), D(3,4), SM(10)]'

# The mark D(i,n) drops with probability i / 2n.
layers='{"type":"conv","filters":64,"kernel":3,"stride":1,"padding":1,"batch_norm":false},
  {"type":"pool","kernel":2,"stride":2,"ceil":false,"batch_norm":false},{"type":"dropout","probability":0.125},
  {"type":"conv","filters":128,"kernel":3,"stride":1,"padding":1,"batch_norm":false},
  {"type":"pool","kernel":2,"stride":2,"ceil":false,"batch_norm":false},{"type":"dropout","probability":0.25},
  {"type":"fully_connected","width":128},{"type":"dropout","probability":0.375},
  {"type":"softmax","classes":10}'

proof() {
  with_libtorch
  prepare
  local data=${METAQNN_DATA:-$PWD/target/data}/fashion-mnist
  scripts/fetch-data.sh fashion-mnist "$data" >/dev/null
  metaqnn space configs/fashion_mnist.yaml --check --json <<<"$network" | grep -qF "\"$with_dropout\"" ||
    fail "the space gives $network other dropout marks than $with_dropout"
  echo "$with_dropout, 55,000 images train and 5,000 judge, 2 epochs"
  for seed in 1 2 3; do
    one_seed "$seed" "$data"
  done
  [ -n "${PROVE_DIR:-}" ] || rm -rf "$root"
}

# A task of a search trains what it has sampled. Here its trainer has the layers of the request replaced
# by those of the network, so that all the rest (recipe, data, split, seeds) is what a search asks for.
one_seed() {
  local dir=$root/fashion-$1 trainer epochs best
  trainer="sed -u 's/\"layers\":\\[[^]]*\\]/\"layers\":[${layers//$'\n'/}]/' | '$(dirname "$METAQNN")/metaqnn-torch'"
  rm -rf "$dir"
  metaqnn init -q configs/fashion_mnist.yaml "$dir" --set "data.path=$2" --set "experiment.seed=$1" \
    --set training.epochs=2 --set training.trainer=command --set "training.command=$(as_list sh -c "$trainer")"
  epochs=$(metaqnn train -q --json "$dir" | grep '"event":"epoch"')
  best=$(sed -n '$s/.*"validation_accuracy":\([0-9.]*\).*/\1/p' <<<"$epochs")
  echo "   seed $1: validation accuracy $best, $(sed 's/.*"seconds":\([0-9]*\).*/\1 s/' <<<"$epochs" | paste -sd' ')"
  awk -v best="$best" 'BEGIN { exit best < 0.87 }' || fail "$best is far from 0.90"
}

# Its arguments as a YAML list.
as_list() { printf '%s\0' "$@" | python3 -c 'import json, sys; print(json.dumps(sys.stdin.read().split("\0")[:-1]))'; }
