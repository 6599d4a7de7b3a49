"""The records that travel through the house, in the order in which they come to be.

All are frozen, keyword-only and slotted. Units stand in the names; times are seconds from the start of the source
video (presentation time 0 of its first video frame); ranges are half-open ``[start, end)``; frame rates are exact
fractions. The order of fields is the order of columns in the parquet tables (`phonics_data.storage.tables`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

Kind = Literal["alphabet", "letter", "range"]
"""What a source video holds: the whole alphabet, one letter, or a stretch of letters."""

FetchStatus = Literal["ok", "gone", "blocked", "failed", "invalid", "skipped"]
CaptionKind = Literal["manual", "auto", "file"]
Origin = Literal["manual_captions", "auto_captions", "google", "whisper", "file", "none"]
Timing = Literal["native", "interpolated", "aligned"]
Split = Literal["train", "validation", "test"]
Stage = Literal["fetch", "transcribe", "segment", "shard"]

Reason = Literal[
    # fetch
    "gone",
    "blocked",
    "fetch_failed",
    "file_missing",
    "not_a_video",
    "no_video_stream",
    "no_audio_stream",
    "duration_mismatch",
    "does_not_decode",
    "too_long_source",
    # transcribe
    "no_transcript",
    "captions_unreadable",
    "recognition_failed",
    "wrong_language",
    # segment
    "not_an_alphabet_song",
    "no_letters",
    "letter_not_announced",
    "too_short",
    "too_long",
    # shard
    "decode_failed",
    "no_frames",
    "static_picture",
    "black",
    "silent",
    "clipped_sound",
    "near_duplicate",
    "letterboxed",
    "letter_not_visible",
    "low_confidence",
    "worker_died",
]
"""Why an item was left out. The same words stand in rejections.parquet, the report and docs/pipeline.md."""

REASONS: tuple[str, ...] = get_args(Reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceVideo:
    """One row of a manifest: a video that somebody could fetch."""

    video_id: str
    url: str
    """http(s) address, or the path of a local file."""
    title: str = ""
    channel: str = ""
    kind: Kind = "alphabet"
    letters: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    """The letters that the video is said to hold, upper case, in the video's order."""
    language: str = "en"
    tier: int = 1
    """Strength of the evidence that the row is what it claims: 1 strong, 2 agreeing lists, 3 one list."""
    duration_seconds: float | None = None
    """How long the video is said to last; None where nobody said."""
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Captions:
    """One caption file that lies beside a fetched video."""

    track: str
    """Language code of the track as its source names it: ``en``, ``en-orig``, ``en-GB``."""
    kind: CaptionKind
    path: str
    """Relative to the workspace."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchedVideo:
    """A video that lies in the workspace, whole and checked."""

    video_id: str
    path: str
    """Media file, relative to the workspace."""
    sha256: str
    num_bytes: int
    duration_seconds: float
    frame_rate: Fraction
    width: int
    height: int
    audio_rate_hz: int
    captions: Captions | None
    fetched_at: str
    """UTC, ISO 8601, whole seconds."""
    fetcher_version: str
    language: str = "en"
    """Of the speech, as the manifest says; several are joined with ``/``, the one that is spoken most first."""
    page_language: str = ""
    """Of the speech, as the video's page or info.json says; empty where they say nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One word of a transcript. `text` is as written, stripped of surrounding space."""

    text: str
    start_seconds: float
    end_seconds: float
    confidence: float | None = None
    """0..1, or None where the source gives none that can be used."""
    timing: Timing = "native"
    """native: the source timed this word; interpolated: spread over its cue by us; aligned: moved by a refiner."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """All words of one video, in time order."""

    video_id: str
    language: str
    origin: Origin
    engine_version: str
    words: tuple[Word, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenLetter:
    """One letter read on the screen, from its first to its last sight."""

    video_id: str
    letter: str
    start_seconds: float
    end_seconds: float
    score: float
    box: tuple[float, float, float, float]
    """left, top, right, bottom as shares of width and height, 0..1."""


GIVEN_EVIDENCE = frozenset({"folder", "csv", "grid", "vidtimit"})
"""What labels rest on that came with their media and were not found by program."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """The seconds of a source video that show one letter: its whole phrase, after the length rule."""

    segment_id: str
    """``<video_id>-<start in ms, 7 digits>``"""
    video_id: str
    letter: str
    object_word: str | None
    start_seconds: float
    end_seconds: float
    rule: str
    """Which rule made the segment: ``phrase``, ``phrase_split`` (was over the maximum), ``phrase_grown`` (was under the minimum)."""
    evidence: str
    """Comma-separated sources of evidence that were used, the leader first: ``captions``, ``screen``, ``speech``; or
    one of `GIVEN_EVIDENCE`."""
    confidence: float
    """0..1"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One clip of the dataset: one row of metadata.parquet, one sample of a shard."""

    sample_id: str
    video_id: str
    segment_id: str
    label: str
    label_set: str
    object_word: str | None
    start_seconds: float
    end_seconds: float
    num_frames: int
    frame_rate: Fraction
    num_audio_samples: int
    audio_rate_hz: int
    width: int
    height: int
    split: Split
    shard: str
    """File name of the tar that holds the sample."""
    sha256: str
    """Over the sample's frames and audio members, in this order."""
    evidence: str
    confidence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """One item that a stage left out, and why."""

    stage: Stage
    item_id: str
    reason: Reason
    measured: float | None = None
    threshold: float | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageCount:
    """What one run of a stage did, for the status line and the report."""

    stage: Stage
    num_in: int
    num_kept: int
    num_rejected: int
    num_skipped: int
    """Items that an earlier run had finished with the same inputs and options; they are part of num_kept or num_rejected too."""
    by_reason: dict[str, int]
    wall_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TrueSegment:
    """What a rendered song truly holds: one phrase of one letter (`phonics_data.sources.synthetic.render`)."""

    video_id: str
    letter: str
    object_word: str | None
    start_seconds: float
    end_seconds: float
    words: tuple[Word, ...]
    """The words that are spoken inside the phrase, with exact times."""


def segment_id(video_id: str, start_seconds: float) -> str:
    """`Segment.segment_id` for a segment that starts at `start_seconds`."""
    return f"{video_id}-{round(start_seconds * 1000):07d}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscriptWord:
    """One row of words.parquet: a `Word` with the transcript that it belongs to."""

    video_id: str
    index: int
    """Place in the transcript, from 0."""
    text: str
    start_seconds: float
    end_seconds: float
    confidence: float | None
    timing: Timing
    language: str
    origin: Origin
    engine_version: str
