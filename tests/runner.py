"""Run the command as a process, or in this process, which takes a fraction of the time.

Both give the same bytes and exit code. A separate process is needed to test signals, broken pipes,
time limits, memory, imports, and variables read at start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from dogsort.cli.main import cli

#: Variables that Python, OpenMP or ONNX Runtime read once, at start.
READ_AT_START = ("PYTHON", "OMP_", "ORT_", "LANG", "LC_")

Run = subprocess.CompletedProcess[bytes]


def run_process(
    *args: object, cwd: Path | None = None, stdin: bytes = b"", timeout: float = 600, **env: str
) -> Run:
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "dogsort", *map(str, args)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=timeout,
        check=False,
    )


def run_on_terminal(*args: object, columns: int = 80, cwd: Path | None = None, **env: str) -> Run:
    """Run the command as a user does, with stdout and stderr each on its own terminal."""
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    sides = [pty.openpty() for _ in range(2)]
    for main, _ in sides:
        termios.tcsetwinsize(main, (24, columns))
    usual = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [sys.executable, "-m", "dogsort", *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=sides[0][1],
        stderr=sides[1][1],
        cwd=cwd,
        env={**usual, "TERM": "xterm", **env},
    ) as process:
        for _, side in sides:
            os.close(side)
        with ThreadPoolExecutor() as executor:
            texts = executor.map(_read_all, [main for main, _ in sides])
            out, err = (text.replace(b"\r\n", b"\n") for text in texts)
    return Run(process.args, process.wait(), out, err)


def _read_all(terminal: int) -> bytes:
    """Read until the other side is closed, and close this one."""
    with open(terminal, "rb", 0) as file, suppress(OSError):  # how Linux signals the end
        text = b""
        while block := file.read(1 << 16):
            text += block
    return text


def run_in_process(*args: object, cwd: Path | None = None, stdin: bytes = b"", **env: str) -> Run:
    """Run the command in this process; restore folder, environment and streams."""
    assert not any(name.startswith(READ_AT_START) for name in env), "needs a process"
    words = [str(arg) for arg in args]
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(stdin)
        files[0].seek(0)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in env.items():
            patch.setenv(name, value)
        if cwd is not None:
            patch.chdir(cwd)
        with _warnings_as_at_start(), _standard_streams(files):
            with pytest.raises(SystemExit) as end:
                cli.main(words)
        for file in files:
            file.seek(0)
        return Run(["dogsort", *words], end.value.code, files[1].read(), files[2].read())


@contextmanager
def _standard_streams(files: list[IO[bytes]]) -> Iterator[None]:
    """Replace the standard streams by files, for Python and for C libraries."""
    kept = [os.dup(number) for number in range(3)]
    usual = sys.stdin, sys.stdout, sys.stderr
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
    try:
        with (
            open(0, encoding="utf-8", closefd=False) as sys.stdin,
            open(1, "w", encoding="utf-8", closefd=False) as sys.stdout,
            open(2, "w", 1, "utf-8", "backslashreplace", closefd=False) as sys.stderr,
        ):
            yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = usual
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
            os.close(descriptor)


@contextmanager
def _warnings_as_at_start() -> Iterator[None]:
    """Show warnings on stderr as Python does, instead of collecting them as pytest does."""
    hidden = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for category in hidden:
            warnings.simplefilter("ignore", category)
        warnings.showwarning = lambda text, category, file, line, *_: print(
            warnings.formatwarning(text, category, file, line), end="", file=sys.stderr
        )
        yield
