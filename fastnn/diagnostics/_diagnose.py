"""diagnose: what is wrong with a network that does not train, and what to change."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from fastnn import _data, _validate
from fastnn._fit import batch_size_of
from fastnn._html import table
from fastnn.diagnostics._changes import Change
from fastnn.diagnostics._copies import copied
from fastnn.diagnostics._flow import SLOPES
from fastnn.diagnostics._outputs import wrong_output
from fastnn.diagnostics._symptoms import (
    Data,
    Signals,
    Trial,
    equal_layers,
    following_activation,
    hidden_layers,
    inputs,
    kernel_gradients,
    loss_of,
    signals,
    silent_loss,
    trial,
    weighted_layers,
)

__all__ = ["Diagnosis", "diagnose"]

SAMPLES = 2048  # that trials are run on, at most
RATES = 10.0  # neighbours of a rate are so many times larger and smaller
HELPS = 0.8  # the loss after a trial with a change, as a share of that without, from which on it speaks for the change
WELL = 0.4  # and from which on it does so against a network that trains, or figures that say little
STRONG, MILD = 1e-3, 3e-2  # shares to which signals or gradients have shrunk that speak by themselves, or with a trial
LARGE, SMALL = 30.0, 0.03  # of x
RATHER_LARGE, RATHER_SMALL, UNEVEN = 5.0, 0.2, 20.0
DEAD = 0.5  # the share of a layer's units
SATURATED = 0.4  # the share of a layer's outputs
HUGE = 30.0  # how many times the loss of an output that tells no sample from another a first loss is by explosion
GROWN = 10.0  # how many times larger signals or gradients have become that speak with a trial
WORSE = 1.5  # how many times the loss of a lower rate makes a rate too high
SLOW, LATER = 0.2, 0.6  # the shares of the fall at a higher rate, in a trial and in one of five times the steps, that
#                         make a rate too low: what only begins slowly has caught up by then
WORTH = 0.15  # the share of the loss that it must be about


class Diagnosis(NamedTuple):
    """What diagnose returns. It is true if something is wrong; printed, it is the sentence, or says that nothing is.

    fault : "vanishing gradients", "exploding gradients", "dying relu", "rate too high", "rate too low", "symmetric
    start", "unscaled inputs", "wrong output", or None; sentence : what is wrong and what to change, "" for None; change
    : the `Change`, whose ``apply(model, x)`` makes the changed network; evidence : what was measured.
    """

    fault: str | None
    sentence: str
    change: Change | None
    evidence: dict[str, float]

    def __bool__(self) -> bool:
        return self.fault is not None

    def __str__(self) -> str:
        if self.fault is not None:
            return self.sentence
        before, after = (self.evidence.get(name, math.nan) for name in ("loss", "loss after a trial"))
        if after < before:
            return f"The network is healthy: in a trial the loss falls from {before:.3g} to {after:.3g}."
        return f"No fault was found, but in a trial the loss does not fall: it goes from {before:.3g} to {after:.3g}."

    def __repr__(self) -> str:
        return f"Diagnosis: {self}"

    def _repr_html_(self) -> str:
        rows = [[name, f"{value:.3g}"] for name, value in self.evidence.items()]
        return table(f"Diagnosis: {self.fault or 'no fault'}", ["measured", "value"], rows, [str(self)])


def diagnose(
    model: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int = 200,
    seed: int = 0,
) -> Diagnosis:
    """Say in a sentence what keeps a network from training, and what to change, or that it is healthy.

    It looks at the output against the loss and y, at the scale of x, at weights that are equal, at signals and
    gradients from layer to layer, at dead units, and at some steps of training at the model's rate and at rates around
    it. Where figures leave room for doubt, the change is tried first. All of this on copies: the model stays as it is.

    Parameters
    ----------
    model : Sequential
        A compiled one, as it is before training.
    x, y, sample_weight : array_like
        As `fit` takes them; up to 2048 samples are drawn from them.
    batch_size : int, optional
        That of the fit to come; 32 if None.
    steps : int
        How many steps a trial has.
    seed : int
        Of the choice of samples.

    Returns
    -------
    Diagnosis

    Examples
    --------
    >>> import fastnn
    >>> x, y = fastnn.datasets.moons(500)
    >>> model = fastnn.Sequential(
    ...     [fastnn.layers.Dense(16, "tanh"), fastnn.layers.Dense(1, "sigmoid")], seed=0
    ... )
    >>> model.compile(fastnn.optimizers.SGD(1e-6), "binary_crossentropy")
    >>> found = fastnn.diagnostics.diagnose(model, x, y)
    >>> found.fault
    'rate too low'
    >>> better = found.change.apply(model, x)
    >>> better.optimizer.learning_rate > 0.01
    True
    """
    size = batch_size_of(batch_size)
    steps = _validate.integer(steps, "steps", minimum=1)
    rng = np.random.default_rng(_validate.integer(seed, "seed", minimum=0))
    twin = copied(model)
    x = twin._inputs(x)
    y = None if y is None else _data.as_array(y, "y")
    weights = None if sample_weight is None else _data.as_array(sample_weight, "sample_weight")
    twin._batches(x, y, weights, None, size)  # everything is checked here
    rows = np.sort(rng.permutation(len(x))[:SAMPLES])
    data = (x[rows], None if y is None else y[rows], None if weights is None else weights[rows])
    case = Case(twin, data, size, steps)
    for look in (_output, _equal, _inputs, _dead, _signals, _rate, _nearly_equal):
        found = look(case)
        if found is not None:
            return found
    return Diagnosis(None, "", None, case.evidence | {"loss after a trial": case.own.loss})


class Case:
    """A network under examination: a copy, samples, and what is known of it so far."""

    def __init__(self, model: Any, data: Data, size: int, steps: int) -> None:
        self.model, self.data, self.size, self.steps = model, data, size, steps
        self.evidence: dict[str, float] = {"loss": loss_of(model, data)}
        self._base: float | None = None
        self._own: Trial | None = None
        self._signals: Signals | None = None

    @property
    def first(self) -> float:
        return self.evidence["loss"]

    @property
    def base(self) -> float:
        """The loss from which learning counts: that of the first weights, or that of an output that tells no sample
        from another where this is lower. The way down from large first weights is soon done, and says little."""
        if self._base is None:
            silent = silent_loss(self.model, self.data)
            self._base = silent if 0 < silent < self.first else self.first
        return self._base

    def fall(self, loss: float) -> float:
        """By how much a loss lies below the base."""
        return max(0.0, self.base - loss)

    @property
    def own(self) -> Trial:
        """A trial of the network as it is."""
        if self._own is None:
            self._own = self.run(self.model)
            self.evidence["loss after a trial"] = self._own.loss
        return self._own

    @property
    def signals(self) -> Signals:
        if self._signals is None:
            self._signals = signals(self.model, self.data)
        return self._signals

    def run(self, model: Any, rate: float | None = None) -> Trial:
        return trial(model, self.data, self.size, self.steps, rate)

    def changed(self, change: Change) -> Trial:
        """A trial with a change."""
        return self.run(change.apply(self.model, self.data[0]))

    def best(self, changes: Sequence[Change]) -> tuple[Change, float]:
        """The change after which a trial ends lowest, and its loss as a share of that without."""
        tried = [(self.changed(change).loss, i) for i, change in enumerate(changes)]
        loss, i = min(tried)
        return changes[i], _share(loss, self.own.loss)

    def lasts(self, change: Change) -> bool:
        """Whether a change still helps after five times the steps: what only begins slowly has caught up by then."""
        own = self.later(self.model)
        return _share(self.later(change.apply(self.model, self.data[0])), own) <= WELL

    def later(self, model: Any, rate: float | None = None) -> float:
        """The loss after five times the steps of a trial."""
        return trial(model, self.data, self.size, 5 * self.steps, rate).loss

    def settled(self, change: Change, better: float | None = None) -> Change:
        """A change, with a lower rate where a trial goes well with that alone."""
        rate = _own_rate(self.model, self.steps)
        if better is None:
            better = _share(self.changed(change).loss, self.own.loss)
        if better <= HELPS or not rate:
            return change
        slower = [replace(change, optimizer={**change.optimizer, "learning_rate": rate / d}) for d in (10, 100)]
        best, share = self.best(slower)
        return best if share < min(HELPS, better) else change

    @property
    def trains(self) -> bool:
        """Whether a trial goes well as it is."""
        return math.isfinite(self.own.loss) and _share(self.own.loss, self.first) < 0.5

    def found(self, fault: str, sentence: str, change: Change) -> Diagnosis:
        return Diagnosis(fault, sentence, change, self.evidence)


def _share(loss: float, own: float) -> float:
    """How one loss compares with another; of losses below 0 the difference counts."""
    if not math.isfinite(loss):
        return math.inf
    if not math.isfinite(own):
        return 0.0
    return loss / own if own > 0 and loss >= 0 else 1.0 + loss - own


# ------------------------------------------------------------------------------------------ one look after another


def _output(case: Case) -> Diagnosis | None:
    found = wrong_output(case.model, case.data[1])
    if found is None:
        return None
    what, change = found
    change = case.settled(change)
    return case.found("wrong output", f"{what}: {change}.", change)


def _equal(case: Case) -> Diagnosis | None:
    """Units with the same weights and the same gradients."""
    if not equal_layers(case.model):
        return None
    stay = equal_layers(case.model, kernel_gradients(case.model, case.data))
    others = [layer for layer in equal_layers(case.model) if layer not in stay]  # they part in time: drawn anew as well
    return _same(case, stay + others) if stay else None


def _nearly_equal(case: Case) -> Diagnosis | None:
    """Units with the same weights, whose gradients differ: worth a change if it helps."""
    layers = equal_layers(case.model)
    if not layers:
        return None
    found = _same(case, layers)
    assert found.change is not None
    return found if _share(case.changed(found.change).loss, case.own.loss) < HELPS else None


def _same(case: Case, layers: Sequence[Any]) -> Diagnosis:
    names = {layer.name for layer in layers}
    names |= {one.name for one in weighted_layers(case.model) if not np.ptp(one.kernel)}  # type: ignore[attr-defined]
    change = case.settled(Change(layers=_drawn_anew(case.model, names)))
    sentence = f"All units of {layers[0].name!r} have the same weights, and so learn the same: {change}."
    return case.found("symmetric start", sentence, change)


def _inputs(case: Case) -> Diagnosis | None:
    scale = inputs(case.model, case.data[0])
    if scale is None:
        return None
    case.evidence |= {"size of x": scale.size, "spread of x": scale.spread}
    strong = scale.size > LARGE or scale.spread < SMALL
    mild = scale.size > RATHER_LARGE or scale.spread < RATHER_SMALL or scale.ratio > UNEVEN
    if not (strong or mild):
        return None
    change = Change(normalize=True)
    better = _share(case.changed(change).loss, case.own.loss)
    if better > (0.95 if case.trains else math.inf if strong else 0.6):
        return None
    change = case.settled(change, better)
    what = f"its columns are as large as {scale.size:.3g}" if scale.size > 1 else f"it varies by {scale.spread:.3g}"
    if scale.size <= RATHER_LARGE and scale.spread >= RATHER_SMALL:
        what = f"one column varies {scale.ratio:.0f} times as much as the others"
    return case.found("unscaled inputs", f"x is not scaled, {what}: {change}.", change)


def _dead(case: Case) -> Diagnosis | None:
    """Units of relu's kind that are 0 for every sample before the first step."""
    hidden = {name: share for name, share in case.signals.dead.items() if name != case.signals.names[-1]}
    worst = max(hidden, key=lambda name: hidden[name], default=None)
    if worst is None:
        return None
    case.evidence["dead units"] = hidden[worst]
    if hidden[worst] < DEAD or _shrinks_or_grows(case.signals):
        return None
    change, better = case.best([_for_relu(case.model, "relu"), _for_relu(case.model, "leaky_relu")])
    if better > (WELL if hidden[worst] < 0.9 else HELPS if case.trains else math.inf):
        return None
    if hidden[worst] < 0.9 and not case.lasts(change):  # a network with some of its units alive may have enough of them
        return None
    change = case.settled(change, better)
    sentence = f"{hidden[worst]:.0%} of the units of {worst!r} are 0 for every sample and learn nothing: {change}."
    return case.found("dying relu", sentence, change)


