/* losses.h: the losses and their gradients, a row of a batch at a time. */

#define FNN_LOSS_ENTRIES
