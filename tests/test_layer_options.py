"""Options of layers that other tests do not go into: masks that are shared, sparse updates, axes, penalties."""

import numpy as np
import pytest

from fastnn import Sequential, layers, optimizers, regularizers

# ------------------------------------------------------------------------------------------------------ shared masks


def masks(noise_shape, shape=(6, 4, 5), rate=0.5, seed=3):
    """The factors that a batch of ones gets, in training."""
    model = Sequential([layers.Input(shape[1:]), layers.Dropout(rate, noise_shape=noise_shape)], seed=seed)
    return model(np.ones(shape, np.float32), training=True)


@pytest.mark.parametrize(
    "noise_shape", [(None, 1, None), (None, None, 1), (1, None, None), (1, 1, None), (None, 1, 1), (None, 4, 1)]
)
def test_masks_are_shared_along_axes_of_length_1(noise_shape):
    found = masks(noise_shape)
    assert set(found.ravel().tolist()) == {0.0, 2.0}
    own = tuple(slice(None) if n != 1 else slice(0, 1) for n in noise_shape)
    np.testing.assert_array_equal(found, np.broadcast_to(found[own], found.shape))
    for axis, n in enumerate(noise_shape):
        if n != 1:  # and nowhere else
            assert not np.array_equal(found, np.roll(found, 1, axis))


def test_a_full_noise_shape_is_none():
    np.testing.assert_array_equal(masks((None, 4, 5)), masks(None))


def test_shared_masks_drop_their_share():
    kept = masks((None, 1, None), (4000, 3, 10), 0.3) != 0
    share = kept[:, 0].mean()
    assert abs(share - 0.7) < 5 * np.sqrt(0.3 * 0.7 / 40_000)


@pytest.mark.parametrize("batch", [1, None])
def test_gradients_go_through_the_same_mask(batch):
    model = Sequential([layers.Input((4, 5)), layers.Dropout(0.5, noise_shape=(batch, 1, None))], seed=0)
    ones = np.ones((3, 4, 5), np.float32)
    y, tape = model.forward(ones, training=True)
    assert 0 < y.mean() < 2
    np.testing.assert_array_equal(tape.backward(ones), y)


@pytest.mark.parametrize("noise_shape", [(None, 2, None), (4, 1, None), (None, 1), (None, 1, None, 1), (None, 0, None)])
def test_noise_shapes_that_do_not_fit(noise_shape):
    with pytest.raises(ValueError, match="noise_shape"):
        masks(noise_shape)


# ---------------------------------------------------------------------------------------------------- sparse updates

RULES = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: optimizers.Adam(0.1),
    "adam_decayed": lambda: optimizers.AdamW(0.1, weight_decay=0.1),
    "clipped": lambda: optimizers.Adam(0.1, clipnorm=0.1),
}


def embedding(sparse, rule, rows=30, width=3, **options):
    model = Sequential(
        [
            layers.Input((2,)), layers.Embedding(rows, width, sparse_update=sparse, **options), layers.Flatten(),
            layers.Dense(1, trainable=False),
        ],
        seed=0, dtype="float64",
    )  # fmt: skip
    model.compile(optimizer=RULES[rule](), loss="mse")
    return model


