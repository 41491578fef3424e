from fastnn._core.kernels cimport real

cdef extern from "fnn.h" nogil:
    int FNN_ACTIVATIONS
    int FNN_ACTIVATION_linear
    int FNN_ROW_ACTIVATIONS
    int FNN_ROW_glu
    const char *FNN_MATH_NAMES
    void fnn_activation(int kind, ptrdiff_t n, const void *x, void *y, const double *p) noexcept
    void fnn_derivative(int kind, ptrdiff_t n, const void *xy, const void *dy, void *dx, const double *p) noexcept
    void fnn_math(int kind, ptrdiff_t n, const void *x, void *y) noexcept
    void fnn_row_activation(int kind, ptrdiff_t rows, ptrdiff_t n, const void *x, void *y) noexcept
    void fnn_row_derivative(int kind, ptrdiff_t rows, ptrdiff_t n, const void *xy, const void *dy, void *dx) noexcept
    void fnn_prelu(ptrdiff_t rows, ptrdiff_t n, const void *x, const void *slope, void *y) noexcept
    void fnn_prelu_derivative(
        ptrdiff_t rows, ptrdiff_t n, const void *x, const void *slope, const void *dy, void *dx
    ) noexcept
    void fnn_prelu_slopes(
        ptrdiff_t rows, ptrdiff_t n, ptrdiff_t stride, const void *x, const void *dy, void *dslope
    ) noexcept

# Refuse a kind that is no row of the table, or too few parameters for it
cdef int expect_activation(int kind, const double[::1] parameters) except -1

# Over whole arrays, on at most `threads` threads, where that pays; the bits do not depend on how many. fnn.h says what
# each computes and which arguments may be the same array.
cdef void activate(int kind, ptrdiff_t n, const real *x, real *y, const double *p, int threads) noexcept nogil
cdef void differentiate(
    int kind, ptrdiff_t n, const real *xy, const real *dy, real *dx, const double *p, int threads
) noexcept nogil
cdef void activate_rows(int kind, ptrdiff_t rows, ptrdiff_t n, const real *x, real *y, int threads) noexcept nogil
cdef void differentiate_rows(
    int kind, ptrdiff_t rows, ptrdiff_t n, const real *xy, const real *dy, real *dx, int threads
) noexcept nogil
cdef void prelu_activate(
    ptrdiff_t rows, ptrdiff_t n, const real *x, const real *slope, real *y, int threads
) noexcept nogil
cdef void prelu_differentiate(
    ptrdiff_t rows, ptrdiff_t n, const real *x, const real *slope, const real *dy, real *dx, real *dslope, int threads
) noexcept nogil
