"""Found letter spans against true ones: precision, recall, F1 and boundary errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from phonics_data.errors import InputError
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.types import LetterSpan, TruthSpan


class TimedLetter(Protocol):
    """What is compared: `LetterSpan`, `TruthSpan`, or anything else with these fields."""

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
class SpanScore:
    """How well found spans match the truth.

    Args:
        num_found: spans found in the videos of the truth; the pieces of a divided phrase count as one.
        num_truth: true spans.
        num_matched: pairs of one found and one true span of the same letter with IoU at or above the threshold.
        precision, recall, f1: 0..1; 0 where nothing was found or nothing is true.
        median_boundary_error_seconds, p90_boundary_error_seconds: over the starts and ends of all matched pairs; NaN without any.
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
    """Intersection over union of two spans' seconds, 0..1."""
    shared = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
    joined = max(one.end_seconds, other.end_seconds) - min(one.start_seconds, other.start_seconds)
    return max(shared, 0.0) / joined if joined > 0 else 0.0


def whole_phrases(spans: Iterable[LetterSpan]) -> list[LetterSpan]:
    """The spans with the pieces that the length rule made of one phrase joined again."""
    joined: list[LetterSpan] = []
    for span in sorted(spans, key=lambda span: (span.video_id, span.start_seconds)):
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.rule == span.rule == "phrase_split"
            and (last.video_id, last.letter) == (span.video_id, span.letter)
            and abs(span.start_seconds - last.end_seconds) < 1e-6
        ):
            joined[-1] = replace(last, end_seconds=span.end_seconds)
        else:
            joined.append(span)
    return joined


def matched_pairs(found: Sequence[Found], truth: Sequence[Truth], min_iou: float) -> list[tuple[Found, Truth]]:
    """One-to-one pairs of the same video and letter with IoU >= `min_iou`: as many as possible, of these the best overlap."""
    from scipy.optimize import linear_sum_assignment

    truth_by_key: dict[tuple[str, str], list[Truth]] = defaultdict(list)
    found_by_key: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for true_span in truth:
        truth_by_key[true_span.video_id, true_span.letter].append(true_span)
    for span in found:
        found_by_key[span.video_id, span.letter].append(span)
    pairs: list[tuple[Found, Truth]] = []
    for key, spans in found_by_key.items():
        true_spans = truth_by_key.get(key, [])
        overlap: NDArray[np.float64] = np.array([[iou(one, other) for other in true_spans] for one in spans])
        if not overlap.size:
            continue
        # 1 for being a pair at all outweighs every difference in overlap.
        value = np.where(overlap >= min_iou, 1.0 + overlap / (1 + overlap.size), 0.0)
        rows, columns = linear_sum_assignment(value, maximize=True)
        pairs.extend(
            (spans[row], true_spans[column])
            for row, column in zip(rows, columns, strict=True)
            if value[row, column] > 0
        )
    return pairs


def score_spans(found: Sequence[LetterSpan], truth: Sequence[TimedLetter], iou: float = 0.5) -> SpanScore:
    """Scores the spans of the videos that `truth` speaks of; others are left aside.

    Args:
        found: spans of any length rule; divided phrases are joined before they are compared.
        truth: true spans.
        iou: at or above this intersection over union a span is right.
    """
    videos = {span.video_id for span in truth}
    whole = [span for span in whole_phrases(found) if span.video_id in videos]
    pairs = matched_pairs(whole, truth, iou)
    errors = [
        abs(one - other)
        for span, true_span in pairs
        for one, other in (
            (span.start_seconds, true_span.start_seconds),
            (span.end_seconds, true_span.end_seconds),
        )
    ]
    precision = len(pairs) / len(whole) if whole else 0.0
    recall = len(pairs) / len(truth) if truth else 0.0
    return SpanScore(
        num_found=len(whole),
        num_truth=len(truth),
        num_matched=len(pairs),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if pairs else 0.0,
        median_boundary_error_seconds=float(np.median(errors)) if errors else float("nan"),
        p90_boundary_error_seconds=float(np.quantile(errors, 0.9)) if errors else float("nan"),
    )


def in_order(spans: Sequence[TimedLetter]) -> bool:
    """Whether spans are sorted by time and none reaches into the next."""
    return all(one.end_seconds <= other.start_seconds + 1e-9 for one, other in pairwise(spans))


def calibration_error(
    found: Sequence[LetterSpan], truth: Sequence[TimedLetter], iou: float = 0.5, num_bins: int = 10
) -> float:
    """Expected calibration error, 0..1: how far confidence and the share of right spans lie apart, in bins of confidence.

    The mean over bins of equal width, weighted by their spans (Naeini, Cooper and Hauskrecht, AAAI 2015). NaN without spans.
    """
    spans = whole_phrases(found)
    if not spans:
        return float("nan")
    right = {id(span) for span, _ in matched_pairs(spans, truth, iou)}
    claimed = np.array([span.confidence for span in spans])
    is_right = np.array([id(span) in right for span in spans], np.float64)
    bins = np.minimum((claimed * num_bins).astype(np.int64), num_bins - 1)
    gaps = [abs(float((claimed - is_right)[bins == one].sum())) for one in np.unique(bins)]
    return sum(gaps) / len(spans)


def read_truth_table(path: Path, video_id: str) -> list[TruthSpan]:
    """The spans of a truth file: lines of letter, start and end in seconds; ``#`` begins a comment.

    Raises:
        InputError: a line is not letter, start, end; or its times do not rise.
    """
    spans: list[TruthSpan] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        try:
            letter, start, end = fields[0].upper(), float(fields[1]), float(fields[2])
        except (IndexError, ValueError):
            letter, start, end = "", 0.0, 0.0
        if letter not in LETTERS or len(letter) != 1 or not 0 <= start < end:
            raise InputError(f"{path}: line {number}: {line.strip()!r}, allowed: letter, start and end in seconds")
        spans.append(truth_span(video_id, {"letter": letter, "start_seconds": start, "end_seconds": end}))
    return spans


def truth_span(video_id: str, row: Mapping[str, Any]) -> TruthSpan:
    return TruthSpan(
        video_id=video_id,
        letter=row["letter"],
        object_word=None,
        start_seconds=row["start_seconds"],
        end_seconds=row["end_seconds"],
        words=(),
    )
