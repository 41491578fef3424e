"""Optimizers: each is the update of ONE weight, w -> w', from its gradient and what was remembered about it.

`Optimizer.step` does what they share, in this order: the regularizers' gradients are added, the one clip, the decay
w -= lr * weight_decay * w, the update, the moving average of the weights, the constraints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ._ieee import clip, div, maximum, minimum, power, sign, sqrt, total
from .constraints import Constraint
from .regularizers import Regularizer

Gradients = Sequence[Sequence[float]]
Slots = dict[str, float]


@dataclass
class Variable:
    """A flat list of floats that an optimizer changes in place, and what it must know about it."""

    values: list[float]
    shape: tuple[int, ...] = ()
    regularizer: Regularizer | None = None
    constraint: Constraint | None = None
    decays: bool = True
    trainable: bool = True

    def __post_init__(self) -> None:
        self.shape = self.shape or (len(self.values),)


@dataclass(kw_only=True)
class Optimizer:
    """What all optimizers share. A learning rate is a number, or a schedule: a function of the steps taken.

    At most one of clipvalue, clipnorm (of each variable) and global_clipnorm (of all together) is given.
    """

    learning_rate: float | Callable[[int], float] = 0.001
    weight_decay: float | None = None
    clipvalue: float | None = None
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    use_ema: bool = False
    ema_momentum: float = 0.99
    ema_overwrite_frequency: int | None = None
    gradient_accumulation_steps: int | None = None

    def __post_init__(self) -> None:
        if sum(c is not None for c in (self.clipvalue, self.clipnorm, self.global_clipnorm)) > 1:
            raise ValueError("only one of clipvalue, clipnorm and global_clipnorm can be given")
        self.iterations = 0  # calls of apply
        self.slots: list[list[Slots]] = []  # per variable, per element
        self.averages: list[list[float]] = []
        self._sums: list[list[float]] = []

    # What an optimizer defines.

    def new_slots(self) -> Slots:
        """What is remembered about a weight before the first update."""
        return {}

    def begin_update(self, t: int) -> None:
        """Called once before the weights of update number t = 1, 2, ... are changed."""

    def update(self, w: float, g: float, s: Slots, lr: float, t: int) -> float:
        """The new weight, from the old one, its gradient, its slots, the learning rate and the number of the update."""
        raise NotImplementedError

    # What they share.

    @property
    def updates(self) -> int:
        """Updates so far: with gradient accumulation there are fewer of them than iterations."""
        return self.iterations // (self.gradient_accumulation_steps or 1)

    def current_rate(self) -> float:
        return self.learning_rate(self.iterations) if callable(self.learning_rate) else self.learning_rate

    def slot(self, name: str) -> list[list[float]]:
        """One slot of every element, as a flat list per variable."""
        return [[s[name] for s in elements] for elements in self.slots]

    def step(self, gradients: Gradients, variables: Sequence[Variable]) -> None:
        """One whole step, from the gradients of the loss without its penalties."""
        self.apply(with_penalties(gradients, variables), variables)

    def apply(self, gradients: Gradients, variables: Sequence[Variable]) -> None:
        """The step from the clip on. gradients[i] belongs to variables[i]; those not trainable are passed over."""
        live = [(v, g) for v, g in zip(variables, gradients, strict=True) if v.trainable]
        trained = [v for v, _ in live]
        if not self.slots:
            self.slots = [[self.new_slots() for _ in v.values] for v in trained]
            self.averages = [[0.0 for _ in v.values] for v in trained]
            self._sums = [[0.0 for _ in v.values] for v in trained]
        steps = self.gradient_accumulation_steps or 1
        sums = [[g + a for g, a in zip(gs, old, strict=True)] for (_, gs), old in zip(live, self._sums, strict=True)]
        if (self.iterations + 1) % steps == 0:
            self._update([[g / steps for g in gs] for gs in sums], trained)
            sums = [[0.0 for _ in gs] for gs in sums]
        self._sums = sums
        if self.use_ema:
            self._average(trained)
        for v in trained:
            if v.constraint is not None:
                v.values[:] = v.constraint(v.values, v.shape)
        self.iterations += 1

    def _update(self, gradients: list[list[float]], variables: list[Variable]) -> None:
        lr, t = self.current_rate(), self.updates + 1
        clipped = self._clip(gradients)
        for v in variables:
            if self.weight_decay is not None and v.decays:
                v.values[:] = [w - lr * self.weight_decay * w for w in v.values]
        self.begin_update(t)
        for v, gs, slots in zip(variables, clipped, self.slots, strict=True):
            v.values[:] = [self.update(w, g, s, lr, t) for w, g, s in zip(v.values, gs, slots, strict=True)]

    def _clip(self, gradients: list[list[float]]) -> list[list[float]]:
        """g to [-c, c], or every gradient to a norm of at most c, or all of them together."""
        if self.clipvalue:
            c = self.clipvalue
            return [[clip(g, -c, c) for g in gs] for gs in gradients]
        if self.clipnorm:
            c = self.clipnorm
            return [_scaled(gs, div(c, maximum(_norm([gs]), c))) for gs in gradients]
        if self.global_clipnorm:
            c = self.global_clipnorm
            norm = _norm(gradients)  # a norm that is not finite makes every gradient NaN
            return [_scaled(gs, div(c, maximum(norm, c)) + (norm - norm)) for gs in gradients]
        return gradients

    def _average(self, variables: list[Variable]) -> None:
        """a = m a + (1 - m) w, starting from the first w; now and then the weights are set to it."""
        m = self.ema_momentum if self.updates else 0.0
        frequency = self.ema_overwrite_frequency
        overwrite = frequency is not None and (self.updates + 1) % frequency == 0
        for v, average in zip(variables, self.averages, strict=True):
            average[:] = [m * a + (1.0 - m) * w for a, w in zip(average, v.values, strict=True)]
            if overwrite:
                v.values[:] = average


def with_penalties(gradients: Gradients, variables: Sequence[Variable]) -> list[list[float]]:
    """The gradients with those of the regularizers added."""
    result = []
    for v, gs in zip(variables, gradients, strict=True):
        penalty = v.regularizer.gradient(v.values, v.shape) if v.regularizer and v.trainable else [0.0] * len(gs)
        result.append([g + p for g, p in zip(gs, penalty, strict=True)])
    return result


def _norm(gradients: Gradients) -> float:
    return sqrt(total(g * g for gs in gradients for g in gs))


def _scaled(gs: Sequence[float], factor: float) -> list[float]:
    return [g * factor for g in gs]


# The optimizers. In their equations g is the gradient, and t the number of the update, from 1.


@dataclass(kw_only=True)
class SGD(Optimizer):
    """w -= lr g. With momentum, m = mu m - lr g and w += m; with Nesterov's, w += mu m - lr g."""

    learning_rate: float | Callable[[int], float] = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def new_slots(self) -> Slots:
        return {"momentum": 0.0}

    def update(self, w: float, g: float, s: Slots, lr: float, t: int) -> float:
        if not self.momentum:
            return w - lr * g
        s["momentum"] = self.momentum * s["momentum"] - lr * g
        return w + (self.momentum * s["momentum"] - lr * g if self.nesterov else s["momentum"])


