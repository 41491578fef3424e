"""The plan of an optimizer's steps over a list of variables, as Python sees it."""

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc

cimport numpy as cnp

from fastnn._core.checks cimport expect_below, expect_length, expect_like, expect_reals, pinned
from fastnn._core.constraints cimport constraint_of
from fastnn._core.exclusive cimport TRAINING, Exclusive, is_held, release
from fastnn._core.kernels cimport chosen_table, fnn, get_threads, real
from fastnn._core.updates cimport (
    ACCUMULATE,
    AVERAGE,
    BLOCK,
    FREE,
    FNN_HYPERS,
    FNN_OPTIMIZERS,
    GRADIENTS,
    TRUSTED,
    UNMEASURED,
    Check,
    Piece,
    Plan,
    Segment,
    Work,
    at,
    begin,
    begin_update,
    finish,
    fnn_rule,
    optimizer_rows,
    run,
    set_limits,
    step,
)

cnp.import_array()
fnn = chosen_table()


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


cdef class Updater:
    """The plan of an optimizer's steps over a list of variables, and the arenas of its slots.

    rule is a row's index in ROWS, or -1 where the update is written in Python. segments has a tuple
    (decays, l1, l2, constraint) for each variable, constraint being None or what `constrain_array` takes. slots,
    average and accumulated are flat arrays of all variables' elements, or None.
    """

    def __cinit__(self, int rule, list variables, list segments, list slots, average, accumulated):
        cdef ptrdiff_t i, offset = 0
        cdef Segment *segment
        self.variables, self.slots = tuple(variables), tuple(slots)
        self.average, self.accumulated = average, accumulated
        self.pins = tuple([pinned(array) for array in (*variables, *slots, average, accumulated)])
        self.check(rule, segments)
        self.dtype = variables[0].dtype if variables else None
        self.exclusive = Exclusive("an optimizer")
        self.plan.rule = rule
        self.plan.wide = bool(variables) and self.dtype.itemsize == 8
        set_limits(&self.plan)
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
            segment.constraint = constraint_of(constraint, segment.size)
            segment.scale = 1
            self.plan.constrained += segment.constraint.kind != FREE
            self.plan.penalised += segment.l1 != 0 or segment.l2 != 0
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
        free(self.plan.apart)
        free(self.plan.sums)
        free(self.plan.checks)

    cdef int check(self, int rule, list segments) except -1:
        """Refuse arrays that are not of one precision, or arenas that are not as large as the variables together."""
        cdef ptrdiff_t size = 0
        cdef int kind = cnp.NPY_FLOAT32
        expect_below("rule + 1", rule + 1, FNN_OPTIMIZERS + 1)
        expect_length("segments", len(segments), len(self.variables))
        expect_length("slots", len(self.slots), optimizer_rows[rule].slot_count if rule >= 0 else 0)
        for i, array in enumerate(self.variables):
            kind = kind if i else expect_reals("variables", array)
            expect_like("variables", array, kind, array.size, False)
            size += array.size
        for array in self.slots:
            expect_like("slots", array, kind, size)
        if self.average is not None:
            expect_like("average", self.average, kind, size)
        if self.accumulated is not None:
            expect_like("accumulated", self.accumulated, kind, size)
        return 0

    cdef int plan_pieces(self) except -1:
        """Cut the segments into pieces; where `merged`, segments side by side that are treated alike become one."""
        cdef Plan *plan = &self.plan
        cdef ptrdiff_t most = max(1, plan.segment_count + plan.element_count // BLOCK)
        if plan.pieces == NULL:
            plan.pieces, plan.apart = <Piece *>malloc(most * sizeof(Piece)), <Piece *>malloc(most * sizeof(Piece))
            plan.sums, plan.checks = <double *>calloc(most, sizeof(double)), <Check *>calloc(most, sizeof(Check))
            if plan.pieces == NULL or plan.apart == NULL or plan.sums == NULL or plan.checks == NULL:
                raise MemoryError
        plan.piece_count = self.cut(plan.pieces, self.merged and plan.clip_norm == 0 and plan.global_clip_norm == 0)
        plan.apart_count = self.cut(plan.apart, False)
        return 0

    cdef ptrdiff_t cut(self, Piece *pieces, bint merged):
        cdef Plan *plan = &self.plan
        cdef ptrdiff_t i = 0, j, count = 0, start, size, width = 8 if plan.wide else 4
        cdef Segment *a
        cdef Segment *b
        while i < plan.segment_count:
            a = b = &plan.segments[i]
            size, j = a.size, i + 1
            while merged and j < plan.segment_count:
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
        return count

    def configure(self, hypers, *, double weight_decay=0, double clip_value=0, double clip_norm=0,
                  double global_clip_norm=0, double ema_momentum=0, int64_t ema_overwrite_frequency=0,
                  double loss_scale=1, int64_t accumulation_steps=1):
        """Set the hyperparameters, in the row's order, and the options; 0 for none."""
        cdef Plan *plan = &self.plan
        cdef ptrdiff_t i
        self.need_idle("configure")
        hypers = [float(value) for value in hypers]
        if len(hypers) > FNN_HYPERS:
            raise ValueError(f"hypers: expected at most {FNN_HYPERS}, got {len(hypers)}")
        if accumulation_steps < 1 or (accumulation_steps > 1 and self.accumulated is None):
            raise ValueError("accumulation_steps: expected 1, or more where there is room for gradients, "
                             f"got {accumulation_steps}")
        for i, value in enumerate(hypers):
            plan.hypers[i] = value
        plan.weight_decay, plan.clip_value = weight_decay, clip_value
        plan.clip_norm, plan.global_clip_norm = clip_norm, global_clip_norm
        plan.ema_momentum, plan.ema_overwrite_frequency = ema_momentum, ema_overwrite_frequency
        plan.loss_scale, plan.accumulation_steps = loss_scale, accumulation_steps
        for i in range(plan.segment_count):
            plan.segments[i].scale = 1
        plan.measured = False
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
        gradients = list(gradients)
        if len(gradients) != self.plan.segment_count:
            return False
        for i in range(self.plan.segment_count):
            variable = self.variables[i]
            if (cnp.PyArray_DATA(variable) != self.plan.segments[i].w or not cnp.PyArray_ISWRITEABLE(variable)
                    or cnp.PyArray_SIZE(variable) != self.plan.segments[i].size):
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
        self.bound, self.bound_pins = gradients, tuple([pinned(gradient) for gradient in gradients])
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
        touched = list(touched)
        expect_length("touched", len(touched), self.plan.segment_count)
        for i, array in enumerate(touched):
            if array is not None and not (
                isinstance(array, cnp.ndarray) and cnp.PyArray_TYPE(array) == cnp.NPY_UINT8
                and cnp.PyArray_ISCARRAY_RO(array) and array.size > 0 and self.plan.segments[i].size % array.size == 0
            ):
                raise ValueError(f"touched: expected a byte for each row of variable {i}, got {array!r}")
        self.touched = touched
        for i in range(self.plan.segment_count):
            segment = &self.plan.segments[i]
            segment.touched = NULL
            if touched[i] is not None:
                segment.touched = <const unsigned char *>cnp.PyArray_DATA(touched[i])
                segment.row = max(<ptrdiff_t>1, segment.size // <ptrdiff_t>touched[i].size)

    def merge(self):
        """From now on treat segments as one where they and their gradients, which are bound, lie side by side.

        Until other gradients are bound. No bit changes.
        """
        self.need_idle("merge")
        self.merged = True
        self.plan_pieces()

    def forget_bounds(self):
        """Python may have changed what is remembered: the next step looks at it."""
        self.plan.measured = False

    def step(self, double lr, bint checked=False):
        """One step with the gradients that are bound. With `checked`, (variable, part) and nothing done if a number
        that is finite would not stay so; else None."""
        cdef int failed
        self.need_rule()
        self.exclusive.start("apply", TRAINING)
        with nogil:
            failed = step(&self.plan, lr, 1, UNMEASURED if checked else TRUSTED, NULL, get_threads())
        release(&self.exclusive.hold)
        return (self.plan.bad, self.plan.bad_part) if failed else None

    cdef int need_rule(self) except -1:
        if self.plan.rule < 0:
            raise ValueError("rule: this optimizer's update is written in Python; there is no step without it")
        return 0

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
        out = list(out)
        self.check_gradients(out)
        cdef void **places = <void **>calloc(max(1, self.plan.segment_count), sizeof(void *))
        if places == NULL:
            raise MemoryError
        for i in range(self.plan.segment_count):
            if out[i] is not None:
                places[i] = cnp.PyArray_DATA(<cnp.ndarray>out[i])
        updates = begin(&work, &self.plan, lr, get_threads())
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

    cdef int check_gradients(self, list out) except -1:
        """Refuse arrays that the gradients do not fit into; None only where there is no gradient."""
        cdef ptrdiff_t i
        expect_length("out", len(out), self.plan.segment_count)
        for i in range(self.plan.segment_count):
            if out[i] is not None:
                expect_like("out", out[i], cnp.NPY_FLOAT64 if self.plan.wide else cnp.NPY_FLOAT32,
                            self.plan.segments[i].size)
            elif self.plan.segments[i].g != NULL:
                raise TypeError(f"out: expected an array for variable {i}, which has a gradient, got None")
        return 0

    def update(self, ptrdiff_t index, cnp.ndarray gradient not None, double lr):
        """The rule by itself for one variable, from a gradient as it is."""
        cdef Plan *plan = &self.plan
        self.need_rule()
        expect_below("index", index, plan.segment_count)
        expect_like("gradient", gradient, cnp.NPY_FLOAT64 if plan.wide else cnp.NPY_FLOAT32,
                    plan.segments[index].size, False)
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
        begin(&work, &self.plan, lr, get_threads())
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
        if value < 0:
            raise ValueError(f"iterations: expected a count, got {value}")
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
