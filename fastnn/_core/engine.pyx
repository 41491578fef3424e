"""The engine's lower half: a program with its weights, its workspaces, and single passes through it.

An Engine belongs to a built model and is made anew when the model's ops change. Passes share the weights and nothing
else: each takes a workspace of its own from a pool, so that any number of threads may predict at once.
"""

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from fastnn._core.activations cimport FNN_ACTIVATIONS, FNN_ROW_ACTIVATIONS, FNN_ROW_glu
from fastnn._core.checks cimport pinned
from fastnn._core.exclusive cimport Exclusive
from fastnn._core.kernels cimport chosen_table, core_cache, fnn, get_threads, parallel, real
from fastnn._core.ops cimport (
    ACTIVATE_ROWS,
    ADD,
    BAD_BATCH,
    BAD_INDEX,
    BATCH_NORM,
    DENSE,
    DONE,
    DROPOUT,
    EMBED,
    GATHER,
    LAYER_NORM,
    NO_MEMORY,
    PLACE,
    PRELU,
    PYTHON,
    Buffer,
    Op,
    Run,
    backward,
    commit,
    forward,
    gradient_of,
    value_of,
)

import numpy as np

from fastnn._core.ops import KINDS

cnp.import_array()
fnn = chosen_table()

cdef enum:
    LINE = 64                 # bytes of a cache line
    ROUNDED = 16              # samples: planes then begin at whole cache lines
    CHUNK_BYTES = 1 << 20     # of a workspace for inference, about
    LEAST_CHUNK = 128         # rows of a chunk of inference
    LARGE_CHUNK = 512         # where the weights are so many bytes that reading them for each chunk shows
    LARGE_WEIGHTS = 8 << 20
    IDLE_WORKSPACES = 16      # kept of each kind
    BRIEF = 64 << 10          # multiply-adds and elements of a pass that takes a few microseconds
    MAX_AXES = 30             # of a sample: NumPy's arrays have up to 64, and these structs room for 32

cdef ptrdiff_t MAX_BYTES = <ptrdiff_t>1 << 60  # of a workspace: more is refused before it is computed
cdef ptrdiff_t MAX_ELEMENTS = <ptrdiff_t>1 << 56  # of a sample, and apart from samples: their bytes can be added up


cdef int failed(int status) except -1:
    """Raise what a Status means; other numbers pass."""
    if status == NO_MEMORY:
        raise MemoryError("no memory for the scratch of a matrix product")
    if status == BAD_INDEX:
        raise ValueError(
            "x: an Embedding was given an index outside 0 .. input_dim - 1; "
            "make input_dim larger than the largest index"
        )
    if status == BAD_BATCH:
        raise IndexError("batch: there is no such batch in the samples that are bound")
    return 0


cdef int fill_parameters(double *parameters, values) except -1:
    """Up to four numbers."""
    cdef ptrdiff_t i
    if len(values) > 4:
        raise ValueError(f"parameters: expected at most 4 numbers, got {len(values)}")
    for i, value in enumerate(values):
        parameters[i] = value
    return 0


cdef bint are_sizes(ptrdiff_t rows, ptrdiff_t columns) noexcept nogil:
    """Whether they are lengths of axes, and their product is one that a matrix in memory can have."""
    return 0 <= rows <= MAX_ELEMENTS and 0 <= columns <= MAX_ELEMENTS // max(1, rows)


cdef struct Chunks:
    # Rows of inference that threads take in chunks, each in a workspace of its own
    Run *runs                 # one for each thread
    int *status
    int ops, output
    ptrdiff_t first, rows, n  # the first chunk; rows of a chunk, and of all
    const char *x
    char *out
    ptrdiff_t x_bytes, out_bytes


cdef void one_chunk(Chunks *job, int64_t index, int worker, const real *tag) noexcept nogil:
    cdef Run *run = &job.runs[worker]
    cdef ptrdiff_t begin = (job.first + index) * job.rows
    cdef int status
    run.B = min(job.rows, job.n - begin)
    run.x = job.x + begin * job.x_bytes
    status = forward(run, 0, job.ops, tag)
    if status < 0:
        job.status[worker] = status
    else:
        memcpy(job.out + begin * job.out_bytes, value_of(run, job.output, tag), run.B * job.out_bytes)


