"""File name suffixes of videos: the one rule for every importer."""

from __future__ import annotations

from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .3gp .3g2 .mkv .webm .avi .mpg .mpeg .vob .ts .m2ts .mts .flv .f4v .ogv .wmv .asf .mxf".split()
)


def is_video_file(path: Path) -> bool:
    """Whether `path` is a file with one of `VIDEO_SUFFIXES`, in upper or lower case."""
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def unread_entry(path: Path) -> str:
    """What an entry of a folder is that looks like videos, but is not read; empty for all others.

    Links to files are read like files. Links to folders are not followed, because they can lead in circles.
    """
    if path.is_symlink() and path.is_dir():
        return "a link to a folder, which is not followed; give the path of that folder, or copy its files"
    if path.suffix.lower() not in VIDEO_SUFFIXES or path.is_file():
        return ""
    if path.is_dir():
        return "a folder with the name of a video; expected a file: rename the folder"
    if path.is_symlink():
        return "a link to a file that does not exist; correct the link or provide the file"
    return "not a regular file; expected a video file"
