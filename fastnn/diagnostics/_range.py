"""lr_find: the learning rate range test."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import _data, _validate
from fastnn._fit import batch_size_of
from fastnn.diagnostics._copies import copied
from fastnn.errors import DivergenceError

__all__ = ["RangeTest", "lr_find"]

Doubles = npt.NDArray[np.float64]

PROBE = 512  # samples on which the loss is looked at after each step
WIDTH = 0.2  # decades of the rate over which losses of batches are averaged
BELOW = 4.0  # how far the rates that are tried in trainings lie, in the middle, below that at which the loss is lowest
OCTAVES = range(-2, 5)  # and around it: so many times 2
LONGER = 4  # how many times the steps of a sweep a training has
LOOKS = 16  # at the loss, in the last quarter of a training: where it swings, one alone would be chance
NEARLY = 0.05  # what share above the lowest loss is as good as that
DRAWN = 1 / 3  # how far, of the way on a logarithmic scale, the suggestion is drawn from there to the guess
LEAST = 1e-3  # by what share the loss must have fallen for a rate to be suggested


class RangeTest(NamedTuple):
    """What lr_find returns.

    rates : the rates that were tried; losses : of the batch at each, before its step; smoothed : their averages over
    neighbouring rates; probe : the loss of the same samples after each step; suggestion : the rate to take, or None if
    the loss fell at no rate. Losses are means over the sweeps.
    """

    rates: Doubles
    losses: Doubles
    smoothed: Doubles
    probe: Doubles
    suggestion: float | None

    def __str__(self) -> str:
        low, high = float(self.rates[0]), float(self.rates[-1])
        if self.suggestion is None:
            return f"at no rate from {low:.3g} to {high:.3g} did the loss fall: diagnose may say why"
        best = float(self.rates[int(np.argmin(self.smoothed))])
        return f"suggested rate {self.suggestion:.3g}; the loss is lowest at {best:.3g} and was followed to {high:.3g}"


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
    sweeps: int = 3,
    seed: int = 0,
) -> RangeTest:
    """Sweep the learning rate upwards, a step at each, and suggest one (L. N. Smith's range test).

    The exponents are spaced evenly, the rate is 10 to their power, and a sweep ends early where the loss diverges. Each
    begins from the model's weights as they are, on a copy: the model, its optimizer, metrics, counters and seeds stay
    as they were.

    The loss is lowest close to where it diverges, and a quarter of that rate is a fair guess: the mean, over sweeps
    with the samples in different orders, of where the averaged losses of the batches are lowest and where that of fixed
    samples is. Around the guess, from a quarter to 16 times, rates are tried in trainings of four times the steps of a
    sweep. The suggestion is the middle (the geometric mean) of those that end within 5 % of the lowest loss, drawn a
    third of the way to the guess. It serves some hundred to some thousand steps; for a fit of many more, more ``steps``
    tell.

    Parameters
    ----------
    model : Sequential
        A compiled one. A schedule of its optimizer is left aside.
    x, y, sample_weight : array_like
        As `fit` takes them.
    min_lr, max_lr : float
        The first and the last rate.
    steps : int
        How many rates a sweep has, and a quarter of how many steps a training has.
    batch_size : int, optional
        Samples a step; 32 if None. Take that of the fit to come: the best rate depends on it.
    sweeps : int
        How many sweeps to take the mean of.
    seed : int
        Of the orders of the samples.

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
    tried = {}
    for rate in sorted({min(max(guess * 2.0**octave, low), high) for octave in OCTAVES}):
        rng = np.random.default_rng((seed, sweeps))  # the same samples for each
        tried[rate] = _trained(copied(twin), (x, y, weights), rate, min(size, len(x)), LONGER * steps, rng)
    return _result(rates, made, _middle(tried, guess))


def _trained(
    twin: Any, data: tuple[Any, Any, Any], rate: float, size: int, steps: int, rng: np.random.Generator
) -> float:
    """The mean loss in the last quarter of a short training at one rate; inf where it diverges."""
    n = len(data[0])
    probe = _rows(data, np.sort(rng.permutation(n)[:PROBE]))
    batches = _batch_rows(n, size, rng)
    twin.optimizer._learning_rate = rate
    looks = {round(place) for place in np.linspace(0.75 * steps, steps, LOOKS)}
    losses = []
    try:
        for step in range(1, steps + 1):
            twin.train_on_batch(*_rows(data, next(batches)))
            if step in looks:
                losses.append(_loss(twin, probe))
    except DivergenceError:
        return math.inf
    mean = sum(losses) / len(losses)
    return mean if math.isfinite(mean) else math.inf


def _middle(losses: dict[float, float], guess: float) -> float:
    """The geometric mean of the rates that end nearly as low as the best, drawn towards the guess: what trainings say
    is true for as many steps as they have, and what the sweeps say, roughly, for any number."""
    lowest = min(losses.values())
    if not math.isfinite(lowest):
        return guess
    good = [math.log(rate) for rate, loss in losses.items() if loss <= lowest + NEARLY * abs(lowest)]
    return math.exp((1 - DRAWN) * sum(good) / len(good) + DRAWN * math.log(guess))


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


def _result(rates: Doubles, made: list[tuple[Doubles, Doubles]], suggestion: float | None) -> RangeTest:
    """The means over the sweeps, up to where the first of them ends."""
    length = min(len(losses) for losses, _ in made)
    tried = rates[:length]
    losses = np.mean([losses[:length] for losses, _ in made], axis=0)
    probe = np.mean([probe[1 : length + 1] for _, probe in made], axis=0)
    return RangeTest(tried, losses, _averages(tried, losses), probe, suggestion)
