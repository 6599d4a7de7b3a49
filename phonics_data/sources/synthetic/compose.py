"""Scenes -> frames: sprites on a background, with transitions, camera movement and logo."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phonics_data.sources.synthetic.motion import Pose
from phonics_data.sources.synthetic.song_plan import Region, Transition
from phonics_data.sources.synthetic.sprites import HEIGHT, WIDTH

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""
_WHOLE: Box = (0.0, 0.0, float(WIDTH), float(HEIGHT))
_SCALE_STEP, _DEGREE_STEP = 0.02, 1.5
"""Poses are rounded to these steps, invisible at 64 pixels, so that transformed sprites can be reused."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sprite:
    """An animated object with one or several images; `image_index` selects the image of each frame."""

    images: Sequence[Image.Image]
    """RGBA."""
    x: float
    y: float
    """Rest position of the image centre, in pixels."""
    pose: Pose
    image_index: NDArray[np.int64] | None = None
    region: Region | None = None
    """What the sprite shows, for the ground truth (`region_boxes`)."""
    transformed: dict[tuple[int, float, float, float], Image.Image] = field(
        default_factory=dict[tuple[int, float, float, float], Image.Image]
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """Content of the frames [first_frame, last_frame)."""

    first_frame: int
    last_frame: int
    background: Image.Image
    """RGB, of the frame size or wider."""
    sprites: tuple[Sprite, ...]
    transition: Transition
    """From the scene before."""
    transition_frames: int
    background_x: NDArray[np.int64] | None = None
    """(frames,) left edge of the visible part of a wider background, in pixels; None: 0."""
    view: NDArray[np.float64] | None = None
    """(frames, 4) left, top, right, bottom of what the camera sees, in pixels; None: the whole picture."""


def frames(scenes: Sequence[Scene], logo: Image.Image | None, logo_at: tuple[int, int]) -> Iterator[Image.Image]:
    """All frames of a song in order, RGB. A frame without changes is the same object as the frame before."""
    current: Image.Image | None = None  # without logo: the start of a transition
    output: Image.Image | None = None
    for scene in scenes:
        before, key_before = current, None
        for frame in range(scene.first_frame, scene.last_frame):
            step = frame - scene.first_frame
            in_transition = before is not None and scene.transition != "cut" and step < scene.transition_frames
            background_x, view = _background_x(scene, step), _view(scene, step)
            key = (_key(scene, step), background_x, view, step if in_transition else -1)
            if key != key_before or output is None:
                current = _compose(scene, step, background_x)
                if view != _WHOLE:
                    current = current.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=view)
                if in_transition:
                    assert before is not None
                    progress = (step + 1) / (scene.transition_frames + 1)
                    current = _blend_transition(before, current, scene.transition, progress)
                output = current
                if logo is not None:
                    output = current.copy()
                    output.paste(logo, logo_at, logo)
                key_before = key
            yield output


_State = tuple[int, int, int, float, float, float]


def _state(sprite: Sprite, step: int) -> _State | None:
    """(image index, dx, dy, scale_x, scale_y, degrees), rounded; None if the sprite is invisible."""
    pose = sprite.pose
    scale_x, scale_y = (
        round(_SCALE_STEP * round(float(s[step]) / _SCALE_STEP), 3) for s in (pose.scale_x, pose.scale_y)
    )
    if not pose.visible[step] or scale_x <= 0 or scale_y <= 0:
        return None
    image = 0 if sprite.image_index is None else int(sprite.image_index[step])
    degrees = _DEGREE_STEP * round(float(pose.degrees[step]) / _DEGREE_STEP)
    return image, round(float(pose.dx[step])), round(float(pose.dy[step])), scale_x, scale_y, degrees


def _key(scene: Scene, step: int) -> tuple[_State | None, ...]:
    return tuple(_state(sprite, step) for sprite in scene.sprites)


def _background_x(scene: Scene, step: int) -> int:
    return 0 if scene.background_x is None else int(scene.background_x[step])


def _view(scene: Scene, step: int) -> Box:
    if scene.view is None:
        return _WHOLE
    left, top, right, bottom = (float(side) for side in scene.view[step])
    return left, top, right, bottom


