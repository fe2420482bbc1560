"""``dogsort review`` as a person uses it: the command as a process, asked over the network."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from conftest import EXAMPLES, files_below
from served import START_SECONDS, Served, served

from dogsort.pictures.thumbnails import SIDES
from dogsort.results.reading import read_table

CODES = ["dog", "cat", "neither", "unsure", "failed"]


def slow(case: str):
    """One of several cases that each start a server."""
    return pytest.param(case, marks=pytest.mark.slow)


def labels(table: Path) -> dict[str, tuple[str | None, str | None]]:
    """Labels and network labels, by file name."""
    rows = read_table(str(table))
    return {os.path.basename(row.path): (row.label, row.network_label) for row in rows}


def replace(table: Path, text: str) -> None:
    """Replace a table as careful programs do."""
    table.with_name("new").write_text(text)
    table.with_name("new").replace(table)


def wait_until(server: Served, condition) -> dict:
    """Ask for the album until a condition holds; return it."""
    deadline = time.monotonic() + START_SECONDS
    while not condition(album := server.album()):
        assert time.monotonic() < deadline, album
        time.sleep(0.05)
    return album


@pytest.fixture
def table(album, dogsort) -> Path:
    """A table of the example photos, beside them."""
    assert dogsort(".", "-o", "t.csv", cwd=album).returncode == 0
    return album / "t.csv"


def test_a_table_is_looked_at_corrected_and_filed(table, album, dogsort):
    with served("t.csv", cwd=album) as server:
        shown = server.album()
        names = [os.path.basename(path) for path in shown["columns"]["path"]]
        assert [CODES[label] for label in shown["columns"]["label"]] == [
            row.label for row in read_table(str(table))
        ]
        assert set(shown["columns"]["network_label"]) == {-1}
        coffee, dog = names.index("coffee.png"), names.index("running_dog.jpeg")
        assert server.label([coffee], "dog").json == {"version": 1}
        assert server.label([dog], "confirm").json == {"version": 2}
        changed = server.get(f"/changes?generation={shown['generation']}&since=1").json
        assert [row[:4] for row in changed["rows"]] == [[dog, "./running_dog.jpeg", 0, 0]]
        assert server.get("/changes?generation=1&since=0").json["generation"] != 1
        assert server.post("/done").status == 200
        assert server.wait() == 0
    assert server.said[-1] == (
        "reviewed 2, changed 1; to file the photos: dogsort file t.csv --move"
    )
    assert labels(table)["coffee.png"] == ("dog", "neither")
    run = dogsort(".", "-o", "t.csv", cwd=album)
    assert (run.returncode, b"not overwritten" in run.stderr) == (1, True)
    assert dogsort("file", "t.csv", "--move", cwd=album).returncode == 0
    assert {"dog/coffee.png", "dog/running_dog.jpeg", "cat/kitten.jpeg"} < files_below(album).keys()
    assert dogsort("undo", cwd=album).returncode == 0
    assert (album / "coffee.png").exists()


def test_a_person_is_obeyed_in_folders_that_were_filed_into(album, dogsort):
    """A label that a person confirmed counts where the network's would not."""
    assert dogsort(".", "--move", cwd=album).returncode == 0
    with served(".", cwd=album) as server:
        shown = wait_until(server, lambda album: not album["running"])
        paths = shown["columns"]["path"]
        row = next(row for row, path in enumerate(paths) if path.endswith("/dog/running_dog.jpeg"))
        server.label([row], "cat")
    assert dogsort("file", "dogsort-review.csv", "--move", cwd=album).returncode == 0
    assert (album / "cat" / "running_dog.jpeg").exists()


