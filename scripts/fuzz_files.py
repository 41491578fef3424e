"""Are damaged files refused, and nothing worse? Model files, weights and backups, mutated in every way.

    python scripts/fuzz_files.py [count] [--seed N] [--keep FOLDER]

Each file is loaded under a limit of time and of memory. What comes back is a model, which has to be able to predict, or
FormatError; ValueError too where weights go into a model of other layers. Prints what came, and fails where anything
else did; --keep writes the files that failed to a folder.
"""

import argparse
import collections
import contextlib
import copy
import faulthandler
import io
import json
import os
import random
import signal
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn import _archive, files, layers, losses, metrics, optimizers, regularizers
from fastnn.errors import FormatError

SECONDS = 20  # for one file
MEMORY = 256 << 20  # bytes beyond what the process takes when the first whole files have been read
NUMBERS: list[Any] = [
    0, 1, -1, 2, 7, 255, 2**15, 2**31 - 1, 2**31, 2**40, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30,
    0.0, -0.0, 0.5, 1e-300, 1e300, -1.5, True, False, None,
]  # fmt: skip
VALUES: list[Any] = [
    "", "fastnn", "relu", "os.system", "float64", "object", "\x00", "\ud800", "ü" * 50, "a" * 5000, "F32", "F64", "I64",
    [], {}, [[]], [None], [0], [-1], [1, 1], [None, 6], [2**40], [2**31, 2**31], [1] * 64, [1] * 5000, [0, 0, 0],
    {"class_name": "Dense", "config": {}}, {"class_name": "Dense", "config": {"units": 2**40}},
    {"module": "os", "class_name": "system", "config": {"command": "true"}},
    {"module": "fastnn.layers", "class_name": "Embedding", "config": {"input_dim": 2**30, "output_dim": 2**30}},
    {"class_name": "Constant", "config": {"value": [1.0, 2.0]}}, {"class_name": "RandomNormal", "config": {}},
]  # fmt: skip
Header = dict[str, Any]


# ------------------------------------------------------------------------------------------------------- whole files


def whole_models() -> list[bytes]:
    """Files of small models that have everything in them, as they are saved."""
    dense = [
        layers.Dense(3, "relu", kernel_regularizer=regularizers.L1L2(0.1, 0.2), bias_constraint="non_neg"),
        layers.PReLU(),
        layers.Dropout(0.5, seed=3),
        layers.Dense(2, "softmax", kernel_initializer="he_normal"),
    ]
    branches = [
        layers.Rescaling(0.5, 1.0),
        layers.Normalization(mean=[1.0] * 4, variance=[2.0] * 4),
        layers.Residual([layers.Dense(4), layers.BatchNormalization()]),
        layers.Residual([layers.Dense(3)], projection="dense"),
        layers.Parallel([layers.Dense(3), [layers.LayerNormalization(), layers.Dense(2)]], merge="concatenate"),
        layers.GaussianNoise(0.1),
        layers.Reshape((5, 1)),
        layers.Flatten(),
        layers.LeakyReLU(0.2),
        layers.Softmax(),
    ]
    nested = [fastnn.Sequential([layers.Dense(4, "gelu"), layers.ELU(0.5)]), layers.Dense(1)]
    embedding = [layers.Embedding(7, 2), layers.Flatten(), layers.Dense(1)]
    sgd = optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 10), momentum=0.5, clipnorm=1.0, use_ema=True)
    focal = losses.BinaryFocalCrossentropy(alpha=0.3)
    plans: list[tuple[Any, ...]] = [
        (dense, "adam", losses.SparseCategoricalCrossentropy(), ["accuracy", metrics.TopKCategoricalAccuracy(2)]),
        (branches, sgd, "mse", []),
        (nested, optimizers.Lion(0.1), focal, [metrics.AUC()]),
        (embedding, optimizers.RMSprop(centered=True), "huber", ["mae"]),
    ]
    x, y = np.arange(12.0).reshape(3, 4) % 5, np.array([[0], [1], [1]])
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        for stack, optimizer, loss, measured in plans:
            model = fastnn.Sequential([layers.Input((4,)), *stack], seed=1)
            targets = np.zeros((3, 5)) if stack is branches else y
            model.compile(optimizer, loss, metrics=[m for m in measured if not isinstance(m, metrics.Metric)])
            model.fit(x, targets, verbose=0)
            model.save(path)
            found.append(path.read_bytes())
        model.save_weights(path)
        found.append(path.read_bytes())
    return found


