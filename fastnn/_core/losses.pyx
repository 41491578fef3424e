"""Losses and their gradients over whole batches: rows in fixed chunks over threads, values summed in a fixed order."""

from libc.stdint cimport int32_t, int64_t

from fastnn._core.checks cimport (
    expect_aligned,
    expect_below,
    expect_length,
    expect_matrix,
    expect_parameters,
    expect_vector,
)
from fastnn._core.kernels cimport chosen_table, fnn, get_threads, parallel, real

fnn = chosen_table()

ROWS = [
    {
        "name": fnn.loss_rows[i].name.decode(),
        "formula": fnn.loss_rows[i].formula.decode(),
        "parameters": fnn.loss_rows[i].parameters.decode(),
        "kinks": fnn.loss_rows[i].kinks.decode(),
        "layout": chr(fnn.loss_rows[i].layout),
        "reduction": chr(fnn.loss_rows[i].reduction),
    }
    for i in range(FNN_LOSSES)
]

# Elements of y_pred that one task takes, and from which two threads are worth waking
cdef enum:
    CHUNK = 16384
    WORTH_THREADS = 65536


# ---------------------------------------------------------------------------------------------------- rows over threads

cdef struct Batch:
    int kind
    ptrdiff_t rows
    ptrdiff_t d
    ptrdiff_t chunk          # rows of a task
    ptrdiff_t true_bytes     # of a sample of y_true
    ptrdiff_t pred_elements  # of a sample of y_pred
    const char *y_true
    const void *y_pred
    double *values
    void *dy
    const double *scale
    double common
    const double *parameters


cdef void run_chunk(const Batch *b, int64_t index, const real *y_pred, real *dy) noexcept nogil:
    cdef ptrdiff_t first = index * b.chunk
    cdef ptrdiff_t rows = min(b.chunk, b.rows - first)
    cdef ptrdiff_t at = first * b.pred_elements
    fnn_loss(
        b.kind,
        rows,
        b.d,
        b.y_true + first * b.true_bytes if b.y_true != NULL else NULL,
        y_pred + at,
        b.values + first if b.values != NULL else NULL,
        dy + at if dy != NULL else NULL,
        b.scale + first if b.scale != NULL else NULL,
        b.common,
        b.parameters,
    )


cdef void float_chunk(void *context, int64_t index, int worker) noexcept nogil:
    cdef const Batch *b = <const Batch *>context
    run_chunk(b, index, <const float *>b.y_pred, <float *>b.dy)


cdef void double_chunk(void *context, int64_t index, int worker) noexcept nogil:
    cdef const Batch *b = <const Batch *>context
    run_chunk(b, index, <const double *>b.y_pred, <double *>b.dy)


