"""What of an optimizer outlives its steps: averages of the weights, its state, its configuration."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, cast

import numpy.typing as npt

from fastnn import _validate
from fastnn._core.optimizers import Updater
from fastnn._validate import FloatArray
from fastnn.optimizers import schedules
from fastnn.optimizers._parts import key_of
from fastnn.optimizers.schedules import LearningRateSchedule

Rate: TypeAlias = "float | LearningRateSchedule | Callable[[], float]"


class Kept:
    """The half of Optimizer that is not a step."""

    _options: ClassVar[tuple[str, ...]] = ()  # what a subclass adds to the configuration

    name: str
    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None

    _updater: Updater | None
    _learning_rate: Any
    _trainable: list[npt.NDArray[Any]]
    _names: list[str]
    _averages: list[npt.NDArray[Any]]
    _accumulators: list[npt.NDArray[Any]]
    _slots: dict[str, list[npt.NDArray[Any]]]
    _added: list[npt.NDArray[Any]]

    if TYPE_CHECKING:

        @property
        def built(self) -> bool: ...
        def index(self, variable: FloatArray) -> int: ...
        def _make(self) -> None: ...
        @staticmethod
        def _checked_rate(value: Any) -> Any: ...

    def finalize_variable_values(self, var_list: Iterable[FloatArray] | None = None) -> None:
        """Set the weights to their moving averages, where use_ema is on: what the end of training does."""
        if self.use_ema and self.built:
            variables = self._trainable if var_list is None else list(var_list)
            for v, i in [(v, self.index(cast("FloatArray", v))) for v in variables]:
                v[...] = self._averages[i]

    def swap_averages(self) -> None:
        """Exchange the weights and their moving averages; a second call takes it back."""
        if not self.use_ema or not self.built:
            raise ValueError("swap_averages: there are no averages yet; use_ema=True and a first step make them")
        for v, average in zip(self._trainable, self._averages, strict=True):
            v[...], average[...] = average.copy(), v.copy()

    def _state_arrays(self) -> dict[str, npt.NDArray[Any]]:
        groups = {"average": self._averages, "gradient_accumulator": self._accumulators, **self._slots}
        result = {f"{name}/{i}": a for name, group in groups.items() for i, a in enumerate(group)}
        return result | {f"added/{i}": a for i, a in enumerate(self._added)}

    def get_state(self) -> dict[str, Any]:
        """All that a step depends on besides configuration and variables, as a dict of numbers and copied arrays."""
        updater = self._updater  # another thread may build it anew
        if updater is None:
            raise ValueError("get_state: the optimizer has no state before it is built; call build(variables)")
        state: dict[str, Any] = {"iterations": updater.iterations, "memory": updater.memory}
        if not callable(self._learning_rate):
            state["learning_rate"] = self._learning_rate
        return state | {name: array.copy() for name, array in self._state_arrays().items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from where `get_state` was called: the steps that follow are the same to the last bit."""
        updater = self._updater  # another thread may build it anew
        if updater is None:
            raise ValueError("set_state: call build(variables) first")
        arrays = self._state_arrays()
        expected = {"iterations", "memory", *arrays} | (set() if callable(self._learning_rate) else {"learning_rate"})
        if set(state) != expected:
            missing, surplus = sorted(expected - set(state)), sorted(set(state) - expected)
            raise ValueError(
                "state: it is not that of this optimizer and these variables "
                f"(missing: {missing}, not expected: {surplus})"
            )
        iterations = _validate.integer(state["iterations"], "state['iterations']", minimum=0)
        memory = float(state["memory"])
        rate = None if "learning_rate" not in state else self._checked_rate(state["learning_rate"])
        values = {name: _validate.floats(state[name], f"state[{name!r}]", a.dtype) for name, a in arrays.items()}
        for name, value in values.items():
            _validate.same_shape(value, f"state[{name!r}]", arrays[name], "its variable")
        for name, value in values.items():
            arrays[name][...] = value
        updater.iterations, updater.memory = iterations, memory
        updater.forget_bounds()
        if rate is not None:
            self._learning_rate = rate

    def _everything(self) -> dict[str, npt.NDArray[Any]]:
        """All arrays that a step changes: the variables, and what is kept of each."""
        return {f"weights/{i}": v for i, v in enumerate(self._trainable)} | self._state_arrays()

    def _parts(self) -> dict[str, int]:
        """What a step changes of a variable: the numbers that a step which is refused gives."""
        return {"weights": 0, "gradient_accumulator": 4, "average": 5, "added": 6} | {
            name: i for i, name in enumerate(self._slots, 1)
        }

    def _part_of(self, key: str) -> tuple[int, int]:
        """Of an array of `_everything`: which variable it belongs to, and which part of it it is."""
        name, number = key.rsplit("/", 1)
        return int(number) % len(self._trainable), self._parts()[name]

    def _kept_as(self, index: int, part: int) -> tuple[str, str]:
        """The name of a variable, and what that part of it is called."""
        name = next(name for name, number in self._parts().items() if number == part)
        what = {"weights": "the weights", "added": "the optimizer's variables"}
        return self._names[index], what.get(name, f"the optimizer's {name}")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another of its like."""
        rate = self._learning_rate
        return {
            "name": self.name,
            "learning_rate": schedules.serialize(rate) if isinstance(rate, LearningRateSchedule) else rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
            **{name: getattr(self, name) for name in self._options},
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """The optimizer that get_config described."""
        arguments = dict(config)
        if isinstance(arguments.get("learning_rate"), Mapping):
            arguments["learning_rate"] = schedules.deserialize(arguments["learning_rate"], custom_objects)
        return cls(**arguments)

    def __getstate__(self) -> dict[str, Any]:
        kept = {k: v for k, v in self.__dict__.items() if k not in ("_updater", "_slots", "_averages", "_accumulators")}
        return kept | {"_indices": {}, "_saved": self.get_state() if self.built else None}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        saved = kept.pop("_saved")
        self.__dict__.update(kept, _updater=None, _slots={})
        self._excluded = {key_of(v) for v in getattr(self, "_excluded_variables", ())}
        if saved is not None:
            self._make()
            self.set_state(saved)

    def __repr__(self) -> str:
        options = {k: v for k, v in self.get_config().items() if v is not None and k != "name"}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in options.items())})"
