"""The kinds of cases: what is done to a random model, and what must hold afterwards."""

import ctypes
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

import fastnn
from fastnn import layers
from fuzzing import actions, parts
from fuzzing.actions import ACTIONS, BY_NAME, LOCKED, Disturber, attempt, deliberate, is_deliberate, judge
from fuzzing.core import CALLS as CORE
from fuzzing.trail import trail
from fuzzing.worlds import World, same, weights_of
from fuzzing.wrong import brief
from fuzzing.wrong import call as call_core

HARMLESS = [action for action in ACTIONS if action.harmless]
CALLS = ["fit", "fit", "fit", "evaluate", "predict", "train_on_batch", "gradients", "forward, backward in training"]
JOIN = 40  # seconds that a thread has


def call(world: World, name: str) -> BaseException | None:
    """A call from outside, with random arguments. Returns the error that it ended in."""
    try:
        trail(name)
        if name == "fit":
            world.model.fit(**world.fit_arguments())
        else:
            BY_NAME[name].call(world)
    except BaseException as error:
        judge(error, name)
        return error
    return None


def check_works(world: World, x: Any, y: Any) -> None:
    """Nobody holds the model any more: it predicts, evaluates and learns, or says clearly why not."""
    model = world.model
    world.agent = parts.nothing
    for thread in world.threads:
        thread.join(JOIN)
    steps: list[tuple[str, Callable[[], Any]]] = [
        ("predict", lambda: model.predict(x, verbose=0)),
        ("evaluate", lambda: model.evaluate(x, y, verbose=0)),
        ("compile", lambda: model.compile(fastnn.optimizers.SGD(1e-3), "mse")),
        ("gradients", lambda: model.gradients(x, np.zeros((len(x), *model.output_shape[1:])))),
        ("fit", lambda: model.fit(x, np.zeros((len(x), *model.output_shape[1:])), verbose=0)),
        ("call", lambda: model(x)),
    ]
    for name, step in steps:
        try:
            step()
        except BaseException as error:
            judge(error, f"{name} afterwards")
            if isinstance(error, RuntimeError) and any(text in str(error) for text in LOCKED):
                actions.report(f"locked: {name} afterwards: {type(error).__name__}", str(error))


# ------------------------------------------------------------------------------------------------------------ the kinds


def chaos(seed: str) -> list[str]:
    """Parts and callbacks that do anything at any time, through several calls."""
    number = random.Random(seed)
    agent = Disturber(seed + "agent", ACTIONS, number.choice((0.02, 0.1, 0.4)))
    world = World(seed, agent)
    x, y = np.array(world.x), np.array(world.y)
    agent.world = world
    for _ in range(number.choice((1, 2, 4))):
        name = number.choice(CALLS)
        agent.log.append(name)
        trail(name)
        agent.left = 12
        call(world, name)
        if number.random() < 0.3:
            attempt_quietly(world, number)
    agent.world = None
    check_works(world, x, y)
    return agent.log


def attempt_quietly(world: World, number: random.Random) -> None:
    """An action between two calls."""
    try:
        attempt(world, number.choice(ACTIONS))
    except BaseException as error:
        if not is_deliberate(error):
            raise


def undisturbed(seed: str) -> list[str]:
    """What only reads, or has to be refused, changes no bit of a fit."""
    number = random.Random(seed)
    chance, chosen = number.choice((0.05, 0.3)), number.sample(HARMLESS, number.choice((1, 3, len(HARMLESS))))
    results = []
    log: list[str] = []
    for disturbed in (False, True):
        agent = Disturber(seed + "agent", chosen, chance if disturbed else 0.0, most=30)
        world = World(seed, agent)
        given = world.fit_arguments()
        agent.world = world
        log = agent.log
        try:
            history = world.model.fit(**given).history
            error = ""
        except BaseException as raised:
            judge(raised, "fit")
            history, error = {}, f"{type(raised).__name__}: {raised}"
        agent.world = None
        fastnn.set_num_threads(0)
        results.append((weights_of(world.model), history.get("loss", []), error))
    (before, loss, error), (after, other, same_error) = results
    if "gone forward with another batch since" in same_error:  # of a layer in Python: one pass at a time
        return log
    if not same(before, after) or repr(loss) != repr(other) or error != same_error:
        what = "weights" if not same(before, after) else f"loss {loss} {other}" if error == same_error else "error"
        actions.report("harmless actions changed a fit", f"{what}; {error} {same_error}; {log}")
    return log


