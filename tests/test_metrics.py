"""Metrics against plain NumPy, and as a caller meets them: state, weights, edges, names, what is refused."""

import copy
import doctest
import importlib
import inspect
import math
import pickle
import pkgutil
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from metric_cases import CASES, Case, relevances, two_classes
from metric_references import REFERENCES, of_loss

import fastnn
from fastnn import losses, metrics
from fastnn._core import losses as core_losses
from fastnn._core import metrics as core

cases = pytest.mark.parametrize("case", CASES, ids=str)
native_cases = pytest.mark.parametrize("case", [case for case in CASES if case.native], ids=str)
CLASSES = [value for value in vars(metrics).values() if inspect.isclass(value) and issubclass(value, metrics.Metric)]


# The same numbers from plain NumPy.


def joined(batches):
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


@cases
@pytest.mark.parametrize("weighted", [False, True])
def test_several_batches_are_the_formula_of_all(case: Case, weighted: bool):
    metric, batches = case.make(), []
    metric.update_state(*case.batch(8, seed=50))
    metric.reset_state()
    for seed, n in enumerate([6, 1, 9]):
        y, p = case.batch(n, seed=seed)
        w = np.random.default_rng(200 + seed).uniform(0, 2, n) if weighted else np.ones(n)
        metric.update_state(y, p, w if weighted else None)
        batches.append((y, p, w))
    snake = metric.name if case.cls.__name__ not in REFERENCES else None
    reference = REFERENCES[case.cls.__name__] if snake is None else of_loss(snake)
    rtol = 1e-6 if case.options.get("curve") == "PR" else 1e-12
    np.testing.assert_allclose(metric.result(), reference(*joined(batches), **case.options), rtol=rtol)
    assert isinstance(metric.result(), (float, np.ndarray))


# What training does without Python.


@native_cases
@pytest.mark.parametrize("weighted", [False, True])
def test_the_native_way_gives_the_same_bits(case: Case, weighted: bool, dtype):
    metric, state = case.make(), np.zeros(2)
    source, kind, parameters = metric.native
    assert parameters.dtype == np.float64 and parameters.size and metric.state.dtype == np.float64
    row = (core if source == "metric" else core_losses).ROWS[kind]
    for seed, n in enumerate([33, 1, 300]):
        y, p = case.batch(n, seed=seed, dtype=dtype)
        p = p if p.ndim == 2 else p[:, None]
        w = np.random.default_rng(seed).uniform(0, 2, n) if weighted else None
        metric.update_state(y, p, w)
        values = np.full(n, np.nan)
        if row["name"] == "recall_at_k" and np.ndim(y) == 1:
            y = np.eye(p.shape[1])[y]
        true = np.ascontiguousarray(y, np.int32 if row["layout"] == "L" else dtype).reshape(-1)
        if source == "metric":
            evaluate = core.evaluate_labels if row["layout"] == "L" else core.evaluate
            evaluate(kind, n, p.shape[1], p.reshape(-1), true, values, parameters)
        else:
            evaluate = core_losses.evaluate_labels if row["layout"] == "L" else core_losses.evaluate
            evaluate(kind, n, p.shape[1], p.reshape(-1), true, values, None, None, 1.0, parameters)
        core.add(state, values, w, 1)
        assert np.array_equal(state.view(np.uint64), np.asarray(metric.state).view(np.uint64))


def test_what_is_not_native():
    class Mine(metrics.BinaryAccuracy):
        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(y_true, np.subtract(1, y_pred), sample_weight)

    class Renamed(metrics.MeanSquaredError):
        pass

    assert Renamed().native is not None
    mine = Mine()
    assert mine.native is None
    assert mine([[1.0], [0.0]], [[0.1], [0.2]]) == 0.5
    for metric in (
        metrics.BinaryAccuracy(dtype="float32"),
        metrics.SparseCategoricalCrossentropy(ignore_class=0),
        metrics.CosineSimilarity(axis=0),
        metrics.CategoricalCrossentropy(axis=1),
        metrics.SparseTopKCategoricalAccuracy(from_sorted_ids=True),
        metrics.PearsonCorrelation(),
        metrics.MeanMetricWrapper(metrics.huber),
        metrics.Mean(),
        metrics.Precision(),
    ):
        assert metric.native is None, metric


