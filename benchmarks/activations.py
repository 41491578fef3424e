"""Every activation over a million float32 numbers, fastnn and PyTorch in turn, on one thread each.

    python benchmarks/activations.py [--n 1000000] [--rounds 31] [only these ...]

Medians in microseconds, and the fastest of the rounds behind them. Both allocate their result; a line with out= has
both write into an array that exists, where PyTorch can. backward is the gradient with respect to x: for fastnn from
what its layers keep, for PyTorch by the aten functions that autograd calls.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as f

import fastnn
from fastnn import activations
from fastnn._core import activations as core

aten = torch.ops.aten
FORWARD = {
    "linear": torch.clone, "relu": f.relu, "relu6": f.relu6, "leaky_relu": lambda x: f.leaky_relu(x, 0.2),
    "hard_sigmoid": f.hardsigmoid, "hard_tanh": f.hardtanh, "hard_silu": f.hardswish,
    "threshold": lambda x: f.threshold(x, 0.0, 0.0), "hard_shrink": f.hardshrink, "soft_shrink": f.softshrink,
    "softsign": f.softsign, "exponential": torch.exp, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
    "tanh_shrink": f.tanhshrink, "elu": f.elu, "celu": f.celu, "selu": f.selu, "softplus": f.softplus,
    "log_sigmoid": f.logsigmoid, "silu": f.silu, "mish": f.mish, "gelu": f.gelu,
    "gelu_tanh": lambda x: f.gelu(x, approximate="tanh"), "step": lambda x: torch.heaviside(x, torch.ones(())),
    "softmax": lambda x: f.softmax(x, -1), "log_softmax": lambda x: f.log_softmax(x, -1), "glu": f.glu,
}  # fmt: skip
OUT = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "exponential": torch.exp}
BACKWARD = {
    "relu": lambda d, x, y: aten.threshold_backward(d, y, 0),
    "relu6": lambda d, x, y: aten.hardtanh_backward(d, x, 0, 6),
    "leaky_relu": lambda d, x, y: aten.leaky_relu_backward(d, x, 0.2, False),
    "hard_sigmoid": lambda d, x, y: aten.hardsigmoid_backward(d, x),
    "hard_tanh": lambda d, x, y: aten.hardtanh_backward(d, x, -1, 1),
    "hard_silu": lambda d, x, y: aten.hardswish_backward(d, x),
    "soft_shrink": lambda d, x, y: aten.softshrink_backward(d, x, 0.5),
    "sigmoid": lambda d, x, y: aten.sigmoid_backward(d, y), "tanh": lambda d, x, y: aten.tanh_backward(d, y),
    "elu": lambda d, x, y: aten.elu_backward(d, 1, 1, 1, True, y), "silu": lambda d, x, y: aten.silu_backward(d, x),
    "mish": lambda d, x, y: aten.mish_backward(d, x), "gelu": lambda d, x, y: aten.gelu_backward(d, x),
    "gelu_tanh": lambda d, x, y: aten.gelu_backward(d, x, approximate="tanh"),
    "softplus": lambda d, x, y: aten.softplus_backward(d, x, 1, 20),
    "softmax": lambda d, x, y: aten._softmax_backward_data(d, y, -1, torch.float32),
    "log_softmax": lambda d, x, y: aten._log_softmax_backward_data(d, y, -1, torch.float32),
    "glu": lambda d, x, y: aten.glu_backward(d, x, -1),
}  # fmt: skip


def in_turn(rounds: int, *calls: Callable[[], object]) -> list[tuple[float, float]]:
    """The median and the least time of each call in microseconds, the calls being made one after the other."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds + 2):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(1e6 * (time.perf_counter() - start))
    return [(statistics.median(t[2:]), min(t[2:])) for t in times]


def line(label: str, ours: tuple[float, float], theirs: tuple[float, float]) -> None:
    ratio, least = theirs[0] / ours[0], theirs[1] / ours[1]
    mark = "" if max(ratio, least) >= 1 else "  <-- slower"
    print(
        f"{label:30s} {ours[0]:9.0f} ({ours[1]:7.0f}) {theirs[0]:9.0f} ({theirs[1]:7.0f}) "
        f"{ratio:8.2f} ({least:6.2f}){mark}"
    )


def backward_of(name: str, x: np.ndarray, y: np.ndarray, dy: np.ndarray) -> Callable[[], object]:
    """fastnn's gradient, into a new array."""
    row = activations.TABLE[name]
    xy = x if row.reads == "X" else y
    if row.rowwise:
        return lambda: core.row_derivative(row.kind, xy, dy, np.empty_like(x))
    flat, flat_dy, parameters = xy.reshape(-1), dy.reshape(-1), row.values()
    return lambda: core.derivative(row.kind, flat, flat_dy, np.empty_like(flat), parameters)


def compare(name: str, x: np.ndarray, rounds: int) -> None:
    """The lines of one activation."""
    tensor, function, theirs = torch.from_numpy(x), activations.get(name), FORWARD.get(name)
    label = f"{name} rows of {x.shape[1]}" if x.ndim == 2 else name
    if theirs is None:
        ((median, least),) = in_turn(rounds, lambda: function(x))
        print(f"{label:30s} {median:9.0f} ({least:7.0f})")
        return
    line(label, *in_turn(rounds, lambda: function(x), lambda: theirs(tensor)))
    if name in OUT:
        y, result = np.empty_like(x), torch.empty_like(tensor)
        line(f"{label} out=", *in_turn(rounds, lambda: function(x, out=y), lambda: OUT[name](tensor, out=result)))
    if name in BACKWARD:
        y = function(x)
        dy = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
        d, result = torch.from_numpy(dy), torch.from_numpy(y)
        times = in_turn(rounds, backward_of(name, x, y, dy), lambda: BACKWARD[name](d, tensor, result))
        line(f"{label} backward", *times)


def main() -> None:
    parser = argparse.ArgumentParser(description="Every activation, fastnn and PyTorch in turn.")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--n", type=int, default=1_000_000, help="how many numbers")
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    fastnn.set_num_threads(1)
    print(f"PyTorch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), fastnn {fastnn.cpu_info()['isa']}")
    print(f"{'':30s} {'fastnn us':>19s} {'PyTorch us':>19s} {'PyTorch / fastnn':>17s}")
    numbers = (np.random.default_rng(0).normal(size=arguments.n) * 3).astype(np.float32)
    for name in [n for n in activations.names() if not arguments.names or n in arguments.names]:
        for width in [10, 100, 1000] if activations.TABLE[name].rowwise else [0]:
            rows = numbers[: arguments.n // width * width].reshape(-1, width) if width else numbers
            compare(name, rows, arguments.rounds)


if __name__ == "__main__":
    main()
