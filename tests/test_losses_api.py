"""Losses as a caller meets them: shapes, strides, dtypes, weights, names, what is refused, losses of one's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import CASES, Case

from fastnn import _validate, losses
from fastnn.reference.losses import REDUCTIONS

cases = pytest.mark.parametrize("case", CASES, ids=str)


# Shapes, strides, dtypes.


def reversed_view(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a[::-1])[::-1]


def every_second(a: np.ndarray) -> np.ndarray:
    return np.repeat(a, 2, axis=-1)[..., ::2]


def read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


def unaligned(a: np.ndarray) -> np.ndarray:
    return np.frombuffer(b"x" + a.tobytes(), dtype=a.dtype, offset=1).reshape(a.shape)


def swapped(a: np.ndarray) -> np.ndarray:
    return a.astype(a.dtype.newbyteorder(">"))


LAYOUTS = [reversed_view, every_second, np.asfortranarray, read_only, unaligned, swapped]


@cases
@given(
    n=st.integers(1, 20),
    d=st.integers(2, 20),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 99),
    of_target=st.sampled_from(LAYOUTS),
    of_prediction=st.sampled_from(LAYOUTS),
)
@settings(max_examples=15, deadline=None)
def test_any_memory_layout_gives_the_same(case: Case, n, d, dtype, seed, of_target, of_prediction):
    y, p = case.arrays(n, d, dtype, seed)
    value, gradient = case.make().value_and_gradient(y, p)
    other_y, other_p = (None if a is None else lay(a) for a, lay in ((y, of_target), (p, of_prediction)))
    assert np.array_equal(other_p, p)
    again, same = case.make().value_and_gradient(other_y, other_p)
    assert again == value
    assert np.array_equal(same, gradient)
    assert same.dtype == dtype
    assert same.flags.c_contiguous


def test_what_the_core_gets_is_aligned():
    for dtype in ("float32", "float64"):
        array = _validate.floats(unaligned(np.arange(3, dtype=dtype)), "x")
        assert array.flags.aligned
        assert array.tolist() == [0, 1, 2]
    labels = _validate.labels(unaligned(np.arange(3, dtype=np.int32)), "y", 3)
    assert labels.flags.aligned
    assert labels.tolist() == [0, 1, 2]


def test_a_stride_of_zero_is_taken():
    p = np.broadcast_to(np.array([[0.5, 1.5]]), (4, 2))
    assert losses.MeanSquaredError()(np.zeros((4, 2)), p) == 1.25


@cases
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_batch_of_nothing_costs_nothing(case: Case, reduction: str):
    y, p = case.arrays(3, 4)
    y, p = (None if y is None else y[:0]), p[:0]
    loss = case.make(reduction=reduction)
    assert loss.gradient(y, p).shape == p.shape
    if reduction == "none":
        assert loss(y, p).shape == (0,)
    else:
        assert loss(y, p) == 0.0


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_more_axes_are_more_samples(reduction: str):
    r = np.random.default_rng(3)
    y, p = r.integers(0, 5, (2, 3, 4)), r.normal(size=(2, 3, 4, 5))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    value, gradient = loss.value_and_gradient(y, p)
    flat_value, flat_gradient = loss.value_and_gradient(y.reshape(-1), p.reshape(-1, 5))
    assert np.array_equal(np.reshape(value, -1), np.reshape(flat_value, -1))
    assert np.array_equal(gradient, flat_gradient.reshape(p.shape))
    assert np.array_equal(loss(y[..., None], p), value)
    assert loss.call(y, p).shape == y.shape
    weight = r.uniform(size=2)
    full = np.broadcast_to(weight[:, None, None], y.shape)
    for same in (weight, weight[:, None], weight[:, None, None]):
        assert np.array_equal(loss(y, p, same), loss(y, p, full))
        assert np.array_equal(loss.gradient(y, p, same), loss.gradient(y, p, full))


@pytest.mark.parametrize("case", [c for c in CASES if "axis" in c.cls._options], ids=str)
@pytest.mark.parametrize("axis", [1, -2])
def test_axis_names_the_axis_of_a_sample(case: Case, axis: int):
    y, p = case.arrays(6, 4)
    y, p = (a.reshape(2, 3, *a.shape[1:]) for a in (y, p))
    last, other = case.make(reduction="none"), case.make(reduction="none", axis=axis)
    target = y if case.cls is losses.SparseCategoricalCrossentropy else np.swapaxes(y, 1, 2)
    assert np.array_equal(other(target, np.swapaxes(p, 1, 2)), last(y, p))
    gradient = other.gradient(target, np.swapaxes(p, 1, 2))
    assert gradient.flags.c_contiguous
    assert np.array_equal(np.swapaxes(gradient, 1, 2), last.gradient(y, p))
    with pytest.raises(ValueError, match="axis"):
        case.make(axis=3)(y, p)


def test_a_column_and_a_flat_array_are_brought_together():
    y, p = np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 4.0])
    loss = losses.MeanSquaredError(reduction="none")
    assert loss(y, p[:, None]).tolist() == loss(y[:, None], p).tolist() == [1.0, 0.0, 4.0]
    assert loss.gradient(y, p[:, None]).tolist() == [[2.0], [0.0], [4.0]]
    assert loss.gradient(y[:, None], p).tolist() == [2.0, 0.0, 4.0]
    assert loss(y, p) == 5 / 3  # one sample of three numbers
    assert loss(np.zeros((2, 3)), np.ones((2, 3, 1))).tolist() == [1.0, 1.0]
    assert loss.gradient(np.zeros((2, 3, 1)), np.ones((2, 3))).shape == (2, 3)


@pytest.mark.parametrize("ignored", [None, -7])
@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "int32", ">i4", "uint32", "int64", ">i8", "uint64", "float64"]
)
def test_labels_of_every_type(dtype, ignored):
    numbers = [0, 4, 2] if ignored is None or dtype.startswith("u") else [0, ignored, 2]
    for array in (
        np.array(numbers, dtype),
        reversed_view(np.array(numbers, dtype)),
        unaligned(np.array(numbers, dtype)),
    ):
        labels = _validate.labels(array, "y", 5, ignored)
        assert labels.dtype == np.int32 and labels.flags.carray and labels.tolist() == numbers
    assert _validate.labels(np.array(numbers, dtype)[:, None], "y", 5, ignored).shape == (3, 1)
    assert _validate.labels(np.empty((0, 2), dtype), "y", 5, ignored).shape == (0, 2)
    for wrong in (5, -1, 127, 2**31, 2**32, 2**32 + 1, -(2**32), 2**63 - 1):
        if np.dtype(dtype).kind == "f" or np.iinfo(dtype).min <= wrong <= np.iinfo(dtype).max:
            with pytest.raises(ValueError, match=r"y: label .* at index \(1,\) is outside 0\.\.4"):
                _validate.labels(np.array([0, wrong, wrong], dtype), "y", 5, ignored)


def test_dtypes():
    loss = losses.MeanSquaredError(reduction="none")
    assert loss(np.zeros((2, 1)), np.ones((2, 1), np.float32)).dtype == np.float32
    assert loss(np.zeros((2, 1), np.float32), np.ones((2, 1))).dtype == np.float64
    assert loss([[0]], [[1]]).dtype == np.float64
    assert loss([[0]], np.ones((1, 1), np.float16)).dtype == np.float32
    assert loss([[True]], np.ones((1, 1))).tolist() == [0.0]
    assert losses.MeanSquaredError(reduction="none", dtype="float32")([[0.0]], [[1.0]]).dtype == np.float32
    assert losses.MeanSquaredError(dtype="float64").gradient([[0]], np.ones((1, 1), np.float32)).dtype == np.float64
    sparse = losses.SparseCategoricalCrossentropy(from_logits=True)
    for labels in (
        np.array([1, 0], np.uint8),
        np.array([1.0, 0.0], np.float32),
        [1, 0],
        np.array([[1], [0]]),
        [True, False],
    ):
        assert sparse(labels, [[0.0, 3.0], [3.0, 0.0]]) == sparse([1, 0], [[0.0, 3.0], [3.0, 0.0]])


# Weights.


def test_weights_of_every_shape():
    y, p = np.zeros((2, 3, 4)), np.ones((2, 3, 4))
    loss = losses.MeanSquaredError(reduction="none")
    assert loss(y, p, 2.0).tolist() == [[2.0] * 3] * 2
    assert loss(y, p, [1, 2]).tolist() == loss(y, p, [[1], [2]]).tolist() == [[1.0] * 3, [2.0] * 3]
    assert loss(y, p, np.arange(6).reshape(2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert loss(y, p, np.arange(6).reshape(2, 3, 1)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert loss(y, p, [[1, 2, 3]]).tolist() == [[1, 2, 3]] * 2
    for wrong in (np.ones(3), np.ones(1), np.ones((3, 2)), np.ones((1, 2)), np.ones((2, 3, 4))):
        with pytest.raises(ValueError, match=r"sample_weight: expected the shape \(2, 3\)"):
            loss(y, p, wrong)
    with pytest.raises(ValueError, match=r"\(samples, 1\)"):
        loss([0.0, 1.0], [1.0, 1.0], [1.0, 2.0])


def test_square_batches_weigh_their_samples():
    """Weights (N,) of losses (N, N) could be read as weights of the last axis; they are those of the first."""
    y, p = np.zeros((2, 2, 1)), np.array([[[1.0], [1.0]], [[2.0], [2.0]]])
    assert losses.MeanSquaredError(reduction="sum")(y, p, [1, 0]) == 2.0


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum"])
def test_weights_of_zero_and_ignored_batches_cost_nothing(reduction: str):
    loss = losses.MeanSquaredError(reduction=reduction)
    assert loss([[0.0]], [[1.0]], [0.0]) == 0.0
    assert loss.gradient([[0.0]], [[1.0]], [0.0]).tolist() == [[0.0]]
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1, reduction=reduction)
    assert loss([-1, -1], [[0.5, 0.5]] * 2) == 0.0
    assert loss.gradient([-1, -1], [[0.5, 0.5]] * 2).tolist() == [[0.0, 0.0]] * 2
    assert loss([-1, 0], [[np.nan, 0.5], [0.5, 0.5]]) == pytest.approx(np.log(2))
    assert loss.gradient([-1, 0], [[np.nan, 0.5], [0.5, 0.5]]).tolist() == [[0.0, 0.0], [-1.0, 1.0]]


# What is refused.


# fmt: off
@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: losses.MeanSquaredError()(np.zeros((3, 1)), np.zeros((2, 1))), ValueError, "y_true has shape"),
        (lambda: losses.MeanSquaredError()(np.zeros((3, 4)), np.zeros((3, 1))), ValueError, "nothing is broadcast"),
        (lambda: losses.MeanSquaredError()([[np.nan]], [[0.0]]), ValueError, "y_true: 1 of 1 values are not finite"),
        (lambda: losses.MeanSquaredError()([[0.0]], [[0.0]], [np.nan]), ValueError, "sample_weight: 1 of 1"),
        (lambda: losses.MeanSquaredError()([["a"]], [[0.0]]), TypeError, "y_true: expected real numbers"),
        (lambda: losses.MeanSquaredError()(None, [[0.0]]), TypeError, "y_true: expected real numbers"),
        (lambda: losses.MeanSquaredError()([[0.0]], [[1j]]), TypeError, "y_pred: expected real numbers"),
        (lambda: losses.MeanSquaredError()(0.0, 0.0), ValueError, "y_pred: expected predictions of shape"),
        (lambda: losses.MeanSquaredError()(np.zeros((2, 0)), np.zeros((2, 0))), ValueError, "y_pred: expected pred"),
        (lambda: losses.MeanSquaredError(reduction="average"), ValueError, "reduction: unknown name 'average'"),
        (lambda: losses.MeanSquaredError(dtype="int8"), ValueError, "dtype: expected"),
        (lambda: losses.MeanSquaredError(delta=1.0), TypeError, "delta"),
        (lambda: losses.Huber(delta=-1.0), ValueError, "delta: expected a finite number >= 0"),
        (lambda: losses.Huber(delta="1"), TypeError, "delta: expected a number"),
        (lambda: losses.SmoothL1(beta=0), ValueError, "beta: expected a finite number > 0"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=1.5), ValueError, "label_smoothing"),
        (lambda: losses.BinaryCrossentropy(from_logits=1), TypeError, "from_logits: expected True or False"),
        (lambda: losses.BinaryCrossentropy()([[-1.0]], [[0.5]]), ValueError, "labels or probabilities from 0 to 1"),
        (lambda: losses.BinaryFocalCrossentropy()([[2.0]], [[0.5]]), ValueError, "from 0 to 1, got 2.0 at index"),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1), ValueError, "gamma"),
        (lambda: losses.Hinge()([[2.0]], [[0.5]]), ValueError, r"labels -1 and \+1, or 0 and 1, got 2.0"),
        (lambda: losses.SquaredHinge()([[0.0], [-1.0]], [[1.0], [1.0]]), ValueError, "both 0 and -1"),
        (lambda: losses.CategoricalCrossentropy()([0, 1], np.ones((2, 3))), ValueError, "use sparse_categorical"),
        (lambda: losses.CategoricalCrossentropy()([[0], [1]], np.ones((2, 3))), ValueError, "to_categorical"),
        (lambda: losses.CategoricalHinge()([0, 1], np.ones((2, 3))), ValueError, "y_true has shape"),
        (lambda: losses.SparseCategoricalCrossentropy()(np.eye(2), np.ones((2, 2))), ValueError, "looks one-hot"),
        (lambda: losses.SparseCategoricalCrossentropy()([0, 1, 2], np.ones((2, 3))), ValueError, r"shape \(2,\)"),
        (lambda: losses.SparseCategoricalCrossentropy()([0, 3], np.ones((2, 3))), ValueError, "label 3 at index"),
        (lambda: losses.SparseCategoricalCrossentropy()([0, -1], np.ones((2, 3))), ValueError, r"outside 0\.\.2"),
        (lambda: losses.SparseCategoricalCrossentropy()([0, 0.5], np.ones((2, 3))), ValueError, "whole numbers, got"),
        (lambda: losses.SparseCategoricalCrossentropy()([0, np.inf], np.ones((2, 3))), ValueError, "whole numbers"),
        (lambda: losses.SparseCategoricalCrossentropy()([0, np.nan], np.ones((2, 3))), ValueError, "whole numbers"),
        (lambda: losses.SparseCategoricalCrossentropy(label_smoothing=0.1), TypeError, "label_smoothing"),
        (lambda: losses.SparseCategoricalCrossentropy(ignore_class=1.5), TypeError, "ignore_class"),
        (lambda: losses.SparseCategoricalCrossentropy(axis=True), TypeError, "axis"),
        (lambda: losses.Contrastive()([1, 0], np.zeros((2, 3, 4))), ValueError, r"shape \(N, 2, d\)"),
        (lambda: losses.Contrastive()([1, -1], np.zeros((2, 2, 4))), ValueError, "1 for a similar pair"),
        (lambda: losses.Contrastive()([1], np.zeros((2, 2, 4))), ValueError, "each of the 2 samples"),
        (lambda: losses.Triplet()(None, np.zeros((2, 4))), ValueError, "mining='hard'"),
        (lambda: losses.Triplet(mining="soft"), ValueError, "mining: unknown name"),
        (lambda: losses.Triplet(mining="hard")([0, 1], np.zeros((2, 3, 4))), ValueError, r"shape \(N, d\)"),
        (lambda: losses.Triplet(mining="hard")([0, 1, 2], np.zeros((2, 4))), ValueError, "each of the 2 embeddings"),
        (lambda: losses.Triplet(mining="hard")([0, 0.5], np.zeros((2, 4))), ValueError, "whole numbers"),
        (lambda: losses.MarginRanking()([1, 0], np.zeros((2, 2))), ValueError, r"\+1 where the first"),
        (lambda: losses.MarginRanking()([1, np.nan], np.zeros((2, 2))), ValueError, "y_true"),
        (lambda: losses.MarginRanking()([1, 1], np.zeros((2, 3))), ValueError, "two scores"),
        (lambda: losses.get("huberr"), ValueError, "did you mean 'huber'"),
        (lambda: losses.get(3), TypeError, "expected a name"),
        (lambda: losses.as_loss(np.mean), TypeError, "has no gradient"),
        (lambda: losses.as_loss(None), TypeError, "has no gradient"),
        (lambda: losses.serialize(3), TypeError, "expected a Loss"),
        (lambda: losses.deserialize({"config": {}}), TypeError, "class_name"),
        (lambda: losses.deserialize({"class_name": "huber", "config": {}}), TypeError, "is a function"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call()
# fmt: on


def test_one_class_is_warned_of():
    with pytest.warns(SyntaxWarning, match="one class only"):
        losses.CategoricalCrossentropy()([[1.0]], [[0.5]])


# Names.


@cases
def test_a_loss_comes_back_from_its_config(case: Case):
    loss = case.make(reduction="sum", name="mine", dtype="float64")
    config = loss.get_config()
    assert config.items() >= {"reduction": "sum", "name": "mine", "dtype": "float64", **case.options}.items()
    again = losses.deserialize(losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == config
    assert repr(again) == repr(loss)
    y, p = case.arrays(3, 4)
    assert again(y, p) == loss(y, p)


@pytest.mark.parametrize("name", losses.names())
def test_names_give_functions_and_classes(name: str):
    function = losses.get(name)
    assert function is getattr(losses, name)
    assert losses.deserialize(losses.serialize(function)) is function
    loss = losses.as_loss(name)
    assert losses.as_loss(function).get_config() == loss.get_config()
    assert losses.get(type(loss)).get_config() == losses.get(type(loss).__name__).get_config() == loss.get_config()
    for case in (c for c in CASES if c.name == name):
        y, p = case.arrays(5, 4)
        assert np.array_equal(function(y, p, **case.options), case.make(reduction=None)(y, p))
    with pytest.raises(TypeError):
        function(y, p, nonsense=1)


def test_aliases_are_those_of_keras():
    for alias, name in (("mse", "mean_squared_error"), ("KLD", "kl_divergence"), ("bce", "binary_crossentropy")):
        assert losses.get(alias) is getattr(losses, name)
    assert losses.get(None) is None
    assert losses.deserialize({"class_name": "function", "config": "huber"}) is losses.huber
    assert losses.deserialize("Mine", custom_objects={"Mine": losses.Huber}).delta == 1.0


def test_everything_public_is_exported():
    public = {name for name in vars(losses) if not name.startswith("_")}
    internal = {"inspect", "Callable", "Any", "TableLoss", "LossFunction", "as_loss"}
    assert public - internal == set(losses.__all__)


# Losses of one's own.


class Square(losses.Loss):
    def call(self, y_true, y_pred):
        return np.mean((y_pred - y_true) ** 2, axis=-1)

    def gradient(self, y_true, y_pred):
        return 2 * (y_pred - y_true) / y_pred.shape[-1]


@pytest.mark.parametrize("reduction", [*REDUCTIONS, None])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss_written_in_python_is_weighed_and_reduced(reduction: str | None, weighted: bool):
    r = np.random.default_rng(4)
    y, p = r.normal(size=(2, 6, 3))
    weight = r.uniform(size=6) if weighted else None
    own, table = Square(reduction=reduction), losses.MeanSquaredError(reduction=reduction)
    np.testing.assert_allclose(own(y, p, weight), table(y, p, weight), rtol=1e-14)
    np.testing.assert_allclose(own.gradient(y, p, weight), table.gradient(y, p, weight), rtol=1e-14)
    value, gradient = own.value_and_gradient(y, p, weight)
    assert np.array_equal(value, own(y, p, weight))
    assert np.array_equal(gradient, own.gradient(y, p, weight))


def test_subclasses_of_every_kind():
    assert Square().name == "square"
    assert Square()([[0.0]], [[2.0]]) == 4.0
    assert Square(dtype="float32").gradient([[0.0]], [[2.0]]).dtype == np.float32
    assert losses.get(Square).get_config() == {"name": "square", "reduction": "sum_over_batch_size"}
    assert losses.deserialize(losses.serialize(Square()), {"Square": Square}).name == "square"

    class OnlyCall(losses.MeanSquaredError):
        def call(self, y_true, y_pred):
            return 10 * super().call(y_true, y_pred)

    assert OnlyCall()([[0.0]], [[2.0]]) == 40.0
    with pytest.raises(NotImplementedError, match="OnlyCall does not define gradient"):
        OnlyCall().gradient([[0.0]], [[2.0]])

    class OnlyGradient(losses.MeanSquaredError):
        def gradient(self, y_true, y_pred):
            return np.sign(y_pred - y_true)

    assert OnlyGradient()([[0.0]], [[2.0]]) == 4.0
    assert OnlyGradient().gradient([[0.0], [0.0]], [[2.0], [2.0]]).tolist() == [[0.5], [0.5]]
    with pytest.raises(NotImplementedError, match="does not define call"):
        losses.Loss()([[0.0]], [[0.0]])

    class WrongShape(losses.Loss):
        def call(self, y_true, y_pred):
            return np.zeros(7)

    with pytest.raises(ValueError, match=r"WrongShape.call returned losses of shape \(7,\)"):
        WrongShape()([[0.0]], [[0.0]])


# Triplets found in a batch.


def mined(x: np.ndarray, labels: np.ndarray, margin: float, squared: bool, mining: str) -> list[float | None]:
    """The loss of each anchor, by plain search; None where there is no triplet."""

    def distance(a, b):
        return np.sum((a - b) ** 2) if squared else np.sqrt(np.sum((a - b + 1e-6) ** 2))

    result: list[float | None] = []
    for a in range(len(x)):
        d = [distance(x[a], other) for other in x]
        near = [j for j in range(len(x)) if labels[j] == labels[a] and j != a]
        far = [j for j in range(len(x)) if labels[j] != labels[a]]
        if not near or not far:
            result.append(None)
        elif mining == "hard":
            result.append(max(0.0, max(d[j] for j in near) - min(d[j] for j in far) + margin))
        else:
            terms = []
            for p in near:
                farther = [d[j] for j in far if d[j] > d[p]]
                terms.append(max(0.0, d[p] - (min(farther) if farther else max(d[j] for j in far)) + margin))
            result.append(float(np.mean(terms)))
    return result


@pytest.mark.parametrize("mining", ["hard", "semi-hard"])
@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("d", [1, 7, 40, 1100])
def test_mined_triplets_are_those_of_a_plain_search(mining: str, squared: bool, dtype: str, d: int):
    r = np.random.default_rng(5)
    x = (r.normal(size=(23, d)) / np.sqrt(d)).astype(dtype)
    labels = np.array([*r.integers(-3, 2, 22), 99])
    rtol = 1e-12 if dtype == "float64" else 2e-5
    expected = mined(x.astype(np.float64), labels, 0.4, squared, mining)
    assert expected[-1] is None  # the only one of its kind
    each = losses.Triplet(margin=0.4, squared=squared, mining=mining, reduction="none")
    np.testing.assert_allclose(each(labels, x), [value or 0.0 for value in expected], rtol=rtol, atol=rtol)
    loss = losses.Triplet(margin=0.4, squared=squared, mining=mining)
    np.testing.assert_allclose(loss(labels, x), np.mean([v for v in expected if v is not None]), rtol=rtol)
    weight, h = r.uniform(size=23), 1e-6
    gradient, x64 = loss.gradient(labels, x, weight), x.astype(np.float64)
    for i in [(0, 0), (5, d - 1), (22, 0), (11, d // 2)]:
        up, down = x64.copy(), x64.copy()
        up[i] += h
        down[i] -= h
        numeric = (loss(labels, up, weight) - loss(labels, down, weight)) / (2 * h)
        np.testing.assert_allclose(gradient[i], numeric, rtol=1e-3 if dtype == "float32" else 1e-5, atol=2e-7)
    assert np.count_nonzero(gradient)


def test_mining_without_triplets_costs_nothing_and_nan_passes():
    x = np.random.default_rng(6).normal(size=(4, 2))
    for labels in ([0, 0, 0, 0], [0, 1, 2, 3]):
        loss = losses.Triplet(mining="hard")
        assert loss(labels, x) == 0.0
        assert not loss.gradient(labels, x).any()
    x[1, 0] = np.nan
    assert np.isnan(losses.Triplet(mining="hard")([0, 0, 1, 1], x))


def test_mining_does_not_depend_on_threads(same_for_threads):
    r = np.random.default_rng(7)
    x, labels = r.normal(size=(90, 20)).astype(np.float32), r.integers(0, 5, 90)
    loss = losses.Triplet(mining="semi-hard", squared=False)
    same_for_threads(lambda: (np.array([loss(labels, x)]), loss.gradient(labels, x)))
