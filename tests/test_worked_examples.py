"""The worked examples of docs/worked-examples.md: their figures, through the public API and in plain Python.

The figures were worked out with enough digits by hand; `explain` marks what common notes print.
"""

import math
import re

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, activations, initializers, layers, losses, optimizers, reference
from fastnn.reference.autograd import Value, directional_derivative, gradient

DIGITS = 1e-10  # the figures below are given to ten decimals


def network(shape, parts, weights, loss, rate=1.0):
    model = Sequential([layers.Input(shape), *parts], dtype="float64")
    model.set_weights(weights)
    model.compile(optimizers.SGD(rate), loss=loss)
    return model


def plain(inputs, parts, weights, loss, rate=1.0):
    """The same in plain Python."""
    made = reference.network.Network(
        inputs, [reference.network.Dense(**part) for part in parts], loss, reference.optimizers.SGD(learning_rate=rate)
    )
    made.set_weights(weights)
    return made


def given(shape, rows=1):
    return np.asarray(shape, np.float64).reshape(rows, -1)


def near(figures, expected):
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, abs=DIGITS), name


def flat(weights):
    return np.concatenate([np.ravel(w) for w in weights])


# ---------------------------------------------------------------------------------------------------------- 1: one path

CHAIN = {
    "z1": 1.2,
    "a1": 0.7685247835,
    "z2": 0.2148198268,
    "a2": 0.5534993760,
    "loss": 0.1993628073,
    "cost": 0.1993628073,
    "dw2": -0.1696090997,
    "db2": -0.2206943788,
    "dw1": -0.0628164849,
    "db1": -0.0314082425,
    "w1_new": 0.5062816485,
    "b1_new": 0.2031408242,
    "w2_new": 0.8169609100,
    "b2_new": -0.3779305621,
    "loss_new": 0.1912162966,
}
CHAIN_WEIGHTS = [[[0.5]], [0.2], [[0.8]], [-0.4]]
CHAIN_PRINTED = {  # figure: whether it is right
    ("z1", "1.2"): True,
    ("z2", "0.222"): False,
    ("loss", "0.175"): False,
    ("dw2", "-0.054"): False,
    ("dw1", "-0.032"): False,
    ("db1", "-0.071"): False,
    ("w1_new", "0.503"): False,
    ("b1_new", "0.207"): False,
    ("w2_new", "0.805"): False,
    ("b2_new", "-0.378"): True,
}


def chain(loss="mse"):
    return network((1,), [layers.Dense(1, "sigmoid"), layers.Dense(1, "sigmoid")], CHAIN_WEIGHTS, loss, 0.1)


def test_a_chain():
    x, y = given([2.0]), given([1.0])
    near(fastnn.explain(chain(), x, y), CHAIN)
    model = chain()
    loss, found = model.gradients(x, y)
    assert loss == pytest.approx(CHAIN["loss"], abs=DIGITS)
    np.testing.assert_allclose(flat(found), [CHAIN[n] for n in ("dw1", "db1", "dw2", "db2")], rtol=0, atol=DIGITS)
    assert found[0][0, 0] == pytest.approx(2 * found[1][0], rel=1e-12)  # dw1 = x db1
    assert model.train_on_batch(x, y) == loss
    new = [CHAIN[n] for n in ("w1_new", "b1_new", "w2_new", "b2_new")]
    np.testing.assert_allclose(flat(model.get_weights()), new, rtol=0, atol=DIGITS)
    assert model.test_on_batch(x, y) == pytest.approx(CHAIN["loss_new"], abs=DIGITS)
    parts = [{"units": 1, "activation": "sigmoid"}] * 2
    twin = plain(1, parts, CHAIN_WEIGHTS, "mean_squared_error", 0.1)
    loss, found = twin.gradients([[2.0]], [[1.0]])
    assert loss == pytest.approx(CHAIN["loss"], abs=DIGITS)
    np.testing.assert_allclose(flat(found), [CHAIN[n] for n in ("dw1", "db1", "dw2", "db2")], rtol=0, atol=DIGITS)
    twin.train_step([[2.0]], [[1.0]])
    np.testing.assert_allclose([v.values[0] for v in twin.variables], new, rtol=0, atol=DIGITS)
    assert twin.loss([[2.0]], [[1.0]]) == pytest.approx(CHAIN["loss_new"], abs=DIGITS)


# ----------------------------------------------------------------------------------------- 2: forward, two hidden units

