"""The options of fit and evaluate, against fastnn.reference.network in plain Python or a formula."""

import threading

import numpy as np
import pytest
from pairs import RTOL, pair, same_weights

from fastnn import Sequential, callbacks, layers, losses, optimizers
from fastnn.reference import random
from fastnn.reference.network import ROW_ORDER

PARTS = [(5, "tanh"), (2, "linear")]
RATE = ("SGD", {"learning_rate": 0.1, "momentum": 0.9})
R = np.random.default_rng(12)
X, Y, W = R.normal(size=(23, 3)), R.normal(size=(23, 2)), R.uniform(0.2, 3, 23)
VX, VY, VW = R.normal(size=(9, 3)), R.normal(size=(9, 2)), R.uniform(0.2, 3, 9)


class Hears(callbacks.Callback):
    """Has epochs run one by one, and counts batches of validation."""

    def __init__(self):
        super().__init__()
        self.tested = 0

    def on_epoch_end(self, epoch, logs=None):
        pass

    def on_test_batch_end(self, batch, logs=None):
        self.tested += 1


def made(parts=PARTS, optimizer=RATE, **options):
    return pair(parts, "mean_squared_error", optimizer, **options)


def epochs_of(network, epochs, batch_size=5, weights=None, first=0):
    """The reference's losses, after each epoch that of the samples to validate on."""
    history, validation = [], []
    for epoch in range(first, epochs):
        w = None if weights is None else weights.tolist()
        history += network.fit(X.tolist(), Y.tolist(), w, epoch + 1, batch_size, initial_epoch=epoch)
        validation.append(network.loss(VX.tolist(), VY.tolist(), VW.tolist()))
    return history, validation


# ---------------------------------------------------------------------------------------------------------- validation


@pytest.mark.parametrize("alone", [True, False], ids=["at once", "one by one"])
@pytest.mark.parametrize(
    "frequency, after", [(1, [0, 1, 2, 3, 4, 5]), (2, [1, 3, 5]), (4, [3]), ([1, 4], [0, 3]), ([6], [5])]
)
def test_epochs_that_are_validated(frequency, after, alone):
    model, network = made()
    history = model.fit(
        X, Y, batch_size=5, epochs=6, verbose=0, validation_data=(VX, VY, VW), validation_freq=frequency,
        callbacks=[] if alone else [Hears()],
    ).history  # fmt: skip
    loss, validation = epochs_of(network, 6)
    np.testing.assert_allclose(history["loss"], loss, rtol=RTOL)
    np.testing.assert_allclose(history["val_loss"], [validation[epoch] for epoch in after], rtol=RTOL)
    same_weights(model, network)


def test_epochs_are_counted_from_the_first():
    """With initial_epoch validation_freq goes by the epochs' own numbers, as the orders of the samples do."""
    model, network = made()
    history = model.fit(
        X, Y, batch_size=5, epochs=7, initial_epoch=3, verbose=0, validation_data=(VX, VY, VW), validation_freq=2
    )
    loss, validation = epochs_of(network, 7, first=3)
    assert history.epoch == [3, 4, 5, 6]
    np.testing.assert_allclose(history.history["loss"], loss, rtol=RTOL)
    np.testing.assert_allclose(history.history["val_loss"], [validation[0], validation[2]], rtol=RTOL)


@pytest.mark.parametrize("size, steps, batches", [(None, None, 2), (2, None, 5), (4, 2, 2), (None, 1, 1)])
def test_batches_of_validation(size, steps, batches):
    """The size of its own, or that of training; the loss is that of the rows in so many batches."""
    model, network = made()
    hears = Hears()
    history = model.fit(
        X, Y, batch_size=5, verbose=0, validation_data=(VX, VY, VW), validation_batch_size=size,
        validation_steps=steps, callbacks=[hears],
    ).history  # fmt: skip
    assert hears.tested == batches
    network.fit(X.tolist(), Y.tolist(), batch_size=5)
    rows = slice(None if steps is None else steps * (size or 5))
    expected = network.loss(VX[rows].tolist(), VY[rows].tolist(), VW[rows].tolist())
    np.testing.assert_allclose(history["val_loss"], [expected], rtol=RTOL)


