"""The owner of the C helpers: chooses the instruction set once, and hands its table to the other modules."""

import os

from fastnn._core.kernels cimport (
    core_cache,
    default_threads,
    fnn,
    fnn_api,
    fnn_available,
    fnn_choose,
    get_threads,
    set_threads,
)

_limit = os.environ.get("FASTNN_ISA", "").strip().lower()
fnn = fnn_choose(_limit.encode())
_available = []
while fnn_available(<int>len(_available)) != NULL:
    _available.append(fnn_available(<int>len(_available)).decode())
if fnn == NULL:
    raise ImportError(
        f"FASTNN_ISA={_limit!r}: this machine offers {', '.join(_available)}; unset FASTNN_ISA to take the best"
    )


cdef const fnn_api *chosen_table() except NULL:
    return fnn


def cpu_info() -> dict:
    """The instruction set in use, those available, whether products use fused multiply-add, the thread counts, and the
    bytes of a core's own cache."""
    return {
        "isa": fnn.isa.decode(),
        "available": list(_available),
        "fused_multiply_add": bool(fnn.has_fma),
        "threads": get_threads(),
        "default_threads": default_threads(),
        "core_cache": core_cache(),
    }


def get_num_threads() -> int:
    """How many threads fastnn's own work uses."""
    return get_threads()


def set_num_threads(count: int) -> int:
    """Set how many threads fastnn's own work uses; 0 for the machine's default. Returns the former count."""
    return set_threads(count)
