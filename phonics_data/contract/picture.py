"""Pictures of objects as PNG files: RGBA, 8 bits a channel."""

from __future__ import annotations

import io
import zlib

import numpy as np

from phonics_data.contract.image_file import opened_image
from phonics_data.contract.sample import MAX_PICTURE_SIDE, Picture

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode_png(picture: Picture) -> bytes:
    """`picture`, uint8 (h, w, 4), as a PNG without metadata. Equal pictures give equal bytes with the same release of Pillow."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "PNG", compress_level=9)
    return file.getvalue()


def decode_png(content: bytes) -> Picture:
    """The inverse of `encode_png`: uint8 (h, w, 4).

    Raises:
        ValueError: not a PNG, a damaged one (a checksum differs, or its end is missing), or one that is not RGBA or has a
            side over `MAX_PICTURE_SIDE`, which is found before its pixels are decoded.
    """
    _check_chunks(content)
    if content[12:16] != b"IHDR":
        raise ValueError("a PNG that does not begin with its size (IHDR)")
    width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
    if max(width, height) > MAX_PICTURE_SIDE:
        raise ValueError(f"a PNG of {width} x {height} pixels, allowed: up to {MAX_PICTURE_SIDE} a side")
    try:
        with opened_image(content, formats=["PNG"]) as image:
            mode, size = image.mode, image.size
            pixels = np.array(image, np.uint8) if mode == "RGBA" and size == (width, height) else None
    except ValueError as error:
        raise ValueError(f"not a whole PNG: {error}") from error
    if mode != "RGBA":
        raise ValueError(f"a PNG of mode {mode}, allowed: RGBA")
    if pixels is None:
        raise ValueError("a PNG with two sizes")
    return pixels


def _check_chunks(content: bytes) -> None:
    """Compare the checksum of each chunk, which Pillow does not do for the pixels."""
    if not content.startswith(_SIGNATURE):
        raise ValueError("not a PNG")
    place, name = len(_SIGNATURE), b""
    while name != b"IEND":
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        name = content[place + 4 : place + 8]
        if len(content) < end + 4:
            raise ValueError("a PNG without its end")
        if zlib.crc32(content[place + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            raise ValueError(f"the checksum of its part {name.decode('latin-1')} differs")
        place = end + 4
