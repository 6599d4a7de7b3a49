"""The records that the stages exchange, in pipeline order.

All are frozen, keyword-only and slotted. Conventions:

* Field names contain their units.
* Times are seconds from the start of the source video (presentation time 0 of its first video frame).
* Intervals are half-open: ``[start, end)``.
* Frame rates are exact fractions.
* Fields have the order of the columns in the parquet tables (`phonics_data.storage.tables`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

Kind = Literal["alphabet", "letter", "range"]
"""Content of a source video: the whole alphabet, one letter, or a range of letters."""

FetchStatus = Literal["ok", "gone", "blocked", "failed", "invalid", "skipped"]
CaptionKind = Literal["manual", "auto", "file"]
Origin = Literal["manual_captions", "auto_captions", "google", "whisper", "file", "none"]
Timing = Literal["native", "interpolated", "aligned"]
ObjectWordSource = Literal["words", "screen", ""]
"""Where an object word was found: in the words (captions or speech recognition), or as text on the screen."""
ObjectPictureSource = Literal["rendered", "change", ""]
"""Where the picture of a clip's object comes from: ``rendered`` exactly from the truth of a rendered song, ``change`` from the region of
lasting change of the frames; empty without a picture."""
NoPictureReason = Literal[
    "too_short", "whole_picture", "nothing_came", "only_text", "not_shown", "unreadable_table", "not_searched", ""
]
"""Why a clip has no object picture; empty if there is one.

* ``too_short``: too few frames.
* ``whole_picture``: the whole picture changes, by a cut or by a movement of the camera that cannot be undone.
* ``nothing_came``: nothing comes and stays. ``only_text``: only text does.
* ``not_shown``: of a rendered song, and its object is not in the clip.
* ``unreadable_table``: of a rendered song whose table of pictures is damaged, or of another release.
* ``not_searched``: ``--no-object-pictures``.
"""
Split = Literal["train", "validation", "test", "unseen-styles"]
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
    "unsupported",
    "too_large",
    "bad_name",
    "no_label",
    # transcribe
    "no_transcript",
    "captions_unreadable",
    "recognition_failed",
    "wrong_language",
    # segment
    "not_an_alphabet_song",
    "no_letters",
    "letter_not_found",
    "too_short",
    "dropped_in_review",
    "review_not_applied",
    # shard
    "no_frames",
    "static_picture",
    "black",
    "channels_cancel",
    "silent",
    "clipped_sound",
    "near_duplicate",
    "letterboxed",
    "letter_not_visible",
    "low_confidence",
    "damaged_frames",
    "missing_frames",
    "missing_sound",
    "unused_sound",
    "worker_died",
]
"""Why an item was rejected; also the reasons in rejections.parquet, the report and docs/pipeline.md."""

REASONS: tuple[str, ...] = get_args(Reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceVideo:
    """One row of a manifest: a video that can be fetched."""

    video_id: str
    url: str
    """http(s) address, or the path of a local file."""
    title: str = ""
    channel: str = ""
    kind: Kind = "alphabet"
    letters: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    """Letters of the video according to the manifest, upper case, in order of appearance."""
    language: str = "en"
    tier: int = 1
    """Evidence that the row is correct: 1 strong, 2 a maintained list or several lists with equal entries, 3 one list."""
    duration_seconds: float | None = None
    """Duration according to the manifest; None if unknown."""
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Captions:
    """The caption file of a fetched video."""

    track: str
    """Language code of the caption track, as its source names it: ``en``, ``en-orig``, ``en-GB``."""
    kind: CaptionKind
    path: str
    """Relative to the workspace."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchedVideo:
    """A video in the workspace, complete and checked."""

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
    """Language of the speech according to the manifest; several are joined with ``/``, the most spoken one first."""
    page_language: str = ""
    """Language of the speech according to the video's page or info.json; empty if they name none."""
    kind: Kind = "alphabet"
    """`SourceVideo.kind` of the manifest row."""
    letters: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    """`SourceVideo.letters` of the manifest row."""
    group: str = ""
    """Files of one group stay in one split, e.g. all clips of one song; empty: the file is a group of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One word of a transcript. `text` is unchanged but for surrounding space, which is stripped."""

    text: str
    start_seconds: float
    end_seconds: float
    confidence: float | None = None
    """0..1, or None if the source gives no usable confidence."""
    timing: Timing = "native"
    """``native``: times from the source; ``interpolated``: distributed evenly over its caption cue; ``aligned``: times from
    forced alignment."""


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
    """One track: a letter detected by OCR at one place, from its first to its last detection."""

    video_id: str
    letter: str
    start_seconds: float
    end_seconds: float
    score: float
    box: tuple[float, float, float, float]
    """left, top, right, bottom as fractions of width and height, 0..1."""


