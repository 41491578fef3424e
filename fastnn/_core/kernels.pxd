# The helpers of csrc as Cython sees them. fnn.h is their manual. Helpers that exist for both precisions are declared
# with void pointers: a macro of fnn.h picks the version from the pointer's own type, and refuses any other.
from libc.stdint cimport int64_t, uint32_t, uint64_t

ctypedef fused real:
    float
    double

cdef extern from "fnn.h" nogil:
    ctypedef void (*fnn_task)(void *context, int64_t index, int worker) noexcept

    ctypedef struct fnn_activation_row:
        const char *name
        const char *formula
        const char *range
        const char *parameters
        const char *kinks
        char reads

    ctypedef struct fnn_loss_row:
        const char *name
        const char *formula
        const char *parameters
        const char *kinks
        char layout
        char reduction

    ctypedef struct fnn_api:
        const char *isa
        int has_fma
        const fnn_activation_row *activation_rows
        const fnn_activation_row *row_activation_rows
        const fnn_loss_row *loss_rows

    const fnn_api *fnn
    const fnn_api *fnn_choose(const char *at_most)
    const char *fnn_available(int index)

    void parallel "fnn->parallel"(fnn_task task, void *context, int64_t count, int threads) noexcept
    void tell "fnn->tell"(int *done) noexcept
    void await_done "fnn->await"(const int *done) noexcept
    int get_threads "fnn->get_threads"() noexcept
    int set_threads "fnn->set_threads"(int count) noexcept
    int default_threads "fnn->default_threads"() noexcept
    ptrdiff_t core_cache "fnn->core_cache"() noexcept
    void *scratch "fnn->scratch"() noexcept
    uint64_t clock "fnn->clock"() noexcept
    const size_t FNN_SCRATCH_BYTES

# The table that this process uses. Every module of the core begins with `fnn = chosen_table()`.
cdef const fnn_api *chosen_table() except NULL
