"""Every loss: its gradient against finite differences, its kinks and clips, the figures of the course, reductions."""

import math

import pytest

from fastnn.reference import losses, pair_losses
from fastnn.reference.losses import LOSSES, cost, cost_gradient

NUMBERS = ([0.5, -1.2, 3.0, 0.8], [0.9, -0.4, 1.1, 0.75])
POSITIVE = ([0.5, 1.2, 3.0, 2.0], [0.9, 0.4, 1.1, 2.6])
SIGNS = ([-1.0, 1.0, 1.0, -1.0], [0.4, 0.3, 2.5, -3.0])
BINARY = ([0.0, 1.0, 0.3, 1.0], [0.2, 0.6, 0.7, 0.95])
BINARY_LOGITS = ([0.0, 1.0, 0.3, 1.0], [-1.2, 0.4, 2.0, -3.0])
CLASSES = ([0.0, 0.7, 0.1, 0.2], [0.2, 0.5, 0.4, 0.1])
CLASS_LOGITS = ([0.0, 0.7, 0.1, 0.2], [-1.0, 0.5, 0.4, 2.0])
PAIR = [[0.3, -0.2, 0.5], [0.1, 0.4, 0.9]]
TRIPLET = [[0.3, -0.2, 0.5], [0.1, 0.4, 0.9], [0.4, 0.2, 0.1]]

CASES = [  # name, options, y_true, y_pred
    ("mean_squared_error", {}, *NUMBERS),
    ("half_mean_squared_error", {}, *NUMBERS),
    ("mean_absolute_error", {}, *NUMBERS),
    ("huber", {}, *NUMBERS),
    ("huber", {"delta": 0.3}, *NUMBERS),
    ("smooth_l1", {}, *NUMBERS),
    ("smooth_l1", {"beta": 0.3}, *NUMBERS),
    ("log_cosh", {}, *NUMBERS),
    ("mean_absolute_percentage_error", {}, *NUMBERS),
    ("mean_squared_logarithmic_error", {}, *POSITIVE),
    ("poisson", {}, *POSITIVE),
    ("cosine_similarity", {}, *NUMBERS),
    ("binary_crossentropy", {}, *BINARY),
    ("binary_crossentropy", {"label_smoothing": 0.2}, *BINARY),
    ("binary_crossentropy", {"from_logits": True}, *BINARY_LOGITS),
    ("binary_crossentropy", {"from_logits": True, "label_smoothing": 0.2}, *BINARY_LOGITS),
    ("categorical_crossentropy", {}, *CLASSES),
    ("categorical_crossentropy", {"label_smoothing": 0.2}, *CLASSES),
    ("categorical_crossentropy", {"from_logits": True}, *CLASS_LOGITS),
    ("categorical_crossentropy", {"from_logits": True, "label_smoothing": 0.2}, *CLASS_LOGITS),
    ("sparse_categorical_crossentropy", {}, 2, CLASSES[1]),
    ("sparse_categorical_crossentropy", {"from_logits": True}, [2], CLASS_LOGITS[1]),
    ("sparse_categorical_crossentropy", {"from_logits": True, "ignore_class": 1}, 2, CLASS_LOGITS[1]),
    ("binary_focal_crossentropy", {}, *BINARY),
    ("binary_focal_crossentropy", {"gamma": 1.5, "label_smoothing": 0.1}, *BINARY),
    ("binary_focal_crossentropy", {"apply_class_balancing": True, "alpha": 0.4, "from_logits": True}, *BINARY_LOGITS),
    ("binary_focal_crossentropy", {"gamma": 0.0}, *BINARY),
    ("categorical_focal_crossentropy", {}, *CLASSES),
    ("categorical_focal_crossentropy", {"alpha": 0.6, "gamma": 1.5, "label_smoothing": 0.1}, *CLASSES),
    ("categorical_focal_crossentropy", {"from_logits": True}, *CLASS_LOGITS),
    ("kl_divergence", {}, *CLASSES),
    ("hinge", {}, *SIGNS),
    ("squared_hinge", {}, *SIGNS),
    ("categorical_hinge", {}, [0.0, 1.0, 0.0, 0.0], CLASS_LOGITS[1]),
    ("contrastive", {}, 1.0, PAIR),
    ("contrastive", {"margin": 2.0}, 0.0, PAIR),
    ("contrastive", {"margin": 2.0}, [0.0], [0.5]),
    ("triplet", {}, None, TRIPLET),
    ("triplet", {"squared": False, "margin": 0.5}, None, TRIPLET),
    ("margin_ranking", {"margin": 1.0}, 1.0, [0.3, 0.8]),
    ("margin_ranking", {}, [-1.0], [0.9, 0.8]),
]


