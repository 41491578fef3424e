"""fastnn.explain: every figure of a step is right, the model stays as it is, and a student's figures are marked."""

import copy
import doctest
import importlib
import math
import re
import runpy
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import pytest
from optional import optional

import fastnn
from fastnn import Sequential, layers, losses, optimizers, regularizers
from fastnn.layers._base import clear_names
from fastnn.reference.autograd import Value


class Quartic(losses.Loss):
    """A loss that is written in Python."""

    def call(self, y_true, y_pred):
        return np.sum((y_pred - y_true) ** 4, axis=-1)

    def gradient(self, y_true, y_pred):
        return 4 * (y_pred - y_true) ** 3


class Lazy(optimizers.Optimizer):
    """An optimizer that is."""

    def update_step(self, gradient, variable, learning_rate):
        variable -= learning_rate * np.sign(gradient)


class Scaled(layers.Layer):
    """One that is written in Python."""

    def build(self, input_shape):
        self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")

    def forward(self, x, training):
        self.x = x
        return 3 * x * self.factor

    def backward(self, dy):
        self.add_gradient(self.factor, (3 * dy * self.x).sum(axis=0))
        return 3 * dy * self.factor


def bent(x):
    return x + x**2


bent.derivative = lambda x: 1 + 2 * x


def one_hot(rows):
    return np.eye(3)[np.arange(rows) % 3]


def networks():
    """Of each its layers, a sample's shape, targets for a number of rows, and the loss."""
    dense, activation = layers.Dense, layers.Activation
    penalty = regularizers.L1L2(0.1, 0.2)
    return {
        "mse": ([dense(3, "tanh"), dense(2)], (2,), lambda n: np.ones((n, 2)), "mse"),
        "half mse": ([dense(3, "gelu"), dense(1, "softplus")], (2,), np.ones, "half_mean_squared_error"),
        "softmax": ([dense(3, "relu"), dense(3, "softmax")], (2,), one_hot, "categorical_crossentropy"),
        "labels": ([dense(3, "elu"), dense(3, "softmax")], (2,), np.arange, "sparse_categorical_crossentropy"),
        "sigmoid": ([dense(2, "selu"), dense(1, "sigmoid")], (2,), np.ones, "binary_crossentropy"),
        "smoothed": (
            [dense(2), dense(2, "sigmoid")],
            (2,),
            lambda n: np.ones((n, 2)),
            losses.BinaryCrossentropy(label_smoothing=0.2),
        ),
        "softmax with mse": ([dense(3, "softmax")], (2,), one_hot, "mse"),
        "rows": ([dense(4, "glu"), dense(3, "log_softmax")], (2,), one_hot, "mae"),
        "apart": (
            [layers.Flatten(), dense(3), activation("sigmoid"), dense(3), layers.Softmax()],
            (2, 2),
            one_hot,
            "categorical_crossentropy",
        ),
        "parametric": (
            [activation("tanh"), dense(3), layers.LeakyReLU(0.2), layers.ReLU(max_value=0.5), layers.ELU(0.7)],
            (2,),
            one_hot,
            "huber",
        ),
        "own activation": ([dense(3, bent, use_bias=False), dense(3)], (2,), one_hot, "log_cosh"),
        "axes": ([dense(3, "tanh"), dense(1)], (4, 2), lambda n: np.ones((n, 4, 1)), "mse"),
        "penalties": (
            [dense(3, "tanh", kernel_regularizer=penalty, bias_regularizer="l2", activity_regularizer="l2"), dense(3)],
            (2,),
            one_hot,
            "mse",
        ),
        "penalty at the end": (
            [dense(2), dense(3), activation("softmax", activity_regularizer="l2")],
            (2,),
            one_hot,
            "categorical_crossentropy",
        ),
        "others": (
            [
                layers.Dropout(0.4),
                layers.Residual([dense(2, "tanh"), layers.Dropout(0.3)]),
                layers.Residual([layers.Dropout(0.3)]),
                layers.BatchNormalization(),
                Scaled(),
                dense(3, "tanh"),
                Sequential([dense(3), layers.Dropout(0.2)]),
                layers.PReLU(),
            ],
            (2,),
            one_hot,
            "mse",
        ),
        "own loss": ([dense(3, "tanh"), dense(3)], (2,), one_hot, Quartic()),
        "frozen": ([dense(3, "tanh", trainable=False), dense(3)], (2,), one_hot, "mse"),
        "nothing learns": ([activation("softmax")], (3,), one_hot, "kl_divergence"),
        "triplet": ([dense(2)], (3, 2), lambda n: None, losses.Triplet()),
        "ignored": (
            [dense(3, "softmax")],
            (2,),
            np.arange,
            losses.SparseCategoricalCrossentropy(ignore_class=1),
        ),
        "softmax by its axis": ([dense(3), layers.Softmax(axis=1)], (2,), one_hot, "categorical_crossentropy"),
        "softmax along another": (
            [dense(3), layers.Softmax(axis=1)],
            (2, 2),
            lambda n: np.ones((n, 2, 3)),
            "mse",
        ),
        "sum": ([dense(2), dense(3)], (2,), one_hot, losses.MeanSquaredError(reduction="sum")),
    }


