"""Learning-rate schedules at steps whose rates are known."""

import pytest

from fastnn.reference.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    Cyclical,
    ExponentialDecay,
    InverseTimeDecay,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
)

CASES = [
    (ExponentialDecay(1.0, 10, 0.5), {0: 1.0, 10: 0.5, 5: 0.5**0.5, 20: 0.25}),
    (ExponentialDecay(1.0, 10, 0.5, staircase=True), {9: 1.0, 10: 0.5, 19: 0.5, 20: 0.25}),
    (PiecewiseConstantDecay([5, 8], [1.0, 0.5, 0.1]), {0: 1.0, 5: 1.0, 6: 0.5, 8: 0.5, 9: 0.1}),
    (PolynomialDecay(1.0, 10, 0.2), {0: 1.0, 5: 0.6, 10: 0.2, 50: 0.2}),
    (PolynomialDecay(1.0, 10, 0.0, power=2.0), {5: 0.25}),
    (PolynomialDecay(1.0, 10, 0.0, cycle=True), {0: 1.0, 5: 0.5, 10: 0.0, 15: 0.25, 20: 0.0}),
    (InverseTimeDecay(1.0, 10, 2.0), {0: 1.0, 5: 0.5, 10: 1 / 3}),
    (InverseTimeDecay(1.0, 10, 2.0, staircase=True), {9: 1.0, 10: 1 / 3}),
    (CosineDecay(1.0, 10), {0: 1.0, 5: 0.5, 10: 0.0, 11: 0.0}),
    (CosineDecay(1.0, 10, alpha=0.2), {5: 0.6, 10: 0.2}),
    (CosineDecay(0.1, 10, warmup_target=1.1, warmup_steps=4), {0: 0.1, 2: 0.6, 4: 1.1, 9: 0.55, 14: 0.0, 99: 0.0}),
    (CosineDecayRestarts(1.0, 10), {0: 1.0, 5: 0.5, 10: 1.0, 20: 0.5, 30: 1.0, 50: 0.5}),
    (CosineDecayRestarts(1.0, 10, t_mul=1.0, m_mul=0.5, alpha=0.1), {5: 0.55, 10: 0.55, 20: 0.325}),
    (Cyclical(0.1, 1.1, 4), {0: 0.1, 2: 0.6, 4: 1.1, 6: 0.6, 8: 0.1, 12: 1.1}),
    (Cyclical(0.1, 1.1, 4, 2), {4: 1.1, 5: 0.6, 6: 0.1, 8: 0.6}),
    (Cyclical(0.1, 1.1, 4, mode="triangular2"), {4: 1.1, 12: 0.6, 20: 0.35}),
    (Cyclical(0.1, 1.1, 4, mode="exp_range", gamma=0.5), {4: 0.1 + 1 / 16, 12: 0.1 + 0.5**12}),
    (OneCycle(1.0, 21, pct_start=1 / 3), {0: 0.04, 3: 0.52, 6: 1.0, 13: 0.500002, 20: 4e-6, 30: 4e-6}),
    (OneCycle(1.0, 21, pct_start=1 / 3, anneal_strategy="linear"), {3: 0.52, 6: 1.0, 20: 4e-6}),
    (OneCycle(1.0, 30, pct_start=0.3, three_phase=True), {0: 0.04, 8: 1.0, 16: 0.04, 29: 4e-6}),
]


@pytest.mark.parametrize(("schedule", "rates"), CASES)
def test_rates(schedule, rates):
    assert {t: schedule(t) for t in rates} == pytest.approx(rates, abs=1e-12)


def test_decays_that_shrink_come_to_an_end():
    schedule = CosineDecayRestarts(1.0, 10, t_mul=0.5)
    assert schedule(10) == 1.0
    assert schedule(20) != schedule(20)


@pytest.mark.parametrize("schedule", [Cyclical(0.1, 1.0, 5, mode="saw"), OneCycle(1.0, 9, anneal_strategy="saw")])
def test_unknown_kinds_are_refused(schedule):
    with pytest.raises(ValueError, match="saw"):
        schedule(1)
