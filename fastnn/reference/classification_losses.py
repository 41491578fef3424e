"""Losses of classes: the hinge family, the cross-entropies, and how one distribution diverges from another.

Each is the loss of one row y_pred (scores, probabilities or logits) against its row y_true, and the gradient by y_pred.
Probabilities are clipped to [EPSILON, 1 - EPSILON]; outside of that interval the gradient is 0.
"""

import math
from collections.abc import Sequence

from ._ieee import clip, div, dot, exp, largest, less_largest, log, log1p, logsumexp, maximum, power, total
from .activations import sigmoid, sigmoid_derivative, softmax, softmax_backward

Row = Sequence[float]
EPSILON = 1e-7


def clip_probability(p: float) -> float:
    return clip(p, EPSILON, 1.0 - EPSILON)


def is_clipped(p: float) -> bool:
    return p < EPSILON or p > 1.0 - EPSILON


# The hinge family: labels -1 and +1, where 0 means -1.


def hinge_labels(y_true: Row) -> list[float]:
    """Labels -1 / +1 as they are, or 0 / 1 turned into them; anything else is refused, and so is a mixture."""
    labels = set(y_true)
    if not (labels <= {-1.0, 1.0} or labels <= {0.0, 1.0}):
        raise ValueError(f"y_true: expected labels -1 and +1, or 0 and 1, got {sorted(labels)}")
    return [-1.0 if y == 0.0 else y for y in y_true]


def half_step(x: float) -> float:
    """The derivative of max(x, 0), with 1/2 at its kink."""
    return x if math.isnan(x) else 0.5 if x == 0.0 else float(x > 0.0)


def hinge(y_true: Row, y_pred: Row) -> float:
    """mean_j max(1 - y_j p_j, 0)."""
    margins = [1.0 - y * p for y, p in zip(hinge_labels(y_true), y_pred, strict=True)]
    return div(total(maximum(m, 0.0) for m in margins), len(margins))


def hinge_gradient(y_true: Row, y_pred: Row) -> list[float]:
    """-y_j / n where 1 - y_j p_j > 0, half of that at 0."""
    n = len(y_pred)
    return [-y * half_step(1.0 - y * p) / n for y, p in zip(hinge_labels(y_true), y_pred, strict=True)]


def squared_hinge(y_true: Row, y_pred: Row) -> float:
    """mean_j max(1 - y_j p_j, 0)^2."""
    margins = [maximum(1.0 - y * p, 0.0) for y, p in zip(hinge_labels(y_true), y_pred, strict=True)]
    return div(dot(margins, margins), len(margins))


def squared_hinge_gradient(y_true: Row, y_pred: Row) -> list[float]:
    """-2 y_j max(1 - y_j p_j, 0) / n."""
    n = len(y_pred)
    return [-2.0 * y * maximum(1.0 - y * p, 0.0) / n for y, p in zip(hinge_labels(y_true), y_pred, strict=True)]


def categorical_hinge(y_true: Row, y_pred: Row) -> float:
    """max(0, 1 + neg - pos), with pos = y . p and neg = max_j (1 - y_j) p_j, for one-hot y."""
    neg = largest((1.0 - y) * p for y, p in zip(y_true, y_pred, strict=True))
    return maximum(neg - dot(y_true, y_pred) + 1.0, 0.0)


def categorical_hinge_gradient(y_true: Row, y_pred: Row) -> list[float]:
    """(1 - y_j) [j is where neg is reached] - y_j; ties share; half of it where 1 + neg - pos = 0; 0 below."""
    others = [(1.0 - y) * p for y, p in zip(y_true, y_pred, strict=True)]
    neg = largest(others)
    active = half_step(neg - dot(y_true, y_pred) + 1.0)
    share = div(1.0, others.count(neg))
    return [active * ((share * (1.0 - y) if o == neg else 0.0) - y) for y, o in zip(y_true, others, strict=True)]


# Cross-entropies.


def binary_crossentropy(y_true: Row, y_pred: Row, from_logits: bool = False, label_smoothing: float = 0.0) -> float:
    """mean_j -(y log p + (1 - y) log(1 - p)); from a logit z as max(z, 0) - z y + log(1 + e^-|z|).

    Smoothing turns y into y (1 - s) + s / 2.
    """
    ys = smooth(y_true, label_smoothing, 2)
    term = binary_term_from_logit if from_logits else binary_term
    return div(total(term(y, p) for y, p in zip(ys, y_pred, strict=True)), len(ys))