def whole_backup() -> bytes:
    """A file as BackupAndRestore writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "backup")
        tree = {
            "weights": {"0": np.arange(6.0), "1": np.ones((2, 3), np.float32)},
            "epoch": 3,
            "more": [1, (2.5, None)],
        }
        _archive.write(path, tree, "state")
        return Path(path).read_bytes()


# --------------------------------------------------------------------------------------------------------- mutations


def parts(data: bytes) -> tuple[Header, bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(text: bytes, body: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text + body


def dumped(header: Any) -> bytes:
    return json.dumps(header).encode("utf-8", "surrogatepass")


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a tree with every key in it."""
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield holder, key
            if isinstance(holder[key], (dict, list)):
                waiting.append(holder[key])


def hostile(number: random.Random) -> Any:
    return copy.deepcopy(number.choice(NUMBERS if number.random() < 0.6 else VALUES))


def shaken(number: random.Random, tree: Any) -> Any:
    """A tree of JSON with one to three values replaced, taken out, doubled or put elsewhere."""
    for _ in range(number.choice((1, 1, 1, 2, 3))):
        found = list(places(tree))
        if not found:
            return hostile(number)
        holder, key = number.choice(found)
        kind = number.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(number.choice(holder)))
        elif kind == 2:
            other, at = number.choice(found)
            with contextlib.suppress(KeyError, IndexError):  # what was there may have gone
                holder[key] = copy.deepcopy(other[at])
        elif kind == 3 and isinstance(holder, dict):
            holder[number.choice(["units", "axis", "name", "seed", "dtype", "", "__metadata__"])] = hostile(number)
        elif kind == 4 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] = holder[key] * number.choice((-1, 2, 1000, 2**20, 0.5)) + number.choice((0, 1, -1))
        else:
            holder[key] = hostile(number)
    return tree


def flipped(number: random.Random, data: bytes) -> bytes:
    result = bytearray(data)
    head = min(len(data), 8 + int.from_bytes(data[:8], "little")) if len(data) > 8 else len(data)
    for _ in range(number.choice((1, 1, 2, 5, 20, 100))):
        if result:
            at = number.randrange(max(1, head) if number.random() < 0.8 else len(result)) % len(result)
            result[at] = result[at] ^ (1 << number.randrange(8)) if number.random() < 0.5 else number.randrange(256)
    return bytes(result)


def cut(number: random.Random, data: bytes) -> bytes:
    if number.random() < 0.3:
        return data + number.randbytes(number.choice((1, 8, 1000)))
    return data[: number.randrange(len(data))]


def spliced(number: random.Random, data: bytes) -> bytes:
    a, b, c = sorted(number.randrange(len(data) + 1) for _ in range(3))
    return number.choice((data[:a] + data[b:c] + data[a:b] + data[c:], data[:a] + data[b:], data[:b] + data[a:]))


def described_otherwise(number: random.Random, data: bytes) -> bytes:
    """Another description of the model, above the same numbers."""
    header, body = parts(data)
    if "fastnn" not in header.get("__metadata__", {}):
        return header_otherwise(number, data)
    header["__metadata__"]["fastnn"] = json.dumps(shaken(number, json.loads(header["__metadata__"]["fastnn"])))
    return joined(dumped(header), body)


def header_otherwise(number: random.Random, data: bytes) -> bytes:
    header, body = parts(data)
    return joined(dumped(shaken(number, header)), body)


def swapped(number: random.Random, data: bytes) -> bytes:
    """The tensors' shapes and places among each other: overlaps, gaps, another order."""
    header, body = parts(data)
    names = [name for name in header if name != "__metadata__"]
    one, other = number.choice(names), number.choice(names)
    what = number.choice(["shape", "data_offsets", "dtype", None])
    if what is None:
        header[one], header[other] = header[other], header[one]
    elif number.random() < 0.5:
        header[one][what] = header[other][what]
    else:
        header[one][what] = hostile(number) if what == "dtype" else [hostile(number), hostile(number)]
    return joined(dumped(header), body)


