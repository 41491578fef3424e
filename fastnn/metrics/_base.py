"""The base of every metric: what it keeps between batches, and the mean of one value a row, which most of them are."""

import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from fastnn import _objects, _validate, initializers
from fastnn._core import metrics as _core
from fastnn._validate import FloatArray
from fastnn.errors import ArgumentError
from fastnn.losses._base import TableLoss

Doubles = npt.NDArray[np.float64]
Native = tuple[str, int, Doubles]

KINDS = {row["name"]: kind for kind, row in enumerate(_core.ROWS)}


class Variable(np.ndarray[Any, np.dtype[np.float64]]):
    """A float64 array that a metric keeps: an ndarray, with Keras's ways to change it in place.

    Examples
    --------
    >>> hits = Metric().add_variable((), "zeros", name="hits")
    >>> hits.assign_add(3).assign(hits / 2)
    Variable(1.5)
    """

    name: str | None

    def __array_finalize__(self, obj: Any) -> None:
        self.name = getattr(obj, "name", None)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        # What is computed from a variable is no variable
        if array is self:
            return self
        return array[()] if return_scalar else np.asarray(array)

    @property
    def value(self) -> Doubles:
        """The numbers, as a plain array that shares this one's memory."""
        return self.view(np.ndarray)

    def numpy(self) -> Doubles:
        """A copy of the numbers."""
        return np.array(self.value)

    def assign(self, value: Any) -> Self:
        """Take on a value of the same shape."""
        self[...] = value
        return self

    def assign_add(self, value: Any) -> Self:
        """Add a value of the same shape."""
        self[...] = self.value + value
        return self

    def assign_sub(self, value: Any) -> Self:
        """Subtract a value of the same shape."""
        self[...] = self.value - value
        return self


