"""Images of an evaluation: strips of frames above their audio, and motion curves over onset curves. Uses only Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cssgan.metrics.videos import Floats, Videos

INK, PAPER, GRID = (32, 32, 32), (255, 255, 255), (222, 222, 222)
AUDIO, REAL, FAKE = (196, 202, 212), (31, 97, 165), (214, 84, 18)
HEAT = np.array([(8, 6, 32), (80, 18, 123), (182, 54, 121), (251, 136, 97), (252, 253, 191)], np.float64)
GUTTER, MARGIN, TITLE = 76, 10, 18
SUPERSAMPLING = 3
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PlotVideo:
    """One evaluated video.

    Args:
        title: line above the video.
        real_THWC, fake_THWC: uint8; frames from `num_valid` on are drawn pale.
        mel_MH: log-mel of the whole window, (bands, hops), low bands first.
        onset_K, real_K, fake_K: onset curve and motion curves of frames 1..T-1.
    """

    title: str
    real_THWC: NDArray[np.uint8]
    fake_THWC: NDArray[np.uint8]
    num_valid: int
    mel_MH: NDArray[np.floating]
    onset_K: Floats
    real_K: Floats
    fake_K: Floats


def join_mel_segments(mels_TMU: NDArray[np.floating], hops_per_frame: float) -> NDArray[np.floating]:
    """The log-mel of a window, (bands, hops), joined from the middles of its overlapping segments."""
    middle, width = mels_TMU.shape[2] / 2, min(hops_per_frame, mels_TMU.shape[2])
    low, high = int(np.floor(middle - width / 2)), int(np.ceil(middle + width / 2))
    return np.concatenate(list(mels_TMU[:, :, low:high]), axis=1)


def strip(videos: Sequence[PlotVideo], *, num_columns: int = 16, tile: int = 64) -> Image.Image:
    """For each video: a row of real frames, a row of generated frames, the spectrogram and the curves.

    All have the same time axis: a column of the spectrogram belongs to the frame above it.
    """
    width = GUTTER + num_columns * tile + MARGIN
    parts: list[Pixels] = [_legend(width)]
    for video in videos:
        num_frames = len(video.real_THWC)
        step = max(1, -(-num_frames // num_columns))
        columns = list(range(0, num_frames, step))
        row_width = num_columns * tile * num_frames // (step * num_columns)
        rows = [_title(video.title, width)]
        for name, frames in (("real", video.real_THWC), ("generated", video.fake_THWC)):
            rows.append(_framed(_tiles(frames, columns, tile, video.num_valid), name, width))
        rows.append(_framed(_heat(video.mel_MH, row_width, 40), "audio (mel)", width))
        rows.append(_framed(_curves(video, row_width, 64), "onset and\nmotion", width))
        parts.append(np.concatenate(rows))
    return Image.fromarray(np.concatenate(parts))


def curves(videos: Sequence[PlotVideo], *, width: int = 760, height: int = 84) -> Image.Image:
    """Motion of the real and the generated video over the onset curve of their audio, one plot per video."""
    total = GUTTER + width + MARGIN
    parts: list[Pixels] = [_legend(total)]
    for video in videos:
        parts += [_title(video.title, total), _framed(_curves(video, width, height), "onset and\nmotion", total)]
    return Image.fromarray(np.concatenate(parts))


def animation(videos: Sequence[PlotVideo], *, tile: int = 96) -> list[Image.Image]:
    """One image per frame: a column for each video, real above generated, and a cursor on the onset curve."""
    num_frames = max(video.num_valid for video in videos)
    onsets = [_onsets(video, tile, tile // 3) for video in videos]
    frames: list[Image.Image] = []
    for frame in range(num_frames):
        columns: list[Pixels] = []
        for video, onset in zip(videos, onsets, strict=True):
            pair = [_tiles(rows, [frame], tile, video.num_valid) for rows in (video.real_THWC, video.fake_THWC)]
            plot = onset.copy()
            left = frame * tile // len(video.real_THWC)
            plot[:, left : left + 2] = FAKE
            columns.append(np.concatenate([*pair, plot]))
        frames.append(Image.fromarray(np.concatenate(columns, axis=1)))
    return frames


def save_animation(frames: Sequence[Image.Image], path: Path, frames_per_second: float) -> None:
    """Write an animated WebP that loops."""
    options = {"duration": round(1000 / frames_per_second), "loop": 0, "quality": 70, "method": 4}
    frames[0].save(path, format="WEBP", save_all=True, append_images=frames[1:], **options)


def _blank(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), PAPER, np.uint8)


def _font(size: int = 12) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _title(text: str, width: int) -> Pixels:
    image = Image.fromarray(_blank(TITLE + 6, width))
    ImageDraw.Draw(image).text((GUTTER, 6), text, fill=INK, font=_font())
    return np.asarray(image)


def _legend(width: int) -> Pixels:
    image = Image.fromarray(_blank(TITLE + 8, width))
    draw = ImageDraw.Draw(image)
    left = float(GUTTER)
    for name, colour in (("onsets of the audio", AUDIO), ("motion, real", REAL), ("motion, generated", FAKE)):
        draw.rectangle((left, 9, left + 14, 19), fill=colour)
        draw.text((left + 20, 7), name, fill=INK, font=_font())
        left += 40 + draw.textlength(name, font=_font())
    return np.asarray(image)


def _framed(body: Pixels, name: str, width: int) -> Pixels:
    """`body` beside its name, padded to `width`, with a thin white line below."""
    image = Image.fromarray(_blank(body.shape[0] + 3, width))
    image.paste(Image.fromarray(body), (GUTTER, 0))
    ImageDraw.Draw(image).multiline_text((4, 2), name, fill=INK, font=_font(11))
    return np.asarray(image)


def _tiles(frames_THWC: Videos, columns: list[int], tile: int, num_valid: int) -> Pixels:
    tiles: list[Pixels] = []
    for frame in columns:
        resized = np.asarray(Image.fromarray(frames_THWC[frame]).resize((tile, tile), Image.Resampling.LANCZOS))
        # Frames after the end of the audio are ignored by the metrics and drawn pale.
        tiles.append(resized if frame < num_valid else (resized // 4 + 191).astype(np.uint8))
    return np.concatenate(tiles, axis=1)


def _heat(values_MH: NDArray[np.floating], width: int, height: int) -> Pixels:
    low, high = float(values_MH.min()), float(values_MH.max())
    level = (values_MH[::-1] - low) / max(high - low, 1e-9) * (len(HEAT) - 1)
    colour = np.stack([np.interp(level, np.arange(len(HEAT)), HEAT[:, channel]) for channel in range(3)], axis=2)
    image = Image.fromarray(np.rint(colour).astype(np.uint8))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def _onsets(video: PlotVideo, width: int, height: int) -> Pixels:
    """Only the onset curve, as filled steps."""
    image = Image.fromarray(_blank(height, width))
    draw = ImageDraw.Draw(image)
    num_frames, top = len(video.real_THWC), max(float(video.onset_K.max()), 1e-9)
    for entry, value in enumerate(video.onset_K[: video.num_valid - 1], start=1):
        left, right = (x * width / num_frames for x in (entry, entry + 1))
        draw.rectangle((left, height - (height - 2) * float(value) / top, right, height), fill=AUDIO)
    return np.asarray(image)


def _curves(video: PlotVideo, width: int, height: int) -> Pixels:
    """Onsets as filled steps (scaled to their maximum), motion curves as lines on a common scale."""
    k, s = len(video.onset_K), SUPERSAMPLING
    image = Image.new("RGB", (width * s, height * s), PAPER)
    draw = ImageDraw.Draw(image)
    valid = max(1, min(video.num_valid - 1, k))
    step, floor, room = width * s / (k + 1), height * s - s, (height - 6) * s
    for line in range(0, k + 1, 8):
        draw.line((line * step, 0, line * step, height * s), fill=GRID, width=s)
    top = max(float(video.onset_K[:valid].max()), 1e-9)
    for entry, value in enumerate(video.onset_K[:valid], start=1):
        draw.rectangle((entry * step, floor - room * value / top, (entry + 1) * step, floor), fill=AUDIO)
    scale = max(float(video.real_K[:valid].max()), float(video.fake_K[:valid].max()), 1e-9)
    for curve, colour in ((video.real_K, REAL), (video.fake_K, FAKE)):
        points = [((e + 1.5) * step, floor - room * float(v) / scale) for e, v in enumerate(curve[:valid])]
        if len(points) > 1:
            draw.line(points, fill=colour, width=2 * s, joint="curve")
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
