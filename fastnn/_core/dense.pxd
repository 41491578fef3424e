from fastnn._core.kernels cimport real

# B rows of a batch, I inputs, O outputs. All arrays are C-contiguous; w is (I, O).
cdef int dense_forward(ptrdiff_t B, ptrdiff_t I, ptrdiff_t O, const real *x, const real *w, const real *bias,
                       int activation, const double *parameters, real *z, real *y, bint at_home,
                       int threads) noexcept nogil
cdef int dense_backward(ptrdiff_t B, ptrdiff_t I, ptrdiff_t O, const real *x, const real *w, const real *zy,
                        const real *dy, int activation, const double *parameters, bint add, real *dz, real *dw,
                        real *dbias, real *dx, bint add_dx, int threads) noexcept nogil