FORWARD = {
    "z1[0]": 10.575404,
    "z1[1]": 6.540360,
    "a1[0]": 0.9999744642,
    "a1[1]": 0.9985581135,
    "z2": 0.7883610478,
    "a2": 0.6874793075,
}
FORWARD_WEIGHTS = [[[1.764, 0.400], [0.978, 2.240]], [0.950, -0.151], [[1.867], [-0.977]], [-0.103]]
FORWARD_PRINTED = {
    ("a1[0]", "0.999"): False,
    ("a1[1]", "0.998"): False,
    ("z2", "0.787"): False,
    ("a2", "0.6872"): False,
    ("z1[0]", "10.575"): True,
    ("z1[1]", "6.540"): True,
    ("a1[0]", "1.000"): True,
    ("a2", "0.687"): True,
}


def forward():
    return network((2,), [layers.Dense(2, "sigmoid"), layers.Dense(1, "sigmoid")], FORWARD_WEIGHTS, "mse")


def test_forward():
    x = given([4.218, 2.234])
    near(fastnn.explain(forward(), x, given([1.0])), FORWARD)
    model = forward()
    assert model.predict(x, verbose=0)[0, 0] == pytest.approx(FORWARD["a2"], abs=DIGITS)
    hidden = Sequential([layers.Input((2,)), model.layers[0]], dtype="float64")(x)[0]
    np.testing.assert_allclose(hidden, [FORWARD["a1[0]"], FORWARD["a1[1]"]], rtol=0, atol=DIGITS)
    twin = plain(
        2, [{"units": 2, "activation": "sigmoid"}, {"units": 1, "activation": "sigmoid"}], FORWARD_WEIGHTS, "mse"
    )
    assert twin.forward(x.tolist())[0][0] == pytest.approx(FORWARD["a2"], abs=DIGITS)


# --------------------------------------------------------------------------------------------------- 3: backpropagation

BACK = {
    "a1[0]": 0.5523079096,
    "a1[1]": 0.5781052329,
    "a2": 0.6650736395,
    "-delta2": -0.0367702677,
    "-delta1[0]": -0.0027275877,
    "-delta1[1]": -0.0080714273,
    "w2_new[0,0]": 0.2796914903,
    "w2_new[1,0]": 0.8787429158,
    "w1_new[0,0]": 0.1990453443,
    "w1_new[0,1]": 0.2971750004,
    "w1_new[1,0]": 0.1980906886,
    "w1_new[1,1]": 0.2943500009,
    "a2_new": 0.6595537417,
}
BACK_WEIGHTS = [[[0.2, 0.3], [0.2, 0.3]], [[0.3], [0.9]]]
BACK_NEW = [
    *("w1_new[0,0]", "w1_new[0,1]", "w1_new[1,0]", "w1_new[1,1]"),
    *("w2_new[0,0]", "w2_new[1,0]"),
]
BACK_PRINTED = {
    ("a1[0]", "0.56"): False,
    ("a1[0]", "0.57"): False,
    ("-delta1[1]", "-0.0819"): False,
    ("w1_new[0,0]", "0.200945"): False,
    ("w1_new[0,1]", "0.273225"): False,
    ("w1_new[1,0]", "0.269445"): False,
    ("w1_new[1,1]", "0.18534"): False,
    ("w2_new[0,0]", "0.086615"): False,
    ("a1_new[0]", "0.57"): False,
    ("a1_new[1]", "0.56"): False,
    ("a2_new", "0.61"): False,
    ("a1[0]", "0.55"): True,
    ("a1[1]", "0.58"): True,
    ("a2", "0.67"): True,
    ("-delta2", "-0.0368"): True,
    ("delta2", "-0.0368"): False,
    ("-delta1[1]", "-0.0081"): True,
    ("w1_new[0,0]", "0.199045"): True,
}


def back():
    parts = [layers.Dense(2, "sigmoid", use_bias=False), layers.Dense(1, "sigmoid", use_bias=False)]
    return network((2,), parts, BACK_WEIGHTS, "half_mean_squared_error")


def test_backpropagation():
    x, y = given([0.35, 0.7]), given([0.5])
    near(fastnn.explain(back(), x, y), BACK)
    model = back()
    model.train_on_batch(x, y)
    new = [BACK[n] for n in BACK_NEW]
    np.testing.assert_allclose(flat(model.get_weights()), new, rtol=0, atol=DIGITS)
    assert model(x)[0, 0] == pytest.approx(BACK["a2_new"], abs=DIGITS)
    parts = [{"units": n, "activation": "sigmoid", "use_bias": False} for n in (2, 1)]
    twin = plain(2, parts, BACK_WEIGHTS, "half_mean_squared_error")
    twin.train_step(x.tolist(), y.tolist())
    np.testing.assert_allclose(flat([v.values for v in twin.variables]), new, rtol=0, atol=DIGITS)
    assert twin.forward(x.tolist())[0][0] == pytest.approx(BACK["a2_new"], abs=DIGITS)


