/* rows.h: what needs a whole row or column: softmax and its kin, sums, norms. */

#define FNN_ROW_ENTRIES
