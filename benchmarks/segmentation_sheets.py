"""Images to look at: timelines of the real songs, and a contact sheet of finished clips: `python -m benchmarks segmentation-sheets`.

All images are written to the cache folder, never into the repository.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.segmentation import EvidenceSet
from benchmarks.segmentation_pipeline import build_dataset, built_id
from benchmarks.segmentation_real import (
    SONGS,
    Found,
    evidence_sets,
    real_songs,
    segment_video,
    shared_media,
    speech_key,
    wrong_segments,
)
from benchmarks.segmentation_songs import BenchmarkVideo, OnProgress, with_speech, with_traces
from phonics_data.contract.sample import Sample
from phonics_data.dataset.reader import open_dataset
from phonics_data.errors import OptionError
from phonics_data.recognizers.whisper import DEFAULT_MODEL, local_model
from phonics_data.segmentation.scoring import TimedLetter
from phonics_data.show.page import show
from phonics_data.show.timeline import letter_colour

CLIP_SONGS = ("drawn cards", "two rounds", "rows")
ROW_SECONDS = 40.0
_WIDTH, _LEFT, _BAR, _GAP = 1600, 190, 16, 14
_INK, _SOFT, _WRONG, _PAPER = (30, 34, 40), (110, 118, 128), (208, 36, 48), (255, 255, 255)
_CLIP_FRAMES = (0.1, 0.4, 0.65, 0.9)
"""Places in the clip of the frames of a contact sheet."""


def draw_timeline(video: BenchmarkVideo, found: Mapping[str, Found]) -> Image.Image:
    """The truth, and for each evidence set the phrases and the finished segments, as bars with their letters.

    A bar with a red edge matches no true segment at IoU 0.5. A finished segment that is a part of a divided phrase has a bar of its
    own.
    """
    bands: list[tuple[str, Sequence[TimedLetter], set[int]]] = [("truth", video.truth, set())]
    for name, one in found.items():
        for label, segments in ((f"{name}: phrases", one.phrases), ("finished", one.finished)):
            wrong = [(low.letter, low.start_seconds, low.end_seconds) for low in wrong_segments(segments, video.truth)]
            is_wrong = {
                id(segment)
                for segment in segments
                if any(
                    segment.letter == letter and start <= segment.start_seconds < end for letter, start, end in wrong
                )
            }
            bands.append((label, segments, is_wrong))
    num_rows = max(1, math.ceil(video.duration_seconds / ROW_SECONDS))
    height = _GAP + 12 + len(bands) * (_BAR + 2)
    image = Image.new("RGB", (_WIDTH, num_rows * height + 10), _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    for row in range(num_rows):
        start, top = row * ROW_SECONDS, row * height + 4
        scale = (_WIDTH - _LEFT - 8) / ROW_SECONDS
        for second in range(0, int(ROW_SECONDS) + 1, 5):
            draw.text((_LEFT + second * scale, top), f"{start + second:.0f}", fill=_SOFT, font=font)
        for index, (label, segments, is_wrong) in enumerate(bands):
            y = top + 14 + index * (_BAR + 2)
            draw.text((4, y + 1), label, fill=_INK, font=font)
            for segment in segments:
                low = max(segment.start_seconds - start, 0.0)
                high = min(segment.end_seconds - start, ROW_SECONDS)
                if high <= low:
                    continue
                box = (_LEFT + low * scale, y, max(_LEFT + high * scale - 1, _LEFT + low * scale + 1), y + _BAR)
                wrong = id(segment) in is_wrong
                edge = _WRONG if wrong else letter_colour(segment.letter)
                draw.rectangle(box, fill=letter_colour(segment.letter), outline=edge, width=2 if wrong else 1)
                if (high - low) * scale > 9:
                    draw.text((box[0] + 3, y + 1), segment.letter, fill=_INK, font=font)
    return image


def contact_sheet(samples: Sequence[Sample], *, columns: int = 4, frame_size: int = 128) -> Image.Image:
    """Frames of each clip in a row, with its letter, object word and source; `columns` clips side by side."""
    width, height = frame_size * len(_CLIP_FRAMES) + 8, frame_size + 18
    rows = math.ceil(len(samples) / columns)
    image = Image.new("RGB", (columns * width, max(rows, 1) * height), _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    for index, sample in enumerate(samples):
        x, y = index % columns * width, index // columns * height
        word = f" {sample.object_word}" if sample.object_word else ""
        title = f"{index + 1}: {sample.label}{word}, {sample.video_id} {sample.start_seconds:.1f} s, {sample.num_frames} frames"
        draw.text((x + 2, y + 1), title, fill=_INK, font=font)
        for place, share in enumerate(_CLIP_FRAMES):
            frame = sample.frames_LHWC[int(share * (sample.num_frames - 1))]
            size = (round(frame_size * frame.shape[1] / frame.shape[0]), frame_size)
            picture = Image.fromarray(frame).resize((min(size[0], frame_size), frame_size))
            image.paste(picture, (x + place * frame_size, y + 16))
    return image


def evenly_chosen(samples: Sequence[Sample], number: int) -> list[Sample]:
    """`number` samples, equally spaced in the order of source and time."""
    ordered = sorted(samples, key=lambda sample: (sample.video_id, sample.start_seconds))
    if len(ordered) <= number:
        return ordered
    return [ordered[index] for index in np.linspace(0, len(ordered) - 1, number).round().astype(int).tolist()]


def write_sheets(
    cache: Path,
    *,
    songs: Sequence[str] = CLIP_SONGS,
    models: Sequence[str] = (DEFAULT_MODEL,),
    num_clips: int = 40,
    workers: int,
    on_progress: OnProgress,
) -> list[Path]:
    """Write the images; returns their paths.

    Args:
        songs: names of the songs (`benchmarks.segmentation_real.SONGS`) of which the contact sheet shows clips, from the pipeline
            with its default options. Timelines are drawn of all songs.
    """
    for name in songs:
        if name not in [song.name for song in SONGS]:
            raise OptionError("--song", name, ", ".join(song.name for song in SONGS))
    folder = cache / "sheets"
    folder.mkdir(parents=True, exist_ok=True)
    models = [model for model in models if local_model(model) is not None]
    videos = with_traces(real_songs(shared_media()), cache, workers=workers, on_progress=on_progress)
    for model in models:
        videos = with_speech(
            videos, cache, workers=workers, on_progress=on_progress, model=model, key=speech_key(model)
        )
    sets: list[EvidenceSet] = evidence_sets(models)
    paths: list[Path] = []
    for video in videos:
        path = folder / f"timeline-{built_id(video)}.png"
        draw_timeline(video, {one.name: segment_video(video, one) for one in sets}).save(path)
        paths.append(path)
    chosen = [video for video in videos if video.video_id in songs]
    built = build_dataset(
        cache,
        "songs",
        chosen,
        kind="alphabet",
        model=models[0] if models else DEFAULT_MODEL,
        workers=workers,
        on_progress=on_progress,
    )
    for video in chosen:
        truth = [replace(segment, video_id=built_id(video)) for segment in video.truth]
        paths += show(built.workspace, built_id(video), folder, truth=truth)
    samples = list(open_dataset(built.folder)) if built.clips else []
    path = folder / "clips.png"
    contact_sheet(evenly_chosen(samples, num_clips)).save(path)
    return [*paths, path]
