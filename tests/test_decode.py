"""One file -> upright RGB pixels."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dogsort.errors import UnreadablePhoto
from dogsort.photos.decode import decode_file, decode_image

SIZE = 64


def near(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean difference of two pictures in grey levels."""
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


@pytest.fixture
def expected(dog):
    return decode_image(dog, SIZE)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"quality": 95}),
        ("progressive.jpg", {"quality": 95, "progressive": True}),
        ("a.png", {}),
        ("a.webp", {"quality": 95}),
        ("a.bmp", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.avif", {"quality": 90}),
        ("a.heic", {"quality": 90}),
    ],
)
def test_every_format_gives_the_same_picture(tmp_path, dog, expected, name, options):
    from pillow_heif import register_heif_opener

    register_heif_opener()
    path = tmp_path / name
    dog.save(path, **options)
    pixels = decode_file(str(path), SIZE)
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8
    assert near(pixels, expected) < 4


@pytest.mark.parametrize(
    ("width", "height", "shown"),
    [
        (300, 400, (64, 64)),  # stretched by 4:3, like all photos of this shape
        (360, 640, (48, 64)),  # a phone's 16:9: its width is stretched by 4:3 only
        (1600, 400, (64, 22)),
        (3000, 20, (64, 2)),
    ],
)
def test_long_photos_are_padded_rather_than_stretched_further(width, height, shown):
    pixels = decode_image(Image.new("RGB", (width, height), "red"), SIZE)
    red = (pixels == (255, 0, 0)).all(axis=2)
    assert (red.any(axis=0).sum(), red.any(axis=1).sum()) == shown
    assert (pixels[~red] == 128).all()
    assert (red == red[::-1, ::-1]).all()  # in the middle
    turned = decode_image(Image.new("RGB", (height, width), "red"), SIZE)
    assert (turned == pixels.transpose(1, 0, 2)).all()


def test_content_decides_not_the_name(tmp_path, dog, expected):
    path = tmp_path / "really_a_png.jpg"
    dog.save(path, "PNG")
    assert near(decode_file(str(path), SIZE), expected) < 1


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_first_frame_of_animations(tmp_path, dog, cat, expected, suffix):
    path = tmp_path / f"a.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    dog.save(path, save_all=True, append_images=[cat.resize(dog.size)], **options)
    assert near(decode_file(str(path), SIZE), expected) < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
def test_exif_orientation(tmp_path, dog, expected, orientation, suffix):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = dog.transpose(undo[orientation]) if orientation in undo else dog
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    stored.save(path, exif=exif)
    assert near(decode_file(str(path), SIZE), expected) < 6


def test_heic_is_turned_once(tmp_path, dog, expected):
    from pillow_heif import register_heif_opener

    register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.heic"
    dog.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif.tobytes(), quality=90)
    assert near(decode_file(str(path), SIZE), expected) < 6


def test_cmyk(tmp_path, dog, expected):
    path = tmp_path / "a.jpg"
    dog.convert("CMYK").save(path, quality=95)
    assert near(decode_file(str(path), SIZE), expected) < 6


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "PA", "YCbCr"])
def test_modes_in_memory(dog, mode):
    pixels = decode_image(dog.convert("P" if mode == "PA" else mode).convert(mode), SIZE)
    assert near(pixels, decode_image(dog.convert("L") if mode in "L1LA" else dog, SIZE)) < 12


def test_sixteen_bits_are_scaled(tmp_path, dog):
    grey = np.asarray(dog.convert("L"))
    path = tmp_path / "grey16.png"
    Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    assert near(decode_file(str(path), SIZE), decode_image(Image.fromarray(grey), SIZE)) < 1


