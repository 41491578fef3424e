"""Progress on a pretended terminal, in a pretended notebook, in a file, and where nobody reads."""

import io
import os
import subprocess
import sys
import types

import numpy as np
import pytest

from fastnn import _progress
from fastnn._progress import Progress, resolve, say, width_of


class Screen(io.StringIO):
    """A terminal of so many columns: what stands on it, and whether a line ever wrapped."""

    def __init__(self, columns=80, tty=True):
        super().__init__()
        self.columns, self.tty = columns, tty
        self.lines, self.place, self.wrapped, self.written = [""], 0, False, []

    def isatty(self):
        return self.tty

    def write(self, text):
        self.written.append(text)
        for c in text:
            if c == "\r":
                self.place = 0
            elif c == "\n":
                self.lines.append("")
                self.place = 0
            else:
                line = self.lines[-1].ljust(self.place)
                self.lines[-1] = line[: self.place] + c + line[self.place + 1 :]
                self.place += 1
                self.wrapped |= width_of(self.lines[-1].rstrip() if c == " " else self.lines[-1]) > self.columns
        return len(text)

    @property
    def shown(self):
        return [line.rstrip() for line in self.lines]


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def columns(monkeypatch):
    def set_columns(count):
        monkeypatch.setenv("COLUMNS", str(count))
        return Screen(count)

    return set_columns


def run(progress, clock, epochs=2, steps=8, seconds=0.05, known=True, logs=None):
    progress.begin(epochs, steps if known else None)
    for epoch in range(epochs):
        progress.epoch_begin(epoch)
        for step in range(1, steps + 1):
            clock.now += seconds
            progress.update(step, logs or {"loss": 1 / step})
        progress.epoch_end(epoch, {**(logs or {"loss": 1 / steps}), "val_loss": 0.5})
    progress.end()


def test_a_terminal(clock, columns):
    screen = columns(80)
    run(Progress(1, stream=screen, clock=clock), clock)
    assert screen.shown == [
        "Epoch 1/2",
        "8/8 [========================] - 0s 50ms/step - loss: 0.1250 - val_loss: 0.5000",
        "Epoch 2/2",
        "8/8 [========================] - 0s 50ms/step - loss: 0.1250 - val_loss: 0.5000",
        "",
    ]
    assert not screen.wrapped
    drawn = [text for text in screen.written if text.startswith("\r")]
    assert drawn[0].strip() == "1/8 [===>....................] - ETA 0s - loss: 1.0000"


def test_the_estimate(clock, columns):
    screen = columns(80)
    progress = Progress(1, stream=screen, clock=clock)
    progress.begin(3, 10000)
    progress.epoch_begin(1)
    for step, seconds in ((1000, 10), (2000, 10), (2500, 5)):
        clock.now += seconds
        progress.update(step, {"loss": 0.3})
    progress.end()
    texts = [text.strip() for text in screen.written if text.startswith("\r")]
    assert [text.split(" - ")[1] for text in texts] == ["ETA 1:30", "ETA 1:20", "ETA 1:15"]
    assert texts[0].startswith("1000/10000 [==>.....................] - ")
    # An epoch that is gone on with: only what is done now tells how fast it is
    screen.written.clear()
    progress.begin(3, 100)
    progress.epoch_begin(1, step=90)
    clock.now += 5
    progress.update(95)
    progress.end()
    assert "ETA 5s" in "".join(screen.written)


def test_at_most_ten_updates_in_a_second(clock, columns):
    screen = columns(80)
    progress = Progress(1, stream=screen, clock=clock)
    progress.begin(1, 100_000)
    progress.epoch_begin(0)
    for step in range(100_000):
        clock.now += 1e-4
        progress.update(step, {"loss": 1.0})
    count = sum(text.startswith("\r") for text in screen.written)
    assert 90 <= count <= 101
    progress.update(100_000, {"loss": 1.0}, final=True)
    assert sum(text.startswith("\r") for text in screen.written) == count + 1
    progress.end()


