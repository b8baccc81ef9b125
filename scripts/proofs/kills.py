#!/usr/bin/env python3
"""Kills workers of a local search at random moments, and checks what the survivors and the log say.

usage: scripts/proofs/kills.py PROGRAM EXPERIMENT KILLS SEED [WORKERS]

Starts WORKERS (8) processes `train --until-done --reduce` at once, ends one with SIGKILL KILLS times
(fewer when the schedule ends before) and starts another in its place; after each fourth it ends a
`reduce` so, too. Without kills it waits for all to end. Exit status 1, with a line for each violation,
unless each result that a worker reported is in the log, no row once written has gone or changed, nothing
was claimed after it had a result, iterations are numbered without gaps, no worker failed by itself, and
no pause of the log was longer than 2 s, not counting the longest time that the disk took to sync a file
that has no other user meanwhile.
"""
import csv
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

RESULTS = {"trained", "stopped", "failed", "out_of_memory"}
LONGEST_STALL = 2.0

if len(sys.argv) not in (5, 6):
    sys.exit(__doc__)
program, experiment, kills, seed = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
n_workers = int(sys.argv[5]) if len(sys.argv) == 6 else 8
random.seed(seed)
violations = []
reported = set()  # (iteration, outcome) of each result that a worker has reported


class Worker:
    def __init__(self):
        arguments = ["train", str(experiment), "--until-done", "--reduce", "--json", "--single-node"]
        self.process = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.messages = []
        self.readers = [threading.Thread(target=read, daemon=True) for read in (self.hear, self.note)]
        for reader in self.readers:
            reader.start()

    def hear(self):
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # cut by the kill
            if event["event"] == "recorded":
                reported.add((event["iteration"], event["outcome"]))

    def note(self):
        self.messages.extend(self.process.stderr)

    def kill(self):
        """Kills it, and says whether it was still at work."""
        self.process.kill()
        return self.process.wait() < 0

    def ended(self):
        """Whether it has ended; by itself it must have ended well."""
        if self.process.poll() is None:
            return False
        if self.process.returncode != 0:
            self.readers[1].join()
            violations.append(f"a worker ended with {self.process.returncode}: {''.join(self.messages).strip()}")
        return True


def kill_reduce():
    """Starts a reduce and kills it, again until one was still at work; one that ends before must end well."""
    while True:
        command = [program, "reduce", str(experiment), "--single-node"]
        reduce = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(random.uniform(0, 0.2))
        reduce.kill()
        messages = reduce.communicate()[1]
        if reduce.returncode < 0:
            return
        if reduce.returncode > 0:
            violations.append(f"a reduce ended with {reduce.returncode}: {messages.strip()}")


class Watcher(threading.Thread):
    """Reads the log as it grows: its whole rows may only become more."""

    def __init__(self):
        super().__init__(daemon=True)
        self.rows, self.grown, self.stalls, self.models, self.is_over = b"", time.monotonic(), [], 0, False

    def run(self):
        while not self.is_over:
            time.sleep(0.01)
            self.look()

    def look(self):
        self.models = max(self.models, len(os.listdir(experiment / "models")))
        log = (experiment / "replay.csv").read_bytes()
        if not log.startswith(self.rows):
            violations.append("rows of the log have gone or changed")
        whole = log[: log.rfind(b"\n") + 1]
        if len(whole) > len(self.rows):
            self.stalls.append(time.monotonic() - self.grown)
            self.rows, self.grown = whole, time.monotonic()


class Disk(threading.Thread):
    """Syncs a file of its own beside the experiment, again and again: how long the disk keeps anybody waiting."""

    def __init__(self):
        super().__init__(daemon=True)
        self.longest, self.is_over = 0.0, False

    def run(self):
        with open(experiment.with_name(experiment.name + ".sync"), "wb", buffering=0) as file:
            while not self.is_over:
                time.sleep(0.02)
                begin = time.monotonic()
                file.write(b"row\n")
                os.fsync(file.fileno())
                self.longest = max(self.longest, time.monotonic() - begin)


begin = time.monotonic()
workers = [Worker() for _ in range(n_workers)]
watcher = Watcher()
watcher.start()
disk = Disk()
disk.start()
done = 0
while done < kills and len(workers) == n_workers:
    time.sleep(random.expovariate(1 / 0.03))
    victim = random.randrange(n_workers)
    if workers[victim].kill():
        done += 1
        workers[victim] = Worker()
        if done % 4 == 0:
            kill_reduce()
    workers = [worker for worker in workers if not worker.ended()]
while workers and (kills == 0 or done < kills):
    workers = [worker for worker in workers if not worker.ended()]
    time.sleep(0.01)
for worker in workers:  # the search goes on elsewhere
    worker.process.kill()
for thread in threading.enumerate():
    if thread not in (threading.main_thread(), watcher, disk):
        thread.join()
seconds = time.monotonic() - begin
watcher.is_over = disk.is_over = True
watcher.join()
disk.join()
watcher.look()

rows = list(csv.DictReader(io.StringIO(watcher.rows.decode())))
results, known = {}, set()
for row in rows:
    trained = row["architecture"], row["repeat"]
    if row["event"] == "claimed" and trained in known:
        violations.append(f"iteration {row['iteration']} was claimed after {row['architecture']} had a result")
    if row["event"] in RESULTS:
        results[int(row["iteration"]), row["event"]] = row
        known.add(trained)
for missing in sorted(reported - set(results)):
    violations.append(f"a worker reported iteration {missing[0]} ({missing[1]}), which is not in the log")
numbers = sorted({int(row["iteration"]) for row in rows if row["iteration"]})
if numbers != list(range(1, len(numbers) + 1)):
    violations.append("the iterations have gaps")
longest = max(watcher.stalls, default=0.0)
if longest > LONGEST_STALL + disk.longest:
    violations.append(f"the log stood still for {longest:.2f} s")
claims = sum(row["event"] == "claimed" for row in rows)
print(
    f"{done} killed in {seconds:.0f} s of {n_workers} workers, and {done // 4} reduces; {claims} claims, {len(results)} results "
    f"({len(reported)} reported before), at most {watcher.models} models at once, longest pause of the log {longest:.2f} s (longest sync of a file beside it {disk.longest:.2f} s)"
)
for violation in dict.fromkeys(violations):
    print(f"VIOLATION: {violation}")
sys.exit(bool(violations))
