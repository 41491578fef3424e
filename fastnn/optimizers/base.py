"""What all optimizers share: the options, the variables and their slots, and one step."""

import itertools
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from operator import is_
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn._core import optimizers as _core
from fastnn._core.optimizers import Updater
from fastnn._validate import FloatArray
from fastnn.constraints import Constraint
from fastnn.errors import ArgumentError
from fastnn.optimizers import schedules
from fastnn.optimizers._parts import (
    Check,
    arena,
    begin_of,
    between,
    checked_variables,
    flag,
    key_of,
    optional,
    prepared_gradient,
    text,
    whole,
)
from fastnn.optimizers._state import Kept, Rate
from fastnn.optimizers.schedules import LearningRateSchedule
from fastnn.regularizers import L1L2, Regularizer

__all__ = ["Optimizer"]

_RULES = {row["name"]: index for index, row in enumerate(_core.ROWS)}


class Optimizer(Kept):
    """The base of all optimizers.

    One step is: the gradient with the regularizers' -> the one clip -> the decay ``w -= lr * weight_decay * w`` -> the
    update -> the moving average of the weights -> the constraints -> ``iterations + 1``.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
        A schedule is called with the number of steps so far, any other callable with nothing.
    weight_decay : float, optional
        Decay that is apart from the gradient; on all variables but those of `exclude_from_weight_decay`.
    clipnorm : float, optional
        The greatest norm of each variable's gradient.
    clipvalue : float, optional
        The greatest magnitude of each element of a gradient.
    global_clipnorm : float, optional
        The greatest norm of all gradients together. A norm that is not finite makes every gradient NaN.
    use_ema : bool
        Keep an exponential moving average of the weights: ``a = ema_momentum a + (1 - ema_momentum) w``, from the
        first w.
    ema_momentum : float
    ema_overwrite_frequency : int, optional
        Set the weights to their average every so many steps; None for never but by `finalize_variable_values`.
    loss_scale_factor : float, optional
        What the loss was multiplied by: gradients are divided by it.
    gradient_accumulation_steps : int, optional
        Update only every so many steps, with the mean of their gradients. `iterations` counts updates, as the moving
        average does; a schedule sees every step.
    name : str, optional

    Notes
    -----
    At most one of clipnorm, clipvalue and global_clipnorm can be given. NaN and infinities in gradients are not
    searched for, and go into the weights as NumPy would take them there; a wrong shape, length or kind of array
    raises before any variable changes.

    An optimizer of your own defines ``update_step(gradient, variable, learning_rate)``, which changes the NumPy array
    `variable` in place. What it remembers it asks for in `build`, by `add_variable_from_reference` or
    `add_optimizer_variables`, so that it is saved and restored.

    Examples
    --------
    >>> import numpy as np
    >>> class HeavyBall(Optimizer):
    ...     def build(self, variables):
    ...         super().build(variables)
    ...         self.steps = self.add_optimizer_variables(variables, "step")
    ...     def update_step(self, gradient, variable, learning_rate):
    ...         step = self.steps[self.index(variable)]
    ...         step *= 0.5
    ...         step -= learning_rate * gradient
    ...         variable += step
    >>> w = np.array([1.0, 2.0])
    >>> optimizer = HeavyBall(learning_rate=0.1)
    >>> for _ in range(2):
    ...     optimizer.apply([np.array([1.0, 1.0])], [w])
    >>> w
    array([0.75, 1.75])
    """

    _checks: ClassVar[dict[str, Check]] = {
        "name": optional(text),
        "weight_decay": optional(between(minimum=0)),
        "clipnorm": optional(between(minimum=0)),
        "clipvalue": optional(between(minimum=0)),
        "global_clipnorm": optional(between(minimum=0)),
        "use_ema": flag,
        "ema_momentum": between(minimum=0, maximum=1),
        "ema_overwrite_frequency": optional(whole(1)),
        "loss_scale_factor": optional(between(above=0)),
        "gradient_accumulation_steps": optional(whole(2)),
    }

    def __init__(
        self,
        learning_rate: Rate,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise ArgumentError(f"{min(unknown)}: {type(self).__name__} has no argument of this name")
        self._updater: Updater | None = None
        self._of_model: tuple[Any, Any, Any] | None = None  # names, regularizers and constraints of a model's variables
        self._trainable: list[npt.NDArray[Any]] = []
        self._names: list[str] = []
        self._regularizers: list[Any] = []
        self._constraints: list[Any] = []
        self._indices: dict[Any, int] = {}
        self._slots: dict[str, list[npt.NDArray[Any]]] = {}
        self._added: list[npt.NDArray[Any]] = []
        self._excluded: set[Any] = set()
        self._excluded_names: re.Pattern[str] | None = None
        self._learning_rate = self._checked_rate(learning_rate)
        self._averages: list[npt.NDArray[Any]] = []
        self._accumulators: list[npt.NDArray[Any]] = []
        self.name = name or type(self).__name__.lower()
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._clip_options()

    def __setattr__(self, name: str, value: Any) -> None:
        check = self._checks.get(name)
        object.__setattr__(self, name, value if check is None else check(value, name))
        if not name.startswith("_"):
            object.__setattr__(self, "_stale", True)

    # ---------------------------------------------------------------------------------------------- what a rule defines

    def _rule(self) -> str | None:
        """The name of the row of optimizers.def that the options choose; None for an update written in Python."""
        return None

    def _hyper(self, name: str) -> float:
        """The value of one of the row's hyperparameters."""
        return float(getattr(self, name))

    def update_step(self, gradient: FloatArray, variable: FloatArray, learning_rate: float) -> None:
        """Change `variable` in place by one update: what an optimizer of your own overrides."""
        if self._rule() is None or self._updater is None:
            raise NotImplementedError(
                f"{type(self).__name__} has no rule of its own to call; update the variable yourself"
            )
        index = self.index(variable)
        self._updater.update(
            index, prepared_gradient(gradient, self._trainable[index], "gradient"), float(learning_rate)
        )

    @property
    def _in_python(self) -> bool:
        return type(self).update_step is not Optimizer.update_step

    # ------------------------------------------------------------------------------------------------------ the rate

    @staticmethod
    def _checked_rate(value: Any) -> Any:
        if isinstance(value, Mapping):
            return schedules.deserialize(value)
        if isinstance(value, LearningRateSchedule) or callable(value):
            return value
        if hasattr(value, "shape") and value.shape == ():
            value = float(value)
        return _validate.number(value, "learning_rate", minimum=0)

    @property
    def learning_rate(self) -> float:
        """The rate of the next step. It can be set, but not to a number where it was made with a schedule."""
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            rate = rate(self._steps)
        elif callable(rate):
            rate = rate()
        return float(rate)

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        rate = self._checked_rate(value)
        if isinstance(self._learning_rate, LearningRateSchedule) and not callable(rate):
            raise ArgumentError(
                "learning_rate: this optimizer was made with a schedule, so that its rate cannot be set to a number; "
                "set another schedule, or make the optimizer with a number"
            )
        self._learning_rate = rate

    def _rate(self) -> float:
        rate = self.learning_rate
        if not math.isfinite(rate):
            raise ValueError(f"learning_rate: {self._learning_rate!r} gave {rate} for step {self._steps}")
        return rate

    @property
    def _steps(self) -> int:
        return self._updater.iterations if self._updater is not None else 0

    @property
    def iterations(self) -> int:
        """Updates so far. With gradient accumulation there are fewer of them than calls of `apply`."""
        return self._steps // (self.gradient_accumulation_steps or 1)

    def scale_loss(self, loss: Any) -> Any:
        """The loss times loss_scale_factor."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    # ------------------------------------------------------------------------------------------ the variables and slots

    @property
    def built(self) -> bool:
        """Whether the variables are known."""
        return self._updater is not None

    def build(
        self,
        variables: Iterable[FloatArray],
        names: Sequence[str] | None = None,
        regularizers: Sequence[Regularizer | None] | None = None,
        constraints: Sequence[Constraint | None] | None = None,
    ) -> None:
        """Take the variables that this optimizer is for, and make their slots. The first `apply` does it otherwise.

        Parameters
        ----------
        variables : list of ndarray
            float32 or float64, all the same; C-contiguous and writable. They are changed in place by every step.
        names : list of str, optional
            For `exclude_from_weight_decay(var_names=...)` and messages.
        regularizers, constraints : list, optional
            One or None for each variable: what a step adds to its gradient, and what it makes the variable satisfy.
        """
        if self.built:
            return
        if self._of_model is not None:  # a subclass's build may pass the variables alone
            names, regularizers, constraints = self._of_model
        if self._rule() is None and not self._in_python:
            raise NotImplementedError(f"{type(self).__name__} needs an update_step(gradient, variable, learning_rate)")
        arrays = checked_variables(list(variables))
        count = len(arrays)
        for given, what in ((names, "names"), (regularizers, "regularizers"), (constraints, "constraints")):
            if given is not None and len(given) != count:
                raise ValueError(f"{what}: expected {count}, one for each variable, got {len(given)}")
        if self._excluded_names is not None and names is None:
            raise ValueError(
                "names: exclude_from_weight_decay(var_names=...) needs the variables' names; call "
                "build(variables, names=[...]) first"
            )
        self._clip_options()
        self._trainable = arrays
        self._names = list(names) if names is not None else [f"variables[{i}]" for i in range(count)]
        self._regularizers = list(regularizers or [None] * count)
        self._constraints = list(constraints or [None] * count)
        self._make()

    def _make(self) -> None:
        """The slots, and the plan of the compiled step."""
        arrays = self._trainable
        dtype = arrays[0].dtype if arrays else np.dtype(np.float32)
        size = sum(v.size for v in arrays)
        rule = self._rule()
        self._indices = {key_of(v): i for i, v in enumerate(arrays)}
        begin = begin_of(arrays)
        places = itertools.count(2)  # gradients come first: a model's have place 1
        flat = {}
        if rule is not None:
            for name, initial in _core.ROWS[_RULES[rule]]["slots"].items():
                named = re.fullmatch("[a-z_]+", initial)
                value = self.learning_rate if initial == "learning_rate" else self._hyper(initial) if named else initial
                flat[name] = arena(size, dtype, float(value), beside=begin, place=next(places))
        average = arena(size, dtype, beside=begin, place=next(places)) if self.use_ema else None
        accumulated = None
        if self.gradient_accumulation_steps:
            accumulated = arena(size, dtype, beside=begin, place=next(places))
        self._slots = {name: self._views(array) for name, array in flat.items()}
        self._averages = [] if average is None else self._views(average)
        self._accumulators = [] if accumulated is None else self._views(accumulated)
        self._built_as = rule, average is not None, accumulated is not None
        segments = []
        for v, name, regularizer, constraint in zip(
            arrays, self._names, self._regularizers, self._constraints, strict=True
        ):
            fused = isinstance(regularizer, L1L2) and type(regularizer).gradient is L1L2.gradient
            l1, l2 = (regularizer.l1, regularizer.l2) if fused else (0.0, 0.0)
            form = constraint.core_form(v.shape) if isinstance(constraint, Constraint) else None
            segments.append((self._decays(v, name), l1, l2, form))
        self._added_penalties = [
            r if r is not None and not (isinstance(r, L1L2) and type(r).gradient is L1L2.gradient) else None
            for r in self._regularizers
        ]
        self._adds_penalties = any(r is not None for r in self._added_penalties)
        self._later_constraints = [
            c if c is not None and form is None else None
            for c, (_, _, _, form) in zip(self._constraints, segments, strict=True)
        ]
        self._updater = Updater(
            -1 if rule is None else _RULES[rule], arrays, segments, list(flat.values()), average, accumulated
        )
        self._stale = True

    def _views(self, flat: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """An arena as an array for each variable."""
        result, start = [], 0
        for v in self._trainable:
            result.append(flat[start : start + v.size].reshape(v.shape))
            start += v.size
        return result

    def index(self, variable: FloatArray) -> int:
        """The place of a variable, or of a view that is all of it, in the list this optimizer was built with."""
        found = self._indices.get(key_of(variable)) if isinstance(variable, np.ndarray) else None
        if found is None:
            raise ValueError(
                "variables: one of them is not among those this optimizer was built with; "
                "make a new optimizer for another set of variables"
            )
        return found

    _get_variable_index = index

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: npt.DTypeLike | None = None,
        name: str | None = None,
    ) -> FloatArray:
        """An array that belongs to the state: of "zeros", "ones", a number or what f(shape, dtype) gives."""
        dtype = _validate.float_dtype(dtype or np.float32)
        result = np.zeros(tuple(shape), dtype)
        if callable(initializer):
            result[...] = initializer(result.shape, dtype)
        elif isinstance(initializer, str):
            result[...] = _validate.choice(initializer, "initializer", ("zeros", "ones")) == "ones"
        else:
            result[...] = _validate.number(initializer, "initializer")
        self._added.append(result)
        return cast("FloatArray", result)

    def add_variable_from_reference(
        self, reference_variable: FloatArray, name: str | None = None, initializer: Any = "zeros"
    ) -> FloatArray:
        """The same, with the shape and dtype of a variable."""
        return self.add_variable(reference_variable.shape, initializer, reference_variable.dtype, name)

    def add_optimizer_variables(
        self, trainable_variables: Iterable[FloatArray], name: str | Sequence[str], initializer: Any = "zeros"
    ) -> Any:
        """The same for each variable, as a list; for several names, a list for each."""
        variables = list(trainable_variables)
        lists = [
            [self.add_variable_from_reference(v, each, initializer) for v in variables]
            for each in ([name] if isinstance(name, str) else name)
        ]
        return lists[0] if isinstance(name, str) else tuple(lists)

    @property
    def slots(self) -> dict[str, list[FloatArray]]:
        """What is remembered of each variable, by name: live arrays, in the variables' shapes."""
        if self._updater is not None:
            self._updater.forget_bounds()  # they may be written to
        return cast("dict[str, list[FloatArray]]", {name: list(views) for name, views in self._slots.items()})

    @property
    def variables(self) -> list[npt.NDArray[Any]]:
        """The optimizer's whole state as arrays: iterations, the rate where it is a number (these two as copies),
        averages, accumulated gradients, slots, and what was added by a subclass.
        """
        result: list[npt.NDArray[Any]] = [np.array(self._steps)]
        if not callable(self._learning_rate):
            result.append(np.array(self._learning_rate))
        if self.built:
            for group in (self._averages, self._accumulators, *self._slots.values()):
                result.extend(group)
        return result + self._added

    # ------------------------------------------------------------------------------------------------------------ decay

    def exclude_from_weight_decay(
        self, var_list: Iterable[FloatArray] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Keep variables from decaying: those of a list, and those whose name contains one of the given patterns.

        To be called before the optimizer is built.
        """
        if self.built:
            raise ValueError(
                "exclude_from_weight_decay: call it before the optimizer is built, that is, before its first step"
            )
        if isinstance(var_names, str):
            raise ArgumentError(
                f"var_names: expected a list of strings, got the string {var_names!r}; pass [{var_names!r}]"
            )
        self._excluded_variables = list(var_list or ())  # kept, so that no other array can take their place in memory
        self._excluded = {key_of(v) for v in self._excluded_variables}
        patterns = list(var_names or ())
        self._excluded_names = re.compile("|".join(patterns)) if patterns else None

    def _follow(self, moves: list[tuple[FloatArray, FloatArray]]) -> None:
        """Variables live in other arrays now: (before, after)."""
        if self._excluded:
            places = {key_of(before): after for before, after in moves}
            self._excluded_variables = [places.get(key_of(v), v) for v in self._excluded_variables]
            self._excluded = {key_of(v) for v in self._excluded_variables}

    def _decays(self, variable: npt.NDArray[Any], name: str) -> bool:
        by_name = self._excluded_names is not None and self._excluded_names.search(name) is not None
        return not by_name and key_of(variable) not in self._excluded

    # --------------------------------------------------------------------------------------------------------- one step

    def _clip_options(self) -> dict[str, float]:
        given = {name: getattr(self, name) for name in ("clipnorm", "clipvalue", "global_clipnorm")}
        if sum(value is not None for value in given.values()) > 1:
            what = ", ".join(f"{name}={value}" for name, value in given.items() if value is not None)
            raise ValueError(f"clipnorm, clipvalue, global_clipnorm: only one of them can be given, got {what}")
        return {
            "clip_norm": self.clipnorm or 0.0,
            "clip_value": self.clipvalue or 0.0,
            "global_clip_norm": self.global_clipnorm or 0.0,
        }

    def _configured(self) -> Updater:
        """The updater, with the options as they are now."""
        updater = self._updater
        assert updater is not None
        if self._stale:
            rule = self._rule()
            if self._built_as != (rule, self.use_ema, self.gradient_accumulation_steps is not None):
                raise ValueError(
                    f"{type(self).__name__}: an option that decides which slots there are was changed after the "
                    "optimizer was built; make a new optimizer"
                )
            hypers = [] if rule is None else [self._hyper(h) for h in _core.ROWS[_RULES[rule]]["hyperparameters"]]
            updater.configure(
                hypers,
                weight_decay=self.weight_decay or 0.0,
                ema_momentum=self.ema_momentum,
                ema_overwrite_frequency=self.ema_overwrite_frequency or 0,
                loss_scale=self.loss_scale_factor or 1.0,
                accumulation_steps=self.gradient_accumulation_steps or 1,
                **self._clip_options(),
            )
            self._stale = False
        return updater

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, FloatArray]]) -> int:
        """`apply` to pairs of a gradient and a variable. Returns the number of steps so far."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self._steps

    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[FloatArray] | None = None) -> None:
        """One step: change the variables in place.

        Parameters
        ----------
        grads : list of array-like
            One for each variable, of its shape. None leaves the variable alone, with a warning. Arrays of the
            variables' own dtype are taken as they are, others are converted.
        trainable_variables : list of ndarray, optional
            Those that the optimizer was built with, or some of them; by default all, in their order. The first call
            builds the optimizer.
        """
        gradients = list(grads)
        variables = None if trainable_variables is None else list(trainable_variables)
        if self._updater is not None and not self._in_python and len(gradients) == len(self._trainable) > 0:
            same = variables is None or (
                len(variables) == len(self._trainable) and all(map(is_, variables, self._trainable))
            )
            if same and not self._adds_penalties and not any(g is None for g in gradients):
                updater = self._configured()
                rate = self._rate()
                if updater.bind(gradients):
                    updater.step(rate)
                    self._constrain(gradients)
                    return
        self._apply_any(gradients, variables)

    def _apply_checked(self, gradients: list[Any]) -> tuple[int, int] | None:
        """`apply` to all variables, but nothing changes if a number that is finite would not stay so: returns which
        variable it is of, and which part of it (`_kept_as`).

        What is written in Python is tried on the arrays themselves, and taken back by copies of them.
        """
        if not self._in_python and not any(c is not None for c in self._later_constraints):
            return self._apply_any(gradients, None, checked=True)
        updater = self._updater
        assert updater is not None
        arrays, iterations, memory = self._everything(), updater.iterations, updater.memory
        copies = {key: array.copy() for key, array in arrays.items()}
        done = False
        refused = None
        try:
            self._apply_any(gradients, None)
            refused = next((k for k, a in arrays.items() if (np.isfinite(copies[k]) & ~np.isfinite(a)).any()), None)
            done = refused is None
        finally:
            if not done:
                for key, array in arrays.items():
                    array[...] = copies[key]
                updater.iterations, updater.memory = iterations, memory
        return None if refused is None else self._part_of(refused)

    def _apply_any(
        self, gradients: list[Any], variables: list[Any] | None, checked: bool = False
    ) -> tuple[int, int] | None:
        """A step with arrays that are not yet known to be right, or with parts that are written in Python."""
        if not gradients and not variables:
            return None
        if variables is None:
            if not self.built:
                raise ValueError(
                    "variables: the optimizer is not built yet; pass the variables, or call build(variables)"
                )
            variables = list(self._trainable)
        if len(gradients) != len(variables):
            raise ValueError(
                f"grads has {len(gradients)} gradients but there are {len(variables)} variables; pass one for each"
            )
        if all(g is None for g in gradients):
            raise ValueError("grads: there is no gradient for any variable")
        known = self._trainable if self.built else checked_variables(variables)
        order = [self.index(v) for v in variables] if self.built else list(range(len(variables)))
        if len(set(order)) != len(order):
            raise ValueError("variables: the same variable came twice; add its gradients up and pass it once")
        full: list[Any] = [None] * len(known)
        for place, (i, g) in enumerate(zip(order, gradients, strict=True)):
            _validate.destination(known[i], f"variables[{place}]", known[i].shape, known[i].dtype)
            full[i] = None if g is None else prepared_gradient(g, known[i], f"grads[{place}]")
        missing = [place for place, g in enumerate(gradients) if g is None]
        if missing:
            names = [self._names[order[p]] if self.built else f"variables[{p}]" for p in missing]
            warnings.warn(f"there are no gradients for {', '.join(names)}", stacklevel=3)
        if not self.built:
            self.build(variables)
            if not self.built:
                raise RuntimeError(f"{type(self).__name__}.build must call super().build(variables)")
        updater = self._configured()
        rate = self._rate()
        for i, regularizer in enumerate(self._added_penalties):
            if regularizer is not None and full[i] is not None:
                penalty = np.asarray(regularizer.gradient(self._trainable[i]), dtype=full[i].dtype)
                _validate.same_shape(penalty, f"the gradient of {regularizer!r}", full[i], "its variable")
                full[i] = np.ascontiguousarray(full[i] + penalty * full[i].dtype.type(self.loss_scale_factor or 1))
        if not updater.bind(full):
            raise ValueError("variables: one of them was resized since the optimizer was built; make a new optimizer")
        if self._in_python:
            self._step_in_python(updater, full, rate)
        elif (refused := updater.step(rate, checked)) is not None:
            return refused
        self._constrain(full)
        return None

    def _step_in_python(self, updater: Updater, gradients: list[Any], rate: float) -> None:
        with updater.exclusive.training("apply"):
            whole = [None if g is None else np.empty_like(g) for g in gradients]
            updates = updater.gradients(whole, rate)
            if updates:
                for i, (g, v) in enumerate(zip(whole, self._trainable, strict=True)):
                    if g is None:
                        continue
                    if self.weight_decay and self._decays(v, self._names[i]):
                        v -= v * v.dtype.type(self.weight_decay * rate)
                    if self._accumulators:
                        self._accumulators[i][...] = 0
                    self.update_step(cast("FloatArray", g), cast("FloatArray", v), rate)
            updater.finish(updates, rate)

    def _constrain(self, gradients: list[Any]) -> None:
        """The constraints that are not part of the compiled step."""
        for v, g, constraint in zip(self._trainable, gradients, self._later_constraints, strict=True):
            if constraint is not None and g is not None:
                v[...] = constraint(v)