@pytest.mark.parametrize("share, kept", [(0.25, 17), (0.5, 11)])
def test_the_last_samples_are_split_off(share, kept):
    model, network = made()
    history = model.fit(
        X, Y, batch_size=5, epochs=2, verbose=0, sample_weight=W, validation_split=share, shuffle=False
    ).history
    x, y, w = X.tolist(), Y.tolist(), W.tolist()
    loss, validation = [], []
    for epoch in range(2):
        loss += network.fit(x[:kept], y[:kept], w[:kept], epoch + 1, 5, shuffle=False, initial_epoch=epoch)
        validation.append(network.loss(x[kept:], y[kept:], w[kept:]))
    np.testing.assert_allclose(history["loss"], loss, rtol=RTOL)
    np.testing.assert_allclose(history["val_loss"], validation, rtol=RTOL)
    same_weights(model, network)


# -------------------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("one_hot", [False, True])
def test_a_class_without_a_weight_counts_once(one_hot):
    labels = R.integers(0, 4, 23)
    loss = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
    model, network = pair([(4, "softmax")], loss, RATE)
    y = np.eye(4)[labels] if one_hot else labels
    history = model.fit(X, y, batch_size=5, epochs=3, verbose=0, class_weight={1: 3.0, 2: 0.5}).history
    weights = np.array([1.0, 3.0, 0.5, 1.0])[labels]
    expected = network.fit(X.tolist(), y.tolist(), weights.tolist(), 3, 5)
    np.testing.assert_allclose(history["loss"], expected, rtol=RTOL)
    same_weights(model, network)


def test_only_weighted_metrics_are_weighted():
    model, _ = made(metrics=["mae"], weighted_metrics=["mse"])
    p = model.predict(X, verbose=0)
    found = model.evaluate(X, Y, sample_weight=W, batch_size=5, verbose=0, return_dict=True)
    errors, squares = np.abs(p - Y).mean(axis=1), ((p - Y) ** 2).mean(axis=1)
    np.testing.assert_allclose(found["mae"], errors.mean(), rtol=RTOL)
    np.testing.assert_allclose(found["mse"], np.sum(W * squares) / np.sum(W), rtol=RTOL)
    assert abs(np.sum(W * errors) / np.sum(W) - errors.mean()) > 1e-3
    history = model.fit(X, Y, sample_weight=W, batch_size=23, verbose=0).history
    np.testing.assert_allclose(history["mae"], [errors.mean()], rtol=RTOL)


@pytest.mark.parametrize("weighted", [False, True])
def test_an_ignored_class_does_not_count(weighted):
    labels = np.arange(23) % 3
    model = Sequential([layers.Input((3,)), layers.Dense(3)], seed=1, dtype="float64")
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1))
    z = model.predict(X, verbose=0)
    each = np.log(np.exp(z).sum(axis=1)) - z[np.arange(23), labels]
    counted = labels != 1
    weights = W if weighted else np.ones(23)
    expected = np.sum((weights * each)[counted]) / np.sum(counted)
    given = {"sample_weight": W} if weighted else {}
    np.testing.assert_allclose(model.evaluate(X, labels, batch_size=23, verbose=0, **given), expected, rtol=RTOL)
    np.testing.assert_allclose(
        model.fit(X, labels, batch_size=23, verbose=0, **given).history["loss"], [expected], rtol=RTOL
    )


# ---------------------------------------------------------------------------------------------------------------- steps


def test_fewer_steps_than_batches_go_through_a_pass_in_turn():
    """Two of five batches an epoch: a pass takes three epochs, and its order is drawn once."""
    model, network = made()
    with pytest.warns(UserWarning, match="5 batches are no multiple of 2"):
        history = model.fit(X, Y, batch_size=5, epochs=6, steps_per_epoch=2, verbose=0).history
    expected = []
    for epoch in range(6):
        passes, part = divmod(epoch, 3)
        order = random.permutation(network.seed, ROW_ORDER + passes, 23)[10 * part : 10 * part + 10]
        rows = [order[i : i + 5] for i in range(0, len(order), 5)]
        losses_ = [network.train_step(X[r].tolist(), Y[r].tolist()) for r in rows]
        expected.append(np.average(losses_, weights=[len(r) for r in rows]))
    np.testing.assert_allclose(history["loss"], expected, rtol=RTOL)
    same_weights(model, network)


