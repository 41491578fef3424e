"""docs/keras-surface.md from an installed Keras: `python scripts/keras_surface.py` writes it, `--check` compares.

Every public name of Keras that matters to dense networks is looked for in fastnn, and its arguments and their defaults
are compared. What differs or is not there needs a reason, in the tables below; without one this script fails.
"""

import argparse
import inspect
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras

import fastnn

TARGET = Path(__file__).parents[1] / "docs" / "keras-surface.md"

# ------------------------------------------------------------------------------------------------------------- reasons

# Names of Keras that fastnn has not: a pattern for "module.name", and why. The first that fits counts.
ABSENT = [
    (
        r"layers\.(Sep|Depth|Spatial|Zero|Up|Crop|Global|Avg|Average.*Pool|Adaptive|Max.*Pool|.*Conv).*",
        "convolutions and images",
    ),
    (r"layers\.(Random|Rand|Aug|Auto|Center|Contrast|Cut|Equal|Max.*Box|Mix|Resiz|Solar|Pipeline).*", "images"),
    (r"layers\.(.*RNN.*|GRU.*|LSTM.*|Bidir.*|TimeDist.*|Masking)", "recurrent networks"),
    (r"layers\.(.*Attention.*|EinsumDense|ReversibleEmbedding)", "attention"),
    (r"layers\.(Mel|STFT).*|initializers\.(STFT|stft).*|losses\.(CTC|ctc)", "sound and speech"),
    (r"layers\.(.*Lookup|Hash.*|Text.*|Category.*|Discret.*)", "preprocessing of text and categories: pass numbers"),
    (r"layers\.(Jax|Flax|TFSM|Torch).*", "layers of other frameworks"),
    (
        r"(?i)layers\.(add|average|concatenate|dot|maximum|minimum|multiply|subtract)",
        "joins of functional models: see Residual and Parallel",
    ),
    (r"layers\.(Lambda|Wrapper)", "no differentiation of Python code: derive from Layer, with a backward"),
    (r"layers\.(InputSpec|ActivityRegularization)", "no checks or penalties between layers"),
    (r"layers\.RMSNormalization", "LayerNormalization(rms_scaling=True)"),
    (r"layers\..*", "not there yet: none of the models that fastnn is for has asked for it"),
    (r"losses\.(circle|Circle)", "metric learning has contrastive, triplet and margin_ranking"),
    (r"losses\.(dice|Dice|tversky|Tversky)", "segmentation of images"),
    (r"losses\..*generalized.*|losses\..*Generalized.*", "not there yet"),
    (r"optimizers\.(LossScale.*)", "precisions below float32; loss_scale_factor is an argument of every optimizer"),
    (r"optimizers\.(MultiOptimizer|OptimizerMap)", "one optimizer for a model"),
    (r"optimizers\.legacy|utils\.legacy", "Keras's own past"),
    (r"optimizers\..*", "not there yet"),
    (r"callbacks\.ProgbarLogger", "progress is no callback: see verbose"),
    (r"callbacks\.(RemoteMonitor|TensorBoard|OrbaxCheckpoint)", "needs other packages"),
    (
        r"utils\.(Feature.*|.*dataset_from.*|.*img.*|.*_file|pad_sequences|bounding_boxes)",
        "files, images, text, tables",
    ),
    (r"utils\.(.*[sS]cope|.*custom_objects|.*registered.*|register.*|.*keras_object)", "custom_objects is an argument"),
    (r"utils\.(.*interactive_logging.*|Progbar)", "see verbose"),
    (r"utils\.(model_to_dot|plot_model|get_source_inputs|is_keras_tensor)", "graphs of functional models: see summary"),
    (r"utils\.(clear_session|Config|standardize_dtype)", "there is no session and no global configuration"),
    (
        r"models\.Model|(Sequential|Layer)\.(input|inputs|output|outputs|symbolic_call|compute_output_spec|input_spec)",
        "functional models: see Residual and Parallel, or a layer of your own",
    ),
    (r"models\.clone_model", "Sequential.from_config(model.get_config())"),
    (r"models\.model_from_json|Sequential\.to_json", "json.dumps(model.get_config()) and from_config"),
    (r"models\.save_model", "model.save"),
    (
        r"Sequential\.(make_.*function|train_step|test_step|predict_step|call|compute_metrics)",
        "steps are compiled code: write a loop with forward and tape.backward, or train_on_batch",
    ),
    (
        r"(Sequential|Layer)\.(compute_loss.*|add_loss|add_metric|losses|metrics.*|get_metrics_result)",
        "losses and metrics belong to compile",
    ),
    (r"(Sequential|Layer)\.(quant.*|get_quant.*)", "quantization"),
    (r"(Sequential|Layer)\.(stateless.*|jax_state_sync|rematerialized_call|[gs]et_state_tree)", "the JAX backend"),
    (r"(Sequential|Layer)\.(compute_mask|supports_masking)", "there are no masks"),
    (r"(Sequential|Layer)\.(compute_dtype|dtype_policy|variable_dtype|input_dtype|autocast)", "there is one dtype"),
    (
        r"(Sequential|Layer|Optimizer)\.((build|compile)_from_config|get_(build|compile)_config|.*_own_variables)",
        "the inside of Keras's files",
    ),
    (r"Sequential\.export", "not there yet"),
    (r"Sequential\.(run_eagerly|jit_compile)", "without effect in compile, and not kept"),
    (r"(Sequential|Layer)\.add_(weight|variable)", "weights belong to layers: Layer.add_weight"),
    (r"(Sequential|Layer)\.path", "the name is enough: layers do not nest by scopes"),
    (r"Layer\.call", "forward(x, training) and backward(dy) take its place: nothing differentiates Python code"),
    (r"Optimizer\.stateless_apply|Metric\.stateless.*|Optimizer\.(path|assign.*)", "the JAX backend"),
    (r"Optimizer\..*", "the inside of Keras's optimizers"),
]

