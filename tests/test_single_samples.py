"""Batches of one sample: gradients of large matrices are not written but computed where the update uses them."""

import numpy as np
import pytest
from optional import optional

import fastnn
from fastnn import Sequential, layers, optimizers, regularizers

RULES = {
    "sgd": lambda: optimizers.SGD(0.01),
    "momentum": lambda: optimizers.SGD(0.01, momentum=0.9),
    "nesterov": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "rmsprop": optimizers.RMSprop,
    "rmsprop_centered": lambda: optimizers.RMSprop(centered=True, momentum=0.5),
    "adagrad": optimizers.Adagrad,
    "adadelta": optimizers.Adadelta,
    "adam": optimizers.Adam,
    "amsgrad": lambda: optimizers.Adam(amsgrad=True),
    "adamax": optimizers.Adamax,
    "nadam": optimizers.Nadam,
    "lion": optimizers.Lion,
    "rprop": optimizers.Rprop,
    "decay and average": lambda: optimizers.AdamW(weight_decay=0.1, use_ema=True, ema_overwrite_frequency=3),
    "accumulation": lambda: optimizers.Adam(gradient_accumulation_steps=3),
    "clipvalue": lambda: optimizers.SGD(0.01, clipvalue=0.01),
    "clipnorm": lambda: optimizers.SGD(0.01, clipnorm=0.1),
    "global_clipnorm": lambda: optimizers.SGD(0.01, global_clipnorm=0.1),
    "loss_scale": lambda: optimizers.Adam(loss_scale_factor=8.0),
}
INPUTS, SAMPLES = 130, 12


def data(dtype):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(SAMPLES, INPUTS)).astype(dtype)
    x[:, ::3] = 0
    return x, rng.integers(0, 5, SAMPLES)


def network(rule, dtype="float32", regularizer=None):
    """The first two matrices are large enough, the second one's rows longer than what is computed at a time."""
    model = Sequential(
        [
            layers.Input((INPUTS,)),
            layers.Dense(67, activation="relu", kernel_regularizer=regularizer),
            layers.Dense(2500, activation="tanh"),
            layers.Dense(5, activation="softmax"),
        ],
        seed=0,
        dtype=dtype,
    )
    model.compile(RULES[rule](), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def same(a, b):
    for p, q in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(p, q)
    first, second = a.optimizer.get_state(), b.optimizer.get_state()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("rule", RULES)
def test_the_bits_are_those_of_steps_that_write_their_gradients(rule, threads, dtype, with_threads):
    with_threads(threads)
    x, y = data(dtype)
    regularizer = regularizers.L1L2(1e-3, 1e-3) if threads == 2 else None
    model, twin = (network(rule, dtype.name, regularizer) for _ in range(2))
    model.fit(x, y, batch_size=1, epochs=2, shuffle=False, verbose=0)
    for _ in range(2):
        for i in range(SAMPLES):
            twin.train_on_batch(x[i : i + 1], y[i : i + 1])
    if twin.optimizer.use_ema:
        twin.optimizer.finalize_variable_values()
    same(model, twin)
    np.testing.assert_array_equal(model.grads, twin.grads)  # the last step of a run writes them


def steps(model, x, y, count):
    """Begin a run of so many steps that ends as soon as it may: after the first."""
    model.train_on_batch(x[:2], y[:2])
    batches = model._one_batch(x, y, None)
    single = type(batches)(batches.x, batches.y, None, 1, model._dtype)
    trainer = model._need_compiled().trainer()
    trainer.bind(single, True, 0)
    model.grads[...] = 7
    assert trainer.run(0, count, True, None, 0.01, 0.0) == 1
    return [(model._gradient_of(v) == 7).all() for v in model._variables() if v.in_trainables]


def test_gradients_are_not_written_where_they_need_not_be():
    x, y = data("float32")
    assert steps(network("momentum"), x, y, 2) == [True, False, True, False, False, False]
    assert steps(network("momentum"), x, y, 1) == [False] * 6  # the last of its run
    assert steps(network("clipnorm"), x, y, 2) == [False] * 6  # a norm needs them all beforehand


def test_a_single_sample_at_the_end_of_an_epoch(same_for_threads):
    x, y = data("float32")

    def train():
        model = network("adam")
        model.fit(x[:9], y[:9], batch_size=4, epochs=3, verbose=0)
        return model.get_weights()

    same_for_threads(train)


def test_a_step_that_is_refused(dtype):
    """The last layer's weights are fixed: all that learns has gradients that are not written."""
    model = Sequential(
        [
            layers.Input((INPUTS,)),
            layers.Dense(67, use_bias=False, kernel_initializer="zeros"),
            layers.Dense(1, trainable=False, kernel_initializer="ones"),
        ],
        dtype=dtype.name,
    )
    model.compile(optimizers.Adam(), "mae", metrics=["mae"])
    x = np.ones((4, INPUTS), dtype)
    x[2] = 1e30 if dtype == "float32" else 1e200
    y = np.full((4, 1), 1e6, dtype)
    model.fit(x[:2], y[:2], batch_size=1, verbose=0, shuffle=False)
    model.set_weights([np.zeros_like(model.get_weights()[0]), *model.get_weights()[1:]])
    before, state = model.get_weights(), model.optimizer.get_state()
    with pytest.raises(fastnn.DivergenceError, match=r"step 1: .* the step would make the optimizer's velocity"):
        model.fit(x[2:], y[2:], batch_size=1, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    for name, value in model.optimizer.get_state().items():
        np.testing.assert_array_equal(value, state[name], err_msg=name)


def test_against_pytorch():
    torch = optional("torch")
    x, y = data("float64")
    model = network("momentum", "float64")
    model.build((None, INPUTS))
    peer = torch.nn.Sequential(
        torch.nn.Linear(INPUTS, 67),
        torch.nn.ReLU(),
        torch.nn.Linear(67, 2500),
        torch.nn.Tanh(),
        torch.nn.Linear(2500, 5),
    ).double()
    with torch.no_grad():
        for parameter, w in zip(peer.parameters(), model.get_weights(), strict=True):
            parameter.copy_(torch.from_numpy(w.T.copy()))
    descent = torch.optim.SGD(peer.parameters(), lr=0.01, momentum=0.9)
    for i in range(SAMPLES):
        descent.zero_grad()
        torch.nn.functional.cross_entropy(peer(torch.from_numpy(x[i : i + 1])), torch.tensor(y[i : i + 1])).backward()
        descent.step()
    model.fit(x, y, batch_size=1, shuffle=False, verbose=0)
    for parameter, w in zip(peer.parameters(), model.get_weights(), strict=True):
        np.testing.assert_allclose(w, parameter.detach().numpy().T, rtol=1e-9, atol=1e-12)
