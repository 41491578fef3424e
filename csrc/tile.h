/* tile.h: the tiles of the matrix product, and the packing of their operands.

   A tile holds m x (VL v) elements of C in registers and walks down k once: two or more loads of B, then for each row a
   broadcast of A and a multiply-add into each vector. How many rows a tile has follows from the registers: AVX-512 and
   64-bit Arm have 32, so 28 sums, two vectors of B and a broadcast; the others 16, so 12 sums. */
#if (defined(FNN_BITS) && FNN_BITS == 512) || defined(__aarch64__)
#define TILE_ROWS 14
#define ON_ROWS_ABOVE_6(CASE) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#else
#define TILE_ROWS 6
#define ON_ROWS_ABOVE_6(CASE)
#endif
#define FLAT_VECTORS 8

/* A tall tile reuses each row of B so often, and a long vector takes so much of it at a time, that memory as it lies
   serves until its rows are pages apart; the small tile wants B in order sooner. A transposed A has a line of its own for
   each step of k, which either wants side by side once it comes back to them for so many columns and meanwhile reads so
   many elements of B: the tall tile takes more of a line at a time. */
#define TILE_PACK_A 4096
#if TILE_ROWS == 14
#define TILE_PACK_B 3072
#define TILE_TURNED_COLUMNS 256
#define TILE_TURNED_BLOCK (40 << 10)
#else
#define TILE_PACK_B 1024
#define TILE_TURNED_COLUMNS 64
#define TILE_TURNED_BLOCK (16 << 10)
#endif
#define TILE_PACKING TILE_PACK_A, TILE_PACK_B, TILE_TURNED_COLUMNS, TILE_TURNED_BLOCK

/* What a tile fetches on its way down: nothing; or as much at each step as it reads of B */
enum { FETCH_NOTHING, FETCH_AHEAD };
#define NEAR_ROWS 8

/* From how many steps of k on a tile that was told of nothing fetches those rows of B that it comes to next. The tall tile
   has fewer lines to wait for. */
#if TILE_ROWS == 14
#define FETCH_DEPTH 192
#else
#define FETCH_DEPTH 128
#endif

/* So many rows of an operand are packed at a time */
#define PACK_ROWS 8

/* One tile of m rows and v vectors, of which the last is cut to `tail` where `partial`. All four are constants where
   this is inlined, so that the sums live in registers. Addresses to fetch may lie beyond the operands: no pointers.

   Where a pointer comes from is hidden now and then (FNN_OPAQUE). A compiler that knows how far all rows of a tile are from
   the first holds each distance on its own, more of them than there are registers, and fetches them from vector registers
   by way of the ports that the multiply-adds need. */
FNN_INLINE void tile_body(const int m, const int v, const int partial, const int fetch, vtail tail, ptrdiff_t K,
                          const real *a, ptrdiff_t a_row, ptrdiff_t a_k, const real *b, ptrdiff_t b_k, real *c,
                          ptrdiff_t c_row, const real *init, ptrdiff_t init_row, uintptr_t ahead, uintptr_t ahead_k)
{
    vreal sum[TILE_ROWS][FLAT_VECTORS];

#define CUT(j) (partial && (j) == v - 1)
    FNN_UNROLL for (int i = 0; i < m; i++) {
        FNN_UNROLL for (int j = 0; j < v; j++)
        {
            if (!init)
                sum[i][j] = v_zero();
            else
                sum[i][j] = CUT(j) ? v_load_tail(init + j * VL, tail) : v_load(init + j * VL);
        }
        if (init) {
            init += init_row;
            FNN_OPAQUE(init);
        }
    }

    if (K >= 128) { /* long enough for the next tile's sums, to the right, to arrive meanwhile */
        FNN_UNROLL for (int i = 0; i < m; i++)
            FNN_UNROLL for (int line = 0; line < v * VL * (int)sizeof(real); line += 64)
                FNN_PREFETCH((const char *)(c + i * c_row + v * VL) + line);
    }

    const real *a_rows[(TILE_ROWS + 3) / 4]; /* of A, every fourth: the three that follow are one, two and three strides away */
    FNN_UNROLL for (int i = 0; i < m; i += 4) {
        a_rows[i / 4] = a + i * a_row;
        FNN_OPAQUE(a_rows[i / 4]);
    }

    for (ptrdiff_t k = 0; k < K; k++, b += b_k) {
        vreal b_row[FLAT_VECTORS];
        if (fetch == FETCH_AHEAD) {
            FNN_UNROLL for (int line = 0; line < v * VL * (int)sizeof(real); line += 64)
                FNN_PREFETCH_NEAR((const void *)(ahead + (uintptr_t)line));
            ahead += ahead_k;
        }
        FNN_UNROLL for (int j = 0; j < v; j++)
            b_row[j] = CUT(j) ? v_load_tail(b + j * VL, tail) : v_load(b + j * VL);
        FNN_UNROLL for (int i = 0; i < m; i++) {
            const vreal weight = v_set(a_rows[i / 4][i % 4 * a_row]);
            FNN_UNROLL for (int j = 0; j < v; j++)
                sum[i][j] = v_fma(weight, b_row[j], sum[i][j]);
        }
        FNN_UNROLL for (int i = 0; i < m; i += 4)
            a_rows[i / 4] += a_k;
    }

    FNN_UNROLL for (int i = 0; i < m; i++) {
        FNN_UNROLL for (int j = 0; j < v; j++)
        {
            if (CUT(j))
                v_store_tail(c + j * VL, sum[i][j], tail);
            else
                v_store(c + j * VL, sum[i][j]);
        }
        c += c_row;
        FNN_OPAQUE(c);
    }
#undef CUT
}

