"""scikit-learn's `MLPClassifier` and `MLPRegressor` on fastnn's engine.

They take every argument of scikit-learn's own, with the same names, defaults and meaning, have the same attributes and
methods, and go on from the same random numbers: the same ``random_state`` gives scikit-learn's weights, but for
rounding. What scikit-learn's do not have are further keyword arguments, which by default change nothing.

>>> from sklearn.datasets import make_classification
>>> from fastnn.sklearn import MLPClassifier
>>> X, y = make_classification(n_samples=200, random_state=0)
>>> classifier = MLPClassifier(hidden_layer_sizes=(32, 16), dropout=0.1, max_iter=40, tol=0, random_state=0)
>>> classifier.fit(X[:150], y[:150]).score(X[150:], y[150:]) > 0.8
True
"""

try:
    import sklearn as _sklearn
except ImportError as _error:
    raise ImportError(
        "fastnn.sklearn needs scikit-learn, which is not installed; install it with: pip install 'fastnn-cpu[sklearn]'"
    ) from _error
if tuple(map(int, _sklearn.__version__.split(".")[:2])) < (1, 6):
    raise ImportError(
        f"fastnn.sklearn needs scikit-learn 1.6 or later, and {_sklearn.__version__} is installed; install a later one "
        "with: pip install 'fastnn-cpu[sklearn]'"
    )

from fastnn.sklearn._estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
