#!/usr/bin/env python3
"""A trainer that keeps checkpoints and goes on from them, for proofs: it trains nothing.

usage: checkpointing-trainer.py FILE

FILE holds the seconds of an epoch and may change between requests. The trainer crashes when anybody
else writes to the checkpoint folder of its attempt while it trains.
"""
import json
import os
import pathlib
import random
import signal
import sys
import time


def leave(*_):
    """Drops the epoch: the checkpoint is whole at any moment."""
    os._exit(75)


signal.signal(signal.SIGUSR1, leave)
signal.signal(signal.SIGTERM, leave)
writer = f"{os.environ.get('SLURMD_NODENAME')}:{os.getpid()}"
for line in sys.stdin:
    request = json.loads(line)
    if "architecture" not in request:
        continue
    folder = pathlib.Path(request["checkpoint"])
    checkpoint = folder / "checkpoint.json"
    done = json.loads(checkpoint.read_text())["epoch"] if request["resume"] else 0
    folder.mkdir(exist_ok=True, parents=True)
    written = None
    seconds = float(pathlib.Path(sys.argv[1]).read_text())
    chance = random.Random(request["seed"])
    accuracies = sorted(chance.uniform(0.3, 0.9) for _ in range(request["epochs"]))
    for epoch in range(done + 1, request["epochs"] + 1):
        time.sleep(seconds)
        if written and checkpoint.exists() and checkpoint.read_text() != written:
            sys.exit(f"{checkpoint} is not what {writer} wrote")
        folder.mkdir(exist_ok=True)  # a reduce may have removed it: another copy was first
        written = json.dumps({"epoch": epoch, "writer": writer})
        aside = folder / "checkpoint.partial"
        aside.write_text(written)
        aside.replace(checkpoint)
        told = {"epoch": epoch, "validation_accuracy": accuracies[epoch - 1], "seconds": seconds}
        print(json.dumps(told), flush=True)
    print(json.dumps({"done": True}), flush=True)
