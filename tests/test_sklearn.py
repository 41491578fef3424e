"""fastnn.sklearn against scikit-learn's own MLPs, in scikit-learn's tools, and what only fastnn's can do."""

import copy
import doctest
import gc
import importlib
import pickle
import re
import runpy
import subprocess
import sys
import threading
import types
import warnings
import weakref

import numpy as np
import pytest
from optional import optional

sklearn = optional("sklearn", minversion="1.7")  # whose MLPs take loss and sample_weight

import joblib
import scipy.sparse
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelBinarizer, StandardScaler

import fastnn
from fastnn import activations, callbacks, losses
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 150  # no multiple of the batch size: the last batch is smaller
R = np.random.RandomState(0)
X = R.normal(size=(N, 6))
WEIGHTS = R.randint(0, 4, N) + R.uniform(0.1, 1.0, N)
TARGETS = {
    "two classes": np.where(X[:, 0] * X[:, 1] > 0, "yes", "no"),
    "three classes": np.digitize(X[:, 0] + X[:, 1], [-0.7, 0.7]) * 5,
    "labels": np.stack([X[:, 0] > 0, X[:, 1] + X[:, 2] > 1, X[:, 3] < 0], axis=1).astype(int),
    "number": np.sin(X[:, 0]) + X[:, 1],
    "numbers": np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2], 3 * X[:, 3]], axis=1),
    "counts": R.poisson(np.exp(X[:, 0])),
}
CLASSES = ("two classes", "three classes", "labels")


def estimators(kind, **arguments):
    """Ours and theirs with the same arguments."""
    arguments = {"hidden_layer_sizes": (7, 5), "random_state": 3, "max_iter": 12} | arguments
    if kind == "counts":
        arguments["loss"] = "poisson"
    name = "MLPClassifier" if kind in CLASSES else "MLPRegressor"
    return getattr(fastnn.sklearn, name)(**arguments), getattr(theirs, name)(**arguments)


def same(ours, others, rtol=1e-6):
    """All that both have learned and noted."""
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(others, name), name
    for name in ("loss_", "best_loss_", "best_validation_score_", "loss_curve_", "validation_scores_"):
        expected = getattr(others, name, None)
        if expected is None:
            assert getattr(ours, name, None) is None, name
        else:
            np.testing.assert_allclose(getattr(ours, name), expected, rtol=rtol, atol=1e-12, err_msg=name)
    for name in ("coefs_", "intercepts_"):
        for one, other in zip(getattr(ours, name), getattr(others, name), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-8, err_msg=name)


def same_answers(ours, others):
    np.testing.assert_array_equal(getattr(ours, "classes_", 0), getattr(others, "classes_", 0))
    for name in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(others, name):
            expected = getattr(others, name)(X)
            found = getattr(ours, name)(X)
            assert found.shape == expected.shape and found.dtype == expected.dtype
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
            else:
                np.testing.assert_array_equal(found, expected)


SOLVERS = {
    "adam": {"learning_rate_init": 0.01},
    "adam, options": {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3, "alpha": 0.5, "batch_size": 32},
    "adam, in order": {"shuffle": False, "batch_size": 40, "alpha": 0.1},
    "sgd, nesterov": {"solver": "sgd", "learning_rate_init": 0.02, "batch_size": 32, "alpha": 0.2},
    "sgd, momentum": {"solver": "sgd", "nesterovs_momentum": False, "batch_size": 32, "shuffle": False},
    "sgd, plain": {"solver": "sgd", "momentum": 0, "learning_rate": "invscaling", "power_t": 0.25, "batch_size": 16},
    "sgd, adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 2, "max_iter": 40},
    "stops early": {"early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": 3, "max_iter": 30},
    "no penalty": {"alpha": 0, "batch_size": 32},
    "one a step": {"batch_size": 1, "max_iter": 2},
    "lbfgs": {"solver": "lbfgs", "alpha": 0.3, "max_iter": 8},
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", TARGETS)
def test_the_same_as_scikit_learn(kind, solver, weighted):
    if (kind, solver) == ("two classes", "stops early"):
        optional("sklearn", minversion="1.9")  # before, theirs could not stop early with labels of text
    ours, others = estimators(kind, **SOLVERS[solver])
    inconsistent = kind == "numbers" and solver == "lbfgs"  # theirs follows a gradient that is not that of its loss
    for one in (ours, others):
        one.fit(X, TARGETS[kind], WEIGHTS if weighted else None)
    if inconsistent:
        assert ours.loss_ <= others.loss_ * (1 + 1e-9)
        return
    same(ours, others)
    same_answers(ours, others)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("sizes", [4, [3, 2], (), np.array([5])])
def test_activations_and_sizes(activation, sizes):
    ours, others = estimators("three classes", activation=activation, hidden_layer_sizes=sizes)
    for one in (ours, others):
        one.fit(X, TARGETS["three classes"])
    same(ours, others)
    same_answers(ours, others)


def test_another_thread_stops_a_fit(monkeypatch):
    one = MLPRegressor(hidden_layer_sizes=(4,), max_iter=10**7, n_iter_no_change=np.inf, tol=0, random_state=0)
    advance = fastnn.Sequential._advance

    def stopped(network, *given):
        done = advance(network, *given)
        network.stop_training = True
        return done

    monkeypatch.setattr(fastnn.Sequential, "_advance", stopped)
    one.fit(X, TARGETS["number"])
    assert 0 < one.n_iter_ == len(one.loss_curve_) < 10**7 and one.loss_ == one.loss_curve_[-1]


@pytest.mark.filterwarnings("ignore:batch_size:UserWarning")
def test_a_penalty_that_comes_later_leaves_dropout_alone():
    """No penalty and one that rounding loses: the same from there on."""
    ends = []
    for alpha in (0.0, 1e-30):
        one = MLPRegressor(hidden_layer_sizes=(6,), alpha=alpha, dropout=0.3, batch_size=20, random_state=0)
        for later in (alpha, alpha, 0.1, 0.1):
            one.set_params(alpha=later).partial_fit(X, TARGETS["number"])
        ends.append((one.loss_curve_, one.coefs_[0]))
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-12)
    np.testing.assert_allclose(ends[0][1], ends[1][1], rtol=1e-12)