def made(name, rows=3, optimizer="sgd", dtype="float64", **options):
    parts, shape, targets, loss = networks()[name]
    model = Sequential([layers.Input(shape), *parts], seed=5, dtype=dtype)
    model.compile(optimizer, loss=loss, **options)
    rng = np.random.default_rng(1)
    for weight in model.weights:  # biases and factors that are not 0 and 1
        weight += rng.normal(size=weight.shape) / 8
    model.set_weights(model.get_weights())
    return model, rng.normal(size=(rows, *shape)), targets(rows)


def gradients_of(working):
    """Of the dense layers' weights, in the model's order."""
    return {n: working[n] for n in (f"d{letter}{i}" for i in range(1, 10) for letter in "wb") if n in bases(working)}


def bases(working):
    return {re.match(r"[a-z]+\d*(_new)?", name)[0] for name in working.figures}


@pytest.mark.parametrize(
    ("output", "loss", "y", "formula"),
    [
        (layers.Dense(3, "softmax"), "sparse_categorical_crossentropy", [2, 0], "-log(a1[0,2])"),
        (layers.Dense(3, "softmax"), "categorical_crossentropy", [[0, 1, 0], [1, 0, 0]], "-log(a1[0,1])"),
        (layers.Dense(1, "sigmoid"), "binary_crossentropy", [[0], [1]], "-log(1 - a1[0,0])"),
        (
            layers.Dense(2, "sigmoid"), "binary_crossentropy", [[0, 1], [1, 1]],
            "-(log(1 - a1[0,0]) + log(a1[0,1])) / 2",
        ),
    ],
)  # fmt: skip
def test_cross_entropies_are_written_out(output, loss, y, formula):
    """And what is written is what they are."""
    model = Sequential([layers.Input((2,)), output], seed=3, dtype="float64")
    model.compile("sgd", loss)
    working = fastnn.explain(model, [[0.5, -1.0], [2.0, 0.25]], y)
    (first, numbers) = re.search(r"^loss\[0\] +(-\S.*?)  +(-\S.*?)  ", working.text(digits=12), re.MULTILINE).groups()
    assert first == formula
    assert eval(numbers, {"log": math.log}) == pytest.approx(working["loss"][0], rel=1e-9)
    assert r"= -\text{log}(" in working.latex() or r"= -(\text{log}(" in working.latex()


def test_other_cross_entropies_are_named():
    for loss in (losses.BinaryCrossentropy(label_smoothing=0.1), losses.BinaryFocalCrossentropy()):
        model = Sequential([layers.Input((2,)), layers.Dense(1, "sigmoid")], seed=3, dtype="float64")
        model.compile("sgd", loss)
        assert f"{loss.name} of a1 and y" in str(fastnn.explain(model, [[0.5, -1.0]], [[1]]))


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", networks())
def test_every_figure_is_that_of_the_step(name, rows):
    model, x, y = made(name, rows, loss_weights=1.5 if name != "mse" else None)
    working = fastnn.explain(model, x, y)
    twin = copy.deepcopy(model)
    loss, gradients = twin.gradients(x, y, training=True)
    assert working["cost"] == pytest.approx(loss, rel=1e-12, abs=1e-15)
    own = list(gradients_of(working).values())
    if name != "others":
        assert len(own) == len(gradients)
        for a, b in zip(own, gradients, strict=True):
            np.testing.assert_allclose(np.reshape(a, b.shape), b, rtol=1e-9, atol=1e-12)
    else:  # kernel and bias of the dense layer that is not inside another
        place = next(i for i, w in enumerate(twin.trainable_weights) if w is model_dense(twin).kernel)
        for a, b in zip(own, gradients[place : place + 2], strict=True):
            np.testing.assert_allclose(np.reshape(a, b.shape), b, rtol=1e-9, atol=1e-12)
    twin = copy.deepcopy(model)
    output, _ = twin.forward(x, training=True)
    last = max(int(n[1:]) for n in bases(working) if re.fullmatch(r"a\d+", n))
    np.testing.assert_allclose(np.reshape(working[f"a{last}"], output.shape), output, rtol=1e-12, atol=1e-15)
    twin = copy.deepcopy(model)
    twin.train_on_batch(x, y)
    assert working["cost_new"] == pytest.approx(twin.evaluate(x, y, verbose=0), rel=1e-12, abs=1e-15)
    np.testing.assert_allclose(np.reshape(working[f"a{last}_new"], output.shape), twin(x), rtol=1e-12, atol=1e-15)


