"""fastnn.activations against Keras 3 (on JAX, in double precision) and PyTorch, where they are installed.

Clear of the corners, where the peers differ from each other.
"""

import inspect
import os

import numpy as np
import pytest
from optional import optional

from fastnn import activations

ELEMENTWISE = [name for name, row in activations.TABLE.items() if not row.rowwise]
ROWWISE = [name for name, row in activations.TABLE.items() if row.rowwise]
OWN = {"step", "gelu_tanh", "relu_general"}  # which Keras has not, or not by this name
PARAMETERS = {
    "relu": {"negative_slope": 0.3, "max_value": 2.0, "threshold": 0.6},
    "leaky_relu": {"negative_slope": 0.4},
    "elu": {"alpha": 0.7},
    "celu": {"alpha": 0.7},
    "squareplus": {"b": 2},
    "hard_shrink": {"threshold": 1.2},
    "soft_shrink": {"threshold": 1.2},
    "threshold": {"threshold": 0.6, "default_value": -7.0},
    "gelu": {"approximate": True},
}


@pytest.fixture(scope="module")
def keras():
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    module = optional("keras")
    if module.backend.backend() != "jax":
        pytest.skip("Keras runs on another backend here")
    module.config.set_floatx("float64")
    return module


@pytest.fixture(scope="module")
def torch():
    return optional("torch")


def samples(shape=(40, 12)):
    x = np.random.default_rng(3).normal(size=shape) * 3
    corners = np.array([-3, -1, -0.5, 0, 0.5, 0.6, 1, 1.2, -1.2, 2, 3, 6])
    return np.where(np.abs(x[..., None] - corners).min(axis=-1) < 1e-3, 0.25, x)


def calls(name):
    return ([] if name == "threshold" else [{}]) + ([PARAMETERS[name]] if name in PARAMETERS else [])


@pytest.mark.parametrize("name", sorted({*ELEMENTWISE, *ROWWISE} - OWN))
def test_values_and_gradients_are_keras(keras, name):
    import jax

    theirs, x = getattr(keras.activations, name), samples()
    if name == "sparsemax":  # Keras 3.15 adds up the sums of the support: right only where one class has everything
        x = x[np.count_nonzero(activations.sparsemax(x), axis=1) == 1]
        assert len(x) > 5
    tolerance = 1e-6 if name == "tanh" else 1e-9  # which Keras 3.15 computes in single precision, even so
    for parameters in calls(name):
        ours = getattr(activations, name)(x, **parameters)
        np.testing.assert_allclose(ours, np.asarray(theirs(x, **parameters)), rtol=tolerance, atol=1e-12)
        dy = np.random.default_rng(4).normal(size=ours.shape)
        y, backward = jax.vjp(lambda a, p=parameters: theirs(a, **p), jax.numpy.asarray(x))
        got = activations.derivative(name, **parameters)(x, dy)
        np.testing.assert_allclose(
            got, np.asarray(backward(jax.numpy.asarray(dy, y.dtype))[0]), rtol=10 * tolerance, atol=tolerance
        )


@pytest.mark.parametrize("name", sorted({*ELEMENTWISE, *ROWWISE} - OWN))
def test_signatures_are_keras(keras, name):
    """The same names in the same order with the same defaults; `out` is ours."""
    theirs = inspect.signature(getattr(keras.activations, name)).parameters.values()
    ours = list(inspect.signature(getattr(activations, name)).parameters.values())
    assert ours.pop().name == "out"
    assert [p.name for p in ours] == [p.name for p in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert a.default == b.default or b.default is inspect.Parameter.empty


def test_every_activation_of_keras_is_here(keras):
    theirs = {name for name in dir(keras.activations) if inspect.isfunction(getattr(keras.activations, name))}
    assert theirs <= {*dir(activations)}
    for name in theirs - {"get", "serialize", "deserialize"}:
        assert activations.serialize(activations.get(name)) == keras.activations.serialize(keras.activations.get(name))


TORCH = {
    "relu": "relu",
    "relu6": "relu6",
    "leaky_relu": "leaky_relu",
    "hard_sigmoid": "hardsigmoid",
    "hard_tanh": "hardtanh",
    "hard_silu": "hardswish",
    "hard_shrink": "hardshrink",
    "soft_shrink": "softshrink",
    "tanh_shrink": "tanhshrink",
    "softsign": "softsign",
    "elu": "elu",
    "celu": "celu",
    "selu": "selu",
    "silu": "silu",
    "mish": "mish",
    "gelu": "gelu",
    "log_sigmoid": "logsigmoid",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "softmax": "softmax",
    "log_softmax": "log_softmax",
    "glu": "glu",
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TORCH)
def test_values_and_gradients_are_torch(torch, name, dtype):
    x = samples().astype(dtype)
    tensor = torch.from_numpy(x).requires_grad_()
    more = {"dim": -1} if activations.TABLE[name].rowwise else {"negative_slope": 0.2} if name == "leaky_relu" else {}
    theirs = getattr(torch.nn.functional, TORCH[name])(tensor, **more)
    tolerance = 3e-6 if dtype == "float32" else 1e-8  # PyTorch's softplus and GELU are rougher than ours
    np.testing.assert_allclose(activations.get(name)(x), theirs.detach().numpy(), rtol=tolerance, atol=tolerance)
    dy = np.random.default_rng(4).normal(size=theirs.shape).astype(dtype)
    theirs.backward(torch.from_numpy(dy))
    got = activations.derivative(name)(x, dy)
    np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=10 * tolerance, atol=tolerance)


def test_prelu_is_torch(torch):
    x, alpha = samples(), np.linspace(0.1, 0.5, 12)
    theirs = torch.nn.functional.prelu(torch.from_numpy(x), torch.from_numpy(alpha))
    np.testing.assert_allclose(activations.prelu(x, alpha), theirs.numpy(), rtol=1e-14)
