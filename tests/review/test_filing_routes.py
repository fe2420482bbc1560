"""Filing through the server, as the page asks for it."""

from __future__ import annotations

import csv
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from conftest import EXAMPLES, files_below
from served import Served, served
from trees import plant, tree

from dogsort.filing.lock import locked

HOW = {"action": "move", "neither": False, "unsure": False}


def write_table(table: Path, labels: dict[str, str]) -> None:
    """Write a table with paths relative to its own folder, made absolute."""
    with table.open("w", newline="") as file:
        rows = [(str(table.parent / path), label, 0.9, 0.9) for path, label in labels.items()]
        csv.writer(file).writerows([("path", "label", "p_dog", "p_pet"), *rows])


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    for name, copies in {"running_dog.jpeg": "rex.jpg", "kitten.jpeg": "trip/tom.jpg"}.items():
        (folder / copies).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(EXAMPLES / name, folder / copies)
    write_table(folder / "table.csv", {"rex.jpg": "dog", "trip/tom.jpg": "cat"})
    return folder


def serve(folder: Path):
    return served(folder / "table.csv", "--photos", folder)


def ask(server: Served, path: str, **given):
    return server.post(path, {"generation": server.album()["generation"], **HOW, **given})


def finished(server: Served):
    while not (job := server.album()["job"])["finished"]:
        time.sleep(0.01)
    return job


def test_plan_file_correct_and_undo(album, dogsort):
    before = tree(album)
    with serve(album) as server:
        found = server.album()
        generation = found["generation"]
        plan = ask(server, "/plan").json
        assert plan["counts"] == {"dog": 1, "cat": 1}
        assert plan["steps"][0] == [str(album / "rex.jpg"), str(album / "dog" / "rex.jpg")]
        assert tree(album) == before

        answer = ask(server, "/file")
        assert (answer.status, answer.json["kind"]) == (202, "file")
        assert finished(server)["counts"] == {"dog": 1, "cat": 1}
        assert (album / "dog" / "rex.jpg").exists()
        changes = server.get(f"/changes?generation={generation}&since={found['version']}").json
        assert {row[0]: row[-1] for row in changes["rows"]} == {
            0: str(album / "dog" / "rex.jpg"),
            1: str(album / "cat" / "tom.jpg"),
        }
        # It is shown from where it is now.
        assert server.get(f"/thumbnail/{generation}/0?size=160").status == 200
        assert server.get(f"/photo/{generation}/0").status == 200
        facts = server.get(f"/facts/{generation}/0").json
        assert facts["path"] == str(album / "rex.jpg")
        assert facts["filed"] == str(album / "dog" / "rex.jpg")

        assert server.label([0], "cat").status == 200
        assert ask(server, "/plan").json["counts"] == {"cat": 1}
        ask(server, "/file")
        assert finished(server)["counts"] == {"cat": 1}
        assert (album / "cat" / "rex.jpg").exists()
    with serve(album) as server:  # killed, and started again
        assert server.album()["filed"]["0"] == str(album / "cat" / "rex.jpg")
        server.post("/file/undo")
        assert finished(server)["counts"] == {"cat": 1}
        assert server.album()["filed"]["0"] == str(album / "dog" / "rex.jpg")
        assert dogsort("undo", album).returncode == 0  # another program moves it on
        assert server.album()["filed"] == {}
        assert server.undo().status == 200
        assert server.get(f"/thumbnail/{server.album()['generation']}/0?size=160").status == 200
        server.post("/done")
        assert server.wait() == 0
    (album / "table.csv").unlink()
    del before["table.csv"]
    assert tree(album) == before


def test_the_end_says_what_was_filed_and_how_to_undo_it(album, dogsort):
    plant(album, {"trip/tom.jpg.xmp": b"sidecar"})
    before = tree(album)
    with serve(album) as server:
        ask(server, "/file")
        finished(server)
        server.post("/done")
        assert server.wait() == 0
    undo = f"dogsort undo {album}"
    # Nothing was reviewed.
    assert server.said[-1] == f"moved: 1 cat, 1 dog, 1 sidecar; to undo: {undo}"
    assert dogsort(*undo.split()[1:]).returncode == 0
    assert tree(album) == before


