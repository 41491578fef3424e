from typing import TypeVar

import numpy as np
import numpy.typing as npt

_Real = TypeVar("_Real", np.float32, np.float64)

def matmul(
    a: npt.NDArray[_Real],
    b: npt.NDArray[_Real],
    out: npt.NDArray[_Real],
    accumulate: bool = False,
    rows_at_home: bool = False,
) -> npt.NDArray[_Real]: ...
def fma_peak(room: npt.NDArray[np.float32] | npt.NDArray[np.float64], rounds: int) -> float: ...
