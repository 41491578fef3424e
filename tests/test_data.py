"""What may be passed as data: frames, tensors, memory maps, batches made ahead."""

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from optional import optional

import fastnn
from fastnn import _data, layers
from fastnn._maps import mapped
from fastnn.utils import PyDataset, prefetch

NAMES = ["a", "b", "c", "d"]


@pytest.fixture
def data(rng):
    x = rng.normal(size=(48, 4))
    return x, (x[:, 0] > 0).astype(int)


def compiled(seed=0, **options):
    model = fastnn.Sequential([layers.Input((4,)), layers.Dense(6, "tanh"), layers.Dense(1, "sigmoid")], seed=seed)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], **options)
    return model


def outcome(x, y, **options):
    """All that a model makes of data."""
    model = compiled()
    history = model.fit(x, y, batch_size=7, epochs=2, verbose=0, **options).history
    return [*history["loss"], *model.evaluate(x, y, verbose=0), *model.predict(x, verbose=0).ravel(), *model(x).ravel()]


def same_as_arrays(x, y, data, **options):
    expected = outcome(*data)
    assert len(set(expected)) > 20
    np.testing.assert_array_equal(outcome(x, y, **options), expected)


# ------------------------------------------------------------------------------------------------------------- frames


@pytest.fixture
def pandas():
    return optional("pandas")


@pytest.fixture
def polars():
    return optional("polars")


@pytest.mark.parametrize(
    "kind", ["plain", "nullable", "objects", "not from 0", "columns of their own", "one name twice"]
)
def test_frames_of_pandas(kind, pandas, data):
    x, y = pandas.DataFrame(data[0], columns=NAMES), pandas.Series(data[1])
    if kind == "nullable":
        x, y = x.astype("Float64"), y.astype("Int64")
    elif kind == "objects":
        x, y = x.astype(object), y.astype(object)
    elif kind == "not from 0":
        x.index, y.index = range(100, 148), range(48, 0, -1)
    elif kind == "columns of their own":
        x["b"] = x["b"].astype("Float64")
        y = y.to_frame()
    elif kind == "one name twice":
        x.columns = ["a", "a", "b", "b"]
    same_as_arrays(x, y, data)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_of_several_kinds(library, data):
    frames = optional(library)
    x, _ = data
    columns = {"d": x[:, 0].astype(np.float32), "b": x[:, 1] > 0, "c": np.arange(48), "a": x[:, 3]}
    array = np.column_stack([np.asarray(c, np.float64) for c in columns.values()]) / 10
    got = _data.as_array(frames.DataFrame(columns), "x")
    np.testing.assert_array_equal(got / 10, array)
    assert got.flags.c_contiguous
    assert _data.as_array(frames.DataFrame(columns)[["d"]], "x").dtype == np.float32


def test_frames_of_polars(polars, data):
    x, y = polars.DataFrame(data[0], schema=NAMES), polars.Series(data[1])
    same_as_arrays(x, y, data)
    same_as_arrays(x, y.cast(polars.Boolean), data)
    same_as_arrays(x, y.to_frame(), data)
    with pytest.raises(TypeError, match=r"x: a LazyFrame has not been computed; pass x.collect\(\)"):
        outcome(x.lazy(), y)


def test_parts_of_frames(pandas, data):
    """validation_split, validation_data, weights and batches of frames."""
    x, y = data
    frame, series = pandas.DataFrame(x, columns=NAMES), pandas.Series(y, index=range(9, 57))
    weights = np.linspace(0.5, 2, 48)

    def fitted(x, y, weights):
        model = compiled()
        history = model.fit(x, y, epochs=2, sample_weight=weights, validation_split=0.25, verbose=0).history
        more = model.fit(x, y, epochs=1, class_weight={0: 1.0, 1: 2.0}, validation_data=(x, y), verbose=0).history
        model.fit(((x[i : i + 8], y[i : i + 8]) for i in range(0, 48, 8)), verbose=0)
        model.train_on_batch(x, y)
        return [*history["val_loss"], *more["val_loss"], *model.get_weights()[0].ravel()]

    np.testing.assert_array_equal(fitted(frame, series, pandas.Series(weights)), fitted(x, y, weights))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_missing_values_are_nan(library, data):
    frames = optional(library)
    x = data[0].copy()
    x[3, 2] = np.nan
    if library == "pandas":
        missing = frames.DataFrame(x, columns=NAMES).astype("Float64")
        assert missing.isna().to_numpy().sum() == 1
        given = (missing, missing.astype(object))
    else:
        rows = [[None if v != v else v for v in row] for row in x.tolist()]
        given = (frames.DataFrame(rows, schema=NAMES, orient="row"),)
        assert given[0].null_count().to_numpy().sum() == 1
    model = compiled()
    expected = model.predict(x, verbose=0)
    assert np.isnan(expected).any(axis=1).tolist() == [i == 3 for i in range(48)]
    for frame in given:
        with pytest.raises(ValueError, match=r"x: 1 of 192 values are not finite, .* at index \(3, 2\)"):
            model.fit(frame, data[1], verbose=0)
        np.testing.assert_array_equal(model.predict(frame, verbose=0), expected)


