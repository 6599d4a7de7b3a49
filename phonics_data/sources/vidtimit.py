"""Importer of VidTIMIT: 43 speakers, ten sentences each, as folders of images with an audio file each.

    <speaker>/video/<sentence>/<images, sorted by number: 001, 002, ..., with or without a suffix>
    <speaker>/audio/<sentence>.wav

Folders whose names begin with ``head`` contain head rotations without audio and are skipped. The corpus has its own terms
of use and requests a citation: https://conradsanderson.id.au/vidtimit/
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from phonics_data.contract.labels import VIDTIMIT
from phonics_data.contract.untrusted import MAX_JSON_BYTES, parse_json_object, read_json, read_limited_stream
from phonics_data.errors import FetchError, InputError, MediaError
from phonics_data.executors.isolated import Limits, map_isolated
from phonics_data.executors.items import OnProgress
from phonics_data.media.suffixes import is_hidden
from phonics_data.media.video_writer import video_from_images
from phonics_data.sources.importer import LabelledFile, LabelledSegment, file_id, require_folder
from phonics_data.storage.workspace import Workspace, write_json

ZENODO_RECORD = "https://zenodo.org/api/records/158963"
FRAME_RATE = Fraction(25)
EXPECTED_CLIPS = 430
_IMAGE = re.compile(r"([^.]*?\.?)([0-9]{1,9})(\.(jpe?g|jpe|png|bmp|gif|p[bgnp]m|tiff?|webp))?", re.IGNORECASE)
"""Text before the number, the number, and the suffix: ``001``, ``frame-001.jpg``. Other files are no images of a sentence."""
_VIDEO_VERSION = 2
"""Increased whenever the same images and sound give another video."""
_LIMITS = Limits(seconds=600)
log = logging.getLogger("phonics_data")
_MAX_EXTRACTED_BYTES = 8 * 1024**3


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """One spoken sentence on disk."""

    speaker: str
    sentence: str
    images: tuple[Path, ...]
    audio: Path
    """Expected audio file; it may be missing."""
    folder: Path
    """Of the images."""
    first: Path | None = None
    """The folder of the same sentence of the same speaker that is used instead of this one; None if this one is used."""


def find_sentences(folder: Path) -> list[Sentence]:
    """Every sentence below `folder`, sorted by speaker and name.

    A speaker can have several folders, each with some of the sentences. Of several copies of a sentence the most complete one is
    used, and the others come after it with `Sentence.first`. Hidden and system folders are left out, and so are files in
    the folder of a sentence that are not named as images with a number; a warning counts them.

    Raises:
        InputError: no such folder, or no speakers in it.
    """
    require_folder(folder)
    found: list[Sentence] = []
    others: list[Path] = []
    speakers: dict[str, list[Path]] = {}
    # The archives contain <speaker>/; depending on the tool it is extracted one level deeper, and all below VidTIMIT/.
    # Some file systems and tools change the case of names.
    for video in sorted(
        path for depth in ("", "*/", "*/*/", "*/*/*/") for path in folder.glob(f"{depth}[vV][iI][dD][eE][oO]")
    ):
        if not is_hidden(video.relative_to(folder)):
            speakers.setdefault(video.parent.absolute().name.lower(), []).append(video)
    for speaker in VIDTIMIT.names:
        copies: defaultdict[str, list[Sentence]] = defaultdict(list)
        for videos in speakers.get(speaker, []):
            root = videos.parent
            wavs = {
                path.stem.lower(): path for path in root.glob("[aA][uU][dD][iI][oO]/*") if path.suffix.lower() == ".wav"
            }
            for video in sorted(videos.glob("*")):
                name = video.name.lower()
                if not video.is_dir() or name.startswith("head") or is_hidden(Path(name)):
                    continue
                files = sorted(path for path in video.iterdir() if path.is_file() and not is_hidden(Path(path.name)))
                images = tuple(sorted((path for path in files if _IMAGE.fullmatch(path.name)), key=_number_last))
                others += [path for path in files if not _IMAGE.fullmatch(path.name)]
                audio = wavs.get(name, root / "audio" / f"{video.name}.wav")
                copies[name].append(Sentence(speaker=speaker, sentence=name, images=images, audio=audio, folder=video))
        for _, sentences in sorted(copies.items()):
            first, *rest = sorted(sentences, key=_completeness)
            found += [first, *(replace(one, first=first.folder) for one in rest)]
    if others:
        log.warning(
            "%s: left out files that are not named as images with a number: %d, such as %s",
            folder,
            len(others),
            others[0].relative_to(folder),
        )
    if not found:
        raise InputError(
            f"{folder}: no <speaker>/video/<sentence>/ in it; allowed: the folder that contains fadg0, faks0, ... "
            "or --download to download the corpus"
        )
    return found


def _number_last(image: Path) -> tuple[str, int]:
    """Sorting key: images in order of their numbers, also without leading zeros."""
    match = _IMAGE.fullmatch(image.name)
    return (match[1].lower(), int(match[2])) if match else (image.name, 0)


def _completeness(copy: Sentence) -> tuple[bool, bool, int]:
    """Sorting key: the best of several copies of a sentence comes first."""
    return not copy.audio.is_file(), bool(_naming_fault(copy.images)), -len(copy.images)


def _naming_fault(images: Sequence[Path]) -> str:
    """Which of the sorted `images` cannot belong to one sequence; empty if all can."""
    for before, after in pairwise(images):
        (text, number), (next_text, next_number) = _number_last(before), _number_last(after)
        if text != next_text:
            return f"its images are named in two ways, {before.name} and {after.name}"
        if number == next_number:
            return f"two of its images have one number, {before.name} and {after.name}"
    return ""


def vidtimit_files(workspace: Workspace, folder: Path, *, on_progress: OnProgress | None = None) -> list[LabelledFile]:
    """Write a video of every sentence into the workspace, with its speaker as label; existing videos are kept."""
    found = find_sentences(folder)
    files: list[LabelledFile] = []
    report = on_progress or (lambda _stage, _done, _total: None)
    report("videos", 0, len(found))
    videos = [(workspace.media / f"{one.speaker}-{one.sentence}" / "video.mkv", one) for one in found]
    for done, ((path, sentence), error) in enumerate(
        map_isolated(_write_video, videos, workers=1, limits=lambda _: _LIMITS), 1
    ):
        video_id = f"{sentence.speaker}-{sentence.sentence}"
        fault = None
        if error is not None:
            advice = "" if sentence.first else f"; extract the archive of {sentence.speaker} again"
            fault = MediaError(
                error.reason, f"sentence {sentence.sentence} of {sentence.speaker}: {error.detail}{advice}"
            )
        if sentence.first:
            video_id = file_id(sentence.folder.relative_to(folder))
        files.append(
            LabelledFile(video_id=video_id, path=path, segments=(LabelledSegment(label=sentence.speaker),), fault=fault)
        )
        report("videos", done, len(found))
    return files


def _write_video(task: tuple[Path, Sentence]) -> None:
    """Write the sentence as a video unless its path was already made from the same files. Raises `MediaError`."""
    path, sentence = task
    if sentence.first:
        raise MediaError("near_duplicate", f"{sentence.folder} is a second copy of {sentence.first}, which was used")
    if not sentence.audio.is_file():
        raise MediaError("file_missing", f"its audio file {sentence.audio} is missing")
    if fault := _naming_fault(sentence.images):
        raise MediaError("bad_name", f"{sentence.folder}: {fault}; delete the copies, or the folder")
    numbers = [_number_last(image)[1] for image in sentence.images]
    if gap := next((after - 1 for before, after in pairwise(numbers) if after - before > 1), None):
        raise MediaError("does_not_decode", f"its image {gap} of {numbers[-1]} is missing")
    origin = path.with_name("origin.json")
    num_bytes = sum(file.stat().st_size for file in (*sentence.images, sentence.audio))
    inputs = {"images": len(sentence.images), "bytes": num_bytes, "version": _VIDEO_VERSION}
    if not (path.exists() and _read_origin(origin) == inputs):
        video_from_images(path, sentence.images, FRAME_RATE, sentence.audio)
        write_json(origin, inputs)


def _read_origin(path: Path) -> object:
    """The content of a JSON file; None if it is missing or damaged."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def download(
    folder: Path,
    *,
    record: str = ZENODO_RECORD,
    speakers: Sequence[str] = VIDTIMIT.names,
    retry_seconds: Sequence[float] = (1.0, 5.0, 25.0),
    on_progress: OnProgress | None = None,
) -> None:
    """Download the archives of `speakers` from their public record into `folder`, verify and extract them.

    Extracted archives are skipped, interrupted downloads are resumed. Every archive must have the size and the MD5 of the
    record.

    Raises:
        FetchError: the record or an archive cannot be downloaded, or does not match the record.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = _listed(record)
    if missing := [speaker for speaker in speakers if f"{speaker}.zip" not in listed]:
        raise FetchError("gone", f"{record}: lists no archive for {', '.join(missing)}")
    report = on_progress or (lambda _stage, _done, _total: None)
    report("download", 0, len(speakers))
    for done, speaker in enumerate(speakers, start=1):
        if not (folder / speaker).is_dir():
            archive = folder / f"{speaker}.zip"
            _download_archive(listed[archive.name], archive, retry_seconds)
            _extract(archive, folder / speaker)
            archive.unlink()
        report("download", done, len(speakers))


def _listed(record: str) -> dict[str, dict[str, Any]]:
    try:
        with urllib.request.urlopen(record, timeout=60) as response:
            found = parse_json_object(read_limited_stream(response, MAX_JSON_BYTES))
        return {entry["key"]: entry for entry in found["files"]}
    except (urllib.error.URLError, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise FetchError(
            "fetch_failed", f"{record}: the list of files cannot be downloaded ({error}); try again later"
        ) from error


def _download_archive(entry: dict[str, Any], archive: Path, retry_seconds: Sequence[float]) -> None:
    address, size = str(entry["links"]["self"]), int(entry["size"])
    method, _, expected = str(entry["checksum"]).partition(":")
    part = archive.with_suffix(".part")
    waits = [*retry_seconds, None]
    for wait in waits:
        try:
            _append(address, part, size)
            break
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            if wait is None:
                raise FetchError(
                    "fetch_failed",
                    f"{address}: interrupted at {_size(part)} of {size} bytes ({error}); run the command again to continue",
                ) from error
            time.sleep(wait)
    with part.open("rb") as file:
        found = hashlib.file_digest(file, method).hexdigest()
    if found != expected or _size(part) != size:
        part.unlink()
        raise FetchError(
            "fetch_failed",
            f"{address}: {method} is {found}, the record has {expected}; the file was deleted: run the command again",
        )
    part.replace(archive)


def _append(address: str, part: Path, size: int) -> None:
    """Download the missing part of the file."""
    offset = _size(part)
    if offset >= size:
        return
    request = urllib.request.Request(address, headers={"Range": f"bytes={offset}-"} if offset else {})
    with urllib.request.urlopen(request, timeout=60) as response:
        is_resumed = offset > 0 and response.status == 206
        with part.open("ab" if is_resumed else "wb") as file:
            shutil.copyfileobj(response, file, 1 << 20)
    if _size(part) < size:
        raise ConnectionError("the server ended the transfer early")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _extract(archive: Path, target: Path) -> None:
    """Extract atomically into the folder `target`; names outside of it are rejected."""
    temporary = target.with_name(f".{target.name}.extracting")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as zipped:
            if sum(info.file_size for info in zipped.infolist()) > _MAX_EXTRACTED_BYTES:
                raise FetchError("fetch_failed", f"{archive.name}: its contents exceed 8 GiB")
            for info in zipped.infolist():
                parts = PurePosixPath(info.filename).parts
                if info.filename.startswith("/") or ".." in parts or "\\" in info.filename:
                    raise FetchError(
                        "invalid", f"{archive.name}: contains the name {info.filename!r}, which is outside its folder"
                    )
            zipped.extractall(temporary)
    except zipfile.BadZipFile as error:
        raise FetchError("fetch_failed", f"{archive.name}: not a valid zip file ({error})") from error
    inner = temporary / target.name
    (inner if inner.is_dir() else temporary).replace(target)
    shutil.rmtree(temporary, ignore_errors=True)
