/* losses_classes.h: the losses of a row of classes, and of a row as a direction. Part of losses.h.

   Cross-entropy from logits.

   With top = max z and s = sum_k e_k, e_k = exp(z_k - top):
     logsumexp(z) - z_k = (top - z_k) + log s     softmax(z)_k = e_k / s
   s >= 1 is kept in double and its logarithm taken as log1p(s - 1): a confident row's loss is not lost to 1 + tiny. */

/* top, e[d] and s of each row; e may be z, or NULL when rows are longer than a block */
static void exponentials(ptrdiff_t rows, ptrdiff_t d, const real *z, const real *top, real *e, double *s)
{
    if (d < LOSS_SHORT) {
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t k = 0; k < d; k++)
                e[r * d + k] = z[r * d + k] - top[r];
        IN_STEPS(i, n, VL, rows * d) v_store_n(e + i, v_exp_nonpositive(v_load_n(e + i, (size_t)n)), (size_t)n);
        for (ptrdiff_t r = 0; r < rows; r++)
            s[r] = row_sum(d, e + r * d);
        return;
    }
    real piece[LOSS_BLOCK];
    for (ptrdiff_t r = 0; r < rows; r++) {
        sum16 sum = sum16_zero();
        IN_STEPS(i, n, LOSS_BLOCK, d)
        {
            real *const to = e ? e + r * d + i : piece;
            IN_STEPS(j, m, VL, n)
            {
                const vreal shifted = v_sub(v_load_n(z + r * d + i + j, (size_t)m), v_set(top[r]));
                v_store_n(to + j, v_exp_nonpositive(shifted), (size_t)m);
            }
            sum16_row(&sum, n, to);
        }
        s[r] = sum16_total(&sum);
    }
}

/* log s of each row */
static void logarithms(ptrdiff_t rows, const double *s, real *log_s)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        log_s[r] = (real)(s[r] - 1);
    IN_STEPS(i, n, VL, rows) v_store_n(log_s + i, v_log1p(v_load_n(log_s + i, (size_t)n)), (size_t)n);
}

/* Rows that are worked on together, and where their exponentials go */
#define LOSS_ROWS 256
static ptrdiff_t rows_at_once(ptrdiff_t d)
{
    const ptrdiff_t n = LOSS_BLOCK / d;
    return n < 1 ? 1 : n > LOSS_ROWS ? LOSS_ROWS : n;
}
static real *place_for(real *dy, ptrdiff_t d, real *piece) { return dy ? dy : d <= LOSS_BLOCK ? piece : NULL; }

static void sparse_categorical_crossentropy_from_logits_loss(LOSS_ARGUMENTS)
{
    const int32_t *const labels = y_true;
    const double ignored = parameters[0];
    real piece[LOSS_BLOCK], top[LOSS_ROWS], below[LOSS_ROWS], log_s[LOSS_ROWS];
    double s[LOSS_ROWS];
    IN_STEPS(r, n, rows_at_once(d), rows)
    {
        const real *const z = y_pred + r * d;
        real *const e = place_for(dy ? dy + r * d : NULL, d, piece);
        for (ptrdiff_t i = 0; i < n; i++) {
            top[i] = row_top(d, z + i * d);
            below[i] = (double)labels[r + i] == ignored ? 0 : top[i] - z[i * d + labels[r + i]];
        }
        exponentials(n, d, z, top, e, s);
        if (values) {
            logarithms(n, s, log_s);
            for (ptrdiff_t i = 0; i < n; i++)
                values[r + i] = (double)labels[r + i] == ignored ? 0 : (double)(below[i] + log_s[i]);
        }
        for (ptrdiff_t i = 0; dy && i < n; i++) {
            real *const row = e + i * d;
            if ((double)labels[r + i] == ignored) {
                memset(row, 0, (size_t)d * sizeof(real));
                continue;
            }
            const double factor = (scale ? scale[r + i] : common) / s[i];
            /* e - s is minus the sum of the others: no cancellation, as there would be in e / s - 1 */
            const double at_label = ((double)row[labels[r + i]] - s[i]) * factor;
            const real f = (real)factor;
            for (ptrdiff_t k = 0; k < d; k++)
                row[k] *= f;
            row[labels[r + i]] = (real)at_label;
        }
    }
}

