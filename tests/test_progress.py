"""Progress on a pretended terminal, in a pretended notebook, in a file, and where nobody reads."""

import io
import os
import re
import subprocess
import sys
import types

import numpy as np
import pytest

from fastnn import _progress
from fastnn._progress import Progress, Validation, resolve, say, width_of


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


@pytest.mark.parametrize("verbose", [1, 2])
def test_the_pace_of_an_epoch_that_is_gone_on_with(clock, columns, verbose):
    """10 steps were done before: the 40 since took 2 s, which is 50 ms each."""
    screen = columns(80)
    progress = Progress(verbose, stream=screen, clock=clock)
    progress.begin(3, 50)
    progress.epoch_begin(1, step=10)
    clock.now += 2
    progress.update(50, {"loss": 0.5})
    progress.epoch_end(1, {"loss": 0.5})
    progress.end()
    assert "2s 50ms/step - loss: 0.5000" in screen.shown[1 if verbose == 1 else 0]


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
    assert all(width_of(line) < max(count, 2) for line in screen.shown)
    assert len(screen.lines) == 2 or count < 200
    if count >= 50:  # more than any figure takes
        said = " - ".join(screen.shown)
        assert all(f"{name}: " in said for name in ("loss", "精度", "a_very_long_name_of_a_metric", "val_loss"))


LOGS = {"loss": 0.0912, "accuracy": 0.9407, "top_5": 0.9904}
AFTER = {"accuracy": 0.9407, "loss": 0.0912, "top_5": 0.9904, "val_accuracy": 0.95, "val_loss": 0.07, "val_top_5": 1.0}


def test_80_columns_show_every_figure(clock, columns):
    """What is left of an epoch takes as many lines as it needs; the live line stays one line."""
    screen = columns(80)
    progress = Progress(1, stream=screen, clock=clock)
    progress.begin(2, 438)
    progress.epoch_begin(0)
    for step in (200, 438):
        clock.now += 1
        progress.update(step, LOGS, final=step == 438)
        assert len(screen.lines) == 2
    progress.epoch_end(0, AFTER)
    progress.end()
    assert screen.shown == [
        "Epoch 1/2",
        "438/438 - 2s 5ms/step - loss: 0.0912 - accuracy: 0.9407 - top_5: 0.9904",
        "  val_loss: 0.0700 - val_accuracy: 0.9500 - val_top_5: 1.0000",
        "",
    ]
    assert not screen.wrapped


def test_a_live_line_leaves_out_whole_figures(clock, columns):
    screen = columns(60)
    progress = Progress(1, stream=screen, clock=clock)
    progress.begin(1, 438)
    progress.epoch_begin(0)
    clock.now += 1
    progress.update(219, LOGS)
    assert screen.shown[-1] == "219/438 - ETA 1s - loss: 0.0912 - accuracy: 0.9407 - ..."
    progress.end()


@pytest.mark.parametrize("verbose", [1, 2])
def test_figures_keep_their_order(clock, columns, verbose):
    """Callbacks get the logs sorted by name; what is shown is the loss first, then the metrics as compile has them."""
    screen = columns(200)
    progress = Progress(verbose, stream=screen, clock=clock)
    progress.begin(1, 4)
    progress.epoch_begin(0)
    clock.now += 1
    progress.update(4, {"loss": 1.0, "zeta": 2.0, "alpha": 3.0})
    progress.epoch_end(0, {"alpha": 3, "loss": 1, "lr": 0.1, "val_alpha": 3, "val_loss": 1, "val_zeta": 2, "zeta": 2})
    progress.end()
    names = ["loss", "zeta", "alpha", "lr", "val_loss", "val_zeta", "val_alpha"]
    assert [part.partition(":")[0] for part in screen.shown[0].split(" - ")][-7:] == names
    if verbose == 1:
        live = next(text for text in screen.written if text.startswith("\r"))
        assert [part.partition(":")[0] for part in live.split(" - ")][-3:] == names[:3]


def test_validation_is_seen(clock, columns):
    screen = columns(80)
    progress = Progress(1, stream=screen, clock=clock)
    progress.begin(1, 4)
    progress.epoch_begin(0)
    clock.now += 1
    progress.update(4, {"loss": 1.0}, final=True)
    validation = Validation(progress)
    validation.begin(None, 50)
    validation.epoch_begin(0)
    clock.now += 1
    validation.update(20, {"loss": 5.0})
    assert screen.shown[-1] == "4/4 [========================] - validating 20/50 - loss: 1.0000"
    validation.end()
    progress.epoch_end(0, {"loss": 1.0, "val_loss": 5.0})
    progress.end()
    assert "validating" not in screen.shown[0] and "val_loss: 5.0000" in screen.shown[0]


