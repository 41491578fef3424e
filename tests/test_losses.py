"""Losses against the reference in plain Python, against finite differences, and at every edge."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loss_cases import CASES, LOGITS, Case, one_hot_logits

from fastnn import losses
from fastnn._core.losses import ROWS
from fastnn.reference.losses import LOSSES, REDUCTIONS, cost, cost_gradient

TOLERANCE = {"float64": {"rtol": 1e-12, "atol": 1e-14}, "float32": {"rtol": 2e-5, "atol": 2e-7}}
# Where p is clipped to 1 - 1e-7 the reference, as Keras, computes 1 - p, which has nine digits; ours has sixteen
CLIPPED = 1e-10
DTYPES = list(TOLERANCE)
EPSILON = 1e-7
SIZES = [(5, 1), (3, 2), (37, 10), (4, 15), (4, 16), (3, 17), (3, 33), (2, 1000), (1, 2500)]

cases = pytest.mark.parametrize("case", CASES, ids=str)
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def assert_close(actual: Any, expected: Any, dtype: str, rtol: float = 0) -> None:
    """Close in relative terms, and in terms of the largest of a batch where an element is small by cancellation."""
    expected = np.asarray(expected, dtype=np.float64)
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
    rtol, atol = max(rtol, TOLERANCE[dtype]["rtol"]), TOLERANCE[dtype]["atol"] * largest
    np.testing.assert_allclose(np.asarray(actual, dtype=np.float64), expected, rtol=rtol, atol=atol)


def plain(array: Any) -> Any:
    return None if array is None else np.asarray(array).tolist()


def samples(y: Any, p: np.ndarray) -> list[tuple[Any, Any]]:
    return [(None if y is None else plain(y[i]), plain(p[i])) for i in range(len(p))]


# The reference.


def test_every_row_of_the_table_has_a_case_and_a_reference():
    from_table = {row["name"].removesuffix("_from_logits") for row in ROWS} - {"contrastive_distance"}
    assert from_table == {case.name for case in CASES} == set(LOSSES) == set(losses.names())
    with_logits = {row["name"] for row in ROWS if row["name"].endswith("_from_logits")}
    assert with_logits == {f"{case.name}_from_logits" for case in CASES if case.options.get("from_logits")}


@cases
@dtypes
@pytest.mark.parametrize(("n", "d"), SIZES)
def test_losses_and_gradients_of_samples_are_the_references(case: Case, dtype: str, n: int, d: int):
    if d == 1 and case.needs_two_classes:
        pytest.skip("one class: see test_one_class_is_warned_of")
    y, p = case.arrays(n, d, dtype)
    loss = case.make(reduction="none")
    values, gradient = loss(y, p), loss.gradient(y, p)
    assert values.dtype == gradient.dtype == p.dtype
    assert gradient.shape == p.shape
    reference = LOSSES[case.name]
    assert_close(values, [reference.value(a, b, **case.options) for a, b in samples(y, p)], dtype)
    expected = [reference.gradient(a, b, **case.options) for a, b in samples(y, p)]
    assert_close(gradient, expected, dtype)
    assert np.count_nonzero(gradient) or d == 1 or n < 3
    again, same = loss.value_and_gradient(y, p)
    assert np.array_equal(again, values)
    assert np.array_equal(same, gradient)


@cases
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "d"), [(11, 4), (6, 1030)])  # rows that fit a block of 1,024, and longer ones
def test_costs_and_their_gradients_are_the_references(case: Case, reduction: str, weighted: bool, n: int, d: int):
    y, p = case.arrays(n, d)
    weight = np.random.default_rng(1).uniform(0, 2, len(p)) if weighted else None
    loss = case.make(reduction=reduction)
    value, gradient = loss.value_and_gradient(y, p, weight)
    expected = cost(case.name, plain(y), plain(p), plain(weight), reduction, **case.options)
    assert_close(value, expected, "float64")
    assert isinstance(value, float if reduction != "none" else np.ndarray)
    expected = cost_gradient(case.name, plain(y), plain(p), plain(weight), reduction, **case.options)
    assert_close(gradient, expected, "float64")
    assert np.count_nonzero(gradient)
    assert np.array_equal(value, loss(y, p, weight))
    assert np.array_equal(gradient, loss.gradient(y, p, weight))


@cases
def test_rows_of_a_large_batch_keep_their_weights(case: Case, with_threads):
    """So many that several threads share them: the gradient of a row is that of the row and its weight alone."""
    with_threads(3)
    y, p = case.arrays(9001, 8, "float32")
    weight = np.random.default_rng(1).uniform(0, 2, len(p))
    loss = case.make(reduction="sum")
    value, gradient = loss.value_and_gradient(y, p, weight)
    pieces = [slice(i, i + 600) for i in range(0, len(p), 600)]
    parts = [loss.value_and_gradient(None if y is None else y[i], p[i], weight[i]) for i in pieces]
    np.testing.assert_allclose(value, sum(part for part, _ in parts), rtol=1e-12)
    np.testing.assert_array_equal(gradient, np.concatenate([part for _, part in parts]))


@cases
def test_gradients_are_those_of_finite_differences(case: Case):
    y, p = case.arrays(3, 5)
    weight = np.array([0.5, 2.0, 1.0])
    loss, h = case.make(), 1e-6
    gradient = loss.gradient(y, p, weight)
    numeric = np.zeros_like(p)
    for i in np.ndindex(p.shape):
        up, down = p.copy(), p.copy()
        up[i] += h
        down[i] -= h
        numeric[i] = (loss(y, up, weight) - loss(y, down, weight)) / (2 * h)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8 * max(1, np.abs(numeric).max()))


@pytest.mark.parametrize("row", [row for row in ROWS if row["kinks"]], ids=lambda row: row["name"])
@dtypes
def test_at_a_kink_the_gradient_is_that_of_the_table(row: dict[str, str], dtype: str):
    loss = losses.as_loss(row["name"])
    for place in row["kinks"].split():
        point, slope = place.split(":")
        y, p = map(float, point.split(","))
        assert loss.gradient([[y]], np.array([[p]], dtype)) == float(slope)
        assert LOSSES[row["name"]].gradient([y], [p]) == [float(slope)]
        sides = [loss.gradient([[y]], np.array([[p + side]], dtype)).item() for side in (-0.5, 0.5)]
        assert sides[0] != sides[1]


def test_ties_of_the_categorical_hinge_share_its_gradient():
    loss = losses.CategoricalHinge()
    for y, p, gradient in (([0, 0, 1], [2.0, 2.0, 0.0], [0.5, 0.5, -1.0]), ([0, 1], [1.0, 2.0], [0.5, -0.5])):
        assert loss.gradient([y], [p]).tolist() == [gradient]
        assert LOSSES["categorical_hinge"].gradient(y, p) == gradient


def test_equal_embeddings_have_no_direction():
    same = np.ones((2, 2, 3))
    assert losses.Contrastive()([0, 0], same) == 0.5
    assert not losses.Contrastive().gradient([0, 1], same).any()
    assert losses.CosineSimilarity()([[1.0, 0.0]], [[0.0, 0.0]]) == 0.0
    np.testing.assert_allclose(losses.CosineSimilarity().gradient([[1.0, 0.0]], [[0.0, 0.0]]), [[-1e7, 0.0]])


# Extremes.


@dtypes
def test_logits_that_are_huge_lose_nothing(dtype: str):
    z = np.array([[1e4, -1e4], [-1e4, 1e4], [1e4, 1e4], [0.0, 1e4]], dtype)
    numbers = [0, 0, 1, 0]
    for loss, y in (
        (losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none"), numbers),
        (losses.CategoricalCrossentropy(from_logits=True, reduction="none"), np.eye(2)[numbers]),
    ):
        assert loss(y, z).tolist() == pytest.approx([0, 2e4, np.log(2), 1e4])
        assert loss.gradient(y, z).tolist() == [[0, 0], [-1, 1], [0.5, -0.5], [-1, 1]]
    binary = losses.BinaryCrossentropy(from_logits=True, reduction="none")
    column = np.array([[1e4], [-1e4], [1e4], [-1e4]], dtype)
    assert binary([[1], [0], [0], [1]], column).tolist() == [0, 0, 1e4, 1e4]
    assert binary.gradient([[1], [0], [0], [1]], column).tolist() == [[0], [0], [1], [-1]]


@dtypes
def test_confident_logits_keep_their_digits(dtype: str):
    """A margin of 25 leaves a loss of e^-25, which 1 + e^-25 would lose in float32."""
    tail, rtol = np.exp(-25), 1e-5
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    z = np.array([[25.0, 0.0]], dtype)
    np.testing.assert_allclose(loss([0], z), tail, rtol=rtol)
    np.testing.assert_allclose(loss.gradient([0], z), [[-tail, tail]], rtol=rtol)
    binary = losses.BinaryCrossentropy(from_logits=True)
    for y, z in ((1, 25), (0, -25)):
        column = np.array([[z]], dtype)
        np.testing.assert_allclose(binary([[y]], column), tail, rtol=rtol)
        np.testing.assert_allclose(binary.gradient([[y]], column), [[-np.sign(z) * tail]], rtol=rtol)


@dtypes
def test_log_cosh_keeps_its_digits_at_both_ends(dtype: str):
    loss = losses.LogCosh(reduction="none")
    e = np.array([[1e-4], [-1e-3], [0.999], [1.0], [1.001], [30.0], [-1e4]], dtype)
    expected = [LOSSES["log_cosh"].value([0.0], row) for row in e.tolist()]
    rtol = 1e-14 if dtype == "float64" else 1e-6
    np.testing.assert_allclose(loss(np.zeros_like(e), e), expected, rtol=rtol)
    np.testing.assert_allclose(loss(np.zeros_like(e), e)[0], 0.5e-8, rtol=1e-6)


@dtypes
@pytest.mark.parametrize("name", ["binary_crossentropy", "binary_focal_crossentropy", "kl_divergence"])
def test_probabilities_of_0_and_1_are_clipped(name: str, dtype: str):
    y, p = [0.0, 0.0, 1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0, 1.5, -0.5]
    loss, array = losses.as_loss(name), np.array([p], dtype)
    assert_close(loss([y], array), LOSSES[name].value(y, array[0].tolist()), dtype, CLIPPED)
    assert_close(loss.gradient([y], array), [LOSSES[name].gradient(y, array[0].tolist())], dtype, CLIPPED)


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_focal_logits_keep_their_digits(y: float):
    """Without focus it is the cross-entropy, which from logits is exact, until the probability is clipped."""
    z = np.linspace(-16, 16, 65)[:, None]
    focal = losses.binary_focal_crossentropy(np.full_like(z, y), z, gamma=0.0, from_logits=True)
    exact = losses.binary_crossentropy(np.full_like(z, y), z, from_logits=True)
    np.testing.assert_allclose(focal, exact, rtol=2e-12, atol=2e-16)
    wrong = losses.binary_focal_crossentropy([[y]], [[1e4 * (1 - 2 * y)]], gamma=0.0, from_logits=True)
    assert wrong == pytest.approx(-np.log(EPSILON))


@dtypes
@pytest.mark.parametrize("sparse", [False, True])
def test_categorical_probabilities_of_0_and_1_are_clipped(dtype: str, sparse: bool):
    p = np.array([[0, 1, 0], [1, 0, 0], [0.5, 0.5, 0], [0, 3, 0]], dtype)
    numbers = [1, 1, 2, 0]
    name = "sparse_categorical_crossentropy" if sparse else "categorical_crossentropy"
    y = numbers if sparse else np.eye(3)[numbers].tolist()
    loss = type(losses.as_loss(name))(reduction="none")
    reference = LOSSES[name]
    assert_close(loss(y, p), [reference.value(a, b) for a, b in zip(y, p.tolist(), strict=True)], dtype)
    expected = [reference.gradient(a, b) for a, b in zip(y, p.tolist(), strict=True)]
    assert_close(loss.gradient(y, p), expected, dtype)
    np.testing.assert_allclose(loss(y, p)[1:], -np.log(EPSILON), rtol=1e-6)


@cases
@dtypes
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_in_y_pred_pass_as_in_the_reference(case: Case, dtype: str, bad: float):
    """And touch no other sample."""
    y, p = case.arrays(9, 3, dtype)
    loss = case.make(reduction="none")
    clean = loss.value_and_gradient(y, p)
    p.reshape(9, -1)[4, 0] = bad
    values, gradient = loss.value_and_gradient(y, p)
    others = np.arange(9) != 4
    assert np.array_equal(values[others], clean[0][others])
    assert np.array_equal(gradient[others], clean[1][others])
    target, prediction = samples(y, p)[4]
    expected = LOSSES[case.name].value(target, prediction, **case.options)
    ignored = "ignore_class" in case.options and target == case.options["ignore_class"]
    assert not np.isnan(bad) or ignored or np.isnan(values[4])
    assert_close(values[4], expected, dtype, CLIPPED)
    if not np.isnan(expected):
        assert_close(gradient[4], LOSSES[case.name].gradient(target, prediction, **case.options), dtype, CLIPPED)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_cosine_of_vectors_whose_squares_leave_float32(size: float):
    p = np.array([[3 * size, 4 * size]], np.float32)
    loss, reference = losses.CosineSimilarity(), LOSSES["cosine_similarity"]
    np.testing.assert_allclose(loss([[1.0, 0.0]], p), reference.value([1.0, 0.0], p[0].tolist()), rtol=1e-6)
    gradient = reference.gradient([1.0, 0.0], p[0].tolist())
    np.testing.assert_allclose(loss.gradient([[1.0, 0.0]], p), [gradient], rtol=1e-5)


# Bits.


@cases
@dtypes
@pytest.mark.parametrize("d", [1, 2, 10, 40])
def test_a_sample_does_not_depend_on_its_neighbours(case: Case, dtype: str, d: int):
    d += d == 1 and case.needs_two_classes
    y, p = case.arrays(300, d, dtype)
    loss = case.make(reduction="none")
    values, gradient = loss.value_and_gradient(y, p)
    for i in (0, 1, 7, 133, 299):
        one = slice(i, i + 1)
        alone = loss.value_and_gradient(None if y is None else y[one], p[one])
        assert np.array_equal(alone[0], values[one])
        assert np.array_equal(alone[1], gradient[one])


@cases
def test_bits_do_not_depend_on_threads(case: Case, same_for_threads):
    y, p = case.arrays(20000, 10, "float32")
    weight = np.random.default_rng(2).uniform(0, 1, len(p))
    loss = case.make()

    def run():
        value, gradient = loss.value_and_gradient(y, p, weight)
        return np.array([value]), gradient, loss.gradient(y, p)

    same_for_threads(run)


BITS = f"""
import hashlib, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from loss_cases import CASES
for case in CASES:
    digest = hashlib.sha256()
    for dtype in ("float32", "float64"):
        for n, d in ((40, 2), (33, 10), (5, 37), (1, 1100)):
            y, p = case.arrays(n, d, dtype)
            for part in case.make(reduction="none").value_and_gradient(y, p):
                digest.update(part.tobytes())
    print(case, digest.hexdigest())
