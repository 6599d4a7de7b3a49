"""Captions that repeat lines, in every spelling that tools make of automatic captions."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from phonics_data.captions.parse import CAPTION_SUFFIXES, CaptionTrack, parse_captions

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


def with_pauses(spelling: Callable[[Sequence[str]], Cues]) -> Callable[[Sequence[str]], Cues]:
    """`spelling`, but the singer pauses 3 s after each line: what is displayed ends with the line."""

    def cues(lines: Sequence[str]) -> Cues:
        return [
            (start + 3 * round(start // 2), end + 3 * round(start // 2), texts) for start, end, texts in spelling(lines)
        ]

    return cues


def cleared_after_pauses(lines: Sequence[str]) -> Cues:
    """As `three_times`, with pauses, after which the line above is no longer displayed."""
    return [
        cue
        for n, line in enumerate(lines)
        for cue in [(5.0 * n, 5.0 * n + 2, [line]), (5.0 * n + 2, 5.0 * n + 2.01, [line])]
    ]


def lengthened(lines: Sequence[str]) -> Cues:
    """As `three_times`, by a tool that displays no cue for less than half a second."""
    cues: Cues = []
    for index, line in enumerate(lines):
        start = 2.0 * index
        cues.append((start + 0.5 * (index > 0), start + 2, [*lines[max(index - 1, 0) : index], line]))
        cues.append((start + 2, start + 2.5, [line]))
    return cues


def in_one_line(lines: Sequence[str]) -> Cues:
    """As `three_times`, by a tool that joins the lines of a cue."""
    return [(start, end, [" ".join(texts)]) for start, end, texts in three_times(lines)]


def padded(lines: Sequence[str]) -> Cues:
    """As `three_times`, with the empty second line that some tools write as a character that is not seen."""
    return [
        (start, end, texts if len(texts) > 1 else [*texts, "&nbsp;\u200b"]) for start, end, texts in three_times(lines)
    ]


def positioned(lines: Sequence[str]) -> Cues:
    """As `three_times`, with position codes in the long cues and other punctuation in the short ones."""
    return [
        (start, end, ["{\\an8}" + texts[0], *texts[1:]] if end - start > 0.1 else [text + "." for text in texts])
        for start, end, texts in three_times(lines)
    ]


def listed_twice(lines: Sequence[str]) -> Cues:
    """A file joined from segments, each of which contains the cues at its edges."""
    return [(2.0 * n, 2.0 * n + 2, [line]) for n, line in enumerate(lines) for _ in range(1 + n % 2)]


def highlighted(lines: Sequence[str]) -> Cues:
    """A cue for each word that marks it in its line, and one without a mark between two words (Whisper's word times)."""
    cues: Cues = []
    for index, line in enumerate(lines):
        words = line.split()
        step = 2 / len(words)
        for n, word in enumerate(words):
            start = 2.0 * index + n * step
            cues.append((start, start + 0.8 * step, [" ".join([*words[:n], f"<u>{word}</u>", *words[n + 1 :]])]))
            cues.append((start + 0.8 * step, start + step, [line]))
    return cues


def sung_so_far(lines: Sequence[str]) -> Cues:
    """A cue for each word, in which the words until this one are coloured (karaoke)."""
    cues: Cues = []
    for index, line in enumerate(lines):
        words = line.split()
        step = 2 / len(words)
        for n in range(len(words)):
            start = 2.0 * index + n * step
            colored = " ".join(words[: n + 1])
            cues.append((start, start + step, [f'<font color="#00ff00">{colored}</font> {" ".join(words[n + 1 :])}']))
    return cues


def with_other_carried_lines(
    change: Callable[[str], str], newest: Callable[[str], str] = str
) -> Callable[[Sequence[str]], Cues]:
    """As `two_lines`, by a tool that changes a line when it moves up."""
    return lambda lines: [
        (start, end, [*map(change, texts[:-1]), newest(texts[-1])]) for start, end, texts in two_lines(lines)
    ]


def newest_on_top(lines: Sequence[str]) -> Cues:
    return [(start, end, texts[::-1]) for start, end, texts in two_lines(lines)]


def wrapped(width: int) -> Callable[[Sequence[str]], Cues]:
    """As `three_lines`, by a tool that breaks the lines again."""
    return lambda lines: [
        (start, end, textwrap.wrap(" ".join(texts), width)) for start, end, texts in three_lines(lines)
    ]


def typed(lines: Sequence[str]) -> Cues:
    """A cue for each letter."""
    return [
        (2.0 * n + 2 * k / len(line), 2.0 * n + 2 * (k + 1) / len(line), [line[: k + 1]])
        for n, line in enumerate(lines)
        for k in range(len(line))
    ]


def window(before: int, after: int) -> Callable[[Sequence[str]], Cues]:
    """A cue for each word, with a few words before and after it."""

    def cues(lines: Sequence[str]) -> Cues:
        words = words_of(lines)
        step = 2.0 * len(lines) / len(words)
        return [
            (n * step, (n + 1) * step, [" ".join(words[max(n - before, 0) : n + after + 1])]) for n in range(len(words))
        ]

    return cues


REPEATS = [
    "a is for apple",
    "ah ah apple juice",
    "b is for ball",
    "buh buh ball today",
    "now you know letters",
    "next time sing",
    "d d dog",
]


@pytest.mark.parametrize("suffix", CAPTION_SUFFIXES)
@pytest.mark.parametrize(
    "spelling",
    [
        with_other_carried_lines(lambda line: line.capitalize() + "."), with_other_carried_lines(str.upper),
        with_other_carried_lines(lambda line: "..." + line, lambda line: line + "..."),
        newest_on_top, wrapped(20), wrapped(30), typed, window(3, 0), window(1, 1), window(5, 2),
        growing, sliding, two_lines, three_lines, three_times,
    ],
)  # fmt: skip
@pytest.mark.parametrize("lines", [LINES, REPEATS], ids=["plain", "repeats"])
def test_carried_words_are_known_without_case_punctuation_and_line_breaks(
    lines: Sequence[str], spelling: Callable[[Sequence[str]], Cues], suffix: str
) -> None:
    track = read(spelling(lines), suffix)
    assert " ".join(texts(track)).lower().replace("...", "") == " ".join(lines).lower()


def test_words_of_a_typed_line_begin_with_their_first_letter() -> None:
    track = read(typed(LINES), ".srt")
    letters = [(2.0 * n + 2 * line.index(word) / len(line)) for n, line in enumerate(LINES) for word in line.split()]
    assert [word.start_seconds for word in track.words] == pytest.approx(letters, abs=2e-3)


@pytest.mark.parametrize(
    "lines",
    [
        ["say a say a", "say a a apple", "say b say b", "say b b ball", "say c say c", "say c c cat"],
        ["a a apple", "apple apple a", "b b ball", "ball ball b", "c c cat", "cat cat c"],
        ["A", "A", "Apple", "B", "B", "Ball", "C", "C", "Cat"],
        ["a", "a for apple", "b", "b for ball", "c", "c for cat"],
    ],
)
def test_shared_words_that_are_sung_are_kept(lines: Sequence[str]) -> None:
    for gap in (0.0, 0.2):
        track = read([(2.0 * n, 2.0 * n + 2 - gap, [line]) for n, line in enumerate(lines)], ".srt")
        assert texts(track) == words_of(lines)


def marked_by(mark: Callable[[list[str], int], str]) -> Callable[[Sequence[str]], Cues]:
    """A cue for each word, with the words of its line as `mark` displays them while this one is sung."""

    def cues(lines: Sequence[str]) -> Cues:
        found: Cues = []
        for index, line in enumerate(lines):
            words = line.split()
            step = 2 / len(words)
            found += [
                (2.0 * index + n * step, 2.0 * index + (n + 1) * step, [mark(words, n)]) for n in range(len(words))
            ]
        return found

    return cues


def around(before: str, after: str) -> Callable[[list[str], int], str]:
    """The sung word between `before` and `after`."""
    return lambda words, n: " ".join([*words[:n], before + words[n] + after, *words[n + 1 :]])


def font(color: str, words: Sequence[str]) -> str:
    return f'<font color="{color}">{" ".join(words)}</font>' if words else ""


MARKS = {
    "ass color": around("{\\c&HFF&}", "{\\c}"),
    "ass reset": around("{\\1c&HFF&\\b1}", "{\\r}"),
    "ass underline": around("{\\u1}", "{\\u0}"),
    "ass by ffmpeg": lambda words, n: (
        '<font face="x"><b>{\\an8}'
        + " ".join([*words[:n], font("#ffff00", [words[n]])])
        + '</b></font><font size="20"> '
        + " ".join(words[n + 1 :])
        + "</font>"
    ),
    "two colors": lambda words, n: f"{font('red', words[: n + 1])} {font('white', words[n + 1 :])}",
    "each word": lambda words, n: " ".join(
        font("yellow" if k == n else "white", [word]) for k, word in enumerate(words)
    ),
    "font in font": lambda words, n: font("white", [around('<font color="yellow">', "</font>")(words, n)]),
    "class": around("<c.hi>", "</c>"),
    "brackets": around("[", "]"),
    "stars": around("*", "*"),
    "underscores": around("_", "_"),
    "capitals": lambda words, n: " ".join([*words[:n], words[n].upper(), *words[n + 1 :]]),
    "combining line": lambda words, n: " ".join(
        [*words[:n], "".join(letter + "\u0332" for letter in words[n]), *words[n + 1 :]]
    ),
} | {
    tag: around(f"<{tag}>", f"</{tag.split()[0]}>")
    for tag in ("s", "em", "strong", "mark", "span style='x'", "v A", "lang en")
}
PHRASES = ["a is for apple", "buh buh ball", "now you know your letters", "next time", "c is for cat", "d d dog"]


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
def test_any_mark_of_the_sung_word_gives_each_word_once_at_its_time(mark: Callable[[list[str], int], str]) -> None:
    cues = marked_by(mark)(PHRASES)
    track = read(cues, ".srt")
    assert [text.lower().replace("\u0332", "") for text in texts(track)] == words_of(PHRASES)
    assert [word.start_seconds for word in track.words] == pytest.approx([start for start, _, _ in cues], abs=1e-3)
    assert track.warnings == ()


def test_mark_that_goes_on_after_a_pause_belongs_to_the_same_line() -> None:
    cues = [
        (start + 2 * (n % 4 > 1), end + 2 * (n % 4 > 1) - 0.2, lines)
        for n, (start, end, lines) in enumerate(marked_by(MARKS["s"])(LINES))
    ]
    cues = [(start + 2.0 * (n // 4), end + 2.0 * (n // 4), lines) for n, (start, end, lines) in enumerate(cues)]
    track = read(cues, ".srt")
    assert texts(track) == words_of(LINES)
    assert [word.start_seconds for word in track.words] == [start for start, _, _ in cues]


@pytest.mark.parametrize("spelling", [highlighted, sung_so_far, marked_by(MARKS["two colors"]), marked_by(MARKS["s"])])
def test_marked_lines_of_one_word_and_lines_that_are_sung_again(spelling: Callable[[Sequence[str]], Cues]) -> None:
    lines = ["A", "A", "apple", "a is for apple", "a is for apple", "B", "B B", "B B", "ball"]
    assert texts(read(spelling(lines), ".srt")) == words_of(lines)


@pytest.mark.parametrize("mark", [MARKS["s"], MARKS["brackets"]])
def test_sounds_and_single_words_beside_marked_lines(mark: Callable[[list[str], int], str]) -> None:
    cues: Cues = [*marked_by(mark)(LINES), (12.0, 14.0, ["[Music]"]), (14.0, 15.0, [mark(["yeah"], 0)])]
    assert texts(read(cues, ".srt")) == [*words_of(LINES), "yeah"]


def test_lines_that_are_repeated_for_each_word_without_a_mark_are_read_once_with_a_warning() -> None:
    cues = marked_by(lambda words, _: " ".join(words))(PHRASES)
    for suffix in CAPTION_SUFFIXES:
        track = read(cues, suffix)
        assert texts(track) == words_of(PHRASES)
        assert [word.start_seconds for word in track.words] == pytest.approx([start for start, _, _ in cues], abs=1e-3)
        (warning,) = track.warnings
        assert "21 of 21 captions" in warning
        assert "read as 6 lines" in warning


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("gap", [0.0, 0.2, 1.5])
def test_lines_that_are_sung_again_are_kept(times: int, gap: float) -> None:
    for lines in (
        ["A A A", "B B B", "C C C"],
        ["a is for apple", "b is for a ball"],
        ["A", "B", "A"],
        ["bye bye", "hey you", "by me"],
    ):
        sung = [line for line in lines for _ in range(times)]
        assert texts(read([(2.0 * n, 2.0 * n + 2 - gap, [line]) for n, line in enumerate(sung)], ".srt")) == words_of(
            sung
        )


def test_lines_that_others_sing_again_in_italics_are_kept() -> None:
    cues: Cues = [(4.0 * n, 4.0 * n + 2, [line]) for n, line in enumerate(LINES)]
    cues += [(start + 2, start + 4, [f"<i>{line}</i>"]) for start, _, [line] in cues]
    assert texts(read(sorted(cues), ".srt")) == [word for line in LINES for word in [*line.split(), *line.split()]]


@pytest.mark.parametrize("above", [False, True])
def test_line_above_or_below_the_marked_one_is_not_read_twice(above: bool) -> None:
    cues = marked_by(around("<u>", "</u>"))(LINES)
    beside = ["", *LINES] if above else [*LINES[1:], ""]
    cues = [
        (start, end, [beside[n // 4], *line] if above else [*line, beside[n // 4]])
        for n, (start, end, line) in enumerate(cues)
    ]
    for suffix in CAPTION_SUFFIXES:
        track = read([(start, end, [line for line in lines if line]) for start, end, lines in cues], suffix)
        assert texts(track) == words_of(LINES)
        assert [word.start_seconds for word in track.words] == [0.5 * n for n in range(24)]


@pytest.mark.parametrize("suffix", CAPTION_SUFFIXES)
@pytest.mark.parametrize("layer", ["{\\an8}", '<font face="x">', ""])
@pytest.mark.parametrize("shift", [0.0, 0.01])
def test_layers_of_a_caption_are_read_once(layer: str, shift: float, suffix: str) -> None:
    cues = [
        cue
        for n, line in enumerate(LINES)
        for cue in [(2.0 * n, 2.0 * n + 2, [layer + line]), (2.0 * n + shift, 2.0 * n + 2, [line])]
    ]
    track = read(cues, suffix)
    assert texts(track) == words_of(LINES)
    assert "6 cues are listed twice" in track.warnings[0]


def clock(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    return f"00:00:{milliseconds // 1000:02d}{mark}{milliseconds % 1000:03d}"


def json3(cues: Cues) -> bytes:
    """The cues as an uploaded track, whose events have no word times; pens take the place of tags."""
    events: list[dict[str, Any]] = []
    for start, end, lines in cues:
        segs: list[dict[str, Any]] = []
        pens = [0]
        for part in re.split(r"(</?[a-z][^<>]*>)", "\n".join(lines)):
            if re.fullmatch(r"<[a-z][^<>]*>", part):
                pens.append(1 + sum(map(ord, part)) % 97)
            elif re.fullmatch(r"</[^<>]*>", part):
                pens.pop()
            elif part:
                segs.append({"utf8": part} | ({"pPenId": pens[-1]} if pens[-1] else {}))
        events.append({"tStartMs": round(start * 1000), "dDurationMs": round((end - start) * 1000), "segs": segs})
    return json.dumps({"wireMagic": "pb3", "events": events}).encode()


def read(cues: Cues, suffix: str) -> CaptionTrack:
    if suffix == ".json3":
        return parse_captions(json3(cues), suffix, name="song.json3")
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


@pytest.mark.parametrize("suffix", CAPTION_SUFFIXES)
@pytest.mark.parametrize("spelling", [three_times, two_lines, three_lines, overlapping, growing, sliding])
def test_each_word_occurs_once_at_its_time(spelling: Callable[[Sequence[str]], Cues], suffix: str) -> None:
    track = read(spelling(LINES), suffix)
    assert texts(track) == words_of(LINES)
    assert track.warnings == ()
    for index, word in enumerate(track.words):
        assert 2.0 * (index // 4) <= word.start_seconds < word.end_seconds <= 2.0 * (index // 4) + 2.2


@pytest.mark.parametrize("suffix", CAPTION_SUFFIXES)
@pytest.mark.parametrize("spelling", [three_times, two_lines, three_lines, overlapping])
def test_lines_of_one_word_that_are_sung_twice_are_kept_twice(
    spelling: Callable[[Sequence[str]], Cues], suffix: str
) -> None:
    track = read(spelling(LETTERS), suffix)
    assert texts(track) == LETTERS
    assert [round(word.start_seconds) for word in track.words] == [2 * n for n in range(len(LETTERS))]


@pytest.mark.parametrize("suffix", CAPTION_SUFFIXES)
@pytest.mark.parametrize(
    ("spelling", "period"),
    [
        (with_pauses(three_times), 5.0), (with_pauses(two_lines), 5.0), (with_pauses(sliding), 5.0),
        (cleared_after_pauses, 5.0), (lengthened, 2.0), (in_one_line, 2.0), (padded, 2.0), (positioned, 2.0),
        (listed_twice, 2.0), (highlighted, 2.0), (sung_so_far, 2.0),
    ],
)  # fmt: skip
def test_spellings_of_other_tools_give_each_word_once_at_its_time(
    spelling: Callable[[Sequence[str]], Cues], period: float, suffix: str
) -> None:
    track = read(spelling(LINES), suffix)
    assert texts(track) == words_of(LINES)
    for index, word in enumerate(track.words):
        start = period * (index // 4)
        assert start <= word.start_seconds < word.end_seconds <= start + 2.6


@pytest.mark.parametrize("spelling", [highlighted, sung_so_far])
def test_marked_words_have_times_of_their_own(spelling: Callable[[Sequence[str]], Cues]) -> None:
    track = read(spelling(LINES), ".srt")
    assert [word.start_seconds for word in track.words] == [0.5 * n for n in range(4 * len(LINES))]
    assert {word.timing for word in track.words} == {"native"}


def test_line_that_is_marked_again_is_sung_again() -> None:
    lines = ["A is for apple", "A is for apple", "B is for ball", "B is for ball"]
    assert texts(read(highlighted(lines), ".vtt")) == words_of(lines)


@pytest.mark.parametrize("spelling", [cleared_after_pauses, with_pauses(two_lines)])
def test_lines_of_one_word_after_pauses_are_kept_twice(spelling: Callable[[Sequence[str]], Cues]) -> None:
    assert texts(read(spelling(LETTERS), ".srt")) == LETTERS


def test_emphasis_is_not_a_mark_of_the_sung_word() -> None:
    cues: Cues = [(2.0 * n, 2.0 * n + 2, [f"<b>{line.split()[0]}</b> {line[2:]}"]) for n, line in enumerate(LINES)]
    track = read(cues, ".srt")
    assert texts(track) == words_of(LINES)
    assert {word.timing for word in track.words} == {"interpolated"}


def test_cues_that_a_file_lists_twice_are_counted() -> None:
    (warning,) = read(listed_twice(LINES), ".srt").warnings
    assert warning == "song.srt, line 6: 3 cues are listed twice, with the same times and text; each was read once"


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


@pytest.mark.parametrize(
    "spelling",
    [
        lambda text: text.replace("\n \n", "\n&nbsp;\n"),
        lambda text: text.replace(" for ", "&nbsp;for "),
        lambda text: text.replace("\n ", "\n\u200b "),
        lambda text: text.replace("\n \n", "\n\u00a0\n"),
        lambda text: text.replace("\n \n", "\n&#8203;\n"),
        lambda text: text.replace("\n", "\r\n"),
    ],
    ids=["nbsp lines", "nbsp words", "zero width", "no-break", "reference", "crlf"],
)
def test_spaces_of_word_timed_rolling_captions(spelling: Callable[[str], str]) -> None:
    text = spelling(
        """WEBVTT

00:00:01.000 --> 00:00:02.990 align:start position:0%
EMPTY
a<00:00:01.500><c> is</c><00:00:02.000><c> for</c><00:00:02.500><c> apple</c>

00:00:02.990 --> 00:00:03.000 align:start position:0%
a is for apple
EMPTY

00:00:03.000 --> 00:00:04.990 align:start position:0%
a is for apple
b<00:00:03.500><c> is</c><00:00:04.000><c> for</c><00:00:04.500><c> ball</c>

00:00:04.990 --> 00:00:05.000 align:start position:0%
b is for ball
EMPTY

00:00:05.000 --> 00:00:06.990 align:start position:0%
b is for ball
c<00:00:05.500><c> is</c><00:00:06.000><c> for</c><00:00:06.500><c> cat</c>
""".replace("EMPTY", " ")
    )
    words = parse_captions(text.encode(), ".vtt", name="a.vtt").words
    assert [word.text for word in words] == "a is for apple b is for ball c is for cat".split()
    assert [word.start_seconds for word in words] == pytest.approx([1 + 0.5 * place for place in range(12)])
