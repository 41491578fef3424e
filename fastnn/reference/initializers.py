"""Initializers: the first values of a tensor, as a flat list in row-major order.

Each is called as f(shape, seed, stream); element i is draw i of that stream, so the values depend on nothing else.
"""

import math
from collections.abc import Callable

from . import random
from ._ieee import div, dot, sqrt
from ._tensors import Shape, filled, size

TRUNCATED_STDDEV = 0.87962566103423978  # the standard deviation of a normal number within [-2, 2]


def zeros(shape: Shape, seed: int = 0, stream: int = 0) -> list[float]:
    """All 0."""
    return filled(shape, lambda i: 0.0)


def ones(shape: Shape, seed: int = 0, stream: int = 0) -> list[float]:
    """All 1."""
    return filled(shape, lambda i: 1.0)


def constant(shape: Shape, seed: int = 0, stream: int = 0, value: float = 0.0) -> list[float]:
    """All the same value."""
    return filled(shape, lambda i: value)


def identity(shape: Shape, seed: int = 0, stream: int = 0, gain: float = 1.0) -> list[float]:
    """gain on the diagonal of a matrix, 0 elsewhere."""
    columns = _matrix(shape)[1]
    return filled(shape, lambda i: gain if i // columns == i % columns else 0.0)


def random_normal(shape: Shape, seed: int, stream: int = 0, mean: float = 0.0, stddev: float = 0.05) -> list[float]:
    """Normal numbers."""
    return filled(shape, lambda i: mean + stddev * random.normal(seed, stream, i))


def random_uniform(
    shape: Shape, seed: int, stream: int = 0, minval: float = -0.05, maxval: float = 0.05
) -> list[float]:
    """Numbers uniform in [minval, maxval)."""
    return filled(shape, lambda i: minval + (maxval - minval) * random.uniform(seed, stream, i))


def truncated_normal(shape: Shape, seed: int, stream: int = 0, mean: float = 0.0, stddev: float = 0.05) -> list[float]:
    """Normal numbers within two standard deviations of the mean."""
    return filled(shape, lambda i: mean + stddev * random.truncated_normal(seed, stream, i))


def variance_scaling(
    shape: Shape,
    seed: int,
    stream: int = 0,
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
) -> list[float]:
    """Numbers with mean 0 and variance scale / n, n being the fan in, the fan out or their average.

    So that a signal neither grows nor shrinks through many layers (Glorot and Bengio, 2010; He et al., 2015).
    """
    fan_in, fan_out = fans(shape)
    n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}[mode]
    variance = scale / max(1.0, n)
    match distribution:
        case "uniform":
            limit = math.sqrt(3.0 * variance)
            return random_uniform(shape, seed, stream, -limit, limit)
        case "normal" | "truncated_normal":
            return truncated_normal(shape, seed, stream, 0.0, math.sqrt(variance) / TRUNCATED_STDDEV)
        case "untruncated_normal":
            return random_normal(shape, seed, stream, 0.0, math.sqrt(variance))
    raise ValueError(f"distribution: expected uniform or (un)truncated_normal, got {distribution!r}")


def glorot_uniform(shape: Shape, seed: int, stream: int = 0) -> list[float]:
    """Uniform, variance 2 / (fan in + fan out)."""
    return variance_scaling(shape, seed, stream, 1.0, "fan_avg", "uniform")


def glorot_normal(shape: Shape, seed: int, stream: int = 0) -> list[float]:
    """Truncated normal, variance 2 / (fan in + fan out)."""
    return variance_scaling(shape, seed, stream, 1.0, "fan_avg", "truncated_normal")


def he_uniform(shape: Shape, seed: int, stream: int = 0) -> list[float]:
    """Uniform, variance 2 / fan in: for relu, which halves it."""
    return variance_scaling(shape, seed, stream, 2.0, "fan_in", "uniform")


def he_normal(shape: Shape, seed: int, stream: int = 0) -> list[float]:
    """Truncated normal, variance 2 / fan in: for relu, which halves it."""
    return variance_scaling(shape, seed, stream, 2.0, "fan_in", "truncated_normal")


def lecun_uniform(shape: Shape, seed: int, stream: int = 0) -> list[float]:
    """Uniform, variance 1 / fan in: for selu."""
    return variance_scaling(shape, seed, stream, 1.0, "fan_in", "uniform")


def lecun_normal(shape: Shape, seed: int, stream: int = 0) -> list[float]:
    """Truncated normal, variance 1 / fan in: for selu."""
    return variance_scaling(shape, seed, stream, 1.0, "fan_in", "truncated_normal")


def orthogonal(shape: Shape, seed: int, stream: int = 0, gain: float = 1.0) -> list[float]:
    """A matrix whose columns (or rows, if there are fewer of them) have length gain and are orthogonal.

    Gram and Schmidt on the columns of a tall matrix of normal numbers: each, less its projections on those before it,
    twice over against rounding, and scaled to length 1. A wide matrix is the transpose of a tall one.
    """
    rows, columns = _matrix((size(shape[:-1]), shape[-1]))
    tall, narrow = max(rows, columns), min(rows, columns)
    drawn = random_normal((tall, narrow), seed, stream, 0.0, 1.0)
    basis: list[list[float]] = []
    for j in range(narrow):
        v = drawn[j::narrow]
        for u in basis + basis:
            c = dot(u, v)
            v = [x - c * y for x, y in zip(v, u, strict=True)]
        norm = sqrt(dot(v, v))
        basis.append([div(x, norm) for x in v])
    if rows < columns:
        return [gain * x for row in basis for x in row]
    return [gain * column[i] for i in range(rows) for column in basis]


def fans(shape: Shape) -> tuple[int, int]:
    """How many inputs a unit has and how many units an input feeds: (in, out) for a kernel of that shape."""
    if len(shape) < 2:
        return (size(shape), size(shape))
    return shape[-2] * size(shape[:-2]), shape[-1] * size(shape[:-2])


def _matrix(shape: Shape) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(f"shape: expected a matrix, got {tuple(shape)}")
    return shape[0], shape[1]


INITIALIZERS: dict[str, Callable[..., list[float]]] = {
    f.__name__: f
    for f in (
        zeros,
        ones,
        constant,
        identity,
        random_normal,
        random_uniform,
        truncated_normal,
        variance_scaling,
        glorot_uniform,
        glorot_normal,
        he_uniform,
        he_normal,
        lecun_uniform,
        lecun_normal,
        orthogonal,
    )
}
