"""Do rendered songs change as much as real clips do, and in the same way? Five values of each clip, and its length.

Both sides are measured by `phonics_data.contract.change.summarize`. The rendered songs are cut into their true phrases by the
same code that cuts datasets. Few real clips say little: the bootstrap interval of their median is part of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from phonics_data.contract.change import ChangeSummary, summarize
from phonics_data.errors import InputError, ItemError, MediaError, TableError
from phonics_data.executors.isolated import Limits, map_isolated
from phonics_data.executors.items import OnProgress
from phonics_data.media import cut_segments, is_video_file, probe, unread_entry
from phonics_data.media.clip_frames import read_clip
from phonics_data.sources.synthetic.render import TRUTH, read_truth
from phonics_data.types import TrueSegment

PERCENTILES = (10, 25, 50, 75, 90)
FRAMES_OF_MEDIAN = (60, 100)
"""Allowed median of the frames of a rendered clip: the paper's samples have 40 to 128, median 86."""
_CLIP_LIMITS, _SONG_LIMITS = Limits(seconds=300), Limits(seconds=3600)
MAX_CLIP_SECONDS = 60.0
"""A longer file is a whole video, not a clip of one phrase."""
SHEET_FRAMES = 8
"""Frames of each clip that are kept for the contact sheet."""
_RESAMPLES = 10_000
_VALUES_AT_ONCE = 1_000_000
"""Of the bootstrap; all resamples of many clips do not fit into memory."""
_AUDIO_RATE_HZ = 16_000
_CAPTION_HEIGHT = 14
_GAP = 4

Frames = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeasuredClip:
    """One clip and what was measured on it."""

    name: str
    source: str
    """Source video: file name of a real clip, video id of a rendered one."""
    frames_per_second: float
    num_frames: int
    change: ChangeSummary
    sheet_SHWC: Frames
    """uint8: `SHEET_FRAMES` frames at even times, the first and the last included."""

    @property
    def seconds(self) -> float:
        return self.num_frames / self.frames_per_second

    def value(self, name: str) -> float:
        """A value by its name in `ROWS`."""
        if name in ("frames", "seconds"):
            return float(self.num_frames if name == "frames" else self.seconds)
        return float(getattr(self.change, name))

    def as_json(self) -> dict[str, Any]:
        values = {name: _finite(self.value(name)) for name in ROWS}
        return {"name": self.name, "source": self.source, "frames_per_second": self.frames_per_second, **values}


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedClip:
    """A file or phrase that could not be measured."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measured:
    """The clips of one folder."""

    clips: tuple[MeasuredClip, ...]
    skipped: tuple[SkippedClip, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LikenessRow:
    """One value on both sides; clips on which it is not defined are left out."""

    name: str
    real: tuple[float, ...]
    """At `PERCENTILES`; empty if it is defined on no clip."""
    real_median_interval: tuple[float, float] | None
    """95 % bootstrap interval of the real median over clips; None if it is defined on none."""
    rendered: tuple[float, ...]
    """As `real`."""
    num_undefined: tuple[int, int]
    """Real and rendered clips on which it is not defined."""
    allowed: tuple[float, float] | None
    """For the rendered median; None: only shown, or defined on no real clip."""

    @property
    def is_within(self) -> bool:
        """Whether the rendered median is allowed; False if the value is defined on no clip of a side."""
        if not self.real or not self.rendered:
            return False
        median = self.rendered[PERCENTILES.index(50)]
        return self.allowed is None or self.allowed[0] <= median <= self.allowed[1]


ROWS = (*ChangeSummary.names(), "frames", "seconds")
"""The five values of `ChangeSummary`, then the length of the clips."""


def measure_clips(folder: Path, *, size: int = 64, on_progress: OnProgress | None = None) -> Measured:
    """Measure every video file below `folder` as one clip, squashed to size x size, at its own frame rate.

    Files that cannot be measured (damaged, cut off, one frame, longer than `MAX_CLIP_SECONDS`), and links and folders that are
    not read (`unread_entry`), are skipped with a reason. Audio is not needed.

    Raises:
        InputError: no such folder, no video file in it, or none that can be measured.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of video files, each one clip")
    entries = sorted(folder.rglob("*"))
    paths = [path for path in entries if is_video_file(path)]
    if not paths:
        raise InputError(f"{folder}: no video file in it; give a folder of video files (mp4, webm, ...), each one clip")
    clips = list[MeasuredClip]()
    skipped = [
        SkippedClip(name=path.relative_to(folder).as_posix(), reason=f"{path}: {fault}")
        for path in entries
        if (fault := unread_entry(path))
    ]
    function = partial(_measure_file, folder=folder, size=size)
    for done, (path, result) in enumerate(map_isolated(function, paths, workers=1, limits=lambda _: _CLIP_LIMITS)):
        if isinstance(result, ItemError):
            skipped.append(SkippedClip(name=path.relative_to(folder).as_posix(), reason=result.detail))
        else:
            clips.append(result)
        if on_progress is not None:
            on_progress("real clips", done + 1, len(paths))
    if not clips:
        raise InputError(f"{folder}: none of {len(paths)} files can be measured; the first: {skipped[0].reason}")
    return Measured(clips=tuple(clips), skipped=tuple(skipped))


