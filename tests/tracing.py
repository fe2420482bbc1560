"""Run the command under strace: list its system calls, make one fail, or kill or stop it there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

#: Calls that add or remove names. A question mark: not every processor has the call.
NAMES = (
    *("?rename", "?renameat", "renameat2", "?link", "linkat", "?unlink", "unlinkat"),
    *("?mkdir", "mkdirat", "?rmdir"),
)
#: Calls that put something on disk.
SYNCS = ("fsync", "fdatasync")


@dataclass(frozen=True)
class Call:
    """A call by its name and number, and how strace shows it."""

    name: str
    number: int
    line: str

    def fails(self, error: str) -> str:
        return f"{self.name}:error={error}:when={self.number}"

    def kills(self) -> str:
        """Kill the command before this call."""
        return f"{self.name}:signal=KILL:when={self.number}"

    def stops(self, after: int = 0) -> str:
        """Stop the command after this call (and after earlier ones of that name)."""
        when = f"{after}+{self.number - after}" if after else str(self.number)
        return f"{self.name}:signal=STOP:when={when}"


def calls_in(log: Path) -> list[Call]:
    """Return the calls that strace has seen, in order."""
    calls: list[Call] = []
    numbers: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        if found := re.match(r"\d+ +(\w+)\(", line):
            numbers[found[1]] += 1
            calls.append(Call(found[1], numbers[found[1]], line.split(maxsplit=1)[1]))
    return calls


class Traced:
    """The command, running under strace."""

    def __init__(self, log: Path, trace: tuple[str, ...], *words: object, inject: str = "") -> None:
        self.log = log
        log.unlink(missing_ok=True)
        rules = ["-e", f"trace={','.join(trace)}", *(["-e", f"inject={inject}"] if inject else [])]
        self.process = subprocess.Popen(
            [
                *("strace", "-f", "-y", "-o", str(log), *rules),
                *(sys.executable, "-m", "dogsort", *map(str, words)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Traced:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        self.process.stderr.close()

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and stderr."""
        _, complaint = self.process.communicate()
        return self.process.returncode, complaint

    def stopped(self, times: int = 1) -> bool:
        """Wait until it has stopped this often, or ended; return whether it stopped."""
        while self.process.poll() is None:
            if self.log.exists() and self.log.read_text().count("--- stopped by") >= times:
                return True
            time.sleep(0.002)
        return False

    def signal(self, number: int) -> None:
        os.kill(int(self.log.read_text().split(maxsplit=1)[0]), number)

    def go_on(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        try:
            self.signal(signal.SIGKILL)
        except (OSError, ValueError, IndexError):  # not yet begun, or just ended
            self.process.kill()
        self.process.wait()


def traced(
    log: Path, trace: tuple[str, ...], *words: object, inject: str = ""
) -> tuple[int, str, list[Call]]:
    """Run the command under strace to its end; return exit code, stderr and calls."""
    with Traced(log, trace, *words, inject=inject) as run:
        return *run.end(), calls_in(log)
