"""Whole fits: the same network, batch, optimizer, first weights and epochs, to a stated accuracy on held-out samples.

    python benchmarks/fits.py [--tasks digits wide] [--only fastnn PyTorch] [--rounds 3] [--json file]

Each fit runs in a process of its own, in turn, several rounds. "fit" is the time from the arrays to the trained
network, compiling included where a library compiles; "all" is that and importing the library. Accuracy is that on the
held-out samples at the end. Memory is the most that the process had, the data among it.
"""

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Task:
    """A data set, and what is trained on it."""

    def __init__(self, name: str, widths: list[int], batch: int, epochs: int, target: float) -> None:
        self.name, self.widths, self.batch, self.epochs, self.target = name, widths, batch, epochs, target

    def data(self) -> Arrays:
        """x and y to train on, x and y held out."""
        rng = np.random.default_rng(0)
        if self.name == "points":  # nine, of which class (a + b) mod 3 has three: all are learned and asked for
            x = np.array([[a, b] for a in range(3) for b in range(3)], np.float32)
            y = x.sum(axis=1).astype(np.int64) % 3
            return x, y, x, y
        if self.name == "digits":
            from sklearn.datasets import load_digits

            x, y = load_digits(return_X_y=True)
            x = (x / 16).astype(np.float32)
            held = 360
        else:
            held, n = 10_000, 60_000
            y = rng.integers(0, 10, n)
            # two prototypes a class, so that no line parts them, and noise
            prototypes = rng.standard_normal((10, 2, 784)).astype(np.float32)
            x = prototypes[y, rng.integers(0, 2, n)] + 4 * rng.standard_normal((n, 784), np.float32)
        order = rng.permutation(len(x))
        x, y = x[order], y[order].astype(np.int64)
        return x[held:], y[held:], x[:held], y[:held]

    def weights(self) -> list[np.ndarray]:
        """Kernels by Glorot's rule."""
        rng = np.random.default_rng(1)
        pairs = zip(self.widths, self.widths[1:], strict=False)
        return [
            rng.uniform(-1, 1, (i, o)).astype(np.float32) * np.sqrt(6 / (i + o)).astype(np.float32) for i, o in pairs
        ]


TASKS = {
    "points": Task("points", [2, 32, 3], 9, 1500, 1.0),
    "digits": Task("digits", [64, 64, 10], 32, 30, 0.97),
    "wide": Task("wide", [784, 128, 10], 64, 5, 0.97),
}


# -------------------------------------------------------------------------------------------------------- contestants
# Each takes the task and the training arrays, trains, and returns a function that gives the classes of other samples.

Predict = Callable[[np.ndarray], np.ndarray]


def of_fastnn(task: Task, x: np.ndarray, y: np.ndarray) -> Predict:
    from fastnn import Sequential, layers

    *hidden, last = task.widths[1:]
    stack = [layers.Dense(n, activation="relu") for n in hidden]
    model = Sequential([layers.Input(x.shape[1:]), *stack, layers.Dense(last, activation="softmax")])
    model.set_weights([p for w in task.weights() for p in (w, np.zeros(w.shape[1], np.float32))])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=task.batch, epochs=task.epochs, verbose=0)
    return lambda x: model.predict(x, verbose=0).argmax(axis=1)


def of_sklearn(task: Task, x: np.ndarray, y: np.ndarray) -> Predict:
    import warnings

    from sklearn.neural_network import MLPClassifier

    weights = iter(task.weights())

    class Same(MLPClassifier):  # with the first weights of all
        def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> Any:
            return next(weights).astype(dtype), np.zeros(fan_out, dtype)

    net = Same(
        task.widths[1:-1], batch_size=task.batch, alpha=0.0, max_iter=task.epochs, tol=0.0, n_iter_no_change=10**6
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it might go on
        net.fit(x, y)
    return net.predict


def of_torch(task: Task, x: np.ndarray, y: np.ndarray, threads: int = 1) -> Predict:
    import torch

    torch.set_num_threads(threads)
    parts: list[Any] = []
    for i, w in enumerate(task.weights()):
        layer = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(w.T))
            layer.bias.zero_()
        parts += [torch.nn.ReLU()] * (i > 0) + [layer]
    net = torch.nn.Sequential(*parts)
    loss, optimizer = torch.nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters(), fused=True)
    xs, ys = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(task.epochs):
        order = torch.randperm(len(xs))
        for begin in range(0, len(xs), task.batch):
            rows = order[begin : begin + task.batch]
            optimizer.zero_grad(set_to_none=False)
            loss(net(xs[rows]), ys[rows]).backward()
            optimizer.step()

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            classes: np.ndarray = net(torch.from_numpy(x)).argmax(1).numpy()
            return classes

    return predict


def of_keras(task: Task, x: np.ndarray, y: np.ndarray) -> Predict:
    import keras

    *hidden, last = task.widths[1:]
    stack = [keras.layers.Dense(n, activation="relu") for n in hidden]
    model = keras.Sequential([keras.layers.Input(x.shape[1:]), *stack, keras.layers.Dense(last, activation="softmax")])
    model.set_weights([p for w in task.weights() for p in (w, np.zeros(w.shape[1], np.float32))])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=task.batch, epochs=task.epochs, verbose=0)
    return lambda x: np.asarray(model.predict(x, verbose=0)).argmax(axis=1)


