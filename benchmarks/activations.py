"""Every activation over a million float32 numbers, fastnn and, where it is installed, PyTorch in turn, on one thread.

    python benchmarks/activations.py [--n 1000000] [--rounds 31] [only these ...]

Medians in microseconds, and the fastest of the rounds behind them. Both allocate their result; a line with out= has
both write into an array that exists, where PyTorch can. backward is the gradient with respect to x: for fastnn from
what its layers keep, for PyTorch by the aten functions that autograd calls.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import measure
import numpy as np

import fastnn
from fastnn import activations
from fastnn._core import activations as core

try:
    import torch
    import torch.nn.functional as f
except ImportError:
    torch = None

Call = Callable[..., object]


def peers() -> tuple[Mapping[str, Call], Mapping[str, Call], Mapping[str, Call]]:
    """PyTorch's functions: forward, forward into an array, backward."""
    if torch is None:
        return {}, {}, {}
    aten = torch.ops.aten
    forward: dict[str, Call] = {
        "linear": torch.clone, "relu": f.relu, "relu6": f.relu6, "leaky_relu": lambda x: f.leaky_relu(x, 0.2),
        "hard_sigmoid": f.hardsigmoid, "hard_tanh": f.hardtanh, "hard_silu": f.hardswish,
        "threshold": lambda x: f.threshold(x, 0.0, 0.0), "hard_shrink": f.hardshrink, "soft_shrink": f.softshrink,
        "softsign": f.softsign, "exponential": torch.exp, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
        "tanh_shrink": f.tanhshrink, "elu": f.elu, "celu": f.celu, "selu": f.selu, "softplus": f.softplus,
        "log_sigmoid": f.logsigmoid, "silu": f.silu, "mish": f.mish, "gelu": f.gelu,
        "gelu_tanh": lambda x: f.gelu(x, approximate="tanh"), "step": lambda x: torch.heaviside(x, torch.ones(())),
        "softmax": lambda x: f.softmax(x, -1), "log_softmax": lambda x: f.log_softmax(x, -1), "glu": f.glu,
    }  # fmt: skip
    out: dict[str, Call] = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "exponential": torch.exp}
    backward: dict[str, Call] = {
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
    return forward, out, backward


FORWARD, OUT, BACKWARD = peers()


def line(label: str, ours: Call, theirs: Call | None, rounds: int) -> None:
    contestants = {"fastnn": ours} | ({"PyTorch": theirs} if theirs else {})
    times = measure.in_turn(contestants, rounds, least=0)
    if theirs is None:
        print(f"{label:30s} {times['fastnn'].spread()}")
        return
    mine, other = times["fastnn"], times["PyTorch"]
    print(f"{label:30s} {mine.spread()} {other.spread()} {measure.ratios(mine, other)}", flush=True)


def backward_of(name: str, x: np.ndarray, y: np.ndarray, dy: np.ndarray) -> Callable[[], object]:
    """fastnn's gradient, into a new array."""
    row = activations.TABLE[name]
    xy = x if row.reads == "X" else y
    if row.rowwise:
        return lambda: core.row_derivative(row.kind, xy, dy, np.empty_like(x))
    parameters = row.values()
    return lambda: core.derivative(row.kind, xy, dy, np.empty_like(xy), parameters)


def compare(name: str, x: np.ndarray, rounds: int) -> None:
    """The lines of one activation."""
    function, theirs = activations.get(name), FORWARD.get(name)
    label = f"{name} rows of {x.shape[1]}" if x.ndim == 2 else name
    y = function(x)
    dy = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
    tensors: list[Any] = [torch.from_numpy(array) for array in (dy, x, y)] if torch else []
    line(label, lambda: function(x), (lambda: theirs(tensors[1])) if theirs else None, rounds)
    if name in OUT:
        result = torch.empty_like(tensors[2])
        line(f"{label} out=", lambda: function(x, out=y), lambda: OUT[name](tensors[1], out=result), rounds)
    line(
        f"{label} backward",
        backward_of(name, x, y, dy),
        (lambda: BACKWARD[name](*tensors)) if name in BACKWARD else None,
        rounds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Every activation, fastnn and PyTorch in turn.")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--n", type=int, default=1_000_000, help="how many numbers")
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    fastnn.set_num_threads(1)
    print(measure.machine())
    if torch:
        torch.set_num_threads(1)
        print(f"PyTorch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})")
    print(f"{'':30s} {'fastnn us':>22s}" + (f" {'PyTorch us':>22s} {'PyTorch / fastnn':>16s}" if torch else ""))
    numbers = (np.random.default_rng(0).normal(size=arguments.n) * 3).astype(np.float32)
    for name in [n for n in activations.names() if not arguments.names or n in arguments.names]:
        for width in [10, 100, 1000] if activations.TABLE[name].rowwise else [0]:
            rows = numbers[: arguments.n // width * width].reshape(-1, width) if width else numbers
            compare(name, rows, arguments.rounds)


if __name__ == "__main__":
    main()
