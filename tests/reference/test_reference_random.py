"""Philox and what is drawn from it."""

import math
import statistics

import pytest

from fastnn.reference import random

PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
PI_KEY = (0xA4093822, 0x299F31D0)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (PI, PI_KEY, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_published_answers(counter, key, expected):
    assert " ".join(f"{w:08x}" for w in random.philox4x32(counter, key)) == expected


def test_layout_of_key_and_counter():
    """The pi digits again, through seed, stream and word number."""
    seed = PI_KEY[0] | PI_KEY[1] << 32
    stream = PI[2] | PI[3] << 32
    number = PI[0] | PI[1] << 32
    words = [random.word(seed, stream, 4 * number + i) for i in range(4)]
    assert words == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


def test_streams_and_seeds_differ():
    draws = {(s, t): [random.word(s, t, i) for i in range(8)] for s in (0, 1, 1 << 32) for t in (0, 1, 1 << 32)}
    assert len({tuple(d) for d in draws.values()}) == 9


def test_uniform_is_built_from_two_words():
    w0, w1 = random.word(7, 3, 10), random.word(7, 3, 11)
    assert random.uniform(7, 3, 5) == ((w0 >> 5) * 2**26 + (w1 >> 6)) / 2**53
    assert random.word64(7, 3, 5) == w0 * 2**32 + w1


def test_normal_is_the_quantile_of_the_middle_of_a_cell():
    bits = round(random.uniform(7, 3, 5) * 2**53)
    assert bits < 2**52  # where adding a half is exact
    u = (2 * bits + 1) / 2**54
    assert random.from_middle(7, 3, 5) == u - 0.5
    assert random.normal(7, 3, 5) == pytest.approx(random.normal_quantile(u), rel=1e-14)
    low, high = statistics.NormalDist().cdf(-2.0), statistics.NormalDist().cdf(2.0)
    expected = statistics.NormalDist().inv_cdf(low + u * (high - low))
    assert random.truncated_normal(7, 3, 5) == pytest.approx(expected, rel=1e-12)


def test_moments():
    n = 4000
    uniform = [random.uniform(1, 2, i) for i in range(n)]
    normal = [random.normal(1, 3, i) for i in range(n)]
    truncated = [random.truncated_normal(1, 4, i) for i in range(n)]
    assert all(0.0 <= u < 1.0 for u in uniform)
    assert statistics.fmean(uniform) == pytest.approx(0.5, abs=0.02)
    assert statistics.pvariance(uniform) == pytest.approx(1 / 12, abs=0.005)
    assert statistics.fmean(normal) == pytest.approx(0.0, abs=0.06)
    assert statistics.pstdev(normal) == pytest.approx(1.0, abs=0.04)
    assert max(map(abs, normal)) > 2.5
    assert max(map(abs, truncated)) <= 2.0
    assert max(map(abs, truncated)) > 1.9
    assert statistics.pstdev(truncated) == pytest.approx(0.87962566, abs=0.03)


def test_quantile_against_the_standard_library():
    exact = statistics.NormalDist().inv_cdf
    points = [i / 1000 for i in range(1, 1000)] + [1e-300, 1e-100, 1e-20, 1e-10, 1e-6, 0.0749, 0.0751, 1 - 1e-10]
    for p in points:
        assert random.normal_quantile(p) == pytest.approx(exact(p), rel=1e-14, abs=1e-15)


def test_quantile_inverts_the_distribution():
    for p in (1e-12, 1e-5, 0.01, 0.3, 0.5, 0.9, 0.99999):
        x = random.normal_quantile(p)
        assert 0.5 * math.erfc(-x / math.sqrt(2)) == pytest.approx(p, rel=1e-13, abs=0.0)


def test_quantile_at_the_ends():
    assert random.normal_quantile(0.5) == 0.0
    assert random.normal_quantile(0.0) == -math.inf
    assert random.normal_quantile(1.0) == math.inf
    assert all(math.isnan(random.normal_quantile(p)) for p in (-0.1, 1.1, math.nan))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 257])
def test_permutation_is_one(n):
    assert sorted(random.permutation(5, 6, n)) == list(range(n))


def test_permutation_by_hand():
    order = [0, 1, 2, 3]
    for draw, i in enumerate((3, 2, 1)):
        r = 2**32 * random.word(9, 8, 2 * draw) + random.word(9, 8, 2 * draw + 1)
        j = r * (i + 1) // 2**64
        order[i], order[j] = order[j], order[i]
    assert random.permutation(9, 8, 4) == order


def test_permutations_are_equally_likely():
    counts: dict[tuple[int, ...], int] = {}
    for stream in range(1200):
        order = tuple(random.permutation(0, stream, 3))
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert all(150 < c < 250 for c in counts.values())


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_dropout_rate(rate):
    share = statistics.fmean(random.dropped(3, 4, i, rate) for i in range(4000))
    assert share == pytest.approx(rate, abs=0.0 if rate in (0.0, 1.0) else 0.03)


def test_dropout_compares_the_word():
    for i in range(100):
        assert random.dropped(3, 4, i, 0.3) == (random.word(3, 4, i) < int(0.3 * 2**32))
