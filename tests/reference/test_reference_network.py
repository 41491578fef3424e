"""The network in plain Python: the worked examples, its gradients, dropout, the fused losses, training."""

import math

import pytest

from fastnn.reference import losses, random
from fastnn.reference.activations import softmax
from fastnn.reference.autograd import Value, gradient
from fastnn.reference.constraints import MaxNorm
from fastnn.reference.initializers import INITIALIZERS
from fastnn.reference.network import Dense, Dropout, Network
from fastnn.reference.optimizers import SGD, Adam
from fastnn.reference.regularizers import L1, L1L2, L2

# The worked examples of the course.


def chain():
    network = Network(1, [Dense(1, "sigmoid"), Dense(1, "sigmoid")], "mean_squared_error", SGD(learning_rate=0.1))
    network.set_weights([[[0.5]], [0.2], [[0.8]], [-0.4]])
    return network


def test_one_one_one():
    network = chain()
    assert network.layers[0].linear([[2.0]])[0][0] == pytest.approx(1.2)
    a1 = network.layers[0].activate([[1.2]])
    assert a1[0][0] == pytest.approx(0.7685247835, abs=1e-10)
    assert network.layers[1].linear(a1)[0][0] == pytest.approx(0.2148198268, abs=1e-10)
    assert network.forward([[2.0]])[0][0] == pytest.approx(0.5534993760, abs=1e-10)
    loss, gradients = network.gradients([[2.0]], [[1.0]])
    assert loss == pytest.approx(0.1993628073, abs=1e-10)
    dw1, db1, dw2, db2 = (g[0] for g in gradients)
    assert [dw2, db2] == pytest.approx([-0.1696090997, -0.2206943788], abs=1e-10)
    assert [dw1, db1] == pytest.approx([-0.0628164849, -0.0314082425], abs=1e-10)
    assert dw1 == 2.0 * db1
    network.train_step([[2.0]], [[1.0]])
    after = [v.values[0] for v in network.variables]
    assert after == pytest.approx([0.5062816485, 0.2031408242, 0.8169609099, -0.3779305621], abs=1e-10)
    assert network.loss([[2.0]], [[1.0]]) == pytest.approx(0.1912162966, abs=1e-10)


def test_two_two_one_forward():
    network = Network(2, [Dense(2, "sigmoid"), Dense(1, "sigmoid")])
    network.set_weights([[[1.764, 0.400], [0.978, 2.240]], [0.950, -0.151], [[1.867], [-0.977]], [-0.103]])
    x = [[4.218, 2.234]]
    z = network.layers[0].linear(x)
    assert z[0] == pytest.approx([10.575404, 6.540360], abs=1e-9)
    h = network.layers[0].activate(z)
    assert h[0] == pytest.approx([0.9999744642, 0.9985581135], abs=1e-10)
    assert network.layers[1].linear(h)[0][0] == pytest.approx(0.7883610478, abs=1e-10)
    assert network.forward(x)[0][0] == pytest.approx(0.6874793075, abs=1e-10)


def test_two_two_one_backpropagation():
    network = Network(
        2,
        [Dense(2, "sigmoid", use_bias=False), Dense(1, "sigmoid", use_bias=False)],
        "half_mean_squared_error",
        SGD(learning_rate=1.0),
    )
    network.set_weights([[[0.2, 0.3], [0.2, 0.3]], [[0.3], [0.9]]])
    x, y = [[0.35, 0.7]], [[0.5]]
    h = network.layers[0].activate(network.layers[0].linear(x))
    assert h[0] == pytest.approx([0.5523079096, 0.5781052329], abs=1e-10)
    assert network.forward(x)[0][0] == pytest.approx(0.6650736395, abs=1e-10)
    _, (first, second) = network.gradients(x, y)
    delta_out = second[0] / h[0][0]
    assert delta_out == pytest.approx(0.0367702677, abs=1e-10)  # d loss / dz; the course writes its negative
    assert [first[0] / 0.35, first[1] / 0.35] == pytest.approx([0.0027275877, 0.0080714273], abs=1e-10)
    network.train_step(x, y)
    (row1, row2), ((v1,), (v2,)) = network.get_weights()
    assert [v1, v2] == pytest.approx([0.2796914903, 0.8787429158], abs=1e-10)
    assert row1 == pytest.approx([0.1990453443, 0.2971750004], abs=1e-10)
    assert row2 == pytest.approx([0.1980906886, 0.2943500009], abs=1e-10)
    assert network.forward(x)[0][0] == pytest.approx(0.6595537417, abs=1e-10)


