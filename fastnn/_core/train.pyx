"""The engine's upper half: the loss, metrics, and whole runs of training steps without the GIL.

A step has phases: forward, loss (is it finite?), backward, then commit (update, moving statistics, counters), which
nothing interrupts. A step that fails before its commit leaves the model as it was.
"""

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free

from fastnn._core.batches cimport COPIED, Batches, Table, fetch, gather, is_finite
from fastnn._core.engine cimport Engine, Workspace, failed
from fastnn._core.kernels cimport chosen_table, clock, fnn, real
from fastnn._core.losses cimport loss_and_gradient, weighted_sum
from fastnn._core.metrics cimport add_values, metric_values
from fastnn._core.ops cimport DENSE, DONE, NOT_FINITE, Op, Run, backward, commit, forward, gradient_of, value_of
from fastnn._core.optimizers cimport Plan, Segment, Updater, penalties, step

import numpy as np

cnp.import_array()
fnn = chosen_table()

cdef enum:
    LONG_STEP = 1 << 29           # floating-point operations of a step during which signals are looked at

ctypedef fused whole:
    int32_t
    int64_t


# ------------------------------------------------------------------------------------------- what a step needs to know

cdef enum Reduction:
    OVER_COUNT, OVER_WEIGHTS, SUMMED

REDUCTIONS = {
    "sum_over_batch_size": OVER_COUNT, "mean": OVER_COUNT, "mean_with_sample_weight": OVER_WEIGHTS, "sum": SUMMED,
}  # fmt: skip

cdef struct Objective:
    int kind                      # a row of losses.def
    bint labels                   # y_true is int32 labels
    ptrdiff_t rows, d             # losses of a sample, and elements of each
    double parameters[4]
    Reduction reduction
    bint ignores
    int32_t ignored               # the label that counts for nothing
    double weight                 # what the loss counts for
    bint in_unit                  # y_true must lie in [0, 1]

cdef struct Metric:
    bint is_loss                  # a row of losses.def, else a kind of _core/metrics
    int kind
    bint weighted
    ptrdiff_t rows, d
    double parameters[4]
    double *state                 # total and count

cdef struct Job:
    # All that the steps of a run need, without a Python object among it
    Run run
    int ops                       # of the program
    int loss_buffer, output       # what the loss reads, and the model's output
    bint fused                    # the loss reads the input of the last op, an activation
    bint shows                    # and yet somebody wants to see the activation's output
    Objective objective
    const Metric *metrics
    int metric_count
    Plan *plan
    double lr
    Table x, y, w
    const int64_t *order
    ptrdiff_t n, size             # samples; of a batch
    double *values                # the losses of a batch
    double *scales                # d cost / d losses, where they differ
    double *weight_room
    void *truth_room
    const void *truth             # y_true and the weights of the batch at hand
    const double *weights
    double loss                   # of the batch at hand, penalties included
    double total, samples         # sums over batches of loss * size and of size


# ------------------------------------------------------------------------------------------------ the phases of a step

cdef void load(Job *job, ptrdiff_t begin, const real *tag) noexcept nogil:
    """Point at the x, y_true and weights of the batch that begins there; what is not as it is wanted is gathered."""
    cdef ptrdiff_t rows = min(job.size, job.n - begin)
    job.run.B = rows
    job.run.penalizes, job.run.penalty = True, 0
    job.truth, job.weights = NULL, NULL
    if job.x.contiguous and job.x.source == COPIED and job.order == NULL:
        job.run.x = job.x.data + begin * job.x.stride
    else:
        job.run.x = NULL
        fetch(&job.x, job.order, begin, rows, value_of(&job.run, 0, tag), job.run.threads)
    if job.y.data != NULL:
        job.truth = job.y.data + begin * job.y.stride
        if job.order != NULL:
            job.truth = job.truth_room
            gather(&job.y, job.order, begin, rows, <char *>job.truth_room)
    if job.w.data != NULL:
        job.weights = <const double *>(job.w.data + begin * job.w.stride)
        if job.order != NULL:
            gather(&job.w, job.order, begin, rows, <char *>job.weight_room)
            job.weights = job.weight_room


