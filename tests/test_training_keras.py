"""Training against Keras 3 on JAX: weights, history and what the methods return, after 30 steps without shuffling.

Each case builds the same model from both libraries, which have the same names; Keras's first weights are taken over.
"""

from types import SimpleNamespace

import numpy as np
import pytest

import fastnn
from fastnn import constraints, initializers, layers, losses, metrics, optimizers, regularizers

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # NumPy's, of Keras

ROWS, BATCH, EPOCHS = 40, 7, 5  # 6 steps an epoch, the last of them smaller
OURS = SimpleNamespace(
    Sequential=fastnn.Sequential, layers=layers, optimizers=optimizers, losses=losses, metrics=metrics,
    regularizers=regularizers, constraints=constraints, initializers=initializers,
)  # fmt: skip


def data(kind, rows=ROWS, seed=0):
    r = np.random.default_rng(seed)
    x = r.normal(size=(rows, 5))
    if kind == "numbers":
        return x, r.normal(size=(rows, 3))
    if kind == "one":
        return x, r.normal(size=rows)
    if kind == "bits":
        return x, (x[:, :1] + r.normal(size=(rows, 1)) > 0).astype(float)
    if kind == "labels":
        return x, r.integers(0, 3, rows)
    if kind == "one_hot":
        return x, np.eye(3)[r.integers(0, 3, rows)]
    assert kind == "sequences"
    return r.normal(size=(rows, 4, 5)), r.normal(size=(rows, 4, 3))


class Case:
    """What is compared: layers(lib), compile(lib), and the arguments of fit."""

    def __init__(self, kind="numbers", net=None, compile=None, fit=None, prepare=None, rtol=1e-9):
        self.kind, self.compile, self.rtol = kind, compile or (lambda lib: {}), rtol
        self.net = net or plain
        self.fit = fit or (lambda x, y: {})
        self.prepare = prepare or (lambda model: None)

    def defaults(self, lib):
        return {"optimizer": lib.optimizers.SGD(0.05), "loss": "mse"} | self.compile(lib)

    def models(self, keras, dtype="float64"):
        x, _ = data(self.kind)
        theirs = keras.Sequential([keras.layers.Input(x.shape[1:]), *self.net(keras)])
        ours = OURS.Sequential([layers.Input(x.shape[1:]), *self.net(OURS)], dtype=dtype, seed=1)
        r = np.random.default_rng(5)
        first = [np.asarray(w) + 0.1 * r.uniform(0.5, 1, np.shape(w)) for w in theirs.get_weights()]
        theirs.set_weights(first)
        ours.set_weights(first)
        for model, lib in ((theirs, keras), (ours, OURS)):
            self.prepare(model)
            model.compile(**self.defaults(lib))
        return theirs, ours

    def arguments(self):
        x, y = data(self.kind)
        return {"x": x, "y": y, "batch_size": BATCH, "epochs": EPOCHS, "shuffle": False, "verbose": 0} | self.fit(x, y)


def plain(lib, units=3, activation=None, **options):
    return [
        lib.layers.Dense(6, activation="softplus", **options),
        lib.layers.Dense(4, activation="sigmoid"),
        lib.layers.Dense(units, activation=activation),
    ]


def same_weights(ours, theirs, rtol):
    assert len(ours.weights) == len(theirs.weights)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=rtol, atol=rtol)


def same_values(mine, other, rtol):
    """Numbers, lists, arrays or dicts of them, in the same order."""
    if isinstance(other, dict):
        assert list(mine) == list(other)
        mine, other = list(mine.values()), list(other.values())
    assert isinstance(mine, list) == isinstance(other, list)
    if isinstance(other, list):
        assert len(mine) == len(other)
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_allclose(a, np.asarray(b), rtol=rtol, atol=rtol)
    else:
        assert np.shape(mine) == np.shape(other)
        np.testing.assert_allclose(mine, other, rtol=rtol, atol=rtol)


