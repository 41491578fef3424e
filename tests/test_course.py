"""What the course claims, row by row: its examples run and show it, and its page names what is there.

Exact figures are in test_worked_examples.py, the perceptron in test_perceptron.py, vanishing gradients in
test_diagnostics.py.
"""

import doctest
import importlib
import re
import runpy
from xml.etree import ElementTree

import numpy as np
import pytest
from optional import optional

import fastnn
from fastnn import layers
from fastnn.reference import autograd

OTHERS = {"digits.py", "embedding.py"}  # told of here, and tested where they belong


@pytest.fixture
def example(sources):
    """example(name): what a script of examples/ defines."""
    return lambda name: runpy.run_path(str(sources / "examples" / f"{name}.py"))


# ------------------------------------------------------------------------------------------------- forward propagation


def test_more_hidden_units_fit_better(example, capsys):
    script = example("approximation")
    x = np.linspace(-1, 1, 101)[:, None]
    errors = [script["fitted"](units, x, script["curve"](x)).evaluate(x, script["curve"](x), verbose=0)
              for units in (1, 4, 16)]  # fmt: skip
    variance = np.var(script["curve"](x))
    assert 0.02 * variance < errors[0] < variance
    assert errors[1] < 0.7 * errors[0] and errors[2] < 0.05 * errors[1]


def test_the_sums_written_out_are_the_forward_pass(example, rng):
    model = fastnn.Sequential([layers.Input((3,)), layers.Dense(5, "tanh"), layers.Dense(2)], dtype="float64")
    model.set_weights([rng.normal(size=w.shape) for w in model.weights])
    x = rng.normal(size=(7, 3))
    np.testing.assert_allclose(model(x), example("approximation")["by_hand"](x, *model.get_weights()), rtol=1e-12)


# ------------------------------------------------------------------------------------------------------- first weights


def test_what_the_first_weights_do(example):
    script = example("initial_weights")
    x, y = fastnn.datasets.moons(400, noise=0.1)
    spread, flat, models, ends = {}, {}, {}, {}
    for name, start in script["STARTS"].items():
        models[name] = [script["network"](start, seed=seed) for seed in script["SEEDS"]]
        outputs = script["outputs"](models[name][0], x)
        spread[name] = [float(np.std(one)) for one in outputs]
        flat[name] = float(np.mean(np.abs(outputs[0]) > 0.99))
        ends[name] = [model.fit(x, y, epochs=100, verbose=0).history["loss"][-1] for model in models[name]]
    zeros, equal, tiny, huge, glorot = script["STARTS"]
    assert ends[zeros] == pytest.approx([np.log(2)] * len(script["SEEDS"]), abs=3e-3) == ends[tiny]
    assert max(ends[glorot]) < 0.01 < 0.3 < min(*ends[equal], np.median(ends[huge]))
    assert 20 * max(ends[glorot]) < min(ends[huge])  # where those end is luck, but none ends well
    assert not any(weight.any() for weight in models[zeros][0].layers[0].weights)  # nothing moved
    kernel = models[equal][0].layers[0].kernel
    np.testing.assert_array_equal(kernel, np.repeat(kernel[:, :1], 16, axis=1))  # moved, and all alike
    assert np.abs(kernel - 0.5).max() > 1e-3
    assert np.all(np.array(spread[tiny][1:]) < 0.02 * np.array(spread[tiny][:-1]))  # each layer shrinks what it gets
    assert flat[huge] > 0.5 > 0.01 > flat[glorot]
    assert min(spread[glorot]) > 0.1


# ------------------------------------------------------------------------------------------------------ regularisation


def test_every_way_beats_none_on_samples_held_out(example):
    script = example("regularisation")
    found = {way: np.median([script["trained"](way, seed)[1] for seed in range(3)], axis=0) for way in script["WAYS"]}
    seen, test, size = (dict(zip(found, column, strict=True)) for column in zip(*found.values(), strict=True))
    for way in script["WAYS"][1:]:
        assert test[way] < 0.95 * test["none"], way
        assert seen[way] > 1.3 * seen["none"], way  # the noise of the samples is not learned by heart
    assert seen["none"] < 0.05 < 0.09 < min(test.values())  # 0.09 is the noise
    assert size["L1"] < 0.3 * size["L2"] < 0.3 * size["none"]


def test_early_stopping_goes_back_to_its_best(example):
    script = example("regularisation")
    history, _ = script["trained"]("early stopping", 0)
    assert len(history) == 1 + 100 + int(np.argmin(history)) < 1500


# -------------------------------------------------------------------------------------- why activations; rate and scale


