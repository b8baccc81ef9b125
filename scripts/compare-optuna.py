#!/usr/bin/env python3
"""How long a worker waits to be told what to train and to have its result recorded: metaqnn, and Optuna's journal file.

usage: scripts/compare-optuna.py [--core N] [--workers N] [--results N]

Eight workers on one core, each 30 times: ask, pause 0.2 s as if training, tell. Both have 1,000
results before. Both lock a file, append, and sync before they unlock; the table holds milliseconds.

metaqnn's figures are those of `cargo bench --bench speed --no-default-features -- claims 8 1000`. A
claim reads the newest view, draws an architecture under the lock and appends its row (at epsilon 1
it needs no Q-table, below it does); a result reads the view and appends a row. In Optuna, `ask` makes
a trial, `suggest` draws its one parameter, which is a second append, and `tell` records the value; the
sampler is random, the cheapest. A worker of Optuna keeps in memory what it has read; one of metaqnn
reads the view again each time, as tasks of an array must: `open, ask, suggest` is what Optuna would
take there. Optuna runs before and after metaqnn, since a shared machine changes from minute to minute.

Optuna comes into a virtual environment in the cache (`METAQNN_CACHE`, default ~/.cache/metaqnn).
"""
import argparse
import multiprocessing
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict

OPTUNA = "5.0.0"
TRIALS, PAUSE = 30, 0.2  # as in the bench
BENCH = ["cargo", "bench", "--bench", "speed", "--no-default-features", "--quiet"]
root = pathlib.Path(__file__).resolve().parent.parent
run = {"cwd": root, "check": True, "stdout": subprocess.PIPE, "text": True}
version = re.search(r'^version = "(.*)"', (root / "Cargo.toml").read_text(), re.M)[1]
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--core", type=int, default=0)
parser.add_argument("--workers", type=int, default=8)
parser.add_argument("--results", type=int, default=1000, help="recorded before")
options = parser.parse_args()


def enter_environment():
    """Starts this script again where Optuna is installed."""
    cache = pathlib.Path(os.environ.get("METAQNN_CACHE", pathlib.Path.home() / ".cache" / "metaqnn"))
    folder = cache / f"optuna-{OPTUNA}"
    python = folder / "bin" / "python"
    if pathlib.Path(sys.prefix) == folder:
        return
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"optuna=={OPTUNA}"], check=True)
        (folder / "installed").touch()
    os.execv(python, [python, __file__, *sys.argv[1:]])


def row(who, what, median, p99, most, count):
    """Prints a line of the table."""
    print(f"  {who:<14} {what:<20} {median:>8.2f} {p99:>9.2f} {most:>9.2f} {count:>6}", flush=True)


def say(who, what, milliseconds):
    """Prints the median, the 99th percentile and the greatest, by the same rule as the bench."""
    ordered = sorted(milliseconds)
    row(who, what, *(ordered[round((len(ordered) - 1) * share)] for share in (0.5, 0.99, 1)), len(ordered))


def open_study(path):
    """Opens the journal as a worker of its own does."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(path))
    sampler = optuna.samplers.RandomSampler()
    return optuna.create_study(study_name="bench", storage=storage, sampler=sampler, load_if_exists=True)


def optuna_worker(path, opens, barrier, durations):
    """Asks, pauses and tells, and sends how long each took in milliseconds."""
    study = open_study(path)
    barrier.wait()
    took = defaultdict(list)
    for _ in range(TRIALS):
        began = time.perf_counter()
        since_beginning = lambda: 1e3 * (time.perf_counter() - began)
        if opens == "each time":
            study = open_study(path)
        trial = study.ask()
        if opens == "once":
            took["ask"].append(since_beginning())
        value = trial.suggest_float("x", 0, 1)
        took["ask, suggest" if opens == "once" else "open, ask, suggest"].append(since_beginning())
        time.sleep(PAUSE)
        began = time.perf_counter()
        study.tell(trial, value)
        if opens == "once":
            took["tell"].append(since_beginning())
    durations.put(took)


def measure_optuna():
    """Runs the workers on a journal with results in it."""
    for opens in ("once", "each time"):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "journal.log")
            study = open_study(path)
            for _ in range(options.results):
                trial = study.ask()
                study.tell(trial, trial.suggest_float("x", 0, 1))
            barrier, durations = multiprocessing.Barrier(options.workers), multiprocessing.Queue()
            arguments = (path, opens, barrier, durations)
            workers = [multiprocessing.Process(target=optuna_worker, args=arguments) for _ in range(options.workers)]
            for worker in workers:
                worker.start()
            took = [durations.get() for _ in workers]
            for worker in workers:
                worker.join()
            for what in took[0]:
                say(f"optuna {OPTUNA}", what, [each for one in took for each in one[what]])


def measure_metaqnn():
    """Runs the bench and prints its lines."""
    said = subprocess.run([*BENCH, "--", "claims", str(options.workers), str(options.results)], **run).stdout
    figure = re.compile(r"(claim|result) after .* median +([\d.]+) ms, p99 +([\d.]+) ms, most +([\d.]+) ms of +(\d+)")
    epsilon = None
    for line in said.splitlines():
        if "epsilon" in line:
            epsilon = line.split()[-1].rstrip(":")
        elif match := figure.search(line):
            what, median, p99, most, count = match.groups()
            row(f"metaqnn {version}", f"{what}, epsilon {epsilon}", float(median), float(p99), float(most), count)


enter_environment()
subprocess.run([*BENCH, "--no-run"], **run)
os.sched_setaffinity(0, {options.core})  # of this process and of all it starts
print(
    f"{options.workers} workers on core {options.core}, {TRIALS} trials each, {PAUSE} s between ask and tell, "
    f"{options.results} results before; in ms:"
)
print(f"  {'':<14} {'':<20} {'median':>8} {'p99':>9} {'most':>9} {'of':>6}")
for measure in (measure_optuna, measure_metaqnn, measure_optuna):
    print(f"  (load of the machine: {os.getloadavg()[0]:.1f})", flush=True)
    measure()