cdef void float_chunk(void *context, int64_t index, int worker) noexcept nogil:
    one_chunk(<Chunks *>context, index, worker, <const float *>NULL)


cdef void double_chunk(void *context, int64_t index, int worker) noexcept nogil:
    one_chunk(<Chunks *>context, index, worker, <const double *>NULL)


@cython.final
@cython.no_gc_clear
cdef class Layout:
    """The ops and buffers of a program, and where they lie in a workspace.

    trainables and fixed are the sizes of the arenas that the ops read. Every op is checked: an op of a layer that
    lowers itself wrongly, or of a program that does not belong to the arenas, is a ValueError.
    """

    def __cinit__(self, plan, bint training, ptrdiff_t trainables, ptrdiff_t fixed):
        cdef ptrdiff_t i
        cdef Op *op
        cdef cnp.ndarray index
        self.arrays = []
        self.op_count, self.buffer_count = len(plan["ops"]), len(plan["buffers"])
        self.planes, self.sized = plan["planes"], plan["sized"]
        if not (0 <= self.planes <= MAX_ELEMENTS and 0 <= self.sized <= MAX_ELEMENTS):
            raise ValueError(f"planes, sized: expected numbers of elements, got {self.planes} and {self.sized}")
        self.ops = <Op *>calloc(max(1, self.op_count), sizeof(Op))
        self.buffers = <Buffer *>calloc(max(1, self.buffer_count), sizeof(Buffer))
        if self.ops == NULL or self.buffers == NULL:
            raise MemoryError
        for i in range(self.op_count):
            fields = plan["ops"][i]
            op = &self.ops[i]
            op.kind = KINDS[fields["kind"]]
            op.input, op.other, op.output = fields["input"], fields.get("other", 0), fields["output"]
            op.rows, op.inputs, op.outputs = fields["rows"], fields["inputs"], fields["outputs"]
            op.w, op.b, op.w_trains, op.b_trains = fields["w"], fields["b"], fields["w_trains"], fields["b_trains"]
            op.mean, op.variance = fields.get("mean", -1), fields.get("variance", -1)
            op.of_batch = fields.get("of_batch", False)
            op.column = fields.get("column", 0)
            if "index" in fields:
                index = np.array(fields["index"], np.intp)
                if index.min(initial=0) < 0 or index.max(initial=0) >= (
                        op.inputs if op.kind == GATHER else op.outputs) or cnp.PyArray_SIZE(index) != (
                        op.outputs if op.kind == GATHER else op.inputs):
                    raise ValueError(f"op {i} ({fields['kind']}): its index does not fit its elements")
                self.arrays.append(index)
                op.index = <const ptrdiff_t *>cnp.PyArray_DATA(index)
            if fields.get("touched") is not None:
                touched = fields["touched"]
                if touched.dtype != np.uint8 or touched.shape != (op.inputs,) or not touched.flags.carray:
                    raise ValueError(f"op {i} ({fields['kind']}): expected a byte of `touched` for each row")
                self.arrays.append(touched)
                op.touched = <unsigned char *>cnp.PyArray_DATA(touched)
            op.activation, op.reads_x = fields.get("activation", 0), fields.get("reads_x", False)
            fill_parameters(op.parameters, fields.get("parameters", ()))
            op.seed, op.stream = fields.get("seed", 0), fields.get("stream", 0)
            op.kept, op.sized, op.temporary = fields["kept"], fields["sized"], fields["temporary"]
            op.wants_dx, op.adds_dx = fields["wants_dx"], fields["adds_dx"]
            op.adds_other = fields.get("adds_other", False)
        for i in range(self.buffer_count):
            self.buffers[i].size, self.buffers[i].value, self.buffers[i].gradient = plan["buffers"][i]
        self.check(plan["ops"], training, trainables, fixed)

    def __dealloc__(self):
        free(self.ops)
        free(self.buffers)

    cdef int check(self, ops, bint training, ptrdiff_t trainables, ptrdiff_t fixed) except -1:
        """Refuse what would reach outside the arenas or the workspace."""
        cdef ptrdiff_t i
        cdef const Buffer *b
        for i in range(self.buffer_count):
            b = &self.buffers[i]
            if not (self.has_plane(b.value, b.size) and (not training or self.has_plane(b.gradient, b.size))):
                raise ValueError(f"buffer {i}: it reaches outside the workspace")
        for i in range(self.op_count):
            if not self.is_sound(&self.ops[i], training, trainables, fixed):
                raise ValueError(f"op {i} ({ops[i]['kind']}): its shapes, weights and buffers do not fit each other")
        return 0

    cdef bint has_plane(self, ptrdiff_t offset, ptrdiff_t size) noexcept:
        return size >= 0 and 0 <= offset <= self.planes - size

    cdef bint is_sound(self, const Op *op, bint training, ptrdiff_t trainables, ptrdiff_t fixed) noexcept:
        cdef ptrdiff_t x, y, w = 0, b = 0, own = 0, kept = 0
        if (min(op.input, op.output) < 0 or max(op.input, op.output) >= self.buffer_count
                or not are_sizes(op.rows, op.inputs) or not are_sizes(op.rows, op.outputs)
                or not are_sizes(op.inputs, op.outputs)):
            return False
        x, y = self.buffers[op.input].size, self.buffers[op.output].size
        if op.kind == EMBED:
            w = op.inputs * op.outputs
            if op.rows != x or op.rows * op.outputs != y:
                return False
        elif op.kind != PYTHON:
            if op.rows * op.inputs != x:
                return False
            if op.kind == DROPOUT and op.index != NULL:
                kept = op.outputs if training else 0
                if op.rows != 1 or x != y:
                    return False
            elif op.rows * op.outputs != y:
                return False
        if op.kind == DENSE:
            w, b = op.inputs * op.outputs, op.outputs
            if op.kept >= 0:
                kept = op.rows * op.outputs
        elif op.kind == ACTIVATE_ROWS:
            if op.outputs != (op.inputs // 2 if op.activation == FNN_ROW_glu else op.inputs):
                return False
        elif op.kind == PRELU:
            w = own = op.inputs
        elif op.kind == BATCH_NORM or op.kind == LAYER_NORM:
            w = b = op.inputs
        elif op.kind == PLACE:
            if not 0 <= op.column <= op.outputs - op.inputs:
                return False
        elif op.kind == ADD:
            if not 0 <= op.other < self.buffer_count or self.buffers[op.other].size != x:
                return False
        if op.kind == BATCH_NORM:
            own = 6 * op.inputs
            if min(op.mean, op.variance) < 0 or max(op.mean, op.variance) > fixed - op.inputs:
                return False
        if op.kind == LAYER_NORM:
            kept = 3 * op.rows
        if op.kind not in (DENSE, ACTIVATE_ROWS, EMBED, PLACE, GATHER, PYTHON) and x != y:
            return False
        if not 0 <= op.activation < (FNN_ROW_ACTIVATIONS if op.kind == ACTIVATE_ROWS else FNN_ACTIVATIONS):
            return False
        if op.kind == GATHER and op.index == NULL or (op.kind in (DENSE, PRELU, EMBED) and op.w < 0):
            return False
        if (op.w >= 0 and op.w > (trainables if op.w_trains else fixed) - w
                or op.b >= 0 and op.b > (trainables if op.b_trains else fixed) - b):
            return False
        if own and not 0 <= op.sized <= self.sized - own or kept and not self.has_plane(op.kept, kept):
            return False
        return not training or not op.adds_dx or op.kind == DENSE or self.has_plane(op.temporary, x)


@cython.final
@cython.no_gc_clear
cdef class Workspace:
    """Memory for one pass of up to `capacity` samples, and for as many again of `spare` elements."""

    def __cinit__(self, Layout layout not None, ptrdiff_t rows, ptrdiff_t itemsize, ptrdiff_t spare=0):
        cdef ptrdiff_t own
        if itemsize not in (4, 8) or min(rows, spare) < 0:
            raise ValueError(f"rows, itemsize, spare: expected sizes, got {rows}, {itemsize}, {spare}")
        if rows > MAX_BYTES // itemsize // (max(layout.planes, spare) + 1) - ROUNDED:
            raise MemoryError(f"no memory for a batch of {rows} samples; take a smaller batch_size")
        self.capacity = (rows + ROUNDED - 1) // ROUNDED * ROUNDED
        own = ((layout.planes * self.capacity + layout.sized) * itemsize + LINE - 1) // LINE * LINE
        self.bytes = own + spare * self.capacity * itemsize
        self.block = <char *>malloc(self.bytes + LINE)
        if self.block == NULL:
            raise MemoryError(f"{self.bytes} bytes for a batch of {rows} samples; take a smaller batch_size")
        self.memory = self.block + (LINE - <uintptr_t>self.block % LINE)
        self.spare = self.memory + own

    def __dealloc__(self):
        free(self.block)


@cython.no_gc_clear
cdef class Engine:
    """A program and its weights.

    `training` and `inference` are what fastnn._program.Builder.plan returns. trainables, gradients and fixed are flat
    arrays; layers has an object for each op that runs in Python, and None for the others. `exclusive` tells who works
    with the model.
    """

    def __cinit__(self, training, inference, cnp.ndarray trainables not None, cnp.ndarray gradients not None,
                  cnp.ndarray fixed not None, layers, input_shape, output_shape, int output,
                  Exclusive exclusive not None):
        self.trainables, self.gradients, self.fixed = trainables, gradients, fixed
        self.pins = pinned(trainables), pinned(gradients), pinned(fixed)
        self.wide = trainables.dtype == np.float64
        for array in (trainables, gradients, fixed):
            if array.dtype != (np.float64 if self.wide else np.float32) or array.ndim != 1 or not array.flags.carray:
                raise ValueError("arenas: expected flat arrays of float32 or of float64")
        if trainables.size != gradients.size:
            raise ValueError(f"gradients: expected {trainables.size}, got {gradients.size}")
        self.training = Layout(training, True, trainables.size, fixed.size)
        self.inference = Layout(inference, False, trainables.size, fixed.size)
        self.layers, self.exclusive = tuple(layers), exclusive
        if not len(self.layers) == self.training.op_count == self.inference.op_count:
            raise ValueError(f"layers: expected one for each of {self.training.op_count} ops, got {len(self.layers)}")
        self.has_python = any(layer is not None for layer in layers)
        self.input_shape, self.output_shape, self.output = tuple(input_shape), tuple(output_shape), output
        self.pools = [[], []]
        if len(self.input_shape) > MAX_AXES or len(self.output_shape) > MAX_AXES:
            raise ValueError(f"shape: a sample can have at most {MAX_AXES} axes")
        self.weight_bytes = trainables.nbytes + fixed.nbytes
        self.input_axes, self.output_axes = len(input_shape), len(output_shape)
        self.input_size = self.output_size = 1
        for i, n in enumerate(input_shape):
            self.input_dims[i + 1] = n
            self.input_size *= n
        for i, n in enumerate(output_shape):
            self.output_dims[i + 1] = n
            self.output_size *= n
        for layout in (self.training, self.inference):
            self.check_ends(layout)

    cdef int check_ends(self, Layout layout) except -1:
        """Refuse a program whose ends have other shapes, or that leaves an op to a layer which is not there."""
        cdef ptrdiff_t i
        if (not 0 <= self.output < layout.buffer_count or layout.buffers[0].size != self.input_size
                or layout.buffers[self.output].size != self.output_size):
            raise ValueError("shape: the program has another input or output")
        for i in range(layout.op_count):
            if (layout.ops[i].kind == PYTHON) != (self.layers[i] is not None):
                raise ValueError(f"op {i}: expected a layer for an op in Python, and for no other")
            # indices are checked and then used: nobody else may write to them in between
            self.keeps_input = self.keeps_input or (layout.ops[i].kind == EMBED and layout.ops[i].input == 0)
        return 0

    # ------------------------------------------------------------------------------------------------- workspaces

    cdef Workspace take(self, bint training, ptrdiff_t rows):
        cdef list pool = self.pools[training]
        cdef Workspace found
        try:
            found = pool.pop()
        except IndexError:
            found = None
        if found is not None and found.capacity >= rows:
            return found
        return Workspace(self.training if training else self.inference, rows, 8 if self.wide else 4)

    cdef int give_back(self, Workspace workspace, bint training) except -1:
        cdef list pool = self.pools[training]
        if len(pool) < IDLE_WORKSPACES:
            pool.append(workspace)
        return 0

    cdef void begin(self, Run *run, Workspace workspace, bint training, ptrdiff_t rows) noexcept:
        cdef Layout layout = self.training if training else self.inference
        run.ops, run.buffers, run.planes = layout.ops, layout.buffers, layout.planes
        run.memory, run.capacity, run.B = workspace.memory, workspace.capacity, rows
        run.x = NULL
        run.trainables, run.fixed = cnp.PyArray_DATA(self.trainables), cnp.PyArray_DATA(self.fixed)
        run.gradients = NULL
        run.training = run.adds = run.wants_input = run.penalizes = False
        run.penalty = 0
        run.forwards, run.threads = 0, get_threads()
        # with less than half of the caches filled, they hold whatever share of the weights a thread reads
        run.at_home = self.weight_bytes <= run.threads * core_cache() < 2 * self.weight_bytes

    # ---------------------------------------------------------------------------------------------------- passes

    cdef int run_forward(self, Run *run, int last, bint briefly=False) except -1:
        """Ops 0 .. last - 1, those in Python too; without giving up the GIL where that takes but a moment."""
        cdef int at = 0
        if briefly:
            at = forward(run, 0, last, <double *>NULL) if self.wide else forward(run, 0, last, <float *>NULL)
            return failed(at)
        while True:
            with nogil:
                at = forward(run, at, last, <double *>NULL) if self.wide else forward(run, at, last, <float *>NULL)
            failed(at)
            if at == last:
                return 0
            self.python_forward(run, at)
            at += 1

    cdef int run_backward(self, Run *run, int last) except -1:
        """Ops last - 1 .. 0, those in Python too."""
        cdef int at = last
        while at > 0:
            with nogil:
                if self.wide:
                    at = backward(run, 0, at, <double *>NULL)
                else:
                    at = backward(run, 0, at, <float *>NULL)
            failed(at)
            if at == -1:
                return 0
            self.python_backward(run, at)
        return 0

    cdef object value_array(self, Run *run, int buffer, bint gradient, shape):
        """A buffer's value or gradient as an array on the workspace's memory."""
        cdef cnp.npy_intp dims[1]
        cdef void *data
        dims[0] = run.B * run.buffers[buffer].size
        if self.wide:
            data = gradient_of(run, buffer, <double *>NULL) if gradient else value_of(run, buffer, <double *>NULL)
        else:
            data = gradient_of(run, buffer, <float *>NULL) if gradient else value_of(run, buffer, <float *>NULL)
        return cnp.PyArray_SimpleNewFromData(1, dims, cnp.NPY_FLOAT64 if self.wide else cnp.NPY_FLOAT32, data).reshape(
            (run.B, *shape)
        )

    cdef int python_forward(self, Run *run, int index) except -1:
        cdef const Op *op = &run.ops[index]
        layer = self.layers[index]
        x = self.value_array(run, op.input, False, layer._op_input_shape).copy()
        target = self.value_array(run, op.output, False, layer._op_output_shape)
        layer._pass = <uintptr_t>run    # backward goes by the last pass forward: see whether it was this one
        target[...] = layer._run_forward(x, bool(run.training), target.shape)
        return 0

    cdef int python_backward(self, Run *run, int index) except -1:
        cdef const Op *op = &run.ops[index]
        layer = self.layers[index]
        if layer._pass != <uintptr_t>run:
            raise RuntimeError(
                f"backward: {type(layer).__name__} has gone forward with another batch since, and its backward goes by "
                "the last; do not call the model between the two passes, as from a loss or a metric"
            )
        dy = self.value_array(run, op.output, True, layer._op_output_shape).copy()
        target = self.value_array(run, op.input, True, layer._op_input_shape)
        dx = layer._run_backward(dy, target.shape, run.gradients != NULL, bool(run.adds))
        if op.adds_dx:
            target += dx
        else:
            target[...] = dx
        return 0

    def chunk_rows(self) -> int:
        """How many rows inference takes at a time: a workspace that fits the second-level cache, if it may."""
        cdef ptrdiff_t rows = CHUNK_BYTES // (max(1, self.inference.planes) * (8 if self.wide else 4))
        cdef bint large = self.weight_bytes > LARGE_WEIGHTS
        return max(LARGE_CHUNK if large else LEAST_CHUNK, min(1024, rows)) // ROUNDED * ROUNDED

    def call(self, x):
        """y for a batch x that is C-contiguous, of the engine's precision and shape; NotImplemented for any other, and
        while another thread trains the model."""
        cdef cnp.ndarray array, result
        if type(x) is not cnp.ndarray or self.exclusive.is_trained_elsewhere():
            return NotImplemented
        array = x
        if not self.takes(array, self.input_axes, self.input_dims):
            return NotImplemented
        self.output_dims[0] = cnp.PyArray_DIM(array, 0)
        result = cnp.PyArray_EMPTY(self.output_axes + 1, self.output_dims, cnp.PyArray_TYPE(array), False)
        self.run_inference(array, result)
        return result

    cdef bint takes(self, cnp.ndarray array, int axes, const cnp.npy_intp *dims) noexcept:
        """Whether an array is C-contiguous, of the engine's precision and of a shape behind the samples."""
        cdef int i
        if (cnp.PyArray_NDIM(array) != axes + 1 or not cnp.PyArray_ISCARRAY_RO(array)
                or cnp.PyArray_TYPE(array) != <int>(cnp.NPY_FLOAT64 if self.wide else cnp.NPY_FLOAT32)):
            return False
        for i in range(1, axes + 1):
            if cnp.PyArray_DIM(array, i) != dims[i]:
                return False
        return True

    cdef int check_input(self, cnp.ndarray x) except -1:
        if not self.takes(x, self.input_axes, self.input_dims):
            raise ValueError(
                f"x: expected C-contiguous samples of shape {self.input_shape} and {self.trainables.dtype}, got "
                f"{(<object>x).dtype} of shape {(<object>x).shape}; the model may have been rebuilt meanwhile"
            )
        return 0

    def predict(self, cnp.ndarray x not None, cnp.ndarray out not None):
        """out[n, ...] = the output for x[n, ...]; both C-contiguous and of the engine's precision."""
        self.check_input(x)
        if (not self.takes(out, self.output_axes, self.output_dims) or not cnp.PyArray_ISWRITEABLE(out)
                or cnp.PyArray_DIM(out, 0) != cnp.PyArray_DIM(x, 0)):
            raise ValueError(
                f"out: expected {cnp.PyArray_DIM(x, 0)} writable, C-contiguous samples of shape {self.output_shape} "
                f"and {self.trainables.dtype}, got {(<object>out).dtype} of shape {(<object>out).shape}"
            )
        self.run_inference(x, out)

    cdef int run_inference(self, cnp.ndarray x, cnp.ndarray out) except -1:
        cdef Run run
        cdef ptrdiff_t n = cnp.PyArray_DIM(x, 0), begin = 0, size = 8 if self.wide else 4, rows, most
        cdef Workspace workspace
        cdef const char *source = <const char *>cnp.PyArray_DATA(x)
        cdef char *target = <char *>cnp.PyArray_DATA(out)
        cdef char *y
        cdef bint briefly = not self.has_python and n * (self.inference.planes + self.weight_bytes // size) <= BRIEF
        _pin = None if briefly else pinned(x)  # without the GIL another thread may do to x what it likes
        most = n if n <= LEAST_CHUNK else min(n, <ptrdiff_t>self.chunk_rows())
        if n > most and get_threads() > 1 and not self.has_python:
            return self.predict_chunks(n, most, source, target)
        workspace = self.take(False, most)
        self.begin(&run, workspace, False, most)
        while begin < n:
            rows = run.B = min(most, n - begin)
            run.x = source + begin * self.input_size * size
            self.run_forward(&run, self.inference.op_count, briefly)
            if self.wide:
                y = <char *>value_of(&run, self.output, <double *>NULL)
            else:
                y = <char *>value_of(&run, self.output, <float *>NULL)
            memcpy(target + begin * self.output_size * size, y, rows * self.output_size * size)
            begin += rows
        return self.give_back(workspace, False)

    cdef int predict_chunks(self, ptrdiff_t n, ptrdiff_t most, const char *x, char *out) except -1:
        """The same by several threads, each of which takes whole chunks of rows through all ops: of at most `most`, one
        size, and as many for each thread."""
        cdef Chunks job
        cdef int threads = get_threads(), i, status = DONE
        cdef ptrdiff_t first = 0, count, chunks, size = 8 if self.wide else 4
        cdef list workspaces = []
        most = max(<ptrdiff_t>LEAST_CHUNK, min(most, (n + 2 * threads - 1) // (2 * threads)))
        chunks = (n + most - 1) // most
        threads = min(threads, chunks)
        chunks = (chunks + threads - 1) // threads * threads
        most = (n + chunks - 1) // chunks
        chunks = (n + most - 1) // most
        job.runs = <Run *>calloc(threads, sizeof(Run))
        job.status = <int *>calloc(threads, sizeof(int))
        try:
            if job.runs == NULL or job.status == NULL:
                raise MemoryError
            for i in range(threads):
                workspaces.append(self.take(False, most))
                self.begin(&job.runs[i], workspaces[i], False, most)
                job.runs[i].threads = 1
            job.ops, job.output = self.inference.op_count, self.output
            job.rows, job.n, job.x, job.out = most, n, x, out
            job.x_bytes, job.out_bytes = self.input_size * size, self.output_size * size
            while first < chunks:  # some at a time, so that signals have their turn
                job.first, count = first, min(chunks - first, <ptrdiff_t>(16 * threads))
                with nogil:
                    parallel(double_chunk if self.wide else float_chunk, &job, count, threads)
                first += count
                PyErr_CheckSignals()
            for i in range(threads):
                status = min(status, job.status[i])
            failed(status)
        finally:
            free(job.runs)
            free(job.status)
            for workspace in workspaces:
                self.give_back(workspace, False)
        return 0

    def start_tape(self, cnp.ndarray x not None, bint training, uint64_t forwards, bint commits=False):
        """Run x forward and keep what backward needs: (y, tape). x is copied: the caller may write to it later.

        `commits` updates the moving statistics as well, once nothing can fail any more. The GIL is held meanwhile, so
        that each of several threads' updates is whole.
        """
        cdef Tape tape = Tape.__new__(Tape)
        self.check_input(x)
        cdef ptrdiff_t n = cnp.PyArray_DIM(x, 0)
        tape.engine = self
        tape.workspace = Workspace(self.training, max(1, n), 8 if self.wide else 4)
        self.begin(&tape.run, tape.workspace, True, n)
        tape.run.training, tape.run.forwards = training, forwards
        self.value_array(&tape.run, 0, False, self.input_shape)[...] = x
        self.run_forward(&tape.run, self.training.op_count)
        y = self.value_array(&tape.run, self.output, False, self.output_shape).copy()
        if commits and training and n and self.wide:
            commit(&tape.run, self.training.op_count, <const double *>NULL)
        elif commits and training and n:
            commit(&tape.run, self.training.op_count, <const float *>NULL)
        return y, tape


@cython.no_gc_clear
cdef class Tape:
    """What a forward pass left for the way back. It has a workspace of its own."""

    cdef Engine engine
    cdef Workspace workspace
    cdef Run run
    cdef bint spent

    def __init__(self):
        raise TypeError("a tape is made by model.forward(x)")

    def backward(self, cnp.ndarray dy not None):
        """d loss / d x for dy = d loss / d y; the weights' gradients are added to the model's.

        Once: the gradients take the place of what forward kept.
        """
        cdef Engine engine = self.engine
        cdef object target = engine.value_array(&self.run, engine.output, True, engine.output_shape)
        if not cnp.PyArray_SAMESHAPE(dy, <cnp.ndarray>target):
            raise ValueError(
                f"dy: expected the shape of the output, {target.shape}, got {(<object>dy).shape}"
            )
        dy = dy.astype(target.dtype, copy=False)  # this may run Python code, which may use the tape: look only then
        if self.spent:
            raise RuntimeError("backward: this tape was gone back already; make another by model.forward(x)")
        if engine.exclusive.stepping or engine.exclusive.is_trained_elsewhere():
            raise RuntimeError("backward: a training step of this model is running, and both would write to `grads`")
        self.spent = True
        target[...] = dy
        self.run.gradients, self.run.adds, self.run.wants_input = cnp.PyArray_DATA(engine.gradients), True, True
        engine.run_backward(&self.run, engine.training.op_count)
        return engine.value_array(&self.run, 0, True, engine.input_shape).copy()
