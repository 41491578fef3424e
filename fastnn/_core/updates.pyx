"""One step of an optimizer over many variables, and what goes with it: norms, averages, and a look ahead.

A step reads and writes each weight, gradient and slot once (twice where a norm is asked for). The work is cut into
blocks whose borders depend on the variables' sizes alone, so that the number of threads changes no bit.

A step is taken in place and cannot be taken back, so that it must be known beforehand that everything stays finite. It
is where gradients and slots are within bounds that the rules state (optimizers.def). Where they are not, the step is
rehearsed on copies, a few elements at a time, and taken only if nothing becomes infinite or NaN.
"""

from libc.math cimport INFINITY, NAN, isfinite, sqrt
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from fastnn._core.constraints cimport constrain, penalties
from fastnn._core.kernels cimport chosen_table, fnn, parallel, real

fnn = chosen_table()

cdef enum:
    REHEARSED = 256         # elements that are rehearsed at a time
    GENERATED = 2048        # of a gradient that are computed at a time where it is used

# No change below LARGEST makes a weight infinite: it is less than half of the last place of the largest number. The
# squares of gradients up to MOST_GRADIENT are far below it.
cdef double FLOAT_LARGEST = 2.0 ** 102, FLOAT_MOST_GRADIENT = 2.0 ** 46
cdef double DOUBLE_LARGEST = 2.0 ** 960, DOUBLE_MOST_GRADIENT = 2.0 ** 460


cdef real *at(const void *arena, ptrdiff_t index, const real *kind) noexcept nogil:
    """Element `index` of an arena that may be absent."""
    return (<real *>arena) + index if arena != NULL else NULL


# ------------------------------------------------------------------------------------------------- is everything small?

cdef void set_limits(Plan *plan) noexcept nogil:
    plan.largest, plan.most = FLOAT_LARGEST, FLOAT_MOST_GRADIENT
    if plan.wide:
        plan.largest, plan.most = DOUBLE_LARGEST, DOUBLE_MOST_GRADIENT


cdef bint are_small(const Plan *plan) noexcept nogil:
    """Whether no gradient is larger than most_gradient."""
    cdef double most = most_gradient(plan)
    cdef const Piece *piece
    cdef const Segment *s
    cdef ptrdiff_t i
    cdef bint small
    for i in range(plan.piece_count):
        piece = &plan.pieces[i]
        s = &plan.segments[piece.segment]
        if s.g == NULL:
            continue
        if plan.wide:
            small = is_small(piece.size, <const double *>s.g + piece.start, most)
        else:
            small = is_small(piece.size, <const float *>s.g + piece.start, most)
        if not small:
            return False
    return True


cdef void measure_penalties(Plan *plan) noexcept nogil:
    """Find the squares that a training step knows from its loss."""
    cdef double sums[2]
    cdef ptrdiff_t i
    cdef Segment *s
    for i in range(plan.segment_count):
        s = &plan.segments[i]
        if s.l1 == 0 and s.l2 == 0:
            continue
        if plan.wide:
            penalties(s.size, <const double *>s.w, sums)
        else:
            penalties(s.size, <const float *>s.w, sums)
        s.squares = sums[1]


cdef double largest_penalty(const Work *work) noexcept nogil:
    """What bounds the penalties' gradients."""
    cdef const Segment *s
    cdef double largest = 0
    cdef ptrdiff_t i
    for i in range(work.plan.segment_count):
        s = &work.plan.segments[i]
        if s.l1 != 0 or s.l2 != 0:
            largest = max(largest, (s.l1 + 2 * s.l2 * sqrt(s.squares)) * work.share)
    return largest


cdef bint stays_small(Work *work) noexcept nogil:
    """Whether a step by gradients that are small leaves everything finite; brings the bounds up to date. They are of no
    use where it does not: a rehearsal finds others."""
    cdef Plan *plan = work.plan
    cdef double g = plan.most
    if not plan.measured or not 0 <= work.step.decay <= 1:
        return False
    if plan.penalised:
        g += largest_penalty(work)
    if plan.accumulated != NULL:
        plan.bounds.accumulated += g
        if not plan.bounds.accumulated <= plan.largest:
            return False
        if work.updates:
            g, plan.bounds.accumulated = plan.bounds.accumulated / work.step.steps, 0
    if not g <= 4 * plan.most:
        return False
    return not work.updates or optimizer_rows[plan.rule].within(
        g, work.constants, plan.wide, plan.most, plan.largest, plan.bounds.slot
    )


# ------------------------------------------------------------------------------------------------------------ rehearsal

