"""What diagnose says of figures at its thresholds, and on both sides of them."""

import math

import numpy as np
import pytest

from fastnn import Sequential, layers
from fastnn.diagnostics import _diagnose
from fastnn.diagnostics._changes import Change
from fastnn.diagnostics._symptoms import Inputs, Signals, Trial

BELOW, AT, ABOVE = (lambda x: np.nextafter(x, -math.inf)), float, (lambda x: np.nextafter(x, math.inf))


class Case(_diagnose.Case):
    """A network under examination whose trials end as they are told: `own` without a change, `better` with any."""

    def __init__(self, own=1.0, better=0.1, signals=None, first=1.0, base=1.0, later=None):
        self.model = Sequential(
            [layers.Input((3,)), layers.Dense(4, "relu"), layers.Dense(4, "relu"), layers.Dense(1)], seed=0
        )
        self.model.compile("sgd", "mse")
        self.data, self.size, self.steps = (np.zeros((4, 3)), np.zeros((4, 1)), None), 4, 10
        self.evidence = {"loss": first}
        self._base, self._own, self._signals = base, Trial(own, 0.0), signals
        self.better, self.after = better, later or {}
        self.losses = None

    def changed(self, change):
        assert isinstance(change, Change)
        return Trial(self.better, 0.0)

    def run(self, model, rate=None):
        return Trial(self.losses(rate), 0.0)

    def later(self, model, rate=None):
        return self.after.get(rate, self.own.loss if rate is None else self.better)

    def lasts(self, change):
        return True


def named(found):
    return None if found is None else found.fault


# ------------------------------------------------------------------------------------------------------------- inputs

# The figure, its value, whether a change that makes the loss 0.99 of what it was is worth it, as with strong figures
INPUTS = {
    "large": ("size", _diagnose.LARGE, [False, False, True], 0.99),
    "small": ("spread", _diagnose.SMALL, [True, False, False], 0.99),
    "rather large": ("size", _diagnose.RATHER_LARGE, [False, False, True], 0.6),
    "rather small": ("spread", _diagnose.RATHER_SMALL, [True, False, False], 0.6),
    "uneven": ("ratio", _diagnose.UNEVEN, [False, False, True], 0.6),
}


@pytest.mark.parametrize("name", INPUTS)
def test_the_scale_of_x(name, monkeypatch):
    figure, threshold, expected, better = INPUTS[name]
    for side, wanted in zip((BELOW, AT, ABOVE), expected, strict=True):
        scale = Inputs(1.0, 1.0, 1.0)._replace(**{figure: side(threshold)})
        monkeypatch.setattr(_diagnose, "inputs", lambda *_, scale=scale: scale)
        assert named(_diagnose._inputs(Case(better=better))) == ("unscaled inputs" if wanted else None), side


@pytest.mark.parametrize("size, trains, most", [(100.0, True, 0.95), (6.0, True, 0.95), (6.0, False, 0.6)])
def test_how_much_scaling_x_must_help(size, trains, most, monkeypatch):
    monkeypatch.setattr(_diagnose, "inputs", lambda *_: Inputs(size, 1.0, 1.0))
    own = 0.25 if trains else 1.0  # of a loss of 1 at first
    for side, wanted in ((BELOW, True), (AT, True), (ABOVE, False)):
        found = _diagnose._inputs(Case(own=own, better=side(most) * own))
        assert (named(found) == "unscaled inputs") == wanted, side


def test_large_inputs_that_keep_a_network_from_training_need_no_trial(monkeypatch):
    monkeypatch.setattr(_diagnose, "inputs", lambda *_: Inputs(100.0, 1.0, 1.0))
    assert named(_diagnose._inputs(Case(better=5.0))) == "unscaled inputs"


# -------------------------------------------------------------------------------------------------------------- units

NAMES = ["dense", "dense_1", "dense_2"]


def signals(signal=(1.0, 1.0, 1.0), gradient=(1.0, 1.0, 1.0), dead=0.0, saturated=0.0):
    return Signals(
        NAMES, dict(zip(NAMES, signal, strict=True)), dict(zip(NAMES, gradient, strict=True)), {"dense": dead},
        {"dense": saturated},
    )  # fmt: skip


def test_the_share_of_dead_units():
    for side, wanted in ((BELOW, False), (AT, True), (ABOVE, True)):
        found = _diagnose._dead(Case(signals=signals(dead=side(_diagnose.DEAD))))
        assert (named(found) == "dying relu") == wanted, side


