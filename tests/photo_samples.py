"""Small valid files of every format that dogsort reads, made in memory, to be damaged."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image
from pillow_heif import from_pillow, register_heif_opener

__all__ = ["HEIGHT", "WIDTH", "samples", "tiff", "with_png_checksums"]

#: Unlikely to occur as other numbers in headers, so that they can be found there.
WIDTH, HEIGHT = 83, 71

ORIENTATION = 0x0112
TURNED = Image.Exif()
TURNED[ORIENTATION] = 6

#: Adam7: first column, first row, and the steps between columns and rows, for each pass.
ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)


def picture() -> Image.Image:
    """Return a gradient: every format compresses it well, but not to nothing."""
    ramp = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    disc = Image.radial_gradient("L").resize((WIDTH, HEIGHT))
    return Image.merge("RGB", (ramp, disc, ramp.rotate(180)))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def samples() -> dict[str, bytes]:
    """Return contents by name; each name begins with its format."""
    register_heif_opener()
    return _jpegs() | _pngs() | _webps_and_gifs() | _bmps() | _tiffs() | _avifs_and_heifs()


def _jpegs() -> dict[str, bytes]:
    rgb, cmyk = picture(), picture().convert("CMYK")
    return {
        "JPEG baseline": saved(rgb, "JPEG"),
        "JPEG 4:4:4, restarts": saved(rgb, "JPEG", subsampling=0, restart_marker_rows=1),
        "JPEG progressive": saved(rgb, "JPEG", progressive=True, subsampling=0),
        "JPEG CMYK": saved(cmyk, "JPEG"),
        "JPEG CMYK progressive": saved(cmyk, "JPEG", progressive=True),
        "JPEG grey": saved(rgb.convert("L"), "JPEG"),
        "JPEG turned": saved(rgb, "JPEG", exif=TURNED, icc_profile=bytes(range(200))),
        "MPO": saved(rgb, "MPO", save_all=True, append_images=[rgb.rotate(180)]),
    }


def _pngs() -> dict[str, bytes]:
    rgb, grey = picture(), np.asarray(picture().convert("L"))
    rgba = rgb.copy()
    rgba.putalpha(rgb.getchannel(1))
    passes = [np.asarray(rgb)[y::dy, x::dx] for x, y, dx, dy in ADAM7]
    return {
        "PNG 8 bits": saved(rgb, "PNG", exif=TURNED),
        "PNG 16 bits": saved(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"),
        "PNG 16 bits RGB": _png([np.asarray(rgb).astype(">u2") * 257], 16),
        "PNG 1 bit": saved(rgb.convert("1"), "PNG"),
        "PNG palette": saved(rgb.quantize(16), "PNG"),
        "PNG palette, transparent": saved(rgb.quantize(16), "PNG", transparency=3),
        "PNG alpha": saved(rgba, "PNG"),
        "PNG grey and alpha": saved(rgba.convert("LA"), "PNG"),
        "PNG interlaced": _png(passes, 8, interlaced=True),
        "PNG animated": saved(rgb, "PNG", save_all=True, append_images=[rgb.rotate(180)]),
    }


def _webps_and_gifs() -> dict[str, bytes]:
    rgb, other = picture(), picture().rotate(180)
    rgba = rgb.copy()
    rgba.putalpha(rgb.getchannel(1))
    more = {"save_all": True, "append_images": [other]}
    return {
        "WEBP lossy": saved(rgb, "WEBP"),
        "WEBP lossless": saved(rgb, "WEBP", lossless=True),
        "WEBP alpha, turned": saved(rgba, "WEBP", exif=TURNED),
        "WEBP animated": saved(rgba, "WEBP", **more),
        "GIF": saved(rgb.quantize(16), "GIF"),
        "GIF transparent": saved(rgb.quantize(16), "GIF", transparency=2, interlace=0),
        "GIF animated": saved(rgb.quantize(16), "GIF", **more, transparency=2, disposal=2),
    }


def _bmps() -> dict[str, bytes]:
    rgb = picture()
    rgba = rgb.copy()
    rgba.putalpha(rgb.getchannel(1))
    return {
        "BMP 1 bit": saved(rgb.convert("1"), "BMP"),
        "BMP grey": saved(rgb.convert("L"), "BMP"),
        "BMP palette": saved(rgb.quantize(16), "BMP"),
        "BMP 24 bits": saved(rgb, "BMP"),
        "BMP 32 bits": saved(rgba, "BMP"),
        "BMP 16 bits": _bmp(bytes(range(250)) * 50, depth=16, compression=0),
        "BMP run lengths": _bmp(b"\x53\x05\0\0" * (HEIGHT - 1) + b"\x53\x07\0\1", 8, 1),
        "DIB": saved(rgb, "DIB"),
    }


def _tiffs() -> dict[str, bytes]:
    rgb, grey = picture(), np.asarray(picture().convert("L"))
    packings = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")
    packed = {f"TIFF {name}": saved(rgb, "TIFF", compression=name) for name in packings}
    tile = zlib.compress(bytes(range(64)) * 64 * 3)
    return packed | {
        "TIFF": saved(rgb, "TIFF"),
        "TIFF turned": saved(rgb, "TIFF", exif=TURNED),
        "TIFF turned lzw": saved(rgb, "TIFF", exif=TURNED, compression="tiff_lzw"),
        "TIFF big": saved(rgb, "TIFF", big_tiff=True),
        "TIFF fax": saved(rgb.convert("1"), "TIFF", compression="group4"),
        "TIFF 16 bits": saved(Image.fromarray(grey.astype(np.uint16) * 257), "TIFF"),
        "TIFF real": saved(Image.fromarray(grey / np.float32(255)), "TIFF"),
        "TIFF real lzw": saved(
            Image.fromarray(grey / np.float32(255)), "TIFF", compression="tiff_lzw"
        ),
        "TIFF CMYK": saved(rgb.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        "TIFF YCbCr": saved(rgb.convert("YCbCr"), "TIFF", compression="jpeg"),
        "TIFF palette": saved(rgb.quantize(16), "TIFF", compression="packbits"),
        "TIFF tiled": tiff(WIDTH, HEIGHT, 64, 64, [tile] * 4, compression=8),
        "TIFF tiled, raw": tiff(WIDTH, HEIGHT, 64, 64, [bytes(64 * 64 * 3)] * 4, compression=1),
    }


def _avifs_and_heifs() -> dict[str, bytes]:
    rgb, other = picture(), picture().rotate(180)
    rgba = rgb.copy()
    rgba.putalpha(rgb.getchannel(1))
    more = {"save_all": True, "append_images": [other]}
    large = from_pillow(rgb.resize((WIDTH * 4, HEIGHT * 4)))
    with_thumbnail = io.BytesIO()
    large.save(with_thumbnail, quality=30, thumbnails=[100])
    return {
        "AVIF": saved(rgb, "AVIF", exif=TURNED),
        "AVIF alpha": saved(rgba, "AVIF"),
        "AVIF animated": saved(rgb, "AVIF", **more),
        "HEIF": saved(rgb, "HEIF", exif=TURNED.tobytes()),
        "HEIF alpha": saved(rgba, "HEIF"),
        "HEIF of several": saved(rgb, "HEIF", **more),
        "HEIF grid": saved(rgb, "HEIF", tile_size=64),
        "HEIF thumbnail": with_thumbnail.getvalue(),
    }


def _png(passes: list[np.ndarray], depth: int, interlaced: bool = False) -> bytes:
    """Return an RGB file of a kind that Pillow does not write."""
    rows = b"".join(b"\0" + row.tobytes() for part in passes for row in part)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, 2, 0, 0, interlaced)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    packed = (struct.pack(">I", len(body)) + kind + body + bytes(4) for kind, body in chunks)
    return with_png_checksums(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def with_png_checksums(content: bytes) -> bytes:
    """Return a PNG with the checksum of each chunk corrected."""
    mended, at = bytearray(content), 8
    while at + 12 <= len(mended):
        end = at + 8 + int.from_bytes(mended[at : at + 4], "big")
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = struct.pack(">I", zlib.crc32(mended[at + 4 : end]))
        at = end + 4
    return bytes(mended)


def _bmp(pixels: bytes, depth: int, compression: int) -> bytes:
    palette = b"".join(bytes((n, n, n, 0)) for n in range(256)) if depth == 8 else b""
    offset = 54 + len(palette)
    header = struct.pack(
        *("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, depth, compression, len(pixels), 0, 0),
        *(len(palette) // 4, 0),
    )
    return struct.pack("<2sIII", b"BM", offset + len(pixels), 0, offset) + header + palette + pixels


def tiff(
    width: int, height: int, tile_width: int, tile_height: int, tiles: list[bytes], compression: int
) -> bytes:
    """Return an RGB file in tiles, as Pillow cannot write; compression 1 is none, 8 deflate."""
    start = 8 + 2 + 10 * 12 + 4
    lists = start + 6
    first = lists + 8 * len(tiles)
    offsets = [first + sum(map(len, tiles[:n])) for n in range(len(tiles))]
    sizes = list(map(len, tiles))
    one = len(tiles) == 1
    tags = (
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, start), (259, 3, 1, compression)),
        *((262, 3, 1, 2), (277, 3, 1, 3), (322, 4, 1, tile_width), (323, 4, 1, tile_height)),
        (324, 4, len(tiles), first if one else lists),
        (325, 4, len(tiles), sizes[0] if one else lists + 4 * len(tiles)),
    )
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    numbers = struct.pack(f"<3H{2 * len(tiles)}I", 8, 8, 8, *offsets, *sizes)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4)
    return head + numbers + b"".join(tiles)
