"""The matrix product against NumPy's, at every shape that the five training steps use.

Run: python benchmarks/vs_numpy.py [--threads 1,2] [--dtype float32] [--rounds 7]

Both write into arrays that exist already, in turn, in one process. A third has a turn too, whose multiply-adds stay in
registers: the peak that shares are shares of.
"""

import argparse
from itertools import pairwise

import measure
import numpy as np
from contestants import STEPS

import fastnn
from fastnn._core import product


def shapes() -> list[tuple[str, str, int, int, int]]:
    """(step, kind, rows, columns, depth) of every product, each once: NN forward, NT for dx, TN for dw."""
    found: dict[tuple[str, int, int, int], str] = {}
    for step, (widths, batch) in STEPS.items():
        for inputs, outputs in pairwise(widths):
            found.setdefault(("NN", batch, outputs, inputs), step)
            found.setdefault(("NT", batch, inputs, outputs), step)
            found.setdefault(("TN", inputs, outputs, batch), step)
    for size in (64, 128, 256, 512):
        for kind in ("NN", "NT", "TN"):
            found.setdefault((kind, size, size, size), "square")
    return [(step, *key) for key, step in found.items()]


def operands(kind: str, rows: int, columns: int, depth: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((depth, rows) if kind == "TN" else (rows, depth)).astype(dtype)
    b = rng.standard_normal((columns, depth) if kind == "NT" else (depth, columns)).astype(dtype)
    return (a.T if kind == "TN" else a), (b.T if kind == "NT" else b)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", default=f"1,{fastnn.get_num_threads()}")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    peak = measure.Peak(options.dtype)
    print(measure.machine())
    print(f"peak of one core in {options.dtype}: {peak.now() / 1e9:.1f} GFLOP/s")
    for threads in dict.fromkeys(int(t) for t in options.threads.split(",")):
        fastnn.set_num_threads(threads)
        print(f"\n{threads} thread{'s' * (threads > 1)}{'fastnn':>34}{'NumPy':>14}{'ratio':>10}{'of peak':>11}")
        with measure.blas_threads(threads):
            for step, kind, rows, columns, depth in shapes():
                a, b = operands(kind, rows, columns, depth, options.dtype)
                out = np.empty((rows, columns), options.dtype)
                times = measure.in_turn(
                    {
                        "fastnn": lambda a=a, b=b, out=out: product.matmul(a, b, out),
                        "NumPy": lambda a=a, b=b, out=out: np.matmul(a, b, out=out),
                        "peak": peak,
                    },
                    options.rounds,
                    threads=threads,
                )
                ours, theirs = times["fastnn"].median, times["NumPy"].median
                share = 2 * rows * columns * depth / ours / (peak.rate(times["peak"]) * threads)
                print(
                    f"{step:8}{kind} {rows:5} x {columns:4} x {depth:4}  {ours * 1e6:10.2f} us "
                    f"{theirs * 1e6:10.2f} us {theirs / ours:8.2f} {share:10.0%}"
                )


if __name__ == "__main__":
    main()
