"""One training step without the GIL, phase by phase, and many of them.

A step has phases: forward, loss (is it finite?), backward, then commit (will the weights be finite? update, moving
statistics, counters), which nothing interrupts. A step that fails before its update leaves the model as it was.
"""

from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t

from fastnn._core.batches cimport Fetch, fetch, fetch_block, gather, lies_ready
from fastnn._core.constraints cimport penalties
from fastnn._core.kernels cimport chosen_table, clock, fnn, parallel, real
from fastnn._core.losses cimport loss_and_gradient, weighted_sum
from fastnn._core.metrics cimport add_values, metric_values
from fastnn._core.ops cimport (
    BAD_BATCH,
    DONE,
    NOT_FINITE,
    NOT_STABLE,
    backward,
    commit,
    forward,
    gradient_of,
    value_of,
)
from fastnn._core.updates cimport (
    LARGE,
    SMALL,
    UNKNOWN,
    Evidence,
    Plan,
    Segment,
    fnn_rough_squares,
    most_gradient,
    step,
)

fnn = chosen_table()

cdef enum:
    PIECE_BYTES = 16 << 10        # of a batch that is gathered ahead, at least,
    MOST_PIECES = 64              # and of so many at most
    LOOKED_THROUGH = 1024         # elements of all gradients that one look at the end takes in


cdef int load(Job *job, ptrdiff_t begin, const real *tag) noexcept nogil:
    """Point at the x, y_true and weights of the batch that begins there; what is not as it is wanted is gathered."""
    cdef ptrdiff_t rows = min(job.size, job.n - begin)
    if not 0 <= begin < job.n:
        return BAD_BATCH
    job.run.B = rows
    job.run.threads = 1 if rows == 1 and job.alone else job.threads
    job.run.penalizes, job.run.penalty = True, 0
    job.run.factors, job.bad = NULL, -1
    if job.plan != NULL and job.run.gradients != NULL:
        look_or_not(job)
    job.truth, job.weights = NULL, NULL
    job.run.x_squares = -1
    if lies_ready(&job.x, job.order) and not job.copies:
        job.run.x = job.x.data + begin * job.x.stride
    else:
        if job.ahead == begin:
            job.place, job.run.x_squares = 1 - job.place, job.squares_ahead
        else:
            fetch(&job.x, job.order, begin, rows, <real *>job.places[job.place], job.run.threads)
        job.run.x = job.places[job.place]
    job.ahead = -1
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
    weigh(job)
    return DONE


cdef void look_or_not(Job *job) noexcept nogil:
    """Whether backward looks how large gradients are, op by op, while they are in the cache; or the step, at all of
    them, which are few or partly made in Python."""
    job.run.large = False
    job.run.looks = not job.unknown and job.plan.element_count > LOOKED_THROUGH
    job.run.most = most_gradient(job.plan)


cdef void weigh(Job *job) noexcept nogil:
    """Find what the penalties count in the batch at hand"""
    job.weight = job.run.B
    job.share = 1
    if job.by_weight:
        if job.weights != NULL:
            job.weight = weighted_sum(job.run.B * job.w.size, job.weights, NULL)
        job.share = job.scale / job.weight


cdef void penalise(Job *job) noexcept nogil:
    """Add to job.loss what the regularizers of the variables that learn ask for"""
    cdef Plan *plan = job.plan
    cdef ptrdiff_t i
    cdef Segment *s
    cdef double sums[2]
    cdef double total = 0
    job.penalty = 0
    if plan == NULL or plan.penalised == 0:
        return
    for i in range(plan.segment_count):
        s = &plan.segments[i]
        if s.l1 == 0 and s.l2 == 0:
            continue
        if plan.wide:
            penalties(s.size, <const double *>s.w, sums)
        else:
            penalties(s.size, <const float *>s.w, sums)
        total += s.l1 * sums[0] + s.l2 * sums[1]
        s.squares = sums[1]
    job.penalty = total * job.share
    job.loss += job.penalty


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
    penalise(job)


cdef void update_metrics(Job *job, const real *tag) noexcept nogil:
    cdef Metric *m
    cdef const double *weights
    cdef const real *y
    cdef ptrdiff_t rows
    cdef int i
    for i in range(job.metric_count):
        m = &job.metrics[i]
        m.before[0], m.before[1] = m.state[0], m.state[1]
        y = value_of(&job.run, job.output if job.shows or not job.fused else job.loss_buffer, tag)
        rows = job.run.B * m.rows
        weights = job.weights if m.weighted else NULL
        if m.is_loss:
            loss_and_gradient(m.kind, rows, m.d, job.truth, y, job.values, <real *>NULL, NULL, 1, m.parameters)
        else:
            metric_values(m.kind, rows, m.d, job.truth, y, job.values, m.parameters)
        add_values(m.state, rows, job.values, weights, m.rows)


cdef void count_loss(Job *job) noexcept nogil:
    job.before[0], job.before[1], job.before[2] = job.total, job.samples, job.penalties
    job.total += job.loss * job.run.B
    job.samples += job.run.B
    job.penalties += job.penalty * job.run.B


cdef void discount(Job *job) noexcept nogil:
    cdef Metric *m
    cdef int i
    job.total, job.samples, job.penalties = job.before[0], job.before[1], job.before[2]
    for i in range(job.metric_count):
        m = &job.metrics[i]
        m.state[0], m.state[1] = m.before[0], m.before[1]


