"""Tests skip where a package is absent, and nowhere else."""

import re
import sys
from pathlib import Path

import pytest
from optional import optional

TESTS = Path(__file__).parent


@pytest.fixture
def package(tmp_path, monkeypatch):
    """package(code): a package of that code can be imported as fastnn_test_package."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(code):
        (tmp_path / "fastnn_test_package").mkdir()
        (tmp_path / "fastnn_test_package" / "__init__.py").write_text(code)
        (tmp_path / "fastnn_test_package" / "part.py").write_text("answer = 42\n")

    yield make
    for name in [name for name in sys.modules if name.startswith("fastnn_test_package")]:
        del sys.modules[name]


def test_a_package_that_is_there(package):
    package("__version__ = '1.10'")
    assert optional("fastnn_test_package.part", "1.9").answer == 42
    with pytest.raises(pytest.skip.Exception, match=r"older than 1\.11"):
        optional("fastnn_test_package", "1.11")


def test_a_package_that_is_absent(monkeypatch):
    with pytest.raises(pytest.skip.Exception, match="fastnn_test_package is not installed"):
        optional("fastnn_test_package")
    monkeypatch.setitem(sys.modules, "fastnn_test_package", None)
    with pytest.raises(pytest.skip.Exception, match="fastnn_test_package is not installed"):
        optional("fastnn_test_package.part")


@pytest.mark.parametrize("code", ["import there_is_no_such_module", "raise ImportError('libbroken.so')", "1 / 0"])
def test_a_broken_package_is_no_reason_to_skip(package, code):
    package(code)
    with pytest.raises((ImportError, ZeroDivisionError)):
        optional("fastnn_test_package.part")


def test_a_module_that_an_installed_package_lacks_is_no_reason_to_skip(package):
    package("")
    with pytest.raises(ModuleNotFoundError):
        optional("fastnn_test_package.other")


def test_every_test_asks_in_this_way():
    wrong = [
        f"{path.name}:{number}"
        for path in sorted(TESTS.rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"importor" + "skip\\(", line)
    ]
    assert not wrong, "use optional.optional, which does not hide a broken installation"
