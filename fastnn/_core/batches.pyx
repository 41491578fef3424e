"""Samples in memory: looked at, and gathered batch by batch, converted to the engine's precision."""

cimport cython
cimport numpy as cnp
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fastnn._core.checks cimport expect_vector, pinned
from fastnn._core.kernels cimport chosen_table, fnn, get_threads, parallel, real

import numpy as np

cnp.import_array()
fnn = chosen_table()

cdef extern from "fnn.h" nogil:
    enum:
        FNN_MOST_THREADS

cdef enum:
    LOOKED_AT = 64 << 10          # elements that a thread takes at a time while it looks for NaN

ctypedef fused number:
    float
    double
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t

ctypedef fused whole:
    int32_t
    int64_t

SOURCES = {
    np.dtype(name): source
    for name, source in {
        "float32": FLOAT32, "float64": FLOAT64, "int8": INT8, "int16": INT16, "int32": INT32, "int64": INT64,
        "uint8": UINT8, "uint16": UINT16, "uint32": UINT32, "uint64": UINT64, "bool": UINT8,
    }.items()
}  # fmt: skip


cdef void convert(const number *x, ptrdiff_t n, real *y) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(n):
        y[i] = <real>x[i]


cdef void fetch_sample(const Table *t, const char *x, real *y) noexcept nogil:
    if t.source == FLOAT32:
        convert(<const float *>x, t.size, y)
    elif t.source == FLOAT64:
        convert(<const double *>x, t.size, y)
    elif t.source == UINT8:
        convert(<const uint8_t *>x, t.size, y)
    elif t.source == INT64:
        convert(<const int64_t *>x, t.size, y)
    elif t.source == INT32:
        convert(<const int32_t *>x, t.size, y)
    elif t.source == INT8:
        convert(<const int8_t *>x, t.size, y)
    elif t.source == INT16:
        convert(<const int16_t *>x, t.size, y)
    elif t.source == UINT16:
        convert(<const uint16_t *>x, t.size, y)
    elif t.source == UINT32:
        convert(<const uint32_t *>x, t.size, y)
    elif t.source == UINT64:
        convert(<const uint64_t *>x, t.size, y)


cdef inline void gather_sized(const Table *t, const int64_t *order, ptrdiff_t begin, ptrdiff_t rows, char *y,
                              ptrdiff_t bytes) noexcept nogil:
    cdef ptrdiff_t r, sample
    for r in range(rows):
        sample = order[begin + r] if order != NULL else begin + r
        memcpy(y + r * bytes, t.data + sample * t.stride, bytes)


cdef void gather(const Table *t, const int64_t *order, ptrdiff_t begin, ptrdiff_t rows, char *y) noexcept nogil:
    """Samples order[begin], order[begin + 1], ... (order NULL: begin, begin + 1, ...) side by side, of whatever type"""
    if t.bytes == 4:              # a label, a number or two: with a size that is known no call is made for each
        gather_sized(t, order, begin, rows, y, 4)
    elif t.bytes == 8:
        gather_sized(t, order, begin, rows, y, 8)
    else:
        gather_sized(t, order, begin, rows, y, t.bytes)


cdef void fetch_block(const Fetch *job, int64_t index, const real *tag) noexcept nogil:
    cdef const Table *t = job.table
    cdef ptrdiff_t first = index * job.block, end = min(first + job.block, job.rows), r, sample
    if t.source == COPIED:
        gather(t, job.order, job.begin + first, end - first, <char *>job.y + first * t.bytes)
        return
    for r in range(first, end):
        sample = job.order[job.begin + r] if job.order != NULL else job.begin + r
        fetch_sample(t, t.data + sample * t.stride, <real *>job.y + r * t.size)


cdef void fetch_floats(void *context, int64_t index, int worker) noexcept nogil:
    fetch_block(<const Fetch *>context, index, <const float *>NULL)


cdef void fetch_doubles(void *context, int64_t index, int worker) noexcept nogil:
    fetch_block(<const Fetch *>context, index, <const double *>NULL)


