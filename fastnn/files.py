"""Model files: the safetensors layout, with the architecture as JSON in its metadata.

A file is 8 bytes with the header's length, the header (JSON), and the numbers of all tensors one behind the other. The
safetensors package reads it, and any file of its kind can be read as weights. Reading is safe whatever the bytes are:
the header is small, tensors tile the rest of the file exactly, layers come from a fixed table, and what a model would
need is compared with what the file holds before anything is allocated. What is wrong raises `FormatError`.
"""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from fastnn import _atomic, layers, losses, metrics, optimizers
from fastnn._opening import open_binary
from fastnn.errors import FormatError
from fastnn.layers._base import set_arrays

if TYPE_CHECKING:
    from fastnn.models import Sequential

__all__ = ["load", "load_tensors", "save", "save_tensors"]

MOST_HEADER = 1 << 24  # bytes: some twenty thousand layers
MOST_TENSORS = 10_000
MOST_AXES = 8
VERSION = "1"
DTYPES: dict[str, Any] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
CODES: dict[Any, str] = {np.dtype(np.float32): "F32", np.dtype(np.float64): "F64"}
# Constants that a configuration may ask for beyond what the file holds, in elements
SPARE_ELEMENTS = 1 << 20

Array = npt.NDArray[Any]


# ---------------------------------------------------------------------------------------------------------- any tensors


def save_tensors(
    path: Any, tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None, overwrite: bool = True
) -> None:
    """Write arrays by name, atomically: a kill at any moment leaves the old file or the new one, whole.
    overwrite=False is a FileExistsError where there is a file already.

    >>> import os, tempfile
    >>> import fastnn
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_tensors(os.path.join(folder, "two.fastnn"), {"a": np.arange(3.0)}, {"made": "here"})
    ...     tensors, metadata = load_tensors(os.path.join(folder, "two.fastnn"))
    >>> tensors["a"], metadata
    (array([0., 1., 2.]), {'made': 'here'})
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    arrays = []
    for name, value in tensors.items():
        array = np.ascontiguousarray(value)
        if array.dtype not in CODES:
            array = array.astype(np.float64)
        header[name] = {
            "dtype": CODES[array.dtype],
            "shape": list(np.shape(value)),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
        arrays.append(array.astype(DTYPES[CODES[array.dtype]], copy=False))
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MOST_HEADER:
        raise ValueError(f"{path}: the description of the model takes {len(text)} bytes, at most {MOST_HEADER} fit")
    with _atomic.replacing(os.fspath(path), overwrite=overwrite) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays:
            file.write(array.data)


def parse_json(text: str | bytes, what: str) -> Any:
    """JSON without duplicate keys, NaN or infinities, however deep."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise FormatError(f"{what} has the key {twice!r:.60} twice in one object")
        return result

    def no_constant(constant: str) -> Any:
        raise FormatError(f"{what} holds {constant}, which is not JSON")

    try:
        if isinstance(text, bytes):
            text = text.decode()  # json itself would take UTF-16 and halves of pairs too
        return json.loads(text, object_pairs_hook=unique, parse_constant=no_constant)
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not JSON that can be read: {type(error).__name__}") from None


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _tensor(what: str, entry: Any, begin: int, end: int) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """dtype, shape and last byte of a tensor that must begin at `begin` and end by `end`."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"{what}: expected dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise FormatError(f"{what}: dtype {dtype!r:.40} is not one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or len(shape) > MOST_AXES or not all(_whole(n) for n in shape):
        raise FormatError(f"{what}: its shape is not a list of at most {MOST_AXES} whole numbers")
    if math.prod(max(n, 1) for n in shape) >= 2**60:  # NumPy counts so, whatever an axis of length 0 makes of it
        raise FormatError(f"{what}: no array has a shape of {shape}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_whole(n) for n in offsets):
        raise FormatError(f"{what}: data_offsets are not two whole numbers")
    size = math.prod(shape) * DTYPES[dtype].itemsize
    if offsets[0] != begin or offsets[1] != begin + size or offsets[1] > end:
        raise FormatError(
            f"{what}: {size} bytes at {offsets[0]}..{offsets[1]} do not follow the {begin} bytes before, of {end}"
        )
    return DTYPES[dtype], tuple(shape), offsets[1]


def load_tensors(path: Any) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays of a file by name, and its metadata; FormatError where it is not what it should be.

    >>> import os, tempfile
    >>> import fastnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_tensors(os.path.join(folder, "one.fastnn"), {"a": np.arange(3.0)})
    ...     tensors, metadata = load_tensors(os.path.join(folder, "one.fastnn"))
    >>> tensors["a"]
    array([0., 1., 2.])
    """
    with open_binary(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(MOST_HEADER, size - 8):
            raise FormatError(f"{path} is no model file: it begins with no header of 2 to {MOST_HEADER} bytes")
        text = file.read(length)
        if len(text) != length:
            raise FormatError(f"{path}: the file ends within its header")
        if not text.startswith(b"{"):
            raise FormatError(f"{path}: the header does not begin with {{")
        header = parse_json(text, f"{path}: the header")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise FormatError(f"{path}: __metadata__ is not a dict of strings")
        if len(header) > MOST_TENSORS:
            raise FormatError(f"{path}: {len(header)} tensors, at most {MOST_TENSORS} are read")
        room = size - 8 - length
        by_place = sorted(header.items(), key=_place)
        plan, at = [], 0
        for name, entry in by_place:
            dtype, shape, end = _tensor(f"{path}: tensor {name!r}", entry, at, room)
            plan.append((name, dtype, shape, end - at))
            at = end
        if at != room:
            raise FormatError(f"{path}: the tensors take {at} bytes, the file has {room} for them")
        found = {}
        for name, dtype, shape, count in plan:
            data = file.read(count)
            if len(data) != count:
                raise FormatError(f"{path}: the file ends within tensor {name!r}")
            found[name] = np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    return found, metadata


def _place(item: tuple[str, Any]) -> tuple[int, int]:
    """Where a tensor says that it begins and ends; what says nothing sensible is refused later."""
    entry = item[1]
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if isinstance(offsets, list) and len(offsets) == 2 and all(_whole(n) for n in offsets):
        return offsets[0], offsets[1]
    return -1, -1


# -------------------------------------------------------------------------------------------------------------- models


def _check_overwrite(path: Any, overwrite: bool) -> None:
    """Refuse a path that exists, unless it may be overwritten, before anything is written."""
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"filepath: {os.fspath(path)!r} exists; pass overwrite=True, or another name")