"""


def test_every_instruction_set_with_fma_gives_the_same_bits(on_each_isa):
    results = {isa: printed.splitlines() for isa, printed in on_each_isa(BITS).items() if isa != "base"}
    for lines in results.values():
        assert len(lines) == len(CASES)
        assert lines == next(iter(results.values()))


@pytest.mark.parametrize("d", [2, 300, 1500])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_value_alone_and_a_gradient_alone_are_those_of_one_pass(d: int, weighted: bool):
    case = Case(losses.CategoricalCrossentropy, one_hot_logits, LOGITS)
    y, p = case.arrays(9, d, "float32")
    weight = np.linspace(0.5, 1.5, 9) if weighted else None
    value, gradient = case.make().value_and_gradient(y, p, weight)
    assert case.make()(y, p, weight) == value
    assert np.array_equal(case.make().gradient(y, p, weight), gradient)


def test_losses_are_summed_in_float64():
    p = np.full((100_000, 1), 0.1, np.float32)
    cost = losses.MeanAbsoluteError(reduction="sum")(np.zeros_like(p), p)
    assert cost == pytest.approx(float(p[0, 0]) * 1e5, rel=1e-12)


# The worked figures of the course.


def test_worked_figures():
    sparse = losses.SparseCategoricalCrossentropy()
    for p, figure in ((0.01, 4.6051701860), (0.7, 0.3566749439), (0.2, 1.6094379124), (0.1, 2.3025850930)):
        assert sparse([0], [[p, 1 - p]]) == pytest.approx(figure, abs=1e-9)
        assert LOSSES["sparse_categorical_crossentropy"].value(0, [p, 1 - p]) == pytest.approx(figure, abs=1e-9)
    for q, figure in (((0.6, 0.3, 0.1), 0.0268124543), ((0.1, 0.8, 0.1), 1.0848782320)):
        assert losses.KLDivergence()([[0.7, 0.2, 0.1]], [q]) == pytest.approx(figure, abs=1e-9)
        assert LOSSES["kl_divergence"].value([0.7, 0.2, 0.1], q) == pytest.approx(figure, abs=1e-9)
    assert losses.hinge([[1], [1], [1]], [[2.0], [0.5], [-0.5]]).tolist() == [0.0, 0.5, 1.5]
    contrastive = losses.contrastive([1, 0, 0], [0.5, 0.5, 3.0], margin=2.0)
    assert (2 * contrastive).tolist() == [0.25, 2.25, 0.0]
    triplets = np.array([[[0.0], [0.8], [1.0]], [[0.0], [0.8], [2.0]]])
    assert losses.triplet(None, triplets, margin=0.5, squared=False) == pytest.approx([0.3, 0.0], abs=1e-9)
    assert losses.triplet(None, triplets[:1], margin=0.5) == pytest.approx([0.14], abs=1e-9)
    ranking = losses.margin_ranking([1, 1, -1], [[3.0, 1.0], [2.0, 2.0], [4.0, 5.0]], margin=1.0)
    assert ranking.tolist() == [0.0, 1.0, 0.0]


# The page.


def test_every_loss_has_its_section_in_the_docs(sources):
    page = (sources / "docs/losses.md").read_text()
    for name in losses.names():
        cls = type(losses.as_loss(name))
        section = page.partition(f"\n### {cls.__name__}\n")[2].partition("\n### ")[0]
        assert section, f"docs/losses.md has no section {cls.__name__}"
        for word in ("Formula", "Ranges", "Gradient", "Use"):
            assert f"**{word}**" in section, f"docs/losses.md: {cls.__name__} says nothing under {word}"
        assert f"`{name}`" in section
        for option in cls._options:
            assert f"`{option}`" in section, f"docs/losses.md: {cls.__name__} does not explain {option}"
