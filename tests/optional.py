"""Packages that some tests need, and that need not be installed."""

import importlib
import importlib.util
import sys
from types import ModuleType

import pytest
from packaging.version import Version


def optional(name: str, minversion: str | None = None) -> ModuleType:
    """A module of a package that need not be installed: skips where it is not, or is too old.

    pytest.importorskip skips as well where the package is there and cannot be imported, so that nobody hears of a
    broken installation. Here that is an error.
    """
    package = name.partition(".")[0]
    absent = package not in sys.modules and importlib.util.find_spec(package) is None
    if absent or sys.modules.get(package, package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)
    module = importlib.import_module(name)
    if minversion is not None and Version(importlib.import_module(package).__version__) < Version(minversion):
        pytest.skip(f"{package} is older than {minversion}", allow_module_level=True)
    return module
