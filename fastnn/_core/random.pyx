"""Random numbers for Python and the initializers: a function of (seed, stream, index), computed in pieces by any number
of threads; and the matrices of orthogonal rows that are made of them."""

from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastnn._core.checks cimport expect_matrix, expect_vector
from fastnn._core.kernels cimport chosen_table, fnn, get_threads, parallel, real
from fastnn._core.norms cimport fnn_dot, fnn_project_out

fnn = chosen_table()

UNIFORM, NORMAL, TRUNCATED = 0, 1, 2

cdef enum:
    PIECE = 4096
    AT_A_TIME = 256

ctypedef void (*Draw)(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double a, double b,
                      double *out) noexcept nogil


cdef struct Numbers:
    Draw draw
    uint64_t seed, stream, start
    ptrdiff_t n
    double a, b
    double *doubles              # one of these is where they go
    float *floats
    uint32_t *words


cdef inline ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    return a if a < b else b


cdef void numbers_task(void *context, int64_t piece, int worker) noexcept nogil:
    """Numbers start + i of the stream, for i in a piece; floats are rounded from doubles."""
    cdef const Numbers *job = <const Numbers *>context
    cdef double drawn[AT_A_TIME]
    cdef ptrdiff_t i = piece * PIECE
    cdef ptrdiff_t end = least(i + PIECE, job.n), k, n
    if job.doubles != NULL:
        job.draw(job.seed, job.stream, job.start + i, end - i, job.a, job.b, job.doubles + i)
        return
    while i < end:
        n = least(AT_A_TIME, end - i)
        job.draw(job.seed, job.stream, job.start + i, n, job.a, job.b, drawn)
        for k in range(n):
            job.floats[i + k] = <float>drawn[k]
        i += n


cdef void words_task(void *context, int64_t piece, int worker) noexcept nogil:
    cdef const Numbers *job = <const Numbers *>context
    cdef ptrdiff_t i = piece * PIECE
    random_words(job.seed, job.stream, job.start + i, least(PIECE, job.n - i), job.words + i)


def words(uint64_t seed, uint64_t stream, uint64_t start, uint32_t[::1] out not None):
    """out[i] = word start + i of the stream"""
    expect_vector("out", out, out.shape[0])
    cdef Numbers job
    job.seed, job.stream, job.start, job.n, job.words = seed, stream, start, out.shape[0], &out[0]
    with nogil:
        parallel(words_task, &job, (job.n + PIECE - 1) // PIECE, get_threads())


def fill(real[::1] out not None, int distribution, double a, double b, uint64_t seed, uint64_t stream, uint64_t start):
    """out[i] = number start + i of the stream: UNIFORM in [a, b), or with mean a and standard deviation b NORMAL or
    TRUNCATED to two standard deviations"""
    expect_vector("out", out, out.shape[0])
    cdef Numbers job
    job.draw = random_uniform if distribution == 0 else random_normal if distribution == 1 else random_truncated
    job.seed, job.stream, job.start, job.n, job.a, job.b = seed, stream, start, out.shape[0], a, b
    job.doubles = job.floats = NULL
    if real is double:
        job.doubles = &out[0]
    else:
        job.floats = &out[0]
    with nogil:
        parallel(numbers_task, &job, (job.n + PIECE - 1) // PIECE, get_threads())


def permutation(uint64_t seed, uint64_t stream, int64_t[::1] out not None):
    """out = 0 .. n-1, shuffled"""
    expect_vector("out", out, out.shape[0])
    with nogil:
        random_permutation(seed, stream, out.shape[0], &out[0])


# -------------------------------------------------------------------------------------------------- orthogonal matrices

cdef enum:
    GROUP = 8                    # rows that a finished row is read for once
    BLOCK = 64                   # rows that are worked on before they are finished, group by group


cdef struct Block:
    double *rows                 # [count, n]
    ptrdiff_t n, finished, end   # rows finished .. end - 1 are the block


cdef void project_task(void *context, int64_t group, int worker) noexcept nogil:
    """The rows of a group less their projections on the finished rows, twice over against rounding."""
    cdef const Block *block = <const Block *>context
    cdef ptrdiff_t first = block.finished + group * GROUP, i, j
    cdef int _again
    for _again in range(2):
        for i in range(block.finished):
            for j in range(first, least(first + GROUP, block.end)):
                fnn_project_out(block.n, block.rows + i * block.n, block.rows + j * block.n)


cdef void finish(const Block *block) noexcept nogil:
    """Within the block: each row less its projections on those before it, twice, and scaled to length 1."""
    cdef ptrdiff_t i, j, n = block.n
    cdef double *row
    cdef double length
    cdef int _again
    for i in range(block.finished, block.end):
        row = block.rows + i * n
        for _again in range(2):
            for j in range(block.finished, i):
                fnn_project_out(n, block.rows + j * n, row)
        length = sqrt(fnn_dot(n, row, row))
        for j in range(n):
            row[j] /= length


def orthonormalise(double[:, ::1] rows not None):
    """Gram and Schmidt: each row less its projections on those before it, scaled to length 1. At most as many rows as
    columns. The same bits on every CPU and for any number of threads."""
    expect_matrix("rows", rows, rows.shape[0], rows.shape[1])
    cdef Block block
    cdef ptrdiff_t count = rows.shape[0]
    block.rows, block.n, block.end = &rows[0, 0], rows.shape[1], 0
    with nogil:
        while block.end < count:
            block.finished, block.end = block.end, least(block.end + BLOCK, count)
            parallel(project_task, &block, (block.end - block.finished + GROUP - 1) // GROUP, get_threads())
            finish(&block)
