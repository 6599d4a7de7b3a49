"""Runs of tokens -> phrases with times. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import numpy as np

from phonics_data.segmentation.evidence import Evidence, Scores
from phonics_data.segmentation.lexicon import FILLERS, LETTERS, Token
from phonics_data.segmentation.viterbi import LetterRun
from phonics_data.types import ObjectWordSource

_TRAILING_GAP_SECONDS = 0.8
"""Words without evidence for the letter belong to it until the first pause of this length."""
_MAX_HOLD_SECONDS = 1.6
"""A phrase lasts until the next words begin if they begin within this time."""
HOLD_SECONDS = 0.45
"""Otherwise it lasts this long after its last word."""
_MAX_LEAD_SECONDS = 2.0
"""A missing name is searched at most this long before the first recognized word of its phrase."""

_LIST_PAUSE_SECONDS = 0.25
"""Between two examples of a list; the words of one object ("big ball") follow each other faster."""

_MIN_GAP_PERIODS = 1.6
"""From a phrase to the next one if a letter is missing between them, in periods of the song."""

INFERRED_CONFIDENCE = 0.3
"""Of a letter that no word names; it is inferred from the song's order and rhythm."""
_MIN_TRUST = 0.4
"""Fraction of the confidence that remains for words that the recognizer considers almost impossible."""
RHYMING_CONFIDENCE = 0.3
"""Of a letter whose name was recognized as one that rhymes with it, at the time where the letter is expected."""
_MAX_NO_LETTER = 0.1
"""A token with more evidence for no letter belongs to a chorus or greeting."""
_IS_NAME, _IS_STRONG_NAME, _IS_EXAMPLE = 0.3, 0.5, 0.9


@dataclass(frozen=True, slots=True)
class PhrasePart:
    """The part of a phrase that belongs to one object word.

    Args:
        start_seconds: start of the letter's name before the word, or of the word. The part lasts until the next one begins.
    """

    start_seconds: float
    object_word: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """The seconds of one letter, before the length rule.

    Args:
        parts: one part for each object word, in time order: two for "L is for lion, L is for lamp", one for "A is for apple,
            a, a, apple", none without an object word. The first one begins with the phrase.
        confidence: 0..1.
        evidence: as in `phonics_data.types.Segment`.
        cut_points: times at which the phrase may be divided: starts of names and examples first, then of other words.
        num_strong_cuts: number of `cut_points` that are starts of names or examples.
        object_word_source: ``words``, ``screen``, or empty without an object word.
        starts_named: the phrase begins with evidence for its letter (name, frame), not where a name is missing.
        edge_support: 0..1, fraction of the boundaries that were seen (a cut, the letter appears or disappears); half for
            an end at which only the next letter appears. 1 for phrases of words.
    """

    letter: str
    object_word: str | None
    start_seconds: float
    end_seconds: float
    confidence: float
    evidence: str = "captions"
    cut_points: tuple[float, ...] = ()
    num_strong_cuts: int = 0
    starts_named: bool = True
    parts: tuple[PhrasePart, ...] = ()
    object_word_source: ObjectWordSource = ""
    edge_support: float = 1.0

    @property
    def length_seconds(self) -> float:
        return self.end_seconds - self.start_seconds

    def between(self, start_seconds: float, end_seconds: float) -> Phrase:
        """The phrase with these boundaries, and with the cut points that are inside them."""
        inside = [
            (time, index < self.num_strong_cuts)
            for index, time in enumerate(self.cut_points)
            if start_seconds <= time <= end_seconds
        ]
        return replace(
            self,
            start_seconds=start_seconds,
            end_seconds=max(end_seconds, start_seconds),
            cut_points=tuple(time for time, _ in inside),
            num_strong_cuts=sum(is_strong for _, is_strong in inside),
        )


@dataclass(frozen=True, slots=True)
class _Draft:
    """A run with its start in seconds.

    Args:
        is_inferred: no word names or exemplifies the letter.
    """

    run: LetterRun
    start: float
    is_inferred: bool = False


