"""Models as C99: one file with the weights and a function that predicts a sample, and a header beside it.

The model is lowered to the ops that the engine runs (fastnn/_program.py), and each op is written as a loop, or as the
call of a function. Values that do not live at the same time share memory, and an op that can writes over what it reads.
In the templates `real` is float or double, and `$` is the suffix of float's constants and functions.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import __version__, _atomic, activations
from fastnn._core import norms
from fastnn._program import Builder, Span, lay_out
from fastnn.layers._base import OutputPenalty
from fastnn.layers._dense import PythonActivation

__all__ = ["save"]

# ----------------------------------------------------------------------------------------------- what a file may hold

FUNCTIONS = {
    "clip": """\
static real clip(real x, real low, real high) { return x < low ? low : x > high ? high : x; }""",
    "sigmoid": """\
static real sigmoid(real x)
{
    const real e = exp$(-fabs$(x));
    return (x < 0 ? e : 1) / (1 + e);
}""",
    "softplus": """\
static real softplus(real x) { return (x < 0 ? 0 : x) + log1p$(exp$(-fabs$(x))); }""",
    "gated": """\
/* x / (1 + exp(-z)), where exp(z) may be too small for a real though x exp(z) is not */
static real gated(real x, real z)
{
    const real half = exp$(-fabs$(z) / 2);
    return (z < 0 ? x * half * half : x) / (1 + half * half);
}""",
    "squareplus": """\
/* (x + root) / 2; where x < 0 as b / (2 (root - x)), which does not cancel */
static real squareplus(real x, real b)
{
    const real y = hypot$(x, sqrt$(b)) / 2 + fabs$(x) / 2;
    return x < 0 ? b / 4 / y : y;
}""",
    "softmax": """\
static void softmax(const real *x, real *y, long rows, long n)
{
    for (long i = 0; i < rows; i++, x += n, y += n) {
        real largest = x[0], sum = 0;
        for (long j = 1; j < n; j++)
            largest = x[j] > largest ? x[j] : largest;
        for (long j = 0; j < n; j++)
            sum += y[j] = exp$(x[j] - largest);
        for (long j = 0; j < n; j++)
            y[j] /= sum;
    }
}""",
    "log_softmax": """\
static void log_softmax(const real *x, real *y, long rows, long n)
{
    for (long i = 0; i < rows; i++, x += n, y += n) {
        real largest = x[0], sum = 0;
        for (long j = 1; j < n; j++)
            largest = x[j] > largest ? x[j] : largest;
        for (long j = 0; j < n; j++)
            sum += exp$(x[j] - largest);
        sum = log$(sum);
        for (long j = 0; j < n; j++)
            y[j] = (x[j] - largest) - sum;
    }
}""",
    "sparsemax": """\
/* max(x - tau, 0), x less the largest: tau begins at -1 and rises as elements that are not above it are left out */
static void sparsemax(const real *x, real *y, long rows, long n)
{
    for (long i = 0; i < rows; i++, x += n, y += n) {
        real largest = x[0], tau = -1;
        long count = n + 1, before;
        for (long j = 1; j < n; j++)
            largest = x[j] > largest ? x[j] : largest;
        do {
            real sum = 0;
            before = count;
            count = 0;
            for (long j = 0; j < n; j++)
                if (!(x[j] - largest <= tau)) {
                    sum += x[j] - largest;
                    count++;
                }
            tau = (sum - 1) / (real)count;
        } while (count < before);
        for (long j = 0; j < n; j++)
            y[j] = x[j] - largest <= tau ? 0 : x[j] - largest - tau;
    }
}""",
    "glu": """\
static void glu(const real *x, real *y, long rows, long n)
{
    for (long i = 0; i < rows; i++, x += 2 * n, y += n)
        for (long j = 0; j < n; j++)
            y[j] = gated(x[j], x[n + j]);
}""",
    "dense": """\
/* y[rows][outputs] = x[rows][inputs] w[inputs][outputs] + b[outputs] */
static void dense(const real *x, real *y, const real *w, const real *b, long rows, long inputs, long outputs)
{
    for (long r = 0; r < rows; r++, x += inputs, y += outputs) {
        const real *row = w;
        for (long o = 0; o < outputs; o++)
            y[o] = 0;
        for (long i = 0; i < inputs; i++, row += outputs)
            for (long o = 0; o < outputs; o++)
                y[o] += x[i] * row[o];
        for (long o = 0; b && o < outputs; o++)
            y[o] += b[o];
    }
}""",
    "layer_norm": """\
