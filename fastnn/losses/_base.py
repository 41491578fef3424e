"""The base of every loss: weights and reductions, and the way from arrays to the core."""

import math
import re
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn._core import losses as _core
from fastnn._validate import FloatArray

Doubles = npt.NDArray[np.float64]

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none")
KINDS = {row["name"]: kind for kind, row in enumerate(_core.ROWS)}
_PARAMETERS = [[item.partition("=")[0] for item in row["parameters"].split()] for row in _core.ROWS]  # their names


class Weighting(NamedTuple):
    """How the losses of a batch become one number: sum of weights times losses, over a divisor."""

    weights: Doubles | None
    divisor: float

    @classmethod
    def of(
        cls, shape: tuple[int, ...], counted: npt.NDArray[np.bool_] | None, sample_weight: Any, reduction: str | None
    ) -> Self:
        """For losses of a shape, of which only the counted ones (None for all) take part."""
        weights = None if sample_weight is None else _validate.sample_weights(sample_weight, shape)
        if counted is not None:
            weights = np.where(counted, 1.0 if weights is None else weights, 0.0)
        if reduction in ("sum", "none", None):
            divisor = 1.0
        elif reduction == "mean_with_sample_weight" and sample_weight is not None:
            assert weights is not None
            divisor = _core.total(weights.reshape(-1), None)
        else:
            divisor = float(math.prod(shape) if counted is None else np.count_nonzero(counted))
        return cls(weights, divisor)

    def reduce(self, values: Doubles) -> float:
        """The cost; 0 where nothing was counted."""
        weights = None if self.weights is None else self.weights.reshape(-1)
        total = _core.total(values.reshape(-1), weights)
        return total / self.divisor if self.divisor else 0.0

    def scale(self) -> tuple[Doubles | None, float]:
        """d cost / d losses: an array of the losses' shape, or None and the number that they all have in common."""
        inverse = 1.0 / self.divisor if self.divisor else 0.0
        return (None, inverse) if self.weights is None else (self.weights * inverse, inverse)


class Samples(Protocol):
    """A batch that a loss has checked and is ready to evaluate."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its losses."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of y_pred."""

    @property
    def counted(self) -> npt.NDArray[np.bool_] | None:
        """Which losses take part; None for all of them."""

    def values(self) -> Doubles:
        """The losses."""

    def slopes(self, weighting: Weighting) -> FloatArray:
        """d cost / d y_pred."""

    def both(self, weighting: Weighting) -> tuple[Doubles, FloatArray]:
        """values() and slopes() in one pass."""


