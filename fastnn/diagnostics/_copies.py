"""Copies of models to try things on, so that the models themselves stay as they are."""

import copy
from typing import Any

import numpy as np

from fastnn import optimizers
from fastnn.models import check_model


def copied(model: Any) -> Any:
    """A copy of a compiled model, without metrics: it may be run and trained."""
    check_model(model)
    plan = model._need_compiled()
    twin = copy.deepcopy(model)
    twin._plan.given, twin._plan.metrics, twin._plan.pending = [], [], None
    assert plan is not twin._plan
    return twin


def in_double(model: Any) -> Any:
    """A copy that computes in float64, from the same weights, with a plain optimizer."""
    twin = copied(model)
    twin._given_dtype = twin._dtype = np.dtype(np.float64)
    for layer in twin._flat():
        layer._dtype = twin._dtype
        layer._given_dtype = None
    twin.optimizer, twin._learning = optimizers.SGD(), []
    return twin
