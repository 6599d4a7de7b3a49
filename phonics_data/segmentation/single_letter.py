"""Words and OCR trace of a video of one letter -> its phrases. Pure.

The manifest names the letter, so the evidence is not searched for an alphabet but for signs of this letter: its name,
sound and object words in the transcript, the letter and its object words on the screen.

1. The gate: strong signs are required. Weak signs, or no evidence at all (no words and no OCR), give pieces between cuts and
   pauses that only the manifest labels; their confidence is below every sensible minimum. A video that was read and
   shows nothing of the letter, or other letters, is refused.
2. Events: each object ("B is for bat", a text line "Bat") begins a phrase. Words and screen are matched in time.
3. Boundaries: a phrase lasts until the next one begins, or until the last sign of its letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import numpy as np

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.evidence import EvidenceWeights, clearly_named, word_evidence
from phonics_data.segmentation.length import LengthLimits
from phonics_data.segmentation.letter_mentions import Mention, letter_mentions
from phonics_data.segmentation.lexicon import LETTERS, tokens
from phonics_data.segmentation.phrases import HOLD_SECONDS, Phrase
from phonics_data.segmentation.screen_decoder import decode_screen
from phonics_data.segmentation.screen_evidence import LETTER_WEIGHTS, ScreenOptions
from phonics_data.segmentation.screen_letters import screen_letters
from phonics_data.segmentation.text_lines import ObjectLine, begins_with_pair, object_lines, shows_letter_alone
from phonics_data.segmentation.units import Unit, replaces_words
from phonics_data.types import ObjectWordSource, ScreenLetter, Word

MANIFEST_CONFIDENCE = 0.05
"""Of segments that only the manifest labels. Below the default minimum confidence of `shard`, so such clips are an option."""
_BOTH_CONFIDENCE, _ONE_CONFIDENCE, _UNNAMED_CONFIDENCE, _SHAPE_CONFIDENCE = 0.95, 0.85, 0.75, 0.6
"""Of a phrase that words and screen contain, of one that one of them contains, of one without an object word, and of one
that only a lone shape of the letter supports. Set, not fitted: there are too few labelled videos of one letter."""

_STRONG_MENTION, _WEAK_MENTION = 0.6, 0.3
"""`Mention.strength` that other talk does not reach, and that it reaches by accident."""
_MIN_MENTIONED_SHARE, _MIN_LONE_MENTION_SHARE = 0.2, 0.25
"""Share of a transcript's words in several strong mentions, or in a single one; "see you for coffee" in a talk is no video of
C."""
_MIN_BESIDE_SHARE = 0.2
"""Share of the video in which the letter must be visible to stand beside its object words."""
_MIN_WEAK_MENTIONS = 2
"""Weak mentions below which nothing fits the letter."""
_MAX_OTHER_LETTERS = 8
"""A transcript that clearly names so many other letters is an alphabet."""
_MIN_HEIGHT = 0.08
"""Height of a letter that is a sign, as a fraction of the frame's."""
_MIN_PAIR_HEIGHT = 0.15
"""Of a letter that is evidence without words and text: equal letters of printed words ("Apple") are smaller."""
_MAX_PAIR_RATIO, _MIN_PAIR_SCORE, _MIN_PAIR_SECONDS = 0.92, 0.9, 1.0
"""Of the heights of the two letters of a pair, the probability of each, and the time for which both are visible."""
_BAR_WEIGHT = 0.5
"""`LETTER_WEIGHTS` of letters that are bars and discs."""
_MIN_DOMINANT_SHARE, _MIN_VISIBLE_SHARE, _DOMINANT_SCORE = 0.45, 0.4, 0.97
"""A lone shape is the letter if it has this share of all letters, is visible for this share of the video, and is read with
this probability. Videos without letters reach one or two of the three."""
_MIN_SHOWN_SECONDS = 0.5
"""Shorter detections of the letter are no sign that the video is about it."""
_MIN_SHOWN_SHARE = 0.25
"""A letter that the video is about is shown for at least this share of the time (weighted by height) of the letter shown most."""
_MIN_LETTER_LINE_SCORE = 0.8
"""Confidence of a text line that is the letter alone."""
_MIN_PRINTED_SHARE = 0.25
"""Share of the video in which a letter that a text line contains alone is visible; letters of titles fly in one by one."""
_MIN_LINE_SHARE, _MIN_LONE_LINE_SHARE = 0.3, 0.7
"""Share of the screen's words that begin with the letter, if the letter itself is on the screen, and if it is not. Of the words
of signs and credits about one in 20 begins with it; of "one" to "ten", or of names of colours, up to three in ten."""
_EARLY_SECONDS, _LATE_SECONDS = 0.3, 1.5
"""A text line belongs to words that begin up to 0.3 s after it and end up to 1.5 s before it."""
_TOGETHER_SECONDS = 0.4
"""Lines that appear within this time belong to a scene with several objects."""
_DEFAULT_LEAD_SECONDS = 0.6
"""From the name of the letter to the text line of its object, if no phrase of the video has both."""
_MAX_SIGN_GAP_SECONDS = 1.0
"""Signs with a longer gap do not belong to one phrase."""
_PAUSE_SECONDS = 0.8
"""Between two words, for pieces that only the manifest labels."""


