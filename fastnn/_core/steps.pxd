# What a training step needs to know, and its phases. All run without the GIL.
from libc.stdint cimport int32_t, int64_t

from fastnn._core.batches cimport Table
from fastnn._core.kernels cimport real
from fastnn._core.ops cimport Run
from fastnn._core.updates cimport Factor, Plan

cdef enum Reduction:
    OVER_COUNT, OVER_WEIGHTS, SUMMED

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
    double before[2]              # what they were before the batch at hand

cdef struct Job:
    # All that the steps of a run need, without a Python object among it
    Run run
    int ops                       # of the program
    int loss_buffer, output       # what the loss reads, and the model's output
    bint fused                    # the loss reads the input of the last op, an activation
    bint shows                    # and yet somebody wants to see the activation's output
    Objective objective
    Metric *metrics
    int metric_count
    Plan *plan
    bint unknown                  # how large gradients are that are made in Python
    Factor *factors               # of each variable of the plan; NULL where every gradient is written
    bint alone                    # one thread takes steps on a single sample
    int threads                   # that take the others
    double lr
    bint by_weight                # the penalties count scale / the batch's weight, which is its samples without weights
    double scale
    Table x, y, w
    const int64_t *order
    bint copies                   # batches are gathered even where they lie as they are wanted
    ptrdiff_t n, size             # samples; of a batch
    void *places[2]               # where x is gathered to; the second is NULL where batches are not gathered ahead
    int place                     # of the batch at hand
    ptrdiff_t ahead               # where the batch begins that is gathered in the other place; -1 for none
    double squares_ahead          # the sum of its squares, or below 0
    double *values                # the losses of a batch
    double *scales                # d cost / d losses, where they differ
    double *weight_room
    void *truth_room
    const void *truth             # y_true and the weights of the batch at hand
    const double *weights
    double weight                 # of the batch at hand, where penalties go by it; 0: it teaches nothing
    double share                  # what the penalties count
    double loss                   # of the batch at hand, penalties included
    double penalty                # what of it are the regularizers' of the weights
    double total, samples         # sums over batches of loss * size and of size
    double penalties              # what of the total is penalty
    double before[3]              # what these three were before the batch at hand
    ptrdiff_t bad                 # which variable would not have stayed finite; -1 where none was found
    int bad_part                  # which part of it
    double divisor                # of the losses, their penalties apart, where they are reported

# Point at the x, y_true and weights of the batch that begins there; what is not as it is wanted is gathered. A Status:
# BAD_BATCH where there is no such batch
cdef int load(Job *job, ptrdiff_t begin, const real *tag) noexcept nogil
# job.loss, and its gradient by what the loss reads
cdef void evaluate_loss(Job *job, bint with_gradient, const real *tag) noexcept nogil
# Add to job.loss what the regularizers of the variables that learn ask for
cdef void penalise(Job *job) noexcept nogil
# Take the batch into the metrics, and into the mean of the losses
cdef void update_metrics(Job *job, const real *tag) noexcept nogil
cdef void count_loss(Job *job) noexcept nogil
# That mean as it is reported, and the sums begun anew
cdef double mean_loss(const Job *job) noexcept nogil
cdef void begin_sums(Job *job) noexcept nogil
# Take it out again
cdef void discount(Job *job) noexcept nogil
# The commit: the only part of a step that changes the model. A Status
cdef int settle(Job *job, const real *tag) noexcept nogil
# A whole step, or where it does not learn an evaluation, of a program without Python. `next` is where the batch begins
# that comes after it; -1 for none
cdef int one_batch(Job *job, ptrdiff_t begin, ptrdiff_t next, bint learns, const real *tag) noexcept nogil
# Batches batch .. end - 1, as long as it takes less than `patience` ns; returns the first that was not done
cdef int64_t many_batches(Job *job, int64_t batch, int64_t end, bint learns, const double *rates, int64_t patience,
                          int *status, const real *tag) noexcept nogil
