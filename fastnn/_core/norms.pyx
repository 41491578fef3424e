"""Normalisation layers, dropout, noise and sums of columns over whole arrays.

What is summed over a row is split by rows, what is summed over a column by columns, in pieces whose size depends on the
shape alone: the bits are the same for any number of threads.
"""

from libc.stdint cimport int64_t, uint64_t

from fastnn._core.checks cimport expect_matrix, expect_vector
from fastnn._core.kernels cimport chosen_table, fnn, fnn_task, get_threads, parallel, real

fnn = chosen_table()

LAYER, VARIANCE, RMS = FNN_NORM_LAYER, FNN_NORM_VARIANCE, FNN_NORM_RMS

cdef enum:
    PIECE = 1 << 13              # elements of a piece of rows
    PIECE_COLUMNS = 128          # of a piece of columns: a multiple of what every instruction set takes at a time
    WORTH_THREADS = 1 << 15      # elements of cheap work, about 10 microseconds, below which one thread does it


cdef struct Norm:
    # What the operations below are about. Fields that an operation does not use are not set.
    bint is_double, add
    int kind
    ptrdiff_t rows, n
    double number                # epsilon, rate or stddev
    uint64_t seed, stream, start
    const void *x
    const void *dy
    const void *gamma
    const void *beta
    const void *saved_in
    const void *sums
    void *y                      # or dx
    void *saved
    void *variance
    void *dgamma
    void *dbeta


cdef inline ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    return a if a < b else b


cdef inline ptrdiff_t piece_rows(const Norm *op) noexcept nogil:
    return PIECE // op.n if 0 < op.n < PIECE else 1


