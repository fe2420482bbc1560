"""Files from the field: odd kinds, flawed metadata, no end marker; none is read wrongly."""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from photo_samples import saved
from PIL import Image, PngImagePlugin
from test_decode import near
from tiffs import DEFLATE, RAW, tiff_of

from dogsort.errors import UnreadablePhoto
from dogsort.photos.decode import decode_file, decode_image
from dogsort.photos.limits import check_size

SIZE = 32
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'

GREY, RGB, PALETTE, CMYK, YCBCR, LAB = 1, 2, 3, 5, 6, 8
UNSIGNED, SIGNED, REAL = 1, 2, 3
DEPTHS = (
    *((UNSIGNED, bits) for bits in (1, 2, 4, 8, 12, 16, 32)),
    *((SIGNED, 8), (SIGNED, 16), (SIGNED, 32), (REAL, 16), (REAL, 32), (REAL, 64)),
)


@pytest.fixture
def small(cat) -> Image.Image:
    return cat.resize((75, 60))


def read(tmp_path: Path, content: bytes) -> np.ndarray:
    path = tmp_path / "photo"
    path.write_bytes(content)
    return decode_file(str(path), SIZE)


def refused(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(UnreadablePhoto) as error:
        read(tmp_path, content)
    return str(error.value)


def samples(photo: Image.Image, photometric: int, numbers: int, bits: int) -> np.ndarray:
    """Return a photo as (H, W, samples), as a TIFF stores them."""
    modes = {0: "L", GREY: "L", RGB: "RGB", CMYK: "CMYK", YCBCR: "YCbCr", LAB: "L"}
    if photometric == PALETTE:
        return np.asarray(photo.quantize(2 ** min(bits, 8)))[..., None].astype(np.int64)
    values = np.asarray(photo.convert(modes[photometric])).reshape(60, 75, -1).astype(np.int64)
    if photometric == 0:
        values = 255 - values
    if photometric == LAB:  # without colour; lightness is close to grey
        values = np.dstack([values, values * 0, values * 0])
    if numbers == REAL:
        return values / 255
    most = 2 ** (bits - (numbers == SIGNED)) - 1
    return values * most // 255 if bits > 8 else values >> 8 - most.bit_length()


def color_map(photo: Image.Image, bits: int, most: int) -> list[int]:
    colors = np.zeros((2**bits, 3), int)
    own = np.asarray(photo.quantize(2**bits).getpalette()).reshape(-1, 3)[: 2**bits]
    colors[: len(own)] = own
    return (colors * most // 255).T.ravel().tolist()


@pytest.mark.parametrize("photometric", [0, GREY, RGB, PALETTE, CMYK, YCBCR, LAB])
def test_a_tiff_of_any_kind_is_read_rightly_or_refused_as_a_kind(quick_path, small, photometric):
    outcomes = set()
    for (numbers, bits), extra in product(DEPTHS, ((), (0,), (1,), (2,), (0, 0))):
        if photometric == PALETTE and bits > 8:
            continue
        values = samples(small, photometric, numbers, bits)
        if extra:
            alpha = 1 if numbers == REAL else 2 ** (bits - (numbers == SIGNED)) - 1
            others = np.full((60, 75, len(extra)), alpha if any(extra) else 0, values.dtype)
            values = np.dstack([values, others])
        more = {530: [1, 1]} if photometric == YCBCR else {}  # no colour shared by several pixels
        if photometric == PALETTE:
            more[320] = color_map(small, bits, 65535)
            expected = decode_image(small.quantize(2**bits), SIZE)
        else:
            without_color = photometric in (0, GREY, LAB)
            expected = decode_image(small.convert("L") if without_color else small, SIZE)
        if numbers == SIGNED:  # which have no standard range
            expected = decode_image(Image.fromarray(values[..., 0].astype(np.int32)), SIZE)
        for in_planes, compression, tile, order, reverse in product(
            (False, True), (RAW, DEFLATE), (0, 16), "<>", (False, True)
        ):
            if reverse and (tile or order == ">"):
                continue
            layout = {"in_planes": in_planes, "compression": compression, "tile": tile}
            layout |= {"order": order, "reverse": reverse, "more": dict(more)}
            kind = {"numbers": numbers, "extra": extra}
            content = tiff_of(values, bits, photometric, **kind, **layout)
            try:
                difference = near(read(quick_path, content), expected)
            except UnreadablePhoto as error:
                # Older Pillows give the second reason for kinds that newer ones read.
                reasons = "TIFF not supported|unknown pixel mode"
                assert re.search(reasons, str(error)), (bits, kind, layout)
                continue
            allowed = {1: 90, 2: 45, 4: 14}.get(bits, 10) if photometric != PALETTE else 4
            assert difference < allowed, (bits, kind, layout)
            outcomes.add((numbers, bits))
    assert (UNSIGNED, 8) in outcomes
    if photometric in (GREY, RGB, CMYK):
        assert (UNSIGNED, 16) in outcomes


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_colors_of_old_scanners(tmp_path, small, bits):
    values = samples(small, PALETTE, UNSIGNED, bits)
    content = tiff_of(values, bits, PALETTE, more={320: color_map(small, bits, 255)})
    assert near(read(tmp_path, content), decode_image(small.quantize(2**bits), SIZE)) < 3


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


ANCILLARY = (
    *(b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"tIME"),
    *(b"acTL", b"fcTL", b"fdAT", b"bKGD", b"sBIT", b"abCd"),
)


def test_text_and_profiles_of_any_size_cost_no_png(tmp_path, small):
    packed = zlib.compress(bytes(2_000_000))
    bodies = {
        b"zTXt": b"name\0\0" + packed,
        b"iTXt": b"name\0\1\0\0\0" + packed,
        b"iCCP": b"name\0\0" + packed,
        b"tEXt": b"name\0" + b"x" * 70_000_000,
    }
    content = saved(small, "PNG")
    for kind, body in bodies.items():
        for at in (33, len(content) - 12):  # after the header; after the pixels
            long = content[:at] + chunk(kind, body) + content[at:]
            assert near(read(tmp_path, long), decode_image(small, SIZE)) == 0, kind


@pytest.mark.parametrize("kind", ANCILLARY)
def test_a_flawed_ancillary_chunk_costs_no_png(tmp_path, small, kind):
    content = saved(small, "PNG")
    for body in (b"", b"\0", b"\xff" * 7, bytes(26), b"name\0\0\xff\xff\xff"):
        for flawed in (chunk(kind, body), chunk(kind, body)[:-1] + b"?"):
            pixels = read(tmp_path, content[:33] + flawed + content[33:])
            assert near(pixels, decode_image(small, SIZE)) == 0


SEGMENTS = (
    *(b"JFIF\0", b"JFXX\0", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"FPXR\0"),
    *(b"ICC_PROFILE\0", b"MPF\0", b"Photoshop 3.0\x008BIM", b"Adobe", b""),
)


@pytest.mark.parametrize("name", SEGMENTS)
def test_a_flawed_segment_of_metadata_costs_no_jpeg(tmp_path, small, name):
    content = saved(small, "JPEG", quality=95)
    for marker in (*range(0xE0, 0xF0), 0xFE):
        for body in (name, name + b"\xff", name + b"\1\2\0", name + b"\xff" * 9):
            segment = struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
            flawed = content[:2] + segment + content[2:]
            assert near(read(tmp_path, flawed), decode_image(small, SIZE)) < 4, (marker, body)


JPEGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 1},
    "grey": {},
    "CMYK": {},
}


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_without_its_end_marker_is_read_and_one_without_pixels_is_not(tmp_path, small, name):
    mode = {"grey": "L", "CMYK": "CMYK"}.get(name, "RGB")
    content = saved(small.convert(mode), "JPEG", **JPEGS[name])
    whole = read(tmp_path, content)
    for missing in (1, 2):
        assert near(read(tmp_path, content[:-missing]), whole) == 0
    for missing in (*range(4, 30), 100, len(content) // 2):
        assert "truncated" in refused(tmp_path, content[:-missing])


def test_a_png_cut_off_behind_its_pixels_is_read(tmp_path, small):
    content = saved(small, "PNG")
    whole = read(tmp_path, content)
    for missing in range(1, 16):  # the end marker, and the checksum before it
        assert near(read(tmp_path, content[:-missing]), whole) == 0
    for missing in (40, 100, len(content) // 2):
        assert "truncated" in refused(tmp_path, content[:-missing])


def test_a_gif_without_its_end_marker_is_read(tmp_path, small):
    content = saved(small, "GIF")
    assert near(read(tmp_path, content[:-1]), read(tmp_path, content)) == 0


def bmp_of_unusual_fields() -> bytes:
    fields = struct.pack("<III", 0x3FF00000, 0x000FFC00, 0x000003FF)
    header = struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, 32, 3, 64, 0, 0, 0, 0)
    return struct.pack("<2sIII", b"BM", 130, 0, 66) + header + fields + bytes(64)


def bmp_without_some_pixels() -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, 8, 1, 4, 0, 0, 1, 0)
    return struct.pack("<2sIII", b"BM", 62, 0, 58) + header + bytes(4) + b"\4\0\0\1"


