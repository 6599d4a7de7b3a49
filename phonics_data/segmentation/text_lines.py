"""Text lines of an OCR trace -> the object words that a video shows for a letter, each with its interval. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from phonics_data.ocr.geometry import Box
from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import FILLERS, GREETINGS, LETTERS, Token, example_of
from phonics_data.segmentation.tracks import VISIBLE_SIMILARITY, edge_similarity, edges_at

_MIN_SCORE = 0.65
"""Confidence of a text line below which it is ignored."""
_OTHER_WORD = 0.6
"""Value of a word outside the lexicon that begins with the letter; those of the lexicon have 1."""
_CERTAIN_SCORE = 0.8
"""Confidence from which a word outside the lexicon is used."""
_MAX_WORDS, _MAX_PATTERN_WORDS = 3, 5
"""Words of a line, and of one with the letter itself ("B is for Ball"). Longer lines are subtitles, credits, adverts."""
_SAME_TEXT = 0.55
"""`difflib` ratio from which two lines at one place are two readings of the same words."""
_MOVING_SECONDS = 0.75
"""A line that is read again within this time at another place has moved."""
_MAX_UNREAD_SECONDS = 1.5
"""Longest time from the appearance of a line to its first reading."""
_LOGO_FRACTION = 0.7
"""A line that is visible for a larger fraction of the video is a logo, if the video also shows others."""
_PAIR = re.compile(r"[A-Z][a-z](?![a-z]{3})")
_DOUBLED = "AELO"
"""Letters with which words begin twice: aah, eel, llama, oops. With other letters there is no such word."""
_HEADINGS = GREETINGS | frozenset(
    "abc abcs alphabet letter letters phonics sound sounds song songs kids kid learn learning english lesson tv music "
    "rhymes rhyme nursery baby more next like share the end www com http https by and".split()
)
"""Words of titles, credits and adverts; as object words they would be names of channels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectLine:
    """A text line that names an object of the letter, from its first sampled frame to its last.

    Args:
        object_word: lower case.
        box: (4,) left, top, right, bottom as fractions of width and height.
        score: 0..1; 1 for a certain reading of a word of the lexicon, up to 0.6 for another word.
    """

    object_word: str
    start_seconds: float
    end_seconds: float
    box: Box
    score: float


def object_lines(trace: ScreenTrace, letter: str) -> list[ObjectLine]:
    """The object words that the screen shows for `letter` ("Apple" for A), in time order. Titles and logos are left out.

    A line that is read several times, while it moves or is partly hidden, is one element.
    """
    groups: list[list[ObjectLine]] = []
    for row in range(trace.text_frame_N.size):
        if (word := _object_word(str(trace.text_N[row]), float(trace.text_score_N[row]), letter)) is None:
            continue
        line = _line(row, word, trace)
        group = next((group for group in reversed(groups) if _continues(group[-1], line)), None)
        if group is None:
            groups.append([line])
        else:
            group.append(line)
    merged = [_merged(group) for group in groups]
    logo_seconds = _LOGO_FRACTION * trace.duration_seconds
    is_logo = [line.end_seconds - line.start_seconds > logo_seconds for line in merged]
    if all(is_logo):
        is_logo = [False] * len(merged)
    kept = [line for line, logo in zip(merged, is_logo, strict=True) if not logo]
    return sorted(kept, key=lambda line: line.start_seconds)


def shows_letter_alone(text: str, letter: str) -> bool:
    """Whether a line is the letter alone: "B", "b", "Bb", "B b"; also "li" for "Ii"."""
    plain = re.sub(r"[^A-Za-z]", "", text)
    if letter == "I":
        plain = plain.replace("l", "I")
    return 1 <= len(plain) <= 2 and set(plain.upper()) == {letter}


def begins_with_pair(text: str) -> bool:
    """Whether a line is a letter in both cases, perhaps with a part of the picture beside it: "Bb", "Hhe", "Bb o".

    "Eel" and "Oops" are words.
    """
    is_word = text[:1] in _DOUBLED and text[2:3].isalpha()
    return bool(_PAIR.match(text)) and text[0].lower() == text[1].lower() and not is_word


