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
    """Pictures of 0 to 4 to learn from, others of them, and the digits 5 to 9."""
    x, y = load_digits(return_X_y=True)
    seen = np.random.default_rng(seed).permutation(np.flatnonzero(y < 5))
    return [(x[rows] / 16, y[rows]) for rows in (seen[:700], seen[700:], y > 4)]


def train(x, y, seed):
    """Triplets are found in each batch; noise keeps the pictures from being learned by heart."""
    hidden = [layers.Dense(256, "relu") for _ in range(4)]
    model = fastnn.Sequential([layers.GaussianNoise(0.5), *hidden, layers.Dense(2)], seed=seed)
    model.compile(optimizers.AdamW(0.001), losses.Triplet(mining="semi-hard"))
    model.fit(x, y, batch_size=64, epochs=40, verbose=0)
    return model


def recall(points, y):
    scores = -np.sum((points[:, None] - points) ** 2, axis=-1)  # the nearest other point comes first
    np.fill_diagonal(scores, -1e9)
    return metrics.MRR(k=1)((y[:, None] == y) & ~np.eye(len(y), dtype=bool), scores)


def main(picture=None):
    found = []
    for seed in range(5):
        (x, y), *others = split(seed)
        model, components = train(x, y, seed), PCA(2).fit(x)
        maps = {"two principal components": components.transform, "embedding": lambda x, model=model: model(x)}
        found.append({name: [recall(put(x), y) for x, y in others] for name, put in maps.items()})
    print(f"{'recall at 1, mean of five seeds':34}{'new 0 to 4':>12}{'5 to 9':>12}")
    for name in found[0]:
        print(f"{name:34}" + "".join(f"{share:12.3f}" for share in np.mean([one[name] for one in found], axis=0)))
    if picture and find_spec("matplotlib"):
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(2, 2, figsize=(10, 9), layout="constrained")
        for row, (name, put) in zip(axes, maps.items(), strict=True):
            for ax, (x, y) in zip(row, others, strict=True):
                ax.scatter(*put(x).T, c=y, s=9, cmap="tab10", vmin=0, vmax=9)
                ax.set(title=f"{name}: {y.min()} to {y.max()}")
        figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