def _measure_file(path: Path, *, folder: Path, size: int) -> MeasuredClip:
    name = path.relative_to(folder).as_posix()
    if (seconds := probe(path).duration_seconds) > MAX_CLIP_SECONDS:
        raise MediaError(
            "duration_mismatch", f"{path}: {seconds:.0f} s, allowed: at most {MAX_CLIP_SECONDS:.0f}; cut it into clips"
        )
    frames_THWC, rate = read_clip(path, width=size, height=size)
    if len(frames_THWC) < 2:
        raise MediaError("too_short", f"{path}: 1 frame, allowed: 2 or more; a single frame cannot change")
    return _measure(name, name, frames_THWC, rate)


def measure_songs(
    folder: Path,
    *,
    size: int = 64,
    frame_rate: Fraction | None = Fraction(25),
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> Measured:
    """Measure every phrase of rendered songs, cut by their ground truth and squashed to size x size.

    Args:
        folder: written by `render_songs`, with ``truth.parquet``.
        frame_rate: of the clips; None: that of each song.
        workers: processes.

    Raises:
        TableError: no ground truth.
        InputError: no phrase can be measured.
    """
    by_video: dict[str, list[TrueSegment]] = {}
    for segment in read_truth(folder / TRUTH):
        by_video.setdefault(segment.video_id, []).append(segment)
    if not by_video:
        raise TableError(f"{folder / TRUTH}: no phrase in it; render the songs again")
    clips, skipped = list[MeasuredClip](), list[SkippedClip]()
    function = partial(_measure_song, folder=folder, size=size, frame_rate=frame_rate)
    for done, (song, result) in enumerate(
        map_isolated(function, list(by_video.values()), workers=workers, limits=lambda _: _SONG_LIMITS)
    ):
        if isinstance(result, ItemError):
            skipped.append(SkippedClip(name=song[0].video_id, reason=result.detail))
        else:
            clips += result.clips
            skipped += result.skipped
        if on_progress is not None:
            on_progress("rendered", done + 1, len(by_video))
    if not clips:
        raise InputError(f"{folder}: no phrase can be measured; the first: {skipped[0].reason}")
    return Measured(clips=tuple(sorted(clips, key=lambda clip: clip.name)), skipped=tuple(skipped))


def _measure_song(segments: Sequence[TrueSegment], *, folder: Path, size: int, frame_rate: Fraction | None) -> Measured:
    path = folder / f"{segments[0].video_id}.mp4"
    rate = frame_rate or probe(path).frame_rate
    clips, skipped = list[MeasuredClip](), list[SkippedClip]()
    for cut in cut_segments(
        path,
        [(segment.start_seconds, segment.end_seconds) for segment in segments],
        frame_rate=rate,
        width=size,
        height=size,
        fit="squash",
        audio_rate_hz=_AUDIO_RATE_HZ,
    ):
        segment = segments[cut.index]
        name = f"{segment.video_id} {segment.start_seconds:07.3f} {segment.letter} {segment.object_word or ''}".strip()
        if len(cut.frames_LHWC) < 2:
            skipped.append(SkippedClip(name=name, reason=f"{len(cut.frames_LHWC)} frames, allowed: 2 or more"))
        else:
            clips.append(_measure(name, segment.video_id, cut.frames_LHWC, rate))
    return Measured(clips=tuple(clips), skipped=tuple(skipped))


def _measure(name: str, source: str, frames_THWC: Frames, rate: Fraction) -> MeasuredClip:
    shown = np.linspace(0, len(frames_THWC) - 1, SHEET_FRAMES).round().astype(np.int64)
    return MeasuredClip(
        name=name,
        source=source,
        frames_per_second=float(rate),
        num_frames=len(frames_THWC),
        change=summarize(frames_THWC, float(rate)),
        sheet_SHWC=frames_THWC[shown],
    )


def compare(real: Sequence[MeasuredClip], rendered: Sequence[MeasuredClip], seed: int = 0) -> list[LikenessRow]:
    """One row for each of `ROWS`.

    The rendered median of a value of `ChangeSummary` must lie between the 10th and the 90th percentile of the real
    clips, and that of the frames within `FRAMES_OF_MEDIAN`.

    Args:
        seed: of the bootstrap.
    """
    return [_row(name, _values(real, name), _values(rendered, name), seed) for name in ROWS]


def _values(clips: Sequence[MeasuredClip], name: str) -> NDArray[np.float64]:
    return np.array([clip.value(name) for clip in clips])


def _row(name: str, real_N: NDArray[np.float64], rendered_N: NDArray[np.float64], seed: int) -> LikenessRow:
    defined = [values[np.isfinite(values)] for values in (real_N, rendered_N)]
    real, rendered = (
        tuple(map(float, np.percentile(values, PERCENTILES))) if values.size else () for values in defined
    )
    interval: tuple[float, float] | None = None
    if real:
        rng = np.random.default_rng(seed)
        at_once = min(_RESAMPLES, max(1, _VALUES_AT_ONCE // defined[0].size))
        medians = np.concatenate(
            [
                np.median(rng.choice(defined[0], size=(min(at_once, _RESAMPLES - start), defined[0].size)), axis=1)
                for start in range(0, _RESAMPLES, at_once)
            ]
        )
        low, high = np.percentile(medians, (2.5, 97.5))
        interval = (float(low), float(high))
    bounds = (real[0], real[-1]) if real else None
    return LikenessRow(
        name=name,
        real=real,
        real_median_interval=interval,
        rendered=rendered,
        num_undefined=(real_N.size - defined[0].size, rendered_N.size - defined[1].size),
        allowed={"frames": FRAMES_OF_MEDIAN, "seconds": None}.get(name, bounds),
    )


def as_json(real: Measured, rendered: Measured, rows: Sequence[LikenessRow]) -> dict[str, Any]:
    """Rows and clips of both sides as a dictionary for JSON; values that are not defined are None."""
    sides = {
        side: {
            "clips": [clip.as_json() for clip in measured.clips],
            "skipped": [asdict(skipped) for skipped in measured.skipped],
        }
        for side, measured in (("real", real), ("rendered", rendered))
    }
    return {
        "percentiles": PERCENTILES,
        "rows": [{**asdict(row), "is_within": row.is_within} for row in rows],
        **sides,
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def draw_sheet(
    real: Sequence[MeasuredClip], rendered: Sequence[MeasuredClip], *, num_clips: int = 10, seed: int = 0
) -> Image.Image:
    """Real clips on the left, rendered ones on the right; one row of frames at even times for each, with its name.

    Args:
        num_clips: rows at most. Rendered clips are drawn at random, from as many songs as possible.
        seed: of the draw.
    """
    left, right = list(real[:num_clips]), _spread(rendered, num_clips, seed)
    size = real[0].sheet_SHWC.shape[1]
    row_width, row_height = SHEET_FRAMES * size, _CAPTION_HEIGHT + size + _GAP
    sheet = Image.new("RGB", (2 * row_width + 3 * _GAP, max(len(left), len(right)) * row_height + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for column, clips in enumerate((left, right)):
        for row, clip in enumerate(clips):
            x, y = _GAP + column * (row_width + _GAP), _GAP + row * row_height
            title = f"{'rendered' if column else 'real'}: {clip.name}  {clip.num_frames} frames, {clip.seconds:.1f} s"
            draw.text((x, y - 1), title, "black", font)
            frames = Image.fromarray(np.concatenate(list(clip.sheet_SHWC), axis=1))
            sheet.paste(frames, (x, y + _CAPTION_HEIGHT))
    return sheet


def _spread(clips: Sequence[MeasuredClip], number: int, seed: int) -> list[MeasuredClip]:
    """`number` clips at random, one of each source before a second one of any."""
    order = np.random.default_rng(seed).permutation(len(clips))
    taken: dict[str, int] = {}
    ranked: list[tuple[int, int]] = []
    for place, index in enumerate(order):
        source = clips[index].source
        ranked.append((taken.get(source, 0), place))
        taken[source] = taken.get(source, 0) + 1
    return [clips[order[place]] for _, place in sorted(ranked)[:number]]