def moved(nested, path, by):
    """A copy of nested lists with one number changed."""
    if not path:
        return nested + by
    return [moved(x, path[1:], by) if i == path[0] else x for i, x in enumerate(nested)]


def paths(nested):
    """The index of every number in nested lists."""
    if not isinstance(nested, list):
        return [()]
    return [(i, *rest) for i, x in enumerate(nested) for rest in paths(x)]


def at(nested, path):
    return at(nested[path[0]], path[1:]) if path else nested


def slopes(f, nested, h=1e-6):
    """d f / d number by central differences, for every number in nested lists."""
    return [(f(moved(nested, p, h)) - f(moved(nested, p, -h))) / (2 * h) for p in paths(nested)]


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), CASES)
def test_gradient_is_the_slope(name, options, y_true, y_pred):
    loss = LOSSES[name]
    gradient = loss.gradient(y_true, y_pred, **options)
    expected = slopes(lambda p: loss.value(y_true, p, **options), y_pred)
    assert [at(gradient, p) for p in paths(y_pred)] == pytest.approx(expected, rel=1e-6, abs=1e-8)
    assert any(abs(e) > 1e-3 for e in expected)


def test_every_loss_is_tested():
    assert {name for name, *_ in CASES} == set(LOSSES)


def test_figures_of_the_course():
    crossentropy = LOSSES["sparse_categorical_crossentropy"].value
    for p, expected in [(0.01, 4.6051701860), (0.7, 0.3566749439), (0.2, 1.6094379124), (0.1, 2.3025850930)]:
        assert crossentropy(0, [p, 1.0 - p]) == pytest.approx(expected, abs=1e-9)
    kl = LOSSES["kl_divergence"].value
    assert kl([0.7, 0.2, 0.1], [0.6, 0.3, 0.1]) == pytest.approx(0.0268124543, abs=1e-9)
    assert kl([0.7, 0.2, 0.1], [0.1, 0.8, 0.1]) == pytest.approx(1.0848782320, abs=1e-9)
    assert [LOSSES["hinge"].value([1.0], [s]) for s in (2.0, 0.5, -0.5)] == [0.0, 0.5, 1.5]
    contrastive = LOSSES["contrastive"].value
    terms = [2.0 * contrastive(y, [d], margin=2.0) for y, d in [(1, 0.5), (0, 0.5), (0, 3.0)]]
    assert terms == [0.25, 2.25, 0.0]
    assert pair_losses.triplet_of_distances(0.8, 1.0, 0.5) == pytest.approx(0.3)
    assert pair_losses.triplet_of_distances(0.8, 2.0, 0.5) == 0.0
    squared = LOSSES["triplet"].value(None, [[0.0], [0.8], [1.0]], margin=0.5)
    assert squared == pytest.approx(0.14)
    ranking = LOSSES["margin_ranking"].value
    assert [ranking(y, [a, b], margin=1.0) for y, a, b in [(1, 3, 1), (1, 2, 2), (-1, 4, 5)]] == [0.0, 1.0, 0.0]


