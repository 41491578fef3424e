"""Files that are replaced as a whole: whenever the process is killed, the old one or the new one is there."""

import contextlib
import os
import stat
import threading
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["replacing", "sync_folder"]


def sync_folder(folder: str) -> None:
    """Make a renaming durable: it is the folder's content. Windows neither needs nor allows it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: str, partial: str | None = None, keep_previous: str | None = None) -> Iterator[BinaryIO]:
    """A file to write, which takes its name when all of it is on disk.

    It is written at `partial`, in the same folder, or by default under a name of its own, so that two threads may
    write one path. What was there goes to `keep_previous`, if that is given. A link goes on pointing where it does, and
    a file that others may not read stays so.
    """
    path = os.fsdecode(path)
    if partial is None:
        path = os.path.realpath(path)
    before = os.stat(path) if os.path.exists(path) else None
    if before is not None and not stat.S_ISREG(before.st_mode):
        raise OSError(f"{path}: expected a name for a file, and there is a folder or a device of this name")
    if partial is None:
        partial = f"{path}.{os.getpid()}-{threading.get_ident()}.partial"
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            if before is not None:
                with contextlib.suppress(OSError):
                    os.chmod(partial, stat.S_IMODE(before.st_mode))
            os.fsync(file.fileno())
        if keep_previous is not None and os.path.exists(path):
            os.replace(path, keep_previous)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    sync_folder(os.path.dirname(path))
