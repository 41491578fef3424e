"""Pictures, by matplotlib, which is imported when one is drawn.

Each function takes ``ax=``, the Axes to draw into, makes new ones if there are none, and returns them: title, size and
the rest can be changed after that. The colours are told apart by colour-blind eyes too (Okabe and Ito's).

>>> curves({"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]}).get_xlabel()
'epoch'
"""

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn import activations as functions
from fastnn import losses as kinds

__all__ = [
    "activations",
    "curves",
    "decision_boundary",
    "descent_path",
    "gradient_flow",
    "graph",
    "losses",
    "lr_find",
    "network",
]

Axes = Any
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
SHAPES = "osD^vP*X"
PALE = "#BBBBBB"
PLAIN: Mapping[str, Any] = {"frameon": True, "framealpha": 0.85, "edgecolor": "none"}  # readable over lines too
BESIDE: Mapping[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}  # where a legend hides nothing


def _axes(ax: Axes, size: tuple[float, float] = (6.4, 4.2)) -> Axes:
    """The Axes to draw into."""
    if ax is not None:
        return ax
    _, made = _matplotlib("pyplot").subplots(figsize=size, layout="constrained")
    return made


def _matplotlib(module: str = "") -> Any:
    """matplotlib, or a module of it."""
    try:
        return importlib.import_module(f"matplotlib.{module}" if module else "matplotlib")
    except ImportError:
        raise ImportError("fastnn.plots draws by matplotlib, which is not installed: pip install matplotlib") from None


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _tidy(ax: Axes, xlabel: str, ylabel: str, title: str = "") -> Axes:
    """Names of the axes, a faint grid, and no box at the top and the right."""
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if title:
        ax.set_title(title)
    ax.grid(True, color="#E5E5E5", linewidth=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def _legend(ax: Axes, **options: Any) -> None:
    if ax.get_legend_handles_labels()[0]:
        ax.legend(**PLAIN, **options)


# ------------------------------------------------------------------------------------------------------------ training


def curves(history: Any, names: Sequence[str] | None = None, *, log: bool = False, ax: Axes = None) -> Axes:
    """What `fit` returned, epoch by epoch; values of the validation are dashed, in the colour of their like.

    Parameters
    ----------
    history : History or dict
    names : list of str, optional
        Which of them, without ``val_``; the loss alone if None.
    log : bool
        A logarithmic scale.
    ax : Axes, optional

    Examples
    --------
    >>> from fastnn import plots
    >>> ax = plots.curves({"loss": [0.9, 0.5, 0.4], "val_loss": [1.0, 0.7, 0.8]}, log=True)
    >>> [line.get_label() for line in ax.get_lines()]
    ['loss', 'loss, validation']
    """
    values: Mapping[str, Sequence[float]] = getattr(history, "history", history)
    names = ["loss"] if names is None else [names] if isinstance(names, str) else list(names)
    first = [float(e) + 1 for e in getattr(history, "epoch", [])]
    for name in names:
        if name not in values:
            _validate.choice(name, "names", list(values))
    ax = _axes(ax)
    for number, name in enumerate(names):
        solid, dashed = ("-", "--") if number < len(COLOURS) else ("-.", ":")  # where a colour comes again
        for key, style, label in ((name, solid, name), (f"val_{name}", dashed, f"{name}, validation")):
            if key not in values:
                continue
            line = np.asarray(values[key], np.float64)
            # a validation that is not of each epoch belongs to later ones
            epochs = first if len(first) == len(line) else _spread(len(line), len(values[name]), first)
            marker = "o" if len(line) < 2 else ""
            ax.plot(epochs, line, style, color=_colour(number), label=label, marker=marker)
    if log and any(np.any(np.asarray(line.get_ydata(), np.float64) > 0) for line in ax.get_lines()):
        _logarithmic(ax)
    _whole(ax.xaxis)
    _tidy(ax, "epoch", names[0] if len(names) == 1 else "value")
    _legend(ax, **(BESIDE if len(ax.get_lines()) > 4 else {}))
    return ax


def _spread(count: int, epochs: int, first: list[float]) -> npt.NDArray[np.float64]:
    """The epochs of values of which there are fewer: every so many."""
    begin = first[0] if first else 1.0
    every = max(1, epochs // max(1, count))
    return np.asarray(begin + np.arange(1, count + 1) * every - 1, np.float64)


def _whole(axis: Any) -> None:
    axis.set_major_locator(_matplotlib("ticker").MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def _logarithmic(ax: Axes) -> None:
    """A logarithmic scale whose figures are plain numbers where it spans little."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high < 30 * low:
        ticker = _matplotlib("ticker")
        ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(ticker.NullFormatter())


def lr_find(result: Any, *, ax: Axes = None) -> Axes:
    """The losses of a range test over the rates, and the rate that it suggests.

    Parameters
    ----------
    result : RangeTest
        Of `fastnn.diagnostics.lr_find`.
    ax : Axes, optional

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import datasets, layers, plots
    >>> x, y = datasets.moons(100)
    >>> model = fastnn.Sequential([layers.Dense(8, "tanh"), layers.Dense(1, "sigmoid")], seed=0)
    >>> model.compile("adam", "binary_crossentropy")
    >>> ax = plots.lr_find(fastnn.diagnostics.lr_find(model, x, y, steps=50))
    >>> ax.get_xlabel(), ax.get_xscale()
    ('learning rate', 'log')
    """
    ax = _axes(ax)
    ax.plot(result.rates, result.losses, color=PALE, linewidth=0.8, label="of the batches")
    ax.plot(result.rates, result.smoothed, color=_colour(0), linewidth=2, label="smoothed")
    ax.plot(result.rates, result.probe, color=_colour(2), linewidth=1.5, linestyle="--", label="of fixed samples")
    smooth = np.concatenate([result.smoothed, result.probe])
    low, high = float(np.nanmin(smooth)), float(max(result.smoothed[0], result.probe[0]))
    room = (high - low) or 1.0
    ax.set_ylim(low - 0.15 * room, high + 0.4 * room)  # what diverges would flatten the rest
    if result.suggestion is not None:
        ax.axvline(result.suggestion, color=_colour(1), linewidth=1.5, label=f"suggested: {result.suggestion:.2g}")
    ax.set_xscale("log")
    _tidy(ax, "learning rate", "loss")
    _legend(ax)
    return ax


def gradient_flow(result: Any, *, ax: Axes = None) -> Axes:
    """How large the gradients of the layers are.

    Of `fastnn.diagnostics.gradient_flow`, a bar for each layer with weights, and the share of its units that are dead
    or saturated written beside it. Of a `GradientMonitor`, a line for each layer over the epochs, from the first layer,
    blue, to the last, yellow.

    Parameters
    ----------
    result : GradientFlow or GradientMonitor
    ax : Axes, optional

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import datasets, layers, plots
    >>> x, y = datasets.moons(100)
    >>> model = fastnn.Sequential([layers.Dense(8, "tanh"), layers.Dense(1, "sigmoid")], seed=0)
    >>> model.compile("adam", "binary_crossentropy")
    >>> ax = plots.gradient_flow(fastnn.diagnostics.gradient_flow(model, x, y))
    >>> len(ax.patches)  # a bar a layer
    2
    """
    if hasattr(result, "history"):
        return _monitor(result, _axes(ax))
    rows = [one for one in result.layers if one.gradient is not None]
    ax = _axes(ax, (6.4, max(2.4, 0.36 * len(rows) + 1.2)))
    norms = [one.gradient for one in rows]
    positive = [norm for norm in norms if norm > 0]
    log = bool(positive) and max(positive) > 30 * min(positive)
    floor = min(positive) / 10 if positive else 1.0
    places = np.arange(len(rows))
    ax.barh(
        places, [norm or floor for norm in norms], color=[_colour(0) if norm else PALE for norm in norms], height=0.7
    )
    ax.set_yticks(places, [one.name for one in rows])
    ax.invert_yaxis()
    for place, one in zip(places, rows, strict=True):
        notes = [f"{share:.0%} {what}" for share, what in _shares(result, one) if share and share >= 0.005]
        if not one.gradient:
            notes.insert(0, "gradient 0")
        ax.annotate(", ".join(notes), (one.gradient or floor, place), (5, 0), textcoords="offset points", va="center")
    if log:
        ax.set_xscale("log")
    ax.margins(x=0.3)
    _tidy(ax, "norm of the gradient", "", "from the first layer to the last")
    ax.grid(False, axis="y")
    return ax


def _shares(result: Any, layer: Any) -> list[tuple[float | None, str]]:
    """A layer's shares, or those of the activation behind it."""
    at = result.layers.index(layer)
    one = layer
    if layer.activation is None and at + 1 < len(result.layers) and result.layers[at + 1].gradient is None:
        one = result.layers[at + 1]
    return [(one.dead, "dead"), (one.saturated, "saturated")]


def _monitor(monitor: Any, ax: Axes) -> Axes:
    colours = _matplotlib().colormaps["cividis"](np.linspace(0, 0.92, max(1, len(monitor.history))))
    epochs = [epoch + 1 for epoch in monitor.epochs]
    marker = "o" if len(epochs) < 2 else ""
    for colour, (name, figures) in zip(colours, monitor.history.items(), strict=True):
        ax.plot(epochs, figures["gradient"], color=colour, label=name, marker=marker)
    if any(value > 0 for figures in monitor.history.values() for value in figures["gradient"]):
        _logarithmic(ax)
    _whole(ax.xaxis)
    _tidy(ax, "epoch", "norm of the gradient")
    if len(monitor.history) > 12:  # too many names to read: the ends of the row
        handles, labels = ax.get_legend_handles_labels()
        ends = [f"{labels[0]} (first)", f"{labels[-1]} (last)"]
        ax.legend([handles[0], handles[-1]], ends, **PLAIN, **BESIDE)
    else:
        _legend(ax, **BESIDE)
    return ax


# ------------------------------------------------------------------------------------------------------------- networks


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
    ax = _axes(ax, (5.6, 5.0))
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
    colours = [_colour(i) for i in range(count)]
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
    _legend(ax, **BESIDE)
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
    ax = _axes(ax, (1.7 * len(sizes) + 1.2, 0.46 * min(max(sizes), most) + 1.7))
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
                colour = _colour(0) if share >= 0 else _colour(1)
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
        ax.plot([], [], color=_colour(number), linewidth=2, label=label)
    _legend(ax, loc="lower center", bbox_to_anchor=(0.5, 0.98), ncols=2)
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


def graph(value: Any, *, ax: Axes = None) -> Axes:
    """A graph of `fastnn.reference.autograd`: each node with its data and its gradient, from what it was computed from
    on the left to the value on the right.

    Parameters
    ----------
    value : Value
    ax : Axes, optional

    Examples
    --------
    >>> from fastnn import plots
    >>> from fastnn.reference.autograd import Value
    >>> a, b = Value(2.0, "a"), Value(-3.0, "b")
    >>> loss = a * b + a
    >>> loss.backward()
    >>> len(plots.graph(loss).texts)  # a, b, their product, and the sum
    4
    """
    from fastnn import _graph
    from fastnn.reference import autograd

    order = autograd.topological_order(value)
    column = _graph.columns_of(order)
    height = _graph.heights_of(order, column)
    wide, high = autograd.BOX_WIDTH, autograd.BOX_HEIGHT
    step = wide + autograd.GAP_X
    right = max(column.values()) * step + wide
    top, bottom = max(height.values()) + high, min(height.values()) - high
    ax = _axes(ax, (max(4.0, right / 72), max(1.8, (top - bottom) / 72)))
    path, patches = _matplotlib("path").Path, _matplotlib("patches")
    for node in order:
        for place, parent in enumerate(node.parents):
            times = [i for i, one in enumerate(node.parents) if one is parent]  # w * w has two arrows, side by side
            aside = 10 * (times.index(place) - (len(times) - 1) / 2)
            stops = [(at * step, height[id(parent), at] + aside) for at in range(column[id(parent)], column[id(node)])]
            points = _graph.way(stops, (column[id(node)] * step, height[id(node), column[id(node)]] + aside), wide)
            codes = [path.MOVETO, *[path.CURVE4, path.CURVE4, path.CURVE4, path.LINETO] * len(stops)][:-1]
            look = {"arrowstyle": "-|>", "color": "#777777", "mutation_scale": 10, "shrinkA": 0, "shrinkB": 0}
            ax.add_patch(patches.FancyArrowPatch(path=path(points, codes), fill=False, zorder=1, **look))
    for node in order:
        x, y = column[id(node)] * step, height[id(node), column[id(node)]]
        look = {"facecolor": "#FFFFFF" if node.parents else "#E8F1F8", "edgecolor": "#333333", "zorder": 2}
        corners = "round,pad=0,rounding_size=6"
        ax.add_patch(patches.FancyBboxPatch((x, y - high / 2), wide, high, boxstyle=corners, **look))
        ax.text(x + wide / 2, y, "\n".join(autograd._lines(node)), ha="center", va="center", fontsize=9, zorder=3)
    ax.set_xlim(-12, right + 12)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax


# ------------------------------------------------------------------------------------------------------------- formulas


def activations(
    names: str | Sequence[str] = ("sigmoid", "tanh", "relu", "gelu"),
    *,
    low: float = -4.0,
    high: float = 4.0,
    derivatives: bool = True,
    ax: Axes = None,
) -> Axes:
    """Activations, and their derivatives as dashed lines of the same colour.

    Parameters
    ----------
    names : str or list of str
        Those of `fastnn.activations` that take one number.
    low, high : float
        From where to where.
    derivatives : bool
        Whether to draw them.
    ax : Axes, optional

    Examples
    --------
    >>> from fastnn import plots
    >>> ax = plots.activations(["sigmoid", "tanh"], low=-6, high=6)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['sigmoid', 'tanh', 'derivatives']
    """
    names = [names] if isinstance(names, str) else list(names)
    known = [name for name in functions.names() if not functions.TABLE[name].rowwise]
    for name in names:
        _validate.choice(functions.ALIASES.get(name, name), "names", known)
    low, high = _validate.number(low, "low"), _validate.number(high, "high", above=low)
    ax = _axes(ax)
    x = np.linspace(low, high, 2001)
    drawn = []
    for number, name in enumerate(names):
        colour = _colour(number)
        steps = {"drawstyle": "steps-mid"} if name == "step" else {}
        drawn += ax.plot(x, functions.get(name)(x), color=colour, linewidth=2, label=name, **steps)
        if derivatives:
            slopes = functions.derivative(name)(x)
            drawn += ax.plot(x, slopes, color=colour, linewidth=1.3, linestyle=(0, (4, 2)))
    if derivatives:
        ax.plot([], [], color="#555555", linewidth=1.3, linestyle=(0, (4, 2)), label="derivatives")
    for line in (ax.axhline, ax.axvline):
        line(0, color="#999999", linewidth=0.8, zorder=0)
    values = np.concatenate([np.asarray(line.get_ydata(), np.float64) for line in drawn])
    values = values[(values >= low) & (values <= high)]  # what grows fast would flatten the rest
    if len(values):
        room = 0.05 * (float(np.ptp(values)) or 1.0)
        ax.set_ylim(values.min() - room, values.max() + room)
    _tidy(ax, "x", "")
    _legend(ax, **BESIDE)
    return ax


def losses(
    names: str | Sequence[Any] = ("mean_squared_error", "mean_absolute_error", "huber"),
    *,
    target: float = 0.0,
    low: float = -3.0,
    high: float = 3.0,
    derivatives: bool = False,
    ax: Axes = None,
) -> Axes:
    """Losses of one number, over what is predicted, for one target.

    Parameters
    ----------
    names : str, Loss, or list of them
    target : float
        What is true.
    low, high : float
        The predictions, from where to where: probabilities go from 0 to 1.
    derivatives : bool
        Whether to draw d loss / d prediction, as dashed lines of the same colour.
    ax : Axes, optional

    Examples
    --------
    >>> from fastnn import plots
    >>> plots.losses(["hinge", "squared_hinge"], target=1).get_xlabel()
    'prediction, for a target of 1'
    """
    given = [names] if isinstance(names, (str, kinds.Loss)) else list(names)
    low, high = _validate.number(low, "low"), _validate.number(high, "high", above=low)
    target = _validate.number(target, "target")
    ax = _axes(ax)
    y_pred = np.linspace(low, high, 1201)[:, None]
    y_true = np.full_like(y_pred, target)
    highest = 0.0
    for number, one in enumerate(given):
        loss = kinds.as_loss(one)
        colour, label = _colour(number), one if isinstance(one, str) else loss.name
        values = [float(loss(t[None], p[None])) for t, p in zip(y_true, y_pred, strict=True)]
        highest = max(highest, *values)
        ax.plot(y_pred, values, color=colour, linewidth=2, label=str(label).replace("_", " "))
        if derivatives:
            slopes = [float(loss.gradient(t[None], p[None])[0, 0]) for t, p in zip(y_true, y_pred, strict=True)]
            ax.plot(y_pred, slopes, color=colour, linewidth=1.3, linestyle=(0, (4, 2)))
    if derivatives:
        ax.plot([], [], color="#555555", linewidth=1.3, linestyle=(0, (4, 2)), label="derivatives")
        bottom, top = ax.get_ylim()
        ax.set_ylim(max(bottom, -1.2 * highest), min(top, 1.2 * highest))  # where they are steep, little else shows
    _tidy(ax, f"prediction, for a target of {target:g}", "loss")
    _legend(ax)
    return ax


# -------------------------------------------------------------------------------------------------------------- descent


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
    ax = _axes(ax, (6.2, 4.8))
    a, b = np.meshgrid(np.linspace(begin[0], end[0], 201), np.linspace(begin[1], end[1], 201))
    heights = np.asarray(surface(a, b), np.float64)
    lines = _heights(heights, levels)
    ax.contourf(a, b, heights, levels=lines, cmap="Greys", alpha=0.35, extend="both")
    ax.contour(a, b, heights, levels=lines, colors="#999999", linewidths=0.6, linestyles="solid")
    for number, (name, way) in enumerate(ways.items()):
        colour = _colour(number)
        marker = "." if len(way) <= 60 else ""
        ax.plot(*way.T, color=colour, linewidth=1.4, marker=marker, markersize=4, label=name, zorder=3)
        ax.plot(*way[0], "s", color=colour, markersize=6, zorder=4, markeredgecolor="white")
        ax.plot(*way[-1], "o", color=colour, markersize=8, zorder=5, markeredgecolor="white")
    ax.set_xlim(begin[0], end[0])
    ax.set_ylim(begin[1], end[1])
    ax.set_xlabel("$w_1$")
    ax.set_ylabel("$w_2$")
    _legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=min(3, len(ways)))
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
