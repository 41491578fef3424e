"""Model files: what is written comes back to the bit, and what is no model file raises FormatError and nothing else."""

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from memory import peak_of
from optional import optional

import fastnn
from fastnn import _archive, files, layers
from fastnn.errors import FormatError

MODELS = {
    "dense": lambda: [layers.Dense(4, activation="relu"), layers.Dense(2, activation="softmax")],
    "options": lambda: [
        layers.Dense(
            4, activation="gelu", kernel_regularizer="l2", bias_constraint="non_neg", kernel_initializer="he_normal"
        ),
        layers.Activation("tanh"),
        layers.ReLU(max_value=3.0, negative_slope=0.1),
        layers.LeakyReLU(0.2),
        layers.ELU(0.5),
        layers.PReLU(),
    ],
    "normed": lambda: [layers.BatchNormalization(), layers.Dense(4), layers.LayerNormalization(), layers.Softmax()],
    "random": lambda: [layers.Dense(4), layers.Dropout(0.5, seed=3), layers.GaussianNoise(0.1)],
    "shapes": lambda: [layers.Rescaling(0.5, 1.0), layers.Reshape((3, 2)), layers.Dense(2), layers.Flatten()],
    "normalization": lambda: [layers.Normalization(mean=[1.0] * 6, variance=[2.0] * 6), layers.Dense(2)],
    "branches": lambda: [
        layers.Residual([layers.Dense(6, activation="relu"), layers.Dense(6)]),
        layers.Residual([layers.Dense(4)], projection="dense"),
        layers.Parallel([layers.Dense(3), [layers.Dense(5), layers.Dense(2)]], merge="concatenate"),
        layers.Parallel([layers.Dense(3), layers.Dense(3)]),
    ],
}


def built(name, dtype="float32", **options):
    model = fastnn.Sequential(MODELS[name](), seed=1, dtype=dtype, **options)
    model.build((None, 6))
    return model


@pytest.fixture
def x(rng):
    return rng.normal(size=(9, 6))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_to_the_bit(name, dtype, x, tmp_path):
    model = built(name, dtype)
    model.compile("adam", "mse")
    y = np.zeros(model.predict(x, verbose=0).shape)
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "model.any")
    again = fastnn.load(tmp_path / "model.any")
    assert again.get_config() == model.get_config()
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    for m in (model, again):
        m.fit(x, y, epochs=2, verbose=0)
    assert any(w.any() for w in model.get_weights())
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_embedding_comes_back(tmp_path):
    model = fastnn.Sequential([layers.Input((3,)), layers.Embedding(7, 2), layers.Flatten(), layers.Dense(1)])
    model.save(tmp_path / "m")
    codes = np.array([[0, 6, 3], [1, 1, 2]])
    np.testing.assert_array_equal(fastnn.load(tmp_path / "m")(codes), model(codes))


def test_how_it_learns_comes_back(x, tmp_path):
    model = built("dense")
    loss = fastnn.losses.SparseCategoricalCrossentropy(ignore_class=1)
    model.compile(fastnn.optimizers.SGD(0.1, momentum=0.5, clipnorm=1.0), loss, metrics=["accuracy"])
    model.save(tmp_path / "m")
    again = fastnn.load(tmp_path / "m")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    assert again._plan.loss.get_config() == loss.get_config()
    y = np.zeros(9, int)
    assert list(again.fit(x, y, verbose=0).history) == list(model.fit(x, y, verbose=0).history)
    assert fastnn.load(tmp_path / "m", compile=False).optimizer is None


def test_weights_alone(x, tmp_path):
    model, other = built("normed"), built("normed")
    model.set_weights([w + 1 for w in model.get_weights()])
    model.save_weights(tmp_path / "w")
    other.load_weights(tmp_path / "w")
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    with pytest.raises(ValueError, match="weights"):
        built("dense").load_weights(tmp_path / "w")


def test_weights_by_other_names(x, tmp_path):
    """Taken in their order, where that is the model's; a file that another program sorted is not."""
    safetensors = optional("safetensors.numpy")

    def made(*names):
        stack = [layers.Dense(3, name=name, bias_initializer="random_normal") for name in names]
        return fastnn.Sequential([layers.Input((3,)), *stack])

    model, other = made("dense_9", "dense_10"), made("a", "b")
    model.save_weights(tmp_path / "w")
    other.load_weights(tmp_path / "w")
    np.testing.assert_array_equal(other.predict(x[:, :3], verbose=0), model.predict(x[:, :3], verbose=0))
    safetensors.save_file(safetensors.load_file(tmp_path / "w"), tmp_path / "sorted")
    before = other.get_weights()
    with pytest.raises(ValueError, match="'dense_10/bias' lies where 'a/kernel' of"):
        other.load_weights(tmp_path / "sorted")
    for one, two in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, two)
    again = made("dense_9", "dense_10")
    again.load_weights(tmp_path / "sorted")  # by name
    np.testing.assert_array_equal(again.predict(x[:, :3], verbose=0), model.predict(x[:, :3], verbose=0))


