"""Models that are copied or pickled: the same answers, the same training after it, and nothing shared."""

import copy
import pickle
import threading

import numpy as np
import pytest

from fastnn import Sequential, callbacks, constraints, layers, losses, metrics, optimizers, regularizers


class Doubling(layers.Layer):
    """One that is written in Python."""

    def build(self, input_shape):
        self.factor = self.add_weight(input_shape[1:], "ones", name="factor", regularizer="l2")

    def forward(self, x, training):
        self.x = x
        return 2 * x * self.factor

    def backward(self, dy):
        self.add_gradient(self.factor, (2 * dy * self.x).sum(axis=0))
        return 2 * dy * self.factor


def square(x):
    return x * x


square.derivative = lambda x: 2 * x


class Loss(losses.Loss):
    def call(self, y_true, y_pred):
        return ((y_true - y_pred) ** 2).sum(axis=-1)

    def gradient(self, y_true, y_pred, sample_weight=None):
        return 2 * (y_pred - y_true) / len(y_pred)


def plain():
    model = Sequential([layers.Input((5,)), layers.Dense(4, activation="gelu"), layers.Dense(3)], seed=1)
    model.compile(optimizer=optimizers.Adam(0.01), loss="mse", metrics=["mae"])
    return model


def everything():
    model = Sequential(
        [
            layers.Normalization(mean=np.zeros(5), variance=np.ones(5)),
            layers.Dense(6, activation=layers.LeakyReLU(0.1).get_config() and "swish", kernel_regularizer="l1"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Residual([layers.Dense(6, kernel_constraint=constraints.MaxNorm(1.0)), layers.PReLU()]),
            layers.Parallel([layers.Dense(2), [layers.Dense(4), layers.Dense(2)]], merge="concatenate"),
            Sequential([layers.Dense(4, activity_regularizer=regularizers.L2(0.1)), layers.LayerNormalization()]),
            layers.Dense(3, trainable=False),
        ],
        seed=2,
    )
    optimizer = optimizers.AdamW(optimizers.schedules.CosineDecay(0.01, 100), use_ema=True, clipnorm=1.0)
    model.build((None, 5))
    optimizer.exclude_from_weight_decay(var_list=[model.layers[1].bias])
    model.compile(optimizer=optimizer, loss=losses.Huber(), metrics=["mae", metrics.CosineSimilarity()])
    return model


def in_python():
    model = Sequential([layers.Input((5,)), Doubling(), layers.Dense(3, activation=square)], seed=3)
    model.compile(optimizer="sgd", loss=Loss(), metrics=["mse"])
    return model


MODELS = {"plain": plain, "everything": everything, "in_python": in_python}
WAYS = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "oldest": lambda model: pickle.loads(pickle.dumps(model, 2)),
    "deepcopy": copy.deepcopy,
}


def data(rows=32):
    r = np.random.default_rng(0)
    return r.normal(size=(rows, 5)).astype(np.float32), r.normal(size=(rows, 3)).astype(np.float32)


def same_weights(one, other):
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_copies_go_on_alike(name, way, trained):
    model = MODELS[name]()
    x, y = data()
    if trained:
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    twin = WAYS[way](model)
    np.testing.assert_array_equal(twin.predict(x, verbose=0), model.predict(x, verbose=0))
    assert twin.get_config() == model.get_config()
    before = model.get_weights()
    history = twin.fit(x, y, batch_size=8, epochs=3, verbose=0).history
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)  # nothing is shared
    assert model.fit(x, y, batch_size=8, epochs=3, verbose=0).history == history
    same_weights(model, twin)
    assert twin.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    np.testing.assert_array_equal(twin.optimizer.iterations, model.optimizer.iterations)


@pytest.mark.parametrize("way", WAYS)
def test_unbuilt_models_are_copied(way):
    model = Sequential([layers.Dense(3)], seed=0)
    model.compile(loss="mse")
    twin = WAYS[way](model)
    x, y = data()
    for one in (model, twin):
        one.fit(x, y, verbose=0)
    same_weights(model, twin)


@pytest.mark.parametrize("way", WAYS)
def test_layers_are_copied(way):
    model = plain()
    layer = WAYS[way](model.layers[0])
    np.testing.assert_array_equal(layer.kernel, model.layers[0].kernel)
    x, _ = data()
    other = Sequential([layers.Input((5,)), layer])
    np.testing.assert_array_equal(other(x), model.layers[0](x))
    layer.kernel[...] = 0
    assert model.layers[0].kernel.any()


def test_a_callback_copies_the_model_between_two_steps():
    model, x, y = plain(), *data()
    copies, seen = [], []

    def take(batch, logs):
        copies.append(copy.deepcopy(model))
        seen.append(model.get_weights())

    model.fit(x, y, batch_size=8, verbose=0, callbacks=[callbacks.LambdaCallback(on_train_batch_end=take)])
    assert len(copies) > 1
    for twin, weights in zip(copies, seen, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(twin.get_weights(), weights, strict=True))
        twin.fit(x, y, verbose=0)  # it is no longer part of the fit that it was taken from


def test_another_thread_does_not_copy_a_model_that_learns():
    model, x, y = plain(), *data()
    errors = []

    def attempt():
        with pytest.raises(RuntimeError, match="another thread is training") as caught:
            copy.deepcopy(model)
        errors.append(caught)

    def from_elsewhere(batch, logs):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()

    model.fit(x, y, verbose=0, callbacks=[callbacks.LambdaCallback(on_train_batch_end=from_elsewhere)])
    assert errors
    copy.deepcopy(model)


def test_exclusions_follow_the_variables():
    """Weights lie elsewhere after layers were frozen; what does not decay is the same."""
    model = Sequential([layers.Input((5,)), layers.Dense(4), layers.Dense(3)], seed=0)
    first, second = model.layers
    optimizer = optimizers.SGD(0.0, weight_decay=0.5)
    optimizer.learning_rate = 0.1
    optimizer.exclude_from_weight_decay(var_list=[second.kernel])
    first.trainable = False
    model.compile(optimizer=optimizer, loss="mse")
    first.trainable = True
    twin = copy.deepcopy(model)
    for one in (model, twin):
        kernel = one.layers[1].kernel.copy()
        one.optimizer.build(one.trainable_weights)
        one.optimizer.apply([np.zeros_like(w) for w in one.layers[1].trainable_weights])
        np.testing.assert_array_equal(one.layers[1].kernel, kernel)
