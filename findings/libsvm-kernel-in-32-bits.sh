#!/usr/bin/env bash
# A support vector machine of scikit-learn does not come closer to the solution of its own quadratic program at a
# tolerance below about 1e-6, although every input and output is in 64 bits.
#
# One would guess: numpy arrays of float64, a solver with a tolerance; at tol=1e-12 the fit is good to about 1e-12.
# What happens: LIBSVM keeps the kernel matrix that it solves with in 32 bits. A matrix of 64 bits given with
# kernel="precomputed" and the same rounded to float32 give the same coefficients bit for bit; at C = 100 the
# predictions below stay 2e-4 of a target deviation from an interior-point solution, whatever the tolerance.
# Why it matters here: our own solver, in 64 bits, was compared with golden numbers from scikit-learn made at
# tol=1e-6; the agreement asked for, 1e-6, was missed by ten times and more, and not by our fault. (Here: golden numbers of
# CVXOPT besides; ours agree with those.)
#
# Versions: scikit-learn 1.9.1, numpy 2.4.6, cvxopt 1.3.3. 2026-11-29.
# Exit 0: as described. Exit 1: the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6 cvxopt==1.3.3
"$folder/venv/bin/python" - <<'END'
import sys

import cvxopt
import numpy as np
import sklearn
from sklearn.svm import NuSVR

print("scikit-learn", sklearn.__version__, "numpy", np.__version__, "cvxopt", cvxopt.__version__)
rng = np.random.default_rng(1)
points = rng.normal(size=(100, 4))
targets = np.sin(points[:, 0]) + 0.3 * rng.normal(size=100)
targets = (targets - targets.mean()) / targets.std()
kernel = np.exp(-0.01 * np.square(points[:, None] - points[None]).sum(axis=2))
C, NU, COUNT = 100.0, 0.8, len(targets)


def fitted(matrix, tolerance):
    return NuSVR(kernel="precomputed", C=C, nu=NU, tol=tolerance).fit(matrix, targets)


one, zero = np.ones(COUNT), np.zeros(COUNT)
cvxopt.solvers.options.update(show_progress=False, abstol=1e-13, reltol=1e-13, feastol=1e-13)
exact = cvxopt.solvers.qp(
    cvxopt.matrix(np.block([[kernel, -kernel], [-kernel, kernel]])),
    cvxopt.matrix(np.concatenate([-targets, targets])),
    cvxopt.matrix(np.vstack([-np.eye(2 * COUNT), np.eye(2 * COUNT)])),
    cvxopt.matrix(np.concatenate([np.zeros(2 * COUNT), np.full(2 * COUNT, C)])),
    cvxopt.matrix(np.vstack([np.concatenate([one, zero]), np.concatenate([zero, one])])),
    cvxopt.matrix(np.full(2, C * NU * COUNT / 2)),
)
above, below = np.array(exact["y"]).ravel()
alpha = np.array(exact["x"]).ravel()
best = kernel @ (alpha[:COUNT] - alpha[COUNT:]) + (above - below) / 2
distances = {}
for tolerance in [1e-3, 1e-6, 1e-9, 1e-12]:
    distances[tolerance] = np.abs(fitted(kernel, tolerance).predict(kernel) - best).max()
    print(f"tol {tolerance:7.0e}: largest distance of predictions from the interior-point solution {distances[tolerance]:.1e}")
rounded = kernel.astype(np.float32).astype(np.float64)
same = np.array_equal(fitted(kernel, 1e-6).dual_coef_, fitted(rounded, 1e-6).dual_coef_)
print("coefficients from the matrix and from the matrix rounded to 32 bits are", "equal" if same else "different")
sys.exit(0 if same and distances[1e-12] > 1e-7 else 1)
END
