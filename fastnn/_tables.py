"""Tables of text as numbers for a network: what `python -m fastnn train` reads, prepares, and keeps beside the model.

A `Table` is what a CSV file holds, all of it text. A `Preparation` says what becomes of its columns; it is made from
the rows that are trained on, written as JSON, and read back with every value checked.
"""

import csv
import dataclasses
import datetime
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn._opening import open_text
from fastnn.errors import FormatError

MISSING = {"", "?", "na", "n/a", "nan", "none", "null"}
MOST_CATEGORIES = 100  # with a column of their own; rarer ones share one
MOST_CLASSES = 20  # that whole numbers are taken for; more are a quantity
LARGEST = 1e100
FARTHEST = 1e15  # deviations from the mean, so that a network can compute with it
VERSION = 1

COUNTERS = {
    "",
    "#",
    "id",
    "index",
    "no",
    "nr",
    "number",
    "row",
    "unnamed: 0",
}  # what columns that count rows are called

_SPACED = re.compile(r"[+-]?[1-9]\d{0,2}(?:[ \u00a0\u202f']\d{3})+(?:[.,]\d+)?", re.ASCII)  # 12 345.6
_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", re.ASCII)  # 12,345.6
_POINTS = re.compile(r"[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+|\d+),\d+(?:[eE][+-]?\d+)?", re.ASCII)  # 12.345,6 and 0,5
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2})?)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE)  # among numbers

Floats = npt.NDArray[np.float64]


class Table(NamedTuple):
    """The cells of a file by rows, the columns' names, and the line of the file that each row ends on."""

    path: str
    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    header: bool
    separator: str
    rewritten: tuple[tuple[str, str], ...] = ()  # a number and a date as they stand in the file, and as they were read

    def column(self, name: str) -> list[str]:
        at = self.names.index(name)
        return [row[at] for row in self.rows]

    def take(self, rows: Sequence[int]) -> "Table":
        """Some of the rows."""
        return self._replace(rows=[self.rows[i] for i in rows], lines=[self.lines[i] for i in rows])


