"""How the cost of a training step and of inference grows: with the batch, and with the width.

    python benchmarks/sweeps.py [--only fastnn NumPy] [--rounds 5] [--json file]

Two sweeps of train_on_batch and of inference, on 64-W-W-10 networks: batches of 1 to 4096 at W = 64, and widths of 8 to
4096 at a batch of 64. Behind each figure of fastnn stands how many times more it is than the one before, and how many
times more the work is: no doubling of the work should cost more than 2.6 times. The last table goes through batches one
row at a time: no batch should cost as much as one with more than half a row more.
"""

import argparse
import json
from typing import Any

import measure
from contestants import CONTESTANTS, Work, race

BATCHES = [2**i for i in range(13)]
WIDTHS = [2**i for i in range(3, 13)]
ROWS = [*range(1, 34), *range(60, 68), *range(124, 132), *range(252, 260)]


def network(width: int, batch: int) -> Work:
    return Work((64, width, width, 10), batch, 1, f"width {width}, batch {batch}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=["fastnn", "NumPy", "PyTorch", "JAX"], choices=list(CONTESTANTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    print(measure.machine())
    results: list[dict[str, Any]] = []
    sweeps = {
        "batch": [(batch, network(64, batch)) for batch in BATCHES],
        "width": [(width, network(width, 64)) for width in WIDTHS],
    }
    for axis, works in sweeps.items():
        print(
            f"\n{axis:>6}" + "".join(f"{who:>16}" for who in options.only) + "   fastnn: cost and work, times the last"
        )
        last: tuple[float, float] | None = None
        for value, work in works:
            times = race(work, ["call"], options.only, options.rounds)["call"]
            line = f"{value:6}" + "".join(f"{times[w].median * 1e6:13.1f} us" for w in options.only if w in times)
            ours = times.get("fastnn")
            if ours is not None:
                if last is not None:
                    line += f"   {ours.median / last[0]:5.2f} {work.flops / last[1]:5.2f}"
                last = ours.median, work.flops
            print(line, flush=True)
            for who, time in times.items():
                results.append({"axis": axis, "value": value, "who": who, "us": time.median * 1e6, "flops": work.flops})
    print("\nrows   one step of 64-64-64-10, and times the one with a row less")
    before = None
    for rows in ROWS:
        us = race(network(64, rows), ["call"], ["fastnn"], options.rounds)["call"]["fastnn"].least * 1e6
        follows = before is not None and before[0] == rows - 1
        note = f"{us / before[1]:6.2f}" if before is not None and follows else ""
        print(f"{rows:4}{us:10.2f} us {note}", flush=True)
        results.append({"axis": "rows", "value": rows, "who": "fastnn", "us": us})
        before = rows, us
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": measure.machine(), "results": results}, file)


if __name__ == "__main__":
    main()
