"""What fit, evaluate and predict show of their progress.

A live line on a terminal, a table in a notebook, a line for each epoch elsewhere, or nothing. The model calls `update`
when it has something to tell, which need not be at every batch; how often that is drawn is decided here. What cannot be
shown, because nobody reads standard output any more, is left out: a fit does not fail for it.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from fastnn import _validate
from fastnn._notebook import Board, in_notebook

__all__ = ["Progress", "Validation", "resolve", "say"]

INTERVAL = 0.1  # seconds between two states of a live line: ten in a second are as many as one can read
LINES_INTERVAL = 10.0  # seconds between two lines of a long evaluate or predict whose output is not a terminal
BAR = 24  # characters between its brackets, where there is room
SHORTEST_BAR = 8


def on_terminal(stream: Any) -> bool:
    """Whether a stream is a terminal. None and closed streams are not."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False


def resolve(verbose: Any) -> int:
    """0, 1 or 2 from what `verbose` was given: "auto" is 1 on terminals and in notebooks, and 2 elsewhere."""
    if isinstance(verbose, str) and verbose == "auto":
        return 1 if on_terminal(sys.stdout) or in_notebook() else 2
    if isinstance(verbose, (bool, np.bool_)):  # which Keras takes as 0 and 1
        return int(verbose)
    try:
        value = _validate.integer(verbose, "verbose", minimum=0)
    except (TypeError, ValueError):
        value = -1
    if value not in (0, 1, 2):
        raise ValueError(f"verbose: expected 'auto', 0 (nothing), 1 (live) or 2 (a line an epoch), got {verbose!r}")
    return value


def write(stream: Any, text: str) -> bool:
    """Write and flush. False where nobody reads any more, or nothing can be written."""
    if stream is None:
        return False
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = getattr(stream, "encoding", None) or "ascii"
            stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
    except (OSError, ValueError, AttributeError):
        return False
    return True


def say(text: str) -> None:
    """Print a message of a callback on a line of its own, below a live line if there is one."""
    live = Progress._live
    if live is not None:
        live._leave_line()
    write(sys.stdout, text + "\n")


# ---------------------------------------------------------------------------------------------------- numbers as text


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def clipped(text: str, columns: int) -> str:
    """A text, cut where it would be wider than that."""
    if width_of(text) <= columns:
        return text
    mark = "..." if columns > 6 else ""
    while text and width_of(text) > columns - len(mark):
        text = text[:-1]
    return text + mark


