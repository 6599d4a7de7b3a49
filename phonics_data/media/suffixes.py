"""File name suffixes of videos: the one rule for every importer."""

from __future__ import annotations

from pathlib import Path

VIDEO_SUFFIXES = frozenset(".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .flv .ogv .wmv".split())


def is_video_file(path: Path) -> bool:
    """Whether `path` is a file with one of `VIDEO_SUFFIXES`, in upper or lower case."""
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
