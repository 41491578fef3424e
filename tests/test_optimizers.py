"""Optimizers against Keras, PyTorch and the plain-Python reference."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import copy
import importlib
import json
import pickle

import numpy as np
import pytest
from optional import optional

from fastnn import constraints, optimizers, regularizers
from fastnn.optimizers import schedules

STEPS = 33
SHAPES = [(5, 7), (7,), (1,), (3, 2, 4)]

# class, arguments: every rule of the table, and every option that changes one
RULES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.8, "nesterov": True}),
    ("SGD", {"nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"rho": 0.7, "epsilon": 1e-3}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5}),
    ("Adagrad", {}),
    ("Adagrad", {"initial_accumulator_value": 0.0, "epsilon": 1e-4}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.8}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.1, "amsgrad": True}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Nadam", {"beta_1": 0.5}),
    ("Lion", {}),
    ("Lion", {"beta_1": 0.6, "beta_2": 0.7}),
]
OPTIONS = [
    {"clipnorm": 0.7},
    {"clipnorm": 1e6},
    {"clipvalue": 0.3},
    {"global_clipnorm": 1.3},
    {"global_clipnorm": 1e6},
    {"weight_decay": 0.05},
    {"use_ema": True, "ema_momentum": 0.9},
    {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 4},
    {"gradient_accumulation_steps": 3, "clipnorm": 0.4, "weight_decay": 0.01},
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 2},
    {"loss_scale_factor": 8.0, "clipvalue": 0.2},
    {"weight_decay": 0.02, "global_clipnorm": 0.9, "use_ema": True, "ema_overwrite_frequency": 5},
]
CASES = [(name, given) for name, given in RULES] + [
    (name, {**given, **options})
    for options in OPTIONS
    for name, given in [("SGD", {"momentum": 0.9}), ("Adam", {}), ("Nadam", {}), ("Lion", {}), ("RMSprop", {})]
]


def case_id(value):
    return value if isinstance(value, str) else ",".join(f"{k}={v}" for k, v in value.items()) or "default"


def start(dtype=np.float64, shapes=SHAPES):
    generator = np.random.default_rng(1)
    return [generator.standard_normal(shape).astype(dtype) for shape in shapes]


def gradient_stream(dtype=np.float64, shapes=SHAPES, steps=STEPS, seed=2):
    generator = np.random.default_rng(seed)
    for _ in range(steps):
        yield [(generator.standard_normal(shape) * generator.uniform(0.1, 3)).astype(dtype) for shape in shapes]


@pytest.fixture(scope="module")
def keras():
    module = optional("keras")
    if module.backend.backend() != "jax":
        pytest.skip("needs Keras on JAX")
    before = module.config.floatx()
    module.config.set_floatx("float64")
    yield module
    module.config.set_floatx(before)


def keras_variables(keras, arrays):
    # JAX takes aligned arrays without a copy: it must not see the changes in place
    return [keras.Variable(a.copy(), dtype=a.dtype.name, name=f"v{i}") for i, a in enumerate(arrays)]


def keras_apply(keras, optimizer, variables):
    """A function that takes one step of Keras's, compiled once."""

    def tensors(gradients):
        return [keras.ops.convert_to_tensor(g.copy()) for g in gradients]

    jax = optional("jax")
    optimizer.build(variables)
    compiled = jax.jit(optimizer.stateless_apply)

    def apply(gradients):
        groups = variables, optimizer.variables
        new = compiled([x.value for x in groups[1]], tensors(gradients), [x.value for x in groups[0]])
        for group, values in zip(groups, new, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)

    return apply


