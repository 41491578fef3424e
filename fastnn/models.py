"""Sequential: a stack of layers as one model."""

import contextlib
import copy
import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastnn import _data, _objects, _random, _validate
from fastnn import layers as layer_module
from fastnn._core.engine import Engine, Tape
from fastnn._core.exclusive import Exclusive, layout_lock
from fastnn._exporting import Exporting
from fastnn._perceptron import Perceptron
from fastnn._program import Builder, Variable
from fastnn._training import Training
from fastnn._validate import FloatArray
from fastnn._weights import Weights
from fastnn.errors import ArgumentError, NotBuiltError
from fastnn.layers import Embedding, InputLayer, Layer
from fastnn.layers._base import Shape, automatic_name, batch_axes, restorer, sample_shape
from fastnn.layers._branches import ModelLayer
from fastnn.optimizers._parts import arena

__all__ = ["Perceptron", "Sequential", "load_model"]


def load_model(filepath: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True) -> "Sequential":
    """`fastnn.load`, by Keras's name.

    >>> import os, tempfile
    >>> import fastnn
    >>> model = Sequential([fastnn.Input((2,)), fastnn.Dense(1)], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "model.fastnn"))
    ...     print(load_model(os.path.join(folder, "model.fastnn")).count_params())
    3
    """
    from fastnn import files

    return files.load(filepath, custom_objects, compile)


