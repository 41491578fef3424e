"""Random networks in float64 against PyTorch's autograd: outputs, losses, gradients by all weights and by the input.

Each layer is made together with a function of torch tensors that does the same, written from the layer's formula.
"""

import numpy as np
import pytest

from fastnn import Sequential, activations, layers, losses

NETWORKS, GROUPS = 300, 30
RTOL = 1e-9
MAKERS = {}  # of layers, by name


# -------------------------------------------------------------------------------------------------------- activations


def torch_activations(torch):
    """{name: function of a tensor and parameters}"""

    def logistic(x):
        return torch.sigmoid(x)

    def softplus(x):
        return torch.logaddexp(x, torch.zeros_like(x))

    def line(x, low, high):
        return torch.minimum(torch.maximum(x, torch.full_like(x, low)), torch.full_like(x, high))

    def elu(x, alpha=1.0):
        return torch.where(x > 0, x, alpha * torch.expm1(torch.minimum(x, torch.zeros_like(x))))

    def sparsemax(x):
        z, _ = torch.sort(x, dim=-1, descending=True)
        sums = torch.cumsum(z, -1)
        k = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)
        size = (1 + k * z > sums).sum(-1, keepdim=True)
        tau = (torch.gather(sums, -1, size - 1) - 1) / size
        return torch.relu(x - tau)

    def glu(x):
        a, b = torch.chunk(x, 2, -1)
        return a * logistic(b)

    def relu_general(x, negative_slope=0.0, max_value=np.inf, threshold=0.0):
        below = negative_slope * (x - threshold)
        return torch.where(x < threshold, below, torch.minimum(x, torch.full_like(x, max_value)))

    return {
        "linear": lambda x: x,
        "step": lambda x: (x >= 0).to(x.dtype) + 0 * x,
        "relu": torch.relu,
        "relu6": lambda x: line(x, 0.0, 6.0),
        "leaky_relu": lambda x, negative_slope=0.2: torch.where(x > 0, x, negative_slope * x),
        "relu_general": relu_general,
        "hard_sigmoid": lambda x: line(x + 3, 0.0, 6.0) / 6,
        "hard_tanh": lambda x: line(x, -1.0, 1.0),
        "hard_silu": lambda x: x * line(x + 3, 0.0, 6.0) / 6,
        "threshold": lambda x: torch.where(x > 0, x, 0 * x),
        "hard_shrink": lambda x: torch.where(x.abs() > 0.5, x, 0 * x),
        "soft_shrink": lambda x: torch.where(x.abs() > 0.5, x - 0.5 * torch.sign(x), 0 * x),
        "sparse_sigmoid": lambda x: line(x + 1, 0.0, 2.0) / 2,
        "sparse_plus": lambda x: torch.where(x >= 1, x, torch.relu(x + 1) ** 2 / 4),
        "softsign": lambda x: x / (1 + x.abs()),
        "squareplus": lambda x: (x + torch.sqrt(x * x + 4)) / 2,
        "exponential": torch.exp,
        "sigmoid": logistic,
        "tanh": torch.tanh,
        "tanh_shrink": lambda x: x - torch.tanh(x),
        "elu": elu,
        "celu": elu,
        "selu": lambda x: 1.0507009873554804935 * elu(x, 1.6732632423543772848),
        "softplus": softplus,
        "log_sigmoid": lambda x: -softplus(-x),
        "silu": lambda x: x * logistic(x),
        "mish": lambda x: x * torch.tanh(softplus(x)),
        "gelu": lambda x: x * (1 + torch.erf(x / np.sqrt(2))) / 2,
        "gelu_tanh": lambda x: x * (1 + torch.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2,
        "softmax": lambda x: torch.softmax(x, -1),
        "log_softmax": lambda x: torch.log_softmax(x, -1),
        "sparsemax": sparsemax,
        "glu": glu,
    }


# Growth without bounds, or a derivative of nothing but zeros, would leave nothing to compare
MILD = [name for name in activations.names() if name not in ("exponential", "step", "relu_general")]
NAMED = [name for name in activations.names() if name != "relu_general"]


# ------------------------------------------------------------------------------------------------------------- layers


class Maker:
    """Makes layers with their twins: functions f(x, w, training), where w gives the tensor of an array of weights."""

    def __init__(self, torch, rng, number):
        self.torch, self.rng, self.number = torch, rng, number
        self.functions = torch_activations(torch)
        self.has_dropout = False
        self.used = set()

    def chance(self, share):
        return self.rng.random() < share

    def choose(self, options):
        return options[self.rng.integers(len(options))]

    def frozen(self):
        return {"trainable": not self.chance(0.1)}

    def layer(self, shape, depth, flat=False):
        """A layer for samples of a shape, its twin, and the shape that it makes."""
        kinds = list(PLAIN)
        if depth < 2:
            kinds += ["residual", "parallel"] * 2
        kind = self.choose(kinds)
        self.used.add(kind)
        return getattr(self, kind)(shape, depth)

    def branch(self, shape, depth, count):
        made, twins = [], []
        for _ in range(count):
            layer, twin, shape = self.layer(shape, depth)
            made.append(layer)
            twins.append(twin)
        return made, chain(twins), shape

    def dense(self, shape, depth=0, units=None, activation=None):
        if activation is None:
            activation = NAMED[self.number % len(NAMED)] if self.chance(0.4) else self.choose(MILD)
            if activation in ("step", "exponential") and depth < 1:
                activation = "tanh"
        self.used.add(activation)
        units = units or int(self.rng.integers(1, 10)) * (2 if activation == "glu" else 1)
        use_bias = self.chance(0.8)
        layer = layers.Dense(units, activation=activation, use_bias=use_bias, **self.frozen())
        f = self.functions[activation]

        def twin(x, w, training):
            z = x @ w(layer.kernel)
            return f(z + w(layer.bias) if use_bias else z)

        return layer, twin, (*shape[:-1], units // 2 if activation == "glu" else units)

    def activation(self, shape, depth):
        name = self.choose([n for n in MILD if n != "glu" or shape[-1] % 2 == 0])
        self.used.add(name)
        f = self.functions[name]
        made = (*shape[:-1], shape[-1] // 2) if name == "glu" else shape
        return layers.Activation(name), lambda x, w, training: f(x), made

    def relu(self, shape, depth):
        options = {
            "negative_slope": self.choose([0.0, 0.2, 1.5]),
            "max_value": self.choose([None, 0.8, 2.0]),
            "threshold": self.choose([0.0, 0.3]),
        }
        limit = np.inf if options["max_value"] is None else options["max_value"]
        f = self.functions["relu_general"]
        return (
            layers.ReLU(**options),
            lambda x, w, training: f(x, options["negative_slope"], limit, options["threshold"]),
            shape,
        )

    def leaky_relu(self, shape, depth):
        slope = self.choose([0.3, 0.01, 1.0])
        return (
            layers.LeakyReLU(negative_slope=slope),
            lambda x, w, training: self.functions["leaky_relu"](x, slope),
            shape,
        )

    def elu(self, shape, depth):
        alpha = self.choose([1.0, 0.4, 2.0])
        return layers.ELU(alpha=alpha), lambda x, w, training: self.functions["elu"](x, alpha), shape

    def some_axes(self, shape, least=1):
        """Axes of inputs, that of the batch being 0: the last, or any."""
        if self.chance(0.5):
            return [len(shape)]
        count = int(self.rng.integers(least, len(shape) + 1))
        return sorted(int(axis) + 1 for axis in self.rng.permutation(len(shape))[:count])

    def softmax(self, shape, depth):
        axes = self.some_axes(shape)

        def twin(x, w, training):
            e = self.torch.exp(x)
            return e / e.sum(axes, keepdim=True)

        return layers.Softmax(axis=self.as_argument(axes, shape)), twin, shape

    def as_argument(self, axes, shape):
        """A list, or a number where there is one; counted from the end now and then."""
        if self.chance(0.5):
            axes = [axis - len(shape) - 1 for axis in axes]
        return axes[0] if len(axes) == 1 and self.chance(0.5) else axes

    def prelu(self, shape, depth):
        shared = self.some_axes(shape, 0) if self.chance(0.7) else []
        layer = layers.PReLU(shared_axes=shared or None, **self.frozen())
        torch = self.torch
        return layer, lambda x, w, training: torch.where(x > 0, x, w(layer.alpha) * x), shape

    def dropout(self, shape, depth):
        self.has_dropout = True
        return layers.Dropout(0.5), lambda x, w, training: x, shape

    def batch_normalization(self, shape, depth):
        torch = self.torch
        axis = -1 if self.chance(0.5) else int(self.rng.integers(1, len(shape) + 1))
        layer = layers.BatchNormalization(
            axis=axis, epsilon=0.01, center=self.chance(0.8), scale=self.chance(0.8), **self.frozen()
        )

        def twin(x, w, training):
            return last(x.movedim(axis, -1), w, training).movedim(-1, axis)

        def last(x, w, training):
            if training and layer.trainable:
                axes = tuple(range(x.ndim - 1))
                mean, variance = x.mean(axes), x.var(axes, unbiased=False)
            else:
                mean, variance = w(layer.moving_mean), w(layer.moving_variance)
            x = (x - mean) / torch.sqrt(variance + 0.01)
            x = x if layer.gamma is None else x * w(layer.gamma)
            return x if layer.beta is None else x + w(layer.beta)

        return layer, twin, shape

    def layer_normalization(self, shape, depth):
        torch = self.torch
        axes = self.some_axes(shape)
        axis = self.as_argument(axes, shape)
        rms = self.chance(0.4)
        layer = layers.LayerNormalization(
            axis=axis, epsilon=0.02, rms_scaling=rms, center=self.chance(0.8), scale=self.chance(0.8), **self.frozen()
        )
        along = [n if axis + 1 in axes else 1 for axis, n in enumerate(shape)]  # gamma and beta, to be broadcast

        def twin(x, w, training):
            mean = 0 if rms else x.mean(axes, keepdim=True)
            x = (x - mean) / torch.sqrt(((x - mean) ** 2).mean(axes, keepdim=True) + 0.02)
            x = x if layer.gamma is None else x * w(layer.gamma).reshape(along)
            return x if layer.beta is None or rms else x + w(layer.beta).reshape(along)

        return layer, twin, shape

    def flatten(self, shape, depth):
        return layers.Flatten(), lambda x, w, training: x.reshape(len(x), -1), (int(np.prod(shape)),)

    def reshape(self, shape, depth):
        size = int(np.prod(shape))
        divisors = [d for d in range(1, size + 1) if size % d == 0]
        first = self.choose(divisors)
        target = self.choose([(first, -1), (-1, first), (1, first, size // first), (-1,)])
        made = tuple(int(n) for n in np.empty((size,), np.int8).reshape(target).shape)
        return layers.Reshape(target), lambda x, w, training: x.reshape(len(x), *made), made

    def rescaling(self, shape, depth):
        scale, offset = self.choose([(0.5, 0.0), (-1.5, 0.25), (2.0, None)])
        if offset is None:
            offset = self.rng.normal(size=shape[-1]).tolist()
        column = self.torch.tensor(offset, dtype=self.torch.float64)
        return layers.Rescaling(scale, offset), lambda x, w, training: x * scale + column, shape

    def normalization(self, shape, depth):
        torch = self.torch
        axes = self.some_axes(shape)
        along = [n for axis, n in enumerate(shape) if axis + 1 in axes]
        mean, variance = self.rng.normal(size=along), self.rng.uniform(0.3, 2, along)
        invert = self.chance(0.3)
        axis = self.as_argument(axes, shape)
        layer = layers.Normalization(axis=axis, mean=mean, variance=variance, invert=invert)
        broadcast = [n if axis + 1 in axes else 1 for axis, n in enumerate(shape)]
        m, d = (torch.tensor(v).reshape(broadcast) for v in (mean, np.sqrt(variance)))
        return layer, lambda x, w, training: x * d + m if invert else (x - m) / d, shape

    def embedding(self, shape, rows):
        layer = layers.Embedding(rows, int(self.rng.integers(1, 6)), **self.frozen())
        return layer, lambda x, w, training: w(layer.embeddings)[x.long()], (*shape, layer.output_dim)

    def residual(self, shape, depth):
        made, twin, after = self.branch(shape, depth + 1, int(self.rng.integers(1, 4)))
        if after[:-1] != shape[:-1] or (after != shape and self.chance(0.5)):
            flat = [layers.Flatten(), layers.Dense(int(np.prod(shape))), layers.Reshape(shape)]
            inner, back = twin, flat[1]
            made, after = [*made, *flat], shape

            def twin(x, w, training):
                y = inner(x, w, training).reshape(len(x), -1)
                return (y @ w(back.kernel) + w(back.bias)).reshape(len(x), *shape)

        if after == shape and self.chance(0.6):
            return layers.Residual(made), lambda x, w, training: x + twin(x, w, training), after
        layer = layers.Residual(made, projection="dense")

        def with_projection(x, w, training):
            return x @ w(layer._skip[0].kernel) + twin(x, w, training)

        return layer, with_projection, after

    def parallel(self, shape, depth):
        torch = self.torch
        merge = self.choose(["add", "concatenate"])
        self.used.add(merge)
        width = int(self.rng.integers(1, 6))
        branches, twins, made = [], [], []
        for number in range(int(self.rng.integers(1, 4))):
            if number == 0 and self.chance(0.3) and (merge == "concatenate" or width == shape[-1]):
                inside, twin, after = [], lambda x, w, training: x, shape  # a branch with nothing in it
            else:
                count = int(self.rng.integers(0, 3))
                inside, twin, after = self.branch(shape, depth + 1, count)
                if after[:-1] != shape[:-1] or merge == "add" or count == 0:
                    inside, twin, after = [], lambda x, w, training: x, shape
                    units = width if merge == "add" else None
                    last, end, after = self.dense(after, depth + 1, units, "sigmoid" if units else None)
                    norm, scaled, _ = self.layer_normalization(shape, depth)
                    inside, twin = [norm, last], chain([scaled, end])
            branches.append(inside)
            twins.append(twin)
            made.append(after)

        def twin_of_all(x, w, training):
            results = [twin(x, w, training) for twin in twins]
            return sum(results[1:], results[0]) if merge == "add" else torch.cat(results, -1)

        after = made[0] if merge == "add" else (*made[0][:-1], sum(m[-1] for m in made))
        return layers.Parallel(branches, merge=merge), twin_of_all, after


PLAIN = [
    "dense", "dense", "dense", "dense", "activation", "relu", "leaky_relu", "elu", "softmax", "prelu", "dropout",
    "batch_normalization", "batch_normalization", "layer_normalization", "layer_normalization", "flatten", "reshape",
    "rescaling", "normalization",
]  # fmt: skip


def chain(twins):
    def run(x, w, training):
        for twin in twins:
            x = twin(x, w, training)
        return x

    return run


# ------------------------------------------------------------------------------------------------------------- losses

EPSILON = 1e-7


def smoothed(y, s, classes):
    return y * (1 - s) + s / classes


def torch_losses(torch):
    """{loss class: (the end of the network, y for its output, f(y, p, loss) -> losses)}"""

    def numbers(r, shape):
        return r.normal(size=shape)

    def away_from_zero(r, shape):
        return r.choice([-1.0, 1.0], shape) * r.uniform(0.3, 3, shape)

    def positive(r, shape):
        return r.uniform(0.1, 4, shape)

    def unit(r, shape):
        return r.uniform(0, 1, shape)

    def bits(r, shape):
        return r.integers(0, 2, shape).astype(float)

    def signs(r, shape):
        return r.choice([-1.0, 1.0], shape)

    def one_hot(r, shape):
        return np.eye(shape[-1])[r.integers(0, shape[-1], shape[:-1])]

    def distribution(r, shape):
        y = r.uniform(0.1, 1, shape)
        return y / y.sum(-1, keepdims=True)

    def labels(r, shape):
        return r.integers(0, shape[-1], shape[:-1])

    def per_sample(choices):
        return lambda r, shape: r.choice(choices, shape[0])

    def mean(f):
        return lambda y, p, loss: f(y, p, loss).mean(-1)

    def huber(e, d):
        return torch.where(e.abs() <= d, e * e / 2, d * e.abs() - d * d / 2)

    def probability(p, loss, rowwise):
        if rowwise:
            p = torch.softmax(p, -1) if loss.from_logits else p / p.sum(-1, keepdim=True)
        elif loss.from_logits:
            p = torch.sigmoid(p)
        return p

    def bce(y, p, loss):
        y = smoothed(y, loss.label_smoothing, 2)
        if loss.from_logits:
            return torch.relu(p) - p * y + torch.log1p(torch.exp(-p.abs()))
        return -(y * torch.log(p) + (1 - y) * torch.log(1 - p))

    def binary_focal(y, p, loss):
        y = smoothed(y, loss.label_smoothing, 2)
        p = probability(p, loss, False)
        sure = y * p + (1 - y) * (1 - p)
        scale = y * loss.alpha + (1 - y) * (1 - loss.alpha) if loss.apply_class_balancing else 1
        return scale * (1 - sure) ** loss.gamma * -(y * torch.log(p) + (1 - y) * torch.log(1 - p))

    def cce(y, p, loss):
        return -(smoothed(y, loss.label_smoothing, p.shape[-1]) * torch.log(probability(p, loss, True))).sum(-1)

    def scce(y, p, loss):
        y = y.long()
        safe = torch.where(y == loss.ignore_class, 0 * y, y) if loss.ignore_class is not None else y
        value = -torch.log(torch.gather(probability(p, loss, True), -1, safe[..., None]))[..., 0]
        return value if loss.ignore_class is None else torch.where(y == loss.ignore_class, 0 * value, value)

    def categorical_focal(y, p, loss):
        y, p = smoothed(y, loss.label_smoothing, p.shape[-1]), probability(p, loss, True)
        return (loss.alpha * (1 - p) ** loss.gamma * -y * torch.log(p)).sum(-1)

    def kl(y, p, loss):
        y = torch.clamp(y, EPSILON, 1)
        return (y * torch.log(y / p)).sum(-1)

    def sign(y):
        return torch.where(y == 0, -1 + 0 * y, y)

    def categorical_hinge(y, p, loss):
        return torch.relu(1 + ((1 - y) * p).max(-1).values - (y * p).sum(-1))

    def unit_vector(p):
        return p / torch.sqrt(torch.clamp((p * p).sum(-1, keepdim=True), EPSILON**2))

    def cosine(y, p, loss):
        return -(unit_vector(y) * unit_vector(p)).sum(-1)

    def contrastive(y, p, loss):
        d = (p[:, 0] - p[:, 1]).norm(dim=-1) if p.ndim == 3 else p[:, 0]
        return (y * d**2 + (1 - y) * torch.relu(loss.margin - d) ** 2) / 2

    def triplet(y, p, loss):
        def distance(other):
            u = p[:, 0] - other
            return (u**2).sum(-1) if loss.squared else (u + 1e-6).norm(dim=-1)

        return torch.relu(distance(p[:, 1]) - distance(p[:, 2]) + loss.margin)

    def log_cosh(y, p, loss):
        e = p - y
        return e.abs() + torch.log1p(torch.exp(-2 * e.abs())) - np.log(2)

    L = {"from_logits": True}
    regression = ["any"]
    return [
        (losses.MeanSquaredError, {}, regression, numbers, mean(lambda y, p, loss: (p - y) ** 2)),
        (losses.HalfMeanSquaredError, {}, regression, numbers, mean(lambda y, p, loss: (p - y) ** 2 / 2)),
        (losses.MeanAbsoluteError, {}, regression, numbers, mean(lambda y, p, loss: (p - y).abs())),
        (losses.Huber, {"delta": 0.6}, regression, numbers, mean(lambda y, p, loss: huber(p - y, loss.delta))),
        (losses.SmoothL1, {"beta": 0.7}, regression, numbers,
         mean(lambda y, p, loss: huber(p - y, loss.beta) / loss.beta)),
        (losses.LogCosh, {}, regression, numbers, mean(log_cosh)),
        (losses.MeanAbsolutePercentageError, {}, regression, away_from_zero,
         mean(lambda y, p, loss: 100 * (p - y).abs() / y.abs())),
        (losses.MeanSquaredLogarithmicError, {}, ["softplus"], positive,
         mean(lambda y, p, loss: (torch.log1p(p) - torch.log1p(y)) ** 2)),
        (losses.Poisson, {}, ["softplus"], positive, mean(lambda y, p, loss: p - y * torch.log(p + EPSILON))),
        (losses.BinaryCrossentropy, {}, ["sigmoid"], bits, mean(bce)),
        (losses.BinaryCrossentropy, {"label_smoothing": 0.2}, ["sigmoid"], unit, mean(bce)),
        (losses.BinaryCrossentropy, L, ["linear"], bits, mean(bce)),
        (losses.BinaryFocalCrossentropy, {}, ["sigmoid"], bits, mean(binary_focal)),
        (losses.BinaryFocalCrossentropy, {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5, **L},
         ["linear"], unit, mean(binary_focal)),
        (losses.CategoricalCrossentropy, {}, ["softmax"], one_hot, cce),
        (losses.CategoricalCrossentropy, {"label_smoothing": 0.2}, ["softmax", "sigmoid"], distribution, cce),
        (losses.CategoricalCrossentropy, L, ["linear"], distribution, cce),
        (losses.SparseCategoricalCrossentropy, {}, ["softmax", "sigmoid"], labels, scce),
        (losses.SparseCategoricalCrossentropy, {"ignore_class": 1}, ["softmax"], labels, scce),
        (losses.SparseCategoricalCrossentropy, {"ignore_class": 0, **L}, ["linear"], labels, scce),
        (losses.CategoricalFocalCrossentropy, {}, ["softmax"], one_hot, categorical_focal),
        (losses.CategoricalFocalCrossentropy, {"gamma": 1.3, **L}, ["linear"], distribution, categorical_focal),
        (losses.KLDivergence, {}, ["softmax"], distribution, kl),
        (losses.Hinge, {}, regression, signs, mean(lambda y, p, loss: torch.relu(1 - y * p))),
        (losses.SquaredHinge, {}, regression, bits, mean(lambda y, p, loss: torch.relu(1 - sign(y) * p) ** 2)),
        (losses.CategoricalHinge, {}, ["linear"], one_hot, categorical_hinge),
        (losses.CosineSimilarity, {}, ["tanh", "any"], numbers, cosine),
        (losses.Contrastive, {"margin": 1.7}, ["pairs"], per_sample([0.0, 1.0]), contrastive),
        (losses.Contrastive, {}, ["distance"], per_sample([0.0, 1.0]), contrastive),
        (losses.Triplet, {}, ["triplets"], None, triplet),
        (losses.Triplet, {"squared": False, "margin": 0.3}, ["triplets"], None, triplet),
        (losses.MarginRanking, {"margin": 0.5}, ["two"], per_sample([-1.0, 1.0]),
         lambda y, p, loss: torch.relu(-y * (p[:, 0] - p[:, 1]) + loss.margin)),
    ]  # fmt: skip


REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum"]


def reduced(torch, values, weights, loss, y):
    """The cost: sums of weights times losses, over what the reduction says."""
    counted = torch.ones_like(values)
    if getattr(loss, "ignore_class", None) is not None:
        counted = (y != loss.ignore_class).to(values.dtype)
    w = counted if weights is None else weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim)) * counted
    total = (w * values).sum()
    if loss.reduction == "sum":
        return total
    if loss.reduction == "mean_with_sample_weight" and weights is not None:
        return total / (w * torch.ones_like(values)).sum()
    return total / counted.sum() if counted.sum() else 0 * total


# ------------------------------------------------------------------------------------------------------------ networks


def network(torch, number):
    """A model, its twin, x, and a loss with its y, weights and torch function."""
    rng = np.random.default_rng([20260102, number])
    make = Maker(torch, rng, number)
    shape = tuple(int(n) for n in rng.integers(1, 5, rng.integers(1, 4)))
    n = int(rng.choice([1, 2, 5, 9, 17]))
    table = torch_losses(torch)
    cls, options, ends, targets, formula = table[number % len(table)]
    parts = []
    if rng.random() < 0.15:
        rows = int(rng.integers(2, 7))
        shape = shape[:2]
        x = rng.integers(0, rows, (n, *shape)).astype(float)
        layer, twin, after = make.embedding(shape, rows)
        make.used.add("embedding")
        parts.append((layer, twin))
    else:
        x = rng.normal(size=(n, *shape))
        after = shape
    for _ in range(int(rng.integers(0, 6))):
        layer, twin, after = make.layer(after, 0)
        parts.append((layer, twin))
    end = ends[rng.integers(len(ends))]
    if end in ("pairs", "triplets", "distance", "two"):
        units = {"pairs": 2 * 3, "triplets": 3 * 4, "distance": 1, "two": 2}[end]
        activation = "softplus" if end == "distance" else "linear"
        parts.append(make.flatten(after, 0)[:2])
        layer, twin, after = make.dense((int(np.prod(after)),), 0, units, activation)
        parts.append((layer, twin))
        if end in ("pairs", "triplets"):
            shape_of_end = (units // (2 if end == "pairs" else 3),)
            shape_of_end = (2 if end == "pairs" else 3, *shape_of_end)
            parts.append((layers.Reshape(shape_of_end), lambda x, w, t: x.reshape(len(x), *shape_of_end)))
            after = shape_of_end
    else:
        least = 2 if formula.__name__ in ("cce", "scce", "categorical_focal", "kl", "categorical_hinge") else 1
        least = 2 if cls is losses.CosineSimilarity else least
        activation = make.choose(["linear", "tanh", "sigmoid", "softplus"]) if end == "any" else end
        apart = rng.random() < 0.3
        layer, twin, after = make.dense(after, 0, int(rng.integers(least, 7)), "linear" if apart else activation)
        parts.append((layer, twin))
        if apart:
            f = make.functions[activation]
            parts.append((layers.Activation(activation), lambda x, w, t: f(x)))
    model = Sequential([layers.Input(x.shape[1:]), *(layer for layer, _ in parts)], seed=number, dtype="float64")
    for layer in model._flat():
        for array in layer.weights:
            array += rng.normal(size=array.shape) * 0.3
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance[...] = rng.uniform(0.5, 2, layer.moving_variance.shape)
    loss = cls(**options, reduction=REDUCTIONS[rng.integers(len(REDUCTIONS))])
    y = None if targets is None else targets(rng, (n, *after))
    weights = None
    if rng.random() < 0.5:
        losses_shape = (n,) if end in ("pairs", "triplets", "distance", "two") else (n, *after[:-1])
        weights = rng.uniform(0.2, 2, losses_shape[: int(rng.integers(1, len(losses_shape) + 1))])
    twin = chain([t for _, t in parts])
    return model, twin, x, (loss, y, weights, formula), make


class Tensors:
    """Of arrays of weights, by identity."""

    def __init__(self, torch, model):
        self.torch = torch
        self.by_array = {id(a): torch.tensor(a, requires_grad=True) for a in model.weights}

    def __call__(self, array):
        return self.by_array[id(array)]

    def gradients(self, value, arrays):
        tensors = [self.by_array[id(a)] for a in arrays]
        if not tensors:
            return []
        found = self.torch.autograd.grad(value, tensors, allow_unused=True, retain_graph=True)
        return [np.zeros(a.shape) if g is None else g.numpy() for a, g in zip(arrays, found, strict=True)]


def assert_near(actual, expected, largest, what):
    """To RTOL of each element, or of the array where its elements are differences of larger ones; 1e-15 is zero."""
    assert actual.shape == expected.shape, what
    scale = max(np.abs(expected).max(initial=0), 1e-3 * largest, 1e-6)
    np.testing.assert_allclose(actual, expected, rtol=RTOL, atol=RTOL * scale, err_msg=what)


def check(torch, number):
    model, twin, x, (loss, y, weights, formula), make = network(torch, number)
    training = not make.has_dropout and number % 2 == 1
    described = f"network {number}, training={training}, {loss!r}: {[repr(layer) for layer in model._flat()]}"
    model.compile(optimizer="sgd", loss=loss)
    w = Tensors(torch, model)
    inputs = torch.tensor(x, requires_grad=True)

    # the loss and its gradients, through the loss's own way back
    output = twin(inputs, w, training)
    target = None if y is None else torch.tensor(y)
    expected = reduced(
        torch, formula(target, output, loss), None if weights is None else torch.tensor(weights), loss, target
    )
    value, gradients = model.gradients(x, y, sample_weight=weights, training=training)
    np.testing.assert_allclose(value, expected.item(), rtol=RTOL, atol=1e-12, err_msg=described)
    assert len(gradients) == len(model.trainable_weights)
    theirs = w.gradients(expected, model.trainable_weights)
    largest = max((np.abs(g).max() for g in theirs), default=0)
    for mine, other in zip(gradients, theirs, strict=True):
        assert_near(mine, other, largest, described)
    moved = largest

    # a gradient from outside, back to the input, twice: it adds up
    r = np.random.default_rng(number)
    made, tape = model.forward(x, training=training)
    np.testing.assert_allclose(made, output.detach().numpy(), rtol=RTOL, atol=1e-12, err_msg=described)
    if not training:
        np.testing.assert_array_equal(model.predict(x, verbose=0), made, err_msg=described)
    dy = r.normal(size=made.shape)
    through = (output * torch.tensor(dy)).sum()
    theirs = w.gradients(through, model.trainable_weights)
    (dx,) = torch.autograd.grad(through, [inputs], allow_unused=True, retain_graph=True)
    dx = np.zeros_like(x) if dx is None else dx.numpy()
    largest = max(np.abs(g).max() for g in [*theirs, dx])
    model.zero_grad()
    assert_near(tape.backward(dy), dx, largest, described)
    flat = np.concatenate([g.ravel() for g in theirs]) if theirs else np.zeros(0)
    assert_near(model.grads, flat, largest, described)
    assert_near(model.forward(x, training=training)[1].backward(2 * dy), 2 * dx, 2 * largest, described)
    assert_near(model.grads, 3 * flat, 3 * largest, described)
    return make.used, moved > 0, np.abs(dx).max() > 0


@pytest.mark.parametrize("group", range(GROUPS))
def test_gradients_are_those_of_autograd(torch, group):
    """300 networks. Nearly all must have gradients: else nothing would have been compared."""
    results = [check(torch, number) for number in range(group, NETWORKS, GROUPS)]
    assert sum(moved for _, moved, _ in results) >= 0.7 * len(results)
    assert sum(passed for _, _, passed in results) >= 0.5 * len(results)


def test_every_layer_and_activation_takes_part(torch):
    used = set()
    for number in range(NETWORKS):
        used |= network(torch, number)[-1].used
    assert {*PLAIN, "residual", "parallel", "add", "concatenate", "embedding"} <= used
    assert {*activations.names()} - {"relu_general"} <= used
    covered = {cls for cls, *_ in torch_losses(torch)}
    assert covered == {getattr(losses, name) for name in losses.__all__ if name[0].isupper()} - {losses.Loss}


def test_the_comparison_can_fail(torch):
    """A wrong weight shows."""
    model, twin, x, _, _ = network(torch, 0)
    w = Tensors(torch, model)
    model.trainable_weights[-1][...] += 1e-6
    expected = twin(torch.tensor(x), w, False).detach().numpy()
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(model(x), expected, rtol=RTOL)