def test_a_folder_is_classified_while_the_page_is_open(album, dogsort):
    with served(".", cwd=album) as server:
        shown = wait_until(server, lambda album: not album["running"])
        assert len(shown["columns"]["path"]) == shown["expected"] == 6
        row = next(i for i, path in enumerate(shown["columns"]["path"]) if "kitten" in path)
        server.label([row], "dog")
        assert server.interrupt() == 0
    table = album / "dogsort-review.csv"
    assert any(line == "corrections go to ./dogsort-review.csv" for line in server.said)
    assert all(os.path.isabs(row.path) for row in read_table(str(table)))
    shutil.copy(EXAMPLES / "rocket.jpg", album / "second.jpg")
    # Next week, from another folder.
    with served(album, cwd=album.parent) as server:
        shown = wait_until(server, lambda album: not album["running"])
        assert len(shown["columns"]["path"]) == 7
        assert any(line.endswith("6 photos, 1 of them reviewed") for line in server.said)
        assert server.interrupt() == 0
    assert labels(table)["kitten.jpeg"] == ("dog", "cat")
    assert set(labels(table)) >= {"second.jpg", "coffee.png"}
    assert dogsort("file", table, "--move", cwd=album.parent).returncode == 0
    assert (album / "dog" / "kitten.jpeg").exists()


def test_what_a_person_said_is_known_to_other_runs_and_other_tables(album, dogsort):
    with served(".", cwd=album) as server:
        shown = wait_until(server, lambda album: not album["running"])
        rows = {os.path.basename(path): row for row, path in enumerate(shown["columns"]["path"])}
        server.label([rows["kitten.jpeg"], rows["coffee.png"]], "dog")
        server.label([rows["rocket.jpg"]], "cat")
        server.undo()
    with served(".", "-o", "other.csv", cwd=album) as server:
        wait_until(server, lambda album: not album["running"])
        server.interrupt()
    found = labels(album / "other.csv")
    assert (found["kitten.jpeg"], found["coffee.png"]) == (("dog", "cat"), ("dog", "neither"))
    assert found["rocket.jpg"] == ("neither", None)
    assert dogsort(".", "--move", cwd=album).returncode == 0
    assert sorted(os.listdir(album / "dog")) == ["coffee.png", "kitten.jpeg", "running_dog.jpeg"]
    assert (album / "rocket.jpg").exists()


def test_the_table_of_a_renamed_folder_is_moved_away_and_labels_are_remembered(album, dogsort):
    with served(album) as server:
        shown = wait_until(server, lambda album: not album["running"])
        paths = list(map(os.path.basename, shown["columns"]["path"]))
        server.label([paths.index("kitten.jpeg")], "dog")
        server.label([paths.index("rocket.jpg")], "confirm")
    renamed = album.rename(album.parent / "renamed")
    table = renamed / "dogsort-review.csv"
    run = dogsort("review", renamed, "--no-browser")
    assert run.returncode == 1
    said = run.stderr.decode()
    assert said.endswith(
        f"is not below {renamed}, so the table is not used; it is of another folder, or of this "
        "one under an old name; move the table away and run dogsort review FOLDER, which "
        "remembers your corrections; or name the same PATH as before, or another table with -o\n"
    )
    table.rename(album.parent / "away.csv")
    with served(renamed) as server:
        wait_until(server, lambda album: not album["running"])
        server.interrupt()
    assert labels(table)["kitten.jpeg"] == ("dog", "cat")


def test_another_photo_under_an_old_name_is_classified_anew(album):
    with served(".", cwd=album) as server:
        wait_until(server, lambda album: not album["running"])
        server.label([0, 1, 2, 3, 4, 5], "neither")
    shutil.copy(EXAMPLES / "running_dog.jpeg", album / "kitten.jpeg")
    with served(".", cwd=album) as server:
        wait_until(server, lambda album: not album["running"])
        server.interrupt()
    found = labels(album / "dogsort-review.csv")
    assert found.pop("kitten.jpeg") == ("dog", None)
    assert len(found) == 5
    assert {label for label, _ in found.values()} == {"neither"}