@pytest.mark.parametrize(("name", "given"), CASES, ids=case_id)
def test_every_rule_and_option_takes_the_steps_of_keras(keras, name, given):
    ours, theirs = getattr(optimizers, name)(**given), getattr(keras.optimizers, name)(**given)
    w = start()
    v = keras_variables(keras, w)
    step_theirs = keras_apply(keras, theirs, v)
    for gradients in gradient_stream():
        ours.apply(gradients, w)
        step_theirs(gradients)
    for a, b, first in zip(w, v, start(), strict=True):
        assert not np.array_equal(a, first)
        np.testing.assert_allclose(a, np.asarray(b.value), rtol=1e-12, atol=1e-13)
    assert ours.iterations == int(theirs.iterations)
    ours.finalize_variable_values(w)
    theirs.finalize_variable_values(v)
    for a, b in zip(w, v, strict=True):
        np.testing.assert_allclose(a, np.asarray(b.value), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "given"), [case for case in CASES if "gradient_accumulation_steps" not in case[1]][::2], ids=case_id
)
def test_float32_stays_near_keras_in_float64(keras, name, given):
    ours, theirs = getattr(optimizers, name)(**given), getattr(keras.optimizers, name)(**given)
    w = start(np.float32)
    v = keras_variables(keras, [a.astype(np.float64) for a in w])
    for gradients in gradient_stream(np.float32):
        ours.apply(gradients, w)
        theirs.apply([keras.ops.convert_to_tensor(g.astype(np.float64)) for g in gradients], v)
    for a, b in zip(w, v, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, np.asarray(b.value), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Rprop"])
@pytest.mark.parametrize("schedule", ["ExponentialDecay", "callable"])
def test_a_rate_that_changes(keras, name, schedule):
    def rate(module):
        if schedule == "callable":
            return lambda: 0.0123
        return module.ExponentialDecay(0.1, decay_steps=7, decay_rate=0.5)

    ours = getattr(optimizers, name)(learning_rate=rate(schedules), weight_decay=0.1)
    w = start()
    if name == "Rprop":
        ours.apply(next(gradient_stream()), w)
        assert {float(s.flat[0]) for s in ours.slots["step_size"]} == {0.0123 if schedule == "callable" else 0.1}
        return
    theirs = getattr(keras.optimizers, name)(learning_rate=rate(keras.optimizers.schedules), weight_decay=0.1)
    v = keras_variables(keras, w)
    for gradients in gradient_stream():
        ours.apply(gradients, w)
        theirs.apply([keras.ops.convert_to_tensor(g) for g in gradients], v)
    assert ours.learning_rate == pytest.approx(float(theirs.learning_rate), rel=1e-14)
    for a, b in zip(w, v, strict=True):
        np.testing.assert_allclose(a, np.asarray(b.value), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("exclude", [{"var_names": ["bias", "gamma$"]}, {"var_list": [1, 2]}], ids=str)
def test_decay_leaves_out_what_is_excluded(keras, exclude):
    names = ["kernel", "dense_bias", "gamma", "gamma_kernel"]
    ours, theirs = optimizers.AdamW(weight_decay=0.3), keras.optimizers.AdamW(weight_decay=0.3)
    w = start()
    v = [keras.Variable(a.copy(), name=n) for a, n in zip(w, names, strict=True)]
    if "var_list" in exclude:
        ours.exclude_from_weight_decay(var_list=[w[i] for i in exclude["var_list"]])
        theirs.exclude_from_weight_decay(var_list=[v[i] for i in exclude["var_list"]])
    else:
        ours.exclude_from_weight_decay(**exclude)
        theirs.exclude_from_weight_decay(**exclude)
    ours.build(w, names=names)
    for gradients in gradient_stream(steps=5):
        ours.apply(gradients)
        theirs.apply([keras.ops.convert_to_tensor(g) for g in gradients], v)
    for a, b in zip(w, v, strict=True):
        np.testing.assert_allclose(a, np.asarray(b.value), rtol=1e-12, atol=1e-13)
    with pytest.raises(ValueError, match="before the optimizer is built"):
        ours.exclude_from_weight_decay(var_names=["kernel"])


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"clipnorm": 0.5},
        {"gradient_accumulation_steps": 3, "clipvalue": 0.4},
        {"use_ema": True, "ema_overwrite_frequency": 2},
    ],
    ids=case_id,
)
def test_penalties_and_constraints_in_their_places(keras, given):
    """Keras gets the penalties' gradients from its losses: here they are added to what it is given."""
    ours, theirs = (
        optimizers.Adam(0.05, weight_decay=0.1, **given),
        keras.optimizers.Adam(0.05, weight_decay=0.1, **given),
    )
    shapes = [(5, 7), (7,), (4, 3), (6, 2), (2, 3, 4)]
    w = start(shapes=shapes)
    w[0][0, :] = 0
    penalties = [regularizers.L1(0.05), regularizers.L2(0.1), regularizers.L1L2(0.02, 0.03), None, regularizers.L2(0.5)]
    limits = ["MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm", None]
    arguments = [{"max_value": 1.5}, {}, {"axis": 1}, {"min_value": 0.5, "max_value": 0.9, "rate": 0.7}, {}]
    v = keras_variables(keras, w)
    for variable, limit, extra in zip(v, limits, arguments, strict=True):
        if limit:
            variable.constraint = getattr(keras.constraints, limit)(**extra)
    step_theirs = keras_apply(keras, theirs, v)
    limited = [getattr(constraints, n)(**extra) if n else None for n, extra in zip(limits, arguments, strict=True)]
    ours.build(w, regularizers=penalties, constraints=limited)
    for gradients in gradient_stream(shapes=shapes):
        values = [np.asarray(variable.value) for variable in v]
        full = [
            g + (0 if p is None else p.l1 * np.sign(x) + 2 * p.l2 * x)
            for g, p, x in zip(gradients, penalties, values, strict=True)
        ]
        step_theirs(full)
        ours.apply(gradients)
    for a, b in zip(w, v, strict=True):
        np.testing.assert_allclose(a, np.asarray(b.value), rtol=1e-11, atol=1e-12)
    assert w[1].min() == 0