def _shrinks_or_grows(seen: Signals) -> bool:
    """Whether signals get small or large by the layer where units live: then that is why others do not. What comes
    behind a dead layer does not count: it is silent since that is."""
    levels = []
    for name, level in seen.signal.items():
        if seen.dead.get(name, 0.0) >= DEAD:
            break
        if name in seen.names:
            levels.append(level)
    ratio = _quotient(levels[-1], levels[0]) if len(levels) > 1 else 1.0
    return not MILD < ratio < 1 / MILD


def _signals(case: Case) -> Diagnosis | None:
    """Signals or gradients that get small or large by the layer."""
    deep = len(hidden_layers(case.model))
    if not deep:
        return None
    grown = GROWN if deep > 2 else 1 / MILD
    seen = case.signals
    forward, back = _ratios(seen)
    case.evidence |= {"signal, last to first layer": forward, "gradient, first to last layer": back}
    saturated = max((share for name, share in seen.saturated.items() if name != seen.names[-1]), default=0.0)
    case.evidence["saturated outputs"] = saturated
    shrinks, grows = min(forward, back), max(forward, back)
    if not math.isfinite(case.first) or not math.isfinite(grows) or grows > grown or saturated > SATURATED:
        strong = not math.isfinite(case.first) or not math.isfinite(grows) or grows > 1 / STRONG
        enough = HELPS if case.trains or not strong else math.inf
        if strong and not case.first <= HUGE * case.base:  # what is learned from such signals is noise
            enough = math.inf
        how = f"grow {grows:.2g} times" if grows > grown else "are lost in saturated units"
        return _reset(case, "exploding gradients", f"Signals or gradients {how} from layer to layer", enough)
    if shrinks < MILD and case.first > 0:
        what = f"The gradients vanish, to {back:.1g} of the last layer's in the first"
        if forward < back:
            what = f"The signals vanish: those of the last hidden layer are {forward:.1g} of those of the first"
        return _reset(
            case, "vanishing gradients", what, WELL if shrinks > STRONG else HELPS if case.trains else math.inf
        )
    return None


