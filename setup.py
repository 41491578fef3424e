"""Build the C helpers once per instruction set and precision, and the Cython modules over them.

Exactly one extension, fastnn._core.kernels, links the helpers; the others reach them through the table that it hands
out.
What is compiled with which flags stands in csrc/isa.mk, which csrc/Makefile reads too.
"""

import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

CSRC = Path("csrc")
CORE = Path("fastnn/_core")
HELPERS = sorted(str(p) for pattern in ("*.c", "*.h", "*.def", "*.mk") for p in CSRC.glob(pattern))
# An extension that is older than one of these is built again; the one that links csrc also if a C source is newer
HEADERS = ["setup.py", *(path for path in HELPERS if not path.endswith(".c"))]
# Behind all others, so that they win. Python's own flags ask for debugging information, which multiplies size and build
# time by several, and for warnings, which cost 5 % of the time and which csrc/Makefile shows. FASTNN_CFLAGS can ask for
# both again, and for sanitizers.
EXTRA_FLAGS = ["-g0", "-w", *os.environ.get("FASTNN_CFLAGS", "").split()]
# Hardening on Linux: canaries on the stack, checked variants of memcpy and the like, no table of functions that stays
# writable. The sanitizers bring checks of their own, which those of _FORTIFY_SOURCE would hide; without optimization it
# has none.
HARDENED = ["-fstack-protector-strong", "-U_FORTIFY_SOURCE"]
# Nothing that the kernels call unwinds the stack: the tables for it would be 25 KB of a wheel
WITHOUT_TABLES: list[str] = []
if sys.platform == "linux" and not re.search(r"-fsanitize|-O0", os.environ.get("FASTNN_CFLAGS", "")):
    HARDENED.append("-D_FORTIFY_SOURCE=2")
    WITHOUT_TABLES.append("-fno-asynchronous-unwind-tables")
HARDENED_LINK = ["-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack"]
# What changes the compiled code without changing a file
ENVIRONMENT = ("ARCHFLAGS", "CC", "CFLAGS", "CPPFLAGS", "FASTNN_CFLAGS", "FASTNN_ISAS", "LDFLAGS")
KERNELS = "fastnn._core.kernels"  # which links the helpers
# What Cython needs for typed views of arrays: a module that the others share, which is 40 KB less in each of them
VIEWS = "fastnn._core._views"
FAMILIES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
    "freethreading_compatible": False,
}


def isa_flags() -> dict[str, list[str]]:
    """The NAME = flags lines of isa.mk."""
    lines = re.findall(r"^(\w+) *=(.*)$", (CSRC / "isa.mk").read_text(), re.MULTILINE)
    return {name: flags.split() for name, flags in lines}


def target_family() -> str:
    """The processor family that the extension is built for, which cross-compilers name in the environment."""
    machine = os.environ.get("_PYTHON_HOST_PLATFORM", "").rpartition("-")[2] or platform.machine()
    archflags = re.findall(r"-arch (\w+)", os.environ.get("ARCHFLAGS", ""))
    return FAMILIES.get((archflags or [machine])[0].lower(), "other")


def wanted_isas(flags: dict[str, list[str]]) -> list[str]:
    """The instruction sets to compile the kernels for. With FASTNN_ISAS=native, on Linux, those of this processor: that
    takes less time, and makes a package for this machine only."""
    isas, told = flags[f"ISAS_{target_family()}"], Path("/proc/cpuinfo")
    if os.environ.get("FASTNN_ISAS", "all") == "all" or not told.exists():
        return isas
    if os.environ["FASTNN_ISAS"] != "native":
        sys.exit(f"FASTNN_ISAS: expected 'all' or 'native', got {os.environ['FASTNN_ISAS']!r}")
    has = set(told.read_text().split())
    return [isa for isa in isas if {f[2:] for f in flags[f"CFLAGS_{isa}"] if re.match("-m(avx|fma)", f)} <= has]


def for_compiler(flags: list[str]) -> list[str]:
    """On Windows clang-cl, which takes clang's own flags behind /clang:."""
    return [f"/clang:{flag}" for flag in flags] if sys.platform == "win32" else flags


Job = tuple[str, Callable[[], list[str]]]  # what it compiles, and the function that does it and returns the objects


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(jobs: list[Job]) -> list[list[str]]:
    """Begin the jobs in this order, on all cores, and return their objects. After a failure no other job begins."""
    with ThreadPoolExecutor(cores()) as pool:

        def run(number: int, name: str, job: Callable[[], list[str]]) -> list[str]:
            print(f"[{number:2}/{len(jobs)}] {name}", flush=True)
            return job()

        futures = [pool.submit(run, i, *job) for i, job in enumerate(jobs, 1)]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def harden(compiler: Any) -> None:
    """Add the flags above, and leave out the RUNPATH that some builds of Python ask for."""
    compiler.compiler_so = [*compiler.compiler_so, *HARDENED]
    kept = [flag for flag in compiler.linker_so if not re.match(r"-Wl,(-R|--?rpath[,=])", flag)]
    compiler.linker_so = [*kept, *HARDENED_LINK]