@dataclass(frozen=True, slots=True)
class _Event:
    """The beginning of a phrase.

    Args:
        end: end of its last word or of its text line.
        source: of the object word.
        is_spoken, is_shown: the sources that contain it.
    """

    start: float
    end: float
    object_word: str | None
    source: ObjectWordSource
    is_spoken: bool = False
    is_shown: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SingleLetterDecoding:
    """The phrases of a video of one letter.

    Args:
        refusal: why the video is refused, with what was found and what is required; empty if there are phrases.
    """

    phrases: tuple[Phrase, ...] = ()
    refusal: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Signs:
    """What a video contains of its letter.

    Args:
        mentions: of the words; `strong` are those that other talk does not contain.
        num_words: tokens of the transcript.
        other_letters: letters that the words name clearly.
        shown: tracks of the letter on the screen.
        shown_share: their time, weighted by height, relative to that of the letter that is shown most.
        main_letter: the letter that is shown most; empty if none is.
        total_share: as `shown_share`, relative to all letters.
        visible_share: share of the video in which the letter is visible.
        lines: text lines that name objects.
        line_share: share of the screen's words that begin with the letter.
        has_pair: the screen shows the letter twice side by side, or as printed text.
        other_pairs: other letters that it shows so.
        is_alphabet: the screen shows the whole alphabet.
        was_read: OCR was run.
    """

    letter: str
    mentions: list[Mention]
    num_words: int
    other_letters: str
    shown: list[ScreenLetter]
    shown_share: float
    main_letter: str
    total_share: float
    visible_share: float
    lines: list[ObjectLine]
    line_share: float
    has_pair: bool
    other_pairs: str
    is_alphabet: bool
    was_read: bool

    @property
    def strong(self) -> list[Mention]:
        return [one for one in self.mentions if one.strength >= _STRONG_MENTION]

    @property
    def mentioned_share(self) -> float:
        return sum(len(one.support) for one in self.strong) / max(self.num_words, 1)

    @property
    def is_spoken(self) -> bool:
        least = _MIN_MENTIONED_SHARE if len(self.strong) > 1 else _MIN_LONE_MENTION_SHARE
        return self.mentioned_share >= least

    @property
    def is_listed(self) -> bool:
        """The screen's text names objects of this letter: some beside the letter, or mostly and several without it."""
        num_objects = len({line.object_word for line in self.lines})
        has_letter = self.has_pair or (self.is_main and self.visible_share >= _MIN_BESIDE_SHARE)
        is_beside_letter = has_letter and self.line_share >= _MIN_LINE_SHARE and num_objects > 0
        return is_beside_letter or (self.line_share >= _MIN_LONE_LINE_SHARE and num_objects > 1)

    @property
    def is_shown(self) -> bool:
        """The letter itself is on the screen: as a pair ("Bb"), as printed text, or as the one large shape of the video."""
        is_pair = self.is_main and self.has_pair and self.total_share >= _MIN_DOMINANT_SHARE
        return is_pair or self.is_dominant

    @property
    def is_dominant(self) -> bool:
        """The letter is the only large shape for much of the video. Bars and discs (I, O) are drawn everywhere."""
        best = max((one.score for one in self.shown if one.box[3] - one.box[1] >= _MIN_PAIR_HEIGHT), default=0.0)
        return (
            LETTER_WEIGHTS.get(self.letter, 1.0) > _BAR_WEIGHT
            and best >= _DOMINANT_SCORE
            and self.total_share >= _MIN_DOMINANT_SHARE
            and self.visible_share >= _MIN_VISIBLE_SHARE
        )

    @property
    def is_main(self) -> bool:
        """The letter, or a shape like it, is on the screen for about as long as the letter that is shown most."""
        seconds = sum(one.end_seconds - one.start_seconds for one in self.shown)
        return seconds >= _MIN_SHOWN_SECONDS and self.shown_share >= _MIN_SHOWN_SHARE

    @property
    def is_weak(self) -> bool:
        """Something fits the letter, but not enough to trust it."""
        is_distinct = LETTER_WEIGHTS.get(self.letter, 1.0) > _BAR_WEIGHT
        num_mentions = sum(one.strength >= _WEAK_MENTION for one in self.mentions)
        return (self.is_main and is_distinct) or bool(self.lines) or num_mentions >= _MIN_WEAK_MENTIONS


