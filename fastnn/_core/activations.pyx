"""Element-wise activations and their derivatives over whole arrays."""

from fastnn._core.kernels cimport chosen_table, fnn, real

fnn = chosen_table()

ROWS = [
    {
        "name": fnn.activation_rows[i].name.decode(),
        "formula": fnn.activation_rows[i].formula.decode(),
        "parameters": fnn.activation_rows[i].parameters.decode(),
        "kinks": fnn.activation_rows[i].kinks.decode(),
        "reads": chr(fnn.activation_rows[i].reads),
    }
    for i in range(FNN_ACTIVATIONS)
]


cdef void activate(int kind, ptrdiff_t n, const real *x, real *y, const double *p) noexcept nogil:
    fnn_activation(kind, n, x, y, p)


def forward(int kind, const real[::1] x, real[::1] y, const double[::1] parameters):
    """y = f(x)"""
    if x.shape[0]:
        with nogil:
            activate(kind, x.shape[0], &x[0], &y[0], &parameters[0])


cdef void differentiate(int kind, ptrdiff_t n, const real *xy, const real *dy, real *dx, const double *p,
                        int threads) noexcept nogil:
    fnn_derivative(kind, n, xy, dy, dx, p)
