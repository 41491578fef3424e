/* fnn.h: the C helpers of fastnn, and their manual. The only header that Cython sees.

   The helpers do what happens inside one tile or one vector; loops over batches, layers, tiles and parameters are
   Cython's (fastnn/_core). They trust their arguments, allocate nothing but each thread's scratch, print nothing, and
   hold no state but the pool and the table of the instruction set that was chosen.

   Letters      B batch   I inputs of a layer   O outputs   P parameters   M, N, K rows, columns and depth of a product
   Outputs are written in place and may not overlap inputs, unless a helper says so. */
#ifndef FNN_H
#define FNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------- the pool (threads.c), and its size (cores.c)

   One pool for the process. Its threads start when first needed, wait by spinning for FASTNN_SPIN_US microseconds
   (100 unless told) and then sleep, end when the process does, and are forgotten in a forked child, which starts its
   own when it needs them. */

typedef void (*fnn_task)(void *context, int64_t index, int worker);

/* Run task(context, i, worker) once for every i in 0..count-1 on at most `threads` threads, the caller among them, and
   return when all are done. Indices are claimed one by one in ascending order; worker is in 0..threads-1 and is 0 for
   the caller. The caller alone does the work when threads <= 1 or count <= 1, when called from inside a task, when
   another thread holds the pool, and when the system gives no threads; while one is alone, the others' jobs have one
   thread fewer. Workers compute with the caller's rounding and flush-to-zero modes, so that results do not depend on who
   computes. */
void fnn_parallel(fnn_task task, void *context, int64_t count, int threads);
#define FNN_MOST_THREADS 1024

/* An order within a job: a task says that it is done (done = 1, from 0), and one that goes on from what it made waits for
   it. A task may wait for lower indices only. Somebody has then claimed the one waited for, or will, without waiting for
   the waiter: each thread claims its own share in ascending order, and the caller, whose share comes first, all others in
   ascending order after it. */
void fnn_tell(int *done);
void fnn_await(const int *done);

/* How many threads the machine suggests: FASTNN_NUM_THREADS, else OMP_NUM_THREADS, else the smallest of the process's
   affinity, its cgroup's quota and the number of physical fast cores. At least 1. */
int fnn_default_threads(void);

/* Bytes of a core's second-level cache; 1 MB where the system does not say. */
ptrdiff_t fnn_core_cache(void);

/* The count that fastnn's own work uses; set to 0 for the default. fnn_set_threads returns the former count. */
int fnn_get_threads(void);
int fnn_set_threads(int count);

/* This thread's scratch: FNN_SCRATCH_BYTES bytes, aligned to 64, allocated when first asked for and freed when the
   thread ends; NULL when there is no memory. Contents are whatever the last user left. */
#define FNN_SCRATCH_BYTES (21u << 18)
void *fnn_scratch(void);

/* Nanoseconds of a clock that only goes forward */
uint64_t fnn_clock(void);

/* ---------------------------------------------------------------------------------------------- random (random.c)

   Philox4x32-10 (Salmon et al. 2011). The key is the seed; the counter is (block, stream), 64 bits each, low words
   first. Word w of a stream is word w % 4 of block w / 4, so that any element of any stream can be had alone, and the
   numbers do not depend on threads, on order or on the CPU. */

/* out[i] = word start + i of the stream */
void fnn_random_words(uint64_t seed, uint64_t stream, uint64_t start, size_t n, uint32_t *out);

/* Element i of the others is made of words w = 2i and 2i+1 of its stream: k = (w0 >> 5) 2^26 + (w1 >> 6), 53 random
   bits.

   out[i] = low + u (high - low), where u = k / 2^53 in [0, 1) */
void fnn_random_uniform(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double low, double high, double *out);

/* out[i] = mean + stddev * z, where Phi(z) = (k + 1/2) / 2^53, by Wichura's AS241 from the exact (k + 1/2) / 2^53 - 1/2:
   never infinite (|z| < 8.3), and k and 2^53 - 1 - k give z and -z */
void fnn_random_normal(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double mean, double stddev,
                       double *out);

/* The same, restricted to two standard deviations on either side of the mean: Phi(z) - 1/2 is that of normal, times
   Phi(2) - Phi(-2) */
void fnn_random_truncated(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double mean, double stddev,
                          double *out);

/* out = a permutation of 0..n-1: for i = n-1..1 swap out[i] with out[j], j = the high 64 bits of r (i + 1), where
   r = 2^32 w0 + w1 is made of words 2d and 2d+1, d = n-1-i */
