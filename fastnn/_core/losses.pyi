from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Doubles: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.int32]

ROWS: list[dict[str, str]]

def evaluate(
    kind: int,
    rows: int,
    d: int,
    y_pred: FloatArray,
    y_true: FloatArray | None,
    values: Doubles | None,
    dy: FloatArray | None,
    scale: Doubles | None,
    common: float,
    parameters: Doubles,
) -> None: ...
def evaluate_labels(
    kind: int,
    rows: int,
    d: int,
    y_pred: FloatArray,
    labels: Labels,
    values: Doubles | None,
    dy: FloatArray | None,
    scale: Doubles | None,
    common: float,
    parameters: Doubles,
) -> None: ...
def total(values: Doubles, weights: Doubles | None) -> float: ...
def mine(
    x: FloatArray,
    labels: Labels,
    values: Doubles,
    found: Labels,
    distance: Doubles,
    weight: Doubles,
    parameters: Doubles,
) -> None: ...
def mined_gradient(
    x: FloatArray,
    distance: Doubles,
    weight: Doubles,
    scale: Doubles | None,
    common: float,
    dx: FloatArray,
    parameters: Doubles,
) -> None: ...
