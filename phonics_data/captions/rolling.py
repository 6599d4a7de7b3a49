"""Rolling captions: each cue repeats lines of the cue before. Pure.

Spellings, which other tools make of automatic captions:

* two or three lines, the upper ones carried over from the cue before ("scrolling");
* the same with a cue between two others, usually of 10 ms, that repeats a line alone, so that each line occurs three times;
* a line that grows word by word, "A", "A is", "A is for", or letter by letter;
* a text whose beginning is the end of the one before, wherever its lines break;
* lines of which the newest is on top.

Where lines are carried over is told by their words, not by the pauses between cues or the breaks between lines: tools end a
cue with its last word, join lines, change case and punctuation, and add markup. Repeats of words alone are carried over only without a pause.

Captions that repeat lines because the song does ("A", "A", "B", "B") have none of these forms: a cue is changed only in a
file in which most cues carry something over and add something new.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from statistics import median
from typing import TypeVar

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
_TYPED_LETTERS = 2
"""Added letters between two cues of a text that is displayed letter by letter, at most."""
_MIN_CARRIED = 2
_MAX_CARRIED = 200
"""Words, or lines, that a cue carries over: bounds the time for damaged files."""
_ROLLING_FRACTION, _DOUBT_FRACTION = 0.6, 0.3
"""Cues that carry something over and add something, of those that can: from the first on the file is rolling; between both
it cannot be told."""
_MIN_SUNG_GROWTH = 0.6
"""Growth of a line's duration with its words, as exponent, from which its first words are sung again; 1: the same time for each."""
_SUNG_WORD_SECONDS = 0.3
"""Time per word from which all words of a cue can be sung while it is displayed; lines that grow word by word have less."""


_Comparable = TypeVar("_Comparable", str, list[str])


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
    cues = [replace(cue, lines=[line for line in _visible(cue.lines) if _key(line)]) for cue in cues]
    cues = _complete_words([cue for cue in cues if cue.lines])
    completed = _without_completions(cues, name, warnings)
    if completed is not None:
        return completed
    if (scrolled := _scrolled(cues, name, warnings)) is not None:
        return scrolled
    # The newest line is on top, and the lines below are carried over.
    flipped = [_upside_down(cue) for cue in cues]
    if _num_scrolled(flipped) > _num_scrolled(cues) and (scrolled := _scrolled(flipped, name, warnings)) is not None:
        return [_upside_down(cue) for cue in scrolled]
    return _flowing(cues, name, warnings)


def _scrolled(cues: Sequence[Cue], name: str, warnings: list[str]) -> list[Cue] | None:
    """The new lines of a file whose cues carry over whole lines, or the words of these; None for other files."""
    num_two_lines, num_scrolled = _num_two_lines(cues), _num_scrolled(cues)
    has_completion = any(cue.is_completion for cue in cues)
    num_grown = sum(
        _grows(_key(before.lines[-1]), _key(after.lines[-1]))
        for before, after in pairwise(cues)
        if _is_near(before, after)
    )
    if _is_rolling(num_grown, sum(_near(cues))):
        return None
    if _is_rolling(num_scrolled, num_two_lines) or (num_scrolled > 0 and has_completion):
        return _unrolled(cues, _carried_line_words(cues), name, warnings)
    return None