cdef void loss_and_gradient(int kind, ptrdiff_t rows, ptrdiff_t d, const void *y_true, const real *y_pred,
                            double *values, real *dy, const double *scale, double common,
                            const double *parameters) noexcept nogil:
    cdef char layout = fnn.loss_rows[kind].layout
    cdef Batch b
    b.pred_elements = 3 * d if layout == c"T" else 2 * d if layout == c"P" else d
    if rows * b.pred_elements < WORTH_THREADS or get_threads() == 1:
        fnn_loss(kind, rows, d, y_true, y_pred, values, dy, scale, common, parameters)
        return
    b.true_bytes = (
        d * <ptrdiff_t>sizeof(real) if layout == c"R"
        else <ptrdiff_t>sizeof(int32_t) if layout == c"L"
        else <ptrdiff_t>sizeof(real) if layout == c"P"
        else 0
    )
    b.kind, b.rows, b.d = kind, rows, d
    b.chunk = max(CHUNK // b.pred_elements, 1)
    b.y_true, b.y_pred, b.values, b.dy = <const char *>y_true, y_pred, values, dy
    b.scale, b.common, b.parameters = scale, common, parameters
    parallel(float_chunk if real is float else double_chunk, &b, (rows + b.chunk - 1) // b.chunk, get_threads())


cdef double weighted_sum(ptrdiff_t n, const double *values, const double *weights) noexcept nogil:
    cdef double lane[16]
    cdef ptrdiff_t i = 0, j, width = 8
    for j in range(16):
        lane[j] = 0
    while i + 16 <= n:
        if weights != NULL:
            for j in range(16):
                lane[j] += values[i + j] * weights[i + j]
        else:
            for j in range(16):
                lane[j] += values[i + j]
        i += 16
    for j in range(n - i):
        lane[j] += values[i + j] * weights[i + j] if weights != NULL else values[i + j]
    while width:
        for j in range(width):
            lane[j] += lane[j + width]
        width //= 2
    return lane[0]


# ------------------------------------------------------------------------------------------ triplets found in a batch

cdef struct Mining:
    ptrdiff_t B
    ptrdiff_t d
    const void *x
    const int32_t *labels
    double *values
    int32_t *found
    double *distance
    double *weight
    const double *scale
    double common
    void *dx
    const double *parameters


cdef void mine_anchor(const Mining *m, int64_t i, const real *x) noexcept nogil:
    m.found[i] = fnn_mine(
        i, m.B, m.d, x, m.labels, m.values + i, m.distance + i * m.B, m.weight + i * m.B, m.parameters
    )


cdef void gradient_of_row(const Mining *m, int64_t i, const real *x, real *dx) noexcept nogil:
    fnn_mined_gradient(i, m.B, m.d, x, m.distance, m.weight, m.scale, m.common, dx + i * m.d, m.parameters)


cdef void float_anchor(void *context, int64_t index, int worker) noexcept nogil:
    cdef const Mining *m = <const Mining *>context
    mine_anchor(m, index, <const float *>m.x)


cdef void double_anchor(void *context, int64_t index, int worker) noexcept nogil:
    cdef const Mining *m = <const Mining *>context
    mine_anchor(m, index, <const double *>m.x)


cdef void float_row(void *context, int64_t index, int worker) noexcept nogil:
    cdef const Mining *m = <const Mining *>context
    gradient_of_row(m, index, <const float *>m.x, <float *>m.dx)


cdef void double_row(void *context, int64_t index, int worker) noexcept nogil:
    cdef const Mining *m = <const Mining *>context
    gradient_of_row(m, index, <const double *>m.x, <double *>m.dx)


cdef int threads_for(ptrdiff_t work) noexcept nogil:
    return 1 if work < WORTH_THREADS else get_threads()


cdef void mined_triplets(ptrdiff_t B, ptrdiff_t d, const real *x, const int32_t *labels, double *values, int32_t *found,
                         double *distance, double *weight, const double *parameters) noexcept nogil:
    cdef Mining m
    m.B, m.d, m.x, m.labels, m.values, m.found = B, d, x, labels, values, found
    m.distance, m.weight, m.parameters = distance, weight, parameters
    parallel(float_anchor if real is float else double_anchor, &m, B, threads_for(B * B * d))


cdef void mined_triplets_gradient(ptrdiff_t B, ptrdiff_t d, const real *x, const double *distance,
                                  const double *weight, const double *scale, double common, real *dx,
                                  const double *parameters) noexcept nogil:
    cdef Mining m
    m.B, m.d, m.x, m.dx, m.scale, m.common = B, d, x, dx, scale, common
    m.distance, m.weight, m.parameters = <double *>distance, <double *>weight, parameters
    parallel(float_row if real is float else double_row, &m, B, threads_for(B * B * d))


# -------------------------------------------------------------------------------------------------------- the boundary

cdef int parameter_counts[64]
assert FNN_LOSSES <= 64
for _i, _row in enumerate(ROWS):
    parameter_counts[_i] = <int>len(_row["parameters"].split())


cdef int expect_rows(int kind, bint labels, ptrdiff_t rows, ptrdiff_t d, ptrdiff_t predictions,
                     const double[::1] parameters) except -1:
    """A kind of this table, and y_pred of `rows` samples as its layout has them."""
    expect_below("kind", kind, FNN_LOSSES)
    expect_parameters(parameters, parameter_counts[kind])
    cdef char layout = fnn.loss_rows[kind].layout
    cdef ptrdiff_t each = 3 if layout == c"T" else 2 if layout == c"P" else 1
    if labels != (layout == c"L"):
        raise ValueError(f"kind: {kind} takes {'numbers' if labels else 'labels'} as y_true; call the other function")
    if not 1 <= d <= predictions or predictions % (each * d) or predictions // (each * d) != rows or (
            kind == FNN_LOSS_margin_ranking and d != 1):
        raise ValueError(f"y_pred: expected {rows} samples of {each} x {d} elements, got {predictions}")
    return 0


cdef int expect_results(ptrdiff_t rows, ptrdiff_t predictions, double[::1] values, ptrdiff_t slopes,
                        const double[::1] scale) except -1:
    """slopes: the length of dy, -1 where there is none."""
    if values is not None:
        expect_vector("values", values, rows)
    if slopes >= 0:
        expect_length("dy", slopes, predictions)
    if scale is not None:
        expect_vector("scale", scale, rows)
    return 0


def evaluate(int kind, ptrdiff_t rows, ptrdiff_t d, const real[::1] y_pred not None, const real[::1] y_true,
             double[::1] values, real[::1] dy, const double[::1] scale, double common,
             const double[::1] parameters not None):
    """values and dy of a batch of flattened samples; either may be None, and so may y_true (triplets) and scale"""
    if rows == 0:
        return
    expect_rows(kind, False, rows, d, y_pred.shape[0], parameters)
    expect_results(rows, y_pred.shape[0], values, -1 if dy is None else dy.shape[0], scale)
    cdef char layout = fnn.loss_rows[kind].layout
    cdef const real *target = NULL
    if y_true is not None:
        target = &y_true[0]
    if layout != c"T":
        expect_length("y_true", -1 if y_true is None else y_true.shape[0], rows * d if layout == c"R" else rows)
        expect_aligned("y_true", target, sizeof(real))
    expect_vector("y_pred", y_pred, y_pred.shape[0])
    cdef double *value = NULL
    cdef real *slope = NULL
    cdef const double *factor = NULL
    if values is not None:
        value = &values[0]
    if dy is not None:
        expect_aligned("dy", &dy[0], sizeof(real))
        slope = &dy[0]
    if scale is not None:
        factor = &scale[0]
    with nogil:
        loss_and_gradient(kind, rows, d, target, &y_pred[0], value, slope, factor, common, &parameters[0])


def evaluate_labels(int kind, ptrdiff_t rows, ptrdiff_t d, const real[::1] y_pred not None,
                    const int32_t[::1] labels not None, double[::1] values, real[::1] dy, const double[::1] scale,
                    double common, const double[::1] parameters not None):
    """The same, where y_true is a class number for each sample"""
    cdef ptrdiff_t r
    cdef bint bad = False
    if rows == 0:
        return
    expect_rows(kind, True, rows, d, y_pred.shape[0], parameters)
    expect_results(rows, y_pred.shape[0], values, -1 if dy is None else dy.shape[0], scale)
    expect_vector("labels", labels, rows)
    expect_vector("y_pred", y_pred, y_pred.shape[0])
    for r in range(rows):
        bad |= not (0 <= labels[r] < d or labels[r] == parameters[0])
    if bad:
        raise ValueError(f"labels: expected 0 .. {d - 1}, or the ignored class")
    cdef double *value = NULL
    cdef real *slope = NULL
    cdef const double *factor = NULL
    if values is not None:
        value = &values[0]
    if dy is not None:
        expect_aligned("dy", &dy[0], sizeof(real))
        slope = &dy[0]
    if scale is not None:
        factor = &scale[0]
    with nogil:
        loss_and_gradient(kind, rows, d, &labels[0], &y_pred[0], value, slope, factor, common, &parameters[0])


def total(const double[::1] values not None, const double[::1] weights) -> float:
    """sum of weights times values; weights may be None for all ones"""
    cdef ptrdiff_t n = values.shape[0]
    if n == 0:
        return 0.0
    expect_vector("values", values, n)
    if weights is None:
        return weighted_sum(n, &values[0], NULL)
    expect_vector("weights", weights, n)
    return weighted_sum(n, &values[0], &weights[0])


def mine(const real[:, ::1] x not None, const int32_t[::1] labels not None, double[::1] values not None,
         int32_t[::1] found not None, double[:, ::1] distance not None, double[:, ::1] weight not None,
         const double[::1] parameters not None):
    """Find triplets in the batch x (fnn_mine)"""
    cdef ptrdiff_t B = x.shape[0]
    if B == 0:
        return
    expect_matrix("x", x, B, x.shape[1])
    expect_vector("labels", labels, B)
    expect_vector("values", values, B)
    expect_vector("found", found, B)
    expect_matrix("distance", distance, B, B)
    expect_matrix("weight", weight, B, B)
    expect_parameters(parameters, 3)
    with nogil:
        mined_triplets(x.shape[0], x.shape[1], &x[0, 0], &labels[0], &values[0], &found[0], &distance[0, 0],
                       &weight[0, 0], &parameters[0])


def mined_gradient(const real[:, ::1] x not None, const double[:, ::1] distance not None,
                   const double[:, ::1] weight not None, const double[::1] scale, double common,
                   real[:, ::1] dx not None, const double[::1] parameters not None):
    """dx of the triplets that mine found; scale may be None"""
    cdef ptrdiff_t B = x.shape[0]
    if B == 0:
        return
    expect_matrix("x", x, B, x.shape[1])
    expect_matrix("distance", distance, B, B)
    expect_matrix("weight", weight, B, B)
    expect_matrix("dx", dx, B, x.shape[1])
    expect_parameters(parameters, 3)
    cdef const double *factor = NULL
    if scale is not None:
        expect_vector("scale", scale, B)
        factor = &scale[0]
    with nogil:
        mined_triplets_gradient(x.shape[0], x.shape[1], &x[0, 0], &distance[0, 0], &weight[0, 0], factor, common,
                                &dx[0, 0], &parameters[0])
