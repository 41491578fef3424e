"""fastnn/activations.pyi from the module itself: `python scripts/stubs.py` writes it, `--check` compares.

The functions of the table are made when the module is imported; type checkers and editors see them through this file.
"""

import argparse
import inspect
import sys
from pathlib import Path

from fastnn import activations

TARGET = Path(__file__).parents[1] / "fastnn" / "activations.pyi"

HEAD = """# Written by scripts/stubs.py from the table of activations.
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn._validate import FloatArray

Function: TypeAlias = Callable[..., Any]

class Parameter:
    name: str
    default: float
    bound: str
    def check(self, value: Any) -> float: ...

class Row:
    kind: int
    name: str
    formula: str
    range: str
    reads: str
    rowwise: bool
    parameters: tuple[Parameter, ...]
    kinks: tuple[tuple[str, str], ...]
    def values(self, *args: Any, **kwargs: Any) -> npt.NDArray[np.float64]: ...

TABLE: dict[str, Row]
ALIASES: dict[str, str]
"""


def argument(parameter: inspect.Parameter) -> str:
    """One parameter with its type: those of the table are numbers."""
    kind = parameter.annotation
    if kind is inspect.Parameter.empty:
        kind = {"x": "npt.ArrayLike", "out": "FloatArray | None"}.get(parameter.name, "float")
    stars = "**" if parameter.kind is inspect.Parameter.VAR_KEYWORD else ""
    default = "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default}".replace("inf", "...")
    return f"{stars}{parameter.name}: {kind}{default}"


def declaration(name: str) -> str:
    """def name(...) -> ...: ..."""
    signature = inspect.signature(getattr(activations, name))
    words, keyword_only = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            words.append("*")
        words.append(argument(parameter))
    returns = signature.return_annotation
    result = "FloatArray" if returns is inspect.Signature.empty else returns
    line = f"def {name}({', '.join(words)}) -> {result}: ..."
    return (
        line
        if len(line) <= 120
        else "\n    ".join([f"def {name}(", *(f"{word}," for word in words)]) + f"\n) -> {result}: ..."
    )


def stub() -> str:
    """The whole file."""
    names = "".join(f"    {name!r},\n" for name in activations.__all__).replace("'", '"')
    return f"{HEAD}\n__all__ = [\n{names}]\n\n" + "\n".join(declaration(name) for name in activations.__all__) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="fastnn/activations.pyi")
    parser.add_argument("--check", action="store_true", help="exit status 1 if the file is not up to date")
    if not parser.parse_args().check:
        TARGET.write_text(stub())
    elif TARGET.read_text() != stub():
        sys.exit(f"{TARGET} is not up to date; run python scripts/stubs.py")
