"""Filing as a user asks for it: by a table, into a tree, with conflicts, interrupted."""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import EXAMPLES, files_below
from test_undo import contents, forget, plant, tree

from dogsort.records import Prediction
from dogsort.results.log import Entry, Stamp
from dogsort.results.log_file import LogFile
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
def test_a_table_is_filed_without_classifying_again(dogsort, album, suffix):
    before = tree(album)
    table = album.parent / f"p.{suffix}"
    assert dogsort("album", "-o", table.name, cwd=album.parent).returncode == 0
    run = dogsort("file", table.name, "--move", cwd=album.parent, PYTHONPROFILEIMPORTTIME="1")
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
    (album / "coffee.png").unlink()  # is not to be filed, so nobody asks for it
    run = dogsort("file", table, "--move")
    assert run.returncode == 3
    assert [line for line in run.stderr.decode().splitlines() if "not filed" in line] == [
        f"{album / 'chelsea.png'}: not filed: gone since it was classified",
        f"{album / 'kitten.jpeg'}: not filed: changed since it was classified",
    ]
    assert (album / "dog" / "running_dog.jpeg").exists()
    assert (album / "kitten.jpeg").exists()


def test_a_table_from_another_folder_is_told_where_paths_count_from(dogsort, album):
    hint = b"none of them is there: paths in a table count from the current folder"
    outside = album.parent
    assert dogsort("album", "-o", "p.csv", cwd=outside).returncode == 0
    astray = dogsort("file", "../p.csv", "--move", "--to", ".", "--photos", "..", cwd=album)
    assert astray.returncode == 3
    assert hint in astray.stderr
    # Rows that are passed over, or were moved and corrected since, are there.
    assert dogsort("album", "--move", cwd=outside).returncode == 0
    correct(outside / "p.csv", kitten="dog")
    corrected = dogsort("file", "p.csv", "--move", cwd=outside)
    assert b"moved by an earlier run as cat" in corrected.stderr
    assert hint not in corrected.stderr
    assert dogsort("album/cat", "-o", "p.csv", cwd=outside).returncode == 0
    assert hint not in dogsort("file", "p.csv", "--move", "--to", "album", cwd=outside).stderr


def test_a_table_is_filed_twice(dogsort, album):
    """As one does after a Ctrl-C."""
    table = album.parent / "p.csv"
    dogsort(album, "-o", table)
    (album / "kitten.jpeg").rename(album.parent / "kitten.jpeg")
    assert dogsort("file", table, "--move").returncode == 3
    (album.parent / "kitten.jpeg").rename(album / "kitten.jpeg")
    again = dogsort("file", table, "--move")
    assert again.returncode == 0, again.stderr.decode()
    assert b"moved by an earlier run: 2\nmoved: 1 cat\n" in again.stderr
    assert dogsort("undo", album).returncode == 0
    assert dogsort("undo", album).returncode == 0
    (album / "chelsea.png").unlink()
    assert b"gone since it was classified" in dogsort("file", table, "--move").stderr


