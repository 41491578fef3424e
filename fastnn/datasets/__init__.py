"""Small data sets for examples, teaching and tests. Nothing is downloaded.

`load_digits` loads handwritten digits, which are part of the package. The other functions draw their data: each takes
its size and a seed, and the same seed gives the same arrays. x is float32, y holds class numbers (int64); what is drawn
comes in a random order.

>>> x, y = moons(100, seed=0)
>>> x.shape, x.dtype.name, sorted(set(y.tolist()))
((100, 2), 'float32', [0, 1])
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validate

__all__ = ["blobs", "circles", "load_digits", "make_digits", "moons", "spirals", "xor"]

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


def _generator(seed: Any) -> np.random.Generator:
    return np.random.default_rng(None if seed is None else _validate.integer(seed, "seed", minimum=0))


def _count(samples: Any, minimum: int = 1) -> int:
    return _validate.integer(samples, "samples", minimum=minimum)


def _classes_of(samples: int, classes: int) -> Labels:
    """Class numbers, as equally many of each as can be."""
    return np.arange(samples, dtype=np.int64) % classes


def _mixed(x: Doubles, y: Labels, noise: Any, rng: np.random.Generator) -> tuple[Floats, Labels]:
    """The points with normal noise, in a random order."""
    noise = _validate.number(noise, "noise", minimum=0)
    x = x + noise * rng.normal(size=x.shape)
    order = rng.permutation(len(x))
    return x[order].astype(np.float32), y[order]


def xor(samples: int = 200, noise: float = 0.1, seed: int | None = 0) -> tuple[Floats, Labels]:
    """Points around the corners of a square; the class is the exclusive or of the two coordinates.

    No straight line separates the classes.

    Parameters
    ----------
    samples : int
        How many points. 4 with noise=0 are the truth table.
    noise : float
        The standard deviation around the corners (0, 0), (0, 1), (1, 0), (1, 1).
    seed : int, optional

    Returns
    -------
    x : ndarray of float32, shape (samples, 2)
    y : ndarray of int64, shape (samples,)

    Examples
    --------
    >>> x, y = xor(4, noise=0)
    >>> sorted((*map(int, point), int(label)) for point, label in zip(x, y))
    [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
    """
    rng = _generator(seed)
    corner = np.arange(_count(samples)) % 4
    bits = np.stack([corner // 2, corner % 2], axis=1)
    return _mixed(bits.astype(np.float64), (bits[:, 0] ^ bits[:, 1]).astype(np.int64), noise, rng)


def spirals(
    samples: int = 300, classes: int = 3, noise: float = 0.3, turns: float = 1.4, seed: int | None = 0
) -> tuple[Floats, Labels]:
    """Arms of a spiral around the origin, one for each class.

    Parameters
    ----------
    samples : int
        How many points in all.
    classes : int
    noise : float
        The standard deviation of a point's angle, in radians.
    turns : float
        How often an arm goes round.
    seed : int, optional

    Returns
    -------
    x : ndarray of float32, shape (samples, 2)
        Within the unit circle.
    y : ndarray of int64, shape (samples,)

    Examples
    --------
    >>> x, y = spirals(90, classes=3)
    >>> np.bincount(y).tolist(), bool((x**2).sum(axis=1).max() <= 1.0001)
    ([30, 30, 30], True)
    """
    rng = _generator(seed)
    classes = _validate.integer(classes, "classes", minimum=1)
    turns = _validate.number(turns, "turns")
    noise = _validate.number(noise, "noise", minimum=0)
    y = _classes_of(_count(samples), classes)
    radius = 0.05 + 0.95 * rng.uniform(size=len(y))
    angle = 2 * np.pi * (turns * radius + y / classes) + noise * rng.normal(size=len(y))
    return _mixed(radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), y, 0.0, rng)


def moons(samples: int = 200, noise: float = 0.1, seed: int | None = 0) -> tuple[Floats, Labels]:
    """Two half circles that reach into each other.

    Parameters
    ----------
    samples : int
    noise : float
        The standard deviation around the half circles, whose radius is 1.
    seed : int, optional

    Returns
    -------
    x : ndarray of float32, shape (samples, 2)
    y : ndarray of int64, shape (samples,)

    Examples
    --------
    >>> x, y = moons(200, noise=0)
    >>> upper = x[y == 0]
    >>> bool(np.allclose((upper**2).sum(axis=1), 1, atol=1e-6)), bool(upper[:, 1].min() > -1e-6)
    (True, True)
    """
    rng = _generator(seed)
    y = _classes_of(_count(samples), 2)
    angle = np.pi * rng.uniform(size=len(y))
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _mixed(np.where(y[:, None] == 0, circle, np.array([1.0, 0.5]) - circle), y, noise, rng)


def circles(
    samples: int = 200, noise: float = 0.05, factor: float = 0.5, seed: int | None = 0
) -> tuple[Floats, Labels]:
    """A circle of radius 1, class 0, around one of radius `factor`, class 1.

    Parameters
    ----------
    samples : int
    noise : float
        The standard deviation around the circles.
    factor : float
        The inner radius, 0 to 1.
    seed : int, optional

    Returns
    -------
    x : ndarray of float32, shape (samples, 2)
    y : ndarray of int64, shape (samples,)

    Examples
    --------
    >>> x, y = circles(50, noise=0, factor=0.3)
    >>> np.unique((x**2).sum(axis=1).astype(float).round(4)).tolist()
    [0.09, 1.0]
    """
    rng = _generator(seed)
    factor = _validate.number(factor, "factor", minimum=0, maximum=1)
    y = _classes_of(_count(samples), 2)
    angle = 2 * np.pi * rng.uniform(size=len(y))
    radius = np.where(y == 0, 1.0, factor)
    return _mixed(radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), y, noise, rng)


def blobs(
    samples: int = 300, classes: int = 3, features: int = 2, spread: float = 1.0, seed: int | None = 0
) -> tuple[Floats, Labels]:
    """Normal clouds, one for each class, around centres drawn from [-5, 5].

    Parameters
    ----------
    samples : int
    classes : int
    features : int
        How many columns x has.
    spread : float
        The standard deviation of a cloud.
    seed : int, optional

    Returns
    -------
    x : ndarray of float32, shape (samples, features)
    y : ndarray of int64, shape (samples,)

    Examples
    --------
    >>> x, y = blobs(10, classes=2, features=4)
    >>> x.shape, y.shape
    ((10, 4), (10,))
    """
    rng = _generator(seed)
    classes = _validate.integer(classes, "classes", minimum=1)
    features = _validate.integer(features, "features", minimum=1)
    spread = _validate.number(spread, "spread", minimum=0)
    centres = rng.uniform(-5, 5, size=(classes, features))
    y = _classes_of(_count(samples), classes)
    return _mixed(centres[y], y, spread, rng)


# --------------------------------------------------------------------------------------------------------------- digits


def load_digits() -> tuple[Floats, Labels]:
    """1,797 handwritten digits, 0 to 9, of 8 by 8 pixels: the ones that scikit-learn ships, in the same order.

    They are the test set of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak, UCI Machine
    Learning Repository, 1998, doi:10.24432/C50P49, licence CC BY 4.0. 13 people wrote them, and each writer's digits
    follow each other: to split the set at random, shuffle it first.

    Returns
    -------
    x : ndarray of float32, shape (1797, 64)
        The rows of the pictures, one after the other: 0 is paper, 1 is ink, in steps of 1/16.
    y : ndarray of int64, shape (1797,)

    Examples
    --------
    >>> x, y = load_digits()
    >>> x.shape, y[:12].tolist()
    ((1797, 64), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
    >>> for row in x[0].reshape(8, 8):
    ...     print("".join(" .:-=+*#@"[int(8 * pixel)] * 2 for pixel in row).rstrip())
        ::**==
        **##++##::
      ..##..  ++==
      ::**    ====
      ::==    ====
      ::++    **--
      ..##::++**
        --**++
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        return file["pixels"].astype(np.float32) / np.float32(16), file["labels"].astype(np.int64)


# A stroke is a line through points, or (x, y, a, b, from, to): an arc of the ellipse around (x, y) with half axes a and
# b, from an angle to another in degrees, 0 to the right and 90 upwards. The digits lie in 0..1, y upwards.
LINES: dict[int, list[list[tuple[float, float]]]] = {
    1: [[(0.32, 0.76), (0.52, 0.95), (0.52, 0.05)]],
    2: [[(0.74, 0.57), (0.24, 0.05), (0.78, 0.05)]],
    4: [[(0.60, 0.95), (0.20, 0.34), (0.82, 0.34)], [(0.62, 0.60), (0.62, 0.05)]],
    5: [[(0.74, 0.95), (0.32, 0.95), (0.28, 0.55)]],
    6: [[(0.62, 0.95), (0.30, 0.45)]],
    7: [[(0.22, 0.95), (0.78, 0.95), (0.42, 0.05)]],
    9: [[(0.75, 0.68), (0.64, 0.05)]],
}
ARCS: dict[int, list[tuple[float, float, float, float, float, float]]] = {
    0: [(0.5, 0.5, 0.27, 0.45, 0, 360)],
    2: [(0.51, 0.70, 0.25, 0.25, 160, -32)],
    3: [(0.48, 0.73, 0.24, 0.22, 150, -90), (0.48, 0.28, 0.27, 0.23, 90, -150)],
    5: [(0.48, 0.34, 0.27, 0.27, 135, -150)],
    6: [(0.51, 0.30, 0.24, 0.25, 0, 360)],
    8: [(0.5, 0.73, 0.21, 0.21, 0, 360), (0.5, 0.28, 0.25, 0.24, 0, 360)],
    9: [(0.51, 0.70, 0.24, 0.25, 0, 360)],
}


def _segments(digit: int) -> Floats:
    """The strokes of a digit as short lines, shape (lines, 2 ends, 2 coordinates)."""
    strokes = [np.array(points) for points in LINES.get(digit, ())]
    for x, y, a, b, begin, end in ARCS.get(digit, ()):
        angle = np.radians(np.linspace(begin, end, 2 + int(abs(end - begin) / 24)))
        strokes.append(np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], axis=1))
    return np.concatenate([np.stack([points[:-1], points[1:]], axis=1) for points in strokes]).astype(np.float32)


