"""Steps allocate nothing, and models in several threads do not disturb each other."""

import copy
import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest
from memory import bytes_in_use, grown, kept

from fastnn import DivergenceError, Sequential, callbacks, layers, optimizers


def network(width=8, seed=0, **options):
    model = Sequential(
        [
            layers.Input((6,)), layers.Dense(width, activation="gelu"), layers.BatchNormalization(),
            layers.Dropout(0.2), layers.Residual([layers.Dense(width, activation="relu")]), layers.Dense(2),
        ],
        seed=seed,
    )  # fmt: skip
    model.compile(**{"optimizer": optimizers.Adam(0.01), "loss": "mse", "metrics": ["mae"], **options})
    return model


def data(rows=64):
    r = np.random.default_rng(0)
    return r.normal(size=(rows, 6)).astype(np.float32), r.normal(size=(rows, 2)).astype(np.float32)


CASES = {
    "plain": {},
    "python_metric": {"metrics": [lambda y, p: p.sum(axis=-1)]},
    "clipped": {"optimizer": "adam", "weighted_metrics": ["mse"]},
    "scheduled": {"optimizer": lambda: optimizers.SGD(optimizers.schedules.CosineDecay(0.01, 1000))},
}


@pytest.mark.parametrize("name", CASES)
def test_thousands_of_steps_are_flat(name):
    options = {k: v() if name == "scheduled" else v for k, v in CASES[name].items()}
    model = network(**options)
    x, y = data()

    def steps():
        model.fit(x, y, batch_size=4, epochs=60, verbose=0)  # 960 of them

    steps()
    assert abs(grown(steps)) < 20_000  # less than a number for each step
    found = kept(steps, calls=4)
    assert max(found.malloc, found.traced) < 5_000 and found.objects < 1, found


def test_a_hundred_thousand_steps_are_flat():
    model = Sequential([layers.Input((1,)), layers.Dense(1)], seed=0)
    model.compile(optimizer=optimizers.SGD(1e-4), loss="mse")
    x = np.ones((10_000, 1), np.float32)

    found = kept(lambda: model.fit(x, x, batch_size=1, epochs=10, verbose=0), calls=1, attempts=2, before=1)
    assert max(found.malloc, found.traced) < 50_000 and found.objects < 100, found  # less than a number for each step
    assert model.optimizer.iterations >= 200_000


LEAST = 150 * 250  # of history entries and their floats, and not of 2400 steps, of at least 24 bytes each


