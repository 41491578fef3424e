"""The perceptron: its rule, its bias, what it learns and what it cannot."""

import copy
import doctest
import importlib
import pickle
import re
import runpy

import numpy as np
import pytest

from fastnn import NotBuiltError, Sequential, layers, models, optimizers
from fastnn.models import Perceptron

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
GATES = {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "nand": [1, 1, 1, 0], "nor": [1, 0, 0, 0], "not x1": [1, 1, 0, 0]}
XOR = [0, 1, 1, 0]


def separable(rows=60, inputs=3, margin=0.1):
    """Points on both sides of a plane, none nearer to it than a margin; with the plane."""
    rng = np.random.default_rng(4)
    plane = rng.normal(size=inputs + 1)
    plane /= np.linalg.norm(plane)
    x = rng.uniform(-1, 1, size=(20 * rows, inputs))
    distance = plane[0] + x @ plane[1:]
    kept = np.abs(distance) > margin
    return x[kept][:rows], (distance[kept][:rows] > 0).astype(int), plane


def by_hand(x, y, rate, epochs):
    """The rule in plain Python: weights, and the errors of each epoch."""
    w, history = [0.0] * (len(x[0]) + 1), []
    for _ in range(epochs):
        errors = 0
        for row, target in zip(x, y, strict=True):
            given = [1.0, *row]
            z = sum(a * b for a, b in zip(w, given, strict=True))
            output = 1 if z >= 0 else 0
            errors += output != target
            w = [a + rate * (target - output) * b for a, b in zip(w, given, strict=True)]
        history.append(errors)
        if not errors:
            break
    return w, history


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("gate", GATES)
def test_it_learns_gates(gate, shuffle):
    unit = Perceptron(shuffle=shuffle, seed=3).fit(X, GATES[gate])
    assert unit.predict(X).tolist() == GATES[gate] == unit(X).tolist()
    assert unit.converged and unit.history[-1] == 0 and 0 not in unit.history[:-1]
    assert unit.score(X, GATES[gate]) == 1.0


@pytest.mark.parametrize("shuffle", [False, True])
def test_it_cannot_learn_xor_and_a_network_can(shuffle):
    unit = Perceptron(epochs=300, shuffle=shuffle, seed=3).fit(X, XOR)
    assert not unit.converged and len(unit.history) == 300 and min(unit.history) >= 1
    assert unit.score(X, XOR) < 1
    model = Sequential([layers.Dense(4, "tanh"), layers.Dense(1, "sigmoid")], seed=1)
    model.compile(optimizers.Adam(0.1), loss="binary_crossentropy")
    model.fit(X, np.array(XOR), epochs=150, verbose=0)
    assert model(X).round().ravel().tolist() == XOR


@pytest.mark.parametrize("rate", [1.0, 0.25, 3.0])
def test_the_rule_is_the_rule(rate):
    x, y, _ = separable()
    unit = Perceptron(rate, epochs=200).fit(x, y)
    weights, history = by_hand(x.tolist(), y.tolist(), rate, 200)
    np.testing.assert_allclose(unit.weights, weights, rtol=1e-9)
    assert unit.history == history and unit.converged and len(history) > 2


def test_it_makes_no_more_errors_than_the_theorem_allows():
    """At most (R / margin)^2 of them, where R is the length of the longest (1, x)."""
    x, y, plane = separable(200)
    unit = Perceptron(epochs=10_000).fit(x, y)
    longest = np.sqrt(1 + (x**2).sum(axis=1).max())
    margin = np.abs(plane[0] + x @ plane[1:]).min()
    assert unit.converged and 0 < sum(unit.history) <= (longest / margin) ** 2


def test_zero_is_one():
    unit = Perceptron()
    unit.weights = [0.0, 0.0]
    assert unit.predict([[1.0], [-1.0]]).tolist() == [1, 1]
    unit.weights = [-1.0, 1.0]
    assert unit.predict([[1.0], [0.999]]).tolist() == [1, 0]


def test_the_bias_is_the_weight_of_an_input_that_is_one():
    x, y, _ = separable()
    unit = Perceptron(epochs=200).fit(x, y)
    assert unit.bias == unit.weights[0]
    np.testing.assert_allclose(unit.weighted_sum(x), np.c_[np.ones(len(x)), x] @ unit.weights, rtol=1e-12)
    dense = Sequential([layers.Input((3,)), layers.Dense(1, "step")], dtype="float64")
    dense.set_weights([unit.weights[1:, None], unit.weights[:1]])
    np.testing.assert_array_equal(dense(x)[:, 0], unit.predict(x))


