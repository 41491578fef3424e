"""What the package exports is there, described and typed."""

import importlib
import importlib.metadata
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(fastnn.__path__, "fastnn.")
    if not m.name.startswith(("fastnn.reference.", "fastnn._core."))
)
FOUND = pkgutil.iter_modules(importlib.import_module("fastnn._core").__path__, "fastnn._core.")
CORE = sorted(m.name for m in FOUND if not m.name.endswith("._views"))  # Cython's own
OPTIONAL = {"fastnn.sklearn": "sklearn", "fastnn.plots": "matplotlib"}


@pytest.mark.parametrize("name", ["fastnn", *MODULES])
def test_everything_exported_exists(name):
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name])
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert len(set(exported)) == len(exported)
    for item in exported:
        assert hasattr(module, item), f"{name}.__all__ names {item!r}, which is not there"
        assert not item.startswith("_") or item == "__version__"
    if exported:
        exec(f"from {name} import *", {})


@pytest.mark.parametrize("name", ["fastnn", *MODULES])
def test_everything_exported_is_described(name):
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name])
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip(), f"{name} says nothing about itself"
    for item in getattr(module, "__all__", []):
        value = getattr(module, item)
        if callable(value):
            assert (value.__doc__ or "").strip(), f"{name}.{item} says nothing about itself"


def test_there_is_a_core():
    assert {"fastnn._core.kernels", "fastnn._core.norms", "fastnn._core.random"} <= set(CORE)


@pytest.mark.parametrize("name", CORE)
def test_core_modules_are_compiled_and_typed(name):
    module = importlib.import_module(name)
    assert not module.__file__.endswith(".py"), f"{name} is not compiled"
    stub = Path(fastnn.__file__).parent / "_core" / f"{name.rpartition('.')[2]}.pyi"
    assert stub.exists(), f"{name} has no {stub.name}"


def test_version_and_marker():
    try:
        installed = importlib.metadata.version("fastnn")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("fastnn runs from its source folder")
    assert installed == fastnn.__version__
    assert (Path(fastnn.__file__).parent / "py.typed").exists()


def test_version_is_that_of_the_sources():
    project = ROOT / "pyproject.toml"
    if not project.exists():
        pytest.skip("the sources are not here")
    import tomllib

    assert tomllib.loads(project.read_text())["project"]["version"] == fastnn.__version__


def test_import_brings_nothing_but_numpy():
    code = """
import sys
import numpy
before = set(sys.modules)
import fastnn
from fastnn import *  # its parts are loaded when they are first used
model = Sequential([Dense(1)])
model.compile("sgd", "mse")
model.fit(numpy.ones((2, 1)), numpy.ones((2, 1)), verbose=0)
heavy = {"scipy", "sklearn", "matplotlib", "pandas", "jax", "torch", "keras", "Cython", "setuptools", "onnx"}
print(sorted(heavy & {name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_source_folder_says_so(tmp_path, sources):
    """Whoever starts Python in the source folder after an install is told why nothing is found."""
    shutil.copytree(sources / "fastnn", tmp_path / "fastnn", ignore=shutil.ignore_patterns("*.so", "*.pyd"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", "import fastnn"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode and "leave it to import the installed fastnn" in done.stderr


def test_unknown_instruction_set_is_refused():
    code = "import fastnn"
    for isa, expected in (("avx1024", "this machine offers"), (fastnn.cpu_info()["available"][0].upper(), "")):
        environment = {**os.environ, "FASTNN_ISA": isa}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == bool(expected)
        assert expected in done.stderr
