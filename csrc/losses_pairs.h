/* losses_pairs.h: the losses of two or three embeddings or scores at once. Part of losses.h. */

/* |a - b + shift|^2, the differences in real, their squares in double */
static double row_distance(ptrdiff_t d, const real *a, const real *b, real shift)
{
    real t[LOSS_BLOCK];
    sum16 s = sum16_zero();
    IN_STEPS(i, n, LOSS_BLOCK, d)
    {
        for (ptrdiff_t j = 0; j < n; j++)
            t[j] = (a[i + j] - b[i + j]) + shift;
        for (ptrdiff_t j = 0; j < n; j += BLOCK) {
            const block u = block_load(t + j, n - j, 0);
            block_add_product(&s, u, u);
        }
    }
    return sum16_total(&s);
}

/* y_pred[rows, 2, d]: the loss of the distance D = |u - v|, then dD/du = (u - v) / D = -dD/dv, and 0 at D = 0 */
static void contrastive_loss(LOSS_ARGUMENTS)
{
    const real *const y = y_true;
    real distance[LOSS_ROWS], value[LOSS_ROWS], slope[LOSS_ROWS];
    IN_STEPS(r, n, LOSS_ROWS, rows)
    {
        for (ptrdiff_t i = 0; i < n; i++) {
            const real *const u = y_pred + (r + i) * 2 * d;
            distance[i] = (real)sqrt(row_distance(d, u, u + d, 0));
        }
        contrastive_distance_terms(n, y + r, distance, value, slope, parameters);
        for (ptrdiff_t i = 0; i < n; i++) {
            const ptrdiff_t at = (r + i) * 2 * d;
            if (values)
                values[r + i] = (double)value[i];
            if (!dy)
                continue;
            const double factor = (scale ? scale[r + i] : common) * (double)slope[i];
            const real f = distance[i] == 0 ? 0 : (real)(factor / (double)distance[i]);
            for (ptrdiff_t k = 0; k < d; k++) {
                const real towards = f * (y_pred[at + k] - y_pred[at + d + k]);
                dy[at + k] = towards;
                dy[at + d + k] = -towards;
            }
        }
    }
}

/* The shift that PyTorch adds to every coordinate of a difference whose length it takes */
#define LENGTH_SHIFT 1e-6

/* y_pred[rows, 3, d]: u = anchor - positive, v = anchor - negative; d distance / d u is 2 u, or u / |u| */
static void triplet_loss(LOSS_ARGUMENTS)
{
    (void)y_true;
    const double margin = parameters[0];
    const int squared = parameters[1] != 0;
    const real shift = squared ? 0 : (real)LENGTH_SHIFT;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *const a = y_pred + r * 3 * d, *const p = a + d, *const n = p + d;
        double near = row_distance(d, a, p, shift), far = row_distance(d, a, n, shift);
        if (!squared) {
            near = sqrt(near);
            far = sqrt(far);
        }
        const double value = above_zero(near - far + margin);
        if (values)
            values[r] = value;
        if (!dy)
            continue;
        real *const da = dy + r * 3 * d, *const dp = da + d, *const dn = dp + d;
        if (value == 0) {
            memset(da, 0, 3 * (size_t)d * sizeof(real));
            continue;
        }
        const double factor = scale ? scale[r] : common;
        const real fu = (real)(squared ? 2 * factor : near == 0 ? 0 : factor / near);
        const real fv = (real)(squared ? 2 * factor : far == 0 ? 0 : factor / far);
        for (ptrdiff_t k = 0; k < d; k++) {
            const real u = fu * (a[k] - p[k] + shift), v = fv * (a[k] - n[k] + shift);
            da[k] = u - v;
            dp[k] = -u;
            dn[k] = v;
        }
    }
}

/* y_pred[rows, 2, d = 1] */
static void margin_ranking_loss(LOSS_ARGUMENTS)
{
    const real *const y = y_true;
    (void)d;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const double want = (double)y[r];
        const double value = above_zero(parameters[0] - want * ((double)y_pred[2 * r] - (double)y_pred[2 * r + 1]));
        if (values)
            values[r] = value;
        if (!dy)
            continue;
        const double factor = value == 0 ? 0 : scale ? scale[r] : common;
        dy[2 * r] = (real)(-want * factor);
        dy[2 * r + 1] = (real)(want * factor);
    }
}

