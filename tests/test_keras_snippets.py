"""Programs that were written for Keras, run by Keras and by fastnn with nothing changed but what `keras` means.

A snippet is a function in tests/snippets that takes the package. What it returns is described, by shapes, names, orders
and kinds, and the two descriptions must be the same. Bools, whole numbers, and what a snippet wraps in Numbers are
compared; other numbers hang on the two packages' random ones.
"""

import importlib
import inspect
import warnings

import numpy as np
import pytest
from snippets.recording import Numbers

import fastnn

MODULES = ("tasks", "building", "fitting", "calling_back", "optimizing", "stacking", "looping")
HELPERS = {"table", "recorder", "small", "trained", "totals", "totals_before"}


def snippets():
    for module in (importlib.import_module(f"snippets.{name}") for name in MODULES):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and name not in HELPERS:
                yield pytest.param(function, id=f"{module.__name__.rpartition('.')[2]}-{name}")


SNIPPETS = list(snippets())


def described(value):
    """What of a result must be the same in both."""
    if value is None or isinstance(value, (bool, np.bool_, int, np.integer, str)):
        return value.item() if isinstance(value, np.generic) else value
    if hasattr(value, "history") and hasattr(value, "epoch"):
        logs = [
            (name, len(values), sorted({type(v).__name__ for v in values})) for name, values in value.history.items()
        ]
        return ("history", logs, list(value.epoch))
    if isinstance(value, dict):
        return {"keys": list(value), "values": [described(item) for item in value.values()]}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *(described(item) for item in value)]
    if isinstance(value, Numbers):
        return value
    if isinstance(value, (float, np.floating)) or np.ndim(value) == 0:
        return "number"
    return ("array", np.shape(value), str(np.asarray(value).dtype))


def run(snippet, package):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return described(snippet(package))


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_fastnn_does_what_keras_does(keras_as_it_comes, snippet):
    expected = run(snippet, keras_as_it_comes)
    assert run(snippet, fastnn) == expected


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippets_run(snippet):
    """Where there is no Keras to compare with, they must run all the same."""
    assert run(snippet, fastnn) is not None


def test_there_are_snippets():
    assert len(SNIPPETS) >= 60
    assert len({param.id for param in SNIPPETS}) == len(SNIPPETS)


def test_descriptions_tell_apart():
    pairs = [
        (1.0, [1.0]),
        ([1.0], {"loss": 1.0}),
        ({"loss": 1.0, "mae": 1.0}, {"mae": 1.0, "loss": 1.0}),
        (np.zeros((2, 1)), np.zeros((1, 2))),
        (np.zeros(2), np.zeros(2, np.float32)),
        (True, False),
        (Numbers(1.0), Numbers(1.001)),
        ([("on_epoch_end", 0, ["loss"])], [("on_epoch_end", 0, ["loss", "mae"])]),
    ]
    for one, other in pairs:
        assert described(one) == described(one) != described(other)
