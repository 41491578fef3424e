"""Initializers that draw: normal, uniform, scaled by how many units a weight joins, orthogonal."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastnn import _random, _validate
from fastnn._core import random as _core
from fastnn._validate import FloatArray
from fastnn.initializers._base import Initializer, dtype_of, shape_of

TRUNCATED_STDDEV = 0.87962566103423978  # the standard deviation of a normal number that is within [-2, 2]


class RandomInitializer(Initializer):
    """The base of the random ones: a subclass writes `draw`.

    Parameters
    ----------
    seed : int, optional
        0 .. 2**64 - 1. Without one, a seed is drawn when the initializer is made: from `fastnn.set_seed`'s stream, or
        else from the system's entropy. Either way it is in the attribute `seed`, and each call gives the same numbers.

    Examples
    --------
    >>> import fastnn
    >>> class Signs(fastnn.initializers.RandomInitializer):
    ...     def draw(self, shape, dtype, seed, stream):
    ...         normal = fastnn.initializers.RandomNormal().draw(shape, dtype, seed, stream)
    ...         return (normal > 0) * dtype.type(2) - 1
    >>> signs = Signs(seed=0)((1000,))
    >>> set(signs.tolist()) == {-1.0, 1.0}, bool(abs(signs.mean()) < 0.1)
    (True, True)
    """

    seed: int

    def __init__(self, seed: int | None = None) -> None:
        self.is_seeded = seed is not None
        self.seed = _random.new_seed() if seed is None else _random.seed_of(seed)

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> FloatArray:
        return self.draw(shape_of(shape), dtype_of(dtype), self.seed, 0)

    def draw(self, shape: tuple[int, ...], dtype: np.dtype[Any], seed: int, stream: int) -> FloatArray:
        """The values from a stream of a given seed: what a model with a seed asks of an unseeded initializer."""
        raise NotImplementedError(f"{type(self).__name__} has no draw(self, shape, dtype, seed, stream)")

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed if self.is_seeded else None}


class RandomNormal(RandomInitializer):
    """Normal numbers.

    Parameters
    ----------
    mean : float, default 0.0
    stddev : float, default 0.05
        The standard deviation.
    seed : int, optional
        See `RandomInitializer`.

    Examples
    --------
    >>> import fastnn
    >>> w = fastnn.initializers.RandomNormal(stddev=0.1, seed=0)((200, 300))
    >>> round(float(w.mean()), 3) + 0.0, round(float(w.std()), 3)
    (0.0, 0.1)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = _validate.number(mean, "mean")
        self.stddev = _validate.number(stddev, "stddev", minimum=0.0)
        super().__init__(seed)

    def draw(self, shape: tuple[int, ...], dtype: np.dtype[Any], seed: int, stream: int) -> FloatArray:
        return _random.normal(shape, dtype, self.mean, self.stddev, seed, stream)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """Normal numbers, but none further than two standard deviations from the mean.

    Parameters
    ----------
    mean : float, default 0.0
    stddev : float, default 0.05
        The standard deviation before the ends are cut off; after, it is 0.88 of that.
    seed : int, optional
        See `RandomInitializer`.

    Examples
    --------
    >>> import fastnn
    >>> w = fastnn.initializers.TruncatedNormal(stddev=0.1, seed=0)((200, 300))
    >>> bool(abs(w).max() <= 0.2), round(float(w.std()), 3)
    (True, 0.088)
    """

    def draw(self, shape: tuple[int, ...], dtype: np.dtype[Any], seed: int, stream: int) -> FloatArray:
        return _random.truncated_normal(shape, dtype, self.mean, self.stddev, seed, stream)


class RandomUniform(RandomInitializer):
    """Numbers uniform in [minval, maxval).

    Parameters
    ----------
    minval : float, default -0.05
    maxval : float, default 0.05
    seed : int, optional
        See `RandomInitializer`.

    Examples
    --------
    >>> import fastnn
    >>> w = fastnn.initializers.RandomUniform(-1, 3, seed=0)((200, 300))
    >>> bool(w.min() >= -1), bool(w.max() < 3), round(float(w.mean()), 1)
    (True, True, 1.0)
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval = _validate.number(minval, "minval")
        self.maxval = _validate.number(maxval, "maxval", minimum=self.minval)
        super().__init__(seed)

    def draw(self, shape: tuple[int, ...], dtype: np.dtype[Any], seed: int, stream: int) -> FloatArray:
        return _random.uniform(shape, dtype, self.minval, self.maxval, seed, stream)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


class VarianceScaling(RandomInitializer):
    r"""Numbers of mean 0 and variance ``scale / n``, so that a signal neither grows nor shrinks through many layers.

    n is the fan in, the fan out or their average, and at least 1. ``"uniform"`` draws from
    :math:`\pm\sqrt{3\,\mathrm{scale}/n}`; ``"truncated_normal"`` makes up for the ends that are cut off.

    Parameters
    ----------
    scale : float, default 1.0
    mode : {"fan_in", "fan_out", "fan_avg"}, default "fan_in"
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}, default "truncated_normal"
        ``"normal"`` is another name of the first.
    seed : int, optional
        See `RandomInitializer`.
    input_axes, output_axes : sequence of int, optional
        The axes of a weight that are inputs, and outputs; both or neither. Otherwise the last axis is the outputs, the
        one before it the inputs, and any more are a field that both are multiplied by.

    Examples
    --------
    >>> import fastnn
    >>> w = fastnn.initializers.VarianceScaling(2.0, seed=0)((200, 300), "float64")
    >>> bool(abs(w.var() * 200 / 2 - 1) < 0.02)
    True
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        self.scale = _validate.number(scale, "scale", above=0.0)
        self.mode = _validate.choice(mode, "mode", MODES)
        distribution = distribution.lower() if isinstance(distribution, str) else distribution
        distribution = "truncated_normal" if distribution == "normal" else distribution
        self.distribution = _validate.choice(distribution, "distribution", DISTRIBUTIONS)
        self.input_axes = input_axes
        self.output_axes = output_axes
        super().__init__(seed)

    def draw(self, shape: tuple[int, ...], dtype: np.dtype[Any], seed: int, stream: int) -> FloatArray:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return _random.uniform(shape, dtype, -limit, limit, seed, stream)
        if self.distribution == "untruncated_normal":
            return _random.normal(shape, dtype, 0.0, math.sqrt(variance), seed, stream)
        return _random.truncated_normal(shape, dtype, 0.0, math.sqrt(variance) / TRUNCATED_STDDEV, seed, stream)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


