"""Does diagnose name what is wrong? Random small networks, healthy ones and ones with a planted fault.

    python scripts/diagnose_trials.py [count] [--verbose]

Prints how many faults are named, how many healthy networks it is silent about, and how many of the suggested changes
at least halve the loss at the end of training; fails below 95 %, 98 % and 80 %.
"""

import argparse
import collections
import copy
from collections.abc import Callable
from typing import Any

import numpy as np

import fastnn
from fastnn import datasets, layers, optimizers
from fastnn.diagnostics import diagnose

SAMPLES, BATCH, EPOCHS = 256, 32, 60
Rng = np.random.Generator


class Recipe:
    """A network before it is made, so that a fault can be planted."""

    def __init__(self, rng: Rng, deep: bool = False) -> None:
        self.rng = rng
        self.x, self.y, self.units, self.output, self.loss = _task(rng)
        self.width = int(rng.integers(8, 33))
        self.depth = int(rng.integers(8, 15)) if deep else int(rng.integers(1, 4))
        self.activation = str(rng.choice(["relu", "tanh", "leaky_relu", "elu", "gelu"]))
        if self.depth == 1 and rng.uniform() < 0.3:
            self.activation = "sigmoid"
        self.kernel: Any = "he_normal" if self.activation != "tanh" and rng.uniform() < 0.5 else "glorot_uniform"
        self.last_kernel: Any = "glorot_uniform"
        self.bias: Any = "zeros"
        self.extra = str(rng.choice(["", "", "", "dropout", "batch", "residual"]))
        self.kind = str(rng.choice(["sgd", "momentum", "adam", "rmsprop"]))
        low, high = {"sgd": (0.05, 0.2), "momentum": (0.005, 0.03)}.get(self.kind, (0.003, 0.015))
        self.rate = float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def model(self) -> Any:
        given = {"kernel_initializer": self.kernel, "bias_initializer": self.bias}
        stack: list[Any] = []
        for i in range(self.depth):
            dense = layers.Dense(self.width, self.activation, **given)
            stack.append(layers.Residual([dense]) if self.extra == "residual" and i else dense)
            if self.extra == "dropout" and i == 0:
                stack.append(layers.Dropout(0.1))
            if self.extra == "batch" and i == 0:
                stack.append(layers.BatchNormalization())
        stack.append(layers.Dense(self.units, self.output, kernel_initializer=self.last_kernel))
        model = fastnn.Sequential(stack, seed=int(self.rng.integers(1 << 30)))
        make = {
            "sgd": optimizers.SGD,
            "momentum": lambda rate: optimizers.SGD(rate, momentum=0.9),
            "adam": optimizers.Adam,
            "rmsprop": optimizers.RMSprop,
        }[self.kind]
        model.compile(make(self.rate), self.loss)
        return model


def _task(rng: Rng) -> tuple[np.ndarray, np.ndarray, int, str, Any]:
    """Samples whose columns have mean 0 and variance 1, and the output and loss that fit them."""
    kind, seed = str(rng.choice(["curve", "sum", "moons", "circles", "blobs", "digits"])), int(rng.integers(1 << 30))
    if kind in ("curve", "sum"):
        x = rng.normal(size=(SAMPLES, int(rng.integers(2, 9))))
        y = np.sin(x[:, :1]) + 0.5 * x[:, 1:2] if kind == "curve" else (x @ rng.normal(size=(x.shape[1], 1)))
        y = (y - y.mean()) / y.std() + 0.1 * rng.normal(size=y.shape)
        return x.astype(np.float32), y.astype(np.float32), 1, "linear", "mse"
    if kind == "digits":
        x, y = datasets.make_digits(SAMPLES, seed=seed)
        return x, y, 10, "softmax", "sparse_categorical_crossentropy"
    draw: Callable[..., Any] = getattr(datasets, kind)
    x, y = draw(SAMPLES, seed=seed)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    if kind == "blobs":
        return x, y, 3, "softmax", "sparse_categorical_crossentropy"
    return x, y, 1, "sigmoid", "binary_crossentropy"


# -------------------------------------------------------------------------------------------------------------- faults


def vanishing(rng: Rng) -> Recipe:
    recipe = Recipe(rng, deep=True)
    recipe.extra = ""
    if rng.uniform() < 0.5:
        recipe.activation, recipe.kernel = "sigmoid", str(rng.choice(["glorot_uniform", "he_normal"]))
    else:
        recipe.kernel = fastnn.initializers.RandomNormal(stddev=float(rng.uniform(0.005, 0.05)))
    return recipe


def exploding(rng: Rng) -> Recipe:
    recipe = Recipe(rng, deep=True)
    recipe.extra = ""
    recipe.activation = str(rng.choice(["relu", "tanh", "leaky_relu"]))
    stddev = rng.uniform(3, 6) / np.sqrt(recipe.width)
    recipe.kernel = fastnn.initializers.RandomNormal(stddev=float(stddev))
    return recipe


def dying(rng: Rng) -> Recipe:
    recipe = Recipe(rng)
    recipe.activation, recipe.extra = "relu", ""
    recipe.bias = fastnn.initializers.Constant(-float(rng.uniform(6, 12)))
    return recipe


