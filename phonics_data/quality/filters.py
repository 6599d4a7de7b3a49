"""Quality filters: measurements of a clip, and limits on them that the user can change.

Measurements are stored with the clip, so clips are not cut again when only the limits change. All functions are pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.mono import MAX_CANCELLED_DB
from phonics_data.contract.sample import Audio, Frames
from phonics_data.errors import OptionError
from phonics_data.storage.toml_file import read_toml
from phonics_data.types import Reason, SourceCounts

BAR_LEVEL = 24
"""Maximum luma of black bars, 0..255; coded black is noisy, and 16 in some files."""

QUIETEST_DBFS = -120.0
"""Level of digital silence, so that every measurement is finite."""


MIN_CONFIDENCE = 0.25
"""Default of `FilterOptions.min_confidence`: the largest one that keeps 98 % of the right segments of real songs
(docs/segmentation.md). Labels that were imported have confidence 1."""

INCOMPLETE: frozenset[Reason] = frozenset({"damaged_frames", "missing_frames", "missing_sound", "unused_sound"})
"""Filters of `SourceCounts`: what a clip lacks of its source."""

WHOLE_SHARE = 0.95
"""Share of a letter's box inside the picture from which the letter is whole; boxes are accurate to a few pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipMeasurements:
    """Measurements of one clip; columns of metadata.parquet."""

    moving_share: float
    """Share of pixels whose luma varies by more than 16 of 255 levels over the clip, 0..1."""
    bright_level: float
    """99th percentile of luma over all pixels of all frames, 0..255."""
    loudness_dbfs: float
    """RMS of the loudest 100 ms, decibels below full scale; -120 for digital silence."""
    clipped_share: float
    """Share of audio samples at full scale, 0..1."""
    bar_share: float
    """Share of the frame covered by black bars at opposite edges during the whole clip, 0..1."""
    cancelled_db: float = 0.0
    """How much quieter the mono sound is than the loudest channel of the source in the quarter of it that loses most, because its channels
    cancel each other, in dB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterHit:
    """One filter that a clip fails."""

    reason: Reason
    measured: float
    threshold: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterOptions:
    """Limits of the filters, and whether a hit drops or only flags the clip.

    * Hits of some filters drop the clip only if their `drop_` option is set, and flag it in metadata.parquet
      otherwise: still images are useful for some models, a dark background looks like bars, and OCR misses letters.
      `drop_incomplete` is for what the clip lacks of its source.
    * A near duplicate of a clip from another source is dropped unless `drop_near_duplicates` is off; one of the same
      source is flagged.
    * Hits of all other filters drop the clip.
    """

    min_seconds: float = 0.2
    min_moving_share: float = 0.01
    min_bright_level: float = 32.0
    min_loudness_dbfs: float = -50.0
    max_clipped_share: float = 0.05
    min_confidence: float = MIN_CONFIDENCE
    max_bar_share: float = 0.15
    """Not applied with ``--fit pad``, which adds bars."""
    min_letter_seen_share: float = 0.05
    """Applied only if OCR read the screen of the source."""
    max_damaged_frames: int = 0
    max_missing_seconds: float = 0.1
    """Of the interval that was asked for: video after its end, sound that the source does not have, and sound that the clip
    leaves out. Real files have up to .063 s of each, because streams end at the end of a frame or packet."""
    drop_static: bool = False
    drop_letterboxed: bool = False
    drop_letter_not_visible: bool = False
    drop_incomplete: bool = False
    max_image_hash_bits: int = 16
    """Maximum number of different bits of the image hashes of near duplicates (`phonics_data.quality.near_duplicates`)."""
    max_audio_hash_bits: int = 6
    drop_near_duplicates: bool = True

    def __post_init__(self) -> None:
        ranges = {
            "min_seconds": (0.0, 3600.0),
            "min_moving_share": (0.0, 1.0),
            "min_bright_level": (0.0, 255.0),
            "min_loudness_dbfs": (QUIETEST_DBFS, 0.0),
            "max_clipped_share": (0.0, 1.0),
            "min_confidence": (0.0, 1.0),
            "max_bar_share": (0.0, 1.0),
            "min_letter_seen_share": (0.0, 1.0),
            "max_damaged_frames": (0, 1_000_000),
            "max_missing_seconds": (0.0, 3600.0),
            "max_image_hash_bits": (0, 64),
            "max_audio_hash_bits": (0, 32),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise OptionError(f"filter {name}", getattr(self, name), f"{low:g} to {high:g}")


def read_filter_options(path: Path) -> FilterOptions:
    """Read a TOML file with the options to change, e.g. ``min_seconds = 1.0`` or ``drop_static = true``.

    Raises:
        InputError: the file is missing or not TOML.
        OptionError: an unknown option, or a value of the wrong type or out of range.
    """
    defaults = {field.name: field.default for field in fields(FilterOptions)}
    values: dict[str, Any] = {}
    for name, value in read_toml("--filters", path).items():
        if name not in defaults:
            raise OptionError(f"--filters {path}", name, f"the filter options {', '.join(defaults)}")
        expected = type(defaults[name])
        if expected is float and type(value) is int:
            value = float(value)
        if type(value) is not expected:
            raise OptionError(f"--filters {path}: {name}", value, f"a value of type {expected.__name__}")
        values[name] = value
    return FilterOptions(**values)


def measure_clip(
    frames_LHWC: Frames, audio_N: Audio, audio_rate_hz: int, *, cancelled_db: float = 0.0
) -> ClipMeasurements:
    """Measure one clip.

    Args:
        cancelled_db: as `phonics_data.contract.mono.cancelled_db`.
        frames_LHWC: uint8 RGB, L >= 1.
        audio_N: float32 mono in [-1, 1].
    """
    luma_LHW = _luma(frames_LHWC)
    return ClipMeasurements(
        moving_share=float(np.mean(luma_LHW.max(axis=0) - luma_LHW.min(axis=0) > 16)),
        bright_level=_percentile(luma_LHW, 0.99),
        loudness_dbfs=_loudness_dbfs(audio_N, audio_rate_hz),
        clipped_share=float(np.mean(np.abs(audio_N) >= 0.999)) if audio_N.size else 0.0,
        bar_share=_bar_share(luma_LHW.max(axis=0)),
        cancelled_db=cancelled_db,
    )


def apply_filters(
    measurements: ClipMeasurements,
    duration_seconds: float,
    confidence: float,
    options: FilterOptions,
    *,
    letter_seen_share: float | None = None,
    counts: SourceCounts | None = None,
) -> tuple[FilterHit, ...]:
    """All filters that the clip fails; those that always drop it are first.

    Args:
        letter_seen_share: share of the clip's duration during which its letter was whole in the picture, by OCR, 0..1;
            None if OCR did not read the screen.
        counts: what the source holds against the clip; None: not known.
    """
    counts = counts or SourceCounts()
    hits = (
        _below("too_short", duration_seconds, options.min_seconds),
        _below("black", measurements.bright_level, options.min_bright_level),
        _above("channels_cancel", measurements.cancelled_db, MAX_CANCELLED_DB),
        _below("silent", measurements.loudness_dbfs, options.min_loudness_dbfs),
        _above("clipped_sound", measurements.clipped_share, options.max_clipped_share),
        _below("low_confidence", confidence, options.min_confidence),
        _below("static_picture", measurements.moving_share, options.min_moving_share),
        _above("letterboxed", measurements.bar_share, options.max_bar_share),
        _below("letter_not_visible", letter_seen_share, options.min_letter_seen_share),
        _above("damaged_frames", counts.damaged_frames, options.max_damaged_frames),
        _above("missing_frames", counts.missing_video_seconds, options.max_missing_seconds),
        _above("missing_sound", counts.missing_audio_seconds, options.max_missing_seconds),
        _above("unused_sound", counts.unused_audio_seconds, options.max_missing_seconds),
    )
    return tuple(hit for hit in hits if hit is not None)


def is_dropped(hit: FilterHit, options: FilterOptions) -> bool:
    """Whether `hit` drops its clip; otherwise it flags it."""
    optional: dict[Reason, bool] = {
        "static_picture": options.drop_static,
        "letterboxed": options.drop_letterboxed,
        "letter_not_visible": options.drop_letter_not_visible,
        **dict.fromkeys(INCOMPLETE, options.drop_incomplete),
    }
    return optional.get(hit.reason, True)


def visible_share(start_seconds: float, end_seconds: float, intervals: Iterable[tuple[float, float]]) -> float:
    """Share of ``[start, end)`` covered by the union of `intervals` (start, end), 0..1."""
    covered, reached = 0.0, start_seconds
    for low, high in sorted(intervals):
        low, high = max(low, reached), min(high, end_seconds)
        if low < high:
            covered += high - low
            reached = high
    return covered / (end_seconds - start_seconds) if end_seconds > start_seconds else 0.0


def shown_share(box: Sequence[float], picture: Sequence[float]) -> float:
    """Share of a box's area inside the part of the frame that a picture shows, 0..1.

    Args:
        box, picture: left, top, right, bottom, in the same unit.
    """
    area = (box[2] - box[0]) * (box[3] - box[1])
    width = min(box[2], picture[2]) - max(box[0], picture[0])
    height = min(box[3], picture[3]) - max(box[1], picture[1])
    return max(width, 0.0) * max(height, 0.0) / area if area > 0 else 0.0


def _below(reason: Reason, measured: float | None, threshold: float) -> FilterHit | None:
    if measured is None or measured >= threshold:
        return None
    return FilterHit(reason=reason, measured=measured, threshold=threshold)


def _above(reason: Reason, measured: float, threshold: float) -> FilterHit | None:
    return FilterHit(reason=reason, measured=measured, threshold=threshold) if measured > threshold else None


def _luma(frames_LHWC: Frames) -> NDArray[np.uint8]:
    """BT.601 luma in integer arithmetic, for speed."""
    luma = frames_LHWC[..., 0] * np.uint16(77)
    luma += frames_LHWC[..., 1] * np.uint16(150)
    luma += frames_LHWC[..., 2] * np.uint16(29)
    return (luma >> 8).astype(np.uint8)


def _percentile(levels: NDArray[np.uint8], share: float) -> float:
    """The lowest level that at least `share` of the values do not exceed."""
    low, high = 0, 255
    while low < high:  # bisection: eight counts are faster than a histogram
        middle = (low + high) // 2
        if np.count_nonzero(levels <= middle) >= share * levels.size:
            high = middle
        else:
            low = middle + 1
    return float(low)


def _bar_share(brightest_HW: NDArray[np.uint8]) -> float:
    """Only bars at two opposite edges count; a dark area at one edge, or a dark frame, is image content."""
    lit_HW = brightest_HW > BAR_LEVEL
    return 1 - _inner_share(lit_HW, 0) * _inner_share(lit_HW, 1)


def _inner_share(lit_HW: NDArray[np.bool_], axis: int) -> float:
    """Share of an axis that remains without two bars of the size of its smaller dark end, 0..1."""
    where, size = np.flatnonzero(lit_HW.any(axis=1 - axis)), lit_HW.shape[axis]
    return 1 - 2 * min(int(where[0]), size - 1 - int(where[-1])) / size if where.size else 1.0


def _loudness_dbfs(audio_N: Audio, audio_rate_hz: int) -> float:
    block = max(1, audio_rate_hz // 10)
    if not audio_N.size:
        return QUIETEST_DBFS
    padded = np.pad(audio_N.astype(np.float64), (0, -audio_N.size % block))
    loudest = float(np.square(padded).reshape(-1, block).mean(axis=1).max())
    return max(QUIETEST_DBFS, 10 * float(np.log10(loudest))) if loudest > 0 else QUIETEST_DBFS
