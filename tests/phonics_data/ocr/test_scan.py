"""Letters on drawn frames: what is read, what is not, and when."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

pytest.importorskip("rapidocr", reason="the model that reads letters comes with the package rapidocr")
pytest.importorskip("onnxruntime")

from phonics_data.errors import MediaError
from phonics_data.media.frame_sampler import SampledFrame
from phonics_data.ocr import read_screen
from phonics_data.ocr.recognizer import letter_reader
from phonics_data.ocr.scan import trace
from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.screen_decoder import decode_screen
from phonics_data.segmentation.screen_evidence import ScreenOptions, screen_evidence

Frame = NDArray[np.uint8]
RATE = 8


def picture(
    *texts: tuple[str, int, int, int, str], ground: str = "#fdf6b2", size: tuple[int, int] = (640, 360)
) -> Frame:
    """A frame with texts (text, left, top, height of the font, colour)."""
    image = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(image)
    for text, left, top, height, colour in texts:
        draw.text((left, top), text, fill=colour, font=ImageFont.load_default(height))
    return np.asarray(image)


def film(frames: Sequence[tuple[Frame, int]]) -> Iterator[SampledFrame]:
    """Each frame for so many looks."""
    number = 0
    for frame, looks in frames:
        for _ in range(looks):
            yield SampledFrame(number / RATE, frame)
            number += 1


def scan(frames: Sequence[tuple[Frame, int]]) -> ScreenTrace:
    return trace(film(frames), rate=RATE, reader=letter_reader())


def read_letters(found: ScreenTrace) -> list[tuple[int, str]]:
    """(look, letter) of every sure reading."""
    return [
        (int(look), string.ascii_uppercase[int(letters.argmax())])
        for look, letters in zip(found.look_R, found.letters_R26, strict=True)
        if letters.max() >= 0.8
    ]


EMPTY = picture()


@pytest.mark.parametrize("letter", string.ascii_uppercase)
def test_every_letter_is_read_when_it_appears(letter: str) -> None:
    found = scan([(EMPTY, 4), (picture((letter, 250, 60, 200, "#1d3fbb")), 6)])
    assert {read for _, read in read_letters(found)} == {letter}
    # It is new for as long as a look back reaches, and then stands still.
    assert {look for look, _ in read_letters(found)} == {4, 5}


def test_a_letter_that_changes_its_colour_in_a_row_is_read_alone() -> None:
    def row(active: int) -> Frame:
        return picture(
            *(
                (letter, 60 + 140 * place, 100, 150, "#d62828" if place == active else "#888888")
                for place, letter in enumerate("ABCD")
            )
        )

    found = scan([(row(-1), 6), (row(1), 6), (row(2), 6)])
    assert {letter for look, letter in read_letters(found) if 6 <= look < 12} == {"B"}
    assert {letter for look, letter in read_letters(found) if look >= 12} == {"B", "C"}  # B goes back, C comes


def test_after_a_cut_the_whole_frame_is_read_once() -> None:
    found = scan(
        [(picture(("K", 250, 60, 200, "#000000")), 6), (picture(("L", 250, 60, 200, "#ffffff"), ground="#1565c0"), 6)]
    )
    assert read_letters(found) == [(0, "K"), (6, "L")]
    assert found.after_cut_R.all()
    assert np.flatnonzero(found.changed_T > 0.4).tolist() == [0, 6]


def test_words_still_letters_and_an_empty_screen_say_nothing() -> None:
    word = picture(("Zebra", 200, 200, 90, "#000000"), ("Q", 20, 20, 80, "#333333"))
    still = picture(("Q", 20, 20, 80, "#333333"))
    found = scan([(EMPTY, 3), (EMPTY, 5)])
    assert read_letters(found) == []
    found = scan([(still, 6), (word, 8)])
    # The Q stands still all the time, and is read only in the first frame.
    assert [look for look, letter in read_letters(found) if letter == "Q"] == [0]
    assert decode_screen(found, ScreenOptions()).phrases == ()


def test_a_film_of_cards_gives_the_alphabet_with_its_seconds() -> None:
    cards = [
        (picture((letter, 200, 60, 200, "#6a1b9a"), (letter.lower(), 380, 60, 200, "#6a1b9a"), ground=ground), 12)
        for letter, ground in zip(string.ascii_uppercase, ["#fdf6b2", "#b9f6ca"] * 13, strict=True)
    ]
    found = scan([(EMPTY, 16), *cards, (picture(("The End", 100, 120, 90, "#000000"), ground="#ffffff"), 16)])
    decoding = decode_screen(found, ScreenOptions())
    assert "".join(phrase.letter for phrase in decoding.phrases) == string.ascii_uppercase
    for number, phrase in enumerate(decoding.phrases):
        assert phrase.start_seconds == pytest.approx((16 + 12 * number) / RATE, abs=0.13)
        assert phrase.end_seconds == pytest.approx((28 + 12 * number) / RATE, abs=0.13)


def test_a_trace_goes_through_a_file_unchanged(tmp_path: Path) -> None:
    found = scan([(EMPTY, 3), (picture(("R", 250, 60, 200, "#1d3fbb")), 4)])
    path = tmp_path / "v.npz"
    path.write_bytes(found.to_bytes())
    again = ScreenTrace.from_file(path)
    for field in fields(ScreenTrace):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(found, field.name))


def test_a_video_without_readings_gives_an_empty_trace(tmp_path: Path) -> None:
    found = scan([(EMPTY, 2)])
    assert (found.changed_T.size, found.look_R.size, found.letters_R26.shape) == (2, 0, (0, 26))
    with pytest.raises(MediaError, match="no such file"):
        read_screen(tmp_path / "missing.mp4")


def test_the_real_song(shared_data: Path) -> None:
    """A row of letters that take colour one after the other; the first of a row comes with a cut."""
    folder = shared_data / "media" / "Dev4X+Alpha-Moon"
    found = read_screen(next(folder.glob("*.mp4")))
    truth = [line.split() for line in (folder / "truth.tsv").read_text().splitlines() if not line.startswith("#")]
    decoding = decode_screen(found, ScreenOptions())
    shown = {phrase.letter: (phrase.start_seconds + phrase.end_seconds) / 2 for phrase in decoding.phrases}
    right = [
        letter for letter, start, end in truth if float(start) - 0.25 <= shown.get(letter, -1) <= float(end) + 0.25
    ]
    assert len(right) >= 24
    assert len(decoding.phrases) <= 26


def lit(frame_HWC: Frame, strength: float) -> Frame:
    """The frame under a warm light that falls on its middle, over half of its area."""
    height, width = frame_HWC.shape[:2]
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(x - width / 2, y - height / 2) < 0.55 * height
    share = strength * inside[..., None]
    return np.rint(frame_HWC * (1 - share) + np.array([255, 152, 0]) * share).astype(np.uint8)


def test_a_flash_of_light_is_no_cut_and_a_new_picture_is_one() -> None:
    first, second = picture(("B", 250, 60, 200, "#283593")), picture(("C", 250, 60, 200, "#ffffff"), ground="#2e7d32")
    found = scan([(first, 10), (lit(first, 0.7), 1), (lit(first, 0.3), 1), (first, 8), (second, 10)])
    assert found.changed_T[10] > 0.4
    assert np.flatnonzero(found.cut_T).tolist() == [0, 20]


def test_letters_whose_turn_is_over_say_nothing_when_light_falls_on_them() -> None:
    def row(turn: int) -> Frame:
        pale, strong = "#f3a59b", "#e53935"
        return picture(
            *((letter, 120 + 150 * i, 120, 120, strong if i == turn else pale) for i, letter in enumerate("BEK"))
        )

    frames: list[tuple[Frame, int]] = [(picture(), 6)]
    for turn in range(3):
        frames += [(row(turn), 8), (lit(row(turn), 0.6), 1), (lit(row(turn), 0.3), 1), (row(turn), 8)]
    found = scan(frames)
    evidence = screen_evidence(found, ScreenOptions())
    for turn, letter in enumerate("BEK"):
        mine = evidence[6 + 18 * turn + 2 : 6 + 18 * (turn + 1)].sum(axis=0)
        others = [string.ascii_uppercase.index(other) for other in "BEK" if other != letter]
        assert mine[others].max() < 0.2, letter
    starts = [int(np.flatnonzero(evidence[:, string.ascii_uppercase.index(letter)] >= 0.4)[0]) for letter in "BEK"]
    assert starts == pytest.approx([6, 24, 42], abs=1)