def test_missing_gradients_are_left_alone_as_keras_does(keras):
    given = {"use_ema": True, "weight_decay": 0.1, "global_clipnorm": 1.0}
    ours, theirs = optimizers.Adam(**given), keras.optimizers.Adam(**given)
    w = start()
    v = keras_variables(keras, w)
    for step, gradients in enumerate(gradient_stream(steps=9)):
        gradients[step % 4] = None
        with pytest.warns(UserWarning, match=rf"variables\[{step % 4}\]"):
            ours.apply(gradients, w)
        with pytest.warns(UserWarning, match="Gradients do not exist"):
            theirs.apply([None if g is None else keras.ops.convert_to_tensor(g) for g in gradients], v)
    for a, b in zip(w, v, strict=True):
        np.testing.assert_allclose(a, np.asarray(b.value), rtol=1e-12, atol=1e-13)
    # and some of the variables, in another order
    for gradients in gradient_stream(steps=3):
        ours.apply([gradients[2], gradients[0]], [w[2], w[0]])
        theirs.apply([keras.ops.convert_to_tensor(gradients[i]) for i in (2, 0)], [v[2], v[0]])
    for a, b in zip(w, v, strict=True):
        np.testing.assert_allclose(a, np.asarray(b.value), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("name", "given"), RULES, ids=case_id)
def test_defaults_and_configuration_are_those_of_keras(keras, name, given):
    ours, theirs = getattr(optimizers, name)(**given), getattr(keras.optimizers, name)(**given)
    mine = {k: v for k, v in ours.get_config().items() if k not in ("bias_correction", "name")}
    other = {k: v for k, v in theirs.get_config().items() if k != "name"}
    assert mine == other
    again = type(ours).from_config(ours.get_config())
    assert again.get_config() == ours.get_config()
    # a dict that Keras wrote
    assert (
        optimizers.deserialize(keras.optimizers.serialize(theirs)).get_config()["learning_rate"]
        == other["learning_rate"]
    )


