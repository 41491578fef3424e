"""Models from Keras and from PyTorch, and to PyTorch: the same outputs, or an error that names the layer."""

import numpy as np
import pytest
from export_cases import MODELS, built, samples

import fastnn
from fastnn import layers

# By the shape of a sample, what Keras's layers and ours have in common
KERAS = {
    "dense": ((6,), lambda k: [k.Dense(5, "gelu", kernel_regularizer="l2", name="one"), k.Dense(2, use_bias=False)]),
    "axes": ((2, 3), lambda k: [k.Dense(4, "softmax"), k.Flatten(), k.Dense(3), k.Reshape((3, -1))]),
    "activations": (
        (6,),
        lambda k: [
            k.ReLU(2.0, 0.1, 0.25), k.LeakyReLU(0.3), k.ELU(0.5), k.Activation("swish"), k.Activation("leaky_relu"),
        ],
    ),
    "along": ((3, 4), lambda k: [k.PReLU(shared_axes=[1]), k.Softmax(axis=1)]),
    "prelu": ((3,), lambda k: [k.PReLU()]),
    "random": ((6,), lambda k: [k.Dropout(0.5, seed=3), k.GaussianNoise(0.1), k.Dense(2)]),
    "norms": ((6,), lambda k: [k.BatchNormalization(momentum=0.5, scale=False), k.LayerNormalization(epsilon=0.1)]),
    "norms_along": ((3, 4), lambda k: [k.BatchNormalization(axis=1), k.LayerNormalization(axis=[1, 2], center=False)]),
    "rescaling": ((6,), lambda k: [k.Rescaling(0.5, offset=1.0), k.Dense(2)]),
    "normalization": ((3,), lambda k: [k.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 2.0])]),
    "adapted": ((3,), lambda k: [k.Normalization(), k.Dense(2)]),
    "embedding": ((4,), lambda k: [k.Embedding(5, 3), k.Flatten(), k.Dense(2)]),
}  # fmt: skip


def disturb(weights):
    """Values of which none is what a layer begins with."""
    rng = np.random.default_rng(1)
    return [(rng.uniform(0.1, 0.9, w.shape) + (w.ndim == 0)).astype(w.dtype) for w in weights]


def keras_model(keras, name):
    shape, made = KERAS[name]
    stack = made(keras.layers)
    if name == "adapted":
        stack[0].adapt(np.random.default_rng(4).normal(2, 3, (50, 3)))
    model = keras.Sequential([keras.layers.Input(shape), *stack], name=f"the_{name}")
    if name != "adapted":
        model.set_weights(disturb(model.get_weights()))
    return model


def inputs(name, shape, n=7):
    rng = np.random.default_rng(2)
    return rng.integers(0, 5, (n, *shape)) if "embedding" in name else rng.normal(0, 2, (n, *shape))


@pytest.mark.parametrize("name", KERAS)
def test_from_keras(name, keras):
    theirs = keras_model(keras, name)
    ours = fastnn.Sequential.from_keras(theirs)
    x = inputs(name, KERAS[name][0])
    expected = np.asarray(theirs(x))
    np.testing.assert_allclose(ours.predict(x, verbose=0), expected, rtol=1e-9, atol=1e-12)
    assert ours.dtype == "float64" and ours.name == theirs.name and len(np.unique(expected)) > 1
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert ours.count_params() == theirs.count_params()
    for w in ours.weights:  # copies
        w[...] = 0
    np.testing.assert_array_equal(np.asarray(theirs(x)), expected)


def test_a_limited_relu_goes_to_torch_and_back(torch):
    model = fastnn.Sequential([layers.Input((4,)), layers.Dense(5), layers.ReLU(max_value=0.7)], seed=0)
    again = fastnn.Sequential.from_torch(model.to_torch())
    x = inputs("", (4,))
    np.testing.assert_allclose(again(x), model(x), rtol=1e-6, atol=1e-7)
    assert again.layers[-1].max_value == pytest.approx(0.7) and (model(x) == np.float32(0.7)).any()


def test_from_keras_in_single_precision(keras):
    keras.config.set_dtype_policy("float32")
    theirs = keras_model(keras, "dense")
    ours = fastnn.Sequential.from_keras(theirs)
    x = inputs("dense", (6,)).astype(np.float32)
    assert ours.dtype == "float32"
    np.testing.assert_allclose(ours(x), np.asarray(theirs(x)), rtol=1e-6, atol=1e-6)