def _flowing(cues: Sequence[Cue], name: str, warnings: list[str]) -> list[Cue]:
    """The new words of a file whose cues begin with the last words of the cue before, wherever their lines break."""
    words = [_key(" ".join(cue.lines)) for cue in cues]
    carried = _carried_words(cues)
    pairs = [(*pair, *more) for pair, *more in zip(pairwise(words), carried[1:], _near(cues), strict=True)]
    num_near = sum(_near(cues))
    num_grown = sum(is_near and _grows(before, after) for before, after, _, is_near in pairs)
    num_overlapping = sum(1 < count < len(after) and count < len(before) for before, after, count, _ in pairs)
    num_window = sum(1 < count < len(after) for _, after, count, _ in pairs)
    is_window = _is_rolling(num_overlapping, len(pairs)) or (
        num_overlapping >= _MIN_CARRIED and _is_rolling(num_window, len(pairs))
    )
    # Of "A", "A for apple", "B", "B for ball" no line grows twice: each is sung.
    grows_twice = any(_grows(*first[:2]) and _grows(*then[:2]) for first, then in pairwise(pairs))
    grows = (
        _is_rolling(num_grown, num_near) and not _is_sung_again(cues) and (grows_twice or not _may_be_sung_again(cues))
    )
    if grows and not is_window and num_overlapping < _MIN_CARRIED and _may_be_sung_again(cues):
        warnings.append(
            f"{name}: {num_grown} of {num_near} captions continue the text of the caption before, which is long enough to "
            "sing it again; it cannot be told whether that is so, and repeated words were left out; json3 captions have the "
            "time of each word"
        )
    if is_window or grows:
        return _unrolled(cues, carried, name, warnings)
    for count, of, what in (
        (_num_scrolled(cues), _num_two_lines(cues), "repeat lines"), (num_grown, num_near, "continue the text"),
        (num_overlapping, len(pairs), "repeat the last words"),
    ):  # fmt: skip
        if count >= _MIN_CARRIED and count >= _DOUBT_FRACTION * of:
            warnings.append(
                f"{name}: {count} of {of} captions {what} of the caption before; it cannot be told whether they are sung "
                "twice, and all were kept; json3 captions have the time of each word"
            )
    return list(cues)


def _num_two_lines(cues: Sequence[Cue]) -> int:
    return sum(len(cue.lines) > 1 for cue in cues[1:])


def _num_scrolled(cues: Sequence[Cue]) -> int:
    """Number of cues that begin with lines of the cue before."""
    lines = [[_key(line) for line in cue.lines] for cue in cues]
    return sum(_num_carried(before, after, len(after) - 1) > 0 for before, after in pairwise(lines))


def _upside_down(cue: Cue) -> Cue:
    return replace(cue, lines=cue.lines[::-1])


def _near(cues: Sequence[Cue]) -> list[bool]:
    return [_is_near(before, after) for before, after in pairwise(cues)]


def _complete_words(cues: Sequence[Cue]) -> list[Cue]:
    """A file whose lines grow letter by letter, with whole words: each cue that begins a word has all of it, others are left out."""
    texts = [" ".join(" ".join(cue.lines).split()) for cue in cues]
    near = _near(cues)
    typed = [
        one
        and after.startswith(before)
        and 0 < len(after) - len(before) <= _TYPED_LETTERS
        and after[len(before)] != " "
        for (before, after), one in zip(pairwise(texts), near, strict=True)
    ]
    grown = [one and after.startswith(before) for (before, after), one in zip(pairwise(texts), near, strict=True)]
    if not (_is_rolling(2 * sum(typed), len(near)) and _is_rolling(sum(grown), len(near))):
        return list(cues)
    result: list[Cue] = []
    for index in reversed(range(len(cues))):
        cue = cues[index]
        if result and grown[index]:
            # The words of the cue after are whole already; a cue with as many words has nothing new.
            following = " ".join(result[-1].lines).split()
            num_words = len(texts[index].split())
            if num_words == len(following):
                result[-1] = replace(cue, end=result[-1].end, lines=result[-1].lines)
                continue
            cue = replace(cue, lines=[" ".join(following[:num_words])])
        result.append(cue)
    return result[::-1]


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
    before: list[list[str]] = []
    for cue, own, one in zip(cues, words, is_repeat, strict=True):
        if one or not own:
            carried = own or carried
            continue
        visible = cue.lines
        keys = [_key(line) for line in visible]
        num_lines = _num_carried(before, keys, len(visible) - 1)
        if carried and len(own) > len(carried) and own[: len(carried)] == carried:
            result.append(replace(cue, lines=_without_words(visible, len(carried))))
        elif num_lines:
            result.append(replace(cue, lines=visible[num_lines:]))
        else:
            if own == carried and result and cue.start - result[-1].end <= _MAX_GAP_SECONDS:
                doubtful.append(f"{cue.place} {visible[0][:30]!r}")
            result.append(replace(cue, lines=visible))
        carried, before = [], keys
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


