"""The engine's upper half: the loss, metrics, and whole runs of training steps without the GIL.

The steps themselves, phase by phase, are in steps.pyx; here is what belongs to them, where Python comes between.
"""

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport NAN, isfinite
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free

from fastnn._core.batches cimport COPIED, FETCHED_BY_ALL, Batches, is_finite, lies_ready, take_labels
from fastnn._core.checks cimport pinned
from fastnn._core.engine cimport Engine, Workspace, failed, fill_parameters
from fastnn._core.exclusive cimport TRAINING, Exclusive, is_held, is_held_here, release, take
from fastnn._core.kernels cimport chosen_table, clock, core_cache, fnn, real
from fastnn._core.losses cimport FNN_LOSSES
from fastnn._core.metrics cimport METRICS, metric_layout
from fastnn._core.ops cimport DENSE, DONE, NOT_FINITE, NOT_STABLE, Op, Run, backward, forward, value_of
from fastnn._core.optimizers cimport Updater
from fastnn._core.steps cimport (
    OVER_COUNT,
    OVER_WEIGHTS,
    SUMMED,
    Job,
    Metric,
    Objective,
    begin_sums,
    count_loss,
    discount,
    evaluate_loss,
    load,
    many_batches,
    mean_loss,
    one_batch,
    penalise,
    settle,
    update_metrics,
)
from fastnn._core.updates cimport Factor, Plan, Segment

import numpy as np

cnp.import_array()
fnn = chosen_table()

cdef enum:
    LONG_STEP = 1 << 29           # floating-point operations of a step during which signals are looked at
    LATER_WORK = 1 << 20          # multiply-adds that one thread does while the others gather the next batch
    ELEMENT_WORK = 16             # of them that take as long as an element of an op that is no product
    FACTORED = 8192               # elements of a gradient of one sample that are worth computing where they are used,
    FACTORED_COLUMNS = 32         # and so many in a row

REDUCTIONS = {
    "sum_over_batch_size": OVER_COUNT, "mean": OVER_COUNT, "mean_with_sample_weight": OVER_WEIGHTS, "sum": SUMMED,
}  # fmt: skip


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


cdef const double *rates_of(rates, int64_t count) except? NULL:
    """Rates for so many steps; NULL for None."""
    if rates is None:
        return NULL
    if (type(rates) is not np.ndarray or rates.dtype != np.float64 or rates.ndim != 1 or not rates.flags.carray
            or len(rates) < count):
        raise ValueError(f"rates: expected at least {count} contiguous float64, got {rates!r}")
    return <const double *>cnp.PyArray_DATA(<cnp.ndarray>rates)


cdef int64_t patience_of(double seconds) noexcept:
    """In nanoseconds, of which an hour is as good as any longer time."""
    return <int64_t>(min(max(seconds, 0.0), 3600.0) * 1e9)


# ---------------------------------------------------------------------------------------------------------- the trainer

class NotFinite(ArithmeticError):
    """The loss of a batch is not a finite number, or the weights would not be. The model is as before the batch."""


