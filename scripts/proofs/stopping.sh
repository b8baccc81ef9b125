# A search on real Fashion-MNIST with and without early stopping, from the same seed: epochs trained, the best
# network, the ledger, and where the stopped networks ended when nobody stopped them (5 CPU minutes).
#
# 60 networks of the quickstart's space, 1,000 images train and 1,000 judge, 6 epochs, a burn-in of 20.
#
# Environment: METAQNN, with metaqnn-torch beside it (default: built here with libtorch); METAQNN_DATA,
# where fashion-mnist/ lies (default: target/data, fetched there when it is missing).

proof() {
  with_libtorch
  prepare
  local data=${METAQNN_DATA:-$PWD/target/data}/fashion-mnist
  scripts/fetch-data.sh fashion-mnist "$data" >/dev/null
  cat >"$root/stopping.yaml" <<END
experiment: {name: stopping, seed: ${PROVE_SEED:-1}}
data:
  kind: idx
  path: $data
  classes: 10
  input_size: 28
  channels: 1
  preprocess: global_contrast_normalisation
  training_images: 1000
  validation: {images: 1000}
search_space: {max_layers: 5, filters: [8, 16, 32], fc_widths: [64, 32]}
epsilon_schedule:
  - {epsilon: 1.0, architectures: 36}
  - {epsilon: 0.5, architectures: 12}
  - {epsilon: 0.1, architectures: 12}
training: {epochs: 6, decay_every: 3, batch_size: 32, threads: 1}
early_stopping: {burn_in: 20, refit_every: 10}
END
  metaqnn run -q "$root/stopping.yaml" "$root/with" >/dev/null &
  metaqnn run -q "$root/stopping.yaml" "$root/without" --set early_stopping.enabled=false >/dev/null
  wait $!
  for dir in "$root/with" "$root/without"; do
    metaqnn verify "$dir" >/dev/null || fail "$dir: $(metaqnn verify "$dir")"
    metaqnn status "$dir" --json >"$dir.json"
  done
  python3 - "$root" <<'END' || fail "see above"
import csv, json, sys
root = sys.argv[1]
for name in ["with", "without"]:
    status = json.load(open(f"{root}/{name}.json"))
    stopping, seconds, best = (status[key] for key in ["early_stopping", "seconds", "best"])
    print(f"   {name:8} {status['counts']['trained']} trained, {stopping['stopped']} stopped, "
          f"{stopping['epochs_trained']} epochs, {seconds['train_seconds']:.0f} s spent, "
          f"{seconds['saved_seconds']:.0f} s saved, best {best['best_validation_accuracy']} {best['architecture']}")
read = lambda name: [row for row in csv.DictReader(open(f"{root}/{name}/replay.csv"))]
ends = {row["architecture"]: float(row["last_validation_accuracy"]) for row in read("without") if row["event"] == "trained"}
stopped = [row for row in read("with") if row["event"] == "stopped"]
known = [(row, ends[row["architecture"]]) for row in stopped if row["architecture"] in ends]
wrong = [row for row, end in known if end > float(row["y_best"])]
error = sum(abs(float(row["predicted_accuracy"]) - end) for row, end in known) / max(len(known), 1)
print(f"   of the {len(stopped)} stopped {len(known)} were trained to the end in the other search: "
      f"{len(wrong)} beat the best network of the verdict; mean error of the prediction {error:.3f}")
sys.exit(not stopped)
END
  [ -n "${PROVE_DIR:-}" ] || rm -rf "$root"
}