# Edges.


@cases
def test_an_empty_batch_changes_nothing(case: Case, dtype):
    y, p = case.batch(5)
    empty_y, empty_p = np.asarray(y)[:0], p[:0]
    metric = case.make()
    if p.ndim == 2:
        metric.update_state(empty_y, empty_p)
    expected = metric(y, p)
    if p.ndim == 2:
        metric.update_state(empty_y, empty_p, np.zeros(0))
    np.testing.assert_array_equal(metric.result(), expected)


@cases
def test_weights_of_zero_leave_out(case: Case):
    y, p = case.batch(8)
    w = np.array([1.0, 0, 1, 0, 0, 1, 1, 1])
    metric, other = case.make(), case.make()
    metric.update_state(y, p, w)
    other.update_state(np.asarray(y)[w > 0], p[w > 0])
    if not case.options.get("num_regressors"):  # which asks for the number of samples
        np.testing.assert_allclose(metric.result(), other.result(), rtol=1e-12)
    nothing = case.make()
    nothing.update_state(y, p, np.zeros(8))
    value = nothing.result()
    if isinstance(nothing, metrics.R2Score):
        assert np.isnan(value).all()  # no variance
    else:
        assert np.all(value == 0)


@cases
def test_float32_is_near_float64(case: Case):
    y, p = case.batch(50)
    np.testing.assert_allclose(
        case.make()(y, p.astype(np.float32) if p.dtype.kind == "f" else p), case.make()(y, p), rtol=2e-4, atol=1e-6
    )


@cases
def test_the_constructor_s_dtype_is_what_is_computed_in(case: Case):
    y, p = case.batch(9)
    metric = case.make(dtype="float32")
    assert metric.dtype == "float32"
    single = p.astype(np.float32) if p.dtype.kind == "f" else p
    np.testing.assert_array_equal(metric(y, p), case.make()(y, single))
    with pytest.raises(ValueError, match="float16"):
        case.make(dtype="float16")


def test_nan_in_predictions():
    nan = np.nan
    assert metrics.Accuracy()([[1.0, 1.0]], [[nan, 1.0]]) == 0.5
    assert metrics.BinaryAccuracy()([[0.0, 1.0]], [[nan, nan]]) == 0.5  # NaN is not above the threshold
    p = np.array([[0.1, nan, 0.3, nan], [0.2, 0.9, 0.1, 0.0]])
    assert p.argmax(1).tolist() == [1, 1]
    assert metrics.sparse_categorical_accuracy([1, 0], p).tolist() == [1, 0]
    assert metrics.categorical_accuracy(np.eye(4)[[3, 1]], p).tolist() == [0, 1]
    assert metrics.sparse_top_k_categorical_accuracy([1, 2], p, k=3).tolist() == [1, 1]
    assert metrics.sparse_top_k_categorical_accuracy([1, 2], p, k=2).tolist() == [0, 0]
    for metric in (metrics.MeanSquaredError(), metrics.RootMeanSquaredError(), metrics.R2Score()):
        assert math.isnan(metric(np.arange(8.0).reshape(2, 4), p))
    counts = [c()([1, 0], [nan, nan]) for c in (metrics.TruePositives, metrics.FalseNegatives, metrics.TrueNegatives)]
    assert counts == [0, 1, 1]
    assert metrics.MRR()([[0, 1, 1]], [[0.5, nan, 0.1]]) == 0.5  # NaN comes last
    assert metrics.MRR()([[0, 1, 0]], [[0.5, nan, 0.1]]) == 1 / 3


