# Who has something to itself: claims that no exception leaves behind and no fork keeps.
from libc.stdint cimport uint64_t

cdef struct Hold:
    bint taken
    unsigned long thread          # that took it
    uint64_t forks                # of this process when it did

# Whether a thread that lives in this process holds it
cdef bint is_held(const Hold *hold) noexcept
# Whether the calling thread does
cdef bint is_held_here(const Hold *hold) noexcept
cdef void take(Hold *hold) noexcept
cdef void release(Hold *hold) noexcept

cdef enum Kind:
    TRAINING, EVALUATING, CHANGING

cdef class Exclusive:
    cdef Hold hold
    cdef Kind kind
    cdef bint laid_out            # its layout is being changed, under the lock of all layouts
    cdef Hold step                # of the thread in which Python code runs within a step
    cdef readonly str name, what
    cdef readonly uint64_t uses   # claims and layouts so far: what was read since the same count is still so

    # Whether another thread trains the model
    cdef bint is_trained_elsewhere(self) noexcept

    # Claim without waiting for a change of another thread; `release(&hold)` ends it
    cdef int start(self, str what, Kind kind) except -1
    cdef int refuse(self, str what) except -1
