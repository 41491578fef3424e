"""Every metric with its options and data that suit it, for the tests of metrics: parametrise over CASES."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import loss_cases as data
import numpy as np

from fastnn import metrics

Data = Callable[[np.random.Generator, int, int], tuple[Any, np.ndarray]]


def rounded(r, n, d):
    """Targets that many predictions are equal to."""
    return r.integers(0, 3, (n, d)).astype(float), r.integers(0, 3, (n, d)).astype(float)


def two_classes(r, n, d):
    """Yes or no, and scores that tell something of it."""
    y = r.integers(0, 2, (n, d)).astype(float)
    return y, np.clip(r.uniform(0, 1, (n, d)) * 0.7 + 0.3 * y, 0.001, 0.999)


def one_column(r, n, d):
    y, p = two_classes(r, n, 1)
    return y[:, 0], p[:, 0]


def two_classes_logits(r, n, d):
    y = r.integers(0, 2, (n, d)).astype(float)
    return y, 2 * r.normal(size=(n, d)) + y


def sorted_ids(r, n, d):
    return r.integers(0, d, n), np.argsort(r.normal(size=(n, d)), axis=-1).astype(float)


def classes(r, n, d):
    return r.integers(0, 3, n), r.integers(0, 3, n)


def classes_some_ignored(r, n, d):
    return r.integers(-1, 3, n), r.integers(0, 3, n)


def one_hot_of_three(r, n, d):
    return data.one_hot(r, n, 3)


def one_hot_and_numbers(r, n, d):
    return np.eye(3)[r.integers(0, 3, n)], r.integers(0, 3, n)


def relevances(r, n, d):
    return r.integers(0, 4, (n, d)) * r.integers(0, 2, (n, d)).astype(float), r.normal(size=(n, d))


@dataclass
class Case:
    """A metric's class, its options, and a maker of y_true and y_pred of n samples and d columns."""

    cls: type[metrics.Metric]
    data: Data
    options: dict[str, Any] = field(default_factory=dict)
    in_keras: bool = True

    @property
    def native(self) -> bool:
        """Whether the options leave it to the kernels."""
        options = {"from_sorted_ids": False, "ignore_class": None} | self.options
        return (
            isinstance(self.cls(**self.options), metrics._base.RowMetric)
            and not self.cls.__name__.endswith("Correlation")
            and not options["from_sorted_ids"]
            and options["ignore_class"] is None
        )

    def make(self, **more: Any) -> metrics.Metric:
        return self.cls(**self.options, **more)

    def batch(self, n: int = 9, d: int = 5, seed: int = 0, dtype: Any = np.float64) -> tuple[Any, np.ndarray]:
        y, p = self.data(np.random.default_rng(seed), n, d)
        return y, p.astype(dtype) if p.dtype.kind == "f" else p

    def __str__(self) -> str:
        return "-".join([self.cls.__name__, *(f"{k}={v}" for k, v in self.options.items())])