def _distances(points: Floats, segments: Floats) -> Floats:
    """From each point, shape (digits, points, 2), to the nearest of some segments."""
    begin, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    relative = points[:, :, None] - begin
    share = (relative * along).sum(axis=-1) / (along**2).sum(axis=-1)
    gap = relative - np.clip(share, 0, 1)[..., None] * along
    result: Floats = np.sqrt((gap**2).sum(axis=-1).min(axis=-1))
    return result


def _placed(size: int, count: int, shift: float, rotation: float, rng: np.random.Generator) -> Floats:
    """Where each pixel lies in the square of a digit, for digits turned, slanted, stretched and shifted at random."""
    centres = (np.arange(size) + 0.5) / size - 0.5
    grid = np.stack(np.meshgrid(centres, -centres), axis=-1).reshape(1, -1, 2)
    grid = grid - shift / size * rng.uniform(-1, 1, size=(count, 1, 2))
    angle = math.radians(rotation) * rng.uniform(-1, 1, size=count)
    slant, scale = 0.25 * rng.uniform(-1, 1, size=count), rng.uniform(1.05, 1.35, size=(count, 2))
    back = np.empty((count, 2, 2))
    back[:, 0, 0], back[:, 0, 1] = np.cos(angle), -np.sin(angle)
    back[:, 1, 0], back[:, 1, 1] = np.sin(angle), np.cos(angle)
    points = grid @ back
    points[:, :, 0] -= slant[:, None] * points[:, :, 1]
    return (points * scale[:, None] + 0.5).astype(np.float32)