# ------------------------------------------------------------------------------------------------------------- PyTorch


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("Rprop", {}), ("Rprop", {})),
        (
            ("Rprop", {"learning_rate": 0.3, "etas": (0.4, 1.5), "step_sizes": (1e-2, 0.5)}),
            ("Rprop", {"lr": 0.3, "etas": (0.4, 1.5), "step_sizes": (1e-2, 0.5)}),
        ),
        (("SGD", {"learning_rate": 0.1}), ("SGD", {"lr": 0.1})),
        (("AdamW", {"weight_decay": 0.1, "epsilon": 0.0}), ("AdamW", {"weight_decay": 0.1, "eps": 0.0})),
        (("Adamax", {"epsilon": 0.0}), ("Adamax", {"lr": 1e-3, "eps": 0.0})),
        (
            ("Adagrad", {"epsilon": 0.0, "initial_accumulator_value": 1.0}),
            ("Adagrad", {"lr": 1e-3, "eps": 0.0, "initial_accumulator_value": 1.0}),
        ),
        (("Adadelta", {"learning_rate": 1.0, "rho": 0.9}), ("Adadelta", {"lr": 1.0, "rho": 0.9, "eps": 1e-7})),
    ],
    ids=str,
)
def test_the_steps_of_pytorch(ours, theirs, dtype):
    torch = optional("torch")
    w = start(dtype)
    v = [torch.tensor(a.copy(), requires_grad=True) for a in w]
    optimizer, other = getattr(optimizers, ours[0])(**ours[1]), getattr(torch.optim, theirs[0])(v, **theirs[1])
    for step, gradients in enumerate(gradient_stream(dtype)):
        if step % 5 == 0:
            gradients[0][0, :] = 0
        optimizer.apply(gradients, w)
        for variable, g in zip(v, gradients, strict=True):
            variable.grad = torch.tensor(g)
        other.step()
    rtol, atol = (1e-12, 1e-13) if dtype == np.float64 else (1e-5, 2e-6)
    for a, b in zip(w, v, strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=rtol, atol=atol)


# ------------------------------------------------------------------------------------------------------- the reference


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *CASES,
        ("Adam", {"bias_correction": False}),
        ("Adam", {"bias_correction": False, "amsgrad": True}),
        ("Rprop", {}),
    ],
    ids=case_id,
)
def test_the_steps_of_the_reference(name, given):
    reference = importlib.import_module("fastnn.reference.optimizers")
    if "loss_scale_factor" in given:
        pytest.skip("the reference has no loss scale")
    ours, plain = getattr(optimizers, name)(**given), getattr(reference, name)(**given)
    w = start()
    v = [reference.Variable(a.reshape(-1).tolist(), a.shape) for a in w]
    for gradients in gradient_stream():
        ours.apply(gradients, w)
        plain.step([g.reshape(-1).tolist() for g in gradients], v)
    for a, b in zip(w, v, strict=True):
        np.testing.assert_allclose(a.reshape(-1), b.values, rtol=1e-12, atol=1e-13)
    for slot, arrays in ours.slots.items():
        for a, b in zip(arrays, plain.slot(slot), strict=True):
            np.testing.assert_allclose(a.reshape(-1), b, rtol=1e-11, atol=1e-13)
    assert ours.iterations == plain.updates


# ----------------------------------------------------------------------------------------------------- state and copies


@pytest.mark.parametrize(("name", "given"), [*CASES[::3], ("Rprop", {}), ("Nadam", {})], ids=case_id)
@pytest.mark.parametrize("way", ["state", "pickle", "deepcopy"])
def test_going_on_gives_the_same_bits(name, given, way):
    stream = list(gradient_stream(np.float32))
    straight, w = getattr(optimizers, name)(**given), start(np.float32)
    for gradients in stream:
        straight.apply(gradients, w)
    first, x = getattr(optimizers, name)(**given), start(np.float32)
    for gradients in stream[:14]:
        first.apply(gradients, x)
    if way == "state":
        state = first.get_state()
        second = optimizers.deserialize(json.loads(json.dumps(optimizers.serialize(first))))
        second.build(x)
        second.set_state(state)
    else:
        second, x = pickle.loads(pickle.dumps((first, x))) if way == "pickle" else copy.deepcopy((first, x))
    for gradients in stream[14:]:
        second.apply(gradients, x)
    for a, b in zip(w, x, strict=True):
        np.testing.assert_array_equal(a, b)
    assert second.iterations == straight.iterations


