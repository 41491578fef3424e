from libc.stdint cimport int32_t, int64_t

from fastnn._core.kernels cimport real

cdef enum Source:
    COPIED                        # of the target's own type
    FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64

cdef struct Table:
    # Samples that lie in memory one behind the other, or at a distance
    const char *data
    ptrdiff_t stride, size, bytes  # bytes from one sample to the next; elements and bytes of a sample
    Source source
    bint contiguous

cdef enum:
    FETCHED_BY_ALL = 128 << 10    # bytes of a batch that several threads gather

cdef struct Fetch:
    # Samples order[begin + r] of a table, or begin + r where there is no order, into rows of y
    const Table *table
    const int64_t *order
    ptrdiff_t begin, rows, block   # `block` rows are a task
    void *y

# Whether batches need no gathering, since they lie in the table as they are wanted
cdef inline bint lies_ready(const Table *t, const int64_t *order) noexcept nogil:
    return t.contiguous and t.source == COPIED and order == NULL

# Task `index` of a fetch
cdef void fetch_block(const Fetch *job, int64_t index, const real *tag) noexcept nogil
# y[rows] = samples order[begin], order[begin + 1], ... (order NULL: begin, begin + 1, ...) in the precision of y
cdef void fetch(const Table *t, const int64_t *order, ptrdiff_t begin, ptrdiff_t rows, real *y,
                int threads) noexcept nogil
# The same side by side as they are, of whatever type
cdef void gather(const Table *t, const int64_t *order, ptrdiff_t begin, ptrdiff_t rows, char *y) noexcept nogil
# Whether none of x has an exponent of all ones, as NaN and the infinities do
cdef bint is_finite(const real *x, ptrdiff_t n) noexcept nogil
# labels = y, of NumPy's type number `kind`; false if that is neither int32 nor int64, or if one of them is neither in
# 0 .. classes - 1 nor, where there is such a one, `ignored`
cdef bint take_labels(int kind, ptrdiff_t n, const void *y, int64_t classes, bint ignores, int64_t ignored,
                      int32_t *labels) noexcept nogil

cdef class Batches:
    cdef readonly object x, y, weights, order, true_shape, weight_shape, dtype
    cdef readonly ptrdiff_t n, size
    cdef tuple pins               # of the arrays
    cdef Table x_table, y_table, w_table
    cdef const int64_t *rows

    cdef int check(self, array, str name) except -1
    cdef bint has_labels(self, int64_t classes, bint ignores, int32_t ignored) noexcept
