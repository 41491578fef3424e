"""What is no regular file is refused at once: a FIFO does not block, and no device is read."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import _opening, callbacks, files, layers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="FIFOs, sockets and devices as POSIX has them")


@pytest.fixture
def places():
    """By kind, a path at which there is something else than a file. A socket's path must be short."""
    folder = Path(tempfile.mkdtemp(prefix="fnn", dir="/tmp"))
    os.mkfifo(folder / "fifo")
    (folder / "link").symlink_to("fifo")
    (folder / "folder").mkdir()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / "socket"))
    yield {
        "a FIFO (named pipe)": folder / "fifo",
        "a FIFO": folder / "link",
        "a folder": folder / "folder",
        "a socket": folder / "socket",
        "a device": Path("/dev/null"),
    }
    listening.close()
    shutil.rmtree(folder)


def model():
    made = fastnn.Sequential([layers.Input((2,)), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def restore(path):
    path.parent.mkdir(exist_ok=True)
    callbacks.BackupAndRestore._read(os.fspath(path))


def log(path, append):
    logger = callbacks.CSVLogger(path, append=append)
    model().fit(np.ones((2, 2)), np.ones(2), verbose=0, callbacks=[logger])


CALLS = {
    "load": fastnn.load,
    "load_model": fastnn.models.load_model,
    "load_tensors": files.load_tensors,
    "load_weights": lambda path: model().load_weights(path),
    "save": lambda path: model().save(path),
    "save_weights": lambda path: model().save_weights(path),
    "BackupAndRestore": restore,
    "CSVLogger": lambda path: log(path, False),
    "CSVLogger, append": lambda path: log(path, True),
}


@pytest.mark.parametrize("kind", ["a FIFO (named pipe)", "a FIFO", "a folder", "a socket", "a device"])
@pytest.mark.parametrize("call", CALLS)
def test_only_regular_files_are_opened(places, call, kind):
    error = IsADirectoryError if kind == "a folder" else OSError
    with pytest.raises(error) as caught:
        CALLS[call](places[kind])
    assert f"{places[kind]}: expected a regular file, got {kind}" in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "PATH"],
        ["predict", "PATH", "data.csv"],
        ["predict", "MODEL", "PATH"],
        ["predict", "MODEL", "DATA", "--output", "PATH"],
        ["train", "PATH", "--target", "b"],
        ["train", "DATA", "--target", "b", "--epochs", "1", "--save", "PATH"],
    ],
    ids=["inspect", "predict model", "predict data", "predict output", "train data", "train save"],
)
@pytest.mark.parametrize("kind", ["a FIFO (named pipe)", "a socket", "a device"])
def test_the_command_line_opens_only_regular_files(places, arguments, kind, tmp_path):
    (tmp_path / "data.csv").write_text("a,b\n" + "".join(f"{i},{i / 2}\n" for i in range(20)))
    command = [sys.executable, "-m", "fastnn"]
    data, saved = str(tmp_path / "data.csv"), str(tmp_path / "model")
    subprocess.run(
        [*command, "train", data, "--target", "b", "--epochs", "1", "--save", saved], check=True, capture_output=True
    )
    given = {"PATH": str(places[kind]), "DATA": data, "MODEL": saved}
    # a limit for a process that blocks, so that the suite does not
    result = subprocess.run(
        [*command, *(given.get(a, a) for a in arguments)], check=False, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 2
    assert result.stderr == f"fastnn: {places[kind]}: expected a regular file, got {kind}; pass the name of a file\n"


def test_a_fifo_that_takes_the_place_of_a_file_does_not_block(tmp_path, monkeypatch):
    """The kind is looked at before and after opening: here it changes in between."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    regular = os.stat(tmp_path / "file")
    monkeypatch.setattr(os, "stat", lambda path: regular)
    with pytest.raises(OSError, match="expected a regular file, got a FIFO"):
        _opening.open_binary(tmp_path / "fifo")


def test_what_is_no_path_is_refused(tmp_path):
    for path in (0, None, 1.5):
        with pytest.raises(TypeError, match="PathLike"):
            fastnn.load(path)
    with pytest.raises(FileNotFoundError):
        fastnn.load(tmp_path / "absent")


def test_links_to_files_are_followed(tmp_path):
    model().save(tmp_path / "m")
    (tmp_path / "link").symlink_to("m")
    assert fastnn.load(tmp_path / "link").count_params() == 3


def test_names_of_many_layers_take_time_that_grows_with_them(monkeypatch):
    """Layers of one name are numbered without trying each number again. Counted, not timed."""

    class Path(str):
        compared = 0

        def __hash__(self):
            return str.__hash__(self)

        def __format__(self, spec):
            Path.compared += 1
            return str.__format__(self, spec)

    class Variable:
        path = Path("dense/kernel")

    class Model:
        def _variables(self):
            return [Variable() for _ in range(1000)]

    names = list(files._named(Model()))
    assert names[:3] == ["dense/kernel", "dense/kernel_2", "dense/kernel_3"] and len(set(names)) == 1000
    assert Path.compared < 2000