class BuildExt(build_ext):
    """build_ext on all cores, which compiles csrc for every instruction set into the one extension that owns it."""

    def build_extensions(self) -> None:
        begin = time.monotonic()
        if self.compiler.compiler_type == "msvc":  # its own compiler knows neither the flags nor the vector types
            self.compiler.initialize()
            self.compiler.cc = "clang-cl.exe"
        if sys.platform == "linux":
            harden(self.compiler)
        flags = Path(self.build_temp) / ("flags-in-place" if self.inplace else "flags")
        values = repr([os.environ.get(name) for name in ENVIRONMENT])
        self.force = self.force or not flags.exists() or flags.read_text() != values

        self.translate()
        stale = [ext for ext in self.extensions if self.is_stale(ext)]
        kernels = next((ext for ext in stale if ext.name == KERNELS), None)
        # The longest jobs begin first, so that no core is idle at the end
        jobs = [] if kernels is None else list(self.helpers())
        helpers = len(jobs)
        for ext in sorted(stale, key=lambda ext: -os.path.getsize(ext.sources[0])):
            if ext is not kernels:
                jobs.append((ext.name, lambda ext=ext: self.build_extension(ext) or []))
        done = run_all(jobs)
        if kernels is not None:
            kernels.extra_objects = [path for paths in done[:helpers] for path in paths]
            self.build_extension(kernels)
        if stale:
            print(f"compiled and linked {len(stale)} extensions in {time.monotonic() - begin:.0f} s", flush=True)
        flags.parent.mkdir(parents=True, exist_ok=True)
        flags.write_text(values)

    def translate(self) -> None:
        """From Cython to C: here, and not for each command of setup.py, of which pip runs three."""
        print(f"translating {len(self.extensions)} Cython modules to C, where they changed", flush=True)
        translated = cythonize(
            [Extension(ext.name, ext.sources) for ext in self.extensions],
            build_dir="build/cython",
            shared_utility_qualified_name=VIEWS,
            compiler_directives=DIRECTIVES,
            annotate=bool(os.environ.get("FASTNN_ANNOTATE")),
            nthreads=cores() if cores() > 1 else 0,
            quiet=True,
        )
        sources = {ext.name: ext.sources for ext in translated}
        for ext in self.extensions:
            ext.sources = sources[ext.name]

    def is_stale(self, ext: Extension) -> bool:
        return self.force or newer_group([*ext.sources, *ext.depends], self.get_ext_fullpath(ext.name), "newer")

    def helpers(self) -> Iterable[Job]:
        """The jobs that compile csrc."""
        flags = isa_flags()
        isas = wanted_isas(flags)
        have = [(f"FNN_HAVE_{isa}", "1") for isa in isas]

        def compile_one(source: str, folder: str, macros: list[tuple[str, str]], extra: list[str]) -> list[str]:
            return self.compiler.compile(
                [str(CSRC / source)],
                output_dir=str(Path(self.build_temp) / folder),  # the same name from each job: a folder apiece
                macros=macros,
                include_dirs=[str(CSRC)],
                extra_postargs=for_compiler([*flags["CFLAGS_all"], *extra, *EXTRA_FLAGS]),
            )

        for isa in isas:
            for double, precision in enumerate(("float32", "float64")):
                macros = [("FNN_ISA", isa), ("FNN_DOUBLE", str(double))]
                extra = [*flags[f"CFLAGS_{isa}"], *WITHOUT_TABLES]
                job = partial(compile_one, "kernels.c", f"{isa}{double}", macros, extra)
                yield f"csrc/kernels.c, {isa}, {precision}", job
        for name in ("threads", "cores", "random", "dispatch"):
            yield f"csrc/{name}.c", partial(compile_one, f"{name}.c", "common", have, [])


def extension(name: str, source: str) -> Extension:
    flags = [flag for flag in isa_flags()["CFLAGS_all"] if not flag.startswith("-W")]
    if name == VIEWS:  # no loops
        flags.append("-O2")
    return Extension(
        name,
        [source],
        include_dirs=[str(CSRC), numpy.get_include()],
        depends=[*HEADERS, *HELPERS] if name == KERNELS else HEADERS,
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("CYTHON_USE_MODULE_STATE", "0")],
        extra_compile_args=for_compiler([*flags, *EXTRA_FLAGS]),
        extra_link_args=[] if sys.platform == "win32" else ["-pthread"],
    )


if __name__ == "__main__":  # not so in the processes in which Cython works
    setup(
        ext_modules=[
            *(extension(f"fastnn._core.{path.stem}", str(path)) for path in sorted(CORE.glob("*.pyx"))),
            extension(VIEWS, f"{CORE}/_views.c"),  # which cythonize writes
        ],
        cmdclass={"build_ext": BuildExt},
    )