def test_what_a_second_call_cannot_mend_is_named(dogsort, tmp_path):
    """A label that was corrected after filing; a run that was stopped between photo and sidecar."""
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        shutil.copy(CAT, tmp_path / name)
    table = tmp_path / "t.csv"
    table.write_text("path,label\na.jpg,cat\nb.jpg,cat\nc.jpg,cat\n")
    assert dogsort("file", "t.csv", "--move", "--to", ".", cwd=tmp_path).returncode == 0
    table.write_text("path,label\na.jpg,dog\nb.jpg,cat\nc.jpg,cat\n")
    (tmp_path / "b.xmp").write_bytes(b"stars")
    run = dogsort("file", "t.csv", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 3
    assert run.stderr.decode().splitlines()[:-1] == [
        "a.jpg: not filed: moved by an earlier run as cat; dogsort undo takes that back",
        "b.jpg: not filed: moved by an earlier run, but not what has its name; dogsort undo takes "
        "that back",
        "moved by an earlier run: 1",
    ]


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
        ("a,b\n1,2\n", "p.csv: there is no column 'path'"),
        ("", "p.csv: there is no column 'path'"),
        ("path,label\nalbum/kitten.jpeg,tiger\n", "p.csv: line 2: the label 'tiger' is none of"),
        ("path,label\n,cat\n", "p.csv: line 2: there is no path"),
        ('path,label\n"a"b,cat\n', "p.csv: line 2: "),
        ("path,label\na,cat\nb,cat\na,dog\n", "p.csv: line 4: a is there twice"),
        ("path,label\n../outside.jpg,cat\n", "line 2: ../outside.jpg does not lie below ."),
        ("path,label\nalbum/out/x.jpg,cat\n", "album/out/x.jpg does not lie below ."),
        ("path,label\n/etc/passwd,cat\n", "p.csv: line 2: /etc/passwd does not lie below ."),
        ("path,label\nalbum/..,cat\n", "does not lie below"),
        ("path,label\n../outside.jpg,cat\n", "paths count from the current folder"),
        ("path,label\nx/../.DogSort/run-000009.jsonl,dog\n", ".dogsort is dogsort's own"),
        ("path,label\nalbum/x.jpg,dog\n./album/x.jpg,cat\n", "line 3: ./album/x.jpg is there tw"),
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


@pytest.mark.parametrize("line", ["[]", "{", '{"path": "\\ud800", "label": "cat"}', '{"path": 1}'])
def test_json_that_makes_no_sense(dogsort, tmp_path, line):
    (tmp_path / "p.jsonl").write_text(line)
    run = dogsort("file", "p.jsonl", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 1
    assert "p.jsonl: line 1: " in run.stderr.decode()
    (tmp_path / "p.parquet").write_text(line)
    run = dogsort("file", "p.parquet", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 1
    assert "no Parquet file" in run.stderr.decode()


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
    log = LogFile(str(tmp_path / "p.csv.1.partial"), "w", ["."])
    log.add("k.heic", Entry(Stamp(6, 1), 0.0, 1.0))
    log.complete(str(tmp_path / "p.csv"))
    run = dogsort("file", "p.csv", "--move", cwd=tmp_path)
    said = run.stderr.decode()
    assert run.returncode == 3, said
    assert "k.heic: not filed: changed since it was classified" in said
    for name in ("i.xmp", "k.xmp"):
        assert f"{name}: stays, since not all photos of its name go the same way" in said
    # What is gone keeps nothing back.
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
        "pipe.jpg: not filed: not a file",
        "folder.jpg: not filed: not a file",
    ]


def test_a_table_without_a_log_keeps_the_tree(dogsort, tmp_path):
    plant(tmp_path, {"album/2019/x.jpg": b"x"})
    table_of(tmp_path, {"album/2019/x.jpg": "dog"})
    run = dogsort("file", "p.csv", "--copy", "--keep-tree", "--to", "out", cwd=tmp_path)
    assert run.returncode == 0, run.stderr.decode()
    assert (tmp_path / "out/dog/album/2019/x.jpg").exists()
    # Also from a folder below, whose rows lead up first.
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
    # Somebody saw a cat there; a table of everything still says what the network thinks.
    (tmp_path / "dog" / "2019" / "cat.jpg").write_bytes(b"cat")
    rows = {"dog/2018/b.jpg": "cat", "dog/2019/cat.jpg": "cat", "dog/2019/c.jpg": "dog"}
    table_of(tmp_path, rows | {"a.jpg": "cat"})
    run = dogsort(*move, *options, "-v", cwd=tmp_path)
    assert run.returncode == 0, run.stderr.decode()
    said = run.stderr.decode()
    assert said.count("dog: folders in it that earlier runs filed into are passed over") == 1
    assert "dog/2018: passed over" in said
    if options:
        assert run.stdout.decode().splitlines()[1:] == ["move,a.jpg,./cat/a.jpg,cat,,5"]
        return
    assert (tmp_path / "cat" / "a.jpg").exists()
    assert (tmp_path / "dog" / "2019" / "cat.jpg").exists()
    # Who names the folder itself means it.
    run = dogsort(*move, "--photos", "dog/2019", cwd=tmp_path)
    assert run.returncode == 1  # for the other rows
    table_of(tmp_path, {"dog/2019/cat.jpg": "cat"})
    assert dogsort(*move, "--photos", "dog/2019", cwd=tmp_path).returncode == 0
    assert (tmp_path / "cat" / "cat.jpg").exists()


def test_names_that_are_no_utf8_need_csv(dogsort, tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    with open_table(str(tmp_path / "p.jsonl")) as table:
        table.write(Prediction(name, "dog", 1.0, 1.0, 1.0))
    run = dogsort("file", "p.jsonl", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 3
    assert "a name that is no UTF-8, which needs a .csv table" in run.stderr.decode()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--unsure-to", "Dog"), "--unsure-to 'Dog': other photos go there"),
        (("--unsure-to", "x", "--neither-to", "X"), "--neither-to 'X': other photos go there"),
        (("-n", "-o", "p.csv"), "p.csv: is to be read itself"),
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
    before = tree(tmp_path)
    command = ("file", "p.csv", "--move", "--to", ".", "--on-conflict", "fail", "-v")
    run = dogsort(*command, *options, cwd=tmp_path)
    assert run.returncode == 1
    for name in ("a.jpg", "b.jpg"):
        assert f"{name}: another file has the name ./dog/{name}" in run.stderr.decode()
    assert "so it is with 2 in all, and nothing is filed" in run.stderr.decode()
    assert tree(tmp_path) == before


def test_sub_folders_are_kept_below_the_label(dogsort, album):
    (album / "2019" / "may").mkdir(parents=True)
    shutil.copy(DOG, album / "2019" / "may" / "rex.jpg")
    shutil.copy(DOG, album / "2019" / "rex.jpg")
    before = tree(album)
    run = dogsort(f"{album}/", "--move", "--keep-tree", "--neither-to", "rest", "-v")
    assert run.returncode == 0, run.stderr.decode()
    assert sorted(files_below(album)) == [
        "cat/chelsea.png",
        "cat/kitten.jpeg",
        "dog/2019/may/rex.jpg",
        "dog/2019/rex.jpg",
        "dog/running_dog.jpeg",
        "rest/astronaut.png",
        "rest/coffee.png",
        "rest/rocket.jpg",
    ]
    again = dogsort(album, "--move", "--keep-tree")
    assert "moved: nothing" in again.stderr.decode()
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before


def test_names_that_are_taken(dogsort, album):
    (album / "dog").mkdir()
    (album / "dog" / "running_dog.jpeg").write_bytes(b"of somebody else")
    before = tree(album)
    fails = dogsort(album, "--move", "--on-conflict", "fail")
    assert fails.returncode == 1
    assert "nothing is filed" in fails.stderr.decode()
    assert tree(album) == before
    skips = dogsort(album, "--move", "--on-conflict", "skip", "-v")
    assert skips.returncode == 3  # for what is in the way is no photo
    assert "so left where they are: 1" in skips.stderr.decode()
    assert (album / "running_dog.jpeg").exists()
    assert (album / "cat" / "kitten.jpeg").exists()
    renames = dogsort(album, "--move")
    assert "so filed under other names: 1" in renames.stderr.decode()
    assert (album / "dog" / "running_dog (2).jpeg").exists()


def test_hard_links_are_the_photo_and_undone(dogsort, album):
    before = tree(album)
    assert dogsort(album, "--hardlink").returncode == 0
    assert (album / "cat" / "kitten.jpeg").samefile(album / "kitten.jpeg")
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before


def test_a_label_folder_that_is_a_link_out_is_refused(dogsort, album, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (album / "cat").symlink_to(tmp_path / "elsewhere")
    before = files_below(album)
    run = dogsort(album, "--move")
    assert run.returncode == 1
    assert "cat: is a link that leads out of" in run.stderr.decode()
    assert files_below(album) == before
    # Also further down.
    (album / "cat").unlink()
    (album / "cat").mkdir()
    (album / "cat" / "2019").symlink_to(tmp_path / "elsewhere")
    (album / "2019").mkdir()
    shutil.copy(CAT, album / "2019" / "tom.jpg")
    run = dogsort(album, "--move", "--keep-tree")
    assert run.returncode == 3
    assert "2019 is a link that leads elsewhere" in run.stderr.decode()
    assert (album / "2019" / "tom.jpg").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_names_that_would_be_too_long_are_named(dogsort, album):
    name = "a" * 250 + ".jpeg"
    shutil.copy(DOG, album / name)
    (album / "dog").mkdir()
    (album / "dog" / name).write_bytes(b"other")
    run = dogsort(album, "--move", "--to", album)
    assert run.returncode == 3
    assert f"{name}: not filed: File name too long" in run.stderr.decode()
    assert (album / name).exists()
    assert (album / "dog" / "running_dog.jpeg").exists()


def test_paths_of_4000_bytes(dogsort, album):
    deep = album
    while len(os.fsencode(deep)) < 3790:
        deep = deep / ("d" * 200)
    deep = deep / ("d" * (4000 - len(os.fsencode(deep)) - len("/cat.jpeg") - 1))
    handle = os.open(album, os.O_RDONLY)
    for part in deep.relative_to(album).parts:
        os.mkdir(part, dir_fd=handle)
        below = os.open(part, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    shutil.copy(CAT, deep / "cat.jpeg")
    assert len(os.fsencode(deep / "cat.jpeg")) == 4000
    before = tree(album)
    assert dogsort(album, "--move").returncode == 0
    assert (album / "cat" / "cat.jpeg").exists()
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before
    # With its tree, it comes to 4,004 bytes; two folders more, and the system refuses it.
    assert dogsort(album, "--move", "--keep-tree").returncode == 0
    assert dogsort("undo", album).returncode == 0
    run = dogsort(album, "--copy", "--keep-tree", "--to", album / ("x" * 99))
    assert run.returncode == 3
    assert "cat.jpeg: not filed: " in run.stderr.decode()
    assert "File name too long" in run.stderr.decode()


def started(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dogsort", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What is started in the background by a shell ignores Ctrl-C, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


#: So many that a signal comes while they are filed, however late on a busy machine.
MANY = 5_000


def filed(number: int) -> str:
    """Where one of many goes."""
    return f"{'dog' if number % 2 else 'cat'}/{number:05}.jpg"


def many(folder: Path) -> None:
    plant(folder, {f"{number:05}.jpg": b"%d" % number for number in range(MANY)})
    rows = "".join(
        f"{folder}/{number:05}.jpg,{os.path.dirname(filed(number))}\n" for number in range(MANY)
    )
    (folder.parent / "p.csv").write_text("path,label\n" + rows)


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(
    ("signals", "moment"),
    [
        ([signal.SIGINT], 0),
        ([signal.SIGTERM], 500),
        ([signal.SIGINT] * 2, 2001),
        ([signal.SIGTERM, signal.SIGINT], 1001),
    ],
)
def test_stopped_while_filing_and_while_undoing(dogsort, tmp_path, signals, moment):
    """Whenever it is stopped, what was done is said, and nothing is lost."""
    album = tmp_path / "album"
    many(album)
    before = tree(album)

    def stop(arguments: list[object], moment: Path, appears: bool) -> bytes:
        process = started(*arguments)
        while moment.exists() != appears:
            assert process.poll() is None, process.stderr.read().decode()
        for number in signals:
            process.send_signal(number)
        _, text = process.communicate(timeout=60)
        assert process.returncode == 130, text
        assert b"Traceback" not in text
        assert contents(album) == sorted(b"%d" % number for number in range(MANY))
        return text

    filing = ["file", tmp_path / "p.csv", "--move", "--to", album]
    text = stop(filing, album / filed(moment), appears=True)
    count = sum(path.is_file() for label in ("dog", "cat") for path in (album / label).glob("*"))
    assert (
        b"%d of %d files were moved, the others are as they were; to take it back: dogsort undo"
        % (count, MANY)
        in text
    )
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before
    assert dogsort(*filing).returncode == 0
    # Which begins with the last one.
    text = stop(["undo", album], album / filed(MANY - 1 - moment), appears=False)
    assert b"of %d files are put back; the same command goes on" % MANY in text
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_run_is_taken_back_by_the_next_one(dogsort, tmp_path):
    """Also if that is interrupted while it does so; then one undo gives back what was before."""
    album = tmp_path / "album"
    many(album)
    before = tree(album)
    filing = ["file", tmp_path / "p.csv", "--move", "--to", album]
    process = started(*filing)
    while not (album / filed(4001)).exists():
        assert process.poll() is None, process.stderr.read().decode()
    process.kill()
    process.communicate()
    planned = dogsort(*filing, "--dry-run")
    assert (
        b"if it was killed, the next one that files into it takes it back first" in planned.stderr
    )
    process = started(*filing)
    while not (album / "04001.jpg").exists():
        assert process.poll() is None, process.stderr.read().decode()
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert b"files are put back; the same command goes on" in text
    run = dogsort(*filing)
    said = run.stderr.decode().splitlines()
    assert run.returncode == 0, said
    assert "was taken back only in part; that is to go on" in said[0]
    assert said[1].endswith("  undone")
    assert f"moved: {MANY // 2} cat, {MANY // 2} dog" in said
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before
    assert b"is undone already" in dogsort("undo", album).stderr


def test_a_run_from_elsewhere_is_taken_back_only_where_it_came_from(dogsort, album, tmp_path):
    """A journal may come with a stranger's folder, and shall not write elsewhere unasked."""
    sorted_, other = tmp_path / "sorted", tmp_path / "other"
    other.mkdir()
    shutil.copy(album / "kitten.jpeg", other / "another.jpeg")
    before = tree(album)
    assert dogsort(album, "--move", "--to", sorted_).returncode == 0
    forget(sorted_)
    run = dogsort(other, "--move", "--to", sorted_)
    assert run.returncode == 0, run.stderr.decode()
    assert b"filed photos from elsewhere, so it is left as it is; to take it back: " in run.stderr
    assert not (album / "kitten.jpeg").exists()
    run = dogsort(album, "--move", "--to", sorted_)
    assert run.returncode == 0, run.stderr.decode()
    assert b"it is to be taken back" in run.stderr
    assert (sorted_ / "cat" / "kitten.jpeg").exists()
    assert dogsort("undo", sorted_).returncode == 0
    assert tree(album) == before


def test_a_killed_run_is_taken_back_before_photos_are_looked_for(dogsort, album):
    before = tree(album)
    photos = [album / name for name in ("kitten.jpeg", "running_dog.jpeg")]
    filing = (*photos, "--move", "--to", album)
    assert dogsort(*filing).returncode == 0
    assert dogsort(*filing).returncode == 2  # they are gone
    forget(album)
    run = dogsort(*filing, "--quiet")
    assert run.returncode == 0, run.stderr.decode()
    (said,) = run.stderr.decode().splitlines()
    assert said.endswith(
        "was stopped: 2 of its files are filed, the others were not; it is to be taken back"
    )
    assert (album / "cat" / "kitten.jpeg").exists()
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before
    # The whole folder, and with an undo that was killed instead.
    assert dogsort(album, "--move").returncode == 0
    with (album / ".dogsort" / "run-000003.jsonl").open("a") as file:
        file.write('{"undoing": true, "restored": {}}\n')
    run = dogsort(album, "--copy")
    assert "that is to go on" in run.stderr.decode().splitlines()[0]
    assert run.returncode == 0
    assert (album / "kitten.jpeg").exists()
    assert dogsort("undo", album).returncode == 0
    assert contents(album) == sorted(content for content, _ in before.values())


def test_what_of_a_killed_run_cannot_be_put_back_is_named_once(dogsort, album):
    assert dogsort(album, "--move").returncode == 0
    late = album / "late"
    late.mkdir()
    for name, photo in (("edited.jpeg", DOG), ("taken.jpeg", CAT), ("new.jpeg", CAT)):
        shutil.copy(photo, late / name)
    assert dogsort(album, "--move").returncode == 0
    forget(album, "000002")
    (album / "dog" / "edited.jpeg").write_bytes(b"edited")
    shutil.copy(DOG, late / "taken.jpeg")
    run = dogsort(album, "--move")
    said = run.stderr.decode()
    assert run.returncode == 3, said
    for name, reason in (
        ("dog/edited.jpeg", "it was changed since it was filed"),
        ("cat/taken.jpeg", f"its old name is taken: {late / 'taken.jpeg'}"),
    ):
        assert f"{album / name}: not put back: {reason}" in said
    assert said.index("put back: 1 files; 2 not") < said.index("moved: 1 cat, 1 dog")
    assert (album / "dog" / "edited.jpeg").read_bytes() == b"edited"
    assert (album / "cat" / "taken.jpeg").read_bytes() == CAT.read_bytes()
    assert (album / "dog" / "taken.jpeg").read_bytes() == DOG.read_bytes()
    # It is not tried again by the next one, but by undo.
    again = dogsort(album, "--move")
    assert again.returncode == 0, again.stderr.decode()
    assert b"put back" not in again.stderr
    assert dogsort("undo", album).returncode == 0
    (late / "taken.jpeg").unlink()
    assert dogsort("undo", album).returncode == 0
    assert (late / "taken.jpeg").read_bytes() == CAT.read_bytes()
    listed = dogsort("undo", album, "--list").stdout.decode().splitlines()
    assert [line.split("  ")[-1] for line in listed] == [
        "filed",
        "undone, but for 1 changed or gone since",
        "undone",
    ]


def test_undo_takes_back_the_killed_run_and_no_other(dogsort, album):
    assert dogsort(album, "--copy", "--to", album / "sorted").returncode == 0
    between = tree(album)
    assert dogsort(album, "--link", "--to", album / "sorted").returncode == 0
    forget(album / "sorted", "000002")
    assert dogsort("undo", album / "sorted").returncode == 0
    after = tree(album)
    for one in (between, after):
        for name in [name for name in one if ".dogsort" in name]:
            del one[name]
    assert after == between


def test_runs_of_before_journals_told_the_end_are_not_taken_back(dogsort, album):
    assert dogsort(album, "--move").returncode == 0
    forget(album)
    (journal,) = (album / ".dogsort").glob("run-*")
    journal.write_bytes(journal.read_bytes().replace(b'"journal": 2', b'"journal": 1'))
    after = tree(album)
    run = dogsort(album, "--move")
    assert run.returncode == 0
    assert b"3 of its files are filed, the others were not; dogsort undo takes it" in run.stderr
    assert tree(album) == after


def test_what_lay_on_a_card_that_is_not_there_keeps_nobody_from_filing(dogsort, album, tmp_path):
    before = tree(album)
    (tmp_path / "card").mkdir()
    shutil.copy(CAT, tmp_path / "card" / "tom.jpeg")
    home = tmp_path / "sorted"
    assert dogsort(tmp_path / "card", "--move", "--to", home).returncode == 0
    (home / "cat" / "tom.jpeg").rename(tmp_path / "card" / "tom.jpeg")
    forget(home)  # as if it had been killed before the move
    (tmp_path / "card").rename(tmp_path / "pulled")
    run = dogsort(album, "--move", "--to", home)
    assert run.returncode == 0, run.stderr.decode()
    assert b"filed photos from elsewhere, so it is left as it is" in run.stderr
    run = dogsort("undo", home)
    assert run.returncode == 3
    assert b"cat/tom.jpeg: not put back: cannot be reached, so it is not known" in run.stderr
    assert b", call undo once more" in run.stderr
    assert tree(album) != before
    assert dogsort("undo", home).returncode == 0
    assert tree(album) == before
    (tmp_path / "pulled").rename(tmp_path / "card")
    assert dogsort("undo", home).returncode == 0
    assert (tmp_path / "card" / "tom.jpeg").exists()


@pytest.mark.parametrize("how", ["folder", "table"])
def test_folders_filed_into_are_passed_over_wherever_they_are(dogsort, album, how):
    table = album.parent / "p.csv"
    assert dogsort(album, "--move", "--to", album / "sorted").returncode == 0
    (album / "2019").mkdir()
    shutil.copy(DOG, album / "2019" / "rex.jpeg")
    assert dogsort(album, "-o", table).returncode == 0
    command = ("file", table) if how == "table" else (album,)
    planned = dogsort(*command, "--move", "--dry-run")
    assert planned.returncode == 0, planned.stderr.decode()
    (row,) = list(csv.DictReader(planned.stdout.decode().splitlines()))
    assert row["source"] == str(album / "2019" / "rex.jpeg")
    run = dogsort(*command, "--move")
    assert run.returncode == 0, run.stderr.decode()
    passed = f"{album / 'sorted'}: folders in it that earlier runs filed into are passed over"
    assert run.stderr.decode().count(passed) == 1
    assert (album / "sorted" / "dog" / "running_dog.jpeg").exists()
    assert (album / "dog" / "rex.jpeg").exists()
    # Wherever it goes, and not where the folder itself is named.
    run = dogsort(album, "--copy", "--to", album.parent / "all")
    assert f"{album}: folders in it that earlier runs" in run.stderr.decode()
    assert f"{album / 'sorted'}: folders in it that earlier runs" in run.stderr.decode()
    assert files_below(album.parent / "all") == {}
    named = (album / "sorted" / "dog", album / "dog")
    assert dogsort(*named, "--copy", "--to", album.parent / "all").returncode == 0
    assert sorted(files_below(album.parent / "all")) == ["dog/rex.jpeg", "dog/running_dog.jpeg"]


def test_a_folder_with_a_journal_that_cannot_be_read_is_left_alone(dogsort, album):
    assert dogsort(album / "kitten.jpeg", "--move", "--to", album / "sorted").returncode == 0
    assert dogsort(album, "-o", album.parent / "p.csv").returncode == 0
    (journal,) = (album / "sorted" / ".dogsort").glob("run-*")
    journal.write_text("not a journal\n")
    run = dogsort(album, "--move")
    assert run.returncode == 3
    assert f"{album / 'sorted'}: {journal}: damaged in line 1; " in run.stderr.decode()
    assert (album / "sorted" / "cat" / "kitten.jpeg").exists()
    assert (album / "dog" / "running_dog.jpeg").exists()
    assert dogsort("undo", album).returncode == 0
    before = tree(album)
    run = dogsort("file", album.parent / "p.csv", "--move")
    assert run.returncode == 1
    assert f"{journal}: damaged in line 1; " in run.stderr.decode()
    assert tree(album) == before


def test_what_is_called_like_a_copy_that_is_not_whole_yet_stays(dogsort, tmp_path):
    (tmp_path / ".dogsort.partial").write_bytes(b"precious")
    (tmp_path / "table.csv").write_text("path,label\n.dogsort.partial,dog\n")
    run = dogsort("file", "table.csv", "--move", "--to", ".", cwd=tmp_path)
    assert run.returncode == 3
    assert b"what is called .dogsort or .dogsort.partial is dogsort's own" in run.stderr
    assert (tmp_path / ".dogsort.partial").read_bytes() == b"precious"


@pytest.mark.parametrize("action", ["--copy", "--hardlink"])
def test_a_linked_photo_is_filed_once(dogsort, album, action):
    (album / "trip").mkdir()
    (album / "trip" / "tom.jpeg").symlink_to("../chelsea.png")
    cats, to = album.parent / "to" / "cat", album.parent / "to"
    # Out of the folder named it is not followed; named by itself, it is.
    run = dogsort(album / "trip", action, "--to", to)
    assert run.returncode == 0, run.stderr.decode()
    assert b"links that lead out of the folders named, so left where they are: 1" in run.stderr
    assert not cats.exists()
    tom = album / "trip" / "tom.jpeg"
    for sources in ([tom, album / "trip"], [album / "trip", album / "chelsea.png"], [album]):
        run = dogsort(*sources, action, "--to", to)
        assert run.returncode == 0, run.stderr.decode()
        assert b"leads out" not in run.stderr
    assert b"already there, or the same as another one, so not filed again: 2" in run.stderr
    assert sorted(path.name for path in cats.iterdir()) == [
        "chelsea.png",
        "kitten.jpeg",
        "tom.jpeg",
    ]


def test_a_photo_is_copied_once_whether_its_link_comes_first(dogsort, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    shutil.copy(CAT, tmp_path / "b" / "tom.jpeg")
    (tmp_path / "a" / "tom.jpeg").symlink_to("../b/tom.jpeg")
    (tmp_path / "table.csv").write_text("path,label\na/tom.jpeg,cat\nb/tom.jpeg,cat\n")
    run = dogsort("file", "table.csv", "--copy", "--to", "to", cwd=tmp_path)
    assert run.returncode == 0, run.stderr.decode()
    assert [path.name for path in (tmp_path / "to" / "cat").iterdir()] == ["tom.jpeg"]


def test_a_run_that_files_nothing_tells_of_a_killed_one(dogsort, album):
    assert dogsort(album, "--move").returncode == 0
    forget(album)
    run = dogsort(album)
    assert run.returncode == 0
    assert b"if it was killed, the next one that files into it takes it back first" in run.stderr


def test_a_closed_pipe_ends_quietly(album):
    command = f"'{sys.executable}' -m dogsort '{album}' | head -1"
    run = subprocess.run(command, shell=True, capture_output=True, check=True)  # noqa: S602
    assert run.stdout == b"path,label,p_dog,p_pet,confidence,error\n"
    assert b"Traceback" not in run.stderr
    assert b"this should not happen" not in run.stderr


def at_work_on_photos(album: Path, command: list[object], journals: int) -> bool:
    found = sorted((album / ".dogsort").glob("run-*"))
    if command[0] == "file":
        return len(found) > journals
    return any(b"undoing" in journal.read_bytes() for journal in found[-1:])


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_killed_at_random_moments_on_real_photos(dogsort, data, tmp_path):
    """Move and undo, both killed: the tree comes back, byte for byte and time for time.

    By undo, or by one undo of the next run, which files everything.
    """
    rng = random.Random(5)
    album = shutil.copytree(data / "photos", tmp_path / "photos", symlinks=True)
    for path in [album, *album.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755)
    table = tmp_path / "p.csv"
    assert dogsort(album, "-o", table).returncode == 3
    before = tree(album)
    killed = 0
    while killed < 10:
        for command in (["file", table, "--move", "--to", album], ["undo", album]):
            journals = len(list((album / ".dogsort").glob("run-*")))
            process = started(*command)
            # Until it is at work on the photos: an undo says so in the journal of its run.
            while process.poll() is None and not at_work_on_photos(album, command, journals):
                pass
            time.sleep(rng.uniform(0, 0.02))
            process.kill()
            process.communicate()
            killed += process.returncode == -signal.SIGKILL
        if rng.random() < 0.5:
            run = dogsort("file", table, "--move", "--to", album)
            assert (album / "dog").is_dir(), run.stderr.decode()
            assert dogsort("undo", album).returncode == 0
        else:
            while dogsort("undo", album).returncode == 0:
                pass
        assert tree(album) == before
    run = dogsort("file", table, "--move", "--to", album)
    assert (album / "dog").is_dir(), run.stderr.decode()
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before
