"""From the decision (which tokens belong to which letter) to phrases with times. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from phonics_data.segmentation.evidence import Evidence
from phonics_data.segmentation.lexicon import FILLERS, LETTERS, Token
from phonics_data.segmentation.viterbi import Run


@dataclass(frozen=True, kw_only=True, slots=True)
class PhraseOptions:
    """How words become seconds.

    Args:
        trailing_gap_seconds: words without a sign of the letter that follow its last sign after such a pause are not its own.
        max_hold_seconds: a letter is taken to last until the next words begin when that is no longer than this.
        hold_seconds: otherwise it lasts this long after its last word.
        max_lead_seconds: a lost name is looked for at most this long before the first word of its phrase that was heard.
    """

    trailing_gap_seconds: float = 0.8
    max_hold_seconds: float = 1.6
    hold_seconds: float = 0.45
    max_lead_seconds: float = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """The seconds of one letter, before the length rule.

    Args:
        confidence: 0..1.
        evidence: as in `phonics_data.types.Segment`.
        cut_points: times inside at which the phrase may be divided: starts of names and examples first, then of other words.
        strong_cuts: how many of `cut_points` are starts of names or examples.
        starts_named: it begins with a sign of its own beginning (the letter's name, the picture), not where one was lost.
    """

    letter: str
    object_word: str | None
    start_seconds: float
    end_seconds: float
    confidence: float
    evidence: str = "captions"
    cut_points: tuple[float, ...] = ()
    strong_cuts: int = 0
    starts_named: bool = True


INFERRED_CONFIDENCE = 0.3
"""Of a letter that no word names, put where the song's order and rhythm leave a place for it."""

_SAYS_NOTHING = 0.1
"""A token with more evidence for no letter than this is part of a chorus or greeting."""


@dataclass(frozen=True, slots=True)
class _Draft:
    run: Run
    start: float
    inferred: bool = False
    """No word of its own names or exemplifies the letter; it stands where the order leaves a place for it."""


def build_phrases(
    runs: Sequence[Run], found: Sequence[Token], evidence: Evidence, duration_seconds: float, options: PhraseOptions
) -> list[Phrase]:
    """The phrases of `runs`, in time order, none reaching into the next or past `duration_seconds`."""
    shape = _usual_shape(runs, found, evidence)
    drafts = _with_lost_letters(_drafts(runs, found, evidence, shape, options), found, evidence, shape)
    phrases: list[Phrase] = []
    if not drafts:
        return phrases
    for draft, following in zip(drafts, [*drafts[1:], None], strict=True):
        low, _limit, letter = draft.run
        high = _last_own(draft, found, evidence, shape, options.trailing_gap_seconds)
        last_end = max(_spoken_end(token) for token in found[low:high])
        next_start = found[high].start_seconds if high < len(found) else np.inf
        if following is not None:
            next_start = min(next_start, following.start)
        end = next_start if next_start - last_end <= options.max_hold_seconds else last_end + options.hold_seconds
        end = min(max(end, draft.start), duration_seconds)
        own = _Draft(Run(low, high, letter), min(draft.start, duration_seconds), draft.inferred)
        phrases.append(_phrase(own, end, found, evidence))
    return phrases


def _phrase(draft: _Draft, end: float, found: Sequence[Token], evidence: Evidence) -> Phrase:
    low, high, letter = draft.run
    is_strong = evidence.names_TL[low:high, letter] >= 0.5
    is_strong |= evidence.examples_TL[low:high, letter] >= 0.9
    starts = [token.start_seconds for token in found[low:high]]
    inside = [draft.start <= start <= end for start in starts]
    strong = [start for start, sign, fits in zip(starts, is_strong, inside, strict=True) if fits and sign]
    weak = [start for start, sign, fits in zip(starts, is_strong, inside, strict=True) if fits and not sign]
    return Phrase(
        letter=LETTERS[letter],
        object_word=None if draft.inferred else _object_word(draft.run, found, evidence),
        start_seconds=draft.start,
        end_seconds=end,
        confidence=INFERRED_CONFIDENCE if draft.inferred else _confidence(draft.run, evidence),
        cut_points=(*strong, *weak),
        strong_cuts=len(strong),
        starts_named=not draft.inferred and _is_name(low, letter, evidence),
    )


# --- where a phrase begins -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the phrases of this song have in common; None where too few show it.

    Args:
        filler: seconds from a phrase's start to its first filler ("is").
        example: seconds from a phrase's start to its first example.
        period: seconds from a phrase's start to the next one's.
    """

    filler: float | None
    example: float | None
    period: float | None


def _usual_shape(runs: Sequence[Run], found: Sequence[Token], evidence: Evidence) -> _Shape:
    fillers: list[float] = []
    examples: list[float] = []
    for low, high, letter in runs:
        if not _is_name(low, letter, evidence):
            continue
        start = found[low].start_seconds
        if low + 1 < high and found[low + 1].text in FILLERS:
            fillers.append(found[low + 1].start_seconds - start)
        rows = np.flatnonzero(evidence.examples_TL[low + 1 : high, letter] >= 0.9)
        if rows.size:
            examples.append(found[low + 1 + int(rows[0])].start_seconds - start)
    starts = [found[run.low].start_seconds for run in runs]
    periods = [after - before for before, after in pairwise(starts)]
    return _Shape(*(median(values) if len(values) > 3 else None for values in (fillers, examples, periods)))


def _is_name(row: int, letter: int, evidence: Evidence) -> bool:
    is_named = evidence.names_TL[row, letter] >= 0.3
    # A similar name that its example tells apart: "N is for moon".
    return bool(is_named or (evidence.patterns_TL[row, letter] and evidence.examples_TL[row, letter] == 0))


def _drafts(
    runs: Sequence[Run], found: Sequence[Token], evidence: Evidence, shape: _Shape, options: PhraseOptions
) -> list[_Draft]:
    """Where each phrase begins: at its name; where that was lost, as long before its first word as in the song's other phrases."""
    drafts: list[_Draft] = []
    free = 0  # tokens before this one are signs of earlier letters
    for run in runs:
        low, start = run.low, found[run.low].start_seconds
        if not _is_name(run.low, run.letter, evidence):
            low, start = _lost_beginning(run, free, found, evidence, shape, options)
        drafts.append(_Draft(Run(low, run.high, run.letter), start))
        free = _after_signs(run, evidence)
    for index, following in enumerate(drafts[1:]):
        low, high, letter = drafts[index].run
        drafts[index] = _Draft(Run(low, min(high, following.run.low), letter), drafts[index].start)
    return drafts


def _after_signs(run: Run, evidence: Evidence) -> int:
    """The token after the run's last one that speaks for its letter; names that are only similar do not."""
    signs = np.flatnonzero(evidence.letters_TL[run.low : run.high, run.letter] >= 0.3)
    return run.low + (int(signs[-1]) + 1 if signs.size else 1)


def _lost_beginning(
    run: Run, free: int, found: Sequence[Token], evidence: Evidence, shape: _Shape, options: PhraseOptions
) -> tuple[int, float]:
    """(first token, start) of a phrase whose name was lost; its tokens are sought from `free` on."""
    start = found[run.low].start_seconds
    earliest = max(_spoken_end(found[free - 1]) if free else 0.0, start - options.max_lead_seconds)
    if shape.example is not None and evidence.examples_TL[run.low, run.letter] >= 0.9:
        begin = min(max(start - shape.example, earliest), start)
    else:
        first, seen = run.low, set[str]()
        while first > free and found[first - 1].text in FILLERS - seen and found[first - 1].start_seconds >= earliest:
            # "... apple | is for ball": these fillers lead to this phrase's example; a second "is" is the other phrase's.
            first -= 1
            seen.add(found[first].text)
        begin = found[first].start_seconds
        if shape.filler is not None and first < run.low:
            begin = min(max(begin - shape.filler, earliest), begin)
    low = next((row for row in range(free, run.low) if found[row].start_seconds >= begin - 0.1), run.low)
    return low, min(begin, found[low].start_seconds)


def _with_lost_letters(
    drafts: Sequence[_Draft], found: Sequence[Token], evidence: Evidence, shape: _Shape
) -> list[_Draft]:
    """Gives one or two letters between their neighbours of the alphabet the place that the song's rhythm leaves for them.

    Only where the time between the neighbours is that of so many phrases, and words were heard in each of them.
    """
    if shape.period is None or len(drafts) < 8:
        return list(drafts)
    filled: list[_Draft] = []
    for here, following in pairwise(drafts):
        lost = following.run.letter - here.run.letter - 1
        periods = (following.start - here.start) / shape.period
        places: list[_Draft] = []
        if lost in (1, 2) and abs(periods - lost - 1) < 0.3 * (lost + 1):
            places = _places(here, following, lost, found, evidence)
        if len(places) == lost and places:
            low, high, letter = here.run
            filled.append(
                _Draft(Run(low, max(min(high, places[0].run.low), low + 1), letter), here.start, here.inferred)
            )
            filled.extend(places)
        else:
            filled.append(here)
    return [*filled, drafts[-1]]


def _places(here: _Draft, following: _Draft, lost: int, found: Sequence[Token], evidence: Evidence) -> list[_Draft]:
    """The lost letters between two phrases that have words of their own, each at its place in an even division."""
    free = _after_signs(here.run, evidence)
    step = (following.start - here.start) / (lost + 1)
    places: list[_Draft] = []
    for order in range(1, lost + 1):
        begin = max(here.start + order * step, _spoken_end(found[free - 1]) if free else 0.0)
        rows = [
            row
            for row in range(free, following.run.low)
            if begin - 0.1 <= found[row].start_seconds < begin + step - 0.1 and evidence.none_T[row] <= _SAYS_NOTHING
        ]
        if rows:
            run = Run(rows[0], rows[-1] + 1, here.run.letter + order)
            places.append(_Draft(run, min(begin, found[rows[0]].start_seconds), True))
    return places


# --- where it ends -------------------------------------------------------------------------------------------------


def _spoken_end(token: Token) -> float:
    """When a word ends: tracks with word times give only starts, and the last word of a line seems to last as the line."""
    if token.timing != "native":
        return token.end_seconds
    return min(token.end_seconds, token.start_seconds + 0.3 + 0.08 * len(token.text))


def _last_own(draft: _Draft, found: Sequence[Token], evidence: Evidence, shape: _Shape, gap_seconds: float) -> int:
    """End of the tokens that are the letter's own: those after its last sign belong to it until the first pause.

    And no longer than a phrase of this song usually lasts.
    """
    high = draft.run.high
    end = _after_signs(draft.run, evidence)
    latest = draft.start + 1.25 * shape.period - 0.1 if shape.period is not None else np.inf
    while (
        end < high
        and found[end].start_seconds - _spoken_end(found[end - 1]) <= gap_seconds
        and found[end].start_seconds < latest
    ):
        end += 1
    return end


# --- what it says --------------------------------------------------------------------------------------------------


def _object_word(run: Run, found: Sequence[Token], evidence: Evidence) -> str | None:
    """The first example: of a pattern before others, of the lexicon before words that only begin with the letter."""
    low, high, letter = run
    values = evidence.examples_TL[low:high, letter] + evidence.patterns_TL[low:high, letter]
    # "bee" alone names B; "B is for bee" shows one.
    values = np.where(evidence.names_TL[low:high, letter] > 0, values - 1.0, values)
    values = np.where(evidence.examples_TL[low:high, letter] > 0, values, 0.0)
    if not values.size or values.max() <= 0:
        return None
    return found[low + int(values.argmax())].text.removesuffix("'s")


def _confidence(run: Run, evidence: Evidence) -> float:
    """1 - exp(-s): s is the evidence for the letter less that for the best other one. Not yet calibrated on labelled songs."""
    sums = evidence.letters_TL[run.low : run.high].sum(axis=0)
    margin = sums[run.letter] - np.delete(sums, run.letter).max()
    return round(float(1 - np.exp(-max(margin, 0.0))), 3)
