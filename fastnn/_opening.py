"""Opening regular files, and nothing else: a FIFO would block until somebody writes to it, and a device never ends."""

import os
import stat
from collections.abc import Callable
from typing import IO, Any, BinaryIO

__all__ = ["open_binary", "open_text", "require_regular"]

_KINDS: list[tuple[Callable[[int], bool], str]] = [
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO (named pipe)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
]


def require_regular(path: Any, status: os.stat_result) -> None:
    """OSError, IsADirectoryError for a folder, unless the status is that of a regular file."""
    if stat.S_ISREG(status.st_mode):
        return
    kind = next((name for fits, name in _KINDS if fits(status.st_mode)), "something else")
    error = IsADirectoryError if kind == "a folder" else OSError
    raise error(f"{os.fsdecode(path)}: expected a regular file, got {kind}; pass the name of a file")


def _opener(path: Any, flags: int) -> int:
    """What `open` calls.

    The file's kind is checked before, since opening a device may do something, and after, since another file may have
    taken its name in between. With O_NONBLOCK opening a FIFO does not wait; a regular file does not notice it.
    """
    try:
        require_regular(path, os.stat(path))
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        require_regular(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_binary(path: Any) -> BinaryIO:
    """A regular file to read."""
    return open(os.fspath(path), "rb", opener=_opener)


def open_text(path: Any, mode: str = "r", encoding: str = "utf-8") -> IO[str]:
    """A regular file of text to read or to append to, with its line endings as they are."""
    return open(os.fspath(path), mode, encoding=encoding, newline="", opener=_opener)
