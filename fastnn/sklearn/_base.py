"""What both estimators share: from arguments and data to a trained network."""

import numbers
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import column_or_1d
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    validate_data,
)

from fastnn import Sequential, callbacks
from fastnn._core.batches import all_finite
from fastnn._core.epochs import Stall
from fastnn._core.train import NotFinite
from fastnn._validate import FloatArray
from fastnn._warnings import warn
from fastnn.sklearn import _arguments, _minimise
from fastnn.sklearn._descent import Descent, Samples
from fastnn.sklearn._holder import NetworkHolder, Threads, outputs_of
from fastnn.sklearn._network import Design, first_values
from fastnn.sklearn._objectives import Objective

Array = npt.NDArray[Any]
LARGEST_BATCH = 200  # of batch_size="auto"
SMALLEST_RATE = 1e-6  # of learning_rate="adaptive"
NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


class Data:
    """What fit was given, as it trains: x, the targets, weights, and those samples that only measure."""

    def __init__(self, x: Any, y: Array, weights: Array | None) -> None:
        self.x, self.y, self.weights = x, y, weights
        self.held: tuple[Any, Any, Any] | None = None  # x, y as users know it, and weights, to validate on


class BasePerceptron(NetworkHolder):
    """fit, partial_fit and what follows from them. Not for use by itself."""

    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    best_loss_: float | None
    _best_weights: list[Any]

    # ---------------------------------------------------------------------------------------- what an estimator defines

    def _encode(self, y: Any, incremental: bool, begins: bool) -> tuple[Array, int]:
        """y as the loss wants it, and how many outputs that takes."""
        raise NotImplementedError

    def _output(self, outputs: int) -> str:
        """The output's activation."""
        raise NotImplementedError

    def _objective(self, y: Array, outputs: int) -> Objective:
        """What is made small, for targets to train with."""
        raise NotImplementedError

    def _targets(self, y: Array, objective: Objective) -> Array:
        """Encoded targets as the loss takes them."""
        return y

    def _decode(self, output: Array) -> Array:
        """The network's output as predict returns it."""
        raise NotImplementedError

    def _stratified(self, y: Array) -> Array | None:
        """What the split for early stopping keeps the shares of."""
        return None

    def _class_weights(self, y: Any, weights: Array | None, incremental: bool) -> Array | None:
        return weights

    def _score_of(self, y: Any, predicted: Array, weights: Array | None) -> float:
        raise NotImplementedError

    # -------------------------------------------------------------------------------------------------- arguments, data

    def _take(self, arguments: dict[str, Any]) -> None:
        """Keep the arguments of __init__, as scikit-learn wants: as they are."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        dtype = [np.float64, np.float32] if self.dtype is None else np.dtype(self.dtype)
        if self._is_plain(X, reset) and (self.dtype is None or X.dtype == dtype) and is_plain_target(y, len(X)):
            self.n_features_in_ = X.shape[1]
            return X, y
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, y_numeric=self._y_is_numeric, dtype=dtype, reset=reset
        )
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _is_plain(self, X: Any, reset: bool) -> bool:
        """Whether X is what validate_data would give back as it is, which takes it longer than many a prediction."""
        return (
            type(X) is np.ndarray and X.ndim == 2 and X.size > 0 and X.dtype in (np.float64, np.float32)
            and "feature_names_in_" not in self.__dict__ and (reset or X.shape[1] == self.n_features_in_)
            and X.flags.c_contiguous and X.flags.aligned and all_finite(X.reshape(-1))
        )  # fmt: skip

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """The names of the arguments: looked up once for each class, where scikit-learn does it for every clone."""
        if "_param_names" not in cls.__dict__:
            cls._param_names = super()._get_param_names()
        return list(cls._param_names)

    _param_names: ClassVar[list[str]]
    _y_is_numeric = False

    def _weights(self, sample_weight: Any, n: int) -> Array | None:
        """One weight for each sample, or None."""
        if sample_weight is None:
            return None
        if isinstance(sample_weight, numbers.Number):
            sample_weight = np.full(n, sample_weight)
        weights: Array = check_array(
            sample_weight, ensure_2d=False, dtype=np.float64, order="C", input_name="sample_weight"
        )
        if weights.shape != (n,):
            raise ValueError(f"sample_weight: expected one for each of the {n} samples, got shape {weights.shape}")
        if (weights < 0).any():
            raise ValueError(f"sample_weight: expected weights that are not negative, got {weights.min()}")
        return weights

    def _held_out(self, validation_data: Any) -> tuple[Any, Any, Any]:
        """A validation set of one's own."""
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
            raise ValueError(
                f"validation_data: expected (X, y) or (X, y, sample_weight), got {type(validation_data).__name__}"
            )
        X, y = self._checked(validation_data[0], validation_data[1], reset=False)
        weights = self._weights(validation_data[2] if len(validation_data) == 3 else None, X.shape[0])
        return X, y, weights

    # -------------------------------------------------------------------------------------------------------------- fit

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> Self:
        """Learn from samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
            A weight of 2 is the sample twice.
        validation_data : tuple, optional
            (X, y) or (X, y, sample_weight) to measure `validation_scores_` on after each epoch; with
            ``early_stopping=True`` in the place of the share that would be held out.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, validation_data, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool) -> Self:
        hidden = _arguments.check(self)
        if validation_data is not None and self.solver == "lbfgs":
            raise ValueError("validation_data: solver='lbfgs' has no epochs to measure after; use 'adam' or 'sgd'")
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        begins = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._checked(X, y, reset=begins)
        weights = self._weights(sample_weight, X.shape[0])
        targets, outputs = self._encode(y, incremental, begins)
        self.n_outputs_ = outputs
        self.out_activation_ = self._output(outputs)
        design = Design(
            (X.shape[1], *hidden.sizes, outputs), hidden.activations,
            _arguments.OUTPUTS.get(self.out_activation_, self.out_activation_), hidden.dropout, self.normalization,
            self._precision(X, begins),
        )  # fmt: skip
        random = _arguments.random_state(self.random_state)
        if begins:
            self._begin(design, random)
        data = Data(X, targets, self._class_weights(y, weights, incremental))
        if self.solver != "lbfgs":
            self._begin_records(begins, validation_data is not None)
            self._hold_out(data, y, weights, validation_data, random)
        if data.weights is not None and not data.weights.any():
            raise ValueError("sample_weight: all weights are zero, so that there is nothing to learn from")
        objective = self._objective(data.y, outputs)
        data.y = self._targets(data.y, objective)
        with Threads.limited(self.n_threads):
            if self.solver == "lbfgs":
                self._fit_lbfgs(design, objective, data, random)
            else:
                self._fit_stochastic(design, objective, data, incremental, random)
        if not all(np.isfinite(w).all() for w in (*self.coefs_, *self.intercepts_)):
            raise ValueError(NOT_FINITE)
        return self

    def _precision(self, X: Any, begins: bool) -> str:
        """What the network computes in: what was asked for, what it was begun in, or that of X."""
        if self.dtype is not None:
            return np.dtype(self.dtype).name
        kept = None if begins else np.asarray(self.coefs_[0]).dtype
        name: str = X.dtype.name if kept not in (np.float32, np.float64) else kept.name
        return name

    def _begin(self, design: Design, random: Any) -> None:
        """The first weights."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(design.sizes)
        bounding = (*design.activations, design.activations[-1] if design.activations else self._only_activation())
        coefs, intercepts = first_values(design.sizes, bounding, random)
        self.coefs_ = [value.astype(design.dtype, copy=False) for value in coefs]
        self.intercepts_ = [value.astype(design.dtype, copy=False) for value in intercepts]
        for name in ("network_", "_best_weights"):
            self.__dict__.pop(name, None)

    def _begin_records(self, begins: bool, validates: bool) -> None:
        """Empty lists where a fit begins, and where there are none to go on with."""
        if begins or not hasattr(self, "loss_curve_"):
            self.loss_curve_ = []
            self._no_improvement_count = 0
            self.best_loss_ = None if self.early_stopping else np.inf
            self.validation_scores_, self.best_validation_score_ = None, None
        if (self.early_stopping or validates) and self.validation_scores_ is None:
            self.validation_scores_, self.best_validation_score_ = [], -np.inf
        if not self.early_stopping and self.best_loss_ is None:
            self.best_loss_ = np.inf

    def _only_activation(self) -> Any:
        """What bounds the first values where there are no hidden layers."""
        return _arguments.OUTPUTS.get(self.activation) if isinstance(self.activation, str) else None

    def _hold_out(self, data: Data, y: Any, weights: Array | None, validation_data: Any, random: Any) -> None:
        """Set samples aside to validate on: those that were given, or a share where stopping early asks for one."""
        if validation_data is not None:
            data.held = self._held_out(validation_data)
            return
        if not self.early_stopping:
            return
        train, held = train_test_split(
            np.arange(data.x.shape[0]), random_state=random, test_size=self.validation_fraction,
            stratify=self._stratified(data.y),
        )  # fmt: skip
        if len(held) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        data.held = data.x[held], y[held], None if weights is None else weights[held]
        data.x, data.y = data.x[train], data.y[train]
        data.weights = None if data.weights is None else data.weights[train]

    # ------------------------------------------------------------------------------------------------------- stochastic

    def _fit_stochastic(self, design: Design, objective: Objective, data: Data, incremental: bool, random: Any) -> None:
        n = data.x.shape[0]
        size = self._batch_size(n)
        made = self._made if incremental and "network_" in self.__dict__ else None
        if made is not None and made[:4] == (design, self.solver, self.loss, objective.factor):
            network = self._synchronise()
            if self.alpha and not self._made.share:  # a penalty where there was none
                network = self._make_network(design, objective, self.alpha / size, random, goes_on=True)
        else:
            network = self._make_network(design, objective, self.alpha / size, random)
        if self.early_stopping and "_best_weights" not in self.__dict__:
            self._best_weights = network.get_weights()
        samples = Samples(network, data.x, data.y, data.weights, size)
        descent = Descent(network, objective, samples, self.alpha, self._made.share)
        with network._exclusive.training("fit"):
            network.stop_training = False
            calls = self._callbacks(network, 1 if incremental else self.max_iter, -(-n // size))
            try:
                self._epochs(descent, data, incremental, random, calls)
            except KeyboardInterrupt:
                warn("Training interrupted by user.")
            if self.early_stopping:
                network.set_weights(self._best_weights)
            if calls is not None:
                calls.on_train_end({"loss": self.loss_curve_[-1]} if self.loss_curve_ else {})

    def _epochs(self, descent: Descent, data: Data, incremental: bool, random: Any, calls: Any) -> None:
        """As many epochs as it takes, with scikit-learn's rules for when to stop."""
        order = np.arange(descent.samples.n, dtype=np.int64) if self.shuffle else None
        best = self.best_validation_score_ if self.early_stopping else self.best_loss_
        assert best is not None
        best = -best if self.early_stopping else best
        stall = Stall(best, self.tol, self._no_improvement_count, self.n_iter_no_change)
        unheard = calls is None and not incremental and self._is_unheard(descent, data, random)
        most = 1 if incremental else self.max_iter
        self.n_iter_ = 0
        goes_on = True
        try:
            while goes_on and self.n_iter_ < most:
                if unheard:
                    self._many_epochs(descent, order, random, most - self.n_iter_, stall)
                else:
                    self._one_epoch(descent, data, order, random, calls, stall)
                goes_on = self._goes_on(descent.network, stall)
        finally:
            self._no_improvement_count = stall.count
            if not self.early_stopping:
                self.best_loss_ = stall.best
        if goes_on and not incremental:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
            )

    def _is_unheard(self, descent: Descent, data: Data, random: Any) -> bool:
        """Whether nothing happens between epochs but what the core can do by itself."""
        return (
            data.held is None and not self.verbose and descent.samples.whole is not None
            and not (self.solver == "sgd" and self.learning_rate == "invscaling")
            and (not self.shuffle or type(random) is np.random.RandomState)
        )  # fmt: skip

    def _many_epochs(self, descent: Descent, order: Any, random: Any, most: int, stall: Stall) -> None:
        """At most so many epochs, until the loss stalls."""
        shared, n = not isinstance(self.random_state, numbers.Integral), descent.samples.n
        try:
            descent.epochs(order, random, shared, most, stall, lambda losses: self._note_losses(losses, n))
        except NotFinite as error:
            raise self._not_finite(error) from error

    def _one_epoch(self, descent: Descent, data: Data, order: Any, random: Any, calls: Any, stall: Stall) -> None:
        """One epoch, its loss, and the score of samples that were set aside; and who wants to hear of it."""
        network, epoch = descent.network, self.n_iter_
        if order is not None:
            random.shuffle(order)  # in place: the order that sklearn.utils.shuffle makes of the one before
        if calls is not None:
            calls.on_epoch_begin(epoch)
        try:
            loss = descent.epoch(order, calls)
        except NotFinite as error:
            if not self.early_stopping:
                raise self._not_finite(error) from error
            loss = float("nan")  # there are better weights to go back to
        self._note_losses([loss], descent.samples.n)
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
        logs = {"loss": self.loss_}
        if data.held is not None:
            logs["val_score"] = self._measure(network, data.held)
            self._note_score(network, logs["val_score"])
        stall.note(-logs["val_score"] if self.early_stopping else self.loss_)
        if self.solver == "sgd" and self.learning_rate == "invscaling":
            network.optimizer.learning_rate = self.learning_rate_init / (self.t_ + 1) ** self.power_t
        if calls is not None and np.isfinite(self.loss_):
            calls.on_epoch_end(epoch, logs)

    def _note_losses(self, losses: list[float], samples: int) -> None:
        """Keep what epochs came to."""
        self.n_iter_ += len(losses)
        self.t_ += len(losses) * samples
        self.loss_curve_ += losses
        if losses:
            self.loss_ = losses[-1]

    def _not_finite(self, error: NotFinite) -> ValueError:
        return ValueError(f"{NOT_FINITE} (Epoch {self.n_iter_ + 1}: {error})")

    def _measure(self, network: Sequential, held: tuple[Any, Any, Any]) -> float:
        """The score on samples that were set aside; NaN where the loss or an output is not finite."""
        x, y, weights = held
        output = outputs_of(network, x)
        if not (np.isfinite(self.loss_) and np.isfinite(output).all()):
            return float("nan")
        return float(self._score_of(y, self._decode(output), weights))

    def _note_score(self, network: Sequential, score: float) -> None:
        """Keep a score of the samples that were set aside; with early stopping the best one's weights too."""
        assert self.validation_scores_ is not None
        assert self.best_validation_score_ is not None
        self.validation_scores_.append(score)
        if self.verbose:
            print(f"Validation score: {score:f}")
        if score > self.best_validation_score_:
            self.best_validation_score_ = score
            if self.early_stopping:
                self._best_weights = network.get_weights()

    def _goes_on(self, network: Sequential, stall: Stall) -> bool:
        """Whether another epoch is worth it. With the adaptive rate a smaller one is tried first."""
        if not np.isfinite(self.loss_):
            warn(
                f"The loss of epoch {self.n_iter_} is not finite: training ends with the best weights before it. A "
                "lower learning_rate_init or scaled inputs are the usual cures",
                ConvergenceWarning,
            )
            return False
        if network.stop_training:
            return False
        if stall.count <= self.n_iter_no_change:
            return True
        what = "Validation score" if self.early_stopping else "Training loss"
        said = f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs."
        rate = network.optimizer.learning_rate
        adapts = self.solver == "sgd" and self.learning_rate == "adaptive"
        if adapts and rate > SMALLEST_RATE:
            network.optimizer.learning_rate = rate / 5.0
            stall.count = 0
            if self.verbose:
                print(f"{said} Setting learning rate to {rate / 5.0:f}")
            return True
        if self.verbose:
            print(f"{said} {'Learning rate too small. ' if adapts else ''}Stopping.")
        return False

    def _batch_size(self, n: int) -> int:
        if isinstance(self.batch_size, str):
            return min(LARGEST_BATCH, n)
        if self.batch_size > n:
            warn(f"batch_size: {self.batch_size} is more than the {n} samples that there are; all are taken at once")
        return min(int(self.batch_size), n)

    def _callbacks(self, network: Sequential, epochs: int, steps: int) -> Any:
        if self.callbacks is None:
            return None
        calls = callbacks.CallbackList(self.callbacks, add_history=True, model=network, epochs=epochs, steps=steps)
        if any(isinstance(callback, callbacks.BackupAndRestore) for callback in calls):
            raise ValueError("callbacks: BackupAndRestore goes on with Sequential.fit only; use warm_start=True here")
        calls.on_train_begin()
        return calls

    # ------------------------------------------------------------------------------------------------------------ lbfgs

    def _fit_lbfgs(self, design: Design, objective: Objective, data: Data, random: Any) -> None:
        network = self._make_network(design, objective, 0.0, random)
        samples = Samples(network, data.x, data.y, data.weights, min(_minimise.ROWS, data.x.shape[0]))
        cost = _minimise.Cost(network, objective, samples, self.alpha)
        heard = _print_iteration if self.verbose else None
        with network._exclusive.training("fit"):
            ending = _minimise.minimise(cost, self.max_iter, self.max_fun, self.tol, heard)
        self.n_iter_, self.loss_ = ending.iterations, ending.loss
        if not ending.converged:
            warn(
                f"lbfgs failed to converge after {ending.iterations} iterations: {ending.message}. Raise max_iter "
                f"({self.max_iter}) or max_fun ({self.max_fun}), or scale the data",
                ConvergenceWarning,
            )

    # ---------------------------------------------------------------------------------------------------------- predict

    def __sklearn_is_fitted__(self) -> bool:
        return "network_" in self.__dict__

    def _forward(self, X: Any) -> FloatArray:
        """The network's output for samples."""
        check_is_fitted(self)
        if not self._is_plain(X, reset=False):
            X = validate_data(self, X, accept_sparse="csr", reset=False)
        network = self._synchronise()
        with Threads.limited(self.n_threads):
            return outputs_of(network, X)

    def predict(self, X: Any) -> Any:
        """What the network takes the targets of samples to be.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        return self._decode(self._forward(X))

    def _has_steps(self) -> bool:
        """For available_if: whether the solver learns batch by batch."""
        if self.solver not in ("adam", "sgd"):
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def is_plain_target(y: Any, n: int) -> bool:
    """Whether y is class numbers or finite numbers, one for each sample."""
    return (
        type(y) is np.ndarray and y.shape == (n,) and y.flags.c_contiguous and y.flags.aligned
        and (y.dtype.kind in "iub" or (y.dtype in (np.float64, np.float32) and all_finite(y)))
    )  # fmt: skip


def _print_iteration(count: int, loss: float) -> None:
    print(f"Iteration {count}, loss = {loss:.8f}")
