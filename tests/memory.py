"""What malloc has given out, and what a call leaves of it."""

import ctypes
import gc


class Account(ctypes.Structure):
    """glibc's struct mallinfo2"""

    FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


try:
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Account
except (AttributeError, OSError, TypeError):  # not glibc, or one before 2.33
    mallinfo2 = Account


def bytes_in_use():
    """What malloc has given out, by glibc's own account; elsewhere 0."""
    account = mallinfo2()
    return account.uordblks + account.hblkhd


def grown(call, attempts=5):
    """By how many bytes memory grows over a call that was made before.

    The least of a few attempts: threads of the libraries that other tests use allocate and free meanwhile, whereas
    what the call keeps shows each time.
    """
    found = []
    for _ in range(attempts):
        gc.collect()
        before = bytes_in_use()
        call()
        found.append(bytes_in_use() - before)
        if found[-1] == 0:
            break
    return min(found, key=abs)
