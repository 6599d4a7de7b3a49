"""OCR of letters in drawn frames."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

pytest.importorskip("rapidocr", reason="the model that recognizes letters is part of the package rapidocr")
pytest.importorskip("onnxruntime")

from phonics_data.errors import InputError, MediaError
from phonics_data.media.frame_sampler import SampledFrame
from phonics_data.ocr import read_screen
from phonics_data.ocr.recognizer import letter_recognizer
from phonics_data.ocr.scan import read_frames
from phonics_data.ocr.text_lines import TextLine
from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.screen_decoder import decode_screen
from phonics_data.segmentation.screen_evidence import ScreenOptions, screen_evidence

pytestmark = pytest.mark.dependencies

Frame = NDArray[np.uint8]
RATE = 8


def image_of(
    *texts: tuple[str, int, int, int, str], background: str = "#fdf6b2", size: tuple[int, int] = (640, 360)
) -> Frame:
    """A frame with texts (text, left, top, font size, colour)."""
    image = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(image)
    for text, left, top, height, colour in texts:
        draw.text((left, top), text, fill=colour, font=ImageFont.load_default(height))
    return np.asarray(image)


def repeated(frames: Sequence[tuple[Frame, int]]) -> Iterator[SampledFrame]:
    """Each frame, repeated as often as given."""
    number = 0
    for frame, count in frames:
        for _ in range(count):
            yield SampledFrame(number / RATE, frame)
            number += 1


def scan(frames: Sequence[tuple[Frame, int]]) -> ScreenTrace:
    return read_frames(repeated(frames), rate=RATE, recognizer=letter_recognizer())


def certain_letters(found: ScreenTrace) -> list[tuple[int, str]]:
    """(sampled frame, letter) of every certain detection."""
    return [
        (int(frame), string.ascii_uppercase[int(letters.argmax())])
        for frame, letters in zip(found.frame_R, found.letters_R26, strict=True)
        if letters.max() >= 0.8
    ]


EMPTY = image_of()


def textured(letter: str, style: str, left: int = 250) -> tuple[Frame, Frame]:
    """A board in front of a landscape, empty and with a letter that is not of one colour."""
    height, width = 360, 640
    y, x = np.mgrid[:height, :width]
    board = np.full((height, width, 3), (120, 190, 90), np.float64)
    board[40:320, 80:560] = (130, 80, 40)
    shade = 1 - 0.3 * np.hypot(x - 320, y - 180) / 320
    board[50:310, 90:550] = (np.array([20, 95, 70]) * shade[..., None])[50:310, 90:550]
    page = Image.new("L", (width, height))
    ImageDraw.Draw(page).text((left, 70), letter, fill=255, font=ImageFont.load_default(170))
    inside = np.asarray(page) / 255
    ink = np.full((height, width, 3), (230, 215, 30), np.float64)
    if style == "hatching":
        inside = inside * np.where((x + 1.7 * y) % 13 < 9, 1.0, 0.1)
    elif style == "dots":
        ink[(x % 16 - 8) ** 2 + (y % 16 - 8) ** 2 < 12] = (40, 40, 160)
    elif style == "gradient":
        ink = ink + (np.array([255, 90, 220]) - ink) * (y / height)[..., None]
    noise = np.random.default_rng(7).normal(0, 2, board.shape)
    drawn = board + (ink - board) * inside[..., None]
    return (np.clip(board + noise, 0, 255).astype(np.uint8), np.clip(drawn + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("letter", string.ascii_uppercase)
def test_every_letter_is_detected_when_it_appears(letter: str) -> None:
    found = scan([(EMPTY, 4), (image_of((letter, 250, 60, 200, "#1d3fbb")), 6)])
    assert {detected for _, detected in certain_letters(found)} == {letter}
    # It counts as changed for two frames, the lag of change detection.
    assert {frame for frame, _ in certain_letters(found)} == {4, 5}


@pytest.mark.parametrize("style", ["hatching", "dots", "gradient"])
@pytest.mark.parametrize("letter", "BEKLS")
def test_textured_letters_on_a_board_are_read_and_the_board_is_not(letter: str, style: str) -> None:
    empty, drawn = textured(letter, style)
    found = scan([(empty, 6), (drawn, 6)])
    assert certain_letters(found)
    assert {detected for _, detected in certain_letters(found)} == {letter}
    box = found.box_R4[found.score_R >= 0.8]
    # The board is 0.73 of the frame wide; the letter begins at 250 of 640 pixels.
    assert (box[:, 2] - box[:, 0]).max() < 0.35
    assert box[:, 0].min() > 0.37


def test_colours_of_a_textured_letter_are_those_of_its_ink_and_of_the_board() -> None:
    empty, drawn = textured("E", "hatching")
    found = scan([(empty, 6), (drawn, 6)])
    row = int(found.score_R.argmax())
    np.testing.assert_allclose(found.colour_R6[row], [230, 215, 30, 18, 85, 62], atol=30)


def test_strokes_of_a_letter_that_is_being_drawn_are_no_letters() -> None:
    whole = image_of(("B", 250, 60, 200, "#1d3fbb"))
    ink = np.abs(whole.astype(int) - EMPTY).max(axis=2) > 40
    rows = np.flatnonzero(ink.any(axis=1))
    columns = np.flatnonzero(ink.any(axis=0))
    frames: list[tuple[Frame, int]] = [(EMPTY, 6)]
    # The stem first, which is an I, then the upper bow, a P, then the whole letter.
    stem, upper = EMPTY.copy(), EMPTY.copy()
    middle, right = int(rows.mean()) + 8, int(columns[0]) + 26
    stem[:, :right] = whole[:, :right]
    upper[:middle] = whole[:middle]
    upper[:, :right] = whole[:, :right]
    found = scan([*frames, (stem, 4), (upper, 4), (whole, 6)])
    assert {letter for _, letter in certain_letters(found)} == {"B"}
    # Without the rest the upper half is a letter of its own.
    assert {letter for _, letter in certain_letters(scan([*frames, (stem, 4), (upper, 6)]))} == {"P"}


def test_text_lines_are_read_with_their_case_and_order() -> None:
    title = image_of(("THE ALPHABET", 60, 40, 70, "#1d3fbb"), ("A B C", 200, 200, 90, "#b71c1c"))
    word = image_of(("Apple", 200, 30, 70, "#1d3fbb"), ("Aa", 60, 140, 150, "#b71c1c"))
    found = scan([(EMPTY, 6), (title, 12), (EMPTY, 8), (word, 12)])
    first = set(found.text_N[found.text_frame_N < 18].tolist())
    assert first == {"THE ALPHABET", "A B C"}
    assert set(found.text_N[found.text_frame_N >= 26].tolist()) == {"Apple", "Aa"}
    assert (np.diff(found.text_frame_N) >= 0).all()
    assert found.text_score_N.min() > 0.9
    left, top, right, bottom = found.text_box_N4[found.text_N.tolist().index("Apple")]
    assert left == pytest.approx(200 / 640, abs=0.04)
    assert 0 <= top < bottom < 0.4
    assert right < 0.65
    # The letters of words are no letters of the alphabet; those of the row and of the pair are.
    assert {letter for _, letter in certain_letters(found)} <= set("ABC")


def test_static_text_is_read_again_only_when_something_changes() -> None:
    word = image_of(("Zebra", 200, 200, 90, "#000000"))
    assert scan([(word, 60)]).text_frame_N.tolist() == [1]
    moving = [
        (image_of(("Zebra", 200, 200, 90, "#000000"), ("S", 20 + 8 * i, 20, 120, "#b71c1c")), 1) for i in range(40)
    ]
    # A frame that does not settle is read after 1.5 s.
    assert np.diff(np.unique(scan(moving).text_frame_N)).tolist() == [12, 12]


def test_letters_do_not_wait_for_moving_drawings() -> None:
    rng = np.random.default_rng(3)
    letters = (("G", 60, 120, 110, "#1d3fbb"), ("W", 260, 120, 110, "#1d3fbb"))

    def picture(*shown: tuple[str, int, int, int, str]) -> Frame:
        image = Image.fromarray(image_of(*shown))
        draw = ImageDraw.Draw(image)
        for left in range(10, 600, 75):
            for top in (5, 250):
                points = [(left + float(x), top + float(y)) for x, y in rng.uniform(0, 70, (7, 2))]
                draw.polygon(points, fill="#2e7d32")
        return np.asarray(image)

    marked = (letters[0], (*letters[1][:4], "#d50000"))
    found = scan([(picture(), 1) for _ in range(24)] + [(picture(*letters), 1) for _ in range(8)]
                 + [(picture(*marked), 1) for _ in range(8)])  # fmt: skip
    first = {frame: set[str]() for frame in range(40)}
    for frame, letter in certain_letters(found):
        first[frame].add(letter)
    assert {"G", "W"} <= first[24] | first[25]
    assert "W" in first[32] | first[33]


@pytest.mark.parametrize(
    ("text", "letter"), [("Aa", "A"), ("J j", "J"), ("W", "W"), ("AB", ""), ("Aaa", ""), ("l", ""), ("é", "")]
)
def test_line_of_one_letter(text: str, letter: str) -> None:
    assert TextLine((0, 0, 10, 10), text, 0.9, 1.0).letter == letter


def test_words_are_told_from_parts_of_the_alphabet() -> None:
    def words(text: str, score: float = 0.95) -> list[tuple[int, int, int, int]]:
        return list(TextLine((0, 0, 10 * len(text), 20), text, score, 1.0).words())

    assert words("A is for Apple") == [(45, 0, 85, 20), (85, 0, 140, 20)]
    assert words("ABCDEFG") == words("H I J K") == words("LMNOP") == words("Aa") == []
    assert words("Apple", score=0.7) == []
    assert words("SNOW") == [(0, 0, 40, 20)]
    # A row of letters in any order, by their gaps or, if those are unknown, by their distance.
    box = (0, 0, 90, 40)
    assert list(TextLine(box, "BUR", 0.95, 1.0, gap=0.25).words()) == []
    assert list(TextLine(box, "BUR", 0.95, 1.0, gap=0.18).words()) == [box]
    assert list(TextLine(box, "LKT", 0.95, 1.0, gap=0.18).words()) == []
    assert list(TextLine(box, "BUR", 0.95, 1.0).words()) == []
    assert list(TextLine((0, 0, 60, 40), "BUR", 0.95, 1.0).words()) == [(0, 0, 60, 40)]


@pytest.mark.parametrize("word", ["COW", "DOG", "MOM", "HAT", "moon", "Queen"])
def test_letters_of_printed_words_are_told_from_rows_of_letters(word: str) -> None:
    def letters(text: str) -> set[str]:
        shown = [image_of((text, 100, 100, 110, colour)) for colour in ("#1d3fbb", "#b71c1c")]
        return {letter for _, letter in certain_letters(scan([(EMPTY, 4), (shown[0], 12), (shown[1], 12)]))}

    assert letters(word) == set()
    if word.isupper() and len(set(word)) == 3:
        assert letters(" ".join(word)) == set(word)


def test_only_the_letter_of_a_row_that_changes_its_colour_is_detected() -> None:
    def row(active: int) -> Frame:
        return image_of(
            *(
                (letter, 60 + 140 * cell, 100, 150, "#d62828" if cell == active else "#888888")
                for cell, letter in enumerate("ABCD")
            )
        )

    found = scan([(row(-1), 6), (row(1), 6), (row(2), 6)])
    assert {letter for frame, letter in certain_letters(found) if 6 <= frame < 12} == {"B"}
    assert {letter for frame, letter in certain_letters(found) if frame >= 12} == {"B", "C"}


def test_letter_of_a_chart_that_is_marked_by_a_card_is_read_and_its_neighbours_are_not() -> None:
    def chart(active: int) -> Frame:
        image = Image.new("RGB", (640, 360), "#e3f2fd")
        draw = ImageDraw.Draw(image)
        for cell, letter in enumerate("BCKSW"):
            left = 40 + 120 * cell
            if cell == active:
                draw.rounded_rectangle((left, 130, left + 72, 214), 14, fill="#fff176")
            draw.text((left + 36, 172), letter, fill="#d50000", font=ImageFont.load_default(54), anchor="mm")
        # Letters that are not sharp have no flat region.
        return np.asarray(image.filter(ImageFilter.GaussianBlur(1.5)))

    found = scan([(chart(-1), 6), (chart(1), 8), (chart(3), 8)])
    assert {letter for frame, letter in certain_letters(found) if 6 <= frame < 14} == {"C"}
    assert "S" in {letter for frame, letter in certain_letters(found) if frame >= 14} <= {"C", "S"}


def test_whole_frame_is_read_once_after_a_cut() -> None:
    found = scan(
        [
            (image_of(("K", 250, 60, 200, "#000000")), 6),
            (image_of(("L", 250, 60, 200, "#ffffff"), background="#1565c0"), 6),
        ]
    )
    assert certain_letters(found) == [(0, "K"), (6, "L")]
    assert found.after_cut_R.all()
    assert np.flatnonzero(found.changed_T > 0.4).tolist() == [0, 6]


def test_words_static_letters_and_empty_frames_give_no_phrases() -> None:
    word = image_of(("Zebra", 200, 200, 90, "#000000"), ("Q", 20, 20, 80, "#333333"))
    static = image_of(("Q", 20, 20, 80, "#333333"))
    found = scan([(EMPTY, 3), (EMPTY, 5)])
    assert certain_letters(found) == []
    found = scan([(static, 6), (word, 8)])
    # The Q is static, so it is detected only in the first frame.
    assert [frame for frame, letter in certain_letters(found) if letter == "Q"] == [0]
    assert decode_screen(found, ScreenOptions()).phrases == ()


def test_cards_give_the_alphabet_with_its_times() -> None:
    cards = [
        (image_of((letter, 200, 60, 200, "#6a1b9a"), (letter.lower(), 380, 60, 200, "#6a1b9a"), background=ground), 12)
        for letter, ground in zip(string.ascii_uppercase, ["#fdf6b2", "#b9f6ca"] * 13, strict=True)
    ]
    found = scan([(EMPTY, 16), *cards, (image_of(("The End", 100, 120, 90, "#000000"), background="#ffffff"), 16)])
    decoding = decode_screen(found, ScreenOptions())
    assert "".join(phrase.letter for phrase in decoding.phrases) == string.ascii_uppercase
    for number, phrase in enumerate(decoding.phrases):
        assert phrase.start_seconds == pytest.approx((16 + 12 * number) / RATE, abs=0.13)
        assert phrase.end_seconds == pytest.approx((28 + 12 * number) / RATE, abs=0.13)


def test_trace_is_unchanged_after_a_round_trip_through_a_file(tmp_path: Path) -> None:
    found = scan([(EMPTY, 3), (image_of(("R", 250, 60, 200, "#1d3fbb")), 4)])
    path = tmp_path / "v.npz"
    path.write_bytes(found.to_bytes())
    loaded = ScreenTrace.from_file(path)
    for field in fields(ScreenTrace):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(found, field.name))


def test_trace_of_another_release_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    np.savez(path, rate=RATE, changed_T=np.zeros(3, np.float32))
    with pytest.raises(InputError, match=r"v\.npz: .*another release.*cut_T.*run `phonics-data transcribe` again"):
        ScreenTrace.from_file(path)


def test_video_without_detections_gives_an_empty_trace(tmp_path: Path) -> None:
    found = scan([(EMPTY, 2)])
    assert (found.changed_T.size, found.frame_R.size, found.letters_R26.shape) == (2, 0, (0, 26))
    with pytest.raises(MediaError, match="no such file"):
        read_screen(tmp_path / "missing.mp4")


def test_real_song(shared_data: Path) -> None:
    """Rows of letters that are marked in turn; the first of a row appears with a cut."""
    folder = shared_data / "media" / "Dev4X+Alpha-Moon"
    found = read_screen(next(folder.glob("*.mp4")))
    truth = [line.split() for line in (folder / "truth.tsv").read_text().splitlines() if not line.startswith("#")]
    decoding = decode_screen(found, ScreenOptions())
    centres = {phrase.letter: (phrase.start_seconds + phrase.end_seconds) / 2 for phrase in decoding.phrases}
    right = [
        letter for letter, start, end in truth if float(start) - 0.25 <= centres.get(letter, -1) <= float(end) + 0.25
    ]
    assert len(right) >= 24
    assert len(decoding.phrases) <= 26


def lit(frame_HWC: Frame, strength: float) -> Frame:
    """The frame with a warm light on its centre that covers half of its area."""
    height, width = frame_HWC.shape[:2]
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(x - width / 2, y - height / 2) < 0.55 * height
    alpha = strength * inside[..., None]
    return np.rint(frame_HWC * (1 - alpha) + np.array([255, 152, 0]) * alpha).astype(np.uint8)


def test_flash_is_not_a_cut_and_a_new_image_is() -> None:
    first, second = (
        image_of(("B", 250, 60, 200, "#283593")),
        image_of(("C", 250, 60, 200, "#ffffff"), background="#2e7d32"),
    )
    found = scan([(first, 10), (lit(first, 0.7), 1), (lit(first, 0.3), 1), (first, 8), (second, 10)])
    assert found.changed_T[10] > 0.4
    assert np.flatnonzero(found.cut_T).tolist() == [0, 20]


def test_letters_that_are_no_longer_marked_have_no_evidence_under_light() -> None:
    def row(marked: int) -> Frame:
        pale, strong = "#f3a59b", "#e53935"
        return image_of(
            *((letter, 120 + 150 * i, 120, 120, strong if i == marked else pale) for i, letter in enumerate("BEK"))
        )

    frames: list[tuple[Frame, int]] = [(image_of(), 6)]
    for marked in range(3):
        image = row(marked)
        frames += [(image, 8), (lit(image, 0.6), 1), (lit(image, 0.3), 1), (image, 8)]
    found = scan(frames)
    evidence = screen_evidence(found, ScreenOptions())
    for index, letter in enumerate("BEK"):
        evidence_26 = evidence[6 + 18 * index + 2 : 6 + 18 * (index + 1)].sum(axis=0)
        others = [string.ascii_uppercase.index(other) for other in "BEK" if other != letter]
        assert evidence_26[others].max() < 0.2, letter
    starts = [int(np.flatnonzero(evidence[:, string.ascii_uppercase.index(letter)] >= 0.4)[0]) for letter in "BEK"]
    assert starts == pytest.approx([6, 24, 42], abs=1)
