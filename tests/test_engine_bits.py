"""Not a bit depends on threads, on how a fit is sliced, on the instruction set, or on the batch that a row is in."""

import os

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, callbacks, layers, optimizers


def network(seed=5, dtype="float32", width=40):
    return Sequential(
        [
            layers.Input((12,)),
            layers.GaussianNoise(0.1),
            layers.Dense(width, activation="gelu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Residual([layers.Dense(17, activation="relu"), layers.Dropout(0.2), layers.Dense(width)]),
            layers.LayerNormalization(),
            layers.Parallel([layers.Dense(9, activation="tanh"), [layers.Dense(5), layers.PReLU()]], "concatenate"),
            layers.Dense(4, activation="softmax"),
        ],
        seed=seed,
        dtype=dtype,
    )


def data(rows=150):
    r = np.random.default_rng(1)
    return r.normal(size=(rows, 12)), r.integers(0, 4, rows)


def compiled(model, **options):
    made = {"optimizer": optimizers.Adam(0.01, clipnorm=1.0), "loss": "sparse_categorical_crossentropy"}
    model.compile(**{**made, "metrics": ["accuracy"], **options})
    return model


def trained(dtype="float32", listeners=(), width=40, epochs=3, **options):
    """All that a fit leaves behind."""
    model = compiled(network(dtype=dtype, width=width), **options)
    x, y = data()
    weights = np.linspace(0.5, 1.5, len(x))
    history = model.fit(
        x, y, batch_size=32, epochs=epochs, verbose=0, callbacks=list(listeners), sample_weight=weights,
        validation_split=0.2,
    ).history  # fmt: skip
    slots = [a for views in model.optimizer.slots.values() for a in views]
    return [*model.get_weights(), *slots, model.predict(x, verbose=0), *(np.array(v) for v in history.values())]


def same_bits(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(np.atleast_1d(a).view(np.uint8), np.atleast_1d(b).view(np.uint8))


@pytest.mark.parametrize("width", [40, 300])
def test_threads(same_for_threads, dtype, width):
    """300: wide enough for the work to be shared."""
    result = same_for_threads(lambda: [np.atleast_1d(a) for a in trained(dtype.name, width=width, epochs=2)])
    assert all(np.isfinite(a).all() for a in result)


@pytest.mark.parametrize("stored", ["float32", "float64", "uint8"])
def test_large_batches_are_gathered_alike(same_for_threads, stored):
    """By one thread or by many, from shuffled samples of any type, in batches of 200 KB."""
    r = np.random.default_rng(2)
    x, y = r.integers(0, 9, (130, 801)).astype(stored), r.normal(size=(130, 1)).astype(np.float32)

    def weights(x, y, **options):
        model = Sequential([layers.Input((801,)), layers.Dense(1)], seed=3)
        model.compile(optimizers.SGD(1e-4), "mse")
        model.fit(x, y, batch_size=64, verbose=0, **options)
        return model.get_weights()

    shuffled = same_for_threads(lambda: weights(x, y))
    same_bits(shuffled, weights(x.astype(np.float32), y))
    in_order = same_for_threads(lambda: weights(x, y, shuffle=False))
    assert np.any(in_order[0] != shuffled[0])


def wide_input(seed=3):
    """A network whose first layer is nearly all of its work, so that idle threads gather the next batch of 64."""
    stack = [layers.Dense(24, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(3)]
    model = Sequential([layers.Input((800,)), *stack], seed=seed)
    model.compile("adam", fastnn.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def wide_data(rows=210, dtype=np.float32):
    r = np.random.default_rng(2)
    return r.normal(size=(rows, 800)).astype(dtype), r.integers(0, 3, rows)


def gathers_ahead(model):
    return any(trainer.gathers_ahead for trainer in model._need_compiled().trainers)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_gathered_ahead(same_for_threads, dtype, stride, shuffle):
    """The last batch of an epoch is smaller, and the next epoch begins with another one."""
    x, y = wide_data(420, dtype)
    x, y = x[::stride], y[::stride]
    ahead = set()

    def fitted():
        model = wide_input()
        history = model.fit(x, y, batch_size=64, epochs=3, shuffle=shuffle, verbose=0, sample_weight=1.0 + y).history
        ahead.add((fastnn.get_num_threads() > 1, gathers_ahead(model)))
        return [*model.get_weights(), *(np.array(v) for v in history.values())]

    same_for_threads(fitted)
    lies_as_wanted = dtype == "float32" and stride == 1 and not shuffle
    assert ahead == {(False, False), (True, not lies_as_wanted)}


@pytest.mark.parametrize("rows", [63, 64, 65, 128])
def test_batches_gathered_ahead_are_few(same_for_threads, rows):
    """One or two an epoch, the last of them of one sample."""
    x, y = wide_data(rows)

    def fitted():
        model = wide_input()
        model.fit(x, y, batch_size=64, epochs=3, verbose=0)
        return model.get_weights()

    same_for_threads(fitted)


def test_samples_changed_between_batches(same_for_threads):
    """A callback that changes x is heeded by the very next batch, although others are gathered ahead."""

    def fitted():
        x, y = wide_data()

        def change(batch, logs):
            x[...] += 1

        model = wide_input()
        model.fit(x, y, batch_size=64, verbose=0, callbacks=[callbacks.LambdaCallback(on_train_batch_end=change)])
        return model.get_weights()

    same_for_threads(fitted)


def test_a_failing_step_that_gathers_ahead(same_for_threads):
    """A loss that overflows in the third batch: the model is as two batches left it, and goes on learning."""

    def fitted():
        x, y = wide_data(dtype=np.float64)
        x[130] = 3e38
        model, two = wide_input(), wide_input()
        with pytest.raises(fastnn.DivergenceError):
            model.fit(x, y, batch_size=64, shuffle=False, verbose=0)
        assert gathers_ahead(model) == (fastnn.get_num_threads() > 1)
        two.fit(x[:128], y[:128], batch_size=64, shuffle=False, verbose=0)
        same_bits(model.get_weights(), two.get_weights())
        x[130] = 0
        model.fit(x, y, batch_size=64, verbose=0)
        return model.get_weights()

    same_for_threads(fitted)


LISTENERS = {
    "batches": lambda: callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None),
    "begins": lambda: callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: None),
    "tests": lambda: callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: None),
    "nan": callbacks.TerminateOnNaN,
}


@pytest.mark.parametrize("name", LISTENERS)
def test_slices(dtype, name):
    same_bits(trained(dtype.name), trained(dtype.name, [LISTENERS[name]()]))


def test_slices_of_no_time(monkeypatch):
    """Each slice ends after one step."""
    whole, counts = trained(), []

    def one_step(model, trainer, step, end):
        done = advance(model, trainer, step, end, 0.0)
        counts.append(done - step)
        return done

    advance = Sequential._advance
    monkeypatch.setattr(Sequential, "_advance", one_step)
    same_bits(whole, trained())
    assert counts == [1] * 12


def test_a_schedule_in_slices():
    """Rates are computed some steps ahead, whatever the slices are."""

    def options():
        return {"optimizer": optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 12))}

    whole = trained(**options())
    same_bits(whole, trained(listeners=[LISTENERS["batches"]()], **options()))
    assert not np.array_equal(whole[0], trained()[0])