def test_the_first_of_equals():
    y = np.eye(3)[[0, 1, 2]]
    assert metrics.categorical_accuracy(y, np.zeros((3, 3))).tolist() == [1, 0, 0]
    assert metrics.top_k_categorical_accuracy(y, np.zeros((3, 3)), k=1).tolist() == [1, 1, 1]  # none is above
    assert metrics.MRR()(y[2:], [[0.5, 0.5, 0.5]]) == 1 / 3
    scores = np.random.default_rng(0).integers(0, 3, (5, 200)) / 3.0
    first = np.zeros_like(scores)
    np.put_along_axis(first, np.argsort(-scores, axis=1, kind="stable")[:, :20], 1, 1)
    assert metrics.Precision(top_k=20)(first, scores) == 1.0
    assert metrics.F1Score()([[1, 1], [1, 0]], [[0.5, 0.5], [0.0, 0.0]]).tolist() == [2 / 3, 1.0]  # a row of 0 has none


def test_thresholds_are_exclusive_and_in_the_precision_of_predictions():
    for limit in (0.1, 0.3, 0.7):
        p = np.full((1, 1), limit, np.float32)
        assert metrics.BinaryAccuracy(threshold=limit)([[1]], p) == 0.0
        assert metrics.TruePositives(thresholds=limit)([[1]], p) == 0.0
        assert metrics.TruePositives(thresholds=limit)([[1]], np.nextafter(p, np.float32(1))) == 1.0
        assert metrics.BinaryIoU([1], threshold=limit)([[1]], p) == 1.0


def test_every_threshold_of_the_even_ones_is_exclusive():
    """Where i / (n - 1) is not exact, a formula of buckets would put a prediction on the wrong side."""
    metric = metrics.RecallAtPrecision(0.5)
    limits = np.array(metric.thresholds)
    metric.update_state(np.ones(200), limits)
    assert metric.true_positives.tolist() == [float((limits > t).sum()) for t in limits]


def test_predictions_outside_of_0_to_1():
    """An area takes them as 0 or 1, so that its curve is whole."""
    y, p = [0, 0, 1, 1], np.array([-3.0, 0.2, 0.4, 7.0])
    assert metrics.AUC()(y, p) == metrics.AUC()(y, p.clip(0, 1)) == 1.0
    assert metrics.AUC(curve="pr")(y, p) == 1.0


def test_no_relevant_item_counts_as_0():
    for cls in (metrics.RecallAtK, metrics.MRR, metrics.NDCG):
        assert cls()([[0, 0], [1, 0]], [[0.5, 0.1], [0.5, 0.1]]) == 0.5


def test_r2_of_targets_far_from_0():
    y, p = np.random.default_rng(0).normal(size=(2, 90, 2))
    near, far = metrics.R2Score(), metrics.R2Score()
    for part in np.split(np.arange(90), 3):
        near.update_state(y[part], p[part])
        far.update_state(y[part] + 2**30, p[part] + 2**30)
    assert far.result() == pytest.approx(near.result(), rel=1e-6)


def test_r2_where_there_is_nothing_to_adjust():
    assert math.isnan(metrics.R2Score().result())
    metric = metrics.R2Score(num_regressors=3)
    metric.update_state([[1.0], [2.0], [4.0]], [[1.0], [2.0], [3.0]])
    with pytest.warns(UserWarning, match="too few"):
        assert metric.result() == metrics.R2Score()([1.0, 2.0, 4.0], [1.0, 2.0, 3.0])


def test_ignored_classes_are_not_counted():
    y, p = [0, 1, 2, 2], np.eye(3)[[0, 1, 0, 0]] * 0.8 + 0.1
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=2)
    metric.update_state(y, p)
    assert metric.count == 2
    assert metric.result() == losses.SparseCategoricalCrossentropy(ignore_class=2)(y, p)


# State.


@cases
def test_copies_go_their_own_way(case: Case):
    y, p = case.batch(6)
    metric = case.make()
    before = np.array(metric(y, p))
    for twin in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        np.testing.assert_array_equal(twin.result(), before)
        assert [v.tolist() for v in twin.variables] == [v.tolist() for v in metric.variables]
        twin.reset_state()
        twin.update_state(*case.batch(7, seed=5))
        np.testing.assert_array_equal(twin.result(), case.make()(*case.batch(7, seed=5)))
        np.testing.assert_array_equal(metric.result(), before)


