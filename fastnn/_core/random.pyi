import numpy as np
import numpy.typing as npt

UNIFORM: int
NORMAL: int
TRUNCATED: int

def words(seed: int, stream: int, start: int, out: npt.NDArray[np.uint32]) -> None: ...
def fill(
    out: npt.NDArray[np.float32] | npt.NDArray[np.float64],
    distribution: int,
    a: float,
    b: float,
    seed: int,
    stream: int,
    start: int,
) -> None: ...
def permutation(seed: int, stream: int, out: npt.NDArray[np.int64]) -> None: ...
def orthonormalise(rows: npt.NDArray[np.float64]) -> None: ...