static void categorical_crossentropy_from_logits_loss(LOSS_ARGUMENTS)
{
    const double smoothing = parameters[0];
    real piece[LOSS_BLOCK], top[LOSS_ROWS], log_s[LOSS_ROWS];
    real target[LOSS_BLOCK], term[LOSS_BLOCK];
    double s[LOSS_ROWS], below[LOSS_ROWS], mass[LOSS_ROWS];
    IN_STEPS(r, n, rows_at_once(d), rows)
    {
        const real *const z = y_pred + r * d, *const y = (const real *)y_true + r * d;
        for (ptrdiff_t i = 0; i < n; i++) { /* below = sum_k y_k (top - z_k), mass = sum_k y_k */
            top[i] = row_top(d, z + i * d);
            sum16 sum_below = sum16_zero(), sum_mass = sum16_zero();
            IN_STEPS(j, m, LOSS_BLOCK, d)
            {
                IN_STEPS(k, l, VL, m)
                {
                    const vreal t = smoothed(v_load_n(y + i * d + j + k, (size_t)l), smoothing, d);
                    const vreal distance = v_sub(v_set(top[i]), v_load_n(z + i * d + j + k, (size_t)l));
                    v_store(target + k, t);
                    v_store(term + k, v_mul(t, distance));
                }
                sum16_row(&sum_below, m, term);
                sum16_row(&sum_mass, m, target);
            }
            below[i] = sum16_total(&sum_below);
            mass[i] = sum16_total(&sum_mass);
        }
        real *const e = place_for(dy ? dy + r * d : NULL, d, piece);
        exponentials(n, d, z, top, e, s);
        if (values) {
            logarithms(n, s, log_s);
            for (ptrdiff_t i = 0; i < n; i++)
                values[r + i] = below[i] + mass[i] * (double)log_s[i];
        }
        for (ptrdiff_t i = 0; dy && i < n; i++) {
            const vreal share = v_set((real)(mass[i] / s[i])), factor = v_set((real)(scale ? scale[r + i] : common));
            IN_STEPS(k, l, VL, d)
            {
                const vreal t = smoothed(v_load_n(y + i * d + k, (size_t)l), smoothing, d);
                const vreal slope = v_sub(v_mul(v_load_n(e + i * d + k, (size_t)l), share), t);
                v_store_n(e + i * d + k, v_mul(factor, slope), (size_t)l);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------- cross-entropy of probabilities

   o_k = p_k / sum p, of which the loss makes d_k = d loss / d o_k; back through the division
   d loss / d p_j = (d_j - sum_k d_k o_k) / sum p. Where o_k is clipped, d_k = 0.

   A sum that is too large for a real is taken of p_k times a unit, which is then in both parts of o_k. */

/* The unit, 1 unless the plain sum is too large, and the sum of the p_k times it */
#define SMALL_UNIT ((real)0x1p-40)
static real unit_of_sum(ptrdiff_t d, const real *p, double *sum)
{
    *sum = row_sum(d, p);
    if (fabs(*sum) <= (double)REAL_MAX)
        return 1;
    *sum = 0;
    for (ptrdiff_t k = 0; k < d; k++)
        *sum += (double)(SMALL_UNIT * p[k]);
    return SMALL_UNIT;
}

static void sparse_categorical_crossentropy_loss(LOSS_ARGUMENTS)
{
    const int32_t *const labels = y_true;
    const double ignored = parameters[0];
    real o[LOSS_ROWS], log_o[LOSS_ROWS], unit[LOSS_ROWS];
    double sum[LOSS_ROWS];
    IN_STEPS(r, n, LOSS_ROWS, rows)
    {
        for (ptrdiff_t i = 0; i < n; i++) {
            const real *const p = y_pred + (r + i) * d;
            unit[i] = unit_of_sum(d, p, &sum[i]);
            o[i] = (double)labels[r + i] == ignored ? 1 : unit[i] * p[labels[r + i]] / (real)sum[i];
        }
        IN_STEPS(i, m, VL, n) v_store_n(log_o + i, v_log(clip_probability(v_load_n(o + i, (size_t)m))), (size_t)m);
        for (ptrdiff_t i = 0; i < n; i++) {
            const int32_t label = labels[r + i];
            const int skip = (double)label == ignored;
            if (values)
                values[r + i] = skip ? 0 : -(double)log_o[i];
            if (!dy)
                continue;
            /* d = -1 / o at the label, so sum_k d_k o_k = -1 */
            const int flat = skip || o[i] < FNN_EPSILON || o[i] > ALMOST_ONE;
            const double still = skip ? 0 : sum[i] - sum[i]; /* 0, but NaN where the sum is no number */
            const double factor = flat ? still : (scale ? scale[r + i] : common) / sum[i] * (double)unit[i];
            real *const row = dy + (r + i) * d;
            for (ptrdiff_t k = 0; k < d; k++)
                row[k] = (real)factor;
            if (!flat)
                row[label] = (real)(factor * (1 - 1 / (double)o[i]));
        }
    }
}

static void categorical_crossentropy_loss(LOSS_ARGUMENTS)
{
    const double smoothing = parameters[0];
    real term[LOSS_BLOCK], moving[LOSS_BLOCK];
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *const y = (const real *)y_true + r * d, *const p = y_pred + r * d;
        double sum;
        const real unit = unit_of_sum(d, p, &sum);
        const vreal whole = v_set((real)sum), units = v_set(unit);
        sum16 loss = sum16_zero(), mass = sum16_zero(); /* mass = sum of y_k whose o_k is not clipped */
        IN_STEPS(i, n, LOSS_BLOCK, d)
        {
            IN_STEPS(k, l, VL, n)
            {
                const vreal t = smoothed(v_load_n(y + i + k, (size_t)l), smoothing, d);
                const vreal o = v_div(v_mul(v_load_n(p + i + k, (size_t)l), units), whole);
                v_store(term + k, v_mul(t, v_log(clip_probability(o))));
                v_store(moving + k, v_unless(is_clipped(o), t));
            }
            sum16_row(&loss, n, term);
            sum16_row(&mass, n, moving);
        }
        if (values)
            values[r] = -sum16_total(&loss);
        if (!dy)
            continue;
        const vreal factor = v_set((real)((scale ? scale[r] : common) / sum * (double)unit));
        const vreal back = v_set((real)sum16_total(&mass));
        IN_STEPS(k, l, VL, d)
        {
            const vreal t = smoothed(v_load_n(y + k, (size_t)l), smoothing, d);
            const vreal o = v_div(v_mul(v_load_n(p + k, (size_t)l), units), whole);
            const vreal direct = v_unless(is_clipped(o), v_div(t, o));
            v_store_n(dy + r * d + k, v_mul(factor, v_sub(back, direct)), (size_t)l);
        }
    }
}

/* The term of one class, alpha (1 - o)^gamma y (-log o), and its slope by o */
FNN_INLINE focal_term categorical_focal(vreal y, vreal o, const double *parameters)
{
    const vreal kept = clip_probability(o), log_o = v_log(kept), miss = v_sub(v_set(1), kept);
    const vreal weight = v_mul(v_set((real)parameters[1]), y), focus = power(miss, parameters[0]);
    const vreal slope = v_mul(weight, v_sub(v_mul(power_slope(miss, parameters[0]), log_o), v_div(focus, kept)));
    const focal_term f = {v_neg(v_mul(weight, v_mul(focus, log_o))), v_unless(is_clipped(o), slope)};
    return f;
}
/* The classes at x: probabilities over their sum, or, from logits, exp(z - top) over the sum of all */
FNN_INLINE vreal share_of(vreal x, int from_logits, real top, real unit, vreal whole)
{
    return v_div(from_logits ? v_exp_nonpositive(v_sub(x, v_set(top))) : v_mul(x, v_set(unit)), whole);
}
FNN_INLINE void categorical_focal_of(LOSS_ARGUMENTS, int from_logits)
{
    real value[LOSS_BLOCK], pull[LOSS_BLOCK];
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *const y = (const real *)y_true + r * d, *const x = y_pred + r * d;
        const real top = from_logits ? row_top(d, x) : 0;
        real unit = 1;
        double sum;
        if (from_logits)
            exponentials(1, d, x, &top, d <= LOSS_BLOCK ? value : NULL, &sum);
        else
            unit = unit_of_sum(d, x, &sum);
        const vreal whole = v_set((real)sum);
        sum16 loss = sum16_zero(), mean_slope = sum16_zero(); /* sum_k o_k d_k */
        IN_STEPS(i, n, LOSS_BLOCK, d)
        {
            IN_STEPS(k, l, VL, n)
            {
                const vreal t = smoothed(v_load_n(y + i + k, (size_t)l), parameters[2], d);
                const vreal o = share_of(v_load_n(x + i + k, (size_t)l), from_logits, top, unit, whole);
                const focal_term f = categorical_focal(t, o, parameters);
                v_store(value + k, f.value);
                v_store(pull + k, v_mul(o, f.slope));
            }
            sum16_row(&loss, n, value);
            sum16_row(&mean_slope, n, pull);
        }
        if (values)
            values[r] = sum16_total(&loss);
        if (!dy)
            continue;
        const double factor = scale ? scale[r] : common;
        const vreal f = v_set((real)(from_logits ? factor : factor / sum * (double)unit));
        const vreal back = v_set((real)sum16_total(&mean_slope));
        IN_STEPS(k, l, VL, d)
        {
            const vreal t = smoothed(v_load_n(y + k, (size_t)l), parameters[2], d);
            const vreal o = share_of(v_load_n(x + k, (size_t)l), from_logits, top, unit, whole);
            const vreal slope = v_mul(f, v_sub(categorical_focal(t, o, parameters).slope, back));
            v_store_n(dy + r * d + k, from_logits ? v_mul(o, slope) : slope, (size_t)l);
        }
    }
}
static void categorical_focal_crossentropy_loss(LOSS_ARGUMENTS)
{
    categorical_focal_of(rows, d, y_true, y_pred, values, dy, scale, common, parameters, 0);
}
static void categorical_focal_crossentropy_from_logits_loss(LOSS_ARGUMENTS)
{
    categorical_focal_of(rows, d, y_true, y_pred, values, dy, scale, common, parameters, 1);
}

/* --------------------------------------------------------------------------------------- other losses of whole rows */

/* rival = max_k (1 - y_k) p_k; those that reach it share its gradient */
static void categorical_hinge_loss(LOSS_ARGUMENTS)
{
    (void)parameters;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *const y = (const real *)y_true + r * d, *const p = y_pred + r * d;
        real rival = (1 - y[0]) * p[0];
        for (ptrdiff_t k = 1; k < d; k++) {
            const real x = (1 - y[k]) * p[k];
            rival = x > rival ? x : rival;
        }
        const double gap = (double)rival - row_dot(d, y, p) + 1; /* a NaN reaches the product */
        if (values)
            values[r] = above_zero(gap);
        if (!dy)
            continue;
        const double factor = (scale ? scale[r] : common) * (gap > 0 ? 1 : gap < 0 ? 0 : gap == 0 ? 0.5 : gap);
        ptrdiff_t reached = 0;
        for (ptrdiff_t k = 0; k < d; k++)
            reached += (1 - y[k]) * p[k] == rival;
        const real f = (real)factor, share = (real)(1 / (double)reached);
        for (ptrdiff_t k = 0; k < d; k++) {
            const real other = 1 - y[k];
            dy[r * d + k] = f * ((other * p[k] == rival ? share * other : 0) - y[k]);
        }
    }
}

/* With a = y / |y|, b = p / |p|, c = a . b: d loss / d p = -(a - c b) / |p|. A norm below epsilon counts as epsilon,
   and is then a constant. */
static void cosine_similarity_loss(LOSS_ARGUMENTS)
{
    (void)parameters;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *const y = (const real *)y_true + r * d, *const p = y_pred + r * d;
        const double norm_y = sqrt(row_dot(d, y, y)), norm_p = sqrt(row_dot(d, p, p));
        const double a = 1 / (norm_y < 1e-7 ? 1e-7 : norm_y), b = 1 / (norm_p < 1e-7 ? 1e-7 : norm_p);
        const double c = row_dot(d, y, p) * a * b;
        if (values)
            values[r] = -c;
        if (!dy)
            continue;
        const double factor = (scale ? scale[r] : common) * b;
        const double turn = norm_p <= 1e-7 ? 0 : c;
        for (ptrdiff_t k = 0; k < d; k++)
            dy[r * d + k] = (real)(factor * (turn * ((double)p[k] * b) - (double)y[k] * a));
    }
}
