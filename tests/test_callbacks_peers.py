"""fastnn.callbacks against Keras 3's: both are driven with the same logs, on stand-ins for the model."""

import inspect
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from fastnn import callbacks, optimizers

OURS = [name for name in callbacks.__all__ if name not in ("Callback", "CallbackList", "GradientMonitor")]
NAMES = ("loss", "accuracy", "val_loss", "val_accuracy")


class Model:
    """What callbacks touch of a model, and a record of what they do to it."""

    def __init__(self, metrics=()):
        self.optimizer = SimpleNamespace(learning_rate=0.5, name="sgd")
        self.metrics = list(metrics)
        self.stop_training = False
        self.built = True
        self.weights = 0.0
        self.done = []

    def get_weights(self):
        return [np.array([self.weights])]

    def set_weights(self, weights):
        self.done.append(("set_weights", float(weights[0][0])))
        self.weights = float(weights[0][0])

    def save(self, path, overwrite=True):
        self.done.append(("save", path, self.weights))

    def save_weights(self, filepath, overwrite=True):
        self.done.append(("save_weights", filepath, self.weights))

    def training_state(self):
        self.done.append(("backup",))
        return {"weights": np.array([self.weights])}


@pytest.fixture
def metrics(keras):
    """Metrics as a compiled Keras model holds them."""
    from keras.src.trainers.compile_utils import MetricsList

    found = [keras.metrics.BinaryAccuracy(name="accuracy"), keras.metrics.MeanSquaredError(name="mse")]
    return [keras.metrics.Mean(name="loss"), MetricsList(found)]


def random_logs(rng, epochs):
    """Logs of a fit: on a coarse grid, so that values tie, with some missing and some not finite."""
    result = []
    for _ in range(epochs):
        logs = {name: round(float(rng.integers(0, 12)) / 4, 2) for name in NAMES}
        if rng.random() < 0.1:
            del logs[str(rng.choice(NAMES))]
        if rng.random() < 0.1:
            logs[str(rng.choice(NAMES))] = float(rng.choice([np.nan, np.inf]))
        result.append(logs)
    return result


def drive(module, make, rng, metrics, epochs=14, batches=3, fits=2):
    """Two fits as Keras runs them. Returns what was done to the model and what the logs became."""
    model = Model(metrics)
    everything = []
    chain = module.CallbackList([make(module)], model=model, epochs=epochs, verbose=0, steps=batches)
    for _ in range(fits):
        model.stop_training = False
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            chain.on_train_begin()
            for epoch, logs in enumerate(random_logs(rng, epochs)):
                chain.on_epoch_begin(epoch)
                for batch in range(batches):
                    model.weights += 1
                    chain.on_train_batch_begin(batch)
                    chain.on_train_batch_end(batch, logs)
                seen = []
                chain.callbacks.append(module.LambdaCallback(on_epoch_end=lambda e, logs, seen=seen: seen.append(logs)))
                chain.on_epoch_end(epoch, logs)
                chain.callbacks.pop()
                everything.append((epoch, model.stop_training, model.optimizer.learning_rate, seen[0]))
                if model.stop_training:
                    break
            chain.on_train_end(logs)
        everything.append(list(model.done))
        everything.append([str(w.category) for w in caught if issubclass(w.category, UserWarning)])
    return everything, chain.callbacks[0]


def same(keras, make, rng, metrics, capsys, attributes=(), **more):
    seed = int(rng.integers(2**31))
    theirs, their = drive(keras.callbacks, make, np.random.default_rng(seed), metrics, **more)
    said = [line for line in capsys.readouterr().out.split("\n") if line and "finished saving" not in line]
    ours, our = drive(callbacks, make, np.random.default_rng(seed), metrics, **more)
    saying = [line for line in capsys.readouterr().out.split("\n") if line]
    assert repr(ours) == repr(theirs)  # as text, where NaN is like itself
    assert len(saying) == len(said), (saying, said)
    for name in attributes:
        assert repr(getattr(our, name)) == repr(getattr(their, name)), name


def options(rng, **choices):
    return {name: values[rng.integers(len(values))] for name, values in choices.items() if rng.random() < 0.6}


@pytest.mark.parametrize("name", OURS)
def test_signatures_are_keras(keras, name):
    def arguments(cls):
        found = inspect.signature(cls).parameters.values()
        return [(p.name, p.default) for p in found if p.kind is not p.VAR_KEYWORD]

    assert arguments(getattr(callbacks, name)) == arguments(getattr(keras.callbacks, name))


