"""Ways of optimizers over a surface."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn.plots._drawing import Axes, add_legend, axes_for, colour_of


def descent_path(
    surface: Callable[[Any, Any], Any],
    paths: Mapping[str, Any],
    *,
    low: tuple[float, float] | None = None,
    high: tuple[float, float] | None = None,
    levels: int = 18,
    ax: Axes = None,
) -> Axes:
    """Ways of optimizers over a surface, drawn as a map of its heights; a square is where one begins, a dot where it
    ends.

    Parameters
    ----------
    surface : function
        ``surface(a, b)`` of two arrays: the loss at each place.
    paths : dict
        For each name the places that were come by, shape (steps, 2).
    low, high : pair of float, optional
        The corners of the map; what the paths need, and some room, if None.
    levels : int
        How many lines of equal height.
    ax : Axes, optional

    Examples
    --------
    >>> from fastnn import plots
    >>> way = [[1.0, 1.0], [0.6, 0.2], [0.36, 0.04]]  # of gradient descent at a rate of 0.2
    >>> ax = plots.descent_path(lambda a, b: a**2 + 2 * b**2, {"plain": way})
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('$w_1$', '$w_2$')
    """
    ways = {str(name): np.asarray(path, np.float64) for name, path in paths.items()}
    for name, way in ways.items():
        if way.ndim != 2 or way.shape[1] != 2 or not len(way):
            raise ValueError(f"paths[{name!r}]: expected places, shape (steps, 2), got shape {way.shape}")
    if not ways:
        raise ValueError("paths: expected at least one, got none")
    levels = _validate.integer(levels, "levels", minimum=1)
    every = np.concatenate(list(ways.values()))
    every = every[np.isfinite(every).all(axis=1)]
    room = 0.15 * np.maximum(np.ptp(every, axis=0), 1e-3 + 0.3 * np.ptp(every))
    begin = every.min(axis=0) - room if low is None else np.asarray(low, float)
    end = every.max(axis=0) + room if high is None else np.asarray(high, float)
    ax = axes_for(ax, (6.2, 4.8))
    a, b = np.meshgrid(np.linspace(begin[0], end[0], 201), np.linspace(begin[1], end[1], 201))
    heights = np.asarray(surface(a, b), np.float64)
    lines = _heights(heights, levels)
    ax.contourf(a, b, heights, levels=lines, cmap="Greys", alpha=0.35, extend="both")
    ax.contour(a, b, heights, levels=lines, colors="#999999", linewidths=0.6, linestyles="solid")
    for number, (name, way) in enumerate(ways.items()):
        colour = colour_of(number)
        marker = "." if len(way) <= 60 else ""
        ax.plot(*way.T, color=colour, linewidth=1.4, marker=marker, markersize=4, label=name, zorder=3)
        ax.plot(*way[0], "s", color=colour, markersize=6, zorder=4, markeredgecolor="white")
        ax.plot(*way[-1], "o", color=colour, markersize=8, zorder=5, markeredgecolor="white")
    ax.set_xlim(begin[0], end[0])
    ax.set_ylim(begin[1], end[1])
    ax.set_xlabel("$w_1$")
    ax.set_ylabel("$w_2$")
    add_legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=min(3, len(ways)))
    return ax


def _heights(values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Heights for the lines: closer together near the bottom, where paths end."""
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(np.quantile(finite, 0.98))
    if not high > low:
        high = low + 1.0
    span = high - low
    assert math.isfinite(span)
    return np.asarray(low + span * np.linspace(0, 1, count + 1)[1:] ** 2, np.float64)
