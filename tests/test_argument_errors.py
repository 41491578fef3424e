"""Bad arguments of constructors and of compile: where Keras raises ValueError, so does fastnn.

`scripts/keras_errors.py` compares thousands of calls with an installed Keras; the table here needs none.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, constraints, initializers, layers, losses, metrics, optimizers, regularizers
from fastnn.errors import ArgumentError

SCRIPT = Path(__file__).parents[1] / "scripts" / "keras_errors.py"

# A call, and what its message must hold. Keras 3.15 raises ValueError for each.
CASES = [
    (lambda: layers.Dense(2.5), "units"),
    (lambda: layers.Dense("3"), "units"),
    (lambda: layers.Dense(None), "units"),
    (lambda: layers.Dense(-1), "units"),
    (lambda: layers.Dense(0), "units"),
    (lambda: layers.Dense(3, activation="nonsense"), "activation"),
    (lambda: layers.Dense(3, activation=2.5), "activation"),
    (lambda: layers.Dense(3, kernel_initializer="nonsense"), "nonsense"),
    (lambda: layers.Dense(3, kernel_regularizer=2.5), "regularizer"),
    (lambda: layers.Dense(3, kernel_constraint=2.5), "constraint"),
    (lambda: layers.Dense(3, trainable="yes"), "trainable"),
    (lambda: layers.Dense(3, name=5), "name"),
    (lambda: layers.Dense(3, dtype="nonsense"), "dtype"),
    (lambda: layers.Dense(3, no_such_argument=1), "no_such_argument"),
    (lambda: layers.Dense(3, input_shape=2.5), "input_shape"),
    (lambda: layers.Dropout("half"), "rate"),
    (lambda: layers.Dropout(1.5), "rate"),
    (lambda: layers.Dropout(None), "rate"),
    (lambda: layers.Dropout(0.5, noise_shape=3), "noise_shape"),
    (lambda: layers.Dropout(0.5, seed=2.5), "seed"),
    (lambda: layers.GaussianNoise(-1.0), "stddev"),
    (lambda: layers.BatchNormalization(axis=2.5), "axis"),
    (lambda: layers.BatchNormalization(momentum="a"), "momentum"),
    (lambda: layers.LayerNormalization(axis=2.5), "axis"),
    (lambda: layers.Embedding(2.5, 3), "input_dim"),
    (lambda: layers.Embedding(3, -1), "output_dim"),
    (lambda: layers.Reshape(2.5), "target_shape"),
    (lambda: layers.Activation(2.5), "activation"),
    (lambda: layers.PReLU(shared_axes=2.5), "shared_axes"),
    (lambda: layers.ReLU(max_value=-1.0), "max_value"),
    (lambda: layers.ReLU(threshold=-1.0), "threshold"),
    (lambda: layers.ReLU(negative_slope="a"), "negative_slope"),
    (lambda: layers.Residual(5), "layers"),
    (lambda: layers.Parallel([5]), r"branches\[0\]"),
    (lambda: layers.Input(2.5), "shape"),
    (lambda: layers.Input((2.5,)), "shape"),
    (lambda: layers.Input("a"), "shape"),
    (lambda: layers.Input((3,), batch_size="a"), "batch_size"),
    (lambda: losses.Huber(delta="a"), "delta"),
    (lambda: losses.MeanSquaredError(reduction="nonsense"), "reduction"),
    (lambda: losses.CategoricalCrossentropy(label_smoothing="a"), "label_smoothing"),
    (lambda: metrics.AUC(num_thresholds=1), "num_thresholds"),
    (lambda: metrics.AUC(thresholds=2.5), "thresholds"),
    (lambda: metrics.Precision(thresholds="a"), "thresholds"),
    (lambda: metrics.IoU(2, []), "target_class_ids"),
    (lambda: metrics.IoU(2, 2.5), "target_class_ids"),
    (lambda: metrics.TopKCategoricalAccuracy(k="a"), "k"),
    (lambda: optimizers.SGD("fast"), "learning_rate"),
    (lambda: optimizers.SGD(momentum=1.5), "momentum"),
    (lambda: optimizers.SGD(clipnorm="a"), "clipnorm"),
    (lambda: optimizers.Adam(no_such_argument=1), "no_such_argument"),
    (lambda: optimizers.Rprop(etas=1.0), "etas"),
    (lambda: optimizers.schedules.PiecewiseConstantDecay(5, [0.1]), "boundaries"),
    (lambda: optimizers.get(2.5), "optimizer"),
    (lambda: losses.get(2.5), "loss"),
    (lambda: metrics.get(2.5), "metric"),
    (lambda: initializers.get(2.5), "initializer"),
    (lambda: regularizers.get(2.5), "regularizer"),
    (lambda: constraints.get(2.5), "constraint"),
    (lambda: callbacks.ModelCheckpoint(None), "filepath"),
    (lambda: callbacks.BackupAndRestore(5), "backup_dir"),
    (lambda: callbacks.BackupAndRestore(""), "backup_dir"),
    (lambda: callbacks.CSVLogger(5), "filename"),
    (lambda: fastnn.Sequential([5]), "layer"),
    (lambda: fastnn.Sequential(name=5), "name"),
    (lambda: fastnn.Sequential(trainable="yes"), "trainable"),
]
COMPILE = [
    ({"optimizer": 2.5}, "optimizer"),
    ({"optimizer": "nonsense"}, "optimizer"),
    ({"optimizer": None}, "optimizer"),
    ({"loss": 2.5}, "loss"),
    ({"loss": "nonsense"}, "loss"),
    ({"metrics": [2.5]}, "metric"),
    ({"metrics": "nonsense"}, "metric"),
    ({"weighted_metrics": ["nonsense"]}, "metric"),
    ({"loss_weights": "a"}, "loss_weights"),
]


@pytest.mark.parametrize(("call", "match"), CASES)
def test_constructors_raise_value_error(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize(("options", "match"), COMPILE)
def test_compile_raises_value_error_and_changes_nothing(options, match):
    model = fastnn.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    optimizer = model.optimizer
    with pytest.raises(ValueError, match=match):
        model.compile(**({"optimizer": "sgd", "loss": "mse"} | options))
    assert model.optimizer is optimizer and model.loss == "mse"
    model.fit(np.ones((4, 2)), np.ones(4), verbose=0)


def test_a_wrong_type_is_a_type_error_too():
    """For those who go by Python's convention."""
    assert issubclass(ArgumentError, TypeError) and issubclass(ArgumentError, ValueError)
    for call in (lambda: layers.Dense(2.5), lambda: layers.Dropout("half"), lambda: losses.get(2.5)):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError) as caught:  # of the right type
        layers.Dense(-1)
    assert not isinstance(caught.value, TypeError)


def test_it_is_so_in_keras(keras, sources):
    """Of thousands of calls, with the Keras that is installed."""
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert int(done.stdout.split()[0]) > 10000
