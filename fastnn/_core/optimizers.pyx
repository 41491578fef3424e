"""One step of an optimizer over many variables, and what goes with it: penalties, norms, averages, constraints.

A step reads and writes each weight, gradient and slot once (twice where a norm is asked for). The work is cut into
blocks whose borders depend on the variables' sizes alone, so that the number of threads changes no bit.
"""

from libc.math cimport INFINITY, NAN, isfinite, sqrt
from libc.stdlib cimport calloc, free, malloc

cimport numpy as cnp

from fastnn._core.exclusive cimport TRAINING, Exclusive, is_held, release
from fastnn._core.kernels cimport chosen_table, fnn, get_threads, parallel, real

cnp.import_array()
fnn = chosen_table()

cdef enum:
    BLOCK = 8192            # elements a thread takes at a time, and the unit of every sum of squares
    THREADED = 4 * BLOCK    # fewer elements than this are not worth waking a thread for
cdef double EPSILON = 1e-7  # of the norms in constraints, as Keras's backend.epsilon()

cdef enum Phase:
    SUMS
    ACCUMULATE
    GRADIENTS
    UPDATE
    AVERAGE

cdef struct Work:
    Plan *plan
    Phase phase
    fnn_step step           # what all segments share
    double share            # what the penalties' gradients count
    double constants[6]
    void **out              # GRADIENTS: where to

cdef struct Constrained:
    char *w
    int wide
    Constraint *constraint
    ptrdiff_t lines         # along the axis in one task


def _names(const char *text):
    return tuple(text.decode().strip("()").replace(",", " ").split())


ROWS = [
    {
        "name": optimizer_rows[i].name.decode(),
        "slots": dict(zip(_names(optimizer_rows[i].slots), _names(optimizer_rows[i].initial), strict=True)),
        "hyperparameters": _names(optimizer_rows[i].hypers),
        "formula": optimizer_rows[i].formula.decode(),
    }
    for i in range(FNN_OPTIMIZERS)
]


# ------------------------------------------------------------------------------------------------------------ the step

cdef inline real *at(const void *arena, ptrdiff_t index, const real *kind) noexcept nogil:
    """Element `index` of an arena that may be absent."""
    return (<real *>arena) + index if arena != NULL else NULL


cdef void update(Work *work, const Segment *segment, ptrdiff_t start, ptrdiff_t size, const fnn_step *s,
                 const real *kind) noexcept nogil:
    """The rule on elements `start` .. `start + size` of a variable."""
    cdef Plan *plan = work.plan
    cdef ptrdiff_t place = segment.offset + start
    cdef real *w = (<real *>segment.w) + start
    cdef real *g = at(segment.g, start, kind)
    cdef real *accumulated = at(plan.accumulated, place, kind)
    cdef real *average = at(plan.average, place, kind)
    cdef real *slot[3]
    cdef int i
    for i in range(3):
        slot[i] = at(plan.slot[i], place, kind)
    if (accumulated == NULL and average == NULL and s.decay == 0 and s.l1 == 0 and s.l2 == 0 and s.unscale == 1
            and s.scale == 1 and s.clip == 0):
        fnn_rule(plan.rule, size, w, g, slot, work.constants)
    else:
        fnn_step_rule(plan.rule, size, w, g, slot, accumulated, average, work.constants, s)


cdef void update_touched(Work *work, const Segment *segment, ptrdiff_t start, ptrdiff_t size, const fnn_step *s,
                         const real *kind) noexcept nogil:
    """The same for those elements that lie in touched rows."""
    cdef ptrdiff_t end = start + size, row = start // segment.row, stop
    while start < end:
        stop = min((row + 1) * segment.row, end)
        if segment.touched[row]:
            update(work, segment, start, stop - start, s, kind)
        start = stop
        row += 1


