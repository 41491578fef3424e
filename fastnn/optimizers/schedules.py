"""Learning-rate schedules: the rate as a function of the number of steps taken so far.

Give one to an optimizer in the place of a number. t is the step and T the schedule's own length in all formulas.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import numpy as np
import numpy.typing as npt

from fastnn import _objects, _validate

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "Cyclical",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


class LearningRateSchedule:
    """The base of all schedules.

    One of your own defines ``__call__(step) -> float`` and, to be saved with a model, ``get_config()``.

    Examples
    --------
    >>> class Halving(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 * 0.5**step
    >>> Halving().rates(0, 3)
    array([0.1  , 0.05 , 0.025])
    """

    _arguments: ClassVar[tuple[str, ...]] = ()

    def __call__(self, step: int) -> float:
        """The rate after `step` steps."""
        raise NotImplementedError(f"{type(self).__name__} needs a __call__(step) of its own")

    def rates(self, start: int, count: int) -> npt.NDArray[np.float64]:
        """The rates of `count` steps, from `start` on."""
        return np.array([float(self(step)) for step in range(start, start + count)], dtype=np.float64)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another of its like."""
        if not self._arguments:
            raise NotImplementedError(f"{type(self).__name__} needs a get_config() of its own to be saved")
        return {name: getattr(self, name) for name in self._arguments}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The schedule that get_config described."""
        return cls(**config)


def _rate(value: Any, name: str) -> float:
    return _validate.number(value, name, minimum=0)


def _length(value: Any, name: str) -> float:
    """A number of steps above 0; whole numbers stay so."""
    return value if isinstance(value, int) and value > 0 else _validate.number(value, name, above=0)


def _power(x: float, y: float) -> float:
    """x^y; inf where that is too large."""
    try:
        return math.pow(x, y)
    except OverflowError:
        return math.inf


def _half_cosine(fraction: float) -> float:
    """1 at 0, 1/2 at 1/2, 0 at 1."""
    return 0.5 * (1.0 + math.cos(math.pi * fraction))


class ExponentialDecay(LearningRateSchedule):
    """lr rate^(t / T); with staircase, t / T is rounded down.

    Parameters
    ----------
    initial_learning_rate : float
        lr.
    decay_steps : int
        T.
    decay_rate : float
    staircase : bool
    name : str

    Examples
    --------
    >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """

    _arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = _rate(initial_learning_rate, "initial_learning_rate")
        self.decay_steps = _length(decay_steps, "decay_steps")
        self.decay_rate = _validate.number(decay_rate, "decay_rate", minimum=0)
        self.staircase = bool(staircase)
        self.name = name

    def __call__(self, step: int) -> float:
        p = step / self.decay_steps
        return self.initial_learning_rate * _power(self.decay_rate, math.floor(p) if self.staircase else p)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i], with i the number of boundaries that t has passed; at a boundary the old value still holds.

    Parameters
    ----------
    boundaries : sequence of float
        Ascending.
    values : sequence of float
        One more than boundaries.
    name : str

    Examples
    --------
    >>> schedule = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
    >>> schedule(100), schedule(101)
    (0.1, 0.01)
    """

    _arguments = ("boundaries", "values", "name")

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        boundaries = _validate.items(boundaries, "boundaries", "numbers of steps")
        values = _validate.items(values, "values", "learning rates")
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"values: expected {len(boundaries) + 1}, one more than the {len(boundaries)} boundaries, "
                f"got {len(values)}"
            )
        self.boundaries = [b if isinstance(b, int) else _validate.number(b, "boundaries") for b in boundaries]
        if sorted(self.boundaries) != self.boundaries:
            raise ValueError(f"boundaries: expected ascending numbers of steps, got {list(boundaries)}")
        self.values = [_rate(v, "values") for v in values]
        self.name = name

    def __call__(self, step: int) -> float:
        return self.values[sum(step > boundary for boundary in self.boundaries)]