# Arguments of Keras that fastnn has not, wherever they come, and why
ARGUMENTS = {
    "lora_rank": "no adapters",
    "lora_alpha": "no adapters",
    "quantization_config": "no quantization",
    "renorm": "not there yet",
    "renorm_clipping": "not there yet",
    "renorm_momentum": "not there yet",
    "sparse": "no sparse inputs",
    "ragged": "no ragged inputs",
    "tensor": "no symbolic tensors",
    "input_tensor": "no symbolic tensors",
    "optional": "one input, always there",
    "safe_mode": "nothing in a file is ever run",
    "preferred_backend": "NumPy arrays only",
    "zipped": "one file",
    "max_shard_size": "one file",
    "skip_mismatch": "not there yet",
    "positions": "not there yet",
    "layer_range": "not there yet",
    "aggregation": "one process",
    "overwrite_with_gradient": "no quantization",
    "weights": "see set_weights",
    "trainable": "it has no weights",
    "activity_regularizer": "its output is the data",
    "layout": "no placement on devices",
    "autocast": "one dtype",
    "kwargs": "named arguments only",
}

# Arguments of a base that the constructor of a derived class in Keras takes no longer
NOT_TAKEN = {"ReduceLROnPlateau.baseline"}

# Names that are there and behave differently, or whose arguments differ by more than the table above explains
DIFFERENT = {
    "Sequential.compile": (
        "a loss must bring its gradient: a function of your own does as a metric alone; run_eagerly, "
        "steps_per_execution, jit_compile and auto_scale_loss have no effect, since every fit runs in compiled code"
    ),
    "Sequential.evaluate": "metrics of one name stand once each in the list: Keras 3.15 repeats them",
    "Sequential.fit": (
        "a loss that is not finite, or a step that would make weights so, raises DivergenceError, and the model is as "
        "before that step; NaN and infinities in the data are refused"
    ),
    "Sequential.input_shape": "begins with None also after fit: batches may have any size",
    "Sequential.output_shape": "as input_shape",
    "Sequential.metrics": "the metrics that compile was given, as objects, without Keras's trackers around them",
    "Sequential.metrics_names": "the names of what evaluate returns, where Keras 3 says compile_metrics",
    "Sequential.predict": "a row does not depend on batch_size, to the last bit",
    "Sequential.save": "fastnn's own format, under any name",
    "Sequential.save_weights": "safetensors, under any name",
    "Sequential.summary": "counts the model's weights alone: Keras adds the optimizer's to the total after fit",
    "Sequential.weights": "NumPy arrays, live: writing into one changes the model; likewise all lists of weights",
    "Layer.add_weight": "gives an array, whose gradient add_gradient takes",
    "Optimizer.learning_rate": "a Python float, which is set, and has no assign",
    "Optimizer.iterations": "a Python int",
    "layers.BatchNormalization": "synchronized must be False: one process",
    "layers.Dropout": "noise_shape has 1 or None for the batch, whose length is not known before",
    "layers.Embedding": "mask_zero must be False: there are no masks; indices that are too large are refused",
    "layers.Flatten": 'data_format must be "channels_last", as NumPy\'s arrays lie',
    "callbacks.BackupAndRestore": "keeps all that the steps to come depend on: see the page on callbacks",
    "callbacks.CSVLogger": "wipes an older file at the first row, and leaves none open when a fit fails",
    "callbacks.LambdaCallback": "refuses names that are no hooks",
    "callbacks.LearningRateScheduler": "looks at the schedule's signature, so that a TypeError within it is seen",
    "callbacks.ModelCheckpoint": "save_best_only goes with any save_freq: Keras 3.15 fails within the first epoch",
    "callbacks.ReduceLROnPlateau": "refuses unknown arguments",
    "callbacks.SwapEMAWeights": "puts the weights back after predict, and keeps the averages if training stops early",
    "utils.PyDataset": "workers and their like have no effect: batches are made where the model trains",
}

