"""The arguments of compile, fit, evaluate and predict."""

import numpy as np
from snippets.recording import Numbers, recorder, table


def small(keras, loss="mse", **options):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss=loss, **options)
    return model


def compiled_by_names(keras):
    x, y = table(classes=2)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer="adagrad", loss="binary_crossentropy", metrics=["accuracy", "mse", "cosine_similarity"])
    history = model.fit(x, y, verbose=0)
    return history, type(model.optimizer).__name__, model.loss


def compiled_by_objects(keras):
    x, y = table()
    model = small(
        keras,
        loss=keras.losses.Huber(delta=0.5),
        metrics=[keras.metrics.MeanAbsoluteError(), keras.metrics.R2Score(), keras.metrics.LogCoshError(name="cosh")],
    )
    return model.fit(x, y, verbose=0), model.evaluate(x, y, verbose=0, return_dict=True)


def compiled_by_functions(keras):
    x, y = table()
    model = small(keras, loss=keras.losses.mean_squared_error, metrics=[keras.metrics.mean_absolute_error])
    return model.fit(x, y, verbose=0), model.evaluate(x, y, verbose=0)


def compiled_again(keras):
    x, y = table()
    model = small(keras)
    first = model.fit(x, y, verbose=0)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mae", metrics=["mse"])
    return first, model.fit(x, y, epochs=2, verbose=0), int(model.optimizer.iterations)


def the_same_metric_twice(keras):
    x, y = table()
    model = small(keras, metrics=["mae", keras.metrics.MeanAbsoluteError(name="mae")], weighted_metrics=["mae", "mse"])
    return model.fit(x, y, sample_weight=np.ones(48), verbose=0)


def weighted_metrics(keras):
    x, y = table(classes=2)
    model = small(keras, "hinge", metrics=["accuracy"], weighted_metrics=["accuracy", "mse"])
    weights = np.linspace(0.5, 1.5, 48)
    record = recorder(keras)
    history = model.fit(x, y, sample_weight=weights, epochs=2, verbose=0, callbacks=[record])
    return history, record.calls, model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)


def validation_data(keras):
    x, y = table()
    vx, vy = table(20, seed=1)
    model = small(keras, metrics=["mae"])
    record = recorder(keras)
    history = model.fit(
        x, y, batch_size=20, epochs=2, validation_data=(vx, vy), validation_batch_size=8, callbacks=[record], verbose=0
    )
    weighted = model.fit(x, y, validation_data=(vx, vy, np.ones(20)), validation_steps=1, verbose=0)
    return history, record.calls, weighted


def validated_metrics(keras):
    x, y = table(classes=2)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=["mse", "accuracy"], weighted_metrics=["auc"])
    record = recorder(keras)
    history = model.fit(x, y, epochs=2, validation_data=(x, y), callbacks=[record], verbose=0)
    return history, record.calls, model.test_on_batch(x, y, return_dict=True)


def validation_split(keras):
    x, y = table(50)
    model = small(keras)
    record = recorder(keras)
    return model.fit(x, y, batch_size=8, validation_split=0.33, callbacks=[record], verbose=0), record.calls


def validation_frequency(keras):
    x, y = table()
    model = small(keras)
    record = recorder(keras)
    every = model.fit(x, y, epochs=5, validation_split=0.2, validation_freq=2, callbacks=[record], verbose=0)
    some = model.fit(x, y, epochs=4, validation_split=0.2, validation_freq=[1, 4], callbacks=[record], verbose=0)
    return every, some, record.calls


def sample_weights(keras):
    x, y = table()
    model = small(keras, metrics=["mae"])
    history = model.fit(x, y, sample_weight=np.linspace(0, 2, 48), epochs=2, verbose=0)
    return history, model.evaluate(x, y, sample_weight=np.ones(48), verbose=0)


