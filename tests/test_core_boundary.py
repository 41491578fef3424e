"""The compiled core checks what it is given before it reads or writes: no call reaches outside an array."""

import threading
import time

import numpy as np
import pytest

from fastnn import Sequential, layers
from fastnn._core import activations, constraints, dense, losses, memory, metrics, norms, optimizers, product, random
from fastnn._core.batches import Batches
from fastnn._core.engine import Engine, Layout, Workspace
from fastnn._core.epochs import Epochs
from fastnn._core.exclusive import Exclusive
from fastnn._core.train import Trainer
from fastnn._program import Builder
from fastnn.layers import Layer


def compiled(loss="mse", outputs=2, metrics=(), **options):
    activation = "softmax" if loss == "sparse_categorical_crossentropy" else None
    model = Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(outputs, activation)], seed=0, **options)
    model.compile("sgd", loss, metrics=list(metrics))
    x = np.arange(30, dtype=np.float32).reshape(10, 3) / 30
    y = np.arange(10) % outputs if activation else np.zeros((10, outputs), np.float32)
    model.fit(x, y, batch_size=4, verbose=0)
    return model, x, y


def trainer_of(model):
    return model._plan.trainers[0]


def bound(model, x, y, dtype=np.float32):
    trainer = trainer_of(model)
    trainer.bind(Batches(x, y, None, 4, dtype), True, 0)
    return trainer


@pytest.mark.parametrize("begin, end", [(3, 4), (0, 4), (-1, 1), (2, 2), (10**12, 10**12 + 1), (2, 1)])
def test_batches_that_are_not_there(begin, end):
    model, x, y = compiled()
    trainer = bound(model, x, y)
    before = model.get_weights()
    for learns in (True, False):
        with pytest.raises(IndexError, match="there are no batches"):
            trainer.run(begin, end, learns, None, 0.1, 1.0)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    with pytest.raises(IndexError, match="no such batch"):
        trainer.first_bad_op(3)
    assert trainer.run(2, 3, True, None, 0.1, 1.0) == 3


@pytest.mark.parametrize(
    "rates", [np.zeros(1), np.zeros(3, np.float32), np.zeros(6)[::2], np.zeros((3, 1)), [0.1, 0.1, 0.1]]
)
def test_rates_that_do_not_do(rates):
    model, x, y = compiled()
    with pytest.raises(ValueError, match="rates: expected at least 3"):
        bound(model, x, y).run(0, 3, True, rates, 0.0, 1.0)


def test_a_trainer_bound_for_evaluation_does_not_learn():
    model, x, y = compiled()
    trainer = trainer_of(model)
    trainer.bind(Batches(x, y, None, 4, np.float32), False, 0)
    with pytest.raises(RuntimeError, match="evaluation"):
        trainer.run(0, 1, True, None, 0.1, 1.0)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x, y: Batches(x[:, :2].copy(), y, None, 4, np.float32), r"x: expected samples of shape \(3,\)"),
        (lambda x, y: Batches(x, y, None, 4, np.float64), "another precision"),
        (lambda x, y: Batches(x, y[:, :1].copy(), None, 4, np.float32), "y: expected float32"),
        (lambda x, y: Batches(x, y.astype(np.float64), None, 4, np.float32), "y: expected float32"),
        (lambda x, y: Batches(x, None, None, 4, np.float32), "y: expected targets"),
        (lambda x, y: Batches(x, y, np.ones((10, 2)), 4, np.float32), "weights: expected 1 float64"),
    ],
)
def test_samples_that_are_not_as_the_model_reads_them(change, message):
    model, x, y = compiled()
    with pytest.raises(ValueError, match=message):
        trainer_of(model).bind(change(x, y), True, 0)
    model.fit(x, y, verbose=0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((np.zeros((4, 3)), None, None, 0, np.float64), "size"),
        ((np.zeros((3, 4)).T, None, None, 2, np.float64), "x: expected samples that are contiguous"),
        ((np.zeros((4, 3), ">f8"), None, None, 2, np.float64), "x: expected plain numbers"),
        ((np.zeros((4, 3), object), None, None, 2, np.float64), "x: expected plain numbers"),
        ((np.zeros(()), None, None, 2, np.float64), "x: expected plain numbers"),
        ((np.zeros((4, 3)), np.zeros(5), None, 2, np.float64), "y: expected a C-contiguous array of 4"),
        ((np.zeros((4, 3)), np.zeros((4, 4))[:, ::2], None, 2, np.float64), "y: expected a C-contiguous"),
        ((np.zeros((4, 3)), [1, 2, 3, 4], None, 2, np.float64), "y: expected a C-contiguous"),
        ((np.zeros((4, 3)), None, np.zeros(3), 2, np.float64), "weights: expected a C-contiguous array of 4"),
    ],
)
def test_arrays_that_are_no_batches(arguments, message):
    with pytest.raises(ValueError, match=message):
        Batches(*arguments)