#define TILE_PARAMETERS                                                                                                \
    ptrdiff_t m, ptrdiff_t n, ptrdiff_t K, const real *a, ptrdiff_t a_row, ptrdiff_t a_k, const real *b,               \
        ptrdiff_t b_k, real *c, ptrdiff_t c_row, const real *init, ptrdiff_t init_row, uintptr_t ahead, uintptr_t ahead_k
#define TILE(m, v, partial, fetch)                                                                                     \
    tile_body(m, v, partial, fetch, tail, K, a, a_row, a_k, b, b_k, c, c_row, init, init_row, ahead, ahead_k)
#define TILE_TAIL v_tail(n % VL ? (size_t)(n % VL) : (size_t)(VL > 1 ? 1 : 0)) /* unused when n is a multiple of VL */

/* Up to TILE_ROWS rows and two vectors: the workhorse */
static void tile_wide(TILE_PARAMETERS)
{
    const vtail tail = TILE_TAIL;
    const int partial = n % VL != 0, two = n > VL, fetches = ahead || K >= FETCH_DEPTH;
    if (!ahead) {
        ahead_k = (uintptr_t)b_k * sizeof(real);
        ahead = (uintptr_t)b + NEAR_ROWS * ahead_k;
    }
    switch (m) {
#define CASE(rows)                                                                                                     \
    case rows:                                                                                                         \
        if (two && !partial && fetches)                                                                                \
            TILE(rows, 2, 0, FETCH_AHEAD);                                                                             \
        else if (two && !partial)                                                                                      \
            TILE(rows, 2, 0, FETCH_NOTHING);                                                                           \
        else if (two)                                                                                                  \
            TILE(rows, 2, 1, FETCH_NOTHING);                                                                           \
        else if (!partial)                                                                                             \
            TILE(rows, 1, 0, FETCH_NOTHING);                                                                           \
        else                                                                                                           \
            TILE(rows, 1, 1, FETCH_NOTHING);                                                                                       \
        break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) ON_ROWS_ABOVE_6(CASE)
#undef CASE
    }
}

/* FNN_FLAT_DEPTH rows of B along C. Each load goes on along a row of its own, which the processor sees and reads ahead of,
   where a tile's loads hop from row to row; of the rows below it is told the beginnings. */
static void along_rows(ptrdiff_t n, const real *a, ptrdiff_t a_k, const real *b, ptrdiff_t b_k, real *c,
                       const real *init)
{
    const uintptr_t below = (uintptr_t)b + (uintptr_t)(FNN_FLAT_DEPTH * b_k) * sizeof(real);
    vreal weight[FNN_FLAT_DEPTH];
    FNN_UNROLL for (int k = 0; k < FNN_FLAT_DEPTH; k++) {
        weight[k] = v_set(a[k * a_k]);
        FNN_PREFETCH_FAR((const void *)(below + (uintptr_t)(k * b_k) * sizeof(real)));
    }
    ptrdiff_t j = 0;
    for (; j + VL <= n; j += VL) {
        vreal sum = init ? v_load(init + j) : v_zero();
        FNN_UNROLL for (int k = 0; k < FNN_FLAT_DEPTH; k++)
            sum = v_fma(weight[k], v_load(b + k * b_k + j), sum);
        v_store(c + j, sum);
    }
    if (j < n) {
        const vtail tail = v_tail((size_t)(n - j));
        vreal sum = init ? v_load_tail(init + j, tail) : v_zero();
        FNN_UNROLL for (int k = 0; k < FNN_FLAT_DEPTH; k++)
            sum = v_fma(weight[k], v_load_tail(b + k * b_k + j, tail), sum);
        v_store_tail(c + j, sum, tail);
    }
}

/* One row and up to FLAT_VECTORS vectors: enough sums under way to hide the latency of an addition. A product as deep as
   FNN_FLAT_DEPTH is taken for a part of a deeper one, whose B is too large for the caches, and may have any number of
   vectors. */
