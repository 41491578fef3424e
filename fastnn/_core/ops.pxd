# The ops that a model is a program of, and what runs them forward and backward over a batch. An op reads one buffer
# (ADD two) and writes one; layers lower themselves to ops (fastnn/_program.py), the engine runs them.
from libc.stdint cimport uint64_t

from fastnn._core.kernels cimport real
from fastnn._core.updates cimport Factor

cdef enum OpKind:
    DENSE                # y[rows, O] = f(x[rows, I] w[I, O] + b[O])
    ACTIVATE             # y = f(x), element by element
    ACTIVATE_ROWS        # y[rows, O] = f of each row of x[rows, I]
    PRELU                # y[rows, I] = x where x > 0, else w[I] x
    DROPOUT              # in training y = x / (1 - rate), or 0 where dropped; else y = x
    NOISE                # in training y = x + stddev z; else y = x
    BATCH_NORM           # each column of x[rows, I] normalised over the batch; gamma = w, beta = b
    LAYER_NORM           # each row of x[rows, I] normalised; gamma = w, beta = b
    EMBED                # y[rows, O] = w[x[rows], :]
    ADD                  # y = x + other
    PLACE                # y[rows, column : column + I] = x[rows, I]: a part of a concatenation
    GATHER               # y[i] = x[index[i]] of each sample: its elements in another order
    PENALIZE             # y = x; the loss gains (l1 sum |x| + l2 sum x^2) / B
    PYTHON               # whatever a layer that is written in Python does
    OPS

cdef struct Op:
    OpKind kind
    int input, other, output
    ptrdiff_t rows, inputs, outputs          # rows of a sample, elements of a row of the input and of the output
    ptrdiff_t w, b                # where the weights begin in their arena; -1 for none
    bint w_trains, b_trains       # which arena: the trainables or the fixed
    ptrdiff_t mean, variance      # of batch norm, in the fixed arena
    bint of_batch                 # batch norm: normalise by the batch's own statistics in training; dropout: one mask
    unsigned char *touched        # embed: which rows of w have a gradient; NULL where it is written whole
    ptrdiff_t column
    const ptrdiff_t *index        # gather: O elements of x; dropout: of each element of x, which of O masks it has
    int activation                # a row of activations.def; of a norm, its kind
    bint reads_x                  # its derivative is computed from x and not from y
    double parameters[4]          # of the activation; rate; stddev; epsilon and momentum; l1 and l2
    uint64_t seed, stream         # the stream of training forward f is stream + f
    ptrdiff_t kept, sized         # planes of the workspace for its own use: a part a sample, a part of fixed size; -1
    ptrdiff_t temporary           # a plane for the gradient that is to be added; -1
    bint wants_dx                 # something before it learns
    bint adds_dx, adds_other      # the gradient of its input (ADD: of the other one) is already there: add to it

cdef struct Buffer:
    ptrdiff_t size                # elements a sample
    ptrdiff_t value, gradient     # planes of the workspace, in elements a sample; -1 where there is none

# One pass of a batch of B samples through a program, in a workspace that has room for `capacity`
cdef struct Run:
    const Op *ops
    const Buffer *buffers
    char *memory                  # planes of capacity * (elements a sample), then the parts of fixed size
    ptrdiff_t planes              # elements a sample of all planes together
    ptrdiff_t capacity, B
    const void *x                 # the value of buffer 0, where it lies outside the workspace
    double x_squares              # the sum of its squares, as rough as `looks` needs it; below 0 where nobody knows
    void *trainables
    void *fixed
    void *gradients               # of the trainables
    bint training, adds, wants_input
    bint at_home                  # each core's cache holds its share of the weights from pass to pass
    bint penalizes                # penalties on outputs count: there is a loss that they are added to
    double penalty                # their sum so far
    uint64_t forwards             # training forwards so far
    int threads
    bint looks                    # backward looks whether a gradient of the weights may be larger than
    double most                   # this,
    bint large                    # and one may be
    Factor *factors               # of each variable that learns: gradients that need not be written; NULL for none
    const ptrdiff_t *variables    # of each op: which of them w is, if it may be there; -1

cdef enum Status:
    DONE = 0                      # below -1, since backward ends at first - 1
    NO_MEMORY = -10
    BAD_INDEX = -11               # an embedding was asked for a row that it does not have
    NOT_FINITE = -12              # the loss is not
    BAD_BATCH = -13               # it begins behind the last sample
    NOT_STABLE = -14              # the loss is, but not what the step would make of the weights

# Run ops first .. last - 1. Returns the index of the op that needs Python, `last` when there was none, or a Status.
cdef int forward(Run *run, int first, int last, const real *tag) noexcept nogil
# Run ops last - 1 .. first backward. Returns the index of the op that needs Python, first - 1 when there was none.
cdef int backward(Run *run, int first, int last, const real *tag) noexcept nogil
# What training leaves behind once the step is sure: the moving statistics
cdef void commit(Run *run, int count, const real *tag) noexcept nogil

cdef real *value_of(const Run *run, int buffer, const real *tag) noexcept nogil
cdef real *gradient_of(const Run *run, int buffer, const real *tag) noexcept nogil
