"""Curves of training: losses, range tests, gradients."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn.plots._drawing import (
    BESIDE,
    COLOURS,
    PALE,
    PLAIN,
    Axes,
    add_legend,
    axes_for,
    colour_of,
    logarithmic,
    matplotlib,
    tidy,
    whole_numbers,
)


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
    ax = axes_for(ax)
    for number, name in enumerate(names):
        solid, dashed = ("-", "--") if number < len(COLOURS) else ("-.", ":")  # where a colour comes again
        for key, style, label in ((name, solid, name), (f"val_{name}", dashed, f"{name}, validation")):
            if key not in values:
                continue
            line = np.asarray(values[key], np.float64)
            # a validation that is not of each epoch belongs to later ones
            epochs = first if len(first) == len(line) else _spread(len(line), len(values[name]), first)
            marker = "o" if len(line) < 2 else ""
            ax.plot(epochs, line, style, color=colour_of(number), label=label, marker=marker)
    if log and any(np.any(np.asarray(line.get_ydata(), np.float64) > 0) for line in ax.get_lines()):
        logarithmic(ax)
    whole_numbers(ax.xaxis)
    tidy(ax, "epoch", names[0] if len(names) == 1 else "value")
    add_legend(ax, **(BESIDE if len(ax.get_lines()) > 4 else {}))
    return ax


def _spread(count: int, epochs: int, first: list[float]) -> npt.NDArray[np.float64]:
    """The epochs of values of which there are fewer: every so many."""
    begin = first[0] if first else 1.0
    every = max(1, epochs // max(1, count))
    return np.asarray(begin + np.arange(1, count + 1) * every - 1, np.float64)


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
    ax = axes_for(ax)
    ax.plot(result.rates, result.losses, color=PALE, linewidth=0.8, label="of the batches")
    ax.plot(result.rates, result.smoothed, color=colour_of(0), linewidth=2, label="smoothed")
    ax.plot(result.rates, result.probe, color=colour_of(2), linewidth=1.5, linestyle="--", label="of fixed samples")
    smooth = np.concatenate([result.smoothed, result.probe])
    low, high = float(np.nanmin(smooth)), float(max(result.smoothed[0], result.probe[0]))
    room = (high - low) or 1.0
    ax.set_ylim(low - 0.15 * room, high + 0.4 * room)  # what diverges would flatten the rest
    if result.suggestion is not None:
        ax.axvline(result.suggestion, color=colour_of(1), linewidth=1.5, label=f"suggested: {result.suggestion:.2g}")
    ax.set_xscale("log")
    tidy(ax, "learning rate", "loss")
    add_legend(ax)
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
        return _monitor(result, axes_for(ax))
    rows = [one for one in result.layers if one.gradient is not None]
    ax = axes_for(ax, (6.4, max(2.4, 0.36 * len(rows) + 1.2)))
    norms = [one.gradient for one in rows]
    positive = [norm for norm in norms if norm > 0]
    log = bool(positive) and max(positive) > 30 * min(positive)
    floor = min(positive) / 10 if positive else 1.0
    places = np.arange(len(rows))
    ax.barh(
        places, [norm or floor for norm in norms], color=[colour_of(0) if norm else PALE for norm in norms], height=0.7
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
    tidy(ax, "norm of the gradient", "", "from the first layer to the last")
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
    colours = matplotlib().colormaps["cividis"](np.linspace(0, 0.92, max(1, len(monitor.history))))
    epochs = [epoch + 1 for epoch in monitor.epochs]
    marker = "o" if len(epochs) < 2 else ""
    for colour, (name, figures) in zip(colours, monitor.history.items(), strict=True):
        ax.plot(epochs, figures["gradient"], color=colour, label=name, marker=marker)
    if any(value > 0 for figures in monitor.history.values() for value in figures["gradient"]):
        logarithmic(ax)
    whole_numbers(ax.xaxis)
    tidy(ax, "epoch", "norm of the gradient")
    if len(monitor.history) > 12:  # too many names to read: the ends of the row
        handles, labels = ax.get_legend_handles_labels()
        ends = [f"{labels[0]} (first)", f"{labels[-1]} (last)"]
        ax.legend([handles[0], handles[-1]], ends, **PLAIN, **BESIDE)
    else:
        add_legend(ax, **BESIDE)
    return ax