ODD: list[Any] = [
    None, 0, -1, 1, 2, 2**31, 2**63, -(2**63), 2**64, 10**30, 0.5, -0.5, float("nan"), float("inf"), 1e308, True, "",
    "x", b"x", [], [1], [None], [[]], (), (1, 2, 3), {}, {"a": 1}, set(), object(), len, int, np.int8(-1),
    np.zeros(0), np.zeros((0, 3)), np.zeros((3, 0)), np.ones((2, 3, 4)), np.array("x"), np.array([object()]),
    np.array(5.0), np.full((2, 3), np.nan), np.ones((2, 3), complex), np.ones((2, 3), ">f8"),
    np.ones(3, "datetime64[s]"), np.zeros((2, 3), [("a", "f4")]), np.broadcast_to(1.0, (5, 3)),
    np.ma.masked_array([1.0, 2.0], [0, 1]),
    np.ones((4, 3))[::-2], memoryview(b"abc"), range(3), slice(3), Ellipsis, NotImplemented, "adam", "mse", "relu", 1j,
]  # fmt: skip
TARGETS: list[tuple[str, list[str]]] = [
    ("fit", ["x", "y", "batch_size", "epochs", "verbose", "callbacks", "validation_split", "validation_data", "shuffle",
             "class_weight", "sample_weight", "initial_epoch", "steps_per_epoch", "validation_steps",
             "validation_batch_size", "validation_freq"]),
    ("evaluate", ["x", "y", "batch_size", "verbose", "sample_weight", "steps", "callbacks", "return_dict"]),
    ("predict", ["x", "batch_size", "verbose", "steps", "callbacks"]),
    ("train_on_batch", ["x", "y", "sample_weight", "class_weight", "return_dict"]),
    ("test_on_batch", ["x", "y", "sample_weight", "return_dict"]), ("predict_on_batch", ["x"]),
    ("gradients", ["x", "y", "sample_weight", "training"]), ("forward", ["x", "training"]),
    ("__call__", ["x", "training"]), ("set_weights", ["weights"]), ("build", ["input_shape"]),
    ("compute_output_shape", ["input_shape"]), ("add", ["layer"]), ("get_layer", ["name", "index"]),
    ("compile", ["optimizer", "loss", "loss_weights", "metrics", "weighted_metrics"]),
    ("restore_training_state", ["state"]), ("summary", ["print_fn"]),
]  # fmt: skip
MAKES: list[tuple[Any, list[str]]] = [
    (layers.Dense, ["units", "activation", "use_bias", "kernel_initializer", "kernel_regularizer", "dtype", "name"]),
    (layers.Embedding, ["input_dim", "output_dim", "embeddings_initializer", "sparse_update"]),
    (layers.Dropout, ["rate", "noise_shape", "seed"]), (layers.BatchNormalization, ["axis", "momentum", "epsilon"]),
    (layers.LayerNormalization, ["axis", "epsilon"]), (layers.Reshape, ["target_shape"]),
    (layers.PReLU, ["alpha_initializer", "shared_axes"]), (layers.Activation, ["activation"]),
    (layers.Residual, ["layers", "projection"]), (layers.Parallel, ["branches", "merge"]),
    (layers.Normalization, ["mean", "variance", "axis"]), (layers.GaussianNoise, ["stddev", "seed"]),
    (layers.Rescaling, ["scale", "offset"]), (layers.Softmax, ["axis"]),
    (layers.Input, ["shape", "batch_size", "dtype"]),
    (fastnn.optimizers.SGD, ["learning_rate", "momentum", "clipnorm", "gradient_accumulation_steps"]),
    (fastnn.optimizers.Adam, ["learning_rate", "beta_1", "epsilon", "ema_overwrite_frequency", "weight_decay"]),
    (fastnn.Sequential, ["layers", "trainable", "name", "seed", "dtype"]),
]  # fmt: skip


METHODS = ["__array__", "__len__", "__getitem__", "__iter__", "__float__", "__index__", "__bool__", "__eq__",
           "__hash__", "__call__", "__fspath__", "shape", "dtype"]  # fmt: skip