def _ratios(seen: Signals) -> tuple[float, float]:
    """The signal of the last hidden layer against that of the first, and the gradient of the first layer against that
    of the last."""
    names = list(seen.signal)
    weighted = [i for i, name in enumerate(names) if name in seen.names]
    begin, end = (weighted[0], weighted[-1]) if len(weighted) > 1 else (0, len(names))
    levels = [seen.signal[name] for name in names[begin:end]]
    forward = _quotient(levels[-1], levels[0]) if levels else 1.0
    shares = [seen.gradient[name] for name in seen.names if name in seen.gradient]
    back = _quotient(shares[0], shares[-1]) if len(shares) > 1 else 1.0
    return forward, back


def _quotient(a: float, b: float) -> float:
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return a / b if b else 1.0 if not a else math.inf


def _reset(case: Case, fault: str, what: str, enough: float) -> Diagnosis | None:
    """Suggest first weights that keep signals and gradients as large as they are, or an activation that does, if the
    loss after a trial with that is `enough` of what it is without, or less."""
    names = {layer.name for layer in hidden_layers(case.model)}
    changes = [Change(layers=_drawn_anew(case.model, names))]
    if any(following_activation(case.model, layer) in SLOPES for layer in hidden_layers(case.model)):
        changes.append(_for_relu(case.model, "relu"))
    elif fault == "vanishing gradients":
        changes.append(_for_relu(case.model, "leaky_relu"))
    if fault == "exploding gradients" and not case.model.optimizer._clip_options()["global_clip_norm"]:
        changes.append(Change(optimizer={"global_clipnorm": 1.0}))
    change, better = case.best(changes)
    if better > enough or (enough == WELL and not case.lasts(change)):
        return None
    change = case.settled(change, better)
    return case.found(fault, f"{what}: {change}.", change)


