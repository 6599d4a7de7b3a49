"""PNG files of object pictures: what is read back, and files that are refused."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from phonics_data.contract.picture import decode_png, encode_png
from phonics_data.contract.sample import MAX_PICTURE_SIDE

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def header(width: int, height: int) -> bytes:
    """IHDR of an RGBA picture."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))


def test_a_picture_is_read_back() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)

    assert np.array_equal(decode_png(encode_png(picture)), picture)


def test_a_side_over_the_limit_is_refused() -> None:
    content = SIGNATURE + header(MAX_PICTURE_SIDE + 1, 1) + chunk(b"IEND", b"")

    with pytest.raises(ValueError, match=f"a PNG of {MAX_PICTURE_SIDE + 1} x 1 pixels, allowed: up to"):
        decode_png(content)


@pytest.mark.parametrize("side", [8, 30_000])
def test_another_chunk_before_the_size_is_refused(side: int) -> None:
    text = chunk(b"tEXt", struct.pack(">II", 8, 8) + b"\0text")  # 8 x 8 where the size would be
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))

    with pytest.raises(ValueError, match="does not begin with its size"):
        decode_png(SIGNATURE + text + header(side, side) + pixels + chunk(b"IEND", b""))


@pytest.mark.parametrize(("side", "message"), [(5000, "two sizes"), (30_000, "not a whole PNG: Image size")])
def test_a_second_size_is_refused(side: int, message: str) -> None:
    """The first one is checked, and Pillow uses the last one."""
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))

    with pytest.raises(ValueError, match=message):
        decode_png(SIGNATURE + header(8, 8) + header(side, side) + pixels + chunk(b"IEND", b""))
