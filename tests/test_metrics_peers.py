"""Metrics against Keras 3 on JAX in float64, and the ranking ones against scikit-learn."""

from typing import Any

import numpy as np
import pytest
from metric_cases import CASES, Case, relevances
from optional import optional

from fastnn import metrics

NEAR = {"rtol": 1e-6, "atol": 1e-9}
SIZES = [7, 1, 7]  # of batches

keras_cases = pytest.mark.parametrize("case", [case for case in CASES if case.in_keras], ids=str)


def in_keras(keras: Any, case: Case) -> Any:
    overlap = case.cls.__name__.endswith("IoU")  # whose sums are whole numbers unless told
    return getattr(keras.metrics, case.cls.__name__)(**case.options, **({"dtype": "float64"} if overlap else {}))


def compare(ours: Any, theirs: Any, **near: float) -> None:
    np.testing.assert_allclose(ours, np.asarray(theirs), **NEAR | near)


@keras_cases
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_sum_up_as_in_keras(keras, case: Case, weighted: bool):
    if weighted is False and "ignore_class" in case.options and case.cls is metrics.SparseCategoricalCrossentropy:
        pytest.skip("Keras counts ignored samples, as 0, unless there are weights")
    ours, theirs = case.make(), in_keras(keras, case)
    # Keras adds 1e-7 to the denominators of these, fastnn does not
    near = {"atol": 1e-6} if isinstance(ours, (metrics.FBetaScore, metrics.IoU)) else {}
    assert ours.name.rstrip("_0123456789") == theirs.name.rstrip("_0123456789")
    for seed, n in enumerate(SIZES):
        y, p = case.batch(n, seed=seed)
        weight = np.random.default_rng(100 + seed).uniform(0, 2, n) if weighted else None
        ours.update_state(y, p, sample_weight=weight)
        theirs.update_state(y, p, sample_weight=weight)
        compare(ours.result(), theirs.result(), **near)
    ours.reset_state()
    theirs.reset_state()
    y, p = case.batch(7, seed=99)
    compare(ours(y, p), theirs(y, p), **near)


ELEMENTS = [
    metrics.Accuracy,
    metrics.BinaryAccuracy,
    metrics.RootMeanSquaredError,
    metrics.R2Score,
    metrics.Precision,
    metrics.FalseNegatives,
    metrics.AUC,
    metrics.RecallAtPrecision,
]


@pytest.mark.parametrize("case", [case for case in CASES if case.cls in ELEMENTS], ids=str)
def test_a_weight_for_each_number(keras, case: Case):
    y, p = case.batch(9)
    if p.ndim == 1 or "class_id" in case.options:
        return
    ours, theirs = case.make(), in_keras(keras, case)
    weight = np.random.default_rng(3).uniform(0, 2, p.shape)
    for _ in range(2):
        compare(ours(y, p, sample_weight=weight), theirs(y, p, sample_weight=weight))


@pytest.mark.parametrize("case", [case for case in CASES if case.in_keras and case.native], ids=str)
@pytest.mark.parametrize("weight_axes", [0, 1, 2, None])
def test_more_axes_are_as_in_keras(keras, case: Case, weight_axes: int | None):
    """(N, T, d): each of N samples is the mean of its T rows, whatever T is in the next batch."""
    ours, theirs = case.make(), in_keras(keras, case)
    for seed, (n, t) in enumerate([(4, 3), (2, 6)]):
        y, p = case.batch(n * t, seed=seed)
        if p.ndim == 1:
            return
        y, p = (a.reshape(n, t, *a.shape[1:]) for a in (y, p))
        weight = None if weight_axes is None else np.random.default_rng(seed).uniform(0, 2, (n, t)[:weight_axes])
        compare(ours(y, p, sample_weight=weight), theirs(y, p, sample_weight=weight))


@pytest.mark.parametrize("weight", [None, 2.0, [0.5, 2.0, 0.0]])
@pytest.mark.parametrize("shape", [(3,), (3, 4), ()])
def test_mean_and_sum_are_those_of_keras(keras, weight: Any, shape: tuple[int, ...]):
    if shape == () and isinstance(weight, list):
        return
    for name in ("Mean", "Sum"):
        ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
        for seed in range(3):
            values = np.random.default_rng(seed).normal(size=shape)
            ours.update_state(values, sample_weight=weight)
            theirs.update_state(values, sample_weight=weight)
        compare(ours.result(), theirs.result())


def test_a_wrapped_function_is_as_in_keras(keras):
    y, p = np.random.default_rng(0).normal(size=(2, 6, 3))
    ours = metrics.MeanMetricWrapper(metrics.huber, name="h", delta=0.5)
    theirs = keras.metrics.MeanMetricWrapper(keras.losses.huber, name="h", delta=0.5)
    compare(ours(y, p, sample_weight=np.arange(6)), theirs(y, p, sample_weight=np.arange(6)))


FUNCTIONS = [
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "top_k_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "pearson_correlation",
    "concordance_correlation",
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_those_of_keras(keras, name: str):
    case = next(case for case in CASES if case.make().name == name and not case.options)
    for seed in range(3):
        y, p = case.batch(8, 7, seed=seed)
        compare(getattr(metrics, name)(y, p), getattr(keras.metrics, name)(y, p))


def test_configurations_are_those_of_keras(keras):
    for case in CASES:
        if case.in_keras:
            theirs = in_keras(keras, case).get_config()
            ours = case.make().get_config()
            assert set(theirs) - {"dtype"} <= set(ours), str(case)
            for key in set(theirs) - {"dtype", "name"}:
                assert np.array_equal(ours[key], theirs[key]), f"{case}: {key}"
            made = metrics.deserialize({"class_name": case.cls.__name__, "config": ours | {"dtype": "float64"}})
            assert made.get_config() == ours | {"dtype": "float64"}


def test_names_are_those_of_keras(keras):
    from keras.src.metrics import ALL_OBJECTS_DICT

    ours = set(metrics._KNOWN)
    assert not set(ALL_OBJECTS_DICT) - ours
    assert ours - set(ALL_OBJECTS_DICT) == {
        *("MRR", "NDCG", "RecallAtK", "mrr", "ndcg", "recall_at_k", "logcosh", "fbeta_score")
    }


@pytest.mark.parametrize("k", [1, 3, 5, None])
@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_ndcg_is_that_of_scikit_learn(k: int | None, gain: str):
    sklearn = optional("sklearn.metrics")
    y, p = relevances(np.random.default_rng(0), 40, 6)
    gains = y if gain == "linear" else 2**y - 1
    expected = sklearn.ndcg_score(gains, p, k=k, ignore_ties=True)
    assert metrics.NDCG(k, gain=gain)(y, p) == pytest.approx(expected, rel=1e-12)


def test_auc_and_f1_are_those_of_scikit_learn():
    sklearn = optional("sklearn.metrics")
    r = np.random.default_rng(1)
    y = r.integers(0, 2, 300)
    p = np.round(np.clip(0.3 * y + r.uniform(0, 0.7, 300), 0, 1), 2)
    assert metrics.AUC(1000)(y, p) == pytest.approx(sklearn.roc_auc_score(y, p), rel=1e-12)
    y, p = r.integers(0, 4, 100), r.uniform(size=(100, 4))
    expected = sklearn.f1_score(y, p.argmax(1), average=None)
    np.testing.assert_allclose(metrics.F1Score()(np.eye(4)[y], p), expected, rtol=1e-12)