def too_short(number: random.Random, data: bytes) -> bytes:
    """The tensors' places follow one another and fill the file, and one tensor is smaller or larger than its place."""
    header, body = parts(data)
    entry = header[number.choice([name for name in header if name != "__metadata__" and header[name]["shape"]])]
    axis = number.randrange(len(entry["shape"]))
    entry["shape"][axis] += number.choice((-1, 1))
    if number.random() < 0.3:  # in another order too
        names = list(header)
        number.shuffle(names)
        header = {name: header[name] for name in names}
    return joined(dumped(header), body)


def doubled(number: random.Random, data: bytes) -> bytes:
    """A key twice in the header, with the same value or another, of a file that is good otherwise."""
    header, body = parts(data)
    return joined(with_a_key_twice(number, header).encode(), body)


def description_doubled(number: random.Random, data: bytes) -> bytes:
    """The same in the description of the model, where the file has one."""
    header, body = parts(data)
    metadata = header.get("__metadata__", {})
    if "fastnn" not in metadata:
        return doubled(number, data)
    metadata["fastnn"] = with_a_key_twice(number, json.loads(metadata["fastnn"]))
    return joined(dumped(header), body)


def with_a_key_twice(number: random.Random, tree: Any) -> str:
    holders = [tree, *(holder[key] for holder, key in places(tree))]
    holder = number.choice([one for one in holders if isinstance(one, dict) and one])
    key = number.choice(list(holder))
    mark = "key that is there twice"
    holder[mark] = holder[key] if number.random() < 0.5 else hostile(number)
    return json.dumps(tree).replace(json.dumps(mark), json.dumps(key))


def numbers_otherwise(number: random.Random, data: bytes) -> bytes:
    """Weights and state that are no numbers, or huge."""
    header, body = parts(data)
    values = np.frombuffer(body[: len(body) // 4 * 4], "<f4").copy()
    for _ in range(number.choice((1, 3, values.size))):
        values[number.randrange(values.size)] = number.choice((np.nan, np.inf, -np.inf, 3e38, -1, 1e-45))
    return joined(dumped(header), values.tobytes() + body[values.nbytes :])


def texts(number: random.Random, data: bytes) -> bytes:
    """Headers that are no such JSON: deep, doubled, not a number, not UTF-8, endless digits."""
    header, body = parts(data)
    text = dumped(header)
    deep = number.choice((100, 1000, 5000, 100_000))
    inside = number.choice((b"[" * deep + b"]" * deep, b'{"a":' * deep + b"1" + b"}" * deep, b"[" * deep))
    made = number.choice((
        b'{"a":' + inside + b"}",
        text[:-1] + b',"a":' + inside + b"}",
        text[:-1] + b"," + text[1:],
        text.replace(b"[", number.choice((b"[NaN,", b"[Infinity,", b"[1e999,", b"[" + b"9" * 5000 + b",")), 1),
        b"\xff\xfe" + text, b"\xef\xbb\xbf" + text, text.decode().encode("utf-16"), b" " + text, text + b"\0" * 8,
        b"{" + b",".join(b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % i for i in range(12_000)) + b"}",
    ))  # fmt: skip
    if number.random() < 0.3:
        outer = json.loads(text)
        outer.setdefault("__metadata__", {})["fastnn"] = inside.decode()
        made = dumped(outer)
    return joined(made, body)


def lengths(number: random.Random, data: bytes) -> bytes:
    size = number.choice((0, 1, 2, 2**20, 2**20 + 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1, len(data), len(data) - 8))
    return size.to_bytes(8, "little") + data[8:]


MUTATIONS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "flipped": flipped,
    "cut": cut,
    "spliced": spliced,
    "description": described_otherwise,
    "header": header_otherwise,
    "places": swapped,
    "too short": too_short,
    "doubled": doubled,
    "description doubled": description_doubled,
    "numbers": numbers_otherwise,
    "text": texts,
    "length": lengths,
}
WEIGHTS = (2, 1, 1, 8, 2, 2, 0.7, 0.7, 0.7, 1, 0.5, 0.3)  # where the mistakes would be
NEVER_GOOD = ("too short", "doubled", "description doubled")  # whatever is in such a file, it must be refused


def broken_backup(number: random.Random, data: bytes) -> bytes:
    """A backup with flipped bytes, or one whose parts are others under right checksums, bombs among them."""
    if number.random() < 0.4:
        return number.choice((flipped, cut, spliced))(number, data)
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(result, "w") as after:
        for name in before.namelist():
            part = before.read(name)
            if name == "index.json" and number.random() < 0.5:
                part = dumped(shaken(number, json.loads(part)))
            elif number.random() < 0.3:
                part = number.choice((flipped, cut, spliced))(number, part)
            elif name.endswith(".npy") and number.random() < 0.3:
                count = number.choice(NUMBERS)
                part = part.replace(b"(6,)", f"({count},)".encode()).replace(b"(2, 3)", f"({count}, 3)".encode())
            if number.random() < 0.02:
                part = b"0" * (64 << 20)
            pressed = number.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            after.writestr(name, part, compress_type=zipfile.ZIP_DEFLATED if len(part) > 1 << 20 else pressed)
    return result.getvalue()


# ----------------------------------------------------------------------------------------------------------- one file


def peak() -> int:
    """The most memory that the process ever had, in bytes: what was asked for, touched or not, where Linux tells."""
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmPeak"))
    return 0


class TooLong(BaseException):
    """A file took more than SECONDS."""


def ring(*_: Any) -> None:
    raise TooLong


def load_model(path: Path) -> str:
    model = fastnn.load(path)
    shape = model.input_shape
    if all(n is not None and n <= 1000 for n in shape[1:]):
        with np.errstate(all="ignore"), contextlib.suppress(ValueError):  # codes that an Embedding does not have
            model.predict(np.zeros((2, *shape[1:])), verbose=0)
    return "a model"


def load_tensors(path: Path) -> str:
    files.load_tensors(path)
    return "tensors"


def load_weights(path: Path) -> str:
    model = fastnn.Sequential([layers.Input((4,)), layers.Embedding(7, 2), layers.Flatten(), layers.Dense(1)])
    before = model.get_weights()
    try:
        model.load_weights(path)
    except FormatError:
        raise
    except ValueError:
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)), "it changed"
        return "other weights"
    return "weights"


