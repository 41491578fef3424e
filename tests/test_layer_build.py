"""Layers that are built before they are in a model, or in several models: their weights are made once."""

import copy
import inspect

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, layers

MADE = {
    "Dense": (lambda: layers.Dense(3), (4,), 15),
    "Dense of sequences": (lambda: layers.Dense(3, use_bias=False), (5, 4), 12),
    "PReLU": (layers.PReLU, (4,), 4),
    "Embedding": (lambda: layers.Embedding(6, 2), (4,), 12),
    "BatchNormalization": (layers.BatchNormalization, (4,), 16),
    "LayerNormalization": (layers.LayerNormalization, (4,), 8),
    "Normalization": (layers.Normalization, (4,), 9),
    "Residual": (lambda: layers.Residual([layers.Dense(4)]), (4,), 20),
    "Residual with a projection": (lambda: layers.Residual([layers.Dense(2)], projection="dense"), (4,), 18),
    "Parallel": (lambda: layers.Parallel([layers.Dense(2), [layers.Dense(3), layers.Dense(2)]]), (4,), 33),
    "Dropout": (lambda: layers.Dropout(0.5), (4,), 0),
}


@pytest.mark.parametrize(("make", "shape", "count"), MADE.values(), ids=MADE)
def test_build_makes_the_weights_and_the_model_uses_them(make, shape, count):
    layer = make()
    assert layer.built == (count == 0)
    layer.build((None, *shape))
    assert layer.built
    assert layer.count_params() == count == sum(w.size for w in layer.weights)
    for w in layer.weights:
        w[...] = np.random.default_rng(w.size).normal(size=w.shape)
    before = layer.get_weights()
    layer.build((None, *shape))
    model = Sequential([layers.Input(shape), layer], seed=1)
    assert len(model.weights) == len(before) == len(layer.weights)
    for mine, own, old in zip(model.weights, layer.weights, before, strict=True):
        assert mine is own
        np.testing.assert_array_equal(mine, old)


def test_the_attributes_are_the_models_weights():
    layer = layers.Dense(3)
    layer.build((None, 4))
    assert layer.kernel is layer.weights[0] and layer.bias is layer.weights[1]
    model = Sequential([layer])
    x = np.arange(8.0).reshape(2, 4)
    np.testing.assert_allclose(model(x), x @ layer.kernel, rtol=1e-6)
    assert layer.kernel is model.weights[0]
    layer.kernel[...] = 0
    assert not model(x).any()


def test_a_built_layer_learns_in_its_model(rng):
    layer = layers.Dense(1, kernel_initializer="zeros")
    layer.build((None, 2))
    model = Sequential([layer], dtype="float64")
    model.compile(fastnn.optimizers.SGD(0.5), "mse")
    x, y = rng.normal(size=(8, 2)), rng.normal(size=(8, 1))
    model.train_on_batch(x, y)
    np.testing.assert_allclose(layer.kernel, 0.5 * 2 * x.T @ y / 8, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "shape", "other"),
    [
        (lambda: layers.Dense(3), (4,), (5,)),
        (layers.BatchNormalization, (4,), (5,)),
        (lambda: layers.BatchNormalization(axis=1), (4, 3), (5, 3)),
        (lambda: layers.LayerNormalization(axis=[1, 2]), (4, 3), (5, 3)),
        (layers.PReLU, (4, 3), (5, 3)),
        (lambda: layers.Normalization(axis=1), (4, 3), (5, 3)),
        (lambda: layers.Residual([layers.Dense(4)]), (4,), (5,)),
        (lambda: layers.Dropout(0.5, noise_shape=(None, 4)), (4,), (5,)),
    ],
)
def test_a_shape_that_needs_other_weights_is_refused(make, shape, other):
    """By build, and in another model: the core would read past the end of the weights."""
    layer = make()
    layer.build((None, *shape))
    with pytest.raises(ValueError, match=r"built for samples of shape|noise_shape"):
        layer.build((None, *other))
    model = Sequential([layers.Input(shape), layer])
    with pytest.raises(ValueError, match=r"built for samples of shape|noise_shape"):
        Sequential([layers.Input(other), layer])
    before = model.get_weights()
    assert model(np.ones((2, *shape), np.float32)).shape[0] == 2
    for now, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, old)


