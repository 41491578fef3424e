"""How the benchmarks time: the contestants in turn, several rounds, in one process; medians, and what the machine
could do."""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fastnn
from fastnn._core import product

PEERS_FALL_ASLEEP = 0.1  # seconds
OWN_COME = 0.02  # seconds of work before a time is taken: after a pause a system may not give a second core at once


def seconds_a_call(work: Callable[[], object], least: float = 2e-3) -> float:
    """The time of one call, from as many calls in a row as take `least` seconds."""
    calls = 1
    while True:
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        elapsed = time.perf_counter() - begin
        if elapsed >= least:
            return elapsed / calls
        calls = max(2 * calls, min(10 * calls, int(1.2 * least / max(elapsed, 1e-9) * calls)))


@dataclass(frozen=True)
class Times:
    """Seconds a call, one figure a round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def least(self) -> float:
        return min(self.rounds)

    def spread(self) -> str:
        """The median and the fastest round, in microseconds."""
        return f"{self.median * 1e6:10.2f} ({self.least * 1e6:9.2f})"


@dataclass(frozen=True)
class Prepared:
    """Work, and what makes ready for it before each turn."""

    prepare: Callable[[], object]
    work: Callable[[], object]

    def __call__(self) -> object:
        return self.work()


def in_turn(
    contestants: Mapping[str, Callable[[], object]], rounds: int = 7, least: float = 2e-3, threads: int = 1
) -> dict[str, Times]:
    """Each contestant's times, measured one after the other in each of several rounds.

    On several threads everybody waits until the threads of the one before are asleep: OpenBLAS's and OpenMP's look for
    work for tens of milliseconds after a call, on a core that the next contestant would miss. Then he works for a
    while until his own are awake.
    """
    for work in contestants.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            if isinstance(work, Prepared):
                work.prepare()
                work = work.work
            if threads > 1 and len(contestants) > 1:
                time.sleep(PEERS_FALL_ASLEEP)
                seconds_a_call(work, OWN_COME)
            times[name].append(seconds_a_call(work, least))
    return {name: Times(tuple(values)) for name, values in times.items()}


def ratios(ours: Times, theirs: Times) -> str:
    """How many times longer they take: by the medians, and by the fastest rounds."""
    by_median, by_least = theirs.median / ours.median, theirs.least / ours.least
    return f"{by_median:7.2f} ({by_least:6.2f}){'' if max(by_median, by_least) >= 1 else '  <-- slower'}"


class Peak:
    """A contestant that does nothing but multiply-adds in the registers of one core: its turns tell what the machine
    could do just then, since a clock changes, and so do the neighbours of a virtual machine."""

    def __init__(self, dtype: str = "float32") -> None:
        self.room = np.empty(64, dtype)
        self.operations = self()

    def __call__(self) -> float:
        return product.fma_peak(self.room, 20_000)

    def rate(self, times: Times) -> float:
        """Floating-point operations a second, from the times of its turns."""
        return self.operations / times.median

    def now(self) -> float:
        """The same where nobody else takes turns: the best of several."""
        return self.operations / min(seconds_a_call(self) for _ in range(20))


class Peaks:
    """The same on all cores at once: those of a virtual machine do at times, for some tenths of a second, no more than
    one, and then whatever several threads do takes twice as long. A turn is so long that the threads are apart."""

    ROUNDS = 4_000_000

    def __init__(self, cores: int) -> None:
        self.rooms = [np.empty(64, np.float32) for _ in range(cores)]
        self.others = ThreadPoolExecutor(max(cores - 1, 1))
        self.operations = self()

    def __call__(self) -> float:
        others = [self.others.submit(product.fma_peak, room, self.ROUNDS) for room in self.rooms[1:]]
        return product.fma_peak(self.rooms[0], self.ROUNDS) + sum(other.result() for other in others)


def copy_bandwidth() -> float:
    """Bytes read and written a second by copying arrays far larger than the caches, on one thread."""
    source = np.ones(1 << 25, np.float32)
    target = np.empty_like(source)
    return 2 * source.nbytes / min(seconds_a_call(lambda: np.copyto(target, source)) for _ in range(5))


def blas_threads(count: int) -> AbstractContextManager[object]:
    """Limit NumPy's BLAS to so many threads, where threadpoolctl is installed; else the environment must have done
    it."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(count, user_api="blas")


def machine() -> str:
    """One line: processor, cores, instruction set, versions, commit."""
    info = fastnn.cpu_info()
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        name = names[0] if names else name
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return (
        f"{name}, {os.cpu_count()} CPUs, {info['isa']}; fastnn {fastnn.__version__} ({commit or 'no commit'}), "
        f"NumPy {np.__version__}, Python {platform.python_version()}"
    )
