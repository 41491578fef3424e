"""Descriptions of objects that are malformed: refused when the object is made, by a message that says what is wrong."""

import pytest

import fastnn
from fastnn import constraints, initializers, layers, losses, metrics, optimizers, regularizers

# A module, a class of it, and a config that is right
GOOD = [
    (layers, "Dense", {"units": 3}),
    (losses, "MeanSquaredError", {}),
    (metrics, "AUC", {}),
    (optimizers, "Adam", {}),
    (initializers, "HeNormal", {}),
    (regularizers, "L1", {"l1": 0.1}),
    (constraints, "MaxNorm", {}),
]
WRONG = {
    "a number": lambda name, config: 5,
    "nothing": lambda name, config: None,
    "a list": lambda name, config: [],
    "no class": lambda name, config: {"config": config},
    "config is a number": lambda name, config: {"class_name": name, "config": 5},
    "config is a list": lambda name, config: {"class_name": name, "config": [1]},
    "config is text": lambda name, config: {"class_name": name, "config": "abc"},
    "unknown argument": lambda name, config: {"class_name": name, "config": config | {"no_such_argument": 1}},
    "argument without a name": lambda name, config: {"class_name": name, "config": config | {1: 2}},
    "unknown class": lambda name, config: {"class_name": "Nonsense", "config": {}},
    "class is nothing": lambda name, config: {"class_name": None, "config": config},
    "class is a list": lambda name, config: {"class_name": [1], "config": config},
}


@pytest.mark.parametrize(("module", "name", "config"), GOOD, ids=[name for _, name, _ in GOOD])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_malformed_descriptions_are_refused(module, name, config, wrong):
    assert type(module.deserialize({"class_name": name, "config": config})).__name__ == name
    with pytest.raises(ValueError):
        module.deserialize(wrong(name, config))


def model_config(**changes):
    model = fastnn.Sequential([layers.Input((2,)), layers.Dense(1)])
    return model.get_config() | changes


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (5, "config: expected a dict"),
        (None, "config: expected a dict"),
        ({}, "config: expected a dict"),
        (model_config(layers=5), "config: expected a dict"),
        (model_config(layers="abc"), "config: expected a dict"),
        (model_config(layers=[5]), "layer: expected a dict"),
        (model_config(layers=[{}]), "layer: expected a dict"),
        (model_config(layers=[{"class_name": "Dense"}]), "units"),
        (model_config(layers=[{"class_name": "Sequential"}]), "config: expected a dict"),
        (model_config(layers=[{"class_name": "Residual", "config": {"layers": 5}}]), "layers"),
        (model_config(layers=[{"class_name": "Parallel", "config": {"branches": [5]}}]), "layers"),
        (model_config(build_input_shape=5), "build_input_shape"),
        (model_config(build_input_shape="ab"), "build_input_shape"),
        (model_config(build_input_shape=[]), "build_input_shape"),
        (model_config(build_input_shape=[None, None]), "build_input_shape"),
        (model_config(build_input_shape=[None, -1]), "build_input_shape"),
        (model_config(seed="a"), "seed"),
        (model_config(dtype="int8"), "dtype"),
        (model_config(name=5), "name"),
        (model_config(trainable=5), "trainable"),
        (model_config(no_such_argument=1), "no_such_argument"),
    ],
)
def test_malformed_models_are_refused(config, match):
    with pytest.raises(ValueError, match=match):
        fastnn.Sequential.from_config(config)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: layers.Normalization(mean="a", variance="b"), "mean"),
        (lambda: layers.Normalization(mean=[1, 2], variance=[1, 2, 3]), "variance"),
        (lambda: layers.Normalization(mean=1, variance=-1), "variance"),
        (lambda: layers.Normalization(mean=float("nan"), variance=1), "mean"),
        (lambda: layers.Normalization(mean=1, variance=object()), "variance"),
        (lambda: layers.Normalization(axis=[]), "axis"),
        (lambda: layers.LayerNormalization(axis=[]), "axis"),
        (lambda: layers.LayerNormalization(axis=[1, 1]), "axis"),
        (lambda: layers.Softmax(axis=[]), "axis"),
        (lambda: layers.Rescaling("a"), "scale"),
        (lambda: layers.Rescaling(float("nan")), "scale"),
        (lambda: layers.Reshape((0, 2)), "target_shape"),
        (lambda: layers.PReLU(shared_axes=[0]), "shared_axes"),
        (lambda: layers.PReLU(shared_axes=[-1]), "shared_axes"),
    ],
)
def test_layers_that_could_never_be_built_are_refused_at_once(make, match):
    with pytest.raises(ValueError, match=match):
        make()