@pytest.mark.parametrize("shared", [False, True])
def test_random_numbers_are_drawn_as_theirs(shared):
    """From a generator of one's own, or the one that all share: it is left where scikit-learn leaves it."""
    ours, others = estimators("two classes", batch_size=32)
    drawn = []
    for one in (ours, others):
        numbers = np.random.mtrand._rand if shared else np.random.RandomState(4)
        numbers.seed(4)
        one.set_params(random_state=None if shared else numbers).fit(X, TARGETS["two classes"])
        drawn.append(numbers.randint(2**31))
    same(ours, others)
    assert drawn[0] == drawn[1]


@pytest.mark.filterwarnings("ignore:batch_size:UserWarning", "ignore:Got `batch_size`:UserWarning")
@pytest.mark.parametrize("alpha", [0.3, 0.0])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("kind", TARGETS)
def test_partial_fit(kind, solver, alpha):
    """Batches of other sizes, weights and another penalty on the way."""
    ours, others = estimators(kind, solver=solver, batch_size=20, alpha=alpha)
    y = TARGETS[kind]
    for one in (ours, others):
        classes = {"classes": np.unique(y) if kind != "labels" else [0, 1, 2]} if kind in CLASSES else {}
        one.partial_fit(X[:50], y[:50], **classes)
        one.partial_fit(X[50:57], y[50:57])
        one.partial_fit(X[57:100], y[57:100], WEIGHTS[57:100])
        one.set_params(alpha=0.7).partial_fit(X[100:], y[100:])
        one.set_params(alpha=0.0).partial_fit(X[100:], y[100:])
        one.partial_fit(X[:1], y[:1])
    same(ours, others)
    same_answers(ours, others)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_warm_start(solver):
    ours, others = estimators("number", solver=solver, warm_start=True, max_iter=5)
    for one in (ours, others):
        one.fit(X, TARGETS["number"]).fit(X, TARGETS["number"])
        one.set_params(activation="tanh").fit(X, TARGETS["number"])
    same(ours, others)
    if solver != "lbfgs":
        assert len(ours.loss_curve_) == 15


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_warm_start_with_other_layers_is_refused(solver):
    one = estimators("number", solver=solver, warm_start=True)[0].fit(X, TARGETS["number"])
    with pytest.raises(ValueError, match=r"coefs_\[0\]: has shape \(6, 7\).*fit anew without warm_start"):
        one.set_params(hidden_layer_sizes=(8, 5)).fit(X, TARGETS["number"])


def test_single_precision():
    ours, others = estimators("three classes", batch_size=32)
    for one in (ours, others):
        one.fit(X.astype(np.float32), TARGETS["three classes"])
    same(ours, others, rtol=1e-3)
    assert ours.predict_proba(X).dtype == np.float32
    asked = clone(ours).set_params(dtype="float32").fit(X, TARGETS["three classes"])
    np.testing.assert_array_equal(asked.coefs_[0], ours.coefs_[0])
    assert (
        clone(ours).set_params(dtype=np.float64).fit(X.astype(np.float32), TARGETS["number"] > 0).coefs_[0].itemsize
        == 8
    )


# ------------------------------------------------------------------------------------------------ scikit-learn's tools


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_grid_search(backend):
    pipeline = make_pipeline(
        StandardScaler(), MLPClassifier((8,), max_iter=20, random_state=0, learning_rate_init=0.01)
    )
    grid = {"mlpclassifier__alpha": [0.0, 0.1], "mlpclassifier__dropout": [0.0, 0.2]}
    alone = GridSearchCV(pipeline, grid, cv=2).fit(X, TARGETS["two classes"])
    with joblib.parallel_backend(backend, n_jobs=2):
        together = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, TARGETS["two classes"])
    np.testing.assert_array_equal(together.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert together.best_params_ == alone.best_params_
    assert len(set(alone.cv_results_["mean_test_score"])) > 1
    np.testing.assert_array_equal(together.predict_proba(X), alone.predict_proba(X))


def test_cross_validation_and_calibration():
    y = TARGETS["two classes"]
    ours, others = estimators("two classes", solver="lbfgs", alpha=1.0, max_iter=6)
    np.testing.assert_allclose(cross_val_score(ours, X, y, cv=3), cross_val_score(others, X, y, cv=3))
    a, b = (
        CalibratedClassifierCV(one, cv=2).fit(X, y, sample_weight=WEIGHTS).predict_proba(X) for one in (ours, others)
    )
    np.testing.assert_allclose(a, b, rtol=1e-4)


def test_multi_output_by_scikit_learn():
    ours, others = (MultiOutputClassifier(one) for one in estimators("two classes"))
    y = np.stack([TARGETS["three classes"], TARGETS["number"] > 0], axis=1)
    np.testing.assert_array_equal(ours.fit(X, y).predict(X), others.fit(X, y).predict(X))


def test_metadata_routing():
    y, w = TARGETS["two classes"], WEIGHTS
    with sklearn.config_context(enable_metadata_routing=True):
        one = MLPClassifier((8,), max_iter=5, random_state=0)
        one.set_fit_request(sample_weight=True, validation_data=True).set_score_request(sample_weight=True)
        search = GridSearchCV(one, {"alpha": [0.1]}, cv=2)
        search.fit(X, y, sample_weight=w, validation_data=(X[:20], y[:20]))
        assert len(search.best_estimator_.validation_scores_) == 5
        direct = clone(one).set_params(alpha=0.1).fit(X, y, w)
        np.testing.assert_array_equal(search.predict_proba(X), direct.predict_proba(X))
    assert one.partial_fit(X, y, classes=["no", "yes"], sample_weight=w) is one


def test_feature_names_and_set_output():
    pandas = optional("pandas")
    frame = pandas.DataFrame(X, columns=list("abcdef"))
    pipeline = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, early_stopping=True))
    pipeline.set_output(transform="pandas")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(frame, TARGETS["number"]).predict(frame)
    assert list(pipeline[-1].feature_names_in_) == list("abcdef")
    with pytest.raises(ValueError, match="feature names"):
        pipeline[-1].predict(frame[list("fedcba")])


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array])
@pytest.mark.parametrize("bytes_at_once", [64 << 20, 1000])
def test_sparse_input(solver, make, bytes_at_once, monkeypatch):
    """The same to the last bit, made dense at once or some rows at a time."""
    for module in ("_descent", "_holder"):
        monkeypatch.setattr(importlib.import_module(f"fastnn.sklearn.{module}"), "DENSE_BYTES", bytes_at_once)
    monkeypatch.setattr(importlib.import_module("fastnn.sklearn._minimise"), "ROWS", N)
    x = X * (np.abs(X) > 1)
    y = TARGETS["three classes"]
    early = {"early_stopping": solver == "sgd"}
    dense = MLPClassifier((5,), solver=solver, batch_size=8, max_iter=4, random_state=0, **early).fit(x, y, WEIGHTS)
    sparse = clone(dense).fit(make(x), y, WEIGHTS)
    np.testing.assert_array_equal(sparse.coefs_[0], dense.coefs_[0])
    np.testing.assert_array_equal(sparse.predict_proba(make(x)), dense.predict_proba(x))
    assert sparse.loss_ == dense.loss_


