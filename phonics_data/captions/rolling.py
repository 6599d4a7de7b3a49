"""Rolling captions: each cue repeats lines of the cue before. Pure.

Spellings, which other tools make of automatic captions:

* two or three lines, the upper ones carried over from the cue before ("scrolling");
* the same with a cue between two others, usually of 10 ms, that repeats a line alone, so that each line occurs three times;
* a line that grows word by word: "A", "A is", "A is for";
* one line whose beginning is the end of the line before.

Where lines are carried over is told by their words, not by the pauses between cues or the breaks between lines: tools end a
cue with its last word, join lines, and add markup. Repeats of words alone are carried over only without a pause.

Captions that repeat lines because the song does ("A", "A", "B", "B") have none of these forms: a cue is changed only in a
file in which most cues carry something over and add something new.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from phonics_data.captions.markup import plain_lines

MAX_COMPLETION_SECONDS = 0.05
"""Shorter cues only repeat a line that is complete."""
_MAX_GAP_SECONDS = 1.0
"""A line that is displayed alone, or that grows, is carried over to a cue that begins this long after the cue before at the
latest."""
_TOUCHING_SECONDS = 0.1
"""A cue that repeats a line alone follows the cue that it completes within this time."""
_NO_LETTERS = re.compile(r"[\W_]+")
_SAME_TIME_FRACTION = 0.8
"""Time that two cues have in common, of the time of both, from which the same words are one text."""
_MIN_CARRIED = 2
_ROLLING_FRACTION, _DOUBT_FRACTION = 0.6, 0.3
"""Cues that carry something over and add something, of those that can: from the first on the file is rolling; between both
it cannot be told."""
_MIN_SUNG_GROWTH = 0.6
"""Growth of a line's duration with its words, as exponent, from which its first words are sung again; 1: the same time for each."""
_SUNG_WORD_SECONDS = 0.3
"""Time per word from which all words of a cue can be sung while it is displayed; lines that grow word by word have less."""


@dataclass(frozen=True, slots=True)
class Cue:
    """One cue of a caption file.

    Args:
        lines: its lines as in the file.
        place: its position in the file: ``line 7``.
    """

    start: float
    end: float
    lines: list[str]
    place: str

    @property
    def is_completion(self) -> bool:
        return self.end - self.start <= MAX_COMPLETION_SECONDS


def without_doubles(cues: Sequence[Cue], name: str, warnings: list[str]) -> list[Cue]:
    """`cues` without those that display the words of another one at the same time: layers of a shadow, segments that overlap.

    Args:
        cues: in time order, with their tags; of two equal ones the one with more markup remains.
        warnings: receives a message with `name` and their number.
    """
    kept: list[Cue] = []
    last: dict[tuple[str, ...], int] = {}
    place = ""
    for cue in cues:
        key = tuple(_key(" ".join(plain_lines(cue.lines))))
        index = last.get(key)
        if key and index is not None and _is_same_time(kept[index], cue):
            place = place or kept[index].place
            if sum(map(len, cue.lines)) > sum(map(len, kept[index].lines)):
                kept[index] = replace(kept[index], lines=cue.lines)
        else:
            last[key] = len(kept)
            kept.append(cue)
    if len(kept) < len(cues):
        warnings.append(
            f"{name}, {place}: {len(cues) - len(kept)} cues are listed twice, with the same times and text; each was read once"
        )
    return kept


def _is_same_time(before: Cue, after: Cue) -> bool:
    common = min(before.end, after.end) - max(before.start, after.start)
    return common >= _SAME_TIME_FRACTION * (max(before.end, after.end) - min(before.start, after.start))