def test_a_state_is_a_plain_dict_and_a_copy():
    optimizer, w = optimizers.Nadam(gradient_accumulation_steps=2, use_ema=True), start()
    with pytest.raises(ValueError, match="get_state"):
        optimizer.get_state()
    for gradients in gradient_stream(steps=3):
        optimizer.apply(gradients, w)
    state = optimizer.get_state()
    assert {type(v) for v in state.values()} == {int, float, np.ndarray}
    assert state["iterations"] == 3
    assert {k.split("/")[0] for k in state} == {
        "iterations", "memory", "learning_rate", "average", "gradient_accumulator", "momentum", "velocity"
    }  # fmt: skip
    before = state["momentum/0"].copy()
    optimizer.apply(next(gradient_stream()), w)
    np.testing.assert_array_equal(state["momentum/0"], before)


@pytest.mark.parametrize("damage", ["missing", "surplus", "shape", "iterations"])
def test_a_wrong_state_changes_nothing(damage):
    optimizer, w = optimizers.Adam(), start()
    optimizer.apply(next(gradient_stream()), w)
    state = optimizer.get_state()
    bad = {k: (v + 1 if isinstance(v, np.ndarray) else v) for k, v in state.items()}
    if damage == "missing":
        del bad["velocity/3"]
    elif damage == "surplus":
        bad["velocity/4"] = bad["velocity/3"]
    elif damage == "shape":
        bad["velocity/3"] = bad["velocity/3"][1:]
    else:
        bad["iterations"] = -1
    with pytest.raises(ValueError, match="state"):
        optimizer.set_state(bad)
    after = optimizer.get_state()
    assert after.keys() == state.keys()
    for key, value in state.items():
        np.testing.assert_array_equal(after[key], value)


def test_averages_can_be_swapped_and_swapped_back():
    optimizer, w = optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9), start()
    with pytest.raises(ValueError, match="swap_averages"):
        optimizer.swap_averages()
    for gradients in gradient_stream(steps=4):
        optimizer.apply(gradients, w)
    trained = [a.copy() for a in w]
    optimizer.swap_averages()
    assert not np.array_equal(w[0], trained[0])
    averages = [a.copy() for a in w]
    optimizer.swap_averages()
    for a, b in zip(w, trained, strict=True):
        np.testing.assert_array_equal(a, b)
    optimizer.finalize_variable_values(w)
    for a, b in zip(w, averages, strict=True):
        np.testing.assert_array_equal(a, b)


# ----------------------------------------------------------------------------------------------- an optimizer in Python


class PythonMomentum(optimizers.Optimizer):
    def __init__(self, learning_rate=0.01, momentum=0.9, **options):
        super().__init__(learning_rate, **options)
        self.momentum = momentum

    def build(self, variables, *more, **named):
        super().build(variables, *more, **named)
        self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient, variable, learning_rate):
        m = self.momentums[self.index(variable)]
        m *= self.momentum
        m -= learning_rate * gradient
        variable += m


@pytest.mark.parametrize("given", [{}, *OPTIONS], ids=case_id)
def test_an_update_in_python_goes_through_the_same_step(given):
    compiled, own = optimizers.SGD(momentum=0.9, **given), PythonMomentum(**given)
    w, x = start(), start()
    extras = {
        "regularizers": [regularizers.L2(0.1), None, regularizers.L1(0.1), None],
        "constraints": [constraints.MaxNorm(1.0), None, None, constraints.NonNeg()],
    }
    compiled.build(w, **extras)
    own.build(x, **extras)
    for gradients in gradient_stream():
        compiled.apply(gradients)
        own.apply(gradients, x)
    for a, b in zip(w, x, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    assert own.iterations == compiled.iterations
    again = PythonMomentum(**given)
    again.build(x, **extras)
    again.set_state(own.get_state())
    y = [a.copy() for a in x]
    more = list(gradient_stream(steps=3, seed=5))
    for gradients in more:
        again.apply(gradients, x)
    kept = [a.copy() for a in x]
    for a, b in zip(x, y, strict=True):
        a[...] = b
    for gradients in more:
        own.apply(gradients, x)
    for a, b in zip(x, kept, strict=True):
        np.testing.assert_array_equal(a, b)


class HalfRate(optimizers.Nadam):
    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate / 2)


