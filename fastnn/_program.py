"""A model as a program: ops over buffers, and where in a workspace each buffer lies while it lives.

A layer's `lower(builder, tensor)` emits ops and returns the tensor that it makes. Time runs over n ops: op i runs
forward at time i, the loss at time n, op i backward at time 2n - i. Values and gradients whose times do not meet share
memory.
"""

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn._core import memory

__all__ = ["Builder", "Tensor", "Variable"]


class Tensor(NamedTuple):
    """A buffer seen in a shape, without the axis of the batch. Other views of the same buffer have its size too."""

    buffer: int
    shape: tuple[int, ...]

    @property
    def rows(self) -> int:
        """How many rows a sample has."""
        return prod(self.shape[:-1])

    @property
    def columns(self) -> int:
        """The length of a row."""
        return self.shape[-1] if self.shape else 1

    @property
    def size(self) -> int:
        return prod(self.shape)


class Variable:
    """Weights of a layer: what they are called and made of, and the array that holds them.

    The array is a view of the model's memory once the model is built. Freezing or thawing a layer moves it, and the
    attributes of the layer that hold it follow.
    """

    def __init__(
        self, layer: Any, name: str, array: Any, trains: bool, regularizer: Any = None, constraint: Any = None
    ) -> None:
        self.layer, self.name, self.array = layer, name, array
        self.trains = trains  # for good: False for moving statistics
        self.regularizer, self.constraint = regularizer, constraint
        self.touched: Any = None  # where only rows are updated that a batch used: a byte for each row, 1 if it was
        self.attributes: list[str] = []
        self.offset = -1
        self.in_trainables = True

    @property
    def path(self) -> str:
        return f"{self.layer.name}/{self.name}"

    def move(self, array: Any) -> None:
        """Live in another array, with the same values."""
        array[...] = self.array
        self.array = array
        for attribute in self.attributes:
            object.__setattr__(self.layer, attribute, array)


class Span:
    """Something that needs `size` elements a sample from time `start` to time `end`, at `place` once planned."""

    def __init__(self, size: int, start: int, end: int) -> None:
        self.size, self.start, self.end, self.place = size, start, end, -1


def lay_out(spans: Iterable[Span]) -> int:
    """Give each span a place such that spans that live at once do not overlap; returns the room for all of them."""
    ordered = sorted(spans, key=lambda s: (-s.size, s.start))
    places, room = memory.lay_out(
        [s.size for s in ordered], [s.start for s in ordered], [s.end for s in ordered]
    )  # fmt: skip
    for span, place in zip(ordered, places.tolist(), strict=True):
        span.place = place
    return room


FIRST_NESTED = 1 << 16
READS_INPUT = {"dense", "prelu", "batch_norm", "layer_norm", "embed", "penalize", "python"}


