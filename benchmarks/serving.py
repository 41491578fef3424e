"""One row at a time: how long the middle call and the slowest in a thousand take, with threads awake and asleep.

    python benchmarks/serving.py [--steps tiny small ...] [--calls 20000] [--only fastnn] [--json file]

"awake" are calls one behind the other; "asleep" is one call after a pause of 20 ms, in which threads fall asleep and
caches are lost.
"""

import argparse
import json
import os
import time
from typing import Any

import measure
import numpy as np
from contestants import CONTESTANTS, STEPS, Call, Work, make, set_threads

PAUSE = 0.02


def each_call(work: Call, count: int, pause: float = 0.0) -> np.ndarray:
    """Seconds of each of so many calls."""
    clock, times = time.perf_counter, np.empty(count)
    for i in range(count):
        if pause:
            time.sleep(pause)
        begin = clock()
        work()
        times[i] = clock() - begin
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--only", nargs="+", default=["fastnn", "NumPy", "PyTorch", "JAX", "ONNX Runtime"])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--json")
    options = parser.parse_args()
    print(measure.machine())
    results: list[dict[str, Any]] = []
    for name in options.steps:
        work = Work.step(name)
        print(f"\n{name}: {'-'.join(map(str, work.widths))}, microseconds a row")
        print(f"  {'':22}{'median':>10}{'p99':>10}{'p99.9':>10}{'asleep':>10}")
        for who in options.only:
            chosen = who != "fastnn" and CONTESTANTS[who][1] in ("call", "make")
            for threads in dict.fromkeys((1, os.cpu_count() or 1)) if chosen else (0,):
                try:
                    call = make(who, work, threads)["row"]
                except ImportError:
                    continue
                if threads:
                    set_threads(who, threads)
                for _ in range(100):
                    call()
                count = min(options.calls, max(200, int(2 / measure.seconds_a_call(call))))
                awake = each_call(call, count) * 1e6
                asleep = float(np.median(each_call(call, 50, PAUSE))) * 1e6
                median, p99, p999 = np.percentile(awake, (50, 99, 99.9))
                label = f"{who}, {threads} thread{'s' * (threads > 1)}" if threads else who
                print(f"  {label:22}{median:10.2f}{p99:10.2f}{p999:10.2f}{asleep:10.2f}", flush=True)
                results.append(
                    {"step": name, "who": label, "median": median, "p99": p99, "p99.9": p999, "asleep": asleep}
                )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": measure.machine(), "results": results}, file)


if __name__ == "__main__":
    main()