cdef void fetch(const Table *t, const int64_t *order, ptrdiff_t begin, ptrdiff_t rows, real *y,
                int threads) noexcept nogil:
    cdef Fetch job
    cdef ptrdiff_t bytes = rows * t.size * <ptrdiff_t>sizeof(real)
    job.table, job.order, job.begin, job.rows, job.y = t, order, begin, rows, y
    job.block = rows if bytes < FETCHED_BY_ALL else (rows + threads - 1) // threads
    if job.block == rows:
        fetch_block(&job, 0, y)
    else:
        parallel(fetch_floats if real is float else fetch_doubles, &job, (rows + job.block - 1) // job.block, threads)


cdef Table table_of(cnp.ndarray array, type_of_target) except *:
    """An array of samples, each of which is contiguous."""
    cdef Table t
    t.data, t.size = <const char *>cnp.PyArray_DATA(array), 1
    for n in array.shape[1:array.ndim]:
        t.size *= n
    t.bytes = t.size * array.itemsize
    t.stride = array.strides[0] if array.ndim and array.shape[0] > 1 else t.bytes
    t.source = COPIED if array.dtype == type_of_target else SOURCES[array.dtype]
    t.contiguous = t.stride == t.bytes
    return t


cdef bint is_finite(const real *x, ptrdiff_t n) noexcept nogil:
    """Whether none of x has an exponent of all ones, as NaN and the infinities do."""
    cdef ptrdiff_t i
    cdef int32_t word, bad = 0
    cdef int64_t long_word, long_bad = 0, exponent = <int64_t>0x7FF << 52
    if real is float:
        for i in range(n):
            memcpy(&word, x + i, sizeof(word))
            bad |= (word & 0x7F800000) == 0x7F800000
    else:
        for i in range(n):
            memcpy(&long_word, x + i, sizeof(long_word))
            long_bad |= (long_word & exponent) == exponent
    return not (bad or long_bad)


cdef struct Look:
    # For NaN and infinities, in pieces
    const void *x
    ptrdiff_t n
    bint wide
    bint found[FNN_MOST_THREADS]   # by each thread


cdef void look_at_piece(void *context, int64_t index, int worker) noexcept nogil:
    cdef Look *job = <Look *>context
    cdef ptrdiff_t begin = index * LOOKED_AT, n = min(<ptrdiff_t>LOOKED_AT, job.n - begin)
    if job.found[worker]:
        return
    if job.wide:
        job.found[worker] = not is_finite(<const double *>job.x + begin, n)
    else:
        job.found[worker] = not is_finite(<const float *>job.x + begin, n)


cdef bint are_finite(const real *x, ptrdiff_t n) noexcept nogil:
    """is_finite by all threads"""
    cdef Look job
    cdef int i, threads = get_threads()
    if n <= LOOKED_AT:
        return is_finite(x, n)
    memset(job.found, 0, sizeof(job.found))
    job.x = x
    job.n, job.wide = n, real is double
    parallel(look_at_piece, &job, (n + LOOKED_AT - 1) // LOOKED_AT, threads)
    for i in range(threads):
        if job.found[i]:
            return False
    return True


def all_finite(const real[::1] x not None) -> bool:
    """Whether x holds no NaN and no infinity."""
    expect_vector("x", x, x.shape[0])
    cdef bint finite = True
    if x.shape[0]:
        with nogil:
            finite = are_finite(&x[0], x.shape[0])
    return finite


cdef bint copy_labels(ptrdiff_t n, const whole *y, int64_t classes, bint ignores, int64_t ignored,
                      int32_t *labels) noexcept nogil:
    cdef ptrdiff_t i
    cdef bint bad = False
    for i in range(n):
        labels[i] = <int32_t>y[i]
        bad |= not (0 <= y[i] < classes or ignores and y[i] == ignored)
    return not bad


cdef bint take_labels(int kind, ptrdiff_t n, const void *y, int64_t classes, bint ignores, int64_t ignored,
                      int32_t *labels) noexcept nogil:
    if kind == cnp.NPY_INT64:
        return copy_labels(n, <const int64_t *>y, classes, ignores, ignored, labels)
    return kind == cnp.NPY_INT32 and copy_labels(n, <const int32_t *>y, classes, ignores, ignored, labels)


def labels_of(cnp.ndarray y not None, int64_t classes, ignored):
    """Class numbers 0 .. classes - 1, or `ignored` if that is not None, as int32; None where y has others, or is not
    int32 or int64 in one piece."""
    cdef bint ignores = ignored is not None, good
    cdef int64_t label = ignored or 0
    cdef const void *given = cnp.PyArray_DATA(y)
    cdef ptrdiff_t n = cnp.PyArray_SIZE(y)
    cdef int kind = cnp.PyArray_TYPE(y)
    cdef cnp.ndarray out
    cdef int32_t *labels
    if not cnp.PyArray_ISCARRAY_RO(y):
        return None
    out = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(y), cnp.PyArray_DIMS(y), cnp.NPY_INT32, False)
    labels = <int32_t *>cnp.PyArray_DATA(out)
    with nogil:
        good = take_labels(kind, n, given, classes, ignores, label, labels)
    return out if good else None


cdef bint are_in_range(const int64_t *x, ptrdiff_t n, int64_t end) noexcept nogil:
    """Whether all of x is in 0 .. end - 1."""
    cdef ptrdiff_t i
    cdef int outside = 0
    for i in range(n):
        outside |= not 0 <= x[i] < end
    return not outside


@cython.final
@cython.no_gc_clear
cdef class Batches:
    """Samples in memory, cut into batches of `size`: x of any plain type, each sample of it contiguous.

    y is None, int32 labels, of the engine's precision, or, for a loss in Python, of any plain type; weights float64,
    one for each loss, or None; both are C-contiguous. order holds the number of a sample for each sample, as int64, or
    is None for the samples as they lie.
    """

    def __cinit__(self, cnp.ndarray x not None, y, weights, ptrdiff_t size, dtype):
        if size < 1:
            raise ValueError(f"size: expected at least 1 sample a batch, got {size}")
        if not (x.ndim and x.dtype in SOURCES and x.flags.aligned):
            raise ValueError(f"x: expected plain numbers, samples along the first axis, got {x!r}")
        if len(x) and not x[0].flags.c_contiguous:
            raise ValueError("x: expected samples that are contiguous, each by itself")
        self.x, self.y, self.weights, self.size = x, y, weights, size
        self.n, self.dtype = x.shape[0], np.dtype(dtype)
        self.pins = pinned(x), pinned(y), pinned(weights)
        self.x_table = table_of(x, self.dtype)
        if y is not None:
            self.check(y, "y")
            self.y_table = table_of(y, y.dtype)
            self.true_shape = y.shape[1:]
        if weights is not None:
            self.check(weights, "weights")
            self.w_table = table_of(weights, np.float64)
            self.weight_shape = weights.shape[1:]
        self.rows = NULL

    cdef int check(self, array, str name) except -1:
        if not (isinstance(array, np.ndarray) and array.ndim and len(array) == self.n
                and array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative):
            raise ValueError(f"{name}: expected a C-contiguous array of {self.n} samples")
        return 0

    def reorder(self, order):
        """Take the samples in this order from now on; None for as they lie. The caller must not write to it later."""
        cdef cnp.ndarray rows
        self.order, self.rows = None, NULL
        if order is None:
            return
        cdef const int64_t *numbers
        if isinstance(order, np.ndarray) and order.dtype == np.int64 and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>order):
            rows = order  # np.require would take longer than the check of its numbers
        else:
            rows = np.require(order, np.int64, "CA")
        numbers = <const int64_t *>cnp.PyArray_DATA(rows)
        if cnp.PyArray_SIZE(rows) != self.n or not are_in_range(numbers, self.n, self.n):
            raise ValueError(f"order: expected {self.n} numbers of samples, 0 .. {self.n - 1}")
        self.order, self.rows = rows, numbers

    cdef bint has_labels(self, int64_t classes, bint ignores, int32_t ignored) noexcept:
        """Whether y is int32 class numbers 0 .. classes - 1, or `ignored` where that may be."""
        cdef cnp.ndarray y = self.y
        cdef ptrdiff_t i, n = cnp.PyArray_SIZE(y)
        cdef const int32_t *labels = <const int32_t *>cnp.PyArray_DATA(y)
        cdef int bad = 0
        if cnp.PyArray_TYPE(y) != cnp.NPY_INT32:
            return False
        for i in range(n):
            bad |= not (0 <= labels[i] < classes or ignores and labels[i] == ignored)
        return not bad

    def __len__(self):
        return (self.n + self.size - 1) // self.size