def refused_as_no_number(value, y, match):
    with pytest.raises(TypeError, match=match):
        compiled().fit(value, y, verbose=0)
    with pytest.raises(TypeError, match=match):
        compiled().predict(value, verbose=0)


def test_what_is_no_number_is_named_in_pandas(pandas, data):
    x, y = data
    frame = pandas.DataFrame(x, columns=NAMES)
    wrong = [
        (frame.assign(b="red"), "x, column 'b': expected numbers, got .*get_dummies"),
        (frame.assign(b="1.5"), "x, column 'b': expected numbers, got "),  # text that looks like a number too
        (frame.assign(b=pandas.Categorical(["red", "blue"] * 24)), "column 'b': expected numbers, got category"),
        (frame.assign(d=pandas.Timestamp("2020-01-01")), "column 'd': expected numbers, got datetime.*days since"),
    ]
    for value, match in wrong:
        refused_as_no_number(value, y, match)
    with pytest.raises(TypeError, match="y: expected numbers, got "):
        compiled().fit(x, pandas.Series(["no", "yes"] * 24), verbose=0)
    with pytest.raises(TypeError, match="y, column 'kind': expected numbers"):
        compiled().fit(x, pandas.DataFrame({"kind": ["no", "yes"] * 24}), verbose=0)


def test_what_is_no_number_is_named_in_polars(polars, data):
    x, y = data
    text = polars.DataFrame({"a": x[:, 0], "b": ["x", "y"] * 24, "c": x[:, 2], "d": x[:, 3]})
    lists = polars.DataFrame({"a": x[:, 0], "b": [[1.0]] * 48, "c": x[:, 2], "d": x[:, 3]})
    refused_as_no_number(text, y, "x, column 'b': expected numbers, got String.*to_dummies")
    refused_as_no_number(lists, y, r"x, column 'b': expected a number in each row, got List\(Float64\)")


def test_a_dict_is_no_array(data):
    refused_as_no_number({"a": data[0]}, data[1], "x: expected an array, got a dict; join its columns")


def test_sparse_matrices_say_what_to_do(data):
    sparse = optional("scipy.sparse")
    with pytest.raises(TypeError, match=r"x: a sparse csr_array .* pass x.toarray\(\)"):
        compiled().fit(sparse.csr_array(data[0]), data[1], verbose=0)


# ------------------------------------------------------------------------------------------------------------ tensors


