"""Wrong calls: each raises an error that says what to do, and leaves the model as it was."""

import signal
import threading

import numpy as np
import pytest

import fastnn
from fastnn import (
    DivergenceError,
    NotBuiltError,
    NotCompiledError,
    Sequential,
    _data,
    callbacks,
    layers,
    losses,
    optimizers,
)

N, WIDTH = 20, 4


def data(kind="numbers"):
    r = np.random.default_rng(2)
    x = r.normal(size=(N, WIDTH))
    return x, {"numbers": r.normal(size=(N, 3)), "labels": r.integers(0, 3, N), "one_hot": np.eye(3)[[0, 1] * 10]}[kind]


def network(loss="mse", activation=None, **options):
    model = Sequential(
        [
            layers.Input((WIDTH,)),
            layers.Dense(6, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(3, activation=activation),
        ],
        seed=4,
    )
    made = {
        "optimizer": optimizers.Adam(0.01, use_ema=True),
        "loss": loss,
        "metrics": ["mae"] if loss == "mse" else None,
    }
    model.compile(**{**made, **options})
    return model


def state(model):
    """All that a later step depends on."""
    found = [*model.get_weights()]
    if model.optimizer is not None and model.optimizer.built:
        saved = model.optimizer.get_state()
        found += [np.asarray(saved[name]) for name in sorted(saved)]
    return [*found, np.array(model._forwards), np.array(model.seed)]


def same_state(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def fit(model, x, y, **options):
    return model.fit(x, y, **{"batch_size": 8, "verbose": 0, **options})


def bad_place(array, place, value):
    array = np.array(array, dtype=float)
    array[place] = value
    return array


class Gives:
    """Something with a wrong array in it."""

    def __init__(self, value):
        self.value = value

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.value, dtype)


X, Y = data()
LABELS, ONE_HOT = data("labels")[1], data("one_hot")[1]
NAN = float("nan")

# what is called, the error, and words that it must have
FITS = {
    "features": (lambda m: fit(m, X[:, :3], Y), ValueError, ["x", "(4,)", "(20, 3)"]),
    "transposed": (lambda m: fit(m, X.T, Y), ValueError, ["x", "transposed", "x.T"]),
    "one_sample": (lambda m: m.predict(X[0], verbose=0), ValueError, ["x[None]", "(4,)"]),
    "more_axes": (lambda m: fit(m, X[:, :, None], Y), ValueError, ["x", "(20, 4, 1)"]),
    "lengths": (lambda m: fit(m, X, Y[:-1]), ValueError, ["x has 20 samples", "y has 19"]),
    "weight_lengths": (lambda m: fit(m, X, Y, sample_weight=np.ones(19)), ValueError, ["sample_weight", "20", "19"]),
    "outputs": (lambda m: fit(m, X, Y[:, :2]), ValueError, ["y", "(20, 2)"]),
    "nan_x": (lambda m: fit(m, bad_place(X, (7, 2), NAN), Y), ValueError, ["x:", "nan", "(7, 2)"]),
    "inf_x": (lambda m: fit(m, bad_place(X, (3, 1), np.inf), Y), ValueError, ["x:", "inf", "(3, 1)"]),
    "nan_y": (lambda m: fit(m, X, bad_place(Y, (5, 0), NAN)), ValueError, ["y:", "nan", "(5, 0)"]),
    "nan_weight": (
        lambda m: fit(m, X, Y, sample_weight=bad_place(np.ones(N), 4, NAN)), ValueError,
        ["sample_weight:", "nan", "(4,)"],
    ),
    "nan_float16": (lambda m: fit(m, bad_place(X, (7, 2), NAN).astype(np.float16), Y), ValueError, ["x:", "(7, 2)"]),
    "nan_strided": (
        lambda m: fit(m, np.repeat(bad_place(X, (7, 2), NAN), 2, axis=0)[::2], Y), ValueError, ["x:", "(7, 2)"]
    ),
    "empty": (lambda m: fit(m, X[:0], Y[:0]), ValueError, ["x", "no samples"]),
    "none": (lambda m: fit(m, None, Y), TypeError, ["x"]),
    "no_y": (lambda m: fit(m, X, None), ValueError, ["y", "pass y"]),
    "number": (lambda m: fit(m, 3.0, Y), ValueError, ["x", "first axis"]),
    "batch_size_0": (lambda m: fit(m, X, Y, batch_size=0), ValueError, ["batch_size", ">= 1", "0"]),
    "batch_size_half": (lambda m: fit(m, X, Y, batch_size=0.5), TypeError, ["batch_size", "whole"]),
    "epochs": (lambda m: fit(m, X, Y, epochs=-1), ValueError, ["epochs", "-1"]),
    "initial_epoch": (lambda m: fit(m, X, Y, initial_epoch=-1), ValueError, ["initial_epoch"]),
    "steps": (lambda m: fit(m, X, Y, steps_per_epoch=0), ValueError, ["steps_per_epoch"]),
    "verbose": (lambda m: m.fit(X, Y, verbose=7), ValueError, ["verbose"]),
    "shuffle": (lambda m: fit(m, X, Y, shuffle="batch"), TypeError, ["shuffle"]),
    "validation_split": (lambda m: fit(m, X, Y, validation_split=1.0), ValueError, ["validation_split", "1.0"]),
    "validation_split_empty": (lambda m: fit(m, X, Y, validation_split=0.999), ValueError, ["_split", "empty"]),
    "validation_data": (lambda m: fit(m, X, Y, validation_data=(X, Y[:3])), ValueError, ["validation_y", "20", "3"]),
    "validation_x": (lambda m: fit(m, X, Y, validation_data=(X[:, 1:], Y)), ValueError, ["validation_x", "(20, 3)"]),
    "validation_form": (lambda m: fit(m, X, Y, validation_data=X), ValueError, ["validation_data", "(x, y)"]),
    "validation_freq": (lambda m: fit(m, X, Y, validation_freq=0), ValueError, ["validation_freq"]),
    "callbacks": (lambda m: fit(m, X, Y, callbacks=[callbacks.History]), TypeError, ["callbacks[0]", "History(...)"]),
    "ragged_x": (lambda m: fit(m, [[1.0, 2.0, 3.0, 4.0], [1.0]], Y[:2]), ValueError, ["x:", "differ in length"]),
    "ragged_y": (lambda m: fit(m, X[:2], [[1.0], [1.0, 2.0, 3.0]]), ValueError, ["y:", "differ in length"]),
    "objects": (lambda m: fit(m, X.astype(object), Y), TypeError, ["x:", "object"]),
    "none_inside": (lambda m: fit(m, [[1.0, None, 2.0, 3.0]], Y[:1]), TypeError, ["x:", "None"]),
    "strings": (lambda m: fit(m, X.astype(str), Y), TypeError, ["x:", "text"]),
    "string_labels": (lambda m: fit(m, X, np.array(["cat"] * N)), TypeError, ["y:", "text"]),
    "complex": (lambda m: fit(m, X + 1j, Y), TypeError, ["x:", "imaginary"]),
    "dates": (lambda m: fit(m, X.astype("datetime64[s]"), Y), TypeError, ["x:", "datetime64"]),
    "objects_in_disguise": (lambda m: fit(m, Gives(X.astype(object)), Y), TypeError, ["x:"]),
    "both_weights": (
        lambda m: fit(m, X, Y, sample_weight=np.ones(N), class_weight={0: 1.0}), ValueError,
        ["class_weight", "sample_weight"],
    ),
    "class_weight_of_numbers": (lambda m: fit(m, X, Y, class_weight=[1.0, 2.0]), TypeError, ["class_weight", "dict"]),
    "weight_axes": (lambda m: fit(m, X, Y, sample_weight=np.ones((N, 3))), ValueError, ["sample_weight", "(20, 3)"]),
    "evaluate_x": (lambda m: m.evaluate(X[:, 1:], Y, verbose=0), ValueError, ["x", "(4,)"]),
    "evaluate_y": (lambda m: m.evaluate(X, None, verbose=0), ValueError, ["y"]),
    "evaluate_what": (lambda m: m.evaluate(X, Y, verbos=0), TypeError, ["verbos"]),
    "evaluate_steps": (lambda m: m.evaluate(X, Y, steps=0, verbose=0), ValueError, ["steps"]),
    "train_on_batch": (lambda m: m.train_on_batch(X, Y[:3]), ValueError, ["y", "20", "3"]),
    "train_on_nan": (lambda m: m.train_on_batch(bad_place(X, (0, 0), NAN), Y), ValueError, ["x:", "(0, 0)"]),
    "test_on_batch": (lambda m: m.test_on_batch(X[:, :1], Y), ValueError, ["x"]),
    "gradients": (lambda m: m.gradients(X, Y[:, 0]), ValueError, ["y"]),
    "predict_shape": (lambda m: m.predict(X[:, :2], verbose=0), ValueError, ["x", "(4,)", "(20, 2)"]),
    "predict_object": (lambda m: m.predict(X.astype(object), verbose=0), TypeError, ["x:"]),
    "predict_nothing": (lambda m: m.predict(iter([]), verbose=0), ValueError, ["x", "batch"]),
    "call": (lambda m: m(X[:, :2]), ValueError, ["x", "(4,)"]),
    "call_training": (lambda m: m(X, training=1), TypeError, ["training"]),
    "out_shape": (lambda m: m.predict(X, verbose=0, out=np.empty((N, 2), np.float32)), ValueError, ["out", "(20, 3)"]),
    "out_dtype": (lambda m: m.predict(X, verbose=0, out=np.empty((N, 3))), ValueError, ["out", "float32"]),
    "out_order": (
        lambda m: m.predict(X, verbose=0, out=np.empty((3, N), np.float32).T), ValueError, ["out", "contiguous"]
    ),
    "out_list": (lambda m: m.predict(X, verbose=0, out=[0]), TypeError, ["out", "list"]),
    "weights_count": (lambda m: m.set_weights(m.get_weights()[:-1]), ValueError, ["weights", "8", "7"]),
    "weights_shape": (
        lambda m: m.set_weights([*(w + 1 for w in m.get_weights()[:-1]), np.ones(4)]), ValueError,
        ["weights[7]", "(3,)", "(4,)"],
    ),
    "weights_text": (lambda m: m.set_weights(["a"] * 8), TypeError, ["weights[0]"]),
    "layer_weights": (lambda m: m.layers[0].set_weights([np.ones((4, 6))]), ValueError, ["weights", "2", "1"]),
    "build_again": (lambda m: m.build((None, 9)), ValueError, ["input_shape", "(4,)", "(9,)"]),
    "layer_name": (lambda m: m.get_layer("dens"), ValueError, ["dens"]),
    "layer_index": (lambda m: m.get_layer(index=9), ValueError, ["9"]),
    "same_layer": (lambda m: m.add(m.layers[0]), ValueError, ["twice"]),
    "no_layer": (lambda m: m.add("dense"), TypeError, ["layer"]),
    "layer_that_does_not_fit": (lambda m: m.add(layers.Reshape((5,))), ValueError, ["reshape", "3 elements"]),
    "input_later": (lambda m: m.add(layers.Input((3,))), ValueError, ["Input", "first"]),
    "loss_name": (lambda m: m.compile("adam", "mes"), ValueError, ["loss", "mes", "did you mean 'mse'"]),
    "optimizer_name": (lambda m: m.compile("adm", "mse"), ValueError, ["optimizer", "did you mean 'adam'"]),
    "optimizer_none": (lambda m: m.compile(None, "mse"), TypeError, ["optimizer", "None"]),
    "optimizer_number": (lambda m: m.compile(0.1, "mse"), TypeError, ["optimizer"]),
    "metric_name": (lambda m: m.compile("adam", "mse", metrics=["acuracy"]), ValueError, ["did you mean 'accuracy'"]),
    "metric_number": (lambda m: m.compile("adam", "mse", metrics=[3]), TypeError, ["metric"]),
    "loss_weights": (lambda m: m.compile("adam", "mse", loss_weights="a"), TypeError, ["loss_weights"]),
    "no_reduction": (
        lambda m: m.compile("adam", losses.MeanSquaredError(reduction="none")), ValueError,
        ["reduction", "sum_over_batch_size"],
    ),
    "lbfgs": (lambda m: m.compile(optimizers.LBFGS(), "mse"), ValueError, ["LBFGS", "step"]),
    "tape_shape": (lambda m: m.forward(X)[1].backward(np.ones((N, 2), np.float32)), ValueError, ["dy", "(20, 3)"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FITS)
def test_a_wrong_call_leaves_the_model_alone(name):
    """Also what comes after it is as if it had never been."""
    call, error, words = FITS[name]
    model, twin = network(), network()
    for one in (model, twin):
        fit(one, X, Y)
    before = state(model)
    with pytest.raises(error) as caught:
        call(model)
    for word in words:
        assert word in str(caught.value)
    same_state(before, state(model))
    assert model.loss == "mse"
    assert len(model.layers) == 4
    fit(model, X, Y)
    fit(twin, X, Y)
    same_state(state(model), state(twin))


CLASSES = {
    "out_of_range": ("sparse_categorical_crossentropy", np.full(N, 3), ["label 3", "index (0,)", "0..2"]),
    "negative": ("sparse_categorical_crossentropy", np.full(N, -1), ["label -1", "0..2"]),
    "fraction": ("sparse_categorical_crossentropy", np.full(N, 0.5), ["whole numbers", "0.5"]),
    "one_hot_for_sparse": (
        "sparse_categorical_crossentropy",
        ONE_HOT,
        ["one-hot", "categorical_crossentropy", "argmax"],
    ),
    "sparse_for_one_hot": (
        "categorical_crossentropy",
        LABELS,
        ["class numbers", "sparse_categorical", "to_categorical"],
    ),
    "column_for_one_hot": ("categorical_crossentropy", LABELS[:, None], ["class numbers", "sparse_categorical"]),
    "not_probabilities": ("binary_crossentropy", np.full((N, 3), 2.0), ["0 to 1", "2.0"]),
    "no_signs": ("hinge", np.full((N, 3), 0.5), ["-1", "+1"]),
}


@pytest.mark.parametrize("name", CLASSES)
def test_wrong_targets(name):
    loss, y, words = CLASSES[name]
    model = network(loss, "softmax")
    before = state(model)
    for call in (fit, lambda m, x, y: m.evaluate(x, y, verbose=0), lambda m, x, y: m.train_on_batch(x, y)):
        with pytest.raises(ValueError) as caught:
            call(model, X, y)
        assert all(word in str(caught.value) for word in words), str(caught.value)
        assert "y_true" not in str(caught.value)
        assert "y_pred" not in str(caught.value)
        same_state(before, state(model))


def test_a_wrong_label_is_named_by_its_place_in_y():
    model = network("sparse_categorical_crossentropy", "softmax")
    y = np.zeros(10_000, int)
    y[7654] = 9
    with pytest.raises(ValueError, match=r"label 9 at index \(7654,\)"):
        fit(model, np.ones((len(y), WIDTH)), y)


def test_before_compile():
    model = Sequential([layers.Input((WIDTH,)), layers.Dense(3)])
    for call in (fit, lambda m, x, y: m.evaluate(x, y), lambda m, x, y: m.train_on_batch(x, y)):
        with pytest.raises(NotCompiledError, match="compile"):
            call(model, X, Y)
    model.compile("adam")
    with pytest.raises(ValueError, match="no loss"):
        fit(model, X, Y)


def test_before_build():
    model = Sequential([layers.Dense(3)])
    for call in (
        lambda: model.weights,
        model.get_weights,
        model.count_params,
        lambda: model.output_shape,
    ):
        with pytest.raises(NotBuiltError, match="Input"):
            call()
    with pytest.raises(ValueError, match="no layers"):
        Sequential()(X)


WRONG = {
    "transposed": lambda m: fit(m, X.T, Y),
    "lengths": lambda m: fit(m, X[:, :3], Y[:3]),
    "nan": lambda m: fit(m, bad_place(X[:, :3], (0, 0), NAN), Y),
    "y": lambda m: fit(m, X[:, :3], Y[:, :1]),
    "predict": lambda m: m.predict(X[:, :3, None], verbose=0),
    "build": lambda m: m.build((None, 3, 7)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_model_that_was_not_built_stays_so(name):
    """Data of a wrong shape do not decide the shape for those that follow."""

    def made():
        parts = [
            layers.BatchNormalization(), layers.Residual([layers.Dense(4, name="inner")], projection="dense"),
            layers.Reshape((2, 2)), layers.Flatten(), layers.Dense(3),
        ]  # fmt: skip
        if name in ("predict", "build"):
            parts.insert(2, layers.Reshape((4,)))
        model = Sequential(parts, seed=1)
        model.compile("adam", "mse")
        return model

    model, twin = made(), made()
    with pytest.raises(ValueError):
        WRONG[name](model)
    assert not model.built
    assert not any(layer._built for layer in model._flat())
    assert not model.optimizer.built
    fit(model, X, Y)
    fit(twin, X, Y)
    same_state(state(model), state(twin))


ARGUMENTS = {
    "activation": (lambda: layers.Dense(3, activation="rellu"), ValueError, ["activation", "did you mean 'relu'"]),
    "argument": (lambda: layers.Dense(3, activaton="relu"), TypeError, ["activaton"]),
    "units": (lambda: layers.Dense(0), ValueError, ["units", ">= 1"]),
    "units_text": (lambda: layers.Dense("3"), TypeError, ["units"]),
    "initializer": (lambda: layers.Dense(3, kernel_initializer="glorot"), ValueError, ["glorot"]),
    "regularizer": (lambda: layers.Dense(3, kernel_regularizer="l3"), ValueError, ["l3"]),
    "odd_glu": (lambda: layers.Dense(3, activation="glu"), ValueError, ["glu", "3", "even"]),
    "function": (lambda: layers.Dense(3, activation=np.tanh), TypeError, ["activation", "derivative"]),
    "rate": (lambda: layers.Dropout(1.5), ValueError, ["rate", "1.5"]),
    "momentum": (lambda: layers.BatchNormalization(momentum=2), ValueError, ["momentum"]),
    "merge": (lambda: layers.Parallel([layers.Dense(2)], merge="mul"), ValueError, ["merge", "add"]),
    "no_branches": (lambda: layers.Parallel([]), ValueError, ["branches"]),
    "input": (lambda: layers.Input((None, 3)), ValueError, ["shape", "every axis"]),
    "names": (
        lambda: Sequential([layers.Dense(2, name="a"), layers.Dense(3, name="a")]), ValueError, ["'a'", "unique"]
    ),
    "nested_twice": (
        lambda: (lambda d: Sequential([d, layers.Residual([d])]))(layers.Dense(3, name="d")), ValueError,
        ["'d'", "twice"],
    ),
    "inside_twice": (
        lambda: (lambda d: Sequential([layers.Parallel([d, d])]))(layers.Dense(3, name="d")), ValueError,
        ["'d'", "twice"],
    ),
    "residual": (
        lambda: Sequential([layers.Input((4,)), layers.Residual([layers.Dense(3)])]), ValueError,
        ["residual", "projection"],
    ),
    "parallel": (
        lambda: Sequential([layers.Input((4,)), layers.Parallel([layers.Dense(3), layers.Dense(2)])]), ValueError,
        ["parallel", "merge='add'"],
    ),
    "reshape": (lambda: Sequential([layers.Input((4,)), layers.Reshape((3,))]), ValueError, ["reshape", "4 elements"]),
    "axis": (lambda: Sequential([layers.Input((4,)), layers.Softmax(axis=0)]), ValueError, ["axis", "1 to 1"]),
    "seed": (lambda: Sequential(seed=-1), ValueError, ["seed"]),
    "dtype": (lambda: Sequential(dtype="float16"), ValueError, ["dtype", "float32"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
def test_wrong_layers(name):
    make, error, words = ARGUMENTS[name]
    with pytest.raises(error) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


def test_an_embedding_names_what_is_wrong():
    model = Sequential([layers.Embedding(5, 2), layers.Flatten(), layers.Dense(1)], seed=0)
    model.compile("adam", "mse")
    fit(model, np.arange(4), np.zeros(4))
    for wrong in (5, -1):
        before = state(model)
        with pytest.raises(ValueError, match="input_dim"):
            fit(model, np.array([wrong, 0]), np.zeros(2))
        with pytest.raises(ValueError, match="input_dim"):
            model.predict(np.array([wrong]), verbose=0)
        same_state(before, state(model))


# ------------------------------------------------------------------------------------------------------ while it trains


def test_fit_within_its_own_callback():
    model, x, y = network(), *data()
    caught = []

    def again(epoch, logs):
        for call in (fit, lambda m, x, y: m.train_on_batch(x, y), lambda m, x, y: m.gradients(x, y)):
            with pytest.raises(RuntimeError, match=r"the fit of .* is still running") as error:
                call(model, x, y)
            caught.append(error)
        for change in (lambda: model.add(layers.Dense(2)), model.pop, lambda: model.compile("sgd", "mae")):
            with pytest.raises(RuntimeError, match="before or after fit"):
                change()

    twin = network()
    fit(model, x, y, epochs=2, callbacks=[callbacks.LambdaCallback(on_epoch_end=again)])
    fit(twin, x, y, epochs=2)
    assert len(caught) == 6
    same_state(state(model), state(twin))


def test_other_threads_while_it_trains():
    model, x, y = network(), *data()
    inside, over = threading.Event(), threading.Event()
    results = []

    def wait(epoch, logs):
        inside.set()
        over.wait(30)

    def train():
        fit(model, x, y, callbacks=[callbacks.LambdaCallback(on_epoch_end=wait)])

    thread = threading.Thread(target=train)
    thread.start()
    try:
        assert inside.wait(30)
        calls = {
            "fit": lambda: fit(model, x, y),
            "train_on_batch": lambda: model.train_on_batch(x, y),
            "evaluate": lambda: model.evaluate(x, y, verbose=0),
            "test_on_batch": lambda: model.test_on_batch(x, y),
            "predict": lambda: model.predict(x, verbose=0),
            "call": lambda: model(x.astype(np.float32)),
            "forward": lambda: model.forward(x),
            "compile": lambda: model.compile("sgd", "mse"),
            "set_weights": lambda: model.set_weights([w + 1 for w in model.get_weights()]),
        }
        for name, call in calls.items():
            with pytest.raises(RuntimeError) as caught:
                call()
            results.append((name, str(caught.value)))
    finally:
        over.set()
        thread.join()
    assert len(results) == 9
    assert all("train" in message or "thread" in message for _, message in results), results
    twin = network()
    fit(twin, x, y)
    same_state(state(model), state(twin))
    fit(model, x, y)  # and now it may


class EndsError(Exception):
    pass


class EndsAfter(callbacks.Callback):
    """Ends a fit by an error after so many epochs, which may run at once until then."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def _epochs_ahead(self, epoch, most):
        return min(most, self.epochs - epoch)

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            raise EndsError


def test_a_callback_that_raises_ends_the_fit():
    """The model is whole, and can go on."""
    model, x, y = network(), *data()

    def end(batch, logs):
        if batch == 1:
            raise EndsError

    with pytest.raises(EndsError):
        fit(model, x, y, callbacks=[callbacks.LambdaCallback(on_train_batch_end=end)])
    assert model.optimizer.iterations == 2
    fit(model, x, y)
    assert model.optimizer.iterations == 5


def fit_until_the_alarm(model, seconds):
    signal.setitimer(signal.ITIMER_REAL, seconds)
    fit(model, X, Y, batch_size=4, epochs=10**6, shuffle=False)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer that sends signals here")
def test_an_interrupt_ends_a_fit_between_two_steps():
    """Wherever it comes: the model is what so many whole steps make of it, and can go on."""
    x, y = data()
    for wait in (0.02, 0.1, 0.17):
        model, twin = network(), network()
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                fit_until_the_alarm(model, wait)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        steps = model.optimizer.iterations
        assert model._forwards == steps
        assert steps > 5
        # Whole passes by fit, which takes no longer for them, however many there are, than the fit that was ended
        with pytest.raises(EndsError):
            fit(twin, x, y, batch_size=4, epochs=steps, shuffle=False, callbacks=[EndsAfter(steps // 5)])
        for step in range(steps % 5):
            rows = slice(4 * step, 4 * step + 4)
            twin.train_on_batch(x[rows], y[rows])
        same_state(state(model), state(twin))
        model.fit(x, y, verbose=0)


# ----------------------------------------------------------------------------------------------------------- divergence


def explosive(**options):
    model = Sequential(
        [
            layers.Input((WIDTH,)),
            layers.Dense(5, name="first"),
            layers.Dense(6, name="middle"),
            layers.Dense(3, name="last"),
        ],
        seed=1,
    )
    model.compile(optimizer=optimizers.SGD(0.01), loss="mse", **options)
    return model


@pytest.mark.parametrize("options", [{}, {"metrics": [lambda y, p: p.sum(axis=-1)]}], ids=["c", "python"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("place", [1, 2])
def test_divergence_names_epoch_step_and_layer(place, shuffle, options):
    model, twin = explosive(**options), explosive(**options)
    names = ["first", "middle", "last"]
    for one in (model, twin):
        fit(one, X, Y, shuffle=shuffle)
        weights = one.get_weights()
        weights[2 * place - 2] = weights[2 * place - 2] + np.float32(1e30)
        weights[2 * place] = weights[2 * place] + np.float32(1e30)
        one.set_weights(weights)
    with pytest.raises(DivergenceError) as caught:
        fit(model, X, Y, epochs=5, initial_epoch=3, shuffle=shuffle)
    message = str(caught.value)
    assert "epoch 4, step 1" in message
    assert repr(names[place]) in message
    assert "as it was" in message
    same_state(state(model), state(twin))
    with pytest.raises(DivergenceError, match=names[place]):
        model.train_on_batch(X, Y)
    same_state(state(model), state(twin))


def test_a_batch_beyond_all_samples_is_all_of_them():
    model, twin = explosive(), explosive()
    for one, size in ((model, 10**30), (twin, len(X))):
        one.fit(X / 10, Y, batch_size=size, epochs=2, verbose=0)
        one.evaluate(X / 10, Y, batch_size=size, verbose=0)
        one.predict(X, batch_size=size, verbose=0)
    same_state(state(model), state(twin))


def test_divergence_in_a_later_step_keeps_the_earlier_ones():
    model, twin = explosive(), explosive()
    x = X.copy()
    x[16:] = 1e25  # the third batch of 8
    with pytest.raises(DivergenceError, match=r"epoch 1, step 3.*every layer's output is finite"):
        fit(model, x, Y, shuffle=False)
    twin.fit(x[:16], Y[:16], batch_size=8, shuffle=False, verbose=0)
    same_state(state(model), state(twin))


def test_terminate_on_nan_takes_it():
    model, twin = explosive(), explosive()
    x = X.copy()
    x[16:] = 1e25
    ended = []
    listener = callbacks.LambdaCallback(on_train_end=lambda logs: ended.append(True))
    history = fit(model, x, Y, shuffle=False, epochs=5, callbacks=[callbacks.TerminateOnNaN(), listener])
    assert history.epoch == [0]
    assert ended == [True]
    twin.fit(x[:16], Y[:16], batch_size=8, shuffle=False, verbose=0)
    same_state(state(model), state(twin))


class Broken(optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return NAN if step >= 2 else 0.1


@pytest.mark.parametrize("rate", [Broken(), lambda: NAN], ids=["schedule", "callable"])
def test_a_rate_that_is_no_number(rate):
    model = explosive()
    model.compile(optimizer=optimizers.SGD(0.1), loss="mse")
    model.optimizer.learning_rate = rate
    before = model.get_weights()
    with pytest.raises(ValueError, match="learning_rate"):
        fit(model, X, Y)
    if not isinstance(rate, Broken):
        same_state(before, model.get_weights())
    assert all(np.isfinite(w).all() for w in model.get_weights())


# -------------------------------------------------------------------------------------------------------- forms of x


class Frame:
    """What pandas and others have: an array inside."""

    def __init__(self, array):
        self.array = array
        self.shape = array.shape

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)

    def __len__(self):
        return len(self.array)

    def __iter__(self):
        return iter(["a", "b"])


def whole_numbers():
    r = np.random.default_rng(6)
    return r.integers(0, 2, (N, WIDTH)), r.integers(-3, 4, (N, 3))


def unaligned(array):
    room = np.empty(array.nbytes + 1, np.uint8)
    result = room[1:].view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def inside(array):
    room = np.full((len(array), array.shape[1] + 3), 9, array.dtype)
    room[:, 1:-2] = array
    return room[:, 1:-2]


FORMS = {
    "fortran": np.asfortranarray,
    "every_other": lambda a: np.repeat(a, 2, axis=0)[::2],
    "columns": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "negative": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "negative_columns": lambda a: np.ascontiguousarray(a[:, ::-1])[:, ::-1],
    "inside": inside,
    "read_only": read_only,
    "unaligned": unaligned,
    "float16": lambda a: a.astype(np.float16),
    "longdouble": lambda a: a.astype(np.longdouble),
    "int8": lambda a: a.astype(np.int8),
    "int64": lambda a: a.astype(np.int64),
    "big_endian": lambda a: a.astype(">f4"),
    "big_endian_ints": lambda a: a.astype(">i2"),
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(map(tuple, a.tolist())),
    "list_of_arrays": list,
    "frame": Frame,
}


@pytest.mark.parametrize("where", ["x", "y", "both"])
@pytest.mark.parametrize("form", FORMS)
def test_forms_of_arrays(form, where):
    x, y = (a.astype(np.float64) for a in whole_numbers())
    change = FORMS[form]
    results = []
    for shuffle in (False, True):
        for plain in (True, False):
            model = network(metrics=[])
            given = (x, y) if plain else (change(x) if where != "y" else x, change(y) if where != "x" else y)
            history = fit(model, *given, epochs=2, shuffle=shuffle, validation_split=0.25).history
            results.append(
                [*state(model), history, model.evaluate(*given, verbose=0), model.predict(given[0], verbose=0)]
            )
        for a, b in zip(*results[-2:], strict=True):
            np.testing.assert_equal(a, b)


def test_bools_and_broadcast_samples():
    x, y = whole_numbers()
    for given, same in ((x.astype(bool), x), (np.broadcast_to(x[:1], x.shape), np.repeat(x[:1], N, axis=0))):
        one, other = network(), network()
        fit(one, given, y)
        fit(other, same.astype(np.float32), y)
        same_state(state(one), state(other))


def test_a_number_a_sample():
    x, y = X[:, 0], Y[:, 0]
    results = []
    for given in ((x, y), (x[:, None], y[:, None]), (x, y[:, None]), (x.tolist(), y.tolist())):
        model = Sequential([layers.Dense(3, activation="tanh"), layers.Dense(1)], seed=1)
        model.compile("adam", "mse")
        fit(model, *given)
        results.append([*state(model), model.predict(given[0], verbose=0)])
        assert results[-1][-1].shape == (N, 1)
    for other in results[1:]:
        same_state(results[0], other)


def test_numbers_for_an_embedding():
    model = Sequential([layers.Embedding(5, 2), layers.Dense(3)], seed=1)
    assert model.predict(np.array([1, 4, 0]), verbose=0).shape == (3, 3)
    assert model.output_shape == (None, 3)
    np.testing.assert_array_equal(model.layers[0](np.array([1, 4])), model.layers[0].embeddings[[1, 4]])


def test_memory_maps_are_checked_as_they_are_read(tmp_path):
    """Not twice: a NaN is found before the step of its batch, and the steps before it stand."""
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
    x[...] = X
    model, twin = network(), network()
    fit(model, x, Y, epochs=2)
    fit(twin, X.astype(np.float32), Y, epochs=2)
    same_state(state(model), state(twin))
    x[18, 1] = NAN
    with pytest.raises(ValueError, match=r"x:.*nan"):
        fit(model, x, Y, shuffle=False)
    twin.fit(X[:16].astype(np.float32), Y[:16], batch_size=8, shuffle=False, verbose=0)
    # the moving averages of the weights are what a whole fit ends with
    np.testing.assert_array_equal(model.optimizer.iterations, twin.optimizer.iterations)
    assert model.optimizer.slots
    for name, views in model.optimizer.slots.items():
        for a, b in zip(views, twin.optimizer.slots[name], strict=True):
            np.testing.assert_array_equal(a, b)


def test_predictions_into_an_array():
    model = network()
    out = np.full((N, 3), np.nan, np.float32)
    assert model.predict(X, verbose=0, out=out) is out
    np.testing.assert_array_equal(out, model.predict(X, verbose=0))
    with pytest.raises(ValueError, match="read-only"):
        model.predict(X, verbose=0, out=read_only(out))


# ------------------------------------------------------------------------------------------------- layers by themselves


def test_a_layer_of_a_model_can_be_called():
    """It uses the model's weights and leaves them where they are."""
    model = network()
    x, y = data()
    hidden = model.layers[0](x.astype(np.float32))
    np.testing.assert_allclose(
        hidden, np.maximum(x @ model.layers[0].kernel + model.layers[0].bias, 0), rtol=1e-5, atol=1e-6
    )
    fit(model, x, y)
    twin = network()
    fit(twin, x, y)
    same_state(state(model), state(twin))
    assert not np.array_equal(hidden, model.layers[0](x.astype(np.float32)))
    result = x
    for layer in model.layers:
        result = layer(result)
    np.testing.assert_array_equal(result, model(x))
    with pytest.raises(ValueError, match="dense"):
        model.layers[0](x[:, :2])


def test_layers_shared_by_two_models():
    """Both see the same weights, whichever was built last."""
    whole = network()
    fit(whole, X, Y)
    part = Sequential([layers.Input((WIDTH,)), *whole.layers[:2]])
    expected = whole.layers[1](whole.layers[0](X))
    np.testing.assert_array_equal(part.predict(X, verbose=0), expected)
    whole.layers[0].kernel[...] = 0
    assert not np.array_equal(part(X), expected)
    np.testing.assert_array_equal(whole.get_weights()[0], 0)
    np.testing.assert_array_equal(part.get_weights()[0], 0)


def test_kinds_of_errors():
    """What users catch."""
    assert issubclass(DivergenceError, ArithmeticError)
    assert issubclass(NotCompiledError, RuntimeError)
    assert issubclass(NotBuiltError, fastnn.FastNNError)


@pytest.mark.parametrize("shape", [(6, 4), (6,), (0, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_what_the_core_gets_is_aligned(shape, dtype):
    """x86 forgives an unaligned load, so that results would not tell; other processors and the sanitizer do not."""
    array = unaligned(np.arange(np.prod(shape), dtype=dtype).reshape(shape))
    assert not array.flags.aligned or not array.size
    for made in (_data.as_array(array, "x"), _data.precision(array, np.float64), _data.precision(array, np.float32)):
        assert made.flags.aligned
        np.testing.assert_array_equal(made, array)


@pytest.mark.parametrize("call", ["train_on_batch", "test_on_batch", "evaluate"])
def test_return_dict_is_read_before_anything_is_done(call):
    model = network()
    x, y = data()
    before = model.get_weights()
    with pytest.raises(TypeError, match="return_dict: expected True or False"):
        getattr(model, call)(x, y, return_dict="yes")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("shape", [(), None, 5, "ab", (None, None), (None, 0)])
def test_shapes_that_no_output_has(shape):
    with pytest.raises((TypeError, ValueError), match="input_shape"):
        network().compute_output_shape(shape)


def residual():
    return layers.Residual([layers.Activation("relu")], projection="dense")


def parallel():
    return layers.Parallel([layers.Activation("relu")], merge="concatenate")


@pytest.mark.parametrize("container", [residual, parallel])
def test_samples_without_an_axis_have_nothing_to_join(container):
    with pytest.raises(ValueError, match="single number"):
        Sequential([container()]).build((None,))


@pytest.mark.parametrize("change", [{"weights": None}, {"weights": {}}, {"optimizer": {}}, {"seed": "x"}, None])
def test_another_training_state_changes_nothing(change):
    model = network()
    x, y = data()
    model.fit(x, y, verbose=0)
    state = model.training_state()
    state["weights"] = {i: w + 1 for i, w in state["weights"].items()}
    before = model.get_weights()
    with pytest.raises(ValueError):
        model.restore_training_state({} if change is None else state | change)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_popped_layer_in_another_model_leaves_the_first_unbuilt():
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    layer = model.pop()
    other = Sequential([layers.Input((3,)), layer])
    assert other.built and not model.built
    with pytest.raises(NotBuiltError):
        model.output_shape
    model.add(layers.Dense(4))
    assert model.output_shape == (None, 4)


def test_a_state_restored_while_a_batch_is_made():
    model = network()
    x, y = data()
    model.fit(x, y, verbose=0)
    state = model.training_state()

    class Source(fastnn.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            model.restore_training_state(model.training_state() if index else state)
            return x, y

    with pytest.raises(RuntimeError, match="x: restore_training_state was called while a batch was made"):
        model.fit(Source(), shuffle=False, verbose=0)
    model.fit(x, y, verbose=0)


@pytest.mark.parametrize("weights", [None, 5, "ab"])
def test_weights_that_are_no_list(weights):
    with pytest.raises((TypeError, ValueError), match="weights: expected"):
        network().set_weights(weights)


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch", "gradients"])
@pytest.mark.parametrize("length", [None, "two", -1])
def test_a_batch_whose_length_is_no_number(method, length):
    class Odd:
        def __len__(self):
            return length

    model = fastnn.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="x: "):
        getattr(model, method)(Odd(), np.zeros((2, 1)))
