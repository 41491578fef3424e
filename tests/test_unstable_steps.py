"""A step whose loss is finite and whose weights would not be: refused, and nothing has changed.

What a step comes to is known from Optimizer.apply, which takes whatever it is given.
"""

import numpy as np
import pytest
from optional import optional

import fastnn
from fastnn import DivergenceError, Sequential, callbacks, constraints, layers, optimizers, regularizers

RULES = {
    "sgd": lambda **o: optimizers.SGD(0.5, **o),
    "momentum": lambda **o: optimizers.SGD(0.5, momentum=0.9, **o),
    "nesterov": lambda **o: optimizers.SGD(0.5, momentum=0.9, nesterov=True, **o),
    "rmsprop": lambda **o: optimizers.RMSprop(0.5, **o),
    "rmsprop_momentum": lambda **o: optimizers.RMSprop(0.5, momentum=0.9, **o),
    "rmsprop_centered": lambda **o: optimizers.RMSprop(0.5, centered=True, **o),
    "rmsprop_centered_momentum": lambda **o: optimizers.RMSprop(0.5, centered=True, momentum=0.5, **o),
    "adagrad": lambda **o: optimizers.Adagrad(0.5, **o),
    "adadelta": lambda **o: optimizers.Adadelta(0.5, **o),
    "adam": lambda **o: optimizers.Adam(0.5, **o),
    "amsgrad": lambda **o: optimizers.Adam(0.5, amsgrad=True, **o),
    "adamax": lambda **o: optimizers.Adamax(0.5, **o),
    "nadam": lambda **o: optimizers.Nadam(0.5, **o),
    "lion": lambda **o: optimizers.Lion(0.5, **o),
    "rprop": lambda **o: optimizers.Rprop(0.5, **o),
}
OPTIONS = {
    "plain": {},
    "decay": {"weight_decay": 0.1},
    "clipvalue": {"clipvalue": 1e30},
    "clipnorm": {"clipnorm": 1.0},
    "global_clipnorm": {"global_clipnorm": 1.0},
    "ema": {"use_ema": True, "ema_overwrite_frequency": 2},
    "accumulation": {"gradient_accumulation_steps": 2},
    "loss_scale": {"loss_scale_factor": 1024.0},
}
LARGEST = {"float32": float(np.finfo("f").max), "float64": np.finfo("d").max}


def linear(optimizer, dtype="float32", units=1, reduction="sum", metrics=("mae",), **options):
    """A model whose gradient is the sum of the samples, with a sign: its weights are 0, and its loss |y - 0|."""
    model = Sequential([layers.Input((3,)), layers.Dense(units, kernel_initializer="zeros", **options)], dtype=dtype)
    model.compile(optimizer, fastnn.losses.MeanAbsoluteError(reduction=reduction), metrics=list(metrics))
    model._ready_optimizer()
    return model


def state(model):
    kept = {f"weights/{i}": w for i, w in enumerate(model.get_weights())} | model.optimizer.get_state()
    return kept | {"forwards": np.array(model._forwards)}


def same_state(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def first_step(model, dtype="f"):
    """A step, and back to weights of 0 with what the optimizer remembers of it."""
    model.train_on_batch(np.ones((2, 3), dtype), np.ones((2, 1), dtype))
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])


def huge(dtype):
    """Two samples whose sum is infinite, and targets for a finite loss."""
    x = np.full((2, 3), 0.9 * LARGEST[dtype], dtype)
    return x, np.ones((2, 1), dtype)


def paths():
    def many_epochs(model, x, y):
        model.fit(x, y, batch_size=len(x), epochs=3, verbose=0)

    def heard(model, x, y):
        model.fit(x, y, batch_size=len(x), verbose=0, callbacks=[callbacks.LambdaCallback(on_train_batch_end=print)])

    def stream(model, x, y):
        model.fit(iter([(x, y)]), verbose=0, steps_per_epoch=1)

    def single(model, x, y):
        model.train_on_batch(x, y)

    def weighted(model, x, y):
        model.train_on_batch(x, y, sample_weight=np.ones(len(x)))

    return [many_epochs, heard, stream, single, weighted]


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.__name__)
@pytest.mark.parametrize("rule", RULES)
def test_nothing_changes_where_weights_would_become_infinite(rule, path, dtype):
    model = linear(RULES[rule](), dtype.name)
    first_step(model, dtype)
    before = state(model)
    with pytest.raises(
        DivergenceError, match=r"the loss is .*, but the step would make .* of 'dense.*' infinite or NaN"
    ):
        path(model, *huge(dtype.name))
    same_state(state(model), before)
    model.train_on_batch(np.ones((2, 3), dtype), np.ones((2, 1), dtype))  # and it goes on
    assert model.optimizer.iterations == 2


