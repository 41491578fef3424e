"""Nested dicts and lists of numbers and arrays as one file, written so that a kill at any moment leaves a whole one.

The file is a zip as NumPy's npz: one .npy for each array, and index.json, which says where in the tree each belongs.
Nothing in it is pickled, and zip's checksum of every part is verified before the part is looked at.
"""

import io
import json
import math
import tokenize
import zipfile
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _atomic
from fastnn._opening import open_binary
from fastnn.errors import FormatError

__all__ = ["read", "write"]

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
    AttributeError,  # an index that is other JSON
    RecursionError,
    SyntaxError,  # what NumPy says of the head of an array that is not one
    tokenize.TokenError,
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


class _Reader:
    """The parts of an archive, each taken once: what is read is never more than what the file holds."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.archive, self.left = archive, size
        self.taken: set[int] = set()

    def part(self, name: str) -> bytes:
        info = self.archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > self.left:
            raise ValueError(f"{name} claims {info.file_size} bytes, and the file has {self.left} for it")
        self.left -= info.file_size
        return self.archive.read(info)  # all of it, before any is interpreted: only then was the checksum compared

    def array(self, number: Any) -> npt.NDArray[Any]:
        if type(number) is not int or number in self.taken:
            raise ValueError(f"{number!r:.20} is not the number of another array")
        self.taken.add(number)
        data = self.part(f"{number}.npy")
        with io.BytesIO(data) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            at = file.tell()
        if dtype.hasobject or dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize != len(data) - at:
            raise ValueError(f"array {number} is not what its head says")
        return np.frombuffer(data, dtype, offset=at).reshape(shape, order="F" if fortran else "C").copy("K")

    def tree(self, node: Any) -> Any:
        kind, content = node
        if kind == "v":
            return content
        if kind == "a":
            return self.array(content)
        if kind == "s":
            return self.array(content)[()]
        if kind == "d":
            return {key: self.tree(item) for key, item in content.items()}
        if kind in ("l", "t"):
            items = [self.tree(item) for item in content]
            return items if kind == "l" else tuple(items)
        raise ValueError(f"unknown kind of node {kind!r}")


def write(path: str, tree: Any, name: str, keep_previous: str | None = None) -> None:
    """Write a tree to `path`, atomically. What was there goes to `keep_previous`, if that is given.

    `name` is what the tree is called in errors about what cannot be written. A symbolic link at `path` is replaced.
    """
    arrays: list[npt.NDArray[Any]] = []
    index = json.dumps(_encode(tree, name, arrays))
    with (
        _atomic.replacing(path, keep_previous, follow=False) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        for number, array in enumerate(arrays):
            with archive.open(f"{number}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        archive.writestr(_INDEX, index)


def read(path: str) -> Any:
    """The tree that `write` wrote. FormatError where the file is not whole; OSError where it cannot be opened."""
    with open_binary(path) as file:
        content = file.read()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            reader = _Reader(archive, len(content))
            return reader.tree(json.loads(reader.part(_INDEX)))
    except _DAMAGE as error:
        raise FormatError(
            f"{path} is damaged, or was not written by fastnn: {type(error).__name__}: {error}; "
            "delete it, or put back a copy"
        ) from error
