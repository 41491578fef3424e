"""Marking figures: what a student printed against what is exact."""

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import numpy as np

from fastnn import _validate
from fastnn._explain._figures import Figures

LARGEST_EXPONENT = 300  # of a figure that is taken: floats end at 308


class Mark(NamedTuple):
    """One figure: what came, what is exact, and whether the former is the latter, rounded to its decimals.

    `note` says what a wrong one looks like: "sign" where only the sign is wrong, "cut off" where it was not rounded.
    """

    name: str
    right: bool
    given: str
    exact: float
    decimals: int
    note: str = ""

    @property
    def rounded(self) -> str:
        """The exact figure, rounded to as many decimals as came."""
        return f"{self.exact + 0.0:.{self.decimals}f}"

    def __str__(self) -> str:
        if self.right:
            return f"right  {self.name} = {self.given}"
        note = {"sign": ", its sign is wrong", "cut off": ", it was cut off and not rounded"}.get(self.note, "")
        return f"wrong  {self.name} = {self.given}: exact is {self.rounded} ({self.exact:.10g}){note}"


class Marks(Sequence[Mark]):
    """All marks, in the order of the figures. True if all are right."""

    def __init__(self, marks: Sequence[Mark]) -> None:
        self._marks = list(marks)

    def __getitem__(self, index: Any) -> Any:
        return self._marks[index]

    def __len__(self) -> int:
        return len(self._marks)

    def __iter__(self) -> Iterator[Mark]:
        return iter(self._marks)

    def __bool__(self) -> bool:
        return not self.wrong

    @property
    def right(self) -> list[str]:
        """The names of the figures that are right."""
        return [mark.name for mark in self._marks if mark.right]

    @property
    def wrong(self) -> list[str]:
        """The names of those that are not."""
        return [mark.name for mark in self._marks if not mark.right]

    def __str__(self) -> str:
        return "\n".join([*map(str, self._marks), f"{len(self.right)} of {len(self._marks)} figures are right"])

    __repr__ = __str__


def check(figures: Figures, given: Any, decimals: Any, noise: float) -> Marks:
    """Marks for a mapping of names to numbers, or to lists of them; `noise` is the rounding of the exact ones."""
    if not isinstance(given, Mapping):
        raise TypeError(f"figures: expected a dict of name: number, got {type(given).__name__}")
    decimals = _validate.integer(decimals, "decimals", minimum=0, maximum=15)
    return Marks([mark for name, value in given.items() for mark in _marks(figures, name, value, decimals, noise)])


def _marks(figures: Figures, name: str, value: Any, decimals: int, noise: float) -> Iterator[Mark]:
    sign, figure, place, shape = figures.find(name)
    if isinstance(value, (str, Decimal)) or np.ndim(value) == 0:
        if place is None:
            raise ValueError(
                f"figures: {name!r} is {figure.flat.size} numbers of shape {shape}; pass a list, or an index"
            )
        yield _mark(name, value, sign * float(figure.flat[place]), decimals, noise)
        return
    values = np.array(value, dtype=object)
    if values.shape not in (shape, figure.array.shape) or place not in (None, 0):
        raise ValueError(f"figures: {name!r} has shape {shape}, got a list of shape {values.shape}")
    for i, one in enumerate(values.reshape(-1)):
        shown = ("-" if sign < 0 else "") + figure.name(i)
        yield _mark(shown, one, sign * float(figure.flat[i]), decimals, noise)


def _mark(name: str, value: Any, exact: float, decimals: int, noise: float) -> Mark:
    """Right if the figure is the exact one rounded to the figure's decimals; either way where it lies halfway."""
    number, places = _printed(name, value, decimals)
    came, unit = float(number), 10.0**-places
    near = 0.5 * unit + noise * max(1.0, abs(exact))
    right, note = abs(came - exact) <= near, ""
    if not right and abs(came + exact) <= near:
        note = "sign"
    elif not right and came * exact >= 0 and math.floor(abs(exact) / unit + 1e-6) == round(abs(came) / unit):
        note = "cut off"
    return Mark(name, bool(right), str(value), exact, max(places, 0), note)


def _printed(name: str, value: Any, decimals: int) -> tuple[Decimal, int]:
    """A figure, and how many decimals it is given to: those printed in a string, else `decimals`."""
    if not isinstance(value, (str, Decimal)):
        return Decimal(_validate.number(value, f"figures[{name!r}]")), decimals
    try:
        number = Decimal(str(value).strip().replace("\N{MINUS SIGN}", "-"))
    except InvalidOperation:
        raise ValueError(f"figures[{name!r}]: expected a number such as '0.222', got {value!r}") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > LARGEST_EXPONENT or number.adjusted() > LARGEST_EXPONENT:
        raise ValueError(f"figures[{name!r}]: expected a finite number, within what a float holds, got {value!r}")
    return number, -exponent