def model_dense(model):
    return next(layer for layer in model.layers if isinstance(layer, layers.Dense))


@pytest.mark.parametrize("name", ["mse", "softmax", "others", "axes", "apart", "sigmoid"])
def test_derivatives_by_the_inputs_are_those_of_differences(name):
    model, x, y = made(name)
    working = fastnn.explain(model, x, y)
    step, found = 1e-6, np.zeros_like(x)
    for place in np.ndindex(x.shape):
        both = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] += sign * step
            both.append(copy.deepcopy(model).gradients(moved, y, training=True)[0])
        found[place] = (both[0] - both[1]) / (2 * step)
    assert np.abs(found).max() > 1e-3
    np.testing.assert_allclose(working["dx"], found, rtol=1e-5, atol=1e-8)


def test_every_figure_of_a_small_network_is_that_of_the_graph():
    """z, a, their derivatives and those of the weights, from a graph of numbers."""
    rng = np.random.default_rng(0)
    model = Sequential([layers.Input((2,)), layers.Dense(3, "tanh"), layers.Dense(2, "sigmoid")], dtype="float64")
    weights = [rng.normal(size=w.shape) for w in model.weights]
    model.set_weights(weights)
    model.compile(optimizers.SGD(0.2), loss="mse")
    x, y = rng.normal(size=2), rng.uniform(size=2)
    values = {}

    def value(name, number):
        values[name] = Value(number)
        return values[name]

    inputs = [value(f"x[{i}]", x[i]) for i in range(2)]
    for layer, activation in ((1, "tanh"), (2, "sigmoid")):
        w, b = weights[2 * layer - 2 : 2 * layer]
        outputs = []
        for j in range(w.shape[1]):
            z = value(f"b{layer}[{j}]", b[j])
            for i, given in enumerate(inputs):
                z = z + given * value(f"w{layer}[{i},{j}]", w[i, j])
            values[f"z{layer}[{j}]"] = z
            values[f"a{layer}[{j}]"] = getattr(z, activation)()
            outputs.append(values[f"a{layer}[{j}]"])
        inputs = outputs
    cost = sum(((a - float(t)) ** 2 for a, t in zip(inputs, y, strict=True)), Value(0.0)) / 2.0
    cost.backward()

    working = fastnn.explain(model, x[None], y[None])
    assert working["cost"] == pytest.approx(cost.data, rel=1e-12)
    for name, node in values.items():
        assert working[name] == pytest.approx(node.data, rel=1e-12), name
        derivative = "delta" + name[1:] if name[0] == "z" else f"d{name}"
        assert working[derivative] == pytest.approx(node.grad, rel=1e-10), derivative
        if name[0] in "wb":
            new = name.replace("[", "_new[")
            assert working[new] == pytest.approx(node.data - 0.2 * node.grad, rel=1e-12), new
    assert working["dz2[1]"] == working["delta2[1]"] == -working["-delta2[1]"]


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(0.1, momentum=0.9),
        optimizers.Adam(optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
        optimizers.RMSprop(0.01, clipnorm=0.1),
        optimizers.AdamW(0.1, weight_decay=0.1),
        optimizers.SGD(0.1, gradient_accumulation_steps=2),
        Lazy(0.1),
    ],
)
def test_the_update_is_the_optimizers_and_the_model_stays(optimizer):
    model, x, y = made("others", optimizer=copy.deepcopy(optimizer))
    for _ in range(3):
        model.train_on_batch(x, y)
    before = pieces(model)
    working = fastnn.explain(model, x, y)
    str(working)
    for a, b in zip(pieces(model), before, strict=True):
        np.testing.assert_array_equal(a, b)
    model.train_on_batch(x, y)
    layer = model_dense(model)
    np.testing.assert_array_equal(working["w6_new"], layer.kernel)
    np.testing.assert_array_equal(working["b6_new"], layer.bias)
    moved = optimizer.gradient_accumulation_steps is None or model.optimizer._steps % 2 == 0
    assert np.any(working["w6_new"] != working["w6"]) == moved


