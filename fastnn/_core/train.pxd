# What runs steps: a model's ops with the loss, the metrics and the optimizer's plan.
from libc.stdint cimport int64_t, uint64_t

from fastnn._core.batches cimport Batches
from fastnn._core.engine cimport Engine, Workspace
from fastnn._core.exclusive cimport Hold
from fastnn._core.optimizers cimport Updater
from fastnn._core.steps cimport Job, Metric

cdef class Trainer:
    cdef readonly Engine engine
    cdef readonly Updater updater
    cdef Job job
    cdef Metric *metrics
    cdef ptrdiff_t *variables               # of each op: which variable its w is; -1
    cdef void *factors                      # the memory of what the job's factors point to
    cdef readonly bint in_python
    cdef bint long_steps
    cdef bint quick                         # quick_step knows all that y_true must be
    cdef readonly object python_loss, python_metrics, python_update, python_penalty
    cdef object states                      # of the metrics, which the job points into
    cdef Workspace workspace
    cdef readonly Batches batches
    cdef object order                       # what the job points into, with the batches and the workspace
    cdef Hold hold                          # of the call that uses it
    cdef bint holds_updater
    cdef uint64_t bindings                  # so far: who bound it can tell whether another did since
    cdef char layout                        # of y_true, as losses.def has it; 0 for a loss in Python
    cdef double operations                  # a sample
    cdef double later_work                  # multiply-adds a sample, or what takes as long, of the ops after the first
    cdef ptrdiff_t room, room_of_truth, room_of_weights   # samples; bytes of y_true and weights of each
    cdef ptrdiff_t room_of_spare            # elements of each in a batch that is gathered ahead

    cdef bint reads_output(self, ptrdiff_t rows, ptrdiff_t d, int several) noexcept
    cdef int enter(self, bint learns=*) except -1
    cdef void leave(self) noexcept
    cdef int check(self, Batches b) except -1
    cdef int bind_checked(self, Batches batches, bint training, uint64_t forwards) except -1
    cdef int plan_factors(self) except -1
    cdef void begin_run(self, bint training, uint64_t forwards) noexcept
    cdef int expect_finite(self, int status, object where, int64_t batch) except -1
    cdef int64_t run_entered(self, int64_t batch, int64_t end, bint learns, const double *rate, double lr,
                             int64_t patience) except -1
    cdef void forget_samples(self) noexcept
    cdef bint quick_entered(self, x, y, double lr, uint64_t forwards) except -1
    cdef int load_batch(self, int64_t batch) except -1
    cdef int find_bad_op(self, ptrdiff_t batch) except -2
    cdef void free_room(self) noexcept
    cdef int make_room(self, ptrdiff_t rows, ptrdiff_t truth, ptrdiff_t weights, ptrdiff_t spare) except -1
    cdef bint may_gather_ahead(self, ptrdiff_t rows, Batches batches)
    cdef ptrdiff_t quick_rows(self, x, y) except -1
    cdef int64_t run_in_parts(self, int64_t batch, int64_t end, bint learns, const double *rates,
                              int64_t patience) except -1
    cdef int step_in_parts(self, int64_t batch, bint learns) except -1
    cdef int forward_in_parts(self, int last) except -1
    cdef int backward_in_parts(self, int last) except -1
    cdef tuple batch_arrays(self, int buffer)
    cdef int look_in_parts(self, bint with_gradient) except? -99
    cdef int settle_in_parts(self) except? -99

# Rates for so many steps; NULL for None
cdef const double *rates_of(rates, int64_t count) except? NULL
cdef int64_t patience_of(double seconds) noexcept