@cases
def test_configurations_come_back(case: Case):
    metric = case.make(name="mine", dtype="float64")
    text = metrics.serialize(metric)
    again = metrics.deserialize(text)
    assert type(again) is case.cls and metrics.serialize(again) == text
    assert repr(again) == repr(metric) and "mine" in repr(metric)
    for name in case.options:
        np.testing.assert_array_equal(getattr(again, name), getattr(metric, name))
    if case.cls is not metrics.AUC:
        assert metrics.get(text).get_config() == metric.get_config()


def test_variables_of_a_mean():
    metric = metrics.Mean()
    metric.update_state([1.0, 2.0], sample_weight=[3.0, 1.0])
    assert [v.name for v in metric.variables] == ["total", "count"]
    assert (metric.total, metric.count, metric.state.tolist()) == (5.0, 4.0, [5.0, 4.0])
    metric.total.assign(8.0)
    assert metric.result() == 2.0
    state = metric.state
    metric.reset_state()
    assert metric.state is state and state.tolist() == [0, 0] and metric.result() == 0.0


def test_a_metric_of_ones_own():
    class Extremes(metrics.Metric):
        def __init__(self, name="extremes", dtype=None):
            super().__init__(dtype, name)
            self.low = self.add_variable((), "ones", name="low")
            self.seen = self.add_weight(shape=(3,), initializer="zeros", name="seen")
            self.inner = metrics.Mean()

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.low.assign(np.minimum(self.low, np.min(y_pred)))
            self.seen.assign_add([1, 2, 3])
            self.seen.assign_sub(np.ones(3))
            self.inner.update_state(y_pred)

        def result(self):
            return self.low + self.inner.result()

    metric = Extremes()
    assert metric([0.0], [0.5]) == 1.0
    assert metric([0.0], [-0.5]) == -0.5
    assert [v.name for v in metric.variables] == ["low", "seen", "total", "count"]
    assert metric.seen.numpy().tolist() == [0, 2, 4]
    assert type(metric.low + 1) is np.float64 and type(metric.seen * 2) is np.ndarray
    metric.seen += 1
    assert isinstance(metric.seen, metrics._base.Variable) and metric.variables[1] is metric.seen
    metric.reset_state()
    assert all((v == 0).all() for v in metric.variables)
    assert metrics.Metric.from_config({"name": "x"}).name == "x"
    with pytest.raises(NotImplementedError, match="update_state"):
        metrics.Metric().update_state()
    with pytest.raises(NotImplementedError, match="result"):
        metrics.Metric().result()

    class Forgot(metrics.Metric):
        def __init__(self):
            self.total = self.add_variable(())

    with pytest.raises(RuntimeError, match=r"super\(\).__init__"):
        Forgot()


def test_metrics_in_lists_and_dicts_belong_to_the_metric_that_holds_them():
    metric = metrics.Metric(name="several")
    metric.parts = [metrics.Mean(), {"sum": metrics.Sum(), "none": None}]
    metric.more = (metrics.Sum(),)
    assert [v.name for v in metric.variables] == ["total", "count", "total", "total"]
    metric.parts[0].update_state([1.0, 2.0])
    metric.parts[1]["sum"].update_state([3.0])
    metric.more[0].update_state([4.0])
    assert [float(v) for v in metric.variables] == [3.0, 2.0, 3.0, 4.0]
    metric.reset_state()
    assert [float(v) for v in metric.variables] == [0.0] * 4


@pytest.mark.parametrize("name", ["IoU", "MeanIoU"])
def test_pairs_outside_the_classes_do_not_count(name):
    options = {"num_classes": 3} | ({"target_class_ids": [0, 1, 2]} if name == "IoU" else {})
    y = np.array([0, 1, 2, 2, -1, 3, 0, 1, 2**40])
    p = np.array([0, 1, 2, 1, 0, 0, -1, 3, 2])
    w = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    metric = getattr(metrics, name)(**options)
    assert metric(y, p, w) == pytest.approx((1 + 2 / (2 + 4) + 3 / (3 + 4)) / 3)
    assert metric.total_cm.sum() == 10
    assert getattr(metrics, name)(**options)(y, p) == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    with pytest.raises(ValueError, match="y_true: class labels must be whole numbers"):
        metric(np.array([0.0, np.nan]), np.array([0, 1]))
    with pytest.raises(ValueError, match="y_pred: class labels must be whole numbers"):
        metric(np.array([0, 1]), np.array([0, 1.5]))
    assert metric.total_cm.sum() == 10


