"""Training against fastnn.reference.network, in plain Python: first values, masks, the samples' order, each step."""

import numpy as np
import pytest
from pairs import RTOL, pair, same_weights

from fastnn import Sequential, callbacks, constraints, layers, regularizers
from fastnn.reference import constraints as plain_constraints
from fastnn.reference import regularizers as plain_regularizers


def data(kind, rows=23, inputs=3):
    r = np.random.default_rng(3)
    x = r.normal(size=(rows, inputs))
    if kind == "labels":
        return x, r.integers(0, 4, rows)
    if kind == "bits":
        return x, r.integers(0, 2, (rows, 1)).astype(float)
    return x, r.normal(size=(rows, 2))


RELU, TANH = (5, "relu"), (4, "tanh")
CASES = {
    "sgd": ([TANH, (2, "linear")], "mean_squared_error", "numbers", ("SGD", {"learning_rate": 0.1})),
    "dropout": (
        [RELU, 0.4, TANH, 0.2, (2, "linear")], "mean_squared_error", "numbers", ("Adam", {"learning_rate": 0.01})
    ),
    "dropout_first": ([0.3, TANH, (2, "linear")], "huber", "numbers", ("RMSprop", {"learning_rate": 0.01})),
    "all_dropped": ([TANH, 1.0, (2, "linear")], "mean_squared_error", "numbers", ("SGD", {"learning_rate": 0.1})),
    "classes": (
        [(6, "glu"), 0.5, (4, "softmax")], "sparse_categorical_crossentropy", "labels",
        ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ),
    "two_classes": ([TANH, 0.1, (1, "sigmoid")], "binary_crossentropy", "bits", ("Nadam", {"learning_rate": 0.02})),
    "penalties": (
        [(5, "gelu", {"kernel_regularizer": regularizers.L2(0.1), "kernel_constraint": constraints.MaxNorm(0.8)},
          {"kernel_regularizer": plain_regularizers.L2(0.1), "kernel_constraint": plain_constraints.MaxNorm(0.8)}),
         0.25, (2, "linear")],
        "mean_absolute_error", "numbers", ("AdamW", {"learning_rate": 0.01, "clipnorm": 0.2}),
    ),
    "accumulated": (
        [TANH, 0.5, (2, "linear")], "log_cosh", "numbers",
        ("Lion", {"learning_rate": 0.003, "gradient_accumulation_steps": 2}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("listening", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_whole_fits_with_shuffling(name, listening):
    parts, loss, kind, optimizer = CASES[name]
    model, network = pair(parts, loss, optimizer)
    same_weights(model, network)  # the first values already
    x, y = data(kind)
    before = model.get_weights()
    seen = []
    listener = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    listeners = [listener] if listening else []
    history = model.fit(x, y, batch_size=5, epochs=4, verbose=0, callbacks=listeners).history
    expected = network.fit(x.tolist(), y.tolist(), epochs=4, batch_size=5)
    np.testing.assert_allclose(history["loss"], expected, rtol=RTOL)
    same_weights(model, network)
    assert seen == [0, 1, 2, 3, 4] * 4 * listening
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    np.testing.assert_allclose(model.predict(x, verbose=0), network.forward(x.tolist()), rtol=RTOL)
    # and on: the count of forwards and the epochs go on
    weights = np.random.default_rng(4).uniform(0, 2, len(x))
    more = model.fit(x, y, batch_size=9, epochs=6, initial_epoch=4, sample_weight=weights, verbose=0).history
    expected = network.fit(x.tolist(), y.tolist(), weights.tolist(), epochs=6, initial_epoch=4, batch_size=9)
    np.testing.assert_allclose(more["loss"], expected, rtol=RTOL)
    same_weights(model, network)


@pytest.mark.parametrize("name", CASES)
def test_step_by_step(name):
    parts, loss, kind, optimizer = CASES[name]
    model, network = pair(parts, loss, optimizer)
    x, y = data(kind)
    for step in range(6):
        rows = slice(3 * step, 3 * step + 5)
        expected, gradients = network.gradients(x[rows].tolist(), y[rows].tolist(), training=True)
        network.training_forwards -= 1
        value, found = model.gradients(x[rows], y[rows], training=True)
        model._forwards -= 1
        np.testing.assert_allclose(value, expected, rtol=RTOL)
        for mine, other in zip(found, gradients, strict=True):
            np.testing.assert_allclose(mine.ravel(), other, rtol=RTOL, atol=1e-14)
        model.reset_metrics()
        expected = network.train_step(x[rows].tolist(), y[rows].tolist())
        np.testing.assert_allclose(model.train_on_batch(x[rows], y[rows]), expected, rtol=RTOL)
        same_weights(model, network)


def test_masks_are_the_references():
    model, network = pair([0.5, 0.3], "mean_squared_error", ("SGD", {}), inputs=4)
    x = np.arange(1.0, 41).reshape(10, 4)
    for _ in range(3):
        mine = model(x, training=True)
        np.testing.assert_allclose(mine, network.forward(x.tolist(), training=True), rtol=1e-15)
        assert 0 < np.count_nonzero(mine) < mine.size
    np.testing.assert_array_equal(model(x), x)


def test_another_seed_is_another_training():
    x, y = data("numbers")
    results = []
    for seed in (1, 1, 2):
        model, _ = pair(CASES["dropout"][0], "mean_squared_error", ("SGD", {}), seed=seed)
        model.set_weights([np.full_like(w, 0.25) + 0.01 * i for i, w in enumerate(model.weights)])
        model.fit(x, y, batch_size=5, verbose=0)
        results.append(model.get_weights()[0])
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_layers_added_one_by_one_are_those_given_at_once():
    """First values and masks follow from the place in the model, not from when it was built."""

    def parts():
        return [
            layers.Input((4,)), layers.Dense(4), layers.Dropout(0.5), layers.Dense(4),
            layers.Residual([layers.Dense(4), layers.Dropout(0.5)]), layers.Dense(4),
        ]  # fmt: skip

    whole = Sequential(parts(), seed=3)
    grown = Sequential(seed=3)
    for layer in parts():
        grown.add(layer)
    kernels = [w for w in grown.get_weights() if w.ndim == 2]
    assert len({w.tobytes() for w in kernels}) == len(kernels)
    for a, b in zip(whole.get_weights(), grown.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    x = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(whole(x, training=True), grown(x, training=True))


def test_masks_differ_between_layers_however_deep_they_lie():
    """Each random layer has a stream of its own, in nested branches too."""

    def nest(depth):
        inner = [layers.Dropout(0.5)]
        for _ in range(depth):
            inner = [layers.Parallel([inner, [layers.Dropout(0.5)]], merge="concatenate")]
        return inner

    model = Sequential([layers.Input((64,)), *nest(5)], seed=0)
    masks = model(np.ones((8, 64), np.float32), training=True).reshape(8, -1, 64)
    assert masks.shape[1] == 6
    assert len({masks[:, i].tobytes() for i in range(6)}) == 6


def test_a_restored_state_goes_on_as_it_would_have():
    """In another model, which drew another seed."""
    x, y = data("numbers")
    make = [layers.Input((3,)), layers.Dense(5, activation="relu"), layers.Dropout(0.5), layers.GaussianNoise(0.1)]
    one = Sequential([*make, layers.Dense(2)], seed=11)
    one.compile(optimizer="adam", loss="mse")
    one.fit(x, y, batch_size=4, epochs=2, verbose=0)
    state = one.training_state()
    expected = one.fit(x, y, batch_size=4, epochs=4, initial_epoch=2, verbose=0).history
    other = Sequential.from_config(one.get_config() | {"seed": 99})
    other.compile(optimizer="adam", loss="mse")
    other.train_on_batch(x, y)
    other.restore_training_state(state)
    assert other.fit(x, y, batch_size=4, epochs=4, initial_epoch=2, verbose=0).history == expected
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
