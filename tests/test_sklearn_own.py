"""scikit-learn's own tests of its MLPClassifier and MLPRegressor, and its checks of any estimator, run on fastnn's."""

import importlib.util
import inspect
import re
import sys
import warnings
from pathlib import Path

import pytest
from optional import optional

optional("sklearn", minversion="1.9")  # the tests are those of the arguments that it has
import sklearn.neural_network
from sklearn.utils.estimator_checks import check_estimator

import fastnn.sklearn
from fastnn.sklearn import MLPClassifier, MLPRegressor

FILE = Path(sklearn.neural_network.__file__).parent / "tests" / "test_mlp.py"
if not FILE.exists():
    pytest.skip("scikit-learn was installed without its tests", allow_module_level=True)

# What these ask for is not an estimator's behaviour but how scikit-learn's is made inside.
PRIVATE = {
    "test_gradient": "calls _loss_grad_lbfgs with lists that its backpropagation fills",
}


def load():
    """The module, with our estimators under the names of scikit-learn's: wherever its tests take them from."""
    specification = importlib.util.spec_from_file_location("sklearn_test_mlp_on_fastnn", FILE)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    own = {name: getattr(sklearn.neural_network, name) for name in fastnn.sklearn.__all__}
    try:
        for name in own:
            setattr(sklearn.neural_network, name, getattr(fastnn.sklearn, name))
        specification.loader.exec_module(module)
    finally:
        for name, estimator in own.items():
            setattr(sklearn.neural_network, name, estimator)
    return module


MODULE = load()
TESTS = {name: value for name, value in vars(MODULE).items() if name.startswith("test_") and callable(value)}
globals().update({name: test for name, test in TESTS.items() if name not in PRIVATE})


@pytest.fixture
def global_random_seed():
    """Of scikit-learn's conftest."""
    return 42


def test_it_is_ours_that_was_tested():
    assert MODULE.MLPClassifier is fastnn.sklearn.MLPClassifier
    assert MODULE.MLPRegressor is fastnn.sklearn.MLPRegressor
    assert len(TESTS) > 40


@pytest.mark.parametrize("name", PRIVATE)
def test_what_is_left_out_is_private(name):
    assert "mlp._" in inspect.getsource(TESTS[name])


@pytest.mark.parametrize(
    "estimator",
    [
        MLPClassifier(),
        MLPRegressor(),
        MLPClassifier((8,), "gelu", normalization="layer", learning_rate_init=0.02),
    ],
)
def test_check_estimator(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_skip=None)
    assert len(results) > 50
    assert {result["status"] for result in results} <= {"passed", "skipped"}
    for result in results:  # what is skipped is for other libraries, or another kind of classifier
        reason = str(result["exception"])
        assert result["status"] == "passed" or re.search("not installed|SCIPY_ARRAY_API|decision_function", reason)
    assert not any(result["expected_to_fail"] for result in results)
