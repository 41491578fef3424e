"""What a library costs before it has done anything: the time of its import, and the memory that a fit takes.

    python benchmarks/footprint.py [--rounds 9]

Times are those of processes of their own, beyond what importing NumPy takes; medians over rounds in turn. Memory is
what a process has at most while it fits, beyond its data, beside what must be there: four times the parameters for
Adam.
"""

import argparse
import statistics
import subprocess
import sys

import measure
from contestants import STEPS

IMPORTS = {
    "NumPy": "import numpy",
    "fastnn": "import fastnn",
    "fastnn in use": "from fastnn import Sequential, layers",
    "scikit-learn": "import sklearn.neural_network",
    "PyTorch": "import torch",
    "JAX": "import jax, jax.numpy",
    "Keras on JAX": "import os; os.environ['KERAS_BACKEND'] = 'jax'; import keras",
    "thinc": "import thinc.api",
    "ONNX Runtime": "import onnxruntime",
}
TIMED = """
import time
{before}
begin = time.perf_counter()
{code}
print(time.perf_counter() - begin)
"""
FIT = """
import sys
sys.path.insert(0, {folder!r})
from contestants import Work
from contestants.with_fastnn import network
from fits import most_memory
work = Work.step({step!r})
before = most_memory()
model = network(work)
model.fit(work.x, work.y, batch_size=work.batch, verbose=0)
first = most_memory()
model.fit(work.x, work.y, batch_size=work.batch, epochs=5, verbose=0)
print(first - before, most_memory() - first, 4 * 4 * model.count_params())
"""


def output_of(code: str) -> list[float]:
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(measure.machine())
    found: dict[str, list[float]] = {}
    missing = set()
    for _ in range(options.rounds):
        for who, code in IMPORTS.items():
            try:
                before = "" if who == "NumPy" else IMPORTS["NumPy"]
                timed = TIMED.format(before=before, code=code)
                found.setdefault(who, []).extend(output_of(timed) if who not in missing else [])
            except subprocess.CalledProcessError:
                missing.add(who)
    print("\nimport of NumPy, and of the others beyond it")
    for who, times in found.items():
        if times:
            print(f"  {who:16}{statistics.median(times) * 1e3:10.1f} ms  (least {min(times) * 1e3:.1f})")
    print("\nmemory of a fit: what it adds, what five more epochs add, and what the parameters take four times")
    for step in STEPS:
        folder = sys.path[0]
        first, more, least = output_of(FIT.format(folder=folder, step=step))
        print(f"  {step:10}{first / 1e6:10.2f} MB{more / 1e6:10.2f} MB{least / 1e6:10.2f} MB")


if __name__ == "__main__":
    main()
