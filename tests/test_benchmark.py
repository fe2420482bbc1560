"""``dogsort bench``: that its figures are there and consistent, never how large they are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import files_below

import dogsort as package
from dogsort import bench
from dogsort.records import Failure, Photo


@pytest.fixture
def quick(monkeypatch):
    """Measure briefly: figures need not be steady."""
    monkeypatch.setattr(bench, "STAGE_SECONDS", 0.1)


def test_json_holds_the_figures_and_what_they_depend_on(dogsort, album, quick):
    (album / "broken.jpg").write_bytes(b"no photo")
    before = files_below(album)
    run = dogsort("bench", album, "--json", "--workers", "1", "--batch-size", "4")
    assert run.returncode == 3
    assert files_below(album) == before
    assert "broken.jpg: not an image" in run.stderr.decode()
    figures = json.loads(run.stdout)
    words = set(re.findall(r"\w+", dogsort("bench", "--help").stdout.decode()))
    assert {*figures, *figures["machine"], *figures["stages"], *figures["stages"]["read"]} <= words
    assert time.strptime(figures.pop("date"), "%Y-%m-%d")
    machine, versions = figures.pop("machine"), figures.pop("versions")
    assert set(machine) == {"cpu", "cores"}
    assert machine["cpu"]
    assert 1 <= machine["cores"] <= os.cpu_count()
    assert set(versions) == {"dogsort", "python", "torch", "onnxruntime", "pillow"}
    assert versions["dogsort"] == package.__version__
    stages = figures.pop("stages")
    assert list(stages) == ["read", "decode", "infer", "together"]
    for speed in stages.values():
        assert speed["photos_per_second"] * speed["milliseconds"] == pytest.approx(1000, rel=0.01)
    decoding = stages["decode"]["photos_per_second"] < stages["infer"]["photos_per_second"]
    assert figures.pop("bottleneck") == ("decoding" if decoding else "the network")
    assert figures.pop("engine").startswith("ONNX Runtime ")
    assert figures.pop("mean_bytes") > 0
    assert figures == {"device": "cpu", "batch_size": 4, "workers": 1, "photos": 6}


def test_a_pipe_gets_aligned_lines_neither_padded_nor_cut(dogsort, album, quick):
    run = dogsort("bench", album, COLUMNS="20")
    assert run.returncode == 0
    lines = run.stdout.decode().splitlines()
    *_, photos, head, read, decode, infer, together, bottleneck = lines
    assert photos.startswith("6 photos, ")
    assert head.split() == ["photos/s", "ms/photo"]
    assert [line.split()[0] for line in (read, decode, infer)] == ["read", "decode", "infer"]
    assert len({len(line) for line in (head, read, decode, infer, together)}) == 1
    assert bottleneck.startswith("bottleneck: ")
    assert all(line == line.rstrip() for line in lines)


def test_nothing_to_measure_on(dogsort, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    run = dogsort("bench", tmp_path)
    assert (run.returncode, run.stdout) == (1, b"")
    named, told = run.stderr.decode().splitlines()
    assert "broken.jpg: not an image" in named
    assert "no readable photos" in told


def test_a_sample_is_bounded_and_always_the_same(classifier, album, monkeypatch):
    photos = [Photo(str(path)) for path in sorted(album.iterdir())]
    sample = bench.take_sample(classifier, [*photos, Photo("nowhere.jpg")])
    assert sorted(photo.path for photo in sample.photos) == [photo.path for photo in photos]
    assert sample.failures == [Failure("nowhere.jpg", "no such file")]
    size = classifier.weights.input_size
    assert [pixels.shape for pixels in sample.batches] == [(6, size, size, 3)]
    monkeypatch.setattr(bench, "MOST_PHOTOS", 50)
    one, other = (bench.take_sample(classifier, photos * 20).photos for _ in range(2))
    assert one == other
    assert 50 <= len(one) < 50 + classifier.batch_size


@pytest.mark.slow
def test_comparison(album):
    script = Path(__file__).parent / "benchmarks" / "compare.py"
    run = subprocess.run(
        [sys.executable, script, album, "--rounds", "1"], capture_output=True, check=True
    )
    lines = [line.split() for line in run.stdout.decode().splitlines()]
    rows = {words[0]: words[2] for words in lines if len(words) == 5}
    assert (rows["torchvision"], rows["dogsort"]) == ("6", "6")
