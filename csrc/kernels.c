/* kernels.c: the table of helpers of one instruction set (FNN_ISA) and one precision (FNN_DOUBLE). Compiled once for
   each pair; see isa.mk. */
#include "fnn.h"
#include "simd.h"
#include "vmath.h"

#include "tile.h"

#include "elementwise.h"

#include "optimizers.h"
#include "rows.h"

#include "losses.h"

#include "norms.h"

#if FNN_DOUBLE
#define FNN_TABLE_TYPE fnn_table_f64
#define FNN_TABLE_NAME FNN_JOIN2(fnn_f64_, FNN_ISA)
#else
#define FNN_TABLE_TYPE fnn_table_f32
#define FNN_TABLE_NAME FNN_JOIN2(fnn_f32_, FNN_ISA)
#endif

/* The entries are macros, which clang-format takes for the beginnings of longer lines */
/* clang-format off */
extern const FNN_TABLE_TYPE FNN_TABLE_NAME;
const FNN_TABLE_TYPE FNN_TABLE_NAME = {
    FNN_PRODUCT_ENTRIES    /* tile.h */
    .activation =
        {
#define ACTIVATION(name, ...) name##_forward,
#include "activations.def"
        },
    .derivative =
        {
#define ACTIVATION(name, ...) name##_backward,
#include "activations.def"
        },
    .math =
        {
#define FNN_MATH_ENTRY(name) math_##name,
            FNN_MATH_FUNCTIONS(FNN_MATH_ENTRY)
        },
    .row_activation =
        {
#define ROW_ACTIVATION(name, ...) name##_forward,
#include "activations.def"
        },
    .row_derivative =
        {
#define ROW_ACTIVATION(name, ...) name##_backward,
#include "activations.def"
        },
    .loss =
        {
#define LOSS(name, ...) name##_loss,
#define LOSS_OF_ROWS LOSS
#include "losses.def"
        },
    .mine = mine,
    .mined_gradient = mined_gradient,
    FNN_OPTIMIZER_ENTRIES  /* optimizers.h */
    .rule =
        {
#define OPTIMIZER(name, ...) name##_update,
#include "optimizers.def"
        },
    .step_rule =
        {
#define OPTIMIZER(name, ...) name##_step,
#include "optimizers.def"
        },
    FNN_ROW_ENTRIES        /* rows.h */
    FNN_NORM_ENTRIES       /* norms.h */
};
/* clang-format on */
