"""Scenes -> frames: sprites on a background, with transitions, camera movement and logo."""

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
    transformed: dict[tuple[int, float, float, float], Image.Image] = field(
        default_factory=dict[tuple[int, float, float, float], Image.Image]
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """Content of the frames [first_frame, last_frame)."""

    first_frame: int
    last_frame: int
    background: Image.Image
    """RGB, of the frame size; `DRIFT_PIXELS` wider if the camera drifts."""
    sprites: tuple[Sprite, ...]
    transition: Transition
    """From the scene before."""
    transition_frames: int


def frames(
    scenes: Sequence[Scene], camera: Camera, frame_rate: int, logo: Image.Image | None, logo_at: tuple[int, int]
) -> Iterator[Image.Image]:
    """All frames of a song in order, RGB. A frame without changes is the same object as the frame before."""
    current: Image.Image | None = None  # without logo: the start of a transition
    output: Image.Image | None = None
    for scene in scenes:
        before, key_before = current, None
        for frame in range(scene.first_frame, scene.last_frame):
            step = frame - scene.first_frame
            in_transition = before is not None and scene.transition != "cut" and step < scene.transition_frames
            key = (_key(scene, step), _camera_position(camera, scene, frame, frame_rate), step if in_transition else -1)
            if key != key_before or output is None:
                current = _apply_zoom(_compose(scene, step, key[1]), camera, key[1])
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


def _camera_position(camera: Camera, scene: Scene, frame: int, frame_rate: int) -> int:
    """Zoom steps within the scene, or pixels of the background's drift within the song."""
    if camera == "zoom":
        progress = (frame - scene.first_frame) / max(scene.last_frame - scene.first_frame, 1)
        return int(_ZOOM * progress / _ZOOM_STEP)
    if camera == "drift":
        distance = int(frame / frame_rate * _DRIFT_PIXELS_PER_SECOND) % (2 * DRIFT_PIXELS)
        return min(distance, 2 * DRIFT_PIXELS - distance)
    return 0


def _compose(scene: Scene, step: int, camera_position: int) -> Image.Image:
    is_wide = scene.background.width > WIDTH
    picture = (
        scene.background.crop((camera_position, 0, camera_position + WIDTH, HEIGHT))
        if is_wide
        else scene.background.copy()
    )
    for sprite in scene.sprites:
        state = _state(sprite, step)
        if state is None:
            continue
        image_index, dx, dy, scale_x, scale_y, degrees = state
        image = _transformed_image(sprite, image_index, scale_x, scale_y, degrees)
        at = (round(sprite.x + dx - image.width / 2), round(sprite.y + dy - image.height / 2))
        picture.paste(image, at, image)
    return picture


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


def _apply_zoom(picture: Image.Image, camera: Camera, zoom_steps: int) -> Image.Image:
    if camera != "zoom" or zoom_steps == 0:
        return picture
    inset = zoom_steps * _ZOOM_STEP / 2
    box = (WIDTH * inset, HEIGHT * inset, WIDTH * (1 - inset), HEIGHT * (1 - inset))
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=box)


def _blend_transition(before: Image.Image, after: Image.Image, transition: Transition, progress: float) -> Image.Image:
    """The frame at `progress` (0..1) of a fade or pan."""
    if transition == "fade":
        return Image.blend(before, after, progress)
    border = round(WIDTH * (1 - progress) ** 2)
    out = Image.new("RGB", (WIDTH, HEIGHT))
    out.paste(before, (border - WIDTH, 0))
    out.paste(after, (border, 0))
    return out
