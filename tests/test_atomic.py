"""Files that are replaced as a whole: links, permissions, errors, kills, and what killed processes leave."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest
from optional import optional

import fastnn
from fastnn import _atomic, _command_line, callbacks, files, layers

posix = pytest.mark.skipif(os.name == "nt", reason="links and permissions as POSIX has them")
root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root has files of two users")


def model_of(units=2):
    model = fastnn.Sequential([layers.Input((3,)), layers.Dense(units)], seed=0)
    model.compile("sgd", "mse")
    return model


def save_tensors(path):
    files.save_tensors(path, {"a": np.arange(3.0)})


def save_onnx(path):
    optional("onnx")
    model_of().to_onnx(path)


def log(path):
    model_of().fit(np.ones((2, 3)), np.ones((2, 2)), verbose=0, callbacks=[callbacks.CSVLogger(path)])


def command_line(path):
    folder = os.path.dirname(path)
    table, model = os.path.join(folder, "in.csv"), os.path.join(folder, "in.model")
    with open(table, "w") as file:
        file.write("a,b\n" + "".join(f"{i},{2 * i}\n" for i in range(20)))
    assert _command_line.main(["train", table, "--target", "b", "--epochs", "1", "--save", model]) == 0
    assert _command_line.main(["predict", model, table, "--output", path]) == 0


WRITERS = {
    "save": lambda path: model_of().save(path),
    "save_weights": lambda path: model_of().save_weights(path),
    "save_tensors": save_tensors,
    "to_onnx": save_onnx,
    "to_c": lambda path: model_of().to_c(path),
    "CSVLogger": log,
    "predict --output": command_line,
}


@contextlib.contextmanager
def watched(monkeypatch):
    """Every partial file as it was when it was made, and when it took its name: (event, mode, name)."""
    seen = []
    make, replace = os.open, os.replace

    def opened(path, flags, *rest, **options):
        descriptor = make(path, flags, *rest, **options)
        if os.fspath(path).endswith(".partial") and flags & os.O_CREAT:
            assert flags & os.O_EXCL and flags & os.O_NOFOLLOW
            seen.append(("made", stat.S_IMODE(os.fstat(descriptor).st_mode), os.fspath(path)))
        return descriptor

    def replaced(source, target, **options):
        seen.append(("renamed", stat.S_IMODE(os.stat(source).st_mode), os.fspath(target)))
        return replace(source, target, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", opened)
        patch.setattr(os, "replace", replaced)
        yield seen


@posix
@pytest.mark.parametrize("writer", WRITERS)
def test_permissions_stay_at_every_moment(writer, tmp_path, monkeypatch):
    path = tmp_path / "out.c"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with watched(monkeypatch) as seen:
        WRITERS[writer](str(path))
    assert path.read_bytes() != b"old" and stat.S_IMODE(path.stat().st_mode) == 0o640
    made = [mode for event, mode, name in seen if event == "made" and name.startswith(f"{path}.")]
    assert made and set(made) == {0o600}
    assert [mode for event, mode, name in seen if event == "renamed" and name == str(path)] == [0o640]
    assert not list(tmp_path.glob("*.partial"))


@posix
def test_a_new_file_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        save_tensors(tmp_path / "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@posix
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o666, 0o000])
def test_an_overwritten_file_is_never_more_open(mode, tmp_path):
    """Looked at when its content is there, and not yet its name."""
    (tmp_path / "m").touch()
    (tmp_path / "m").chmod(mode)
    with _atomic.replacing(str(tmp_path / "m")) as file:
        file.write(b"secret")
        file.flush()
        [partial] = tmp_path.glob("*.partial")
        assert stat.S_IMODE(partial.stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == mode


@posix
@root
def test_the_owner_stays(tmp_path):
    (tmp_path / "m").touch(0o640)
    (tmp_path / "m").chmod(0o640)
    os.chown(tmp_path / "m", 12345, 23456)
    save_tensors(tmp_path / "m")
    status = (tmp_path / "m").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12345, 23456, 0o640)


@posix
def test_another_group_may_not_read_it(tmp_path, monkeypatch):
    """Where the file's group cannot be kept, its rights go."""
    (tmp_path / "m").touch()
    (tmp_path / "m").chmod(0o664)
    own = os.stat(tmp_path / "m")

    def denied(*_):
        raise PermissionError

    monkeypatch.setattr(os, "fchown", denied)
    before = os.stat_result((own.st_mode, own.st_ino, own.st_dev, 1, own.st_uid, own.st_gid + 1, 0, 0, 0, 0))
    with open(tmp_path / "other", "wb") as file:
        _atomic._set_owner_and_mode(file.fileno(), before)
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o644


# --------------------------------------------------------------------------------------------------------------- links


