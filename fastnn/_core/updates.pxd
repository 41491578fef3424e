# One step of an optimizer over the variables of a model: what the engine calls after each backward pass.
from libc.stdint cimport int64_t

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
        int (*within)(
            double g, const double *constants, int wide, double most, double largest, double *slot
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
    void fnn_outer(ptrdiff_t rows, ptrdiff_t columns, const void *x, const void *dz, void *out) noexcept
    bint fnn_below_two(ptrdiff_t n, const void *x) noexcept
    double fnn_rough_squares(ptrdiff_t n, const void *x) noexcept
    void fnn_step_average(ptrdiff_t n, void *w, void *average, const fnn_step *s) noexcept
    void fnn_non_negative(ptrdiff_t n, void *w) noexcept
    void fnn_scale_piece(ptrdiff_t n, void *w, double factor) noexcept
    void fnn_column_squares(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t w_row, const void *w, double *sums) noexcept
    void fnn_scale_columns(
        ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t w_row, void *w, const double *factors
    ) noexcept

cdef enum:
    BLOCK = 8192            # elements a thread takes at a time, and the unit of every sum of squares
    THREADED = 4 * BLOCK    # fewer elements than this are not worth waking a thread for

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
    double squares             # sum w^2, where there is a penalty: of this step
    Constraint constraint
    double scale               # the clip's factor, found anew in each step
    const unsigned char *touched    # of each row whether it is updated; NULL where all are
    ptrdiff_t row              # elements of a row

cdef struct Piece:
    ptrdiff_t segment, start, size

cdef enum:                     # the parts of what a step changes
    WEIGHT = 0                 # the slots are 1, 2, 3
    ACCUMULATED = 4
    AVERAGED = 5

cdef struct Bounds:
    double slot[3]             # of the magnitudes of a slot's elements
    double accumulated

cdef struct Check:
    # What a rehearsal finds in a piece
    ptrdiff_t bad              # the first element that is finite and would not stay so, in the arenas; -1 for none
    int part                   # of which part
    Bounds largest

cdef struct Plan:
    int rule, wide             # a row of optimizers.def, or -1; wide: double
    ptrdiff_t segment_count, piece_count, element_count, constrained, penalised
    Segment *segments
    Piece *pieces              # the segments in blocks of at most BLOCK elements: the unit of work of a thread
    Piece *apart               # the same with no piece in two segments
    ptrdiff_t apart_count
    double *sums               # of squares, a place for each piece
    Check *checks              # a place for each piece
    void *slot[3]              # the arenas; those that are not used are NULL
    void *accumulated
    void *average
    double hypers[4]
    double memory              # the rule's own
    double largest, most       # of the plan's precision: of a change, of a gradient (updates.pyx)
    double weight_decay, clip_value, clip_norm, global_clip_norm, ema_momentum, loss_scale   # 0 for none; loss_scale 1
    int64_t ema_overwrite_frequency, accumulation_steps                                      # 0 for never; 1
    int64_t iterations         # calls of step so far
    bint measured              # the bounds below hold
    Bounds bounds
    ptrdiff_t bad              # after a step that was refused: the first variable that would not stay finite,
    int bad_part               # and which part of it

# The gradient x^T dz of one sample, that is not written but computed where it is used; x NULL: it is written
cdef struct Factor:
    void *x
    void *dz
    ptrdiff_t inputs, outputs

# What is known of the gradients' magnitudes
cdef enum Evidence:
    TRUSTED                    # whatever comes of them is wanted
    SMALL                      # none is larger than most_gradient
    LARGE                      # one may be
    UNKNOWN                    # nothing: they are looked through
    UNMEASURED                 # nothing, and neither the sizes of penalties

# Gradients up to there, as they come from the loss, change weights of any size by less than makes them infinite
cdef inline double most_gradient(const Plan *plan) noexcept nogil:
    return plan.most * min(1.0, plan.loss_scale)

cdef void set_limits(Plan *plan) noexcept nogil

# Whether some gradients are not larger than that
cdef inline bint is_small(ptrdiff_t n, const real *gradient, double most) noexcept nogil:
    return fnn_below_two(n, gradient) and most >= 2 or fnn_rough_squares(n, gradient) <= most * most

# One whole step at learning rate lr: clip, decay, rule, average, constraints, iterations + 1. No allocation. The
# penalties' gradients count `share`. factors has a place for each segment, or is NULL. Returns -1, and nothing has
# changed, where a weight or anything that is kept of it would no longer be finite; unless the gradients are trusted.
cdef int step(Plan *plan, double lr, double share, Evidence evidence, const Factor *factors,
              int threads) noexcept nogil

# The same in parts
cdef enum Phase:
    SUMS
    ACCUMULATE
    GRADIENTS
    REHEARSE
    UPDATE
    AVERAGE

cdef struct Work:
    Plan *plan
    Phase phase
    const Piece *pieces
    ptrdiff_t piece_count
    const Factor *factors
    int threads
    bint updates
    fnn_step step           # what all segments share
    double share            # what the penalties' gradients count
    double constants[6]
    void **out              # GRADIENTS: where to

cdef int begin(Work *work, Plan *plan, double lr, int threads) noexcept nogil
cdef void begin_update(Work *work, double lr) noexcept nogil
cdef void run(Work *work, Phase phase) noexcept nogil
cdef void finish(Plan *plan) noexcept nogil
cdef real *at(const void *arena, ptrdiff_t index, const real *kind) noexcept nogil
