"""What a call keeps of memory: of malloc's, of what Python and NumPy allocate, and of objects."""

import ctypes
import gc
import sys
import tracemalloc
from typing import NamedTuple

NOISE = 100  # bytes a call, which several calls may seem to keep because of what else goes on


class Account2(ctypes.Structure):
    """glibc's struct mallinfo2"""

    FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


class Account(ctypes.Structure):
    """struct mallinfo, of glibc before 2.33: the same in ints, which overflow"""

    _fields_ = [(name, ctypes.c_uint) for name in Account2.FIELDS]


class Statistics(ctypes.Structure):
    """malloc_statistics_t of macOS"""

    _fields_ = [("blocks", ctypes.c_uint), *((name, ctypes.c_size_t) for name in ("in_use", "most", "allocated"))]


def _asked_of_glibc(name, kind):
    ask = getattr(ctypes.CDLL(None), name)
    ask.restype = kind

    def in_use():
        account = ask()
        return account.uordblks + account.hblkhd

    return in_use


def _asked_of_macos():
    ask = ctypes.CDLL(None).malloc_zone_statistics

    def in_use():
        statistics = Statistics()
        ask(None, ctypes.byref(statistics))
        return statistics.in_use

    return in_use


def account_of_malloc():
    """A function that says how much malloc has given out, or None where nobody knows (musl, Windows)."""
    ways = (
        _asked_of_macos,
        lambda: _asked_of_glibc("mallinfo2", Account2),
        lambda: _asked_of_glibc("mallinfo", Account),
    )
    for way in ways:
        try:
            in_use = way()
            kept = ctypes.create_string_buffer(1 << 20)
            if in_use() >= len(kept):  # a sanitizer's malloc has no account
                return in_use
        except (AttributeError, OSError, TypeError):
            pass
    return None


_in_use = account_of_malloc()


def bytes_in_use():
    """What malloc has given out; 0 where nobody knows."""
    return 0 if _in_use is None else _in_use()


def grown(call, attempts=5):
    """By how many bytes malloc's memory grows over a call that was made before.

    The least of a few attempts: threads of the libraries that other tests use allocate and free meanwhile, whereas
    what the call keeps shows each time. Small objects of Python are not in this account: see `kept`.
    """
    found = []
    for _ in range(attempts):
        gc.collect()
        before = bytes_in_use()
        call()
        found.append((bytes_in_use() - before + (1 << 31)) % (1 << 32) - (1 << 31))  # the older account overflows
        if found[-1] == 0:
            break
    return min(found, key=abs)


class Kept(NamedTuple):
    """What a call keeps, on the average: bytes of malloc's, bytes of what Python and NumPy allocate (small objects, in
    Python's own pools, are only here), objects that the garbage collector knows, and memory blocks of Python."""

    malloc: float
    traced: float
    objects: float
    blocks: float

    @property
    def is_nothing(self):
        return max(self.malloc, self.traced) < NOISE and max(self.objects, self.blocks) < 0.8


def counts():
    """The figures of Kept as they are now, while tracemalloc runs."""
    return bytes_in_use(), tracemalloc.get_traced_memory()[0], len(gc.get_objects()), sys.getallocatedblocks()


def kept(call, calls=200, attempts=4, before=None):
    """What a call keeps for good, of many: the least of a few attempts. `before` is how many calls come first, until
    caches are full."""
    for _ in range(max(10, calls // 4) if before is None else before):
        call()
    found = []
    tracemalloc.start()
    try:
        for _ in range(attempts):
            gc.collect()
            first = counts()
            for _ in range(calls):
                call()
            gc.collect()
            found.append(Kept(*((now - then) / calls for then, now in zip(first, counts(), strict=True))))
            if found[-1].is_nothing:
                break
    finally:
        tracemalloc.stop()
    return min(found, key=lambda one: max(one.malloc, one.traced, NOISE * one.objects))


def peak_of(call):
    """How many bytes more than before Python and NumPy have at some time during a call."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
