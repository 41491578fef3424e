from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Doubles: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.int32]

ROWS: list[dict[str, str]]

def evaluate(
    kind: int, rows: int, d: int, y_pred: FloatArray, y_true: FloatArray, values: Doubles, parameters: Doubles
) -> None: ...
def evaluate_labels(
    kind: int, rows: int, d: int, y_pred: FloatArray, labels: Labels, values: Doubles, parameters: Doubles
) -> None: ...
def add(state: Doubles, values: Doubles, weights: Doubles | None, positions: int) -> None: ...
