"""Many epochs in one call of the core: the same as epoch by epoch, which is how a fit runs when somebody listens."""

import threading

import numpy as np
import pytest

import fastnn
from fastnn import _fit, callbacks, layers, optimizers
from fastnn._core.batches import Batches
from fastnn._core.epochs import Epochs, Stall

X = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
Y = (X[:, :1] * X[:, 1:2] > 0).astype(np.float32)
HELD = X[::-1][:20], Y[::-1][:20]


class Listens(callbacks.Callback):
    """Does nothing, but has every epoch told."""

    def on_epoch_end(self, epoch, logs=None):
        pass


class SteepMAE(fastnn.metrics.MeanAbsoluteError):
    def result(self):
        return 10 * super().result()


class Forgetful(fastnn.metrics.MeanAbsoluteError):
    """Whose sums begin anew in a way that the core does not know."""

    def reset_state(self):
        super().reset_state()
        self.state[...] = 1.0


class Pair(fastnn.metrics.MeanAbsoluteError):
    def result(self):
        return {"mean": super().result(), "seen": float(self.state[1])}


def told_by_itself():
    """A metric whose sums begin anew in a way of its own, as an object and not by its class."""
    metric = fastnn.metrics.MeanAbsoluteError()
    metric.reset_state = lambda: metric.state.__setitem__(Ellipsis, 1.0)
    return metric


class Squared(fastnn.losses.Loss):
    """A loss in Python."""

    def call(self, y_true, y_pred):
        return np.mean((y_true - y_pred) ** 2, axis=-1)

    def gradient(self, y_true, y_pred):
        return 2 * (y_pred - y_true) / y_true.shape[-1]


def model(optimizer=None, loss="binary_crossentropy", metrics=(), dtype="float32"):
    made = fastnn.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(8, "tanh", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, "sigmoid"),
        ],
        seed=3,
        dtype=dtype,
    )
    made.compile(optimizer or optimizers.Adam(0.01), loss, metrics=list(metrics))
    return made


def both(make, **given):
    """A fit that nobody listens to, and one that is heard of epoch by epoch."""
    made = make(), make()
    for one, heard in zip(made, ([], [Listens()]), strict=True):
        one.fit(X, Y, verbose=0, callbacks=heard, **{"epochs": 7, "batch_size": 16} | given)
    return made


def assert_same(one, other):
    assert one.history.epoch == other.history.epoch
    assert one.history.history == other.history.history
    assert list(one.history.history) == list(other.history.history)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.optimizer.iterations == other.optimizer.iterations
    ours, theirs = one.training_state(), other.training_state()
    assert ours["forwards"] == theirs["forwards"] and ours["sums"]["loss"] == theirs["sums"]["loss"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"shuffle": False},
        {"batch_size": 50},
        {"batch_size": 64},
        {"epochs": 1},
        {"epochs": 0},
        {"initial_epoch": 3},
        {"initial_epoch": 9},
        {"steps_per_epoch": 2},
        {"validation_data": HELD},
        {"validation_data": HELD, "validation_freq": 3},
        {"validation_data": HELD, "validation_freq": [2, 3, 7]},
        {"sample_weight": np.linspace(0, 1, 50)},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:steps_per_epoch")
def test_fits_are_the_same(given, dtype):
    assert_same(*both(lambda: model(metrics=["accuracy", "mae"], dtype=dtype), **given))


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: optimizers.SGD(optimizers.schedules.ExponentialDecay(0.5, 3, 0.9), momentum=0.9),
        lambda: optimizers.Adam(optimizers.schedules.CosineDecay(0.1, 20)),
        lambda: optimizers.SGD(lambda: 0.1),
        lambda: optimizers.AdamW(0.01, use_ema=True, clipnorm=0.1),
        lambda: optimizers.Adam(0.01, gradient_accumulation_steps=3),
    ],
)
def test_of_every_rate_and_rule(optimizer):
    assert_same(*both(lambda: model(optimizer())))


@pytest.mark.parametrize("loss", ["mse", Squared()])
@pytest.mark.parametrize(
    "metrics",
    [[], ["auc"], ["mae", "auc"], [SteepMAE], [Forgetful], [Pair], [told_by_itself], ["mse", "RootMeanSquaredError"]],
    ids=["none", "auc", "mae and auc", "steep", "forgetful", "pair", "by itself", "mse and rmse"],
)
def test_metrics_and_losses_of_every_kind(loss, metrics):
    def make():
        return model(loss=loss, metrics=[m() if callable(m) else m for m in metrics])

    assert_same(*both(make))


