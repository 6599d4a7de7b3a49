"""The object that comes and stays is found with its box; what else changes gives no picture, and a reason."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from phonics_data.contract.sample import Frames
from phonics_data.stages.shard.object_picture import PixelBox, find_object, read_lines

HEIGHT, WIDTH, NUM_FRAMES = 180, 320, 30
BOX = (180, 60, 260, 130)
"""Left, top, right, bottom of the object in its place."""


def scene(seed: int = 0, level: int = 180) -> Frames:
    """A smooth background with some shapes."""
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT, 2 * WIDTH, 3), level, np.uint8)
    for x, y, size in zip(
        rng.integers(0, 2 * WIDTH, 60), rng.integers(0, HEIGHT, 60), rng.integers(4, 12, 60), strict=True
    ):
        colour = (level - 60, level - int(rng.integers(20, 80)), level - 30)
        cv2.circle(picture, (int(x), int(y)), int(size), colour, -1)
    return picture


def draw_object(picture: Frames, dx: int = 0, dy: int = 0, colour: tuple[int, int, int] = (200, 30, 20)) -> None:
    """An ellipse with a stripe in `BOX`, shifted."""
    left, top, right, bottom = BOX
    centre = ((left + right) // 2 + dx, (top + bottom) // 2 + dy)
    axes = ((right - left) // 2, (bottom - top) // 2)
    cv2.ellipse(picture, centre, axes, 0, 0, 360, colour, -1)
    cv2.ellipse(picture, centre, (axes[0] // 2, axes[1] // 3), 0, 0, 360, (20, 200, 40), -1)


def frames_of(draw: Callable[[int], Frames]) -> Frames:
    return np.stack([draw(t)[:, :WIDTH] for t in range(NUM_FRAMES)])


def slides_in(t: int, start: int = 9, steps: int = 6) -> Frames:
    picture = scene()
    presence = min(max((t - start + 1) / steps, 0.0), 1.0)
    if presence > 0:
        draw_object(picture, dx=round((1 - presence) * 140))
    return picture


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0.0) * max(height, 0.0)
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common / (sum(area) - common)


TRUE_BOX = (BOX[0] / WIDTH, BOX[1] / HEIGHT, BOX[2] / WIDTH, BOX[3] / HEIGHT)


def check_found(frames: Frames, expected: tuple[float, ...] = TRUE_BOX) -> NDArray[np.uint8]:
    found = find_object(frames)
    assert found.reason == ""
    assert found.box is not None
    assert found.picture is not None
    assert overlap(found.box, expected) > 0.8
    assert 0 <= found.absent_until < found.there[0] < found.there[1] <= len(frames)
    return found.picture


def test_the_frames_in_which_it_is_in_its_place() -> None:
    def draw(t: int) -> Frames:
        picture = scene()
        if 20 <= t < 30:
            draw_object(picture)
        return picture

    found = find_object(np.stack([draw(t)[:, :WIDTH] for t in range(36)]))
    assert found.there == (20, 30)
    assert found.absent_until == 1, "1.5 s before the frame before which it was not there"


def test_an_object_that_slides_in_is_cut_out() -> None:
    frames = frames_of(slides_in)
    picture = check_found(frames)
    opaque = picture[..., 3] == 255
    red = (picture[..., 0] > 150) & (picture[..., 1] < 90)
    green = (picture[..., 1] > 150) & (picture[..., 0] < 90)
    assert (red | green)[opaque].mean() > 0.9, "the mask holds the object"
    assert green.any(), "holes are filled"
    assert not picture[0, 0].any(), "outside it is transparent black"
    area = np.pi / 4 * (BOX[2] - BOX[0]) * (BOX[3] - BOX[1])
    assert opaque.sum() == pytest.approx(area, rel=0.15)


def test_the_result_is_a_function_of_the_frames() -> None:
    frames = frames_of(slides_in)
    one, other = (find_object(frames.copy()).picture for _ in range(2))
    assert one is not None
    assert other is not None
    assert one.tobytes() == other.tobytes()


def test_it_is_cut_out_at_the_size_of_the_frames() -> None:
    small = frames_of(slides_in)
    large = np.stack([cv2.resize(frame, (640, 360), interpolation=cv2.INTER_CUBIC) for frame in small]).astype(np.uint8)
    picture = check_found(large)
    assert picture.shape[1] == pytest.approx(2 * (BOX[2] - BOX[0]), rel=0.15)
    tiny = np.stack([cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA) for frame in small]).astype(np.uint8)
    check_found(tiny)


def test_an_object_that_leaves_before_and_one_that_leaves_at_the_end() -> None:
    def draw(t: int) -> Frames:
        picture = scene()
        if t < 5:
            cv2.rectangle(picture, (170, 50), (275, 150), (20, 20, 120), -1)
        if 11 <= t < 28:
            draw_object(picture, dy=round(max(0.0, (15 - t) / 4) * 100))
        return picture

    check_found(frames_of(draw))


def test_an_object_that_comes_after_a_scene_before() -> None:
    check_found(frames_of(lambda t: scene(7, 60) if t < 3 else slides_in(t)))


def test_an_object_under_a_moving_camera() -> None:
    def draw(t: int) -> Frames:
        picture = slides_in(t)
        shift = t
        return np.ascontiguousarray(np.roll(picture, -shift, axis=1))

    found = find_object(frames_of(draw))
    assert found.box is not None
    late = round(0.75 * (NUM_FRAMES - 3)) + 1
    moved = tuple(side - late / WIDTH if side in (TRUE_BOX[0], TRUE_BOX[2]) else side for side in TRUE_BOX)
    assert overlap(found.box, moved) > 0.8


def bends(t: int) -> Frames:
    """A shape that moves to one side and back."""
    picture = scene()
    shift = round(30 * np.sin(np.pi * min(max(t - 8, 0) / 14, 1)))
    cv2.rectangle(picture, (60 + shift, 40), (100 + shift, 140), (30, 30, 200), -1)
    return picture


def vanishes(t: int) -> Frames:
    picture = scene()
    if t < 10:
        draw_object(picture)
    return picture


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (lambda _: scene(), "nothing_came"),
        (bends, "nothing_came"),
        (vanishes, "nothing_came"),
        (lambda t: scene() if t < 14 else scene(3, 90), "whole_picture"),
        (lambda t: np.random.default_rng(t).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), "whole_picture"),
    ],
)
def test_other_changes_give_no_picture_and_a_reason(draw: Callable[[int], Frames], reason: str) -> None:
    found = find_object(frames_of(draw))
    assert (found.picture, found.box, found.reason) == (None, None, reason)


def test_a_few_frames_are_too_short() -> None:
    assert find_object(frames_of(slides_in)[:7]).reason == "too_short"
    assert find_object(np.zeros((0, 1, 1, 3), np.uint8)).reason == "too_short"


def with_word(t: int) -> Frames:
    picture = scene(level=230)
    if t >= 10:
        cv2.putText(picture, "LION", (20, 160), cv2.FONT_HERSHEY_DUPLEX, 2.0, (20, 20, 20), 5)
    return picture


def test_a_word_that_comes_is_no_object() -> None:
    frames = frames_of(with_word)
    assert find_object(frames, read_lines).reason == "only_text"
    (line,) = read_lines(frames[-1])
    assert overlap(line, (20, 115, 165, 162)) > 0.3

    def both(t: int) -> Frames:
        picture = with_word(t)
        if t >= 10:
            draw_object(picture)
        return picture

    found = find_object(frames_of(both), read_lines)
    assert found.box is not None
    assert overlap(found.box, TRUE_BOX) > 0.8


def test_text_that_touches_the_object_is_not_cut_out_with_it() -> None:
    def draw(t: int) -> Frames:
        picture = scene()
        if t >= 10:
            draw_object(picture)
            cv2.rectangle(picture, (150, 125), (300, 160), (250, 250, 250), -1)
        return picture

    lines: list[PixelBox] = [(148, 123, 303, 163)]
    found = find_object(frames_of(draw), lambda _: lines)
    assert found.box is not None
    assert overlap(found.box, TRUE_BOX) > 0.8
    assert find_object(frames_of(draw)).box != found.box
