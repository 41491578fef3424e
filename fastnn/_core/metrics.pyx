"""Metrics that are means of one value a row: the values, and the sums that they go into, without Python."""

from libc.math cimport INFINITY, exp2, log2
from libc.stdint cimport int32_t

from fastnn._core.checks cimport expect_below, expect_length, expect_parameters, expect_vector
from fastnn._core.kernels cimport chosen_table, fnn, real
from fastnn._core.losses cimport loss_and_gradient, weighted_sum

cdef extern from "fnn.h" nogil:
    int FNN_LOSS_cosine_similarity

fnn = chosen_table()

ROWS = [
    {"name": "accuracy", "layout": "R", "parameters": "", "formula": "mean [p = y]"},
    {"name": "binary_accuracy", "layout": "R", "parameters": "threshold=0.5", "formula": "mean [y = [p > threshold]]"},
    {"name": "categorical_accuracy", "layout": "R", "parameters": "", "formula": "[argmax p = argmax y]"},
    {"name": "sparse_categorical_accuracy", "layout": "L", "parameters": "", "formula": "[argmax p = y]"},
    {"name": "top_k_categorical_accuracy", "layout": "R", "parameters": "k=5",
     "formula": "[fewer than k of p are above p at argmax y]"},
    {"name": "sparse_top_k_categorical_accuracy", "layout": "L", "parameters": "k=5",
     "formula": "[fewer than k of p are above p at y]"},
    {"name": "cosine_similarity", "layout": "R", "parameters": "", "formula": "(y / |y|) . (p / |p|)"},
    {"name": "recall_at_k", "layout": "R", "parameters": "k=10",
     "formula": "relevant items among the first k / relevant items"},
    {"name": "mrr", "layout": "R", "parameters": "k=inf", "formula": "1 / rank of the first relevant item"},
    {"name": "ndcg", "layout": "R", "parameters": "k=inf exponential=1",
     "formula": "sum gain / log2(1 + rank), over its largest possible value"},
]
assert len(ROWS) == METRICS


cdef char metric_layout(int kind) noexcept nogil:
    return c"L" if kind == SPARSE_CATEGORICAL_ACCURACY or kind == SPARSE_TOP_K_CATEGORICAL_ACCURACY else c"R"


# ------------------------------------------------------------------------------------------------- the value of a row

cdef inline double share_equal(ptrdiff_t d, const real *y, const real *p) noexcept nogil:
    cdef ptrdiff_t j, hits = 0
    for j in range(d):
        hits += p[j] == y[j]
    return <double>hits / <double>d


cdef inline double share_right_side(ptrdiff_t d, const real *y, const real *p, real threshold) noexcept nogil:
    cdef ptrdiff_t j, hits = 0
    for j in range(d):
        hits += y[j] == <real>(p[j] > threshold)
    return <double>hits / <double>d


cdef inline ptrdiff_t first_maximum(ptrdiff_t d, const real *x) noexcept nogil:
    # As NumPy's argmax: the first of equals, and NaN before every number. The passes that read all of a row have no
    # branches, so that the compiler makes vectors of them.
    cdef real lane[8]
    cdef real high = x[0]
    cdef ptrdiff_t i = 0, j, missing = 0
    for j in range(d):
        missing += x[j] != x[j]
    if missing:
        while i < d - 1 and x[i] == x[i]:  # bounded: another thread may write to x meanwhile
            i += 1
        return i
    if d >= 16:
        for j in range(8):
            lane[j] = x[j]
        while i + 8 <= d:
            for j in range(8):
                lane[j] = x[i + j] if x[i + j] > lane[j] else lane[j]
            i += 8
        for j in range(8):
            high = lane[j] if lane[j] > high else high
    for j in range(i, d):
        high = x[j] if x[j] > high else high
    i = 0
    while i < d - 1 and x[i] != high:
        i += 1
    return i


cdef inline real score(const real *x, ptrdiff_t j) noexcept nogil:
    # NaN is no recommendation: it comes last
    return x[j] if x[j] == x[j] else <real>-INFINITY


cdef inline double is_in_top(ptrdiff_t d, const real *p, ptrdiff_t label, double k) noexcept nogil:
    cdef real own = score(p, label)
    cdef ptrdiff_t j, above = 0
    for j in range(d):
        above += p[j] > own
    return <double>(<double>above < k)


cdef inline ptrdiff_t place(ptrdiff_t d, const real *x, ptrdiff_t j) noexcept nogil:
    # How many stand before j when x is sorted from high to low; equals keep their order
    cdef real own = score(x, j), other
    cdef ptrdiff_t i, before = 0
    for i in range(d):
        other = score(x, i)
        before += other > own or (other == own and i < j)
    return before


cdef double recall(ptrdiff_t d, const real *y, const real *p, double k) noexcept nogil:
    cdef ptrdiff_t j, relevant = 0, found = 0
    for j in range(d):
        if y[j] > 0:
            relevant += 1
            found += <double>place(d, p, j) < k
    return <double>found / <double>relevant if relevant else 0.0


cdef double reciprocal_rank(ptrdiff_t d, const real *y, const real *p, double k) noexcept nogil:
    cdef ptrdiff_t j, best = -1
    for j in range(d):
        if y[j] > 0 and (best < 0 or score(p, j) > score(p, best)):
            best = j
    if best < 0:
        return 0.0
    j = place(d, p, best)
    return 1.0 / <double>(j + 1) if <double>j < k else 0.0