static void layer_norm(const real *x, real *y, const real *gamma, const real *beta, long rows, long n, real epsilon)
{
    for (long i = 0; i < rows; i++, x += n, y += n) {
        double mean = 0, squares = 0;
        for (long j = 0; j < n; j++)
            mean += x[j];
        mean /= (double)n;
        for (long j = 0; j < n; j++)
            squares += (x[j] - mean) * (x[j] - mean);
        const double scale = 1 / sqrt(squares / (double)n + epsilon);
        for (long j = 0; j < n; j++)
            y[j] = (real)((x[j] - mean) * scale) * (gamma ? gamma[j] : 1) + (beta ? beta[j] : 0);
    }
}""",
    "rms_norm": """\
static void rms_norm(const real *x, real *y, const real *gamma, long rows, long n, real epsilon)
{
    for (long i = 0; i < rows; i++, x += n, y += n) {
        double squares = 0;
        for (long j = 0; j < n; j++)
            squares += (double)x[j] * x[j];
        const double scale = 1 / sqrt(squares / (double)n + epsilon);
        for (long j = 0; j < n; j++)
            y[j] = (real)(x[j] * scale) * (gamma ? gamma[j] : 1);
    }
}""",
    "embed": """\
/* y[i] = table[x[i]]; NaN where there is no such row */
static void embed(const real *x, real *y, const real *table, long count, long n_rows, long n)
{
    for (long i = 0; i < count; i++, y += n) {
        const int known = x[i] >= 0 && x[i] < (real)n_rows;
        for (long j = 0; j < n; j++)
            y[j] = known ? table[(long)x[i] * n + j] : (real)NAN;
    }
}""",
}
NEEDS = {"glu": ("gated",)}

# An activation of x as an expression; {0}, {1}, ... are its parameters
EXPRESSIONS = {
    "linear": "x",
    "step": "x != x ? x : x >= 0 ? 1 : 0",
    "relu": "x < 0 ? 0 : x",
    "relu6": "clip(x, 0, 6)",
    "leaky_relu": "x > 0 ? x : {0} * x",
    "relu_general": "x > {2} ? (x > {1} ? {1} : x) : x != x ? x : {0} == 0 ? 0 : {0} * (x - {2})",
    "hard_sigmoid": "clip(x + 3, 0, 6) / 6",
    "hard_tanh": "clip(x, -1, 1)",
    "hard_silu": "x * (clip(x + 3, 0, 6) / 6)",
    "threshold": "x <= {0} ? {1} : x",
    "hard_shrink": "fabs$(x) <= {0} ? 0 : x",
    "soft_shrink": "x < -{0} ? x + {0} : x > {0} ? x - {0} : x != x ? x : 0",
    "sparse_sigmoid": "clip(x + 1, 0, 2) / 2",
    "sparse_plus": "x >= 1 ? x : x < -1 ? 0 : (x + 1) * (x + 1) / 4",
    "softsign": "x / (1 + fabs$(x))",
    "squareplus": "squareplus(x, {0})",
    "exponential": "exp$(x)",
    "sigmoid": "sigmoid(x)",
    "tanh": "tanh$(x)",
    "tanh_shrink": "x - tanh$(x)",
    "elu": "x > 0 ? x : {0} * expm1$(x)",
    "celu": "x > 0 ? x : {0} * expm1$(x / {0})",
    "selu": "1.0507009873554805$ * (x > 0 ? x : 1.6732632423543773$ * expm1$(x))",
    "softplus": "softplus(x)",
    "log_sigmoid": "-softplus(-x)",
    "silu": "gated(x, x)",
    "mish": "x * tanh$(softplus(x))",
    "gelu": "x / 2 * erfc$(-0.7071067811865476$ * x)",
    "gelu_tanh": "gated(x, 1.5957691216057308$ * (x + 0.044715$ * x * x * x))",
}
IN_PLACE = {"activate", "prelu", "batch_norm", "layer_norm", "add"}
KEEPS = {"dropout", "noise", "penalize"}  # y = x outside training

# What code takes is estimated from what compilers make of it for small machines, optimised for size
CODE_OF_FUNCTION, CODE_OF_OP, STACK = 200, 70, 256


def save(model: Any, path: Any) -> None:
    """Write a built model as C: both files, or neither."""
    target = os.fspath(path)
    beginning, ending = os.path.splitext(target)
    if ending != ".c":
        raise ValueError(
            f"filepath: expected a name that ends in .c, since a header is written beside it, got {target!r}"
        )
    program = Program(model, os.path.basename(beginning))
    texts = {f"{beginning}.h": program.header(), target: program.source()}
    _atomic.write_together({name: text.encode("ascii") for name, text in texts.items()})


def identifier(text: str) -> str:
    """A name that C takes."""
    name = re.sub(r"[^0-9A-Za-z_]", "_", text)
    return name if re.match("[A-Za-z]", name) else f"n{name}"


def changes_nothing(op: Mapping[str, Any]) -> bool:
    return op["kind"] in KEEPS or (op["kind"] == "python" and isinstance(op["layer"], OutputPenalty))


def writes_over(op: Mapping[str, Any]) -> bool:
    """Whether an op's output may lie where its input does."""
    return op["kind"] in IN_PLACE or (op["kind"] == "activate_rows" and op["name"] != "glu")


