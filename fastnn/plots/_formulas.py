"""Activations and losses as functions of one number."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _validate
from fastnn import activations as functions
from fastnn import losses as kinds
from fastnn.plots._drawing import BESIDE, Axes, add_legend, axes_for, colour_of, tidy


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
    ax = axes_for(ax)
    x = np.linspace(low, high, 2001)
    drawn = []
    for number, name in enumerate(names):
        colour = colour_of(number)
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
    tidy(ax, "x", "")
    add_legend(ax, **BESIDE)
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
    ax = axes_for(ax)
    y_pred = np.linspace(low, high, 1201)[:, None]
    y_true = np.full_like(y_pred, target)
    highest = 0.0
    for number, one in enumerate(given):
        loss = kinds.as_loss(one)
        colour, label = colour_of(number), one if isinstance(one, str) else loss.name
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
    tidy(ax, f"prediction, for a target of {target:g}", "loss")
    add_legend(ax)
    return ax