def of_jax(task: Task, x: np.ndarray, y: np.ndarray) -> Predict:
    import jax
    import jax.numpy as jnp

    parameters = [(jnp.array(w), jnp.zeros(w.shape[1], jnp.float32)) for w in task.weights()]
    xs, ys = jnp.array(x), jnp.array(y)
    steps, batch = len(x) // task.batch, task.batch

    def logits(p: Any, x: Any) -> Any:
        for i, (w, b) in enumerate(p):
            x = (jax.nn.relu(x) if i else x) @ w + b
        return x

    def cost(p: Any, x: Any, y: Any) -> Any:
        z = logits(p, x)
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, y[:, None], 1)[:, 0])

    def step(s: Any, rows: Any) -> Any:
        p, m, v, t = s
        g = jax.grad(cost)(p, xs[rows], ys[rows])
        t = t + 1
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = jax.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
        return (jax.tree.map(lambda a, b, c: a - rate * b / (jnp.sqrt(c) + 1e-7), p, m, v), m, v, t), None

    @jax.jit
    def epoch(s: Any, key: Any) -> Any:  # the batch that is not full is left out
        order = jax.random.permutation(key, len(x))[: steps * batch].reshape(steps, batch)
        return jax.lax.scan(step, s, order)[0]

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state: Any = (parameters, zeros, zeros, 0)
    for number in range(task.epochs):
        state = epoch(state, jax.random.key(number))
    final = jax.block_until_ready(state)[0]
    return lambda x: np.asarray(logits(final, x)).argmax(axis=1)


class Contestant:
    """A library: what is imported, Keras's backend, and what trains."""

    def __init__(
        self, module: str, train: Callable[[Task, np.ndarray, np.ndarray], Predict], backend: str | None = None
    ) -> None:
        self.module, self.train, self.backend = module, train, backend


CONTESTANTS = {
    "fastnn": Contestant("fastnn.models", of_fastnn),
    "scikit-learn": Contestant("sklearn.neural_network", of_sklearn),
    "PyTorch, 1 thread": Contestant("torch", of_torch),
    "PyTorch, all": Contestant("torch", lambda *given: of_torch(*given, threads=os.cpu_count() or 1)),
    "Keras on JAX": Contestant("keras", of_keras, "jax"),
    "Keras on PyTorch": Contestant("keras", of_keras, "torch"),
    "JAX, scans": Contestant("jax", of_jax),
}


def most_memory() -> float:
    """Bytes. Linux's getrusage counts what the process was before it became this program, /proc does not."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run_one(task: Task, who: str, data: str) -> None:
    """One fit in this process, reported as JSON on a line of its own."""
    with np.load(data) as arrays:
        x, y, x_held, y_held = (arrays[f"arr_{i}"] for i in range(4))
    contestant = CONTESTANTS[who]
    if contestant.backend:
        os.environ["KERAS_BACKEND"] = contestant.backend
    task.weights()  # so that numpy.random, which NumPy imports when it is first used, is not counted as somebody's work
    start = time.perf_counter()
    importlib.import_module(contestant.module)
    begin = time.perf_counter()
    predict = contestant.train(task, x, y)
    end = time.perf_counter()
    accuracy = float((predict(x_held) == y_held).mean())
    print("\n" + json.dumps({"fit": end - begin, "all": end - start, "accuracy": accuracy, "memory": most_memory()}))


def run_all(task: Task, names: list[str], rounds: int, folder: str) -> dict[str, dict[str, float]]:
    """Medians over rounds in turn."""
    found: dict[str, list[dict[str, float]]] = {}
    data = str(Path(folder) / f"{task.name}.npz")
    np.savez(data, *task.data())
    for _ in range(rounds):
        for who in list(names):
            command = [sys.executable, __file__, "--one", who, "--data", data, "--tasks", task.name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                why = (done.stderr.strip().splitlines() or ["no message"])[-1]
                print(f"  {who}: left out ({why})")
                names.remove(who)
                continue
            found.setdefault(who, []).append(json.loads(done.stdout.strip().splitlines()[-1]))
    return {who: {k: statistics.median(r[k] for r in runs) for k in runs[0]} for who, runs in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run_one(TASKS[options.tasks[0]], options.one, options.data)
        return
    import measure

    print(measure.machine())
    results = {}
    for name in options.tasks:
        task = TASKS[name]
        print(f"\n{name}: {'-'.join(map(str, task.widths))}, batch {task.batch}, {task.epochs} epochs of Adam")
        with tempfile.TemporaryDirectory() as folder:
            found = results[name] = run_all(task, list(options.only), options.rounds, folder)
        ours = found.get("fastnn")
        print(f"  {'':20}{'fit':>10}{'':10}{'all':>10}{'':10}{'held out':>10}{'memory':>12}")
        for who, r in found.items():
            ratio = {k: "" if ours is None or who == "fastnn" else f"{r[k] / ours[k]:8.1f} x" for k in ("fit", "all")}
            missed = "  <-- below the target" if r["accuracy"] < task.target else ""
            print(
                f"  {who:20}{r['fit']:8.3f} s{ratio['fit']:>10}{r['all']:8.3f} s{ratio['all']:>10}{r['accuracy']:10.4f}"
                f"{r['memory'] / 1e6:9.0f} MB{missed}"
            )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": measure.machine(), "results": results}, file)


if __name__ == "__main__":
    main()
