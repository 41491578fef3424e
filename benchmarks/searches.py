"""A grid search: 48 settings of a small classifier, 1,500 samples of 20 numbers; against scikit-learn's MLPClassifier.

    python benchmarks/searches.py [--rounds 3] [--epochs 200] [--folds 3] [--json file]

The same GridSearchCV over the same grid and folds, in float64, all in this process, in turn: fastnn's with one job,
fastnn's with two jobs in threads (joblib's threading backend), scikit-learn's with one. The accuracies that they find
must agree, as both begin with the same weights and take the same batches.
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import joblib
import measure
import numpy as np
import sklearn.neural_network
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

import fastnn.sklearn

GRID = {
    "hidden_layer_sizes": [(16,), (32,), (64,), (32, 16)],
    "activation": ["relu", "tanh"],
    "alpha": [1e-5, 1e-3, 1e-1],
    "learning_rate_init": [1e-3, 1e-2],
}
JOBS = 2


def search(estimator: Any, folds: int, jobs: int) -> Any:
    """A search that has run, without the fit on all samples at its end."""
    grid = GridSearchCV(estimator, GRID, cv=folds, n_jobs=jobs, refit=False)
    with warnings.catch_warnings(), joblib.parallel_config("threading" if jobs > 1 else "sequential"):
        warnings.simplefilter("ignore")  # that more epochs would be better
        return grid.fit(*make_classification(1500, 20, n_informative=10, random_state=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()
    print(measure.machine())
    settings = int(np.prod([len(values) for values in GRID.values()]))
    print(f"{settings} settings, {options.folds} folds, {options.epochs} epochs each; seconds: median and fastest")
    given = {"max_iter": options.epochs, "random_state": 0}
    ours, theirs = fastnn.sklearn.MLPClassifier(**given), sklearn.neural_network.MLPClassifier(**given)
    contestants: dict[str, Callable[[], Any]] = {
        "fastnn": lambda: search(ours, options.folds, 1),
        f"fastnn, {JOBS} threads": lambda: search(ours, options.folds, JOBS),
        "scikit-learn": lambda: search(theirs, options.folds, 1),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    scores: dict[str, np.ndarray] = {}
    for _ in range(options.rounds):
        for name, work in contestants.items():
            time.sleep(measure.PEERS_FALL_ASLEEP)
            begin = time.perf_counter()
            found = work()
            times[name].append(time.perf_counter() - begin)
            scores[name] = found.cv_results_["mean_test_score"]
    median = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        apart = np.abs(scores[name] - scores["fastnn"]).max()
        print(f"  {name:20}{median[name]:8.2f} ({min(values):6.2f})   scores differ by at most {apart:.4f}")
    together = median[f"fastnn, {JOBS} threads"]
    print(f"scikit-learn takes {median['scikit-learn'] / median['fastnn']:.2f} times as long as fastnn with one job")
    print(f"two threads are {median['fastnn'] / together:.2f} times as fast as one job")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": measure.machine(), "seconds": median}, file)


if __name__ == "__main__":
    main()
