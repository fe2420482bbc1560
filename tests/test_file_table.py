"""Filing by a table: from dogsort, corrected, or made by hand."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import pytest
from conftest import EXAMPLES, files_below
from trees import contents, edit, plant, tree

from dogsort.records import Prediction
from dogsort.results.tables import open_table

DOG, CAT = EXAMPLES / "running_dog.jpeg", EXAMPLES / "kitten.jpeg"


def correct(table: Path, **labels: str) -> None:
    """Change labels in a table, by the stem of the photo's name."""
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        rows = [row | {"label": labels.get(Path(row["path"]).stem, row["label"])} for row in reader]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, reader.fieldnames)
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_table_is_filed_without_classifying_again(dogsort, dogsort_process, album, suffix):
    before = tree(album)
    table = album.parent / f"p.{suffix}"
    assert dogsort("album", "-o", table.name, cwd=album.parent).returncode == 0
    command = ("file", table.name, "--move")
    run = dogsort_process(*command, cwd=album.parent, PYTHONPROFILEIMPORTTIME="1")
    assert run.returncode == 0, run.stderr.decode()
    assert "| torch\n" not in run.stderr.decode()
    assert sorted(path for path in files_below(album) if "/" in path) == [
        "cat/chelsea.png",
        "cat/kitten.jpeg",
        "dog/running_dog.jpeg",
    ]
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before


def test_rows_whose_photo_has_changed_or_gone_are_left_alone(dogsort, album):
    table = album.parent / "p.csv"
    dogsort(album, "-o", table)
    (album / "chelsea.png").unlink()
    os.utime(album / "kitten.jpeg", (1, 1))
    (album / "coffee.png").unlink()  # is not to be filed, so it may be missing
    run = dogsort("file", table, "--move")
    assert run.returncode == 3
    assert [line for line in run.stderr.decode().splitlines() if "not filed" in line] == [
        f"{album / 'chelsea.png'}: not filed: gone since it was classified",
        f"{album / 'kitten.jpeg'}: not filed: changed since it was classified",
    ]
    assert (album / "dog" / "running_dog.jpeg").exists()
    assert (album / "kitten.jpeg").exists()


def test_a_table_from_another_folder_is_told_where_paths_count_from(dogsort, album):
    hint = b"no photo was found: paths in a table are relative to the current folder"
    outside = album.parent
    assert dogsort("album", "-o", "p.csv", cwd=outside).returncode == 0
    astray = dogsort("file", "../p.csv", "--move", "--to", ".", "--photos", "..", cwd=album)
    assert astray.returncode == 3
    assert hint in astray.stderr
    # There are rows that are skipped, or were moved and corrected since.
    assert dogsort("album", "--move", cwd=outside).returncode == 0
    correct(outside / "p.csv", kitten="dog")
    corrected = dogsort("file", "p.csv", "--move", cwd=outside)
    assert b"moved by an earlier run as cat" in corrected.stderr
    assert hint not in corrected.stderr
    assert dogsort("album/cat", "-o", "cats.csv", cwd=outside).returncode == 0
    assert hint not in dogsort("file", "cats.csv", "--move", "--to", "album", cwd=outside).stderr


def test_a_table_is_filed_twice(dogsort, album):
    """As after a disk is back, or after Ctrl-C."""
    table = album.parent / "p.csv"
    dogsort(album, "-o", table)
    (album / "kitten.jpeg").rename(album.parent / "kitten.jpeg")
    assert dogsort("file", table, "--move").returncode == 3
    (album.parent / "kitten.jpeg").rename(album / "kitten.jpeg")
    again = dogsort("file", table, "--move")
    assert again.returncode == 0, again.stderr.decode()
    assert again.stderr.decode().splitlines() == [
        "moved by an earlier run: 2",
        f"moved: 1 cat, into {album / 'cat'}",
        f"to undo: dogsort undo {album}",
    ]
    assert again.stdout == b""
    assert dogsort("undo", album).returncode == 0
    assert dogsort("undo", album).returncode == 0
    (album / "chelsea.png").unlink()
    assert b"gone since it was classified" in dogsort("file", table, "--move").stderr


