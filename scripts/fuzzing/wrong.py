"""What makes arguments wrong, and calls of the core with them."""

import contextlib
import random
from typing import Any

import numpy as np

from fastnn._core import kernels
from fuzzing.core import CALLS
from fuzzing.draws import Draw, use
from fuzzing.trail import trail

NUMBERS: list[Any] = [
    0, 1, -1, 2, 3, 7, 255, 256, 1000, 2**15, 2**31 - 1, 2**31, -(2**31), 2**32, 2**40, 2**62, 2**63 - 1, 2**63,
    -(2**63), 2**64 - 1, 0.0, 0.5, -1.5, 1e300, float("nan"), float("inf"),
]  # fmt: skip
OTHERS: list[Any] = [
    None, True, "", "relu", b"\0", [], [None], {}, (), (1, 2), object(), len, np.float32(1), np.array(3.0),
    memoryview(b"abcd"), 1j, Ellipsis, range(3), np.zeros(0), np.zeros((0, 3), np.float32),
    np.zeros((3, 0), np.float32),
]  # fmt: skip


def wrong_array(number: random.Random, array: Any) -> Any:
    """An array that is not quite what was asked for."""
    if array.ndim == 0 or array.dtype.hasobject:
        return np.array(3.0)
    kind = number.randrange(16)
    if kind == 0:
        return array[:-1]
    if kind == 1:
        return np.ascontiguousarray(array[..., :-1])
    if kind == 2:
        return array.astype(number.choice(["f4", "f8", "i4", "i8", "u1", "c16", "O", "?", ">f4", ">f8", "f2", "U3"]))
    if kind == 3:
        return array[::-1]
    if kind == 4:
        return np.asfortranarray(array)
    if kind == 5:
        return array.reshape(-1)
    if kind == 6:
        return np.zeros(0, array.dtype)
    if kind == 7:
        return np.empty((*array.shape[:-1], 0), array.dtype)
    if kind == 8:
        frozen = array.copy()
        frozen.flags.writeable = False
        return frozen
    if kind == 9:
        raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
        return raw.view(array.dtype).reshape(array.shape) if array.nbytes else array
    if kind == 10:
        return np.broadcast_to(array.reshape(-1)[:1] if array.size else array, array.shape)
    if kind == 11:
        return array[None]
    if kind == 12:
        return np.repeat(array, 2, -1)[..., ::2]
    bad = array.copy()
    if bad.size and bad.dtype.kind in "fiu":
        value = number.choice((-1, 2**31 - 1, -(2**31), 1000, 255)) if bad.dtype.kind != "u" else 255
        if bad.dtype.kind == "f":
            value = number.choice((np.nan, np.inf, -np.inf, 3e38, -1e30, 0))
        bad.reshape(-1)[number.randrange(bad.size)] = value
        if number.random() < 0.3:
            bad[...] = value
    return bad


def wrong(number: random.Random, value: Any) -> Any:
    """Something else in the place of a value, or in one place within it."""
    if isinstance(value, (list, tuple, dict)) and len(value) and number.random() < 0.9:
        items = list(value.items()) if isinstance(value, dict) else list(value)
        at = number.randrange(len(items))
        if isinstance(value, dict):
            key, inner = items[at]
            if number.random() < 0.05:
                return {k: v for k, v in value.items() if k != key}
            return {**value, key: wrong(number, inner)}
        what = number.randrange(10)
        if what == 0:
            del items[at]
        elif what == 1:
            items.insert(at, items[at])
        else:
            items[at] = wrong(number, items[at])
        return items if isinstance(value, list) else tuple(items)
    if number.random() < 0.25:
        return number.choice(OTHERS)
    if isinstance(value, np.ndarray):
        return wrong_array(number, value)
    if isinstance(value, (int, float, np.number)) and number.random() < 0.3:
        return value + number.choice((-1, 1))
    return number.choice(NUMBERS)


def call(name: str, number: random.Random) -> str:
    """One call with arguments that are wrong in none, one or two places. Any error will do, as long as it is one."""
    g = Draw(number)
    function, arguments = CALLS[name](g)
    for _ in range(number.choice((0, 1, 1, 1, 2))):
        if arguments and name != "kernels.set_num_threads":
            at = number.randrange(len(arguments))
            same = at > 0 and number.random() < 0.03
            arguments[at] = arguments[at - 1] if same else wrong(number, arguments[at])
    log = f"{name}({', '.join(brief(a) for a in arguments)})"
    trail(log)
    try:
        result = function(*arguments)
    except SystemError:
        raise
    except Exception:
        return log
    finally:
        kernels.set_num_threads(0)
    with contextlib.suppress(Exception):
        use(result, g)
    return log


def brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        flags = "".join(c for c, f in (("C", value.flags.c_contiguous), ("W", value.flags.writeable)) if f)
        return f"<{value.dtype} {value.shape} {flags}>"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(brief(v) for v in value)}]"
    text = repr(value)
    return text if len(text) < 2000 else text[:2000] + "..."