class Sequential(Weights, Training, Exporting):
    """Layers, each of which takes what the one before it makes.

    Parameters
    ----------
    layers : list of Layer or Sequential, optional
        More can be added by `add`. The shapes are those of an `Input` in front, or follow from the first data.
    trainable : bool
        False freezes all weights. Read when the model is compiled.
    name : str, optional
    seed : int, optional
        All that is random follows from it: first values, masks, the order of the samples. Without one a seed is drawn,
        and recorded in `seed`.
    dtype : {"float32", "float64"}, optional
        Without one, that of the layers that were given one; else float32.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import layers
    >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> y = np.array([0, 1, 1, 0])
    >>> model = fastnn.Sequential(
    ...     [layers.Dense(8, activation="tanh"), layers.Dense(1, activation="sigmoid")], seed=0
    ... )
    >>> model.compile(optimizer=fastnn.optimizers.Adam(0.1), loss="binary_crossentropy")
    >>> history = model.fit(x, y, epochs=200, verbose=0)
    >>> model.predict(x, verbose=0).round().ravel().tolist()
    [0.0, 1.0, 1.0, 0.0]
    """

    def __init__(
        self,
        layers: "Sequence[Layer | Sequential] | Layer | None" = None,
        trainable: bool = True,
        name: str | None = None,
        seed: int | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__()
        if name is not None and not isinstance(name, str):
            raise ArgumentError(f"name: expected a string, got {name!r}")
        self.name = name or automatic_name("sequential")
        self._exclusive = Exclusive(self.name)
        self.seed = _random.new_seed() if seed is None else _random.seed_of(seed)
        self._given_dtype = None if dtype is None else _validate.float_dtype(dtype)
        self._dtype = self._given_dtype or np.dtype(np.float32)
        self._layers: list[Layer] = []
        self._by_name: dict[str, Layer] = {}
        self._members: dict[int, Layer] | None = {}  # all layers, those within others too, by identity
        self._asked_dtype: np.dtype[Any] | None = None  # by a layer
        self._input: Shape | None = None
        self._output: Shape | None = None
        self._engine: Engine | None = None
        self._op_names: list[str] = []
        self._flags: tuple[Any, ...] = ()
        self._lost = False  # built, but the engine is to be made anew: layers or their weights have moved
        self._next_variable = 0  # the number of the next layer's first variable
        self.trainable = trainable
        for layer in [layers] if isinstance(layers, Layer) else layers or []:
            self._add(layer)
        self._try_build()

    reason: str | None = None  # why the model ends as it does, where `for_problem` made it

    @classmethod
    def for_problem(
        cls,
        y: Any,
        hidden: Sequence[int] = (64, 64),
        activation: Any = "relu",
        optimizer: Any = "adam",
        input_shape: Sequence[int] | None = None,
        problem: str | None = None,
        seed: int | None = None,
        dtype: npt.DTypeLike | None = None,
        name: str | None = None,
        verbose: int = 1,
    ) -> Self:
        """A compiled model whose output and loss are those for targets y: it says why, and keeps that in `reason`.

        Parameters
        ----------
        y : array_like
            Numbers (regression), 0 or 1 (binary), classes 0, 1, ... or one-hot rows (multi-class), or rows of 0 and 1
            (multi-label).
        hidden : sequence of int
            The units of each hidden layer.
        activation : str or function
            Of the hidden layers.
        optimizer : str or Optimizer
        input_shape : tuple, optional
            Of one sample, to build the model at once.
        problem : {"regression", "binary", "multiclass", "multilabel"}, optional
            What y means, where that cannot be seen: whole numbers may be quantities or classes.
        seed, dtype, name
            As for a Sequential.
        verbose : {0, 1}
            1 prints the reason.

        Examples
        --------
        >>> model = Sequential.for_problem([0, 1, 2, 1], hidden=(8,), verbose=0)
        >>> model.layers[-1].units, model.loss
        (3, 'sparse_categorical_crossentropy')
        """
        told = _validate.integer(verbose, "verbose", minimum=0, maximum=1)
        from fastnn import _problem

        found, stack = _problem.network(y, problem, hidden, activation, input_shape)
        model = cls(stack, name=name, seed=seed, dtype=dtype)
        model.compile(optimizer, loss=found.loss, metrics=[found.metric])
        model.reason = found.reason
        if told:
            print(model.reason)
        return model

    # -------------------------------------------------------------------------------------------------------- layers

    @property
    def trainable(self) -> bool:
        """Whether the weights learn. Set, it is set for all layers too; read when the model is compiled."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = _validate.flag(value, "trainable")
        for layer in self._layers:
            layer.trainable = value

    @property
    def layers(self) -> list[Any]:
        """The layers, without an Input."""
        return [_shown(layer) for layer in self._stack]

    @property
    def _stack(self) -> list[Layer]:
        return [layer for layer in self._layers if not isinstance(layer, InputLayer)]

    @property
    def _depth(self) -> int:
        """How many layers there are, without an Input."""
        return len(self._layers) - isinstance(next(iter(self._layers), None), InputLayer)

    @property
    def dtype(self) -> str:
        """What the model computes in."""
        return self._dtype.name

    def add(self, layer: "Layer | Sequential", rebuild: bool = True) -> None:
        """Append a layer, or a model as one: the weights are then those of both."""
        with self._exclusive.changing("add"):
            self._add(layer)
            if rebuild and not self.built:
                try:
                    self._try_build()
                except BaseException:  # it does not fit behind the others
                    self._remove_last()
                    raise

    def _add(self, layer: "Layer | Sequential") -> None:
        """Append a layer. Where the model is built, the layer is; the engine is made when it is next needed."""
        if isinstance(layer, Sequential):
            layer = ModelLayer(layer)
        if not isinstance(layer, Layer):
            raise ArgumentError(f"layer: expected a layer, got {layer!r}; see fastnn.layers")
        if isinstance(layer, InputLayer) and self._layers:
            raise ValueError("layer: an Input can only be the first layer")
        inside = layer._flat()
        members = self._members
        if members is None:  # of a copy
            members = self._members = {id(one): one for one in self._flat()}
        new: dict[int, Layer] = {}
        for one in inside:
            if id(one) in members or id(one) in new:
                raise ValueError(f"layer: {one.name!r} comes twice; make a layer of its own for each place")
            new[id(one)] = one
        if layer.name in self._by_name:
            raise ValueError(f"layer: there is already a layer called {layer.name!r}; names must be unique in a model")
        dtype, asked = self._dtypes_with(inside)
        if self.built:
            self._extend(layer, dtype)
        self._dtype, self._asked_dtype = dtype, asked
        self._layers.append(layer)
        self._by_name[layer.name] = layer
        members |= new

    def _extend(self, layer: Layer, dtype: np.dtype[Any]) -> None:
        """Build a layer behind those that are built."""
        assert self._output is not None
        undo = _unbuild_layers(layer._flat())
        try:
            with self._exclusive.laying_out():
                number = self._depth
                variables, output = self._build_layer(layer, self._output, dtype, number, self._next_variable)
        except BaseException:
            undo()
            raise
        self._displace()
        self._next_variable, self._output = variables, output

    def _dtypes_with(self, inside: list[Layer]) -> tuple[np.dtype[Any], np.dtype[Any] | None]:
        """What to compute in with these layers too, and what the layers ask for."""
        asked = {inner._given_dtype for inner in inside} | {self._asked_dtype}
        asked.discard(None)
        if not asked or self._given_dtype is not None:
            return self._dtype, self._asked_dtype
        if len(asked) > 1:
            raise ValueError("dtype: a model computes in one precision, but its layers ask for float32 and for float64")
        dtype = asked.pop()
        assert dtype is not None
        return dtype, dtype

    def _remove_last(self) -> Layer:
        layer = self._layers.pop()
        del self._by_name[layer.name]
        self._members = None
        return layer

    def pop(self, rebuild: bool = True) -> Any:
        """Remove the last layer and return it."""
        with self._exclusive.changing("pop"):
            if not self._depth:
                raise ValueError("pop: there are no layers")
            layer = self._remove_last()
            if self.built and self._depth:
                last = self._layers[-1]
                assert last._input_shape is not None
                self._displace()
                self._output = last._output_of(last._input_shape)
                self._next_variable -= len(layer._all_variables())
            else:
                self._forget()
            return _shown(layer)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """A layer by its name, or by its place."""
        if (name is None) == (index is None):
            raise ValueError("get_layer: expected a name or an index, one of them")
        if index is not None:
            if not -len(self._stack) <= index < len(self._stack):
                raise ValueError(f"index: {index} is outside the {len(self._stack)} layers")
            return self.layers[index]
        found = {layer.name: layer for layer in self.layers}
        return found[_validate.choice(name, "name", found)]

    def _forget(self) -> None:
        """There is no layer left."""
        self._engine, self._output, self._lost = None, None, False
        self._forget_compiled()

    def _displace(self) -> None:
        """The engine no longer fits the layers: make it anew before its next use."""
        self._engine, self._lost = None, True
        self._forget_compiled()

    def _given_shape(self) -> Shape | None:
        return self._layers[0]._given_shape if self._layers else None

    def _try_build(self) -> None:
        shape = self._given_shape() if self._input is None else self._input
        if shape is not None and self._stack:
            self._build(shape)

    @property
    def built(self) -> bool:
        """Whether the shapes of all weights are known."""
        return self._engine is not None or self._lost

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the weights, for inputs of a shape that begins with None, for the batch."""
        given = self._given_shape()
        if input_shape is None and given is None:
            raise ValueError("input_shape: expected a shape such as (None, 784), or an Input as the first layer")
        shape = (
            given if input_shape is None else sample_shape(batch_axes(input_shape, "input_shape")[1:], "input_shape")
        )
        assert shape is not None
        self._build(shape)

    def _build(self, shape: Shape) -> None:
        with self._exclusive.laying_out():
            self._build_locked(shape)

    def _build_locked(self, shape: Shape) -> None:
        if self._engine is not None:
            if shape != self._input:
                raise ValueError(f"input_shape: built for samples of shape {self._input}, got {shape}")
            return
        if not self._stack:
            raise ValueError(f"{self.name}: there are no layers yet; add some")
        given = self._given_shape()
        if given is not None and given != shape:
            raise ValueError(f"x: {self.name} takes samples of shape {given}, got {shape}")
        undo = self._unbuild()
        try:
            self._build_shapes(shape)
            self._make_engine()
        except BaseException:
            undo()
            raise

    def _unbuild(self) -> Callable[[], None]:
        """What takes back a build that comes after it, so that one which fails leaves nothing behind."""
        built, shape, output, variables = self.built, self._input, self._output, self._next_variable
        restore = _unbuild_layers(self._flat())

        def undo() -> None:
            if not built:
                with layout_lock:
                    self._engine, self._input, self._output, self._lost = None, shape, output, False
                    self._next_variable = variables
                    restore()

        return undo

    def _build_shapes(self, shape: Shape, most: int | None = None) -> None:
        """Build the layers one after the other; no sample on the way may have more than `most` elements."""
        inside, variables = shape, 0
        for number, layer in enumerate(self._stack):
            variables, inside = self._build_layer(layer, inside, self._dtype, number, variables)
            if most is not None and math.prod(inside) > most:
                raise ValueError(f"{layer.name}: makes samples of shape {inside}, more than the file accounts for")
        self._input, self._output, self._next_variable = shape, inside, variables

    def _build_layer(
        self, layer: Layer, shape: Shape, dtype: np.dtype[Any], number: int, variables: int
    ) -> tuple[int, Shape]:
        """Build the layer with that number; returns the number of the next variable, and the output's shape."""
        try:
            variables = layer._build(shape, dtype, self.seed, number, variables)
            return variables, layer._output_of(shape)
        except ValueError as error:
            raise ValueError(f"{layer.name}: {str(error).removeprefix(layer.name + ': ')}") from None

    def _make_engine(self) -> None:
        """Lay the weights out by which of them learn, and lower the layers; called while `laying_out`.

        An exception on the way leaves the values where they are then, to be laid out by the next use.
        """
        with contextlib.ExitStack() as claims:
            flat = self._flat()
            for owner in self._owners(flat):
                claims.enter_context(owner._exclusive.changing(f"{self.name}: taking over a layer"))
                owner._displace()
            self._engine, self._lost = None, True
            learns = [v for v in self._variables() if self._learns(v)]
            known = {id(v) for v in learns}
            rest = [v for layer in flat for v in layer._variables if id(v) not in known]
            before = [(v, v.array) for v in (*learns, *rest)]
            self._trainables = self._move(learns, in_trainables=True)
            self._fixed = self._move(rest, in_trainables=False)
            if self.optimizer is not None:
                self.optimizer._follow([(array, v.array) for v, array in before])
            self._gradients = arena(self._trainables.size, self._dtype, place=1)
            owner_of = weakref.ref(self)
            for layer in flat:
                layer._model = owner_of
                layer._moved()
                layer._gradients = {id(v): self._gradient_of(v) for v in layer._variables if v.in_trainables}
            self._flags = self._trainable_flags()
            self._lower()
            self._lost = False

    def _owners(self, flat: list[Layer]) -> "list[Sequential]":
        """The other models in whose memory weights of these layers lie."""
        found = {}
        for layer in flat:
            owner = None if layer._model is None else layer._model()
            if owner is not None and owner is not self and owner.built:  # else it has popped its last layer
                found[id(owner)] = owner
        return list(found.values())

    def _move(self, variables: list[Variable], in_trainables: bool) -> FloatArray:
        """The variables side by side in a new arena."""
        values: FloatArray = arena(sum(v.array.size for v in variables), self._dtype)
        offset = 0
        for v in variables:
            v.offset, v.in_trainables = offset, in_trainables
            v.move(values[offset : offset + v.array.size].reshape(v.array.shape))
            offset += v.array.size
        return values

    def _lower(self) -> None:
        """Make the engine from the layers, on the weights where they lie."""
        builder = self._lowered()
        self._op_names = builder.names
        self._last_op = builder.ops[-1] if builder.ops else None
        self._engine = self._engine_of(builder)

    def _lowered(self) -> Builder:
        """The layers as ops."""
        assert self._input is not None
        builder = Builder(self._input)
        x = builder.input
        stack = self._stack
        for layer in stack:
            builder.layer, builder.last_layer = layer.name, layer is stack[-1]
            x = layer.emit(builder, x)
        builder.output = x
        return builder

    def _engine_of(self, builder: Builder) -> Engine:
        """The engine for what layers have emitted, on the model's weights."""
        return Engine(
            builder.plan(True), builder.plan(False), self._trainables, self._gradients, self._fixed,
            [op.get("layer") for op in builder.ops], builder.input.shape, builder.output.shape, builder.output.buffer,
            self._exclusive,
        )  # fmt: skip

    def _reseed(self, seed: int) -> None:
        """Draw from the streams of another seed from now on."""
        if seed == self.seed:
            return
        with self._exclusive.laying_out():
            self.seed = seed
            for layer in self._flat():
                layer._model_seed = seed
            if self._engine is not None:
                self._lower()
            if self._engine is not None and self._plan is not None:
                self._plan.remake(self)

    def _gradient_of(self, v: Variable) -> FloatArray:
        view: FloatArray = self._gradients[v.offset : v.offset + v.array.size].reshape(v.array.shape)
        return view

    def _trainable_flags(self) -> tuple[Any, ...]:
        return (self.trainable, *(layer.trainable for layer in self._flat()))

    def _refresh(self) -> None:
        """Take over changed `trainable` flags: what compile does."""
        if self._engine is not None and self._flags != self._trainable_flags():
            with self._exclusive.laying_out():
                self._make_engine()

    def _flat(self) -> list[Layer]:
        return [inner for layer in self._stack for inner in layer._flat()]

    # ------------------------------------------------------------------------------------------------------- weights

    def _variables(self) -> list[Variable]:
        return [v for layer in self._stack for v in layer._all_variables()]

    def _learns(self, v: Variable) -> bool:
        return bool(v.trains and self.trainable and v.layer.trainable)

    def _check_built(self) -> None:
        if not self.built:
            raise NotBuiltError(
                f"{self.name}: its shapes are not known yet; begin the layers with an Input, call build, or fit first"
            )

    def _need_built(self) -> Engine:
        """The engine. Another thread may displace it meanwhile: what it returns is whole, and stays so."""
        while (engine := self._engine) is None:
            self._check_built()
            assert self._input is not None
            self._build(self._input)
        return engine

    # ---------------------------------------------------------------------------------------------------------- calls

    def _inputs(self, x: Any, name: str = "x") -> npt.NDArray[Any]:
        """x as an array of the right shape; the model is built for it if it is not."""
        shape = self._given_shape() if self._input is None else self._input
        if shape is None and self._stack and isinstance(self._stack[0], Embedding) and np.ndim(x) == 1:
            shape = ()
        array = _data.inputs(x, name, shape, self.name)
        if self._engine is None:
            self._build(array.shape[1:])
        return array

    def __call__(self, x: Any, training: bool = False) -> FloatArray:
        """The output for a batch x, as an array.

        With ``training=True`` layers act as they do in fit: Dropout draws masks, and BatchNormalization normalises by
        the batch's statistics and updates its moving ones. No weights are learned.
        """
        engine = self._engine
        if engine is not None and training is False:
            y = engine.call(x)
            if y is not NotImplemented:
                return y  # type: ignore[no-any-return]
        return self._call(x, training)

    def _call(self, x: Any, training: bool) -> FloatArray:
        self._refuse_while_fitted()
        array = _data.precision(self._inputs(x), self._dtype)
        engine = self._need_built()
        if _validate.flag(training, "training"):
            return self.forward(array, training=True)[0]
        y: FloatArray = np.empty((len(array), *engine.output_shape), self._dtype)
        engine.predict(array, y)
        return y

    def _run_layer(
        self, layer: Layer, x: Any, training: bool, engines: dict[int, Engine] | None = None, commits: bool = False
    ) -> FloatArray:
        """The output of one of the layers for a batch, from the weights as they lie here; `engines` keeps what is made
        for it, for the next time. In training, `commits` updates moving statistics too."""
        self._need_built()
        self._refuse_while_fitted()
        shape = layer._input_shape
        assert shape is not None
        array = _data.precision(_data.inputs(x, "x", shape, layer.name), self._dtype)
        engine = None if engines is None else engines.get(id(layer))
        if engine is None:
            engine = self._engine_of_layer(layer, shape)
            if engines is not None:
                engines[id(layer)] = engine
        if not _validate.flag(training, "training"):
            return engine.call(array)  # type: ignore[no-any-return]
        self._forwards += 1
        return engine.start_tape(array, True, self._forwards - 1, commits)[0]

    def _engine_of_layer(self, layer: Layer, shape: Shape) -> Engine:
        """An engine that runs one of the layers by itself, on the weights where they lie."""
        with self._exclusive.laying_out():
            if self._engine is None:
                assert self._input is not None
                self._build_locked(self._input)
            builder = Builder(shape)
            builder.last_layer = True
            builder.output = layer.emit(builder, builder.input)
            return self._engine_of(builder)

    def forward(self, x: Any, training: bool = False) -> tuple[FloatArray, Tape]:
        """The output for a batch, and a tape. `training` as in a call of the model.

        ``tape.backward(dy)`` returns d loss / d x for dy = d loss / d y, and adds the weights' gradients to `grads`.
        Each tape has memory of its own; `zero_grad` begins anew.
        """
        self._refuse_while_fitted()
        array = _data.precision(self._inputs(x), self._dtype)
        forwards = self._forwards
        if training:
            self._forwards += 1
        y, tape = self._need_built().start_tape(array, training, forwards, commits=True)
        return y, tape

    # ---------------------------------------------------------------------------------------------------- description

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        self._check_built()
        assert self._input is not None
        return (None, *self._input)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        self._check_built()
        assert self._output is not None
        return (None, *self._output)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The output's shape for inputs of a shape; both begin with the batch."""
        batch, *axes = batch_axes(input_shape, "input_shape")
        shape = sample_shape(axes, "input_shape")
        for layer in self._stack:
            shape = layer._output_of(shape)
        return (batch, *shape)

    def summary(
        self,
        line_length: int | None = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
    ) -> None:
        """Print the layers, what shapes they make and how many weights they have."""
        from fastnn._summary import summary

        (print if print_fn is None else print_fn)(summary(self, line_length, expand_nested, show_trainable))

    def get_config(self) -> dict[str, Any]:
        """The layers and arguments that make a model like this one, without its weights; what JSON can hold."""
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "seed": self.seed,
            "dtype": self.dtype,
            "layers": [
                _objects.serialize(layer.model, "fastnn")
                if isinstance(layer, ModelLayer)
                else layer_module.serialize(layer)
                for layer in self._layers
            ],
        }
        if self._input is not None:
            config["build_input_shape"] = [None, *self._input]
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """The model that `get_config` describes, with first values as its seed gives them."""
        if not isinstance(config, Mapping) or not isinstance(config.get("layers"), (list, tuple)):
            raise ArgumentError(f"config: expected a dict with a list of layers, from get_config, got {config!r}")
        described = dict(config)
        shape = described.pop("build_input_shape", None)
        described["layers"] = [
            Sequential.from_config(one.get("config", {}), custom_objects)
            if isinstance(one, Mapping) and one.get("class_name") == "Sequential"
            else layer_module.deserialize(one, custom_objects)
            for one in described["layers"]
        ]
        try:
            model = cls(**described)
        except ArgumentError:
            raise
        except TypeError as error:  # there is no such argument
            raise ArgumentError(f"config: {error}") from error
        if shape is not None:
            shape = (None, *sample_shape(batch_axes(shape, "build_input_shape")[1:], "build_input_shape"))
            if not model.built:
                model.build(shape)
        return model

    # -------------------------------------------------------------------------------------------------------- copies

    def __getstate__(self) -> dict[str, Any]:
        self._refuse_while_fitted()
        own = ("_engine", "_exclusive", "_members", "_trainables", "_fixed", "_gradients", "_last_op", "_flags")
        return {k: v for k, v in self.__dict__.items() if k not in own} | {"_lost": self.built}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        with layout_lock:  # no other thread builds it meanwhile
            twin = memo[id(self)] = type(self).__new__(type(self))
            twin.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return twin

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__dict__.update(kept, _engine=None, _flags=(), _exclusive=Exclusive(kept["name"]), _members=None)

    def __repr__(self) -> str:
        return f"<Sequential name={self.name}, built={self.built}>"


def _unbuild_layers(flat: list[Layer]) -> Callable[[], None]:
    """What takes back a build of layers within a model."""
    restore = restorer([layer for layer in flat if not layer._built])
    places = [(layer, layer._place) for layer in flat if layer._built]

    def undo() -> None:
        restore()
        for layer, place in places:
            layer._place = place

    return undo


def check_model(model: Any) -> None:
    """Refuse what is no model."""
    if not isinstance(model, Sequential):
        raise ArgumentError(f"model: expected a Sequential, got {type(model).__name__}")


def _shown(layer: Layer) -> Any:
    """A layer as users know it."""
    return layer.model if isinstance(layer, ModelLayer) else layer