def _compose(scene: Scene, step: int, background_x: int) -> Image.Image:
    is_wide = scene.background.width > WIDTH
    picture = (
        scene.background.crop((background_x, 0, background_x + WIDTH, HEIGHT)) if is_wide else scene.background.copy()
    )
    for sprite in scene.sprites:
        state = _state(sprite, step)
        if state is None:
            continue
        image, at = _placed(sprite, state)
        picture.paste(image, at, image)
    return picture


def _placed(sprite: Sprite, state: _State) -> tuple[Image.Image, tuple[int, int]]:
    """(the sprite's image in this state, position of its upper left corner)."""
    image_index, dx, dy, scale_x, scale_y, degrees = state
    image = _transformed_image(sprite, image_index, scale_x, scale_y, degrees)
    return image, (round(sprite.x + dx - image.width / 2), round(sprite.y + dy - image.height / 2))


def region_boxes(scene: Scene) -> dict[Region, list[Box | None]]:
    """The box of each region in each frame of the scene, as fractions of the frame; None where it is not visible.

    A box is the smallest rectangle that contains all visible sprites of the region, as `frames` draws them.
    """
    found: dict[Region, list[Box | None]] = {}
    num_frames = scene.last_frame - scene.first_frame
    for step in range(num_frames):
        view = _view(scene, step)
        for sprite in scene.sprites:
            state = _state(sprite, step)
            if sprite.region is None or state is None:
                continue
            image, (x, y) = _placed(sprite, state)
            ink = image.getchannel("A").getbbox()
            if ink is None:
                continue
            box = _seen((x + ink[0], y + ink[1], x + ink[2], y + ink[3]), view)
            if box is not None:
                boxes = found.setdefault(sprite.region, [None] * num_frames)
                boxes[step] = _union(boxes[step], box)
    return found


def _seen(box: tuple[int, int, int, int], view: Box) -> Box | None:
    """A box in pixels as fractions of what the camera sees, clipped to it; None if it is outside."""
    width, height = view[2] - view[0], view[3] - view[1]
    left, right = (min(max((side - view[0]) / width, 0.0), 1.0) for side in (box[0], box[2]))
    top, bottom = (min(max((side - view[1]) / height, 0.0), 1.0) for side in (box[1], box[3]))
    return (left, top, right, bottom) if right > left and bottom > top else None


def _union(one: Box | None, other: Box) -> Box:
    if one is None:
        return other
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _transformed_image(sprite: Sprite, image_index: int, scale_x: float, scale_y: float, degrees: float) -> Image.Image:
    """The sprite's image, scaled, then rotated anticlockwise about its centre; cached."""
    key = (image_index, scale_x, scale_y, degrees)
    if key not in sprite.transformed:
        image = sprite.images[image_index]
        sprite.transformed[key] = image if key[1:] == (1, 1, 0) else _affine(image, scale_x, scale_y, degrees)
    return sprite.transformed[key]


def _affine(image: Image.Image, scale_x: float, scale_y: float, degrees: float) -> Image.Image:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    width = math.ceil(abs(cos) * image.width * scale_x + abs(sin) * image.height * scale_y) + 2
    height = math.ceil(abs(sin) * image.width * scale_x + abs(cos) * image.height * scale_y) + 2
    # Output pixel -> input pixel: inverse rotation about the output centre, then inverse scaling about the input centre.
    a, b, d, e = cos / scale_x, -sin / scale_x, sin / scale_y, cos / scale_y
    c = image.width / 2 - a * width / 2 - b * height / 2
    f = image.height / 2 - d * width / 2 - e * height / 2
    return image.transform((width, height), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)


def _blend_transition(before: Image.Image, after: Image.Image, transition: Transition, progress: float) -> Image.Image:
    """The frame at `progress` (0..1) of a fade or pan."""
    if transition == "fade":
        return Image.blend(before, after, progress)
    border = round(WIDTH * (1 - progress) ** 2)
    out = Image.new("RGB", (WIDTH, HEIGHT))
    out.paste(before, (border - WIDTH, 0))
    out.paste(after, (border, 0))
    return out
