"""Where buffers lie in a workspace, so that those which live at once do not overlap."""

from libc.stdint cimport int64_t
from libc.string cimport memmove

import numpy as np

cdef struct Placed:
    int64_t place, top, start, end


def lay_out(sizes, starts, ends) -> tuple:
    """(places, room) for buffers of these sizes that live from `starts` to `ends`, both included.

    They are placed in their order, each at the lowest place where it overlaps none that lives when it does. The largest
    first is best.
    """
    cdef int64_t[::1] size = np.array(sizes, np.int64).ravel()
    cdef int64_t[::1] start = np.array(starts, np.int64).ravel()
    cdef int64_t[::1] end = np.array(ends, np.int64).ravel()
    cdef ptrdiff_t n = size.shape[0], i, j, at
    cdef int64_t place, room = 0
    cdef Placed *one
    if start.shape[0] != n or end.shape[0] != n:
        raise ValueError(f"starts, ends: expected {n} of each, got {start.shape[0]} and {end.shape[0]}")
    result = np.empty(n, np.int64)
    cdef int64_t[::1] places = result
    cdef int64_t[:, ::1] memory = np.empty((n + 1, 4), np.int64)
    cdef Placed *placed = <Placed *>&memory[0, 0]  # by place
    with nogil:
        for i in range(n):
            place, at = 0, i
            for j in range(i):
                one = &placed[j]
                if one.start <= end[i] and start[i] <= one.end:
                    if place + size[i] <= one.place:
                        break
                    place = max(place, one.top)
            for j in range(i):
                if placed[j].place > place:
                    at = j
                    break
            memmove(placed + at + 1, placed + at, (i - at) * sizeof(Placed))
            placed[at].place, placed[at].top, placed[at].start, placed[at].end = (
                place, place + size[i], start[i], end[i])
            places[i] = place
            room = max(room, place + size[i])
    return result, room
