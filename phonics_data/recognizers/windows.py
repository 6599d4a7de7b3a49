"""Overlapping windows over long audio: positions of the cuts, and merging of the recognized words. Pure.

A decoding error can lose all words of a 30 s window, and it occurs at other places if the window is shifted. Therefore
windows overlap, each word is recognized in several of them, and the words with most support are kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from phonics_data.recognizers.interface import MonoAudio
from phonics_data.types import Word


@dataclass(frozen=True, slots=True)
class Window:
    """An interval ``[start, end)`` of the audio, in seconds."""

    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class RecognizedWords:
    """The words recognized in one window; their times are relative to the start of the audio, not of the window."""

    window: Window
    words: tuple[Word, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeOptions:
    """Settings of `merge`.

    Args:
        same_seconds: equal words whose starts differ by at most this are one word.
        edge_seconds: words nearer than this to an edge of their window can be incomplete; their weight decreases
            towards the edge.
        overlap_fraction: different words are in conflict if they overlap by at least this fraction of the shorter one;
            the one with less support is dropped.
        max_repeats: more consecutive repetitions of a group of words are a decoder loop.
        unknown_confidence: weight of a word without confidence.
    """

    same_seconds: float = 0.4
    edge_seconds: float = 0.5
    overlap_fraction: float = 0.5
    max_repeats: int = 4
    unknown_confidence: float = 0.5


# --- cutting -------------------------------------------------------------------------------------------------------


def quiet_cuts(
    audio_N: MonoAudio, rate_hz: int, *, max_seconds: float, search_seconds: float, quiet_seconds: float = 0.2
) -> list[float]:
    """Times at which to cut: 0, the quietest moment within the last `search_seconds` of each piece, and the end.

    Args:
        max_seconds: maximum length of a piece. All but the last have at least `max_seconds` - `search_seconds`.
        search_seconds: range before the latest possible cut in which the quietest moment is searched.
        quiet_seconds: length of the interval over which the energy is averaged; the cut is its midpoint.

    Returns:
        Ascending times in seconds; ``[0, duration]`` for short audio, ``[]`` for empty audio.
    """
    assert 0 < quiet_seconds <= search_seconds < max_seconds, (quiet_seconds, search_seconds, max_seconds)
    duration = audio_N.size / rate_hz
    if duration <= max_seconds:
        return [0.0, duration] if audio_N.size else []
    step = max(1, round(rate_hz / 100))
    frames = audio_N[: audio_N.size // step * step].reshape(-1, step).astype(np.float64)
    energy = np.square(frames).mean(axis=1)
    width = max(1, round(quiet_seconds * rate_hz / step))
    mean_energy = np.convolve(energy, np.ones(width), "valid") / width  # of the interval that begins at each frame
    cuts = [0.0]
    while duration - cuts[-1] > max_seconds:
        until = cuts[-1] + max_seconds
        low = round((until - search_seconds) * rate_hz / step)
        high = max(low + 1, int(until * rate_hz / step) - width + 1)
        latest_quietest = high - 1 - int(np.argmin(mean_energy[low:high][::-1]))
        cuts.append((latest_quietest + width / 2) * step / rate_hz)
    return [*cuts, duration]


def overlapping(cuts: Sequence[float], pieces: int, hop: int) -> list[Window]:
    """Windows of `pieces` consecutive pieces, every `hop` pieces; together they cover the audio."""
    assert 1 <= hop <= pieces, (hop, pieces)
    last = max(len(cuts) - 1 - pieces, 0)
    firsts = [*range(0, last, hop), last]
    return [Window(cuts[first], cuts[min(first + pieces, len(cuts) - 1)]) for first in firsts] if len(cuts) > 1 else []


def extended(cuts: Sequence[float], by_seconds: float) -> list[Window]:
    """One window per piece, extended by `by_seconds` into its neighbours; for recognizers that are paid by the second."""
    windows = [Window(low - by_seconds, high + by_seconds) for low, high in pairwise(cuts)]
    return [Window(max(window.start_seconds, cuts[0]), min(window.end_seconds, cuts[-1])) for window in windows]


def samples_of(window: Window, rate_hz: int) -> slice:
    """The samples of a window, as a slice."""
    return slice(round(window.start_seconds * rate_hz), round(window.end_seconds * rate_hz))


# --- decoder loops -------------------------------------------------------------------------------------------------


def normalize_text(text: str) -> str:
    """`text` for comparison: lower-case letters, digits and apostrophes only."""
    return re.sub(r"[^\w']|_", "", text.lower())


def loop_start(texts: Sequence[str], max_repeats: int) -> int | None:
    """Index at which a decoder loop begins: a group of 1 to 8 words that occurs more than `max_repeats` times in a row.

    The first two repetitions can be correct ("P, P"), so the index is that of the third. None without a loop.
    """
    normalized = [normalize_text(text) for text in texts]
    for first in range(len(normalized)):
        for size in range(1, 9):
            group = normalized[first : first + size]
            repeats = 1
            while normalized[first + repeats * size : first + (repeats + 1) * size] == group:
                repeats += 1
            if repeats > max_repeats and first + size * repeats <= len(normalized):
                return first + 2 * size
    return None


def without_loop(recognized: RecognizedWords, max_repeats: int) -> tuple[RecognizedWords, bool]:
    """(`recognized` with its words and window truncated at the start of a decoder loop, whether there was a loop)."""
    index = loop_start([word.text for word in recognized.words], max_repeats)
    if index is None:
        return recognized, False
    window, words = recognized.window, recognized.words[:index]
    end = min(words[-1].end_seconds, window.end_seconds)
    return RecognizedWords(Window(window.start_seconds, max(end, window.start_seconds)), words), True


# --- merging -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Candidate:
    word: Word
    text: str
    weight: float
    window: int


def merge(recognized: Sequence[RecognizedWords], options: MergeOptions) -> list[Word]:
    """One transcript from all windows.

    * Equal words at about the same time are merged.
    * Of words in conflict, the one with most support is kept.
    * A word from a single window is kept if no other word is in conflict with it.
    * Confidence of a result: sum of the weights of its windows / number of windows that cover it.
    """
    candidates = [
        _Candidate(word, normalize_text(word.text), _weight(word, one.window, options), index)
        for index, one in enumerate(recognized)
        for word in one.words
        if normalize_text(word.text)
    ]
    windows = [one.window for one in recognized]
    merged = [
        (_merge_group(group), sum(candidate.weight for candidate in group))
        for group in _groups(candidates, options.same_seconds)
    ]
    kept: list[tuple[Word, float]] = []
    for word, support in sorted(merged, key=lambda pair: (-pair[1], pair[0].start_seconds, pair[0].text)):
        if all(_overlap_fraction(word, other) < options.overlap_fraction for other, _ in kept):
            kept.append((word, support))
    kept.sort(key=lambda pair: (pair[0].start_seconds, pair[0].end_seconds))
    return _without_overlap([_with_confidence(word, support, windows) for word, support in kept])


def _weight(word: Word, window: Window, options: MergeOptions) -> float:
    middle = (word.start_seconds + word.end_seconds) / 2
    edge = min(middle - window.start_seconds, window.end_seconds - middle)
    confidence = options.unknown_confidence if word.confidence is None else word.confidence
    return confidence * min(1.0, max(edge / options.edge_seconds, 0.1))


def _groups(candidates: Sequence[_Candidate], same_seconds: float) -> list[list[_Candidate]]:
    """Candidates for one word: equal text, starts near that of the heaviest one, at most one per window."""
    groups: list[list[_Candidate]] = []
    by_text: dict[str, list[list[_Candidate]]] = {}
    for candidate in sorted(
        candidates, key=lambda candidate: (-candidate.weight, candidate.word.start_seconds, candidate.window)
    ):
        near = [
            group
            for group in by_text.get(candidate.text, [])
            if abs(group[0].word.start_seconds - candidate.word.start_seconds) <= same_seconds
            and all(other.window != candidate.window for other in group)
        ]
        if near:
            best = min(near, key=lambda group: abs(group[0].word.start_seconds - candidate.word.start_seconds))
            best.append(candidate)
        else:
            groups.append([candidate])
            by_text.setdefault(candidate.text, []).append(groups[-1])
    return groups


def _merge_group(group: Sequence[_Candidate]) -> Word:
    """One word from its candidates: the text of the heaviest one, weighted medians of the starts and ends."""
    weights = np.array([candidate.weight for candidate in group])
    starts = np.array([candidate.word.start_seconds for candidate in group])
    ends = np.array([candidate.word.end_seconds for candidate in group])
    start = _weighted_median(starts, weights)
    return replace(group[0].word, start_seconds=start, end_seconds=max(_weighted_median(ends, weights), start))


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _overlap_fraction(one: Word, other: Word) -> float:
    overlap = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
    shorter = min(one.end_seconds - one.start_seconds, other.end_seconds - other.start_seconds)
    if shorter <= 0:
        inside = other.start_seconds <= one.start_seconds < other.end_seconds
        return 1.0 if inside or one.start_seconds <= other.start_seconds < one.end_seconds else 0.0
    return overlap / shorter


def _with_confidence(word: Word, support: float, windows: Sequence[Window]) -> Word:
    middle = (word.start_seconds + word.end_seconds) / 2
    num_covering = sum(window.start_seconds <= middle <= window.end_seconds for window in windows)
    return replace(word, confidence=round(min(1.0, support / max(num_covering, 1)), 3))


def _without_overlap(words: Sequence[Word]) -> list[Word]:
    """`words`, sorted by time, with ends limited to the start of the next word."""
    starts = [word.start_seconds for word in words]
    return [
        replace(word, end_seconds=min(word.end_seconds, following)) if following > word.start_seconds else word
        for word, following in zip(words, [*starts, float("inf")][1:], strict=True)
    ]
