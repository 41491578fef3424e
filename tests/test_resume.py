"""A fit that is killed and run again ends with the same bits as one that ran through."""

import signal
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn.callbacks._monitors import BatchCounter

PROGRAM = """
import sys, time
import numpy as np
import fastnn
from fastnn import callbacks, layers, optimizers
from fastnn.utils import PyDataset

folder, result, source, save_freq, slow = sys.argv[1:]
rng = np.random.default_rng(0)
x = rng.normal(size=(90, 5)).astype(np.float32)
y = rng.integers(0, 3, 90)

class Data(PyDataset):
    def __len__(self):
        return 9
    def __getitem__(self, i):
        return x[10 * i : 10 * i + 10], y[10 * i : 10 * i + 10]

class Slow(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if slow == "slow":
            print("step", flush=True)
            time.sleep(0.005)

model = fastnn.Sequential([
    layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.3),
    layers.GaussianNoise(0.1), layers.Dense(3, activation="softmax"),
], seed=5)
schedule = optimizers.schedules.CosineDecay(0.05, 60)
model.compile(
    optimizers.Adam(schedule, use_ema=True, gradient_accumulation_steps=2), "sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
model.build((None, 5))
stopping = callbacks.EarlyStopping("loss", patience=50, restore_best_weights=True)
frequency = "epoch" if save_freq == "epoch" else int(save_freq)
calls = [stopping, Slow(), callbacks.BackupAndRestore(folder, save_freq=frequency)]
data = (Data(),) if source == "dataset" else (x, y)
history = model.fit(*data, epochs=7, verbose=0, callbacks=calls, **({} if source == "dataset" else {"batch_size": 10}))
np.savez(result, *model.get_weights(), loss=history.history["loss"], accuracy=history.history["accuracy"],
         best=stopping.best, iterations=model.optimizer.iterations)
"""


def run(tmp_path, name, source, save_freq, slow):
    arguments = [tmp_path / f"backup-{name}", tmp_path / f"{name}.npz", source, save_freq, slow]
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
@pytest.mark.parametrize(
    ("source", "save_freq"), [("arrays", "epoch"), ("arrays", "4"), ("dataset", "epoch"), ("dataset", "3")]
)
def test_killed_and_resumed(tmp_path, source, save_freq):
    whole = run(tmp_path, "whole", source, save_freq, "fast")
    _, err = whole.communicate()
    assert whole.returncode == 0, err
    expected = np.load(tmp_path / "whole.npz")
    steps = 0
    for stop_after in (7, 11, 23):
        process = run(tmp_path, "killed", source, save_freq, "slow")
        assert process.stdout is not None
        for _ in range(stop_after):
            steps += bool(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    last = run(tmp_path, "killed", source, save_freq, "fast")
    _, err = last.communicate()
    assert last.returncode == 0, err
    got = np.load(tmp_path / "killed.npz")
    assert steps == 41
    assert sorted(got.files) == sorted(expected.files)
    for name in expected.files:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)


@pytest.mark.parametrize("batches", [1, 2, 5])
@pytest.mark.parametrize("every", [1, 3, 7])
def test_save_freq_counts_batches_through_epochs(batches, every, tmp_path):
    """One batch in an epoch among them, whose number is always 0."""
    model = fastnn.Sequential([fastnn.layers.Input((3,)), fastnn.layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    saved = []
    backup = fastnn.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=every)
    write = backup._save
    backup._save = lambda epoch, step: (saved.append(epoch * batches + step), write(epoch, step))
    checkpoint = fastnn.callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=every)
    x, y = np.ones((4 * batches, 3)), np.ones((4 * batches, 1))
    model.fit(x, y, batch_size=4, epochs=8, verbose=0, callbacks=[checkpoint, backup])
    expected = list(range(every, 8 * batches + 1, every))  # steps since the beginning
    assert expected and saved == expected
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{(step - 1) // batches + 1}-{(step - 1) % batches + 1}" for step in expected
    }


def test_batches_are_counted_though_no_epoch_ends():
    """As in a subclass whose on_epoch_end does not call that of the callback."""
    counter = BatchCounter(3)
    assert [counter.passed(0) for _ in range(7)] == [False, False, True, False, False, True, False]
    assert counter.ahead() == 2


def test_iterator_without_state_is_refused(tmp_path):
    def batches():
        while True:
            yield np.zeros((2, 3), np.float32), np.zeros((2, 1), np.float32)

    model = fastnn.Sequential([fastnn.layers.Dense(1)])
    model.compile("sgd", "mse")
    backup = fastnn.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(ValueError, match="get_state"):
        model.fit(batches(), steps_per_epoch=2, epochs=1, verbose=0, callbacks=[backup])
