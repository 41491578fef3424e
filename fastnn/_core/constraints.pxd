# What weights are made to satisfy after a step, and what regularizers ask for.
from fastnn._core.kernels cimport real
from fastnn._core.updates cimport Constraint

# sums[0] = sum |w|, sums[1] = sum w^2
cdef void penalties(ptrdiff_t n, const real *w, double *sums) noexcept nogil

cdef void constrain(void *w, int wide, Constraint *constraint) noexcept nogil

# (kind, minimum, maximum, rate, outer, reduced, inner) as a struct; None for no constraint
cdef Constraint constraint_of(tuple given, ptrdiff_t size) except *