void fnn_random_permutation(uint64_t seed, uint64_t stream, size_t n, int64_t *out);

/* ------------------------------------------------------------------------- the table of one precision and ISA (kernels.c)

   Every helper below exists for float and double and for each instruction set. It is called through fnn, the table that
   was chosen when the library was loaded: fnn_name(..., p, ...) takes the version for what p points to. Sizes and
   strides count elements, not bytes. Pointers need no alignment beyond the element's own. */
#define FNN_OF(p)                                                                                                      \
    _Generic((p), float *: fnn->f32, const float *: fnn->f32, double *: fnn->f64, const double *: fnn->f64)

/* The matrix product (tile.h).

   fnn_tile: C[m,N] = init[m,N] + A[m,K] B[K,N] for one tile of at most rows x columns of its shape: every element is one
   chain of fused multiply-adds over k, ascending, from init on.
     a[i * a_row + k * a_k]   b[k * b_k + j]   c[i * c_row + j]   init[i * init_row + j]
   init is NULL for zeros, a bias with init_row 0, or c itself to go on with a chain whose first part is done.
   Nothing beyond the m x n elements of c is written, nothing beyond the operands' own elements is read. The memory of c to
   the right of the tile is fetched into the cache: a driver goes along a row of tiles. A wide tile that is told of an
   address `ahead` fetches as much from there at each step of k as it reads of b, ahead_k bytes further each time; 0 leaves
   it to the tile.

   fnn_pack: B[K,n] into panels of `step` columns, one behind the other, a row of a panel taking `width` elements (a
   multiple of the vector, at least the step; what follows the step's columns in it is of no meaning):
   panel[(j / step) * K * width + k * width + j % step] = b[k * b_k + j * b_column]

   fnn_fma_rounds: nothing but multiply-adds in registers, for benchmarks to divide by; returns how many floating-point
   operations they were. result holds two factors, near 1 and near 0, and at least a vector's room.

   Each shape of tile says how many rows and columns it has, and when a packed copy of an operand is faster than the
   operand as it lies (measured; see docs/decisions): from which stride on, in bytes from one row of A or of B to the next,
   and if it is A and transposed, from how many columns of C and elements of a block of B on.

   FNN_FLAT_DEPTH: rows of a B too large for the caches that a driver hands to a flat tile at a time, so many streams of
   memory. Such a tile may have any number of columns, and takes what comes below it to be needed next. */
enum { FNN_TILE_WIDE, FNN_TILE_FLAT, FNN_TILE_SHAPES };
enum { FNN_FLAT_DEPTH = 8 };
#define FNN_PRODUCT_HELPERS(real)                                                                                      \
    struct {                                                                                                           \
        int rows, columns, vector;                                                                                     \
        int pack_a, pack_b, turned_columns, turned_block;                                                              \
        void (*run)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t K, const real *a, ptrdiff_t a_row, ptrdiff_t a_k,              \
                    const real *b, ptrdiff_t b_k, real *c, ptrdiff_t c_row, const real *init, ptrdiff_t init_row,      \
                    uintptr_t ahead, uintptr_t ahead_k);                                                               \
    } tile[FNN_TILE_SHAPES];                                                                                           \
    void (*pack)(ptrdiff_t K, ptrdiff_t n, const real *b, ptrdiff_t b_k, ptrdiff_t b_column, ptrdiff_t step,           \
                 ptrdiff_t width, real *panel);                                                                        \
    double (*fma_rounds)(ptrdiff_t rounds, real *result);
#define fnn_tile_shape(shape, p)                                                                                       \
    (fnn_tile_numbers)                                                                                                 \
    {                                                                                                                  \
        FNN_OF(p)->tile[shape].rows, FNN_OF(p)->tile[shape].columns, FNN_OF(p)->tile[shape].vector,                    \
            FNN_OF(p)->tile[shape].pack_a, FNN_OF(p)->tile[shape].pack_b, FNN_OF(p)->tile[shape].turned_columns,       \
            FNN_OF(p)->tile[shape].turned_block                                                                        \
    }
#define fnn_tile(shape, m, n, K, a, a_row, a_k, b, b_k, c, c_row, init, init_row, ahead, ahead_k)                      \
    FNN_OF(a)->tile[shape].run(m, n, K, a, a_row, a_k, b, b_k, c, c_row, init, init_row, ahead, ahead_k)