@dataclass(kw_only=True)
class RMSprop(Optimizer):
    """v = rho v + (1 - rho) g^2, w -= lr g / sqrt(v + epsilon).

    centered: v less the square of the mean gradient. With momentum, m = mu m + that step, and w -= m.
    """

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def new_slots(self) -> Slots:
        return {"velocity": 0.0, "momentum": 0.0, "average_gradient": 0.0}

    def update(self, w: float, g: float, s: Slots, lr: float, t: int) -> float:
        s["velocity"] = self.rho * s["velocity"] + (1.0 - self.rho) * g * g
        s["average_gradient"] = self.rho * s["average_gradient"] + (1.0 - self.rho) * g
        variance = s["velocity"] - (s["average_gradient"] * s["average_gradient"] if self.centered else 0.0)
        shifted = variance + self.epsilon
        step = div(lr * g, sqrt(self.epsilon if shifted <= 0 else shifted))  # rounding can make a variance negative
        if not self.momentum:
            return w - step
        s["momentum"] = self.momentum * s["momentum"] + step
        return w - s["momentum"]


@dataclass(kw_only=True)
class Adagrad(Optimizer):
    """v += g^2, w -= lr g / sqrt(v + epsilon): a rate that only ever shrinks."""

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    def new_slots(self) -> Slots:
        return {"accumulator": self.initial_accumulator_value}

    def update(self, w: float, g: float, s: Slots, lr: float, t: int) -> float:
        s["accumulator"] += g * g
        return w - div(lr * g, sqrt(s["accumulator"] + self.epsilon))


