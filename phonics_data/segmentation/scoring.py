"""Scores found segments against the ground truth: precision, recall, F1, boundary errors, calibration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.untrusted import read_text, seconds_of_text
from phonics_data.errors import InputError
from phonics_data.segmentation.length import are_parts
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.types import Segment, TrueSegment


class TimedLetter(Protocol):
    """Fields that scoring needs; `Segment` and `TrueSegment` have them."""

    @property
    def video_id(self) -> str: ...
    @property
    def letter(self) -> str: ...
    @property
    def start_seconds(self) -> float: ...
    @property
    def end_seconds(self) -> float: ...


Found = TypeVar("Found", bound=TimedLetter)
Truth = TypeVar("Truth", bound=TimedLetter)


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentScore:
    """How well found segments match the ground truth.

    Args:
        num_found: segments found in the videos of the ground truth; the segments of a divided phrase count as one.
        num_truth: true segments.
        num_matched: pairs of one found and one true segment of the same letter with IoU at or above the threshold.
        precision, recall, f1: 0..1; 0 without found or without true segments.
        median_boundary_error_seconds, p90_boundary_error_seconds: over the starts and ends of all matched
            pairs; NaN without any.
    """

    num_found: int
    num_truth: int
    num_matched: int
    precision: float
    recall: float
    f1: float
    median_boundary_error_seconds: float
    p90_boundary_error_seconds: float


def iou(one: TimedLetter, other: TimedLetter) -> float:
    """Intersection over union of two time intervals, 0..1."""
    shared = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
    joined = max(one.end_seconds, other.end_seconds) - min(one.start_seconds, other.start_seconds)
    return max(shared, 0.0) / joined if joined > 0 else 0.0


def join_split_segments(segments: Iterable[Segment]) -> list[Segment]:
    """The segments, where those that the length rule made of one phrase are joined."""
    joined: list[Segment] = []
    for segment in sorted(segments, key=lambda segment: (segment.video_id, segment.start_seconds)):
        last = joined[-1] if joined else None
        if last is not None and are_parts(last, segment):
            joined[-1] = replace(last, end_seconds=segment.end_seconds)
        else:
            joined.append(segment)
    return joined


def matched_pairs(found: Sequence[Found], truth: Sequence[Truth], min_iou: float) -> list[tuple[Found, Truth]]:
    """One-to-one pairs of the same video and letter with IoU >= `min_iou`: the most pairs, then the largest overlap."""
    from scipy.optimize import linear_sum_assignment

    truth_by_key: dict[tuple[str, str], list[Truth]] = defaultdict(list)
    found_by_key: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for true_segment in truth:
        truth_by_key[true_segment.video_id, true_segment.letter].append(true_segment)
    for segment in found:
        found_by_key[segment.video_id, segment.letter].append(segment)
    pairs: list[tuple[Found, Truth]] = []
    for key, segments in found_by_key.items():
        true_segments = truth_by_key.get(key, [])
        overlap: NDArray[np.float64] = np.array([[iou(one, other) for other in true_segments] for one in segments])
        if not overlap.size:
            continue
        # The 1 for a pair outweighs all differences in overlap.
        value = np.where(overlap >= min_iou, 1.0 + overlap / (1 + overlap.size), 0.0)
        rows, columns = linear_sum_assignment(value, maximize=True)
        pairs.extend(
            (segments[row], true_segments[column])
            for row, column in zip(rows, columns, strict=True)
            if value[row, column] > 0
        )
    return pairs


def score_segments(found: Sequence[Segment], truth: Sequence[TimedLetter], iou: float = 0.5) -> SegmentScore:
    """Score the segments of the videos in `truth`; segments of other videos are ignored.

    Args:
        found: segments after the length rule; those of divided phrases are joined first.
        truth: true segments.
        iou: intersection over union from which a segment is right.
    """
    videos = {segment.video_id for segment in truth}
    whole = [segment for segment in join_split_segments(found) if segment.video_id in videos]
    pairs = matched_pairs(whole, truth, iou)
    errors = [
        abs(one - other)
        for segment, true_segment in pairs
        for one, other in (
            (segment.start_seconds, true_segment.start_seconds),
            (segment.end_seconds, true_segment.end_seconds),
        )
    ]
    precision = len(pairs) / len(whole) if whole else 0.0
    recall = len(pairs) / len(truth) if truth else 0.0
    return SegmentScore(
        num_found=len(whole),
        num_truth=len(truth),
        num_matched=len(pairs),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if pairs else 0.0,
        median_boundary_error_seconds=float(np.median(errors)) if errors else float("nan"),
        p90_boundary_error_seconds=float(np.quantile(errors, 0.9)) if errors else float("nan"),
    )


def calibration_error(
    found: Sequence[Segment], truth: Sequence[TimedLetter], iou: float = 0.5, num_bins: int = 10
) -> float:
    """Expected calibration error, 0..1: difference of confidence and fraction of right segments, in bins of confidence.

    The mean over bins of equal width, weighted by their segments (Naeini, Cooper and Hauskrecht, AAAI 2015). NaN without segments.
    """
    segments = join_split_segments(found)
    if not segments:
        return float("nan")
    right = {id(segment) for segment, _ in matched_pairs(segments, truth, iou)}
    confidence_N = np.array([segment.confidence for segment in segments])
    is_right_N = np.array([id(segment) in right for segment in segments])
    return expected_calibration_error(confidence_N, is_right_N, num_bins)


def expected_calibration_error(
    confidence_N: NDArray[np.float64], is_right_N: NDArray[np.bool_], num_bins: int = 10
) -> float:
    """`calibration_error` of segments of which it is known whether they are right; NaN without segments."""
    if not confidence_N.size:
        return float("nan")
    bin_N = np.minimum((confidence_N * num_bins).astype(np.int64), num_bins - 1)
    gap_N = confidence_N - is_right_N
    return sum(abs(float(gap_N[bin_N == one].sum())) for one in np.unique(bin_N)) / confidence_N.size


_MAX_TRUTH_BYTES = 4_000_000


def read_truth_table(path: Path, video_id: str) -> list[TrueSegment]:
    """The segments of a ground-truth file: lines of letter, start and end in seconds; ``#`` begins a comment.

    Raises:
        InputError: a line is not letter, start, end; or its start is not before its end.
    """
    segments: list[TrueSegment] = []
    try:
        lines = read_text(path, _MAX_TRUTH_BYTES).splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; allowed: lines of letter, start and end in seconds") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        try:
            letter, start, end = fields[0].upper(), seconds_of_text(fields[1]), seconds_of_text(fields[2])
        except (IndexError, ValueError):
            letter, start, end = "", 0.0, 0.0
        if letter not in LETTERS or len(letter) != 1 or not 0 <= start < end:
            raise InputError(f"{path}: line {number}: {line.strip()!r}, allowed: letter, start and end in seconds")
        segments.append(true_segment(video_id, {"letter": letter, "start_seconds": start, "end_seconds": end}))
    return segments


def true_segment(video_id: str, row: Mapping[str, Any]) -> TrueSegment:
    return TrueSegment(
        video_id=video_id,
        letter=row["letter"],
        object_word=None,
        start_seconds=row["start_seconds"],
        end_seconds=row["end_seconds"],
        words=(),
    )
