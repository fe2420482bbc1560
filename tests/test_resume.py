"""A run that was stopped goes on: the table is the one that an uninterrupted run makes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dogsort.network.weights import bundled_folder
from dogsort.results.log import Entry, Stamp, log_of, read_log
from dogsort.results.log_file import LogFile

#: What a run that was killed leaves: partial file, weights, PATH.
LEFT_BEHIND = """
import sys
from dogsort.results.log import Entry, Stamp
from dogsort.results.log_file import LogFile
LogFile(sys.argv[1], sys.argv[2], sys.argv[3:]).add("x.jpg", Entry(Stamp(1, 1), 0.5, 0.5))
"""

MANY = 120
SMALL_BATCHES = ("--batch-size", "4", "--workers", "1")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder with parts of a photo, all different, one that is no photo, and an awkward name."""
    folder = tmp_path / "many"
    folder.mkdir()
    with Image.open(EXAMPLES / "chelsea.png") as photo:
        for number in range(MANY):
            part = photo.crop((number, number, number + 160, number + 160))
            part.save(folder / f"{number:03}.png", compress_level=1)
    (folder / "050 broken.png").write_bytes(b"broken")
    shutil.copy(EXAMPLES / "kitten.jpeg", os.path.join(os.fsencode(folder), b"caf\xe9\n.jpg"))
    return folder


def logs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".*.dogsort"))