def test_blocks_of_lbfgs(monkeypatch):
    whole, parts = (MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", max_iter=5, random_state=0) for _ in range(2))
    whole.fit(X, TARGETS["number"], WEIGHTS)
    monkeypatch.setattr(importlib.import_module("fastnn.sklearn._minimise"), "ROWS", 32)
    parts.fit(X, TARGETS["number"], WEIGHTS)
    np.testing.assert_allclose(parts.coefs_[0], whole.coefs_[0], rtol=1e-7)


# ---------------------------------------------------------------------------------------------- weights and repetition


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", TARGETS)
def test_a_weight_of_two_is_the_row_twice(kind, solver):
    times = np.arange(60) % 3  # none, one, two
    ours, _ = estimators(kind, solver=solver, alpha=0.2, max_iter=6)
    weighted = clone(ours).fit(X[:60], TARGETS[kind][:60], sample_weight=times)
    repeated = clone(ours).fit(np.repeat(X[:60], times, axis=0), np.repeat(TARGETS[kind][:60], times, axis=0))
    for one, other in zip(weighted.coefs_, repeated.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(weighted.loss_, repeated.loss_, rtol=1e-9)


def test_a_batch_without_weight_is_left_out():
    w = np.ones(60)
    w[20:40] = 0
    one = MLPRegressor(hidden_layer_sizes=(4,), batch_size=20, shuffle=False, max_iter=5, random_state=0)
    weighted = clone(one).fit(X[:60], TARGETS["number"][:60], w)
    kept = np.r_[0:20, 40:60]
    np.testing.assert_allclose(
        weighted.coefs_[0], clone(one).fit(X[kept], TARGETS["number"][kept]).coefs_[0], rtol=1e-9
    )
    assert np.isfinite(weighted.loss_curve_).all()


def test_class_weight():
    y = TARGETS["two classes"]
    by_class = {"no": 0.5, "yes": 3.0}
    one = MLPClassifier((6,), max_iter=10, random_state=0, batch_size=32)
    weights = np.where(y == "yes", 3.0, 0.5)
    a = clone(one).set_params(class_weight=by_class).fit(X, y)
    np.testing.assert_array_equal(a.coefs_[0], clone(one).fit(X, y, weights).coefs_[0])
    both = clone(one).set_params(class_weight=by_class).fit(X, y, WEIGHTS)
    np.testing.assert_array_equal(both.coefs_[0], clone(one).fit(X, y, weights * WEIGHTS).coefs_[0])
    counts = {label: np.sum(y == label) for label in ("no", "yes")}
    balanced = clone(one).set_params(class_weight="balanced").fit(X, y)
    by_hand = np.array([N / (2 * counts[label]) for label in y])
    np.testing.assert_array_equal(balanced.coefs_[0], clone(one).fit(X, y, by_hand).coefs_[0])
    one.set_params(class_weight="balanced")
    with pytest.raises(ValueError, match="class_weight: 'balanced' needs all of y, and partial_fit sees a part"):
        one.partial_fit(X, y, classes=["no", "yes"])


# ---------------------------------------------------------------------------------------------------- what is more here


def by_hand(estimator, x):
    """The output, in NumPy, from coefs_ and intercepts_."""
    names = estimator.activation if isinstance(estimator.activation, list) else [estimator.activation] * 9
    for i, (w, b) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
        x = x @ w + b
        if i < len(estimator.coefs_) - 1:
            x = activations.get(names[i])(x)
    return x


def test_an_activation_for_each_layer():
    one = MLPRegressor(
        "squared_error", (6, 5, 4), ["tanh", "gelu", "softplus"], solver="lbfgs", max_iter=60, random_state=0
    )
    one.fit(X, TARGETS["number"])
    np.testing.assert_allclose(one.predict(X), by_hand(one, X)[:, 0], rtol=1e-10)
    assert one.score(X, TARGETS["number"]) > 0.95
    alike = MLPRegressor("squared_error", (6, 5), ["tanh"] * 2, random_state=0, max_iter=3).fit(X, TARGETS["number"])
    single = MLPRegressor("squared_error", (6, 5), "tanh", random_state=0, max_iter=3).fit(X, TARGETS["number"])
    np.testing.assert_array_equal(alike.coefs_[0], single.coefs_[0])


def square(x):
    return x * x


square.derivative = lambda x: 2 * x


def test_an_activation_of_ones_own():
    y = X[:, 0] ** 2
    one = MLPRegressor(hidden_layer_sizes=4, activation=square, solver="lbfgs", random_state=0, alpha=0, tol=1e-6)
    one.fit(X, y)
    assert one.score(X, y) > 0.9999
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(one)).predict(X), one.predict(X))


def test_dropout():
    y = TARGETS["number"]
    plain, dropped = (
        MLPRegressor(hidden_layer_sizes=(30,), max_iter=40, dropout=rate, random_state=0) for rate in (0.0, 0.5)
    )
    plain.fit(X, y)
    dropped.fit(X, y)
    assert dropped.loss_curve_[0] != plain.loss_curve_[0]
    np.testing.assert_array_equal(clone(dropped).fit(X, y).predict(X), dropped.predict(X))
    assert not np.array_equal(clone(dropped).set_params(random_state=1).fit(X, y).predict(X), dropped.predict(X))
    np.testing.assert_allclose(dropped.predict(X), by_hand(dropped, X)[:, 0], rtol=1e-10)  # none in predict
    each = clone(plain).set_params(hidden_layer_sizes=(5, 4), dropout=[0.0, 0.3]).fit(X, y)
    assert [layer.name for layer in each.network_.layers] == ["hidden_1", "hidden_2", "dropout_2", "output"]


def normalized_by_hand(one, kind):
    """The prediction of one hidden layer of ReLU behind a normalization, in NumPy."""
    gamma, beta, *moving = one.network_.layers[1].get_weights()
    z = X @ one.coefs_[0] + one.intercepts_[0]
    mean, variance = moving if kind == "batch" else (z.mean(axis=1)[:, None], z.var(axis=1)[:, None])
    hidden = np.maximum(0, gamma * (z - mean) / np.sqrt(variance + 1e-3) + beta)
    return hidden @ one.coefs_[1][:, 0] + one.intercepts_[1][0]


