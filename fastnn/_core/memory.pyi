from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

def lay_out(sizes: Sequence[int], starts: Sequence[int], ends: Sequence[int]) -> tuple[npt.NDArray[np.int64], int]: ...