def read(path: str, header: bool | None = None, separator: str | None = None) -> Table:
    """The table in a CSV file. Without a header its columns are called 1, 2, 3 ...

    header : whether the first row has the names; None: if no cell of it is a number.
    separator : what stands between cells; None: whichever of , ; tab and | is most frequent in the first line.
    """
    try:
        with open_text(path, encoding="utf-8-sig") as file:
            if separator is None:
                first = next((line for line in file if line.strip()), "")
                separator = max(",;\t|", key=first.count)
                file.seek(0)
            reader = csv.reader(file, delimiter=separator, strict=True, skipinitialspace=True)
            found = [
                ([cell.strip() for cell in row], reader.line_num)
                for row in reader
                if len(row) > 1 or "".join(row).strip()
            ]
    except UnicodeDecodeError:
        raise ValueError(f"{path}: this is no text in UTF-8; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{path}: line {reader.line_num} is no CSV: {error}") from None
    if not found:
        raise ValueError(f"{path}: the file is empty")
    for row, line in found:
        if any("\0" in cell for cell in row):
            raise ValueError(f"{path}: line {line} holds a zero byte, which no text does; save it as CSV in UTF-8")
    first_row = found[0][0]
    if header is None:
        header = all(number(plain(cell, separator)) is None for cell in first_row)
    names = [(header and cell) or str(i + 1) for i, cell in enumerate(first_row)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{path}: two columns are called '{shown(twice[0])}'; names must differ (or pass --no-header)")
    body = found[1:] if header else found
    if not body:
        raise ValueError(f"{path}: there is a header, but no row below it")
    for row, line in body:
        if len(row) != len(names):
            raise ValueError(f"{path}: line {line} has {len(row)} cells, expected {len(names)} as in the first row")
    rows = [[plain(cell, separator) for cell in row] for row, _ in body]
    pairs = (pair for (row, _), read in zip(body, rows, strict=True) for pair in zip(row, read, strict=True))
    rewritten: dict[bool, tuple[str, str]] = {}
    for cell, value in pairs:
        if cell != value:
            rewritten.setdefault(is_date(cell), (cell, value))
    return Table(path, names, rows, [line for _, line in body], header, separator, tuple(rewritten.values()))


def is_date(cell: str) -> bool:
    """Whether a cell has the form of a date: 2026-01-31, or 2026-01-31 12:30:00."""
    return _DATE.fullmatch(cell) is not None


def plain(cell: str, separator: str) -> str:
    """A number without what groups its digits, and with a decimal point; a date, with or without a time of the day, as
    days since 1970; any other cell as it is.

    Between semicolons a comma is a decimal comma, which is why they are there; elsewhere it groups digits.
    """
    if is_date(cell):
        try:
            days = (datetime.datetime.fromisoformat(cell) - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)
        except ValueError:  # the 30th of February
            return cell
        return f"{days:.9g}"
    if _SPACED.fullmatch(cell):
        cell = re.sub(r"[ \u00a0\u202f']", "", cell)
    if separator == ";" and _POINTS.fullmatch(cell):
        return cell.replace(".", "").replace(",", ".")
    if separator != ";" and _COMMAS.fullmatch(cell):
        return cell.replace(",", "")
    return cell


def counts_rows(table: Table, name: str) -> bool:
    """Whether a column is called as one that counts the rows, and does."""
    called = "" if name == str(table.names.index(name) + 1) else name.strip().lower()
    if called not in COUNTERS or len(table.rows) < 3:
        return False
    values = [number(cell) for cell in table.column(name)]
    first = values[0]
    return first is not None and values == [first + i for i in range(len(values))]


def shown(value: Any) -> str:
    """What a file holds, as one may print it: short, and without characters that a terminal would obey."""
    text = value if isinstance(value, str) else repr(value)
    kept = "".join(c if c.isprintable() else "?" for c in text[:60])
    return kept + ("..." if len(text) > 60 else "")


def is_missing(cell: str) -> bool:
    return cell.lower() in MISSING


def number(cell: str) -> float | None:
    """The number that a cell holds, or None."""
    return float(cell) if _NUMBER.fullmatch(cell) else None


def quantity(table: Table, name: str) -> Floats:
    """A column of numbers, NaN where one is missing; an error at the first cell that is none."""
    values = []
    for cell, line in zip(table.column(name), table.lines, strict=True):
        value = np.nan if is_missing(cell) else number(cell)
        if value is None:
            raise ValueError(
                f"{table.path}: column '{shown(name)}', line {line}: expected a number, got '{shown(cell)}'"
            )
        if abs(value) > LARGEST:
            raise ValueError(f"{table.path}: column '{shown(name)}', line {line}: {shown(cell)} is too large a number")
        values.append(value)
    return np.array(values, np.float64)


def is_quantity(cells: Sequence[str]) -> bool:
    """Whether all cells that are not missing are numbers."""
    return all(is_missing(cell) or number(cell) is not None for cell in cells)


# ------------------------------------------------------------------------------------------------------------- columns


@dataclasses.dataclass
class Quantity:
    """A column of numbers: missing ones are filled with the median, then mean 0 and deviation 1."""

    name: str
    median: float
    mean: float
    deviation: float

    width = 1

    def numbers(self, table: Table, notes: list[str]) -> Floats:
        values = quantity(table, self.name)
        gaps = np.isnan(values)
        if gaps.any():
            notes.append(
                f"filled: {gaps.sum()} missing in column '{shown(self.name)}', with the median {self.median:g}"
            )
        scaled = (np.where(gaps, self.median, values) - self.mean) / self.deviation
        far = np.flatnonzero(np.abs(scaled) > FARTHEST)
        if far.size:
            raise ValueError(
                f"{table.path}: column '{shown(self.name)}', line {table.lines[far[0]]}: {values[far[0]]:g} is too far "
                f"from the numbers trained on, {self.mean:g} with a deviation of {self.deviation:g}"
            )
        return scaled[:, None]


@dataclasses.dataclass
class Category:
    """A column of text: a 1 in the column of its category, that of all rare ones, or of what is missing."""

    name: str
    categories: list[str]
    rare: bool  # whether there is a column for all others
    missing: bool  # whether there is one for cells without text

    @property
    def width(self) -> int:
        return len(self.categories) + self.rare + self.missing

    def numbers(self, table: Table, notes: list[str]) -> Floats:
        place = {text: i for i, text in enumerate(self.categories)}
        values = np.zeros((len(table.rows), self.width))
        unknown: Counter[str] = Counter()
        gaps = 0
        for row, cell in zip(values, table.column(self.name), strict=True):
            if is_missing(cell):
                gaps += 1
                row[self.width - 1 :] = float(self.missing)
            elif cell in place:
                row[place[cell]] = 1
            else:
                unknown[cell] += 1
                row[len(place) : len(place) + 1] = float(self.rare)
        if gaps:
            way = "a category of their own" if self.missing else "as no category, since none was missing in training"
            notes.append(f"filled: {gaps} missing in column '{shown(self.name)}', {way}")
        if unknown:
            kind = "rare or unknown, and taken as one category" if self.rare else "unknown, and taken as none"
            notes.append(
                f"column '{shown(self.name)}': {unknown.total()} cells are {kind}, such as '{shown(min(unknown))}'"
            )
        return values


Column = Quantity | Category


def column_of(table: Table, name: str, notes: list[str]) -> Column | None:
    """What becomes of a column, from the rows that are trained on; None if it tells nothing."""
    cells = table.column(name)
    known = [cell for cell in cells if not is_missing(cell)]
    other = [cell for cell in known if number(cell) is None]
    if len(other) < len(known) and all(map(_INFINITE.fullmatch, other)):
        quantity(table, name)  # which names the line of the first infinity, if there is one
    reason = ""
    if not known:
        reason = "empty"
    elif len(set(known)) == 1 and (len(known) == len(cells) or is_quantity(cells)):
        reason = "the same in every row"
    elif not is_quantity(cells) and len(known) > 10 and len(set(known)) == len(known):
        reason = "text that differs in every row"
        if len(other) < len(known):
            reason += f", though {len(known) - len(other)} cells are numbers: '{shown(other[0])}' is none"
    if reason:
        notes.append(f"left out: column '{shown(name)}', which is {reason}")
        return None
    if is_quantity(cells):
        values = quantity(table, name)
        median = float(np.nanmedian(values))
        values = np.where(np.isnan(values), median, values)
        deviation = float(values.std())
        if deviation > 0:
            return Quantity(name, median, float(values.mean()), deviation)
        notes.append(f"left out: column '{shown(name)}', which is the same in every row")
        return None
    if len(other) < len(known):
        first = shown(other[0])
        notes.append(f"column '{shown(name)}' is taken as text: {len(other)} cells are no numbers, such as '{first}'")
    counts = Counter(known)
    most = sorted(counts, key=lambda cell: (-counts[cell], cell))[:MOST_CATEGORIES]
    return Category(name, sorted(most), len(counts) > len(most), len(known) < len(cells))


# -------------------------------------------------------------------------------------------------------------- target


@dataclasses.dataclass
class Target:
    """The column that is predicted: a number, of a mean and deviation, or one of several classes."""

    name: str
    classes: list[str]  # none for a number
    mean: float = 0.0
    deviation: float = 1.0

    def numbers(self, table: Table) -> npt.NDArray[Any]:
        """Class numbers, or the standardised quantity."""
        if not self.classes:
            return (quantity(table, self.name) - self.mean) / self.deviation
        place = {text: i for i, text in enumerate(self.classes)}
        return np.array([place[label(cell)] for cell in table.column(self.name)], np.int32)


def label(cell: str) -> str:
    """A class as it is called: 1.0 and 1 are one."""
    value = number(cell)
    return str(int(value)) if value is not None and abs(value) < 1e15 and value == int(value) else cell


def target_of(table: Table, name: str, problem: str, notes: list[str]) -> Target:
    """What is to be predicted, and why it is taken so."""
    cells = table.column(name)
    values = {label(cell) for cell in cells}
    if len(values) == 1:
        raise ValueError(f"--target: '{shown(name)}' is '{shown(min(values))}' in every row; there is nothing to learn")
    numeric = is_quantity(cells)
    whole = numeric and all(re.fullmatch(r"-?\d+", value) for value in values)
    if problem == "auto":
        few = len(values) <= max(2, min(MOST_CLASSES, len(cells) // 3))
        problem = "classes" if not numeric or (whole and few) else "regression"
    if problem == "regression":
        if not numeric:
            text = next(cell for cell in cells if number(cell) is None)
            raise ValueError(f"--problem: '{shown(name)}' holds text such as '{shown(text)}', which is no quantity")
        found = quantity(table, name)
        notes.append(f"target '{shown(name)}': a quantity, {found.min():g} to {found.max():g}")
        return Target(name, [], float(found.mean()), float(found.std()))
    ordered = sorted(values, key=(lambda v: (float(v), v)) if numeric else None)
    if len(ordered) > len(cells) // 2:
        other = [cell for cell in cells if number(cell) is None]
        if 0 < len(other) < len(cells) // 2:
            line = table.lines[cells.index(other[0])]
            raise ValueError(
                f"{table.path}: column '{shown(name)}', line {line}: expected a number as in most rows, got "
                f"'{shown(other[0])}'"
            )
        raise ValueError(
            f"--target: '{shown(name)}' has {len(ordered)} different values in {len(cells)} rows, too many for classes"
        )
    first = ", ".join(shown(value) for value in ordered[:5]) + (", ..." if len(ordered) > 5 else "")
    notes.append(f"target '{shown(name)}': one of {len(ordered)} classes ({first})")
    return Target(name, ordered)


# --------------------------------------------------------------------------------------------------------- preparation


@dataclasses.dataclass
class Preparation:
    """What becomes of a table before the network, and of the network's output behind it."""

    names: list[str]  # of all columns of the table
    header: bool
    columns: list[Column]
    target: Target

    @property
    def width(self) -> int:
        """How many numbers a row becomes."""
        return sum(column.width for column in self.columns)

    @classmethod
    def of(cls, table: Table, target: Target, notes: list[str], without: Sequence[str] = ()) -> "Preparation":
        """From the rows that are trained on, and all columns but the target and those of `without`."""
        found = (column_of(table, name, notes) for name in table.names if name not in (target.name, *without))
        columns = [column for column in found if column is not None]
        if not columns:
            raise ValueError(f"{table.path}: no column but the target tells anything; there is nothing to learn from")
        return cls(table.names, table.header, columns, target)

    def inputs(self, table: Table, notes: list[str]) -> npt.NDArray[np.float32]:
        """Rows as the network takes them."""
        names = [column.name for column in self.columns]
        absent = [name for name in names if name not in table.names]
        if absent:
            raise ValueError(
                f"{table.path}: there is no column '{shown(absent[0])}'; the model was trained on "
                f"{shown(', '.join(names))}"
            )
        return np.concatenate([column.numbers(table, notes) for column in self.columns], axis=1).astype(np.float32)

    def read(self, path: str, separator: str | None = None) -> Table:
        """A table to predict, with the target or without it."""
        table = read(path, self.header, separator)
        if not self.header and len(table.names) == len(self.names) - 1:
            table = table._replace(names=[name for name in self.names if name != self.target.name])
        elif not self.header and len(table.names) != len(self.names):
            raise ValueError(f"{path}: expected {len(self.names)} columns as in training, got {len(table.names)}")
        return table

    # ---------------------------------------------------------------------------------------------------------- JSON

    def described(self) -> dict[str, Any]:
        """As JSON can hold it."""
        columns = [
            {"kind": type(column).__name__.lower(), **dataclasses.asdict(column)} for column in self.columns
        ]  # fmt: skip
        return {
            "version": VERSION,
            "names": self.names,
            "header": self.header,
            "columns": columns,
            "target": dataclasses.asdict(self.target),
        }

    @classmethod
    def from_description(cls, value: Any) -> "Preparation":
        """What `described` gave; FormatError where it is anything else."""
        try:
            _keys(value, "version", "names", "header", "columns", "target")
            if value["version"] != VERSION:
                raise FormatError(f"the table's version is {value['version']!r:.20}, this fastnn reads {VERSION}")
            target = Target(**_fields(value["target"], Target))
            if len(target.classes) == 1:
                raise FormatError("the target has one class")
            columns = [_column(one) for one in _list(value["columns"])]
            made = cls(_texts(value["names"]), _validate.flag(value["header"], "header"), columns, target)
        except (TypeError, ValueError, KeyError) as error:
            raise FormatError(f"the description of the table is not one: {error}") from None
        known = {*made.names} - {target.name}
        if target.name not in made.names or not columns or any(column.name not in known for column in columns):
            raise FormatError("the description of the table names columns that it does not have")
        return made


def _column(value: Any) -> Column:
    kinds: dict[str, type[Column]] = {"quantity": Quantity, "category": Category}
    kind = kinds[_validate.choice(value["kind"] if isinstance(value, dict) else None, "kind", kinds)]
    return kind(**_fields({key: item for key, item in value.items() if key != "kind"}, kind))


def _fields(value: Any, kind: type) -> dict[str, Any]:
    """The fields of a class, each of the type that it says."""
    fields = dataclasses.fields(kind)
    _keys(value, *(field.name for field in fields))
    checks = {str: _text, float: _float, bool: lambda v: _validate.flag(v, "flag"), list[str]: _texts}
    found: dict[str, Any] = {field.name: checks[field.type](value[field.name]) for field in fields}  # type: ignore[index]
    if found.get("deviation", 1.0) <= 0:
        raise ValueError("a deviation is not positive")
    return found


def _keys(value: Any, *names: str) -> None:
    if not isinstance(value, dict) or set(value) != set(names):
        raise ValueError(f"expected a dict of {shown(', '.join(names))}")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("expected a list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    return value


def _texts(value: Any) -> list[str]:
    found = [_text(item) for item in _list(value)]
    if len(set(found)) < len(found):
        raise ValueError("expected texts that differ")
    return found


def _float(value: Any) -> float:
    return _validate.number(value, "number")
