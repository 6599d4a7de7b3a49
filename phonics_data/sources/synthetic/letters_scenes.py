"""Scenes of the family ``letters``: one per section of the timeline; letters and pictures move with the syllables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phonics_data.sources.synthetic import layout, motion, strokes
from phonics_data.sources.synthetic.compose import Scene, Sprite
from phonics_data.sources.synthetic.layout import Box
from phonics_data.sources.synthetic.letters_plan import LettersPlan
from phonics_data.sources.synthetic.motion import Onset, Pose
from phonics_data.sources.synthetic.song_plan import Move, SectionPlan
from phonics_data.sources.synthetic.sprites import HEIGHT, WIDTH, backdrop, card, drawing, luminance, rgb, text
from phonics_data.sources.synthetic.timeline import Section, Timeline
from phonics_data.sources.synthetic.word_list import pictures

_STROKE_SECONDS = 0.36
_NUM_STROKE_IMAGES = 12
_FLY_SECONDS = 0.12
_FADE_FRAMES, _PAN_FRAMES = 4, 2  # short, because movement without sound should be small
_NOTE, _STAR = "1F3B5", "2B50"
_DRIFT_PIXELS, _DRIFT_PIXELS_PER_SECOND = 24, 3.0
_ZOOM, _ZOOM_STEP = 0.04, 0.003


def build(plan: LettersPlan, timeline: Timeline, onsets: Sequence[Onset]) -> list[Scene]:
    """The song's scenes in order; together they cover all frames."""
    builder = _SceneBuilder(plan, timeline, onsets)
    return [builder.scene(section) for section in timeline.sections]


