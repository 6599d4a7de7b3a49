"""Letters from coming to going, and object words, read on drawn frames."""

from __future__ import annotations

import pytest

pytest.importorskip("rapidocr", reason="the model that reads letters comes with the package rapidocr")
pytest.importorskip("onnxruntime")

from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.screen_letters import screen_letters, screen_words, with_object_words
from tests.phonics_data.ocr.test_scan import EMPTY, RATE, picture, scan

HALF = 0.5 / RATE
A = picture(("A", 250, 40, 200, "#1d3fbb"))


def stays(*frames: tuple[object, int]) -> list[tuple[str, float, float]]:
    return [
        (seen.letter, seen.start_seconds, seen.end_seconds)
        for seen in screen_letters("song", scan(frames))  # pyright: ignore[reportArgumentType]
    ]


def test_a_letter_that_stands_still_stays_until_it_is_gone() -> None:
    # It is read only in its first quarter of a second, and stands for three.
    assert stays((EMPTY, 8), (A, 24), (EMPTY, 8)) == [("A", pytest.approx(1 - HALF), pytest.approx(4 - HALF))]


def test_a_letter_that_stays_to_the_end_ends_with_the_video() -> None:
    assert stays((EMPTY, 8), (A, 8)) == [("A", pytest.approx(1 - HALF), pytest.approx(2 - HALF))]


def test_a_letter_that_comes_back_is_two() -> None:
    found = stays((EMPTY, 8), (A, 16), (EMPTY, 8), (A, 16), (EMPTY, 8))
    assert [letter for letter, _, _ in found] == ["A", "A"]
    assert [start for _, start, _ in found] == pytest.approx([1 - HALF, 4 - HALF])
    assert [end for _, _, end in found] == pytest.approx([3 - HALF, 6 - HALF])


def test_a_letter_that_moves_is_one_with_the_box_of_a_reading() -> None:
    moving = [(picture(("B", 100 + 15 * step, 80, 160, "#d62828")), 1) for step in range(16)]
    (seen,) = screen_letters("song", scan([(EMPTY, 8), *moving, (EMPTY, 8)]))
    assert seen.letter == "B"
    assert (seen.start_seconds, seen.end_seconds) == pytest.approx((1 - HALF, 3 - HALF), abs=0.13)
    left, top, right, bottom = seen.box
    assert 0.1 < left < right < 0.8
    assert 0.2 < top < bottom < 0.8


def test_the_letter_after_another_at_its_place_begins_where_that_ends() -> None:
    found = stays((EMPTY, 8), (A, 16), (picture(("K", 250, 40, 200, "#1d3fbb")), 16))
    assert [letter for letter, _, _ in found] == ["A", "K"]
    assert found[0][2] == found[1][1] == pytest.approx(3 - HALF)


@pytest.mark.parametrize("text", ["INK", "Apple", "ball", "lion", "ZEBRA", "Jelly", "queen", "igloo", "umbrella"])
def test_object_words_are_read(text: str) -> None:
    found = screen_words(scan([(EMPTY, 8), (picture((text, 40, 180, 120, "#1d3fbb")), 16)]))
    assert {word.text for word in found} == {text.lower()}
    assert found[0].seconds == pytest.approx(1.0)
    assert 0.5 < found[0].box[1] < found[0].box[3] < 1


@pytest.mark.parametrize("text", ["ABCDEFG", "XQZT", "A", "OK"])
def test_charts_and_nonsense_are_no_words(text: str) -> None:
    assert screen_words(scan([(EMPTY, 8), (picture((text, 120, 240, 80, "#1d3fbb")), 16)])) == []


def phrase(letter: str, start: float, end: float, object_word: str | None = None) -> Phrase:
    return Phrase(letter=letter, object_word=object_word, start_seconds=start, end_seconds=end, confidence=0.9)


def test_phrases_take_the_word_that_stands_beside_them_and_keep_what_was_said() -> None:
    seen = scan([(EMPTY, 8), (picture(("I", 300, 10, 150, "#222222"), ("INK", 200, 200, 120, "#1d3fbb")), 24)])
    phrases = [phrase("H", 0.0, 0.4), phrase("I", 1.0, 4.0), phrase("I", 1.0, 4.0, "igloo"), phrase("K", 1.0, 4.0)]
    assert [named.object_word for named in with_object_words(phrases, seen)] == [None, "ink", "igloo", None]
