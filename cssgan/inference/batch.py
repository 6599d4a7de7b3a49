"""Generate many videos: input pairs (image, audio) come from a CSV or from a folder."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray

from cssgan.data.batches import to_uint8
from cssgan.inference.export import LoadedGenerator
from cssgan.inference.generate import default_scale, read_audio, start_images
from cssgan.storage import media_files
from phonics_data.contract.csv_table import CsvRow, read_csv
from phonics_data.contract.files import write_bytes
from phonics_data.errors import InputError, PhonicsDataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
REQUIRED_COLUMNS = ("image", "audio")
KNOWN_COLUMNS = (*REQUIRED_COLUMNS, "label", "out", "seed", "object", "object_word")
VIDEOS_FILE, REJECTIONS_FILE = "videos.csv", "rejections.csv"
MAX_SEED = 2**63 - 1
MAX_NAME_BYTES = 255
"""Maximum length of a file name on common file systems."""
_VIDEO_COLUMNS = (
    "video",
    "image",
    "audio",
    "label",
    "seed",
    "object",
    "object_word",
    "num_frames",
    "frame_rate",
    "made_of",
)
_NO_CLASS = "no class; give --label, a column label, or folders named after their class"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Inputs of one video.

    Args:
        out: file name relative to the output folder.
        seed: seed of the noise.
        object_picture: picture of the object that appears; None: none.
        object_word: its word; empty: none.
    """

    image: Path
    audio: Path
    label: str
    out: str
    seed: int
    object_picture: Path | None = None
    object_word: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectedPair:
    """A pair that cannot be used: a row of rejections.csv. Unknown fields are empty."""

    video: str
    image: str
    audio: str
    label: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PairList:
    """Content of a CSV or folder."""

    pairs: tuple[Pair, ...]
    rejected: tuple[RejectedPair, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchResult:
    """Result of `generate_pairs`: every pair is a row of videos.csv or of rejections.csv.

    Args:
        videos: all videos that exist now.
        num_reused: of `videos`, those that an earlier call generated from the same inputs.
    """

    videos: tuple[Path, ...]
    rejected: tuple[RejectedPair, ...]
    num_reused: int


def read_pairs(source: Path, *, label: str | None = None, seed: int = 0) -> PairList:
    """Read the pairs of a CSV or of a folder.

    * CSV: columns ``image`` and ``audio`` (paths relative to the CSV), optionally ``label``, ``out`` (file name), ``seed``,
      ``object`` (path of a picture), ``object_word``.
    * Folder: each image is paired with the audio file of the same name. The first subfolder names the class.
    * Incomplete rows, images without audio, and repeated output names are rejected; the other pairs are kept.

    Args:
        label: class of pairs that name none.
        seed: noise seed of pairs that name none.

    Raises:
        InputError: neither a CSV nor a folder, a missing or unknown column, or no pairs.
    """
    found = list(_from_folder(source, label, seed) if source.is_dir() else _from_csv(source, label, seed))
    if not found:
        raise InputError(
            f"{source}: contains no pairs; give images and audio files of the same name, or a CSV with rows"
        )
    pairs: list[Pair] = []
    rejected: list[RejectedPair] = []
    files, folders = set[str](), set[str]()
    for pair in found:
        if isinstance(pair, RejectedPair):
            rejected.append(pair)
            continue
        path = PurePosixPath(pair.out.casefold())  # some file systems ignore case
        parents = {str(folder) for folder in path.parents}
        if str(path) in files | folders or parents & files:
            rejected.append(_reject(pair, f"an earlier video is called {pair.out}; give names in a column out"))
            continue
        files.add(str(path))
        folders |= parents
        pairs.append(pair)
    return PairList(pairs=tuple(pairs), rejected=tuple(rejected))


def _reject(pair: Pair, reason: str) -> RejectedPair:
    return RejectedPair(video=pair.out, image=str(pair.image), audio=str(pair.audio), label=pair.label, reason=reason)


def _from_folder(folder: Path, default_label: str | None, seed: int) -> Iterator[Pair | RejectedPair]:
    for image in sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES):
        relative = image.relative_to(folder)
        out = f"{'-'.join(relative.with_suffix('').parts)}.mp4"
        label = relative.parts[0] if len(relative.parts) > 1 else default_label
        siblings = (path for path in sorted(image.parent.iterdir()) if path.stem == image.stem)
        audio = [path for path in siblings if path.suffix.lower() in AUDIO_SUFFIXES]
        reason = _NO_CLASS if not label else ""
        if len(audio) != 1:
            reason = f"{len(audio)} audio files of the same name, allowed: exactly one of {', '.join(AUDIO_SUFFIXES)}"
        if label and not reason:
            yield Pair(image=image, audio=audio[0], label=label, out=out, seed=seed)
        else:
            yield RejectedPair(
                video=out,
                image=str(image),
                audio=" ".join(map(str, audio)),
                label=label or "",
                reason=f"{image}: {reason}",
            )