class Exporter:
    """What has nothing but DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def address(array):
    return array.__array_interface__["data"][0]


def test_tensors_are_not_copied(torch, data):
    x = torch.tensor(data[0])
    for value in (x, x[::2], x.clone().requires_grad_()):
        array = _data.as_array(value, "x")
        assert address(array) == value.data_ptr() and array.shape == tuple(value.shape)
    assert address(_data.as_array(Exporter(x), "x")) == x.data_ptr()
    same_as_arrays(x, torch.tensor(data[1]), data)
    same_as_arrays(x.clone().requires_grad_(), torch.tensor(data[1]), data)
    with pytest.raises(TypeError, match=r"x: a tensor of torch.bfloat16 .*pass x.float\(\)"):
        outcome(x.bfloat16(), data[1])


def test_arrays_of_jax_are_not_copied(data):
    jax = optional("jax")
    x = jax.numpy.asarray(data[0])
    if str(x.dtype) != "float64":
        pytest.skip("JAX computes in single precision here")
    assert address(_data.as_array(x, "x")) == x.unsafe_buffer_pointer()
    assert address(_data.as_array(Exporter(x), "x")) == x.unsafe_buffer_pointer()
    same_as_arrays(x, jax.numpy.asarray(data[1]), data)


def test_arrays_are_not_copied(data):
    x = data[0]
    for value in (x, x[5:], x[::3], x.astype(np.float32), x.astype(np.int16), Exporter(x)):
        array = _data.as_array(value, "x")
        assert address(array) == address(getattr(value, "array", value))


# -------------------------------------------------------------------------------------------------------- memory maps


def test_what_is_mapped(data, tmp_path):
    x = data[0]
    np.save(tmp_path / "x.npy", x)
    for mode in ("r", "r+", "c"):
        there = np.load(tmp_path / "x.npy", mmap_mode=mode)
        for view in (there, there[10:], np.asarray(there), np.asarray(there)[::2], there.T):
            assert mapped(view) is not None
        assert mapped(there[[1, 2]]) is None and mapped(there + 1) is None
    assert mapped(x) is None and mapped(x.tolist()) is None


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_memory_maps_are_as_arrays(mode, data, tmp_path, monkeypatch):
    monkeypatch.setattr("fastnn._maps.HELD", 1)  # pages are given back after each batch
    np.save(tmp_path / "x.npy", data[0])
    there = np.load(tmp_path / "x.npy", mmap_mode=mode)
    if mode == "c":
        there[:] = data[0] + 1  # which only this process sees
        data = (data[0] + 1, data[1])
    same_as_arrays(there, data[1], data)
    same_as_arrays(np.asarray(there), data[1], data)


MORE_THAN_MEMORY = """
import json, sys
import numpy as np, fastnn
from fastnn import layers
x = np.memmap(sys.argv[1], np.float32, "r", shape=(int(sys.argv[2]), 1024))
y = np.zeros(len(x), np.float32)
norm = layers.Normalization()
model = fastnn.Sequential([layers.Input((1024,)), norm, layers.Dense(1)])
model.compile("sgd", "mse")
few = np.ones((2048, 1024), np.float32)
model.fit(few, y[:2048], batch_size=1024, verbose=0); model.evaluate(few, y[:2048], verbose=0)
out = np.empty((len(x), 1), np.float32)
grown = {}
def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":")) / 1024
def during(name, call):
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak is what there is now
    before = status("VmRSS")
    call()
    grown[name] = status("VmHWM") - before
