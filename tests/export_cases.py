"""Models to export: every layer, with every argument that changes what predict does, and every activation."""

import numpy as np

import fastnn
from fastnn import activations, layers

# The shape of a sample, and the layers
MODELS = {
    "relu": ((6,), lambda: [layers.ReLU()]),
    "relu_general": ((6,), lambda: [layers.ReLU(max_value=1.0, negative_slope=0.25, threshold=0.5)]),
    "relu_threshold": ((6,), lambda: [layers.ReLU(threshold=0.5)]),
    "leaky_relu": ((6,), lambda: [layers.LeakyReLU(0.125)]),
    "elu": ((6,), lambda: [layers.ELU(0.5)]),
    "prelu": ((6,), lambda: [layers.PReLU()]),
    "prelu_shared": ((3, 4), lambda: [layers.PReLU(shared_axes=[1])]),
    "prelu_shared_last": ((3, 4), lambda: [layers.PReLU(shared_axes=[2])]),
    "prelu_shared_all": ((3, 4), lambda: [layers.PReLU(shared_axes=[1, 2])]),
    "softmax": ((6,), lambda: [layers.Softmax()]),
    "softmax_first": ((3, 4), lambda: [layers.Softmax(axis=1)]),
    "softmax_several": ((3, 4, 2), lambda: [layers.Softmax(axis=[1, 3])]),
    "identities": ((6,), lambda: [layers.Dropout(0.5), layers.GaussianNoise(1.0)]),
    "dropout_shared": ((3, 4), lambda: [layers.Dropout(0.5, noise_shape=(None, 1, None))]),
    "batch_norm": ((6,), lambda: [layers.BatchNormalization()]),
    "batch_norm_bare": ((6,), lambda: [layers.BatchNormalization(center=False, scale=False)]),
    "batch_norm_epsilon": ((6,), lambda: [layers.BatchNormalization(epsilon=0.5)]),
    "batch_norm_last": ((3, 4), lambda: [layers.BatchNormalization(epsilon=0.1)]),
    "batch_norm_first": ((3, 4), lambda: [layers.BatchNormalization(axis=1)]),
    "layer_norm": ((6,), lambda: [layers.LayerNormalization()]),
    "layer_norm_bare": ((6,), lambda: [layers.LayerNormalization(center=False, scale=False, epsilon=0.1)]),
    "layer_norm_epsilon": ((6,), lambda: [layers.LayerNormalization(epsilon=0.5)]),
    "layer_norm_first": ((3, 4), lambda: [layers.LayerNormalization(axis=1)]),
    "layer_norm_several": ((3, 4, 2), lambda: [layers.LayerNormalization(axis=[1, 3])]),
    "layer_norm_all": ((3, 4), lambda: [layers.LayerNormalization(axis=[1, 2])]),
    "layer_norm_rms": ((6,), lambda: [layers.LayerNormalization(rms_scaling=True)]),
    "layer_norm_rms_first": ((3, 4), lambda: [layers.LayerNormalization(axis=1, rms_scaling=True)]),
    "flatten": ((3, 4), lambda: [layers.Flatten()]),
    "flatten_numbers": ((), lambda: [layers.Flatten()]),
    "reshape": ((12,), lambda: [layers.Reshape((3, -1)), layers.Dense(2)]),
    "rescaling": ((3, 2), lambda: [layers.Rescaling([0.5, 2.0], offset=-1.0)]),
    "rescaling_nothing": ((3,), lambda: [layers.Rescaling(1.0)]),
    "normalization": ((3,), lambda: [layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 0.0])]),
    "normalization_first": ((3, 2), lambda: [layers.Normalization(axis=1)]),
    "normalization_one": ((3,), lambda: [layers.Normalization(axis=None)]),
    "normalization_inverted": ((2,), lambda: [layers.Normalization(mean=1.0, variance=4.0, invert=True)]),
    "dense_without_bias": ((6,), lambda: [layers.Dense(1, use_bias=False)]),
    "dense_of_one": ((1,), lambda: [layers.Dense(1)]),
    "dense_of_axes": ((2, 3, 4), lambda: [layers.Dense(5, "tanh"), layers.Dense(2, use_bias=False)]),
    "residual": ((6,), lambda: [layers.Residual([layers.Dense(6, "relu"), layers.Dense(6)]), layers.Dense(2)]),
    # What goes around the branch is still needed when the branch has begun, also behind what changes nothing
    "residual_of_batch_norm": (
        (6,),
        lambda: [layers.Dense(6), layers.Residual([layers.BatchNormalization(), layers.Dense(6)]), layers.Dense(2)],
    ),
    "residual_of_relu": ((6,), lambda: [layers.Dense(6), layers.Residual([layers.ReLU()]), layers.Dense(2)]),
    "residual_of_dropout": (
        (6,),
        lambda: [layers.Dense(6), layers.Residual([layers.Dropout(0.5), layers.ReLU()]), layers.Dense(2)],
    ),
    "parallel_of_dropout": (
        (6,),
        lambda: [layers.Dense(6), layers.Parallel([[layers.Dropout(0.5), layers.PReLU()], layers.ReLU(), []])],
    ),
    "residual_of_input": ((6,), lambda: [layers.Residual([layers.ReLU()]), layers.ReLU()]),
    "residual_nothing": ((6,), lambda: [layers.Residual([layers.Dropout(0.5)])]),
    "residual_projection": ((6,), lambda: [layers.Residual([layers.Dense(4, "glu")], projection="dense")]),
    "parallel": ((6,), lambda: [layers.Parallel([layers.Dense(4), [layers.Dense(3, "tanh"), layers.Dense(4)]])]),
    "parallel_same": ((6,), lambda: [layers.Parallel([layers.Dropout(0.1), layers.ReLU(), layers.Dropout(0.2)])]),
    "concatenation": (
        (2, 6),
        lambda: [layers.Parallel([layers.Dense(2), layers.Dense(3, "softmax"), []], merge="concatenate")],
    ),
    "nested": (
        (6,),
        lambda: [
            fastnn.Sequential([layers.Dense(4, "relu"), fastnn.Sequential([layers.Dense(3, "mish")])]),
            layers.Residual([layers.Parallel([layers.Dense(3), layers.Dense(3)]), layers.PReLU()]),
            layers.Dense(2, "softmax"),
        ],
    ),
    "penalty": ((6,), lambda: [layers.Dense(4, "relu", activity_regularizer="l2"), layers.Dense(2)]),
}
WORDS = {
    "embedding": ((4,), lambda: [layers.Embedding(5, 3), layers.Flatten(), layers.Dense(2)]),
    "embedding_of_numbers": ((), lambda: [layers.Embedding(5, 3), layers.Dense(2)]),
    "embedding_inside": ((4,), lambda: [fastnn.Sequential([layers.Embedding(5, 3)]), layers.Flatten()]),
    "embedding_beside": ((2,), lambda: [layers.Parallel([layers.Embedding(5, 3), layers.Embedding(5, 3)])]),
}
MODELS |= {
    f"dense_{name}": ((6,), lambda name=name: [layers.Dense(8, activation=name), layers.Dense(4)])
    for name in activations.names()
}
MODELS |= WORDS
MODELS |= {f"activation_{name}": ((2, 6), lambda name=name: [layers.Activation(name)]) for name in activations.names()}


def built(name, dtype="float32"):
    """A model whose every weight matters: none is 0, 1 or its neighbour's like."""
    shape, made = MODELS[name]
    model = fastnn.Sequential(made(), seed=1, dtype=dtype)
    model.build((None, *shape))
    rng = np.random.default_rng(2)
    model.set_weights([rng.uniform(0.1, 0.6, w.shape) * rng.choice([-1, 1], w.shape) for w in model.weights])
    for layer in model._flat():  # variances are none but positive
        for variable in layer._variables:
            if "variance" in variable.name:
                variable.array[...] = np.abs(variable.array)
        layer._weights_set()
    return model


def samples(name, n, dtype="float32"):
    shape = MODELS[name][0]
    rng = np.random.default_rng(3)
    return rng.integers(0, 5, (n, *shape)) if name in WORDS else rng.normal(0, 2, (n, *shape)).astype(dtype)


def bent(x):
    return x * x


bent.derivative = lambda x: 2 * x


class Doubling(layers.Layer):
    def forward(self, x, training):
        return 2 * x
