"""Losses against Keras 3 on JAX in float64 (value and jax.grad), and against PyTorch where only it has a loss."""

from typing import Any

import numpy as np
import pytest
from loss_cases import CASES, Case

from fastnn import losses

REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"]
NOT_IN_KERAS = {"half_mean_squared_error", "smooth_l1", "contrastive", "triplet", "margin_ranking"}
KERAS_CASES = [case for case in CASES if case.name not in NOT_IN_KERAS]
NEAR = {"rtol": 2e-11, "atol": 1e-12}

cases = pytest.mark.parametrize("case", KERAS_CASES, ids=str)


def keras_value_and_gradient(keras: Any, case: Case, y: Any, p: np.ndarray, weight: Any, reduction: str) -> Any:
    import jax

    loss = getattr(keras.losses, case.cls.__name__)(**case.options, reduction=reduction)
    value = loss(y, p, weight)
    gradient = jax.grad(lambda q: keras.ops.sum(loss(y, q, weight)))(jax.numpy.asarray(p))
    return np.asarray(value), np.asarray(gradient)


@cases
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_values_and_gradients_are_those_of_keras(keras, case: Case, reduction: str, weighted: bool):
    y, p = case.arrays(9, 5)
    weight = np.random.default_rng(1).uniform(0, 2, 9) if weighted else None
    expected, expected_gradient = keras_value_and_gradient(keras, case, y, p, weight, reduction)
    value, gradient = case.make(reduction=reduction).value_and_gradient(y, p, weight)
    np.testing.assert_allclose(value, expected, **NEAR)
    np.testing.assert_allclose(gradient, expected_gradient, **NEAR)
    assert np.count_nonzero(gradient)


@cases
@pytest.mark.parametrize("weighted", [False, True])
def test_images_are_as_in_keras(keras, case: Case, weighted: bool):
    """(N, H, W, C): a loss for each pixel, with a weight for each."""
    y, p = case.arrays(24, 5)
    y, p = (a.reshape(2, 3, 4, *a.shape[1:]) for a in (y, p))
    weight = np.random.default_rng(2).uniform(0, 2, (2, 3, 4)) if weighted else None
    for reduction in ("sum_over_batch_size", "none", "mean_with_sample_weight"):
        expected, expected_gradient = keras_value_and_gradient(keras, case, y, p, weight, reduction)
        value, gradient = case.make(reduction=reduction).value_and_gradient(y, p, weight)
        np.testing.assert_allclose(value, expected, **NEAR)
        np.testing.assert_allclose(gradient, expected_gradient, **NEAR)


@cases
def test_functions_are_those_of_keras(keras, case: Case):
    y, p = case.arrays(6, 4)
    expected = getattr(keras.losses, case.name)(np.asarray(y), np.asarray(p), **case.options)
    np.testing.assert_allclose(getattr(losses, case.name)(y, p, **case.options), np.asarray(expected), **NEAR)


@pytest.mark.parametrize(
    "shapes", [((6,), (6, 1)), ((6, 1), (6,)), ((6,), (6,)), ((2, 3, 1), (2, 3)), ((2, 3), (2, 3, 1))]
)
def test_ranks_are_brought_together_as_in_keras(keras, shapes):
    r = np.random.default_rng(3)
    y, p = (r.normal(size=shape) for shape in shapes)
    expected = keras.losses.MeanSquaredError(reduction="none")(y, p)
    actual = losses.MeanSquaredError(reduction="none")(y, p)
    assert np.shape(actual) == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.parametrize("name", sorted({case.cls.__name__ for case in KERAS_CASES}))
def test_arguments_and_defaults_are_those_of_keras(keras, name: str):
    import inspect

    ours, theirs = getattr(losses, name), getattr(keras.losses, name)
    for a, b in ((ours, theirs), (getattr(losses, ours._row_name), getattr(keras.losses, ours._row_name))):
        mine = [(p.name, p.default) for p in inspect.signature(a).parameters.values()]
        assert mine == [(p.name, p.default) for p in inspect.signature(b).parameters.values()]
    config = theirs().get_config()
    assert ours().get_config().items() >= config.items()
    assert type(losses.get(name)) is type(losses.deserialize(keras.losses.serialize(theirs())))


