"""The styles of the family ``phrases``: how the songs of one channel look, and what happens in each of their phrases.

A style can be recognized from a single frame. Everything in it happens once in a phrase, at the style's own time before
or after the object's word, and stays. The values follow what the ten published clips of the Phonics dataset show
(docs/decisions/0006).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from phonics_data.sources.synthetic.layout import Box
from phonics_data.sources.synthetic.song_plan import Backdrop, Camera

Entrance = Literal["cuts", "fades", "rises", "falls", "slides", "unrolls", "grows", "written", "completes"]
"""How an object or a word appears.

``cuts``: at one frame. ``fades``: becomes opaque. ``rises``, ``falls``, ``slides``: comes from below, above, the right.
``unrolls``: from a narrow strip at its left edge. ``grows``: from a small size.
``written`` (words): letter after letter. ``completes`` (words): the letter becomes the word at one frame.
"""
Leave = Literal["cuts", "fades", "sinks", "lifts", "slides"]
"""How the object and the word of the phrase before disappear, if the letter remains."""
Changes = Literal["phrase", "letter"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    letter: str
    word: str
    back: tuple[str, str]
    """Two colours of the backdrop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """Look and events of a channel. Times are in seconds."""

    name: str
    channel: str
    backdrop: Backdrop
    palettes: tuple[Palette, ...]
    """A new one for each scene, in an order of the song's own."""
    scene: Changes
    """How long a scene lasts: one phrase, or all phrases of a letter."""
    font: int
    """Index of `sprites.FONTS`."""
    outline: str | None = None
    """Colour of the outline of letters and words."""
    is_pair: bool = False
    """The letter is shown as ``Ll`` instead of ``L``."""
    case: Literal["upper", "title", "lower"] = "upper"
    """Of the written word."""
    letter_box: Box
    """Not used if the word completes the letter."""
    object_box: Box
    word_box: Box
    has_card: bool = False
    """The object is drawn on a sheet of paper."""
    object_way: Entrance
    object_lead: float | None
    """From the object's appearance to its word; None: it appears with the scene."""
    object_seconds: float = 0.0
    """Duration of its appearance."""
    word_way: Entrance
    word_lead: float | None
    """As `object_lead`."""
    word_seconds: float = 0.0
    leave: Leave = "cuts"
    leave_lead: float = 0.0
    """From the leaving of the object before to this phrase's object word; at the start of a phrase that is too short."""
    leave_seconds: float = 0.0
    bend_after: float | None = None
    """The letter has eyes; it bends to one side and back at this time after the start of the object's word."""
    bend_seconds: float = 0.0
    camera: Camera = "still"
    camera_reach: float = 0.0
    """Zoom: final magnification less 1. Drift: shift as a fraction of the width."""
    flaps: bool = False
    """The upper part of the object moves up and down all the time, like wings."""
    title_until_lead: float | None = None
    """The phrase begins with the letter alone on another background; the scene follows at this time before the object's word."""
    word_seconds_after_start: tuple[float, float] = (0.9, 2.9)
    """Earliest and latest start of the object's word, from the start of the phrase; another one in each phrase."""
    seconds_after: tuple[float, float] = (0.6, 1.5)
    """Shortest and longest time from the start of the object's word to the end of the phrase."""
    logo_corner: int | None = None
    """Corner of the channel's logo: 0 upper left, 1 upper right, 2 lower left, 3 lower right; None: no logo."""


def _palettes(*rows: tuple[str, str, str, str]) -> tuple[Palette, ...]:
    return tuple(Palette(letter=row[0], word=row[1], back=(row[2], row[3])) for row in rows)


_INK = "#161616"