def pieces(model):
    """Copies of all that the next step depends on, and the gradients that lie in the model."""
    state = model.optimizer.get_state()
    numbers = [state[k] for k in sorted(state)] + [model._forwards, model.optimizer.iterations]
    return [np.array(part) for part in (*model.weights, model.grads, *numbers)]


SYMBOL = r"(?<![\w/])-?[a-z]+\d*(?:_new)?(?:\[[\d,]+\])?(?![\w(/])"
FUNCTIONS = {name: getattr(np, name) for name in ("tanh", "log")} | {
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "relu": lambda z: max(z, 0.0),
    "selu": lambda z: 1.0507009873554805 * (z if z > 0 else 1.6732632423543772 * math.expm1(z)),
    "elu": lambda z: z if z > 0 else math.expm1(z),
}


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("name", ["mse", "softmax", "labels", "sigmoid", "penalties", "apart", "axes", "sum"])
def test_what_is_written_comes_to_what_is_said(name, rows):
    """The numbers of every row give its value, and the formula's names have those numbers."""
    model, x, y = made(name, rows)
    working = fastnn.explain(model, x, y)
    computed = 0
    for section in working._sections(17):
        for row in section.rows:
            assert float(row.value) == pytest.approx(working[row.name], rel=1e-15)
            if not row.numbers or row.numbers.startswith("softmax") or "..." in row.numbers:
                continue
            value = eval(row.numbers.replace("^", "**"), FUNCTIONS)
            assert value == pytest.approx(float(row.value), rel=1e-9, abs=1e-12), row
            computed += 1
            plain = re.sub(r"dL/(d[a-z]+\d*\[[\d,]+\])", r"\1", row.formula)
            if re.search(r"/d|[a-z] [a-z]|=|rate", plain):
                continue
            names = {n.lstrip("-") for n in re.findall(SYMBOL, plain)}
            for symbol in sorted(names, key=len, reverse=True):
                plain = plain.replace(symbol, f"({float(working[symbol])!r})")
            assert eval(plain.replace("^", "**"), FUNCTIONS) == pytest.approx(float(row.value), rel=1e-9, abs=1e-12), (
                row
            )
    assert computed > 20


def test_the_text_shows_the_chain():
    text = str(fastnn.explain(*made("sigmoid", 1)))
    for part in ("dL/da1[0] * da1[0]/dz1[0] * dz1[0]/dw1[1,0]", "w1[0,0] - rate * dw1[0,0]", "delta2[0] * w2[1,0]"):
        assert part in text
    headings = [
        line for line in text.split("\n") if line.startswith(("Forward", "Loss", "Backward", "Update", "After"))
    ]
    assert [h.split(":")[0] for h in headings] == [
        "Forward", "Forward", "Loss", "Backward", "Backward", "Update", "After the step"
    ]  # fmt: skip


def test_saturated_outputs_have_their_gradient():
    """Where the sigmoid is 1 to the last bit, loss and sigmoid together still tell delta; there is no dL/da."""
    model = Sequential([layers.Input((1,)), layers.Dense(1, "sigmoid", use_bias=False)], dtype="float64")
    model.set_weights([[[1.0]]])
    model.compile(optimizers.SGD(0.5), loss="binary_crossentropy")
    working = fastnn.explain(model, [[40.0]], [[0.0]])
    assert working["a1"] == 1 and working["loss"] == 40 and working["delta1"] == 1 and working["w1_new"] == -19
    assert "da1" not in bases(working) and "(a1[0] - y[0])" in working.text()


