"""Every def of the compiled core with valid arguments. A new def is a new row of CALLS."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn._core import (
    activations,
    batches,
    constraints,
    dense,
    engine,
    epochs,
    exclusive,
    kernels,
    losses,
    memory,
    metrics,
    norms,
    optimizers,
    product,
    train,
)
from fastnn._core import random as core_random
from fuzzing.draws import Draw, made, objects, remade, use


def method(
    kind: Any, name: str, arguments: Callable[[Draw, Any], list[Any]]
) -> Callable[[Draw], tuple[Any, list[Any]]]:
    """A row for a method of an object that is made as fastnn makes it."""

    def row(g: Draw) -> tuple[Any, list[Any]]:
        one = made(g, kind)
        return getattr(one, name), arguments(g, one)

    return row


def setter(kind: Any, name: str, value: Any) -> Callable[[Draw], tuple[Any, list[Any]]]:
    def row(g: Draw) -> tuple[Any, list[Any]]:
        one = made(g, kind)

        def set_it(given: Any) -> None:
            setattr(one, name, given)
            use(one, g)

        return set_it, [value]

    return row


def tape_of(g: Draw) -> tuple[Any, Any]:
    found = objects(g)
    x = np.asarray(found["x"], g.dtype)
    return found["model"].forward(x, training=True)


# ---------------------------------------------------------------------------------------------------- rows of the table


def forward(g: Draw) -> Any:
    n = g.size() if g.number.random() < 0.8 else 200_000
    kind, p = g.row(activations.ROWS)
    return activations.forward, [kind, g.reals(n), g.reals(n), p]


def derivative(g: Draw) -> Any:
    n = g.size()
    kind, p = g.row(activations.ROWS)
    return activations.derivative, [kind, g.reals(n), g.reals(n), g.reals(n), p]


def row_forward(g: Draw) -> Any:
    b, n = g.size(), 2 * g.size()
    kind, _ = g.row(activations.ROW_ROWS)
    half = activations.ROW_ROWS[kind]["name"] == "glu"
    return activations.row_forward, [kind, g.reals(b, n), g.reals(b, n // 2 if half else n)]


def row_derivative(g: Draw) -> Any:
    b, n = g.size(), 2 * g.size()
    kind, _ = g.row(activations.ROW_ROWS)
    half = activations.ROW_ROWS[kind]["name"] == "glu"
    return activations.row_derivative, [kind, g.reals(b, n), g.reals(b, n // 2 if half else n), g.reals(b, n)]


def prelu_forward(g: Draw) -> Any:
    b, n = g.size(), g.size()
    return activations.prelu_forward, [g.reals(b, n), g.reals(n), g.reals(b, n)]


def prelu_derivative(g: Draw) -> Any:
    b, n = g.size(), g.size()
    return activations.prelu_derivative, [g.reals(b, n), g.reals(n), g.reals(b, n), g.reals(b, n), g.reals(n)]


def math(g: Draw) -> Any:
    n = g.size()
    return activations.math, [g.number.randrange(len(activations.MATHS)), g.reals(n), g.reals(n)]


def dense_forward(g: Draw) -> Any:
    b, i, o = g.size(), g.size(), g.size()
    kind, p = g.row(activations.ROWS)
    return dense.forward, [g.reals(b, i), g.reals(i, o), g.maybe(g.reals(o)), kind, p, g.reals(b, o), g.reals(b, o)]


def dense_backward(g: Draw) -> Any:
    b, i, o = g.size(), g.size(), g.size()
    kind, p = g.row(activations.ROWS)
    return dense.backward, [
        g.reals(b, i), g.reals(i, o), g.reals(b, o), g.reals(b, o), kind, p, g.reals(b, o), g.maybe(g.reals(i, o)),
        g.maybe(g.reals(o)), g.maybe(g.reals(b, i)), g.number.random() < 0.5,
    ]  # fmt: skip


def loss(g: Draw) -> Any:
    kind, p = g.row(losses.ROWS)
    rows, d = 3 * g.size(), g.size()
    layout = losses.ROWS[kind]["layout"]
    target = {"L": g.labels(rows, d)}.get(layout, g.reals(rows * d))
    call_it = losses.evaluate_labels if layout == "L" else losses.evaluate
    return call_it, [
        kind, rows, d, g.reals(rows * d), target, g.maybe(g.doubles(rows)), g.maybe(g.reals(rows * d)),
        g.maybe(g.doubles(rows)), 1.0, p,
    ]  # fmt: skip


def metric(g: Draw) -> Any:
    kind, p = g.row(metrics.ROWS)
    rows, d = g.size(), g.size()
    labels = metrics.ROWS[kind]["layout"] == "L"
    target = g.labels(rows, d) if labels else g.reals(rows * d)
    call_it = metrics.evaluate_labels if labels else metrics.evaluate
    return call_it, [kind, rows, d, g.reals(rows * d), target, g.doubles(rows), p]


def mine(g: Draw) -> Any:
    b, d = g.size(), g.size()
    p = np.array([1.0, g.number.randrange(2), g.number.randrange(2)])
    found = np.zeros(b, np.int32)
    return losses.mine, [g.reals(b, d), g.labels(b, 3), g.doubles(b), found, g.doubles(b, b), g.doubles(b, b), p]


def mined_gradient(g: Draw) -> Any:
    b, d = g.size(), g.size()
    p = np.array([1.0, g.number.randrange(2), g.number.randrange(2)])
    return losses.mined_gradient, [
        g.reals(b, d), g.doubles(b, b), g.doubles(b, b), g.maybe(g.doubles(b)), 1.0, g.reals(b, d), p,
    ]  # fmt: skip


def layer_norm(g: Draw) -> Any:
    b, n = g.size(), g.size()
    kind = g.number.choice((norms.LAYER, norms.VARIANCE, norms.RMS))
    if g.number.random() < 0.5:
        return norms.layer_forward, [
            g.reals(b, n), g.maybe(g.reals(n)), g.maybe(g.reals(n)), kind, 1e-3, g.reals(b, n), g.reals(3, b),
        ]  # fmt: skip
    return norms.layer_backward, [
        g.reals(b, n), g.reals(b, n), g.maybe(g.reals(n)), kind, g.reals(3, b), g.maybe(g.reals(b, n)),
        g.maybe(g.reals(n)), g.maybe(g.reals(n)), False,
    ]  # fmt: skip


def batch_statistics(g: Draw) -> Any:
    b, n = g.size(), g.size()
    return norms.batch_statistics, [g.reals(b, n), 1e-3, g.reals(n), g.reals(3, n)]


def batch_scaling(g: Draw) -> Any:
    n = g.size()
    return norms.batch_scaling, [g.reals(n), g.reals(n) ** 2, 1e-3, g.reals(3, n)]


def batch_forward(g: Draw) -> Any:
    b, n = g.size(), g.size()
    return norms.batch_forward, [g.reals(b, n), g.reals(3, n), g.maybe(g.reals(n)), g.maybe(g.reals(n)), g.reals(b, n)]


def batch_backward(g: Draw) -> Any:
    b, n = g.size(), g.size()
    return norms.batch_backward, [
        g.reals(b, n), g.reals(b, n), g.reals(3, n), g.maybe(g.reals(n)), g.maybe(g.reals(2, n)),
        g.maybe(g.reals(b, n)), g.maybe(g.reals(n)), g.maybe(g.reals(n)), False,
    ]  # fmt: skip


def batch_commit(g: Draw) -> Any:
    n = g.size()
    return norms.batch_commit, [0.9, g.reals(3, n), g.reals(n), g.reals(n), g.reals(n)]


def matmul(g: Draw) -> Any:
    m, n, k = g.size(), g.size(), g.size()
    a, b = g.reals(m, k), g.reals(k, n)
    if g.number.random() < 0.3:
        a = np.asfortranarray(a)
    if g.number.random() < 0.3:
        b = g.reals(2 * k, n)[::2]
    return product.matmul, [a, b, g.reals(m, n), g.number.random() < 0.5, g.number.random() < 0.5]


def constrain_array(g: Draw) -> Any:
    outer, reduced, inner = g.size(), g.size(), g.size()
    what = g.number.choice(["norm", "non_negative"])
    return constraints.constrain_array, [
        g.reals(outer * reduced * inner), g.maybe((what, 0.0, 1.0, 1.0, outer, reduced, inner)),
    ]  # fmt: skip


def batches_of(g: Draw) -> Any:
    n = g.size()
    order = g.rng.permutation(n)
    y = g.maybe(g.number.choice((g.reals(n, 2), g.labels(n, 3))))
    one = batches.Batches(g.reals(n, 3), y, g.maybe(g.doubles(n)), g.number.choice((1, 2, 5, 100)), g.dtype)
    return one, order, n


def reorder(g: Draw) -> Any:
    found = objects(g)
    args, kwargs = g.number.choice(found[batches.Batches])
    one = batches.Batches(*args, **kwargs)
    arguments, keywords = g.number.choice(found[train.Trainer])
    trainer = train.Trainer(*arguments, **keywords)

    def reorder_it(order: Any) -> None:
        one.reorder(order)
        trainer.bind(one, True, 0)
        trainer.run(0, len(one), True, None, 0.1, 1.0)

    return reorder_it, [g.rng.permutation(one.n)]


def engine_predict(g: Draw) -> Any:
    one = made(g, engine.Engine)
    n = g.number.choice((0, 1, 5, 300))
    return one.predict, [np.ones((n, *one.input_shape), g.dtype), np.ones((n, *one.output_shape), g.dtype)]


def start_tape(g: Draw) -> Any:
    one = made(g, engine.Engine)

    def both(*args: Any) -> None:
        y, tape = one.start_tape(*args)
        tape.backward(np.ones_like(y))

    return both, [np.ones((g.size(), *one.input_shape), g.dtype), True, 0, g.number.random() < 0.5]


def tape_backward(g: Draw) -> Any:
    y, tape = tape_of(g)
    return tape.backward, [np.ones_like(y)]


def layout(g: Draw) -> Any:
    arguments, training = remade(g, engine.Engine)[1], g.number.random() < 0.5
    return engine.Layout, [arguments[not training], training, arguments[2].size, arguments[4].size]


def workspace(g: Draw) -> Any:
    return engine.Workspace, [engine.Layout(*layout(g)[1]), g.size(), g.number.choice((4, 8))]


def exclusive_method(name: str) -> Callable[[Draw], Any]:
    def row(g: Draw) -> Any:
        one = exclusive.Exclusive("model")

        def claim(*what: Any) -> None:
            with getattr(one, name)(*what), contextlib.suppress(RuntimeError):
                for other in ("training", "evaluating", "changing"):
                    with getattr(one, other)("again"):
                        one.held, one.held_here, one.stepping, one.trained_elsewhere, one.what  # noqa: B018

        return claim, [] if name == "laying_out" else ["fit"]

    return row


def taken_lock(g: Draw) -> exclusive.LayoutLock:
    lock = exclusive.LayoutLock()
    for _ in range(g.number.choice((1, 1, 2))):
        lock.acquire()
    return lock


def claim_exit(g: Draw) -> Any:
    claim = exclusive.Exclusive("model").training("fit")
    if g.number.random() < 0.5:
        claim.__enter__()
    return claim.__exit__, [None, None, None]


def claim_made(g: Draw) -> Any:
    def make(*arguments: Any) -> None:
        claim = exclusive.Claim(*arguments)
        with claim, contextlib.suppress(RuntimeError), claim:
            pass

    return make, [exclusive.Exclusive("model"), "fit", g.number.randrange(3)]


def lay_out(g: Draw) -> Any:
    n = g.size()
    starts = g.rng.integers(0, 10, n)
    return memory.lay_out, [
        g.rng.integers(0, 9, n).tolist(),
        starts.tolist(),
        (starts + g.rng.integers(0, 5, n)).tolist(),
    ]


def trainer_run(name: str) -> Callable[[Draw], Any]:
    def row(g: Draw) -> Any:
        found = objects(g)
        args, kwargs = g.number.choice(found[train.Trainer])
        trainer = train.Trainer(*args, **kwargs)
        args, kwargs = g.number.choice(found[batches.Batches])
        data = batches.Batches(*args, **kwargs)
        if g.number.random() < 0.9:
            trainer.bind(data, True, 0)
        rows = {
            "run": [0, len(data), True, g.maybe(np.full(len(data), 0.1)), 0.1, 1.0], "gradients": [True],
            "first_bad_op": [0], "bind": [data, True, 0], "share_penalties": [1.0, 2.0], "reset": [],
            "unbind": [],
            "quick_step": [
                np.asarray(found["x"], g.dtype), np.asarray(found["y"]), 0.1, 0, trainer.engine.exclusive.uses,
            ],
        }  # fmt: skip

        def call_and_go_on(*given: Any) -> Any:
            result = getattr(trainer, name)(*given)
            with contextlib.suppress(Exception):
                trainer.run(0, len(data), True, None, 0.1, 1.0)
            return result

        return call_and_go_on, rows[name]

    return row


def epochs_made(g: Draw) -> Any:
    found = objects(g)
    args, kwargs = g.number.choice(found[train.Trainer])
    trainer = train.Trainer(*args, **kwargs)
    args, kwargs = g.number.choice(found[batches.Batches])
    data = batches.Batches(*args, **kwargs)
    order = g.rng.permutation(data.n)

    def make_and_run(*given: Any) -> Any:
        one = epochs.Epochs(*given)
        use(one, g)
        return one

    return make_and_run, [trainer, data, g.maybe(order), 3, 0]


def epochs_method(name: str) -> Callable[[Draw], Any]:
    def row(g: Draw) -> Any:
        _, arguments = epochs_made(g)
        if arguments[2] is None and name in ("seed", "shuffle"):
            arguments[2] = g.rng.permutation(arguments[1].n)
        one = epochs.Epochs(*arguments)
        rows = {
            "seed": [g.seed(), g.seed()], "shuffle": [np.random.RandomState(1), False],
            "watch": [epochs.Stall(1.0, 0.1, 0, 2.0)],
            "run": [0, one.batches, True, g.maybe(np.full(one.batches, 0.1)), 0.1, 1.0],
        }  # fmt: skip

        def call_and_run(*given: Any) -> Any:
            result = getattr(one, name)(*given)
            use(one, g)
            return result

        return call_and_run, rows[name]

    return row


def updater_method(name: str) -> Callable[[Draw], Any]:
    def row(g: Draw) -> Any:
        one = made(g, optimizers.Updater)
        gradients = [np.ones_like(v) for v in one.variables]
        if g.number.random() < 0.9:
            one.bind([np.ones_like(v) for v in one.variables])
        rows: dict[str, list[Any]] = {
            "configure": [[0.1] * 4, 0.0, 0.0, 1.0, 0.0, 0.5, 3, 1.0, 1],
            "bind": [gradients], "touch": [[g.maybe(np.ones(len(v), np.uint8)) for v in one.variables]], "merge": [],
            "forget_bounds": [], "step": [0.1, g.number.random() < 0.5], "gradients": [gradients, 0.1],
            "update": [0, gradients[0] if gradients else np.ones(3, g.dtype), 0.1], "finish": [True, 0.1],
        }  # fmt: skip
        names = ["weight_decay", "clip_value", "clip_norm", "global_clip_norm", "ema_momentum",
                 "ema_overwrite_frequency", "loss_scale", "accumulation_steps"]  # fmt: skip

        def call_and_step(*given: Any) -> Any:
            if name == "configure":
                one.configure(given[0], **dict(zip(names, given[1:], strict=False)))
            else:
                getattr(one, name)(*given)
            use(one, g)

        return call_and_step, rows[name]

    return row


def pair(call_it: Any, *arguments: Callable[[Draw, int], Any]) -> Callable[[Draw], Any]:
    """A row whose arguments follow from one size."""

    def row(g: Draw) -> Any:
        n = g.size()
        return call_it, [argument(g, n) for argument in arguments]

    return row


def columns(g: Draw) -> Any:
    b, n = g.size(), g.size()
    if g.number.random() < 0.5:
        return norms.colsum, [g.reals(b, n), g.reals(n), g.number.random() < 0.5]
    return norms.add_rows, [g.reals(b, n), g.reals(n), g.reals(b, n)]


CALLS: dict[str, Callable[[Draw], tuple[Any, list[Any]]]] = {
    "activations.forward": forward,
    "activations.derivative": derivative,
    "activations.row_forward": row_forward,
    "activations.row_derivative": row_derivative,
    "activations.prelu_forward": prelu_forward,
    "activations.prelu_derivative": prelu_derivative,
    "activations.math": math,
    "batches.all_finite": pair(batches.all_finite, lambda g, n: g.reals(n)),
    "batches.labels_of": pair(
        batches.labels_of, lambda g, n: g.labels(n, 5), lambda g, n: 5, lambda g, n: g.number.choice((None, -1, 0))
    ),
    "batches.Batches": lambda g: remade(g, batches.Batches),
    "batches.Batches.reorder": reorder,
    "batches.Batches.__len__": lambda g: (batches_of(g)[0].__len__, []),
    "dense.forward": dense_forward,
    "dense.backward": dense_backward,
    "engine.Layout": layout,
    "engine.Workspace": workspace,
    "engine.Engine": lambda g: remade(g, engine.Engine),
    "engine.Engine.chunk_rows": method(engine.Engine, "chunk_rows", lambda g, e: []),
    "engine.Engine.call": method(engine.Engine, "call", lambda g, e: [np.ones((3, *e.input_shape), g.dtype)]),
    "engine.Engine.predict": engine_predict,
    "engine.Engine.start_tape": start_tape,
    "engine.Tape.backward": tape_backward,
    "epochs.Stall": lambda g: (epochs.Stall, [1.0, 0.1, 0, 3.0]),
    "epochs.Stall.note": lambda g: (epochs.Stall(1.0, 0.1, 0, 3.0).note, [0.5]),
    "epochs.Stall.count": lambda g: (lambda v: setattr(epochs.Stall(1.0, 0.1, 0, 3.0), "count", v), [3]),
    "epochs.Epochs": epochs_made,
    "epochs.Epochs.seed": epochs_method("seed"),
    "epochs.Epochs.shuffle": epochs_method("shuffle"),
    "epochs.Epochs.watch": epochs_method("watch"),
    "epochs.Epochs.run": epochs_method("run"),
    "exclusive.Exclusive": lambda g: (exclusive.Exclusive, ["model"]),
    **{
        f"exclusive.Exclusive.{name}": exclusive_method(name)
        for name in ("training", "evaluating", "changing", "laying_out")
    },
    "exclusive.Claim": claim_made,
    "exclusive.Claim.__exit__": claim_exit,
    "exclusive.LayoutLock": lambda g: (exclusive.LayoutLock, []),
    "exclusive.LayoutLock.acquire": lambda g: (exclusive.LayoutLock().acquire, []),
    "exclusive.LayoutLock.release": lambda g: (taken_lock(g).release, []),
    "exclusive.LayoutLock.__enter__": lambda g: (taken_lock(g).__enter__, []),
    "exclusive.LayoutLock.__exit__": lambda g: (taken_lock(g).__exit__, [None] * 3),
    "exclusive.LayoutClaim": lambda g: (exclusive.LayoutClaim, [exclusive.Exclusive("model")]),
    "exclusive.LayoutClaim.__exit__": lambda g: (exclusive.Exclusive("model").laying_out().__exit__, [None] * 3),
    "kernels.cpu_info": lambda g: (kernels.cpu_info, []),
    "kernels.get_num_threads": lambda g: (kernels.get_num_threads, []),
    "kernels.set_num_threads": lambda g: (kernels.set_num_threads, [g.number.choice((0, 1, 2, 3, 64))]),
    "losses.evaluate": loss,
    "losses.evaluate_labels": loss,
    "losses.total": pair(losses.total, lambda g, n: g.doubles(n), lambda g, n: g.maybe(g.doubles(n))),
    "losses.mine": mine,
    "losses.mined_gradient": mined_gradient,
    "memory.lay_out": lay_out,
    "metrics.evaluate": metric,
    "metrics.evaluate_labels": metric,
    "metrics.add": pair(
        metrics.add, lambda g, n: g.doubles(2), lambda g, n: g.doubles(n), lambda g, n: g.maybe(g.doubles(n)),
        lambda g, n: 1,
    ),
    "norms.layer_forward": layer_norm,
    "norms.layer_backward": layer_norm,
    "norms.batch_statistics": batch_statistics,
    "norms.batch_scaling": batch_scaling,
    "norms.batch_forward": batch_forward,
    "norms.batch_backward": batch_backward,
    "norms.batch_commit": batch_commit,
    "norms.colsum": columns,
    "norms.add_rows": columns,
    "norms.dropout": pair(
        norms.dropout, lambda g, n: g.reals(n), lambda g, n: 0.5, lambda g, n: g.seed(), lambda g, n: g.seed(),
        lambda g, n: g.seed(), lambda g, n: g.reals(n),
    ),
    "norms.noise": pair(
        norms.noise, lambda g, n: g.reals(n), lambda g, n: 0.5, lambda g, n: g.seed(), lambda g, n: g.seed(),
        lambda g, n: g.seed(), lambda g, n: g.reals(n),
    ),
    "constraints.penalty_sums": pair(constraints.penalty_sums, lambda g, n: g.reals(n)),
    "constraints.constrain_array": constrain_array,
    "optimizers.Updater": lambda g: remade(g, optimizers.Updater),
    "optimizers.Updater.iterations": setter(optimizers.Updater, "iterations", 3),
    "optimizers.Updater.memory": setter(optimizers.Updater, "memory", 1.0),
    **{
        f"optimizers.Updater.{name}": updater_method(name)
        for name in ("configure", "bind", "touch", "merge", "forget_bounds", "step", "gradients", "update", "finish")
    },
    "product.matmul": matmul,
    "product.fma_peak": lambda g: (lambda room: product.fma_peak(room, 10), [g.reals(8192)]),
    "random.words": pair(
        core_random.words, lambda g, n: g.seed(), lambda g, n: g.seed(), lambda g, n: g.seed(),
        lambda g, n: np.zeros(n, np.uint32),
    ),
    "random.fill": pair(
        core_random.fill, lambda g, n: g.reals(n), lambda g, n: g.number.randrange(3), lambda g, n: 0.0,
        lambda g, n: 1.0, lambda g, n: g.seed(), lambda g, n: g.seed(), lambda g, n: g.seed(),
    ),
    "random.permutation": pair(
        core_random.permutation, lambda g, n: g.seed(), lambda g, n: g.seed(), lambda g, n: np.zeros(n, np.int64)
    ),
    "random.orthonormalise": lambda g: (core_random.orthonormalise, [g.doubles(g.size(), g.size())]),
    "train.Trainer": lambda g: remade(g, train.Trainer),
    "train.Trainer.sums": setter(train.Trainer, "sums", (1.0, 2.0)),
    **{
        f"train.Trainer.{name}": trainer_run(name)
        for name in ("share_penalties", "bind", "unbind", "reset", "run", "quick_step", "gradients", "first_bad_op")
    },
}  # fmt: skip