def load_backup(path: Path) -> str:
    _archive.read(str(path))
    return "a backup"


def outcome(load: Callable[[Path], str], path: Path) -> str:
    signal.alarm(SECONDS)
    try:
        return load(path)
    except FormatError:
        return "FormatError"
    except TooLong:
        return f"WRONG: more than {SECONDS} seconds"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "WRONG: " + "".join(traceback.format_exception(error)[-3:])
    finally:
        signal.alarm(0)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", metavar="FOLDER")
    given = parser.parse_args()
    faulthandler.enable()
    signal.signal(signal.SIGALRM, ring)
    warnings.simplefilter("ignore")  # constants that float32 has no room for
    number = random.Random(given.seed)
    models, backup = whole_models(), whole_backup()
    came: collections.Counter[str] = collections.Counter()
    wrong: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for data in models[:-1]:
            path.write_bytes(data)
            load_model(path)
        high = limit = peak() + MEMORY
        for i in range(given.count):
            if i % 10 == 9:
                load, data, how = load_backup, broken_backup(number, backup), "backup"
            else:
                load = load_model if i % 10 < 7 else number.choice((load_tensors, load_weights))
                how = number.choices(list(MUTATIONS), WEIGHTS)[0]
                data = MUTATIONS[how](number, models[-1] if load is load_weights else number.choice(models))
                if how not in NEVER_GOOD and number.random() < 0.05:
                    data = flipped(number, data)
            path.write_bytes(data)
            result = outcome(load, path)
            unseen = how == "description doubled" and load is load_tensors  # which reads no description
            if how in NEVER_GOOD and not unseen and result != "FormatError":
                result = f"WRONG: {result}, from a file that is never good"
            if peak() > high:
                result = f"WRONG: {peak() - limit + MEMORY >> 20} MB for a file of {len(data)} bytes"
                high = peak()
            if result.startswith("WRONG"):
                wrong[f"{how}: {result}"] += 1
                result = "something else"
                if given.keep:
                    os.makedirs(given.keep, exist_ok=True)
                    (Path(given.keep) / f"{given.seed}-{i}").write_bytes(data)
            came[f"{load.__name__:14} {result}"] += 1
    for what, count in sorted(came.items()):
        print(f"{count:8}  {what}")
    print(f"memory: at most {max(0, peak() - limit + MEMORY) >> 20} MB beyond what the process took before")
    for what, count in wrong.most_common(20):
        print(f"\n{count} x {what}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