def build_phrases(
    runs: Sequence[LetterRun],
    found: Sequence[Token],
    evidence: Evidence,
    duration_seconds: float,
    letters: str = LETTERS,
) -> list[Phrase]:
    """The phrases of `runs`, in time order, without overlaps, ending at `duration_seconds` at the latest.

    Args:
        letters: the letters that the video may contain; only these are inferred.
    """
    allowed = sorted(LETTERS.index(letter) for letter in letters)
    rhythm = _rhythm(runs, found, evidence)
    drafts = _with_missing_letters(_drafts(runs, found, evidence, rhythm), found, evidence, rhythm, allowed)
    phrases: list[Phrase] = []
    for draft, following in zip(drafts, [*drafts[1:], None], strict=False):
        low, _, letter = draft.run
        high = _last_own_token(draft, found, evidence, rhythm)
        last_end = max(_spoken_end(token) for token in found[low:high])
        next_start = found[high].start_seconds if high < len(found) else np.inf
        if following is not None:
            next_start = min(next_start, following.start)
        end = next_start if next_start - last_end <= _MAX_HOLD_SECONDS else last_end + HOLD_SECONDS
        if following is not None and _has_gap(draft, following, rhythm, allowed):
            # The time of a missing letter does not belong to the one before it.
            end = min(end, max(last_end, draft.start + (rhythm.period or np.inf)))
        end = min(max(end, draft.start), duration_seconds)
        own = _Draft(LetterRun(low, high, letter), min(draft.start, duration_seconds), draft.is_inferred)
        phrases.append(_phrase(own, end, found, evidence))
    return phrases


def _missing(before: _Draft, after: _Draft, allowed: Sequence[int]) -> list[int]:
    """The indices of the allowed letters between two phrases, in alphabetical order."""
    return [letter for letter in allowed if before.run.letter < letter < after.run.letter]


def _has_gap(draft: _Draft, following: _Draft, rhythm: _Rhythm, allowed: Sequence[int]) -> bool:
    """Whether letters are missing between two phrases by the order and by the time."""
    is_long = rhythm.period is not None and following.start - draft.start >= _MIN_GAP_PERIODS * rhythm.period
    return is_long and bool(_missing(draft, following, allowed))


def _phrase(draft: _Draft, end: float, found: Sequence[Token], evidence: Evidence) -> Phrase:
    low, high, letter = draft.run
    is_strong = evidence.names_TL[low:high, letter] >= _IS_STRONG_NAME
    is_strong |= evidence.examples_TL[low:high, letter] >= _IS_EXAMPLE
    inside = [
        (token.start_seconds, strong)
        for token, strong in zip(found[low:high], is_strong, strict=True)
        if draft.start <= token.start_seconds <= end
    ]
    strong_cuts = [start for start, strong in inside if strong]
    object_word = None if draft.is_inferred else _object_word(draft.run, found, evidence)
    return Phrase(
        letter=LETTERS[letter],
        object_word=object_word,
        start_seconds=draft.start,
        end_seconds=end,
        confidence=_confidence(draft, found, evidence),
        cut_points=(*strong_cuts, *(start for start, strong in inside if not strong)),
        num_strong_cuts=len(strong_cuts),
        starts_named=not draft.is_inferred and _is_name(low, letter, evidence),
        parts=_parts(draft, object_word, end, found, evidence) if object_word else (),
        object_word_source="words" if object_word else "",
    )


def _confidence(draft: _Draft, found: Sequence[Token], evidence: Evidence) -> float:
    """0..1, not calibrated.

    Low for a letter that was inferred, for one that only a name that rhymes indicates, and for words of which the
    recognizer is uncertain: on rendered songs half of these were right, and nine of ten of the others.
    """
    if draft.is_inferred:
        return INFERRED_CONFIDENCE
    low, high, letter = draft.run
    own = np.maximum(evidence.names_TL[low:high, letter], evidence.examples_TL[low:high, letter])
    is_similar = evidence.similar_TL[low:high, letter]
    if own.max() < _IS_NAME and is_similar.any():
        return RHYMING_CONFIDENCE
    value = margin_confidence(draft.run, evidence.letters_TL)
    recognized = [found[low + row].confidence for row in np.flatnonzero(own >= _IS_NAME).tolist()]
    known = [one for one in recognized if one is not None]
    return round(value * min(_MIN_TRUST + max(known), 1.0), 3) if known else value


def margin_confidence(run: LetterRun, letters_TL: Scores) -> float:
    """1 - exp(-s), where s is the evidence for the run's letter minus that for the best other one. Not calibrated."""
    sums = letters_TL[run.low : run.high].sum(axis=0)
    margin = sums[run.letter] - np.delete(sums, run.letter).max()
    return round(float(1 - np.exp(-max(margin, 0.0))), 3)


# --- start of a phrase ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rhythm:
    """Median times within the song's phrases; None if too few phrases have them.

    Args:
        filler: seconds from a phrase's start to its first filler ("is").
        example: seconds from a phrase's start to its first example.
        period: seconds from a phrase's start to the start of the next one.
    """

    filler: float | None
    example: float | None
    period: float | None