@pytest.mark.parametrize(
    ("make", "shape", "other"),
    [
        (lambda: layers.Dense(3), (5, 4), (7, 4)),
        (layers.BatchNormalization, (4,), (5, 4)),
        (lambda: layers.Embedding(6, 2), (4,), (7,)),
        (lambda: layers.PReLU(shared_axes=[1]), (4, 3), (5, 3)),
    ],
)
def test_a_shape_that_needs_the_same_weights_is_taken(make, shape, other):
    layer = make()
    first = Sequential([layers.Input(shape), layer], seed=1)
    x = np.ones((2, *shape), np.float32)
    expected = first(x)
    second = Sequential([layers.Input(other), layer], seed=2)
    assert second(np.ones((2, *other), np.float32)).shape[1] == other[0]
    np.testing.assert_array_equal(first(x), expected)


def test_a_model_that_cannot_be_built_leaves_its_layers_as_they_were():
    layer = layers.Dropout(0.5)
    model = Sequential([layers.Input((8,)), layers.Dense(8), layer], seed=1)
    place = layer._place
    with pytest.raises(ValueError, match="target_shape"):
        Sequential([layers.Input((6,)), layer, layers.Reshape((7,))], seed=2)
    assert layer._place == place
    assert model(np.ones((2, 8)), training=True).shape == (2, 8)


@pytest.mark.parametrize("shape", [4, "ab", (), (None, None), (None, 0), (None, 2.5), (None, -1), None])
def test_build_refuses_what_is_no_shape(shape):
    layer = layers.Dense(3)
    with pytest.raises((ValueError, TypeError), match="input_shape"):
        layer.build(shape)
    assert not layer.built and layer.weights == []


def test_an_embedding_needs_no_shape():
    layer = layers.Embedding(6, 2)
    layer.build()
    assert layer.built and layer.count_params() == 12
    table = layer.get_weights()[0]
    model = Sequential([layers.Input((3,)), layer])
    np.testing.assert_array_equal(model([[0, 5, 2]])[0], table[[0, 5, 2]])


def test_a_shape_in_the_constructor_is_enough():
    layer = layers.Dense(3, input_shape=(4,), dtype="float64")
    layer.build()
    assert layer.kernel.shape == (4, 3) and layer.kernel.dtype == np.float64


class Scale(layers.Layer):
    """With a weight of the constructor, and one of build."""

    def __init__(self, dtype=None, asked=None, fails=False):
        super().__init__(dtype=dtype)
        self.asked, self.fails = asked, fails
        self.offset = self.add_weight((), "ones", name="offset")

    def build(self, input_shape):
        super().build(input_shape)
        self.factor = self.add_weight((input_shape[-1],), "ones", dtype=self.asked, name="factor")
        if self.fails:
            raise ArithmeticError("not today")

    def forward(self, x, training):
        return x * self.factor + self.offset

    def backward(self, dy):
        return dy * self.factor


class Widened(Scale):
    def build(self, input_shape):
        super().build(input_shape)
        self.more = self.add_weight((2,), "zeros", name="more")


@pytest.mark.parametrize(("make", "count"), [(Scale, 4), (Widened, 6)])
def test_layers_of_your_own_are_built_once(make, count):
    layer = make()
    layer.build((None, 3))
    layer.build((None, 3))
    assert layer.built and layer.count_params() == count
    model = Sequential([layers.Input((3,)), layer])
    assert model.count_params() == count
    layer.factor[...] = 5
    np.testing.assert_array_equal(model(np.ones((1, 3), np.float32)), [[6, 6, 6]])
    with pytest.raises(ValueError, match="built for samples of shape"):
        layer.build((None, 4))
    assert layer.factor.shape == (3,)
    twin = copy.deepcopy(layer)
    twin.build((None, 3))
    assert twin.count_params() == count


def test_a_build_that_fails_leaves_the_layer_as_it_was():
    layer = Scale(fails=True)
    with pytest.raises(ArithmeticError):
        layer.build((None, 3))
    assert not layer.built and len(layer.weights) == 1 and not hasattr(layer, "factor")
    layer.fails = False
    layer.build((None, 3))
    assert layer.count_params() == 4


def test_weights_have_the_layers_dtype_and_no_other():
    layer = Scale(dtype="float64", asked="float64")
    layer.build((None, 3))
    assert [w.dtype for w in layer.weights] == [np.float64] * 2
    for own, asked in ((None, "float64"), ("float64", np.float32), (None, "int32"), (None, "nonsense")):
        with pytest.raises(ValueError, match="dtype"):
            Scale(dtype=own, asked=asked).build((None, 3))


