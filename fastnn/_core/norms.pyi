from typing import TypeAlias

import numpy as np
import numpy.typing as npt

LAYER: int
VARIANCE: int
RMS: int

_Reals: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]

def layer_forward(
    x: _Reals, gamma: _Reals | None, beta: _Reals | None, kind: int, epsilon: float, y: _Reals, saved: _Reals
) -> None: ...
def layer_backward(
    x: _Reals,
    dy: _Reals,
    gamma: _Reals | None,
    kind: int,
    saved: _Reals,
    dx: _Reals | None,
    dgamma: _Reals | None,
    dbeta: _Reals | None,
    add: bool,
) -> None: ...
def batch_statistics(x: _Reals, epsilon: float, variance: _Reals, saved: _Reals) -> None: ...
def batch_scaling(mean: _Reals, variance: _Reals, epsilon: float, saved: _Reals) -> None: ...
def batch_forward(x: _Reals, saved: _Reals, gamma: _Reals | None, beta: _Reals | None, y: _Reals) -> None: ...
def batch_backward(
    x: _Reals,
    dy: _Reals,
    saved: _Reals,
    gamma: _Reals | None,
    sums: _Reals | None,
    dx: _Reals | None,
    dgamma: _Reals | None,
    dbeta: _Reals | None,
    add: bool,
) -> None: ...
def batch_commit(
    momentum: float, saved: _Reals, variance: _Reals, moving_mean: _Reals, moving_variance: _Reals
) -> None: ...
def colsum(x: _Reals, y: _Reals, add: bool) -> None: ...
def add_rows(x: _Reals, b: _Reals, y: _Reals) -> None: ...
def dropout(x: _Reals, rate: float, seed: int, stream: int, start: int, y: _Reals) -> None: ...
def noise(x: _Reals, stddev: float, seed: int, stream: int, start: int, y: _Reals) -> None: ...
