"""Constraints on weights, and the penalties that regularizers ask for."""

from libc.float cimport DBL_MAX
from libc.math cimport INFINITY, fabs, sqrt
from libc.stdint cimport int64_t

from fastnn._core.checks cimport expect_vector
from fastnn._core.kernels cimport chosen_table, fnn, get_threads, parallel, real
from fastnn._core.updates cimport (
    BLOCK,
    FNN_COLUMNS,
    FREE,
    NON_NEGATIVE,
    NORM,
    THREADED,
    Constraint,
    fnn_column_squares,
    fnn_non_negative,
    fnn_penalties,
    fnn_scale_columns,
    fnn_scale_piece,
    fnn_step,
    fnn_step_squares,
)

fnn = chosen_table()

cdef double EPSILON = 1e-7  # of the norms, as Keras's backend.epsilon()

cdef struct Constrained:
    char *w
    int wide
    Constraint *constraint
    ptrdiff_t lines         # along the axis in one task


cdef void penalties(ptrdiff_t n, const real *w, double *sums) noexcept nogil:
    cdef double block[2]
    cdef ptrdiff_t i = 0
    sums[0] = sums[1] = 0
    while i < n:
        fnn_penalties(min(<ptrdiff_t>BLOCK, n - i), w + i, block)
        sums[0] += block[0]
        sums[1] += block[1]
        i += BLOCK


def penalty_sums(const real[::1] w not None):
    """(sum |w|, sum w^2), in double"""
    expect_vector("w", w, w.shape[0])
    cdef double sums[2]
    sums[0] = sums[1] = 0
    if w.shape[0]:
        with nogil:
            penalties(w.shape[0], &w[0], sums)
    return sums[0], sums[1]


cdef double norm_of(double squares, ptrdiff_t n, const real *w, ptrdiff_t stride) noexcept nogil:
    """|w| of n elements, from the sum of their squares unless that is too large for a double."""
    cdef double largest = 0, sum = 0
    cdef ptrdiff_t i
    if squares != INFINITY:
        return sqrt(squares)
    for i in range(n):
        largest = max(largest, fabs(w[i * stride]))
    if largest == INFINITY:
        return INFINITY
    for i in range(n):
        sum += (w[i * stride] / largest) ** 2
    return min(DBL_MAX, largest * sqrt(sum))


cdef double norm_factor(double norm, const Constraint *c) noexcept nogil:
    """(rate clip(|w|, minimum, maximum) + (1 - rate) |w|) / (epsilon + |w|)"""
    cdef double wanted = c.minimum if norm < c.minimum else c.maximum if norm > c.maximum else norm
    if c.rate != 1:
        wanted = c.rate * wanted + (1 - c.rate) * norm
    return wanted / (EPSILON + norm)


cdef void constrain_lines(Constrained *job, ptrdiff_t index, const real *kind) noexcept nogil:
    """One task: a block of elements, of contiguous lines, or FNN_COLUMNS columns of one matrix."""
    cdef Constraint *c = job.constraint
    cdef real *w = <real *>job.w
    cdef ptrdiff_t columns, first, i
    cdef double sums[FNN_COLUMNS]
    cdef fnn_step plain
    if c.kind == NON_NEGATIVE:
        first = index * BLOCK
        fnn_non_negative(min(<ptrdiff_t>BLOCK, c.outer * c.reduced * c.inner - first), w + first)
    elif c.inner == 1:
        plain.unscale = plain.steps = plain.scale = 1
        plain.l1 = plain.l2 = plain.clip = plain.decay = plain.ema = 0
        plain.overwrite = 0
        for i in range(index * job.lines, min((index + 1) * job.lines, c.outer)):
            w = (<real *>job.w) + i * c.reduced
            sums[0] = fnn_step_squares(c.reduced, w, w, <const real *>NULL, &plain)
            fnn_scale_piece(c.reduced, w, norm_factor(norm_of(sums[0], c.reduced, w, 1), c))
    else:
        columns = (c.inner + FNN_COLUMNS - 1) // FNN_COLUMNS
        first = index % columns * FNN_COLUMNS
        w += index // columns * c.reduced * c.inner + first
        columns = min(<ptrdiff_t>FNN_COLUMNS, c.inner - first)
        fnn_column_squares(c.reduced, columns, c.inner, w, sums)
        for i in range(FNN_COLUMNS):
            sums[i] = norm_factor(norm_of(sums[i], c.reduced, w + i, c.inner), c)
        fnn_scale_columns(c.reduced, columns, c.inner, w, sums)


cdef void constrain_task(void *context, int64_t index, int worker) noexcept nogil:
    cdef Constrained *job = <Constrained *>context
    if job.wide:
        constrain_lines(job, index, <double *>NULL)
    else:
        constrain_lines(job, index, <float *>NULL)


cdef void constrain(void *w, int wide, Constraint *constraint) noexcept nogil:
    cdef Constrained job
    cdef Constraint *c = constraint
    cdef ptrdiff_t size = c.outer * c.reduced * c.inner, tasks
    job.w = <char *>w
    job.wide = wide
    job.constraint = c
    job.lines = max(<ptrdiff_t>1, BLOCK // max(<ptrdiff_t>1, c.reduced))
    if size == 0:
        return
    if c.kind == NON_NEGATIVE:
        tasks = (size + BLOCK - 1) // BLOCK
    elif c.inner == 1:
        tasks = (c.outer + job.lines - 1) // job.lines
    else:
        tasks = c.outer * ((c.inner + FNN_COLUMNS - 1) // FNN_COLUMNS)
    parallel(constrain_task, &job, tasks, get_threads() if size >= THREADED else 1)


cdef Constraint constraint_of(tuple given, ptrdiff_t size) except *:
    """(kind, minimum, maximum, rate, outer, reduced, inner) of `size` elements as a struct; None for no constraint."""
    cdef Constraint c
    c.kind = FREE
    c.minimum, c.maximum, c.rate, c.outer, c.reduced, c.inner = 0, INFINITY, 1, 1, 1, 1
    if given is not None:
        kind, c.minimum, c.maximum, c.rate, c.outer, c.reduced, c.inner = given
        c.kind = NON_NEGATIVE if kind == "non_negative" else NORM
        if (min(c.outer, c.reduced, c.inner) < 0
                or <object>c.outer * <object>c.reduced * <object>c.inner != size):
            raise ValueError("the constraint's extents are not those of the array")
        if size == 0:
            c.kind = FREE  # the other extents may be anything
    return c


def constrain_array(real[::1] w not None, tuple constraint):
    """Bring w under a constraint, in place."""
    cdef Constraint c = constraint_of(constraint, w.shape[0])
    expect_vector("w", w, w.shape[0])
    if w.shape[0] and c.kind != FREE:
        with nogil:
            constrain(&w[0], sizeof(real) == sizeof(double), &c)
