"""fastnn.sklearn against fastnn.reference in plain Python and closed forms: no other MLP is needed."""

import numpy as np
import pytest
from optional import optional

optional("sklearn", minversion="1.7")

from sklearn.exceptions import ConvergenceWarning

from fastnn.reference.network import Dense, Network
from fastnn.sklearn import MLPClassifier, MLPRegressor, _base, _minimise

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

R = np.random.RandomState(4)
N = 40
X = R.normal(size=(N, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.3 * R.normal(size=N)
LABELS = (Y > 0).astype(int)
W = R.uniform(0.2, 3.0, N)
RATE = 0.05


@pytest.fixture
def rows(monkeypatch):
    """The rows that are trained on and those held out, once a fit has split them."""
    seen = {}
    split = _base.train_test_split

    def recorded(*arrays, **options):
        seen["train"], seen["held"] = split(*arrays, **options)
        return seen["train"], seen["held"]

    monkeypatch.setattr(_base, "train_test_split", recorded)
    return seen


def one_step(make, y, **options):
    """An estimator after a single step over all rows that it trains on, and the first weights."""
    arguments = {"hidden_layer_sizes": (4,), "activation": "tanh", "solver": "sgd", "momentum": 0.0, "alpha": 0.0,
                 "learning_rate_init": RATE, "batch_size": N, "random_state": 1, "shuffle": False}  # fmt: skip
    begun = make(**{**arguments, "max_iter": 1, "learning_rate_init": 1e-300, **options})
    with pytest.warns(UserWarning, match="batch_size"):  # of more samples than are trained on
        begun.fit(X, y)
    ours = make(**{**arguments, "max_iter": 1, **options})
    with pytest.warns(UserWarning, match="batch_size"):
        ours.fit(X, y, sample_weight=W)
    return ours, [w for pair in zip(begun.coefs_, begun.intercepts_, strict=True) for w in pair]


def reference_step(weights, last, loss, x, y, w):
    """The same step by the reference, whose mean is by the weights, as scikit-learn's."""
    network = Network(3, [Dense(4, "tanh"), Dense(1, last)], loss, reduction="mean_with_sample_weight")
    network.set_weights([array.tolist() for array in weights])
    before, gradients = network.gradients(x.tolist(), y.tolist(), w.tolist())
    flat = [np.ravel(array) - RATE * np.array(g) for array, g in zip(weights, gradients, strict=True)]
    return before, [new.reshape(array.shape) for new, array in zip(flat, weights, strict=True)]


def same_weights(ours, expected):
    for mine, other in zip(ours.coefs_, expected[0::2], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)
    for mine, other in zip(ours.intercepts_, expected[1::2], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)


def test_rows_held_out_are_not_trained_on(rows):
    ours, first = one_step(MLPClassifier, LABELS, early_stopping=True, validation_fraction=0.25)
    train, held = rows["train"], rows["held"]
    assert len(held) == 10 and sorted([*train, *held]) == list(range(N))
    y = LABELS[train, None].astype(float)
    loss, expected = reference_step(first, "sigmoid", "binary_crossentropy", X[train], y, W[train])
    same_weights(ours, expected)
    np.testing.assert_allclose(ours.loss_curve_, [loss], rtol=1e-9)
    assert ours.t_ == 30
    right = ours.predict(X[held]) == LABELS[held]
    assert 0 < right.sum() < 10
    np.testing.assert_allclose(ours.validation_scores_, [np.sum(W[held] * right) / np.sum(W[held])], rtol=1e-12)


def test_rows_of_a_regressor_are_held_out_too(rows):
    ours, first = one_step(MLPRegressor, Y, early_stopping=True, validation_fraction=0.25)
    train, held = rows["train"], rows["held"]
    _, expected = reference_step(first, "linear", "half_mean_squared_error", X[train], Y[train, None], W[train])
    same_weights(ours, expected)
    y, w, p = Y[held], W[held], ours.predict(X[held])
    score = 1 - np.sum(w * (y - p) ** 2) / np.sum(w * (y - np.average(y, weights=w)) ** 2)
    np.testing.assert_allclose(ours.validation_scores_, [score], rtol=1e-9)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("patience", [1, 3, 7])
def test_epochs_without_improvement(patience, early):
    """With a rate of nearly 0 the first epoch is the best; more than `patience` others end the fit."""
    ours = MLPClassifier(
        solver="sgd", learning_rate_init=1e-300, n_iter_no_change=patience, early_stopping=early, random_state=0
    )
    ours.fit(X, LABELS)
    assert ours.n_iter_ == len(ours.loss_curve_) == patience + 2


def test_an_improvement_of_less_than_tol_is_none():
    options = {"solver": "sgd", "n_iter_no_change": 4, "max_iter": 30, "random_state": 0, "learning_rate_init": 0.01}
    assert MLPRegressor(tol=1e9, **options).fit(X, Y).n_iter_ == 6
    curve = MLPRegressor(tol=0.0, **options).fit(X, Y).loss_curve_
    assert len(curve) == 30 and np.all(np.diff(curve) < 0)


def test_the_first_of_equal_scores_is_kept(monkeypatch):
    scores = iter([0.5, 0.75, 0.75, 0.6, 0.7])
    kept = []
    monkeypatch.setattr(MLPClassifier, "_score_of", lambda *_: kept.append(None) or next(scores))
    seen = []
    note = _base.BasePerceptron._note_score

    def noted(self, network, score):
        note(self, network, score)
        seen.append(network.get_weights()[0])

    monkeypatch.setattr(_base.BasePerceptron, "_note_score", noted)
    ours = MLPClassifier(early_stopping=True, max_iter=5, random_state=0).fit(X, LABELS)
    assert ours.validation_scores_ == [0.5, 0.75, 0.75, 0.6, 0.7] and ours.best_validation_score_ == 0.75
    np.testing.assert_array_equal(ours.coefs_[0], seen[1])
    assert not np.array_equal(seen[1], seen[2])


# -------------------------------------------------------------------------------------------------------------- L-BFGS


@pytest.mark.parametrize("rows_at_once", [4096, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_weighted_ridge_regression(weighted, rows_at_once, monkeypatch):
    """Without hidden layers the minimum of (sum_i w_i (y_i - x_i b - c)^2 + alpha |b|^2) / 2 S is in closed form."""
    monkeypatch.setattr(_minimise, "ROWS", rows_at_once)
    alpha, w = 5.0, W if weighted else np.ones(N)
    ours = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=alpha, tol=1e-10, max_iter=2000, random_state=0)
    ours.fit(X, Y, sample_weight=W if weighted else None)
    centre, middle = np.average(X, axis=0, weights=w), np.average(Y, weights=w)
    x, y = X - centre, Y - middle
    b = np.linalg.solve(x.T @ (w[:, None] * x) + alpha * np.eye(3), x.T @ (w * y))
    np.testing.assert_allclose(ours.coefs_[0][:, 0], b, rtol=1e-4)
    np.testing.assert_allclose(ours.intercepts_[0], middle - centre @ b, rtol=1e-4, atol=1e-5)
    loss = (np.sum(w * (y - x @ b) ** 2) + alpha * b @ b) / (2 * np.sum(w))
    np.testing.assert_allclose(ours.loss_, loss, rtol=1e-8)


# ------------------------------------------------------------------------------------------------------------- classes


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_weights_of_classes_and_of_samples_are_multiplied(solver):
    options = {"solver": solver, "hidden_layer_sizes": (4,), "random_state": 0, "max_iter": 20}
    both = MLPClassifier(class_weight={0: 3.0, 1: 0.5}, **options).fit(X, LABELS, sample_weight=W)
    product = MLPClassifier(**options).fit(X, LABELS, sample_weight=W * np.where(LABELS == 0, 3.0, 0.5))
    for one, other in zip(both.coefs_, product.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)


def test_probabilities_and_scores():
    ours = MLPClassifier((4,), "tanh", random_state=0, max_iter=5).fit(X, np.where(LABELS, "yes", "no"))
    z = np.tanh(X @ ours.coefs_[0] + ours.intercepts_[0]) @ ours.coefs_[1] + ours.intercepts_[1]
    yes = 1 / (1 + np.exp(-z[:, 0]))
    assert ours.classes_.tolist() == ["no", "yes"]
    np.testing.assert_allclose(ours.predict_proba(X), np.stack([1 - yes, yes], axis=1), rtol=1e-12)
    np.testing.assert_allclose(ours.predict_log_proba(X), np.log(np.stack([1 - yes, yes], axis=1)), rtol=1e-9)
    right = ours.predict(X) == np.where(LABELS, "yes", "no")
    np.testing.assert_array_equal(ours.predict(X), np.where(yes > 0.5, "yes", "no"))
    assert 0 < right.sum() < N
    truth = np.where(LABELS, "yes", "no")
    np.testing.assert_allclose(ours.score(X, truth), right.mean())
    np.testing.assert_allclose(ours.score(X, truth, W), np.sum(W * right) / np.sum(W))


def test_what_has_not_converged_says_so():
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        MLPClassifier(max_iter=2, random_state=0).fit(X, LABELS)