cdef double penalty(const Plan *plan) noexcept nogil:
    """What the regularizers of the variables that learn add to the loss"""
    cdef ptrdiff_t i
    cdef const Segment *s
    cdef double sums[2]
    cdef double total = 0
    for i in range(plan.segment_count):
        s = &plan.segments[i]
        if s.l1 == 0 and s.l2 == 0:
            continue
        if plan.wide:
            penalties(s.size, <const double *>s.w, sums)
        else:
            penalties(s.size, <const float *>s.w, sums)
        total += s.l1 * sums[0] + s.l2 * sums[1]
    return total


cdef void evaluate_loss(Job *job, bint with_gradient, const real *tag) noexcept nogil:
    """job.loss, and its gradient by what the loss reads"""
    cdef const Objective *o = &job.objective
    cdef ptrdiff_t rows = job.run.B * o.rows, i
    cdef const double *weights = job.weights
    cdef const int32_t *labels = <const int32_t *>job.truth
    cdef double divisor = rows, inverse
    cdef real *slopes = gradient_of(&job.run, job.loss_buffer, tag) if with_gradient else NULL
    if o.ignores:
        divisor = 0
        for i in range(rows):
            job.weight_room[i] = 0 if labels[i] == o.ignored else weights[i] if weights != NULL else 1
            divisor += labels[i] != o.ignored
        weights = job.weight_room
    if o.reduction == SUMMED:
        divisor = 1
    elif o.reduction == OVER_WEIGHTS and job.weights != NULL:
        divisor = weighted_sum(rows, weights, NULL)
    inverse = o.weight / divisor if divisor != 0 else 0
    if weights != NULL:
        for i in range(rows):
            job.scales[i] = weights[i] * inverse
    loss_and_gradient(o.kind, rows, o.d, job.truth, value_of(&job.run, job.loss_buffer, tag), job.values, slopes,
                      job.scales if weights != NULL else NULL, inverse, o.parameters)
    job.loss = weighted_sum(rows, job.values, weights) * inverse + job.run.penalty
    if job.plan != NULL:
        job.loss += penalty(job.plan)


cdef void update_metrics(Job *job, const real *tag) noexcept nogil:
    cdef const Metric *m
    cdef const double *weights
    cdef const real *y
    cdef ptrdiff_t rows
    cdef int i
    for i in range(job.metric_count):
        m = &job.metrics[i]
        y = value_of(&job.run, job.output if job.shows or not job.fused else job.loss_buffer, tag)
        rows = job.run.B * m.rows
        weights = job.weights if m.weighted else NULL
        if m.is_loss:
            loss_and_gradient(m.kind, rows, m.d, job.truth, y, job.values, <real *>NULL, NULL, 1, m.parameters)
        else:
            metric_values(m.kind, rows, m.d, job.truth, y, job.values, m.parameters)
        add_values(m.state, rows, job.values, weights, m.rows)


cdef void count_loss(Job *job) noexcept nogil:
    job.total += job.loss * job.run.B
    job.samples += job.run.B


cdef int look(Job *job, bint with_gradient, const real *tag) noexcept nogil:
    """From the ops' outputs to the loss, whether it is finite, and the metrics"""
    evaluate_loss(job, with_gradient, tag)
    if with_gradient and not isfinite(job.loss):
        return NOT_FINITE
    if job.fused and job.shows:
        forward(&job.run, job.ops - 1, job.ops, tag)
    update_metrics(job, tag)
    count_loss(job)
    return DONE


cdef void settle(Job *job, const real *tag) noexcept nogil:
    """The commit: the only part of a step that changes the model"""
    if job.plan != NULL:
        step(job.plan, job.lr)
    commit(&job.run, job.ops, tag)
    job.run.forwards += 1


