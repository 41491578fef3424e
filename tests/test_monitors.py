"""Callbacks that watch a value, by hand: what they do after each epoch of a list of values."""

import csv

import numpy as np
import pytest
from pairs import RTOL, pair, same_weights

from fastnn import callbacks, metrics, optimizers

R = np.random.default_rng(8)
X, Y = R.normal(size=(20, 3)), R.normal(size=(20, 2))


class Model:
    """As much of a model as callbacks ask for. Its weights are the number of the epoch."""

    def __init__(self):
        self.stop_training, self.epoch, self.weights = False, None, None
        self.optimizer = optimizers.SGD(1.0)
        self.metrics = [metrics.MeanAbsoluteError(name="error"), metrics.BinaryAccuracy(name="accuracy")]
        self.saved = []

    def get_weights(self):
        return [np.array(self.epoch)]

    def set_weights(self, weights):
        self.weights = int(weights[0])

    def save(self, path):
        self.saved.append(path)


def watched(callback, values, name="loss", model=None):
    """Epochs with these values, until it stops training; the number of the last."""
    model = model or Model()
    model.stop_training = False
    callback.set_model(model)
    callback.on_train_begin()
    for model.epoch, value in enumerate(values):
        callback.on_epoch_begin(model.epoch)
        callback.on_epoch_end(model.epoch, {name: value})
        if model.stop_training:
            break
    callback.on_train_end()
    return model


# Values, options, the last epoch that runs, and the epoch of the best value
STOPS = {
    "patience 0 is that of 1": ([3, 2, 2.5, 1], {}, 2, 1),
    "patience 1": ([3, 2, 2.5, 1], {"patience": 1}, 2, 1),
    "patience 2": ([3, 2, 2.5, 2.4, 1], {"patience": 2}, 3, 1),
    "patience 2 begins anew": ([3, 2, 2.5, 1.5, 2.6, 1.7, 0], {"patience": 2}, 5, 3),
    "patience 3": ([3, 2, 2.5, 2.4, 1, 0.5], {"patience": 3}, 5, 5),
    "the same is no improvement": ([2, 2, 2, 2, 2], {"patience": 2}, 2, 0),
    "min_delta": ([3, 2.9, 2.8, 2.7], {"min_delta": 0.5, "patience": 2}, 2, 0),
    "min_delta that is met": ([3, 2.4, 1.8, 1.2], {"min_delta": 0.5, "patience": 1}, 3, 3),
    "min_delta by its size": ([3, 2.9, 2.8], {"min_delta": -0.5, "patience": 1}, 1, 0),
    "baseline that is not reached": ([5, 4, 3.5, 3.6, 1], {"baseline": 2, "patience": 3}, 3, 2),
    "baseline that is reached": ([5, 1.9, 2.5, 2.4, 2.3], {"baseline": 2, "patience": 3}, 4, 1),
    "more is better": ([1, 2, 1.5, 1.6, 3], {"mode": "max", "patience": 2}, 3, 1),
    "more by min_delta": ([1, 1.2, 1.4, 3], {"mode": "max", "min_delta": 0.5, "patience": 2}, 2, 0),
    "a later start": ([0, 3, 2, 2.5, 2.6], {"start_from_epoch": 1, "patience": 1}, 3, 2),
    "a start at once": ([0, 3, 2], {"start_from_epoch": 0, "patience": 1}, 1, 0),
}


@pytest.mark.parametrize("case", STOPS)
def test_when_early_stopping_stops(case):
    values, options, last, best = STOPS[case]
    stopping = callbacks.EarlyStopping("loss", restore_best_weights=True, **options)
    for _ in range(2):  # the second fit forgets the first
        model = watched(stopping, values)
        ended = last < len(values) - 1 or model.stop_training
        assert (model.epoch, stopping.best_epoch, stopping.best) == (last, best, values[best])
        assert stopping.stopped_epoch == (last if ended else 0)
        assert model.weights == best  # also where the fit ran to its last epoch


def test_an_earlier_fit_is_forgotten():
    stopping = callbacks.EarlyStopping("loss", patience=2)
    assert watched(stopping, [1, 2]).stop_training is False
    assert watched(stopping, [9, 8, 7, 6]).stop_training is False
    assert (stopping.best, stopping.wait) == (6, 0)
    reduce = callbacks.ReduceLROnPlateau("loss", patience=2, factor=0.5)
    watched(reduce, [1, 2])
    assert watched(reduce, [9, 8, 7, 6]).optimizer.learning_rate == 1.0