def make_digits(
    samples: int = 1000,
    size: int = 8,
    noise: float = 0.08,
    shift: float | None = None,
    rotation: float = 15.0,
    seed: int | None = 0,
) -> tuple[Floats, Labels]:
    """Drawn digits, 0 to 9: strokes of a pen at random places, angles, sizes and widths, with noise.

    Without a hidden layer a network reads most of them, with one nearly all.

    Parameters
    ----------
    samples : int
    size : int
        Pixels to a side: 8, 28 or any number from 4 on.
    noise : float
        The standard deviation of a pixel's noise.
    shift : float, optional
        How many pixels a digit is moved by, at most, each way; a tenth of the size if None.
    rotation : float
        How many degrees it is turned by, at most.
    seed : int, optional

    Returns
    -------
    x : ndarray of float32, shape (samples, size * size)
        The rows of the pictures, one after the other: 0 is paper, 1 is ink.
    y : ndarray of int64, shape (samples,)

    Examples
    --------
    >>> x, y = make_digits(50, size=8)
    >>> x.shape, float(x.min()) >= 0, float(x.max()) <= 1
    ((50, 64), True, True)
    """
    rng = _generator(seed)
    count, size = _count(samples), _validate.integer(size, "size", minimum=4)
    noise = _validate.number(noise, "noise", minimum=0)
    shift = size / 10 if shift is None else _validate.number(shift, "shift", minimum=0)
    rotation = _validate.number(rotation, "rotation", minimum=0)
    y = rng.permutation(_classes_of(count, 10))
    x = np.empty((count, size * size), np.float32)
    blur = 0.6 / size  # half of the width over which an edge goes from ink to paper
    block = max(1, 2_000_000 // (size * size * 40))  # digits at a time, so that what is in memory stays small
    for digit in range(10):
        rows = np.flatnonzero(y == digit)
        for begin in range(0, len(rows), block):
            some = rows[begin : begin + block]
            points = _placed(size, len(some), shift, rotation, rng)
            width = rng.uniform(0.04, 0.075, size=(len(some), 1))
            ink = np.clip((width + blur - _distances(points, _segments(digit))) / (2 * blur), 0, 1)
            x[some] = np.clip(ink + noise * rng.normal(size=ink.shape), 0, 1)
    return x, y