def new_lines(cues: Sequence[Cue], name: str, warnings: list[str]) -> list[Cue]:
    """The cues of a file without inline times, without what they repeat of the cue before.

    Args:
        cues: in time order; their lines contain no tags.
        warnings: receives a message with `name` and the position where repeated and carried lines cannot be distinguished.
    """
    completed = _without_completions(cues, name, warnings)
    if completed is not None:
        return completed
    plain = [_visible(cue.lines) for cue in cues]
    near = [_is_near(before, after) for before, after in pairwise(cues)]
    all_pairs = [pair for pair in pairwise(plain) if all(pair)]
    pairs = [pair for pair, one in zip(pairwise(plain), near, strict=True) if one and all(pair)]
    num_scrolled = sum(_num_carried(before, after, len(after) - 1) > 0 for before, after in all_pairs)
    num_two_lines = sum(len(after) > 1 for _, after in all_pairs)
    num_grown = sum(_grows(before[-1], after[-1]) for before, after in pairs)
    num_overlapping = sum(
        len(before) == len(after) == 1 and _num_shared(before[0], after[0]) > 0 and not _grows(before[0], after[0])
        for before, after in all_pairs
    )
    has_completion = any(cue.is_completion for cue in cues)
    scrolls = _is_rolling(num_scrolled, num_two_lines) or (num_scrolled > 0 and has_completion)
    grows = _is_rolling(num_grown, len(pairs)) and not _is_sung_again(cues)
    if grows and not scrolls and _may_be_sung_again(cues):
        warnings.append(
            f"{name}: {num_grown} of {len(pairs)} captions continue the text of the caption before, which is long enough to "
            "sing it again; it cannot be told whether that is so, and repeated words were left out; json3 captions have the "
            "time of each word"
        )
    if scrolls or grows:
        return _unrolled(cues, name, warnings, grows=grows)
    if _is_rolling(num_overlapping, len(all_pairs)):
        return _without_shared_words(cues)
    for count, of, what in (
        (num_scrolled, num_two_lines, "repeat lines"), (num_grown, len(pairs), "continue the text"),
        (num_overlapping, len(all_pairs), "repeat the last words"),
    ):  # fmt: skip
        if count >= _MIN_CARRIED and count >= _DOUBT_FRACTION * of:
            warnings.append(
                f"{name}: {count} of {of} captions {what} of the caption before; it cannot be told whether they are sung "
                "twice, and all were kept; json3 captions have the time of each word"
            )
    return list(cues)


def _is_rolling(count: int, of: int) -> bool:
    return count >= _MIN_CARRIED and count >= _ROLLING_FRACTION * of


def _without_completions(cues: Sequence[Cue], name: str, warnings: list[str]) -> list[Cue] | None:
    """The cues without those that only repeat the line before and without what the next ones carry over from these.

    None if most cues are not followed by such a repeat. A repeat is recognized by its length of 10 ms, or by the next cue,
    which begins with it and adds words: tools lengthen short cues and join lines.
    """
    words = [_key(" ".join(cue.lines)) for cue in cues]
    is_repeat = [False] * len(cues)
    for k in range(1, len(cues)):
        own, following = words[k], words[k + 1] if k + 1 < len(cues) else None
        touches = cues[k].start - cues[k - 1].end <= _TOUCHING_SECONDS
        if not own or is_repeat[k - 1] or not (touches or cues[k].is_completion) or words[k - 1][-len(own) :] != own:
            continue
        is_continued = following is None or (len(following) > len(own) and following[: len(own)] == own)
        is_repeat[k] = cues[k].is_completion or is_continued
    num_shown = sum(bool(own) and not one for own, one in zip(words, is_repeat, strict=True))
    if not _is_rolling(sum(is_repeat), num_shown):
        return None
    result: list[Cue] = []
    doubtful: list[str] = []
    carried: list[str] = []
    before: list[str] = []
    for cue, own, one in zip(cues, words, is_repeat, strict=True):
        if one or not own:
            carried = own or carried
            continue
        visible = _visible(cue.lines)
        num_lines = _num_carried(before, visible, len(visible) - 1)
        if carried and len(own) > len(carried) and own[: len(carried)] == carried:
            result.append(replace(cue, lines=_without_words(visible, len(carried))))
        elif num_lines:
            result.append(replace(cue, lines=visible[num_lines:]))
        else:
            if own == carried and result and cue.start - result[-1].end <= _MAX_GAP_SECONDS:
                doubtful.append(f"{cue.place} {visible[0][:30]!r}")
            result.append(replace(cue, lines=visible))
        carried, before = [], visible
    if doubtful:
        warnings.append(
            f"{name}, {doubtful[0]}: it cannot be told whether this line is sung again or still displayed; kept "
            f"({len(doubtful)} such lines)"
        )
    return result


def comparable(word: str) -> str:
    """`word` without case, punctuation and underlines, which tools change; empty if nothing remains."""
    return _NO_LETTERS.sub("", word.casefold())


def _key(text: str) -> list[str]:
    """The words of `text` for comparison."""
    return [word for word in map(comparable, text.split()) if word]


def _without_words(lines: Sequence[str], count: int) -> list[str]:
    """`lines` without their first `count` words, as counted by `_key`."""
    rest: list[str] = []
    for line in lines:
        tokens = line.split()
        while count and tokens:
            count -= bool(_key(tokens.pop(0)))
        if tokens:
            rest.append(" ".join(tokens))
    return rest


