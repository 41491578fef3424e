"""Callbacks on a small stand-in for a model: what they do, what they refuse, and that they go on where they were."""

import copy
import doctest
import inspect
import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from optional import optional

import fastnn
from fastnn import _archive, callbacks, errors, optimizers
from fastnn.callbacks import (
    BackupAndRestore,
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
    TerminateOnNaN,
)
from fastnn.callbacks._list import listed

ROOT = Path(__file__).parent


class Model:
    """A line fitted by SGD with momentum, with the attributes that callbacks use."""

    def __init__(self):
        self.w = np.array([0.5, -0.25])
        self.optimizer = optimizers.SGD(0.1, momentum=0.9, use_ema=True)
        self.optimizer.build([self.w])
        self.stop_training = False
        self.metrics = [SimpleNamespace(name="accuracy", _direction="up")]
        self.history = self._resume = None
        self.saved = []

    def get_weights(self):
        return [self.w.copy()]

    def set_weights(self, weights):
        self.w[...] = weights[0]

    def save(self, path):
        self.saved.append(path)
        np.save(path if str(path).endswith(".npy") else f"{path}.npy", self.w)

    save_weights = save

    def training_state(self):
        return {"weights": self.get_weights(), "optimizer": self.optimizer.get_state()}

    def restore_training_state(self, state):
        self.restored = state
        self.set_weights(state["weights"])
        self.optimizer.set_state(state["optimizer"])

    def step(self, epoch, batch):
        gradient = np.random.default_rng([epoch, batch]).normal(size=2) + self.w
        self.optimizer.apply([gradient])
        return float(np.abs(self.w).sum())

    def fit(self, items, epochs=6, steps=4, initial_epoch=0):
        chain = CallbackList(items, add_history=True, model=self, epochs=epochs, steps=steps, verbose=0)
        self.stop_training, self._resume = False, None
        chain.on_train_begin()
        first, start = self._resume or (initial_epoch, 0)
        logs = {}
        for epoch in range(first, epochs):
            if self.stop_training:
                break
            chain.on_epoch_begin(epoch)
            loss = 0.0
            for batch in range(start, steps):
                chain.on_train_batch_begin(batch)
                loss = self.step(epoch, batch)
                chain.on_train_batch_end(batch, {"loss": loss})
                if self.stop_training:
                    break
            start = 0
            loss = float(np.abs(self.w).sum())
            logs = chain.on_epoch_end(epoch, {"loss": loss, "accuracy": -loss})
        self.optimizer.finalize_variable_values()
        chain.on_train_end(logs)
        return self.history


class Fall(Callback):
    """Ends the process that it is in, at one of its hooks."""

    def __init__(self, epoch, batch=None):
        super().__init__()
        self.where = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if self.where == (epoch, None):
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch, logs=None):
        if self.where == (self.epoch, batch):
            raise KeyboardInterrupt


# ----------------------------------------------------------------------------------------------------------- the list


@pytest.mark.parametrize(
    "items, train, test, predict",
    [
        ([], False, False, False),
        ([Callback()], False, False, False),
        ([History(), EarlyStopping(), CSVLogger("x"), ReduceLROnPlateau(), SwapEMAWeights()], False, False, False),
        ([LearningRateScheduler(lambda epoch: 0.1)], False, False, False),
        ([TerminateOnNaN()], True, False, False),
        ([ModelCheckpoint("x")], False, False, False),
        ([ModelCheckpoint("x", save_freq=3)], True, False, False),
        ([BackupAndRestore("x")], False, False, False),
        ([BackupAndRestore("x", save_freq=3)], True, False, False),
        ([LambdaCallback(on_epoch_end=print)], False, False, False),
        ([LambdaCallback(on_batch_end=print)], True, False, False),
        ([LambdaCallback(on_train_batch_begin=print)], True, False, False),
        ([LambdaCallback(on_test_batch_end=print)], False, True, False),
        ([LambdaCallback(on_predict_batch_begin=print)], False, False, True),
    ],
)
def test_who_listens_to_batches(items, train, test, predict):
    chain = CallbackList(items)
    assert (chain.needs_train_batches, chain.needs_test_batches, chain.needs_predict_batches) == (train, test, predict)


