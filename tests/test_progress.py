"""Progress on a terminal: it leaves nothing on the screen, and does not mix with messages."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import EXAMPLES

pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")

#: The command, changed to draw a bar at once.
HASTY = (
    "import dogsort.cli.console as c; c.BAR_DELAY = 0; from dogsort.__main__ import main; main()"
)

BAR = re.compile(rb"\d photos?[ ,/]|photos/s|files/s|steps/s")


def screen(text: str, columns: int) -> list[str]:
    """Return what a terminal shows at the end, without spaces at the ends of lines."""
    lines, row, column = [[" "] * columns], 0, 0
    for escape, number, letter, char in re.findall(r"(\x1b\[([\d;?]*)([A-Za-z]))|(.)", text, re.S):
        if escape:
            assert letter in "AKm", f"what is {escape!r}?"
            if letter == "A":
                row = max(row - int(number or 1), 0)
            if letter == "K":
                lines[row][column:] = [" "] * (columns - column)
        elif char == "\r":
            column = 0
        elif char == "\n":
            row += 1
        else:
            assert char.isprintable()
            if column == columns:
                row, column = row + 1, 0
            lines += [[" "] * columns for _ in range(len(lines), row + 1)]
            lines[row][column] = char
            column += 1
        lines += [[" "] * columns for _ in range(len(lines), row + 1)]
    shown = ["".join(line).rstrip() for line in lines]
    assert (shown[-1], column) == ("", 0), "the prompt would be glued to what is there"
    return shown[:-1]


def test_the_screen_itself():
    assert screen("ab\rc\r\n\x1b[31mred\x1b[0m\r\x1b[K\r\nabcdef\r\nx\r\n\x1b[A\ry\r\n", 4) == [
        *("cb", "", "abcd", "ef", "y"),
    ]


class Terminal:
    """The command on a terminal, with stdout and stderr on the same one."""

    def __init__(self, columns: int, *words: object, hasty: bool = True, **env: str) -> None:
        self.columns = columns
        self._main, side = pty.openpty()
        termios.tcsetwinsize(side, (24, columns))
        start = ["-c", HASTY] if hasty else ["-m", "dogsort"]
        usual = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")
        }
        self.process = subprocess.Popen(
            [sys.executable, *start, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=side,
            stderr=side,
            env={**usual, "TERM": "xterm", **env},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        os.close(side)
        self.text = b""
        self._reader = ThreadPoolExecutor(1)
        self._read = self._reader.submit(self._read_all)

    def _read_all(self) -> None:
        with open(self._main, "rb", 0) as file, suppress(OSError):  # how Linux signals the end
            while block := file.read(1 << 16):
                self.text += block

    def end(self) -> list[str]:
        """Wait for the end; return the lines on the screen."""
        self.process.stdin.close()
        self.process.wait(300)
        self._read.result(60)
        self._reader.shutdown()
        return screen(self.text.decode(), self.columns)


@pytest.fixture
def crowd(album: Path) -> Path:
    """A folder of 80 photos, and some that cannot be read."""
    for number in range(74):
        os.link(album / "kitten.jpeg", album / f"kitten {number:02}.jpeg")
        if number % 10 == 0:
            (album / f"kitten {number:02} broken.jpeg").write_bytes(b"broken")
    return album


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("output", [(), ("-o", "{}/p.csv")], ids=["lines", "table"])
def test_nothing_of_the_bar_is_left(crowd, tmp_path, columns, output):
    words = (crowd, "--no-cache", "--batch-size", "8", *(word.format(tmp_path) for word in output))
    plain = Terminal(columns, *words, "--no-progress", hasty=False)
    expected = plain.end()
    assert not BAR.search(plain.text)
    assert plain.process.returncode == 3
    run = Terminal(columns, *words)
    assert run.end() == expected
    assert BAR.search(run.text)
    assert "".join(expected).replace(" ", "").count("broken.jpeg:notanimage") == 8
    assert ["photos", "88"] in [line.split() for line in expected]


@pytest.mark.parametrize("columns", [80, 120])
def test_a_run_of_less_than_two_seconds_draws_no_bar(album, columns):
    expected = Terminal(columns, album, "--no-progress", hasty=False).end()
    run = Terminal(columns, album, hasty=False)  # takes all from the cache
    assert run.end() == expected
    assert b"loading the model" in run.text
    assert not BAR.search(run.text)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_run_of_more_than_two_seconds_draws_one(crowd, tmp_path, columns):
    names = b"".join(os.fsencode(path) + b"\n" for path in sorted(crowd.glob("*.[jp]*g")))
    words = ("-", "--no-cache", "--batch-size", "8", "--workers", "1", "-o", tmp_path / "p.csv")
    plain = Terminal(columns, *words, "--no-progress", hasty=False)
    plain.process.stdin.write(names)
    expected = plain.end()
    run = Terminal(columns, *words, hasty=False)
    run.process.stdin.write(names[: len(names) // 2])
    run.process.stdin.flush()
    deadline = time.monotonic() + 60
    while b"loading the model ...\r" not in run.text:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(3)
    run.process.stdin.write(names[len(names) // 2 :])
    assert run.end() == expected
    assert BAR.search(run.text)


@pytest.mark.parametrize("columns", [80, 120])
def test_filing_and_undoing_leave_nothing_either(crowd, columns):
    shown = []
    for hasty in (False, True):
        run = Terminal(columns, crowd, "--move", *["--no-progress"] * (not hasty), hasty=hasty)
        shown.append(run.end())
        undo = Terminal(columns, "undo", crowd, *["--no-progress"] * (not hasty), hasty=hasty)
        shown.append(undo.end())
        assert bool(BAR.search(run.text)) == bool(BAR.search(undo.text)) == hasty
    assert shown[:2] == shown[2:]


def test_neither_does_an_interrupt(crowd, tmp_path):
    for number in range(2000):
        os.link(crowd / "kitten.jpeg", crowd / f"more {number}.jpeg")
    run = Terminal(100, crowd, "-o", tmp_path / "p.csv", "--no-cache")
    deadline = time.monotonic() + 60
    while not BAR.search(run.text) or b"broken" not in run.text:
        assert time.monotonic() < deadline
        assert run.process.poll() is None
        time.sleep(0.05)
    run.process.send_signal(signal.SIGINT)
    *complaints, said = "\n".join(run.end()).partition("dogsort: ")[::2]
    assert all("broken" in line for line in "".join(complaints).split(f"{crowd}/")[1:])
    assert said.replace("\n", "").startswith("interrupted; the rows so far are in ")
    assert run.process.returncode == 130


@pytest.mark.parametrize("options", [(), ("--move",)])
def test_no_colour_where_none_is_wanted(crowd, options):
    run = Terminal(80, crowd, "-v", *options, NO_COLOR="1")
    run.end()
    assert BAR.search(run.text)
    assert b"\x1b" not in run.text


def test_wide_names_and_narrow_terminals(tmp_path):
    folder = tmp_path / ("a folder " * 12)
    folder.mkdir()
    for name in ("a.jpeg", "b.jpeg", f"{'long ' * 30}.jpeg"):
        shutil.copy(EXAMPLES / "kitten.jpeg", folder / name)
        (folder / f"{name} broken.jpg").write_bytes(b"broken")
    words = (folder, "--no-cache", "--batch-size", "1")
    assert Terminal(40, *words).end() == Terminal(40, *words, "--no-progress").end()