def _rhythm(runs: Sequence[LetterRun], found: Sequence[Token], evidence: Evidence) -> _Rhythm:
    fillers: list[float] = []
    examples: list[float] = []
    for low, high, letter in runs:
        if not _is_name(low, letter, evidence):
            continue
        start = found[low].start_seconds
        if low + 1 < high and found[low + 1].text in FILLERS:
            fillers.append(found[low + 1].start_seconds - start)
        rows = np.flatnonzero(evidence.examples_TL[low + 1 : high, letter] >= _IS_EXAMPLE)
        if rows.size:
            examples.append(found[low + 1 + int(rows[0])].start_seconds - start)
    starts = [found[run.low].start_seconds for run in runs]
    periods = [after - before for before, after in pairwise(starts)]
    filler, example, period = (median(values) if len(values) > 3 else None for values in (fillers, examples, periods))
    # Most words at one time, as in captions without times, have no period.
    return _Rhythm(filler, example, period or None)


def _is_name(row: int, letter: int, evidence: Evidence) -> bool:
    is_named = evidence.names_TL[row, letter] >= _IS_NAME
    # A similar name that its example disambiguates: "N is for moon".
    return bool(is_named or (evidence.patterns_TL[row, letter] and evidence.examples_TL[row, letter] == 0))


def _drafts(runs: Sequence[LetterRun], found: Sequence[Token], evidence: Evidence, rhythm: _Rhythm) -> list[_Draft]:
    """Start of each phrase: at its name, or, if the name is missing, as long before its first word as in other phrases."""
    drafts: list[_Draft] = []
    free = 0  # tokens before this one are evidence for earlier letters
    for run in runs:
        low, start = run.low, found[run.low].start_seconds
        if not _is_name(run.low, run.letter, evidence):
            low, start = _missing_start(run, free, found, evidence, rhythm)
        drafts.append(_Draft(run._replace(low=low), start))
        free = _after_evidence(run, evidence)
    for index, following in enumerate(drafts[1:]):
        run = drafts[index].run
        drafts[index] = replace(drafts[index], run=run._replace(high=min(run.high, following.run.low)))
    return drafts


def _after_evidence(run: LetterRun, evidence: Evidence) -> int:
    """The token after the run's last one with evidence for its letter; names that are only similar do not count."""
    rows = np.flatnonzero(evidence.letters_TL[run.low : run.high, run.letter] >= 0.3)
    return run.low + (int(rows[-1]) + 1 if rows.size else 1)


def _missing_start(
    run: LetterRun, free: int, found: Sequence[Token], evidence: Evidence, rhythm: _Rhythm
) -> tuple[int, float]:
    """(first token, start) of a phrase whose name is missing; its tokens are searched from `free` on."""
    start = found[run.low].start_seconds
    earliest = max(_spoken_end(found[free - 1]) if free else 0.0, start - _MAX_LEAD_SECONDS)
    if rhythm.example is not None and evidence.examples_TL[run.low, run.letter] >= _IS_EXAMPLE:
        begin = min(max(start - rhythm.example, earliest), start)
    else:
        first, seen = run.low, set[str]()
        while first > free and found[first - 1].text in FILLERS - seen and found[first - 1].start_seconds >= earliest:
            # "... apple | is for ball": these fillers precede this phrase's example; a repeated "is" belongs to the
            # phrase before.
            first -= 1
            seen.add(found[first].text)
        begin = found[first].start_seconds
        if rhythm.filler is not None and first < run.low:
            begin = min(max(begin - rhythm.filler, earliest), begin)
    low = next((row for row in range(free, run.low) if found[row].start_seconds >= begin - 0.1), run.low)
    return low, min(begin, found[low].start_seconds)


def _with_missing_letters(
    drafts: list[_Draft], found: Sequence[Token], evidence: Evidence, rhythm: _Rhythm, allowed: Sequence[int]
) -> list[_Draft]:
    """The drafts, with one or two missing letters inserted between neighbours of the order of the allowed letters.

    Only if the time between the neighbours fits so many phrases, and each of them contains words.
    """
    if rhythm.period is None or len(drafts) < 8:
        return drafts
    filled: list[_Draft] = []
    for here, following in pairwise(drafts):
        missing = _missing(here, following, allowed)
        num_missing = len(missing)
        periods = (following.start - here.start) / rhythm.period
        inferred: list[_Draft] = []
        if num_missing in (1, 2) and abs(periods - num_missing - 1) < 0.3 * (num_missing + 1):
            inferred = _inferred(here, following, missing, found, evidence)
        if inferred and len(inferred) == num_missing:
            low, high, _ = here.run
            here = replace(here, run=here.run._replace(high=max(min(high, inferred[0].run.low), low + 1)))
            filled += [here, *inferred]
        else:
            filled.append(here)
    return [*filled, drafts[-1]]