def _object_word(text: str, score: float, letter: str) -> tuple[str, float] | None:
    """(object word, score) of a text line; None if it names no object of the letter."""
    words = re.findall(r"[A-Za-z][A-Za-z']*", text)
    if pattern := re.search(rf"\b{letter}\W+is\W+for\W+(?:an?\W+)?([A-Za-z][A-Za-z']*)", text, re.IGNORECASE):
        # Printed lyrics: "A is for apple, a, a, apple". The rest of the line names no other object.
        words = [pattern[1]]
    most = _MAX_PATTERN_WORDS if letter in (word.upper() for word in words) else _MAX_WORDS
    if score < _MIN_SCORE or begins_with_pair(text) or not 1 <= len(words) <= most:
        return None
    best: tuple[str, float] | None = None
    for word in words:
        if (value := _object_value(word, letter, is_alone=len(words) == 1)) and (best is None or value > best[1]):
            best = word.lower().removesuffix("'s"), value
    if best is None or (best[1] < 1 and score < _CERTAIN_SCORE):
        return None
    return best[0], best[1] * score


def _object_value(word: str, letter: str, *, is_alone: bool) -> float:
    """1 for an example word of the lexicon, 0.6 for another word that begins with the letter, else 0."""
    text = word.lower()
    if len(text) < 2 or text in _HEADINGS or text in FILLERS or text.upper() in LETTERS:
        return 0.0
    token = Token(
        text=text, start_seconds=0.0, end_seconds=0.0, word_index=0, capital=False, spelled=False, timing="native"
    )
    value = example_of(token).get(letter, 0.0)
    if value >= 0.9:
        return 1.0
    # A repeated letter is no word, and recognizers shorten lines that slide in.
    is_word = is_alone and len(text) >= 3 and len(set(text)) > 1
    return _OTHER_WORD if value > 0 and is_word else 0.0


def _line(row: int, word: tuple[str, float], trace: ScreenTrace) -> ObjectLine:
    frame, box = int(trace.text_frame_N[row]), trace.text_box_N4[row]
    edges_TGG = edges_at(box, trace)
    differs_T = edge_similarity(edges_TGG, edges_TGG[frame]) < VISIBLE_SIMILARITY
    # A line is read up to a second after it appears.
    earliest = max(0, frame - round(_MAX_UNREAD_SECONDS * trace.rate))
    before = np.flatnonzero(differs_T[earliest:frame] | trace.cut_T[earliest + 1 : frame + 1])
    after = np.flatnonzero(differs_T[frame + 1 :] | trace.cut_T[frame + 1 :])
    first = earliest + int(before[-1]) + 1 if before.size else earliest
    end = frame + 1 + int(after[0]) if after.size else trace.num_frames
    end_seconds = trace.duration_seconds if end == trace.num_frames else trace.change_seconds(end)
    return ObjectLine(
        object_word=word[0],
        start_seconds=trace.change_seconds(first),
        end_seconds=max(end_seconds, frame / trace.rate),
        box=box,
        score=word[1],
    )


def _continues(before: ObjectLine, line: ObjectLine) -> bool:
    """Whether `line` is a later reading of the same text: at the same place while visible, or after a short move."""
    one, other = before.object_word, line.object_word
    are_words = min(before.score, line.score) > _OTHER_WORD
    if are_words and not (one.startswith(other) or other.startswith(one)):
        return False  # "Bat" and then "Ball" are two objects; "Bal" and "Ball" are readings of one
    ratio = difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
    if ratio < _SAME_TEXT or line.start_seconds > before.end_seconds + _MOVING_SECONDS:
        return False
    width = max(float(before.box[2] - before.box[0]), float(line.box[2] - line.box[0]))
    distance = abs(float((before.box[0] + before.box[2]) - (line.box[0] + line.box[2]))) / 2
    return distance < 0.5 * width


def _merged(group: Sequence[ObjectLine]) -> ObjectLine:
    """One line for all readings of it; the surest reading gives the word, of equal ones the most frequent, then the longest."""
    words = [line.object_word for line in group]
    best = max(group, key=lambda line: (round(line.score, 1), words.count(line.object_word), len(line.object_word)))
    return replace(
        best,
        start_seconds=min(line.start_seconds for line in group),
        end_seconds=max(line.end_seconds for line in group),
    )
