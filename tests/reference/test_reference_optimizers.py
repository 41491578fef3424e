"""Optimizers against closed forms, and the order of one step."""

import math

import pytest

from fastnn.reference.constraints import MaxNorm, NonNeg
from fastnn.reference.optimizers import (
    OPTIMIZERS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Nadam,
    RMSprop,
    Rprop,
    Variable,
)
from fastnn.reference.regularizers import L1, L2
from fastnn.reference.schedules import ExponentialDecay


def run(optimizer, gradients, start=1.0):
    """The weight after each of several gradients."""
    w = Variable([start])
    path = []
    for g in gradients:
        optimizer.apply([[g]], [w])
        path.append(w.values[0])
    return path


G = [0.5, -2.0, 3.0]


def test_sgd():
    assert run(SGD(learning_rate=0.1), G) == pytest.approx([0.95, 1.15, 0.85])


def test_momentum():
    assert run(SGD(learning_rate=0.1, momentum=0.5), G) == pytest.approx([0.95, 1.125, 0.9125])


def test_momentum_reaches_its_terminal_speed():
    path = run(SGD(learning_rate=0.1, momentum=0.9), [1.0] * 300)
    assert path[-1] - path[-2] == pytest.approx(-1.0)


def test_nesterov():
    """m = -0.05, then w = 1 + 0.5 m - 0.05; m = 0.175, then 0.5 m + 0.2 more."""
    assert run(SGD(learning_rate=0.1, momentum=0.5, nesterov=True), G[:2]) == pytest.approx([0.925, 1.2125])


def test_adagrad_shrinks_with_one_over_root_t():
    path = run(Adagrad(learning_rate=0.1, initial_accumulator_value=0.0, epsilon=0.0), [2.0] * 9)
    steps = [a - b for a, b in zip([1.0, *path], path, strict=False)]
    assert steps == pytest.approx([0.1 / math.sqrt(t) for t in range(1, 10)])


def test_rmsprop():
    path = run(RMSprop(learning_rate=0.1, epsilon=0.0), [2.0] * 400)
    assert 1.0 - path[0] == pytest.approx(0.1 / math.sqrt(0.1))
    assert path[-2] - path[-1] == pytest.approx(0.1)


def test_rmsprop_centered_and_with_momentum():
    first = 0.1 * 2.0 / math.sqrt(0.1 * 4.0 - (0.1 * 2.0) ** 2)
    assert run(RMSprop(learning_rate=0.1, epsilon=0.0, centered=True), [2.0]) == pytest.approx([1.0 - first])
    path = run(RMSprop(learning_rate=0.1, epsilon=0.0, momentum=0.5), [2.0] * 500)
    assert path[-2] - path[-1] == pytest.approx(0.2)


def test_adadelta():
    rho, eps = 0.95, 1e-7
    d = -math.sqrt(eps) * 2.0 / math.sqrt((1 - rho) * 4.0 + eps)
    assert run(Adadelta(learning_rate=1.0), [2.0]) == pytest.approx([1.0 + d], rel=1e-15)


def test_adadelta_remembers_its_steps():
    rho, eps, v, u, w = 0.9, 0.01, 0.0, 0.0, 1.0
    expected = []
    for g in G:
        v = rho * v + (1 - rho) * g**2
        d = -g * math.sqrt((u + eps) / (v + eps))
        u = rho * u + (1 - rho) * d**2
        w += 0.5 * d
        expected.append(w)
    assert run(Adadelta(learning_rate=0.5, rho=rho, epsilon=eps), G) == pytest.approx(expected)


def test_adam_moves_by_the_rate_under_a_constant_gradient():
    for optimizer in (Adam(learning_rate=0.1, epsilon=0.0), Adam(learning_rate=0.1, epsilon=0.0, amsgrad=True)):
        assert run(optimizer, [-3.0] * 5) == pytest.approx([1.1, 1.2, 1.3, 1.4, 1.5])


def test_adam_without_bias_correction():
    step = 0.1 * (0.1 * 3.0) / math.sqrt(0.001 * 9.0)
    assert run(Adam(learning_rate=0.1, epsilon=0.0, bias_correction=False), [3.0]) == pytest.approx([1.0 - step])


def test_amsgrad_remembers_the_largest_velocity():
    gradients = [10.0] + [0.1] * 50
    plain = run(Adam(learning_rate=0.1), gradients)
    amsgrad = run(Adam(learning_rate=0.1, amsgrad=True), gradients)
    assert amsgrad[0] == plain[0]
    assert abs(amsgrad[-1] - amsgrad[-2]) < abs(plain[-1] - plain[-2])