@pytest.mark.parametrize("restores", [True, False])
def test_best_weights_come_back_after_the_last_epoch(restores):
    """A rate so high that the last epoch is not the best, and nothing that stops the fit."""
    model, network = pair([(2, "linear")], "mean_squared_error", ("SGD", {"learning_rate": 1.1}))
    stopping = callbacks.EarlyStopping("loss", patience=100, restore_best_weights=restores)
    history = model.fit(X, Y, batch_size=20, epochs=4, shuffle=False, verbose=0, callbacks=[stopping]).history["loss"]
    assert len(history) == 4 and np.argmin(history) < 3
    epochs = int(np.argmin(history)) + 1 if restores else 4
    losses = network.fit(X.tolist(), Y.tolist(), epochs=epochs, batch_size=20, shuffle=False)
    np.testing.assert_allclose(history[: len(losses)], losses, rtol=RTOL)
    same_weights(model, network)


@pytest.mark.parametrize("name, more", [("error", False), ("accuracy", True), ("val_error", False), ("loss", False)])
def test_metrics_tell_what_is_better(name, more):
    stopping = callbacks.EarlyStopping(name, patience=1)
    assert watched(stopping, [1, 2, 3], name).stop_training is not more
    assert watched(stopping, [3, 2, 1], name).stop_training is more


# Values, options, and the rate after each epoch
PLATEAUS = {
    "patience 1": ([1, 1, 1, 1], {"patience": 1}, [1, 0.5, 0.25, 0.125]),
    "patience 2": ([1, 1, 1, 1, 1], {"patience": 2}, [1, 1, 0.5, 0.5, 0.25]),
    "better": ([4, 3, 2, 1], {"patience": 1}, [1, 1, 1, 1]),
    "min_delta": ([4, 3, 2, 1], {"patience": 1, "min_delta": 1.5}, [1, 0.5, 0.5, 0.25]),
    "cooldown": ([1] * 7, {"patience": 1, "cooldown": 2}, [1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
    "min_lr": ([1] * 4, {"patience": 1, "min_lr": 0.4}, [1, 0.5, 0.4, 0.4]),
    "more is better": ([1, 2, 3, 3], {"patience": 1, "mode": "max"}, [1, 1, 1, 0.5]),
}


@pytest.mark.parametrize("case", PLATEAUS)
def test_when_the_rate_is_reduced(case):
    values, options, rates = PLATEAUS[case]
    reduce = callbacks.ReduceLROnPlateau("loss", factor=0.5, **options)
    for count, rate in enumerate(rates, 1):
        assert watched(reduce, values[:count]).optimizer.learning_rate == rate, count


@pytest.mark.parametrize(
    "mode, values, kept, options",
    [
        ("min", [3, 1, 2, 1, 0.5, 0.6], [1, 2, 5], {}),
        ("max", [3, 1, 4, 4, 5], [1, 3, 5], {}),
        ("min", [3, 1, 2, 0.5], [2, 4], {"initial_value_threshold": 2.5}),
    ],
)
def test_only_the_best_are_saved(mode, values, kept, options, tmp_path):
    keep = callbacks.ModelCheckpoint(
        tmp_path / "{epoch}-{loss}", "loss", save_best_only=True, mode=mode, **options
    )  # fmt: skip
    assert watched(keep, values).saved == [str(tmp_path / f"{n}-{values[n - 1]}") for n in kept]


@pytest.mark.parametrize("per_epoch", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 2, 3, 5])
def test_every_so_many_batches_are_saved(every, per_epoch, tmp_path):
    """Counted through all epochs, also where each has a single batch."""
    model, _ = pair([(2, "linear")], "mean_squared_error", ("SGD", {}))
    keep = callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}.fnn", save_freq=every)
    model.fit(X[: 4 * per_epoch], Y[: 4 * per_epoch], batch_size=4, epochs=7, verbose=0, callbacks=[keep])
    expected = [divmod(n, per_epoch) for n in range(every - 1, 7 * per_epoch, every)]
    assert {path.name for path in tmp_path.iterdir()} == {f"{e + 1}-{b + 1}.fnn" for e, b in expected}


@pytest.mark.parametrize("append", [True, False])
def test_a_log_is_written_anew_or_added_to(append, tmp_path):
    for values in ([3, 2], [1]):
        watched(callbacks.CSVLogger(tmp_path / "log.csv", append=append), values)
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["loss"]) for row in rows] == [*([("0", "3"), ("1", "2")] if append else []), ("0", "1")]