def test_a_rule_can_be_called_from_a_subclass():
    full, half = optimizers.Nadam(0.005), HalfRate(0.01)
    w, x = start(), start()
    for gradients in gradient_stream():
        full.apply(gradients, w)
        half.apply(gradients, x)
    for a, b in zip(w, x, strict=True):
        np.testing.assert_array_equal(a, b)


class Cubic(regularizers.Regularizer):
    def gradient(self, x):
        return 0.3 * x * np.abs(x)


class Rounded(constraints.Constraint):
    def __call__(self, w):
        return np.round(w, 3)


def test_penalties_and_constraints_in_python():
    plain, own = optimizers.Adam(0.1, loss_scale_factor=4.0), optimizers.Adam(0.1, loss_scale_factor=4.0)
    w, x = start(), start()
    own.build(x, regularizers=[Cubic(), None, None, None], constraints=[Rounded(), None, None, None])
    for gradients in gradient_stream():
        with_penalty = [gradients[0] + 4 * 0.3 * w[0] * np.abs(w[0]), *gradients[1:]]
        plain.apply(with_penalty, w)
        w[0][...] = np.round(w[0], 3)
        own.apply(gradients)
    for a, b in zip(w, x, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


# -------------------------------------------------------------------------------------------------- names and the pages


def test_names_strings_and_dicts():
    assert optimizers.get(None) is None
    assert sorted(optimizers.names()) == sorted(
        ["sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamw", "adamax", "nadam", "lion", "rprop", "lbfgs"]
    )
    for name in optimizers.names():
        made = optimizers.get(name)
        assert type(made).__name__.lower() == name
        assert made.name == name
        again = optimizers.deserialize(optimizers.serialize(made))
        assert type(again) is type(made)
        assert again.get_config() == made.get_config()
        assert optimizers.get(type(made).__name__).get_config() == made.get_config()
    instance = optimizers.Adam()
    assert optimizers.get(instance) is instance
    assert isinstance(optimizers.get(optimizers.SGD), optimizers.SGD)
    scheduled = optimizers.SGD(schedules.CosineDecay(0.1, 10))
    again = optimizers.deserialize(json.loads(json.dumps(optimizers.serialize(scheduled))))
    assert again.learning_rate == 0.1
    assert again.get_config() == scheduled.get_config()
    with pytest.raises(ValueError, match="did you mean 'adam'"):
        optimizers.get("adamm")
    with pytest.raises(TypeError, match="optimizer"):
        optimizers.get(3.0)
    custom = optimizers.serialize(PythonMomentum())
    assert isinstance(optimizers.deserialize(custom, {"PythonMomentum": PythonMomentum}), PythonMomentum)


def test_every_row_is_reached_and_every_optimizer_has_its_page(sources):
    from fastnn._core.optimizers import ROWS

    page = (sources / "docs/optimizers.md").read_text()
    for name in optimizers.names():
        cls = next(c for c in vars(optimizers).values() if isinstance(c, type) and c.__name__.lower() == name)
        assert f"\n### {cls.__name__}\n" in page
    for name in schedules.__all__:
        if name[0].isupper() and name != "LearningRateSchedule":
            assert f"\n### {name}\n" in page
    reached = {getattr(optimizers, name)(**given)._rule() for name, given in [*RULES, ("Rprop", {})]}
    assert reached == {row["name"] for row in ROWS}
    for row in ROWS:
        assert row["formula"] in page.replace("`", "").replace("\n", " "), row["name"]