def test_a_subclass_that_listens_is_heard():
    class Loud(ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)

    for save_freq in ("epoch", 5):
        chain = CallbackList([Loud("x", save_freq=save_freq)])
        assert chain.needs_train_batches and chain.train_batches_ahead == 1


@pytest.mark.parametrize("backup_every, checkpoint_every", [(3, 5), (1, 4), (7, 7), (100, 10), ("epoch", 6)])
def test_batches_that_run_at_once(tmp_path, backup_every, checkpoint_every):
    """Callbacks that save every so many batches need not stop the model at each."""
    epochs = [4, 9, 1, 6, 13]

    def saves(at_once):
        done, stops = [], 0
        model = SimpleNamespace(
            stop_training=False,
            save=lambda path: done.append(os.path.basename(path)),
            training_state=lambda: done.append((epoch, batch)) or {},
        )
        chain = CallbackList(
            [
                BackupAndRestore(tmp_path / "b", save_freq=backup_every, delete_checkpoint=False),
                ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=checkpoint_every),
            ],
            model=model,
        )
        for epoch, steps in enumerate(epochs):
            chain.on_epoch_begin(epoch)
            batch = -1
            while batch < steps - 1:
                ahead = chain.train_batches_ahead if at_once else 1
                batch = min(batch + ahead, steps - 1)
                chain.on_train_batch_end(batch, {"loss": 1.0})
                stops += 1
            chain.on_epoch_end(epoch, {"loss": 1.0})
        return done, stops

    each, at_once = saves(False), saves(True)
    assert at_once[0] == each[0]
    assert at_once[1] == each[1] if 1 in (backup_every, checkpoint_every) else at_once[1] < each[1]
    assert CallbackList([EarlyStopping()]).train_batches_ahead is None
    assert CallbackList([ModelCheckpoint("x", save_freq=9), TerminateOnNaN()]).train_batches_ahead == 1


def test_the_list():
    seen = []
    first = LambdaCallback(on_epoch_end=lambda epoch, logs: (seen.append("first"), logs.update(more=1.0)))
    second = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(("second", dict(logs))))
    chain = CallbackList([first, [second]], add_history=True, model=SimpleNamespace())
    given = {"b": np.float32(0.5), "a": np.array(2), "text": "x", "each": np.array([1.0])}
    logs = chain.on_epoch_end(0, given)
    assert seen == ["first", ("second", {"a": 2.0, "b": 0.5, "each": np.array([1.0]), "text": "x", "more": 1.0})]
    assert list(logs) == ["a", "b", "each", "text", "more"] and "more" not in given
    assert chain.model.history.history["more"] == [1.0]
    assert len(chain) == 3 and next(iter(chain)) is first
    late = Callback()
    chain.append(late)
    assert late.model is chain.model
    assert CallbackList(Callback()).callbacks and not CallbackList(None).callbacks and CallbackList([])


@pytest.mark.parametrize(
    "items, match",
    [
        ([EarlyStopping], r"callbacks\[0\].*EarlyStopping\(\.\.\.\)"),
        ([Callback(), "early"], r"callbacks\[1\].*derive"),
        ({"a": 1}, r"callbacks\[0\]"),
    ],
)
def test_what_is_not_a_callback_is_refused(items, match):
    with pytest.raises(TypeError, match=match):
        CallbackList(items)


def test_a_callback_of_ones_own_need_not_call_super():
    class Own(Callback):
        def __init__(self):
            self.seen = []

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append((epoch, self.model, self.params))

    own = Own()
    CallbackList([own], model=(model := SimpleNamespace()), epochs=3).on_epoch_end(1)
    assert own.seen == [(1, model, {"epochs": 3})]


def test_what_fit_makes_of_its_argument():
    model, own = SimpleNamespace(), Callback()
    for given, count in ((None, 1), (own, 2), ([own], 2), ((own, [History()]), 2), (iter([own]), 2)):
        chain = listed(given, model, epochs=3)
        assert len(chain) == count and chain.params == {"epochs": 3} and isinstance(model.history, History)
    chain = CallbackList([own])
    assert listed(chain, model, epochs=2) is chain and own.model is model and own.params == {"epochs": 2}