@pytest.mark.parametrize("order", [[0, 1, 2, 10], [-1, 0, 1, 2], [0, 1, 2], np.zeros((2, 3))])
def test_an_order_of_other_samples(order):
    batches = Batches(np.zeros((4, 3)), None, None, 2, np.float64)
    with pytest.raises(ValueError, match="order: expected 4 numbers"):
        batches.reorder(np.asarray(order))
    assert batches.order is None


@pytest.mark.parametrize("labels", [[0, 1, 2, 5], [-1, 0, 0, 0]])
def test_labels_that_are_no_class(labels):
    model, x, _ = compiled("sparse_categorical_crossentropy", outputs=5, metrics=["accuracy"])
    with pytest.raises(ValueError, match=r"class numbers a sample, 0 \.\. 4"):
        trainer_of(model).bind(Batches(x[:4], np.array(labels, np.int32), None, 2, np.float32), True, 0)
    with pytest.raises(ValueError, match="class numbers"):
        trainer_of(model).bind(Batches(x[:4], np.zeros(4, np.int64), None, 2, np.float32), True, 0)


def test_epochs_of_a_trainer_that_has_other_batches_by_now():
    model, x, y = compiled()
    trainer = trainer_of(model)
    order = np.arange(10)
    run = Epochs(trainer, Batches(x, y, None, 4, np.float32), order, 2, 0)
    run.seed(1, 2)
    trainer.bind(Batches(x[:2], y[:2], None, 2, np.float32), True, 0)
    with pytest.raises(RuntimeError, match="bound to other batches"):
        run.run(0, 6, True, None, 0.1, 1.0)


@pytest.mark.parametrize(
    "x, out",
    [
        (np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32)),
        (np.zeros((4, 3)), np.zeros((4, 2))),
        (np.zeros((4, 3), np.float32), np.zeros((3, 2), np.float32)),
        (np.zeros((4, 3), np.float32), np.zeros((4, 3), np.float32)),
        (np.zeros((4, 6), np.float32)[:, ::2], np.zeros((4, 2), np.float32)),
        (np.zeros((4, 3), np.float32), np.zeros((4, 4), np.float32)[:, ::2]),
    ],
)
def test_an_engine_refuses_other_arrays(x, out):
    engine = compiled()[0]._engine
    with pytest.raises(ValueError, match="expected"):
        engine.predict(x, out)
    read_only = np.zeros((4, 2), np.float32)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="out: expected 4 writable"):
        engine.predict(np.zeros((4, 3), np.float32), read_only)
    with pytest.raises(ValueError, match="x: expected"):
        engine.start_tape(np.zeros((4, 2), np.float32), False, 0)


