"""A scene for every section of the timeline: which sprites it has, where they stand, and what they answer to."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from PIL import Image

from phonics_data.sources.synthetic import layout, motion, strokes
from phonics_data.sources.synthetic.compose import DRIFT_PIXELS, Scene, Sprite
from phonics_data.sources.synthetic.layout import Box
from phonics_data.sources.synthetic.motion import Onset, Pose
from phonics_data.sources.synthetic.song_plan import Move, SectionPlan, SongPlan
from phonics_data.sources.synthetic.sprites import HEIGHT, WIDTH, backdrop, card, drawing, text
from phonics_data.sources.synthetic.timeline import Section, Timeline
from phonics_data.sources.synthetic.word_list import pictures

_STROKE_SECONDS = 0.36
_NUM_STROKE_IMAGES = 12
_FLY_SECONDS = 0.12
_FADE_FRAMES, _PAN_FRAMES = 4, 2  # short: what moves without a sound should be little
_MIN_MOVE_PIXELS = 160  # small letters move as far as those of this size
_NOTE, _STAR = "1F3B5", "2B50"
_GLOW_DIAMETER, _GLOW_LEVELS, _GLOW_OPACITY = 384, 12, 0.75
_GLOW_COLOUR = "#ff9800"  # seen on light grounds and on dark ones, and behind letters of either kind


def build(plan: SongPlan, timeline: Timeline, heard: Sequence[Onset], light: motion.Curve) -> list[Scene]:
    """The song's scenes in order; together they fill all its frames."""
    director = _Director(plan, timeline, heard, light)
    return [director.scene(section) for section in timeline.sections]


def logo(plan: SongPlan) -> tuple[Image.Image | None, tuple[int, int]]:
    """The channel's logo and where it stands; it is part of every frame."""
    if not plan.logo:
        return None, (0, 0)
    words = text(plan.logo, 0, 20, 96, "#ffffff")
    badge = card(words.width + 20, words.height + 14, "#37474f", "#37474f")
    badge.paste(words, (10, 7), words)
    right, bottom = plan.logo_corner % 2, plan.logo_corner // 2
    return badge, (WIDTH - badge.width - 10 if right else 10, HEIGHT - badge.height - 10 if bottom else 10)


@dataclass(frozen=True, slots=True)
class _Group:
    """Letters that share a screen, in rows and in groups that grow."""

    members: tuple[Section, ...]

    def position(self, section: Section) -> int:
        return [member.index for member in self.members].index(section.index)