#define fnn_pack(K, n, b, b_k, b_column, step, width, panel) FNN_OF(b)->pack(K, n, b, b_k, b_column, step, width, panel)
#define fnn_fma_rounds(rounds, result) FNN_OF(result)->fma_rounds(rounds, result)
typedef struct {
    int rows, columns, vector, pack_a, pack_b, turned_columns, turned_block;
} fnn_tile_numbers;

/* Activations (activations.def, elementwise.h): the rows of the table are numbered FNN_ACTIVATION_<name>.

   fnn_activation: y[n] = f(x[n]); y may be x. p holds the activation's parameters, in the table's order.
   fnn_derivative: dx[n] = dy[n] f'(...), where f' is computed from xy: the output y where the table says that backward
   reads Y, the input x where it says X. dx may be dy or xy.
   fnn_math: y[n] = the function of vmath.h numbered FNN_MATH_<name> of x[n], for the tests. y may be x. */
enum {
#define ACTIVATION(name, ...) FNN_ACTIVATION_##name,
#include "activations.def"
    FNN_ACTIVATIONS
};
#define FNN_MATH_FUNCTIONS(F) F(exp) F(expm1) F(log) F(log1p) F(tanh) F(sigmoid) F(softplus) F(log_sigmoid) F(erf)
enum {
#define FNN_MATH_ENUM(name) FNN_MATH_##name,
    FNN_MATH_FUNCTIONS(FNN_MATH_ENUM)
#undef FNN_MATH_ENUM
        FNN_MATHS
};
#define FNN_MATH_NAME(name) #name " "
#define FNN_MATH_NAMES FNN_MATH_FUNCTIONS(FNN_MATH_NAME) /* "exp expm1 ..." */
#define FNN_ACTIVATION_HELPERS(real)                                                                                   \
    void (*activation[FNN_ACTIVATIONS])(ptrdiff_t n, const real *x, real *y, const double *p);                         \
    void (*derivative[FNN_ACTIVATIONS])(ptrdiff_t n, const real *xy, const real *dy, real *dx, const double *p);       \
    void (*math[FNN_MATHS])(ptrdiff_t n, const real *x, real *y);
#define fnn_activation(kind, n, x, y, p) FNN_OF(x)->activation[kind](n, x, y, p)
#define fnn_derivative(kind, n, xy, dy, dx, p) FNN_OF(xy)->derivative[kind](n, xy, dy, dx, p)
#define fnn_math(kind, n, x, y) FNN_OF(x)->math[kind](n, x, y)

/* What Python needs to know of a row of activations.def: "alpha=1.0>=0" (a name, its default, a bound), "0:0"
   (x : derivative there), or ""; several are separated by spaces */
typedef struct {
    const char *name, *formula, *range, *parameters, *kinks;
    char reads; /* what backward reads: 'X' or 'Y' */
} fnn_activation_row;
extern const fnn_activation_row fnn_activation_rows[FNN_ACTIVATIONS];

/* Activations of a whole row (activations.def, rows.h), numbered FNN_ROW_<name>: n is the length of a row of x.

   fnn_row_activation: y[rows, n] = f of each row of x[rows, n]; y may be x. glu: y[rows, n / 2], which may not be x.
   fnn_row_derivative: dx[rows, n] = dy times the row's Jacobian, from xy as above; dx may be dy or xy. glu: dy[rows, n / 2],
   and dx may be neither.
   A row that holds NaN, +inf, or nothing but -inf is NaN throughout, as exp(x - max) makes it; -inf among numbers gives 0
   (log_softmax: -inf). glu is a product of numbers and has no such rule. */
enum {
#define ROW_ACTIVATION(name, ...) FNN_ROW_##name,
#include "activations.def"
    FNN_ROW_ACTIVATIONS
};
extern const fnn_activation_row fnn_row_activation_rows[FNN_ROW_ACTIVATIONS];
#define fnn_row_activation(kind, rows, n, x, y) FNN_OF(x)->row_activation[kind](rows, n, x, y)
#define fnn_row_derivative(kind, rows, n, xy, dy, dx) FNN_OF(xy)->row_derivative[kind](rows, n, xy, dy, dx)

/* The leaky line with a learned slope for each column (rows.h), slope[n].

   fnn_prelu: y[rows, n] = x where x > 0, else slope x; y may be x.
   fnn_prelu_derivative: dx[rows, n] = dy where x > 0, else slope dy; dx may be dy or x.
   fnn_prelu_slopes: dslope[n] = sum over rows of dy min(x, 0), in double, row after row, for n columns out of `stride`. */
