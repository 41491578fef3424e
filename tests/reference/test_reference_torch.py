"""The reference against PyTorch in double precision, where it is installed: what Keras has not."""

import pytest
from optional import optional

torch = optional("torch")

from fastnn.reference import losses, network, optimizers, schedules
from fastnn.reference.activations import prelu, prelu_backward
from fastnn.reference.autograd import Value

DOUBLE = {"rel": 1e-12, "abs": 1e-14}
functional = torch.nn.functional


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


def normal(generator, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def test_rprop(generator):
    gradients = normal(generator, 30, 5)
    w = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    for options in ({}, {"lr": 0.3, "etas": (0.4, 1.5), "step_sizes": (0.05, 0.5)}):
        with torch.no_grad():
            w.fill_(1.0)
        theirs = torch.optim.Rprop([w], **options)
        renamed = {("learning_rate" if k == "lr" else k): v for k, v in options.items()}
        ours, v = optimizers.Rprop(**renamed), optimizers.Variable([1.0] * 5)
        for g in gradients:
            w.grad = g.clone()
            theirs.step()
            ours.apply([g.tolist()], [v])
            assert v.values == pytest.approx(w.tolist(), **DOUBLE)
        assert v.values != [1.0] * 5


@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_triplet(generator, margin):
    parts = [normal(generator, 8, 4).requires_grad_() for _ in range(3)]
    theirs = functional.triplet_margin_loss(*parts, margin=margin)
    theirs.backward()
    batch = [[p[i].tolist() for p in parts] for i in range(8)]
    assert losses.cost("triplet", None, batch, margin=margin, squared=False) == pytest.approx(theirs.item(), **DOUBLE)
    ours = losses.cost_gradient("triplet", None, batch, margin=margin, squared=False)
    for k, p in enumerate(parts):
        assert [g for row in ours for g in row[k]] == pytest.approx(p.grad.flatten().tolist(), **DOUBLE)


def test_squared_triplet(generator):
    parts = [normal(generator, 8, 4).requires_grad_() for _ in range(3)]

    def squared(u, v):
        return ((u - v) ** 2).sum(-1)

    theirs = functional.triplet_margin_with_distance_loss(*parts, distance_function=squared, margin=1.0)
    theirs.backward()
    batch = [[p[i].tolist() for p in parts] for i in range(8)]
    assert losses.cost("triplet", None, batch) == pytest.approx(theirs.item(), **DOUBLE)
    ours = losses.cost_gradient("triplet", None, batch)
    for k, p in enumerate(parts):
        assert [g for row in ours for g in row[k]] == pytest.approx(p.grad.flatten().tolist(), **DOUBLE)


def test_contrastive(generator):
    a, b = (normal(generator, 8, 2).requires_grad_() for _ in range(2))
    y = torch.tensor([1.0, 0.0] * 4, dtype=torch.float64)
    d = (a - b).norm(dim=-1)
    theirs = (0.5 * (y * d**2 + (1 - y) * torch.clamp(2.0 - d, min=0) ** 2)).mean()
    theirs.backward()
    batch = [[p.tolist(), q.tolist()] for p, q in zip(a, b, strict=True)]
    assert losses.cost("contrastive", y.tolist(), batch, margin=2.0) == pytest.approx(theirs.item(), **DOUBLE)
    ours = losses.cost_gradient("contrastive", y.tolist(), batch, margin=2.0)
    for k, p in enumerate((a, b)):
        assert [g for row in ours for g in row[k]] == pytest.approx(p.grad.flatten().tolist(), **DOUBLE)


@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_margin_ranking(generator, margin):
    scores = normal(generator, 9, 2).requires_grad_()
    y = torch.tensor([1.0, -1.0, 1.0] * 3, dtype=torch.float64)
    theirs = functional.margin_ranking_loss(scores[:, 0], scores[:, 1], y, margin=margin)
    theirs.backward()
    args = ("margin_ranking", y.tolist(), scores.tolist())
    assert losses.cost(*args, margin=margin) == pytest.approx(theirs.item(), **DOUBLE)
    ours = losses.cost_gradient(*args, margin=margin)
    assert [g for row in ours for g in row] == pytest.approx(scores.grad.flatten().tolist(), **DOUBLE)


@pytest.mark.parametrize("beta", [1.0, 0.4])
def test_smooth_l1(generator, beta):
    y, p = normal(generator, 5, 3), normal(generator, 5, 3).requires_grad_()
    theirs = functional.smooth_l1_loss(p, y, beta=beta)
    theirs.backward()
    args = ("smooth_l1", y.tolist(), p.tolist())
    assert losses.cost(*args, beta=beta) == pytest.approx(theirs.item(), **DOUBLE)
    ours = losses.cost_gradient(*args, beta=beta)
    assert [g for row in ours for g in row] == pytest.approx(p.grad.flatten().tolist(), **DOUBLE)


def rates_of(scheduler_class, steps, **options):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = scheduler_class(optimizer, cycle_momentum=False, **options)
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"anneal_strategy": "linear"},
        {"pct_start": 0.45, "div_factor": 10.0, "final_div_factor": 50.0},
        {"three_phase": True},
        {"three_phase": True, "anneal_strategy": "linear", "pct_start": 0.4},
    ],
)
def test_one_cycle(options):
    theirs = rates_of(torch.optim.lr_scheduler.OneCycleLR, 37, max_lr=0.5, total_steps=37, **options)
    ours = schedules.OneCycle(0.5, 37, **options)
    assert [ours(t) for t in range(37)] == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"step_size_up": 5},
        {"step_size_up": 5, "step_size_down": 3},
        {"step_size_up": 5, "mode": "triangular2"},
        {"step_size_up": 5, "mode": "exp_range", "gamma": 0.9},
    ],
)
def test_cyclical(options):
    theirs = rates_of(torch.optim.lr_scheduler.CyclicLR, 45, base_lr=0.01, max_lr=0.5, **options)
    ours = schedules.Cyclical(0.01, 0.5, **options)
    assert [ours(t) for t in range(45)] == pytest.approx(theirs, rel=1e-10)


