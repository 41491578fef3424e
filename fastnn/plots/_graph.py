"""A graph of values, drawn."""

from typing import Any

from fastnn.plots._drawing import Axes, axes_for, matplotlib


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
    letters = 9.0 if ax is None else _letters(ax, right + 24, top - bottom)
    ax = axes_for(ax, (max(4.0, right / 72), max(1.8, (top - bottom) / 72)))
    path, patches = matplotlib("path").Path, matplotlib("patches")
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
        ax.text(x + wide / 2, y, "\n".join(autograd._lines(node)), ha="center", va="center", fontsize=letters, zorder=3)
    ax.set_xlim(-12, right + 12)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax


def _letters(ax: Axes, width: float, height: float) -> float:
    """The size of letters that fit the boxes, in Axes that may be smaller than the graph."""
    box, (across, up) = ax.get_position(), ax.figure.get_size_inches()
    return float(min(9.0, 9.0 * 72 * box.width * across / width, 9.0 * 72 * box.height * up / height))