def _carried_line_words(cues: Sequence[Cue]) -> list[int]:
    """Number of first words of each cue that are whole lines of the cue before."""
    counts = [0]
    for before, cue in pairwise(cues):
        above, below = ([_key(line) for line in one.lines] for one in (before, cue))
        num_lines = carried_lines(cue, below, above if len(below) > 1 or _is_near(before, cue) else [])
        if not num_lines and _is_near(before, cue) and above[-len(below) :] == below:
            num_lines = len(below)  # lines that disappear from the top
        counts.append(sum(map(len, below[:num_lines])))
    return counts


def _carried_words(cues: Sequence[Cue]) -> list[int]:
    """Number of first words of each cue that end the cue before, from where one of its lines or its new words begin.

    Elsewhere the same words are sung again: "say A, say A", "say A, A, apple". Only one word can be new anywhere.
    """
    words = [_key(" ".join(cue.lines)) for cue in cues]
    counts = [0]
    bounds = _line_starts(cues[0]) if cues else set[int]()
    for index, (before, cue) in enumerate(pairwise(cues), start=1):
        old, new = words[index - 1], words[index]
        is_near = _is_near(before, cue)
        # At least one word is new, else a repeated "A" would be lost.
        most = min(len(old), len(new) - 1, _MAX_CARRIED)
        found = (
            count
            for count in range(most, 0, -1)
            if old[-count:] == new[:count]
            and (is_near or count > 1)
            and (len(old) - count in bounds or (1 < count == len(new) - 1 and old != new))
        )
        count = len(old) if is_near and _grows(old, new) else next(found, 0)
        if not count and is_near and old[-len(new) :] == new:
            count = len(new)
        start = len(old) - count
        bounds = _line_starts(cue) | {count} | {bound - start for bound in bounds if start <= bound < len(old)}
        counts.append(count)
    return counts


def _line_starts(cue: Cue) -> set[int]:
    return set(accumulate((len(_key(line)) for line in cue.lines), initial=0))


def _unrolled(cues: Sequence[Cue], carried: Sequence[int], name: str, warnings: list[str]) -> list[Cue]:
    """The cues without their first `carried` words. One that has nothing new is sung again if the file has cues of 10 ms."""
    has_completion = any(cue.is_completion for cue in cues)
    result: list[Cue] = []
    doubtful: list[str] = []
    before: Cue | None = None
    for cue, count in zip(cues, carried, strict=True):
        lines = _without_words(cue.lines, count)
        if not lines and len(cue.lines) == 1 and not cue.is_completion and before is not None:
            if has_completion:
                lines = cue.lines
            if has_completion or len(before.lines) == 1:
                doubtful.append(f"{cue.place} {cue.lines[0][:30]!r}")
        if lines:
            result.append(replace(cue, lines=lines))
        before = cue
    if doubtful:
        warnings.append(
            f"{name}, {doubtful[0]}: it cannot be told whether this line is sung again or still displayed; "
            f"{'kept' if has_completion else 'left out'} ({len(doubtful)} such lines)"
        )
    return result


def carried_lines(cue: Cue, visible: Sequence[_Comparable], before: Sequence[_Comparable]) -> int:
    """Number of first lines of a rolling cue that the cue before contains.

    A cue of several lines adds at least one; otherwise a repeated "A" would be lost. Only short cues add none.

    Args:
        visible: its lines with text, without tags, as strings or as words.
        before: those of the cue before; empty if that one is too long ago.
    """
    adds = 1 if len(visible) > 1 and not cue.is_completion else 0
    return _num_carried(before, visible, len(visible) - adds)


def _num_carried(before: Sequence[_Comparable], after: Sequence[_Comparable], most: int) -> int:
    """The largest number of lines, up to `most`, that end `before` and begin `after`."""
    for count in range(min(most, len(before), _MAX_CARRIED), 0, -1):
        if list(before[-count:]) == list(after[:count]):
            return count
    return 0


def _visible(lines: Sequence[str]) -> list[str]:
    return [" ".join(line.split()) for line in lines if line.strip()]


def _is_near(before: Cue, after: Cue) -> bool:
    return after.start - before.end <= _MAX_GAP_SECONDS


def _grows(old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether words are the ones before with more words."""
    return 0 < len(old) < len(new) and list(new[: len(old)]) == list(old)


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
        (before, after, len(old), len(new))
        for before, after in pairwise(cues)
        if _is_near(before, after)
        for old, new in [(_key(" ".join(before.lines)), _key(" ".join(after.lines)))]
        if _grows(old, new)
    ]
