"""Parts of training that are written in Python, and steps taken by hand: the same as the compiled steps make."""

import numpy as np
import pytest

from fastnn import Sequential, constraints, layers, losses, metrics, optimizers, regularizers

ROWS = 30


class PlainSquares(losses.Loss):
    """mean_squared_error, but in Python."""

    def call(self, y_true, y_pred):
        return np.mean((y_pred - y_true) ** 2, axis=-1)

    def gradient(self, y_true, y_pred):
        return 2 * (y_pred - y_true) / y_pred.shape[-1]


class PlainDense(layers.Layer):
    """Dense without activation, but in Python."""

    def __init__(self, units, kernel_regularizer=None, **options):
        super().__init__(**options)
        self.units, self.regularizer = units, kernel_regularizer

    def build(self, input_shape):
        self.kernel = self.add_weight(
            (input_shape[-1], self.units), "glorot_uniform", name="kernel", regularizer=self.regularizer
        )
        self.bias = self.add_weight((self.units,), "zeros", name="bias")

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def forward(self, x, training):
        self.x = x
        return x @ self.kernel + self.bias

    def backward(self, dy):
        axes = tuple(range(dy.ndim - 1))
        self.add_gradient(self.kernel, np.tensordot(self.x, dy, (axes, axes)))
        self.add_gradient(self.bias, dy.sum(axis=axes))
        return dy @ self.kernel.T


class PlainDescent(optimizers.Optimizer):
    """SGD, but in Python."""

    def update_step(self, gradient, variable, learning_rate):
        variable -= learning_rate * gradient


class PlainL2(regularizers.Regularizer):
    """L2, but in Python."""

    def __init__(self, l2):
        self.l2 = l2

    def __call__(self, x):
        return self.l2 * float(np.sum(x.astype(np.float64) ** 2))

    def gradient(self, x):
        return 2 * self.l2 * x


class PlainNonNeg(constraints.Constraint):
    """NonNeg, but in Python."""

    def __call__(self, w):
        return w * (w >= 0)


def plain_swish(x):
    return x / (1 + np.exp(-x))


plain_swish.derivative = lambda x: (1 + np.exp(-x) * (1 + x)) / (1 + np.exp(-x)) ** 2


def plain_error(y_true, y_pred):
    return np.mean(np.abs(y_pred - y_true), axis=-1)


def data(rows=ROWS):
    r = np.random.default_rng(3)
    return r.normal(size=(rows, 3, 4)), r.normal(size=(rows, 3, 2)), r.uniform(0, 2, (rows, 3))


def network(in_python=(), **options):
    """The same network, with the named parts in Python."""
    dense = PlainDense if "layer" in in_python else layers.Dense
    l2 = PlainL2 if "regularizer" in in_python else regularizers.L2
    model = Sequential(
        [
            layers.Input((3, 4)),
            dense(6, kernel_regularizer=l2(0.01)),
            layers.Activation(plain_swish if "activation" in in_python else "silu"),
            layers.Dropout(0.3),
            layers.Dense(
                2, kernel_constraint=PlainNonNeg() if "constraint" in in_python else "non_neg", bias_regularizer=l2(0.1)
            ),
        ],
        seed=5,
        dtype="float64",
    )
    made = {
        "optimizer": PlainDescent(0.1) if "optimizer" in in_python else optimizers.SGD(0.1),
        "loss": PlainSquares() if "loss" in in_python else "mse",
        "metrics": [plain_error if "metric" in in_python else metrics.MeanAbsoluteError(name="plain_error")],
        "weighted_metrics": ["mse"],
    }
    model.compile(**{**made, **options})
    return model


PARTS = ["layer", "activation", "regularizer", "constraint", "optimizer", "loss", "metric"]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("parts", [*([part] for part in PARTS), PARTS], ids="+".join)
def test_parts_in_python_are_those_in_c(parts, shuffle):
    x, y, w = data()
    histories, models = [], []
    for names in ((), parts):
        model = network(names)
        before = model.get_weights()
        histories.append(
            model.fit(
                x, y, batch_size=7, epochs=3, sample_weight=w, shuffle=shuffle, validation_split=0.2, verbose=0
            ).history
        )
        assert all(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
        models.append(model)
    assert list(histories[0]) == list(histories[1])
    for name, values in histories[0].items():
        np.testing.assert_allclose(values, histories[1][name], rtol=1e-12, err_msg=name)
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)
    ours, theirs = (model.gradients(x, y, w) for model in models)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-12)
    for a, b in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(models[0].evaluate(x, y, verbose=0), models[1].evaluate(x, y, verbose=0), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "int8", "uint16", "strided", "validation"])
