"""The table of mutants fits the sources, and the program that applies them tells which are caught."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1]
if not (SOURCES / "scripts" / "mutants.toml").exists():
    pytest.skip("the sources are not here", allow_module_level=True)
sys.path.insert(0, str(SOURCES / "scripts"))

import mutants
from mutants import Copy, Mutant

TABLE = mutants.read_table()


def test_every_row_applies_to_the_sources():
    """Old text that occurs once, another new text, tests that exist: after a change of the sources, change the row."""
    assert mutants.problems(TABLE) == []


def test_there_are_mutants_of_all_kinds():
    assert len(TABLE) >= 60
    kinds = [mutant.kind for mutant in TABLE]
    assert all(kinds.count(kind) >= 15 for kind in ("python", "cython", "c"))
    assert len({mutant.file for mutant in TABLE}) >= 30


@pytest.fixture
def tree(tmp_path):
    """A tree of a module and its tests, and rows for it."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "module.py").write_text("def double(x):\n    return 2 * x  # twice\n\ndef half(x):\n    return x / 2\n")
    (tmp_path / "tests" / "test_module.py").write_text(
        "import module\n\ndef test_double():\n    assert module.double(3) == 6\n\n"
        "def test_half():\n    assert module.half(0) == 0\n"
    )
    return tmp_path


def row(name="one", old="2 * x", new="3 * x", file="module.py", tests=("test_module.py",)):
    return Mutant(name, file, old, new, tests)


def test_rows_that_do_not_apply_are_named(tree):
    wrong = {
        "there is no other.py": row(file="other.py"),
        "occurs 0 times": row(old="4 * x"),
        "occurs 2 times": row(old="return"),
        "the new text is the old one": row(new="2 * x"),
        "there is no tests/test_other.py": row(tests=("test_other.py::test_a",)),
        "no tests are named": row(tests=()),
    }
    assert mutants.problem(row(), tree) == ""
    for text, mutant in wrong.items():
        assert text in mutants.problem(mutant, tree)
    assert mutants.problems([row(), row()], tree) == ["one: the name comes 2 times"]


def test_mutants_are_caught_or_survive_and_leave_nothing(tree):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tree.rglob("*.py")}
    copy = Copy(tree)
    assert mutants.judged(copy, row()) == ("caught", "FAILED tests/test_module.py::test_double")
    assert mutants.judged(copy, row(old="x / 2", new="x / 3")) == ("SURVIVED", "")
    assert mutants.judged(copy, row(old="return 2", new="return (2"))[0] == "caught"  # it cannot be imported
    assert mutants.judged(copy, row(old="return 2 * x", new="import os; os.abort()"))[0] == "caught"
    assert mutants.judged(copy, row(tests=("test_module.py", "-knone")))[0].startswith("NO TESTS")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    assert mutants.check_tests(copy, [row()]) == []
    (tree / "tests" / "test_module.py").write_text("def test_it():\n    assert False\n")
    assert "do not pass" in mutants.check_tests(copy, [row()])[0]


@pytest.mark.parametrize(
    "source, products",
    [
        ("fastnn/_core/steps.pyx", ["fastnn/_core/steps.x.so", "build/lib.x/fastnn/_core/steps.x.so",
                                    "build/cython/fastnn/_core/steps.c"]),
        ("csrc/norms.h", ["fastnn/_core/kernels.x.so", "build/lib.x/fastnn/_core/kernels.x.so"]),
    ],
)  # fmt: skip
def test_what_was_built_of_a_mutant_does_not_stay(source, products, tmp_path, monkeypatch):
    """Not even where it would be newer than its source, and so be taken by the next build."""
    for name in (source, *products):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a + b")
        os.utime(path, (1_000_000_000, 1_000_000_000))
    built = []

    def build(self):
        built.append((tmp_path / source).read_text())
        for name in products:
            (tmp_path / name).write_text("that of the mutant")

    monkeypatch.setattr(Copy, "build", build)
    with Copy(tmp_path).changed(row(file=source, old="a + b", new="a - b")):
        assert all((tmp_path / name).read_text() == "that of the mutant" for name in products)
    assert built == ["a - b"]
    for name in (source, *products):
        path = tmp_path / name
        assert (path.read_text(), path.stat().st_mtime) == ("a + b", 1_000_000_000)


@pytest.mark.parametrize("verdicts, least, status", [("cc", 95, 0), ("cS", 50, 0), ("cS", 51, 1), ("cD", 0, 1)])
def test_the_exit_status(verdicts, least, status, monkeypatch, tmp_path, capsys):
    words = {"c": ("caught", "FAILED a"), "S": ("SURVIVED", ""), "D": ("DOES NOT BUILD", "error")}
    left = iter(verdicts)
    monkeypatch.setattr(mutants, "judged", lambda *_: words[next(left)])
    monkeypatch.setattr(Copy, "fill", lambda self: None)
    assert mutants.run([row()] * len(verdicts), tmp_path, least, check=False) == status
    assert f"{verdicts.count('c')} of 2 mutants caught" in capsys.readouterr().out


def test_some_of_them_can_be_chosen(capsys):
    assert mutants.main(["--list", "--only", "c"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == sum(mutant.kind == "c" for mutant in TABLE)
    assert mutants.main(["--list", "-k", TABLE[0].name]) == 0
    assert TABLE[0].name in capsys.readouterr().out
    assert mutants.main(["--list", "-k", "no mutant has this name"]) == 2


def test_it_says_what_it_can_do():
    command = [sys.executable, str(SOURCES / "scripts" / "mutants.py"), "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(option in said for option in ("-k", "--only", "--list", "--folder", "--least"))