@posix
def test_links_are_followed_and_stay(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("far/model")  # which is not there yet
    for value in (1.0, 2.0):
        files.save_tensors(tmp_path / "one", {"a": np.array([value])})
        assert (tmp_path / "one").is_symlink() and (tmp_path / "two").is_symlink()
        assert not (tmp_path / "far" / "model").is_symlink()
        assert files.load_tensors(tmp_path / "far" / "model")[0]["a"] == value
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        save_tensors(tmp_path / "loop")
    assert sorted(os.listdir(tmp_path)) == ["far", "loop", "one", "two"]
    assert os.listdir(tmp_path / "far") == ["model"]


@posix
@root
def test_a_link_of_another_user_in_a_shared_folder_is_refused(tmp_path):
    (tmp_path / "victim").write_bytes(b"precious")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "m").symlink_to(tmp_path / "victim")
    os.chown(shared / "m", 12345, 12345, follow_symlinks=False)
    with pytest.raises(PermissionError, match="m: a link that another user put in a shared folder"):
        save_tensors(shared / "m")
    assert (tmp_path / "victim").read_bytes() == b"precious"
    os.chown(shared / "m", os.geteuid(), os.getegid(), follow_symlinks=False)
    save_tensors(shared / "m")
    assert (tmp_path / "victim").read_bytes() != b"precious"


@posix
def test_a_backup_writes_through_no_link(tmp_path):
    """Neither at a name that could be foreseen nor at the file's own."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "backup"
    folder.mkdir()
    for name in ("training_state.npz", "training_state.npz.partial", "training_state.previous.npz"):
        (folder / name).symlink_to(victim)
    keep = callbacks.BackupAndRestore(folder, double_checkpoint=True, delete_checkpoint=False)
    keep.set_model(model_of())
    keep._save(1, 0)
    keep._save(2, 0)
    assert victim.read_bytes() == b"precious"
    assert not (folder / "training_state.npz").is_symlink()
    assert keep._read(keep._path)["epoch"] == 2 and keep._read(keep._previous)["epoch"] == 1


@posix
def test_names_cannot_be_foreseen(tmp_path, monkeypatch):
    names = {_atomic._partial_name(str(tmp_path / "m")) for _ in range(50)}
    assert len(names) == 50
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "planted").symlink_to(victim)
    monkeypatch.setattr(_atomic, "_partial_name", lambda path: str(tmp_path / "planted"))
    with pytest.raises(FileExistsError):
        save_tensors(tmp_path / "m")
    assert victim.read_bytes() == b"precious"


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_an_error_leaves_the_old_file_alone(error, tmp_path):
    def interrupted():
        with _atomic.replacing(str(tmp_path / "m")) as file:
            file.write(b"half")
            raise error

    (tmp_path / "m").write_bytes(b"old")
    with pytest.raises(error):
        interrupted()
    assert os.listdir(tmp_path) == ["m"] and (tmp_path / "m").read_bytes() == b"old"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_old_file_alone(call, tmp_path, monkeypatch):
    (tmp_path / "m").write_bytes(b"old")

    def fail(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="no space left"):
            save_tensors(tmp_path / "m")
    assert os.listdir(tmp_path) == ["m"] and (tmp_path / "m").read_bytes() == b"old"


@posix
@pytest.mark.parametrize("writer", WRITERS)
def test_the_file_and_then_the_folder_are_synced(writer, tmp_path, monkeypatch):
    """A renaming is durable when the folder is: its fsync comes after the last renaming, and the file's before."""
    path = tmp_path / "out.c"
    events = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor):
        status = os.fstat(descriptor)
        events.append(("folder" if stat.S_ISDIR(status.st_mode) else "file", status.st_ino))
        sync(descriptor)

    def replaced(source, target, **options):
        events.append(("rename" if os.fspath(target) == str(path) else "another", os.stat(source).st_ino))
        replace(source, target, **options)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    WRITERS[writer](str(path))
    renamed = [i for i, (event, _) in enumerate(events) if event == "rename"]
    assert renamed
    for i in renamed:
        assert ("file", events[i][1]) in events[:i]
    assert ("folder", tmp_path.stat().st_ino) in events[renamed[-1] :]


# ----------------------------------------------------------------------------------------------------- killed processes

HALF = (
    "import os, signal, sys; from fastnn import _atomic\n"
    "with _atomic.replacing(sys.argv[1]) as file:\n"
    "    file.write(b'half'); file.flush(); print('writing', flush=True); sys.stdin.read()\n"
)