cdef void measure(const Work *work, Check *check, ptrdiff_t place, ptrdiff_t n, const real *kind) noexcept nogil:
    """Take what is remembered of some elements into the bounds, whether or not the step changes it."""
    cdef Plan *plan = work.plan
    cdef int i
    for i in range(3):
        if plan.slot[i] != NULL:
            check.largest.slot[i] = max(check.largest.slot[i], size_of(n, at(plan.slot[i], place, kind)))
    if plan.accumulated != NULL:
        check.largest.accumulated = max(check.largest.accumulated, size_of(n, at(plan.accumulated, place, kind)))


cdef inline double size_of(ptrdiff_t n, const real *x) noexcept nogil:
    """What bounds the magnitudes of x; INFINITY where one of them is not finite."""
    cdef double squares = fnn_rough_squares(n, x)
    return sqrt(squares) if squares < INFINITY else INFINITY


cdef double examine(Check *check, int part, ptrdiff_t place, ptrdiff_t n, const real *now,
                    const real *before) noexcept nogil:
    """What bounds the magnitudes of `now`; and whether an element is not finite that was so before."""
    cdef double size = size_of(n, now)
    cdef ptrdiff_t i
    if size == INFINITY:
        for i in range(n):
            if check.bad < 0 and not isfinite(now[i]) and isfinite(before[i]):
                check.bad, check.part = place + i, part
    return size


cdef void rehearse(Work *work, Check *check, const Segment *segment, ptrdiff_t start, ptrdiff_t size, const real *g,
                   const fnn_step *s) noexcept nogil:
    """Take the step on copies of some elements."""
    cdef Plan *plan = work.plan
    cdef real[6][REHEARSED] copies
    cdef real *now[6]
    cdef const real *before[6]
    cdef double largest
    cdef ptrdiff_t done = 0, n, place
    cdef int i
    while done < size:
        n = min(<ptrdiff_t>REHEARSED, size - done)
        place = segment.offset + start + done
        before[WEIGHT] = (<const real *>segment.w) + start + done
        for i in range(3):
            before[1 + i] = at(plan.slot[i], place, g)
        before[ACCUMULATED] = at(plan.accumulated, place, g)
        before[AVERAGED] = at(plan.average, place, g)
        for i in range(6):
            now[i] = copies[i] if before[i] != NULL else NULL
            if before[i] != NULL:
                memcpy(now[i], before[i], n * sizeof(real))
        if work.updates:
            change(work, n, now[WEIGHT], g + done, &now[1], now[ACCUMULATED], now[AVERAGED], s)
        else:
            fnn_step_accumulate(n, now[WEIGHT], g + done, now[ACCUMULATED], s)
        for i in range(6):
            if now[i] == NULL:
                continue
            largest = examine(check, i, place, n, now[i], before[i])
            if 1 <= i <= 3:
                check.largest.slot[i - 1] = max(check.largest.slot[i - 1], largest)
            elif i == ACCUMULATED:
                check.largest.accumulated = max(check.largest.accumulated, largest)
        done += n


cdef bint stays_finite(Work *work) noexcept nogil:
    """Rehearse the step. If everything stays finite, the bounds are what was found; if not, plan.bad says what."""
    cdef Plan *plan = work.plan
    cdef Check *check
    cdef ptrdiff_t i, j
    for i in range(work.piece_count):
        check = &plan.checks[i]
        check.bad = -1
        check.largest.slot[0] = check.largest.slot[1] = check.largest.slot[2] = check.largest.accumulated = 0
    run(work, REHEARSE)
    plan.measured = True
    plan.bounds = plan.checks[0].largest
    for i in range(work.piece_count):
        check = &plan.checks[i]
        if check.bad >= 0:
            plan.bad, plan.bad_part, plan.measured = 0, check.part, False
            while plan.segments[plan.bad].offset + plan.segments[plan.bad].size <= check.bad:
                plan.bad += 1
            return False
        for j in range(3):
            plan.bounds.slot[j] = max(plan.bounds.slot[j], check.largest.slot[j])
        plan.bounds.accumulated = max(plan.bounds.accumulated, check.largest.accumulated)
    return True


# ------------------------------------------------------------------------------------------------------------ the step

cdef inline void change(const Work *work, ptrdiff_t n, real *w, const real *g, real *const *slot, real *accumulated,
                        real *average, const fnn_step *s) noexcept nogil:
    """The rule, and what a step has besides where it has any."""
    if (accumulated == NULL and average == NULL and s.decay == 0 and s.l1 == 0 and s.l2 == 0 and s.unscale == 1
            and s.scale == 1 and s.clip == 0):
        fnn_rule(work.plan.rule, n, w, g, slot, work.constants)
    else:
        fnn_step_rule(work.plan.rule, n, w, g, slot, accumulated, average, work.constants, s)


