"""The optimizers: each chooses a row of the table of update rules, and gives it its hyperparameters.

In all formulas g is the gradient, lr the learning rate and t the number of the update, from 1. What the formulas do
is in csrc/optimizers.def.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict, Unpack

from fastnn import _validate
from fastnn.optimizers._parts import Check, between, flag
from fastnn.optimizers._state import Rate
from fastnn.optimizers.base import Optimizer

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "RMSprop", "Rprop"]

_share = between(minimum=0, below=1)  # a decay of averages
_positive = between(minimum=0)


class OptionsButDecay(TypedDict, total=False):
    """The options that all optimizers share; `Optimizer` describes them."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class Options(OptionsButDecay, total=False):
    """And the decay, which AdamW has as an argument of its own."""

    weight_decay: float | None


class SGD(Optimizer):
    """Gradient descent: ``w -= lr g``.

    With momentum, ``m = momentum m - lr g; w += m``; with Nesterov's, ``w += momentum m - lr g`` in the place of the
    latter.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
    momentum : float
        0 to 1.
    nesterov : bool
    **options
        As `Optimizer` has them.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0, 2.0])
    >>> SGD(learning_rate=0.5).apply([np.array([1.0, -1.0])], [w])
    >>> w
    array([0.5, 2.5])
    """

    _checks: ClassVar[dict[str, Check]] = Optimizer._checks | {
        "momentum": between(minimum=0, maximum=1),
        "nesterov": flag,
    }
    _options = ("momentum", "nesterov")

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.momentum = momentum
        self.nesterov = nesterov

    def _rule(self) -> str:
        return "sgd" if self.momentum == 0 else "nesterov" if self.nesterov else "momentum"


class RMSprop(Optimizer):
    """``v = rho v + (1 - rho) g^2; w -= lr g / sqrt(v + epsilon)``.

    With momentum, ``m = momentum m + lr g / sqrt(v + epsilon); w -= m``. Centered, ``v - a^2`` stands in the place of
    v under the root, with ``a = rho a + (1 - rho) g``.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
    rho : float
        How much of the average of squares is kept, 0 to 1.
    momentum : float
    epsilon : float
    centered : bool
    **options
        As `Optimizer` has them.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0, 2.0])
    >>> RMSprop(learning_rate=0.1, rho=0.75, epsilon=0.0).apply([np.array([10.0, -0.1])], [w])
    >>> w
    array([0.8, 2.2])
    """

    _checks: ClassVar[dict[str, Check]] = Optimizer._checks | {
        "rho": between(minimum=0, maximum=1),
        "momentum": between(minimum=0, maximum=1),
        "epsilon": _positive,
        "centered": flag,
    }
    _options = ("rho", "momentum", "epsilon", "centered")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def _rule(self) -> str:
        return "rmsprop" + ("_centered" if self.centered else "") + ("_momentum" if self.momentum > 0 else "")


class Adagrad(Optimizer):
    """``a += g^2; w -= lr g / sqrt(a + epsilon)``: a rate that only ever shrinks.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
    initial_accumulator_value : float
        What a is before the first update; 0 is the textbook's.
    epsilon : float
    **options
        As `Optimizer` has them.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0])
    >>> optimizer = Adagrad(learning_rate=0.5, initial_accumulator_value=0.0, epsilon=0.0)
    >>> optimizer.apply([np.array([4.0])], [w])
    >>> optimizer.apply([np.array([3.0])], [w])
    >>> w
    array([0.2])
    """

    _checks: ClassVar[dict[str, Check]] = Optimizer._checks | {
        "initial_accumulator_value": _positive,
        "epsilon": _positive,
    }
    _options = ("initial_accumulator_value", "epsilon")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def _rule(self) -> str:
        return "adagrad"


class Adadelta(Optimizer):
    """``a = rho a + (1 - rho) g^2; d = g sqrt(u + epsilon) / sqrt(a + epsilon); u = rho u + (1 - rho) d^2; w -= lr d``.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
        1 is the paper's.
    rho : float
    epsilon : float
    **options
        As `Optimizer` has them.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0])
    >>> Adadelta(learning_rate=1.0, rho=0.75, epsilon=0.25).apply([np.array([0.0])], [w])
    >>> w
    array([1.])
    """

    _checks: ClassVar[dict[str, Check]] = Optimizer._checks | {
        "rho": between(minimum=0, maximum=1),
        "epsilon": _positive,
    }
    _options = ("rho", "epsilon")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = rho
        self.epsilon = epsilon

    def _rule(self) -> str:
        return "adadelta"


class Adam(Optimizer):
    """``m += (1 - beta_1)(g - m); v += (1 - beta_2)(g^2 - v); w -= lr_t m / (sqrt(v) + epsilon)``.

    ``lr_t = lr sqrt(1 - beta_2^t) / (1 - beta_1^t)`` makes up for m and v starting at 0. With amsgrad, the largest v
    so far stands in the place of v.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
    beta_1, beta_2 : float
        0 to 1, without 1.
    epsilon : float
    amsgrad : bool
    bias_correction : bool
        False for ``lr_t = lr``.
    **options
        As `Optimizer` has them.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0, 2.0])
    >>> Adam(learning_rate=0.1, epsilon=0.0).apply([np.array([10.0, -0.1])], [w])
    >>> w.round(12)
    array([0.9, 2.1])
    """

    _checks: ClassVar[dict[str, Check]] = Optimizer._checks | {
        "beta_1": _share,
        "beta_2": _share,
        "epsilon": _positive,
        "amsgrad": flag,
        "bias_correction": flag,
    }
    _options = ("beta_1", "beta_2", "epsilon", "amsgrad", "bias_correction")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        bias_correction: bool = True,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self.bias_correction = bias_correction

    def _rule(self) -> str:
        return "amsgrad" if self.amsgrad else "adam"