STYLES: tuple[Style, ...] = (
    Style(
        name="spotlight",
        channel="Spotlight ABC",
        backdrop="rays",
        palettes=_palettes(
            (_INK, _INK, "#f2e600", "#fffbb0"),
            (_INK, _INK, "#12b04c", "#7fe59b"),
            (_INK, _INK, "#f26d9a", "#ffc4d8"),
            (_INK, _INK, "#ff9a1f", "#ffd79a"),
        ),
        scene="phrase",
        font=3,
        letter_box=Box(470, 130, 260, 120),
        object_box=Box(185, 185, 290, 290),
        word_box=Box(475, 130, 290, 120),
        object_way="cuts",
        object_lead=None,
        word_way="completes",
        word_lead=0.34,
        camera="drift",
        camera_reach=0.07,
        word_seconds_after_start=(0.8, 2.5),
        seconds_after=(0.5, 1.2),
    ),
    Style(
        name="treasure",
        channel="Treasure Words",
        backdrop="spot",
        palettes=_palettes(
            (_INK, _INK, "#e01414", "#e79a9a"),
            (_INK, _INK, "#149a4a", "#a0dcb8"),
            (_INK, _INK, "#2a6fdb", "#b4cdf5"),
        ),
        scene="phrase",
        font=2,
        letter_box=Box(320, 62, 300, 96),
        object_box=Box(320, 232, 380, 232),
        word_box=Box(320, 62, 420, 96),
        has_card=True,
        object_way="unrolls",
        object_lead=0.85,
        object_seconds=0.8,
        word_way="completes",
        word_lead=0.3,
        camera="zoom",
        camera_reach=0.2,
    ),
    Style(
        name="studio",
        channel="Letter Friends",
        backdrop="studio",
        palettes=_palettes(
            ("#d81f1f", "#f0541e", "#dfe1e4", "#b9bdc4"),
            ("#e8b71a", "#f0541e", "#dfe1e4", "#b9bdc4"),
            ("#22b522", "#f0541e", "#dfe1e4", "#b9bdc4"),
            ("#2456d6", "#f0541e", "#dfe1e4", "#b9bdc4"),
        ),
        scene="letter",
        font=1,
        letter_box=Box(130, 205, 190, 250),
        object_box=Box(440, 226, 258, 258),
        word_box=Box(450, 58, 330, 74),
        object_way="rises",
        object_lead=0.95,
        object_seconds=0.5,
        word_way="falls",
        word_lead=0.83,
        word_seconds=0.32,
        leave="sinks",
        leave_seconds=0.24,
        bend_after=0.45,
        bend_seconds=1.05,
        leave_lead=1.4,
        word_seconds_after_start=(1.0, 2.4),
        seconds_after=(1.6, 1.8),
    ),
    Style(
        name="white page",
        channel="Page and Pencil",
        backdrop="plain",
        palettes=_palettes(
            ("#f012e6", "#e0249a", "#ffffff", "#ffffff"),
            ("#1289f0", "#1266c0", "#ffffff", "#ffffff"),
            ("#f07a12", "#d05a10", "#ffffff", "#ffffff"),
            ("#7a2bd6", "#5a1fb0", "#ffffff", "#ffffff"),
        ),
        scene="letter",
        font=0,
        case="title",
        letter_box=Box(110, 170, 180, 270),
        object_box=Box(425, 148, 270, 270),
        word_box=Box(450, 316, 280, 60),
        object_way="falls",
        object_lead=1.0,
        object_seconds=1.3,
        word_way="written",
        word_lead=0.0,
        word_seconds=0.48,
        bend_after=0.5,
        bend_seconds=1.0,
        logo_corner=1,
        leave_lead=1.3,
        word_seconds_after_start=(1.0, 2.4),
        seconds_after=(1.6, 1.8),
    ),
    Style(
        name="zoom",
        channel="Aa Bb Cc Book",
        backdrop="plain",
        palettes=_palettes(
            ("#12b4f0", "#3a9aa8", "#d2f8fa", "#d2f8fa"),
            ("#1436b0", "#12246e", "#e2ecff", "#e2ecff"),
            ("#c2185b", "#8e244d", "#ffe6ef", "#ffe6ef"),
            ("#1b8f3a", "#1f6b35", "#e6f8e2", "#e6f8e2"),
        ),
        scene="phrase",
        font=5,
        is_pair=True,
        case="lower",
        letter_box=Box(190, 165, 170, 190),
        object_box=Box(430, 145, 200, 200),
        word_box=Box(430, 280, 190, 50),
        object_way="cuts",
        object_lead=None,
        word_way="cuts",
        word_lead=None,
        camera="zoom",
        camera_reach=0.45,
        title_until_lead=0.7,
    ),
    Style(
        name="wings",
        channel="Buzzy Letters",
        backdrop="spot",
        palettes=_palettes(
            ("#ffffff", "#ffffff", "#c77dff", "#f3d9ff"),
            ("#ffffff", "#ffffff", "#ff8fb1", "#ffe0ea"),
            ("#ffffff", "#ffffff", "#4fb3ff", "#d6efff"),
        ),
        scene="phrase",
        font=1,
        outline="#222222",
        is_pair=True,
        case="lower",
        letter_box=Box(120, 190, 190, 180),
        object_box=Box(430, 218, 270, 270),
        word_box=Box(440, 52, 280, 62),
        object_way="cuts",
        object_lead=None,
        word_way="fades",
        word_lead=0.6,
        word_seconds=0.12,
        flaps=True,
    ),
    Style(
        name="cards",
        channel="Flashcard Fun",
        backdrop="frame",
        palettes=_palettes(
            ("#2e9a2e", "#d08a10", "#ffffff", "#4fd33a"),
            ("#c62828", "#283593", "#ffffff", "#ff8a65"),
            ("#6a1b9a", "#00695c", "#ffffff", "#ba68c8"),
            ("#1565c0", "#c2185b", "#ffffff", "#4fc3f7"),
        ),
        scene="phrase",
        font=2,
        case="title",
        letter_box=Box(135, 120, 150, 130),
        object_box=Box(450, 180, 300, 300),
        word_box=Box(175, 268, 270, 84),
        object_way="cuts",
        object_lead=None,
        word_way="cuts",
        word_lead=None,
        title_until_lead=0.45,
        word_seconds_after_start=(0.8, 2.5),
        seconds_after=(0.5, 1.2),
    ),
    Style(
        name="night",
        channel="Moonlight Letters",
        backdrop="night",
        palettes=_palettes(
            ("#ffe680", "#ffffff", "#101848", "#2b2f7a"),
            ("#9df5ff", "#ffffff", "#101848", "#2b2f7a"),
            ("#ffb3e6", "#ffffff", "#101848", "#2b2f7a"),
        ),
        scene="phrase",
        font=0,
        letter_box=Box(490, 140, 190, 190),
        object_box=Box(190, 148, 270, 270),
        word_box=Box(320, 318, 380, 60),
        object_way="falls",
        object_lead=0.75,
        object_seconds=0.75,
        word_way="fades",
        word_lead=0.15,
        word_seconds=0.3,
        camera="drift",
        camera_reach=0.08,
    ),
    Style(
        name="blackboard",
        channel="Miss Chalk",
        backdrop="board",
        palettes=_palettes(
            ("#ffffff", "#fff3b0", "#1f5a3c", "#9c6b3c"),
            ("#ffd6e8", "#ffffff", "#1f5a3c", "#9c6b3c"),
            ("#cdeffd", "#ffffff", "#1f5a3c", "#9c6b3c"),
        ),
        scene="letter",
        font=6,
        case="lower",
        letter_box=Box(150, 128, 220, 190),
        object_box=Box(450, 180, 290, 290),
        word_box=Box(175, 292, 250, 72),
        object_way="fades",
        object_lead=0.25,
        object_seconds=0.5,
        word_way="written",
        word_lead=0.55,
        word_seconds=0.5,
        leave="fades",
        leave_seconds=0.3,
        leave_lead=0.75,
        camera="zoom",
        camera_reach=0.05,
    ),
    Style(
        name="meadow",
        channel="Meadow Lane",
        backdrop="woods",
        palettes=_palettes(
            ("#c62828", "#1a3d8f", "#bfe6ff", "#6cc04a"),
            ("#6a1b9a", "#8f1a4a", "#ffe9c4", "#8bc34a"),
            ("#0d47a1", "#7a3b00", "#d9f2ff", "#57a83a"),
        ),
        scene="letter",
        font=4,
        letter_box=Box(130, 190, 190, 200),
        object_box=Box(435, 218, 264, 264),
        word_box=Box(330, 52, 400, 66),
        object_way="slides",
        object_lead=0.9,
        object_seconds=0.9,
        word_way="falls",
        word_lead=0.25,
        word_seconds=0.25,
        leave="slides",
        leave_seconds=0.4,
        logo_corner=2,
        leave_lead=1.35,
        camera="drift",
        camera_reach=0.1,
        word_seconds_after_start=(1.0, 2.9),
    ),
)
"""Styles of songs for training, validation and test."""

