"""The same network twice: fastnn's, and that of fastnn.reference.network in plain Python."""

import numpy as np

from fastnn import Sequential, layers, optimizers
from fastnn.reference import network as plain
from fastnn.reference import optimizers as plain_optimizers

RTOL = 1e-11


def pair(parts, loss, optimizer, inputs=3, seed=7, **options):
    """The two networks of [(units, activation), rate of dropout, ...]."""
    ours, theirs = [layers.Input((inputs,))], []
    for part in parts:
        if isinstance(part, float):
            ours.append(layers.Dropout(part))
            theirs.append(plain.Dropout(part))
        else:
            units, activation, *more = part
            mine, other = more or ({}, {})
            ours.append(layers.Dense(units, activation=activation, **mine))
            theirs.append(plain.Dense(units, activation, **other))
    model = Sequential(ours, seed=seed, dtype="float64")
    name, settings = optimizer
    model.compile(optimizer=getattr(optimizers, name)(**settings), loss=loss, **options)
    return model, plain.Network(inputs, theirs, loss, getattr(plain_optimizers, name)(**settings), seed=seed)


def same_weights(model, network):
    flat = [np.ravel(w) for w in model.get_weights()]
    for mine, variable in zip(flat, network.variables, strict=True):
        np.testing.assert_allclose(mine, variable.values, rtol=RTOL, atol=1e-14)
