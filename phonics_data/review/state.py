"""The segments of one video while they are reviewed: from decisions to the page's state and back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from phonics_data.contract.labels import LETTERS
from phonics_data.errors import UsageError
from phonics_data.segmentation.reviewed import undecided
from phonics_data.storage.reviews import Interval, Review, word_fault
from phonics_data.types import Segment

MAX_SEGMENTS = 1000


class StateError(UsageError):
    """The page sent a state that is not valid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageSegment:
    """One segment as the page shows and changes it.

    Args:
        before: the automatic segment that it comes from; None if it was added.
        is_decided: a person confirmed, changed or added it.
        confidence: of the automatic segment; 1 if it is decided.
        evidence: of the automatic segment; ``review`` if it is decided.
    """

    interval: Interval
    word: str
    before: Interval | None
    is_decided: bool
    confidence: float
    evidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PageState:
    """All segments of a video, in time order, and its dropped automatic segments."""

    segments: tuple[PageSegment, ...]
    dropped: tuple[Interval, ...]
    is_complete: bool


def interval_of(segment: Segment) -> Interval:
    """The interval of a segment, in milliseconds as in reviews.csv."""
    return Interval(
        letter=segment.letter,
        start_seconds=round(segment.start_seconds, 3),
        end_seconds=round(segment.end_seconds, 3),
    )


def page_state(automatic: Sequence[Segment], rows: Sequence[Review]) -> PageState:
    """The state after the decisions `rows`."""
    segments = [
        PageSegment(
            interval=row.after, word=row.word, before=row.before, is_decided=True, confidence=1.0, evidence="review"
        )
        for row in rows
        if row.after is not None
    ]
    left, _ = undecided(automatic, rows)
    segments += [
        PageSegment(
            interval=interval_of(one),
            word=one.object_word or "",
            before=interval_of(one),
            is_decided=False,
            confidence=one.confidence,
            evidence=one.evidence,
        )
        for one in left
    ]
    segments.sort(key=lambda one: (one.interval.start_seconds, one.interval.end_seconds))
    dropped = tuple(row.before for row in rows if row.decision == "drop" and row.before is not None)
    return PageState(
        segments=tuple(segments), dropped=dropped, is_complete=any(row.decision == "complete" for row in rows)
    )


def decisions(
    state: PageState, earlier: Sequence[Review], *, video_id: str, sha256: str, reviewer: str, at: str, version: str
) -> list[Review]:
    """The rows of reviews.csv for a state. Decisions that were made earlier keep their reviewer and time."""
    known = {_what(row): row for row in earlier if row.sha256 == sha256}
    rows: list[Review] = []

    def add(row: Review) -> None:
        rows.append(known.get(_what(row), row))

    plain = Review(
        video_id=video_id, sha256=sha256, decision="complete", reviewer=reviewer, reviewed_at=at, tool_version=version
    )
    if state.is_complete:
        add(plain)
    for one in state.segments:
        if one.is_decided:
            decision = "add" if one.before is None else "keep" if one.before == one.interval else "change"
            add(replace(plain, decision=decision, before=one.before, after=one.interval, word=one.word))
    for interval in state.dropped:
        add(replace(plain, decision="drop", before=interval))
    return rows


def _what(row: Review) -> tuple[object, ...]:
    return row.decision, row.before, row.after, row.word


def state_to_plain(state: PageState) -> dict[str, Any]:
    """A state as JSON values."""
    return {
        "segments": [
            {
                "letter": one.interval.letter,
                "word": one.word,
                "start": one.interval.start_seconds,
                "end": one.interval.end_seconds,
                "before": None if one.before is None else _plain(one.before),
                "decided": one.is_decided,
                "confidence": round(one.confidence, 3),
                "evidence": one.evidence,
            }
            for one in state.segments
        ],
        "dropped": [_plain(one) for one in state.dropped],
        "complete": state.is_complete,
    }


def _plain(interval: Interval) -> list[str | float]:
    return [interval.letter, interval.start_seconds, interval.end_seconds]


def state_from_plain(plain: Mapping[str, Any], duration_seconds: float) -> PageState:
    """The state that a page sent.

    Raises:
        StateError: a value is missing, of another type or out of range; the message names it.
    """
    segments: list[PageSegment] = []
    starts: set[float] = set()
    for number, item in enumerate(_list(plain, "segments"), start=1):
        where = f"segment {number}"
        if not isinstance(item, dict):
            raise StateError(f"{where}: allowed: an object")
        one = cast("Mapping[str, Any]", item)
        interval = _interval([one.get("letter"), one.get("start"), one.get("end")], where, duration_seconds)
        word, before = one.get("word"), one.get("before")
        if not isinstance(word, str) or word_fault(word):
            raise StateError(f"{where}: word: {word_fault(word) if isinstance(word, str) else 'allowed: text'}")
        if interval.start_seconds in starts:
            raise StateError(
                f"{where}: starts at {interval.start_seconds:.3f} s as another one; move or drop one of them"
            )
        starts.add(interval.start_seconds)
        is_decided = one.get("decided") is True
        confidence = one.get("confidence")
        segments.append(
            PageSegment(
                interval=interval,
                word=word,
                before=None if before is None else _interval(before, f"{where}, before", None),
                is_decided=is_decided,
                confidence=float(confidence) if isinstance(confidence, int | float) and 0 <= confidence <= 1 else 0.0,
                evidence="review" if is_decided else str(one.get("evidence", ""))[:40],
            )
        )
    dropped = [_interval(item, "dropped", None) for item in _list(plain, "dropped")]
    unique = tuple(dict.fromkeys(dropped))
    return PageState(segments=tuple(segments), dropped=unique, is_complete=plain.get("complete") is True)


def _list(plain: Mapping[str, Any], name: str) -> Iterable[object]:
    value = plain.get(name)
    if not isinstance(value, list) or len(cast("list[object]", value)) > MAX_SEGMENTS:
        raise StateError(f"{name}: allowed: a list of up to {MAX_SEGMENTS}")
    return cast("list[object]", value)


def _interval(value: object, where: str, duration_seconds: float | None) -> Interval:
    """An interval from [letter, start, end]."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    if len(items) != 3:
        raise StateError(f"{where}: allowed: letter, start and end")
    letter, start, end = items
    if letter not in LETTERS.names:
        raise StateError(f"{where}: got letter {str(letter)[:40]!r}, allowed: A to Z")
    if any(isinstance(time, bool) or not isinstance(time, int | float) for time in (start, end)):
        raise StateError(f"{where}: allowed: start and end in seconds")
    low, high = round(float(cast("float", start)), 3), round(float(cast("float", end)), 3)
    last = 43_200.0 if duration_seconds is None else duration_seconds + 0.001
    if not 0 <= low < high <= last:
        raise StateError(f"{where}: got {low:g} to {high:g} s, allowed: start before end, in 0 to {last:.2f} s")
    return Interval(letter=str(letter), start_seconds=low, end_seconds=high)
