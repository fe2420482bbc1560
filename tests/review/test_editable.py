"""Setting labels in a table: in every format, everything else stays as it was."""

from __future__ import annotations

import csv
import io
import json
import math

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dogsort.errors import DataError
from dogsort.records import Failure, Prediction
from dogsort.results.editable import CODES, FAILED, NOBODY, EditableTable
from dogsort.results.reading import read_table

DOG, CAT, NEITHER, UNSURE = range(4)

NEW = Prediction("new.jpg", "cat", 0.25, 0.5, 0.375)

CSV = b"""path,label,p_dog,p_pet,confidence,error\r
a.jpg,dog,0.900000,0.990000,0.891000,\r
"b, ""quoted"".jpg",Cat ,0.1,0.9,0.81,\r
\r
"c\nline.jpg",,,,,no permission to open it\r
d.jpg,unsure"""


def labels_of(table: EditableTable, name: str, folder) -> dict[str, tuple[str | None, str | None]]:
    """What `dogsort file` reads once the table is saved."""
    (folder / name).write_bytes(table.content())
    return {row.path: (row.label, row.network_label) for row in read_table(str(folder / name))}


def test_what_a_csv_table_says():
    table = EditableTable("t.csv", CSV)
    assert table.paths == ["a.jpg", 'b, "quoted".jpg', "c\nline.jpg", "d.jpg"]
    assert list(table.labels) == [DOG, CAT, FAILED, UNSURE]
    assert list(table.network_labels) == [NOBODY] * 4
    assert table.numbers["confidence"][0] == 0.891
    assert math.isnan(table.numbers["p_dog"][2])
    assert table.errors == {2: "no permission to open it"}
    assert table.content() == CSV


def test_only_a_set_row_and_the_new_column_change(tmp_path):
    table = EditableTable("t.csv", CSV)
    table.set(1, DOG, CAT)
    lines = table.content().split(b"\r\n")
    assert lines[0] == b"path,label,p_dog,p_pet,confidence,error,network_label"
    assert lines[1] == b"a.jpg,dog,0.900000,0.990000,0.891000,,"
    assert lines[2] == b'"b, ""quoted"".jpg",dog,0.1,0.9,0.81,,cat'
    assert lines[3:5] == [b"", b'"c\nline.jpg",,,,,no permission to open it,']
    assert lines[5] == b"d.jpg,unsure,,,,,"
    table.set(2, NEITHER, FAILED)
    assert labels_of(table, "t.csv", tmp_path) == {
        "a.jpg": ("dog", None),
        'b, "quoted".jpg': ("dog", "cat"),
        "c\nline.jpg": ("neither", "failed"),
        "d.jpg": ("unsure", None),
    }
    table.set(2, FAILED, NOBODY)
    assert labels_of(table, "t.csv", tmp_path)["c\nline.jpg"] == (None, None)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encodings_and_separators_of_spreadsheets(tmp_path, encoding, separator):
    text = "path,label,note\r\nhund ä.jpg,dog,æ\r\nkatze.jpg,cat,\r\n".replace(",", separator)
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    content = mark + text.encode(encoding)
    table = EditableTable("t.csv", content)
    assert table.content() == content
    table.set(0, CAT, DOG)
    table.put(NEW)
    expected = "path,label,note,network_label\r\nhund ä.jpg,cat,æ,dog\r\nkatze.jpg,cat,,\r\n"
    expected += "new.jpg,cat,,\r\n"
    assert table.content() == mark + expected.replace(",", separator).encode(encoding)
    assert labels_of(table, "t.csv", tmp_path)["hund ä.jpg"] == ("cat", "dog")


def test_names_that_are_not_utf_8_keep_their_bytes():
    content = b"path,label\ncaf\xe9.jpg,dog\n"
    table = EditableTable("t.csv", content)
    table.set(0, CAT, DOG)
    table.put(Failure("\udcff.jpg", "damaged"))
    assert table.content() == (b"path,label,network_label\ncaf\xe9.jpg,cat,dog\n\xff.jpg,,\n")


def test_rows_that_are_longer_than_the_header_keep_what_they_have(tmp_path):
    table = EditableTable("t.csv", b"path,label\na.jpg,dog,extra\nb.jpg,cat\n")
    table.set(1, DOG, CAT)
    assert table.content() == b"path,label,network_label\na.jpg,dog,,extra\nb.jpg,dog,cat\n"


def test_json_lines_keep_other_keys_and_lines(tmp_path):
    lines = [
        b'{"path": "a.jpg", "label": "dog", "p_dog": 0.9, "more": [1, {"x": null}]}\n',
        b'{"label":null,"path":"\xc3\xa9.jpg","error":"damaged"}\r\n',
        b'{"path": "c.jpg", "label": "unsure"}',
    ]
    table = EditableTable("t.jsonl", b"".join(lines))
    assert table.content() == b"".join(lines)
    table.set(1, CAT, FAILED)
    table.put(NEW)
    found = table.content().splitlines(keepends=True)
    assert [found[0], found[2]] == [lines[0], lines[2] + b"\n"]
    assert found[1].endswith(b"\r\n")
    assert json.loads(found[1]) == {
        "label": "cat",
        "path": "é.jpg",
        "error": "damaged",
        "network_label": "failed",
    }
    table.set(1, FAILED, NOBODY)
    assert json.loads(table.content().splitlines()[1]) == json.loads(lines[1])
    assert labels_of(table, "t.jsonl", tmp_path)["new.jpg"] == ("cat", None)