def decode_single_letter(
    words: Sequence[Word],
    source: str,
    trace: ScreenTrace | None,
    letter: str,
    *,
    duration_seconds: float,
    unit: Unit = "phrase",
    min_seconds: float = LengthLimits().min_seconds,
) -> SingleLetterDecoding:
    """The phrases of a video of one letter, one for each object word.

    Args:
        words: in time order; empty if there are none.
        source: of the words, as in `Phrase.evidence`.
        trace: None if OCR was not run.
        letter: upper case.
        unit: ``letter`` joins phrases that follow each other.
        min_seconds: a shorter phrase would be no clip, so it is joined to the one before.
    """
    signs = _signs(words, trace, letter)
    if refusal := _contradiction(signs):
        return SingleLetterDecoding(refusal=refusal)
    phrases: list[Phrase] = []
    if signs.is_spoken or signs.is_shown or signs.is_listed:
        phrases = _phrases(signs, source, trace, duration_seconds, min_seconds)
    elif signs.is_weak or (not words and trace is None):
        phrases = _pieces(words, trace, letter, duration_seconds, min_seconds)
    if not phrases:
        return SingleLetterDecoding(refusal=_refusal(signs))
    return SingleLetterDecoding(phrases=tuple(_joined(phrases) if unit == "letter" else phrases))


def is_mentioned(words: Sequence[Word], letter: str) -> bool:
    """Whether a transcript alone shows that a video is about this letter."""
    return _signs(words, None, letter).is_spoken


# --- signs and gate ------------------------------------------------------------------------------------------------


def _signs(words: Sequence[Word], trace: ScreenTrace | None, letter: str) -> _Signs:
    found = tokens(words)
    tracks = [] if trace is None else _letter_tracks(trace)
    seconds = dict.fromkeys(LETTERS, 0.0)
    for one in tracks:
        weight = LETTER_WEIGHTS.get(one.letter, 1.0) * (one.box[3] - one.box[1])
        seconds[one.letter] += weight * (one.end_seconds - one.start_seconds)
    main = max(LETTERS, key=lambda one: seconds[one])
    texts = [] if trace is None else [str(text) for text in trace.text_N.tolist()]
    initials = [word[0].upper() for text in set(texts) for word in text.split() if len(word) > 2 and word.isalpha()]
    own = [one for one in tracks if one.letter == letter]
    pairs = [one for one in LETTERS if trace is not None and _is_pair(trace, one, tracks)]
    return _Signs(
        letter=letter,
        mentions=letter_mentions(words, letter),
        num_words=len(found),
        other_letters=clearly_named(word_evidence(found, EvidenceWeights())).replace(letter, ""),
        shown=own,
        shown_share=seconds[letter] / seconds[main] if seconds[main] > 0 else 0.0,
        main_letter=main if seconds[main] > 0 else "",
        total_share=seconds[letter] / (sum(seconds.values()) or 1.0),
        visible_share=0.0 if trace is None else _visible_seconds(own) / max(trace.duration_seconds, 1e-3),
        lines=[] if trace is None else object_lines(trace, letter),
        line_share=initials.count(letter) / len(initials) if initials else 0.0,
        has_pair=letter in pairs,
        other_pairs="".join(one for one in pairs if one != letter),
        is_alphabet=trace is not None and decode_screen(trace, ScreenOptions()).is_alphabet,
        was_read=trace is not None,
    )


