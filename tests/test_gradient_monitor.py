"""GradientMonitor's figures against the model's own gradients and weights."""

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers


@pytest.fixture
def data(rng):
    x = rng.normal(size=(32, 3))
    return x, rng.normal(size=(32, 1))


def fitted(data, **options):
    model = fastnn.Sequential(
        [layers.Dense(4, activation="tanh"), layers.Dropout(0.0), layers.Dense(1)], seed=0, dtype="float64"
    )
    model.compile(fastnn.optimizers.SGD(0.1), "mse")
    monitor = callbacks.GradientMonitor(**options)
    model.fit(*data, batch_size=32, epochs=4, verbose=0, callbacks=[monitor])
    return model, monitor


def test_figures_are_those_of_the_steps(data):
    model, monitor = fitted(data)
    first, second = monitor.history.values()
    assert list(monitor.history) == [model.layers[0].name, model.layers[2].name]
    assert monitor.epochs == [0, 1, 2, 3]
    # one step an epoch: a plain step moves the weights by the rate times the gradient
    for figures in (first, second):
        assert len(figures["update"]) == 4
        for gradient, weight, update in zip(figures["gradient"], figures["weight"], figures["update"], strict=True):
            assert update == pytest.approx(0.1 * gradient / weight, rel=1e-9)
            assert gradient > 0
    last = np.sqrt(sum((w**2).sum() for w in model.layers[2].weights))
    assert second["weight"][-1] == pytest.approx(last)


def test_every_other_epoch(data):
    _, monitor = fitted(data, every=2)
    assert monitor.epochs == [1, 3]


def test_a_line_a_layer(data, capsys):
    fitted(data, every=4, verbose=1)
    assert capsys.readouterr().out.count("gradient") == 2


def test_frozen_layers_are_left_out(data):
    model = fastnn.Sequential([layers.Dense(4, trainable=False), layers.Dense(1)])
    model.compile("sgd", "mse")
    monitor = callbacks.GradientMonitor()
    model.fit(*data, verbose=0, callbacks=[monitor])
    assert list(monitor.history) == [model.layers[1].name]