def class_weights(keras):
    x, y = table(classes=3)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    weighted = model.fit(x, y, class_weight={0: 1.0, 1: 2.0, 2: 0.5}, epochs=2, verbose=0)
    return weighted, model.fit(x, y, class_weight={0: 3.0}, verbose=0)


def later_epochs(keras):
    x, y = table()
    model = small(keras)
    record = recorder(keras)
    history = model.fit(x, y, epochs=5, initial_epoch=3, callbacks=[record], verbose=0)
    none = model.fit(x, y, epochs=2, initial_epoch=2, callbacks=[record], verbose=0)
    return history, history.epoch, none, record.calls


def steps_of_an_epoch(keras):
    x, y = table()
    model = small(keras)
    record = recorder(keras)
    history = model.fit(x, y, batch_size=8, steps_per_epoch=3, epochs=4, callbacks=[record], verbose=0)
    return history, record.calls, record.params["steps"], int(model.optimizer.iterations)


def uneven_batches(keras):
    x, y = table(45)
    model = small(keras)
    record = recorder(keras)
    model.fit(x, y, batch_size=20, shuffle=False, callbacks=[record], verbose=0)
    model.evaluate(x, y, batch_size=20, callbacks=[record], verbose=0)
    y = model.predict(x, batch_size=20, callbacks=[record], verbose=0)
    return record.calls, y


def fitted_twice(keras):
    x, y = table()
    model = small(keras)
    model.fit(x, y, epochs=2, verbose=0)
    history = model.fit(x, y, epochs=1, verbose=0)
    return history, model.history is history, int(model.optimizer.iterations)


def evaluations(keras):
    x, y = table()
    plain, measured = small(keras), small(keras, metrics=["mae", "mse"])
    return (
        plain.evaluate(x, y, verbose=0),
        plain.evaluate(x, y, verbose=0, return_dict=True),
        measured.evaluate(x, y, verbose=0),
        measured.evaluate(x, y, verbose=0, return_dict=True),
        measured.evaluate(x, y, batch_size=10, steps=2, verbose=0),
    )


def predictions(keras):
    x, _ = table()
    model = small(keras)
    return (
        model.predict(x, verbose=0),
        model.predict(x, batch_size=7, steps=2, verbose=0),
        model.predict_on_batch(x[:3]),
        np.asarray(model(x[:3])),
        np.asarray(model(x[:3], training=True)),
        model.predict((part for part in [(x[:5],), (x[5:9],)]), verbose=0),
    )


def targets_of_any_shape(keras):
    x, y = table(classes=2)
    model = small(keras, "binary_crossentropy", metrics=["accuracy"])
    flat = model.fit(x, y, verbose=0)
    column = model.fit(x.tolist() and x, y[:, None].astype(bool), verbose=0)
    return flat, column, model.evaluate(x.astype("float64"), y.astype("int64"), verbose=0)


def generator(keras):
    x, y = table()

    def batches():
        while True:
            for begin in range(0, 48, 16):
                yield x[begin : begin + 16], y[begin : begin + 16]

    model = small(keras, metrics=["mae"])
    record = recorder(keras)
    history = model.fit(batches(), steps_per_epoch=3, epochs=2, callbacks=[record], verbose=0)
    return history, record.calls, model.evaluate(batches(), steps=2, verbose=0)


def generator_with_weights(keras):
    x, y = table()

    def batches(count):
        for _ in range(count):
            yield x[:12], y[:12], np.ones(12)

    model = small(keras)
    return model.fit(batches(4), validation_data=batches(2), validation_steps=2, verbose=0)


def numbered_batches(keras):
    x, y = table()

    class Dataset(keras.utils.PyDataset):
        epochs = 0

        def __len__(self):
            return 3

        def __getitem__(self, index):
            rows = slice(16 * index, 16 * index + 16)
            return x[rows], y[rows]

        def on_epoch_end(self):
            self.epochs += 1

    dataset = Dataset()
    model = small(keras)
    record = recorder(keras)
    history = model.fit(dataset, epochs=2, validation_data=Dataset(), callbacks=[record], verbose=0)
    values = model.evaluate(dataset, verbose=0), model.predict(dataset, verbose=0)
    return history, record.calls, record.params["steps"], values


