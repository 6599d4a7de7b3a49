"""Videos of one letter: words and handmade OCR traces with text lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.segmenter import SegmenterOptions, names_letters, needs_screen, segment_song
from phonics_data.segmentation.single_letter import MANIFEST_CONFIDENCE, decode_single_letter
from phonics_data.segmentation.text_lines import begins_with_pair, object_lines
from phonics_data.segmentation.units import Unit, divide_phrases
from phonics_data.types import Word
from tests.phonics_data.segmentation.traces import RATE, Detection, trace_of

LEFT, RIGHT = (0.55, 0.05, 0.75, 0.15), (0.78, 0.05, 0.98, 0.15)
Line = tuple[float, float, str, tuple[float, float, float, float]]
"""(from, to, text, box), in seconds."""


def said(*words: tuple[str, float]) -> list[Word]:
    """Words of 0.4 s at these times."""
    return [Word(text=text, start_seconds=time, end_seconds=time + 0.4, confidence=0.8) for text, time in words]


def shown(lines: Sequence[Line], *, letter: str = "B", until: float = 3.5, seconds: float = 7.0) -> ScreenTrace:
    """A trace with "Bb" until `until`, and text lines, which are read once a second while they are visible."""
    last = round(until * RATE)
    frames = range(0, last, 4)
    pair = [Detection(frame=frame, letter=letter, cell=cell) for frame in frames for cell in (0, 1)] if letter else []
    trace = trace_of(pair, round(seconds * RATE))
    edges = trace.edges_TGG.copy()
    edges[last:, 5:13, :12] = 0
    rows: list[tuple[int, str, tuple[float, ...]]] = []
    for start, end, text, box in lines:
        low, high = round(start * RATE), round(end * RATE)
        cells = slice(int(box[1] * 18), round(box[3] * 18)), slice(int(box[0] * 32), round(box[2] * 32))
        edges[:low, *cells] = 0
        edges[high:, *cells] = 0
        rows += [(frame, text, box) for frame in range(low, high, RATE)]
    # A later line at the same place becomes visible again.
    for start, end, _, box in lines:
        cells = slice(int(box[1] * 18), round(box[3] * 18)), slice(int(box[0] * 32), round(box[2] * 32))
        edges[round(start * RATE) : round(end * RATE), *cells] = 40
    rows.sort(key=lambda row: row[0])
    return replace(
        trace,
        edges_TGG=edges,
        text_frame_N=np.array([frame for frame, _, _ in rows], np.int32),
        text_N=np.array([text for _, text, _ in rows]),
        text_box_N4=np.array([box for _, _, box in rows], np.float32).reshape(-1, 4),
        text_score_N=np.full(len(rows), 0.95, np.float32),
    )


BAT_AND_BALL: list[Line] = [
    (1.0, 2.0, "Bat", LEFT),
    (2.5, 3.5, "Ball", LEFT),
    (4.0, 7.0, "Bat", LEFT),
    (4.0, 7.0, "Ball", RIGHT),
]


def phrases(
    words: Sequence[Word], trace: ScreenTrace | None, letter: str = "B", *, unit: Unit = "phrase", seconds: float = 7.0
) -> list[Phrase]:
    decoding = decode_single_letter(words, "speech", trace, letter, duration_seconds=seconds, unit=unit)
    assert bool(decoding.phrases) != bool(decoding.refusal)
    return list(decoding.phrases)


def described(found: Sequence[Phrase]) -> list[tuple[str | None, str, float, float]]:
    return [
        (one.object_word, one.object_word_source, round(one.start_seconds, 1), round(one.end_seconds, 1))
        for one in found
    ]


BAT_AND_BALL_WORDS = said(("B", 0.2), ("for", 0.5), ("bat", 0.9), ("B", 1.8), ("for", 2.1), ("ball", 2.5))


def test_words_and_screen_give_a_phrase_for_each_object_and_one_for_the_closing_scene() -> None:
    found = phrases(BAT_AND_BALL_WORDS, shown(BAT_AND_BALL))
    assert described(found) == [("bat", "words", 0.0, 1.8), ("ball", "words", 1.8, 3.9), (None, "", 3.9, 7.0)]
    assert all(one.letter == "B" and one.evidence == "speech,screen" for one in found[:2])
    assert found[0].confidence > found[2].confidence > MANIFEST_CONFIDENCE


def test_screen_alone() -> None:
    found = phrases([], shown(BAT_AND_BALL))
    assert [one.object_word for one in found] == ["bat", "ball", None]
    assert [one.object_word_source for one in found] == ["screen", "screen", ""]
    # The second phrase begins where the first object leaves.
    assert found[1].start_seconds == pytest.approx(2.0, abs=0.1)
    assert all(one.evidence == "screen" for one in found)


def test_words_alone_end_with_the_last_sign() -> None:
    found = phrases(BAT_AND_BALL_WORDS, None)
    assert [one.object_word for one in found] == ["bat", "ball"]
    assert found[1].end_seconds == pytest.approx(2.9 + 0.45)


def test_text_on_the_screen_corrects_a_word_that_was_recognized_as_another_one() -> None:
    words = said(("B", 0.2), ("for", 0.5), ("bed", 0.9), ("B", 1.8), ("for", 2.1), ("ball", 2.5))
    found = phrases(words, shown(BAT_AND_BALL))
    assert described(found)[:2] == [("bat", "screen", 0.0, 1.8), ("ball", "words", 1.8, 3.9)]


def test_captions_and_doubtful_print_replace_no_word_as_in_songs_of_more_letters() -> None:
    words = said(("B", 0.2), ("for", 0.5), ("bed", 0.9), ("B", 1.8), ("for", 2.1), ("ball", 2.5))
    certain = shown(BAT_AND_BALL)
    doubtful = replace(certain, text_score_N=np.full_like(certain.text_score_N, 0.81))
    unknown = shown([(1.0, 2.0, "Bonk", LEFT), (2.5, 3.5, "Ball", LEFT)])
    for source, trace, expected in (
        ("speech", certain, ("bat", "screen")),
        ("speech", doubtful, ("bed", "words")),
        ("speech", unknown, ("bed", "words")),
        ("captions", certain, ("bed", "words")),
        ("captions", unknown, ("bed", "words")),
    ):
        first, second, *_ = decode_single_letter(words, source, trace, "B", duration_seconds=7.0).phrases
        assert (first.object_word, first.object_word_source) == expected
        assert (second.object_word, second.object_word_source) == ("ball", "words")
        phrase = Phrase(
            letter="B", object_word="bed", object_word_source="words",
            start_seconds=0.2, end_seconds=1.8, confidence=0.9, evidence=source,
        )  # fmt: skip
        (same,) = divide_phrases([phrase], trace, "phrase")
        assert (same.object_word, same.object_word_source) == expected


def test_repeated_object_is_one_phrase() -> None:
    words = said(("B", 0.2), ("is", 0.5), ("for", 0.7), ("ball", 1.0), ("b", 1.6), ("b", 2.2), ("ball", 2.8))
    assert [one.object_word for one in phrases(words, None)] == ["ball"]
    assert [one.object_word for one in phrases(words, shown([(1.0, 3.0, "Ball", LEFT)]))] == ["ball"]


def test_video_begins_with_the_end_of_another_scene() -> None:
    trace = shown(BAT_AND_BALL)
    later = trace.frame_R >= 4
    rows = ("frame_R", "box_R4", "letters_R26", "colour_R6", "after_cut_R")
    edges = trace.edges_TGG.copy()
    edges[:4, 5:13, :12] = 0
    trace = replace(trace, edges_TGG=edges, **{name: getattr(trace, name)[later] for name in rows})
    assert phrases(BAT_AND_BALL_WORDS, trace)[0].start_seconds == pytest.approx(0.44, abs=0.1)


def test_letter_that_appears_in_the_second_phrase_does_not_delete_the_first_one() -> None:
    words = said(("B", 0.0), ("for", 0.2), ("ball", 0.4), ("B", 0.75), ("for", 0.95), ("bat", 1.15), ("bye", 6.0))
    trace = trace_of([Detection(frame=frame, letter="B") for frame in (8, 9, 30)], 64)
    edges = trace.edges_TGG.copy()
    edges[:8] = 0
    found = phrases(words, replace(trace, edges_TGG=edges))
    assert [one.object_word for one in found] == ["ball", "bat"]
    assert found[0].end_seconds == pytest.approx(0.75)


def test_times_are_those_of_the_changes_of_the_picture() -> None:
    trace = trace_of([], 10 * RATE, cuts=[0, 4 * RATE])
    exact = np.maximum(np.arange(10 * RATE) / RATE - 0.11, 0).astype(np.float32)
    pieces = phrases([], replace(trace, change_seconds_T=exact, **some_text()), seconds=10.0)
    assert [one.start_seconds for one in pieces] == pytest.approx([0.0, 3.89])
    lines = shown([(1.0, 3.0, "Ball", LEFT)])
    (line,) = object_lines(replace(lines, change_seconds_T=exact[: lines.num_frames]), "B")
    assert (line.start_seconds, line.end_seconds) == pytest.approx((0.89, 2.89))
    ending = shown([(3.0, 7.0, "Ball", LEFT)])
    assert object_lines(ending, "B")[0].end_seconds == 7.0


def some_text() -> dict[str, Any]:
    """A line in the middle of a trace of 10 s, a weak sign of B."""
    return {
        "text_frame_N": np.array([2 * RATE], np.int32),
        "text_N": np.array(["Ball"]),
        "text_box_N4": np.array([LEFT], np.float32),
        "text_score_N": np.array([0.95], np.float32),
    }


def test_unit_letter_joins_the_phrases() -> None:
    (found,) = phrases(BAT_AND_BALL_WORDS, shown(BAT_AND_BALL), unit="letter")
    assert described([found]) == [("bat", "words", 0.0, 7.0)]
    assert 1.8 in found.cut_points


def test_letter_without_objects() -> None:
    (found,) = phrases([], shown([], until=5.0))
    assert (found.object_word, found.evidence) == (None, "screen")
    assert found.end_seconds == pytest.approx(5.0, abs=0.6)


@pytest.mark.parametrize("letter", "ACDEFGHJ")
def test_video_of_another_letter_is_refused_with_what_it_shows(letter: str) -> None:
    decoding = decode_single_letter([], "speech", shown(BAT_AND_BALL), letter, duration_seconds=7.0)
    assert decoding.phrases == ()
    assert f"the manifest has letter {letter}" in decoding.refusal
    assert "shows mostly B" in decoding.refusal


def test_talk_is_refused_and_an_alphabet_too() -> None:
    talk = said(*((word, 0.5 * n) for n, word in enumerate("well now we go to the old mill today".split())))
    assert "of 9 words 0% name it" in decode_single_letter(talk, "speech", None, "B", duration_seconds=9.0).refusal
    alphabet = said(*((letter, float(n)) for n, letter in enumerate("ABCDEFGHIJKLMNOP")))
    assert "14 other letters" in decode_single_letter(alphabet, "speech", None, "B", duration_seconds=20.0).refusal


def test_one_pattern_in_a_long_talk_is_no_video_of_the_letter() -> None:
    talk = (
        "so then we went home and see for cup he said that this was all there is to the story my dear friends".split()
    )
    words = said(*((word, 0.5 * n) for n, word in enumerate(talk)))
    decoding = decode_single_letter(words, "speech", None, "C", duration_seconds=15.0)
    assert all(one.evidence == "manifest" for one in decoding.phrases)


def test_nothing_was_read_so_only_the_manifest_labels_the_pieces() -> None:
    (found,) = phrases([], None)
    assert (found.evidence, found.confidence) == ("manifest", MANIFEST_CONFIDENCE)
    assert (found.start_seconds, found.end_seconds) == (0.0, 7.0)


def test_weak_signs_give_pieces_between_cuts_and_pauses_without_the_title() -> None:
    words = said(("big", 2.5), ("bear", 3.0), ("blue", 6.0), ("boat", 6.5))
    trace = trace_of([], 9 * RATE, cuts=[0, 2 * RATE])
    trace = replace(
        trace,
        text_frame_N=np.array([2], np.int32),
        text_N=np.array(["THE ALPHABET"]),
        text_box_N4=np.array([LEFT], np.float32),
        text_score_N=np.array([0.9], np.float32),
    )
    found = phrases(words, trace, seconds=9.0)
    # Between the sampled frames before and after the cut.
    cut = 2.0 - 0.5 / RATE
    assert [(one.start_seconds, one.end_seconds) for one in found] == [(cut, 4.7), (4.7, 9.0)]
    assert {(one.evidence, one.confidence) for one in found} == {("manifest", MANIFEST_CONFIDENCE)}


def test_nothing_on_a_screen_that_was_read_is_refused() -> None:
    decoding = decode_single_letter([], "speech", trace_of([], 40), "B", duration_seconds=5.0)
    assert decoding.phrases == ()
    assert "shows no letter" in decoding.refusal
    assert "there are no words" in decoding.refusal


@pytest.mark.parametrize(
    ("texts", "letters"),
    [
        ("one two three four five six seven eight nine ten", "EFNOST"),
        ("red blue green yellow orange purple pink brown black white", "BGOPRWY"),
    ],
)
def test_printed_words_without_the_letter_are_a_weak_sign(texts: str, letters: str) -> None:
    words = texts.split()
    lines: list[Line] = [(2.0 * n, 2.0 * n + 1.5, word, LEFT) for n, word in enumerate(words)]
    trace = shown(lines, letter="", seconds=2.0 * len(words))
    for letter in letters:
        found = phrases([], trace, letter, seconds=2.0 * len(words))
        assert {one.confidence for one in found} == {MANIFEST_CONFIDENCE}, letter


def test_pair_that_is_only_read_as_text_is_the_letter_itself() -> None:
    # The letters of the pair are inside the box of a line that was misread, so that none of them counts.
    lines: list[Line] = [(0.0, 3.0, "Bb", LEFT), (3.0, 4.5, "Ball", LEFT), (5.0, 7.0, "Bat", LEFT)]
    lines += [(3.0, 7.0, text, RIGHT) for text in ("Chu", "Kids")]
    assert [one.object_word for one in phrases([], shown(lines, letter=""))] == ["ball", "bat"]


def test_printed_words_that_mostly_begin_with_the_letter_are_a_strong_sign() -> None:
    lines: list[Line] = [(2.0 * n, 2.0 * n + 1.5, text, LEFT) for n, text in enumerate(("Ball", "Bat", "Bear", "Kids"))]
    found = phrases([], shown(lines, letter="", seconds=8.0), seconds=8.0)
    assert [one.object_word for one in found] == ["ball", "bat", "bear"]
    # One object may be a sign or a title.
    once = phrases([], shown(lines[:1], letter="", seconds=8.0), seconds=8.0)
    assert {one.confidence for one in once} == {MANIFEST_CONFIDENCE}


def test_bars_side_by_side_are_no_letter_i() -> None:
    bars = [Detection(frame=frame, letter="I", cell=cell) for frame in range(0, 32, 4) for cell in (0, 1)]
    assert decode_single_letter([], "speech", trace_of(bars, 40), "I", duration_seconds=5.0).phrases == ()


def test_phrases_are_not_shorter_than_the_shortest_clip() -> None:
    for minimum, expected in ((0.56, 2), (1.7, 1)):
        decoding = decode_single_letter(
            BAT_AND_BALL_WORDS, "speech", None, "B", duration_seconds=7.0, min_seconds=minimum
        )
        assert len(decoding.phrases) == expected


def test_segment_song_uses_the_letter_of_the_manifest() -> None:
    options = SegmenterOptions.of("auto", "phrase")
    song = segment_song(BAT_AND_BALL_WORDS, "whisper", None, duration_seconds=7.0, options=options, letters="B")
    assert [one.object_word for one in song.phrases] == ["bat", "ball"]
    other = segment_song(BAT_AND_BALL_WORDS, "whisper", None, duration_seconds=7.0, options=options, letters="K")
    assert other.phrases == ()
    assert "letter K" in other.rejection_detail(options)
    as_alphabet = segment_song(BAT_AND_BALL_WORDS, "whisper", None, duration_seconds=7.0, options=options)
    assert as_alphabet.phrases == ()


def test_one_letter_always_needs_the_screen() -> None:
    assert names_letters(BAT_AND_BALL_WORDS, duration_seconds=7.0, letters="B")
    assert not names_letters(BAT_AND_BALL_WORDS, duration_seconds=7.0, letters="K")
    assert needs_screen(BAT_AND_BALL_WORDS, duration_seconds=7.0, letters="B")


def test_object_lines_leave_out_titles_logos_and_other_words() -> None:
    lines: list[Line] = [
        (0.0, 2.0, "ABC", LEFT),
        (0.0, 7.0, "Bubbles", (0.0, 0.9, 0.2, 1.0)),  # a logo: never leaves
        (2.5, 4.0, "B is for Ball", LEFT),
        (4.5, 6.0, "Apple", LEFT),
        (4.5, 6.0, "Baby songs for all my friends at home", RIGHT),
    ]
    assert [line.object_word for line in object_lines(shown(lines), "B")] == ["ball"]
    assert [line.object_word for line in object_lines(shown(lines), "A")] == ["apple"]


@pytest.mark.parametrize("text", ["Eel", "Eels", "Oops", "Ooze", "Aah", "Aahs", "Llama"])
def test_words_that_begin_with_a_letter_twice_are_objects(text: str) -> None:
    assert not begins_with_pair(text)
    (line,) = object_lines(shown([(1.0, 3.0, text, LEFT)]), text[0])
    assert line.object_word == text.lower()


@pytest.mark.parametrize("text", ["Ee", "Oo", "Aa", "Bb", "Bb o", "Ee l", "Hhe", "Kk"])
def test_letters_in_both_cases_are_no_objects(text: str) -> None:
    assert begins_with_pair(text)
    assert object_lines(shown([(1.0, 3.0, text, LEFT)]), text[0]) == []


def test_readings_of_a_line_that_slides_in_are_one_object() -> None:
    trace = shown([(1.0, 1.25, "Bal", LEFT), (1.25, 3.0, "Ball", LEFT)])
    (line,) = object_lines(trace, "B")
    assert line.object_word == "ball"
    assert line.start_seconds == pytest.approx(0.94, abs=0.01)
    assert line.end_seconds == pytest.approx(2.94, abs=0.01)


@given(
    texts=st.lists(
        st.sampled_from("B b for is bat ball Before ba see and the big blue A 4 hat me today".split()), max_size=14
    ),
    gaps=st.lists(st.floats(0.1, 3.0), min_size=14, max_size=14),
    lines=st.lists(
        st.tuples(st.floats(0.0, 5.0), st.sampled_from(["Bat", "Ball", "Bb", "Big show", "Bear"]), st.booleans()),
        max_size=5,
    ),
    letter=st.sampled_from(["", "B", "D"]),
    has_screen=st.booleans(),
    unit=st.sampled_from(["phrase", "letter"]),
)
def test_phrases_are_in_order_inside_the_video_and_do_not_overlap(
    texts: list[str],
    gaps: list[float],
    lines: list[tuple[float, str, bool]],
    letter: str,
    has_screen: bool,
    unit: Unit,
) -> None:
    times = np.cumsum(gaps).tolist()
    words = said(*zip(texts, times, strict=False))
    shown_lines: list[Line] = [(start, start + 1.5, text, LEFT if is_left else RIGHT) for start, text, is_left in lines]
    trace = shown(shown_lines, letter=letter) if has_screen else None
    found = phrases(words, trace, unit=unit)
    times = [time for one in found for time in (one.start_seconds, one.end_seconds)]
    assert times == sorted(times)
    assert all(0 <= time <= 7 for time in times)
    assert all(one.letter == "B" and 0 < one.confidence < 1 for one in found)
    for one in found:
        assert (one.object_word is None) == (one.object_word_source == "")
        assert set(one.evidence.split(",")) <= {"speech", "screen", "manifest"}
        assert all(one.start_seconds <= time <= one.end_seconds for time in one.cut_points)


@pytest.mark.parametrize(("name", "objects"), [("b", ["bat", "ball", None]), ("h", ["hand", "hat", None])])
def test_real_videos_of_one_letter_without_words(shared_data: Path, name: str, objects: list[str | None]) -> None:
    pytest.importorskip("rapidocr")
    from phonics_data.ocr import read_screen

    trace = read_screen(shared_data / "media/one-letter" / f"{name}.mp4")
    found = phrases([], trace, name.upper(), seconds=trace.duration_seconds)
    assert [one.object_word for one in found] == objects
    # The second one begins with the last scene of another video.
    assert found[0].start_seconds == pytest.approx({"b": 0.0, "h": 0.25}[name], abs=0.15)
    assert found[-1].end_seconds == pytest.approx(trace.duration_seconds, abs=0.1)
    other = decode_single_letter([], "speech", trace, "K", duration_seconds=trace.duration_seconds)
    assert f"shows {name.upper()} in upper and lower case" in other.refusal


def test_printed_lyrics_name_their_object() -> None:
    lines = [(1.0, 3.0, "B is for bear, b b bear", LEFT), (4.0, 6.0, "Sing along with Bob and Betty, B B B", LEFT)]
    (line,) = object_lines(shown(lines), "B")
    assert line.object_word == "bear"