def save(model: "Sequential", path: Any, include_optimizer: bool = True, overwrite: bool = True) -> None:
    """Write a model: its architecture, its weights and, where it was compiled, how it learns.

    >>> import os, tempfile
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.Dense(1)], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, os.path.join(folder, "model.fastnn"))
    ...     again = load(os.path.join(folder, "model.fastnn"))
    >>> bool((again([[1.0, 2.0]]) == model([[1.0, 2.0]])).all())
    True
    """
    _check_overwrite(path, overwrite)
    save_tensors(path, *contents(model, include_optimizer), overwrite=overwrite)


def contents(model: "Sequential", include_optimizer: bool = True) -> tuple[dict[str, Array], dict[str, str]]:
    """What a model's file holds: its tensors by name, and the metadata."""
    described: dict[str, Any] = {"config": model.get_config()}
    tensors = _weights(model)
    plan = model._plan
    if plan is not None:
        compiled = _described_plan(model)
        described["compile"] = compiled
        if include_optimizer and compiled is not None and model.optimizer.built:
            state = model.optimizer.get_state()
            numbers = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
            described["optimizer"] = numbers
            tensors |= {f"optimizer/{k}": v for k, v in state.items() if isinstance(v, np.ndarray)}
    described["forwards"] = model._forwards
    try:
        text = json.dumps(described, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{model.name}: an argument of its layers cannot be written as JSON ({error})") from None
    return tensors, {"format": "fastnn", "version": VERSION, "fastnn": text}


def _described_plan(model: Any) -> dict[str, Any] | None:
    """What compile was given, as JSON; None where a part of it is of the user's own making."""
    plan = model._plan
    try:
        described = {
            "optimizer": optimizers.serialize(model.optimizer),
            "loss": None if plan.loss is None else losses.serialize(plan.loss),
            "loss_weights": plan.weight,
            "metrics": [
                m if isinstance(m, str) else metrics.serialize(m) for m, weighted in plan.given if not weighted
            ],
            "weighted_metrics": [
                m if isinstance(m, str) else metrics.serialize(m) for m, weighted in plan.given if weighted
            ],
        }
        json.dumps(described, allow_nan=False)
    except (TypeError, ValueError):
        return None
    return described


def _weights(model: "Sequential") -> dict[str, Array]:
    model._need_built()
    return {name: v.array for name, v in _named(model).items()}


def _named(model: "Sequential") -> dict[str, Any]:
    """The model's variables by names that are unique: layer/weight, numbered where a name comes again."""
    result: dict[str, Any] = {}
    latest: dict[str, int] = {}  # so that many of one name take no longer than others
    for v in model._variables():
        name, number = v.path, latest.get(v.path, 1)
        while name in result:
            number += 1
            name = f"{v.path}_{number}"
        latest[v.path] = number
        result[name] = v
    return result


def load(filepath: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True) -> "Sequential":
    """A model from a file that `Sequential.save` wrote.

    Parameters
    ----------
    filepath : path-like
    custom_objects : dict, optional
        Classes of your own by name: layers, losses, optimizers, metrics. Nothing is ever imported or run because a
        file says so.
    compile : bool
        Whether to compile the model as it was, with the optimizer's state where the file has it.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.Dense(1)], seed=0)
    >>> model.compile("adam", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "model.fastnn"))
    ...     again = fastnn.load(os.path.join(folder, "model.fastnn"))
    >>> again.optimizer.name, again.loss.name
    ('adam', 'mean_squared_error')
    """
    from fastnn.models import Sequential

    path = filepath
    tensors, metadata = load_tensors(path)
    if metadata.get("format") != "fastnn" or "fastnn" not in metadata:
        raise FormatError(f"{path}: a safetensors file, but not of a fastnn model; load_weights reads plain weights")
    if metadata.get("version") != VERSION:
        raise FormatError(f"{path}: format version {metadata.get('version')!r:.20}, this fastnn reads {VERSION!r}")
    described = parse_json(metadata["fastnn"], f"{path}: the description of the model")
    if not isinstance(described, dict) or not isinstance(described.get("config"), dict):
        raise FormatError(f"{path}: the description of the model has no config")
    forwards = described.get("forwards", 0)
    if not _whole(forwards):
        raise FormatError(f"{path}: the count of training forwards is no whole number")
    budget = sum(a.size for a in tensors.values()) + SPARE_ELEMENTS
    try:
        model = _built(Sequential, described["config"], custom_objects, budget)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError, MemoryError) as error:
        raise FormatError(
            f"{path}: the layers cannot be made (pass classes of your own in custom_objects): {_short(error)}"
        ) from None
    own = {name: value for name, value in tensors.items() if not name.startswith("optimizer/")}
    _fill(model, own, str(path))
    with model._exclusive.laying_out():
        model._make_engine()
    model._forwards = forwards
    if compile and described.get("compile") is not None:
        try:
            _compile(model, described, custom_objects, tensors)
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError) as error:
            raise FormatError(f"{path}: it cannot be compiled as it was: {_short(error)}; pass compile=False") from None
    return model


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _built(cls: type["Sequential"], config: dict[str, Any], custom: Any, budget: int) -> "Sequential":
    """The model with all shapes known and no array made: its variables wait for those of the file."""
    known = {"name", "trainable", "seed", "dtype", "layers", "build_input_shape"}
    if set(config) - known or not isinstance(config.get("layers"), list):
        raise FormatError("the config is not that of a Sequential model")
    shape = config.get("build_input_shape")
    if not isinstance(shape, list) or len(shape) > MOST_AXES or not shape or not all(_whole(n) for n in shape[1:]):
        raise FormatError("the config does not say what shape the model was built for")
    model = _unbuilt(cls, config, custom)
    for inner in model._flat():
        inner._budget = budget
    model._build_shapes(tuple(shape[1:]), budget)
    return model


