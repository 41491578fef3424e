/* test_losses.c: what must hold of every loss, whatever its formula: one pass or two, one row or many, in place or not,
   the answers are the same bits, nothing else is touched, and the instruction sets with fma agree. Formulas are tested
   from Python. Buffers are exactly as long as they should be, for the sanitizers to watch. */
#include "check.h"
#include "fnn.h"

#include <math.h>
#include <string.h>

enum { ROWS = 7, LONGEST = 1300 };
static const ptrdiff_t lengths[] = {1, 2, 3, 10, 15, 16, 17, 33, 100, 1024, 1025, LONGEST};
enum { LENGTHS = sizeof lengths / sizeof *lengths };
static int lengths_of(int kind) { return kind == FNN_LOSS_margin_ranking ? 1 : LENGTHS; } /* two scores, not two rows */
static const double defaults[4] = {0.5, 0.25, 1, 0.1}, no_class[4] = {NAN, 0, 0, 0};

static void *copy_of(const void *bytes, size_t size)
{
    void *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (bytes)
        memcpy(copy, bytes, size);
    else
        memset(copy, 0xa5, size);
    return copy;
}

#define TEST_LOSS(real, test)                                                                                          \
    static uint64_t test(int kind, ptrdiff_t d)                                                                        \
    {                                                                                                                  \
        const char layout = fnn_loss_rows[kind].layout;                                                                \
        const ptrdiff_t width = (layout == 'P' ? 2 : layout == 'T' ? 3 : 1) * d;                                       \
        const ptrdiff_t targets = layout == 'R' ? d : layout == 'T' ? 0 : 1;                                           \
        const double *parameters = layout == 'L' ? no_class : defaults;                                                \
        const size_t size = (size_t)(ROWS * width) * sizeof(real);                                                     \
        static double random[ROWS * LONGEST * 3];                                                                      \
        fnn_random_uniform(7, (uint64_t)kind, 0, (size_t)(ROWS * width), 0.05, 1, random);                             \
        real *y = copy_of(NULL, (size_t)(ROWS * targets) * sizeof(real)), *p = copy_of(NULL, size);                    \
        int32_t *labels = copy_of(NULL, ROWS * sizeof(int32_t));                                                       \
        for (ptrdiff_t i = 0; i < ROWS * targets; i++) /* one-hot rows, or labels of 0 and 1 */                        \
            y[i] = targets == 1 ? (real)(i % 2) : (real)(i % targets == i / targets % targets);                        \
        for (ptrdiff_t i = 0; i < ROWS * width; i++)                                                                   \
            p[i] = (real)random[i];                                                                                    \
        for (ptrdiff_t r = 0; r < ROWS; r++)                                                                           \
            labels[r] = (int32_t)(r % d);                                                                              \
        const void *target = layout == 'L' ? (const void *)labels : y;                                                 \
        const size_t target_size = layout == 'L' ? sizeof(int32_t) : (size_t)targets * sizeof(real);                   \
        double *values = copy_of(NULL, ROWS * sizeof(double)), scale[ROWS], value;                                     \
        for (ptrdiff_t r = 0; r < ROWS; r++)                                                                           \
            scale[r] = 0.25;                                                                                           \
        real *dy = copy_of(NULL, size), *again = copy_of(NULL, size), *in_place = copy_of(p, size);                    \
        const char *loss = fnn_loss_rows[kind].name;                                                                   \
        fnn_loss(kind, ROWS, d, target, p, values, dy, scale, -1, parameters);                                         \
        fnn_loss(kind, ROWS, d, target, p, NULL, again, NULL, 0.25, parameters);                                       \
        CHECK(!memcmp(dy, again, size), "%s: the gradient alone, with d = %td", loss, d);                              \
        fnn_loss(kind, ROWS, d, target, in_place, values, in_place, NULL, 0.25, parameters);                           \
        CHECK(!memcmp(dy, in_place, size), "%s: in place, with d = %td", loss, d);                                     \
        int moved = 0;                                                                                                 \
        for (ptrdiff_t r = 0; r < ROWS; r++) {                                                                         \
            const void *one = (const char *)target + (size_t)r * target_size;                                          \
            real *row = copy_of(NULL, (size_t)width * sizeof(real));                                                   \
            fnn_loss(kind, 1, d, one, p + r * width, &value, row, NULL, 0.25, parameters);                             \
            CHECK(value == values[r], "%s: row %td of d = %td: %g, alone %g", loss, r, d, values[r], value);           \
            CHECK(!memcmp(row, dy + r * width, (size_t)width * sizeof(real)), "%s: row %td alone, d = %td", loss, r,   \
                  d);                                                                                                  \
            fnn_loss(kind, 1, d, one, p + r * width, &value, (real *)NULL, NULL, 0, parameters);                       \
            CHECK(value == values[r], "%s: the value alone, with d = %td", loss, d);                                   \
            for (ptrdiff_t i = 0; i < width; i++)                                                                      \
                moved += row[i] != 0;                                                                                  \
            free(row);                                                                                                 \
        }                                                                                                              \
        CHECK(moved || d == 1, "%s: the gradient is 0 everywhere, with d = %td", loss, d);                             \
        const uint64_t bits = hash(hash(UINT64_C(14695981039346656037), values, sizeof(double) * ROWS), dy, size);     \
        free(y), free(p), free(labels), free(values), free(dy), free(again), free(in_place);                           \
        return bits;                                                                                                   \
    }

/* FNV-1a */
static uint64_t hash(uint64_t h, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        h = (h ^ ((const unsigned char *)bytes)[i]) * UINT64_C(1099511628211);
    return h;
}
TEST_LOSS(float, test_float)
TEST_LOSS(double, test_double)

int main(void)
{
    static uint64_t first[FNN_LOSSES][LENGTHS][2];
    const char *const limit = getenv("FASTNN_ISA");
    fnn = fnn_choose(limit);
    if (!fnn)
        return check_skip("losses", "this machine lacks the instruction set");
    for (int kind = 0; kind < FNN_LOSSES; kind++)
        for (int i = 0; i < lengths_of(kind); i++) {
            first[kind][i][0] = test_float(kind, lengths[i]);
            first[kind][i][1] = test_double(kind, lengths[i]);
        }
    const fnn_api *const chosen = fnn;
    for (int isa = 0; fnn_available(isa); isa++) {
        fnn = fnn_choose(fnn_available(isa));
        if (!fnn->has_fma || !chosen->has_fma || fnn == chosen)
            continue;
        for (int kind = 0; kind < FNN_LOSSES; kind++)
            for (int i = 0; i < lengths_of(kind); i++) {
                const char *const loss = fnn_loss_rows[kind].name;
                CHECK(first[kind][i][0] == test_float(kind, lengths[i]), "%s: %s and %s differ in float, d = %td", loss,
                      chosen->isa, fnn->isa, lengths[i]);
                CHECK(first[kind][i][1] == test_double(kind, lengths[i]), "%s: %s and %s differ in double, d = %td",
                      loss, chosen->isa, fnn->isa, lengths[i]);
            }
    }
    return check_report("losses");
}