class Lowering(Layer):
    """A layer that lowers itself, wrongly."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1], 2))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2)

    def lower(self, builder, x):
        y = builder.op("dense", x, (2,), w=self._variables[0], activation=0)
        builder.ops[-1].update(self.change)
        return y


@pytest.mark.parametrize(
    "change",
    [
        {"w": 1}, {"w": -1}, {"w": 10**6}, {"b": 5, "b_trains": True}, {"inputs": 4}, {"outputs": 3}, {"rows": 2},
        {"rows": -1}, {"input": 7}, {"output": -1}, {"activation": 10**6}, {"kind": "embed"}, {"kind": "batch_norm"},
        {"kind": "layer_norm"}, {"kind": "gather"}, {"kind": "prelu"}, {"kind": "add", "other": 5}, {"kind": "place"},
        {"kind": "activate_rows"}, {"kind": "python"}, {"parameters": (1.0,) * 5},
    ],
    ids=str,
)  # fmt: skip
def test_an_op_that_would_reach_outside(change):
    with pytest.raises((ValueError, IndexError), match=r"op 0|parameters|buffer|out of range"):
        Sequential([layers.Input((3,)), Lowering(change)])
    assert Sequential([layers.Input((3,)), Lowering({})])(np.ones((1, 3))).shape == (1, 2)


def test_an_engine_on_arenas_of_another_program():
    model = compiled()[0]
    builder = model._lowered()
    empty, exclusive = np.zeros(0, np.float32), Exclusive("model")
    ops = [None] * len(builder.ops)
    plans = builder.plan(True), builder.plan(False)
    with pytest.raises(ValueError, match="do not fit"):
        Engine(*plans, empty, empty, empty, ops, (3,), (2,), builder.output.buffer, exclusive)
    good = model._engine.trainables
    with pytest.raises(ValueError, match="another input or output"):
        Engine(*plans, good, good, empty, ops, (4,), (2,), builder.output.buffer, exclusive)
    with pytest.raises(ValueError, match="gradients: expected"):
        Engine(*plans, good, empty, empty, ops, (3,), (2,), builder.output.buffer, exclusive)
    with pytest.raises(ValueError, match="flat arrays"):
        Engine(*plans, good, good.astype(np.float64), empty, ops, (3,), (2,), builder.output.buffer, exclusive)
    with pytest.raises(ValueError, match="layers: expected one for each"):
        Engine(*plans, good, good, empty, ops[1:], (3,), (2,), builder.output.buffer, exclusive)


def test_an_objective_that_does_not_fit_the_output():
    model, _, _ = compiled()
    plan = model._plan
    objective, fused = plan.objective(model)
    for change in ({"rows": 2}, {"d": 3}, {"kind": 10**6}, {"kind": -1}, {"parameters": [0.0] * 5}):
        with pytest.raises(ValueError, match=r"objective|parameters"):
            Trainer(model._engine, objective | change, fused, [], True, model.optimizer._updater)


def test_an_optimizer_is_not_rebound_by_another_thread_within_a_step():
    """A metric in Python runs within a step; what it starts must not move what the step goes by."""
    model, x, y = compiled()
    optimizer = model.optimizer
    gradients = [np.ones_like(w) for w in model.get_weights()]
    errors = []

    def attempt():
        with pytest.raises(RuntimeError, match="still running") as caught:
            optimizer.apply(gradients)
        errors.append(caught)

    def metric(y_true, y_pred):
        attempt()
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
        return np.zeros(len(y_true))

    model.compile(optimizer, "mse", metrics=[metric])
    model.fit(x, y, verbose=0)
    assert len(errors) == 2
    optimizer.apply(gradients)


def places(spans):
    found, room = memory.lay_out(*(list(column) for column in zip(*spans, strict=True)))
    return found.tolist(), room


def test_buffers_that_live_at_once_do_not_overlap(rng):
    for _ in range(50):
        count = int(rng.integers(1, 30))
        sizes, starts, lives = (rng.integers(low, high, count) for low, high in ((1, 9), (0, 20), (0, 9)))
        spans = list(zip(sizes.tolist(), starts.tolist(), (starts + lives).tolist(), strict=True))
        spans.sort(reverse=True)
        at, room = places(spans)
        live = max(sum(size for size, start, end in spans if start <= t <= end) for t in range(30))
        assert live <= room <= sum(size for size, _, _ in spans)
        assert room == max(place + size for place, (size, _, _) in zip(at, spans, strict=True))
        for i, (size, start, end) in enumerate(spans):
            for j, (other, begin, stop) in enumerate(spans[:i]):
                if start <= stop and begin <= end:
                    assert at[i] + size <= at[j] or at[j] + other <= at[i]


def test_layouts_are_refused_where_they_do_not_agree():
    with pytest.raises(ValueError, match="expected 2 of each"):
        memory.lay_out([1, 2], [0], [0, 1])
    assert places([(3, 0, 1), (2, 2, 3)]) == ([0, 0], 3)


@pytest.mark.parametrize("arguments", [(-1, 4), (1, 3), (1, 0), (1, -8), (2**62, 4), (1, 4, -1), (1, 4, 2**60)])
def test_workspaces_of_sizes_that_cannot_be(arguments):
    with pytest.raises(TypeError):
        Workspace(None, *arguments)
    with pytest.raises((ValueError, MemoryError)):
        Workspace(Layout(Builder((3,)).plan(False), False, 0, 0), *arguments)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["planes", "sized"])
@pytest.mark.parametrize("value", [-(2**63), -1, 2**57, 2**63 - 1])
def test_layouts_of_sizes_that_cannot_be(name, value, training):
    builder = Builder((3,))
    builder.op("activate_rows", builder.input, (3,), activation=0)
    plan = builder.plan(training)
    assert Layout(plan, training, 0, 0) is not None
    with pytest.raises(ValueError, match="planes, sized"):
        Layout(plan | {name: value}, training, 0, 0)


@pytest.mark.parametrize("names", [("rows", "inputs"), ("inputs", "outputs"), ("rows", "outputs")])
def test_an_op_whose_sizes_multiply_to_more_than_there_are_numbers(names):
    """2^32 rows of 2^32 columns would be 0 elements in 64 bits."""
    builder = Builder((0,))
    builder.op("activate_rows", builder.input, (0,), activation=0)
    plan = builder.plan(False)
    plan["ops"][0].update(dict.fromkeys(names, 2**32))
    with pytest.raises(ValueError, match="do not fit"):
        Layout(plan, False, 0, 0)


def test_a_trainer_before_it_is_bound():
    model = compiled()[0]
    fresh = model._plan.make_trainer(model)
    for call in (
        lambda: fresh.run(0, 1, False, None, 0.1, 1.0), lambda: fresh.gradients(False), lambda: fresh.first_bad_op(0)
    ):  # fmt: skip
        with pytest.raises((IndexError, RuntimeError)):
            call()


def test_a_quick_step_is_not_taken_of_a_model_that_was_used_since():
    model, x, y = compiled()
    model.train_on_batch(x, y)
    trainer, uses, before = trainer_of(model), model._exclusive.uses, model.get_weights()
    with model._exclusive.evaluating("evaluate"):
        assert trainer.quick_step(x, y, 0.1, 0, model._exclusive.uses) is None
    model.summary(print_fn=str)
    assert trainer.quick_step(x, y, 0.1, 0, uses) is None
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    expected = np.mean((model.predict(x, verbose=0) - y) ** 2)
    assert trainer.quick_step(x, y, 0.1, 0, model._exclusive.uses) == pytest.approx(expected, rel=1e-5)
    assert not np.array_equal(model.get_weights()[0], before[0])


def test_quick_steps_in_one_thread_while_another_changes_the_model():
    """Each is either a step on the model as it then is, or an error that says that the model is in use."""
    model, x, y = compiled()
    steps, changes, errors = [], [], []

    def train():
        for _ in range(1000):
            try:
                steps.append(model.train_on_batch(x, y))
            except RuntimeError as error:
                errors.append(error)
            time.sleep(0.0001)  # the other gets its turn

    thread = threading.Thread(target=train)
    thread.start()
    while thread.is_alive():
        try:
            changes.append(model.compile("adam" if len(changes) % 2 else "sgd", "mse"))
        except RuntimeError as error:
            errors.append(error)
    thread.join()
    assert steps and changes
    assert all("another thread" in str(error) for error in errors)
    assert np.isfinite(steps).all() and np.isfinite(model.evaluate(x, y, verbose=0))


def reals(*shape):
    return np.ones(shape, np.float32)


P = np.zeros(4)
LABELS = np.zeros(3, np.int32)
SHORT = {
    "activation: kind": lambda: activations.forward(99, reals(3), reals(3), P),
    "activation: too short": lambda: activations.forward(0, reals(3), reals(2), P),
    "activation: precision": lambda: activations.forward(0, reals(3), np.ones(3), P),
    "activation: strides": lambda: activations.forward(0, reals(6)[::2], reals(3), P),
    "activation: read-only": lambda: activations.forward(0, reals(3), np.broadcast_to(np.float32(1), (1,)), P),
    "activation: parameters": lambda: activations.forward(4, reals(3), reals(3), P[:0]),
    "derivative: dy": lambda: activations.derivative(0, reals(3), reals(2), reals(3), P),
    "rows: halves": lambda: activations.row_forward(3, reals(2, 3), reals(2, 1)),
    "rows: a number": lambda: activations.row_forward(0, reals(), reals()),
    "prelu: slope": lambda: activations.prelu_forward(reals(2, 3), reals(2), reals(2, 3)),
    "math: kind": lambda: activations.math(-1, reals(3), reals(3)),
    "dense: None": lambda: dense.forward(reals(2, 3), None, None, 0, P, reals(2, 2), reals(2, 2)),
    "dense: bias": lambda: dense.forward(reals(2, 3), reals(3, 2), reals(1), 0, P, reals(2, 2), reals(2, 2)),
    "loss: too many rows": lambda: losses.evaluate(0, 10**9, 1, reals(3), reals(3), None, None, None, 1.0, P),
    "loss: no elements": lambda: losses.evaluate(0, 3, 0, reals(3), reals(3), None, None, None, 1.0, P),
    "loss: huge": lambda: losses.evaluate(0, 1, 2**62, reals(3), reals(3), None, None, None, 1.0, P),
    "loss: no targets": lambda: losses.evaluate(0, 3, 1, reals(3), None, None, None, None, 1.0, P),
    "loss: scale": lambda: losses.evaluate(0, 3, 1, reals(3), reals(3), None, None, np.ones(2), 1.0, P),
    "loss: labels": lambda: losses.evaluate_labels(SPARSE, 3, 2, reals(6), LABELS + 2, None, None, None, 1.0, P - 1),
    "loss: layout": lambda: losses.evaluate_labels(0, 3, 1, reals(3), LABELS, None, None, None, 1.0, P),
    "total: weights": lambda: losses.total(np.ones(3), np.ones(2)),
    "triplets: found": lambda: losses.mine(reals(3, 2), LABELS, P[:3], LABELS[:2], np.ones((3, 3)), np.ones((3, 3)), P),
    "metric: labels": lambda: metrics.evaluate_labels(TOP_K, 3, 2, reals(6), LABELS + 7, np.ones(3), P),
    "metric: state": lambda: metrics.add(np.zeros(1), np.ones(3), None, 1),
    "norm: saved": lambda: norms.layer_forward(reals(2, 3), None, None, norms.LAYER, 0.1, reals(2, 3), reals(2, 2)),
    "norm: kind": lambda: norms.layer_forward(reals(2, 3), None, None, 77, 0.1, reals(2, 3), reals(3, 2)),
    "norm: gamma": lambda: norms.batch_forward(reals(2, 3), reals(3, 3), reals(2), None, reals(2, 3)),
    "norm: sums": lambda: norms.batch_backward(
        reals(2, 3), reals(2, 3), reals(3, 3), None, reals(1, 3), None, None, None, False
    ),
    "columns": lambda: norms.colsum(reals(2, 3), reals(2), False),
    "dropout": lambda: norms.dropout(reals(3), 0.5, 0, 0, 0, reals(2)),
    "constraint": lambda: constraints.constrain_array(reals(4), ("norm", 0.0, 1.0, 1.0, -2, -2, 1)),
    "constraint: huge": lambda: constraints.constrain_array(reals(4), ("norm", 0.0, 1.0, 1.0, 2**62, 4, 1)),
    "updater: rule": lambda: updater(rule=99),
    "updater: slots": lambda: updater(slots=[]),
    "updater: a short slot": lambda: updater(slots=[reals(2)]),
    "updater: precision": lambda: updater(slots=[np.ones(4)]),
    "updater: segments": lambda: updater(segments=[]),
    "updater: constraint": lambda: updater(segments=[(True, 0.0, 0.0, ("norm", 0.0, 1.0, 1.0, 1, 9, 1))]),
    "updater: hypers": lambda: updater().configure([0.1] * 5),
    "updater: accumulation": lambda: updater().configure([0.1], accumulation_steps=0),
    "updater: no room": lambda: updater().configure([0.1], accumulation_steps=2),
    "updater: touched": lambda: updater().touch([np.ones(3, np.uint8)]),
    "updater: out": lambda: updater().gradients([reals(3)], 0.1),
    "updater: index": lambda: updater().update(1, reals(4), 0.1),
    "updater: gradient": lambda: updater().update(0, reals(3), 0.1),
    "updater: iterations": lambda: setattr(updater(), "iterations", -1),
    "updater: in Python": lambda: updater(rule=-1, slots=[]).step(0.1),
    "not aligned": lambda: norms.colsum(np.zeros(25, np.uint8)[1:].view(np.float32).reshape(2, 3), reals(3), False),
    "peak": lambda: product.fma_peak(reals(1), 1),
    "random": lambda: random.fill(None, 0, 0.0, 1.0, 0, 0, 0),
}
SPARSE = next(i for i, row in enumerate(losses.ROWS) if row["name"] == "sparse_categorical_crossentropy")
TOP_K = next(i for i, row in enumerate(metrics.ROWS) if row["name"] == "sparse_top_k_categorical_accuracy")
RULE = next(i for i, row in enumerate(optimizers.ROWS) if len(row["slots"]) == 1)


def updater(rule=None, slots=None, segments=None):
    made = optimizers.Updater(
        RULE if rule is None else rule,
        [reals(2, 2)],
        [(True, 0.0, 0.0, None)] if segments is None else segments,
        [reals(4)] if slots is None else slots,
        None,
        None,
    )
    assert made.bind([reals(2, 2)])
    return made


@pytest.mark.parametrize("call", SHORT.values(), ids=SHORT)
def test_what_would_be_read_or_written_past_its_end(call):
    with pytest.raises((ValueError, TypeError)):
        call()


def test_gradients_that_nobody_else_holds_stay():
    made = updater(slots=[np.zeros(4, np.float32)])  # `bind` was given an array that is gone by now
    trash = [np.full((2, 2), np.nan, np.float32) for _ in range(50)]
    made.step(0.1)
    assert np.isfinite(made.variables[0]).all() and len(trash) == 50


def test_a_number_is_no_batch():
    """Its shape has no first entry that could be read."""
    model, _, _ = compiled()
    with pytest.raises(ValueError, match="x: expected C-contiguous samples"):
        model._engine.start_tape(np.array(1, np.float32), True, 0)
