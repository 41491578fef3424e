"""The matrix product: blocks for the caches, tiles for the registers, columns or rows for the threads.

Every element of C is one chain of fused multiply-adds over k, ascending, whichever way is taken, so that neither the
blocking nor the number of threads shows in the bits. There are three ways:

row     C has one row: B is read once, as it lies, by a tile of one row and many columns.
narrow  C has so few columns that a vector of them would be mostly empty: C^T = B^T A^T is computed, vectors along the
        rows of C, and turned on the way out.
blocks  everything else. For each block of columns and of k: pack B where that pays, then for each block of rows: pack A
        where that pays, then tile by tile, along the rows of C.

Threads have columns or rows of C each, or a stage of its chains: those rows of B that lie in its own core's cache.
"""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.string cimport memset

from fastnn._core.activations cimport FNN_ACTIVATION_linear, fnn_activation
from fastnn._core.checks cimport expect_vector
from fastnn._core.kernels cimport await_done, chosen_table, core_cache, fnn, get_threads, parallel, real, scratch, tell

cnp.import_array()
fnn = chosen_table()

cdef enum:
    B_ROOM = 17 << 18         # bytes of scratch for a packed block of B; the rest of the scratch is A's
    BLOCK_ROWS = 144          # of A and C, at most, between two passes over a block of B
    PACK_B_ROWS = 24          # so many rows of C must share a packed B for the packing to pay,
    PACK_ROUGH_ROWS = 112     # so many if it only mends that vectors straddle the lines of the cache,
    PACK_A_COLUMNS = 96       # and so many columns a packed A
    PACK_TURNED_STRIDE = 512  # of an A read transposed: from there on its lines are too far apart to be seen coming
    ROW_BYTES = 128 << 10     # of B up to which one row of C goes down all of it at once
    FAR_BYTES = 32 << 10      # of B, more than lie in the first-level cache of the core that wrote them
    LEAST_WORK = 1 << 20      # multiply-adds that are worth a second thread: some ten microseconds
    LEAST_BYTES = 384 << 10   # of B that are, where C has one row and reading B is all that takes time
    MOST_PARTS = 2048         # of a product
    MOST_LANES = 64           # of a vector
    HOME_BYTES = 512 << 10    # of B up to which its rows, and what else an update reads, stay in the cores' own caches
    STAGE_ROWS = 128          # of B that are worth a stage of their own
    BLOCKS_A_STAGE = 4        # at least, for each stage before the last: while the first is done, the others wait
    SMALL_BLOCKS = 8          # where there are fewer tiles, of as many rows at least: the next stage begins sooner
    MOST_BLOCKS = 16
    MOST_STAGES = 5
    PARTS_A_THREAD = 2        # so that a thread that loses its core holds up a part of the work and not its share

# A block is so many bytes of a row of A deep, and its part of B takes so many at most: what a core's own cache holds
# where that is a good deal. Otherwise B comes from further away in any case, and there may be 1024 columns of as many
# floats, so that A is packed, and C read and written again, as seldom as may be.
cdef bint roomy = core_cache() >= 2 << 20
cdef ptrdiff_t depth_bytes = 1600 if roomy else 4096
cdef ptrdiff_t b_bytes = 1536 << 10 if roomy else B_ROOM


cdef inline ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    return a if a < b else b


cdef inline ptrdiff_t pieces(ptrdiff_t whole, ptrdiff_t most) noexcept nogil:
    """How many pieces of at most `most` make up the whole. Small products feel each division: none where it is one."""
    return (whole + most - 1) // most if whole > most else whole > 0


cdef inline ptrdiff_t evened(ptrdiff_t whole, ptrdiff_t most) noexcept nogil:
    """The size of the pieces where they are as few as that, and as equal as can be."""
    return pieces(whole, pieces(whole, most))


cdef inline ptrdiff_t rounded(ptrdiff_t n, ptrdiff_t power_of_two) noexcept nogil:
    """n up to the next multiple."""
    return (n + power_of_two - 1) & -power_of_two


cdef inline ptrdiff_t start(ptrdiff_t whole, ptrdiff_t parts, ptrdiff_t index) noexcept nogil:
    """Where part `index` begins of a whole that is cut into parts as equal as can be."""
    return whole // parts * index + least(whole % parts, index)


cdef inline ptrdiff_t stride_bytes(ptrdiff_t one, ptrdiff_t other, size_t size) noexcept nogil:
    """The larger of an operand's two strides: from one of its contiguous rows to the next."""
    return (one if one > other else other) * <ptrdiff_t>size


