"""What there is so far: this machine, repeatable weights, and XOR learned by the plain-Python reference."""

import fastnn
from fastnn.reference.network import Dense, Network
from fastnn.reference.optimizers import SGD


def main() -> None:
    info = fastnn.cpu_info()
    print(f"fastnn {fastnn.__version__}: {info['isa']} of {', '.join(info['available'])}, {info['threads']} thread(s)")

    weights = fastnn.initializers.HeNormal(seed=1)((784, 128))
    print(f"\nHe normal weights for 784 inputs: standard deviation {weights.std():.5f}, expected {(2 / 784) ** 0.5:.5f}")

    x, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [[0.0], [1.0], [1.0], [0.0]]
    network = Network(2, [Dense(4, "tanh"), Dense(1, "sigmoid")], "binary_crossentropy", SGD(learning_rate=0.5))
    network.fit(x, y, epochs=1000)
    print("\nXOR, learned by the plain-Python reference:")
    for row, (p,) in zip(x, network.forward(x), strict=True):
        print(f"  {row[0]:.0f} xor {row[1]:.0f} = {p:.3f}")


if __name__ == "__main__":
    main()