def homes(builder: Builder) -> tuple[list[int], dict[int, Span]]:
    """In which buffer's memory each buffer lies, and from which op to which each of those is needed.

    An op that changes nothing gives back what it reads; one that can writes over it, where nobody reads it later.
    """
    home = list(range(len(builder.sizes)))
    last = dict.fromkeys(home, -1)
    for i, op in enumerate(builder.ops):
        for source in ("input", "other"):
            if source in op:
                last[op[source]] = i
    last[builder.output.buffer] = len(builder.ops)
    spans: dict[int, Span] = {}
    for i, op in enumerate(builder.ops):
        source, made = home[op["input"]], op["output"]
        if changes_nothing(op) or (writes_over(op) and source and last[source] == i):
            home[made] = source
            last[source] = max(last[source], last[made])
        elif made not in spans:
            spans[made] = Span(builder.sizes[made], i, i)
    for buffer, span in spans.items():
        span.end = max(span.end, last[buffer])
    return home, spans


class Program:
    """The text of the two files, as it is put together."""

    def __init__(self, model: Any, stem: str) -> None:
        self.model, self.name = model, identifier(stem)
        self.real, self.suffix = ("float", "f") if model._dtype == np.float32 else ("double", "")
        self.constants: dict[str, npt.NDArray[Any]] = {}
        self.functions: set[str] = set()
        self.body: list[str] = []
        self.variables = {(v.in_trainables, v.offset): v for layer in model._flat() for v in layer._variables}
        self.builder = builder = model._lowered()
        self.home, spans = homes(builder)
        self.result = self.home[builder.output.buffer]
        inside = {buffer: span for buffer, span in spans.items() if buffer != self.result}
        self.work = lay_out(inside.values())
        self.places = {buffer: span.place for buffer, span in inside.items()}
        layer = ""
        for op, name in zip(builder.ops, builder.names, strict=True):
            if changes_nothing(op):
                continue
            if name != layer:
                layer = name
                self.body.append(f"/* {identifier(name)} */")
            self.layer = name
            self.write(op)
        if not self.result:  # nothing has been done to the input
            self.loop(builder.output.size, "output[i] = input[i];")

    # ------------------------------------------------------------------------------------------------------- pieces

    def number(self, value: Any) -> str:
        """A constant, with as many digits as tell it from its neighbours."""
        if np.isnan(value):
            return "NAN"
        if np.isinf(value):
            return "INFINITY" if value > 0 else "-INFINITY"
        return f"{str(np.float32(value)) if self.suffix else repr(float(value))}{self.suffix}"

    def array(self, values: Any, name: str) -> str:
        """An array of constants by a name of its own."""
        wanted = found = identifier(name)
        number = 1
        while found in self.constants:
            number += 1
            found = f"{wanted}_{number}"
        self.constants[found] = np.asarray(values).ravel()
        return found

    def each(self, values: Any, name: str) -> str:
        """Element j of constants: a number where they are all the same."""
        array = np.asarray(values, self.model._dtype).ravel()
        same = np.all(array.view(f"u{array.itemsize}") == array.view(f"u{array.itemsize}")[0])
        return self.number(array[0]) if same else f"{self.array(array, f'{self.layer}_{name}')}[j]"

    def weight(self, op: Mapping[str, Any], role: str) -> str:
        """The name of an op's weights, or 0 for none."""
        if op[role] < 0:
            return "0"
        variable = self.variables[op[f"{role}_trains"], op[role]]
        return self.array(variable.array, variable.path)

    def values(self, op: Mapping[str, Any], role: str, default: float) -> npt.NDArray[np.float64]:
        """The numbers of an op's weights in double precision."""
        at = (op.get(f"{role}_trains", False), op[role])
        array: npt.NDArray[np.float64] = np.asarray(default if op[role] < 0 else self.variables[at].array, np.float64)
        return array

    def buffer(self, number: int) -> str:
        """The name of a buffer's memory."""
        home = self.home[number]
        return "output" if home == self.result and home else f"b{home}" if home else "input"

    def use(self, name: str) -> str:
        self.functions |= {name, *NEEDS.get(name, ())}
        return name

    def expression(self, name: str, parameters: Iterable[float]) -> str:
        """An activation of x."""
        text = EXPRESSIONS[name].replace("$", self.suffix).format(*map(self.number, parameters))
        for function in FUNCTIONS:
            if re.search(rf"\b{function}\(", text):
                self.use(function)
        return text

    def loop(self, count: int, *lines: str) -> None:
        """Something for each i."""
        self.body.append(f"for (long i = 0; i < {count}; i++)" + (" {" if len(lines) > 1 else ""))
        self.body += [f"    {line}" for line in lines]
        self.body += ["}"] * (len(lines) > 1)

    def loops(self, rows: int, columns: int, line: str) -> None:
        """Something for each column j of each row i."""
        inside = f"for (long j = 0; j < {columns}; j++)"
        self.body += [f"for (long i = 0; i < {rows}; i++)", f"    {inside}", f"        {line}"]

    # ----------------------------------------------------------------------------------------------------------- ops

    def write(self, op: Mapping[str, Any]) -> None:
        """One op as code."""
        getattr(self, f"write_{op['kind']}")(op, self.buffer(op["input"]), self.buffer(op["output"]))

    def call(self, function: str, *arguments: Any) -> None:
        self.body.append(f"{self.use(function)}({', '.join(map(str, arguments))});")

    def activate(self, name: str, parameters: Any, count: int, x: str, y: str) -> None:
        given = parameters[: len(activations.TABLE[name].parameters)]
        if name != "linear":
            self.loop(count, f"const real x = {x}[i];", f"{y}[i] = {self.expression(name, given)};")

    def write_dense(self, op: Mapping[str, Any], x: str, y: str) -> None:
        self.call(
            "dense", x, y, self.weight(op, "w"), self.weight(op, "b"), op["rows"], op["inputs"], op["outputs"]
        )  # fmt: skip
        row = next(r for r in activations.TABLE.values() if not r.rowwise and r.kind == op["activation"])
        self.activate(row.name, op["parameters"], op["rows"] * op["outputs"], y, y)

    def write_activate(self, op: Mapping[str, Any], x: str, y: str) -> None:
        self.activate(op["name"], op["parameters"], op["rows"] * op["inputs"], x, y)

    def write_activate_rows(self, op: Mapping[str, Any], x: str, y: str) -> None:
        self.call(op["name"], x, y, op["rows"], op["outputs"])

    def write_prelu(self, op: Mapping[str, Any], x: str, y: str) -> None:
        alpha = self.each(self.values(op, "w", 0), "alpha")
        at = f"i * {op['inputs']} + j"
        self.loops(op["rows"], op["inputs"], f"{y}[{at}] = ({x}[{at}] > 0 ? 1 : {alpha}) * {x}[{at}];")

    def write_batch_norm(self, op: Mapping[str, Any], x: str, y: str) -> None:
        """(x - mean) scale + beta, without the steps that change nothing"""
        mean, variance = self.values(op, "mean", 0), self.values(op, "variance", 1)
        scale = self.values(op, "w", 1) / np.sqrt(variance + op["parameters"][0])
        beta = self.values(op, "b", 0)
        at = f"i * {op['inputs']} + j"
        text = f"{x}[{at}]"
        if np.any(mean != 0):
            text = f"({text} - {self.each(mean, 'mean')})"
        if np.any(scale != 1):
            text = f"{text} * {self.each(scale, 'scale')}"
        if np.any(beta != 0):
            text = f"{text} + {self.each(beta, 'offset')}"
        self.loops(op["rows"], op["inputs"], f"{y}[{at}] = {text};")

    def write_layer_norm(self, op: Mapping[str, Any], x: str, y: str) -> None:
        size = (op["rows"], op["inputs"], self.number(op["parameters"][0]))
        if op["activation"] == norms.RMS:
            self.call("rms_norm", x, y, self.weight(op, "w"), *size)
        else:
            self.call("layer_norm", x, y, self.weight(op, "w"), self.weight(op, "b"), *size)

    def write_embed(self, op: Mapping[str, Any], x: str, y: str) -> None:
        self.call("embed", x, y, self.weight(op, "w"), op["rows"], op["inputs"], op["outputs"])

    def write_add(self, op: Mapping[str, Any], x: str, y: str) -> None:
        self.loop(op["rows"] * op["inputs"], f"{y}[i] = {x}[i] + {self.buffer(op['other'])}[i];")

    def write_place(self, op: Mapping[str, Any], x: str, y: str) -> None:
        to = f"i * {op['outputs']} + {op['column']} + j"
        self.loops(op["rows"], op["inputs"], f"{y}[{to}] = {x}[i * {op['inputs']} + j];")

    def write_gather(self, op: Mapping[str, Any], x: str, y: str) -> None:
        kind = np.uint16 if op["inputs"] <= 1 << 16 else np.uint32
        order = self.array(op["index"].astype(kind), f"{self.layer}_order")
        self.loop(op["outputs"], f"{y}[i] = {x}[{order}[i]];")

    def write_python(self, op: Mapping[str, Any], x: str, y: str) -> None:
        own = isinstance(op["layer"], PythonActivation)
        what = "its activation is" if own else f"a layer ({type(op['layer']).__name__})"
        cure = "use one of fastnn.activations" if own else "build the model of fastnn's own layers"
        raise ValueError(f"{self.layer}: {what} written in Python, which cannot be written as C; {cure}")

    # --------------------------------------------------------------------------------------------------------- texts

    def finished(self, text: str) -> str:
        return re.sub(r"\breal\b", self.real, text).replace("$", self.suffix)

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """The definition of an array."""
        kinds = {np.dtype(np.uint16): "unsigned short", np.dtype(np.uint32): "unsigned long"}
        kind = kinds.get(values.dtype, self.real)
        items = [str(v) for v in values] if values.dtype in kinds else [self.number(v) for v in values]
        lines = [", ".join(items[i : i + 8]) for i in range(0, len(items), 8)]
        return f"static const {kind} {name}[{len(items)}] = {{\n    " + ",\n    ".join(lines) + "\n};\n"

    def memory(self) -> str:
        """What the program takes, as lines of a comment."""
        size = self.model._dtype.itemsize
        flash = sum(values.nbytes for values in self.constants.values())
        code = CODE_OF_FUNCTION * len(self.functions) + CODE_OF_OP * (len(self.builder.ops) + 1)
        sizes = [max(self.work, 1), self.builder.sizes[0], self.builder.output.size]
        work, given, made = (f"{n * size}" for n in sizes)
        return f"""\
   flash  {flash} bytes of constants, and about {code} bytes of code
   RAM    {work} bytes of work, {given} of input and {made} of output, all of them the caller's
   stack  about {STACK} bytes

   The functions of <math.h> take theirs on top. Code and stack depend on the machine and on the compiler."""

    def prototype(self, inputs: object, outputs: object, work: object) -> str:
        """How the function is declared, for arrays of these sizes."""
        return (
            f"void {self.name}_predict(const {self.real} input[{inputs}], {self.real} output[{outputs}],\n"
            f"    {self.real} work[{work}])"
        )

    def header(self) -> str:
        upper, builder = self.name.upper(), self.builder
        return f"""\
/* {self.name}.h: a neural network, written by fastnn {__version__}. */
#ifndef {upper}_H
#define {upper}_H

#define {upper}_INPUTS {builder.sizes[0]} /* a sample of shape {self.model._input} */
#define {upper}_OUTPUTS {builder.output.size} /* of shape {builder.output.shape} */
#define {upper}_WORK {max(self.work, 1)} /* room for what comes between */

#ifdef __cplusplus
extern "C" {{
#endif

/* The output for one sample. Arrays lie row by row; no two of the three may overlap. Nothing else is written to, so
   that several threads may call it at once, each with an output and a work of its own. */
{self.prototype(*(f"{upper}_{what}" for what in ("INPUTS", "OUTPUTS", "WORK")))};

#ifdef __cplusplus
}}
#endif
#endif
"""

    def source(self) -> str:
        used = sorted(
            {self.home[op["output"]] for op in self.builder.ops if not changes_nothing(op)} - {0, self.result}
        )
        pointers = [f"{self.real} *const b{home} = work + {self.places[home]};" for home in used]
        body = [*pointers, *([] if pointers else ["(void)work;"]), *self.body]
        prototype = self.prototype(self.builder.sizes[0], self.builder.output.size, max(self.work, 1))
        title = f"{self.name}.c: a neural network, written by fastnn {__version__}"
        parts = [
            f"/* {title}. It needs <math.h> and nothing else.\n\n{self.memory()} */\n",
            "#include <math.h>\n",
            f"{prototype};\n",
            *(self.constant(name, values) for name, values in self.constants.items()),
            *(f"{text}\n" for name, text in FUNCTIONS.items() if name in self.functions),
            f"{prototype}\n{{\n" + "\n".join(f"    {line}" for line in body) + "\n}\n",
        ]
        return self.finished("\n".join(parts))