cdef void by_rows(fnn_task task, Norm *op) noexcept nogil:
    """task for each piece of piece_rows(op) rows"""
    cdef ptrdiff_t each = piece_rows(op)
    parallel(task, op, (op.rows + each - 1) // each, get_threads() if op.rows * op.n >= WORTH_THREADS else 1)


cdef void by_columns(fnn_task task, Norm *op) noexcept nogil:
    """task for each piece of PIECE_COLUMNS columns"""
    parallel(task, op, (op.n + PIECE_COLUMNS - 1) // PIECE_COLUMNS,
             get_threads() if op.rows * op.n >= WORTH_THREADS else 1)


cdef inline real *past(const real *p, ptrdiff_t count) noexcept nogil:
    """p + count, where there is a p."""
    return <real *>p + count if p != NULL else NULL

# ------------------------------------------------------------------------------------------------- layer normalisation


cdef void layer_forward_piece(const real *x, const Norm *op, int64_t piece) noexcept nogil:
    """y[i, :] = normalised(x[i, :]) gamma + beta for the rows of a piece"""
    cdef ptrdiff_t i, each = piece_rows(op)
    for i in range(piece * each, least((piece + 1) * each, op.rows)):
        fnn_layer_norm(op.n, x + i * op.n, <const real *>op.gamma, <const real *>op.beta, op.kind, op.number,
                       <real *>op.y + i * op.n, <real *>op.saved + i, op.rows)


cdef void layer_forward_task(void *context, int64_t piece, int worker) noexcept nogil:
    cdef const Norm *op = <const Norm *>context
    if op.is_double:
        layer_forward_piece(<const double *>op.x, op, piece)
    else:
        layer_forward_piece(<const float *>op.x, op, piece)


cdef void layer_norm_forward(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *gamma, const real *beta, int kind,
                             double epsilon, real *y, real *saved) noexcept nogil:
    cdef Norm op
    op.is_double, op.rows, op.n, op.kind, op.number = real is double, rows, n, kind, epsilon
    op.x, op.gamma, op.beta, op.y, op.saved = x, gamma, beta, y, saved
    by_rows(layer_forward_task, &op)


cdef void layer_backward_piece(const real *x, const Norm *op, int64_t piece) noexcept nogil:
    """dx[i, :] for the rows of a piece"""
    cdef ptrdiff_t i, each = piece_rows(op)
    for i in range(piece * each, least((piece + 1) * each, op.rows)):
        fnn_layer_norm_backward(op.n, x + i * op.n, <const real *>op.dy + i * op.n, <const real *>op.gamma, op.kind,
                                <const real *>op.saved_in + i, op.rows, <real *>op.y + i * op.n)


cdef void layer_backward_task(void *context, int64_t piece, int worker) noexcept nogil:
    cdef const Norm *op = <const Norm *>context
    if op.is_double:
        layer_backward_piece(<const double *>op.x, op, piece)
    else:
        layer_backward_piece(<const float *>op.x, op, piece)


cdef void layer_sums_piece(const real *x, const Norm *op, int64_t piece) noexcept nogil:
    """dgamma[j] (+)= sum_i dy[i, j] u[i, j], dbeta[j] (+)= sum_i dy[i, j] for the columns of a piece"""
    cdef ptrdiff_t j = piece * PIECE_COLUMNS
    fnn_layer_norm_sums(op.rows, least(PIECE_COLUMNS, op.n - j), x + j, op.n, <const real *>op.dy + j, op.n, op.kind,
                        <const real *>op.saved_in, op.rows, op.add, past(<const real *>op.dgamma, j),
                        past(<const real *>op.dbeta, j))


cdef void layer_sums_task(void *context, int64_t piece, int worker) noexcept nogil:
    cdef const Norm *op = <const Norm *>context
    if op.is_double:
        layer_sums_piece(<const double *>op.x, op, piece)
    else:
        layer_sums_piece(<const float *>op.x, op, piece)


cdef void layer_norm_backward(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *dy, const real *gamma, int kind,
                              const real *saved, real *dx, real *dgamma, real *dbeta, bint add) noexcept nogil:
    cdef Norm op
    op.is_double, op.rows, op.n, op.kind, op.add = real is double, rows, n, kind, add
    op.x, op.dy, op.gamma, op.saved_in, op.y, op.dgamma, op.dbeta = x, dy, gamma, saved, dx, dgamma, dbeta
    if dgamma != NULL or dbeta != NULL:
        by_columns(layer_sums_task, &op)
    if dx != NULL:
        by_rows(layer_backward_task, &op)

# ------------------------------------------------------------------------------------------------- batch normalisation


cdef void statistics_piece(const real *x, const Norm *op, int64_t piece) noexcept nogil:
    """variance[j], saved[:, j] for the columns of a piece"""
    cdef ptrdiff_t j = piece * PIECE_COLUMNS
    fnn_batch_statistics(op.rows, least(PIECE_COLUMNS, op.n - j), x + j, op.n, op.number, <real *>op.variance + j,
                         <real *>op.saved + j, op.n)


cdef void statistics_task(void *context, int64_t piece, int worker) noexcept nogil:
    cdef const Norm *op = <const Norm *>context
    if op.is_double:
        statistics_piece(<const double *>op.x, op, piece)
    else:
        statistics_piece(<const float *>op.x, op, piece)


cdef void batch_norm_statistics(ptrdiff_t rows, ptrdiff_t n, const real *x, double epsilon, real *variance,
                                real *saved) noexcept nogil:
    cdef Norm op
    op.is_double, op.rows, op.n, op.number = real is double, rows, n, epsilon
    op.x, op.variance, op.saved = x, variance, saved
    by_columns(statistics_task, &op)


cdef void batch_forward_piece(const real *x, const Norm *op, int64_t piece) noexcept nogil:
    """y[i, :] = normalised(x[i, :]) gamma + beta for the rows of a piece"""
    cdef ptrdiff_t each = piece_rows(op)
    cdef ptrdiff_t i = piece * each
    fnn_batch_norm(least(each, op.rows - i), op.n, x + i * op.n, <const real *>op.saved_in, op.n,
                   <const real *>op.gamma, <const real *>op.beta, <real *>op.y + i * op.n)


cdef void batch_forward_task(void *context, int64_t piece, int worker) noexcept nogil:
    cdef const Norm *op = <const Norm *>context
    if op.is_double:
        batch_forward_piece(<const double *>op.x, op, piece)
    else:
        batch_forward_piece(<const float *>op.x, op, piece)


cdef void batch_norm_forward(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *saved, const real *gamma,
                             const real *beta, real *y) noexcept nogil:
    cdef Norm op
    op.is_double, op.rows, op.n = real is double, rows, n
    op.x, op.saved_in, op.gamma, op.beta, op.y = x, saved, gamma, beta, y
    by_rows(batch_forward_task, &op)


cdef void batch_sums_piece(const real *x, const Norm *op, int64_t piece) noexcept nogil:
    """dgamma[j] (+)= sum_i dy[i, j] u[i, j], dbeta[j] (+)= sum_i dy[i, j] for the columns of a piece"""
    cdef ptrdiff_t j = piece * PIECE_COLUMNS
    fnn_batch_norm_sums(op.rows, least(PIECE_COLUMNS, op.n - j), x + j, op.n, <const real *>op.dy + j, op.n,
                        <const real *>op.saved_in + j, op.n, op.add, past(<const real *>op.dgamma, j),
                        past(<const real *>op.dbeta, j))


cdef void batch_sums_task(void *context, int64_t piece, int worker) noexcept nogil:
    cdef const Norm *op = <const Norm *>context
    if op.is_double:
        batch_sums_piece(<const double *>op.x, op, piece)
    else:
        batch_sums_piece(<const float *>op.x, op, piece)


cdef void batch_backward_piece(const real *x, const Norm *op, int64_t piece) noexcept nogil:
    """dx[i, :] for the rows of a piece"""
    cdef ptrdiff_t each = piece_rows(op)
    cdef ptrdiff_t i = piece * each
    fnn_batch_norm_backward(least(each, op.rows - i), op.n, x + i * op.n, <const real *>op.dy + i * op.n,
                            <const real *>op.saved_in, op.n, <const real *>op.gamma, <const real *>op.sums,
                            past(<const real *>op.sums, op.n), op.rows, <real *>op.y + i * op.n)


cdef void batch_backward_task(void *context, int64_t piece, int worker) noexcept nogil:
    cdef const Norm *op = <const Norm *>context
    if op.is_double:
        batch_backward_piece(<const double *>op.x, op, piece)
    else:
        batch_backward_piece(<const float *>op.x, op, piece)


cdef void batch_norm_backward(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *dy, const real *saved,
                              const real *gamma, real *sums, real *dx, real *dgamma, real *dbeta,
                              bint add) noexcept nogil:
    cdef Norm op
    op.is_double, op.rows, op.n = real is double, rows, n
    op.x, op.dy, op.gamma, op.saved_in, op.sums, op.y = x, dy, gamma, saved, sums, dx
    if sums != NULL:
        op.add, op.dgamma, op.dbeta = False, sums, sums + n
        by_columns(batch_sums_task, &op)
        take(n, sums, dgamma, add)
        take(n, sums + n, dbeta, add)
    elif dgamma != NULL or dbeta != NULL:
        op.add, op.dgamma, op.dbeta = add, dgamma, dbeta
        by_columns(batch_sums_task, &op)
    if dx != NULL:
        by_rows(batch_backward_task, &op)


cdef void take(ptrdiff_t n, const real *x, real *y, bint add) noexcept nogil:
    """y (+)= x, where there is a y"""
    if y != NULL:
        fnn_colsum(1, n, x, n, add, y)


cdef void batch_norm_commit(ptrdiff_t n, double momentum, const real *saved, const real *variance, real *moving_mean,
                            real *moving_variance) noexcept nogil:
    """moving = momentum moving + (1 - momentum) the batch's, of the mean (saved[0, :]) and the variance"""
    fnn_moving_average(n, momentum, saved, moving_mean)
    fnn_moving_average(n, momentum, variance, moving_variance)

# ------------------------------------------------------------------------------------------------------ columns, rows


cdef void column_sums_piece(const real *x, const Norm *op, int64_t piece) noexcept nogil:
    """y[j] (+)= sum_i x[i, j] for the columns of a piece"""
    cdef ptrdiff_t j = piece * PIECE_COLUMNS
    fnn_colsum(op.rows, least(PIECE_COLUMNS, op.n - j), x + j, op.n, op.add, <real *>op.y + j)


cdef void column_sums_task(void *context, int64_t piece, int worker) noexcept nogil:
    cdef const Norm *op = <const Norm *>context
    if op.is_double:
        column_sums_piece(<const double *>op.x, op, piece)
    else:
        column_sums_piece(<const float *>op.x, op, piece)


cdef void column_sums(ptrdiff_t rows, ptrdiff_t n, const real *x, real *y, bint add) noexcept nogil:
    cdef Norm op
    op.is_double, op.rows, op.n, op.add, op.x, op.y = real is double, rows, n, add, x, y
    by_columns(column_sums_task, &op)


cdef void add_to_rows(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *b, real *y) noexcept nogil:
    """y[i, :] = x[i, :] + b"""
    cdef ptrdiff_t i
    for i in range(rows):
        fnn_add(n, x + i * n, b, y + i * n)

# ---------------------------------------------------------------------------------------------------- dropout and noise


cdef void dropout_task(void *context, int64_t piece, int worker) noexcept nogil:
    cdef const Norm *op = <const Norm *>context
    cdef ptrdiff_t i = piece * PIECE
    cdef ptrdiff_t n = least(PIECE, op.n - i)
    if op.is_double:
        fnn_dropout(n, op.number, op.seed, op.stream, op.start + i, <const double *>op.x + i, <double *>op.y + i)
    else:
        fnn_dropout(n, op.number, op.seed, op.stream, op.start + i, <const float *>op.x + i, <float *>op.y + i)


cdef void noise_task(void *context, int64_t piece, int worker) noexcept nogil:
    cdef const Norm *op = <const Norm *>context
    cdef ptrdiff_t i = piece * PIECE
    cdef ptrdiff_t n = least(PIECE, op.n - i)
    if op.is_double:
        fnn_add_noise(n, op.number, op.seed, op.stream, op.start + i, <const double *>op.x + i, <double *>op.y + i)
    else:
        fnn_add_noise(n, op.number, op.seed, op.stream, op.start + i, <const float *>op.x + i, <float *>op.y + i)


cdef void by_elements(fnn_task task, ptrdiff_t n, double number, uint64_t seed, uint64_t stream, uint64_t start,
                      const real *x, real *y) noexcept nogil:
    """task for each piece of PIECE elements"""
    cdef Norm op
    op.is_double, op.n, op.number, op.seed, op.stream, op.start = real is double, n, number, seed, stream, start
    op.x, op.y = x, y
    parallel(task, &op, (n + PIECE - 1) // PIECE, get_threads())


cdef void drop_out(ptrdiff_t n, double rate, uint64_t seed, uint64_t stream, uint64_t start, const real *x,
                   real *y) noexcept nogil:
    """y[i] = x[i] / (1 - rate), or 0 for elements that are dropped; its own backward pass"""
    by_elements(dropout_task, n, rate, seed, stream, start, x, y)


cdef void gaussian_noise(ptrdiff_t n, double stddev, uint64_t seed, uint64_t stream, uint64_t start, const real *x,
                         real *y) noexcept nogil:
    """y[i] = x[i] + stddev z[i]"""
    by_elements(noise_task, n, stddev, seed, stream, start, x, y)

# ------------------------------------------------------------------------------------------------------ from Python


cdef inline real *pointer(const real[::1] a) noexcept:
    return <real *>&a[0] if a is not None else NULL


cdef inline int expect_optional(str name, const real[::1] a, ptrdiff_t n) except -1:
    return 0 if a is None else expect_vector(name, a, n)


cdef inline int expect_kind(int kind) except -1:
    if kind != FNN_NORM_LAYER and kind != FNN_NORM_VARIANCE and kind != FNN_NORM_RMS:
        raise ValueError(f"kind: expected LAYER, VARIANCE or RMS, got {kind}")
    return 0


def layer_forward(const real[:, ::1] x not None, const real[::1] gamma, const real[::1] beta, int kind, double epsilon,
                  real[:, ::1] y not None, real[:, ::1] saved not None):
    """y [B, N] and saved [3, B] of x [B, N]; gamma and beta [N] or None"""
    cdef ptrdiff_t B = x.shape[0], N = x.shape[1]
    expect_matrix("x", x, B, N)
    expect_matrix("y", y, B, N)
    expect_matrix("saved", saved, 3, B)
    expect_optional("gamma", gamma, N)
    expect_optional("beta", beta, N)
    expect_kind(kind)
    cdef const real *g = pointer(gamma)
    cdef const real *b = pointer(beta)
    with nogil:
        layer_norm_forward(x.shape[0], x.shape[1], &x[0, 0], g, b, kind, epsilon, &y[0, 0], &saved[0, 0])


def layer_backward(const real[:, ::1] x not None, const real[:, ::1] dy not None, const real[::1] gamma, int kind,
                   const real[:, ::1] saved not None, real[:, ::1] dx, real[::1] dgamma, real[::1] dbeta, bint add):
    """dx [B, N] and dgamma, dbeta [N], any of them None"""
    cdef ptrdiff_t B = x.shape[0], N = x.shape[1]
    expect_matrix("x", x, B, N)
    expect_matrix("dy", dy, B, N)
    expect_matrix("saved", saved, 3, B)
    expect_optional("gamma", gamma, N)
    if dx is not None:
        expect_matrix("dx", dx, B, N)
    expect_optional("dgamma", dgamma, N)
    expect_optional("dbeta", dbeta, N)
    expect_kind(kind)
    cdef const real *g = pointer(gamma)
    cdef real *x_out = &dx[0, 0] if dx is not None else NULL
    cdef real *g_out = pointer(dgamma)
    cdef real *b_out = pointer(dbeta)
    with nogil:
        layer_norm_backward(x.shape[0], x.shape[1], &x[0, 0], &dy[0, 0], g, kind, &saved[0, 0], x_out, g_out, b_out,
                            add)


def batch_statistics(const real[:, ::1] x not None, double epsilon, real[::1] variance not None,
                     real[:, ::1] saved not None):
    """variance [N] and saved [3, N] (its row 0 the mean) of x [B, N], B > 0"""
    cdef ptrdiff_t N = x.shape[1]
    expect_matrix("x", x, x.shape[0], N)
    expect_vector("variance", variance, N)
    expect_matrix("saved", saved, 3, N)
    with nogil:
        batch_norm_statistics(x.shape[0], x.shape[1], &x[0, 0], epsilon, &variance[0], &saved[0, 0])


def batch_scaling(const real[::1] mean not None, const real[::1] variance not None, double epsilon,
                  real[:, ::1] saved not None):
    """saved [3, N] of given statistics"""
    cdef ptrdiff_t N = mean.shape[0]
    expect_vector("mean", mean, N)
    expect_vector("variance", variance, N)
    expect_matrix("saved", saved, 3, N)
    with nogil:
        fnn_batch_scaling(mean.shape[0], &mean[0], &variance[0], epsilon, &saved[0, 0], mean.shape[0])


def batch_forward(const real[:, ::1] x not None, const real[:, ::1] saved not None, const real[::1] gamma,
                  const real[::1] beta, real[:, ::1] y not None):
    """y [B, N]"""
    cdef ptrdiff_t B = x.shape[0], N = x.shape[1]
    expect_matrix("x", x, B, N)
    expect_matrix("saved", saved, 3, N)
    expect_optional("gamma", gamma, N)
    expect_optional("beta", beta, N)
    expect_matrix("y", y, B, N)
    cdef const real *g = pointer(gamma)
    cdef const real *b = pointer(beta)
    with nogil:
        batch_norm_forward(x.shape[0], x.shape[1], &x[0, 0], &saved[0, 0], g, b, &y[0, 0])


def batch_backward(const real[:, ::1] x not None, const real[:, ::1] dy not None, const real[:, ::1] saved not None,
                   const real[::1] gamma, real[:, ::1] sums, real[:, ::1] dx, real[::1] dgamma, real[::1] dbeta,
                   bint add):
    """dx [B, N] and dgamma, dbeta [N], any of them None; sums [2, N], None where the statistics are constants"""
    cdef ptrdiff_t B = x.shape[0], N = x.shape[1]
    expect_matrix("x", x, B, N)
    expect_matrix("dy", dy, B, N)
    expect_matrix("saved", saved, 3, N)
    expect_optional("gamma", gamma, N)
    if sums is not None:
        expect_matrix("sums", sums, 2, N)
    if dx is not None:
        expect_matrix("dx", dx, B, N)
    expect_optional("dgamma", dgamma, N)
    expect_optional("dbeta", dbeta, N)
    cdef const real *g = pointer(gamma)
    cdef real *s = &sums[0, 0] if sums is not None else NULL
    cdef real *x_out = &dx[0, 0] if dx is not None else NULL
    cdef real *g_out = pointer(dgamma)
    cdef real *b_out = pointer(dbeta)
    with nogil:
        batch_norm_backward(x.shape[0], x.shape[1], &x[0, 0], &dy[0, 0], &saved[0, 0], g, s, x_out, g_out, b_out, add)


def batch_commit(double momentum, const real[:, ::1] saved not None, const real[::1] variance not None,
                 real[::1] moving_mean not None, real[::1] moving_variance not None):
    """Move the moving statistics towards the batch's."""
    cdef ptrdiff_t N = variance.shape[0]
    expect_vector("variance", variance, N)
    expect_matrix("saved", saved, 3, N)
    expect_vector("moving_mean", moving_mean, N)
    expect_vector("moving_variance", moving_variance, N)
    with nogil:
        batch_norm_commit(variance.shape[0], momentum, &saved[0, 0], &variance[0], &moving_mean[0],
                          &moving_variance[0])


def colsum(const real[:, ::1] x not None, real[::1] y not None, bint add):
    """y [N] (+)= the sums of the columns of x [B, N]"""
    cdef ptrdiff_t N = x.shape[1]
    expect_matrix("x", x, x.shape[0], N)
    expect_vector("y", y, N)
    with nogil:
        column_sums(x.shape[0], x.shape[1], &x[0, 0], &y[0], add)


def add_rows(const real[:, ::1] x not None, const real[::1] b not None, real[:, ::1] y not None):
    """y [B, N] = x + b"""
    cdef ptrdiff_t B = x.shape[0], N = x.shape[1]
    expect_matrix("x", x, B, N)
    expect_vector("b", b, N)
    expect_matrix("y", y, B, N)
    with nogil:
        add_to_rows(x.shape[0], x.shape[1], &x[0, 0], &b[0], &y[0, 0])


def dropout(const real[::1] x not None, double rate, uint64_t seed, uint64_t stream, uint64_t start,
            real[::1] y not None):
    """y[i] = x[i] / (1 - rate) or 0; element i is number start + i of the stream"""
    expect_vector("x", x, x.shape[0])
    expect_vector("y", y, x.shape[0])
    with nogil:
        drop_out(x.shape[0], rate, seed, stream, start, &x[0], &y[0])


def noise(const real[::1] x not None, double stddev, uint64_t seed, uint64_t stream, uint64_t start,
          real[::1] y not None):
    """y[i] = x[i] + stddev z; element i is number start + i of the stream"""
    expect_vector("x", x, x.shape[0])
    expect_vector("y", y, x.shape[0])
    with nogil:
        gaussian_noise(x.shape[0], stddev, seed, stream, start, &x[0], &y[0])
