#!/usr/bin/env python3
"""Damages the files of a search and has them mended; see damage.sh.

usage: scripts/proofs/damage.py METAQNN FOLDER cut|flip|killed SEED
"""
import collections
import pathlib
import random
import shutil
import subprocess
import sys
import time

METAQNN, FOLDER, CASE, SEED = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
CONFIG = """
experiment: {name: damage, seed: 5}
data: {classes: 10, input_size: 16, channels: 1}
search_space: {max_layers: 4, filters: [8, 16, 32], fc_widths: [32, 16]}
epsilon_schedule: [{epsilon: 1.0, architectures: 40}]
training: {trainer: synthetic, epochs: 4}
"""
whole, damaged = FOLDER / "whole", FOLDER / "damaged"
log = damaged / "replay.csv"
chance = random.Random(SEED)
counts = collections.Counter()


def metaqnn(*arguments):
    return subprocess.run([METAQNN, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def check(holds, what):
    if not holds:
        sys.exit(f"VIOLATION: {what}; the files are in {damaged}")


def succeeds(*arguments):
    ran = metaqnn(*arguments)
    check(ran.returncode == 0, f"`metaqnn {' '.join(map(str, arguments))}` exits {ran.returncode}: {ran.stdout}")


def restore():
    shutil.rmtree(damaged, ignore_errors=True)
    shutil.copytree(whole, damaged)


def pieces():
    return [piece.read_bytes() for piece in (damaged / "torn").iterdir() if piece.is_file()]


def make():
    (FOLDER / "config.yaml").write_text(CONFIG)
    shutil.rmtree(whole, ignore_errors=True)
    succeeds("init", "-q", FOLDER / "config.yaml", whole)
    for _ in range(12):
        succeeds("train", "-q", whole, "--reduce")
    for _ in range(3):
        succeeds("train", "-q", whole)
    return (whole / "replay.csv").read_bytes()


def cut(text):
    """At every byte of the last three rows."""
    ends = [at + 1 for at, byte in enumerate(text) if byte == 10]
    for at in range(ends[-4], len(text)):
        restore()
        log.write_bytes(text[:at])
        end = max(end for end in ends if end <= at)
        found = metaqnn("verify", damaged).returncode
        check(found == 3 or end == at, f"cut at {at}: verify exits {found}")
        succeeds("verify", damaged, "--repair")
        check(log.read_bytes()[:end] == text[:end], f"cut at {at}: rows before it have changed")
        check(end == at or text[end:at] in pieces(), f"cut at {at}: what was cut is not kept")
        succeeds("train", "-q", damaged, "--reduce")
        succeeds("verify", damaged)
        counts["cuts"] += 1


def flip(text):
    """One bit of any file that verify reads."""
    for _ in range(400):
        restore()
        files = [log, *damaged.glob("views/*/*"), *damaged.glob("predictors/*/*"), *damaged.glob("curves/*.csv")]
        # Half of them in the log.
        path = chance.choice([log, chance.choice(files)])
        old = path.read_bytes()
        at = chance.randrange(len(old))
        new = bytearray(old)
        new[at] ^= 1 << chance.randrange(8)
        path.write_bytes(new)
        kind = path.parent.parent.name if path.parent.parent != damaged.parent else "log"
        kind = {"views": "view", "predictors": "predictor", "damaged": "curve"}.get(kind, kind)
        found = metaqnn("verify", damaged)
        check(found.returncode in (0, 3), f"{path} at {at}: verify exits {found.returncode}: {found.stdout}")
        counts[f"{kind}: " + ("found" if found.returncode == 3 else "as good as before")] += 1
        mended = metaqnn("verify", damaged, "--repair")
        check(mended.returncode in (0, 3), f"{path} at {at}: repair exits {mended.returncode}: {mended.stdout}")
        if mended.returncode == 3:
            counts[f"{kind}: named, not mended"] += 1
        if path == log:
            # No other row has changed, and what was replaced is kept.
            rows = log.read_bytes()
            line = new[: at].rfind(b"\n") + 1
            check(rows[:line] == new[:line], f"log at {at}: a row before it has changed")
            header = len(text.split(b"\n")[0])
            if at > header and mended.returncode == 0:
                # A row after it may be refused for what this one says now; it is kept, and a result counts again.
                gone = [row for row in bytes(new).split(b"\n") if row not in rows.split(b"\n")]
                check(all(row in pieces() for row in gone), f"log at {at}: a row is gone without a copy")
                check(len(gone) <= 2, f"log at {at}: {len(gone)} rows were replaced")
            if at <= header:
                continue
        succeeds("train", "-q", damaged, "--reduce")


def killed(text):
    """A repair, at a random moment."""
    ends = [at + 1 for at, byte in enumerate(text) if byte == 10]
    for _ in range(200):
        restore()
        row = chance.randrange(len(ends) - 1)
        begin, end = ends[row], ends[row + 1]
        new = bytearray(text)
        new[begin + chance.randrange(4)] = ord("#")
        piece = bytes(new[begin : end - 1])
        log.write_bytes(new + b"99,cla")
        shutil.rmtree(max(damaged.glob("views/0*")))
        repair = subprocess.Popen([METAQNN, "verify", damaged, "--repair"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.random() * 0.06)
        repair.kill()
        counts["killed before the end" if repair.wait() < 0 else "ended before"] += 1
        succeeds("verify", damaged, "--repair")
        rows = log.read_bytes()
        check(rows[:begin] == text[:begin] and rows[end : len(text)] == text[end:], f"row {row}: another row has changed")
        check(piece in pieces() and b"99,cla" in pieces(), f"row {row}: what was replaced is not kept")
        succeeds("train", "-q", damaged, "--reduce")
        succeeds("verify", damaged)


began = time.monotonic()
{"cut": cut, "flip": flip, "killed": killed}[CASE](make())
print(f"   {CASE}: {', '.join(f'{count} {what}' for what, count in sorted(counts.items()))}; {time.monotonic() - began:.0f} s")