def test_warnings_point_at_the_caller():
    stopping = EarlyStopping("val_loss")
    chain = CallbackList([stopping], model=Model())
    with pytest.warns(UserWarning, match="no 'val_loss'") as caught:
        chain.on_epoch_end(0, {"loss": 1.0})
    assert caught[0].filename == __file__


def test_progress_is_no_callback():
    with pytest.raises(ValueError, match="verbose"):
        CallbackList([], add_progbar=True)


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda: LambdaCallback(on_epoch_ends=print), ValueError, "did you mean 'on_epoch_end'"),
        (lambda: LambdaCallback(on_epoch_end=3), TypeError, "on_epoch_end: expected a function"),
        (lambda: ReduceLROnPlateau(factor=1.0), ValueError, "factor"),
        (lambda: EarlyStopping(patience=-1), ValueError, "patience"),
        (lambda: EarlyStopping(min_delta="small"), TypeError, "min_delta"),
        (lambda: ModelCheckpoint(""), ValueError, "filepath"),
        (lambda: ModelCheckpoint("x", save_freq=0), ValueError, "save_freq.*'epoch' or a whole number"),
        (lambda: ModelCheckpoint("x", save_freq="batch"), ValueError, "save_freq.*got 'batch'"),
        (lambda: BackupAndRestore(""), ValueError, "backup_dir"),
        (lambda: BackupAndRestore("x", save_freq=False), ValueError, "save_freq"),
        (lambda: BackupAndRestore("x", delete_checkpoint=1), TypeError, "delete_checkpoint"),
        (lambda: LearningRateScheduler(0.1), TypeError, "schedule"),
        (lambda: CSVLogger("x", separator=", "), ValueError, "separator"),
    ],
)
def test_wrong_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_unknown_mode_warns():
    with pytest.warns(UserWarning, match="mode 'best'"):
        assert EarlyStopping(mode="best").mode == "auto"


def test_a_metric_without_direction_asks_for_mode():
    stopping = EarlyStopping("val_score")
    stopping.set_model(Model())
    with pytest.raises(ValueError, match=r"monitor='val_score'.*mode='max' or mode='min'"):
        stopping.on_epoch_end(0, {"val_score": 1.0})


@pytest.mark.parametrize(("metric", "more"), [("accuracy", True), ("auc", True), ("mse", False), ("mae", False)])
@pytest.mark.parametrize("validates", [True, False])
def test_the_metrics_of_a_fit_say_what_is_better(metric, more, validates):
    """Each callback that watches a number takes a model's metric by its name, and knows its best epoch."""
    x = np.random.default_rng(0).normal(size=(40, 2))
    model = fastnn.Sequential([fastnn.layers.Dense(1, "sigmoid")], seed=0)
    model.compile("adam", "binary_crossentropy", metrics=[metric])
    name = f"val_{metric}" if validates else metric
    watching = [EarlyStopping(name), ReduceLROnPlateau(name)]
    model.fit(
        x, x[:, 0] > 0, epochs=2, verbose=0, callbacks=watching, validation_data=(x, x[:, 0] > 0) if validates else None
    )
    assert [callback._find_direction() for callback in watching] == [more, more]


def test_metrics_say_what_keras_says_of_them():
    keras = optional("keras")
    compared = 0
    for name in fastnn.metrics.__all__:
        ours, theirs = getattr(fastnn.metrics, name), getattr(keras.metrics, name, None)
        if isinstance(ours, type) and theirs is not None:
            found = re.search(r'_direction = "(up|down)"', inspect.getsource(theirs.__init__))
            if found and name != "MeanMetricWrapper":  # of any function, which need not be a loss
                assert ours._direction == found[1], name
                compared += 1
    assert compared > 15


def test_schedule_must_give_a_float():
    scheduler = LearningRateScheduler(lambda epoch, rate: "fast")
    scheduler.set_model(Model())
    with pytest.raises(ValueError, match="epoch 0, got 'fast'"):
        scheduler.on_epoch_begin(0)


