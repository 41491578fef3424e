/* tile.h: the tiles of the matrix product, and the packing of its operands. */

FNN_INLINE void tile_one(ptrdiff_t n, ptrdiff_t K, const real *a, ptrdiff_t a_k, const real *b, ptrdiff_t b_k, real *c, const real *init)
{
    for (ptrdiff_t j = 0; j < n; j++) {
        vreal s = v_set(init ? init[j] : 0);
        for (ptrdiff_t k = 0; k < K; k++)
            s = v_fma(v_set(a[k * a_k]), v_set(b[k * b_k + j]), s);
        real lane[VL];
        v_store(lane, s);
        c[j] = lane[0];
    }
}
static void tile_any(ptrdiff_t m, ptrdiff_t n, ptrdiff_t K, const real *a, ptrdiff_t a_row, ptrdiff_t a_k,              
                    const real *b, ptrdiff_t b_k, real *c, ptrdiff_t c_row, const real *init, ptrdiff_t init_row)
{
    for (ptrdiff_t i = 0; i < m; i++)
        tile_one(n, K, a + i * a_row, a_k, b, b_k, c + i * c_row, init ? init + i * init_row : 0);
}
static void pack(ptrdiff_t K, ptrdiff_t n, const real *b, ptrdiff_t b_k, ptrdiff_t b_column, ptrdiff_t width, real *panel)
{
    for (ptrdiff_t k = 0; k < K; k++)
        for (ptrdiff_t j = 0; j < width; j++)
            panel[k * width + j] = j < n ? b[k * b_k + j * b_column] : 0;
}
#define FNN_PRODUCT_ENTRIES .tile = {{6, 2 * VL, tile_any}, {12, VL, tile_any}, {1, 4 * VL, tile_any}}, .pack = pack,
