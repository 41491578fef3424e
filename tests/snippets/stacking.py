"""The layers that dense networks are made of, and what freezing does to them."""

import numpy as np
from snippets.building import totals
from snippets.recording import Numbers, table


def trained(keras, layers, x=None, y=None, epochs=1):
    if x is None:
        x, y = table()
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(x, y, batch_size=16, epochs=epochs, verbose=0)
    return (
        model,
        history,
        [tuple(w.shape) for w in model.get_weights()],
        totals_before(model),
        model.predict(x, verbose=0),
    )


def totals_before(model):
    """Of weights alone: a fitted Keras model counts the optimizer's among the total."""
    return [entry for entry in totals(model) if entry[0] != "Total"]


def dropout(keras):
    layers = [keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dropout(0.5, seed=1)]
    model, *found = trained(keras, layers)
    x = np.ones((64, 4), dtype="float32")
    learning, testing = np.asarray(model(x, training=True)), np.asarray(model(x))
    return found, bool(np.ptp(learning) > 0), bool(np.ptp(testing) < 1e-5)


def gaussian_noise(keras):
    _, *found = trained(keras, [keras.Input((4,)), keras.layers.GaussianNoise(0.1), keras.layers.Dense(3)])
    return found


def batch_normalization(keras):
    norm = keras.layers.BatchNormalization(momentum=0.9)
    _, *found = trained(keras, [keras.layers.Dense(6, use_bias=False), norm, keras.layers.Activation("relu")])
    shapes = tuple(norm.gamma.shape), tuple(norm.moving_mean.shape)
    return found, shapes, len(norm.trainable_weights), len(norm.non_trainable_weights)


def layer_normalization(keras):
    norm = keras.layers.LayerNormalization(epsilon=1e-5)
    _, *found = trained(keras, [keras.layers.Dense(6), norm])
    y = np.asarray(keras.layers.LayerNormalization(center=False, scale=False)(np.array([[0.0, 2.0], [4.0, 4.0]])))
    return found, len(norm.weights), Numbers(y.round(2))


def adapted_normalization(keras):
    x, y = table()
    norm = keras.layers.Normalization()
    norm.adapt(x)
    _, *found = trained(keras, [norm, keras.layers.Dense(3, "relu")], x, y)
    once = np.asarray(norm(x))
    return found, bool(np.allclose(once.mean(axis=0), 0, atol=1e-5)), np.size(norm.mean), np.size(norm.variance)


def given_normalization(keras):
    norm = keras.layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])
    turned = keras.layers.Normalization(mean=1.0, variance=4.0, invert=True)
    x = np.array([[3.0, 5.0]], dtype="float32")
    return Numbers(norm(x)), Numbers(turned(x))


def rescaling(keras):
    x = np.arange(48, dtype="uint8").reshape(12, 4)
    layers = [keras.Input((4,)), keras.layers.Rescaling(1.0 / 255, offset=-0.5), keras.layers.Dense(2)]
    return trained(keras, layers, x, np.ones((12, 1)))[1:]


def embedding(keras):
    x = np.random.default_rng(0).integers(0, 9, size=(24, 3))
    layers = [keras.Input((3,), dtype="int32"), keras.layers.Embedding(9, 4), keras.layers.Flatten()]
    return trained(keras, layers, x, np.ones((24, 1)))[1:]


def reshape_and_flatten(keras):
    x = np.ones((8, 6), dtype="float32")
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Reshape((2, -1)), keras.layers.Dense(4), keras.layers.Flatten()]
    )
    return np.asarray(model(x)), model.output_shape, [tuple(w.shape) for w in model.get_weights()]


def images(keras):
    x = np.zeros((10, 8, 8), dtype="float32")
    y = np.arange(10) % 3
    model = keras.Sequential(
        [
            keras.Input((8, 8)),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model.fit(x, y, verbose=0), totals_before(model)


def sequences(keras):
    x = np.ones((6, 5, 4), dtype="float32")
    model = keras.Sequential([keras.layers.Dense(3, "relu"), keras.layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model.fit(x, np.zeros((6, 5, 2)), verbose=0), model.predict(x, verbose=0), model.output_shape[1:]


def activation_layers(keras):
    found = []
    for layer in (
        keras.layers.ReLU(max_value=6.0, negative_slope=0.1),
        keras.layers.LeakyReLU(negative_slope=0.2),
        keras.layers.ELU(alpha=0.5),
        keras.layers.PReLU(),
        keras.layers.Softmax(),
        keras.layers.Activation("silu"),
        keras.layers.Activation(keras.activations.mish),
    ):
        y = np.asarray(layer(np.array([[-1.0, 0.0, 1.0]], dtype="float32")))
        found.append((y, Numbers(y), [tuple(w.shape) for w in layer.weights]))
    return found


def activations(keras):
    names = "relu relu6 leaky_relu elu selu gelu silu swish sigmoid hard_sigmoid tanh softplus softsign exponential"
    names += " linear mish celu softmax log_softmax glu log_sigmoid hard_silu hard_tanh tanh_shrink"
    found = []
    for name in names.split():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, activation=name)])
        found.append((name, np.asarray(model(np.ones((2, 4), dtype="float32")))))
    return found


def frozen_for_transfer(keras):
    x, y = table()
    base = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(6, "relu")])
    base.compile("adam", "mse")
    for layer in base.layers:
        layer.trainable = False
    model = keras.Sequential([keras.Input((4,)), *base.layers, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    frozen = model.get_weights()
    history = model.fit(x, y, epochs=2, verbose=0)
    kept = [bool(np.array_equal(a, b)) for a, b in zip(frozen, model.get_weights(), strict=True)]
    before = totals_before(model)
    for layer in model.layers:
        layer.trainable = True
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    thawed = [bool(np.array_equal(a, b)) for a, b in zip(frozen, model.get_weights(), strict=True)]
    return history, kept, before, thawed, totals_before(model), len(model.trainable_weights)


def frozen_whole(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    model.trainable = False
    frozen = totals(model), len(model.trainable_weights), [layer.trainable for layer in model.layers]
    model.trainable = True
    return frozen, totals(model), len(model.trainable_weights), [layer.trainable for layer in model.layers]


def model_in_a_model(keras):
    x, y = table()
    base = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu")], name="base")
    model = keras.Sequential([keras.Input((4,)), base, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(x, y, verbose=0), totals_before(model), next(layer.name for layer in model.layers)


def double_precision(keras):
    x, y = table()
    x, y = x.astype("float64"), y.astype("float64")
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="float64"),
            keras.layers.Dense(3, dtype="float64"),
            keras.layers.Dense(1, dtype="float64"),
        ]
    )
    model.compile("sgd", "mse")
    return model.fit(x, y, verbose=0), model.predict(x, verbose=0), list(model.get_weights())