cdef void work_on(Work *work, ptrdiff_t index, const real *kind) noexcept nogil:
    """One phase of the step for one piece."""
    cdef Plan *plan = work.plan
    cdef Piece *piece = &plan.pieces[index]
    cdef Segment *segment = &plan.segments[piece.segment]
    cdef ptrdiff_t place = segment.offset + piece.start
    cdef real *w = (<real *>segment.w) + piece.start
    cdef real *g = at(segment.g, piece.start, kind)
    cdef real *accumulated = at(plan.accumulated, place, kind)
    cdef real *average = at(plan.average, place, kind)
    cdef fnn_step s = work.step
    if g == NULL or work.phase == AVERAGE:
        if average != NULL and work.phase != SUMS and work.phase != GRADIENTS:
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
    elif work.phase == ACCUMULATE:
        fnn_step_accumulate(piece.size, w, g, accumulated, &s)
        if average != NULL:
            fnn_step_average(piece.size, w, average, &s)
    elif segment.touched != NULL:
        update_touched(work, segment, piece.start, piece.size, &s, kind)
    else:
        update(work, segment, piece.start, piece.size, &s, kind)


cdef void work_task(void *context, int64_t index, int worker) noexcept nogil:
    cdef Work *work = <Work *>context
    if work.plan.wide:
        work_on(work, index, <double *>NULL)
    else:
        work_on(work, index, <float *>NULL)


cdef void run(Work *work, Phase phase) noexcept nogil:
    """A phase over all pieces."""
    work.phase = phase
    cdef int threads = get_threads() if work.plan.element_count >= THREADED else 1
    parallel(work_task, work, work.plan.piece_count, threads)


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


cdef int begin(Work *work, Plan *plan, double lr) noexcept nogil:
    """Fill in what the step's tasks share. True when this step updates, false when it only accumulates a gradient."""
    cdef int64_t updates = plan.iterations // plan.accumulation_steps
    work.plan = plan
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
    return (plan.iterations + 1) % plan.accumulation_steps == 0


cdef void begin_update(Work *work, double lr) noexcept nogil:
    cdef Plan *plan = work.plan
    cdef int64_t t = plan.iterations // plan.accumulation_steps + 1
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


cdef void step(Plan *plan, double lr, double share) noexcept nogil:
    cdef Work work
    cdef int updates = begin(&work, plan, lr)
    work.share = share
    if updates:
        begin_update(&work, lr)
        run(&work, UPDATE)
    else:
        run(&work, ACCUMULATE)
    finish(plan)


# ----------------------------------------------------------------------------------------- penalties and constraints

cdef void penalties(ptrdiff_t n, const real *w, double *sums) noexcept nogil:
    cdef double block[2]
    cdef ptrdiff_t i = 0
    sums[0] = sums[1] = 0
    while i < n:
        fnn_penalties(min(<ptrdiff_t>BLOCK, n - i), w + i, block)
        sums[0] += block[0]
        sums[1] += block[1]
        i += BLOCK


def penalty_sums(const real[::1] w):
    """(sum |w|, sum w^2), in double"""
    cdef double sums[2]
    sums[0] = sums[1] = 0
    if w.shape[0]:
        with nogil:
            penalties(w.shape[0], &w[0], sums)
    return sums[0], sums[1]


cdef double norm_factor(double squares, const Constraint *c) noexcept nogil:
    """(rate clip(|w|, minimum, maximum) + (1 - rate) |w|) / (epsilon + |w|)"""
    cdef double norm = sqrt(squares)
    cdef double wanted = c.minimum if norm < c.minimum else c.maximum if norm > c.maximum else norm
    if c.rate != 1:
        wanted = c.rate * wanted + (1 - c.rate) * norm
    return wanted / (EPSILON + norm)


cdef void constrain_lines(Constrained *job, ptrdiff_t index, const real *kind) noexcept nogil:
    """One task: a block of elements, of contiguous lines, or FNN_COLUMNS columns of one matrix."""
    cdef Constraint *c = job.constraint
    cdef real *w = <real *>job.w
    cdef ptrdiff_t columns, first, i
    cdef double sums[FNN_COLUMNS]
    cdef fnn_step plain
    if c.kind == NON_NEGATIVE:
        first = index * BLOCK
        fnn_non_negative(min(<ptrdiff_t>BLOCK, c.outer * c.reduced * c.inner - first), w + first)
    elif c.inner == 1:
        plain.unscale = plain.steps = plain.scale = 1
        plain.l1 = plain.l2 = plain.clip = plain.decay = plain.ema = 0
        plain.overwrite = 0
        for i in range(index * job.lines, min((index + 1) * job.lines, c.outer)):
            w = (<real *>job.w) + i * c.reduced
            sums[0] = fnn_step_squares(c.reduced, w, w, <const real *>NULL, &plain)
            fnn_scale_piece(c.reduced, w, norm_factor(sums[0], c))
    else:
        columns = (c.inner + FNN_COLUMNS - 1) // FNN_COLUMNS
        first = index % columns * FNN_COLUMNS
        w += index // columns * c.reduced * c.inner + first
        columns = min(<ptrdiff_t>FNN_COLUMNS, c.inner - first)
        fnn_column_squares(c.reduced, columns, c.inner, w, sums)
        for i in range(FNN_COLUMNS):
            sums[i] = norm_factor(sums[i], c)
        fnn_scale_columns(c.reduced, columns, c.inner, w, sums)