static void tile_flat(TILE_PARAMETERS)
{
    const vtail tail = TILE_TAIL;
    const int partial = n % VL != 0;
    (void)m;
    if (K == FNN_FLAT_DEPTH && (!partial || n > FLAT_VECTORS * VL)) {
        along_rows(n, a, a_k, b, b_k, c, init);
        return;
    }
    switch ((n + VL - 1) / VL) {
#define CASE(v)                                                                                                        \
    case v:                                                                                                            \
        if (partial)                                                                                                   \
            TILE(1, v, 1, FETCH_NOTHING);                                                                              \
        else                                                                                                           \
            TILE(1, v, 0, FETCH_NOTHING);                                                                              \
        break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#undef CASE
    }
}

/* Rows of B, whose elements lie side by side, into panels, a few rows at a time: panels are often a power of two apart,
   and each of them gets some lines in a run before the next one wants its place in the cache */
static void pack_rows(ptrdiff_t K, ptrdiff_t n, const real *b, ptrdiff_t b_k, ptrdiff_t step, ptrdiff_t width, real *panel)
{
    for (ptrdiff_t k0 = 0; k0 < K; k0 += PACK_ROWS) {
        const ptrdiff_t k1 = k0 + PACK_ROWS < K ? k0 + PACK_ROWS : K;
        real *out = panel;
        for (ptrdiff_t j = 0; j < n; j += step, out += K * width) {
            if (j + width <= n) { /* with the first elements of the next panel, where a step is not the whole width */
                for (ptrdiff_t k = k0; k < k1; k++)
                    for (ptrdiff_t v = 0; v < width; v += VL)
                        v_store(out + k * width + v, v_load(b + k * b_k + j + v));
            } else {
                const ptrdiff_t count = n - j < step ? n - j : step;
                for (ptrdiff_t k = k0; k < k1; k++)
                    for (ptrdiff_t v = 0; v < count; v += VL)
                        v_store(out + k * width + v, v_load_n(b + k * b_k + j + v, (size_t)(count - v)));
            }
        }
    }
}

/* Columns of B, whose elements lie side by side (the product reads B transposed), into panels, VL columns at a time.
   Where a panel has fewer its last column stands in for those that are not there: nobody looks at what comes of it. */
static void pack_columns(ptrdiff_t K, ptrdiff_t n, const real *b, ptrdiff_t b_column, ptrdiff_t step, ptrdiff_t width,
                         real *panel)
{
    for (ptrdiff_t j = 0; j < n; j += step, panel += K * width) {
        const ptrdiff_t count = n - j < step ? n - j : step;
        for (ptrdiff_t v = 0; v < count; v += VL) {
            ptrdiff_t column[VL], k = 0;
            for (ptrdiff_t i = 0; i < VL; i++)
                column[i] = (j + (v + i < count ? v + i : count - 1)) * b_column;
            for (; k + TRANSPOSE_COLUMNS <= K; k += TRANSPOSE_COLUMNS)
                v_transpose(b + k, column, panel + k * width + v, width);
            for (; k < K; k++)
                for (ptrdiff_t i = 0; i < VL; i++)
                    panel[k * width + v + i] = b[column[i] + k];
        }
    }
}

static void pack(ptrdiff_t K, ptrdiff_t n, const real *b, ptrdiff_t b_k, ptrdiff_t b_column, ptrdiff_t step,
                 ptrdiff_t width, real *panel)
{
    if (b_column == 1)
        pack_rows(K, n, b, b_k, step, width, panel);
    else if (b_k == 1)
        pack_columns(K, n, b, b_column, step, width, panel);
    else
        for (ptrdiff_t j = 0; j < n; j++)
            for (ptrdiff_t k = 0; k < K; k++)
                panel[j / step * K * width + k * width + j % step] = b[k * b_k + j * b_column];
}

/* What the machine can do at best: sums that wait for nothing but themselves, enough of them to hide their latency */
static double fma_rounds(ptrdiff_t rounds, real *result)
{
    enum { SUMS = TILE_ROWS == 14 ? 24 : 12 };
    vreal sum[SUMS], x = v_set(result[0]), y = v_set(result[1]);
    FNN_UNROLL for (int i = 0; i < SUMS; i++)
        sum[i] = v_set((real)i);
    for (ptrdiff_t r = 0; r < rounds; r++)
        FNN_UNROLL for (int i = 0; i < SUMS; i++)
            sum[i] = v_fma(sum[i], x, y);
    for (int i = 1; i < SUMS; i++)
        sum[0] = v_add(sum[0], sum[i]);
    v_store(result, sum[0]);
    return 2.0 * SUMS * VL * (double)rounds;
}

#define FNN_PRODUCT_ENTRIES                                                                                            \
    .tile = {{TILE_ROWS, 2 * VL, VL, TILE_PACKING, tile_wide},                                                         \
             {1, FLAT_VECTORS * VL, VL, TILE_PACKING, tile_flat}},                                                     \
    .pack = pack, .fma_rounds = fma_rounds,
