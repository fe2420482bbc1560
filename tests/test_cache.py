"""Results come from the cache once a photo is classified, and no cache makes a run worse."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from conftest import EXAMPLES
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from dogsort.network.weights import bundled_folder
from dogsort.photos.scan import Scan
from dogsort.records import Prediction
from dogsort.results import cache as cache_module
from dogsort.results.cache import FILE_NAME, Cache

MANY = 120
SMALL_BATCHES = ("--batch-size", "4", "--workers", "1")
UNUSABLE = "the cache cannot be used, so nothing is saved"

#: The command, changed to write its results after a few photos.
HASTY = """
import dogsort.results.cache
from dogsort.__main__ import main
dogsort.results.cache.FLUSH_PHOTOS = 8
main()
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder, for this test alone."""
    monkeypatch.setenv("DOGSORT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder with different parts of a photo, a file that is no photo, and an awkward name."""
    folder = tmp_path / "many"
    folder.mkdir()
    with Image.open(EXAMPLES / "chelsea.png") as photo:
        for number in range(MANY):
            part = photo.crop((number, number, number + 160, number + 160))
            part.save(folder / f"{number:03}.png", compress_level=1)
    (folder / "050 broken.png").write_bytes(b"broken")
    shutil.copy(EXAMPLES / "kitten.jpeg", os.path.join(os.fsencode(folder), b"caf\xe9\n.jpg"))
    return folder


def known(run) -> int:
    """Return how many photos a run with -v took from the cache."""
    said = [line for line in run.stderr.decode().splitlines() if line.startswith("known from")]
    return int(said[0].split(": ")[1]) if said else 0


