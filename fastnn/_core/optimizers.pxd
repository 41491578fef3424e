# One step of an optimizer over the variables of a model: what the engine calls after each backward pass.
from libc.stdint cimport int64_t

from fastnn._core.exclusive cimport Exclusive
from fastnn._core.kernels cimport real

cdef extern from "fnn.h" nogil:
    enum:
        FNN_OPTIMIZERS
        FNN_SLOTS
        FNN_CONSTANTS
        FNN_HYPERS
        FNN_COLUMNS

    ctypedef struct fnn_step:
        double unscale, l1, l2, steps
        double scale, clip
        double decay, ema
        int overwrite

    ctypedef struct fnn_optimizer_row:
        const char *name
        const char *slots
        const char *initial
        const char *hypers
        const char *formula
        int slot_count
        void (*remember)(int64_t t, const double *hypers, double *memory) noexcept nogil
        void (*constants)(
            double lr, int64_t t, const double *hypers, const double *memory, double *constants
        ) noexcept nogil

    const fnn_optimizer_row *optimizer_rows "fnn->optimizer_rows"

    void fnn_rule(
        int rule, ptrdiff_t n, void *w, const void *g, const void *slot, const double *constants
    ) noexcept
    void fnn_step_rule(
        int rule, ptrdiff_t n, void *w, const void *g, const void *slot, void *accumulated, void *average,
        const double *constants, const fnn_step *s
    ) noexcept
    void fnn_step_gradient(
        ptrdiff_t n, const void *w, const void *g, const void *accumulated, void *out, const fnn_step *s
    ) noexcept
    void fnn_step_accumulate(ptrdiff_t n, const void *w, const void *g, void *accumulated, const fnn_step *s) noexcept
    double fnn_step_squares(
        ptrdiff_t n, const void *w, const void *g, const void *accumulated, const fnn_step *s
    ) noexcept
    void fnn_penalties(ptrdiff_t n, const void *w, double *sums) noexcept
    void fnn_step_average(ptrdiff_t n, void *w, void *average, const fnn_step *s) noexcept
    void fnn_non_negative(ptrdiff_t n, void *w) noexcept
    void fnn_scale_piece(ptrdiff_t n, void *w, double factor) noexcept
    void fnn_column_squares(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t w_row, const void *w, double *sums) noexcept
    void fnn_scale_columns(
        ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t w_row, void *w, const double *factors
    ) noexcept

# What weights are made to satisfy after a step. The array is seen as (outer, reduced, inner), and a norm is that of the
# `reduced` elements between. NORM scales each such line by
# (rate clip(|w|, minimum, maximum) + (1 - rate) |w|) / (epsilon + |w|).
cdef enum ConstraintKind:
    FREE
    NON_NEGATIVE
    NORM

cdef struct Constraint:
    ConstraintKind kind
    double minimum, maximum, rate
    ptrdiff_t outer, reduced, inner

cdef struct Segment:
    void *w                    # the variable; of the plan's precision, as all below
    const void *g              # its gradient; NULL when it has none in this step
    ptrdiff_t offset, size     # its place in the arenas of the slots, and its elements
    int decays                 # whether weight decay applies to it
    double l1, l2              # the penalty l1 sum |w| + l2 sum w^2
    Constraint constraint
    double scale               # the clip's factor, found anew in each step
    const unsigned char *touched    # of each row whether it is updated; NULL where all are
    ptrdiff_t row              # elements of a row

cdef struct Piece:
    ptrdiff_t segment, start, size

cdef struct Plan:
    int rule, wide             # a row of optimizers.def, or -1; wide: double
    ptrdiff_t segment_count, piece_count, element_count, constrained
    Segment *segments
    Piece *pieces              # the segments in blocks of at most BLOCK elements: the unit of work of a thread
    double *sums               # of squares, a place for each piece
    void *slot[3]              # the arenas; those that are not used are NULL
    void *accumulated
    void *average
    double hypers[4]
    double memory              # the rule's own
    double weight_decay, clip_value, clip_norm, global_clip_norm, ema_momentum, loss_scale   # 0 for none; loss_scale 1
    int64_t ema_overwrite_frequency, accumulation_steps                                      # 0 for never; 1
    int64_t iterations         # calls of step so far

# One whole step at learning rate lr: clip, decay, rule, average, constraints, iterations + 1. No allocation. The
# penalties' gradients count `share`.
cdef void step(Plan *plan, double lr, double share) noexcept nogil

# sums[0] = sum |w|, sums[1] = sum w^2
cdef void penalties(ptrdiff_t n, const real *w, double *sums) noexcept nogil

cdef void constrain(void *w, int wide, Constraint *constraint) noexcept nogil

cdef class Updater:
    cdef Plan plan
    cdef readonly Exclusive exclusive       # one step at a time
    cdef readonly bint merged
    cdef readonly list variables
    cdef readonly list slots
    cdef list touched
    cdef readonly object average, accumulated
    cdef object dtype
    cdef int need_idle(self, str what) except -1
    cdef int plan_pieces(self) except -1