cdef inline void take(Work *work, ptrdiff_t index, const Segment *segment, ptrdiff_t start, ptrdiff_t size,
                      const real *g, const fnn_step *s) noexcept nogil:
    """Update, accumulate or rehearse elements start .. start + size of a variable, whose gradients are g[size]."""
    cdef Plan *plan = work.plan
    cdef ptrdiff_t place = segment.offset + start
    cdef real *w = (<real *>segment.w) + start
    cdef real *accumulated = at(plan.accumulated, place, g)
    cdef real *average = at(plan.average, place, g)
    cdef real *slot[3]
    cdef int i
    if work.phase == REHEARSE:
        rehearse(work, &plan.checks[index], segment, start, size, g, s)
    elif work.phase == ACCUMULATE:
        fnn_step_accumulate(size, w, g, accumulated, s)
        if average != NULL:
            fnn_step_average(size, w, average, s)
    else:
        for i in range(3):
            slot[i] = at(plan.slot[i], place, g)
        change(work, size, w, g, slot, accumulated, average, s)


cdef void take_touched(Work *work, ptrdiff_t index, const Segment *segment, ptrdiff_t start, ptrdiff_t size,
                       const fnn_step *s, const real *kind) noexcept nogil:
    """The same for those elements that lie in touched rows."""
    cdef ptrdiff_t end = start + size, row = start // segment.row, stop
    if work.phase == REHEARSE:
        measure(work, &work.plan.checks[index], segment.offset + start, size, kind)
    while start < end:
        stop = min((row + 1) * segment.row, end)
        if segment.touched[row]:
            take(work, index, segment, start, stop - start, at(segment.g, start, kind), s)
        start = stop
        row += 1


cdef void take_product(Work *work, ptrdiff_t index, const Segment *segment, ptrdiff_t start, ptrdiff_t size,
                       const fnn_step *s, const real *kind) noexcept nogil:
    """The same by a gradient that is computed some rows at a time, or parts of a row, while they are in the cache."""
    cdef const Factor *f = &work.factors[work.pieces[index].segment]
    cdef const real *x = <const real *>f.x
    cdef const real *dz = <const real *>f.dz
    cdef real g[GENERATED]
    cdef ptrdiff_t end = start + size, rows, columns, row, column
    while start < end:
        row = start // f.outputs
        column = start - row * f.outputs
        if column == 0 and f.outputs <= min(<ptrdiff_t>GENERATED, end - start):
            rows, columns = min(end - start, <ptrdiff_t>GENERATED) // f.outputs, f.outputs
        else:
            rows, columns = 1, min(f.outputs - column, min(<ptrdiff_t>GENERATED, end - start))
        fnn_outer(rows, columns, x + row, dz + column, g)
        take(work, index, segment, start, rows * columns, g, s)
        start += rows * columns


cdef void work_on(Work *work, ptrdiff_t index, const real *kind) noexcept nogil:
    """One phase of the step for one piece."""
    cdef Plan *plan = work.plan
    cdef const Piece *piece = &work.pieces[index]
    cdef Segment *segment = &plan.segments[piece.segment]
    cdef ptrdiff_t place = segment.offset + piece.start
    cdef real *w = (<real *>segment.w) + piece.start
    cdef real *g = at(segment.g, piece.start, kind)
    cdef real *accumulated = at(plan.accumulated, place, kind)
    cdef real *average = at(plan.average, place, kind)
    cdef fnn_step s = work.step
    if g == NULL or work.phase == AVERAGE:
        if work.phase == REHEARSE:
            measure(work, &plan.checks[index], place, piece.size, kind)
        elif average != NULL and work.phase != SUMS and work.phase != GRADIENTS:
            fnn_step_average(piece.size, w, average, &s)
        return
    s.l1 = segment.l1 * work.share
    s.l2 = segment.l2 * work.share
    s.scale = segment.scale
    if not segment.decays:
        s.decay = 0
    if work.phase == SUMS:
        plan.sums[index] = fnn_step_squares(piece.size, w, g, accumulated, &s)
    elif work.phase == GRADIENTS:
        fnn_step_gradient(piece.size, w, g, accumulated, (<real *>work.out[piece.segment]) + piece.start, &s)
    elif work.factors != NULL and work.factors[piece.segment].x != NULL:
        take_product(work, index, segment, piece.start, piece.size, &s, kind)
    elif segment.touched != NULL and work.phase != ACCUMULATE:
        take_touched(work, index, segment, piece.start, piece.size, &s, kind)
    else:
        take(work, index, segment, piece.start, piece.size, g, &s)


