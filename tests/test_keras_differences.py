"""What docs/keras.md says of Keras and of fastnn where they differ: both are asked."""

import numpy as np
import pytest

import fastnn

PROBABILITIES = np.array([[0.8, 0.1, 0.1], [0.05, 0.9, 0.05], [0.1, 0.8, 0.1]], np.float32)
CLASSES = np.array([0, 1, 2])
REFUSED = "refused"


def ignoring(k, *weights):
    return k.metrics.SparseCategoricalCrossentropy(ignore_class=0)(CLASSES, PROBABILITIES, *weights)


def trained(k, loss, y, units=2):
    model = k.Sequential([k.layers.Dense(units, "softmax", kernel_initializer="zeros")])
    model.compile("sgd", loss)
    return model.fit(np.ones((4, 1)), y, verbose=0).history["loss"][0]


def after_an_overflow(k):
    """Whether the weights are as they were, when TerminateOnNaN has stopped at the first batch."""
    model = k.Sequential([k.layers.Input((1,)), k.layers.Dense(1, kernel_initializer=k.initializers.Constant(1e30))])
    model.compile("sgd", "mse")
    stop = k.callbacks.TerminateOnNaN()
    assert model.fit(np.ones((4, 1)), np.ones((4, 1)), callbacks=[stop], verbose=0).history["loss"] == [np.inf]
    return bool(np.ravel(model.get_weights()[0])[0] == np.float32(1e30))


def masked(k, noise_shape):
    return np.asarray(k.layers.Dropout(0.5, noise_shape=noise_shape)(np.ones((2, 4, 3)), training=True))


MEAN_OF_LOSSES = -np.log([0.9, 0.1]).mean()

CASES = {
    "rms_scaling": (
        lambda k: np.asarray(k.layers.LayerNormalization(rms_scaling=True, dtype="float32")(np.arange(5.0)[None])),
        np.arange(5.0)[None] / np.sqrt(6.001),
        np.arange(5.0)[None] / np.sqrt(2.001),
    ),
    "clipped probabilities": (
        lambda k: k.losses.BinaryCrossentropy()(np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)),
        -np.log(1e-7),
        -np.log(2.0**-23),
    ),
    "ignored classes": (ignoring, MEAN_OF_LOSSES, MEAN_OF_LOSSES * 2 / 3),
    "ignored classes, with weights": (lambda k: ignoring(k, np.ones(3)), MEAN_OF_LOSSES, MEAN_OF_LOSSES),
    "classes that are no whole numbers": (lambda k: k.metrics.MeanIoU(2)(CLASSES[:2], [0.9, 1.2]), REFUSED, 1.0),
    "weights below 1": (lambda k: k.metrics.MeanIoU(2)(CLASSES[:2], CLASSES[:2], np.full(2, 0.5)), 1.0, 0.0),
    "y of one column": (lambda k: trained(k, "mse", np.ones((4, 1))), REFUSED, 0.25),
    "classes in another shape": (
        lambda k: k.metrics.SparseCategoricalAccuracy()(np.zeros((2, 1)), PROBABILITIES[None, [0, 0]]),
        REFUSED,
        1.0,
    ),
    "crossentropy": (lambda k: trained(k, "crossentropy", np.zeros(4), 3), REFUSED, np.log(3)),
    "beta": (lambda k: k.metrics.FBetaScore(beta=2).beta, 2.0, REFUSED),
    "threshold": (lambda k: k.metrics.F1Score(threshold=1).threshold, 1.0, REFUSED),
    "R2Score of vectors": (lambda k: k.metrics.R2Score()(np.arange(3.0), np.arange(3.0)), 1.0, REFUSED),
    "weights after an overflow": (after_an_overflow, True, False),
    "the second Adam is numbered": (
        lambda k: len({k.optimizers.Adam().name for _ in range(2)}) == 2,
        False,
        True,
    ),
    "axes without a length": (lambda k: len(k.layers.Input((None, 3)).shape), REFUSED, 3),
    "a mask for a batch's length": (
        lambda k: np.ptp(masked(k, (2, 1, 3)), axis=1).max(),
        REFUSED,
        0.0,
    ),
    "channels_first": (lambda k: k.layers.Flatten("channels_first").data_format == "channels_first", REFUSED, True),
}


def check(function, package, expected):
    if isinstance(expected, str):
        with pytest.raises(ValueError):
            function(package)
    else:
        np.testing.assert_allclose(np.asarray(function(package)), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(("function", "ours", "theirs"), CASES.values(), ids=CASES)
def test_what_fastnn_does(function, ours, theirs):
    check(function, fastnn, ours)


@pytest.mark.parametrize(("function", "ours", "theirs"), CASES.values(), ids=CASES)
@pytest.mark.filterwarnings("ignore")
def test_what_keras_does(keras_as_it_comes, function, ours, theirs):
    check(function, keras_as_it_comes, theirs)


def test_a_loss_is_a_float_here_and_a_tensor_there(keras_as_it_comes):
    ours, theirs = (k.losses.MeanSquaredError()([[1.0]], [[2.0]]) for k in (fastnn, keras_as_it_comes))
    assert type(ours) is float and ours == 1.0
    assert theirs.dtype == "float32" and float(theirs) == 1.0


def test_the_page_has_no_row_without_three_cells(sources):
    text = (sources / "docs" / "keras.md").read_text()
    rows = text[text.index(":widths:") :].split("\n* - ")[1:]
    assert len(rows) >= 28
    for row in rows:
        assert row.count("\n  - ") == 2, row