cdef double mean_loss(const Job *job) noexcept nogil:
    if job.samples == 0:
        return 0
    if job.divisor == 1:
        return job.total / job.samples
    return ((job.total - job.penalties) / job.divisor + job.penalties) / job.samples


cdef void begin_sums(Job *job) noexcept nogil:
    job.total = job.samples = job.penalties = job.loss = job.penalty = 0


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


cdef int settle(Job *job, const real *tag) noexcept nogil:
    """The commit: the only part of a step that changes the model"""
    cdef Plan *plan = job.plan
    cdef Evidence evidence = UNKNOWN if not job.run.looks else LARGE if job.run.large else SMALL
    if plan != NULL and step(plan, job.lr, job.share, evidence, job.run.factors, job.run.threads) < 0:
        job.bad, job.bad_part = plan.bad, plan.bad_part
        discount(job)
        return NOT_STABLE
    commit(&job.run, job.ops, tag)
    job.run.forwards += 1
    return DONE


cdef int there_and_back(Job *job, int first, bint learns, const real *tag) noexcept nogil:
    """The ops from `first` on forward, the loss, and the same ops backward"""
    cdef int last = job.ops - job.fused, status
    status = forward(&job.run, first, last, tag)
    if status >= 0:
        status = look(job, learns, tag)
    if status >= 0 and learns:
        status = backward(&job.run, first, last, tag)
    return status if status < -1 else DONE


cdef struct Meanwhile:
    # Task 0: what one thread does between the first op's two passes. The others: the next batch, in pieces
    Job *job
    int status
    Fetch next
    double squares[MOST_PIECES]   # of each piece, where the job looks at gradients


cdef void meanwhile(Meanwhile *both, int64_t index, const real *tag) noexcept nogil:
    cdef const Fetch *f = &both.next
    cdef ptrdiff_t first, end
    if index == 0:
        both.status = there_and_back(both.job, 1, True, tag)
        return
    index -= 1
    fetch_block(f, index, tag)
    if both.job.run.looks:
        first, end = index * f.block, min((index + 1) * f.block, f.rows)
        both.squares[index] = fnn_rough_squares((end - first) * f.table.size, (<real *>f.y) + first * f.table.size)


cdef void meanwhile_float(void *context, int64_t index, int worker) noexcept nogil:
    meanwhile(<Meanwhile *>context, index, <const float *>NULL)


cdef void meanwhile_double(void *context, int64_t index, int worker) noexcept nogil:
    meanwhile(<Meanwhile *>context, index, <const double *>NULL)


cdef int gather_ahead(Job *job, ptrdiff_t next, const real *tag) noexcept nogil:
    """there_and_back from the second op on, which leaves other threads idle: they gather the next batch."""
    cdef Meanwhile both
    cdef Fetch *f = &both.next
    cdef ptrdiff_t pieces, i
    both.job = job
    f.table, f.order, f.begin, f.rows = &job.x, job.order, next, min(job.size, job.n - next)
    f.block = max(PIECE_BYTES // (job.x.size * <ptrdiff_t>sizeof(real)), (f.rows + MOST_PIECES - 1) // MOST_PIECES)
    f.y = job.places[1 - job.place]
    pieces = (f.rows + f.block - 1) // f.block
    parallel(meanwhile_float if real is float else meanwhile_double, &both, 1 + pieces, job.run.threads)
    job.ahead, job.squares_ahead = next, 0 if job.run.looks else -1
    for i in range(pieces if job.run.looks else 0):
        job.squares_ahead += both.squares[i]
    return both.status


cdef bint writes_no_gradients(const Job *job) noexcept nogil:
    """Whether a step on one sample may compute its gradients where it uses them. The last step of a run writes them,
    since Python may look at them then."""
    return job.factors != NULL and job.plan.clip_norm == 0 and job.plan.global_clip_norm == 0


cdef int one_batch(Job *job, ptrdiff_t begin, ptrdiff_t next, bint learns, const real *tag) noexcept nogil:
    cdef int status = load(job, begin, tag)
    if status < 0:
        return status
    if job.weight == 0:
        return DONE
    if learns and next >= 0 and job.run.B == 1 and job.run.looks and writes_no_gradients(job):
        job.run.factors = job.factors
    if not learns or next < 0 or job.places[1] == NULL:
        status = there_and_back(job, 0, learns, tag)
    else:
        status = forward(&job.run, 0, 1, tag)
        if status >= 0:
            status = gather_ahead(job, next, tag)
        if status == DONE:
            status = backward(&job.run, 0, 1, tag)
    if status < -1:
        return status
    return settle(job, tag) if learns else DONE


cdef int64_t many_batches(Job *job, int64_t batch, int64_t end, bint learns, const double *rates, int64_t patience,
                          int *status, const real *tag) noexcept nogil:
    """Batches batch .. end - 1, as long as it takes less than `patience` ns; returns the first that was not done."""
    cdef int64_t deadline = <int64_t>clock() + patience, first = batch
    job.ahead = -1                # whatever was gathered, Python may have changed x since
    while batch < end:
        if rates != NULL:
            job.lr = rates[batch - first]
        status[0] = one_batch(job, batch * job.size, (batch + 1) * job.size if batch + 1 < end else -1, learns, tag)
        if status[0] < 0:
            return batch
        batch += 1
        if <int64_t>clock() >= deadline:
            break
    return batch
