"""What notebooks show: tables of models and of training, with nothing in them that a page would run."""

import re
from html.parser import HTMLParser

import numpy as np

import fastnn
from fastnn import layers
from fastnn.callbacks import History


class Table(HTMLParser):
    """The texts of a table's rows, and every tag that it opens."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.open = set(), [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.open.append(tag)
        assert [name for name, _ in attributes] in ([], ["colspan"])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


HARMLESS = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"}


def test_a_model_is_shown_as_summary_has_it():
    model = fastnn.Sequential([layers.Input((1000,)), layers.Dense(8, name="first"), layers.BatchNormalization()])
    found = Table(model._repr_html_())
    text = []
    model.summary(print_fn=text.append)
    assert found.rows[0] == ["Layer (type)", "Output shape", "Param #"]
    assert found.rows[1] == ["first (Dense)", "(None, 8)", "8,008"]
    assert found.rows[3:] == [[line] for line in text[0].splitlines()[-3:]]
    assert f"Total params: {model.count_params():,}" in found.rows[3][0]


def test_a_model_without_shapes_is_shown_too():
    assert Table(fastnn.Sequential([layers.Dense(2, name="d")])._repr_html_()).rows[1:] == [
        ["d (Dense)", "?", "0 (not built)"]
    ]
    assert len(Table(fastnn.Sequential()._repr_html_()).rows) == 1


def test_names_are_escaped():
    bad = '<script>alert("1")</script>&'
    shown = fastnn.Sequential([layers.Dense(2, name=bad)], name=bad)._repr_html_()
    assert "<script" not in shown and "alert(&quot;1&quot;)" in shown
    found = Table(shown)
    assert found.tags <= HARMLESS and found.rows[1][0] == f"{bad} (Dense)"


def test_a_history_is_shown():
    x = np.arange(8.0)[:, None]
    model = fastnn.Sequential([layers.Dense(1)], seed=1)
    model.compile("sgd", "mse", metrics=["mae"])
    history = model.fit(x, x, epochs=3, verbose=0)
    found = Table(history._repr_html_())
    assert found.rows[0] == ["epoch", "loss", "mae"] and found.tags <= HARMLESS
    assert [row[0] for row in found.rows[1:]] == ["1", "2", "3"]
    np.testing.assert_allclose([float(row[1]) for row in found.rows[1:]], history.history["loss"], rtol=1e-5)


def test_a_long_history_is_cut():
    history = History()
    history.on_train_begin()
    for epoch in range(30):
        history.on_epoch_end(
            epoch,
            {"loss": float(epoch), "<b>": np.float32(0.5)}
            | ({"late": 1.0, "what": "<i>"} if epoch else {"what": None}),
        )
    shown = history._repr_html_()
    found = Table(shown)
    assert (
        found.rows[0] == ["epoch", "loss", "<b>", "what", "late"]
        and found.tags <= HARMLESS
        and not re.search("<b>", shown)
    )
    assert [row[0] for row in found.rows[1:-1]] == [str(n) for n in range(11, 31)]
    assert found.rows[-2] == ["30", "29", "0.5", "<i>", ""] and found.rows[-1] == ["10 epochs before these"]
    assert len(Table(History()._repr_html_()).rows) == 1
