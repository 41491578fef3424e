"""A working as tables: what each figure is, in letters and in numbers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn._explain._figures import Figure, Figures
from fastnn._explain._working import Doubles, Stage, Weight, Working

MOST_TERMS = 6  # of a sum that are written out


class Row(NamedTuple):
    """A figure: its name, what it is, that in numbers, and its value."""

    name: str
    formula: str
    numbers: str
    value: str


class Section(NamedTuple):
    title: str
    rows: list[Row]


def tables(working: Working, figures: Figures, digits: int) -> list[Section]:
    """The sections: forward, loss, backward, update, after the step."""
    return Tables(working, figures, digits).sections()


class Tables:
    """Writes the sections of a working with so many significant digits."""

    def __init__(self, working: Working, figures: Figures, digits: int) -> None:
        self.working, self.figures, self.digits = working, figures.all, digits
        self.counted = [stage for stage in working.stages if stage.number]
        # what goes into each stage: the figure of the one before, whatever shape lies between
        names = ["x", *(f"a{stage.number}" for stage in self.counted)]
        self.source = {stage.number: self.figures[name] for stage, name in zip(self.counted, names, strict=False)}

    def sections(self) -> list[Section]:
        forward = [Section(f"Forward: {self.title(stage)}", self.forward(stage)) for stage in self.counted]
        backward = [
            Section(f"Backward: {self.title(stage)}", self.backward(place, stage))
            for place, stage in reversed(list(enumerate(self.counted)))
        ]
        optimizer = f"{type(self.working.optimizer).__name__}, rate {self.show(self.working.rate)}"
        last = [Section(f"Update: {optimizer}", self.update()), Section("After the step", self.after())]
        return [section for section in [*forward, Section("Loss", self.loss()), *backward, *last] if section.rows]

    # ------------------------------------------------------------------------------------------------------- pieces

    def show(self, value: float) -> str:
        text = f"{value:.{self.digits}g}"
        return "0" if text == "-0" else text

    def factor(self, value: float) -> str:
        """A number as part of a formula: in brackets where it is negative."""
        text = self.show(value)
        return f"({text})" if text.startswith("-") else text

    def row(self, figure: Figure, place: int, formula: str, numbers: str) -> Row:
        return Row(figure.name(place), formula, numbers, self.show(float(figure.flat[place])))

    def sum(self, terms: Sequence[str], most: int = MOST_TERMS) -> str:
        """Terms added up; those in the middle are left out where there are many."""
        if len(terms) > most:
            terms = [*terms[: most // 2], "...", terms[-1]]
        return " + ".join(terms)

    def title(self, stage: Stage) -> str:
        kind = type(stage.layer).__name__
        activation = f", {stage.activation}" if stage.kind == "dense" else ""
        return f"layer {stage.number}, {stage.layer.name} ({kind}{activation})"

    # ------------------------------------------------------------------------------------------------------ forward

    def forward(self, stage: Stage) -> list[Row]:
        a = self.figures[f"a{stage.number}"]
        if stage.z is None:
            what = f"output of {stage.layer.name}"
            return [self.row(a, place, what, "") for place in range(a.flat.size)]
        z = self.figures[f"z{stage.number}"]
        rows = [self.weighted_sum(stage, z, place) for place in range(z.flat.size)]
        return rows + [self.activated(stage, z, a, place) for place in range(a.flat.size)]

    def weighted_sum(self, stage: Stage, z: Figure, place: int) -> Row:
        source = self.source[stage.number]
        if stage.kind == "activation":
            return self.row(z, place, source.name(place), self.show(float(source.flat[place])))
        units = z.array.shape[-1]
        sample, unit = divmod(place, units)
        formula, numbers = [], []
        for weight in stage.weights:
            figure = self.figures[f"{weight.name}{stage.number}"]
            if weight.name == "b":
                formula.append(figure.name(unit))
                numbers.append(self.factor(float(figure.flat[unit])))
                continue
            inputs = weight.before.shape[0]
            pairs = [(sample * inputs + i, i * units + unit) for i in range(inputs)]
            formula.append(self.sum([f"{source.name(p)} * {figure.name(q)}" for p, q in pairs]))
            numbers.append(self.sum([self.product(source.flat[p], figure.flat[q]) for p, q in pairs]))
        return self.row(z, place, " + ".join(formula), " + ".join(numbers))

    def product(self, *values: Any) -> str:
        return " * ".join(self.factor(float(value)) for value in values)

    def activated(self, stage: Stage, z: Figure, a: Figure, place: int) -> Row:
        name = stage.activation
        if name == "linear":
            return self.row(a, place, z.name(place), self.show(float(z.flat[place])))
        if stage.form.row is not None and stage.form.row.rowwise:
            units, inputs = a.array.shape[-1], z.array.shape[-1]
            sample, unit = divmod(place, units)
            span = range(sample * inputs, (sample + 1) * inputs)
            whole = z.name(span[0]) if inputs == 1 else f"{z.name(span[0])} ... {z.name(span[-1])}"
            shown = [self.show(float(z.flat[p])) for p in span]
            if inputs > MOST_TERMS:
                shown = [*shown[: MOST_TERMS // 2], "...", shown[-1]]
            return self.row(a, place, f"{name}({whole}), number {unit}", f"{name}({', '.join(shown)})")
        return self.row(a, place, f"{name}({z.name(place)})", f"{name}({self.show(float(z.flat[place]))})")

    # --------------------------------------------------------------------------------------------------------- loss

    def loss(self) -> list[Row]:
        work = self.working
        losses, cost, a = self.figures["loss"], self.figures["cost"], self.figures[f"a{self.counted[-1].number}"]
        targets = "" if work.y is None else " and y"
        rows = [self.sample_loss(losses, a, place, targets) for place in range(losses.flat.size)]
        parts = "sum of the losses" if work.loss.reduction == "sum" else "mean of the losses"
        total = self.sum([self.factor(float(value)) for value in losses.flat])
        numbers = total if work.loss.reduction == "sum" or losses.flat.size == 1 else f"({total}) / {losses.flat.size}"
        if getattr(work.loss, "ignore_class", None) is not None or getattr(work.loss, "mining", None) is not None:
            parts, numbers = f"{parts} that count", ""
        if work.loss_weight != 1:
            parts, numbers = f"{work.loss_weight:g} * {parts}", numbers and f"{work.loss_weight:g} * ({numbers})"
        if work.penalty:
            parts += " + penalties"
            numbers = numbers and f"{numbers} + {self.factor(work.penalty)}"
        return [*rows, self.row(cost, 0, parts, numbers)]

    def sample_loss(self, losses: Figure, a: Figure, place: int, targets: str) -> Row:
        """Squared errors of one output and cross-entropies are written out; other losses are named."""
        name, y = self.working.loss.name, self.figures.get("y")
        halved = {"mean_squared_error": "", "half_mean_squared_error": " / 2"}.get(name)
        if halved is not None and y is not None and a.flat.size == y.flat.size == losses.flat.size:
            difference = self.factor(float(a.flat[place])), self.factor(float(y.flat[place]))
            value = (float(a.flat[place]) - float(y.flat[place])) ** 2 / (2 if halved else 1)
            if np.isclose(value, losses.flat[place], rtol=1e-9):
                formula = f"({a.name(place)} - {y.name(place)})^2{halved}"
                return self.row(losses, place, formula, f"({' - '.join(difference)})^2{halved}")
        written = self.cross_entropy(losses, a, place) if y is not None and "crossentropy" in name else None
        return written or self.row(losses, place, f"{name} of {a.base}{targets}", "")

    def cross_entropy(self, losses: Figure, a: Figure, place: int) -> Row | None:
        """-log of the probability of what is true, where that is what the loss of a sample comes to."""
        y, count = self.figures["y"], a.flat.size // losses.flat.size
        if y.flat.size not in (a.flat.size, losses.flat.size):
            return None
        places = range(place * count, place * count + count)
        classes = self.counted[-1].activation == "softmax"
        terms: list[str] = []
        written: list[str] = []  # the same in numbers
        chances: list[float] = []
        for k, p in enumerate(places):
            value, target = float(a.flat[p]), k == y.flat[place]
            if y.flat.size == a.flat.size:
                target = y.flat[p] == 1
                if y.flat[p] not in (0, 1):
                    return None
            if target:
                terms.append(f"log({a.name(p)})")
                written.append(f"log({self.show(value)})")
                chances.append(value)
            elif not classes:
                terms.append(f"log(1 - {a.name(p)})")
                written.append(f"log(1 - {self.factor(value)})")
                chances.append(1 - value)
        share = 1 if classes else count
        if not terms or min(chances) <= 0 or not np.isclose(-np.log(chances).sum(), share * losses.flat[place]):
            return None
        formula, numbers = self.sum(terms), self.sum(written)
        if len(terms) > 1:
            formula, numbers = f"({formula})", f"({numbers})"
        divided = f" / {share}" * (share > 1)
        return self.row(losses, place, f"-{formula}{divided}", f"-{numbers}{divided}")

    # ----------------------------------------------------------------------------------------------------- backward

    def backward(self, place: int, stage: Stage) -> list[Row]:
        rows = self.by_outputs(place, stage) + self.deltas(stage)
        for weight in stage.weights:
            if weight.gradient is not None:
                rows += self.by_weights(stage, weight)
        return rows

    def by_outputs(self, place: int, stage: Stage) -> list[Row]:
        """dL/da: from the loss, or from the deltas of the next layer."""
        da = self.figures.get(f"da{stage.number}")
        if da is None:
            return []
        if stage is self.counted[-1]:
            return [self.by_output(stage, da, p) for p in range(da.flat.size)]
        following = self.counted[place + 1]
        if following.kind == "other":
            return [self.row(da, p, f"back through {following.layer.name}", "") for p in range(da.flat.size)]
        delta = self.figures[f"delta{following.number}"]
        if following.kind == "activation":
            return [self.row(da, p, delta.name(p), self.show(float(delta.flat[p]))) for p in range(da.flat.size)]
        return [self.through_weights(stage, following, da, delta, p) for p in range(da.flat.size)]

    def through_weights(self, stage: Stage, following: Stage, da: Figure, delta: Figure, place: int) -> Row:
        """dL/da_i = sum over the units j of the next layer of delta_j w_ij."""
        w = self.figures[f"w{following.number}"]
        inputs, units = w.array.shape
        sample, unit = divmod(place, inputs)
        pairs = [(sample * units + j, unit * units + j) for j in range(units)]
        formula = self.sum([f"{delta.name(p)} * {w.name(q)}" for p, q in pairs])
        numbers = self.sum([self.product(delta.flat[p], w.flat[q]) for p, q in pairs])
        if stage.regularizer is not None:
            formula += " + slope of the penalty"
            sums = sum(float(delta.flat[p] * w.flat[q]) for p, q in pairs)
            numbers += f" + {self.factor(float(da.flat[place]) - sums)}"
        return self.row(da, place, formula, numbers)

    def by_output(self, stage: Stage, da: Figure, place: int) -> Row:
        a, y, name = self.figures[f"a{stage.number}"], self.figures.get("y"), self.working.loss.name
        factor = {"mean_squared_error": 2.0, "half_mean_squared_error": 1.0}.get(name)
        if factor is not None and y is not None and y.flat.size == a.flat.size and stage.regularizer is None:
            differences = a.flat - y.flat
            for count in (1, a.flat.size, a.array.shape[-1]):
                if np.allclose(da.flat, factor * differences / count, rtol=1e-9, atol=0):
                    return self.difference(da, place, a, (y.name(place), float(y.flat[place])), (factor, count))
        penalty = " and of the penalty" if stage.regularizer is not None else ""
        return self.row(da, place, f"slope of {name}{penalty}", "")

    def difference(
        self, row: Figure, place: int, a: Figure, target: tuple[str, float], scale: tuple[float, int]
    ) -> Row:
        """factor (a - target) / count."""
        factor, count = scale
        name, value = target
        before, behind = f"{factor:g} * " * (factor != 1), f" / {count}" * (count != 1)
        formula = f"({a.name(place)} - {name})"
        numbers = f"({self.factor(float(a.flat[place]))} - {self.factor(value)})"
        return self.row(row, place, before + formula + behind, before + numbers + behind)

    def deltas(self, stage: Stage) -> list[Row]:
        """delta = dL/dz."""
        delta = self.figures.get(f"delta{stage.number}")
        if delta is None:
            return []
        if stage.da is None or stage.slope is None:
            places = range(delta.flat.size)
            if stage.fused:
                how = f"slope of {self.working.loss.name} and {stage.activation} together"
                return [self.fused(stage, delta, p, how) for p in places]
            return [
                self.row(delta, p, f"da{stage.number} through the slopes of {stage.activation}", "") for p in places
            ]
        z, a = self.figures[f"z{stage.number}"], self.figures[f"a{stage.number}"]
        return [
            self.row(
                delta, p, f"dL/d{a.name(p)} * d{a.name(p)}/d{z.name(p)}",
                self.product(stage.da.reshape(-1)[p], stage.slope.reshape(-1)[p]),
            )
            for p in range(delta.flat.size)
        ]  # fmt: skip

    def fused(self, stage: Stage, delta: Figure, place: int, how: str) -> Row:
        """a - y, where that is what softmax and cross-entropy come to."""
        a, y = self.figures[f"a{stage.number}"], self.figures["y"]
        classes = a.array.shape[-1]
        if y.flat.size == a.flat.size:
            targets, name = y.flat, y.name(place)
        else:  # class numbers
            targets = (y.flat[:, None] == np.arange(classes)).ravel()
            name = f"[{y.name(place // classes)} = {place % classes}]"
        for count in (1, a.flat.size, a.flat.size // classes):
            if np.allclose(delta.flat, (a.flat - targets) / count, rtol=1e-6, atol=1e-12):
                return self.difference(delta, place, a, (name, float(targets[place])), (1.0, count))
        return self.row(delta, place, how, "")

    def by_weights(self, stage: Stage, weight: Weight) -> list[Row]:
        """dL/dw = the sum over the samples of dL/da da/dz dz/dw."""
        figure = self.figures[f"d{weight.name}{stage.number}"]
        return [self.by_weight(stage, weight, figure, place) for place in range(figure.flat.size)]

    def by_weight(self, stage: Stage, weight: Weight, figure: Figure, place: int) -> Row:
        z, source = self.figures[f"z{stage.number}"], self.source[stage.number]
        units = z.array.shape[-1]
        i, unit = divmod(place, units)
        own = self.figures[f"{weight.name}{stage.number}"].name(place)
        factors, values = self.chain(stage)
        formula, numbers = [], []
        for sample in range(z.flat.size // units):
            p = sample * units + unit
            x = float(source.flat[sample * weight.before.shape[0] + i]) if weight.name == "w" else 1.0
            formula.append(f"{factors(p)} * d{z.name(p)}/d{own}")
            numbers.append(self.product(*(value[p] for value in values), x))
        penalty = "", ""
        if weight.penalty is not None:
            penalty = " + slope of the penalty", f" + {self.factor(float(weight.penalty.reshape(-1)[place]))}"
        return self.row(figure, place, self.sum(formula, 2) + penalty[0], self.sum(numbers, 3) + penalty[1])

    def chain(self, stage: Stage) -> tuple[Callable[[int], str], list[Doubles]]:
        """The factors before dz/dw: their names for a place, and their numbers."""
        z, a = self.figures[f"z{stage.number}"], self.figures[f"a{stage.number}"]
        if stage.da is None or stage.slope is None:
            assert stage.dz is not None
            return lambda p: f"dL/d{z.name(p)}", [stage.dz.reshape(-1)]
        return (
            lambda p: f"dL/d{a.name(p)} * d{a.name(p)}/d{z.name(p)}",
            [stage.da.reshape(-1), stage.slope.reshape(-1)],
        )

    # ------------------------------------------------------------------------------------------------ update, after

    def update(self) -> list[Row]:
        return [
            self.updated(stage, weight, place)
            for stage in self.counted
            for weight in stage.weights
            for place in range(weight.before.size)
        ]

    def updated(self, stage: Stage, weight: Weight, place: int) -> Row:
        base = f"{weight.name}{stage.number}"
        old, new = self.figures[base], self.figures[f"{base}_new"]
        before, change = float(old.flat[place]), float(new.flat[place] - old.flat[place])
        if weight.gradient is None:
            return self.row(new, place, f"{old.name(place)}, frozen", self.show(before))
        if self.working.plain:
            gradient = self.figures[f"d{base}"]
            rate, slope = self.show(self.working.rate), self.factor(float(gradient.flat[place]))
            formula = f"{old.name(place)} - rate * {gradient.name(place)}"
            return self.row(new, place, formula, f"{self.show(before)} - {rate} * {slope}")
        step = f"step of {type(self.working.optimizer).__name__}"
        return self.row(new, place, f"{old.name(place)} + {step}", f"{self.show(before)} + {self.factor(change)}")

    def after(self) -> list[Row]:
        a = self.figures[f"a{self.counted[-1].number}_new"]
        rows = [self.row(a, place, "output with the new weights", "") for place in range(a.flat.size)]
        for figure in (self.figures["loss_new"], self.figures["cost_new"]):
            rows += [self.row(figure, place, "with the new weights", "") for place in range(figure.flat.size)]
        return rows
