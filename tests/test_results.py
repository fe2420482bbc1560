"""Tables, submissions, summaries."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dogsort.errors import DataError, OutputError, UsageError
from dogsort.records import COLUMNS, Failure, Prediction
from dogsort.results.kaggle import (
    missing_ids,
    numbered_photos,
    submission_label,
    write_submission,
)
from dogsort.results.output import check_writable, complete_file
from dogsort.results.reading import read_table
from dogsort.results.tables import csv_table, open_table
from dogsort.results.text import Summary, printable, record_line

RECORDS = [
    Prediction('a, "b"\n.jpg', "dog", 0.999999, 1.0, 0.999999),
    Failure("=1+1.jpg", "empty file"),
    Prediction(os.fsdecode(b"caf\xe9.jpg"), "unsure", 0.5, 0.25, 0.75),
]

# Any POSIX file name, including bytes that are not UTF-8.
NAMES = st.binary(min_size=1).filter(lambda b: b"\0" not in b).map(os.fsdecode)


def write(path, records):
    with open_table(str(path)) as table:
        for record in records:
            table.write(record)


def test_csv(tmp_path):
    write(tmp_path / "out.csv", RECORDS)
    with open(tmp_path / "out.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        list(COLUMNS),
        ['a, "b"\n.jpg', "dog", "0.999999", "1.000000", "0.999999", ""],
        ["=1+1.jpg", "", "", "", "", "empty file"],
        [os.fsdecode(b"caf\xe9.jpg"), "unsure", "0.500000", "0.250000", "0.750000", ""],
    ]


@given(name=NAMES)
def test_every_name_survives_csv(name):
    file = io.StringIO(newline="")
    csv_table(file, "test").write(Failure(name, "gone"))
    assert list(csv.reader(io.StringIO(file.getvalue(), newline="")))[1][0] == name


def test_json_lines(tmp_path):
    write(tmp_path / "out.jsonl", RECORDS)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    # JSON is UTF-8, so other bytes appear as escapes.
    assert [row["path"] for row in rows] == ['a, "b"\n.jpg', "=1+1.jpg", "caf\\xe9.jpg"]
    assert rows[0] == {
        "path": 'a, "b"\n.jpg',
        "label": "dog",
        "p_dog": 0.999999,
        "p_pet": 1.0,
        "confidence": 0.999999,
        "error": None,
    }


def test_parquet(tmp_path):
    write(tmp_path / "out.parquet", RECORDS * 3000)
    frame = pd.read_parquet(tmp_path / "out.parquet")
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 9000
    assert frame.p_dog.dtype == float
    assert frame.label.isna().sum() == 3000


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="all names are Unicode")
def test_a_table_whose_own_name_is_no_utf8(tmp_path, suffix):
    path = tmp_path / os.fsdecode(b"caf\xe9." + suffix.encode())
    write(path, RECORDS)
    assert [row.label for row in read_table(str(path))] == ["dog", None, "unsure"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_empty_tables_are_valid(tmp_path, suffix):
    path = tmp_path / f"out.{suffix}"
    write(path, [])
    assert path.exists()
    if suffix == "csv":
        assert path.read_text() == ",".join(COLUMNS) + "\n"
    if suffix == "parquet":
        assert list(pd.read_parquet(path).columns) == list(COLUMNS)


def test_a_file_appears_complete_or_not_at_all(tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("earlier")
    with pytest.raises(RuntimeError), open_table(str(target)) as table:
        table.write(RECORDS[1])
        assert target.read_text() == "earlier"
        raise RuntimeError
    assert target.read_text() == "earlier"
    (partial,) = tmp_path.glob("*.partial")
    assert "empty file" in partial.read_text()
    write(target, RECORDS[:1])
    assert target.read_text() != "earlier"


def test_without_rows_nothing_is_left(tmp_path):
    for suffix in ("csv", "jsonl", "parquet"):
        with pytest.raises(KeyboardInterrupt) as info, open_table(str(tmp_path / f"o.{suffix}")):
            raise KeyboardInterrupt
        assert info.value.args == ()
    assert list(tmp_path.iterdir()) == []


def test_errors_of_other_things_are_not_blamed_on_the_table(tmp_path):
    with pytest.raises(OSError, match="elsewhere") as info, open_table(str(tmp_path / "o.csv")):
        raise OSError("elsewhere")
    assert not isinstance(info.value, OutputError)


def test_interruption_names_the_partial_rows(tmp_path):
    with pytest.raises(KeyboardInterrupt, match=r"rows so far are in .*out\.csv\.1\.partial"):
        with open_table(str(tmp_path / "out.csv")) as table:
            table.write(RECORDS[1])
            raise KeyboardInterrupt


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_new_files_have_ordinary_permissions(tmp_path):
    mask = os.umask(0)
    os.umask(mask)
    write(tmp_path / "out.csv", [])
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o666 & ~mask


def test_links_and_devices_keep_their_kind(tmp_path):
    (tmp_path / "real.csv").write_text("earlier")
    (tmp_path / "link.csv").symlink_to("real.csv")
    write(tmp_path / "link.csv", RECORDS)
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_bytes() != b"earlier"
    with complete_file(os.devnull) as file:
        assert file.path == os.devnull
    assert not stat.S_ISREG(os.stat(os.devnull).st_mode)


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write(tmp_path / "nowhere" / "out.csv", [])
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match="a folder; name a file"):
        write(tmp_path / "folder.csv", [])
    with pytest.raises(UsageError, match=r"\.csv or \.jsonl or \.parquet"):
        write(tmp_path / "out.txt", [])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_disk(tmp_path):
    (tmp_path / "full.csv").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"full\.csv.*No space left"):
        write(tmp_path / "full.csv", RECORDS)


def test_check_writable_leaves_no_trace(tmp_path):
    (tmp_path / "out.csv").write_text("earlier")
    check_writable(str(tmp_path / "out.csv"))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]


def folder_with(path, *names):
    path.mkdir()
    for name in names:
        (path / name).write_bytes(b"x")
    return str(path)


def test_ids_come_from_names(tmp_path):
    folder = folder_with(tmp_path / "t", "10.jpg", "9.jpg", "sample.csv")
    ids, _ = numbered_photos(folder)
    assert {os.path.basename(path): number for path, number in ids.items()} == {
        "10.jpg": 10,
        "9.jpg": 9,
    }


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1.jpg", "cat.jpg"], r"cat\.jpg: its name is not a number"),
        (["1.jpg", "01.png"], r"1\.jpg: id 1 appears twice, also as .*01\.png"),
        (["².jpg"], "not a number"),
        ([], "no photos found"),
    ],
)
def test_bad_test_folders(tmp_path, names, message):
    with pytest.raises(DataError, match=message):
        numbered_photos(folder_with(tmp_path / "t", *names))


def test_missing_ids_are_told_as_ranges():
    assert missing_ids([3, 1, 2]) == ""
    assert missing_ids([2, 5, 7]) == "1, 3-4, 6"
    assert missing_ids(range(0, 40, 2)) == "1, 3, 5, 7, 9, 11, 13, 15, and 11 others"
    assert missing_ids([1, 10**18]) == f"2-{10**18 - 1}"


def test_links_in_test_folders_are_refused(tmp_path):
    folder = folder_with(tmp_path / "t", "1.jpg")
    (tmp_path / "t" / "more").symlink_to(folder_with(tmp_path / "elsewhere", "2.jpg"))
    with pytest.raises(DataError, match="more: a link to a folder"):
        numbered_photos(folder)
    (tmp_path / "t" / "5").symlink_to(folder)  # its name would be valid for a photo
    with pytest.raises(DataError, match="5: a link to a folder"):
        numbered_photos(folder)


def test_submission(tmp_path):
    record = Prediction("1.jpg", "dog", 0.9999, 1.0, 0.9999)
    assert submission_label(record, 0.005, hard=False) == 0.995
    assert submission_label(record, 0.005, hard=True) == 1
    assert submission_label(Failure("1.jpg", "x"), 0.005, hard=True) == 0.5
    write_submission(str(tmp_path / "s.csv"), {10: 0.995, 9: 0.005}, hard=False)
    assert (tmp_path / "s.csv").read_text() == "id,label\n9,0.005000\n10,0.995000\n"
    write_submission(str(tmp_path / "s.csv"), {10: 1.0, 9: 0.0}, hard=True)
    assert (tmp_path / "s.csv").read_text() == "id,label\n9,0\n10,1\n"


def test_lines_are_safe_to_print():
    for record in RECORDS:
        line = record_line(record)
        assert "\n" not in line
        line.encode()
    assert printable("\x1b[31mred") == "\\x1b[31mred"
    assert printable("ünï 🐶") == "ünï 🐶"


def test_summary_counts():
    summary = Summary()
    assert summary.text() == "no photos found"
    for record in RECORDS:
        summary.add(record)
    assert summary.text() == "3 photos: 1 dog, 1 unsure, 1 unreadable"
    assert (summary.total, summary.failed) == (3, 1)


TABLE = "id;path;label\r\n1;müde.jpg;dog\r\n2;\U0001f431.jpg;cat\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_tables_of_spreadsheets_in_any_unicode(tmp_path, encoding):
    """Excel's Unicode text is UTF-16 with tabs."""
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    text = mark + (TABLE.replace(";", "\t") if "16" in encoding else TABLE)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    found = read_table(str(tmp_path / "t.csv"))
    assert [row.path for row in found] == ["müde.jpg", "\U0001f431.jpg"]
    assert [row.label for row in found] == ["dog", "cat"]
    assert found[1].place.endswith("t.csv: line 3")


def test_a_table_in_utf_16_that_is_cut_off(tmp_path):
    (tmp_path / "t.csv").write_bytes(TABLE.encode("utf-16")[:-1])
    with pytest.raises(DataError, match=r"t\.csv: cannot be read: .*truncated"):
        read_table(str(tmp_path / "t.csv"))


def test_json_lines_may_begin_with_a_mark_of_the_byte_order(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"path": "a", "label": "dog"}\n', encoding="utf-8-sig")
    assert [row.path for row in read_table(str(tmp_path / "t.jsonl"))] == ["a"]
