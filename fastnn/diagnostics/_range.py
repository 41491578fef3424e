"""lr_find: the learning rate range test."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import _data, _validate
from fastnn._fit import batch_size_of
from fastnn._html import table
from fastnn.diagnostics._copies import copied
from fastnn.errors import DivergenceError

__all__ = ["RangeTest", "lr_find"]

Doubles = npt.NDArray[np.float64]

PROBE = 512  # samples on which the loss is looked at after each step
WIDTH = 0.2  # decades of the rate over which losses of batches are averaged
BELOW = 4.0  # how far the guess lies below the rate at which the loss is lowest
OCTAVES = range(-2, 5)  # around the guess, at so many times 2, fits are tried
EPOCHS = 15  # of such a fit, where nobody says how long that to come is,
STEPS = 4000  # but not more than so many steps
AS_GOOD = 0.02  # what share above the lowest loss is as good as that
SHOWN = 13  # rates in a notebook's table
LEAST = 1e-3  # by what share the loss must have fallen for a rate to be suggested


class RangeTest(NamedTuple):
    """What lr_find returns.

    rates : the rates that were tried; losses : of the batch at each, before its step; smoothed : their averages over
    neighbouring rates; probe : the loss of the same samples after each step; suggestion : the rate to take, or None if
    the loss fell at no rate; edge : "min_lr" or "max_lr" if the best rate lies at that end of the search, else None.
    Losses are means over the sweeps.
    """

    rates: Doubles
    losses: Doubles
    smoothed: Doubles
    probe: Doubles
    suggestion: float | None
    edge: str | None = None

    def __str__(self) -> str:
        low, high = float(self.rates[0]), float(self.rates[-1])
        if self.suggestion is None:
            return f"at no rate from {low:.3g} to {high:.3g} did the loss fall: diagnose may say why"
        best = float(self.rates[int(np.argmin(self.smoothed))])
        said = f"suggested rate {self.suggestion:.3g}; the loss is lowest at {best:.3g} and was followed to {high:.3g}"
        if self.edge is not None:
            other = "larger" if self.edge == "max_lr" else "smaller"
            said += f". The best rate is at the edge of the search: pass a {other} {self.edge} to look further"
        return said

    def __repr__(self) -> str:
        return f"RangeTest: {self}"

    def _repr_html_(self) -> str:
        places = np.unique(np.linspace(0, len(self.rates) - 1, SHOWN).round().astype(int))
        columns = (self.rates, self.smoothed, self.probe)
        rows = [[f"{column[i]:.3g}" for column in columns] for i in places]
        return table("RangeTest", ["rate", "loss, smoothed", "loss of fixed samples"], rows, [str(self)])


def lr_find(
    model: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    min_lr: float = 1e-5,
    max_lr: float = 1.0,
    steps: int = 200,
    batch_size: int | None = None,
    epochs: int | None = None,
    sweeps: int = 3,
    seed: int = 0,
) -> RangeTest:
    """Sweep the learning rate upwards, a step at each, and suggest one (L. N. Smith's range test).

    The exponents are spaced evenly, the rate is 10 to their power, and a sweep ends early where the loss diverges. Each
    begins from the model's weights as they are, on a copy: the model, its optimizer, metrics, counters and seeds stay
    as they were.

    The loss is lowest close to where it diverges, and a quarter of that rate is a fair guess: the mean, over sweeps
    with the samples in different orders, of where the averaged losses of the batches are lowest and where that of fixed
    samples is. Then copies are fitted, with the model's own seed, at rates around the guess, from a quarter of it to 16
    times; further while the outermost ends lowest; and last at half the distance beside the best. The suggestion is
    the middle one of those that end, over all samples, within 2 % of the lowest loss.

    The best rate depends on how long the fit to come is: say how many ``epochs``, and the copies are fitted for as
    long, which takes as much time as some ten fits. Else they have 15 epochs, or fewer to stay below 4000 steps.

    Parameters
    ----------
    model : Sequential
        A compiled one. A schedule of its optimizer is left aside.
    x, y, sample_weight : array_like
        As `fit` takes them.
    min_lr, max_lr : float
        The first and the last rate.
    steps : int
        How many rates a sweep has.
    batch_size : int, optional
        Samples a step; 32 if None. Take that of the fit to come: the best rate depends on it.
    epochs : int, optional
        Those of the fit to come.
    sweeps : int
        How many sweeps to take the mean of.
    seed : int
        Of the orders of the samples in the sweeps.

    Returns
    -------
    RangeTest
        ``.rates``, ``.losses``, ``.smoothed``, ``.probe``, ``.suggestion``; `fastnn.plots.lr_find` draws it.

    Examples
    --------
    >>> import fastnn
    >>> x, y = fastnn.datasets.moons(500, noise=0.2)
    >>> model = fastnn.Sequential(
    ...     [fastnn.layers.Dense(32, "relu"), fastnn.layers.Dense(1, "sigmoid")], seed=0
    ... )
    >>> model.compile("adam", "binary_crossentropy")
    >>> found = fastnn.diagnostics.lr_find(model, x, y)
    >>> 0.01 < found.suggestion < 0.3
    True
    >>> model.optimizer.learning_rate = found.suggestion
    """
    low = _validate.number(min_lr, "min_lr", above=0)
    high = _validate.number(max_lr, "max_lr", above=low)
    steps = _validate.integer(steps, "steps", minimum=2)
    size = batch_size_of(batch_size)
    epochs = None if epochs is None else _validate.integer(epochs, "epochs", minimum=1)
    sweeps = _validate.integer(sweeps, "sweeps", minimum=1)
    seed = _validate.integer(seed, "seed", minimum=0)
    twin = copied(model)
    x = twin._inputs(x)
    y = None if y is None else _data.as_array(y, "y")
    weights = None if sample_weight is None else _data.as_array(sample_weight, "sample_weight")
    twin._batches(x, y, weights, None, size)  # everything is checked before the first step
    rates = 10 ** np.linspace(math.log10(low), math.log10(high), steps)
    made = []
    for sweep in range(sweeps):
        rng = np.random.default_rng((seed, sweep))
        made.append(_sweep(copied(twin), (x, y, weights), rates, min(size, len(x)), rng))
    guess = _guess(rates, made)
    if guess is None:
        return _result(rates, made, None)
    fits = _Fits(twin, (x, y, weights), size, epochs, (low, high))
    suggestion = fits.best([guess * 2.0**octave for octave in OCTAVES]) or min(max(guess, low), high)
    return _result(rates, made, suggestion, fits.edge(suggestion))


class _Fits:
    """Whole fits of copies of a model at some rates, and the loss of all samples that each ended with."""

    def __init__(
        self, twin: Any, data: tuple[Any, Any, Any], size: int, epochs: int | None, limits: tuple[float, float]
    ) -> None:
        self.twin, (self.x, self.y, self.weights) = twin, data
        batches = -(-len(self.x) // size)
        self.options: dict[str, Any] = {"batch_size": size, "epochs": epochs, "verbose": 0}
        if epochs is None:
            self.options["epochs"] = max(1, min(EPOCHS, STEPS // batches))
            self.options["steps_per_epoch"] = min(batches, STEPS)
        self.low, self.high = limits
        self.losses: dict[float, float] = {}

    def run(self, rate: float) -> None:
        rate = min(max(rate, self.low), self.high)
        if rate in self.losses:
            return
        twin = copied(self.twin)
        twin.optimizer._learning_rate = rate  # in place of a schedule, if there is one
        try:
            twin.fit(self.x, self.y, sample_weight=self.weights, **self.options)
            loss = float(twin.evaluate(self.x, self.y, sample_weight=self.weights, verbose=0))
        except DivergenceError:
            loss = math.nan
        self.losses[rate] = loss if math.isfinite(loss) else math.inf

    def lowest(self) -> float:
        return min(self.losses, key=lambda rate: (self.losses[rate], rate))

    def edge(self, suggestion: float) -> str | None:
        """Whether the rate to take, or the one whose fit ended lowest, is the first or the last of the search."""
        rates = {suggestion, self.lowest()}
        return "max_lr" if self.high in rates else "min_lr" if self.low in rates else None

    def best(self, around: list[float]) -> float | None:
        """The rate to take, looked for from some on; None if all fits diverge."""
        for rate in around:
            self.run(rate)
        for outermost, further in ((max, 2.0), (min, 0.5)):
            while self.low < (rate := self.lowest()) < self.high and rate == outermost(self.losses):
                self.run(rate * further)
        rate = self.lowest()
        for between in (0.5**0.5, 2**0.5):
            self.run(rate * between)
        least = self.losses[self.lowest()]
        good = sorted(rate for rate, loss in self.losses.items() if loss <= least + AS_GOOD * abs(least))
        return good[(len(good) - 1) // 2] if math.isfinite(least) else None


def _sweep(
    twin: Any, data: tuple[Any, Any, Any], rates: Doubles, size: int, rng: np.random.Generator
) -> tuple[Doubles, Doubles]:
    """The losses of the batches, and of the probe before the first step and after each, up to where they diverge."""
    n = len(data[0])
    probe = _rows(data, np.sort(rng.permutation(n)[:PROBE]))
    batches = _batch_rows(n, size, rng)
    twin.optimizer._learning_rate = float(rates[0])  # in place of a schedule, if there is one
    losses: list[float] = []
    seen = [_loss(twin, probe)]
    for rate in rates:
        twin.optimizer.learning_rate = float(rate)
        try:
            loss = float(twin.train_on_batch(*_rows(data, next(batches))))
            after = _loss(twin, probe)
        except DivergenceError:
            break
        if not math.isfinite(after):
            break
        losses.append(loss)
        seen.append(after)
        if after > seen[0] + 2 * max(seen[0] - min(seen), abs(seen[0]) / 2):
            break
    return np.array(losses), np.array(seen)


def _loss(twin: Any, data: tuple[Any, Any, Any]) -> float:
    """As training sees it, without a step."""
    return float(twin.gradients(*data, training=True)[0])


def _rows(data: tuple[Any, Any, Any], rows: npt.NDArray[np.intp]) -> tuple[Any, Any, Any]:
    x, y, weights = (None if array is None else array[rows] for array in data)
    return x, y, weights


def _batch_rows(n: int, size: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.intp]]:
    """The rows of one batch after the other, in a new order in each pass; what is left over of a pass is left out."""
    while True:
        order = rng.permutation(n)
        for begin in range(0, n - size + 1, size):
            yield order[begin : begin + size]


def _averages(rates: Doubles, values: Doubles) -> Doubles:
    """Means over neighbouring rates, weighted by a bell curve of their distance."""
    place = np.log10(rates)
    result = np.empty(len(values))
    for begin in range(0, len(values), 256):  # some at a time: there may be thousands
        some = slice(begin, begin + 256)
        bell = np.exp(-0.5 * ((place[some, None] - place) / WIDTH) ** 2)
        result[some] = bell @ values / bell.sum(axis=1)
    return result


def _guess(rates: Doubles, made: list[tuple[Doubles, Doubles]]) -> float | None:
    """What some sweeps say of the rate; None if the loss fell in none."""
    if not min(len(losses) for losses, _ in made):
        raise DivergenceError(
            f"the loss is not finite after one step at min_lr={rates[0]:g}; pass a smaller min_lr, or scale x"
        )
    if not any(probe[0] - probe.min() > LEAST * abs(probe[0]) for _, probe in made):
        return None
    places = []
    for losses, probe in made:
        places.append(math.log(rates[int(np.argmin(probe[1:]))]))
        places.append(math.log(rates[int(np.argmin(_averages(rates[: len(losses)], losses)))]))
    return math.exp(sum(places) / len(places)) / BELOW


def _result(
    rates: Doubles, made: list[tuple[Doubles, Doubles]], suggestion: float | None, edge: str | None = None
) -> RangeTest:
    """The means over the sweeps, up to where the first of them ends."""
    length = min(len(losses) for losses, _ in made)
    tried = rates[:length]
    losses = np.mean([losses[:length] for losses, _ in made], axis=0)
    probe = np.mean([probe[1 : length + 1] for _, probe in made], axis=0)
    return RangeTest(tried, losses, _averages(tried, losses), probe, suggestion, edge)