@pytest.mark.parametrize("traced", [False, True], ids=["malloc", "python"])
def test_steps_within_a_slice_allocate_nothing(traced):
    """Between two looks of a callback at the first and the last batch, on memory that was warmed.

    What is traced takes malloc's memory for its traces: the two accounts are read in fits of their own.
    """
    model = network()
    x, y = data()
    model.fit(x, y, batch_size=4, verbose=0)
    found = []
    if traced:
        tracemalloc.start()
    try:
        for _ in range(4):  # the least, for what else goes on
            seen = []
            look = (lambda: tracemalloc.get_traced_memory()[0]) if traced else bytes_in_use
            looker = callbacks.LambdaCallback(on_epoch_begin=lambda e, logs, seen=seen, look=look: seen.append(look()))
            model.fit(x, y, batch_size=4, epochs=300, verbose=0, callbacks=[looker], shuffle=False)
            found.append(seen[-1] - seen[len(seen) // 2])
            if found[-1] < LEAST:
                break
    finally:
        tracemalloc.stop()
    assert min(found) < LEAST


CALLS = [
    "predict",
    "call",
    "evaluate",
    "train_on_batch",
    "test_on_batch",
    "gradients",
    "tape",
    "fit",
    "stream",
    "refused",
]


@pytest.mark.parametrize("call", CALLS)
def test_calls_keep_nothing(call):
    """Neither memory nor objects: a leak of 500 bytes a call is seen, see test_memory.py."""
    model = network()
    x, y = data()

    def refused():
        with pytest.raises(ValueError, match="not finite"):
            model.fit(np.full((8, 6), np.nan), y[:8], verbose=0)

    calls = {
        "predict": lambda: model.predict(x, verbose=0),
        "call": lambda: model(x),
        "evaluate": lambda: model.evaluate(x, y, verbose=0),
        "train_on_batch": lambda: model.train_on_batch(x, y),
        "test_on_batch": lambda: model.test_on_batch(x, y),
        "gradients": lambda: model.gradients(x, y),
        "tape": lambda: model.forward(x)[1].backward(y),
        "fit": lambda: model.fit(x, y, batch_size=16, verbose=0, validation_split=0.25),
        "stream": lambda: model.fit(((x[i : i + 16], y[i : i + 16]) for i in (0, 16)), verbose=0),
        "refused": refused,
    }
    found = kept(calls[call])
    assert found.is_nothing, found


@pytest.mark.parametrize("call", ["fit", "fit that fails", "validated fit", "evaluate"])
def test_samples_are_let_go_when_a_call_is_over(call):
    model = network()
    x, y = data()
    arrays = [x, y, np.ones(len(x))]
    if call == "evaluate":
        model.evaluate(*arrays[:2], sample_weight=arrays[2], verbose=0)
    elif call == "validated fit":
        model.fit(*data(), validation_data=arrays, verbose=0)
    elif call == "fit that fails":
        model.optimizer.learning_rate = 1e30
        with pytest.raises(DivergenceError):
            model.fit(*arrays[:2], sample_weight=arrays[2], epochs=20, verbose=0)
    else:
        model.fit(*arrays[:2], sample_weight=arrays[2], verbose=0)
    del x, y
    gc.collect()
    gone = [weakref.ref(array) for array in arrays]
    del arrays
    assert [ref() is None for ref in gone] == [True] * 3


@pytest.mark.parametrize("thing", ["a model", "a copy", "an optimizer"])
def test_what_is_made_and_let_go_keeps_nothing(thing):
    x, y = data(8)
    model = network()
    made = {
        "a model": lambda: network().fit(x, y, verbose=0),
        "a copy": lambda: copy.deepcopy(model),
        "an optimizer": lambda: optimizers.Adam().apply([np.ones(50)], [np.ones(50)]),
    }
    found = kept(made[thing], calls=120)
    # Less than 500 bytes; what Python's own tables take once counts, too
    assert max(found.malloc, found.traced) < 400 and found.objects < 0.5, found


def in_threads(works):
    """Run functions at once; raise what they raise."""
    errors, barrier = [], threading.Barrier(len(works))

    def run(work):
        try:
            barrier.wait(30)
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("width", [8, 200])
def test_eight_threads_predict_at_once(width):
    model = network(width)
    r = np.random.default_rng(1)
    inputs = [r.normal(size=(int(n), 6)).astype(np.float32) for n in r.integers(1, 700, 8)]
    expected = [model.predict(x, verbose=0) for x in inputs]
    results = [[] for _ in inputs]

    def work(i):
        def run():
            for repeat in range(25):
                call = (lambda x: model.predict(x, verbose=0), model, lambda x: model.forward(x)[0])[repeat % 3]
                results[i].append(call(inputs[i]))

        return run

    in_threads([work(i) for i in range(8)])
    for found, right in zip(results, expected, strict=True):
        assert len(found) == 25
        for one in found:
            np.testing.assert_array_equal(one, right)


def test_two_models_fit_in_two_threads():
    x, y = data()
    expected = []
    for seed in (1, 2):
        model = network(seed=seed)
        model.fit(x, y, batch_size=4, epochs=20, verbose=0)
        expected.append(model.get_weights())
    models = [network(seed=1), network(seed=2)]
    in_threads([lambda m=m: m.fit(x, y, batch_size=4, epochs=20, verbose=0) for m in models])
    for model, weights in zip(models, expected, strict=True):
        for a, b in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(a, b)


def test_evaluations_at_once_are_right_or_refused():
    model = network()
    x, y = data()
    expected = model.evaluate(x, y, verbose=0)
    counts = {"right": 0, "refused": 0}

    def work():
        for _ in range(40):
            try:
                assert model.evaluate(x, y, verbose=0) == expected
                counts["right"] += 1
            except RuntimeError:
                counts["refused"] += 1

    in_threads([work] * 4)
    assert counts["right"] > 0
    assert sum(counts.values()) == 160


def test_tapes_at_once():
    """Each has memory of its own; the gradients add up."""
    model = network()
    x, y = data()
    tapes = [model.forward(x * i)[1] for i in (1, 2)]
    first = [tape.backward(y) for tape in tapes]
    assert not np.array_equal(first[0], first[1])
    model.zero_grad()
    np.testing.assert_array_equal(model.forward(x)[1].backward(y), first[0])
    with pytest.raises(RuntimeError, match="gone back"):
        tapes[0].backward(y)


def begins(arrays, page=4096):
    """Where in a page each of them begins."""
    return [array.__array_interface__["data"][0] % page for array in arrays]


def assert_apart(arrays):
    """Within a page no two begin closer to one another than 448 bytes: 512, less what one is past a cache line."""
    places = begins(arrays)
    for i, place in enumerate(places):
        assert all(min((place - other) % 4096, (other - place) % 4096) >= 448 for other in places[:i]), places
    return places


@pytest.mark.parametrize("units", [1, 16, 64, 1000])
def test_what_an_update_goes_through_lies_apart(units):
    """A processor takes a read for one of what was just written where the last twelve bits of addresses are close."""
    optimizer = optimizers.Adam(amsgrad=True, use_ema=True, gradient_accumulation_steps=2)
    model = Sequential([layers.Input((20,)), layers.Dense(units)], seed=0)
    model.compile(optimizer=optimizer, loss="mse")
    model.fit(np.zeros((4, 20), np.float32), np.zeros((4, units), np.float32), verbose=0)
    kernel = model.layers[0].kernel
    state = [array for array in optimizer.variables if array.shape == kernel.shape]
    assert len(state) == 5
    assert all(place % 64 == 0 for place in assert_apart([kernel, model._gradients, *state]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("skipped", [0, 1, 3, 100, 500])
def test_slots_lie_apart_from_the_largest_variable(skipped, dtype):
    largest = np.zeros(20_000, dtype)[skipped : skipped + 10_000]
    optimizer = optimizers.Adam(use_ema=True)
    optimizer.build([np.zeros(3, dtype), largest, np.zeros((2, 5), dtype)])
    state = [array for array in optimizer.variables if array.shape == largest.shape]
    assert len(state) == 3
    assert_apart([largest, *state])
    assert all(place == 0 for place in begins([views[0] for views in optimizer.slots.values()], page=64))
