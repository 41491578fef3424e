"""Which exceptions bad arguments raise in Keras 3 and in fastnn: `python scripts/keras_errors.py`.

Every argument that a class has in both libraries is given every value of BAD, the others being sensible; `compile` too.
Printed are the calls of which Keras raises ValueError and fastnn does not. Needs Keras; the exit code is 1 if there are
any that ACCEPTED does not explain.
"""

import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import numpy as np

BAD: dict[str, Any] = {
    "None": None, "'nonsense'": "nonsense", "''": "", "2.5": 2.5, "-1": -1, "-0.5": -0.5, "0": 0, "1.5": 1.5,
    "True": True, "nan": float("nan"), "inf": float("inf"), "[]": [], "()": (), "[1, 2]": [1, 2], "(-1,)": (-1,),
    "(2.5,)": (2.5,), "{}": {}, "{'a': 1}": {"a": 1}, "object()": object(),
    "{'class_name': 'Nonsense'}": {"class_name": "Nonsense", "config": {}}, "1 + 2j": 1 + 2j, "b'a'": b"a",
}  # fmt: skip

# Arguments without a default, by the path of the class
NEEDED: dict[str, dict[str, Any]] = {
    "layers.Dense": {"units": 3}, "layers.Activation": {"activation": "relu"}, "layers.Dropout": {"rate": 0.5},
    "layers.GaussianNoise": {"stddev": 0.5}, "layers.Reshape": {"target_shape": (2, 2)},
    "layers.Rescaling": {"scale": 2.0}, "layers.Embedding": {"input_dim": 4, "output_dim": 2},
    "layers.InputLayer": {"shape": (3,)}, "Input": {"shape": (3,)},
    "metrics.MeanMetricWrapper": {"fn": lambda y, p: p}, "metrics.IoU": {"num_classes": 2, "target_class_ids": [0]},
    "metrics.OneHotIoU": {"num_classes": 2, "target_class_ids": [0]}, "metrics.MeanIoU": {"num_classes": 2},
    "metrics.OneHotMeanIoU": {"num_classes": 2}, "metrics.BinaryIoU": {},
    "metrics.SensitivityAtSpecificity": {"specificity": 0.5}, "metrics.SpecificityAtSensitivity": {"sensitivity": 0.5},
    "metrics.PrecisionAtRecall": {"recall": 0.5}, "metrics.RecallAtPrecision": {"precision": 0.5},
    "metrics.MeanRelativeError": {"normalizer": [1.0]},
    "optimizers.schedules.ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "optimizers.schedules.InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "optimizers.schedules.PiecewiseConstantDecay": {"boundaries": [1], "values": [0.1, 0.2]},
    "optimizers.schedules.PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
    "optimizers.schedules.CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
    "optimizers.schedules.CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 10},
    "optimizers.LossScaleOptimizer": {"inner_optimizer": "sgd"},
    "callbacks.ModelCheckpoint": {"filepath": "model.keras"}, "callbacks.CSVLogger": {"filename": "log.csv"},
    "callbacks.LearningRateScheduler": {"schedule": lambda epoch: 0.1}, "callbacks.LambdaCallback": {},
    "callbacks.BackupAndRestore": {"backup_dir": "backup"},
    "initializers.Identity": {},
}  # fmt: skip
# Where fastnn takes what Keras refuses: a pattern for calls, and why
ACCEPTED = [
    (r"layers\.GaussianNoise\(stddev=", "noise may have any standard deviation"),
    (r"optimizers\.\w+\((learning_rate|momentum)=0\)", "whole numbers are numbers"),
    (r"compile\(loss_weights=", "whole numbers are numbers, and a weight may be negative"),
    (r"callbacks\.ModelCheckpoint\((filepath|save_weights_only)=", "any name will do for a file"),
]
# Calls of other libraries' things, and bases that are nothing by themselves
LEFT_OUT = {
    "layers.Layer", "losses.Loss", "metrics.Metric", "optimizers.Optimizer", "callbacks.Callback",
    "callbacks.CallbackList", "initializers.Initializer", "regularizers.Regularizer", "constraints.Constraint",
    "optimizers.schedules.LearningRateSchedule", "callbacks.History", "callbacks.MonitorCallback",
}  # fmt: skip
ROOMS = (
    "layers", "losses", "metrics", "optimizers", "optimizers.schedules", "callbacks", "initializers", "regularizers",
    "constraints",
)  # fmt: skip


def inside(module: Any, path: str) -> Any:
    """What lies at a path of names."""
    for name in path.split("."):
        module = getattr(module, name, None)
    return module


def classes(keras: Any, fastnn: Any) -> Iterator[str]:
    """The paths of the classes that both have."""
    yield "Input"
    for room in ROOMS:
        theirs, ours = inside(keras, room), inside(fastnn, room)
        for name in dir(ours):
            path = f"{room}.{name}"
            both = inspect.isclass(getattr(ours, name)) and inspect.isclass(getattr(theirs, name, None))
            if both and not name.startswith("_") and path not in LEFT_OUT:
                yield path


def parameters(function: Any) -> set[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name for name, p in inspect.signature(function).parameters.items() if p.kind in kinds}


def calls(keras: Any, fastnn: Any) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Calls of a library, and what they are called."""
    for path in classes(keras, fastnn):
        shared = parameters(inside(keras, path)) & parameters(inside(fastnn, path))
        if path.startswith("layers."):
            shared |= {"name", "trainable", "dtype", "activity_regularizer"}
        for name in sorted(shared | {"no_such_argument"}):
            for shown, value in BAD.items():
                given = NEEDED.get(path, {}) | {name: value}
                yield f"{path}({name}={shown})", lambda lib, path=path, given=given: inside(lib, path)(**given)
    for name in ("optimizer", "loss", "metrics", "weighted_metrics", "loss_weights"):
        for shown, value in BAD.items():

            def compile(lib: Any, name: str = name, value: Any = value) -> None:
                model = lib.Sequential([lib.layers.Input((2,)), lib.layers.Dense(1)])
                model.compile(**({"optimizer": "sgd", "loss": "mse"} | {name: value}))
                x = np.ones((4, 2), np.float32)
                model.evaluate(x, x[:, :1], verbose=0)  # Keras looks at some arguments only then

            yield f"compile({name}={shown})", compile
    for name in ("layers", "name", "trainable"):
        for shown, value in BAD.items():
            yield f"Sequential({name}={shown})", lambda lib, name=name, value=value: lib.Sequential(**{name: value})


def outcome(call: Callable[[Any], Any], library: Any) -> BaseException | None:
    """What a call raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(library)
    except Exception as error:
        return error
    return None


def told(error: BaseException | None) -> str:
    return (
        "nothing"
        if error is None
        else f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"
    )


def main() -> int:
    import keras

    import fastnn

    count = different = 0
    for name, call in calls(keras, fastnn):
        theirs = outcome(call, keras)
        count += 1
        if not isinstance(theirs, ValueError):
            continue
        ours = outcome(call, fastnn)
        if not isinstance(ours, ValueError) and not any(re.match(pattern, name) for pattern, _ in ACCEPTED):
            different += 1
            print(f"{name}\n    Keras   {told(theirs)}\n    fastnn  {told(ours)}")
    print(f"{count} calls; of {different} Keras raises ValueError and fastnn does not")
    return min(different, 1)


if __name__ == "__main__":
    sys.exit(main())
