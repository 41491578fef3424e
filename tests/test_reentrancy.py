"""A model called from within its own fit, evaluate or predict works on state of its own, or says why not."""

import copy
import functools
import gc
import os
import pickle
import re
import signal
import sys
import threading

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, callbacks, layers, losses, metrics, optimizers
from fastnn._core.exclusive import Exclusive, LayoutLock
from fastnn.layers import Layer

HOOKS = [
    "on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_test_begin",
    "on_test_batch_begin", "on_test_batch_end", "on_test_end", "on_epoch_end", "on_train_end",
]  # fmt: skip


def data(n=96, width=6):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, width)).astype("float32")
    return x, np.tanh(x[:, :1] - x[:, 1:2])


def network(**options):
    model = Sequential([layers.Input((6,)), layers.Dense(8, "relu"), layers.Dropout(0.2), layers.Dense(1)], seed=0)
    model.compile(**{"optimizer": optimizers.Adam(0.01), "loss": "mse", "metrics": ["mae"], **options})
    return model


def state(model):
    return [*model.get_weights(), *(np.asarray(v) for v in model.optimizer.variables)]


def same(ours, theirs):
    return len(ours) == len(theirs) and all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def calls(model):
    """What is allowed within a fit, and leaves no trace in it."""
    x, y = data(20)
    return {
        "evaluate": lambda: model.evaluate(x, y, batch_size=7, verbose=0),
        "evaluate a stream": lambda: model.evaluate(iter([(x, y), (x[:3], y[:3])]), verbose=0),
        "test_on_batch": lambda: model.test_on_batch(x, y),
        "predict": lambda: model.predict(x, verbose=0),
        "call": lambda: model(x),
        "a layer": lambda: model.layers[0](x),
        "forward": lambda: model.forward(x)[0],
        "copy": lambda: copy.deepcopy(model).predict(x, verbose=0),
        "pickle": lambda: pickle.loads(pickle.dumps(model)).predict(x, verbose=0),
        "threads": lambda: fastnn.set_num_threads(1 + fastnn.get_num_threads() % 3),
        "collect": lambda: gc.collect(1),
    }


def refused(model):
    """What would change the model or the fit under its feet."""
    x, y = data(20)
    return {
        "fit": lambda: model.fit(x, y, verbose=0),
        "train_on_batch": lambda: model.train_on_batch(x, y),
        "gradients": lambda: model.gradients(x, y),
        "compile": lambda: model.compile("sgd", "mse"),
        "optimizer": lambda: setattr(model, "optimizer", optimizers.SGD()),
        "add": lambda: model.add(layers.Dense(2)),
        "pop": model.pop,
        "another model": lambda: Sequential([layers.Input((6,)), model.layers[0]]),
    }


def disturbing(hook, disturb):
    """A callback that disturbs in one of its hooks."""
    return type("Disturbing", (callbacks.Callback,), {hook: lambda self, *args, **kwargs: disturb()})()


def fitted(model, **options):
    x, y = data()
    history = model.fit(
        x, y, batch_size=16, epochs=2, validation_data=data(40), validation_batch_size=16, verbose=0, **options
    )
    return history.history, state(model)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name", calls(None))
def test_a_call_within_a_callback_leaves_no_trace(hook, name, with_threads):
    expected = fitted(network())
    model = network()
    made = []
    history, after = fitted(model, callbacks=[disturbing(hook, lambda: made.append(calls(model)[name]()))])
    assert made
    assert history == expected[0]
    assert same(after, expected[1])


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name", refused(network()))
def test_a_change_within_a_callback_is_refused_and_changes_nothing(hook, name):
    expected = fitted(network())
    model = network()
    errors = []

    def attempt():
        with pytest.raises(RuntimeError, match=r"the (fit|evaluate) of .* is still running") as caught:
            refused(model)[name]()
        errors.append(caught)

    history, after = fitted(model, callbacks=[disturbing(hook, attempt)])
    assert errors
    assert history == expected[0]
    assert same(after, expected[1])


@pytest.mark.parametrize("name", [*calls(None), *refused(network())])
@pytest.mark.parametrize("hook", ["on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end"])
def test_a_call_within_evaluate(name, hook, with_threads):
    x, y = data()
    expected = network().evaluate(x, y, batch_size=16, verbose=0)
    model = network()
    made = []

    def disturb():
        if name in calls(model):
            made.append(calls(model)[name]())
        else:
            with pytest.raises(RuntimeError, match=r"the evaluate of .* is still running"):
                refused(model)[name]()
            made.append(name)

    assert model.evaluate(x, y, batch_size=16, verbose=0, callbacks=[disturbing(hook, disturb)]) == expected
    assert made
    model.fit(x, y, verbose=0)