def duration(seconds: float) -> str:
    """7s, 2:07, 1:02:07."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def pace(seconds: float) -> str:
    """Seconds for a step, in a unit that suits it."""
    if seconds >= 1:
        return f"{seconds:.0f}s/step"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms/step"
    return f"{seconds * 1e6:.0f}us/step"


def figure(value: Any) -> str:
    """A number of the logs; of an array its mean."""
    try:
        number = float(np.mean(value))
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.4f}" if abs(number) > 1e-3 or number == 0 or number != number else f"{number:.4e}"


def printable(text: str) -> str:
    """A text without what would break a line."""
    return "".join(c if c.isprintable() else "?" for c in text)


def fitting(parts: Sequence[str], columns: int) -> str:
    """The parts joined, and where they are wider than that, those that fit, followed by "..."."""
    line, end = parts[0], " - ..."
    if width_of(" - ".join(parts)) <= columns:
        return " - ".join(parts)
    for part in parts[1:]:
        if width_of(line) + len(" - ") + width_of(part) + len(end) > columns:
            break
        line += f" - {part}"
    return clipped(line + end, columns)


def wrapped(parts: Sequence[str], columns: int) -> list[str]:
    """The parts joined, on as many lines as they need; only a part that is wider than a line is cut."""
    lines = [parts[0]]
    for part in parts[1:]:
        longer = f"{lines[-1]} - {part}"
        if width_of(longer) <= columns:
            lines[-1] = longer
        else:
            lines.append(f"  {part}")
    return [clipped(line, columns) for line in lines]


# ----------------------------------------------------------------------------------------------------------- progress


class Progress:
    """Shows the progress of one fit, evaluate or predict.

    Parameters
    ----------
    verbose : "auto", 0, 1 or 2
    label : str
        What stands before a line that is not of an epoch, as "evaluate". Nothing by default. With a label, what is not
        shown live has a line every ten seconds.
    stream : file, optional
        Where to write; by default what sys.stdout is when `begin` is called.
    clock : callable
        Gives seconds that only grow.
    notebook : bool, optional
        Whether a notebook's table is wanted; by default, whether this is a notebook.

    Notes
    -----
    The order of calls: begin, then for each epoch epoch_begin, any number of update, epoch_end; at last, whatever
    happened, end.
    """

    _live: ClassVar["Progress | None"] = None  # whose line the cursor stands in

    def __init__(
        self,
        verbose: Any = "auto",
        label: str = "",
        *,
        stream: Any = None,
        clock: Callable[[], float] = time.monotonic,
        notebook: bool | None = None,
    ) -> None:
        self.verbose = resolve(verbose)
        self.label = label
        self._stream = stream
        self._clock = clock
        self._notebook = notebook
        self._mode = "nothing"
        self._epochs = 1
        self._steps: int | None = None
        self._drawn_width = 0
        self._board: Board | None = None
        self._places: dict[str, int] = {}  # in which order figures are shown
        self._validation = ""
        self._logs: Mapping[str, Any] | None = None

    # --------------------------------------------------------------------------------------------- what a model calls

    def begin(self, epochs: int | None = None, steps: int | None = None) -> None:
        """Before everything: how many epochs there will be, and how many steps in each, where that is known."""
        self._epochs, self._steps = epochs or 1, steps
        self._to = sys.stdout if self._stream is None else self._stream
        self._mode = "nothing"
        if self.verbose == 0:
            return
        self._mode = "lines"
        if self.verbose == 1:
            if in_notebook() if self._notebook is None else self._notebook:
                self._board = Board(self.label or "Epoch")
                self._mode = "board"
                self._drawn = -np.inf
            elif on_terminal(self._to):
                self._mode = "live"

    def epoch_begin(self, epoch: int, step: int = 0) -> None:
        """An epoch begins, or goes on after `step` steps of it."""
        self._epoch, self._first, self._step = epoch, step, step
        self._started = self._clock()
        if self._mode != "board":
            self._drawn = -np.inf
        self._drawn_width = 0
        self._validation = ""
        if self._mode == "lines":
            self._drawn = self._started
        if self._board is not None:
            self._board.begin("" if self.label else f"{epoch + 1}/{self._epochs}")
        if self._mode == "live" and self._epochs > 1:
            self._write(f"{self._heading()}\n")

    def update(self, step: int, logs: Mapping[str, Any] | None = None, final: bool = False) -> None:
        """So many steps of the epoch are done."""
        self._step = step
        self._show(logs, final)

    def validating(self, done: int, steps: int | None) -> None:
        """So many batches of the validation behind an epoch's steps are done."""
        self._validation = f"validating {done}/{steps or '?'}"
        self._show(self._logs, False)

    def _show(self, logs: Mapping[str, Any] | None, final: bool) -> None:
        if self._mode == "nothing":
            return
        self._logs = logs
        for name in logs or ():
            self._places.setdefault(name.removeprefix("val_"), len(self._places))
        if self._mode == "lines" and (final or not self.label):
            return
        now = self._clock()
        if self._mode == "board":
            self._draw_board(now, logs, final)
            return
        if not final and now - self._drawn < (LINES_INTERVAL if self._mode == "lines" else INTERVAL):
            return
        self._drawn = now
        if self._mode == "lines":
            self._write(" - ".join([f"{self.label} {self._count()}", *self._times(now), *self._figures(logs)]) + "\n")
        else:
            self._draw_line(now, logs, final)

    def epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """An epoch is over: its last state is left standing."""
        if self._mode == "nothing":
            return
        now = self._clock()
        self._validation = ""
        if self._mode == "lines":
            parts = [self._heading()] if self._epochs > 1 or self.label else []
            self._write(" - ".join([*parts, *self._spent(now), *self._figures(logs)]) + "\n")
        elif self._mode == "board":
            self._draw_board(now, logs, final=True)
        else:
            self._draw_line(now, logs, final=True, over=True)
            self._leave_line()
        if self._steps is None:
            self._steps = self._step or None  # the first epoch has told

    def end(self) -> None:
        """After everything, also after an error: nothing is left half drawn."""
        self._leave_line()
        board, self._board = self._board, None
        if board is not None and self._mode == "board":
            self._on_board(board.end)
        self._mode = "nothing"

    # ----------------------------------------------------------------------------------------------------------- text

    def _heading(self) -> str:
        return self.label or f"Epoch {self._epoch + 1}/{self._epochs}"

    def _figures(self, logs: Mapping[str, Any] | None) -> list[str]:
        return [f"{name}: {text}" for name, text in self._texts(logs).items()]

    def _texts(self, logs: Mapping[str, Any] | None) -> dict[str, str]:
        """The logs as texts, in the same order in each state: the loss, metrics, and both of the validation."""

        def place(name: str) -> tuple[bool, bool, int]:
            base = name.removeprefix("val_")
            return base != name, base != "loss", self._places.get(base, len(self._places))

        return {printable(name): printable(figure(logs[name])) for name in sorted(logs, key=place)} if logs else {}

    def _count(self) -> str:
        """Steps done, of how many: as wide in every state, so that what follows does not jump."""
        steps = self._steps
        return f"{self._step}/?" if steps is None else f"{self._step:>{len(str(steps))}}/{steps}"

    def _times(self, now: float) -> list[str]:
        """How long it will still take, or has taken."""
        if self._validation:
            return [self._validation]
        if self._steps is None or self._step <= self._first:
            return [duration(now - self._started)]
        remaining = (now - self._started) / (self._step - self._first) * max(self._steps - self._step, 0)
        return [f"ETA {duration(remaining)}"]

    def _spent(self, now: float) -> list[str]:
        elapsed = max(now - self._started, 0.0)
        done = self._step - self._first
        return [f"{duration(elapsed)} {pace(elapsed / done)}" if done > 0 else duration(elapsed)]

    def _write(self, text: str) -> None:
        if not write(self._to, text):
            self._mode = "nothing"  # nobody reads: nothing more is drawn
            if Progress._live is self:
                Progress._live = None

    def _draw_line(self, now: float, logs: Mapping[str, Any] | None, final: bool, over: bool = False) -> None:
        # One less than there are: writing the last column makes some terminals wrap
        import shutil

        columns = max(shutil.get_terminal_size().columns - 1, 1)
        steps, count = self._steps, self._count()
        rest = [*(self._spent(now) if final else self._times(now)), *self._figures(logs)]
        if self.label:
            count = f"{self.label} {count}"
        # Figures matter more than the bar, which takes what they leave
        room = min(columns - width_of(" - ".join([count, *rest])) - len(" []"), BAR)
        if steps and room >= SHORTEST_BAR:
            full = min(self._step * room // steps, room)
            count += f" [{'=' * full}{('>' + '.' * (room - full - 1)) if full < room else ''}]"
        # A live line stays one line; what is left standing says everything
        line, *below = wrapped([count, *rest], columns) if over else [fitting([count, *rest], columns)]
        width = width_of(line)
        # Blanks wipe what was longer, unless the window has since become narrower
        blanks = " " * max(min(self._drawn_width, columns) - width, 0)
        self._write("\n".join([f"\r{line}{blanks}", *below]))
        if self._mode == "live":
            self._drawn_width = width_of(below[-1]) if below else width
            Progress._live = self

    def _leave_line(self) -> None:
        """End the live line, if the cursor stands in it."""
        if Progress._live is self:
            Progress._live = None
            self._drawn_width = 0
            self._write("\n")

    # ------------------------------------------------------------------------------------------------------- notebooks

    def _draw_board(self, now: float, logs: Mapping[str, Any] | None, final: bool) -> None:
        """At most ten times in a second, however short the epochs are: `end` shows the last state."""
        board, due = self._board, now - self._drawn >= INTERVAL
        if board is None or not (due or final):
            return
        times = (self._spent(now) if final else self._times(now))[0]
        board.update(times, self._texts(logs), None if final else (self._step, self._steps))
        if due:
            self._drawn = now
            self._on_board(board.show)

    def _on_board(self, show: Callable[[], None]) -> None:
        try:
            show()
        except Exception:  # a front end that fails does not end a fit
            self._mode = "nothing"


class Validation:
    """What shows the validation of an epoch in the live line of a fit: called as Progress is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._steps: int | None = None

    def begin(self, epochs: int | None = None, steps: int | None = None) -> None:
        self._steps = steps

    def epoch_begin(self, epoch: int, step: int = 0) -> None:
        pass

    def update(self, step: int, logs: Mapping[str, Any] | None = None, final: bool = False) -> None:
        self._progress.validating(step, self._steps)

    def epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        pass

    def end(self) -> None:
        pass