def odd(number: random.Random, agent: parts.Agent) -> Any:
    if number.random() < 0.4:
        gives: Any = {}
        for _ in range(number.choice((1, 1, 2, 5))):
            where = number.choice(METHODS)
            if number.random() < 0.3:
                gives[where] = deliberate(number.choice(actions.DELIBERATE)("on purpose"))
            else:
                gives[where] = number.choice(ODD)
        return parts.Awkward(agent, gives)
    return number.choice(ODD)


def few(epochs: Any) -> Any:
    """The same with no number above 3: a larger one is valid, and would look like a hang."""
    if isinstance(epochs, parts.Awkward):
        gives = epochs.gives
        epochs.gives = {name: few(value) for name, value in gives.items()} if isinstance(gives, dict) else few(gives)
        return epochs
    return min(epochs, 3) if isinstance(epochs, int) else epochs


def refusals(seed: str) -> list[str]:
    """Wrong arguments are refused by clear errors, which leave the model as it was."""
    number = random.Random(seed)
    reading = [a for a in HARMLESS if a.name not in ("fit", "train_on_batch", "compile", "add", "pop", "build")]
    agent = Disturber(seed + "agent", reading, 0.1)
    world = World(seed, agent, in_python=False)
    log = []
    x, y = np.array(world.x), np.array(world.y)
    agent.world = world
    for _ in range(8):
        if number.random() < 0.3:
            make, names = number.choice(MAKES)
            given = {
                name: odd(number, agent) for name in number.sample(names, min(len(names), number.choice((1, 1, 2))))
            }
            log.append(f"{make.__name__}({given})")
            trail(log[-1][:500])
            try:
                made = make(**given)
                if isinstance(made, layers.Layer):
                    fastnn.Sequential([layers.Input((6,)), made]).predict(np.ones((2, 6)), verbose=0)
                elif isinstance(made, fastnn.optimizers.Optimizer):
                    made.apply([np.ones(3, np.float32)], [np.ones(3, np.float32)])
            except BaseException as error:
                judge(error, log[-1])
            continue
        method, names = number.choice(TARGETS)
        args = {"x": world.x, "y": world.y} if {"x", "y"} <= set(names) else {"x": world.x} if "x" in names else {}
        args |= {
            name: odd(number, agent) for name in number.sample(names, min(len(names), number.choice((1, 1, 1, 2))))
        }
        if "verbose" in names:
            args.setdefault("verbose", 0)
        if "epochs" in args:
            args["epochs"] = few(args["epochs"])
        log.append(f"{method}({args})")
        trail(f"{method}({brief(list(args.items()))})")
        before = weights_of(world.model)
        try:
            getattr(world.model, method)(**args)
        except BaseException as error:
            judge(error, log[-1])
            if isinstance(error, (TypeError, ValueError)) and before and not same(before, weights_of(world.model)):
                actions.report(f"{method}: refused, but the weights changed", f"{log[-1]}: {error!r}")
    agent.world = None
    check_works(world, x, y)
    return log


class Interrupter:
    """A profile function that raises at event number `at` of those at which CPython may raise a signal's exception: a
    function begins, or a call of C has returned."""

    def __init__(self, at: int, error: BaseException) -> None:
        self.at, self.seen, self.error = at, 0, error
        self.where = ""

    def __call__(self, frame: Any, event: str, arg: Any) -> None:
        if event not in ("call", "c_return") or not self.counts(frame):
            return
        self.seen += 1
        if self.seen == self.at:
            self.where = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name} {event} {arg}"
            raise self.error

    def counts(self, frame: Any) -> bool:
        """Whether the frame is fastnn's, or of what fastnn calls."""
        while frame is not None:
            if frame.f_code.co_filename.startswith(actions.PACKAGE):
                return True
            frame = frame.f_back
        return False