@pytest.mark.parametrize(
    "make", [metrics.Mean, metrics.Sum, metrics.Accuracy, metrics.BinaryAccuracy, metrics.TruePositives], ids=str
)
def test_a_weight_for_each_column(make, rng):
    """A first axis of length 1 is repeated where the weights have all the axes."""
    y, p = rng.integers(0, 2, (6, 3)), rng.integers(0, 2, (6, 3))
    w = rng.uniform(0.5, 2, (1, 3))
    arguments = (p,) if make in (metrics.Mean, metrics.Sum) else (y, p)
    assert make()(*arguments, sample_weight=w) == make()(*arguments, sample_weight=np.repeat(w, 6, axis=0))
    with pytest.raises(ValueError, match="sample_weight: expected the shape"):
        make()(*arguments, sample_weight=w[0, :1])  # one sample's weight for six samples


def test_a_wrapped_function():
    metric = metrics.MeanMetricWrapper(losses.huber, delta=0.5)
    assert metric.name == "huber"
    y, p = np.random.default_rng(0).normal(size=(2, 5, 3))
    assert metric(y, p) == pytest.approx(np.mean(losses.huber(y, p, 0.5)), rel=1e-15)
    again = metrics.deserialize(metrics.serialize(metric))
    assert again(y, p) == metric.result() and again.get_config() == metric.get_config()
    assert metrics.as_metric(metrics.binary_accuracy)([[1], [0]], [[0.7], [0.9]]) == 0.5
    assert metrics.MeanMetricWrapper(losses.MeanSquaredError())([[1.0], [0.0]], [[0.0], [0.0]]) == 0.5
    with pytest.raises(TypeError, match="fn: expected a function"):
        metrics.MeanMetricWrapper("mse")


# Shapes.


@pytest.mark.parametrize("cls", [metrics.BinaryAccuracy, metrics.RootMeanSquaredError, metrics.Recall, metrics.AUC])
def test_a_column_is_a_column(cls):
    y, p = two_classes(np.random.default_rng(0), 12, 1)
    w = np.random.default_rng(1).uniform(0, 2, 12)
    expected = cls()(y, p, w)
    for true, predicted, weight in ((y[:, 0], p, w), (y, p[:, 0], w[:, None]), (y[:, 0], p[:, 0], w)):
        assert cls()(true, predicted, weight) == expected


def test_a_sample_is_the_mean_of_its_rows():
    """(N, T, d) counts as N samples, whatever T is in the next batch, and weights may be of samples or of rows."""
    metric, expected = metrics.MeanAbsoluteError(), []
    for n, t in ((3, 4), (2, 5)):
        y, p = np.random.default_rng(n).normal(size=(2, n, t, 6))
        metric.update_state(y, p)
        expected += np.abs(y - p).mean((1, 2)).tolist()
    assert metric.count == 5
    assert metric.result() == pytest.approx(np.mean(expected), rel=1e-14)
    w, rows = np.array([0.5, 2.0]), np.random.default_rng(0).uniform(0, 2, (2, 5))
    values = np.abs(y - p).mean(-1)
    assert metrics.MeanAbsoluteError()(y, p, w) == pytest.approx(np.average(values.mean(1), weights=w), rel=1e-14)
    assert metrics.MeanAbsoluteError()(y, p, rows) == pytest.approx(np.average(values, weights=rows), rel=1e-14)


def test_one_weight_for_a_batch():
    metric = metrics.BinaryAccuracy()
    metric.update_state([[1.0], [1.0], [1.0]], [[0.9], [0.8], [0.1]], sample_weight=3.0)
    assert metric.state.tolist() == pytest.approx([2.0, 3.0])
    metric.update_state([[1.0]], [[0.1]])
    assert metric.result() == 0.5


