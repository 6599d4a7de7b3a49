"""A video that lies on this machine already: linked (or copied) into a folder, with its captions and info.json."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from phonics_data import __version__
from phonics_data.errors import FetchError
from phonics_data.stages.fetch.caption_tracks import CAPTION_SUFFIXES, Track, choose_track, spoken_language, track_kind
from phonics_data.stages.fetch.download_result import DownloadedCaptions, DownloadResult
from phonics_data.stages.fetch.info_json import strip_info
from phonics_data.storage.workspace import write_json
from phonics_data.types import SourceVideo


def take_local(video: SourceVideo, folder: Path) -> DownloadResult:
    """Put the file of `video` (whose url is a path) and what lies beside it into `folder`.

    Captions lie beside the file as ``<stem>.<language>.json3``, ``.vtt`` or ``.srt``. A track ``<language>-orig`` is
    taken for YouTube's automatic one. Any other is manual where a ``<stem>.info.json`` shows that the file came from
    the web, and the user's own file where there is none.

    Raises:
        FetchError: ``file_missing``.
    """
    source = Path(video.url)
    if not source.is_file():
        what = "a folder" if source.is_dir() else "no such file"
        raise FetchError("file_missing", f"{source}: {what}; correct the url in the manifest or put the file there")
    media = folder / f"{video.video_id}{source.suffix.lower()}"
    _link_or_copy(source, media)
    info_path = source.with_name(f"{source.stem}.info.json")
    info = _read_info(info_path)
    if info is not None:
        write_json(folder / f"{video.video_id}.info.json", strip_info(info))
    tracks = _tracks_beside(source)
    captions = _take_captions(video, tracks, folder, from_web=info is not None)
    duration = (info or {}).get("duration")
    return DownloadResult(
        media=media,
        captions=captions,
        captions_found="none" if captions is None else captions.kind,
        title=str((info or {}).get("title") or ""),
        language=spoken_language((info or {}).get("language"), tracks),
        format_id="",
        duration_seconds=float(duration) if isinstance(duration, int | float) else None,
        fetcher_version=f"phonics-data {__version__}",
    )


def beside(source: Path) -> list[Path]:
    """The captions and the info.json beside a media file: what its copy in the workspace depends on."""
    stem = re.escape(source.stem)
    suffixes = "|".join(re.escape(suffix) for suffix in CAPTION_SUFFIXES)
    wanted = re.compile(rf"{stem}(\.[A-Za-z0-9-]+({suffixes})|\.info\.json)")
    return sorted(path for path in source.parent.iterdir() if wanted.fullmatch(path.name))


def _tracks_beside(source: Path) -> dict[Track, Path]:
    files: dict[Track, Path] = {}
    for path in beside(source):
        if path.suffix in CAPTION_SUFFIXES:
            code = path.name[len(source.stem) + 1 : -len(path.suffix)]
            files[Track(code=code, suffix=path.suffix, is_auto=code.endswith("-orig"))] = path
    return files


def _take_captions(
    video: SourceVideo, tracks: Mapping[Track, Path], folder: Path, *, from_web: bool
) -> DownloadedCaptions | None:
    chosen = choose_track(tracks, video.language.split("/")[0])
    if chosen is None:
        return None
    target = folder / f"{video.video_id}.{chosen.code}{chosen.suffix}"
    _link_or_copy(tracks[chosen], target)
    kind = track_kind(chosen)
    return DownloadedCaptions(
        track=chosen.code, kind="file" if kind == "manual" and not from_web else kind, path=target
    )


def _read_info(path: Path) -> dict[str, Any] | None:
    try:
        info = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return cast("dict[str, Any]", info) if isinstance(info, dict) else None


def _link_or_copy(source: Path, target: Path) -> None:
    """A hard link costs no room; across file systems, or where links are not allowed, the bytes are copied."""
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES):
            raise
        shutil.copyfile(source, target)
