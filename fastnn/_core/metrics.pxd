from libc.stdint cimport int32_t

from fastnn._core.kernels cimport real

# The kinds of metrics, rows of ROWS in metrics.pyx
cdef enum:
    ACCURACY
    BINARY_ACCURACY
    CATEGORICAL_ACCURACY
    SPARSE_CATEGORICAL_ACCURACY
    TOP_K_CATEGORICAL_ACCURACY
    SPARSE_TOP_K_CATEGORICAL_ACCURACY
    COSINE_SIMILARITY
    RECALL_AT_K
    MRR
    NDCG
    METRICS

# What y_true holds: 'R', rows y_true[rows, d] of y_pred's precision, or 'L', labels y_true[rows] int32 in 0..d-1
cdef char metric_layout(int kind) noexcept nogil

# values[rows] of y_pred[rows, d], d >= 1; parameters as ROWS names them
cdef void metric_values(int kind, ptrdiff_t rows, ptrdiff_t d, const void *y_true, const real *y_pred, double *values,
                        const double *parameters) noexcept nogil

# state[0] += sum w v / positions and state[1] += sum w / positions; weights NULL: all 1. `rows` is the whole batch: the
# order of a sum depends on how many numbers it has. positions is how many rows make up a sample, 1 for y_pred[N, d].
cdef void add_values(double *state, ptrdiff_t rows, const double *values, const double *weights,
                     ptrdiff_t positions) noexcept nogil
