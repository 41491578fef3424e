"""Pictures, by matplotlib, which is imported when one is drawn.

Each function takes ``ax=``, the Axes to draw into, makes new ones if there are none, and returns them: title, size and
the rest can be changed after that. The colours are told apart by colour-blind eyes too (Okabe and Ito's).

>>> curves({"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]}).get_xlabel()
'epoch'
"""

from fastnn.plots._descent import descent_path
from fastnn.plots._drawing import COLOURS as COLOURS
from fastnn.plots._formulas import activations, losses
from fastnn.plots._graph import graph
from fastnn.plots._networks import decision_boundary, network
from fastnn.plots._training import curves, gradient_flow, lr_find

__all__ = [
    "activations",
    "curves",
    "decision_boundary",
    "descent_path",
    "gradient_flow",
    "graph",
    "losses",
    "lr_find",
    "network",
]
