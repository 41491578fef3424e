"""Learning-rate schedules against Keras, PyTorch and the plain-Python reference."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import importlib
import json
import math

import numpy as np
import pytest
from optional import optional

from fastnn.optimizers import schedules

KERAS = [
    ("ExponentialDecay", (0.1, 7, 0.9), {}),
    ("ExponentialDecay", (0.1, 7, 0.9), {"staircase": True}),
    ("PiecewiseConstantDecay", ([5, 17, 40], [1.0, 0.5, 0.25, 0.125]), {}),
    ("PiecewiseConstantDecay", ([5], [1.0, 0.5]), {}),
    ("PolynomialDecay", (0.1, 20), {}),
    ("PolynomialDecay", (0.1, 20, 0.01, 2.5), {}),
    ("PolynomialDecay", (0.1, 7, 0.01, 0.5), {"cycle": True}),
    ("InverseTimeDecay", (0.1, 3, 0.5), {}),
    ("InverseTimeDecay", (0.1, 3, 0.5), {"staircase": True}),
    ("CosineDecay", (0.1, 30), {}),
    ("CosineDecay", (0.1, 30, 0.2), {}),
    ("CosineDecay", (0.01, 30), {"warmup_target": 0.3, "warmup_steps": 9}),
    ("CosineDecay", (0.01, 30, 0.1), {"warmup_target": 0.3}),
    ("CosineDecayRestarts", (0.1, 5), {}),
    ("CosineDecayRestarts", (0.1, 10), {"t_mul": 1.0, "m_mul": 0.9, "alpha": 0.05}),
    ("CosineDecayRestarts", (0.1, 7), {"t_mul": 3.0, "m_mul": 0.5}),
]
OURS = [
    ("Cyclical", (0.01, 0.1), {"step_size_up": 8}),
    ("Cyclical", (0.01, 0.1), {"step_size_up": 8, "step_size_down": 5, "mode": "triangular2"}),
    ("Cyclical", (0.01, 0.1), {"step_size_up": 7, "mode": "exp_range", "gamma": 0.97}),
    ("OneCycle", (0.3, 60), {}),
    ("OneCycle", (0.3, 60), {"anneal_strategy": "linear", "pct_start": 0.4}),
    ("OneCycle", (0.3, 61), {"three_phase": True, "div_factor": 10.0, "final_div_factor": 50.0}),
    ("OneCycle", (0.3, 60), {"three_phase": True, "anneal_strategy": "linear"}),
]
STEPS = 60


def case_id(value):
    return value if isinstance(value, str) else str(value)


@pytest.mark.parametrize(("name", "arguments", "named"), KERAS, ids=case_id)
def test_the_rates_of_keras(name, arguments, named):
    keras = optional("keras")
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        theirs = getattr(keras.optimizers.schedules, name)(*arguments, **named)
        ours = getattr(schedules, name)(*arguments, **named)
        expected = [float(theirs(step)) for step in range(STEPS)]
        tolerance = 1e-7 if name.startswith("Cosine") else 1e-12  # Keras's cos is float32 whatever floatx is
        np.testing.assert_allclose(ours.rates(0, STEPS), expected, rtol=tolerance, atol=tolerance / 2)
        assert ours.get_config() == theirs.get_config()
        written = keras.optimizers.schedules.serialize(theirs)
        np.testing.assert_array_equal(schedules.deserialize(written).rates(3, 9), ours.rates(3, 9))
    finally:
        keras.config.set_floatx(before)


@pytest.mark.parametrize(("name", "arguments", "named"), OURS, ids=case_id)
def test_the_rates_of_pytorch(name, arguments, named):
    torch = optional("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    if name == "Cyclical":
        theirs = torch.optim.lr_scheduler.CyclicLR(optimizer, *arguments, cycle_momentum=False, **named)
    else:
        theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, *arguments, cycle_momentum=False, **named)
    expected = []
    for _ in range(STEPS):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        if len(expected) < STEPS:
            theirs.step()
    ours = getattr(schedules, name)(*arguments, **named)
    np.testing.assert_allclose(ours.rates(0, STEPS), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("name", "arguments", "named"), [*KERAS, *OURS], ids=case_id)
def test_the_rates_of_the_reference(name, arguments, named):
    reference = importlib.import_module("fastnn.reference.schedules")
    ours, plain = getattr(schedules, name)(*arguments, **named), getattr(reference, name)(*arguments, **named)
    np.testing.assert_allclose(ours.rates(0, 200), [plain(step) for step in range(200)], rtol=1e-13, atol=1e-16)
    assert len(set(ours.rates(0, 200))) > 1


@pytest.mark.parametrize(("name", "arguments", "named"), [*KERAS, *OURS], ids=case_id)
def test_a_schedule_and_its_dict_are_the_same(name, arguments, named):
    ours = getattr(schedules, name)(*arguments, **named)
    again = schedules.deserialize(json.loads(json.dumps(schedules.serialize(ours))))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()
    np.testing.assert_array_equal(again.rates(0, 50), ours.rates(0, 50))
    np.testing.assert_array_equal(ours.rates(20, 5), [ours(step) for step in range(20, 25)])
    assert ours.rates(0, 0).shape == (0,)
    assert isinstance(ours(3), float)


def test_every_schedule_is_tested():
    named = {name for name in schedules.__all__ if name[0].isupper()}
    assert named == {"LearningRateSchedule"} | {name for name, _, _ in [*KERAS, *OURS]}


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("ExponentialDecay", (0.1, 0, 0.5), "decay_steps"),
        ("ExponentialDecay", (-0.1, 5, 0.5), "initial_learning_rate"),
        ("PiecewiseConstantDecay", ([1, 2], [0.1, 0.2]), "expected 3"),
        ("PiecewiseConstantDecay", ([2, 1], [0.1, 0.2, 0.3]), "ascending"),
        ("PolynomialDecay", (0.1, -5), "decay_steps"),
        ("InverseTimeDecay", (0.1, 5, -1.0), "decay_rate"),
        ("CosineDecay", (math.nan, 5), "initial_learning_rate"),
        ("CosineDecayRestarts", (0.1, 5, 0.0), "t_mul"),
        ("Cyclical", (0.1, 0.2, 5, 5, "square"), "mode"),
        ("OneCycle", (0.1, 0), "total_steps"),
        ("OneCycle", (0.1, 10, 0.3, "sin"), "anneal_strategy"),
    ],
    ids=case_id,
)
def test_wrong_arguments(name, arguments, words):
    with pytest.raises(ValueError, match=words):
        getattr(schedules, name)(*arguments)


def test_edges():
    assert math.isnan(schedules.CosineDecayRestarts(0.1, 10, t_mul=0.5)(20))
    assert schedules.OneCycle(1.0, 10)(9) == schedules.OneCycle(1.0, 10)(1000) == pytest.approx(1 / 25 / 1e4)
    assert schedules.OneCycle(1.0, 1)(0) > 0
    assert schedules.OneCycle(1.0, 10, pct_start=0.0)(0) > 0
    assert schedules.ExponentialDecay(0.1, 1, 10.0)(10_000) == math.inf
    with pytest.raises(NotImplementedError, match="__call__"):
        schedules.LearningRateSchedule()(0)
    with pytest.raises(NotImplementedError, match="get_config"):
        schedules.LearningRateSchedule().get_config()
