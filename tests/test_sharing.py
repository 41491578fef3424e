"""Layers that are called by themselves, stand in several models or are whole models: there is one set of weights."""

import numpy as np
import pytest

import fastnn
from fastnn import layers


@pytest.fixture
def data(rng):
    x = rng.normal(size=(64, 4)).astype("float32")
    return x, np.tanh(x[:, :1] - x[:, 1:2])


def built(*more, **options):
    model = fastnn.Sequential([layers.Input((4,)), layers.Dense(3, "tanh"), *more, layers.Dense(1)], seed=1, **options)
    model.compile(fastnn.optimizers.Adam(0.05), "mse")
    return model


def by_hand(weights, x):
    return np.tanh(x @ weights[0] + weights[1])


def test_a_layer_of_a_model_is_called_with_the_models_weights(data):
    x, y = data
    model = built()
    for _ in range(2):
        model.fit(x, y, verbose=0)
        np.testing.assert_allclose(model.layers[0](x), by_hand(model.get_weights(), x), atol=1e-6)
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    assert not np.array_equal(before[0], model.get_weights()[0])
    assert int(model.optimizer.iterations) == 6


def test_a_layer_of_a_model_drops_out_in_training_alone():
    model = built(layers.Dropout(0.5))
    drop = model.layers[1]
    ones = np.ones((50, 3), np.float32)
    np.testing.assert_array_equal(drop(ones), ones)
    assert set(np.unique(drop(ones, training=True))) == {0, 2}
    assert not np.array_equal(drop(ones, training=True), drop(ones, training=True))


def test_a_layer_of_a_model_takes_the_models_samples():
    model = built()
    with pytest.raises(ValueError, match=r"dense.* takes samples of shape \(4,\), got an array of shape \(2, 5\)"):
        model.layers[0](np.ones((2, 5)))


def test_models_that_share_a_layer_share_its_weights(data):
    x, y = data
    one = built()
    one.fit(x, y, verbose=0)
    other = fastnn.Sequential([layers.Input((4,)), one.layers[0], layers.Dense(1)])
    other.compile("sgd", "mse")
    for model in (other, one, other, one):
        before = model.get_weights()
        model.fit(x, y, verbose=0)
        assert not np.array_equal(before[0], model.get_weights()[0])
        np.testing.assert_array_equal(one.get_weights()[0], other.get_weights()[0])
    head = one.get_weights()
    expected = by_hand(other.get_weights(), x) @ head[2] + head[3]
    np.testing.assert_allclose(one.predict(x, verbose=0), expected, atol=1e-6)


