"""Tables as text, Markdown, LaTeX and HTML."""

import html
import re
from collections.abc import Sequence

from fastnn._explain._tables import Section

HEADS = ("figure", "is", "in numbers", "value")
LEGEND = "`dw1[0,1]` is `dL/dw1[0,1]`, the derivative of the cost L; `delta` is `dL/dz`. Indexes count from 0."

# A quantity, such as w1_new[0,1], a derivative, such as dL/dw1[0,1], and what is neither.
_QUANTITY = r"[A-Za-z]\w*(?:\[[\d,]+\])?"
_DERIVATIVE = re.compile(rf"\bd({_QUANTITY})/d({_QUANTITY})")
_KNOWN = re.compile(r"\b(delta|d[xawb]|[xyzawbL]|loss|cost)(\d*)(_new)?(?:\[([\d,]+)\])?(?![\w(])")
_WORDS = re.compile(r"(?:(?<=\x00) )?[A-Za-z][A-Za-z_]*\d*(?:,? +[A-Za-z][A-Za-z_]*\d*)*(?: (?=\x00))?")


def text(head: str, sections: Sequence[Section]) -> str:
    """Columns of plain text."""
    lines = [head, LEGEND.replace("`", "")]
    for section in sections:
        widths = [max(len(row[i]) for row in section.rows) for i in range(3)]
        lines += ["", section.title, "-" * len(section.title)]
        for row in section.rows:
            cells = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)]
            lines.append("  ".join([*cells, row.value]).rstrip())
    return "\n".join(lines)


def markdown(head: str, sections: Sequence[Section]) -> str:
    """Tables of Markdown."""
    parts = [f"{head}\n\n{LEGEND}"]
    for section in sections:
        lines = [f"### {section.title}", "", f"| {' | '.join(HEADS)} |", "|---|---|---|---:|"]
        lines += [f"| {' | '.join(_code(cell) for cell in row)} |" for row in section.rows]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _code(cell: str) -> str:
    return f"`{cell}`" if cell else ""


def latex(head: str, sections: Sequence[Section]) -> str:
    """An array for each section, in mathematics on lines of its own."""
    parts = [_words(head)]
    for section in sections:
        rows = [" & ".join(_mathematics(cell) for cell in _equation(row)) for row in section.rows]
        body = " \\\\\n".join(rows)
        parts.append(f"\\textbf{{{_words(section.title)}}}\n\\[\n\\begin{{array}}{{llll}}\n{body}\n\\end{{array}}\n\\]")
    return "\n\n".join(parts) + "\n"


def _equation(row: Sequence[str]) -> list[str]:
    """name = formula = numbers = value, without what is empty or says the same again."""
    name, formula, numbers, value = row
    return [name, f"= {formula}", f"= {numbers}" if numbers and numbers != value else "", f"= {value}"]


def _words(words: str) -> str:
    return re.sub(r"([_&%#$])", r"\\\1", words)


def _symbol(match: "re.Match[str]") -> str:
    """A quantity: z1[0] is z with the layer above and the unit below."""
    kind, layer, new, index = match.groups()
    derivative = kind.startswith("d") and kind != "delta"
    letter = kind[1:] if derivative else {"delta": r"\delta", "loss": r"\ell", "cost": "L"}.get(kind, kind)
    above = f"({layer})" if layer else ""
    marks = f"^{{{above}}}" if above else ""
    below = f"_{{{index}}}" if index else ""
    prime = r"\mathrm{new}"
    if new:
        below = f"_{{{index},{prime}}}" if index else f"_{{{prime}}}"
    symbol = f"{letter}{marks}{below}"
    return rf"\frac{{\partial L}}{{\partial {symbol}}}" if derivative else symbol


def _fraction(match: "re.Match[str]") -> str:
    above, below = (_KNOWN.sub(_symbol, part) for part in match.groups())
    return rf"\frac{{\partial {above}}}{{\partial {below}}}"


def _mathematics(cell: str) -> str:
    """A formula as LaTeX. Derivatives first, then symbols; what is left of words is set upright."""
    found: list[str] = []

    def keep(latex: str) -> str:
        found.append(latex)
        return f"\x00{len(found) - 1}\x00"

    cell = _DERIVATIVE.sub(lambda match: keep(_fraction(match)), cell)
    cell = _KNOWN.sub(lambda match: keep(_symbol(match)), cell)
    cell = re.sub(r"-?\d[\d.]*e([+-]\d+)", lambda match: keep(_power(match[0])), cell)
    cell = _WORDS.sub(lambda match: keep(_upright(match[0])), cell)
    cell = cell.replace(" * ", r" \cdot ").replace("...", r"\dots")
    return re.sub("\x00(\\d+)\x00", lambda match: found[int(match[1])], cell)


def _upright(words: str) -> str:
    return rf"\text{{{_words(words)}}}"


def _power(number: str) -> str:
    mantissa, _, exponent = number.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"


def as_html(head: str, sections: Sequence[Section]) -> str:
    """Tables of HTML."""
    legend = re.sub("`(.*?)`", r"<code>\1</code>", html.escape(LEGEND))
    parts = [f"<p>{html.escape(head)}</p>", f"<p>{legend}</p>"]
    for section in sections:
        heads = "".join(f"<th>{cell}</th>" for cell in HEADS)
        rows = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in section.rows)
        parts.append(
            f"<h4>{html.escape(section.title)}</h4>\n<table>\n<thead><tr>{heads}</tr></thead>\n"
            f"<tbody>\n{rows}\n</tbody>\n</table>"
        )
    return '<div class="fastnn-explanation">\n' + "\n".join(parts) + "\n</div>\n"


def _cell(cell: str) -> str:
    return f"<td><code>{html.escape(cell).replace(' * ', ' &middot; ')}</code></td>" if cell else "<td></td>"
