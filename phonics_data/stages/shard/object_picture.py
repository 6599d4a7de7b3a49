"""The picture of the object that appears in a clip, from what changes and stays. A pure function of the frames.

In the songs of letters the object of a phrase comes in once and stays, while what moves back and forth (a letter that bends,
wings) returns. So a pixel belongs to something that came if it has the value that it has late in the phrase without interruption
since a moment after the phrase began, and had another value before.

* Movement of the camera (a shift, a turn, a zoom) is estimated from tracked corners and undone.
* What comes together in time and is connected in space is one region. What left is told from what came by its outline: that of a thing that
  came is an edge now and was none before.
* Words and letters also come. Regions that lie in a line of text are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.sample import MAX_PICTURE_SIDE, Frames, Picture
from phonics_data.ocr.recognizer import letter_recognizer
from phonics_data.ocr.text_lines import line_detector
from phonics_data.types import NoPictureReason

Mask = NDArray[np.bool_]
PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom; the right and bottom edges do not belong to it."""
FindLines = Callable[[Frames], Sequence[PixelBox]]
"""uint8 (H, W, 3) -> the boxes of its lines of text."""

SAMPLES_PER_SECOND = 12.0
"""Frames that are compared. The median of three neighbours ignores what lasts for less than a sixth of a second."""
MAX_SAMPLES = 96
"""In one clip. A long clip is compared at fewer frames a second."""
SOURCE_SIDE = 640
"""Longest side at which frames are kept: the source's size, if it is not larger."""
_SIDE = 320
"""Longest side at which frames are compared."""
_MIN_STATES = 6
_LATE = 0.75
"""Time in the clip, as a share, at which the object is taken to be there. It can leave at the end."""
_CHANGED_LEVELS = 24
"""A pixel of which a channel differs by more has another value."""
_MIN_STAY = 0.2
"""What came stays for at least this share of the clip."""
_CUT_SHARE = 0.5
"""Share of the pixels that change at once from which it is a cut, and of pixels that came from which the whole picture changed."""
_QUIET_SHARE = 0.0008
"""Share of the pixels that come in one step up to which nothing is coming."""
_MAX_WAY = round(1.5 * SAMPLES_PER_SECOND)
"""States for which a thing is on its way, at most."""
_MIN_AREA, _MAX_AREA = 0.006, 0.6
"""Of a region, as a share of the frame."""
_MIN_SOLIDITY = 0.5
"""Area of a region by that of its convex hull."""
_MIN_SIDE = 0.08
"""Of a region's box, as a share of the frame's height."""
_READ_SIZE = (384, 216)
"""Width and height at which small frames are read."""
_SURE_TEXT = 0.8
"""Score of a line of text from which it counts."""
_TEXT_SHARE = 0.5
"""Share of a region within lines of text from which it is text."""
_MARGIN = 0.04
"""Around the object in its picture, as a share of its longer side."""
_MIN_SHIFT = 0.7
"""Movement of a corner of the frame, in compared pixels, from which the camera moves."""
_MIN_TRACKED = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundObject:
    """Result of `find_object`.

    Args:
        picture: RGBA; None if none was found.
        box: left, top, right, bottom of the object as fractions of the frame; None if none was found.
        reason: why there is none.
        absent_until: number of the first of `frames_THWC` in which it may be on its way; before that, it is not there.
        there: first frame in which it is at `box`, and the one after the last.
    """

    picture: Picture | None
    box: tuple[float, float, float, float] | None
    reason: NoPictureReason
    absent_until: int = 0
    there: tuple[int, int] = (0, 0)


