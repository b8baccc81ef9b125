#!/usr/bin/env python3
"""Writes tests/golden/predictor/*.json: what scikit-learn says of curves made up here.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install scikit-learn cvxopt
    /tmp/venv/bin/python scripts/golden-predictor.py

An implementation of the method that shares no line with ours: numpy for features and scales,
LIBSVM (through scikit-learn) for nu-SVR, the pseudo-inverse for least squares. LIBSVM keeps its
kernel matrix in single precision, which moves predictions by up to 2e-5 at C = 100, whatever the
tolerance; so an interior-point solver (CVXOPT) gives the exact ones besides. The tests of
src/predictor/golden.rs compare ours with both. Needed only to write the numbers anew.
"""

import json
import math
import pathlib

import cvxopt
import numpy as np
from sklearn.svm import NuSVR

EPOCHS = 20
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "predictor"


def networks(count):
    """Accuracies that rise to a level of their own and jump where the learning rate falls; a tenth at chance."""
    rng = np.random.default_rng(20171208)
    found = []
    for _ in range(count):
        weights, layers, rate = rng.uniform(4.5, 7.5), rng.integers(2, 13), rng.choice([-3.0, -3.4, -3.8])
        level = 0.45 + 0.06 * (weights - 4.5) + 0.015 * layers + rng.normal(0, 0.04)
        speed = rng.uniform(0.15, 0.9)
        epochs = np.arange(1, EPOCHS + 1)
        curve = level * (1 - 0.8 * np.exp(-speed * epochs)) + 0.02 * ((epochs > 5) + (epochs > 10))
        if rng.uniform() < 0.1:
            curve = np.full(EPOCHS, 0.1)
        curve = np.clip(curve + rng.normal(0, 0.006, EPOCHS), 0, 1)
        features = [float(round(weights, 4)), float(layers), float(rate)]
        found.append({"features": features, "curve": [round(float(y), 4) for y in curve]})
    return found


def row(network, epoch):
    """Features, values, first and second differences."""
    seen = np.array(network["curve"][:epoch])
    first = np.diff(seen)
    return np.concatenate([network["features"], seen, first, np.diff(first)])


def scale(values):
    deviation = values.std(axis=0)
    return values.mean(axis=0), np.where(deviation < 1e-12, 1.0, deviation)


def regressor(given):
    if given["kernel"] == "rbf":
        return NuSVR(kernel="rbf", C=given["c"], nu=given["nu"], gamma=given["gamma"], tol=given["tolerance"])
    return NuSVR(kernel="linear", C=given["c"], nu=given["nu"], tol=given["tolerance"])


def exact(rows, targets, given):
    """The same nu-SVR as a quadratic program in double precision; a function from rows to predictions."""
    (mean, deviation), (centre, spread) = scale(rows), scale(targets)
    standardised, wanted = (rows - mean) / deviation, (targets - centre) / spread

    def kernel(some, others):
        if given["kernel"] == "linear":
            return some @ others.T
        return np.exp(-given["gamma"] * np.square(some[:, None] - others[None]).sum(axis=2))

    count, bound = len(wanted), given["c"]
    own, one, none = kernel(standardised, standardised), np.ones(count), np.zeros(count)
    cvxopt.solvers.options.update(show_progress=False, abstol=1e-13, reltol=1e-13, feastol=1e-13)
    solution = cvxopt.solvers.qp(
        cvxopt.matrix(np.block([[own, -own], [-own, own]])),
        cvxopt.matrix(np.concatenate([-wanted, wanted])),
        cvxopt.matrix(np.vstack([-np.eye(2 * count), np.eye(2 * count)])),
        cvxopt.matrix(np.concatenate([np.zeros(2 * count), np.full(2 * count, bound)])),
        cvxopt.matrix(np.vstack([np.concatenate([one, none]), np.concatenate([none, one])])),
        cvxopt.matrix(np.full(2, bound * given["nu"] * count / 2)),
    )
    # The multipliers of the two equalities are the offsets of the upper and of the lower edge.
    above, below = np.array(solution["y"]).ravel()
    alpha = np.array(solution["x"]).ravel()
    weights, offset = alpha[:count] - alpha[count:], (above - below) / 2
    return lambda other: (kernel((other - mean) / deviation, standardised) @ weights + offset) * spread + centre


def fit(rows, targets, given, scales=None):
    """Returns a function from rows to predictions."""
    (mean, deviation), (centre, spread) = scales or (scale(rows), scale(targets))
    standardised, wanted = (rows - mean) / deviation, (targets - centre) / spread
    if given["kernel"] == "ols":
        middle, bias = standardised.mean(axis=0), wanted.mean()
        weights = np.linalg.pinv(standardised - middle, rcond=1e-10) @ (wanted - bias)
        return lambda other: (((other - mean) / deviation - middle) @ weights + bias) * spread + centre
    model = regressor(given).fit(standardised, wanted)
    return lambda other: model.predict((other - mean) / deviation) * spread + centre


