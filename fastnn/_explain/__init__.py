"""The working of one step, as a teacher writes it on the board, and the marking of a student's figures."""

from collections.abc import Mapping
from typing import Any

from fastnn import _validate
from fastnn._explain import _render
from fastnn._explain._check import Mark, Marks, check
from fastnn._explain._figures import Figures
from fastnn._explain._tables import Section, tables
from fastnn._explain._working import Working, work_out
from fastnn.models import check_model

__all__ = ["Explanation", "Mark", "Marks", "explain"]


def explain(model: Any, x: Any, y: Any = None) -> "Explanation":
    """The working of one step of a model on (x, y): every figure, what it is, and where it comes from.

    The model, its optimizer and their counters stay as they are: a copy takes the step.

    Parameters
    ----------
    model : Sequential
        Built and compiled, and small: the working is for reading.
    x, y : array_like
        A batch, as `train_on_batch` takes it.

    Returns
    -------
    Explanation
        Prints as tables; has the figures by name, and marks given ones.

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import layers, optimizers
    >>> model = fastnn.Sequential(
    ...     [layers.Input((1,)), layers.Dense(1, "sigmoid"), layers.Dense(1, "sigmoid")], dtype="float64"
    ... )
    >>> model.set_weights([[[0.5]], [0.2], [[0.8]], [-0.4]])
    >>> model.compile(optimizers.SGD(0.1), loss="mse")
    >>> working = fastnn.explain(model, [[2.0]], [[1.0]])
    >>> round(working["dw1[0,0]"], 10)
    -0.0628164849
    >>> print(working.check({"z1[0]": "1.2", "z2[0]": "0.222"}))
    right  z1[0] = 1.2
    wrong  z2[0] = 0.222: exact is 0.215 (0.2148198268)
    1 of 2 figures are right
    """
    check_model(model)
    return Explanation(model.name, work_out(model, x, y))


class Explanation:
    """The working of one step: what `fastnn.explain` returns.

    Layers are counted from 1; one that only changes the shape (Flatten, Reshape) is not counted, and an activation as a
    layer of its own behind a linear Dense belongs to it. Indexes count from 0:

    ======================  =========================================================================
    ``x[i]``, ``y[j]``      the data
    ``z1[j]``, ``a1[j]``    what unit j of layer 1 sums up, and what its activation makes of that
    ``loss``, ``cost``      the loss of each sample, and the one number that the step makes smaller
    ``da1[j]``              dL/da, where L is the cost
    ``delta1[j]``           dL/dz; also ``dz1[j]``
    ``w1[i,j]``, ``b1[j]``  the weight from input i to unit j, and the bias of unit j
    ``dw1[i,j]``, ...       the gradient, dL/dw
    ``w1_new[i,j]``, ...    the weight after the step
    ``z1_new[j]``, ...      z, a, loss and cost with the new weights
    ``dx[i]``               dL/dx
    ======================  =========================================================================

    With several samples the sample comes first: ``z1[n,j]``, ``loss[n]``. An index may be left out where there is only
    one number. A minus in front, as in ``-delta2[0]``, turns the sign.
    """

    def __init__(self, name: str, working: Working) -> None:
        self._working, self._name = working, name
        self._figures = Figures(working)

    @property
    def figures(self) -> dict[str, float]:
        """All figures by name."""
        return dict(self._figures)

    def __getitem__(self, name: str) -> Any:
        """A figure by its name, as a float; all of a kind, such as "w1", as an array."""
        try:
            sign, figure, place, shape = self._figures.find(name)
        except ValueError as error:
            raise KeyError(str(error)) from None
        return sign * (figure.array.reshape(shape) if place is None else float(figure.flat[place]))

    def check(self, figures: Mapping[str, Any], decimals: int = 3) -> Marks:
        """Mark figures that were worked out by hand.

        A figure is right if it is the exact one, rounded to the figure's decimals.

        Parameters
        ----------
        figures : dict
            A number for each name. A string counts with the decimals that are printed in it, so that "0.20" is finer
            than "0.2"; lists of the shape of a kind, such as "w1", do for all of its figures.
        decimals : int
            To how many decimals figures are compared that are numbers and no strings.

        Returns
        -------
        Marks
            A sequence of marks, each with name, right, given, exact and decimals; it prints as a list, is true if all
            are right, and has the names of those that are `right` and `wrong`.
        """
        return check(self._figures, figures, decimals, 1e-6 if self._working.single else 1e-12)

    def _sections(self, digits: int) -> list[Section]:
        return tables(self._working, self._figures, _validate.integer(digits, "digits", minimum=1, maximum=17))

    @property
    def _head(self) -> str:
        work = self._working
        samples = "1 sample" if len(work.x) == 1 else f"{len(work.x)} samples"
        return f"One step of {self._name} on {samples}: {work.loss.name}, {type(work.optimizer).__name__}"

    def text(self, digits: int = 6) -> str:
        """The tables as plain text, with so many significant digits."""
        return _render.text(self._head, self._sections(digits))

    def markdown(self, digits: int = 6) -> str:
        """The tables in Markdown."""
        return _render.markdown(self._head, self._sections(digits))

    def latex(self, digits: int = 6) -> str:
        """The tables in LaTeX, as arrays that MathJax can set too; needs amsmath."""
        return _render.latex(self._head, self._sections(digits))

    def html(self, digits: int = 6) -> str:
        """The tables in HTML."""
        return _render.as_html(self._head, self._sections(digits))

    def _repr_html_(self) -> str:
        return self.html()

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Explanation of {self._name}: {len(self.figures)} figures>"