def tiles_said_to_be_strips() -> bytes:
    return tiff_of(np.zeros((32, 32, 1), int), 8, GREY, tile=16, more={273: [8] * 4})


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda jpeg: jpeg.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), "12-bit"),
        (lambda jpeg: jpeg.replace(b"\xff\xc0\0\x11", b"\xff\xc3\0\x11"), "lossless"),
        (lambda _: bmp_of_unusual_fields(), "bitfields"),
        (
            lambda _: tiff_of(np.zeros((9, 9, 1), int), 12, GREY, order=">"),
            "12-bit grey, big-endian",
        ),
        (lambda _: b"MM\0+\0\x08\0\0" + (16).to_bytes(8, "big") + bytes(10), "BigTIFF"),
        (lambda _: tiles_said_to_be_strips(), "in tiles"),
        (lambda _: bmp_without_some_pixels(), "not enough image data"),
    ],
)
def test_an_intact_file_of_a_rare_kind_is_not_called_damaged(tmp_path, small, make, reason):
    said = refused(tmp_path, make(saved(small, "JPEG")))
    assert reason in said
    assert "damaged" not in said
    assert "known format" not in said


def test_an_avif_that_its_decoder_refuses_is_not_of_an_unknown_format(tmp_path, small):
    content = saved(small, "AVIF").replace(b"ipma", b"ipmb")
    assert "refused by the AVIF decoder" in refused(tmp_path, content)


