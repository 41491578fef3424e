"""The reference against Keras 3 in double precision on its JAX backend, where both are installed."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import math

import pytest
from optional import optional

np = optional("numpy")
jax = optional("jax")
keras = optional("keras", minversion="3.0")

if keras.backend.backend() != "jax":
    pytest.skip("Keras runs on another backend here", allow_module_level=True)

from fastnn.reference import constraints, initializers, losses, optimizers, regularizers, schedules
from fastnn.reference import network as plain
from fastnn.reference.activations import ELEMENTWISE, ROWWISE, derivative, value

jnp = jax.numpy
DOUBLE = {"rel": 1e-12, "abs": 1e-14}


@pytest.fixture(autouse=True, scope="module")
def double_precision():
    """Double everywhere: on this backend some of Keras's operations (tanh, cos, ...) cast float64 to float32, whatever
    floatx says. That is a row of its table of type promotion, which is changed here while these tests run.
    """
    before, x64 = keras.backend.floatx(), jax.config.jax_enable_x64
    promotion = optional("keras.src.backend.common.dtypes").BIT64_TO_BIT32_DTYPE
    single = promotion["float64"]
    keras.backend.set_floatx("float64")
    jax.config.update("jax_enable_x64", True)
    promotion["float64"] = "float64"
    yield
    promotion["float64"] = single
    keras.backend.set_floatx(before)
    jax.config.update("jax_enable_x64", x64)


def test_keras_is_in_double_precision():
    assert float(keras.ops.tanh(jnp.array(0.3))) == pytest.approx(math.tanh(0.3), rel=1e-15)


def flat(x):
    return np.asarray(x, dtype="float64").reshape(-1).tolist()


# Activations.

POINTS = [-30.0, -7.3, -3.4, -2.6, -1.7, -1.2, -0.8, -0.4, -0.11, 0.13, 0.37, 0.73, 1.4, 2.2, 2.9, 3.6, 5.2, 6.7, 30.0]
THEIRS = {
    "step": lambda x: jnp.where(x >= 0.0, 1.0, 0.0),
    "gelu": lambda x: keras.activations.gelu(x, approximate=False),
    "gelu_tanh": lambda x: keras.activations.gelu(x, approximate=True),
    "relu_general": keras.activations.relu,
    "threshold": lambda x, threshold=0.0, default_value=0.0: keras.activations.threshold(x, threshold, default_value),
}
PARAMETERS = {
    "leaky_relu": [{"negative_slope": 0.05}],
    "relu_general": [
        {"negative_slope": 0.1, "max_value": 4.0, "threshold": 0.5},
        {"max_value": 6.0},
        {"negative_slope": 0.1},
        {"negative_slope": 0.1, "threshold": 0.5},
        {"max_value": 2.0, "threshold": 1.0},
    ],
    "elu": [{"alpha": 1.7}],
    "celu": [{"alpha": 0.6}],
    "squareplus": [{"b": 1.5}],
    "hard_shrink": [{"threshold": 1.0}],
    "soft_shrink": [{"threshold": 1.0}],
    "threshold": [{"threshold": 1.0, "default_value": -2.0}],
}


@pytest.mark.parametrize(
    ("name", "parameters"), [(name, p) for name in ELEMENTWISE for p in [{}, *PARAMETERS.get(name, [])]]
)
def test_activation(name, parameters):
    theirs = THEIRS.get(name) or getattr(keras.activations, name)
    x = jnp.array(POINTS, dtype="float64")
    y, back = jax.vjp(lambda x: theirs(x, **parameters), x)
    assert [value(name, p, **parameters) for p in POINTS] == pytest.approx(flat(y), **DOUBLE)
    slopes = back(jnp.ones_like(y))[0]
    # Keras's own gelu and tanh forms lose digits that these keep, where they subtract from 1.
    assert [derivative(name, p, **parameters) for p in POINTS] == pytest.approx(flat(slopes), rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "glu"])  # Keras's sparsemax does not sum to 1
@pytest.mark.parametrize("xs", [[0.9, 0.5, 0.1, -0.7], [0.3, 0.31, -4.0, 0.2], [-40.0, 0.8, 0.25, 0.5]])
def test_row_activation(name, xs):
    y, back = jax.vjp(getattr(keras.activations, name), jnp.array([xs], dtype="float64"))
    assert ROWWISE[name].value(xs) == pytest.approx(flat(y), **DOUBLE)
    dys = [0.9, -0.4, 1.3, 0.6][: len(flat(y))]
    assert ROWWISE[name].backward(xs, dys) == pytest.approx(flat(back(jnp.array([dys]))[0]), **DOUBLE)


# Losses.

RNG = np.random.default_rng(5)
REAL = (RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4)))
POSITIVE = (RNG.uniform(0.1, 3.0, (6, 4)), RNG.uniform(0.1, 3.0, (6, 4)))
SIGNS = (np.where(RNG.uniform(size=(6, 4)) < 0.5, -1.0, 1.0), 2.0 * RNG.normal(size=(6, 4)))
ZERO_ONE = ((SIGNS[0] + 1.0) / 2.0, 2.0 * RNG.normal(size=(6, 4)))
CLIPPED = RNG.uniform(0.02, 0.98, (6, 4))
CLIPPED[0, 0], CLIPPED[1, 1], CLIPPED[2, 2] = 0.0, 1.0, 1e-9  # outside of the clipping interval
BINARY = (ZERO_ONE[0], CLIPPED)
ONE_HOT = np.eye(4)[[0, 1, 2, 3, 1, 1]]
SOFT = RNG.dirichlet(np.ones(4), 6)
PROBABILITIES = RNG.uniform(0.05, 1.0, (6, 4))  # their sums are not 1
PROBABILITIES[0, 0] = 0.0
LABELS = np.array([0, 1, 2, 3, 1, 1])

CASES = [
    ("mean_squared_error", {}, *REAL),
    ("mean_absolute_error", {}, *REAL),
    ("huber", {}, *REAL),
    ("huber", {"delta": 0.3}, *REAL),
    ("log_cosh", {}, *REAL),
    ("mean_absolute_percentage_error", {}, *REAL),
    ("mean_absolute_percentage_error", {}, ZERO_ONE[0], REAL[1]),
    ("mean_squared_logarithmic_error", {}, *POSITIVE),
    ("mean_squared_logarithmic_error", {}, *REAL),
    ("poisson", {}, *POSITIVE),
    ("cosine_similarity", {}, *REAL),
    ("binary_crossentropy", {}, *BINARY),
    ("binary_crossentropy", {"label_smoothing": 0.2}, *BINARY),
    ("binary_crossentropy", {"from_logits": True}, *ZERO_ONE),
    ("binary_crossentropy", {"from_logits": True, "label_smoothing": 0.2}, *ZERO_ONE),
    ("categorical_crossentropy", {}, ONE_HOT, PROBABILITIES),
    ("categorical_crossentropy", {}, SOFT, PROBABILITIES),
    ("categorical_crossentropy", {"label_smoothing": 0.2}, ONE_HOT, PROBABILITIES),
    ("categorical_crossentropy", {"from_logits": True}, ONE_HOT, REAL[1]),
    ("categorical_crossentropy", {"from_logits": True, "label_smoothing": 0.2}, SOFT, REAL[1]),
    ("sparse_categorical_crossentropy", {}, LABELS, PROBABILITIES),
    ("sparse_categorical_crossentropy", {"from_logits": True}, LABELS, REAL[1]),
    ("sparse_categorical_crossentropy", {"ignore_class": 1}, LABELS, PROBABILITIES),
    ("sparse_categorical_crossentropy", {"from_logits": True, "ignore_class": 1}, LABELS, REAL[1]),
    ("sparse_categorical_crossentropy", {"ignore_class": -1}, np.full(6, -1), PROBABILITIES),
    ("binary_focal_crossentropy", {}, *BINARY),
    ("binary_focal_crossentropy", {"gamma": 1.5, "label_smoothing": 0.1}, *BINARY),
    ("binary_focal_crossentropy", {"apply_class_balancing": True, "alpha": 0.4}, *BINARY),
    ("binary_focal_crossentropy", {"from_logits": True, "apply_class_balancing": True}, *ZERO_ONE),
    ("binary_focal_crossentropy", {"gamma": 0.0, "from_logits": True}, *ZERO_ONE),
    ("categorical_focal_crossentropy", {}, ONE_HOT, PROBABILITIES),
    ("categorical_focal_crossentropy", {"alpha": 0.6, "gamma": 1.5, "label_smoothing": 0.1}, SOFT, PROBABILITIES),
    ("categorical_focal_crossentropy", {"from_logits": True}, ONE_HOT, REAL[1]),
    ("kl_divergence", {}, SOFT, PROBABILITIES),
    ("kl_divergence", {}, ONE_HOT, PROBABILITIES * 1.5),
    ("hinge", {}, *SIGNS),
    ("hinge", {}, *ZERO_ONE),
    ("squared_hinge", {}, *SIGNS),
    ("squared_hinge", {}, *ZERO_ONE),
    ("categorical_hinge", {}, ONE_HOT, REAL[1]),
]
CLASS_NAMES = {"kl_divergence": "KLDivergence", "huber": "Huber"}
WEIGHTS = [1.0, 0.5, 2.0, 0.0, 3.0, 0.25]


def their_loss(name, reduction, **options):
    class_name = CLASS_NAMES.get(name) or "".join(part.capitalize() for part in name.split("_"))
    return getattr(keras.losses, class_name)(reduction=reduction, **options)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_loss(case, reduction, weights):
    name, options, y, p = CASES[case]
    theirs = their_loss(name, reduction, **options)
    w = None if weights is None else jnp.array(weights)

    def summed(p):
        loss = theirs(y, p, w)
        return jnp.sum(loss), loss

    (_, loss), gradient = jax.value_and_grad(summed, has_aux=True)(jnp.array(p))
    args = (name, y.tolist(), p.tolist(), weights, reduction)
    ours = losses.cost(*args, **options)
    assert (ours if isinstance(ours, list) else [ours]) == pytest.approx(flat(loss), **DOUBLE)
    our_gradient = [g for row in losses.cost_gradient(*args, **options) for g in row]
    assert our_gradient == pytest.approx(flat(gradient), rel=1e-11, abs=1e-13)


def test_every_loss_of_keras_is_compared():
    own = {"half_mean_squared_error", "smooth_l1", "contrastive", "triplet", "margin_ranking"}
    assert {name for name, *_ in CASES} == set(losses.LOSSES) - own


def test_smooth_l1_is_huber_over_beta():
    y, p = REAL
    expected = keras.losses.Huber(delta=0.3)(y, p) / 0.3
    assert losses.cost("smooth_l1", y.tolist(), p.tolist(), beta=0.3) == pytest.approx(float(expected))


@pytest.mark.parametrize("name", ["mean_squared_error", "sparse_categorical_crossentropy"])
def test_loss_of_predictions_with_more_axes(name):
    y = LABELS.reshape(2, 3) if name.startswith("sparse") else REAL[0].reshape(2, 3, 4)
    p = (PROBABILITIES if name.startswith("sparse") else REAL[1]).reshape(2, 3, 4)
    weights = [[0.5, 1.0, 2.0], [3.0, 0.0, 1.5]]
    for w in (None, weights):
        expected = their_loss(name, "sum_over_batch_size")(y, p, None if w is None else jnp.array(w))
        assert losses.cost(name, y.tolist(), p.tolist(), w) == pytest.approx(float(expected), **DOUBLE)


def test_tied_scores_of_the_categorical_hinge():
    y, p = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[0.0, 0.0, 0.0], [1.5, 0.5, 0.5]]
    gradient = jax.grad(lambda p: keras.losses.CategoricalHinge()(jnp.array(y), p))(jnp.array(p))
    ours = losses.cost_gradient("categorical_hinge", y, p)
    assert [g for row in ours for g in row] == pytest.approx(flat(gradient))


# Optimizers.

GRADIENTS = RNG.normal(size=(30, 6)) * np.exp(RNG.normal(size=(30, 1)))
START = RNG.normal(size=6)

OPTIMIZERS = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "learning_rate": 0.05}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.7, "rho": 0.8}),
    ("RMSprop", {"centered": True, "momentum": 0.7, "epsilon": 1e-3}),
    ("Adagrad", {}),
    ("Adagrad", {"initial_accumulator_value": 0.0, "epsilon": 1e-3}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.8}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "beta_1": 0.8, "beta_2": 0.9}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.1, "amsgrad": True}),
    ("Adamax", {}),
    ("Adamax", {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Nadam", {}),
    ("Nadam", {"beta_1": 0.8, "beta_2": 0.9}),
    ("Lion", {}),
    ("Lion", {"beta_1": 0.8, "beta_2": 0.7}),
]
SHARED = [
    {"weight_decay": 0.05},
    {"clipvalue": 0.5},
    {"clipnorm": 0.5},
    {"global_clipnorm": 0.5},
    {"use_ema": True, "ema_momentum": 0.8},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 4},
    {"gradient_accumulation_steps": 3},
    {"gradient_accumulation_steps": 3, "clipnorm": 0.5, "weight_decay": 0.05},
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
]
RUNS = [(name, options, False) for name, options in OPTIMIZERS]
RUNS += [(name, shared, True) for name in ("SGD", "Adam") for shared in SHARED]
RUNS += [("Nadam", {"gradient_accumulation_steps": 3}, False), ("Adam", {}, True)]


@pytest.mark.parametrize(
    ("name", "options", "constrained"), RUNS, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(RUNS)]
)
def test_optimizer(name, options, constrained):
    """Thirty steps on a matrix and a vector, compared after each."""
    theirs = getattr(keras.optimizers, name)(**options)
    ours = getattr(optimizers, name)(**options)
    limit = keras.constraints.MaxNorm(1.0) if constrained else None
    matrix = keras.Variable(START[:4].reshape(2, 2))
    matrix.constraint = limit
    vector = keras.Variable(START[4:])
    variables = [
        optimizers.Variable(flat(START[:4]), (2, 2), constraint=constraints.MaxNorm(1.0) if constrained else None),
        optimizers.Variable(flat(START[4:])),
    ]
    theirs.build([matrix, vector])
    step = jax.jit(theirs.stateless_apply)
    weights, state = [matrix.value, vector.value], [v.value for v in theirs.variables]
    for g in GRADIENTS:
        weights, state = step(state, [jnp.array(g[:4].reshape(2, 2)), jnp.array(g[4:])], weights)
        ours.apply([flat(g[:4]), flat(g[4:])], variables)
        expected = [w for array in weights for w in flat(array)]
        assert [w for v in variables for w in v.values] == pytest.approx(expected, **DOUBLE)
    assert any(abs(w - w0) > 1e-6 for w, w0 in zip(expected, START, strict=True))
    if options.get("use_ema"):
        names = [v.name for v in theirs.variables]
        averages = [
            a for name, array in zip(names, state, strict=True) if name.endswith("average") for a in flat(array)
        ]
        assert [a for v in ours.averages for a in v] == pytest.approx(averages, **DOUBLE)


def test_defaults_of_optimizers():
    for name in {n for n, _ in OPTIMIZERS}:
        theirs = getattr(keras.optimizers, name)().get_config()
        for option, default in vars(getattr(optimizers, name)()).items():
            if option in theirs:
                assert default == pytest.approx(theirs[option]), (name, option)


def test_excluded_from_decay_and_scheduled():
    theirs = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5), weight_decay=0.3)
    a, b = keras.Variable(START[:4]), keras.Variable(START[4:])
    theirs.exclude_from_weight_decay(var_list=[b])
    theirs.build([a, b])
    ours = optimizers.SGD(learning_rate=schedules.ExponentialDecay(0.1, 5, 0.5), weight_decay=0.3)
    variables = [optimizers.Variable(flat(START[:4])), optimizers.Variable(flat(START[4:]), decays=False)]
    for g in GRADIENTS:
        theirs.apply([jnp.array(g[:4]), jnp.array(g[4:])], [a, b])
        ours.apply([flat(g[:4]), flat(g[4:])], variables)
    assert [w for v in variables for w in v.values] == pytest.approx(flat(a) + flat(b), **DOUBLE)


# Schedules.

SCHEDULES = [
    ("ExponentialDecay", (0.1, 7, 0.6), {}),
    ("ExponentialDecay", (0.1, 7, 0.6), {"staircase": True}),
    ("PiecewiseConstantDecay", ([3, 10, 20], [1.0, 0.5, 0.2, 0.1]), {}),
    ("PolynomialDecay", (0.1, 7), {}),
    ("PolynomialDecay", (0.1, 7, 0.01), {"power": 2.5}),
    ("PolynomialDecay", (0.1, 7, 0.01), {"power": 0.5, "cycle": True}),
    ("InverseTimeDecay", (0.1, 7, 0.6), {}),
    ("InverseTimeDecay", (0.1, 7, 0.6), {"staircase": True}),
    ("CosineDecay", (0.1, 20), {}),
    ("CosineDecay", (0.1, 20), {"alpha": 0.1, "warmup_target": 0.7, "warmup_steps": 6}),
    ("CosineDecayRestarts", (0.1, 7), {}),
    ("CosineDecayRestarts", (0.1, 7), {"t_mul": 1.0, "m_mul": 0.8, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.1, 7), {"t_mul": 1.5, "m_mul": 0.8}),
]


@pytest.mark.parametrize(("name", "args", "options"), SCHEDULES)
def test_schedule(name, args, options):
    theirs = jax.jit(getattr(keras.optimizers.schedules, name)(*args, **options).__call__)
    ours = getattr(schedules, name)(*args, **options)
    steps = range(41)
    assert [ours(t) for t in steps] == pytest.approx([float(theirs(t)) for t in steps], rel=1e-12, abs=1e-15)


# Regularizers, constraints, initializers.

MATRIX = 2.0 * RNG.normal(size=(4, 3))


# The lambdas keep Keras from being needed before its tests are known to run.
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (lambda: keras.regularizers.L1(0.1), regularizers.L1(0.1)),
        (lambda: keras.regularizers.L1(), regularizers.L1()),  # noqa: PLW0108
        (lambda: keras.regularizers.L2(0.1), regularizers.L2(0.1)),
        (lambda: keras.regularizers.L2(), regularizers.L2()),  # noqa: PLW0108
        (lambda: keras.regularizers.L1L2(0.1, 0.2), regularizers.L1L2(0.1, 0.2)),
        (lambda: keras.regularizers.OrthogonalRegularizer(), regularizers.Orthogonal()),  # noqa: PLW0108
        (lambda: keras.regularizers.OrthogonalRegularizer(0.3, "columns"), regularizers.Orthogonal(0.3, "columns")),
    ],
)
def test_regularizer(theirs, ours):
    penalty, gradient = jax.value_and_grad(theirs())(jnp.array(MATRIX))
    assert ours(flat(MATRIX), (4, 3)) == pytest.approx(float(penalty), **DOUBLE)
    assert ours.gradient(flat(MATRIX), (4, 3)) == pytest.approx(flat(gradient), **DOUBLE)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MaxNorm", {}),
        ("MaxNorm", {"max_value": 1.0, "axis": 1}),
        ("MaxNorm", {"max_value": 1.0, "axis": [0, 1]}),
        ("NonNeg", {}),
        ("UnitNorm", {}),
        ("UnitNorm", {"axis": -1}),
        ("MinMaxNorm", {}),
        ("MinMaxNorm", {"min_value": 1.5, "max_value": 1.8, "rate": 0.7, "axis": 1}),
    ],
)
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 2)])
def test_constraint(name, options, shape):
    expected = getattr(keras.constraints, name)(**options)(jnp.array(MATRIX.reshape(shape)))
    ours = getattr(constraints, name)(**options)(flat(MATRIX), shape)
    assert ours == pytest.approx(flat(expected), **DOUBLE)
    assert ours != pytest.approx(flat(MATRIX), rel=1e-3)


@pytest.mark.parametrize("name", [n for n in initializers.INITIALIZERS if n not in ("identity", "constant")])
def test_spread_of_initializers(name):
    """Other numbers, but of the same spread: variance to 10 %, largest to 10 % where it is bounded."""
    theirs = flat(keras.initializers.get(name)((50, 40)))
    ours = initializers.INITIALIZERS[name]((50, 40), 3)
    assert np.std(ours) == pytest.approx(np.std(theirs), rel=0.1, abs=1e-12)
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.15 * np.std(theirs) + 1e-12)
    if "uniform" in name or name in ("truncated_normal", "he_normal", "glorot_normal", "lecun_normal"):
        assert max(map(abs, ours)) == pytest.approx(max(map(abs, theirs)), rel=0.1)


def test_identity():
    assert initializers.identity((4, 3), gain=2.0) == flat(keras.initializers.Identity(2.0)((4, 3)))


# A whole run.


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "silu"])
def test_training_run(activation):
    """Four epochs of batches in order: the weights of both end up equal."""
    x, labels = RNG.normal(size=(12, 3)), RNG.integers(0, 4, 12)
    theirs = keras.Sequential(
        [
            keras.layers.Input((3,)),
            keras.layers.Dense(5, activation, kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02)),
            keras.layers.Dense(4, kernel_constraint=keras.constraints.MaxNorm(0.9)),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    theirs.compile(keras.optimizers.Adam(0.02, clipnorm=0.3, weight_decay=0.01), loss)
    ours = plain.Network(
        3,
        [
            plain.Dense(5, activation, kernel_regularizer=regularizers.L1L2(0.01, 0.02)),
            plain.Dense(4, "softmax", kernel_constraint=constraints.MaxNorm(0.9)),
        ],
        "sparse_categorical_crossentropy",
        optimizers.Adam(learning_rate=0.02, clipnorm=0.3, weight_decay=0.01),
        seed=7,
    )
    theirs.set_weights([np.array(w) for w in ours.get_weights()])
    weights = np.linspace(0.5, 2.0, 12)
    history = ours.fit(x.tolist(), labels.tolist(), flat(weights), epochs=4, batch_size=5, shuffle=False)
    fitted = theirs.fit(x, labels, sample_weight=weights, epochs=4, batch_size=5, shuffle=False, verbose=0)
    assert history == pytest.approx(fitted.history["loss"], rel=1e-6)  # Keras averages its losses in single precision
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert flat(a) == pytest.approx(flat(b), rel=1e-9, abs=1e-11)
    assert math.isfinite(history[-1])
    assert history[-1] < history[0]
