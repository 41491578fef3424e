"""Two numbers for a picture, learned from the digits 0 to 4 by triplets: recall at 1 against two principal components,
for new pictures of those digits and for 5 to 9, which it has never seen. python examples/embedding.py [picture.png]"""

import sys
from importlib.util import find_spec

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

import fastnn
from fastnn import layers, losses, metrics, optimizers


def maps(seed, steps=100):
    """Two components, and the embedding; and other pictures of 0 to 4, and those of 5 to 9, to try them on."""
    (x, y), rng = load_digits(return_X_y=True), np.random.default_rng(seed)
    seen = rng.permutation(np.flatnonzero(y < 5))
    x, *others = x[seen[:700]] / 16, *[(x[rows] / 16, y[rows]) for rows in (seen[700:], y > 4)]
    turned = [np.rot90(x.reshape(-1, 8, 8)[:, :, ::side], n, (1, 2)) for side in (1, -1) for n in range(4)]
    top, bottom = (rng.permutation(np.concatenate(turned).reshape(-1, 64)) for _ in range(2))
    shapes = np.concatenate([top, np.hstack([top[:, :32], bottom[:, 32:]])])  # halves of two pictures make new ones
    kept = rng.permutation(shapes)[:1000]  # how like a picture is to each of these, and a place in the plane for each
    model = fastnn.Sequential([layers.Input((64,)), layers.Dense(1000, "softmax"), layers.Dense(2)])
    model.set_weights([14 * kept.T, -7 * np.sum(kept**2, axis=1), 8 * PCA(2).fit_transform(kept), np.zeros(2)])
    model.compile(optimizers.Adam(0.02), losses.Triplet(mining="semi-hard"))
    near = NearestNeighbors(n_neighbors=11).fit(shapes).kneighbors(shapes, return_distance=False)
    for _ in range(steps):  # a shape and one of its neighbours are to lie nearer than the others of the batch
        some = rng.permutation(len(shapes))[:128]
        pairs = np.concatenate([some, near[some, rng.integers(1, 11, 128)]])
        model.train_on_batch(shapes[pairs], np.tile(np.arange(128), 2))
    return {"two principal components": PCA(2).fit(x).transform, "embedding": model}, others


def recall(points, y):
    itself = np.eye(len(y), dtype=bool)
    apart = np.sum((points[:, None] - points) ** 2, axis=-1) + 1e9 * itself  # the nearest other point comes first
    return metrics.MRR(k=1)((y[:, None] == y) & ~itself, -apart)


def main(picture=None):
    found = [[[recall(put(x), y) for x, y in pair] for put in two.values()] for two, pair in map(maps, range(5))]
    two, others = maps(0)
    print(f"{'recall at 1, mean of five seeds':34}{'new 0 to 4':>12}{'5 to 9':>12}")
    for name, (seen, new) in zip(two, np.mean(found, axis=0), strict=True):
        print(f"{name:34}{seen:12.3f}{new:12.3f}")
    if picture and find_spec("matplotlib"):
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(2, 2, figsize=(10, 9), layout="constrained")
        for ax, (name, x, y) in zip(axes.flat, [(name, *other) for name in two for other in others], strict=True):
            ax.scatter(*two[name](x).T, c=y, s=9, cmap="tab10", vmin=0, vmax=9)
            ax.set(title=f"{name}: {y.min()} to {y.max()}")
        figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
