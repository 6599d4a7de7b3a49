"""The format of a sample in a WebDataset tar: member names, encoding and decoding.

A sample with key K has these members, in this order:

    K.frames.npy   uint8 (L, H, W, 3), NumPy format, lossless
    K.audio.flac   mono, 16 bit
    K.meta.json    every other field of Sample, keys sorted, UTF-8; ``group`` only if it is not empty
    K.object.png   the object picture, RGBA with 8 bits a channel; only in samples that have one
    K.object_boxes.npy  float32 (L, 4), the object's box in each frame; only in samples in which it is known

Datasets with large frames may have ``K.frames.mp4`` (`phonics_data.contract.video`) instead of the first.
``webdataset.WebDataset(path).decode()`` reads the shards too (and gives ``object.png`` as bytes, ``decode("rgba8")`` as pixels). Nothing
is pickled. Shards without the last two have the same schema version.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract import picture, tar_reader
from phonics_data.contract.frame_rate import rate_of_file
from phonics_data.contract.sample import MAX_DECODED_BYTES, SCHEMA_VERSION, Boxes, Frames, Picture, Sample
from phonics_data.contract.untrusted import parse_json, parse_npy, read_sound
from phonics_data.errors import DatasetError

FRAMES, AUDIO, META = "frames.npy", "audio.flac", "meta.json"
MEMBERS = (FRAMES, AUDIO, META)
FRAMES_MP4 = "frames.mp4"
OBJECT_PICTURE = "object.png"
OBJECT_BOXES = "object_boxes.npy"

FramesFormat = Literal["npy", "mp4"]

_META_FIELDS = (
    "key", "frame_rate", "audio_rate_hz", "label", "label_set", "video_id", "start_seconds", "object_word",
    "object_word_source", "group", "schema_version",
)  # fmt: skip


def encode(sample: Sample, frames_format: FramesFormat = "npy") -> dict[str, bytes]:
    """The sample's members in their order, name -> bytes. Equal samples give equal bytes.

    `decode` is the exact inverse if `sample.audio_N` is on the 16-bit grid (`quantize_audio`) and frames are ``npy``.
    """
    import soundfile

    audio = io.BytesIO()
    pcm = np.clip(np.rint(sample.audio_N.astype(np.float64) * 32768.0), -32768, 32767).astype(np.int16)
    soundfile.write(audio, pcm, sample.audio_rate_hz, format="FLAC", subtype="PCM_16")
    meta = {name: getattr(sample, name) for name in _META_FIELDS}
    meta["frame_rate"] = str(sample.frame_rate)
    if not sample.group:
        del meta["group"]
    members = _encode_frames(sample, frames_format) | {
        AUDIO: audio.getvalue(),
        META: json.dumps(meta, sort_keys=True, ensure_ascii=False, allow_nan=False).encode(),
    }
    if sample.object_picture is not None:
        members[OBJECT_PICTURE] = picture.encode_png(sample.object_picture)
    if sample.object_boxes_L4 is not None:
        members[OBJECT_BOXES] = _encode_array(sample.object_boxes_L4)
    return members


def _encode_frames(sample: Sample, frames_format: FramesFormat) -> dict[str, bytes]:
    if frames_format == "mp4":
        from phonics_data.contract.video import encode_video

        return {FRAMES_MP4: encode_video(sample.frames_LHWC, sample.frame_rate)}
    return {FRAMES: _encode_array(sample.frames_LHWC)}


def _encode_array(array: NDArray[Any]) -> bytes:
    contiguous, header = np.ascontiguousarray(array), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(contiguous))
    # The output of `write_array`, with one copy of the array instead of four.
    return b"".join((header.getvalue(), contiguous.data))


def add_sample(tar: tarfile.TarFile, key: str, members: Mapping[str, bytes]) -> None:
    """Append a sample. Headers contain nothing that depends on machine, user or time."""
    for name, content in members.items():
        info = tarfile.TarInfo(f"{key}.{name}")
        info.size, info.mode, info.mtime = len(content), 0o644, 0
        tar.addfile(info, io.BytesIO(content))


def _decode_frames(members: Mapping[str, bytes]) -> Frames:
    if FRAMES not in members:
        from phonics_data.contract.video import decode_video

        return decode_video(members[FRAMES_MP4])
    return parse_npy(members[FRAMES])


def content_digest(members: Mapping[str, bytes]) -> str:
    """SHA-256 of the frames member followed by the audio member: `Clip.sha256`."""
    digest = hashlib.sha256(members[FRAMES if FRAMES in members else FRAMES_MP4])
    digest.update(members[AUDIO])
    return digest.hexdigest()


def decode(key: str, members: Mapping[str, bytes], *, where: str = "shard") -> Sample:
    """The inverse of `encode`.

    Args:
        key: the sample's key; must be that in meta.json.
        members: member name (without the key) -> bytes.
        where: file name for messages.

    Raises:
        DatasetError: a member is missing or damaged, or the sample has another schema version.
    """
    for name in MEMBERS:
        if name not in members and not (name == FRAMES and FRAMES_MP4 in members):
            raise DatasetError(
                f"{where}: sample {key}: member {name} is missing (got: {', '.join(sorted(members)) or 'none'}); "
                "rebuild the shard with `phonics-data shard`"
            )
    try:
        meta = parse_json(members[META], any_numbers=True)
    except ValueError as error:
        raise DatasetError(f"{where}: sample {key}: {META} is not JSON ({error})") from error
    if not isinstance(meta, dict):
        raise DatasetError(f"{where}: sample {key}: {META} must hold an object, got {type(meta).__name__}")
    fields = cast("dict[str, Any]", meta)
    version = fields.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DatasetError(
            f"{where}: sample {key}: shards of schema version {version}, this program reads {SCHEMA_VERSION}; "
            "rebuild the dataset with `phonics-data shard`, or install the release that wrote it"
        )
    fields.setdefault("object_word_source", "")  # shards of earlier releases lack it
    fields.setdefault("group", "")
    if missing := [name for name in _META_FIELDS if name not in fields]:
        raise DatasetError(f"{where}: sample {key}: {META} lacks {', '.join(missing)}")
    for name in ("label", "label_set", "video_id", "object_word_source", "group"):
        if not isinstance(fields[name], str):
            raise DatasetError(f"{where}: sample {key}: {name} in {META} is {fields[name]!r}, expected text")
    if not (fields["object_word"] is None or isinstance(fields["object_word"], str)):
        raise DatasetError(
            f"{where}: sample {key}: object_word in {META} is {fields['object_word']!r}, expected text or null"
        )
    start = fields["start_seconds"]
    if isinstance(start, bool) or not isinstance(start, int | float) or not abs(start) < 1e9:
        raise DatasetError(f"{where}: sample {key}: start_seconds in {META} is {start!r}, expected seconds")
    if fields["key"] != key:
        raise DatasetError(f"{where}: sample {key}: {META} has another key, {fields['key']!r}")
    try:
        frames = _decode_frames(members)
        audio_NC, rate = read_sound(members[AUDIO], max_values=MAX_DECODED_BYTES // 4)
    except ValueError as error:
        raise DatasetError(f"{where}: sample {key}: broken member ({error})") from error
    if rate != fields["audio_rate_hz"]:
        raise DatasetError(
            f"{where}: sample {key}: audio is at {rate} Hz, according to {META} at {fields['audio_rate_hz']} Hz"
        )
    try:
        fields["frame_rate"] = rate_of_file(str(fields["frame_rate"]))
    except (ValueError, ZeroDivisionError) as error:
        raise DatasetError(f"{where}: sample {key}: frame_rate {fields['frame_rate']!r} is not a fraction") from error
    object_picture, boxes_L4 = _decode_picture(key, members, where), _decode_boxes(key, members, where)
    try:
        return Sample(
            frames_LHWC=frames,
            audio_N=audio_NC[:, 0] if audio_NC.shape[1] == 1 else audio_NC,
            object_picture=object_picture,
            object_boxes_L4=boxes_L4,
            **{name: fields[name] for name in _META_FIELDS},
        )
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from error


def _decode_picture(key: str, members: Mapping[str, bytes], where: str) -> Picture | None:
    if OBJECT_PICTURE not in members:
        return None
    try:
        return picture.decode_png(members[OBJECT_PICTURE])
    except ValueError as error:
        raise DatasetError(f"{where}: sample {key}: broken member {OBJECT_PICTURE} ({error})") from error


def _decode_boxes(key: str, members: Mapping[str, bytes], where: str) -> Boxes | None:
    if OBJECT_BOXES not in members:
        return None
    try:
        return parse_npy(members[OBJECT_BOXES])
    except ValueError as error:
        raise DatasetError(f"{where}: sample {key}: broken member {OBJECT_BOXES} ({error})") from error


def read_members(source: Path | str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Every sample of one shard as (key, member name -> bytes), in file order; see `tar_reader.read_samples`."""
    for sample in tar_reader.read_samples(source):
        yield sample.key, sample.members


def read_shard(source: Path | str) -> Iterator[Sample]:
    """Every sample of one shard, decoded, in file order. Raises `DatasetError`, see `read_members` and `decode`."""
    for key, members in read_members(source):
        yield decode(key, members, where=str(source))
