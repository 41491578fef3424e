"""Apply the mutants of mutants.toml one by one, and report those that no test catches.

    python scripts/mutants.py                      # all of them
    python scripts/mutants.py -k callbacks         # those whose name or file contains a text
    python scripts/mutants.py --only python        # python, cython or c
    python scripts/mutants.py --list               # their names
    python scripts/mutants.py --folder /tmp/tree   # keep the copy, so that the next run need not build it

A mutant is a small change that makes the code wrong. The sources are copied into a temporary folder and built there in
place. The tests concerned must pass there before anything is changed. Then each mutant is applied by itself, what
depends on it is built again, and its tests run: a mutant is caught when one of them fails. The exit status is 0 if at
least --least percent are caught, and all rows of the table apply.

The Python that runs this script runs the tests; it needs requirements/build.txt and requirements/test.txt.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_name("mutants.toml")
# What a copy is made of. build/cython and build/temp* hold what need not be compiled again.
COPIED = ("fastnn", "csrc", "tests", "docs", "examples", "benchmarks", "scripts", "requirements", "build")
FILES = ("setup.py", "pyproject.toml", "Makefile", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "lib*", "bdist*", "asan", "tsan", "bench", "_build", "*.html")
SECONDS = 1800  # that the tests of a mutant may take: a mutant that never ends is caught, too
FAILED, INTERRUPTED = 1, 2  # pytest's exit statuses for a test that failed, and for a file that could not be imported


class Mutant(NamedTuple):
    """A row of the table: in `file`, `old` becomes `new`; `tests` are files in tests/, or arguments for pytest."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def kind(self) -> str:
        suffix = Path(self.file).suffix
        return "c" if suffix in (".c", ".h", ".def") else "cython" if suffix in (".pyx", ".pxd") else "python"


def read_table(path: Path = TABLE) -> list[Mutant]:
    """The rows of the table."""
    with open(path, "rb") as file:
        rows = tomllib.load(file)["mutant"]
    return [Mutant(r["name"], r["file"], r["old"], r["new"], tuple(r["tests"].split())) for r in rows]


def problem(mutant: Mutant, root: Path = ROOT) -> str:
    """Why a row does not apply to the sources, or "" if it does."""
    path = root / mutant.file
    if not path.is_file():
        return f"there is no {mutant.file}"
    count = path.read_text(encoding="utf-8").count(mutant.old)
    if count != 1:
        return f"the old text occurs {count} times in {mutant.file}; it must occur once"
    if mutant.old == mutant.new:
        return "the new text is the old one"
    if not mutant.tests:
        return "no tests are named"
    missing = [test for test in mutant.tests if not test.startswith("-") and not test_path(test, root).is_file()]
    return f"there is no tests/{missing[0]}" if missing else ""


def test_path(test: str, root: Path) -> Path:
    return root / "tests" / test.partition("::")[0]


def problems(mutants: Sequence[Mutant], root: Path = ROOT) -> list[str]:
    """What is wrong with the table: rows that do not apply, and names that come twice."""
    found = [f"{m.name}: {text}" for m in mutants if (text := problem(m, root))]
    found += [f"{name}: the name comes {n} times" for name, n in Counter(m.name for m in mutants).items() if n > 1]
    return found


# ------------------------------------------------------------------------------------------------------------ the copy


