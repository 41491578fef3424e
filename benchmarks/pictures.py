"""Pictures of what the other programs wrote by --json: one a question, both axes logarithmic.

    python benchmarks/pictures.py folder

Reads training.json, sweeps.json and serving.json in the folder, where they are, and writes PNG files beside them.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {
    "fastnn": "#d55e00", "NumPy": "#0072b2", "PyTorch": "#cc79a7", "JAX": "#009e73", "scikit-learn": "#e69f00",
    "thinc": "#56b4e9", "Keras": "#999999", "ONNX Runtime": "#000000",
}  # fmt: skip


def colour(who: str) -> str:
    return COLOURS.get(who.partition(",")[0], "#666666")


def lines(ax: Any, results: list[dict[str, Any]], x: str, y: str) -> None:
    """A line for each library."""
    for who in dict.fromkeys(r["who"] for r in results):
        own = sorted((r[x], r[y]) for r in results if r["who"] == who)
        ours = who.startswith("fastnn")
        ax.plot(*zip(*own, strict=True), marker="o", ms=4, lw=2.5 if ours else 1.3, color=colour(who), label=who)
    ax.set(xscale="log", yscale="log")
    ax.grid(which="major", alpha=0.3)
    ax.legend(frameon=False, fontsize=9)


def bars(ax: Any, results: list[dict[str, Any]], group: str, y: str) -> None:
    """For each group a bar a library."""
    groups, names = (list(dict.fromkeys(r[key] for r in results)) for key in (group, "who"))
    width = 0.85 / len(names)
    for i, who in enumerate(names):
        own = {r[group]: r[y] for r in results if r["who"] == who}
        places = [g + (i - (len(names) - 1) / 2) * width for g, name in enumerate(groups) if name in own]
        ax.bar(places, [own[name] for name in groups if name in own], width, color=colour(who), label=who)
    ax.set(yscale="log", xticks=range(len(groups)), xticklabels=groups)
    ax.grid(axis="y", which="major", alpha=0.3)
    ax.set_axisbelow(True)
    ax.legend(frameon=False, fontsize=8, ncols=4, loc="upper left")


def save(path: Path, title: str, ylabel: str, draw: Any, **labels: Any) -> None:
    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    draw(ax)
    ax.set(title=title, ylabel=ylabel, **labels)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * 3)  # room for the legend
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder

    def read(name: str) -> list[dict[str, Any]]:
        path = folder / f"{name}.json"
        results: list[dict[str, Any]] = json.loads(path.read_text())["results"] if path.exists() else []
        return results

    questions = {
        "epoch": "What does a step of an epoch cost?",
        "call": "What does a single step cost, called from Python?",
        "10000 rows": "What do 10,000 rows cost?",
    }
    training = read("training")
    for what, title in questions.items():
        own = [r for r in training if r["what"] == what]
        if own:
            name = f"training-{what.replace(' ', '-')}.png"
            save(folder / name, title, "µs, least is best", lambda ax, own=own: bars(ax, own, "step", "us"))
    for axis, title in (
        ("batch", "How does a step grow with the batch?"),
        ("width", "How does it grow with the width?"),
    ):
        own = [r for r in read("sweeps") if r["axis"] == axis]
        if own:
            save(folder / f"sweep-{axis}.png", title, "µs a step", lambda ax, own=own: lines(ax, own, "value", "us"),
                 xlabel=axis)  # fmt: skip
    serving = read("serving")
    for figure, title in (("median", "What does one row cost?"), ("p99.9", "And the slowest in a thousand?")):
        if serving:
            save(folder / f"row-{figure}.png", title, "µs a row", lambda ax, f=figure: bars(ax, serving, "step", f))


if __name__ == "__main__":
    main()
