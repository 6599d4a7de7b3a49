"""Source videos on the local disk: linked or copied into a folder with their captions and info.json."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phonics_data import __version__
from phonics_data.captions.parse import CAPTION_SUFFIXES
from phonics_data.contract.untrusted import read_json_object
from phonics_data.errors import FetchError
from phonics_data.stages.fetch.caption_tracks import Track, choose_track, spoken_language
from phonics_data.stages.fetch.download_result import DownloadedCaptions, DownloadResult, page_text, plausible_seconds
from phonics_data.stages.fetch.info_json import strip_info
from phonics_data.storage.object_table import SUFFIX, objects_path
from phonics_data.storage.workspace import write_json
from phonics_data.types import SourceVideo


def copy_local_video(video: SourceVideo, folder: Path) -> DownloadResult:
    """Link or copy the file of `video` (whose url is a path) and its sidecar files into `folder`.

    Captions are sidecar files named ``<stem>.<language>.json3``, ``.vtt`` or ``.srt``:

    - a track ``<language>-orig`` counts as YouTube's automatic one;
    - any other track is manual if there is a ``<stem>.info.json`` (the video was downloaded), else ``file``.

    Raises:
        FetchError: ``file_missing``.
    """
    source = Path(video.url)
    if not source.is_file():
        problem = "a folder" if source.is_dir() else "no such file"
        raise FetchError("file_missing", f"{source}: {problem}; correct the url in the manifest or put the file there")
    media = folder / f"{video.video_id}{source.suffix.lower()}"
    _link_or_copy(source, media)
    info = _read_info(source.with_name(f"{source.stem}.info.json"))
    if info is not None:
        write_json(folder / f"{video.video_id}.info.json", strip_info(info))
    if (objects := objects_path(source)).is_file():
        _link_or_copy(objects, objects_path(media))
    tracks = _sidecar_tracks(source)
    captions = _copy_captions(video, tracks, folder, has_info=info is not None)
    info = info or {}
    return DownloadResult(
        media=media,
        captions=captions,
        captions_found="none" if captions is None else captions.kind,
        title=page_text(info.get("title")),
        language=spoken_language(info.get("language"), tracks),
        format_id="",
        duration_seconds=plausible_seconds(info.get("duration")),
        fetcher_version=f"phonics-data {__version__}",
    )


def sidecar_files(source: Path) -> list[Path]:
    """The caption files, the info.json and the table of object pictures of a media file, in its folder, sorted."""
    suffixes = "|".join(re.escape(suffix) for suffix in CAPTION_SUFFIXES)
    pattern = re.compile(rf"{re.escape(source.stem)}(\.[A-Za-z0-9-]+(?i:{suffixes})|\.info\.json|{re.escape(SUFFIX)})")
    return sorted(path for path in source.parent.iterdir() if pattern.fullmatch(path.name))


def _sidecar_tracks(source: Path) -> dict[Track, Path]:
    tracks: dict[Track, Path] = {}
    for path in sidecar_files(source):
        if (suffix := path.suffix.lower()) in CAPTION_SUFFIXES:
            code = path.name[len(source.stem) + 1 : -len(suffix)]
            tracks[Track(code=code, suffix=suffix, is_auto=code.endswith("-orig"))] = path
    return tracks


def _copy_captions(
    video: SourceVideo, tracks: Mapping[Track, Path], folder: Path, *, has_info: bool
) -> DownloadedCaptions | None:
    chosen = choose_track(tracks, video.language.split("/")[0])
    if chosen is None:
        return None
    target = folder / f"{video.video_id}.{chosen.code}{chosen.suffix}"
    _link_or_copy(tracks[chosen], target)
    kind = "file" if chosen.kind == "manual" and not has_info else chosen.kind
    return DownloadedCaptions(track=chosen.code, kind=kind, path=target)


def _read_info(path: Path) -> dict[str, Any] | None:
    try:
        return read_json_object(path, any_numbers=True)
    except (OSError, ValueError):
        return None


def _link_or_copy(source: Path, target: Path) -> None:
    """A hard link needs no disk space; the file is copied where links are not possible, e.g. across file systems."""
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES):
            raise
        shutil.copyfile(source, target)
