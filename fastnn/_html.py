"""What notebooks show: tables of models and of training, every text in them escaped."""

import numbers
from collections.abc import Sequence
from html import escape
from typing import Any

from fastnn._summary import described, totals

MOST_EPOCHS = 20


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], below: Sequence[str]) -> str:
    """A table of texts, with lines below that span it."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    foot = "".join(f'<tr><td colspan="{len(heads)}">{escape(text)}</td></tr>' for text in below)
    return (
        f"<table><caption>{escape(caption)}</caption><thead>{line(heads, 'th')}</thead>"
        f"<tbody>{body}</tbody><tfoot>{foot}</tfoot></table>"
    )


def model_table(model: Any) -> str:
    """A model's layers as `summary` has them."""
    return table(f'Model: "{model.name}"', *described(model), totals(model))


def history_table(history: Any) -> str:
    """The logs of the last epochs, which are numbered as fit prints them."""
    names = list(history.history)
    # a name that was not in the logs of every epoch has fewer values than there are epochs
    columns = [values if len(values) == len(history.epoch) else None for values in history.history.values()]
    rows = [
        [str(epoch + 1), *("" if values is None else _text(values[at]) for values in columns)]
        for at, epoch in list(enumerate(history.epoch))[-MOST_EPOCHS:]
    ]
    hidden = len(history.epoch) - len(rows)
    return table("History", ["epoch", *names], rows, [f"{hidden} epochs before these"] if hidden else [])


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, numbers.Real) else str(value)