UNSEEN_STYLES: tuple[Style, ...] = (
    Style(
        name="candy",
        channel="Candy Stripes",
        backdrop="stripes",
        palettes=_palettes(
            ("#d81b60", "#6a1b9a", "#fff0f6", "#ffd0e4"),
            ("#00838f", "#1565c0", "#effcff", "#c8f0f6"),
        ),
        scene="letter",
        font=0,
        outline="#ffffff",
        case="title",
        letter_box=Box(490, 180, 200, 240),
        object_box=Box(190, 144, 262, 262),
        word_box=Box(200, 310, 300, 66),
        object_way="grows",
        object_lead=0.2,
        object_seconds=0.32,
        word_way="falls",
        word_lead=0.55,
        word_seconds=0.3,
        leave="lifts",
        leave_seconds=0.3,
        bend_after=0.45,
        bend_seconds=1.05,
        leave_lead=0.95,
        word_seconds_after_start=(1.0, 2.4),
        seconds_after=(1.6, 1.8),
    ),
    Style(
        name="notebook",
        channel="My First Notebook",
        backdrop="paper",
        palettes=_palettes(
            ("#1a237e", "#1a237e", "#fffdf2", "#c8d8f0"),
            ("#880e4f", "#880e4f", "#fffdf2", "#c8d8f0"),
        ),
        scene="phrase",
        font=3,
        case="lower",
        letter_box=Box(320, 300, 300, 90),
        object_box=Box(320, 136, 230, 216),
        word_box=Box(320, 304, 380, 90),
        object_way="rises",
        object_lead=0.6,
        object_seconds=0.8,
        word_way="completes",
        word_lead=0.42,
        camera="zoom",
        camera_reach=0.08,
        logo_corner=0,
    ),
)
"""Styles of songs for the split ``unseen-styles`` only."""


def style_named(name: str) -> Style:
    """The style with this name.

    Raises:
        KeyError: there is none.
    """
    return {style.name: style for style in (*STYLES, *UNSEEN_STYLES)}[name]
