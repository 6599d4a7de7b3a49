"""Image files with sizes that lie, and arrays (.npy). The first byte selects a format."""

from __future__ import annotations

import contextlib
import io
import random
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from cssgan.errors import PhonicsDataError
from cssgan.storage.media_files import read_image, read_object
from cssgan.web_form.inputs import check_picture
from phonics_data.contract.picture import decode_png
from phonics_data.contract.untrusted import parse_npy
from tests.fuzz.inputs import damaged

INPUTS = 4_000
MODULES = ("cssgan.storage.media_files", "phonics_data.contract.image_file", "phonics_data.contract.picture")
_PATH = Path(tempfile.mkdtemp(prefix="fuzz-pictures-")) / "picture"


def _image(form: str, mode: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(8 * 8 * 4, dtype=np.uint8).reshape(8, 8, 4)).convert(mode).save(file, form)
    return file.getvalue()


def _array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((2, 3), np.float32))
    return file.getvalue()


SEEDS = (
    *(b"\0" + _image(form, mode) for form, mode in (("PNG", "RGBA"), ("JPEG", "RGB"), ("WEBP", "RGB"), ("GIF", "P"), ("BMP", "RGB"), ("TIFF", "RGB"))),
    b"\1" + _array(),
)  # fmt: skip
WORDS = (
    b"IHDR", b"IDAT", b"acTL", b"iCCP", b"\xff\xd8\xff", b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"'descr': '|O'", b"(99999999999,)",
    b"(2, -3)", b"'<f4'", b"'V0'", b"'<U0'", b"(" * 60, b"-" * 400, b"Exif\0\0II*\0", b"\0\0\xff\xff",
)  # fmt: skip


def sample(rng: random.Random) -> bytes:
    good = rng.choice(SEEDS)
    data = damaged(good[1:], rng, WORDS, is_binary=True)
    if data.startswith(b"\x89PNG") and rng.random() < 0.7:
        data = _with_checksums(data)
    return good[:1] + data


def _with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have right checksums, so that the damage reaches the decoder."""
    out, place = bytearray(data), 8
    while place + 12 <= len(out):
        end = place + 8 + int.from_bytes(out[place : place + 4], "big")
        if end + 4 > len(out):
            break
        out[end : end + 4] = zlib.crc32(out[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(out)


def read(data: bytes) -> bool:
    content = data[1:]
    if data[0] % 2:
        try:
            return bool(parse_npy(content, max_bytes=1 << 20).nbytes + 1)
        except ValueError:
            return False
    _PATH.write_bytes(content)
    with contextlib.suppress(ValueError):
        decode_png(content)
    try:
        check_picture(_PATH)
        pixels = read_image(_PATH, 16)
        read_object(_PATH)
    except PhonicsDataError:
        return False
    assert pixels.shape == (16, 16, 3)
    return True
