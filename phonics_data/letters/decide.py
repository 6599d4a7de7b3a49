"""All evidence of a song -> its phrases. One source leads, the others fill its gaps, mend its edges and name the object. Pure.

Words and screen are decided each by itself (`decode`, `sight`) and never added up: the times of words lie tenths of a
second beside the picture, and sums of the two were worse than the better one. Captions that time each word lead when
they pass their gate; so do captions of whole lines, whose edges then come from the picture. A recogniser's words lead
only where the screen shows no alphabet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median

from phonics_data.letters.decode import DecodeOptions, Decoding, decode_words
from phonics_data.letters.lexicon import LETTERS
from phonics_data.letters.looks import SightOptions
from phonics_data.letters.path import Order
from phonics_data.letters.phrases import INFERRED_CONFIDENCE, Phrase
from phonics_data.letters.sight import SightDecoding, decode_sight
from phonics_data.trace import ScreenTrace
from phonics_data.types import Origin, Word

CAPTION_ORIGINS: frozenset[Origin] = frozenset({"manual_captions", "auto_captions", "file"})


@dataclass(frozen=True, kw_only=True, slots=True)
class DecideOptions:
    """Every number of the decision over all sources.

    Args:
        near_seconds: an edge moves to the picture's when that is so near; words with times of their own.
        near_cue_seconds: the same for words that share the time of a line.
        agree_share: two phrases of one letter are the same when they share so much of the shorter one.
        free_share: a phrase of another source is taken when so much of it lies where the leader has nothing certain.
    """

    words: DecodeOptions = field(default_factory=DecodeOptions)
    screen: SightOptions = field(default_factory=SightOptions)
    near_seconds: float = 0.35
    near_cue_seconds: float = 1.0
    agree_share: float = 0.4
    free_share: float = 0.6

    @staticmethod
    def of_order(order: Order) -> DecideOptions:
        """The defaults with this order for words and screen."""
        return DecideOptions(words=DecodeOptions(order=order), screen=SightOptions(order=order))


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a song's evidence says.

    Args:
        phrases: in time order, not overlapping; empty when no source shows an alphabet.
        words: what the words say, or None without any.
        screen: what the screen says, or None where it was not read.
    """

    phrases: tuple[Phrase, ...]
    words: Decoding | None
    screen: SightDecoding | None

    def why_not(self, options: DecideOptions) -> str:
        """Why no phrase was found, for a person."""
        parts: list[str] = []
        if self.words is not None:
            parts.append(
                f"the words name {self.words.num_pairs} pairs of neighbouring letters and {self.words.num_patterns} "
                f"letters with an example (an alphabet song: {options.words.min_pairs} or {options.words.min_patterns})"
            )
        if self.screen is not None:
            parts.append(
                f"the screen shows {self.screen.longest_chain} letters in order "
                f"(an alphabet song: {options.screen.min_chain})"
            )
        return "; ".join(parts) or "no words, and the screen was not read"


def decide(
    words: Sequence[Word],
    origin: Origin,
    trace: ScreenTrace | None,
    *,
    duration_seconds: float,
    options: DecideOptions,
) -> Decision:
    """The phrases of a song from everything that is known about it."""
    heard = decode_words(words, duration_seconds=duration_seconds, options=options.words) if words else None
    shown = decode_sight(trace, options.screen) if trace is not None else None
    by_words = heard.phrases if heard is not None else ()
    by_screen = shown.phrases if shown is not None else ()
    name = "captions" if origin in CAPTION_ORIGINS else "speech"
    by_words = tuple(replace(phrase, evidence=name) for phrase in by_words)
    if not by_words or (name == "speech" and by_screen):
        phrases = merge(by_screen, by_words, near_seconds=0.0, options=options)
    else:
        cue_level = sum(word.timing == "interpolated" for word in words) > len(words) / 2
        near = options.near_cue_seconds if cue_level else options.near_seconds
        phrases = merge(by_words, by_screen, near_seconds=near, options=options)
    phrases = [
        replace(phrase, end_seconds=min(phrase.end_seconds, duration_seconds))
        for phrase in phrases
        if phrase.start_seconds < duration_seconds
    ]
    return Decision(phrases=tuple(phrases), words=heard, screen=shown)


def needs_screen(words: Sequence[Word], *, duration_seconds: float) -> bool:
    """Whether the words leave room for doubt that a look at the screen could settle: it costs seconds a video."""
    if not words:
        return True
    heard = decode_words(words, duration_seconds=duration_seconds, options=DecodeOptions())
    if not heard.is_alphabet:
        return True
    letters = [LETTERS.index(phrase.letter) for phrase in heard.phrases]
    gaps = sum(after - before == 2 for before, after in pairwise(letters)) if heard.order == "strict" else 0
    doubtful = sum(phrase.confidence <= INFERRED_CONFIDENCE for phrase in heard.phrases)
    return gaps + doubtful > 0


