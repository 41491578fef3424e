"""A model's numbers as users see them: layer by layer, or as one flat array."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastnn._compiling import Compiling
from fastnn._validate import FloatArray
from fastnn.layers._base import set_arrays


class Weights(Compiling):
    """weights, get_weights, set_weights, parameters, grads."""

    _trainables: FloatArray
    _gradients: FloatArray

    if TYPE_CHECKING:

        def _check_built(self) -> None: ...
        def _learns(self, v: Any) -> bool: ...

    @property
    def weights(self) -> list[FloatArray]:
        """All arrays of all layers, live."""
        self._check_built()
        return [v.array for v in self._variables()]

    variables = weights

    @property
    def trainable_weights(self) -> list[FloatArray]:
        """Those that learn, live."""
        self._check_built()
        return [v.array for v in self._variables() if self._learns(v)]

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self) -> list[FloatArray]:
        """Those that do not: frozen ones and moving statistics, live."""
        self._check_built()
        return [v.array for v in self._variables() if not self._learns(v)]

    non_trainable_variables = non_trainable_weights

    @property
    def parameters(self) -> FloatArray:
        """All weights that learn as one flat array, live."""
        self._need_built()
        self._refresh_idle()
        return self._trainables

    @property
    def grads(self) -> FloatArray:
        """Their gradients, in the same order, live: of the last step, or gathered by tapes.

        Within a fit on batches of one sample, the gradients of large matrices are computed where they are used and
        not written here, except in the last step before a callback or the end of an epoch.
        """
        self._need_built()
        self._refresh_idle()
        return self._gradients

    def zero_grad(self) -> None:
        """Set all gradients to 0: those of tapes add up until then."""
        self.grads[...] = 0

    def get_weights(self) -> list[FloatArray]:
        """Copies of all arrays, in the order of `weights`."""
        return [w.copy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all arrays, from arrays of the same shapes in the order of `weights`."""
        self._refuse_while_fitted()
        self._check_built()
        set_arrays(self._variables(), weights, self.name)

    def count_params(self) -> int:
        """How many numbers all weights together are."""
        return sum(w.size for w in self.weights)