cdef int one_batch(Job *job, ptrdiff_t begin, bint learns, const real *tag) noexcept nogil:
    """A whole step, or where it does not learn an evaluation, of a program without Python"""
    cdef int last = job.ops - job.fused, status
    load(job, begin, tag)
    status = forward(&job.run, 0, last, tag)
    if status < 0:
        return status
    status = look(job, learns, tag)
    if status < 0 or not learns:
        return status
    status = backward(&job.run, 0, last, tag)
    if status < -1:
        return status
    settle(job, tag)
    return DONE


cdef int64_t many_batches(Job *job, int64_t batch, int64_t end, bint learns, const double *rates, int64_t patience,
                          int *status, const real *tag) noexcept nogil:
    """Batches batch .. end - 1, as long as it takes less than `patience` ns; returns the first that was not done."""
    cdef int64_t deadline = <int64_t>clock() + patience, first = batch
    while batch < end:
        if rates != NULL:
            job.lr = rates[batch - first]
        status[0] = one_batch(job, batch * job.size, learns, tag)
        if status[0] < 0:
            return batch
        batch += 1
        if <int64_t>clock() >= deadline:
            break
    return batch


cdef bint is_fit(const Objective *o, ptrdiff_t n, const real *y) noexcept nogil:
    """Whether y_true is finite, and in [0, 1] where it must be."""
    cdef ptrdiff_t i
    cdef int outside = 0
    if not is_finite(y, n):
        return False
    if o.in_unit:
        for i in range(n):
            outside |= not 0 <= y[i] <= 1
    return not outside


cdef bint take_labels(const Objective *o, ptrdiff_t rows, const whole *y, int32_t *labels) noexcept nogil:
    """Labels as int32; False if one of them is no class."""
    cdef ptrdiff_t i
    cdef bint bad = False
    for i in range(rows * o.rows):
        labels[i] = <int32_t>y[i]
        bad |= not (0 <= y[i] < o.d or o.ignores and y[i] == o.ignored)
    return not bad


# ---------------------------------------------------------------------------------------------------------- the trainer

class NotFinite(ArithmeticError):
    """The loss of a batch is not a finite number. The model is as before the batch."""


