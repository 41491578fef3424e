"""Two Python threads in the core at once: one of them has the pool, the other works alone, and both get the same bits.

`make tsan` runs this file with the core compiled under ThreadSanitizer: between them these calls go through every loop
that is run in parallel, and through every way that a product can be computed.
"""

import threading

import numpy as np
import pytest

import fastnn
from fastnn import activations, constraints, initializers, losses, optimizers, regularizers
from fastnn import layers as nn
from fastnn._core import dense, norms, product, random

TIMES = 2  # that each thread does everything: their calls meet, and meet in other pairs
DTYPES = [np.float32, np.float64]


def noise(seed, shape, dtype):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def empty(shape, dtype):
    return np.full(shape, np.nan, dtype)


# Each function makes what it works on and returns a function without arguments, which both threads call: the inputs are
# shared, the outputs are each caller's own. All are large enough for several threads.


def products(dtype):
    """By one row, with few columns, by blocks of columns and of rows, each operand also transposed."""
    shapes = [(1, 2000, 1100), (2000, 3, 400), (40, 1000, 70), (1000, 40, 70), (150, 160, 170)]
    operands = [(noise(1, (m, k), dtype), noise(2, (k, n), dtype)) for m, n, k in shapes]
    turned = [(np.ascontiguousarray(a.T).T, np.ascontiguousarray(b.T).T) for a, b in operands]

    def run():
        return [
            product.matmul(a, b, np.ones((len(a), b.shape[1]), dtype), accumulate)
            for a, b in [*operands, *turned]
            for accumulate in (False, True)
        ]

    return run


def layers(dtype):
    x, w, bias, dy = (noise(i, s, dtype) for i, s in enumerate([(300, 120), (120, 90), (90,), (300, 90)]))
    row = activations.TABLE["tanh"]

    def run():
        z, y = empty(dy.shape, dtype), empty(dy.shape, dtype)
        dense.forward(x, w, bias, row.kind, row.values(), z, y)
        gradients = [empty(a.shape, dtype) for a in (dy, w, bias, x)]
        dense.backward(x, w, y, dy, row.kind, row.values(), *gradients)
        return [z, y, *gradients]

    return run


def curves(dtype):
    x, slopes = noise(1, (350, 400), dtype), noise(3, 400, dtype)
    names = ["relu", "tanh", "gelu", "softmax", "log_softmax", "glu", "sparsemax"]
    dys = {name: noise(2, (350, 200) if name == "glu" else x.shape, dtype) for name in names}

    def run():
        values = [activations.get(name)(x) for name in names]
        derivatives = [activations.derivative(name)(x, dys[name]) for name in names]
        dx, dslope = empty(x.shape, dtype), empty(400, dtype)
        activations._core.prelu_derivative(x, slopes, dys["relu"], dx, dslope)
        return [*values, *derivatives, activations.prelu(x, slopes), dx, dslope]

    return run


def costs(dtype):
    p, y, weights = noise(1, (9000, 10), dtype), noise(2, (9000, 10), dtype), np.linspace(0, 1, 9000)
    labels = np.arange(9000) % 10
    embeddings = noise(3, (70, 20), dtype)
    calls = [
        (losses.MeanSquaredError(), y, p),
        (losses.CategoricalCrossentropy(from_logits=True), np.eye(10)[labels], p),
        (losses.SparseCategoricalCrossentropy(from_logits=True), labels, p),
        (losses.Contrastive(), labels % 2, p.reshape(9000, 2, 5)),
        (losses.Triplet(mining="hard"), np.arange(70) % 4, embeddings),
    ]

    def run():
        results = [loss.value_and_gradient(t, q, weights[: len(q)]) for loss, t, q in calls]
        return [array for value, gradient in results for array in (np.array(value), gradient)]

    return run


