"""Batches made ahead: a thread takes them from their source while the model learns from those before."""

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

from fastnn import _validate

__all__ = ["Prefetched", "ahead", "prefetch"]

LOOK = 0.05  # seconds between two looks whether anybody still wants what a thread has made
LAST = 2.0  # seconds to wait for a thread that was told to stop


class Prefetched:
    """A source of batches that are to be made ahead. What it is the source's, but for when they are made."""

    def __init__(self, source: Any, size: int) -> None:
        self.source, self.size = source, size

    def __iter__(self) -> Iterator[Any]:
        return (made.element for made in ahead(iter(self.source), self.size))

    def __repr__(self) -> str:
        return f"prefetch({self.source!r}, size={self.size})"


def prefetch(source: Any, size: int = 2) -> Any:
    """Batches of a source, made in a thread of their own while the model learns from those before.

    That helps where a batch waits for a disk or a network, or is made by code that lets go of Python's lock, as NumPy's
    does in long operations: training itself holds no lock.

    Parameters
    ----------
    source : iterable
        A generator, iterator, PyDataset, DataLoader or other iterable of batches, as `fit` takes them.
    size : int
        How many batches may wait. They are kept in memory.

    Returns
    -------
    iterable
        For `fit`, `evaluate` and `predict` in the place of the source: the same batches in the same order, with the
        source's number of batches, epochs and shuffling.

    Notes
    -----
    An error of the source is raised where its batch would have come. When fit ends before the source does, up to
    `size` + 1 batches have been taken from it and not been used; an iterator is then as much further along.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn.utils import prefetch
    >>> def batches():
    ...     for i in range(10):
    ...         x = np.full((4, 2), i / 10)
    ...         yield x, x.sum(axis=1)
    >>> model = fastnn.Sequential([fastnn.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> len(model.fit(prefetch(batches()), verbose=0).epoch)
    1
    """
    size = _validate.integer(size, "size", minimum=1)
    if isinstance(source, (str, bytes)) or not (hasattr(source, "__iter__") or hasattr(source, "__getitem__")):
        raise TypeError(f"source: expected an iterable of batches, got {type(source).__name__}")
    if isinstance(source, Prefetched):
        raise TypeError("source: its batches are made ahead already; pass another size to the first prefetch")
    return Prefetched(source, size)


class Made(NamedTuple):
    """A batch, and what its source's state was when it had made it; or the error that came in its place."""

    element: Any
    state: Any
    error: BaseException | None = None
    last: bool = False


def ahead(elements: Iterator[Any], size: int, state: Callable[[], Any] | None = None) -> Generator[Made, None, None]:
    """The elements of an iterator, up to `size` of them made before they are asked for."""
    import queue  # here, since most programs make no batches ahead

    ready: queue.Queue[Made] = queue.Queue(size)
    unwanted = threading.Event()

    def offer(made: Made) -> bool:
        while not unwanted.is_set():
            try:
                ready.put(made, timeout=LOOK)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for element in elements:
                if not offer(Made(element, None if state is None else state())):
                    return
        except BaseException as error:  # whatever it is, it belongs to who asks for the next batch
            offer(Made(None, None, error))
        else:
            offer(Made(None, None, last=True))

    thread = threading.Thread(target=work, name="fastnn-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            try:
                made = ready.get(timeout=LOOK)
            except queue.Empty:
                if thread.is_alive() or not ready.empty():
                    continue
                raise RuntimeError(
                    "prefetch: the thread that makes the batches is gone: this process was forked from the one that "
                    "has it; make a new source in the child"
                ) from None
            if made.error is not None:
                raise made.error
            if made.last:
                return
            yield made
    finally:
        unwanted.set()
        thread.join(LAST)
