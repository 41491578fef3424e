"""docs/custom.md: each snippet runs and its model learns; what brings a derivative brings the right one."""

import re
from pathlib import Path

import numpy as np
import pytest

import fastnn

PAGE = Path(__file__).parents[1] / "docs" / "custom.md"
if not PAGE.exists():
    pytest.skip("the documentation is not here", allow_module_level=True)


def read_sections():
    """{heading: its snippets as one program}"""
    parts = re.split(r"^## (.*)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        heading: "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }


SECTIONS = read_sections()
DATA, CHECK = "Data for this page", "Is the gradient right?"
PARTS = [heading for heading in SECTIONS if heading not in (DATA, CHECK)]


def run(*headings):
    names = {}
    for heading in (DATA, *headings):
        exec(SECTIONS[heading], names)
    return names


def test_all_sections_have_snippets():
    assert len(PARTS) == 8 and all(SECTIONS.values())


@pytest.mark.parametrize("part", PARTS)
def test_it_trains(part):
    names = run(part)
    losses = names["history"].history["loss"]
    assert len(losses) == 20 and np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("part", ["A layer", "An activation", "A loss", "First values, penalties, constraints"])
def test_its_gradient_is_that_of_finite_differences(part):
    names = run(part, CHECK)
    x, y, model = names["x"][:8], names["y"][:8], names["model"]
    assert names["largest_error"](model, x, y) < 1e-8


def test_wrong_gradients_are_found():
    names = run("An activation", CHECK)
    names["bent"].derivative = np.ones_like
    assert names["largest_error"](names["model"], names["x"][:8], names["y"][:8]) > 1e-4


def test_the_gradient_by_x_of_the_layer():
    names = run("A layer")
    model, x = names["model"], names["x"][:4].copy()
    dy = np.ones((4, 1))
    _, tape = model.forward(x)
    dx = tape.backward(dy)
    for i in np.ndindex(x.shape):
        moved = x.copy()
        moved[i] += 1e-6
        below = x.copy()
        below[i] -= 1e-6
        assert dx[i] == pytest.approx((model(moved) - model(below)).sum() / 2e-6, abs=1e-8)


def test_the_layer_is_saved_and_frozen(tmp_path):
    names = run("A layer")
    model, scale = names["model"], names["Scale"]
    model.save(tmp_path / "model")
    copy = fastnn.load(tmp_path / "model", custom_objects={"Scale": scale})
    np.testing.assert_array_equal(copy(names["x"]), model(names["x"]))
    assert copy.layers[1].first == 0.5
    with pytest.raises(fastnn.FormatError, match="scale"):
        fastnn.load(tmp_path / "model")
    copy.layers[1].trainable = False
    copy.compile("adam", "mse")
    before = copy.layers[1].get_weights()
    copy.fit(names["x"], names["y"], verbose=0)
    np.testing.assert_array_equal(before, copy.layers[1].get_weights())


def test_the_loss_is_weighted_and_reduced():
    names = run("A loss")
    loss = names["Pinball"](0.9, reduction="sum")
    assert loss([[1.0], [0.0]], [[0.0], [1.0]], sample_weight=[2.0, 3.0]) == pytest.approx(2 * 0.9 + 3 * 0.1)


def test_the_metrics_measure():
    names = run("A metric")
    model, x, y = names["model"], names["x"], names["y"]
    assert list(names["history"].history) == ["bias", "largest", "loss"]
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    error = model.predict(x, verbose=0) - y
    assert logs["bias"] == pytest.approx(error.mean()) and logs["largest"] == pytest.approx(np.abs(error).mean())


def test_the_optimizer_is_the_compiled_one():
    """Gradient descent with momentum is that of SGD, to rounding."""
    names = run("An optimizer")
    weights = []
    for optimizer in (names["HeavyBall"](0.02), fastnn.optimizers.SGD(0.02, momentum=0.9)):
        model = names["network"]()
        model.compile(optimizer, "mse")
        model.fit(names["x"], names["y"], epochs=3, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_the_schedule_gives_the_rates():
    names = run("A schedule")
    assert float(names["model"].optimizer.learning_rate) == 0.01
    model = names["network"]()
    model.compile(fastnn.optimizers.SGD(names["Warm"](0.01, 40)), "mse")
    model.fit(names["x"], names["y"], batch_size=32, verbose=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01 * 9 / 40)


def test_the_callback_changes_the_rate():
    names = run("A callback")
    assert float(names["model"].optimizer.learning_rate) == pytest.approx(0.5 * 0.5 ** names["shrink"].halved)


def test_the_constraint_and_the_first_values_hold():
    names = run("First values, penalties, constraints")
    assert np.abs(names["hidden"].kernel).max() <= 1
    fresh = names["network"](fastnn.layers.Dense(16, kernel_initializer=names["Ring"]()))
    fresh.build((None, 4))
    np.testing.assert_allclose(fresh.layers[1].kernel.ravel()[:3], np.cos([0, 1, 2]) / 16)
