"""VidTIMIT: 43 speakers, ten sentences each, as folders of images with a sound file beside them.

::

    <speaker>/video/<sentence>/<images in the order of their names>
    <speaker>/audio/<sentence>.wav

Folders that begin with ``head`` hold head rotations without sound and are left out. The corpus has terms of its own:
read them at https://conradsanderson.id.au/vidtimit/ and cite it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from phonics_data.contract.labels import VIDTIMIT
from phonics_data.errors import FetchError, InputError, MediaError
from phonics_data.media.video_writer import video_from_images
from phonics_data.sources.collect import LabelledFile, LabelledSegment
from phonics_data.storage.workspace import Workspace, write_json

RECORD = "https://zenodo.org/api/records/158963"
FRAME_RATE = Fraction(25)
EXPECTED_CLIPS = 430
_MAX_UNPACKED_BYTES = 8 * 1024**3

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """One spoken sentence on disk."""

    speaker: str
    sentence: str
    images: tuple[Path, ...]
    sound: Path
    """Where its sound belongs; it may be missing."""


def sequences(folder: Path) -> list[Sentence]:
    """Every sentence below `folder`, by speaker and name.

    Raises:
        InputError: no such folder, or no speakers in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found: list[Sentence] = []
    for speaker in VIDTIMIT.names:
        # The archives unpack to <speaker>/; some are kept one level deeper.
        for root in (folder / speaker, folder / speaker / speaker):
            for video in sorted((root / "video").glob("*")):
                if not video.is_dir() or video.name.startswith("head"):
                    continue
                sound = root / "audio" / f"{video.name}.wav"
                images = tuple(sorted(path for path in video.iterdir() if path.is_file() and path.name[0] != "."))
                found.append(Sentence(speaker=speaker, sentence=video.name, images=images, sound=sound))
    if not found:
        raise InputError(
            f"{folder}: no <speaker>/video/<sentence>/ in it; allowed: the folder that holds fadg0, faks0, ... "
            "or --download to get the corpus"
        )
    return found


def vidtimit_files(workspace: Workspace, folder: Path, *, on_progress: OnProgress | None = None) -> list[LabelledFile]:
    """Make a film of every sentence in the workspace (kept when it is there), its speaker as the label."""
    found = sequences(folder)
    files: list[LabelledFile] = []
    for done, one in enumerate(found):
        if on_progress:
            on_progress("films", done, len(found))
        video_id = f"{one.speaker}-{one.sentence}"
        path = workspace.media / video_id / "video.mkv"
        try:
            _film(path, one)
            fault = None
        except MediaError as error:
            detail = f"sentence {one.sentence} of {one.speaker}: {error.detail}; unpack {one.speaker}'s archive again"
            fault = MediaError(error.reason, detail)
        files.append(
            LabelledFile(video_id=video_id, path=path, segments=(LabelledSegment(label=one.speaker),), fault=fault)
        )
    if on_progress:
        on_progress("films", len(found), len(found))
    return files


def _film(path: Path, sentence: Sentence) -> None:
    """The sentence as a film at `path`; one that was made of the same files stays. Raises `MediaError`."""
    if not sentence.sound.is_file():
        raise MediaError("file_missing", f"its sound {sentence.sound} is missing")
    origin = path.with_name("origin.json")
    num_bytes = sum(file.stat().st_size for file in (*sentence.images, sentence.sound))
    said = {"images": len(sentence.images), "bytes": num_bytes}
    if not (path.exists() and origin.exists() and json.loads(origin.read_bytes()) == said):
        video_from_images(path, sentence.images, FRAME_RATE, sentence.sound)
        write_json(origin, said)


def download(
    folder: Path,
    *,
    record: str = RECORD,
    speakers: Sequence[str] = VIDTIMIT.names,
    retry_seconds: Sequence[float] = (1.0, 5.0, 25.0),
    on_progress: OnProgress | None = None,
) -> None:
    """Get the archives of `speakers` from their public record into `folder`, check and unpack them.

    What is unpacked already is skipped, what broke off goes on where it stopped, and every archive must have the size
    and MD5 that the record states.

    Raises:
        FetchError: the record or an archive cannot be had, or is not what the record says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = _listed(record)
    if missing := [speaker for speaker in speakers if f"{speaker}.zip" not in listed]:
        raise FetchError("gone", f"{record}: lists no archive for {', '.join(missing)}")
    for done, speaker in enumerate(speakers):
        if on_progress:
            on_progress("download", done, len(speakers))
        if not (folder / speaker).is_dir():
            archive = folder / f"{speaker}.zip"
            _get(listed[archive.name], archive, retry_seconds)
            _unpack(archive, folder / speaker)
            archive.unlink()
    if on_progress:
        on_progress("download", len(speakers), len(speakers))


def _listed(record: str) -> dict[str, dict[str, Any]]:
    try:
        with urllib.request.urlopen(record, timeout=60) as answer:
            found = json.loads(answer.read())
        return {entry["key"]: entry for entry in found["files"]}
    except (urllib.error.URLError, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise FetchError(
            "fetch_failed", f"{record}: its list of files cannot be had ({error}); try again later"
        ) from error


def _get(entry: dict[str, Any], archive: Path, retry_seconds: Sequence[float]) -> None:
    address, size = str(entry["links"]["self"]), int(entry["size"])
    method, _, wanted = str(entry["checksum"]).partition(":")
    part = archive.with_suffix(".part")
    waits = [*retry_seconds, None]
    for wait in waits:
        try:
            _append(address, part, size)
            break
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            if wait is None:
                raise FetchError(
                    "fetch_failed", f"{address}: broke off at {_size(part)} of {size} bytes ({error}); run it again"
                ) from error
            time.sleep(wait)
    with part.open("rb") as file:
        found = hashlib.file_digest(file, method).hexdigest()
    if found != wanted or _size(part) != size:
        part.unlink()
        raise FetchError(
            "fetch_failed", f"{address}: {method} is {found}, the record says {wanted}; it is thrown away: run it again"
        )
    part.replace(archive)


def _append(address: str, part: Path, size: int) -> None:
    """Get what of the file is missing."""
    have = _size(part)
    if have >= size:
        return
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        resumed = have > 0 and answer.status == 206
        with part.open("ab" if resumed else "wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
    if _size(part) < size:
        raise ConnectionError("the server ended the transfer early")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _unpack(archive: Path, target: Path) -> None:
    """Unpack into a folder that appears when it is whole; names that lead out of it are refused."""
    temporary = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as packed:
            if sum(info.file_size for info in packed.infolist()) > _MAX_UNPACKED_BYTES:
                raise FetchError("fetch_failed", f"{archive.name}: unpacks to over 8 GiB, which no speaker needs")
            for info in packed.infolist():
                parts = PurePosixPath(info.filename).parts
                if info.filename.startswith("/") or ".." in parts or "\\" in info.filename:
                    raise FetchError(
                        "invalid", f"{archive.name}: holds the name {info.filename!r}, which leads out of it"
                    )
            packed.extractall(temporary)
    except zipfile.BadZipFile as error:
        raise FetchError("fetch_failed", f"{archive.name}: not a whole zip file ({error})") from error
    inner = temporary / target.name
    (inner if inner.is_dir() else temporary).replace(target)
    shutil.rmtree(temporary, ignore_errors=True)
