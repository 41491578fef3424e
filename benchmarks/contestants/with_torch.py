"""PyTorch: eager, with the fused Adam, or the fused SGD."""

from typing import Any

from contestants.work import MOMENTUM, RATE, Call, Work


def make(work: Work) -> dict[str, Call]:
    import torch

    parts: list[Any] = []
    for i, (a, o) in enumerate(zip(work.widths, work.widths[1:], strict=False)):
        parts += [torch.nn.ReLU()] * (i > 0) + [torch.nn.Linear(a, o)]
    net = torch.nn.Sequential(*parts)
    loss = torch.nn.MSELoss() if work.regression else torch.nn.CrossEntropyLoss()
    optimizer: Any = torch.optim.Adam(net.parameters(), fused=True)
    if not work.by_adam:
        optimizer = torch.optim.SGD(net.parameters(), RATE, MOMENTUM, fused=True)
    xs, ys = torch.from_numpy(work.x), torch.from_numpy(work.y)

    def step(x: Any, y: Any) -> None:
        optimizer.zero_grad(set_to_none=False)
        loss(net(x), y).backward()
        optimizer.step()

    def epoch() -> None:
        order = torch.randperm(work.n)
        for begin in range(0, work.n, work.batch):
            rows = order[begin : begin + work.batch]
            step(xs[rows], ys[rows])

    x, y = xs[: work.batch], ys[: work.batch]
    row, many = xs[:1], torch.from_numpy(work.rows(10_000))

    def infer(rows: Any) -> Any:
        with torch.inference_mode():
            return net(rows)

    return {
        "epoch": epoch,
        "call": lambda: step(x, y),
        "row": lambda: infer(row),
        "10000 rows": lambda: infer(many),
    }