def test_a_label_that_was_corrected_after_filing_is_named(dogsort, tmp_path):
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(CAT, tmp_path / name)
    table_of(tmp_path, {"a.jpg": "cat", "b.jpg": "cat"})
    assert dogsort("file", "p.csv", "--move", "--to", ".", cwd=tmp_path).returncode == 0
    table_of(tmp_path, {"a.jpg": "dog", "b.jpg": "cat"})
    run = dogsort("file", "p.csv", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 3
    assert run.stderr.decode().splitlines() == [
        "a.jpg: not filed: moved by an earlier run as cat; dogsort undo puts it back",
        "moved by an earlier run: 1",
        "moved: nothing",
    ]
    assert sorted(files_below(tmp_path)) == ["cat/a.jpg", "cat/b.jpg", "p.csv"]


@pytest.mark.parametrize("label", ["neither", "unsure", ""])
def test_a_moved_photo_that_is_no_longer_to_be_filed_is_named(dogsort, tmp_path, label):
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(CAT, tmp_path / name)
    table_of(tmp_path, {"a.jpg": "cat"})
    assert dogsort("file", "p.csv", "--move", "--to", ".", cwd=tmp_path).returncode == 0
    why = "not filed: moved by an earlier run as cat; dogsort undo puts it back"
    table_of(tmp_path, {"a.jpg": label, "b.jpg": label})
    run = dogsort("file", "p.csv", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 3
    assert run.stderr.decode().splitlines() == [f"a.jpg: {why}", "moved: nothing"]
    # A table made after filing names it where it is.
    (tmp_path / "p.csv").write_text(f"path,label,network_label\ncat/a.jpg,{label},cat\n")
    run = dogsort("file", "p.csv", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 3
    assert run.stderr.decode().splitlines() == [f"cat/a.jpg: {why}", "moved: nothing"]


def test_a_corrected_table_decides(dogsort, album):
    table = album.parent / "p.csv"
    dogsort(album, "-o", table)
    correct(table, kitten="Dog ", coffee="cat", chelsea="", rocket="unsure")
    run = dogsort("file", table, "--copy", "--to", album / "out", "--unsure-to", "look")
    assert run.returncode == 0, run.stderr.decode()
    assert sorted(files_below(album / "out")) == [
        "cat/coffee.png",
        "dog/kitten.jpeg",
        "dog/running_dog.jpeg",
        "look/rocket.jpg",
    ]


def test_tables_of_spreadsheets_are_read(dogsort, album):
    name = '=1+1; ,"x".jpeg'
    shutil.copy(DOG, album / name)
    text = f'\ufeffid;label;path\r\n1;dog;"album/{name.replace(chr(34), chr(34) * 2)}"\r\n'
    (album.parent / "p.csv").write_bytes(text.encode())
    run = dogsort("file", "p.csv", "--move", "--to", "album", cwd=album.parent)
    assert run.returncode == 0, run.stderr.decode()
    assert (album / "dog" / name).exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "p.csv: no column 'path'"),
        ("", "p.csv: no column 'path'"),
        ("x" * 200_000, "p.csv: line 1: field larger than field limit"),
        (
            "path,label\nalbum/kitten.jpeg,tiger\n",
            "p.csv: line 2: unknown label 'tiger'; use one of",
        ),
        ("path,label\n,cat\n", "p.csv: line 2: no path"),
        ('path,label\n"a"b,cat\n', "p.csv: line 2: "),
        ("path,label\na,cat\nb,cat\na,dog\n", "p.csv: line 4: a appears twice"),
        ("path,label\n../outside.jpg,cat\n", "line 2: ../outside.jpg is not below ."),
        ("path,label\nalbum/out/x.jpg,cat\n", "album/out/x.jpg is not below ."),
        ("path,label\n/etc/passwd,cat\n", "p.csv: line 2: /etc/passwd is not below ."),
        ("path,label\n/etc/passwd,cat\n", "it is of another folder, or of this one under an old"),
        ("path,label\nalbum/..,cat\n", "is not below"),
        ("path,label\n../outside.jpg,cat\n", "paths are relative to the current folder"),
        ("path,label\nx/../.DogSort/journal.db,dog\n", ".dogsort are dogsort's own"),
        ("path,label\nalbum/x.jpg,dog\n./album/x.jpg,cat\n", "line 3: ./album/x.jpg appears twice"),
    ],
)
def test_tables_that_make_no_sense_or_lead_outside_file_nothing(dogsort, album, text, message):
    (album.parent / "elsewhere").mkdir()
    shutil.copy(CAT, album.parent / "elsewhere" / "x.jpg")
    home = album.parent / "home"
    home.mkdir()
    album.rename(home / "album")
    (home / "album" / "out").symlink_to(album.parent / "elsewhere")
    before = contents(album.parent)
    (home / "p.csv").write_text(text)
    run = dogsort("file", "p.csv", "--move", "--to", "album", cwd=home)
    assert run.returncode == 1
    assert message in run.stderr.decode()
    assert contents(album.parent) == sorted([*before, text.encode()])


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{",
        '{"path": "\\ud800", "label": "cat"}',
        '{"path": 1, "label": "cat"}',
        '{"path": "a"}',
    ],
)
def test_json_that_makes_no_sense(dogsort, tmp_path, line):
    (tmp_path / "p.jsonl").write_text(line)
    run = dogsort("file", "p.jsonl", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 1
    assert "p.jsonl: line 1: " in run.stderr.decode()
    (tmp_path / "p.parquet").write_text(line)
    run = dogsort("file", "p.parquet", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 1
    assert "not a readable Parquet file" in run.stderr.decode()


def table_of(folder: Path, labels: dict[str, str]) -> Path:
    table = folder / "p.csv"
    table.write_text("path,label\n" + "".join(f"{name},{word}\n" for name, word in labels.items()))
    return table


def test_rows_that_are_not_filed_keep_what_belongs_to_their_photos(dogsort, tmp_path):
    names = ("i.jpg", "i.heic", "i.xmp", "k.jpg", "k.heic", "k.xmp", "m.jpg", "m.heic", "m.xmp")
    plant(tmp_path, {name: name.encode() for name in (*names, "a.jpg")})
    (tmp_path / "l.jpg").symlink_to("a.jpg")
    (tmp_path / "m.jpg").unlink()
    table_of(
        tmp_path,
        {"i.jpg": "dog", "i.heic": "neither", "k.jpg": "dog", "k.heic": "cat"}
        | {"m.jpg": "", "m.heic": "dog", "a.jpg": "dog", "l.jpg": ""},
    )
    shutil.copy(CAT, tmp_path / "k.heic")
    assert dogsort("k.heic", cwd=tmp_path).returncode == 0
    edit(tmp_path / "k.heic", b"changed since")
    run = dogsort("file", "p.csv", "--move", "--to", ".", cwd=tmp_path)
    said = run.stderr.decode()
    assert run.returncode == 3, said
    assert "k.heic: not filed: changed since it was classified" in said
    for name in ("i.xmp", "k.xmp"):
        assert f"{name}: stays, since the photos with its name do not all go together" in said
    # A missing photo holds up no other.
    assert sorted(path for path in files_below(tmp_path) if path.startswith("dog")) == [
        f"dog/{name}" for name in ("i.jpg", "k.jpg", "m.heic", "m.xmp")
    ]
    assert (tmp_path / "l.jpg").read_bytes() == b"a.jpg"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
@pytest.mark.parametrize("action", ["move", "copy", "link", "hardlink"])
def test_what_a_table_names_and_is_no_file(dogsort, tmp_path, action):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    table_of(tmp_path, {"pipe.jpg": "dog", "folder.jpg": "cat"})
    run = dogsort("file", "p.csv", f"--{action}", "--to", "out", cwd=tmp_path)
    assert run.returncode == 3
    assert [line for line in run.stderr.decode().splitlines() if "not filed" in line] == [
        "folder.jpg: not filed: not a file",
        "pipe.jpg: not filed: not a file",
    ]


def test_a_table_made_by_hand_keeps_the_tree(dogsort, tmp_path):
    plant(tmp_path, {"album/2019/x.jpg": b"x"})
    table_of(tmp_path, {"album/2019/x.jpg": "dog"})
    run = dogsort("file", "p.csv", "--copy", "--keep-tree", "--to", "out", cwd=tmp_path)
    assert run.returncode == 0, run.stderr.decode()
    assert (tmp_path / "out/dog/album/2019/x.jpg").exists()
    # Also from a subfolder, where paths begin with ../.
    (tmp_path / "below").mkdir()
    table_of(tmp_path, {"../album/2019/x.jpg": "dog"})
    command = ("file", "../p.csv", "--copy", "--keep-tree", "--to", "out")
    run = dogsort(*command, cwd=tmp_path / "below")
    assert run.returncode == 0, run.stderr.decode()
    assert (tmp_path / "below/out/dog/album/2019/x.jpg").exists()


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_what_was_put_right_by_hand_stays(dogsort, tmp_path, options):
    names = ("a.jpg", "2018/b.jpg", "2019/c.jpg")
    plant(tmp_path, {name: name.encode() for name in names})
    move = ("file", "p.csv", "--move", "--keep-tree", "--to", ".")
    table_of(tmp_path, dict.fromkeys(names[1:], "dog"))
    assert dogsort(*move, cwd=tmp_path).returncode == 0
    # A person saw a cat there; a new table still has the network's labels.
    (tmp_path / "dog" / "2019" / "cat.jpg").write_bytes(b"cat")
    rows = {"dog/2018/b.jpg": "cat", "dog/2019/cat.jpg": "cat", "dog/2019/c.jpg": "dog"}
    with open_table(str(tmp_path / "p.csv")) as table:
        for path, label in (rows | {"a.jpg": "cat"}).items():
            table.write(Prediction(path, label, float(label == "dog"), 1.0, 1.0))
    run = dogsort(*move, *options, "-v", cwd=tmp_path)
    assert run.returncode == 0, run.stderr.decode()
    said = run.stderr.decode()
    assert said.count("folders in it that earlier runs filed into are skipped") == 1
    if options:
        assert run.stdout.decode().splitlines()[1:] == ["move,a.jpg,./cat/a.jpg,cat,,5"]
        return
    assert (tmp_path / "cat" / "a.jpg").exists()
    assert (tmp_path / "dog" / "2019" / "cat.jpg").exists()
    # A folder that is named is meant.
    run = dogsort(*move, "--photos", "dog/2019", cwd=tmp_path)
    assert run.returncode == 1  # for the other rows
    table_of(tmp_path, {"dog/2019/cat.jpg": "cat"})
    assert dogsort(*move, "--photos", "dog/2019", cwd=tmp_path).returncode == 0
    assert (tmp_path / "cat" / "cat.jpg").exists()


@pytest.mark.parametrize("is_filed_into_elsewhere", [False, True])
def test_a_mistake_found_after_filing_is_corrected_by_a_table(
    dogsort, tmp_path, album, is_filed_into_elsewhere
):
    to = ["--to", tmp_path / "sorted"] if is_filed_into_elsewhere else []
    home = tmp_path / "sorted" if to else album
    before = files_below(album)
    assert dogsort(album, "--move", *to).returncode == 0
    table = tmp_path / "again.csv"
    assert dogsort(home, "-o", table).returncode == 0
    lines = table.read_text().splitlines(keepends=True)
    (line,) = [line for line in lines if "kitten" in line]
    table.write_text("".join(lines).replace(line, line.replace(",cat,", ",dog,")))
    run = dogsort("file", table, "--move", "--photos", home)
    assert run.returncode == 0, run.stderr.decode()
    assert (home / "dog" / "kitten.jpeg").exists()
    assert (home / "cat" / "chelsea.png").exists()  # it was not corrected
    for _ in "12":
        assert dogsort("undo", home).returncode == 0
    assert files_below(album) == before


def test_a_table_that_is_not_utf8_is_named(dogsort, tmp_path):
    plant(tmp_path, {"Hündchen.jpg": b"x"})
    (tmp_path / "p.csv").write_bytes("path,label\nHündchen.jpg,dog\n".encode("cp1252"))
    run = dogsort("file", "p.csv", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 3
    assert "or the table is not UTF-8: save it as 'CSV UTF-8'" in run.stderr.decode()


def test_a_folder_of_photos_takes_no_others(dogsort, tmp_path):
    plant(tmp_path, {"a.jpg": b"x", "2019/b.jpg": b"y"})
    table_of(tmp_path, {"a.jpg": "unsure"})
    command = ("file", "p.csv", "--move", "--to", ".")
    run = dogsort(*command, "--unsure-to", "2019", cwd=tmp_path)
    assert run.returncode == 2
    assert "--unsure-to '2019': that folder has photos of yours" in run.stderr.decode()
    for _ in "12":  # what was filed there is no reason
        assert dogsort(*command, "--unsure-to", "check", cwd=tmp_path).returncode == 0
    assert (tmp_path / "check" / "a.jpg").exists()


def test_names_that_are_no_utf8_need_csv(dogsort, tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    with open_table(str(tmp_path / "p.jsonl")) as table:
        table.write(Prediction(name, "dog", 1.0, 1.0, 1.0))
    run = dogsort("file", "p.jsonl", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 3
    assert "its name is not UTF-8, which needs a .csv table" in run.stderr.decode()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--unsure-to", "Dog"), "--unsure-to 'Dog': other photos go there"),
        (("--unsure-to", "x", "--neither-to", "X"), "--neither-to 'X': other photos go there"),
        (("-n", "-o", "p.csv"), "p.csv: is an input of this command"),
    ],
)
def test_names_that_clash(dogsort, tmp_path, options, message):
    table = table_of(tmp_path, {"a.jpg": "dog"})
    before = table.read_bytes()
    run = dogsort("file", "p.csv", "--move", "--to", ".", *options, cwd=tmp_path)
    assert run.returncode == 2
    assert message in run.stderr.decode()
    assert table.read_bytes() == before


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_all_conflicts_are_named(dogsort, tmp_path, options):
    plant(tmp_path, {name: name.encode() for name in ("a.jpg", "b.jpg", "dog/a.jpg", "dog/b.jpg")})
    table_of(tmp_path, {"a.jpg": "dog", "b.jpg": "dog"})
    run = dogsort("file", "p.csv", "--move", "--to", ".", "-v", *options, cwd=tmp_path)
    assert run.returncode == 0, run.stderr.decode()
    for name in ("a.jpg", "b.jpg"):
        assert f"{name}: another file has the name ./dog/{name}" in run.stderr.decode()
    assert "name taken by another file, so filed under a new name: 2" in run.stderr.decode()
    assert (tmp_path / "dog" / "a.jpg").read_bytes() == b"dog/a.jpg"
    assert (tmp_path / "dog" / "a (2).jpg").exists() == (not options)


def test_what_is_called_like_a_copy_that_is_not_whole_yet_stays(dogsort, tmp_path):
    (tmp_path / ".dogsort.partial").write_bytes(b"precious")
    (tmp_path / "table.csv").write_text("path,label\n.dogsort.partial,dog\n")
    run = dogsort("file", "table.csv", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 3
    assert b".dogsort and .dogsort.partial are dogsort's own" in run.stderr
    assert (tmp_path / ".dogsort.partial").read_bytes() == b"precious"


def test_a_photo_is_copied_once_whether_its_link_comes_first(dogsort, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    shutil.copy(CAT, tmp_path / "b" / "tom.jpeg")
    (tmp_path / "a" / "tom.jpeg").symlink_to("../b/tom.jpeg")
    (tmp_path / "table.csv").write_text("path,label\na/tom.jpeg,cat\nb/tom.jpeg,cat\n")
    run = dogsort("file", "table.csv", "--copy", "--to", "to", cwd=tmp_path)
    assert run.returncode == 0, run.stderr.decode()
    assert [path.name for path in (tmp_path / "to" / "cat").iterdir()] == ["tom.jpeg"]
