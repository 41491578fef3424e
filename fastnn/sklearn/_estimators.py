"""The two estimators: their arguments, and what differs between classes and numbers."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels

from fastnn import losses
from fastnn.sklearn import _objectives
from fastnn.sklearn._base import Array, BasePerceptron, is_plain_target
from fastnn.sklearn._objectives import Objective

_ARGUMENTS = """
    hidden_layer_sizes : int or array-like of int
        The units of each hidden layer.
    activation : str, function or list
        Of the hidden layers: 'relu', 'tanh', 'logistic', 'identity', any other name of `fastnn.activations`, or a
        function with an attribute ``derivative``; a list has one for each hidden layer.
    solver : {'adam', 'sgd', 'lbfgs'}
    alpha : float
        The L2 penalty: alpha / 2 times the sum of the squares of `coefs_`, divided by the samples of a batch.
    batch_size : int or 'auto'
        'auto' is the smaller of 200 and the number of samples.
    learning_rate : {'constant', 'invscaling', 'adaptive'}
        For 'sgd': as it is; divided by ``(t_ + 1) ** power_t`` after each epoch; or divided by 5 where training stands
        still.
    learning_rate_init : float
    power_t : float
    max_iter : int
        Epochs, or iterations of 'lbfgs', at most.
    shuffle : bool
    random_state : int, RandomState or None
        For the first weights, what is held out, the order of the samples and dropout.
    tol : float
        What counts as an improvement; for 'lbfgs', the largest element of the gradient to stop at.
    verbose : bool or int
    warm_start : bool
        Go on from the weights of the fit before.
    momentum : float
    nesterovs_momentum : bool
    early_stopping : bool
        Hold samples out, stop where their score stands still, and go back to the weights with the best score.
    validation_fraction : float
        The share that is held out.
    beta_1, beta_2, epsilon : float
        Of Adam.
    n_iter_no_change : int
        Epochs without improvement before stopping.
    max_fun : int
        Calls of the loss by 'lbfgs', at most.
    dropout : float or list of float
        The share of each hidden layer's outputs that is dropped in training.
    normalization : {None, 'batch', 'layer'}
        What stands between each hidden layer's weights and its activation.
    dtype : {None, 'float32', 'float64'}
        What to compute in; None for that of X, as scikit-learn does: float64 unless X is float32.
    callbacks : list, optional
        Of `fastnn.callbacks`. Their logs hold "loss" and, with a validation set, "val_score"; their model is
        `network_`.
    n_threads : int, optional
        fastnn's threads while this estimator fits or predicts. The number belongs to the process.
"""

_ATTRIBUTES = """
    coefs_, intercepts_ : list of ndarray
        The weights: the network's own arrays, so that changing them changes the network.
    network_ : fastnn.Sequential
        The network, to be saved, exported or trained further.
    loss_, best_loss_ : float
        `best_loss_` is None with early stopping.
    loss_curve_ : list of float
    validation_scores_, best_validation_score_
        With early stopping or validation_data; else None.
    t_ : int
        Samples seen.
    n_iter_, n_layers_, n_outputs_, n_features_in_ : int
    feature_names_in_ : ndarray
        Where X had names.
    out_activation_ : str
"""


def _binarizer(y: Array) -> LabelBinarizer:
    """A LabelBinarizer that was fitted. Of plain class numbers there is nothing to find out but which they are, and its
    own way takes a fifth of what a small fit takes besides training."""
    binarizer = LabelBinarizer()
    if y.ndim != 1 or y.dtype.kind not in "iub":
        return binarizer.fit(y)
    binarizer.classes_ = np.unique(y)
    binarizer.y_type_ = "multiclass" if len(binarizer.classes_) > 2 else "binary"
    binarizer.sparse_input_ = False
    return binarizer


def _balance(class_weight: Any, y: Array) -> Array:
    """The class's weight for each sample."""
    if y.ndim == 1 and isinstance(class_weight, (list, tuple)):
        raise ValueError(
            f"class_weight: a list is for several labels, and y has one column; pass a dict, got {class_weight}"
        )
    try:
        balance: Array = compute_sample_weight(class_weight, y)
    except (TypeError, ValueError) as error:
        raise ValueError(f"class_weight: {error}") from None
    if not (np.isfinite(balance) & (balance >= 0)).all():
        raise ValueError(f"class_weight: expected weights that are finite and not negative, got {class_weight}")
    return balance