class _SceneBuilder:
    def __init__(self, plan: LettersPlan, timeline: Timeline, onsets: Sequence[Onset]) -> None:
        self._plan, self._timeline = plan, timeline
        self._onsets = {index: list(found) for index, found in groupby(onsets, key=lambda onset: onset.section)}
        self._with_pictures = any(section.plan.pictures for section in timeline.sections)
        self._groups = self._group_letters()

    def _group_letters(self) -> dict[int, tuple[Section, ...]]:
        """Section index -> its group: consecutive letters that share a screen, in rows or in growing groups."""
        size = 3 if self._with_pictures or self._plan.way == "row" else 4
        groups: dict[int, tuple[Section, ...]] = {}
        for is_letter, run in groupby(self._timeline.sections, key=lambda section: section.plan.kind == "letter"):
            members = list(run)
            for start in range(0, len(members) if is_letter else 0, size):
                group = tuple(members[start : start + size])
                groups |= {member.index: group for member in group}
        return groups

    def scene(self, section: Section) -> Scene:
        makers = {
            "letter": self._letter,
            "chorus": self._chorus,
            "break": self._break,
            "intro": self._title,
            "outro": self._ending,
        }
        background, sprites = makers[section.plan.kind](section)
        is_new_screen = section.plan.kind != "letter" or not self._shares_screen(section)
        transition = self._plan.transition if is_new_screen else "cut"
        if transition == "pan" and section.plan.kind != "letter":
            transition = "fade"
        return Scene(
            first_frame=section.first_frame,
            last_frame=section.last_frame,
            background=background,
            sprites=tuple(sprites),
            transition=transition,
            transition_frames=_PAN_FRAMES if transition == "pan" else _FADE_FRAMES,
            background_x=self._drift(section) if self._plan.camera == "drift" else None,
            view=_zoom(section) if self._plan.camera == "zoom" else None,
        )

    def _drift(self, section: Section) -> NDArray[np.int64]:
        """(frames,) offset of the background, which moves to and fro within the song."""
        frame = np.arange(section.first_frame, section.last_frame)
        distance = (frame / self._plan.frame_rate * _DRIFT_PIXELS_PER_SECOND).astype(np.int64) % (2 * _DRIFT_PIXELS)
        return np.minimum(distance, 2 * _DRIFT_PIXELS - distance)

    def _shares_screen(self, section: Section) -> bool:
        return self._plan.way in ("row", "groups") and self._groups[section.index][0] is not section

    # Sections of letters --------------------------------------------------------------------------------------------

    def _style(self, section: Section) -> SectionPlan:
        """The section plan whose colours are used: the song's first, the group's first, or the section's own."""
        if not self._plan.backdrop_changes:
            return self._timeline.sections[0].plan
        if self._plan.way in ("row", "groups") and section.index in self._groups:
            return self._groups[section.index][0].plan
        return section.plan

    def _background(self, section: Section) -> Image.Image:
        width = WIDTH + (_DRIFT_PIXELS if self._plan.camera == "drift" else 0)
        return backdrop(self._plan.backdrop, self._style(section).back_colours, width, HEIGHT)

    def _letter(self, section: Section) -> tuple[Image.Image, list[Sprite]]:
        plan, background = section.plan, self._background(section)
        way = self._plan.way
        if way == "card":
            self._paste_card(background, section)
        if way == "pair":
            boxes = layout.PAIR_WITH_PICTURE if self._with_pictures else layout.PAIR_ALONE
            sprites = [self._pair_letter(section, boxes[0], 0), self._pair_letter(section, boxes[1], 1)]
            return background, sprites + self._pictures(section, boxes[-1])
        if way in ("row", "groups"):
            return self._in_group(section, background)
        letter_box, picture_box = layout.WITH_PICTURE[plan.place]
        if not self._with_pictures:
            letter_box = layout.ALONE[plan.place]
        return background, [self._main_letter(section, letter_box), *self._pictures(section, picture_box)]

    def _paste_card(self, background: Image.Image, section: Section) -> None:
        style = self._style(section)
        sheet = card(
            348,
            340,
            _mix(style.back_colours[0], "#ffffff" if _is_light(style.back_colours[0]) else "#000000", 0.5),
            style.letter_colour,
        )
        background.paste(sheet, ((background.width - sheet.width) // 2, (HEIGHT - sheet.height) // 2), sheet)

    def _in_group(self, section: Section, background: Image.Image) -> tuple[Image.Image, list[Sprite]]:
        group = self._groups[section.index]
        position, style = group.index(section), self._style(section)
        if self._plan.way == "row":
            cells = [layout.row_cell(cell, len(group), self._with_pictures) for cell in range(len(group))]
            others, faintness = [member for member in group if member is not section], 0.7
            picture_box = layout.PICTURE_UNDER_ROW
        else:
            cells = [layout.grid_cell(cell) for cell in range(len(group) + 1)]
            others, faintness = group[:position], 0.25
            picture_box = layout.grid_cell(3)
        colour = _mix(style.letter_colour, style.back_colours[0], faintness)
        for member in others:
            self._paste_glyph(background, member.plan.letter, cells[group.index(member)], colour)
        return background, [self._main_letter(section, cells[position]), *self._pictures(section, picture_box)]

    # Sprites ---------------------------------------------------------------------------------------------------------

    def _glyph(self, content: str, box: Box, colour: str) -> Image.Image:
        outline = ("#ffffff" if not _is_light(colour) else "#263238") if self._plan.outline else None
        return text(content, self._plan.font, box.height, box.width, colour, outline)

    def _paste_glyph(self, background: Image.Image, content: str, box: Box, colour: str) -> None:
        glyph = self._glyph(content, box, colour)
        left = (background.width - WIDTH) // 2 + box.x - glyph.width // 2
        background.paste(glyph, (left, box.y - glyph.height // 2), glyph)

    def _drawing(self, section: Section, openmoji: str, size: int) -> Image.Image:
        return drawing(openmoji, size, halo=not _is_light(self._style(section).back_colours[0]))

    def _main_letter(self, section: Section, box: Box) -> Sprite:
        """The section's letter: it appears as the song's `way` demands and is animated on syllables and beats."""
        num_frames = section.last_frame - section.first_frame
        has_strokes, flies = self._plan.way == "strokes", self._plan.way == "fly"
        onsets = self._onsets.get(section.index, [])[1 if has_strokes or flies else 0 :]
        pose = self._animated_pose(section, min(box.width, box.height), onsets)
        appear_step = section.appear_frame - section.first_frame
        images, index = [self._glyph(section.plan.letter, box, self._style(section).letter_colour)], None
        frames_since = np.arange(num_frames) - appear_step
        if has_strokes:
            size = min(box.width, box.height)
            colour = self._style(section).letter_colour
            progress_values = 1 - (1 - np.arange(1, _NUM_STROKE_IMAGES + 1) / _NUM_STROKE_IMAGES) ** 1.5
            images = [strokes.draw(section.plan.letter, float(value), size, colour) for value in progress_values]
            progress = (frames_since + 1) / (_STROKE_SECONDS * self._plan.frame_rate)
            index = np.clip((progress * _NUM_STROKE_IMAGES).astype(np.int64), 0, _NUM_STROKE_IMAGES - 1)
        if flies:
            x = np.clip((frames_since + 1) / (_FLY_SECONDS * self._plan.frame_rate), 0, 1).astype(np.float64)
            side_x, side_y = ((-1, 0), (1, 0), (0, -1), (0, 1))[section.index % 4]
            pose = _displaced(pose, dx=side_x * 300 * (1 - x) ** 2, dy=side_y * 280 * (1 - x) ** 2)
        pose = replace(pose, visible=frames_since >= 0)
        return Sprite(images=images, x=box.x, y=box.y, pose=pose, image_index=index)

    def _pair_letter(self, section: Section, box: Box, half: int) -> Sprite:
        """Letter of a pair: upper case (half 0) animated by odd letter names, lower case (1) by even ones, both by other words."""
        letter = section.plan.letter if half == 0 else section.plan.letter.lower()
        is_low = half == 1 and letter in "acemnorsuvwxz"
        fitted = Box(
            box.x, box.y + (box.height // 8 if is_low else 0), box.width, round(box.height * (0.72 if is_low else 1))
        )
        num_names = 0
        onsets: list[Onset] = []
        for onset in self._onsets.get(section.index, []):
            num_names += onset.role == "letter" and onset.starts_word
            if onset.role != "letter" or (num_names + 1) % 2 == half or self._plan.kind == "letter_run":
                onsets.append(onset)
        pose = self._animated_pose(section, min(fitted.width, fitted.height), onsets)
        return Sprite(
            images=[self._glyph(letter, fitted, self._style(section).letter_colour)], x=fitted.x, y=fitted.y, pose=pose
        )

    def _animated_pose(self, section: Section, size: float, onsets: Sequence[Onset]) -> Pose:
        heights = [onset.strength * (0.7 if onset.role == "object" else 1.0) for onset in onsets]
        return self._pose(section, section.plan.move, [onset.seconds for onset in onsets], heights, size)

    def _pose(
        self, section: Section, move: Move, times: Sequence[float], heights: Sequence[float], size: float
    ) -> Pose:
        num_frames = section.last_frame - section.first_frame
        pose = motion.animate(move, times, heights, size, section.first_frame, num_frames, self._plan.frame_rate)
        if self._plan.beat_pulse:
            beat = 2 * self._timeline.half_beat_seconds
            first = int(section.first_frame / self._plan.frame_rate / beat)
            last = int(section.last_frame / self._plan.frame_rate / beat) + 1
            beats = [count * beat for count in range(first, last + 1)]
            pulse = motion.onset_response(
                beats, [1.0] * len(beats), section.first_frame, num_frames, self._plan.frame_rate
            )
            scale = 1 + self._plan.beat_pulse * pulse
            pose = replace(pose, scale_x=pose.scale_x * scale, scale_y=pose.scale_y * scale)
        return pose

    def _pictures(self, section: Section, box: Box) -> list[Sprite]:
        """Each picture appears with its word, replaces the one before, and pulses when its word is repeated."""
        num_frames = section.last_frame - section.first_frame
        onsets = self._onsets.get(section.index, [])
        entries = [
            next(onset.seconds for onset in onsets if onset.picture_index == index)
            for index in range(len(section.plan.pictures))
            if any(onset.picture_index == index for onset in onsets)
        ]
        frame_times = (section.first_frame + np.arange(num_frames) + 0.5) / self._plan.frame_rate
        sprites: list[Sprite] = []
        for index, enters in enumerate(entries):
            repeats = [onset for onset in onsets if onset.picture_index == index and onset.seconds > enters]
            pose = self._pose(
                section, "pop", [onset.seconds for onset in repeats], [onset.strength for onset in repeats], box.height
            )
            scale = motion.entrance_scale(enters, section.first_frame, num_frames, self._plan.frame_rate)
            leaves = entries[index + 1] if index + 1 < len(entries) else np.inf
            pose = replace(
                pose,
                scale_x=pose.scale_x * scale,
                scale_y=pose.scale_y * scale,
                visible=(frame_times >= enters) & (frame_times < leaves),
            )
            image = self._drawing(section, section.plan.pictures[index].openmoji, min(box.width, box.height))
            sprites.append(Sprite(images=[image], x=box.x, y=box.y, pose=pose))
        return sprites

    # Other sections ------------------------------------------------------------------------------------------------

    def _dancers(self, section: Section, images: Sequence[Image.Image], boxes: Sequence[Box]) -> list[Sprite]:
        """Sprites that jump in turns on the syllables, or on the beats of sections without words."""
        times = [(onset.seconds, onset.strength) for onset in self._onsets.get(section.index, [])]
        if not times:
            beat = 2 * self._timeline.half_beat_seconds
            end = section.last_frame / self._plan.frame_rate
            times = [
                (section.start_seconds + count * beat, 0.8)
                for count in range(int((end - section.start_seconds) / beat) + 1)
            ]
        sprites: list[Sprite] = []
        for turn, (image, box) in enumerate(zip(images, boxes, strict=True)):
            own_times = times[turn :: len(images)]
            pose = self._pose(
                section, "jump", [seconds for seconds, _ in own_times], [height for _, height in own_times], box.height
            )
            sprites.append(Sprite(images=[image], x=box.x, y=box.y, pose=pose))
        return sprites

    def _draw_line(self, background: Image.Image, section: Section, line: str, y: int, height: int) -> None:
        words = text(line, self._plan.font, height, 560, self._style(section).letter_colour)
        background.paste(words, ((background.width - words.width) // 2, y - words.height // 2), words)

    def _chorus(self, section: Section) -> tuple[Image.Image, list[Sprite]]:
        background = self._background(section)
        self._draw_line(background, section, " ".join(token.text for token in section.plan.tokens), 318, 34)
        boxes = [Box(x, 160, 110, 130) for x in (195, 320, 445)]
        letters = [self._glyph(letter, boxes[0], self._style(section).letter_colour) for letter in "ABC"]
        return background, self._dancers(section, letters, boxes)

    def _break(self, section: Section) -> tuple[Image.Image, list[Sprite]]:
        background = self._background(section)
        if section.last_frame - section.first_frame < self._plan.frame_rate:
            return background, []
        return background, self._dancers(
            section,
            [self._drawing(section, name, 90) for name in (_NOTE, _STAR)],
            [Box(260, 190, 90, 90), Box(380, 190, 90, 90)],
        )

    def _title(self, section: Section) -> tuple[Image.Image, list[Sprite]]:
        background = self._background(section)
        self._draw_line(background, section, self._plan.title.rstrip("0123456789 "), 92, 52)
        table = pictures()
        names = [table[letter][(self._plan.index + turn) % 8].openmoji for turn, letter in enumerate("ABC")]
        return background, self._dancers(
            section,
            [self._drawing(section, name, 104) for name in names],
            [Box(x, 240, 104, 104) for x in (200, 320, 440)],
        )

    def _ending(self, section: Section) -> tuple[Image.Image, list[Sprite]]:
        background = self._background(section)
        if self._plan.outro == "card":
            self._draw_line(background, section, "The End", 110, 70)
            return background, self._dancers(section, [self._drawing(section, _STAR, 110)], [Box(320, 250, 110, 110)])
        for position, letter in enumerate(sorted(set(self._plan.letters))):
            self._paste_glyph(background, letter, layout.chart_cell(position), self._style(section).letter_colour)
        return background, self._dancers(section, [self._drawing(section, _STAR, 50)], [Box(590, 312, 50, 50)])


def _zoom(section: Section) -> NDArray[np.float64]:
    """(frames, 4) what a camera sees that approaches slowly within the section."""
    num_frames = section.last_frame - section.first_frame
    steps = (_ZOOM * np.arange(num_frames) / max(num_frames, 1) / _ZOOM_STEP).astype(np.int64)
    inset = steps * _ZOOM_STEP / 2
    return np.stack([WIDTH * inset, HEIGHT * inset, WIDTH * (1 - inset), HEIGHT * (1 - inset)], axis=1)


def _displaced(pose: Pose, dx: motion.Curve, dy: motion.Curve) -> Pose:
    return replace(pose, dx=pose.dx + dx, dy=pose.dy + dy)


def _mix(colour: str, other: str, fraction: float) -> str:
    """`colour` with `fraction` of `other` mixed in."""
    red, green, blue = (round(a + fraction * (b - a)) for a, b in zip(rgb(colour), rgb(other), strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _is_light(colour: str) -> bool:
    return luminance(colour) > 140