def test_weights_cannot_come_after_build():
    layer = layers.Dense(3)
    layer.build((None, 4))
    with pytest.raises(ValueError, match="built already"):
        layer.add_weight((2,))
    assert layer.count_params() == 15


# ------------------------------------------------------------------------------------------------------ Normalization


def test_adapt_builds(rng):
    norm = layers.Normalization()
    x = rng.normal(2, 3, (20, 3))
    norm.adapt(x)
    assert norm.built and [w.shape for w in norm.weights] == [(3,), (3,), ()] and norm.count_params() == 7
    np.testing.assert_allclose(norm.weights[0], x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(norm.weights[1], x.var(axis=0), rtol=1e-6)
    with pytest.raises(ValueError, match=r"data: .* built for samples of shape"):
        norm.adapt(np.ones((5, 4)))
    with pytest.raises(ValueError, match="built for samples of shape"):
        norm(np.ones((5, 4)))
    with pytest.raises(ValueError, match="built for samples of shape"):
        Sequential([layers.Input((4,)), norm])
    np.testing.assert_allclose(norm.mean, x.mean(axis=0, keepdims=True))
    np.testing.assert_allclose(norm(x), (x - x.mean(axis=0)) / x.std(axis=0), atol=1e-6)


def test_a_layer_that_was_built_adapts_to_its_own_width_only(rng):
    norm = layers.Normalization()
    model = Sequential([layers.Input((3,)), norm], dtype="float64")
    with pytest.raises(ValueError, match=r"data: .* built for samples of shape"):
        norm.adapt(np.ones((5, 4)))
    assert norm.mean is None
    x = rng.normal(2, 3, (20, 3))
    norm.adapt(x)
    np.testing.assert_allclose(model(x), (x - x.mean(axis=0)) / x.std(axis=0), atol=1e-12)


def test_one_mean_for_all_fits_any_width(rng):
    norm = layers.Normalization(axis=None)
    norm.adapt(rng.normal(2, 3, (20, 3)))
    x = rng.normal(2, 3, (20, 7))
    norm.adapt(x)
    np.testing.assert_allclose(norm(x), (x - x.mean()) / x.std(), atol=1e-6)


def test_statistics_along_an_axis_fit_samples_of_other_lengths(rng):
    norm = layers.Normalization()
    x = rng.normal(2, 3, (20, 5, 3))
    norm.adapt(x)
    y = x[:, 0]
    np.testing.assert_allclose(norm(y), (y - x.mean(axis=(0, 1))) / x.std(axis=(0, 1)), atol=1e-6)


def test_given_statistics_are_not_adapted():
    """They are in the config: what adapt would find would be lost in a copy."""
    norm = layers.Normalization(mean=1.0, variance=4.0)
    with pytest.raises(ValueError, match="mean and variance"):
        norm.adapt(np.ones((5, 3)))
    assert norm.mean == 1


# ---------------------------------------------------------------------------------------------------------- properties


@pytest.mark.parametrize("model", [Sequential(), Sequential([layers.Dense(2)]), fastnn.models.Perceptron()])
def test_hasattr_never_raises(model):
    names = [n for n in dir(type(model)) if isinstance(inspect.getattr_static(type(model), n), property)]
    for name in names:
        assert hasattr(model, name) in (True, False)
    if isinstance(model, Sequential):
        assert not hasattr(model, "input_shape") and not hasattr(model, "output_shape")
        assert getattr(model, "weights", None) is None


def test_what_is_not_built_is_several_errors():
    """A RuntimeError, what Keras raises, and what hasattr wants."""
    for kind in (fastnn.FastNNError, RuntimeError, ValueError, AttributeError):
        with pytest.raises(kind, match="not built yet"):
            layers.Dense(2).count_params()


def test_it_is_as_in_keras(keras):
    theirs, ours = keras.layers.Dense(3), layers.Dense(3)
    for layer in (theirs, ours):
        layer.build((None, 4))
    assert ours.built == theirs.built and ours.count_params() == theirs.count_params()
    for model in (keras.Sequential(), Sequential()):
        assert not hasattr(model, "input_shape") and not hasattr(model, "output_shape")
    for norm in (keras.layers.Normalization(), layers.Normalization()):
        norm.adapt(np.ones((5, 3)))
        assert norm.built and [tuple(w.shape) for w in norm.weights] == [(3,), (3,), ()]
        with pytest.raises(ValueError):
            norm.adapt(np.ones((5, 4)))
