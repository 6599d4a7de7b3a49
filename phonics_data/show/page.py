"""The timeline of a video as PNG files and as one self-contained HTML page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from phonics_data.contract.files import write_bytes
from phonics_data.errors import OptionError
from phonics_data.show.boundary_reasons import BoundaryReason, boundary_reasons
from phonics_data.show.timeline import REASON_STYLES, draw_timeline, summary_lines
from phonics_data.show.video_evidence import VideoEvidence, collect_evidence
from phonics_data.storage.workspace import Workspace
from phonics_data.types import TrueSegment


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentRow:
    """One row of the page's table of segments."""

    letter: str
    object_word: str
    start: str
    end: str
    confidence: str
    rule: str
    evidence: str
    start_reason: str
    end_reason: str
    start_colour: str
    end_colour: str
    truth: str
    """Offsets of start and end from the true segment with the largest overlap; empty without ground truth."""


def show(
    workspace: Workspace,
    video_id: str,
    out: Path,
    *,
    truth: Sequence[TrueSegment] | None = None,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
) -> list[Path]:
    """Write ``<video_id>.png`` (``<video_id>-2.png`` ... for long videos) and ``<video_id>.html`` to `out`.

    Args:
        truth: true segments of any videos, e.g. from `phonics_data.sources.synthetic.render.read_truth`.
        start_seconds, end_seconds: the interval to draw.

    Returns:
        The files; the page is the first.

    Raises:
        InputError: the video is not in the workspace.
        OptionError: the interval is not in the video.
    """
    evidence = collect_evidence(workspace, video_id, truth)
    duration = evidence.video.duration_seconds
    last = duration if end_seconds is None else min(end_seconds, duration)
    if not 0 <= start_seconds < last:
        raise OptionError("--from / --to", f"{start_seconds:g} to {last:g}", f"an interval in 0 to {duration:g} s")
    images = [_png(image) for image in draw_timeline(evidence, start_seconds=start_seconds, end_seconds=last)]
    files = [out / f"{video_id}{f'-{number}' if number > 1 else ''}.png" for number in range(1, len(images) + 1)]
    for path, data in zip(files, images, strict=True):
        write_bytes(path, data)
    page = out / f"{video_id}.html"
    write_bytes(page, _page(evidence, images).encode())
    return [page, *files]


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    # 256 colours: a third of the size, with visible loss only in the thumbnails.
    image.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _page(evidence: VideoEvidence, images: Sequence[bytes]) -> str:
    import jinja2

    environment = jinja2.Environment(loader=jinja2.PackageLoader("phonics_data.show", "."), autoescape=True)
    return environment.get_template("page.html.j2").render(
        video_id=evidence.video.video_id,
        summary=summary_lines(evidence),
        images=["data:image/png;base64," + base64.b64encode(data).decode() for data in images],
        rows=segment_rows(evidence),
        has_truth=evidence.truth is not None,
        missed=_missed_segments(evidence),
        rejections=evidence.rejections,
    )


def segment_rows(evidence: VideoEvidence) -> list[SegmentRow]:
    """The table of segments."""
    found = boundary_reasons(evidence.segments, evidence.words, evidence.screen, evidence.cuts)
    return [
        SegmentRow(
            letter=segment.letter,
            object_word=segment.object_word or "",
            start=f"{segment.start_seconds:.2f}",
            end=f"{segment.end_seconds:.2f}",
            confidence=f"{segment.confidence:.2f}",
            rule=segment.rule,
            evidence=segment.evidence,
            start_reason=_reason_text(at_start, segment.start_seconds),
            end_reason=_reason_text(at_end, segment.end_seconds),
            start_colour=_css_colour(at_start),
            end_colour=_css_colour(at_end),
            truth=_truth_offsets(segment, evidence.truth) if evidence.truth is not None else "",
        )
        for segment, (at_start, at_end) in zip(evidence.segments, found, strict=True)
    ]


def _reason_text(reason: BoundaryReason, seconds: float) -> str:
    return reason.text if reason.seconds is None else f"{reason.text} ({seconds - reason.seconds:+.2f})"


def _css_colour(reason: BoundaryReason) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in REASON_STYLES[reason.kind][0])


def _overlap(one: Any, other: Any) -> float:
    return min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)


def _truth_offsets(segment: Any, truth: Sequence[TrueSegment]) -> str:
    true = max(truth, key=lambda other: _overlap(segment, other), default=None)
    if true is None or _overlap(segment, true) <= 0:
        return "no letter"
    wrong = "" if true.letter == segment.letter else f"is {true.letter}: "
    return f"{wrong}{segment.start_seconds - true.start_seconds:+.2f} / {segment.end_seconds - true.end_seconds:+.2f}"


def _missed_segments(evidence: VideoEvidence) -> list[str]:
    """True segments that overlap no segment of their letter."""
    return [
        f"{true.letter} ({true.start_seconds:.2f} to {true.end_seconds:.2f} s)"
        for true in evidence.truth or ()
        if not any(segment.letter == true.letter and _overlap(segment, true) > 0 for segment in evidence.segments)
    ]
