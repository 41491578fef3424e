"""Layers called outside a model: with arrays of one axis, of changing shapes, and while `trainable` changes."""

import numpy as np
import pytest

from fastnn import Sequential, layers

VECTOR = np.array([-2.0, -0.5, 0.0, 1.5, 3.0])

ELEMENTWISE = {
    "ReLU": (layers.ReLU(), np.maximum(VECTOR, 0)),
    "LeakyReLU": (layers.LeakyReLU(0.5), np.where(VECTOR < 0, 0.5 * VECTOR, VECTOR)),
    "ELU": (layers.ELU(), np.where(VECTOR < 0, np.expm1(VECTOR), VECTOR)),
    "Softmax": (layers.Softmax(), np.exp(VECTOR) / np.exp(VECTOR).sum()),
    "Activation": (layers.Activation("softplus"), np.log1p(np.exp(VECTOR))),
    "Dropout": (layers.Dropout(0.5), VECTOR),
    "GaussianNoise": (layers.GaussianNoise(0.5), VECTOR),
    "Rescaling": (layers.Rescaling(2.0, offset=1.0), 2 * VECTOR + 1),
}


@pytest.mark.parametrize(("layer", "expected"), ELEMENTWISE.values(), ids=ELEMENTWISE)
def test_an_array_of_one_axis_keeps_its_shape(layer, expected):
    y = layer(VECTOR)
    assert y.shape == VECTOR.shape
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(layer(list(VECTOR)), y)


def test_glu_halves_an_array_of_one_axis():
    y = layers.Activation("glu")(VECTOR[:4])
    np.testing.assert_allclose(y, VECTOR[:2] / (1 + np.exp(-VECTOR[2:4])), rtol=1e-12)


def test_a_layer_in_a_model_takes_samples_of_one_number():
    layer = layers.ReLU()
    model = Sequential([layer])
    assert model(VECTOR).shape == layer(VECTOR).shape == (5, 1)
    assert layers.ReLU(input_shape=(1,))(VECTOR).shape == (5, 1)


def test_the_shape_may_change_from_call_to_call(rng):
    layer = layers.ReLU()
    for shape in ((2,), (3, 2), (4, 3, 5), (3, 2), (1, 7)):
        x = rng.normal(size=shape)
        np.testing.assert_array_equal(layer(x), np.maximum(x, 0))


def test_weights_stay_when_the_shape_changes(rng):
    layer = layers.Dense(3)
    table, sequences = rng.normal(size=(4, 5)), rng.normal(size=(4, 2, 5))
    layer(table)
    kernel = layer.kernel.copy()
    for x in (sequences, table, sequences):
        np.testing.assert_allclose(layer(x), x @ kernel, rtol=1e-9)
        np.testing.assert_array_equal(layer.kernel, kernel)
    with pytest.raises(ValueError, match="built for samples of shape"):
        layer(rng.normal(size=(4, 6)))
    np.testing.assert_allclose(layer(table), table @ kernel, rtol=1e-9)


def test_the_dtype_is_that_of_the_first_call(rng):
    layer = layers.Dense(3)
    assert layer(rng.normal(size=(4, 5)).astype(np.float32)).dtype == np.float32
    assert layer(rng.normal(size=(4, 2, 5))).dtype == np.float32


def test_dropout_goes_on_with_its_masks_when_the_shape_changes():
    layer, ones = layers.Dropout(0.5, seed=3), np.ones((4, 50))
    first = layer(ones, training=True)
    layer(np.ones((4, 10)), training=True)
    assert (layer(ones, training=True) != first).any()


def test_trainable_counts_at_each_call(rng):
    layer = layers.BatchNormalization(momentum=0.5)
    x = rng.normal(3, 2, size=(50, 2))
    layer.build((None, 2))
    layer.trainable = False
    np.testing.assert_allclose(layer(x, training=True), x, rtol=1e-3, atol=2e-3)
    np.testing.assert_array_equal(layer.moving_mean, [0, 0])
    layer.trainable = True
    np.testing.assert_allclose(layer(x, training=True).mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, x.mean(axis=0) / 2, rtol=1e-5)
    layer.trainable = False
    before = layer.moving_mean.copy()
    assert abs(layer(x, training=True).mean()) > 0.1
    np.testing.assert_array_equal(layer.moving_mean, before)


WEIGHTLESS = [
    layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Softmax, layers.Flatten,
    lambda: layers.Activation("tanh"), lambda: layers.Dropout(0.5), lambda: layers.GaussianNoise(0.1),
    lambda: layers.Reshape((-1,)), lambda: layers.Rescaling(2.0), lambda: layers.Input((3,)),
]  # fmt: skip


@pytest.mark.parametrize("make", WEIGHTLESS)
def test_layers_without_weights_are_built_from_the_start(make):
    layer = make()
    assert layer.built and layer.count_params() == 0 and layer.weights == []
    assert "not built" not in repr(layer)

    class Scaled(type(layer)):
        def build(self, input_shape):
            super().build(input_shape)
            self.factor = self.add_weight((1,), "ones")

    scaled = Scaled(**layer.get_config())
    assert not scaled.built
    scaled.build((None, 3))
    assert scaled.built and scaled.count_params() == 1


@pytest.mark.parametrize("make", [layers.Dense, layers.Embedding])
def test_layers_with_weights_are_built_by_their_first_call(make):
    layer = make(*{"Dense": (2,), "Embedding": (5, 2)}[make.__name__])
    assert not layer.built
    layer(np.array([[1, 2]]))
    assert layer.built


def test_softmax_and_dropout_check_the_shape_that_they_are_given():
    with pytest.raises(ValueError, match="axis"):
        layers.Softmax(axis=3)(np.ones((2, 3)))
    layer = layers.Dropout(0.5, noise_shape=(None, 4))
    for n in (3, 2):
        with pytest.raises(ValueError, match="noise_shape"):
            layer(np.ones((5, n)), training=True)
    assert layer(np.ones((5, 4)), training=True).shape == (5, 4)


@pytest.mark.parametrize("shape", [(3, 0), (3, 2, 0), (3, 0, 2)])
@pytest.mark.parametrize(
    "make",
    [layers.LayerNormalization, layers.BatchNormalization, layers.Normalization, layers.Softmax, layers.PReLU],
)
def test_samples_without_elements(make, shape):
    x, y = np.zeros(shape, np.float32), np.ones((3, 2), np.float32)
    model = Sequential([make(), layers.Flatten(), layers.Dense(2, bias_initializer="ones")])
    np.testing.assert_array_equal(model(x), y)
    assert make()(x).shape == shape
    assert model.forward(x, training=True)[1].backward(y).shape == shape
    model.compile("adam", "mse")
    assert model.fit(x, y, verbose=0).history["loss"] == [0]
    np.testing.assert_array_equal(model.predict(x, verbose=0), y)
