"""The five training steps, whole epochs and inference: fastnn, NumPy, and the libraries that are installed.

    python benchmarks/training.py [--steps tiny small ...] [--rounds 7] [--json file] [--only fastnn JAX] [--threads 0]

Every network is trained by Adam in float32 on the same arrays, but for "single": that is the digits one by one, by SGD
with momentum. "epoch" is what a library does at best when it is given many batches: fit for fastnn, Keras and
scikit-learn, jit(lax.scan) over a shuffled epoch for JAX, a loop for NumPy, thinc and PyTorch (eager, fused updates).
"call" is one step on one batch from Python. Figures are microseconds a step, medians of rounds in turn; peers are shown
at the better of one thread and all. --threads tells how many fastnn has, 0 being its default. The floor is what the
flops take at the peak of one core, which is measured in turn with the rest, and so is what all cores do at once: two
of a virtual machine do at times no more than one.
"""

import argparse
import json
import os
from typing import Any

import measure
from contestants import CONTESTANTS, SINGLE, STEPS, Work, race

ONE_CORE, ALL_CORES = "peak of one core", "peak of all cores"
WHAT = ("epoch", "call", "row", "10000 rows")


def floor_of(work: Work, what: str, peak: float) -> float | None:
    """Microseconds that the flops take at the peak of one core; None for one row, which waits for memory."""
    if what == "row":
        return None
    flops = 2 * 10_000 * sum(w.size for w in work.weights) if what == "10000 rows" else work.flops
    return flops / peak * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="+", default=[*STEPS, *SINGLE], choices=[*STEPS, *SINGLE])
    parser.add_argument("--what", nargs="+", default=list(WHAT), choices=WHAT)
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--threads", nargs="+", type=int, default=[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    peak, peaks = measure.Peak(), measure.Peaks(cores)
    machine = {ONE_CORE: peak, ALL_CORES: peaks}
    print(measure.machine())
    print(f"peak of one core: {peak.now() / 1e9:.1f} GFLOP/s; copying: {measure.copy_bandwidth() / 1e9:.1f} GB/s")
    results: list[dict[str, Any]] = []
    for name in options.steps:
        work = Work.step(name)
        print(f"\n{name}: {'-'.join(map(str, work.widths))}, batch {work.batch}")
        raced = race(work, options.what, options.only, options.rounds, options.threads, machine)
        for what, times in raced.items():
            each = work.steps if what == "epoch" else 1
            rate, together = peak.rate(times.pop(ONE_CORE)), times.pop(ALL_CORES)
            median, worst = (peaks.operations / rate / time for time in (together.median, max(together.rounds)))
            print(f"  {what:11}{cores} cores at once do {median:.2f} times what one does, at worst {worst:.2f}")
            floor = floor_of(work, what, rate)
            ours = next((time for who, time in times.items() if who.startswith("fastnn")), None)
            for who, time in times.items():
                us, least = time.median / each * 1e6, time.least / each * 1e6
                note = ""
                if not who.startswith("fastnn"):
                    note = "" if ours is None else f"  {time.median / ours.median:7.2f} x"
                elif floor is not None:
                    note = f"  {floor / us:6.0%} of one core, {floor / us / cores:.0%} of {cores}"
                print(f"  {what:11}{who:18}{us:12.2f} us  (least {least:10.2f}){note}", flush=True)
                results.append({"step": name, "what": what, "who": who, "us": us, "least": least, "floor": floor})
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": measure.machine(), "peak": peak.now(), "results": results}, file)


if __name__ == "__main__":
    main()
