"""A picture of rendered clips: for each style one phrase as a row of frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from phonics_data.errors import TableError
from phonics_data.media import cut_segments

_NUM_FRAMES, _SIZE, _TITLE_HEIGHT = 14, 96, 16
_PHRASE = 3
"""Which phrase of a song is shown: the second one of its second letter, so that the object before leaves in it."""


def draw_rendered_clips(songs: Path, *, num_clips: int = 10) -> Image.Image:
    """One row of frames at even times for a phrase of each style, 64 x 64 pixels, enlarged; at most `num_clips` rows.

    Args:
        songs: folder of `phonics-data render`.

    Raises:
        TableError: no ground truth of songs in styles.
    """
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(songs / "truth.parquet").to_pylist()
    if not (songs / "events.parquet").is_file():
        raise TableError(f"{songs}: no events.parquet; render the songs with --family phrases")
    by_style: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        phrases = by_style.setdefault(row["style"], [])
        if not phrases or phrases[0]["video_id"] == row["video_id"]:
            phrases.append(row)
    shown = [phrases[min(_PHRASE, len(phrases) - 1)] for phrases in by_style.values()][:num_clips]
    sheet = Image.new("RGB", (_NUM_FRAMES * _SIZE, len(shown) * (_SIZE + _TITLE_HEIGHT)), "#ffffff")
    canvas = ImageDraw.Draw(sheet)
    for position, row in enumerate(shown):
        top = position * (_SIZE + _TITLE_HEIGHT)
        frames_LHWC = _frames(songs / f"{row['video_id']}.mp4", row["start_seconds"], row["end_seconds"])
        title = f"{row['style']}: {' '.join(word['text'] for word in row['words'])} ({len(frames_LHWC)} frames)"
        canvas.text((2, top + 2), title, fill="#000000")
        for column, index in enumerate(np.linspace(0, len(frames_LHWC) - 1, _NUM_FRAMES).round().astype(int)):
            picture = Image.fromarray(frames_LHWC[index]).resize((_SIZE, _SIZE), Image.Resampling.BICUBIC)
            sheet.paste(picture, (column * _SIZE, top + _TITLE_HEIGHT))
    return sheet


def _frames(path: Path, start_seconds: float, end_seconds: float) -> Any:
    """uint8 (L, 64, 64, 3)."""
    (clip,) = cut_segments(
        path,
        [(start_seconds, end_seconds)],
        frame_rate=Fraction(25),
        width=64,
        height=64,
        fit="squash",
        audio_rate_hz=16_000,
    )
    return clip.frames_LHWC
