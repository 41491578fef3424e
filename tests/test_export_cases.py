"""Nothing is forgotten: every layer and every activation stands among the models that are exported and exchanged."""

import numpy as np
import pytest
from export_cases import MODELS, built
from optional import optional
from test_exchange import ABSENT, KERAS, SIMPLE, TORCH, inputs

import fastnn
from fastnn import _exchange, activations, files, layers

LAYERS = {getattr(layers, name) for name in layers.__all__ if isinstance(getattr(layers, name), type)}
OURS_ALONE = {layers.Residual, layers.Parallel}  # and what has no weights and no op of its own
NOT_LAYERS_OF_A_STACK = {layers.Layer, layers.InputLayer}


def kinds(stack):
    return {type(layer) for one in stack for layer in one._flat()}


def test_every_layer_is_exported():
    found = set().union(*(kinds([built(name)]) for name in MODELS))
    assert found >= LAYERS - NOT_LAYERS_OF_A_STACK


def test_every_activation_is_exported():
    for name in activations.names():
        assert f"activation_{name}" in MODELS and f"dense_{name}" in MODELS


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_and_activation_comes_back_from_a_file(name, dtype, tmp_path):
    model = built(name, dtype)
    model.save(tmp_path / "m")
    again = fastnn.load(tmp_path / "m")
    assert again.get_config() == model.get_config()
    assert len(again.weights) == len(model.weights)
    for ours, theirs in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    safetensors = optional("safetensors.numpy")
    read = safetensors.load_file(tmp_path / "m")
    assert set(read) == set(files.load_tensors(tmp_path / "m")[0])
    assert sorted(a.tobytes() for a in read.values()) == sorted(w.tobytes() for w in model.weights)


def test_every_layer_comes_from_keras(keras):
    assert {getattr(layers, name) for name in _exchange.KERAS_LAYERS} == LAYERS - OURS_ALONE - NOT_LAYERS_OF_A_STACK
    found = {type(layer).__name__ for _, made in KERAS.values() for layer in made(keras.layers)}
    assert found >= set(_exchange.KERAS_LAYERS)


@pytest.mark.parametrize("name", activations.names())
def test_every_activation_comes_from_keras(name, keras):
    if not hasattr(keras.activations, name):
        assert name in {"step", "relu_general", "gelu_tanh"}
        return
    if name == "threshold":
        pytest.skip("Keras's has arguments without defaults")
    theirs = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(6), keras.layers.Activation(name)])
    ours = fastnn.Sequential.from_keras(theirs)
    x = inputs("", (6,))
    if name == "sparsemax":  # Keras 3.15 is right only where one class has everything: far apart, whatever the weights
        x = 1e4 * x
        x = x[np.count_nonzero(ours(x), axis=1) == 1]
        assert len(x) > 1
    expected = np.asarray(theirs(x))
    np.testing.assert_allclose(ours.predict(x, verbose=0), expected, rtol=1e-7, atol=1e-7)
    assert len(np.unique(expected)) > 1


def test_every_module_comes_from_pytorch(torch):
    def inside(modules):
        for module in modules:
            yield type(module).__name__
            yield from inside(module.children())

    found = {name for _, made in TORCH.values() for name in inside(made(torch.nn))}
    assert found >= set(_exchange.TORCH_LAYERS) | set(_exchange.TORCH_ACTIVATIONS)
    assert set(SIMPLE) <= found


def test_every_layer_goes_to_pytorch_or_is_known_not_to():
    refused = {"Residual", "Parallel", "Rescaling", "Normalization", "GaussianNoise", "Softmax"}
    written = {kind.__name__ for kind in _exchange.WRITERS}
    wanted = {kind.__name__ for kind in LAYERS - NOT_LAYERS_OF_A_STACK}
    assert wanted <= written | refused
    assert {"residual", "parallel", "rescaling", "normalization", "identities"} <= ABSENT