def batches(count=6, rows=30):
    r = np.random.default_rng(1)
    return [(r.integers(0, rows // 2, (4, 2)), r.normal(size=(4, 1))) for _ in range(count)]


@pytest.mark.parametrize("rule", RULES)
def test_unused_rows_stay(rule):
    """Rows that a batch used are updated as by the dense update; all others stay, and so do their slots."""
    sparse = embedding(True, rule)
    for x, y in batches():
        before, state = sparse.get_weights(), sparse.optimizer.get_state()
        dense = embedding(False, rule)
        dense.set_weights(before)
        dense.optimizer.set_state(state)
        for model in (dense, sparse):
            model.train_on_batch(x, y)
        used = np.unique(x)
        unused = np.setdiff1d(np.arange(30), used)
        np.testing.assert_array_equal(sparse.weights[0][used], dense.weights[0][used])
        np.testing.assert_array_equal(sparse.weights[0][unused], before[0][unused])
        for name, slot in sparse.optimizer.get_state().items():
            if np.ndim(slot) and np.size(slot) == 90:
                old, new = np.reshape(state[name], (30, 3)), np.reshape(slot, (30, 3))
                np.testing.assert_array_equal(new[unused], old[unused])
                wanted = np.reshape(dense.optimizer.get_state()[name], (30, 3))
                np.testing.assert_array_equal(new[used], wanted[used])


def test_sparse_adam_is_torchs(torch):
    rows, width = 30, 3
    ours = embedding(True, "adam")
    table = torch.nn.Embedding(rows, width, sparse=True, dtype=torch.float64)
    with torch.no_grad():
        table.weight[:] = torch.tensor(ours.weights[0])
    kernel, bias = (torch.tensor(w) for w in ours.get_weights()[1:])
    optimizer = torch.optim.SparseAdam(table.parameters(), lr=0.1, eps=1e-7)
    for x, y in batches(20):
        ours.train_on_batch(x, y)
        optimizer.zero_grad()
        z = table(torch.tensor(x)).reshape(len(x), -1) @ kernel + bias
        ((z - torch.tensor(y)) ** 2).mean().backward()
        optimizer.step()
    np.testing.assert_allclose(ours.weights[0], table.weight.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_sparse_sgd_is_dense_sgd():
    """Without momentum the two are the same, over a whole fit, whatever was touched before."""
    models = [embedding(sparse, "sgd") for sparse in (True, False)]
    x = np.concatenate([x for x, _ in batches()])
    y = np.concatenate([y for _, y in batches()])
    for model in models:
        model.gradients(x[:3] + 10, y[:3])  # touches other rows
        model.fit(x, y, batch_size=4, epochs=3, verbose=0)
        y_pred, tape = model.forward(x[:2])
        tape.backward(np.ones_like(y_pred))
        model.zero_grad()
        model.fit(x, y, batch_size=4, epochs=1, verbose=0)
    np.testing.assert_array_equal(*[model.weights[0] for model in models])
    np.testing.assert_array_equal(*[model.gradients(x, y)[1][0] for model in models])


def test_sparse_threads_give_the_same_bits(same_for_threads):
    def fitted():
        model = embedding(True, "adam", rows=4000, width=48)
        x = np.random.default_rng(0).integers(0, 4000, (200, 2))
        model.fit(x, np.ones((200, 1)), batch_size=16, epochs=2, verbose=0)
        return [model.weights[0].copy()]

    same_for_threads(fitted)


def test_own_gradients_are_applied_whole():
    """apply with gradients of one's own updates all rows, and the next fit those of its batches again."""
    model = embedding(True, "sgd")
    (x, y), *_ = batches()
    model.train_on_batch(x, y)
    before = model.weights[0].copy()
    model.optimizer.apply([np.ones_like(w) for w in model.trainable_weights])
    assert (model.weights[0] != before).all()
    before = model.weights[0].copy()
    model.train_on_batch(x, y)
    changed = (model.weights[0] != before).any(axis=1)
    assert set(np.flatnonzero(changed)) <= set(x.ravel().tolist())


def test_sparse_updates_do_not_accumulate():
    model = embedding(True, "sgd")
    with pytest.raises(ValueError, match="sparse_update"):
        model.compile(optimizer=optimizers.SGD(0.1, gradient_accumulation_steps=2), loss="mse")
    assert layers.Embedding.from_config(model.layers[0].get_config()).sparse_update


# ------------------------------------------------------------------------------------------------- axes and penalties


@pytest.mark.parametrize("axis", [-1, 1, 2, None, (1, 2), [-1]])
def test_adapt_along_axes(keras, axis):
    x = np.random.default_rng(0).normal(1, 2, (40, 3, 4))
    ours, theirs = layers.Normalization(axis=axis, dtype="float64"), keras.layers.Normalization(axis=axis)
    ours.adapt(x)
    theirs.adapt(x)
    np.testing.assert_allclose(ours(x), np.asarray(theirs(x)), rtol=1e-6, atol=1e-6)
    assert ours.mean.shape == theirs.mean.shape
    np.testing.assert_allclose(ours.mean, np.asarray(theirs.mean), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours.variance, np.asarray(theirs.variance), rtol=1e-6)
    model = Sequential([layers.Input((3, 4)), ours], dtype="float64")
    np.testing.assert_allclose(model(x), np.asarray(theirs(x)), rtol=1e-6, atol=1e-6)


GIVEN = {
    "a number": (-1, 5.0, (1, 1, 4)),
    "the middle axis": (1, [1.0, 2.0, 3.0], (1, 3, 1)),
    "two axes": ((1, 2), [[1.0, 2.0, 3.0, 4.0]] * 3, (1, 3, 4)),
    "the last of two axes": ((1, 2), [1.0, 2.0, 3.0, 4.0], (1, 3, 4)),
    "everything": (None, 2.0, (1, 1, 1)),
}


@pytest.mark.parametrize(("axis", "mean", "shape"), GIVEN.values(), ids=GIVEN)
def test_given_statistics_have_axes_of_length_one(axis, mean, shape, rng):
    layer = layers.Normalization(axis=axis, mean=mean, variance=np.square(mean))
    layer.build((None, 3, 4))
    assert layer.mean.shape == layer.variance.shape == shape
    x = rng.normal(size=(2, 3, 4))
    np.testing.assert_allclose(layer(x), (x - layer.mean) / np.sqrt(layer.variance), rtol=1e-5)


@pytest.mark.parametrize("make", [layers.BatchNormalization, layers.LayerNormalization, layers.Softmax])
@pytest.mark.parametrize("axis", [0, 3, -3])
def test_axes_that_are_not_there(make, axis):
    with pytest.raises(ValueError, match="axis: expected axes of a sample, 1 to 2 or -1 to -2"):
        Sequential([layers.Input((3, 4)), make(axis=axis)])


class Quartic(regularizers.Regularizer):
    def __call__(self, x):
        return float((np.asarray(x) ** 4).sum())

    def gradient(self, x):
        return 4 * np.asarray(x) ** 3


PENALTIES = {"native": (regularizers.L1L2(0.3, 0.2), lambda x: 0.3 * np.abs(x) + 0.2 * x**2),
             "python": (Quartic(), lambda x: x**4)}  # fmt: skip


@pytest.mark.parametrize("kind", PENALTIES)
def test_penalties_on_outputs(kind):
    """Their sum by the formula, their gradient by differences; predictions and tapes know nothing of them."""
    regularizer, formula = PENALTIES[kind]
    r = np.random.default_rng(0)
    x, y = r.normal(size=(6, 3)), r.normal(size=(6, 2))

    def network(**options):
        model = Sequential(
            [layers.Input((3,)), layers.Dense(4, activation="tanh", **options), layers.Dense(2)], seed=0,
            dtype="float64",
        )  # fmt: skip
        model.compile(loss="mse")
        return model

    model, without = network(activity_regularizer=regularizer), network()
    hidden = np.tanh(x @ model.weights[0] + model.weights[1])
    expected = without.evaluate(x, y, verbose=0) + formula(hidden).sum() / 6
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), expected, rtol=1e-12)
    np.testing.assert_allclose(model.test_on_batch(x, y), expected, rtol=1e-12)
    loss, (slopes, *_) = model.gradients(x, y)
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    for place in np.ndindex(3, 4):
        ends = []
        for h in (1e-6, -1e-6):
            model.weights[0][place] += h
            ends.append(model.evaluate(x, y, batch_size=6, verbose=0))
            model.weights[0][place] -= h
        np.testing.assert_allclose(slopes[place], (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(model.predict(x, verbose=0), without.predict(x, verbose=0))
    gradients = [m.forward(x)[1].backward(y) for m in (model, without)]
    np.testing.assert_array_equal(*gradients)
    copy = layers.Dense.from_config(model.layers[0].get_config()) if kind == "native" else None
    assert copy is None or copy.activity_regularizer.get_config() == regularizer.get_config()