class PolynomialDecay(LearningRateSchedule):
    """(lr - end) (1 - t / T)^power + end, with t at most T; with cycle, T grows to the next multiple of itself.

    Parameters
    ----------
    initial_learning_rate : float
        lr.
    decay_steps : int
        T.
    end_learning_rate : float
    power : float
    cycle : bool
    name : str

    Examples
    --------
    >>> PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.0)(5)
    0.05
    """

    _arguments = ("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = _rate(initial_learning_rate, "initial_learning_rate")
        self.decay_steps = _length(decay_steps, "decay_steps")
        self.end_learning_rate = _rate(end_learning_rate, "end_learning_rate")
        self.power = _validate.number(power, "power", minimum=0)
        self.cycle = bool(cycle)
        self.name = name

    def __call__(self, step: int) -> float:
        cycles = max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1
        p = min(step / (self.decay_steps * cycles), 1.0)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * _power(1.0 - p, self.power) + self.end_learning_rate


class InverseTimeDecay(LearningRateSchedule):
    """lr / (1 + rate t / T); with staircase, t / T is rounded down.

    Parameters
    ----------
    initial_learning_rate : float
        lr.
    decay_steps : int
        T.
    decay_rate : float
    staircase : bool
    name : str

    Examples
    --------
    >>> InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)(10)
    0.05
    """

    _arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = _rate(initial_learning_rate, "initial_learning_rate")
        self.decay_steps = _length(decay_steps, "decay_steps")
        self.decay_rate = _validate.number(decay_rate, "decay_rate", minimum=0)
        self.staircase = bool(staircase)
        self.name = name

    def __call__(self, step: int) -> float:
        p = step / self.decay_steps
        return self.initial_learning_rate / (1.0 + self.decay_rate * (math.floor(p) if self.staircase else p))


class CosineDecay(LearningRateSchedule):
    """lr ((1 - alpha) (1 + cos(pi t / T)) / 2 + alpha), with t at most T.

    With a warm-up target the rate first rises in a straight line from lr to the target, over warmup_steps, and then
    decays from the target.

    Parameters
    ----------
    initial_learning_rate : float
        lr.
    decay_steps : int
        T, without the warm-up.
    alpha : float
        The last rate, as a share of the highest.
    name : str
    warmup_target : float, optional
    warmup_steps : int

    Examples
    --------
    >>> CosineDecay(0.0, decay_steps=100, warmup_target=0.1, warmup_steps=10)(5)
    0.05
    """

    _arguments = ("initial_learning_rate", "decay_steps", "alpha", "name", "warmup_target", "warmup_steps")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = _rate(initial_learning_rate, "initial_learning_rate")
        self.decay_steps = _length(decay_steps, "decay_steps")
        self.alpha = _validate.number(alpha, "alpha")
        self.name = name
        self.warmup_target = None if warmup_target is None else _rate(warmup_target, "warmup_target")
        self.warmup_steps = _validate.integer(warmup_steps, "warmup_steps", minimum=0)

    def __call__(self, step: int) -> float:
        if self.warmup_target is None:
            return self._decayed(self.initial_learning_rate, step)
        if step < self.warmup_steps:
            rise = self.warmup_target - self.initial_learning_rate
            return rise * (step / self.warmup_steps) + self.initial_learning_rate
        return self._decayed(self.warmup_target, step - self.warmup_steps)

    def _decayed(self, highest: float, step: int) -> float:
        fraction = min(step, self.decay_steps) / self.decay_steps
        return highest * ((1.0 - self.alpha) * _half_cosine(fraction) + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decays one after the other; number i is t_mul^i times as long as the first, and m_mul^i times as high.

    lr ((1 - alpha) m_mul^i (1 + cos(pi f)) / 2 + alpha), with f the fraction of decay i that has gone by. Decays that
    get shorter (t_mul < 1) come to an end, after first_decay_steps / (1 - t_mul) steps: there the rate is not a
    number.

    Parameters
    ----------
    initial_learning_rate : float
        lr.
    first_decay_steps : int
    t_mul, m_mul : float
    alpha : float
        The least rate, as a share of lr.
    name : str

    Examples
    --------
    >>> schedule = CosineDecayRestarts(0.1, first_decay_steps=10)
    >>> schedule(0), schedule(10), schedule(30)
    (0.1, 0.1, 0.1)
    """

    _arguments = ("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = _rate(initial_learning_rate, "initial_learning_rate")
        self.first_decay_steps = _length(first_decay_steps, "first_decay_steps")
        self.t_mul = _validate.number(t_mul, "t_mul", above=0)
        self.m_mul = _validate.number(m_mul, "m_mul", minimum=0)
        self.alpha = _validate.number(alpha, "alpha")
        self.name = name

    def __call__(self, step: int) -> float:
        elapsed = step / self.first_decay_steps  # in lengths of the first decay
        if self.t_mul == 1.0:
            restarts = math.floor(elapsed)
            fraction = elapsed - restarts
        else:  # i decays last 1 + t_mul + ... + t_mul^(i - 1) = (1 - t_mul^i) / (1 - t_mul)
            growth = 1.0 - elapsed * (1.0 - self.t_mul)
            if growth <= 0.0:
                return math.nan
            restarts = math.floor(math.log(growth) / math.log(self.t_mul))
            length = _power(self.t_mul, restarts)
            fraction = (elapsed - (1.0 - length) / (1.0 - self.t_mul)) / length
        height = _power(self.m_mul, restarts) * _half_cosine(fraction)
        return self.initial_learning_rate * ((1.0 - self.alpha) * height + self.alpha)


class Cyclical(LearningRateSchedule):
    """Up from base to max in step_size_up steps, down again in step_size_down, and so on.

    base + (max - base) triangle scale. triangle rises from 0 to 1 and falls back to 0 in each cycle; scale is 1 with
    mode "triangular", 2^-(cycles gone by) with "triangular2" and gamma^t with "exp_range". PyTorch's CyclicLR; Smith,
    "Cyclical learning rates for training neural networks", 2017.

    Parameters
    ----------
    base_learning_rate, max_learning_rate : float
    step_size_up : int
    step_size_down : int, optional
        None for step_size_up.
    mode : {"triangular", "triangular2", "exp_range"}
    gamma : float
    name : str

    Examples
    --------
    >>> schedule = Cyclical(0.0, 1.0, step_size_up=4)
    >>> schedule.rates(0, 9)
    array([0.  , 0.25, 0.5 , 0.75, 1.  , 0.75, 0.5 , 0.25, 0.  ])
    """

    _arguments = (
        "base_learning_rate",
        "max_learning_rate",
        "step_size_up",
        "step_size_down",
        "mode",
        "gamma",
        "name",
    )

    def __init__(
        self,
        base_learning_rate: float,
        max_learning_rate: float,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        name: str = "Cyclical",
    ) -> None:
        self.base_learning_rate = _rate(base_learning_rate, "base_learning_rate")
        self.max_learning_rate = _rate(max_learning_rate, "max_learning_rate")
        self.step_size_up = _length(step_size_up, "step_size_up")
        self.step_size_down = None if step_size_down is None else _length(step_size_down, "step_size_down")
        self.mode = _validate.choice(mode, "mode", ("triangular", "triangular2", "exp_range"))
        self.gamma = _validate.number(gamma, "gamma", minimum=0)
        self.name = name

    def __call__(self, step: int) -> float:
        length = self.step_size_up + (self.step_size_down or self.step_size_up)
        cycle = math.floor(step / length)
        x = step / length - cycle
        up = self.step_size_up / length
        triangle = x / up if x <= up else (x - 1.0) / (up - 1.0)
        scale = {"triangular": 1.0, "triangular2": 2.0**-cycle, "exp_range": _power(self.gamma, step)}[self.mode]
        return self.base_learning_rate + (self.max_learning_rate - self.base_learning_rate) * triangle * scale


class OneCycle(LearningRateSchedule):
    """Up from max / div_factor to max, then down to max / div_factor / final_div_factor, along half a cosine or a line.

    The way up takes pct_start of the steps. With three_phase the way down has two parts: back to the start, as long
    as the way up, and on to the end. The last rate stays. PyTorch's OneCycleLR; Smith and Topin, "Super-convergence",
    2018.

    Parameters
    ----------
    max_learning_rate : float
    total_steps : int
    pct_start : float
        Between 0 and 1.
    anneal_strategy : {"cos", "linear"}
    div_factor, final_div_factor : float
    three_phase : bool
    name : str

    Examples
    --------
    >>> OneCycle(1.0, total_steps=11, pct_start=0.5, anneal_strategy="linear", div_factor=10.0)(0)
    0.1
    """

    _arguments = (
        "max_learning_rate",
        "total_steps",
        "pct_start",
        "anneal_strategy",
        "div_factor",
        "final_div_factor",
        "three_phase",
        "name",
    )

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        name: str = "OneCycle",
    ) -> None:
        self.max_learning_rate = _rate(max_learning_rate, "max_learning_rate")
        self.total_steps = _validate.integer(total_steps, "total_steps", minimum=1)
        self.pct_start = _validate.number(pct_start, "pct_start", minimum=0, maximum=1)
        self.anneal_strategy = _validate.choice(anneal_strategy, "anneal_strategy", ("cos", "linear"))
        self.div_factor = _validate.number(div_factor, "div_factor", above=0)
        self.final_div_factor = _validate.number(final_div_factor, "final_div_factor", above=0)
        self.three_phase = bool(three_phase)
        self.name = name

    def __call__(self, step: int) -> float:
        top = self.max_learning_rate
        start = top / self.div_factor
        bottom = start / self.final_div_factor
        last = self.total_steps - 1.0
        up = self.pct_start * self.total_steps - 1.0
        phases = [(0.0, up, start, top), (up, last, top, bottom)]
        if self.three_phase:
            down = 2.0 * self.pct_start * self.total_steps - 2.0
            phases[1:] = [(up, down, top, start), (down, last, start, bottom)]
        t = min(float(step), last)
        begin, end, low, high = next((phase for phase in phases if t <= phase[1]), phases[-1])
        fraction = (t - begin) / (end - begin) if end > begin else 1.0
        if self.anneal_strategy == "linear":
            return low + (high - low) * fraction
        return high + (low - high) * _half_cosine(fraction)


_KNOWN: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        ExponentialDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
        InverseTimeDecay,
        CosineDecay,
        CosineDecayRestarts,
        Cyclical,
        OneCycle,
    )
}


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """A schedule as a dict.

    >>> serialize(CosineDecay(0.1, 100))["class_name"]
    'CosineDecay'
    """
    return _objects.serialize(learning_rate_schedule, "fastnn.optimizers.schedules")


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> LearningRateSchedule:
    """The schedule that `serialize` made a dict of.

    >>> deserialize({"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 100}})(0)
    0.1
    """
    return cast("LearningRateSchedule", _objects.deserialize(config, _KNOWN, custom_objects, "learning_rate"))
