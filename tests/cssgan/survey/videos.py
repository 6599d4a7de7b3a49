"""Small videos with audio, and surveys that use them."""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from cssgan.storage.media_files import write_mp4
from cssgan.survey.build import SurveyOptions, build_survey, find_model_videos

MODELS = ("cssgan", "imaginator", "mocogan")


def write_video(path: Path, *, num_frames: int = 10, frame_rate: int = 25, size: int = 16) -> Path:
    """A square that moves over a uniform background, with a tone; the color depends on the last two names of the path."""
    rng = np.random.default_rng(zlib.crc32("/".join(path.parts[-2:]).encode()))
    video = np.full((num_frames, size, size, 3), rng.integers(60, 200, 3), np.uint8)
    for frame in range(num_frames):
        left = frame * (size - 4) // max(1, num_frames - 1)
        video[frame, 6:10, left : left + 4] = 255
    times = np.arange(num_frames * 16_000 // frame_rate) / 16_000
    audio = (0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    write_mp4(path, video, Fraction(frame_rate), audio, 16_000, scale=8)
    return path


def write_videos(folder: Path, *, models: tuple[str, ...] = MODELS, num_items: int = 3) -> Path:
    for model in models:
        for item in range(num_items):
            write_video(folder / model / f"clip-{item}.mp4")
    return folder


def make_survey(root: Path, **options: Any) -> Path:
    """A survey of three models and three items; by default two single videos, two pairs and two checks per rater."""
    chosen = {"singles": 2, "pairs": 2, "checks": 2, **options}
    build_survey(find_model_videos(write_videos(root / "videos")), root / "survey", SurveyOptions(**chosen))
    return root / "survey"
