"""The part of the stored picture that an MP4 or Matroska file tells players to show.

FFmpeg reads it (as "frame cropping" of the stream) and its program applies it; PyAV gives no access to it. So the two fields are
read from the headers here: the box ``clap`` of MP4 and MOV, and ``PixelCrop`` of Matroska.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import av

_MAX_ELEMENTS = 100_000
"""Elements of one level that are looked at; a fragmented MP4 has a few for each fragment."""
_VISUAL_ENTRY_BYTES = 78
"""Fixed fields of a sample entry of video, before its boxes."""


@dataclass(frozen=True, slots=True)
class Margins:
    """Pixels at the sides of the stored picture that are not to be shown."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __bool__(self) -> bool:
        return bool(self.left or self.top or self.right or self.bottom)


def margins(video: av.VideoStream) -> Margins:
    """The margins of a video stream of an opened file; none for other containers, and where the header does not make sense."""
    names = set(video.container.format.name.split(","))
    if not names & {"mp4", "matroska"}:
        return Margins()
    with Path(video.container.name).open("rb") as file:
        try:
            found = _mp4_margins(file, video) if "mp4" in names else _matroska_margins(file, video)
        except (struct.error, ZeroDivisionError):  # FFmpeg ignores such a field
            return Margins()
    is_valid = (
        min(found.left, found.top, found.right, found.bottom) >= 0
        and found.left + found.right < video.width
        and found.top + found.bottom < video.height
    )
    return found if is_valid else Margins()


def _mp4_margins(file: BinaryIO, video: av.VideoStream) -> Margins:
    end = file.seek(0, 2)
    for movie in _boxes(file, b"moov", 0, end):
        for track in _boxes(file, b"trak", *movie):
            for header in _boxes(file, b"tkhd", *track):
                content = _read(file, *header, limit=24)
                number = struct.unpack_from(">I", content, 20 if content[:1] == b"\x01" else 12)[0]
                if number == video.id:
                    return _track_margins(file, track)
    return Margins()


def _track_margins(file: BinaryIO, track: tuple[int, int]) -> Margins:
    descriptions = [track]
    for kind in (b"mdia", b"minf", b"stbl", b"stsd"):
        descriptions = [found for outer in descriptions for found in _boxes(file, kind, *outer)]
    for start, end in descriptions:
        for entry_start, entry_end in _boxes(file, None, start + 8, end):
            fixed = _read(file, entry_start, entry_end, limit=_VISUAL_ENTRY_BYTES)
            width, height = struct.unpack_from(">HH", fixed, 24)
            for aperture in _boxes(file, b"clap", entry_start + _VISUAL_ENTRY_BYTES, entry_end):
                values = struct.unpack(">IIIIiIiI", _read(file, *aperture, limit=32))
                shown_w, shown_h, right, down = (values[n] / values[n + 1] for n in (0, 2, 4, 6))
                left, top = (width - shown_w) / 2 + right, (height - shown_h) / 2 + down
                return Margins(
                    floor(left), floor(top), width - ceil(left + shown_w), height - ceil(top + shown_h)
                )  # fmt: skip
            return Margins()
    return Margins()


def _boxes(file: BinaryIO, kind: bytes | None, start: int, end: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the contents of the boxes of a kind (None: all) that lie in ``[start, end)`` of an MP4."""
    for _ in range(_MAX_ELEMENTS):
        file.seek(start)
        header = file.read(16)
        if start + 8 > end or len(header) < 8:
            return
        size, name = struct.unpack_from(">I4s", header)
        content = start + 8
        if size == 1 and len(header) == 16:
            size, content = struct.unpack_from(">Q", header, 8)[0], start + 16
        elif size == 0:
            size = end - start
        if size < content - start:
            return
        if kind is None or name == kind:
            yield content, min(start + size, end)
        start += size


_SEGMENT, _TRACKS, _TRACK, _TYPE, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0
_CROPS = {0x54CC: "left", 0x54BB: "top", 0x54DD: "right", 0x54AA: "bottom"}


def _matroska_margins(file: BinaryIO, video: av.VideoStream) -> Margins:
    """Matroska streams have no number in PyAV: they are in the order of the tracks, pictures that are attached after them."""
    place = [one.index for one in video.container.streams.video].index(video.index)
    end = file.seek(0, 2)
    for segment in _elements(file, _SEGMENT, 0, end):
        for tracks in _elements(file, _TRACKS, *segment):
            number = 0
            for track in _elements(file, _TRACK, *tracks):
                if not any(_read(file, *kind, limit=8)[-1:] == b"\x01" for kind in _elements(file, _TYPE, *track)):
                    continue
                if number == place:
                    crops = {
                        side: int.from_bytes(_read(file, *crop, limit=8), "big")
                        for settings in _elements(file, _VIDEO, *track)
                        for identifier, side in _CROPS.items()
                        for crop in _elements(file, identifier, *settings)
                    }
                    return Margins(**crops)
                number += 1
            return Margins()
    return Margins()


def _elements(file: BinaryIO, kind: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the contents of the elements with an identifier that lie in ``[start, end)`` of a Matroska file."""
    for _ in range(_MAX_ELEMENTS):
        file.seek(start)
        header = file.read(12)
        if start >= end or len(header) < 2 or not header[0]:
            return
        id_bytes = 9 - header[0].bit_length()
        size_bytes = 9 - header[id_bytes].bit_length() if len(header) > id_bytes and header[id_bytes] else 0
        if not size_bytes or len(header) < id_bytes + size_bytes:
            return
        size = int.from_bytes(header[id_bytes : id_bytes + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
        content = start + id_bytes + size_bytes
        if (
            size == (1 << 7 * size_bytes) - 1
        ):  # unknown: up to the end of its parent, as recorders of live video write it
            size = end - content
        if int.from_bytes(header[:id_bytes], "big") == kind:
            yield content, min(content + size, end)
        start = content + size


def _read(file: BinaryIO, start: int, end: int, *, limit: int) -> bytes:
    file.seek(start)
    return file.read(max(0, min(limit, end - start)))
