"""Damaged photos of every format: a row or a reason, never a crash, a hang, or 1 GB of memory."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest
from conftest import EXAMPLES
from mutations import Mutant, mutant
from photo_samples import HEIGHT, WIDTH, samples, tiff
from PIL import Image

from dogsort.photos.decode import FORMATS

pytestmark = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="memory is measured with Linux's /proc"
)

SIDE = 13_341  # squared, just under the 178 megapixels that dogsort reads


class Child:
    """The process that decodes, restarted after each file that ended it."""

    def __init__(self, errors: Path, *python_options: str) -> None:
        self.command = [
            sys.executable,
            *python_options,
            Path(__file__).with_name("decode_child.py"),
        ]
        self.errors = errors
        self.process: subprocess.Popen[str] | None = None

    def decode(self, path: Path) -> dict[str, object]:
        if self.process is None:
            # Each arena of the C library would reserve unused address space.
            environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            with self.errors.open("wb") as errors:
                self.process = subprocess.Popen(
                    self.command, stderr=errors, env=environment, **pipes
                )
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        report = json.loads(answer) if answer else self.death()
        if report["outcome"] == "fault":
            self.close()
        return report

    def death(self) -> dict[str, object]:
        code = self.process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        text = f"died of {how} (SIGPROF, SIGALRM: hung)\n{self.errors.read_text()[-2000:]}"
        return {"outcome": "fault", "text": text, "seconds": 0, "resident": 0, "address_space": 0}

    def close(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait()
            self.process = None


@pytest.fixture
def child(tmp_path):
    one = Child(tmp_path / "stderr")
    yield one
    one.close()


def fuzz(child: Child, folder: Path, mutants: list[Mutant]) -> str:
    """Decode all; return the figures, or fail and name each fault and the file saved for it."""
    faults, reports = [], []
    for number, (name, content) in enumerate(mutants):
        path = folder / f"mutant{number}"
        path.write_bytes(content)
        report = child.decode(path)
        reports.append((report, name))
        if report["outcome"] == "fault":
            faults.append(f"{name}: {report['text']}\n    kept as {path}")
        else:
            path.unlink()
    assert not faults, f"{len(faults)} of {len(mutants)}:\n" + "\n".join(faults)
    outcomes = Counter(report["outcome"] for report, _ in reports)
    assert min(outcomes["pixels"], outcomes["reason"]) > len(mutants) / 20, "damages all or nothing"
    most = {
        key: max((report[key], name) for report, name in reports)
        for key in ("seconds", "resident", "address_space")
    }
    return (
        f"{len(mutants)} files: {outcomes['pixels']} read, {outcomes['reason']} with a reason; "
        f"slowest {most['seconds'][0]:.2f} s ({most['seconds'][1]}); "
        f"most memory {most['resident'][0] / 1e6:.0f} MB ({most['resident'][1]}); "
        f"most address space {most['address_space'][0] / 1e6:.0f} MB ({most['address_space'][1]})"
    )


def test_there_is_a_sample_of_every_format_and_all_are_read(child, tmp_path):
    formats = {Image.open(io.BytesIO(content)).format for content in samples().values()}
    assert formats == {*FORMATS, "MPO"}
    for name, content in samples().items():
        (tmp_path / "sample").write_bytes(content)
        report = child.decode(tmp_path / "sample")
        assert report["outcome"] == "pixels", f"{name}: {report['text']}"


def test_damaged_photos_are_read_or_refused(child, tmp_path):
    fuzz(child, tmp_path, [mutant(1, number) for number in range(300)])


def test_no_warning_becomes_a_crash(tmp_path):
    child = Child(tmp_path / "stderr", "-W", "error")
    fuzz(child, tmp_path, [mutant(2, number) for number in range(150)])
    child.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_thousands_of_damaged_photos_are_read_or_refused(child, tmp_path, seed):
    print(fuzz(child, tmp_path, [mutant(seed, number) for number in range(5000)]))


def patched(name: str, at: int, form: str, *values: int) -> bytes:
    """Return a sample with other numbers in one place of its header."""
    content = samples()[name]
    return content[:at] + struct.pack(form, *values) + content[at + struct.calcsize(form) :]


def jpeg_of(name: str, width: int, height: int) -> bytes:
    return samples()[name].replace(
        struct.pack(">HH", HEIGHT, WIDTH), struct.pack(">HH", height, width), 1
    )


def tiff_turned(side: int) -> bytes:
    """Return a TIFF in a single strip, which is rotated after decoding."""
    content = samples()["TIFF turned lzw"]
    for old in (WIDTH, HEIGHT):
        content = content.replace(struct.pack("<I", old), struct.pack("<I", side))
    return content


def endless_png() -> bytes:
    """Return a file with all its pixels, whose length field says 3.9 GB."""
    content = samples()["PNG palette"]
    at = content.index(b"IDAT") - 4
    return content[:at] + b"\xe8\0\0\0" + content[at + 4 :]


def real_tiff(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("F", (side, side), 0.5).save(file, "TIFF", compression="tiff_adobe_deflate")
    return file.getvalue()


GREEDY = {
    # Read despite the size:
    "GIF of one small frame on 178 megapixels": (
        lambda: patched("GIF transparent", 6, "<HH", SIDE, SIDE),
        "",
    ),
    "TIFF of 32-bit numbers": (lambda: real_tiff(7_200), ""),
    "PNG that claims to go on for gigabytes": (endless_png, ""),
    # Refused:
    "TIFF tile larger than the picture": (
        lambda: tiff(WIDTH, HEIGHT, 20_000, 20_000, [zlib.compress(bytes(10**7))], 8),
        "1,200 MB of memory",
    ),
    "TIFF of one strip, turned": (lambda: tiff_turned(13_000), "MB of memory"),
    "JPEG, progressive": (lambda: jpeg_of("JPEG progressive", SIDE, SIDE), "MB of memory"),
    "JPEG, progressive, CMYK": (
        lambda: jpeg_of("JPEG CMYK progressive", SIDE, 9_500),
        "MB of memory",
    ),
    "WebP canvas": (
        lambda: patched("WEBP animated", 24, "<HBHB", 13_000, 0, 13_000, 0),
        "megapixels in WebP",
    ),
    "BMP of one row": (lambda: patched("BMP 24 bits", 18, "<ii", 177_000_000, 1), "one side"),
    "BMP of one column": (lambda: patched("BMP grey", 18, "<ii", 1, 177_000_000), "one side"),
    "BMP of run lengths, minutes of work": (
        lambda: patched("BMP run lengths", 18, "<ii", SIDE, SIDE)[:1078] + b"\1\5\0\0" * SIDE,
        "megapixels in a run-length-coded BMP",
    ),
}


@pytest.mark.parametrize("name", GREEDY)
def test_small_files_that_ask_for_much(child, tmp_path, name):
    make, reason = GREEDY[name]
    path = tmp_path / "greedy"
    path.write_bytes(make())
    report = child.decode(path)
    assert report["outcome"] == ("reason" if reason else "pixels"), report["text"]
    assert reason in report["text"]


def test_the_command_on_a_folder_of_damaged_photos(dogsort_process, tmp_path):
    album = tmp_path / "album"
    album.mkdir()
    good = {"m_cat.png": ("chelsea.png", "cat"), "m_dog.jpg": ("running_dog.jpeg", "dog")}
    for name, (original, _) in good.items():
        (album / name).write_bytes((EXAMPLES / original).read_bytes())
    for number in range(0, 80, 2):  # the samples are sorted by format
        name, content = mutant(6, number)
        suffix = name.split()[4].lower()
        (album / f"{'az'[number % 4 // 2]}{number:02}.{suffix}").write_bytes(content)
    run = dogsort_process(album)
    assert run.returncode == 3
    found = list(csv.DictReader(io.StringIO(run.stdout.decode())))
    assert [row["path"] for row in found] == sorted(str(path) for path in album.iterdir())
    for row in found:
        assert bool(row["error"]) != bool(row["label"])
    labels = {os.path.basename(row["path"]): row["label"] for row in found}
    assert {name: labels[name] for name in good} == {
        name: label for name, (_, label) in good.items()
    }
    text = run.stderr.decode()
    assert "Traceback" not in text
    assert "Warning" not in text
    for row in found:
        assert (f"{row['path']}: {row['error']}" in text) == bool(row["error"])