def test_targets_of_a_loss_in_python(kind, dtype):
    """Of any type, shuffled or not, and others for validation: each in room of its own size."""
    r = np.random.default_rng(4)
    x, y = r.normal(size=(ROWS, 5)), r.integers(0, 9, (ROWS, 3))
    given = y[:, ::-1][::-1] if kind == "strided" else y if kind == "validation" else y.astype(kind)
    for shuffle in (False, True):
        results = []
        for loss in ("mse", PlainSquares()):
            model = Sequential([layers.Input((5,)), layers.Dense(3)], seed=1, dtype=dtype)
            model.compile("sgd", loss)
            more = {"validation_data": (x[:4], y[:4].astype(np.uint8))} if kind == "validation" else {}
            history = model.fit(x, given, batch_size=8, epochs=2, shuffle=shuffle, verbose=0, **more).history
            results.append([*history.values(), model.evaluate(x, given, verbose=0), *model.get_weights()])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("ignored", [-1, 10**6])
def test_metrics_of_an_ignored_class(ignored):
    """It is no class that a metric could look up: accuracy counts it as wrong, as Keras, and others refuse it."""
    r = np.random.default_rng(5)
    x, y = r.normal(size=(ROWS, 5)), r.integers(0, 3, ROWS)
    y[::3] = ignored

    def made(*names):
        model = Sequential([layers.Input((5,)), layers.Dense(3, "softmax")], seed=1)
        model.compile("sgd", losses.SparseCategoricalCrossentropy(ignore_class=ignored), metrics=list(names))
        return model

    model = made("accuracy")
    right = model.predict(x, verbose=0).argmax(axis=-1) == y
    assert 0 < right.sum() < ROWS
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0)[1], right.mean())
    for name in ("sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy"):
        model = made(name)
        before = model.get_weights()
        for call in (model.evaluate, model.fit):
            with pytest.raises(ValueError, match=f"label {ignored}"):
                call(x, y, verbose=0)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_flags_are_read_when_compiled():
    """Changed afterwards, they change nothing until the next compile, nor does asking for weights and gradients."""
    x, y, _ = data()
    models = [network(optimizer="adam"), network(optimizer="adam")]
    for model in models:
        model.fit(x, y, batch_size=8, verbose=0)
        if model is models[0]:
            model.layers[0].trainable = False
            assert len(model.trainable_weights) == 2
            assert len(model.gradients(x, y)[1]) == 4
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(a, b)
    kept = models[0].get_weights()
    models[0].compile("adam", "mse")
    models[0].fit(x, y, batch_size=8, verbose=0)
    assert [np.array_equal(a, b) for a, b in zip(kept, models[0].get_weights(), strict=True)] == [
        True,
        True,
        False,
        False,
    ]
    assert len(models[0].gradients(x, y)[1]) == 2


def test_an_optimizer_applied_by_hand():
    """Between fits, to gradients that lie elsewhere: the fits go on reading the model's own."""
    x, y, w = data()
    model, twin = network(optimizer="adam"), network(optimizer="adam")
    for one in (model, twin):
        one.fit(x, y, batch_size=8, verbose=0)
    _, gradients = model.gradients(x, y, w)
    by_hand = optimizers.Adam()
    arrays = [a.copy() for a in twin.trainable_weights]
    by_hand.build(arrays, constraints=[None, None, constraints.NonNeg(), None])
    by_hand.set_state(twin.optimizer.get_state())
    by_hand.apply([g.copy() for g in gradients])
    # model.gradients holds the penalties already, which the model's optimizer would add again
    for rule in (model.optimizer, twin.optimizer):
        assert rule.built
    model.set_weights(arrays)
    model.optimizer.set_state(by_hand.get_state())
    twin.optimizer.apply([np.ascontiguousarray(g) for g in gradients])
    twin.set_weights(arrays)
    twin.optimizer.set_state(by_hand.get_state())
    for one in (model, twin):
        one.fit(x, y, batch_size=8, epochs=2, verbose=0)
        one.train_on_batch(x, y)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loop_by_hand_is_fit():
    """gradients and apply instead of train_on_batch, without penalties."""
    x, y, w = data()
    models = []
    for by_hand in (False, True):
        model = Sequential([layers.Input((3, 4)), layers.Dense(5, "tanh"), layers.Dense(2)], seed=2, dtype="float64")
        model.compile("adam", "huber")
        for _ in range(5):
            if by_hand:
                _, gradients = model.gradients(x, y, w, training=True)
                model.optimizer.apply(gradients, model.trainable_weights)
            else:
                model.train_on_batch(x, y, w)
        models.append(model)
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    for model in models:
        model.fit(x, y, batch_size=8, verbose=0)
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_tapes_and_gradients_are_of_one_mind():
    """A loss outside the model: its gradient goes back through the tape."""
    x, y, w = data()
    model = network()
    model.zero_grad()
    made, tape = model.forward(x)
    loss = losses.MeanSquaredError()
    tape.backward(loss.gradient(y, made, w))
    gathered = model.grads.copy()
    value, gradients = model.gradients(x, y, w)
    penalties = [0.02 * model.weights[0], 0, 0, 0.2 * model.weights[3]]
    flat = np.concatenate([(g - p).ravel() for g, p in zip(gradients, penalties, strict=True)])
    np.testing.assert_allclose(gathered, flat, rtol=1e-12, atol=1e-15)
    squares = 0.01 * np.sum(model.weights[0] ** 2) + 0.1 * np.sum(model.weights[3] ** 2)
    np.testing.assert_allclose(value, loss(y, made, w) + squares, rtol=1e-12)
