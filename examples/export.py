"""A small classifier in three other forms: a C program, an ONNX file and a PyTorch module, all with the same output."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import fastnn
from fastnn import layers

PROGRAM = """
#include <stdio.h>
#include "points.h"

int main(void)
{
    float input[POINTS_INPUTS], output[POINTS_OUTPUTS], work[POINTS_WORK];
    while (scanf("%f %f", input, input + 1) == 2) {
        points_predict(input, output, work);
        printf("%.9g\\n", (double)output[0]);
    }
    return 0;
}
"""


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2000, 2)).astype(np.float32)
    inside = (np.hypot(x[:, 0], x[:, 1]) < 0.7).astype(np.int32)
    model = fastnn.Sequential([layers.Dense(16, activation="relu"), layers.Dense(1, activation="sigmoid")], seed=1)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, inside, epochs=20, verbose=0)
    expected = model(x)[:, 0]
    print(f"accuracy {np.mean((expected > 0.5) == inside):.1%}")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.to_c(folder / "points.c")
        print("\n".join((folder / "points.c").read_text().splitlines()[:5]))
        if os.name != "nt" and shutil.which("cc"):
            (folder / "main.c").write_text(PROGRAM)
            subprocess.run(["cc", "-std=c99", "-O2", "main.c", "points.c", "-o", "main", "-lm"], cwd=folder, check=True)
            given = "\n".join(f"{a:.9g} {b:.9g}" for a, b in x)
            answer = subprocess.run([folder / "main"], input=given, capture_output=True, text=True, check=True).stdout
            print(f"C differs by at most {np.abs(np.array(answer.split(), float) - expected).max():.1e}")
        with contextlib.suppress(ImportError):
            model.to_onnx(folder / "points.onnx")
            print(f"ONNX: {(folder / 'points.onnx').stat().st_size} bytes")
        with contextlib.suppress(ImportError):
            print(model.to_torch())


if __name__ == "__main__":
    main()