def test_from_keras_keeps_models_in_models_and_what_is_frozen(keras):
    k = keras.layers
    inner = keras.Sequential([k.Input((4,)), k.Dense(3, "tanh"), k.BatchNormalization()], name="inner")
    inner.trainable = False
    theirs = keras.Sequential([k.Input((4,)), inner, k.Dense(2, kernel_constraint="non_neg", name="last")])
    theirs.set_weights(disturb(theirs.get_weights()))
    ours = fastnn.Sequential.from_keras(theirs)
    x = inputs("", (4,))
    np.testing.assert_allclose(ours(x), np.asarray(theirs(x)), rtol=1e-9)
    assert isinstance(ours.layers[0], fastnn.Sequential) and ours.layers[0].name == "inner"
    assert not ours.layers[0].trainable and [w.shape for w in ours.trainable_weights] == [(3, 2), (2,)]
    assert isinstance(ours.layers[1].kernel_constraint, fastnn.constraints.NonNeg)
    ours.compile("adam", "mse")
    ours.fit(x, x[:, :2], epochs=1, verbose=0)


def test_what_keras_has_alone_is_refused_by_name(keras):
    k = keras.layers

    class Mine(k.Dense):
        pass

    for layer, said in (
        (k.UnitNormalization(name="it"), "it: fastnn has no layer like keras.src.layers"),
        (Mine(2, name="it"), "it: fastnn has no layer like .*Mine"),
        (k.Dense(2, activation=keras.ops.sin, name="it"), "it: .*sin"),
        (k.Dropout(0.5, noise_shape=(3, None), name="it"), "it: noise_shape"),
    ):
        with pytest.raises(ValueError, match=said):
            fastnn.Sequential.from_keras(keras.Sequential([k.Input((4,)), layer]))
    with pytest.raises(ValueError, match=r"words: mask_zero"):
        fastnn.Sequential.from_keras(keras.Sequential([k.Input((4,)), k.Embedding(3, 2, mask_zero=True, name="words")]))
    with pytest.raises(ValueError, match=r"it: fastnn's BatchNormalization has no renorm, and it is True"):
        fastnn.Sequential.from_keras(
            keras.Sequential([k.Input((4,)), k.BatchNormalization(renorm=True, name="it")])
        )  # fmt: skip
    with pytest.raises(ValueError, match="has no weights yet"):
        fastnn.Sequential.from_keras(keras.Sequential([k.Dense(2)]))
    x = k.Input((4,))
    with pytest.raises(TypeError, match=r"expected a keras.Sequential, got keras.src.models.functional.Functional"):
        fastnn.Sequential.from_keras(keras.Model(x, k.Dense(2)(x)))
    with pytest.raises(TypeError, match=r"expected a keras.Sequential, got builtins.list"):
        fastnn.Sequential.from_keras([])
    with pytest.raises(ValueError, match="expected layers that all compute in float32, or all in float64"):
        fastnn.Sequential.from_keras(keras.Sequential([k.Input((4,)), k.Dense(2, dtype="mixed_float16")]))


# ------------------------------------------------------------------------------------------------------------- PyTorch

SIMPLE = [
    "CELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LogSigmoid",
    "Mish",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "ELU",
    "LeakyReLU",
    "GELU",
    "PReLU",
]
TORCH = {
    "linear": ((6,), lambda n: [n.Linear(6, 4), n.ReLU(), n.Dropout(0.5), n.Linear(4, 2, bias=False)]),
    "axes": ((2, 3), lambda n: [n.Linear(3, 4), n.Flatten(), n.Linear(8, 6), n.Unflatten(1, (2, 3)), n.GLU()][:4]),
    "glu": ((6,), lambda n: [n.Linear(6, 4), n.GLU(), n.Threshold(0, 0)]),
    "along": ((3, 4), lambda n: [n.Softmax(dim=1), n.LogSoftmax(dim=-1)]),
    "arguments": ((6,), lambda n: [n.LeakyReLU(0.3), n.ELU(0.5), n.GELU("tanh")]),
    "prelu_one": ((3, 4), lambda n: [n.PReLU()]),
    "prelu_each": ((4,), lambda n: [n.PReLU(4)]),
    "prelu_first": ((3, 4), lambda n: [n.PReLU(3)]),
    "batch_norm": ((4,), lambda n: [n.BatchNorm1d(4, eps=0.1, momentum=0.3)]),
    "batch_norm_first": ((3, 4), lambda n: [n.BatchNorm1d(3)]),
    "batch_norm_bare": ((4,), lambda n: [n.BatchNorm1d(4, affine=False)]),
    "layer_norm": ((4,), lambda n: [n.LayerNorm(4), n.Linear(4, 2)]),
    "layer_norm_axes": ((3, 4), lambda n: [n.LayerNorm((3, 4), bias=False)]),
    "layer_norm_bare": ((3, 4), lambda n: [n.LayerNorm(4, elementwise_affine=False)]),
    "rms_norm": ((4,), lambda n: [n.RMSNorm(4)]),
    "embedding": ((4,), lambda n: [n.Embedding(5, 3), n.Flatten(), n.Linear(12, 2)]),
    "nested": ((6,), lambda n: [n.Sequential(n.Linear(6, 3), n.Sequential(n.Tanh())), n.Sequential(), n.Linear(3, 2)]),
    "twice": ((4,), lambda n: (lambda a, b: [a, b, a, b])(n.Linear(4, 4), n.Tanh())),
} | {name: ((6,), lambda n, name=name: [getattr(n, name)()]) for name in SIMPLE}
TELLING = {"linear", "glu", "prelu_each", "batch_norm", "batch_norm_bare", "layer_norm", "rms_norm", "nested", "twice"}


