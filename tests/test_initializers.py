"""Initializers: against plain Python number by number, against Keras in names, arguments, messages and statistics."""

import inspect
import json
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import fastnn
from fastnn import initializers
from fastnn.reference import initializers as plain

CLASSES = sorted({initializers.get(name).__class__ for name in initializers.names()}, key=lambda c: c.__name__)
RANDOM = [c for c in CLASSES if issubclass(c, initializers.RandomInitializer)]
DETERMINISTIC = [c for c in CLASSES if c not in RANDOM]


@pytest.mark.parametrize("name", plain.INITIALIZERS)
@pytest.mark.parametrize("shape", [(1, 1), (4, 7), (7, 4), (16, 16), (0, 3)])
def test_values_are_the_reference(name, shape):
    if 0 in shape and name == "orthogonal":
        pytest.skip("the reference has no empty matrices")
    seed = {} if initializers.get(name).__class__ in DETERMINISTIC else {"seed": 2**40 + 3}
    got = initializers.deserialize({"class_name": name, "config": seed})(shape, "float64")
    expected = np.reshape(plain.INITIALIZERS[name](shape, *seed.values()), shape)
    tolerance = 1e-11 if name == "orthogonal" else 1e-15  # sums over rows in another order
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=tolerance)


def test_every_reference_initializer_is_here_and_back():
    assert set(initializers.names()) == set(plain.INITIALIZERS)


@pytest.mark.parametrize("cls", RANDOM, ids=lambda c: c.__name__)
def test_seeds(cls):
    one, other = cls(seed=1), cls(seed=2)
    np.testing.assert_array_equal(one((5, 6)), cls(seed=1)((5, 6)))
    np.testing.assert_array_equal(one((5, 6)), one((5, 6)))
    assert (one((5, 6)) != other((5, 6))).any()
    unseeded, again = cls(), cls()
    assert unseeded.seed != again.seed and (unseeded((5, 6)) != again((5, 6))).any()
    np.testing.assert_array_equal(unseeded((5, 6)), cls(seed=unseeded.seed)((5, 6)))
    assert unseeded.get_config()["seed"] is None and not unseeded.is_seeded
    streams = [one.draw((5, 6), np.dtype("float32"), 1, stream) for stream in (0, 1)]
    np.testing.assert_array_equal(streams[0], one((5, 6)))
    assert (streams[0] != streams[1]).any()


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_precisions_and_shapes(cls):
    init = cls(seed=5) if cls in RANDOM else cls()
    single, double = init((6, 5), "float32"), init((6, 5), np.float64)
    assert (single.dtype, double.dtype) == (np.float32, np.float64) and init([6, 5]).dtype == np.float32
    np.testing.assert_array_equal(single, double.astype(np.float32))
    assert single.flags.c_contiguous and single.flags.writeable
    assert init((0, 4)).shape == (0, 4)
    if cls not in (initializers.Identity, initializers.Orthogonal):
        assert init(3).shape == (3,) and init(()).shape == () and init((2, 3, 4)).shape == (2, 3, 4)
    for bad in ("float16", "int32", object):
        with pytest.raises(ValueError, match="dtype"):
            init((2, 2), bad)
    with pytest.raises(ValueError, match="shape"):
        init((-1, 2))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_config_comes_back(cls):
    init = cls(seed=5) if cls in RANDOM else cls()
    for again in (
        cls.from_config(init.get_config()),
        init.clone(),
        initializers.deserialize(json.loads(json.dumps(initializers.serialize(init)))),
        eval(repr(init), vars(initializers)),
    ):
        assert type(again) is cls and again.get_config() == init.get_config()
        np.testing.assert_array_equal(again((4, 4)), init((4, 4)))