def test_long_sums_are_cut():
    model = Sequential([layers.Input((20,)), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    text = fastnn.explain(model, np.ones((1, 20)), [1.0]).text()
    assert "x[2] * w1[2,0] + ... + x[19] * w1[19,0] + b1[0]" in text


def test_digits():
    working = fastnn.explain(*made("mse", 1))
    exact = working["z1[0]"]
    for digits in (2, 9):
        assert f"{exact:.{digits}g}\n" in working.text(digits)
    with pytest.raises(ValueError, match="digits"):
        working.text(0)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.cells, self.text = [], 0, ""

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.cells += tag == "td"

    def handle_data(self, data):
        self.text += data


def test_html():
    model, x, y = made("apart")
    model.layers[1].name = "<b>"
    working = fastnn.explain(model, x, y)
    parser = Tags()
    parser.feed(working.html())
    rows = sum(len(section.rows) for section in working._sections(6))
    assert not parser.open and parser.cells == 4 * rows
    assert "<b>" in parser.text and "&middot;" in working.html()
    assert working._repr_html_() == working.html()


def test_markdown():
    working = fastnn.explain(*made("softmax"))
    tables = [line for line in working.markdown().split("\n") if line.startswith("|")]
    assert {line.count("|") for line in tables} == {5}
    assert len(tables) == sum(len(section.rows) + 2 for section in working._sections(6))


def test_latex():
    """Every cell is one that a parser of TeX's mathematics takes."""
    mathtext = optional("matplotlib.mathtext")
    parser = mathtext.MathTextParser("path")
    for name in ("sigmoid", "labels", "others"):
        text = fastnn.explain(*made(name, 1)).latex(3)
        assert text.count("{") == text.count("}") and "\x00" not in text
        bodies = re.findall(r"\\begin\{array\}\{llll\}\n(.*?)\n\\end\{array\}", text, re.DOTALL)
        assert len(bodies) == text.count(r"\textbf") > 4
        cells = {cell for body in bodies for row in body.split(" \\\\\n") for cell in row.split(" & ")}
        for cell in cells - {""}:
            parser.parse(f"${cell}$")
    text = fastnn.explain(*made("sigmoid", 1)).latex()
    chain = [rf"\frac{{\partial {a}}}{{\partial {b}}}" for a, b in (
        ("L", "a^{(1)}_{0}"), ("a^{(1)}_{0}", "z^{(1)}_{0}"), ("z^{(1)}_{0}", "w^{(1)}_{1,0}")
    )]  # fmt: skip
    assert r" \cdot ".join(chain) in text


# ---------------------------------------------------------------------------------------------------------------- names


def test_names():
    model, x, y = made("axes", 2)
    working = fastnn.explain(model, x, y)
    figures = working.figures
    assert {"x[1,3,1]", "z1[1,3,2]", "w1[1,2]", "b2[0]", "db1[2]", "w2_new[2,0]", "loss[1,3]", "cost"} <= set(figures)
    for name, value in figures.items():
        assert working[name] == value and isinstance(value, float)
    np.testing.assert_array_equal(working["w1"], model.layers[0].kernel)
    assert working["a2[1,3]"] == working["a2[1,3,0]"]  # there is one unit
    assert working["b2"] == figures["b2[0]"] and working["loss"].shape == (2, 4)
    one = fastnn.explain(*made("mse", 1))
    assert one["z1[2]"] == one["z1[0,2]"] == one.figures["z1[2]"]
    assert one["z1"].shape == (3,) and one["loss"] == one["loss[0]"] == one.figures["loss"]
    assert one["- z1[2]"] == -one["z1[2]"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("z3[0]", "there are x, y, z1"),
        ("w1_old[0]", "there is no 'w1_old"),
        ("z1[3]", "goes from z1\\[0\\] to z1\\[2\\]"),
        ("z1[-1]", "goes from"),
        ("z1[a]", "whole numbers"),
        ("z1[0", "expected a name"),
        ("", "expected a name"),
        (3, "expected a name"),
        ("cost[0]", "there is no 'cost\\[0\\]'"),
    ],
)
def test_wrong_names(name, message):
    working = fastnn.explain(*made("mse", 1))
    with pytest.raises(KeyError, match=message):
        working[name]
    with pytest.raises(ValueError, match=message):
        working.check({name: "1"})


# ---------------------------------------------------------------------------------------------------------------- marks


def student():
    """A network of one weight, whose figures are known: z = 2.5, cost = 0.25, dw = 5."""
    model = Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)], dtype="float64")
    model.set_weights([[[0.5]]])
    model.compile(optimizers.SGD(0.01), loss="mse")
    return fastnn.explain(model, [[5.0]], [[2.0]])


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("2.5", True),
        ("2.50", True),
        (" 2.5000 ", True),
        ("2.4", False),
        ("2.49", False),
        ("2.51", False),
        ("3", True),  # halfway: either
        ("2", True),
        ("1", False),
        ("-2.5", False),
        ("\N{MINUS SIGN}2.5", False),
        ("2.5e0", True),
        ("25e-1", True),
        ("1e1", False),
        ("1e30", False),
        ("2.5" + "0" * 40, True),
        ("1" * 40, False),
        ("2.5004", False),
        (Decimal("2.50"), True),
        (2.5004, True),  # a number counts to three decimals
        (2.5006, False),
        (2.4, False),
        (np.float32(2.5), True),
        (2, False),
    ],
)
def test_marks(given, right):
    working = student()
    mark = working.check({"z1": given})[0]
    assert mark.right is right and mark.exact == 2.5 and mark.name == "z1" and mark.given == str(given)
    negative = working.check({"-z1": given})[0]
    assert negative.exact == -2.5 and (negative.right is (str(given).strip() in ("-2.5", "\N{MINUS SIGN}2.5")))


