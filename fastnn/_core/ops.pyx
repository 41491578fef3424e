"""The ops of a program, forward and backward: one paragraph a kind, and what each leaves to commit.

Letters: B samples, R = B * rows rows of I elements in and O out. A gradient is named after what it is the gradient of:
dx of the input, dy of the output. What backward reads was kept by forward: values of buffers, or an op's own planes.
"""

from libc.string cimport memcpy, memset

from fastnn._core.activations cimport (
    activate,
    activate_rows,
    differentiate,
    differentiate_rows,
    prelu_activate,
    prelu_differentiate,
)
from fastnn._core.dense cimport dense_backward, dense_forward
from fastnn._core.kernels cimport chosen_table, fnn, real
from fastnn._core.norms cimport (
    batch_norm_backward,
    batch_norm_commit,
    batch_norm_forward,
    batch_norm_statistics,
    drop_out,
    fnn_add,
    fnn_batch_scaling,
    gaussian_noise,
    layer_norm_backward,
    layer_norm_forward,
)

from fastnn._core.constraints cimport penalties

from fastnn._core.updates cimport Factor, fnn_rough_squares, is_small

fnn = chosen_table()

cdef enum:
    LOOKED_THROUGH = 8192     # elements of a gradient that are looked through; a larger one's factors are