def _letter_tracks(trace: ScreenTrace) -> list[ScreenLetter]:
    """The letters of the screen that are large enough and not part of a word."""
    words = [
        (float(frame) / trace.rate, box)
        for frame, box, text in zip(trace.text_frame_N, trace.text_box_N4, trace.text_N, strict=True)
        if sum(character.isalpha() for character in str(text)) > 2 and not begins_with_pair(str(text))
    ]

    def is_in_word(one: ScreenLetter) -> bool:
        x, y = (one.box[0] + one.box[2]) / 2, (one.box[1] + one.box[3]) / 2
        return any(
            left <= x <= right and top <= y <= bottom
            for time, (left, top, right, bottom) in words
            if one.start_seconds - 1.0 <= time <= one.end_seconds
        )

    return [
        one
        for one in screen_letters("", trace)
        if one.box[3] - one.box[1] >= _MIN_HEIGHT and one.score >= 0.8 and not is_in_word(one)
    ]


def _visible_seconds(tracks: Sequence[ScreenLetter]) -> float:
    """Time in which at least one of the tracks is visible."""
    seconds, seen = 0.0, 0.0
    for one in sorted(tracks, key=lambda track: track.start_seconds):
        seconds += max(one.end_seconds - max(one.start_seconds, seen), 0.0)
        seen = max(seen, one.end_seconds)
    return seconds


def _is_pair(trace: ScreenTrace, letter: str, tracks: Sequence[ScreenLetter]) -> bool:
    own = [one for one in tracks if one.letter == letter]
    # Bars and discs are drawn everywhere; two of them side by side are no "Ii" or "Oo".
    is_distinct = LETTER_WEIGHTS.get(letter, 1.0) > _BAR_WEIGHT
    return (is_distinct and _has_pair(own)) or _is_printed(trace, letter, own)


def _has_pair(tracks: Sequence[ScreenLetter]) -> bool:
    """Whether the letter is shown twice side by side, in upper and lower case, for a second."""
    for one in tracks:
        for other in tracks:
            shared = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
            low, height = sorted((one.box[3] - one.box[1], other.box[3] - other.box[1]))
            # Equal letters of a printed word ("BUNNY") have one height.
            is_pair = height >= _MIN_PAIR_HEIGHT and low <= _MAX_PAIR_RATIO * height
            is_pair &= min(one.score, other.score) >= _MIN_PAIR_SCORE
            is_beside = 0 <= other.box[0] - one.box[2] < height and abs(other.box[3] - one.box[3]) < 0.5 * height
            if is_pair and is_beside and shared >= _MIN_PAIR_SECONDS:
                return True
    return False


def _is_printed(trace: ScreenTrace, letter: str, tracks: Sequence[ScreenLetter]) -> bool:
    """Whether a text line is the letter in both cases, "Bb", or the letter alone, read at two times and visible for long.

    Args:
        tracks: of the letter.
    """
    rows = [
        row
        for row in range(trace.text_frame_N.size)
        if trace.text_score_N[row] >= _MIN_LETTER_LINE_SCORE and shows_letter_alone(str(trace.text_N[row]), letter)
    ]
    has_both = any(begins_with_pair(str(trace.text_N[row])) for row in rows)
    is_visible = _visible_seconds(tracks) >= _MIN_PRINTED_SHARE * trace.duration_seconds
    return has_both or (is_visible and np.unique(trace.text_frame_N[rows]).size > 1)


def _contradiction(signs: _Signs) -> str:
    """Why the evidence contradicts the manifest; empty if it does not."""
    if len(signs.other_letters) >= _MAX_OTHER_LETTERS:
        return (
            f"the manifest has letter {signs.letter}, but the words name {len(signs.other_letters)} other letters "
            f"({signs.other_letters}); a video of one letter: fewer than {_MAX_OTHER_LETTERS}"
        )
    if signs.other_pairs and not signs.has_pair and not signs.is_main:
        return (
            f"the manifest has letter {signs.letter}, but the screen shows {signs.other_pairs} in upper and lower case and no "
            f"{signs.letter}; correct the letter in the manifest"
        )
    if signs.is_alphabet and signs.main_letter != signs.letter:
        return (
            f"the manifest has letter {signs.letter}, but the screen shows an alphabet, {signs.main_letter} longest; "
            "a video of one letter shows its letter longest"
        )
    return ""


