"""The README's examples, run as they are."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import EXAMPLES
from served import served

from dogsort.cli.main import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines() if line]


#: The examples in the help; another test trains, and the README's bench is enough.
HELP = [
    line.strip()
    for name, command in {"": cli.default, **cli.commands}.items()
    for line in str(command.epilog).splitlines()
    if name not in ("bench", "train")
]
LINES = [line for line in COMMANDS if " train " not in line] + HELP


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, marks=[pytest.mark.slow] if " bench " in line else [])
        for line in LINES
        if line.startswith("dogsort ")
    ],
)
def test_commands(dogsort, place, line):
    words = shlex.split(line, comments=True)[1:]
    if words[0] in ("undo", "history"):
        dogsort("photos", "--move")
    if words[0] == "file":
        dogsort("photos", "-o", words[1])
    if words[0] == "review":  # which goes on until somebody ends it
        if words[1].endswith(".csv"):
            dogsort("photos", "-o", words[1])
        with served(*words[1:]) as page:
            assert page.interrupt() == 0
        return
    run = dogsort(*words)
    assert run.returncode == 0, run.stderr.decode()


def test_there_are_commands():
    assert sum(line.startswith("dogsort ") for line in COMMANDS) >= 5
    assert sum(line.startswith("python3 -m venv") for line in COMMANDS) >= 2


def test_sample_output_is_what_comes_out(dogsort):
    (sample,) = blocks("csv")
    run = dogsort("examples/photos", cwd=ROOT)
    shown, real = sample.splitlines(), run.stdout.decode().splitlines()
    assert len(shown) == len(real)
    for expected, line in zip(shown, real, strict=True):
        # Engines and versions may differ in the last digits.
        assert expected.split(",")[:2] == line.split(",")[:2]


@pytest.mark.parametrize("code", blocks("python"))
def test_python(place, code):
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_example_script():
    script = ROOT / "examples" / "album_report.py"
    run = subprocess.run([sys.executable, script, EXAMPLES], capture_output=True, check=True)
    assert "1 dog" in run.stdout.decode()
    assert "2 cat" in run.stdout.decode()