def with_clean_aperture(
    avif: bytes, box: tuple[int, int, int, int], size: tuple[int, int]
) -> bytes:
    """Add a property to the only picture, and update all sizes and offsets."""
    left, upper, right, lower = box
    offsets = (left + right - size[0], 2, upper + lower - size[1], 2)
    clap = struct.pack(">I4sIIIIiIiI", 40, b"clap", right - left, 1, lower - upper, 1, *offsets)
    content = bytearray(avif)

    def add(at: int, form: str, more: int) -> None:
        (old,) = struct.unpack_from(form, content, at)
        struct.pack_into(form, content, at, old + more)

    association = content.index(b"ipma")
    properties = content.index(b"ipco") - 4
    end = properties + int.from_bytes(content[properties : properties + 4], "big")
    number, at = 0, properties + 8
    while at < end:
        number, at = number + 1, at + int.from_bytes(content[at : at + 4], "big")
    for name, more in ((b"meta", 41), (b"iprp", 41), (b"ipco", 40), (b"ipma", 1)):
        add(content.index(name) - 4, ">I", more)
    places = content.index(b"iloc")
    for item in range(int.from_bytes(content[places + 10 : places + 12], "big")):
        add(places + 12 + 14 * item + 6, ">I", 41)
    count = association + 4 + 4 + 4 + 2
    content[count] += 1
    content[count + content[count] : count + content[count]] = bytes([0x80 | number + 1])
    content[end:end] = clap
    return bytes(content)


def test_an_avif_is_shown_without_what_is_cut_away(tmp_path, small):
    box = (10, 20, 60, 50)
    content = with_clean_aperture(saved(small, "AVIF", quality=95), box, small.size)
    assert pillow_heif.open_heif(io.BytesIO(content)).size == (50, 30)
    assert near(read(tmp_path, content), decode_image(small.crop(box), SIZE)) < 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_in_xmp_alone_turns_nothing(tmp_path, small, kind):
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    other = {"PNG": {"pnginfo": text}, "TIFF": {"tiffinfo": {700: XMP}}}.get(kind, {"xmp": XMP})
    content = saved(small, kind, **other)
    assert b'Orientation="6"' in content
    assert near(read(tmp_path, content), decode_image(small, SIZE)) < 6


def noisy_tiff(small: Image.Image) -> bytes:
    content = bytearray(saved(small, "TIFF", compression="tiff_lzw"))
    start = content.index(b"\x80", 8)
    content[start : start + 300] = b"\xff" * 300
    return bytes(content)


def test_libtiff_is_silent_in_dogsort_and_only_there(tmp_path, small, capfd):
    path = tmp_path / "noisy.tif"
    path.write_bytes(noisy_tiff(small))

    def attempt(_: int) -> bool:
        with pytest.raises(UnreadablePhoto, match="damaged"):
            decode_file(str(path), SIZE)
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(attempt, range(40)))
    assert capfd.readouterr().err == ""
    with pytest.raises(OSError, match="decoder error"):
        Image.open(path).load()
    assert capfd.readouterr().err


def test_the_command_says_one_line_about_a_damaged_tiff(tmp_path, small, dogsort):
    path = tmp_path / "noisy.tif"
    path.write_bytes(noisy_tiff(small))
    run = dogsort("--quiet", path)
    assert run.returncode == 3
    assert run.stderr.decode().splitlines() == [f"{path}: damaged or cut off: decoder error -2"]


def test_a_jpeg_is_measured_without_what_is_private_to_pillow(small):
    image = Image.open(io.BytesIO(saved(small, "JPEG", progressive=True)))
    del image.layer, image.tile
    check_size(image)


@pytest.mark.skipif("DOGSORT_DATA" not in os.environ, reason="DOGSORT_DATA is not set")
def test_files_from_the_field(data):
    folder = data.parent / "field"
    files = sorted(path for path in folder.glob("[0-9]*") if path.is_file())
    if not files:
        pytest.skip("there is none beside DOGSORT_DATA")
    read_ones = {"03", "05", "06", "07", "10", "11"}
    for path in files:
        try:
            decode_file(str(path), SIZE)
            said = ""
        except UnreadablePhoto as error:
            said = str(error)
        assert bool(said) == (path.name[:2] not in read_ones), (path.name, said)
        assert "known format" not in said, path.name
        assert "damaged" not in said or path.name.startswith("12"), (path.name, said)