@pytest.mark.parametrize("cls", [metrics.Accuracy, metrics.BinaryAccuracy, metrics.RootMeanSquaredError])
def test_a_weight_for_each_number(cls):
    y, p = np.random.default_rng(0).integers(0, 2, (2, 6, 4)).astype(float)
    w = np.random.default_rng(1).uniform(0, 2, (6, 4))
    expected = np.average((y - p) ** 2 if cls is metrics.RootMeanSquaredError else y == p, weights=w)
    metric = cls()
    value = metric(y, p, w)
    assert value == pytest.approx(np.sqrt(expected) if cls is metrics.RootMeanSquaredError else expected, rel=1e-14)
    assert metric.count == pytest.approx(w.sum() / 4)
    y[:, 1:] = p[:, 1:]
    recall, weighted = metrics.Recall(), metrics.Recall()
    recall.update_state(y[:, :1], p[:, :1])
    weighted.update_state(y, p, np.eye(4)[np.zeros(6, int)])
    assert recall.result() == weighted.result()


def test_layouts_and_types():
    y, p = relevances(np.random.default_rng(0), 8, 6)
    expected = metrics.NDCG()(y, p)
    assert metrics.NDCG()(y.astype(np.int8), np.asfortranarray(p)) == expected
    assert metrics.NDCG()(y.tolist(), np.repeat(p, 2, axis=1)[:, ::2]) == expected
    assert metrics.SparseCategoricalAccuracy()(np.array([[1], [0]], np.uint8), [[0.1, 0.9], [0.8, 0.2]]) == 1.0
    assert metrics.Accuracy()([True, False], [1, 1]) == 0.5


# What is refused.