def test_a_long_evaluation_has_a_line_every_ten_seconds(clock):
    screen = Screen(tty=False)
    progress = Progress("auto", "evaluate", stream=screen, clock=clock)
    progress.verbose = 2
    progress.begin(None, 100)
    progress.epoch_begin(0)
    for step in range(1, 101):
        clock.now += 0.25
        progress.update(step, {"loss": 0.5})
    progress.epoch_end(0, {"loss": 0.5})
    progress.end()
    assert screen.shown == [
        "evaluate  40/100 - ETA 15s - loss: 0.5000",
        "evaluate  80/100 - ETA 5s - loss: 0.5000",
        "evaluate - 25s 250ms/step - loss: 0.5000",
        "",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_a_real_terminal_of_80_columns():
    import fcntl
    import pty
    import struct
    import termios

    code = """
import numpy as np
import fastnn
x, y = np.ones((40, 3), "float32"), np.arange(40) % 2
model = fastnn.Sequential([fastnn.Dense(2, "softmax")], seed=0)
model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", "sparse_top_k_categorical_accuracy"])
model.fit(x, y, epochs=2, batch_size=4, validation_split=0.5)
model.predict(x)
model.evaluate(x, y)
"""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=other, stdin=other, env=environment)
    os.close(other)
    screen = Screen(80)
    try:
        while data := os.read(main, 65536):
            screen.write(data.decode().replace("\r\n", "\n"))
    except OSError:  # on Linux the end of what a terminal shows
        pass
    os.close(main)
    assert process.wait() == 0
    assert not screen.wrapped
    lines = [line for line in screen.shown if line]
    assert [line.split()[0] for line in lines] == [
        *2 * ["Epoch", "5/5", "sparse_top_k_categorical_accuracy:", "val_accuracy:"], "predict", "evaluate",
        "sparse_top_k_categorical_accuracy:",
    ]  # fmt: skip
    assert "val_loss: " in lines[2] and "val_sparse_top_k_categorical_accuracy: 1.0000" in lines[3]


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


class Handle:
    """What IPython's display returns. `states` is what each message carried, as HTML and as text."""

    def __init__(self, error=None):
        self.states, self.objects, self.error = [], [], error

    def display(self, shown, display_id):
        assert display_id is True
        self.objects.append(shown)
        self.update(shown)
        return self

    def update(self, shown):
        if self.error is not None:
            raise self.error
        self.states.append((shown._repr_html_(), repr(shown)))


@pytest.fixture
def notebook(monkeypatch):
    def pretend(**options):
        handle = Handle(**options)
        shell = types.SimpleNamespace(kernel=object())
        module = types.SimpleNamespace(get_ipython=lambda: shell, display=types.SimpleNamespace(display=handle.display))
        monkeypatch.setitem(sys.modules, "IPython", module)
        return handle

    return pretend


def test_a_notebook_has_one_output(clock, notebook):
    """A table that is updated in place: what is saved of it is the last state."""
    handle = notebook()
    assert _progress.in_notebook() and resolve("auto") == 1
    screen = Screen(tty=False)
    run(Progress(stream=screen, clock=clock), clock, seconds=0.2)
    assert screen.written == [] and len(handle.objects) == 1
    html, text = handle.states[-1]
    assert text == (
        "Epoch 1/2 - 2s 200ms/step - loss: 0.1250 - val_loss: 0.5000\n"
        "Epoch 2/2 - 2s 200ms/step - loss: 0.1250 - val_loss: 0.5000"
    )
    assert re.findall("<th>(.*?)</th>", html) == ["Epoch", "time", "loss", "val_loss"]
    assert re.findall("<td>(.*?)</td>", html)[-4:] == ["2/2", "2s 200ms/step", "0.1250", "0.5000"]
    assert "<progress" not in html
    html, text = handle.states[2]
    assert '<progress value="3" max="8"></progress> 3/8' in html
    assert text == "Epoch 1/2 - ETA 1s - loss: 0.3333 (3/8)"


def test_a_notebook_is_not_flooded(clock, notebook):
    handle = notebook()
    run(Progress(clock=clock), clock, epochs=1000, steps=2, seconds=0.0005)
    assert len(handle.states) <= 12  # of one second
    lines = handle.states[-1][1].splitlines()
    assert lines[0] == "980 epochs before these" and len(lines) == 21
    assert lines[-1].startswith("Epoch 1000/1000 - ") and lines[-1].endswith("val_loss: 0.5000")


def test_a_notebook_after_an_error(clock, notebook):
    handle = notebook()
    progress = Progress(label="evaluate", clock=clock)
    progress.begin(None, None)
    progress.epoch_begin(0)
    clock.now += 1
    progress.update(3, {"<b>": 0.5})
    progress.end()
    assert "<progress>" in handle.states[0][0] and "<progress" not in handle.states[-1][0]
    assert "<b>" not in handle.states[-1][0].replace("<tbody>", "")
    assert handle.states[-1][1] == "evaluate - 1s - <b>: 0.5000"
    progress.end()
    assert len(handle.states) == 2


def test_a_front_end_that_fails_ends_nothing(clock, notebook):
    handle = notebook(error=RuntimeError("no front end"))
    screen = Screen(tty=False)
    run(Progress(stream=screen, clock=clock), clock, seconds=0.2)
    assert handle.states == [] and screen.written == []


def test_ipython_without_a_kernel_is_a_terminal(monkeypatch):
    for shell in (None, types.SimpleNamespace()):
        monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert not _progress.in_notebook()


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
