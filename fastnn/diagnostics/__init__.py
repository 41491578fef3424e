"""What is wrong with a network: are its gradients right, do they arrive, which rate, and what to change.

All of them work on copies: the model that is passed, its optimizer and its counters stay as they are.
"""

from fastnn.diagnostics._changes import Change
from fastnn.diagnostics._check import GradientCheck, ParameterCheck, check_gradients
from fastnn.diagnostics._diagnose import Diagnosis, diagnose
from fastnn.diagnostics._flow import GradientFlow, LayerFlow, gradient_flow
from fastnn.diagnostics._range import RangeTest, lr_find

__all__ = [
    "Change",
    "Diagnosis",
    "GradientCheck",
    "GradientFlow",
    "LayerFlow",
    "ParameterCheck",
    "RangeTest",
    "check_gradients",
    "diagnose",
    "gradient_flow",
    "lr_find",
]
