"""The phrases of two sources -> one song: for each stretch the source that is right there, decided for all of it at once. Pure.

Phrases are fused, not signs: the times of words lie tenths of a second beside the picture, and sums of the two were worse
than the better one. What both sources know is worth most; of what only one knows, its confidence, the order of the
alphabet and the room that its neighbours leave decide. So a letter that captions lost is taken from the screen, and one
that a drawing looks like is not, though each source may be the better one in another part of the song.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class FuseOptions:
    """What a phrase is worth in the best song.

    Args:
        agreed: one that both sources know.
        doubt: of one that one source knows, its confidence less this,
        alone: and, where the two agree on all else, less this too: then the other source should have known it.
        foreign: what an agreed phrase loses for each edge that is the other source's and lies far from the leader's.
        agree_share: two phrases of one letter are the same when they share so much of the shorter one.
        overlap_share: of the shorter of two neighbours, so much may lie in the other; the later one's start divides them.
        overlap: what overlapping costs, a share of the shorter one of 1.
        skip_each: for each letter left out between neighbours, where the song keeps the order.
        back: for going back, where the song keeps the order.
        damaged: share of the leader's phrases without their beginning from which the other source's edges are the better ones,
        uneven: and so do they when the leader's phrases are of an odd length that much more often than the other's:
        odd: a length further from the source's usual one than by this factor.
        rounds_share: a song that has so large a share of its letters more than once goes through them in rounds.
        again: for the same letter twice running.
        shortest: phrases of one source are left out below this share of the usual length.
    """

    agreed: float = 1.6
    doubt: float = 0.2
    alone: float = 0.35
    foreign: float = 0.1
    agree_share: float = 0.4
    overlap_share: float = 0.35
    overlap: float = 0.6
    skip_each: float = 0.04
    back: float = 0.8
    damaged: float = 0.08
    uneven: float = 0.1
    odd: float = 1.4
    rounds_share: float = 0.3
    again: float = 0.3
    shortest: float = 0.3


@dataclass(frozen=True, slots=True)
class _Candidate:
    phrase: Phrase
    value: float
    pair: tuple[int, int] = (-1, -1)
    """Of an agreed one, which phrases of the two sources it is."""


def fuse(
    leader: Sequence[Phrase],
    other: Sequence[Phrase],
    *,
    order: Order,
    near_seconds: float,
    options: FuseOptions,
    fills_only: bool = False,
) -> list[Phrase]:
    """The best song from both sources, in time order, none reaching into the next.

    Args:
        leader: its edges are kept where the other's lie further away than `near_seconds` and nothing speaks against them.
        order: ``strict`` where the song keeps the order of the alphabet.
        fills_only: what `other` alone knows is believed only where the leader has left room for it.
    """
    if not leader or not other:
        return apart(leader or other)
    agreed = _agreed(leader, other, near_seconds, options)
    agreement = 2 * len({one.pair for one in agreed}) / (len(leader) + len(other))
    doubt = options.doubt + options.alone * min(agreement, 1.0)
    alone = [one for one in other if not fills_only or _fills(one, leader, order, options)]
    candidates = [*agreed, *_alone(leader, doubt, options), *_alone(alone, doubt, options)]
    candidates.sort(key=lambda one: (one.phrase.start_seconds, one.phrase.end_seconds))
    return apart([one.phrase for one in _once(_best(candidates, order, options), options)])


def _alone(phrases: Sequence[Phrase], doubt: float, options: FuseOptions) -> list[_Candidate]:
    lengths = sorted(_length(phrase) for phrase in phrases) or [0.0]
    least = options.shortest * lengths[len(lengths) // 2]
    return [
        _Candidate(phrase, phrase.confidence - doubt)
        for phrase in phrases
        if phrase.confidence > doubt and _length(phrase) >= least
    ]


def _fills(phrase: Phrase, leader: Sequence[Phrase], order: Order, options: FuseOptions) -> bool:
    """Whether the leader has time, and a place in the order, for a letter that it does not know."""
    if any(shared(phrase, one) > options.overlap_share for one in leader):
        return False
    if order != "strict":
        return all(one.letter != phrase.letter for one in leader)
    before = [one.letter for one in leader if one.start_seconds < phrase.start_seconds]
    after = [one.letter for one in leader if one.start_seconds >= phrase.start_seconds]
    return (not before or before[-1] < phrase.letter) and (not after or phrase.letter < after[0])


def _agreed(
    leader: Sequence[Phrase], other: Sequence[Phrase], near_seconds: float, options: FuseOptions
) -> list[_Candidate]:
    """A candidate for each pair of phrases that are one, and each choice of its edges."""
    found: list[_Candidate] = []
    lengths = sorted(_length(phrase) for phrase in leader)
    usual = lengths[len(lengths) // 2]
    damaged = _is_damaged(leader, other, options)
    for index, own in enumerate(leader):
        for number, one in enumerate(other):
            if one.letter != own.letter or shared(own, one) < options.agree_share:
                continue
            # From the first sign of the letter: where the words left a gap before it, its beginning may be lost in them.
            free = leader[index - 1].end_seconds if index else 0.0
            is_earlier = 0 < own.start_seconds - one.start_seconds < usual and free <= one.start_seconds + near_seconds
            is_known = own.starts_named and not is_earlier
            starts = _edges(
                own.start_seconds, one.start_seconds, near_seconds, options, is_known=is_known and not damaged
            )
            ends = _edges(own.end_seconds, one.end_seconds, near_seconds, options, is_known=not damaged)
            for start, lost in starts:
                for end, lost_too in ends:
                    if start < end:
                        value = options.agreed - lost - lost_too
                        found.append(_Candidate(_together(own, one, start, end), value, (index, number)))
    return found


def _is_damaged(leader: Sequence[Phrase], other: Sequence[Phrase], options: FuseOptions) -> bool:
    """Whether the other source knows the edges better.

    Many of the leader's phrases lack the name that they should begin with, so their other edges are doubtful too; or the
    other source's phrases are more even: songs keep a rhythm, and mistakes do not.
    """
    nameless = sum(not phrase.starts_named for phrase in leader) / len(leader)
    return nameless > options.damaged or _odd_share(leader, options) > _odd_share(other, options) + options.uneven


def _odd_share(phrases: Sequence[Phrase], options: FuseOptions) -> float:
    """Share of phrases whose length is far from the usual one."""
    lengths = [max(_length(phrase), 1e-3) for phrase in phrases]
    usual = median(lengths)
    return sum(max(length / usual, usual / length) > options.odd for length in lengths) / len(lengths)


def _edges(
    own: float, other: float, near_seconds: float, options: FuseOptions, *, is_known: bool
) -> list[tuple[float, float]]:
    """(time, what it costs) of an edge that two sources put at different times."""
    if abs(own - other) <= near_seconds:
        return [(other, 0.0)]
    if not is_known:
        return [(other, 0.0), (own, options.foreign)]
    return [(own, 0.0), (other, options.foreign)]


def _together(own: Phrase, other: Phrase, start: float, end: float) -> Phrase:
    return replace(
        own,
        start_seconds=start,
        end_seconds=end,
        object_word=own.object_word or other.object_word,
        confidence=round(1 - (1 - own.confidence) * (1 - other.confidence), 3),
        evidence=f"{own.evidence},{other.evidence}",
    )


def _best(candidates: Sequence[_Candidate], order: Order, options: FuseOptions) -> list[_Candidate]:
    """The chain of candidates with the largest sum of values less costs."""
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


def _once(chain: Sequence[_Candidate], options: FuseOptions) -> list[_Candidate]:
    """Without what only one source says of a letter that the song has had, in a song that goes through its letters once."""
    times = Counter(one.phrase.letter for one in chain)
    if sum(count > 1 for count in times.values()) > options.rounds_share * len(times):
        return list(chain)
    most = {letter: max(one.value for one in chain if one.phrase.letter == letter) for letter in times}
    return [
        one
        for one in chain
        if one.value == most[one.phrase.letter] or one.value >= options.agreed - 2 * options.foreign
    ]


def _cost(before: Phrase, after: Phrase, order: Order, options: FuseOptions) -> float | None:
    """What it costs that one phrase follows another; None where it cannot."""
    overlap = shared(before, after)
    if overlap > options.overlap_share or after.start_seconds <= before.start_seconds:
        return None
    cost = options.overlap * overlap
    step = LETTERS.index(after.letter) - LETTERS.index(before.letter)
    if step == 0:
        return cost + options.again
    if order != "strict" or step == 1:
        return cost
    return cost + (options.skip_each * (step - 1) if step > 0 else options.back)


def shared(one: Phrase, other: Phrase) -> float:
    """How much of the shorter one lies in the other, 0..1."""
    overlap = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
    shorter = min(_length(one), _length(other))
    return max(overlap, 0.0) / shorter if shorter > 0 else 0.0


def _length(phrase: Phrase) -> float:
    return phrase.end_seconds - phrase.start_seconds


def apart(phrases: Sequence[Phrase]) -> list[Phrase]:
    """In time order, none reaching into the next."""
    ordered = sorted(phrases, key=lambda phrase: (phrase.start_seconds, phrase.end_seconds))
    ends = [min(one.end_seconds, after.start_seconds) for one, after in pairwise(ordered)]
    return [
        _cut(phrase, end)
        for phrase, end in zip(ordered, [*ends, *(one.end_seconds for one in ordered[-1:])], strict=True)
    ]


def _cut(phrase: Phrase, end: float) -> Phrase:
    """A phrase up to `end`, with the places at which it may be divided that are left inside."""
    cuts = [(time, index < phrase.strong_cuts) for index, time in enumerate(phrase.cut_points)]
    inside = [(time, is_strong) for time, is_strong in cuts if phrase.start_seconds <= time <= end]
    return replace(
        phrase,
        end_seconds=max(end, phrase.start_seconds),
        cut_points=tuple(time for time, _ in inside),
        strong_cuts=sum(is_strong for _, is_strong in inside),
    )
