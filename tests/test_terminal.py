"""What people see on a terminal; a pipe gets all of it, neither padded nor cut."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from conftest import EXAMPLES
from runner import run_on_terminal

from dogsort.cli.main import cli
from dogsort.network.weights import bundled_folder
from dogsort.results.text import quoted

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LONG = "a folder with a name that is longer than a column, and than half a terminal"


def plain(text: bytes) -> str:
    return COLOURS.sub("", text.decode())


def test_a_terminal_gets_a_line_for_each_photo_and_a_table(album):
    (album / "video.mp4").touch()
    run = run_on_terminal(album)
    assert run.returncode == 0
    lines = [line.split(maxsplit=2) for line in plain(run.stdout).splitlines()]
    labels = [label for label, _, _ in lines]
    assert labels == ["neither", "cat", "neither", "cat", "neither", "dog"]
    assert {path for _, _, path in lines} == {str(album / p.name) for p in EXAMPLES.glob("*.[jp]*")}
    assert "\x1b[35mcat\x1b[0m " in run.stdout.decode()
    ignored, *rows = plain(run.stderr.rpartition(b"\r")[2]).splitlines()
    assert ignored == "not looked at: 1 video"
    assert [row.split() for row in rows] == [
        ["dog", "1", "16.7%"],
        ["cat", "2", "33.3%"],
        ["neither", "3", "50.0%"],
        ["photos", "6"],
    ]


def test_labels_are_told_apart_without_colour(album):
    run = run_on_terminal(album, "--min-confidence", "0.995", NO_COLOR="1", columns=40)
    assert b"\x1b" not in run.stdout + run.stderr
    photos = {line.split()[0]: line for line in run.stdout.decode().splitlines()}
    assert set(photos) == {"dog", "cat", "neither", "unsure"}
    assert re.search(r"astronaut\.png  \(neither 9\d\.\d%\)$", photos["unsure"])
    assert len({line.index(str(album)) for line in photos.values()}) == 1


def test_quiet_is_quiet_on_a_terminal_too(album):
    assert run_on_terminal(album, "--quiet").stderr == b""


def test_info_is_whole_in_a_pipe_and_within_a_terminal(dogsort, tmp_path):
    weights = tmp_path / LONG / LONG
    shutil.copytree(bundled_folder(), weights)
    lines = dogsort("info", "--weights", weights).stdout.decode().splitlines()
    assert f"weights     {weights}" in lines
    assert lines == [line.rstrip() for line in lines]
    shown = plain(run_on_terminal("info", "--weights", weights, columns=60).stdout)
    assert max(map(len, shown.splitlines())) <= 60
    assert "".join(shown.split()) == "".join("".join(lines).split())


def test_info_as_json(dogsort, album, tmp_path):
    cache = {"DOGSORT_CACHE": str(tmp_path / "cache")}
    dogsort(album, **cache)
    run = dogsort("info", "--json", "--device", "cpu", **cache)
    known = json.loads(run.stdout)
    told = dogsort("info", "--help").stdout.decode()
    for key in {*known, *known["thresholds"], *known["cache"]}:
        assert re.search(rf"\b{key}\b", told), key
    assert known["device"] == "cpu"
    assert set(known["thresholds"]) == {"confidence", "species"}
    assert known["figures"]["accuracy"]["value"] > 0.98
    place = tmp_path / "cache" / "predictions.db"
    size = place.stat().st_size
    assert known["cache"] == {"path": str(place), "photos": 6, "bytes": size, "trouble": ""}
    said = dogsort("info", **cache).stdout.decode()
    assert f"cache       {place}: 6 photos, {size / 1000:.1f} kB\n" in said


def test_info_says_that_the_cache_cannot_be_used(dogsort, tmp_path):
    (tmp_path / "predictions.db").write_text("no database, but long enough to be taken for one")
    said = dogsort("info", DOGSORT_CACHE=str(tmp_path)).stdout.decode()
    assert f"{tmp_path / 'predictions.db'}: cannot be used: file is not a database" in said


@pytest.fixture
def labelled(tmp_path):
    """Two folders, one with a long name, and a photo with a wrong label."""
    for place, name in (
        ("home/cat", "chelsea.png"),
        ("home/dog", "kitten.jpeg"),
        (f"{LONG}/dog", "running_dog.jpeg"),
    ):
        (tmp_path / "labelled" / place).mkdir(parents=True)
        shutil.copy(EXAMPLES / name, tmp_path / "labelled" / place)
    return tmp_path / "labelled"


def test_eval_is_whole_in_a_pipe_and_within_a_terminal(dogsort, labelled):
    said = dogsort("eval", labelled).stdout.decode()
    assert said.splitlines() == [line.rstrip() for line in said.splitlines()]
    assert re.search(rf"^{LONG} +1 +100\.00% ", said, re.MULTILINE)
    assert re.search(r"^is \\ labelled +dog +cat +neither +unsure$", said, re.MULTILINE)
    worst = said.splitlines()[-1]
    assert re.fullmatch(rf"0\.00\d+ +dog +cat +{labelled}/home/dog/kitten\.jpeg", worst)
    shown = plain(run_on_terminal("eval", labelled, columns=90).stdout)
    tables = shown.partition("\n\n")[2].splitlines()
    assert max(map(len, tables)) <= 90
    assert sorted(shown.replace("\n", "").replace(" ", "")) == sorted("".join(said.split()))


def test_help_tells_the_keys_of_the_figures(dogsort, labelled):
    help_text = dogsort("eval", "--help").stdout.decode()
    figures = json.loads(dogsort("eval", labelled, "-o", "-").stdout)
    assert set(figures["accuracy"]) == {"value", "low", "high", "count", "total"}
    for key in {*figures, "changed", *figures["accuracy"]}:
        assert re.search(rf"\b{key}\b", help_text), key


def test_verbose_is_told_by_each_command_that_has_it(dogsort):
    texts = {}
    for name, command in {"": cli.default, **cli.commands}.items():
        for option in command.params:
            if option.name == "verbose":
                texts[name] = option.help
                assert option.help.startswith("Also show ")
    assert {"", "file", "undo", "train", "eval", "submit", "bench", "review"} == set(texts)
    assert len({texts[name] for name in ("", "file", "undo", "train", "eval")}) == 5


def test_words_are_quoted_as_the_system_wants_them():
    assert quoted("my photos", windows=False) == "'my photos'"
    for plain_word in ("photos", r"C:\Users\müller\photos", "C:/a-b_c.d"):
        assert quoted(plain_word, windows=True) == plain_word
    assert quoted("C:\\my photos", windows=True) == '"C:\\my photos"'
    assert quoted("a&b", windows=True) == '"a&b"'
    assert quoted("C:\\my photos\\", windows=True) == '"C:\\my photos\\\\"'
