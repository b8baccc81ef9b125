# Real searches on Fashion-MNIST by several strategies, of equally many networks, each with several seeds, and the test
# error of the network that each found, beside that of a random search of the same seed (about 100 CPU minutes in all:
# 5 to 15 a search and 5 to 15 a test error, deep networks taking longer).
#
# The quickstart's 36 networks (5,000 images, 3 epochs), then `finalize` with its recipe of 6 epochs: the three
# best of the search and of the random one, the better of each twice more on all images.
#
# Environment: STRATEGIES (default: q_learning bayesian), SEEDS (default: 1 2), WORKERS (default: 2); METAQNN, with
# metaqnn-torch beside it (default: built here with libtorch); METAQNN_DATA, where fashion-mnist/ lies (default:
# target/data, fetched there when it is missing).

proof() {
  with_libtorch
  prepare
  local data=${METAQNN_DATA:-$PWD/target/data}/fashion-mnist strategy seed strategies seeds
  read -ra strategies <<<"${STRATEGIES:-q_learning bayesian}"
  read -ra seeds <<<"${SEEDS:-1 2}"
  scripts/fetch-data.sh fashion-mnist "$data" >/dev/null
  for seed in "${seeds[@]}"; do
    searched random "$seed"
    for strategy in "${strategies[@]}"; do
      searched "$strategy" "$seed"
      metaqnn finalize -q "$root/$strategy-$seed" --control "$root/random-$seed" --top 3 --per-depth 0 --seeds 2 \
        --ensemble 1 --workers "${WORKERS:-2}" --json >"$root/$strategy-$seed.json"
      finals "$strategy-$seed"
    done
  done
  [ -n "${PROVE_DIR:-}" ] || rm -rf "$root"
}

searched() {
  local dir=$root/$1-$2
  metaqnn run -q configs/quickstart.yaml "$dir" --workers "${WORKERS:-2}" --set "data.path=$data" \
    --set "experiment.seed=$2" --set training.threads=1 \
    --set "strategy.kind=$1" >/dev/null
  metaqnn verify "$dir" >/dev/null || fail "$dir: $(metaqnn verify "$dir")"
  metaqnn status "$dir" --json | python3 -c 'import json, sys
status = json.load(sys.stdin)
results, best = status["results"], status["best"]
accuracy, architecture = best["best_validation_accuracy"], best["architecture"]
print(f"   {sys.argv[1]:14} best of {results} on validation: {accuracy:.4f} {architecture}")' "$1-$2"
}

finals() {
  python3 -c 'import json, sys
for result in json.load(open(sys.argv[2]))["results"]:
    name, tests, mean, resolved = (result[key] for key in ["name", "test", "mean_test_error", "resolved"])
    if tests:
        errors = ", ".join(format(test["error"], ".4f") for test in tests.values())
        print(f"   {sys.argv[1]:14} {name}: test errors {errors}, mean {mean:.4f}, differs from the top model: {resolved}")' "$1" "$root/$1.json"
}
