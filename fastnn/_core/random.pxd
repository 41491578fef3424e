from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "fnn.h" nogil:
    void random_words "fnn->random_words"(uint64_t seed, uint64_t stream, uint64_t start, size_t n,
                                          uint32_t *out) noexcept
    void random_uniform "fnn->random_uniform"(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double low,
                                              double high, double *out) noexcept
    void random_normal "fnn->random_normal"(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double mean,
                                            double stddev, double *out) noexcept
    void random_truncated "fnn->random_truncated"(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double mean,
                                                  double stddev, double *out) noexcept
    void random_permutation "fnn->random_permutation"(uint64_t seed, uint64_t stream, size_t n, int64_t *out) noexcept