def test_names_arguments_and_descriptions_are_keras(keras):
    theirs = {n for n in dir(keras.initializers) if not n.startswith("_")} - {"STFT", "STFTInitializer", "stft"}
    assert theirs <= set(initializers.__all__), "every name but the short-time Fourier transform's"
    for cls in CLASSES:
        other = getattr(keras.initializers, cls.__name__)
        mine, keras_arguments = (
            {name: p.default for name, p in inspect.signature(c.__init__).parameters.items()} for c in (cls, other)
        )
        assert mine == keras_arguments and list(mine) == list(keras_arguments), cls
        if cls is not initializers.Identity:  # Keras forgets its gain
            assert other().get_config() == cls().get_config(), cls
    for name in ("normal", "uniform", "one", "zero", "Zeros", "glorot_uniform", "HeNormal", "OrthogonalInitializer"):
        assert initializers.get(name).__class__.__name__ == keras.initializers.get(name).__class__.__name__
    for init in (keras.initializers.HeNormal(seed=4), keras.initializers.Constant(2.0)):
        config = keras.initializers.serialize(init)
        assert initializers.deserialize(config).get_config() == init.get_config()


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
@pytest.mark.parametrize("shape", [(300, 200), (200, 300)])
def test_statistics_are_keras(cls, shape, keras):
    """Mean, spread and ends as Keras's, whose generator is another one."""
    arguments = {"seed": 5} if cls in RANDOM else {}
    mine = cls(**arguments)(shape, "float64")
    theirs = np.asarray(getattr(keras.initializers, cls.__name__)(**arguments)(shape, dtype="float64"))
    if cls in DETERMINISTIC:
        np.testing.assert_array_equal(mine, theirs)
        return
    spread = theirs.std()
    assert abs(mine.mean() - theirs.mean()) < 6 * spread / math.sqrt(mine.size)
    assert abs(mine.std() / spread - 1) < 0.015
    if cls not in (initializers.RandomNormal, initializers.Orthogonal):  # the others have ends
        assert mine.max() == pytest.approx(theirs.max(), rel=1e-3)
        assert mine.min() == pytest.approx(theirs.min(), rel=1e-3)


@pytest.mark.parametrize("mode, fan", [("fan_in", 72), ("fan_out", 144), ("fan_avg", 108)])
@pytest.mark.parametrize("distribution", ["uniform", "normal", "truncated_normal", "untruncated_normal"])
def test_variance_scaling(mode, fan, distribution):
    w = initializers.VarianceScaling(3.0, mode, distribution, seed=2)((3, 3, 8, 16), "float64")
    assert w.var() == pytest.approx(3.0 / fan, rel=0.12)
    wider = initializers.VarianceScaling(3.0, mode, distribution, seed=2)((600, 600), "float64")
    assert wider.var() == pytest.approx(3.0 / 600, rel=0.01)
    limit = {"uniform": math.sqrt(3), "untruncated_normal": math.inf}.get(distribution, 2 / plain.TRUNCATED_STDDEV)
    assert np.abs(wider).max() <= limit * math.sqrt(3.0 / 600)


def test_fan_axes():
    a = initializers.HeUniform(seed=1, input_axes=[0, 1], output_axes=[2])((10, 20, 5), "float64")
    assert np.abs(a).max() == pytest.approx(math.sqrt(6 / 200), rel=0.01)


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 9), (40, 40), (100, 30), (30, 100), (4, 5, 7), (150, 150)])
def test_orthogonal(shape, same_for_threads):
    (q,) = same_for_threads(lambda: [initializers.Orthogonal(gain=1.5, seed=4)(shape, "float64")])
    m = q.reshape(-1, shape[-1])
    gram = m.T @ m if len(m) >= shape[-1] else m @ m.T
    np.testing.assert_allclose(gram, 2.25 * np.eye(len(gram)), atol=1e-13)


def test_orthogonal_is_drawn_without_bias():
    """The mean of many is near 0, and each element's mean square is 1 / n."""
    drawn = np.array([initializers.Orthogonal(seed=s)((3, 3), "float64") for s in range(4000)])
    np.testing.assert_allclose(drawn.mean(0), 0, atol=0.05)
    np.testing.assert_allclose((drawn**2).mean(0), 1 / 3, atol=0.03)