AGES = [[20.0], [30.0], [40.0], [50.0], [60.0]]


def test_age_and_condition():
    linear = Network(1, [Dense(1, use_bias=False)])
    linear.set_weights([[[0.1]]])
    assert [y for (y,) in linear.forward(AGES)] == pytest.approx([2.0, 3.0, 4.0, 5.0, 6.0])
    unit = Network(1, [Dense(1, "sigmoid", use_bias=False)])
    unit.set_weights([[[0.1]]])
    expected = [0.8807970780, 0.9525741268, 0.9820137900, 0.9933071491, 0.9975273768]
    assert [y for (y,) in unit.forward(AGES)] == pytest.approx(expected, abs=1e-10)


def test_a_bias_separates_the_ages():
    scaled = [[(age - 40.0) / 20.0] for (age,) in AGES]
    y = [[0.0], [0.0], [1.0], [1.0], [1.0]]
    unit = Network(1, [Dense(1, "sigmoid")], "binary_crossentropy", SGD(learning_rate=5.0))
    unit.fit(scaled, y, epochs=300, batch_size=5)
    assert [round(p) for (p,) in unit.forward(scaled)] == [0, 0, 1, 1, 1]


# Gradients.

X = [[0.5, -1.2, 0.3], [1.5, 0.4, -0.6], [-0.7, 0.9, 0.2], [0.1, 0.2, -0.3]]
REAL = [[0.3, -0.8], [1.1, 0.4], [-0.5, 0.6], [0.2, 0.9]]
POSITIVE = [[0.3, 0.8], [1.1, 0.4], [0.5, 0.6], [0.2, 0.9]]
BINARY = [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
LABELS = [0, 1, 1, 0]
WEIGHTS = [1.0, 0.5, 2.0, 0.25]

NETWORKS = {
    "regression": (REAL, [Dense(4, "tanh"), Dense(2)], "mean_squared_error", {}),
    "huber, gelu": (REAL, [Dense(4, "gelu"), Dense(3, "silu"), Dense(2)], "huber", {"delta": 0.5}),
    "elu with alpha": (REAL, [Dense(4, "elu", {"alpha": 0.6}), Dense(2, "swish")], "log_cosh", {}),
    "poisson": (POSITIVE, [Dense(4, "softplus"), Dense(2, "exponential")], "poisson", {}),
    "fused sigmoid": (BINARY, [Dense(4, "tanh"), Dense(2, "sigmoid")], "binary_crossentropy", {}),
    "smoothed": (BINARY, [Dense(4, "tanh"), Dense(2, "sigmoid")], "binary_crossentropy", {"label_smoothing": 0.1}),
    "fused softmax": (LABELS, [Dense(4, "mish"), Dense(2, "softmax")], "sparse_categorical_crossentropy", {}),
    "one-hot": (BINARY[:1] * 4, [Dense(4, "selu"), Dense(2, "softmax")], "categorical_crossentropy", {}),
    "logits": (LABELS, [Dense(4, "celu"), Dense(2)], "sparse_categorical_crossentropy", {"from_logits": True}),
    "softmax inside": (REAL, [Dense(4, "softmax"), Dense(2, "softsign")], "mean_squared_error", {}),
    "softmax, focal": (BINARY[:1] * 4, [Dense(4, "tanh"), Dense(2, "softmax")], "categorical_focal_crossentropy", {}),
    "glu": (REAL, [Dense(8, "glu"), Dense(2, "log_softmax")], "mean_squared_error", {}),
    "penalties": (
        REAL,
        [Dense(4, "tanh", kernel_regularizer=L1L2(0.01, 0.02), bias_regularizer=L2(0.3)), Dense(2)],
        "mean_squared_error",
        {},
    ),
    "no bias": (REAL, [Dense(4, "tanh", use_bias=False), Dense(2, use_bias=False)], "mean_squared_error", {}),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_gradients_are_slopes(name, weights):
    y, layers, loss, options = NETWORKS[name]
    network = Network(3, layers, loss, seed=11, **options)
    for v in network.variables:
        v.values[:] = [w + 0.1 for w in v.values]  # biases that are not 0
    value, gradients = network.gradients(X, y, weights)
    assert value == pytest.approx(network.loss(X, y, weights))
    h = 1e-6
    for v, gs in zip(network.variables, gradients, strict=True):
        assert any(abs(g) > 1e-4 for g in gs)
        for i, g in enumerate(gs):
            before = v.values[i]
            v.values[i] = before + h
            up = network.loss(X, y, weights)
            v.values[i] = before - h
            down = network.loss(X, y, weights)
            v.values[i] = before
            assert g == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-8)
    by_input = network.input_gradients(X, y, weights)
    for i in range(4):
        for k in range(3):
            up = network.loss(
                [[v + h * (r == i and c == k) for c, v in enumerate(row)] for r, row in enumerate(X)], y, weights
            )
            down = network.loss(
                [[v - h * (r == i and c == k) for c, v in enumerate(row)] for r, row in enumerate(X)], y, weights
            )
            assert by_input[i][k] == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-8)


