"""A step at its edges: sizes, places, threads, instruction sets, special values, wrong calls."""

import hashlib
import importlib
import math
import os
import subprocess
import sys
import threading
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import grown
from optional import optional

import fastnn
from fastnn import constraints, optimizers, regularizers
from fastnn.optimizers import schedules

RULES = {
    "sgd": optimizers.SGD,
    "momentum": lambda **o: optimizers.SGD(momentum=0.9, **o),
    "nesterov": lambda **o: optimizers.SGD(momentum=0.9, nesterov=True, **o),
    "rmsprop": optimizers.RMSprop,
    "rmsprop_momentum": lambda **o: optimizers.RMSprop(momentum=0.9, **o),
    "rmsprop_centered": lambda **o: optimizers.RMSprop(centered=True, **o),
    "rmsprop_centered_momentum": lambda **o: optimizers.RMSprop(centered=True, momentum=0.9, **o),
    "adagrad": optimizers.Adagrad,
    "adadelta": optimizers.Adadelta,
    "adam": optimizers.Adam,
    "amsgrad": lambda **o: optimizers.Adam(amsgrad=True, **o),
    "adamax": optimizers.Adamax,
    "nadam": optimizers.Nadam,
    "lion": optimizers.Lion,
    "rprop": optimizers.Rprop,
}
EVERYTHING = {"weight_decay": 0.1, "use_ema": True, "ema_overwrite_frequency": 3, "loss_scale_factor": 2.0}
SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 1000]
DTYPES = [np.float32, np.float64]


def noise(seed, size, dtype):
    return np.random.default_rng(seed).standard_normal(size).astype(dtype)


def train(make, dtype, size=70_001, steps=4, **options):
    """The weights and slots after a few steps on a large, a small and a two-dimensional variable."""
    optimizer = make(**options)
    variables = [noise(0, size, dtype), noise(1, 37, dtype), noise(2, (300, 70), dtype)]
    optimizer.build(
        variables,
        regularizers=[regularizers.L1L2(0.01, 0.02), None, regularizers.L1(0.1)],
        constraints=[None, constraints.NonNeg(), constraints.MaxNorm(3.0)],
    )
    for step in range(steps):
        optimizer.apply([noise(10 * step + i, v.shape, dtype) for i, v in enumerate(variables)])
    return [*variables, *(a for views in optimizer.slots.values() for a in views)]


@pytest.fixture
def threads():
    before = fastnn.get_num_threads()
    yield
    fastnn.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [{}, {"clipnorm": 0.5}, {"global_clipnorm": 0.7, **EVERYTHING}], ids=str)
@pytest.mark.parametrize("rule", ["adam", "lion", "nadam"])
def test_threads_change_no_bit(threads, rule, options, dtype):
    results = []
    for count in (1, 2, 3, 7):
        fastnn.set_num_threads(count)
        results.append(train(RULES[rule], dtype, **options))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


SCRIPT = """
import hashlib, sys, numpy
sys.path.insert(0, {folder!r})
import test_optimizer_steps as t
for rule, make in t.RULES.items():
    for dtype in t.DTYPES:
        for options in ({{}}, {{"clipnorm": 0.5, **t.EVERYTHING}}):
            digest = hashlib.sha256(b"".join(a.tobytes() for a in t.train(make, dtype, 5003, **options))).hexdigest()
            print(rule, dtype.__name__, bool(options), digest)
"""


def test_instruction_sets_with_fma_change_no_bit():
    answers = {}
    for isa in fastnn.cpu_info()["available"]:
        environment = {**os.environ, "FASTNN_ISA": isa}
        script = SCRIPT.format(folder=os.path.dirname(__file__))
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        answers[isa] = run.stdout
    assert all(len(text.splitlines()) == 4 * len(RULES) for text in answers.values())
    assert len({text for isa, text in answers.items() if isa not in ("base", "portable")}) <= 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("options", [{}, EVERYTHING, {"gradient_accumulation_steps": 2, "clipvalue": 0.3}], ids=str)
