"""The README's examples, run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import EXAMPLES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines() if line]


@pytest.mark.parametrize(
    "line", [line for line in COMMANDS if line.startswith("dogsort ") and " train " not in line]
)
def test_commands(place, line):
    if line.startswith(("dogsort undo", "dogsort history")):
        subprocess.run([sys.executable, "-m", "dogsort", "photos", "--move"], check=True)
    if line.startswith("dogsort file"):
        subprocess.run([sys.executable, "-m", "dogsort", "photos", "-o", "predictions.csv"], check=True)
    command = line.split("  #")[0].replace("dogsort ", f"'{sys.executable}' -m dogsort ", 1)
    run = subprocess.run(command, shell=True, capture_output=True, check=False)  # noqa: S602
    assert run.returncode == 0, run.stderr.decode()


def test_there_are_commands():
    assert sum(line.startswith("dogsort ") for line in COMMANDS) >= 5
    assert sum(line.startswith("python3 -m venv") for line in COMMANDS) >= 2


def test_sample_output_is_what_comes_out(place):
    (sample,) = blocks("csv")
    run = subprocess.run(
        [sys.executable, "-m", "dogsort", "examples/photos"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    shown, real = sample.splitlines(), run.stdout.decode().splitlines()
    assert len(shown) == len(real)
    for expected, line in zip(shown, real, strict=True):
        # Engines and their versions may differ in the last digits.
        assert expected.split(",")[:2] == line.split(",")[:2]


@pytest.mark.parametrize("code", blocks("python"))
def test_python(place, code):
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_example_script():
    script = ROOT / "examples" / "album_report.py"
    run = subprocess.run([sys.executable, script, EXAMPLES], capture_output=True, check=True)
    assert "1 dog" in run.stdout.decode()
    assert "2 cat" in run.stdout.decode()