KINDS = {
    "dense": DENSE, "activate": ACTIVATE, "activate_rows": ACTIVATE_ROWS, "prelu": PRELU, "dropout": DROPOUT,
    "noise": NOISE, "batch_norm": BATCH_NORM, "layer_norm": LAYER_NORM, "embed": EMBED, "add": ADD, "place": PLACE,
    "gather": GATHER, "penalize": PENALIZE, "python": PYTHON,
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ memory

cdef inline real *plane(const Run *run, ptrdiff_t offset, const real *tag) noexcept nogil:
    return <real *>run.memory + offset * run.capacity if offset >= 0 else NULL


cdef inline real *sized(const Run *run, const Op *op, const real *tag) noexcept nogil:
    return <real *>run.memory + run.planes * run.capacity + op.sized


cdef real *value_of(const Run *run, int buffer, const real *tag) noexcept nogil:
    if buffer == 0 and run.x != NULL:
        return <real *>run.x
    return plane(run, run.buffers[buffer].value, tag)


cdef real *gradient_of(const Run *run, int buffer, const real *tag) noexcept nogil:
    return plane(run, run.buffers[buffer].gradient, tag)


cdef inline real *weights(const Run *run, ptrdiff_t offset, bint trains, const real *tag) noexcept nogil:
    if offset < 0:
        return NULL
    return (<real *>run.trainables if trains else <real *>run.fixed) + offset


cdef inline real *slopes(const Run *run, ptrdiff_t offset, bint trains, const real *tag) noexcept nogil:
    """Where the gradient of weights goes; NULL where none is wanted."""
    return <real *>run.gradients + offset if offset >= 0 and trains and run.gradients != NULL else NULL


# ----------------------------------------------------------------------------------------------------------- forward

cdef int embed(const Op *op, ptrdiff_t R, const real *x, const real *w, real *y) noexcept nogil:
    """y[r, :] = w[x[r], :]"""
    cdef ptrdiff_t r, index
    cdef real number
    for r in range(R):
        number = (<const volatile real *>x)[r]  # read once: in inference x is the caller's own array
        if not 0 <= number < op.inputs:
            return BAD_INDEX
        index = <ptrdiff_t>number
        memcpy(y + r * op.outputs, w + index * op.outputs, op.outputs * sizeof(real))
    return DONE


cdef void gather(const Op *op, ptrdiff_t B, const real *x, real *y) noexcept nogil:
    """y[b, i] = x[b, index[i]]"""
    cdef ptrdiff_t b, i
    for b in range(B):
        for i in range(op.outputs):
            y[b * op.outputs + i] = x[b * op.inputs + op.index[i]]


cdef void drop_shared(const Run *run, const Op *op, const real *x, real *masks, real *y) noexcept nogil:
    """y = x times a mask that elements share: those of a sample by `index`, and all samples where it is one a batch."""
    cdef ptrdiff_t b, i, count = op.outputs if op.of_batch else run.B * op.outputs
    cdef const real *mask
    for i in range(count):
        masks[i] = 1
    drop_out(count, op.parameters[0], op.seed, op.stream + run.forwards, 0, masks, masks)
    for b in range(run.B):
        mask = masks if op.of_batch else masks + b * op.outputs
        for i in range(op.inputs):
            y[b * op.inputs + i] = x[b * op.inputs + i] * mask[op.index[i]]


cdef int forward_op(Run *run, const Op *op, const real *tag) noexcept nogil:
    cdef const real *x = value_of(run, op.input, tag)
    cdef real *y = value_of(run, op.output, tag)
    cdef const real *w = weights(run, op.w, op.w_trains, tag)
    cdef const real *b = weights(run, op.b, op.b_trains, tag)
    cdef real *kept = plane(run, op.kept, tag)
    cdef real *own
    cdef double sums[2]
    cdef ptrdiff_t R = run.B * op.rows, r
    if op.kind == DENSE:
        if dense_forward(R, op.inputs, op.outputs, x, w, b, op.activation, op.parameters, kept if kept != NULL else y,
                         y, run.at_home if R == 1 else run.training and op.w_trains, run.threads):
            return NO_MEMORY
    elif op.kind == ACTIVATE:
        activate(op.activation, R * op.inputs, x, y, op.parameters, run.threads)
    elif op.kind == ACTIVATE_ROWS:
        activate_rows(op.activation, R, op.inputs, x, y, run.threads)
    elif op.kind == PRELU:
        prelu_activate(R, op.inputs, x, w, y, run.threads)
    elif op.kind == DROPOUT or op.kind == NOISE:
        if not run.training:
            memcpy(y, x, R * op.inputs * sizeof(real))
        elif op.index != NULL:
            drop_shared(run, op, x, kept, y)
        elif op.kind == DROPOUT:
            drop_out(R * op.inputs, op.parameters[0], op.seed, op.stream + run.forwards, 0, x, y)
        else:
            gaussian_noise(R * op.inputs, op.parameters[0], op.seed, op.stream + run.forwards, 0, x, y)
    elif op.kind == BATCH_NORM:
        own = sized(run, op, tag)  # [mean, two more rows of I], the variance, [two rows for backward]
        if run.training and op.of_batch:
            batch_norm_statistics(R, op.inputs, x, op.parameters[0], own + 3 * op.inputs, own)
        else:
            fnn_batch_scaling(op.inputs, weights(run, op.mean, False, tag), weights(run, op.variance, False, tag),
                              op.parameters[0], own, op.inputs)
        batch_norm_forward(R, op.inputs, x, own, w, b, y)
    elif op.kind == LAYER_NORM:
        layer_norm_forward(R, op.inputs, x, w, b, op.activation, op.parameters[0], y, kept)
    elif op.kind == EMBED:
        return embed(op, R, x, w, y)
    elif op.kind == ADD:
        fnn_add(R * op.inputs, x, value_of(run, op.other, tag), y)
    elif op.kind == PLACE:
        for r in range(R):
            memcpy(y + r * op.outputs + op.column, x + r * op.inputs, op.inputs * sizeof(real))
    elif op.kind == GATHER:
        gather(op, R, x, y)
    elif op.kind == PENALIZE:
        memcpy(y, x, R * op.inputs * sizeof(real))
        if run.penalizes and run.B:
            penalties(R * op.inputs, x, sums)
            run.penalty += (op.parameters[0] * sums[0] + op.parameters[1] * sums[1]) / run.B
    return DONE


cdef int forward(Run *run, int first, int last, const real *tag) noexcept nogil:
    cdef int i, status
    for i in range(first, last):
        if run.ops[i].kind == PYTHON:
            return i
        status = forward_op(run, &run.ops[i], tag)
        if status < 0:
            return status
    return last


# ---------------------------------------------------------------------------------------------------------- backward

cdef void look(Run *run, ptrdiff_t n, const real *gradient) noexcept nogil:
    """See whether a gradient of weights, which may be absent, is too large for a step that nobody checks."""
    if gradient != NULL and not is_small(n, gradient, run.most):
        run.large = True


cdef inline double squares_of(const Run *run, ptrdiff_t n, const real *x) noexcept nogil:
    """The sum of squares of an op's input; that of samples may have been taken while they were gathered."""
    return run.x_squares if <const void *>x == run.x and run.x_squares >= 0 else fnn_rough_squares(n, x)


cdef void look_at_product(Run *run, ptrdiff_t R, ptrdiff_t I, ptrdiff_t O, const real *x, const real *dz, real *dw,
                          real *db, bint written) noexcept nogil:
    """The same for dw = x^T dz and db. Of a large dw only the factors are read: no element exceeds |x| |dz|, and dw
    stays in the caches of the threads that wrote it."""
    cdef double squares
    if dw == NULL and db == NULL:
        return
    if dw != NULL and written and I * O <= LOOKED_THROUGH and I * O < R * (I + O):
        if db == dw + I * O:
            look(run, I * O + O, dw)
        else:
            look(run, I * O, dw)
            look(run, O, db)
        return
    squares = fnn_rough_squares(R * O, dz)
    if dw != NULL and not squares_of(run, R * I, x) * squares <= run.most * run.most:
        run.large = True
    if db != NULL and not R * squares <= run.most * run.most:
        run.large = True


cdef inline int multiply_back(Run *run, const Op *op, real *dy, real *dw, real *dx, const real *tag) noexcept nogil:
    """Backward of a dense op; dw and dx are NULL where they are not wanted."""
    cdef const real *kept = plane(run, op.kept, tag)
    return dense_backward(run.B * op.rows, op.inputs, op.outputs, value_of(run, op.input, tag),
                          weights(run, op.w, op.w_trains, tag),
                          kept if kept != NULL else value_of(run, op.output, tag), dy, op.activation, op.parameters,
                          run.adds, dy, dw, slopes(run, op.b, op.b_trains, tag), dx, op.adds_dx, run.threads)


cdef int multiply_back_looking(Run *run, const Op *op, real *dy, real *dw, real *dx, const real *tag) noexcept nogil:
    """The same in a step that looks at gradients. Where they need not be written their factors are kept: x before
    backward goes on, and what becomes of dy."""
    cdef const real *x = value_of(run, op.input, tag)
    cdef Factor *factor = NULL
    if run.factors != NULL and run.variables[op - run.ops] >= 0:
        factor = &run.factors[run.variables[op - run.ops]]
        memcpy(factor.x, x, op.inputs * sizeof(real))
    if multiply_back(run, op, dy, dw if factor == NULL else NULL, dx, tag):
        return -1
    if factor != NULL:
        memcpy(factor.dz, dy, op.outputs * sizeof(real))
    look_at_product(run, run.B * op.rows, op.inputs, op.outputs, x, dy, dw, slopes(run, op.b, op.b_trains, tag),
                    factor == NULL)
    return 0


cdef void unembed(const Op *op, ptrdiff_t R, const real *x, const real *dy, bint add, real *dw) noexcept nogil:
    """dw[x[r], :] += dy[r, :], row after row; where rows are marked as touched, only those were not 0"""
    cdef ptrdiff_t r
    cdef real *line
    if not add and op.touched == NULL:
        memset(dw, 0, op.inputs * op.outputs * sizeof(real))
    elif not add:
        for r in range(op.inputs):
            if op.touched[r]:
                memset(dw + r * op.outputs, 0, op.outputs * sizeof(real))
                op.touched[r] = 0
    for r in range(R):
        if op.touched != NULL:
            op.touched[<ptrdiff_t>x[r]] = 1
        line = dw + <ptrdiff_t>x[r] * op.outputs
        fnn_add(op.outputs, line, dy + r * op.outputs, line)


cdef void scatter(const Op *op, ptrdiff_t B, const real *dy, real *dx) noexcept nogil:
    """dx[b, index[i]] += dy[b, i], on zeros"""
    cdef ptrdiff_t b, i
    memset(dx, 0, B * op.inputs * sizeof(real))
    for b in range(B):
        for i in range(op.outputs):
            dx[b * op.inputs + op.index[i]] += dy[b * op.outputs + i]


cdef void add_slopes(const Run *run, const Op *op, ptrdiff_t n, const real *x, const real *dy,
                     real *dx) noexcept nogil:
    """dx = dy + the slope of the penalty on x, of which the batch has one"""
    cdef real l1 = <real>(op.parameters[0] / run.B), l2 = <real>(2 * op.parameters[1] / run.B)
    cdef ptrdiff_t i
    for i in range(n):
        dx[i] = dy[i] + l1 * <real>((x[i] > 0) - (x[i] < 0)) + l2 * x[i]


cdef void backward_plain(Run *run, const Op *op, const real *dy, real *dx, const real *tag) noexcept nogil:
    """The kinds that write dx and do not add to it. dx may be NULL where weights alone have gradients."""
    cdef const real *x = value_of(run, op.input, tag)
    cdef const real *y = value_of(run, op.output, tag)
    cdef const real *w = weights(run, op.w, op.w_trains, tag)
    cdef real *dw = slopes(run, op.w, op.w_trains, tag)
    cdef real *db = slopes(run, op.b, op.b_trains, tag)
    cdef real *own
    cdef ptrdiff_t R = run.B * op.rows, r
    if op.kind == PRELU:
        # its dx is computed in any case; where nobody wants it, nobody minds what the plane held
        prelu_backward(run, op, x, w, dy, dx if dx != NULL else gradient_of(run, op.input, tag), dw)
    elif op.kind == BATCH_NORM:
        own = sized(run, op, tag)
        batch_norm_backward(R, op.inputs, x, dy, own, w, own + 4 * op.inputs if run.training and op.of_batch else NULL,
                            dx, dw, db, run.adds)
    elif op.kind == LAYER_NORM:
        layer_norm_backward(R, op.inputs, x, dy, w, op.activation, plane(run, op.kept, tag), dx, dw, db, run.adds)
    elif op.kind == EMBED:
        if dw != NULL:
            unembed(op, R, x, dy, run.adds, dw)
        if dx != NULL:
            memset(dx, 0, R * sizeof(real))
    elif dx == NULL:
        pass
    elif op.kind == ACTIVATE:
        differentiate(op.activation, R * op.inputs, x if op.reads_x else y, dy, dx, op.parameters, run.threads)
    elif op.kind == ACTIVATE_ROWS:
        differentiate_rows(op.activation, R, op.inputs, x if op.reads_x else y, dy, dx, run.threads)
    elif op.kind == GATHER:
        scatter(op, R, dy, dx)
    elif op.kind == PENALIZE and run.penalizes:
        add_slopes(run, op, R * op.inputs, x, dy, dx)
    elif op.kind == DROPOUT and run.training and op.index != NULL:
        drop_shared(run, op, dy, plane(run, op.kept, tag), dx)
    elif op.kind == DROPOUT and run.training:
        drop_out(R * op.inputs, op.parameters[0], op.seed, op.stream + run.forwards, 0, dy, dx)
    elif op.kind == PLACE:
        for r in range(R):
            memcpy(dx + r * op.inputs, dy + r * op.outputs + op.column, op.inputs * sizeof(real))
    else:  # ADD, noise, dropout outside training: the gradient as it is
        memcpy(dx, dy, R * op.inputs * sizeof(real))


cdef void prelu_backward(Run *run, const Op *op, const real *x, const real *w, const real *dy, real *dx,
                         real *dw) noexcept nogil:
    cdef real *into = sized(run, op, x)
    cdef ptrdiff_t R = run.B * op.rows
    prelu_differentiate(R, op.inputs, x, w, dy, dx, into, run.threads)
    if dw == NULL:
        return
    if run.adds:
        fnn_add(op.inputs, dw, into, dw)
    else:
        memcpy(dw, into, op.inputs * sizeof(real))


cdef int backward_op(Run *run, const Op *op, const real *tag) noexcept nogil:
    cdef real *dy = gradient_of(run, op.output, tag)
    cdef real *dx = gradient_of(run, op.input, tag)
    cdef real *target
    cdef ptrdiff_t n = run.B * run.buffers[op.input].size
    cdef bint wanted = op.wants_dx or run.wants_input
    cdef real *dw
    cdef int failed
    if op.kind == DENSE:
        dw = slopes(run, op.w, op.w_trains, tag)
        if run.looks:
            failed = multiply_back_looking(run, op, dy, dw, dx if wanted else NULL, tag)
        else:
            failed = multiply_back(run, op, dy, dw, dx if wanted else NULL, tag)
        return NO_MEMORY if failed else DONE
    if op.kind == ADD and wanted:  # the other one's gradient too
        target = gradient_of(run, op.other, tag)
        if op.adds_other:
            fnn_add(n, target, dy, target)
        else:
            memcpy(target, dy, n * sizeof(real))
    if not (wanted and op.adds_dx):
        backward_plain(run, op, dy, dx if wanted else NULL, tag)
    else:
        target = plane(run, op.temporary, tag)
        backward_plain(run, op, dy, target, tag)
        fnn_add(n, dx, target, dx)
    if not run.looks:
        return DONE
    if op.kind == EMBED:  # a row's gradient is a sum of rows of dy
        look_at_product(run, run.B * op.rows, 0, op.outputs, <const real *>NULL, dy, <real *>NULL,
                        slopes(run, op.w, op.w_trains, tag), False)
    else:  # those that have weights have one or two for each column
        look(run, op.inputs, slopes(run, op.w, op.w_trains, tag))
        look(run, op.inputs, slopes(run, op.b, op.b_trains, tag))
    return DONE


cdef int backward(Run *run, int first, int last, const real *tag) noexcept nogil:
    cdef int i, status
    for i in range(last - 1, first - 1, -1):
        if run.ops[i].kind == PYTHON:
            return i
        status = backward_op(run, &run.ops[i], tag)
        if status < 0:
            return status
    return first - 1


cdef void commit(Run *run, int count, const real *tag) noexcept nogil:
    cdef int i
    cdef const Op *op
    cdef real *own
    for i in range(count):
        op = &run.ops[i]
        if op.kind == BATCH_NORM and op.of_batch:
            own = sized(run, op, tag)
            batch_norm_commit(op.inputs, op.parameters[1], own, own + 3 * op.inputs, weights(run, op.mean, False, tag),
                              weights(run, op.variance, False, tag))