def test_prelu(generator):
    x, slopes = normal(generator, 6).requires_grad_(), torch.tensor([0.25], dtype=torch.float64, requires_grad=True)
    dy = normal(generator, 6)
    functional.prelu(x.unsqueeze(0), slopes).backward(dy.unsqueeze(0))
    assert prelu(x.tolist(), [0.25] * 6) == pytest.approx(functional.prelu(x.unsqueeze(0), slopes)[0].tolist())
    dxs, dslopes = prelu_backward(x.tolist(), [0.25] * 6, dy.tolist())
    assert dxs == pytest.approx(x.grad.tolist(), **DOUBLE)
    assert sum(dslopes) == pytest.approx(slopes.grad.item(), **DOUBLE)


def test_autograd():
    """One expression with every operation, values used more than once."""

    def expression(a, b, as_function):
        c = a * b + b**3 - a / b
        d = as_function(c, "tanh") * 2.0 + as_function(a, "sigmoid") - as_function(b, "exp")
        e = as_function(as_function(c, "abs") + 1.0, "sqrt") + as_function(as_function(a, "relu") + 2.0, "log")
        return (d * e - as_function(a, "sin") * as_function(b, "cos")) ** 2 + c * 0.5 + (2.0**a) + a**b

    a, b = Value(1.3), Value(-0.7)
    ours = expression(a, b, lambda v, name: getattr(v, name)())
    ours.backward()
    x, y = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.3, -0.7))
    theirs = expression(x, y, lambda v, name: getattr(torch, name)(v))
    theirs.backward()
    assert ours.data == pytest.approx(theirs.item(), **DOUBLE)
    assert [a.grad, b.grad] == pytest.approx([x.grad.item(), y.grad.item()], **DOUBLE)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "softplus"])
def test_network(generator, activation):
    ours = network.Network(3, [network.Dense(5, activation), network.Dense(2)], "half_mean_squared_error", seed=5)
    x, y = normal(generator, 7, 3).requires_grad_(), normal(generator, 7, 2)
    weights = [torch.tensor(w, dtype=torch.float64, requires_grad=True) for w in ours.get_weights()]
    hidden = getattr(functional if hasattr(functional, activation) else torch, activation)(x @ weights[0] + weights[1])
    loss = 0.5 * functional.mse_loss(hidden @ weights[2] + weights[3], y)
    loss.backward()
    value, gradients = ours.gradients(x.tolist(), y.tolist())
    assert value == pytest.approx(loss.item(), **DOUBLE)
    for g, w in zip(gradients, weights, strict=True):
        assert g == pytest.approx(w.grad.flatten().tolist(), **DOUBLE)
    by_input = [g for row in ours.input_gradients(x.tolist(), y.tolist()) for g in row]
    assert by_input == pytest.approx(x.grad.flatten().tolist(), **DOUBLE)