class AdamW(Adam):
    """Adam with weight decay: first ``w -= lr weight_decay w``, and then Adam's update.

    The decay is not scaled by the gradients' size, as the gradient of an L2 penalty would be.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
    weight_decay : float
    beta_1, beta_2 : float
        0 to 1, without 1.
    epsilon : float
    amsgrad : bool
    bias_correction : bool
    **options
        As `Optimizer` has them.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0])
    >>> AdamW(learning_rate=0.1, weight_decay=0.5).apply([np.array([0.0])], [w])
    >>> w
    array([0.95])
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        bias_correction: bool = True,
        **options: Unpack[OptionsButDecay],
    ) -> None:
        if weight_decay is None:
            raise ValueError("weight_decay: AdamW needs a number, got None; use Adam for no decay")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, bias_correction, weight_decay=weight_decay, **options
        )


class Adamax(Optimizer):
    """``m += (1 - beta_1)(g - m); u = max(beta_2 u, |g|); w -= lr / (1 - beta_1^t) m / (u + epsilon)``.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
    beta_1, beta_2 : float
        0 to 1, without 1.
    epsilon : float
    **options
        As `Optimizer` has them.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0, 2.0])
    >>> Adamax(learning_rate=0.1, epsilon=0.0).apply([np.array([10.0, -0.1])], [w])
    >>> w.round(12)
    array([0.9, 2.1])
    """

    _checks: ClassVar[dict[str, Check]] = Optimizer._checks | {
        "beta_1": _share,
        "beta_2": _share,
        "epsilon": _positive,
    }
    _options = ("beta_1", "beta_2", "epsilon")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def _rule(self) -> str:
        return "adamax"


class Nadam(Adamax):
    """Adam with Nesterov's momentum, whose ``mu_t = beta_1 (1 - 0.96^t / 2)`` changes from update to update.

    m and v as Adam's; with ``P_t = mu_1 ... mu_t``,
    ``w -= lr (mu_(t+1) m / (1 - P_(t+1)) + (1 - mu_t) g / (1 - P_t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)``.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
    beta_1, beta_2 : float
        0 to 1, without 1.
    epsilon : float
    **options
        As `Optimizer` has them.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0, 2.0])
    >>> Nadam(learning_rate=0.1, beta_1=0.0, epsilon=0.0).apply([np.array([10.0, -0.1])], [w])
    >>> w.round(12)
    array([0.9, 2.1])
    """

    def _rule(self) -> str:
        return "nadam"


class Lion(Optimizer):
    """``w -= lr sign(beta_1 m + (1 - beta_1) g); m = beta_2 m + (1 - beta_2) g``.

    Every weight moves by lr (or not at all): a rate of a third to a tenth of Adam's is usual.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
    beta_1 : float
        Above 0, up to 1.
    beta_2 : float
        0 to 1.
    **options
        As `Optimizer` has them.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0, 2.0])
    >>> Lion(learning_rate=0.5).apply([np.array([10.0, -0.1])], [w])
    >>> w
    array([0.5, 2.5])
    """

    _checks: ClassVar[dict[str, Check]] = Optimizer._checks | {
        "beta_1": between(above=0, maximum=1),
        "beta_2": between(minimum=0, maximum=1),
    }
    _options = ("beta_1", "beta_2")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def _rule(self) -> str:
        return "lion"


def _pair(value: Any, name: str) -> list[Any]:
    pair = _validate.items(value, name, "two numbers")
    if len(pair) != 2:
        raise ValueError(f"{name}: expected two numbers, got {value!r}")
    return pair


def _etas(value: Any, name: str) -> tuple[float, float]:
    minus, plus = _pair(value, name)
    return _validate.number(minus, "etas[0]", above=0, below=1), _validate.number(plus, "etas[1]", minimum=1)


def _sizes(value: Any, name: str) -> tuple[float, float]:
    least, most = _pair(value, name)
    least = _validate.number(least, "step_sizes[0]", minimum=0)
    return least, _validate.number(most, "step_sizes[1]", minimum=least)


class Rprop(Optimizer):
    """Resilient propagation: only the signs of the gradients count; for full batches. PyTorch's form.

    Each weight has a step of its own, lr at first: ``s *= etas[1]`` where g has the sign of the gradient before it,
    ``s *= etas[0]`` where the sign changed (there g counts as 0), and s stays within step_sizes; ``w -= s sign(g)``.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
        The first step's size; what it is later has no effect, but on weight decay.
    etas : (float, float)
        The factors for a change of sign and for the same sign.
    step_sizes : (float, float)
        The bounds of s.
    **options
        As `Optimizer` has them.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0])
    >>> optimizer = Rprop(learning_rate=0.5, etas=(0.5, 2.0))
    >>> for _ in range(2):
    ...     optimizer.apply([np.array([3.0])], [w])
    >>> w
    array([-0.5])
    """

    _checks: ClassVar[dict[str, Check]] = Optimizer._checks | {"etas": _etas, "step_sizes": _sizes}
    _options = ("etas", "step_sizes")

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        etas: Sequence[float] = (0.5, 1.2),
        step_sizes: Sequence[float] = (1e-6, 50.0),
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.etas = etas
        self.step_sizes = step_sizes

    def _rule(self) -> str:
        return "rprop"

    def _hyper(self, name: str) -> float:
        pair, place = {
            "eta_minus": (self.etas, 0),
            "eta_plus": (self.etas, 1),
            "step_min": (self.step_sizes, 0),
            "step_max": (self.step_sizes, 1),
        }[name]
        return float(pair[place])