class Copy:
    """The tree that mutants are applied to, built in place."""

    def __init__(self, folder: Path, quick: bool = False) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",  # bytecode is told from another's by its time in seconds and its size
        }
        if quick:
            self.environment["FASTNN_CFLAGS"] = "-O1"  # behind -O3, so that it wins

    def fill(self) -> None:
        """Copy what has changed, with its times, so that only that is built again."""
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, self.folder / name, ignore=LEFT_OUT, dirs_exist_ok=True, copy_function=copy_changed
                )
        for name in FILES:
            copy_changed(str(ROOT / name), str(self.folder / name))
        self.build()

    def build(self) -> None:
        """Build the extensions that are older than their sources."""
        command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
        done = self.run(command, None)
        if done.returncode:
            raise RuntimeError(f"it does not build:\n{done.stdout[-3000:]}")

    def test(self, tests: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """Run tests; they end with the first that fails."""
        paths = [test if test.startswith("-") else f"tests/{test}" for test in tests]
        options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly"]
        return self.run([sys.executable, "-m", "pytest", *options, *paths], SECONDS)

    def run(self, command: list[str], seconds: float | None) -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(
                command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors="replace", timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, FAILED, f"nothing after {seconds} s")

    @contextlib.contextmanager
    def changed(self, mutant: Mutant) -> Iterator[None]:
        """The tree with a mutant; afterwards the source, what was built of it, and their times are as before: what is
        newer than its source would be taken for that of the next build."""
        path = self.folder / mutant.file
        products = self.products(mutant)
        kept = {file: (file.read_bytes(), file.stat()) for file in (path, *products)}
        try:
            path.write_text(path.read_text(encoding="utf-8").replace(mutant.old, mutant.new), encoding="utf-8")
            if mutant.kind == "c":
                # All extensions depend on all of csrc; but only one is linked with what is compiled of it
                set_times(path, kept[path][1])
                for library in products:
                    library.unlink()
            if mutant.kind != "python":
                self.build()
            yield
        finally:
            for file, (content, when) in kept.items():
                file.unlink(missing_ok=True)  # a library that a process still has open stays what it is there
                file.write_bytes(content)
                set_times(file, when)

    def products(self, mutant: Mutant) -> list[Path]:
        """What is built of the source: the extension in place, the one that setup.py copies there, Cython's C."""
        if mutant.kind == "python":
            return []
        name = "kernels.*.so" if mutant.kind == "c" else f"{Path(mutant.file).stem}.*.so"
        patterns = [f"fastnn/_core/{name}", f"build/lib*/fastnn/_core/{name}"]
        if mutant.kind == "cython":
            patterns.append(f"build/cython/{Path(mutant.file).with_suffix('.c')}")
        return [path for pattern in patterns for path in self.folder.glob(pattern)]


def set_times(path: Path, times: os.stat_result) -> None:
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def copy_changed(source: str, target: str) -> str:
    """Copy a file unless the target is the same already."""
    mine = os.stat(source)
    with contextlib.suppress(OSError):
        there = os.stat(target)
        if (there.st_mtime_ns, there.st_size) == (mine.st_mtime_ns, mine.st_size):
            return target
    return str(shutil.copy2(source, target))


# ------------------------------------------------------------------------------------------------------------- the run


def verdict(done: "subprocess.CompletedProcess[str]") -> str:
    """caught, SURVIVED, or what is wrong with the row. A crash is a failure, too."""
    if done.returncode in (FAILED, INTERRUPTED) or done.returncode < 0 or done.returncode > 100:
        return "caught"
    return "SURVIVED" if done.returncode == 0 else f"NO TESTS (pytest's exit status {done.returncode})"


def judged(copy: Copy, mutant: Mutant) -> tuple[str, str]:
    """The verdict on a mutant, and the first test that failed."""
    try:
        with copy.changed(mutant):
            done = copy.test(mutant.tests)
    except RuntimeError as error:
        return "DOES NOT BUILD", str(error).strip().splitlines()[-1]
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return verdict(done), failed[0].partition(" - ")[0] if failed else ""


def check_tests(copy: Copy, mutants: Sequence[Mutant]) -> list[str]:
    """The tests that fail without any mutant, by the arguments that they are run with."""
    wrong = []
    for tests in dict.fromkeys(mutant.tests for mutant in mutants):
        done = copy.test(tests)
        if done.returncode:
            wrong.append(f"{' '.join(tests)}: they do not pass as it is\n{done.stdout[-2000:]}")
    return wrong


def run(mutants: Sequence[Mutant], folder: Path, least: float, check: bool, quick: bool = False) -> int:
    copy = Copy(folder, quick)
    print(f"copying and building in {folder}", flush=True)
    copy.fill()
    wrong = check_tests(copy, mutants) if check else []
    if wrong:
        print("\n".join(wrong))
        return 2
    found: Counter[str] = Counter()
    for number, mutant in enumerate(mutants, 1):
        begun = time.monotonic()
        said, failed = judged(copy, mutant)
        found[said.split(" (")[0]] += 1
        spent = time.monotonic() - begun
        print(f"{number:3}/{len(mutants)} {said:8} {spent:4.0f} s  {mutant.name}  [{mutant.file}] {failed}", flush=True)
    share = 100 * found["caught"] / len(mutants)
    rest = ", ".join(f"{count} {what}" for what, count in found.items() if what != "caught")
    print(f"{found['caught']} of {len(mutants)} mutants caught ({share:.0f} %){', ' if rest else ''}{rest}")
    only_survivors = found["caught"] + found["SURVIVED"] == len(mutants)
    return 0 if share >= least and only_survivors else 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], epilog="More in the first lines of scripts/mutants.py."
    )
    parser.add_argument("-k", metavar="TEXT", default="", help="only those whose name or file contains it")
    parser.add_argument("--only", choices=("python", "cython", "c"), help="only those of one language")
    parser.add_argument("--list", action="store_true", help="print their names and run nothing")
    parser.add_argument("--folder", type=Path, help="where the copy is made and kept; a temporary folder by default")
    parser.add_argument("--quick", action="store_true", help="compile with -O1, which takes a fraction of the time")
    parser.add_argument("--least", type=float, default=95.0, help="the percentage that must be caught (95)")
    parser.add_argument("--unchecked", action="store_true", help="do not run the tests without a mutant first")
    given = parser.parse_args(arguments)
    table = read_table()
    wrong = problems(table)
    if wrong:
        print("\n".join(wrong))
        return 2
    mutants = [m for m in table if given.k in f"{m.name} {m.file}" and given.only in (None, m.kind)]
    if given.list or not mutants:
        print("\n".join(f"{m.kind:7} {m.name}  [{m.file}]" for m in mutants) or "no mutant is called so")
        return 0 if mutants else 2
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastnn-mutants-")))
        folder.mkdir(parents=True, exist_ok=True)
        return run(mutants, folder.resolve(), given.least, not given.unchecked, given.quick)


if __name__ == "__main__":
    sys.exit(main())