def find_object(frames_THWC: Frames, find_lines: FindLines | None = None) -> FoundObject:
    """The object that comes in a clip and stays.

    Args:
        frames_THWC: uint8 RGB, about `SAMPLES_PER_SECOND` of the clip's frames in order, of any size.
        find_lines: gives the lines of text in a picture; called once, if something was found. None: text is not recognized.
    """
    states_THWC, scale = _states(frames_THWC)
    num_states = len(states_THWC)
    if num_states < _MIN_STATES:
        return _nothing("too_short")
    late = round(_LATE * (num_states - 1))
    start = _last_cut(states_THWC[: late + 1])
    if late - start < _MIN_STATES // 2:
        return _nothing("whole_picture")
    states_THWC, late = states_THWC[start:], late - start
    steady_THWC, known_THW = _without_camera(states_THWC, late)
    came_HW, left_HW = _arrivals(steady_THWC, known_THW, late)
    lasting_HW = (left_HW - came_HW >= max(3, round(_MIN_STAY * num_states))) & (came_HW > 0)
    if lasting_HW.mean() > _CUT_SHARE:
        return _nothing("whole_picture")
    regions = list(_regions(steady_THWC, came_HW, lasting_HW, late))
    if not regions:
        return _nothing("whole_picture" if start else "nothing_came")
    if find_lines is not None:
        text_HW = _text(find_lines, states_THWC[late])
        if text_HW.any():
            regions = list(_regions(steady_THWC, came_HW, lasting_HW & ~text_HW, late))
        regions = [region for region in regions if text_HW[region].mean() < _TEXT_SHARE]
        if not regions:
            return _nothing("only_text")
    region_HW = max(regions, key=lambda region: (int(region.sum()), region.tobytes()))
    found = _cut_out(region_HW, frames_THWC, start + late, scale)
    came, arrived = (int(np.percentile(came_HW[region_HW], share)) for share in (5, 95))
    there = (arrived, int(np.percentile(left_HW[region_HW], 5)))
    if steady_THWC is not states_THWC:
        there = (late, late + 1)  # the box is that of the late state, and the camera moves
    # State t is the median of frames t, t + 1 and t + 2 after `start`.
    absent_until = max(start + came - _MAX_WAY, 0)
    return replace(found, absent_until=absent_until, there=(start + there[0] + 1, start + there[1] + 1))


def load_text_models() -> None:
    """Load what `read_lines` needs."""
    letter_recognizer()
    line_detector()


def read_lines(picture_HWC: Frames) -> list[PixelBox]:
    """The boxes of the lines of which OCR reads at least two letters with certainty: `FindLines` for `find_object`."""
    height, width = picture_HWC.shape[:2]
    # The published clips are 16:9, squashed to squares of 64 pixels; small text is read larger.
    is_small = max(height, width) < _SIDE // 2
    size = (_READ_SIZE[0], _READ_SIZE[1] if width <= 1.2 * height else max(32, round(_READ_SIZE[0] * height / width)))
    larger: Any = np.ascontiguousarray(
        cv2.resize(picture_HWC, size, interpolation=cv2.INTER_CUBIC) if is_small else picture_HWC
    )
    x, y = width / larger.shape[1], height / larger.shape[0]
    boxes: list[PixelBox] = []
    for left, top, right, bottom in line_detector().lines(larger):
        text, score = letter_recognizer().read_line(larger[top:bottom, left:right])
        if score >= _SURE_TEXT and sum(c.isalpha() for c in text) >= 2:
            boxes.append((round(left * x), round(top * y), round(right * x), round(bottom * y)))
    return boxes


def _nothing(reason: NoPictureReason) -> FoundObject:
    return FoundObject(picture=None, box=None, reason=reason)


def _states(frames_THWC: Frames) -> tuple[Frames, float]:
    """(the medians of three neighbouring frames at the compared size, that size by the size of the frames)."""
    height, width = frames_THWC.shape[1:3]
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = frames_THWC
    if scale < 1:
        small = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames_THWC])
    a, b, c = small[:-2], small[1:-1], small[2:]
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c)), scale


def _differs(one_HWC: Frames, other_HWC: Frames) -> Mask:
    return cv2.absdiff(one_HWC, other_HWC).max(axis=2) > _CHANGED_LEVELS


def _last_cut(states_THWC: Frames) -> int:
    """The first state after the last cut, or 0: more than `_CUT_SHARE` of the pixels differ from the second state before."""
    cut = 0
    for t in range(1, len(states_THWC)):
        if _differs(states_THWC[t], states_THWC[max(t - 2, 0)]).mean() > _CUT_SHARE:
            cut = t
    return cut


