"""Fuses the phrases of two sources into one song by dynamic programming. Pure.

Phrases are fused, not evidence: word times differ from the frames by tenths of a second, and sums of the evidence of both
were less accurate than the better source. Phrases of both sources have the highest value. The value of a phrase of one
source depends on its confidence; the order of the alphabet and the neighbours' times determine the choice. A letter that is missing in
the captions is thus taken from the screen, and a drawing that looks like a letter is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.viterbi import Order

_MATCH_VALUE = 1.6
"""Value of a phrase that both sources contain."""
_FOREIGN_EDGE_COST = 0.1
"""For each boundary of a match that is the other source's and far from the primary source's."""
_MATCH_FRACTION = 0.4
"""Two phrases of one letter match if they share this fraction of the shorter one."""
_MAX_OVERLAP = 0.35
"""Neighbours may share this fraction of the shorter one; the start of the later one divides them."""
_SKIP_EACH_COST, _BACK_COST = 0.04, 0.8
"""In alphabetical order: for each letter left out between neighbours, and for going back."""
_MAX_NAMELESS = 0.08
"""If a larger fraction of the primary source's phrases lacks its beginning, the other source's boundaries are better."""
_IRREGULAR_RATIO = 1.4
"""A length is irregular if it differs from the source's median by more than this factor."""
_REPEATED_FRACTION = 0.3
"""A song repeats the alphabet if a larger fraction of its letters appears more than once."""
_MIN_RELATIVE_LENGTH = 0.3
"""Shorter phrases of one source are dropped; relative to the source's usual length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FusionOptions:
    """The fitted numbers of fusion.

    Args:
        single_source_penalty: subtracted from the confidence of a phrase that one source contains.
        unmatched_penalty: also subtracted, in proportion to the fraction of phrases that match: the more the sources
            match, the less likely one of them misses a phrase.
        irregular_margin: if the primary source's fraction of irregular lengths is larger than the other source's by this, the other
            source's boundaries are better.
        overlap_cost: for overlapping neighbours, times the fraction of the shorter one that they share.
        repeat_cost: for the same letter twice in a row.
    """

    single_source_penalty: float = 0.2
    unmatched_penalty: float = 0.35
    irregular_margin: float = 0.1
    overlap_cost: float = 0.6
    repeat_cost: float = 0.3


@dataclass(frozen=True, slots=True)
class _Candidate:
    phrase: Phrase
    value: float
    pair: tuple[int, int] = (-1, -1)
    """For a match: indices of its phrases in the two sources."""


def fuse(
    primary: Sequence[Phrase],
    other: Sequence[Phrase],
    *,
    order: Order,
    snap_seconds: float,
    options: FusionOptions,
    has_line_times: bool = False,
) -> list[Phrase]:
    """The best song from both sources, in time order, without overlaps.

    Args:
        primary: its boundaries are kept where the other's are more than `snap_seconds` away and nothing indicates that
            they are wrong.
        order: ``strict`` if the song is in alphabetical order.
        has_line_times: the times of the primary source are those of lines of captions. They can miss a whole letter, so
            phrases whose starts are within `snap_seconds` match without overlap too.
    """
    if not primary or not other:
        return without_overlaps(primary or other)
    matches = _matches(primary, other, snap_seconds, options, has_line_times=has_line_times)
    match_fraction = 2 * len({one.pair for one in matches}) / (len(primary) + len(other))
    penalty = options.single_source_penalty + options.unmatched_penalty * min(match_fraction, 1.0)
    candidates = [*matches, *_single_source(primary, penalty), *_single_source(other, penalty)]
    candidates.sort(key=lambda one: (one.phrase.start_seconds, one.phrase.end_seconds))
    chain = _without_repeats(_best_chain(candidates, order, options))
    return without_overlaps([one.phrase for one in chain])


def fill(primary: Sequence[Phrase], other: Sequence[Phrase], *, order: Order, options: FusionOptions) -> list[Phrase]:
    """The phrases of `primary`, unchanged in letter and time, and those of `other` that fit into its gaps.

    For speech recognition beside a screen that shows an alphabet: its times differ from the frames by up to half a second,
    and it recognizes letters in music. Where both contain a letter, `other` names the object and gives the cut points.

    Args:
        order: ``strict`` if the song is in alphabetical order.
    """
    if not primary or not other:
        return without_overlaps(primary or other)
    leading = without_overlaps(primary)
    matched = [_best_match(own, other) for own in leading]
    match_fraction = 2 * sum(one is not None for one in matched) / (len(primary) + len(other))
    penalty = options.single_source_penalty + options.unmatched_penalty * min(match_fraction, 1.0)
    least = _MIN_RELATIVE_LENGTH * _usual_length(leading)
    fillers = [
        filler
        for one in other
        if one.confidence > penalty and (filler := _in_gap(one, leading, order)) and filler.length_seconds >= least
    ]
    named = [
        own if one is None else _merged(own, one, own.start_seconds, own.end_seconds)
        for own, one in zip(leading, matched, strict=True)
    ]
    return without_overlaps([*named, *fillers])


def _best_match(own: Phrase, other: Sequence[Phrase]) -> Phrase | None:
    """The phrase of the same letter that shares most time with `own`, if it matches."""
    same = [one for one in other if one.letter == own.letter and _overlap(own, one) >= _MATCH_FRACTION]
    return max(same, key=lambda one: _overlap(own, one), default=None)


def _in_gap(phrase: Phrase, primary: Sequence[Phrase], order: Order) -> Phrase | None:
    """The part of a phrase in a gap of the primary source; None if there is no gap, or no place in the order for its letter."""
    if any(_overlap(phrase, one) > _MAX_OVERLAP for one in primary):
        return None
    before = [one for one in primary if one.start_seconds < phrase.start_seconds]
    after = [one for one in primary if one.start_seconds >= phrase.start_seconds]
    if order != "strict":
        if any(one.letter == phrase.letter for one in primary):
            return None
    elif (before and before[-1].letter >= phrase.letter) or (after and phrase.letter >= after[0].letter):
        return None
    start = max([phrase.start_seconds, *(one.end_seconds for one in before[-1:])])
    end = min([phrase.end_seconds, *(one.start_seconds for one in after[:1])])
    return phrase.between(start, end) if start < end else None


def _usual_length(phrases: Sequence[Phrase]) -> float:
    """The upper median."""
    lengths = sorted(phrase.length_seconds for phrase in phrases) or [0.0]
    return lengths[len(lengths) // 2]


def _single_source(phrases: Sequence[Phrase], penalty: float) -> list[_Candidate]:
    least = _MIN_RELATIVE_LENGTH * _usual_length(phrases)
    return [
        _Candidate(phrase, phrase.confidence - penalty)
        for phrase in phrases
        if phrase.confidence > penalty and phrase.length_seconds >= least
    ]


def _matches(
    primary: Sequence[Phrase],
    other: Sequence[Phrase],
    snap_seconds: float,
    options: FusionOptions,
    *,
    has_line_times: bool,
) -> list[_Candidate]:
    """A candidate for each pair of matching phrases and each choice of boundaries."""
    found: list[_Candidate] = []
    usual = _usual_length(primary)
    prefers_other = _has_better_boundaries(primary, other, options)
    for index, own in enumerate(primary):
        for number, one in enumerate(other):
            is_near = has_line_times and abs(own.start_seconds - one.start_seconds) <= snap_seconds
            if one.letter != own.letter or not (is_near or _overlap(own, one) >= _MATCH_FRACTION):
                continue
            # A gap in the words before the phrase may contain its lost beginning.
            free = primary[index - 1].end_seconds if index else 0.0
            is_earlier = 0 < own.start_seconds - one.start_seconds < usual and free <= one.start_seconds + snap_seconds
            is_known = own.starts_named and not is_earlier and not prefers_other
            starts = _boundaries(own.start_seconds, one.start_seconds, snap_seconds, is_known=is_known)
            ends = _boundaries(own.end_seconds, one.end_seconds, snap_seconds, is_known=not prefers_other)
            for start, start_cost in starts:
                for end, end_cost in ends:
                    if start < end:
                        value = _MATCH_VALUE - start_cost - end_cost
                        found.append(_Candidate(_merged(own, one, start, end), value, (index, number)))
    return found


def _has_better_boundaries(primary: Sequence[Phrase], other: Sequence[Phrase], options: FusionOptions) -> bool:
    """Whether the other source has better boundaries than the primary source.

    - Many of the primary source's phrases lack their names, so their other boundaries are uncertain too, or
    - the other source's phrases are more even: songs have a regular rhythm, errors do not.
    """
    nameless = sum(not phrase.starts_named for phrase in primary) / len(primary)
    return (
        nameless > _MAX_NAMELESS or _irregular_fraction(primary) > _irregular_fraction(other) + options.irregular_margin
    )


def _irregular_fraction(phrases: Sequence[Phrase]) -> float:
    """Fraction of phrases with an irregular length."""
    lengths = [max(phrase.length_seconds, 1e-3) for phrase in phrases]
    usual = median(lengths)
    return sum(max(length / usual, usual / length) > _IRREGULAR_RATIO for length in lengths) / len(lengths)


def _boundaries(own: float, other: float, snap_seconds: float, *, is_known: bool) -> list[tuple[float, float]]:
    """(time, cost) of each choice for a boundary that the sources place at `own` and `other`."""
    if abs(own - other) <= snap_seconds:
        return [(other, 0.0)]
    best, second = (own, other) if is_known else (other, own)
    return [(best, 0.0), (second, _FOREIGN_EDGE_COST)]


def _merged(own: Phrase, other: Phrase, start: float, end: float) -> Phrase:
    """`own` from `start` to `end`; what only `other` has (object word, parts, cut points) is taken from it."""
    named = own if own.object_word else other
    divided = own if own.cut_points else other
    merged = replace(
        own,
        object_word=named.object_word,
        object_word_source=named.object_word_source,
        parts=named.parts,
        cut_points=divided.cut_points,
        num_strong_cuts=divided.num_strong_cuts,
        confidence=round(1 - (1 - own.confidence) * (1 - other.confidence), 3),
        evidence=f"{own.evidence},{other.evidence}",
    )
    return merged.between(start, end)


def _best_chain(candidates: Sequence[_Candidate], order: Order, options: FusionOptions) -> list[_Candidate]:
    """The chain of candidates with the largest sum of values minus costs."""
    scores: list[float] = []
    back: list[int] = []
    for index, one in enumerate(candidates):
        best, before = 0.0, -1
        for earlier in range(index):
            cost = _cost(candidates[earlier].phrase, one.phrase, order, options)
            if cost is not None and scores[earlier] - cost > best:
                best, before = scores[earlier] - cost, earlier
        scores.append(best + one.value)
        back.append(before)
    chain: list[_Candidate] = []
    here = max(range(len(scores)), key=lambda index: scores[index], default=-1)
    while here >= 0:
        chain.append(candidates[here])
        here = back[here]
    return chain[::-1]


def _without_repeats(chain: Sequence[_Candidate]) -> list[_Candidate]:
    """The chain without repeated letters of a single source, unless the song repeats the alphabet."""
    counts = Counter(one.phrase.letter for one in chain)
    if sum(count > 1 for count in counts.values()) > _REPEATED_FRACTION * len(counts):
        return list(chain)
    most = {letter: max(one.value for one in chain if one.phrase.letter == letter) for letter in counts}
    least = _MATCH_VALUE - 2 * _FOREIGN_EDGE_COST
    return [one for one in chain if one.value == most[one.phrase.letter] or one.value >= least]


def _cost(before: Phrase, after: Phrase, order: Order, options: FusionOptions) -> float | None:
    """Cost of one phrase following another; None if it cannot."""
    overlap = _overlap(before, after)
    if overlap > _MAX_OVERLAP or after.start_seconds <= before.start_seconds:
        return None
    cost = options.overlap_cost * overlap
    step = LETTERS.index(after.letter) - LETTERS.index(before.letter)
    if step == 0:
        return cost + options.repeat_cost
    if order != "strict" or step == 1:
        return cost
    return cost + (_SKIP_EACH_COST * (step - 1) if step > 0 else _BACK_COST)


def _overlap(one: Phrase, other: Phrase) -> float:
    """Fraction of the shorter phrase that is in the other, 0..1."""
    shared = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
    shorter = min(one.length_seconds, other.length_seconds)
    return max(shared, 0.0) / shorter if shorter > 0 else 0.0


def without_overlaps(phrases: Sequence[Phrase]) -> list[Phrase]:
    """The phrases in time order; each ends at the start of the next one at the latest."""
    ordered = sorted(phrases, key=lambda phrase: (phrase.start_seconds, phrase.end_seconds))
    ends = [min(one.end_seconds, after.start_seconds) for one, after in pairwise(ordered)]
    ends += [one.end_seconds for one in ordered[-1:]]
    return [phrase.between(phrase.start_seconds, end) for phrase, end in zip(ordered, ends, strict=True)]
