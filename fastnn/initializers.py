r"""Initializers: the first values of weights, as in Keras 3, drawn from Philox.

An initializer is called with a shape and gives an array. The same seed gives the same numbers on every CPU and for any
number of threads; element i, in row-major order, is number i of the seed's stream 0.

>>> import fastnn
>>> init = fastnn.initializers.HeNormal(seed=1)
>>> init((2, 3)).shape, init((2, 3)).dtype
((2, 3), dtype('float32'))
>>> bool((init((2, 3)) == init((2, 3))).all())
True

To write your own, derive from `Initializer`, or pass any function ``f(shape, dtype=None)``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn import _random, _validate
from fastnn._core import random as _core

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "names",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]

FloatArray = _validate.FloatArray
TRUNCATED_STDDEV = 0.87962566103423978  # the standard deviation of a normal number that is within [-2, 2]


class Initializer:
    """The base of every initializer.

    A subclass writes `__call__`, and `get_config` if it has arguments that a saved model must know.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> class Ramp(fastnn.initializers.Initializer):
    ...     def __init__(self, slope=1.0):
    ...         self.slope = slope
    ...     def __call__(self, shape, dtype=None):
    ...         return self.slope * np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    ...     def get_config(self):
    ...         return {"slope": self.slope}
    >>> Ramp(2.0).clone()((2, 2), "float32").tolist()
    [[0.0, 2.0], [4.0, 6.0]]
    """

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> FloatArray:
        """The first values of a weight of this shape, float32 unless told."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__(self, shape, dtype=None)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an initializer like this one; what JSON can hold."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The initializer that `get_config` described."""
        return cls(**config)

    def clone(self) -> Self:
        """Another one with the same arguments; unseeded, it draws a seed of its own."""
        return self.from_config(self.get_config())

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items() if value is not None)
        return f"{type(self).__name__}({arguments})"


def _shape_of(shape: Any) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    return tuple(_validate.integer(n, "shape", minimum=0) for n in sizes)


def _dtype_of(dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    return np.dtype(np.float32) if dtype is None else _validate.float_dtype(dtype)


class Zeros(Initializer):
    """All 0.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.initializers.Zeros()((2, 3)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> FloatArray:
        return np.zeros(_shape_of(shape), _dtype_of(dtype))


class Ones(Initializer):
    """All 1.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.initializers.Ones()((2, 3)).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> FloatArray:
        return np.ones(_shape_of(shape), _dtype_of(dtype))


class Constant(Initializer):
    """All the same value.

    Parameters
    ----------
    value : float, default 0.0
        Or an array that the shape can be broadcast from.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.initializers.Constant(0.5)((2, 2)).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    >>> fastnn.initializers.Constant([1.0, 2.0])((2, 2)).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value if isinstance(value, (int, float)) else _validate.numbers(value, "value")

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> FloatArray:
        out: FloatArray = np.empty(_shape_of(shape), _dtype_of(dtype))
        try:
            out[...] = self.value
        except ValueError:
            raise ValueError(
                f"value: an array of shape {np.shape(self.value)} does not fill a weight of shape {out.shape}; "
                "pass a number or an array of the weight's own shape"
            ) from None
        return out

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value.tolist() if isinstance(self.value, np.ndarray) else self.value}


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere.

    Parameters
    ----------
    gain : float, default 1.0

    Examples
    --------
    >>> import fastnn
    >>> fastnn.initializers.Identity(gain=2.0)((2, 3)).tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = _validate.number(gain, "gain")

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> FloatArray:
        sizes = _shape_of(shape)
        if len(sizes) != 2:
            raise ValueError(f"shape: Identity makes matrices, got shape {sizes}; use a shape of two axes")
        return self.gain * np.eye(*sizes, dtype=_dtype_of(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


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
        return self.draw(_shape_of(shape), _dtype_of(dtype), self.seed, 0)

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


# Keras's other names for them
IdentityInitializer = Identity
OrthogonalInitializer = Orthogonal
constant = Constant
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
identity = Identity
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
ones = Ones
orthogonal = Orthogonal
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
zeros = Zeros

_CLASSES: dict[str, type[Initializer]] = {
    name: value
    for name, value in list(globals().items())
    if name in __all__
    and isinstance(value, type)
    and issubclass(value, Initializer)
    and value not in (Initializer, RandomInitializer)
}
_CLASSES |= {"normal": RandomNormal, "one": Ones, "uniform": RandomUniform, "zero": Zeros}

InitializerLike: TypeAlias = (
    "str | Mapping[str, Any] | Initializer | type[Initializer] | Callable[..., FloatArray] | npt.NDArray[Any] | None"
)


def names() -> list[str]:
    """The names that `get` knows, one for each initializer.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.initializers.names()[:3]
    ['constant', 'glorot_normal', 'glorot_uniform']
    """
    return sorted(name for name in __all__ if name in _CLASSES and name.islower())


def serialize(initializer: Any) -> Any:
    """A description that JSON can hold and `deserialize` understands.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.initializers.serialize(fastnn.initializers.Constant(2.0))
    {'module': 'fastnn.initializers', 'class_name': 'Constant', 'config': {'value': 2.0}, 'registered_name': None}
    """
    if initializer is None or isinstance(initializer, str):
        return initializer
    cls = type(initializer)
    if isinstance(initializer, Initializer):
        own = _CLASSES.get(cls.__name__) is cls
        return {
            "module": "fastnn.initializers" if own else cls.__module__,
            "class_name": cls.__name__,
            "config": initializer.get_config(),
            "registered_name": None if own else cls.__name__,
        }
    name = getattr(initializer, "__name__", "")
    if callable(initializer) and name.isidentifier():
        return {"module": "builtins", "class_name": "function", "config": name, "registered_name": name}
    raise ValueError(
        f"initializer: {initializer!r} cannot be described; make it a named function or derive it from "
        "fastnn.initializers.Initializer"
    )


def deserialize(config: Mapping[str, Any] | str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer that `serialize` (or Keras's) described.

    Parameters
    ----------
    config : dict or str
        ``{"class_name": ..., "config": ...}``, or a name alone.
    custom_objects : dict, optional
        Your own classes and functions, by name.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.initializers.deserialize({"class_name": "HeNormal", "config": {"seed": 5}})
    HeNormal(seed=5)
    """
    name: Any
    if isinstance(config, str):
        name, arguments = config, {}
    elif isinstance(config, Mapping) and "class_name" in config:
        name, arguments = config["class_name"], config.get("config", {})
        if name == "function":
            name, arguments = arguments, {}
    else:
        raise ValueError(f"config: expected a dict with 'class_name' and 'config', or a name, got {config!r}")
    custom = custom_objects or {}
    if name in custom:
        found = custom[name]
    else:
        found = _CLASSES[_validate.choice(name, "initializer", [*_CLASSES, *custom])]
    if not isinstance(found, type):
        return found
    make: Callable[[Mapping[str, Any]], Any] = getattr(found, "from_config", lambda arguments: found(**arguments))
    return make(arguments)


def get(identifier: InitializerLike) -> Any:
    """An initializer from its name, its description, its class, an array of values or any ``f(shape, dtype=None)``.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.initializers.get("zeros")
    Zeros()
    >>> fastnn.initializers.get("he_norml")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: initializer: unknown name 'he_norml'; did you mean 'he_normal'? (known: ...)
    """
    if identifier is None:
        return None
    if isinstance(identifier, (str, Mapping)):
        return deserialize(identifier)
    if isinstance(identifier, type):
        return identifier()
    if callable(identifier):
        return identifier
    if isinstance(identifier, (np.ndarray, np.generic)):
        values = np.array(_validate.numbers(identifier, "initializer"))

        def given(shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> FloatArray:
            if _shape_of(shape) != values.shape:
                raise ValueError(f"initializer: an array of shape {values.shape} for a weight of shape {tuple(shape)}")
            return values.astype(_dtype_of(dtype))

        return given
    raise ValueError(
        f"initializer: expected a name ({', '.join(names())}), a description, an Initializer, a function of (shape, "
        f"dtype) or an array, got {identifier!r}"
    )