def test_the_message_names_the_variable_and_the_cure():
    model = linear(optimizers.SGD(1e308))
    with pytest.raises(DivergenceError) as caught:
        model.fit(np.ones((4, 3), "f"), np.ones((4, 1), "f"), verbose=0)
    message = str(caught.value)
    assert message.startswith("epoch 1, step 1: the loss is 4.0, but the step would make the weights of 'dense")
    assert "kernel'" in message
    assert "as it was before this step" in message
    assert "A lower learning rate" in message


def test_the_message_names_what_the_optimizer_remembers():
    model = linear(optimizers.Adam())
    x = np.full((1, 3), 1e25, "f")  # g^2 is infinite in float32, and Adam's step would be 0 for ever
    with pytest.raises(DivergenceError, match=r"the optimizer's velocity of 'dense.*kernel' infinite or NaN"):
        model.train_on_batch(x, np.ones((1, 1), "f"))
    assert not any(slot.any() for slots in model.optimizer.slots.values() for slot in slots)


def twin_of(model, rule, options):
    """The same optimizer on copies of the model's weights, and these."""
    variables = [v for v in model._variables() if v.in_trainables]
    arrays = [v.array.copy() for v in variables]
    twin = RULES[rule](**OPTIONS[options])
    twin.build(arrays, None, [v.regularizer for v in variables], [v.constraint for v in variables])
    return twin, arrays


def gradients_of(model, x, y):
    """Those of the loss by itself; None where it is not finite."""
    with np.errstate(all="ignore"):
        out, tape = model.forward(x)
        error = np.abs(out.astype("d") - y).mean(axis=-1).sum()
        penalty = sum(v.regularizer(v.array) for v in model._variables() if v.regularizer is not None)
        if not np.isfinite(error + penalty) or not np.isfinite(out - y).all():
            return None
        model.grads[...] = 0
        tape.backward(np.sign(out - y) * out.dtype.type(1 / out.shape[-1]))
    return [model._gradient_of(v).copy() for v in model._variables() if v.in_trainables]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("rule", RULES)
def test_a_step_is_refused_if_and_only_if_apply_makes_something_infinite(rule, options, dtype, rng):
    """Gradients of all magnitudes, one step after the other; those that are taken have the bits of apply."""
    limit = np.log10(LARGEST[dtype.name])
    outcomes = []
    for trial in range(12):
        model = linear(
            RULES[rule](**OPTIONS[options]), dtype.name, 4, metrics=(),
            kernel_regularizer=regularizers.L1L2(0.01, 0.02) if trial % 3 == 1 else None,
            kernel_constraint=constraints.MaxNorm(2.0) if trial % 4 == 1 else None,
        )  # fmt: skip
        twin, arrays = twin_of(model, rule, options)
        twin.learning_rate = model.optimizer.learning_rate = 10 ** rng.uniform(-3, 0 if trial % 2 else limit)
        for _ in range(8):
            x = (rng.uniform(-1, 1, (2, 3)) * 10.0 ** rng.uniform(-limit, limit)).astype(dtype)
            y = rng.uniform(-1, 1, (2, 4)).astype(dtype)
            gradients, before = gradients_of(model, x, y), state(model)
            if gradients is None:
                break
            with np.errstate(all="ignore"):
                twin.apply(gradients)
            after = {f"weights/{i}": w for i, w in enumerate(arrays)} | twin.get_state()
            good = all(np.isfinite(value).all() for value in after.values())
            outcomes.append(good)
            if good:
                model.train_on_batch(x, y)
                same_state(state(model), after | {"forwards": before["forwards"] + 1})
                continue
            with pytest.raises(DivergenceError, match="but the step would make"):
                model.train_on_batch(x, y)
            same_state(state(model), before)
            break
    assert sum(outcomes) > len(outcomes) / 4
    assert not all(outcomes) or rule in ("lion", "rprop") or "clip" in options


@pytest.mark.parametrize("rule", RULES)
def test_what_is_remembered_may_grow_for_long(rule):
    """Steps that alone are harmless add up: the bounds of what is remembered are looked at again in time."""
    model, twin = (linear(RULES[rule](), metrics=()) for _ in range(2))
    x, y = np.full((1, 3), 1e12, "f"), np.full((1, 1), 1e37, "f")
    finite = True
    for _ in range(300):
        twin.optimizer.apply([-np.repeat(x, 1, axis=0).reshape(3, 1), -np.ones(1, "f")])
        finite = finite and all(np.isfinite(w).all() for w in twin.get_weights())
    if finite and rule != "rprop":
        for _ in range(300):
            model.train_on_batch(x, y)
        for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    else:
        assert rule == "rprop" or pytest.fail("the case is too hard")


