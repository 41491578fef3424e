"""Models of very many layers: what is done for each layer does not depend on how many there are."""

import sys

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, layers


def calls_of(function):
    """How many functions are called, those of C among them."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def stack(n):
    return [layers.Input((4,)), *(layers.Dense(4, name=f"dense_{n}_{i}") for i in range(n))]


def at_once(n, path):
    return lambda: Sequential(stack(n))


def one_by_one(n, path):
    made = stack(n)

    def build():
        model = Sequential()
        for layer in made:
            model.add(layer)
        model(np.ones((1, 4)))

    return build


def taken_off(n, path):
    model = Sequential(stack(n))

    def unbuild():
        for _ in range(n - 1):
            model.pop()
        model(np.ones((1, 4)))

    return unbuild


def from_config(n, path):
    config = Sequential(stack(n)).get_config()
    return lambda: Sequential.from_config(config)


def saved(n, path):
    model = Sequential(stack(n))
    return lambda: model.save(path)


def loaded(n, path):
    Sequential(stack(n)).save(path)
    return lambda: fastnn.load(path)


def trained(n, path):
    model = Sequential(stack(n))
    model.compile("sgd", "mse")
    return lambda: model.fit(np.ones((4, 4)), np.ones((4, 4)), verbose=0)


@pytest.mark.parametrize("kind", [at_once, one_by_one, taken_off, from_config, saved, loaded, trained])
def test_work_is_linear_in_the_number_of_layers(kind, tmp_path):
    kind(20, tmp_path / "first")()  # what is imported and kept the first time
    few, many = (calls_of(kind(n, tmp_path / "model")) for n in (60, 240))
    assert many < 5 * few, "four times as many layers"


def test_two_thousand_layers(tmp_path):
    model = Sequential(stack(2000), seed=0)
    assert model.count_params() == 2000 * 20
    x = np.ones((3, 4), np.float32)
    model.save(tmp_path / "deep")
    np.testing.assert_array_equal(fastnn.load(tmp_path / "deep")(x), model(x))
    model.compile("sgd", "mse")
    model.fit(x, x, verbose=0)
    grown = Sequential(seed=0)
    for layer in stack(2000):
        grown.add(layer)
    np.testing.assert_array_equal(grown.get_weights()[-2], Sequential(stack(2000), seed=0).get_weights()[-2])


def test_layers_added_to_a_built_model_have_the_first_values_that_they_have_at_once():
    at_once = Sequential([layers.Input((3,)), *(layers.Dense(5) for _ in range(4))], seed=7)
    grown = Sequential([layers.Input((3,)), layers.Dense(5), layers.Dense(5)], seed=7)
    x = np.ones((2, 3))
    grown(x)
    grown.add(layers.Dense(5))
    grown.add(layers.Dense(9))
    assert grown.output_shape == (None, 9)
    grown.pop()
    grown.add(layers.Dense(5))
    assert grown.output_shape == (None, 5)
    for a, b in zip(grown.get_weights(), at_once.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(grown(x), at_once(x))


def test_a_layer_that_does_not_fit_leaves_a_built_model_as_it_was():
    model = Sequential([layers.Input((3,)), layers.Dense(5)], seed=0)
    x = np.ones((2, 3))
    before = model(x)
    with pytest.raises(ValueError, match="reshape"):
        model.add(layers.Reshape((7,)))
    wrong = layers.Dense(2, dtype="float64")
    with pytest.raises(ValueError, match="comes twice"):
        model.add(model.layers[0])
    model.add(wrong)  # from here on in its precision
    assert model.dtype == "float64" and model(x).dtype == np.float64
    model.pop()
    np.testing.assert_allclose(model(x), before, rtol=1e-6)
    assert len(model.layers) == 1