def test_the_graph_of_values_agrees():
    """Two layers and a mean squared error, once by backpropagation and once by the scalar autograd."""
    network = Network(3, [Dense(4, "tanh"), Dense(2, "sigmoid")], seed=2)
    weights = [[Value(w) for w in v.values] for v in network.variables]

    def dense(xs, kernel, bias, function):
        units = len(bias)
        sums = [sum((x * kernel[k * units + j] for k, x in enumerate(xs)), bias[j]) for j in range(units)]
        return [getattr(z, function)() for z in sums]

    loss = Value(0.0)
    for x, y in zip(X, REAL, strict=True):
        out = dense(dense(x, *weights[:2], "tanh"), *weights[2:], "sigmoid")
        loss = loss + sum(((p - t) ** 2 for p, t in zip(out, y, strict=True)), Value(0.0)) / 8.0
    value, gradients = network.gradients(X, REAL)
    assert loss.data == pytest.approx(value, rel=1e-14)
    flat = gradient(loss, [w for ws in weights for w in ws])
    assert [g for gs in gradients for g in gs] == pytest.approx(flat, rel=1e-12, abs=1e-15)


def test_a_stack_of_linear_layers_is_one_linear_layer():
    deep = Network(3, [Dense(5), Dense(4), Dense(2)], seed=5)
    columns = [deep.forward([[float(i == k) for i in range(3)]])[0] for k in range(3)]
    for x in X:
        expected = [sum(x[k] * columns[k][j] for k in range(3)) for j in range(2)]
        assert deep.forward([x])[0] == pytest.approx(expected)


# Outputs with their losses.


def test_fused_losses_do_not_saturate():
    """At z = -20 for the true class clipped probabilities have no gradient left; the logits do."""
    network = Network(1, [Dense(2, "softmax")], "categorical_crossentropy")
    network.set_weights([[[-20.0, 20.0]], [0.0, 0.0]])
    assert network.is_fused
    loss, (kernel, _) = network.gradients([[1.0]], [[1.0, 0.0]])
    assert loss == pytest.approx(40.0)
    assert kernel == pytest.approx([-1.0, 1.0])
    clipped = losses.cost("categorical_crossentropy", [[1.0, 0.0]], network.forward([[1.0]]))
    assert clipped == pytest.approx(-math.log(1e-7))


