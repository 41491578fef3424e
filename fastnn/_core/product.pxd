from fastnn._core.kernels cimport real

cdef extern from "fnn.h" nogil:
    ctypedef struct fnn_tile_numbers:
        int rows, columns, vector, pack_a, pack_b, turned_columns, turned_block

    int FNN_TILE_WIDE
    int FNN_TILE_FLAT
    int FNN_FLAT_DEPTH
    fnn_tile_numbers fnn_tile_shape(int shape, const void *p) noexcept
    void fnn_tile(int shape, ptrdiff_t m, ptrdiff_t n, ptrdiff_t K, const void *a, ptrdiff_t a_row, ptrdiff_t a_k,
                  const void *b, ptrdiff_t b_k, void *c, ptrdiff_t c_row, const void *init, ptrdiff_t init_row,
                  size_t ahead, size_t ahead_k) noexcept
    void fnn_pack(ptrdiff_t K, ptrdiff_t n, const void *b, ptrdiff_t b_k, ptrdiff_t b_column, ptrdiff_t step,
                  ptrdiff_t width, void *panel) noexcept
    double fnn_fma_rounds(ptrdiff_t rounds, void *result) noexcept

# C[M,N] = f(bias[N] + A[M,K] B[K,N]), or C += A B. Each operand is read through two strides, so that NN, NT and TN are
# one product: a[i * a_row + k * a_k], b[k * b_k + j * b_column]. c_row may exceed N; activation and bias need
# accumulate to be false. C may not overlap A or B.
cdef struct Product:
    ptrdiff_t M, N, K
    const void *a
    ptrdiff_t a_row, a_k
    const void *b
    ptrdiff_t b_k, b_column
    void *c
    ptrdiff_t c_row
    const void *bias           # the first link of each chain; NULL for zero
    bint accumulate            # the chains go on from what c holds
    bint rows_at_home          # each thread has its share of b's rows in its cache, from an update or the last pass
    int activation             # f; FNN_ACTIVATION_linear for none
    const double *parameters   # of f
    void *y                    # where f(C) goes: c itself, or a second array of c's shape

# Nothing is allocated but each thread's scratch, once. Returns -1 when there was no memory for that, else 0. `tag` only
# tells the precision.
cdef int multiply(const Product *p, int threads, const real *tag) noexcept nogil