class Builder:
    """Takes ops from layers, then plans the workspace."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        self.sizes = [prod(input_shape)]
        self.ops: list[dict[str, Any]] = []
        self.names: list[str] = []  # the layer of each op
        self.layer = ""
        self.last_layer = False  # whether the layer that emits is the last of the model
        self.input = Tensor(0, input_shape)
        self.output = self.input
        self.sized = 0
        self.nested = FIRST_NESTED

    def next_nested(self) -> int:
        """The number of a layer inside another, which its random streams are keyed by; others have their place's."""
        self.nested += 1
        return self.nested

    def op(
        self,
        kind: str,
        x: Tensor,
        shape: tuple[int, ...],
        *,
        w: Variable | None = None,
        b: Variable | None = None,
        into: Tensor | None = None,
        kept: int = 0,
        sized: int = 0,
        **fields: Any,
    ) -> Tensor:
        """Emit an op on the rows of x and return its output.

        w and b are its weights, `kept` the elements a sample that it keeps between forward and backward, `sized` the
        elements that it needs whatever the batch; the other fields are those of Op in _core/ops.pxd.
        """
        if into is None:
            self.sizes.append(prod(shape))
            into = Tensor(len(self.sizes) - 1, shape)
        op = {
            "kind": kind,
            "input": x.buffer,
            "output": into.buffer,
            "rows": x.rows,
            "inputs": x.columns,
            "outputs": into.columns,
            "kept": kept,
            "sized": self.sized,
            **fields,
        }
        for role, variable in (("w", w), ("b", b)):
            op[role] = -1 if variable is None else variable.offset
            op[f"{role}_trains"] = variable is not None and variable.in_trainables
        self.sized += sized
        self.ops.append(op)
        self.names.append(self.layer)
        return into

    def gather(self, x: Tensor, index: npt.NDArray[np.intp]) -> Tensor:
        """The elements of a sample that `index` counts, in its shape."""
        flat = Tensor(x.buffer, (x.size,))
        return Tensor(self.op("gather", flat, (index.size,), index=index.ravel()).buffer, index.shape)

    def with_last(self, x: Tensor, axes: Sequence[int], lower: Callable[[Tensor], Tensor]) -> Tensor:
        """lower(x), which keeps shapes, where some of a sample's axes, counted from 0, are the last, and are one.
        x where samples are empty."""
        if x.size == 0:
            return x
        order = [axis for axis in range(len(x.shape)) if axis not in axes] + sorted(axes)
        columns = prod(x.shape[axis] for axis in axes)
        shape = (x.size // columns, columns)
        if order == sorted(order):
            return Tensor(lower(Tensor(x.buffer, shape)).buffer, x.shape)
        there = np.arange(x.size).reshape(x.shape).transpose(order)
        back = np.argsort(there, axis=None).reshape(x.shape)
        return self.gather(lower(Tensor(self.gather(x, there).buffer, shape)), back)

    # ------------------------------------------------------------------------------------------------------- planning

    def _learning(self) -> None:
        """Which gradients are wanted, and which of an op's inputs has one already when the op comes to write it."""
        learns = [False] * len(self.sizes)
        for op in self.ops:
            op["wants_dx"] = learns[op["input"]] or learns[op.get("other", op["input"])]
            own = op["w_trains"] or op["b_trains"] or op.get("learns", False)
            learns[op["output"]] |= op["wants_dx"] or own
        written = set()
        for op in reversed(self.ops):
            for source, flag in (("other", "adds_other"), ("input", "adds_dx")):
                if source in op:
                    op[flag] = op[source] in written
                    written.add(op[source])

    def _values(self, training: bool) -> list[Span]:
        """The spans of the buffers' values."""
        n = len(self.ops)
        spans = [Span(size, n, -1) for size in self.sizes]
        spans[0].start, spans[0].end = -1, 0
        for i, op in enumerate(self.ops):
            output = spans[op["output"]]
            output.start = min(output.start, i)
            output.end = max(output.end, i)
            for source in ("input", "other"):
                if source in op:
                    spans[op[source]].end = max(spans[op[source]].end, i)
            if training and (op["kind"] in READS_INPUT or op.get("reads_x")):
                spans[op["input"]].end = max(spans[op["input"]].end, 2 * n - i)
            if training:
                output.end = max(output.end, 2 * n - i)
        spans[self.output.buffer].end = max(spans[self.output.buffer].end, n)
        if training and self.ops:
            spans[self.ops[-1]["input"]].end = max(spans[self.ops[-1]["input"]].end, n)
        return spans

    def _gradients(self) -> list[Span]:
        """The spans of the buffers' gradients."""
        n = len(self.ops)
        spans = [Span(size, 2 * n, 2 * n + 1) for size in self.sizes]
        for i, op in enumerate(self.ops):
            for source in ("input", "other"):
                if source in op:
                    spans[op[source]].start = min(spans[op[source]].start, 2 * n - i)
        written: set[int] = set()
        for i, op in enumerate(self.ops):
            if op["output"] not in written:  # the first writer is the last to read the gradient
                spans[op["output"]].end = 2 * n - i
            written.add(op["output"])
        spans[self.output.buffer].start = n
        if self.ops:  # where the loss takes the place of the last op
            spans[self.ops[-1]["input"]].start = n
        return spans

    def plan(self, training: bool) -> dict[str, Any]:
        """What the engine takes: ops, buffers and the room that they need."""
        n = len(self.ops)
        self._learning()
        values = self._values(training)
        gradients = self._gradients() if training else []
        keeps = self.keeps(training)
        kept = [Span(keep, i, 2 * n - i if training else i) for i, keep in enumerate(keeps)]
        adding = [training and op["adds_dx"] and op["kind"] != "dense" for op in self.ops]
        temporary = [
            Span(self.sizes[op["input"]] if adds else 0, 2 * n - i, 2 * n - i)
            for i, (op, adds) in enumerate(zip(self.ops, adding, strict=True))
        ]
        planes = lay_out(span for span in [*values, *gradients, *kept, *temporary] if span.size)
        ops = []
        for op, own, extra in zip(self.ops, kept, temporary, strict=True):
            ops.append({**op, "kept": own.place, "temporary": extra.place})
        buffers = [
            (size, max(value.place, 0), max(gradients[i].place, 0) if training else -1)
            for i, (size, value) in enumerate(zip(self.sizes, values, strict=True))
        ]
        return {"ops": ops, "buffers": buffers, "planes": planes, "sized": self.sized}

    def keeps(self, training: bool) -> list[int]:
        """Elements a sample of each op's own plane: forward alone needs none but a norm's."""
        return [op["kept"] if training or op["kind"] == "layer_norm" else 0 for op in self.ops]