def kept(cache: Path) -> int:
    """Return how many photos are in the cache."""
    try:
        with closing(sqlite3.connect(f"file:{cache / FILE_NAME}?mode=ro", uri=True)) as database:
            return database.execute("SELECT count(*) FROM photos").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_photos_are_classified_once(dogsort, album, tmp_path, suffix):
    table = tmp_path / f"p.{suffix}"
    assert known(dogsort(album, "-o", table, "-v")) == 0
    first = table.read_bytes()
    again = dogsort(album, "-o", table, "-v")
    assert (again.returncode, known(again)) == (0, 6)
    assert table.read_bytes() == first
    assert dogsort(album, "--no-cache", "-o", table).returncode == 0
    assert table.read_bytes() == first


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on(dogsort, many, tmp_path, cache, how):
    whole, table = tmp_path / "whole.csv", tmp_path / "p.csv"
    assert dogsort(many, "-o", whole, "--no-cache").returncode == 3
    command = [sys.executable, "-c", HASTY, many, "-o", table, *SMALL_BATCHES]
    with subprocess.Popen(
        [str(word) for word in command],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        deadline = time.monotonic() + 60
        while kept(cache) < 20:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(how)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode in (130, -how)
    if how == signal.SIGINT:
        assert b"run the same command to continue" in stderr
    assert not table.exists()
    assert kept(cache) < MANY
    run = dogsort(many, "-o", table, "-v")
    assert run.returncode == 3
    assert "050 broken.png" in run.stderr.decode()
    assert 20 <= known(run) < MANY
    assert table.read_bytes() == whole.read_bytes()
    assert kept(cache) == MANY + 1
    assert b"cache" not in stderr + run.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_that_went_away_costs_nothing(many, cache):
    command = f"'{sys.executable}' -m dogsort '{many}' | head -1"
    subprocess.run(command, shell=True, capture_output=True, check=False)  # noqa: S602
    assert kept(cache) > 0


def test_changed_touched_replaced_mended_and_new_photos_are_classified(dogsort, album, tmp_path):
    (album / "mended.png").write_bytes(b"broken")
    assert dogsort(album).returncode == 3
    # A dog replaces the cat, a photo gets another time, one is repaired, one is new.
    shutil.copy(EXAMPLES / "running_dog.jpeg", tmp_path / "new")
    (tmp_path / "new").replace(album / "chelsea.png")
    os.utime(album / "rocket.jpg", ns=(1, 1))
    shutil.copy(EXAMPLES / "kitten.jpeg", album / "mended.png")
    shutil.copy(EXAMPLES / "kitten.jpeg", album / "new.png")
    with (album / "coffee.png").open("ab") as file:  # changed, with the same time as before
        times = os.stat(album / "coffee.png")
        file.write(b"more")
    os.utime(album / "coffee.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    run = dogsort(album, "-v")
    assert run.returncode == 0
    assert known(run) == 3
    assert run.stdout == dogsort(album, "--no-cache").stdout
    labels = [line.split(",")[1] for line in run.stdout.decode().splitlines()[1:]]
    assert labels == ["neither", "dog", "neither", "cat", "cat", "cat", "neither", "dog"]


def test_what_could_not_be_read_is_tried_again(dogsort, album, cache):
    photo = (album / "kitten.jpeg").read_bytes()
    (album / "late.jpeg").write_bytes(bytes(len(photo)))
    os.utime(album / "late.jpeg", ns=(5, 5))
    assert dogsort(album).returncode == 3
    assert kept(cache) == 6
    again = dogsort(album, "-v")
    assert (again.returncode, known(again)) == (3, 6)
    assert "late.jpeg: " in again.stderr.decode()
    (album / "late.jpeg").write_bytes(photo)  # like a disk that responds again
    os.utime(album / "late.jpeg", ns=(5, 5))
    assert dogsort(album).returncode == 0


def test_other_weights_decoders_and_engines_classify_again(dogsort, album, tmp_path, monkeypatch):
    import onnxruntime
    import PIL

    from dogsort.photos import decode

    other = tmp_path / "other"
    shutil.copytree(bundled_folder(), other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["calibration"]["temperature_dog"] *= 2
    (other / "manifest.json").write_text(json.dumps(manifest))
    usual = dogsort(album, "-v")
    run = dogsort(album, "-v", "--weights", other)
    assert known(run) == 0
    assert run.stdout != usual.stdout
    assert run.stdout == dogsort(album, "--weights", other, "--no-cache").stdout
    for module, name in (
        (decode, "DECODER_VERSION"),
        (PIL, "__version__"),
        (onnxruntime, "__version__"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, "0")
            assert known(dogsort(album, "-v")) == 0
    # Each is still known when it comes back.
    again = dogsort(album, "-v")
    assert (known(again), again.stdout) == (6, usual.stdout)
    again = dogsort(album, "-v", "--weights", other)
    assert (known(again), again.stdout) == (6, run.stdout)


def test_labels_follow_the_threshold_of_this_run(dogsort, album):
    strict = ("--min-confidence", "0.9999")
    usual = dogsort(album).stdout
    run = dogsort(album, "-v", *strict)
    assert known(run) == 6
    assert b"unsure" in run.stdout
    assert run.stdout == dogsort(album, "--no-cache", *strict).stdout
    assert dogsort(album).stdout == usual


@pytest.mark.parametrize(
    "seconds", [-2_000_000_000, -1, 0, 9_300_000_000], ids=["1906", "1969", "1970", "2264"]
)
def test_awkward_names_and_times(dogsort, album, seconds):
    name = os.path.join(os.fsencode(album), b'caf\xe9 \xff\n,".jpg')
    (album / "kitten.jpeg").rename(os.fsdecode(name))
    (album / "chelsea.png").rename(album / "ünï 🐶.png")
    for path in album.iterdir():
        os.utime(path, ns=(0, seconds * 10**9 + 1))
    first = dogsort(album)
    again = dogsort(album, "-v")
    assert (again.returncode, known(again), again.stdout) == (0, 6, first.stdout)
    os.utime(name, ns=(0, seconds * 10**9 + 10**10))
    assert known(dogsort(album, "-v")) == 5


def test_a_folder_is_known_whatever_leads_to_it(dogsort, album, tmp_path):
    (album / "2019").mkdir()
    (album / "rocket.jpg").rename(album / "2019" / "rocket.jpg")
    assert dogsort("album", cwd=tmp_path).returncode == 0
    (tmp_path / "link").symlink_to("album")
    for words, cwd, count in (
        ((album,), album, 6),
        ((".",), album, 6),
        (("../../album",), album / "2019", 6),
        (("link/",), tmp_path, 6),
        (("kitten.jpeg", "2019"), album, 2),
        (("rocket.jpg",), album / "2019", 1),
    ):
        assert known(dogsort(*words, "-v", cwd=cwd)) == count
    assert known(dogsort("-", "-v", stdin=b"link/kitten.jpeg\n", cwd=tmp_path)) == 1
    # A link to a photo, and the same photo under another name, are not classified yet.
    (tmp_path / "link.jpeg").symlink_to("album/kitten.jpeg")
    assert known(dogsort(tmp_path / "link.jpeg", "-v")) == 0


def test_no_cache_takes_and_keeps_nothing(dogsort, album, tmp_path, cache):
    table = tmp_path / "p.csv"
    assert dogsort(album, "--no-cache", "-o", table).returncode == 0
    assert kept(cache) == 0
    dogsort(album)
    with closing(sqlite3.connect(cache / FILE_NAME)) as database, database:
        database.execute("UPDATE photos SET p_dog = 0.5, p_pet = 0.5")
    truth = table.read_bytes()
    assert dogsort(album).stdout != truth
    assert dogsort(album, "--no-cache").stdout == truth
    assert known(dogsort(album, "--no-cache", "-v")) == 0


def test_photos_that_were_moved_are_known_when_they_are_back(dogsort, album):
    first = dogsort(album, "--move", "-o", "-")
    assert first.returncode == 0
    again = dogsort(album, "-v", "--move")
    assert known(again) == 3
    assert dogsort("undo", album).returncode == 0
    back = dogsort(album, "-v")
    assert (known(back), back.stdout) == (6, first.stdout)


def test_looking_first_and_filing_then(dogsort, album):
    assert dogsort(album, "--move", "-n").returncode == 0
    run = dogsort(album, "--move", "-v")
    assert (run.returncode, known(run)) == (0, 6)
    assert len(list(album.glob("[cd]*/*"))) == 3


def test_submissions_take_from_it_too(dogsort, tmp_path):
    folder = tmp_path / "test1"
    folder.mkdir()
    for number, name in enumerate(("kitten.jpeg", "running_dog.jpeg", "coffee.png"), 9):
        shutil.copy(EXAMPLES / name, folder / f"{number}.jpg")
    dogsort("submit", folder, "-o", tmp_path / "whole.csv", "--no-cache")
    dogsort(folder / "9.jpg")
    assert known(dogsort("submit", folder, "-o", tmp_path / "s.csv", "-v")) == 1
    assert known(dogsort("submit", folder, "-o", tmp_path / "s.csv", "-v")) == 3
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert known(dogsort(folder, "-v")) == 3


def test_it_is_bounded(dogsort, album, cache, monkeypatch):
    monkeypatch.setattr(cache_module, "MOST", 3)
    for count in (0, 3, 3, 3):
        run = dogsort(album, "-v")
        assert (run.returncode, known(run)) == (0, count)
        assert kept(cache) == 3


def test_a_folder_that_is_too_large_for_it_is_known_in_part(dogsort, many, cache, monkeypatch):
    monkeypatch.setattr(cache_module, "MOST", MANY // 2)
    monkeypatch.setattr(cache_module, "FLUSH_PHOTOS", 8)
    for count in (0, MANY // 2, MANY // 2):
        assert known(dogsort(many, "-v", *SMALL_BATCHES)) == count
        assert kept(cache) == MANY // 2


def test_two_runs_at_once_both_end_right(dogsort, many, tmp_path, cache):
    whole = tmp_path / "whole.csv"
    assert dogsort(many, "-o", whole, "--no-cache").returncode == 3
    shutil.rmtree(cache)
    tables = [tmp_path / f"{number}.csv" for number in range(3)]
    command = [sys.executable, "-c", HASTY, str(many), *SMALL_BATCHES, "-o"]
    runs = [subprocess.Popen([*command, table], stderr=subprocess.PIPE) for table in tables]
    for run, table in zip(runs, tables, strict=True):
        _, stderr = run.communicate(timeout=120)
        assert (run.returncode, UNUSABLE in stderr.decode()) == (3, False)
        assert table.read_bytes() == whole.read_bytes()
    assert kept(cache) == MANY + 1


#: Opens new caches on request.
OPEN = """
import sys
from pathlib import Path
from dogsort.results.cache import Cache
print("ready", flush=True)
sys.stdin.readline()
for number in range(30):
    cache = Cache(Path(sys.argv[1], str(number)))
    cache.note_table("t.csv", "digest", [])
    if cache.trouble:
        sys.exit(cache.trouble)
"""


def test_many_make_it_at_once(cache):
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, cache], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(8)
    ]
    for run in runs:
        assert run.stdout.readline() == b"ready\n"
    for run in runs:
        run.stdin.write(b"\n")
        run.stdin.flush()
    for run in runs:
        run.communicate(timeout=60)
        assert run.returncode == 0


def check_unusable(run, truth: bytes) -> None:
    """Check for one warning, and all rows."""
    said = run.stderr.decode()
    assert run.returncode == 0, said
    assert run.stdout == truth
    assert said.count(UNUSABLE) == 1
    assert "Traceback" not in said


@pytest.fixture
def truth(dogsort, album) -> bytes:
    """Return what a run over the album prints."""
    return dogsort(album, "--no-cache").stdout


@pytest.mark.parametrize("warm", [False, True])
def test_a_locked_cache(dogsort, dogsort_process, album, truth, cache, warm):
    if warm:
        shutil.copy(album / "kitten.jpeg", album / "more.jpeg")
        dogsort(album)
        (album / "more.jpeg").unlink()
        os.utime(album / "kitten.jpeg", ns=(1, 1))
    else:
        cache.mkdir()
    with closing(sqlite3.connect(cache / FILE_NAME, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        check_unusable(dogsort_process(album), truth)
    assert known(dogsort(album, "-v")) == 5 * warm


def test_what_is_known_needs_no_lock(dogsort, dogsort_process, album, truth, cache):
    dogsort(album)
    with closing(sqlite3.connect(cache / FILE_NAME, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        run = dogsort_process(album, "-v")
    assert (known(run), run.stdout) == (6, truth)
    assert UNUSABLE not in run.stderr.decode()


def random_bytes(file: Path) -> None:
    file.write_bytes(random.Random(1).randbytes(20_000))


def cut_off(file: Path) -> None:
    os.truncate(file, os.path.getsize(file) // 2)


def of_another_version(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 99")


def with_other_tables(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE photos (name)")


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def below_a_file(file: Path) -> None:
    shutil.rmtree(file.parent)
    file.parent.touch()


def below_a_broken_link(file: Path) -> None:
    shutil.rmtree(file.parent)
    file.parent.symlink_to("nowhere")


@pytest.mark.parametrize(
    "damage",
    [
        random_bytes,
        cut_off,
        of_another_version,
        with_other_tables,
        a_folder,
        below_a_file,
        below_a_broken_link,
    ],
)
def test_a_cache_that_cannot_be_used(dogsort, album, truth, cache, tmp_path, damage):
    dogsort(album)
    damage(cache / FILE_NAME)
    for _ in range(2):
        check_unusable(dogsort(album), truth)
    check_unusable(dogsort(album, "--move", "-n"), dogsort(album, "--move", "-n", "-q").stdout)
    run = dogsort(album, "-o", tmp_path / "p.csv")
    assert (run.returncode, (tmp_path / "p.csv").read_bytes()) == (0, truth)
    assert run.stderr.decode().count(UNUSABLE) == 1
    assert dogsort(album, "--no-cache").stderr.decode().count(UNUSABLE) == 0


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="XDG folders")
def test_a_user_without_a_home(dogsort, album, truth, tmp_path, monkeypatch):
    """As in a container, where the user may have any number."""
    pwd = pytest.importorskip("pwd")
    monkeypatch.setattr(pwd, "getpwuid", lambda number: {}[number])
    for name in ("HOME", "DOGSORT_CACHE", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    check_unusable(dogsort(album, cwd=tmp_path), truth)
    run = dogsort(album, "-o", "p.csv", "--move", "--to", "sorted", cwd=tmp_path)
    assert (run.returncode, (tmp_path / "p.csv").read_bytes()) == (0, truth)
    assert dogsort("info", cwd=tmp_path).returncode == 0
    assert dogsort("undo", "sorted", "--yes", cwd=tmp_path).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"album", "p.csv", "sorted"}


def test_an_empty_file_becomes_a_cache(dogsort, album, cache):
    cache.mkdir()
    (cache / FILE_NAME).touch()
    assert dogsort(album).returncode == 0
    assert known(dogsort(album, "-v")) == 6


@pytest.mark.skipif(os.name == "nt", reason="POSIX limits")
@pytest.mark.parametrize("warm", [False, True])
def test_a_disk_that_takes_no_more(dogsort, album, truth, cache, warm):
    if warm:
        dogsort(album)
        os.utime(album / "kitten.jpeg", ns=(1, 1))
    run = subprocess.run(
        [sys.executable, "-m", "dogsort", album],
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        check=False,
    )
    check_unusable(run, truth)
    assert known(dogsort(album, "-v")) == 5 * warm


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_cache_that_may_only_be_read(dogsort, album, truth, cache):
    dogsort(album)
    os.utime(album / "kitten.jpeg", ns=(1, 1))
    (cache / FILE_NAME).chmod(0o400)
    cache.chmod(0o500)
    try:
        check_unusable(dogsort(album), truth)
    finally:
        cache.chmod(0o700)


@pytest.fixture(scope="module")
def filled(tmp_path_factory, classifier) -> tuple[Path, bytes, list[Prediction]]:
    """A folder of photos, a cache that knows them, and their labels."""
    folder = tmp_path_factory.mktemp("filled")
    for number in range(200):  # more than a page in each table
        place = folder / f"{number:03}"
        place.mkdir()
        (place / "x.png").symlink_to(EXAMPLES / "coffee.png")
    with closing(Cache(folder)) as cache:
        records = list(cache.predict(Scan([str(folder)]), classifier))
        cache.note_table(str(folder / "p.csv"), "digest", [str(folder)])
    return folder, (folder / FILE_NAME).read_bytes(), records


def recalled(cache_file: bytes, folder: Path, classifier, home: Path) -> list[Prediction]:
    (home / FILE_NAME).write_bytes(cache_file)
    for suffix in ("-wal", "-shm"):
        (home / f"{FILE_NAME}{suffix}").unlink(missing_ok=True)
    some = [str(folder / f"{number:03}") for number in range(0, 200, 25)]
    with closing(Cache(home)) as cache:
        cache.table(str(folder / "p.csv"))
        cache.stamps([str(folder / "000" / "x.png")])
        return list(cache.predict(Scan(some), classifier))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1))
def test_a_cache_cut_off_anywhere(filled, classifier, tmp_path, cut):
    folder, whole, records = filled
    found = recalled(whole[: int(cut * len(whole))], folder, classifier, tmp_path)
    assert found == records[::25]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), junk=st.binary(min_size=1, max_size=3000))
@example(place=0.05859375, junk=b"\x80")  # in the words of the schema
def test_a_cache_with_junk_in_it(filled, classifier, tmp_path, place, junk):
    folder, whole, records = filled
    start = int(place * len(whole))
    damaged = (whole[:start] + junk + whole[start + len(junk) :])[: len(whole)]
    found = recalled(damaged, folder, classifier, tmp_path)
    assert [one.path for one in found] == [one.path for one in records[::25]]
    assert all(0 <= number <= 1 for one in found for number in (one.p_dog, one.p_pet))


def test_later_runs_know_what_a_person_decided(dogsort, album):
    table = album.parent / "p.csv"
    assert dogsort(album, "-o", table).returncode == 0
    table.write_text(table.read_text().replace("chelsea.png,cat", "chelsea.png,neither"))
    assert dogsort("file", table, "--move").returncode == 0
    assert dogsort(album, "--move", "--quiet").returncode == 0  # as a nightly job
    assert (album / "chelsea.png").exists()
    assert b"chelsea.png,neither,0.000140,0.997888" in dogsort(album).stdout
    os.utime(album / "chelsea.png", (1, 1))  # another photo, for all that is known
    assert b"chelsea.png,cat" in dogsort(album).stdout


def test_what_a_person_decided_survives_filing_undo_and_renamed_folders(dogsort, album):
    table = album.parent / "p.csv"
    assert dogsort(album, "-o", table).returncode == 0
    assert dogsort("file", table, "--move").returncode == 0
    table.write_text(table.read_text().replace("chelsea.png,cat", "chelsea.png,neither"))
    for _ in range(2):  # the photo is in cat/ by now
        assert dogsort("file", table, "--move").returncode in (0, 3)
    assert dogsort("undo", album).returncode == 0
    moved = album.rename(album.parent / "renamed")
    assert dogsort(moved, "--move", "--quiet").returncode == 0
    assert (moved / "chelsea.png").exists()
    assert (moved / "cat" / "kitten.jpeg").exists()


def test_a_dry_run_decides_nothing(dogsort, album):
    table = album.parent / "p.csv"
    assert dogsort(album, "-o", table).returncode == 0
    table.write_text(table.read_text().replace("chelsea.png,cat", "chelsea.png,neither"))
    assert dogsort("file", table, "--move", "--dry-run").returncode == 0
    assert b"chelsea.png,cat" in dogsort(album).stdout


def test_a_cache_of_an_earlier_dogsort_is_used(dogsort, album, cache):
    assert dogsort(album, "--quiet").returncode == 0
    with closing(sqlite3.connect(cache / FILE_NAME)) as database:
        database.executescript("DROP TABLE decided; PRAGMA user_version = 1")
    run = dogsort(album, "-v")
    assert b"known from earlier runs: 6" in run.stderr
    with closing(Cache()) as opened:
        assert not opened.trouble
        photo = str(album / "chelsea.png")
        opened.note_labels([(photo, photo, "dog")])
    assert b"chelsea.png,dog" in dogsort(album).stdout
