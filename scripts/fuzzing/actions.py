"""What a disturber does to a model, from inside its fit or from another thread: one row each.

A harmless action leaves the bits of a running fit alone: it only reads, or has to be refused.
"""

import copy
import gc
import io
import os
import pickle
import random
import signal
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastnn
from fastnn import layers, optimizers
from fuzzing import parts
from fuzzing.trail import trail
from fuzzing.worlds import SIZES, World

PACKAGE = str(Path(fastnn.__file__).parent)
INTERNAL = (
    AssertionError, AttributeError, NameError, SystemError, KeyError, IndexError, ZeroDivisionError, ReferenceError,
    BufferError,
)  # fmt: skip
DELIBERATE = (
    ValueError, TypeError, KeyboardInterrupt, MemoryError, SystemExit, RecursionError, StopIteration, GeneratorExit,
    OSError, ZeroDivisionError, AttributeError, AssertionError,
)  # fmt: skip
LOCKED = ("is still running", "a step of this model is running")
IN_CHILD = 20  # seconds that a forked child has


def report(what: str, detail: str) -> None:
    """Say what failed. fuzz_api.py puts its own in the place of this."""
    print(what, detail)


def deliberate(error: BaseException) -> BaseException:
    """Mark an error as one that a part or an action raises on purpose."""
    error.deliberate = True  # type: ignore[attr-defined]
    return error


def is_deliberate(error: BaseException | None) -> bool:
    """Whether an error is, or comes from, one that was raised on purpose."""
    seen = 0
    while error is not None and seen < 20:
        if getattr(error, "deliberate", False):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def judge(error: BaseException, where: str) -> None:
    """Report an error that is no clear refusal: one of Python's own, from inside fastnn."""
    if is_deliberate(error) or isinstance(error, fastnn.errors.FastNNError):
        return
    frames = traceback.extract_tb(error.__traceback__)
    inside = bool(frames) and frames[-1].filename.startswith((PACKAGE, "fastnn/_core"))
    none = isinstance(error, TypeError) and "'NoneType' object" in str(error)
    if isinstance(error, SystemError) or (inside and (none or isinstance(error, INTERNAL))):
        at = f"{frames[-1].filename.removeprefix(PACKAGE)}:{frames[-1].name}"
        report(f"{type(error).__name__} at {at}", f"in {where}\n" + "".join(traceback.format_exception(error)[-14:]))


# ---------------------------------------------------------------------------------------------------- single actions


def write(array: Any, number: random.Random) -> None:
    """Garbage into an array: indices and labels become huge, numbers infinite."""
    if array is None or not array.flags.writeable or array.size == 0:
        return
    value = number.choice((0, -1, 1, 2**31 - 1, -(2**31), 2e9, 1e30, 255))
    if array.dtype.kind == "f":
        value = number.choice((value, np.nan, np.inf, -np.inf))
    else:
        value = int(min(max(value, np.iinfo(array.dtype).min), np.iinfo(array.dtype).max))
    if number.random() < 0.5:
        array[...] = value
    else:
        array.reshape(-1)[number.randrange(array.size)] = value


def reshape_in_place(world: World) -> None:
    for array in world.arrays():
        if array.flags.c_contiguous:
            before = array.shape
            array.shape = (-1,)
            world.agent("reshaped")
            array.shape = before


