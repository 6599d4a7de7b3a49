"""Scenes to frames: every sprite in its pose on its ground, with cuts, fades, pans, camera and logo."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phonics_data.sources.synthetic.motion import Pose
from phonics_data.sources.synthetic.song_plan import Camera, Transition
from phonics_data.sources.synthetic.sprites import HEIGHT, WIDTH

DRIFT_PIXELS = 24
_DRIFT_PIXELS_PER_SECOND = 3.0
_ZOOM = 0.04
_ZOOM_STEP = 0.003
_SCALE_STEP, _DEGREE_STEP = 0.02, 1.5
"""Poses are rounded to these steps, under what 64 pixels show, so that turned sprites are used again."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sprite:
    """A thing that moves: one picture or several (`image_index` says which is shown in each frame)."""

    images: Sequence[Image.Image]
    """RGBA."""
    x: float
    y: float
    """Where the picture's middle rests."""
    pose: Pose
    image_index: NDArray[np.int64] | None = None
    drawn: dict[tuple[int, float, float, float], Image.Image] = field(
        default_factory=dict[tuple[int, float, float, float], Image.Image]
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """What is on the screen for the frames [first_frame, last_frame)."""

    first_frame: int
    last_frame: int
    ground: Image.Image
    """RGB, as large as the screen; `DRIFT_PIXELS` wider where the camera drifts."""
    sprites: tuple[Sprite, ...]
    transition: Transition
    """How it takes the place of the scene before."""
    transition_frames: int


def frames(
    scenes: Sequence[Scene], camera: Camera, frame_rate: int, logo: Image.Image | None, logo_at: tuple[int, int]
) -> Iterator[Image.Image]:
    """All frames of a song in order, RGB. A frame that shows nothing new is the same object as the one before."""
    shown: Image.Image | None = None  # without logo: what a transition starts from
    output: Image.Image | None = None
    for scene in scenes:
        before, key_before = shown, None
        for frame in range(scene.first_frame, scene.last_frame):
            step = frame - scene.first_frame
            moves_in = before is not None and scene.transition != "cut" and step < scene.transition_frames
            key = (_key(scene, step), _view(camera, scene, frame, frame_rate), step if moves_in else -1)
            if key != key_before or output is None:
                shown = _camera(_picture(scene, step, key[1]), camera, key[1])
                if moves_in:
                    assert before is not None
                    share = (step + 1) / (scene.transition_frames + 1)
                    shown = _between(before, shown, scene.transition, share)
                output = shown
                if logo is not None:
                    output = shown.copy()
                    output.paste(logo, logo_at, logo)
                key_before = key
            yield output


_State = tuple[int, int, int, float, float, float]


def _state(sprite: Sprite, step: int) -> _State | None:
    """(image, dx, dy, scale_x, scale_y, degrees), rounded; None where it cannot be seen."""
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


def _view(camera: Camera, scene: Scene, frame: int, frame_rate: int) -> int:
    """Where the camera is: steps of zoom inside the scene, or pixels of the ground's drift through the song."""
    if camera == "zoom":
        share = (frame - scene.first_frame) / max(scene.last_frame - scene.first_frame, 1)
        return int(_ZOOM * share / _ZOOM_STEP)
    if camera == "drift":
        way = int(frame / frame_rate * _DRIFT_PIXELS_PER_SECOND) % (2 * DRIFT_PIXELS)
        return min(way, 2 * DRIFT_PIXELS - way)
    return 0


def _picture(scene: Scene, step: int, view: int) -> Image.Image:
    is_wide = scene.ground.width > WIDTH
    picture = scene.ground.crop((view, 0, view + WIDTH, HEIGHT)) if is_wide else scene.ground.copy()
    for sprite in scene.sprites:
        state = _state(sprite, step)
        if state is None:
            continue
        image_index, dx, dy, scale_x, scale_y, degrees = state
        image = _turned(sprite, image_index, scale_x, scale_y, degrees)
        at = (round(sprite.x + dx - image.width / 2), round(sprite.y + dy - image.height / 2))
        picture.paste(image, at, image)
    return picture


def _turned(sprite: Sprite, image_index: int, scale_x: float, scale_y: float, degrees: float) -> Image.Image:
    """The sprite's picture stretched, then turned anticlockwise about its middle; kept for the next time."""
    key = (image_index, scale_x, scale_y, degrees)
    if key not in sprite.drawn:
        image = sprite.images[image_index]
        sprite.drawn[key] = image if key[1:] == (1, 1, 0) else _affine(image, scale_x, scale_y, degrees)
    return sprite.drawn[key]


def _affine(image: Image.Image, scale_x: float, scale_y: float, degrees: float) -> Image.Image:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    width = math.ceil(abs(cos) * image.width * scale_x + abs(sin) * image.height * scale_y) + 2
    height = math.ceil(abs(sin) * image.width * scale_x + abs(cos) * image.height * scale_y) + 2
    # Output pixel -> input pixel: turn back about the output's middle, then unstretch about the input's.
    a, b, d, e = cos / scale_x, -sin / scale_x, sin / scale_y, cos / scale_y
    c = image.width / 2 - a * width / 2 - b * height / 2
    f = image.height / 2 - d * width / 2 - e * height / 2
    return image.transform((width, height), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)


def _camera(picture: Image.Image, camera: Camera, view: int) -> Image.Image:
    if camera != "zoom" or view == 0:
        return picture
    inset = view * _ZOOM_STEP / 2
    box = (WIDTH * inset, HEIGHT * inset, WIDTH * (1 - inset), HEIGHT * (1 - inset))
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=box)


def _between(before: Image.Image, after: Image.Image, transition: Transition, share: float) -> Image.Image:
    """`share` of the way from one scene to the next."""
    if transition == "fade":
        return Image.blend(before, after, share)
    border = round(WIDTH * (1 - share) ** 2)
    out = Image.new("RGB", (WIDTH, HEIGHT))
    out.paste(before, (border - WIDTH, 0))
    out.paste(after, (border, 0))
    return out
