"""WebVTT and SRT files -> cues with their text as in the file. Pure.

A WebVTT file that keeps the rules of the format is read by webvtt-py. Others, and SRT, are read by their time lines ("00:00:01,000 --> 00:00:02,500"): what follows one until the next one is its text. Empty lines are
no reliable end of a text: programs that write ``\\r\\r\\n`` or double all line breaks put one after each line, and people put
them into texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from phonics_data.captions.rolling import Cue
from phonics_data.errors import CaptionError

_LINE_BREAK = re.compile(r"\r+\n|\r|\n")
"""Text mode of Windows writes ``\\r\\n`` as ``\\r\\r\\n``."""
_TIME = r"((?:\d{1,4}:)?\d{1,2}:\d{1,2}(?:[.,]\d{1,9})?)"
_ARROW_LINE = re.compile(rf"\s*{_TIME}\s*(?:[-–—=]{{1,4}}(?:>|&gt;)?|→)\s*{_TIME}(?![\w:])", re.ASCII)
"""Two times with any arrow between them: "-->", "->", "→", "--&gt;". Milliseconds can be missing."""
_BLOCKS_WITHOUT_TEXT = re.compile(r"(NOTE|STYLE|REGION)(\s|$)")
_DIGITS = re.compile(r"\d+")

_Line = tuple[int, str]
"""Its number in the file, and its text."""


def seconds(timestamp: str) -> float:
    """Seconds of a time such as ``00:01:02,500``."""
    total = 0.0
    for part in timestamp.replace(",", ".").split(":"):
        total = total * 60 + float(part)
    return total


def split_lines(text: str) -> list[str]:
    """The lines of a file, without line breaks."""
    return _LINE_BREAK.split(text)


def read_cues(lines: Sequence[str], name: str, warnings: list[str], *, is_srt: bool) -> list[Cue]:
    """The cues of a file in time order, with their tags.

    Args:
        warnings: receives a message with `name` and the position for each cue or text that is left out or moved.

    Raises:
        CaptionError: reason ``captions_unreadable``: an empty file, another format, segments of a stream with different clocks.
    """
    if not any(line.strip() for line in lines):
        raise _unreadable(name, 1, "the file is empty")
    if not is_srt and not lines[0].startswith("WEBVTT"):
        raise _unreadable(name, 1, f"got {lines[0][:40]!r}, a WebVTT file begins with 'WEBVTT'")
    clocks = {line.strip(): number for number, line in enumerate(lines, start=1) if line.startswith("X-TIMESTAMP-MAP=")}
    if len(clocks) > 1:
        raise _unreadable(
            name,
            max(clocks.values()),
            "joined from segments of a stream, whose times have different starts (X-TIMESTAMP-MAP); join them with yt-dlp or ffmpeg",
        )
    if not is_srt and (by_the_rules := _well_formed(lines)) is not None:
        return sorted(by_the_rules, key=lambda cue: cue.start)
    cues = _cues(_single_spaced(list(enumerate(lines, start=1))), name, warnings)
    if not cues and is_srt:
        raise _unreadable(name, 1, "no cue with a time like '00:00:01,000 --> 00:00:02,500'")
    return sorted(cues, key=lambda cue: cue.start)


def _well_formed(lines: Sequence[str]) -> list[Cue] | None:
    """The cues of a WebVTT file; None if a block is malformed or has no time, or if webvtt-py does not see a time line."""
    import webvtt
    from webvtt.errors import MalformedCaptionError, MalformedFileError

    arrows = [number for number, line in enumerate(lines, start=1) if "-->" in line]
    for index, block in _blocks(list(enumerate(lines))):
        # webvtt-py ignores other blocks: text after an empty line, or a cue whose time has another arrow.
        if index and not _BLOCKS_WITHOUT_TEXT.match(block[0]) and not any("-->" in line for line in block[:2]):
            return None
    try:
        captions = webvtt.from_string("\n".join(lines), strict=True).captions
    except (MalformedCaptionError, MalformedFileError):
        return None
    if len(captions) != len(arrows):
        return None
    cues = [
        Cue(seconds(caption.start), seconds(caption.end), caption.raw_text.split("\n"), f"line {number}")
        for caption, number in zip(captions, arrows, strict=True)
    ]
    return cues if all(cue.start < cue.end for cue in cues) else None


def _unreadable(name: str, line: int, fault: str) -> CaptionError:
    return CaptionError("captions_unreadable", f"{name}, line {line}: {fault}")


def _single_spaced(lines: Sequence[_Line]) -> list[_Line]:
    """`lines`, with half of the empty ones in a file that never has two lines with text below each other."""
    if any(before and after for (_, before), (_, after) in pairwise(lines)):
        return list(lines)
    result: list[_Line] = []
    for is_empty, group in groupby(lines, key=lambda line: not line[1]):
        run = list(group)
        result.extend(run[: (len(run) - 1) // 2] if is_empty else run)
    return result


def _cues(lines: Sequence[_Line], name: str, warnings: list[str]) -> list[Cue]:
    """The cues in file order."""
    is_webvtt = lines[0][1].startswith("WEBVTT")
    arrows = [index for index, (_, line) in enumerate(lines) if "-->" in line or _ARROW_LINE.match(line)]
    begins = _begins(lines, arrows)
    cues: list[Cue] = []
    moved: list[int] = []
    last_number = 0
    for arrow, begin, end in zip(arrows, begins, [*begins, len(lines)][1:], strict=True):
        number, line = lines[arrow]
        identifier = lines[begin][1].strip() if begin < arrow else ""
        last_number = int(identifier) if _is_number(identifier) else last_number
        text = _texts(lines[arrow + 1 : end], last_number, moved, is_webvtt=is_webvtt)
        match = _ARROW_LINE.match(line)
        if match is None:
            warnings.append(f"{name}, line {number}: no cue time in {line.strip()[:60]!r}; the cue is left out")
        elif seconds(match[2]) <= seconds(match[1]):
            warnings.append(f"{name}, line {number}: the cue ends at {match[2]}, before its start; left out")
        else:
            cues.append(Cue(seconds(match[1]), seconds(match[2]), text, f"line {number}"))
    if moved:
        warnings.append(
            f"{name}, line {moved[0]}: text after an empty line, without a time of its own; read as text of the cue before "
            f"({len(moved)} such texts)"
        )
    return cues


def _begins(lines: Sequence[_Line], arrows: Sequence[int]) -> list[int]:
    """For each time line, the index of its identifier, else its own.

    An identifier is a number, or what stands alone above the time line. Where no empty line separates cues, other identifiers
    are known by the first cue, which has one of the same form ("cue-1").
    """
    taken = set(arrows)
    above = [lines[arrow - 1][1].strip() if arrow and arrow - 1 not in taken else "" for arrow in arrows]
    has_form = bool(above) and bool(above[0]) and not above[0].startswith("WEBVTT") and len(set(above)) == len(above)
    form = _DIGITS.sub("0", above[0]) if has_form and "".join(_DIGITS.findall(above[0])) else None
    result: list[int] = []
    last_number = 0
    for arrow, text in zip(arrows, above, strict=True):
        number = arrow - 1
        while number > 0 and not lines[number][1]:
            number -= 1
        found = lines[number][1].strip() if number >= 0 else ""
        # An empty line between number and time; numbers of texts are not in order.
        if _is_number(found) and (not result or int(found) == last_number + 1):
            result.append(number)
            last_number = int(found)
            continue
        stands_alone = arrow > 1 and not lines[arrow - 2][1]
        is_identifier = bool(text) and (_is_number(text) or stands_alone or _DIGITS.sub("0", text) == form)
        result.append(arrow - is_identifier)
        last_number = int(text) if _is_number(text) else last_number
    return result


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _blocks(lines: Sequence[_Line]) -> Iterator[tuple[int, list[str]]]:
    """(index of its first line, its lines) for each run of lines that are not empty; a line of spaces is not."""
    for is_empty, group in groupby(enumerate(lines), key=lambda item: not item[1][1]):
        if not is_empty:
            run = list(group)
            yield run[0][0], [line for _, (_, line) in run]


def _texts(lines: Sequence[_Line], last_number: int, moved: list[int], *, is_webvtt: bool) -> list[str]:
    """The lines of a cue: all until the next one, without the numbers of cues that are not there, and without WebVTT's comments.

    `moved` receives the line numbers of texts that may belong to another cue: those of a missing cue, and in WebVTT all that
    follow an empty line, which browsers ignore.
    """
    result: list[str] = []
    for index, block in _blocks(lines):
        if index and is_webvtt and _BLOCKS_WITHOUT_TEXT.match(block[0]):
            break
        has_number = bool(index) and block[0].strip() == str(last_number + 1)
        last_number += has_number
        text = block[has_number:]
        if result and (has_number or is_webvtt) and any(letter.isalnum() for line in text for letter in line):
            moved.append(lines[index][0])
        result.extend(text)
    return result
