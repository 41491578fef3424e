"""What the package exports is there, described and typed."""

import importlib
import importlib.metadata
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from optional import optional

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
        optional(OPTIONAL[name])
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
        optional(OPTIONAL[name])
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
        installed = importlib.metadata.version("fastnn-cpu")
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
    command = [sys.executable, "-c", "import fastnn"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode and "leave it to import the installed fastnn" in done.stderr


# Ways to write: install the distribution named fastnn
OTHERS = re.compile(
    r"(?:\bpipx?3?|\bconda|\bmamba)\s+install\b[^`\n]*?[\s'\"]fastnn(?![-\w./])"
    r"|\b(?:uv|poetry|pdm|pixi)\s+(?:pip\s+install|add)\b[^`\n]*?[\s'\"]fastnn(?![-\w./])"
    r"|(?<![-\w/.])fastnn(?:\[\w|\s*[=~<>]=)"
    r"|pypi\.org/(?:project|simple)/fastnn(?![-\w])"
)


def test_pattern_of_the_other_distribution():
    for text in (
        "pip install fastnn",
        "pip install 'fastnn[sklearn]'",
        'pip install -U "fastnn"',
        "python -m pip install numpy fastnn",
        "uv add fastnn",
        "fastnn[plots]",
        "fastnn>=0.1",
        "https://pypi.org/project/fastnn/",
    ):
        assert OTHERS.search(text), text
    for text in (
        "pip install fastnn-cpu",
        "pip install 'fastnn-cpu[onnx]'",
        "pip uninstall fastnn fastnn-cpu",
        "pip install ./fastnn",
        "cd fastnn; pip install .",
        "import fastnn",
        "https://pypi.org/project/fastnn-cpu/",
    ):
        assert not OTHERS.search(text), text


def test_no_text_recommends_the_other_distribution(sources):
    """The name fastnn on PyPI belongs to a different project: installing it would run a stranger's code."""
    folders = ("fastnn", "docs", "examples", "benchmarks", "scripts", "requirements", ".github", ".ci")
    texts = [path for path in sources.iterdir() if path.is_file() and path.name != ".git"]
    texts += [p for name in folders for p in (sources / name).rglob("*") if p.is_file() and "_build" not in p.parts]
    readable = {".py", ".pyi", ".pyx", ".pxd", ".md", ".txt", ".toml", ".yml", ".yaml", ".cfg", ".sh", ".in", ""}
    texts = [path for path in texts if path.suffix in readable]
    assert len(texts) > 100
    found = []
    for path in texts:
        lines = path.read_text(encoding="utf-8").splitlines()
        found += [f"{path}:{i}: {line}" for i, line in enumerate(lines, 1) if OTHERS.search(line)]
    assert not found, "\n".join(found)


def test_distribution_is_not_named_as_the_other(sources):
    import tomllib

    assert tomllib.loads((sources / "pyproject.toml").read_text())["project"]["name"] == "fastnn-cpu"


def test_import_warns_of_the_other_distribution(tmp_path):
    """Both distributions write into the folder fastnn; pip does not prevent it."""
    shutil.copytree(Path(fastnn.__file__).parent, tmp_path / "fastnn", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def warned():
        command = [sys.executable, "-c", "import fastnn; print(fastnn.__file__)"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert str(tmp_path) in done.stdout
        return done.stderr

    (tmp_path / "fastnn_cpu-0.1.0.dist-info").mkdir()
    assert not warned()
    (tmp_path / "fastnn-0.4.0.dist-info").mkdir()
    assert "RuntimeWarning: another distribution named fastnn is installed (fastnn-0.4.0.dist-info)" in warned()


LARGE = {"keras", "jax", "torch"}  # only make test PEERS=1 installs them
DISTRIBUTIONS = {"sklearn": "scikit-learn", "fastnn_test_package": None}  # the name to install; None is made by tests


def test_only_what_needs_a_large_library_is_skipped(sources):
    """Each package that tests may do without is installed by `make test`, but for the large ones."""
    folder = sources / "requirements"

    def listed(name):
        return set(re.findall(r"^([A-Za-z][\w-]*)", (folder / f"{name}.txt").read_text("utf-8"), re.MULTILINE))

    assert listed("peers") == LARGE
    texts = [path.read_text("utf-8") for path in (sources / "tests").glob("*.py")]
    used = {name for text in texts for name in re.findall(r'optional\("(\w+)', text)} | set(OPTIONAL.values())
    wanted = {DISTRIBUTIONS.get(name, name) for name in used} - {None}
    assert {"scikit-learn", "onnxruntime", "mpmath", "keras"} <= wanted
    installed = {name.lower() for file in ("test", "light", "build") for name in listed(file)}
    assert {name.lower() for name in wanted} - installed <= LARGE


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="FASTNN_ISAS=native needs Linux's /proc/cpuinfo")
def test_a_native_build_has_what_the_processor_has(sources):
    """By Linux's list of features, where the library asks the processor itself."""
    optional("Cython.Build")
    optional("setuptools")
    code = "import runpy; names = runpy.run_path('setup.py'); print(*names['wanted_isas'](names['isa_flags']()))"

    def printed(value):
        environment = {**os.environ, "FASTNN_ISAS": value}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, cwd=sources, capture_output=True, text=True, check=False)

    native, every = (printed(value).stdout.split() for value in ("native", "all"))
    assert native == fastnn.cpu_info()["available"] and set(native) <= set(every)
    done = printed("avx2")
    assert done.returncode and "FASTNN_ISAS: expected 'all' or 'native', got 'avx2'" in done.stderr


def test_unknown_instruction_set_is_refused():
    code = "import fastnn"
    for isa, expected in (("avx1024", "this machine offers"), (fastnn.cpu_info()["available"][0].upper(), "")):
        environment = {**os.environ, "FASTNN_ISA": isa}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == bool(expected)
        assert expected in done.stderr