@pytest.mark.parametrize("largest", [255, 65535, 2**20])
def test_thirty_two_bit_integers_are_scaled_by_what_they_hold(dog, largest):
    grey = np.asarray(dog.convert("L"))
    picture = Image.fromarray((grey.astype(np.int64) * largest // 255).astype(np.int32))
    assert picture.mode == "I"
    assert near(decode_image(picture, SIZE), decode_image(Image.fromarray(grey), SIZE)) < 3


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_premultiplied_modes(dog, mode):
    picture = dog.convert("LA" if mode == "La" else "RGBA").convert(mode)
    expected = decode_image(dog.convert("L") if mode == "La" else dog, SIZE)
    assert near(decode_image(picture, SIZE), expected) < 2


def test_floating_point_tiff_is_scaled(tmp_path, dog):
    grey = np.asarray(dog.convert("L"))
    path = tmp_path / "float.tif"
    Image.fromarray((grey / 255).astype(np.float32)).save(path)
    assert near(decode_file(str(path), SIZE), decode_image(Image.fromarray(grey), SIZE)) < 1


@pytest.mark.parametrize("name", ["alpha.png", "palette.png", "palette.gif"])
def test_transparent_is_white(tmp_path, name):
    picture = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    path = tmp_path / name
    if name == "alpha.png":
        picture.save(path)
    else:
        picture.quantize().save(path, transparency=0)
    assert decode_file(str(path), SIZE).min() == 255


def test_downscaling_inside_the_jpeg_decoder_changes_next_to_nothing(tmp_path, cat):
    large = cat.resize((3200, 2400), Image.Resampling.BICUBIC)
    path = tmp_path / "large.jpg"
    large.save(path, quality=92)
    assert near(decode_file(str(path), 224), decode_image(large, 224)) < 2


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "RGBa"])
def test_shrinking_large_pictures_in_bands_changes_nothing(dog, mode):
    large = dog.resize((1501, 1999))
    large = large.convert("RGBA").convert("RGBa") if mode == "RGBa" else large.convert(mode)
    # Pillow's way, on the whole picture
    square = large.resize((SIZE, SIZE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    expected = square.convert("RGBA").convert("RGB") if mode == "RGBa" else square.convert("RGB")
    assert np.array_equal(decode_image(large, SIZE), np.asarray(expected))


def test_the_range_of_large_numbers_is_that_of_the_whole_picture(dog):
    grey = np.asarray(dog.convert("L").resize((1501, 1999)))
    picture = Image.fromarray(grey.astype(np.int32) * 1000)  # no band has the whole range
    assert near(decode_image(picture, SIZE), decode_image(Image.fromarray(grey), SIZE)) < 3


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"just some text", "not an image in a known format"),
        (png_header(30000, 30000), "megapixels"),
        (png_header(14000, 13000), "megapixels"),
        (png_header(64, 64), "damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image in a known format"),
    ],
)
def test_bad_content_has_a_reason(tmp_path, content, reason):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadablePhoto, match=reason):
        decode_file(str(path), SIZE)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF"])
def test_cut_off_files_are_unreadable(tmp_path, cat, kind, share):
    file = io.BytesIO()
    cat.save(file, kind)
    whole = file.getvalue()
    path = tmp_path / "cut"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadablePhoto):
        decode_file(str(path), SIZE)


@settings(max_examples=60)
@given(data=st.data())
def test_damaged_files_give_pixels_or_a_reason_and_nothing_else(tmp_path_factory, data):
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"]))
    file = io.BytesIO()
    Image.linear_gradient("L").resize((48, 48)).convert("RGB").save(file, kind)
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "a"
    path.write_bytes(bytes(content))
    try:
        assert decode_file(str(path), SIZE).shape == (SIZE, SIZE, 3)
    except UnreadablePhoto as error:
        assert str(error)
        assert "\n" not in str(error)


def test_gone_folder_and_loop(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name, reason in (
        ("gone", "no such file"),
        ("", "a folder|regular"),
        ("loop", "loop of links"),
    ):
        with pytest.raises(UnreadablePhoto, match=reason):
            decode_file(str(tmp_path / name), SIZE)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    errors: list[Exception] = []

    def read() -> None:
        try:
            decode_file(str(tmp_path / "pipe.jpg"), SIZE)
        except UnreadablePhoto as error:
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)
    assert [str(error) for error in errors] == ["not a regular file"]


def test_damaged_exif_costs_only_the_orientation(tmp_path, dog, expected):
    path = tmp_path / "a.jpg"
    dog.save(path, quality=95, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f")
    assert near(decode_file(str(path), SIZE), expected) < 4
