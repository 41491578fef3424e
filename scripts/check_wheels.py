"""Are wheels small, and their libraries hardened? Names what is wrong with each, and fails where anything is.

    python scripts/check_wheels.py dist/*.whl

Libraries are looked at in wheels for Linux, by readelf.
"""

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

MOST_BYTES = 2_500_000


def readelf(option: str, library: Path) -> str:
    return subprocess.run(["readelf", "-W", option, library], check=True, capture_output=True, text=True).stdout


def faults(library: Path) -> list[str]:
    """What hardening a shared library lacks."""
    dynamic, segments, symbols = (readelf(option, library) for option in ("-d", "-l", "--dyn-syms"))
    found = []
    if re.search(r"\((RPATH|RUNPATH)\)", dynamic):
        found.append("it has a RUNPATH: libraries are looked for in folders that others may write to")
    if "(TEXTREL)" in dynamic:
        found.append("it has text relocations: its code is written to when it is loaded")
    if not re.search(r"\(FLAGS\).*\bBIND_NOW\b", dynamic) and not re.search(r"\(FLAGS_1\).*\bNOW\b", dynamic):
        found.append("no BIND_NOW: the table of functions stays writable")
    if not re.search(r"^ *GNU_RELRO", segments, re.MULTILINE):
        found.append("no RELRO: the table of functions stays writable")
    stack = re.search(r"^ *GNU_STACK +(?:0x\w+ +){5}(\S+)", segments, re.MULTILINE)
    if stack is None or "E" in stack[1]:
        found.append("its stack is executable")
    if re.search(r"^ *LOAD +(?:0x\w+ +){5}RWE", segments, re.MULTILINE):
        found.append("memory that is writable and executable at once")
    if "__stack_chk_fail" not in symbols:
        found.append("no stack protector")
    return found


def is_fortified(library: Path) -> bool:
    """Whether it calls a checked variant of a function of glibc. Where nothing is copied, there is none to call."""
    return re.search(r"\b__(mem|str|v?sn?printf)\w*_chk\b", readelf("--dyn-syms", library)) is not None


def wrong_with(wheel: Path) -> list[str]:
    found = []
    if wheel.stat().st_size > MOST_BYTES:
        found.append(f"more than {MOST_BYTES:,}")
    if "linux" not in wheel.name:
        return found
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        libraries = sorted(Path(folder).rglob("*.so*"))
        found += [f"{path.name}: {fault}" for path in libraries for fault in faults(path)]
        if not libraries:
            found.append("no extension in it")
        elif "musl" not in wheel.name and not any(map(is_fortified, libraries)):  # musl has no such functions
            found.append("compiled without _FORTIFY_SOURCE")
    return found


def main() -> int:
    wheels = [Path(name) for name in sys.argv[1:]]
    if not wheels:
        print("expected the names of wheels", file=sys.stderr)
        return 2
    failed = False
    for wheel in wheels:
        found = wrong_with(wheel)
        print(f"{wheel}: {wheel.stat().st_size:,} bytes, {'; '.join(found) or 'as it should be'}")
        failed = failed or bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