def _inferred(
    here: _Draft, following: _Draft, missing: Sequence[int], found: Sequence[Token], evidence: Evidence
) -> list[_Draft]:
    """The `missing` letters between two phrases, evenly divided; only those with words of their own."""
    free = _after_evidence(here.run, evidence)
    step = (following.start - here.start) / (len(missing) + 1)
    inferred: list[_Draft] = []
    for order, letter in enumerate(missing, start=1):
        begin = max(here.start + order * step, _spoken_end(found[free - 1]) if free else 0.0)
        rows = [
            row
            for row in range(free, following.run.low)
            if begin - 0.1 <= found[row].start_seconds < begin + step - 0.1 and evidence.none_T[row] <= _MAX_NO_LETTER
        ]
        if rows:
            run = LetterRun(rows[0], rows[-1] + 1, letter)
            inferred.append(_Draft(run, min(begin, found[rows[0]].start_seconds), True))
    return inferred


# --- end of a phrase -----------------------------------------------------------------------------------------------


def _spoken_end(token: Token) -> float:
    """When a word ends. Tracks with word times contain only starts; the last word of a line seems to last as the line."""
    if token.timing != "native":
        return token.end_seconds
    return min(token.end_seconds, token.start_seconds + 0.3 + 0.08 * len(token.text))


def _last_own_token(draft: _Draft, found: Sequence[Token], evidence: Evidence, rhythm: _Rhythm) -> int:
    """End of the letter's own tokens: those after its last evidence, until the first pause or the usual phrase length."""
    high = draft.run.high
    end = _after_evidence(draft.run, evidence)
    latest = draft.start + 1.25 * rhythm.period - 0.1 if rhythm.period is not None else np.inf
    while (
        end < high
        and found[end].start_seconds - _spoken_end(found[end - 1]) <= _TRAILING_GAP_SECONDS
        and found[end].start_seconds < latest
    ):
        end += 1
    return end


def _object_word(run: LetterRun, found: Sequence[Token], evidence: Evidence) -> str | None:
    """The first example. Examples in a pattern rank before others, words of the lexicon before the letter's other words."""
    low, high, letter = run
    values = evidence.examples_TL[low:high, letter] + evidence.patterns_TL[low:high, letter]
    # "bee" alone names B; in "B is for bee" it is the example.
    values = np.where(evidence.names_TL[low:high, letter] > 0, values - 1.0, values)
    values = np.where(evidence.examples_TL[low:high, letter] > 0, values, 0.0)
    if not values.size or values.max() <= 0:
        return None
    return _plain(found[low + int(values.argmax())])


def _parts(
    draft: _Draft, object_word: str, end: float, found: Sequence[Token], evidence: Evidence
) -> tuple[PhrasePart, ...]:
    """A part for `object_word`, and one for each later example that a name, "for" or a list introduces."""
    low, high, letter = draft.run
    parts = [PhrasePart(draft.start, object_word)]
    words = [_singular(object_word)]
    first = next(row for row in range(low, high) if _plain(found[row]) == object_word)
    rows = [
        row
        for row in range(first + 1, high)
        if evidence.examples_TL[row, letter] >= _IS_EXAMPLE and evidence.names_TL[row, letter] < _IS_STRONG_NAME
    ]
    before = first
    for row in rows:
        start = _introduced_at(row, before, found, evidence, letter)
        is_new = _singular(_plain(found[row])) not in words
        if is_new and start is not None and parts[-1].start_seconds < found[start].start_seconds < end:
            parts.append(PhrasePart(found[start].start_seconds, _plain(found[row])))
            words.append(_singular(_plain(found[row])))
        before = row
    return tuple(parts)


def _introduced_at(row: int, before: int, found: Sequence[Token], evidence: Evidence, letter: int) -> int | None:
    """The token that introduces a further example after the one at `before`; None if nothing does.

    A name ("lion, L is for lamp") or "for" begins the part; in a list ("lion and lamp", "lion, lamp") the example does.
    Example words of a sentence ("ball, you can bounce it") are not introduced.
    """
    between = range(before + 1, row)
    names = [other for other in between if evidence.names_TL[other, letter] >= _IS_NAME]
    if any(found[other].text not in FILLERS for other in between if other not in names):
        return None
    # The repeated name "L, l, lamp" belongs to its part as a whole.
    if names:
        return names[0]
    introducing = [other for other in between if found[other].text in ("for", "and", "or")]
    if introducing:
        return row if found[introducing[0]].text != "for" else introducing[0]
    is_list = not between and found[row].start_seconds - _spoken_end(found[before]) >= _LIST_PAUSE_SECONDS
    return row if is_list else None


def _plain(token: Token) -> str:
    return token.text.removesuffix("'s")


def _singular(word: str) -> str:
    return word.removesuffix("s")