class Loss:
    """The base of all losses.

    A loss is a number for each sample; the cost of a batch is what a reduction makes of them:

    =============================  ============================================================
    ``"sum_over_batch_size"``      sum of weights times losses / number of losses; the default
    ``"mean"``                     the same
    ``"mean_with_sample_weight"``  sum of weights times losses / sum of weights
    ``"sum"``                      sum of weights times losses
    ``"none"`` or None             no sum: an array of weights times losses
    =============================  ============================================================

    To write your own, define ``call(y_true, y_pred)``, which returns the losses, of the shape of y_pred without its
    last axes, and ``gradient(y_true, y_pred)``, which returns the derivative of each sample's loss by y_pred. Weights
    and reductions are applied for you, to both.

    Parameters
    ----------
    name : str, optional
        The loss's name; the class's own, in lower case, if there is none.
    reduction : str or None
        One of the above.
    dtype : str or dtype, optional
        "float32" or "float64" to compute in; if None, that of y_pred.

    Examples
    --------
    >>> import numpy as np
    >>> class Quartic(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return np.mean((y_pred - y_true) ** 4, axis=-1)
    ...     def gradient(self, y_true, y_pred):
    ...         return 4 * (y_pred - y_true) ** 3 / y_pred.shape[-1]
    >>> quartic = Quartic()
    >>> quartic([[0.0], [0.0]], [[1.0], [2.0]])
    8.5
    >>> quartic.gradient([[0.0], [0.0]], [[1.0], [2.0]])
    array([[ 2.],
           [16.]])
    >>> quartic([[0.0], [0.0]], [[1.0], [2.0]], sample_weight=[3, 0])
    1.5
    """

    _sample_gradient: ClassVar[Callable[..., Any] | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # A subclass's gradient is that of each sample; the public one, which weighs and reduces, stays the base's.
        super().__init_subclass__(**kwargs)
        if "gradient" in vars(cls):
            cls._sample_gradient = vars(cls)["gradient"]
            del cls.gradient
        elif "call" in vars(cls):
            cls._sample_gradient = None

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        self.name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()
        self.reduction = None if reduction is None else _validate.choice(reduction, "reduction", REDUCTIONS)
        self._dtype = None if dtype is None else _validate.float_dtype(dtype)

    @property
    def dtype(self) -> str | None:
        """The dtype that the loss is computed in; None for that of y_pred."""
        return None if self._dtype is None else self._dtype.name

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The cost of a batch: a Python float, summed in float64; with reduction "none" an array in y_pred's dtype.

        Parameters
        ----------
        y_true, y_pred : array_like
            Targets and predictions.
        sample_weight : array_like, optional
            A number, or an array of the losses' shape or of its first axes.
        """
        samples = self._samples(y_true, y_pred)
        return self._reduced(samples, samples.values(), self._weighting(samples, sample_weight))

    def gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> FloatArray:
        """d cost / d y_pred, of y_pred's shape and dtype. With reduction "none", that of the sum."""
        samples = self._samples(y_true, y_pred)
        return samples.slopes(self._weighting(samples, sample_weight))

    def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, FloatArray]:
        """What a call and gradient() return, in one pass."""
        samples = self._samples(y_true, y_pred)
        weighting = self._weighting(samples, sample_weight)
        values, slopes = samples.both(weighting)
        return self._reduced(samples, values, weighting), slopes

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sample, neither weighed nor reduced."""
        raise NotImplementedError(f"{type(self).__name__} does not define call(y_true, y_pred)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal loss."""
        config = {"name": self.name, "reduction": self.reduction}
        return config if self.dtype is None else config | {"dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The loss that get_config describes."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"

    def _samples(self, y_true: Any, y_pred: Any) -> Samples:
        return PythonSamples(self, y_true, y_pred)

    def _weighting(self, samples: Samples, sample_weight: Any) -> Weighting:
        return Weighting.of(samples.shape, samples.counted, sample_weight, self.reduction)

    def _reduced(self, samples: Samples, values: Doubles, weighting: Weighting) -> Any:
        if self.reduction in ("none", None):
            weighed = values if weighting.weights is None else values * weighting.weights
            return weighed.astype(samples.dtype)[()]
        return weighting.reduce(values)


class PythonSamples:
    """A batch for a loss whose call and gradient are written in Python."""

    counted = None

    def __init__(self, loss: Loss, y_true: Any, y_pred: Any) -> None:
        self.loss = loss
        self.y_pred = _validate.floats(y_pred, "y_pred", loss._dtype)
        self.dtype = self.y_pred.dtype
        self.y_true = None if y_true is None else _validate.numbers(y_true, "y_true")
        if self.y_true is not None and self.y_true.dtype.kind == "f":
            self.y_true = _validate.floats(self.y_true, "y_true", self.dtype)
            _validate.finite(self.y_true, "y_true")
        self._values = np.array(loss.call(self.y_true, self.y_pred), dtype=np.float64, order="C")
        self.shape = self._values.shape
        if self.shape != self.y_pred.shape[: len(self.shape)]:
            raise ValueError(
                f"{type(loss).__name__}.call returned losses of shape {self.shape}; expected the first axes of "
                f"y_pred's shape {self.y_pred.shape}"
            )

    def values(self) -> Doubles:
        return self._values

    def slopes(self, weighting: Weighting) -> FloatArray:
        name = type(self.loss).__name__
        sample_gradient = type(self.loss)._sample_gradient
        if sample_gradient is None:
            raise NotImplementedError(f"{name} does not define gradient(y_true, y_pred)")
        slopes = _validate.floats(sample_gradient(self.loss, self.y_true, self.y_pred), f"{name}.gradient", self.dtype)
        _validate.same_shape(slopes, f"{name}.gradient", self.y_pred, "y_pred")
        scale, common = weighting.scale()
        factors = np.array(common) if scale is None else scale.reshape(scale.shape + (1,) * (slopes.ndim - scale.ndim))
        scaled: FloatArray = slopes * factors.astype(self.dtype)
        return scaled

    def both(self, weighting: Weighting) -> tuple[Doubles, FloatArray]:
        return self._values, self.slopes(weighting)


class TableSamples(NamedTuple):
    """A batch for a row of the core's table: y_pred as rows * elements numbers, y_true as its layout wants it."""

    kind: int
    shape: tuple[int, ...]
    d: int
    y_true: Any
    y_pred: FloatArray
    parameters: Doubles
    restore: Callable[[FloatArray], FloatArray]  # from the flat gradient to y_pred's shape
    counted: npt.NDArray[np.bool_] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.y_pred.dtype

    def without_arrays(self) -> Self:
        """How such samples are read, to be kept when the samples themselves are not."""
        nothing = self.y_pred[:0]
        return self._replace(y_true=None, y_pred=nothing.copy(), restore=lambda slopes: slopes, counted=None)

    def _run(self, values: Doubles | None, slopes: FloatArray | None, scale: Doubles | None, common: float) -> None:
        evaluate: Any = _core.evaluate_labels if _core.ROWS[self.kind]["layout"] == "L" else _core.evaluate
        evaluate(
            self.kind,
            math.prod(self.shape),
            self.d,
            self.y_pred.reshape(-1),
            None if self.y_true is None else self.y_true.reshape(-1),
            values,
            slopes,
            None if scale is None else scale.reshape(-1),
            common,
            self.parameters,
        )

    def values(self) -> Doubles:
        values = np.empty(math.prod(self.shape))
        self._run(values, None, None, 1.0)
        return values.reshape(self.shape)

    def slopes(self, weighting: Weighting) -> FloatArray:
        slopes = np.empty(self.y_pred.size, self.dtype)
        self._run(None, slopes, *weighting.scale())
        return self.restore(slopes)

    def both(self, weighting: Weighting) -> tuple[Doubles, FloatArray]:
        values, slopes = np.empty(math.prod(self.shape)), np.empty(self.y_pred.size, self.dtype)
        self._run(values, slopes, *weighting.scale())
        return values.reshape(self.shape), self.restore(slopes)


def move_axis(array: FloatArray, source: int, destination: int) -> FloatArray:
    """np.moveaxis, and contiguous."""
    moved: Any = array if source == destination else np.moveaxis(array, source, destination)
    return np.ascontiguousarray(moved)


class TableLoss(Loss):
    """A loss of the core's table, over the last axis (or `axis`) of arrays that agree in shape."""

    _row_name: ClassVar[str]  # in the table, where losses of logits have a second row, <name>_from_logits
    _options: ClassVar[tuple[str, ...]] = ()  # the constructor's arguments beyond Loss's own
    axis = -1

    def call(self, y_true: Any, y_pred: Any) -> Any:
        samples = self._table_samples(y_true, y_pred)
        return samples.values().astype(samples.dtype)[()]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {option: getattr(self, option) for option in self._options}

    def _samples(self, y_true: Any, y_pred: Any) -> Samples:
        if type(self).call is not TableLoss.call or self._sample_gradient is not None:  # a subclass's own formula
            return PythonSamples(self, y_true, y_pred)
        return self._table_samples(y_true, y_pred)

    def _table_samples(self, y_true: Any, y_pred: Any) -> Samples:
        given = _validate.predictions(y_pred, "y_pred", self._dtype)
        targets, predictions = _validate.targets(y_true, given)
        self._check(targets, predictions)
        axis = self._axis(predictions)
        targets, predictions = move_axis(targets, axis, -1), move_axis(predictions, axis, -1)
        return self._row(predictions.shape[:-1], predictions.shape[-1], targets, predictions, given.shape, axis)

    def _check(self, y_true: FloatArray, y_pred: FloatArray) -> None:
        """Refuse targets that this loss has no meaning for."""

    def _axis(self, y_pred: FloatArray) -> int:
        """The axis that makes up a sample, counted from the back."""
        axis = _validate.integer(self.axis, "axis", minimum=-y_pred.ndim, maximum=y_pred.ndim - 1)
        return axis - y_pred.ndim if axis >= 0 else axis

    def _row(
        self,
        shape: tuple[int, ...],
        d: int,
        y_true: Any,
        y_pred: FloatArray,
        restored: tuple[int, ...],
        axis: int = -1,
        row_name: str | None = None,
        counted: npt.NDArray[np.bool_] | None = None,
    ) -> TableSamples:
        def restore(slopes: FloatArray) -> FloatArray:
            return move_axis(slopes.reshape(y_pred.shape), -1, axis).reshape(restored)

        kind = self._kind() if row_name is None else KINDS[row_name]
        return TableSamples(kind, shape, d, y_true, y_pred, self._parameters(kind), restore, counted)

    def _kind(self) -> int:
        """The row of the table."""
        return KINDS[self._row_name + ("_from_logits" if getattr(self, "from_logits", False) else "")]

    def _parameters(self, kind: int) -> Doubles:
        """The table's parameters, from the attributes of the same names (one 0 where there are none)."""
        values = (getattr(self, name) for name in _PARAMETERS[kind])
        return np.array([np.nan if value is None else float(value) for value in values] or [0.0])
