"""The five training steps, whole epochs and inference: fastnn, NumPy, and the libraries that are installed.

    python benchmarks/training.py [--steps tiny small ...] [--rounds 7] [--json file] [--only fastnn JAX]

Every network is trained by Adam in float32 on the same arrays. "epoch" is what a library does at best when it is given
many batches: fit for fastnn and scikit-learn, jit(lax.scan) over a shuffled epoch for JAX, a loop for NumPy and PyTorch
(eager, fused Adam). "call" is one step on one batch from Python. Figures are microseconds a step, medians of rounds in
turn; peers are shown at the better of one and two threads. The floor is what the flops of a step take at the measured
peak of one core.
"""

import argparse
import json
import os
from collections.abc import Callable
from typing import Any

import measure
import numpy as np
from vs_numpy import STEPS

import fastnn
from fastnn import layers

Call = Callable[[], object]
EPOCH_SAMPLES = {"tiny": 32 * 500, "small": 32 * 200, "digits": 64 * 40, "medium": 128 * 16, "large": 512 * 2}


class Work:
    """A network and its data."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.widths, self.batch = STEPS[name]
        rng = np.random.default_rng(0)
        self.n = EPOCH_SAMPLES[name]
        self.steps = self.n // self.batch
        self.regression = self.widths[-1] == 1
        self.x = rng.standard_normal((self.n, self.widths[0])).astype(np.float32)
        self.y: np.ndarray = (
            rng.standard_normal((self.n, 1)).astype(np.float32)
            if self.regression
            else rng.integers(0, self.widths[-1], self.n)
        )
        pairs = list(zip(self.widths, self.widths[1:], strict=False))
        self.weights = [(rng.standard_normal((i, o)) / np.sqrt(i)).astype(np.float32) for i, o in pairs]
        # forward, and both gradients but for the first layer's dx
        self.flops = 2 * self.batch * (sum(3 * i * o for i, o in pairs) - pairs[0][0] * pairs[0][1])

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        return self.x[: self.batch], self.y[: self.batch]


# -------------------------------------------------------------------------------------------------------- contestants


def of_fastnn(work: Work) -> dict[str, Call]:
    last = None if work.regression else "softmax"
    stack = [layers.Dense(n, activation="relu") for n in work.widths[1:-1]]
    model = fastnn.Sequential([*stack, layers.Dense(work.widths[-1], activation=last)], seed=0)
    model.compile("adam", "mse" if work.regression else "sparse_categorical_crossentropy")
    x, y = work.rows()
    row, many = work.x[:1], np.resize(work.x, (10_000, work.widths[0]))
    model.fit(work.x, work.y, batch_size=work.batch, verbose=0)
    return {
        "epoch": lambda: model.fit(work.x, work.y, batch_size=work.batch, verbose=0),
        "call": lambda: model.train_on_batch(x, y),
        "row": lambda: model(row),
        "10000 rows": lambda: model.predict(many, verbose=0),
    }


def of_numpy(work: Work) -> dict[str, Call]:
    """In place, nothing allocated: as well as NumPy can be written."""
    f, batch = np.float32, work.batch
    w = [a.copy() for a in work.weights]
    b = [np.zeros(a.shape[1], f) for a in w]
    z = [np.empty((batch, a.shape[1]), f) for a in w]
    d = [np.empty_like(a) for a in z]
    parameters = [p for pair in zip(w, b, strict=True) for p in pair]
    gradients, m, v, t1, t2 = ([np.zeros_like(p) for p in parameters] for _ in range(5))
    count = 0

    def forward(x: np.ndarray, out: list[np.ndarray]) -> None:
        for i, (wi, bi) in enumerate(zip(w, b, strict=True)):
            np.matmul(x, wi, out=out[i])
            out[i] += bi
            if i < len(w) - 1:
                np.maximum(out[i], 0, out=out[i])
            x = out[i]

    def step(x: np.ndarray, y: np.ndarray) -> None:
        nonlocal count
        forward(x, z)
        top = d[-1]
        if work.regression:
            np.subtract(z[-1], y, out=top)
            top *= f(2 / batch)
        else:
            np.subtract(z[-1], z[-1].max(axis=1, keepdims=True), out=top)
            np.exp(top, out=top)
            top /= top.sum(axis=1, keepdims=True)
            top[np.arange(batch), y] -= 1
            top *= f(1 / batch)
        for i in range(len(w) - 1, -1, -1):
            below = z[i - 1] if i else x
            np.matmul(below.T, d[i], out=gradients[2 * i])
            d[i].sum(axis=0, out=gradients[2 * i + 1])
            if i:
                np.matmul(d[i], w[i].T, out=d[i - 1])
                d[i - 1] *= z[i - 1] > 0
        count += 1
        rate = f(1e-3 * np.sqrt(1 - 0.999**count) / (1 - 0.9**count))
        for p, g, mi, vi, a, c in zip(parameters, gradients, m, v, t1, t2, strict=True):
            np.subtract(g, mi, out=a)
            a *= f(0.1)
            mi += a
            np.multiply(g, g, out=a)
            a -= vi
            a *= f(0.001)
            vi += a
            np.sqrt(vi, out=a)
            a += f(1e-7)
            np.multiply(mi, rate, out=c)
            c /= a
            p -= c

    def epoch() -> None:
        order = np.random.permutation(work.n)
        for begin in range(0, work.n, batch):
            rows = order[begin : begin + batch]
            step(work.x[rows], work.y[rows])

    x, y = work.rows()
    row, many = work.x[:1], np.resize(work.x, (10_000, work.widths[0]))
    one = [np.empty((1, a.shape[1]), f) for a in w]
    all_rows = [np.empty((10_000, a.shape[1]), f) for a in w]
    return {
        "epoch": epoch,
        "call": lambda: step(x, y),
        "row": lambda: forward(row, one),
        "10000 rows": lambda: forward(many, all_rows),
    }


def of_torch(work: Work) -> dict[str, Call]:
    import torch

    parts: list[Any] = []
    for i, (a, o) in enumerate(zip(work.widths, work.widths[1:], strict=False)):
        parts += [torch.nn.ReLU()] * (i > 0) + [torch.nn.Linear(a, o)]
    net = torch.nn.Sequential(*parts)
    loss = torch.nn.MSELoss() if work.regression else torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    xs, ys = torch.from_numpy(work.x), torch.from_numpy(work.y)

    def step(x: Any, y: Any) -> None:
        optimizer.zero_grad(set_to_none=False)
        loss(net(x), y).backward()
        optimizer.step()

    def epoch() -> None:
        order = torch.randperm(work.n)
        for begin in range(0, work.n, work.batch):
            rows = order[begin : begin + work.batch]
            step(xs[rows], ys[rows])

    x, y = xs[: work.batch], ys[: work.batch]
    row, many = xs[:1], torch.from_numpy(np.resize(work.x, (10_000, work.widths[0])))

    def infer(rows: Any) -> Any:
        with torch.inference_mode():
            return net(rows)

    return {
        "epoch": epoch,
        "call": lambda: step(x, y),
        "row": lambda: infer(row),
        "10000 rows": lambda: infer(many),
    }


def of_jax(work: Work) -> dict[str, Call]:
    import jax
    import jax.numpy as jnp

    parameters = [(jnp.array(w), jnp.zeros(w.shape[1], jnp.float32)) for w in work.weights]
    state = (parameters, jax.tree.map(jnp.zeros_like, parameters), jax.tree.map(jnp.zeros_like, parameters), 0)
    xs, ys = jnp.array(work.x), jnp.array(work.y)

    def infer(p: Any, x: Any) -> Any:
        for i, (w, b) in enumerate(p):
            x = x @ w + b
            if i < len(p) - 1:
                x = jax.nn.relu(x)
        return x

    def cost(p: Any, x: Any, y: Any) -> Any:
        z = infer(p, x)
        if work.regression:
            return jnp.mean((z - y) ** 2)
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, y[:, None], 1)[:, 0])

    def update(s: Any, x: Any, y: Any) -> Any:
        p, m, v, t = s
        g = jax.grad(cost)(p, x, y)
        t = t + 1
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = jax.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
        p = jax.tree.map(lambda a, b, c: a - rate * b / (jnp.sqrt(c) + 1e-7), p, m, v)
        return p, m, v, t

    step = jax.jit(update, donate_argnums=0)

    def over(s: Any, key: Any) -> Any:
        order = jax.random.permutation(key, work.n).reshape(work.steps, work.batch)
        return jax.lax.scan(lambda c, rows: (update(c, xs[rows], ys[rows]), None), s, order)[0]

    scan = jax.jit(over, donate_argnums=0)
    held = {"call": step(state, xs[: work.batch], ys[: work.batch])}
    held["epoch"] = jax.tree.map(jnp.copy, held["call"])
    key = jax.random.key(0)
    fixed = jax.tree.map(jnp.copy, held["call"][0])
    forward = jax.jit(infer)
    row, many = work.x[:1], np.resize(work.x, (10_000, work.widths[0]))
    x, y = work.rows()

    def call() -> None:
        held["call"] = jax.block_until_ready(step(held["call"], x, y))

    def epoch() -> None:
        held["epoch"] = jax.block_until_ready(scan(held["epoch"], key))

    return {
        "epoch": epoch,
        "call": call,
        "row": lambda: np.asarray(forward(fixed, row)),
        "10000 rows": lambda: np.asarray(forward(fixed, many)),
    }


def of_sklearn(work: Work) -> dict[str, Call]:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    cls = MLPRegressor if work.regression else MLPClassifier
    kind = {"hidden_layer_sizes": work.widths[1:-1], "batch_size": work.batch, "alpha": 0.0, "max_iter": 1}
    net = cls(**kind)
    y = work.y.ravel()
    classes = {} if work.regression else {"classes": np.arange(work.widths[-1])}
    x1, y1 = work.x[: work.batch], y[: work.batch]
    net.partial_fit(x1, y1, **classes)
    many = np.resize(work.x, (10_000, work.widths[0]))
    return {
        "epoch": lambda: net.partial_fit(work.x, y),
        "call": lambda: net.partial_fit(x1, y1),
        "row": lambda: net.predict(work.x[:1]),
        "10000 rows": lambda: net.predict(many),
    }


CONTESTANTS: dict[str, Callable[[Work], dict[str, Call]]] = {
    "fastnn": of_fastnn,
    "NumPy": of_numpy,
    "PyTorch": of_torch,
    "JAX": of_jax,
    "scikit-learn": of_sklearn,
}


def set_threads(name: str, count: int) -> None:
    """For the libraries that can change it while they run."""
    if name == "PyTorch":
        import torch

        torch.set_num_threads(count)
    elif name == "fastnn":
        fastnn.set_num_threads(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    peak = measure.fma_peak()
    print(measure.machine())
    print(f"peak of one core: {peak / 1e9:.1f} GFLOP/s; copying: {measure.copy_bandwidth() / 1e9:.1f} GB/s")
    results: list[dict[str, Any]] = []
    default = fastnn.get_num_threads()
    for name in options.steps:
        work = Work(name)
        made: dict[str, dict[str, Call]] = {}
        for who in options.only:
            try:
                made[who] = CONTESTANTS[who](work)
            except ImportError:
                print(f"{who} is not installed")
        floor = work.flops / peak * 1e6
        print(f"\n{name}: {'-'.join(map(str, work.widths))}, batch {work.batch}; floor {floor:.2f} us a step")
        for what in ("epoch", "call", "row", "10000 rows"):
            best: dict[str, measure.Times] = {}
            for threads in dict.fromkeys((1, default)):
                contestants = {}
                for who, calls in made.items():
                    threaded = who in ("PyTorch", "fastnn")
                    if who == "fastnn" and threads != default:
                        continue  # at its default, as users have it
                    if threaded or threads == default:
                        set_threads(who, threads)
                        contestants[who] = calls[what]
                with measure.blas_threads(threads):
                    times = measure.in_turn(contestants, options.rounds, threads=threads)
                for who, time in times.items():
                    if who not in best or time.median < best[who].median:
                        best[who] = time
            each = work.steps if what == "epoch" else 1
            ours = best.get("fastnn")
            for who, time in best.items():
                us = time.median / each * 1e6
                ratio = "" if ours is None or who == "fastnn" else f"  {time.median / ours.median:7.2f} x"
                share = ""
                if who == "fastnn" and what in ("epoch", "call"):
                    share = f"  {floor / us:6.0%} of one core, {floor / us / default:.0%} of {default}"
                print(
                    f"  {what:11}{who:13}{us:12.2f} us  (least {time.least / each * 1e6:10.2f}){ratio}{share}",
                    flush=True,
                )
                results.append({"step": name, "what": what, "who": who, "us": us, "least": time.least / each * 1e6})
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": measure.machine(), "cpus": os.cpu_count(), "peak": peak, "results": results}, file)


if __name__ == "__main__":
    main()
