from libc.stdint cimport uint64_t

from fastnn._core.kernels cimport real

cdef extern from "fnn.h" nogil:
    const int FNN_NORM_LAYER, FNN_NORM_VARIANCE, FNN_NORM_RMS
    void fnn_layer_norm(ptrdiff_t n, const void *x, const void *gamma, const void *beta, int kind, double epsilon,
                        void *y, void *saved, ptrdiff_t plane) noexcept
    void fnn_layer_norm_backward(ptrdiff_t n, const void *x, const void *dy, const void *gamma, int kind,
                                 const void *saved, ptrdiff_t plane, void *dx) noexcept
    void fnn_layer_norm_sums(ptrdiff_t rows, ptrdiff_t n, const void *x, ptrdiff_t x_row, const void *dy,
                             ptrdiff_t dy_row, int kind, const void *saved, ptrdiff_t plane, bint add, void *dgamma,
                             void *dbeta) noexcept
    void fnn_batch_statistics(ptrdiff_t rows, ptrdiff_t n, const void *x, ptrdiff_t x_row, double epsilon,
                              void *variance, void *saved, ptrdiff_t plane) noexcept
    void fnn_batch_scaling(ptrdiff_t n, const void *mean, const void *variance, double epsilon, void *saved,
                           ptrdiff_t plane) noexcept
    void fnn_batch_norm(ptrdiff_t rows, ptrdiff_t n, const void *x, const void *saved, ptrdiff_t plane,
                        const void *gamma, const void *beta, void *y) noexcept
    void fnn_batch_norm_sums(ptrdiff_t rows, ptrdiff_t n, const void *x, ptrdiff_t x_row, const void *dy,
                             ptrdiff_t dy_row, const void *saved, ptrdiff_t plane, bint add, void *dgamma,
                             void *dbeta) noexcept
    void fnn_batch_norm_backward(ptrdiff_t rows, ptrdiff_t n, const void *x, const void *dy, const void *saved,
                                 ptrdiff_t plane, const void *gamma, const void *dot, const void *sum, ptrdiff_t batch,
                                 void *dx) noexcept
    void fnn_moving_average(ptrdiff_t n, double momentum, const void *x, void *average) noexcept
    void fnn_colsum(ptrdiff_t rows, ptrdiff_t n, const void *x, ptrdiff_t x_row, bint add, void *y) noexcept
    void fnn_add(ptrdiff_t n, const void *a, const void *b, void *y) noexcept
    void fnn_dropout(ptrdiff_t n, double rate, uint64_t seed, uint64_t stream, uint64_t start, const void *x,
                     void *y) noexcept
    void fnn_add_noise(ptrdiff_t n, double stddev, uint64_t seed, uint64_t stream, uint64_t start, const void *x,
                       void *y) noexcept
    double fnn_dot(ptrdiff_t n, const void *a, const void *b) noexcept
    void fnn_project_out(ptrdiff_t n, const void *u, void *x) noexcept

# Shapes: x, y, dx, dy [rows, n], contiguous; gamma, beta and their gradients [n], or NULL.

# saved [3, rows]
cdef void layer_norm_forward(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *gamma, const real *beta, int kind,
                             double epsilon, real *y, real *saved) noexcept nogil
cdef void layer_norm_backward(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *dy, const real *gamma, int kind,
                              const real *saved, real *dx, real *dgamma, real *dbeta, bint add) noexcept nogil

# saved [3, n]; statistics of the batch, then forward; or fnn_batch_scaling of the moving ones, then forward
cdef void batch_norm_statistics(ptrdiff_t rows, ptrdiff_t n, const real *x, double epsilon, real *variance,
                                real *saved) noexcept nogil
cdef void batch_norm_forward(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *saved, const real *gamma,
                             const real *beta, real *y) noexcept nogil
# sums [2, n] is working space, NULL where the statistics were not the batch's own
cdef void batch_norm_backward(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *dy, const real *saved,
                              const real *gamma, real *sums, real *dx, real *dgamma, real *dbeta,
                              bint add) noexcept nogil
cdef void batch_norm_commit(ptrdiff_t n, double momentum, const real *saved, const real *variance, real *moving_mean,
                            real *moving_variance) noexcept nogil

cdef void column_sums(ptrdiff_t rows, ptrdiff_t n, const real *x, real *y, bint add) noexcept nogil
cdef void add_to_rows(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *b, real *y) noexcept nogil

# x, y [n]: elements start .. start + n - 1 of the whole batch
cdef void drop_out(ptrdiff_t n, double rate, uint64_t seed, uint64_t stream, uint64_t start, const real *x,
                   real *y) noexcept nogil
cdef void gaussian_noise(ptrdiff_t n, double stddev, uint64_t seed, uint64_t stream, uint64_t start, const real *x,
                         real *y) noexcept nogil
