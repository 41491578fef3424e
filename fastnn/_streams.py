"""One face for whatever gives batches: generators, iterators, PyDatasets, PyTorch's DataLoader, any iterable.

A batch is (x,), (x, y) or (x, y, sample_weight). Here its form is checked, so that an error names the source and the
batch; whether the arrays suit the model is the model's to see.
"""

import collections
import contextlib
import itertools
import operator
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn import _frames, _validate
from fastnn._prefetch import Made, Prefetched, ahead
from fastnn._warnings import warn
from fastnn.utils import PyDataset

__all__ = ["Batch", "Stream", "gives_batches"]

Batch: TypeAlias = "tuple[npt.NDArray[Any], npt.NDArray[Any] | None, npt.NDArray[Any] | None]"

_FORMS = "(x,), (x, y) or (x, y, sample_weight)"
_PARTS = ("x", "y", "sample_weight")


def gives_batches(value: Any) -> bool:
    """Whether an argument that may be an array or a source of batches is the latter.

    Lists and tuples are arrays: a list of batches has to be passed as iter(batches), or within a PyDataset.
    """
    if isinstance(value, PyDataset) or hasattr(value, "__next__"):
        return True
    if isinstance(value, (str, bytes, list, tuple, Mapping)) or value is None:
        return False
    # A shape: sparse matrices have no __array__
    return isinstance(value, Iterable) and not _is_array(value) and not hasattr(value, "shape")


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") or hasattr(value, "__dlpack__")