class MLPClassifier(ClassifierMixin, BasePerceptron):  # type: ignore[misc,unused-ignore]
    __doc__ = f"""A network that tells classes, or several labels at once, with scikit-learn's arguments and more.

    Parameters
    ----------{_ARGUMENTS}
    loss : str or fastnn.losses.Loss
        'log_loss', a name of `fastnn.losses`, or a loss: of probabilities, and of one column a class with 0 and 1 (one
        column for two classes). Its reduction is not read.
    class_weight : dict, 'balanced' or None
        A weight for each class, times the samples' own.

    Attributes
    ----------
    classes_ : ndarray{_ATTRIBUTES}
    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn.sklearn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier((16,), "tanh", learning_rate_init=0.02, random_state=0).fit(X, y)
    >>> classifier.score(X, y) > 0.95
    True
    >>> classifier.predict_proba(X[:2]).shape
    (2, 3)
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        class_weight: Any = None,
        dropout: Any = 0.0,
        normalization: str | None = None,
        dtype: Any = None,
        callbacks: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self._take(locals())

    # ----------------------------------------------------------------------------------------------------------- labels

    def _encode(self, y: Any, incremental: bool, begins: bool) -> tuple[Array, int]:
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = _binarizer(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._refuse_new_classes(unique_labels(y))
        kind = self._label_binarizer.y_type_
        if kind == "multiclass":
            return np.searchsorted(self.classes_, y), len(self.classes_)
        if kind == "binary" and len(self.classes_) == 2:
            columns = (y == self.classes_[1])[:, None].astype(int)  # as transform, which checks everything once more
        else:
            columns = self._label_binarizer.transform(y)
        return columns, columns.shape[1]

    def _refuse_new_classes(self, classes: Array) -> None:
        if self.warm_start and set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {classes}"
            )
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _output(self, outputs: int) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _objective(self, y: Array, outputs: int) -> Objective:
        return _objectives.of_classification(self.loss, self.out_activation_, outputs)

    def _targets(self, y: Array, objective: Objective) -> Array:
        if self.out_activation_ == "softmax" and not isinstance(objective.loss, losses.SparseCategoricalCrossentropy):
            return np.eye(self.n_outputs_)[y]
        return y

    def _stratified(self, y: Array) -> Array | None:
        return y.astype(bool) if self.n_outputs_ == 1 else None  # as scikit-learn: not with more outputs

    def _class_weights(self, y: Any, weights: Array | None, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return weights
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight: 'balanced' needs all of y, and partial_fit sees a part; pass a dict, for instance of "
                "sklearn.utils.compute_class_weight('balanced', classes=classes, y=y)"
            )
        balance = _balance(self.class_weight, y)
        return balance if weights is None else balance * weights

    def _decode(self, output: Array) -> Array:
        values = output.ravel() if self.n_outputs_ == 1 else output
        labels: Array = self._label_binarizer.inverse_transform(values)
        return labels

    def _score_of(self, y: Any, predicted: Array, weights: Array | None) -> float:
        if weights is None and is_plain_target(y, len(predicted)) and y.dtype.kind == predicted.dtype.kind != "f":
            return float(np.mean(y == predicted))  # of class numbers the same, without scikit-learn's checks
        return float(accuracy_score(y, predicted, sample_weight=weights))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of samples whose class, or whose set of labels, is predicted.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        return self._score_of(y, self.predict(X), sample_weight)

    # ---------------------------------------------------------------------------------------------------------- methods

    @available_if(lambda estimator: estimator._has_steps())  # type: ignore[untyped-decorator,unused-ignore]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """One epoch over the given samples, from the weights as they are.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
        sample_weight : array-like of shape (n_samples,), optional
        classes : array-like, optional
            All classes that there will be; needed in the first call.

        Returns
        -------
        self
        """
        if self._begins_with(classes):
            labels = y if type_of_target(y).startswith("multilabel") else classes
            self._label_binarizer = LabelBinarizer().fit(labels)
        return self._fit(X, y, sample_weight, None, incremental=True)

    def _begins_with(self, classes: Any) -> bool:
        """Whether this is the first call of partial_fit."""
        known = getattr(self, "classes_", None)
        if known is None:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self.classes_ = unique_labels(classes)
            return True
        if classes is not None and not np.array_equal(known, unique_labels(classes)):
            raise ValueError(f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known!r}")
        return False

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, or of each label.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        output = self._forward(X)
        return np.hstack([1 - output, output]) if self.n_outputs_ == 1 else output

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of predict_proba.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return np.asarray(np.log(self.predict_proba(X)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, BasePerceptron):  # type: ignore[misc,unused-ignore]
    __doc__ = f"""A network that predicts one number or several, with scikit-learn's arguments and more.

    Parameters
    ----------
    loss : str or fastnn.losses.Loss
        'squared_error' (half the square), 'poisson' (half the deviance, with an exponential output), 'absolute_error',
        a name of `fastnn.losses`, or a loss. Its reduction is not read.{_ARGUMENTS}
    out_activation : {{None, 'identity', 'logistic', 'exp', 'softplus', 'tanh', 'relu'}}
        The output's activation; None for the loss's own: 'exp' for 'poisson', else 'identity'.

    Attributes
    ----------{_ATTRIBUTES}
    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from fastnn.sklearn import MLPRegressor
    >>> X, y = make_friedman1(n_samples=300, random_state=0)
    >>> regressor = MLPRegressor("huber", (32,), "gelu", learning_rate_init=0.02, max_iter=400, random_state=0)
    >>> regressor.fit(X, y / 10).score(X, y / 10) > 0.8
    True
    """

    _y_is_numeric = True

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        out_activation: str | None = None,
        dropout: Any = 0.0,
        normalization: str | None = None,
        dtype: Any = None,
        callbacks: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self._take(locals())

    def _encode(self, y: Any, incremental: bool, begins: bool) -> tuple[Array, int]:
        columns = y.reshape(len(y), -1)
        return columns, columns.shape[1]

    def _output(self, outputs: int) -> str:
        own = "exp" if isinstance(self.loss, str) and self.loss == "poisson" else "identity"
        return self.out_activation or own

    def _objective(self, y: Array, outputs: int) -> Objective:
        return _objectives.of_regression(self.loss, y)

    def _decode(self, output: Array) -> Array:
        return output.ravel() if output.shape[1] == 1 else output

    def _score_of(self, y: Any, predicted: Array, weights: Array | None) -> float:
        return float(r2_score(y, predicted, sample_weight=weights))

    @available_if(lambda estimator: estimator._has_steps())  # type: ignore[untyped-decorator,unused-ignore]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch over the given samples, from the weights as they are.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, None, incremental=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