def test_marks_of_many():
    working = student()
    marks = working.check({"z1": "2.5", "cost": "0.3", "dw1[0,0]": "4.9", "w1_new[0,0]": 0.45})
    assert [m.right for m in marks] == [True, True, False, True] and len(marks) == 4
    assert marks.wrong == ["dw1[0,0]"] and marks.right == ["z1", "cost", "w1_new[0,0]"] and not marks
    assert str(marks).split("\n")[2:] == ["wrong  dw1[0,0] = 4.9: exact is 5.0 (5)", "right  w1_new[0,0] = 0.45",
                                          "3 of 4 figures are right"]  # fmt: skip
    assert repr(marks) == str(marks)
    assert working.check({}) and working.check({"cost": "0.25"})
    assert working.check({"cost": 0.2}, decimals=1) and not working.check({"cost": 0.2}, decimals=2)


@pytest.mark.parametrize(
    ("given", "note"),
    [("0.768", "cut off"), ("0.76", "cut off"), ("-0.7685", "sign"), ("0.75", ""), ("0.78", ""), ("0.7685", "")],
)
def test_notes(given, note):
    model = Sequential([layers.Input((1,)), layers.Activation("sigmoid")], dtype="float64")
    model.compile("sgd", "mse")
    (mark,) = fastnn.explain(model, [[1.2]], [[1.0]]).check({"a1": given})  # 0.76852...
    assert mark.note == note and mark.right == (given == "0.7685")
    assert ("its sign is wrong" in str(mark)) == (note == "sign")
    assert ("cut off" in str(mark)) == (note == "cut off")


def test_marks_of_lists():
    model, x, y = made("mse", 1)
    working = fastnn.explain(model, x, y)
    rounded = [[f"{w:.4f}" for w in row] for row in model.layers[0].kernel]
    marks = working.check({"w1": rounded, "b1": model.layers[0].bias})
    assert len(marks) == 9 and marks and marks[4].name == "w1[1,1]"
    rounded[1][1] = "7"
    assert working.check({"w1": rounded}).wrong == ["w1[1,1]"]
    assert working.check({"-b1": -model.layers[0].bias}).right == ["-b1[0]", "-b1[1]", "-b1[2]"]
    with pytest.raises(ValueError, match=r"'w1' has shape \(2, 3\), got a list of shape \(2,\)"):
        working.check({"w1": [1, 2]})
    with pytest.raises(ValueError, match=r"6 numbers.*pass a list"):
        working.check({"w1": "1"})
    with pytest.raises(ValueError, match="got a list"):
        working.check({"w1[0,0]": [1, 2]})