def test_adam_remembers_across_the_move(data):
    """A model whose weights another model has taken goes on as one that was left alone."""
    x, y = data
    alone, shared = built(), built()
    for model in (alone, shared):
        model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    fastnn.Sequential([layers.Input((4,)), shared.layers[0], layers.Dense(2)])
    for model in (alone, shared):
        model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(alone.get_weights(), shared.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_is_a_layer(data):
    x, y = data
    base = fastnn.Sequential([layers.Input((4,)), layers.Dense(3, "tanh")], name="base")
    model = fastnn.Sequential([base, layers.Dense(1)])
    assert model.built and model.layers[0] is base and model.get_layer("base") is base and model.count_params() == 19
    base.trainable = False
    model.compile("adam", "mse")
    frozen = base.get_weights()
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(frozen[0], base.get_weights()[0])
    base.trainable = True
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    assert not np.array_equal(frozen[0], base.get_weights()[0])
    np.testing.assert_allclose(base.predict(x, verbose=0), by_hand(model.get_weights(), x), atol=1e-6)


def test_a_model_within_a_model_goes_through_configs_and_files(data, tmp_path):
    x, _ = data
    base = fastnn.Sequential([layers.Dense(3, "tanh"), layers.Dropout(0.1)], name="base")
    model = fastnn.Sequential([layers.Input((4,)), base, layers.Dense(1)])
    copy = fastnn.Sequential.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    model.save(tmp_path / "model")
    for other in (copy, fastnn.load(tmp_path / "model")):
        assert other.layers[0].name == "base" and other.layers[0].built
        np.testing.assert_array_equal(other(x), model(x))
        np.testing.assert_array_equal(other.layers[0](x), base(x))


def test_a_model_as_the_last_layer_keeps_the_stable_loss():
    """softmax and cross-entropy are one also where the softmax ends a model within: no infinite loss at far logits."""
    head = fastnn.Sequential([layers.Dense(2, "softmax", kernel_initializer="ones")])
    model = fastnn.Sequential([layers.Input((1,)), head])
    model.set_weights([np.array([[0.0, 1000.0]]), np.zeros(2)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert model.evaluate([[1.0]], [0], verbose=0) == pytest.approx(1000)


def test_freezing_reaches_what_is_inside():
    inner = layers.Dense(3)
    residual = layers.Residual([layers.Dense(4), inner], projection="dense", trainable=False)
    model = fastnn.Sequential([layers.Input((2,)), residual, layers.Dense(1)])
    assert len(model.trainable_weights) == 2 and not inner.trainable
    residual.trainable = True
    assert len(model.trainable_weights) == 7 and inner.trainable
    model.trainable = False
    assert not model.trainable_weights and not inner.trainable


def test_normalization_keeps_what_it_adapted_to_as_weights(data, tmp_path):
    x, _ = data
    norm = layers.Normalization()
    norm.adapt(x)
    model = fastnn.Sequential([layers.Input((4,)), norm, layers.Dense(1)])
    assert [w.shape for w in model.get_weights()] == [(4,), (4,), (), (4, 1), (1,)]
    np.testing.assert_allclose(model.get_weights()[0], x.mean(axis=0), atol=1e-6)
    copy = fastnn.Sequential.from_config(model.get_config())
    assert not np.array_equal(copy(x), model(x))
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(x), model(x))
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(fastnn.load(tmp_path / "model")(x), model(x))
    norm.adapt(2 * x)
    np.testing.assert_allclose(model.get_weights()[1], 4 * x.var(axis=0), rtol=1e-5)


def test_the_layers_say_what_the_model_computes_in():
    model = fastnn.Sequential([layers.Input((4,)), layers.Dense(3, dtype="float64"), layers.Dense(1)])
    assert model.dtype == "float64" and model.get_weights()[0].dtype == np.float64
    assert fastnn.Sequential([layers.Dense(3, dtype="float64")], dtype="float32").dtype == "float32"
    with pytest.raises(ValueError, match="one precision"):
        fastnn.Sequential([layers.Dense(3, dtype="float64"), layers.Dense(1, dtype="float32")])


class Seen(layers.Layer):
    """Writes down which samples it sees in training."""

    def forward(self, x, training):
        if training:
            self.__dict__.setdefault("rows", []).extend(x[:, 0].astype(int).tolist())
        return x

    def backward(self, dy):
        return dy


@pytest.mark.filterwarnings("ignore:steps_per_epoch")
@pytest.mark.parametrize("shuffle", [False, True])
def test_steps_per_epoch_goes_on_through_the_samples(shuffle):
    seen = Seen()
    model = fastnn.Sequential([seen, layers.Dense(1)], seed=3)
    model.compile("sgd", "mse")
    x = np.arange(10.0)[:, None]
    model.fit(x, x / 100, batch_size=2, steps_per_epoch=2, epochs=6, shuffle=shuffle, verbose=0)
    first, second = seen.rows[:10], seen.rows[10:]
    assert len(second) == 10
    assert sorted(first) == sorted(second) == list(range(10))
    assert (first == second == list(range(10))) is not shuffle


def test_an_epoch_ends_with_the_pass():
    seen = Seen()
    model = fastnn.Sequential([seen, layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.arange(4.0)[:, None]
    model.fit(x, x / 100, batch_size=2, steps_per_epoch=3, epochs=1, shuffle=False, verbose=0)
    assert seen.rows == [0, 1, 2, 3]


def test_a_memory_map_is_read_batch_by_batch(tmp_path, data):
    x, y = data
    mapped = np.memmap(tmp_path / "x", dtype=x.dtype, mode="w+", shape=x.shape)
    mapped[...] = x
    one, other = built(), built()
    one.fit(x, y, epochs=2, verbose=0)
    other.fit(mapped, y, epochs=2, verbose=0)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    mapped[40] = np.nan
    before = other.get_weights()
    with pytest.raises(ValueError, match="x"):
        other.fit(mapped, y, batch_size=64, verbose=0)
    np.testing.assert_array_equal(before[0], other.get_weights()[0])


def test_metrics_of_one_name_are_told_apart(data):
    x, y = data
    model = built()
    model.compile("sgd", "mse", metrics=["mae", "mae"], weighted_metrics=["mae", "mse"])
    assert list(model.fit(x, y, verbose=0).history) == ["loss", "mae", "mae_1", "mse", "weighted_mae"]
    assert model.metrics_names == ["loss", "mae", "mae_1", "weighted_mae", "mse"]
