"""Damage to small photos, reproducible from a seed and a number."""

from __future__ import annotations

import struct
from random import Random
from typing import NamedTuple

from photo_samples import HEIGHT, WIDTH, samples, with_png_checksums

__all__ = ["Mutant", "mutant"]

#: The limits of formats, 16-bit fields and decoders. 13,341 squared is just under dogsort's limit
#: of 178 megapixels, so that the largest allowed size is tried, too.
EXTREME_SIZES = (
    *(0, 1, 2, 1000, 9_000, 13_000, 13_341, 16_383, 32_767, 65_500, 65_535),
    *(178_000_000, 2**31 - 1, 2**32 - 1),
)

HUGE = {2: (0x7FFF, 0x8000, 0xFFFF), 4: (10**9, 2**31 - 1, 2**31, 2**32 - 1)}
HEADER = 256  # most of the data before the pixels


class Mutant(NamedTuple):
    """A damaged photo.

    Attributes:
        name: seed, number, format and kind of damage.
        content: the bytes.
    """

    name: str
    content: bytes


def mutant(seed: int, number: int) -> Mutant:
    """Damage one of the samples in one to three ways."""
    random = Random(f"{seed} {number}")
    names = list(samples())
    name = names[number % len(names)]
    content, done = samples()[name], []
    for mutate in random.choices(MUTATIONS, k=random.choice((1, 1, 2, 3))):
        content = mutate(random, content)
        done.append(mutate.__name__.strip("_"))
    if content.startswith(b"\x89PNG") and random.random() < 0.6:
        content = with_png_checksums(content)  # otherwise, checksums reject all damage
    return Mutant(f"seed {seed} number {number} {name} {' '.join(done)}", content)


def _place(random: Random, content: bytes, length: int = 1) -> int:
    end = max(len(content) - length, 0)
    return random.randint(0, min(end, HEADER) if random.random() < 0.6 else end)


def _flip_bits(random: Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 2, 8, 64)) if content else 0):
        changed[_place(random, content)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(random: Random, content: bytes) -> bytes:
    run = bytes([random.choice((0x00, 0xFF, 0x7F))]) * random.choice((1, 2, 4, 16, 100))
    at = _place(random, content, len(run))
    return content[:at] + run + content[at + len(run) :]


def _make_field_huge(random: Random, content: bytes) -> bytes:
    length = random.choice((2, 4))
    value = random.choice(HUGE[length]).to_bytes(length, random.choice(("little", "big")))
    at = _place(random, content, length)
    return content[:at] + value + content[at + length :]


def _make_size_extreme(random: Random, content: bytes) -> bytes:
    """Change width, height or both, wherever they are stored, in fields of any length."""
    for old, share in ((WIDTH, 0.7), (HEIGHT, 0.7)):
        new = random.choice(EXTREME_SIZES)
        if random.random() > share:
            continue
        for form in ("<I", ">I", "<H", ">H"):
            for less in (0, 1):  # WebP stores one less
                field = struct.pack(form, old - less)
                largest = 256 ** len(field) - 1
                content = content.replace(field, struct.pack(form, min(new, largest)), 2)
    return content


def _cut_out(random: Random, content: bytes) -> bytes:
    at = _place(random, content)
    return content[:at] + content[at + random.choice((1, 2, 7, 64, 500)) :]


def _repeat(random: Random, content: bytes) -> bytes:
    at, length = _place(random, content), random.choice((1, 4, 64, 500))
    return content[: at + length] * random.choice((1, 1, 3)) + content[at:]


def _swap_in(random: Random, content: bytes) -> bytes:
    """Replace a slice by one of another file."""
    other = random.choice(list(samples().values()))
    start, length = _place(random, other), random.choice((4, 32, 256, 2000))
    at = _place(random, content)
    return content[:at] + other[start : start + length] + content[at + length :]


def _cut_off(random: Random, content: bytes) -> bytes:
    return content[: random.randint(0, len(content))]


def _append(random: Random, content: bytes) -> bytes:
    return content + random.choice((random.randbytes(300), bytes(2000), content))


MUTATIONS = (
    *(_flip_bits, _overwrite, _make_field_huge, _make_size_extreme, _make_size_extreme),
    *(_cut_out, _repeat, _swap_in, _cut_off, _append),
)