def test_a_metric_in_python_changes_nothing():
    """The steps then run in parts, with Python between them."""

    def largest(y_true, y_pred):
        return y_pred.max(axis=-1)

    whole, parted = trained(metrics=[]), trained(metrics=[largest])
    assert len(parted) == len(whole) + 2
    same_bits(whole[:-2], parted[:-4])
    same_bits(whole[-2:], [parted[-3], parted[-1]])  # the losses


def test_batch_by_batch_is_fit():
    """train_on_batch on the batches of a fit."""
    x, y = data(64)
    fitted, stepped = compiled(network()), compiled(network())
    fitted.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    for begin in range(0, 64, 16):
        stepped.train_on_batch(x[begin : begin + 16], y[begin : begin + 16])
    same_bits(fitted.get_weights(), stepped.get_weights())


def test_a_generator_is_fit():
    x, y = data(64)
    fitted, streamed = compiled(network()), compiled(network())
    first = fitted.fit(x, y, batch_size=16, shuffle=False, epochs=2, verbose=0).history
    batches = ((x[b : b + 16], y[b : b + 16]) for _ in range(2) for b in range(0, 64, 16))
    second = streamed.fit(batches, epochs=2, steps_per_epoch=4, verbose=0).history
    assert first == second
    same_bits(fitted.get_weights(), streamed.get_weights())


@pytest.mark.parametrize("kind", ["float64", "int16", "uint8", "strided", "reversed", "fortran"])
def test_kinds_of_arrays_are_fit(kind):
    """What x is made of and how it lies changes nothing: it is converted on the way in."""
    r = np.random.default_rng(2)
    x, y = r.integers(0, 100, (50, 12)), r.integers(0, 4, 50)
    forms = {
        "float64": x.astype(np.float64),
        "int16": x.astype(np.int16),
        "uint8": x.astype(np.uint8),
        "strided": np.repeat(x, 3, axis=0)[::3].astype(np.float32),
        "reversed": np.ascontiguousarray(x[::-1].astype(np.float32))[::-1],
        "fortran": np.asfortranarray(x.astype(np.float32)),
    }
    for shuffle in (False, True):
        results = []
        for given in (x.astype(np.float32), forms[kind]):
            model = compiled(network())
            history = model.fit(given, y, batch_size=8, epochs=2, shuffle=shuffle, verbose=0).history
            results.append(
                [*model.get_weights(), np.array(history["loss"]), np.array(model.evaluate(given, y, verbose=0))]
            )
        same_bits(*results)


SCRIPT = """
import hashlib, sys
sys.path.insert(0, {folder!r})
import test_engine_bits as t
for dtype in ("float32", "float64"):
    for a in t.trained(dtype):
        print(hashlib.sha256(a.tobytes()).hexdigest())
"""