def test_safetensors_reads_it(tmp_path):
    safetensors = optional("safetensors.numpy")
    model = built("branches")
    model.save(tmp_path / "m")
    read = safetensors.load_file(tmp_path / "m")
    assert sorted(a.sum() for a in read.values()) == pytest.approx(sorted(w.sum() for w in model.get_weights()))


def test_your_own_layer_comes_back_when_it_is_passed(tmp_path):
    class Twice(layers.Layer):
        def forward(self, x, training):
            return 2 * x

        def backward(self, dy):
            return 2 * dy

    model = fastnn.Sequential([layers.Input((2,)), Twice()])
    model.save(tmp_path / "m")
    with pytest.raises(FormatError, match="custom_objects"):
        fastnn.load(tmp_path / "m")
    again = fastnn.load(tmp_path / "m", custom_objects={"Twice": Twice})
    np.testing.assert_array_equal(again(np.ones((1, 2))), [[2, 2]])

    def inside():
        return [layers.Dense(2, activity_regularizer="l2"), Twice()]

    branches = [inside(), layers.Residual(inside(), name="in_a_branch")]
    model = fastnn.Sequential([layers.Input((2,)), layers.Residual(inside()), layers.Parallel(branches)])
    model.save(tmp_path / "m")
    again = fastnn.load(tmp_path / "m", custom_objects={"Twice": Twice})
    np.testing.assert_array_equal(again(np.ones((1, 2))), model(np.ones((1, 2))))


def test_an_existing_file_may_be_kept(tmp_path):
    model = built("dense")
    model.save(tmp_path / "m")
    with pytest.raises(FileExistsError):
        model.save(tmp_path / "m", overwrite=False)
    with pytest.raises(FileExistsError):
        model.save_weights(tmp_path / "m", overwrite=False)
    model.save(tmp_path / "n", overwrite=False)
    assert (tmp_path / "n").read_bytes() == (tmp_path / "m").read_bytes()


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_another_process_makes_meanwhile_is_kept(links, tmp_path, monkeypatch):
    """Between the first look and the end of writing; also on a file system without hard links."""
    model = built("dense")
    synced = os.fsync

    def make_it(descriptor):
        (tmp_path / "m").write_text("another's")
        return synced(descriptor)

    def no_links(*args, **options):
        raise PermissionError

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", make_it)
        with pytest.raises(FileExistsError):
            model.save(tmp_path / "m", overwrite=False)
    assert (tmp_path / "m").read_text() == "another's"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    model.save(tmp_path / "n", overwrite=False)
    np.testing.assert_array_equal(fastnn.load(tmp_path / "n").get_weights()[0], model.get_weights()[0])


@pytest.mark.skipif(os.name == "nt", reason="links and permissions as POSIX has them")
def test_what_a_file_is_stays(tmp_path):
    model = built("dense")
    model.save(tmp_path / "m")
    (tmp_path / "m").chmod(0o600)
    (tmp_path / "latest").symlink_to("m")
    model.set_weights([w + 1 for w in model.get_weights()])
    model.save(tmp_path / "latest")
    assert (tmp_path / "latest").is_symlink() and (tmp_path / "m").stat().st_mode & 0o777 == 0o600
    np.testing.assert_array_equal(fastnn.load(tmp_path / "m").get_weights()[0], model.get_weights()[0])
    os.mkfifo(tmp_path / "pipe")  # as /dev/null, which a save by root would have taken the place of
    with pytest.raises(OSError, match=r"pipe: expected a regular file, got a FIFO"):
        model.save(tmp_path / "pipe")
    assert sorted(os.listdir(tmp_path)) == ["latest", "m", "pipe"]


# ------------------------------------------------------------------------------------------------------- what is wrong