def test_the_product_of_linear_layers(example, rng):
    stack = fastnn.Sequential([layers.Input((4,)), *(layers.Dense(n) for n in (3, 6, 2))], dtype="float64")
    stack.set_weights([rng.normal(size=w.shape) for w in stack.weights])
    kernel, bias = example("linearity")["product"](stack)
    x = rng.normal(size=(10, 4))
    assert kernel.shape == (4, 2) and bias.shape == (2,)
    np.testing.assert_allclose(stack(x), x @ kernel + bias, rtol=1e-11)


def test_a_boundary_bends_by_activations_alone(example):
    """Of a linear stack, log p / (1 - p) is linear in x: equal steps change it equally. With tanh it is not."""
    script = example("linearity")
    x, y = fastnn.datasets.xor(400, noise=0.15)
    line = np.stack([np.linspace(0, 1, 5), np.full(5, 0.2)], axis=1)
    for name, bent in (("linear", False), ("tanh", True)):
        model = script["classifier"](name, x, y)
        p = model(line).ravel().astype(float)
        steps = np.diff(np.log(p / (1 - p)))
        assert (np.ptp(steps) > 0.5) == bent and (bent or np.ptp(steps) < 1e-4)
        assert (model.evaluate(x, y, verbose=0)[1] > 0.95) == bent


@pytest.mark.parametrize("k", [8.0, 10.0])
def test_training_with_a_larger_rate_or_a_larger_loss(k, example):
    script = example("loss_scale")
    trained, rate = script["trained"], script["RATE"]
    for name, maker in script["MAKERS"].items():
        plain, by_rate, by_loss = (trained(maker, *given, epochs=3)[0]
                                   for given in ((rate, 1.0), (rate * k, 1.0), (rate, k)))  # fmt: skip
        if name == "SGD":
            np.testing.assert_allclose(by_rate, by_loss, rtol=0, atol=0 if k == 8 else 1e-14)
            assert np.abs(by_loss - plain).max() > 0.05
        else:
            assert np.abs(by_loss - plain).max() < 1e-3 < 0.1 < np.abs(by_rate - by_loss).max()


# ------------------------------------------------------------------------------------------ outputs around zero; rates


def test_positive_outputs_make_the_weights_behind_them_zigzag(example):
    """One error times outputs that are all positive: a gradient whose elements have one sign."""
    script = example("zigzag")
    (together, longer), (tanh_together, tanh_longer) = (
        script["facts"](script["descend"](name)) for name in ("sigmoid", "tanh")
    )
    assert together == 1 and tanh_together < 0.5
    assert longer > 2 * tanh_longer > 2


def test_steps_under_a_gradient_that_never_changes(example):
    script = example("adaptive_rates")
    found = {name: np.array(script["steps"](make())) for name, make in script["MAKERS"].items()}
    t = np.arange(1, 101)
    np.testing.assert_allclose(found["Adagrad"], 1 / np.sqrt(t), rtol=1e-5)
    np.testing.assert_allclose(found["RMSprop"], 1 / np.sqrt(1 - 0.9**t), rtol=1e-5)
    np.testing.assert_allclose(found["Adam"], 1, rtol=1e-5)
    np.testing.assert_allclose(found["Adam, not corrected"], (1 - 0.9**t) / np.sqrt(1 - 0.999**t), rtol=1e-5)
    for name, make in script["MAKERS"].items():
        ten = np.array(script["steps"](make(), gradient=10.0))
        np.testing.assert_allclose(ten / found[name], 10 if name == "SGD" else 1, rtol=1e-5)


# --------------------------------------------------------------------------------------- graphs, problems, the examples


def test_graphs_of_numbers(example, tmp_path, capsys):
    script = example("autograd")
    loss, w = script["neuron"]()
    h = 1e-6
    ends = [(1 / (1 + np.exp(-(v * 2 + 0.2))) - 1) ** 2 for v in (0.5 - h, 0.5 + h)]
    assert w.grad == pytest.approx((ends[1] - ends[0]) / (2 * h), rel=1e-6)
    script["main"](tmp_path / "graph.svg")
    said = capsys.readouterr().out
    order = autograd.topological_order(loss)
    edges = sum(len(node.parents) for node in order)
    assert said.count(" -> n") == edges and said.count("[label=") == len(order)
    drawing = ElementTree.parse(tmp_path / "graph.svg")
    texts = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "loss (^2)" in texts and f"grad {w.grad:.6g}" in texts
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}rect"))) == len(order)


