"""Learning-rate schedules: each is called with the number of steps taken so far and answers the rate of the next."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ._ieee import NAN, div, log, power


@dataclass
class ExponentialDecay:
    """lr rate^(t / T); with staircase, t / T is rounded down."""

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __call__(self, step: int) -> float:
        p = step / self.decay_steps
        return self.initial_learning_rate * power(self.decay_rate, math.floor(p) if self.staircase else p)


@dataclass
class PiecewiseConstantDecay:
    """values[i], with i the number of boundaries that step has passed (a boundary itself still has the old rate)."""

    boundaries: Sequence[float]
    values: Sequence[float]

    def __call__(self, step: int) -> float:
        return self.values[sum(step > boundary for boundary in self.boundaries)]


@dataclass
class PolynomialDecay:
    """(lr - end) (1 - t / T)^power + end, with t at most T; with cycle, T grows to the next multiple of itself."""

    initial_learning_rate: float
    decay_steps: int
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False

    def __call__(self, step: int) -> float:
        cycles = max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1
        p = min(step / (self.decay_steps * cycles), 1.0)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * power(1.0 - p, self.power) + self.end_learning_rate


@dataclass
class InverseTimeDecay:
    """lr / (1 + rate t / T); with staircase, t / T is rounded down."""

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __call__(self, step: int) -> float:
        p = step / self.decay_steps
        return div(self.initial_learning_rate, 1.0 + self.decay_rate * (math.floor(p) if self.staircase else p))


def _half_cosine(fraction: float) -> float:
    """1 at 0, 1/2 at 1/2, 0 at 1: (1 + cos(pi fraction)) / 2."""
    return 0.5 * (1.0 + math.cos(math.pi * fraction))


@dataclass
class CosineDecay:
    """lr ((1 - alpha) (1 + cos(pi t / T)) / 2 + alpha), with t at most T.

    With a warm-up target the rate first rises in a straight line from lr to the target, over warmup_steps, and then
    decays from the target.
    """

    initial_learning_rate: float
    decay_steps: int
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __call__(self, step: int) -> float:
        if self.warmup_target is None:
            return self._decayed(self.initial_learning_rate, step)
        if step < self.warmup_steps:
            rise = self.warmup_target - self.initial_learning_rate
            return self.initial_learning_rate + rise * (step / self.warmup_steps)
        return self._decayed(self.warmup_target, step - self.warmup_steps)

    def _decayed(self, learning_rate: float, step: int) -> float:
        fraction = min(step, self.decay_steps) / self.decay_steps
        return learning_rate * ((1.0 - self.alpha) * _half_cosine(fraction) + self.alpha)


@dataclass
class CosineDecayRestarts:
    """Cosine decays one after the other; number i is t_mul^i times as long as the first and m_mul^i times as high.

    lr ((1 - alpha) m_mul^i (1 + cos(pi f)) / 2 + alpha), with f the fraction of decay i that has gone by.
    """

    initial_learning_rate: float
    first_decay_steps: int
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0

    def __call__(self, step: int) -> float:
        elapsed = step / self.first_decay_steps  # in lengths of the first decay
        if self.t_mul == 1.0:
            restarts = math.floor(elapsed)
            fraction = elapsed - restarts
        else:  # i decays last 1 + t_mul + ... + t_mul^(i-1) = (1 - t_mul^i) / (1 - t_mul)
            spent = log(1.0 - elapsed * (1.0 - self.t_mul))
            if not math.isfinite(spent):
                return NAN  # decays that get shorter come to an end
            restarts = math.floor(spent / math.log(self.t_mul))
            length = power(self.t_mul, restarts)
            fraction = (elapsed - (1.0 - length) / (1.0 - self.t_mul)) / length
        height = power(self.m_mul, restarts) * _half_cosine(fraction)
        return self.initial_learning_rate * ((1.0 - self.alpha) * height + self.alpha)


@dataclass
class Cyclical:
    """Up from base to max in step_size_up steps, down in step_size_down, again and again.

    base + (max - base) * triangle * scale, where scale is 1 (triangular), 2^-(cycle - 1) (triangular2) or
    gamma^step (exp_range). Smith, "Cyclical learning rates for training neural networks", 2017.
    """

    base_learning_rate: float
    max_learning_rate: float
    step_size_up: int = 2000
    step_size_down: int | None = None
    mode: str = "triangular"
    gamma: float = 1.0

    def __call__(self, step: int) -> float:
        length = self.step_size_up + (self.step_size_down or self.step_size_up)
        cycle = step // length
        x = step / length - cycle
        up = self.step_size_up / length
        triangle = x / up if x <= up else (x - 1.0) / (up - 1.0)
        return self.base_learning_rate + (self.max_learning_rate - self.base_learning_rate) * triangle * self._scale(
            step, cycle
        )

    def _scale(self, step: int, cycle: int) -> float:
        match self.mode:
            case "triangular":
                return 1.0
            case "triangular2":
                return power(2.0, -cycle)
            case "exp_range":
                return power(self.gamma, step)
        raise ValueError(f"mode: expected triangular, triangular2 or exp_range, got {self.mode!r}")


@dataclass
class OneCycle:
    """Up from max / div_factor to max, then down to max / div_factor / final_div_factor, along a cosine or a line.

    With three_phase the way down has two parts: back to the start, as long as the way up, and on to the end.
    After total_steps the last rate stays. Smith and Topin, "Super-convergence", 2018.
    """

    max_learning_rate: float
    total_steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __call__(self, step: int) -> float:
        top = self.max_learning_rate
        start = top / self.div_factor
        bottom = start / self.final_div_factor
        up = self.pct_start * self.total_steps - 1.0
        last = self.total_steps - 1.0
        if self.three_phase:
            down = 2.0 * self.pct_start * self.total_steps - 2.0
            phases = [(0.0, up, start, top), (up, down, top, start), (down, last, start, bottom)]
        else:
            phases = [(0.0, up, start, top), (up, last, top, bottom)]
        step = min(step, self.total_steps - 1)
        begin, end, low, high = next((p for p in phases if step <= p[1]), phases[-1])
        return self._anneal(low, high, div(step - begin, end - begin))

    def _anneal(self, start: float, end: float, fraction: float) -> float:
        match self.anneal_strategy:
            case "cos":
                return end + (start - end) * _half_cosine(fraction)
            case "linear":
                return start + (end - start) * fraction
        raise ValueError(f"anneal_strategy: expected cos or linear, got {self.anneal_strategy!r}")