def test_a_place_in_memory_changes_no_bit_and_nothing_around_it(rule, options, dtype):
    """Each element goes its own way, whatever the size and alignment of the array that it is in."""
    total = max(SIZES)
    whole = noise(0, total, dtype)
    optimizer = RULES[rule](**options)
    for step in range(4):
        optimizer.apply([noise(step + 1, total, dtype)], [whole])
    assert np.isfinite(whole).all()
    assert not np.array_equal(whole, noise(0, total, dtype))
    for size in SIZES:
        for offset in (1, 2, 3):
            room = np.full(size + 8, 77, dtype)
            part = room[offset : offset + size]
            part[...] = noise(0, total, dtype)[total - size :]
            optimizer = RULES[rule](**options)
            for step in range(4):
                unaligned = np.full(size + 1, np.nan, dtype)[1:]
                unaligned[...] = noise(step + 1, total, dtype)[total - size :]
                optimizer.apply([unaligned], [part])
            np.testing.assert_array_equal(part, whole[total - size :])
            assert (room[:offset] == 77).all()
            assert (room[offset + size :] == 77).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [{}, EVERYTHING, {"clipnorm": 0.5}, {"gradient_accumulation_steps": 2}], ids=str)
@pytest.mark.parametrize("rule", ["sgd", "adam", "rmsprop_centered_momentum"])
def test_variables_side_by_side_can_be_taken_as_one(rule, options, dtype):
    """What an engine does whose weights lie in one flat array, and its gradients in another."""
    sizes = [5, 1, 40, 0, 9000, 3]
    borders = np.cumsum(sizes)[:-1]
    results = []
    for merged in (False, True):
        w, g = noise(0, sum(sizes), dtype), np.empty(sum(sizes), dtype)
        views, gradients = np.split(w, borders), np.split(g, borders)
        optimizer = RULES[rule](**options)
        optimizer.exclude_from_weight_decay(var_names=["2"])
        optimizer.build(
            views,
            names=[str(i) for i in range(len(sizes))],
            constraints=[None, None, constraints.NonNeg()] + [None] * 3,
        )
        updater = optimizer._configured()
        assert updater.bind(gradients)
        if merged:
            updater.merge()
        for step in range(5):
            g[...] = noise(step + 1, sum(sizes), dtype)
            updater.step(0.05)
        assert updater.iterations == 5
        results.append(w)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [{}, {"clipvalue": 0.5}, {"use_ema": True}], ids=str)
@pytest.mark.parametrize("rule", sorted(set(RULES) - {"sgd", "lion", "rprop", "adagrad"}))
def test_averages_of_a_gradient_that_stays_0_end_at_0(rule, options, dtype):
    """And not among the denormal numbers, with which some processors are slow."""
    quick = {"rho": 0.9} if "rmsprop" in rule or rule == "adadelta" else {"beta_1": 0.9, "beta_2": 0.9}
    optimizer = RULES[rule](**options, **({} if rule in ("momentum", "nesterov") else quick))
    w, tiny = np.linspace(-1, 1, 37).astype(dtype), np.finfo(dtype).tiny
    optimizer.apply([np.linspace(-1, 1, 37).astype(dtype)], [w])
    slots = {name: arrays[0] for name, arrays in optimizer.slots.items()}
    assert all(np.any(v) for v in slots.values())
    for _ in range(8000 if dtype == np.float64 else 1200):
        optimizer.apply([np.zeros(37, dtype)], [w])
    for v in slots.values():
        assert not np.any((v != 0) & (np.abs(v) < tiny))


@pytest.mark.parametrize("rule", ["adam", "rmsprop", "adadelta"])
def test_squares_too_small_for_a_number_are_0(rule):
    optimizer, w = RULES[rule](), np.ones(3, np.float32)
    for _ in range(3):
        optimizer.apply([np.array([1e-20, -3e-20, 1e-30], np.float32)], [w])
    assert np.all(w == 1)


SPECIALS = [0.0, -0.0, 5e-324, -1e-310, 1e-40, -1e-40, 1e-30, 1.0, -1.0, 1e30, -3e38, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [{}, {"clipvalue": 0.5}, {"weight_decay": 0.5, "use_ema": True}], ids=str)
@pytest.mark.parametrize("rule", RULES)
def test_special_gradients_go_where_the_reference_takes_them(rule, options, dtype):
    reference = importlib.import_module("fastnn.reference.optimizers")
    optimizer = RULES[rule](**options)
    plain = getattr(reference, type(optimizer).__name__)(
        **{k: v for k, v in optimizer.get_config().items() if k not in ("name", "loss_scale_factor")}
    )
    w = np.linspace(-1, 1, 2 * len(SPECIALS)).astype(dtype)
    with np.errstate(over="ignore"):
        g = np.array(SPECIALS + SPECIALS[::-1]).astype(dtype)
    v = [reference.Variable(w.tolist())]
    for step in range(3):
        gradient = np.roll(g, step) if step == 2 else g
        optimizer.apply([gradient], [w])
        plain.step([gradient.tolist()], v)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.array(v[0].values).astype(dtype)
        squares = (
            np.abs(g) > np.sqrt(np.finfo(dtype).max) / 10
        )  # in float32 they overflow earlier than in the reference
        touched = squares | np.roll(squares, 2)
        if rule == "rprop":  # the reference multiplies gradients for the sign of the product, which underflows
            touched |= (np.abs(g) < 1e-150) | (np.abs(np.roll(g, 2)) < 1e-150)
    np.testing.assert_allclose(w[~touched], expected[~touched], rtol=1e-5, atol=2e-6)
    assert np.isnan(w).any() or "clipvalue" in options
    nan = np.isnan(g)
    assert np.isnan(w[nan]).all()


