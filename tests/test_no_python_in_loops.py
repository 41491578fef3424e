"""No Python object in code that runs without the GIL: Cython itself is asked, line by line.

`cython -a` gives each line of a .pyx a score, which grows with the calls into Python's C API that it was compiled to.
"""

import re
import shutil
from pathlib import Path

import pytest
from optional import optional

Compiler = optional("Cython.Compiler.Main")
Options = optional("Cython.Compiler.Options")

PACKAGE = Path(__file__).parents[1] / "fastnn"
SOURCES = sorted((PACKAGE / "_core").glob("*.pyx"))
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
}

if not SOURCES:
    pytest.skip("the sources are not here", allow_module_level=True)


def read_scores(annotated):
    """{line number: score} out of what `cython -a` writes."""
    line = r'<pre class="cython line score-(\d+)"[^>]*>.*?<span[^>]*>0*(\d+)</span>'
    return {int(number): int(score) for score, number in re.findall(line, annotated.read_text(encoding="utf-8"))}


def scores(source, folder):
    """Compile a copy of the package's sources, and read the annotation of one."""
    copy = folder / "fastnn"
    shutil.copytree(PACKAGE, copy, ignore=lambda _, names: [n for n in names if Path(n).suffix in (".so", ".pyd")])
    options = Options.CompilationOptions(
        Options.default_options, annotate=True, compiler_directives=DIRECTIVES, include_path=[str(folder)]
    )
    target = copy / "_core" / source.name
    result = Compiler.compile_single(str(target), options, full_module_name=f"fastnn._core.{source.stem}")
    assert result.num_errors == 0
    return read_scores(target.with_suffix(".html"))


def without_gil(text):
    """The numbers of the lines inside `with nogil:` blocks and inside functions declared nogil."""
    inside, found, signature = None, [], ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if signature or re.match(r"\s*(cdef|cpdef)\b.*\(", line):  # a head, which may take several lines
            if not signature:
                head_indent = indent
                if inside is not None and indent <= inside:
                    inside = None
            signature += line.strip() + " "
            if signature.rstrip().endswith(":"):
                if "nogil" in signature:
                    inside = head_indent
                signature = ""
            elif signature.count("(") == signature.count(")"):
                signature = ""
            continue
        if inside is not None and indent <= inside:
            inside = None
        if inside is not None:
            found.append(number)
        elif re.match(r"\s*with nogil:", line):
            inside = indent
    return found


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_no_python_without_the_gil(source, tmp_path):
    text = source.read_text(encoding="utf-8")
    lines = without_gil(text)
    if not lines:
        pytest.skip("nothing in it runs without the GIL")
    score = scores(source, tmp_path)
    assert len(score) > 0.9 * len(text.splitlines())
    assert max(score.values()) > 0, "its def functions have scores: the annotation was read"
    guilty = [f"{source.name}:{n} (score {score[n]}): {text.splitlines()[n - 1]}" for n in lines if score.get(n)]
    assert not guilty, "\n" + "\n".join(guilty)


def test_this_test_can_fail():
    text = (
        "cdef int f(int x) noexcept nogil:\n    return x\n\n"
        "def g(x):\n    y = x\n    with nogil:\n        f(3)\n    return y\n"
    )
    assert without_gil(text) == [2, 7]
    text = (
        "cdef void f(int x,\n            int y) noexcept nogil:\n    f(x, y)\n\ncdef int n = 3\n\ndef g(): return n\n"
    )
    assert without_gil(text) == [3]


def test_a_python_operation_is_found(tmp_path):
    (tmp_path / "bad").mkdir()
    source = tmp_path / "bad" / "bad.pyx"
    source.write_text(
        "cdef int total(int n) noexcept nogil:\n    with gil:\n        return sum(range(n))\n\n"
        "def f(n): return total(n)\n"
    )
    options = Options.CompilationOptions(Options.default_options, annotate=True, compiler_directives=DIRECTIVES)
    assert Compiler.compile_single(str(source), options, full_module_name="bad").num_errors == 0
    assert read_scores(source.with_suffix(".html"))[3] > 0
    assert 3 in without_gil(source.read_text())