@pytest.mark.parametrize("suffix", [".jsonl", slow(".parquet")])
def test_other_formats(album, dogsort, suffix):
    (album / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"no photo")
    assert dogsort(".", "-o", f"t{suffix}", cwd=album).returncode == 3
    with served(".", "-o", f"t{suffix}", cwd=album) as server:
        shown = wait_until(server, lambda album: not album["running"])
        assert len(shown["columns"]["path"]) == 7
        assert server.label([0], "cat").status == 200
        server.kill()
    assert labels(album / f"t{suffix}")["astronaut.png"] == ("cat", "neither")


def test_names_that_are_not_utf_8(album):
    name = os.fsdecode(b"caf\xe9.jpg")
    shutil.copy(EXAMPLES / "rocket.jpg", album / name)
    with served(".", cwd=album) as server:
        shown = wait_until(server, lambda album: not album["running"])
        row = next(i for i, path in enumerate(shown["columns"]["path"]) if path.endswith(name))
        assert server.get(f"/thumbnail/{shown['generation']}/{row}?size=160").status == 200
        server.label([row], "dog")
    assert labels(album / "dogsort-review.csv")[name] == ("dog", "neither")


def test_the_page_and_its_pictures(table, album):
    with served("t.csv", cwd=album) as server:
        assert server.get("/").headers["content-type"].startswith("text/html")
        generation = server.album()["generation"]
        for side in SIDES:
            picture = server.get(f"/thumbnail/{generation}/0?size={side}")
            assert (picture.status, picture.headers["content-type"]) == (200, "image/jpeg")
        facts = server.get(f"/facts/{generation}/0").json
        assert (facts["width"], facts["height"], facts["format"]) == (512, 512, "PNG")
        while not (dates := server.get(f"/dates/{generation}").json)["complete"]:
            time.sleep(0.05)
        assert dates["dates"] == [
            pytest.approx((album / row.path).stat().st_mtime) for row in read_table(str(table))
        ]


@pytest.mark.parametrize("stop", ["done", slow("interrupt"), slow("terminate")])
def test_every_end_is_a_good_one(table, album, stop):
    with served("t.csv", cwd=album) as server:
        server.label([0], "dog")
        if stop == "done":
            server.post("/done")
        elif stop == "interrupt":
            server.interrupt()
        else:
            server.process.terminate()
        assert server.wait() == 0
        assert server.said[-1].startswith("reviewed 1, changed 1")
    with served("t.csv", cwd=album) as again:  # it is free
        assert again.port


def test_a_second_server_on_a_table_says_where_the_first_is(table, album, dogsort):
    with served("t.csv", cwd=album) as server:
        (album / "link.csv").symlink_to("t.csv")
        for name in ("t.csv", "link.csv"):
            run = dogsort("review", name, "--no-browser", cwd=album)
            assert run.returncode == 1
            assert f"{name}: already open at {server.address}" in run.stderr.decode()
        server.kill()
    with served("t.csv", cwd=album) as again:  # whose lock died with it
        assert again.port


def test_a_port_that_is_taken(table, album, dogsort):
    shutil.copy(table, album / "second.csv")
    with served("t.csv", cwd=album) as server:
        run = dogsort("review", "second.csv", "--port", server.port, "--no-browser", cwd=album)
    assert run.returncode == 1
    assert f"cannot listen at 127.0.0.1 port {server.port}" in run.stderr.decode()


@pytest.mark.parametrize(
    "kind", ["label", "undo of a range", *(slow(kind) for kind in ("range", "confirm", "undo"))]
)
def test_nothing_that_was_answered_is_lost_by_a_kill(table, album, kind):
    before = labels(table)
    names = list(before)
    with served("t.csv", cwd=album) as server:
        rows = [1, 2, 3] if "range" in kind else [1]
        answer = server.label(rows, "confirm" if kind == "confirm" else "unsure")
        if "undo" in kind:
            answer = server.undo()
        assert answer.status == 200
        server.kill()
    expected = dict(before)
    if "undo" not in kind:
        for row in rows:
            said = before[names[row]][0]
            expected[names[row]] = (said if kind == "confirm" else "unsure", said)
    assert labels(table) == expected


