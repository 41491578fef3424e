/* optimizers.h: the updates of the optimizers, over a flat piece of the parameters. */

#define FNN_OPTIMIZER_ENTRIES