cdef double discounted_gain(ptrdiff_t d, const real *y, const real *p, double k, bint exponential) noexcept nogil:
    cdef ptrdiff_t j, at
    cdef double gain, dcg = 0, ideal = 0
    for j in range(d):
        if not y[j] > 0:
            continue
        gain = exp2(<double>y[j]) - 1 if exponential else <double>y[j]
        at = place(d, p, j)
        if <double>at < k:
            dcg += gain / log2(<double>(at + 2))
        at = place(d, y, j)
        if <double>at < k:
            ideal += gain / log2(<double>(at + 2))
    return dcg / ideal if ideal > 0 else 0.0


cdef void metric_values(int kind, ptrdiff_t rows, ptrdiff_t d, const void *y_true, const real *y_pred, double *values,
                        const double *parameters) noexcept nogil:
    cdef const real *y = <const real *>y_true
    cdef const int32_t *labels = <const int32_t *>y_true
    cdef const real *p = y_pred
    cdef ptrdiff_t r
    if kind == COSINE_SIMILARITY:
        loss_and_gradient(FNN_LOSS_cosine_similarity, rows, d, y_true, y_pred, values, <real *>NULL, NULL, 1.0,
                          parameters)
        for r in range(rows):
            values[r] = -values[r]
        return
    for r in range(rows):
        if kind == SPARSE_CATEGORICAL_ACCURACY:
            values[r] = <double>(first_maximum(d, p) == labels[r])
        elif kind == SPARSE_TOP_K_CATEGORICAL_ACCURACY:
            values[r] = is_in_top(d, p, labels[r], parameters[0])
        else:
            if kind == ACCURACY:
                values[r] = share_equal(d, y, p)
            elif kind == BINARY_ACCURACY:
                values[r] = share_right_side(d, y, p, <real>parameters[0])
            elif kind == CATEGORICAL_ACCURACY:
                values[r] = <double>(first_maximum(d, p) == first_maximum(d, y))
            elif kind == TOP_K_CATEGORICAL_ACCURACY:
                values[r] = is_in_top(d, p, first_maximum(d, y), parameters[0])
            elif kind == RECALL_AT_K:
                values[r] = recall(d, y, p, parameters[0])
            elif kind == MRR:
                values[r] = reciprocal_rank(d, y, p, parameters[0])
            else:
                values[r] = discounted_gain(d, y, p, parameters[0], parameters[1] != 0)
            y += d
        p += d


cdef void add_values(double *state, ptrdiff_t rows, const double *values, const double *weights,
                     ptrdiff_t positions) noexcept nogil:
    if rows == 0:
        return
    state[0] += weighted_sum(rows, values, weights) / <double>positions
    state[1] += (weighted_sum(rows, weights, NULL) if weights != NULL else <double>rows) / <double>positions


# -------------------------------------------------------------------------------------------------------- the boundary

cdef int expect_rows(int kind, char layout, ptrdiff_t rows, ptrdiff_t d, ptrdiff_t predictions, ptrdiff_t values,
                     const double[::1] parameters) except -1:
    expect_below("kind", kind, METRICS)
    expect_parameters(parameters, len(ROWS[kind]["parameters"].split()))
    if metric_layout(kind) != layout:
        raise ValueError(f"kind: {kind} takes another y_true; call the other function")
    if not 1 <= d <= predictions or predictions % d or predictions // d != rows:
        raise ValueError(f"y_pred: expected {rows} rows of {d} elements, got {predictions}")
    return expect_length("values", values, rows)


def evaluate(int kind, ptrdiff_t rows, ptrdiff_t d, const real[::1] y_pred not None, const real[::1] y_true not None,
             double[::1] values not None, const double[::1] parameters not None):
    """values of a batch of flattened rows, for kinds of layout R"""
    if rows == 0:
        return
    expect_rows(kind, c"R", rows, d, y_pred.shape[0], values.shape[0], parameters)
    expect_vector("y_true", y_true, y_pred.shape[0])
    expect_vector("y_pred", y_pred, y_pred.shape[0])
    expect_vector("values", values, rows)
    with nogil:
        metric_values(kind, rows, d, &y_true[0], &y_pred[0], &values[0], &parameters[0])


def evaluate_labels(int kind, ptrdiff_t rows, ptrdiff_t d, const real[::1] y_pred not None,
                    const int32_t[::1] labels not None, double[::1] values not None,
                    const double[::1] parameters not None):
    """The same for kinds of layout L, where y_true is a class number for each row"""
    cdef ptrdiff_t r
    cdef bint bad = False
    if rows == 0:
        return
    expect_rows(kind, c"L", rows, d, y_pred.shape[0], values.shape[0], parameters)
    expect_vector("labels", labels, rows)
    expect_vector("y_pred", y_pred, y_pred.shape[0])
    expect_vector("values", values, rows)
    for r in range(rows):
        bad |= not 0 <= labels[r] < d
    if bad and kind == SPARSE_TOP_K_CATEGORICAL_ACCURACY:  # which looks up what the label counts
        raise ValueError(f"labels: expected 0 .. {d - 1}")
    with nogil:
        metric_values(kind, rows, d, &labels[0], &y_pred[0], &values[0], &parameters[0])


def add(double[::1] state not None, const double[::1] values not None, const double[::1] weights, ptrdiff_t positions):
    """state += the sums of weighted values and of weights, over positions; weights may be None for all ones"""
    cdef ptrdiff_t n = values.shape[0]
    if n == 0:
        return
    expect_vector("state", state, 2)
    expect_vector("values", values, n)
    cdef const double *weight = NULL
    if weights is not None:
        expect_vector("weights", weights, n)
        weight = &weights[0]
    with nogil:
        add_values(&state[0], n, &values[0], weight, positions)
