"""The libraries that are compared: each makes, of a piece of work, what can be timed.

"epoch" is what a library does at best when it is given many batches, "call" one step on one batch from Python, "row"
the inference of one row, "10000 rows" that of so many. A library lacks what it does not do.
"""

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence

import measure

from contestants.work import SINGLE, STEPS, Call, Work

__all__ = ["CONTESTANTS", "SINGLE", "STEPS", "Call", "Work", "race"]

# who: the module that makes it, and how its threads are set: by a call, when it is made, or not at all
CONTESTANTS = {
    "fastnn": ("with_fastnn", "call"),
    "NumPy": ("with_numpy", "blas"),
    "PyTorch": ("with_torch", "call"),
    "JAX": ("with_jax", "none"),
    "scikit-learn": ("with_sklearn", "blas"),
    "thinc": ("with_thinc", "none"),
    "Keras": ("with_keras", "none"),
    "ONNX Runtime": ("with_onnxruntime", "make"),
}
WITH_SGD = ("fastnn", "NumPy", "PyTorch", "JAX", "Keras")  # who trains the network of single samples, by SGD


def set_threads(who: str, count: int) -> None:
    if who == "PyTorch":
        import torch

        torch.set_num_threads(count)
    elif who == "fastnn":
        import fastnn

        fastnn.set_num_threads(count)


def make(who: str, work: Work, threads: int) -> dict[str, Call]:
    """What can be timed, on so many threads where they can be chosen; ImportError where it is not installed."""
    name, how = CONTESTANTS[who]
    module = importlib.import_module(f"contestants.{name}")
    calls: dict[str, Call] = module.make(work, threads) if how == "make" else module.make(work)
    return calls


def race(
    work: Work,
    what: Iterable[str],
    names: Sequence[str],
    rounds: int = 5,
    ours: Sequence[int] = (0,),
    machine: Mapping[str, Call] | None = None,
) -> dict[str, dict[str, measure.Times]]:
    """For each thing to time, everybody's times: the better of one thread and all of them.

    fastnn has its default number of threads, 0, unless `ours` names others, which are then shown apart. What
    measures the machine takes its turns like everybody.
    """
    every = os.cpu_count() or 1
    calls: dict[tuple[str, int], dict[str, Call]] = {}
    for who in [name for name in names if work.by_adam or name in WITH_SGD]:
        how = CONTESTANTS[who][1]
        try:
            for threads in (1, every) if how == "make" else (0,):
                calls[who, threads] = make(who, work, threads)
        except ImportError:
            continue
    found: dict[str, dict[str, measure.Times]] = {}
    for one in what:
        best: dict[str, measure.Times] = {}
        for threads in dict.fromkeys((1, every)):
            running = dict(machine or {}) if threads == every else {}
            for (who, made), its in calls.items():
                how = CONTESTANTS[who][1]
                if one not in its or (made and made != threads) or (how == "none" and threads != every):
                    continue
                if who != "fastnn":
                    running[who] = prepared(who, threads, its[one]) if how == "call" else its[one]
                elif threads == every:
                    for count in ours:
                        label = f"fastnn, {count} thread{'s' * (count > 1)}" if count else "fastnn"
                        running[label] = prepared(who, count or every, its[one])
            with measure.blas_threads(threads):
                times = measure.in_turn(running, rounds, threads=threads)
            for who, time in times.items():
                if who not in best or time.median < best[who].median:
                    best[who] = time
        found[one] = best
    return found


def prepared(who: str, threads: int, call: Call) -> measure.Prepared:
    """A call whose library is first set to so many threads."""
    return measure.Prepared(lambda: set_threads(who, threads), call)