def test_instruction_sets_with_fma(on_each_isa):
    answers = on_each_isa(SCRIPT.format(folder=os.path.dirname(__file__)))
    assert all(len(set(text.splitlines())) > 40 for text in answers.values())
    assert len({text for isa, text in answers.items() if isa not in ("base", "portable")}) <= 1


# ------------------------------------------------------------------------------------------------- rows by themselves

ARCHITECTURES = {
    "dense": lambda width: [layers.Input((7,)), layers.Dense(width, activation="gelu"), layers.Dense(3)],
    "one": lambda width: [layers.Input((7,)), layers.Dense(width, activation="tanh"), layers.Dense(1, "sigmoid")],
    "normed": lambda width: [
        layers.Input((7,)), layers.Normalization(mean=1.0, variance=2.0), layers.Dense(width, activation="silu"),
        layers.BatchNormalization(), layers.LayerNormalization(), layers.Dropout(0.5), layers.Dense(width, "softmax"),
    ],
    "branched": lambda width: [
        layers.Input((7,)), layers.Residual([layers.Dense(width, activation="relu"), layers.Dense(7)]),
        layers.Parallel([layers.Dense(width), [layers.Dense(5, "sigmoid"), layers.Softmax()]], "concatenate"),
        layers.Dense(2, activation="log_softmax"),
    ],
    "rows": lambda width: [
        layers.Input((3, 7)), layers.Dense(width, activation="mish"), layers.PReLU(), layers.Flatten(),
        layers.Dense(4, activation="sparsemax"),
    ],
    "words": lambda width: [
        layers.Input((7,)), layers.Embedding(50, 6), layers.Dense(width, activation="glu" if width % 2 == 0 else "elu"),
        layers.LayerNormalization(axis=[-2, -1], rms_scaling=True), layers.Flatten(), layers.Dense(3),
    ],
}  # fmt: skip


@pytest.mark.parametrize("width", [1, 2, 8, 17, 64, 131])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_row_is_the_same_in_every_batch(with_threads, dtype, name, width):
    model = Sequential(ARCHITECTURES[name](width), seed=2, dtype=dtype)
    r = np.random.default_rng(3)
    for layer in model._flat():
        for array in layer.weights:
            array += 0.1 * r.uniform(size=array.shape)
    rows = 301
    shape = (rows, *model.input_shape[1:])
    x = r.integers(0, 50, shape).astype(dtype) if name == "words" else r.normal(size=shape).astype(dtype)
    whole = model.predict(x, verbose=0)
    assert np.isfinite(whole).all()
    assert len(np.unique(whole, axis=0)) > (rows // 2 if whole.shape[-1] > 1 or name == "one" else 0)
    for i in range(0, rows, 7):
        np.testing.assert_array_equal(model.predict(x[i : i + 1], verbose=0)[0], whole[i], err_msg=str(i))
        np.testing.assert_array_equal(model(x[i : i + 1])[0], whole[i])
    np.testing.assert_array_equal(model.predict(x[::-1], verbose=0)[::-1], whole)
    np.testing.assert_array_equal(model.predict(x, batch_size=3, verbose=0), whole)
    np.testing.assert_array_equal(model.forward(x)[0], whole)
    many = np.concatenate([x] * 9)
    with_threads(3)
    np.testing.assert_array_equal(model.predict(many, verbose=0), np.concatenate([whole] * 9))


@pytest.mark.parametrize("kilobytes", [900, 1500, 2900, 4300])
def test_a_row_of_weights_that_fill_the_caches(with_threads, dtype, kilobytes):
    width = kilobytes * 1000 // 700 // np.dtype(dtype).itemsize
    model = Sequential([layers.Input((700,)), layers.Dense(width, "tanh"), layers.Dense(3)], seed=2, dtype=dtype)
    x = np.random.default_rng(3).normal(size=(5, 700)).astype(dtype)
    with_threads(1)
    whole = model.predict(x, verbose=0)
    for threads in (1, 2, 3, 5):
        with_threads(threads)
        for i in range(5):
            np.testing.assert_array_equal(model(x[i : i + 1])[0], whole[i])


def test_evaluation_does_not_change_training():
    """Not even in the middle of an epoch, of other data."""
    x, y = data()

    def look(model):
        def watch(batch, logs):
            model.evaluate(x[:9], y[:9], verbose=0)
            model.predict(x[:5], verbose=0)
            model(x[:3])

        return watch

    plain, watched = compiled(network(), metrics=[]), compiled(network(), metrics=[])
    first = plain.fit(x, y, batch_size=32, verbose=0).history
    watcher = callbacks.LambdaCallback(on_train_batch_end=look(watched))
    second = watched.fit(x, y, batch_size=32, verbose=0, callbacks=[watcher]).history
    assert first == second
    same_bits(plain.get_weights(), watched.get_weights())


def test_the_comparison_can_fail():
    a = trained()
    model = compiled(network(seed=6))
    x, y = data()
    model.fit(x, y, batch_size=32, epochs=3, verbose=0)
    assert not np.array_equal(a[0], model.get_weights()[0])
    assert fastnn.cpu_info()["available"]
