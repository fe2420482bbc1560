"""Work goes on if nobody can read its output: a closed pipe, a full disk, a lost terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import files_below

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX descriptors")

COMMAND = [sys.executable, "-m", "dogsort"]


@pytest.fixture(params=["closed", "pipe", "full disk", "terminal"])
def lost(request: pytest.FixtureRequest) -> Iterator[int | None]:
    """A descriptor that takes no messages; None for a closed one."""
    if request.param == "closed":
        yield None
        return
    if request.param == "full disk":
        if not os.path.exists("/dev/full"):
            pytest.skip("no /dev/full here")
        side = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, side = os.pipe() if request.param == "pipe" else os.openpty()
        os.close(reader)
    yield side
    os.close(side)


def run(lost: int | None, *words: object) -> subprocess.CompletedProcess[bytes]:
    """Run the command with this stderr."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if lost is None else lost,
        preexec_fn=(lambda: os.close(2)) if lost is None else None,
        check=False,
    )


FILED = ["cat/chelsea.png", "cat/kitten.jpeg", "dog/running_dog.jpeg"]


def filed_in(folder: Path) -> list[str]:
    return sorted(path for path in files_below(folder) if "/" in path)


def test_every_command_does_its_whole_job(lost, dogsort, place):
    before = files_below(place / "photos")
    (place / "photos" / "bad.jpg").touch()
    assert run(lost, "photos", "--move", "-v", "-o", "t.csv").returncode == 3
    assert filed_in(place / "photos") == FILED
    assert run(lost, "undo", "photos", "-v").returncode == 0
    (place / "photos" / "bad.jpg").unlink()
    assert files_below(place / "photos") == before
    assert run(lost, "file", "t.csv", "--move", "-v").returncode == 0
    assert filed_in(place / "photos") == FILED
    assert run(lost, "submit", "test1", "-o", "s.csv").returncode == 0
    assert Path("s.csv").read_text().startswith("id,label\n1,0.0")
    rows = run(lost, "photos/coffee.png", "--device", "cpu")
    assert (rows.returncode, rows.stdout) == (0, dogsort("photos/coffee.png").stdout)


def test_failures_keep_their_exit_code(lost, place):
    assert run(lost, "nowhere").returncode == 2
    assert run(lost, "photos", "--unknown").returncode == 2
    assert run(lost, "photos", "-o", "nowhere/t.csv").returncode == 1


def test_a_closed_stdout_does_not_stop_filing(album):
    command = [*COMMAND, str(album), "--move", "-v"]
    run = subprocess.run(
        command,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: os.close(1),
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    assert filed_in(album) == FILED


def test_a_closed_pipe_does_not_cost_the_figures(place):
    command = f"'{sys.executable}' -m dogsort eval labelled -o e.json | true"
    run = subprocess.run(command, shell=True, capture_output=True, check=False)  # noqa: S602
    assert run.stderr == b""
    assert '"accuracy"' in Path("e.json").read_text()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_does_not_cost_the_figures_on_the_terminal(dogsort, place):
    Path("e.json").symlink_to("/dev/full")
    run = dogsort("eval", "labelled", "-o", "e.json")
    assert run.returncode == 1
    assert b"e.json: cannot be written: No space left on device" in run.stderr
    assert b"accuracy, dog vs. cat" in run.stdout