@cython.no_gc_clear
cdef class Trainer:
    """What compile() makes of an engine: the loss, the metrics and the optimizer's plan, and the loops over batches.

    objective is a dict of Objective's fields, or for a loss in Python what is called with (y_true, y_pred, weights,
    with_gradient) and returns (loss, gradient). metrics is a list of dicts of Metric's fields. python_metrics is called
    with (y_true, y_pred, weights), python_update with the rate, python_penalty for what it adds to the loss: None where
    there is no such part.
    """

    def __cinit__(self, Engine engine not None, objective, bint fused, list metrics, bint shows, Updater updater,
                  python_metrics=None, python_update=None, python_penalty=None):
        cdef Job *job = &self.job
        cdef Objective *o = &self.job.objective
        cdef Metric *m
        cdef const Op *op
        cdef ptrdiff_t i
        if fused and engine.training.op_count == 0:
            raise ValueError("fused: there is no last op that the loss could take the place of")
        self.engine, self.updater = engine, updater
        self.python_metrics, self.python_update, self.python_penalty = python_metrics, python_update, python_penalty
        job.ops, job.output, job.fused, job.shows = engine.training.op_count, engine.output, fused, shows
        job.loss_buffer = engine.training.ops[job.ops - 1].input if fused else engine.output
        job.plan = NULL if updater is None or python_update is not None else &updater.plan
        if job.plan != NULL and job.plan.rule < 0:
            raise ValueError("python_update: the optimizer's update is written in Python, and there is none")
        job.divisor = 1
        if isinstance(objective, dict):
            o.kind, o.rows, o.d = objective["kind"], objective["rows"], objective["d"]
            fill_parameters(o.parameters, objective["parameters"])
            o.reduction, o.weight = REDUCTIONS[objective["reduction"]], objective["weight"]
            o.ignores, o.ignored = objective["ignored"] is not None, objective["ignored"] or 0
            self.quick, o.in_unit = objective["quick"], objective["in_unit"]
            if not 0 <= o.kind < FNN_LOSSES:
                raise ValueError(f"objective: there is no loss {o.kind}")
            self.layout = fnn.loss_rows[o.kind].layout
            o.labels = self.layout == c"L"
            if not self.reads_output(o.rows, o.d, 3 if self.layout == c"T" else 2 if self.layout == c"P" else 1):
                raise ValueError(f"objective: {o.rows} losses of {o.d} elements do not fit the output")
        else:
            self.python_loss = objective
        self.states = [fields["state"] for fields in metrics]
        for state in self.states:
            if (not isinstance(state, np.ndarray) or state.dtype != np.float64 or state.size < 2
                    or not state.flags.carray):
                raise ValueError(f"metrics: expected a state of two contiguous float64, got {state!r}")
        self.metrics = <Metric *>calloc(max(1, len(metrics)), sizeof(Metric))
        if self.metrics == NULL:
            raise MemoryError
        job.metrics, job.metric_count = self.metrics, len(metrics)
        for i, fields in enumerate(metrics):
            m = &self.metrics[i]
            m.is_loss, m.kind, m.weighted = fields["is_loss"], fields["kind"], fields["weighted"]
            m.rows, m.d = fields["rows"], fields["d"]
            fill_parameters(m.parameters, fields["parameters"])
            layout = fnn.loss_rows[m.kind].layout if m.is_loss and 0 <= m.kind < FNN_LOSSES else metric_layout(m.kind)
            if (self.python_loss is not None or not 0 <= m.kind < (FNN_LOSSES if m.is_loss else METRICS)
                    or layout != self.layout or m.rows != o.rows or m.d != o.d):
                raise ValueError(f"metrics[{i}]: it does not fit the loss")
            m.state = <double *>cnp.PyArray_DATA(<cnp.ndarray>fields["state"])
        job.copies = engine.keeps_input
        self.in_python = engine.has_python or any(
            part is not None for part in (self.python_loss, python_metrics, python_update, python_penalty)
        )
        for i in range(job.ops):
            op = &engine.training.ops[i]
            if op.kind == DENSE:
                self.operations += 6.0 * op.rows * op.inputs * op.outputs
            if i > 0:
                self.later_work += op.rows * (
                    3.0 * op.inputs * op.outputs if op.kind == DENSE else ELEMENT_WORK * max(op.inputs, op.outputs)
                )

        job.unknown, job.bad = engine.has_python, -1
        self.variables = <ptrdiff_t *>calloc(max(1, job.ops), sizeof(ptrdiff_t))
        if self.variables == NULL:
            raise MemoryError
        if job.plan != NULL:
            self.plan_factors()

    def __dealloc__(self):
        free(self.metrics)
        free(self.variables)
        free(self.factors)
        free(self.job.factors)
        self.free_room()

    cdef int plan_factors(self) except -1:
        """Find the gradients that a step on one sample need not write: those of large matrices."""
        cdef Job *job = &self.job
        cdef const Plan *plan = job.plan
        cdef const Op *op
        cdef const Segment *segment
        cdef Factor *factor
        cdef ptrdiff_t i, size = 8 if self.engine.wide else 4, room = 0
        cdef int j
        cdef char *place
        job.factors = <Factor *>calloc(max(1, plan.segment_count), sizeof(Factor))
        if job.factors == NULL:
            raise MemoryError
        for j in range(job.ops):
            op = &self.engine.training.ops[j]
            self.variables[j] = -1
            if (op.kind != DENSE or op.rows != 1 or not op.w_trains or op.inputs * op.outputs < FACTORED
                    or op.outputs < FACTORED_COLUMNS):
                continue
            for i in range(plan.segment_count):
                segment = &plan.segments[i]
                if segment.g == <char *>cnp.PyArray_DATA(self.engine.gradients) + op.w * size:
                    self.variables[j] = i
                    job.factors[i].inputs, job.factors[i].outputs = op.inputs, op.outputs
                    room += (op.inputs + op.outputs) * size
        if room == 0:
            free(job.factors)
            job.factors = NULL
            return 0
        self.factors = calloc(1, room)
        if self.factors == NULL:
            raise MemoryError
        place = <char *>self.factors
        for i in range(plan.segment_count):
            factor = &job.factors[i]
            if factor.outputs:
                factor.x, factor.dz = place, place + factor.inputs * size
                place += (factor.inputs + factor.outputs) * size
        return 0

    cdef int expect_finite(self, int status, where, int64_t batch) except -1:
        """Raise what a Status means."""
        if status == NOT_FINITE:
            raise NotFinite(f"{where}the loss is {self.job.loss}", batch)
        if status == NOT_STABLE:
            raise NotFinite(f"{where}the loss is {self.job.loss}, but the step would make weights infinite", batch)
        return failed(status)

    cdef void free_room(self) noexcept:
        free(self.job.values)
        free(self.job.scales)
        free(self.job.weight_room)
        free(self.job.truth_room)
        self.job.values = self.job.scales = self.job.weight_room = NULL
        self.job.truth_room = NULL

    cdef bint reads_output(self, ptrdiff_t rows, ptrdiff_t d, int several) noexcept:
        """Whether so many losses of so many elements are what a sample of the output has."""
        return rows >= 0 and d >= 0 and rows * d * several == self.engine.output_size

    cdef int enter(self, bint learns=False) except -1:
        """Take the trainer for one call, and where that learns the optimizer: two calls cannot share them."""
        if is_held(&self.hold):
            raise RuntimeError(
                "a step of this model is running" + (
                    ", and this was called from within it, by a loss, a metric, a layer or an optimizer"
                    if is_held_here(&self.hold) else " in another thread"
                )
            )
        if learns and self.job.plan != NULL:
            self.updater.exclusive.start("fit", TRAINING)
            self.holds_updater = True
        take(&self.hold)
        if self.in_python:
            take(&self.engine.exclusive.step)
        return 0

    cdef void leave(self) noexcept:
        if self.in_python:
            release(&self.engine.exclusive.step)
        release(&self.hold)
        if self.holds_updater:
            self.holds_updater = False
            release(&self.updater.exclusive.hold)

    cdef bint may_gather_ahead(self, ptrdiff_t rows, Batches batches):
        """Whether, of batches of so many samples, the next is gathered by threads that this one leaves idle."""
        cdef const Op *ops = self.engine.training.ops
        cdef ptrdiff_t bytes = rows * batches.x_table.size * (8 if self.engine.wide else 4)
        return (bytes >= FETCHED_BY_ALL and not lies_ready(&batches.x_table, batches.rows)
                and not self.job.copies and not self.in_python and not self.long_steps
                and rows * self.later_work <= LATER_WORK
                and self.job.ops > self.job.fused and ops[0].kind == DENSE and ops[0].input == 0)

    cdef int make_room(self, ptrdiff_t rows, ptrdiff_t truth, ptrdiff_t weights, ptrdiff_t spare) except -1:
        """Memory for batches of so many samples, so that the steps themselves allocate nothing.

        truth and weights are how many bytes a sample has of y_true, and how many weights; spare is how many elements
        of x it has that are gathered ahead.
        """
        cdef ptrdiff_t i, each = max(<ptrdiff_t>1, self.job.objective.rows)
        if (self.workspace is not None and self.room >= rows and self.room_of_truth >= truth
                and self.room_of_weights >= weights and self.room_of_spare >= spare):
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
        self.workspace = Workspace(self.engine.training, rows, 8 if self.engine.wide else 4, spare)
        self.room, self.room_of_truth, self.room_of_weights, self.room_of_spare = rows, truth, weights, spare
        return 0

    def share_penalties(self, double scale, double divisor):
        """Have the penalties count scale / S in a batch whose weights have the sum S (without weights: so many samples)
        and batches without weight be left out; and the losses, penalties apart, be reported divided by `divisor`."""
        self.job.by_weight, self.job.scale, self.job.divisor = True, scale, divisor

    cdef int check(self, Batches b) except -1:
        """Refuse samples that are not as the ops, the loss and the metrics read them."""
        cdef const Objective *o = &self.job.objective
        if b.dtype.num != (<int>cnp.NPY_FLOAT64 if self.engine.wide else <int>cnp.NPY_FLOAT32):
            raise ValueError(f"batches: they are made for {b.dtype}, and the model computes in another precision")
        if b.x_table.size != self.engine.input_size:
            raise ValueError(f"x: expected samples of shape {self.engine.input_shape}, got {b.x.shape[1:]}")
        if self.python_loss is not None:
            return 0
        if self.layout == c"T" and b.y is not None or self.layout != c"T" and b.y is None:
            raise ValueError("y: expected targets where the loss reads them, and none where it does not")
        if self.layout == c"L":
            if b.y_table.size != o.rows or not b.has_labels(o.d, o.ignores, o.ignored):
                raise ValueError(f"y: expected {o.rows} int32 class numbers a sample, 0 .. {o.d - 1}")
        elif b.y is not None and (
                b.y.dtype != b.dtype or b.y_table.size != o.rows * (1 if self.layout == c"P" else o.d)):
            raise ValueError(f"y: expected {b.dtype} as the loss reads it, got {b.y.dtype} of shape {b.y.shape}")
        if b.weights is not None and (b.weights.dtype != np.float64 or b.w_table.size != o.rows):
            raise ValueError(f"weights: expected {o.rows} float64 a sample, got shape {b.weights.shape}")
        return 0

    def bind(self, Batches batches not None, bint training, uint64_t forwards):
        """Take the data of the next runs, and the number of training forwards so far."""
        self.check(batches)
        self.enter()
        try:
            self.bind_checked(batches, training, forwards)
        finally:
            self.leave()

    cdef void forget_samples(self) noexcept:
        """Let the job point at no samples: the caller may free them."""
        self.job.n, self.job.x.data = 0, NULL

    def unbind(self):
        """Let go of the data."""
        self.enter()
        self.bindings += 1
        self.forget_samples()
        self.batches = self.order = None
        self.leave()

    cdef int bind_checked(self, Batches batches, bint training, uint64_t forwards) except -1:
        cdef Job *job = &self.job
        cdef ptrdiff_t rows = max(<ptrdiff_t>1, min(batches.size, batches.n))
        cdef bint ahead
        self.bindings += 1
        self.forget_samples()           # until all is in place
        self.long_steps = self.operations * rows >= LONG_STEP
        ahead = training and self.may_gather_ahead(rows, batches)
        self.make_room(rows, batches.y_table.bytes, batches.w_table.size, batches.x_table.size if ahead else 0)
        self.batches, self.order = batches, batches.order
        self.begin_run(training, forwards)
        job.places[1] = self.workspace.spare if ahead and job.run.threads > 1 else NULL
        job.ahead = -1
        job.x, job.y, job.w = batches.x_table, batches.y_table, batches.w_table
        job.order, job.n, job.size = batches.rows, batches.n, batches.size
        return 0

    cdef void begin_run(self, bint training, uint64_t forwards) noexcept:
        """What a run knows besides its data."""
        cdef Job *job = &self.job
        cdef ptrdiff_t bytes = self.engine.weight_bytes, i
        self.engine.begin(&job.run, self.workspace, True, 0)
        job.run.training, job.run.forwards = training, forwards
        job.run.gradients = cnp.PyArray_DATA(self.engine.gradients) if training else NULL
        job.run.looks, job.run.variables = False, self.variables
        if job.plan != NULL:
            for i in range(3):
                if job.plan.slot[i] != NULL:
                    bytes += job.plan.element_count * (8 if self.engine.wide else 4)
        job.alone, job.threads = bytes <= 2 * core_cache(), job.run.threads
        if self.engine.wide:
            job.places[0] = value_of(&job.run, 0, <const double *>NULL)
        else:
            job.places[0] = value_of(&job.run, 0, <const float *>NULL)
        job.place = 0

    # ------------------------------------------------------------------------------------------------------- results

    def reset(self):
        """Begin the sums of an epoch anew."""
        begin_sums(&self.job)

    @property
    def loss(self) -> float:
        """The mean of the batches' losses since reset(), by their sizes."""
        return mean_loss(&self.job)

    @property
    def last_loss(self) -> float:
        """That of the last batch; NaN where it was finite, but not what the step would have made of the weights."""
        return self.job.loss if self.job.bad < 0 else NAN

    @property
    def refused(self) -> tuple | None:
        """Of the last batch: its loss, which variable would not have stayed finite, and which part of it, 0 for itself,
        1, 2, 3 for what the optimizer remembers of it, 4 for its accumulated gradient, 5 for its average. None where
        its step was taken."""
        return None if self.job.bad < 0 else (self.job.loss, self.job.bad, self.job.bad_part)

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

    @property
    def gathers_ahead(self) -> bool:
        """Whether a step on what is bound gathers the next batch, too."""
        return self.job.places[1] != NULL

    # ---------------------------------------------------------------------------------------------------------- runs

    def run(self, int64_t batch, int64_t end, bint learns, rates, double lr, double seconds) -> int:
        """Batches batch .. end - 1 of what is bound, as many as begin within `seconds`; at least one.

        rates holds a learning rate for each batch, or is None for lr throughout. Returns the first batch that was not
        done. Raises NotFinite on a batch whose loss is not finite, the model being as before it.
        """
        cdef const double *rate = rates_of(rates, end - batch)
        self.enter(learns)
        try:
            return self.run_entered(batch, end, learns, rate, lr, patience_of(seconds))
        finally:
            self.leave()

    cdef int64_t run_entered(self, int64_t batch, int64_t end, bint learns, const double *rate, double lr,
                             int64_t patience) except -1:
        cdef int status = DONE
        cdef Job *job = &self.job
        if learns and job.run.gradients == NULL:
            raise RuntimeError("learns: the batches are bound for an evaluation")
        if not 0 <= batch < end or job.n == 0 or end > (job.n + job.size - 1) // job.size:
            raise IndexError(f"batch: there are no batches {batch} .. {end - 1} in the samples that are bound")
        job.lr = lr
        if self.in_python or self.long_steps:
            return self.run_in_parts(batch, end, learns, rate, patience)
        with nogil:
            if self.engine.wide:
                batch = many_batches(job, batch, end, learns, rate, patience, &status, <const double *>NULL)
            else:
                batch = many_batches(job, batch, end, learns, rate, patience, &status, <const float *>NULL)
        self.expect_finite(status, f"batch {batch}: ", batch)
        return batch

    cdef ptrdiff_t quick_rows(self, x, y) except -1:
        """How many samples x and y hold, if they are just as a step takes them; 0 if they are not, or may not be."""
        cdef Engine engine = self.engine
        cdef Objective *o = &self.job.objective
        cdef cnp.ndarray array, truth
        cdef int kind = <int>cnp.NPY_FLOAT64 if engine.wide else <int>cnp.NPY_FLOAT32, i
        cdef ptrdiff_t rows, each = o.rows if o.labels else o.rows * o.d
        cdef bint finite
        if not self.quick or self.long_steps:
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

    def quick_step(self, x, y, double lr, uint64_t forwards, uint64_t uses) -> float | None:
        """The loss of a step on one batch, if x and y are just as the engine takes them and nobody has used the model
        since its `exclusive.uses` were read; None, and nothing done, if not."""
        cdef Exclusive exclusive = self.engine.exclusive
        if (is_held(&exclusive.hold) or exclusive.uses != uses or self.in_python or self.updater is None
                or not self.updater.merged):
            return None
        exclusive.start("train_on_batch", TRAINING)
        try:
            self.enter(True)
            pins = pinned(x), pinned(y)
            try:
                return mean_loss(&self.job) if self.quick_entered(x, y, lr, forwards) else None
            finally:
                self.forget_samples()
                self.leave()
                del pins
        finally:
            release(&exclusive.hold)

    cdef bint quick_entered(self, x, y, double lr, uint64_t forwards) except -1:
        cdef Job *job = &self.job
        cdef const Objective *o = &self.job.objective
        cdef ptrdiff_t rows = self.quick_rows(x, y)
        cdef int32_t *labels
        cdef int status, i
        if rows == 0:
            return False
        self.bindings += 1
        self.forget_samples()
        self.make_room(rows, o.rows * (1 if o.labels else o.d) * 8, 0, 0)
        self.begin_run(True, forwards)
        job.places[1], job.ahead = NULL, -1
        job.y.data = <const char *>cnp.PyArray_DATA(<cnp.ndarray>y)
        if o.labels:
            labels = <int32_t *>job.truth_room
            if not take_labels(cnp.PyArray_TYPE(<cnp.ndarray>y), rows * o.rows, job.y.data, o.d, o.ignores, o.ignored,
                               labels):
                return False
            job.y.data = <const char *>labels
        job.x.data, job.x.source, job.x.contiguous = <const char *>cnp.PyArray_DATA(<cnp.ndarray>x), COPIED, True
        job.y.contiguous, job.w.data, job.order = True, NULL, NULL
        job.x.size, job.x.bytes = self.engine.input_size, self.engine.input_size * (8 if self.engine.wide else 4)
        job.x.stride = job.x.bytes
        job.n = job.size = rows
        job.lr = lr
        begin_sums(job)
        for i in range(job.metric_count):
            job.metrics[i].state[0] = job.metrics[i].state[1] = 0
        with nogil:
            if self.engine.wide:
                status = one_batch(job, 0, -1, True, <const double *>NULL)
            else:
                status = one_batch(job, 0, -1, True, <const float *>NULL)
        self.expect_finite(status, "", 0)
        return True

    cdef int64_t run_in_parts(self, int64_t batch, int64_t end, bint learns, const double *rates,
                              int64_t patience) except -1:
        """The same with Python between the ops: parts that are written in it, and signals during long steps."""
        cdef int64_t deadline = <int64_t>clock() + patience, first = batch
        cdef Job *job = &self.job
        while batch < end:
            if rates != NULL:
                job.lr = rates[batch - first]
            self.load_batch(batch)
            if job.weight != 0:
                self.step_in_parts(batch, learns)
            batch += 1
            if <int64_t>clock() >= deadline:
                break
        return batch

    cdef int load_batch(self, int64_t batch) except -1:
        cdef Job *job = &self.job
        cdef int status
        with nogil:
            if self.engine.wide:
                status = load(job, batch * job.size, <const double *>NULL)
            else:
                status = load(job, batch * job.size, <const float *>NULL)
        return failed(status)

    cdef int step_in_parts(self, int64_t batch, bint learns) except -1:
        """A step on the batch that is loaded."""
        cdef int last = self.job.ops - self.job.fused
        self.forward_in_parts(last)
        self.expect_finite(self.look_in_parts(learns), f"batch {batch}: ", batch)
        if learns:
            self.backward_in_parts(last)
            self.expect_finite(self.settle_in_parts(), f"batch {batch}: ", batch)
        return 0

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
            penalise(job)
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

    cdef int settle_in_parts(self) except? -99:
        """The commit. An update in Python comes first: if it raises, nothing else has changed."""
        cdef Job *job = &self.job
        cdef int status = DONE
        refused = None if self.python_update is None else self.python_update(job.lr)
        if refused is not None:
            job.bad, job.bad_part = refused
            discount(job)
            status = NOT_STABLE
        else:
            with nogil:
                if self.engine.wide:
                    status = settle(job, <const double *>NULL)
                else:
                    status = settle(job, <const float *>NULL)
        if status == NOT_STABLE and self.python_metrics is not None:
            self.python_metrics.discount()
        return status

    def gradients(self, bint training) -> float:
        """The loss of the one batch that is bound, and its gradients in engine.gradients, without the penalties'."""
        cdef Job *job = &self.job
        self.enter()
        try:
            job.run.gradients, job.run.training = cnp.PyArray_DATA(self.engine.gradients), training
            self.load_batch(0)
            self.forward_in_parts(job.ops - job.fused)
            self.look_in_parts(True)
            self.backward_in_parts(job.ops - job.fused)
            return job.loss
        finally:
            self.leave()

    def first_bad_op(self, ptrdiff_t batch) -> int:
        """Run a batch of what is bound forward again, op by op: the first whose output is not finite, or -1."""
        self.enter()
        try:
            return self.find_bad_op(batch)
        finally:
            self.leave()

    cdef int find_bad_op(self, ptrdiff_t batch) except -2:
        cdef Job *job = &self.job
        cdef int i, at
        self.load_batch(batch)
        for i in range(job.ops):
            with nogil:
                if self.engine.wide:
                    at = forward(&job.run, i, i + 1, <const double *>NULL)
                else:
                    at = forward(&job.run, i, i + 1, <const float *>NULL)
            failed(at)
            if at == i:
                self.engine.python_forward(&job.run, i)
            y = self.engine.value_array(&job.run, job.run.ops[i].output, False, (-1,))
            if not np.isfinite(y).all():
                return i
        return -1