def test_hooks_are_keras(keras):
    hooks = {name for name in dir(keras.callbacks.Callback) if name.startswith(("on_", "set_"))} | {"model"}
    assert hooks <= set(dir(callbacks.Callback))
    for name in hooks - {"model"}:
        ours = inspect.signature(getattr(callbacks.Callback, name)).parameters
        assert list(ours) == list(inspect.signature(getattr(keras.callbacks.Callback, name)).parameters)


@pytest.mark.parametrize("seed", range(60))
def test_early_stopping(keras, metrics, capsys, seed):
    rng = np.random.default_rng(seed)
    chosen = options(
        rng,
        monitor=["loss", "accuracy", "val_loss", "val_accuracy", "absent"],
        min_delta=[0, 0.25, -0.5],
        patience=[0, 1, 2, 3],
        verbose=[0, 1],
        mode=["min", "max"],
        baseline=[0.5, 1.0],
        restore_best_weights=[True, False],
        start_from_epoch=[0, 2, 3],
    )
    if chosen.get("monitor") == "absent":
        chosen["mode"] = "min"
    kept = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")
    same(keras, lambda module: module.EarlyStopping(**chosen), rng, metrics, capsys, kept)


@pytest.mark.parametrize("seed", range(60))
def test_reduce_lr_on_plateau(keras, metrics, capsys, seed):
    rng = np.random.default_rng(seed)
    chosen = options(
        rng,
        monitor=["loss", "accuracy", "val_loss", "val_accuracy"],
        factor=[0.5, 0.1, 0.25],
        patience=[0, 1, 2],
        verbose=[0, 1],
        mode=["min", "max"],
        min_delta=[0, 0.25, 1e-3],
        cooldown=[0, 1, 3],
        min_lr=[0.0, 0.0625, 0.125],
    )
    kept = ("wait", "cooldown_counter", "best")
    same(keras, lambda module: module.ReduceLROnPlateau(**chosen), rng, metrics, capsys, kept)


@pytest.mark.parametrize("seed", range(60))
def test_model_checkpoint(keras, metrics, capsys, seed, tmp_path):
    rng = np.random.default_rng(seed)
    chosen = options(
        rng,
        monitor=["loss", "accuracy", "val_loss", "val_accuracy"],
        verbose=[0, 1],
        save_best_only=[True],
        save_weights_only=[True],
        mode=["min", "max"],
        save_freq=["epoch", 1, 2, 4, 7],
        initial_value_threshold=[0.5, 2.0],
    )
    by_batch = chosen.get("save_freq", "epoch") != "epoch"
    if by_batch:
        chosen.pop("save_best_only", None)  # Keras cannot compare before the end of the first epoch
    stem = str(tmp_path / "{epoch:02d}") + ("-{batch}" if by_batch else "")
    chosen["filepath"] = stem + (".weights.h5" if chosen.get("save_weights_only") else ".keras")
    same(keras, lambda module: module.ModelCheckpoint(**chosen), rng, metrics, capsys, ("best",))


@pytest.mark.parametrize("save_freq", ["epoch", 1, 2, 3, 4, 7, 100])
@pytest.mark.parametrize("delete", [True, False])
def test_backup_saves_when_keras_does(keras, metrics, capsys, save_freq, delete, tmp_path):
    def make(module):
        return module.BackupAndRestore(tmp_path / module.__name__, save_freq=save_freq, delete_checkpoint=delete)

    def whens(module):
        model, when = Model(metrics), []
        model.load_weights = lambda path: None
        chain = module.CallbackList([make(module)], model=model, epochs=5, verbose=0, steps=3)
        chain.on_train_begin()
        for epoch in range(5):
            chain.on_epoch_begin(epoch)
            for batch in range(3):
                chain.on_train_batch_end(batch, {"loss": 1.0})
                when.append((epoch, batch, len(model.done)))
            chain.on_epoch_end(epoch, {"loss": 1.0})
            when.append((epoch, None, len(model.done)))
        chain.on_train_end()
        return when

    assert whens(callbacks) == whens(keras.callbacks)
    assert (tmp_path / "fastnn.callbacks").exists() == (not delete and save_freq != 100)


def test_learning_rate_scheduler(keras, metrics, capsys, rng):
    for schedule in (lambda epoch, rate: rate * 0.9, lambda epoch: 0.1 / (1 + epoch)):
        for verbose in (0, 1):
            same(keras, lambda m, s=schedule, v=verbose: m.LearningRateScheduler(s, v), rng, metrics, capsys)


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_logger(keras, metrics, capsys, append, separator, tmp_path):
    for seed in range(6):
        for validated in (True, False):
            files = []
            for module in (keras.callbacks, callbacks):
                rng = np.random.default_rng(seed)
                path = tmp_path / f"{module.__name__}-{seed}-{validated}.csv"
                logger = module.CSVLogger(path, separator, append)
                chain = module.CallbackList([logger], model=Model())
                for _ in range(2):
                    chain.on_train_begin()
                    for epoch, logs in enumerate(random_logs(rng, 5)):
                        kept = {k: v for k, v in logs.items() if validated or not k.startswith("val_")}
                        chain.on_epoch_end(epoch, kept | {"each": np.array([1.5, 2.5]), "name, of": "a,b"})
                    chain.on_train_end()
                files.append(path.read_bytes())
            assert files[0] == files[1]


