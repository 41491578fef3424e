"""Four deep networks that do not train, and one argument that cures each: python examples/vanishing.py [picture.png]"""

import sys
from importlib.util import find_spec

import fastnn
from fastnn import datasets, initializers, layers, optimizers, plots

LARGE = initializers.VarianceScaling(2 * 1.3**2, "fan_in", "untruncated_normal")  # 1.3 times what He asks for
TANH = {"activation": "tanh", "kernel": initializers.RandomNormal(stddev=0.01), "rate": 0.025, "epochs": 21}
SIGMOID = {"activation": "sigmoid", "kernel": "he_normal", "rate": 0.012, "epochs": 21}
GROWING = {"activation": "relu", "kernel": LARGE, "rate": 0.05, "epochs": 20}
CASES = [
    ("tanh, sigma 0.01 -> Glorot", TANH, {"kernel": "glorot_uniform"}),
    ("He and sigmoid -> ReLU", SIGMOID, {"activation": "relu"}),
    ("ReLU, gain 1.3 -> clip at norm 1", GROWING, {"clip": 1.0}),
    ("tanh, sigma 0.01 -> residual", TANH, {"residual": True}),
    ("no cure: Glorot and sigmoid -> He", SIGMOID | {"kernel": "glorot_uniform"}, {"kernel": "he_normal"}),
    ("no cure: tanh, sigma 0.01 -> clip", TANH, {"clip": 1.0}),
]


def run(seed, activation, kernel, rate, epochs, clip=None, residual=False):
    x, y = datasets.circles(500)
    stack = [layers.Dense(32, activation, kernel_initializer=kernel, name=f"{i + 1}") for i in range(20)]
    stack[1:] = [layers.Residual([layer]) if residual else layer for layer in stack[1:]]
    model = fastnn.Sequential([*stack, layers.Dense(1, "sigmoid", name="output")], seed=seed)
    model.compile(optimizers.SGD(rate, global_clipnorm=clip), "binary_crossentropy")
    flow = fastnn.diagnostics.gradient_flow(model, x, y)
    try:
        model.fit(x, y, epochs=epochs, verbose=0)
    except fastnn.DivergenceError:
        return flow, float("inf")
    return flow, model.evaluate(x, y, verbose=0)


def main(picture=None):
    flows, ends = {}, {}  # clipping acts on the steps: it leaves the gradient as it is
    for name, before, change in CASES:
        print(f"\n{name:36}" + "".join(f"{f'seed {seed}':>9}" for seed in range(5)) + "   median")
        for when, given in (("before", before), ("after", before | change)):
            runs = [run(seed, **given) for seed in range(5)]
            flows.setdefault(name, {})[when] = [layer.gradient for layer in runs[0][0].layers]
            norms, losses = zip(*((flow.layers[0].gradient, loss) for flow, loss in runs), strict=True)
            print(f"  first gradient of layer 1, {when:7}" + "".join(f"{v:9.1e}" for v in [*norms, sorted(norms)[2]]))
            print(f"  loss at the end, {when:17}" + "".join(f"{v:9.3f}" for v in [*losses, sorted(losses)[2]]))
            ends.setdefault(name, []).append(f"{sorted(losses)[2]:.3f}")
    if picture and find_spec("matplotlib"):
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(2, 2, figsize=(13, 7), sharex=True, layout="constrained")
        for ax, (name, *_) in zip(axes.flat, CASES, strict=False):
            plots.curves(flows[name], ["before", "after"], log=True, ax=ax)
            ax.set(title=f"{name}: loss {' -> '.join(ends[name])}", xlabel="layer", ylabel="norm of the gradient")
        figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