def test_an_error_within_a_schedule_is_its_own():
    def schedule(epoch, rate):
        return rate + "1"

    scheduler = LearningRateScheduler(schedule)
    scheduler.set_model(Model())
    with pytest.raises(TypeError, match="unsupported operand"):
        scheduler.on_epoch_begin(0)


def test_checkpoint_paths(tmp_path):
    model = Model()
    checkpoint = ModelCheckpoint(tmp_path / "new" / "{epoch:02d}-{loss:.2f}.npy")
    checkpoint.set_model(model)
    checkpoint.on_epoch_end(3, {"loss": 0.126})
    assert model.saved == [str(tmp_path / "new" / "04-0.13.npy")] and os.path.exists(model.saved[0])
    checkpoint = ModelCheckpoint("{val_loss}.npy")
    with pytest.raises(KeyError, match=r"val_loss.*the names that it may hold are epoch, loss"):
        checkpoint.on_epoch_end(3, {"loss": 0.126})
    checkpoint = ModelCheckpoint(tmp_path)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        checkpoint.on_epoch_end(3, {})


def test_checkpoint_by_batch_compares_from_the_first(tmp_path):
    model = Model()
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}-{batch}", "loss", save_best_only=True, save_freq=2)
    chain = CallbackList([checkpoint], model=model)
    for epoch, losses in enumerate([(5, 4, 3, 6), (1, 2, 1, 1)]):
        chain.on_epoch_begin(epoch)
        for batch, loss in enumerate(losses):
            chain.on_train_batch_end(batch, {"loss": loss})
    assert [os.path.basename(path) for path in model.saved] == ["1-2", "2-2", "2-4"]


def test_checkpoint_says_what_it_lacks(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "x", save_best_only=True)
    checkpoint.set_model(Model())
    with pytest.warns(UserWarning, match="no 'val_loss'"):
        checkpoint.on_epoch_end(0, {"loss": 1.0})
    with pytest.warns(UserWarning, match="is an array"):
        checkpoint.on_epoch_end(0, {"val_loss": np.ones(2)})


def test_swap_needs_averages():
    model = Model()
    model.optimizer = optimizers.SGD(0.1)
    swap = SwapEMAWeights()
    swap.set_model(model)
    with pytest.raises(ValueError, match="use_ema=True"):
        swap.on_test_begin()


@pytest.mark.parametrize("kind", ["test", "predict"])
def test_swap_and_back(kind):
    model, swap = Model(), SwapEMAWeights()
    swap.set_model(model)
    for batch in range(5):
        model.step(0, batch)
    weights, averages = model.w.copy(), model.optimizer._averages[0].copy()
    assert not np.array_equal(weights, averages)
    getattr(swap, f"on_{kind}_begin")()
    np.testing.assert_array_equal(model.w, averages)
    getattr(swap, f"on_{kind}_end")()
    np.testing.assert_array_equal(model.w, weights)
    np.testing.assert_array_equal(model.optimizer._averages[0], averages)


@pytest.mark.parametrize("stop_first", [True, False])
def test_swap_keeps_the_averages_when_training_stops_early(stop_first):
    def stop(epoch, logs):
        model.stop_training = epoch == 2

    seen, model = [], Model()
    stopper = LambdaCallback(on_epoch_end=stop)
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.w.copy()))
    swap = SwapEMAWeights(swap_on_epoch=True)
    model.fit([stopper, swap, look] if stop_first else [swap, look, stopper])
    assert len(seen) == 3
    np.testing.assert_array_equal(model.w, seen[-1])
    plain = Model()
    plain.fit([], epochs=3)
    np.testing.assert_array_equal(model.w, plain.w)


# ----------------------------------------------------------------------------------------------------------- resuming


def all_callbacks(folder, save_freq="epoch"):
    return [
        BackupAndRestore(folder / "backup", save_freq=save_freq),
        EarlyStopping("loss", patience=4, restore_best_weights=True, baseline=0.1),
        LearningRateScheduler(lambda epoch, rate: rate * 0.95),
        ReduceLROnPlateau("accuracy", factor=0.5, patience=1, cooldown=1),
        SwapEMAWeights(swap_on_epoch=True),
        ModelCheckpoint(folder / "best.npy", "loss", save_best_only=True),
        ModelCheckpoint(folder / "often-{epoch}-{batch}.npy", save_freq=3),
        CSVLogger(folder / "log.csv"),
        TerminateOnNaN(),
    ]


