"""Frames become arrays with their columns in the frames' own order; needs no library that has any."""

import numpy as np
import pytest
from optional import optional

from fastnn import _data

# No order by name or type is theirs
COLUMNS = {"z": [1.5, 2.5], "b": [True, False], "y": [3, 4], "a": [0.25, -1.0]}
EXPECTED = [[1.5, 1.0, 3.0, 0.25], [2.5, 0.0, 4.0, -1.0]]


class Dtypes(list):
    """What pandas gives as frame.dtypes."""

    @property
    def iloc(self):
        return self


class PandasLike:
    """As much of a frame of pandas as is asked for."""

    def __init__(self, columns):
        self.held = {name: np.asarray(values) for name, values in columns.items()}
        self.columns = list(columns)
        self.dtypes = Dtypes(a.dtype for a in self.held.values())
        self.shape = (len(self.held[self.columns[0]]), len(columns))

    @property
    def iloc(self):
        return self

    def __getitem__(self, key):
        return self.held[self.columns[key[1]] if isinstance(key, tuple) else key]

    def __array__(self, dtype=None, copy=None):
        return np.column_stack(list(self.held.values()))


class PolarsLike:
    """As much of a frame of polars as is asked for."""

    def __init__(self, columns):
        self.held = [np.asarray(values) for values in columns.values()]
        self.columns = list(columns)
        self.shape = (len(self.held[0]), len(columns))

    def get_columns(self):
        return self.held


FRAMES = {
    "like pandas": PandasLike,
    "like polars": PolarsLike,
    "pandas": lambda columns: optional("pandas").DataFrame(columns),
    "polars": lambda columns: optional("polars").DataFrame(columns),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_columns_are_in_the_frames_own_order(kind):
    for columns, dtype in ((COLUMNS, np.float64), ({n: np.float32(v) for n, v in COLUMNS.items()}, np.float32)):
        found = _data.as_array(FRAMES[kind](columns), "x")
        assert found.dtype == dtype and found.flags.c_contiguous
        np.testing.assert_array_equal(found, EXPECTED)


class NAType:
    """pandas.NA is known by the name of its class."""


class Objects:
    """A column of objects."""

    def __init__(self, values):
        self.values = np.empty(len(values), object)
        self.values[:] = values
        self.dtype = self.values.dtype

    def __array__(self, dtype=None, copy=None):
        return self.values

    def to_numpy(self):
        return self.values


def test_missing_values_are_nan():
    found = _data.as_array(Objects([1.5, None, NAType(), 2]), "y")
    np.testing.assert_array_equal(found, [1.5, np.nan, np.nan, 2.0])
    with pytest.raises(TypeError, match="y: expected numbers, got object"):
        _data.as_array(Objects([1.5, "2"]), "y")