def _refusal(signs: _Signs) -> str:
    parts: list[str] = []
    shape = ""
    if signs.main_letter == signs.letter:
        shape = f"; it shows shapes like {signs.letter}, which are drawn everywhere"
    elif signs.main_letter:
        shape = f"; it shows mostly {signs.main_letter}"
    if signs.num_words:
        others = f", others name {', '.join(signs.other_letters)}" if signs.other_letters else ""
        parts.append(
            f"of {signs.num_words} words {signs.mentioned_share:.0%} name it or an object with it (required: "
            f"{_MIN_LONE_MENTION_SHARE:.0%} in one place, {_MIN_MENTIONED_SHARE:.0%} in several){others}"
        )
    else:
        parts.append("there are no words")
    if signs.was_read:
        parts.append(
            "the screen shows neither the letter as a pair or as text nor words that begin with it"
            + (shape or "; it shows no letter")
        )
    else:
        parts.append("OCR was not run")
    return f"the manifest has letter {signs.letter}, but {'; '.join(parts)}"


# --- events --------------------------------------------------------------------------------------------------------


def _phrases(
    signs: _Signs, source: str, trace: ScreenTrace | None, duration_seconds: float, min_seconds: float
) -> list[Phrase]:
    events = _events(signs, source, min_seconds)
    intervals = _sign_intervals(signs)
    cuts = _cut_seconds(trace)
    if not events:
        # The letter is shown or sung without an object: one phrase for each stretch of signs.
        events = [_Event(start, end, None, "", is_shown=bool(signs.shown)) for start, end in _stretches(intervals)]
    # Captions may last longer than their video.
    events = [event for event in events if event.start < duration_seconds]
    if not events:
        return []
    latest = events[1].start - min_seconds if len(events) > 1 else duration_seconds
    events[0] = replace(events[0], start=_first_start(events[0], signs, intervals, latest))
    phrases: list[Phrase] = []
    for event, following in zip(events, [*events[1:], None], strict=True):
        limit = duration_seconds if following is None else following.start
        end = min(_end(event, limit, intervals, cuts), duration_seconds)
        inside = [one for one in signs.mentions if event.start <= one.start_seconds < end]
        starts = [one.start_seconds for one in inside if one.start_seconds > event.start]
        is_shown = event.is_shown or any(
            one.start_seconds < end and one.end_seconds > event.start for one in signs.shown
        )
        is_spoken = event.is_spoken or any(one.strength >= _WEAK_MENTION for one in inside)
        names = [name for name, is_used in ((source, is_spoken), ("screen", is_shown)) if is_used]
        if not event.is_spoken:
            names.reverse()
        named = _BOTH_CONFIDENCE if len(names) == 2 else _ONE_CONFIDENCE
        unnamed = _UNNAMED_CONFIDENCE if is_spoken or signs.is_listed or signs.has_pair else _SHAPE_CONFIDENCE
        phrases.append(
            Phrase(
                letter=signs.letter,
                object_word=event.object_word,
                object_word_source=event.source,
                start_seconds=max(event.start, 0.0),
                end_seconds=max(end, event.start),
                confidence=unnamed if event.object_word is None else named,
                evidence=",".join(names) or "screen",
                cut_points=tuple(starts),
                num_strong_cuts=len(starts),
            )
        )
    return [phrase for phrase in phrases if phrase.length_seconds > 0]


def _events(signs: _Signs, words_source: str, min_seconds: float) -> list[_Event]:
    """The beginnings of phrases, in time order: two neighbours have different object words."""
    spoken = _spoken_events(signs)
    together, single = _scenes_of_several(signs.lines)
    spoken, unmatched, leads = _matched(spoken, single, words_source)
    lead = median(leads) if leads else _DEFAULT_LEAD_SECONDS
    events = [*spoken, *together]
    ends = sorted(line.end_seconds for line in signs.lines)
    for line in unmatched:
        # The phrase begins before its text line: where the object before leaves, else as much earlier as in other phrases.
        left = [end for end in ends if line.start_seconds - _LATE_SECONDS <= end <= line.start_seconds]
        start = max(left) if left else max(line.start_seconds - lead, 0.0)
        events.append(_Event(start, line.end_seconds, line.object_word, "screen", is_shown=True))
    merged: list[_Event] = []
    for event in sorted(events, key=lambda one: (one.start, one.object_word is None)):
        if merged and _is_same_phrase(merged[-1], event, min_seconds):
            merged[-1] = _joined_events(merged[-1], event)
        else:
            merged.append(event)
    return merged