def test_normalization():
    for kind, layer in (("batch", fastnn.layers.BatchNormalization), ("layer", fastnn.layers.LayerNormalization)):
        one = MLPRegressor(
            hidden_layer_sizes=(16,), normalization=kind, learning_rate_init=0.02, max_iter=60, random_state=0
        )
        one.fit(X, TARGETS["number"], WEIGHTS)
        assert isinstance(one.network_.layers[1], layer)
        assert one.score(X, TARGETS["number"]) > 0.6
        np.testing.assert_allclose(one.predict(X), normalized_by_hand(one, kind), rtol=1e-9)
        gamma = one.network_.layers[1].get_weights()[0]
        assert not np.allclose(gamma, 1)
        again = pickle.loads(pickle.dumps(one))
        np.testing.assert_array_equal(again.predict(X), one.predict(X))
        more = clone(one).set_params(warm_start=True, max_iter=3).fit(X, TARGETS["number"])
        before = more.network_.get_weights()
        more.set_params(learning_rate_init=1e-12).fit(X, TARGETS["number"])
        for old, new, w in zip(before, more.network_.get_weights(), more.network_._variables(), strict=True):
            if w.in_trainables:  # a warm start has those of normalization too
                np.testing.assert_allclose(new, old, atol=1e-9)


@pytest.mark.parametrize(
    "loss",
    [losses.CategoricalCrossentropy(label_smoothing=0.1), "categorical_focal_crossentropy", "mean_squared_error"],
)
def test_losses_of_classes(loss):
    y = TARGETS["three classes"]
    one = MLPClassifier((8,), loss=loss, alpha=0, max_iter=100, learning_rate_init=0.02, random_state=0).fit(X, y)
    assert one.score(X, y) > 0.8
    one.set_params(learning_rate_init=1e-15).partial_fit(X, y)  # at the old rate, but its loss is that from before
    twin = copy.deepcopy(one)
    probabilities = twin.predict_proba(X)
    onehot = np.eye(3)[np.searchsorted(one.classes_, y)]
    twin.partial_fit(X, y)
    expected = losses.as_loss(loss)(onehot, probabilities)
    np.testing.assert_allclose(twin.loss_, expected, rtol=0.01)


def test_log_loss_by_another_name():
    y = TARGETS["three classes"]
    names = "log_loss", "sparse_categorical_crossentropy", losses.CategoricalCrossentropy()
    curves = [MLPClassifier((8,), loss=name, max_iter=5, random_state=0).fit(X, y).loss_curve_ for name in names]
    np.testing.assert_allclose(curves[1:], [curves[0]] * 2, rtol=1e-12)
    two = [MLPClassifier(max_iter=3, loss=name, random_state=0).fit(X, TARGETS["two classes"]) for name in names[:1]]
    same_one = MLPClassifier(max_iter=3, loss="binary_crossentropy", random_state=0).fit(X, TARGETS["two classes"])
    np.testing.assert_array_equal(two[0].coefs_[0], same_one.coefs_[0])


class Pinball(losses.Loss):
    def __init__(self, q=0.5, **options):
        super().__init__(**options)
        self.q = q

    def call(self, y_true, y_pred):
        e = y_true - y_pred
        return np.mean(np.maximum(self.q * e, (self.q - 1) * e), axis=-1)

    def gradient(self, y_true, y_pred):
        return np.where(y_true > y_pred, -self.q, 1 - self.q) / y_pred.shape[-1]


def test_losses_of_numbers():
    y = TARGETS["number"] + np.random.RandomState(1).normal(size=N)
    one = MLPRegressor(Pinball(0.9), (8,), learning_rate_init=0.01, max_iter=150, random_state=0, alpha=0.01)
    below = np.mean(y <= one.fit(X, y, np.ones(N)).predict(X))
    assert 0.84 < below < 0.96  # the quantile that was asked for
    spoilt = TARGETS["number"].copy()
    spoilt[:8] += 100
    scores = {}
    for loss in ("squared_error", "absolute_error", "huber"):
        one = MLPRegressor(loss, (8,), learning_rate_init=0.01, max_iter=150, random_state=0).fit(X, spoilt)
        scores[loss] = r2_score(TARGETS["number"][8:], one.predict(X[8:]))
    assert scores["huber"] > 0.6 > scores["squared_error"] and scores["absolute_error"] > 0.6


@pytest.mark.parametrize("name", ["exp", "softplus", "logistic", "tanh", "relu"])
def test_the_output_of_a_regressor(name):
    one = MLPRegressor(hidden_layer_sizes=(5,), out_activation=name, max_iter=3, random_state=0).fit(X, np.abs(X[:, 0]))
    assert one.out_activation_ == name
    formula = {"exp": np.exp, "logistic": activations.sigmoid}.get(name) or activations.get(name)
    np.testing.assert_allclose(one.predict(X), formula(by_hand(one, X))[:, 0], rtol=1e-10)


def test_a_validation_set_of_ones_own():
    y = TARGETS["two classes"]
    kept, held = slice(0, 100), slice(100, N)
    one = MLPClassifier((16,), learning_rate_init=0.03, max_iter=40, random_state=0)
    watched = clone(one).fit(X[kept], y[kept], validation_data=(X[held], y[held], WEIGHTS[held]))
    assert len(watched.validation_scores_) == 40 == watched.n_iter_
    last = accuracy_score(y[held], watched.predict(X[held]), sample_weight=WEIGHTS[held])
    assert watched.validation_scores_[-1] == last
    assert watched.best_validation_score_ == max(watched.validation_scores_)
    np.testing.assert_array_equal(watched.predict(X), clone(one).fit(X[kept], y[kept]).predict(X))  # it only watches
    stopped = clone(one).set_params(early_stopping=True, n_iter_no_change=5)
    stopped.fit(X[kept], y[kept], validation_data=(X[held], y[held]))
    assert stopped.t_ == 100 * stopped.n_iter_  # none of X was held out
    assert stopped.n_iter_ < 40 and stopped.best_loss_ is None
    assert stopped.score(X[held], y[held]) == max(stopped.validation_scores_) > stopped.validation_scores_[0]