HALF = math.log(2.0)
FIGURES = [  # name, options, y_true, y_pred, loss by hand
    ("mean_squared_error", {}, [1.0, 2.0], [3.0, 1.0], 2.5),
    ("half_mean_squared_error", {}, [1.0, 2.0], [3.0, 1.0], 1.25),
    ("mean_absolute_error", {}, [1.0, 2.0], [3.0, 1.0], 1.5),
    ("huber", {}, [0.0, 0.0], [3.0, 0.5], (2.5 + 0.125) / 2),
    ("huber", {"delta": 2.0}, [0.0], [3.0], 4.0),
    ("smooth_l1", {}, [0.0], [3.0], 2.5),
    ("smooth_l1", {"beta": 2.0}, [0.0], [3.0], 2.0),
    ("log_cosh", {}, [0.0], [HALF], math.log(1.25)),
    ("log_cosh", {}, [0.0], [-2.0 * HALF], math.log(2.125)),
    ("mean_absolute_percentage_error", {}, [2.0, -4.0], [3.0, -3.0], 37.5),
    ("mean_squared_logarithmic_error", {}, [1.0], [3.0], HALF**2),
    ("poisson", {}, [2.0], [1.0], 1.0 - 2.0 * math.log(1.0 + 1e-7)),
    ("cosine_similarity", {}, [3.0, 4.0], [8.0, 6.0], -0.96),
    ("binary_crossentropy", {}, [1.0, 0.0], [0.5, 0.75], 1.5 * HALF),
    ("binary_crossentropy", {"from_logits": True}, [1.0, 0.0], [0.0, 0.0], HALF),
    ("binary_crossentropy", {"label_smoothing": 0.5}, [1.0], [0.5], HALF),
    ("binary_crossentropy", {"label_smoothing": 0.5}, [1.0], [0.8], -0.75 * math.log(0.8) - 0.25 * math.log(0.2)),
    ("categorical_crossentropy", {}, [0.0, 1.0], [1.0, 1.0], HALF),
    ("categorical_crossentropy", {"from_logits": True}, [0.0, 1.0], [0.0, math.log(3.0)], math.log(4 / 3)),
    (
        "categorical_crossentropy",
        {"label_smoothing": 0.5},
        [0.0, 1.0],
        [0.2, 0.8],
        -0.75 * math.log(0.8) - 0.25 * math.log(0.2),
    ),
    ("sparse_categorical_crossentropy", {}, 1, [0.5, 1.5], -math.log(0.75)),
    ("binary_focal_crossentropy", {}, [1.0], [0.5], 0.25 * HALF),
    ("binary_focal_crossentropy", {"apply_class_balancing": True}, [1.0], [0.5], 0.25 * 0.25 * HALF),
    ("binary_focal_crossentropy", {"apply_class_balancing": True}, [0.0], [0.5], 0.75 * 0.25 * HALF),
    ("categorical_focal_crossentropy", {}, [0.0, 1.0], [0.5, 0.5], 0.25 * 0.25 * HALF),
    ("kl_divergence", {}, [0.5, 0.5], [0.25, 0.75], 0.5 * HALF + 0.5 * math.log(2 / 3)),
    ("hinge", {}, [1.0, -1.0], [0.5, 2.0], 1.75),
    ("squared_hinge", {}, [1.0, -1.0], [0.5, 2.0], 4.625),
    ("categorical_hinge", {}, [0.0, 1.0, 0.0], [0.5, 1.0, 0.75], 0.75),
    ("contrastive", {}, 0.0, [0.25], 0.5 * 0.5625),
    ("contrastive", {}, 1.0, [[3.0, 0.0], [0.0, 4.0]], 12.5),
    ("triplet", {}, None, [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]], 2.0),
    ("triplet", {"squared": False, "epsilon": 0.0}, None, [[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]], 5.0),
    ("margin_ranking", {}, 1.0, [1.0, 3.0], 2.0),
]


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred", "expected"), FIGURES)
def test_figures(name, options, y_true, y_pred, expected):
    assert LOSSES[name].value(y_true, y_pred, **options) == pytest.approx(expected, rel=1e-14)


def test_every_loss_has_a_figure():
    assert {name for name, *_ in FIGURES} == set(LOSSES)


