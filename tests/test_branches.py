"""Gradients where what a layer made is read by several: in whatever order the readers come, their gradients add up."""

import numpy as np
import pytest

from fastnn import Sequential, layers
from fastnn.diagnostics import check_gradients


def dense(name):
    return layers.Dense(4, "tanh", name=name)


# A branch that begins with an identity reads what the outer one adds as well
STACKS = {
    "nested": lambda: [layers.Residual([layers.Residual([dense("a")]), dense("b")])],
    "nested in front": lambda: [layers.Residual([layers.Residual([layers.Residual([dense("a")])])])],
    "behind": lambda: [layers.Residual([dense("a"), layers.Residual([dense("b")])])],
    "identities": lambda: [layers.Parallel([[], [], dense("a"), []])],
    "identity first": lambda: [layers.Parallel([[], dense("a")]), layers.Parallel([dense("b"), []])],
    "twice the same": lambda: [layers.Parallel([[dense("a")], [layers.Residual([layers.ReLU()])], []])],
    "concatenated": lambda: [layers.Parallel([[], [layers.Residual([dense("a")])], []], merge="concatenate")],
    "projected": lambda: [layers.Residual([layers.Residual([dense("a")]), dense("b")], projection="dense")],
}


@pytest.mark.parametrize("stack", STACKS)
def test_gradients_of_branches_add_up(stack, rng):
    model = Sequential([layers.Input((4,)), dense("first"), *STACKS[stack](), layers.Dense(2)], seed=1, dtype="float64")
    model.compile("sgd", "mse")
    x, y = rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
    check = check_gradients(model, x, y)
    assert check.ok and check.inputs.ok, check
    assert all(any(abs(v) > 1e-3 for v in one.ravel()) for one in model.gradients(x, y)[1])
    assert np.isfinite(model.gradients(x, y)[0])