#define fnn_prelu(rows, n, x, slope, y) FNN_OF(x)->prelu(rows, n, x, slope, y)
#define fnn_prelu_derivative(rows, n, x, slope, dy, dx) FNN_OF(x)->prelu_derivative(rows, n, x, slope, dy, dx)
#define fnn_prelu_slopes(rows, n, stride, x, dy, dslope) FNN_OF(x)->prelu_slopes(rows, n, stride, x, dy, dslope)

/* Losses (losses.def, losses.h): the rows of the table are numbered FNN_LOSS_<name>.

   fnn_loss: values[r] = loss of sample r and dy[r] = scale[r] d values[r] / d y_pred[r], in one pass, for `rows`
   samples; scale NULL stands for `common` at every row. values or dy may be NULL, and dy may be y_pred. What a sample of
   y_true and y_pred is, the row's layout says:
     'R' rows      y_true[rows, d]          y_pred[rows, d]       d >= 1
     'L' labels    y_true[rows] int32       y_pred[rows, d]       labels in 0..d-1, or the ignored class
     'P' pairs     y_true[rows]             y_pred[rows, 2, d]    margin_ranking: d = 1
     'T' triplets  y_true is not read       y_pred[rows, 3, d]
   parameters holds the loss's parameters, in the table's order. A row's results do not depend on the rows around it.

   fnn_mine: finds triplets in x[B, d]: those of one anchor, with a positive of its own label and a negative of another.
     parameters   margin; squared; semi_hard. 0: the farthest positive with the nearest negative. 1: every positive,
                  with the nearest negative that is farther than it or, if there is none, with the farthest negative
     value        the mean over the anchor's triplets of max(0, d(a, p) - d(a, n) + margin); 0 if it has none
     distance[B]  d(anchor, j), and weight[B] = d value / d distance[j]
   Returns whether the anchor has both a positive and a negative.

   fnn_mined_gradient: dx[d] = d (sum_r scale[r] values[r]) / d x[i], from all of distance[B, B] and weight[B, B]. */
enum {
#define LOSS(name, ...) FNN_LOSS_##name,
#define LOSS_OF_ROWS LOSS
#include "losses.def"
    FNN_LOSSES
};
#define FNN_LOSS_HELPERS(real)                                                                                         \
    void (*loss[FNN_LOSSES])(ptrdiff_t rows, ptrdiff_t d, const void *y_true, const real *y_pred, double *values,      \
                             real *dy, const double *scale, double common, const double *parameters);                  \
    int (*mine)(ptrdiff_t anchor, ptrdiff_t B, ptrdiff_t d, const real *x, const int32_t *labels, double *value,       \
                double *distance, double *weight, const double *parameters);                                           \
    void (*mined_gradient)(ptrdiff_t i, ptrdiff_t B, ptrdiff_t d, const real *x, const double *distance,               \
                           const double *weight, const double *scale, double common, real *dx,                         \
                           const double *parameters);
#define fnn_loss(kind, rows, d, y_true, y_pred, values, dy, scale, common, parameters)                                 \
    FNN_OF(y_pred)->loss[kind](rows, d, y_true, y_pred, values, dy, scale, common, parameters)
#define fnn_mine(anchor, B, d, x, labels, value, distance, weight, parameters)                                         \
    FNN_OF(x)->mine(anchor, B, d, x, labels, value, distance, weight, parameters)
#define fnn_mined_gradient(i, B, d, x, distance, weight, scale, common, dx, parameters)                                \
    FNN_OF(x)->mined_gradient(i, B, d, x, distance, weight, scale, common, dx, parameters)

/* What Python needs to know of a row of losses.def. reduction: 'M' for the mean and 'S' for the sum of the formula over
   the last axis, 'W' where the formula is that of a whole sample. */
typedef struct {
    const char *name, *formula, *parameters, *kinks; /* "delta=1.0", "1,1:-0.5" (y,p:slope there), or "" */
    char layout, reduction;
} fnn_loss_row;
extern const fnn_loss_row fnn_loss_rows[FNN_LOSSES];