def test_momentum_that_was_written_by_hand_is_seen():
    model = linear(optimizers.SGD(0.5, momentum=0.99))
    model.train_on_batch(np.ones((2, 3), "f"), np.ones((2, 1), "f"))
    model.set_weights([np.full((3, 1), 3e38, "f"), np.zeros(1, "f")])
    model.optimizer.slots["momentum"][0][...] = 3e38
    before = state(model)
    with pytest.raises(DivergenceError, match="the weights of"):
        model.train_on_batch(np.full((2, 3), 1e-38, "f"), np.ones((2, 1), "f"))
    same_state(state(model), before)
    restored = model.optimizer.get_state()
    model.optimizer.set_state(restored)
    with pytest.raises(DivergenceError, match="the weights of"):
        model.fit(np.full((2, 3), 1e-38, "f"), np.ones((2, 1), "f"), verbose=0)
    same_state(state(model), before)


def test_a_number_that_was_infinite_before_does_not_count():
    """The second input's weight is -infinity behind a ReLU that is off for it."""
    model = Sequential([layers.Input((2,)), layers.Dense(2, activation="relu"), layers.Dense(1)], seed=0)
    model.compile(optimizers.Adam(), "mse")
    model.build((None, 2))
    weights = model.get_weights()
    weights[0][1, 1] = -np.inf
    model.set_weights(weights)
    loss = model.train_on_batch(np.ones((4, 2), "f"), np.ones((4, 1), "f"))
    assert np.isfinite(loss)
    assert model.optimizer.iterations == 1


def test_metrics_and_moving_statistics_are_those_before_the_step():
    model = Sequential(
        [layers.Input((3,)), layers.BatchNormalization(), layers.Dense(2, name="last")], seed=0, dtype="float32"
    )
    model.compile(optimizers.SGD(0.1), "mae", metrics=["mae", lambda y, p: abs(y - p).sum(axis=-1)])
    x, y = np.random.default_rng(0).normal(size=(8, 3)).astype("f"), np.ones((8, 2), "f")
    model.build((None, 3))
    seen = []

    class Listener(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((dict(logs), state(self.model)))
            if batch == 0:
                self.model.optimizer.learning_rate = 1e308

    history = model.fit(
        x, y, batch_size=4, shuffle=False, verbose=0, callbacks=[Listener(), callbacks.TerminateOnNaN()]
    ).history
    assert len(seen) == 2
    first, second = seen
    assert np.isnan(second[0]["loss"])
    assert {k: v for k, v in second[0].items() if k != "loss"} == {k: v for k, v in first[0].items() if k != "loss"}
    assert first[1].pop("learning_rate") != second[1].pop("learning_rate")
    same_state(second[1], first[1])
    assert np.isnan(history["loss"][0])


def test_terminate_on_nan_says_so_and_stops(capsys):
    model = linear(optimizers.SGD(1e308))
    model.fit(np.ones((4, 3), "f"), np.ones((4, 1), "f"), epochs=5, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
    assert "Batch 0: the loss is nan, training stops" in capsys.readouterr().out
    assert model.stop_training
    with pytest.raises(RuntimeError, match="batch 0"):
        model.fit(
            np.ones((4, 3), "f"),
            np.ones((4, 1), "f"),
            verbose=0,
            callbacks=[callbacks.TerminateOnNaN(raise_error=True)],
        )


class Heavy(optimizers.Optimizer):
    """An optimizer in Python, with memory of its own."""

    def build(self, variables):
        super().build(variables)
        self.steps = self.add_optimizer_variables(variables, "step")

    def update_step(self, gradient, variable, learning_rate):
        with np.errstate(all="ignore"):
            step = self.steps[self.index(variable)]
            step *= 0.5
            step -= learning_rate * gradient
            variable += step


class Negative(constraints.Constraint):
    def __call__(self, w):
        with np.errstate(all="ignore"):
            return -np.abs(w) * w.dtype.type(2)


class Pulling(regularizers.Regularizer):
    def __call__(self, x):
        return 0.0

    def gradient(self, x):
        with np.errstate(all="ignore"):
            return x * x.dtype.type(2)


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.__name__)
@pytest.mark.parametrize("part", ["optimizer", "constraint", "regularizer", "layer"])
def test_parts_in_python_are_taken_back(part, path, dtype):
    class Twice(layers.Layer):
        def call(self, x):
            return x * x.dtype.type(2)

    optimizer = Heavy(0.5, use_ema=True) if part == "optimizer" else optimizers.SGD(0.5, momentum=0.9)
    options = {"constraint": {"kernel_constraint": Negative()}, "regularizer": {"kernel_regularizer": Pulling()}}
    model = linear(optimizer, dtype.name, **options.get(part, {}))
    first_step(model, dtype)
    before = state(model)
    with pytest.raises(DivergenceError, match="but the step would make the"):
        path(model, *huge(dtype.name))
    same_state(state(model), before)
    model.train_on_batch(np.ones((2, 3), dtype), np.ones((2, 1), dtype))
    assert model.optimizer.iterations == 2


def test_an_update_in_python_that_raises_is_taken_back():
    class Broken(Heavy):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient, variable, learning_rate)
            if self.iterations and variable.ndim == 1:
                raise KeyError("the second step")

    model = linear(Broken(0.5))
    model.train_on_batch(np.ones((2, 3), "f"), np.ones((2, 1), "f"))
    before = state(model)
    with pytest.raises(KeyError):
        model.train_on_batch(np.ones((2, 3), "f"), np.ones((2, 1), "f"))
    same_state(state(model), before)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_embeddings(rule, sparse):
    model = Sequential([layers.Input((2,)), layers.Embedding(6, 4, sparse_update=sparse), layers.Flatten()], seed=0)
    model.compile(optimizers.SGD(1e3) if rule == "sgd" else optimizers.Adam(), "mae")
    x, y = np.array([[0, 1], [1, 3]]), np.ones((2, 8), "f")
    model.train_on_batch(x, y)
    before = state(model)
    with pytest.raises(DivergenceError, match="but the step would make"):
        model.train_on_batch(x, y, sample_weight=np.full(2, 1e37))
    same_state(state(model), before)


