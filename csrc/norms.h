/* norms.h: normalisation layers and dropout. */

#define FNN_NORM_ENTRIES
