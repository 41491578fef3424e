"""scripts/fuzz_api.py: its table has every def of the core, and its reports name what failed."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts"
if not (SCRIPTS / "fuzz_api.py").exists():
    pytest.skip("the scripts are not here", allow_module_level=True)


@pytest.fixture(scope="module")
def fuzz():
    sys.path.insert(0, str(SCRIPTS))
    try:
        import fuzz_api
        from fuzzing import core

        yield fuzz_api, core
    finally:
        sys.path.remove(str(SCRIPTS))


def entries(path):
    """The names of what a stub declares that can be called or set: defs, classes, and attributes of classes."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.AnnAssign):
                    yield f"{node.name}.{inner.target.id}"
                elif isinstance(inner, ast.FunctionDef) and inner.decorator_list == []:
                    yield node.name if inner.name == "__init__" else f"{node.name}.{inner.name}"


def test_every_def_of_the_core_is_in_the_table(fuzz):
    _, core = fuzz
    rows = ("Row", "Tape", "NotFinite")  # TypedDicts, and what the core alone makes
    stubs = sorted((ROOT / "fastnn" / "_core").glob("*.pyi"))
    declared = {
        f"{path.stem}.{name}"
        for path in stubs
        for name in entries(path)
        if not name.startswith(tuple(f"{r}." for r in rows))
    } | {"engine.Tape.backward"}
    assert len(declared) > 60
    assert declared == set(core.CALLS)


def test_every_row_gives_a_call_that_succeeds(fuzz):
    """Otherwise its wrong arguments would be refused for the wrong reason."""
    import random

    _, core = fuzz
    for name, row in core.CALLS.items():
        for seed in range(4):
            function, arguments = row(core.Draw(random.Random(f"{name}{seed}")))
            function(*arguments)


REPORT = """==1==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x1
    #0 0x7f in __interceptor_memcpy /build/gcc/sanitizer.inc:1
    #1 0x7f in one_row csrc/rows.h:20
    #2 0x7f in __pyx_pf_run build/cython/fastnn/_core/train.c:900
"""


def test_a_report_is_named_by_its_top_in_fastnn(fuzz):
    fuzz_api, _ = fuzz
    name, detail = fuzz_api.crash("noise\n" + REPORT, -6)
    assert name == "AddressSanitizer: heap-buffer-overflow in one_row rows.h:20 < __pyx_pf_run train.c:900"
    assert detail.startswith("ERROR: AddressSanitizer")
    assert fuzz_api.crash("csrc/tile.h:7:3: runtime error: division by zero\n", 1)[0] == (
        "UndefinedBehaviorSanitizer: division by zero at csrc/tile.h:7"
    )
    assert fuzz_api.crash("", -11)[0] == "died: -11"


@pytest.mark.parametrize("kind, code", [("core", 0), ("fails", 1), ("dies", 1)])
def test_a_run_reports_failures_and_goes_on(kind, code, tmp_path):
    """The same seed runs the same cases; a case that dies is one failure, and those after it run."""
    script = tmp_path / "run.py"
    script.write_text(
        f"import sys, os\nsys.path.insert(0, {str(SCRIPTS)!r})\nimport fuzz_api\nfuzz_api.__file__ = __file__\n"
        "from fuzzing import actions, cases\n"
        "cases.KINDS['fails'] = (lambda seed: actions.report('it failed', seed) or [], 1)\n"
        "cases.KINDS['dies'] = (lambda seed: os.kill(os.getpid(), 9) if seed == '5:1' else [], 1)\n"
        "sys.exit(fuzz_api.main())\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    ran = subprocess.run(
        [sys.executable, script, "--seed", "5", "--cases", "3", "--jobs", "1", "--kinds", kind],
        capture_output=True, text=True, env=environment, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert {"core": "3 cases (3 core)", "fails": "3 x it failed", "dies": "case 1 (FASTNN_ISA=base): died: -9"}[
        kind
    ] in (ran.stdout)
    if kind == "dies":
        assert "2 cases (2 dies)" in ran.stdout