def test_more_epochs_than_are_recorded_at_once(monkeypatch):
    monkeypatch.setattr(_fit, "MOST_EPOCHS", 3)
    assert_same(*both(lambda: model(metrics=["mae"]), epochs=11))


def test_fits_go_on_where_others_ended():
    ours, theirs = both(lambda: model(metrics=["mae"]))
    for one, heard in ((ours, None), (theirs, [Listens()])):
        one.fit(X, Y, verbose=0, callbacks=heard, epochs=12, initial_epoch=7, batch_size=16)
    assert_same(ours, theirs)


def test_histories_of_ones_own():
    kept = callbacks.History(), callbacks.History()
    one = model()
    for _ in range(2):
        assert one.fit(X, Y, epochs=3, verbose=0, callbacks=list(kept)) in kept
    assert kept[0].history == kept[1].history and len(kept[0].history["loss"]) == 6 and kept[0].epoch == [0, 1, 2]


@pytest.mark.parametrize("heard", [[], [Listens()]], ids=["unheard", "heard"])
def test_a_schedule_that_breaks_stops_where_it_does(heard):
    class Breaks(optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1 if step < 7 else np.nan

    one = model(optimizers.SGD(Breaks()))
    with pytest.raises(ValueError, match="from step 7 on"):
        one.fit(X, Y, batch_size=25, epochs=9, verbose=0, callbacks=heard)
    assert one.optimizer.iterations == 7 and one.history.epoch == [0, 1, 2]


@pytest.mark.parametrize("heard", [[], [Listens()]], ids=["unheard", "heard"])
def test_divergence_names_the_epoch(heard):
    x = np.ones((8, 2))
    one = fastnn.Sequential([layers.Input((2,)), layers.Dense(1)], seed=0, dtype="float64")
    one.compile(optimizers.SGD(1e30), "mse")
    with pytest.raises(fastnn.errors.DivergenceError) as raised:
        one.fit(x, x[:, :1] + 1, epochs=50, batch_size=4, verbose=0, callbacks=heard)
    done = len(one.history.epoch)
    assert done > 0 and np.isfinite(one.history.history["loss"]).all()
    assert str(raised.value).startswith(f"epoch {done + 1}, step ")
    assert all(np.isfinite(w).all() for w in one.get_weights())


def test_divergence_in_the_first_epoch_leaves_no_history():
    one = model(optimizers.SGD(1e300), "mse", dtype="float64")
    one.set_weights([w + 1e200 for w in one.get_weights()])
    with pytest.raises(fastnn.errors.DivergenceError, match="epoch 1, step 1:"):
        one.fit(X, Y, epochs=5, verbose=0)
    assert one.history.history == {} and one.history.epoch == []


def test_a_mean_that_overflows_is_noted():
    """Each batch's loss is finite, their sum is not."""
    x, y = np.ones((8, 1)), np.full((8, 1), 5.5e153)
    kept = []
    for heard in ([], [Listens()]):
        one = fastnn.Sequential([layers.Input((1,)), layers.Dense(1)], seed=0, dtype="float64")
        one.compile(optimizers.SGD(0.0), "mse")
        kept.append(one.fit(x, y, epochs=3, batch_size=4, verbose=0, callbacks=heard).history)
    assert kept[0] == kept[1] == {"loss": [np.inf] * 3}


def test_another_thread_stops_it():
    one = model()
    advance, reached = one._advance, threading.Event()

    def stop():
        reached.wait()
        one.stop_training = True

    thread = threading.Thread(target=stop)

    def watched(*args):
        done = advance(*args)
        reached.set()
        thread.join()
        return done

    one._advance = watched
    thread.start()
    history = one.fit(X, Y, epochs=10**9, verbose=0)
    assert 0 < len(history.epoch) <= _fit.MOST_EPOCHS and len(history.history["loss"]) == len(history.epoch)


class Louder(callbacks.History):
    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)


class OwnList(callbacks.CallbackList):
    pass


class WatchesToo(callbacks.GradientMonitor):
    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)


def with_hook(callback, hook="on_epoch_end"):
    setattr(callback, hook, lambda epoch, logs=None: None)
    return callback