def test_a_nan_or_infinity_and_the_norms():
    for bad in (math.nan, math.inf):
        g = np.array([bad, 1.0, -2.0])
        each, together = np.ones(3), [np.ones(3), np.ones(2)]
        optimizers.SGD(1.0, clipnorm=1.0).apply([g], [each])
        if math.isinf(bad):
            np.testing.assert_array_equal(each, [math.nan, 1.0, 1.0])
        else:
            assert np.isnan(each).all()
        optimizers.SGD(1.0, global_clipnorm=1.0).apply([g, np.ones(2)], together)
        assert np.isnan(together[0]).all()
        assert np.isnan(together[1]).all()
    huge = np.full(4, 1e38, np.float32)  # whose squares float32 cannot hold
    w = np.zeros(4, np.float32)
    optimizers.SGD(1.0, clipnorm=1.0).apply([huge], [w])
    np.testing.assert_allclose(w, -0.5, rtol=1e-6)
    w = np.zeros(4, np.float32)
    optimizers.SGD(1.0, clipnorm=1.0).apply([np.zeros(4, np.float32)], [w])
    assert (w == 0).all()


@pytest.mark.parametrize("size", [1, 15, 16, 17, 8191, 8192, 8193, 20_000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_norms_are_summed_in_double(size, dtype):
    g = noise(3, size, dtype)
    w = np.zeros(size, dtype)
    optimizers.SGD(1.0, clipnorm=1.0).apply([g], [w])
    norm = math.sqrt(math.fsum(float(x) ** 2 for x in g))
    np.testing.assert_allclose(w, -(g * (1 / norm if norm > 1 else 1)), rtol=3e-7 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_gradients_of_any_layout(dtype, data):
    shape = tuple(data.draw(st.lists(st.integers(0, 6), min_size=0, max_size=3)))
    plain = noise(1, shape, dtype) if shape else np.asarray(dtype(0.7))
    kind = data.draw(
        st.sampled_from(
            ["strided", "negative", "fortran", "readonly", "other", "list", "misaligned", "swapped", "zero"]
        )
    )
    gradient = plain
    if kind == "strided" and shape:
        gradient = np.repeat(plain, 2, axis=-1)[..., ::2]
    elif kind == "negative" and shape:
        gradient = np.ascontiguousarray(plain[::-1])[::-1]
    elif kind == "fortran" and shape:
        gradient = np.asfortranarray(plain)
    elif kind == "readonly":
        gradient = plain.copy()
        gradient.flags.writeable = False
    elif kind == "other":
        gradient = plain.astype(np.float64 if dtype == np.float32 else np.longdouble)
    elif kind == "list":
        gradient = plain.tolist()
    elif kind == "misaligned":
        raw = np.zeros(plain.nbytes + 1, np.uint8)
        gradient = raw[1:].view(dtype)[: plain.size].reshape(shape) if plain.size else plain
        gradient[...] = plain
    elif kind == "swapped":
        gradient = plain.astype(np.dtype(dtype).newbyteorder())
    elif kind == "zero":
        plain = np.full(shape, dtype(0.3))
        gradient = np.broadcast_to(dtype(0.3), shape)
    if kind == "list" and np.shape(gradient) != shape:
        return  # nested empty lists forget their shape
    results = []
    for g in (np.ascontiguousarray(plain).reshape(shape), gradient):
        w = noise(2, shape, dtype) if shape else np.full((), 0.5, dtype)
        optimizer = optimizers.Adam(0.1)
        for _ in range(2):
            optimizer.apply([g], [w])
        results.append(w)
    np.testing.assert_array_equal(*results)
    assert results[0].size == 0 or not np.array_equal(results[0], noise(2, shape, dtype) if shape else 0.5)


def test_a_gradient_may_be_the_variable_or_lie_across_it():
    for piece in (slice(0, 6), slice(2, 8)):
        memory = np.arange(1.0, 9.0)
        w, g = memory[:6], memory[piece]
        expected = w - 0.5 * g
        optimizers.SGD(0.5).apply([g], [w])
        np.testing.assert_array_equal(w, expected)


# ---------------------------------------------------------------------------------------------------------- wrong calls


def read_only(array):
    array.flags.writeable = False
    return array


def misaligned(shape):
    raw = np.zeros(8 * math.prod(shape) + 1, np.uint8)
    return raw[1:].view(np.float64).reshape(shape)


WRONG = {
    "fewer gradients": (lambda g, w: (g[:1], w), ValueError, "grads has 1 gradients but there are 2 variables"),
    "shape": (lambda g, w: ([g[0], g[1][:2]], w), ValueError, r"grads\[1\] has shape \(2,\)"),
    "text": (lambda g, w: ([g[0], np.array(["a", "b", "c"])], w), TypeError, r"grads\[1\]"),
    "complex": (lambda g, w: ([g[0], g[1] * 1j], w), TypeError, r"grads\[1\]"),
    "no gradient": (lambda g, w: ([None, None], w), ValueError, "no gradient for any"),
    "twice": (lambda g, w: (g[:1] * 2, w[:1] * 2), ValueError, "twice|share memory"),
    "list": (lambda g, w: (g, [w[0], w[1].tolist()]), (TypeError, ValueError), "variables"),
    "read-only": (lambda g, w: (g, [w[0], read_only(w[1])]), ValueError, r"variables\[1\] is read-only"),
}
WRONG_AT_FIRST = {
    "dtype": (lambda g, w: (g, [w[0], w[1].astype(np.float32)]), ValueError, "must be the same"),
    "integers": (lambda g, w: (g, [w[0], w[1].astype(np.int64)]), TypeError, "int64"),
    "half": (lambda g, w: (g, [w[0], w[1].astype(np.float16)]), TypeError, "float16"),
    "strided": (lambda g, w: (g, [w[0].T.copy().T, w[1]]), ValueError, r"variables\[0\] is not C-contiguous"),
    "misaligned": (lambda g, w: (g, [w[0], misaligned((3,))]), ValueError, r"variables\[1\]"),
    "overlap": (lambda g, w: (g, [w[0], w[0].reshape(-1)[1:4]]), ValueError, "share memory"),
}


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("wrong", [*WRONG, *WRONG_AT_FIRST])
def test_a_wrong_call_changes_nothing(wrong, built):
    if built and wrong in WRONG_AT_FIRST:
        pytest.skip("not one of the variables it was built with")
    change, error, words = {**WRONG, **WRONG_AT_FIRST}[wrong]
    optimizer = optimizers.Adam(0.1)
    w, g = (
        [noise(0, (3, 4), np.float64), noise(1, 3, np.float64)],
        [noise(2, (3, 4), np.float64), noise(3, 3, np.float64)],
    )
    if built:
        optimizer.apply(g, w)
        state = optimizer.get_state()
    before = [a.copy() for a in w]
    gradients, variables = change(g, w)
    with pytest.raises(error, match=words):
        optimizer.apply(gradients, variables)
    for a, b in zip(w, before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert optimizer.built == built
    assert optimizer.iterations == built
    if built:
        for key, value in optimizer.get_state().items():
            np.testing.assert_array_equal(value, state[key])
    w[1].flags.writeable = True
    optimizer.apply(g, w)  # and it can go on
    assert optimizer.iterations == built + 1


def test_calls_that_do_not_fit_the_state():
    optimizer, w = optimizers.Adam(), [np.ones(3), np.ones(2)]
    with pytest.raises(ValueError, match="not built yet"):
        optimizer.apply([np.ones(3)])
    optimizer.apply([])  # as Keras: nothing to do
    assert not optimizer.built
    assert optimizer.apply_gradients(zip([np.ones(3), np.ones(2)], w, strict=True)) == 1
    with pytest.raises(ValueError, match="not among those"):
        optimizer.apply([np.ones(3)], [np.ones(3)])
    with pytest.raises(ValueError, match="2 variables"):
        optimizer.apply([np.ones(3)])
    optimizer.apply([np.ones(3), np.ones(2)], [w[0][:], w[1][:]])  # views of the whole are the same variables
    assert optimizer.iterations == 2
    optimizer.amsgrad = True
    with pytest.raises(ValueError, match="changed after"):
        optimizer.apply([np.ones(3), np.ones(2)])
    optimizer.amsgrad = False
    optimizer.beta_1 = 0.5
    optimizer.apply([np.ones(3), np.ones(2)])
    with pytest.raises(ValueError, match="beta_1"):
        optimizer.beta_1 = 1.5


def test_options_may_change_between_steps():
    w, x = np.ones(3), np.ones(3)
    changing, first, second = (
        optimizers.SGD(0.1),
        optimizers.SGD(0.1),
        optimizers.SGD(0.2, weight_decay=0.5, clipvalue=0.5),
    )
    changing.apply([np.ones(3)], [w])
    changing.learning_rate, changing.weight_decay, changing.clipvalue = 0.2, 0.5, 0.5
    changing.apply([np.ones(3)], [w])
    first.apply([np.ones(3)], [x])
    second.apply([np.ones(3)], [x])
    np.testing.assert_array_equal(w, x)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"clipnorm": 1.0, "clipvalue": 1.0}, ValueError, "only one"),
        ({"clipnorm": -1.0}, ValueError, "clipnorm"),
        ({"learning_rate": -0.1}, ValueError, "learning_rate"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate"),
        ({"beta_1": 1.0}, ValueError, "beta_1"),
        ({"epsilon": -1e-7}, ValueError, "epsilon"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay"),
        ({"use_ema": True, "ema_momentum": 1.5}, ValueError, "ema_momentum"),
        ({"use_ema": True, "ema_overwrite_frequency": 0}, ValueError, "ema_overwrite_frequency"),
        ({"gradient_accumulation_steps": 1}, ValueError, "gradient_accumulation_steps"),
        ({"loss_scale_factor": 0.0}, ValueError, "loss_scale_factor"),
        ({"name": 3}, TypeError, "name"),
        ({"rate": 0.1}, TypeError, "rate"),
    ],
    ids=str,
)
def test_wrong_arguments(arguments, error, words):
    with pytest.raises(error, match=words):
        optimizers.Adam(**arguments)


def test_more_wrong_arguments():
    with pytest.raises(ValueError, match="AdamW needs a number"):
        optimizers.AdamW(weight_decay=None)
    with pytest.raises(ValueError, match="momentum"):
        optimizers.SGD(momentum=1.1)
    with pytest.raises(ValueError, match=r"etas\[0\]"):
        optimizers.Rprop(etas=(1.5, 1.2))
    with pytest.raises(ValueError, match=r"step_sizes\[1\]"):
        optimizers.Rprop(step_sizes=(1.0, 0.5))
    with pytest.raises(TypeError, match="list of strings"):
        optimizers.Adam().exclude_from_weight_decay(var_names="bias")
    named = optimizers.AdamW()
    named.exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(ValueError, match="names"):
        named.apply([np.ones(2)], [np.ones(2)])
    with pytest.raises(ValueError, match="constraints: expected 1"):
        optimizers.Adam().build([np.ones(2)], constraints=[])
    with pytest.raises(NotImplementedError, match="update_step"):
        optimizers.Optimizer(0.1).apply([np.ones(2)], [np.ones(2)])


def test_a_rate_is_a_number_a_schedule_or_a_function():
    optimizer = optimizers.SGD(schedules.PiecewiseConstantDecay([1], [0.5, 0.25]), gradient_accumulation_steps=2)
    w = np.zeros(1)
    rates = []
    for _ in range(4):
        rates.append(optimizer.learning_rate)
        optimizer.apply([np.ones(1)], [w])
    assert rates == [0.5, 0.5, 0.25, 0.25]  # the schedule counts every step
    assert w == [-0.75]
    with pytest.raises(TypeError, match="schedule"):
        optimizer.learning_rate = 0.1
    optimizer.learning_rate = schedules.InverseTimeDecay(0.1, 1, 1.0)
    assert optimizer.learning_rate == pytest.approx(0.02)
    optimizer.learning_rate = lambda: 0.125
    assert optimizer.learning_rate == 0.125
    optimizer.learning_rate = np.float32(0.5)
    assert optimizer.learning_rate == 0.5
    broken = optimizers.SGD(lambda: math.nan)
    with pytest.raises(ValueError, match="gave nan for step 0"):
        broken.apply([np.ones(1)], [w])
    assert w == [-0.75]


def test_a_rate_times_k_and_a_loss_times_k_are_the_same_step_of_sgd():
    g = noise(0, 100, np.float64)
    w, x = np.ones(100), np.ones(100)
    optimizers.SGD(0.1 * 8).apply([g], [w])
    optimizers.SGD(0.1).apply([g * 8], [x])
    np.testing.assert_array_equal(w, x)
    w, x = np.ones(100), np.ones(100)
    optimizers.Adam(0.1).apply([g], [w])
    optimizers.Adam(0.1).apply([g * 8], [x])
    np.testing.assert_allclose(w, x, atol=1e-4)


def test_one_optimizer_serves_one_thread_at_a_time():
    optimizer, w = optimizers.Adam(), [np.ones(3)]
    optimizer.apply([np.ones(3)], w)
    held, tried = threading.Event(), threading.Event()

    def hold():
        with optimizer._updater.exclusive.training("apply"):
            held.set()
            tried.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    before = w[0].copy()
    try:
        with pytest.raises(RuntimeError, match="apply: the apply of an optimizer is still running in another thread"):
            optimizer.apply([np.ones(3)], w)
    finally:
        tried.set()
        holder.join()
    np.testing.assert_array_equal(w[0], before)
    optimizer.apply([np.ones(3)], w)
    finished = []

    def fit(seed):
        finished.append(
            hashlib.sha256(b"".join(a.tobytes() for a in train(RULES["adam"], np.float32, 50_000))).digest()
        )

    workers = [threading.Thread(target=fit, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(finished) == 4
    assert len(set(finished)) == 1


def test_no_warning_from_a_plain_step():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizers.Adam().apply([np.array([1e-320, 1e300])], [np.zeros(2)])


@pytest.mark.parametrize("dtype", DTYPES)
def test_lbfgs_finds_a_minimum(dtype):
    optional("scipy")

    def valley(variables):
        (x,), (y,) = variables
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2, [[2 * (x - 1) - 400 * x * (y - x * x)], [200 * (y - x * x)]]

    w = [np.array([-1.2], dtype), np.array([1.0], dtype)]
    result = optimizers.LBFGS().minimize(valley, w)
    assert result.converged
    assert result.evaluations >= result.iterations > 0
    np.testing.assert_allclose(np.concatenate(w), 1, atol=1e-2 if dtype == np.float32 else 1e-4)
    before = [a.copy() for a in w]

    def fails(variables):
        variables[0] += 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        optimizers.LBFGS().minimize(fails, w)
    np.testing.assert_array_equal(w, before)
    with pytest.raises(TypeError, match="minimize"):
        optimizers.LBFGS().apply([np.ones(1)], w)


LEAST = 10  # bytes a step: malloc gives out 16 at least
OBJECT = 100  # bytes: an array takes more


def moment(call):
    """How many bytes a call takes for a moment, and keeps, as Python and NumPy are asked: the least of five attempts,
    since what else runs in the process allocates meanwhile."""
    found = []
    tracemalloc.start()
    try:
        for _ in range(5):
            before = tracemalloc.get_traced_memory()[0]
            before = tracemalloc.get_traced_memory()[0]  # again: it counts the number `before`, as `now` does
            tracemalloc.reset_peak()
            call()
            now, peak = tracemalloc.get_traced_memory()
            found.append(max(abs(now - before), peak - before))
    finally:
        tracemalloc.stop()
    return min(found)


def test_a_moment_is_seen():
    assert moment(lambda: np.empty(1).fill(0)) >= OBJECT
    assert moment(lambda: None) < OBJECT


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("options", [{}, {"clipnorm": 0.5, **EVERYTHING}, {"gradient_accumulation_steps": 2}], ids=str)
@pytest.mark.parametrize("rule", RULES)
def test_a_step_allocates_nothing(threads, rule, options, count):
    """Not even for a moment, as far as Python and NumPy are asked; malloc is asked before and after."""
    fastnn.set_num_threads(count)
    variables = [noise(0, 70_001, np.float32), noise(1, (300, 70), np.float32)]
    gradients = [noise(2, 70_001, np.float32), noise(3, (300, 70), np.float32)]
    optimizer = RULES[rule](**options)
    optimizer.build(
        variables,
        regularizers=[regularizers.L1L2(0.01, 0.02), None],
        constraints=[constraints.NonNeg(), constraints.MaxNorm(3.0)],
    )
    updater = optimizer._configured()
    assert updater.bind(gradients)
    step = updater.step

    def steps():
        for _ in range(100):
            step(1e-3)

    steps()
    assert abs(grown(steps)) < LEAST * 100
    taken = updater.iterations
    assert moment(steps) < OBJECT
    assert updater.iterations == taken + 500
