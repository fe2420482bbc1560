"""What the tests share: the real command, the real network, real photos."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image
from runner import run_in_process, run_process
from trees import QUICK

from dogsort import Classifier

# Tests never judge by the clock: a busy machine is no failure.
settings.register_profile("dogsort", deadline=None)
settings.load_profile("dogsort")

EXAMPLES = Path(__file__).parent.parent / "examples" / "photos"


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this user's runs and photos are noted: never in the home folder, while tests run."""
    folder = tmp_path_factory.mktemp("state")
    os.environ["XDG_STATE_HOME"] = str(folder)
    os.environ["DOGSORT_CACHE"] = str(folder / "cache")
    return folder


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder for many files: in memory, if the system has that, and so soon put on disk."""
    if QUICK is None:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=QUICK) as folder:
        yield Path(folder)


@pytest.fixture
def dogsort():
    """The command, run in this process: fast, and enough for most."""
    return run_in_process


@pytest.fixture
def dogsort_process():
    """The command as a process of its own; ``runner`` says what for."""
    return run_process


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command keeps what it keeps for a user in a folder of the test, and no bytecode."""
    home = tmp_path / "home"
    (home / ".local/state/dogsort").mkdir(parents=True)  # once made, it is there for all runs
    for name in ("STATE", "DATA", "CACHE", "CONFIG"):
        monkeypatch.delenv(f"XDG_{name}_HOME", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return home


@pytest.fixture(scope="session")
def classifier():
    return Classifier(device="cpu")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with the example photos: 1 dog, 2 cats, 3 others."""
    folder = tmp_path / "album"
    folder.mkdir()
    for photo in EXAMPLES.iterdir():
        if photo.suffix != ".md":
            shutil.copy(photo, folder)
    return folder


@pytest.fixture
def place(tmp_path, album, monkeypatch):
    """Where the README's reader is: photos/, test1/, labelled/."""
    album.rename(tmp_path / "photos")
    (tmp_path / "test1").mkdir()
    shutil.copy(EXAMPLES / "kitten.jpeg", tmp_path / "test1" / "1.jpg")
    for truth, name in (
        ("dog", "running_dog.jpeg"),
        ("cat", "kitten.jpeg"),
        ("neither", "coffee.png"),
    ):
        (tmp_path / "labelled" / truth).mkdir(parents=True)
        shutil.copy(EXAMPLES / name, tmp_path / "labelled" / truth)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dog() -> Image.Image:
    return Image.open(EXAMPLES / "running_dog.jpeg").convert("RGB")


@pytest.fixture
def cat() -> Image.Image:
    return Image.open(EXAMPLES / "chelsea.png").convert("RGB")


@pytest.fixture(scope="session")
def data() -> Path:
    """The labelled photos, where the machine has them."""
    location = os.environ.get("DOGSORT_DATA")
    if not location:
        pytest.skip("DOGSORT_DATA is not set")
    return Path(location).resolve()


def files_below(folder: Path) -> dict[str, bytes]:
    """Everything below a folder but journals, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.parent.name != ".dogsort"
    }
