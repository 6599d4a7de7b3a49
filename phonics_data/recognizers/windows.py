"""Long sound in overlapping windows: where to cut it, and how to make one transcript of what each window gave. Pure.

A recognizer that sees 30 s at once loses all of them when it stumbles once, and stumbles in other places when the window
lies elsewhere. So windows overlap, each word is heard by several, and what most of them heard is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from phonics_data.recognizers.interface import Mono
from phonics_data.types import Word


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch ``[start, end)`` of the audio, in seconds."""

    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What an engine made of one window; the words' times count from the start of the audio, not of the window."""

    window: Window
    words: tuple[Word, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeOptions:
    """How the windows' words become one transcript.

    Args:
        same_seconds: equal words that begin so near to each other are one word.
        edge_seconds: a word nearer than this to its window's edge may be half a word: it counts less, the nearer the
            less.
        overlap_share: two different words contradict each other when they share so much of the shorter one; the
            weaker is dropped.
        most_repeats: how often words may stand in a row unchanged; more is a stuck decoder, not a song.
        unknown_confidence: what a word counts whose engine gives no confidence.
    """

    same_seconds: float = 0.4
    edge_seconds: float = 0.5
    overlap_share: float = 0.5
    most_repeats: int = 4
    unknown_confidence: float = 0.5


# --- cutting -------------------------------------------------------------------------------------------------------


def quiet_cuts(
    audio_N: Mono, rate_hz: int, *, at_most_seconds: float, search_seconds: float, quiet_seconds: float = 0.2
) -> list[float]:
    """Times at which to cut: 0, then the quietest moment of the last `search_seconds` of each piece, and the end.

    Args:
        at_most_seconds: no piece is longer; one is shorter by at most `search_seconds`, but for the last.
        quiet_seconds: length of the stretch whose energy is the measure; the cut is its middle.

    Returns:
        Ascending times in seconds; ``[0, duration]`` for audio that is short enough, ``[]`` for none.
    """
    assert 0 < quiet_seconds <= search_seconds < at_most_seconds, (quiet_seconds, search_seconds, at_most_seconds)
    duration = audio_N.size / rate_hz
    if duration <= at_most_seconds:
        return [0.0, duration] if audio_N.size else []
    step = max(1, round(rate_hz / 100))
    frames = audio_N[: audio_N.size // step * step].reshape(-1, step).astype(np.float64)
    energy = np.square(frames).mean(axis=1)
    width = max(1, round(quiet_seconds * rate_hz / step))
    loudness = np.convolve(energy, np.ones(width), "valid") / width  # of the stretch that begins at each frame
    cuts = [0.0]
    while duration - cuts[-1] > at_most_seconds:
        until = cuts[-1] + at_most_seconds
        low = round((until - search_seconds) * rate_hz / step)
        high = max(low + 1, int(until * rate_hz / step) - width + 1)
        latest_quietest = high - 1 - int(np.argmin(loudness[low:high][::-1]))
        cuts.append((latest_quietest + width / 2) * step / rate_hz)
    return [*cuts, duration]


def overlapping(cuts: Sequence[float], pieces: int, hop: int) -> list[Window]:
    """Windows of `pieces` neighbouring pieces each, every `hop` pieces; together they cover all."""
    assert 1 <= hop <= pieces, (hop, pieces)
    last = max(len(cuts) - 1 - pieces, 0)
    firsts = [*range(0, last, hop), last]
    return [Window(cuts[first], cuts[min(first + pieces, len(cuts) - 1)]) for first in firsts] if len(cuts) > 1 else []


def widened(cuts: Sequence[float], by_seconds: float) -> list[Window]:
    """One window a piece, each reaching `by_seconds` into its neighbours; for engines that are paid by the second."""
    windows = [Window(low - by_seconds, high + by_seconds) for low, high in pairwise(cuts)]
    return [Window(max(one.start_seconds, cuts[0]), min(one.end_seconds, cuts[-1])) for one in windows]


def samples_of(window: Window, rate_hz: int) -> slice:
    """The samples of a window."""
    return slice(round(window.start_seconds * rate_hz), round(window.end_seconds * rate_hz))


# --- a stuck decoder -----------------------------------------------------------------------------------------------


def normal(text: str) -> str:
    """`text` as words are compared: small letters, digits and apostrophes alone."""
    return re.sub(r"[^\w']|_", "", text.lower())


def stuck_from(texts: Sequence[str], most_repeats: int) -> int | None:
    """Index of the first word after which a group of 1 to 8 words stands more than `most_repeats` times in a row.

    Of such a run the first two groups may be what was sung ("P, P"); the index is that of the third. None without a run.
    """
    normals = [normal(text) for text in texts]
    for first in range(len(normals)):
        for size in range(1, 9):
            group = normals[first : first + size]
            repeats = 1
            while normals[first + repeats * size : first + (repeats + 1) * size] == group:
                repeats += 1
            if repeats > most_repeats and first + size * repeats <= len(normals):
                return first + 2 * size
    return None


def without_loop(heard: Heard, most_repeats: int) -> tuple[Heard, bool]:
    """`heard` up to where its decoder got stuck, its window ending there; and whether it did."""
    index = stuck_from([word.text for word in heard.words], most_repeats)
    if index is None:
        return heard, False
    words = heard.words[:index]
    end = min(words[-1].end_seconds, heard.window.end_seconds)
    return Heard(Window(heard.window.start_seconds, max(end, heard.window.start_seconds)), words), True


# --- merging -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Vote:
    word: Word
    text: str
    weight: float
    window: int


def merge(heard: Sequence[Heard], options: MergeOptions) -> list[Word]:
    """One transcript from all windows: equal words at about one time are one, of contradicting words the best supported stays.

    A word that one window alone heard, and none contradicts, stays: support is a weight, never a gate. The confidence of
    a word that comes out is the weight of the windows that heard it over the number of windows that could have.
    """
    votes = [
        _Vote(word, normal(word.text), _weight(word, one.window, options), index)
        for index, one in enumerate(heard)
        for word in one.words
        if normal(word.text)
    ]
    groups = _groups(votes, options.same_seconds)
    windows = [one.window for one in heard]
    candidates = [(_together(group), sum(vote.weight for vote in group)) for group in groups]
    kept: list[tuple[Word, float]] = []
    for word, support in sorted(candidates, key=lambda pair: (-pair[1], pair[0].start_seconds, pair[0].text)):
        if all(_shared(word, other) < options.overlap_share for other, _ in kept):
            kept.append((word, support))
    kept.sort(key=lambda pair: (pair[0].start_seconds, pair[0].end_seconds))
    return _trimmed([_confident(word, support, windows) for word, support in kept])


def _weight(word: Word, window: Window, options: MergeOptions) -> float:
    middle = (word.start_seconds + word.end_seconds) / 2
    edge = min(middle - window.start_seconds, window.end_seconds - middle)
    certainty = options.unknown_confidence if word.confidence is None else word.confidence
    return certainty * min(1.0, max(edge / options.edge_seconds, 0.1))


def _groups(votes: Sequence[_Vote], same_seconds: float) -> list[list[_Vote]]:
    """Votes for one word: equal text, starts near the strongest vote's, at most one vote a window."""
    groups: list[list[_Vote]] = []
    by_text: dict[str, list[list[_Vote]]] = {}
    for vote in sorted(votes, key=lambda vote: (-vote.weight, vote.word.start_seconds, vote.window)):
        near = [
            group
            for group in by_text.get(vote.text, [])
            if abs(group[0].word.start_seconds - vote.word.start_seconds) <= same_seconds
            and all(other.window != vote.window for other in group)
        ]
        if near:
            best = min(near, key=lambda group: abs(group[0].word.start_seconds - vote.word.start_seconds))
            best.append(vote)
        else:
            groups.append([vote])
            by_text.setdefault(vote.text, []).append(groups[-1])
    return groups


def _together(group: Sequence[_Vote]) -> Word:
    """One word from its votes: the strongest one's text, the weighted median of the starts and of the ends."""
    weights = np.array([vote.weight for vote in group])
    starts = np.array([vote.word.start_seconds for vote in group])
    ends = np.array([vote.word.end_seconds for vote in group])
    start = _weighted_median(starts, weights)
    strongest = group[0].word
    return Word(
        text=strongest.text,
        start_seconds=start,
        end_seconds=max(_weighted_median(ends, weights), start),
        confidence=strongest.confidence,
        timing=strongest.timing,
    )


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _shared(one: Word, other: Word) -> float:
    overlap = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
    shorter = min(one.end_seconds - one.start_seconds, other.end_seconds - other.start_seconds)
    if shorter <= 0:
        inside = other.start_seconds <= one.start_seconds < other.end_seconds
        return 1.0 if inside or one.start_seconds <= other.start_seconds < one.end_seconds else 0.0
    return overlap / shorter


def _confident(word: Word, support: float, windows: Sequence[Window]) -> Word:
    middle = (word.start_seconds + word.end_seconds) / 2
    listeners = sum(window.start_seconds <= middle <= window.end_seconds for window in windows)
    return Word(
        text=word.text,
        start_seconds=word.start_seconds,
        end_seconds=word.end_seconds,
        confidence=round(min(1.0, support / max(listeners, 1)), 3),
        timing=word.timing,
    )


def _trimmed(words: Sequence[Word]) -> list[Word]:
    """`words` in time order, none reaching into the next one's start."""
    starts = [word.start_seconds for word in words]
    return [
        Word(
            text=word.text,
            start_seconds=word.start_seconds,
            end_seconds=min(word.end_seconds, following) if following > word.start_seconds else word.end_seconds,
            confidence=word.confidence,
            timing=word.timing,
        )
        for word, following in zip(words, [*starts, float("inf")][1:], strict=True)
    ]