/* Optimizers (optimizers.def, optimizers.h): the rows of the table are numbered FNN_OPTIMIZER_<name>. All of these take
   flat pieces; no element of a result depends on where a piece begins or ends, except in the sums.

   The gradient that a step goes by, from the loss's gradient g:
     h = g unscale + l1 sign(w) + 2 l2 w            the loss scale taken back, the penalties' gradient added
     h = (h + accumulated) / steps                  where gradients are accumulated; else accumulated is NULL
     h = h scale, or h within [-clip, clip]         the one clip

   fnn_rule: w[n], slot[.][n] = one update by the row's rule, from g as it is and the constants of fnn_optimizer_row.
   fnn_step_rule: the same from h, with all that a step has besides, in the same pass over memory:
     w -= decay w; the rule; average = ema average + (1 - ema) w, where average is not NULL; w = average if overwrite;
     accumulated = 0.
   fnn_step_gradient: out[n] = h. out may be g.     fnn_step_accumulate: accumulated[n] += h before accumulation
   fnn_step_squares: the sum of h^2 before the clip, sum16 in double; g may be w.
   fnn_penalties: sums[0] = sum |w|, sums[1] = sum w^2, likewise.
   fnn_outer: out[rows, columns] = x[rows] dz[columns], with the bits of the matrix product that this is.
   fnn_below_two: whether all |x| < 2; false where one is NaN.
   fnn_rough_squares: the sum of x^2 in the precision of x: not smaller than any square but for a rounding, infinite or NaN
   where an element is, or where the sum is too large for that precision.
   fnn_step_average: the average, and w = average if overwrite, by themselves.
   fnn_non_negative: w[n] = max(w, 0)     fnn_scale_piece: w[n] *= factor
   fnn_column_squares: sums[j] = sum_i w[i * w_row + j]^2 for j < columns <= FNN_COLUMNS; sums has FNN_COLUMNS places.
   fnn_scale_columns: w[i * w_row + j] *= factors[j]; all FNN_COLUMNS factors are read. */
enum {
#define OPTIMIZER(name, ...) FNN_OPTIMIZER_##name,
#include "optimizers.def"
    FNN_OPTIMIZERS
};
enum { FNN_SLOTS = 3, FNN_CONSTANTS = 6, FNN_HYPERS = 4, FNN_COLUMNS = 64 };
typedef struct {
    double unscale, l1, l2, steps; /* 1, 0, 0, 1 for a gradient as it is */
    double scale, clip;            /* 1, and 0 for none */
    double decay, ema;
    int overwrite;
} fnn_step;
#define FNN_OPTIMIZER_HELPERS(real)                                                                                    \
    void (*rule[FNN_OPTIMIZERS])(ptrdiff_t n, real *w, const real *g, real *const *slot, const double *constants);     \
    void (*step_rule[FNN_OPTIMIZERS])(ptrdiff_t n, real *w, const real *g, real *const *slot, real *accumulated,       \
                                      real *average, const double *constants, const fnn_step *s);                      \
    void (*step_gradient)(ptrdiff_t n, const real *w, const real *g, const real *accumulated, real *out,               \
                          const fnn_step *s);                                                                          \
    void (*step_accumulate)(ptrdiff_t n, const real *w, const real *g, real *accumulated, const fnn_step *s);          \
    double (*step_squares)(ptrdiff_t n, const real *w, const real *g, const real *accumulated, const fnn_step *s);     \
    void (*penalties)(ptrdiff_t n, const real *w, double *sums);                                                       \
    void (*outer)(ptrdiff_t rows, ptrdiff_t columns, const real *x, const real *dz, real *out);                        \
    int (*below_two)(ptrdiff_t n, const real *x);                                                                      \
    double (*rough_squares)(ptrdiff_t n, const real *x);                                                               \
    void (*step_average)(ptrdiff_t n, real *w, real *average, const fnn_step *s);                                      \
    void (*non_negative)(ptrdiff_t n, real *w);                                                                        \
    void (*scale_piece)(ptrdiff_t n, real *w, double factor);                                                          \
    void (*column_squares)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t w_row, const real *w, double *sums);           \
    void (*scale_columns)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t w_row, real *w, const double *factors);
#define fnn_rule(which, n, w, g, slot, constants) FNN_OF(w)->rule[which](n, w, g, slot, constants)
#define fnn_step_rule(which, n, w, g, slot, accumulated, average, constants, s)                                        \
    FNN_OF(w)->step_rule[which](n, w, g, slot, accumulated, average, constants, s)