def test_early_stopping_restores_the_best_weights():
    one = MLPRegressor(
        hidden_layer_sizes=(30,), early_stopping=True, validation_fraction=0.3, learning_rate_init=0.1, max_iter=60
    )
    one.set_params(random_state=1, normalization="batch", tol=0).fit(X, TARGETS["number"])
    held = sklearn.model_selection.train_test_split(
        np.arange(N), test_size=0.3, random_state=with_state_after_first_weights(one)
    )[1]
    score = r2_score(TARGETS["number"][held], one.predict(X[held]))
    assert score == one.best_validation_score_ == max(one.validation_scores_) > one.validation_scores_[-1]


def with_state_after_first_weights(one):
    """The random numbers as they were when the samples were held out."""
    state = np.random.RandomState(one.random_state)
    for w in (*one.coefs_, *one.intercepts_):
        state.uniform(size=w.size)
    return state


def test_divergence():
    wild = MLPRegressor(
        hidden_layer_sizes=(30,), activation="identity", solver="sgd", learning_rate_init=10.0, random_state=0
    )
    with pytest.raises(ValueError, match=r"non-finite parameter weights.*Epoch \d+"):
        wild.fit(1e3 * X, TARGETS["number"])
    wild.set_params(early_stopping=True)
    with pytest.warns(ConvergenceWarning, match=r"not finite: training ends with the best weights before it"):
        wild.fit(1e3 * X, TARGETS["number"])
    assert np.isnan(wild.validation_scores_[-1]) and np.isnan(wild.loss_curve_[-1])
    assert np.isfinite(wild.predict(X)).all()


def test_callbacks():
    seen = []
    watch = callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append("begin"),
        on_epoch_end=lambda epoch, logs: seen.append((epoch, logs)),
        on_train_end=lambda logs: seen.append("end"),
    )
    one = MLPRegressor(hidden_layer_sizes=(5,), max_iter=4, callbacks=[watch], random_state=0)
    one.fit(X, TARGETS["number"], validation_data=(X, TARGETS["number"]))
    assert seen[0] == "begin" and seen[-1] == "end"
    assert [epoch for epoch, _ in seen[1:-1]] == [0, 1, 2, 3]
    assert [logs["loss"] for _, logs in seen[1:-1]] == one.loss_curve_
    assert [logs["val_score"] for _, logs in seen[1:-1]] == one.validation_scores_
    plain = clone(one).set_params(callbacks=None).fit(X, TARGETS["number"])
    np.testing.assert_array_equal(plain.coefs_[0], one.coefs_[0])


def test_callbacks_of_batches_and_rates():
    batches = []
    hear = callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: batches.append(("begin", batch)),
        on_train_batch_end=lambda batch, logs: batches.append(("end", batch)),
    )
    slow = callbacks.LearningRateScheduler(lambda epoch, rate: 0.0)
    one = MLPClassifier((5,), batch_size=40, max_iter=2, callbacks=[hear, slow], random_state=0)
    one.fit(X, TARGETS["three classes"], WEIGHTS)
    assert batches == [(what, batch) for batch in range(4) for what in ("begin", "end")] * 2
    first = MLPClassifier((5,), max_iter=1, learning_rate_init=1e-300, random_state=0).fit(X, TARGETS["three classes"])
    np.testing.assert_array_equal(one.coefs_[0], first.coefs_[0])


def test_a_callback_can_stop_and_can_raise():
    stop = callbacks.LambdaCallback()
    stop.on_epoch_end = lambda epoch, logs: setattr(stop.model, "stop_training", epoch == 2)
    one = MLPRegressor(hidden_layer_sizes=(5,), callbacks=[stop], random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is not a fit that has not converged
        one.fit(X, TARGETS["number"])
    assert one.n_iter_ == 3

    within = callbacks.LambdaCallback()
    within.on_train_batch_end = lambda batch, logs: setattr(within.model, "stop_training", batch == 1)
    part = clone(one).set_params(callbacks=None, batch_size=40, shuffle=False, max_iter=1)
    some = clone(part).set_params(callbacks=[within]).fit(X, TARGETS["number"])
    assert some.n_iter_ == 1
    some.set_params(callbacks=None)
    assert some.loss_ == part.fit(X[:80], TARGETS["number"][:80]).loss_  # of the two batches that there were

    def pruned(epoch, logs):
        raise LookupError("pruned")

    one.set_params(callbacks=[callbacks.LambdaCallback(on_epoch_end=pruned)])
    with pytest.raises(LookupError, match="pruned"):
        one.fit(X, TARGETS["number"])
    one.set_params(callbacks=None, max_iter=2).fit(X, TARGETS["number"])  # nothing is left locked


def test_the_engines_callbacks(tmp_path):
    stopping = callbacks.EarlyStopping("val_score", mode="max", patience=3, restore_best_weights=True)
    saving = callbacks.ModelCheckpoint(str(tmp_path / "best"), "val_score", mode="max", save_best_only=True)
    one = MLPRegressor(hidden_layer_sizes=(30,), learning_rate_init=0.2, callbacks=[stopping, saving], random_state=2)
    one.set_params(n_iter_no_change=np.inf).fit(
        X[:100], TARGETS["number"][:100], validation_data=(X, TARGETS["number"])
    )
    assert one.n_iter_ < 200 and one.n_iter_ == np.argmax(one.validation_scores_) + 4
    assert one.score(X, TARGETS["number"]) == one.best_validation_score_
    np.testing.assert_array_equal(fastnn.load(tmp_path / "best")(X)[:, 0], one.predict(X))


def test_an_interrupt_keeps_what_was_learned():
    def interrupt(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    one = MLPRegressor(hidden_layer_sizes=(5,), callbacks=[callbacks.LambdaCallback(on_epoch_end=interrupt)])
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        one.fit(X, TARGETS["number"])
    assert one.n_iter_ == 3 and np.isfinite(one.predict(X)).all()


def test_threads(with_threads):
    before = with_threads(2)
    counts = []
    note = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: counts.append(fastnn.get_num_threads()))
    one = MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, n_threads=1, callbacks=[note], random_state=0)
    one.fit(X, TARGETS["number"])
    assert counts == [1, 1] and fastnn.get_num_threads() == 2
    other = clone(one).set_params(n_threads=None).fit(X, TARGETS["number"])
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])
    with pytest.raises(ValueError):
        one.set_params(hidden_layer_sizes=(9,), warm_start=True).fit(X, TARGETS["number"])
    assert fastnn.get_num_threads() == 2
    fits = [clone(one).set_params(warm_start=False, max_iter=30, callbacks=None) for _ in range(4)]
    running = [threading.Thread(target=fit.fit, args=(X, TARGETS["number"])) for fit in fits]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert fastnn.get_num_threads() == 2
    assert all(np.array_equal(fit.coefs_[0], fits[0].coefs_[0]) for fit in fits)
    with_threads(before)