def binary_crossentropy_gradient(
    y_true: Row, y_pred: Row, from_logits: bool = False, label_smoothing: float = 0.0
) -> list[float]:
    """((1 - y) / (1 - p) - y / p) / n; from a logit z, (sigmoid(z) - y) / n."""
    ys = smooth(y_true, label_smoothing, 2)
    if from_logits:
        return [(sigmoid(z) - y) / len(ys) for y, z in zip(ys, y_pred, strict=True)]
    return [binary_term_derivative(y, p) / len(ys) for y, p in zip(ys, y_pred, strict=True)]


def binary_term(y: float, p: float) -> float:
    p = clip_probability(p)
    return -(y * log(p) + (1.0 - y) * log(1.0 - p))


def binary_term_derivative(y: float, p: float) -> float:
    return 0.0 if is_clipped(p) else (1.0 - y) / (1.0 - p) - y / p


def binary_term_from_logit(y: float, z: float) -> float:
    return maximum(z, 0.0) - z * y + log1p(exp(-abs(z)))


def smooth(y_true: Row, amount: float, classes: int) -> list[float]:
    """Label smoothing: y (1 - s) + s / K."""
    return [y * (1.0 - amount) + amount / classes for y in y_true] if amount else list(y_true)


def renormalise(y_pred: Row) -> list[float]:
    """o = p / sum p; of p / 2^40 where the sum is too large for a float."""
    s = total(y_pred)
    if not math.isfinite(s) and all(map(math.isfinite, y_pred)):
        return renormalise([p * 2.0**-40 for p in y_pred])
    return [div(p, s) for p in y_pred]


def renormalise_backward(y_pred: Row, outputs: Row, d_outputs: Row) -> list[float]:
    """dp_j = (do_j - sum_i do_i o_i) / sum p."""
    s, mean = total(y_pred), dot(d_outputs, outputs)
    return [div(d - mean, s) for d in d_outputs]


def categorical_crossentropy(
    y_true: Row, y_pred: Row, from_logits: bool = False, label_smoothing: float = 0.0
) -> float:
    """-sum_k y_k log o_k, where o = p / sum p, clipped; from logits z, sum_k y_k (logsumexp(z) - z_k).

    Smoothing turns y into y (1 - s) + s / K.
    """
    ys = smooth(y_true, label_smoothing, len(y_true))
    if from_logits:
        shifted = less_largest(y_pred)
        lse = logsumexp(shifted)
        return total(y * (lse - z) for y, z in zip(ys, shifted, strict=True))
    return -total(y * log(clip_probability(o)) for y, o in zip(ys, renormalise(y_pred), strict=True))


def categorical_crossentropy_gradient(
    y_true: Row, y_pred: Row, from_logits: bool = False, label_smoothing: float = 0.0
) -> list[float]:
    """do_k = -y_k / o_k, then through o = p / sum p; from logits, softmax(z)_k sum(y) - y_k."""
    ys = smooth(y_true, label_smoothing, len(y_true))
    if from_logits:
        s = total(ys)
        return [q * s - y for y, q in zip(ys, softmax(y_pred), strict=True)]
    outputs = renormalise(y_pred)
    d_outputs = [0.0 if is_clipped(o) else -y / o for y, o in zip(ys, outputs, strict=True)]
    return renormalise_backward(y_pred, outputs, d_outputs)


def label_of(y_true: float | Row) -> int:
    """The class number in y_true, which may be an integer or a row of one."""
    return int(y_true[0]) if isinstance(y_true, Sequence) else int(y_true)


def one_hot(label: int, classes: int) -> list[float]:
    if not 0 <= label < classes:
        raise ValueError(f"y_true: expected a label from 0 to {classes - 1}, got {label}")
    return [1.0 if k == label else 0.0 for k in range(classes)]


def sparse_categorical_crossentropy(
    y_true: float | Row, y_pred: Row, from_logits: bool = False, ignore_class: int | None = None
) -> float:
    """-log o_y with the label y an integer; from logits, logsumexp(z) - z_y; 0 for the ignored class."""
    label = label_of(y_true)
    if label == ignore_class:
        return 0.0
    y = one_hot(label, len(y_pred)).index(1.0)
    if from_logits:
        shifted = less_largest(y_pred)
        return logsumexp(shifted) - shifted[y]
    return -log(clip_probability(renormalise(y_pred)[y]))


def sparse_categorical_crossentropy_gradient(
    y_true: float | Row, y_pred: Row, from_logits: bool = False, ignore_class: int | None = None
) -> list[float]:
    """The gradient of categorical_crossentropy with the label as a one-hot row; 0 for the ignored class."""
    label = label_of(y_true)
    if label == ignore_class:
        return [0.0 for _ in y_pred]
    return categorical_crossentropy_gradient(one_hot(label, len(y_pred)), y_pred, from_logits)