def test_the_result_of_a_nested_evaluation_is_right():
    x, y = data(20)
    seen = []

    class Compare(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            predicted = self.model.predict(x, verbose=0)
            seen.append((self.model.evaluate(x, y, batch_size=20, verbose=0), predicted))

    fitted(network(), callbacks=[Compare()])
    for (loss, error), predicted in seen:
        np.testing.assert_allclose(loss, np.mean((predicted - y) ** 2), rtol=1e-5)
        np.testing.assert_allclose(error, np.mean(np.abs(predicted - y)), rtol=1e-5)


# -------------------------------------------------------------------------------------------- parts written in Python


class Half(Layer):
    """A layer that goes by its last forward in backward."""

    disturb = None

    def forward(self, x, training):
        self.x = x
        if self.disturb is not None and training:
            disturb, self.disturb = self.disturb, None
            disturb()
            self.disturb = disturb
        return x * x / 2

    def backward(self, dy):
        return dy * self.x


class Disturbed(losses.Loss):
    disturb = None

    def call(self, y_true, y_pred):
        if self.disturb is not None:
            self.disturb()
        return np.mean((y_true - y_pred) ** 2, axis=-1)

    def gradient_of(self, y_true, y_pred):
        return 2 * (y_pred - y_true) / y_true.shape[-1]


class Counted(metrics.Metric):
    disturb = None

    def __init__(self):
        super().__init__(name="counted")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        if self.disturb is not None:
            disturb, self.disturb = self.disturb, None
            disturb()
            self.disturb = disturb
        self.count[...] += len(y_true)

    def result(self):
        return float(self.count)


class Slow(optimizers.SGD):
    disturb = None

    def update_step(self, gradient, variable, learning_rate):
        if self.disturb is not None:
            self.disturb()
        variable -= learning_rate * gradient


class Rate(optimizers.schedules.LearningRateSchedule):
    disturb = None

    def __call__(self, step):
        if self.disturb is not None:
            self.disturb()
        return 0.01

    def get_config(self):
        return {}


def with_part(part):
    """A model with a part that can disturb, and the part."""
    metric, loss, optimizer, layer = Counted(), "mse", optimizers.SGD(0.01), layers.Dense(6)
    made = {"metric": metric}.get(part)
    if part == "optimizer":
        made = optimizer = Slow(0.01)
    elif part == "schedule":
        made = Rate()
        optimizer = optimizers.SGD(made)
    elif part == "layer":
        made = layer = Half()
    model = Sequential([layers.Input((6,)), layer, layers.Dense(1)], seed=0)
    model.compile(optimizer, loss, metrics=[metric])
    return model, made


@pytest.mark.parametrize("name", [*sorted(calls(None).keys() - {"copy", "pickle"}), *refused(network())])
@pytest.mark.parametrize("part", ["metric", "optimizer", "schedule", "layer"])
def test_a_call_within_a_part_in_python_is_harmless_or_refused(part, name, with_threads):
    expected, _ = with_part(part)
    fitted(expected)
    model, made = with_part(part)
    outcomes = []

    def disturb():
        try:
            (calls(model) | refused(model))[name]()
            outcomes.append("done")
        except RuntimeError as error:
            outcomes.append(str(error))

    made.disturb = disturb
    if part == "layer" and name in {
        "evaluate",
        "evaluate a stream",
        "test_on_batch",
        "predict",
        "call",
        "a layer",
        "forward",
    }:
        before = model.get_weights()
        with pytest.raises(RuntimeError, match="has gone forward with another batch"):
            fitted(model)
        assert same(model.get_weights(), before)
        made.disturb = None
        fitted(model)
        return
    fitted(model)
    assert outcomes
    if name in refused(model):
        assert all("is still running" in outcome for outcome in outcomes)
    assert same(model.get_weights(), expected.get_weights())


def test_a_generator_may_evaluate_and_predict_but_not_fit():
    model = network()
    x, y = data(16)
    errors = []

    def batches():
        for _ in range(3):
            model.evaluate(x, y, verbose=0)
            model.predict(x, verbose=0)
            with pytest.raises(RuntimeError, match="is still running") as caught:
                model.fit(x, y, verbose=0)
            errors.append(caught)
            yield x, y

    model.fit(batches(), verbose=0)
    model.evaluate(batches(), verbose=0)
    assert len(errors) == 6


def test_a_tape_does_not_write_into_a_step():
    model = network()
    x, _ = data(16)
    y, tape = model.forward(x)
    errors = []

    def go_back():
        with pytest.raises(RuntimeError, match="training step") as caught:
            tape.backward(np.ones_like(y))
        errors.append(caught)

    metric = Counted()
    metric.disturb = go_back
    model.compile("sgd", "mse", metrics=[metric])
    y, tape = model.forward(x)
    model.fit(x, data(16)[1], verbose=0)
    assert errors
    tape.backward(np.ones_like(y))


def test_tapes_of_a_layer_in_python_go_back_in_the_order_that_it_can():
    model, _ = with_part("layer")
    x = data(4)[0]
    y, first = model.forward(x)
    _, second = model.forward(2 * x)
    with pytest.raises(RuntimeError, match="has gone forward with another batch"):
        first.backward(np.ones_like(y))
    second.backward(np.ones_like(y))


def test_a_tape_whose_gradient_calls_it_again():
    model = network()
    y, tape = model.forward(data(2)[0])
    inner = []

    class Number:
        def __float__(self):
            if not inner:
                inner.append(None)
                inner[0] = tape.backward(np.ones_like(y))
            return 1.0

    with pytest.raises(RuntimeError, match="gone back already"):
        tape.backward(np.array([[Number()], [Number()]], dtype=object))
    assert inner[0].shape == (2, 6)


# ------------------------------------------------------------------------------------------------- arrays that change


def outcome(call, refusal):
    """Call, and let a ValueError pass whose message matches `refusal`."""
    try:
        call()
    except ValueError as error:
        if not re.search(refusal, str(error)):
            raise


def table(dtype="float32"):
    model = Sequential([layers.Input((3,)), layers.Embedding(10, 4), layers.Flatten(), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    return model, np.random.default_rng(0).integers(0, 10, size=(64, 3)).astype(dtype)


def test_a_tape_goes_by_the_samples_that_it_was_given():
    model, x = table()
    y, tape = model.forward(x)
    tape.backward(np.ones_like(y))
    expected = model.grads.copy()
    model.zero_grad()
    y, tape = model.forward(x)
    x[...] = 2e9
    tape.backward(np.ones_like(y))
    np.testing.assert_array_equal(model.grads, expected)


@pytest.mark.parametrize("wrong", [2e9, -1.0, np.nan, np.inf])
def test_samples_that_another_thread_changes_do_not_reach_outside(wrong):
    model, x = table()
    good, y, done = x.copy(), np.zeros((64, 1), np.float32), threading.Event()

    def change():
        while not done.is_set():
            x[...] = wrong
            x[...] = good

    writer = threading.Thread(target=change)
    writer.start()
    try:
        for _ in range(60):
            for call in (
                lambda: model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0),
                lambda: model.train_on_batch(x, y),
                lambda: model.predict(x, verbose=0),
                lambda: model.forward(x)[1].backward(y),
            ):
                outcome(call, "input_dim|x:")
    finally:
        done.set()
        writer.join()
    x[...] = good
    assert np.isfinite(model.predict(x, verbose=0)).all()


def test_labels_that_another_thread_changes_do_not_reach_outside():
    model = Sequential([layers.Input((4,)), layers.Dense(5, "softmax")], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y, done = np.ones((64, 4), np.float32), np.arange(64) % 5, threading.Event()

    def change():
        while not done.is_set():
            y[...] = 10**9
            y[...] = 1

    writer = threading.Thread(target=change)
    writer.start()
    try:
        for _ in range(60):
            for call in (
                lambda: model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0),
                lambda: model.train_on_batch(x, y),
            ):
                outcome(call, "y: expected|y:")
    finally:
        done.set()
        writer.join()
    assert np.isfinite(model.predict(x, verbose=0)).all()


def refuses_to_go(*arrays):
    """NumPy may not take the memory of an array away, not even where it is told not to look who refers to it."""
    for array in arrays:
        owner = array if array.base is None else array.base
        with pytest.raises(ValueError, match="resize"):
            owner.resize((1,) * owner.ndim, refcheck=False)


def test_arrays_are_not_taken_away_while_they_are_learned_from():
    model = network(loss="mse")
    x, y = (np.array(a) for a in data())
    y, weights = y.astype(np.float32), np.ones(len(x))

    class Resize(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            batches = model._plan.trainers[0].batches
            refuses_to_go(x, batches.x, batches.y, batches.weights)

    model.fit(x, y, sample_weight=weights, batch_size=16, shuffle=False, verbose=0, callbacks=[Resize()])


@pytest.mark.parametrize("name", ["predict", "call", "forward"])
def test_an_array_is_not_taken_away_by_a_layer_that_is_given_it(name):
    x = np.ones((300, 6), np.float32)

    class Resize(Layer):
        def forward(self, values, training=False):
            outcome(lambda: x.resize((1, 6), refcheck=False), "resize")
            return values * 2

    model = Sequential([layers.Input((6,)), Resize(), layers.Dense(3, use_bias=False, kernel_initializer="ones")])
    call = {
        "predict": lambda: model.predict(x, verbose=0),
        "call": lambda: model(x),
        "forward": lambda: model.forward(x)[0],
    }
    np.testing.assert_array_equal(call[name](), np.full((300, 3), 12))


def test_variables_are_not_taken_away_from_an_optimizer():
    w, g = np.ones(1000, np.float32), np.ones(1000, np.float32)
    optimizer = optimizers.Adam(0.5)
    optimizer.build([w])
    refuses_to_go(w)
    optimizer.apply([g], [w])
    refuses_to_go(w, g, *optimizer.variables[2:])
    w.shape = (10, 100)
    with pytest.raises(ValueError, match="variables"):
        optimizer.apply([np.ones(5, np.float32)], [w[0, :5]])
    np.testing.assert_allclose(w, 0.5, rtol=1e-3)


def test_the_arenas_of_a_model_are_not_taken_away():
    model = network()
    model.build((None, 6))
    refuses_to_go(model.layers[0].kernel, model._gradients)


# ------------------------------------------------------------------------------------------------------------ threads


def test_threads_that_call_compile_freeze_and_take_layers():
    """Whatever meets, every call is right or a RuntimeError, and the model is whole afterwards."""
    model = network()
    x, y = data(8)
    others, failures, together = [], [], threading.Barrier(4)

    def work(seed):
        rng = np.random.default_rng(seed)
        together.wait()
        for _ in range(80):
            try:
                kind = rng.integers(5)
                if kind == 0:
                    assert model(x).shape == (8, 1)
                elif kind == 1:
                    model.compile("adam", "mse")
                elif kind == 2:
                    model.trainable = bool(rng.integers(2))
                elif kind == 3:
                    others.append(Sequential([layers.Input((6,)), model.layers[0], layers.Dense(2)]))
                    assert others[-1](x).shape == (8, 2)
                else:
                    model.fit(x, y, verbose=0)
            except RuntimeError:
                pass
            except ValueError as error:
                if "other weights" not in str(error):  # flags that changed without compile
                    failures.append(error)
            except BaseException as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failures
    model.trainable = True
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    weights = model.get_weights()
    hidden = np.maximum(x @ weights[0] + weights[1], 0)
    np.testing.assert_allclose(model(x), hidden @ weights[2] + weights[3], rtol=1e-4, atol=1e-5)


def in_thread(call):
    """What a call gives in a thread of its own."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("kind", ["changing", "laying_out"])
def test_a_claim_that_dies_in_another_thread_gives_back_the_lock_of_layouts(kind):
    """The traceback of an exception keeps a claim alive, and may go to another thread with it."""
    exclusive = Exclusive("model")
    claims = [getattr(exclusive, kind)(*(["compile"] if kind == "changing" else []))]
    claims[0].__enter__()
    in_thread(claims.clear)
    assert not exclusive.held

    def build():
        model = Sequential([layers.Input((2,)), layers.Dense(1)])
        model.compile("sgd", "mse")
        return model.built

    assert in_thread(build) and build()


def test_a_lock_is_not_given_back_more_often_than_it_was_taken():
    lock = LayoutLock()
    with lock, lock:
        pass
    with pytest.raises(RuntimeError, match="nobody holds"):
        lock.release()
    assert in_thread(lock.acquire) is None
    assert lock.release() is None


class InTwoParts(Layer):
    """Lets a copy begin before its weights are complete."""

    copying = None

    def build(self, input_shape):
        self.first = self.add_weight((2,), "ones", name="first")
        InTwoParts.copying.set()
        InTwoParts.copied.wait(0.2)
        self.second = self.add_weight((2,), "ones", name="second")
        super().build(input_shape)

    def forward(self, x, training=False):
        return x * self.first * self.second


def test_a_copy_made_while_another_thread_builds_is_whole():
    InTwoParts.copying, InTwoParts.copied = threading.Event(), threading.Event()
    model, copies = Sequential([InTwoParts()]), []

    def make_copy():
        InTwoParts.copying.wait()
        copies.append(copy.deepcopy(model))
        InTwoParts.copied.set()

    thread = threading.Thread(target=make_copy)
    thread.start()
    model.build((None, 2))
    thread.join()
    assert copies[0].layers[0].built == (copies[0].count_params() == 4)
    np.testing.assert_array_equal(copies[0](np.ones((1, 2))), np.ones((1, 2)))


# ---------------------------------------------------------------------------------------------- exceptions and forks


class Stop(BaseException):
    pass


def interrupted(call, at):
    """Run a call and raise Stop before line number `at` of it that is Python code of fastnn; whether it came so far."""
    lines, package = [0], os.path.dirname(fastnn.__file__)

    def trace(frame, event, argument):
        if not frame.f_code.co_filename.startswith(package):
            return None
        if event in ("line", "opcode"):
            lines[0] += 1
            if lines[0] == at:
                sys.settrace(None)
                raise Stop
        frame.f_trace_opcodes = True
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except Stop:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("name", ["fit", "evaluate", "train_on_batch", "gradients", "compile", "add", "build"])
def test_an_exception_at_any_bytecode_leaves_a_model_that_works(name):
    x, y = data(16)
    rng = np.random.default_rng(len(name))
    act = {
        "fit": lambda model: model.fit(x, y, verbose=0),
        "evaluate": lambda model: model.evaluate(x, y, verbose=0),
        "train_on_batch": lambda model: model.train_on_batch(x, y),
        "gradients": lambda model: model.gradients(x, y),
        "compile": lambda model: model.compile("adam", "mse"),
        "add": lambda model: model.add(layers.Dense(1)),
        "build": lambda model: Sequential([model.layers[0]]).build((None, 6)),
    }[name]
    at, reached = 1, True
    while reached:
        model = network()
        if name == "train_on_batch":
            model.train_on_batch(x, y)  # the second goes another way
        reached = interrupted(functools.partial(act, model), at)
        model(x)
        model.compile("sgd", "mse")
        model.fit(x, y, verbose=0)
        assert np.isfinite(model.evaluate(x, y, verbose=0))
        at += int(rng.integers(1, max(2, at // 3)))  # the first bytecodes one by one, then ever fewer


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")


def in_child(work):
    """Run in a forked child; what it printed is lost, its exit code says how it went."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(60)
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


@needs_fork
@pytest.mark.parametrize("thread", ["that of the fit", "another"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_forked_during_fit_predicts_copies_and_fits(thread):
    model, codes = network(), []
    x, y = data(16)

    def child():
        assert model.predict(x, verbose=0).shape == (16, 1)
        twin = copy.deepcopy(model)
        twin.fit(x, y, verbose=0)
        Sequential([layers.Input((6,)), layers.Dense(3)])(x)
        if thread == "another":  # its fit is not in the child
            model.fit(x, y, verbose=0)

    def fork():
        if thread == "another":
            worker = threading.Thread(target=lambda: codes.append(in_child(child)))
            worker.start()
            worker.join()
        else:
            codes.append(in_child(child))

    expected = fitted(network())
    history, after = fitted(model, callbacks=[disturbing("on_epoch_end", fork)])
    assert codes == [0, 0]
    assert history == expected[0]
    assert same(after, expected[1])


@needs_fork
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_that_goes_on_with_prefetched_batches_is_told():
    model = network()
    x, y = data(16)
    codes = []

    class Fork(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0 and not codes:
                codes.append(os.fork())

    def child_fails():
        try:
            model.fit(fastnn.utils.prefetch(iter([(x, y)] * 8), 1), verbose=0, callbacks=[Fork()])
        except RuntimeError as error:
            return "prefetch" in str(error)
        return False

    failed = child_fails()
    if codes == [0]:
        os._exit(0 if failed else 1)
    assert not failed
    assert os.waitstatus_to_exitcode(os.waitpid(codes[0], 0)[1]) == 0


def test_a_finalizer_that_calls_the_model():
    model = network()
    x, y = data(16)
    seen = []

    class Caller:
        def __init__(self):
            self.ring = self

        def __del__(self):
            seen.append(model(x).shape)

    class Litter(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            Caller()
            gc.collect()

    model.fit(x, y, batch_size=4, verbose=0, callbacks=[Litter()])
    assert seen == [(16, 1)] * 4