def stop(table: Path, *arguments: object, rows: int, how: int) -> str:
    """Start a run, and stop it once its log has so many rows; return what it said."""
    command = [sys.executable, "-m", "dogsort", *arguments, "-o", table, *SMALL_BATCHES]
    before = set(table.parent.glob(".*.partial.dogsort"))
    with subprocess.Popen(
        [str(word) for word in command],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            new = set(table.parent.glob(".*.partial.dogsort")) - before
            if any(log.read_bytes().count(b"\n") > rows for log in new):
                break
            time.sleep(0.01)
        process.send_signal(how)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode in (130, -how)
    return stderr.decode()


def taken_over(run) -> int:
    (line,) = [x for x in run.stderr.decode().splitlines() if x.startswith("rows taken over")]
    return int(line.split(": ")[1])


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_run_stopped_twice_ends_in_the_same_table(dogsort, many, tmp_path):
    whole = dogsort(many, "-o", tmp_path / "whole.csv")
    assert whole.returncode == 3
    table = tmp_path / "p.csv"
    stop(table, many, rows=20, how=signal.SIGKILL)
    said = stop(table, many, "--resume", rows=60, how=signal.SIGINT)
    second = tmp_path / "p.csv.2.partial"
    assert f"the rows so far are in {second}; --resume goes on from there" in said
    assert not table.exists()
    assert logs(tmp_path) == [
        ".p.csv.1.partial.dogsort",
        ".p.csv.2.partial.dogsort",
        ".whole.csv.dogsort",
    ]
    run = dogsort(many, "-o", table, "--resume")
    assert run.returncode == 3
    assert table.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert 60 <= taken_over(run) < MANY
    assert "050 broken.png" in run.stderr.decode()
    assert logs(tmp_path) == [".p.csv.dogsort", ".whole.csv.dogsort"]
    assert not list(tmp_path.glob("*.partial"))
    assert f"{second}: removed" in run.stderr.decode()
    log = read_log(log_of(str(table)))
    assert log == read_log(log_of(str(tmp_path / "whole.csv")))
    assert log.paths == (str(many),)
    assert len(log.entries) == MANY + 1
    assert all(entry.stamp == Stamp.of(path) for path, entry in log.entries.items())


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_second_stop_loses_nothing(dogsort, many, tmp_path):
    table = tmp_path / "p.csv"
    stop(table, many, rows=60, how=signal.SIGKILL)
    (tmp_path / "p.csv.1.partial").unlink()  # it looks like rubbish
    stop(table, many, "--resume", rows=1, how=signal.SIGKILL)
    assert taken_over(dogsort(many, "-o", table, "--resume")) >= 60
    assert logs(tmp_path) == [".p.csv.dogsort"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_what_other_calls_left_stays(dogsort, many, album, tmp_path):
    table = tmp_path / "p.csv"
    stop(table, many, album, rows=10, how=signal.SIGINT)
    foreign = tmp_path / "p.csv.7.partial"
    foreign.write_text("not dogsort's")
    run = dogsort(album, "-o", table, "--resume")
    assert run.returncode == 0
    assert foreign.exists()
    assert (tmp_path / "p.csv.1.partial").exists()
    assert taken_over(dogsort(many, "-o", table, "--resume")) >= 10


def test_what_the_same_call_left_in_another_folder_stays(dogsort, album, tmp_path, classifier):
    for number, home in enumerate(("one", "two"), 1):
        (tmp_path / home).mkdir()
        partial = tmp_path / f"p.csv.{number}.partial"
        partial.write_text("rows")
        command = [sys.executable, "-c", LEFT_BEHIND, partial, classifier.weights.identity, "album"]
        subprocess.run([str(word) for word in command], cwd=tmp_path / home, check=True)
    album.rename(tmp_path / "two" / "album")
    run = dogsort("album", "-o", tmp_path / "p.csv", "--resume", cwd=tmp_path / "two")
    assert run.returncode == 0, run.stderr.decode()
    assert sorted(path.name for path in tmp_path.glob("*.partial")) == ["p.csv.1.partial"]
    assert logs(tmp_path) == [".p.csv.1.partial.dogsort", ".p.csv.dogsort"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_run_that_is_still_at_work_keeps_its_files(dogsort, many, tmp_path):
    table = tmp_path / "p.csv"
    command = [sys.executable, "-m", "dogsort", many, "-o", table, *SMALL_BATCHES]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        log = tmp_path / ".p.csv.1.partial.dogsort"
        while not (log.exists() and log.read_bytes().count(b"\n") > 10):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)  # as Ctrl-Z does
        run = dogsort(many, "-o", table, "--resume")
        assert taken_over(run) >= 10
        assert "removed" not in run.stderr.decode()
        first = table.read_bytes()
        table.unlink()
        process.send_signal(signal.SIGCONT)
        process.wait(60)
    assert process.returncode == 3
    assert table.read_bytes() == first
    assert logs(tmp_path) == [".p.csv.dogsort"]


def test_changed_mended_and_new_photos_are_classified(dogsort, album, tmp_path):
    table = tmp_path / "p.csv"
    (album / "mended.png").write_bytes(b"broken")
    assert dogsort(album, "-o", table).returncode == 3
    everything = dogsort(album, "-o", table, "--resume")
    assert taken_over(everything) == 6
    # A dog takes the cat's place; a photo gets another time; one is mended; one is new.
    shutil.copy(EXAMPLES / "running_dog.jpeg", album / "chelsea.png")
    os.utime(album / "rocket.jpg", ns=(1, 1))
    shutil.copy(EXAMPLES / "kitten.jpeg", album / "mended.png")
    shutil.copy(EXAMPLES / "kitten.jpeg", album / "new.png")
    run = dogsort(album, "-o", table, "--resume")
    assert run.returncode == 0
    assert taken_over(run) == 4
    resumed = table.read_bytes()
    assert dogsort(album, "-o", table).returncode == 0
    assert table.read_bytes() == resumed
    labels = [line.split(",")[1] for line in resumed.decode().splitlines()[1:]]
    assert labels == ["neither", "dog", "neither", "cat", "cat", "cat", "neither", "dog"]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_every_kind_of_table_is_resumed(dogsort, album, tmp_path, suffix):
    table = tmp_path / f"p.{suffix}"
    dogsort(album, "-o", table)
    first = table.read_bytes()
    assert taken_over(dogsort(album, "-o", table, "--resume")) == 6
    assert table.read_bytes() == first


def test_labels_follow_the_bar_of_this_run(dogsort, album, tmp_path):
    strict = ("--min-confidence", "0.9999")
    assert dogsort(album, "-o", tmp_path / "whole.csv", *strict).returncode == 0
    assert dogsort(album, "-o", tmp_path / "p.csv").returncode == 0
    assert taken_over(dogsort(album, "-o", tmp_path / "p.csv", "--resume", *strict)) == 6
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert b"unsure" in (tmp_path / "p.csv").read_bytes()


def test_other_weights_classify_again(dogsort, album, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(bundled_folder(), other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["calibration"]["temperature_dog"] *= 2
    (other / "manifest.json").write_text(json.dumps(manifest))
    table = tmp_path / "p.csv"
    dogsort(album, "-o", table)
    run = dogsort(album, "-o", table, "--resume", "--weights", other)
    assert taken_over(run) == 0
    assert f"{table}: rows made with other weights are not taken over" in run.stderr.decode()
    resumed = table.read_bytes()
    dogsort(album, "-o", table, "--weights", other)
    assert table.read_bytes() == resumed


def test_resuming_files_photos_too(dogsort, album, tmp_path):
    table = tmp_path / "p.csv"
    dogsort(album, "-o", table)
    run = dogsort(album, "-o", table, "--resume", "--move")
    assert run.returncode == 0
    assert taken_over(run) == 6
    assert sorted(path.name for path in album.glob("[cd]*/*")) == [
        "chelsea.png",
        "kitten.jpeg",
        "running_dog.jpeg",
    ]


def test_photos_moved_away_are_known_when_they_are_back(dogsort, album, tmp_path):
    """The same command again, after it moved the photos, and then undo."""
    table = tmp_path / "p.csv"
    assert dogsort(album, "-o", table, "--move").returncode == 0
    first = table.read_bytes()
    again = dogsort(album, "-o", table, "--move", "--resume")
    assert again.returncode == 0, again.stderr.decode()
    assert taken_over(again) == 3
    assert b"kept for --resume and left out of the table: 3" in again.stderr
    assert dogsort("undo", album).returncode == 0
    back = dogsort(album, "-o", table, "--resume")
    assert taken_over(back) == 6
    assert table.read_bytes() == first


def test_without_a_log_everything_is_classified(dogsort, album, tmp_path):
    run = dogsort(album, "-o", tmp_path / "p.csv", "--resume")
    assert run.returncode == 0
    assert taken_over(run) == 0
    assert "no rows of an earlier run are known" in run.stderr.decode()


@pytest.mark.parametrize("output", [(), ("-o", "-")])
def test_resuming_needs_a_table(dogsort, album, output):
    run = dogsort(album, "--resume", *output)
    assert run.returncode == 2
    assert "--resume needs -o FILE" in run.stderr.decode()


def test_rows_elsewhere_leave_no_log(dogsort, album, tmp_path):
    assert dogsort(album, "-o", "-", cwd=tmp_path).returncode == 0
    if os.path.exists("/dev/null"):
        (tmp_path / "null.csv").symlink_to("/dev/null")
        assert dogsort(album, "-o", "null.csv", cwd=tmp_path).returncode == 0
    assert logs(tmp_path) == []


def test_links_in_the_place_of_a_log_are_not_followed(dogsort, album, tmp_path):
    table, victim = tmp_path / "p.csv", tmp_path / "victim"
    victim.write_text("precious")
    for name in (".p.csv.dogsort", ".p.csv.1.partial.dogsort"):
        (tmp_path / name).symlink_to(victim)
    for arguments in ((), ("--resume",)):
        assert dogsort(album, "-o", table, *arguments).returncode == 0
    assert victim.read_text() == "precious"
    assert not (tmp_path / ".p.csv.dogsort").is_symlink()
    assert (tmp_path / ".p.csv.1.partial.dogsort").is_symlink()  # not ours
    # Neither are they read.
    (tmp_path / ".p.csv.dogsort").rename(victim)
    (tmp_path / ".p.csv.dogsort").symlink_to(victim)
    assert taken_over(dogsort(album, "-o", table, "--resume")) == 0


def test_a_log_that_cannot_be_written_is_said(dogsort, album, tmp_path):
    (tmp_path / ".p.csv.dogsort").mkdir()
    run = dogsort(album, "-o", tmp_path / "p.csv")
    assert run.returncode == 1
    assert ".p.csv.dogsort: cannot be written" in run.stderr.decode()


def a_log(folder: Path) -> Path:
    file = LogFile(str(folder / "p.csv.1.partial"), "w", ["a", os.fsdecode(b"\xe9")])
    for number in range(3):
        file.add(f"{number}.jpg", Entry(Stamp(number, 10**18 + number), 0.5, 1.0))
    file.complete(str(folder / "p.csv"))
    return folder / ".p.csv.dogsort"


def test_lines_that_make_no_sense_are_left_out(tmp_path):
    path = a_log(tmp_path)
    whole = read_log(str(path))
    assert whole.paths == ("a", os.fsdecode(b"\xe9"))
    assert list(whole.entries) == ["0.jpg", "1.jpg", "2.jpg"]
    good = path.read_bytes()
    line = {"path": "x", "size": 1, "mtime_ns": 1, "p_dog": 0.5, "p_pet": 0.5}
    for wrong in (
        line | {"p_dog": 1.5},
        line | {"p_pet": float("nan")},
        line | {"p_pet": None},
        line | {"size": "1"},
        line | {"path": 5},
        {"path": "x"},
        [],
    ):
        path.write_bytes(good + json.dumps(wrong).encode() + b"\n")
        assert read_log(str(path)) == whole
    for wrong in (b"\n", b"\xff\n", b"[" * 100_000 + b"\n", json.dumps(line).encode()):
        path.write_bytes(good + wrong)
        assert read_log(str(path)) == whole


@given(cut=st.integers(0, 1000), junk=st.binary(max_size=40))
def test_a_damaged_log_is_never_worse_than_none(tmp_path_factory, cut, junk):
    path = a_log(tmp_path_factory.mktemp("log"))
    whole = read_log(str(path))
    content = path.read_bytes()
    path.write_bytes(content[:cut] + junk + content[cut:])
    log = read_log(str(path))
    assert log is None or all(0.0 <= entry.p_dog <= 1.0 for entry in log.entries.values())
    path.write_bytes(content[:cut])
    log = read_log(str(path))
    assert log is None or log.entries.items() <= whole.entries.items()


@pytest.mark.parametrize("content", [b"", b"{}\n", b'{"log": 2, "weights": "w", "paths": []}\n'])
def test_other_files_are_no_logs(tmp_path, content):
    (tmp_path / "log").write_bytes(content)
    assert read_log(str(tmp_path / "log")) is None
    assert read_log(str(tmp_path)) is None
    assert read_log(str(tmp_path / "nothing")) is None


def test_a_table_that_somebody_corrected_is_not_written_anew(dogsort, album, tmp_path):
    table = tmp_path / "p.csv"
    assert dogsort(album, "-o", table).returncode == 0
    assert dogsort(album, "-o", table, "--resume").returncode == 0
    corrected = table.read_text().replace(",cat,", ",dog,")
    table.write_text(corrected)
    run = dogsort(album, "-o", table, "--resume", "--move")
    assert run.returncode == 1
    assert "p.csv: was changed since it was made" in run.stderr.decode()
    assert table.read_text() == corrected
    assert not (album / "dog").exists()
    table.unlink()
    assert dogsort(album, "-o", table, "--resume").returncode == 0
    assert ",cat," in table.read_text()
