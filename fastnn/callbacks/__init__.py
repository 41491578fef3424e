"""What fit, evaluate and predict call at their turning points: stop early, save, resume, change the rate, keep a log.

The names, arguments and behaviour are those of Keras 3's callbacks.
"""

from fastnn.callbacks._backup import BackupAndRestore
from fastnn.callbacks._base import Callback, CallbackList, History, LambdaCallback
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
