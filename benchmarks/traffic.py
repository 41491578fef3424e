"""What a training step reads from beyond the cores' own caches, counted, and whether that explains its time.

    python benchmarks/traffic.py [--steps medium] [--cache bytes]

A step is run under valgrind's cachegrind (to be installed: the program stops without it), whose last level stands for
the second-level caches of all cores together. Two runs of different length are subtracted, so that only steps count.
valgrind knows AVX2 at most, and one thread at a time. A line that is missing is read; lines that go back are not
counted.

Beside the count stand the time of the flops at the peak of all cores, the time of the bytes at the speed at which all
cores read what lies beyond their caches, and the time of a step.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import measure
import numpy as np
from contestants import STEPS, Work
from contestants.with_fastnn import network

import fastnn
from fastnn._core import product

LINE = 64
WAYS = 16
BATCHES, EPOCHS = 4, 3  # of so many steps each
STEP = """
import sys
sys.path.insert(0, {folder!r})
from contestants import STEPS, Work
from contestants.with_fastnn import network
work = Work(*STEPS[{name!r}], {batches})
network(work).fit(work.x, work.y, batch_size=work.batch, epochs={epochs}, verbose=0)
"""


def misses(name: str, epochs: int, cache: int, out: Path) -> Counter[str]:
    """Lines that each function found in no cache, in a process that trains so many epochs."""
    sets = 1 << (cache // (LINE * WAYS)).bit_length() - 1
    code = STEP.format(folder=str(Path(__file__).parent), name=name, batches=BATCHES, epochs=epochs)
    valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=yes", f"--LL={sets * WAYS * LINE},{WAYS},{LINE}"]
    environment = {**os.environ, "FASTNN_ISA": "avx2", "FASTNN_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(
        [*valgrind, f"--cachegrind-out-file={out}", sys.executable, "-P", "-c", code],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    found: Counter[str] = Counter()
    columns: list[int] = []
    function = ""
    for line in out.read_text().splitlines():
        kind, _, rest = line.partition("=")
        if line.startswith("events:"):
            words = line.split()  # in the place of the first, "events:", the other lines have their number
            columns = [words.index("DLmr"), words.index("DLmw")]
        elif kind == "fn":
            function = rest
        elif line[:1].isdigit():
            numbers = line.split()
            found[function] += sum(int(numbers[i]) for i in columns)
    return found


def plainly(function: str) -> str:
    """The function's name without what Cython wraps it in."""
    return re.sub(r"^__pyx_.*f_6fastnn_5_core_\d+", "", function).partition(".")[0]


def reading(cache: int) -> float:
    """Bytes a second that all cores read from beyond their caches: one row times a matrix three times their size does
    nothing else."""
    matrix = np.ones((3 * cache >> 12, 1 << 10), np.float32)
    row, out = np.ones((1, len(matrix)), np.float32), np.empty((1, 1 << 10), np.float32)
    return matrix.nbytes / min(measure.seconds_a_call(lambda: product.matmul(row, matrix, out)) for _ in range(20))


def account(name: str, cache: int, threads: int) -> None:
    """Print the count and the times of one step."""
    work = Work(*STEPS[name], BATCHES)
    model = network(work)

    def train() -> object:
        return model.fit(work.x, work.y, batch_size=work.batch, epochs=EPOCHS, verbose=0)

    step = measure.in_turn({"step": train}, rounds=15)["step"]
    peak, speed, steps = measure.Peak().now() * threads, reading(cache), BATCHES * EPOCHS
    with tempfile.TemporaryDirectory() as folder:
        few, many = (misses(name, epochs, cache, Path(folder) / "out") for epochs in (1, 1 + EPOCHS))
    many.subtract(few)
    total = sum(many.values()) / steps * LINE
    print(f"\n{name}: {total / 1e6:.2f} MB a step")
    for function, count in many.most_common(5):
        print(f"  {plainly(function):40s} {count / steps * LINE / 1e6:8.2f} MB")
    print(
        f"  flops at {peak / 1e9:.0f} GFLOP/s {work.flops / peak * 1e6:.0f} us, "
        f"bytes at {speed / 1e9:.1f} GB/s {total / speed * 1e6:.0f} us, "
        f"a step {step.least / steps * 1e6:.0f} us at least and {step.median / steps * 1e6:.0f} by the median"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=["medium"])
    parser.add_argument("--cache", type=int, default=fastnn.cpu_info()["core_cache"] * fastnn.get_num_threads())
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed (Debian and Ubuntu: apt install valgrind)")
    threads = fastnn.get_num_threads()
    print(measure.machine())
    print(f"{threads} threads, {options.cache >> 10} KB of caches of their own")
    for name in options.steps:
        account(name, options.cache, threads)


if __name__ == "__main__":
    main()