cdef void activate_rows(const Product *p, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t j0, ptrdiff_t j1,
                        const real *c) noexcept nogil:
    """Y[i0:i1, j0:j1] = f(C[i0:i1, j0:j1]), while it is in the cache."""
    cdef real *y = <real *>p.y
    cdef ptrdiff_t i
    if p.activation == FNN_ACTIVATION_linear and y == c:
        return
    if j1 - j0 == p.c_row:
        fnn_activation(p.activation, (i1 - i0) * p.c_row, c + i0 * p.c_row, y + i0 * p.c_row, p.parameters)
        return
    for i in range(i0, i1):
        fnn_activation(p.activation, j1 - j0, c + i * p.c_row + j0, y + i * p.c_row + j0, p.parameters)


cdef inline const real *first_link(const Product *p, ptrdiff_t j, bint begun, real *c, ptrdiff_t *row) noexcept nogil:
    """What the chains of a tile start from whose first column is j and which begins at c: what C holds, the bias or
    nothing; and its stride."""
    if begun or p.accumulate:
        row[0] = p.c_row
        return c
    row[0] = 0
    return <const real *>p.bias + j if p.bias != NULL else NULL


# ------------------------------------------------------------------------------------------------------------- one row

cdef void one_row(const Product *p, ptrdiff_t j0, ptrdiff_t j1, ptrdiff_t k0, ptrdiff_t k1,
                  const real *tag) noexcept nogil:
    """C[0, j0:j1] over k0..k1 where the rows of B lie in one piece each."""
    cdef fnn_tile_numbers shape = fnn_tile_shape(FNN_TILE_FLAT, tag)
    cdef ptrdiff_t depth = p.K if p.K * p.N * <ptrdiff_t>sizeof(real) <= ROW_BYTES else FNN_FLAT_DEPTH
    cdef real *c = <real *>p.c
    cdef const real *init
    cdef ptrdiff_t j, k, q, t, rows, columns, init_row
    for q in range(pieces(k1 - k0, depth) if k1 > k0 else 1):
        k = k0 + q * depth
        rows = least(depth, k1 - k)
        columns = j1 - j0 if rows == FNN_FLAT_DEPTH else shape.columns
        for t in range(pieces(j1 - j0, columns)):
            j = j0 + t * columns
            init = first_link(p, j, k > 0, c + j, &init_row)
            fnn_tile(FNN_TILE_FLAT, 1, least(columns, j1 - j), rows, <const real *>p.a + k * p.a_k, 0, p.a_k,
                     <const real *>p.b + k * p.b_k + j, p.b_k, c + j, 0, init, init_row, 0, 0)
    if k1 == p.K:
        activate_rows(p, 0, 1, j0, j1, c)


# ------------------------------------------------------------------------------------------------------ narrow outputs

cdef enum:
    NARROW = 32               # columns, at most


cdef bint is_narrow(const Product *p, const fnn_tile_numbers *shape, size_t size) noexcept nogil:
    """Whether vectors along the columns would be emptier than packing A for vectors along the rows costs."""
    cdef ptrdiff_t lanes = rounded(p.N, shape.vector)
    cdef bint in_place = p.a_row == 1      # A^T can be read as it lies
    if p.accumulate or p.N > NARROW or p.M < shape.vector or p.K * shape.columns * <ptrdiff_t>size > B_ROOM:
        return False
    return lanes * (9 if in_place else 7) >= p.N * 10


cdef int narrow(const Product *p, ptrdiff_t i0, ptrdiff_t i1, const real *tag) noexcept nogil:
    """C[i0:i1, :] by way of C^T, a panel of rows of C at a time."""
    cdef fnn_tile_numbers shape = fnn_tile_shape(FNN_TILE_WIDE, tag)
    cdef real turned[NARROW * 64]
    cdef real *panel = NULL
    cdef real *c = <real *>p.c
    cdef const real *at
    cdef ptrdiff_t count = pieces(p.N, shape.rows), width = shape.columns
    cdef ptrdiff_t at_k, i, i_end, j, j_end, r, q, t
    if p.a_row != 1:
        panel = <real *>scratch()
        if panel == NULL:
            return -1
    for q in range(pieces(i1 - i0, width)):
        i = i0 + q * width
        i_end = least(i + width, i1)
        if panel == NULL:
            at, at_k = <const real *>p.a + i, p.a_k
        else:
            fnn_pack(p.K, i_end - i, <const real *>p.a + i * p.a_row, p.a_k, p.a_row, width, width, panel)
            at, at_k = panel, width
        for j in range(p.N):
            for r in range(i_end - i):
                turned[j * width + r] = (<const real *>p.bias)[j] if p.bias != NULL else 0
        for t in range(count):
            j, j_end = start(p.N, count, t), start(p.N, count, t + 1)
            fnn_tile(FNN_TILE_WIDE, j_end - j, i_end - i, p.K, <const real *>p.b + j * p.b_column, p.b_column, p.b_k,
                     at, at_k, turned + j * width, width, turned + j * width, width, 0, 0)
        for r in range(i_end - i):
            for j in range(p.N):
                c[(i + r) * p.c_row + j] = turned[j * width + r]
    activate_rows(p, i0, i1, 0, p.N, c)
    return 0


