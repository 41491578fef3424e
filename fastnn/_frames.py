"""The numbers of what is no NumPy array: frames of pandas and polars, tensors, and what only looks as if it had any.

None of these libraries is imported: what they have is known by its methods.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["plain"]

_NUMBERS = "fiub"


def plain(value: Any, name: str) -> Any:
    """A value as something that NumPy takes as numbers, without a copy where it lies as numbers already.

    Columns with missing values become float64 with NaN. What has no numbers is refused by the name of the argument, and
    of the column.
    """
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "get_columns") or (hasattr(value, "iloc") and hasattr(value, "columns")):
        return _frame(value, name)
    if hasattr(value, "to_numpy") and hasattr(value, "dtype"):
        return _column(value, name, "")
    if hasattr(value, "detach"):
        return _tensor(value.detach(), name)
    _refuse(value, name)
    return value


def _refuse(value: Any, name: str) -> None:
    """What NumPy would take for a single object."""
    if isinstance(value, Mapping):
        raise TypeError(
            f"{name}: expected an array, got a {type(value).__name__}; join its columns: "
            f"numpy.column_stack(list({name}.values()))"
        )
    if hasattr(value, "collect") and hasattr(value, "collect_schema"):
        raise TypeError(f"{name}: a {type(value).__name__} has not been computed; pass {name}.collect()")
    if hasattr(value, "toarray"):
        raise TypeError(
            f"{name}: a sparse {type(value).__name__} is taken by fastnn.sklearn only; pass {name}.toarray(), or a "
            "generator of batches that makes some of its rows dense at a time"
        )


def _frame(frame: Any, name: str) -> npt.NDArray[Any]:
    """A row for each row, a column for each column."""
    if hasattr(frame, "iloc"):
        columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
        kinds = {str(dtype) for dtype in frame.dtypes}
        if len(kinds) == 1 and isinstance(frame.dtypes.iloc[0], np.dtype) and frame.dtypes.iloc[0].kind in _NUMBERS:
            return np.asarray(frame)  # one block of numbers
    else:
        columns = frame.get_columns()
    if not columns:
        return np.empty(frame.shape)
    arrays = [_column(c, name, f", column {label!r}") for c, label in zip(columns, frame.columns, strict=True)]
    for array, column, label in zip(arrays, columns, frame.columns, strict=True):
        if array.ndim != 1:
            raise TypeError(
                f"{name}, column {label!r}: expected a number in each row, got {column.dtype}; make a column for each "
                "of its numbers"
            )
    result = np.empty((len(arrays[0]), len(arrays)), np.result_type(*arrays))
    for i, array in enumerate(arrays):
        result[:, i] = array
    return result


def _column(column: Any, name: str, where: str) -> npt.NDArray[Any]:
    """One column, or a series."""
    array = np.asarray(column)
    if array.dtype.kind in _NUMBERS:
        return array
    if array.dtype.kind == "O":  # missing values, or numbers as objects: but no text that could be read as numbers
        values = [np.nan if _missing(v) else v for v in column.to_numpy().tolist()]
        if not any(isinstance(v, (str, bytes)) for v in values):
            try:
                array = np.asarray(values)
            except ValueError:  # rows of several lengths
                pass
            else:
                if array.dtype.kind in _NUMBERS:
                    return array
    kind = str(column.dtype)
    if array.dtype.kind in "mM":
        cure = "turn times into numbers first, for instance the days since the first of them"
    elif array.dtype.kind == "O" or array.dtype.kind in "UST":
        cure = (
            "turn text into numbers first: a column for each of its values (pandas.get_dummies, polars' to_dummies), "
            "or numbers from 0 for an Embedding (pandas.factorize, polars' to_physical)"
        )
    else:
        cure = "convert it to float32 or float64"
    raise TypeError(f"{name}{where}: expected numbers, got {kind}; {cure}")


def _missing(value: Any) -> bool:
    """None, or pandas.NA."""
    return value is None or type(value).__name__ == "NAType"


def _tensor(tensor: Any, name: str) -> Any:
    """A tensor of PyTorch, which shares its memory if it lies in this machine's and in a type that NumPy has."""
    try:
        return np.asarray(tensor)
    except (TypeError, RuntimeError) as error:
        raise TypeError(
            f"{name}: a tensor of {tensor.dtype} on {tensor.device} cannot be read in place ({error}); "
            f"pass {name}.float().cpu()"
        ) from None
