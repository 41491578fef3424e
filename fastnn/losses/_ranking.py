"""Losses of two or three things at once: embeddings that should be near or far, scores that should be in order."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn._core import losses as _core
from fastnn._validate import FloatArray
from fastnn.losses._base import Doubles, Samples, TableLoss, Weighting

REDUCTION = "sum_over_batch_size"


class Contrastive(TableLoss):
    """(y d^2 + (1 - y) max(0, margin - d)^2) / 2 of pairs at a distance d; y = 1 for a similar pair, 0 for another.

    y_pred holds pairs of embeddings, shape (N, 2, d), with d = |a - b|, or distances, shape (N,) or (N, 1). Where two
    embeddings are equal, the gradient is 0.

    Shapes: y_true (N,), a loss for each pair, (N,).

    Parameters
    ----------
    margin : float
        How far apart dissimilar pairs should be.

    Examples
    --------
    >>> Contrastive(margin=2.0, reduction="none")([1, 0, 0], [0.5, 0.5, 3.0])
    array([0.125, 1.125, 0.   ])
    """

    _row_name = "contrastive"
    _options = ("margin",)

    def __init__(
        self,
        margin: float = 1.0,
        reduction: str | None = REDUCTION,
        name: str | None = "contrastive",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.margin = _validate.number(margin, "margin", minimum=0)

    def _table_samples(self, y_true: Any, y_pred: Any) -> Samples:
        given = _validate.floats(y_pred, "y_pred", self._dtype)
        pairs = given.ndim == 3 and given.shape[1] == 2 and given.shape[2] > 0
        if not (pairs or given.ndim == 1 or (given.ndim == 2 and given.shape[1] == 1)):
            raise ValueError(
                "y_pred: expected pairs of embeddings, shape (N, 2, d), or distances, shape (N,) or (N, 1), got shape "
                f"{given.shape}"
            )
        y_true = _one_per_sample(y_true, given)
        _validate.among(y_true, "y_true", (0, 1), "1 for a similar pair or 0 for a dissimilar one")
        shape = given.shape[:1]
        if pairs:
            return self._row(shape, given.shape[2], y_true, given, given.shape)
        return self._row(shape, 1, y_true, given, given.shape, row_name="contrastive_distance")


class Triplet(TableLoss):
    """max(0, d(a, p) - d(a, n) + margin) of an anchor a, a positive p of its kind and a negative n of another.

    y_pred holds embeddings of triplets, shape (N, 3, d), and y_true is not read (it may be None). With mining, y_pred
    is a batch of embeddings, shape (N, d), y_true their labels, and the triplets are found: the loss of sample i is the
    mean over those of which it is the anchor. A sample that no other shares its label with, or that all do, is no
    anchor, and does not count in the mean.

    Shapes: a loss for each triplet, or with mining for each anchor, (N,).

    Parameters
    ----------
    margin : float
        How much farther than the positive the negative should be.
    squared : bool
        d(u, v) = |u - v|^2 if True; |u - v + 1e-6| if False, as PyTorch has it.
    mining : None, "hard" or "semi-hard"
        "hard": the farthest positive with the nearest negative. "semi-hard": every positive, with the nearest negative
        that is farther than it or, if none is, with the farthest negative.

    Examples
    --------
    >>> Triplet(margin=0.5)(None, [[[0.0], [0.5], [0.75]]])
    0.1875
    >>> Triplet(mining="hard")([0, 0, 1], [[0.0], [1.0], [3.0]])
    0.0
    """

    _row_name = "triplet"
    _options = ("margin", "squared", "mining")

    def __init__(
        self,
        margin: float = 1.0,
        squared: bool = True,
        mining: str | None = None,
        reduction: str | None = REDUCTION,
        name: str | None = "triplet",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.margin = _validate.number(margin, "margin", minimum=0)
        self.squared = _validate.flag(squared, "squared")
        self.mining = None if mining is None else _validate.choice(mining, "mining", ("hard", "semi-hard"))

    def _table_samples(self, y_true: Any, y_pred: Any) -> Samples:
        given = _validate.predictions(y_pred, "y_pred", self._dtype)
        if self.mining is None:
            if given.ndim != 3 or given.shape[1] != 3:
                raise ValueError(
                    "y_pred: expected embeddings of triplets (anchor, positive, negative), shape (N, 3, d), got shape "
                    f"{given.shape}; to have triplets found in a batch of embeddings, pass mining='hard' or 'semi-hard'"
                )
            return self._row(given.shape[:1], given.shape[2], None, given, given.shape)
        if given.ndim != 2:
            raise ValueError(f"y_pred: expected a batch of embeddings, shape (N, d), got shape {given.shape}")
        return MinedSamples.of(_batch_labels(y_true, given), given, self.margin, self.squared, self.mining)


class MarginRanking(TableLoss):
    """max(0, -y (s1 - s2) + margin) of two scores, shape (N, 2); y = +1 if the first should be higher, else -1.

    Shapes: y_true (N,) or (N, 1), y_pred (N, 2), a loss for each pair, (N,).

    Parameters
    ----------
    margin : float
        By how much.

    Examples
    --------
    >>> MarginRanking(margin=1.0, reduction="none")([1, 1, -1], [[3.0, 1.0], [2.0, 2.0], [4.0, 5.0]])
    array([0., 1., 0.])
    """

    _row_name = "margin_ranking"
    _options = ("margin",)

    def __init__(
        self,
        margin: float = 0.0,
        reduction: str | None = REDUCTION,
        name: str | None = "margin_ranking",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.margin = _validate.number(margin, "margin")

    def _table_samples(self, y_true: Any, y_pred: Any) -> Samples:
        given = _validate.predictions(y_pred, "y_pred", self._dtype)
        if given.ndim != 2 or given.shape[1] != 2:
            raise ValueError(f"y_pred: expected two scores for each sample, shape (N, 2), got shape {given.shape}")
        y_true = _one_per_sample(y_true, given)
        _validate.among(y_true, "y_true", (-1, 1), "+1 where the first score should be higher, -1 where the second")
        return self._row(given.shape[:1], 1, y_true, given, given.shape)


def _one_per_sample(y_true: Any, y_pred: FloatArray) -> FloatArray:
    """One number for each sample, shape (N,) or (N, 1), in y_pred's dtype."""
    array = _validate.floats(y_true, "y_true", y_pred.dtype)
    if array.shape not in ((len(y_pred),), (len(y_pred), 1)):
        raise ValueError(
            f"y_true: expected one label for each of the {len(y_pred)} samples, shape ({len(y_pred)},), "
            f"got {array.shape}"
        )
    return array.reshape(-1)


