"""Two numbers for a picture, learned from the digits 0 to 4 by triplets: recall at 1 against two principal components,
for new pictures of those digits and for 5 to 9, which it has never seen. python examples/embedding.py [picture.png]"""

import sys
from importlib.util import find_spec

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import fastnn
from fastnn import layers, losses, metrics, optimizers


def split(seed):
    """Pictures of 0 to 4, turned and mirrored to make forty classes to learn; others of them; the digits 5 to 9."""
    x, y = load_digits(return_X_y=True)
    seen = np.random.default_rng(seed).permutation(np.flatnonzero(y < 5))
    (some, kind), *others = [(x[rows] / 16, y[rows]) for rows in (seen[:700], seen[700:], y > 4)]
    turns = [np.rot90(some.reshape(-1, 8, 8)[:, :, ::side], n, (1, 2)) for side in (1, -1) for n in range(4)]
    return (np.concatenate(turns).reshape(-1, 64), np.concatenate([kind + 5 * i for i in range(8)])), *others


def train(x, y, seed):
    """Triplets are found in each batch; noise keeps the pictures from being learned by heart."""
    hidden = [layers.Dense(256, "relu") for _ in range(4)]
    model = fastnn.Sequential([layers.GaussianNoise(0.1), *hidden, layers.Dense(2)], seed=seed)
    model.compile(optimizers.AdamW(0.001), losses.Triplet(mining="semi-hard"))
    model.fit(x, y, batch_size=128, epochs=12, verbose=0)
    return model


def recall(points, y):
    itself = np.eye(len(y), dtype=bool)
    apart = np.sum((points[:, None] - points) ** 2, axis=-1) + 1e9 * itself  # the nearest other point comes first
    return metrics.MRR(k=1)((y[:, None] == y) & ~itself, -apart)


def main(picture=None):
    found = []
    for seed in range(5):
        (x, y), *others = split(seed)
        maps = {"two principal components": PCA(2).fit(x[:700]).transform, "embedding": train(x, y, seed)}
        found.append([[recall(put(x), y) for x, y in others] for put in maps.values()])
    print(f"{'recall at 1, mean of five seeds':34}{'new 0 to 4':>12}{'5 to 9':>12}")
    for name, (seen, new) in zip(maps, np.mean(found, axis=0), strict=True):
        print(f"{name:34}{seen:12.3f}{new:12.3f}")
    if picture and find_spec("matplotlib"):
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(2, 2, figsize=(10, 9), layout="constrained")
        for ax, (name, x, y) in zip(axes.flat, [(name, *other) for name in maps for other in others], strict=True):
            ax.scatter(*maps[name](x).T, c=y, s=9, cmap="tab10", vmin=0, vmax=9)
            ax.set(title=f"{name}: {y.min()} to {y.max()}")
        figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
