"""Loops of one's own, and losses and metrics of one's own."""

import numpy as np
from snippets.recording import Numbers, table


def small(keras, **options):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", **options)
    return model


def train_on_batches(keras):
    x, y = table()
    model = small(keras, metrics=["mae"])
    found = []
    for begin in range(0, 48, 16):
        rows = slice(begin, begin + 16)
        found.append(model.train_on_batch(x[rows], y[rows]))
    found.append(model.train_on_batch(x, y, sample_weight=np.ones(48), return_dict=True))
    return found, int(model.optimizer.iterations)


def train_on_batches_without_metrics(keras):
    x, y = table()
    model = small(keras)
    return model.train_on_batch(x, y), model.test_on_batch(x, y), model.test_on_batch(x, y, return_dict=True)


def test_on_batches(keras):
    x, y = table()
    model = small(keras, metrics=["mae"])
    return model.test_on_batch(x, y), model.test_on_batch(x, y, return_dict=True), model.predict_on_batch(x)


def weights_of_classes_on_batches(keras):
    x, y = table(classes=2)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model.train_on_batch(x, y, class_weight={0: 1.0, 1: 3.0}), model.train_on_batch(x, y, return_dict=True)


def means_of_batches(keras):
    """What each call counts: the batch at hand, or those before it too."""
    x, y = np.ones((8, 2), dtype="float32"), np.zeros((8, 1))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    found = [model.train_on_batch(x, y), model.train_on_batch(2 * x, y), model.train_on_batch(3 * x, y)]
    found += [model.test_on_batch(x, y), model.test_on_batch(2 * x, y), model.evaluate(3 * x, y, verbose=0)]
    model.reset_metrics()
    return [Numbers(one) for one in [*found, model.train_on_batch(x, y), model.test_on_batch(2 * x, y)]]


def means_of_epochs(keras):
    x, y = np.ones((8, 2), dtype="float32"), np.zeros((8, 1))
    x[:3] = 2
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"], weighted_metrics=["mse"])
    weights = np.linspace(0, 2, 8)
    options = {"batch_size": 5, "sample_weight": weights, "verbose": 0}
    history = model.fit(x, y, epochs=2, validation_data=(3 * x, y), shuffle=False, **options)
    values = [Numbers(values) for values in history.history.values()]
    return values, Numbers(model.evaluate(x, y, **options)), Numbers(model.evaluate(x, y, batch_size=3, verbose=0))


def steps_are_remembered(keras):
    x, y = table()
    model = small(keras)
    model.fit(x, y, batch_size=16, verbose=0)
    model.train_on_batch(x[:16], y[:16])
    return int(model.optimizer.iterations)


def metric_by_function(keras):
    def largest(y_true, y_pred):
        return abs(y_true - y_pred).max(axis=-1)

    x, y = table()
    model = small(keras, metrics=[largest, keras.metrics.MeanMetricWrapper(largest, name="wrapped")])
    return model.fit(x, y, validation_split=0.25, verbose=0), model.evaluate(x, y, verbose=0)


def metric_by_class(keras):
    class Bias(keras.metrics.Metric):
        def __init__(self, name="bias", **options):
            super().__init__(name=name, **options)
            self.total = self.add_weight(name="total", initializer="zeros")
            self.count = self.add_weight(name="count", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.total.assign_add((y_pred - y_true).sum())
            self.count.assign_add(float(y_true.shape[0]))

        def result(self):
            return self.total / self.count

    x, y = table()
    model = small(keras, metrics=[Bias(), Bias(name="again")])
    return model.fit(x, y, epochs=2, verbose=0), model.evaluate(x, y, verbose=0, return_dict=True)


def metric_of_means(keras):
    class Spread(keras.metrics.Mean):
        def update_state(self, y_true, y_pred, sample_weight=None):
            return super().update_state((y_pred - y_true) ** 2, sample_weight)

    x, y = table()
    model = small(keras, metrics=[Spread(name="spread")])
    return model.fit(x, y, verbose=0), model.evaluate(x, y, verbose=0)


def metrics_by_hand(keras):
    metric = keras.metrics.MeanSquaredError()
    metric.update_state([[0.0], [1.0]], [[1.0], [1.0]])
    first = float(metric.result())
    metric.reset_state()
    metric.update_state([[0.0]], [[2.0]], sample_weight=[0.5])
    return Numbers(first), Numbers(float(metric.result())), metric.name, type(metric.get_config()).__name__


def losses_by_hand(keras):
    y, p = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.2, 0.8], [0.6, 0.4]])
    found = []
    for name in (
        "MeanSquaredError",
        "Huber",
        "LogCosh",
        "BinaryCrossentropy",
        "CategoricalCrossentropy",
        "KLDivergence",
    ):
        loss = getattr(keras.losses, name)(reduction="sum")
        found.append((name, Numbers(float(loss(y, p))), loss.name))
    return found, Numbers(keras.losses.mean_squared_error(y, p))
