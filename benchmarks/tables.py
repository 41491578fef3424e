"""Tables in Markdown of what the other programs wrote by --json.

    python benchmarks/tables.py folder

Reads training.json, fits.json and serving.json in the folder, where they are, and prints a table for each question.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contestants import SINGLE, STEPS

QUESTIONS = {
    "epoch": "A step of an epoch",
    "call": "A step, called by itself",
    "row": "One row",
    "10000 rows": "10,000 rows",
}
FIGURES = {"median": "the median", "p99.9": "the slowest in a thousand", "asleep": "the first after a pause"}


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"\n{title}\n")
    for cells in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(cells)} |")


def figure(value: float) -> str:
    """With two digits at least, and three below a thousand."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def ratio(theirs: float, ours: float) -> str:
    """How many times longer they take."""
    times = theirs / ours
    return f"{times:.0f}" if times >= 9.5 else f"{times:.1f}" if times >= 1.5 else f"{times:.2f}"


def network(step: str) -> str:
    """A step and what it trains."""
    widths, batch = (STEPS | SINGLE)[step]
    return f"{step}, {'-'.join(map(str, widths))}, batch {batch}"


def in_order(names: Iterable[str]) -> list[str]:
    """The libraries, ours first."""
    return sorted(dict.fromkeys(names), key=lambda who: not who.startswith("fastnn"))


def training(results: Sequence[Mapping[str, Any]], title: str) -> None:
    """Microseconds of ours, its share of one core's peak where that is what limits, and times that the others take."""
    ours, *others = in_order(r["who"] for r in results)
    shared = any(r["floor"] is not None for r in results)
    rows = []
    for step in dict.fromkeys(r["step"] for r in results):
        of = {r["who"]: r for r in results if r["step"] == step}
        own = of[ours]
        share = [f"{own['floor'] / own['us']:.0%}"] if shared else []
        times = [ratio(of[who]["us"], own["us"]) if who in of else "-" for who in others]
        rows.append([network(step), figure(own["us"]), *share, *times])
    header = ["step", ours, *(["of one core's peak"] if shared else []), *others]
    table(f"{title}: microseconds, and how many times longer the others take", header, rows)


def fits(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Seconds of ours, and how many times longer the others take; in brackets with importing and compiling."""
    ours, *others = in_order(who for of in results.values() for who in of)
    rows = []
    for task, of in results.items():
        own = of[ours]
        times = (
            f"{ratio(of[who]['fit'], own['fit'])} ({ratio(of[who]['all'], own['all'])})" if who in of else "-"
            for who in others
        )
        rows.append([task, f"{own['fit']:.3f} ({own['all']:.3f})", *times])
    table(
        "A whole fit: seconds, in brackets with the imports, and how many times longer the others take",
        ["fit", ours, *others],
        rows,
    )


def serving(results: Sequence[Mapping[str, Any]]) -> None:
    names = in_order(r["who"] for r in results)
    for key, title in FIGURES.items():
        rows = []
        for step in dict.fromkeys(r["step"] for r in results):
            of = {r["who"]: r[key] for r in results if r["step"] == step}
            rows.append([step, *(figure(of[who]) if who in of else "-" for who in names)])
        table(f"One row, {title}: microseconds", ["step", *names], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder

    def read(name: str) -> Any:
        path = folder / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    found = read("training")
    if found:
        print(found["machine"])
    for what, title in QUESTIONS.items():
        own = [r for r in found.get("results", ()) if r["what"] == what]
        if own:
            training(own, title)
    if found := read("fits"):
        fits(found["results"])
    if found := read("serving"):
        serving(found["results"])


if __name__ == "__main__":
    main()
