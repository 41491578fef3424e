"""What ends a fit, an evaluation or a prediction early, and what is reported of it."""

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers
from fastnn.callbacks import Callback, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, TerminateOnNaN

X = np.linspace(-1, 1, 40).reshape(20, 2)
Y = X.sum(axis=1, keepdims=True)


def model_of(loss="mse", metrics=None):
    model = fastnn.Sequential([layers.Input((2,)), layers.Dense(1)], seed=0, dtype="float64")
    model.compile("sgd", loss, metrics=metrics)
    return model


def batches(x=X, y=Y):
    for begin in range(0, 20, 4):
        yield x[begin : begin + 4], y[begin : begin + 4]


# ------------------------------------------------------------------------------------------ losses that are not finite


def too_large(batch):
    """Targets whose squared error is no float in a batch of 4."""
    y = Y.copy()
    y[4 * batch : 4 * batch + 4] = 1e200
    return y


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("batch", [0, 2])
def test_the_history_records_the_loss_that_ended_the_fit(batch, stream):
    model = model_of()
    y = too_large(batch)
    data = {"x": batches(y=y)} if stream else {"x": X, "y": y, "batch_size": 4, "shuffle": False}
    history = model.fit(**data, epochs=3, verbose=0, callbacks=[TerminateOnNaN()])
    assert history.history == {"loss": [np.inf]}


def test_the_progress_line_shows_it(capsys):
    model = model_of()
    model.fit(X, too_large(0), batch_size=4, shuffle=False, verbose=2, callbacks=[TerminateOnNaN()])
    assert "loss: inf" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:__array__ implementation")
def test_it_is_recorded_as_in_keras(keras):
    theirs = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    theirs.compile("sgd", "mse")
    for lib, model in ((keras, theirs), (fastnn, model_of())):
        stop = lib.callbacks.TerminateOnNaN()
        history = model.fit(X, too_large(0), batch_size=4, shuffle=False, verbose=0, callbacks=[stop])
        assert history.history["loss"] == [np.inf]


def test_the_next_fit_knows_nothing_of_it():
    model = model_of()
    model.fit(X, too_large(0), batch_size=4, shuffle=False, verbose=0, callbacks=[TerminateOnNaN()])
    history = model.fit(X, Y, verbose=0, callbacks=[TerminateOnNaN()])
    assert np.isfinite(history.history["loss"]).all()


# ----------------------------------------------------------------------------------------- stop_evaluating, _predicting


class Stop(Callback):
    """Stops after a batch, and counts them."""

    def __init__(self, after):
        super().__init__()
        self.after, self.seen = after, 0

    def on_test_batch_end(self, batch, logs=None):
        self.seen += 1
        self.model.stop_evaluating = batch >= self.after

    def on_predict_batch_end(self, batch, logs=None):
        self.seen += 1
        self.model.stop_predicting = batch >= self.after


@pytest.mark.parametrize("stream", [False, True])
def test_evaluate_stops_when_it_is_told_to(stream):
    model, stop = model_of(metrics=["mae"]), Stop(1)
    expected = model.evaluate(X[:8], Y[:8], batch_size=4, verbose=0)
    data = {"x": batches()} if stream else {"x": X, "y": Y, "batch_size": 4}
    np.testing.assert_allclose(model.evaluate(**data, verbose=0, callbacks=[stop]), expected, rtol=1e-12)
    assert stop.seen == 2
    assert model.evaluate(X, Y, verbose=0) != expected  # the next one is not stopped


@pytest.mark.parametrize("stream", [False, True])
def test_predict_stops_when_it_is_told_to(stream):
    model, stop = model_of(), Stop(1)
    data = {"x": (x for x, _ in batches())} if stream else {"x": X, "batch_size": 4}
    result = model.predict(**data, verbose=0, callbacks=[stop])
    np.testing.assert_array_equal(result, model(X[:8]))
    assert stop.seen == 2
    assert len(model.predict(X, verbose=0)) == 20


