"""The figures of a working by name: z1[0], dw1[0,1], ..."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn._explain._working import Stage, Working

Doubles = npt.NDArray[np.float64]

_NAME = re.compile(r"(-?)\s*([A-Za-z]\w*)\s*(?:\[([^\]]*)\])?")


class Figure:
    """Numbers of one kind, such as z1: an array whose first axis is the samples, or one of weights."""

    def __init__(self, base: str, array: Any, batched: bool = False) -> None:
        self.base, self.array, self.batched = base, np.asarray(array, np.float64), batched
        self.flat = self.array.reshape(-1)

    def name(self, place: int) -> str:
        """The name of a number, by its place in the flattened array; the sample is left out where there is one."""
        index = [int(i) for i in np.unravel_index(place, self.array.shape)] if self.array.ndim else []
        if self.batched and len(self.array) == 1:
            index = index[1:]
        return f"{self.base}[{','.join(map(str, index))}]" if index else self.base

    def place(self, index: tuple[int, ...] | None) -> int | None:
        """The place of an index; None where it fits nothing."""
        shape = self.array.shape
        if index is None:
            return 0 if self.flat.size == 1 else None
        if len(index) == len(shape) - 1:
            if self.batched and shape[0] == 1:
                index = (0, *index)
            elif shape[-1] == 1:
                index = (*index, 0)
        if len(index) != len(shape) or not all(0 <= i < n for i, n in zip(index, shape, strict=True)):
            return None
        return int(np.ravel_multi_index(index, shape)) if shape else 0


class Figures:
    """All figures of a working."""

    def __init__(self, working: Working) -> None:
        self.all: dict[str, Figure] = {}
        self._add("x", working.x, True)
        if working.y is not None:
            self._add("y", working.y, True)
        for stage in working.stages:
            self._add_stage(stage)
        self._add("dx", working.stages[0].dx, True)
        self._add("loss", working.losses, True)
        self._add("cost", working.cost)
        after = working.after
        assert after is not None
        for stage in after.stages:
            for base, array in (("z", stage.z), ("a", stage.a)):
                if stage.number:
                    self._add(f"{base}{stage.number}_new", array, True)
        self._add("loss_new", after.losses, True)
        self._add("cost_new", after.cost)

    def _add(self, base: str, array: Any, batched: bool = False) -> None:
        if array is not None:
            self.all[base] = Figure(base, array, batched)

    def _add_stage(self, stage: Stage) -> None:
        n = stage.number
        if not n:
            return
        for base, array in (("z", stage.z), ("a", stage.a), ("da", stage.da), ("delta", stage.dz)):
            self._add(f"{base}{n}", array, True)
        for weight in stage.weights:
            self._add(f"{weight.name}{n}", weight.before)
            self._add(f"d{weight.name}{n}", weight.gradient)
            self._add(f"{weight.name}{n}_new", weight.after)

    def __iter__(self) -> Iterator[tuple[str, float]]:
        for figure in self.all.values():
            for place, value in enumerate(figure.flat):
                yield figure.name(place), float(value)

    def find(self, name: Any) -> tuple[float, Figure, int | None, tuple[int, ...]]:
        """(sign, figure, place, shape) of a name: the place is None for all of its numbers, which have that shape."""
        parts = _NAME.fullmatch(name.strip()) if isinstance(name, str) else None
        if parts is None:
            raise ValueError(f"figures: expected a name such as 'z1[0]' or 'dw1[0,1]', got {name!r}")
        base = re.sub(r"^dz(?=\d)", "delta", parts[2])
        figure = self.all.get(base)
        if figure is None:
            raise ValueError(f"figures: there is no {name!r}; there are {', '.join(self.all)}")
        sign = -1.0 if parts[1] else 1.0
        index = None
        if parts[3] is not None:
            try:
                index = tuple(int(i) for i in parts[3].split(","))
            except ValueError:
                raise ValueError(f"figures: expected whole numbers between the brackets, got {name!r}") from None
        place = figure.place(index)
        if place is None and index is not None:
            raise ValueError(
                f"figures: there is no {name!r}; {figure.base} goes from {figure.name(0)} to "
                f"{figure.name(figure.flat.size - 1)}"
            )
        shape = figure.array.shape
        return sign, figure, place, shape[1:] if figure.batched and shape[:1] == (1,) else shape
