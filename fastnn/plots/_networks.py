"""Pictures of a network: what it answers where, its units and weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn.plots._drawing import BESIDE, COLOURS, SHAPES, Axes, add_legend, axes_for, colour_of


def decision_boundary(
    model: Any, x: Any, y: Any = None, *, steps: int = 200, names: Sequence[str] | None = None, ax: Axes = None
) -> Axes:
    """Which class a model gives to each point of the plane, and the samples.

    Parameters
    ----------
    model : Sequential, or any function of points (N, 2)
        With one output (a probability, or a score whose sign counts) or one for each class.
    x : array_like, shape (N, 2)
    y : array_like, shape (N,), optional
        Class numbers: without them the samples are not drawn in colours.
    steps : int
        To how many places a side the model is put.
    names : list of str, optional
        Of the classes.
    ax : Axes, optional

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import datasets, layers, plots
    >>> x, y = datasets.moons(100)
    >>> model = fastnn.Sequential([layers.Dense(8, "tanh"), layers.Dense(1, "sigmoid")], seed=0)
    >>> model.compile("adam", "binary_crossentropy")
    >>> history = model.fit(x, y, epochs=5, verbose=0)
    >>> ax = plots.decision_boundary(model, x, y, names=["upper", "lower"])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['upper', 'lower']
    """
    points = np.asarray(x, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"x: expected points of the plane, shape (N, 2), got shape {points.shape}")
    steps = _validate.integer(steps, "steps", minimum=2)
    ax = axes_for(ax, (5.6, 5.0))
    low, high = points.min(axis=0), points.max(axis=0)
    edge = 0.08 * np.where(high > low, high - low, 1.0)
    across, up = (np.linspace(low[i] - edge[i], high[i] + edge[i], steps) for i in (0, 1))
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    output = np.asarray(model(grid)).reshape(len(grid), -1)
    label = _labels(y, len(points))
    if output.shape[1] == 1:
        middle = 0.5 if output.min() >= 0 and output.max() <= 1 else 0.0
        output = np.concatenate([middle - output, output - middle], axis=1)
    count = output.shape[1]
    colours = [colour_of(i) for i in range(count)]
    for i in range(count):
        others = np.delete(output, i, axis=1).max(axis=1)
        lead = np.ma.masked_invalid(output[:, i] - others).reshape(steps, steps)  # class numbers would make stairs
        if not lead.max() > 0:
            continue
        ax.contourf(across, up, lead, levels=[0, lead.max()], colors=[colours[i]], alpha=0.22, extend="max")
        if lead.min() < 0:
            ax.contour(across, up, lead, levels=[0], colors="#555555", linewidths=0.8)
    if y is None:
        ax.scatter(*points.T, s=18, color="#555555", edgecolor="white", linewidth=0.5)
    for i in range(count) if y is not None else ():
        name = f"class {i}" if names is None else str(names[i])
        rows = label == i
        marker = SHAPES[(i + i // len(COLOURS)) % len(SHAPES)]  # where a colour comes again, another shape
        ax.scatter(*points[rows].T, s=22, color=colours[i], marker=marker, edgecolor="white", linewidth=0.5, label=name)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.set_xlabel("$x_1$")
    ax.set_ylabel("$x_2$")
    add_legend(ax, **BESIDE)
    return ax


def _labels(y: Any, count: int) -> npt.NDArray[np.int64]:
    """Class numbers, of numbers, of -1 and +1, or of one-hot rows."""
    if y is None:
        return np.zeros(0, np.int64)
    array = np.asarray(y)
    if len(array) != count:
        raise ValueError(f"y: expected a class for each of the {count} points of x, got {len(array)}")
    rows = array.reshape(count, -1)
    numbers = rows.argmax(axis=1) if rows.shape[1] > 1 else rows[:, 0]
    return np.asarray(np.maximum(numbers, 0), np.int64)


def network(model: Any, *, most: int = 8, ax: Axes = None) -> Axes:
    """The units of a model's layers, and its weights as lines: blue ones are positive, orange ones negative, and the
    wider the larger. Of layers with more units than `most`, the first and the last are drawn.

    Parameters
    ----------
    model : Sequential
        A built one.
    most : int
        How many units of a layer to draw.
    ax : Axes, optional

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import layers, plots
    >>> model = fastnn.Sequential([layers.Input((2,)), layers.Dense(3, "tanh"), layers.Dense(1)], seed=0)
    >>> [text.get_text().split() for text in plots.network(model).texts]
    [['2', 'input'], ['3', 'tanh'], ['1', 'linear']]
    """
    from fastnn.diagnostics._symptoms import following_activation
    from fastnn.layers import Dense

    most = _validate.integer(most, "most", minimum=2)
    dense = [layer for layer in model._flat() if isinstance(layer, Dense)] if model.built else []
    if not dense:
        raise ValueError("model: expected a built one with Dense layers; call build, or begin with an Input")
    sizes = [dense[0].kernel.shape[0], *(layer.kernel.shape[1] for layer in dense)]
    ax = axes_for(ax, (1.7 * len(sizes) + 1.2, 0.46 * min(max(sizes), most) + 1.7))
    columns = [_units(size, most) for size in sizes]
    for i, layer in enumerate(dense):
        left, right = columns[i], columns[i + 1]
        if layer.kernel.shape[0] != sizes[i]:
            continue  # of a branch: what it sees is not the layer before it
        kernel = np.asarray(layer.kernel, np.float64)
        largest = float(np.abs(kernel).max()) or 1.0
        for j, from_y in left.items():
            for k, to_y in right.items():
                share = kernel[j, k] / largest
                colour = colour_of(0) if share >= 0 else colour_of(1)
                width, strength = 0.3 + 2.2 * abs(share), 0.15 + 0.75 * abs(share)
                ax.plot([i, i + 1], [from_y, to_y], color=colour, linewidth=width, alpha=strength, zorder=1)
    names = ["input", *(following_activation(model, layer) for layer in dense)]
    bottom = min(min(column.values()) for column in columns) - 0.9
    for i, (size, column) in enumerate(zip(sizes, columns, strict=True)):
        heights = list(column.values())
        ax.scatter([i] * len(heights), heights, s=190, color="white", edgecolor="#333333", linewidth=1.2, zorder=2)
        if size > most:
            ax.text(i, 0, "⋮", ha="center", va="center", fontsize=16, zorder=3)
        ax.text(i, bottom, f"{size}\n{names[i]}", ha="center", va="top")
    for number, label in ((0, "positive weight"), (1, "negative weight")):
        ax.plot([], [], color=colour_of(number), linewidth=2, label=label)
    add_legend(ax, loc="lower center", bbox_to_anchor=(0.5, 0.98), ncols=2)
    ax.set_xlim(-0.5, len(sizes) - 0.5)
    ax.set_ylim(bottom - 1.1, max(max(column.values()) for column in columns) + 0.6)
    ax.set_axis_off()
    return ax


def _units(size: int, most: int) -> dict[int, float]:
    """The heights at which units are drawn, by their numbers: around 0, with a gap where some are left out."""
    if size <= most:
        return {j: (size - 1) / 2 - j for j in range(size)}
    above = (most - 1 + 1) // 2
    below = most - 1 - above
    heights = {j: (most - 1) / 2 - j for j in range(above)}
    heights.update({size - below + j: -(most - 1) / 2 + (below - 1 - j) for j in range(below)})
    middle = (min(heights[j] for j in range(above)) + max([heights[size - below + j] for j in range(below)])) / 2
    return {j: height - middle for j, height in heights.items()}