# ------------------------------------------------------------------------------------------------- 4: age and condition

AGES = given([20, 30, 40, 50, 60], 5)
AGE_SIGMOID = [0.8807970780, 0.9525741268, 0.9820137900, 0.9933071491, 0.9975273768]
AGE_PRINTED = {
    **{(f"z1[{i},0]", str(i + 2)): True for i in range(5)},
    ("a1[0,0]", "0.524"): False,
    ("a1[4,0]", "0.711"): False,
    **{(f"a1[{i},0]", f"{a:.3f}"): True for i, a in enumerate(AGE_SIGMOID)},
}


def age():
    return network((1,), [layers.Dense(1, "sigmoid", use_bias=False)], [[[0.1]]], "binary_crossentropy")


def test_age_and_condition():
    y = given([0, 0, 1, 1, 1], 5)
    working = fastnn.explain(age(), AGES, y)
    np.testing.assert_allclose(working["z1"][:, 0], [2, 3, 4, 5, 6], rtol=0, atol=DIGITS)
    np.testing.assert_allclose(working["a1"][:, 0], AGE_SIGMOID, rtol=0, atol=DIGITS)
    np.testing.assert_allclose(age().predict(AGES, verbose=0)[:, 0], AGE_SIGMOID, rtol=0, atol=DIGITS)
    plainly = [reference.activations.sigmoid(0.1 * a) for a in AGES[:, 0]]
    np.testing.assert_allclose(plainly, AGE_SIGMOID, rtol=0, atol=DIGITS)
    assert min(AGE_SIGMOID) > 0.5
    # what the notes print has another weight, and a bias
    other = activations.sigmoid(0.02 * AGES[:, 0] - 0.3)
    assert [f"{math.floor(1000 * a) / 1000:.3f}" for a in other[[0, -1]]] == ["0.524", "0.710"]
    assert f"{other[-1]:.3f}" == "0.711"
    # without a bias one unit answers the same for all ages, whatever its weight
    for w in (-0.3, 0.01, 4.0):
        assert len(set((activations.sigmoid(w * AGES) > 0.5).ravel().tolist())) == 1
    model = Sequential([layers.Input((1,)), layers.Dense(1, "sigmoid")], seed=0, dtype="float64")
    model.compile(optimizers.SGD(1.0), loss="binary_crossentropy")
    scaled = (AGES - 40) / 20
    model.fit(scaled, y, epochs=300, verbose=0)
    assert model(scaled).round().ravel().tolist() == [0, 0, 1, 1, 1]
    (w,), b = model.layers[0].kernel, model.layers[0].bias
    assert 30 < 40 - 20 * float(b[0] / w[0]) < 40  # the boundary is one age


# ----------------------------------------------------------------------------------------------------------- 5: softmax

SOFTMAX = [0.6590011389, 0.2424329707, 0.0985658904]
SOFTMAX_PRINTED = {("a1[0]", "0.65"): False, ("a1[1]", "0.24"): True, ("a1[2]", "0.11"): False}


def softmax():
    return network((3,), [layers.Activation("softmax")], [], "categorical_crossentropy")


def test_softmax():
    z = [2.0, 1.0, 0.1]
    np.testing.assert_allclose(
        fastnn.explain(softmax(), given(z), given([1, 0, 0]))["a1"], SOFTMAX, rtol=0, atol=DIGITS
    )
    np.testing.assert_allclose(activations.softmax(z), SOFTMAX, rtol=0, atol=DIGITS)
    np.testing.assert_allclose(reference.activations.softmax(z), SOFTMAX, rtol=0, atol=DIGITS)


def test_softmax_of_10_and_20():
    expected = [0.0000453979, 0.9999546021]
    np.testing.assert_allclose(activations.softmax([10.0, 20.0]), expected, rtol=0, atol=DIGITS)
    np.testing.assert_allclose(reference.activations.softmax([10.0, 20.0]), expected, rtol=0, atol=DIGITS)


# ------------------------------------------------------------------------------------------------------------ 6: losses