def too_high(rng: Rng) -> Recipe:
    recipe = Recipe(rng)
    recipe.rate *= float(10 ** rng.uniform(2, 3.5))
    return recipe


def too_low(rng: Rng) -> Recipe:
    recipe = Recipe(rng)
    recipe.rate *= float(10 ** -rng.uniform(2.5, 5))
    return recipe


def symmetric(rng: Rng) -> Recipe:
    recipe = Recipe(rng)
    recipe.extra = ""
    value = float(rng.choice([0.0, rng.uniform(0.05, 0.5)]))
    recipe.kernel = recipe.last_kernel = fastnn.initializers.Constant(value)
    return recipe


def unscaled(rng: Rng) -> Recipe:
    recipe = Recipe(rng)
    how = rng.integers(3)
    if how == 0:
        recipe.x = recipe.x * np.float32(10 ** rng.uniform(2, 4))
    elif how == 1:
        recipe.x = recipe.x + np.float32(10 ** rng.uniform(2, 3.5))
    else:
        recipe.x = recipe.x * np.float32(10 ** -rng.uniform(2.5, 4))
    return recipe


def wrong_output(rng: Rng) -> Recipe:
    recipe = Recipe(rng)
    if recipe.loss == "mse":
        recipe.output = str(rng.choice(["sigmoid", "relu", "softmax", "tanh"]))
    elif recipe.loss == "binary_crossentropy":
        recipe.output = str(rng.choice(["linear", "tanh", "softmax", "relu"]))
    else:
        recipe.output = str(rng.choice(["linear", "tanh", "relu", "softmax"]))
        if recipe.output == "softmax":
            recipe.loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
    return recipe


FAULTS = {
    "vanishing gradients": vanishing,
    "exploding gradients": exploding,
    "dying relu": dying,
    "rate too high": too_high,
    "rate too low": too_low,
    "symmetric start": symmetric,
    "unscaled inputs": unscaled,
    "wrong output": wrong_output,
}


def healthy(rng: Rng) -> tuple[Recipe, Any]:
    """A network that trains: its loss ends below half of what it was."""
    while True:
        recipe = Recipe(rng)
        model = recipe.model()
        twin = copy.deepcopy(model)
        if final_loss(twin, recipe.x, recipe.y) < 0.5 * copy.deepcopy(model).evaluate(recipe.x, recipe.y, verbose=0):
            return recipe, model


def final_loss(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    """At the end of training."""
    try:
        model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
        loss = float(model.evaluate(x, y, verbose=0))
    except fastnn.DivergenceError:
        return np.inf
    return loss if np.isfinite(loss) else np.inf


def run(count: int, seed: int = 0, verbose: bool = False) -> tuple[float, float, float]:
    """The shares of faults named, of healthy networks left in peace, and of changes that halve the loss."""
    rng = np.random.default_rng(seed)
    named, halved, silent = [], [], []
    confused: collections.Counter[tuple[str, Any]] = collections.Counter()
    for i in range(count):
        fault = list(FAULTS)[i % len(FAULTS)]
        recipe = FAULTS[fault](rng)
        model = recipe.model()
        found = diagnose(model, recipe.x, recipe.y, batch_size=BATCH)
        named.append(found.fault == fault)
        if found.change is None:
            halved.append(False)
        else:
            better = found.change.apply(model, recipe.x)
            before, after = final_loss(model, recipe.x, recipe.y), final_loss(better, recipe.x, recipe.y)
            halved.append(after <= before / 2 if np.isfinite(before) else np.isfinite(after))
        if not (named[-1] and halved[-1]):
            confused[fault, found.fault] += 1
            if verbose:
                what = f"{recipe.kind} {recipe.rate:.3g}, {recipe.activation}, {recipe.depth} layers {recipe.extra}"
                print(f"{fault} ({what}): {found or f'nothing said, {found.evidence}'}")
                if found.change is not None:
                    print(f"    loss {before:.4g} -> {after:.4g}; {found.evidence}")
    for _ in range(count):
        recipe, model = healthy(rng)
        found = diagnose(model, recipe.x, recipe.y, batch_size=BATCH)
        silent.append(not found)
        if found:
            confused["healthy", found.fault] += 1
            if verbose:
                print(f"healthy ({recipe.kind} {recipe.rate:.3g}, {recipe.activation}, {recipe.depth} layers): {found}")
    if verbose:
        for (fault, said), times in sorted(confused.items(), key=str):
            print(f"{times:4} times {fault}: said {said}, or the change did not halve the loss")
    return float(np.mean(named)), float(np.mean(silent)), float(np.mean(halved))


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether diagnose names planted faults.")
    parser.add_argument("count", nargs="?", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="show what went wrong")
    given = parser.parse_args()
    named, silent, halved = run(given.count, given.seed, given.verbose)
    print(f"faults named          {named:6.1%}   (of {given.count})")
    print(f"healthy left in peace {silent:6.1%}   (of {given.count})")
    print(f"changes that halve the loss {halved:.1%}")
    assert min(named - 0.95, silent - 0.98, halved - 0.80) >= 0


if __name__ == "__main__":
    main()
