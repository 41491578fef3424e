"""Callbacks: Keras's own, and those that users write."""

import csv
import pathlib
import tempfile

from snippets.recording import Numbers, recorder, table


def small(keras, rate=0.01, **options):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(rate), loss="mse", **options)
    return model


def early_stopping(keras):
    x, y = table()
    model = small(keras, rate=0.0)
    stopping = keras.callbacks.EarlyStopping(monitor="loss", patience=2, min_delta=1e-4, restore_best_weights=True)
    record = recorder(keras)
    history = model.fit(x, y, epochs=10, callbacks=[stopping, record], verbose=0)
    return history, stopping.stopped_epoch, stopping.best_epoch, record.calls


def reduced_on_plateau(keras):
    x, y = table()
    model = small(keras, rate=1e-8)
    reducing = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_delta=1.0)
    history = model.fit(x, y, epochs=4, validation_split=0.25, callbacks=[reducing], verbose=0)
    return history, bool(float(model.optimizer.learning_rate) < 1e-8)


def scheduled_by_epoch(keras):
    x, y = table()
    model = small(keras)
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    history = model.fit(x, y, epochs=3, callbacks=[scheduler], verbose=0)
    return history, Numbers(history.history["learning_rate"])


def logged_to_csv(keras):
    x, y = table()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "log.csv"
        model = small(keras, metrics=["mae"])
        model.fit(x, y, epochs=2, validation_split=0.2, callbacks=[keras.callbacks.CSVLogger(str(path))], verbose=0)
        rows = list(csv.reader(path.open()))
    return rows[0], [len(row) for row in rows], [row[0] for row in rows[1:]]


def functions(keras):
    x, y = table()
    model = small(keras)
    seen = []
    printer = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append(("epoch", epoch)),
        on_epoch_end=lambda epoch, logs: seen.append(("end", epoch, sorted(logs))),
        on_train_end=lambda logs: seen.append(("over", sorted(logs))),
    )
    model.fit(x, y, epochs=2, callbacks=[printer], verbose=0)
    return seen


def not_a_number(keras):
    x, y = table()
    model = small(keras, rate=1e30)
    record = recorder(keras)
    history = model.fit(x, y, batch_size=8, epochs=4, callbacks=[keras.callbacks.TerminateOnNaN(), record], verbose=0)
    ends = [call for call in record.calls if call[0] in ("on_epoch_end", "on_train_end")]
    return len(history.epoch), list(history.history), ends


def own_callback(keras):
    class Slopes(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.losses, self.given = [], dict(self.params)

        def on_train_batch_end(self, batch, logs=None):
            self.losses.append(logs["loss"])

        def on_epoch_end(self, epoch, logs=None):
            logs["batches"] = float(len(self.losses))

    x, y = table()
    model = small(keras)
    slopes = Slopes()
    history = model.fit(x, y, epochs=2, batch_size=16, callbacks=[slopes], verbose=0)
    return history, len(slopes.losses), slopes.model is model, slopes.given


def stopped_by_hand(keras):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                self.model.stop_training = True

    x, y = table()
    model = small(keras)
    record = recorder(keras)
    history = model.fit(x, y, batch_size=8, epochs=5, callbacks=[Stop(), record], verbose=0)
    return history, record.calls, int(model.optimizer.iterations)


def heard_in_every_phase(keras):
    x, y = table(20)
    model = small(keras, metrics=["mae"])
    record = recorder(keras)
    model.fit(x, y, batch_size=10, epochs=1, validation_data=(x, y), callbacks=[record], verbose=0)
    model.evaluate(x, y, batch_size=10, callbacks=[record], verbose=0)
    model.predict(x, batch_size=10, callbacks=[record], verbose=0)
    return record.calls


def averages_swapped_in(keras):
    x, y = table()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01, use_ema=True), "mse")
    return model.fit(
        x, y, epochs=2, validation_split=0.2, callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True)], verbose=0
    )


def list_of_callbacks(keras):
    record = recorder(keras)
    called = keras.callbacks.CallbackList([record], add_history=True, model=small(keras), epochs=2, verbose=0, steps=1)
    called.on_train_begin()
    for epoch in range(2):
        called.on_epoch_begin(epoch)
        called.on_train_batch_begin(0)
        called.on_train_batch_end(0, {"loss": 1.0})
        called.on_epoch_end(epoch, {"loss": 1.0})
    called.on_train_end({"loss": 1.0})
    return record.calls, record.params
