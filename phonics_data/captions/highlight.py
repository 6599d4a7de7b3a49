"""Captions that mark the sung word: a line is repeated for each of its words, with a mark that moves through it. Pure.

A mark is whatever differs between repeats of a line: tags, colours, codes of ASS, pens, capital letters, ``[word]``, ``*word*``. The
word alone is marked (Whisper's word times), or all words up to it (karaoke). A conversion can lose the marks: then a track repeats
each line as often as the line has words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from phonics_data.captions.clean import is_sound
from phonics_data.captions.markup import StyledWord, styled_words
from phonics_data.captions.rolling import Cue, comparable

_MAX_GAP_SECONDS = 1.0
_MAX_PAUSE_SECONDS = 10.0
"""Between two words of a line, whose mark goes on after it."""
_TOUCHING_SECONDS = 0.1
_MIN_FRACTION = 0.6
"""Of the cues of a file that have to belong to lines with a moving mark; other markup is emphasis."""
_SUNG_WORD_SECONDS = 0.15
"""Less time for each word of a cue shows that not all of its words are sung while it is displayed."""
_WRAPPED = re.compile(r"^[\[*_({<]+(\w.*?)[\])*_}>]+([.,!?;:]*)$")
_PUNCTUATION = ".,!?;:\"'…-–"


@dataclass(frozen=True, slots=True)
class _Styled:
    """A cue with its words; `keys` are the words without case and punctuation."""

    cue: Cue
    words: list[StyledWord]
    keys: list[str]


@dataclass(slots=True)
class _Run:
    """Cues that display the same words one after the other.

    `starts` has the time at which each mark arrives at a word; `group` is the first word of the newest mark, `last` its last one.
    """

    cues: list[_Styled]
    starts: dict[int, float]
    begins_marked: bool
    group: int
    last: int
    num_marks: int

    @property
    def moves(self) -> bool:
        return self.num_marks > 1


def merged_highlights(cues: Sequence[Cue], name: str, warnings: list[str]) -> list[Cue] | None:
    """One cue for each line, with WebVTT's inline times before its marked words; None if lines are not repeated for their words.

    Args:
        cues: in time order, with their tags.
        warnings: receives a message with `name` where marks are lost, so that only the repeats tell.
    """
    styled = [_styled(cue) for cue in cues]
    styled = [one for one in styled if one.keys]
    runs = _runs(styled)
    num_moving = sum(len(run.cues) for run in runs if run.moves)
    num_long = sum(len(one.keys) > 1 for one in styled)  # through one word no mark moves
    if num_moving >= 2 and num_moving >= _MIN_FRACTION * num_long:
        return _merged(runs)
    return _merged_without_marks(styled, name, warnings)


def _styled(cue: Cue) -> _Styled:
    words = [word for word in styled_words(cue.lines) if comparable(word.text)]
    return _Styled(cue, words, [comparable(word.text) for word in words])


def _runs(styled: Sequence[_Styled]) -> list[_Run]:
    runs: list[_Run] = []
    for one in styled:
        if not (runs and _continue(runs[-1], one)):
            has_mark = len({word.style for word in one.words}) > 1 or bool(len(one.words) == 1 and one.words[0].style)
            runs.append(_begin(one, has_mark=has_mark))
    return runs


def _begin(one: _Styled, *, has_mark: bool) -> _Run:
    base = one.words[-1].style
    marked = [index for index, word in enumerate(one.words) if word.style != base] if has_mark else []
    if has_mark and not marked:
        marked = [0]
    if marked:
        return _Run([one], {marked[0]: one.cue.start}, True, marked[0], marked[-1], 1)
    return _Run([one], {}, False, -1, -1, 0)


def _continue(run: _Run, one: _Styled) -> bool:
    """Add a cue with the same words to `run`; False if it does not continue it: the mark moves back, which begins the line again."""
    before = run.cues[-1]
    gap = one.cue.start - before.cue.end
    if one.keys != before.keys or gap > _MAX_PAUSE_SECONDS:
        return False
    first = run.cues[0]
    changed = [
        index
        for index, pair in enumerate(zip(before.words, one.words, strict=True))
        if _look(pair[0]) != _look(pair[1])
    ]
    if not changed:
        if len(one.keys) == 1 or not run.num_marks or gap > _MAX_GAP_SECONDS:
            return False
        run.cues.append(one)
        return True
    if len(changed) == len(one.keys) > 1 and _is_uniform(before, one):
        # A line in italics, then upright: sung again by others.
        return False
    if len(run.cues) == 1 and run.last < 0 and changed[-1] > 0:
        # Marks that are no tags: capital letters at the first word, then at the next one.
        run.group = run.last = 0
        run.starts[0], run.num_marks, run.begins_marked = first.cue.start, 1, True
    new = [index for index in changed if index > run.last]
    if gap > _MAX_GAP_SECONDS and not (new and run.num_marks):
        return False
    is_first_again = run.begins_marked and list(map(_look, one.words)) == list(map(_look, first.words))
    if not new and (changed[0] < run.group or (is_first_again and (run.num_marks > 1 or len(one.keys) == 1))):
        return False
    if new and changed[0] < run.group:
        # Karaoke that begins again with another mark.
        return False
    run.cues.append(one)
    if new:
        run.starts[new[0]] = one.cue.start
        run.group, run.last = new[0], new[-1]
        run.num_marks += 1
    return True


def _look(word: StyledWord) -> tuple[str, tuple[str, ...]]:
    """How a word is displayed, without what differs between repeats that are sung: punctuation, and a capital that begins a word."""
    text = word.text.strip(_PUNCTUATION)
    return text if text.isupper() or _WRAPPED.match(text) else text.lower(), word.style


def _is_uniform(before: _Styled, after: _Styled) -> bool:
    """Whether all words of each cue are displayed in the same way."""
    styles = [{word.style for word in one.words} for one in (before, after)]
    if len(styles[0] | styles[1]) > 1:
        return all(len(found) == 1 for found in styles)
    forms = [
        {
            (word.text.isupper(), bool(_WRAPPED.match(word.text)), any(map(unicodedata.combining, word.text)))
            for word in one.words
        }
        for one in (before, after)
    ]
    return all(len(found) == 1 for found in forms)


def _merged(runs: Sequence[_Run]) -> list[Cue]:
    sung = [_marked_lines(run) if run.moves else set[str]() for run in runs]
    is_wrapped = _has_wrapped_marks(runs)
    result: list[Cue] = []
    for index, run in enumerate(runs):
        around = set[str]().union(*sung[max(index - 1, 0) : index + 2])
        if (cue := _merged_run(run, sung[index], around, is_wrapped=is_wrapped)) is not None:
            result.append(cue)
    return result


def _line_keys(one: _Styled) -> dict[int, str]:
    lines: dict[int, list[str]] = {}
    for word, key in zip(one.words, one.keys, strict=True):
        lines.setdefault(word.line, []).append(key)
    return {line: " ".join(keys) for line, keys in lines.items()}


def _marked_lines(run: _Run) -> set[str]:
    first = run.cues[0]
    lines = _line_keys(first)
    return {lines[first.words[index].line] for index in run.starts}


def _merged_run(run: _Run, sung: set[str], around: set[str], *, is_wrapped: bool) -> Cue | None:
    """The cue of a run: without lines that are displayed above or below the marked one and are marked before or after it."""
    first, last = run.cues[0], run.cues[-1]
    marked = {first.words[index].line for index in run.starts} if sung else set[int]()
    left_out = {line for line, keys in _line_keys(first).items() if sung and line not in marked and keys in around}
    texts: list[str] = []
    for index, word in enumerate(first.words):
        if word.line in left_out:
            continue
        text = _unmarked([one.words[index].text for one in run.cues], is_wrapped=is_wrapped)
        time = run.starts.get(index) if run.moves else None
        texts.append(f"<{_inline_time(time)}>{text}" if time is not None else text)
    return replace(first.cue, end=last.cue.end, lines=[" ".join(texts)]) if texts else None


def _has_wrapped_marks(runs: Sequence[_Run]) -> bool:
    """Whether a file marks words as ``[word]``: its other lines of one word are then no sounds, as "[Music]" is."""
    return any(
        len({bool(_WRAPPED.match(word.text)) for word in words}) > 1
        for run in runs
        for words in zip(*(one.words for one in run.cues), strict=True)
    )


def _unmarked(texts: Sequence[str], *, is_wrapped: bool) -> str:
    """The word as it is displayed where it is not marked: in most cues of its line."""
    plain = [text for text in texts if not _WRAPPED.match(text)]
    text = Counter(plain or texts).most_common(1)[0][0]
    match = _WRAPPED.match(text)
    return "".join(match.groups()) if match and is_wrapped and not is_sound(text) else text


def _merged_without_marks(styled: Sequence[_Styled], name: str, warnings: list[str]) -> list[Cue] | None:
    """As `merged_highlights` of a track that lost its marks.

    A line that is sung again looks the same: the repeats have to be as many as the line has words, for lines of different lengths
    or for long ones, or too fast to be sung.
    """
    runs: list[list[_Styled]] = []
    gaps: list[float] = []
    for one in styled:
        gap = one.cue.start - runs[-1][-1].cue.end if runs else 0.0
        if runs and runs[-1][-1].keys == one.keys and gap <= _MAX_GAP_SECONDS:
            runs[-1].append(one)
            gaps.append(gap)
        else:
            runs.append([one])
    long = [run for run in runs if len(run[0].keys) > 1]
    repeated = [run for run in long if len(run) > 1]
    if len(repeated) < 2 or sum(map(len, repeated)) < _MIN_FRACTION * sum(map(len, long)):
        return None
    each_word = [run for run in repeated if len(run) % len(run[0].keys) == 0]
    lengths = {len(run[0].keys) for run in each_word}
    touches = median(gaps) <= _TOUCHING_SECONDS
    is_counted = len(each_word) >= _MIN_FRACTION * len(long) and (len(lengths) > 1 or (max(lengths) > 3 and touches))
    pace = median((one.cue.end - one.cue.start) / len(one.keys) for run in repeated for one in run)
    number = f"{name}: {sum(map(len, repeated))} of {len(styled)} captions have the words of one beside them"
    if is_counted or (touches and pace <= _SUNG_WORD_SECONDS):
        result = [cue for run in runs for cue in _lines_of(run)]
        warnings.append(f"{number}, once for each word or faster than they can be sung; read as {len(result)} lines")
        return result
    if touches:
        warnings.append(f"{number}, without a pause; it cannot be told whether they are sung again")
    return None


def _lines_of(run: Sequence[_Styled]) -> list[Cue]:
    """The lines of one run: a line that is sung twice has twice as many cues. One cue for each word has the time of the word."""
    num_words = len(run[0].keys)
    if num_words == 1:
        return [one.cue for one in run]
    if len(run) % num_words:
        return [replace(run[0].cue, end=run[-1].cue.end)]
    result: list[Cue] = []
    # One cue between two words, without a mark.
    step = 2 if _is_alternating(run) and len(run) % (2 * num_words) == 0 else 1
    for begin in range(0, len(run), step * num_words):
        part = run[begin : begin + step * num_words]
        texts = [
            f"<{_inline_time(one.cue.start)}>{word.text}" for one, word in zip(part[::step], part[0].words, strict=True)
        ]
        result.append(replace(part[0].cue, end=part[-1].cue.end, lines=[" ".join(texts)]))
    return result


def _is_alternating(run: Sequence[_Styled]) -> bool:
    lengths = [one.cue.end - one.cue.start for one in run]
    return median(lengths[::2]) > 2 * median(lengths[1::2]) or median(lengths[1::2]) > 2 * median(lengths[::2])


def _inline_time(seconds: float) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{milliseconds:03d}"