def _unbuilt(cls: type["Sequential"], config: dict[str, Any], custom: Any) -> "Sequential":
    """The model of a config, and the models in it, with no shape known."""
    model = cls(
        name=config.get("name"),
        trainable=config.get("trainable", True),
        seed=config.get("seed"),
        dtype=config.get("dtype", "float32"),
    )
    for one in config["layers"]:
        nested = isinstance(one, dict) and one.get("class_name") == "Sequential"
        model.add(_unbuilt(cls, one["config"], custom) if nested else layers.deserialize(one, custom), rebuild=False)
    return model


def _fill(model: "Sequential", tensors: Mapping[str, Array], path: str) -> None:
    """Hand the file's arrays to the model's variables, by name and shape."""
    named = _named(model)
    if set(named) != set(tensors):
        missing, surplus = sorted(set(named) - set(tensors)), sorted(set(tensors) - set(named))
        raise FormatError(
            f"{path}: its tensors are not the model's (missing {missing[:3]!s:.300}, not wanted {surplus[:3]!s:.300})"
        )
    for name, v in named.items():
        value = tensors[name]
        if value.shape != v.array.shape:
            raise FormatError(f"{path}: tensor {name!r} has shape {value.shape}, the model's {v.array.shape}")
    for name, v in named.items():
        v.array = tensors[name].astype(model._dtype)
        v.layer._arrays[id(v.array)] = v
    for layer in {id(v.layer): v.layer for v in named.values()}.values():
        layer._weights_set()