/* ------------------------------------------------------------------------------------ triplets found in a batch */

/* The negative of `anchor` that is nearest, of those farther than `from`; -1 if there is none */
static ptrdiff_t nearest_negative(ptrdiff_t anchor, ptrdiff_t B, const int32_t *labels, const double *distance,
                                  double from)
{
    ptrdiff_t best = -1;
    for (ptrdiff_t j = 0; j < B; j++)
        if (labels[j] != labels[anchor] && distance[j] > from && (best < 0 || distance[j] < distance[best]))
            best = j;
    return best;
}
static ptrdiff_t farthest(ptrdiff_t anchor, ptrdiff_t B, const int32_t *labels, const double *distance, int positive)
{
    ptrdiff_t best = -1;
    for (ptrdiff_t j = 0; j < B; j++)
        if ((labels[j] == labels[anchor]) == positive && j != anchor && (best < 0 || distance[j] > distance[best]))
            best = j;
    return best;
}

static int mine(ptrdiff_t anchor, ptrdiff_t B, ptrdiff_t d, const real *x, const int32_t *labels, double *value,
                double *distance, double *weight, const double *parameters)
{
    const double margin = parameters[0];
    const int squared = parameters[1] != 0, semi_hard = parameters[2] != 0;
    ptrdiff_t positives = 0, negatives = 0;
    *value = 0;
    for (ptrdiff_t j = 0; j < B; j++) {
        const double square = row_distance(d, x + anchor * d, x + j * d, squared ? 0 : (real)LENGTH_SHIFT);
        distance[j] = squared ? square : sqrt(square);
        weight[j] = 0;
        positives += j != anchor && labels[j] == labels[anchor];
        negatives += labels[j] != labels[anchor];
        if (distance[j] != distance[j])
            *value = distance[j]; /* NaN */
    }
    if (!positives || !negatives)
        *value = 0;
    if (!positives || !negatives || *value != *value)
        return positives && negatives;
    const ptrdiff_t hardest = farthest(anchor, B, labels, distance, 1);
    const double share = semi_hard ? 1 / (double)positives : 1;
    for (ptrdiff_t j = 0; j < B; j++) {
        if (j == anchor || labels[j] != labels[anchor] || (!semi_hard && j != hardest))
            continue;
        ptrdiff_t n = nearest_negative(anchor, B, labels, distance, semi_hard ? distance[j] : -1);
        if (n < 0)
            n = farthest(anchor, B, labels, distance, 0);
        const double gap = above_zero(distance[j] - distance[n] + margin);
        *value += share * gap;
        if (gap != 0) {
            weight[j] += share;
            weight[n] -= share;
        }
    }
    return 1;
}

static void mined_gradient(ptrdiff_t i, ptrdiff_t B, ptrdiff_t d, const real *x, const double *distance,
                           const double *weight, const double *scale, double common, real *dx, const double *parameters)
{
    const int squared = parameters[1] != 0;
    const real shift = squared ? 0 : (real)LENGTH_SHIFT;
    double sum[LOSS_BLOCK];
    IN_STEPS(k, n, LOSS_BLOCK, d)
    {
        memset(sum, 0, (size_t)n * sizeof(double));
        for (ptrdiff_t j = 0; j < B; j++) {
            double out = weight[i * B + j] * (scale ? scale[i] : common);  /* x_i - x_j + shift, as anchor */
            double back = weight[j * B + i] * (scale ? scale[j] : common); /* x_j - x_i + shift, as the other */
            if (out == 0 && back == 0)
                continue;
            if (squared) {
                out *= 2;
                back *= 2;
            } else {
                out = distance[i * B + j] == 0 ? 0 : out / distance[i * B + j];
                back = distance[j * B + i] == 0 ? 0 : back / distance[j * B + i];
            }
            const real *const u = x + i * d + k, *const v = x + j * d + k;
            for (ptrdiff_t l = 0; l < n; l++)
                sum[l] += out * (double)(u[l] - v[l] + shift) - back * (double)(v[l] - u[l] + shift);
        }
        for (ptrdiff_t l = 0; l < n; l++)
            dx[k + l] = (real)sum[l];
    }
}
