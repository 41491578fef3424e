"""A dense layer, forward and backward: four products and an activation."""

cimport numpy as cnp

from fastnn._core.activations cimport FNN_ACTIVATION_linear, differentiate, expect_activation
from fastnn._core.checks cimport expect_matrix, expect_vector
from fastnn._core.kernels cimport chosen_table, fnn, get_threads, real
from fastnn._core.product cimport Product, multiply
from fastnn._core.updates cimport fnn_outer

cnp.import_array()
fnn = chosen_table()

cdef enum:
    OUTER = 1 << 20           # elements of a gradient of one sample that one thread computes, without blocks and tiles

cdef float one_float = 1
cdef double one_double = 1


cdef int dense_forward(ptrdiff_t B, ptrdiff_t I, ptrdiff_t O, const real *x, const real *w, const real *bias,
                       int activation, const double *parameters, real *z, real *y, bint at_home,
                       int threads) noexcept nogil:
    """z[B,O] = bias[O] + x[B,I] w[I,O] and y[B,O] = f(z), a block at a time. bias may be NULL; z may be y, where
    backward reads the output only; `at_home`: each thread has its rows of w in its cache. Returns -1 when there was no
    memory for the product's scratch."""
    cdef Product p
    p.M, p.N, p.K = B, O, I
    p.a, p.a_row, p.a_k = x, I, 1
    p.b, p.b_k, p.b_column = w, O, 1
    p.c, p.c_row, p.y = z, O, y
    p.bias, p.accumulate, p.rows_at_home = bias, False, at_home
    p.activation, p.parameters = activation, parameters
    return multiply(&p, threads, x)


cdef int dense_backward(ptrdiff_t B, ptrdiff_t I, ptrdiff_t O, const real *x, const real *w, const real *zy,
                        const real *dy, int activation, const double *parameters, bint add, real *dz, real *dw,
                        real *dbias, real *dx, bint add_dx, int threads) noexcept nogil:
    """From dy[B,O], the gradient of the output:

        dz = dy f'(zy)   dw = x^T dz   dbias = sum over rows of dz   dx = dz w^T

    zy is z or y, whichever the activation's derivative reads. With `add`, dw and dbias are added to, with
    `add_dx` dx. Any of dw, dbias and dx may be NULL where it is not wanted; dz may be dy. Returns -1 when there was no
    memory."""
    cdef Product p
    cdef int failed = 0
    cdef real one = 1
    if activation != FNN_ACTIVATION_linear:
        differentiate(activation, B * O, zy, dy, dz, parameters, threads)
        dy = dz
    p.bias, p.activation, p.parameters, p.rows_at_home = NULL, FNN_ACTIVATION_linear, NULL, False
    if B == 1 and not add and I * O <= OUTER:
        if dw != NULL:
            fnn_outer(I, O, x, dy, dw)
        if dbias != NULL:
            fnn_outer(1, O, &one, dy, dbias)
        dw = dbias = NULL
    if dw != NULL:
        p.accumulate = add
        p.M, p.N, p.K = I, O, B
        p.a, p.a_row, p.a_k = x, 1, I
        p.b, p.b_k, p.b_column = dy, O, 1
        p.c, p.c_row, p.y = dw, O, dw
        failed |= multiply(&p, threads, x)
    if dbias != NULL:  # the row of ones on which the bias is a weight
        p.accumulate = add
        p.M, p.N, p.K = 1, O, B
        if real is float:
            p.a = &one_float
        else:
            p.a = &one_double
        p.a_row, p.a_k = 1, 0
        p.b, p.b_k, p.b_column = dy, O, 1
        p.c, p.c_row, p.y = dbias, O, dbias
        failed |= multiply(&p, threads, x)
    if dx != NULL:
        p.accumulate = add_dx
        p.M, p.N, p.K = B, I, O
        p.a, p.a_row, p.a_k = dy, O, 1
        p.b, p.b_k, p.b_column = w, 1, O
        p.c, p.c_row, p.y = dx, I, dx
        failed |= multiply(&p, threads, x)
    return failed


# ------------------------------------------------------------------------------------------------------------ boundary

def forward(const real[:, ::1] x not None, const real[:, ::1] w not None, const real[::1] bias, int activation,
            const double[::1] parameters not None, real[:, ::1] z not None, real[:, ::1] y not None):
    """z = bias + x @ w and y = f(z). bias may be None; z and y may be the same array."""
    cdef ptrdiff_t B = x.shape[0], I = x.shape[1], O = w.shape[1]
    cdef const real *b = NULL
    cdef int failed
    expect_activation(activation, parameters)
    expect_matrix("x", x, B, I)
    expect_matrix("w", w, I, O)
    expect_matrix("z", z, B, O)
    expect_matrix("y", y, B, O)
    if bias is not None:
        expect_vector("bias", bias, O)
        b = &bias[0]
    with nogil:
        failed = dense_forward(B, I, O, &x[0, 0], &w[0, 0], b, activation, &parameters[0], &z[0, 0], &y[0, 0],
                               False, get_threads())
    if failed:
        raise MemoryError("no memory for the scratch of a matrix product")


def backward(const real[:, ::1] x not None, const real[:, ::1] w not None, const real[:, ::1] zy not None,
             const real[:, ::1] dy not None, int activation, const double[::1] parameters not None,
             real[:, ::1] dz not None, real[:, ::1] dw, real[::1] dbias, real[:, ::1] dx,
             bint accumulate=False):
    """Fill (or with `accumulate` add to) dw and dbias; fill dz and dx. dw, dbias and dx may be None; dz may be dy."""
    cdef ptrdiff_t B = x.shape[0], I = x.shape[1], O = w.shape[1]
    cdef int failed
    expect_activation(activation, parameters)
    expect_matrix("x", x, B, I)
    expect_matrix("w", w, I, O)
    expect_matrix("zy", zy, B, O)
    expect_matrix("dy", dy, B, O)
    expect_matrix("dz", dz, B, O)
    if dw is not None:
        expect_matrix("dw", dw, I, O)
    if dbias is not None:
        expect_vector("dbias", dbias, O)
    if dx is not None:
        expect_matrix("dx", dx, B, I)
    with nogil:
        failed = dense_backward(B, I, O, &x[0, 0], &w[0, 0], &zy[0, 0], &dy[0, 0], activation, &parameters[0],
                                accumulate, &dz[0, 0], NULL if dw is None else &dw[0, 0],
                                NULL if dbias is None else &dbias[0], NULL if dx is None else &dx[0, 0], False,
                                get_threads())
    if failed:
        raise MemoryError("no memory for the scratch of a matrix product")
