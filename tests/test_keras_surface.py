"""docs/keras-surface.md names nothing that fastnn lacks, and is what its script writes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from optional import optional

import fastnn

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "keras-surface.md"
SCRIPT = ROOT / "scripts" / "keras_surface.py"
if not (PAGE.exists() and SCRIPT.exists()):
    pytest.skip("the documentation is not here", allow_module_level=True)

TEXT = PAGE.read_text(encoding="utf-8")


def names(section, kind):
    """What a section lists as the same, different, absent or fastnn's own."""
    found = re.search(rf"^\*\*{kind}:\*\*(.*?)(?=^\*\*|\Z)", section, re.MULTILINE | re.DOTALL)
    text = (found[1] if found else "").partition("Of these")[0]
    return re.findall(r"^- `(\w+)`:" if kind == "Different" else r"`(\w+)`", text, re.MULTILINE)


def holder_of(title):
    held = fastnn
    for part in title.removeprefix("fastnn.").split("."):
        held = getattr(held, part)
    return held


PARTS = re.split(r"^## (fastnn\.\S+)$", TEXT, flags=re.MULTILINE)[1:]
SECTIONS = dict(zip(PARTS[::2], PARTS[1::2], strict=True))


def test_it_has_the_sections():
    assert {"fastnn.Sequential", "fastnn.layers", "fastnn.losses", "fastnn.callbacks", "fastnn.models"} <= set(SECTIONS)
    assert sum(len(names(section, "Same")) for section in SECTIONS.values()) > 250
    assert "fit" in names(SECTIONS["fastnn.Sequential"], "Different")
    assert "Conv2D" in re.findall(r"`(\w+)`", SECTIONS["fastnn.layers"])


@pytest.mark.parametrize("title", SECTIONS)
def test_it_names_nothing_that_fastnn_lacks(title):
    held, section = holder_of(title), SECTIONS[title]
    for kind in ("Same", "Different", "fastnn's own"):
        for name in names(section, kind):
            assert hasattr(held, name), f"{title} has no {name}, which docs/keras-surface.md lists under {kind}"


@pytest.mark.parametrize("title", SECTIONS)
def test_what_is_absent_is_absent(title):
    held, section = holder_of(title), SECTIONS[title]
    absent = section.partition("**Absent:**")[2].partition("**fastnn's own")[0]
    for line in re.split(r"^- ", absent, flags=re.MULTILINE)[1:]:
        for name in re.findall(r"`(\w+)`", line):
            assert not hasattr(held, name), f"{title}.{name} is there, and docs/keras-surface.md says that it is not"


def test_it_is_what_the_script_writes():
    keras = optional("keras", minversion="3.0")
    version = ".".join(keras.__version__.split(".")[:2])
    if f"from Keras {version}," not in TEXT:
        pytest.skip(f"the page is of another Keras than {version}")
    environment = {**os.environ, "PYTHONPATH": str(Path(fastnn.__file__).parents[1])}
    command = [sys.executable, str(SCRIPT), "--check"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