def _unrolled(cues: Sequence[Cue], name: str, warnings: list[str], *, grows: bool) -> list[Cue]:
    has_completion = any(cue.is_completion for cue in cues)
    result: list[Cue] = []
    doubtful: list[str] = []
    previous: Cue | None = None
    for cue in cues:
        visible = _visible(cue.lines)
        is_carried = previous is not None and (len(visible) > 1 or _is_near(previous, cue))
        before = _visible(previous.lines) if previous is not None and is_carried else []
        if not visible:
            continue
        if grows and before and len(visible) >= len(before) and _grows(before[-1], visible[len(before) - 1]):
            last = len(before) - 1
            rest = " ".join(visible[last].split()[len(before[-1].split()) :])
            new = [rest, *visible[last + 1 :]] if visible[:last] == before[:last] else visible
        else:
            new = visible[carried_lines(cue, visible, before) :]
            # One line alone that equals the last one: carried over, or sung again?
            is_repeat = len(visible) == 1 and not cue.is_completion and before[-1:] == visible
            if is_repeat and has_completion:
                new = visible
            if is_repeat and (has_completion or len(before) == 1):
                doubtful.append(f"{cue.place} {visible[0][:30]!r}")
        if new:
            result.append(replace(cue, lines=new))
        previous = cue
    if doubtful:
        warnings.append(
            f"{name}, {doubtful[0]}: it cannot be told whether this line is sung again or still displayed; "
            f"{'kept' if has_completion else 'left out'} ({len(doubtful)} such lines)"
        )
    return result


def carried_lines(cue: Cue, visible: Sequence[str], before: Sequence[str]) -> int:
    """Number of first lines of a rolling cue that the cue before contains.

    A cue of several lines adds at least one; otherwise a repeated "A" would be lost. Only short cues add none.

    Args:
        visible: its lines with text, without tags.
        before: those of the cue before; empty if that one is too long ago.
    """
    adds = 1 if len(visible) > 1 and not cue.is_completion else 0
    return _num_carried(before, visible, len(visible) - adds)


def _num_carried(before: Sequence[str], after: Sequence[str], most: int) -> int:
    """The largest number of lines, up to `most`, that end `before` and begin `after`."""
    for count in range(min(most, len(before)), 0, -1):
        if list(before[-count:]) == list(after[:count]):
            return count
    return 0


def _visible(lines: Sequence[str]) -> list[str]:
    return [" ".join(line.split()) for line in lines if line.strip()]


def _is_near(before: Cue, after: Cue) -> bool:
    return after.start - before.end <= _MAX_GAP_SECONDS


def _grows(before: str, after: str) -> bool:
    """Whether a line is the one before with more words."""
    old, new = before.split(), after.split()
    return len(new) > len(old) and new[: len(old)] == old


def _is_sung_again(cues: Sequence[Cue]) -> bool:
    """Whether lines that grow are sung from their beginning each time ("A", "A, B", "A, B, C"): they last longer each time."""
    growth = [
        math.log((after.end - after.start) / (before.end - before.start)) / math.log(num_new / num_old)
        for before, after, num_old, num_new in _growths(cues)
    ]
    return bool(growth) and median(growth) >= _MIN_SUNG_GROWTH


def _may_be_sung_again(cues: Sequence[Cue]) -> bool:
    """Whether lines that grow are displayed long enough to sing all of their words each time."""
    paces = [(after.end - after.start) / num_new for _, after, _, num_new in _growths(cues)]
    return bool(paces) and median(paces) >= _SUNG_WORD_SECONDS


def _growths(cues: Sequence[Cue]) -> list[tuple[Cue, Cue, int, int]]:
    """(cue, next cue, words of the first, words of the second) where the second continues the text of the first."""
    return [
        (before, after, len(old.split()), len(new.split()))
        for before, after in pairwise(cues)
        if _is_near(before, after)
        for old, new in [(" ".join(_visible(before.lines)), " ".join(_visible(after.lines)))]
        if old and _grows(old, new)
    ]


def _num_shared(before: str, after: str) -> int:
    """The largest number of words, two or more, that end one line and begin the next one, which has more."""
    old, new = before.split(), after.split()
    for count in range(min(len(old), len(new) - 1), 1, -1):
        if old[-count:] == new[:count]:
            return count
    return 0


def _without_shared_words(cues: Sequence[Cue]) -> list[Cue]:
    result: list[Cue] = list(cues[:1])
    for before, cue in pairwise(cues):
        old, new = " ".join(_visible(before.lines)), " ".join(_visible(cue.lines))
        count = _num_shared(old, new)
        result.append(replace(cue, lines=[" ".join(new.split()[count:])]) if count else cue)
    return result
