"""Build the C helpers once per instruction set and precision, and the Cython modules over them.

Exactly one extension, fastnn._core.kernels, links the helpers; the others reach them through the table that it hands
out.
What is compiled with which flags stands in csrc/isa.mk, which csrc/Makefile reads too.
"""

import os
import platform
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CSRC = Path("csrc")
CORE = Path("fastnn/_core")
HELPERS = sorted(str(p) for pattern in ("*.c", "*.h", "*.def", "*.mk") for p in CSRC.glob(pattern))
# Behind all others, so that they win. Python's own flags ask for debugging information, which multiplies size and build
# time by several; FASTNN_CFLAGS can ask for it again, and for sanitizers.
EXTRA_FLAGS = ["-g0", *os.environ.get("FASTNN_CFLAGS", "").split()]
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


def for_compiler(flags: list[str]) -> list[str]:
    """On Windows clang-cl, which takes clang's own flags behind /clang:."""
    return [f"/clang:{flag}" for flag in flags] if sys.platform == "win32" else flags


class BuildExt(build_ext):
    """build_ext that compiles csrc for every instruction set and links it into the one extension that owns it."""

    def build_extensions(self) -> None:
        if self.compiler.compiler_type == "msvc":  # its own compiler knows neither the flags nor the vector types
            self.compiler.initialize()
            self.compiler.cc = "clang-cl.exe"
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        if ext.name == "fastnn._core.kernels":
            ext.extra_objects = self.compile_helpers()
        super().build_extension(ext)

    def compile_helpers(self) -> list[str]:
        flags = isa_flags()
        isas = flags[f"ISAS_{target_family()}"]
        have = [(f"FNN_HAVE_{isa}", "1") for isa in isas]
        jobs = [(CSRC / f"{name}.c", "common", have, []) for name in ("threads", "cores", "random", "dispatch")]
        for isa in isas:
            for double in "01":
                macros = [("FNN_ISA", isa), ("FNN_DOUBLE", double)]
                jobs.append((CSRC / "kernels.c", f"{isa}{double}", macros, flags[f"CFLAGS_{isa}"]))

        def compile_one(job: tuple[Path, str, list[tuple[str, str]], list[str]]) -> list[str]:
            source, folder, macros, extra = job
            return self.compiler.compile(
                [str(source)],
                output_dir=str(Path(self.build_temp) / folder),  # the same name from each job: a folder apiece
                macros=macros,
                include_dirs=[str(CSRC)],
                extra_postargs=for_compiler([*flags["CFLAGS_all"], *extra, *EXTRA_FLAGS]),
            )

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return [path for paths in pool.map(compile_one, jobs) for path in paths]


def extension(name: str, source: str) -> Extension:
    return Extension(
        name,
        [source],
        include_dirs=[str(CSRC), numpy.get_include()],
        depends=HELPERS,
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("CYTHON_USE_MODULE_STATE", "0")],
        extra_compile_args=for_compiler(
            [f for f in isa_flags()["CFLAGS_all"] if not f.startswith("-W")] + ["-Wno-unused-function", *EXTRA_FLAGS]
        ),
        extra_link_args=[] if sys.platform == "win32" else ["-pthread"],
    )


setup(
    ext_modules=cythonize(
        [
            *(extension(f"fastnn._core.{path.stem}", str(path)) for path in sorted(CORE.glob("*.pyx"))),
            extension(VIEWS, f"{CORE}/_views.c"),  # which cythonize writes
        ],
        build_dir="build/cython",
        shared_utility_qualified_name=VIEWS,
        compiler_directives=DIRECTIVES,
        annotate=bool(os.environ.get("FASTNN_ANNOTATE")),
    ),
    cmdclass={"build_ext": BuildExt},
)
