"""Captions that repeat lines, in every spelling that tools make of automatic captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from phonics_data.captions.parse import CaptionTrack, parse_captions

LINES = ["A is for apple", "B is for ball", "C is for cat", "D is for dog", "E is for egg", "F is for fish"]
LETTERS = ["A", "A", "B", "B", "C", "D", "D", "E"]
"""Lines of one word, some of which are sung twice: the hardest case."""

Cues = list[tuple[float, float, list[str]]]


def three_times(lines: Sequence[str]) -> Cues:
    """Automatic WebVTT converted to SRT: each line appears, is repeated for 10 ms, and stands above the next one."""
    cues: Cues = []
    for index, line in enumerate(lines):
        start = 2.0 * index
        cues.append((start + 0.01 * (index > 0), start + 2, [*lines[max(index - 1, 0) : index], line]))
        cues.append((start + 2, start + 2.01, [line]))
    return cues


def two_lines(lines: Sequence[str]) -> Cues:
    return [(2.0 * n, 2.0 * n + 2, list(lines[max(n - 1, 0) : n + 1])) for n in range(len(lines))]


def three_lines(lines: Sequence[str]) -> Cues:
    return [(2.0 * n, 2.0 * n + 2, list(lines[max(n - 2, 0) : n + 1])) for n in range(len(lines))]


def overlapping(lines: Sequence[str]) -> Cues:
    """Each line is a cue that lasts until the next line is complete."""
    return [(2.0 * n, 2.0 * n + 4, [line]) for n, line in enumerate(lines)]


def growing(lines: Sequence[str]) -> Cues:
    """A cue for each word, which contains the words of its line so far."""
    cues: Cues = []
    for index, line in enumerate(lines):
        words = line.split()
        step = 2 / len(words)
        for n in range(len(words)):
            cues.append((2.0 * index + n * step, 2.0 * index + (n + 1) * step, [" ".join(words[: n + 1])]))
    return cues


def sliding(lines: Sequence[str]) -> Cues:
    """One long line, which begins with the text of the line before."""
    return [(2.0 * n, 2.0 * n + 2, [" ".join(lines[max(n - 1, 0) : n + 1])]) for n in range(len(lines))]


def clock(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    return f"00:00:{milliseconds // 1000:02d}{mark}{milliseconds % 1000:03d}"


def read(cues: Cues, suffix: str) -> CaptionTrack:
    mark = "," if suffix == ".srt" else "."
    head = "" if suffix == ".srt" else "WEBVTT\n\n"
    blocks = [
        f"{n}\n{clock(start, mark)} --> {clock(end, mark)}\n" + "\n".join(lines)
        for n, (start, end, lines) in enumerate(cues, start=1)
    ]
    return parse_captions((head + "\n\n".join(blocks) + "\n").encode(), suffix, name=f"song{suffix}")


def texts(track: CaptionTrack) -> list[str]:
    return [word.text for word in track.words]


def words_of(lines: Sequence[str]) -> list[str]:
    return [word for line in lines for word in line.split()]


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
@pytest.mark.parametrize("spelling", [three_times, two_lines, three_lines, overlapping, growing, sliding])
def test_each_word_occurs_once_at_its_time(spelling: Callable[[Sequence[str]], Cues], suffix: str) -> None:
    track = read(spelling(LINES), suffix)
    assert texts(track) == words_of(LINES)
    assert track.warnings == ()
    for index, word in enumerate(track.words):
        assert 2.0 * (index // 4) <= word.start_seconds < word.end_seconds <= 2.0 * (index // 4) + 2.2


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
@pytest.mark.parametrize("spelling", [three_times, two_lines, three_lines, overlapping])
def test_lines_of_one_word_that_are_sung_twice_are_kept_twice(
    spelling: Callable[[Sequence[str]], Cues], suffix: str
) -> None:
    track = read(spelling(LETTERS), suffix)
    assert texts(track) == LETTERS
    assert [round(word.start_seconds) for word in track.words] == [2 * n for n in range(len(LETTERS))]


def test_plain_captions_that_repeat_words_are_unchanged() -> None:
    plain: Cues = [(2.0 * n, 2.0 * n + 1.5, [line]) for n, line in enumerate(LETTERS)]
    assert texts(read(plain, ".srt")) == LETTERS
    refrain: Cues = [(2.0 * n, 2.0 * n + 2, [line, line]) for n, line in enumerate(LINES)]
    assert texts(read(refrain, ".srt")) == words_of([line for line in LINES for _ in range(2)])


def test_two_voices_overlap() -> None:
    cues: Cues = [(2.0 * n, 2.0 * n + 1.8, [line]) for n, line in enumerate(LINES)]
    cues.insert(1, (0.5, 1.9, ["yeah"]))
    track = read(cues, ".srt")
    assert sorted(texts(track)) == sorted([*words_of(LINES), "yeah"])


def test_lines_that_are_sung_from_their_beginning_each_time_are_kept() -> None:
    cues: Cues = []
    here, lines = 0.0, ["A", "A B", "A B C", "A B C D", "A B C D E"]
    for line in lines:
        length = 0.8 * len(line.split())
        cues.append((here, here + length, [line]))
        here += length
    track = read(cues, ".srt")
    assert texts(track) == words_of(lines)
    assert "song.srt" in track.warnings[0]


def test_cumulative_song_with_equal_cues_is_reported_because_its_repeats_are_left_out() -> None:
    lines = ["A", "A B", "A B C", "A B C D", "A B C D E", "A B C D E F"]
    track = read([(2.0 * n, 2.0 * n + 2, [line]) for n, line in enumerate(lines)], ".srt")
    assert texts(track) == list("ABCDEF")
    (warning,) = track.warnings
    assert warning.startswith("song.srt: 5 of 5 captions continue the text")
    assert "left out" in warning


def test_doubt_is_reported_with_the_name_of_the_file() -> None:
    # A line, then the same line with more words: sung twice, or displayed while it grows?
    cues: Cues = []
    for n, line in enumerate(LINES):
        cues += [(2.0 * n, 2.0 * n + 1, [line.split()[0]]), (2.0 * n + 1, 2.0 * n + 2, [line])]
    track = read(cues, ".srt")
    assert len(track.warnings) == 1
    assert track.warnings[0].startswith("song.srt: ")
    assert "cannot be told" in track.warnings[0]
    assert texts(track) == words_of([text for line in LINES for text in (line.split()[0], line)])


def test_line_that_is_displayed_alone_again_is_left_out_with_a_warning() -> None:
    cues = two_lines(LINES)
    cues[1:] = [(start + 2, end + 2, lines) for start, end, lines in cues[1:]]
    cues.insert(1, (2.0, 4.0, LINES[:1]))
    track = read(cues, ".vtt")
    assert texts(track) == words_of(LINES)
    assert "song.vtt, line " in track.warnings[0]


def test_cue_of_10_ms_repeats_a_line_but_can_also_be_new() -> None:
    cues = three_times(LINES)
    cues.append((14.0, 14.04, ["the end"]))
    assert texts(read(cues, ".srt")) == [*words_of(LINES), "the", "end"]
