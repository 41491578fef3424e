"""docs/models.md and docs/layers.md: the snippets run, and every layer with every argument is explained."""

import doctest
import importlib
import inspect
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from optional import optional

import fastnn
from fastnn import layers

DOCS = Path(__file__).parents[1] / "docs"
if not DOCS.exists():
    pytest.skip("the documentation is not here", allow_module_level=True)


def run(page):
    names = {}
    for snippet in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL):
        exec(snippet, names)
    return names


def test_the_snippets_on_models(capsys):
    names = run("models.md")
    assert len(names["history"].epoch) == 30 and names["accuracy"] > 0.8
    assert names["probabilities"].shape == (100, 2) and names["probabilities"].dtype == np.float32
    assert sorted(names["more"].history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert list(names["logs"]) == ["accuracy", "loss"]
    line, x = names["line"], names["x"]
    assert np.mean((line(x) - x[:, :1]) ** 2) < 0.01 * np.mean(x[:, :1] ** 2)
    said = capsys.readouterr().out
    message = "takes samples of shape (8,), got an array of shape (8, 600); it looks transposed: pass x.T"
    assert message in said and message in (DOCS / "models.md").read_text(encoding="utf-8")


def test_the_tour(tmp_path, monkeypatch, capsys):
    """What it says is what comes out."""
    optional("matplotlib").use("agg")
    monkeypatch.chdir(tmp_path)
    names = run("tour.md")
    said = capsys.readouterr().out
    assert 0.96 < names["accuracy"] < 0.99 and len(names["wrong"]) == round(500 * (1 - names["accuracy"]))
    assert names["found"].fault == "rate too low" and str(names["found"]) in said
    assert names["better"].optimizer.learning_rate > 0.01
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "digits.fnn"]
    for printed in re.findall(r"```text\n(.*?)```", (DOCS / "tour.md").read_text("utf-8"), re.DOTALL):
        assert printed.strip() in said, printed


def test_the_snippets_on_layers():
    names = run("layers.md")
    assert names["model"].output_shape == (None, 3)
    np.testing.assert_allclose(names["norm"](np.array([[2.0, 30.0]])), [[0, 1]], atol=1e-6)
    assert names["both"](np.ones((1, 5))).shape == (1, 5)


KINDS = [name for name in layers.__all__ if name not in ("InputLayer", "Layer", "deserialize", "serialize")]


@pytest.mark.parametrize("name", KINDS)
def test_every_layer_is_explained(name):
    page = (DOCS / "layers.md").read_text(encoding="utf-8")
    _, found, rest = page.partition(f"\n### {name}\n")
    assert found, f"docs/layers.md has no section {name}"
    section = " ".join(re.split("\n##+ ", rest)[0].split())
    assert "**Formula**" in section and "**Shapes**" in section
    given = inspect.signature(getattr(layers, name)).parameters
    wanted = {key: p for key, p in given.items() if p.kind is not p.VAR_KEYWORD and key != "name"}
    call = re.search(rf"`{name}\((.*?)\)`", section)
    assert call, f"docs/layers.md: {name} has no call"
    for option, parameter in wanted.items():
        if parameter.default is parameter.empty:
            assert re.search(rf"\b{option}\b", call[1]), f"docs/layers.md: {name} does not take {option}"
        else:
            default = repr(parameter.default).replace("'", '"')
            assert f"{option}={default}" in call[1], f"docs/layers.md: {name}: {option}={default}"


@pytest.mark.parametrize("method", ["compile", "fit", "evaluate", "predict"])
def test_every_argument_of_fit_is_explained(method):
    documented = inspect.getdoc(getattr(fastnn.Sequential, method))
    page = (DOCS / "models.md").read_text(encoding="utf-8")
    for name in list(inspect.signature(getattr(fastnn.Sequential, method)).parameters)[1:]:
        if method == "fit":
            assert f"`{name}`" in page, f"docs/models.md does not explain {name}"
        elif name != "kwargs":
            assert re.search(rf"\b{name}\b", documented + inspect.getdoc(fastnn.Sequential.fit)), f"{method}: {name}"


