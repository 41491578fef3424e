"""Every metric in plain NumPy, as one formula of all data: REFERENCES[class name](y, p, weights, **options)."""

import itertools
import math
from typing import Any

import numpy as np

from fastnn import losses


def average(values, w):
    return np.average(values, weights=w) if w.sum() else 0.0


def rank(scores, j):
    """From 1, of the item j when scores are sorted from high to low and equals keep their order."""
    return 1 + int(np.flatnonzero(np.argsort(-scores, kind="stable") == j)[0])


def as_relevances(y, p):
    return np.eye(p.shape[1])[y] if y.ndim == 1 else y


def recall_at_k(y, p, w, k=10):
    rows = [
        (set(np.argsort(-b, kind="stable")[:k]), set(np.flatnonzero(a)))
        for a, b in zip(as_relevances(y, p), p, strict=True)
    ]
    return average([len(top & wanted) / max(len(wanted), 1) for top, wanted in rows], w)


def mrr(y, p, w, k=None):
    ranks = [min((rank(b, j) for j in np.flatnonzero(a)), default=math.inf) for a, b in zip(y, p, strict=True)]
    return average([0.0 if r > (k or math.inf) else 1 / r for r in ranks], w)


def ndcg(y, p, w, k=None, gain="exponential"):
    def dcg(relevance, order):
        gains = 2.0**relevance - 1 if gain == "exponential" else relevance
        return sum(gains[j] / math.log2(i + 2) for i, j in enumerate(np.argsort(-order, kind="stable")[:k]))

    return average([dcg(a, b) / dcg(a, a) if a.any() else 0.0 for a, b in zip(y, p, strict=True)], w)


def in_top(y, p, k):
    return [(row > row[label]).sum() < k for label, row in zip(y, p, strict=True)]


def r2(y, p, w, class_aggregation="uniform_average", num_regressors=0):
    mean = np.average(y, axis=0, weights=w)
    total = (w[:, None] * (y - mean) ** 2).sum(0)
    scores = 1 - (w[:, None] * (y - p) ** 2).sum(0) / total
    if class_aggregation == "variance_weighted_average":
        scores = np.average(scores, weights=total)
    elif class_aggregation:
        scores = scores.mean()
    n = y.size
    return 1 - (1 - scores) * (n - 1) / (n - num_regressors - 1) if num_regressors else scores


def four(y, p, w, threshold):
    w = np.broadcast_to(w[:, None] if p.ndim > 1 else w, p.shape)
    yes, above = y > 0, p > threshold
    return [w[mask].sum() for mask in (yes & above, ~yes & above, ~yes & ~above, yes & ~above)]


def at(y, p, w, number, thresholds=None):
    limits = np.atleast_1d(0.5 if thresholds is None else thresholds)
    return np.squeeze([number(*four(y, p, w, t)) for t in limits])


def share(y, p, w, number, thresholds=None, top_k=None, class_id=None):
    if top_k:
        p = np.where([[rank(row, j) <= top_k for j in range(row.size)] for row in p], p, -1)
        thresholds = -0.5 if thresholds is None else thresholds
    if class_id is not None:
        y, p = y[:, class_id], p[:, class_id]
    return at(y, p, w, number, thresholds)


def portion(a, b):
    return a / b if b else 0.0


PARTS = {
    "sensitivity": lambda tp, fp, tn, fn: portion(tp, tp + fn),
    "recall": lambda tp, fp, tn, fn: portion(tp, tp + fn),
    "specificity": lambda tp, fp, tn, fn: portion(tn, tn + fp),
    "precision": lambda tp, fp, tn, fn: portion(tp, tp + fp),
}


def best(y, p, w, wanted, bounded, bound, num_thresholds=200, class_id=None):
    if class_id is not None:
        y, p = y[:, class_id], p[:, class_id]
    limits = np.linspace(0, 1, num_thresholds) if num_thresholds > 1 else [0.5]
    counts = [four(y, p, w, t) for t in limits]
    return max([PARTS[wanted](*c) for c in counts if PARTS[bounded](*c) >= bound], default=0.0)


def auc(y, p, w, curve="ROC", summation_method="interpolation", num_thresholds=200, thresholds=None, multi_label=False,
        num_labels=None, label_weights=None, from_logits=False):  # fmt: skip
    options = {"thresholds": thresholds, "num_thresholds": num_thresholds, "from_logits": from_logits}
    if multi_label:
        areas = [auc(y[:, j], p[:, j], w, curve, summation_method, **options) for j in range(y.shape[1])]
        return np.average(areas, weights=label_weights)
    w = np.broadcast_to(w[:, None] if p.ndim > 1 else w, p.shape) * (1 if label_weights is None else label_weights)
    p = 1 / (1 + np.exp(-p)) if from_logits else p
    inner = np.linspace(0, 1, num_thresholds)[1:-1] if thresholds is None else np.sort(thresholds)
    points = [four(y.ravel(), p.ravel(), w.ravel(), t) for t in (-1e-7, *inner, 1 + 1e-7)]
    area = 0.0
    for (tp, fp, tn, fn), (tp2, fp2, tn2, fn2) in itertools.pairwise(points):
        if curve == "PR" and summation_method == "interpolation":  # integrated by small steps
            t, f = np.linspace(tp2, tp, 2001), np.linspace(fp2, fp, 2001)
            t, f = (t[1:] + t[:-1]) / 2, (f[1:] + f[:-1]) / 2
            if tp > tp2:
                area += np.mean(t / (t + f)) * (tp - tp2) / (tp + fn)
            continue
        if curve == "ROC":
            x, x2, h, h2 = portion(fp, fp + tn), portion(fp2, fp2 + tn2), portion(tp, tp + fn), portion(tp2, tp2 + fn2)
        elif curve == "PR":
            x, x2, h, h2 = portion(tp, tp + fn), portion(tp2, tp2 + fn2), portion(tp, tp + fp), portion(tp2, tp2 + fp2)
        else:
            odds = portion(tp + fn, tn + fp)
            x, x2 = (max(1 - odds * a / b, 0) if b else 0 for a, b in ((fn, tp), (fn2, tp2)))
            h, h2 = (1 - odds * a / b if b else 1 for a, b in ((fp, tp), (fp2, tp2)))
        area += (x - x2) * {"interpolation": (h + h2) / 2, "minoring": min(h, h2), "majoring": max(h, h2)}[
            summation_method
        ]
    return area