def _batch_labels(y_true: Any, y_pred: FloatArray) -> npt.NDArray[np.int32]:
    """Whole numbers, one for each sample, as consecutive class numbers."""
    array = _validate.numbers(y_true, "y_true")
    if array.shape not in ((len(y_pred),), (len(y_pred), 1)):
        raise ValueError(
            f"y_true: expected one label for each of the {len(y_pred)} embeddings, got shape {array.shape}"
        )
    _validate.whole_numbers(array, "y_true")
    return np.unique(array.reshape(-1), return_inverse=True)[1].astype(np.int32)


class MinedSamples(NamedTuple):
    """A batch in which triplets were found; its matrices of distances and of their weights are N x N."""

    x: FloatArray
    losses: Doubles
    counted: npt.NDArray[np.bool_] | None
    distance: Doubles
    weight: Doubles
    parameters: Doubles

    @classmethod
    def of(
        cls, labels: npt.NDArray[np.int32], x: FloatArray, margin: float, squared: bool, mining: str
    ) -> "MinedSamples":
        n = len(x)
        losses, found = np.empty(n), np.empty(n, np.int32)
        distance, weight = np.empty((n, n)), np.empty((n, n))
        parameters = np.array([margin, squared, mining == "semi-hard"], dtype=np.float64)
        _core.mine(x, labels, losses, found, distance, weight, parameters)
        return cls(x, losses, found.astype(bool), distance, weight, parameters)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.losses.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.x.dtype

    def values(self) -> Doubles:
        return self.losses

    def slopes(self, weighting: Weighting) -> FloatArray:
        scale, common = weighting.scale()
        slopes = np.empty_like(self.x)
        _core.mined_gradient(self.x, self.distance, self.weight, scale, common, slopes, self.parameters)
        return slopes

    def both(self, weighting: Weighting) -> tuple[Doubles, FloatArray]:
        return self.losses, self.slopes(weighting)