# What goes for all names of a section
NOTES = {
    "Sequential": "All arguments of the methods are compared too.",
    "layers": ("No layer takes `autocast` (a model computes in one dtype)."),
    "losses": "Targets that a loss does not take are refused, where Keras computes something.",
    "metrics": "Results are Python floats, or float64 arrays; sums are float64.",
    "optimizers": "All arguments of the base are compared too. A name that is not given has no number behind it.",
    "initializers": "A seed gives other numbers than Keras's, the same on every machine and for any number of threads.",
}
EVERYWHERE = {"layers": {"autocast"}}


# ---------------------------------------------------------------------------------------------------------- comparison


used: set[Any] = set()


def public(holder: Any) -> list[str]:
    return [name for name in dir(holder) if not name.startswith("_")]


def arguments(value: Any) -> dict[str, inspect.Parameter] | None:
    """The arguments of a function or of a class's constructor; None for what is not called."""
    if inspect.ismodule(value) or not callable(value):
        return None
    # what a constructor takes as **kwargs, the one of its base takes by name
    functions = (
        [vars(c)["__init__"] for c in value.__mro__ if "__init__" in vars(c)] if inspect.isclass(value) else [value]
    )
    found: dict[str, inspect.Parameter] = {}
    for function in functions:
        try:
            here = inspect.signature(function).parameters
        except (TypeError, ValueError):
            return None
        inherits = bool(found)
        for name, p in here.items():
            found.setdefault(name, p.replace(kind=p.KEYWORD_ONLY) if inherits else p)
        if not any(p.kind is p.VAR_KEYWORD or name == "kwargs" for name, p in here.items()):
            break
    left_out = ("self", "args", "kwargs", "options", "unknown")
    return {name: p for name, p in found.items() if name not in left_out}


def shown(value: Any) -> str:
    return f"`{value!r}`".replace("'", '"')


def same_default(theirs: inspect.Parameter, ours: inspect.Parameter) -> bool:
    if isinstance(theirs.default, str) and isinstance(ours.default, str):
        return theirs.default.lower() == ours.default.lower()  # "Zeros" and "zeros" name the same
    return bool(theirs.default == ours.default)


BY_NAME = inspect.Parameter.KEYWORD_ONLY


def differences(name: str, theirs: Any, ours: Any, everywhere: set[str]) -> list[str]:
    """What differs in the arguments of a name, in words."""
    keras_arguments, own = arguments(theirs), arguments(ours)
    if keras_arguments is None or own is None:
        return []
    found = []
    keras_arguments = {a: p for a, p in keras_arguments.items() if f"{name}.{a}" not in NOT_TAKEN}
    for argument, parameter in keras_arguments.items():
        if argument not in own and argument not in everywhere:
            reason = ARGUMENTS.get(argument)
            found.append(f"no `{argument}`" + (f" ({reason})" if reason else " (?)"))
        elif argument not in own:
            continue
        elif parameter.default is parameter.empty and own[argument].default is not parameter.empty:
            found.append(f"`{argument}` may be left out")
        elif not same_default(parameter, own[argument]):
            found.append(f"`{argument}` is {shown(own[argument].default)}, not {shown(parameter.default)} (?)")
    inherited = ("name", "dtype", "trainable", "input_shape", "input_dim", "batch_shape")
    more = [a for a in own if a not in keras_arguments and not (own[a].kind is BY_NAME and a in inherited)]
    if more:
        found.append("also takes " + ", ".join(f"`{argument}`" for argument in more))
    common = [a for a, p in keras_arguments.items() if a in own and p.kind is not BY_NAME]
    if common != [a for a in own if a in common]:
        found.append("arguments in another order (?)")
    return found


