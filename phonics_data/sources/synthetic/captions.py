"""json3 captions in the format of video sites: automatic with word times, or manual with cue times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from phonics_data.sources.synthetic.song_plan import SongPlan
from phonics_data.sources.synthetic.timeline import SpokenWord, Timeline

Event = dict[str, Any]

_HOMOPHONES = {
    "B": "be",
    "C": "see",
    "I": "eye",
    "O": "oh",
    "P": "pea",
    "Q": "cue",
    "R": "are",
    "T": "tea",
    "U": "you",
    "Y": "why",
}
_MAX_LINE_WORDS, _LINE_PAUSE_SECONDS, _LINE_DISPLAY_SECONDS = 8, 1.5, 3.0
_MAX_CUE_LETTERS = 4


def file_suffix(plan: SongPlan) -> str | None:
    """Suffix of the caption file after the video id; the track of automatic captions is ``en-orig``."""
    return {"words": ".en-orig.json3", "cues": ".en.json3", "none": None}[plan.captions]


def json3(plan: SongPlan, timeline: Timeline) -> dict[str, Any]:
    """The content of the song's caption file. Times are whole milliseconds."""
    duration_ms = round(timeline.num_frames / plan.frame_rate * 1000)
    is_auto = plan.captions == "words"
    window: list[Event] = [{"tStartMs": 0, "dDurationMs": duration_ms, "id": 1, "wpWinPosId": 1, "wsWinStyleId": 1}]
    return {
        "wireMagic": "pb3",
        "pens": [{}],
        "wsWinStyles": [{}, {"mhModeHint": 2, "juJustifCode": 0, "sdScrollDir": 3}] if is_auto else [{}],
        "wpWinPositions": [{}, {"apPoint": 6, "ahHorPos": 20, "avVerPos": 100, "rcRows": 2, "ccCols": 40}]
        if is_auto
        else [{}],
        "events": window + _automatic(plan, timeline, duration_ms) if is_auto else _cues(timeline),
    }


def _automatic(plan: SongPlan, timeline: Timeline, duration_ms: int) -> list[Event]:
    """Rolling lines: each remains displayed while the next one appears below it, so events overlap."""
    rng = np.random.default_rng((plan.music_seed, 3))
    words = [(_recognized_text(plan, word, rng), _jittered(plan, word, rng)) for word in timeline.words]
    lines: list[list[tuple[str, int]]] = []
    for text, start_ms in words:
        is_new = not lines or len(lines[-1]) >= _MAX_LINE_WORDS
        if is_new or start_ms - lines[-1][-1][1] > _LINE_PAUSE_SECONDS * 1000:
            lines.append([])
        lines[-1].append((text, max(start_ms, lines[-1][-1][1] + 10) if lines[-1] else start_ms))
    events: list[Event] = []
    if lines and lines[0][0][1] > 2500:
        music: Event = {"utf8": "[Music]", "acAsrConf": 0}
        events.append({"tStartMs": 240, "dDurationMs": lines[0][0][1] - 250, "wWinId": 1, "segs": [music]})
    for index, line in enumerate(lines):
        start = line[0][1]
        if index:
            appears = start - 10
            disappears = min(_end_of(line, lines, index), duration_ms)
            events.append(
                {
                    "tStartMs": appears,
                    "dDurationMs": disappears - appears,
                    "wWinId": 1,
                    "aAppend": 1,
                    "segs": [{"utf8": "\n"}],
                }
            )
        last_line = lines[index + 1] if index + 1 < len(lines) else line
        end = min(_end_of(last_line, lines, min(index + 1, len(lines) - 1)), duration_ms)
        segs = [_seg(text, at - start, first=position == 0) for position, (text, at) in enumerate(line)]
        events.append({"tStartMs": start, "dDurationMs": end - start, "wWinId": 1, "segs": segs})
    return events


def _end_of(line: Sequence[tuple[str, int]], lines: Sequence[Sequence[tuple[str, int]]], index: int) -> int:
    """End of `line` in ms: the start of the next line or the maximum display time, whichever is earlier."""
    latest = line[-1][1] + round(_LINE_DISPLAY_SECONDS * 1000)
    return min(lines[index + 1][0][1], latest) if index + 1 < len(lines) else latest


def _seg(text: str, offset_ms: int, *, first: bool) -> Event:
    if first:
        return {"utf8": text, "acAsrConf": 0}
    return {"utf8": f" {text}", "tOffsetMs": offset_ms, "acAsrConf": 0}


def _recognized_text(plan: SongPlan, word: SpokenWord, rng: np.random.Generator) -> str:
    """The word as automatic captions contain it: lower case, sometimes a homophone instead of a letter name."""
    is_error = float(rng.random()) < plan.caption_homophones
    if word.token.role == "letter" and is_error and word.token.text in _HOMOPHONES:
        return _HOMOPHONES[word.token.text]
    return word.token.text if word.token.text == "I" else word.token.text.lower()


def _jittered(plan: SongPlan, word: SpokenWord, rng: np.random.Generator) -> int:
    jitter = float(rng.uniform(-1, 1)) * plan.caption_jitter_seconds
    return max(0, round((word.start_seconds + jitter) * 1000))


def _cues(timeline: Timeline) -> list[Event]:
    """One cue per phrase, or per few letters of a letter run, with punctuation and without word times."""
    cues: list[list[SpokenWord]] = []
    was_run = False
    for section in timeline.sections:
        if not section.words:
            was_run = False
            continue
        is_run = section.plan.kind == "letter" and len(section.words) == 1
        if is_run and was_run and len(cues[-1]) < _MAX_CUE_LETTERS:
            cues[-1].append(section.words[0])
        else:
            cues.append(list(section.words))
        was_run = is_run
    events: list[Event] = []
    for index, cue in enumerate(cues):
        start = max(0, round(cue[0].start_seconds * 1000) - 40)
        end = round(cue[-1].end_seconds * 1000) + 200
        if index + 1 < len(cues):
            end = min(end, round(cues[index + 1][0].start_seconds * 1000) - 50)
        events.append({"tStartMs": start, "dDurationMs": end - start, "segs": [{"utf8": _sentence(cue)}]})
    return events


def _sentence(cue: Sequence[SpokenWord]) -> str:
    """The text of a cue: commas between letter names and letter sounds, none between the words of a sentence."""
    out = ""
    for position, word in enumerate(cue):
        is_sentence = position > 0 and (word.token.role == "filler" or cue[position - 1].token.role == "filler")
        same_role = position > 0 and word.token.role == cue[position - 1].token.role == "object"
        continues = same_role and word.token.text != cue[position - 1].token.text
        out += ("" if position == 0 else " " if is_sentence or continues else ", ") + word.token.text
    return out[0].upper() + out[1:] + "."
