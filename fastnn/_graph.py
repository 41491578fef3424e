"""Where the nodes of a graph of numbers are drawn: in columns, so that no line passes through a box."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastnn.reference import autograd


def columns_of(order: Sequence[Any]) -> dict[int, int]:
    """A node is a column after the last of its parents; one without parents, a column before the first that uses it."""
    column: dict[int, int] = {}
    for node in order:
        column[id(node)] = 1 + max((column[id(parent)] for parent in node.parents), default=-1)
    first: dict[int, int] = {}
    for node in order:
        for parent in node.parents:
            first[id(parent)] = min(column[id(node)], first.get(id(parent), column[id(node)]))
    return column | {id(node): first.get(id(node), 1) - 1 for node in order if not node.parents}


def heights_of(order: Sequence[Any], column: Mapping[int, int]) -> dict[tuple[int, int], float]:
    """The middle of each node, by its id and column; and of the gap that a line goes through in each column on its way.

    What belongs together is brought to the same height by going over the columns to and fro.
    """
    before: dict[tuple[int, int], list[tuple[int, int]]] = {(id(node), column[id(node)]): [] for node in order}
    for node in order:
        for parent in node.parents:
            for at in range(column[id(parent)] + 1, column[id(node)]):
                before[id(parent), at] = [(id(parent), at - 1)]
            before[id(node), column[id(node)]].append((id(parent), column[id(node)] - 1))
    after: dict[tuple[int, int], list[tuple[int, int]]] = {one: [] for one in before}
    for one, those in before.items():
        for other in those:
            after[other].append(one)
    columns = [[one for one in before if one[1] == at] for at in range(1 + max(column.values()))]
    room = {one: autograd.GAP_Y + (autograd.BOX_HEIGHT if column[one[0]] == one[1] else 0) for one in before}
    height = dict.fromkeys(before, 0.0)
    for beside in (before, after, before, after, before, after):
        for items in columns if beside is before else reversed(columns):
            _stack(items, beside, room, height)
    return height


def _stack(
    items: list[Any], beside: Mapping[Any, list[Any]], room: Mapping[Any, float], height: dict[Any, float]
) -> None:
    """Items one under the other, by the mean height of those beside them, and around their own mean."""
    wanted = {
        one: sum(height[n] for n in beside[one]) / len(beside[one]) if beside[one] else height[one] for one in items
    }
    items.sort(key=lambda one: -wanted[one])
    top = sum(room[one] for one in items) / 2 + sum(wanted.values()) / len(items)
    for one in items:
        height[one] = top - room[one] / 2
        top -= room[one]


def way(stops: Sequence[tuple[float, float]], end: tuple[float, float], wide: float) -> list[tuple[float, float]]:
    """A curve from the right side of each stop to the left side of the next, and straight on through it."""
    points = []
    for (x, y), (to_x, to_y) in zip(stops, [*stops[1:], end], strict=True):
        middle = (x + wide + to_x) / 2
        points += [(x + wide, y), (middle, y), (middle, to_y), (to_x, to_y)]
    return points
