"""fit, evaluate and predict on whatever gives batches: the same as on arrays, where the batches are the same."""

import numpy as np
import pytest

from fastnn import Sequential, callbacks, layers, optimizers
from fastnn.utils import PyDataset

ROWS, BATCH = 30, 8


def data(seed=0):
    r = np.random.default_rng(seed)
    return r.normal(size=(ROWS, 4)), r.normal(size=(ROWS, 2))


X, Y = data()


def network():
    model = Sequential([layers.Dense(5, activation="relu"), layers.Dropout(0.3), layers.Dense(2)], seed=3)
    model.compile(optimizer=optimizers.Adam(0.01), loss="mse", metrics=["mae"])
    return model


def parts(count=1):
    return [(X[b : b + BATCH], Y[b : b + BATCH]) for _ in range(count) for b in range(0, ROWS, BATCH)]


class Numbered(PyDataset):
    """Batches by number; each asked for is noted."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def __len__(self):
        return len(parts())

    def __getitem__(self, i):
        self.asked.append(i)
        return parts()[i]


class Again:
    """Can be gone through again and again."""

    def __iter__(self):
        return iter(parts())


def same(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("source", ["generator", "iterator", "dataset", "iterable"])
def test_fit_is_that_of_arrays(source):
    model, twin = network(), network()
    given = {
        "generator": lambda: (part for part in parts(3)),
        "iterator": lambda: iter(parts(3)),
        "dataset": Numbered,
        "iterable": Again,
    }[source]()
    options = {"steps_per_epoch": 4} if source in ("generator", "iterator") else {}
    history = model.fit(given, epochs=3, shuffle=False, verbose=0, **options).history
    assert history == twin.fit(X, Y, batch_size=BATCH, epochs=3, shuffle=False, verbose=0).history
    same(model, twin)
    assert model.optimizer.iterations == 12


def test_batches_with_weights_and_validation():
    model, twin = network(), network()
    w = np.linspace(0, 2, ROWS)
    weighted = [(x, y, w[i * BATCH : i * BATCH + BATCH]) for i, (x, y) in enumerate(parts())]
    first = model.fit(iter(weighted), validation_data=iter(parts()), verbose=0).history
    second = twin.fit(X, Y, batch_size=BATCH, shuffle=False, sample_weight=w, validation_data=(X, Y), verbose=0).history
    assert list(first) == list(second) == ["loss", "mae", "val_loss", "val_mae"]
    for name, values in first.items():
        np.testing.assert_allclose(values, second[name], rtol=1e-6)
    same(model, twin)


def test_a_dataset_is_shuffled_batch_by_batch():
    orders = []
    for seed in (3, 3, 4):
        source, model = Numbered(), network()
        model.seed = seed
        model.fit(source, epochs=3, verbose=0)
        assert [sorted(source.asked[4 * e : 4 * e + 4]) for e in range(3)] == [[0, 1, 2, 3]] * 3
        orders.append(source.asked)
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != [0, 1, 2, 3] * 3


def test_an_iterator_that_ends_ends_the_fit():
    model = network()
    with pytest.warns(UserWarning, match="ran out of data"):
        history = model.fit(iter(parts(2)), epochs=5, steps_per_epoch=6, verbose=0)
    assert model.optimizer.iterations == 8
    assert history.epoch == [0, 1]
    with pytest.warns(UserWarning, match="ran out of data"):
        history = model.fit(iter(parts()), epochs=3, verbose=0)
    assert model.optimizer.iterations == 12
    assert history.epoch == [0]
    with pytest.raises(ValueError, match="at least one batch"):
        model.fit(iter([]), verbose=0)


def test_evaluate_and_predict():
    model = network()
    model.build((None, 4))
    whole = model.evaluate(X, Y, batch_size=BATCH, verbose=0)
    for source in (iter(parts()), Numbered(), Again()):
        np.testing.assert_allclose(model.evaluate(source, verbose=0), whole, rtol=1e-6)
    expected = model.predict(X, verbose=0)
    for source in (iter([x for x, _ in parts()]), Numbered(), Again()):
        np.testing.assert_array_equal(model.predict(source, verbose=0), expected)
    np.testing.assert_array_equal(model.predict(Numbered(), steps=2, verbose=0), expected[: 2 * BATCH])
    np.testing.assert_allclose(
        model.evaluate(Numbered(), steps=2, verbose=0), model.evaluate(X[:16], Y[:16], verbose=0), rtol=1e-6
    )


def test_loaders_of_pytorch(torch):
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)), BATCH)
    model, twin = network(), network()
    model.fit(loader, epochs=2, verbose=0)
    twin.fit(X, Y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    same(model, twin)


@pytest.mark.parametrize("kind", ["arrays", "dataset", "iterable"])
def test_a_fit_that_was_stopped_goes_on(tmp_path, kind):
    """In the middle of an epoch, in another model: the same to the last bit."""

    class StopError(Exception):
        pass

    def fit(model, *more):
        given = {"arrays": (X, Y), "dataset": (Numbered(),), "iterable": (Again(),)}[kind]
        options = {"batch_size": BATCH} if kind == "arrays" else {}
        return model.fit(*given, epochs=4, verbose=0, callbacks=list(more), **options)

    def stop(batch, logs):
        if model.optimizer.iterations == 6:
            raise StopError

    model, twin = network(), network()
    expected = fit(twin).history
    backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
    with pytest.raises(StopError):
        fit(model, callbacks.LambdaCallback(on_train_batch_begin=stop), backup)
    other = network()
    other.seed = 77
    history = fit(other, callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)).history
    assert other.optimizer.iterations == 16
    assert other.seed == 3
    same(other, twin)
    assert history == expected


def test_wrong_batches_are_named():
    model = network()
    model.build((None, 4))
    before = model.get_weights()
    for source, words in (
        (iter([(X, Y[:3])]), "batch 0"),
        (iter([(X[:, :2], Y)]), "takes samples of shape"),
        (iter([(X, Y, np.ones(ROWS), 1)]), "4 items"),
        (iter([{"x": X}]), "dict"),
        (iter([(np.where(X > 2, np.nan, X), Y)]), "not finite"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            model.fit(source, verbose=0)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    for options in ({"y": Y}, {"batch_size": 3}, {"validation_split": 0.2}, {"sample_weight": np.ones(3)}):
        with pytest.raises(ValueError, match=next(iter(options))):
            model.fit(iter(parts()), verbose=0, **options)
