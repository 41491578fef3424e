"""One step of backpropagation with its working, and the marking of figures that were worked out by hand."""

import fastnn
from fastnn import layers, optimizers

# What a student got for the network below. Two of these are wrong.
FIGURES = {
    "z1": "1.2",
    "a1": "0.7685",
    "z2": "0.2148",
    "a2": "0.5535",
    "loss": "0.1994",
    "delta2": "-0.2207",
    "dw2": "-0.1696",
    "dw1": "-0.0314",  # forgot the input, x = 2
    "db1": "-0.0314",
    "w2_new": "0.7830",  # added the gradient
    "b2_new": "-0.3779",
}


def main() -> None:
    model = fastnn.Sequential(
        [layers.Input((1,)), layers.Dense(1, activation="sigmoid"), layers.Dense(1, activation="sigmoid")],
        dtype="float64",
    )
    model.set_weights([[[0.5]], [0.2], [[0.8]], [-0.4]])
    model.compile(optimizers.SGD(0.1), loss="mse")

    working = fastnn.explain(model, [[2.0]], [[1.0]])
    print(working)

    print("\nMarks\n-----")
    print(working.check(FIGURES))


if __name__ == "__main__":
    main()