def test_what_get_takes():
    assert initializers.get(None) is None
    init = initializers.Zeros()
    assert initializers.get(init) is init
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)

    def halves(shape, dtype=None):
        return np.full(shape, 0.5, dtype)

    assert initializers.get(halves) is halves
    assert initializers.deserialize(initializers.serialize(halves), {"halves": halves}) is halves
    given = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(initializers.get(given)((2, 3)), given)
    assert initializers.get(given)((2, 3)).dtype == np.float32
    with pytest.raises(ValueError, match=r"shape \(2, 3\).*shape \(3, 2\)"):
        initializers.get(given)((3, 2))


class Ramp(initializers.Initializer):
    def __init__(self, slope=1.0):
        self.slope = slope

    def __call__(self, shape, dtype=None):
        return self.slope * np.arange(math.prod(shape), dtype=dtype).reshape(shape)

    def get_config(self):
        return {"slope": self.slope}


def test_your_own():
    config = initializers.serialize(Ramp(3.0))
    assert config["registered_name"] == "Ramp" and config["class_name"] == "Ramp"
    again = initializers.deserialize(config, custom_objects={"Ramp": Ramp})
    assert again((2, 2), "float32").tolist() == [[0.0, 3.0], [6.0, 9.0]]
    with pytest.raises(ValueError, match="Ramp"):
        initializers.deserialize(config)
    with pytest.raises(NotImplementedError, match="__call__"):
        initializers.Initializer()((1,))
    with pytest.raises(NotImplementedError, match="draw"):
        initializers.RandomInitializer(1)((1,))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: initializers.get("glorot_unifrom"), "did you mean 'glorot_uniform'"),
        (lambda: initializers.get(3), "expected a name"),
        (lambda: initializers.get({"config": {}}), "class_name"),
        (lambda: initializers.VarianceScaling(0.0), "scale"),
        (lambda: initializers.VarianceScaling(1.0, "fan"), "mode.*did you mean"),
        (lambda: initializers.VarianceScaling(1.0, "fan_in", "gaussian"), "distribution"),
        (lambda: initializers.RandomNormal(stddev=-1.0), "stddev"),
        (lambda: initializers.RandomNormal(mean=math.nan), "mean"),
        (lambda: initializers.RandomUniform(1.0, 0.0), "maxval"),
        (lambda: initializers.Identity()((3,)), "two axes"),
        (lambda: initializers.Orthogonal()((3,)), "two axes"),
        (lambda: initializers.Constant([1.0, 2.0])((3,)), "value"),
        (lambda: initializers.serialize(lambda shape: shape), "named function"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError):
        initializers.HeNormal(scale=2.0)


@hypothesis.given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**64 - 1))
def test_uniform_stays_within(rows, columns, seed):
    limit = math.sqrt(6 / (rows + columns))
    for dtype in ("float32", "float64"):
        w = initializers.GlorotUniform(seed=seed)((rows, columns), dtype)
        assert np.abs(w).max() <= np.dtype(dtype).type(limit)


def test_to_categorical(keras):
    for x, classes in (([0, 2, 1], None), ([[0], [3]], 5), ([[0, 1], [2, 0]], None), (np.array([1.0, 0.0]), 2)):
        np.testing.assert_array_equal(
            fastnn.utils.to_categorical(x, classes), keras.utils.to_categorical(x, classes), strict=True
        )
    for x, classes, message in (
        ([0, 5], 3, "label 5 at index"),
        ([-1], 2, "label -1"),
        ([0.5], 2, "whole numbers"),
        ([], None, "num_classes"),
        ([1], 0, "num_classes"),
        (["a"], 2, "real numbers"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            fastnn.utils.to_categorical(x, classes)