@pytest.mark.parametrize("count", [1, 5, 8, 20, 30, 50, 79, 80, 200])
def test_narrow_terminals_do_not_wrap(clock, columns, count):
    screen = columns(count)
    logs = {"loss": 0.1, "精度": 0.5, "a_very_long_name_of_a_metric": 123456.0, "e\u0301": 1.0, "new\nline\x1b[2J": 2.0}
    run(Progress(1, stream=screen, clock=clock), clock, epochs=1, seconds=0.2, logs=logs)
    assert not screen.wrapped and "\x1b" not in "".join(screen.written)
    assert len(screen.lines) == 2
    assert width_of(screen.shown[0]) < max(count, 2)


def test_a_shorter_line_wipes_the_longer(clock, columns):
    screen = columns(100)
    progress = Progress(1, stream=screen, clock=clock)
    progress.begin(1, 10)
    progress.epoch_begin(0)
    progress.update(1, {"loss": 0.5, "long_name": 1.0})
    clock.now += 1
    progress.update(2, {"loss": 0.5})
    assert screen.shown[-1].endswith("loss: 0.5000")
    progress.end()


def test_unknown_length_is_learned(clock, columns):
    screen = columns(80)
    run(Progress(1, stream=screen, clock=clock), clock, seconds=0.2, known=False)
    texts = [text.strip() for text in screen.written if text.startswith("\r")]
    assert texts[0] == "1/? - 0s - loss: 1.0000"
    assert any(text.startswith("1/8 [") for text in texts[9:])


@pytest.mark.parametrize("verbose, tty", [(1, False), (2, False), (2, True), ("auto", False)])
def test_a_line_an_epoch(clock, verbose, tty, monkeypatch):
    screen = Screen(tty=tty)
    monkeypatch.setattr(sys, "stdout", screen)
    run(Progress(verbose, clock=clock), clock, seconds=2.0)
    assert screen.shown == [
        "Epoch 1/2 - 16s 2s/step - loss: 0.1250 - val_loss: 0.5000",
        "Epoch 2/2 - 16s 2s/step - loss: 0.1250 - val_loss: 0.5000",
        "",
    ]
    assert len(screen.written) == 2


def test_an_evaluation(clock, columns):
    screen = columns(80)
    run(Progress(1, stream=screen, clock=clock), clock, epochs=1)
    assert screen.shown[0].startswith("8/8 [====")  # no heading over a single epoch
    screen = columns(80)
    run(Progress(1, "evaluate", stream=screen, clock=clock), clock, epochs=1)
    assert screen.shown[0].startswith("evaluate 8/8 [====")
    screen = columns(80)
    run(Progress(2, "evaluate", stream=screen, clock=clock), clock, epochs=1)
    assert screen.shown[0].startswith("evaluate - 0s 50ms/step - loss")


def test_nothing(clock, columns):
    screen = columns(80)
    run(Progress(0, stream=screen, clock=clock), clock)
    assert screen.written == []


def test_resolve(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Screen(tty=True))
    assert resolve("auto") == 1
    monkeypatch.setattr(sys, "stdout", Screen(tty=False))
    assert resolve("auto") == 2
    monkeypatch.setattr(sys, "stdout", None)
    assert resolve("auto") == 2
    assert [resolve(v) for v in (0, 1, 2, True, False, np.int64(2))] == [0, 1, 2, 1, 0, 2]
    for wrong in (3, -1, "loud", None, 1.0):
        with pytest.raises(ValueError, match="verbose: expected 'auto', 0"):
            resolve(wrong)


class Broken(Screen):
    def __init__(self, error, after):
        super().__init__()
        self.error, self.after = error, after

    def write(self, text):
        self.after -= 1
        if self.after < 0:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file"), OSError("gone")])
def test_broken_output_ends_nothing(clock, verbose, error, monkeypatch):
    for after in range(5):
        stream = Broken(error, after)
        run(Progress(verbose, stream=stream, clock=clock), clock, seconds=0.2)
        assert Progress._live is None
        monkeypatch.setattr(sys, "stdout", Broken(error, 0))
        say("not heard")
    closed = Screen()
    closed.close()
    monkeypatch.setattr(sys, "stdout", None)
    run(Progress(verbose, clock=clock), clock)


def test_closed_output(clock):
    stream = io.StringIO()
    stream.close()
    run(Progress(1, stream=stream, clock=clock), clock)


