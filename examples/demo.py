"""A small network on three spirals, trained with the public pieces: initializers, activations, a loss and an
optimizer."""

import time

import numpy as np

import fastnn
from fastnn import activations, initializers, losses, optimizers


def spirals(points: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Arms of points around the origin, one for each class, a little noisy."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(classes), points)
    radius = np.tile(np.linspace(0.05, 1, points), classes)
    angle = 4 * radius + 2 * np.pi * label / classes + rng.normal(0, 0.12, label.size)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)
    order = rng.permutation(label.size)
    return x[order], label[order]


def forward(x: np.ndarray, weights: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The hidden layer's output and the scores of the classes."""
    hidden = activations.tanh(x @ weights[0] + weights[1])
    return hidden, hidden @ weights[2] + weights[3]


def gradients(x: np.ndarray, y: np.ndarray, weights: list[np.ndarray], loss: losses.Loss) -> list[np.ndarray]:
    """Of the batch's cost, by the chain rule, from the scores back to the first weights."""
    hidden, scores = forward(x, weights)
    d_scores = loss.gradient(y, scores)
    d_hidden = activations.derivative("tanh")(x @ weights[0] + weights[1]) * (d_scores @ weights[2].T)
    return [x.T @ d_hidden, d_hidden.sum(axis=0), hidden.T @ d_scores, d_scores.sum(axis=0)]


def main() -> None:
    info = fastnn.cpu_info()
    print(f"fastnn {fastnn.__version__} on {info['isa']} with {info['threads']} thread(s)\n")
    x, y = spirals(200, 3, seed=1)
    held_x, held_y = spirals(100, 3, seed=2)
    glorot, zeros = initializers.GlorotUniform(seed=3), initializers.Zeros()
    weights = [glorot((2, 64)), zeros((64,)), glorot((64, 3)), zeros((3,))]
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = optimizers.Adam(learning_rate=0.02)

    begin = time.perf_counter()
    for epoch in range(1, 61):
        for start in range(0, len(x), 32):
            batch = slice(start, start + 32)
            optimizer.apply(gradients(x[batch], y[batch], weights, loss), weights)
        if epoch % 10 == 0:
            scores = forward(held_x, weights)[1]
            right = np.mean(scores.argmax(axis=1) == held_y)
            print(f"epoch {epoch:3}   loss {loss(y, forward(x, weights)[1]):.4f}   held-out accuracy {right:.1%}")
    print(f"\n{60 * len(range(0, len(x), 32))} steps in {time.perf_counter() - begin:.2f} seconds")


if __name__ == "__main__":
    main()
