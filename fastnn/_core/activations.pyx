"""Activations and their derivatives over whole arrays, element by element or row by row.

Arrays are cut into chunks of one size, whatever the number of threads, and no sum goes across chunks.
"""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.string cimport memset

from fastnn._core.checks cimport (
    expect_below,
    expect_like,
    expect_matrix,
    expect_parameters,
    expect_reals,
    expect_vector,
)
from fastnn._core.kernels cimport chosen_table, fnn, fnn_activation_row, get_threads, parallel, real

cnp.import_array()
fnn = chosen_table()

cdef enum:
    CHUNK = 16384             # elements that a thread takes at a time: they and their results fit its own cache
    CHUNK_COLUMNS = 64        # of prelu's slopes
    NO_KIND = -1              # of an operation that is in no table
    LEAST_WORK = 1 << 17      # elements that are worth a second thread: some ten microseconds

cdef enum Operation:
    ACTIVATE, DIFFERENTIATE, ACTIVATE_ROWS, DIFFERENTIATE_ROWS, PRELU, PRELU_DERIVATIVE, PRELU_SLOPES

# x (or xy), dy, y (or dx), slope and p as fnn.h has them. There are `count` elements, rows or columns, `step` a chunk;
# n is the length of a row of x, out_n of y, and 1 for elements and columns.
cdef struct Work:
    Operation operation
    bint wide                 # double
    int kind
    ptrdiff_t count, step, n, out_n, rows
    const void *x
    const void *dy
    const void *slope
    void *y
    const double *p


cdef void piece(const Work *w, ptrdiff_t start, ptrdiff_t count, const real *precision) noexcept nogil:
    """`count` of the elements, rows or columns, from `start` on."""
    cdef const real *x = <const real *>w.x + start * w.n
    cdef const real *dy = <const real *>w.dy
    cdef const real *slope = <const real *>w.slope
    cdef real *y = <real *>w.y
    if w.operation == ACTIVATE:
        fnn_activation(w.kind, count, x, y + start, w.p)
    elif w.operation == DIFFERENTIATE:
        fnn_derivative(w.kind, count, x, dy + start, y + start, w.p)
    elif w.operation == ACTIVATE_ROWS:
        fnn_row_activation(w.kind, count, w.n, x, y + start * w.out_n)
    elif w.operation == DIFFERENTIATE_ROWS:
        fnn_row_derivative(w.kind, count, w.n, x, dy + start * w.out_n, y + start * w.n)
    elif w.operation == PRELU:
        fnn_prelu(count, w.n, x, slope, y + start * w.n)
    elif w.operation == PRELU_DERIVATIVE:
        fnn_prelu_derivative(count, w.n, x, slope, dy + start * w.n, y + start * w.n)
    else:
        fnn_prelu_slopes(w.rows, count, w.count, x, dy + start, y + start)


cdef inline void do_part(const Work *w, ptrdiff_t start, ptrdiff_t count) noexcept nogil:
    if w.wide:
        piece(w, start, count, <const double *>NULL)
    else:
        piece(w, start, count, <const float *>NULL)


cdef void chunk(void *context, int64_t index, int worker) noexcept nogil:
    cdef const Work *w = <const Work *>context
    cdef ptrdiff_t start = index * w.step
    do_part(w, start, w.step if w.step < w.count - start else w.count - start)


