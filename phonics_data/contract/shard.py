"""How a sample lies in a WebDataset tar: member names, encode, decode, and reading a whole shard.

A sample of key K is three members, in this order::

    K.frames.npy   uint8 (L, H, W, 3), NumPy format, lossless
    K.audio.flac   mono, 16 bit
    K.meta.json    every other field of Sample, keys sorted, UTF-8

Datasets of large frames may hold ``K.frames.mp4`` (`phonics_data.contract.video`) in the place of the first. Plain ``webdataset.WebDataset(path).decode()`` opens them; nothing is ever pickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from phonics_data.contract.sample import SCHEMA_VERSION, Audio, Frames, Sample
from phonics_data.errors import DatasetError

FRAMES, AUDIO, META = "frames.npy", "audio.flac", "meta.json"
MEMBERS = (FRAMES, AUDIO, META)
FILM = "frames.mp4"

FramesForm = Literal["npy", "mp4"]

_META_FIELDS = (
    "key", "frame_rate", "audio_rate_hz", "label", "label_set", "video_id", "start_seconds", "object_word",
    "schema_version",
)  # fmt: skip


def encode(sample: Sample, frames_form: FramesForm = "npy") -> dict[str, bytes]:
    """The sample's members in their order, name -> bytes. The same sample always gives the same bytes.

    Exact both ways when `sample.audio_N` lies on the 16-bit grid (`quantize_audio`), but for frames as ``mp4``.
    """
    import soundfile

    audio = io.BytesIO()
    pcm = np.clip(np.rint(sample.audio_N.astype(np.float64) * 32768.0), -32768, 32767).astype(np.int16)
    soundfile.write(audio, pcm, sample.audio_rate_hz, format="FLAC", subtype="PCM_16")
    meta = {name: getattr(sample, name) for name in _META_FIELDS}
    meta["frame_rate"] = str(sample.frame_rate)
    return _encode_frames(sample, frames_form) | {
        AUDIO: audio.getvalue(),
        META: json.dumps(meta, sort_keys=True, ensure_ascii=False, allow_nan=False).encode(),
    }


def _encode_frames(sample: Sample, form: FramesForm) -> dict[str, bytes]:
    if form == "mp4":
        from phonics_data.contract.video import encode_video

        return {FILM: encode_video(sample.frames_LHWC, sample.frame_rate)}
    frames_LHWC, header = np.ascontiguousarray(sample.frames_LHWC), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(frames_LHWC))
    # What `write_array` gives, with one copy of the pictures instead of four.
    return {FRAMES: b"".join((header.getvalue(), frames_LHWC.data))}


def add_sample(tar: tarfile.TarFile, key: str, members: Mapping[str, bytes]) -> None:
    """Append a sample; headers hold nothing that differs between machines, users or days."""
    for name, content in members.items():
        info = tarfile.TarInfo(f"{key}.{name}")
        info.size, info.mode, info.mtime = len(content), 0o644, 0
        tar.addfile(info, io.BytesIO(content))


def _decode_frames(members: Mapping[str, bytes]) -> Frames:
    if FRAMES not in members:
        from phonics_data.contract.video import decode_video

        return decode_video(members[FILM])
    return np.lib.format.read_array(io.BytesIO(members[FRAMES]), allow_pickle=False)


def content_digest(members: Mapping[str, bytes]) -> str:
    """SHA-256 over the frames member, then the audio member: `Clip.sha256`."""
    digest = hashlib.sha256(members[FRAMES if FRAMES in members else FILM])
    digest.update(members[AUDIO])
    return digest.hexdigest()


def decode(key: str, members: Mapping[str, bytes], *, where: str = "shard") -> Sample:
    """The sample that `encode` made `members` from.

    Args:
        key: the sample's key, for messages and checked against meta.json.
        members: member name (without the key) -> bytes.
        where: file name for messages.

    Raises:
        DatasetError: a member is missing or broken, or the sample is of another schema version.
    """
    import soundfile

    for name in MEMBERS:
        if name not in members and not (name == FRAMES and FILM in members):
            raise DatasetError(
                f"{where}: sample {key}: member {name} is missing (got: {', '.join(sorted(members)) or 'none'}); "
                "rebuild the shard with `phonics-data shard`"
            )
    try:
        meta = json.loads(members[META])
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where}: sample {key}: {META} is not JSON ({error})") from error
    if not isinstance(meta, dict):
        raise DatasetError(f"{where}: sample {key}: {META} must hold an object, got {type(meta).__name__}")
    fields = cast(dict[str, Any], meta)
    version = fields.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DatasetError(
            f"{where}: sample {key}: shards of schema version {version}, this program reads {SCHEMA_VERSION}; "
            "rebuild the dataset with `phonics-data shard`, or install the release that wrote it"
        )
    if missing := [name for name in _META_FIELDS if name not in fields]:
        raise DatasetError(f"{where}: sample {key}: {META} lacks {', '.join(missing)}")
    for name in ("label", "label_set", "video_id"):
        if not isinstance(fields[name], str):
            raise DatasetError(f"{where}: sample {key}: {name} in {META} is {fields[name]!r}, wanted text")
    if not (fields["object_word"] is None or isinstance(fields["object_word"], str)):
        raise DatasetError(
            f"{where}: sample {key}: object_word in {META} is {fields['object_word']!r}, wanted text or null"
        )
    start = fields["start_seconds"]
    if isinstance(start, bool) or not isinstance(start, int | float) or not abs(start) < 1e9:
        raise DatasetError(f"{where}: sample {key}: start_seconds in {META} is {start!r}, wanted seconds")
    if fields["key"] != key:
        raise DatasetError(f"{where}: member name says sample {key}, its {META} says {fields['key']}")
    try:
        frames = _decode_frames(members)
        audio, rate = cast(
            "tuple[Audio, int]", soundfile.read(io.BytesIO(members[AUDIO]), dtype="float32", always_2d=False)
        )
    # soundfile's errors derive from RuntimeError; a header may announce more than any memory holds.
    except (ValueError, EOFError, RuntimeError, MemoryError) as error:
        raise DatasetError(f"{where}: sample {key}: broken member ({error})") from error
    if rate != fields["audio_rate_hz"]:
        raise DatasetError(f"{where}: sample {key}: audio is at {rate} Hz, {META} says {fields['audio_rate_hz']}")
    try:
        fields["frame_rate"] = Fraction(str(fields["frame_rate"]))
    except (ValueError, ZeroDivisionError) as error:
        raise DatasetError(f"{where}: sample {key}: frame_rate {fields['frame_rate']!r} is no fraction") from error
    return Sample(frames_LHWC=frames, audio_N=audio, **{name: fields[name] for name in _META_FIELDS})


def read_members(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Every sample of one tar as (key, member name -> bytes), in file order.

    Raises `DatasetError` for a file that is no tar or is cut short. Members are read, never extracted, so that names
    such as ``../../x`` reach no file system.
    """
    key, members = "", dict[str, bytes]()
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                if not info.isfile():
                    continue
                this_key, dot, name = info.name.partition(".")
                if not dot:
                    raise DatasetError(f"{path}: member {info.name!r} has no sample key; is this a dataset shard?")
                if this_key != key and members:
                    yield key, members
                    members = {}
                key = this_key
                stream = tar.extractfile(info)
                assert stream is not None  # info.isfile()
                members[name] = stream.read()
        if members:
            yield key, members
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such shard") from None
    except (tarfile.TarError, EOFError) as error:
        raise DatasetError(
            f"{path}: not a whole tar file ({error}); run `phonics-data verify` on its folder"
        ) from error


def read_shard(path: Path) -> Iterator[Sample]:
    """Every sample of one tar, decoded, in file order."""
    for key, members in read_members(path):
        yield decode(key, members, where=str(path))