THREE = [0.7, 0.2, 0.1]
# loss, its name in the reference with options, y_true, y_pred, exact
LOSSES = {
    "-log 0.01": (losses.BinaryCrossentropy(), ("binary_crossentropy", {}), [1.0], [0.01], 4.6051701860),
    "-log 0.7": (losses.CategoricalCrossentropy(), ("categorical_crossentropy", {}), [1, 0, 0], THREE, 0.3566749439),
    "-log 0.2": (losses.CategoricalCrossentropy(), ("categorical_crossentropy", {}), [0, 1, 0], THREE, 1.6094379124),
    "-log 0.1": (losses.CategoricalCrossentropy(), ("categorical_crossentropy", {}), [0, 0, 1], THREE, 2.3025850930),
    "kl, near": (losses.KLDivergence(), ("kl_divergence", {}), THREE, [0.6, 0.3, 0.1], 0.0268124543),
    "kl, far": (losses.KLDivergence(), ("kl_divergence", {}), THREE, [0.1, 0.8, 0.1], 1.0848782321),
    "hinge 2": (losses.Hinge(), ("hinge", {}), [1.0], [2.0], 0.0),
    "hinge 0.5": (losses.Hinge(), ("hinge", {}), [1.0], [0.5], 0.5),
    "hinge -0.5": (losses.Hinge(), ("hinge", {}), [1.0], [-0.5], 1.5),
    "ranking right": (losses.MarginRanking(1.0), ("margin_ranking", {"margin": 1.0}), [1.0], [3.0, 1.0], 0.0),
    "ranking equal": (losses.MarginRanking(1.0), ("margin_ranking", {"margin": 1.0}), [1.0], [2.0, 2.0], 1.0),
    "ranking other": (losses.MarginRanking(1.0), ("margin_ranking", {"margin": 1.0}), [-1.0], [4.0, 5.0], 0.0),
}


def identity(size, loss):
    """A network whose output is its input."""
    return network((size,), [layers.Dense(size, use_bias=False)], [np.eye(size)], loss)


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    loss, (row, options), y, p, exact = LOSSES[name]
    assert loss(given(y), given(p)) == pytest.approx(exact, abs=DIGITS)
    assert reference.losses.cost(row, [y], [p], **options) == pytest.approx(exact, abs=DIGITS)
    working = fastnn.explain(identity(len(p), loss), given(p), given(y))
    assert working["loss"] == pytest.approx(exact, abs=DIGITS)
    assert working.check({"loss": f"{exact:.2f}", "cost": f"{exact:.4f}"})
    assert not working.check({"loss": f"{exact + 0.011:.2f}"})


def test_the_kink_of_hinge_is_at_the_margin():
    hinge = losses.Hinge()
    slopes = [float(hinge.gradient([[1.0]], [[p]])[0, 0]) for p in (-0.1, 0.1, 0.9, 1.1)]
    assert slopes == [-1, -1, -1, 0]


CONTRASTIVE = [(1, 0.5, 0.25), (0, 0.5, 2.25), (0, 3.0, 0.0)]  # similar, distance, term before the half


@pytest.mark.parametrize(("similar", "distance", "term"), CONTRASTIVE)
def test_contrastive_terms(similar, distance, term):
    assert 2 * losses.Contrastive(margin=2.0)([similar], [distance]) == pytest.approx(term, abs=DIGITS)
    pair = [[[0.0], [distance]]]
    assert 2 * losses.Contrastive(margin=2.0)([similar], pair) == pytest.approx(term, abs=DIGITS)
    assert 2 * reference.losses.cost("contrastive", [similar], pair, margin=2.0) == pytest.approx(term, abs=DIGITS)


@pytest.mark.parametrize(("near_one", "far_one", "plainly", "squared"), [(0.8, 1.0, 0.3, 0.14), (0.8, 2.0, 0.0, 0.0)])
def test_triplet_terms(near_one, far_one, plainly, squared):
    triple = [[[0.0], [near_one], [far_one]]]
    assert reference.pair_losses.triplet_of_distances(near_one, far_one, 0.5) == pytest.approx(plainly, abs=DIGITS)
    assert losses.Triplet(0.5)(None, triple) == pytest.approx(squared, abs=DIGITS)
    assert losses.Triplet(0.5, squared=False)(None, triple) == pytest.approx(plainly, abs=3e-6)  # PyTorch's 1e-6
    assert reference.losses.cost("triplet", None, triple, margin=0.5) == pytest.approx(squared, abs=DIGITS)


