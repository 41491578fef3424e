"""Epochs one behind the other, as one run of steps without the GIL: a new order of the samples before each, what each
came to recorded, and the rule of when to stop."""

cimport cython
cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastnn._core.batches cimport Batches
from fastnn._core.kernels cimport chosen_table, clock, fnn, real
from fastnn._core.ops cimport DONE
from fastnn._core.random cimport random_permutation
from fastnn._core.steps cimport Job, begin_sums, many_batches, mean_loss
from fastnn._core.train cimport Trainer, patience_of, rates_of

import numpy as np

cnp.import_array()
fnn = chosen_table()

cdef extern from "numpy/random/bitgen.h" nogil:
    ctypedef struct bitgen_t:
        void *state
        uint32_t (*next_uint32)(void *state) noexcept nogil
        uint64_t (*next_uint64)(void *state) noexcept nogil


cdef uint64_t at_most(bitgen_t *numbers, uint64_t limit) noexcept nogil:
    """A number 0 .. limit, by as many of NumPy's numbers as RandomState takes for it"""
    cdef uint64_t mask = limit, value
    cdef int shift = 1
    while shift < 64:
        mask |= mask >> shift
        shift *= 2
    while True:
        if limit >> 32 == 0:
            value = numbers.next_uint32(numbers.state) & mask
        else:
            value = numbers.next_uint64(numbers.state) & mask
        if value <= limit:
            return value


cdef void shuffle(bitgen_t *numbers, ptrdiff_t n, int64_t *order) noexcept nogil:
    """What RandomState.shuffle makes of an array"""
    cdef ptrdiff_t i, j
    for i in range(n - 1, 0, -1):
        j = <ptrdiff_t>at_most(numbers, i)
        order[i], order[j] = order[j], order[i]


cdef struct Stalled:
    double best, tol, most        # most may be infinite
    int64_t count


cdef bint note(Stalled *s, double value) noexcept nogil:
    s.count = s.count + 1 if value > s.best - s.tol else 0
    if value < s.best:
        s.best = value
    return s.count > s.most


cdef class Stall:
    """When to stop, by scikit-learn's rule: after more than `most` epochs in a row that made the best value no smaller
    by tol."""

    cdef Stalled state

    def __cinit__(self, double best, double tol, int64_t count, double most):
        self.state.best, self.state.tol, self.state.count, self.state.most = best, tol, count, most

    @property
    def best(self) -> float:
        return self.state.best

    @property
    def count(self) -> int:
        """Epochs in a row that made nothing better."""
        return self.state.count

    @count.setter
    def count(self, int64_t value):
        self.state.count = value

    def note(self, double value) -> bool:
        """Take in the value of an epoch. Returns whether to stop."""
        return note(&self.state, value)


cdef struct Course:
    int64_t place, each           # batches so far, and of an epoch
    int64_t *order                # of the samples; NULL: as they lie
    bint seeded                   # it is made of (seed, stream + epoch) before each epoch,
    uint64_t seed, stream
    bitgen_t *numbers             # or shuffled with these, or left alone
    double *records
    int columns
    Stalled *stalled              # NULL: nothing stops it
    bint over


