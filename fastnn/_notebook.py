"""Progress in a notebook: one output that is updated in place, so that only its last state is saved."""

import sys
from typing import Any

from fastnn._html import MOST_EPOCHS, table

__all__ = ["Board", "in_notebook"]


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return False
    try:
        return getattr(ipython.get_ipython(), "kernel", None) is not None
    except Exception:  # whatever another package does, progress is not worth an error
        return False


class Board:
    """A table with a row for each epoch, and a bar for the one that runs. As plain text: the lines of verbose=2.

    Parameters
    ----------
    title : str
        What the first column counts: "epoch", or the name of a call that has none.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.rows: list[tuple[str, str, dict[str, str]]] = []  # epoch, time, figures
        self.bar: tuple[int, int | None] | None = None  # steps done, of how many
        self.begun = 0  # epochs that have a row, or had one
        self._shown = True  # as it is now
        self._handle: Any = None

    def begin(self, name: str) -> None:
        """A row for an epoch that begins. The oldest makes room for it."""
        self.rows = [*self.rows[1 - MOST_EPOCHS :], (name, "", {})]
        self.begun += 1

    def update(self, time: str, figures: dict[str, str], bar: tuple[int, int | None] | None) -> None:
        """The state of the epoch that runs, to be shown by the next `show`."""
        self.rows[-1] = (self.rows[-1][0], time, figures)
        self.bar = bar
        self._shown = False

    def end(self) -> None:
        """The last state, without a bar, also after an error."""
        if self.bar is not None or not self._shown:
            self.bar = None
            self.show()

    def show(self) -> None:
        self._shown = True
        if self._handle is None:
            display = sys.modules["IPython"].display
            self._handle = display.display(self, display_id=True)
        else:
            self._handle.update(self)

    # ----------------------------------------------------------------------------------------- what the notebook asks

    def _hidden(self) -> list[str]:
        count = self.begun - len(self.rows)
        return [f"{count} epochs before these"] if count else []

    def _repr_html_(self) -> str:
        names = list(dict.fromkeys(name for _, _, figures in self.rows for name in figures))
        rows = [[epoch, time, *(figures.get(name, "") for name in names)] for epoch, time, figures in self.rows]
        shown = table("Progress", [self.title, "time", *names], rows, self._hidden())
        if self.bar is None:
            return shown
        done, steps = self.bar
        value = f' value="{done}" max="{steps}"' if steps else ""
        return f"{shown}<progress{value}></progress> {done}/{steps or '?'}"

    def __repr__(self) -> str:
        lines = [
            " - ".join([f"{self.title} {epoch}".strip(), time, *(f"{name}: {text}" for name, text in figures.items())])
            for epoch, time, figures in self.rows
        ]
        if self.bar is not None:
            lines[-1] = f"{lines[-1]} ({self.bar[0]}/{self.bar[1] or '?'})"
        return "\n".join([*self._hidden(), *lines])