def f_score(y, p, w, average=None, beta=1.0, threshold=None):
    chosen = p == p.max(1, keepdims=True) if threshold is None else p > threshold
    tp, fp, fn = (w @ mask for mask in ((y > 0) & chosen, (y == 0) & chosen, (y > 0) & ~chosen))
    if average == "micro":
        tp, fp, fn = tp.sum(), fp.sum(), fn.sum()
    scores = (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp)
    return {"macro": np.mean(scores), "weighted": np.average(scores, weights=tp + fn)}.get(average, scores)


def iou(y, p, w, num_classes=2, target_class_ids=None, ignore_class=None):
    ids = range(num_classes) if target_class_ids is None else target_class_ids
    scores = []
    for c in ids:
        both, either = (((op(y == c, p == c)) & (y != ignore_class)) for op in (np.logical_and, np.logical_or))
        if w[either].sum():
            scores.append(w[both].sum() / w[either].sum())
    return np.mean(scores)


def of_loss(name):
    def reference(y, p, w, **options):
        values = getattr(losses, name)(y, p, **options)
        kept = y != options["ignore_class"] if "ignore_class" in options else np.ones(len(y), bool)
        return average(values[kept], w[kept])

    return reference


def rows(formula):
    return lambda y, p, w, **options: average([np.mean(formula(a, b, **options)) for a, b in zip(y, p, strict=True)], w)


def concordance(y, p):
    return 2 * np.cov(y, p, bias=True)[0, 1] / (y.var() + p.var() + (y.mean() - p.mean()) ** 2 + 1e-7)


COUNT = {"TruePositives": 0, "FalsePositives": 1, "TrueNegatives": 2, "FalseNegatives": 3}
REFERENCES: dict[str, Any] = {
    "Accuracy": rows(lambda y, p: y == p),
    "BinaryAccuracy": rows(lambda y, p, threshold=0.5: y == (p > threshold)),
    "CategoricalAccuracy": rows(lambda y, p: y.argmax() == p.argmax()),
    "SparseCategoricalAccuracy": rows(lambda y, p: y == p.argmax()),
    "TopKCategoricalAccuracy": lambda y, p, w, k=5: average(in_top(y.argmax(1), p, k), w),
    "SparseTopKCategoricalAccuracy": lambda y, p, w, k=5, from_sorted_ids=False: average(
        [label in row[:k] for label, row in zip(y, p, strict=True)] if from_sorted_ids else in_top(y, p, k), w
    ),
    "RootMeanSquaredError": lambda y, p, w: math.sqrt(average(losses.mean_squared_error(y, p), w)),
    "LogCoshError": of_loss("log_cosh"),
    "CosineSimilarity": rows(lambda y, p: y @ p / math.sqrt((y @ y) * (p @ p))),
    "R2Score": r2,
    "PearsonCorrelation": rows(lambda y, p: np.corrcoef(y, p)[0, 1]),
    "ConcordanceCorrelation": rows(concordance),
    **{
        name: lambda y, p, w, i=i, **options: at(y, p, w, lambda *c: c[i], **options) for name, i in COUNT.items()
    },
    "Precision": lambda y, p, w, **options: share(y, p, w, PARTS["precision"], **options),
    "Recall": lambda y, p, w, **options: share(y, p, w, PARTS["recall"], **options),
    **{
        f"{a.title()}At{b.title()}": lambda y, p, w, a=a, b=b, **options: best(
            y, p, w, a, b, options.pop(b), **options
        )
        for pair in ("sensitivity specificity", "precision recall")
        for a, b in (pair.split(), pair.split()[::-1])
    },
    "AUC": auc,
    "FBetaScore": f_score,
    "F1Score": f_score,
    "IoU": iou,
    "MeanIoU": iou,
    "BinaryIoU": lambda y, p, w, threshold=0.5, target_class_ids=(0, 1): iou(
        y, p >= threshold, w, 2, target_class_ids
    ),
    "OneHotIoU": lambda y, p, w, **options: iou(y.argmax(1), p.argmax(1), w, **options),
    "OneHotMeanIoU": lambda y, p, w, sparse_y_pred, **options: iou(y.argmax(1), p, w, **options),
    "RecallAtK": recall_at_k,
    "MRR": mrr,
    "NDCG": ndcg,
}  # fmt: skip
