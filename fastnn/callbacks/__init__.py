"""What fit, evaluate and predict call at their turning points: stop early, save, resume, change the rate, keep a log.

The names, arguments and behaviour are those of Keras 3's callbacks.
"""

from typing import TYPE_CHECKING

from fastnn._lazy import lazily
from fastnn.callbacks._base import Callback, History, LambdaCallback
from fastnn.callbacks._list import CallbackList

if TYPE_CHECKING:
    from fastnn.callbacks._backup import BackupAndRestore
    from fastnn.callbacks._gradients import GradientMonitor
    from fastnn.callbacks._monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
    from fastnn.callbacks._parts import CSVLogger, LearningRateScheduler, SwapEMAWeights, TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "GradientMonitor",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TerminateOnNaN",
]

__getattr__, __dir__ = lazily(
    "fastnn.callbacks",
    {
        "_backup": ["BackupAndRestore"],
        "_gradients": ["GradientMonitor"],
        "_monitors": ["EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau"],
        "_parts": ["CSVLogger", "LearningRateScheduler", "SwapEMAWeights", "TerminateOnNaN"],
    },
)
