"""The base of all layers: names, shapes and weights, and how a layer becomes ops."""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from fastnn import _objects, _validate, constraints, initializers, regularizers
from fastnn._program import Builder, Tensor, Variable
from fastnn._validate import FloatArray
from fastnn.errors import ArgumentError, NotBuiltError

Shape = tuple[int, ...]

UNSAVED = ("_arrays", "_gradients", "_model", "_alone", "_pass")  # what copies of a layer have of their own

_counts: dict[str, Iterator[int]] = {}


def automatic_name(base: str) -> str:
    """dense, dense_1, dense_2, ...: Keras's names for what was given none."""
    number = next(_counts.setdefault(base, itertools.count()))  # both are one step for other threads
    return f"{base}_{number}" if number else base


def clear_names() -> None:
    """Begin the numbers of automatic names anew."""
    _counts.clear()


def _builds_once(build: Callable[..., None]) -> Callable[..., None]:
    """A layer's `build` as anybody may call it: the first call makes the weights, later ones check the shape."""

    @functools.wraps(build)
    def built_once(self: "Layer", input_shape: Any = None) -> None:
        if self._building:  # called by the layer itself, or by a subclass's build
            build(self, input_shape)
        else:
            self._build_alone(input_shape)

    return built_once


class Layer:
    """The base of every layer, and of your own.

    A layer of your own defines ``forward(x, training)`` and ``backward(dy)``, both on arrays whose first axis is the
    batch. `backward` returns the gradient with respect to x, and hands in those of the layer's weights by
    ``add_gradient(weight, gradient)``. Weights are made in ``build(input_shape)`` by `add_weight`; where the output has
    another shape than the input, ``compute_output_shape(input_shape)`` tells it. Shapes begin with None, for the batch.

    Parameters
    ----------
    name : str, optional
        Unique in a model; the class's own with a number if there is none.
    trainable : bool
        False freezes the weights. Read when a model is compiled.
    dtype : {"float32", "float64"}, optional
        A layer computes in its model's dtype, which is that of its layers if it was given none itself.
    input_shape : tuple, optional
        Of one sample: builds the model at once where this is its first layer.
    activity_regularizer : str or Regularizer, optional
        A penalty on the output that the loss gains, divided by the batch's size.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> class Scale(fastnn.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")
    ...     def forward(self, x, training):
    ...         self.x = x
    ...         return x * self.factor
    ...     def backward(self, dy):
    ...         self.add_gradient(self.factor, (dy * self.x).sum(axis=0))
    ...         return dy * self.factor
    >>> model = fastnn.Sequential([Scale(), fastnn.layers.Dense(1)])
    >>> model(np.ones((2, 3), np.float32)).shape
    (2, 1)
    """

    _options: ClassVar[tuple[str, ...]] = ()  # the constructor's arguments, for get_config
    _needs_shape: ClassVar[bool] = True  # whether the weights depend on the input's shape
    _weightless: ClassVar[bool] = False  # whether there is nothing to build
    _takes_vectors: ClassVar[bool] = False  # whether, outside a model, an array of one axis is a single sample
    _building = False  # whether `build` is running
    _made: Iterator[Variable] | None = None  # the variables that a second `build` has to ask for again

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _builds_once(cls.build)  # type: ignore[method-assign]
            cls._weightless = bool(vars(cls).get("_weightless"))

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: npt.DTypeLike | None = None,
        input_shape: Sequence[int] | None = None,
        input_dim: int | None = None,
        activity_regularizer: Any = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise ArgumentError(f"{min(unknown)}: {type(self).__name__} has no argument of this name")
        self._variables: list[Variable] = []
        self._arrays: dict[int, Variable] = {}
        self._gradients: dict[int, FloatArray] = {}
        if name is not None and not isinstance(name, str):
            raise ArgumentError(f"name: expected a string, got {name!r}")
        self.name = name or automatic_name(_objects.snake_case(type(self).__name__))
        self.trainable = _validate.flag(trainable, "trainable")
        self._built = False
        self.activity_regularizer = regularizers.get(activity_regularizer)
        if input_dim is not None:
            input_shape = (input_dim,)
        self._given_shape = None if input_shape is None else sample_shape(input_shape, "input_shape")
        self._given_dtype = None if dtype is None else _validate.float_dtype(dtype)
        self._dtype = self._given_dtype or np.dtype(np.float32)
        self._input_shape: Shape | None = None
        self._number: Any = None  # of the layer in its model: what its random streams are keyed by
        self._model_seed: int | None = None
        self._next_variable = 0
        self._made_early = 0
        self._budget: int | None = None  # elements that weights may have where a file brings them: no values are made
        self._model: Any = None  # a weak reference to the model in whose memory the weights lie

    @property
    def built(self) -> bool:
        """Whether the weights are there: from the start where a layer has none."""
        return self._built or self._weightless

    @built.setter
    def built(self, value: bool) -> None:
        self._built = value

    @property
    def trainable(self) -> bool:
        """Whether the weights learn. Set, it is set for all layers inside this one too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = _validate.flag(value, "trainable")
        for layer in self._layers:
            layer.trainable = value

    @property
    def dtype(self) -> str:
        """What the layer computes in: its model's dtype, once it is built."""
        return self._dtype.name

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        variable = self.__dict__.get("_arrays", {}).get(id(value))
        if variable is not None and name not in variable.attributes:
            variable.attributes.append(name)

    # ------------------------------------------------------------------------------------------------------- weights

    def add_weight(
        self,
        shape: Sequence[int] | None = None,
        initializer: Any = None,
        dtype: npt.DTypeLike | None = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
    ) -> FloatArray:
        """An array of weights: glorot_uniform where it has two axes or more and nothing is said, else zeros.

        They are of the layer's dtype: another one is refused.
        """
        shape = () if shape is None else tuple(_validate.integer(n, "shape", minimum=0) for n in shape)
        if dtype is not None and _validate.float_dtype(dtype) != self._dtype:
            raise ValueError(
                f"dtype: {self.name} computes in {self._dtype}, and all its weights are of that dtype; leave dtype out"
            )
        if self._made is not None:
            return self._made_before(shape)
        if self._built and not self._building:
            raise ValueError(f"add_weight: {self.name} is built already; make weights in build or in the constructor")
        if initializer is None:
            initializer = "glorot_uniform" if len(shape) > 1 else "zeros"
        made = initializers.get(initializer)
        seed = self._model_seed
        number, self._next_variable = self._next_variable, self._next_variable + 1
        if self._budget is not None:
            if math.prod(shape) > self._budget:
                raise ValueError(f"{self.name}: a weight of shape {shape} is more than the file holds")
            values = np.broadcast_to(np.zeros((), self._dtype), shape)
        elif isinstance(made, initializers.RandomInitializer) and not made.is_seeded and seed is not None:
            values = made.draw(shape, self._dtype, seed, FIRST_VALUES + number)
        else:
            values = np.asarray(made(shape, self._dtype))
        if values.shape != shape:
            raise ValueError(f"initializer: {initializer!r} gave shape {values.shape} for a weight of shape {shape}")
        array: FloatArray = values if self._budget is not None else np.array(values, self._dtype, order="C")
        variable = Variable(
            self, name or f"weight_{len(self._variables)}", array, _validate.flag(trainable, "trainable"),
            regularizers.get(regularizer), constraints.get(constraint),
        )  # fmt: skip
        self._variables.append(variable)
        self._arrays[id(array)] = variable
        return array

    def _made_before(self, shape: Shape) -> FloatArray:
        """The next of the weights that the first `build` made, if it has this shape."""
        assert self._made is not None
        variable = next(self._made, None)
        if variable is None or variable.array.shape != shape:
            raise ValueError("its weights would have other shapes")
        array: FloatArray = variable.array
        return array

    def add_gradient(self, weight: FloatArray, gradient: Any) -> None:
        """Hand in the gradient of a weight, from `backward`. Frozen weights take none."""
        variable = self._arrays.get(id(weight))
        if variable is None:
            raise ValueError(f"weight: not one that {self.name} made by add_weight")
        target = self._gradients.get(id(variable))
        if target is None:
            return
        gradient = np.asarray(gradient)
        if gradient.shape != target.shape:
            raise ValueError(f"gradient: expected shape {target.shape}, that of {variable.path}, got {gradient.shape}")
        target += gradient

    def _weights_set(self) -> None:
        """Called after the weights were set from outside."""

    def _moved(self) -> None:
        """The arrays of the variables are others now."""
        self._arrays = {id(v.array): v for v in self._variables}

    @property
    def _layers(self) -> list["Layer"]:
        """The layers inside this one."""
        return []

    def _flat(self) -> list["Layer"]:
        """This layer and all inside it."""
        return [self] + [inner for layer in self._layers for inner in layer._flat()]

    def _all_variables(self) -> list[Variable]:
        own = sorted(self._variables, key=lambda v: not v.trains)
        return own + [v for layer in self._layers for v in layer._all_variables()]

    @property
    def weights(self) -> list[FloatArray]:
        """All arrays, live: those that can learn, then those that cannot."""
        return [v.array for v in self._all_variables()]

    variables = weights

    def _learns(self, variable: Variable) -> bool:
        return bool(variable.trains and self.trainable and variable.layer.trainable)

    @property
    def trainable_weights(self) -> list[FloatArray]:
        """Those that learn: none where `trainable` is false."""
        return [v.array for v in self._all_variables() if self._learns(v)]

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self) -> list[FloatArray]:
        return [v.array for v in self._all_variables() if not self._learns(v)]

    non_trainable_variables = non_trainable_weights

    def count_params(self) -> int:
        """How many numbers all weights together are."""
        if not self.built:
            raise NotBuiltError(f"{self.name}: not built yet, so that its weights have no shapes; call build first")
        return sum(v.array.size for v in self._all_variables())

    def get_weights(self) -> list[FloatArray]:
        """Copies of all arrays, in the order of `weights`."""
        return [w.copy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all arrays, from arrays of the same shapes in the order of `weights`."""
        set_arrays(self._all_variables(), weights, self.name)

    # --------------------------------------------------------------------------------------------- shapes and lowering

    @_builds_once
    def build(self, input_shape: Shape) -> None:
        """Make the weights; overridden by layers that have any. input_shape begins with None, for the batch.

        A model builds its layers. A layer that was built before keeps its weights, and refuses shapes that need others.
        """

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The output's shape, beginning with None; the input's unless overridden."""
        return tuple(input_shape)

    def _build_alone(self, input_shape: Any) -> None:
        """Build outside a model."""
        shape = self._given_shape
        if input_shape is not None:
            shape = sample_shape(batch_axes(input_shape, "input_shape")[1:], "input_shape")
        if shape is None and self._needs_shape:
            raise ValueError(f"input_shape: {self.name} needs a shape, such as (None, 784)")
        shape = () if shape is None else shape
        undo = restorer(self._flat())
        try:
            if self._built:
                self._check_fits(shape)
            else:
                asked = [layer._given_dtype for layer in self._flat() if layer._given_dtype is not None]
                self._build(shape, asked[0] if asked else self._dtype, self._model_seed, self._number, 0)
        except BaseException:
            undo()
            raise

    def _build(self, shape: Shape, dtype: np.dtype[Any], seed: int | None, number: Any, variables: int) -> int:
        """Build for samples of a shape within a model; returns how many variables the model has then."""
        if self._built:
            self._check_fits(shape)
            self._place = dtype, shape, seed, number
            return variables + len(self._variables)
        self._place = dtype, shape, seed, number
        self._next_variable = variables
        self._made_early = len(self._variables)  # by the constructor
        self._build_inside(shape)
        self.built = True
        return self._next_variable

    @property
    def _place(self) -> tuple[np.dtype[Any], Shape | None, int | None, Any]:
        """What a layer takes from the model that it is in."""
        return self._dtype, self._input_shape, self._model_seed, self._number

    @_place.setter
    def _place(self, place: tuple[np.dtype[Any], Shape | None, int | None, Any]) -> None:
        self._dtype, self._input_shape, self._model_seed, self._number = place

    def _check_fits(self, shape: Shape) -> None:
        """Refuse a shape for which `build` makes other weights than there are."""
        if shape == self._input_shape or not self._needs_shape:
            return
        undo = restorer([self])
        self._made = iter(self._variables[self._made_early :])
        try:
            self._build_inside(shape)
        except ValueError as error:
            undo()
            raise ValueError(
                f"{self.name}: built for samples of shape {self._input_shape}, got {shape}: {error}; "
                "use a layer of its own in each place"
            ) from None
        except BaseException:
            undo()
            raise
        finally:
            self._made = None

    def _build_inside(self, shape: Shape) -> None:
        self._building = True
        try:
            self.build((None, *shape))
        finally:
            self._building = False

    def _output_of(self, shape: Shape) -> Shape:
        """The shape of an output sample."""
        return tuple(self.compute_output_shape((None, *shape))[1:])  # type: ignore[arg-type]

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        """Emit the layer's ops. A layer that does not override it runs in Python."""
        self._op_input_shape = x.shape
        self._op_output_shape = self._output_of(x.shape)
        return builder.op("python", x, self._op_output_shape, layer=self, learns=bool(self.trainable_weights))

    def emit(self, builder: Builder, x: Tensor) -> Tensor:
        """The layer's ops, and the penalty on what they make."""
        y = self.lower(builder, x)
        regularizer = self.activity_regularizer
        if regularizer is None:
            return y
        if isinstance(regularizer, regularizers.L1L2) and type(regularizer).gradient is regularizers.L1L2.gradient:
            parameters = (float(regularizer.l1), float(regularizer.l2))
            return builder.op("penalize", y, y.shape, parameters=parameters)
        return builder.op("python", y, y.shape, layer=OutputPenalty(regularizer, y.shape))

    def forward(self, x: FloatArray, training: bool) -> Any:
        """y of a batch: what a layer of your own defines."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward(x, training)")

    def backward(self, dy: FloatArray) -> Any:
        """The gradient of the last batch's x: what a layer of your own defines."""
        raise NotImplementedError(f"{type(self).__name__} defines no backward(dy)")

    def _run_forward(self, x: FloatArray, training: bool, shape: Shape) -> FloatArray:
        y = np.asarray(self.forward(x, training))
        if y.shape != shape:
            raise ValueError(
                f"{type(self).__name__}.forward returned shape {y.shape}, expected {shape}; "
                "compute_output_shape says what shape it returns"
            )
        return y

    def _run_backward(self, dy: FloatArray, shape: Shape, gradients: bool, add: bool) -> FloatArray:
        if gradients and not add:
            for target in self._gradients.values():
                target[...] = 0
        dx = np.asarray(self.backward(dy))
        if dx.shape != shape:
            raise ValueError(
                f"{type(self).__name__}.backward returned shape {dx.shape}, expected that of the input, {shape}"
            )
        return dx

    def __call__(self, x: Any, training: bool = False) -> FloatArray:
        """The layer's output for a batch, by itself: the first call builds its weights.

        A layer outside a model takes another shape in each call, as far as its weights fit, and reads `trainable` in
        each.
        """
        from fastnn import _data

        alone, shape, flags = self.__dict__.get("_alone", (None, None, None))
        owner = None if self._model is None else self._model()
        if owner is not None and owner is not alone:
            return owner._run_layer(self, x, training, commits=True)  # type: ignore[no-any-return]
        array = _data.as_array(x, "x")
        if array.ndim == 1 and self._takes_vectors and self._given_shape is None:
            return self(array[None], training)[0]  # type: ignore[no-any-return]
        trainable = [layer.trainable for layer in self._flat()]
        if (shape, flags) == (array.shape[1:], trainable):
            return alone(array, training=training)  # type: ignore[no-any-return]
        model = self._model_alone(_validate.floating(array.dtype) if alone is None else alone._dtype)
        if alone is not None:
            model._forwards = alone._forwards
        y = model(array, training=training)
        object.__setattr__(self, "_alone", (model, array.shape[1:], trainable))
        return y  # type: ignore[no-any-return]

    def _model_alone(self, dtype: np.dtype[Any]) -> Any:
        """A model of this layer only, in a dtype if it has none of its own."""
        from fastnn.models import Sequential

        asks = any(layer._given_dtype is not None for layer in self._flat())
        return Sequential([self], dtype=None if asks else dtype)

    # ---------------------------------------------------------------------------------------------------- description

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a layer like this one, without its weights; what JSON can hold."""
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        if self._given_shape is not None:
            config["input_shape"] = list(self._given_shape)
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = described(self.activity_regularizer)
        return config | {option: described(getattr(self, option)) for option in self._options}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The layer that `get_config` describes."""
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        kept = {k: v for k, v in self.__dict__.items() if k not in UNSAVED}
        return kept | {"_pairs": [(v.array, v) for v in self._variables]}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        # The variables may not be whole yet, as they refer to this layer.
        arrays = {id(array): v for array, v in kept.pop("_pairs")}
        self.__dict__.update(kept, _arrays=arrays, _gradients={}, _model=None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}{'' if self.built else ', not built'}>"


class OutputPenalty:
    """What the engine calls for a regularizer of the output that is written in Python."""

    name = "activity_regularizer"

    def __init__(self, regularizer: Any, shape: Shape) -> None:
        self.regularizer = regularizer
        self._op_input_shape = self._op_output_shape = shape

    def _run_forward(self, x: FloatArray, training: bool, shape: Shape) -> FloatArray:
        self.x = x
        return x

    def _run_backward(self, dy: FloatArray, shape: Shape, gradients: bool, add: bool) -> Any:
        if add:  # of a tape, which knows no loss that has a penalty
            return dy
        return dy + np.asarray(self.regularizer.gradient(self.x)) / len(self.x)

    def penalty(self) -> float:
        """On the output of the last batch that went forward."""
        return float(self.regularizer(self.x)) / len(self.x)


FIRST_VALUES = 0xFFFFFFFE << 32  # the stream of the first values of a model's variable 0


def restorer(layers: Sequence[Layer]) -> Callable[[], None]:
    """What puts the attributes of layers back as they are now, lists included."""
    before = [(layer, dict(vars(layer))) for layer in layers]
    lists = [(items, list(items)) for _, values in before for items in values.values() if type(items) is list]

    def restore() -> None:
        for layer, values in before:
            vars(layer).update(values)  # first, so that no other thread finds an attribute missing
            for name in vars(layer).keys() - values.keys():
                del vars(layer)[name]
        for items, contents in lists:
            items[:] = contents

    return restore


def described(value: Any) -> Any:
    """An argument as JSON can hold it."""
    if isinstance(value, initializers.Initializer):
        return initializers.serialize(value)
    if isinstance(value, regularizers.Regularizer):
        return regularizers.serialize(value)
    if isinstance(value, constraints.Constraint):
        return constraints.serialize(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def axes_argument(axis: Any) -> Any:
    """An axis, or a list of axes."""
    if isinstance(axis, (int, np.integer)):
        return _validate.integer(axis, "axis")
    axes = [_validate.integer(one, "axis") for one in _validate.items(axis, "axis", "axes")]
    if not axes or len(set(axes)) != len(axes):
        raise ValueError(f"axis: expected different axes, at least one, got {axes}")
    return axes


def sample_axes(axis: int | list[int], input_shape: Sequence[int | None]) -> list[int]:
    """Axes of inputs, that of the batch among them, as those of a sample, ascending."""
    n = len(input_shape)
    counted = sorted(one + n if one < 0 else one for one in ([axis] if isinstance(axis, int) else axis))
    if not counted or counted[0] < 1 or counted[-1] >= n or len(set(counted)) != len(counted):
        raise ValueError(
            f"axis: expected axes of a sample, 1 to {n - 1} or -1 to {1 - n}, got {axis} for inputs of shape "
            f"{tuple(input_shape)}"
        )
    return [one - 1 for one in counted]


def batch_axes(shape: Any, name: str) -> tuple[Any, ...]:
    """The axes of a shape that begins with the batch's."""
    axes = tuple(_validate.items(shape, name, "lengths, the first of which is that of the batch"))
    if not axes:
        raise ValueError(f"{name}: expected a shape such as (None, 784), got {shape!r}")
    return axes


def sample_shape(shape: Any, name: str) -> Shape:
    """A sample's shape: whole numbers of at least 1."""
    axes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(_validate.items(shape, name, "lengths"))
    if None in axes:
        raise ValueError(f"{name}: every axis of a sample must have a length, got {tuple(axes)}")
    return tuple(_validate.integer(n, name, minimum=1) for n in axes)


def set_arrays(variables: Sequence[Variable], weights: Sequence[Any], owner: str) -> None:
    """Set variables from arrays of their shapes; all are checked before the first changes."""
    weights = list(_validate.items(weights, "weights", "arrays"))
    if len(weights) != len(variables):
        raise ValueError(f"weights: {owner} has {len(variables)} of them, got {len(weights)}")
    values = []
    for i, (variable, value) in enumerate(zip(variables, weights, strict=True)):
        array = _validate.floats(value, f"weights[{i}]", variable.array.dtype)
        if array.shape != variable.array.shape:
            raise ValueError(
                f"weights[{i}]: expected shape {variable.array.shape}, that of {variable.path}, got {array.shape}"
            )
        values.append(array)
    for variable, array in zip(variables, values, strict=True):
        variable.array[...] = array
    for layer in {id(v.layer): v.layer for v in variables}.values():
        layer._weights_set()