def test_a_pipe_whose_reader_goes():
    code = """
import sys
from fastnn._progress import Progress
p = Progress(2)
p.begin(100000, 1)
for epoch in range(100000):
    p.epoch_begin(epoch)
    p.epoch_end(epoch, {"loss": 1.0})
    if p._mode == "nothing":
        break
p.end()
print("went on after", epoch, file=sys.stderr)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert "went on after" in errors and "Traceback" not in errors


def test_names_that_the_encoding_has_not(clock):
    class Ascii(Screen):
        encoding = "ascii"

        def write(self, text):
            text.encode("ascii")
            return super().write(text)

    stream = Ascii()
    run(Progress(2, stream=stream, clock=clock), clock, epochs=1, logs={"précision": 0.5})
    assert "pr?cision: 0.5000" in stream.shown[0]


def test_messages_stand_on_lines_of_their_own(clock, columns, monkeypatch):
    screen = columns(80)
    monkeypatch.setattr(sys, "stdout", screen)
    progress = Progress(1, clock=clock)
    progress.begin(1, 4)
    progress.epoch_begin(0)
    progress.update(2, {"loss": 0.5})
    say("a message")
    progress.update(4, {"loss": 0.25}, final=True)
    progress.end()
    say("another")
    assert [line.partition(" ")[0] for line in screen.shown] == ["2/4", "a", "4/4", "another", ""]


def test_an_error_leaves_no_half_line(clock, columns):
    screen = columns(80)
    progress = Progress(1, stream=screen, clock=clock)
    progress.begin(2, 4)
    progress.epoch_begin(0)
    progress.update(2)
    progress.end()
    assert screen.shown[-1] == "" and Progress._live is None
    progress.end()
    assert len(screen.lines) == 3


def test_notebooks(clock, columns, monkeypatch):
    class ZMQInteractiveShell:
        pass

    class Bar:
        made = []

        def __init__(self, **options):
            self.options, self.n, self.texts, self.closed, self.drawn = options, 0, [], False, []
            Bar.made.append(self)

        def set_postfix_str(self, text, refresh):
            self.texts.append(text)

        def refresh(self):
            self.drawn.append(self.n)

        def close(self):
            self.closed = True

    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=ZMQInteractiveShell))
    assert _progress.in_notebook() and resolve("auto") == 1
    auto = types.ModuleType("tqdm.auto")
    auto.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    screen = Screen(tty=False)
    run(Progress(stream=screen, clock=clock), clock, seconds=0.2)
    assert screen.written == [] and [bar.options["desc"] for bar in Bar.made] == ["Epoch 1/2", "Epoch 2/2"]
    assert all(bar.closed and bar.options["total"] == 8 and bar.drawn[-1] == 8 for bar in Bar.made)
    assert Bar.made[0].texts[-1] == "loss: 0.1250, val_loss: 0.5000"
    # Without tqdm, and where its bar cannot be made, a live line
    for missing in (None, types.ModuleType("tqdm.auto")):
        monkeypatch.setitem(sys.modules, "tqdm.auto", missing)
        if missing is not None:
            missing.tqdm = lambda **options: (_ for _ in ()).throw(ImportError("no widgets"))
        screen = columns(80)
        screen.tty = False
        run(Progress(stream=screen, clock=clock), clock, seconds=0.2)
        assert screen.shown[-2].startswith("8/8 [====")


@pytest.mark.parametrize(
    "value, text",
    [(0.30512, "0.3051"), (0, "0.0000"), (1e-5, "1.0000e-05"), (-2.5, "-2.5000"), (float("nan"), "nan"),
     (float("inf"), "inf"), (np.array([1.0, 2.0]), "1.5000"), ("text", "text"), (None, "None")],
)  # fmt: skip
def test_figures(value, text):
    assert _progress.figure(value) == text


def test_times():
    assert [_progress.duration(s) for s in (0, 59.4, 60, 127, 3727, -1)] == [
        "0s",
        "59s",
        "1:00",
        "2:07",
        "1:02:07",
        "0s",
    ]
    assert [_progress.pace(s) for s in (2, 0.05, 3e-6)] == ["2s/step", "50ms/step", "3us/step"]
