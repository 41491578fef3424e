"""Not alone: two fits at once in two threads, and a fit beside a process that keeps every core busy.

    python benchmarks/together.py [--rounds 7]

Two fits at once should do almost twice the work of one, for networks that run on one thread anyway and for all where
each fit has one thread; and should never be slower than one after the other. Beside a busy neighbour a fit should lose
no more than the time that the system gives to the neighbour.
"""

import argparse
import multiprocessing
import os
import statistics
import threading
import time

import measure
from contestants import STEPS, Work
from contestants.with_fastnn import network

import fastnn


class Fit:
    """A model and its data, to be fitted again and again for about `seconds`."""

    def __init__(self, work: Work, seconds: float) -> None:
        self.work = work
        self.model = network(work)
        self.epochs = 1
        self.run()
        self.epochs = max(1, int(seconds / max(self.run(), 1e-4)))

    def run(self) -> float:
        begin = time.perf_counter()
        self.model.fit(self.work.x, self.work.y, batch_size=self.work.batch, epochs=self.epochs, verbose=0)
        return time.perf_counter() - begin


def at_once(fits: list[Fit]) -> float:
    threads = [threading.Thread(target=fit.run) for fit in fits]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin


def keep_busy() -> None:
    while True:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    default = fastnn.get_num_threads()
    print(measure.machine())
    print("\ntwo fits at once: the work of so many fits in the time of one (and by the best round)")
    for name in STEPS:
        for threads in dict.fromkeys((default, 1)):
            fastnn.set_num_threads(threads)
            fits = [Fit(Work.step(name), options.seconds) for _ in range(2)]
            fits[1].epochs = fits[0].epochs
            found = []
            for _ in range(options.rounds):
                alone = fits[0].run() + fits[1].run()
                found.append(alone / at_once(fits))
            median, best = statistics.median(found), max(found)
            print(f"  {name:8}{threads} thread{'s' * (threads > 1):1}{median:8.2f} ({best:.2f})", flush=True)
    fastnn.set_num_threads(default)
    print("\na fit beside a busy neighbour on every core: how many times longer")
    for name in STEPS:
        fit = Fit(Work.step(name), options.seconds)
        quiet = statistics.median(fit.run() for _ in range(options.rounds))
        neighbours = [multiprocessing.Process(target=keep_busy, daemon=True) for _ in range(os.cpu_count() or 1)]
        for neighbour in neighbours:
            neighbour.start()
        time.sleep(0.2)
        busy = statistics.median(fit.run() for _ in range(options.rounds))
        for neighbour in neighbours:
            neighbour.terminate()
            neighbour.join()
        print(f"  {name:8}{busy / quiet:8.2f}", flush=True)


if __name__ == "__main__":
    main()
