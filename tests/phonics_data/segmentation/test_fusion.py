"""Two sources of phrases, each wrong somewhere."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace

from phonics_data.segmentation.fusion import FuseOptions, fuse
from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.viterbi import Order

ALPHABET = string.ascii_uppercase


def phrase(letter: str, start: float, end: float, confidence: float = 0.9, evidence: str = "captions") -> Phrase:
    return Phrase(
        letter=letter, object_word=None, start_seconds=start, end_seconds=end, confidence=confidence, evidence=evidence
    )


def every(letters: str, *, later: float = 0.0, evidence: str = "captions") -> list[Phrase]:
    """Two seconds a letter."""
    return [phrase(letter, 2 * at + later, 2 * at + 2 + later, evidence=evidence) for at, letter in enumerate(letters)]


def told(
    leader: Sequence[Phrase], other: Sequence[Phrase], *, order: Order = "strict", near_seconds: float = 0.35
) -> list[tuple[str, float, float]]:
    found = fuse(leader, other, order=order, near_seconds=near_seconds, options=FuseOptions())
    return [(one.letter, one.start_seconds, one.end_seconds) for one in found]


def test_near_edges_are_those_of_the_picture_and_far_ones_the_leaders() -> None:
    seen = every(ALPHABET[:10], later=0.2, evidence="screen")
    seen[4] = replace(seen[4], start_seconds=9.0)
    found = told(every(ALPHABET[:10]), seen)
    assert found[3] == ("D", 6.2, 8.0)  # E begins at 8.0, and the two cannot share the time between
    assert found[4] == ("E", 8.0, 10.2)
    assert "".join(letter for letter, _, _ in found) == ALPHABET[:10]


def test_a_letter_that_captions_lost_is_taken_from_the_screen() -> None:
    heard = [one for one in every(ALPHABET[:10]) if one.letter not in "DH"]
    assert "".join(letter for letter, _, _ in told(heard, every(ALPHABET[:10], evidence="screen"))) == ALPHABET[:10]


def test_a_phrase_that_swallowed_lost_letters_gives_them_back() -> None:
    heard = [one for one in every(ALPHABET[:10]) if one.letter not in "FG"]
    heard[4] = replace(heard[4], end_seconds=14.0)  # E to the start of H
    found = told(heard, every(ALPHABET[:10], evidence="screen"))
    assert found[4:7] == [("E", 8.0, 10.0), ("F", 10.0, 12.0), ("G", 12.0, 14.0)]


def test_a_phrase_whose_name_was_lost_begins_where_the_picture_does() -> None:
    heard = every(ALPHABET)
    heard[5] = replace(heard[5], start_seconds=11.2, starts_named=False)
    assert told(heard, every(ALPHABET, evidence="screen"))[5] == ("F", 10.0, 12.0)
    # A gap before a name says the same: that name may be the second one.
    heard[5] = replace(heard[5], starts_named=True)
    assert told(heard, every(ALPHABET, evidence="screen"))[5] == ("F", 10.0, 12.0)
    heard[4] = replace(heard[4], end_seconds=11.2)
    assert told(heard, every(ALPHABET, evidence="screen"))[5] == ("F", 11.2, 12.0)


def test_what_a_drawing_looks_like_does_not_outvote_the_words() -> None:
    seen = every(ALPHABET[:10], evidence="screen")
    seen[3] = replace(seen[3], letter="O")
    assert "".join(letter for letter, _, _ in told(every(ALPHABET[:10]), seen)) == ALPHABET[:10]
    seen = [*every(ALPHABET[:10], evidence="screen"), phrase("C", 24.0, 26.0, 0.6, "screen")]
    assert told(every(ALPHABET[:10]), seen)[-1][0] == "J"


def test_a_guess_gives_way_to_what_was_seen() -> None:
    letters = "WGJKEDRVBA"
    heard = every(letters)
    heard[0] = replace(heard[0], letter="Q", confidence=0.3)
    assert "".join(letter for letter, _, _ in told(heard, every(letters, evidence="screen"), order="any")) == letters


def test_one_source_alone_stays_as_it_is() -> None:
    heard = every(ALPHABET)
    assert fuse(heard, [], order="strict", near_seconds=0.35, options=FuseOptions()) == heard
    assert fuse([], heard, order="strict", near_seconds=0.35, options=FuseOptions()) == heard
    assert fuse([], [], order="strict", near_seconds=0.35, options=FuseOptions()) == []


def test_cut_points_stay_inside_their_phrase() -> None:
    heard = [replace(phrase("A", 0.0, 4.0), cut_points=(0.0, 3.5, 1.0), strong_cuts=2)]
    seen = [phrase("A", 0.1, 2.0, evidence="screen"), phrase("B", 2.0, 4.0, evidence="screen")]
    found = fuse(heard, seen, order="strict", near_seconds=0.35, options=FuseOptions())
    assert [(one.letter, one.end_seconds) for one in found] == [("A", 2.0), ("B", 4.0)]
    assert found[0].cut_points == (1.0,)
    assert found[0].strong_cuts == 0


def test_a_chorus_that_names_letters_again_adds_none_to_a_song_that_has_each_once() -> None:
    letters = "XBKFUQJARTVLEM"
    chorus = [phrase("B", 40.0, 41.0, 0.8), phrase("A", 41.0, 42.0, 0.8)]
    found = told([*every(letters), *chorus], every(letters, evidence="screen"), order="any")
    assert "".join(letter for letter, _, _ in found) == letters
    second = every(letters, later=40.0)
    found = told([*every(letters), *second], every(letters, evidence="screen"), order="any")
    assert "".join(letter for letter, _, _ in found) == 2 * letters


def test_the_edges_of_the_source_that_keeps_the_rhythm_are_taken() -> None:
    heard = every(ALPHABET[:10])
    for at in (2, 6):  # their names were misheard, and the phrases before them took their beginnings
        heard[at] = replace(heard[at], start_seconds=2 * at + 0.9)
        heard[at - 1] = replace(heard[at - 1], end_seconds=2 * at + 0.9)
    seen = every(ALPHABET[:10], evidence="screen")
    assert told(heard, seen) == [(one.letter, one.start_seconds, one.end_seconds) for one in seen]
    # Of two that are as even, the leader's stay.
    later = every(ALPHABET[:10], later=0.9, evidence="screen")
    assert told(every(ALPHABET[:10]), later) == [
        (one.letter, one.start_seconds, one.end_seconds) for one in every(ALPHABET[:10])
    ]


def test_a_source_that_only_fills_adds_no_letter_where_the_leader_has_no_room() -> None:
    seen = [one for one in every(ALPHABET, evidence="screen") if one.letter not in "FZ"]
    lost, last = phrase("F", 10.1, 11.9, evidence="speech"), phrase("Z", 50.1, 51.9, evidence="speech")
    chorus = [phrase("A", 54.0, 55.0, evidence="speech"), phrase("B", 55.0, 56.0, evidence="speech")]
    wrong = phrase("T", 10.2, 11.8, evidence="speech")

    def letters(other: Sequence[Phrase], order: Order = "strict") -> str:
        found = fuse(seen, other, order=order, near_seconds=0.0, options=FuseOptions(), fills_only=True)
        return "".join(one.letter for one in found)

    known = "".join(one.letter for one in seen)
    assert letters([lost, last, *chorus]) == ALPHABET
    assert letters([wrong]) == letters(chorus) == known
    assert letters([phrase("F", 8.5, 9.5, evidence="speech")]) == known  # E is there
    # Without an order only the time and the letter tell.
    assert letters([lost, last], order="any") == ALPHABET
    assert letters([wrong], order="any") == known