class Stream:
    """Batches out of a source.

    Parameters
    ----------
    source : iterable
        Of batches.
    name : str
        The argument that it was passed as, for messages.

    Attributes
    ----------
    length : int or None
        How many batches it gives in one pass; None where it does not tell, and where there is no end.
    reiterable : bool
        Whether it can be gone through again: not an iterator.
    indexable : bool
        Whether its batches can be taken by number, in any order.
    exhausted : bool
        Whether an iterator has given less than it was asked for: it never will, and training should stop.
    """

    def __init__(self, source: Any, name: str = "x") -> None:
        self._ahead = source.size if isinstance(source, Prefetched) else 0  # batches that may be made before their time
        self.source, self.name = source.source if isinstance(source, Prefetched) else source, name
        self._check_source()
        source = self.source
        self.reiterable = isinstance(source, PyDataset) or not hasattr(source, "__next__")
        self.indexable = isinstance(source, PyDataset) or (
            hasattr(source, "__getitem__") and (hasattr(source, "num_batches") or hasattr(source, "__len__"))
        )
        self.length = self._find_length()
        self.exhausted = False
        self._pass: Iterator[Any] | None = None  # through the source; None before the first batch and after the last
        self._index = 0  # batches of that pass so far
        self._given = 0  # batches of this epoch so far
        self._ever = False  # whether there ever was a batch
        self._restored: Mapping[str, Any] | None = None  # where the next pass begins
        self._source_state: Any = None  # of a source that is ahead: what it was after the last batch taken

    def _check_source(self) -> None:
        source, name = self.source, self.name
        if isinstance(source, Mapping):
            raise TypeError(f"{name}: expected batches {_FORMS}, got a dict; its arrays have to be passed by place")
        if isinstance(source, (str, bytes)) or not (isinstance(source, Iterable) or hasattr(source, "__getitem__")):
            raise TypeError(
                f"{name}: expected a generator, an iterator, a PyDataset or another iterable of batches {_FORMS}, "
                f"got {type(source).__name__}"
            )

    def _find_length(self) -> int | None:
        if isinstance(self.source, PyDataset) or hasattr(self.source, "num_batches"):
            count = self.source.num_batches
            return None if count is None else operator.index(count)
        if not self.reiterable:
            return None
        try:
            return len(self.source)
        except (TypeError, NotImplementedError, AttributeError):  # a DataLoader of an endless dataset
            return None

    # -------------------------------------------------------------------------------------------------------- batches

    def batches(self, steps: int | None = None, order: Sequence[int] | None = None) -> Iterator[Batch]:
        """The batches of an epoch, as (x, y, sample_weight) with None for what is not there.

        Parameters
        ----------
        steps : int, optional
            How many. Without it, a whole pass, from the beginning of the source to its end. With it, the next call goes
            on where this one stopped, and a pass that has come to its end is followed by another.
        order : sequence of int, optional
            For an indexable source: the numbers of the batches of a pass, in the order in which to take them.

        Notes
        -----
        A pass that ends before it has given `steps` batches warns, and is not followed by another in the same epoch. An
        iterator that has come to its end sets `exhausted`.
        """
        self.exhausted = False
        self._given = 0 if self._restored is None else self._restored["given"]
        if steps is None or self._pass is None:
            self._begin(order)
        return self._give(steps, order)

    def _begin(self, order: Sequence[int] | None) -> None:
        """A new pass; of an iterator, what is left of it."""
        start = 0 if self._restored is None else self._restored["index"]
        source_knows = self._restored is None or "source" in self._restored
        self._restored = None
        if self.indexable:
            count = self.length
            numbers: Iterable[int] = itertools.count() if count is None else range(count)
            left = itertools.islice(numbers if order is None else order, start, None)
            source = self.source
            self._pass = (source[int(i)] for i in left)
        else:
            self._pass = iter(self.source)
            if not source_knows:
                collections.deque(itertools.islice(self._pass, start), maxlen=0)
        self._index = start
        if self._ahead:
            tells = hasattr(self.source, "get_state") and hasattr(self.source, "set_state")
            state = self.source.get_state if tells else None
            self._source_state = None if state is None else state()
            # The thread knows nothing of this stream, so that it ends when nobody has the stream any more
            self._pass = self._taken_ahead(ahead(self._pass, self._ahead, state))

    def _taken_ahead(self, made: Generator[Made, None, None]) -> Iterator[Any]:
        with contextlib.closing(made):
            for one in made:
                self._source_state = one.state
                yield one.element

    def _give(self, steps: int | None, order: Sequence[int] | None) -> Iterator[Batch]:
        goal = None if steps is None else self._given + steps
        while goal is None or self._given < goal:
            if self._pass is None:
                raise RuntimeError(
                    f"{self.name}: restore_training_state was called while a batch was made; call it between two steps"
                )
            try:
                element = next(self._pass)
            except StopIteration:
                if goal is not None and self._given == 0 and self.reiterable and self._index > 0:
                    self._begin(order)  # the last epoch ended with the last batch, which its length did not tell
                    continue
                self._ran_out(goal)
                return
            self._index += 1
            self._ever = True
            self._given += 1
            yield self._batch(element, self._given - 1)
        self._given = 0
        if self._pass is not None and self.length is not None and self._index >= self.length:
            next(self._pass, None)  # let the source see that its pass is over
            self._pass = None

    def _ran_out(self, goal: int | None) -> None:
        given, self._given, self._pass = self._given, 0, None
        if not self._ever:
            raise ValueError(f"{self.name}: expected at least one batch, got none")
        if given < goal if goal is not None else given == 0:
            self.exhausted = not self.reiterable
            wanted = "more" if goal is None else f"{goal} for each epoch"
            cure = "give it fewer steps, or more batches" if self.reiterable else "training or evaluation stops here"
            warn(f"{self.name} ran out of data: it gave {given} batches, not {wanted}; {cure}")

    def close(self) -> None:
        """End a pass that goes ahead: nobody wants its batches any more."""
        if self._ahead and self._pass is not None:
            self._pass.close()  # type: ignore[attr-defined]
            self._pass = None

    def epoch_begin(self) -> None:
        """Tell the source that an epoch begins, if it listens."""
        if hasattr(self.source, "on_epoch_begin"):
            self.source.on_epoch_begin()

    def epoch_end(self) -> None:
        """Tell the source that an epoch has ended, if it listens."""
        if hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()
        self.length = self._find_length()  # which that may have changed

    # ------------------------------------------------------------------------------------------------------ one batch

    def _batch(self, element: Any, number: int) -> Batch:
        where = f"{self.name}, batch {number}"
        if isinstance(element, Mapping):
            raise TypeError(f"{where}: expected {_FORMS}, got a dict; give its arrays by place")
        if _is_array(element):
            element = (element,)
        elif not isinstance(element, (tuple, list)) or (
            isinstance(element, list) and not all(part is None or _is_array(part) for part in element)
        ):
            raise TypeError(f"{where}: expected a tuple {_FORMS} of arrays, got {type(element).__name__}")
        if not 1 <= len(element) <= 3:
            raise ValueError(f"{where}: expected a tuple {_FORMS}, got {len(element)} items")
        parts = [self._array(part, f"{where}, {what}") for part, what in zip(element, _PARTS, strict=False)]
        x, y, weight = (*parts, None, None)[:3]
        if x is None:
            raise TypeError(f"{where}, x: expected an array, got None")
        for part, what in ((y, "y"), (weight, "sample_weight")):
            if part is not None and len(part) != len(x):
                raise ValueError(f"{where}: x has {len(x)} rows but {what} has {len(part)}; they must be the same")
        return x, y, weight

    @staticmethod
    def _array(part: Any, where: str) -> npt.NDArray[Any] | None:
        if part is None:
            return None
        if isinstance(part, (tuple, list)) and any(_is_array(item) and np.ndim(item) > 0 for item in part):
            raise TypeError(
                f"{where}: expected one array, got a {type(part).__name__} of arrays; a model has one input and one "
                "output, so join them: numpy.concatenate(..., axis=-1)"
            )
        if isinstance(part, Mapping):
            raise TypeError(f"{where}: expected an array, got a dict; a model has one input and one output")
        array = _validate.numbers(_frames.plain(part, where), where)
        if array.ndim == 0:
            raise ValueError(f"{where}: expected an array with a row for each sample, got a single number")
        return array

    # ---------------------------------------------------------------------------------------------------------- state

    def state(self) -> dict[str, Any] | None:
        """The place in the source after the last batch taken. None for an iterator that cannot tell its own."""
        place = {"index": self._index if self._pass is not None else 0, "given": self._given}
        if hasattr(self.source, "get_state") and hasattr(self.source, "set_state"):
            ahead_of_us = self._ahead and self._pass is not None
            return {**place, "source": self._source_state if ahead_of_us else self.source.get_state()}
        return place if self.reiterable else None

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was called: the next `batches`, with the steps left and the same `order`, begins there.

        A source with a state of its own is given it. Batches of one that has numbers are taken from the right number
        on; of one that has neither, those before are made and thrown away.
        """
        place = {name: _validate.integer(state[name], f"state[{name!r}]", minimum=0) for name in ("index", "given")}
        if "source" in state and not hasattr(self.source, "set_state"):
            raise ValueError(f"{self.name}: the state is of a source with set_state, which this one has not")
        if "source" in state:
            self.source.set_state(state["source"])
            place["source"] = True
        self._pass, self._index, self._ever = None, 0, True
        self._restored = place
