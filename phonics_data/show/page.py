"""The pictures of a video's evidence, as files and on one page that needs neither other files nor network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from phonics_data.errors import OptionError
from phonics_data.show.boundary_reasons import Reason, reasons
from phonics_data.show.timeline import SIGN_COLOURS, facts, pictures
from phonics_data.show.video_evidence import VideoEvidence, gather
from phonics_data.storage.workspace import Workspace, write_bytes
from phonics_data.types import TrueSegment


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One segment in the page's table."""

    letter: str
    object_word: str
    start: str
    end: str
    confidence: str
    rule: str
    evidence: str
    start_why: str
    end_why: str
    start_colour: str
    end_colour: str
    truth: str
    """How far start and end lie from the true phrase that they share the most with; empty where no truth is known."""


def show(
    workspace: Workspace,
    video_id: str,
    out: Path,
    *,
    truth: Sequence[TrueSegment] | None = None,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
) -> list[Path]:
    """Write ``<video_id>.png`` (``<video_id>-2.png`` and so on for long videos) and ``<video_id>.html`` into `out`.

    Args:
        truth: segments of any videos, as `phonics_data.sources.synthetic.render.read_truth` gives them.
        start_seconds, end_seconds: the part to draw.

    Returns:
        The files, the page first.

    Raises:
        InputError: the workspace holds no such video.
        OptionError: no second of the video lies between start and end.
    """
    story = gather(workspace, video_id, truth)
    last = story.video.duration_seconds if end_seconds is None else min(end_seconds, story.video.duration_seconds)
    if not 0 <= start_seconds < last:
        raise OptionError(
            "--from / --to", f"{start_seconds:g} to {last:g}", f"a part of 0 to {story.video.duration_seconds:g} s"
        )
    drawn = [_png(image) for image in pictures(story, start_seconds=start_seconds, end_seconds=last)]
    files = [out / f"{video_id}{f'-{number}' if number > 1 else ''}.png" for number in range(1, len(drawn) + 1)]
    for path, data in zip(files, drawn, strict=True):
        write_bytes(path, data)
    page = out / f"{video_id}.html"
    write_bytes(page, _page(story, drawn).encode())
    return [page, *files]


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    # Few colours but in the thumbnails: a third of the bytes.
    image.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _page(story: VideoEvidence, drawn: Sequence[bytes]) -> str:
    import jinja2

    environment = jinja2.Environment(loader=jinja2.PackageLoader("phonics_data.show", "."), autoescape=True)
    return environment.get_template("page.html.j2").render(
        video_id=story.video.video_id,
        facts=facts(story),
        pictures=["data:image/png;base64," + base64.b64encode(data).decode() for data in drawn],
        lines=lines(story),
        has_truth=story.truth is not None,
        missed=_missed(story),
        left_out=story.left_out,
    )


def lines(story: VideoEvidence) -> list[Line]:
    """The page's table, one line a segment."""
    found = reasons(story.segments, story.words, story.screen, story.cuts)
    return [
        Line(
            letter=segment.letter,
            object_word=segment.object_word or "",
            start=f"{segment.start_seconds:.2f}",
            end=f"{segment.end_seconds:.2f}",
            confidence=f"{segment.confidence:.2f}",
            rule=segment.rule,
            evidence=segment.evidence,
            start_why=_said(at_start, segment.start_seconds),
            end_why=_said(at_end, segment.end_seconds),
            start_colour=_css(at_start),
            end_colour=_css(at_end),
            truth=_against(segment, story.truth) if story.truth is not None else "",
        )
        for segment, (at_start, at_end) in zip(story.segments, found, strict=True)
    ]


def _said(reason: Reason, seconds: float) -> str:
    return reason.text if reason.seconds is None else f"{reason.text} ({seconds - reason.seconds:+.2f})"


def _css(reason: Reason) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in SIGN_COLOURS[reason.sign])


def _overlap(one: Any, other: Any) -> float:
    return min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)


def _against(segment: Any, truth: Sequence[TrueSegment]) -> str:
    own = max(truth, key=lambda other: _overlap(segment, other), default=None)
    if own is None or _overlap(segment, own) <= 0:
        return "no letter"
    wrong = "" if own.letter == segment.letter else f"is {own.letter}: "
    return f"{wrong}{segment.start_seconds - own.start_seconds:+.2f} / {segment.end_seconds - own.end_seconds:+.2f}"


def _missed(story: VideoEvidence) -> list[str]:
    """True phrases of which no segment of their letter shows anything."""
    return [
        f"{own.letter} ({own.start_seconds:.2f} to {own.end_seconds:.2f} s)"
        for own in story.truth or ()
        if not any(segment.letter == own.letter and _overlap(segment, own) > 0 for segment in story.segments)
    ]
