"""Losses of two or three things at once: embeddings that should be near or far, scores that should be in order.

A sample is a list of two or three rows, or of numbers; its gradient has the same shape.
"""

from collections.abc import Sequence

from ._ieee import dot, maximum, sqrt

Row = Sequence[float]
Rows = Sequence[Row]


def difference(a: Row, b: Row, shift: float = 0.0) -> list[float]:
    """a - b, plus a shift in every place."""
    return [x - y + shift for x, y in zip(a, b, strict=True)]


def length(v: Row) -> float:
    """|v| = sqrt(v . v)."""
    return sqrt(dot(v, v))


def direction(v: Row) -> list[float]:
    """v / |v|, the gradient of |v|; 0 for the vector 0."""
    norm = length(v)
    return [0.0 if norm == 0.0 else x / norm for x in v]


def scaled(factor: float, v: Row) -> list[float]:
    return [factor * x for x in v]


def number_of(y: float | Row) -> float:
    """The number in y, which may be a row of one."""
    return float(y[0]) if isinstance(y, Sequence) else float(y)


def contrastive(y_true: float | Row, y_pred: float | Row | Rows, margin: float = 1.0) -> float:
    """(y d^2 + (1 - y) max(0, margin - d)^2) / 2, with y = 1 for a similar pair and 0 for a dissimilar one.

    y_pred is the distance d (a number or a row of one), or two embeddings a and b with d = |a - b|.
    """
    y, d = number_of(y_true), _distance(y_pred)
    gap = maximum(margin - d, 0.0)
    return 0.5 * (y * d * d + (1.0 - y) * gap * gap)


def contrastive_gradient(
    y_true: float | Row, y_pred: float | Row | Rows, margin: float = 1.0
) -> float | list[float] | list[list[float]]:
    """y d - (1 - y) max(0, margin - d) by the distance; times +-(a - b) / d by the embeddings, 0 where d = 0."""
    y, d = number_of(y_true), _distance(y_pred)
    slope = y * d - (1.0 - y) * maximum(margin - d, 0.0)
    if not isinstance(y_pred, Sequence):
        return slope
    if len(y_pred) == 1:
        return [slope]
    a, b = _two_embeddings(y_pred)
    towards = scaled(slope, direction(difference(a, b)))
    return [towards, scaled(-1.0, towards)]


def _distance(y_pred: float | Row | Rows) -> float:
    if not isinstance(y_pred, Sequence):
        return y_pred
    if len(y_pred) == 1 and not isinstance(y_pred[0], Sequence):
        return y_pred[0]
    return length(difference(*_two_embeddings(y_pred)))


def _two_embeddings(y_pred: Row | Rows) -> tuple[Row, Row]:
    rows = [row for row in y_pred if isinstance(row, Sequence)]
    if len(rows) != 2 or len(y_pred) != 2:
        raise ValueError(f"y_pred: expected a distance or two embeddings, got {y_pred!r}")
    return rows[0], rows[1]


def triplet(y_true: object, y_pred: Rows, margin: float = 1.0, squared: bool = True, epsilon: float = 1e-6) -> float:
    """max(0, d(a, p) - d(a, n) + margin) for an anchor, a positive and a negative; y_true is not used.

    squared: d(u, v) = |u - v|^2. If not, d(u, v) = |u - v + epsilon|, with epsilon added in every place.
    """
    anchor, positive, negative = y_pred
    if squared:
        u, v = difference(anchor, positive), difference(anchor, negative)
        return maximum(dot(u, u) - dot(v, v) + margin, 0.0)
    u, v = difference(anchor, positive, epsilon), difference(anchor, negative, epsilon)
    return maximum(length(u) - length(v) + margin, 0.0)


def triplet_gradient(
    y_true: object, y_pred: Rows, margin: float = 1.0, squared: bool = True, epsilon: float = 1e-6
) -> list[list[float]]:
    """Where the loss is above 0: d'(a, p) - d'(a, n) by a, -d'(a, p) by p and +d'(a, n) by n.

    d'(u, v) = 2 (u - v) squared, and (u - v) / d if not.
    """
    if triplet(y_true, y_pred, margin, squared, epsilon) == 0.0:
        return [[0.0 for _ in row] for row in y_pred]
    anchor, positive, negative = y_pred
    if squared:
        u, v = scaled(2.0, difference(anchor, positive)), scaled(2.0, difference(anchor, negative))
    else:
        u = direction(difference(anchor, positive, epsilon))
        v = direction(difference(anchor, negative, epsilon))
    return [difference(u, v), scaled(-1.0, u), v]


def triplet_of_distances(d_positive: float, d_negative: float, margin: float = 1.0) -> float:
    """max(0, d(a, p) - d(a, n) + margin), from the two distances as they stand."""
    return maximum(d_positive - d_negative + margin, 0.0)


def margin_ranking(y_true: float | Row, y_pred: Row, margin: float = 0.0) -> float:
    """max(0, -y (s1 - s2) + margin): y = +1 if the first score should be the higher, -1 if the second."""
    return maximum(-number_of(y_true) * (y_pred[0] - y_pred[1]) + margin, 0.0)


def margin_ranking_gradient(y_true: float | Row, y_pred: Row, margin: float = 0.0) -> list[float]:
    """(-y, y) where the loss is above 0."""
    y = number_of(y_true) if margin_ranking(y_true, y_pred, margin) != 0.0 else 0.0
    return [-y, y]
