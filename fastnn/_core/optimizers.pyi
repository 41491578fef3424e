from typing import Any, TypedDict

import numpy.typing as npt

from fastnn._core.exclusive import Exclusive

class Row(TypedDict):
    name: str
    slots: dict[str, str]
    hyperparameters: tuple[str, ...]
    formula: str

ROWS: list[Row]

class Updater:
    def __init__(
        self,
        rule: int,
        variables: list[npt.NDArray[Any]],
        segments: list[tuple[bool, float, float, tuple[Any, ...] | None]],
        slots: list[npt.NDArray[Any]],
        average: npt.NDArray[Any] | None,
        accumulated: npt.NDArray[Any] | None,
    ) -> None: ...
    @property
    def variables(self) -> tuple[npt.NDArray[Any], ...]: ...
    @property
    def slots(self) -> tuple[npt.NDArray[Any], ...]: ...
    @property
    def average(self) -> npt.NDArray[Any] | None: ...
    @property
    def accumulated(self) -> npt.NDArray[Any] | None: ...
    @property
    def merged(self) -> bool: ...
    iterations: int
    memory: float
    def configure(
        self,
        hypers: list[float],
        *,
        weight_decay: float = 0.0,
        clip_value: float = 0.0,
        clip_norm: float = 0.0,
        global_clip_norm: float = 0.0,
        ema_momentum: float = 0.0,
        ema_overwrite_frequency: int = 0,
        loss_scale: float = 1.0,
        accumulation_steps: int = 1,
    ) -> None: ...
    def bind(self, gradients: list[Any]) -> bool: ...
    def touch(self, touched: list[npt.NDArray[Any] | None]) -> None: ...
    def merge(self) -> None: ...
    def forget_bounds(self) -> None: ...
    def step(self, lr: float, checked: bool = False) -> tuple[int, int] | None: ...
    @property
    def exclusive(self) -> Exclusive: ...
    def gradients(self, out: list[Any], lr: float) -> bool: ...
    def update(self, index: int, gradient: npt.NDArray[Any], lr: float) -> None: ...
    def finish(self, average: bool, lr: float) -> None: ...
