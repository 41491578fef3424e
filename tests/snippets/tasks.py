"""One whole problem of each kind: model, compile, fit, evaluate, predict."""

import numpy as np
from snippets.recording import recorder, table


def regression(keras):
    x, y = table()
    model = keras.Sequential(
        [
            keras.Input(shape=(4,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    record = recorder(keras)
    history = model.fit(x, y, batch_size=16, epochs=3, validation_split=0.25, callbacks=[record], verbose=0)
    return history, record.calls, model.evaluate(x, y, verbose=0), model.predict(x, verbose=0)


def binary_classification(keras):
    x, y = table(classes=2)
    model = keras.Sequential(
        [
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.01),
        loss=keras.losses.BinaryCrossentropy(),
        metrics=["accuracy", keras.metrics.AUC(), keras.metrics.Precision(), keras.metrics.Recall(name="found")],
    )
    history = model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    return history, model.evaluate(x, y, verbose=0, return_dict=True), model.predict(x[:5], verbose=0)


def sparse_classes(keras):
    x, y = table(classes=3)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(16, activation="gelu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", "sparse_top_k_categorical_accuracy"])
    history = model.fit(x, y, epochs=2, verbose=0)
    classes = np.argmax(model.predict(x, verbose=0), axis=-1)
    return history, model.evaluate(x, y, verbose=0), classes.shape


def one_hot_classes(keras):
    x, y = table(classes=3)
    y = keras.utils.to_categorical(y, num_classes=3)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(
        optimizer="rmsprop",
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["acc", keras.metrics.TopKCategoricalAccuracy(k=2, name="top2")],
    )
    return y, model.fit(x, y, epochs=2, verbose=0), model.evaluate(x, y, verbose=0, return_dict=True)


def multi_label(keras):
    x, y = table(classes=2)
    labels = np.stack([y, 1 - y, x[:, 0] > 0], axis=1).astype("float32")
    model = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "sigmoid")])
    model.compile("nadam", "binary_crossentropy", metrics=["binary_accuracy", keras.metrics.F1Score(average="macro")])
    return model.fit(x, labels, epochs=2, verbose=0), model.evaluate(x, labels, verbose=0)


def logits(keras):
    x, y = table(classes=3)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(
        optimizer=keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    return model.fit(x, y, epochs=2, verbose=0), model.evaluate(x, y, verbose=0)


def counts(keras):
    x, y = table()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="softplus")])
    model.compile("adamw", keras.losses.Poisson(), metrics=["mape", keras.metrics.RootMeanSquaredError()])
    return model.fit(x, np.floor(np.exp(y)), epochs=2, verbose=0), model.predict(x, batch_size=10, verbose=0)