# ----------------------------------------------------------------------------------------- weights, copies, the network


@pytest.mark.parametrize("way", ["pickle", "deepcopy", "joblib"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_copies_go_on_alike(way, solver, tmp_path):
    y = TARGETS["three classes"]
    one = MLPClassifier((6, 5), solver=solver, max_iter=5, random_state=0, normalization="batch", dropout=0.1).fit(X, y)
    if way == "joblib":
        joblib.dump(one, tmp_path / "one")
        twin = joblib.load(tmp_path / "one", mmap_mode="r")
    else:
        twin = pickle.loads(pickle.dumps(one)) if way == "pickle" else copy.deepcopy(one)
    np.testing.assert_array_equal(twin.predict_proba(X), one.predict_proba(X))
    before = one.coefs_[0].copy()
    for _ in range(3):
        twin.partial_fit(X, y)
    np.testing.assert_array_equal(one.coefs_[0], before)
    assert not np.array_equal(twin.coefs_[0], before)
    for _ in range(3):
        one.partial_fit(X, y)
    np.testing.assert_array_equal(twin.predict_proba(X), one.predict_proba(X))
    assert twin.loss_curve_ == one.loss_curve_


def test_the_weights_are_the_networks():
    one = MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, TARGETS["number"])
    one.intercepts_[-1] += 10  # in place
    np.testing.assert_allclose(one.predict(X), by_hand(one, X)[:, 0], rtol=1e-10)
    one.coefs_ = [np.ones((6, 5)), np.zeros((5, 1))]  # others
    np.testing.assert_allclose(one.predict(X), one.intercepts_[1][0])
    np.testing.assert_array_equal(one.network_.layers[0].kernel, 1)
    assert one.coefs_[0] is one.network_.layers[0].kernel
    one.coefs_[1] = np.ones((4, 1))
    with pytest.raises(ValueError, match=r"coefs_\[1\]: has shape \(4, 1\)"):
        one.predict(X)
    one.coefs_ = one.coefs_[:1]
    with pytest.raises(ValueError, match="the network has 2 layers with weights, and the lists hold 1 and 2"):
        one.predict(X)


def test_the_network_can_be_trained_further_and_saved(tmp_path):
    one = MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, TARGETS["number"])
    network = one.network_
    network.layers[0].trainable = False
    network.compile("adam", "mse")
    network.fit(X, TARGETS["number"], epochs=2, verbose=0)  # its weights lie elsewhere now
    np.testing.assert_array_equal(one.predict(X), network.predict(X, verbose=0)[:, 0])
    np.testing.assert_allclose(one.predict(X), by_hand(one, X)[:, 0], rtol=1e-10)
    network.save(tmp_path / "one")
    np.testing.assert_array_equal(fastnn.load(tmp_path / "one")(X)[:, 0], one.predict(X))


def test_clone_and_parameters():
    one = MLPClassifier((3,), dropout=[0.5], loss=losses.BinaryCrossentropy(), callbacks=[callbacks.TerminateOnNaN()])
    assert "network_" not in vars(clone(one.fit(X, TARGETS["two classes"])))
    assert clone(one).get_params()["dropout"] == [0.5]
    for ours, others in ((MLPClassifier(), theirs.MLPClassifier()), (MLPRegressor(), theirs.MLPRegressor())):
        for name, value in others.get_params().items():
            assert ours.get_params()[name] == value, name
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(X)


# ------------------------------------------------------------------------------------------------------ what is refused

