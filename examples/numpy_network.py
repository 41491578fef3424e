"""The network of examples/race.py in plain NumPy: ReLU layers, softmax, cross-entropy, Adam. All of it, in 50 lines."""

import numpy as np


class Network:
    """Dense layers with ReLU between them and softmax at the end, in float32.

    `weights` are what the layers begin with: kernel (inputs, units) and bias of each, in turn.
    """

    def __init__(self, weights, rate=0.001):
        self.weights = [np.array(w, np.float32) for w in weights]
        self.m, self.v = ([np.zeros_like(w) for w in self.weights] for _ in range(2))
        self.rate, self.steps = rate, 0

    def forward(self, x):
        """What each layer puts out, the input first; of the last layer what it sums up."""
        outputs, last = [x], len(self.weights) - 2
        for i in range(0, len(self.weights), 2):
            z = outputs[-1] @ self.weights[i] + self.weights[i + 1]
            outputs.append(z if i == last else np.maximum(z, 0, out=z))
        return outputs

    def step(self, x, y):
        """Forward, backward, and Adam's update of every weight in place."""
        *outputs, delta = self.forward(x)
        delta -= delta.max(axis=1, keepdims=True)
        np.exp(delta, out=delta)
        delta /= delta.sum(axis=1, keepdims=True)  # softmax
        delta[np.arange(len(y)), y] -= 1  # and d cross-entropy / d z
        delta /= len(y)
        gradients = []
        for kernel, a in zip(self.weights[-2::-2], outputs[::-1], strict=True):
            gradients += [delta.sum(axis=0), a.T @ delta]
            if a is not x:
                delta = (delta @ kernel.T) * (a > 0)
        self.steps += 1
        rate = self.rate * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for w, m, v, g in zip(self.weights, self.m, self.v, gradients[::-1], strict=True):
            m += np.float32(0.1) * (g - m)
            v += np.float32(0.001) * (g * g - v)
            w -= np.float32(rate) * m / (np.sqrt(v) + np.float32(1e-7))

    def fit(self, x, y, batch_size, epochs):
        """Every sample once an epoch, in the order in which they come."""
        for _ in range(epochs):
            for begin in range(0, len(x), batch_size):
                self.step(x[begin : begin + batch_size], y[begin : begin + batch_size])
        return self

    def predict(self, x):
        """The class with the largest output."""
        return self.forward(x)[-1].argmax(axis=1)
