"""Every loss with its options and data that suit it, for the tests of losses: parametrise over CASES."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn import losses

Data = Callable[[np.random.Generator, int, int], tuple[Any, np.ndarray]]


def numbers(r, n, d):
    return r.normal(size=(n, d)), 2 * r.normal(size=(n, d))


def away_from_zero(r, n, d):
    return r.choice([-1.0, 1.0], (n, d)) * r.uniform(0.3, 3, (n, d)), 2 * r.normal(size=(n, d))


def positive(r, n, d):
    return r.uniform(0.1, 4, (n, d)), r.uniform(0.1, 4, (n, d))


def probabilities(r, n, d):
    return r.integers(0, 2, (n, d)).astype(float), r.uniform(0.02, 0.98, (n, d))


def soft_probabilities(r, n, d):
    return r.uniform(0, 1, (n, d)), r.uniform(0.02, 0.98, (n, d))


def logits(r, n, d):
    return r.integers(0, 2, (n, d)).astype(float), 4 * r.normal(size=(n, d))


def mild_logits(r, n, d):
    """No probability so near to 1 that a reference which computes 1 - p loses digits."""
    return r.integers(0, 2, (n, d)).astype(float), r.uniform(-4, 4, (n, d))


def signs(r, n, d):
    return r.choice([-1.0, 1.0], (n, d)), 2 * r.normal(size=(n, d))


def distributions(r, n, d):
    y, p = r.uniform(0.1, 1, (n, d)), r.uniform(0.1, 1, (n, d))
    return y / y.sum(-1, keepdims=True), p / p.sum(-1, keepdims=True) * 0.9999


def one_hot(r, n, d):
    return np.eye(d)[r.integers(0, d, n)], r.uniform(0.05, 1, (n, d))


def one_hot_logits(r, n, d):
    return np.eye(d)[r.integers(0, d, n)], 4 * r.normal(size=(n, d))


def soft_logits(r, n, d):
    y = r.uniform(0, 1, (n, d))
    return y / y.sum(-1, keepdims=True), 4 * r.normal(size=(n, d))


def labels(r, n, d):
    return r.integers(0, d, n), r.uniform(0.05, 1, (n, d))


def labels_logits(r, n, d):
    return r.integers(0, d, n), 4 * r.normal(size=(n, d))


def pairs(r, n, d):
    return r.integers(0, 2, n).astype(float), r.normal(size=(n, 2, d)) / np.sqrt(d)


def distances(r, n, d):
    return r.integers(0, 2, n).astype(float), r.uniform(0.1, 3, n)


def triplets(r, n, d):
    return None, r.normal(size=(n, 3, d)) / np.sqrt(d)


def scores(r, n, d):
    return r.choice([-1.0, 1.0], n), r.normal(size=(n, 2))


@dataclass(frozen=True)
class Case:
    cls: type[losses.Loss]
    data: Data
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The loss's function, which is its name in the reference too."""
        return self.cls._row_name

    @property
    def needs_two_classes(self) -> bool:
        return self.name in ("categorical_crossentropy", "categorical_focal_crossentropy")

    def __str__(self) -> str:
        return "-".join([self.cls.__name__, self.data.__name__, *(f"{k}={v}" for k, v in self.options.items())])

    def make(self, **more: Any) -> losses.Loss:
        return self.cls(**self.options, **more)

    def arrays(self, n: int, d: int, dtype: str = "float64", seed: int = 0) -> tuple[Any, np.ndarray]:
        y, p = self.data(np.random.default_rng([seed, n, d]), n, d)
        p = p.astype(dtype)
        return (y.astype(dtype) if y is not None and y.dtype.kind == "f" else y), p


LOGITS: dict[str, Any] = {"from_logits": True}
# fmt: off
CASES = [
    Case(losses.MeanSquaredError, numbers),
    Case(losses.HalfMeanSquaredError, numbers),
    Case(losses.MeanAbsoluteError, numbers),
    Case(losses.Huber, numbers),
    Case(losses.Huber, numbers, {"delta": 0.3}),
    Case(losses.SmoothL1, numbers),
    Case(losses.SmoothL1, numbers, {"beta": 0.4}),
    Case(losses.LogCosh, numbers),
    Case(losses.MeanAbsolutePercentageError, away_from_zero),
    Case(losses.MeanSquaredLogarithmicError, positive),
    Case(losses.Poisson, positive),
    Case(losses.BinaryCrossentropy, probabilities),
    Case(losses.BinaryCrossentropy, soft_probabilities, {"label_smoothing": 0.2}),
    Case(losses.BinaryCrossentropy, logits, LOGITS),
    Case(losses.BinaryCrossentropy, logits, {**LOGITS, "label_smoothing": 0.1}),
    Case(losses.BinaryFocalCrossentropy, probabilities),
    Case(losses.BinaryFocalCrossentropy, soft_probabilities,
         {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5, "label_smoothing": 0.1}),
    Case(losses.BinaryFocalCrossentropy, mild_logits, LOGITS),
    Case(losses.BinaryFocalCrossentropy, mild_logits, {**LOGITS, "gamma": 0.0}),
    Case(losses.BinaryFocalCrossentropy, mild_logits, {**LOGITS, "gamma": 0.7, "apply_class_balancing": True}),
    Case(losses.CategoricalCrossentropy, one_hot),
    Case(losses.CategoricalCrossentropy, distributions, {"label_smoothing": 0.2}),
    Case(losses.CategoricalCrossentropy, one_hot_logits, LOGITS),
    Case(losses.CategoricalCrossentropy, soft_logits, {**LOGITS, "label_smoothing": 0.1}),
    Case(losses.SparseCategoricalCrossentropy, labels),
    Case(losses.SparseCategoricalCrossentropy, labels, {"ignore_class": 0}),
    Case(losses.SparseCategoricalCrossentropy, labels_logits, LOGITS),
    Case(losses.SparseCategoricalCrossentropy, labels_logits, {**LOGITS, "ignore_class": 1}),
    Case(losses.CategoricalFocalCrossentropy, one_hot),
    Case(losses.CategoricalFocalCrossentropy, distributions, {"gamma": 1.3, "alpha": 0.6, "label_smoothing": 0.1}),
    Case(losses.CategoricalFocalCrossentropy, one_hot_logits, LOGITS),
    Case(losses.CategoricalFocalCrossentropy, soft_logits, {**LOGITS, "gamma": 3.0, "label_smoothing": 0.2}),
    Case(losses.KLDivergence, distributions),
    Case(losses.Hinge, signs),
    Case(losses.Hinge, probabilities),
    Case(losses.SquaredHinge, signs),
    Case(losses.SquaredHinge, probabilities),
    Case(losses.CategoricalHinge, one_hot_logits),
    Case(losses.CosineSimilarity, numbers),
    Case(losses.Contrastive, pairs),
    Case(losses.Contrastive, distances, {"margin": 1.7}),
    Case(losses.Triplet, triplets),
    Case(losses.Triplet, triplets, {"squared": False, "margin": 0.3}),
    Case(losses.MarginRanking, scores),
    Case(losses.MarginRanking, scores, {"margin": 0.5}),
]
# fmt: on