cdef void constrain_task(void *context, int64_t index, int worker) noexcept nogil:
    cdef Constrained *job = <Constrained *>context
    if job.wide:
        constrain_lines(job, index, <double *>NULL)
    else:
        constrain_lines(job, index, <float *>NULL)


cdef void constrain(void *w, int wide, Constraint *constraint) noexcept nogil:
    cdef Constrained job
    cdef Constraint *c = constraint
    cdef ptrdiff_t size = c.outer * c.reduced * c.inner, tasks
    job.w = <char *>w
    job.wide = wide
    job.constraint = c
    job.lines = max(<ptrdiff_t>1, BLOCK // max(<ptrdiff_t>1, c.reduced))
    if size == 0:
        return
    if c.kind == NON_NEGATIVE:
        tasks = (size + BLOCK - 1) // BLOCK
    elif c.inner == 1:
        tasks = (c.outer + job.lines - 1) // job.lines
    else:
        tasks = c.outer * ((c.inner + FNN_COLUMNS - 1) // FNN_COLUMNS)
    parallel(constrain_task, &job, tasks, get_threads() if size >= THREADED else 1)


cdef Constraint constraint_of(tuple given) except *:
    """(kind, minimum, maximum, rate, outer, reduced, inner) as a struct; None for no constraint."""
    cdef Constraint c
    c.kind = FREE
    c.minimum, c.maximum, c.rate, c.outer, c.reduced, c.inner = 0, INFINITY, 1, 1, 1, 1
    if given is not None:
        kind, c.minimum, c.maximum, c.rate, c.outer, c.reduced, c.inner = given
        c.kind = NON_NEGATIVE if kind == "non_negative" else NORM
    return c


def constrain_array(real[::1] w, tuple constraint):
    """Bring w under a constraint, in place."""
    cdef Constraint c = constraint_of(constraint)
    if w.shape[0] != c.outer * c.reduced * c.inner:
        raise ValueError("the constraint's extents are not those of the array")
    if w.shape[0]:
        with nogil:
            constrain(&w[0], sizeof(real) == sizeof(double), &c)


# ---------------------------------------------------------------------------------------------------------- the updater

cdef class Updater:
    """The plan of an optimizer's steps over a list of variables, and the arenas of its slots.

    rule is a row's index in ROWS, or -1 where the update is written in Python. segments has a tuple
    (decays, l1, l2, constraint) for each variable, constraint being None or what `constrain_array` takes. slots,
    average and accumulated are flat arrays of all variables' elements, or None.
    """

    def __cinit__(self, int rule, list variables, list segments, list slots, average, accumulated):
        cdef ptrdiff_t i, offset = 0
        cdef Segment *segment
        self.variables, self.slots, self.average, self.accumulated = variables, slots, average, accumulated
        self.dtype = variables[0].dtype if variables else None
        self.exclusive = Exclusive("an optimizer")
        self.plan.rule = rule
        self.plan.wide = bool(variables) and self.dtype.itemsize == 8
        self.plan.memory = 1
        self.plan.loss_scale = 1
        self.plan.accumulation_steps = 1
        self.plan.segment_count = len(variables)
        self.plan.segments = <Segment *>calloc(max(1, self.plan.segment_count), sizeof(Segment))
        if self.plan.segments == NULL:
            raise MemoryError
        for i in range(self.plan.segment_count):
            segment = &self.plan.segments[i]
            segment.w = cnp.PyArray_DATA(variables[i])
            segment.offset, segment.size = offset, variables[i].size
            segment.decays, segment.l1, segment.l2, constraint = segments[i]
            segment.constraint = constraint_of(constraint)
            segment.scale = 1
            self.plan.constrained += segment.constraint.kind != FREE
            offset += segment.size
        self.plan.element_count = offset
        for i in range(len(slots)):
            self.plan.slot[i] = cnp.PyArray_DATA(slots[i])
        if average is not None:
            self.plan.average = cnp.PyArray_DATA(average)
        if accumulated is not None:
            self.plan.accumulated = cnp.PyArray_DATA(accumulated)
        self.plan_pieces()

    def __dealloc__(self):
        free(self.plan.segments)
        free(self.plan.pieces)
        free(self.plan.sums)

    cdef int plan_pieces(self) except -1:
        """Cut the segments into pieces; where `merged`, segments side by side that are treated alike become one."""
        cdef Plan *plan = &self.plan
        cdef ptrdiff_t i, j, count = 0, start, size, width = 8 if plan.wide else 4
        cdef Segment *a
        cdef Segment *b
        cdef Piece *pieces = <Piece *>malloc(
            max(1, plan.segment_count + plan.element_count // BLOCK) * sizeof(Piece)
        )
        cdef double *sums = <double *>calloc(max(1, plan.segment_count + plan.element_count // BLOCK), sizeof(double))
        if pieces == NULL or sums == NULL:
            free(pieces)
            free(sums)
            raise MemoryError
        i = 0
        while i < plan.segment_count:
            a = b = &plan.segments[i]
            size, j = a.size, i + 1
            while self.merged and plan.clip_norm == 0 and plan.global_clip_norm == 0 and j < plan.segment_count:
                b = &plan.segments[j]
                if (<char *>b.w - <char *>a.w != size * width or <char *>b.g - <char *>a.g != size * width
                        or a.g == NULL or b.decays != a.decays or b.l1 != a.l1 or b.l2 != a.l2
                        or a.touched != NULL or b.touched != NULL):
                    break
                size += b.size
                j += 1
            for start in range(0, size, BLOCK):
                pieces[count].segment = i
                pieces[count].start = start
                pieces[count].size = min(<ptrdiff_t>BLOCK, size - start)
                count += 1
            i = j
        free(plan.pieces)
        free(plan.sums)
        plan.pieces, plan.sums, plan.piece_count = pieces, sums, count
        return 0

    def configure(self, hypers, *, double weight_decay=0, double clip_value=0, double clip_norm=0,
                  double global_clip_norm=0, double ema_momentum=0, int64_t ema_overwrite_frequency=0,
                  double loss_scale=1, int64_t accumulation_steps=1):
        """Set the hyperparameters, in the row's order, and the options; 0 for none."""
        cdef Plan *plan = &self.plan
        cdef ptrdiff_t i
        self.need_idle("configure")
        for i, value in enumerate(hypers):
            plan.hypers[i] = value
        plan.weight_decay, plan.clip_value = weight_decay, clip_value
        plan.clip_norm, plan.global_clip_norm = clip_norm, global_clip_norm
        plan.ema_momentum, plan.ema_overwrite_frequency = ema_momentum, ema_overwrite_frequency
        plan.loss_scale, plan.accumulation_steps = loss_scale, accumulation_steps
        for i in range(plan.segment_count):
            plan.segments[i].scale = 1
        if self.merged:
            self.plan_pieces()

    def bind(self, list gradients) -> bool:
        """Take the gradients of the next steps, one for each variable, None where there is none.

        False, and nothing taken, when one is not an aligned C-contiguous array of its variable's dtype and shape, or
        lies across its variable's memory, or when a variable is no longer what it was.
        """
        cdef ptrdiff_t i, size, shift
        cdef cnp.ndarray variable, gradient
        cdef const void *address
        cdef bint moved = False
        self.need_idle("apply")
        if len(gradients) != self.plan.segment_count:
            return False
        for i in range(self.plan.segment_count):
            variable = self.variables[i]
            if cnp.PyArray_DATA(variable) != self.plan.segments[i].w or not cnp.PyArray_ISWRITEABLE(variable):
                return False
            if gradients[i] is None:
                continue
            if type(gradients[i]) is not cnp.ndarray:
                return False
            gradient = gradients[i]
            if (cnp.PyArray_TYPE(gradient) != cnp.PyArray_TYPE(variable) or not cnp.PyArray_ISCARRAY_RO(gradient)
                    or not cnp.PyArray_SAMESHAPE(gradient, variable)):
                return False
            size = cnp.PyArray_NBYTES(variable)
            shift = <char *>cnp.PyArray_DATA(gradient) - <char *>self.plan.segments[i].w
            if shift != 0 and -size < shift < size:
                return False
        for i in range(self.plan.segment_count):
            address = NULL if gradients[i] is None else cnp.PyArray_DATA(<cnp.ndarray>gradients[i])
            if self.plan.segments[i].g != address:
                moved = True
                self.plan.segments[i].g, self.plan.segments[i].touched = address, NULL
        if moved and self.merged:  # what lay side by side may not do so any more
            self.merged = False
            self.plan_pieces()
        return True

    def touch(self, list touched):
        """Update only rows of variables: an array of bytes, 1 for each row to update, or None for all rows.

        The arrays are read in each step.
        """
        cdef ptrdiff_t i
        cdef Segment *segment
        self.need_idle("touch")
        self.touched = touched
        for i in range(self.plan.segment_count):
            segment = &self.plan.segments[i]
            segment.touched = NULL
            if touched[i] is not None:
                segment.touched = <const unsigned char *>cnp.PyArray_DATA(touched[i])
                segment.row = segment.size // max(1, len(touched[i]))

    def merge(self):
        """From now on treat segments as one where they and their gradients, which are bound, lie side by side.

        Until other gradients are bound. No bit changes.
        """
        self.need_idle("merge")
        self.merged = True
        self.plan_pieces()

    def step(self, double lr):
        """One step with the gradients that are bound."""
        self.exclusive.start("apply", TRAINING)
        with nogil:
            step(&self.plan, lr, 1)
        release(&self.exclusive.hold)

    cdef int need_idle(self, str what) except -1:
        """Refuse to change what a step of any thread goes by."""
        if is_held(&self.exclusive.hold):
            self.exclusive.refuse(what)
        return 0

    # The same in parts, for updates that are written in Python: gradients, then update or the user's, then finish

    def gradients(self, list out, double lr) -> bool:
        """Write the gradients to go by (penalties added, accumulated, clipped) to the arrays of `out`.

        False when this step only accumulates: there is nothing to update.
        """
        cdef Work work
        cdef ptrdiff_t i
        cdef void **places = <void **>calloc(max(1, self.plan.segment_count), sizeof(void *))
        if places == NULL:
            raise MemoryError
        for i in range(self.plan.segment_count):
            if out[i] is not None:
                places[i] = cnp.PyArray_DATA(<cnp.ndarray>out[i])
        updates = begin(&work, &self.plan, lr)
        work.step.decay = 0
        with nogil:
            if updates:
                begin_update(&work, lr)
                work.out = places
                run(&work, GRADIENTS)
            else:
                run(&work, ACCUMULATE)
        free(places)
        return updates

    def update(self, ptrdiff_t index, cnp.ndarray gradient, double lr):
        """The rule by itself for one variable, from a gradient as it is."""
        cdef Plan *plan = &self.plan
        cdef Segment *segment = &plan.segments[index]
        cdef double constants[6]
        cdef const void *g = cnp.PyArray_DATA(gradient)
        optimizer_rows[plan.rule].constants(
            lr, plan.iterations // plan.accumulation_steps + 1, plan.hypers, &plan.memory, constants
        )
        with nogil:
            if plan.wide:
                update_one(plan, segment, <const double *>g, constants)
            else:
                update_one(plan, segment, <const float *>g, constants)

    def finish(self, bint average, double lr):
        """What ends a step: the averages, if they are still to do, the constraints, and the count."""
        cdef Work work
        begin(&work, &self.plan, lr)
        with nogil:
            if average and self.plan.average != NULL:
                run(&work, AVERAGE)
            finish(&self.plan)

    @property
    def iterations(self):
        """Steps so far, those that only accumulated a gradient among them."""
        return self.plan.iterations

    @iterations.setter
    def iterations(self, int64_t value):
        self.plan.iterations = value

    @property
    def memory(self):
        """The rule's own number."""
        return self.plan.memory

    @memory.setter
    def memory(self, double value):
        self.plan.memory = value


cdef void update_one(Plan *plan, Segment *segment, const real *g, const double *constants) noexcept nogil:
    cdef real *slot[3]
    cdef int i
    for i in range(3):
        slot[i] = at(plan.slot[i], segment.offset, g)
    fnn_rule(plan.rule, segment.size, <real *>segment.w, g, slot, constants)