def test_outputs_are_probabilities_all_the_same():
    network = Network(3, [Dense(2, "softmax")], "sparse_categorical_crossentropy", seed=3)
    for z, p in zip(network.layers[0].linear(X), network.forward(X), strict=True):
        assert p == softmax(z)


@pytest.mark.parametrize(
    ("activation", "loss", "y"),
    [
        ("softmax", "sparse_categorical_crossentropy", LABELS),
        ("softmax", "categorical_crossentropy", BINARY[:1] * 4),
        ("sigmoid", "binary_crossentropy", BINARY),
    ],
)
def test_fused_and_unfused_agree_where_nothing_is_clipped(activation, loss, y):
    network = Network(3, [Dense(2, activation)], loss, seed=3)
    assert network.is_fused
    fused, gradients = network.gradients(X, y)
    assert fused == pytest.approx(losses.cost(loss, y, network.forward(X)), rel=1e-12)
    d = losses.cost_gradient(loss, y, network.forward(X))
    dz = network.layers[0].backward_activation(network.layers[0].linear(X), d)
    _, unfused = network.layers[0].backward_linear(X, dz)
    assert [g for gs in gradients for g in gs] == pytest.approx([g for gs in unfused for g in gs], rel=1e-9)


# Dropout.


def test_dropout_follows_the_stream():
    network = Network(3, [Dense(6), Dropout(0.5), Dense(1)], seed=9)
    z = network.layers[0].linear(X)
    last = network.layers[2]
    for forwards in range(3):
        stream = (1 << 32) + forwards
        dropped = [[random.dropped(9, stream, 6 * r + c, 0.5) for c in range(6)] for r in range(4)]
        assert 0 < sum(map(sum, dropped)) < 24
        kept = [
            [0.0 if d else 2.0 * v for v, d in zip(row, ds, strict=True)] for row, ds in zip(z, dropped, strict=True)
        ]
        got = network.forward(X, training=True)
        assert [y for (y,) in got] == pytest.approx([y for (y,) in last.linear(kept)])
    assert network.training_forwards == 3


def test_dropout_is_off_outside_of_training():
    network = Network(3, [Dropout(0.5), Dense(2)], seed=9)
    plain = Network(3, [Dense(2)], seed=9)
    plain.set_weights(network.get_weights())
    assert network.forward(X) == plain.forward(X)
    assert network.training_forwards == 0


def test_dropout_gates_the_gradient():
    """With the mask of training forward 0 as fixed factors, the gradient in training is that of the masked network."""
    network = Network(3, [Dropout(0.4), Dense(2)], seed=21)
    mask = network.layers[0].mask(4, 3, 21, 0)
    masked = [[a * m for a, m in zip(row, ms, strict=True)] for row, ms in zip(X, mask, strict=True)]
    assert masked != X
    plain = Network(3, [Dense(2)], seed=21)
    plain.set_weights(network.get_weights())
    assert network.gradients(X, REAL, training=True) == plain.gradients(masked, REAL)
    assert Dropout(1.0).mask(1, 2, 0, 0) == [[0.0, 0.0]]


# Training.


def test_fit_is_train_steps_in_the_order_of_the_permutation():
    def fresh():
        layers = [Dense(4, "tanh", kernel_regularizer=L1(0.01), kernel_constraint=MaxNorm(1.0)), Dropout(0.2), Dense(2)]
        return Network(3, layers, optimizer=Adam(learning_rate=0.01), seed=17)

    fitted, stepped = fresh(), fresh()
    history = fitted.fit(X, REAL, WEIGHTS, epochs=3, batch_size=3)
    expected, orders = [], []
    for epoch in range(3):
        order = random.permutation(17, (0xFFFFFFFF << 32) | epoch, 4)
        orders.append(tuple(order))
        parts = []
        for rows in (order[:3], order[3:]):
            picked = ([X[i] for i in rows], [REAL[i] for i in rows], [WEIGHTS[i] for i in rows])
            parts.append(len(rows) * stepped.train_step(*picked))
        expected.append(sum(parts) / 4)
    assert history == expected
    assert fitted.get_weights() == stepped.get_weights()
    assert len(set(orders)) > 1
    assert fresh().fit(X, REAL, WEIGHTS, epochs=3, batch_size=3) == history


