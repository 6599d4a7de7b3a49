"""Letters with the time for which they are visible, detected in drawn frames."""

from __future__ import annotations

import pytest

pytest.importorskip("rapidocr", reason="the model that recognizes letters is part of the package rapidocr")
pytest.importorskip("onnxruntime")

from phonics_data.segmentation.screen_letters import screen_letters
from tests.phonics_data.ocr.test_scan import EMPTY, RATE, Frame, image_of, scan

pytestmark = pytest.mark.dependencies

HALF = 0.5 / RATE
A = image_of(("A", 250, 40, 200, "#1d3fbb"))


def intervals(*frames: tuple[Frame, int]) -> list[tuple[str, float, float]]:
    return [(one.letter, one.start_seconds, one.end_seconds) for one in screen_letters("song", scan(frames))]


def test_static_letter_is_visible_until_it_disappears() -> None:
    # It is detected only in its first quarter of a second, and visible for three seconds.
    assert intervals((EMPTY, 8), (A, 24), (EMPTY, 8)) == [("A", pytest.approx(1 - HALF), pytest.approx(4 - HALF))]


def test_letter_that_is_visible_to_the_end_ends_with_the_video() -> None:
    assert intervals((EMPTY, 8), (A, 8)) == [("A", pytest.approx(1 - HALF), 2.0)]


def test_letter_that_reappears_gives_two_records() -> None:
    found = intervals((EMPTY, 8), (A, 16), (EMPTY, 8), (A, 16), (EMPTY, 8))
    assert [letter for letter, _, _ in found] == ["A", "A"]
    assert [start for _, start, _ in found] == pytest.approx([1 - HALF, 4 - HALF])
    assert [end for _, _, end in found] == pytest.approx([3 - HALF, 6 - HALF])


def test_moving_letter_gives_one_record_with_the_box_of_a_detection() -> None:
    moving = [(image_of(("B", 100 + 15 * step, 80, 160, "#d62828")), 1) for step in range(16)]
    (found,) = screen_letters("song", scan([(EMPTY, 8), *moving, (EMPTY, 8)]))
    assert found.letter == "B"
    assert (found.start_seconds, found.end_seconds) == pytest.approx((1 - HALF, 3 - HALF), abs=0.13)
    left, top, right, bottom = found.box
    assert 0.1 < left < right < 0.8
    assert 0.2 < top < bottom < 0.8


def test_letter_that_replaces_another_starts_where_that_ends() -> None:
    found = intervals((EMPTY, 8), (A, 16), (image_of(("K", 250, 40, 200, "#1d3fbb")), 16))
    assert [letter for letter, _, _ in found] == ["A", "K"]
    assert found[0][2] == found[1][1] == pytest.approx(3 - HALF)
