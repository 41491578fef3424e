"""Does any use of fastnn from Python crash it, hang it, or leave a model broken?

    python scripts/fuzz_api.py [--seconds S] [--cases N] [--seed N] [--only N[-M]] [--kinds core,chaos] [--jobs N]

Each case makes a random model and disturbs it (scripts/fuzzing/: parts.py, worlds.py, actions.py, core.py, cases.py).
Cases run in child processes, a group in each, under each of the machine's instruction sets. Failures are: death by a
signal, a report of a sanitizer, a hang, an error such as AttributeError from inside fastnn, a model that stays locked
or was changed by a call that was refused, other bits in a fit that was disturbed by what must not matter.

A failing case prints its number: `--only NUMBER` with the same seed runs it alone. Where that does not fail, it needs
the cases before it in its group: `--only FIRST-NUMBER`.
"""

import argparse
import collections
import contextlib
import faulthandler
import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # also with PYTHONSAFEPATH

from fuzzing import trail

GROUP = 40  # cases of one process
HANG = 90  # seconds for one case
MEMORY = 8 << 30  # bytes of a worker, where no sanitizer maps the whole address space
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")


# ---------------------------------------------------------------------------------------------------------- the worker


def work(given: argparse.Namespace) -> int:
    """Run cases first .. last, and tell the parent of each and of what fails."""
    first, last, out, trail_file = given.worker
    warnings.simplefilter("ignore")
    if SANITIZED:
        faulthandler.register(signal.SIGUSR1, all_threads=True)  # the sanitizer handles the others itself
    else:
        faulthandler.enable(all_threads=True)
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setswitchinterval(1e-4)
    sys.unraisablehook = lambda unraisable: None
    threading.excepthook = lambda args: None
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what fit prints
    from fuzzing import actions, cases

    parent = os.getpid()
    trail.begin(trail_file)

    def tell(**what: Any) -> None:
        if os.getpid() == parent:
            os.write(out, (json.dumps(what) + "\n").encode())

    current = first
    actions.report = lambda what, detail: tell(case=current, failure=what, detail=detail[-4000:])
    for current in range(first, last):
        if time.time() > given.until:
            break
        tell(case=current)
        trail.clear()
        kind, log = "?", []
        try:
            kind, log = cases.run(f"{given.seed}:{current}", given.kinds)
        except BaseException as error:
            if os.getpid() != parent:
                os._exit(4)
            import traceback

            tell(case=current, failure=f"the fuzzer: {type(error).__name__}: {error}"[:200],
                 detail=traceback.format_exc()[-4000:])  # fmt: skip
        tell(case=current, kind=kind, log=log)
    tell(done=True)
    return 0


# ---------------------------------------------------------------------------------------------------------- the parent


class Failures:
    """What failed, once for each kind of failure."""

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.lock = threading.Lock()

    def add(self, what: str, case: int, isa: str, detail: str) -> None:
        with self.lock:
            self.counts[what] += 1
            if self.counts[what] == 1:
                print(f"\n*** case {case} (FASTNN_ISA={isa}): {what}\n{detail}", flush=True)


def crash(stderr: str, code: int | None) -> tuple[str, str]:
    """A name for a death, and the part of the report that tells most."""
    found = re.search(r"ERROR: AddressSanitizer:? (\S+)", stderr)
    undefined = re.search(r"(\S+:\d+):\d+: runtime error: (.*)", stderr)
    frames = re.findall(r"#\d+ 0x\S+ in (\S+) (\S+)", stderr)
    own = [
        f"{name} {Path(file).name}" for name, file in frames if "fastnn" in file or "csrc" in file or "cython" in file
    ]
    at = " < ".join(own[:3])
    if found:
        begin = found.start()
        return f"AddressSanitizer: {found[1]} in {at}", stderr[begin : begin + 3500]
    if undefined:
        what = re.sub(r" 0x\w+", "", undefined[2])
        return f"UndefinedBehaviorSanitizer: {what} at {undefined[1]}", stderr[undefined.start() :][:3000]
    python = re.search(r'(?s)Current thread.*?File "([^"]+)", line \d+ in (\S+)', stderr)
    where = f" in {Path(python[1]).name}:{python[2]}" if python else ""
    return f"died: {code}{where}", stderr[-3500:]