def _compile(model: "Sequential", described: Mapping[str, Any], custom: Any, tensors: Mapping[str, Array]) -> None:
    plan = described["compile"]

    def made(module: Any, given: Any) -> Any:
        return given if isinstance(given, str) or given is None else module.deserialize(given, custom)

    model.compile(
        optimizer=optimizers.deserialize(plan["optimizer"], custom),
        loss=made(losses, plan["loss"]),
        loss_weights=plan["loss_weights"],
        metrics=[made(metrics, m) for m in plan["metrics"]],
        weighted_metrics=[made(metrics, m) for m in plan["weighted_metrics"]],
    )
    if described.get("optimizer") is not None:
        state = {k.removeprefix("optimizer/"): v for k, v in tensors.items() if k.startswith("optimizer/")}
        model.optimizer.set_state({**cast("dict[str, Any]", described["optimizer"]), **state})


def save_weights(model: "Sequential", path: Any, overwrite: bool = True) -> None:
    """Write the weights alone, by name: a plain safetensors file."""
    _check_overwrite(path, overwrite)
    save_tensors(path, _weights(model), overwrite=overwrite)


def load_weights(model: "Sequential", path: Any) -> None:
    """Set the weights from a file of `save_weights`, or of a model of the same layers.

    Layers may have other names than in the file, if its weights lie in the model's order.
    """
    tensors, _ = load_tensors(path)
    own = {name: value for name, value in tensors.items() if not name.startswith("optimizer/")}
    named = _named(model)
    if set(named) != set(own):
        if len(named) != len(own):
            raise ValueError(f"{path}: {len(own)} tensors, {model.name} has {len(named)} weights")
        for name, other in zip(named, own, strict=True):  # other programs sort by name, and layers may be as large
            if _last_name(name) != _last_name(other):
                raise ValueError(
                    f"{path}: {other!r} lies where {name!r} of {model.name} would; give its tensors the names of the "
                    "model's weights, or the order"
                )
        own = dict(zip(named, own.values(), strict=True))
    set_arrays(list(named.values()), [own[name] for name in named], model.name)


def _last_name(name: str) -> str:
    """What a weight is to its layer: kernel, bias, ..."""
    return re.sub(r"_\d+$", "", name.rpartition("/")[2])
