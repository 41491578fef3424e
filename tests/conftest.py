"""What every test may use."""

import os
import subprocess
import sys
from pathlib import Path

# Keras is compared with on JAX, in double precision; both read this when first imported.
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import hypothesis
import numpy as np
import pytest
from optional import optional

import fastnn

# A busy machine is not a failure, and a failure must come again in the next run.
hypothesis.settings.register_profile("fastnn", deadline=None, derandomize=True, max_examples=60, print_blob=True)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fastnn"))


def pytest_report_header() -> str:
    info = fastnn.cpu_info()
    return f"fastnn {fastnn.__version__} from {os.path.dirname(fastnn.__file__)}; {info['isa']} of {info['available']}"


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Both precisions."""
    return np.dtype(request.param)


@pytest.fixture
def rng():
    """NumPy's generator, the same in every test."""
    return np.random.default_rng(20260101)


@pytest.fixture
def sources():
    """The folder of the sources, which the tests lie in unless they were taken elsewhere to try an installed fastnn."""
    folder = Path(__file__).parents[1]
    if not (folder / "docs").is_dir():
        pytest.skip("the sources are not here")
    return folder


@pytest.fixture
def with_threads():
    """A function that sets fastnn's threads; the former count comes back after the test."""
    before = fastnn.get_num_threads()
    yield fastnn.set_num_threads
    fastnn.set_num_threads(before)


@pytest.fixture
def same_for_threads(with_threads):
    """same_for_threads(f): call f with 1, 2, 3 and 7 threads; its arrays must agree to the last bit. Returns them."""

    def check(function):
        with_threads(1)
        expected = function()
        for count in (2, 3, 7):
            with_threads(count)
            for one, other in zip(expected, function(), strict=True):
                np.testing.assert_array_equal(one.view(np.uint8), other.view(np.uint8), err_msg=f"{count} threads")
        return expected

    return check


@pytest.fixture(scope="session")
def on_each_isa():
    """on_each_isa(code): run Python code once for each instruction set of this machine. Returns what it printed."""

    def run(code):
        def printed(isa):
            environment = {**os.environ, "FASTNN_ISA": isa}
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout

        return {isa: printed(isa) for isa in fastnn.cpu_info()["available"]}

    return run


@pytest.fixture
def keras(monkeypatch):
    """Keras 3 on JAX in double precision, where it is installed."""
    keras = optional("keras", minversion="3.0")
    if keras.backend.backend() != "jax":
        pytest.skip(f"Keras runs on {keras.backend.backend()} here, not on JAX")
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    # Even so its normalisation layers would compute in float32: its promotion rules narrow every float64.
    narrowing = optional("keras.src.backend.common.dtypes").BIT64_TO_BIT32_DTYPE
    monkeypatch.setitem(narrowing, "float64", "float64")
    keras.utils.set_random_seed(20260101)  # what a test draws without a seed is the same each time
    yield keras
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


@pytest.fixture
def keras_as_it_comes():
    """Keras 3 in its own default precision, whatever other tests chose; float64 allowed where a layer asks for it."""
    keras = optional("keras", minversion="3.0")
    if keras.backend.backend() != "jax":
        pytest.skip(f"Keras runs on {keras.backend.backend()} here, not on JAX")
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.utils.clear_session()  # or its automatic names would go on from where other tests left them
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(20260101)
    yield keras
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


@pytest.fixture
def torch():
    """PyTorch, where it is installed."""
    return optional("torch")


def pytest_configure() -> None:
    sys.setswitchinterval(1e-4)  # more chances for threads to meet
