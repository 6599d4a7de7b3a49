"""File name suffixes of videos: the one rule for every importer."""

from __future__ import annotations

from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .qt .3gp .3g2 .mkv .webm .avi .divx .mpg .mpeg .mpe .mpv .m1v .m2v .vob .ts .m2ts .mts .flv .f4v .ogv .wmv "
    ".asf .rm .rmvb .dv .mxf".split()
)

SYSTEM_FOLDERS = frozenset(
    (
        "$recycle.bin", "recycler", "system volume information", "lost+found", "__macosx", "@eadir", "#recycle", "#snapshot",
        "@recycle", "@recently-snapshot",
    )
)  # fmt: skip
"""Folders that operating systems, archives and network storage create, in lower case."""


def is_hidden(relative: Path) -> bool:
    """Whether a file is hidden, or in a hidden folder or one of `SYSTEM_FOLDERS`: copies, previews and deleted files.

    Args:
        relative: its path from the folder that the user gave, whose own name does not count.
    """
    return any(part.startswith(".") or part.lower() in SYSTEM_FOLDERS for part in relative.parts)


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
