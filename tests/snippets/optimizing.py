"""Optimizers and their options, schedules, penalties, constraints and first values."""

import numpy as np
from snippets.recording import Numbers, table


def trained(keras, optimizer, layer=None, epochs=2):
    x, y = table()
    model = keras.Sequential([keras.Input((4,)), layer or keras.layers.Dense(3, "relu"), keras.layers.Dense(1)])
    model.compile(optimizer=optimizer, loss="mse")
    history = model.fit(x, y, batch_size=12, epochs=epochs, verbose=0)
    return model, history


def every_optimizer(keras):
    found = []
    for name in ("SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam", "Lion"):
        model, history = trained(keras, getattr(keras.optimizers, name)(learning_rate=0.01), epochs=1)
        found.append((name, history, int(model.optimizer.iterations)))
    return found


def schedules(keras):
    decays = keras.optimizers.schedules
    found = []
    for schedule in (
        decays.ExponentialDecay(0.1, decay_steps=4, decay_rate=0.5),
        decays.PiecewiseConstantDecay([2, 4], [0.1, 0.01, 0.001]),
        decays.PolynomialDecay(0.1, 6),
        decays.InverseTimeDecay(0.1, 2, 0.5),
        decays.CosineDecay(0.0, 6, warmup_target=0.1, warmup_steps=2),
        decays.CosineDecayRestarts(0.1, 3),
    ):
        model, history = trained(keras, keras.optimizers.SGD(schedule))
        found.append((history, Numbers(float(schedule(5))), Numbers(float(model.optimizer.learning_rate))))
    return found


def own_schedule(keras):
    class Halving(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1 / (1.0 + step)

        def get_config(self):
            return {}

    model, history = trained(keras, keras.optimizers.SGD(Halving()))
    return history, Numbers(float(model.optimizer.learning_rate))


def rate_set_by_hand(keras):
    model, _ = trained(keras, keras.optimizers.Adam(0.01))
    model.optimizer.learning_rate = 0.005
    x, y = table()
    history = model.fit(x, y, verbose=0)
    return history, Numbers(float(model.optimizer.learning_rate)), int(model.optimizer.iterations)


def clipping(keras):
    by_norm = trained(keras, keras.optimizers.SGD(0.1, clipnorm=0.5))[1]
    by_value = trained(keras, keras.optimizers.Adam(0.1, clipvalue=0.5))[1]
    return by_norm, by_value, trained(keras, keras.optimizers.RMSprop(0.01, global_clipnorm=1.0))[1]


def averages_of_weights(keras):
    optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
    model, history = trained(keras, optimizer)
    return history, list(model.get_weights())


def accumulated_gradients(keras):
    model, history = trained(keras, keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
    return history, int(model.optimizer.iterations)


def decayed_weights(keras):
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return trained(keras, optimizer)[1]


def optimizer_configuration(keras):
    optimizer = keras.optimizers.Adam(0.02, beta_1=0.8, clipnorm=1.0, name="mine")
    copy = keras.optimizers.Adam.from_config(optimizer.get_config())
    kept = {key: copy.get_config()[key] for key in ("name", "beta_1", "beta_2", "clipnorm", "amsgrad")}
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    return kept, Numbers(float(copy.learning_rate)), type(again).__name__, again.name


def regularizers(keras):
    layer = keras.layers.Dense(
        3,
        kernel_regularizer=keras.regularizers.L2(0.1),
        bias_regularizer=keras.regularizers.l1(0.1),
        kernel_initializer="ones",
        bias_initializer="ones",
    )
    x, y = table()
    model = keras.Sequential(
        [keras.Input((4,)), layer, keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L1L2(0.01, 0.01))]
    )
    model.compile("sgd", "mse", metrics=["mse"])
    loss, mse = model.evaluate(x, y, verbose=0)
    penalty = 0.1 * 12 + 0.1 * 3
    return model.fit(x, y, epochs=2, verbose=0), bool(loss - mse > penalty)


def constraints(keras):
    found = []
    for constraint in (
        keras.constraints.MaxNorm(0.5),
        keras.constraints.NonNeg(),
        keras.constraints.UnitNorm(axis=0),
        keras.constraints.MinMaxNorm(0.1, 0.2),
        "non_neg",
    ):
        layer = keras.layers.Dense(3, kernel_constraint=constraint)
        model, history = trained(keras, keras.optimizers.SGD(0.1), layer)
        kernel = model.get_weights()[0]
        norms = np.linalg.norm(kernel, axis=0).round(3)
        name = type(layer.kernel_constraint).__name__
        satisfied = {
            "MaxNorm": norms.max() <= 0.5,
            "NonNeg": kernel.min() >= 0,
            "UnitNorm": norms.min() == norms.max() == 1,
            "MinMaxNorm": norms.min() >= 0.1 and norms.max() <= 0.2,
        }[name]
        found.append((name, history, bool(satisfied)))
    return found


def initializers(keras):
    names = ["zeros", "ones", "random_normal", "random_uniform", "truncated_normal", "variance_scaling"]
    names += ["glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform"]
    names += ["orthogonal", keras.initializers.Constant(0.5), keras.initializers.RandomUniform(-2, 2, seed=1)]
    found = []
    for name in names:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, kernel_initializer=name)])
        found.append((model.get_weights()[0], bool(np.any(model.get_weights()[0])), bool(model.get_weights()[1].any())))
    return found


def own_initializer_and_regularizer(keras):
    class Ramp(keras.initializers.Initializer):
        def __call__(self, shape, dtype=None):
            return np.arange(np.prod(shape), dtype="float32").reshape(shape)

    layer = keras.layers.Dense(3, kernel_initializer=Ramp())
    model = keras.Sequential([keras.Input((4,)), layer])
    return Numbers(model.get_weights()[0])
