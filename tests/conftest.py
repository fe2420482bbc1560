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

# No test depends on timing: a busy machine is not a failure.
settings.register_profile("dogsort", deadline=None)
settings.load_profile("dogsort")

EXAMPLES = Path(__file__).parent.parent / "examples" / "photos"


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep what dogsort stores for a user out of the home folder while tests run."""
    folder = tmp_path_factory.mktemp("state")
    os.environ["XDG_STATE_HOME"] = str(folder)
    os.environ["DOGSORT_CACHE"] = str(folder / "cache")
    return folder


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder for many files: in memory if possible, where syncing is fast."""
    if QUICK is None:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=QUICK) as folder:
        yield Path(folder)


@pytest.fixture
def dogsort():
    """The command, run in this process: fast, and enough for most tests."""
    return run_in_process


@pytest.fixture
def dogsort_process():
    """The command as a separate process; ``runner`` says when that is needed."""
    return run_process


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder for this test; the command writes no bytecode."""
    home = tmp_path / "home"
    (home / ".local/state/dogsort").mkdir(parents=True)  # made once, for all runs
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
    """The folder of the README's reader, with photos/, test1/ and labelled/."""
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
    """The labelled photos, if this machine has them."""
    location = os.environ.get("DOGSORT_DATA")
    if not location:
        pytest.skip("DOGSORT_DATA is not set")
    return Path(location).resolve()


def files_below(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder except journals, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.parent.name != ".dogsort"
    }