def test_validation_is_stopped_and_fit_is_not():
    model, stop = model_of(), Stop(0)
    history = model.fit(
        X, Y, epochs=2, verbose=0, validation_data=(X, Y), validation_batch_size=4, callbacks=[stop]
    ).history  # fmt: skip
    assert stop.seen == 2 and len(history["loss"]) == len(history["val_loss"]) == 2
    np.testing.assert_allclose(history["val_loss"][1], model.evaluate(X[:4], Y[:4], verbose=0), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_they_stop_as_in_keras(keras):
    class Theirs(keras.callbacks.Callback):
        on_test_batch_end, on_predict_batch_end = Stop.on_test_batch_end, Stop.on_predict_batch_end

    seen = []
    for lib, kind in ((keras, Theirs), (fastnn, Stop)):
        model = lib.Sequential([lib.layers.Input((2,)), lib.layers.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", "mse")
        stop = kind.__new__(kind)
        kind.__mro__[1].__init__(stop)
        stop.after, stop.seen = 1, 0
        value = model.evaluate(X + 1, Y, batch_size=4, verbose=0, callbacks=[stop])
        shape = np.shape(model.predict(X, batch_size=4, verbose=0, callbacks=[stop]))
        seen.append((round(float(value), 5), shape, stop.seen))
    assert seen[0] == seen[1]


# --------------------------------------------------------------------------------------- monitors of what is not there


def monitors(name, tmp_path):
    return [
        EarlyStopping(monitor=name),
        ReduceLROnPlateau(monitor=name),
        ModelCheckpoint(tmp_path / "best.fastnn", monitor=name, save_best_only=True),
    ]


@pytest.mark.parametrize("place", range(3))
def test_a_metric_that_is_missing_is_named_with_those_there_are(place, tmp_path):
    callback = monitors("val_accuracy", tmp_path)[place]
    with pytest.raises(ValueError, match=r"'val_accuracy' is not in the logs, which have .*loss, mae") as caught:
        model_of(metrics=["mae"]).fit(X, Y, verbose=0, callbacks=[callback])
    assert "validation data" in str(caught.value) and "'accuracy'" in str(caught.value)
    callback = monitors("val_accuracy", tmp_path)[place]
    with pytest.raises(ValueError, match=r"which have .*val_loss, val_mae") as caught:
        model_of(metrics=["mae"]).fit(X, Y, verbose=0, validation_split=0.2, callbacks=[callback])
    assert "pass validation data" not in str(caught.value)
    callback = monitors("r2_score", tmp_path)[place]
    with pytest.raises(ValueError, match="'r2_score' is not in the logs"):
        model_of().fit(X, Y, verbose=0, callbacks=[callback])


@pytest.mark.parametrize("place", range(3))
def test_a_direction_that_is_unknown_is_asked_for(place, tmp_path):
    """The value is there."""

    def unknown(y_true, y_pred):
        return np.abs(y_true - y_pred).mean(axis=-1)

    callback = monitors("unknown", tmp_path)[place]
    with pytest.raises(ValueError, match="pass mode='max' or mode='min'"):
        model_of(metrics=[unknown]).fit(X, Y, verbose=0, callbacks=[callback])


def test_a_missing_loss_of_validation_is_warned_of():
    with pytest.warns(UserWarning, match="no 'val_loss' to monitor"):
        model_of().fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping()])


# ------------------------------------------------------------------------------------------------------- constructors


@pytest.mark.parametrize("shape", [(0, 1), (-1, 1), (None, 0), (2.5, 1), ("a", 1), "ab", 3, (True, 1)])
def test_noise_shapes_of_no_length_are_refused(shape):
    with pytest.raises((ValueError, TypeError), match="noise_shape"):
        layers.Dropout(0.5, noise_shape=shape)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"shape": (3,), "batch_shape": (2, 3)}, "batch_shape"),
        ({"batch_size": 2, "batch_shape": (2, 3)}, "batch_size"),
        ({"batch_size": 2, "batch_shape": (None, 3)}, "batch_size"),
        ({"batch_shape": ()}, "batch_shape"),
        ({"batch_shape": 3}, "batch_shape"),
        ({"batch_shape": (-1, 3)}, "batch_shape"),
        ({"batch_shape": (2.5, 3)}, "batch_shape"),
        ({"shape": (3,), "batch_size": 0}, "batch_size"),
        ({"shape": (3,), "batch_size": -1}, "batch_size"),
        ({"shape": (3,), "batch_size": 2.5}, "batch_size"),
        ({"shape": (3,), "batch_size": "a"}, "batch_size"),
        ({"shape": (3,), "dtype": "nonsense"}, "dtype"),
        ({}, "shape"),
    ],
)
def test_inputs_that_contradict_themselves_are_refused(options, match):
    with pytest.raises((ValueError, TypeError), match=match):
        layers.Input(**options)