@pytest.mark.parametrize("value", [1.0, 0.0, np.nan, np.inf, -np.inf, None])
@pytest.mark.parametrize("raise_error", [False, True])
def test_terminate_on_nan(keras, metrics, value, raise_error):
    results = []
    for module in (keras.callbacks, callbacks):
        model = Model(metrics)
        chain = module.CallbackList([module.TerminateOnNaN(raise_error)], model=model)
        raised = False
        try:
            chain.on_train_batch_end(3, {} if value is None else {"loss": value})
        except RuntimeError:
            raised = True
        results.append((model.stop_training, raised))
    assert results[0] == results[1]


def test_history_and_lambda(keras, rng):
    results = []
    seed = int(rng.integers(1000))
    for module in (keras.callbacks, callbacks):
        logs_rng, calls = np.random.default_rng(seed), []
        hooks = [name for name in dir(callbacks.Callback) if name.startswith("on_")]
        record = module.LambdaCallback(
            **{name: lambda *args, calls=calls, name=name, **more: calls.append((name, args, more)) for name in hooks}
        )
        model = Model()
        chain = module.CallbackList([record], add_history=True, model=model, epochs=2)
        for _ in range(2):
            chain.on_train_begin({"b": np.float32(1.5), "a": {"nested": 2}})
            for epoch, logs in enumerate(random_logs(logs_rng, 4)):
                chain.on_epoch_begin(epoch)
                for kind in ("train", "test", "predict"):
                    getattr(chain, f"on_{kind}_batch_begin")(epoch)
                    getattr(chain, f"on_{kind}_batch_end")(epoch, logs)
                chain.on_test_begin()
                chain.on_test_end(logs)
                chain.on_epoch_end(epoch, logs)
            chain.on_train_end()
        chain.on_predict_begin()
        chain.on_predict_end()
        results.append(repr((calls, model.history.history, model.history.epoch)))
    assert results[0] == results[1]


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_swap_ema_weights(keras, swap_on_epoch):
    """The same steps through a fit with validation, on each library's own optimizer."""
    rng = np.random.default_rng(5)
    start, gradients = rng.normal(size=(3, 2)), rng.normal(size=(4, 5, 3, 2))

    def fit(module, model, step, weights, averages):
        trace = []
        chain = module.CallbackList([module.SwapEMAWeights(swap_on_epoch)], model=model, epochs=4, verbose=0)
        chain.on_train_begin()
        for epoch in range(4):
            chain.on_epoch_begin(epoch)
            for gradient in gradients[epoch]:
                step(gradient)
            chain.on_test_begin()
            trace.append(np.array(weights()))
            chain.on_test_end()
            trace.append(np.array(weights()))
            chain.on_epoch_end(epoch)
            trace.append(np.array(weights()))
        trace.append(np.array(averages()))
        chain.on_train_end()
        return trace

    variable = keras.Variable(start, dtype="float64")
    theirs = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8)
    theirs.build([variable])
    expected = fit(
        keras.callbacks,
        SimpleNamespace(optimizer=theirs),
        lambda g: theirs.apply([keras.ops.convert_to_tensor(g)], [variable]),
        lambda: keras.ops.convert_to_numpy(variable),
        lambda: keras.ops.convert_to_numpy(theirs._model_variables_moving_average[0]),
    )
    w = start.copy()
    ours = optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8)
    ours.build([w])
    model = SimpleNamespace(optimizer=ours, stop_training=False)
    got = fit(callbacks, model, lambda g: ours.apply([g]), lambda: w, lambda: ours._averages[0])
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_a_callback_made_for_keras_is_called(keras):
    class Theirs(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.seen = logs, self.model, self.params

    callback, model = Theirs(), Model()
    chain = callbacks.CallbackList([callback], model=model, epochs=3)
    assert not (chain.needs_train_batches or chain.needs_test_batches or chain.needs_predict_batches)
    chain.on_epoch_end(0, {"loss": np.float64(0.5)})
    assert callback.seen == ({"loss": 0.5}, model, {"epochs": 3})
