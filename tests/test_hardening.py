"""How the compiled extensions are hardened, and how wheels are checked for it."""

import os
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fastnn import _core

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ELF is Linux's format")

EXTENSIONS = sorted(Path(_core.__path__[0]).glob("*.so"))
SANITIZED = any(name in os.environ.get("LD_PRELOAD", "") for name in ("libasan", "libtsan"))


@pytest.fixture
def check(sources):
    return runpy.run_path(str(sources / "scripts" / "check_wheels.py"))


def compiled(folder, name, *flags, code="int f(void) { return 1; }"):
    """A shared library that a C compiler made with these flags."""
    library = folder / f"{name}.so"
    source = folder / f"{name}.c"
    source.write_text(code)
    command = [*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", "-O2", *flags, str(source), "-o", str(library)]
    subprocess.run(command, check=True, capture_output=True)
    return library


def test_the_installed_extensions_are_hardened(check):
    assert len(EXTENSIONS) > 10
    assert {path.name: check["faults"](path) for path in EXTENSIONS} == {path.name: [] for path in EXTENSIONS}
    fortified = any(map(check["is_fortified"], EXTENSIONS))
    libraries = check["readelf"]("-d", EXTENSIONS[0])
    assert fortified == ("libc.so.6" in libraries and not SANITIZED)  # musl has no checked functions


ARRAY = "void g(char *); int f(void) { char a[64]; g(a); return a[0]; }"
GOOD = ("-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack", "-fstack-protector-strong")


@pytest.mark.parametrize(
    "flags, fault",
    [
        (("-Wl,-rpath,/tmp",), "RUNPATH"),
        (("-Wl,-rpath,/tmp", "-Wl,--disable-new-dtags"), "RUNPATH"),
        (("-Wl,-z,lazy",), "BIND_NOW"),
        (("-Wl,-z,norelro",), "RELRO"),
        (("-Wl,-z,execstack",), "stack is executable"),
        (("-fno-stack-protector",), "stack protector"),
    ],
)
def test_each_fault_is_found(check, tmp_path, flags, fault):
    assert check["faults"](compiled(tmp_path, "good", *GOOD, code=ARRAY)) == []
    [found] = check["faults"](compiled(tmp_path, "bad", *GOOD, *flags, code=ARRAY))
    assert fault in found


def test_wheels_are_checked(check, sources, tmp_path):
    def wheel(name, *files):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, f"fastnn/_core/{file.name}")
        return path

    def run(*wheels):
        program = sources / "scripts" / "check_wheels.py"
        return subprocess.run([sys.executable, program, *wheels], check=False, capture_output=True, text=True)

    large = tmp_path / "large.so"
    large.write_bytes(os.urandom(2_500_001))
    bad = compiled(tmp_path, "bad", *GOOD, "-Wl,-rpath,/tmp", code=ARRAY)
    plain = compiled(tmp_path, "plain", *GOOD, "-U_FORTIFY_SOURCE", code=ARRAY)
    result = run(wheel("a-manylinux_2_28_x86_64.whl", bad))
    assert result.returncode == 1 and "bad.so: it has a RUNPATH" in result.stdout
    result = run(wheel("b-manylinux_2_28_x86_64.whl", plain))
    assert result.returncode == 1 and "without _FORTIFY_SOURCE" in result.stdout
    assert run(wheel("c-musllinux_1_2_x86_64.whl", plain)).returncode == 0
    result = run(wheel("d-macosx_11_0_arm64.whl", large))
    assert result.returncode == 1 and "more than 2,500,000" in result.stdout
    result = run(wheel("e-manylinux_2_28_x86_64.whl"))
    assert result.returncode == 1 and "no extension" in result.stdout
    assert run().returncode == 2


def test_build_tools_are_pinned_exactly(sources):
    pinned = re.compile(r"[\w.-]+==[\w.]+( *;.*)?")
    for name in ("build", "wheel", "cross"):
        lines = (sources / "requirements" / f"{name}.txt").read_text().splitlines()
        tools = [line for line in lines if line and not line.startswith("#")]
        assert tools, name
        assert [line for line in tools if not pinned.fullmatch(line)] == [], name
    workflows = sorted((sources / ".github" / "workflows").glob("*.yml"))
    installs = [line for path in workflows for line in re.findall(r"pip install (.*)", path.read_text())]
    assert [line for line in installs if not line.startswith("dist/") and not pinned.fullmatch(line)] == []
    uses = [line for path in workflows for line in re.findall(r"uses: (.*)", path.read_text())]
    assert len(uses) > 5
    assert [line for line in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", line)] == []