def triplet(squared):
    model = network((3, 1), [layers.Dense(1, use_bias=False)], [[[1.0]]], losses.Triplet(0.5, squared))
    return fastnn.explain(model, [[[0.0], [0.8], [1.0]]])


# ------------------------------------------------------------------------------------------------- what the notes print


def workings():
    loss, _, y, p, _ = LOSSES["-log 0.7"]
    return {
        "chain": (fastnn.explain(chain(), given([2.0]), given([1.0])), CHAIN_PRINTED),
        "forward": (fastnn.explain(forward(), given([4.218, 2.234]), given([1.0])), FORWARD_PRINTED),
        "back": (fastnn.explain(back(), given([0.35, 0.7]), given([0.5])), BACK_PRINTED),
        "age": (fastnn.explain(age(), AGES, given([0, 0, 1, 1, 1], 5)), AGE_PRINTED),
        "softmax": (fastnn.explain(softmax(), given([2.0, 1.0, 0.1]), given([1, 0, 0])), SOFTMAX_PRINTED),
        "losses": (
            fastnn.explain(identity(3, loss), given(p), given(y)),
            {("loss", "0.357"): True, ("loss", "0.36"): True, ("loss", "0.35"): False},
        ),
        "triplet, squared": (triplet(True), {("loss", "0.3"): False, ("loss", "0.14"): True}),
        "triplet": (triplet(False), {("loss", "0.3"): True, ("loss", "0.14"): False}),
    }


@pytest.mark.parametrize("name", workings())
def test_every_wrong_figure_is_marked_and_no_right_one(name):
    working, printed = workings()[name]
    for (figure, text), right in printed.items():
        (mark,) = working.check({figure: text})
        assert mark.right is right, mark


@pytest.mark.parametrize("name", workings())
def test_rounding_is_right_and_a_digit_more_is_wrong(name):
    working, _ = workings()[name]
    for figure, exact in working.figures.items():
        for decimals in (1, 3, 6):
            rounded = f"{exact:.{decimals}f}"
            assert working.check({figure: rounded}), (figure, rounded)
            for one in (-1, 1):
                moved = f"{float(rounded) + one * 10.0**-decimals:.{decimals}f}"
                halfway = abs(abs(float(moved) - exact) - 0.5 * 10.0**-decimals) < 1e-9
                assert halfway or not working.check({figure: moved}), (figure, moved)


# ------------------------------------------------------------------------------------ 8: rate against scale of the loss


def stepped(optimizer, scale=1.0, dtype="float64"):
    """The weights after five steps on a loss that is multiplied by a number."""
    rng = np.random.default_rng(2)
    model = Sequential([layers.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2)], seed=3, dtype=dtype)
    model.compile(optimizer, loss="mse", loss_weights=scale)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    for _ in range(5):
        model.train_on_batch(x, y)
    return flat(model.get_weights())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [0.25, 2.0, 8.0])
def test_under_sgd_rate_and_loss_scale_are_one(k, dtype):
    """To the last bit for powers of two; and dividing the loss takes back what multiplying the rate does."""
    once = stepped(optimizers.SGD(0.01), dtype=dtype)
    by_rate = stepped(optimizers.SGD(0.01 * k), dtype=dtype)
    by_loss = stepped(optimizers.SGD(0.01), k, dtype)
    np.testing.assert_array_equal(by_rate, by_loss)
    np.testing.assert_array_equal(stepped(optimizers.SGD(0.01 * k), 1 / k, dtype), once)
    assert np.abs(by_rate - once).max() > 1e-3


def test_under_sgd_any_factor_is_one_but_for_rounding():
    np.testing.assert_allclose(stepped(optimizers.SGD(0.03)), stepped(optimizers.SGD(0.01), 3.0), rtol=1e-12)
    divided = stepped(optimizers.SGD(0.01), 1 / 3)
    assert np.abs(divided - stepped(optimizers.SGD(0.03))).max() > 1e-2


def test_under_adam_they_are_not():
    once, scaled = stepped(optimizers.Adam(0.01)), stepped(optimizers.Adam(0.01), 8.0)
    np.testing.assert_allclose(scaled, once, rtol=0, atol=2e-4)  # next to nothing: gradients are far above epsilon
    assert np.abs(stepped(optimizers.Adam(0.08)) - once).max() > 0.1


def by_adam(g, rate=0.001):
    w = np.array([0.0])
    optimizers.Adam(rate).apply([np.array([g])], [w])
    return -w[0] / rate


def plainly_by_adam(g, rate=0.001):
    variable = reference.optimizers.Variable([0.0], (1,))
    reference.optimizers.Adam(learning_rate=rate).apply([[g]], [variable])
    return -variable.values[0] / rate