def test_adamw_decays_and_adam_does_not():
    assert run(AdamW(learning_rate=0.1, weight_decay=0.5), [0.0]) == pytest.approx([0.95])
    assert run(AdamW(learning_rate=0.1), [0.0]) == pytest.approx([1.0 - 0.1 * 0.004])
    assert run(Adam(learning_rate=0.1), [0.0]) == [1.0]


def test_adamax():
    path = run(Adamax(learning_rate=0.1, epsilon=0.0), [4.0, 1.0])
    m, u = 0.1 * 4.0 * 0.9 + 0.1, 0.999 * 4.0
    assert path == pytest.approx([0.9, 0.9 - 0.1 * m / ((1 - 0.81) * u)])


def test_nadam_first_step():
    mu1, mu2 = (0.9 * (1 - 0.5 * 0.96**t) for t in (1, 2))
    m_hat = mu2 * 0.1 * 3.0 / (1 - mu1 * mu2) + (1 - mu1) * 3.0 / (1 - mu1)
    assert run(Nadam(learning_rate=0.1, epsilon=0.0), [3.0]) == pytest.approx([1.0 - 0.1 * m_hat / 3.0])


def test_epsilons():
    """With an epsilon as large as the gradient, the first step is half of what it would be without."""
    for optimizer in (Adamax, Nadam):
        without = 1.0 - run(optimizer(learning_rate=0.1, epsilon=0.0), [3.0])[0]
        assert run(optimizer(learning_rate=0.1, epsilon=3.0), [3.0]) == pytest.approx([1.0 - without / 2])


def test_lion():
    assert run(Lion(learning_rate=0.1), [5.0, -0.01, -9.0]) == pytest.approx([0.9, 0.8, 0.9])
    # m = 0.05 after the first: 0.9 m + 0.1 g changes its sign at g = -0.45
    assert run(Lion(learning_rate=0.1), [5.0, -0.44]) == pytest.approx([0.9, 0.8])
    assert run(Lion(learning_rate=0.1), [5.0, -0.46]) == pytest.approx([0.9, 1.0])


def test_rprop():
    """Sizes 0.1, 0.12, then a change of sign: half of it and no move; then, as after a gradient of 0, the same size."""
    assert run(Rprop(learning_rate=0.1), [3.0, 0.2, -7.0, -1.0, -2.0]) == pytest.approx(
        [0.9, 0.78, 0.78, 0.84, 0.84 + 0.072]
    )
    assert run(Rprop(learning_rate=40.0), [1.0, 1.0, 1.0]) == pytest.approx([-39.0, -87.0, -137.0])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_goes_down_a_bowl(name):
    optimizer = OPTIMIZERS[name](learning_rate=0.05)
    w = Variable([1.0, -0.8])
    for _ in range(200):
        optimizer.apply([[2.0 * x for x in w.values]], [w])
    reached = max(map(abs, w.values))
    assert reached < (0.99 if name == "adadelta" else 0.55)  # Adadelta starts very slowly


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_scaling_the_loss_and_scaling_the_rate(name):
    """Under SGD they are the same; under all the others the size of a gradient counts for little or nothing."""

    def moved(rate, scale):
        return 1.0 - run(OPTIMIZERS[name](learning_rate=rate), [scale * 0.7])[0]

    base, rate, loss = moved(0.125, 1.0), moved(0.5, 1.0), moved(0.125, 4.0)
    if name != "adamw":
        assert rate == pytest.approx(4 * base)
    if name == "sgd":
        assert loss == pytest.approx(rate, rel=1e-15)
    else:
        assert loss < 1.5 * base


def test_slots_are_kept_apart():
    adam = Adam(learning_rate=0.1)
    a, b = Variable([1.0, 2.0]), Variable([3.0])
    adam.apply([[1.0, 2.0], [3.0]], [a, b])
    assert adam.slot("momentum") == [pytest.approx([0.1, 0.2]), pytest.approx([0.3])]
    assert adam.slot("velocity") == [pytest.approx([0.001, 0.004]), pytest.approx([0.009])]