def outcome(folder, model):
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    state = model.optimizer.get_state()
    arrays = {name: np.asarray(value).tobytes() for name, value in state.items()}
    return model.w.tobytes(), arrays, repr(model.history.history), model.history.epoch, model.stop_training, files


@pytest.mark.parametrize("save_freq", ["epoch", 1, 3, 5])
@pytest.mark.parametrize("where", [(0, 0), (0, 2), (1, None), (2, 3), (3, 1), (3, 3)])
def test_interrupted_fit_ends_alike(tmp_path, save_freq, where):
    results = []
    for name in ("whole", "parts"):
        folder = tmp_path / name
        folder.mkdir()
        if name == "parts":
            with pytest.raises(KeyboardInterrupt):
                Model().fit([*all_callbacks(folder, save_freq), Fall(*where)])
        was_saved = (folder / "backup").exists()
        model = Model()
        model.fit(all_callbacks(folder, save_freq))
        assert (model._resume is not None) == was_saved
        results.append(outcome(folder, model))
    assert results[0] == results[1]


KILLED = """
import os, random, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_callbacks import Model, all_callbacks, outcome
folder, save_freq, seed = Path({folder!r}), {save_freq!r}, {seed}

def killed_at(count):
    "Runs the fit in a child that kills itself at that line of fastnn's callbacks; True if it came to its end."
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = count
    def trace(frame, event, argument):
        nonlocal left
        if "fastnn/callbacks" not in frame.f_code.co_filename and "_archive" not in frame.f_code.co_filename:
            return None
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    model = Model()
    sys.settrace(trace)
    model.fit(all_callbacks(folder, save_freq))
    sys.settrace(None)
    (folder / "outcome").write_text(repr(outcome(folder, model)))
    os._exit(0)

kills, generator = 0, random.Random(seed)
while (code := killed_at(generator.randint(1500, 5000))) != 0:
    assert code == -signal.SIGKILL, code
    kills += 1
    assert kills < 500
print(kills)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("seed", range(6))
def test_fit_that_is_killed_at_any_line_ends_alike(tmp_path, seed):
    for name, save_freq in (("by_epoch", "epoch"), ("by_batch", 2)):
        whole, parts = tmp_path / name / "whole", tmp_path / name / "parts"
        whole.mkdir(parents=True)
        parts.mkdir()
        model = Model()
        model.fit(all_callbacks(whole, save_freq))
        code = KILLED.format(tests=str(ROOT), folder=str(parts), save_freq=save_freq, seed=seed)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) > 0
        got = (parts / "outcome").read_text()
        assert got == repr(outcome(whole, model))
        assert not (parts / "backup").exists()


def test_state_of_each_goes_round(tmp_path):
    """get_state holds all that a callback remembers: one that is given it does the same from there on."""
    rng = np.random.default_rng(1)
    for cut in range(1, 9):
        logs = [{"loss": float(v), "accuracy": float(w)} for v, w in rng.integers(0, 5, size=(10, 2)) / 4]
        for make in (
            lambda: EarlyStopping("loss", patience=3, restore_best_weights=True),
            lambda: ReduceLROnPlateau("loss", 0.5, patience=2, cooldown=2),
            lambda: ModelCheckpoint(tmp_path / "x", "accuracy", save_best_only=True),
            lambda: ModelCheckpoint(tmp_path / "x", save_freq=3),
            History,
        ):
            first, second = make(), make()
            models = Model(), Model()
            for callback, model in zip((first, second), models, strict=True):
                callback.set_model(model)
                callback.on_train_begin()
            for epoch, log in enumerate(logs):
                if epoch == cut:
                    second.set_state(copy.deepcopy(first.get_state()))
                    models[1].optimizer.learning_rate = models[0].optimizer.learning_rate
                    models[1].stop_training, models[1].saved = models[0].stop_training, list(models[0].saved)
                for callback, model in zip((first, second), models, strict=True):
                    if callback is first or epoch >= cut:
                        callback.on_epoch_begin(epoch)
                        callback.on_train_batch_end(0, dict(log))
                        callback.on_train_batch_end(1, dict(log))
                        model.w[...] = epoch
                        callback.on_epoch_end(epoch, dict(log))
            assert repr(first.get_state()) == repr(second.get_state())
            assert models[0].stop_training == models[1].stop_training
            assert models[0].optimizer.learning_rate == models[1].optimizer.learning_rate
            assert models[0].saved == models[1].saved


def test_callbacks_may_come_and_go(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Model().fit([Fall(3), EarlyStopping("loss", patience=9), BackupAndRestore(tmp_path)])
    stopping, other = EarlyStopping("loss", patience=9), EarlyStopping("accuracy", patience=8)
    history = Model().fit([BackupAndRestore(tmp_path), TerminateOnNaN(), stopping, other])
    assert history.epoch == list(range(6)) and len(history.history["loss"]) == 6


def test_place_and_stop_are_handed_back(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Model().fit([Fall(2, 2), BackupAndRestore(tmp_path, save_freq=2)])
    model = Model()
    backup = BackupAndRestore(tmp_path, save_freq=2)
    backup.set_model(model)
    backup.on_train_begin()
    assert model._resume == (2, 2) and model.stop_training is False
    assert (model.restored["epoch"], model.restored["step"]) == (2, 2)
    assert (tmp_path / "training_state.npz").exists()


def test_a_fit_that_stopped_stays_stopped(tmp_path):
    backup = BackupAndRestore(tmp_path, delete_checkpoint=False)
    Model().fit([backup, EarlyStopping("loss", baseline=-1.0, patience=1)])
    again = Model()
    again.fit([BackupAndRestore(tmp_path)])
    assert again.stop_training and again._resume == (2, 0)
    assert not tmp_path.exists()


def test_only_what_was_made_is_deleted(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    Model().fit([BackupAndRestore(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.fixture
def saved(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Model().fit(
            [
                Fall(3),
                EarlyStopping("loss", restore_best_weights=True, patience=9),
                BackupAndRestore(tmp_path, double_checkpoint=True),
            ]
        )
    assert not (tmp_path / "training_state.npz.partial").exists()
    return tmp_path / "training_state.npz"


def test_damage_is_found(saved, rng):
    """No byte can be changed so that something else is loaded; nor can the file be cut."""
    whole, expected = saved.read_bytes(), repr(_archive.read(str(saved)))
    (saved.parent / "training_state.previous.npz").unlink()
    refused = 0
    for place in rng.choice(len(whole), 400, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        saved.write_bytes(damaged)
        try:
            assert repr(_archive.read(str(saved))) == expected  # as in a date, which means nothing
        except errors.FormatError:
            refused += 1
    assert refused > 300
    for length in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(errors.FormatError, match=r"training_state\.npz is damaged"):
            Model().fit([BackupAndRestore(saved.parent)])


def test_the_last_but_one_stands_in(saved):
    saved.write_bytes(saved.read_bytes()[:-40])
    model = Model()
    with pytest.warns(UserWarning, match=r"training goes on from .*previous"):
        model.fit([BackupAndRestore(saved.parent, double_checkpoint=True)])
    assert model._resume == (2, 0)


def test_a_kill_between_the_two_renamings(saved):
    saved.unlink()
    model = Model()
    model.fit([BackupAndRestore(saved.parent, double_checkpoint=True)])
    assert model._resume == (2, 0)


def test_other_files_are_refused(saved):
    (saved.parent / "training_state.previous.npz").unlink()
    for tree, match in (
        ({"format": "other"}, "is not a"),
        ([1], "is not a"),
        ({"format": "fastnn training state", "version": 99}, "version 99"),
    ):
        _archive.write(str(saved), tree, "tree")
        with pytest.raises(errors.FormatError, match=match):
            Model().fit([BackupAndRestore(saved.parent)])
    np.savez(saved, x=np.ones(3))
    with pytest.raises(errors.FormatError):
        Model().fit([BackupAndRestore(saved.parent)])
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("index.json", '["d", {"format": ["a", 0]}]')
        archive.writestr("0.npy", pickle.dumps("no"))
    with pytest.raises(errors.FormatError):
        Model().fit([BackupAndRestore(saved.parent)])


# ----------------------------------------------------------------------------------------------------------- the file


def test_trees_go_round(tmp_path, rng):
    tree = {
        "none": None, "yes": True, "n": 2**70, "x": 0.1, "text": "é\n", "minus": -0.0, "huge": float("inf"),
        "list": [1, [2.5, {"deep": np.arange(3, dtype=np.int8)}]], "tuple": (1, ()), "empty": {},
        "f32": rng.normal(size=(3, 4)).astype(np.float32), "fortran": np.asfortranarray(rng.normal(size=(3, 4))),
        "strided": rng.normal(size=(6, 4))[::2, 1:3], "scalar": np.float32(0.1), "0d": np.array(7, np.uint64),
        "nothing": np.zeros((0, 3)), "bool": np.array([True, False]), "big": np.array([1, 2], ">i4"),
    }  # fmt: skip
    _archive.write(str(tmp_path / "t"), tree, "tree")
    got = _archive.read(str(tmp_path / "t"))
    assert repr(got) == repr(tree)
    for name in ("f32", "fortran", "strided", "0d", "scalar"):
        assert got[name].dtype == tree[name].dtype and got[name].tobytes() == tree[name].tobytes()
    assert np.isnan(_roundtrip(tmp_path, float("nan")))
    assert got["f32"].flags.writeable


def _roundtrip(folder, value):
    _archive.write(str(folder / "v"), {"v": value}, "tree")
    return _archive.read(str(folder / "v"))["v"]


@pytest.mark.parametrize(
    "value, match",
    [
        ({"a": [1, object()]}, r"tree\['a'\]\[1\].*object"),
        ({1: 2}, "keys that are strings"),
        ({"o": np.array([None])}, "array of numbers"),
        ({"f": print}, "builtin_function"),
    ],
)
def test_what_cannot_be_kept(tmp_path, value, match):
    (tmp_path / "t").write_bytes(b"before")
    with pytest.raises(TypeError, match=match):
        _archive.write(str(tmp_path / "t"), value, "tree")
    assert [path.name for path in tmp_path.iterdir()] == ["t"] and (tmp_path / "t").read_bytes() == b"before"


def test_a_failed_write_leaves_the_file_before(tmp_path, monkeypatch):
    _archive.write(str(tmp_path / "t"), {"a": 1}, "tree")
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        _archive.write(str(tmp_path / "t"), {"a": 2}, "tree")
    assert _archive.read(str(tmp_path / "t")) == {"a": 1} and len(list(tmp_path.iterdir())) == 1


# ------------------------------------------------------------------------------------------------------ documentation


def test_every_callback_has_its_section_in_the_docs():
    page = (ROOT.parent / "docs" / "callbacks.md").read_text()
    for name in callbacks.__all__:
        _, found, rest = page.partition(f"\n### {name}\n")
        assert found, f"docs/callbacks.md has no section {name}"
        section = rest.partition("\n### ")[0].partition("\n## ")[0]
        if name in ("Callback", "CallbackList"):
            continue
        for option, value in inspect.signature(getattr(callbacks, name)).parameters.items():
            if value.kind is not value.VAR_KEYWORD:
                assert f"`{option}`" in section, f"docs/callbacks.md: {name} does not explain {option}"


def test_the_snippets_of_the_docs_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for snippet in re.findall(r"```python\n(.*?)```", (ROOT.parent / "docs" / "callbacks.md").read_text(), re.DOTALL):
        exec(snippet, names)
    assert names["line"].stop_training and names["line"].history.history["loss"][-1] < 0.01


def test_docstrings():
    from fastnn.callbacks import _backup, _base, _monitors, _parts

    for module in (_backup, _base, _monitors, _parts):
        assert doctest.testmod(module).failed == 0