@pytest.mark.parametrize("dead, own, most", [(0.6, 1.0, _diagnose.WELL), (0.95, 0.25, _diagnose.HELPS)])
def test_how_much_reviving_units_must_help(dead, own, most):
    for side, wanted in ((BELOW, True), (AT, True), (ABOVE, False)):
        found = _diagnose._dead(Case(own=own, better=side(most) * own, signals=signals(dead=dead)))
        assert (named(found) == "dying relu") == wanted, side


def test_the_share_of_saturated_outputs():
    for side, wanted in ((BELOW, False), (AT, False), (ABOVE, True)):
        found = _diagnose._signals(Case(signals=signals(saturated=side(_diagnose.SATURATED))))
        assert (named(found) == "exploding gradients") == wanted, side


@pytest.mark.parametrize("which", ["signal", "gradient"])
def test_how_far_signals_and_gradients_shrink(which):
    for side, wanted in ((BELOW, True), (AT, False), (ABOVE, False)):
        levels = (1.0, side(_diagnose.MILD), 1.0) if which == "signal" else (side(_diagnose.MILD), 1.0, 1.0)
        found = _diagnose._signals(Case(signals=signals(**{which: levels})))
        assert (named(found) == "vanishing gradients") == wanted, side


def test_how_far_signals_grow():
    """With two hidden layers more than 1 / MILD times."""
    for side, wanted in ((BELOW, False), (AT, False), (ABOVE, True)):
        found = _diagnose._signals(Case(signals=signals(signal=(1.0, side(1 / _diagnose.MILD), 1.0))))
        assert (named(found) == "exploding gradients") == wanted, side


@pytest.mark.parametrize("level, own, most", [(0.01, 1.0, _diagnose.WELL), (1e-4, 0.25, _diagnose.HELPS)])
def test_how_much_other_first_weights_must_help(level, own, most):
    for side, wanted in ((BELOW, True), (AT, True), (ABOVE, False)):
        case = Case(own=own, better=side(most) * own, signals=signals(signal=(1.0, level, 1.0)))
        assert (named(_diagnose._signals(case)) == "vanishing gradients") == wanted, side


# --------------------------------------------------------------------------------------------------------------- rates


def rates(own, lower, higher, base=10.0, later=None):
    """What is said of the rate 0.01, whose trial ends at `own`, lower rates' at `lower`, higher ones' at `higher`."""
    case = Case(own=own, base=base, first=base, later=later)
    case.losses = lambda rate: lower if rate < 0.01 else higher
    case.model.optimizer.learning_rate = 0.01
    return named(_diagnose._rate(case))


def test_how_much_lower_rates_must_help():
    best = 4.0
    limit = _diagnose.WORSE * best  # 6.0, which is 2.0 more, of a base of 10
    for side, wanted in ((BELOW, None), (AT, None), (ABOVE, "rate too high")):
        assert rates(side(limit), best, 9.0, later={0.001: 1.0, None: 100.0}) == wanted, side
    # and by so much of the loss that it began with
    worth = _diagnose.WORTH * 10.0
    for side, wanted in ((BELOW, None), (AT, None), (ABOVE, "rate too high")):
        assert rates(side(0.5 + worth), 0.5, 9.0, later={0.001: 1.0, None: 100.0}) == wanted, side


def test_how_much_higher_rates_must_help():
    """A fall of less than SLOW of theirs, and of less than LATER in five times the steps."""
    most = 8.0  # from 10 to 2
    for share, wanted in ((BELOW(_diagnose.SLOW), "rate too low"), (_diagnose.SLOW + 1e-9, None)):
        assert rates(10.0 - share * most, 9.9, 2.0, later={None: 9.0}) == wanted, share
    for share, wanted in ((_diagnose.LATER - 1e-9, "rate too low"), (_diagnose.LATER + 1e-9, None)):
        assert rates(9.9, 9.95, 2.0, later={None: 10.0 - share * most}) == wanted, share


def test_the_loss_as_a_share_of_that_without_a_change():
    assert _diagnose._share(0.3, 0.6) == 0.5 and _diagnose._share(0.0, 0.6) == 0.0
    assert _diagnose._share(math.inf, 1.0) == math.inf and _diagnose._share(1.0, math.inf) == 0.0
    assert _diagnose._share(-2.0, -1.0) == 0.0  # of losses below 0 the difference counts
    assert Case(own=BELOW(0.5)).trains and not Case(own=0.5).trains and not Case(own=math.inf).trains