def _from_csv(path: Path, label: str | None, seed: int) -> Iterator[Pair | RejectedPair]:
    for row in read_csv(
        "--pairs", path, REQUIRED_COLUMNS, optional=KNOWN_COLUMNS[2:], may_be_empty=True, any_length=True
    ):
        try:
            yield _from_row(path.parent, row, label, seed)
        except ValueError as error:
            image, audio, row_label, out = (row.cells.get(name, "") for name in ("image", "audio", "label", "out"))
            reason = f"{path}, line {row.line}: {error}"
            yield RejectedPair(video=out, image=image, audio=audio, label=row_label, reason=reason)


def _from_row(folder: Path, table_row: CsvRow, default_label: str | None, default_seed: int) -> Pair:
    """Raises `ValueError` for an invalid row."""
    row = table_row.cells
    if table_row.num_cells != len(row) or not row["image"] or not row["audio"]:
        raise ValueError("other number of columns than the first line, or empty image or audio")
    image, audio = folder / row["image"], folder / row["audio"]
    out = row.get("out") or f"{image.stem}-{audio.stem}"
    if Path(out).is_absolute() or ".." in Path(out).parts:
        raise ValueError(f"out {out!r} is outside the output folder; give a file name")
    label, seed = row.get("label") or default_label, row.get("seed") or str(default_seed)
    if not label:
        raise ValueError(_NO_CLASS)
    if not seed.isdecimal() or int(seed) > MAX_SEED:
        raise ValueError(f"seed {seed!r}, allowed: integers from 0 to {MAX_SEED}")
    path = PurePosixPath(out if out.endswith(".mp4") else f"{out}.mp4")
    if any(len(part.encode()) > MAX_NAME_BYTES for part in path.parts):
        raise ValueError(f"out has more than {MAX_NAME_BYTES} bytes; give a shorter name")
    picture, word = row.get("object"), row.get("object_word") or ""
    return Pair(
        image=image, audio=audio, label=label, out=str(path), seed=int(seed), object_word=word,
        object_picture=folder / picture if picture else None,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _LoadedPair:
    """A pair with its decoded files; `mels_TMU` is standardized."""

    pair: Pair
    image_HWC: NDArray[np.uint8]
    audio_N: NDArray[np.float32]
    audio_rate_hz: int
    mels_TMU: NDArray[np.float32]
    label_index: int
    object_picture_HWC: NDArray[np.uint8] | None


def generate_pairs(
    generator: LoadedGenerator,
    pair_list: PairList,
    out: Path,
    *,
    frame_rate: Fraction | None = None,
    scale: int | None = None,
    max_batch: int = 8,
) -> BatchResult:
    """Generate the video of every pair, `max_batch` at a time. The batch size does not change a video.

    * ``videos.csv`` in `out` is updated after each batch.
    * Pairs that cannot be used are written to ``rejections.csv``; the others are generated.
    * An existing video is reused if videos.csv shows that it was generated from the same inputs.

    Args:
        frame_rate, scale: see `cssgan.inference.generate.generate_video`.

    Raises:
        InputError: `out` cannot be written.
    """
    rate = frame_rate or generator.frame_rate
    scale = scale or default_scale(generator.config.data.size)
    settings = f"{generator.digest()} {rate} {scale}"
    digests = {pair.out: _input_digest(pair, settings) for pair in pair_list.pairs}
    rows = {
        row["video"]: row
        for row in _read_videos_file(out / VIDEOS_FILE)
        if digests.get(row["video"], "") == row["made_of"] and (out / row["video"]).is_file()
    }
    num_reused = len(rows)

    def write_videos_file() -> None:
        _write_csv(out / VIDEOS_FILE, _VIDEO_COLUMNS, [rows[pair.out] for pair in pair_list.pairs if pair.out in rows])

    write_videos_file()
    rejected = list(pair_list.rejected)
    pending = iter([pair for pair in pair_list.pairs if pair.out not in rows])
    while batch := list(islice(pending, max_batch)):
        loaded: list[_LoadedPair] = []
        for pair in batch:
            try:
                loaded.append(_load(generator, pair, rate))
            except PhonicsDataError as error:
                rejected.append(_reject(pair, str(error)))
        made = (zip(part, _generate_batch(generator, part), strict=True) for part in _batches(generator, loaded))
        for inputs, video_THWC in chain.from_iterable(made):
            pair = inputs.pair
            media_files.write_mp4(out / pair.out, video_THWC, rate, inputs.audio_N, inputs.audio_rate_hz, scale=scale)
            values = (
                pair.out, pair.image, pair.audio, pair.label, pair.seed, pair.object_picture or "", pair.object_word,
                len(video_THWC), rate, digests[pair.out],
            )  # fmt: skip
            rows[pair.out] = dict(zip(_VIDEO_COLUMNS, map(str, values), strict=True))
        write_videos_file()
    if rejected:
        columns = [field.name for field in fields(RejectedPair)]
        _write_csv(out / REJECTIONS_FILE, columns, [asdict(pair) for pair in rejected])
    else:
        (out / REJECTIONS_FILE).unlink(missing_ok=True)
    videos = tuple(out / pair.out for pair in pair_list.pairs if pair.out in rows)
    return BatchResult(videos=videos, rejected=tuple(rejected), num_reused=num_reused)


def _input_digest(pair: Pair, settings: str) -> str:
    """16 hex digits that identify all inputs of a video; unreadable files count by their path."""
    sha256 = hashlib.sha256(f"{settings} {pair.label} {pair.seed}".encode())
    if pair.object_word:
        sha256.update(f" word {pair.object_word}".encode())
    for path in (pair.image, pair.audio, *([pair.object_picture] if pair.object_picture else [])):
        try:
            sha256.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            sha256.update(str(path).encode())
    return sha256.hexdigest()[:16]


def _read_videos_file(path: Path) -> list[dict[str, str]]:
    """Rows of an existing videos.csv; empty if it is missing, damaged, or has other columns."""
    try:
        found = read_csv("--out", path, _VIDEO_COLUMNS, optional=(), may_be_empty=True)
    except InputError:
        return []
    return [row.cells for row in found]


def _load(generator: LoadedGenerator, pair: Pair, frame_rate: Fraction) -> _LoadedPair:
    label_index = generator.label_set.index(pair.label)
    audio_N, audio_rate_hz, num_frames = read_audio(pair.audio, frame_rate)
    picture = None if pair.object_picture is None else media_files.read_object(pair.object_picture)
    generator.object_inputs([picture], [pair.object_word])  # raises if the model takes none
    return _LoadedPair(
        pair=pair,
        image_HWC=media_files.read_image(pair.image, generator.config.data.size),
        audio_N=audio_N,
        audio_rate_hz=audio_rate_hz,
        mels_TMU=generator.audio_to_mels(audio_N, audio_rate_hz, num_frames, frame_rate),
        label_index=label_index,
        object_picture_HWC=picture,
    )


def _batches(generator: LoadedGenerator, loaded: Sequence[_LoadedPair]) -> list[list[_LoadedPair]]:
    """The pairs that are generated together.

    A GRU in both directions carries padding into all frames, so with `model.audio_context` = window only videos of one padded
    length are together.
    """
    if not loaded:
        return []
    if generator.config.model.audio_context == "clip":
        return [list(loaded)]
    by_length: dict[int, list[_LoadedPair]] = {}
    for inputs in loaded:
        length = -(-len(inputs.mels_TMU) // generator.config.source_frames_per_stream)
        by_length.setdefault(length, []).append(inputs)
    return list(by_length.values())


def _generate_batch(generator: LoadedGenerator, loaded: Sequence[_LoadedPair]) -> list[NDArray[np.uint8]]:
    """Generate videos of different lengths: shorter ones are padded with silence, then cropped."""
    num_frames = max(len(inputs.mels_TMU) for inputs in loaded)
    mels_BTMU = np.full((len(loaded), num_frames, *loaded[0].mels_TMU.shape[1:]), generator.silence, np.float32)
    for mels_TMU, inputs in zip(mels_BTMU, loaded, strict=True):
        mels_TMU[: len(inputs.mels_TMU)] = inputs.mels_TMU
    picture, word = generator.object_inputs(
        [inputs.object_picture_HWC for inputs in loaded], [inputs.pair.object_word for inputs in loaded]
    )
    video_BCTHW = generator.generate(
        start_images(np.stack([inputs.image_HWC for inputs in loaded])),
        torch.from_numpy(mels_BTMU),
        torch.tensor([inputs.label_index for inputs in loaded]),
        object_BCHW=picture,
        word_BE=word,
        seed=[inputs.pair.seed for inputs in loaded],
        max_batch=len(loaded),
    )
    return [video[: len(inputs.mels_TMU)] for video, inputs in zip(to_uint8(video_BCTHW), loaded, strict=True)]


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    try:
        write_bytes(path, text.getvalue().encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
