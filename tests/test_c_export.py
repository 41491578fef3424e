"""Models as C: a compiler takes the files without a warning, and what it makes of them predicts as the model does."""

import ctypes
import re
import runpy
import shutil
import subprocess
import sys

import numpy as np
import pytest
from export_cases import MODELS, Doubling, bent, built, samples

import fastnn
from fastnn import layers

CC = None if sys.platform == "win32" else shutil.which("cc") or shutil.which("gcc")
STRICT = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
needs_compiler = pytest.mark.skipif(CC is None, reason="there is no C compiler")


def command(*arguments, folder):
    done = subprocess.run(list(map(str, arguments)), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


def is_gcc():
    done = subprocess.run([CC, "--version"], capture_output=True, text=True, check=False)
    return sys.platform == "linux" and "Free Software Foundation" in done.stdout


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A folder with all models in C, and the library that a compiler has made of them."""
    folder = tmp_path_factory.mktemp("c")
    for dtype in ("float32", "float64"):
        for name in MODELS:
            built(name, dtype).to_c(folder / f"{dtype}_{name}.c")
    extra = ["-fstack-usage"] if is_gcc() else []
    command(CC, *STRICT, *extra, "-Os", "-fPIC", "-c", *sorted(p.name for p in folder.glob("*.c")), folder=folder)
    command(CC, "-shared", "-o", "all.so", *sorted(p.name for p in folder.glob("*.o")), "-lm", folder=folder)
    return folder


def macros(header):
    return {
        name: int(value)
        for name, value in re.findall(r"^#define \w+_(INPUTS|OUTPUTS|WORK) (\d+)", header, re.MULTILINE)
    }


def memory(source):
    """The figures of the first comment."""
    text = source[: source.index("*/")]
    found = [int(n) for n in re.findall(r"(\d+) (?:bytes|of)", text)]
    return dict(zip(("constants", "code", "work", "input", "output", "stack"), found, strict=True))


def guarded(size, dtype):
    """Room for `size` numbers between two that must stay."""
    return np.full(size + 2, 777, dtype)


@needs_compiler
@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_ours(name, dtype, compiled):
    model, x = built(name, dtype), samples(name, 5, dtype).astype(dtype)
    expected = model.predict(x, verbose=0).reshape(5, -1)
    sizes = macros((compiled / f"{dtype}_{name}.h").read_text())
    assert (sizes["INPUTS"], sizes["OUTPUTS"]) == (x[0].size, expected[0].size)
    predict = getattr(ctypes.CDLL(compiled / "all.so"), f"{dtype}_{name}_predict")
    scale = max(1, np.abs(expected).max()) * (1e-6 if dtype == np.float32 else 1e-14)
    for row, wanted in zip(x.reshape(5, -1), expected, strict=True):
        given, y, work = row.copy(), guarded(sizes["OUTPUTS"], dtype), guarded(sizes["WORK"], dtype)
        work[1:-1] = np.nan  # nothing is expected of it
        predict(*(ctypes.c_void_p(a.ctypes.data) for a in (given, y[1:], work[1:])))
        np.testing.assert_allclose(y[1:-1], wanted, rtol=0, atol=scale)
        assert all(a[0] == a[-1] == 777 for a in (y, work))
        np.testing.assert_array_equal(given, row)
    assert len(np.unique(expected)) > 1


@needs_compiler
def test_nothing_is_written_but_what_is_handed_over(compiled):
    nm = shutil.which("nm")
    if nm is None or sys.platform != "linux":
        pytest.skip("there is no nm, or it says something else here")
    wanted = set()
    for line in command(nm, "-P", *sorted(p.name for p in compiled.glob("*.o")), folder=compiled).splitlines():
        found = re.match(r"(\S+) ([A-Za-z])( |$)", line)
        if found:
            name, kind = found[1], found[2]
            assert kind not in "bBdDcCgGsS", line  # neither data that can change nor room for any
            wanted |= {name.lstrip("_")} if kind == "U" else set()
    mathematics = {"exp", "log", "log1p", "expm1", "tanh", "sqrt", "erfc", "hypot", "fabs"}
    allowed = {f"{name}{end}" for name in mathematics for end in ("", "f")} | {
        "memset",
        "memcpy",
        "GLOBAL_OFFSET_TABLE_",
    }
    assert {"exp", "expf"} <= wanted <= allowed


@needs_compiler
def test_memory_is_what_the_comment_says(compiled):
    size = shutil.which("size")
    if size is None or not is_gcc():
        pytest.skip("these figures are those of gcc on Linux")
    lines = command(size, *sorted(p.name for p in compiled.glob("*.o")), folder=compiled).splitlines()[1:]
    assert len(lines) == 2 * len(MODELS)
    for line in lines:
        text, data, bss, *_, name = line.split()
        stem, dtype = name[:-2], np.dtype(name[:7])
        said = memory((compiled / f"{stem}.c").read_text())
        sizes = macros((compiled / f"{stem}.h").read_text())
        assert (said["input"], said["output"], said["work"]) == tuple(
            sizes[key] * dtype.itemsize for key in ("INPUTS", "OUTPUTS", "WORK")
        )
        assert int(data) == int(bss) == 0
        assert said["constants"] < int(text) < said["constants"] + 1.5 * said["code"] + 100, line
        frames = sorted(int(one.split("\t")[1]) for one in (compiled / f"{stem}.su").read_text().splitlines())
        assert 0 < sum(frames[-3:]) <= said["stack"], name


def test_memory_is_shared():
    """A chain of layers needs two buffers, however long it is."""
    from fastnn._c_export import Program

    chain = [one for _ in range(10) for one in (layers.Dense(50, "relu"), layers.BatchNormalization(), layers.PReLU())]
    model = fastnn.Sequential([layers.Input((50,)), *chain, layers.Dense(3, "softmax")], seed=1)
    assert Program(model, "chain").work == 100


def test_weights_are_in_the_text_to_the_last_bit(tmp_path):
    values = np.array([[np.nan, np.inf, -np.inf, 1e-45, -0.0, 3.4028235e38, 0.1, 16777216.0]], np.float32)
    model = fastnn.Sequential([layers.Input((1,)), layers.Dense(8, use_bias=False, name="d")])
    model.set_weights([values])
    model.to_c(tmp_path / "m.c")
    source = (tmp_path / "m.c").read_text()
    body = re.search(r"d_kernel\[8\] = \{(.*?)\}", source, re.DOTALL)[1].replace("\n", " ")
    words = [word.strip().replace("NAN", "nan").replace("INFINITY", "inf") for word in body.split(",")]
    np.testing.assert_array_equal(
        np.array([float(w.rstrip("f") if "inf" not in w else w) for w in words], "f4"), values[0]
    )
    if CC:
        command(CC, *STRICT, "-c", "m.c", folder=tmp_path)


MAIN = """
#include "model.h"
#include <stdio.h>
int main(void)
{
    static const float x[MODEL_INPUTS] = {%s};
    float y[MODEL_OUTPUTS], work[MODEL_WORK];
    model_predict(x, y, work);
    for (int i = 0; i < MODEL_OUTPUTS; i++)
        printf("%%.9g ", (double)y[i]);
    return 0;
}
"""


@needs_compiler
def test_a_program_uses_it(tmp_path):
    model, x = built("nested"), samples("nested", 1)
    model.to_c(tmp_path / "model.c")
    (tmp_path / "main.c").write_text(MAIN % numbers(x[0]))
    command(CC, *STRICT, "-O2", "main.c", "model.c", "-o", "main", "-lm", folder=tmp_path)
    y = np.array(command(tmp_path / "main", folder=tmp_path).split(), float)
    np.testing.assert_allclose(y, model.predict(x, verbose=0)[0], rtol=1e-6)
    assert sorted(p.name for p in tmp_path.glob("model*")) == ["model.c", "model.h"]


# On a Cortex-M3 without an operating system: the vectors, and the debugger's calls for printing and for the end
FIRMWARE = """
#include "model.h"
static const float x[MODEL_INPUTS] = {%s}, expected[MODEL_OUTPUTS] = {%s};
static float y[MODEL_OUTPUTS], work[MODEL_WORK];

static void debugger(long number, const void *argument)
{
    register long r0 __asm__("r0") = number;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
void start(void)
{
    int right = 1;
    model_predict(x, y, work);
    for (int i = 0; i < MODEL_OUTPUTS; i++)
        right &= y[i] - expected[i] < 1e-6f && expected[i] - y[i] < 1e-6f;
    debugger(0x04, right ? "all outputs are right" : "an output is wrong");
    debugger(0x18, (const void *)0x20026);
    for (;;)
        ;
}
__attribute__((section(".vectors"), used)) static const void *const vectors[] = {(void *)0x20010000, (void *)start};
"""
MAP = """
SECTIONS {
    .text 0 : { KEEP(*(.vectors)) *(.text*) *(.rodata*) *(.ARM.*) }
    .data 0x20000000 : { *(.data*) }
    .bss : { *(.bss*) *(COMMON) }
    end = .;
}
"""
ARM_CC, QEMU = shutil.which("arm-none-eabi-gcc"), shutil.which("qemu-system-arm")


def numbers(values):
    return ", ".join(f"{float(v)!r}f" for v in values)


@pytest.mark.skipif(ARM_CC is None or QEMU is None, reason="there is no arm-none-eabi-gcc, or no qemu-system-arm")
def test_a_microcontroller_predicts(tmp_path):
    model, x = built("nested"), samples("nested", 1)
    model.to_c(tmp_path / "model.c")
    (tmp_path / "main.c").write_text(FIRMWARE % (numbers(x[0]), numbers(model.predict(x, verbose=0)[0])))
    (tmp_path / "map.ld").write_text(MAP)
    cpu = ("-mcpu=cortex-m3", "-mthumb", "-Os")
    command(ARM_CC, *cpu, *STRICT, "-c", "model.c", folder=tmp_path)
    link = ("-nostartfiles", "--specs=nosys.specs", "-T", "map.ld")
    command(ARM_CC, *cpu, *link, "main.c", "model.o", "-lm", "-o", "main.elf", folder=tmp_path)
    machine = ("-M", "mps2-an385", "-display", "none", "-serial", "none", "-monitor", "none", "-semihosting")
    done = subprocess.run(
        [QEMU, *machine, "-kernel", "main.elf"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert "all outputs are right" in done.stdout + done.stderr


@needs_compiler
def test_what_is_no_number_stays_so(compiled):
    library = ctypes.CDLL(compiled / "all.so")
    for name in (n for n in MODELS if n.startswith("activation_")):
        x, y, work = np.full(12, np.nan, np.float32), np.zeros(12, np.float32), np.zeros(12, np.float32)
        getattr(library, f"float32_{name}_predict")(*(ctypes.c_void_p(a.ctypes.data) for a in (x, y, work)))
        assert np.isnan(y[: 6 if name.endswith("_glu") else 12]).all(), name


def loaded(model, folder):
    """The model's function in C, on a batch."""
    model.to_c(folder / "model.c")
    command(CC, *STRICT, "-O1", "-shared", "-fPIC", "model.c", "-o", "model.so", "-lm", folder=folder)
    predict = ctypes.CDLL(folder / "model.so").model_predict
    sizes = macros((folder / "model.h").read_text())

    def run(x):
        y, work = np.zeros((len(x), sizes["OUTPUTS"]), np.float32), np.zeros(sizes["WORK"], np.float32)
        for row, made in zip(x, y, strict=True):
            predict(*(ctypes.c_void_p(a.ctypes.data) for a in (row, made, work)))
        return y

    return run


@needs_compiler
def test_frozen_layers_and_shared_ones_are_written_with_their_own_weights(tmp_path, rng):
    """Their weights lie in other places than those that learn."""
    x = rng.normal(size=(8, 4)).astype(np.float32)
    base = fastnn.Sequential([layers.Input((4,)), layers.Dense(5, "tanh"), layers.BatchNormalization()], seed=1)
    base.trainable = False
    whole = fastnn.Sequential([base, layers.Dense(2)], seed=2)
    whole.compile("adam", "mse")
    whole.fit(x, x[:, :2], epochs=2, verbose=0)
    for number, model in enumerate((whole, base)):
        (tmp_path / str(number)).mkdir()
        np.testing.assert_allclose(loaded(model, tmp_path / str(number))(x), model.predict(x, verbose=0), atol=1e-6)


def test_the_example_runs(sources, capsys):
    runpy.run_path(str(sources / "examples" / "export.py"))["main"]()
    said = capsys.readouterr().out
    assert "points.c: a neural network, written by fastnn" in said
    if CC:
        assert float(re.search(r"C differs by at most (\S+)", said)[1]) < 1e-6


@needs_compiler
@pytest.mark.parametrize("number", [-1, 5, np.nan, np.inf, 1e30])
def test_a_row_that_a_table_does_not_have_is_nan(number, compiled):
    x, y, work = (np.array([number], np.float32), np.zeros(2, np.float32), np.zeros(9, np.float32))
    library = ctypes.CDLL(compiled / "all.so")
    library.float32_embedding_of_numbers_predict(*(ctypes.c_void_p(a.ctypes.data) for a in (x, y, work)))
    assert np.isnan(y).all()


@pytest.mark.parametrize(
    "layer, said",
    [
        (lambda: Doubling(name="mine"), "mine: a layer (Doubling) written in Python"),
        (lambda: layers.Dense(2, bent, name="mine"), "mine: its activation is written in Python"),
        (lambda: layers.Residual([layers.Activation(bent, name="inner")]), "inner: its activation is written in Py"),
    ],
)
def test_what_is_written_in_python_is_refused(layer, said, tmp_path):
    model = fastnn.Sequential([layers.Input((2,)), layer()])
    with pytest.raises(ValueError) as error:
        model.to_c(tmp_path / "model.c")
    assert said in str(error.value) and not list(tmp_path.iterdir())


def test_a_penalty_in_python_is_none_of_its_business(tmp_path):
    class Penalty(fastnn.regularizers.Regularizer):
        def __call__(self, x):
            return 0.0

        def gradient(self, x):
            return 0 * x

    model = fastnn.Sequential([layers.Input((2,)), layers.Dense(2, activity_regularizer=Penalty())])
    model.to_c(tmp_path / "model.c")
    assert "dense(input, output" in (tmp_path / "model.c").read_text()


@pytest.mark.parametrize("name", ["model", "model.h", "model.C.txt", ".c"])
def test_the_name_must_end_in_c(name, tmp_path):
    with pytest.raises(ValueError, match="filepath: expected a name that ends in"):
        built("relu").to_c(tmp_path / name)


@needs_compiler
@pytest.mark.parametrize("stem", ["3 spirals (new)", "_hidden", "größe", "int"])
def test_any_name_makes_a_function(stem, tmp_path):
    fastnn.Sequential([layers.Input((2,)), layers.Dense(2, name='*/ "ß" $ real\n')]).to_c(tmp_path / f"{stem}.c")
    (tmp_path / "both.c").write_text("".join((tmp_path / f"{stem}{end}").read_text() for end in (".h", ".c")))
    command(CC, *STRICT, "-Wmissing-prototypes", "-c", f"{stem}.c", "-o", "any.o", folder=tmp_path)
    command(CC, *STRICT, "-c", "both.c", folder=tmp_path)  # the two agree


def test_shapes_must_be_known(tmp_path):
    with pytest.raises(fastnn.NotBuiltError):
        fastnn.Sequential([layers.Dense(1)]).to_c(tmp_path / "model.c")