def _spoken_events(signs: _Signs) -> list[_Event]:
    """Patterns begin phrases. Without patterns, example words do that are said or sung more than once."""
    patterns = [one for one in signs.strong if one.kind == "pattern"]
    if not patterns:
        examples = [one for one in signs.mentions if one.kind == "example" and one.object_word]
        counts = [sum(other.object_word == one.object_word for other in examples) for one in examples]
        patterns = [one for one, count in zip(examples, counts, strict=True) if count > 1] if signs.is_spoken else []
    return [
        _Event(one.start_seconds, one.end_seconds, one.object_word, "words" if one.object_word else "", is_spoken=True)
        for one in patterns
    ]


def _scenes_of_several(lines: Sequence[ObjectLine]) -> tuple[list[_Event], list[ObjectLine]]:
    """(events of scenes that show several objects at once, the other lines)."""
    groups: list[list[ObjectLine]] = []
    for line in lines:
        if groups and line.start_seconds - groups[-1][0].start_seconds <= _TOGETHER_SECONDS:
            groups[-1].append(line)
        else:
            groups.append([line])
    several = [group for group in groups if len({line.object_word for line in group}) > 1]
    events = [
        _Event(group[0].start_seconds, max(line.end_seconds for line in group), None, "", is_shown=True)
        for group in several
    ]
    return events, [line for group in groups if group not in several for line in group]


def _matched(
    spoken: Sequence[_Event], lines: Sequence[ObjectLine], words_source: str
) -> tuple[list[_Event], list[ObjectLine], list[float]]:
    """(the spoken events with the words of their lines, lines without spoken event, seconds from each event to its line)."""
    rest = list(lines)
    matched: list[_Event] = []
    leads: list[float] = []
    for event, following in zip(spoken, [*spoken[1:], None], strict=False):
        limit = event.end + _LATE_SECONDS
        if following is not None:
            limit = min(limit, following.start + _EARLY_SECONDS)
        own = [line for line in rest if event.start - _EARLY_SECONDS <= line.start_seconds < limit]
        if own:
            agreeing = [line for line in own if line.object_word == event.object_word]
            line = agreeing[0] if agreeing else max(own, key=lambda one: (one.score, -one.start_seconds))
            rest = [one for one in rest if one is not line]
            is_named = event.object_word is None or (not agreeing and replaces_words(line, words_source))
            if agreeing or is_named:
                leads.append(line.start_seconds - event.start)
                word, source = (line.object_word, "screen") if is_named else (event.object_word, event.source)
                end = max(event.end, line.end_seconds)
                event = _Event(event.start, end, word, source, is_spoken=True, is_shown=True)
        matched.append(event)
    return matched, rest, [lead for lead in leads if lead > 0]


def _is_same_phrase(before: _Event, event: _Event, min_seconds: float) -> bool:
    """Whether an event repeats the object before, or would leave the phrase before too short for a clip."""
    words = [(one.object_word or "").removesuffix("s") for one in (before, event)]
    is_repeat = words[0] == words[1] != ""
    return is_repeat or event.start - before.start < min_seconds


def _joined_events(before: _Event, event: _Event) -> _Event:
    named = before if before.object_word is not None else event
    return _Event(
        before.start,
        max(before.end, event.end),
        named.object_word,
        named.source,
        is_spoken=before.is_spoken or event.is_spoken,
        is_shown=before.is_shown or event.is_shown,
    )


# --- boundaries ----------------------------------------------------------------------------------------------------


def _sign_intervals(signs: _Signs) -> list[tuple[float, float]]:
    """(start, end) of each sign of the letter, in time order."""
    intervals = [(one.start_seconds, one.end_seconds) for one in signs.mentions if one.strength > 0.1]
    intervals += [(one.start_seconds, one.end_seconds) for one in (*signs.shown, *signs.lines)]
    return sorted(intervals)