def test_the_snippet_of_the_readme(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for snippet in re.findall(r"```python\n(.*?)```", (DOCS.parent / "README.md").read_text("utf-8"), re.DOTALL):
        exec(snippet, names)
    _, accuracy = names["model"].evaluate(names["x"][800:], names["y"][800:], verbose=0)
    assert accuracy > 0.8
    np.testing.assert_array_equal(fastnn.load("model.fastnn")(names["x"]), names["model"](names["x"]))


# What the snippets of docs/exporting.md need, by the packages' names
EXPORTS = {"c": [], "onnx": ["onnx"], "onnxruntime": ["onnx", "onnxruntime"], "keras": ["keras"], "torch": ["torch"]}


@pytest.mark.parametrize("kind", EXPORTS)
def test_the_snippets_on_exporting(tmp_path, monkeypatch, kind):
    """Each with the packages that it needs, and no other."""
    for package in EXPORTS[kind]:
        optional(package)
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "exporting.md").read_text("utf-8")
    marks = {"to_c(": "c", "to_onnx(": "onnx", **{f"import {name}": name for name in ("onnxruntime", "keras", "torch")}}
    ran, names = set(), {}
    for snippet in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        needs = {name for mark, name in marks.items() if mark in snippet}
        if needs <= {kind, *EXPORTS[kind]}:
            exec(snippet, names)
            ran |= needs
    assert kind in ran and "model" in names
    files = {"c": ["model.c", "model.h"], "onnx": ["model.onnx"], "onnxruntime": ["model.onnx"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == files.get(kind, [])
    if kind == "c":
        printed = re.search(r"```text\n(.*?)```", text, re.DOTALL)[1]
        assert printed in (tmp_path / "model.c").read_text()


def test_the_demo_shows_what_it_says(capsys, tmp_path):
    demo = runpy.run_path(str(DOCS.parent / "examples" / "demo.py"))
    demo["main"](str(tmp_path / "demo.fnn"))
    said = capsys.readouterr().out
    accuracy = float(re.search(r"accuracy ([\d.]+)% on digits held out", said)[1])
    ours, theirs = map(float, re.findall(r" s, accuracy ([\d.]+)%", said))
    alike = float(re.search(r"same answers: ([\d.]+)%", said)[1])
    assert min(accuracy, ours, theirs) > 95 and alike > 95
    assert "with the same output: True" in said
    assert max(len(line) for line in said.splitlines() if "saved as" not in line) <= 80

    _, (x, labels) = demo["digits"]()
    shades = str.maketrans(" ░▒▓█", "01234")
    blocks = re.findall(r"((?:^[ ░▒▓█]*\n){8})^ *(\d.*)$", said, re.MULTILINE)
    first = np.array([[int(c) for c in line.ljust(73).translate(shades)] for line in blocks[0][0].splitlines()])
    for i in range(4):
        drawn = first[:, 19 * i : 19 * i + 16 : 2]
        np.testing.assert_allclose(drawn / 4, x[i].reshape(8, 8), atol=0.126)
        assert re.findall(r"(\d) \(", blocks[0][1])[i] == str(labels[i])
    wrong = [(int(a), int(b)) for a, b in re.findall(r"(\d), but is (\d)", said)]
    assert wrong and all(a != b for a, b in wrong)


@pytest.mark.parametrize(
    "name",
    ["models", "files", "layers._base", "layers._branches", "layers._dense", "layers._regular", "layers._shapes"],
)
def test_docstrings(name):
    found = doctest.testmod(importlib.import_module(f"fastnn.{name}"))
    assert found.failed == 0
    assert found.attempted > 0 or name == "files"


def test_every_place_that_the_design_names_is_there():
    page = (DOCS / "design.md").read_text(encoding="utf-8")
    places = set(re.findall(r"`((?:csrc|fastnn|tests)/[\w./]*)`", page))
    assert len(places) > 15
    assert [place for place in sorted(places) if not (DOCS.parent / place).exists()] == []


def test_the_front_page():
    names = run("index.md")
    assert names["accuracy"] > 0.8


def test_coming_from_pytorch():
    optional("torch")
    names = run("pytorch.md")
    assert names["history"].history["accuracy"][-1] > 0.6
