"""JAX: a jit call a step, and a shuffled epoch in one jit(lax.scan)."""

from typing import Any

import numpy as np

from contestants.work import MOMENTUM, RATE, Call, Work


def make(work: Work) -> dict[str, Call]:
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
        if not work.by_adam:
            m = jax.tree.map(lambda a, b: MOMENTUM * a - RATE * b, m, g)
            return jax.tree.map(jnp.add, p, m), m, v, t
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
    row, many = work.rows(1), work.rows(10_000)
    x, y = work.one_batch()

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