@pytest.mark.parametrize("adam", [by_adam, plainly_by_adam])
def test_under_adam_the_scale_counts_near_epsilon(adam):
    """The first step is g / (|g| + e): the same for large g, and in proportion to g for small ones.

    Keras adds its epsilon of 1e-7 before the correction of the bias, so that e is 1e-7 / sqrt(1 - beta_2).
    """
    e = 1e-7 / math.sqrt(1 - 0.999)
    assert adam(1.0) == pytest.approx(1, rel=1e-5)
    assert adam(1000.0) == pytest.approx(1, rel=1e-5)
    for g in (1e-9, 1e-6):
        assert adam(g) == pytest.approx(g / (g + e), rel=1e-9)
    assert adam(1e-6) > 700 * adam(1e-9)  # of a thousand times the loss
    assert adam(0.5, 0.004) == pytest.approx(adam(0.5, 0.001), rel=1e-9)  # a step is in proportion to the rate


def test_in_plain_python_too():
    for k in (0.5, 4.0):
        steps = []
        for rate, scale in ((0.1 * k, 1.0), (0.1, k)):
            variable = reference.optimizers.Variable([0.3, -0.2], (2,))
            reference.optimizers.SGD(learning_rate=rate).apply([[0.7 * scale, 0.011 * scale]], [variable])
            steps.append(variable.values)
        assert steps[0] == steps[1] != [0.3, -0.2]


# ----------------------------------------------------------------------------------------- 9: the chain rule on a graph


def test_the_chain_rule():
    g, h, k = Value(4.0, "g"), Value(2.0, "h"), Value(-5.0, "k")
    f = h + k
    product = f * g
    assert gradient(product, [f, g, h, k]) == [4.0, -3.0, 4.0, 4.0]
    assert gradient(f, [h, k]) == [1.0, 1.0]


def test_paths_add_up():
    w = Value(3.0, "w")
    both = w * 2.0 + w * 5.0  # two paths
    assert gradient(both, [w]) == [7.0]
    assert gradient(w * w, [w]) == [6.0]  # used twice
    shared = w * w
    assert gradient(shared * shared, [w]) == [4 * 27.0]
    # a weight of a model that meets two rows of a sample: the sum of what each gives alone
    model = network((2, 1), [layers.Dense(1, use_bias=False)], [[[0.5]]], losses.MeanSquaredError(reduction="sum"))
    x, y = np.array([[[2.0], [-3.0]]]), np.array([[[3.0], [2.0]]])
    alone = [2 * (0.5 * a - b) * a for a, b in zip(x.ravel(), y.ravel(), strict=True)]
    working = fastnn.explain(model, x, y)
    assert alone == [-8.0, 21.0] and working["dw1"] == pytest.approx(13.0)
    assert model.gradients(x, y)[1][0][0, 0] == pytest.approx(13.0)


def test_directional_derivative():
    """Gradient times unit vector: how fast the value grows that way."""
    a, b = Value(1.5), Value(-0.5)
    value = (a * b).tanh() + a**2
    slopes = gradient(value, [a, b])
    direction = np.array([3.0, -4.0])
    unit = direction / 5
    found = directional_derivative(value, [a, b], direction.tolist())
    assert found == pytest.approx(float(np.dot(slopes, unit)), rel=1e-12)
    step = 1e-6
    moved = [math.tanh((1.5 + s * unit[0]) * (-0.5 + s * unit[1])) + (1.5 + s * unit[0]) ** 2 for s in (step, -step)]
    assert found == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-8)


# --------------------------------------------------------------------------------------------------------- 11: symmetry

SQUARE = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([[0.0], [1.0], [1.0], [0.0]])


def of_equal_weights(value, activation, output="sigmoid", loss="binary_crossentropy"):
    first = initializers.Constant(value)
    model = Sequential(
        [
            layers.Input((2,)),
            layers.Dense(3, activation, kernel_initializer=first),
            layers.Dense(1, output, kernel_initializer=first),
        ],
        dtype="float64",
    )
    model.compile(optimizers.Adam(0.05), loss=loss)
    x = SQUARE + [[0.0, 0.1], [0.2, 0.0], [0.0, 0.3], [0.1, 0.0]]  # nothing else is symmetric
    model.fit(x, [[0.0], [1.0], [1.0], [1.0]], batch_size=2, epochs=50, shuffle=False, verbose=0)
    return model


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_equal_weights_stay_equal(activation):
    model = of_equal_weights(0.5, activation)
    kernel, bias, output, _ = model.get_weights()
    assert np.abs(kernel - 0.5).min() > 1e-3 and np.abs(output - 0.5).min() > 1e-3  # they moved
    np.testing.assert_array_equal(kernel, np.repeat(kernel[:, :1], 3, axis=1))
    np.testing.assert_array_equal(output, np.repeat(output[:1], 3, axis=0))
    assert len(set(bias.tolist())) == 1


