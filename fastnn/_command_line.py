"""What `python -m fastnn` does: info, demo, bench, train, predict, inspect."""

import argparse
import csv
import functools
import io
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

import fastnn
from fastnn import _atomic, _tables, _validate, callbacks, files, layers, optimizers
from fastnn._tables import Preparation, Table, Target, shown
from fastnn.errors import FastNNError, FormatError

LEAST_ROWS = 5
EARLY_STOPPING_FROM = 100  # rows, below which there are too few to hold more of them out
TABLE = "table"  # where the preparation lies in a file's metadata


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns what the process should exit with."""
    options = vars(parser().parse_args(arguments))
    command = options.pop("command")
    try:
        command(**options)
    except BrokenPipeError:  # who reads the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except MemoryError as error:
        print(f"fastnn: there is not enough memory for this: {error}", file=sys.stderr)
        return 2
    except (ValueError, TypeError, OSError, FastNNError) as error:
        print(f"fastnn: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="python -m fastnn", description="Dense neural networks on the CPU.")
    commands = whole.add_subparsers(required=True, metavar="command")

    def add(command: Any, about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(command.__name__, help=about, description=about)
        made.set_defaults(command=command)
        return made

    add(info, "versions, CPU, instruction set and threads")
    add(demo, "train a small network on three spirals, in seconds")

    one = add(bench, "time training steps and single predictions of four networks on this machine")
    one.add_argument("--seconds", type=float, default=1.0, help="for each figure, about (default: %(default)s)")

    one = add(train, "train a network on a CSV file, and tell how good it is on rows held out")
    one.add_argument("data", help="the CSV file")
    one.add_argument("--target", required=True, help="the column to predict")
    one.add_argument("--problem", choices=("auto", "classes", "regression"), default="auto")
    one.add_argument("--save", help="write the network and all that it needs to know of the table to this file")
    one.add_argument("--hidden", default="64,64", help="units of the hidden layers (default: %(default)s)")
    one.add_argument("--epochs", type=int, default=200, help="at most (default: %(default)s)")
    one.add_argument("--batch-size", type=int, default=32, help="(default: %(default)s)")
    one.add_argument("--learning-rate", type=float, default=0.001, help="of Adam (default: %(default)s)")
    one.add_argument("--held-out", type=float, default=0.2, help="share of the rows (default: %(default)s)")
    one.add_argument("--seed", type=int, default=0, help="all chance follows from it (default: %(default)s)")
    one.add_argument("--verbose", action="store_true", help="show the epochs")
    names = one.add_mutually_exclusive_group()
    names.add_argument("--header", action="store_true", default=None, help="the first row has the columns' names")
    names.add_argument("--no-header", action="store_false", dest="header", help="it has not: they are 1, 2, 3 ...")
    one.add_argument("--separator", help="what stands between cells (default: as the first line looks)")

    one = add(predict, "predict the rows of a CSV file")
    one.add_argument("model", help="a file that train wrote")
    one.add_argument("data", help="the CSV file")
    one.add_argument("--output", help="write the predictions to this file instead of to the terminal")
    one.add_argument("--separator", help="what stands between cells (default: as the first line looks)")

    one = add(inspect, "tell what is in a model file, without making a model of it")
    one.add_argument("model", help="any file that fastnn wrote, or another safetensors file")
    return whole


# --------------------------------------------------------------------------------------------------------- info, demo


def info() -> None:
    """Print what runs here."""
    cpu = fastnn.cpu_info()
    print(f"fastnn {fastnn.__version__} in {os.path.dirname(fastnn.__file__)}")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.system()} on {platform.machine()}")
    for key, value in cpu.items():
        print(f"{key}: {', '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}")


def demo() -> None:
    """Train on spirals, save and load."""
    cpu = fastnn.cpu_info()
    print(f"fastnn {fastnn.__version__} on {cpu['isa']} with {cpu['threads']} thread(s)\n")
    rng = np.random.default_rng(1)
    kind = np.repeat(np.arange(3), 1000)
    radius = np.tile(np.linspace(0.05, 1, 1000), 3)
    angle = 9 * radius + 2 * np.pi * kind / 3 + rng.normal(0, 0.3, kind.size)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    order = rng.permutation(kind.size)
    x, kind = x[order], kind[order]
    hidden = [layers.Dense(64, activation="relu") for _ in range(2)]
    model = fastnn.Sequential([layers.Input((2,)), *hidden, layers.Dense(3, activation="softmax")], seed=3)
    model.summary()
    model.compile(optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    stopping = callbacks.EarlyStopping(patience=10, restore_best_weights=True)
    model.fit(x[:2400], kind[:2400], epochs=30, validation_data=(x[2400:], kind[2400:]), callbacks=[stopping])
    _, accuracy = model.evaluate(x[2400:], kind[2400:], verbose=0)
    print(f"\naccuracy {accuracy:.1%} on points held out")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "spirals.fnn")
        model.save(path)
        same = np.array_equal(fastnn.load(path)(x), model(x))
        print(f"saved in {os.path.getsize(path)} bytes, and loaded with the same output: {same}")


# -------------------------------------------------------------------------------------------------------------- bench

NETWORKS = {"tiny": ((2, 16, 16, 1), 32), "small": ((20, 64, 64, 2), 32), "digits": ((784, 128, 10), 64),
            "medium": ((784, 512, 512, 10), 128)}  # fmt: skip


def bench(seconds: float) -> None:
    """Print what a training step and the prediction of one row take: the median of calls for about `seconds`."""
    _validate.number(seconds, "--seconds", above=0)
    info()
    print(f"\n{'':8}{'units':20}{'batch':>6}{'a step':>13}{'samples/s':>12}{'one row':>13}")
    for name, (sizes, batch) in NETWORKS.items():
        rng = np.random.default_rng(0)
        x = rng.normal(size=(16 * batch, sizes[0])).astype(np.float32)
        y = rng.integers(0, sizes[-1], len(x)) if sizes[-1] > 1 else x[:, :1]
        stack = [layers.Dense(n, "relu") for n in sizes[1:-1]]
        last = layers.Dense(sizes[-1], "softmax" if sizes[-1] > 1 else None)
        model = fastnn.Sequential([layers.Input(sizes[:1]), *stack, last], seed=0)
        model.compile("adam", "sparse_categorical_crossentropy" if sizes[-1] > 1 else "mse")
        step = _median(functools.partial(model.fit, x, y, batch_size=batch, verbose=0), seconds) / 16
        row = _median(functools.partial(model, x[:1]), seconds)
        units = "-".join(map(str, sizes))
        print(f"{name:8}{units:20}{batch:6}{step * 1e6:10.1f} µs{batch / step:12.0f}{row * 1e6:10.1f} µs")


def _median(work: Callable[[], object], seconds: float) -> float:
    """The median time of a call."""
    work()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or (time.perf_counter() < end and len(times) < 100_000):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


# -------------------------------------------------------------------------------------------------------------- train


def train(
    data: str,
    target: str,
    problem: str,
    save: str | None,
    hidden: str,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    held_out: float,
    seed: int,
    verbose: bool,
    header: bool | None,
    separator: str | None,
) -> None:
    """Read, prepare, fit, score and save."""
    units = _units(hidden)
    _validate.number(held_out, "--held-out", above=0, below=1)
    _validate.number(learning_rate, "--learning-rate", above=0)
    _validate.integer(epochs, "--epochs", minimum=1)
    _validate.integer(batch_size, "--batch-size", minimum=1)
    _validate.integer(seed, "--seed", minimum=0, maximum=2**64 - 1)
    if save is not None and not os.path.isdir(os.path.dirname(save) or "."):
        raise ValueError(f"--save: there is no folder {os.path.dirname(save)!r}; make it first")
    if save is not None and os.path.isdir(save):
        raise ValueError(f"--save: {save!r} is a folder; name a file in it")
    notes: list[str] = []
    table = _tables.read(data, header, _separator(separator))
    kind = "a header" if table.header else f"no header: its columns are called 1 to {len(table.names)}"
    notes.append(f"{data}: {len(table.rows)} rows, {len(table.names)} columns, {kind}")
    if header is None and not table.header and target in table.rows[0]:
        raise ValueError(
            f"{data}: the first row has a number, and was taken for data; if it has the names, add --header"
        )
    for before, after in table.rewritten:
        kind = "dates are days since 1970" if _tables.is_date(before) else "numbers with commas or spaces are numbers"
        notes.append(f"{kind}: '{shown(before)}' is {shown(after)}")
    counters = [name for name in table.names if name != target and _tables.counts_rows(table, name)]
    notes += [f"left out: column '{shown(name)}', which counts the rows" for name in counters]
    table = _with_target(table, _validate.choice(target, "--target", table.names), notes)
    wanted = _tables.target_of(table, target, problem, notes)
    fitted, held = _split(table, wanted, held_out, seed, notes)
    # what is known of the target beforehand is its classes; its mean is that of the rows that are trained on
    if not wanted.classes:
        values = _tables.quantity(fitted, target)
        wanted = Target(target, [], float(values.mean()), float(values.std()) or 1.0)
    preparation = Preparation.of(fitted, wanted, notes, counters)
    preparation.inputs(table, notes)
    x, x_held = preparation.inputs(fitted, []), preparation.inputs(held, [])
    for note in notes:
        print(note)

    model = _network(wanted, preparation.width, units, seed)
    model.compile(optimizers.Adam(learning_rate), _loss(wanted))
    share = 0.1 if len(x) >= EARLY_STOPPING_FROM else 0.0
    stopping = [callbacks.EarlyStopping(patience=20, restore_best_weights=True)] if share else []
    order = np.random.default_rng(seed).permutation(len(x))
    history = model.fit(
        x[order], wanted.numbers(fitted)[order], batch_size=batch_size, epochs=epochs, validation_split=share,
        callbacks=stopping, verbose="auto" if verbose else 0,
    )  # fmt: skip
    print(
        f"trained on {len(x)} rows of {preparation.width} numbers, {len(history.epoch)} epochs; held out {len(x_held)}"
    )
    print(_score(wanted, fitted, held, model.predict(x_held, verbose=0)))
    if save is not None:
        save_with(model, preparation, save)
        print(f"saved: {save}, {os.path.getsize(save)} bytes")


def _units(text: str) -> list[int]:
    try:
        return [_validate.integer(int(part), "--hidden", minimum=1) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"--hidden: expected whole numbers such as 64,32, got {text!r}") from None


def _separator(text: str | None) -> str | None:
    found = {"tab": "\t", "\\t": "\t"}.get(text or "", text)
    if found is not None and (len(found) != 1 or found in '"\r\n'):
        raise ValueError(f"--separator: expected one character, or tab, got {text!r}")
    return found


def _with_target(table: Table, target: str, notes: list[str]) -> Table:
    """The rows that tell the target."""
    known = [i for i, cell in enumerate(table.column(target)) if not _tables.is_missing(cell)]
    if len(known) < LEAST_ROWS:
        raise ValueError(f"{table.path}: {len(known)} rows have a '{shown(target)}'; at least {LEAST_ROWS} are needed")
    if len(known) < len(table.rows):
        notes.append(f"left out: {len(table.rows) - len(known)} rows without a '{shown(target)}'")
    return table.take(known)


def _split(table: Table, target: Target, share: float, seed: int, notes: list[str]) -> tuple[Table, Table]:
    """Rows to train on and rows held out: of each class its share, and at least one of both where it has two rows."""
    rng = np.random.default_rng(seed)
    groups = [np.arange(len(table.rows))]
    if target.classes:
        numbers = target.numbers(table)
        groups = [np.flatnonzero(numbers == k) for k in range(len(target.classes))]
    held: list[int] = []
    for number, rows in enumerate(groups):
        count = min(max(round(share * len(rows)), 1), len(rows) - 1)
        if not count:
            notes.append(f"class '{shown(target.classes[number])}' has one row: it is trained on, and not scored")
        held += rng.permutation(rows)[:count].tolist()
    if not held:
        raise ValueError(f"--target: no class of '{shown(target.name)}' has two rows, so that none can be held out")
    if len(held) > len(table.rows) - 2:
        left = len(table.rows) - len(held)
        raise ValueError(f"--held-out: {share} of {len(table.rows)} rows leaves {left} to train on; hold out fewer")
    chosen = set(held)
    return table.take([i for i in range(len(table.rows)) if i not in chosen]), table.take(sorted(held))


def _network(target: Target, width: int, units: list[int], seed: int) -> fastnn.Sequential:
    count = len(target.classes)
    outputs = 1 if count <= 2 else count
    activation = "softmax" if count > 2 else "sigmoid" if count else None
    hidden = [layers.Dense(n, activation="relu", kernel_initializer="he_uniform") for n in units]
    return fastnn.Sequential([layers.Input((width,)), *hidden, layers.Dense(outputs, activation)], seed=seed)


def _loss(target: Target) -> str:
    if not target.classes:
        return "mse"
    return "binary_crossentropy" if len(target.classes) == 2 else "sparse_categorical_crossentropy"


def chosen(target: Target, output: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """The number of the class that is most probable."""
    return (output[:, 0] > 0.5).astype(np.intp) if len(target.classes) == 2 else output.argmax(axis=1)


def _score(target: Target, fitted: Table, held: Table, output: npt.NDArray[Any]) -> str:
    """How good the output is on rows held out, and how good the best constant answer is."""
    truth = target.numbers(held)
    if target.classes:
        usual = int(np.bincount(target.numbers(fitted)).argmax())
        right, alone = np.mean(chosen(target, output) == truth), np.mean(truth == usual)
        name = shown(target.classes[usual])
        return f"accuracy {right:.3f} on the rows held out; always answering '{name}' would have {alone:.3f}"
    error, alone = np.abs(output[:, 0] - truth), np.abs(truth)  # the mean is 0 here
    return (
        f"mean error {error.mean() * target.deviation:.4g} on the rows held out; "
        f"always answering the mean, {target.mean:.4g}, would have {alone.mean() * target.deviation:.4g}"
    )


# --------------------------------------------------------------------------------------------------------------- files


def save_with(model: fastnn.Sequential, preparation: Preparation, path: str) -> None:
    """Write a model with what prepares its inputs: a file that fastnn.load reads too, whole or not at all."""
    tensors, metadata = files.contents(model, include_optimizer=False)
    text = json.dumps(preparation.described(), allow_nan=False)
    files.save_tensors(path, tensors, {**metadata, TABLE: text})


def load_with(path: str) -> tuple[fastnn.Sequential, Preparation]:
    """Both again, each value checked."""
    _, metadata = files.load_tensors(path)
    if TABLE not in metadata:
        raise FormatError(f"{path}: no model of a table; predict reads what train --save wrote")
    preparation = Preparation.from_description(files.parse_json(metadata[TABLE], f"{path}: the table"))
    model = files.load(path, compile=False)
    classes = len(preparation.target.classes)
    shapes = model.input_shape, model.output_shape
    if shapes != ((None, preparation.width), (None, classes if classes > 2 else 1)):
        raise FormatError(f"{path}: the model's shapes are {shapes}, which are not those of its table")
    return model, preparation


def predict(model: str, data: str, output: str | None, separator: str | None) -> None:
    """Write a prediction for each row."""
    network, preparation = load_with(model)
    notes: list[str] = []
    table = preparation.read(data, _separator(separator))
    found = network.predict(preparation.inputs(table, notes), verbose=0).astype(np.float64)
    for note in notes:
        print(note, file=sys.stderr)
    if output is None:
        _write(sys.stdout, preparation.target, found)
        return
    text = io.StringIO(newline="")
    _write(text, preparation.target, found)
    with _atomic.replacing(output) as file:
        file.write(text.getvalue().encode())


def _write(file: TextIO, target: Target, output: npt.NDArray[np.float64]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    if not target.classes:
        writer.writerow([target.name])
        writer.writerows([f"{value:.7g}"] for value in output[:, 0] * target.deviation + target.mean)
        return
    writer.writerow([target.name, "probability"])
    if len(target.classes) == 2:
        output = np.concatenate([1 - output, output], axis=1)
    best = output.argmax(axis=1)
    writer.writerows([target.classes[k], f"{row[k]:.4f}"] for k, row in zip(best, output, strict=True))


# ------------------------------------------------------------------------------------------------------------- inspect


def inspect(model: str) -> None:
    """Print what a file says of itself. Nothing is made of it: no layer, and no object of any class that it names."""
    tensors, metadata = files.load_tensors(model)
    print(f"{model}: {os.path.getsize(model)} bytes, {len(tensors)} tensors")
    if "fastnn" in metadata:
        described = files.parse_json(metadata["fastnn"], f"{model}: the description of the model")
        config = described.get("config") if isinstance(described, dict) else None
        print(f"a fastnn model, format {shown(metadata.get('version'))}")
        _inspect_layers(config, "")
        compiled = described.get("compile") if isinstance(described, dict) else None
        if isinstance(compiled, dict):
            print(f"compiled with {_class(compiled.get('optimizer'))} and {_class(compiled.get('loss'))}")
    else:
        print("no fastnn model, but tensors that load_weights may read")
    if TABLE in metadata:
        preparation = Preparation.from_description(files.parse_json(metadata[TABLE], f"{model}: the table"))
        _inspect_table(preparation)
    for name, value in tensors.items():
        print(f"  {shown(name)}: {value.dtype} {value.shape}")


def _inspect_layers(config: Any, indent: str) -> None:
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        print(f"{indent}its layers are not described as they should be")
        return
    for one in config["layers"]:
        inner = one.get("config") if isinstance(one, dict) else None
        if not isinstance(inner, dict) or len(indent) > 20:
            print(f"{indent}  a layer that is not described as it should be")
            continue
        kept = {key: inner[key] for key in ("units", "activation", "rate", "batch_shape", "axis") if key in inner}
        text = ", ".join(f"{key}={shown(value)}" for key, value in kept.items())
        print(f"{indent}  {shown(inner.get('name'))}: {_class(one)}({text})")
        for branch in [inner["layers"]] if "layers" in inner else inner.get("branches") or []:
            _inspect_layers({"layers": branch}, indent + "  ")


def _inspect_table(preparation: Preparation) -> None:
    target = preparation.target
    what = f"one of {len(target.classes)} classes" if target.classes else "a quantity"
    print(f"predicts {shown(target.name)}, {what}, from")
    for column in preparation.columns:
        kind = f"{len(column.categories)} categories" if isinstance(column, _tables.Category) else "numbers"
        print(f"  {shown(column.name)}: {kind}")


def _class(value: Any) -> str:
    return shown(value.get("class_name") if isinstance(value, dict) else value)