class Parent:
    def __init__(self, given: argparse.Namespace, isas: list[str]) -> None:
        self.given, self.isas = given, isas
        self.failures, self.lock = Failures(), threading.Lock()
        self.group, self.done = 0, 0
        self.kinds: collections.Counter[str] = collections.Counter()

    def next_group(self) -> tuple[int, int, str] | None:
        with self.lock:
            if self.given.only:
                first, last = self.given.only
                if self.group:
                    return None
                self.group = 1
                return first, last + 1, self.isas[first // GROUP % len(self.isas)]
            first = self.group * GROUP
            if time.time() > self.given.until or first >= self.given.cases:
                return None
            self.group += 1
            return first, min(first + GROUP, self.given.cases), self.isas[first // GROUP % len(self.isas)]

    def loop(self) -> None:
        while (group := self.next_group()) is not None:
            first, last, isa = group
            while first is not None and first < last and time.time() < self.given.until + HANG:
                first = self.run(first, last, isa)

    def run(self, first: int, last: int, isa: str) -> int:
        """A worker on these cases. Returns where another has to go on, which is `last` unless this one died."""
        reader, writer = os.pipe()
        environment = dict(os.environ, FASTNN_ISA=isa)
        environment["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":max_allocation_size_mb=2000"
        command = [sys.executable, __file__, "--seed", str(self.given.seed), "--until", str(self.given.until)]
        if self.given.kinds:
            command += ["--kinds", ",".join(self.given.kinds)]
        with tempfile.TemporaryFile("w+", errors="replace") as stderr, tempfile.TemporaryFile() as done:
            descriptors = writer, done.fileno()
            command += ["--worker", *map(str, (first, last, *descriptors))]
            worker = subprocess.Popen(command, pass_fds=descriptors, stderr=stderr, env=environment)
            os.close(writer)
            case, over = self.listen(reader, worker, first, isa)
            with contextlib.suppress(ProcessLookupError):
                worker.wait(30)
            os.close(reader)
            stderr.seek(0)
            text, before = stderr.read(), trail.read(done.fileno())
        if over == "done":
            return last
        if over == "hang":
            top = re.search(r'File "([^"]+)", line \d+ in (\S+)', text)
            where = f" in {Path(top[1]).name}:{top[2]}" if top else ""
            self.failures.add(f"hang{where}", case, isa, f"{before}\n{text[-4000:]}")
        else:
            name, detail = crash(text, worker.returncode)
            self.failures.add(name, case, isa, f"{before}\n{detail}")
        return case + 1

    def listen(self, reader: int, worker: Any, first: int, isa: str) -> tuple[int, str]:
        """What the worker tells, until it is done, dies or hangs: the case at hand, and which of these."""
        case, rest = first, b""
        while True:
            ready, _, _ = select.select([reader], [], [], HANG)
            if not ready:
                worker.send_signal(signal.SIGUSR1)
                time.sleep(3)
                worker.kill()
                return case, "hang"
            data = os.read(reader, 1 << 16)
            if not data:
                return case, "dead"
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                told = json.loads(line)
                if told.get("done"):
                    return case, "done"
                case = told["case"]
                if "failure" in told:
                    self.failures.add(told["failure"], case, isa, told["detail"])
                elif "kind" in told:
                    with self.lock:
                        self.done += 1
                        self.kinds[told["kind"]] += 1
                    if self.given.verbose:
                        print(f"case {case}: {told['kind']}\n  " + "\n  ".join(told["log"]), flush=True)


def span(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--cases", type=int, default=1 << 40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=span, help="a case, or FIRST-LAST")
    parser.add_argument("--kinds", type=lambda text: text.split(","))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--verbose", action="store_true", help="print what each case does")
    parser.add_argument("--worker", type=int, nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        return work(given)
    given.until = time.time() + (given.seconds if not given.only else 3600)
    import fastnn

    parent = Parent(given, list(fastnn.cpu_info()["available"]))
    threads = [threading.Thread(target=parent.loop) for _ in range(1 if given.only else given.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(parent.kinds.items()))
    print(f"{parent.done} cases ({kinds}) with seed {given.seed}: {len(parent.failures.counts)} kinds of failure")
    for what, count in parent.failures.counts.most_common():
        print(f"{count:6} x {what}")
    return bool(parent.failures.counts)


if __name__ == "__main__":
    sys.exit(main())