during("touching all of it", lambda: float(np.load(sys.argv[1] + ".npy", mmap_mode="r").sum()))
during("adapt", lambda: norm.adapt(x))
during("predict", lambda: model.predict(x, out=out, verbose=0))
during("evaluate", lambda: model.evaluate(x, y, batch_size=1024, verbose=0))
during("fit", lambda: model.fit(x, y, validation_split=0.25, verbose=0))
during("fit in order", lambda: model.fit(x, y, batch_size=1024, shuffle=False, verbose=0))
print(json.dumps(grown))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="no peaks of memory can be asked for here")
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="a sanitizer keeps what is freed")
def test_a_memory_map_is_not_held_in_memory(tmp_path):
    """By the peak of what is resident. ru_maxrss would not do: a process inherits that of the one that started it."""
    megabytes = 384
    with open(tmp_path / "x", "wb") as file:
        file.truncate(megabytes << 20)
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (megabytes << 8, 1024)).flush()
    command = [sys.executable, "-c", MORE_THAN_MEMORY, str(tmp_path / "x"), str(megabytes << 8)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    grown = json.loads(done.stdout)
    assert len(grown) == 6
    assert grown.pop("touching all of it") > 0.9 * megabytes  # so that the figures tell
    assert max(grown.values()) < megabytes / 2, grown


# ------------------------------------------------------------------------------------------------- batches made ahead


class Numbered(PyDataset):
    """Batches by number, and what was asked for."""

    def __init__(self, x, y, wait=0.0):
        super().__init__()
        self.x, self.y, self.wait = x, y, wait
        self.taken, self.threads = [], set()

    def __len__(self):
        return 6

    def __getitem__(self, index):
        self.taken.append(index)
        self.threads.add(threading.current_thread().name)
        time.sleep(self.wait)
        return self.x[8 * index : 8 * index + 8], self.y[8 * index : 8 * index + 8]


def generated(x, y):
    return ((x[i : i + 8], y[i : i + 8]) for i in range(0, len(x), 8))


def test_batches_made_ahead_are_the_same(data):
    def fitted(wrap, source):
        model = compiled()
        model.fit(wrap(source), epochs=1 if hasattr(source, "__next__") else 3, verbose=0)
        return model.get_weights()[0]

    for make in (lambda: Numbered(*data), lambda: list(generated(*data)).__iter__(), lambda: generated(*data)):
        expected = fitted(lambda source: source, make())
        source = make()
        np.testing.assert_array_equal(fitted(prefetch, source), expected)
        if isinstance(source, Numbered):
            assert source.threads == {"fastnn-prefetch"}
            assert [sorted(source.taken[i : i + 6]) for i in (0, 6, 12)] == [list(range(6))] * 3
            assert source.taken[:6] != source.taken[6:12]  # shuffled epoch by epoch
    model = compiled()
    expected = model.evaluate(*data, verbose=0)
    np.testing.assert_allclose(model.evaluate(prefetch(generated(*data)), verbose=0), expected, rtol=1e-6)
    ahead = prefetch(x for x, _ in generated(*data))
    np.testing.assert_array_equal(model.predict(ahead, verbose=0), model.predict(data[0], verbose=0))
    norm = layers.Normalization()
    norm.adapt(prefetch(generated(*data), size=3))
    np.testing.assert_allclose(norm.mean[0], data[0].mean(axis=0), atol=1e-12)


def test_batches_are_made_while_the_model_learns(data):
    """While a batch is learned from, the next ones are made, and no more than were asked for."""
    made, seen = [], []
    reached = threading.Event()

    def batches():
        for i, batch in enumerate(generated(*data)):
            made.append(i)
            if i == 4:
                reached.set()
            yield batch

    class Waits(fastnn.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                assert reached.wait(20)  # batch 0 is here, 1 .. 3 wait, and 4 is at hand
                seen.append(list(made))

    compiled().fit(prefetch(batches(), size=3), callbacks=[Waits()], verbose=0)
    assert seen == [[0, 1, 2, 3, 4]] and made == [0, 1, 2, 3, 4, 5]


def test_the_thread_ends_with_the_fit(data):
    def threads():
        return [t for t in threading.enumerate() if t.name == "fastnn-prefetch"]

    class Stops(fastnn.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    def forever():
        while True:
            yield data

    compiled().fit(prefetch(forever()), steps_per_epoch=4, epochs=2, verbose=0)
    compiled().fit(prefetch(forever()), callbacks=[Stops()], steps_per_epoch=4, verbose=0)
    assert not threads()
    compiled().evaluate(prefetch(forever()), steps=2, verbose=0)
    compiled().predict(prefetch(forever()), steps=2, verbose=0)
    assert not threads()


def test_errors_come_where_their_batch_would(data):
    def batches():
        yield from list(generated(*data))[:2]
        raise OSError("the disk is gone")

    model = compiled()
    before = model.get_weights()[0]
    with pytest.raises(OSError, match="the disk is gone"):
        model.fit(prefetch(batches()), verbose=0)
    assert model.optimizer.iterations == 2 and (model.get_weights()[0] != before).all()
    with pytest.raises(ValueError, match="expected at least one batch"):
        model.fit(prefetch(iter(())), verbose=0)
    with pytest.raises(ValueError, match="size"):
        prefetch([], size=0)
    with pytest.raises(TypeError, match="source: expected an iterable"):
        prefetch(3)
    with pytest.raises(TypeError, match="made ahead already"):
        prefetch(prefetch([]))
    with pytest.raises(ValueError, match="batch_size"):
        model.fit(prefetch(generated(*data)), batch_size=4, verbose=0)


class Tape:
    """An endless iterator that can tell where it is."""

    def __init__(self, x, y):
        self.x, self.y, self.place = x, y, 0

    def __iter__(self):
        return self

    def __next__(self):
        rows = np.arange(8 * self.place, 8 * self.place + 8) % len(self.x)
        self.place += 1
        return self.x[rows], self.y[rows]

    def get_state(self):
        return {"place": self.place}

    def set_state(self, state):
        self.place = state["place"]


@pytest.mark.parametrize("make", [Tape, Numbered])
def test_a_fit_goes_on_with_the_next_batch(make, data, tmp_path):
    """After a kill: where the model was, not where the thread was."""

    class KilledError(Exception):
        pass

    class Kill(fastnn.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 9:
                time.sleep(0.2)  # until batches are waiting
                raise KilledError

    def fit(model, *more):
        source = make(*data)
        model.fit(prefetch(source), steps_per_epoch=6, epochs=3, verbose=0, callbacks=list(more))
        return model.get_weights()[0]

    whole = fit(compiled())
    backup = fastnn.callbacks.BackupAndRestore(tmp_path / "b", save_freq=3)
    with pytest.raises(KilledError):
        fit(compiled(), Kill(), backup)
    backup = fastnn.callbacks.BackupAndRestore(tmp_path / "b", save_freq=3)
    np.testing.assert_array_equal(fit(compiled(), backup), whole)


# -------------------------------------------------------------------------------------------------------------- adapt


KINDS = [
    "array", "list", "generator", "batches with y", "dataset", "pandas", "polars", "torch", "memory map",
    "an empty batch among them", "list of batches", "list of batches with y",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_adapt_in_one_pass(kind, data, tmp_path):
    x = data[0] * [1, 10, 100, 1000] + [0, 1, 2, 1e6]
    np.save(tmp_path / "x.npy", x)
    made = {
        "array": lambda: x,
        "list": x.tolist,
        "generator": lambda: (x[i : i + 5] for i in range(0, 48, 5)),
        "batches with y": lambda: ((x[i : i + 7], x[i : i + 7, 0]) for i in range(0, 48, 7)),
        "dataset": lambda: Numbered(x, data[1]),
        "pandas": lambda: optional("pandas").DataFrame(x),
        "polars": lambda: optional("polars").DataFrame(x),
        "torch": lambda: optional("torch").tensor(x),
        "memory map": lambda: np.load(tmp_path / "x.npy", mmap_mode="r"),
        "an empty batch among them": lambda: iter([x[:20], x[:0], x[20:]]),
        "list of batches": lambda: [x[:20], x[20:]],
        "list of batches with y": lambda: [(x[i : i + 9], x[i : i + 9, 0]) for i in range(0, 48, 9)],
    }
    norm = layers.Normalization()
    norm.adapt(made[kind]())
    np.testing.assert_allclose(norm.mean, x.mean(axis=0, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(norm.variance, x.var(axis=0, keepdims=True), rtol=1e-9)
    np.testing.assert_allclose(norm(x), (x - x.mean(axis=0)) / x.std(axis=0), rtol=1e-5, atol=1e-5)


def test_adapt_takes_no_batch_too_many(data):
    batches = generated(*data)
    norm = layers.Normalization()
    norm.adapt(batches, steps=2)
    np.testing.assert_allclose(norm.mean[0], data[0][:16].mean(axis=0), atol=1e-12)
    np.testing.assert_array_equal(next(batches)[0], data[0][16:24])


def test_adapt_in_pieces(data, monkeypatch):
    monkeypatch.setattr("fastnn.layers._shapes.PIECE", 20)
    norm = layers.Normalization()
    norm.adapt(data[0])
    np.testing.assert_allclose(norm.mean[0], data[0].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(norm.variance[0], data[0].var(axis=0), rtol=1e-9)


def test_adapt_refuses_what_has_no_mean(data):
    norm = layers.Normalization()
    wrong = data[0].copy()
    wrong[3, 2] = np.inf
    for value, match in (
        (wrong, "data: 1 of 192 values"),
        (np.zeros((0, 4)), "no samples"),
        (3.0, "float"),
        (iter([3.0]), "data: expected batches"),
    ):
        with pytest.raises((ValueError, TypeError), match=match):
            norm.adapt(value)
    assert norm.mean is None


# --------------------------------------------------------------------------------------------------------------- page


@pytest.mark.parametrize("n", [0, 1, 65535, 65536, 65537, 4 * 65536 + 3])
@pytest.mark.parametrize("threads", [1, 3])
def test_whatever_is_not_finite_is_found_wherever_it_is(n, threads, dtype):
    from fastnn._core.batches import all_finite

    before = fastnn.set_num_threads(threads)
    try:
        x = np.linspace(-1, 1, n).astype(dtype)
        assert all_finite(x)
        for i in {0, n // 2, 65535, 65536, n - 1} & set(range(n)):
            for bad in (np.nan, np.inf, -np.inf):
                kept, x[i] = x[i], bad
                assert not all_finite(x)
                x[i] = kept
    finally:
        fastnn.set_num_threads(before)


def test_the_page(sources):
    import re

    optional("pandas")

    page = (sources / "docs" / "data.md").read_text(encoding="utf-8")
    names = {}
    folder = os.getcwd()
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, names)
    assert os.getcwd() == folder and names["checked"] is True


def test_docstrings():
    import doctest

    from fastnn import _prefetch

    found = doctest.testmod(_prefetch)
    assert found.attempted > 3 and found.failed == 0
