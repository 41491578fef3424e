from fastnn._core.kernels cimport real

cdef extern from "fnn.h" nogil:
    int FNN_ACTIVATIONS
    int FNN_ACTIVATION_linear
    void fnn_activation(int kind, ptrdiff_t n, const void *x, void *y, const double *p) noexcept
    void fnn_derivative(int kind, ptrdiff_t n, const void *xy, const void *dy, void *dx, const double *p) noexcept

cdef void activate(int kind, ptrdiff_t n, const real *x, real *y, const double *p) noexcept nogil
cdef void differentiate(int kind, ptrdiff_t n, const real *xy, const real *dy, real *dx, const double *p,
                        int threads) noexcept nogil
