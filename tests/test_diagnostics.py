"""Gradient checks, gradient flow, rate range tests and diagnoses, against closed forms, planted errors and NumPy."""

import doctest
import importlib
import re
import runpy
import warnings
from html import escape

import numpy as np
import pytest
from optional import optional

import fastnn
from fastnn import layers, losses, optimizers, regularizers
from fastnn.diagnostics import Change, check_gradients, diagnose, gradient_flow, lr_find


@pytest.fixture
def data(rng):
    return rng.normal(size=(12, 4)), rng.normal(size=(12, 3))


def model_of(*parts, loss="mse", optimizer="sgd", **options):
    model = fastnn.Sequential(list(parts), seed=0, **options)
    model.compile(optimizer, loss, metrics=["mae"])
    return model


def state_of(model):
    """All that the steps to come depend on, as bytes."""

    def flat(value):
        if isinstance(value, dict):
            return {key: flat(one) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [flat(one) for one in value]
        return np.asarray(value).tobytes() if isinstance(value, np.ndarray) else value

    return flat(model.training_state())


# ------------------------------------------------------------------------------------------------------ check_gradients


@pytest.mark.parametrize("training", [False, True])
def test_right_gradients_are_right(data, dtype, training):
    x, _ = data
    model = model_of(
        layers.Dense(6, "relu"),
        layers.Residual([layers.Dense(6, "tanh"), layers.Dropout(0.3)]),
        layers.Parallel([layers.Dense(3), layers.Dense(3, "gelu", kernel_regularizer="l2")], merge="concatenate"),
        layers.BatchNormalization(),
        layers.PReLU(),
        layers.Dense(4, "softmax", activity_regularizer=regularizers.L2(0.1)),
        loss="sparse_categorical_crossentropy", dtype=dtype,
    )  # fmt: skip
    y = np.arange(12) % 4
    check = check_gradients(model, x, y, sample_weight=np.linspace(0.5, 2, 12), training=training)
    assert check.ok and check.inputs.ok and check.inputs.checked == 48
    model.build((None, 4))
    assert [one.name for one in check.parameters] == [v.path for v in model._variables() if v.in_trainables]
    assert all(one.error < 1e-5 and one.checked > 0 for one in [*check.parameters, check.inputs])
    assert any(abs(one.gradient) > 1e-3 for one in check.parameters)  # there was something to compare
    assert "the gradients are right" in str(check)


class Scale(layers.Layer):
    """y = a x, whose gradients can be made wrong by factors."""

    def __init__(self, by_a=1.0, by_x=1.0, **options):
        super().__init__(**options)
        self.by_a, self.by_x = by_a, by_x

    def build(self, input_shape):
        self.a = self.add_weight((input_shape[-1],), fastnn.initializers.Constant(0.7), name="a")

    def forward(self, x, training):
        self.x = x
        return self.a * x

    def backward(self, dy):
        self.add_gradient(self.a, self.by_a * np.sum(dy * self.x, axis=0))
        return self.by_x * self.a * dy


def names_of_wrong(check):
    return [one.name for one in check.parameters if not one.ok]


def test_a_wrong_gradient_of_a_weight_is_found(data):
    model = model_of(layers.Dense(3, name="first"), Scale(by_a=1.01, name="scale"), layers.Dense(3, name="last"))
    check = check_gradients(model, *data)
    assert not check.ok and check.inputs.ok
    assert names_of_wrong(check) == ["scale/a"]
    wrong = next(one for one in check.parameters if not one.ok)
    assert wrong.error == pytest.approx(0.01 / 1.01, rel=1e-3)
    assert wrong.gradient == pytest.approx(1.01 * wrong.difference, rel=1e-4)
    assert wrong.suspect == "backward of 'scale' (Scale)"
    assert "scale/a[" in str(check) and "Suspect: backward of 'scale' (Scale)" in str(check)


def test_a_wrong_gradient_that_is_passed_on_is_found(data):
    model = model_of(layers.Dense(3, name="first"), Scale(by_x=-1, name="scale"), layers.Dense(3, name="last"))
    check = check_gradients(model, *data)
    assert names_of_wrong(check) == ["first/kernel", "first/bias"] and not check.inputs.ok
    assert {one.suspect for one in [*check.parameters[:2], check.inputs]} == {"backward of 'scale' (Scale)"}
    assert check.parameters[0].error == pytest.approx(2, rel=1e-6)


def test_wrong_parts_before_weights_are_seen_by_x(data):
    check = check_gradients(model_of(Scale(by_x=1.5, name="scale"), layers.Dense(3)), *data)
    assert names_of_wrong(check) == [] and not check.ok and not check.inputs.ok
    assert check.inputs.error == pytest.approx(1 / 3, rel=1e-6)
    assert check.inputs.suspect == "backward of 'scale' (Scale)"


def bent(x):
    return x**2


bent.derivative = lambda x: 1.9 * x


def test_a_wrong_derivative_is_found(data):
    model = model_of(layers.Dense(3, name="a"), layers.Dense(3, bent, name="b"), layers.Dense(3, name="c"))
    check = check_gradients(model, *data)
    assert names_of_wrong(check) == ["a/kernel", "a/bias", "b/kernel", "b/bias"]
    assert check.parameters[0].suspect == "the derivative of 'bent', the activation of 'b'"


class Half(losses.Loss):
    def call(self, y_true, y_pred):
        return np.mean((y_true - y_pred) ** 2, axis=-1)

    def gradient(self, y_true, y_pred):
        return (y_pred - y_true) / y_pred.shape[-1]  # half of what it is


def test_a_wrong_gradient_of_the_loss_is_found(data):
    check = check_gradients(model_of(layers.Dense(3), layers.Dense(3), loss=Half()), *data)
    assert len(names_of_wrong(check)) == 4
    assert {one.suspect for one in check.parameters} == {"gradient of the loss Half"}
    assert check.parameters[3].error == pytest.approx(0.5, rel=1e-4)


class Cubic(regularizers.Regularizer):
    def __call__(self, x):
        return float(np.sum(np.abs(x) ** 3))

    def gradient(self, x):
        return x * np.abs(x)  # a third of what it is

    def get_config(self):
        return {}


def test_a_wrong_gradient_of_a_penalty_is_found(data):
    model = model_of(layers.Dense(3, kernel_regularizer=Cubic(), name="a"), layers.Dense(3))
    check = check_gradients(model, *data)
    assert names_of_wrong(check) == ["a/kernel"]
    assert check.parameters[0].suspect == "gradient of the regularizer Cubic of a/kernel"


def test_corners_are_no_errors():
    """relu at 0 for every sample."""
    model = model_of(layers.Dense(3, "relu"), layers.Dense(1))
    check = check_gradients(model, np.zeros((2, 2)), np.ones((2, 1)))
    assert check.ok and sum(one.corners for one in check.parameters) > 0
    assert "lie at a corner" in str(check)


def test_a_corner_nearby_is_no_error():
    """Within the step, but not within the finer one."""
    model = model_of(layers.Dense(1, "relu", use_bias=False), layers.Dense(1, kernel_initializer="ones"))
    model.build((None, 1))
    model.layers[0].kernel[...] = [[2e-6]]
    check = check_gradients(model, [[1.0]], [[1.0]])
    assert check.ok and check.parameters[0].corners == 0
    assert check.parameters[0].difference == pytest.approx(check.parameters[0].gradient, rel=1e-5)
    assert check.parameters[0].gradient != 0


class Unsteady(layers.Layer):
    """Something of its own to each call."""

    calls = 0

    def forward(self, x, training):
        Unsteady.calls += 1
        return x + Unsteady.calls

    def backward(self, dy):
        return dy


def test_a_model_that_is_not_the_same_twice_is_refused(data):
    with pytest.raises(ValueError, match="another loss for the same weights"):
        check_gradients(model_of(layers.Dense(3), Unsteady()), *data)


def test_only_some_figures_of_large_arrays(rng):
    model = model_of(layers.Dense(50), layers.Dense(1))
    x = rng.normal(size=(3, 20))
    check = check_gradients(model, x, x[:, :1], most=7)
    assert [one.checked for one in check.parameters] == [7, 7, 7, 1] and check.inputs.checked == 7
    assert check.ok
    for one in check.parameters:
        gradient = model.gradients(x, x[:, :1])[1][check.parameters.index(one)]
        assert one.gradient == pytest.approx(gradient[one.place], rel=1e-4)


def test_frozen_weights_and_numbers_of_rows_are_left_out():
    model = model_of(layers.Embedding(5, 3), layers.Flatten(), layers.Dense(2, trainable=False), layers.Dense(1))
    check = check_gradients(model, [[0, 1], [4, 4]], [[1.0], [2.0]])
    assert check.ok and check.inputs is None and len(check.parameters) == 3


@pytest.mark.parametrize(
    "loss, y", [(losses.Triplet(), None), (losses.Huber(0.3), "y"), (losses.Hinge(), "sign"), (losses.LogCosh(), "y")]
)
def test_other_losses(rng, loss, y):
    x = rng.normal(size=(5, 3, 4) if y is None else (5, 4))
    targets = rng.normal(size=(5, 2))
    targets = {None: None, "y": targets, "sign": np.sign(targets)}[y]
    model = fastnn.Sequential([layers.Dense(2, "tanh")], seed=0)
    model.compile("adam", loss, loss_weights=3.0)
    check = check_gradients(model, x, targets)
    assert check.ok and check.loss == pytest.approx(model.evaluate(x, targets, batch_size=5, verbose=0), rel=1e-5)


def test_what_cannot_be_checked_is_refused(data):
    with pytest.raises(TypeError, match="model: expected a Sequential, got str"):
        check_gradients("model", *data)
    with pytest.raises(fastnn.NotCompiledError):
        check_gradients(fastnn.Sequential([layers.Dense(1)]), *data)
    model = model_of(layers.Dense(3))
    with pytest.raises(ValueError, match="there are no samples"):
        check_gradients(model, np.empty((0, 4)), np.empty((0, 3)))
    for options, name in (({"most": 0}, "most"), ({"tolerance": 0}, "tolerance"), ({"step": -1}, "step")):
        with pytest.raises(ValueError, match=name):
            check_gradients(model, *data, **options)
    with pytest.raises(ValueError, match="finite"):
        check_gradients(model, np.full((2, 4), np.nan), np.zeros((2, 3)))
    model.build((None, 4))
    model.layers[0].bias[...] = np.inf
    with pytest.raises((ValueError, fastnn.DivergenceError)):
        check_gradients(model, *data)


# -------------------------------------------------------------------------------------------------------- gradient_flow


def test_flow_is_what_numpy_computes(data):
    x, y = data
    model = model_of(layers.Dense(5, "relu"), layers.Dense(4, "sigmoid"), layers.Dense(3), dtype="float64")
    flow = gradient_flow(model, x, y)
    model.build((None, 4))
    loss, gradients = model.gradients(x, y)
    assert flow.loss == pytest.approx(loss)
    a = np.maximum(x @ model.weights[0] + model.weights[1], 0)
    b = 1 / (1 + np.exp(-(a @ model.weights[2] + model.weights[3])))
    outputs = [a, b, b @ model.weights[4] + model.weights[5]]
    assert [one.name for one in flow.layers] == [layer.name for layer in model.layers]
    for i, (one, output) in enumerate(zip(flow.layers, outputs, strict=True)):
        arrays = model.weights[2 * i : 2 * i + 2]
        assert one.gradient == pytest.approx(np.sqrt(sum((g**2).sum() for g in gradients[2 * i : 2 * i + 2])))
        assert one.weight == pytest.approx(np.sqrt(sum((w**2).sum() for w in arrays)))
        assert one.mean == pytest.approx(output.mean()) and one.std == pytest.approx(output.std())
    assert flow.layers[0].dead == np.mean((a == 0).all(axis=0)) and flow.layers[0].saturated is None
    assert flow.layers[1].saturated == np.mean(4 * b * (1 - b) < 0.05) and flow.layers[1].dead is None
    assert (flow.layers[2].activation, flow.layers[2].dead, flow.layers[2].saturated) == (None, None, None)
    table = str(flow).splitlines()
    assert len(table) == 5 and "saturated" in table[1]
    assert f"{flow.layers[0].gradient:.3g}" in table[2] and "relu" in table[2]


@pytest.mark.parametrize(
    "name, x, dead, saturated",
    [
        ("relu", [[-1, 2, -3], [-1, -1, 0]], 2 / 3, None),
        ("relu6", [[-1, 9, -3], [-1, 9, 1]], 1 / 3, None),
        ("hard_silu", [[-4, 1, -2], [-4, 1, -2]], 1 / 3, None),
        ("leaky_relu", [[-1, 2, -3], [-1, -1, 0]], None, None),
        ("sigmoid", [[-5, 0, 5], [1, 2, 4.3]], None, 2 / 6),
        ("tanh", [[-5, 0, 5], [1, 2.3, 2]], None, 3 / 6),
        ("hard_sigmoid", [[-4, 0, 4], [1, 2.9, 3.1]], None, 3 / 6),
        ("hard_tanh", [[-4, 0, 4], [1.1, 0.9, -0.9]], None, 3 / 6),
        ("softsign", [[-4, 0, 4], [3, 9, -0.9]], None, 3 / 6),
        ("softmax", [[-4, 0, 4], [3, 9, -0.9]], None, None),
    ],
)
def test_dead_and_saturated_units(name, x, dead, saturated):
    model = model_of(layers.Activation(name), layers.Dense(1))
    first = gradient_flow(model, np.array(x, float), [[1.0], [2.0]]).layers[0]
    assert (first.dead, first.saturated) == (dead, saturated)
    assert first.activation == name and first.gradient is None and first.weight is None


def test_relu_layers_with_a_slope_do_not_die():
    for layer, dead in ((layers.ReLU(max_value=2), 0.5), (layers.ReLU(negative_slope=0.1, max_value=2), None)):
        first = gradient_flow(model_of(layer, layers.Dense(1)), [[-1.0, 1.0]], [[1.0]]).layers[0]
        assert first.dead == dead


def test_flow_through_branches(data):
    x, y = data
    inner = fastnn.Sequential([layers.Dense(4, "tanh", name="inside")])
    model = model_of(
        layers.Residual([layers.Dense(6, "relu", name="up"), layers.Dense(5, name="down")], projection="dense"),
        layers.Parallel([layers.Dense(2, name="left"), [layers.Dense(3, name="right")]], merge="concatenate"),
        layers.Parallel([layers.Dense(4, name="one"), layers.Dense(4, name="two")]),
        inner, layers.Dropout(0.5), layers.Dense(3, name="out"),
    )  # fmt: skip
    flow = gradient_flow(model, x, y)
    names = [one.name for one in flow.layers]
    assert names[:2] + names[3:] == ["up", "down", "left", "right", "one", "two", "inside", "out"]
    model.build((None, 4))
    from fastnn.diagnostics._flow import run_layers

    np.testing.assert_allclose(run_layers(model, model._stack, x, False, lambda *_: None), model(x), rtol=1e-5)


def test_flow_of_gradients_that_vanish_and_explode(rng):
    x, y = rng.normal(size=(64, 8)), rng.normal(size=(64, 1))

    def ratio(stddev):
        init = fastnn.initializers.RandomNormal(stddev=stddev)
        hidden = [layers.Dense(8, "sigmoid", kernel_initializer=init) for _ in range(6)]
        flow = gradient_flow(model_of(*hidden, layers.Dense(1)), x, y).layers
        return flow[0].gradient / flow[5].gradient

    assert ratio(0.1) < 1e-6 < 1e-3 < ratio(2.0)


def test_a_layer_that_is_frozen_has_no_gradient(data):
    model = model_of(layers.Dense(3, "relu", trainable=False), layers.Dense(3))
    first = gradient_flow(model, *data).layers[0]
    assert first.gradient is None and first.weight is None and first.std > 0


def test_training_mode_takes_the_batchs_statistics(rng):
    x = 5 + 3 * rng.normal(size=(200, 2))
    model = model_of(layers.BatchNormalization(), layers.Dense(1))
    assert gradient_flow(model, x, x[:, :1]).layers[0].std > 2.5
    assert gradient_flow(model, x, x[:, :1], training=True).layers[0].std == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("look", [check_gradients, lambda *a: gradient_flow(*a, training=True), gradient_flow])
def test_the_model_stays_as_it_is(data, look, built):
    model = model_of(layers.Dense(4, "relu"), layers.Dropout(0.2), layers.BatchNormalization(), layers.Dense(3),
                     optimizer="adam")  # fmt: skip
    twin = model_of(*[type(one).from_config(one.get_config()) for one in model.layers], optimizer="adam")
    x, y = data
    if built:
        model.fit(x, y, verbose=0)
        twin.fit(x, y, verbose=0)
        before = state_of(model)
    look(model, x, y)
    assert model.built is built
    if built:
        assert state_of(model) == before
    assert model.fit(x, y, epochs=2, verbose=0).history == twin.fit(x, y, epochs=2, verbose=0).history


# -------------------------------------------------------------------------------------------------------------- lr_find


@pytest.mark.parametrize("optimizer", ["adam", optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 5, 0.9))])
@pytest.mark.parametrize("built", [False, True])
def test_a_range_test_leaves_everything_as_it_was(data, built, optimizer):
    """Weights, optimizer, metrics, counters, seeds: the fit that follows is the same to the last bit."""
    x, y = data

    def made():
        given = optimizers.get(optimizer)
        own = type(given).from_config(given.get_config())
        return model_of(
            layers.Dense(4, "relu"), layers.Dropout(0.2), layers.BatchNormalization(), layers.Dense(3), optimizer=own
        )

    model, twin = made(), made()
    if built:
        for one in (model, twin):
            one.fit(x, y, epochs=2, batch_size=5, verbose=0)
        before = state_of(model)
        metrics = model.metrics_names, [one.result() for one in model.metrics], model.optimizer.get_config()
    drawn = np.random.get_state()[1].copy()
    lr_find(model, x, y, steps=30, batch_size=4)
    np.testing.assert_array_equal(np.random.get_state()[1], drawn)
    assert model.built is built and model.stop_training is False
    if built:
        assert state_of(model) == before
        assert (model.metrics_names, [one.result() for one in model.metrics], model.optimizer.get_config()) == metrics
    for _ in range(2):
        assert model.fit(x, y, verbose=0).history == twin.fit(x, y, verbose=0).history
    for one, other in zip(model.weights, twin.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_sweep_is_that_of_a_loop(rng):
    """One sweep over whole batches, against NumPy: gradient descent on a line, at rates with even exponents."""
    x = rng.normal(size=(20, 1))
    y = 3 * x + 1
    model = model_of(layers.Dense(1), dtype="float64")
    model.build((None, 1))
    w, b = float(model.weights[0][0, 0]), 0.0
    found = lr_find(model, x, y, min_lr=1e-3, max_lr=0.1, steps=50, batch_size=20, sweeps=1)
    rates = 10 ** np.linspace(-3, -1, 50)
    losses, probe = [], []
    for rate in rates:
        error = (w * x + b - y)[:, 0]
        losses.append(np.mean(error**2))
        w, b = w - rate * 2 * np.mean(error * x[:, 0]), b - rate * 2 * np.mean(error)
        probe.append(np.mean((w * x + b - y) ** 2))
    np.testing.assert_allclose(found.rates, rates)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-6)
    np.testing.assert_allclose(found.probe, probe, rtol=1e-6)
    bell = np.exp(-0.5 * ((np.log10(rates)[:, None] - np.log10(rates)) / 0.2) ** 2)
    np.testing.assert_allclose(found.smoothed, bell @ losses / bell.sum(axis=1), rtol=1e-6)
    # the loss fell to the end: the guess is a quarter of the last rate, and the fit at the last one ends lowest
    ends = {}
    for rate in (*(0.025 * 2.0 ** np.arange(-2, 3)), 0.1 / 2**0.5):
        w, b = float(model.weights[0][0, 0]), 0.0
        for _ in range(15):
            error = (w * x + b - y)[:, 0]
            w, b = w - rate * 2 * np.mean(error * x[:, 0]), b - rate * 2 * np.mean(error)
        ends[rate] = np.mean((w * x + b - y) ** 2)
    assert min(ends, key=ends.get) == pytest.approx(0.1) and sorted(ends.values())[1] > 1.02 * min(ends.values())
    assert found.suggestion == pytest.approx(0.1)