def _without_camera(states_THWC: Frames, late: int) -> tuple[Frames, Mask]:
    """(the states as the camera of the late one shows them, (T, H, W) where they are known)."""
    num_states, height, width = states_THWC.shape[:3]
    known_THW = np.ones((num_states, height, width), np.bool_)
    grey = [cv2.cvtColor(state, cv2.COLOR_RGB2GRAY) for state in states_THWC]
    moves: dict[int, NDArray[np.float64]] = {}
    for steps in (range(late - 1, -1, -1), range(late + 1, num_states)):
        move = np.eye(2, 3)
        for t in steps:
            move = moves[t] = _camera_move(grey[late], grey[t], move)
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64)
    shift = max((np.abs(corners @ move.T - corners[:, :2]).max() for move in moves.values()), default=0.0)
    if shift < _MIN_SHIFT:
        return states_THWC, known_THW
    steady = states_THWC.copy()
    whole = np.full((height, width), 255, np.uint8)
    for t, move in moves.items():
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        steady[t] = cv2.warpAffine(states_THWC[t], move, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        known_THW[t] = cv2.warpAffine(whole, move, (width, height), flags=flags) == 255
    return steady, known_THW


def _camera_move(late_HW: Any, grey_HW: Any, guess: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3) places in the late state -> places in another one: the shift, turn and scale that leave the fewest pixels different.

    `guess` is that of the state beside it, and the result where too few corners can be followed. What many corners follow can be a logo
    that stands still, so a second movement is fitted to the others.
    """
    points = cv2.goodFeaturesToTrack(late_HW, maxCorners=150, qualityLevel=0.01, minDistance=8)
    candidates = [guess, np.eye(2, 3)]
    if points is not None and len(points) >= _MIN_TRACKED:
        start = cv2.transform(points, guess).astype(np.float32)
        found, status, _ = cv2.calcOpticalFlowPyrLK(
            late_HW, grey_HW, points, start, winSize=(15, 15), maxLevel=2, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
        )
        free = status[:, 0] == 1
        for _ in range(2):
            if free.sum() < _MIN_TRACKED:
                break
            fitted: Any = cv2.estimateAffinePartial2D(
                points[free], found[free], method=cv2.RANSAC, ransacReprojThreshold=1.0, maxIters=500, confidence=0.999
            )
            move, inliers = fitted
            if move is None or inliers.sum() < _MIN_TRACKED:
                break
            candidates.append(move)
            free[np.flatnonzero(free)[inliers[:, 0] == 1]] = False
    return min(candidates, key=lambda move: _num_different(late_HW, grey_HW, move))


def _num_different(late_HW: Any, grey_HW: Any, move: NDArray[np.float64]) -> int:
    size = (late_HW.shape[1], late_HW.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(grey_HW, move, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return int(np.count_nonzero(cv2.absdiff(moved, late_HW) > _CHANGED_LEVELS // 2))


def _arrivals(states_THWC: Frames, known_THW: Mask, late: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(H, W) the state since which a pixel has its late value, 0 if it always had it; (H, W) the first state without it."""
    num_states, height, width = states_THWC.shape[:3]
    came_HW = np.zeros((height, width), np.int64)
    left_HW = np.full((height, width), num_states, np.int64)
    for t in range(num_states):
        differs = _differs(states_THWC[t], states_THWC[late]) & known_THW[t]
        if t < late:
            came_HW[differs] = t + 1
        else:
            left_HW[differs] = np.minimum(left_HW[differs], t)
    return came_HW, left_HW


def _regions(states_THWC: Frames, came_HW: NDArray[np.int64], lasting_HW: Mask, late: int) -> Iterator[Mask]:
    """The compact regions that came, of each time in which something comes."""
    num_pixels = came_HW.size
    height = came_HW.shape[0]
    late_edges = _edges(states_THWC[late])
    numbers = np.bincount(came_HW[lasting_HW], minlength=late + 2)
    before = 0
    for first, end in _busy_times(numbers > _QUIET_SHARE * num_pixels):
        # A thing is on its way before the first of its pixels has its last value, but not while the one before it leaves.
        before_HWC = states_THWC[max(before, first - _MAX_WAY)]
        before = end
        # What only passes on its way leaves the value that was there before.
        is_other_HW = _differs(states_THWC[late], before_HWC)
        together_HW = _cleaned(lasting_HW & is_other_HW & (came_HW >= first) & (came_HW < end))
        edges_before = _edges(before_HWC)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(together_HW.astype(np.uint8), connectivity=8)
        for label in range(1, count):
            area, box_width, box_height = (
                int(stats[label, column]) for column in (cv2.CC_STAT_AREA, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT)
            )
            if not _MIN_AREA <= area / num_pixels <= _MAX_AREA or min(box_width, box_height) < _MIN_SIDE * height:
                continue
            region_HW = labels == label
            if _solidity(region_HW) < _MIN_SOLIDITY:
                continue
            outline = cv2.morphologyEx(region_HW.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
            if late_edges[outline].mean() > edges_before[outline].mean():
                yield region_HW


def _busy_times(is_busy: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """[first, end) of the runs of True; a single False between two of them does not divide."""
    joined = is_busy.copy()
    joined[1:-1] |= is_busy[:-2] & is_busy[2:]
    joined[0] = False  # what was there from the beginning
    changes = np.flatnonzero(np.diff(np.concatenate([[0], joined.astype(np.int8), [0]])))
    yield from zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True)


def _cleaned(mask_HW: Mask) -> Mask:
    """Without thin lines; small gaps and holes are filled."""
    pixels = mask_HW.astype(np.uint8)
    side = max(pixels.shape)
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (side // 110) + 1,) * 2)
    pixels = cv2.morphologyEx(pixels, cv2.MORPH_CLOSE, near)
    if side > 100:
        pixels = cv2.morphologyEx(pixels, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    contours, _ = cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(pixels), contours, -1, 1, cv2.FILLED) > 0


def _solidity(region_HW: Mask) -> float:
    points = cv2.findNonZero(region_HW.astype(np.uint8))
    hull = np.zeros(region_HW.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return float(region_HW.sum() / max(int(hull.sum()), 1))


def _edges(state_HWC: Frames) -> NDArray[np.float32]:
    grey = cv2.cvtColor(state_HWC, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cast(
        "NDArray[np.float32]", cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    )


def _text(find_lines: FindLines, state_HWC: Frames) -> Mask:
    text_HW = np.zeros(state_HWC.shape[:2], np.bool_)
    for left, top, right, bottom in find_lines(state_HWC):
        text_HW[max(top, 0) : bottom, max(left, 0) : right] = True
    return text_HW


def _cut_out(region_HW: Mask, frames_THWC: Frames, state: int, scale: float) -> FoundObject:
    """The region in the frames of a state, with a margin, at their size."""
    height, width = frames_THWC.shape[1:3]
    a, b, c = frames_THWC[state : state + 3]
    colours = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    soft = region_HW.astype(np.float32)
    if scale < 1:
        soft = cv2.GaussianBlur(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), (0, 0), 0.5 / scale)
    alpha = np.clip(np.rint((soft - 0.25) * 510), 0, 255).astype(np.uint8)
    left, top, right, bottom = _box(alpha >= 128)
    box = (left / width, top / height, right / width, bottom / height)
    margin = max(1, round(_MARGIN * max(right - left, bottom - top)))
    rows, columns = (slice(max(start - margin, 0), end + margin) for start, end in ((top, bottom), (left, right)))
    alpha, colours = alpha[rows, columns], colours[rows, columns].copy()
    colours[alpha == 0] = 0
    picture = np.dstack([colours, alpha])
    if (longest := max(picture.shape[:2])) > MAX_PICTURE_SIDE:
        picture = _smaller(picture, MAX_PICTURE_SIDE / longest)
    return FoundObject(picture=picture, box=box, reason="")


def _box(mask_HW: Mask) -> PixelBox:
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _smaller(picture: Picture, scale: float) -> Picture:
    """Scaled with colours weighted by alpha, so that what is outside of the object adds nothing."""
    size = (max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale)))
    weight = picture[..., 3:].astype(np.float32)
    colours = cv2.resize(picture[..., :3] * weight, size, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)[..., None]
    return np.rint(np.concatenate([colours / np.maximum(alpha, 1), alpha], axis=2)).astype(np.uint8)