def _rate(case: Case) -> Diagnosis | None:
    """The model's rate against rates around it."""
    rate = _own_rate(case.model, case.steps)
    if not rate:
        return None
    own = case.own.loss
    lower = {r: case.run(case.model, r).loss for r in _rates(rate, 1 / RATES, 4)}
    best = min(lower.values())
    base = case.base
    worth = WORTH * abs(base) if math.isfinite(base) else 0.0
    if math.isfinite(best) and (not math.isfinite(own) or (own > WORSE * best and own - best > worth)):
        modest = _modest(lower, best, case.first)
        if math.isfinite(own) and case.later(case.model) <= WORSE * case.later(case.model, modest):
            return None  # the way down began with a detour
        change = Change(optimizer={"learning_rate": modest})
        how = (
            "the loss overflows"
            if not math.isfinite(own)
            else f"the loss comes to {own:.3g}, at lower ones to {best:.3g}"
        )
        return case.found("rate too high", f"The rate {rate:.3g} is too high, {how} in a trial: {change}.", change)
    decades = max(3, math.ceil(math.log10(1 / rate)) + 1)  # to rates at which little trains
    higher = {r: case.run(case.model, r).loss for r in _rates(rate, RATES, decades)}
    best = min(higher.values())
    fall, most = case.fall(own), case.fall(best)
    if (
        math.isfinite(best)
        and most > 2 * worth
        and fall < SLOW * most
        and case.fall(case.later(case.model)) < LATER * most
    ):
        change = Change(optimizer={"learning_rate": _modest(higher, best, case.first)})
        how = f"the loss comes to {own:.3g}, at a higher one to {best:.3g}"
        return case.found("rate too low", f"The rate {rate:.3g} is too low, in a trial {how}: {change}.", change)
    return None


