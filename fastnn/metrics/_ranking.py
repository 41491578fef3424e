"""Metrics of order: where the relevant ones of a row's items come when the items are sorted by score.

The items of a row are sorted from the highest score to the lowest; equal scores keep the order of their columns, and
NaN comes last. A row without a relevant item has the value 0, and is counted.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn.metrics._base import Doubles, KindMetric

GAINS = ("exponential", "linear")


class _Ranking(KindMetric):
    """What the metrics of order share: relevances of items, or the number of the one that is relevant."""

    def __init__(self, k: int | None, name: str | None, dtype: npt.DTypeLike | None) -> None:
        super().__init__(name, dtype)
        self.k = None if k is None else _validate.integer(k, "k", minimum=1)

    def _values(
        self, y_true: Any, y_pred: Any, sample_weight: Any
    ) -> tuple[Doubles, Any, npt.NDArray[np.bool_] | None]:
        scores = _validate.predictions(y_pred, "y_pred", self._dtype)
        rows = scores.shape[:-1]
        if scores.shape[-1] > 1 and rows and np.shape(y_true) in (rows, (*rows, 1)):
            numbers = _validate.class_numbers(y_true, scores, "one relevance for each item")
            relevances = np.zeros_like(scores)
            np.put_along_axis(relevances, numbers[..., np.newaxis], 1, -1)
        else:
            relevances, scores = _validate.targets(y_true, scores)
            if (relevances < 0).any():
                where = tuple(int(i) for i in np.argwhere(relevances < 0)[0])
                raise ValueError(f"y_true: expected relevances >= 0, got {relevances[where]} at index {where}")
        return self._evaluate(relevances, scores, scores.shape[:-1]), sample_weight, None


class RecallAtK(_Ranking):
    """The mean over rows of how many of a row's relevant items are among its first k, as a share of the relevant ones.

    Parameters
    ----------
    k : int
        How many items are looked at.
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> RecallAtK(k=2)([[0, 1, 0, 1]], [[0.9, 0.8, 0.7, 0.6]])  # relevances of the items, and their scores
    0.5
    >>> RecallAtK(k=2)([1], [[0.9, 0.8, 0.7, 0.6]])  # the number of the one relevant item
    1.0
    """

    _row_name = "recall_at_k"
    _options = ("k",)

    def __init__(self, k: int = 10, name: str | None = "recall_at_k", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(_validate.integer(k, "k", minimum=1), name, dtype)


class MRR(_Ranking):
    """The mean over rows of 1 / rank of the first relevant item: the mean reciprocal rank.

    Parameters
    ----------
    k : int, optional
        Only the first k items are looked at; 0 where none of them is relevant.
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> MRR()([[0, 1, 0, 1]], [[0.9, 0.8, 0.7, 0.6]])
    0.5
    """

    _row_name = "mrr"
    _options = ("k",)

    def __init__(self, k: int | None = None, name: str | None = "mrr", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(k, name, dtype)


class NDCG(_Ranking):
    """The mean over rows of the discounted gain, sum gain / log2(1 + rank), over that of the best order.

    Parameters
    ----------
    k : int, optional
        Only the first k items of an order are looked at.
    gain : str
        "exponential" for 2^relevance - 1, "linear" for the relevance. With relevances 0 and 1 they are the same.
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> round(NDCG()([[0, 1, 0, 1]], [[0.9, 0.8, 0.7, 0.6]]), 6)
    0.650921
    """

    _row_name = "ndcg"
    _options = ("k", "gain")

    def __init__(
        self,
        k: int | None = None,
        gain: str = "exponential",
        name: str | None = "ndcg",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(k, name, dtype)
        self.gain = _validate.choice(gain, "gain", GAINS)

    @property
    def exponential(self) -> bool:
        """Whether gains are exponential."""
        return self.gain == "exponential"