def test_equal_weights_stay_equal_in_plain_python():
    parts = [{"units": 3, "activation": "tanh"}, {"units": 1, "activation": "sigmoid"}]
    halves = [[[0.5] * 3] * 2, [0.0] * 3, [[0.5]] * 3, [0.0]]
    twin = plain(2, parts, halves, "binary_crossentropy", 0.5)
    for _ in range(10):
        twin.train_step((SQUARE + 0.1).tolist(), [[0.0], [1.0], [1.0], [1.0]])
    kernel, _, output, _ = twin.get_weights()
    assert all(len(set(row)) == 1 and abs(row[0] - 0.5) > 1e-3 for row in kernel)
    assert len({row[0] for row in output}) == 1 and abs(output[0][0] - 0.5) > 1e-3


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_zero_weights_do_not_move(activation):
    kernel, bias, output, last = of_equal_weights(0.0, activation).get_weights()
    assert not kernel.any() and not output.any() and not bias.any() and last.any()
    parts = [{"units": 3, "activation": activation}, {"units": 1, "activation": "sigmoid"}]
    zeros = [np.zeros((2, 3)).tolist(), [0.0] * 3, np.zeros((3, 1)).tolist(), [0.0]]
    twin = plain(2, parts, zeros, "binary_crossentropy", 0.5)
    for _ in range(5):
        twin.train_step((SQUARE + 0.1).tolist(), [[0.0], [1.0], [1.0], [1.0]])
    moved = [any(v.values) for v in twin.variables]
    assert moved == [False, False, False, True]


def test_a_stack_of_linear_layers_is_one():
    rng = np.random.default_rng(5)
    stack = Sequential([layers.Input((4,)), layers.Dense(6), layers.Dense(5), layers.Dense(2)], seed=1, dtype="float64")
    stack.set_weights([rng.normal(size=w.shape) for w in stack.weights])
    a, b, c, d, e, f = stack.get_weights()
    one = Sequential([layers.Input((4,)), layers.Dense(2)], dtype="float64")
    one.set_weights([a @ c @ e, (b @ c + d) @ e + f])
    x = rng.normal(size=(20, 4))
    np.testing.assert_allclose(stack(x), one(x), rtol=1e-12)
    parts = [{"units": n} for n in (6, 5, 2)]
    twin = plain(4, parts, [w.tolist() for w in stack.get_weights()], "mean_squared_error")
    np.testing.assert_allclose(twin.forward(x.tolist()), one(x), rtol=1e-12)


def test_a_sigmoid_on_the_output_alone_cannot_do_xor():
    """It is logistic regression, whose best answer to XOR is one half everywhere: a loss of log 2."""
    model = Sequential([layers.Dense(4), layers.Dense(1, "sigmoid")], seed=0, dtype="float64")
    model.compile(optimizers.Adam(0.05), loss="binary_crossentropy")
    model.fit(SQUARE, XOR, epochs=400, verbose=0)
    assert model.evaluate(SQUARE, XOR, verbose=0) == pytest.approx(math.log(2), abs=1e-6)
    np.testing.assert_allclose(model(SQUARE), 0.5, atol=1e-3)
    right = ((model(SQUARE) > 0.5) == (XOR > 0.5)).sum()
    assert right <= 3
    bent = Sequential([layers.Dense(4, "tanh"), layers.Dense(1, "sigmoid")], seed=0, dtype="float64")
    bent.compile(optimizers.Adam(0.05), loss="binary_crossentropy")
    bent.fit(SQUARE, XOR, epochs=400, verbose=0)
    assert bent.evaluate(SQUARE, XOR, verbose=0) < 0.1


# ----------------------------------------------------------------------------------------------- 13: slips in the notes


def test_the_sign_of_cross_entropy():
    value = losses.CategoricalCrossentropy()([[0, 1, 0]], [THREE])
    assert value == pytest.approx(-math.log(0.2)) and value > 0


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_the_range_of_elu(alpha):
    y = activations.elu([-50.0, -1.0, 0.0, 100.0], alpha)
    assert y[0] == pytest.approx(-alpha) and -alpha < y[1] < 0 and y[2] == 0 and y[3] == 100