def test_clips():
    start = [[3.0, -4.0], [12.0]]

    def moves(**clip):
        variables = [Variable([0.0, 0.0]), Variable([0.0])]
        SGD(learning_rate=1.0, **clip).apply(start, variables)
        return [-w for v in variables for w in v.values]

    assert moves() == [3.0, -4.0, 12.0]
    assert moves(clipvalue=3.5) == [3.0, -3.5, 3.5]
    assert moves(clipnorm=2.5) == pytest.approx([1.5, -2.0, 2.5])
    assert moves(clipnorm=100.0) == [3.0, -4.0, 12.0]
    assert moves(global_clipnorm=6.5) == pytest.approx([1.5, -2.0, 6.0])
    assert moves(global_clipnorm=100.0) == [3.0, -4.0, 12.0]
    with pytest.raises(ValueError, match="clip"):
        SGD(clipvalue=1.0, clipnorm=1.0)


def test_clip_of_zero_and_infinite_gradients():
    for clip in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
        w = Variable([1.0])
        SGD(learning_rate=1.0, **clip).apply([[0.0]], [w])
        assert w.values == [1.0]
        SGD(learning_rate=1.0, **clip).apply([[math.inf]], [w])
        assert math.isnan(w.values[0])


def test_order_of_a_step():
    """Regularizer, clip, decay, update, average, constraint: by hand, and each swap of neighbours would differ."""
    w = Variable([3.0, 4.0], regularizer=L2(0.5), constraint=MaxNorm(2.0))
    optimizer = SGD(learning_rate=0.5, clipnorm=1.0, weight_decay=0.2, use_ema=True)
    optimizer.step([[1.0, -2.0]], [w])
    g = [1.0 + 3.0, -2.0 + 4.0]  # 2 * 0.5 * w added
    norm = math.hypot(*g)
    decayed = [3.0 * 0.9, 4.0 * 0.9]
    updated = [d - 0.5 * x / norm for d, x in zip(decayed, g, strict=True)]
    assert optimizer.averages[0] == pytest.approx(updated)
    length = math.hypot(*updated)
    assert w.values == pytest.approx([x * 2.0 / length for x in updated], rel=1e-6)
    assert optimizer.iterations == 1


def test_frozen_and_excluded_variables():
    frozen = Variable([1.0], regularizer=L1(0.1), constraint=NonNeg(), trainable=False)
    excluded = Variable([1.0], decays=False)
    decayed = Variable([1.0])
    optimizer = SGD(learning_rate=0.1, weight_decay=0.5, global_clipnorm=5.0, use_ema=True)
    optimizer.step([[1000.0], [3.0], [4.0]], [frozen, excluded, decayed])
    assert frozen.values == [1.0]
    assert excluded.values == pytest.approx([0.7])  # the frozen gradient does not count in the global norm
    assert decayed.values == pytest.approx([0.55])
    assert len(optimizer.averages) == 2


def test_schedule_sees_the_steps_taken():
    optimizer = SGD(learning_rate=ExponentialDecay(1.0, 1, 0.5))
    assert run(optimizer, [1.0, 1.0, 1.0], start=0.0) == pytest.approx([-1.0, -1.5, -1.75])


def test_moving_average_and_its_overwrite():
    optimizer = SGD(learning_rate=1.0, use_ema=True, ema_momentum=0.75)
    w = Variable([0.0])
    averages = []
    for _ in range(3):
        optimizer.apply([[-1.0]], [w])
        averages.append(optimizer.averages[0][0])
    assert w.values == [3.0]
    assert averages == pytest.approx([1.0, 1.25, 1.6875])  # the first weight, then a quarter of each new one
    overwriting = SGD(learning_rate=1.0, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=2)
    assert run(overwriting, [-1.0] * 3, start=0.0) == pytest.approx([1.0, 1.25, 2.25])


def test_gradient_accumulation_is_one_step_on_the_mean():
    optimizer = Adam(learning_rate=0.1, gradient_accumulation_steps=3)
    path = run(optimizer, [1.0, 2.0, 6.0, 1.0, 1.0, -8.0])
    whole = run(Adam(learning_rate=0.1), [3.0, -2.0])
    assert path == pytest.approx([1.0, 1.0, whole[0], whole[0], whole[0], whole[1]])
    assert (optimizer.iterations, optimizer.updates) == (6, 2)


def test_accumulated_gradients_are_clipped_once():
    path = run(SGD(learning_rate=1.0, clipvalue=1.0, gradient_accumulation_steps=2), [9.0, -8.5], start=0.0)
    assert path == pytest.approx([0.0, -0.25])


def test_momentum_that_is_not_used_is_not_touched():
    """An infinite gradient makes the next step infinite, not NaN, as without momentum there is no 0 * inf."""
    assert run(SGD(learning_rate=0.1), [math.inf, 1.0]) == [-math.inf, -math.inf]