class _Director:
    def __init__(self, plan: SongPlan, timeline: Timeline, heard: Sequence[Onset], light: motion.Curve) -> None:
        self._plan, self._timeline, self._light = plan, timeline, light
        self._heard = {index: list(found) for index, found in groupby(heard, key=lambda onset: onset.section)}
        self._with_pictures = any(section.plan.pictures for section in timeline.sections)
        self._groups = self._group_letters()

    def _group_letters(self) -> dict[int, _Group]:
        """Section index -> its group: letters that follow each other, so many at a time."""
        size = 3 if self._with_pictures or self._plan.way == "row" else 4
        groups: dict[int, _Group] = {}
        for is_letter, run in groupby(self._timeline.sections, key=lambda section: section.plan.kind == "letter"):
            members = list(run)
            for start in range(0, len(members) if is_letter else 0, size):
                group = _Group(tuple(members[start : start + size]))
                groups |= {member.index: group for member in group.members}
        return groups

    def scene(self, section: Section) -> Scene:
        makers = {
            "letter": self._letter,
            "chorus": self._chorus,
            "break": self._break,
            "intro": self._title,
            "outro": self._ending,
        }
        ground, sprites = makers[section.plan.kind](section)
        if section.plan.kind == "letter":
            sprites = [self._glow(section), *sprites]
        is_new_screen = section.plan.kind != "letter" or not self._shares_screen(section)
        transition = self._plan.transition if is_new_screen else "cut"
        if transition == "pan" and section.plan.kind != "letter":
            transition = "fade"
        return Scene(
            first_frame=section.first_frame,
            last_frame=section.last_frame,
            ground=ground,
            sprites=tuple(sprites),
            transition=transition,
            transition_frames=_PAN_FRAMES if transition == "pan" else _FADE_FRAMES,
        )

    def _shares_screen(self, section: Section) -> bool:
        return self._plan.way in ("row", "groups") and self._groups[section.index].position(section) > 0

    # What sections look like -----------------------------------------------------------------------------------------

    def _look(self, section: Section) -> SectionPlan:
        """Whose colours the section wears: the song's, its group's, or its own."""
        if not self._plan.backdrop_changes:
            return self._timeline.sections[0].plan
        if self._plan.way in ("row", "groups") and section.index in self._groups:
            return self._groups[section.index].members[0].plan
        return section.plan

    def _ground(self, section: Section) -> Image.Image:
        width = WIDTH + (DRIFT_PIXELS if self._plan.camera == "drift" else 0)
        return backdrop(self._plan.backdrop, self._look(section).back_colours, width, HEIGHT)

    def _letter(self, section: Section) -> tuple[Image.Image, list[Sprite]]:
        plan, ground = section.plan, self._ground(section)
        way = self._plan.way
        if way == "card":
            self._paste_card(ground, section)
        if way == "pair":
            boxes = layout.PAIR_WITH_PICTURE if self._with_pictures else layout.PAIR_ALONE
            sprites = [self._pair_half(section, boxes[0], 0), self._pair_half(section, boxes[1], 1)]
            return ground, sprites + self._pictures(section, boxes[-1])
        if way in ("row", "groups"):
            return self._in_group(section, ground)
        letter_box, picture_box = layout.WITH_PICTURE[plan.place]
        if not self._with_pictures:
            letter_box = layout.ALONE[plan.place]
        return ground, [self._main_letter(section, letter_box), *self._pictures(section, picture_box)]

    def _paste_card(self, ground: Image.Image, section: Section) -> None:
        look = self._look(section)
        sheet = card(
            348,
            340,
            _mix(look.back_colours[0], "#ffffff" if _is_light(look.back_colours[0]) else "#000000", 0.5),
            look.letter_colour,
        )
        ground.paste(sheet, ((ground.width - sheet.width) // 2, (HEIGHT - sheet.height) // 2), sheet)

    def _in_group(self, section: Section, ground: Image.Image) -> tuple[Image.Image, list[Sprite]]:
        group = self._groups[section.index]
        at, look = group.position(section), self._look(section)
        if self._plan.way == "row":
            cells = [
                layout.row_cell(position, len(group.members), self._with_pictures)
                for position in range(len(group.members))
            ]
            others, colour = (
                [member for member in group.members if member is not section],
                _mix(look.letter_colour, look.back_colours[0], 0.7),
            )
            picture_box = layout.PICTURE_UNDER_ROW
        else:
            cells = [layout.grid_cell(position) for position in range(len(group.members) + 1)]
            others, colour = list(group.members[:at]), _mix(look.letter_colour, look.back_colours[0], 0.25)
            picture_box = layout.grid_cell(3)
        offset = (ground.width - WIDTH) // 2
        for member in others:
            box = cells[group.position(member)]
            glyph = self._glyph(member.plan.letter, box, colour)
            ground.paste(glyph, (offset + box.x - glyph.width // 2, box.y - glyph.height // 2), glyph)
        return ground, [self._main_letter(section, cells[at]), *self._pictures(section, picture_box)]

    # Sprites ---------------------------------------------------------------------------------------------------------

    def _glyph(self, content: str, box: Box, colour: str) -> Image.Image:
        outline = ("#ffffff" if not _is_light(colour) else "#263238") if self._plan.outline else None
        return text(content, self._plan.font, box.height, box.width, colour, outline)

    def _drawing(self, section: Section, openmoji: str, size: int) -> Image.Image:
        return drawing(openmoji, size, halo=not _is_light(self._look(section).back_colours[0]))

    def _main_letter(self, section: Section, box: Box) -> Sprite:
        """The section's letter: it comes in the song's way, then answers every syllable and a little every beat."""
        num_frames = section.last_frame - section.first_frame
        is_drawn, flies = self._plan.way == "strokes", self._plan.way == "fly"
        pose = self._answers(section, min(box.width, box.height), skip_first=is_drawn or flies)
        sign = section.sign_frame - section.first_frame
        images, index = [self._glyph(section.plan.letter, box, self._look(section).letter_colour)], None
        frames_since = np.arange(num_frames) - sign
        if is_drawn:
            size = min(box.width, box.height)
            colour = self._look(section).letter_colour
            shares = 1 - (1 - np.arange(1, _NUM_STROKE_IMAGES + 1) / _NUM_STROKE_IMAGES) ** 1.5
            images = [strokes.draw(section.plan.letter, float(share), size, colour) for share in shares]
            progress = (frames_since + 1) / (_STROKE_SECONDS * self._plan.frame_rate)
            index = np.clip((progress * _NUM_STROKE_IMAGES).astype(np.int64), 0, _NUM_STROKE_IMAGES - 1)
        if flies:
            x = np.clip((frames_since + 1) / (_FLY_SECONDS * self._plan.frame_rate), 0, 1).astype(np.float64)
            side_x, side_y = ((-1, 0), (1, 0), (0, -1), (0, 1))[section.index % 4]
            pose = _moved(pose, dx=side_x * 300 * (1 - x) ** 2, dy=side_y * 280 * (1 - x) ** 2)
        pose = replace(pose, visible=frames_since >= 0)
        return Sprite(images=images, x=box.x, y=box.y, pose=pose, image_index=index)

    def _glow(self, section: Section) -> Sprite:
        """A stage light behind the letter that follows the song's sound: movement which even few pixels show."""
        num_frames = section.last_frame - section.first_frame
        level = np.rint(self._light[section.first_frame : section.last_frame] * _GLOW_LEVELS).astype(np.int64)
        pose = replace(motion.rest(num_frames), visible=level > 0)
        return Sprite(images=glow(_GLOW_COLOUR), x=WIDTH / 2, y=HEIGHT / 2, pose=pose, image_index=level)

    def _pair_half(self, section: Section, box: Box, half: int) -> Sprite:
        """The capital (0) answers the first name of the letter, the small letter (1) the second; both all other words."""
        letter = section.plan.letter if half == 0 else section.plan.letter.lower()
        is_low = half == 1 and letter in "acemnorsuvwxz"
        fitted = Box(
            box.x, box.y + (box.height // 8 if is_low else 0), box.width, round(box.height * (0.72 if is_low else 1))
        )
        names = 0
        mine: list[Onset] = []
        for onset in self._heard.get(section.index, []):
            names += onset.role == "letter" and onset.starts_word
            if onset.role != "letter" or (names + 1) % 2 == half or self._plan.kind == "letter_run":
                mine.append(onset)
        pose = self._answers(section, min(fitted.width, fitted.height), of=mine)
        return Sprite(
            images=[self._glyph(letter, fitted, self._look(section).letter_colour)], x=fitted.x, y=fitted.y, pose=pose
        )

    def _answers(
        self, section: Section, size: float, *, of: Sequence[Onset] | None = None, skip_first: bool = False
    ) -> Pose:
        found = list(self._heard.get(section.index, [])) if of is None else list(of)
        if skip_first:
            found = found[1:]
        heights = [onset.strength * (0.7 if onset.role == "object" else 1.0) for onset in found]
        return self._pose(section, section.plan.move, [onset.seconds for onset in found], heights, size)

    def _pose(
        self, section: Section, move: Move, times: Sequence[float], heights: Sequence[float], size: float
    ) -> Pose:
        num_frames = section.last_frame - section.first_frame
        pose = motion.follow(move, times, heights, size, section.first_frame, num_frames, self._plan.frame_rate)
        if self._plan.beat_pulse:
            beat = 2 * self._timeline.half_beat_seconds
            first = int(section.first_frame / self._plan.frame_rate / beat)
            last = int(section.last_frame / self._plan.frame_rate / beat) + 1
            beats = [count * beat for count in range(first, last + 1)]
            pulse = motion.response(beats, [1.0] * len(beats), section.first_frame, num_frames, self._plan.frame_rate)
            bigger = 1 + self._plan.beat_pulse * pulse
            pose = replace(pose, scale_x=pose.scale_x * bigger, scale_y=pose.scale_y * bigger)
        return pose

    def _pictures(self, section: Section, box: Box) -> list[Sprite]:
        """Each picture enters with its word, in place of the one before, and pulses when it is named again."""
        num_frames = section.last_frame - section.first_frame
        heard = self._heard.get(section.index, [])
        entries = [
            next(onset.seconds for onset in heard if onset.picture_index == index)
            for index in range(len(section.plan.pictures))
            if any(onset.picture_index == index for onset in heard)
        ]
        clock = (section.first_frame + np.arange(num_frames) + 0.5) / self._plan.frame_rate
        sprites: list[Sprite] = []
        for index, enters in enumerate(entries):
            times = [onset for onset in heard if onset.picture_index == index and onset.seconds > enters]
            pose = self._pose(
                section, "pop", [onset.seconds for onset in times], [onset.strength for onset in times], box.height
            )
            size = motion.entrance(enters, section.first_frame, num_frames, self._plan.frame_rate)
            leaves = entries[index + 1] if index + 1 < len(entries) else np.inf
            pose = replace(
                pose,
                scale_x=pose.scale_x * size,
                scale_y=pose.scale_y * size,
                visible=(clock >= enters) & (clock < leaves),
            )
            image = self._drawing(section, section.plan.pictures[index].openmoji, min(box.width, box.height))
            sprites.append(Sprite(images=[image], x=box.x, y=box.y, pose=pose))
        return sprites

    # Sections that belong to no letter -------------------------------------------------------------------------------

    def _dancers(self, section: Section, images: Sequence[Image.Image], boxes: Sequence[Box]) -> list[Sprite]:
        """Sprites that take turns in answering the syllables, or the beats where nobody sings."""
        heard = self._heard.get(section.index, [])
        times = [(onset.seconds, onset.strength) for onset in heard]
        if not times:
            beat = 2 * self._timeline.half_beat_seconds
            end = section.last_frame / self._plan.frame_rate
            times = [
                (section.start_seconds + count * beat, 0.8)
                for count in range(int((end - section.start_seconds) / beat) + 1)
            ]
        sprites: list[Sprite] = []
        for turn, (image, box) in enumerate(zip(images, boxes, strict=True)):
            mine = times[turn :: len(images)]
            pose = self._pose(
                section, "jump", [seconds for seconds, _ in mine], [height for _, height in mine], box.height
            )
            sprites.append(Sprite(images=[image], x=box.x, y=box.y, pose=pose))
        return sprites

    def _write(self, ground: Image.Image, section: Section, line: str, y: int, height: int) -> None:
        words = text(line, self._plan.font, height, 560, self._look(section).letter_colour)
        ground.paste(words, ((ground.width - words.width) // 2, y - words.height // 2), words)

    def _chorus(self, section: Section) -> tuple[Image.Image, list[Sprite]]:
        ground = self._ground(section)
        self._write(ground, section, " ".join(token.text for token in section.plan.tokens), 318, 34)
        boxes = [Box(x, 160, 110, 130) for x in (195, 320, 445)]
        letters = [self._glyph(letter, boxes[0], self._look(section).letter_colour) for letter in "ABC"]
        return ground, self._dancers(section, letters, boxes)

    def _break(self, section: Section) -> tuple[Image.Image, list[Sprite]]:
        ground = self._ground(section)
        if section.last_frame - section.first_frame < self._plan.frame_rate:
            return ground, []
        return ground, self._dancers(
            section,
            [self._drawing(section, name, 90) for name in (_NOTE, _STAR)],
            [Box(260, 190, 90, 90), Box(380, 190, 90, 90)],
        )

    def _title(self, section: Section) -> tuple[Image.Image, list[Sprite]]:
        ground = self._ground(section)
        self._write(ground, section, self._plan.title.rstrip("0123456789 "), 92, 52)
        table = pictures()
        shown = [table[letter][(self._plan.index + turn) % 8].openmoji for turn, letter in enumerate("ABC")]
        return ground, self._dancers(
            section,
            [self._drawing(section, name, 104) for name in shown],
            [Box(x, 240, 104, 104) for x in (200, 320, 440)],
        )

    def _ending(self, section: Section) -> tuple[Image.Image, list[Sprite]]:
        ground = self._ground(section)
        if self._plan.outro == "card":
            self._write(ground, section, "The End", 110, 70)
            return ground, self._dancers(section, [self._drawing(section, _STAR, 110)], [Box(320, 250, 110, 110)])
        offset = (ground.width - WIDTH) // 2
        for position, letter in enumerate(sorted(set(self._plan.letters))):
            box = layout.chart_cell(position)
            glyph = self._glyph(letter, box, self._look(section).letter_colour)
            ground.paste(glyph, (offset + box.x - glyph.width // 2, box.y - glyph.height // 2), glyph)
        return ground, self._dancers(section, [self._drawing(section, _STAR, 50)], [Box(590, 312, 50, 50)])


@functools.cache
def glow(colour: str) -> tuple[Image.Image, ...]:
    """A soft disc of light at 0 to `_GLOW_LEVELS` twelfths of its full opacity, RGBA."""
    y, x = np.mgrid[-1 : 1 : _GLOW_DIAMETER * 1j, -1 : 1 : _GLOW_DIAMETER * 1j]
    disc = np.clip(1 - np.hypot(x, y), 0, 1) ** 0.35
    levels: list[Image.Image] = []
    for level in range(_GLOW_LEVELS + 1):
        light = Image.new("RGBA", (_GLOW_DIAMETER, _GLOW_DIAMETER), colour)
        light.putalpha(Image.fromarray(np.rint(255 * _GLOW_OPACITY * level / _GLOW_LEVELS * disc).astype(np.uint8)))
        levels.append(light)
    return tuple(levels)


def _moved(pose: Pose, dx: motion.Curve, dy: motion.Curve) -> Pose:
    return replace(pose, dx=pose.dx + dx, dy=pose.dy + dy)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _mix(colour: str, other: str, share: float) -> str:
    """`share` of `other` in `colour`."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(_rgb(colour), _rgb(other), strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _is_light(colour: str) -> bool:
    red, green, blue = _rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue > 140
