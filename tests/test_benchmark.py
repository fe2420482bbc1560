"""The benchmark: what its figures say, never how large they are."""

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
from conftest import files_below
from hypothesis import given
from hypothesis import strategies as st

import dogsort as package
from dogsort.benchmark.sample import take_sample
from dogsort.benchmark.stages import STAGES, limit
from dogsort.records import Photo

RATES = st.floats(1e-3, 1e6)


def test_bench(dogsort, album):
    shutil.copy(album / "kitten.jpeg", album / "copy.jpeg")
    (album / "broken.jpg").write_bytes(b"no photo")
    before = files_below(album)
    run = dogsort("bench", album, "--json", "--workers", "1", "--batch-size", "4")
    assert run.returncode == 3
    assert files_below(album) == before
    said = run.stderr.decode()
    assert "broken.jpg: not an image" in said
    assert "all together" in said  # the table
    made = json.loads(run.stdout)
    assert made["photos"]["found"] == 8
    assert made["photos"]["measured"] == 6  # one is broken, one a copy
    assert made["photos"]["mean_megabytes"] > 0
    assert (made["workers"], made["batch_size"]) == (1, 4)
    assert made["machine"]["cpu"]
    assert 1 <= made["machine"]["cores"] <= os.cpu_count()
    assert made["versions"]["dogsort"] == package.__version__
    assert set(made["versions"]) == {"dogsort", "python", "torch", "onnxruntime", "pillow"}
    assert time.strptime(made["date"], "%Y-%m-%d")
    assert tuple(made["stages"]) == STAGES
    rates = {stage: one["photos_per_second"] for stage, one in made["stages"].items()}
    most = limit(rates["decode"], rates["infer"], made["device"])
    assert made["limit"]["photos_per_second"] == pytest.approx(most, rel=0.01)
    for stage, one in made["stages"].items():
        assert one["passes"] >= 3
        assert one["share_of_limit"] == pytest.approx(rates[stage] / most, rel=0.01)


def test_nothing_to_measure_on(dogsort, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    run = dogsort("bench", tmp_path)
    assert (run.returncode, run.stdout) == (1, b"")
    named, told = run.stderr.decode().splitlines()
    assert "broken.jpg: not an image" in named
    assert "no photo that can be read" in told


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupted_benchmark_leaves_nothing(album, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "dogsort", "bench", album],
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temporary)},
        # Children of a background job would ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        while process.poll() is None and not any(temporary.glob("dogsort-*/*")):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().decode()
    assert process.returncode == 130
    assert said.strip() == "dogsort: interrupted; nothing was measured"
    assert not list(temporary.glob("dogsort-*"))


def test_a_sample_is_always_the_same(classifier, album):
    photos = [Photo(str(path)) for path in sorted(album.iterdir())]
    one, other = take_sample(classifier, photos), take_sample(classifier, photos * 3)
    assert {photo.path for photo in one.photos} == {photo.path for photo in photos}
    assert one.photos == take_sample(classifier, photos).photos
    assert sorted(photo.path for photo in other.photos) == [photo.path for photo in photos]
    size = classifier.weights.input_size
    assert [tuple(pixels.shape) for pixels in one.batches] == [(6, size, size, 3)]


@given(decode=RATES, infer=RATES)
def test_limit(decode, infer):
    shared, apart = limit(decode, infer, "cpu"), limit(decode, infer, "cuda (a GPU)")
    assert apart == min(decode, infer)
    assert apart / 2 <= shared * (1 + 1e-9)
    assert shared < apart
    assert limit(infer, decode, "cpu") == pytest.approx(shared)


@pytest.mark.slow
def test_comparison(album):
    script = Path(__file__).parent / "benchmarks" / "compare.py"
    run = subprocess.run(
        [sys.executable, script, album, "--rounds", "1"], capture_output=True, check=True
    )
    lines = [line.split() for line in run.stdout.decode().splitlines()]
    rows = {words[0]: words[2] for words in lines if len(words) == 5}
    assert (rows["torchvision"], rows["dogsort"]) == ("6", "6")