def test_swish_is_smooth():
    slope = activations.derivative("swish")
    assert slope(0.0) == 0.5
    left, right = slope(-1e-9), slope(1e-9)
    assert left == pytest.approx(right, abs=1e-8)


def test_without_activations_gradients_need_not_vanish():
    model = Sequential(
        [layers.Input((4,)), *(layers.Dense(4, kernel_initializer="orthogonal") for _ in range(20))],
        seed=0,
        dtype="float64",
    )
    model.compile("sgd", losses.HalfMeanSquaredError(reduction="sum"))
    rng = np.random.default_rng(0)
    working = fastnn.explain(model, rng.normal(size=(1, 4)), rng.normal(size=(1, 4)))
    norms = [np.linalg.norm(working[f"delta{i}"]) for i in (1, 20)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-9) and norms[0] > 0.01


def test_adam_without_bias_correction_takes_another_first_step():
    """Without it, the first step is (1 - 0.9) / sqrt(1 - 0.999), more than three times as far."""
    w = np.array([0.0])
    optimizers.Adam(0.001, bias_correction=False).apply([np.array([1.0])], [w])
    step = -w[0] / 0.001
    assert step == pytest.approx((1 - 0.9) / math.sqrt(1 - 0.999), rel=1e-5)
    assert step == pytest.approx(3.16228, rel=1e-5)
    assert by_adam(1.0) == pytest.approx(1, rel=1e-5)


# ------------------------------------------------------------------------------------------------------------ the page


def sections(page):
    """(snippets, rows of tables) of each section, in turn."""
    for text in re.split(r"^## ", page, flags=re.MULTILINE):
        tables = [row for row in text.split("\n") if row.startswith("|")]
        yield re.findall(r"```python\n(.*?)```", text, re.DOTALL), tables


def test_the_page(sources):
    """Its snippets run; its exact figures are right, and those of notes are marked wrong where the tests say so."""
    names, seen, wrong = {}, 0, 0
    printed = CHAIN_PRINTED | FORWARD_PRINTED | BACK_PRINTED | AGE_PRINTED | SOFTMAX_PRINTED
    for snippets, rows in sections((sources / "docs" / "worked-examples.md").read_text(encoding="utf-8")):
        for snippet in snippets:
            exec(snippet, names)
        for row in rows:
            found = re.fullmatch(r"\| `([^`]+)` \| (-?[\d.]+) \| ?(-?[\d.]*) ?\|", row)
            if found is None:
                continue
            figure, exact, notes = found.groups()
            seen += 1
            assert names["working"].check({figure: exact}), row
            if notes:
                right = bool(names["working"].check({figure: notes}))
                assert right == printed[figure, notes], row
                wrong += not right
    assert seen == 14 + 6 + 15 + 7 + 3 and wrong == 8 + 4 + 10 + 2 + 2
    assert names["same"] and names["undone"] and 30 < names["boundary"] < 40
    assert 0 < np.abs(names["scaled"]).max() < 1e-7
    np.testing.assert_allclose(names["steps"], [1, 1, 0.240, 0.0003], rtol=0, atol=5e-4)
    assert names["steps"][3] == pytest.approx(0.0003, abs=5e-5)
    assert names["by_parts"] == [4, -3, 4, 4] and names["twice"] == [6] and names["along"] == pytest.approx(4.8)
    assert np.ptp(names["equal"], axis=1).max() == 0 and np.abs(names["equal"] - 0.5).min() > 0
    assert not names["zero"].any()


def test_the_losses_of_the_page(sources):
    page = (sources / "docs" / "worked-examples.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## Losses\n(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL)
    names = {}
    for snippet in (
        re.search(r"```python\n(.*?)```", page, re.DOTALL)[1],
        *re.findall(r"```python\n(.*?)```", section, re.DOTALL),
    ):
        exec(snippet, names)
    rows = [row.strip("| ").split("|")[-1] for row in section.split("\n") if row.startswith("|")][2:]
    shown = [float(number) for row in rows for number in row.split(",")]
    kept = ("one", "several", "divergences", "hinges", "contrastive", "ranking", "squared", "plain")
    computed = np.concatenate([np.ravel(names[name]) for name in kept])
    np.testing.assert_allclose(shown, computed, rtol=0, atol=1e-6)
    np.testing.assert_allclose(shown[:6], computed[:6], rtol=0, atol=DIGITS)
