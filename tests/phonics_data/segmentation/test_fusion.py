"""Fusion of two sources of phrases, each with errors."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace

from phonics_data.segmentation.fusion import FusionOptions, fill, fuse, without_overlaps
from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.screen_decoder import ScreenDecoding
from phonics_data.segmentation.segmenter import SegmenterOptions, fuse_decodings
from phonics_data.segmentation.viterbi import Order
from phonics_data.segmentation.word_decoder import decode_words
from phonics_data.types import Word

ALPHABET = string.ascii_uppercase


def phrase(letter: str, start: float, end: float, confidence: float = 0.9, evidence: str = "captions") -> Phrase:
    return Phrase(
        letter=letter, object_word=None, start_seconds=start, end_seconds=end, confidence=confidence, evidence=evidence
    )


def every(letters: str, *, later: float = 0.0, evidence: str = "captions") -> list[Phrase]:
    """Two seconds per letter."""
    return [
        phrase(letter, 2 * index + later, 2 * index + 2 + later, evidence=evidence)
        for index, letter in enumerate(letters)
    ]


def fused(
    primary: Sequence[Phrase],
    other: Sequence[Phrase],
    *,
    order: Order = "strict",
    snap_seconds: float = 0.35,
    has_line_times: bool = False,
) -> list[tuple[str, float, float]]:
    found = fuse(
        primary,
        other,
        order=order,
        snap_seconds=snap_seconds,
        options=FusionOptions(),
        has_line_times=has_line_times,
    )
    return [(one.letter, one.start_seconds, one.end_seconds) for one in found]


def test_boundaries_snap_to_the_screen_if_near_and_stay_the_leaders_if_far() -> None:
    shown = every(ALPHABET[:10], later=0.2, evidence="screen")
    shown[4] = replace(shown[4], start_seconds=9.0)
    found = fused(every(ALPHABET[:10]), shown)
    assert found[3] == ("D", 6.2, 8.0)  # E begins at 8.0, and phrases do not overlap
    assert found[4] == ("E", 8.0, 10.2)
    assert "".join(letter for letter, _, _ in found) == ALPHABET[:10]


def test_letter_missing_in_captions_is_taken_from_the_screen() -> None:
    spoken = [one for one in every(ALPHABET[:10]) if one.letter not in "DH"]
    assert "".join(letter for letter, _, _ in fused(spoken, every(ALPHABET[:10], evidence="screen"))) == ALPHABET[:10]


def test_phrase_that_covers_missing_letters_is_shortened() -> None:
    spoken = [one for one in every(ALPHABET[:10]) if one.letter not in "FG"]
    spoken[4] = replace(spoken[4], end_seconds=14.0)  # E to the start of H
    found = fused(spoken, every(ALPHABET[:10], evidence="screen"))
    assert found[4:7] == [("E", 8.0, 10.0), ("F", 10.0, 12.0), ("G", 12.0, 14.0)]


def test_phrase_without_its_name_starts_where_the_screen_does() -> None:
    spoken = every(ALPHABET)
    spoken[5] = replace(spoken[5], start_seconds=11.2, starts_named=False)
    assert fused(spoken, every(ALPHABET, evidence="screen"))[5] == ("F", 10.0, 12.0)
    # The same with a gap before a name, which may be the second one.
    spoken[5] = replace(spoken[5], starts_named=True)
    assert fused(spoken, every(ALPHABET, evidence="screen"))[5] == ("F", 10.0, 12.0)
    spoken[4] = replace(spoken[4], end_seconds=11.2)
    assert fused(spoken, every(ALPHABET, evidence="screen"))[5] == ("F", 11.2, 12.0)


def test_false_letter_on_the_screen_does_not_replace_the_words() -> None:
    shown = every(ALPHABET[:10], evidence="screen")
    shown[3] = replace(shown[3], letter="O")
    assert "".join(letter for letter, _, _ in fused(every(ALPHABET[:10]), shown)) == ALPHABET[:10]
    shown = [*every(ALPHABET[:10], evidence="screen"), phrase("C", 24.0, 26.0, 0.6, "screen")]
    assert fused(every(ALPHABET[:10]), shown)[-1][0] == "J"


def test_inferred_letter_is_replaced_by_the_screen() -> None:
    letters = "WGJKEDRVBA"
    spoken = every(letters)
    spoken[0] = replace(spoken[0], letter="Q", confidence=0.3)
    assert "".join(letter for letter, _, _ in fused(spoken, every(letters, evidence="screen"), order="any")) == letters


def test_single_source_is_unchanged() -> None:
    spoken = every(ALPHABET)
    assert fuse(spoken, [], order="strict", snap_seconds=0.35, options=FusionOptions()) == spoken
    assert fuse([], spoken, order="strict", snap_seconds=0.35, options=FusionOptions()) == spoken
    assert fuse([], [], order="strict", snap_seconds=0.35, options=FusionOptions()) == []


def test_cut_points_remain_inside_their_phrase() -> None:
    spoken = [replace(phrase("A", 0.0, 4.0), cut_points=(0.0, 3.5, 1.0), num_strong_cuts=2)]
    shown = [phrase("A", 0.1, 2.0, evidence="screen"), phrase("B", 2.0, 4.0, evidence="screen")]
    found = fuse(spoken, shown, order="strict", snap_seconds=0.35, options=FusionOptions())
    assert [(one.letter, one.end_seconds) for one in found] == [("A", 2.0), ("B", 4.0)]
    assert found[0].cut_points == (1.0,)
    assert found[0].num_strong_cuts == 0


def test_repeated_letters_of_a_chorus_are_dropped_unless_the_song_repeats_all() -> None:
    letters = "XBKFUQJARTVLEM"
    chorus = [phrase("B", 40.0, 41.0, 0.8), phrase("A", 41.0, 42.0, 0.8)]
    found = fused([*every(letters), *chorus], every(letters, evidence="screen"), order="any")
    assert "".join(letter for letter, _, _ in found) == letters
    second = every(letters, later=40.0)
    found = fused([*every(letters), *second], every(letters, evidence="screen"), order="any")
    assert "".join(letter for letter, _, _ in found) == 2 * letters


def test_boundaries_of_the_source_with_the_regular_rhythm_are_taken() -> None:
    spoken = every(ALPHABET[:10])
    for index in (2, 6):  # their names were misrecognized, so the phrases before them are too long
        spoken[index] = replace(spoken[index], start_seconds=2 * index + 0.9)
        spoken[index - 1] = replace(spoken[index - 1], end_seconds=2 * index + 0.9)
    shown = every(ALPHABET[:10], evidence="screen")
    assert fused(spoken, shown) == [(one.letter, one.start_seconds, one.end_seconds) for one in shown]
    # If both are equally regular, the primary source's are kept.
    later = every(ALPHABET[:10], later=0.9, evidence="screen")
    assert fused(every(ALPHABET[:10]), later) == [
        (one.letter, one.start_seconds, one.end_seconds) for one in every(ALPHABET[:10])
    ]


def filled(primary: Sequence[Phrase], other: Sequence[Phrase], *, order: Order = "strict") -> list[Phrase]:
    return fill(primary, other, order=order, options=FusionOptions())


def test_fill_adds_letters_only_in_gaps_of_the_leader() -> None:
    shown = [one for one in every(ALPHABET, evidence="screen") if one.letter not in "FZ"]
    missing, last = phrase("F", 10.1, 11.9, evidence="speech"), phrase("Z", 50.1, 51.9, evidence="speech")
    chorus = [phrase("A", 54.0, 55.0, evidence="speech"), phrase("B", 55.0, 56.0, evidence="speech")]
    wrong = phrase("T", 10.2, 11.8, evidence="speech")

    def letters(other: Sequence[Phrase], order: Order = "strict") -> str:
        return "".join(one.letter for one in filled(shown, other, order=order))

    known = "".join(one.letter for one in shown)
    assert letters([missing, last, *chorus]) == ALPHABET
    assert letters([wrong]) == letters(chorus) == known
    assert letters([phrase("F", 8.5, 9.5, evidence="speech")]) == known  # E is at this time
    # Without an order only the time and the letter count.
    assert letters([missing, last], order="any") == ALPHABET
    assert letters([wrong], order="any") == known


def test_fill_keeps_every_letter_and_time_of_the_leader() -> None:
    # Short, uncertain letters of a run, and speech that is late, certain, and lacks some of them.
    shown = [
        phrase(letter, index * 0.5, index * 0.5 + (0.15 if letter in "LMN" else 0.5), 0.25, "screen")
        for index, letter in enumerate(ALPHABET)
    ]
    heard = [
        phrase(letter, index * 0.5 + 0.3, index * 0.5 + 0.8, 0.97, "speech")
        for index, letter in enumerate(ALPHABET)
        if letter not in "JMQ"
    ]
    times = [(one.letter, one.start_seconds, one.end_seconds) for one in shown]
    assert [(one.letter, one.start_seconds, one.end_seconds) for one in filled(shown, heard)] == times
    assert [(one.letter, one.start_seconds, one.end_seconds) for one in filled(shown, heard, order="any")] == times


def test_filler_is_cut_to_its_gap() -> None:
    shown = [phrase("A", 0.0, 2.0, evidence="screen"), phrase("C", 4.0, 6.0, evidence="screen")]
    assert [(one.letter, one.start_seconds, one.end_seconds) for one in filled(shown, [phrase("B", 1.7, 4.3)])] == [
        ("A", 0.0, 2.0),
        ("B", 2.0, 4.0),
        ("C", 4.0, 6.0),
    ]


def test_fill_names_the_object_and_gives_the_cut_points() -> None:
    shown = [phrase("A", 0.0, 6.0, evidence="screen"), phrase("B", 6.0, 9.0, evidence="screen")]
    spoken = replace(
        phrase("A", 0.4, 5.0, evidence="speech"),
        object_word="apple",
        object_word_source="words",
        cut_points=(0.4, 2.5),
        num_strong_cuts=2,
    )
    first, second = filled(shown, [spoken])
    assert (first.object_word, first.object_word_source, first.evidence) == ("apple", "words", "screen,speech")
    assert (first.cut_points, first.num_strong_cuts) == ((0.4, 2.5), 2)
    assert (second.object_word, second.object_word_source) == (None, "")


def test_captions_of_lines_match_the_screen_without_overlap() -> None:
    # Short letters, and captions that are half a second late: no phrase shares time with its letter on the screen.
    shown = [phrase(letter, 0.4 * n, 0.4 * n + 0.4, evidence="screen") for n, letter in enumerate(ALPHABET)]
    late = [phrase(letter, 0.4 * n + 0.5, 0.4 * n + 0.9) for n, letter in enumerate(ALPHABET)]
    assert fused(late, shown, snap_seconds=1.0, has_line_times=True) == [
        (one.letter, one.start_seconds, one.end_seconds) for one in without_overlaps(shown)
    ]


def test_screen_leads_captions_whose_cues_do_not_begin_with_its_letters() -> None:
    """One cue for each word that is spelled: "A - P - P - L - E spells apple"."""

    def words_of(texts: Sequence[str]) -> list[Word]:
        return [
            Word(
                text=word,
                start_seconds=2 * index + 2 * number / len(text.split()),
                end_seconds=2 * index + 2 * (number + 1) / len(text.split()),
                timing="interpolated",
            )
            for index, text in enumerate(texts)
            for number, word in enumerate(text.split())
        ]

    shown = ScreenDecoding(
        phrases=tuple(every(ALPHABET[:12], evidence="screen")),
        is_alphabet=True,
        longest_chain=12,
        num_letters=12,
        order="strict",
        order_z=9.0,
        distinct_z=3.0,
        min_order_z=4.0,
    )
    options = SegmenterOptions(calibration=None)

    def found(texts: Sequence[str]) -> list[tuple[str, float, str]]:
        words = words_of(texts)
        spoken = decode_words(words, duration_seconds=30.0, options=options.words)
        assert spoken.is_alphabet
        song = fuse_decodings(words, "file", spoken, shown, duration_seconds=30.0, options=options)
        return [(one.letter, one.start_seconds, one.evidence.split(",")[0]) for one in song.phrases]

    examples = ("apple", "ball", "cat", "dog", "egg", "fish", "goat", "hat", "ink", "jam", "kite", "lion")
    phrases = [f"{letter} is for {word}" for letter, word in zip(ALPHABET, examples, strict=False)]
    assert found(phrases) == [(letter, 2.0 * index, "captions") for index, letter in enumerate(ALPHABET[:12])]
    spelled = [f"{phrase} {' - '.join(phrase.split()[-1].upper())}" for phrase in phrases]
    late = [f"well now {phrase}" for phrase in spelled]
    assert found(late) == [(letter, 2.0 * index, "screen") for index, letter in enumerate(ALPHABET[:12])]
