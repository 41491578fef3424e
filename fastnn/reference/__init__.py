"""The mathematics of fastnn in plain Python: lists, floats and `math`, written to be read.

Every fast routine is tested against what stands here. Start with `activations` and `losses` for the formulas,
`autograd` for the chain rule, `network` for a whole training run.
"""

from . import (
    activations,
    autograd,
    constraints,
    initializers,
    losses,
    network,
    optimizers,
    random,
    regularizers,
    schedules,
)

__all__ = [
    "activations",
    "autograd",
    "constraints",
    "initializers",
    "losses",
    "network",
    "optimizers",
    "random",
    "regularizers",
    "schedules",
]