@pytest.mark.parametrize(
    ("listed", "ahead"),
    [
        (callbacks.CallbackList([]), [9, 9, 9, 9]),
        (callbacks.CallbackList([callbacks.History(), callbacks.History()]), [9, 9, 9, 9]),
        (callbacks.CallbackList([callbacks.LambdaCallback(on_train_end=print, on_test_end=print)]), [9, 9, 9, 9]),
        (callbacks.CallbackList([callbacks.LambdaCallback(on_epoch_end=print)]), [1, 1, 1, 1]),
        (callbacks.CallbackList([callbacks.LambdaCallback(on_epoch_begin=print)]), [1, 1, 1, 1]),
        (callbacks.CallbackList([callbacks.LambdaCallback(on_batch_end=print)]), [1, 1, 1, 1]),
        (callbacks.CallbackList([callbacks.ModelCheckpoint("x.fnn")]), [1, 1, 1, 1]),
        (callbacks.CallbackList([Louder()]), [1, 1, 1, 1]),
        (callbacks.CallbackList([with_hook(callbacks.History(), "on_epoch_begin")]), [1, 1, 1, 1]),
        (callbacks.CallbackList([with_hook(callbacks.GradientMonitor(3))]), [1, 1, 1, 1]),
        (callbacks.CallbackList([WatchesToo(3)]), [1, 1, 1, 1]),
        (with_hook(callbacks.CallbackList([])), [1, 1, 1, 1]),
        (OwnList([]), [1, 1, 1, 1]),
        (callbacks.CallbackList([callbacks.GradientMonitor(3)]), [3, 2, 1, 3]),
        (callbacks.CallbackList([callbacks.GradientMonitor(3), callbacks.GradientMonitor(2)]), [2, 1, 1, 1]),
        (callbacks.CallbackList([callbacks.GradientMonitor(20)]), [9, 9, 9, 9]),
        (callbacks.CallbackList([callbacks.GradientMonitor()]), [1, 1, 1, 1]),
    ],
    ids=lambda value: " ".join(type(c).__name__ for c in value) if isinstance(value, callbacks.CallbackList) else "",
)
def test_how_many_epochs_run_before_someone_hears(listed, ahead):
    assert [listed.epochs_ahead(epoch, 9) for epoch in range(4)] == ahead


@pytest.mark.parametrize("every", [1, 3, 20, "auto"])
def test_a_monitor_sees_what_it_would_see_epoch_by_epoch(every):
    ours, theirs = model(), model()
    found = []
    for one, heard in ((ours, []), (theirs, [Listens()])):
        monitor = callbacks.GradientMonitor(every)
        one.fit(X, Y, epochs=7, batch_size=16, verbose=0, callbacks=[monitor, *heard])
        found.append(monitor)
    assert_same(ours, theirs)
    if every == "auto":  # when between the first and the last is the clock's
        assert all(monitor.epochs[0] == 0 and monitor.epochs[-1] == 6 for monitor in found)
    else:
        assert found[0].epochs == found[1].epochs == list(range(every - 1, 7, every))
        for one, other in ((found[0].history, found[1].history), (found[0].units, found[1].units)):
            assert list(one.values()) == list(other.values())
            assert bool(one) == bool(found[0].epochs)


def test_a_monitor_is_heard_as_often_as_there_is_time(monkeypatch):
    """By a clock on which a step takes 50 ms and a record some: 100 steps have 75 ms to spare for records."""
    one, looks = model(), iter(range(10**9))
    monkeypatch.setattr("time.perf_counter", lambda: 0.05 * int(one.optimizer.iterations) + 0.001 * next(looks))
    monitor = callbacks.GradientMonitor()
    one.fit(X, Y, epochs=100, batch_size=50, verbose=0, callbacks=[monitor])
    assert 8 < len(monitor.epochs) < 40 and monitor.epochs[0] == 0 and monitor.epochs[-1] == 99
    assert max(np.diff(monitor.epochs)) < 30


# ------------------------------------------------------------------------------------------------------- NumPy's orders


def run_of(n, order, epochs=3):
    one = fastnn.Sequential([layers.Input((1,)), layers.Dense(1)], seed=0)
    one.compile("sgd", "mse")
    one.fit(np.zeros((1, 1)), np.zeros((1, 1)), verbose=0)
    batches = Batches(np.zeros((n, 1), np.float32), np.zeros((n, 1), np.float32), None, 4, np.dtype("float32"))
    return Epochs(one._need_compiled().trainer(), batches, order, epochs, 0)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("generator", [np.random.MT19937, np.random.PCG64, np.random.SFC64])
