from typing import TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

_Float: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]

class Row(TypedDict):
    name: str
    formula: str
    range: str
    parameters: str
    kinks: str
    reads: str

ROWS: list[Row]
ROW_ROWS: list[Row]
MATHS: list[str]

def forward(kind: int, x: _Float, y: _Float, parameters: npt.NDArray[np.float64]) -> None: ...
def derivative(kind: int, xy: _Float, dy: _Float, dx: _Float, parameters: npt.NDArray[np.float64]) -> None: ...
def row_forward(kind: int, x: _Float, y: _Float) -> None: ...
def row_derivative(kind: int, xy: _Float, dy: _Float, dx: _Float) -> None: ...
def prelu_forward(x: _Float, slope: _Float, y: _Float) -> None: ...
def prelu_derivative(x: _Float, slope: _Float, dy: _Float, dx: _Float, dslope: _Float) -> None: ...
def math(kind: int, x: _Float, y: _Float) -> None: ...