class Group:
    """One section of the page."""

    def __init__(self, title: str, key: str, theirs: Any, ours: Any) -> None:
        self.title, self.key = title, key
        self.same: list[str] = []
        self.larger: dict[str, list[str]] = {}
        self.different: list[tuple[str, str]] = []
        self.absent: dict[str, list[str]] = {}
        self.problems: list[str] = []
        for name in public(theirs):
            self.compare(name, getattr(theirs, name, None), ours)
        known = set(public(theirs))
        exported = getattr(ours, "__all__", None) or public(ours)
        self.more = [name for name in exported if name not in known and not inspect.ismodule(getattr(ours, name, None))]

    def compare(self, name: str, theirs: Any, holder: Any) -> None:
        full = f"{self.key}.{name}"
        if not hasattr(holder, name):
            pattern, why = next((row for row in ABSENT if re.fullmatch(row[0], full)), (None, "?"))
            if pattern is None:
                self.problems.append(f"{full} is absent, without a reason")
            used.add(pattern)
            self.absent.setdefault(why, []).append(name)
            return
        found = differences(name, theirs, getattr(holder, name), EVERYWHERE.get(self.key, set()))
        reason = DIFFERENT.get(full)
        used.add(full)
        if reason is None and all(one.startswith(("also takes", "`")) and "(?)" not in one for one in found):
            self.same.append(name)
            if found:
                self.larger.setdefault("; ".join(found), []).append(name)
            return
        unexplained = [one for one in found if one.endswith("(?)")]
        if unexplained and reason is None:
            self.problems.append(f"{full}: {'; '.join(unexplained)}")
        words = ([reason] if reason else []) + [one.removesuffix(" (?)") for one in found]
        self.different.append((name, "; ".join(words)))

    def lines(self) -> Iterator[str]:
        yield f"\n## {self.title}\n"
        if self.key in NOTES:
            yield wrapped(NOTES[self.key]) + "\n"
        if self.same:
            yield wrapped(f"**Same:** {listed(self.same)}.") + "\n"
        if self.larger:
            yield "Of these take more than Keras's:\n"
            for how, names in self.larger.items():
                yield wrapped(f"- {how.removeprefix('also takes ')}: {listed(names)}")
            yield ""
        if self.different:
            yield "**Different:**\n"
            for name, how in self.different:
                yield wrapped(f"- `{name}`: {how}")
            yield ""
        if self.absent:
            yield "**Absent:**\n"
            for reason, names in self.absent.items():
                yield wrapped(f"- {reason}: {listed(names)}")
            yield ""
        if self.more:
            yield wrapped(f"**fastnn's own:** {listed(self.more)}.") + "\n"


def wrapped(text: str) -> str:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


MODULES = (
    "layers", "losses", "metrics", "optimizers", "optimizers.schedules", "callbacks", "initializers", "regularizers",
    "constraints", "activations", "utils", "models",
)  # fmt: skip
CLASSES = ("Sequential", "Layer", "Loss", "Metric", "Optimizer", "Callback")


def holder(package: Any, path: str) -> Any:
    for part in path.split("."):
        package = getattr(package, part)
    return package


def place_of(name: str) -> str:
    return {"Loss": "losses.Loss", "Metric": "metrics.Metric", "Callback": "callbacks.Callback"}.get(name, name)


def groups() -> list[Group]:
    found = [
        Group(f"fastnn.{place_of(n)}", n, holder(keras, place_of(n)), holder(fastnn, place_of(n))) for n in CLASSES
    ]
    return found + [Group(f"fastnn.{path}", path, holder(keras, path), holder(fastnn, path)) for path in MODULES]


HEAD = """# What of Keras is there

Written by `scripts/keras_surface.py` from Keras {version}, name by name. A class or function is the **same** if it
takes the same arguments with the same defaults; tests compare its results with Keras's. What is **different** says
how and why, what is **absent** says why. All of `keras.applications`, `datasets`, `distribution`, `export`, `ops`,
`quantizers`, `random` and `tree` is out of scope: fastnn is for dense networks on arrays, and its arrays are NumPy's.
[For those who come from Keras](keras.md) has what a program has to change.
"""


def page() -> str:
    made = groups()
    problems = [problem for group in made for problem in group.problems]
    problems += [f"{key}: a reason for nothing" for key in [*(row[0] for row in ABSENT), *DIFFERENT] if key not in used]
    if problems:
        sys.exit("no reason is given for:\n  " + "\n  ".join(problems))
    version = ".".join(keras.__version__.split(".")[:2])
    text = HEAD.format(version=version) + "\n".join(line for group in made for line in group.lines())
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="docs/keras-surface.md")
    parser.add_argument("--check", action="store_true", help="exit status 1 if the page is not up to date")
    if not parser.parse_args().check:
        TARGET.write_text(page(), encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != page():
        sys.exit(f"{TARGET} is not up to date; run python scripts/keras_surface.py")