def test_what_cannot_be_filed_is_told(album):
    with serve(album) as server:
        assert ask(server, "/file", action="delete").status == 400
        assert ask(server, "/plan", action=["move"]).status == 400
        assert ask(server, "/plan", generation=1).status == 409
        server.post("/file/undo")
        assert finished(server)["message"] == "there is nothing to undo"
        with locked(str(album)):
            assert ask(server, "/file").status == 202
            assert "another dogsort is at work" in finished(server)["message"]
        (album / "dog").write_bytes(b"")
        answer = ask(server, "/plan")
        assert (answer.status, answer.json["error"]) == (
            400,
            f"{album / 'dog'}: not a folder, so nothing can be filed into it",
        )
    with served(album / "table.csv") as server:
        assert "start dogsort review with --photos" in ask(server, "/plan").json["error"]


@pytest.mark.slow
@pytest.mark.parametrize("end", ["kill", "interrupt", "stop"])
def test_filing_that_is_cut_off_loses_nothing_and_goes_on(quick_path, end, dogsort):
    photos = {f"{number}.jpg": b"%d" % number for number in range(9000)}
    plant(quick_path, photos)
    write_table(quick_path / "table.csv", dict.fromkeys(photos, "dog"))
    with serve(quick_path) as server:
        how = {"generation": server.album()["generation"], **HOW}
        assert [server.post("/file", how).status for _ in range(2)] == [202, 409]
        while not (quick_path / "dog").is_dir():
            time.sleep(0.001)
        if end == "stop":
            server.post("/file/stop")
            # Unless it was at its last files.
            assert finished(server)["message"][:7] in ("stopped", "")
        elif end == "kill":
            server.kill()
        else:
            assert server.interrupt() == 0
            said = any(re.match(r"filing: \d+ of 9000 files; ", line) for line in server.said)
            # Unless it had ended before the server.
            assert said or len(list((quick_path / "dog").iterdir())) == len(photos)
    with serve(quick_path) as server:
        assert sorted(files_below(quick_path).values()) == sorted(
            [*photos.values(), (quick_path / "table.csv").read_bytes()]
        )
        ask(server, "/file")
        assert finished(server)["message"] == ""
        assert len(list((quick_path / "dog").iterdir())) == len(photos)
        server.post("/file/undo")
        assert finished(server)["counts"] == {"dog": len(photos)}
    found = files_below(quick_path)
    del found["table.csv"]
    assert found == photos


