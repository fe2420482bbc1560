"""Shell completion in real shells: type keys at a terminal, and see what is run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

#: Each shell without this user's configuration, and the line for its rc file.
SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], 'eval "$(_DOGSORT_COMPLETE=bash_source dogsort)"'),
    "zsh": (
        ["-f", "-i"],
        'autoload -U compinit; compinit -D; eval "$(_DOGSORT_COMPLETE=zsh_source dogsort)"',
    ),
    "fish": (["--no-config", "-i"], "_DOGSORT_COMPLETE=fish_source dogsort | source"),
}

#: A stand-in that completes as dogsort does; otherwise it only records its arguments.
STAND_IN = """#!/bin/sh
if [ -n "$_DOGSORT_COMPLETE" ]; then exec '{python}' -m dogsort "$@"; fi
echo "$*" >> '{called}'
"""

#: What is typed before a TAB, and the arguments that the command then gets.
TYPED = {
    "und": "undo",
    "submit tes": "submit test1",
    "submit test1 --ha": "submit test1 --hard",
    "submit test1 -o sub": "submit test1 -o submission.csv",
    "--verb": "--verbose",
    "pho": "photos",
    "photos/ki": "photos/kitten.jpeg",
    "photos -o pre": "photos -o predictions.csv",
    "photos --device cu": "photos --device cuda",
    "undo pho": "undo photos",
    "rev": "review",
    "review photos --no-b": "review photos --no-browser",
}


def test_the_readme_says_how_to_set_it_up():
    readme = (Path(__file__).parent.parent / "README.md").read_text().replace("\\|", "|")
    for _, rc_line in SHELLS.values():
        assert f"`{rc_line.rpartition('; ')[2]}`" in readme


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_options_and_files(tmp_path: Path, shell):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    for name in ("photos/kitten.jpeg", "test1/1.jpg", "predictions.csv", "submission.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    called = tmp_path / "called"
    stand_in = tmp_path / "bin" / "dogsort"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN.format(python=sys.executable, called=called))
    stand_in.chmod(0o755)
    arguments, rc_line = SHELLS[shell]
    typed = "".join(f"dogsort {words}\t\n" for words in TYPED)
    lines = type_into([program, *arguments], tmp_path, f"{rc_line}\n{typed}", called)
    # A shell may keep or drop the slash after a folder.
    assert [line.removesuffix("/") for line in lines] == [*TYPED.values()]


def type_into(command: list[str], cwd: Path, keys: str, called: Path) -> list[str]:
    """Type at a terminal; once the output ends, return the arguments of the stand-in."""
    import fcntl
    import pty
    import termios

    main, side = pty.openpty()
    path = f"{cwd / 'bin'}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path, "HOME": str(cwd), "TERM": "dumb"},
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
    ) as shell:
        os.close(side)
        os.set_blocking(main, False)
        lines: list[str] = []
        shown = b""
        deadline = time.monotonic() + 60
        for key_line in keys.splitlines(keepends=True):
            os.write(main, key_line.encode())
            expected = len(lines) + key_line.endswith("\t\n")
            while len(lines) < expected and time.monotonic() < deadline:
                shown += read_all(main)
                time.sleep(0.02)
                lines = called.read_text().splitlines() if called.exists() else []
        shell.kill()
    os.close(main)
    return lines or [shown.decode(errors="replace")]


def read_all(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except (BlockingIOError, OSError):
        return b""