def parts(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.fixture
def whole(tmp_path):
    model = built("branches")
    model.compile("adam", "mse")
    model.save(tmp_path / "m")
    return (tmp_path / "m").read_bytes()


def refused(data, tmp_path, match):
    """The message names the file, and then says what is wrong."""
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(FormatError, match=rf"^{re.escape(str(tmp_path / 'bad'))}[: ].*{match}"):
        fastnn.load(tmp_path / "bad")


def test_damaged_headers_are_refused(whole, tmp_path):
    header, body = parts(whole)
    names = [name for name in header if name != "__metadata__"]
    first = header[names[0]]
    no_header = f"begins with no header of 2 to {files.MOST_HEADER} bytes"
    shape = "its shape is not a list of at most 8 whole numbers"
    doubled = b'{"__metadata__": {}, "__metadata__": {}}'
    cases = [
        (b"", no_header),
        (whole[:7], no_header),
        (whole[:-1], r"\d+ bytes at \d+\.\.\d+ do not follow the \d+ bytes before"),
        (whole + b"\0", r"the tensors take \d+ bytes, the file has \d+ for them"),
        ((2**63).to_bytes(8, "little") + whole[8:], no_header),
        (joined(b"[]", body), "the header does not begin with {"),
        (joined(b"{ ", body), "the header is not JSON that can be read: JSONDecodeError"),
        (joined(b'{"a": NaN}', b""), "the header holds NaN, which is not JSON"),
        (joined(b'{"a": -Infinity}', b""), "the header holds -Infinity, which is not JSON"),
        (joined(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b""), "not JSON that can be read: RecursionError"),
        (joined(doubled, b""), "the header has the key '__metadata__' twice"),
        (joined({**header, "__metadata__": {"format": 1}}, body), "__metadata__ is not a dict of strings"),
        (joined({**header, names[0]: {**first, "dtype": "I8"}}, body), "dtype 'I8' is not one of F32, F64"),
        (joined({**header, names[0]: {**first, "shape": [-1]}}, body), shape),
        (joined({**header, names[0]: {**first, "shape": [2**40, 2**40]}}, body), "no array has a shape of"),
        (joined({**header, names[0]: {**first, "shape": [True]}}, body), shape),
        (joined({**header, names[0]: {**first, "shape": [1] * 9}}, body), shape),
        (
            joined({**header, names[0]: {**first, "data_offsets": [0, 2**62]}}, body),
            "144 bytes at 0..4611686018427387904 do not follow the 0 bytes before",
        ),
        (joined({**header, names[0]: {**first, "data_offsets": [0]}}, body), "data_offsets are not two whole numbers"),
        (joined({**header, names[0]: {**first, "more": 1}}, body), "expected dtype, shape and data_offsets"),
        (joined({k: v for k, v in header.items() if k != names[0]}, body), "do not follow the 0 bytes before"),
        (
            joined({**header, "__metadata__": {"format": "other"}}, body),
            "a safetensors file, but not of a fastnn model",
        ),
        (
            joined({**header, "__metadata__": {**header["__metadata__"], "version": "2"}}, body),
            "format version '2', this fastnn reads '1'",
        ),
    ]
    for data, match in cases:
        refused(data, tmp_path, match)


def test_a_key_twice_in_a_good_file_is_refused(whole, tmp_path):
    """Readers differ in which of two values they take, so that nobody knows what such a file says."""
    header, body = parts(whole)
    text = json.dumps(header)
    name = next(name for name in header if name != "__metadata__")
    entry = json.dumps(header[name])
    inside = json.loads(header["__metadata__"]["fastnn"])
    described = json.dumps(inside)
    (tmp_path / "good").write_bytes(joined(text.encode(), body))
    fastnn.load(tmp_path / "good")
    cases = {
        f"the header has the key '{name}' twice": text[:-1] + f', "{name}": {entry}}}',
        "the header has the key '__metadata__' twice": text[:-1] + ', "__metadata__": {}}',
        "the header has the key 'dtype' twice": text.replace(entry, entry[:-1] + ', "dtype": "F32"}', 1),
        "the header has the key 'version' twice": text.replace('"version": "1"', '"version": "1", "version": "1"', 1),
        "the description of the model has the key 'forwards' twice": json.dumps(
            {**header, "__metadata__": {**header["__metadata__"], "fastnn": described[:-1] + ', "forwards": 0}'}}
        ),
    }
    for match, data in cases.items():
        assert data != text
        refused(joined(data.encode(), body), tmp_path, match)


def test_a_tensor_shorter_than_its_place_is_refused(whole, tmp_path):
    """The places still follow one another and fill the file; one shape takes less, or more, than its place."""
    two = {
        "a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [12, 20]},
    }
    path = tmp_path / "two"
    path.write_bytes(joined(two, bytes(20)))
    assert [a.shape for a in files.load_tensors(path)[0].values()] == [(3,), (2,)]
    for name, shape, dtype in (
        ("a", [2], "F32"),
        ("a", [0], "F32"),
        ("b", [1], "F32"),
        ("b", [2], "F64"),
        ("a", [1], "F64"),
    ):
        bad = {**two, name: {**two[name], "shape": shape, "dtype": dtype}}
        path.write_bytes(joined(bad, bytes(20)))
        size = shape[0] * (4 if dtype == "F32" else 8)
        begin, end = two[name]["data_offsets"]
        with pytest.raises(FormatError, match=rf"tensor '{name}': {size} bytes at {begin}\.\.{end} do not follow"):
            files.load_tensors(path)
    header, body = parts(whole)
    for name, entry in header.items():
        if name != "__metadata__" and entry["shape"]:
            bad = {**header, name: {**entry, "shape": [entry["shape"][0] - 1, *entry["shape"][1:]]}}
            refused(joined(bad, body), tmp_path, rf"tensor '{name}': \d+ bytes at .* do not follow")


def described(whole, change):
    header, body = parts(whole)
    model = json.loads(header["__metadata__"]["fastnn"])
    change(model)
    header["__metadata__"]["fastnn"] = json.dumps(model)
    return joined(header, body)


def test_an_empty_array_beyond_measure_is_refused(tmp_path):
    entry = {"dtype": "F32", "shape": [2**32, 2**32, 0], "data_offsets": [0, 0]}
    (tmp_path / "bad").write_bytes(joined({"a": entry}, b""))
    with pytest.raises(FormatError, match="tensor 'a': no array has a shape of"):
        files.load_tensors(tmp_path / "bad")
    (tmp_path / "good").write_bytes(joined({"a": {**entry, "shape": [2**20, 2**20, 0]}}, b""))
    assert files.load_tensors(tmp_path / "good")[0]["a"].shape == (2**20, 2**20, 0)


def test_a_header_in_another_encoding_is_refused(whole, tmp_path):
    header, body = parts(whole)
    text = json.dumps(header)
    refused(
        joined(text.encode("utf-16-le"), body), tmp_path, "the header is not JSON that can be read: JSONDecodeError"
    )
    refused(joined(text.encode("utf-8-sig"), body), tmp_path, "the header does not begin with {")
    name = b'{"\xed\xa0\x80":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'  # half of a pair
    refused(joined(name, b"1234"), tmp_path, "the header is not JSON that can be read: UnicodeDecodeError")


def test_wrong_descriptions_are_refused(whole, tmp_path):
    def first(m):
        return m["config"]["layers"][1]["config"]["layers"][0]["config"]  # a Dense layer in a branch

    def layer(name, **config):
        return {"module": "fastnn.layers", "class_name": name, "config": config}

    layers_of, known = "the layers cannot be made .*", "unknown name"
    cases = [
        (lambda m: m["config"]["layers"][1].update({"class_name": "os.system"}), f"{layers_of}{known} 'os.system'"),
        (lambda m: first(m).update({"units": 2**40}), f"{layers_of}a weight of shape .* is more than the file holds"),
        (lambda m: first(m).update({"units": "8"}), f"{layers_of}units: expected a whole number, got '8'"),
        (lambda m: first(m).update({"unknown": 1}), f"{layers_of}unknown: Dense has no argument of this name"),
        (lambda m: m["config"].update({"build_input_shape": [None, 2**50]}), "is more than the file holds"),
        (lambda m: m["config"].update({"build_input_shape": None}), "does not say what shape the model was built for"),
        (lambda m: m["config"].update({"dtype": "object"}), f"{layers_of}dtype: expected 'float32' or 'float64'"),
        (lambda m: m["config"].update({"seed": -1}), f"{layers_of}seed: expected a whole number >= 0"),
        (lambda m: m["config"].update({"layers": []}), r"its tensors are not the model's \(missing \[\]"),
        (lambda m: m["config"].update({"more": 1}), "the config is not that of a Sequential model"),
        (lambda m: m.pop("config"), "the description of the model has no config"),
        (
            lambda m: m["config"]["layers"].append(layer("Embedding", input_dim=2**20, output_dim=2**20)),
            r"embedding\w*: a weight of shape \(1048576, 1048576\) is more than the file holds",
        ),
        (
            lambda m: m["config"]["layers"].append(layer("Reshape", target_shape=[2**30, 2**30])),
            r"reshape\w*: target_shape: samples of shape .* have 3 elements",
        ),
        (
            lambda m: m["compile"].update({"loss": {"class_name": "eval", "config": {}}}),
            f"it cannot be compiled as it was: .*loss: {known} 'eval'",
        ),
        (lambda m: m.update({"forwards": -1}), "the count of training forwards is no whole number"),
        (
            lambda m: m.update({"optimizer": {"iterations": "many"}}),
            "it cannot be compiled as it was: .*state: it is not that of this optimizer",
        ),
    ]
    for change, match in cases:
        refused(described(whole, change), tmp_path, match)


def test_mutated_files_raise_nothing_else(whole, tmp_path):
    """Flipped, cut and spliced bytes: a model or a FormatError, within little memory."""
    number = random.Random(0)
    head = 8 + int.from_bytes(whole[:8], "little")
    outcomes = {"model": 0, "refused": 0}

    def load_all():
        for _ in range(int(os.environ.get("FASTNN_MUTATIONS", "1500"))):
            data = bytearray(whole)
            for _ in range(number.choice((1, 1, 2, 5, 20))):
                data[number.randrange(head if number.random() < 0.9 else len(data))] = number.randrange(256)
            if number.random() < 0.2:
                data = data[: number.randrange(len(data))]
            if number.random() < 0.2:
                a, b, c = sorted(number.randrange(len(data) + 1) for _ in range(3))
                data = data[:a] + data[b:c] + data[a:b] + data[c:]
            (tmp_path / "bad").write_bytes(data)
            try:
                fastnn.load(tmp_path / "bad")
                outcomes["model"] += 1
            except FormatError:
                outcomes["refused"] += 1

    peak = peak_of(load_all)
    assert min(outcomes.values()) > 10
    assert peak < 50_000_000  # bytes; some of the files claim to hold much more


def zipped(path, compression=zipfile.ZIP_STORED, **parts):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr("index.json" if name == "index" else f"{name[1:]}.npy", data)


def npy(array, shape=None):
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    data = file.getvalue()
    return data if shape is None else data.replace(str(array.shape).encode(), shape)


def test_backups_that_lie_are_refused(tmp_path):
    """Their checksums are right, so that only what they say is wrong."""
    good = npy(np.arange(6.0))
    path = tmp_path / "backup"
    zipped(path, index='["l", [["a", 0], ["v", 3]]]', n0=good)
    array, number = _archive.read(path)
    assert number == 3
    np.testing.assert_array_equal(array, np.arange(6.0))
    again = '["l", [' + ",".join(['["a", 0]'] * 50_000) + "]]"  # 8 MB of files' numbers for each MB of index
    lies = [
        {"index": again, "n0": good},
        {"index": '["a", 0]', "n0": npy(np.arange(6.0), b"(60000000000,)")},
        {"index": '["a", 0]', "n0": npy(np.arange(6.0), b"(5,)")},
        {"index": '["a", 0]', "n0": good[:60]},
        {"index": '["a", 0]', "n0": good.replace(b"'<f8'", b"'|O8'")},
        {"index": '["a", "0"]', "n0": good},
        {"index": '["d", 3]'},
        {"index": '["l", 3]'},
        {"index": "[" * 100_000},
        {"index": '["v", 3]', "compression": zipfile.ZIP_DEFLATED},
    ]
    for lie in lies:
        zipped(path, **lie)
        with pytest.raises(FormatError, match="damaged"):
            _archive.read(path)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_killed_save_leaves_a_whole_file(tmp_path):
    program = (
        "import sys, fastnn; from fastnn import layers\n"
        "m = fastnn.Sequential([layers.Input((200,)), layers.Dense(500)], seed=0)\n"
        "m.save(sys.argv[1]); print('ready', flush=True)\n"
        "while True: m.set_weights([w + 1 for w in m.get_weights()]); m.save(sys.argv[1])\n"
    )
    for wait in range(8):
        process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "m")], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01 * wait)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL  # and not of an error of its own
        process.stdout.close()
        _, bias = fastnn.load(tmp_path / "m").get_weights()
        np.testing.assert_array_equal(bias, bias[0])  # of one save, not of two
    fastnn.load(tmp_path / "m").save(tmp_path / "m")
    assert os.listdir(tmp_path) == ["m"]  # nothing is left of those that were killed


def test_tensors_of_any_name(tmp_path):
    arrays = {"a": np.arange(3.0), "b/c": np.ones((2, 0), np.float32), "scalar": np.array(2.5)}
    files.save_tensors(tmp_path / "t", arrays, {"note": "x"})
    read, metadata = files.load_tensors(tmp_path / "t")
    assert metadata == {"note": "x"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
