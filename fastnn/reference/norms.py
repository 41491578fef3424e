"""Normalisation layers in plain Python: layer normalisation over the rows of a batch, batch normalisation over columns.

A normalised number is u = (x - mean) / sqrt(variance + epsilon); a layer's output is u gamma + beta. A batch is a list
of rows. gamma or beta may be None.
"""

from collections.abc import Sequence

from ._ieee import div, sqrt, total

Row = list[float]
Batch = Sequence[Sequence[float]]
Weights = Sequence[float] | None


def moments(xs: Sequence[float]) -> tuple[float, float]:
    """The mean, and the mean squared distance from it (the biased variance)."""
    mean = div(total(xs), len(xs))
    return mean, div(total((x - mean) * (x - mean) for x in xs), len(xs))


def affine(u: Sequence[float], gamma: Weights, beta: Weights) -> Row:
    """u gamma + beta."""
    scaled = [a * g for a, g in zip(u, gamma, strict=True)] if gamma is not None else list(u)
    return [a + b for a, b in zip(scaled, beta, strict=True)] if beta is not None else scaled


def layer_statistics(x: Sequence[float], kind: str, epsilon: float) -> tuple[float, float]:
    """(mean, 1 / sqrt(variance + epsilon)) of a row; the root mean square instead of the deviation for kind "rms"."""
    mean, variance = moments(x)
    if kind == "rms":
        mean, variance = 0.0, div(total(a * a for a in x), len(x))
    return mean, div(1.0, sqrt(variance + epsilon))


def layer_norm(x: Batch, gamma: Weights, beta: Weights, kind: str = "layer", epsilon: float = 1e-3) -> list[Row]:
    """Each row on its own. Of kind "variance", Keras's rms_scaling, the mean is not taken off: u = x / deviation."""
    result = []
    for row in x:
        mean, scale = layer_statistics(row, kind, epsilon)
        centre = 0.0 if kind == "variance" else mean
        result.append(affine([(a - centre) * scale for a in row], gamma, beta))
    return result


def layer_norm_gradients(
    x: Batch, dy: Batch, gamma: Weights, kind: str = "layer", epsilon: float = 1e-3
) -> tuple[list[Row], Row, Row]:
    """(dx, dgamma, dbeta). With g = dy gamma, in a row: dx = scale (g - mean(g) - u mean(g v)), where u is the centred
    row normalised and v what gamma multiplies; mean(g) is there only if the output is centred."""
    n = len(x[0])
    dgamma, dbeta, dx = [0.0] * n, [0.0] * n, []
    for row, d in zip(x, dy, strict=True):
        mean, scale = layer_statistics(row, kind, epsilon)
        u = [(a - mean) * scale for a in row]
        v = [a * scale for a in row] if kind == "variance" else u
        g = affine(d, gamma, None)
        g_mean = total(g) / n if kind == "layer" else 0.0
        gv_mean = total(a * b for a, b in zip(g, v, strict=True)) / n
        dx.append([scale * (a - g_mean - b * gv_mean) for a, b in zip(g, u, strict=True)])
        dgamma = [s + a * b for s, a, b in zip(dgamma, d, v, strict=True)]
        dbeta = [s + a for s, a in zip(dbeta, d, strict=True)]
    return dx, dgamma, dbeta


def batch_norm(
    x: Batch, gamma: Weights, beta: Weights, statistics: Sequence[tuple[float, float]], epsilon: float = 1e-3
) -> list[Row]:
    """Each column by its (mean, variance): the batch's own `moments` in training, the moving ones in inference."""
    scales = [(mean, div(1.0, sqrt(variance + epsilon))) for mean, variance in statistics]
    return [affine([(a - mean) * s for a, (mean, s) in zip(row, scales, strict=True)], gamma, beta) for row in x]


def batch_norm_gradients(
    x: Batch,
    dy: Batch,
    gamma: Weights,
    statistics: Sequence[tuple[float, float]],
    epsilon: float = 1e-3,
    training: bool = True,
) -> tuple[list[Row], Row, Row]:
    """(dx, dgamma, dbeta). In a column, dgamma = sum(dy u), dbeta = sum(dy), and where the statistics are the batch's
    own dx = gamma scale (dy - mean(dy) - u mean(dy u)); where they are constants, dx = gamma scale dy."""
    u = batch_norm(x, None, None, statistics, epsilon)
    rows, n = len(x), len(x[0])
    dgamma = [total(d[j] * a[j] for d, a in zip(dy, u, strict=True)) for j in range(n)]
    dbeta = [total(d[j] for d in dy) for j in range(n)]
    slopes = affine([div(1.0, sqrt(variance + epsilon)) for _, variance in statistics], gamma, None)
    taken = training / rows
    dx = [
        [s * (g - taken * b - a * taken * c) for s, g, a, b, c in zip(slopes, d, v, dbeta, dgamma, strict=True)]
        for d, v in zip(dy, u, strict=True)
    ]
    return dx, dgamma, dbeta


def moving_average(average: float, x: float, momentum: float = 0.99) -> float:
    """momentum average + (1 - momentum) x: what a moving statistic becomes after a step."""
    return momentum * average + (1.0 - momentum) * x
