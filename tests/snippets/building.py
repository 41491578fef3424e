"""Models before they learn: shapes, weights, names and configurations."""

import re

import numpy as np
from snippets.recording import Numbers, table


def totals(model):
    """What the summary says about the numbers of weights."""
    printed = []
    model.summary(print_fn=lambda text, **options: printed.append(text))
    found = re.findall(r"(Total|Trainable|Non-trainable) params: ([\d,]+)", "\n".join(printed))
    return sorted((kind, int(number.replace(",", ""))) for kind, number in found)


def with_an_input(keras):
    model = keras.Sequential([keras.Input(shape=(4,)), keras.layers.Dense(5), keras.layers.Dense(2)], name="first")
    shapes = [tuple(w.shape) for w in model.weights]
    return model.built, model.name, shapes, model.input_shape, model.output_shape, len(model.layers), totals(model)


def built_by_data(keras):
    model = keras.Sequential([keras.layers.Dense(5, activation="elu"), keras.layers.Dense(2)])
    before = model.built
    y = np.asarray(model(np.ones((3, 4), dtype="float32")))
    return before, model.built, y, [tuple(w.shape) for w in model.get_weights()], model.count_params(), totals(model)


def built_by_fit(keras):
    x, y = table()
    model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile("sgd", "mae")
    before = model.built
    history = model.fit(x, y, verbose=0)
    return before, model.built, history, model.input_shape[1:], model.output_shape[1:]


def built_by_shape(keras):
    model = keras.Sequential([keras.layers.Dense(5), keras.layers.BatchNormalization(), keras.layers.Dense(2)])
    model.build((None, 7))
    trainable, fixed = model.trainable_weights, model.non_trainable_weights
    return [tuple(w.shape) for w in trainable], [tuple(w.shape) for w in fixed], totals(model)


def add_and_pop(keras):
    model = keras.Sequential(name="growing")
    model.add(keras.Input(shape=(4,)))
    model.add(keras.layers.Dense(8, activation="relu"))
    model.add(keras.layers.Dense(3))
    before = totals(model), model.output_shape
    popped = model.pop()
    model.add(keras.layers.Dense(2, name="head"))
    return before, popped.units, totals(model), model.output_shape, len(model.layers), model.layers[-1].name


def names(keras):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, name="hidden"),
            keras.layers.Dense(2, name="scores"),
        ]
    )
    hidden = model.get_layer("hidden")
    last = model.get_layer(index=1)
    shapes = tuple(hidden.kernel.shape), tuple(hidden.bias.shape), len(last.trainable_weights), last.count_params()
    return [layer.name for layer in model.layers], hidden.units, shapes


def no_bias(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, use_bias=False), keras.layers.Dense(1)])
    return totals(model), model.count_params(), [tuple(w.shape) for w in model.layers[0].get_weights()]


def model_configuration(keras):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, activation="relu", kernel_regularizer="l2"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1),
        ],
        name="original",
    )
    copy = keras.Sequential.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    x = np.ones((2, 4), dtype="float32")
    same = bool(np.allclose(model(x), copy(x)))
    return copy.name, [type(layer).__name__ for layer in copy.layers], totals(copy), same


def layer_configuration(keras):
    layer = keras.layers.Dense(
        7,
        activation="tanh",
        kernel_initializer=keras.initializers.HeNormal(seed=1),
        bias_constraint=keras.constraints.MaxNorm(2.0),
        name="described",
    )
    config = layer.get_config()
    copy = keras.layers.Dense.from_config(config)
    kept = {key: config[key] for key in ("name", "trainable", "units", "activation", "use_bias")}
    kinds = type(copy.kernel_initializer).__name__, type(copy.bias_constraint).__name__
    return kept, kinds, copy.name, copy.units


def serialized_layer(keras):
    described = keras.layers.serialize(keras.layers.Dense(4, activation="relu", name="again"))
    layer = keras.layers.deserialize(described)
    return described["class_name"], layer.name, layer.units, layer.activation is keras.activations.get("relu")


def layer_alone(keras):
    layer = keras.layers.Dense(3, kernel_initializer="ones")
    before = layer.built
    y = np.asarray(layer(np.ones((2, 4), dtype="float32")))
    shape = layer.compute_output_shape((None, 4))
    return before, layer.built, y, Numbers(y), tuple(shape), layer.count_params()


def copied_weights(keras):
    def make():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1)])

    one, other = make(), make()
    other.set_weights(one.get_weights())
    other.layers[0].set_weights([np.zeros((4, 3)), np.ones(3)])
    x = np.ones((2, 4), dtype="float32")
    hidden = np.asarray(other.layers[0](x))
    return list(other.get_weights()), Numbers(hidden), bool(np.array_equal(one(x), other(x)))


def seeds(keras):
    def first():
        keras.utils.set_random_seed(7)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        return np.asarray(model.get_weights()[0])

    return bool(np.array_equal(first(), first()))
