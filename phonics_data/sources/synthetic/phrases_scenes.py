"""Scenes of the family ``phrases``, and the events of their phrases.

Sprites and events come from the same numbers: `_Phrase` turns the times of a style into frames of the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phonics_data.sources.synthetic import motion
from phonics_data.sources.synthetic.compose import Scene, Sprite
from phonics_data.sources.synthetic.layout import Box
from phonics_data.sources.synthetic.phrases_plan import PhrasesPlan, style_of
from phonics_data.sources.synthetic.song_plan import Region, SectionPlan
from phonics_data.sources.synthetic.sprites import (
    HEIGHT,
    WIDTH,
    backdrop,
    bent,
    card,
    drawing,
    faded,
    folded,
    luminance,
    text,
    text_prefixes,
    with_eyes,
)
from phonics_data.sources.synthetic.styles import Entrance, Leave, Style
from phonics_data.sources.synthetic.timeline import Section, Timeline

EventName = Literal[
    "letter_appears",
    "word_appears",
    "word_completes",
    "object_appears",
    "object_leaves",
    "word_leaves",
    "letter_bends",
    "camera_moves",
    "object_idles",
    "scene_changes",
]

_FADE_LEVELS, _BEND_LEVELS, _BEND_REACH = 10, 14, 0.3
_FLAP_SECONDS, _FLAP_LEVELS = 0.32, 6
_SMALLEST = 0.1
"""Scale of an object that begins to grow or to unroll."""
_LEAVES_AS: dict[Leave, Entrance] = {
    "cuts": "cuts",
    "fades": "fades",
    "sinks": "rises",
    "lifts": "falls",
    "slides": "slides",
}
"""A thing leaves as another one would come, backwards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happens in the picture of a phrase.

    Args:
        phrase: index of the phrase in the song.
        region: what changes; ``frame``: everything.
        first_frame, last_frame: of the song. The picture changes from the frame before `first_frame` to it, and last from
            the frame before `last_frame` to it; both are equal for what happens at one frame.
        lasting: the picture after the event differs from the picture before it.
    """

    phrase: int
    event: EventName
    region: Literal[Region, "frame"]
    first_frame: int
    last_frame: int
    lasting: bool


def build(plan: PhrasesPlan, timeline: Timeline) -> tuple[list[Scene], list[Event]]:
    """(the song's scenes in order, its events sorted by phrase and time); the scenes cover all frames."""
    style = style_of(plan)
    scenes: list[Scene] = []
    events: list[Event] = []
    before: Section | None = None
    phrase = 0
    for section in timeline.sections:
        background = backdrop(style.backdrop, section.plan.back_colours, WIDTH, HEIGHT)
        sprites: tuple[Sprite, ...] = ()
        view = None
        if section.plan.kind == "letter":
            continues = before is not None and before.plan.letter == section.plan.letter and style.scene == "letter"
            made = _Phrase(plan, style, section, phrase)
            sprites = made.sprites(before if continues else None)
            view = made.view()
            events += sorted(made.events, key=lambda event: (event.first_frame, event.event, event.region))
            before, phrase = section, phrase + 1
        else:
            before = None
            if section.plan.kind == "intro":
                _write_title(background, plan, section.plan)
        scenes.append(
            Scene(
                first_frame=section.first_frame,
                last_frame=section.last_frame,
                background=background,
                sprites=sprites,
                transition="cut",
                transition_frames=0,
                view=view,
            )
        )
    return scenes, events


def _write_title(background: Image.Image, plan: PhrasesPlan, section: SectionPlan) -> None:
    lines = ((plan.channel, 120, 60), (plan.title.partition(" - ")[0], 220, 44))
    for line, y, height in lines:
        words = text(line, plan.font, height, 520, section.letter_colour)
        background.paste(words, ((WIDTH - words.width) // 2, y - words.height // 2), words)


class _Phrase:
    """The sprites and events of one phrase."""

    def __init__(self, plan: PhrasesPlan, style: Style, section: Section, phrase: int) -> None:
        self._style, self._section, self._phrase = style, section, phrase
        self._rate = plan.frame_rate
        self._num_frames = section.last_frame - section.first_frame
        self._word_seconds = next(word.start_seconds for word in section.words if word.token.role == "object")
        lead = style.title_until_lead
        self._scene_start = 0 if lead is None else self._step(self._word_seconds - lead)
        """Step of the scene; before it, a title with the letter."""
        self.events: list[Event] = []

    def sprites(self, before: Section | None) -> tuple[Sprite, ...]:
        """The sprites from back to front.

        Args:
            before: the phrase before, if its scene goes on: its object and its word leave.
        """
        leaving = [] if before is None else [*self._leaving(before)]
        sprites = (*leaving, self._letter(is_new=before is None), self._object(), self._word())
        if not self._scene_start:
            return sprites
        self._record("scene_changes", "frame", self._scene_start, self._scene_start)
        is_open = np.arange(self._num_frames) >= self._scene_start
        hidden = [
            replace(sprite, pose=replace(sprite.pose, visible=sprite.pose.visible & is_open)) for sprite in sprites
        ]
        return (*hidden, *self._title(~is_open))

    def _title(self, visible: NDArray[np.bool_]) -> tuple[Sprite, Sprite]:
        """The letter alone, large, on a darker background in the letter's colour."""
        style, plan = self._style, self._section.plan
        pose = replace(motion.still_pose(self._num_frames), visible=visible)
        back, front = (
            Image.new("RGBA", (WIDTH, HEIGHT), colour) for colour in (plan.back_colours[0], plan.letter_colour)
        )
        ground = Image.blend(back, front, 0.6)
        content = plan.letter + plan.letter.lower() if style.is_pair else plan.letter
        letter = text(content, style.font, 230, 420, plan.back_colours[0], style.outline)
        return (
            Sprite(images=[ground], x=WIDTH / 2, y=HEIGHT / 2, pose=pose),
            Sprite(images=[letter], x=WIDTH / 2, y=HEIGHT / 2, pose=pose, region="letter"),
        )

    def view(self) -> NDArray[np.float64] | None:
        """(frames, 4) what the camera sees, or None if it stands still."""
        style = self._style
        if style.camera == "still":
            return None
        self._record("camera_moves", "frame", 1, self._num_frames - 1)
        progress = np.linspace(0, 1, self._num_frames)
        if style.camera == "zoom":
            scale = 1 / (1 + style.camera_reach * progress)
            left, top = WIDTH / 2 * (1 - scale), HEIGHT / 2 * (1 - scale)
            return np.stack([left, top, left + WIDTH * scale, top + HEIGHT * scale], axis=1)
        scale = 1 - style.camera_reach
        left = WIDTH * style.camera_reach * progress
        top = np.full(self._num_frames, HEIGHT * style.camera_reach / 2)
        return np.stack([left, top, left + WIDTH * scale, top + HEIGHT * scale], axis=1)

    # Times -----------------------------------------------------------------------------------------------------------

    def _step(self, seconds: float) -> int:
        """The frame of the scene that is shown at this time of the song."""
        return min(max(round(seconds * self._rate) - self._section.first_frame, 0), self._num_frames - 1)

    def _num_steps(self, seconds: float) -> int:
        return max(1, round(seconds * self._rate))

    def _record(
        self,
        event: EventName,
        region: Literal[Region, "frame"],
        first: int,
        last: int,
        *,
        lasting: bool = True,
    ) -> None:
        self.events.append(
            Event(
                phrase=self._phrase,
                event=event,
                region=region,
                first_frame=self._section.first_frame + first,
                last_frame=self._section.first_frame + min(last, self._num_frames - 1),
                lasting=lasting,
            )
        )

    def _presence(self, start: int, num_steps: int) -> motion.Curve:
        """(frames,) 0 before `start`, 1 from `num_steps` - 1 frames after it, rising in between."""
        return np.clip((np.arange(self._num_frames) - start + 1) / num_steps, 0, 1)

    # Parts -----------------------------------------------------------------------------------------------------------

    def _letter(self, *, is_new: bool) -> Sprite:
        style, plan = self._style, self._section.plan
        if is_new:
            self._record("letter_appears", "letter", 0, 0)
        if style.word_way == "completes":
            box, images = style.word_box, self._prefixes((1,))
        else:
            content = plan.letter + plan.letter.lower() if style.is_pair else plan.letter
            box = style.letter_box
            images = [text(content, style.font, box.height, box.width, plan.letter_colour, style.outline)]
        index = np.zeros(self._num_frames, np.int64)
        if style.bend_after is not None:
            images, index = self._bending(with_eyes(images[0]), style.bend_after)
        pose = motion.still_pose(self._num_frames)
        return Sprite(images=images, x=box.x, y=box.y, pose=pose, image_index=index, region="letter")

    def _bending(self, letter: Image.Image, after: float) -> tuple[list[Image.Image], NDArray[np.int64]]:
        """(the letter bent by each level, level of each frame): to one side and back, once."""
        start = self._step(self._word_seconds + after)
        num_steps = min(self._num_steps(self._style.bend_seconds), self._num_frames - 1 - start)
        images = [bent(letter, _BEND_REACH * level / _BEND_LEVELS) for level in range(_BEND_LEVELS + 1)]
        progress = np.clip((np.arange(self._num_frames) - start + 1) / (num_steps + 1), 0, 1)
        level = np.rint(_BEND_LEVELS * np.sin(np.pi * progress) ** 2).astype(np.int64)
        bending = np.flatnonzero(level)
        self._record("letter_bends", "letter", int(bending[0]), int(bending[-1]) + 1, lasting=False)
        return images, level

    def _object(self) -> Sprite:
        style = self._style
        start, num_steps = self._scene_start, 1
        if style.object_lead is not None:
            start = self._step(self._word_seconds - style.object_lead)
            num_steps = self._num_steps(style.object_seconds)
        self._record("object_appears", "object", start, start + num_steps - 1)
        image = object_picture(self._style, self._section.plan)
        sprite = _arriving(
            [image], style.object_box, style.object_way, self._presence(start, num_steps), region="object"
        )
        if not style.flaps:
            return sprite
        self._record("object_idles", "object", 1, self._num_frames - 1, lasting=False)
        images = [folded(image, 1 - 0.6 * level / _FLAP_LEVELS) for level in range(_FLAP_LEVELS + 1)]
        turn = np.arange(self._num_frames) / (_FLAP_SECONDS * self._rate)
        level = np.rint(_FLAP_LEVELS * (0.5 - 0.5 * np.cos(2 * np.pi * turn))).astype(np.int64)
        return replace(sprite, images=images, image_index=level)

    def _word(self) -> Sprite:
        style = self._style
        start, num_steps = self._scene_start, 1
        if style.word_lead is not None:
            start = self._step(self._word_seconds - style.word_lead)
            num_steps = self._num_steps(style.word_seconds)
        length = len(self._content(self._section.plan))
        if style.word_way == "completes":
            self._record("word_completes", "word", start, start)
        else:
            self._record("word_appears", "word", start, start + num_steps - 1)
        counts = range(1, length + 1) if style.word_way == "written" else (length,)
        return _arriving(
            self._prefixes(counts), style.word_box, style.word_way, self._presence(start, num_steps), region="word"
        )

    def _content(self, plan: SectionPlan) -> str:
        word = plan.pictures[0].word
        if self._style.case == "upper":
            return word.upper()
        return word.title() if self._style.case == "title" else word

    def _prefixes(self, counts: Sequence[int], plan: SectionPlan | None = None) -> list[Image.Image]:
        """The first characters of the phrase's written word."""
        style, plan = self._style, plan or self._section.plan
        box = style.word_box
        content = self._content(plan)
        return text_prefixes(content, style.font, box.height, box.width, plan.word_colour, style.outline, counts=counts)

    def _leaving(self, before: Section) -> tuple[Sprite, Sprite]:
        """The object and the word of the phrase before, which leave before this one's come."""
        style = self._style
        start = self._step(self._word_seconds - style.leave_lead)
        start = max(start, 1)  # they are visible in the first frame
        num_steps = self._num_steps(style.leave_seconds)
        presence = 1 - self._presence(start, num_steps)
        way = _LEAVES_AS[style.leave]
        word_way: Entrance = (
            "falls" if style.leave in ("sinks", "lifts") else "fades" if style.leave == "fades" else "cuts"
        )
        word_steps = num_steps if word_way != "cuts" else 1
        word_presence = 1 - self._presence(start, word_steps)
        self._record("object_leaves", "object", start, start + num_steps - 1)
        self._record("word_leaves", "word", start, start + word_steps - 1)
        word = self._prefixes((len(self._content(before.plan)),), before.plan)
        return (
            _arriving([object_picture(style, before.plan)], style.object_box, way, presence, region="object"),
            _arriving(word, style.word_box, word_way, word_presence, region="word"),
        )


def object_picture(style: Style, plan: SectionPlan) -> Image.Image:
    """The object of a phrase, RGBA, in its final shape and at its size in the picture of a camera that stands still."""
    box = style.object_box
    size = min(box.width, box.height)
    name = plan.pictures[0].openmoji
    if not style.has_card:
        return drawing(name, size, halo=_is_dark(plan.back_colours[0]), shaded=True)
    sheet = card(box.width, box.height, "#d9bf94", "#8a6a3c")
    inside = drawing(name, round(size * 0.78), shaded=True)
    sheet.alpha_composite(inside, ((sheet.width - inside.width) // 2, (sheet.height - inside.height) // 2))
    return sheet


def _arriving(images: list[Image.Image], box: Box, way: Entrance, presence: motion.Curve, *, region: Region) -> Sprite:
    """A sprite that comes or leaves.

    Args:
        images: one image, or the states of a word that is written.
        presence: (frames,) 0: away, 1: in its place.
    """
    pose = replace(motion.still_pose(len(presence)), visible=presence > 0)
    index = np.zeros(len(presence), np.int64)
    image = images[-1]
    away = (1 - presence) ** 2
    if way == "rises":
        pose = replace(pose, dy=away * (HEIGHT - box.y + image.height / 2))
    elif way == "falls":
        pose = replace(pose, dy=-away * (box.y + image.height / 2))
    elif way == "slides":
        pose = replace(pose, dx=away * (WIDTH - box.x + image.width / 2))
    elif way == "grows":
        scale = 1 - (1 - _SMALLEST) * away
        pose = replace(pose, scale_x=scale, scale_y=scale)
    elif way == "unrolls":
        scale = _SMALLEST + (1 - _SMALLEST) * presence
        pose = replace(pose, scale_x=scale, dx=-(1 - scale) * image.width / 2)
    elif way == "fades":
        images = [faded(image, level / _FADE_LEVELS) for level in range(_FADE_LEVELS + 1)]
        index = np.rint(_FADE_LEVELS * presence).astype(np.int64)
        pose = replace(pose, visible=index > 0)
    elif way == "written":
        index = np.maximum(np.rint(len(images) * presence).astype(np.int64) - 1, 0)
    return Sprite(images=images, x=box.x, y=box.y, pose=pose, image_index=index, region=region)


def _is_dark(colour: str) -> bool:
    return luminance(colour) < 140