@pytest.mark.parametrize(
    ("name", "options", "y_true", "y_pred", "expected"),
    [
        ("mean_absolute_error", {}, [1.0, 2.0], [1.0, 2.5], [0.0, 0.5]),
        ("hinge", {}, [1.0, -1.0], [1.0, -1.0], [-0.25, 0.25]),
        ("hinge", {}, [1.0, 0.0], [2.0, 3.0], [0.0, 0.5]),
        ("squared_hinge", {}, [1.0], [1.0], [0.0]),
        ("categorical_hinge", {}, [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-1.0, 1 / 3, 1 / 3]),
        ("categorical_hinge", {}, [1.0, 0.0], [1.5, 0.5], [-0.5, 0.5]),
        ("contrastive", {}, 0.0, [[1.0, 2.0], [1.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]),
        ("contrastive", {}, 0.0, [1.0], [0.0]),
        ("triplet", {}, None, [[0.0], [0.0], [1.0]], [[0.0], [0.0], [0.0]]),
        ("margin_ranking", {}, 1.0, [2.0, 2.0], [0.0, 0.0]),
        ("mean_squared_logarithmic_error", {}, [1.0], [-0.5], [0.0]),
        ("binary_crossentropy", {}, [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]),
        ("categorical_crossentropy", {}, [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]),
        ("categorical_focal_crossentropy", {}, [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]),
        ("kl_divergence", {}, [0.5, 0.5], [0.0, 1.0], [0.0, -0.5]),
        ("sparse_categorical_crossentropy", {"ignore_class": 2}, 2, [0.1, 0.2, 0.7], [0.0, 0.0, 0.0]),
    ],
)
def test_gradient_at_kinks_and_clips(name, options, y_true, y_pred, expected):
    gradient = LOSSES[name].gradient(y_true, y_pred, **options)
    got = [at(gradient, p) for p in paths(y_pred)]
    assert got == pytest.approx([at(expected, p) for p in paths(y_pred)])


def test_cosine_of_a_vector_too_short_to_have_a_direction():
    """Norms below 1e-7 count as 1e-7, so the loss is linear there."""
    value, gradient = LOSSES["cosine_similarity"].value, LOSSES["cosine_similarity"].gradient
    assert value([3.0, 4.0], [0.0, 0.0]) == 0.0
    assert value([3.0, 4.0], [1e-9, 0.0]) == pytest.approx(-0.006)
    assert gradient([3.0, 4.0], [1e-9, 0.0]) == pytest.approx([-0.6e7, -0.8e7])


def test_clipped_values():
    assert LOSSES["binary_crossentropy"].value([1.0], [0.0]) == pytest.approx(-math.log(1e-7))
    assert LOSSES["categorical_crossentropy"].value([1.0, 0.0], [0.0, 3.0]) == pytest.approx(-math.log(1e-7))
    assert LOSSES["categorical_crossentropy"].value([0.0, 1.0], [0.0, 3.0]) == pytest.approx(1e-7, rel=1e-6, abs=0.0)
    assert LOSSES["mean_absolute_percentage_error"].value([0.0], [1.0]) == pytest.approx(1e9)


def test_stable_from_large_logits():
    binary, sparse = LOSSES["binary_crossentropy"].value, LOSSES["sparse_categorical_crossentropy"].value
    assert binary([0.0, 1.0], [1000.0, -1000.0], from_logits=True) == 1000.0
    assert sparse(0, [-1000.0, 1000.0], from_logits=True) == 2000.0
    tiny = LOSSES["binary_crossentropy"].gradient([1.0], [40.0], from_logits=True)[0]
    assert tiny == pytest.approx(-4.248354255e-18, rel=1e-6, abs=1e-16)
    assert LOSSES["log_cosh"].value([0.0], [1e-6]) == pytest.approx(5e-13, rel=1e-10, abs=0.0)
    assert LOSSES["log_cosh"].value([0.0], [-800.0]) == pytest.approx(800.0 - math.log(2.0))


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), CASES)
def test_nan_in_a_prediction_is_never_lost(name, options, y_true, y_pred):
    """In the value always; in the gradient, the number that is NaN has a gradient that is NaN, or a constant sign."""
    constant = {"margin_ranking"}
    path = paths(y_pred)[0]
    broken = moved(y_pred, path, math.nan)
    assert math.isnan(LOSSES[name].value(y_true, broken, **options))
    gradient = at(LOSSES[name].gradient(y_true, broken, **options), path)
    assert math.isnan(gradient) or name in constant


@pytest.mark.parametrize("labels", [[0.5, 1.0], [2.0], [-1.0, 0.0], [-1.0, 0.0, 1.0], [math.nan]])
def test_hinge_refuses_other_labels(labels):
    with pytest.raises(ValueError, match="labels"):
        LOSSES["hinge"].value(labels, [0.3] * len(labels))


def test_hinge_labels_are_converted_element_by_element_but_not_mixed_in_a_batch():
    assert cost("hinge", [[0.0], [0.0]], [[0.3], [-2.0]]) == pytest.approx(0.65)
    assert cost("hinge", [[1.0], [0.0]], [[0.3], [-2.0]]) == pytest.approx(0.35)
    with pytest.raises(ValueError, match="labels"):
        cost("hinge", [[-1.0], [0.0]], [[0.3], [-2.0]])


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range_are_refused(label):
    with pytest.raises(ValueError, match="label"):
        LOSSES["sparse_categorical_crossentropy"].value(label, [0.2, 0.3, 0.5])