# Focal cross-entropies: a cross-entropy times (1 - probability of the truth)^gamma. Lin et al., 2017.


def power_derivative(x: float, n: float) -> float:
    """n x^(n - 1), and 0 where n = 0."""
    return n * power(x, n - 1.0) if n else 0.0


def binary_focal_crossentropy(
    y_true: Row,
    y_pred: Row,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> float:
    """mean_j a (1 - p_t)^gamma H(y, p), with p_t = y p + (1 - y)(1 - p), H the binary cross-entropy.

    a is y alpha + (1 - y)(1 - alpha) with class balancing, and 1 without.
    """
    ys = smooth(y_true, label_smoothing, 2)
    ps = [sigmoid(z) for z in y_pred] if from_logits else list(y_pred)
    result = 0.0
    for y, p in zip(ys, ps, strict=True):
        a = y * alpha + (1.0 - y) * (1.0 - alpha) if apply_class_balancing else 1.0
        p_t = y * p + (1.0 - y) * (1.0 - p)
        result += a * power(1.0 - p_t, gamma) * binary_term(y, p)
    return div(result, len(ps))


def binary_focal_crossentropy_gradient(
    y_true: Row,
    y_pred: Row,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> list[float]:
    """a ((1 - p_t)^gamma H'(y, p) - gamma (1 - p_t)^(gamma - 1) (2y - 1) H(y, p)) / n, times s'(z) from logits."""
    ys = smooth(y_true, label_smoothing, 2)
    ps = [sigmoid(z) for z in y_pred] if from_logits else list(y_pred)
    slopes = [sigmoid_derivative(z) for z in y_pred] if from_logits else [1.0] * len(ps)
    result = []
    for y, p, slope in zip(ys, ps, slopes, strict=True):
        a = y * alpha + (1.0 - y) * (1.0 - alpha) if apply_class_balancing else 1.0
        p_t = y * p + (1.0 - y) * (1.0 - p)
        focus, d_focus = power(1.0 - p_t, gamma), -power_derivative(1.0 - p_t, gamma) * (2.0 * y - 1.0)
        result.append(a * slope * (focus * binary_term_derivative(y, p) + d_focus * binary_term(y, p)) / len(ps))
    return result


def categorical_focal_crossentropy(
    y_true: Row,
    y_pred: Row,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> float:
    """-sum_k alpha (1 - o_k)^gamma y_k log o_k, with o = p / sum p, clipped, and p = softmax(z) from logits."""
    ys = smooth(y_true, label_smoothing, len(y_true))
    outputs = map(clip_probability, renormalise(softmax(y_pred) if from_logits else y_pred))
    return -total(alpha * power(1.0 - o, gamma) * y * log(o) for y, o in zip(ys, outputs, strict=True))


def categorical_focal_crossentropy_gradient(
    y_true: Row,
    y_pred: Row,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> list[float]:
    """do_k = alpha y_k (gamma (1 - o_k)^(gamma - 1) log o_k - (1 - o_k)^gamma / o_k), then back through o and p."""
    ys = smooth(y_true, label_smoothing, len(y_true))
    ps = softmax(y_pred) if from_logits else y_pred
    outputs = renormalise(ps)
    d_outputs = [
        0.0 if is_clipped(o) else alpha * y * (power_derivative(1.0 - o, gamma) * log(o) - power(1.0 - o, gamma) / o)
        for y, o in zip(ys, outputs, strict=True)
    ]
    d_ps = renormalise_backward(ps, outputs, d_outputs)
    return softmax_backward(y_pred, d_ps) if from_logits else d_ps


# The divergence.


def kl_divergence(y_true: Row, y_pred: Row) -> float:
    """sum_k p_k log(p_k / q_k), with p = y_true and q = y_pred clipped to [epsilon, 1]."""
    pairs = [(clip(p, EPSILON, 1.0), clip(q, EPSILON, 1.0)) for p, q in zip(y_true, y_pred, strict=True)]
    return total(p * log(p / q) for p, q in pairs)


def kl_divergence_gradient(y_true: Row, y_pred: Row) -> list[float]:
    """-p_k / q_k, and 0 where q_k is outside [epsilon, 1]."""
    ps = [clip(p, EPSILON, 1.0) for p in y_true]
    return [0.0 if q < EPSILON or q > 1.0 else -p / q for p, q in zip(ps, y_pred, strict=True)]
