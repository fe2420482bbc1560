"""The command as a user runs it: real photos, the bundled network."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import EXAMPLES, files_below

TRUTH = {
    "astronaut.png": "neither",
    "chelsea.png": "cat",
    "coffee.png": "neither",
    "kitten.jpeg": "cat",
    "rocket.jpg": "neither",
    "running_dog.jpeg": "dog",
}


def rows(text: bytes) -> list[dict[str, str]]:
    decoded = text.decode("utf-8", "surrogateescape")
    return list(csv.DictReader(io.StringIO(decoded, newline="")))


def labels(text: bytes) -> dict[str, str]:
    return {os.path.basename(row["path"]): row["label"] for row in rows(text)}


def test_a_pipe_gets_csv_and_stderr_the_summary(dogsort, album):
    run = dogsort(album)
    assert run.returncode == 0
    assert labels(run.stdout) == TRUTH
    assert run.stderr.decode() == "6 photos: 1 dog, 2 cat, 3 neither\n"


def test_output_file(dogsort, album, tmp_path):
    run = dogsort(album, "-o", tmp_path / "out.csv", "--quiet")
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")
    assert labels((tmp_path / "out.csv").read_bytes()) == TRUTH


def test_names_on_stdin_and_awkward_names(dogsort, album):
    names = [b"-rf.jpg", b"two  spaces.jpg", b'with, "comma".jpg', b"caf\xe9.jpg", b"new\nline.jpg"]
    for name in names:
        shutil.copy(EXAMPLES / "kitten.jpeg", os.path.join(os.fsencode(album), name))
    run = dogsort("-", "--null", stdin=b"\0".join(names), cwd=album)
    assert run.returncode == 0
    assert [os.fsencode(row["path"]) for row in rows(run.stdout)] == names
    assert {row["label"] for row in rows(run.stdout)} == {"cat"}
    run = dogsort("-", "-o", "-", stdin=b"chelsea.png\ngone.jpg\n", cwd=album)
    assert run.returncode == 3
    assert [row["error"] for row in rows(run.stdout)] == ["", "no such file"]


def test_bad_files_have_their_own_rows(dogsort, album):
    (album / "aaa_empty.jpg").write_bytes(b"")
    (album / "b_text.jpg").write_bytes(b"text")
    whole = (album / "kitten.jpeg").read_bytes()
    (album / "cut.jpeg").write_bytes(whole[: len(whole) // 3])
    run = dogsort(album)
    assert run.returncode == 3
    found = labels(run.stdout)
    assert {name: found.pop(name) for name in ("aaa_empty.jpg", "b_text.jpg", "cut.jpeg")} == {
        "aaa_empty.jpg": "",
        "b_text.jpg": "",
        "cut.jpeg": "",
    }
    assert found == TRUTH
    assert "aaa_empty.jpg: empty file" in run.stderr.decode()


def test_a_folder_without_photos_gives_an_empty_table(dogsort, tmp_path):
    run = dogsort(tmp_path, "-o", tmp_path / "out.csv")
    assert run.returncode == 0
    assert (tmp_path / "out.csv").read_text() == "path,label,p_dog,p_pet,confidence,error\n"
    assert "no photos found" in run.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["submit", "nowhere", "-o", "s.csv"], "nowhere: no such file or folder"),
        (["eval", "nowhere"], "nowhere: no such file or folder"),
        (["bench", "nowhere"], "nowhere: no such file or folder"),
        (["train", "nowhere", "-o", "w"], "nowhere: no such file or folder"),
        ([".", "-o", "out.txt"], ".csv or .jsonl or .parquet"),
        ([".", "--dry-run"], "--dry-run needs one of --move, --copy, --link, --hardlink"),
        ([".", "--to", "x"], "--to needs one of --move"),
        ([".", "--keep-tree"], "--keep-tree needs one of --move"),
        ([".", "--move", "--to", ""], "Invalid value for '--to': the name is empty"),
        (["", "--move"], "Invalid value for 'PATH...': the name is empty"),
        (["submit", "", "-o", "s.csv"], "Invalid value for 'DIR': the name is empty"),
        (["-", "--move"], "--move needs --to FOLDER"),
        ([".", "--move", "--copy"], "give only one of --move, --copy, --link"),
        ([".", "--null"], "--null needs PATH -"),
        (["sumbit", "."], "dogsort submit"),
        (["-q", "submit", "."], "dogsort submit"),
        (
            ["photo.csv", "-o", "photo.csv"],
            "photo.csv: is an input of this command; write to another file",
        ),
        ([".", "--move", "--unsure-to", "cat"], "--unsure-to 'cat'"),
        (["submit", ".", "-o", "1.jpg"], ".csv"),
        ([".", ".", "--move"], "--move needs --to FOLDER"),
        ([".", "--copy", "--unsure-to", "../up"], "--unsure-to '../up'"),
        ([".", "--copy", "--neither-to", ".dogsort"], "--neither-to '.dogsort'"),
        ([".", "--copy", "--neither-to", "x", "--unsure-to", "x"], "--neither-to 'x'"),
        (["-", "--move", "--to", "x", "--keep-tree"], "--keep-tree needs a PATH"),
        ([".", "--move", "-n", "-o", "plan.jsonl"], "plan.jsonl: the name must end in .csv"),
        (["file", "nowhere.csv", "--move"], "nowhere.csv: no such file or folder"),
        (["file", "photo.csv", "--move", "-o", "x.csv"], "--output needs --dry-run"),
        (["file", "photo.txt", "--move", "--to", "."], "photo.txt: the name must end in"),
        ([".", "--batch-size", "0"], "--batch-size"),
        ([".", "--min-confidence", "2"], "--min-confidence"),
        (["--nonsense"], "--nonsense"),
        (["nowhere", "--copy", "--to", "new"], "nowhere: no such file or folder"),
    ],
)
def test_wrong_usage_exits_2_before_anything_heavy(dogsort_process, tmp_path, arguments, message):
    (tmp_path / "photo.csv").write_bytes(b"precious")
    (tmp_path / "photo.txt").touch()
    run = dogsort_process(*arguments, cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    assert run.returncode == 2
    assert (tmp_path / "photo.csv").read_bytes() == b"precious"
    assert not (tmp_path / "new").exists()
    text = run.stderr.decode()
    assert message in text
    assert "Traceback" not in text
    assert "| torch\n" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{album}", "-o", "nowhere/out.csv"], "nowhere/out.csv: the folder"),
        (["{album}", "-o", "folder.csv"], "folder.csv: a folder"),
        (["{album}", "--weights", "nowhere"], "nowhere: no such weights"),
        (["{album}", "--weights", "x" * 300], "xxx: no such weights"),
        (["{album}", "--device", "mps" if sys.platform == "linux" else "cuda"], "--device cpu"),
        (["submit", "{album}", "-o", "s.csv"], "its name is not a number"),
        (["eval", "{album}"], "no label"),
        (["{album}", "-o", "o.csv", "--weights", "nowhere"], "nowhere: no such weights"),
        (["{album}", "--copy", "--to", "occupied"], "not a folder"),
    ],
)
def test_what_cannot_be_done_exits_1_with_one_line(dogsort, album, tmp_path, arguments, message):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "dog").write_bytes(b"")
    run = dogsort(*(a.format(album=album) for a in arguments), cwd=tmp_path)
    assert run.returncode == 1
    assert message in run.stderr.decode()
    assert run.stderr.decode().count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["album", "folder.csv", "occupied"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_disk(dogsort, album, tmp_path):
    (tmp_path / "out.csv").symlink_to("/dev/full")
    run = dogsort(album, "-o", tmp_path / "out.csv")
    assert run.returncode == 1
    assert "No space left on device" in run.stderr.decode()
    assert "Traceback" not in run.stderr.decode()


def test_nothing_is_left_in_the_home_of_the_user(dogsort_process, album, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    run = dogsort_process(
        album, HOME=str(home), XDG_CACHE_HOME="", ORT_DISABLE_TELEMETRY="0", CI=""
    )
    assert run.returncode == 0
    assert list(home.rglob("*")) == []


def steps_of(run) -> list[str]:
    """Return what a dry run says on stdout, or a real run with --verbose on stderr."""
    rows = csv.DictReader(io.StringIO(run.stdout.decode()))
    plan = [f"move {row['source']} -> {row['target']}" for row in rows if "target" in row]
    return plan or [line for line in run.stderr.decode().splitlines() if line.startswith("move ")]


def test_dry_run_then_move(dogsort, album):
    (album / "sub").mkdir()
    shutil.copy(EXAMPLES / "chelsea.png", album / "sub" / "kitten.jpeg")
    before = files_below(album)
    dry = dogsort(album, "--move", "--dry-run")
    assert dry.returncode == 0
    assert files_below(album) == before
    real = dogsort(album, "--move", "--verbose")
    assert real.returncode == 0
    assert steps_of(dry) == steps_of(real)
    assert len(steps_of(dry)) == 4
    assert "would be moved: 3 cat, 1 dog, 498.8 kB" in dry.stderr.decode()
    assert "filed under a new name: 1" in dry.stderr.decode()
    after = files_below(album)
    assert sorted(after.values()) == sorted(before.values())
    assert sorted(after) == [
        "astronaut.png",
        "cat/chelsea.png",
        "cat/kitten (2).jpeg",
        "cat/kitten.jpeg",
        "coffee.png",
        "dog/running_dog.jpeg",
        "rocket.jpg",
    ]
    again = dogsort(album, "--move")
    assert again.returncode == 0
    assert "moved: nothing" in again.stderr.decode()
    assert files_below(album) == after


def test_links_and_their_photos_stay(dogsort, album):
    (album / "link.jpeg").symlink_to("kitten.jpeg")
    dry, real = (dogsort(album, "--move", *more) for more in (["-n"], ["-v"]))
    assert (dry.returncode, real.returncode) == (0, 0)
    assert (album / "kitten.jpeg").exists()
    assert (album / "link.jpeg").read_bytes() == (album / "kitten.jpeg").read_bytes()
    assert "both stay" in real.stderr.decode()
    assert steps_of(dry) == steps_of(real)
    assert len(steps_of(dry)) == 2


@pytest.mark.parametrize("action", ["copy", "link", "hardlink"])
def test_copy_and_link_leave_the_album_as_it_was(dogsort, album, tmp_path, action):
    before = files_below(album)
    run = dogsort(album, f"--{action}", "--to", tmp_path / "sorted")
    assert run.returncode == 0
    assert files_below(album) == before
    filed = sorted(
        str(p.relative_to(tmp_path / "sorted")) for p in (tmp_path / "sorted").glob("[cd]*/*")
    )
    assert filed == ["cat/chelsea.png", "cat/kitten.jpeg", "dog/running_dog.jpeg"]
    assert (tmp_path / "sorted/cat/kitten.jpeg").read_bytes() == before["kitten.jpeg"]


def test_unsure_photos_are_filed_where_asked(dogsort, album):
    run = dogsort(album, "--move", "--min-confidence", "1", "--unsure-to", "look")
    assert run.returncode == 0
    assert len(list((album / "look").iterdir())) == 6


def test_submit(dogsort, tmp_path):
    folder = tmp_path / "test1"
    folder.mkdir()
    shutil.copy(EXAMPLES / "kitten.jpeg", folder / "10.jpg")
    shutil.copy(EXAMPLES / "running_dog.jpeg", folder / "9.jpg")
    (folder / "100.jpg").write_bytes(b"broken")
    run = dogsort("submit", folder, "-o", "s.csv", cwd=tmp_path)
    assert run.returncode == 3
    missing, broken, *upload, failed = run.stderr.decode().splitlines()
    assert missing.endswith("Kaggle needs every id; missing between 1 and 100: 1-8, 11-99")
    assert "100.jpg: not an image" in broken
    assert upload == [
        "s.csv: 3 rows; upload it to Kaggle with:",
        "kaggle competitions submit -c dogs-vs-cats-redux-kernels-edition -f s.csv -m dogsort",
    ]
    assert failed == "1 could not be read and got 0.5"
    header, *lines = (tmp_path / "s.csv").read_text().splitlines()
    assert header == "id,label"
    values = [(int(i), float(v)) for i, v in (line.split(",") for line in lines)]
    assert [i for i, _ in values] == [9, 10, 100]
    assert values[0][1] > 0.9
    assert values[1][1] < 0.1
    assert values[2][1] == 0.5
    run = dogsort("submit", folder, "-o", "s.csv", "--hard", cwd=tmp_path)
    assert "competitions submit -c dogs-vs-cats -f s.csv -m dogsort\n" in run.stderr.decode()
    assert (tmp_path / "s.csv").read_text() == "id,label\n9,1\n10,0\n100,0.5\n"


def test_eval(dogsort, tmp_path):
    for name, truth in TRUTH.items():
        (tmp_path / truth).mkdir(exist_ok=True)
        shutil.copy(EXAMPLES / name, tmp_path / truth)
    shutil.copy(EXAMPLES / "kitten.jpeg", tmp_path / "dog.1.jpg")  # a wrong label
    run = dogsort("eval", tmp_path)
    assert run.returncode == 0
    text = run.stdout.decode()
    assert re.search(r"^accuracy, dog vs\. cat +75\.00% .* 3 of 4$", text, re.MULTILINE)
    assert re.search(r"^all +7 ", text, re.MULTILINE)
    assert "dog.1.jpg" in text.split("worst")[1]


def test_info(dogsort):
    run = dogsort("info")
    assert run.returncode == 0
    for word in ("ONNX Runtime", "cpu", "HEIF", "AVIF", "figures", "pretrained"):
        assert word in run.stdout.decode()


def test_help_and_version_answer_without_torch(dogsort_process):
    commands = (["submit", "--help"], ["train", "--help"], ["bench", "--help"])
    heavy = {"torch", "torchvision", "pandas", "onnxruntime", "numpy", "PIL", "rich", "filelock"}
    for arguments in ([], ["--help"], ["--version"], *commands):
        run = dogsort_process(*arguments, PYTHONPROFILEIMPORTTIME="1")
        assert run.returncode == 0
        imported = {line.split("|")[-1].strip() for line in run.stderr.decode().splitlines()}
        assert not imported & {*heavy, "importlib.metadata"}
        assert run.stdout


def started(command):
    """Start a command that reacts to Ctrl-C, which children of a background job would ignore."""
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_stops_soon_and_says_what_is_kept(album, tmp_path):
    content = (EXAMPLES / "kitten.jpeg").read_bytes()
    for number in range(3000):  # all different, so that each is decoded
        (album / f"{number}.jpeg").write_bytes(content + bytes(number))
    command = [sys.executable, "-m", "dogsort", album, "-o", tmp_path / "out.csv", "--move"]
    with started(command) as process:
        partial = tmp_path / "out.csv.1.partial"
        deadline = time.monotonic() + 60
        while not (partial.exists() and partial.read_bytes().count(b"\n") > 10):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    text = stderr.decode()
    assert f"interrupted; nothing was filed; the rows so far are in {partial}" in text
    assert not (tmp_path / "out.csv").exists()
    assert len(list(album.glob("[!.]*"))) == 3006  # nothing was moved
    assert partial.read_bytes().endswith(b"\n")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_does_not_wait_for_a_large_picture(tmp_path):
    from PIL import Image

    for number in range(2):
        Image.new("RGBA", (13000, 13000)).save(tmp_path / f"{number}.png", compress_level=1)
    command = [sys.executable, "-m", "dogsort", tmp_path]
    with started(command) as process:
        process.stdout.readline()  # the header: the network is loaded, and decoding begins
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=5)
    assert process.returncode == 130
    assert stderr.decode().strip() == "dogsort: interrupted"


def test_ctrl_c_while_a_library_is_loaded(dogsort_process, album, tmp_path):
    """ONNX Runtime then fails to import; here, it does so every time."""
    stopped = "raise ImportError('initialization failed') from KeyboardInterrupt()"
    (tmp_path / "onnxruntime.py").write_text(stopped)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    run = dogsort_process(album, PYTHONPATH=path)
    assert (run.returncode, run.stderr) == (130, b"dogsort: interrupted\n")


def test_names_from_windows_lists(dogsort, album):
    run = dogsort("-", stdin=b"kitten.jpeg\r\nchelsea.png\r\n", cwd=album)
    assert run.returncode == 0
    assert set(labels(run.stdout).values()) == {"cat"}


@pytest.mark.skipif(os.name == "nt", reason="POSIX shell")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("album > /dev/full", "standard output: cannot be written: No space left on device"),
        ("album >&-", "standard output is closed"),
        ("info --json > /dev/full", "standard output: cannot be written: No space left on device"),
        ("info --json >&-", "standard output is closed"),
        ("info > /dev/full", "No space left on device"),
        ("--help > /dev/full", "No space left on device"),
    ],
)
def test_what_cannot_be_printed(album, monkeypatch, call, message):
    monkeypatch.chdir(album.parent)
    command = f"'{sys.executable}' -m dogsort {call}"
    run = subprocess.run(command, shell=True, capture_output=True, check=False)  # noqa: S602
    assert run.returncode == 1
    assert run.stderr.decode().startswith(f"dogsort: {message}")
    assert run.stderr.decode().count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="POSIX shell")
def test_what_is_said_never_gets_among_the_rows(dogsort, album):
    command = f"'{sys.executable}' -m dogsort '{album}' -v 2>&-"
    run = subprocess.run(command, shell=True, capture_output=True, check=False)  # noqa: S602
    assert (run.returncode, run.stdout) == (0, dogsort(album).stdout)


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_closed_pipe_files_nothing_and_says_so(album):
    before = files_below(album)
    command = f"'{sys.executable}' -m dogsort '{album}' --move -o - | true"
    run = subprocess.run(command, shell=True, capture_output=True, check=False)  # noqa: S602
    assert "nothing was filed" in run.stderr.decode()
    assert files_below(album) == before


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_closed_pipe_ends_quietly(album):
    for number in range(200):
        os.link(album / "kitten.jpeg", album / f"{number}.jpeg")
    command = f"'{sys.executable}' -m dogsort '{album}' --quiet | head -1"
    run = subprocess.run(command, shell=True, capture_output=True, check=False)  # noqa: S602
    assert run.stdout == b"path,label,p_dog,p_pet,confidence,error\n"
    assert run.stderr == b""


def test_names_on_stdin_may_begin_with_a_mark_of_the_byte_order(dogsort, album):
    names = "kitten.jpeg\r\nchelsea.png\r\n"
    run = dogsort("-", stdin=names.encode("utf-8-sig"), cwd=album)
    assert [row["path"] for row in rows(run.stdout)] == ["kitten.jpeg", "chelsea.png"]
    run = dogsort("-", stdin=names.encode("utf-16"), cwd=album)
    assert run.returncode == 2
    assert run.stderr.endswith(b"the names on standard input are in UTF-16; write them in UTF-8\n")
    run = dogsort("-", stdin=b"a", cwd=album)
    assert [row["error"] for row in rows(run.stdout)] == ["no such file"]
    assert rows(dogsort("-", cwd=album).stdout) == []
