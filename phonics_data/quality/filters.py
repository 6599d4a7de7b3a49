"""What makes a clip bad: measured on every clip, judged by rules whose limits the user may set.

Measuring and judging are apart, so that other limits need no new cutting. All functions are pure.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.sample import Audio, Frames
from phonics_data.errors import InputError, OptionError
from phonics_data.types import Reason

BAR_LEVEL = 24
"""Luma up to which the rows and columns of a bar may go: coded black is noisy, and 16 in some files."""

QUIETEST_DBFS = -120.0
"""What digital silence counts as, so that every measure is a finite number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """What was measured on one clip; columns of metadata.parquet."""

    moving_share: float
    """Share of the pixels whose luma segments more than 16 of 255 levels over the clip, 0..1."""
    bright_level: float
    """99th percentile of luma over all pixels of all frames, 0..255."""
    loudness_dbfs: float
    """RMS of the loudest 100 ms, decibels below full scale; -120 in digital silence."""
    clipped_share: float
    """Share of the sound's samples at full scale, 0..1."""
    bar_share: float
    """Share of the picture that lies in black bars along opposite edges over the whole clip, 0..1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterHit:
    """One rule that a clip breaks."""

    reason: Reason
    measured: float
    threshold: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterOptions:
    """The limits.

    A clip that breaks a rule is left out, but for three rules only when their `drop_` says so: otherwise it stays and
    is marked in metadata.parquet. Whether stills are useful depends on the model; a dark ground looks like bars; and
    who reads letters on a screen overlooks some. A near duplicate of a clip of another source is left out unless
    `drop_near_duplicates` is off; one of the same source is marked.
    """

    min_seconds: float = 0.5
    min_moving_share: float = 0.01
    min_bright_level: float = 32.0
    min_loudness_dbfs: float = -50.0
    max_clipped_share: float = 0.05
    min_confidence: float = 0.0
    max_bar_share: float = 0.15
    """Not asked where the bars are our own (``--fit pad``)."""
    min_letter_seen_share: float = 0.05
    """Asked only where the screen of the source was read."""
    drop_static: bool = False
    drop_letterboxed: bool = False
    drop_letter_not_visible: bool = False
    max_image_hash_bits: int = 16
    """Picture prints of near duplicates differ by at most so many bits (`phonics_data.quality.near_duplicates`)."""
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
            "max_image_hash_bits": (0, 64),
            "max_audio_hash_bits": (0, 32),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise OptionError(f"rule {name}", getattr(self, name), f"{low:g} to {high:g}")


def read_filter_options(path: Path) -> FilterOptions:
    """The rules of a TOML file that names those to change, e.g. ``min_seconds = 1.0`` or ``drop_static = true``.

    Raises:
        InputError: missing or no TOML.
        OptionError: an unknown rule, or a value of the wrong type or out of its range.
    """
    try:
        found = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"--filters {path}: no such file") from None
    except OSError as error:
        raise InputError(f"--filters {path}: cannot be read ({error.strerror}); wanted a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"--filters {path}: not TOML ({error})") from error
    defaults = {field.name: field.default for field in fields(FilterOptions)}
    values: dict[str, Any] = {}
    for name, value in found.items():
        if name not in defaults:
            raise OptionError(f"--filters {path}", name, f"the rules {', '.join(defaults)}")
        wanted = type(defaults[name])
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            raise OptionError(f"--filters {path}: {name}", value, f"a value of type {wanted.__name__}")
        values[name] = value
    return FilterOptions(**values)


def measure(frames_LHWC: Frames, audio_N: Audio, audio_rate_hz: int) -> Measures:
    """Measure one clip.

    Args:
        frames_LHWC: uint8 RGB, L >= 1.
        audio_N: float32 mono in [-1, 1].
    """
    luma_LHW = _luma(frames_LHWC)
    return Measures(
        moving_share=float(np.mean(luma_LHW.max(axis=0) - luma_LHW.min(axis=0) > 16)),
        bright_level=_percentile(luma_LHW, 0.99),
        loudness_dbfs=_loudness_dbfs(audio_N, audio_rate_hz),
        clipped_share=float(np.mean(np.abs(audio_N) >= 0.999)) if audio_N.size else 0.0,
        bar_share=_bar_share(luma_LHW.max(axis=0)),
    )


def judge(
    measures: Measures,
    duration_seconds: float,
    confidence: float,
    rules: FilterOptions,
    *,
    letter_seen_share: float | None = None,
) -> tuple[FilterHit, ...]:
    """Every rule that the clip breaks, those that leave it out in any case first.

    Args:
        letter_seen_share: share of the clip's time during which its letter was read on the screen, 0..1; None where
            the screen was not read.
    """
    findings = [
        _below("too_short", duration_seconds, rules.min_seconds),
        _below("black", measures.bright_level, rules.min_bright_level),
        _below("silent", measures.loudness_dbfs, rules.min_loudness_dbfs),
        _above("clipped_sound", measures.clipped_share, rules.max_clipped_share),
        _below("low_confidence", confidence, rules.min_confidence),
        _below("static_picture", measures.moving_share, rules.min_moving_share),
        _above("letterboxed", measures.bar_share, rules.max_bar_share),
        None
        if letter_seen_share is None
        else _below("letter_not_visible", letter_seen_share, rules.min_letter_seen_share),
    ]
    return tuple(finding for finding in findings if finding is not None)


def drops(finding: FilterHit, rules: FilterOptions) -> bool:
    """Whether `finding` leaves its clip out; otherwise it marks it."""
    if finding.reason == "static_picture":
        return rules.drop_static
    if finding.reason == "letterboxed":
        return rules.drop_letterboxed
    return finding.reason != "letter_not_visible" or rules.drop_letter_not_visible


def seen_share(start_seconds: float, end_seconds: float, sightings: Iterable[tuple[float, float]]) -> float:
    """Share of ``[start, end)`` that the `sightings` (start, end; they may overlap) cover together, 0..1."""
    covered, reached = 0.0, start_seconds
    for low, high in sorted(sightings):
        low, high = max(low, reached), min(high, end_seconds)
        if low < high:
            covered += high - low
            reached = high
    return covered / (end_seconds - start_seconds) if end_seconds > start_seconds else 0.0


def _below(reason: Reason, measured: float, threshold: float) -> FilterHit | None:
    return FilterHit(reason=reason, measured=measured, threshold=threshold) if measured < threshold else None


def _above(reason: Reason, measured: float, threshold: float) -> FilterHit | None:
    return FilterHit(reason=reason, measured=measured, threshold=threshold) if measured > threshold else None


def _luma(frames_LHWC: Frames) -> NDArray[np.uint8]:
    """BT.601 luma in integers: this runs over every pixel of the dataset."""
    luma = frames_LHWC[..., 0] * np.uint16(77)
    luma += frames_LHWC[..., 1] * np.uint16(150)
    luma += frames_LHWC[..., 2] * np.uint16(29)
    return (luma >> 8).astype(np.uint8)


def _percentile(levels: NDArray[np.uint8], share: float) -> float:
    """The lowest level that at least `share` of all values do not exceed."""
    low, high = 0, 255
    while low < high:  # eight quick counts instead of a histogram, which would take every value apart
        middle = (low + high) // 2
        if np.count_nonzero(levels <= middle) >= share * levels.size:
            high = middle
        else:
            low = middle + 1
    return float(low)


def _bar_share(brightest_HW: NDArray[np.uint8]) -> float:
    """Bars come in pairs: what is dark along one edge alone is the picture's own, and so is a picture dark all over."""
    lit_HW = brightest_HW > BAR_LEVEL
    return 1 - _inner_share(lit_HW, 0) * _inner_share(lit_HW, 1)


def _inner_share(lit_HW: NDArray[np.bool_], axis: int) -> float:
    """What is left of an axis without the smaller of its two dark ends and as much at the other, 0..1."""
    where, size = np.flatnonzero(lit_HW.any(axis=1 - axis)), lit_HW.shape[axis]
    return 1 - 2 * min(int(where[0]), size - 1 - int(where[-1])) / size if where.size else 1.0


def _loudness_dbfs(audio_N: Audio, audio_rate_hz: int) -> float:
    block = max(1, audio_rate_hz // 10)
    if not audio_N.size:
        return QUIETEST_DBFS
    padded = np.pad(audio_N.astype(np.float64), (0, -audio_N.size % block))
    loudest = float(np.square(padded).reshape(-1, block).mean(axis=1).max())
    return max(QUIETEST_DBFS, 10 * float(np.log10(loudest))) if loudest > 0 else QUIETEST_DBFS
