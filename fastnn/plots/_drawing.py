"""What all pictures have in common: Axes, colours, scales and legends."""

import importlib
from collections.abc import Mapping
from typing import Any

Axes = Any
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
SHAPES = "osD^vP*X"
PALE = "#BBBBBB"
PLAIN: Mapping[str, Any] = {"frameon": True, "framealpha": 0.85, "edgecolor": "none"}  # readable over lines too
BESIDE: Mapping[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}  # where a legend hides nothing


def axes_for(ax: Axes, size: tuple[float, float] = (6.4, 4.2)) -> Axes:
    """The Axes to draw into."""
    if ax is not None:
        return ax
    _, made = matplotlib("pyplot").subplots(figsize=size, layout="constrained")
    return made


def matplotlib(module: str = "") -> Any:
    """matplotlib, or a module of it."""
    try:
        return importlib.import_module(f"matplotlib.{module}" if module else "matplotlib")
    except ImportError:
        raise ImportError("fastnn.plots draws by matplotlib, which is not installed: pip install matplotlib") from None


def colour_of(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def tidy(ax: Axes, xlabel: str, ylabel: str, title: str = "") -> Axes:
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


def add_legend(ax: Axes, **options: Any) -> None:
    if ax.get_legend_handles_labels()[0]:
        ax.legend(**PLAIN, **options)


def whole_numbers(axis: Any) -> None:
    axis.set_major_locator(matplotlib("ticker").MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def logarithmic(ax: Axes) -> None:
    """A logarithmic scale whose figures are plain numbers where it spans little."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high < 30 * low:
        ticker = matplotlib("ticker")
        ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(ticker.NullFormatter())