def split_with_weights(keras):
    x, y = table()
    model = small(keras, metrics=["mae"], weighted_metrics=["mse"])
    history = model.fit(x, y, sample_weight=np.linspace(1, 2, 48), validation_split=0.25, verbose=0)
    return history, history.params, history.model is model


def streams_in_all_calls(keras):
    x, y = table()

    class Dataset(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            rows = slice(12 * index, 12 * index + 12)
            return x[rows], y[rows], np.ones(len(x[rows]))

    model = small(keras, metrics=["mae"])
    record = recorder(keras)
    found = [
        model.fit(Dataset(), steps_per_epoch=2, epochs=3, callbacks=[record], verbose=0),
        model.evaluate(Dataset(), return_dict=True, callbacks=[record], verbose=0),
        model.predict(Dataset(), steps=2, callbacks=[record], verbose=0),
    ]
    return found, record.calls


def changed_between_fits(keras):
    x, y = table()
    model = small(keras)
    model.fit(x, y, verbose=0)
    before = model.get_weights()
    model.set_weights([np.zeros_like(w) for w in before])
    zeros = model.predict(x, verbose=0)
    model.set_weights(before)
    model.optimizer.learning_rate = 0.5
    model.fit(x, y, batch_size=7, verbose=0)
    return Numbers(np.abs(zeros).max()), Numbers(float(model.optimizer.learning_rate)), int(model.optimizer.iterations)


def losses_in_numbers(keras):
    """Losses and metrics of a fixed model: the same numbers in both."""
    x, y = table()
    classes = table(classes=3)[1]
    fixed = {"kernel_initializer": keras.initializers.Constant(0.1), "bias_initializer": "ones"}
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="tanh", **fixed)])
    model.add(keras.layers.Dense(1, **fixed))
    found = []
    for loss in ("mse", "mae", "mape", "msle", "huber", "log_cosh", keras.losses.Huber(0.2), "poisson"):
        model.compile(
            "sgd", loss, metrics=["mae", "mse", keras.metrics.RootMeanSquaredError(), keras.metrics.R2Score()]
        )
        found.append(Numbers(model.evaluate(x, np.abs(y), batch_size=20, verbose=0)))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "tanh", **fixed)])
    model.add(keras.layers.Dense(3, activation="softmax", kernel_initializer=keras.initializers.Identity()))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", "sparse_categorical_crossentropy"])
    found.append(Numbers(model.evaluate(x, classes, sample_weight=np.linspace(0, 1, 48), verbose=0)))
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["categorical_accuracy"])
    one_hot = keras.utils.to_categorical(classes, 3)
    found.append(Numbers(model.evaluate(x, one_hot, sample_weight=np.linspace(0, 1, 48), verbose=0)))
    return found


def training_in_numbers(keras):
    """A fixed model trained in order: the same numbers in both, by several optimizers."""
    x, y = table()
    found = []
    for name in ("SGD", "Adam", "RMSprop", "Adagrad", "Nadam", "AdamW", "Lion"):
        tenth = {"kernel_initializer": keras.initializers.Constant(0.1), "kernel_regularizer": "l2"}
        layers = [keras.Input((4,)), keras.layers.Dense(3, "tanh", **tenth), keras.layers.Dense(1, **tenth)]
        model = keras.Sequential(layers)
        model.compile(getattr(keras.optimizers, name)(0.01, clipnorm=1.0), "mse", metrics=["mae"])
        history = model.fit(x, y, batch_size=20, epochs=3, shuffle=False, validation_data=(x, y), verbose=0)
        found.append([Numbers(values) for values in history.history.values()])
        found.append([Numbers(w) for w in model.get_weights()])
    return found