def _rates(rate: float, factor: float, count: int) -> Iterator[float]:
    return (rate * factor**i for i in range(1, count + 1))


def _modest(losses: Mapping[float, float], best: float, first: float) -> float:
    """The lowest of the rates whose trials end nearly as low as the best."""
    room = 0.1 * (abs(first - best) if math.isfinite(first) else abs(best))
    return min(rate for rate, loss in losses.items() if loss <= best + room)


def _own_rate(model: Any, steps: int) -> float:
    """The rate of the model, or the middle one of its schedule's."""
    rate = model.optimizer._learning_rate
    if not callable(rate):
        return float(rate)
    try:
        return float(np.median([float(rate(i)) for i in range(steps)]))
    except TypeError:  # a function without an argument
        return float(model.optimizer.learning_rate)


# ------------------------------------------------------------------------------------------------------------ remedies

MATCHING = {"relu": "he_normal", "leaky_relu": "he_normal", "relu6": "he_normal", "elu": "he_normal",
            "gelu": "he_normal", "silu": "he_normal", "mish": "he_normal", "selu": "lecun_normal"}  # fmt: skip


def _initializer(activation: str) -> str:
    """What keeps signals as large as they are through layers with an activation."""
    return MATCHING.get(activation, "glorot_uniform")


def _drawn_anew(model: Any, names: set[str]) -> dict[str, dict[str, str]]:
    """First weights that match the activations, in some layers."""
    result = {}
    for layer in weighted_layers(model):
        if layer.name in names:
            arguments = {"kernel_initializer": _initializer(following_activation(model, layer))}
            if layer.bias is not None and np.any(layer.bias):  # type: ignore[attr-defined]
                arguments["bias_initializer"] = "zeros"
            result[layer.name] = arguments
    return result


def _for_relu(model: Any, name: str) -> Change:
    """relu, or leaky_relu, with first weights that fit it, in all hidden layers."""
    result: dict[str, dict[str, str]] = {}
    hidden = hidden_layers(model)
    last = weighted_layers(model)[-1]
    for layer in model._flat():
        if layer is last:
            break
        form = getattr(layer, "_form", None)
        changes = form is not None and not form.is_linear and following_activation(model, layer) != name
        if layer in hidden:
            arguments = {"activation": name} if changes else {}
            arguments["kernel_initializer"] = "he_normal"
            if layer.bias is not None and np.any(layer.bias):
                arguments["bias_initializer"] = "zeros"
            result[layer.name] = arguments
        elif changes:
            result[layer.name] = {"activation": name}
    return Change(layers=result)