def test_a_network_of_such_numbers_learns(example):
    script = example("autograd")
    network = autograd.MLP([2, 4, 1], "tanh", "sigmoid", seed=1)
    history = script["train"](network, rate=2.0)
    assert history[-1] < 0.01 < 0.2 < history[0]
    assert [round(network(x)[0].data) for x, _ in script["GATE"]] == [0, 1, 1, 0]


def test_four_problems(example, capsys):
    example("problems")["main"]()
    said = capsys.readouterr().out
    ends = [("1 x linear", "mean_squared_error"), ("1 x sigmoid", "binary_crossentropy"),
            ("4 x softmax", "sparse_categorical_crossentropy"), ("3 x sigmoid", "binary_crossentropy")]  # fmt: skip
    assert re.findall(r"  (\d x \w+), (\w+)\n", said) == ends
    accuracies = [float(number) for number in re.findall(r"accuracy (\d\.\d+)", said)]
    assert len(accuracies) == 3 and min(accuracies) > 0.95


FAST = [
    "approximation",
    "initial_weights",
    "linearity",
    "loss_scale",
    "problems",
    "autograd",
    "zigzag",
    "adaptive_rates",
]


@pytest.mark.parametrize("name", FAST)
def test_the_examples_draw(name, example, tmp_path, capsys):
    optional("matplotlib").use("agg")
    example(name)["main"](tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000
    importlib.import_module("matplotlib.pyplot").close("all")


def test_examples_are_short(sources):
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in (sources / "examples").glob("*.py")}
    named = set(re.findall(r"`(\w+\.py)`", (sources / "docs" / "course.md").read_text("utf-8")))
    assert len(named) == 18 and named <= lengths.keys()
    assert all(length < 60 for length in lengths.values()), lengths


def test_every_page_and_example_of_the_course_is_there(sources):
    page = (sources / "docs" / "course.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if ".py`" in row[-2]]
    assert len(rows) == 16
    for _, what, shows, where, how, _ in rows:
        assert what.strip() and shows.strip()
        links = re.findall(r"\]\(([\w-]+\.md)(?:#([\w-]+))?\)", where)
        assert links, what
        for file, anchor in links:
            titles = re.findall(r"^#+ (.*)$", (sources / "docs" / file).read_text(encoding="utf-8"), re.MULTILINE)
            named = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert not anchor or anchor in named, (file, anchor)
        scripts = re.findall(r"`(\w+\.py)`", how)
        assert scripts, what
        for script in set(scripts) - OTHERS:
            assert (sources / "examples" / script).exists(), script


def test_the_snippets_of_the_page(sources):
    names = {}
    for snippet in re.findall(r"```python\n(.*?)```", (sources / "docs" / "course.md").read_text("utf-8"), re.DOTALL):
        exec(snippet, names)
    assert names["same"]


# ---------------------------------------------------------------------------------------------------- the reference

PACKAGES = [
    "activations", "callbacks", "constraints", "datasets", "errors", "files", "initializers", "layers", "losses",
    "metrics", "models", "optimizers", "optimizers.schedules", "plots", "regularizers", "utils",
]  # fmt: skip


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_has_an_example(name):
    module = importlib.import_module(f"fastnn.{name}")
    public = [key for key in module.__all__ if callable(getattr(module, key))]
    assert public
    assert [key for key in public if ">>>" not in (getattr(module, key).__doc__ or "")] == []


@pytest.mark.parametrize("name", ["layers", "losses"])
def test_every_layer_and_loss_tells_its_shapes(name):
    module = importlib.import_module(f"fastnn.{name}")
    classes = [key for key in module.__all__ if isinstance(getattr(module, key), type) and key not in ("Layer", "Loss")]
    assert len(classes) > 15
    assert [key for key in classes if "Shapes:" not in getattr(module, key).__doc__] == []


RUN = [
    "constraints", "errors", "files", "initializers", "initializers._base", "initializers._drawn",
    "initializers._fixed", "layers", "losses", "losses._base", "losses._classification",
    "losses._functions", "losses._ranking", "losses._regression", "optimizers", "optimizers.base", "optimizers.lbfgs",
    "optimizers.rules", "optimizers.schedules", "reference.autograd", "regularizers", "_evaluating", "_training",
]  # fmt: skip


@pytest.mark.parametrize("name", RUN)  # the others' run in the tests that are about them
def test_examples_in_docstrings_run(name):
    if name == "optimizers.lbfgs":
        optional("scipy")
    found = doctest.testmod(importlib.import_module(f"fastnn.{name}"))
    assert found.failed == 0 and found.attempted > 0