def test_a_sweep_stops_where_the_loss_diverges(rng):
    """Gradient descent on w^2 E[x^2] diverges from the rate 1 / E[x^2] on."""
    x = rng.normal(size=(64, 1)) * 10
    model = model_of(layers.Dense(1, use_bias=False, kernel_initializer="ones"), dtype="float64")
    found = lr_find(model, x, 0 * x, max_lr=100, steps=400, batch_size=64)
    edge = 1 / np.mean(x**2)
    assert edge < found.rates[-1] < 10 * edge and len(found.rates) == len(found.losses) == len(found.smoothed) < 400
    assert edge / 20 < found.suggestion < edge
    assert f"suggested rate {found.suggestion:.3g}" in str(found)


def test_the_same_seed_finds_the_same(data):
    model = model_of(layers.Dense(3, "tanh"), layers.Dense(3))
    one, same, other = (lr_find(model, *data, steps=20, batch_size=4, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.losses, same.losses)
    assert one.suggestion == same.suggestion and not np.array_equal(one.losses, other.losses)


@pytest.mark.parametrize("low, high, edge, words", [
    (1e-5, 0.01, "max_lr", "pass a larger max_lr to look further"),
    (0.4, 0.8, "min_lr", "pass a smaller min_lr to look further"),
    (1e-4, 3.0, None, ""),
])  # fmt: skip
def test_a_suggestion_at_the_edge_of_the_search_says_so(rng, low, high, edge, words):
    """w^2 E[x^2] with E[x^2] = 1 / 0.6: gradient descent is fastest at the rate 0.3, and diverges from 0.6 on."""
    x = rng.normal(size=(64, 1))
    x *= np.sqrt(1 / 0.6 / np.mean(x**2))
    model = model_of(layers.Dense(1, use_bias=False, kernel_initializer="ones"), dtype="float64")
    found = lr_find(model, x, 0 * x, min_lr=low, max_lr=high, batch_size=64, epochs=8)
    assert found.edge == edge
    assert found.suggestion == {"max_lr": pytest.approx(high), "min_lr": pytest.approx(low)}.get(edge, found.suggestion)
    assert ("at the edge of the search" in str(found)) == (edge is not None) and words in str(found)


def test_results_are_readable(data, rng):
    """Not lists of thousands of figures; and tables in notebooks, with names escaped."""
    model = model_of(layers.Dense(3, "tanh", name="a<b>"), layers.Dense(3))
    found = lr_find(model, *data, steps=50, batch_size=4)
    assert repr(found) == f"RangeTest: {found}" and len(repr(found)) < 300
    rows = re.findall(r"<tr>(<td>.*?)</tr>", found._repr_html_())
    figures = [re.findall(r"<td>(.*?)</td>", row) for row in rows]
    assert figures[0][0] == f"{found.rates[0]:.3g}" and figures[0][1] == f"{found.smoothed[0]:.3g}"
    assert 2 <= len(figures) <= 13 and figures[-1][2] == f"{found.probe[-1]:.3g}"
    assert escape(str(found)) in found._repr_html_()

    flow = gradient_flow(model, *data)
    assert repr(flow) == f"GradientFlow: {flow}" and len(repr(flow).splitlines()) == 4
    html = flow._repr_html_()
    assert "<td>a&lt;b&gt;</td><td>tanh</td>" in html and f"loss {flow.loss:.4g}" in html
    assert html.count("<tr>") == 1 + len(flow.layers) + 1

    checked = check_gradients(model, *data)
    assert checked.ok and repr(checked) == f"GradientCheck: {checked}"
    html = checked._repr_html_()
    assert html.count("<td>yes</td>") == len(checked.parameters) + 1 and escape(str(checked).splitlines()[0]) in html


def test_no_rate_where_none_helps():
    model = model_of(layers.Dense(1, kernel_initializer="zeros"))
    found = lr_find(model, np.ones((4, 2)), np.zeros((4, 1)), steps=10)
    assert found.suggestion is None and "at no rate" in str(found)


def test_weights_and_streams_of_a_range_test(rng):
    """Samples without weight do not count."""
    x, y = rng.normal(size=(16, 2)), rng.normal(size=(16, 1))
    model = model_of(layers.Dense(1))
    weights = np.zeros(16)
    weights[:3] = 1
    found = lr_find(model, x, y, weights, steps=5, batch_size=16, sweeps=1)
    y[3:] += 100
    again = lr_find(model, x, y, weights, steps=5, batch_size=16, sweeps=1)
    np.testing.assert_allclose(found.losses, again.losses, rtol=1e-5)
    bad = {"min_lr": 0, "max_lr": 1e-6, "steps": 1, "sweeps": 0, "batch_size": 0, "epochs": 0, "seed": -1}
    for name, value in bad.items():
        with pytest.raises(ValueError, match=name):
            lr_find(model, x, y, **{name: value})
    with pytest.raises(ValueError, match="finite"):
        lr_find(model, np.full((4, 2), np.nan), np.zeros((4, 1)))
    with pytest.raises(ValueError, match="there are no samples"):
        lr_find(model, np.empty((0, 2)), np.empty((0, 1)))
    with pytest.raises(fastnn.DivergenceError, match="min_lr"):
        lr_find(model, 1e30 * x, y, min_lr=1.0, max_lr=2.0)


def test_fits_of_the_length_to_come(rng):
    """One weight and no noise: a step takes 1 - 2 r mean(x^2) of the error, so that the best rate is known, and how far
    from it every other ends."""
    x = rng.normal(size=(64, 1))
    model = model_of(layers.Dense(1, use_bias=False, kernel_initializer="ones"), dtype="float64")
    best = 0.5 / np.mean(x**2)
    for low, high in ((1e-5, 10.0), (best / 500, best / 64), (best * 1.1, 10.0)):
        found = lr_find(model, x, 0 * x, min_lr=low, max_lr=high, steps=50, batch_size=64, epochs=3).suggestion
        if high < best or low > best:
            assert found == pytest.approx(high if high < best else low, rel=1e-12)
        else:
            assert best / 2**0.5 < found < best * 2**0.5


def test_fits_are_those_that_come(data):
    """With dropout and shuffling, at the suggestion and beside it: the model's seeds are those of the fits tried."""
    x, y = data

    def made(rate):
        return model_of(layers.Dense(16, "tanh"), layers.Dropout(0.2), layers.Dense(3), optimizer=optimizers.SGD(rate))

    found = lr_find(made(0.1), x, y, batch_size=4, epochs=7).suggestion
    losses = []
    for rate in (found, found / 2, found * 2):
        model = made(rate)
        model.fit(x, y, batch_size=4, epochs=7, verbose=0)
        losses.append(model.evaluate(x, y, verbose=0)[0])
    assert losses[0] <= 1.02 * min(losses)


def test_fits_of_many_samples_are_short(rng):
    """A pass over 5,000 batches is cut at 4,000 steps, without a word."""
    x = rng.normal(size=(5000, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = lr_find(model_of(layers.Dense(1)), x, 2 * x, batch_size=1, steps=20)
    assert 0 < seen.suggestion < 1


@pytest.mark.parametrize("epochs", ["told", "not told"])
@pytest.mark.parametrize(
    "name", ["regression", "regression, unscaled", "regression, larger", "moons", "blobs, unscaled"]
)
def test_training_at_the_suggestion_is_nearly_the_best(name, epochs, sources):
    """Some of the ten tasks of scripts/lr_find_tasks.py, against its grid of 13 rates."""
    script = runpy.run_path(str(sources / "scripts" / "lr_find_tasks.py"))
    task = next(one for one in script["tasks"]() if one.name == name)
    assert script["ratios"](task, task.epochs if epochs == "told" else None)[1][0] <= 1.10


# ------------------------------------------------------------------------------------------------------------- diagnose


def binary(rng, *hidden, rate=0.3, output="sigmoid", loss="binary_crossentropy", scale=1.0, **options):
    """Two classes that a curve separates, and a network for them."""
    x = rng.normal(size=(200, 4))
    y = (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype(float)
    model = fastnn.Sequential([*hidden, layers.Dense(1, output, **options)], seed=0)
    model.compile(optimizers.SGD(rate), loss)
    return model, scale * x, y


def hidden(count=2, activation="tanh", **options):
    return [layers.Dense(16, activation, **options) for _ in range(count)]


NORMAL = fastnn.initializers.RandomNormal
CONSTANT = fastnn.initializers.Constant
PLANTED = {
    "vanishing gradients": lambda r: binary(r, *hidden(12, kernel_initializer=NORMAL(stddev=0.01))),
    "exploding gradients": lambda r: binary(r, *hidden(12, "relu", kernel_initializer=NORMAL(stddev=1.0))),
    "dying relu": lambda r: binary(r, *hidden(2, "relu", bias_initializer=CONSTANT(-9.0))),
    "rate too high": lambda r: binary(r, *hidden(2, "relu"), rate=100.0),
    "rate too low": lambda r: binary(r, *hidden(), rate=1e-6),
    "symmetric start": lambda r: binary(r, *hidden(kernel_initializer=CONSTANT(0.3)), kernel_initializer=CONSTANT(0.3)),
    "unscaled inputs": lambda r: binary(r, *hidden(), scale=0.001),
    "wrong output": lambda r: binary(r, *hidden(), output="softmax"),
}
CHANGES = {
    "vanishing gradients": "kernel_initializer", "exploding gradients": "kernel_initializer", "dying relu": "bias_init",
    "rate too high": "learning_rate", "rate too low": "learning_rate", "symmetric start": "kernel_initializer",
    "unscaled inputs": "Normalization", "wrong output": "activation='sigmoid'",
}  # fmt: skip


def trained(model, x, y):
    try:
        model.fit(x, y, epochs=200, verbose=0)
    except fastnn.DivergenceError:
        return np.inf
    loss = model.evaluate(x, y, verbose=0)
    return loss[0] if isinstance(loss, list) else loss


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_named_and_cured(rng, fault):
    model, x, y = PLANTED[fault](rng)
    model.evaluate(x, y, verbose=0)  # builds it, and its optimizer
    before = state_of(model)
    found = diagnose(model, x, y)
    assert state_of(model) == before
    assert found.fault == fault and bool(found)
    assert str(found) == found.sentence and found.sentence.endswith(".") and CHANGES[fault] in found.sentence
    assert repr(found) == f"Diagnosis: {found.sentence}"
    html = found._repr_html_()
    assert f"<caption>Diagnosis: {fault}</caption>" in html and escape(found.sentence) in html
    assert all(f"<td>{name}</td><td>{value:.3g}</td>" in html for name, value in found.evidence.items())
    better = found.change.apply(model, x)
    assert state_of(model) == before
    assert trained(better, x, y) < 0.5 * trained(model, x, y)


def test_a_healthy_network_is_left_in_peace(rng):
    for model, x, y in (binary(rng, *hidden()), binary(rng, *hidden(3, "relu"), rate=0.05), binary(rng)):
        found = diagnose(model, x, y)
        assert not found and found.fault is None and found.sentence == "" and found.change is None
        before, after = found.evidence["loss"], found.evidence["loss after a trial"]
        assert before > after
        assert str(found) == f"The network is healthy: in a trial the loss falls from {before:.3g} to {after:.3g}."
        assert repr(found) == f"Diagnosis: {found}"
        assert "<caption>Diagnosis: no fault</caption>" in found._repr_html_() and str(found) in found._repr_html_()


def test_no_fault_is_not_called_healthy_where_the_loss_does_not_fall():
    """The output is right from the start."""
    model = model_of(layers.Dense(1, use_bias=False, kernel_initializer="ones"))
    x = np.array([[1.0], [2.0], [-1.0], [-2.0]])
    found = diagnose(model, x, x)
    assert not found and found.evidence["loss"] == found.evidence["loss after a trial"] == 0
    assert str(found) == "No fault was found, but in a trial the loss does not fall: it goes from 0 to 0."


@pytest.mark.parametrize("place", [0, 1, 2])
def test_units_that_die_in_a_layer_are_not_taken_for_signals_that_vanish(rng, place):
    """Whatever comes behind is silent too: what is to be named is the layer where it begins."""
    stack = [part for i in range(3) for part in (layers.Dense(16, name=f"d{i}"), layers.ReLU(name=f"r{i}"))]
    model, x, y = binary(rng, *stack)
    model.build((None, 4))
    model.get_layer(f"d{place}").bias[...] = -30
    found = diagnose(model, x, y)
    assert found.fault == "dying relu"
    assert not np.any(found.change.apply(model, x).get_layer(f"d{place}").bias)


@pytest.mark.parametrize("rate, fault", [(3e-5, "rate too low"), (0.01, None), (1.0, "rate too high")])
def test_a_rate_is_not_judged_by_the_way_down_from_large_first_weights(rng, rate, fault):
    """The output begins at some ten times y: to come down from there is no learning yet."""
    x = rng.normal(size=(300, 4))
    y = np.sin(x[:, :1]) + x[:, 1:2]
    model = fastnn.Sequential([*hidden(2, "relu"), layers.Dense(1, kernel_initializer=NORMAL(stddev=5.0))], seed=1)
    model.compile(optimizers.Adam(rate), "mse")
    found = diagnose(model, x, y / y.std())
    assert found.evidence["loss"] > 5 and found.fault == fault


def test_units_that_part_in_time_are_drawn_anew_as_well(rng):
    """Only the first layer's units stay equal for ever here; the second's have other gradients."""
    model, x, y = binary(rng, *hidden(3), kernel_initializer="ones")
    model.build((None, 4))
    for layer in model.layers[:3]:
        layer.kernel[...] = layer.kernel[:, :1]
    found = diagnose(model, x, y)
    assert found.fault == "symmetric start"
    assert {layer.name for layer in model.layers[:3]} <= set(found.change.layers)


@pytest.mark.parametrize(
    "output, loss, y, wanted",
    [
        ("linear", "sparse_categorical_crossentropy", "classes", "softmax"),
        ("sigmoid", "categorical_crossentropy", "one-hot", "softmax"),
        ("softmax", losses.CategoricalCrossentropy(from_logits=True), "one-hot", "linear"),
        ("softmax", "categorical_crossentropy", "one-hot", None),
        ("linear", losses.CategoricalCrossentropy(from_logits=True), "one-hot", None),
        ("linear", "binary_crossentropy", "one-hot", "sigmoid"),
        ("sigmoid", losses.BinaryCrossentropy(from_logits=True), "one-hot", "linear"),
        ("sigmoid", "binary_crossentropy", "one-hot", None),
        ("softmax", "binary_crossentropy", "one-hot", None),
        ("softmax", "binary_crossentropy", "many-hot", "sigmoid"),
        ("relu", "mse", "numbers", "linear"),
        ("tanh", "mae", "numbers", "linear"),
        ("tanh", "mse", "small numbers", None),
        ("sigmoid", "mse", "one-hot", None),
        ("linear", "huber", "numbers", None),
        ("linear", "poisson", "counts", "softplus"),
        ("exponential", "poisson", "counts", None),
        ("sigmoid", "hinge", "signs", "linear"),
        ("tanh", "hinge", "signs", None),
        ("softmax", "kl_divergence", "one-hot", None),
    ],
)
def test_outputs_that_cannot_be_what_the_loss_asks_for(rng, output, loss, y, wanted):
    x = rng.normal(size=(90, 4))
    label = np.argmax(x[:, :3], axis=1)
    targets = {
        "classes": label, "one-hot": np.eye(3)[label], "many-hot": (x[:, :3] > 0).astype(float),
        "numbers": 2 * x[:, :3], "small numbers": np.tanh(x[:, :3]), "counts": rng.poisson(2, (90, 3)),
        "signs": np.sign(x[:, :3]),
    }[y]  # fmt: skip
    for parts in ([layers.Dense(3, output, name="out")], [layers.Dense(3), layers.Activation(output, name="out")]):
        model = fastnn.Sequential([layers.Dense(8, "tanh"), *parts], seed=0)
        model.compile("adam", loss)
        found = diagnose(model, x, targets, steps=20)
        assert (found.fault == "wrong output") == (wanted is not None)
        if wanted is not None:
            assert found.change.layers == {"out": {"activation": wanted}}
            better = found.change.apply(model, x)
            assert better.get_layer("out").get_config()["activation"] == wanted
            assert diagnose(better, x, targets, steps=20).fault != "wrong output"


def test_a_single_unit_of_softmax_is_always_1(rng):
    model, x, y = binary(rng, output="softmax")
    assert diagnose(model, x, y, steps=20).fault == "wrong output"


def test_a_change_is_applied_to_a_copy(rng):
    """Weights that it does not speak of stay; those whose initializer changes are drawn anew; files keep it."""
    model, x, y = binary(rng, layers.Dense(5, "sigmoid", name="a"), layers.ReLU(max_value=6, name="b"),
                         layers.Residual([layers.Dense(5, "tanh", name="c")]))  # fmt: skip
    model.compile(optimizers.SGD(0.1, momentum=0.5), "mse", metrics=["accuracy"], weighted_metrics=["mae"])
    model.build((None, 4))
    change = Change(
        layers={
            "a": {"activation": "relu", "kernel_initializer": "he_normal"},
            "b": {"activation": "leaky_relu"},
            "c": {"kernel_initializer": "zeros", "bias_initializer": "ones"},
        },
        optimizer={"learning_rate": 0.5},
        normalize=True,
    )
    before = model.get_weights()
    better = change.apply(model, 10 * x)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert better.optimizer.learning_rate == 0.5 and better.optimizer.momentum == 0.5 and better.loss == "mse"
    kinds = [type(layer).__name__ for layer in better.layers]
    assert kinds == ["Normalization", "Dense", "Activation", "Residual", "Dense"]
    a, c = better.get_layer("a"), better.get_layer(index=3).layers[0]
    assert np.any(a.kernel != before[0]) and np.all(c.kernel == 0) and np.all(c.bias == 1)
    np.testing.assert_array_equal(better.layers[-1].kernel, before[-2])
    scaled = x / x.std(axis=0) - x.mean(axis=0) / x.std(axis=0)
    z = np.maximum(scaled @ a.kernel + a.bias, 0)
    np.testing.assert_allclose(
        better(10 * x), 1 / (1 + np.exp(-((z + np.tanh(1)) @ before[-2] + before[-1]))), rtol=1e-4
    )
    again = fastnn.Sequential.from_config(better.get_config())
    again.set_weights(better.get_weights())
    np.testing.assert_array_equal(again(x), better(x))
    better.fit(x, y, verbose=0)
    assert set(better.metrics_names) == {"loss", "accuracy", "mae"}


def test_a_change_says_what_it_is():
    same = {"activation": "relu"}
    change = Change(
        layers={"a": same, "b": same, "c": {"bias_initializer": "zeros"}}, optimizer={"learning_rate": 0.01}
    )
    assert str(change) == (
        "set activation='relu' in a and b, and set bias_initializer='zeros' in c, "
        "and set learning_rate=0.01 of the optimizer"
    )
    assert str(Change(normalize=True)) == "put a Normalization layer, adapted to x, in front"


def test_what_cannot_be_diagnosed_is_refused(rng):
    model, x, y = binary(rng)
    with pytest.raises(ValueError, match="there are no samples"):
        diagnose(model, x[:0], y[:0])
    with pytest.raises(ValueError, match="finite"):
        diagnose(model, np.nan * x, y)
    with pytest.raises(ValueError, match="steps"):
        diagnose(model, x, y, steps=0)
    with pytest.raises(TypeError, match="expected a Sequential"):
        diagnose(None, x, y)


def test_random_networks(sources):
    """A part of scripts/diagnose_trials.py, with another seed than its own."""
    script = runpy.run_path(str(sources / "scripts" / "diagnose_trials.py"))
    named, silent, halved = script["run"](24, seed=7)
    assert named >= 0.9 and silent >= 0.95 and halved >= 0.8


# --------------------------------------------------------------------------------------------------- pages and examples


def test_the_page_runs_and_says_what_it_shows(sources):
    names = {}
    page = (sources / "docs" / "diagnostics.md").read_text("utf-8")
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, names)
    assert names["found"].fault == "vanishing gradients" and "activation='relu'" in str(names["found"])
    assert names["after"] < names["before"] / 2
    assert names["ratio"] < 1e-5
    assert not names["check"].ok and "Suspect: backward of 'square'" in str(names["check"])
    assert all(f'`"{fault}"`' in page for fault in PLANTED)


def test_vanishing_gradients_are_cured_by_one_argument(sources, tmp_path, capsys):
    """The figures that examples/vanishing.py prints: of five seeds, and their medians."""
    optional("matplotlib").use("Agg")
    example = runpy.run_path(str(sources / "examples" / "vanishing.py"))
    example["main"](tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10000
    tables = capsys.readouterr().out.strip().split("\n\n")
    assert [table[:36].strip() for table in tables] == [name for name, *_ in example["CASES"]]
    cured = [(0.01, 0.1), (0.0005, 0.02), (0.03, 0.4), (0.6, 0.7), (0.692, 0.694), (0.692, 0.694)]
    for number, (table, (_, before, change), (low, high)) in enumerate(
        zip(tables, example["CASES"], cured, strict=True)
    ):
        assert len(change) == 1
        figures = np.array([line[36:].split() for line in table.splitlines()[1:]], float)
        np.testing.assert_allclose(figures[:, 5], np.median(figures[:, :5], axis=1))
        norm, loss, better, ends = figures
        if before["activation"] == "relu":
            assert np.all(loss == np.inf) and norm.min() > 1
        else:
            assert norm.max() < 1e-9 and np.all(np.abs(loss - 0.693) < 2e-3)
            assert better.max() < 1e-9 if number > 3 else better.min() > 1e-3
        assert low < ends[5] < high


@pytest.mark.parametrize("name", ["learning_rate", "activations", "losses", "descent"])
def test_examples_run(name, sources, capsys):
    runpy.run_path(str(sources / "examples" / f"{name}.py"))["main"]()
    said = capsys.readouterr().out
    figures = [float(number) for number in re.findall(r"-?\d+\.\d+", said)]
    assert len(figures) > 5 and np.isfinite(figures).all()
    if name == "activations":
        assert "PReLU with slope 0 is ReLU: True" in said and "leaky ReLU: True" in said
    if name == "losses":  # squares follow the outlier, the others do not
        slopes = [float(line.split()[-2].rstrip(",")) for line in said.splitlines()[1:]]
        assert slopes[0] < 0 < 1.7 < min(slopes[1:])


# ----------------------------------------------------------------------------------------------------------- docstrings


@pytest.mark.parametrize("name", ["_check", "_flow", "_range", "_diagnose"])
def test_docstrings(name):
    found = doctest.testmod(importlib.import_module(f"fastnn.diagnostics.{name}"))
    assert found.failed == 0 and found.attempted > 0


def test_what_explodes_is_named_though_it_learns_by_heart():
    """A first loss of tens of thousands is noise, whatever the steps after it make of the samples."""
    x, y = fastnn.datasets.circles(300)
    wide = fastnn.initializers.RandomUniform(-1.07, 1.07)
    hidden = [layers.Dense(48, "elu", kernel_initializer=wide) for _ in range(12)]
    model = fastnn.Sequential([*hidden, layers.Dense(1, "sigmoid")], seed=1)
    model.compile(optimizers.Adam(0.0025), "binary_crossentropy")
    found = diagnose(model, x, y)
    assert found.fault == "exploding gradients" and found.evidence["loss after a trial"] < 0.01


def test_units_that_are_not_missed_are_not_spoken_of():
    x, y = fastnn.datasets.circles(300)
    hidden = [layers.Dense(units, "relu", kernel_initializer="he_normal") for units in (32, 16)]
    model = fastnn.Sequential([layers.Input((2,)), *hidden, layers.Dense(1, "sigmoid")], seed=2)
    model.layers[0].bias[:20] = -50
    model.compile(optimizers.Adam(0.01), "binary_crossentropy")
    found = diagnose(model, x, y)
    assert found.fault is None and found.evidence["dead units"] > 0.6
    model.layers[0].bias[:] = -50
    assert diagnose(model, x, y).fault == "dying relu"
