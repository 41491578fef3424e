"""NumPy as well as it can be written: in place, with nothing allocated."""

import numpy as np

from contestants.work import MOMENTUM, RATE, Call, Work


def make(work: Work) -> dict[str, Call]:
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
        if not work.by_adam:
            for p, g, mi, c in zip(parameters, gradients, m, t2, strict=True):
                mi *= f(MOMENTUM)
                np.multiply(g, f(RATE), out=c)
                mi -= c
                p += mi
            return
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

    x, y = work.one_batch()
    row, many = work.rows(1), work.rows(10_000)
    one = [np.empty((1, a.shape[1]), f) for a in w]
    all_rows = [np.empty((10_000, a.shape[1]), f) for a in w]
    return {
        "epoch": epoch,
        "call": lambda: step(x, y),
        "row": lambda: forward(row, one),
        "10000 rows": lambda: forward(many, all_rows),
    }