Y = [[1.0, 0.0], [2.0, 2.0], [0.0, 5.0]]
P = [[1.0, 2.0], [2.0, 6.0], [0.0, 4.0]]  # squared errors 2, 8 and 0.5
WEIGHTS = [1.0, 0.5, 4.0]


@pytest.mark.parametrize(
    ("reduction", "weights", "expected"),
    [
        ("sum_over_batch_size", None, 3.5),
        ("mean", None, 3.5),
        ("mean_with_sample_weight", None, 3.5),
        ("sum", None, 10.5),
        ("none", None, [2.0, 8.0, 0.5]),
        ("sum_over_batch_size", WEIGHTS, 8.0 / 3.0),
        ("mean", WEIGHTS, 8.0 / 3.0),
        ("mean_with_sample_weight", WEIGHTS, 8.0 / 5.5),
        ("sum", WEIGHTS, 8.0),
        ("none", WEIGHTS, [2.0, 4.0, 2.0]),
        ("mean_with_sample_weight", [0.0, 0.0, 0.0], 0.0),
    ],
)
def test_reductions(reduction, weights, expected):
    assert cost("mean_squared_error", Y, P, weights, reduction) == pytest.approx(expected)
    gradient = cost_gradient("mean_squared_error", Y, P, weights, reduction)

    def summed(p):
        c = cost("mean_squared_error", Y, p, weights, reduction)
        return sum(c) if isinstance(c, list) else c

    assert [at(gradient, p) for p in paths(P)] == pytest.approx(slopes(summed, P), abs=1e-7)


def test_unknown_reduction():
    with pytest.raises(ValueError, match="reduction"):
        cost("mean_squared_error", Y, P, None, "average")


def test_weights_align_with_the_leading_axes():
    """(2, 3, 2) predictions: a weight per sample counts for each of its three rows."""
    y, p = [Y, P], [P, Y]
    whole = cost("mean_squared_error", y, p, [1.0, 3.0])
    assert whole == pytest.approx((10.5 + 3 * 10.5) / 6)
    assert whole == pytest.approx(cost("mean_squared_error", y, p, [[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]]))
    assert whole == pytest.approx(cost("mean_squared_error", y, p, [[1.0], [3.0]]))
    gradient = cost_gradient("mean_squared_error", y, p, [1.0, 3.0])
    assert gradient[1][1] == pytest.approx([0.0, -4.0 * 3 / 6])


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [("sum_over_batch_size", 1.5), ("mean_with_sample_weight", 1.0), ("sum", 3.0), ("none", [1.0, 0.0, 2.0])],
)
def test_ignored_class_is_not_counted(reduction, expected):
    unit = math.log(4.0)
    y, p, weights = [0, 3, 1], [[0.25] * 4] * 3, [1.0, 7.0, 2.0]
    got = cost("sparse_categorical_crossentropy", y, p, weights, reduction, ignore_class=3)
    assert got == pytest.approx([e * unit for e in expected] if isinstance(expected, list) else expected * unit)
    gradient = cost_gradient("sparse_categorical_crossentropy", y, p, weights, reduction, ignore_class=3)
    assert gradient[1] == [0.0] * 4
    assert gradient[0][0] < 0.0


def test_all_ignored_is_zero():
    y, p = [3, 3], [[0.25] * 4] * 2
    assert cost("sparse_categorical_crossentropy", y, p, ignore_class=3) == 0.0
    assert cost_gradient("sparse_categorical_crossentropy", y, p, ignore_class=3) == [[0.0] * 4] * 2


def test_pairs_are_counted_once_each():
    assert cost("contrastive", [1, 0], [[0.5], [0.5]], margin=2.0) == pytest.approx((0.125 + 1.125) / 2)
    assert cost("contrastive", [1, 0], [0.5, 0.5], margin=2.0) == pytest.approx((0.125 + 1.125) / 2)
    assert cost_gradient("contrastive", [1, 0], [0.5, 0.5], margin=2.0) == pytest.approx([0.25, -0.75])
    assert cost("triplet", None, [TRIPLET, TRIPLET]) == LOSSES["triplet"].value(None, TRIPLET)
    assert cost_gradient("margin_ranking", [1, -1], [[0.0, 1.0], [0.0, 1.0]]) == [[-0.5, 0.5], [0.0, 0.0]]


def test_functions_reject_rows_of_other_lengths():
    with pytest.raises(ValueError, match="zip"):
        losses.LOSSES["mean_squared_error"].value([1.0], [1.0, 2.0])