@contextlib.contextmanager
def half_written(path):
    """A process that is in the middle of writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", HALF, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "writing\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@posix
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    with half_written(tmp_path / "m") as process:
        [left] = tmp_path.glob("*.partial")
        save_tensors(tmp_path / "m")
        assert left.exists(), "that of a living process was removed"
        save_tensors(tmp_path / "other")
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        save_tensors(tmp_path / "other")
        assert left.exists(), "that of another target was removed"
        save_tensors(tmp_path / "m")
        assert not left.exists()
    assert sorted(os.listdir(tmp_path)) == ["m", "other"]


@posix
def test_a_process_that_is_stopped_ends_well(tmp_path):
    with half_written(tmp_path / "m") as process:
        process.send_signal(signal.SIGSTOP)
        save_tensors(tmp_path / "m")
        process.send_signal(signal.SIGCONT)
        process.communicate("")
        assert process.returncode == 0
    assert (tmp_path / "m").read_bytes() == b"half" and os.listdir(tmp_path) == ["m"]


@posix
def test_a_number_that_is_used_again_does_not_keep_a_file(tmp_path):
    """A lock tells who lives: here the number is that of this process, as in a container where all have the same."""
    left = tmp_path / f"m.{os.getpid()}-0123456789abcdef.partial"
    left.write_bytes(b"half")
    save_tensors(tmp_path / "m")
    assert not left.exists()


@posix
def test_without_locks_the_number_tells(tmp_path, monkeypatch):
    def without(*_):
        raise OSError("no locks here")

    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    monkeypatch.setattr(_atomic.fcntl, "flock", without)
    living, dead = (tmp_path / f"m.{pid}-0123456789abcdef.partial" for pid in (os.getpid(), child.pid))
    living.touch()
    dead.touch()
    save_tensors(tmp_path / "m")
    assert living.exists() and not dead.exists()


@posix
def test_only_what_is_ours_is_removed(tmp_path, monkeypatch):
    """Not what is called otherwise, is no regular file, or belongs to another user; and nothing waits on a FIFO."""
    end = "0123456789abcdef.partial"
    (tmp_path / "victim").touch()
    kept = [f"m.99999999-{end}x", f"m.x-{end}", f"xm.99999999-{end}", "m.partial", f"m.99999999-{end}.partial"]
    for name in kept:
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / f"m.99999991-{end}")
    (tmp_path / f"m.99999992-{end}").mkdir()
    (tmp_path / f"m.99999993-{end}").symlink_to("victim")
    before = set(os.listdir(tmp_path))
    save_tensors(tmp_path / "m")
    assert set(os.listdir(tmp_path)) == before | {"m"}
    left = tmp_path / f"m.99999994-{end}"
    left.touch()
    user = os.geteuid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: user + 1)
        save_tensors(tmp_path / "m")
    assert left.exists()
    save_tensors(tmp_path / "m")
    assert not left.exists()


def test_two_threads_may_write_one_file(tmp_path):
    done = []

    def write(value):
        for _ in range(30):
            files.save_tensors(tmp_path / "m", {"a": np.full(1000, value)})
        done.append(value)

    threads = [threading.Thread(target=write, args=(float(value),)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0.0, 1.0, 2.0, 3.0] and os.listdir(tmp_path) == ["m"]
    assert len(set(files.load_tensors(tmp_path / "m")[0]["a"])) == 1


def test_a_name_as_long_as_may_be(tmp_path):
    name = "ä" * 127
    save_tensors(tmp_path / name)
    assert os.listdir(tmp_path) == [name]


# ------------------------------------------------------------------------------------------------------- C in two files


@pytest.mark.parametrize("first", [True, False], ids=["new", "replaced"])
@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_to_c_replaces_both_or_neither(first, links, failing, error, tmp_path, monkeypatch):
    path = tmp_path / "net.c"
    before = {}
    if not first:
        model_of(2).to_c(path)
        before = {name: (tmp_path / name).read_bytes() for name in ("net.c", "net.h")}
    replace, calls = os.replace, []

    def fail(source, target):
        if len(calls) == failing:
            calls.append(target)
            raise error("the disk is gone")
        calls.append(target)
        replace(source, target)

    def no_links(*_):
        raise PermissionError("no links here")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        if not links:
            patch.setattr(os, "link", no_links)
        with pytest.raises(error, match="the disk is gone"):
            model_of(5).to_c(path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    model_of(5).to_c(path)
    assert sorted(os.listdir(tmp_path)) == ["net.c", "net.h"]
    assert before.get("net.c") != path.read_bytes()


def test_to_c_writes_neither_where_one_cannot_be_written(tmp_path):
    (tmp_path / "net.c").mkdir()
    with pytest.raises(IsADirectoryError, match=r"net\.c: expected a regular file, got a folder"):
        model_of().to_c(tmp_path / "net.c")
    assert os.listdir(tmp_path) == ["net.c"]
