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
    model, monitor = fitted(data, every=1)
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


def test_as_often_as_costs_little(rng, monkeypatch):
    """By a clock on which an epoch takes 1 and a record 0.05: three in ten, on the long run, cost 1.5 %."""
    from fastnn.callbacks import _gradients

    now = [0.0]
    monkeypatch.setattr(_gradients.time, "perf_counter", lambda: now[0])
    monitor = callbacks.GradientMonitor()
    record = monitor._record
    monkeypatch.setattr(monitor, "_record", lambda epoch: (record(epoch), now.__setitem__(0, now[0] + 0.05)))

    def pass_by(epoch, logs):
        now[0] += 1.0

    model = fastnn.Sequential([layers.Dense(3, "relu"), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    x = rng.normal(size=(8, 2))
    ticking = callbacks.LambdaCallback(on_epoch_begin=pass_by)
    model.fit(x, x[:, :1], epochs=100, verbose=0, callbacks=[ticking, monitor])
    assert 28 <= len(monitor.epochs) <= 32 and monitor.epochs[0] == 0 and monitor.epochs[-1] == 99
    assert 0.05 * len(monitor.epochs) <= 0.016 * now[0]
    assert len(monitor.history[model.layers[0].name]["gradient"]) == len(monitor.epochs)


def test_short_fits_are_recorded_at_both_ends_without_units(data, monkeypatch):
    """On a clock that stands still there is no time for more; one that ends early has a last epoch too."""
    from fastnn.callbacks import _gradients

    monkeypatch.setattr(_gradients.time, "perf_counter", lambda: 0.0)
    monkeypatch.setattr(_gradients.GradientMonitor, "_affords", lambda self, seconds: False)
    model, monitor = fitted(data)
    assert monitor.epochs == [0, 3]
    np.testing.assert_equal(monitor.units, {model.layers[0].name: {"saturated": [np.nan] * 2}})
    assert all(len(figures["update"]) == 2 for figures in monitor.history.values())
    stopping = callbacks.EarlyStopping(monitor="loss", min_delta=1e9, patience=1)
    model.fit(*data, epochs=9, verbose=0, callbacks=[stopping, monitor])
    assert monitor.epochs == [0, stopping.stopped_epoch] and stopping.stopped_epoch < 8


def test_how_often_is_checked():
    with pytest.raises(ValueError, match="every"):
        callbacks.GradientMonitor(every="often")
    with pytest.raises(ValueError, match="every"):
        callbacks.GradientMonitor(every=0)


def test_a_line_a_layer(data, capsys):
    fitted(data, every=4, verbose=1)
    assert capsys.readouterr().out.count("gradient") == 2


def test_frozen_layers_are_left_out(data):
    model = fastnn.Sequential([layers.Dense(4, trainable=False), layers.Dense(1)])
    model.compile("sgd", "mse")
    monitor = callbacks.GradientMonitor()
    model.fit(*data, verbose=0, callbacks=[monitor])
    assert list(monitor.history) == [model.layers[1].name]


def test_units_that_take_no_part(rng):
    """Against NumPy on the weights after each epoch; the layers of the network alone have them, frozen ones too."""
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 1))
    model = fastnn.Sequential(
        [layers.Dense(6, "relu", trainable=False, name="a"), layers.Dense(5, name="b"),
         layers.Activation("tanh", name="c"), layers.Residual([layers.Dense(5, "relu6", name="d")]),
         layers.Dense(1, name="e")], seed=0,
    )  # fmt: skip
    model.compile(fastnn.optimizers.SGD(0.3), "mse")
    monitor = callbacks.GradientMonitor(every=1)
    seen = []

    def look(epoch, logs):
        weights = model.get_weights()
        first = np.maximum(x @ weights[0] + weights[1], 0)
        second = np.tanh(first @ weights[2] + weights[3])
        third = np.clip(second @ weights[4] + weights[5], 0, 6)
        dead = [np.mean((units == 0).all(axis=0)) for units in (first, third)]
        seen.append((dead[0], np.mean(1 - second**2 < 0.05), dead[1]))

    model.build((None, 3))
    model.layers[0].bias[...] = [-9, 0, -9, 0, 0, 0]
    model.fit(x, y, epochs=3, verbose=0, callbacks=[monitor, callbacks.LambdaCallback(on_epoch_end=look)])
    assert monitor.units["a"]["dead"] == [one[0] for one in seen] == [2 / 6] * 3
    assert monitor.units["c"]["saturated"] == pytest.approx([one[1] for one in seen])
    assert monitor.units["d"]["dead"] == [one[2] for one in seen]
    assert list(monitor.units) == ["a", "c", "d"] and list(monitor.history) == ["b", "d", "e"]


def test_units_of_an_iterable_are_those_of_the_last_batch(rng, capsys):
    x = np.abs(rng.normal(size=(8, 2)))
    model = fastnn.Sequential([layers.Dense(1, "relu", kernel_initializer="ones"), layers.Dense(1)])
    model.compile(fastnn.optimizers.SGD(0.0), "mse")
    monitor = callbacks.GradientMonitor(every=1, verbose=1)
    model.fit(iter([(x, x[:, :1]), (-x, x[:, :1])]), verbose=0, callbacks=[monitor])
    assert list(monitor.units.values()) == [{"dead": [1.0]}]
    assert "100% of the units dead" in capsys.readouterr().out


def test_units_do_not_disturb_training(data):
    histories = []
    for given in ([], [callbacks.GradientMonitor(every=1)]):
        model = fastnn.Sequential(
            [layers.Dense(4, "relu"), layers.Dropout(0.5), layers.BatchNormalization(), layers.Dense(1)], seed=0
        )
        model.compile("adam", "mse")
        histories.append((model.fit(*data, epochs=4, verbose=0, callbacks=given).history, model.get_weights()))
    assert histories[0][0] == histories[1][0]
    for one, other in zip(histories[0][1], histories[1][1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_units_are_kept_for_a_fit_that_is_gone_on_with(data):
    _, monitor = fitted(data, every=1)
    other = callbacks.GradientMonitor()
    other.set_state(monitor.get_state())
    assert other.units == monitor.units and other.epochs == monitor.epochs and other.history == monitor.history
    assert len(next(iter(monitor.units.values()))["saturated"]) == 4
    older = {key: value for key, value in monitor.get_state().items() if key != "units"}
    other.set_state(older)
    assert other.units == {}


@pytest.mark.parametrize("size", [1e-30, 1e-15, 1.0, 1e25])
def test_norms_that_float32_has_no_squares_for(size):
    """One step of a linear layer on a single sample: the gradient of the kernel is 2 (w x - y) x."""
    model = fastnn.Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="a")])
    model.compile(fastnn.optimizers.SGD(0.0), "mse")
    monitor = callbacks.GradientMonitor()
    x = np.array([[size]], np.float32)
    model.fit(x, np.ones((1, 1), np.float32), verbose=0, callbacks=[monitor])
    assert monitor.history["a"]["gradient"] == pytest.approx([2 * size], rel=1e-6)