#define fnn_step_gradient(n, w, g, accumulated, out, s) FNN_OF(w)->step_gradient(n, w, g, accumulated, out, s)
#define fnn_step_accumulate(n, w, g, accumulated, s) FNN_OF(w)->step_accumulate(n, w, g, accumulated, s)
#define fnn_step_squares(n, w, g, accumulated, s) FNN_OF(w)->step_squares(n, w, g, accumulated, s)
#define fnn_penalties(n, w, sums) FNN_OF(w)->penalties(n, w, sums)
#define fnn_outer(rows, columns, x, dz, out) FNN_OF(x)->outer(rows, columns, x, dz, out)
#define fnn_below_two(n, x) FNN_OF(x)->below_two(n, x)
#define fnn_rough_squares(n, x) FNN_OF(x)->rough_squares(n, x)
#define fnn_step_average(n, w, a, s) FNN_OF(w)->step_average(n, w, a, s)
#define fnn_non_negative(n, w) FNN_OF(w)->non_negative(n, w)
#define fnn_scale_piece(n, w, factor) FNN_OF(w)->scale_piece(n, w, factor)
#define fnn_column_squares(rows, columns, w_row, w, sums) FNN_OF(w)->column_squares(rows, columns, w_row, w, sums)
#define fnn_scale_columns(rows, columns, w_row, w, factors) FNN_OF(w)->scale_columns(rows, columns, w_row, w, factors)

/* What Python needs to know of a row of optimizers.def, its lists as they stand there, "(momentum, velocity)"; and what
   update number t >= 1 begins with: `remember` brings the rule's memory up to date (a double that is 1 before the first
   update), and then `constants` computes the constants at learning rate lr. Hyperparameters are in the table's order.
   `bound` returns what bounds the change of a weight by the rule where no gradient exceeds g, and brings slot[.], which
   bound the slots, up to date; not a number where nothing does. The constants must be as the weights' precision has them.
   `within` takes them as they are, for weights in double if `wide`, and tells whether none of them exceeds `most`, and
   neither the change nor a new bound of a slot `largest`. */
typedef struct {
    const char *name, *slots, *initial, *hypers, *formula;
    int slot_count, constant_count;
    void (*remember)(int64_t t, const double *hypers, double *memory);
    void (*constants)(double lr, int64_t t, const double *hypers, const double *memory, double *constants);
    double (*bound)(double g, const double *constants, double *slot);
    int (*within)(double g, const double *constants, int wide, double most, double largest, double *slot);
} fnn_optimizer_row;
extern const fnn_optimizer_row fnn_optimizer_rows[FNN_OPTIMIZERS];

/* Rows and columns: softmax and its kin, norms, sums (rows.h) */
#define FNN_ROW_HELPERS(real)                                                                                          \
    void (*row_activation[FNN_ROW_ACTIVATIONS])(ptrdiff_t rows, ptrdiff_t n, const real *x, real *y);                  \
    void (*row_derivative[FNN_ROW_ACTIVATIONS])(ptrdiff_t rows, ptrdiff_t n, const real *xy, const real *dy,           \
                                                real *dx);                                                             \
    void (*prelu)(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *slope, real *y);                             \
    void (*prelu_derivative)(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *slope, const real *dy, real *dx); \
    void (*prelu_slopes)(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t stride, const real *x, const real *dy, real *dslope);

/* Normalisation layers, dropout and noise, sums of columns (norms.h).

   To normalise is u = (x - mean) scale + offset, with scale = 1 / sqrt(variance + epsilon), moments taken in double, and
   offset what rounding the mean to a real has cost. The three are saved for backward, a plane apart: saved[i] the mean,
   saved[plane + i] the scale, saved[2 plane + i] the offset, of row i (layer normalisation) or column i (batch). gamma,
   beta, dgamma and dbeta may be NULL where the layer has none. Gradients are set, or with add != 0 added to.

   fnn_layer_norm: y[n] = u gamma + beta for one row x[n]; y may be x. `saved` is the row's own entry. The kinds:
     FNN_NORM_LAYER      u as above
     FNN_NORM_VARIANCE   u = x scale, with the scale of FNN_NORM_LAYER: Keras's LayerNormalization(rms_scaling=True)
     FNN_NORM_RMS        u = x scale, scale = 1 / sqrt(mean(x^2) + epsilon): Keras's RMSNormalization
   fnn_layer_norm_backward: dx[n] of one row, from x, dy, gamma and what forward saved; dx may be dy.
   fnn_layer_norm_sums: dgamma[n] = sum_i dy[i,:] u[i,:], dbeta[n] = sum_i dy[i,:] for a block of n columns; element
     (i, j) is x[i * x_row + j], dy[i * dy_row + j].

   fnn_batch_statistics: variance[n] (biased) and saved[3,n] of a block of n columns x[rows,n] (the batch's mean is
     saved[0..n-1]); element (i, j) is x[i * x_row + j]. rows > 0.
   fnn_batch_scaling: the same saved[3,n] from given statistics mean[n], variance[n].
   fnn_batch_norm: y[rows,n] = u gamma + beta, contiguous rows; y may be x.
   fnn_batch_norm_sums: as fnn_layer_norm_sums, u by the columns' statistics.
   fnn_batch_norm_backward: dx[rows,n] of a block of whole rows, contiguous, out of `batch` rows. dot[n] and sum[n] are
     what fnn_batch_norm_sums gives (not added to) over all rows where the statistics were the batch's own; NULL where
     they were constants. dx may be dy.
   fnn_moving_average: average[n] = momentum average + (1 - momentum) x

   fnn_colsum: y[n] (+)= sum_i x[i,:] for a block of columns; each is one chain of additions from y or 0 on, i ascending.
   fnn_add: y[n] = a[n] + b[n]; y may be either.
   fnn_dropout: y[i] = x[i] / (1 - rate), or 0 where word start + i of the stream is below floor(rate 2^32); on dy it
     is its own backward pass. fnn_add_noise: y[i] = x[i] + stddev times normal number start + i. y may be x.

   fnn_dot: sum_i a[i] b[i], returned in double. fnn_project_out: x[n] = x - (u . x) u. The bits of these two do not
   depend on whether the machine has fused multiply-add. */
