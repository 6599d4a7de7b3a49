"""Checks of what a visitor of the form sends, and pictures of letters to begin with."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import soundfile
from PIL import Image, ImageDraw, ImageFont

from cssgan.inference.export import LoadedGenerator
from cssgan.inference.generate import GeneratedVideo, generate_video
from phonics_data.contract.files import atomic_path
from phonics_data.contract.image_file import TooManyPixelsError, opened_image
from phonics_data.errors import InputError, PhonicsDataError

MAX_PIXELS = 50_000_000
"""Larger pictures would take gigabytes of memory to decode; cameras of telephones stay below."""
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP")
"""The other decoders of Pillow (EPS starts a program) do not read what a visitor sends."""
SOUND_FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
"""Of libsndfile; WAVEX is a wav file with an extensible header."""
MAX_CHANNELS = 8
MAX_SAMPLES = 20_000_000
"""Over all channels; they take 80 MB as float32."""
MAX_WORD_CHARACTERS = 64
CARD_SIZE = 256
CARD_COLOURS: dict[str, tuple[str, str]] = {
    "yellow": ("#ffe08a", "#b3261e"),
    "blue": ("#bfe3ff", "#0b3d91"),
    "green": ("#cdebc5", "#1b5e20"),
    "pink": ("#ffd1dc", "#6a1b9a"),
    "white": ("#ffffff", "#111111"),
    "black": ("#161616", "#fafafa"),
}
"""Name -> colour of the ground and of the letter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FormLimits:
    """What the form accepts.

    Args:
        max_seconds: length of the sound.
        max_megabytes: size of each file, in 10^6 bytes.
    """

    max_seconds: float = 20.0
    max_megabytes: int = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class FormInputs:
    """What a visitor sent; None: not given.

    Args:
        object_picture: picture of the object that comes in.
        object_word: its word; empty: none.
    """

    picture: Path | None
    sound: Path | None
    label: str | None
    seed: int = 0
    object_picture: Path | None = None
    object_word: str = ""


def make_video(generator: LoadedGenerator, inputs: FormInputs, out: Path, limits: FormLimits) -> GeneratedVideo:
    """Check the inputs and generate the video.

    Raises:
        InputError: an input is missing, is not of its kind, or exceeds `limits`. The message names files without their folder.
    """
    if inputs.picture is None:
        raise InputError("no picture; upload one, or draw a card")
    if inputs.sound is None:
        raise InputError("no sound; upload one, or record it with the microphone")
    if not inputs.label:
        raise InputError("no letter; choose one")
    word = " ".join(inputs.object_word.split())
    if len(word) > MAX_WORD_CHARACTERS:
        raise InputError(
            f"word of the object: {len(word)} characters, allowed: up to {MAX_WORD_CHARACTERS}; write the word alone"
        )
    pictures = [path for path in (inputs.picture, inputs.object_picture) if path is not None]
    try:
        for path in (*pictures, inputs.sound):
            check_file_size(path, limits)
        for path in pictures:
            check_picture(path)
        check_sound(inputs.sound, limits)
        return generate_video(
            generator,
            image=inputs.picture,
            audio=inputs.sound,
            label=inputs.label,
            out=out,
            object_picture=inputs.object_picture,
            object_word=word,
            seed=inputs.seed,
        )
    except PhonicsDataError as error:
        message = str(error)
        for path in (*pictures, inputs.sound, out):
            message = message.replace(str(path), path.name)
        raise InputError(message) from error


def check_file_size(path: Path, limits: FormLimits) -> None:
    """Raise `InputError` if the file is missing, empty or larger than allowed."""
    try:
        num_bytes = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); send it again") from error
    if num_bytes == 0:
        raise InputError(f"{path}: is empty; send another file")
    if num_bytes > limits.max_megabytes * 1_000_000:
        raise InputError(
            f"{path}: {num_bytes / 1e6:.1f} MB, allowed: up to {limits.max_megabytes} MB; send a smaller file"
        )


def check_picture(path: Path) -> None:
    """Raise `InputError` if the file is no picture of `PICTURE_FORMATS` or has more than `MAX_PIXELS`. Reads its header only."""
    try:
        with opened_image(path, formats=PICTURE_FORMATS, max_pixels=sys.maxsize) as image:
            width, height = image.size
    except TooManyPixelsError as error:
        raise InputError(f"{path}: {error}; send a smaller picture") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not a picture that can be read; allowed: png, jpeg, webp") from error
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: {width}x{height} pixels, allowed: up to {MAX_PIXELS / 1e6:.0f} million; send a smaller picture"
        )


def check_sound(path: Path, limits: FormLimits) -> None:
    """Raise `InputError` if the file is no sound of `SOUND_FORMATS`, longer than `limits`, or has more than `MAX_CHANNELS` or
    `MAX_SAMPLES`. Reads its header only.
    """
    try:
        info = soundfile.info(path)
    except (OSError, RuntimeError) as error:  # soundfile's errors derive from RuntimeError
        raise InputError(f"{path}: is not a sound that can be read; allowed: wav, flac, ogg, mp3") from error
    if info.format not in SOUND_FORMATS:
        raise InputError(f"{path}: is a sound of format {info.format}; allowed: wav, flac, ogg, mp3")
    if not info.frames:
        raise InputError(f"{path}: contains no sound; record or upload another")
    if info.channels > MAX_CHANNELS:
        raise InputError(f"{path}: {info.channels} channels, allowed: up to {MAX_CHANNELS}; send mono or stereo")
    if info.frames * info.channels > MAX_SAMPLES:
        raise InputError(
            f"{path}: {info.frames * info.channels} samples in {info.channels} channels, allowed: up to {MAX_SAMPLES}; "
            "send a lower sample rate or fewer channels"
        )
    seconds = info.frames / info.samplerate
    if seconds > limits.max_seconds:
        raise InputError(
            f"{path}: lasts {seconds:.1f} s, allowed: up to {limits.max_seconds:g} s; send one phrase, not a whole song"
        )


def draw_card(text: str, colours: str, path: Path) -> Path:
    """Draw a card with a letter (or another class) in its middle and write it as PNG.

    Args:
        colours: a key of `CARD_COLOURS`.

    Raises:
        InputError: no text, or unknown colours.
    """
    if not text or colours not in CARD_COLOURS:
        raise InputError(f"card: got {text!r} in {colours!r}, allowed: a letter in {', '.join(CARD_COLOURS)}")
    ground, ink = CARD_COLOURS[colours]
    image = Image.new("RGB", (CARD_SIZE, CARD_SIZE), ground)
    draw = ImageDraw.Draw(image)
    points = 0.7 * CARD_SIZE
    width = draw.textlength(text, font=ImageFont.load_default(points))
    points *= min(1.0, 0.9 * CARD_SIZE / width)  # a word instead of a letter
    middle = CARD_SIZE / 2
    draw.text((middle, middle), text, fill=ink, font=ImageFont.load_default(points), anchor="mm")
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")
    return path
