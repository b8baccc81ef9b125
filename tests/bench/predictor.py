"""The same fits by scikit-learn, for `cargo bench --bench predictor -- --python PATH`; curves on stdin."""

import json
import os
import sys
import time

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import NuSVR

networks = json.load(sys.stdin)["networks"][:100]
targets = np.array([network["curve"][-1] for network in networks])
everybody = np.arange(len(networks))


def row(network, epoch):
    seen = np.array(network["curve"][:epoch])
    first = np.diff(seen)
    return np.concatenate([network["features"], seen, first, np.diff(first)])


def fit(rows, targets):
    centre, spread = targets.mean(), targets.std()
    model = make_pipeline(StandardScaler(), NuSVR(C=10, nu=0.5, gamma=0.01, tol=1e-3))
    model.fit(rows, (targets - centre) / spread)
    return lambda other: model.predict(other) * spread + centre


began = time.process_time()
for epoch in range(1, len(networks[0]["curve"])):
    rows = np.array([row(network, epoch) for network in networks])
    fit(rows, targets)
    for one in everybody:
        others = everybody != one
        fit(rows[others], targets[others])(rows[one : one + 1])
print(f"  {time.process_time() - began:6.2f}  fit and leave-one-out by scikit-learn, same hyperparameters")
