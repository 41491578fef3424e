from typing import TypeVar

import numpy as np
import numpy.typing as npt

_Real = TypeVar("_Real", np.float32, np.float64)

def forward(
    x: npt.NDArray[_Real],
    w: npt.NDArray[_Real],
    bias: npt.NDArray[_Real] | None,
    activation: int,
    parameters: npt.NDArray[np.float64],
    z: npt.NDArray[_Real],
    y: npt.NDArray[_Real],
) -> None: ...
def backward(
    x: npt.NDArray[_Real],
    w: npt.NDArray[_Real],
    zy: npt.NDArray[_Real],
    dy: npt.NDArray[_Real],
    activation: int,
    parameters: npt.NDArray[np.float64],
    dz: npt.NDArray[_Real],
    dw: npt.NDArray[_Real] | None,
    dbias: npt.NDArray[_Real] | None,
    dx: npt.NDArray[_Real] | None,
    accumulate: bool = False,
) -> None: ...