LabelSource = Literal["folder", "csv", "grid", "vidtimit", "file_name", "screen"]
"""Where an importer found a label; ``screen``: by OCR."""

IMPORTED_EVIDENCE = frozenset({"folder", "csv", "grid", "vidtimit", "file_name"})
"""Values of `Segment.evidence` for labels that were imported with their videos."""


REVIEW_EVIDENCE = "review"
"""Value of `Segment.evidence` for a segment that a person confirmed, corrected or added."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """The interval of a source video that shows one letter: its phrase, after the length rule."""

    segment_id: str
    """``<video_id>-<start in ms, 7 digits>``"""
    video_id: str
    letter: str
    object_word: str | None
    start_seconds: float
    end_seconds: float
    rule: str
    """How the length rule made it from its phrase: ``phrase`` (as it is), ``phrase_split`` (over the maximum: divided),
    ``phrase_grown`` (under the minimum: extended into gaps) or ``phrase_lent`` (under the minimum: extended by frames of the
    phrases beside it, which keep them; more than half is its own phrase). ``given`` for labels that were imported, and for
    segments whose boundaries a person set."""
    evidence: str
    """Comma-separated sources of evidence, the leading one first: ``captions``, ``screen``, ``speech``; or ``manifest`` if
    only the manifest names the letter; or one of `IMPORTED_EVIDENCE`; or `REVIEW_EVIDENCE`."""
    confidence: float
    """0..1"""
    object_word_source: ObjectWordSource = ""
    """Empty without an object word, and for one that was imported with its video or written by a reviewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceCounts:
    """What a source holds in the interval that was asked for, against what its clip shows and plays.

    The intervals of the clip's frame rate decide: a frame is shown if it is displayed at the middle of an interval.
    """

    source_frames: int = 0
    """Frames of the source that the interval displays: those in the clip, and `dropped_frames`."""
    dropped_frames: int = 0
    """Frames of the source that no frame of the clip shows: too many for its frame rate, or with times that run backwards."""
    repeated_frames: int = 0
    """Frames of the clip that repeat the one before: too few for its frame rate, a variable rate, or a gap."""
    damaged_frames: int = 0
    """Frames of the source that do not decode, or that depend on such a frame, until the next key frame."""
    missing_video_seconds: float = 0.0
    """Part of the interval after the end of the video; the clip is shorter by it."""
    missing_audio_seconds: float = 0.0
    """Part of the clip in which the source has no audio: it starts late, ends early, has a gap or does not decode. The clip
    is silent there."""
    unused_audio_seconds: float = 0.0
    """Audio of the source that the clip leaves out: after the end of the video in the interval, before the first frame if the
    interval begins with it, or with times that run backwards."""


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
    """File name of the tar that contains the sample."""
    sha256: str
    """Of the sample's frames member followed by its audio member."""
    evidence: str
    confidence: float
    object_word_source: ObjectWordSource = ""
    """As in `Segment`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """One item that a stage rejected, and why."""

    stage: Stage
    item_id: str
    reason: Reason
    measured: float | None = None
    threshold: float | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageCount:
    """Counts of one run of a stage, for the status line and the report."""

    stage: Stage
    num_in: int
    num_kept: int
    num_rejected: int
    num_skipped: int
    """Items that an earlier run finished with the same inputs and options; also counted in num_kept or num_rejected."""
    by_reason: dict[str, int]
    wall_seconds: float
    notes: tuple[str, ...] = ()
    """Remarks for the user, one line each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrueSegment:
    """Ground truth of a rendered song: one phrase of one letter (`phonics_data.sources.synthetic.render`)."""

    video_id: str
    letter: str
    object_word: str | None
    start_seconds: float
    end_seconds: float
    words: tuple[Word, ...]
    """The words spoken in the phrase, with exact times."""


def segment_id(video_id: str, start_seconds: float) -> str:
    """`Segment.segment_id` for a segment that starts at `start_seconds`."""
    return f"{video_id}-{round(start_seconds * 1000):07d}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscriptWord:
    """One row of words.parquet: a `Word` with the properties of its transcript."""

    video_id: str
    index: int
    """Position in the transcript, from 0."""
    text: str
    start_seconds: float
    end_seconds: float
    confidence: float | None
    timing: Timing
    language: str
    origin: Origin
    engine_version: str