REFUSED = {
    "hidden_layer_sizes": ({"hidden_layer_sizes": (5, 0)}, "hidden_layer_sizes must be > 0"),
    "units": ({"hidden_layer_sizes": (2.5,)}, "hidden_layer_sizes: expected a whole number"),
    "units by name": ({"hidden_layer_sizes": b"a"}, "hidden_layer_sizes: expected a whole number or a tuple of them"),
    "units in a dict": ({"hidden_layer_sizes": {}}, "hidden_layer_sizes: expected a whole number or a tuple of them"),
    "units beyond measure": (
        {"hidden_layer_sizes": 2**70},
        "hidden_layer_sizes: expected a whole number <= 2147483647",
    ),
    "units of units": ({"hidden_layer_sizes": [[3]]}, "hidden_layer_sizes: expected a whole number, got [3]"),
    "activation that halves": ({"activation": "glu"}, "activation: 'glu' gives half as many outputs as it reads"),
    "function that halves": ({"activation": activations.glu}, "activation: 'glu' gives half as many outputs"),
    "random_state": ({"random_state": "x"}, "random_state: expected a whole number, a RandomState or None, got 'x'"),
    "alphas": ({"alpha": np.array([1, 2])}, "alpha: expected a number, got array([1, 2])"),
    "a type of alpha": ({"alpha": float}, "alpha: expected a number, got <class 'float'>"),
    "alpha beyond measure": ({"alpha": 10**400}, "alpha: expected a finite number >= 0"),
    "threads beyond measure": ({"n_threads": 2**70}, "n_threads: expected a whole number >= 1 and <= 65535"),
    "loss of pairs": ({"loss": "triplet"}, "loss: Triplet compares samples or scores with each other"),
    "class_weight below zero": ({"class_weight": {"no": -1}}, "class_weight: expected weights that are finite and not"),
    "class_weight NaN": ({"class_weight": {"no": np.nan}}, "class_weight: expected weights that are finite and not"),
    "class_weight of others": ({"class_weight": {"a": 1}}, "class_weight: The classes"),
    "class_weight in a list": ({"class_weight": [1]}, "class_weight: a list is for several labels"),
    "activation": ({"activation": "rleu"}, "activation: unknown name 'rleu'; did you mean 'relu'"),
    "activation of a kind": ({"activation": 3}, "activation: expected a name or a function with a derivative, got 3"),
    "activation without derivative": ({"activation": np.cbrt}, "has no derivative"),
    "activations": ({"activation": ["relu", "tanh"]}, "activation: there are 1 hidden layers, and 2 in the list"),
    "solver": ({"solver": "adamw"}, "solver: unknown name 'adamw'; did you mean 'adam'"),
    "alpha": ({"alpha": -1}, "alpha: expected a finite number >= 0, got -1"),
    "batch_size": ({"batch_size": 0}, "batch_size: expected a whole number >= 1"),
    "batch_size by name": ({"batch_size": "all"}, "batch_size: unknown name 'all'"),
    "learning_rate": ({"learning_rate": "cosine"}, "learning_rate: unknown name 'cosine'"),
    "learning_rate_init": ({"learning_rate_init": 0}, "learning_rate_init: expected a finite number > 0"),
    "max_iter": ({"max_iter": 2.5}, "max_iter: expected a whole number"),
    "shuffle": ({"shuffle": "yes"}, "shuffle: expected True or False"),
    "verbose": ({"verbose": "loud"}, "verbose: expected a whole number"),
    "momentum": ({"momentum": 1.1}, "momentum: expected a finite number >= 0 and <= 1"),
    "beta_1": ({"beta_1": 1}, "beta_1: expected a finite number >= 0 and < 1"),
    "n_iter_no_change": ({"n_iter_no_change": 0}, "n_iter_no_change: expected a whole number >= 1"),
    "dropout": ({"dropout": 1.0}, "dropout: expected a finite number >= 0 and < 1"),
    "dropouts": ({"dropout": [0.1, 0.2]}, "dropout: there are 1 hidden layers, and 2 in the list"),
    "normalization": ({"normalization": "group"}, "normalization: unknown name 'group'"),
    "dtype": ({"dtype": "float16"}, "dtype: expected 'float32' or 'float64'"),
    "n_threads": ({"n_threads": 0}, "n_threads: expected a whole number >= 1"),
    "loss": ({"loss": "log_lss"}, "loss: unknown name 'log_lss'; did you mean 'log_loss'"),
    "loss of several": ({"loss": "categorical_crossentropy"}, "a problem of two classes has one"),
    "loss without gradient": ({"loss": lambda y, p: 0}, "has no gradient"),
    "class_weight": ({"class_weight": "balance"}, "class_weight: unknown name 'balance'; did you mean 'balanced'"),
    "class_weight of a kind": ({"class_weight": 3}, "class_weight: expected a dict"),
    "callbacks": ({"callbacks": [3]}, "expected a callback, got 3"),
    "backups": ({"callbacks": [callbacks.BackupAndRestore("x")]}, "use warm_start=True"),
    "lbfgs, dropout": ({"solver": "lbfgs", "dropout": 0.1}, "dropout: solver='lbfgs' needs a loss without chance"),
    "lbfgs, batch": ({"solver": "lbfgs", "normalization": "batch"}, "normalization: 'batch' keeps moving statistics"),
    "lbfgs, callbacks": ({"solver": "lbfgs", "callbacks": []}, "callbacks: they hear of epochs, and solver='lbfgs'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_arguments_that_are_refused(case):
    arguments, message = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        MLPClassifier(**({"max_iter": 2} | arguments)).fit(X, TARGETS["two classes"])


def test_data_that_are_refused():
    one = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2)
    y = TARGETS["number"]
    for given, message in (
        ({"sample_weight": -np.ones(N)}, "sample_weight: expected weights that are not negative, got -1"),
        ({"sample_weight": np.ones(3)}, r"sample_weight: expected one for each of the 150 samples, got shape \(3,\)"),
        ({"sample_weight": np.zeros(N)}, "sample_weight: all weights are zero"),
        ({"sample_weight": np.full(N, np.nan)}, "NaN"),
        ({"validation_data": X}, r"validation_data: expected \(X, y\) or \(X, y, sample_weight\), got ndarray"),
        ({"validation_data": (X[:, :2], y)}, "2 features"),
    ):
        with pytest.raises(ValueError, match=message):
            one.fit(X, y, **given)
    with pytest.raises(ValueError, match="y: loss='poisson' needs targets that are not negative"):
        MLPRegressor("poisson").fit(X, y)
    with pytest.raises(ValueError, match="validation_data: solver='lbfgs' has no epochs"):
        MLPRegressor(solver="lbfgs").fit(X, y, validation_data=(X, y))
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        MLPClassifier().partial_fit(X, TARGETS["labels"][:, 0])
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping"):
        MLPRegressor(early_stopping=True).partial_fit(X, y)
    with pytest.warns(UserWarning, match="batch_size: 1000 is more than the 150 samples"):
        one.set_params(batch_size=1000).fit(X, y)


def test_a_model_is_not_fitted_by_two_at_once():
    errors = []

    def meddle(epoch, logs):
        def predict():
            try:
                one.predict(X)
            except RuntimeError as error:
                errors.append(str(error))

        thread = threading.Thread(target=predict)
        thread.start()
        thread.join()

    one = MLPRegressor(hidden_layer_sizes=(3,), max_iter=1, callbacks=[callbacks.LambdaCallback(on_epoch_end=meddle)])
    one.fit(X, TARGETS["number"])
    assert len(errors) == 1 and "another thread is training this model" in errors[0]


# --------------------------------------------------------------------------------------------------------- what it says


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "sgd"])
def test_verbose(solver, capsys):
    one = MLPRegressor(hidden_layer_sizes=(3,), solver=solver, verbose=True, tol=10.0, n_iter_no_change=2, max_iter=9)
    one.set_params(early_stopping=True, learning_rate="adaptive", random_state=0).fit(X, TARGETS["number"])
    said = capsys.readouterr().out
    assert "Iteration 1, loss = " in said or solver == "lbfgs"
    if solver != "lbfgs":
        assert f"Iteration {one.n_iter_}, loss = {one.loss_:.8f}\nValidation score: " in said
        assert "Validation score did not improve more than tol=10.000000 for 2 consecutive epochs." in said
        assert ("Setting learning rate to 0.000200" in said) == (solver == "sgd")
        assert ("Stopping." in said) == (solver == "adam")
    one.set_params(verbose=False).fit(X, TARGETS["number"])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_what_has_not_converged_says_so(solver):
    with pytest.warns(ConvergenceWarning) as caught:
        MLPRegressor(hidden_layer_sizes=(3,), solver=solver, max_iter=2).fit(X, TARGETS["number"])
    assert caught[0].filename == __file__  # it points at who called


def run(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "there, said",
    [
        ("None", "needs scikit-learn, which is not installed; install it with: pip install 'fastnn-cpu[sklearn]'"),
        ("types.SimpleNamespace(__version__='1.5.2')", "needs scikit-learn 1.6 or later, and 1.5.2 is installed"),
    ],
)
def test_without_scikit_learn_it_says_what_to_install(there, said):
    done = run(f"import sys, types; sys.modules['sklearn'] = {there}; import fastnn; fastnn.Sequential; fastnn.sklearn")
    assert done.returncode and said in done.stderr


