#!/usr/bin/env python3
"""Checks the models of a search by `model-trainer.py` whose claims have all ended.

usage: scripts/proofs/models.py EXPERIMENT

Exit status 1, with a line for each violation, unless `models/` holds those of the ten best results and
nothing else, each whole, with the weights of the attempt in the row of its result.
"""
import csv
import json
import pathlib
import struct
import sys

experiment = pathlib.Path(sys.argv[1])
rows = list(csv.DictReader((experiment / "replay.csv").open()))
trained = [row for row in rows if row["event"] == "trained"]
trained.sort(key=lambda row: -float(row["best_validation_accuracy"]))
best = {f"{int(row['iteration']):06}.{row['attempt']}": row for row in trained[:10]}
found = {folder.name for folder in (experiment / "models").iterdir()}
violations = [f"{name} is left" for name in sorted(found - set(best))]
violations += [f"{name} is missing" for name in sorted(set(best) - found)]
for name in found & set(best):
    folder, row = experiment / "models" / name, best[name]
    if {file.name for file in folder.iterdir()} != {
        "weights.safetensors", "preprocessing.safetensors", "model.onnx", "model.json", "classify.py", "README.md"
    }:
        violations.append(f"{name} is not whole")
        continue
    card = json.loads((folder / "model.json").read_text())
    if (card["request"]["iteration"], card["request"]["attempt"]) != (int(row["iteration"]), int(row["attempt"])):
        violations.append(f"{name} has the card of another attempt")
    if card["request"]["architecture"] != row["architecture"] or card["epoch"] != int(row["best_epoch"]):
        violations.append(f"{name} is of another network or epoch")
    (value,) = struct.unpack("<f", (folder / "weights.safetensors").read_bytes()[-4:])
    if int(value) != int(row["iteration"]):
        violations.append(f"{name} has the weights of iteration {value}")
print(f"{len(trained)} networks trained, {len(best)} models")
for violation in violations:
    print(f"VIOLATION: {violation}")
sys.exit(bool(violations))