def through_file(world: World, how: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        if how == "model":
            world.model.save(path)
            fastnn.load(path, {"Scale": parts.Scale}, compile=False).predict(world.x, verbose=0)
        else:
            world.model.save_weights(path)
            world.model.load_weights(path)


def backward(world: World, training: bool) -> None:
    """Forward, then writes to what forward was given, then backward: once, and once too often."""
    x = np.array(world.x)
    y, tape = world.model.forward(x, training=training)
    world.agent("between forward and backward")
    write(x, world.number)
    tape.backward(np.ones_like(y))
    try:
        tape.backward(np.ones_like(y))
    except RuntimeError:
        return
    raise AssertionError("a tape was gone back twice")


def move_layer(world: World) -> None:
    """Another model takes over one of the layers, with its weights."""
    layer = world.number.choice(world.model.layers)
    other = fastnn.Sequential([layer], seed=0)
    if layer.built if hasattr(layer, "built") else False:
        shape = getattr(layer, "_input_shape", None)
        other.build((None, *shape) if shape is not None else None)
        other.predict(np.zeros((2, *(shape or ()))), verbose=0)


def in_child(world: World) -> None:
    """In a forked process, the model predicts, is copied, and its copy learns.

    Where an initializer forks, the child is within the model's build too, which refuses these calls.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 3
        try:
            x = np.array(world.x)
            world.model.predict(x, verbose=0)
            twin = copy.deepcopy(world.model)
            twin.compile("sgd", "mse")
            twin.train_on_batch(x, np.zeros((len(x), *twin.output_shape[1:])))
            code = 0
        except BaseException as error:
            within_build = isinstance(error, RuntimeError) and "it is being built" in str(error)
            code = 3 if isinstance(error, (RuntimeError, *INTERNAL)) and not within_build else 0
            if code:
                os.write(writer, traceback.format_exc().encode()[-3000:])
        finally:
            os._exit(code)
    os.close(writer)
    try:
        wait_for(child, reader)
    finally:
        os.close(reader)


def wait_for(child: int, reader: int) -> None:
    until = time.monotonic() + IN_CHILD
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if os.WIFSIGNALED(status):
                report(f"a forked child died of signal {os.WTERMSIG(status)}", "")
            elif os.WEXITSTATUS(status) == 3 and threading.active_count() == 1:
                report("a forked child could not use its model", os.read(reader, 4000).decode())
            return
        time.sleep(0.005)
    os.kill(child, signal.SIGABRT)
    os.waitpid(child, 0)
    report(f"a forked child was still busy after {IN_CHILD} seconds", "")


class Ghost:
    """It calls the agent when it is collected."""

    def __init__(self, agent: parts.Agent) -> None:
        self.agent, self.cycle = agent, self

    def __del__(self) -> None:
        self.agent("__del__")


def haunt(world: World) -> None:
    Ghost(world.agent)
    ghost = Ghost(world.agent)
    weakref.finalize(ghost, world.agent, "weakref.finalize")


def restore(world: World) -> None:
    state = world.model.training_state()
    world.agent("between training_state and restore_training_state")
    world.model.restore_training_state(state)


def rebuild_stack(world: World) -> None:
    """Take a layer off, and put another on."""
    world.model.pop()
    world.model.add(layers.Dense(world.outputs))
    world.model.compile("sgd", "mse")


def flip_trainable(world: World) -> None:
    layer = world.number.choice([world.model, *world.model.layers])
    layer.trainable = not layer.trainable


def flip_and_compile(world: World) -> None:
    flip_trainable(world)
    world.model.compile(**world.choices())


def set_optimizer(world: World) -> None:
    world.model.optimizer = world.number.choice([optimizers.SGD(), world.model.optimizer, world.optimizer()])


def apply_elsewhere(world: World) -> None:
    """The model's optimizer goes to work on other variables."""
    other = [np.ones((2, 3), world.dtype)]
    world.model.optimizer.build(other)
    world.model.optimizer.apply([np.ones((2, 3), world.dtype)])


def odd_rate(world: World) -> None:
    world.model.optimizer.learning_rate = world.number.choice((0.0, 1e-3, 1e30, 1e-40))


def drop_model(world: World) -> None:
    """The last reference that the world holds goes; whoever runs has one still."""
    model, world.model = world.model, None  # type: ignore[assignment]
    gone = weakref.ref(model)
    del model
    gc.collect()
    world.model = gone() or world.make_model()


def stop(world: World) -> None:
    world.model.stop_training = True


def start_thread(world: World) -> None:
    """Another thread does something, sooner or later."""
    name = world.number.choice([a.name for a in ACTIONS if a.name not in ("fork", "thread", "raise")])
    thread = threading.Thread(target=attempt, args=(world, BY_NAME[name]), daemon=True)
    thread.start()
    world.threads.append(thread)
    if world.number.random() < 0.5:
        thread.join(IN_CHILD)


def raise_something(world: World) -> None:
    raise deliberate(world.number.choice(DELIBERATE)("on purpose"))


def predict_stream(world: World) -> None:
    world.model.predict(parts.generator(world.agent, [world.x], 7, 3), verbose=0)


def evaluate_with_callbacks(world: World) -> None:
    names = ["on_test_batch_end", "on_test_begin"]
    world.model.evaluate(world.x, world.y, verbose=0, callbacks=[parts.callback(world.agent, names)])


def set_random_weights(world: World) -> None:
    world.model.set_weights([w + world.number.choice((0, 1e-3, np.nan)) for w in world.model.get_weights()])


# ------------------------------------------------------------------------------------------------------------ the table


class Action(NamedTuple):
    name: str
    call: Callable[[World], Any]
    harmless: bool = False
    weight: float = 1


ACTIONS = [
    Action("evaluate", lambda w: w.model.evaluate(w.x, w.y, verbose=0), True, 2),
    Action("evaluate with callbacks", evaluate_with_callbacks, True, 2),
    Action("predict", lambda w: w.model.predict(w.x, batch_size=w.number.choice((1, 7, None)), verbose=0), True, 2),
    Action("predict a stream", predict_stream, True),
    Action("predict_on_batch", lambda w: w.model.predict_on_batch(w.x), True),
    Action("test_on_batch", lambda w: w.model.test_on_batch(w.x, w.y), True),
    Action("call", lambda w: w.model(w.x), True),
    Action("fit", lambda w: w.model.fit(w.x, w.y, verbose=0), True),
    Action("train_on_batch", lambda w: w.model.train_on_batch(w.x, w.y), True),
    Action("gradients", lambda w: w.model.gradients(w.x, w.y), True),
    Action("compile", lambda w: w.model.compile(**w.choices()), True),
    Action("add", lambda w: w.model.add(w.hidden()), True),
    Action("pop", lambda w: w.model.pop(), True),
    Action("build", lambda w: w.model.build((None, w.width)), True),
    Action("summary", lambda w: w.model.summary(print_fn=lambda text: w.agent("summary")), True),
    Action("get_config", lambda w: fastnn.Sequential.from_config(w.model.get_config(), {"Scale": parts.Scale}), True),
    Action("weights", lambda w: (w.model.get_weights(), w.model.count_params(), w.model.layers), True),
    Action("pickle", lambda w: pickle.loads(pickle.dumps(w.model)).predict(w.x, verbose=0), True),
    Action("deepcopy", lambda w: copy.deepcopy(w.model).predict(w.x, verbose=0), True),
    Action("save and load", lambda w: through_file(w, "model"), True),
    Action("training_state", lambda w: w.model.training_state(), True),
    Action("threads", lambda w: fastnn.set_num_threads(w.number.choice((0, 1, 2, 3, 7, 64))), True, 2),
    Action("collect", lambda w: gc.collect(), True),
    Action("ghost", haunt, True),
    Action("fork", in_child, True, 0.3),
    Action("to_c", lambda w: w.model.to_c(), True, 0.3),
    Action("reset_metrics", lambda w: w.model.reset_metrics()),
    Action("call in training", lambda w: w.model(w.x, training=True)),
    Action("a layer", lambda w: w.number.choice(w.model.layers)(np.ones((2, w.number.choice(SIZES))), training=True)),
    Action("forward, backward", lambda w: backward(w, False)),
    Action("forward, backward in training", lambda w: backward(w, True)),
    Action("save and load weights", lambda w: through_file(w, "weights")),
    Action("set_weights", set_random_weights),
    Action("write to x", lambda w: write(w.x, w.number), weight=2),
    Action("write to y", lambda w: write(w.y, w.number), weight=2),
    Action("write to the weights of samples", lambda w: write(w.w, w.number)),
    Action("write to the model's weights", lambda w: write(w.number.choice(w.model.weights), w.number)),
    Action("write to the gradients", lambda w: write(w.model.grads[0], w.number)),
    Action("zero_grad", lambda w: w.model.zero_grad()),
    Action("reshape x", reshape_in_place),
    Action("restore_training_state", restore),
    Action("pop and add", rebuild_stack),
    Action("trainable", flip_trainable),
    Action("trainable and compile", flip_and_compile),
    Action("optimizer =", set_optimizer),
    Action("optimizer.apply", apply_elsewhere),
    Action("learning_rate", odd_rate),
    Action("move a layer", move_layer, weight=2),
    Action("drop the model", drop_model),
    Action("stop_training", stop),
    Action("seed", lambda w: fastnn.utils.set_random_seed(1)),
    Action("repr", lambda w: (repr(w.model), repr(w.model.optimizer), repr(w.model.history))),
    Action("thread", start_thread, weight=0.5),
    Action("raise", raise_something, weight=2),
]
BY_NAME = {action.name: action for action in ACTIONS}


# --------------------------------------------------------------------------------------------------------- disturbers


def attempt(world: World, action: Action) -> BaseException | None:
    """Perform an action. Refusals are as they should be; what is raised on purpose goes on to who called."""
    try:
        action.call(world)
    except BaseException as error:
        if is_deliberate(error):
            if action.name == "raise":
                raise
            return error
        judge(error, action.name)
        return error
    return None


class Disturber:
    """An agent: with some chance, wherever it is called, one of its actions on its world."""

    def __init__(self, seed: str, actions: list[Action], chance: float, most: int = 12) -> None:
        self.number = random.Random(seed)
        self.actions, self.chance, self.left = actions, chance, most
        self.weights = [action.weight for action in actions]
        self.world: World | None = None
        self.here = threading.local()
        self.log: list[str] = []

    def __call__(self, where: str) -> None:
        depth = getattr(self.here, "depth", 0)
        if self.world is None or depth >= 3 or self.left <= 0 or self.number.random() >= self.chance:
            return
        self.left -= 1
        action = self.number.choices(self.actions, self.weights)[0]
        self.log.append(f"{where}: {action.name}")
        trail(self.log[-1])
        self.here.depth = depth + 1
        try:
            attempt(self.world, action)
        finally:
            self.here.depth = depth


__all__ = ["ACTIONS", "BY_NAME", "DELIBERATE", "LOCKED", "Action", "Disturber", "attempt", "io", "judge"]