def test_names_are_those_of_keras(keras):
    from keras.src.losses import ALL_OBJECTS_DICT

    absent = {"CTC", "Circle", "Dice", "Tversky", "LossFunctionWrapper", "ctc", "circle", "dice", "tversky"}
    for name, theirs in ALL_OBJECTS_DICT.items():
        if name not in absent and name != "Loss":
            found = losses.get(name)
            assert getattr(found, "__name__", type(found).__name__) == theirs.__name__


# PyTorch


def torch_value_and_gradient(torch: Any, function: Any, *arrays: np.ndarray) -> tuple[float, list[np.ndarray]]:
    tensors = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]
    value = function(*tensors)
    value.backward()
    return value.item(), [t.grad.numpy() for t in tensors]


@pytest.mark.parametrize("beta", [1.0, 0.3, 2.5])
def test_smooth_l1_and_huber_are_those_of_pytorch(torch, beta: float):
    functional = torch.nn.functional
    y, p = np.random.default_rng(4).normal(size=(2, 7, 3)) * 2
    target = torch.tensor(y)
    for loss, function in (
        (losses.SmoothL1(beta=beta), lambda q: functional.smooth_l1_loss(q, target, beta=beta)),
        (losses.Huber(delta=beta), lambda q: functional.huber_loss(q, target, delta=beta)),
    ):
        expected, (expected_gradient,) = torch_value_and_gradient(torch, function, p)
        np.testing.assert_allclose(loss(y, p), expected, **NEAR)
        np.testing.assert_allclose(loss.gradient(y, p), expected_gradient, **NEAR)


@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_triplet_is_that_of_pytorch(torch, margin: float):
    functional = torch.nn.functional
    x = np.random.default_rng(5).normal(size=(8, 3, 6))
    expected, gradients = torch_value_and_gradient(
        torch, lambda a, p, n: functional.triplet_margin_loss(a, p, n, margin=margin), x[:, 0], x[:, 1], x[:, 2]
    )
    loss = losses.Triplet(margin=margin, squared=False)
    np.testing.assert_allclose(loss(None, x), expected, **NEAR)
    np.testing.assert_allclose(loss.gradient(None, x), np.stack(gradients, axis=1), **NEAR)


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_margin_ranking_is_that_of_pytorch(torch, margin: float):
    functional = torch.nn.functional
    r = np.random.default_rng(6)
    scores, y = r.normal(size=(9, 2)), r.choice([-1.0, 1.0], 9)
    target = torch.tensor(y)
    expected, gradients = torch_value_and_gradient(
        torch, lambda a, b: functional.margin_ranking_loss(a, b, target, margin=margin), scores[:, 0], scores[:, 1]
    )
    loss = losses.MarginRanking(margin=margin)
    np.testing.assert_allclose(loss(y, scores), expected, **NEAR)
    np.testing.assert_allclose(loss.gradient(y, scores), np.stack(gradients, axis=1), **NEAR)


def test_pixelwise_crossentropy_with_an_ignored_class_is_that_of_pytorch(torch):
    functional = torch.nn.functional
    r = np.random.default_rng(7)
    z, y = r.normal(size=(2, 3, 4, 5)) * 3, r.integers(0, 5, (2, 3, 4))
    y[0, 1] = 255
    expected, (gradient,) = torch_value_and_gradient(
        torch, lambda q: functional.cross_entropy(q.permute(0, 3, 1, 2), torch.tensor(y), ignore_index=255), z
    )
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    np.testing.assert_allclose(loss(y, z), expected, **NEAR)
    np.testing.assert_allclose(loss.gradient(y, z), gradient, **NEAR)