cdef void begin_epoch(Course *c, Job *job) noexcept nogil:
    cdef int i
    if c.seeded:
        random_permutation(c.seed, c.stream + c.place // c.each, job.n, c.order)
    elif c.numbers != NULL:
        shuffle(c.numbers, job.n, c.order)
    begin_sums(job)
    for i in range(job.metric_count):
        job.metrics[i].state[0] = job.metrics[i].state[1] = 0


cdef void end_epoch(Course *c, const Job *job) noexcept nogil:
    cdef double *record = c.records + (c.place // c.each - 1) * c.columns
    cdef int i
    record[0] = mean_loss(job)
    for i in range(job.metric_count):
        record[1 + 2 * i] = job.metrics[i].state[0]
        record[2 + 2 * i] = job.metrics[i].state[1]
    if c.stalled != NULL:
        c.over = note(c.stalled, record[0]) or not isfinite(record[0])


cdef int many_epochs(Course *c, Job *job, int64_t end, const double *rates, int64_t patience,
                     const real *tag) noexcept nogil:
    """Batches up to `end`, as long as it takes less than `patience` ns and nothing stops it; a Status"""
    cdef int64_t deadline = <int64_t>clock() + patience, left = patience, first = c.place, at, now
    cdef int status = DONE
    while c.place < end and left > 0 and not c.over:
        at = c.place % c.each
        if at == 0:
            begin_epoch(c, job)
        now = many_batches(job, at, min(c.each, at + end - c.place), True,
                           rates + (c.place - first) if rates != NULL else NULL, left, &status, tag)
        c.place += now - at
        if status < 0:
            return status
        if now == c.each:
            end_epoch(c, job)
        left = deadline - <int64_t>clock()
    return DONE


@cython.no_gc_clear
cdef class Epochs:
    """`count` epochs over all of some batches, as one long run of them: the GIL comes back when it ends.

    order, an int64 array or None, is the order that the samples are taken in. records[epoch] is its loss, then total
    and count of each of the trainer's metrics.
    """

    cdef readonly Trainer trainer
    cdef readonly cnp.ndarray order, records
    cdef Course course
    cdef object held                        # what the course points into
    cdef object lock                        # of the generator that orders are shuffled with, where others draw from it
    cdef bitgen_t *shared
    cdef bint in_parts                      # Python comes between the ops
    cdef uint64_t binding                   # of the trainer, to these batches

    def __cinit__(self, Trainer trainer not None, Batches batches not None, order, ptrdiff_t count, uint64_t forwards):
        cdef Course *c = &self.course
        self.trainer, self.order = trainer, order
        if order is not None and not (cnp.PyArray_ISCARRAY(self.order) and self.order.size == batches.n
                                      and cnp.PyArray_TYPE(self.order) == cnp.NPY_INT64):
            raise ValueError(f"order: expected {batches.n} contiguous int64 that can be written, got {order!r}")
        if count < 0 or batches.n == 0:
            raise ValueError("count: expected epochs over one sample at least")
        batches.reorder(order)
        trainer.bind(batches, True, forwards)
        self.binding = trainer.bindings
        self.in_parts = trainer.in_python or trainer.long_steps
        c.each, c.columns = len(batches), 1 + 2 * trainer.job.metric_count
        c.order = NULL if order is None else <int64_t *>cnp.PyArray_DATA(self.order)
        self.records = np.zeros((count, c.columns))
        c.records = <double *>cnp.PyArray_DATA(self.records)
        self.held = []

    cdef int check_order(self) except -1:
        if self.course.order == NULL:
            raise ValueError("order: there is none to make anew; pass an array of int64")
        return 0

    def seed(self, uint64_t seed, uint64_t stream):
        """Before epoch e, make the order anew of (seed, stream + e)."""
        self.check_order()
        self.course.seeded, self.course.seed, self.course.stream = True, seed, stream

    def shuffle(self, random_state, bint shared):
        """Before each epoch, do what random_state.shuffle(order) does. Where it is shared, others may draw from it
        too, between two epochs; it is locked meanwhile, for which the GIL is needed."""
        self.check_order()
        bit_generator = random_state._bit_generator
        if not isinstance(bit_generator, np.random.BitGenerator):
            raise TypeError(f"random_state: expected a RandomState, got {random_state!r}")
        self.held.append(bit_generator)
        numbers = <bitgen_t *>PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
        if shared:
            self.lock, self.shared = bit_generator.lock, numbers
        else:
            self.course.numbers = numbers

    def watch(self, Stall stall not None):
        """End the run where the loss stalls."""
        self.held.append(stall)
        self.course.stalled = &stall.state

    @property
    def place(self) -> int:
        """Batches so far."""
        return self.course.place

    @property
    def epoch(self) -> int:
        """Whole epochs so far."""
        return self.course.place // self.course.each

    @property
    def over(self) -> bool:
        """Whether the loss that is watched has stalled, or is not finite."""
        return self.course.over

    @property
    def batches(self) -> int:
        """Of all epochs."""
        return self.course.each * self.records.shape[0]

    @property
    def forwards(self) -> int:
        return self.trainer.forwards

    def run(self, int64_t batch, int64_t end, bint learns, rates, double lr, double seconds) -> int:
        """As Trainer.run, for batches that are numbered through all epochs: it goes on where it was, and always learns.

        A batch that is not finite has its number within its epoch in NotFinite's arguments.
        """
        cdef const double *rate = rates_of(rates, min(end, <int64_t>self.batches) - batch)
        cdef int64_t left = max(<int64_t>1, patience_of(seconds))
        cdef Course *c = &self.course
        if not learns or batch != c.place:
            raise ValueError(f"batch: expected {c.place}, where the epochs have come to, got {batch}")
        end = min(end, <int64_t>self.batches)
        self.trainer.enter(True)
        try:
            if self.trainer.bindings != self.binding:
                raise RuntimeError("the trainer was bound to other batches since; make new epochs")
            self.trainer.job.lr = lr
            self.run_entered(end, batch, rate, left)
        finally:
            self.trainer.leave()
        return c.place

    cdef int run_entered(self, int64_t end, int64_t batch, const double *rate, int64_t left) except -1:
        cdef int64_t deadline = <int64_t>clock() + left, stop
        cdef Course *c = &self.course
        while c.place < end and left > 0 and not c.over:
            stop = end
            if self.lock is not None or self.in_parts:      # an epoch at a time
                stop = min(end, c.place - c.place % c.each + c.each)
            if self.lock is not None and c.place % c.each == 0:
                with self.lock:
                    with nogil:
                        shuffle(self.shared, self.trainer.job.n, c.order)
            self.run_to(stop, rate + (c.place - batch) if rate != NULL else NULL, left)
            left = deadline - <int64_t>clock()
        return 0

    cdef int run_to(self, int64_t end, const double *rates, int64_t patience) except -1:
        """many_epochs; or, within one epoch, the same with Python between the ops."""
        cdef int status
        cdef Course *c = &self.course
        cdef Job *job = &self.trainer.job
        if self.in_parts:
            return self.run_in_parts(end, rates, patience)
        with nogil:
            if self.trainer.engine.wide:
                status = many_epochs(c, job, end, rates, patience, <const double *>NULL)
            else:
                status = many_epochs(c, job, end, rates, patience, <const float *>NULL)
        self.trainer.expect_finite(status, f"batch {c.place % c.each}: ", c.place % c.each)
        return 0

    cdef int run_in_parts(self, int64_t end, const double *rates, int64_t patience) except -1:
        """Up to `end`, within one epoch."""
        cdef Course *c = &self.course
        cdef Job *job = &self.trainer.job
        cdef int64_t at = c.place % c.each, now
        if at == 0:
            begin_epoch(c, job)
        now = self.trainer.run_in_parts(at, at + end - c.place, True, rates, patience)
        c.place += now - at
        if now == c.each:
            end_epoch(c, job)
        return 0
