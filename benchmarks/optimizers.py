"""One update of many parameters: fastnn against NumPy in place and PyTorch's fused optimizers, and against a copy.

    python benchmarks/optimizers.py [--size 8388608] [--rounds 7] [--threads 1 2] [--only adam ...]

Medians, the fastest of the rounds behind them, then the bytes that the update must move (each array once for reading
and once for writing) per second, and that as a share of what a copy reaches.
"""

import argparse
from collections.abc import Callable

import measure
import numpy as np

import fastnn
from fastnn import optimizers

# name: (optimizer, arrays that are read or written, counted once for each)
RULES: dict[str, tuple[Callable[[], optimizers.Optimizer], int]] = {
    "sgd": (optimizers.SGD, 3),
    "momentum": (lambda: optimizers.SGD(momentum=0.9), 5),
    "nesterov": (lambda: optimizers.SGD(momentum=0.9, nesterov=True), 5),
    "rmsprop": (optimizers.RMSprop, 5),
    "rmsprop_centered_momentum": (lambda: optimizers.RMSprop(centered=True, momentum=0.9), 9),
    "adagrad": (optimizers.Adagrad, 5),
    "adadelta": (optimizers.Adadelta, 7),
    "adam": (optimizers.Adam, 7),
    "adamw": (optimizers.AdamW, 7),
    "amsgrad": (lambda: optimizers.Adam(amsgrad=True), 9),
    "adamax": (optimizers.Adamax, 7),
    "nadam": (optimizers.Nadam, 7),
    "lion": (optimizers.Lion, 5),
    "rprop": (optimizers.Rprop, 7),
    "adam, ema": (lambda: optimizers.Adam(use_ema=True), 9),
    "adam, clipnorm": (lambda: optimizers.Adam(clipnorm=1.0), 8),
}


def numpy_adam(size: int) -> Callable[[], None]:
    """Adam as NumPy can do it: in place, in blocks that stay in the cache, nothing allocated."""
    w, g, m, v = (np.full(size, x, np.float32) for x in (1.0, 0.1, 0.0, 0.0))
    block = 16384
    t1, t2 = np.empty(block, np.float32), np.empty(block, np.float32)
    step = 0

    def update() -> None:
        nonlocal step
        step += 1
        alpha = np.float32(1e-3 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step))
        for i in range(0, size, block):
            s = slice(i, i + block)
            wi, gi, mi, vi = w[s], g[s], m[s], v[s]
            a, b = t1[: wi.size], t2[: wi.size]
            np.subtract(gi, mi, out=a)
            a *= np.float32(0.1)
            mi += a
            np.multiply(gi, gi, out=a)
            a -= vi
            a *= np.float32(0.001)
            vi += a
            np.sqrt(vi, out=a)
            a += np.float32(1e-7)
            np.multiply(mi, alpha, out=b)
            b /= a
            wi -= b

    return update


def torch_rule(size: int, name: str) -> Callable[[], object] | None:
    """PyTorch's optimizer of that name, fused where it has one."""
    try:
        import torch
    except ImportError:
        return None
    w = torch.full((size,), 1.0)
    w.grad = torch.full((size,), 0.1)
    made = {
        "adam": lambda: torch.optim.Adam([w], fused=True),
        "adamw": lambda: torch.optim.AdamW([w], fused=True),
        "amsgrad": lambda: torch.optim.Adam([w], amsgrad=True, fused=True),
        "sgd": lambda: torch.optim.SGD([w], fused=True),
        "momentum": lambda: torch.optim.SGD([w], momentum=0.9, fused=True),
        "adagrad": lambda: torch.optim.Adagrad([w], fused=True),
    }.get(name)
    return made().step if made else None


def copier(target: np.ndarray, source: np.ndarray, threads: int) -> Callable[[], object]:
    """A copy on that many threads, by PyTorch; by NumPy, on one, where it is not installed."""
    try:
        import torch
    except ImportError:
        return lambda: np.copyto(target, source)
    torch.set_num_threads(threads)
    a, b = torch.from_numpy(target), torch.from_numpy(source)
    return lambda: a.copy_(b)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1 << 23)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", default=list(RULES))
    options = parser.parse_args()
    size = options.size
    generator = np.random.default_rng(0)
    print(measure.machine())
    print(f"{size} float32 parameters")
    w, g = (generator.standard_normal(size).astype(np.float32) for _ in range(2))
    target = np.empty_like(w)
    for threads in options.threads:
        fastnn.set_num_threads(threads)
        copy = copier(target, w, threads)
        for name in options.only:
            make, arrays = RULES[name]
            optimizer = make()
            optimizer.build([w])
            peers = {"PyTorch": torch_rule(size, name), "NumPy": numpy_adam(size) if name == "adam" else None}
            work: dict[str, Callable[[], object]] = {
                "copy": copy,
                "fastnn": lambda optimizer=optimizer: optimizer.apply([g]),
                **{who: call for who, call in peers.items() if call},
            }
            times = measure.in_turn(work, options.rounds, threads=threads)
            bandwidth = arrays * 4 * size / times["fastnn"].median / 1e9
            copied = 2 * 4 * size / times["copy"].median / 1e9
            ratios = "".join(
                f"  {who} {times[who].spread()} {measure.ratios(times['fastnn'], times[who])}"
                for who in peers
                if who in times
            )
            print(
                f"{threads} threads  {name:26} {times['fastnn'].spread()} us  {bandwidth:5.1f} GB/s, "
                f"{bandwidth / copied:4.0%} of a copy's {copied:.1f}{ratios}",
                flush=True,
            )


if __name__ == "__main__":
    main()
