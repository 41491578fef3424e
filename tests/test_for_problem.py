"""Sequential.for_problem: the output, the loss and the reason that targets call for."""

import copy

import numpy as np
import pytest
from optional import optional

from fastnn import Sequential, optimizers

N = 120
R = np.random.default_rng(7)

# targets, then: problem in the reason, units, activation, loss
CASES = {
    "quantities": (R.normal(size=N), "Regression", 1, "linear", "mean_squared_error"),
    "a column": (R.normal(size=(N, 1)), "Regression", 1, "linear", "mean_squared_error"),
    "salaries": ([30_000, 42_000, 30_000, 55_000], "Regression", 1, "linear", "mean_squared_error"),
    "below zero": ([-3, 0, 1, 2], "Regression", 1, "linear", "mean_squared_error"),
    "far apart": ([0, 100, 300], "Regression", 1, "linear", "mean_squared_error"),
    "several": (R.normal(size=(N, 3)), "Regression", 3, "linear", "mean_squared_error"),
    "rows of whole numbers": ([[0, 1, 2], [1, 1, 0]], "Regression", 3, "linear", "mean_squared_error"),
    "pass or fail": ([0, 1, 1, 0], "Binary", 1, "sigmoid", "binary_crossentropy"),
    "flags": (np.array([True, False]), "Binary", 1, "sigmoid", "binary_crossentropy"),
    "floats of two classes": (np.array([[0.0], [1.0]], np.float32), "Binary", 1, "sigmoid", "binary_crossentropy"),
    "classes": ([0, 2, 1, 1], "Multi-class", 3, "softmax", "sparse_categorical_crossentropy"),
    "classes as floats": ([0.0, 2.0, 1.0], "Multi-class", 3, "softmax", "sparse_categorical_crossentropy"),
    "one-hot": (np.eye(4)[[0, 3, 1, 2]], "Multi-class", 4, "softmax", "categorical_crossentropy"),
    "probabilities": ([[0.2, 0.8], [0.7, 0.3]], "Multi-class", 2, "softmax", "categorical_crossentropy"),
    "tags": ([[1, 0, 1], [0, 0, 0], [0, 1, 0]], "Multi-label", 3, "sigmoid", "binary_crossentropy"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_output_fits_the_targets(case, capsys):
    y, problem, units, activation, loss = CASES[case]
    model = Sequential.for_problem(y, hidden=(5, 4), input_shape=(2,), seed=1)
    assert model.compiled and model.output_shape == (None, units) and model.loss == loss
    assert [layer.units for layer in model.layers] == [5, 4, units]
    assert [layer.activation.__name__ for layer in model.layers] == ["relu", "relu", activation]
    assert model.reason.startswith(problem) and model.reason.count(".") <= 3 and model.reason.endswith(".")
    assert capsys.readouterr().out == model.reason + "\n"
    model.optimizer.learning_rate = 0.02
    history = model.fit(R.normal(size=(len(y), 2)), y, epochs=20, verbose=0).history
    assert len(history) == 2 and history["loss"][-1] < history["loss"][0]


def test_salary_by_experience():
    decades = R.uniform(0, 2, size=(N, 1))
    salary = 30 + 25 * decades[:, 0]  # thousands
    model = Sequential.for_problem(salary, hidden=(), optimizer=optimizers.SGD(0.2), seed=0, verbose=0)
    model.fit(decades, salary, epochs=100, verbose=0)
    np.testing.assert_allclose(model.predict([[0.0], [1.0]], verbose=0)[:, 0], [30, 55], rtol=0.01)


def test_pass_or_fail_by_hours():
    hours = R.uniform(0, 10, size=(N, 1))
    passed = hours[:, 0] > 4
    model = Sequential.for_problem(passed, (8,), "tanh", optimizers.Adam(0.05), seed=0, verbose=0)
    history = model.fit(hours, passed, epochs=60, verbose=0).history
    assert history["accuracy"][-1] > 0.95
    low, high = model.predict([[1.0], [9.0]], verbose=0)[:, 0]
    assert 0 <= low < 0.1 and 0.9 < high <= 1


@pytest.mark.parametrize("one_hot", [False, True])
def test_good_bad_or_neutral(one_hot):
    centres = np.array([[0, 2], [2, 0], [-2, -2]])
    names, labels = np.unique(np.array(["good", "bad", "neutral"])[np.arange(N) % 3], return_inverse=True)
    x = centres[labels] + R.normal(size=(N, 2)) / 3
    y = np.eye(3)[labels] if one_hot else labels
    model = Sequential.for_problem(y, hidden=(8,), optimizer=optimizers.Adam(0.05), seed=0, verbose=0)
    model.fit(x, y, epochs=40, verbose=0)
    found = model.predict(centres, verbose=0)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    assert names[found.argmax(axis=1)].tolist() == ["bad", "good", "neutral"] and found.max(axis=1).min() > 0.9


def test_tags():
    x = R.integers(0, 2, size=(N, 2)).astype(float)
    y = np.stack([x[:, 0], x[:, 1], np.maximum(x[:, 0], x[:, 1])], axis=1)
    model = Sequential.for_problem(y, hidden=(8,), optimizer=optimizers.Adam(0.05), seed=0, verbose=0)
    model.fit(x, y, epochs=80, verbose=0)
    assert model.predict([[1.0, 1.0], [0.0, 0.0]], verbose=0).round().tolist() == [[1, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("y", "problem", "units", "loss"),
    [
        ([0, 1, 1], "regression", 1, "mean_squared_error"),
        ([0, 1, 2], "regression", 1, "mean_squared_error"),
        ([0, 1, 1], "multiclass", 2, "sparse_categorical_crossentropy"),
        ([0, 2, 2], "multiclass", 3, "sparse_categorical_crossentropy"),
        ([[0, 1], [1, 0]], "multilabel", 2, "binary_crossentropy"),
        ([[0, 1], [1, 0]], "regression", 2, "mean_squared_error"),
        ([1, 1], "binary", 1, "binary_crossentropy"),
    ],
)
def test_what_cannot_be_seen_can_be_said(y, problem, units, loss):
    model = Sequential.for_problem(y, problem=problem, input_shape=(1,), verbose=0)
    assert (model.output_shape[-1], model.loss) == (units, loss)


@pytest.mark.parametrize(
    ("y", "options", "error", "message"),
    [
        (["good", "bad"], {}, TypeError, r"text, such as 'good'.*numpy.unique\(y, return_inverse=True\)"),
        (np.array(["good", "bad"], object), {}, TypeError, "numpy.unique"),
        ([b"good"], {}, TypeError, "numpy.unique"),
        ([None, 1], {}, TypeError, "y: expected real numbers"),
        ([[1, 2], [3]], {}, ValueError, "rows differ in length"),
        ([], {}, ValueError, "y: expected targets"),
        (3.0, {}, ValueError, "y: expected targets"),
        (np.zeros((2, 2, 2)), {}, ValueError, "y: expected targets"),
        ([1.0, np.nan], {}, ValueError, "not finite"),
        ([0, 0, 0], {}, ValueError, "all 3 targets are 0"),
        ([True, True], {}, ValueError, "all 2 targets are True"),
        ([-1, 1], {}, ValueError, r"pass \(y > 0\)"),
        ([1, 2, 3, 3], {}, ValueError, "pass y - 1"),
        ([0, 1, 3], {}, ValueError, "without 2: say problem='multiclass'"),
        ([0, 1], {"problem": "binry"}, ValueError, "did you mean 'binary'"),
        ([0, 2], {"problem": "binary"}, ValueError, "0 or 1 for each sample, got shape"),
        ([[0, 2]], {"problem": "multilabel"}, ValueError, "a row of 0 and 1"),
        ([0, 1], {"problem": "multilabel"}, ValueError, "a row of 0 and 1"),
        ([-1, 1], {"problem": "multiclass"}, ValueError, "classes 0, 1"),
        ([0.5, 1], {"problem": "multiclass"}, ValueError, "whole numbers"),
        ([[1, 1]], {"problem": "multiclass"}, ValueError, "sum to 1"),
        ([0, 1], {"hidden": 64}, TypeError, r"such as \(64, 64\), got 64"),
        ([0, 1], {"hidden": (64, 0)}, ValueError, r"hidden\[1\]"),
        ([0, 1], {"hidden": "64"}, TypeError, r"hidden\[0\]"),
        ([0, 1], {"verbose": 2}, ValueError, "verbose"),
        ([0, 1], {"units": 2}, TypeError, "units"),
    ],
)
def test_wrong_calls(y, options, error, message, capsys):
    with pytest.raises(error, match=message):
        Sequential.for_problem(y, **options)
    assert capsys.readouterr().out == ""


def test_the_reason_stays_with_copies():
    model = Sequential.for_problem([0, 1], seed=3, dtype="float64", name="exam", verbose=0)
    assert (model.seed, model.dtype, model.name, model.built) == (3, "float64", "exam", False)
    assert copy.deepcopy(model).reason == model.reason
    assert Sequential().reason is None


def test_series_of_pandas():
    pandas = optional("pandas")
    assert Sequential.for_problem(pandas.Series([0, 1, 2, 0]), verbose=0).layers[-1].units == 3
    with pytest.raises(TypeError, match=r"numpy\.unique"):
        Sequential.for_problem(pandas.Series(["a", "b"]), verbose=0)
    with pytest.raises(TypeError, match=r"numpy\.unique"):
        Sequential.for_problem(pandas.Series(["a", "b"], dtype="category"), verbose=0)