@pytest.mark.parametrize("n", [1, 2, 3, 31, 32, 33, 1000, 5000])
def test_orders_are_those_of_random_state(n, generator, shared):
    ours, theirs = (np.random.RandomState(generator(5)) for _ in range(2))
    order, expected = np.arange(n), np.arange(n)
    run = run_of(n, order)
    run.shuffle(ours, shared)
    for epoch in range(3):
        theirs.shuffle(expected)
        run.run(run.place, (epoch + 1) * run.batches // 3, True, None, 0.1, 10.0)
        np.testing.assert_array_equal(order, expected)
    assert ours.randint(2**31) == theirs.randint(2**31)


def test_a_shared_generator_is_locked_while_an_order_is_made():
    """Whoever has it keeps the run waiting; a run whose generator is its own does not look at the lock."""
    for shared in (False, True):
        numbers = np.random.RandomState(0)
        run = run_of(10, np.arange(10))
        run.shuffle(numbers, shared)
        worker = threading.Thread(target=run.run, args=(0, run.batches, True, None, 0.1, 10.0))
        with numbers._bit_generator.lock:
            worker.start()
            worker.join(0.2 if shared else None)
            assert run.place == (0 if shared else 9)
        worker.join()
        assert run.place == 9


@pytest.mark.parametrize(
    "order",
    [np.arange(9), np.arange(10, dtype=np.int32), np.arange(20)[::2], np.arange(10).reshape(2, 5).T],
    ids=["short", "int32", "strided", "Fortran"],
)
def test_an_order_is_looked_at(order):
    with pytest.raises(ValueError, match="order: expected 10 contiguous int64 that can be written"):
        run_of(10, order)


def test_a_read_only_order_is_refused():
    order = np.arange(10)
    order.flags.writeable = False
    with pytest.raises(ValueError, match="that can be written"):
        run_of(10, order)


@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_a_run_in_pieces_shuffles_once_an_epoch(seconds):
    ours, theirs = np.random.RandomState(1), np.random.RandomState(1)
    order, expected = np.arange(10), np.arange(10)
    run = run_of(10, order)
    run.shuffle(ours, True)
    while run.place < run.batches:
        if run.place % 3 == 0:
            theirs.shuffle(expected)
        run.run(run.place, run.place + 1, True, None, 0.1, seconds)
        np.testing.assert_array_equal(order, expected)


def test_epochs_go_on_where_they_were_and_nowhere_else():
    run = run_of(10, None)
    assert run.batches == 9
    assert run.run(0, 2, True, None, 0.1, 10.0) == 2 and run.epoch == 0
    with pytest.raises(ValueError, match="batch: expected 2, where the epochs have come to, got 0"):
        run.run(0, 5, True, None, 0.1, 10.0)
    assert run.run(2, 5, True, None, 0.1, 0.0) == 3 and run.epoch == 1  # at least one, however little time there is
    assert run.run(3, 100, True, None, 0.1, 10.0) == 9 and run.epoch == 3


@pytest.mark.parametrize("most", [0, 2, np.inf])
@pytest.mark.parametrize("tol", [0.0, 0.1, -np.inf])
def test_stalling_is_scikit_learns(most, tol):
    """Its rule, in its own words."""
    values = [3.0, 2.0, 1.95, 2.5, 1.5, 1.45, 1.41, 1.4, np.nan, 1.4, 1.39, 0.2, 0.2, 0.2, 0.2]
    stall = Stall(np.inf, tol, 0, most)
    best, count = np.inf, 0
    for value in values:
        count = count + 1 if value > best - tol else 0
        if value < best:
            best = value
        assert stall.note(value) == (count > most)
        assert (stall.best, stall.count) == (best, count)


def test_a_run_ends_where_the_loss_stalls():
    run = run_of(10, None, epochs=20)
    run.watch(Stall(np.inf, 1e-4, 0, 3))
    assert run.run(0, run.batches, True, None, 0.1, 10.0) == 15 and run.over and run.epoch == 5
    assert run.run(15, run.batches, True, None, 0.1, 10.0) == 15
    np.testing.assert_array_equal(run.records[:5, 0], 0)