def test_parquet_keeps_columns_and_types(tmp_path):
    schema = pa.schema(
        [
            ("number", pa.int16()),
            ("path", pa.large_string()),
            ("label", pa.dictionary(pa.int8(), pa.string())),
            ("p_dog", pa.float32()),
        ],
        metadata={"made by": "hand"},
    )
    rows = {
        "number": [7, 8],
        "path": ["a.jpg", "b.jpg"],
        "label": ["dog", None],
        "p_dog": [0.5, None],
    }
    file = io.BytesIO()
    pq.write_table(pa.table(rows, schema=schema), file, compression="zstd")
    table = EditableTable("t.parquet", file.getvalue())
    table.set(1, CAT, FAILED)
    table.put(NEW)
    table.set(2, DOG, CAT)
    assert labels_of(table, "t.parquet", tmp_path) == {
        "a.jpg": ("dog", None),
        "b.jpg": ("cat", "failed"),
        "new.jpg": ("dog", "cat"),
    }
    with pq.ParquetFile(tmp_path / "t.parquet") as saved:
        assert saved.schema_arrow.remove(4) == schema
        assert saved.schema_arrow.metadata == schema.metadata
        assert saved.metadata.row_group(0).column(0).compression == "ZSTD"
        assert saved.read()["number"].to_pylist() == [7, 8, None]


def test_parquet_columns_without_values_have_no_type(tmp_path):
    rows = {"path": ["a.jpg"], "label": ["dog"], "error": [None], "network_label": [None]}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    table = EditableTable("t.parquet", (tmp_path / "t.parquet").read_bytes())
    table.set(0, CAT, DOG)
    table.put(Failure("b.jpg", "empty file"))
    assert labels_of(table, "t.parquet", tmp_path) == {
        "a.jpg": ("cat", "dog"),
        "b.jpg": (None, None),
    }


def test_parquet_columns_of_other_types_are_told():
    file = io.BytesIO()
    pq.write_table(pa.table({"path": ["a.jpg"], "label": ["dog"], "p_dog": ["much"]}), file)
    table = EditableTable("t.parquet", file.getvalue())
    table.put(NEW)
    with pytest.raises(DataError, match="a column cannot hold the new values"):
        table.content()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_new_table_is_as_dogsort_writes_it(tmp_path, suffix):
    name = f"t{suffix}"
    table = EditableTable(name)
    for record in (NEW, Failure("bad.jpg", "damaged")):
        table.put(record)
    (tmp_path / name).write_bytes(table.content())
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet}.get(suffix) or (
        lambda path: pd.read_json(path, lines=True)
    )
    saved = read(tmp_path / name)
    assert list(saved) == ["path", "label", "p_dog", "p_pet", "confidence", "error"]
    assert saved["confidence"][0] == 0.375
    assert EditableTable(name, table.content()).record(0) == NEW
    assert EditableTable(name, table.content()).record(1) == Failure("bad.jpg", "damaged")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_row_begins_anew_for_another_photo_of_its_name(suffix):
    table = EditableTable(f"t{suffix}")
    table.put(Failure("new.jpg", "damaged"))
    table.set(0, DOG, FAILED)
    assert table.put(NEW) == 0
    again = EditableTable(f"t{suffix}", table.content())
    for one in (table, again):
        assert (one.record(0), list(one.network_labels), one.errors) == (NEW, [NOBODY], {})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"path,label\na.jpg,dog\na.jpg,cat\n", "line 3: a.jpg appears twice"),
        (b"path,label\na.jpg,hamster\n", "unknown label 'hamster'"),
        (b"path,label,network_label\na.jpg,dog,hamster\n", "unknown network_label 'hamster'"),
        (b'path,label\n"a.jpg,dog\n', "unexpected end of data"),
        (b"name,label\n", "no column 'path'"),
        (b"", "no column 'path'"),
        (b"\xff\xfea", "cannot be read"),
    ],
)
def test_tables_that_are_none(content, told):
    with pytest.raises(DataError, match=told):
        EditableTable("t.csv", content)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@given(
    st.lists(st.tuples(TEXTS, st.sampled_from(CODES), TEXTS), unique_by=lambda row: row[0]),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.data(),
)
def test_random_tables(rows, separator, end, data):
    rows = [(f"{name}.jpg", "" if label == "failed" else label, note) for name, label, note in rows]
    file = io.StringIO()
    # Python before 3.13 would leave a lone carriage return unquoted.
    writer = csv.writer(file, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("path", "label", "note"), *rows])
    content = file.getvalue().encode()
    table = EditableTable("t.csv", content)
    assert table.content() == content
    chosen = data.draw(st.sets(st.sampled_from(range(len(rows))))) if rows else set()
    for row in chosen:
        table.set(row, CAT, table.labels[row])
    again = EditableTable("t.csv", table.content())
    assert again.paths == table.paths == [row[0] for row in rows]
    for row, (_, label, _) in enumerate(rows):
        code = CODES.index(label or "failed")
        expected = (CAT, code) if row in chosen else (code, NOBODY)
        assert (again.labels[row], again.network_labels[row]) == expected
    notes = list(csv.reader(io.StringIO(again.content().decode(), ""), delimiter=separator))
    assert [row[2] for row in notes[1:]] == [row[2] for row in rows]
