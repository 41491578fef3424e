"""Layers made of layers: Residual and Parallel."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from fastnn import _validate
from fastnn._program import Builder, Tensor
from fastnn.errors import ArgumentError
from fastnn.layers._base import Layer, Shape
from fastnn.layers._dense import Dense


def as_layers(layers: Any, name: str) -> list[Layer]:
    """A list of layers, or one layer, as a list."""
    found = [layers] if isinstance(layers, Layer) else _validate.items(layers, name, "layers")
    for i, layer in enumerate(found):
        if not isinstance(layer, Layer):
            raise ArgumentError(f"{name}[{i}]: expected a layer, got {layer!r}")
    return found


class _Branching(Layer):
    """A layer with branches, each a list of layers."""

    _branches: Sequence[list[Layer]] = ()

    @property
    def _layers(self) -> list[Layer]:
        return [layer for branch in self._branches for layer in branch]

    def _take(self, branches: Sequence[list[Layer]]) -> None:
        self._branches = branches
        if not self.trainable:
            self.trainable = False  # for those inside

    def _build(self, shape: Shape, dtype: Any, seed: int | None, number: Any, variables: int) -> int:
        self._place = dtype, shape, seed, number
        for branch in self._branches:
            inside = shape
            for layer in branch:
                variables = layer._build(inside, dtype, seed, None, variables)
                inside = layer._output_of(inside)
        self._output_of(shape)
        self.built = True
        return variables

    def _check_fits(self, shape: Any) -> None:
        for branch in self._branches:
            inside = shape
            for layer in branch:
                layer._check_fits(inside)
                inside = layer._output_of(inside)
        self._output_of(shape)

    def _through(self, branch: Sequence[Layer], shape: Shape) -> Shape:
        for layer in branch:
            shape = layer._output_of(shape)
        if not shape:
            raise ValueError(f"{self.name}: a sample that is a single number has no axis to join; begin with a Reshape")
        return shape

    def _lower_branch(self, branch: Sequence[Layer], builder: Builder, x: Tensor) -> Tensor:
        last, builder.last_layer = builder.last_layer, False
        for layer in branch:
            builder.layer, layer._number = layer.name, builder.next_nested()
            x = layer.emit(builder, x)
        builder.layer, builder.last_layer = self.name, last
        return x


class Residual(_Branching):
    """x + f(x), f being the layers one after the other; or P(x) + f(x).

    Shapes: as x; with a projection, as f makes them.

    Parameters
    ----------
    layers : list of Layer
        What is skipped.
    projection : {"dense"}, optional
        A linear Dense layer without bias in the skip, which f(x) then may differ from x in width by.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Dense, Residual
    >>> Residual([Dense(2, kernel_initializer="zeros")])(np.array([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """

    def __init__(self, layers: Sequence[Layer] | Layer, projection: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = as_layers(layers, "layers")
        self.projection = None if projection is None else _validate.choice(projection, "projection", ("dense",))
        self._skip: list[Layer] = []
        self._take([self.layers, self._skip])

    def _build(self, shape: Shape, dtype: Any, seed: int | None, number: Any, variables: int) -> int:
        if self.projection and not self._skip:
            units = self._through(self.layers, self._shapes(shape, dtype, seed))[-1]
            self._skip.append(Dense(units, use_bias=False, name=f"{self.name}_projection", trainable=self.trainable))
        return super()._build(shape, dtype, seed, number, variables)

    def _shapes(self, shape: Shape, dtype: Any, seed: int | None) -> Shape:
        return shape

    def _output_of(self, shape: Shape) -> Shape:
        inside = self._through(self.layers, shape)
        skipped = (*shape[:-1], inside[-1]) if self.projection else shape
        if inside != skipped:
            raise ValueError(
                f"{self.name}: the layers make samples of shape {inside} from {shape}, so that the two cannot be "
                "added; end with a layer of that width, or pass projection='dense'"
            )
        return inside

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *self._output_of(tuple(input_shape[1:])))

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        y = self._lower_branch(self.layers, builder, x)
        skip = self._lower_branch(self._skip, builder, x)
        return builder.op("add", y, y.shape, other=skip.buffer)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"layers": configs(self.layers), "projection": self.projection}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(**{**config, "layers": from_configs(config["layers"])})


class Parallel(_Branching):
    """Several branches from one input, added up or side by side along the last axis.

    f_1(x) + f_2(x) + ..., or side by side. Shapes: as the branches make them; side by side, their last axes add up.

    Parameters
    ----------
    branches : list of layers, or of lists of layers
    merge : {"add", "concatenate"}

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Dense, Parallel
    >>> Parallel([Dense(2), [Dense(3), Dense(4)]], merge="concatenate")(np.ones((1, 5))).shape
    (1, 6)
    """

    def __init__(self, branches: Sequence[Layer | Sequence[Layer]], merge: str = "add", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = _validate.items(branches, "branches", "layers, or of lists of layers")
        self.branches = [as_layers(branch, f"branches[{i}]") for i, branch in enumerate(given)]
        if not self.branches:
            raise ValueError("branches: expected at least one, got none")
        self._take(self.branches)
        self.merge = _validate.choice(merge, "merge", ("add", "concatenate"))

    def _output_of(self, shape: Shape) -> Shape:
        made = [self._through(branch, shape) for branch in self._branches]
        ends = [one if self.merge == "add" else one[:-1] for one in made]
        if any(end != ends[0] for end in ends):
            raise ValueError(f"{self.name}: merge={self.merge!r} cannot join branches that make shapes {made}")
        return made[0] if self.merge == "add" else (*ends[0], sum(one[-1] for one in made))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *self._output_of(tuple(input_shape[1:])))

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        made = [self._lower_branch(branch, builder, x) for branch in self._branches]
        if self.merge == "add":
            y = made[0]
            for other in made[1:]:
                y = builder.op("add", y, y.shape, other=other.buffer)
            return y
        shape = (*made[0].shape[:-1], sum(one.columns for one in made))
        into: Tensor | None = None
        column = 0
        for one in made:
            into = builder.op("place", one, shape, into=into, column=column)
            column += one.columns
        assert into is not None
        return into

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"branches": [configs(b) for b in self._branches], "merge": self.merge}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        branches = _validate.items(config["branches"], "branches", "lists of layers")
        return cls(**{**config, "branches": [from_configs(branch) for branch in branches]})


class ModelLayer(_Branching):
    """A model as a layer of another model: its layers one after the other, and the weights of both the same."""

    def __init__(self, model: Any) -> None:
        super().__init__(name=model.name)
        self._trainable = model.trainable
        self._given_dtype = model._given_dtype
        self._given_shape = model._input or model._given_shape()
        self.model = model
        self._branches = [model._stack]

    def _build(self, shape: Shape, dtype: Any, seed: int | None, number: Any, variables: int) -> int:
        variables = super()._build(shape, dtype, seed, number, variables)
        if not self.model.built:
            self.model._input, self.model._output, self.model._lost = shape, self._output_of(shape), True
        return variables

    def _output_of(self, shape: Shape) -> Shape:
        if self._given_shape not in (None, shape):
            raise ValueError(f"{self.name}: takes samples of shape {self._given_shape}, got {shape}")
        return self._through(self._layers, shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *self._output_of(tuple(input_shape[1:])))

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        last = builder.last_layer
        for layer in self._layers:
            builder.layer, builder.last_layer = layer.name, last and layer is self._layers[-1]
            layer._number = builder.next_nested()
            x = layer.emit(builder, x)
        return x


def configs(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    from fastnn import layers as module

    return [module.serialize(layer) for layer in layers]


def from_configs(described: Sequence[Any]) -> list[Layer]:
    from fastnn import layers as module

    given = _validate.items(described, "layers", "layers as dicts")
    return [one if isinstance(one, Layer) else module.deserialize(one) for one in given]