enum { FNN_NORM_LAYER, FNN_NORM_VARIANCE, FNN_NORM_RMS };
#define FNN_NORM_HELPERS(real)                                                                                         \
    void (*layer_norm)(ptrdiff_t n, const real *x, const real *gamma, const real *beta, int kind, double epsilon,      \
                       real *y, real *saved, ptrdiff_t plane);                                                         \
    void (*layer_norm_backward)(ptrdiff_t n, const real *x, const real *dy, const real *gamma, int kind,               \
                                const real *saved, ptrdiff_t plane, real *dx);                                         \
    void (*layer_norm_sums)(ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t x_row, const real *dy,               \
                            ptrdiff_t dy_row, int kind, const real *saved, ptrdiff_t plane, int add, real *dgamma,     \
                            real *dbeta);                                                                              \
    void (*batch_statistics)(ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t x_row, double epsilon,              \
                             real *variance, real *saved, ptrdiff_t plane);                                            \
    void (*batch_scaling)(ptrdiff_t n, const real *mean, const real *variance, double epsilon, real *saved,            \
                          ptrdiff_t plane);                                                                            \
    void (*batch_norm)(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *saved, ptrdiff_t plane,                 \
                       const real *gamma, const real *beta, real *y);                                                  \
    void (*batch_norm_sums)(ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t x_row, const real *dy,               \
                            ptrdiff_t dy_row, const real *saved, ptrdiff_t plane, int add, real *dgamma, real *dbeta); \
    void (*batch_norm_backward)(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *dy, const real *saved,         \
                                ptrdiff_t plane, const real *gamma, const real *dot, const real *sum, ptrdiff_t batch, \
                                real *dx);                                                                             \
    void (*moving_average)(ptrdiff_t n, double momentum, const real *x, real *average);                                \
    void (*colsum)(ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t x_row, int add, real *y);                     \
    void (*add)(ptrdiff_t n, const real *a, const real *b, real *y);                                                   \
    void (*dropout)(ptrdiff_t n, double rate, uint64_t seed, uint64_t stream, uint64_t start, const real *x, real *y); \
    void (*add_noise)(ptrdiff_t n, double stddev, uint64_t seed, uint64_t stream, uint64_t start, const real *x,       \
                      real *y);                                                                                        \
    double (*dot)(ptrdiff_t n, const real *a, const real *b);                                                          \
    void (*project_out)(ptrdiff_t n, const real *u, real *x);
#define fnn_layer_norm(n, x, gamma, beta, kind, epsilon, y, saved, plane)                                              \
    FNN_OF(x)->layer_norm(n, x, gamma, beta, kind, epsilon, y, saved, plane)
#define fnn_layer_norm_backward(n, x, dy, gamma, kind, saved, plane, dx)                                               \
    FNN_OF(x)->layer_norm_backward(n, x, dy, gamma, kind, saved, plane, dx)
#define fnn_layer_norm_sums(rows, n, x, x_row, dy, dy_row, kind, saved, plane, add, dgamma, dbeta)                     \
    FNN_OF(x)->layer_norm_sums(rows, n, x, x_row, dy, dy_row, kind, saved, plane, add, dgamma, dbeta)