cdef void work_task(void *context, int64_t index, int worker) noexcept nogil:
    cdef Work *work = <Work *>context
    if work.plan.wide:
        work_on(work, index, <double *>NULL)
    else:
        work_on(work, index, <float *>NULL)


cdef void run(Work *work, Phase phase) noexcept nogil:
    """A phase over all pieces."""
    work.phase = phase
    parallel(work_task, work, work.piece_count, work.threads if work.plan.element_count >= THREADED else 1)


cdef void find_scales(Work *work) noexcept nogil:
    """The clip's factor for each segment, from the norms of the gradients, which are summed in the segments' order."""
    cdef Plan *plan = work.plan
    cdef double clip = plan.clip_norm if plan.clip_norm > 0 else plan.global_clip_norm
    cdef double total = 0, squares, norm, scale
    cdef ptrdiff_t i, p = 0
    run(work, SUMS)
    for i in range(plan.segment_count):
        squares = 0
        while p < plan.piece_count and plan.pieces[p].segment == i:
            squares += plan.sums[p]
            p += 1
        if plan.segments[i].g == NULL:
            continue
        total += squares
        norm = sqrt(squares)
        plan.segments[i].scale = clip / norm if norm > clip else 1 if norm <= clip else NAN
    if plan.clip_norm > 0:
        return
    norm = sqrt(total)
    # as Keras: a global norm that is not finite makes every gradient NaN
    scale = (clip / norm if norm > clip else 1) if isfinite(norm) else NAN
    for i in range(plan.segment_count):
        plan.segments[i].scale = scale


cdef inline int64_t updates_before(const Plan *plan) noexcept nogil:
    """How many updates came before this step. Small steps feel each division: none where every step updates."""
    return plan.iterations if plan.accumulation_steps == 1 else plan.iterations // plan.accumulation_steps


cdef int begin(Work *work, Plan *plan, double lr, int threads) noexcept nogil:
    """Fill in what the step's tasks share. True when this step updates, false when it only accumulates a gradient."""
    cdef int64_t updates = updates_before(plan)
    work.plan = plan
    work.pieces, work.piece_count = plan.pieces, plan.piece_count
    work.factors = NULL
    work.threads = threads
    work.out = NULL
    work.share = 1
    work.step.unscale = 1 / plan.loss_scale
    work.step.l1 = work.step.l2 = 0
    work.step.steps = plan.accumulation_steps
    work.step.scale = 1
    work.step.clip = plan.clip_value
    work.step.decay = lr * plan.weight_decay
    work.step.ema = plan.ema_momentum if updates else 0
    work.step.overwrite = plan.ema_overwrite_frequency and (updates + 1) % plan.ema_overwrite_frequency == 0
    work.updates = plan.accumulation_steps == 1 or (plan.iterations + 1) % plan.accumulation_steps == 0
    return work.updates


cdef void begin_update(Work *work, double lr) noexcept nogil:
    cdef Plan *plan = work.plan
    cdef int64_t t = updates_before(plan) + 1
    if plan.rule >= 0:
        optimizer_rows[plan.rule].remember(t, plan.hypers, &plan.memory)
        optimizer_rows[plan.rule].constants(lr, t, plan.hypers, &plan.memory, work.constants)
    if plan.clip_norm > 0 or plan.global_clip_norm > 0:
        find_scales(work)


cdef void finish(Plan *plan) noexcept nogil:
    cdef ptrdiff_t i
    if plan.constrained:
        for i in range(plan.segment_count):
            if plan.segments[i].g != NULL and plan.segments[i].constraint.kind != FREE and plan.segments[i].size:
                constrain(plan.segments[i].w, plan.wide, &plan.segments[i].constraint)
    plan.iterations += 1


cdef int step(Plan *plan, double lr, double share, Evidence evidence, const Factor *factors,
              int threads) noexcept nogil:
    cdef Work work
    cdef double memory = plan.memory
    begin(&work, plan, lr, threads)
    work.share = share
    if factors != NULL:
        work.factors, work.pieces, work.piece_count = factors, plan.apart, plan.apart_count
    if work.updates:
        begin_update(&work, lr)
    if evidence == UNMEASURED:
        measure_penalties(plan)
    if evidence >= UNKNOWN:
        evidence = SMALL if are_small(plan) else LARGE
    if evidence == TRUSTED:
        plan.measured = False
    elif (evidence == LARGE or not stays_small(&work)) and not stays_finite(&work):
        plan.memory = memory
        return -1
    run(&work, UPDATE if work.updates else ACCUMULATE)
    finish(plan)
    return 0
