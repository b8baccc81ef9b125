#!/usr/bin/env python3
"""Audits a finished search by its files alone, and prints what it counted.

usage: scripts/audit-search.py EXPERIMENT RESULTS

Exit status 1, with a line for each violation, unless there are RESULTS results (fewer by those that
are lost three times, where nothing else is left to train), no architecture has
two (of a repeat, where a list says how often), iterations are numbered one after the other and drawn once, every claim has ended, no two
trainings overlap on one GPU of one node, each round ran the arrays of its `array.yaml` and no others,
one after the other, and the scheduler's logs are in place.
"""
import csv
import pathlib
import re
import sys
from collections import Counter, defaultdict

RESULTS = {"trained", "stopped", "failed", "out_of_memory"}

if len(sys.argv) != 3:
    sys.exit(__doc__)
experiment, wanted = pathlib.Path(sys.argv[1]), int(sys.argv[2])
rows = list(csv.DictReader(open(experiment / "replay.csv", newline="")))
results = [row for row in rows if row["event"] in RESULTS]
claims = [row for row in rows if row["event"] == "claimed"]
violations = []


def check(holds, violation):
    if not holds:
        violations.append(violation)


def network(row):
    return row["architecture"], row["repeat"]


# What is given is not replaced by another network when it was lost three times.
known = {network(row) for row in results}
lost = Counter(network(row) for row in rows if row["event"] == "lost")
quarantined = [one for one, times in lost.items() if times >= 3 and one not in known]
left = len(quarantined) if any(row["event"] == "exhausted" for row in rows) else 0
check(len(results) == wanted - left, f"{len(results)} results instead of {wanted} ({left} quarantined)")
for one, times in Counter(network(row) for row in results).items():
    check(times == 1, f"{' '.join(one)} has {times} results")
numbers = list(dict.fromkeys(row["iteration"] for row in rows if row["iteration"]))
check(numbers == [str(1 + at) for at in range(len(numbers))], "iterations are not numbered one after the other")
draws = [row["iteration"] for row in rows if row["event"] == "pending" or row["event"] == "claimed" and row["attempt"] == "1"]
for iteration, times in Counter(draws).items():
    check(times == 1, f"iteration {iteration} was drawn {times} times")

# A training lasts from its claim to the row that ends it, on one GPU of one node.
ends = {(row["iteration"], row["attempt"]): row for row in rows if row["event"] in RESULTS | {"lost"}}
ended = {iteration for iteration, _ in ends} | {row["iteration"] for row in rows if row["event"] == "reused"}
busy = defaultdict(list)
for claim in claims:
    check(claim["iteration"] in ended, f"iteration {claim['iteration']} is open")
    end = ends.get((claim["iteration"], claim["attempt"]))
    # Without a GPU of its own a task shares the node.
    if end and end["event"] != "lost" and claim["device"]:
        busy[claim["host"], claim["device"]].append((claim["time"], end["time"], claim["iteration"]))
overlaps = 0
for place, trainings in busy.items():
    trainings.sort()
    for (_, end, one), (begin, _, other) in zip(trainings, trainings[1:]):
        overlaps += begin < end
        check(begin >= end, f"iterations {one} and {other} overlap on {place}")

tasks = 0
hosts = {claim["host"] for claim in claims}
for folder in sorted((experiment / "rounds").glob("[0-9]*")):
    number = str(int(folder.name))
    # The greatest rendering holds.
    rendering = max(folder.glob("[0-9]*/"), key=lambda folder: int(folder.name))
    named = re.findall(r"^- '(\d+)'", (rendering / "array.yaml").read_text(), re.M)
    logs = {log.stem for log in folder.glob("*.log")}
    ran = {row["job"] for row in claims if row["round"] == number}
    ran |= {log.split("_")[0] for log in logs if not log.startswith("reduce-")}
    check(ran <= set(named), f"round {number} ran the arrays {sorted(ran)}; array.yaml names {named}")
    # The parts of a round run one after the other, so that its limit on parallel tasks holds.
    for one, next_one in zip(named, named[1:]):
        last = max((row["time"] for row in ends.values() if row["job"] == one), default="")
        first = min((row["time"] for row in claims if row["job"] == next_one), default="~")
        check(last <= first, f"arrays {one} and {next_one} of round {number} overlap")
    for row in claims:
        if row["round"] == number:
            name = f"{row['job']}_{row['task']}"
            check(name in logs, f"rounds/{folder.name}/{name}.log is missing")
    tasks += sum(not log.startswith("reduce-") for log in logs)
requeued = sum(row["attempt"] != "1" for row in claims)
lost = sum(row["event"] == "lost" for row in rows)
rounds = len(list((experiment / "rounds").glob("[0-9]*")))
print(
    f"{len(results)} results, {len(claims)} claims ({requeued} taken up again), {lost} lost rows, {rounds} rounds, "
    f"{tasks} task logs, {len(busy)} GPUs on {len(hosts)} machines, {overlaps} overlaps"
)
for violation in violations[:20]:
    print(f"VIOLATION: {violation}", file=sys.stderr)
sys.exit(bool(violations))
