"""The default install, without torch and more: what it does, and how it names what it lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from conftest import files_below
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dogsort.extras import EXTRAS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: A stand-in for NVIDIA's driver that counts GPUs.
DRIVER = (
    "int cuInit(unsigned flags) { return 0; } int cuDeviceGetCount(int *n) { *n = 1; return 0; }"
)


def default_distributions() -> set[str]:
    """Return what `pip install dogsort` installs, from the metadata here."""
    found: set[str] = set()
    left = list(PROJECT["dependencies"])
    while left:
        requirement = Requirement(left.pop())
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and name not in found:
            found.add(name)
            left += distribution(name).requires or []
    return found


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of links to what the default install contains, and nothing else."""
    folder = tmp_path_factory.mktemp("libraries")
    for name in default_distributions():
        files = distribution(name).files or []
        for entry in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            try:
                (folder / entry).symlink_to(distribution(name).locate_file(entry))
            except OSError:
                pytest.skip("links need a right that this user lacks")
    return folder


@pytest.fixture
def python(libraries, own_home, place):
    """Run Python with the default install only, beside photos."""
    path = os.pathsep.join([str(libraries), str(ROOT)])

    def run(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", *args],  # -S: without site-packages
            env={**os.environ, "PYTHONPATH": path, **env},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def light(python):
    return lambda command, **env: python("-m", "dogsort", *command.split(), **env)


@pytest.mark.parametrize("extra", EXTRAS)
def test_extras_are_as_declared(extra):
    left, declared = [extra], set()
    while left:
        for text in PROJECT["optional-dependencies"][left.pop()]:
            requirement = Requirement(text)
            left += requirement.extras
            declared |= {requirement.name} - {"dogsort"}
    assert set(EXTRAS[extra]) == declared


@pytest.mark.parametrize("module", sorted({name for names in EXTRAS.values() for name in names}))
def test_the_default_install_lacks_what_extras_bring(python, module):
    assert f"No module named '{module}'" in python("-c", f"import {module}").stderr


@pytest.mark.parametrize(
    "command",
    [
        "photos",
        "photos -o predictions.csv",
        "photos -o predictions.jsonl",
        "photos --move --dry-run",
        "submit test1 -o submission.csv",
        "submit test1 -o submission.csv --hard",
        "eval labelled",
        "eval labelled -o figures.json --robustness",
        pytest.param("bench photos --json", marks=pytest.mark.slow),
        "info",
        "train --help",
    ],
)
def test_runs_without_extras(light, command):
    run = light(command)
    assert run.returncode == 0, run.stderr


def test_files_and_undoes_without_extras(light, place):
    before = files_below(place / "photos")
    assert light("photos -o predictions.csv").returncode == 0
    assert light("file predictions.csv --photos photos --move").returncode == 0
    assert Path("photos/dog/running_dog.jpeg").exists()
    assert "running_dog.jpeg" in light("history photos").stdout
    assert light("undo photos").returncode == 0
    assert files_below(place / "photos") == before


@pytest.mark.parametrize(
    ("command", "lack"),
    [
        ("photos --device cuda", "device cuda needs torch: pip install 'dogsort[gpu]'"),
        ("photos --device mps --move", "device mps needs torch: pip install 'dogsort[gpu]'"),
        ("info --device cuda", "device cuda needs torch: pip install 'dogsort[gpu]'"),
        ("bench photos --device cuda", "device cuda needs torch: pip install 'dogsort[gpu]'"),
        ("train labelled -o new", "training needs torch: pip install 'dogsort[train]'"),
        ("photos -o p.parquet", "p.parquet needs pyarrow: pip install 'dogsort[parquet]'"),
        ("file p.parquet --move", "p.parquet needs pyarrow: pip install 'dogsort[parquet]'"),
        (
            "eval labelled --report eval.html",
            "--report needs matplotlib: pip install 'dogsort[report]'",
        ),
    ],
)
def test_what_lacks_an_extra_says_so_before_any_work(light, place, command, lack):
    if command.startswith("file"):
        (place / "p.parquet").write_bytes(b"PAR1")
    before = sorted(place.rglob("*"))
    run = light(command)
    assert (run.returncode, run.stdout, run.stderr) == (1, "", f"dogsort: {lack}\n")
    assert sorted(place.rglob("*")) == before


@pytest.mark.skipif(sys.platform != "linux", reason="the driver's library is found otherwise")
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_a_gpu_without_torch_is_mentioned_once(light, tmp_path):
    driver = tmp_path / "driver"
    driver.mkdir()
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", driver / "libcuda.so.1"]
    subprocess.run(command, input=DRIVER, text=True, check=True)
    run = light("photos --batch-size 1", LD_LIBRARY_PATH=str(driver))
    assert run.returncode == 0
    advice, summary = run.stderr.splitlines()
    assert "CPU" in advice
    assert "NVIDIA GPU: pip install 'dogsort[gpu]'" in advice
    assert summary.startswith("6 photos")
    assert light("photos --quiet", LD_LIBRARY_PATH=str(driver)).stderr == ""
    assert "torch" not in light("photos --device cpu", LD_LIBRARY_PATH=str(driver)).stderr
    assert "torch" in light("info", LD_LIBRARY_PATH=str(driver)).stdout