def interrupted(seed: str) -> list[str]:
    """KeyboardInterrupt or MemoryError at one of the moments of a call: then the model works all the same."""
    number = random.Random(seed)
    name = number.choice(CALLS)
    log = [name]
    error: Any = number.choice((KeyboardInterrupt, MemoryError))
    counter = Interrupter(-1, KeyboardInterrupt())
    world = World(seed)
    sys.setprofile(counter)
    try:
        call(world, name)
    finally:
        sys.setprofile(None)
    for _ in range(3):
        world = World(seed)
        x, y = np.array(world.x), np.array(world.y)
        raiser = Interrupter(number.randrange(max(1, counter.seen)) + 1, deliberate(error("on purpose")))
        sys.setprofile(raiser)
        try:
            call(world, name)
        except BaseException as raised:  # out of the profiler itself
            if not is_deliberate(raised):
                raise
        finally:
            sys.setprofile(None)
        log.append(raiser.where)
        check_works(world, x, y)
    return log


def signalled(seed: str) -> list[str]:
    """A signal whose handler raises, or an exception set from another thread, after a random time."""
    number = random.Random(seed)
    world = World(seed)
    x, y = np.array(world.x), np.array(world.y)
    name = number.choice(CALLS)
    after = number.random() ** 3 * 0.03 + 1e-5
    done = threading.Event()
    raised: list[BaseException] = []

    def ring(*_: Any) -> None:
        if not raised and not done.is_set():
            raised.append(deliberate(KeyboardInterrupt("a signal")))
            raise raised[0]

    class Asynchronous(BaseException):
        deliberate = True

    def throw(ident: int) -> None:
        time.sleep(after)
        if not done.is_set():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Asynchronous))

    thread = None
    try:
        try:
            if number.random() < 0.5:
                signal.signal(signal.SIGALRM, ring)
                signal.setitimer(signal.ITIMER_REAL, after)
            else:
                thread = threading.Thread(target=throw, args=(threading.get_ident(),))
                thread.start()
            call(world, name)
        finally:
            done.set()
            signal.setitimer(signal.ITIMER_REAL, 0)
            if thread is not None:
                thread.join()
            for _ in range(1000):  # what is still to be raised is raised here
                pass
    except BaseException as error:
        if not is_deliberate(error):
            raise
    check_works(world, x, y)
    return [name, f"after {after}"]


THREADED = [a for a in ACTIONS if a.name not in ("fork", "thread", "raise", "drop the model", "seed")]


def crowd(seed: str) -> list[str]:
    """Several threads at once, each with its own actions on one model and its arrays."""
    number = random.Random(seed)
    world = World(seed, in_python=number.random() < 0.3)
    x, y = np.array(world.x), np.array(world.y)
    until = time.monotonic() + number.choice((0.2, 0.5, 1.0))
    trail("threads")
    few = number.sample(THREADED, number.choice((2, 3, 5))) if number.random() < 0.7 else THREADED
    log = [", ".join(a.name for a in few) if few is not THREADED else "all actions"]

    def work(index: int) -> None:
        own = random.Random(f"{seed}:{index}")
        while time.monotonic() < until:
            action = BY_NAME["fit"] if index == 0 and own.random() < 0.7 else own.choice(few)
            attempt(world, action)

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(number.choice((2, 3, 8)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN)
        if thread.is_alive():
            actions.report("a thread hangs", stacks())
            return log
    check_works(world, x, y)
    return log


def stacks() -> str:
    return "\n\n".join("".join(traceback.format_stack(frame)[-8:]) for frame in sys._current_frames().values())


def of_the_core(seed: str) -> list[str]:
    """Every def of the compiled core, with arguments that are wrong in one or two places: no call corrupts memory."""
    number = random.Random(seed)
    return [call_core(number.choice(list(CORE)), number) for _ in range(12)]


KINDS: dict[str, tuple[Callable[[str], list[str]], float]] = {
    "core": (of_the_core, 3),
    "chaos": (chaos, 4),
    "undisturbed": (undisturbed, 3),
    "refusals": (refusals, 2),
    "interrupted": (interrupted, 2),
    "signalled": (signalled, 1),
    "crowd": (crowd, 2),
}


def run(seed: str, only: list[str] | None = None) -> tuple[str, list[str]]:
    """One case: its kind, and what was done."""
    number = random.Random(seed + "kind")
    names = only or list(KINDS)
    kind = number.choices(names, [KINDS[name][1] for name in names])[0]
    np.random.seed(number.randrange(2**32))
    fastnn.utils.set_random_seed(number.randrange(2**31))
    return kind, KINDS[kind][0](seed)
