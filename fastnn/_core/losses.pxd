from libc.stdint cimport int32_t

from fastnn._core.kernels cimport real

cdef extern from "fnn.h" nogil:
    int FNN_LOSSES
    int FNN_LOSS_margin_ranking
    void fnn_loss(int kind, ptrdiff_t rows, ptrdiff_t d, const void *y_true, const void *y_pred, double *values,
                  void *dy, const double *scale, double common, const double *parameters) noexcept
    int fnn_mine(ptrdiff_t anchor, ptrdiff_t B, ptrdiff_t d, const void *x, const int32_t *labels, double *value,
                 double *distance, double *weight, const double *parameters) noexcept
    void fnn_mined_gradient(ptrdiff_t i, ptrdiff_t B, ptrdiff_t d, const void *x, const double *distance,
                            const double *weight, const double *scale, double common, void *dx,
                            const double *parameters) noexcept

# values[rows] and dy of a batch (fnn_loss in fnn.h), over threads where there is work for them
cdef void loss_and_gradient(int kind, ptrdiff_t rows, ptrdiff_t d, const void *y_true, const real *y_pred,
                            double *values, real *dy, const double *scale, double common,
                            const double *parameters) noexcept nogil

# sum_r weights[r] values[r] (weights NULL: all 1), in an order that n alone decides
cdef double weighted_sum(ptrdiff_t n, const double *values, const double *weights) noexcept nogil

# Triplets found in x[B, d]: values[B], whether each anchor had any, distance[B, B] and weight[B, B]; then dx[B, d]
cdef void mined_triplets(ptrdiff_t B, ptrdiff_t d, const real *x, const int32_t *labels, double *values, int32_t *found,
                         double *distance, double *weight, const double *parameters) noexcept nogil
cdef void mined_triplets_gradient(ptrdiff_t B, ptrdiff_t d, const real *x, const double *distance,
                                  const double *weight, const double *scale, double common, real *dx,
                                  const double *parameters) noexcept nogil
