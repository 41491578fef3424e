"""What a case has done so far, in a file that is still there when the process is not."""

import os

_file = -1


def begin(descriptor: int) -> None:
    """Write to this file from now on."""
    global _file
    _file = descriptor


def clear() -> None:
    if _file >= 0:
        os.ftruncate(_file, 0)
        os.lseek(_file, 0, os.SEEK_SET)


def trail(what: str) -> None:
    """Note what is about to be done."""
    if _file >= 0:
        os.write(_file, (what + "\n").encode("utf-8", "replace"))


def read(descriptor: int) -> str:
    """The last of it."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, 4000, max(0, size - 4000)).decode("utf-8", "replace")
