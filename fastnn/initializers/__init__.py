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

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn import _objects, _validate
from fastnn._validate import FloatArray
from fastnn.initializers._base import Initializer, dtype_of, shape_of
from fastnn.initializers._drawn import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
)
from fastnn.initializers._drawn import compute_fans as compute_fans
from fastnn.initializers._fixed import Constant, Identity, Ones, Zeros

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
    if isinstance(name, str) and name in custom:
        found = custom[name]
    else:
        found = _CLASSES[_validate.choice(name, "initializer", [*_CLASSES, *custom])]
    if not isinstance(found, type):
        return found
    return _objects.made(found, arguments, "initializer")


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
            if shape_of(shape) != values.shape:
                raise ValueError(f"initializer: an array of shape {values.shape} for a weight of shape {tuple(shape)}")
            return values.astype(dtype_of(dtype))

        return given
    raise ValueError(
        f"initializer: expected a name ({', '.join(names())}), a description, an Initializer, a function of (shape, "
        f"dtype) or an array, got {identifier!r}"
    )
