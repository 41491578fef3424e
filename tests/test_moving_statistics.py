"""When BatchNormalization's moving statistics change: in fit, and in every training forward that succeeds."""

import threading

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.diagnostics import check_gradients, gradient_flow

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # NumPy's, of Keras

MOMENTUM = 0.9


def norm(**options):
    return layers.BatchNormalization(momentum=MOMENTUM, **options)


def moved(x, mean=0.0, variance=1.0, axis=-1):
    """The moving statistics after one batch, by the formula."""
    others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    return (
        MOMENTUM * mean + (1 - MOMENTUM) * x.mean(axis=others),
        MOMENTUM * variance + (1 - MOMENTUM) * x.var(axis=others),
    )


def same(layer, expected, rtol=1e-12):
    np.testing.assert_allclose(layer.moving_mean, expected[0], rtol=rtol)
    np.testing.assert_allclose(layer.moving_variance, expected[1], rtol=rtol)


CALLS = {
    "model(x)": lambda model, x: model(x, training=True),
    "forward": lambda model, x: model.forward(x, training=True)[0],
    "layer of a model": lambda model, x: model.layers[0](x, training=True),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("shape", "axis"), [((6, 3), -1), ((5, 4, 3), -1), ((5, 4, 3), 1)])
def test_a_training_forward_updates_them_once(rng, dtype, call, shape, axis):
    x = rng.normal(2, 3, shape).astype(dtype)
    model = fastnn.Sequential([layers.Input(shape[1:]), norm(axis=axis)], dtype=dtype)
    rtol = 1e-12 if dtype == "float64" else 1e-5
    first = moved(x.astype(np.float64), axis=axis)
    call(model, x)
    same(model.layers[0], first, rtol)
    call(model, x)
    same(model.layers[0], moved(x.astype(np.float64), *first, axis=axis), rtol)


def test_a_layer_by_itself_updates_them(rng):
    x = rng.normal(2, 3, (6, 3))
    layer = norm()
    layer(x, training=True)
    same(layer, moved(x))


def test_inference_uses_what_training_forwards_left(rng):
    x = rng.normal(2, 3, (6, 3))
    layer = norm()
    layer(x, training=True)
    mean, variance = moved(x)
    np.testing.assert_allclose(layer(x), (x - mean) / np.sqrt(variance + layer.epsilon), rtol=1e-12)


def test_layers_inside_others_are_updated_too(rng):
    x = rng.normal(2, 3, (6, 3))
    residual, parallel, nested = norm(), norm(), norm()
    inner = fastnn.Sequential([nested])
    model = fastnn.Sequential(
        [
            layers.Input((3,)), layers.Residual([residual]),
            layers.Parallel([[parallel], [layers.Activation("tanh")]]), inner,
        ],
        dtype="float64",
    )  # fmt: skip
    model(x, training=True)
    same(residual, moved(x))
    hidden = x + (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-3)
    same(parallel, moved(hidden))
    hidden = (hidden - hidden.mean(axis=0)) / np.sqrt(hidden.var(axis=0) + 1e-3) + np.tanh(hidden)
    same(nested, moved(hidden))


def test_weights_that_learn_do_not_change(rng):
    x = rng.normal(2, 3, (6, 3)).astype(np.float32)
    model = fastnn.Sequential([layers.Input((3,)), layers.Dense(4), norm(), layers.Dense(1)])
    before = [w.copy() for w in model.trainable_weights]
    model(x, training=True)
    for now, old in zip(model.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(now, old)


@pytest.mark.parametrize(
    "look",
    [
        lambda model, x: model(x),
        lambda model, x: model.predict(x, verbose=0),
        lambda model, x: model.forward(x)[1].backward(np.ones_like(x)),
        lambda model, x: model.layers[0](x),
        lambda model, x: model.evaluate(x, x, verbose=0),
        lambda model, x: model.gradients(x, x, training=True),
        lambda model, x: gradient_flow(model, x, x, training=True),
        lambda model, x: check_gradients(model, x, x, training=True),
        lambda model, x: model(x[:0], training=True),
    ],
    ids=["call", "predict", "tape", "layer", "evaluate", "gradients", "gradient_flow", "check_gradients", "no samples"],
)
def test_what_only_looks_leaves_them(rng, look):
    x = rng.normal(2, 3, (6, 3))
    model = fastnn.Sequential([layers.Input((3,)), norm()], dtype="float64")
    model.compile("sgd", "mse")
    look(model, x)
    same(model.layers[0], (0, 1))


def test_going_back_does_not_update_again(rng):
    x = rng.normal(2, 3, (6, 3))
    model = fastnn.Sequential([layers.Input((3,)), norm()], dtype="float64")
    _, tape = model.forward(x, training=True)
    tape.backward(np.ones_like(x))
    same(model.layers[0], moved(x))


def test_a_frozen_layer_keeps_them(rng):
    x = rng.normal(2, 3, (6, 3))
    model = fastnn.Sequential([layers.Input((3,)), norm(trainable=False)], dtype="float64")
    np.testing.assert_allclose(model(x, training=True), x / np.sqrt(1 + 1e-3))
    same(model.layers[0], (0, 1))


class Failing(layers.Layer):
    def forward(self, x, training):
        raise ArithmeticError("not today")


@pytest.mark.parametrize("call", [CALLS["model(x)"], CALLS["forward"]])
def test_a_forward_that_fails_leaves_them(rng, call):
    """Also where the layer comes first and another fails later."""
    model = fastnn.Sequential([layers.Input((3,)), norm(), Failing()], dtype="float64")
    with pytest.raises(ArithmeticError, match="not today"):
        call(model, rng.normal(2, 3, (6, 3)))
    same(model.layers[0], (0, 1))


def test_the_bits_do_not_depend_on_threads(rng, same_for_threads):
    x = rng.normal(2, 3, (400, 300)).astype(np.float32)

    def statistics():
        model = fastnn.Sequential([layers.Input((300,)), norm()])
        model(x, training=True)
        return model.get_weights()

    same_for_threads(statistics)


def test_no_update_of_several_threads_is_lost(rng):
    """Each batch is the same, so that the result does not depend on the order of the updates."""
    x = rng.normal(2, 3, (64, 50))
    model = fastnn.Sequential([layers.Input((50,)), norm()], dtype="float64")
    barrier = threading.Barrier(4)
    errors = []

    def work():
        barrier.wait()
        try:
            for _ in range(5):
                model(x, training=True)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    kept = MOMENTUM**20
    same(model.layers[0], ((1 - kept) * x.mean(axis=0), kept + (1 - kept) * x.var(axis=0)), 1e-10)


def test_they_are_those_of_keras(keras, rng):
    x = rng.normal(2, 3, (8, 4, 3))
    for axis in (-1, 1):
        theirs = keras.Sequential([keras.layers.Input((4, 3)), keras.layers.BatchNormalization(axis=axis)])
        ours = fastnn.Sequential([layers.Input((4, 3)), layers.BatchNormalization(axis=axis)], dtype="float64")
        for rows in (slice(0, 5), slice(5, 8)):
            expected = np.asarray(theirs(x[rows], training=True))
            np.testing.assert_allclose(ours(x[rows], training=True), expected, rtol=1e-10)
        for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-12)
        theirs.trainable = ours.trainable = False
        ours.compile("sgd", "mse")
        expected = np.asarray(theirs(x, training=True))
        np.testing.assert_allclose(ours(x, training=True), expected, rtol=1e-10)
        for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-12)