@pytest.mark.parametrize("layer", [layers.PReLU, layers.LayerNormalization, layers.BatchNormalization])
def test_other_weights(layer):
    model = Sequential([layers.Input((3,)), layer(), layers.Dense(2, trainable=False)], seed=0)
    model.compile(optimizers.Adam(), "mae")
    x, y = np.array([[1, -2, 3], [3, 2, -1]], "f"), np.ones((2, 2), "f")
    model.train_on_batch(x, y)
    before = state(model)
    with pytest.raises(DivergenceError, match="but the step would make"):
        model.train_on_batch(x, y, sample_weight=np.full(2, 1e36))
    same_state(state(model), before)


def test_a_constant_gradient_and_a_centered_rule():
    """v - a^2 is 0 but for rounding, which may make it less than -epsilon."""
    model = linear(optimizers.RMSprop(1e-3, rho=0.5, centered=True), metrics=())
    x, y = np.array([[3e3, 7.7e3, 1.3e4]], "f"), np.full((1, 1), 1e9, "f")
    for _ in range(60):
        model.train_on_batch(x, y)
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize(
    "constraint", [constraints.MaxNorm(2.0), constraints.UnitNorm(), constraints.MinMaxNorm(0, 2, 0.5)]
)
@pytest.mark.parametrize("axis", [0, -1])
def test_norms_whose_squares_are_infinite(constraint, axis):
    w = np.array([[3e200, 1.0], [4e200, 0.0]]) if axis == 0 else np.array([[3e200, 4e200], [1.0, 0.0]])
    constraint.axis = axis
    result = constraint(w)
    assert np.isfinite(result).all()
    line = result[:, 0] if axis == 0 else result[0]
    rate = getattr(constraint, "rate", 1)
    if rate == 1:
        np.testing.assert_allclose(np.linalg.norm(line), 1 if isinstance(constraint, constraints.UnitNorm) else 2)
    else:
        np.testing.assert_allclose(line, [1.5e200, 2e200])


def test_an_estimator_says_so():
    optional("sklearn")
    from fastnn.sklearn import MLPRegressor

    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20.0)
    with pytest.raises(ValueError, match="the step would make weights infinite"):
        MLPRegressor(solver="sgd", learning_rate_init=1e308, max_iter=3).fit(x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(4))
def test_samples_that_were_gathered_while_the_last_step_ran(seed, dtype):
    """One of them is huge, in a batch that comes first, last or between: which one is known from its order alone."""
    x, y = np.zeros((320, 784), dtype), np.ones((320, 1), dtype)
    x[7, 3] = LARGEST[dtype]
    hidden = layers.Dense(4, use_bias=False, kernel_initializer="zeros")
    output = layers.Dense(1, use_bias=False, kernel_initializer="ones", trainable=False)
    model = Sequential([layers.Input((784,)), hidden, output], seed=seed, dtype=dtype)
    model.compile(optimizers.SGD(1e3), "mae")
    before = fastnn.get_num_threads()
    fastnn.set_num_threads(2)
    try:
        with pytest.raises(DivergenceError):
            model.fit(x, y, batch_size=64, verbose=0)
        assert model._plan.trainers[0].gathers_ahead
    finally:
        fastnn.set_num_threads(before)
    assert not model.layers[0].kernel.any()
    x[7, 3] = 1
    model.fit(x, y, batch_size=64, verbose=0)
    assert np.isfinite(model.layers[0].kernel).all() and model.layers[0].kernel[3].all()
