"""A small network on three spirals: built, trained with progress, measured and saved, in seconds."""

import tempfile
import time
from pathlib import Path

import numpy as np

import fastnn
from fastnn import callbacks, datasets, layers, optimizers


def main() -> None:
    info = fastnn.cpu_info()
    print(f"fastnn {fastnn.__version__} on {info['isa']} with {info['threads']} thread(s)\n")
    x, y = datasets.spirals(3000, seed=1)
    held = datasets.spirals(900, seed=2)

    model = fastnn.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ],
        seed=3,
    )
    model.summary()
    print()
    model.compile(
        optimizer=optimizers.Adam(learning_rate=0.003),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    stopping = callbacks.EarlyStopping(patience=10, restore_best_weights=True)

    begin = time.perf_counter()
    history = model.fit(x, y, batch_size=32, epochs=30, validation_data=held, callbacks=[stopping])
    seconds = time.perf_counter() - begin

    steps = len(history.epoch) * len(range(0, len(x), 32))
    loss, accuracy = model.evaluate(*held, verbose=0)
    print(f"\n{steps} steps in {seconds:.2f} seconds: loss {loss:.4f}, accuracy {accuracy:.1%} on points held out")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spirals.fastnn"
        model.save(path)
        again = fastnn.load(path).predict(held[0], verbose=0)
        print(f"saved in {path.stat().st_size} bytes, and loaded with the same output: ", end="")
        print(np.array_equal(again, model.predict(held[0], verbose=0)))


if __name__ == "__main__":
    main()
