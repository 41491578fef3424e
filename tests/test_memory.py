"""The tests of memory see a leak of 500 bytes a call, whatever it is that stays."""

import ctypes

import numpy as np
import pytest
from memory import Account, _asked_of_glibc, account_of_malloc, bytes_in_use, grown, kept, peak_of

HELD = []


class Thing:
    __slots__ = ("other",)


def a_cycle():
    one, two = Thing(), Thing()
    one.other, two.other = two, one
    HELD.append(one)


LEAKS = {
    "bytes": lambda: HELD.append(bytes(500)),
    "floats": lambda: HELD.append([float(i) + 0.5 for i in range(16)]),
    "a dict": lambda: HELD.append({"loss": 0.5, "accuracy": 1.5}),
    "an array": lambda: HELD.append(np.ones(60)),
    "a small array": lambda: HELD.append(np.ones(2)),
    "a cycle of objects": a_cycle,
    "memory of C": lambda: ctypes.pythonapi.PyMem_RawMalloc(500),
}


@pytest.mark.parametrize("what", LEAKS)
def test_leaks_are_seen(what):
    try:
        assert not kept(LEAKS[what]).is_nothing
    finally:
        HELD.clear()


@pytest.mark.parametrize("what", LEAKS)
def test_what_is_let_go_is_no_leak(what):
    if what == "memory of C":
        allocate, free = ctypes.pythonapi.PyMem_RawMalloc, ctypes.pythonapi.PyMem_RawFree
        allocate.restype, free.argtypes, free.restype = ctypes.c_void_p, [ctypes.c_void_p], None

        def call():
            free(allocate(500))
    else:

        def call():
            LEAKS[what]()
            HELD.clear()

    found = kept(call)
    assert found.is_nothing, found


def test_malloc_is_asked():
    if account_of_malloc() is None:
        pytest.skip("malloc has no account here")
    arrays = []
    before = bytes_in_use()
    arrays.append(np.ones(100_000))
    assert bytes_in_use() - before >= 400_000  # half of it: what else runs in the process frees memory meanwhile
    assert grown(lambda: arrays.append(np.ones(100_000))) >= 400_000
    assert abs(grown(lambda: np.ones(100_000).sum())) < 100_000


def test_an_older_glibc_is_asked_too():
    if account_of_malloc() is None or not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("no glibc, or an older one, which is asked in this way everywhere, or malloc has no account")
    older = _asked_of_glibc("mallinfo", Account)
    before = older(), bytes_in_use()
    array = np.ones(100_000)
    after = older(), bytes_in_use()
    assert abs((after[0] - before[0]) % (1 << 32) - (after[1] - before[1])) < 100_000
    assert after[1] - before[1] >= array.nbytes // 2


def test_a_peak_is_seen():
    assert 8_000_000 <= peak_of(lambda: np.ones(1_000_000).sum()) < 9_000_000