def sigma(rows, targets, given, shared):
    """Root mean square of leave-one-out errors."""
    scales = (scale(rows), scale(targets)) if shared else None
    errors = []
    for i in range(len(targets)):
        others = np.arange(len(targets)) != i
        errors.append(fit(rows[others], targets[others], given, scales)(rows[i : i + 1])[0] - targets[i])
    return max(math.sqrt(np.mean(np.square(errors))), 1e-6)


def write(name, value):
    """One network, fit or verdict a line."""
    parts = []
    for key, items in value.items():
        if isinstance(items, list):
            lines = ",\n".join("  " + json.dumps(item) for item in items)
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(items)}')
    (FOLDER / name).write_text("{" + ",\n".join(parts) + "}\n")


def fits(all_networks):
    """Fits to the first hundred, predictions of the rest."""
    training, others = all_networks[:100], all_networks[100:]
    # nu * 100 is no whole number where C is small: else the offset is only known to lie in an
    # interval (4e-4 wide at epoch 3 with nu 0.8), and two solvers may differ by as much.
    settings = [
        {"kernel": "rbf", "c": 10, "nu": 0.5, "gamma": 0.01, "tolerance": 1e-6},
        {"kernel": "rbf", "c": 1, "nu": 0.2, "gamma": 0.1, "tolerance": 1e-6},
        {"kernel": "rbf", "c": 100, "nu": 0.8, "gamma": 0.001, "tolerance": 1e-6},
        {"kernel": "linear", "c": 0.1, "nu": 0.537, "tolerance": 1e-6},
        {"kernel": "linear", "c": 0.01, "nu": 0.837, "tolerance": 1e-6},
        {"kernel": "ols"},
    ]
    found = []
    for epoch in [1, 2, 3, 5, 10, 19]:
        rows = np.array([row(network, epoch) for network in training])
        targets = np.array([network["curve"][-1] for network in training])
        tests = np.array([row(network, epoch) for network in others])
        for number, given in enumerate(settings):
            one = {"epoch": epoch, **given, "predictions": list(fit(rows, targets, given)(tests))}
            if given["kernel"] != "ols":
                one["exact"] = list(exact(rows, targets, given)(tests))
            # Least squares by singular values take their time at 57 columns in a build for tests.
            if (epoch, number) in [(1, 0), (1, 4), (1, 5), (5, 0), (5, 4), (5, 5), (19, 0), (19, 4)]:
                one["sigma_refit"] = sigma(rows, targets, given, shared=False)
                one["sigma_shared"] = sigma(rows, targets, given, shared=True)
            found.append(one)
    return found


def walk(all_networks, burn_in, delta, given):
    """The rest in order under the rule; the models see the first `burn_in`."""
    training = all_networks[:burn_in]
    targets = np.array([network["curve"][-1] for network in training])
    models, sigmas = [], []
    for epoch in range(1, EPOCHS):
        rows = np.array([row(network, epoch) for network in training])
        models.append(fit(rows, targets, given))
        sigmas.append(sigma(rows, targets, given, shared=False))
    best, verdicts = targets.max(), []
    for network in all_networks[burn_in:]:
        for epoch in range(1, EPOCHS):
            predicted = float(models[epoch - 1](row(network, epoch)[None, :])[0])
            z = (best - predicted) / sigmas[epoch - 1]
            probability = 0.5 * math.erfc(-z / math.sqrt(2))
            stopped = bool(probability >= delta)
            if stopped or epoch == EPOCHS - 1:
                verdicts.append(
                    {
                        "stopped": stopped,
                        "epoch": epoch,
                        "predicted": predicted,
                        "sigma": sigmas[epoch - 1],
                        "best": float(best),
                        "stop_probability": probability,
                    }
                )
            if stopped:
                break
        else:
            best = max(best, network["curve"][-1])
    return verdicts


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    all_networks = networks(120)
    write("networks.json", {"networks": all_networks})
    write("fits.json", {"fits": fits(all_networks)})
    given = {"kernel": "rbf", "c": 10, "nu": 0.5, "gamma": 0.01, "tolerance": 1e-6}
    verdicts = walk(all_networks, 40, 0.99, given)
    write("walk.json", {"burn_in": 40, "delta": 0.99, "regressor": given, "verdicts": verdicts})


if __name__ == "__main__":
    main()
