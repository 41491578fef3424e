from fastnn._core.exclusive cimport Exclusive
from fastnn._core.updates cimport Piece, Plan

cdef class Updater:
    cdef Plan plan
    cdef readonly Exclusive exclusive       # one step at a time
    cdef readonly bint merged
    cdef readonly tuple variables, slots
    cdef list touched, bound     # held for the plan, which points to them,
    cdef tuple pins, bound_pins  # as these keep their memory, and that of the others
    cdef readonly object average, accumulated
    cdef object dtype
    cdef int check(self, int rule, list segments) except -1
    cdef int check_gradients(self, list out) except -1
    cdef int need_rule(self) except -1
    cdef int need_idle(self, str what) except -1
    cdef int plan_pieces(self) except -1
    cdef ptrdiff_t cut(self, Piece *pieces, bint merged)
