"""Arrays that lie in a file: what of it was read need not stay in memory."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Pages", "mapped"]

HELD = 64 << 20  # bytes that may have been read before they are given back
AROUND = 2 << 20  # what a system may map around a place that is read


def mapped(array: Any) -> Any:
    """The memory map that an array is, or is a view of; else None."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return None if array._mmap is None else array  # type: ignore[attr-defined]
        array = array.base
    return None


class Pages:
    """The pages of an array's memory map that have been read.

    They count as the process's memory until they are given back; the file stays in the system's cache as long as there
    is room. Of arrays in memory nothing is given back, nor of maps that keep changes to themselves.
    """

    def __init__(self, array: npt.NDArray[Any]) -> None:
        found = mapped(array)
        self.give_back: Callable[[], None] | None = None
        if found is not None and found.mode != "c":
            import mmap  # here, since most arrays lie in memory

            if hasattr(mmap, "MADV_DONTNEED"):
                self.give_back = functools.partial(found._mmap.madvise, mmap.MADV_DONTNEED)
        self.sample = max(1, array.nbytes // max(1, len(array)))
        self.read = 0

    def at_once(self, size: int) -> int | None:
        """How many batches may be read before `took` is told; None if it does not matter."""
        return None if self.give_back is None else max(1, HELD // (self.sample * size))

    def took(self, samples: int, scattered: bool = False) -> None:
        """Some samples were read, one after the other or all over the file."""
        if self.give_back is None:
            return
        self.read += samples * (self.sample + AROUND * scattered)
        if self.read > HELD:
            self.give_back()
            self.read = 0
