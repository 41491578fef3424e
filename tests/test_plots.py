"""What the pictures show is what they were given: read back from the Axes."""

import doctest
import importlib
import re
import runpy
import subprocess
import sys

import numpy as np
import pytest
from optional import optional

matplotlib = optional("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.collections import PathCollection
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

import fastnn
from fastnn import callbacks, datasets, diagnostics, layers, plots
from fastnn.reference import autograd


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def model():
    x, y = datasets.blobs(120)
    model = fastnn.Sequential([layers.Dense(12, "relu", name="a"), layers.Dense(3, "softmax", name="b")], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, x, y


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_curves(model):
    history = model[0].fit(*model[1:], epochs=5, verbose=0, validation_split=0.2)
    ax = plots.curves(history, ["loss", "accuracy"])
    assert legend(ax) == ["loss", "loss, validation", "accuracy", "accuracy, validation"]
    for key, label in (("loss", "loss"), ("val_accuracy", "accuracy, validation")):
        np.testing.assert_array_equal(lines(ax)[label].get_ydata(), history.history[key])
        np.testing.assert_array_equal(lines(ax)[label].get_xdata(), [1, 2, 3, 4, 5])
    assert lines(ax)["loss"].get_color() == lines(ax)["loss, validation"].get_color()
    assert plots.curves(history, log=True).get_yscale() == "log"
    with pytest.raises(ValueError, match="names: unknown name 'losss'; did you mean 'loss'"):
        plots.curves(history, ["losss"])


def test_curves_of_a_validation_now_and_then(model):
    history = model[0].fit(*model[1:], epochs=6, verbose=0, validation_split=0.2, validation_freq=2)
    np.testing.assert_array_equal(lines(plots.curves(history))["loss, validation"].get_xdata(), [2, 4, 6])
    np.testing.assert_array_equal(lines(plots.curves({"loss": [3.0]}))["loss"].get_xdata(), [1])
    runs = plots.curves({"long": [4.0, 3.0, 2.0, 1.0], "stopped": [4.0, 3.0]}, ["long", "stopped"])
    np.testing.assert_array_equal(lines(runs)["stopped"].get_xdata(), [1, 2])  # two runs, of which one was shorter


def test_a_logarithmic_scale_of_little_has_plain_figures():
    ax = plots.curves({"loss": [0.9, 0.4, 0.15]}, log=True)
    ax.figure.canvas.draw()
    labels = {text.get_text() for text in ax.get_yticklabels()}
    assert plots.curves({"loss": [0.0, 0.0]}, log=True).get_yscale() == "linear"  # nothing has a logarithm
    assert {"0.2", "0.5"} <= labels and not any("times" in text.get_text() for text in ax.get_yticklabels(which="both"))


def test_activations_that_grow_fast_do_not_flatten_the_rest():
    bottom, top = plots.activations(["exponential", "tanh"]).get_ylim()
    assert -1.5 < bottom < -1 and 3.5 < top < 5
    assert plots.activations("sigmoid").get_ylim()[0] > -0.2


def test_given_axes_are_drawn_into(model):
    _, ax = plt.subplots()
    assert plots.curves({"loss": [1.0, 0.5]}, ax=ax) is ax and ax.lines
    assert plots.activations("relu", ax=ax) is ax
    before = plt.get_fignums()
    plots.losses("mse", ax=ax)
    assert plt.get_fignums() == before


def test_lr_find(model):
    found = diagnostics.lr_find(*model, steps=40, sweeps=1)
    ax = plots.lr_find(found)
    np.testing.assert_array_equal(lines(ax)["smoothed"].get_xdata(), found.rates)
    np.testing.assert_array_equal(lines(ax)["smoothed"].get_ydata(), found.smoothed)
    assert ax.get_xscale() == "log"
    at = lines(ax)[f"suggested: {found.suggestion:.2g}"]
    assert set(at.get_xdata()) == {found.suggestion}
    assert ax.get_ylim()[0] < found.smoothed.min()
    assert len(plots.lr_find(found._replace(suggestion=None)).get_lines()) == 3


def test_gradient_flow(model):
    one, x, y = model
    flow = diagnostics.gradient_flow(one, x, y)
    ax = plots.gradient_flow(flow)
    bars = ax.patches
    assert [bar.get_width() for bar in bars] == [layer.gradient for layer in flow.layers]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]
    rows = [flow.layers[0]._replace(gradient=1e-6, dead=0.25), flow.layers[1]._replace(gradient=0.0)]
    ax = plots.gradient_flow(flow._replace(layers=rows))
    notes = [text.get_text() for text in ax.texts]
    assert notes == ["25% dead", "gradient 0"]


def test_gradient_flow_of_activations_in_layers_of_their_own(rng):
    x = rng.normal(size=(20, 3))
    one = fastnn.Sequential([layers.Dense(4, bias_initializer=fastnn.initializers.Constant(-99)),
                             layers.ReLU(), layers.Dense(1)], seed=0)  # fmt: skip
    one.compile("sgd", "mse")
    ax = plots.gradient_flow(diagnostics.gradient_flow(one, x, x[:, :1]))
    assert [text.get_text() for text in ax.texts] == ["gradient 0, 100% dead", ""]


def test_gradient_monitor(model):
    monitor = callbacks.GradientMonitor(every=1)
    model[0].fit(*model[1:], epochs=3, verbose=0, callbacks=[monitor])
    ax = plots.gradient_flow(monitor)
    for name, figures in monitor.history.items():
        np.testing.assert_array_equal(lines(ax)[name].get_ydata(), figures["gradient"])
    assert ax.get_yscale() == "log" and legend(ax) == ["a", "b"]
    monitor.history = {f"layer {i}": {"gradient": [1.0, 2.0, 3.0]} for i in range(20)}
    assert legend(plots.gradient_flow(monitor)) == ["layer 0 (first)", "layer 19 (last)"]


def half(points):
    """0.9 where x > 1."""
    return np.where(points[:, :1] > 1, 0.9, 0.1)


def score(points):
    return points[:, :1] - 1


def rows(points):
    return np.stack([-points[:, 0], points[:, 0] - 2, 0 * points[:, 0] - 50], axis=1)


@pytest.mark.parametrize("function", [half, score, rows])
def test_the_boundary_is_where_the_answer_changes(function):
    x = np.array([[0.0, 0.0], [2.0, 2.0], [0.5, 1.0], [1.5, 0.0]])
    ax = plots.decision_boundary(function, x, [0, 1, 0, 1], names=["left", "right", "none"])
    contour = ax.collections[1]
    places = np.concatenate([path.vertices for path in contour.get_paths()])
    np.testing.assert_allclose(places[:, 0], 1, atol=0.02)
    assert legend(ax)[:2] == ["left", "right"]
    drawn = [np.asarray(c.get_offsets()) for c in ax.collections if isinstance(c, PathCollection)]
    np.testing.assert_array_equal(drawn[0], x[[0, 2]])
    np.testing.assert_array_equal(drawn[1], x[[1, 3]])


def test_classes_are_told_apart_where_colours_come_again():
    x = np.stack([np.arange(16.0), np.zeros(16)], axis=1)
    ax = plots.decision_boundary(lambda points: -np.abs(points[:, :1] - np.arange(16)), x, np.arange(16), steps=40)
    dots = [c for c in ax.collections if isinstance(c, PathCollection)]
    looks = {(tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.tobytes()) for c in dots}
    assert len(looks) == len(dots) == 16


def test_labels_of_several_kinds(model):
    x = np.array([[0.0, 0.0], [2.0, 2.0]])
    for y in ([-1, 1], [[0], [1]], np.eye(2)):
        ax = plots.decision_boundary(score, x, y, steps=5)
        first = next(c for c in ax.collections if isinstance(c, PathCollection))
        np.testing.assert_array_equal(np.asarray(first.get_offsets()), x[:1])
    assert plots.decision_boundary(model[0], model[1], steps=5).get_legend() is None
    with pytest.raises(ValueError, match="x: expected points of the plane"):
        plots.decision_boundary(score, np.zeros((3, 3)))
    with pytest.raises(ValueError, match="y: expected a class for each of the 2 points"):
        plots.decision_boundary(score, x, [1])


@pytest.mark.parametrize("name", ["sigmoid", "relu", "step", "gelu", "swish"])
def test_activations(name):
    ax = plots.activations([name], low=-2, high=3)
    x = np.linspace(-2, 3, 2001)
    np.testing.assert_array_equal(lines(ax)[name].get_ydata(), fastnn.activations.get(name)(x))
    slopes = ax.get_lines()[1]
    np.testing.assert_array_equal(slopes.get_ydata(), fastnn.activations.derivative(name)(x))
    assert slopes.get_color() == lines(ax)[name].get_color()
    assert "derivatives" not in legend(plots.activations([name], derivatives=False))
    with pytest.raises(ValueError, match="names"):
        plots.activations(["softmax"])


def test_losses():
    ax = plots.losses(["mse", fastnn.losses.Huber(delta=0.5)], target=1.0, low=-1, high=3, derivatives=True)
    p = np.linspace(-1, 3, 1201)
    np.testing.assert_allclose(lines(ax)["mse"].get_ydata(), (p - 1) ** 2, atol=1e-12)
    e = np.abs(p - 1)
    huber = np.where(e < 0.5, e**2 / 2, 0.5 * e - 0.125)
    np.testing.assert_allclose(lines(ax)["huber loss"].get_ydata(), huber, atol=1e-12)
    np.testing.assert_allclose(ax.get_lines()[1].get_ydata(), 2 * (p - 1), atol=1e-12)
    assert ax.get_xlabel() == "prediction, for a target of 1"
    steep = plots.losses("binary_crossentropy", target=1, low=1e-3, high=1, derivatives=True)
    assert steep.get_ylim()[0] > -10  # 1000 is where it would go to


def test_descent_path():
    way = np.array([[1.0, 1.0], [0.5, 0.0], [0.1, 0.0]])
    ax = plots.descent_path(lambda a, b: a**2 + b**2, {"one": way, "two": -way})
    np.testing.assert_array_equal(lines(ax)["one"].get_xydata(), way)
    assert legend(ax) == ["one", "two"]
    (low, high), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert low < -1 < 1 < high and bottom < -1 < 1 < top
    assert plots.descent_path(lambda a, b: a * b, {"a": way}, low=(-3, -3), high=(3, 3)).get_xlim() == (-3, 3)
    plots.descent_path(lambda a, b: 0 * a, {"level": way[:1]})  # flat, and without a step
    plots.descent_path(lambda a, b: a, {"lost": [[0.0, 0.0], [np.nan, np.nan], [1.0, 1.0]]})
    with pytest.raises(ValueError, match="paths"):
        plots.descent_path(lambda a, b: a, {"a": [1.0, 2.0]})
    with pytest.raises(ValueError, match="paths"):
        plots.descent_path(lambda a, b: a, {})


def test_network():
    one = fastnn.Sequential([layers.Input((2,)), layers.Dense(3, "tanh"), layers.Dense(20), layers.Dense(1)], seed=0)
    ax = plots.network(one, most=6)
    assert sum(len(dots.get_offsets()) for dots in ax.collections) == 2 + 3 + 5 + 1
    drawn = [line for line in ax.get_lines() if len(line.get_xdata())]
    assert len(drawn) == 2 * 3 + 3 * 5 + 5 * 1
    assert [text.get_text() for text in ax.texts] == ["2\ninput", "3\ntanh", "⋮", "20\nlinear", "1\nlinear"]
    kernel = one.layers[0].kernel
    first = max(drawn[:6], key=lambda line: line.get_linewidth())
    assert (first.get_color() == plots.COLOURS[0]) == (kernel.ravel()[np.abs(kernel).argmax()] > 0)
    with pytest.raises(ValueError, match="model: expected a built one"):
        plots.network(fastnn.Sequential([layers.Dense(1)]))


def test_graph():
    a, b = autograd.Value(2, "a"), autograd.Value(-3, "b")
    loss = (a * b + a) ** 2
    loss.backward()
    ax = plots.graph(loss)
    boxes = [text.get_text() for text in ax.texts if text.get_text()]
    assert sorted(boxes) == sorted([
        "a\ndata 2\ngrad 16", "b\ndata -3\ngrad -16", "(*)\ndata -6\ngrad -8", "(+)\ndata -4\ngrad -8",
        "(^2)\ndata 16\ngrad 1",
    ])  # fmt: skip
    assert sum(isinstance(patch, FancyArrowPatch) for patch in ax.patches) == 5  # one for each parent: a is one twice


@pytest.mark.parametrize("graph", ["a value used twice", "a network", "one alone"])
def test_no_arrow_of_a_graph_passes_through_a_box(graph):
    w = autograd.Value(3, "w")
    if graph == "a network":
        value = (autograd.MLP([2, 3, 1], seed=1)([0.5, -1.0])[0] - w) ** 2 + w
    else:
        value = (w * w).tanh() * w + w if graph == "a value used twice" else w
    ax = plots.graph(value)
    boxes = np.array([patch.get_bbox().extents for patch in ax.patches if isinstance(patch, FancyBboxPatch)])
    arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    order = autograd.topological_order(value)
    assert len(boxes) == len(order) and len(arrows) == sum(len(node.parents) for node in order)
    for arrow in arrows:
        (way,) = arrow._path_original.to_polygons(closed_only=False)  # curves as many short lines
        assert len(way) > 3
        for left, bottom, right, top in boxes:
            within = (way[:, 0] > left + 1) & (way[:, 0] < right - 1) & (way[:, 1] > bottom) & (way[:, 1] < top)
            assert not within.any()
    for i, (left, bottom, right, top) in enumerate(boxes):
        apart = (boxes[:, 0] >= right) | (boxes[:, 2] <= left) | (boxes[:, 1] >= top) | (boxes[:, 3] <= bottom)
        assert apart.sum() == len(boxes) - 1 and not apart[i]
    starts = [arrow._path_original.vertices[0] for arrow in arrows]
    assert len({tuple(np.round(start, 6)) for start in starts}) >= len({id(p) for n in order for p in n.parents})


def test_a_graph_in_small_axes_has_small_letters():
    a, b = autograd.Value(2.0, "a"), autograd.Value(-3.0, "b")
    value = (a * b + a).tanh()
    sizes = [{text.get_fontsize() for text in ax.texts} for ax in (
        plots.graph(value), plots.graph(value, ax=plt.subplots(2, 3)[1].flat[0]),
    )]  # fmt: skip
    assert sizes[0] == {9.0} and max(sizes[1]) < 4


def test_every_function_is_drawn_to_the_end(model, tmp_path):
    """Rendering finds what drawing does not: labels that cannot be set, values that are not there."""
    ax = plots.decision_boundary(*model, steps=20)
    ax.figure.savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_matplotlib_is_imported_when_used():
    code = (
        "import sys, fastnn.plots\nassert 'matplotlib' not in sys.modules\nsys.modules['matplotlib'] = None\n"
        "try:\n    fastnn.plots.activations()\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install matplotlib" in done.stdout


def test_the_page_runs(sources):
    names = {}
    page = (sources / "docs" / "plots.md").read_text("utf-8")
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, names)
    assert isinstance(names["ax"], matplotlib.axes.Axes)
    assert all(f"plots.{name}(" in page for name in plots.__all__)


@pytest.mark.parametrize("name", ["learning_rate", "activations", "losses", "descent"])
def test_pictures_of_the_examples(name, sources, tmp_path, capsys):
    runpy.run_path(str(sources / "examples" / f"{name}.py"))["main"](tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10000


@pytest.mark.parametrize("name", ["", "._descent", "._formulas", "._graph", "._networks", "._training"])
def test_docstrings(name):
    found = doctest.testmod(importlib.import_module(f"fastnn.plots{name}"))
    assert found.failed == 0 and found.attempted > 0