def test_fastnn_itself_does_not_import_it():
    code = "import sys, fastnn; fastnn.Sequential; before = 'sklearn' in sys.modules; fastnn.sklearn.MLPClassifier; "
    done = run(code + "print(before, 'sklearn' in sys.modules)")
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_the_page(sources, capsys):
    page = (sources / "docs" / "scikit-learn.md").read_text(encoding="utf-8")
    names = {}
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, names)
    assert names["accuracy"] > 0.95 and names["best"] > 0.95
    assert 0.87 < names["share"] < 0.93
    assert "Total params: 6,570" in capsys.readouterr().out
    surplus = set(MLPClassifier().get_params()) | set(MLPRegressor().get_params())
    for name in surplus - set(theirs.MLPRegressor().get_params()):
        assert f"`{name}=" in page, f"docs/scikit-learn.md does not explain {name}"


def test_the_example_of_tuning(sources, capsys):
    """With something that looks like Optuna: a trial that is given up, and one that is not."""
    example = runpy.run_path(str(sources / "examples" / "tuning.py"))
    fake = types.SimpleNamespace(TrialPruned=type("TrialPruned", (Exception,), {}))
    example["objective"].__globals__["optuna"] = fake

    class Trial:
        def __init__(self, pruned):
            self.pruned, self.scores = pruned, []

        def suggest_int(self, name, low, high, log=False):
            return low

        def suggest_float(self, name, low, high, log=False):
            return low

        def suggest_categorical(self, name, choices):
            return choices[0]

        def report(self, score, epoch):
            assert epoch == len(self.scores)
            self.scores.append(score)

        def should_prune(self):
            return len(self.scores) == self.pruned

    trial = Trial(99)
    assert example["objective"](trial) == max(trial.scores) > 0.5
    assert len(trial.scores) == 15
    trial = Trial(3)
    with pytest.raises(fake.TrialPruned):
        example["objective"](trial)
    assert len(trial.scores) == 3


def test_the_example_of_tuning_with_optuna(sources):
    optuna = optional("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    objective = runpy.run_path(str(sources / "examples" / "tuning.py"))["objective"]
    studies = []
    for pruner in (optuna.pruners.ThresholdPruner(lower=0.9, n_warmup_steps=2), optuna.pruners.NopPruner()):
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0), pruner=pruner)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Stochastic Optimizer")
            study.optimize(objective, n_trials=4)
        studies.append(study)
    pruned, whole = studies
    ended = [len(trial.intermediate_values) for trial in pruned.trials if trial.state.name == "PRUNED"]
    assert ended and set(ended) == {3}  # the third epoch's score is the first that is looked at
    assert [trial.state.name for trial in whole.trials] == ["COMPLETE"] * 4
    for trial in whole.trials:
        assert trial.value == max(trial.intermediate_values.values())
        slow = trial.intermediate_values[2] < 0.9
        assert slow == (pruned.trials[trial.number].state.name == "PRUNED")


def test_the_example_says_what_it_needs(sources):
    code = "import sys, runpy; sys.modules['optuna'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"
    done = run(code, str(sources / "examples" / "tuning.py"))
    assert done.stdout == "This example needs Optuna; install it with: pip install optuna\n", done.stderr


@pytest.mark.parametrize("name", ["sklearn", "sklearn._estimators"])
def test_docstrings(name):
    found = doctest.testmod(importlib.import_module(f"fastnn.{name}"))
    assert found.attempted > 3 and found.failed == 0


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_every_argument_is_described(estimator):
    described = estimator.__doc__.partition("Attributes")[0]
    for name in estimator().get_params():
        assert re.search(rf"^    (\w+, )*{name}\b.* : ", described, re.MULTILINE), name


def test_shortcuts_change_nothing(monkeypatch):
    """Plain arrays go by without scikit-learn's checks: what comes out is what came before."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, 5)), rng.integers(0, 3, 90)

    def outcome(y, dtype):
        classifier = MLPClassifier((6,), max_iter=5, tol=0, random_state=0).fit(X.astype(dtype), y)
        weights = np.linspace(0, 1, 90)
        scores = [classifier.score(X, y), classifier.score(X, y, weights), classifier.score(X.tolist(), y.tolist())]
        return [*scores, *classifier.classes_, *classifier.predict_proba(X).ravel(), classifier.n_features_in_]

    cases = [(made, dtype) for made in (y, y > 0, (y > 0) * 7 - 3, y.astype(np.uint8)) for dtype in ("f4", "f8")]
    quick = [outcome(*case) for case in cases]
    monkeypatch.setattr("fastnn.sklearn._base.BasePerceptron._is_plain", lambda *given, **named: False)
    monkeypatch.setattr("fastnn.sklearn._estimators.is_plain_target", lambda *given: False)
    monkeypatch.setattr("fastnn.sklearn._estimators._binarizer", lambda y: LabelBinarizer().fit(y))
    for case, found in zip(cases, quick, strict=True):
        np.testing.assert_array_equal(outcome(*case), found)


def test_plain_arrays_are_checked_all_the_same():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    classifier = MLPClassifier((4,), max_iter=2, random_state=0).fit(X, y)
    wrong = X.copy()
    wrong[3, 1] = np.nan
    for given in (wrong, np.where(np.isnan(wrong), np.inf, wrong)):
        with pytest.raises(ValueError, match=r"X contains (NaN|infinity)"):
            classifier.predict(given)
        with pytest.raises(ValueError, match=r"X contains (NaN|infinity)"):
            MLPClassifier().fit(given, y)
    with pytest.raises(ValueError, match="X has 2 features, but MLPClassifier is expecting 3"):
        classifier.predict(X[:, :2].copy())
    with pytest.raises(ValueError, match=r"[Ii]nconsistent"):
        MLPClassifier().fit(X, y[:-1])
    with pytest.raises(ValueError, match="y contains NaN"):
        MLPRegressor().fit(X, np.where(y, np.nan, 1.0))


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_estimator_keeps_none_of_the_samples(solver, dtype):
    x, y = X.astype(dtype), X[:, 0].astype(dtype)
    model = MLPRegressor(hidden_layer_sizes=(4,), solver=solver, max_iter=3).fit(x, y)
    gone = weakref.ref(x), weakref.ref(y)
    del x, y
    gc.collect()
    assert [ref() is None for ref in gone] == [True, True]
    assert model.predict(X).shape == (N,)
