"""Pictures for the page: the right shape, orientation and colours, and cached."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from photo_samples import samples
from PIL import Image, ImageCms

from dogsort.errors import UnreadablePhoto
from dogsort.photos.decode import decode_whole, decode_within
from dogsort.photos.facts import date_of, read_facts
from dogsort.pictures.cache import FOLDER_NAME, PictureCache
from dogsort.pictures.thumbnails import SIDES, Dates, Thumbnails

EXAMPLES = Path(__file__).parents[2] / "examples" / "photos"
DATA = os.environ.get("DOGSORT_DATA")

ORIENTATION, DATE_TIME, EXIF_BLOCK, DATE_TIME_ORIGINAL = 0x0112, 0x0132, 0x8769, 0x9003


@pytest.fixture
def thumbnails(tmp_path):
    made = Thumbnails(tmp_path / "cache")
    yield made
    made.close()


def opened(picture: bytes) -> Image.Image:
    return Image.open(io.BytesIO(picture), formats=["JPEG"])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", ["kitten.jpeg", "chelsea.png"])
def test_a_small_picture_is_the_whole_photo_unsquashed(thumbnails, name, side):
    whole = decode_whole(str(EXAMPLES / name))
    picture = opened(thumbnails.small(str(EXAMPLES / name), side).result())
    assert max(picture.size) == min(side, max(whole.size))
    assert picture.width / picture.height == pytest.approx(whole.width / whole.height, rel=0.02)
    expected = np.asarray(whole.resize(picture.size, Image.Resampling.BOX), float)
    assert np.abs(np.asarray(picture, float) - expected).mean() < 8


def test_a_large_picture_is_not_enlarged_and_at_most_4096(thumbnails, tmp_path):
    photo = Image.open(EXAMPLES / "chelsea.png").convert("RGB")
    photo.resize((4500, 3000)).save(tmp_path / "large.jpg", quality=50)
    assert opened(thumbnails.large(str(tmp_path / "large.jpg")).result()).size == (4096, 2731)
    whole = opened(thumbnails.large(str(EXAMPLES / "chelsea.png")).result())
    assert whole.size == photo.size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright_and_facts_agree(thumbnails, tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = str(tmp_path / "turned.jpg")
    Image.open(EXAMPLES / "running_dog.jpeg").save(path, exif=exif)
    upright = decode_whole(path)
    assert read_facts(path)[:2] == upright.size
    picture = opened(thumbnails.small(path, 160).result())
    expected = np.asarray(upright.resize(picture.size, Image.Resampling.BOX), float)
    assert np.abs(np.asarray(picture, float) - expected).mean() < 8
    assert ORIENTATION not in picture.getexif()


def test_facts_agree_with_the_pixels_of_every_format(tmp_path):
    path = str(tmp_path / "photo")
    for name, content in samples().items():
        Path(path).write_bytes(content)
        facts = read_facts(path)
        assert (facts.width, facts.height) == decode_whole(path).size, name
        assert name.startswith(facts.format) or facts.format in ("DIB", "MPO", "JPEG"), name
        assert facts.bytes == len(content)
        assert max(decode_within(path, 40).size) == 40, name


def test_colour_profiles_stay_only_where_they_belong(thumbnails, tmp_path):
    photo = Image.open(EXAMPLES / "kitten.jpeg")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo.save(tmp_path / "rgb.jpg", icc_profile=profile, comment=b"for nobody's eyes")
    grey = profile[:16] + b"GRAY" + profile[20:]
    photo.convert("L").save(tmp_path / "grey.jpg", icc_profile=grey)
    rgb = opened(thumbnails.small(str(tmp_path / "rgb.jpg"), 160).result())
    assert rgb.info["icc_profile"] == profile
    assert "comment" not in rgb.info
    assert (
        "icc_profile" not in opened(thumbnails.small(str(tmp_path / "grey.jpg"), 160).result()).info
    )


@pytest.mark.parametrize("kind", ["JPEG", "HEIF", "PNG", "WEBP", "AVIF"])
def test_the_date_is_when_the_photo_was_taken(tmp_path, kind):
    read_facts(str(EXAMPLES / "kitten.jpeg"))  # registers HEIF
    exif = Image.Exif()
    exif[DATE_TIME] = "2021:01:01 00:00:00"  # when it was edited
    exif.get_ifd(EXIF_BLOCK)[DATE_TIME_ORIGINAL] = "2019:06:01 12:30:05"
    path = str(tmp_path / "photo")
    Image.open(EXAMPLES / "kitten.jpeg").resize((64, 48)).save(path, kind, exif=exif)
    assert read_facts(path).taken == datetime(2019, 6, 1, 12, 30, 5)
    assert date_of(path) == datetime(2019, 6, 1, 12, 30, 5).timestamp()


@pytest.mark.parametrize("said", ["0000:00:00 00:00:00", "yesterday", "", "9999:99:99 99:99:99"])
def test_without_a_date_of_its_own_it_is_the_files(tmp_path, said):
    exif = Image.Exif()
    exif[DATE_TIME] = said
    path = str(tmp_path / "photo.jpg")
    Image.open(EXAMPLES / "kitten.jpeg").resize((64, 48)).save(path, exif=exif)
    os.utime(path, (1_000_000_000.5, 1_000_000_000.5))
    assert read_facts(path).taken is None
    assert date_of(path) == 1_000_000_000.5


def test_dates_of_an_album_are_read_in_the_background(tmp_path):
    paths = [str(path) for path in sorted(EXAMPLES.iterdir())] + [str(tmp_path / "gone.jpg")]
    dates = Dates(str)
    assert len(dates.of(paths[:3])[0]) == 3
    while not (found := dates.of(paths))[1]:
        pass
    assert found[0] == [*(os.stat(path).st_mtime for path in paths[:-1]), None]


def test_a_photo_that_cannot_be_read_gives_its_reason(thumbnails, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    for _ in range(2):
        with pytest.raises(UnreadablePhoto, match="not an image in a known format"):
            thumbnails.small(str(tmp_path / "text.jpg"), 320).result()
    with pytest.raises(UnreadablePhoto, match="no such file"):
        thumbnails.large(str(tmp_path / "gone.jpg")).result()


def test_a_photo_that_is_repaired_or_moved_is_looked_at_again(thumbnails, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_text("no picture")
    with pytest.raises(UnreadablePhoto):
        thumbnails.small(str(path), 160).result()
    path.write_bytes((EXAMPLES / "kitten.jpeg").read_bytes())
    picture = thumbnails.small(str(path), 160).result()
    path.rename(tmp_path / "moved.jpg")
    with pytest.raises(UnreadablePhoto, match="no such file"):
        thumbnails.small(str(path), 160).result()
    assert thumbnails.small(str(tmp_path / "moved.jpg"), 160).result() == picture


def test_small_pictures_are_kept_for_the_next_time(tmp_path):
    path = str(tmp_path / "photo.jpg")
    Image.open(EXAMPLES / "kitten.jpeg").save(path)
    first = Thumbnails(tmp_path / "cache")
    picture = first.small(path, 320).result()
    first.close()
    # The same size and time, so only the cache can know what it looked like.
    status = os.stat(path)
    Path(path).write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = Thumbnails(tmp_path / "cache")
    assert second.small(path, 320).result() == picture
    with pytest.raises(UnreadablePhoto):
        second.small(path, 160).result()
    second.close()
    assert (tmp_path / "cache" / FOLDER_NAME).stat().st_mode & 0o077 == 0


def test_a_damaged_cache_is_mended(tmp_path):
    path = str(EXAMPLES / "kitten.jpeg")
    pictures = []
    for damage in (b"", b"no picture", b"\xff\xd8 cut off"):
        thumbnails = Thumbnails(tmp_path)
        pictures.append(thumbnails.small(path, 160).result())
        thumbnails.close()
        (file,) = [file for file in (tmp_path / FOLDER_NAME).rglob("*") if file.is_file()]
        assert file.read_bytes() == pictures[-1]
        file.write_bytes(damage)
    assert len(set(pictures)) == 1


def test_a_cache_that_cannot_be_used_is_no_trouble(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / FOLDER_NAME).mkdir()
    for number in range(256):  # where its folders would be
        (tmp_path / FOLDER_NAME / f"{number:02x}").write_bytes(b"")
    for args in ({"folder": tmp_path / "file"}, {"folder": tmp_path}, {"wanted": False}):
        thumbnails = Thumbnails(**args)
        assert thumbnails.small(str(EXAMPLES / "kitten.jpeg"), 160).result()
        thumbnails.make_ahead([str(EXAMPLES / "kitten.jpeg")], 160)
        joined_makers()
        thumbnails.close()


def test_the_cache_drops_its_oldest_and_stays_small(tmp_path):
    cache = PictureCache(tmp_path)
    for number in range(30):
        cache.put(str(number), b"\xff\xd8" + bytes(996) + b"\xff\xd9")
        for file in (tmp_path / FOLDER_NAME).rglob("*"):
            if file.is_file() and file.stat().st_mtime > 1000:
                os.utime(file, (number, number))
    cache.forget_oldest(20_000)
    assert [cache.get(str(number)) is not None for number in range(30)] == [False] * 10 + [
        True
    ] * 20


def joined_makers() -> None:
    for thread in threading.enumerate():
        if thread.name.endswith("(_make)"):
            thread.join(30)
            assert not thread.is_alive()


def test_pictures_are_made_ahead_for_the_next_time(tmp_path):
    photos = []
    for number in range(40):
        path = tmp_path / f"{number}.jpg"
        Image.new("RGB", (64, 48), (6 * number, 0, 0)).save(path)
        photos.append(path)
    thumbnails = Thumbnails(tmp_path / "cache")
    thumbnails.make_ahead([*map(str, photos), str(tmp_path / "gone.jpg")], 160)
    joined_makers()
    for path in photos:  # the same size and time, so only the cache can know what it looked like
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    pictures = {thumbnails.small(str(path), 160).result() for path in photos}
    assert len(pictures) == len(photos)
    thumbnails.close()


def test_closing_stops_at_once(tmp_path):
    thumbnails = Thumbnails(tmp_path / "cache")
    photos = [str(tmp_path / f"{number}.jpg") for number in range(300)]
    for path in photos:
        shutil.copy(EXAMPLES / "rocket.jpg", path)
    thumbnails.make_ahead(photos, 640)
    futures = [thumbnails.large(photos[0]) for _ in range(20)]
    thumbnails.close()
    assert sum(future.cancelled() for future in futures) >= 10
    joined_makers()
    made = sum(file.is_file() for file in (tmp_path / "cache" / FOLDER_NAME).rglob("*"))
    assert made < 20


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="needs DOGSORT_DATA")
def test_all_of_a_messy_folder(thumbnails):
    read = failed = 0
    for path in sorted(Path(DATA, "photos").rglob("*")):
        if not path.is_file() or path.suffix in (".AAE", ".MOV", ".txt", ".db"):
            continue
        try:
            whole = decode_whole(str(path))
        except UnreadablePhoto as reason:
            failed += 1
            with pytest.raises(UnreadablePhoto) as raised:
                thumbnails.small(str(path), 320).result()
            assert str(raised.value) == str(reason)
            continue
        read += 1
        facts = read_facts(str(path))
        assert (facts.width, facts.height) == whole.size, path
        picture = opened(thumbnails.small(str(path), 320).result())
        assert max(picture.size) == min(320, max(whole.size)), path
        expected = np.asarray(whole.resize(picture.size, Image.Resampling.BOX), float)
        assert np.abs(np.asarray(picture, float) - expected).mean() < 12, path
    assert read >= 70
    assert failed >= 5
    heic = read_facts(os.path.join(DATA, "photos", "phone", "IMG_0001.HEIC"))
    assert heic.format == "HEIF"
    assert heic.taken == datetime(2023, 2, 21, 14, 33, 8)


SHOW_ALL = """
import re, sys
from dogsort.pictures.thumbnails import Thumbnails
thumbnails = Thumbnails(wanted=False)
futures = [thumbnails.small(path, 320) for path in sys.argv[1:]]
futures += [thumbnails.large(path) for path in sys.argv[1:]]
for future in futures:
    future.result()
print(re.search("VmHWM:(.*)kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the most memory used")
def test_many_large_photos_at_once_take_little_memory(tmp_path):
    read_facts(str(EXAMPLES / "kitten.jpeg"))  # registers HEIF
    photo = Image.open(EXAMPLES / "kitten.jpeg")
    photo.resize((8160, 6120)).save(tmp_path / "50.jpg", quality=70)
    photo.resize((6048, 4032)).save(tmp_path / "24.heic", quality=30)
    photo.resize((6048, 4032)).save(tmp_path / "24.png", compress_level=1)
    paths = [str(path) for path in tmp_path.iterdir()] * 3
    run = subprocess.run([sys.executable, "-c", SHOW_ALL, *paths], capture_output=True, check=True)
    assert int(run.stdout) < 400_000, run.stdout
