"""Losses, value and gradient: fastnn's kernels against NumPy (in place) and, where installed, PyTorch.

    python benchmarks/losses.py [--rounds 30] [--threads 1]

Microseconds, medians of rounds in turn. fastnn runs its core on arrays that are ready, as the engine does; the
last column is the whole of Loss.value_and_gradient, with its checks.
"""

import argparse
from collections.abc import Callable
from typing import Any

import measure
import numpy as np

import fastnn
from fastnn import losses
from fastnn._core import losses as core

SHAPES = [(32, 1), (32, 2), (64, 10), (128, 10), (512, 1000), (1_000_000, 1)]
NAMES = [
    "mean_squared_error",
    "huber",
    "log_cosh",
    "binary_crossentropy_from_logits",
    "sparse_categorical_crossentropy_from_logits",
    "categorical_crossentropy_from_logits",
    "kl_divergence",
    "cosine_similarity",
]


def arrays(name: str, n: int, d: int) -> tuple[Any, np.ndarray]:
    r = np.random.default_rng(0)
    if name.startswith("sparse"):
        return r.integers(0, d, n).astype(np.int32), r.normal(size=(n, d)).astype(np.float32)
    if name.startswith(("categorical", "kl")):
        y, p = r.uniform(0.1, 1, (2, n, d))
        return (y / y.sum(-1, keepdims=True)).astype(np.float32), (p / p.sum(-1, keepdims=True)).astype(np.float32)
    if name.startswith("binary"):
        return r.integers(0, 2, (n, d)).astype(np.float32), r.normal(size=(n, d)).astype(np.float32)
    y, p = r.normal(size=(2, n, d)).astype(np.float32)
    return y, p


def ours(name: str, y: Any, p: np.ndarray) -> Callable[[], float]:
    n, d = p.shape
    kind = next(i for i, row in enumerate(core.ROWS) if row["name"] == name)
    items = [item.partition("=")[2] for item in core.ROWS[kind]["parameters"].split()]
    parameters = np.array([float(item) for item in items] or [0.0])
    values, slopes = np.empty(n), np.empty(n * d, np.float32)
    evaluate: Any = core.evaluate_labels if core.ROWS[kind]["layout"] == "L" else core.evaluate
    flat_p, flat_y = p.reshape(-1), y.reshape(-1)

    def run() -> float:
        evaluate(kind, n, d, flat_p, flat_y, values, slopes, None, 1.0 / n, parameters)
        return core.total(values, None) / n

    return run


def in_numpy(name: str, y: Any, p: np.ndarray) -> Callable[[], float] | None:
    """Preallocated, in place, as well as NumPy can be written."""
    n, d = p.shape
    g, t = np.empty_like(p), np.empty_like(p)
    scale = np.float32(1 / (n * d))
    rows = np.arange(n)

    def mean_squared_error() -> float:
        np.subtract(p, y, out=g)
        value = float(np.dot(g.reshape(-1), g.reshape(-1))) / g.size
        np.multiply(g, 2 * scale, out=g)
        return value

    def huber() -> float:
        np.subtract(p, y, out=t)
        np.clip(t, -1, 1, out=g)
        np.multiply(g, 0.5, out=slope_half)
        np.subtract(t, slope_half, out=t)
        value = float(np.dot(t.reshape(-1), g.reshape(-1))) / g.size
        np.multiply(g, scale, out=g)
        return value

    slope_half = np.empty_like(p)

    def binary_crossentropy_from_logits() -> float:
        np.abs(p, out=t)
        np.negative(t, out=t)
        np.exp(t, out=t)
        value = float(np.maximum(p, 0).sum() - np.dot(p.reshape(-1), y.reshape(-1)) + np.log1p(t).sum()) / g.size
        np.add(t, 1, out=g)
        np.divide(np.where(p >= 0, 1, t), g, out=g)
        np.subtract(g, y, out=g)
        np.multiply(g, scale, out=g)
        return value

    def softmax() -> np.ndarray:
        np.subtract(p, p.max(axis=1, keepdims=True), out=g)
        np.exp(g, out=t)
        total = t.sum(axis=1, keepdims=True)
        np.divide(t, total, out=t)
        return np.log(total)

    def sparse_categorical_crossentropy_from_logits() -> float:
        log_total = softmax()
        value = float((log_total[:, 0] - g[rows, y]).sum()) / n
        np.multiply(t, np.float32(1 / n), out=t)
        t[rows, y] -= np.float32(1 / n)
        return value

    def categorical_crossentropy_from_logits() -> float:
        log_total = softmax()
        np.subtract(log_total, g, out=g)
        value = float(np.dot(g.reshape(-1), y.reshape(-1))) / n
        np.subtract(t, y, out=t)
        np.multiply(t, np.float32(1 / n), out=t)
        return value

    return locals().get(name)


def in_torch(name: str, y: Any, p: np.ndarray) -> Callable[[], Any] | None:
    try:
        import torch
        from torch.nn import functional
    except ImportError:
        return None
    functions = {
        "mean_squared_error": functional.mse_loss,
        "huber": functional.huber_loss,
        "binary_crossentropy_from_logits": functional.binary_cross_entropy_with_logits,
        "sparse_categorical_crossentropy_from_logits": functional.cross_entropy,
        "categorical_crossentropy_from_logits": functional.cross_entropy,
    }
    if name not in functions:
        return None
    q = torch.tensor(p, requires_grad=True)
    target = torch.tensor(y.astype(np.int64) if y.dtype == np.int32 else y)

    def run() -> Any:
        (gradient,) = torch.autograd.grad(functions[name](q, target), q)
        return gradient

    return run


def whole(name: str, y: Any, p: np.ndarray) -> Callable[[], Any]:
    base = name.removesuffix("_from_logits")
    cls = type(losses.as_loss(base))
    loss = cls(from_logits=True) if base != name else cls()
    return lambda: loss.value_and_gradient(y, p)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    fastnn.set_num_threads(arguments.threads)
    try:
        import torch

        torch.set_num_threads(arguments.threads)
        print(f"torch {torch.__version__}", end=", ")
    except ImportError:
        pass
    print(f"numpy {np.__version__}, {fastnn.cpu_info()['isa']}, {arguments.threads} threads, float32; microseconds")
    print(f"{'loss':45}{'shape':>14}{'fastnn':>10}{'numpy':>10}{'torch':>10}{'checked':>10}")
    for name in NAMES:
        for n, d in SHAPES:
            if d == 1 and ("categorical" in name or name.startswith(("kl", "cosine"))):
                continue
            y, p = arrays(name, n, d)
            functions = {"fastnn": ours(name, y, p), "numpy": in_numpy(name, y, p), "torch": in_torch(name, y, p),
                         "checked": whole(name, y, p)}  # fmt: skip
            times = measure.in_turn(
                {k: f for k, f in functions.items() if f}, arguments.rounds, threads=arguments.threads
            )
            cells = "".join(f"{times[k].median * 1e6:10.2f}" if k in times else f"{'-':>10}" for k in functions)
            print(f"{name:45}{f'{n} x {d}':>14}{cells}")


if __name__ == "__main__":
    main()
