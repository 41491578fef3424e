"""Weight decay and what is excluded from it, against fastnn.reference.optimizers in plain Python."""

import numpy as np
import pytest
from pairs import RTOL, pair, same_weights

from fastnn import Sequential, layers, optimizers
from fastnn.reference import optimizers as plain

R = np.random.default_rng(6)
X, Y = R.normal(size=(20, 3)), R.normal(size=(20, 2))
NAMES = ["first/kernel", "first/bias", "second/kernel", "second/bias"]
# Patterns, places of variables, and which of the four decay
EXCLUSIONS = {
    "nothing": ([], [], [True, True, True, True]),
    "a name": (["bias"], [], [True, False, True, False]),
    "a pattern": (["^first/", "^none"], [], [False, False, True, True]),
    "variables": ([], [0, 3], [False, True, True, False]),
    "both": (["second/kernel"], [1], [True, False, False, True]),
}


class Python(optimizers.Optimizer):
    """SGD, written in Python."""

    def update_step(self, gradient, variable, learning_rate):
        variable -= learning_rate * gradient


MADE = {
    "sgd": (optimizers.SGD, plain.SGD),
    "momentum": (
        lambda **o: optimizers.SGD(momentum=0.9, **o),
        lambda **o: plain.SGD(momentum=0.9, **o),
    ),
    "adam": (optimizers.Adam, plain.Adam),
    "in python": (Python, plain.SGD),
}


@pytest.mark.parametrize("rule", MADE)
@pytest.mark.parametrize("case", EXCLUSIONS)
def test_excluded_variables_do_not_decay(case, rule):
    patterns, places, decays = EXCLUSIONS[case]
    ours, theirs = (make(learning_rate=0.05, weight_decay=0.3) for make in MADE[rule])
    values = [R.normal(size=shape) for shape in ((3, 2), (2,), (2, 4), (4,))]
    held = [plain.Variable(v.ravel().tolist(), decays=one) for v, one in zip(values, decays, strict=True)]
    ours.exclude_from_weight_decay([values[i] for i in places], patterns)
    ours.build(values, names=NAMES)
    for _ in range(4):
        gradients = [R.normal(size=v.shape) for v in values]
        ours.apply(gradients)
        theirs.step([g.ravel().tolist() for g in gradients], held)
    for mine, other in zip(values, held, strict=True):
        np.testing.assert_allclose(mine.ravel(), other.values, rtol=RTOL, atol=1e-14)


@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("case", EXCLUSIONS)
def test_excluded_variables_of_a_model_do_not_decay(case, moves):
    """Also where another model has its weights for a while, which then lie elsewhere."""
    patterns, places, decays = EXCLUSIONS[case]
    model, network = pair([(4, "tanh"), (2, "linear")], "mean_squared_error", ("SGD", {}))
    for layer, name in zip(model.layers, ("first", "second"), strict=True):
        layer.name = name
    options = {"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.3}
    optimizer = optimizers.SGD(**options)
    assert [v.path for v in model._variables()] == NAMES
    optimizer.exclude_from_weight_decay([model.trainable_weights[i] for i in places], patterns)
    model.compile(optimizer, "mse")
    network.optimizer = plain.SGD(**options)
    for v, one in zip(network.variables, decays, strict=True):
        v.decays = one
    model.fit(X, Y, batch_size=5, verbose=0)
    network.fit(X.tolist(), Y.tolist(), batch_size=5)
    same_weights(model, network)
    if moves:
        Sequential([layers.Input((3,)), model.layers[0]], dtype="float64").build()
    model.fit(X, Y, batch_size=5, epochs=3, initial_epoch=1, verbose=0)
    network.fit(X.tolist(), Y.tolist(), epochs=3, batch_size=5, initial_epoch=1)
    same_weights(model, network)