@pytest.mark.slow
def test_every_photo_of_a_messy_folder_lies_where_its_truth_says(data, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(data / "photos", folder)
    with open(data / "photos_truth.csv", newline="", encoding="utf-8") as file:
        truth = {str(folder / row["path"]): row["truth"] for row in csv.DictReader(file)}
    with served(folder) as server:
        while server.album()["running"]:
            time.sleep(0.2)
        found = server.album()
        labels = ("dog", "cat", "neither", "unsure", "failed")
        for row, path in enumerate(found["columns"]["path"]):
            right = "unsure" if truth[path] == "both" else truth[path]
            if right in labels and labels[found["columns"]["label"][row]] != right:
                assert server.label([row], right).status == 200
        ask(server, "/file")
        assert finished(server)["failures"] == 0
        filed = {path: path for path in found["columns"]["path"]}
        filed |= {
            found["columns"]["path"][int(row)]: place
            for row, place in server.album()["filed"].items()
        }
    stay = 0
    for path, place in filed.items():
        top = os.path.relpath(place, folder).split(os.sep)[0]
        if truth[path] in ("dog", "cat"):
            stay += place == path  # the same photo a second time
            assert place == path or top == truth[path]
        else:
            assert place == path
    assert stay == 1


def reviewed(server: Served) -> dict[str, tuple[str, str | None]]:
    """Wait until all is classified; return each row's label and where its photo was filed."""
    while (found := server.album())["running"]:
        time.sleep(0.05)
    labels = ("dog", "cat", "neither", "unsure", "failed")
    return {
        path: (labels[found["columns"]["label"][row]], found["filed"].get(str(row)))
        for row, path in enumerate(found["columns"]["path"])
    }


def set_label(server: Served, path: Path, label: str) -> None:
    row = server.album()["columns"]["path"].index(str(path))
    assert server.label([row], label).status == 200
    assert server.get(f"/photo/{server.album()['generation']}/{row}").status == 200


def test_rows_of_filed_photos_stay_theirs_after_undo(album, dogsort):
    (album / "table.csv").unlink()
    cat, tom = album / "cat" / "tom.jpg", album / "trip" / "tom.jpg"
    assert dogsort(album, "--move").returncode == 0
    with served(album) as server:
        assert reviewed(server)[str(cat)] == ("cat", None)
        set_label(server, cat, "dog")
        ask(server, "/file")
        assert finished(server)["counts"] == {"dog": 1}
        assert reviewed(server)[str(cat)] == ("dog", str(album / "dog" / "tom.jpg"))
    for _ in range(2):
        assert dogsort("undo", album).returncode == 0
    assert tom.exists()
    with served(album) as server:
        assert reviewed(server) == {
            str(cat): ("dog", str(tom)),
            str(album / "dog" / "rex.jpg"): ("dog", str(album / "rex.jpg")),
        }
        set_label(server, cat, "cat")
        set_label(server, cat, "dog")
        ask(server, "/file")
        assert finished(server)["counts"] == {"dog": 2}
        # A new run has begun, and the journal still knows.
        assert reviewed(server)[str(cat)] == ("dog", str(album / "dog" / "tom.jpg"))
    with served(album) as server:
        assert len(reviewed(server)) == 2
        assert reviewed(server)[str(cat)] == ("dog", str(album / "dog" / "tom.jpg"))
        assert ask(server, "/plan").json["counts"] == {}
        server.post("/file/undo")
        assert finished(server)["counts"] == {"dog": 2}
        assert reviewed(server)[str(cat)] == ("dog", str(tom))


def test_an_undo_in_a_shell_is_noticed(album, dogsort):
    rex, tom = album / "rex.jpg", album / "trip" / "tom.jpg"
    with serve(album) as server:
        ask(server, "/file")
        finished(server)
        found = server.album()
        assert found["filed"]["0"] == str(album / "dog" / "rex.jpg")
        since = f"/changes?generation={found['generation']}&since={found['version']}"
        assert all(row[-1] for row in server.get(since).json["rows"])
        assert dogsort("undo", album).returncode == 0
        assert {row[1]: row[-1] for row in server.get(since).json["rows"]} == {
            str(rex): None,
            str(tom): None,
        }
        ask(server, "/file")
        finished(server)
        assert dogsort("undo", album).returncode == 0
        body = {"generation": found["generation"], "rows": [0], "label": "cat"}
        assert server.post("/labels", body).status == 200
    # It was noted for where the photo is now.
    (album / "table.csv").unlink()
    assert dogsort(album, "--move").returncode == 0
    assert (album / "cat" / "rex.jpg").exists()


def test_a_filed_photo_corrected_to_neither_is_named(album):
    with serve(album) as server:
        ask(server, "/file")
        finished(server)
        assert server.label([1], "neither").status == 200
        plan = ask(server, "/plan").json
        why = "moved by an earlier run as cat; dogsort undo puts it back"
        place = album / "cat" / "tom.jpg"
        assert plan["failures"] == [[str(place), why]]
        assert (plan["failed"], plan["stays"], plan["in_place"]) == (1, 0, 1)
        assert ask(server, "/plan", neither=True).json["counts"] == {"neither": 1}