@pytest.mark.parametrize(
    ("figures", "error", "message"),
    [
        ([("z1", 1)], TypeError, "expected a dict"),
        ({"z1": "two"}, ValueError, "expected a number such as"),
        ({"z1": "nan"}, ValueError, "finite"),
        ({"z1": "1e400"}, ValueError, "what a float holds"),
        ({"z1": "1e-400"}, ValueError, "what a float holds"),
        ({"z1": math.inf}, ValueError, "finite"),
        ({"z1": None}, TypeError, "expected a number"),
        ({"z1": True}, TypeError, "expected a number"),
    ],
)
def test_wrong_figures(figures, error, message):
    with pytest.raises(error, match=message):
        student().check(figures)


def test_wrong_decimals():
    with pytest.raises(ValueError, match="decimals"):
        student().check({"z1": 1}, decimals=-1)


def test_single_precision_is_marked_by_what_it_can_tell():
    model, x, y = made("mse", 1, dtype="float32")
    exact = fastnn.explain(*made("mse", 1))
    working = fastnn.explain(model, x, y)
    names = [n for n in exact.figures if n[0] in "zabdw"]
    assert working.check({n: f"{exact[n]:.5f}" for n in names if abs(exact[n]) > 1e-4})


# --------------------------------------------------------------------------------------------------------------- errors


def test_wrong_models():
    x, y = np.ones((1, 2)), np.ones((1, 1))
    with pytest.raises(TypeError, match="expected a Sequential, got Dense"):
        fastnn.explain(layers.Dense(1), x, y)
    model = Sequential([layers.Dense(1)])
    with pytest.raises(fastnn.NotBuiltError):
        fastnn.explain(model, x, y)
    model.build((None, 2))
    with pytest.raises(fastnn.NotCompiledError):
        fastnn.explain(model, x, y)
    model.compile("sgd")
    with pytest.raises(ValueError, match="compile was given no loss"):
        fastnn.explain(model, x, y)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"x: .* takes samples of shape"):
        fastnn.explain(model, np.ones((1, 3)), y)
    with pytest.raises(ValueError, match="not finite"):
        fastnn.explain(model, [[1.0, np.nan]], y)
    with pytest.raises(ValueError, match="no samples"):
        fastnn.explain(model, np.ones((0, 2)), np.ones((0, 1)))
    with pytest.raises(ValueError, match="pass y"):
        fastnn.explain(model, x)
    with pytest.raises(ValueError, match="fewer samples"):
        fastnn.explain(model, np.ones((5000, 2)), np.ones((5000, 1)))
    shapes = Sequential([layers.Input((2,)), layers.Reshape((1, 2))])
    shapes.compile("sgd", "mse")
    with pytest.raises(ValueError, match="only change shapes"):
        fastnn.explain(shapes, x, x[None])
    inner = Sequential([layers.Input((2,)), layers.Residual([layers.Dense(2, activity_regularizer="l2")])])
    inner.compile("sgd", "mse")
    with pytest.raises(ValueError, match="activity_regularizer, which explain cannot show"):
        fastnn.explain(inner, x, x)


@pytest.mark.parametrize("name", ["_explain", "_explain._check", "_explain._figures"])
def test_docstrings(name):
    found = doctest.testmod(importlib.import_module(f"fastnn.{name}"))
    assert found.failed == 0 and (found.attempted > 0 or name != "_explain")


def test_it_is_a_function():
    importlib.import_module("fastnn._explain")
    assert callable(fastnn.explain) and "explain" in fastnn.__all__


def test_the_page(sources, capsys):
    page = (sources / "docs" / "explain.md").read_text(encoding="utf-8")
    names = {}
    clear_names()  # so that its layers are dense and dense_1
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, names)
    said = capsys.readouterr().out
    shown = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert len(shown) == 2 and all(text in said for text in shown)
    assert names["marks"].wrong == ["z2"] and names["all_right"]
    for name in re.findall(r"^\| `([a-z0-9_]+)[\[`]", page, re.MULTILINE):
        if name != "working":
            assert name in bases(names["working"]), name


def test_the_example(sources, capsys, tmp_path):
    path = sources / "examples" / "backpropagation.py"
    example = runpy.run_path(str(path))
    optional("matplotlib").use("agg")
    example["main"](tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10000
    assert example["graph"]().data == pytest.approx(0.1993628073, abs=1e-10)
    said = capsys.readouterr().out
    assert re.findall(r"^wrong  (\w+)", said, re.MULTILINE) == ["dw1", "w2_new"] and "9 of 11" in said
    assert len(path.read_text(encoding="utf-8").split("\n")) < 60