#define fnn_batch_statistics(rows, n, x, x_row, epsilon, variance, saved, plane)                                       \
    FNN_OF(x)->batch_statistics(rows, n, x, x_row, epsilon, variance, saved, plane)
#define fnn_batch_scaling(n, mean, variance, epsilon, saved, plane)                                                    \
    FNN_OF(mean)->batch_scaling(n, mean, variance, epsilon, saved, plane)
#define fnn_batch_norm(rows, n, x, saved, plane, gamma, beta, y)                                                       \
    FNN_OF(x)->batch_norm(rows, n, x, saved, plane, gamma, beta, y)
#define fnn_batch_norm_sums(rows, n, x, x_row, dy, dy_row, saved, plane, add, dgamma, dbeta)                           \
    FNN_OF(x)->batch_norm_sums(rows, n, x, x_row, dy, dy_row, saved, plane, add, dgamma, dbeta)
#define fnn_batch_norm_backward(rows, n, x, dy, saved, plane, gamma, dot, sum, batch, dx)                              \
    FNN_OF(x)->batch_norm_backward(rows, n, x, dy, saved, plane, gamma, dot, sum, batch, dx)
#define fnn_moving_average(n, momentum, x, average) FNN_OF(x)->moving_average(n, momentum, x, average)
#define fnn_colsum(rows, n, x, x_row, add_to, y) FNN_OF(x)->colsum(rows, n, x, x_row, add_to, y)
#define fnn_add(n, a, b, y) FNN_OF(a)->add(n, a, b, y)
#define fnn_dropout(n, rate, seed, stream, start, x, y) FNN_OF(x)->dropout(n, rate, seed, stream, start, x, y)
#define fnn_add_noise(n, stddev, seed, stream, start, x, y) FNN_OF(x)->add_noise(n, stddev, seed, stream, start, x, y)
#define fnn_dot(n, a, b) FNN_OF(a)->dot(n, a, b)
#define fnn_project_out(n, u, x) FNN_OF(u)->project_out(n, u, x)

#define FNN_TABLE(real)                                                                                                \
    struct {                                                                                                           \
        FNN_PRODUCT_HELPERS(real)                                                                                      \
        FNN_ACTIVATION_HELPERS(real)                                                                                   \
        FNN_LOSS_HELPERS(real)                                                                                         \
        FNN_OPTIMIZER_HELPERS(real)                                                                                    \
        FNN_ROW_HELPERS(real)                                                                                          \
        FNN_NORM_HELPERS(real)                                                                                         \
    }
typedef FNN_TABLE(float) fnn_table_f32;
typedef FNN_TABLE(double) fnn_table_f64;

/* ------------------------------------------------------------------------------- which table is used (dispatch.c)

   One extension links the helpers and hands this struct to the others, so that all share one pool and one choice. */
typedef struct {
    const char *isa;
    int has_fma; /* 0: the bits of products differ from those of machines that have it */
    const fnn_table_f32 *f32;
    const fnn_table_f64 *f64;
    const fnn_activation_row *activation_rows, *row_activation_rows;
    const fnn_loss_row *loss_rows;
    const fnn_optimizer_row *optimizer_rows;
    void (*parallel)(fnn_task task, void *context, int64_t count, int threads);
    void (*tell)(int *done);
    void (*await)(const int *done);
    int (*get_threads)(void);
    int (*set_threads)(int count);
    int (*default_threads)(void);
    ptrdiff_t (*core_cache)(void);
    void *(*scratch)(void);
    uint64_t (*clock)(void);
    void (*random_words)(uint64_t seed, uint64_t stream, uint64_t start, size_t n, uint32_t *out);
    void (*random_uniform)(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double low, double high,
                           double *out);
    void (*random_normal)(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double mean, double stddev,
                          double *out);
    void (*random_truncated)(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double mean, double stddev,
                             double *out);
    void (*random_permutation)(uint64_t seed, uint64_t stream, size_t n, int64_t *out);
} fnn_api;

/* The best instruction set that was compiled in and that the machine has, but none above `at_most` ("base", "avx2",
   "avx512"; NULL or "" for no limit). NULL when the name is unknown or the machine lacks it. */
const fnn_api *fnn_choose(const char *at_most);

/* The name of the index-th instruction set that can be chosen on this machine, lowest first; NULL past the last. */
const char *fnn_available(int index);

#if defined(__GNUC__) || defined(__clang__)
__attribute__((unused))
#endif
static const fnn_api
    *fnn; /* each extension's, and each test's, own pointer to the table; set once, when it is loaded */

#ifdef __cplusplus
}
#endif
#endif