def compute_fans(
    shape: Sequence[int], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """How many inputs one unit has, and how many units one input feeds.

    Examples
    --------
    >>> compute_fans((20, 30)), compute_fans((7,)), compute_fans((3, 3, 8, 16))
    ((20, 30), (7, 7), (72, 144))
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class _Preset(VarianceScaling):
    """A VarianceScaling whose scale, mode and distribution are given."""

    preset: ClassVar[tuple[float, str, str]]

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.preset, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: config[name] for name in ("seed", "input_axes", "output_axes")}


class GlorotUniform(_Preset):
    r"""Uniform in :math:`\pm\sqrt{6/(n_{in}+n_{out})}` (Glorot and Bengio, 2010): for tanh and sigmoid; a layer's
    default.

    Examples
    --------
    >>> import fastnn
    >>> w = fastnn.initializers.GlorotUniform(seed=0)((100, 200))  # the limit is sqrt(6 / 300) = 0.1414
    >>> round(float(w.min()), 3), round(float(w.max()), 3)
    (-0.141, 0.141)
    """

    preset = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Preset):
    r"""Truncated normal, variance :math:`2/(n_{in}+n_{out})` (Glorot and Bengio, 2010): for tanh and sigmoid.

    Examples
    --------
    >>> import fastnn
    >>> w = fastnn.initializers.GlorotNormal(seed=0)((100, 200))  # sqrt(2 / 300) = 0.0816
    >>> round(float(w.std()), 3)
    0.082
    """

    preset = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Preset):
    r"""Uniform in :math:`\pm\sqrt{6/n_{in}}` (He et al., 2015): for relu, which halves the variance.

    Examples
    --------
    >>> import fastnn
    >>> w = fastnn.initializers.HeUniform(seed=0)((100, 200))  # the limit is sqrt(6 / 100) = 0.2449
    >>> round(float(w.min()), 3), round(float(w.max()), 3)
    (-0.245, 0.245)
    """

    preset = (2.0, "fan_in", "uniform")


class HeNormal(_Preset):
    r"""Truncated normal, variance :math:`2/n_{in}` (He et al., 2015): for relu, which halves the variance.

    Examples
    --------
    >>> import fastnn
    >>> w = fastnn.initializers.HeNormal(seed=0)((100, 200))  # sqrt(2 / 100) = 0.1414
    >>> round(float(w.std()), 3)
    0.141
    """

    preset = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Preset):
    r"""Uniform in :math:`\pm\sqrt{3/n_{in}}` (LeCun et al., 1998): for selu.

    Examples
    --------
    >>> import fastnn
    >>> w = fastnn.initializers.LecunUniform(seed=0)((100, 200))  # the limit is sqrt(3 / 100) = 0.1732
    >>> round(float(w.min()), 3), round(float(w.max()), 3)
    (-0.173, 0.173)
    """

    preset = (1.0, "fan_in", "uniform")


class LecunNormal(_Preset):
    r"""Truncated normal, variance :math:`1/n_{in}` (LeCun et al., 1998): for selu.

    Examples
    --------
    >>> import fastnn
    >>> w = fastnn.initializers.LecunNormal(seed=0)((100, 200))  # sqrt(1 / 100) = 0.1
    >>> round(float(w.std()), 3)
    0.1
    """

    preset = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """A matrix whose columns (its rows, if those are fewer) have length `gain` and are orthogonal, drawn without bias.

    More than two axes: all but the last are taken together.

    Parameters
    ----------
    gain : float, default 1.0
    seed : int, optional
        See `RandomInitializer`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> q = fastnn.initializers.Orthogonal(seed=3)((5, 3), "float64")
    >>> bool(np.allclose(q.T @ q, np.eye(3)))
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain = _validate.number(gain, "gain")
        super().__init__(seed)

    def draw(self, shape: tuple[int, ...], dtype: np.dtype[Any], seed: int, stream: int) -> FloatArray:
        if len(shape) < 2:
            raise ValueError(f"shape: Orthogonal needs two axes or more, got shape {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        long, short = max(rows, columns), min(rows, columns)
        # a tall matrix of normal numbers, and its columns as rows
        basis: npt.NDArray[np.float64] = np.ascontiguousarray(
            _random.normal((long, short), np.float64, 0.0, 1.0, seed, stream).T, np.float64
        )
        if basis.size:
            _core.orthonormalise(basis)
        matrix = self.gain * (basis if rows < columns else basis.T)
        return np.ascontiguousarray(matrix, dtype).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}