def compare(keras, case, dtype="float64"):
    rtol = case.rtol if dtype == "float64" else 1e-4
    theirs, ours = case.models(keras, dtype)
    before = ours.get_weights()
    expected = theirs.fit(**case.arguments()).history
    history = ours.fit(**case.arguments()).history
    assert any(not np.array_equal(a, b) for a, b in zip(before, ours.get_weights(), strict=True))
    same_values(history, expected, rtol)
    same_weights(ours, theirs, rtol)
    assert ours.optimizer.iterations == int(theirs.optimizer.iterations)
    np.testing.assert_allclose(ours.optimizer.learning_rate, float(theirs.optimizer.learning_rate), rtol=1e-6)
    return theirs, ours, rtol


def compare_calls(theirs, ours, kind, rtol, weights=None):
    """What the other methods return."""
    x, y = data(kind, 17, seed=3)
    same_values(ours.evaluate(x, y, 5, 0, weights), theirs.evaluate(x, y, 5, 0, weights), rtol)
    options = {"batch_size": 5, "verbose": 0, "sample_weight": weights}
    mine = ours.evaluate(x, y, return_dict=True, **options)
    same_values(mine, theirs.evaluate(x, y, return_dict=True, **options), rtol)
    same_values(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol)
    same_values(ours.predict_on_batch(x), np.asarray(theirs.predict_on_batch(x)), rtol)
    for rows in (slice(0, 9), slice(9, 17), slice(0, 9)):
        w = None if weights is None else weights[rows]
        same_values(ours.train_on_batch(x[rows], y[rows], w), theirs.train_on_batch(x[rows], y[rows], w), rtol)
        same_values(ours.test_on_batch(x[rows], y[rows], w), theirs.test_on_batch(x[rows], y[rows], w), rtol)
    same_values(
        ours.train_on_batch(x, y, weights, return_dict=True),
        theirs.train_on_batch(x, y, weights, return_dict=True),
        rtol,
    )
    same_weights(ours, theirs, rtol)


# ----------------------------------------------------------------------------------------------------------- optimizers

