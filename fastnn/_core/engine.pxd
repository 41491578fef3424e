# A program with its weights, and the workspaces that passes through it run in.
cimport numpy as cnp
from libc.stdint cimport uint64_t

from fastnn._core.exclusive cimport Exclusive
from fastnn._core.ops cimport Buffer, Op, Run

cdef class Layout:
    cdef Op *ops
    cdef Buffer *buffers
    cdef int op_count, buffer_count
    cdef list arrays                          # that ops hold pointers into
    cdef readonly ptrdiff_t planes, sized     # elements a sample, and elements of fixed size

    cdef int check(self, ops, bint training, ptrdiff_t trainables, ptrdiff_t fixed) except -1
    cdef bint has_plane(self, ptrdiff_t offset, ptrdiff_t size) noexcept
    cdef bint is_sound(self, const Op *op, bint training, ptrdiff_t trainables, ptrdiff_t fixed) noexcept

cdef class Workspace:
    cdef char *block                          # as it was allocated
    cdef char *memory                         # its first whole cache line
    cdef char *spare                          # where another input of `capacity` samples has room, if it was asked for
    cdef readonly ptrdiff_t capacity, bytes

cdef class Engine:
    cdef readonly Layout training, inference
    cdef readonly cnp.ndarray trainables, fixed, gradients
    cdef readonly tuple layers                # of each op: the layer that runs it in Python, or None
    cdef readonly tuple input_shape, output_shape
    cdef readonly bint wide, has_python
    cdef bint keeps_input                     # batches are copied even where they lie as they are wanted
    cdef readonly Exclusive exclusive
    cdef readonly int output
    cdef tuple pins                           # of the arenas
    cdef list pools                           # of idle workspaces: for inference, for training
    cdef int input_axes, output_axes
    cdef cnp.npy_intp input_dims[32]
    cdef cnp.npy_intp output_dims[32]
    cdef ptrdiff_t input_size, output_size, weight_bytes

    cdef int check_ends(self, Layout layout) except -1
    cdef bint takes(self, cnp.ndarray array, int axes, const cnp.npy_intp *dims) noexcept
    cdef int check_input(self, cnp.ndarray x) except -1
    cdef int run_inference(self, cnp.ndarray x, cnp.ndarray out) except -1
    cdef Workspace take(self, bint training, ptrdiff_t rows)
    cdef int give_back(self, Workspace workspace, bint training) except -1
    cdef void begin(self, Run *run, Workspace workspace, bint training, ptrdiff_t rows) noexcept
    cdef int run_forward(self, Run *run, int last, bint briefly=?) except -1
    cdef int run_backward(self, Run *run, int last) except -1
    cdef int predict_chunks(self, ptrdiff_t n, ptrdiff_t most, const char *x, char *out) except -1
    cdef int python_forward(self, Run *run, int index) except -1
    cdef int python_backward(self, Run *run, int index) except -1
    cdef object value_array(self, Run *run, int buffer, bint gradient, shape)

cdef int failed(int status) except -1
# Up to four numbers; more are a ValueError
cdef int fill_parameters(double *parameters, values) except -1