def torch_model(torch, name, dtype):
    module = torch.nn.Sequential(*TORCH[name][1](torch.nn)).to(getattr(torch, dtype.name))
    rng = np.random.default_rng(5)
    with torch.no_grad():
        for t in [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]:
            t.copy_(torch.tensor(rng.uniform(0.1, 0.9, t.shape)))
    return module.eval()


def run(torch, module, x, dtype):
    given = torch.tensor(x if x.dtype.kind == "i" else x.astype(dtype))
    with torch.no_grad():
        return module(given).numpy()


@pytest.mark.parametrize("name", TORCH)
def test_from_torch(name, dtype, torch):
    theirs = torch_model(torch, name, dtype)
    shape = TORCH[name][0]
    parameters = list(theirs.parameters())
    known = name in TELLING
    ours = fastnn.Sequential.from_torch(theirs, None if known else shape)
    x = inputs(name, shape)
    expected = run(torch, theirs, x, dtype if parameters or name == "batch_norm_bare" else np.float32)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if ours.dtype == "float32" else {"rtol": 1e-8, "atol": 1e-8}
    np.testing.assert_allclose(ours.predict(x, verbose=0), expected, **tolerance)
    assert ours.input_shape == (None, *shape) and len(np.unique(expected)) > 1
    for w in ours.weights:  # copies
        w[...] = 0
    np.testing.assert_array_equal(run(torch, theirs, x, expected.dtype), expected)


def test_from_torch_and_back_is_the_same_module(torch):
    theirs = torch_model(torch, "linear", np.dtype(np.float32))
    theirs[0].requires_grad_(False)
    ours = fastnn.Sequential.from_torch(theirs)
    assert not ours.layers[0].trainable and ours.layers[3].trainable
    again = ours.to_torch()
    assert repr(again) == repr(theirs) and not again.training
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], value)
    assert [p.requires_grad for p in again.parameters()] == [False, False, True]


def test_the_moving_statistics_move_on(torch):
    """PyTorch's momentum is the share of the new, ours that of the old."""
    theirs = torch_model(torch, "batch_norm", np.dtype(np.float64)).train()
    ours = fastnn.Sequential.from_torch(theirs)
    ours.compile("sgd", "mse")
    x = inputs("", (4,))
    ours.train_on_batch(x, x)
    theirs(torch.tensor(x))
    np.testing.assert_allclose(ours.layers[0].moving_mean, theirs[0].running_mean.numpy(), rtol=1e-10)


def test_training_goes_on_the_same(torch):
    n = torch.nn
    theirs = n.Sequential(n.Linear(3, 4), n.Tanh(), n.Linear(4, 1)).double()
    ours = fastnn.Sequential.from_torch(theirs)
    ours.compile(fastnn.optimizers.SGD(0.1), "mse")
    x = inputs("", (3,))
    y = x[:, :1]
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1)
    for _ in range(5):
        ours.train_on_batch(x, y)
        optimizer.zero_grad()
        n.functional.mse_loss(theirs(torch.tensor(x)), torch.tensor(y)).backward()
        optimizer.step()
    np.testing.assert_allclose(ours(x), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-10)