RULES = {
    "sgd": lambda o: o.SGD(0.1),
    "momentum": lambda o: o.SGD(0.05, momentum=0.9),
    "nesterov": lambda o: o.SGD(0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda o: o.RMSprop(0.01, momentum=0.5, centered=True),
    "adagrad": lambda o: o.Adagrad(0.05),
    "adadelta": lambda o: o.Adadelta(1.0),
    "adam": lambda o: o.Adam(0.01),
    "amsgrad": lambda o: o.Adam(0.01, amsgrad=True),
    "adamw": lambda o: o.AdamW(0.01, weight_decay=0.1),
    "adamax": lambda o: o.Adamax(0.01),
    "nadam": lambda o: o.Nadam(0.01),
    "lion": lambda o: o.Lion(0.002),
}


def everything(lib):
    """Two things are left out, for they tell nothing: a bias right before batch normalisation, whose gradient is noise
    that Adam makes as large as any; and the penalty |w| where a constraint makes w 0, whose derivative JAX takes as 1.
    """
    r, c = lib.regularizers, lib.constraints
    return [
        lib.layers.BatchNormalization(momentum=0.8),
        lib.layers.Dense(
            6, activation="elu", kernel_regularizer=r.L2(0.02), bias_regularizer=r.L2(0.01),
            kernel_constraint=c.MaxNorm(0.9), bias_constraint=c.NonNeg(),
        ),
        lib.layers.Dense(4, activation="silu", kernel_regularizer=r.L1L2(0.001, 0.01)),
        lib.layers.LayerNormalization(),
        lib.layers.Dense(3),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rule", RULES)
def test_optimizers(keras, rule, dtype):
    if dtype == "float32":
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    case = Case(compile=lambda lib: {"optimizer": RULES[rule](lib.optimizers), "metrics": ["mae"]})
    compare(keras, case, dtype)


@pytest.mark.parametrize("rule", ["momentum", "adam", "rmsprop", "lion"])
def test_optimizers_with_everything(keras, rule):
    def options(lib):
        made = RULES[rule](lib.optimizers)
        made.weight_decay, made.clipnorm, made.use_ema, made.ema_momentum = 0.01, 0.5, True, 0.9
        made.ema_overwrite_frequency = 7
        return {"optimizer": made}

    compare(keras, Case(net=everything, compile=options))


def test_rprop_is_torchs(torch):
    """Whole batches, for which it is made."""
    x, y = data("numbers")
    model = OURS.Sequential([layers.Input((5,)), *plain(OURS)], dtype="float64", seed=1)
    model.compile(optimizer=optimizers.Rprop(0.01), loss="mse")
    w = [torch.tensor(a, requires_grad=True) for a in model.get_weights()]
    rule = torch.optim.Rprop(w, lr=0.01)
    expected = []
    for _ in range(30):
        h = torch.nn.functional.softplus(torch.tensor(x) @ w[0] + w[1], threshold=1000)
        loss = ((torch.sigmoid(h @ w[2] + w[3]) @ w[4] + w[5] - torch.tensor(y)) ** 2).mean()
        rule.zero_grad()
        loss.backward()
        rule.step()
        expected.append(loss.item())
    history = model.fit(x, y, batch_size=ROWS, epochs=30, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-9)
    for mine, other in zip(model.get_weights(), w, strict=True):
        np.testing.assert_allclose(mine, other.detach().numpy(), rtol=1e-9)


# ------------------------------------------------------------------------------------------------------------ the table


def sgd(**options):
    return lambda lib: {"optimizer": lib.optimizers.SGD(0.05, momentum=0.5, **options)}


def adam(**options):
    return lambda lib: {"optimizer": lib.optimizers.Adam(0.02, **options)}


def schedule(name, *args, **options):
    return lambda lib: {"optimizer": lib.optimizers.SGD(getattr(lib.optimizers.schedules, name)(*args, **options))}


def regularized(name, *args, **options):
    return lambda lib: plain(lib, kernel_regularizer=getattr(lib.regularizers, name)(*args, **options))


def constrained(name, *args, **options):
    return lambda lib: plain(
        lib, kernel_constraint=getattr(lib.constraints, name)(*args, **options),
        bias_constraint=lib.constraints.NonNeg(),
    )  # fmt: skip


def classifier(lib):
    return plain(lib, activation="softmax")


def binary(lib):
    return plain(lib, 1, "sigmoid")


def normed(lib, **options):
    return [
        lib.layers.Dense(6, activation="softplus"),
        lib.layers.BatchNormalization(momentum=0.7, epsilon=0.01, **options),
        lib.layers.Dense(4, activation="sigmoid"),
        lib.layers.Dense(3),
    ]


def layer_normed(lib):
    return [
        lib.layers.LayerNormalization(),
        lib.layers.Dense(6, activation="selu"),
        lib.layers.LayerNormalization(epsilon=0.1, scale=False),
        lib.layers.Dense(3),
    ]


def freeze(*places):
    def prepare(model):
        for place in places:
            model.layers[place].trainable = False

    return prepare


def weights_of(y):
    return np.random.default_rng(8).uniform(0, 2, len(y))


def loss_of(name, **options):
    return lambda lib: {"loss": getattr(lib.losses, name)(**options)}


def with_metrics(*names, loss="mse", optimizer="adam", weighted=None):
    def made(lib):
        def build(given):
            return [m if isinstance(m, str) else m(lib) for m in given]

        result = {"loss": loss, "optimizer": optimizer, "metrics": build(names)}
        return result | ({"weighted_metrics": build(weighted)} if weighted else {})

    return made


def along_axes(lib):
    return [
        lib.layers.Dense(6),
        lib.layers.BatchNormalization(axis=1),
        lib.layers.PReLU(shared_axes=[2]),
        lib.layers.LayerNormalization(axis=[1]),
        lib.layers.Dense(3),
        lib.layers.PReLU(shared_axes=[1, 2]),
        lib.layers.Softmax(axis=1),
        lib.layers.LayerNormalization(axis=[1, 2]),
        lib.layers.Softmax(axis=[1, 2]),
    ]


def validated(x, y):
    return {"validation_data": data("numbers", 16, seed=9)}


TABLE = {
    "kernel_l1": Case(net=regularized("L1", 0.01)),
    "kernel_l2": Case(net=regularized("L2", 0.01)),
    "kernel_l1l2": Case(net=regularized("L1L2", 0.01, 0.02), compile=adam()),
    "orthogonal": Case(net=regularized("OrthogonalRegularizer", 0.01, mode="rows")),
    "bias_l2": Case(net=lambda lib: plain(lib, bias_regularizer=lib.regularizers.L2(0.1))),
    "activity_l1": Case(net=lambda lib: plain(lib, activity_regularizer=lib.regularizers.L1(0.05)), fit=validated),
    "activity_l2": Case("sequences", lambda lib: plain(lib, activity_regularizer="l2"), adam()),
    "activity_of_the_last": Case(
        "labels", lambda lib: [
            lib.layers.Dense(3, activation="softmax", activity_regularizer=lib.regularizers.L1L2(0.1, 0.3)),
        ],
        lambda lib: {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
    ),
    "activity_orthogonal": Case(
        net=lambda lib: plain(
            lib, activity_regularizer=lib.regularizers.OrthogonalRegularizer(0.05), kernel_regularizer="l2"
        ),
        fit=validated,
    ),
    "activity_of_a_branch": Case(
        net=lambda lib: [
            lib.layers.Dense(4, activation="tanh"),
            lib.Sequential([lib.layers.Input((4,)), lib.layers.Dense(3, activity_regularizer="l1")]),
        ],
    ),
    "axes": Case("sequences", along_axes),
    "max_norm": Case(net=constrained("MaxNorm", 0.5, axis=0)),
    "unit_norm": Case(net=constrained("UnitNorm", axis=1), compile=adam()),
    "min_max_norm": Case(net=constrained("MinMaxNorm", 0.3, 0.6, 0.7, axis=0)),
    "non_neg": Case(net=constrained("NonNeg"), compile=adam()),
    "clipnorm": Case(compile=sgd(clipnorm=0.05)),
    "clipvalue": Case(compile=sgd(clipvalue=0.01)),
    "global_clipnorm": Case(compile=adam(global_clipnorm=0.05)),
    "weight_decay": Case(compile=sgd(weight_decay=0.1)),
    "ema": Case(compile=sgd(use_ema=True, ema_momentum=0.9)),
    "ema_overwritten": Case(compile=adam(use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=4)),
    "accumulation": Case(compile=sgd(gradient_accumulation_steps=4)),
    "accumulation_adam": Case(compile=adam(gradient_accumulation_steps=3), net=regularized("L2", 0.1)),
    "exponential_decay": Case(compile=schedule("ExponentialDecay", 0.1, 5, 0.8)),
    "cosine_decay": Case(compile=schedule("CosineDecay", 0.05, 20, warmup_target=0.2, warmup_steps=6)),
    "piecewise": Case(compile=schedule("PiecewiseConstantDecay", [4, 11], [0.1, 0.05, 0.01])),
    "polynomial": Case(compile=schedule("PolynomialDecay", 0.1, 12, 0.01, 2.0)),
    "sample_weight": Case(fit=lambda x, y: {"sample_weight": weights_of(y)}),
    "sample_weight_mean": Case(
        fit=lambda x, y: {"sample_weight": weights_of(y)},
        compile=loss_of("MeanSquaredError", reduction="mean_with_sample_weight"),
    ),
    "summed": Case(compile=lambda lib: loss_of("Huber", reduction="sum")(lib) | sgd()(lib)),
    "class_weight": Case(
        "labels", classifier, lambda lib: {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        lambda x, y: {"class_weight": {0: 0.5, 2: 3.0}},
    ),
    "class_weight_one_hot": Case(
        "one_hot", classifier, lambda lib: {"loss": "categorical_crossentropy", "weighted_metrics": ["accuracy"]},
        lambda x, y: {"class_weight": {0: 0.5, 1: 1.5, 2: 3.0}},
    ),
    "validation_split": Case(fit=lambda x, y: {"validation_split": 0.3}, compile=with_metrics("mae")),
    "validation_split_weighted": Case(
        fit=lambda x, y: {"validation_split": 0.3, "sample_weight": weights_of(y)},
        compile=with_metrics("mae", weighted=["mse"]),
    ),
    "validation_data": Case(fit=validated, compile=with_metrics("mae", "cosine_similarity")),
    "validation_weighted": Case(
        fit=lambda x, y: {"validation_data": (*data("numbers", 16, 9), weights_of(np.zeros(16)))}, net=normed
    ),
    "validation_freq": Case(fit=lambda x, y: validated(x, y) | {"validation_freq": 2}),
    "validation_list": Case(fit=lambda x, y: validated(x, y) | {"validation_freq": [1, 4], "validation_batch_size": 3}),
    "batch_norm": Case(net=normed, fit=validated),
    "batch_norm_plain": Case(net=lambda lib: normed(lib, center=False, scale=False), compile=adam()),
    "batch_norm_of_rows": Case("sequences", normed),
    "layer_norm": Case(net=layer_normed, compile=adam()),
    "layer_norm_of_rows": Case("sequences", layer_normed),
    "frozen_first": Case(prepare=freeze(0), compile=adam(), net=regularized("L2", 0.1)),
    "frozen_middle": Case(prepare=freeze(1), compile=adam()),
    "frozen_batch_norm": Case(net=normed, prepare=freeze(1)),
    "loss_weights": Case(compile=lambda lib: {"loss_weights": 0.3, "metrics": ["mse"]}, net=regularized("L2", 0.1)),
    "loss_weights_list": Case(compile=lambda lib: {"loss_weights": [2.5]}),
    "weighted_metrics": Case(
        compile=with_metrics("mae", weighted=["mse", "cosine_similarity"]),
        fit=lambda x, y: {"sample_weight": weights_of(y)},
    ),
    "initial_epoch": Case(fit=lambda x, y: {"initial_epoch": 2}),
    "one_output": Case("one", lambda lib: plain(lib, 1), with_metrics("mae", "r2_score")),
    "binary": Case("bits", binary, with_metrics("accuracy", "AUC", loss="binary_crossentropy")),
    "binary_counts": Case(
        "bits", binary,
        with_metrics(
            lambda lib: lib.metrics.Precision(name="precision"), lambda lib: lib.metrics.Recall(name="sensitivity"),
            "BinaryAccuracy", loss="binary_focal_crossentropy",
        ),
    ),
    "sparse": Case(
        "labels", classifier,
        with_metrics(
            "accuracy", "sparse_top_k_categorical_accuracy", "sparse_categorical_crossentropy",
            lambda lib: lib.metrics.SparseTopKCategoricalAccuracy(k=2, name="top2"),
            loss="sparse_categorical_crossentropy",
        ),
        lambda x, y: {"validation_split": 0.2},
    ),
    "one_hot": Case(
        "one_hot", classifier,
        with_metrics(
            "acc", "categorical_crossentropy", lambda lib: lib.metrics.Precision(class_id=1, name="precision"),
            lambda lib: lib.metrics.TopKCategoricalAccuracy(k=2), loss="categorical_crossentropy",
        ),
    ),
    "logits": Case(
        "labels", None,
        lambda lib: {
            "loss": lib.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1),
            "metrics": ["accuracy"],
        },
    ),
    "sequences": Case("sequences", None, with_metrics("mae", "mse", loss="log_cosh")),
    "sequences_weighted": Case(
        "sequences", None, with_metrics("mae", weighted=["mape"], loss="huber"),
        lambda x, y: {"sample_weight": np.random.default_rng(2).uniform(0, 2, (len(y), 4))},
    ),
    "cosine": Case(compile=with_metrics("cosine_similarity", loss="cosine_similarity", optimizer="sgd")),
    "cosine_along_rows": Case("sequences", None, loss_of("CosineSimilarity", axis=1)),
    "steps_per_epoch": Case(fit=lambda x, y: {"steps_per_epoch": 3}),
    "poisson": Case(
        "numbers", lambda lib: plain(lib, activation="exponential"), with_metrics("poisson", loss="poisson"),
        lambda x, y: {"y": np.abs(y)},
    ),
    "everything": Case(
        net=everything,
        compile=lambda lib: adam(
            clipvalue=0.1, weight_decay=0.02, use_ema=True, ema_momentum=0.9, gradient_accumulation_steps=2
        )(lib) | {"loss": "huber", "loss_weights": 2.0, "metrics": ["mae"], "weighted_metrics": ["mse"]},
        fit=lambda x, y: {"sample_weight": weights_of(y), "validation_split": 0.25, "validation_freq": 2},
    ),
}  # fmt: skip


CALLS = {
    "activity_l2", "activity_orthogonal", "batch_norm", "binary", "class_weight_one_hot", "kernel_l1l2", "sparse",
    "weighted_metrics",
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_fit(keras, name):
    case = TABLE[name]
    theirs, ours, rtol = compare(keras, case)
    if name in CALLS:
        compare_calls(theirs, ours, case.kind, rtol, weights_of(np.zeros(17)) if "weight" in name else None)


def test_fits_in_a_row(keras):
    """The optimizer's state and the moving statistics go on."""
    case = Case(net=normed, compile=adam())
    theirs, ours, rtol = compare(keras, case)
    x, y = data("numbers", 20, seed=4)
    for _ in range(2):
        expected = theirs.fit(x, y, batch_size=6, epochs=2, shuffle=False, verbose=0).history
        same_values(ours.fit(x, y, batch_size=6, epochs=2, shuffle=False, verbose=0).history, expected, rtol)
    same_weights(ours, theirs, rtol)


@pytest.mark.parametrize("steps", [4, 9])
def test_epochs_shorter_than_a_pass(keras, steps):
    """An epoch goes on where the one before it stopped, but not into the next pass."""
    case = Case(compile=adam(), fit=lambda x, y: {"steps_per_epoch": steps})
    with pytest.warns(UserWarning, match="ran out of data"), pytest.warns(UserWarning, match="no multiple"):
        compare(keras, case)


def test_frozen_models(keras):
    """Everything frozen in the model, and thawed: the flags reach the layers inside, batch normalisation too."""
    theirs, ours = Case(net=normed).models(keras)
    x, y = data("numbers")
    for flag in (False, True):
        for model, lib in ((theirs, keras), (ours, OURS)):
            model.trainable = flag
            model.compile(optimizer=lib.optimizers.SGD(0.1), loss="mse")
        assert [layer.trainable for layer in ours.layers] == [flag] * 4
        assert len(ours.trainable_weights) == len(theirs.trainable_weights)
        expected = theirs.fit(x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0).history
        history = ours.fit(x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0).history
        same_values(history, expected, 1e-9)
        same_weights(ours, theirs, 1e-9)


def test_this_test_can_fail(keras):
    case = Case(compile=adam())
    theirs, ours = case.models(keras)
    ours.layers[0].kernel[0, 0] += 1e-6
    theirs.fit(**case.arguments())
    ours.fit(**case.arguments())
    with pytest.raises(AssertionError):
        same_weights(ours, theirs, 1e-9)
