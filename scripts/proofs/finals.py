#!/usr/bin/env python3
"""Compares two folders of `metaqnn finalize`, one of which was disturbed.

usage: scripts/proofs/finals.py FINAL OTHER

Exit status 1, with what differs, unless both have outputs of the same models, bit by bit, and the
same tables, certificate and weights of the winner, but for times and for names of models, which have
their iteration and attempt; and OTHER one plan, which names these models, and nothing left behind.
"""
import csv
import hashlib
import json
import pathlib
import sys

OTHERWISE = {"seconds", "seconds_at_random", "model", "reads", "sha256"}


def kept(value):
    if isinstance(value, dict):
        return {key: kept(of) for key, of in value.items() if key not in OTHERWISE}
    return [kept(of) for of in value] if isinstance(value, list) else value


def what(final):
    rows = list(csv.DictReader(open(final / "summary.csv", newline="")))
    outputs = {of for row in rows for key, of in row.items() if "_outputs" in key and of}

    def contents(name):
        return hashlib.sha256((final / name).read_bytes()).hexdigest()

    def of_row(row):
        return {key: contents(of) if of in outputs else of for key, of in kept(row).items()}

    return {
        "models": len(outputs),
        "plans": [path.name for path in final.glob("test/plan*")],
        "models in the plan": (final / "test/plan.yaml").read_text().count("- model:"),
        "outputs of no model": [
            path.name for path in final.glob("test/*.npz") if f"test/{path.name}" not in outputs
        ],
        "left behind": [path.name for path in final.glob("test/.*")],
        "summary.csv": [of_row(row) for row in rows],
        "depth.csv": (final / "depth.csv").read_text(),
        "certificate.json": kept(json.load(open(final / "certificate.json"))),
        "weights": contents("model/weights.safetensors"),
    }


if len(sys.argv) != 3:
    sys.exit(__doc__)
one, other = (what(pathlib.Path(final)) for final in sys.argv[1:])
violations = [f"{name}: {one[name]}, and {other[name]}" for name in one if one[name] != other[name]]
if other["plans"] != ["plan.yaml"] or other["models"] != other["models in the plan"]:
    violations.append(f"{other['models']} models have outputs, by {other['plans']}")
violations += other["outputs of no model"] + other["left behind"]
for violation in violations:
    print(violation)
sys.exit(bool(violations))
