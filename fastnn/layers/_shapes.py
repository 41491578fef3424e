"""Layers that change shapes, or what x is on the way in: Input, Flatten, Reshape, Rescaling, Normalization."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _frames, _maps, _validate
from fastnn._program import Builder, Tensor
from fastnn._validate import FloatArray
from fastnn.layers._base import Layer, Shape, axes_argument, batch_axes, sample_axes, sample_shape

PIECE = 1 << 20  # elements that adapt looks at at a time


def _is_whole(dtype: Any) -> bool:
    """Whether a dtype is one of whole numbers, which a model takes as floats."""
    try:
        return dtype is not None and np.dtype(dtype).kind in "iub"
    except TypeError:
        return False


class InputLayer(Layer):
    """The shape of a sample: what `Input` makes.

    Shapes: as x.

    Examples
    --------
    >>> from fastnn.layers import Input
    >>> Input((3,)).shape
    (None, 3)
    """

    _weightless = True

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        batch_size: int | None = None,
        dtype: npt.DTypeLike | None = None,
        batch_shape: Sequence[int | None] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=None if _is_whole(dtype) else dtype)
        if (shape is None) == (batch_shape is None):
            raise ValueError("Input: expected shape, the shape of one sample, or batch_shape; one of them")
        names = "batch_size", "shape"
        if batch_shape is not None:
            if batch_size is not None:
                raise ValueError("batch_size: batch_shape begins with it; leave batch_size out")
            names = "batch_shape", "batch_shape"
            batch_size, *shape = batch_axes(batch_shape, "batch_shape")
        self.batch_size = None if batch_size is None else _validate.integer(batch_size, names[0], minimum=1)
        self._given_shape = sample_shape(shape, names[1])

    @property
    def shape(self) -> tuple[int | None, ...]:
        assert self._given_shape is not None
        return (self.batch_size, *self._given_shape)

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        return x

    def get_config(self) -> dict[str, Any]:
        return {"batch_shape": list(self.shape), "name": self.name}


def Input(  # noqa: N802
    shape: Sequence[int] | None = None,
    batch_size: int | None = None,
    dtype: npt.DTypeLike | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
) -> InputLayer:
    """The shape of a sample, as the first layer of a model. Optional: fit() builds from the data.

    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.layers.Input((4,)), fastnn.layers.Dense(2)])
    >>> model.count_params()
    10
    """
    return InputLayer(shape, batch_size, dtype, batch_shape, name)


class Flatten(Layer):
    """All axes of a sample as one.

    Shapes: (N, a, b, ...) to (N, a b ...).

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Flatten
    >>> Flatten()(np.zeros((2, 3, 4))).shape
    (2, 12)
    """

    _weightless = True

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if data_format not in (None, "channels_last"):
            raise ValueError(f"data_format: only 'channels_last', as NumPy's arrays lie, got {data_format!r}")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], math.prod(input_shape[1:]))

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        return Tensor(x.buffer, (x.size,))


class Reshape(Layer):
    """Each sample in another shape, of as many elements.

    Shapes: (N, ...) to (N, ``*target_shape``).

    Parameters
    ----------
    target_shape : tuple of int
        One of them may be -1, which then follows from the others.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Reshape
    >>> Reshape((2, -1))(np.zeros((5, 6))).shape
    (5, 2, 3)
    """

    _options = ("target_shape",)
    _weightless = True

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = (target_shape,) if isinstance(target_shape, int) else target_shape
        lengths = _validate.items(axes, "target_shape", "lengths")
        self.target_shape = tuple(_validate.integer(n, "target_shape", minimum=-1) for n in lengths)
        if 0 in self.target_shape:
            raise ValueError(f"target_shape: no axis can have the length 0, got {self.target_shape}")
        if self.target_shape.count(-1) > 1:
            raise ValueError(f"target_shape: only one axis may be -1, got {self.target_shape}")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        size, known = math.prod(input_shape[1:]), math.prod(n for n in self.target_shape if n != -1)
        fits = known and size % known == 0 if -1 in self.target_shape else size == known
        if not fits:
            raise ValueError(
                f"target_shape: samples of shape {tuple(input_shape[1:])} have {size} elements, which "
                f"{self.target_shape} does not hold"
            )
        return (input_shape[0], *(size // known if n == -1 else n for n in self.target_shape))

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        return Tensor(x.buffer, self._output_of(x.shape))


_CONSTANTS = ("mean", "variance", "scale", "offset")


class _Affine(Layer):
    """x scaled and shifted by constants along some axes: batch normalisation by given statistics."""

    _along: Any = -1

    def _axes(self, input_shape: Shape) -> list[int]:
        """Along which axes of a sample the constants differ: the last, where there is one."""
        return sample_axes(self._along, input_shape) if len(input_shape) > 1 else []

    def _statistics(self) -> tuple[Any, Any, Any, Any]:
        """mean, variance, scale and offset, in the shape of those axes, or what is broadcast to it."""
        raise NotImplementedError

    def build(self, input_shape: Shape) -> None:
        shape = [input_shape[axis + 1] for axis in self._axes(input_shape)]
        for name, value in zip(_CONSTANTS, self._statistics(), strict=True):
            array = self.add_weight(shape, "zeros", trainable=False, name=name)
            if self._budget is None:
                array[...] = value
            else:  # no tensor of the file is this one's
                self._variables[-1].array = np.array(np.broadcast_to(value, shape), self._dtype)

    def _set_constants(self) -> None:
        for variable, value in zip(self._variables, self._statistics(), strict=False):
            variable.array[...] = value

    def _all_variables(self) -> list[Any]:
        return self._variables[len(_CONSTANTS) :]  # the constants are no weights of the model

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        mean, variance, scale, offset = self._variables[: len(_CONSTANTS)]
        return builder.with_last(
            x,
            self._axes((None, *x.shape)),  # type: ignore[arg-type]
            lambda rows: builder.op(
                "batch_norm", rows, rows.shape, w=scale, b=offset, mean=mean.offset, variance=variance.offset,
                of_batch=False, parameters=(0.0, 0.0), sized=6 * rows.columns,
            ),
        )  # fmt: skip


def _finite(value: Any, name: str) -> FloatArray:
    """Finite numbers in float64."""
    array: FloatArray = _validate.floats(value, name, np.float64).copy()
    _validate.finite(array, name)
    return array


class Rescaling(_Affine):
    """x * scale + offset.

    Shapes: as x.

    Parameters
    ----------
    scale, offset : float or list of float
        Numbers, or one for each element of the last axis.

    Examples
    --------
    >>> from fastnn.layers import Rescaling
    >>> Rescaling(0.5, offset=-1.0)([[0.0, 2.0, 4.0]]).tolist()
    [[-1.0, 0.0, 1.0]]
    """

    _options = ("scale", "offset")
    _weightless = _takes_vectors = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset
        self._numbers = _finite(scale, "scale"), _finite(offset, "offset")

    def _statistics(self) -> tuple[Any, Any, Any, Any]:
        return 0.0, 1.0, *self._numbers


def _pieces(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """The samples of an array some at a time, so that one in a file need not fit into memory."""
    if array.ndim == 0:
        raise ValueError(f"data: expected an array whose first axis is the samples, got the number {array}")
    rows = max(1, PIECE * len(array) // max(1, array.size))
    pages = _maps.Pages(array)
    for begin in range(0, len(array), rows):
        yield array[begin : begin + rows]
        pages.took(rows)


def _are_batches(data: Sequence[Any]) -> bool:
    """Whether a list holds batches, each an array or a tuple of an array and what goes with it."""
    first = data[0] if data else None
    return len(getattr(first[0] if isinstance(first, tuple) and first else first, "shape", ())) > 1


class Normalization(_Affine):
    """(x - mean) / sqrt(variance), by statistics that are given or that `adapt` takes from data.

    The divisor is at least 1e-7. Shapes: as x.

    Parameters
    ----------
    axis : int, list of int or None
        Along which axes elements have a mean and a variance of their own; None for one of each in all.
    mean, variance : float or array, optional
        Both or neither. Without them the layer has three weights that do not learn: the mean and variance that `adapt`
        found, and of how many numbers.
    invert : bool
        The reverse: x * sqrt(variance) + mean.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Normalization
    >>> layer = Normalization()
    >>> layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> layer(np.array([[1.0, 30.0]])).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = None if axis is None else axes_argument(axis)
        self._along = -1 if axis is None else self.axis
        self.invert = _validate.flag(invert, "invert")
        if (mean is None) != (variance is None):
            raise ValueError("mean, variance: both or neither can be given")
        self._given = None
        if mean is not None:
            self._given = _finite(mean, "mean"), _finite(variance, "variance")
            if {self._given[0].size, self._given[1].size} - {1, self._given[0].size}:
                raise ValueError(f"variance: expected as many numbers as mean has, got {variance!r}")
            if (self._given[1] < 0).any():
                raise ValueError(f"variance: expected numbers >= 0, got {variance!r}")
        self._config = None if self._given is None else [array.tolist() for array in self._given]
        self._count = 0.0

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        if self._config is None:
            statistics = [] if self.axis is None else [input_shape[a + 1] for a in self._axes(input_shape)]
            for name in ("adapted_mean", "adapted_variance"):
                self.add_weight(statistics, "zeros", trainable=False, name=name)
            self.add_weight((), "zeros", trainable=False, name="count")
            if self._budget is None:  # else a file brings them
                self._set_weights()

    def _build(self, shape: Shape, dtype: Any, seed: int | None, number: Any, variables: int) -> int:
        if self.built and self._model is None:
            self._check_width((None, *shape), "samples")
            if self._variables[0].array.shape != tuple(shape[axis] for axis in self._axes((0, *shape))):
                # Only adapt has built it, for samples of another shape: the weights follow from what it has found.
                self._variables, self._arrays, self.built = [], {}, False
        return super()._build(shape, dtype, seed, number, variables)

    def _check_width(self, shape: Any, name: str) -> None:
        """Refuse samples that the statistics do not fit. `shape` begins with the batch's axis."""
        if self.axis is None or self._config is not None or not self.built:
            return
        known = self._variables[len(_CONSTANTS)].array.shape
        lengths = tuple(shape[axis + 1] for axis in self._axes(shape))
        if lengths != known and (math.prod(known), math.prod(lengths)) != (1, 1):
            raise ValueError(
                f"{name}: {self.name} was built for samples of shape {self._input_shape}, with statistics of shape "
                f"{known}; samples of shape {tuple(shape[1:])} have statistics of shape {lengths}. Use another layer"
            )

    def _set_weights(self) -> None:
        """The weights from what adapt has found: mean 0 and variance 1 before."""
        mean, variance = (0.0, 1.0) if self._given is None else self._given
        for variable, value in zip(self._variables[len(_CONSTANTS) :], (mean, variance, self._count), strict=True):
            variable.array[...] = value

    def _weights_set(self) -> None:
        if self._config is None and self.built:
            mean, variance, count = (v.array.astype(np.float64) for v in self._all_variables())
            self._given, self._count = (mean, variance), float(count)
            self._set_constants()

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Take mean and variance from samples: an array, or an iterable of batches. In float64, in one pass.

        A list of arrays that have two axes or more is a list of batches; other lists are arrays. Of an iterable,
        `steps` batches are taken, or all; of a batch (x, y), x. batch_size is for Keras's sake. The layer is built
        then, and takes statistics of the same shape only.
        """
        if self._config is not None:
            raise ValueError(f"adapt: {self.name} was given mean and variance; leave them out to take them from data")
        if hasattr(data, "shape") or (isinstance(data, (list, tuple)) and not _are_batches(data)):
            batches: Iterator[Any] = _pieces(_validate.numbers(_frames.plain(data, "data"), "data"))
        else:
            batches = iter(data) if steps is None else itertools.islice(data, steps)
        count, mean, squares = 0, 0.0, 0.0
        shape: Shape = ()
        for batch in batches:
            part: Any = batch[0] if isinstance(batch, (tuple, list)) else batch
            x = _validate.numbers(_frames.plain(part, "data"), "data").astype(np.float64)
            _validate.finite(x, "data")
            if x.ndim == 0:
                raise TypeError(f"data: expected batches, arrays whose first axis is the samples, got {part!r}")
            if x.ndim == 1:
                x = x[:, None]
            shape = x.shape[1:]
            self._check_width((None, *shape), "data")
            kept = [] if self.axis is None else [axis + 1 for axis in sample_axes(self.axis, x.shape)]
            axes = tuple(axis for axis in range(x.ndim) if axis not in kept)
            n = math.prod(x.shape[axis] for axis in axes)
            if not n:
                continue
            here = x.mean(axis=axes)
            delta = here - mean
            # the parallel form of the sum of squares about the mean
            squares = squares + x.var(axis=axes) * n + delta**2 * count * n / (count + n)
            mean = mean + delta * n / (count + n)
            count += n
        if not count:
            raise ValueError("data: no samples to take a mean of")
        self._given, self._count = (np.asarray(mean), np.asarray(squares / count)), count
        if self.built:
            self._set_constants()
            self._set_weights()
        else:
            self.build((None, *shape))  # type: ignore[arg-type]

    @property
    def mean(self) -> Any:
        """The mean that is subtracted, with axes of length 1 where the layer's inputs have axes without one."""
        return None if self._given is None else self._broadcast(self._given[0])

    @property
    def variance(self) -> Any:
        """The variance whose root is divided by, in the shape of `mean`."""
        return None if self._given is None else self._broadcast(self._given[1])

    def _broadcast(self, statistic: FloatArray) -> FloatArray:
        if not self.built or self._input_shape is None:
            return statistic
        lengths = (1, *self._input_shape)
        kept = [] if self.axis is None else [axis + 1 for axis in self._axes(lengths)]
        whole: Any = np.broadcast_to(statistic, [lengths[axis] for axis in kept])
        return whole.reshape([n if axis in kept else 1 for axis, n in enumerate(lengths)])  # type: ignore[no-any-return]

    def _statistics(self) -> tuple[Any, Any, Any, Any]:
        if self._given is None:
            return 0.0, 1.0, 1.0, 0.0
        mean, deviation = self._given[0], np.maximum(np.sqrt(np.maximum(self._given[1], 0)), 1e-7)
        if self.invert:
            return 0.0, 1.0, deviation, mean
        return mean, deviation**2, 1.0, 0.0

    def get_config(self) -> dict[str, Any]:
        given = self._config or (None, None)
        return super().get_config() | {
            "axis": self.axis, "mean": given[0], "variance": given[1], "invert": self.invert,
        }  # fmt: skip
