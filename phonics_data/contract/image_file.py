"""Image files as they are to be shown: one rule for every reader."""

from __future__ import annotations

import io
import warnings
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phonics_data.contract.display import check_colors
from phonics_data.contract.untrusted import one_line
from phonics_data.errors import PhonicsDataError

if TYPE_CHECKING:
    from PIL import Image


class UnknownRangeError(ValueError):
    """An image whose values have no defined range."""


class TooManyPixelsError(ValueError):
    """An image over the limit of its reader, or over Pillow's own."""


MAX_PIXELS = 100_000_000
"""A smaller file can announce any size; this many pixels need 0.4 GB."""


@contextmanager
def opened_image(
    source: Path | bytes, *, formats: tuple[str, ...] | list[str] | None = None, max_pixels: int = MAX_PIXELS
) -> Generator[Image.Image]:
    """An image file as stored, of any format that Pillow reads. Its pixels are not decoded yet.

    Args:
        formats: Pillow's names of the only formats that are read.

    Raises:
        OSError: no such file, or one that cannot be opened.
        TooManyPixelsError: more than `max_pixels`.
        ValueError: not such an image, or a damaged one. Errors of the work on it in the block become
            `ValueError` too, since Pillow raises many kinds of errors for damaged files.
    """
    from PIL import Image

    with ExitStack() as stack:
        file = io.BytesIO(source) if isinstance(source, bytes) else stack.enter_context(source.open("rb"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's own limit of pixels; damaged EXIF data
                image = stack.enter_context(Image.open(file, formats=formats))
            if image.width * image.height > max_pixels:
                raise TooManyPixelsError(
                    f"{image.width} x {image.height} pixels, allowed: up to {max_pixels:,} pixels in all"
                )
            _check_readable(image)
            yield image
        except (ValueError, PhonicsDataError):
            raise
        except Image.DecompressionBombError as error:  # before the size is known here
            raise TooManyPixelsError(one_line(error)) from error
        except Exception as error:
            raise ValueError(one_line(error)) from error


_MAX_CHUNKS = 1000


def _check_readable(image: Image.Image) -> None:
    """Refuse what Pillow reads wrongly. Raises `ValueError`."""
    if image.format == "TIFF":
        tags: dict[int, object] = dict(getattr(image, "tag_v2", {}))
        if tags.get(262) == 6 and tags.get(259) == 1:
            raise ValueError("uncompressed TIFF of YCbCr, allowed: RGB; save it as a png")
    file = getattr(image, "fp", None)
    if image.format != "PNG" or file is None:
        return
    here = file.tell()
    place = 8
    for _ in range(_MAX_CHUNKS):  # the chunk of the colours is before the pixels
        file.seek(place)
        header = file.read(12)
        if len(header) < 12 or header[4:8] == b"IDAT":
            break
        if header[4:8] == b"cICP":  # transfer function and primaries as in videos; it takes precedence over a profile
            check_colors(header[9], header[8], 0)
        place += 12 + int.from_bytes(header[:4], "big")
    file.seek(here)


def shown(image: Image.Image) -> Image.Image:
    """An opened image -> 8-bit RGB, or RGBA if it has transparency: upright by its EXIF orientation, in sRGB.

    * Damaged EXIF data and colour profiles are ignored, as by browsers.
    * Of 16-bit values, the upper 8 bits are used.

    Raises:
        UnknownRangeError: an integer or float image without a defined value range.
    """
    return _in_srgb(_upright(image))


def shown_on_white(image: Image.Image) -> Image.Image:
    """As `shown`, with transparent pixels composited on white: 8-bit RGB."""
    from PIL import Image

    image = shown(image)
    if image.mode != "RGBA":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def is_plain(image: Image.Image) -> bool:
    """Whether the stored pixels of an opened image are those to be shown: no orientation, no colour profile, no transparency."""
    try:
        turned = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 - Pillow raises many kinds of errors
        turned = 1
    return turned in (0, 1) and not image.info.get("icc_profile") and image.mode in ("L", "RGB")


def _upright(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    profile = image.info.get("icc_profile")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged EXIF data
        image.load()  # its errors are those of the image
        try:
            turned = ImageOps.exif_transpose(image)
        except Exception:  # noqa: BLE001 - Pillow raises many kinds of errors
            return image
    if profile:
        turned.info["icc_profile"] = profile
    return turned


def _in_srgb(image: Image.Image) -> Image.Image:
    from PIL import Image, ImageCms

    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image, np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UnknownRangeError(f"image of mode {image.mode}, allowed: 8 or 16 bits; save it as an 8-bit png")
    plain = image.convert("RGBA") if image.has_transparency_data else image
    if profile and plain.mode in ("RGB", "RGBA", "CMYK", "L"):
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            opaque = plain.convert("RGB") if plain.mode == "RGBA" else plain
            converted = ImageCms.profileToProfile(opaque, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None  # of another colour space than the image, or damaged
        if converted is not None:
            if plain.mode == "RGBA":
                converted.putalpha(plain.getchannel("A"))
            return converted
    return plain if plain.mode in ("RGB", "RGBA") else plain.convert("RGB")