def normalisations(dtype):
    rows, n = 200, 300
    x, dy, gamma, beta = (noise(i, s, dtype) for i, s in enumerate([(rows, n), (rows, n), n, n]))

    def run():
        y, saved, z, batch_saved, variance, sums = (
            empty(s, dtype) for s in (x.shape, (3, rows), x.shape, (3, n), n, n)
        )
        norms.layer_forward(x, gamma, beta, norms.LAYER, 1e-3, y, saved)
        of_layer = [empty(s, dtype) for s in (x.shape, n, n)]
        norms.layer_backward(x, dy, gamma, norms.LAYER, saved, *of_layer, False)
        norms.batch_statistics(x, 1e-3, variance, batch_saved)
        norms.batch_forward(x, batch_saved, gamma, beta, z)
        of_batch = [empty(s, dtype) for s in (x.shape, n, n)]
        norms.batch_backward(x, dy, batch_saved, gamma, empty((2, n), dtype), *of_batch, False)
        norms.colsum(x, sums, False)
        return [y, saved, *of_layer, variance, batch_saved, z, *of_batch, sums]

    return run


def numbers(dtype):
    x = noise(1, 50_000, dtype)

    def run():
        dropped, noisy, words = empty(x.shape, dtype), empty(x.shape, dtype), np.zeros(20_000, np.uint32)
        norms.dropout(x, 0.3, 5, 6, 7, dropped)
        norms.noise(x, 0.3, 5, 6, 7, noisy)
        random.words(1, 2, 3, words)
        made = [initializers.GlorotNormal(seed=1)((150, 90), dtype), initializers.Orthogonal(seed=2)((90, 70), dtype)]
        return [dropped, noisy, words, *made]

    return run


def steps(dtype):
    """An optimizer and its variables belong to one thread; the gradients are shared."""
    shapes = [(70_001,), (37,), (300, 70)]
    gradients = [[noise(10 * step + i, s, dtype) for i, s in enumerate(shapes)] for step in range(3)]
    everything = {"weight_decay": 0.1, "use_ema": True, "loss_scale_factor": 2.0}

    def run():
        results = []
        for optimizer in (
            optimizers.Adam(),
            optimizers.SGD(momentum=0.9, clipnorm=0.5, **everything),
            optimizers.Lion(global_clipnorm=0.7, gradient_accumulation_steps=2),
        ):
            variables = [noise(i, s, dtype) for i, s in enumerate(shapes)]
            optimizer.build(
                variables,
                regularizers=[regularizers.L1L2(0.01, 0.02), None, None],
                constraints=[constraints.NonNeg(), None, constraints.MaxNorm(3.0)],
            )
            for each in gradients:
                optimizer.apply(each)
            results += [*variables, constraints.UnitNorm(1)(variables[2])]
        return results

    return run


def models(dtype):
    """One model predicts for both callers, in chunks and at once; each trains a model of its own."""

    def made():
        stack = [
            nn.Dense(150, activation="relu"), nn.BatchNormalization(), nn.Dropout(0.2), nn.PReLU(),
            nn.Residual([nn.Dense(150, activation="gelu"), nn.LayerNormalization()]),
            nn.Dense(10, activation="softmax"),
        ]  # fmt: skip
        model = fastnn.Sequential([nn.Input((130,)), *stack], seed=0, dtype=np.dtype(dtype).name)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    shared = made()
    x, many, y = noise(1, (300, 130), dtype), noise(2, (3000, 130), dtype), np.arange(300) % 10

    def run():
        model = made()
        model.fit(x, y, batch_size=100, epochs=2, verbose=0)
        return [shared(x[:1]), shared(x), shared.predict(many, verbose=0), *model.get_weights()]

    return run


FAMILIES = [products, layers, curves, costs, normalisations, numbers, steps, models]


def same_bits(ours, expected):
    return len(ours) == len(expected) and all(a.tobytes() == b.tobytes() for a, b in zip(ours, expected, strict=True))


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_two_callers_get_the_bits_that_one_gets(threads, with_threads):
    with_threads(1)
    jobs = [(f"{family.__name__}, {np.dtype(t).name}", family(t)) for family in FAMILIES for t in DTYPES]
    expected = {name: run() for name, run in jobs}
    assert all(np.isfinite(a).all() for arrays in expected.values() for a in arrays), "nothing is left unwritten"
    with_threads(threads)
    wrong, finished, together = [], [], threading.Barrier(2)

    def caller(order):
        together.wait()
        for _ in range(TIMES):
            wrong.extend(name for name, run in order if not same_bits(run(), expected[name]))
        finished.append(True)

    callers = [threading.Thread(target=caller, args=(order,)) for order in (jobs, jobs[::-1])]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    assert len(finished) == 2, "both callers came to their end"
    assert not wrong
    assert fastnn.get_num_threads() == threads