@dataclass(kw_only=True)
class Adadelta(Optimizer):
    """v = rho v + (1 - rho) g^2, d = -g sqrt(u + epsilon) / sqrt(v + epsilon), u = rho u + (1 - rho) d^2, w += lr d."""

    rho: float = 0.95
    epsilon: float = 1e-7

    def new_slots(self) -> Slots:
        return {"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}

    def update(self, w: float, g: float, s: Slots, lr: float, t: int) -> float:
        s["accumulated_grad"] = self.rho * s["accumulated_grad"] + (1.0 - self.rho) * g * g
        numerator = sqrt(s["accumulated_delta_var"] + self.epsilon)
        d = -div(numerator * g, sqrt(s["accumulated_grad"] + self.epsilon))
        s["accumulated_delta_var"] = self.rho * s["accumulated_delta_var"] + (1.0 - self.rho) * d * d
        return w + lr * d


@dataclass(kw_only=True)
class Adam(Optimizer):
    """m += (g - m)(1 - beta_1), v += (g^2 - v)(1 - beta_2), w -= lr_t m / (sqrt(v) + epsilon).

    lr_t = lr sqrt(1 - beta_2^t) / (1 - beta_1^t) makes up for m and v starting at 0; without bias correction it is lr.
    amsgrad: with the largest v so far in the place of v.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False
    bias_correction: bool = True

    def new_slots(self) -> Slots:
        return {"momentum": 0.0, "velocity": 0.0, "velocity_hat": 0.0}

    def update(self, w: float, g: float, s: Slots, lr: float, t: int) -> float:
        s["momentum"] += (g - s["momentum"]) * (1.0 - self.beta_1)
        s["velocity"] += (g * g - s["velocity"]) * (1.0 - self.beta_2)
        s["velocity_hat"] = maximum(s["velocity_hat"], s["velocity"])
        v = s["velocity_hat"] if self.amsgrad else s["velocity"]
        if self.bias_correction:
            lr = div(lr * sqrt(1.0 - power(self.beta_2, t)), 1.0 - power(self.beta_1, t))
        return w - div(lr * s["momentum"], sqrt(v) + self.epsilon)


@dataclass(kw_only=True)
class AdamW(Adam):
    """Adam with decay of the weights, which is not scaled by the gradients' size as a penalty's gradient would be."""

    weight_decay: float | None = 0.004


@dataclass(kw_only=True)
class Adamax(Optimizer):
    """m += (g - m)(1 - beta_1), u = max(beta_2 u, |g|), w -= lr m / ((1 - beta_1^t)(u + epsilon))."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def new_slots(self) -> Slots:
        return {"momentum": 0.0, "norm": 0.0}

    def update(self, w: float, g: float, s: Slots, lr: float, t: int) -> float:
        s["momentum"] += (g - s["momentum"]) * (1.0 - self.beta_1)
        s["norm"] = maximum(self.beta_2 * s["norm"], abs(g))
        return w - div(lr * s["momentum"], (1.0 - power(self.beta_1, t)) * (s["norm"] + self.epsilon))


@dataclass(kw_only=True)
class Nadam(Optimizer):
    """Adam with Nesterov's momentum, whose mu_t = beta_1 (1 - 0.96^t / 2) changes from update to update.

    m and v as Adam's; with P_t = mu_1 ... mu_t,
    m^ = mu_(t+1) m / (1 - P_(t+1)) + (1 - mu_t) g / (1 - P_t), v^ = v / (1 - beta_2^t),
    w -= lr m^ / (sqrt(v^) + epsilon).
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    product: float = 1.0  # P_t

    def new_slots(self) -> Slots:
        return {"momentum": 0.0, "velocity": 0.0}

    def begin_update(self, t: int) -> None:
        self.product *= self._mu(t)

    def _mu(self, t: int) -> float:
        return self.beta_1 * (1.0 - 0.5 * power(0.96, t))

    def update(self, w: float, g: float, s: Slots, lr: float, t: int) -> float:
        s["momentum"] += (g - s["momentum"]) * (1.0 - self.beta_1)
        s["velocity"] += (g * g - s["velocity"]) * (1.0 - self.beta_2)
        ahead = div(self._mu(t + 1) * s["momentum"], 1.0 - self.product * self._mu(t + 1))
        m_hat = ahead + div((1.0 - self._mu(t)) * g, 1.0 - self.product)
        v_hat = div(s["velocity"], 1.0 - power(self.beta_2, t))
        return w - div(lr * m_hat, sqrt(v_hat) + self.epsilon)


@dataclass(kw_only=True)
class Lion(Optimizer):
    """w -= lr sign(beta_1 m + (1 - beta_1) g), and then m = beta_2 m + (1 - beta_2) g."""

    beta_1: float = 0.9
    beta_2: float = 0.99

    def new_slots(self) -> Slots:
        return {"momentum": 0.0}

    def update(self, w: float, g: float, s: Slots, lr: float, t: int) -> float:
        direction = sign(self.beta_1 * s["momentum"] + (1.0 - self.beta_1) * g)
        s["momentum"] = self.beta_2 * s["momentum"] + (1.0 - self.beta_2) * g
        return w - lr * direction


@dataclass(kw_only=True)
class Rprop(Optimizer):
    """w -= size sign(g): the size of a weight's step, at first lr, depends on the signs of its gradients alone.

    Where g has the sign of the one before, size *= etas[1]; where the sign changed, size *= etas[0] and the weight
    stays for once, as if g were 0. The size stays within step_sizes.
    """

    learning_rate: float | Callable[[int], float] = 0.01
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)

    def new_slots(self) -> Slots:
        return {"previous": 0.0, "step_size": self.current_rate()}

    def update(self, w: float, g: float, s: Slots, lr: float, t: int) -> float:
        agreement = g * s["previous"]
        factor = self.etas[1] if agreement > 0.0 else self.etas[0] if agreement < 0.0 else 1.0
        s["step_size"] = minimum(maximum(s["step_size"] * factor, self.step_sizes[0]), self.step_sizes[1])
        s["previous"] = 0.0 if agreement < 0.0 else g
        return w - sign(s["previous"]) * s["step_size"]


OPTIMIZERS: dict[str, type[Optimizer]] = {
    c.__name__.lower(): c for c in (SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Lion, Rprop)
}