cdef class Trainer:
    """What compile() makes of an engine: the loss, the metrics and the optimizer's plan, and the loops over batches.

    objective is a dict of Objective's fields, or for a loss in Python what is called with (y_true, y_pred, weights,
    with_gradient) and returns (loss, gradient). metrics is a list of dicts of Metric's fields. python_metrics is called
    with (y_true, y_pred, weights), python_update with the rate, python_penalty for what it adds to the loss: None where
    there is no such part.
    """

    cdef readonly Engine engine
    cdef readonly Updater updater
    cdef Job job
    cdef Metric *metrics
    cdef readonly bint in_python
    cdef bint long_steps
    cdef bint quick                         # quick_step knows all that y_true must be
    cdef readonly object python_loss, python_metrics, python_update, python_penalty
    cdef object states                      # of the metrics, which the job points into
    cdef Workspace workspace
    cdef readonly Batches batches
    cdef double operations                  # a sample
    cdef ptrdiff_t room, room_of_truth, room_of_weights   # samples; bytes of y_true and weights of each

    def __cinit__(self, Engine engine not None, objective, bint fused, list metrics, bint shows, Updater updater,
                  python_metrics=None, python_update=None, python_penalty=None):
        cdef Job *job = &self.job
        cdef Objective *o = &self.job.objective
        cdef Metric *m
        cdef const Op *op
        cdef ptrdiff_t i, j
        self.engine, self.updater = engine, updater
        self.python_metrics, self.python_update, self.python_penalty = python_metrics, python_update, python_penalty
        job.ops, job.output, job.fused, job.shows = engine.training.op_count, engine.output, fused, shows
        job.loss_buffer = engine.training.ops[job.ops - 1].input if fused else engine.output
        job.plan = NULL if updater is None or python_update is not None else &updater.plan
        if isinstance(objective, dict):
            o.kind, o.labels, o.rows, o.d = objective["kind"], objective["labels"], objective["rows"], objective["d"]
            for i, value in enumerate(objective["parameters"]):
                o.parameters[i] = value
            o.reduction, o.weight = REDUCTIONS[objective["reduction"]], objective["weight"]
            o.ignores, o.ignored = objective["ignored"] is not None, objective["ignored"] or 0
            self.quick, o.in_unit = objective["quick"], objective["in_unit"]
        else:
            self.python_loss = objective
        self.states = [fields["state"] for fields in metrics]
        self.metrics = <Metric *>calloc(max(1, len(metrics)), sizeof(Metric))
        if self.metrics == NULL:
            raise MemoryError
        job.metrics, job.metric_count = self.metrics, len(metrics)
        for i, fields in enumerate(metrics):
            m = &self.metrics[i]
            m.is_loss, m.kind, m.weighted = fields["is_loss"], fields["kind"], fields["weighted"]
            m.rows, m.d = fields["rows"], fields["d"]
            for j, value in enumerate(fields["parameters"]):
                m.parameters[j] = value
            m.state = <double *>cnp.PyArray_DATA(<cnp.ndarray>fields["state"])
        self.in_python = engine.has_python or any(
            part is not None for part in (self.python_loss, python_metrics, python_update, python_penalty)
        )
        for i in range(job.ops):
            op = &engine.training.ops[i]
            if op.kind == DENSE:
                self.operations += 6.0 * op.rows * op.inputs * op.outputs

    def __dealloc__(self):
        free(self.metrics)
        self.free_room()

    cdef void free_room(self) noexcept:
        free(self.job.values)
        free(self.job.scales)
        free(self.job.weight_room)
        free(self.job.truth_room)
        self.job.values = self.job.scales = self.job.weight_room = NULL
        self.job.truth_room = NULL

    cdef int make_room(self, ptrdiff_t rows, ptrdiff_t truth, ptrdiff_t weights) except -1:
        """Memory for batches of so many samples, so that the steps themselves allocate nothing.

        truth and weights are how many bytes a sample has of y_true, and how many weights.
        """
        cdef ptrdiff_t i, each = max(<ptrdiff_t>1, self.job.objective.rows)
        if (self.workspace is not None and self.room >= rows and self.room_of_truth >= truth
                and self.room_of_weights >= weights):
            return 0
        self.workspace, self.room = None, 0
        self.free_room()
        for i in range(self.job.metric_count):
            each = max(each, self.metrics[i].rows)
        self.job.values = <double *>calloc(max(1, rows * each), sizeof(double))
        self.job.scales = <double *>calloc(max(1, rows * each), sizeof(double))
        self.job.weight_room = <double *>calloc(max(1, rows * max(each, weights)), sizeof(double))
        self.job.truth_room = calloc(max(1, rows), max(1, truth))
        if (self.job.values == NULL or self.job.scales == NULL or self.job.weight_room == NULL
                or self.job.truth_room == NULL):
            raise MemoryError(f"no memory for batches of {rows} samples; take a smaller batch_size")
        self.workspace = Workspace(self.engine.training, rows, 8 if self.engine.wide else 4)
        self.room, self.room_of_truth, self.room_of_weights = rows, truth, weights
        return 0

    def bind(self, Batches batches not None, bint training, uint64_t forwards):
        """Take the data of the next runs, and the number of training forwards so far."""
        cdef Job *job = &self.job
        self.make_room(max(<ptrdiff_t>1, min(batches.size, batches.n)), batches.y_table.bytes, batches.w_table.size)
        self.batches = batches
        self.engine.begin(&job.run, self.workspace, True, 0)
        job.run.training, job.run.forwards = training, forwards
        job.run.gradients = cnp.PyArray_DATA(self.engine.gradients) if training else NULL
        job.x, job.y, job.w = batches.x_table, batches.y_table, batches.w_table
        job.order, job.n, job.size = batches.rows, batches.n, batches.size
        self.long_steps = self.operations * min(batches.size, batches.n) >= LONG_STEP

    # ------------------------------------------------------------------------------------------------------- results

    def reset(self):
        """Begin the sums of an epoch anew."""
        self.job.total = self.job.samples = self.job.loss = 0

    @property
    def loss(self) -> float:
        """The mean of the batches' losses since reset(), by their sizes."""
        return self.job.total / self.job.samples if self.job.samples else 0.0

    @property
    def last_loss(self) -> float:
        return self.job.loss

    @property
    def sums(self) -> tuple:
        """What reset() resets: (total, samples)."""
        return self.job.total, self.job.samples

    @sums.setter
    def sums(self, tuple value):
        self.job.total, self.job.samples = value

    @property
    def forwards(self) -> int:
        """Training forwards so far."""
        return self.job.run.forwards

    # ---------------------------------------------------------------------------------------------------------- runs

    def run(self, int64_t batch, int64_t end, bint learns, rates, double lr, double seconds) -> int:
        """Batches batch .. end - 1 of what is bound, as many as begin within `seconds`; at least one.

        rates holds a learning rate for each batch, or is None for lr throughout. Returns the first batch that was not
        done. Raises NotFinite on a batch whose loss is not finite, the model being as before it.
        """
        cdef const double *rate = NULL
        cdef int64_t patience = <int64_t>(seconds * 1e9)
        cdef int status = DONE
        cdef Job *job = &self.job
        if rates is not None:
            rate = <const double *>cnp.PyArray_DATA(<cnp.ndarray>rates)
        job.lr = lr
        if self.in_python or self.long_steps:
            return self.run_in_parts(batch, end, learns, rate, patience)
        with nogil:
            if self.engine.wide:
                batch = many_batches(job, batch, end, learns, rate, patience, &status, <const double *>NULL)
            else:
                batch = many_batches(job, batch, end, learns, rate, patience, &status, <const float *>NULL)
        if status == NOT_FINITE:
            raise NotFinite(f"batch {batch}: the loss is {job.loss}", batch)
        failed(status)
        return batch

    cdef ptrdiff_t quick_rows(self, x, y) except -1:
        """How many samples x and y hold, if they are just as a step takes them; 0 if they are not, or may not be."""
        cdef Engine engine = self.engine
        cdef Objective *o = &self.job.objective
        cdef cnp.ndarray array, truth
        cdef int kind = <int>cnp.NPY_FLOAT64 if engine.wide else <int>cnp.NPY_FLOAT32, i
        cdef ptrdiff_t rows, each = o.rows if o.labels else o.rows * o.d
        cdef bint finite
        if not self.quick or self.in_python or self.long_steps:
            return 0
        if type(x) is not cnp.ndarray or type(y) is not cnp.ndarray:
            return 0
        array, truth = x, y
        if (cnp.PyArray_TYPE(array) != kind or not cnp.PyArray_ISCARRAY_RO(array)
                or cnp.PyArray_NDIM(array) != engine.input_axes + 1):
            return 0
        for i in range(1, engine.input_axes + 1):
            if cnp.PyArray_DIM(array, i) != engine.input_dims[i]:
                return 0
        rows = cnp.PyArray_DIM(array, 0)
        if (not cnp.PyArray_ISCARRAY_RO(truth) or cnp.PyArray_NDIM(truth) == 0 or cnp.PyArray_DIM(truth, 0) != rows
                or cnp.PyArray_NDIM(truth) != engine.output_axes + (not o.labels)
                or cnp.PyArray_SIZE(truth) != rows * each):
            return 0
        if not o.labels and cnp.PyArray_TYPE(truth) != kind:
            return 0
        if engine.wide:
            finite = is_finite(<const double *>cnp.PyArray_DATA(array), rows * engine.input_size)
            finite = finite and (o.labels or is_fit(o, rows * each, <const double *>cnp.PyArray_DATA(truth)))
        else:
            finite = is_finite(<const float *>cnp.PyArray_DATA(array), rows * engine.input_size)
            finite = finite and (o.labels or is_fit(o, rows * each, <const float *>cnp.PyArray_DATA(truth)))
        return rows if finite else 0

    def quick_step(self, x, y, double lr, uint64_t forwards) -> bool:
        """A step on one batch, if x and y are just as the engine takes them; False, and nothing done, if not."""
        cdef Job *job = &self.job
        cdef ptrdiff_t rows = self.quick_rows(x, y)
        cdef int status
        if rows == 0:
            return False
        self.make_room(rows, job.objective.rows * (1 if job.objective.labels else job.objective.d) * 8, 0)
        self.engine.begin(&job.run, self.workspace, True, 0)
        job.y.data = <const char *>cnp.PyArray_DATA(<cnp.ndarray>y)
        if job.objective.labels:
            kind = cnp.PyArray_TYPE(<cnp.ndarray>y)
            if kind == cnp.NPY_INT64:
                if not take_labels(&job.objective, rows, <const int64_t *>job.y.data, <int32_t *>job.truth_room):
                    return False
            elif kind == cnp.NPY_INT32:
                if not take_labels(&job.objective, rows, <const int32_t *>job.y.data, <int32_t *>job.truth_room):
                    return False
            else:
                return False
            job.y.data = <const char *>job.truth_room
        job.run.training, job.run.forwards = True, forwards
        job.run.gradients = cnp.PyArray_DATA(self.engine.gradients)
        job.x.data, job.x.source, job.x.contiguous = <const char *>cnp.PyArray_DATA(<cnp.ndarray>x), COPIED, True
        job.y.contiguous, job.w.data, job.order = True, NULL, NULL
        job.n = job.size = rows
        job.lr = lr
        with nogil:
            if self.engine.wide:
                status = one_batch(job, 0, True, <const double *>NULL)
            else:
                status = one_batch(job, 0, True, <const float *>NULL)
        if status == NOT_FINITE:
            raise NotFinite(f"the loss is {job.loss}", 0)
        failed(status)
        return True

    cdef int64_t run_in_parts(self, int64_t batch, int64_t end, bint learns, const double *rates,
                              int64_t patience) except -1:
        """The same with Python between the ops: parts that are written in it, and signals during long steps."""
        cdef int64_t deadline = <int64_t>clock() + patience, first = batch
        cdef int status
        cdef Job *job = &self.job
        while batch < end:
            if rates != NULL:
                job.lr = rates[batch - first]
            with nogil:
                if self.engine.wide:
                    load(job, batch * job.size, <const double *>NULL)
                else:
                    load(job, batch * job.size, <const float *>NULL)
            self.forward_in_parts(job.ops - job.fused)
            status = self.look_in_parts(learns)
            if status == NOT_FINITE:
                raise NotFinite(f"batch {batch}: the loss is {job.loss}", batch)
            if learns:
                self.backward_in_parts(job.ops - job.fused)
                self.settle_in_parts()
            batch += 1
            if <int64_t>clock() >= deadline:
                break
        return batch

    cdef int forward_in_parts(self, int last) except -1:
        cdef Run *run = &self.job.run
        cdef int i, at
        for i in range(last):
            with nogil:
                if self.engine.wide:
                    at = forward(run, i, i + 1, <double *>NULL)
                else:
                    at = forward(run, i, i + 1, <float *>NULL)
            failed(at)
            if at == i:
                self.engine.python_forward(run, i)
            PyErr_CheckSignals()
        return 0

    cdef int backward_in_parts(self, int last) except -1:
        cdef Run *run = &self.job.run
        cdef int i, at
        for i in range(last - 1, -1, -1):
            with nogil:
                if self.engine.wide:
                    at = backward(run, i, i + 1, <double *>NULL)
                else:
                    at = backward(run, i, i + 1, <float *>NULL)
            failed(at)
            if at == i:
                self.engine.python_backward(run, i)
            PyErr_CheckSignals()
        return 0

    cdef tuple batch_arrays(self, int buffer):
        """y_true, y_pred and the weights of the batch at hand, as copies."""
        cdef Job *job = &self.job
        cdef cnp.npy_intp dims[1]
        cdef Batches b = self.batches
        y_pred = self.engine.value_array(&job.run, buffer, False, self.engine.output_shape).copy()
        y_true = weights = None
        if b.y is not None:
            dims[0] = job.run.B * job.y.size
            kind = cnp.PyArray_TYPE(<cnp.ndarray>b.y)
            y_true = cnp.PyArray_SimpleNewFromData(1, dims, kind, <void *>job.truth).reshape((-1, *b.true_shape)).copy()
        if b.weights is not None:
            dims[0] = job.run.B * job.w.size
            weights = cnp.PyArray_SimpleNewFromData(1, dims, cnp.NPY_FLOAT64, <void *>job.weights)
            weights = weights.reshape((job.run.B, *b.weight_shape)).copy()
        return y_true, y_pred, weights

    cdef int look_in_parts(self, bint with_gradient) except? -99:
        cdef Job *job = &self.job
        if self.python_loss is None:
            with nogil:
                if self.engine.wide:
                    evaluate_loss(job, with_gradient, <const double *>NULL)
                else:
                    evaluate_loss(job, with_gradient, <const float *>NULL)
        else:
            y_true, y_pred, weights = self.batch_arrays(job.loss_buffer)
            job.loss, gradient = self.python_loss(y_true, y_pred, weights, with_gradient)
            job.loss += job.run.penalty
            if with_gradient:
                self.engine.value_array(&job.run, job.loss_buffer, True, self.engine.output_shape)[...] = gradient
            if job.plan != NULL:
                job.loss += penalty(job.plan)
        if self.python_penalty is not None:
            job.loss += self.python_penalty()
        if with_gradient and not isfinite(job.loss):
            return NOT_FINITE
        with nogil:
            if self.engine.wide:
                if job.fused and job.shows:
                    forward(&job.run, job.ops - 1, job.ops, <const double *>NULL)
                update_metrics(job, <const double *>NULL)
            else:
                if job.fused and job.shows:
                    forward(&job.run, job.ops - 1, job.ops, <const float *>NULL)
                update_metrics(job, <const float *>NULL)
            count_loss(job)
        if self.python_metrics is not None:
            self.python_metrics(*self.batch_arrays(job.output))
        return DONE

    cdef int settle_in_parts(self) except -1:
        """The commit. An update in Python comes first: if it raises, nothing else has changed."""
        cdef Job *job = &self.job
        if self.python_update is not None:
            self.python_update(job.lr)
        with nogil:
            if self.engine.wide:
                settle(job, <const double *>NULL)
            else:
                settle(job, <const float *>NULL)
        return 0

    def gradients(self, bint training) -> float:
        """The loss of the one batch that is bound, and its gradients in engine.gradients, without the penalties'."""
        cdef Job *job = &self.job
        job.run.gradients, job.run.training = cnp.PyArray_DATA(self.engine.gradients), training
        with nogil:
            if self.engine.wide:
                load(job, 0, <const double *>NULL)
            else:
                load(job, 0, <const float *>NULL)
        self.forward_in_parts(job.ops - job.fused)
        self.look_in_parts(True)
        self.backward_in_parts(job.ops - job.fused)
        return job.loss

    def first_bad_op(self, ptrdiff_t batch) -> int:
        """Run a batch of what is bound forward again, op by op: the first whose output is not finite, or -1."""
        cdef Job *job = &self.job
        cdef int i, at
        with nogil:  # of a quick step there is one batch, and its arrays are still there
            if self.engine.wide:
                load(job, batch * job.size, <const double *>NULL)
            else:
                load(job, batch * job.size, <const float *>NULL)
        for i in range(job.ops):
            with nogil:
                if self.engine.wide:
                    at = forward(&job.run, i, i + 1, <const double *>NULL)
                else:
                    at = forward(&job.run, i, i + 1, <const float *>NULL)
            if at == i:
                self.engine.python_forward(&job.run, i)
            y = self.engine.value_array(&job.run, job.run.ops[i].output, False, (-1,))
            if not np.isfinite(y).all():
                return i
        return -1