# -------------------------------------------------------------------------------------------------------------- blocks

cdef void tile_block(const Product *p, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t j0, ptrdiff_t j1, ptrdiff_t k0,
                     ptrdiff_t k1, const fnn_tile_numbers *shape, real *a_panels, ptrdiff_t a_width,
                     const real *b_panels, bint first) noexcept nogil:
    """C[i0:i1, j0:j1] over k0..k1, tile by tile: a row of tiles reads its rows of A from a near cache.
    `first`: B was not read yet, so that the first row of tiles fetches what the next tile will read of it."""
    cdef ptrdiff_t depth = k1 - k0, width = shape.columns, rows = evened(i1 - i0, shape.rows)
    cdef bint begun = k0 > 0
    cdef const real *a = <const real *>p.a + i0 * p.a_row + k0 * p.a_k
    cdef const real *b
    cdef const real *init
    cdef real *c
    cdef ptrdiff_t a_row = p.a_row, a_k = p.a_k, a_step = rows * a_row
    cdef ptrdiff_t b_k = p.b_k, b_step = width, c_row = p.c_row, init_row, i, j, m
    cdef size_t ahead
    if a_panels != NULL:
        fnn_pack(depth, i1 - i0, a, a_k, a_row, rows, a_width, a_panels)
        a, a_row, a_k, a_step = a_panels, 1, a_width, a_width * depth
    if b_panels != NULL:
        b_k, b_step = width, width * depth
    i = i0
    while i < i1:
        b = b_panels if b_panels != NULL else <const real *>p.b + k0 * b_k + j0
        c = (<real *>p.c) + i * c_row + j0
        init = first_link(p, j0, begun, c, &init_row)
        m = least(rows, i1 - i)
        j = j0
        while j < j1:
            ahead = <size_t>b + width * sizeof(real) if first and j + width < j1 else 0
            fnn_tile(FNN_TILE_WIDE, m, least(width, j1 - j), depth, a, a_row, a_k, b, b_k, c, c_row, init, init_row,
                     ahead, b_k * sizeof(real))
            j, b, c = j + width, b + b_step, c + width
            if init != NULL:
                init += width
        i, a, first = i + rows, a + a_step, False


cdef bint packs_a(const Product *p, ptrdiff_t columns, ptrdiff_t depth, const fnn_tile_numbers *shape,
                  ptrdiff_t size) noexcept nogil:
    """Whether so many columns of C are computed faster from an A that is packed for a block so deep."""
    cdef ptrdiff_t stride = stride_bytes(p.a_row, p.a_k, size)
    if columns >= PACK_A_COLUMNS and stride >= shape.pack_a:
        return True
    return (p.a_row == 1 and stride >= PACK_TURNED_STRIDE and columns >= shape.turned_columns
            and columns * depth >= shape.turned_block)


cdef bint packs_b(const Product *p, ptrdiff_t rows, const fnn_tile_numbers *shape, ptrdiff_t size) noexcept nogil:
    """Whether so many rows of C are computed faster from a packed B, or only from one: tiles want columns side by
    side."""
    cdef ptrdiff_t stride = stride_bytes(p.b_k, p.b_column, size)
    cdef bint rough = (<ptrdiff_t>p.b | stride) & (shape.vector * size - 1) != 0
    return p.b_column != 1 or (rows >= PACK_B_ROWS and stride >= shape.pack_b) or (rough and rows >= PACK_ROUGH_ROWS)