# --- merging -------------------------------------------------------------------------------------------------------


def merge(
    leader: Sequence[Phrase], other: Sequence[Phrase], *, near_seconds: float, options: DecideOptions
) -> list[Phrase]:
    """The leader's phrases with what the other source adds.

    A phrase that both know keeps the leader's letter; its edges move to the other's where these are within
    `near_seconds`. What only the other knows is taken where the leader has nothing, or only a guess.
    """
    if not leader or not other:
        return list(leader or other)
    partner: dict[int, Phrase] = {}
    alone: list[Phrase] = []
    for phrase in other:
        same = [
            index
            for index, own in enumerate(leader)
            if own.letter == phrase.letter and index not in partner and _shared(own, phrase) >= options.agree_share
        ]
        if same:
            partner[max(same, key=lambda index: _overlap(leader[index], phrase))] = phrase
        else:
            alone.append(phrase)
    sure = [
        phrase for index, phrase in enumerate(leader) if phrase.confidence > INFERRED_CONFIDENCE or index in partner
    ]
    merged = [
        _together(phrase, partner[index], near_seconds) if index in partner else phrase
        for index, phrase in enumerate(leader)
    ]
    usual = median(phrase.end_seconds - phrase.start_seconds for phrase in leader)
    for phrase in alone:
        length = phrase.end_seconds - phrase.start_seconds
        covered = sum(_overlap(own, phrase) for own in sure)
        if length > 0.3 * usual and covered <= (1 - options.free_share) * length and _fits_order(phrase, sure):
            merged = [own for own in merged if own in sure or _shared(own, phrase) < 0.5 or own.letter == phrase.letter]
            merged.append(phrase)
    return _apart(merged)


def _overlap(one: Phrase, other: Phrase) -> float:
    shared = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
    return max(shared, 0.0)


def _shared(one: Phrase, other: Phrase) -> float:
    shorter = min(one.end_seconds - one.start_seconds, other.end_seconds - other.start_seconds)
    return _overlap(one, other) / shorter if shorter > 0 else 0.0


def _together(own: Phrase, other: Phrase, near_seconds: float) -> Phrase:
    """One phrase that both sources know: from the first sign of the letter to the last."""
    start, end = own.start_seconds, own.end_seconds
    if abs(other.start_seconds - start) <= near_seconds:
        start = other.start_seconds
    if abs(other.end_seconds - end) <= near_seconds:
        end = other.end_seconds
    return replace(
        own,
        start_seconds=start,
        end_seconds=max(end, start),
        object_word=own.object_word or other.object_word,
        confidence=round(1 - (1 - own.confidence) * (1 - other.confidence), 3),
        evidence=f"{own.evidence},{other.evidence}",
    )


def _fits_order(phrase: Phrase, others: Sequence[Phrase]) -> bool:
    """Whether a phrase stands between its neighbours as in the alphabet, in a song that keeps the order."""
    letters = [LETTERS.index(other.letter) for other in others]
    steps = [after - before for before, after in pairwise(letters)]
    if len(steps) < 4 or sum(1 <= step <= 2 for step in steps) < 0.5 * len(steps):
        return True
    letter = LETTERS.index(phrase.letter)
    before = [LETTERS.index(other.letter) for other in others if other.start_seconds <= phrase.start_seconds]
    after = [LETTERS.index(other.letter) for other in others if other.start_seconds > phrase.start_seconds]
    return (not before or before[-1] < letter) and (not after or letter < after[0])


def _apart(phrases: Sequence[Phrase]) -> list[Phrase]:
    """In time order, none reaching into the next."""
    ordered = sorted(phrases, key=lambda phrase: (phrase.start_seconds, phrase.end_seconds))
    apart: list[Phrase] = []
    for phrase, following in zip(ordered, [*ordered[1:], None], strict=True):
        end = phrase.end_seconds if following is None else min(phrase.end_seconds, following.start_seconds)
        cuts = [(time, index < phrase.strong_cuts) for index, time in enumerate(phrase.cut_points)]
        inside = [(time, is_strong) for time, is_strong in cuts if phrase.start_seconds <= time <= end]
        apart.append(
            replace(
                phrase,
                end_seconds=max(end, phrase.start_seconds),
                cut_points=tuple(time for time, _ in inside),
                strong_cuts=sum(is_strong for _, is_strong in inside),
            )
        )
    return apart
