"""The table of a model's layers."""

from typing import Any


def described(model: Any, nested: bool = False, trainable: bool = False) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the table: a row a layer."""
    rows = []
    shape = model._input

    def describe(layer: Any, shape: Any, indent: str) -> Any:
        made = layer._output_of(shape) if shape is not None else None
        count = f"{layer.count_params():,}" if layer.built else "0 (not built)"
        text = "?" if made is None else str((None, *made))
        row = [f"{indent}{layer.name} ({type(getattr(layer, 'model', layer)).__name__})", text, count]
        rows.append(row + [("yes" if layer.trainable else "no") if layer.weights else "-"] * trainable)
        if nested:
            for inner in layer._layers:
                describe(inner, inner._input_shape, indent + "  ")
        return made

    for layer in model._stack:
        shape = describe(layer, shape, "")
    return ["Layer (type)", "Output shape", "Param #"] + ["Trainable"] * trainable, rows


def totals(model: Any) -> list[str]:
    """What is counted below the table: nothing before the shapes are known."""
    if not model.built:
        return []
    learn = sum(w.size for w in model.trainable_weights)
    size = model.count_params()
    counts = {"Total": size, "Trainable": learn, "Non-trainable": size - learn}
    each = model._dtype.itemsize
    return [f"{what} params: {n:,} ({n * each / 1024:,.2f} KB)" for what, n in counts.items()]


def summary(model: Any, line_length: int | None, nested: bool, trainable: bool) -> str:
    """The text that Sequential.summary prints."""
    heads, rows = described(model, nested, trainable)
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    if line_length is not None:
        widths[0] = max(len(heads[0]), line_length - sum(widths[1:]) - 2 * (len(heads) - 1))
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [heads, *rows]
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([f'Model: "{model.name}"', rule, lines[0], rule, *lines[1:], rule, *totals(model)])