class Metric:
    """The base of all metrics: it sums up batches, and makes a number of the sums.

    To write your own, create variables in the constructor, change them in ``update_state(y_true, y_pred,
    sample_weight=None)``, and compute a number, or an array, of them in ``result()``. ``reset_state()`` sets the
    variables to 0; override it where they begin at something else.

    Parameters
    ----------
    dtype : str or dtype, optional
        "float32" or "float64", which predictions and targets are converted to; if None, that of y_pred. Sums are
        float64 in any case.
    name : str, optional
        The metric's name; the class's own, in lower case, if there is none.

    Examples
    --------
    >>> import numpy as np
    >>> class LargestError(Metric):
    ...     def __init__(self, name="largest_error", dtype=None):
    ...         super().__init__(dtype, name)
    ...         self.largest = self.add_variable((), "zeros")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         error = np.max(np.abs(np.subtract(y_pred, y_true)))
    ...         self.largest.assign(np.maximum(self.largest, error))
    ...     def result(self):
    ...         return float(self.largest)
    >>> metric = LargestError()
    >>> metric.update_state([1.0, 2.0], [1.5, 2.0])
    >>> metric([1.0, 2.0], [1.0, 2.25])  # a call updates, and gives the result so far
    0.5
    """

    _options: ClassVar[tuple[str, ...]] = ()  # the constructor's arguments beyond name and dtype
    _direction: ClassVar[str | None] = None  # "up" where more is better, "down" where less is

    def __init__(self, dtype: npt.DTypeLike | None = None, name: str | None = None) -> None:
        self.name = name or _objects.snake_case(type(self).__name__)
        self._dtype = None if dtype is None else _validate.float_dtype(dtype)
        self._variables: list[Variable] = []

    @property
    def dtype(self) -> str | None:
        """The dtype that arguments are converted to; None for that of y_pred."""
        return None if self._dtype is None else self._dtype.name

    @property
    def native(self) -> Native | None:
        """How training can follow this metric without Python; None if it has to call update_state.

        A source, a kind and a float64 array of parameters. Source "metric" means a row of ``fastnn._core.metrics.ROWS``
        and "loss" one of ``fastnn._core.losses.ROWS``; the sums of its weighted values and of the weights are added to
        ``state``.
        """
        return None

    def add_variable(
        self,
        shape: tuple[int, ...] = (),
        initializer: Any = None,
        dtype: npt.DTypeLike | None = None,
        aggregation: str | None = "sum",
        name: str | None = None,
    ) -> Variable:
        """A new array that the metric keeps.

        Parameters
        ----------
        shape : tuple of int
            Its shape; () for a number.
        initializer : str or Initializer, optional
            Its first values; 0 if there is none.
        dtype, aggregation
            As Keras has them. Neither changes anything: variables are float64, and there is one process.
        name : str, optional
            Its name.
        """
        self._check_initialised()
        values = np.zeros(shape) if initializer is None else initializers.get(initializer)(shape, np.float64)
        variable = np.array(values, dtype=np.float64).view(Variable)
        variable.name = name
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: tuple[int, ...] = (),
        initializer: Any = None,
        dtype: npt.DTypeLike | None = None,
        name: str | None = None,
    ) -> Variable:
        """add_variable, by its older name."""
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """What the metric keeps between batches, and what the metrics keep that are its attributes, or in lists, tuples
        and dicts that are."""
        self._check_initialised()
        nested = [metric for value in vars(self).values() for metric in metrics_in(value)]
        return self._variables + [variable for metric in nested for variable in metric.variables]

    def reset_state(self) -> None:
        """Forget all batches: set the variables to 0."""
        for variable in self.variables:
            variable[...] = 0

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take in a batch: update_state(y_true, y_pred, sample_weight=None)."""
        raise NotImplementedError(f"{type(self).__name__} does not define update_state(y_true, y_pred, sample_weight)")

    def result(self) -> Any:
        """The value of the metric over all batches since the last reset."""
        raise NotImplementedError(f"{type(self).__name__} does not define result()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take in a batch, and return the value over all batches so far."""
        self._check_initialised()
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric, without state."""
        config = {"name": self.name} | {option: getattr(self, option) for option in self._options}
        return config if self.dtype is None else config | {"dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The metric that get_config describes."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"

    def _check_initialised(self) -> None:
        if not hasattr(self, "_variables"):
            raise RuntimeError(
                f"{type(self).__name__}.__init__ has not called super().__init__(); do so before adding variables"
            )

    def _pair(self, y_true: Any, y_pred: Any) -> tuple[FloatArray, FloatArray]:
        """Targets and predictions, of one shape and dtype."""
        return _validate.targets(y_true, _validate.predictions(y_pred, "y_pred", self._dtype))


def metrics_in(value: Any) -> Iterator[Metric]:
    """The metrics that an attribute holds."""
    if isinstance(value, Metric):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from metrics_in(item)


class Mean(Metric):
    """The weighted mean of values: their sum over the number of samples, or over the sum of weights.

    Values of more than one axis count as one sample for each index of the first; the others are averaged.

    Parameters
    ----------
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> Mean()([1, 3, 5, 7])
    4.0
    >>> Mean()([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    2.0
    """

    def __init__(self, name: str | None = "mean", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(dtype, name)
        self.state: Doubles = self.add_variable((2,), name="total_and_count")

    @property
    def total(self) -> Variable:
        """The sum of weights times values."""
        return self._part(0, "total")

    @property
    def count(self) -> Variable:
        """The sum of weights, or the number of samples."""
        return self._part(1, "count")

    @property
    def variables(self) -> list[Variable]:
        """total and count, and any that a subclass adds."""
        return [self.total, self.count, *(v for v in super().variables if v is not self.state)]

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take in values, of any shape, with a weight for each or for each index of the first axes."""
        self._add(
            _validate.floats(_validate.floats(values, "values", self._dtype), "values", np.float64), sample_weight
        )

    def result(self) -> Any:
        """total / count; 0 where nothing was counted."""
        total, count = (float(sum_) for sum_ in self.state)
        return total / count if count else 0.0

    def _part(self, index: int, name: str) -> Variable:
        part = self.state[index : index + 1].reshape(()).view(Variable)
        part.name = name
        return part

    def _add(self, values: npt.NDArray[Any], sample_weight: Any, counted: npt.NDArray[np.bool_] | None = None) -> None:
        """Add values to the sums; where only some are counted, the others weigh nothing."""
        weights = None if sample_weight is None else _validate.sample_weights(sample_weight, values.shape)
        if counted is not None:
            weights = np.where(counted, 1.0 if weights is None else weights, 0.0)
        # A weight that is one number weighs the batch, which then counts as one sample; else each index of axis 0 does
        one = sample_weight is not None and np.ndim(sample_weight) == 0
        positions = values.size if one else math.prod(values.shape[1:])
        _core.add(
            self.state.view(np.ndarray),
            values.reshape(-1),
            None if weights is None else weights.reshape(-1),
            max(positions, 1),
        )


class Sum(Metric):
    """The sum of weights times values.

    Parameters
    ----------
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> Sum()([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    4.0
    """

    def __init__(self, name: str | None = "sum", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take in values, of any shape, with a weight for each or for each index of the first axes."""
        numbers = _validate.floats(_validate.floats(values, "values", self._dtype), "values", np.float64)
        if sample_weight is not None:
            numbers = numbers * _validate.sample_weights(sample_weight, numbers.shape)
        self.total.assign_add(np.sum(numbers))

    def result(self) -> Any:
        """The sum so far."""
        return float(self.total)


class RowMetric(Mean):
    """A mean of one value a row, which training can follow without Python."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take in a batch.

        Parameters
        ----------
        y_true, y_pred : array_like
            Targets and predictions.
        sample_weight : array_like, optional
            A number, or an array with a weight for each sample.
        """
        self._add(*self._values(y_true, y_pred, sample_weight))

    @property
    def native(self) -> Native | None:
        # A subclass that takes in batches in its own way is not what the kernels compute; and they compute in y_pred's
        # own precision.
        if type(self).update_state is not RowMetric.update_state or self._dtype is not None:
            return None
        return self._native()

    def _native(self) -> Native | None:
        raise NotImplementedError

    def _values(
        self, y_true: Any, y_pred: Any, sample_weight: Any
    ) -> tuple[Doubles, Any, npt.NDArray[np.bool_] | None]:
        """The values of a batch, their weights, and which are counted."""
        raise NotImplementedError


class KindMetric(RowMetric):
    """A metric that is a row of _core.metrics.ROWS."""

    _direction = "up"
    _row_name: ClassVar[str]

    def _native(self) -> Native | None:
        return "metric", KINDS[self._row_name], self._parameters()

    def _parameters(self) -> Doubles:
        """The row's parameters, from the attributes of the same names (one 0 where there are none)."""
        names = [item.partition("=")[0] for item in _core.ROWS[KINDS[self._row_name]]["parameters"].split()]
        values = (getattr(self, name) for name in names)
        return np.array([np.inf if value is None else float(value) for value in values] or [0.0])

    def _evaluate(self, y_true: npt.NDArray[Any], y_pred: FloatArray, shape: tuple[int, ...]) -> Doubles:
        """Values of the given shape, each of as many numbers of y_pred as there are to one."""
        kind, rows = KINDS[self._row_name], math.prod(shape)
        values = np.empty(rows)
        evaluate: Any = _core.evaluate_labels if _core.ROWS[kind]["layout"] == "L" else _core.evaluate
        d = y_pred.shape[-1] if shape == y_pred.shape[:-1] else 1
        evaluate(kind, rows, d, y_pred.reshape(-1), y_true.reshape(-1), values, self._parameters())
        return values.reshape(shape)


def is_for_each_element(sample_weight: Any, shape: tuple[int, ...]) -> bool:
    """Whether weights differ along the last axis of predictions."""
    return np.ndim(sample_weight) == len(shape) and np.shape(sample_weight)[-1] != 1


class LossMetric(RowMetric):
    """A metric that is the mean of a loss, without the loss's reduction."""

    _direction = "down"
    _loss_class: ClassVar[type[TableLoss]]

    def __init__(self, name: str | None, dtype: npt.DTypeLike | None, **options: Any) -> None:
        super().__init__(name, dtype)
        self._loss = self._loss_class(name=self.name, dtype=dtype, **options)
        for option in self._options:
            setattr(self, option, getattr(self._loss, option))

    def _native(self) -> Native | None:
        if self._loss.axis != -1 or getattr(self._loss, "ignore_class", None) is not None:
            return None
        kind = self._loss._kind()
        return "loss", kind, self._loss._parameters(kind)

    def _values(
        self, y_true: Any, y_pred: Any, sample_weight: Any
    ) -> tuple[Doubles, Any, npt.NDArray[np.bool_] | None]:
        samples = self._loss._samples(y_true, y_pred)
        return samples.values(), sample_weight, samples.counted


class MeanMetricWrapper(Mean):
    """The mean of what a function fn(y_true, y_pred) returns: a value for each sample.

    Parameters
    ----------
    fn : callable
        Takes y_true, y_pred (as arrays) and kwargs; returns an array whose first axis is that of the samples, or a
        number for the batch.
    name : str, optional
        The metric's name; that of the function, if there is none.
    dtype : str or dtype, optional
        As for Metric.
    **kwargs
        Passed on to fn.

    Examples
    --------
    >>> import numpy as np
    >>> def largest_error(y_true, y_pred):
    ...     return np.max(np.abs(y_pred - y_true), axis=-1)
    >>> MeanMetricWrapper(largest_error)([[0.0, 1.0], [2.0, 2.0]], [[0.5, 1.0], [2.0, 1.0]])
    0.75
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: npt.DTypeLike | None = None, **kwargs: Any
    ) -> None:
        if not callable(fn):
            raise ArgumentError(f"fn: expected a function of y_true and y_pred, got {fn!r}")
        super().__init__(name or getattr(fn, "__name__", None) or getattr(fn, "name", None), dtype)
        self._fn = fn
        self._fn_kwargs = kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take in a batch, weighing the function's values."""
        predictions = _validate.floats(y_pred, "y_pred", self._dtype)
        targets = None if y_true is None else _validate.numbers(y_true, "y_true")
        if targets is not None and targets.dtype.kind == "f":
            targets = _validate.floats(targets, "y_true", predictions.dtype)
        super().update_state(self._fn(targets, predictions, **self._fn_kwargs), sample_weight)

    def get_config(self) -> dict[str, Any]:
        from fastnn import metrics

        return super().get_config() | {"fn": metrics.serialize(self._fn)} | self._fn_kwargs

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The metric that get_config describes; fn is a function, or the name of a metric's or loss's."""
        from fastnn import metrics

        if isinstance(config.get("fn"), (str, dict)):
            config = config | {"fn": metrics.function(config["fn"])}
        return cls(**config)