@pytest.mark.slow
def test_nothing_that_was_answered_is_lost_by_a_kill_at_any_moment(table, album):
    """Four pages keep correcting; the server is killed at random."""
    rows = range(400)
    for attempt in range(12):
        table.write_text("path,label\n" + "".join(f"{row}.jpg,dog\n" for row in rows))
        answered: set[int] = set()
        with served("t.csv", cwd=album) as server:
            generation = server.album()["generation"]

            def correct(first: int, server=server, generation=generation, answered=answered):
                for row in rows[first::4]:
                    try:
                        answer = server.label([row], "cat", generation)
                    except OSError:
                        return
                    assert answer.status == 200
                    answered.add(row)

            threads = [threading.Thread(target=correct, args=(first,)) for first in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(random.Random(attempt).uniform(0.02, 0.4))
            server.kill()
            for thread in threads:
                thread.join()
        found = labels(table)
        assert len(found) == len(rows)
        assert {f"{row}.jpg" for row in answered} <= {
            name for name, pair in found.items() if pair == ("cat", "dog")
        }


@pytest.mark.slow
def test_a_run_that_is_killed_is_gone_on_with(album):
    for number in range(400):
        shutil.copy(EXAMPLES / "kitten.jpeg", album / f"{number:03}.jpeg")
        with open(album / f"{number:03}.jpeg", "ab") as file:
            file.write(bytes([number % 256, number // 256]))
    rows: dict[str, tuple[str | None, str | None]] = {}
    for seconds in (0.2, 0.6, 1.2):
        with served(".", "--workers", "1", cwd=album) as server:
            wait_until(server, lambda album: album["columns"]["path"])
            time.sleep(seconds)
            assert server.label([0], "dog").status == 200
            server.kill()
        found = labels(album / "dogsort-review.csv")
        assert found.keys() >= rows.keys()
        rows = found
    with served(".", cwd=album) as server:
        shown = wait_until(server, lambda album: not album["running"])
        assert server.interrupt() == 0
    assert len(labels(album / "dogsort-review.csv")) == len(shown["columns"]["path"]) == 406
    assert labels(album / "dogsort-review.csv").keys() >= rows.keys()


def test_ctrl_c_while_classifying_keeps_what_was_done(album):
    for number in range(500):
        os.link(album / "coffee.png", album / f"{number:03}.png")
    with served(".", "--no-cache", "--batch-size", "8", cwd=album) as server:
        wait_until(server, lambda album: album["columns"]["path"])
        assert server.interrupt() == 0
    assert 0 < len(labels(album / "dogsort-review.csv")) < 506
    assert "some photos are not classified yet; run the same command to continue" in server.said


def test_the_last_line_is_a_command_that_works(album, dogsort, tmp_path):
    for table in (album / "t.csv", tmp_path / "t.csv"):
        with served(album, "-o", table) as server:
            wait_until(server, lambda album: not album["running"])
            server.label([0], "dog")
            assert server.interrupt() == 0
        name, *words = shlex.split(server.said[-1].partition("to file the photos: ")[2])
        assert name == "dogsort"
        assert dogsort(*words, "--dry-run").returncode == 0


def test_a_table_that_another_program_changes_is_shown_anew(table, album):
    with served("t.csv", cwd=album) as server:
        old = server.album()["generation"]
        text = table.read_text().replace("./kitten.jpeg,cat", "./kitten.jpeg,dog")
        replace(table, text)
        changes = server.get(f"/changes?generation={old}&since=0").json
        assert changes == {"generation": server.album()["generation"]}
        assert changes["generation"] != old
        assert server.label([0], "dog", generation=old).status == 409
        assert server.label([0], "dog").status == 200
        replace(table, "broken")
        assert server.label([1], "dog").status == 507
        assert "no column 'path'" in server.album()["trouble"]
        assert table.read_text() == "broken"
        replace(table, text)
        assert server.label([1], "dog").status == 200
    assert labels(table)["kitten.jpeg"] == ("dog", None)
    assert labels(table)["chelsea.png"] == ("dog", "cat")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", place]
    if os.name == "nt" or os.getuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_loses_nothing(small_disk):
    table = small_disk / "t.csv"
    text = "path,label\n" + "".join(f"{row:05}.jpg,dog\n" for row in range(2000))
    table.write_text(text)
    with served("t.csv", cwd=small_disk) as server:
        assert server.label([0], "cat").status == 200
        saved = table.read_bytes()
        (small_disk / "filler").write_bytes(bytes(80_000))
        for _ in range(2):
            answer = server.label([1], "cat")
            assert answer.status == 507
            assert "No space left" in answer.json["error"]
            assert "No space left" in server.album()["trouble"]
        assert table.read_bytes() == saved
        (small_disk / "filler").unlink()
        assert server.label([1], "cat").status == 200
        assert server.album()["trouble"] == ""
        (small_disk / "filler").write_bytes(bytes(80_000))
        assert server.label([2], "cat").status == 507
        assert server.interrupt() == 1  # and says so
        assert "No space left" in server.said[-1]
    assert [labels(table)[f"{row:05}.jpg"][0] for row in range(3)] == ["cat", "cat", "dog"]
    assert not list(small_disk.glob("*.partial"))


def test_what_cannot_be_written_can_be_looked_at(small_disk, dogsort):
    shutil.copy(EXAMPLES / "kitten.jpeg", small_disk)
    (small_disk / "t.csv").write_text("path,label\nkitten.jpeg,cat\n")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with served("t.csv", cwd=small_disk) as server:
        assert any("you can look but not correct" in line for line in server.said)
        shown = server.album()
        assert shown["read_only"] == "t.csv is write-protected"
        assert server.get(f"/photo/{shown['generation']}/0").status == 200
        answer = server.label([0], "dog")
        assert (answer.status, answer.json["error"]) == (507, shown["read_only"])
        assert server.album()["columns"]["network_label"] == [-1]
        assert server.interrupt() == 0
    run = dogsort("review", ".", "--no-browser", cwd=small_disk)
    assert run.returncode == 1
    assert "dogsort-review.csv: cannot be written: Read-only file system" in run.stderr.decode()
    assert "name another table with -o" in run.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["missing.csv"], 2, "missing.csv: no such file"),
        (["t.csv", "--exclude", "*"], 2, "--exclude is for a PATH"),
        (["t.csv", "-o", "u.csv"], 2, "--output is for a PATH"),
        ([".", "--photos", "."], 2, "--photos is for a TABLE"),
        ([".", "sub"], 2, "needs -o TABLE"),
        (["kitten.jpeg"], 2, "needs -o TABLE"),
        (["t.csv", "sub"], 2, "needs -o TABLE"),
        ([".", "-o", "t.txt"], 2, "must end in .csv"),
        ([".", "-o", "sub"], 2, "must end in .csv"),
        ([".", "-o", "nowhere/t.csv"], 1, "nowhere/t.csv"),
        ([".", "--weights", "nowhere"], 1, "nowhere"),
        ([".", "--exclude", "!"], 2, "--exclude !"),
        (["bad.csv"], 1, "bad.csv: line 2: unknown label 'hamster'"),
        (["t.csv", "--port", "0"], 2, "--port"),
        (["t.csv", "--host", "no such host"], 1, "cannot listen"),
    ],
)
def test_wrong_calls_end_before_anything_is_served(table, album, dogsort, arguments, code, told):
    (album / "sub").mkdir()
    (album / "bad.csv").write_text("path,label\na.jpg,hamster\n")
    run = dogsort("review", *arguments, "--no-browser", cwd=album)
    assert (run.returncode, told in run.stderr.decode()) == (code, True), run.stderr.decode()
    assert b"Traceback" not in run.stderr
    assert not list(album.glob("*.partial"))