REFUSED = {
    "0: .*Conv1d": lambda n: [n.Conv1d(3, 4, 1)],
    "1: .*Softmin": lambda n: [n.Linear(3, 4), n.Softmin(-1)],
    r"0\.1: .*Conv1d": lambda n: [n.Sequential(n.Linear(3, 4), n.Conv1d(3, 4, 1))],
    "0: fastnn has Softplus with beta=1.0 only, got 2": lambda n: [n.Softplus(2)],
    "0: fastnn has LogSoftmax along the last axis only": lambda n: [n.LogSoftmax(0)],
    "0: Softmax has no dim": lambda n: [n.Softmax()],
    "0: axis: expected axes of a sample": lambda n: [n.Softmax(0)],
    "0: fastnn flattens all axes": lambda n: [n.Flatten(0)],
    "0: fastnn's BatchNormalization has moving": lambda n: [n.BatchNorm1d(3, track_running_stats=False)],
    "0: fastnn's Embedding has no max_norm": lambda n: [n.Embedding(3, 2, max_norm=1.0)],
    "0: RMSNorm has neither eps nor": lambda n: [n.RMSNorm(3, elementwise_affine=False)],
    "0: it normalises": lambda n: [n.LayerNorm(4)],
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_pytorch_has_alone_is_refused_by_place(said, torch):
    with pytest.raises(ValueError, match=rf"module {said}"):
        fastnn.Sequential.from_torch(torch.nn.Sequential(*REFUSED[said](torch.nn)), (3,))


def test_modules_that_do_more_than_they_say_are_refused(torch):
    n = torch.nn
    with pytest.raises(ValueError, match=r"module 0: .*Parametrized"):
        fastnn.Sequential.from_torch(n.Sequential(n.utils.parametrizations.weight_norm(n.Linear(3, 2))))
    hooked = n.Sequential(n.Linear(3, 2))
    hooked[0].register_forward_hook(lambda module, x, y: 2 * y)
    with pytest.raises(ValueError, match="module 0: it has hooks"):
        fastnn.Sequential.from_torch(hooked)
    with pytest.raises(ValueError, match="input_shape: the first modules do not tell"):
        fastnn.Sequential.from_torch(n.Sequential(n.Tanh()))
    with pytest.raises(ValueError, match="all in float32, or all in float64"):
        fastnn.Sequential.from_torch(n.Sequential(n.Linear(3, 2)).half())
    with pytest.raises(TypeError, match=r"expected a torch.nn.Sequential, got torch.nn.modules.linear.Linear"):
        fastnn.Sequential.from_torch(n.Linear(3, 2))


# What PyTorch has modules for, of the models that are exported
ABSENT = {
    "step", "exponential", "squareplus", "sparse_plus", "sparse_sigmoid", "sparsemax",
    "relu_general", "relu_threshold", "identities", "dropout_shared", "flatten_numbers",
    "batch_norm_last", "layer_norm_first", "layer_norm_several", "layer_norm_rms_first", "prelu_shared",
    "softmax_several", "residual", "residual_of_input", "residual_of_batch_norm", "residual_of_relu",
    "residual_of_dropout", "residual_nothing", "residual_projection", "parallel", "parallel_of_dropout",
    "parallel_same", "concatenation", "nested", "embedding_beside", "rescaling", "rescaling_nothing", "normalization",
    "normalization_first", "normalization_one", "normalization_inverted",
}  # fmt: skip


def is_absent(name):
    kind = name.removeprefix("dense_").removeprefix("activation_")
    return kind in ABSENT - {"relu_general"} or name == "relu_general"


@pytest.mark.parametrize("name", MODELS)
def test_to_torch(name, dtype, torch):
    model = built(name, dtype)
    if is_absent(name):
        with pytest.raises(ValueError, match=r"^\w+: PyTorch has no module "):
            model.to_torch()
        return
    state = torch.random.get_rng_state()
    module = model.to_torch()
    np.testing.assert_array_equal(torch.random.get_rng_state(), state)
    assert all(p.dtype == getattr(torch, dtype.name) for p in module.parameters()) and not module.training
    x = samples(name, 5, dtype)
    expected = model.predict(x, verbose=0)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-7, "atol": 1e-8}
    np.testing.assert_allclose(run(torch, module, x, dtype), expected, **tolerance)
    with torch.no_grad():
        for p in module.parameters():
            p.zero_()
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)  # copies


def test_what_a_norm_lacks_does_not_learn(torch):
    norms = [layers.BatchNormalization(center=False), layers.BatchNormalization(scale=False)]
    module = fastnn.Sequential([layers.Input((3,)), *norms, layers.LayerNormalization(scale=False)]).to_torch()
    assert [p.requires_grad for p in module.parameters()] == [True, False, False, True, False, True]
    assert module[0].momentum == pytest.approx(0.01) and int(module[0].num_batches_tracked) == 0


def test_to_torch_needs_shapes():
    with pytest.raises(fastnn.NotBuiltError):
        fastnn.Sequential([layers.Dense(1)]).to_torch()
