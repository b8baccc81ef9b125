#!/usr/bin/env python3
"""Recomputes the errors of `metaqnn finalize` from the outputs of the networks alone (needs numpy).

Which file is whose output is read from `summary.csv`; each error is computed from `probabilities`
and `labels` of the files in `test/`, whose `model` is the checksum of the model in `plan.yaml`.
"""
import argparse
import csv
import re
from pathlib import Path

import numpy as np

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("final", type=Path, help="the folder of `certificate.md`")
final = parser.parse_args().final
with open(final / "summary.csv", newline="", encoding="utf-8") as file:
    networks = list(csv.DictReader(file))
plans = "".join(plan.read_text() for plan in (final / "test").glob("plan*.yaml"))
planned = re.findall(r"- model: (\S+)\n(?:  .*\n)*?  sha256: (\S+)", plans)
repeats = sorted(int(name[13:]) for name in networks[0] if name.startswith("test_outputs_"))


def error(names):
    """Of the mean of the outputs; infinite where one is missing."""
    if not names or not all(names):
        return np.inf
    files = [np.load(final / name) for name in names]
    for name, file in zip(names, files):
        model = ".".join(name.removeprefix("test/").split(".")[:2])
        assert (model, bytes(file["model"]).decode()) in planned, f"{name} is of another model"
    assert all((file["labels"] == files[0]["labels"]).all() for file in files)
    total = sum(file["probabilities"].astype(np.float64) for file in files)
    return np.mean(total.argmax(axis=1) != files[0]["labels"])


def text(of):
    return f"{of:.6f}" if of < np.inf else "-"


def show(name, members):
    errors = [error([member[f"test_outputs_{repeat}"] for member in members]) for repeat in repeats]
    known = [of for of in errors if of < np.inf]
    mean = np.mean(known) if known else np.inf
    spread = np.std(known, ddof=1) if len(known) > 1 else np.inf
    validation = error([member["validation_outputs"] for member in members])
    print(f"{name:<15} validation {text(validation)}  test by repeat {' '.join(map(text, errors))}"
          f"  mean {text(mean)}  spread {text(spread)}")


members = sorted((of for of in networks if of["place"]), key=lambda of: int(of["place"]))
picked, least = [], np.inf
while left := [of for of in members if of not in picked]:
    judged = [error([of["validation_outputs"] for of in picked + [it]]) for it in left]
    if not min(judged) < least:
        break
    least = min(judged)
    picked.append(left[judged.index(least)])
show("top model", members[:1])
show("ensemble", members)
show("greedy ensemble", picked)
for role in ["control", "baseline"]:
    for rival in (of for of in networks if of["role"] == role and of["mean_test_error"]):
        show(role, [rival])
for member in members:
    show(f"member {member['place']}", [member])