def test_the_order_follows_from_the_seed():
    x, y, _ = separable(margin=0.01)
    runs = [Perceptron(epochs=3, shuffle=True, seed=s).fit(x, y).weights for s in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.any(runs[0] != runs[2])
    drawn = Perceptron(epochs=3, shuffle=True).fit(x, y)
    again = Perceptron(epochs=3, shuffle=True, seed=drawn.seed).fit(x, y)
    np.testing.assert_array_equal(drawn.weights, again.weights)


def test_fit_goes_on_from_its_weights():
    x, y, _ = separable()
    whole = Perceptron(epochs=2).fit(x, y)
    parts = Perceptron(epochs=1).fit(x, y).fit(x, y)
    np.testing.assert_array_equal(whole.weights, parts.weights)
    assert parts.history == whole.history[1:]


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies(twin):
    unit = Perceptron(seed=1).fit(X, GATES["or"])
    np.testing.assert_array_equal(twin(unit).predict(X), unit.predict(X))
    assert repr(unit) == "Perceptron(learning_rate=1.0, epochs=100, shuffle=False, seed=1)"


def test_verbose(capsys):
    Perceptron().fit(X, GATES["or"], verbose=1)
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "Epoch 1/100 - errors: 2" and lines[-2].endswith("errors: 0")
    Perceptron().fit(X, GATES["or"])
    assert capsys.readouterr().out == ""


def test_targets_may_be_columns_and_flags():
    columns = Perceptron().fit(X, np.array(GATES["and"])[:, None])
    flags = Perceptron().fit(X.astype(np.int8), np.array(GATES["and"], bool))
    np.testing.assert_array_equal(columns.weights, flags.weights)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Perceptron(0), ValueError, "learning_rate"),
        (lambda: Perceptron(epochs=0), ValueError, "epochs"),
        (lambda: Perceptron(shuffle=1), TypeError, "shuffle"),
        (lambda: Perceptron(seed=-1), ValueError, "seed"),
        (lambda: Perceptron().predict(X), NotBuiltError, "call fit"),
        (lambda: Perceptron().fit(X[0], [1, 0]), ValueError, r"shape \(N, inputs\)"),
        (lambda: Perceptron().fit(X[:0], []), ValueError, "no samples"),
        (lambda: Perceptron().fit(X, [0, 1]), ValueError, r"shape \(4,\), got shape \(2,\)"),
        (lambda: Perceptron().fit(X, [-1, 1, 1, 1]), ValueError, r"pass \(y > 0\)"),
        (lambda: Perceptron().fit(X, [0, 2, 1, 1]), ValueError, r"y: expected a label 0 or 1, got 2.0 at index \(1,\)"),
        (lambda: Perceptron().fit(X * np.nan, XOR), ValueError, "not finite"),
        (lambda: Perceptron().fit([["a"]], [1]), TypeError, "x: expected real numbers"),
        (lambda: Perceptron().fit(X, XOR).predict([[1.0]]), ValueError, "has 2 inputs, got samples of 1"),
        (lambda: setattr(Perceptron(), "weights", [1.0]), ValueError, "one more than there are inputs"),
        (lambda: Perceptron().fit(X, XOR).score(X, [1]), ValueError, "y: expected 0 or 1"),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_docstrings():
    assert "Perceptron" in models.__all__
    found = doctest.testmod(importlib.import_module("fastnn._perceptron"))
    assert found.failed == 0 and found.attempted > 0


def test_the_page_of_first_steps(sources, capsys):
    page = (sources / "docs" / "first-steps.md").read_text(encoding="utf-8")
    names = {}
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, names)
    assert names["gate_and"].history == [2, 3, 3, 2, 1, 0] and names["gate_and"].weights.tolist() == [-3, 2, 1]
    assert names["gate_or"].converged and not names["xor"].converged and min(names["xor"].history) > 0
    assert names["answers"].ravel().tolist() == [0, 1, 1, 0]
    said = capsys.readouterr().out.split("\n")
    kinds = [line.split(":")[0] for line in said if line]
    assert kinds == [
        "Regression", "Binary classification", "Multi-class classification", "Multi-label classification",
        "Binary classification",
    ]  # fmt: skip
    shown = re.search(r"```text\n(.*?)\n```", page, re.DOTALL)[1]
    assert shown.replace("\n", " ") == said[0]
    low, high = names["late"].ravel()
    assert low < 0.1 and high > 0.9


def test_the_example(sources, capsys):
    path = sources / "examples" / "perceptron.py"
    runpy.run_path(str(path))["main"]()
    said = capsys.readouterr().out
    assert "XOR  not learned in 50 epochs" in said and said.count("answers [0, 1, 1, 0]") == 1
    assert len(re.findall(r"(?:AND|OR) +learned in \d+ epochs", said)) == 2
    assert len(path.read_text(encoding="utf-8").split("\n")) < 60