def _stretches(intervals: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The intervals, where those with short gaps are joined."""
    stretches: list[tuple[float, float]] = []
    for start, end in intervals:
        if stretches and start - stretches[-1][1] <= _MAX_SIGN_GAP_SECONDS:
            stretches[-1] = stretches[-1][0], max(stretches[-1][1], end)
        else:
            stretches.append((start, end))
    return stretches


def _first_start(event: _Event, signs: _Signs, intervals: Sequence[tuple[float, float]], latest: float) -> float:
    """Start of the first phrase: the first of the signs that lead to it without a gap.

    A letter that appears just after the recognized name gives the exact time, since the first recognized word of a
    video often begins too early: the video may begin with the end of another scene.

    Args:
        latest: a letter that appears after this time belongs to the next phrase.
    """
    start = event.start
    appeared = [one.start_seconds for one in signs.shown if one.start_seconds <= start + _MAX_SIGN_GAP_SECONDS]
    if event.is_spoken and appeared and start < min(appeared) <= latest:
        return min(appeared)
    for low, high in reversed(intervals):
        if low < start and high >= start - _MAX_SIGN_GAP_SECONDS:
            start = low
    return start


def _end(event: _Event, limit: float, intervals: Sequence[tuple[float, float]], cuts: Sequence[float]) -> float:
    """End of a phrase: `limit`, where the next one begins, unless the signs end long before it."""
    last = max(
        [event.end, *(end for start, end in intervals if event.start <= start < limit or start < event.start < end)]
    )
    last = min(last, limit)
    if limit - last <= _MAX_SIGN_GAP_SECONDS:
        return limit
    return min([last + HOLD_SECONDS, *(cut for cut in cuts if last <= cut)])


def _cut_seconds(trace: ScreenTrace | None) -> list[float]:
    """The times of the cuts, in order."""
    return [] if trace is None else [trace.change_seconds(frame) for frame in np.flatnonzero(trace.cut_T).tolist()]


def _joined(phrases: Sequence[Phrase]) -> list[Phrase]:
    """Phrases that follow each other without a gap become one, with the first object word."""
    joined: list[Phrase] = []
    for phrase in phrases:
        if joined and phrase.start_seconds - joined[-1].end_seconds < 1e-6:
            before = joined.pop()
            named = before if before.object_word is not None else phrase
            strong = [before, phrase]
            phrase = replace(
                before,
                object_word=named.object_word,
                object_word_source=named.object_word_source,
                end_seconds=phrase.end_seconds,
                confidence=min(before.confidence, phrase.confidence),
                cut_points=tuple(time for one in (before, phrase) for time in (one.start_seconds, *one.cut_points)),
                num_strong_cuts=sum(1 + one.num_strong_cuts for one in strong),
            )
        joined.append(phrase)
    return joined


# --- only the manifest ---------------------------------------------------------------------------------------------


def _pieces(
    words: Sequence[Word], trace: ScreenTrace | None, letter: str, duration_seconds: float, min_seconds: float
) -> list[Phrase]:
    """The video between its cuts and the pauses of its words. Scenes of a title at the beginning are left out."""
    pauses = [
        (before.end_seconds + after.start_seconds) / 2
        for before, after in pairwise(words)
        if after.start_seconds - before.end_seconds >= _PAUSE_SECONDS
    ]
    boundaries = [0.0]
    for time in sorted([*pauses, *_cut_seconds(trace)]):
        if min(time - boundaries[-1], duration_seconds - time) >= 2 * min_seconds:
            boundaries.append(time)
    pieces = list(pairwise([*boundaries, duration_seconds]))
    while len(pieces) > 1 and trace is not None and _is_title(pieces[0], trace, letter):
        pieces.pop(0)
    return [
        Phrase(
            letter=letter,
            object_word=None,
            start_seconds=start,
            end_seconds=end,
            confidence=MANIFEST_CONFIDENCE,
            evidence="manifest",
        )
        for start, end in pieces
    ]


def _is_title(piece: tuple[float, float], trace: ScreenTrace, letter: str) -> bool:
    """Whether the piece shows text that names no object of the letter."""
    low, high = (time * trace.rate for time in piece)
    rows = np.flatnonzero((trace.text_frame_N >= low) & (trace.text_frame_N < high))
    start, end = piece
    has_object = any(start <= line.start_seconds < end for line in object_lines(trace, letter))
    return rows.size > 0 and not has_object