cdef int blocks(const Product *p, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t j0, ptrdiff_t j1, ptrdiff_t k0, ptrdiff_t k1,
                const real *tag) noexcept nogil:
    """C[i0:i1, j0:j1] over k0..k1, block by block, by one thread."""
    cdef fnn_tile_numbers shape = fnn_tile_shape(FNN_TILE_WIDE, tag)
    cdef ptrdiff_t size = sizeof(real), width = shape.columns
    cdef ptrdiff_t k_count = pieces(k1 - k0, depth_bytes // size) if k1 > k0 else 1
    cdef ptrdiff_t depth = pieces(k1 - k0, k_count)
    cdef ptrdiff_t columns = rounded(j1 - j0, width)    # that there is room for in a packed block of B
    cdef ptrdiff_t rows = BLOCK_ROWS, a_width = rounded(shape.rows, shape.vector)
    cdef bint with_a = packs_a(p, j1 - j0, depth, &shape, size), with_b = packs_b(p, i1 - i0, &shape, size)
    cdef bint far = not with_b and (k1 - k0) * (j1 - j0) * size > FAR_BYTES
    cdef real *room = NULL
    cdef real *b_panels = NULL
    cdef real *a_panels = NULL
    cdef ptrdiff_t i, i_end, j, j_end, k, k_end, q, s, t
    if i1 - i0 > rows:  # whole tiles
        rows = rows // shape.rows * shape.rows
    if columns * (depth + 1) * size > b_bytes:
        columns = rounded(evened(j1 - j0, b_bytes // size // (depth + 1) // width * width), width)
    if with_a or with_b:
        room = <real *>scratch()
        if room == NULL:
            return -1
        b_panels = room if with_b else NULL
        a_panels = room + B_ROOM // size if with_a else NULL
    for q in range(pieces(j1 - j0, columns)):
        j, j_end = j0 + q * columns, least(j0 + (q + 1) * columns, j1)
        k_end = k0
        for t in range(k_count):
            k = k_end
            k_end = k0 + start(k1 - k0, k_count, t + 1) if t + 1 < k_count else k1
            if with_b:
                fnn_pack(k_end - k, j_end - j, <const real *>p.b + k * p.b_k + j * p.b_column, p.b_k, p.b_column, width,
                         width, b_panels)
            for s in range(pieces(i1 - i0, rows)):
                i, i_end = i0 + s * rows, least(i0 + (s + 1) * rows, i1)
                tile_block(p, i, i_end, j, j_end, k, k_end, &shape, a_panels, a_width, b_panels, s == 0 and far)
                if k_end == p.K:
                    activate_rows(p, i, i_end, j, j_end, <real *>p.c)
    return 0


# ------------------------------------------------------------------------------------------------- ways and threads

cdef enum Way:
    ROW
    ROW_IN_STAGES
    NARROW_ROWS
    BLOCKS_OF_ROWS
    BLOCKS_OF_COLUMNS
    BLOCKS_IN_STAGES


cdef struct Split:
    const Product *product
    Way way
    ptrdiff_t unit             # rows or columns: a part begins at a multiple of it
    ptrdiff_t units
    ptrdiff_t stages           # that each unit goes through, where it does
    ptrdiff_t parts
    int done[MOST_STAGES * MOST_BLOCKS]   # the parts that are, in stages
    signed char status[MOST_PARTS]   # of each part: -1 where it found no memory


cdef int run_stage(Split *split, ptrdiff_t stage, ptrdiff_t index, const real *tag) noexcept nogil:
    """One stage of the chains of a block of rows, or of columns where there is one row: they go on from where the stage
    before left them."""
    cdef const Product *p = split.product
    cdef int *done = &split.done[stage * split.units + index]
    cdef ptrdiff_t i = index * split.unit
    cdef ptrdiff_t k0 = start(p.K, split.stages, stage), k1 = start(p.K, split.stages, stage + 1)
    cdef int status = 0
    if stage > 0:
        await_done(done - split.units)
    if split.way == ROW_IN_STAGES:
        one_row(p, i, least(i + split.unit, p.N), k0, k1, tag)
    else:
        status = blocks(p, i, least(i + split.unit, p.M), 0, p.N, k0, k1, tag)
    tell(done)
    return status


cdef void run_part(Split *split, int64_t index, const real *tag) noexcept nogil:
    cdef const Product *p = split.product
    cdef bint rows = split.way == BLOCKS_OF_ROWS or split.way == NARROW_ROWS
    cdef ptrdiff_t begin = start(split.units, split.parts, index) * split.unit
    cdef ptrdiff_t end = least(start(split.units, split.parts, index + 1) * split.unit, p.M if rows else p.N)
    cdef ptrdiff_t i
    cdef int status = 0
    if split.way == ROW:
        one_row(p, begin, end, 0, p.K, tag)
    elif split.way == NARROW_ROWS:
        status = narrow(p, begin, end, tag)
    elif split.way == BLOCKS_OF_ROWS:
        status = blocks(p, begin, end, 0, p.N, 0, p.K, tag)
    elif split.way == BLOCKS_OF_COLUMNS:
        status = blocks(p, 0, p.M, begin, end, 0, p.K, tag)
    else:  # a whole stage: who helped out would have other rows of B in his cache
        for i in range(split.units):
            status |= run_stage(split, index, i, tag)
    split.status[index] = status


cdef void part_float(void *context, int64_t index, int worker) noexcept nogil:
    run_part(<Split *>context, index, <const float *>NULL)


cdef void part_double(void *context, int64_t index, int worker) noexcept nogil:
    run_part(<Split *>context, index, <const double *>NULL)


cdef ptrdiff_t blocks_in_stages(const Product *p, int threads, const fnn_tile_numbers *shape,
                                ptrdiff_t size) noexcept nogil:
    """How many blocks of rows go through stages, one for each thread; 0 where columns or rows are better."""
    cdef ptrdiff_t count = evened(pieces(p.M, shape.rows), MOST_BLOCKS)
    if (
        not p.rows_at_home or threads > MOST_STAGES or count < BLOCKS_A_STAGE * (threads - 1) or p.N < p.M
        or p.K < STAGE_ROWS * threads or p.K * p.N * size > HOME_BYTES or packs_b(p, p.M, shape, size)
    ):
        return 0
    return max(count, least(SMALL_BLOCKS, p.M // SMALL_BLOCKS))


cdef void cut_row(Split *split, int threads, ptrdiff_t most, const real *tag) noexcept nogil:
    """The columns of one row. Each part is memory read in order: no more of them than threads.

    Cut by columns a thread reads the same part of every row of B, which falls into a part of the cache's sets where the
    rows are a power of two apart; in stages, whole rows."""
    cdef const Product *p = split.product
    cdef fnn_tile_numbers flat = fnn_tile_shape(FNN_TILE_FLAT, tag)
    cdef ptrdiff_t count = evened(pieces(p.N, flat.columns), MOST_BLOCKS)
    if p.rows_at_home and threads <= MOST_STAGES and count >= 2 * (threads - 1) and p.K >= STAGE_ROWS * threads:
        split.way, split.unit = ROW_IN_STAGES, rounded(pieces(p.N, count), 2 * flat.vector)
        split.stages = split.parts = threads
        memset(split.done, 0, sizeof(split.done))
    else:
        split.way, split.unit = ROW, 2 * flat.vector
        split.parts = least(pieces(p.N, split.unit), least(most, threads))
    split.units = pieces(p.N, split.unit)


cdef void cut(Split *split, int threads, ptrdiff_t most, bint thin, const fnn_tile_numbers *shape,
              const real *tag) noexcept nogil:
    """Any other product."""
    cdef const Product *p = split.product
    cdef ptrdiff_t rows = pieces(p.M, shape.rows), columns = pieces(p.N, shape.columns)
    cdef ptrdiff_t staged = 0 if thin else blocks_in_stages(p, threads, shape, sizeof(real))
    if staged:
        split.way, split.unit = BLOCKS_IN_STAGES, pieces(p.M, staged)
        split.units = pieces(p.M, split.unit)
        split.stages = split.parts = threads
        memset(split.done, 0, sizeof(split.done))
        return
    if thin:
        split.way, split.unit, split.units = NARROW_ROWS, shape.columns, pieces(p.M, shape.columns)
    elif rows >= 4 * threads and (p.M > p.N or p.M == p.N >= 2 * p.K):
        split.way, split.unit, split.units = BLOCKS_OF_ROWS, shape.rows, rows
    elif columns >= rows or columns >= 4 * threads or (
            p.N > p.M and pieces(columns, threads) * rows <= pieces(rows, threads) * columns):
        split.way, split.unit, split.units = BLOCKS_OF_COLUMNS, shape.columns, columns
    else:
        split.way, split.unit, split.units = BLOCKS_OF_ROWS, shape.rows, rows
    split.parts = least(split.units, least(most, least(MOST_PARTS, PARTS_A_THREAD * threads)))


cdef int multiply(const Product *p, int threads, const real *tag) noexcept nogil:
    cdef fnn_tile_numbers shape = fnn_tile_shape(FNN_TILE_WIDE, tag)
    cdef bint one = p.M == 1 and p.b_column == 1
    cdef bint thin = not one and is_narrow(p, &shape, sizeof(real))
    cdef ptrdiff_t most = 1, i
    cdef int status = 0
    cdef Split split
    if p.M == 0 or p.N == 0:
        return 0
    if threads > 1:
        most = p.K * p.N * <ptrdiff_t>sizeof(real) // LEAST_BYTES if one else p.M * p.N * p.K // LEAST_WORK
    if most <= 1:
        if one:
            one_row(p, 0, p.N, 0, p.K, tag)
            return 0
        return narrow(p, 0, p.M, tag) if thin else blocks(p, 0, p.M, 0, p.N, 0, p.K, tag)
    split.product = p
    if one:
        cut_row(&split, threads, most, tag)
    else:
        cut(&split, threads, most, thin, &shape, tag)
    if real is float:
        parallel(part_float, &split, split.parts, threads)
    else:
        parallel(part_double, &split, split.parts, threads)
    for i in range(split.parts):
        status |= split.status[i]
    return status


# ------------------------------------------------------------------------------------------------------------ boundary

cdef int read(Product *p, cnp.ndarray a, cnp.ndarray b, cnp.ndarray out) except -1:
    """The pointers, shapes and strides of a product of 2-d arrays of one precision."""
    cdef ptrdiff_t size = out.itemsize
    cdef cnp.ndarray array
    if a.ndim != 2 or b.ndim != 2 or out.ndim != 2:
        raise ValueError(f"expected three arrays of two axes, got {a.ndim}, {b.ndim} and {out.ndim}")
    p.M, p.N, p.K = out.shape[0], out.shape[1], a.shape[1]
    if a.shape[0] != p.M or b.shape[1] != p.N or b.shape[0] != p.K:
        raise ValueError(f"({a.shape[0]}, {a.shape[1]}) by ({b.shape[0]}, {b.shape[1]}) is not ({p.M}, {p.N})")
    if a.descr.type_num != out.descr.type_num or b.descr.type_num != out.descr.type_num:
        raise TypeError(f"a is {a.dtype}, b is {b.dtype} and out is {out.dtype}; all three must be the same")
    if not cnp.PyArray_ISCARRAY(out):
        raise ValueError("out must be C-contiguous, writable, aligned and of native byte order")
    for array in (a, b):
        if not cnp.PyArray_ISBEHAVED_RO(array) or array.strides[0] % size or array.strides[1] % size:
            raise ValueError("a and b must be aligned, of native byte order, and strided by whole elements")
    p.a, p.a_row, p.a_k = cnp.PyArray_DATA(a), a.strides[0] // size, a.strides[1] // size
    p.b, p.b_k, p.b_column = cnp.PyArray_DATA(b), b.strides[0] // size, b.strides[1] // size
    p.c, p.c_row = cnp.PyArray_DATA(out), p.N
    p.bias, p.accumulate, p.activation, p.parameters, p.y = NULL, False, FNN_ACTIVATION_linear, NULL, p.c
    p.rows_at_home = False
    return 0


def matmul(cnp.ndarray a not None, cnp.ndarray b not None, cnp.ndarray out not None, bint accumulate=False,
           bint rows_at_home=False):
    """out = a @ b, or out += a @ b: float32 or float64, a and b of any strides that are whole elements."""
    cdef Product p
    cdef int failed
    read(&p, a, b, out)
    p.accumulate, p.rows_at_home = accumulate, rows_at_home
    if out.descr.type_num == cnp.NPY_FLOAT32:
        with nogil:
            failed = multiply(&p, get_threads(), <const float *>NULL)
    elif out.descr.type_num == cnp.NPY_FLOAT64:
        with nogil:
            failed = multiply(&p, get_threads(), <const double *>NULL)
    else:
        raise TypeError(f"expected float32 or float64, got {out.dtype}")
    if failed:
        raise MemoryError("no memory for the scratch of a matrix product")
    return out


def fma_peak(real[::1] room not None, ptrdiff_t rounds):
    """Run `rounds` of multiply-adds in registers on one thread, and return how many operations they were."""
    if room.shape[0] < MOST_LANES:
        raise ValueError(f"room: expected {MOST_LANES} elements or more, got {room.shape[0]}")
    cdef double operations
    expect_vector("room", room, room.shape[0])
    room[:] = 0
    room[0], room[1] = 0.999, 0.001
    with nogil:
        operations = fnn_fma_rounds(rounds, &room[0])
    return operations