m = metrics
THRESHOLDS = [0.8, 0.25, 0.5]
CASES = [
    Case(m.Accuracy, rounded),
    Case(m.BinaryAccuracy, two_classes),
    Case(m.BinaryAccuracy, one_column),
    Case(m.BinaryAccuracy, two_classes_logits, {"threshold": 0.0}),
    Case(m.CategoricalAccuracy, data.one_hot),
    Case(m.SparseCategoricalAccuracy, data.labels),
    Case(m.TopKCategoricalAccuracy, data.one_hot, {"k": 2}),
    Case(m.TopKCategoricalAccuracy, data.one_hot),
    Case(m.SparseTopKCategoricalAccuracy, data.labels, {"k": 3}),
    Case(m.SparseTopKCategoricalAccuracy, data.labels),
    Case(m.SparseTopKCategoricalAccuracy, sorted_ids, {"k": 2, "from_sorted_ids": True}),
    Case(m.MeanSquaredError, data.numbers),
    Case(m.RootMeanSquaredError, data.numbers),
    Case(m.MeanAbsoluteError, data.numbers),
    Case(m.MeanAbsolutePercentageError, data.away_from_zero),
    Case(m.MeanSquaredLogarithmicError, data.positive),
    Case(m.LogCoshError, data.numbers),
    Case(m.CosineSimilarity, data.numbers),
    Case(m.R2Score, data.numbers),
    Case(m.R2Score, data.numbers, {"class_aggregation": "variance_weighted_average"}),
    Case(m.R2Score, data.numbers, {"class_aggregation": None}),
    Case(m.R2Score, data.numbers, {"num_regressors": 3}),
    Case(m.PearsonCorrelation, data.numbers),
    Case(m.ConcordanceCorrelation, data.numbers),
    Case(m.BinaryCrossentropy, data.probabilities),
    Case(m.BinaryCrossentropy, data.logits, {"from_logits": True, "label_smoothing": 0.1}),
    Case(m.CategoricalCrossentropy, data.one_hot, {"label_smoothing": 0.1}),
    Case(m.CategoricalCrossentropy, data.one_hot_logits, {"from_logits": True}),
    Case(m.SparseCategoricalCrossentropy, data.labels),
    Case(m.SparseCategoricalCrossentropy, data.labels_logits, {"from_logits": True}),
    Case(m.SparseCategoricalCrossentropy, data.labels, {"ignore_class": 1}),
    Case(m.KLDivergence, data.distributions),
    Case(m.Poisson, data.positive),
    Case(m.Hinge, data.signs),
    Case(m.Hinge, data.probabilities),
    Case(m.SquaredHinge, data.signs),
    Case(m.CategoricalHinge, data.one_hot),
    *(
        Case(cls, source, options)
        for cls in (m.TruePositives, m.TrueNegatives, m.FalsePositives, m.FalseNegatives, m.Precision, m.Recall)
        for source, options in (
            (two_classes, {}),
            (one_column, {"thresholds": 0.4}),
            (two_classes, {"thresholds": THRESHOLDS}),
            (two_classes, {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}),
        )
    ),
    *(
        Case(cls, two_classes, options)
        for cls in (m.Precision, m.Recall)
        for options in (
            {"top_k": 2},
            {"top_k": 2, "thresholds": 0.6},
            {"class_id": 1},
            {"class_id": 2, "top_k": 3, "thresholds": THRESHOLDS},
        )
    ),
    Case(m.SensitivityAtSpecificity, two_classes, {"specificity": 0.6}),
    Case(m.SensitivityAtSpecificity, one_column, {"specificity": 0.6, "num_thresholds": 1}),
    Case(m.SpecificityAtSensitivity, two_classes, {"sensitivity": 0.6, "class_id": 1}),
    Case(m.PrecisionAtRecall, two_classes, {"recall": 0.7, "num_thresholds": 20}),
    Case(m.RecallAtPrecision, two_classes, {"precision": 0.7}),
    *(
        Case(m.AUC, two_classes, {"curve": curve, "summation_method": method})
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "minoring", "majoring")
    ),
    Case(m.AUC, one_column, {"num_thresholds": 30}),
    Case(m.AUC, two_classes, {"thresholds": [0.1, 0.7, 0.4]}),
    Case(m.AUC, two_classes_logits, {"from_logits": True}),
    Case(m.AUC, two_classes, {"label_weights": [1.0, 0.0, 2.0, 0.5, 1.0]}),
    Case(m.AUC, two_classes, {"multi_label": True}),
    Case(m.AUC, two_classes, {"multi_label": True, "curve": "PR", "num_labels": 5}),
    Case(m.AUC, two_classes, {"multi_label": True, "label_weights": [1.0, 0.0, 2.0, 0.5, 1.0]}),
    *(Case(m.FBetaScore, two_classes, {"average": a, "beta": 2.0}) for a in (None, "micro", "macro", "weighted")),
    Case(m.FBetaScore, two_classes, {"threshold": 0.5, "beta": 0.5}),
    *(Case(m.F1Score, two_classes, {"average": a, "threshold": 0.6}) for a in (None, "micro", "macro", "weighted")),
    Case(m.IoU, classes, {"num_classes": 3, "target_class_ids": [0, 2]}),
    Case(m.IoU, classes_some_ignored, {"num_classes": 3, "target_class_ids": [1], "ignore_class": -1}),
    Case(m.BinaryIoU, one_column),
    Case(m.BinaryIoU, one_column, {"target_class_ids": [1], "threshold": 0.3}),
    Case(m.MeanIoU, classes, {"num_classes": 4}),
    Case(m.OneHotIoU, one_hot_of_three, {"num_classes": 3, "target_class_ids": [0, 1]}),
    Case(m.OneHotMeanIoU, one_hot_and_numbers, {"num_classes": 3, "sparse_y_pred": True}),
    Case(m.RecallAtK, relevances, {"k": 2}, in_keras=False),
    Case(m.RecallAtK, data.labels, {"k": 2}, in_keras=False),
    Case(m.MRR, relevances, in_keras=False),
    Case(m.MRR, relevances, {"k": 2}, in_keras=False),
    Case(m.NDCG, relevances, in_keras=False),
    Case(m.NDCG, relevances, {"k": 3, "gain": "linear"}, in_keras=False),
]