def test_a_schedule_gives_each_step_its_rate():
    schedule = optimizers.schedules.ExponentialDecay(0.2, decay_steps=3, decay_rate=0.7)
    model, network = made()
    model.compile(optimizers.SGD(schedule), "mse")
    network.optimizer = type(network.optimizer)(learning_rate=lambda step: 0.2 * 0.7 ** (step / 3))
    model.fit(X, Y, batch_size=5, epochs=3, verbose=0)
    network.fit(X.tolist(), Y.tolist(), epochs=3, batch_size=5)
    same_weights(model, network)
    for _ in range(2):
        model.train_on_batch(X[:5], Y[:5])
        network.train_step(X[:5].tolist(), Y[:5].tolist())
    same_weights(model, network)


@pytest.mark.parametrize("steps", [None, 1, 2, 3, 9])
def test_steps_of_evaluate_and_predict(steps):
    model, network = made()
    rows = slice(None if steps is None else 6 * steps)
    expected = network.loss(X[rows].tolist(), Y[rows].tolist(), W[rows].tolist())
    for listens in ([], [Hears()]):
        found = model.evaluate(X, Y, 6, 0, W, steps, callbacks=listens)
        np.testing.assert_allclose(found, expected, rtol=RTOL)
    found = model.predict(X, 6, 0, steps)
    np.testing.assert_allclose(found, network.forward(X[rows].tolist()), rtol=RTOL)


def test_evaluate_drops_nothing_and_begins_anew():
    model, network = made([(5, "tanh"), 0.5, (2, "linear")])
    model.fit(X, Y, batch_size=5, verbose=0)
    network.fit(X.tolist(), Y.tolist(), batch_size=5)
    expected = network.loss(X.tolist(), Y.tolist())
    for _ in range(3):
        np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), expected, rtol=RTOL)
    other = network.loss(VX.tolist(), VY.tolist())
    np.testing.assert_allclose(model.evaluate(VX, VY, verbose=0), other, rtol=RTOL)


def test_reset_metrics_forgets_training_and_evaluation():
    model, _ = made(metrics=["mae"])
    model.fit(X, Y, verbose=0)
    model.evaluate(X, Y, verbose=0)
    plan = model._need_compiled()
    before = plan.logs(), plan.logs(testing=True)
    assert all(logs["loss"] > 0 and logs["mae"] > 0 for logs in before)
    model.reset_metrics()
    assert plan.logs() == plan.logs(testing=True) == {"loss": 0.0, "mae": 0.0}


def test_gradients_are_copies():
    model, network = made()
    loss, found = model.gradients(X, Y, W)
    kept = [g.copy() for g in found]
    model.train_on_batch(VX, VY)
    expected, gradients = network.gradients(X.tolist(), Y.tolist(), W.tolist())
    np.testing.assert_allclose(loss, expected, rtol=RTOL)
    for one, before, other in zip(found, kept, gradients, strict=True):
        np.testing.assert_array_equal(one, before)
        np.testing.assert_allclose(one.ravel(), other, rtol=RTOL, atol=1e-14)
        one[...] = 7  # and the model has nothing of them
    assert not any((g == 7).any() for g in model.gradients(X, Y)[1])


@pytest.mark.parametrize("work", ["fit", "train_on_batch", "evaluate", "gradients"])
def test_whoever_has_worked_with_a_model_leaves_it_to_others(work):
    model, _ = made(metrics=["mae"])
    x, y = X[:8], Y[:8]
    calls = {
        "fit": lambda: model.fit(x, y, verbose=0),
        "train_on_batch": lambda: [model.train_on_batch(x, y) for _ in range(3)],
        "evaluate": lambda: model.evaluate(x, y, verbose=0),
        "gradients": lambda: model.gradients(x, y),
    }
    calls[work]()
    errors = []

    def other():
        try:
            for call in calls.values():
                call()
            model.predict(x, verbose=0)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join(60)
    assert not errors and not thread.is_alive()
    model.compile("sgd", "mse")


def test_momentum_follows_weights_that_move():
    """Another model takes a layer over for a while: the fit goes on with the state that the optimizer had."""
    model, network = made()
    model.fit(X, Y, batch_size=5, verbose=0)
    network.fit(X.tolist(), Y.tolist(), batch_size=5)
    other = Sequential([layers.Input((3,)), model.layers[0]], dtype="float64")
    other.build()
    model.fit(X, Y, batch_size=5, epochs=2, initial_epoch=1, verbose=0)
    network.fit(X.tolist(), Y.tolist(), epochs=2, batch_size=5, initial_epoch=1)
    same_weights(model, network)