TWO = np.full((4, 2), 0.5)
REFUSED = [
    (lambda: metrics.BinaryAccuracy()(np.ones((4, 3)), TWO), "y_true has shape"),
    (lambda: metrics.MeanSquaredError()([[np.nan, 0.0]] * 4, TWO), "y_true: 4 of 8 values are not finite"),
    (lambda: metrics.SparseCategoricalAccuracy()([0, 1, 2, 0], TWO), r"label 2 at index \(2,\) is outside 0..1"),
    (lambda: metrics.SparseTopKCategoricalAccuracy()([0, -1, 1, 0], TWO), "label -1"),
    (lambda: metrics.SparseCategoricalAccuracy()([0, 0.5, 1, 0], TWO), "whole numbers"),
    (lambda: metrics.SparseCategoricalAccuracy()(np.eye(2)[[0, 0, 1, 1]], TWO), "use categorical_accuracy"),
    (lambda: metrics.CategoricalAccuracy()([0, 1, 1, 0], TWO), "use sparse_categorical_accuracy"),
    (lambda: metrics.SparseTopKCategoricalAccuracy(from_sorted_ids=True)([0, 1], TWO), "a class number for each row"),
    (lambda: metrics.BinaryAccuracy()(TWO, TWO, np.ones(3)), "sample_weight: expected the shape"),
    (lambda: metrics.Mean()([1.0, 2.0], sample_weight=[1.0, np.inf]), "sample_weight: 1 of 2"),
    (lambda: metrics.AUC()(TWO, TWO, np.ones(3)), "sample_weight: expected the shape"),
    (lambda: metrics.BinaryCrossentropy()(TWO + 1, TWO), "from 0 to 1"),
    (lambda: metrics.Hinge()(TWO, TWO), "labels -1 and"),
    (lambda: metrics.F1Score()([1, 0], [0.5, 0.2]), r"expected shape \(samples, classes\)"),
    (lambda: metrics.R2Score()(np.ones((2, 2, 2)), np.ones((2, 2, 2))), r"expected shape \(samples, outputs\)"),
    (lambda: metrics.AUC(multi_label=True, num_labels=3)(TWO, TWO), r"expects shape \(samples, 3\)"),
    (lambda: metrics.AUC(label_weights=[1, 2, 3])(TWO, TWO), "a column for each of 3 label_weights"),
    (lambda: metrics.Precision(class_id=2)(TWO, TWO), "class_id: 2 asks for"),
    (lambda: metrics.NDCG()(-TWO, TWO), "relevances >= 0"),
    (lambda: metrics.MRR()([5, 0, 1, 1], TWO), "label 5"),
    (lambda: metrics.MeanIoU(3)([0, 1, 2], [0, 1]), "as many classes"),
    (lambda: metrics.IoU(3, [3]), "target_class_ids"),
    (lambda: metrics.Precision(thresholds=[0.5, 1.5]), "thresholds: expected a finite number >= 0 and <= 1, got 1.5"),
    (lambda: metrics.Precision(thresholds=[]), "at least one"),
    (lambda: metrics.AUC(num_thresholds=1), "num_thresholds: expected a whole number >= 2"),
    (lambda: metrics.AUC(curve="ROK"), "curve: unknown name 'ROK'; did you mean 'ROC'"),
    (lambda: metrics.AUC(num_labels=3), "multi_label=True"),
    (lambda: metrics.AUC(label_weights=[-1.0]), "label_weights"),
    (lambda: metrics.RecallAtPrecision(1.1), "precision"),
    (lambda: metrics.FBetaScore(beta=0.0), "beta"),
    (lambda: metrics.FBetaScore(average="mean"), "average: unknown name"),
    (lambda: metrics.TopKCategoricalAccuracy(k=0), "k: expected a whole number >= 1"),
    (lambda: metrics.RecallAtK(None), "k: expected a whole number"),
    (lambda: metrics.NDCG(gain="log"), "gain: unknown name"),
    (lambda: metrics.R2Score(num_regressors=-1), "num_regressors"),
    (lambda: metrics.get("accurasy"), "metric: unknown name 'accurasy'; did you mean 'accuracy'"),
    (lambda: metrics.get("MeanIoU"), r"pass MeanIoU\(num_classes=...\)"),
    (lambda: metrics.get(3), "metric: expected a name"),
    (lambda: metrics.serialize(metrics.Mean), "expected a Metric or a function"),
    (lambda: metrics.deserialize({"config": {}}), "class_name"),
    (lambda: metrics.as_metric(None), "metric: expected a name"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_refusals_say_what_is_wrong(number: int):
    call, message = REFUSED[number]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


# Names.


def test_every_metric_has_a_case():
    assert {case.cls for case in CASES} == set(CLASSES) - {
        *(metrics.Metric, metrics.Mean, metrics.Sum, metrics.MeanMetricWrapper)
    }


def test_names_give_metrics():
    assert metrics.get(None) is None
    for name in metrics.names():
        cls = next(c for c in CLASSES if metrics._KNOWN[name] is c)
        required = [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty]
        if not required:
            assert type(metrics.get(name)) is type(metrics.get(cls.__name__)) is cls
            assert metrics.get(cls).get_config() == metrics.get(name).get_config()
    assert type(metrics.get("mse")) is type(metrics.get("MSE")) is metrics.MeanSquaredError
    assert metrics.get(metrics.binary_accuracy) is metrics.binary_accuracy
    metric = metrics.AUC()
    assert metrics.get(metric) is metric
    assert metrics.deserialize("Mine", {"Mine": metrics.Sum}).name == "sum"
    assert metrics.deserialize({"class_name": "function", "config": "huber"}) is losses.huber
    assert fastnn.metrics is metrics


@pytest.mark.parametrize("name", ["fastnn.metrics", *(
    m.name for m in pkgutil.iter_modules(metrics.__path__, "fastnn.metrics.")
)])  # fmt: skip
def test_examples_run(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0 and results.attempted


PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the sources are not here")
def test_the_page_has_every_metric():
    page = PAGE.read_text()
    for cls in CLASSES:
        section = re.search(rf"^### {cls.__name__}$(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, f"docs/metrics.md has no section {cls.__name__}"
        arguments = [p for p in inspect.signature(cls).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        written = ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in arguments)
        assert f"`{cls.__name__}({written}" in section[1].replace("\n", " "), f"{cls.__name__}({written})"
    for row in core.ROWS:
        assert row["formula"] in " ".join(page.split()), (
            f"docs/metrics.md does not give {row['name']}'s formula as the table has it"
        )


@pytest.mark.skipif(not PAGE.exists(), reason="the sources are not here")
def test_the_page_s_programs_run():
    names: dict[str, Any] = {}
    programs = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert programs
    for program in programs:
        exec(program, names)
