"""Nested dicts and lists of numbers and arrays as one file, written so that a kill at any moment leaves a whole one.

The file is a zip as NumPy's npz: one .npy for each array, and index.json, which says where in the tree each belongs.
Nothing in it is pickled, and zip's checksum of every part is verified before the part is looked at.
"""

import contextlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from fastnn.errors import FormatError

__all__ = ["partial_path", "read", "replacing", "sync_folder", "write"]

_INDEX = "index.json"
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    NotImplementedError,  # what zipfile says of an unknown compression
    RuntimeError,  # and of a part that claims to be encrypted
    OverflowError,
    MemoryError,
)


def _encode(value: Any, path: str, arrays: list[npt.NDArray[Any]]) -> Any:
    """A tree as JSON: every node a list of its kind and its content, arrays by their number."""
    if value is None or isinstance(value, (bool, str)):
        return ["v", value]
    if isinstance(value, (int, float)) and not isinstance(value, np.generic):
        return ["v", value]
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"{path}: expected an array of numbers, got dtype {array.dtype}; convert it first")
        arrays.append(array)
        return ["a" if isinstance(value, np.ndarray) else "s", len(arrays) - 1]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{path}: expected keys that are strings, got {key!r}; use str(key)")
        return ["d", {key: _encode(item, f"{path}[{key!r}]", arrays) for key, item in value.items()}]
    if isinstance(value, (list, tuple)):
        items = [_encode(item, f"{path}[{i}]", arrays) for i, item in enumerate(value)]
        return ["t" if isinstance(value, tuple) else "l", items]
    raise TypeError(
        f"{path}: expected numbers, strings, arrays, and dicts and lists of these, got {type(value).__name__}"
    )


def _decode(node: Any, archive: zipfile.ZipFile) -> Any:
    kind, content = node
    if kind == "v":
        return content
    if kind in ("a", "s"):
        # All bytes are read before any is interpreted: only then has the checksum been compared
        array = np.lib.format.read_array(io.BytesIO(archive.read(f"{int(content)}.npy")), allow_pickle=False)
        return array if kind == "a" else array[()]
    if kind == "d":
        return {key: _decode(item, archive) for key, item in content.items()}
    if kind in ("l", "t"):
        items = [_decode(item, archive) for item in content]
        return items if kind == "l" else tuple(items)
    raise ValueError(f"unknown kind of node {kind!r}")


def partial_path(path: Path) -> Path:
    """Where a file is written before it takes its name. Always the same, so that kills do not pile up remains."""
    return path.with_name(path.name + ".partial")


def sync_folder(folder: Path) -> None:
    """Make a renaming durable: it is the folder's content. Windows neither needs nor allows it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path, partial: Path, keep_previous: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write, which takes its name when all of it is on disk: a kill leaves the old one or the new one, whole.

    It is written at `partial`, in the same folder. What was there goes to `keep_previous`, if that is given.
    """
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep_previous is not None and path.exists():
            os.replace(path, keep_previous)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    sync_folder(path.parent)


def write(path: Path, tree: Any, name: str, keep_previous: Path | None = None) -> None:
    """Write a tree to `path`, atomically. What was there goes to `keep_previous`, if that is given.

    `name` is what the tree is called in errors about what cannot be written.
    """
    arrays: list[npt.NDArray[Any]] = []
    index = json.dumps(_encode(tree, name, arrays))
    with (
        replacing(path, partial_path(path), keep_previous) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        for number, array in enumerate(arrays):
            with archive.open(f"{number}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        archive.writestr(_INDEX, index)


def read(path: Path) -> Any:
    """The tree that `write` wrote. FormatError where the file is not whole; OSError where it cannot be opened."""
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _decode(json.loads(archive.read(_INDEX)), archive)
    except _DAMAGE as error:
        raise FormatError(
            f"{path} is damaged, or was not written by fastnn: {type(error).__name__}: {error}; "
            "delete it, or put back a copy"
        ) from error