def test_initial_epoch_continues():
    whole, parts = (Network(3, [Dense(2)], seed=4) for _ in range(2))
    history = whole.fit(X, REAL, epochs=4, batch_size=2)
    assert (
        parts.fit(X, REAL, epochs=2, batch_size=2) + parts.fit(X, REAL, epochs=4, batch_size=2, initial_epoch=2)
        == history
    )


def test_learns_xor():
    x, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [[0.0], [1.0], [1.0], [0.0]]
    network = Network(
        2, [Dense(4, "tanh"), Dense(1, "sigmoid")], "binary_crossentropy", Adam(learning_rate=0.05), seed=1
    )
    history = network.fit(x, y, epochs=300, batch_size=4)
    assert history[-1] < 0.1 < history[0]
    assert [round(p) for (p,) in network.forward(x)] == [0, 1, 1, 0]


def test_a_sigmoid_on_the_output_alone_cannot_do_xor():
    x, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [[0.0], [1.0], [1.0], [0.0]]
    network = Network(2, [Dense(1, "sigmoid")], "binary_crossentropy", Adam(learning_rate=0.05), seed=1)
    assert network.fit(x, y, epochs=300, batch_size=4)[-1] > math.log(2.0) - 1e-3


def test_equal_weights_stay_equal():
    network = Network(3, [Dense(4, "tanh", kernel_initializer="ones"), Dense(2, kernel_initializer="ones")])
    before = network.get_weights()[0]
    network.fit(X, REAL, epochs=5)
    after = network.get_weights()[0]
    assert after != before
    assert all(len(set(row)) == 1 for row in after)


def test_frozen_layers_stay():
    frozen = Dense(4, "tanh", kernel_regularizer=L2(10.0), trainable=False)
    network = Network(3, [frozen, Dense(2)], seed=1)
    assert network.penalty() == 0.0
    before = network.get_weights()
    network.fit(X, REAL, epochs=2)
    after = network.get_weights()
    assert after[:2] == before[:2]
    assert after[2] != before[2]


def test_weights_go_in_and_out_unchanged():
    network = Network(3, [Dense(4), Dense(2, use_bias=False)], seed=1)
    weights = network.get_weights()
    assert [len(w) for w in weights] == [3, 4, 4]
    other = Network(3, [Dense(4), Dense(2, use_bias=False)], seed=2)
    assert other.get_weights() != weights
    other.set_weights(weights)
    assert other.get_weights() == weights
    assert other.forward(X) == network.forward(X)
    with pytest.raises(ValueError, match="weights"):
        other.set_weights([weights[0][:2], *weights[1:]])


def test_first_values_come_from_a_stream_per_variable():
    network = Network(3, [Dense(4), Dropout(0.1), Dense(2, "tanh", {}, True, "he_normal", "random_uniform")], seed=6)
    stream = 0xFFFFFFFE << 32
    assert network.variables[0].values == INITIALIZERS["glorot_uniform"]((3, 4), 6, stream)
    assert network.variables[1].values == [0.0] * 4
    assert network.variables[2].values == INITIALIZERS["he_normal"]((4, 2), 6, stream + 2)
    assert network.variables[3].values == INITIALIZERS["random_uniform"]((2,), 6, stream + 3)


def test_nan_stays_in_its_row():
    network = Network(3, [Dense(4, "relu"), Dense(2)], seed=1)
    out = network.forward([X[0], [math.nan, 0.0, 0.0], X[2]])
    assert all(math.isnan(v) for v in out[1])
    assert [out[0], out[2]] == network.forward([X[0], X[2]])