cdef inline void run(Work *w, ptrdiff_t work, int threads) noexcept nogil:
    """All of it, on several threads where that pays."""
    if work < LEAST_WORK or threads <= 1:
        if w.count > 0:
            do_part(w, 0, w.count)
    else:
        parallel(chunk, w, (w.count + w.step - 1) // w.step, threads)


cdef inline Work elements(Operation operation, int kind, ptrdiff_t n, bint wide) noexcept nogil:
    """Work on n elements; what it reads and writes is still to be filled in."""
    cdef Work w
    memset(&w, 0, sizeof(w))
    w.operation, w.wide, w.kind, w.count, w.step, w.n, w.out_n = operation, wide, kind, n, CHUNK, 1, 1
    return w


cdef inline Work whole_rows(Operation operation, int kind, ptrdiff_t rows, ptrdiff_t n, bint wide) noexcept nogil:
    """Work on rows of length n."""
    cdef Work w = elements(operation, kind, rows, wide)
    w.step, w.n, w.out_n = CHUNK // n if 0 < n <= CHUNK else 1, n, n // 2 if kind == FNN_ROW_glu else n
    return w


cdef void activate(int kind, ptrdiff_t n, const real *x, real *y, const double *p, int threads) noexcept nogil:
    """y[n] = f(x[n])"""
    cdef Work w = elements(ACTIVATE, kind, n, sizeof(real) == 8)
    w.x, w.y, w.p = x, y, p
    run(&w, n, threads)


cdef void differentiate(
    int kind, ptrdiff_t n, const real *xy, const real *dy, real *dx, const double *p, int threads
) noexcept nogil:
    """dx[n] = dy[n] f'(xy[n])"""
    cdef Work w = elements(DIFFERENTIATE, kind, n, sizeof(real) == 8)
    w.x, w.dy, w.y, w.p = xy, dy, dx, p
    run(&w, n, threads)


cdef void activate_rows(int kind, ptrdiff_t rows, ptrdiff_t n, const real *x, real *y, int threads) noexcept nogil:
    """y[rows, n] = f(x[rows, n]); glu: y[rows, n / 2]"""
    cdef Work w = whole_rows(ACTIVATE_ROWS, kind, rows, n, sizeof(real) == 8)
    w.x, w.y = x, y
    run(&w, rows * n, threads)


cdef void differentiate_rows(
    int kind, ptrdiff_t rows, ptrdiff_t n, const real *xy, const real *dy, real *dx, int threads
) noexcept nogil:
    """dx[rows, n] = dy[rows, n] df/dx; glu: dy[rows, n / 2]"""
    cdef Work w = whole_rows(DIFFERENTIATE_ROWS, kind, rows, n, sizeof(real) == 8)
    w.x, w.dy, w.y = xy, dy, dx
    run(&w, rows * n, threads)


cdef void prelu_activate(
    ptrdiff_t rows, ptrdiff_t n, const real *x, const real *slope, real *y, int threads
) noexcept nogil:
    """y[rows, n] = x where x > 0, else slope[n] x"""
    cdef Work w = whole_rows(PRELU, NO_KIND, rows, n, sizeof(real) == 8)
    w.x, w.slope, w.y = x, slope, y
    run(&w, rows * n, threads)


cdef void prelu_differentiate(
    ptrdiff_t rows, ptrdiff_t n, const real *x, const real *slope, const real *dy, real *dx, real *dslope, int threads
) noexcept nogil:
    """dslope[n] = sum over rows of dy min(x, 0); dx[rows, n] = dy where x > 0, else slope[n] dy. dx may be dy."""
    cdef Work w = elements(PRELU_SLOPES, NO_KIND, n, sizeof(real) == 8)
    w.step, w.rows, w.x, w.dy, w.y = CHUNK_COLUMNS, rows, x, dy, dslope
    run(&w, rows * n, threads)
    w = whole_rows(PRELU_DERIVATIVE, NO_KIND, rows, n, sizeof(real) == 8)
    w.x, w.slope, w.dy, w.y = x, slope, dy, dx
    run(&w, rows * n, threads)


# -------------------------------------------------------------------------------------------------------- for Python


cdef dict row_of(const fnn_activation_row *row):
    return {
        "name": row.name.decode(),
        "formula": row.formula.decode(),
        "range": row.range.decode(),
        "parameters": row.parameters.decode(),
        "kinks": row.kinks.decode(),
        "reads": chr(row.reads),
    }


ROWS = [row_of(&fnn.activation_rows[i]) for i in range(FNN_ACTIVATIONS)]
ROW_ROWS = [row_of(&fnn.row_activation_rows[i]) for i in range(FNN_ROW_ACTIVATIONS)]
MATHS = FNN_MATH_NAMES.decode().split()
cdef int math_count = <int>len(MATHS)
cdef int parameter_counts[64]
assert FNN_ACTIVATIONS <= 64
for _i, _row in enumerate(ROWS):
    parameter_counts[_i] = <int>len(_row["parameters"].split())


cdef int expect_activation(int kind, const double[::1] parameters) except -1:
    expect_below("kind", kind, FNN_ACTIVATIONS)
    return expect_parameters(parameters, parameter_counts[kind])


# Contiguous arrays of one precision, as they are: a memory view of each would take as long as a thousand elements.

cdef inline bint is_wide(cnp.ndarray array):
    return cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT64


cdef inline Work rows_of(Operation operation, int kind, cnp.ndarray x) except *:
    """Work on the rows along the last axis."""
    expect_below("kind", kind, FNN_ROW_ACTIVATIONS)
    expect_reals("x", x)
    if x.ndim == 0:
        raise ValueError("x: expected rows, got a number")
    cdef ptrdiff_t n = x.shape[x.ndim - 1]
    if kind == FNN_ROW_glu and n % 2:
        raise ValueError(f"x: glu takes rows of two halves, got {n} columns")
    return whole_rows(operation, kind, cnp.PyArray_SIZE(x) // n if n else 0, n, is_wide(x))


def forward(int kind, cnp.ndarray x not None, cnp.ndarray y not None, const double[::1] parameters not None):
    """y = f(x), of one shape; y may be x."""
    expect_activation(kind, parameters)
    expect_like("y", y, expect_reals("x", x), cnp.PyArray_SIZE(x))
    cdef Work w = elements(ACTIVATE, kind, cnp.PyArray_SIZE(x), is_wide(x))
    w.x, w.y, w.p = cnp.PyArray_DATA(x), cnp.PyArray_DATA(y), &parameters[0]
    with nogil:
        run(&w, w.count, get_threads())


def derivative(
    int kind, cnp.ndarray xy not None, cnp.ndarray dy not None, cnp.ndarray dx not None,
    const double[::1] parameters not None
):
    """dx = dy f', of one shape, from xy: y or x, whichever the row reads. dx may be dy or xy."""
    cdef int precision = expect_reals("xy", xy)
    expect_activation(kind, parameters)
    expect_like("dy", dy, precision, cnp.PyArray_SIZE(xy), False)
    expect_like("dx", dx, precision, cnp.PyArray_SIZE(xy))
    cdef Work w = elements(DIFFERENTIATE, kind, cnp.PyArray_SIZE(xy), is_wide(xy))
    w.x, w.dy, w.y = cnp.PyArray_DATA(xy), cnp.PyArray_DATA(dy), cnp.PyArray_DATA(dx)
    w.p = &parameters[0]
    with nogil:
        run(&w, w.count, get_threads())


def row_forward(int kind, cnp.ndarray x not None, cnp.ndarray y not None):
    """y = f of each row along x's last axis; y may be x, but not for glu, whose y is half as wide."""
    cdef Work w = rows_of(ACTIVATE_ROWS, kind, x)
    expect_like("y", y, cnp.PyArray_TYPE(x), w.count * w.out_n)
    w.x, w.y = cnp.PyArray_DATA(x), cnp.PyArray_DATA(y)
    with nogil:
        run(&w, w.count * w.n, get_threads())


def row_derivative(int kind, cnp.ndarray xy not None, cnp.ndarray dy not None, cnp.ndarray dx not None):
    """dx = dy times the Jacobian of each row of the last axis, from xy: y or x. dx may be dy or xy, but not for glu."""
    cdef Work w = rows_of(DIFFERENTIATE_ROWS, kind, xy)
    expect_like("dy", dy, cnp.PyArray_TYPE(xy), w.count * w.out_n, False)
    expect_like("dx", dx, cnp.PyArray_TYPE(xy), w.count * w.n)
    w.x, w.dy, w.y = cnp.PyArray_DATA(xy), cnp.PyArray_DATA(dy), cnp.PyArray_DATA(dx)
    with nogil:
        run(&w, w.count * w.n, get_threads())


def prelu_forward(const real[:, ::1] x not None, const real[::1] slope not None, real[:, ::1] y not None):
    """y = x where x > 0, else slope x, with a slope for each column; y may be x."""
    expect_matrix("x", x, x.shape[0], x.shape[1])
    expect_vector("slope", slope, x.shape[1])
    expect_matrix("y", y, x.shape[0], x.shape[1])
    if x.shape[0] and x.shape[1]:
        with nogil:
            prelu_activate(x.shape[0], x.shape[1], &x[0, 0], &slope[0], &y[0, 0], get_threads())


def prelu_derivative(
    const real[:, ::1] x not None, const real[::1] slope not None, const real[:, ::1] dy not None,
    real[:, ::1] dx not None, real[::1] dslope not None
):
    """dx = dy where x > 0, else slope dy; dslope = the sum over rows of dy min(x, 0). dx may be dy."""
    expect_matrix("x", x, x.shape[0], x.shape[1])
    expect_vector("slope", slope, x.shape[1])
    expect_vector("dslope", dslope, x.shape[1])
    expect_matrix("dy", dy, x.shape[0], x.shape[1])
    expect_matrix("dx", dx, x.shape[0], x.shape[1])
    if x.shape[0] == 0 or x.shape[1] == 0:
        dslope[:] = 0
        return
    with nogil:
        prelu_differentiate(
            x.shape[0], x.shape[1], &x[0, 0], &slope[0], &dy[0, 0], &dx[0, 0], &dslope[0], get_threads()
        )


def math(int kind, const real[::1] x not None, real[::1] y not None):
    """y = function MATHS[kind] of csrc/vmath.h of x, for the tests."""
    expect_below("kind", kind, math_count)
    expect_vector("x", x, x.shape[0])
    expect_vector("y", y, x.shape[0])
    if x.shape[0]:
        fnn_math(kind, x.shape[0], &x[0], &y[0])
