"""Many videos at once: a CSV of pairs, or a folder with a picture and a sound of the same name for each."""

from __future__ import annotations

import csv
import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray

from cssgan.data import resident, windowing
from cssgan.data.batches import pictures, to_uint8
from cssgan.inference.export import LoadedGenerator
from cssgan.storage import mp4
from phonics_data.contract.logmel import mel_segments
from phonics_data.errors import InputError, PhonicsDataError

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
NEEDED, KNOWN = ("image", "audio"), ("image", "audio", "label", "out", "seed")
MADE, REFUSED = "videos.csv", "rejections.csv"
MAX_SEED = 2**63 - 1
MAX_NAME_BYTES = 255
"""Of a file's name, on the common file systems."""
_COLUMNS = ("video", "image", "audio", "label", "seed", "num_frames", "frame_rate", "made_of")
_NO_CLASS = "of no class; give --label, a column label, or folders named by their class"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One video to make."""

    image: Path
    audio: Path
    label: str
    out: str
    """File name below the folder of the videos."""
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A pair that could not be used: a line of rejections.csv. What is not known of it is empty."""

    video: str
    image: str
    audio: str
    label: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a CSV or a folder asks for."""

    pairs: tuple[Pair, ...]
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What `generate_pairs` did: a line of videos.csv or of rejections.csv for every pair."""

    videos: tuple[Path, ...]
    """All that are there now."""
    refused: tuple[Refusal, ...]
    num_kept: int
    """Of `videos`, those that an earlier call had made of the same inputs."""


def read_pairs(source: Path, *, label: str | None = None, seed: int = 0) -> Wanted:
    """The pairs of a CSV or of a folder.

    A CSV has the columns ``image`` and ``audio`` (paths, from the CSV's own folder), and may have ``label``, ``out``
    (file name) and ``seed``. In a folder, each picture goes with the sound of the same name; in folders below it, the
    folder's name is the class. A row or picture that says too little, or that would make a video of a name that came
    before, is refused; the others are not.

    Args:
        label: class of those that name none.
        seed: of the noise of those that name none.

    Raises:
        InputError: neither a CSV nor a folder, a column is missing or unknown, or nothing in it.
    """
    found = list(_from_folder(source, label, seed) if source.is_dir() else _from_csv(source, label, seed))
    if not found:
        raise InputError(f"{source}: holds no pairs; give pictures and sounds of the same name, or a CSV with rows")
    pairs: list[Pair] = []
    refused: list[Refusal] = []
    files, folders = set[str](), set[str]()
    for one in found:
        if isinstance(one, Refusal):
            refused.append(one)
            continue
        place = PurePosixPath(one.out.casefold())  # some disks make no difference between a and A
        above = {str(folder) for folder in place.parents}
        if str(place) in files | folders or above & files:
            refused.append(_refusal(one, f"a video before it is called {one.out}; name them in a column out"))
            continue
        files.add(str(place))
        folders |= above
        pairs.append(one)
    return Wanted(pairs=tuple(pairs), refused=tuple(refused))


def _refusal(pair: Pair, reason: str) -> Refusal:
    return Refusal(video=pair.out, image=str(pair.image), audio=str(pair.audio), label=pair.label, reason=reason)


def _from_folder(folder: Path, label: str | None, seed: int) -> Iterator[Pair | Refusal]:
    for image in sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES):
        below = image.relative_to(folder)
        out = f"{'-'.join(below.with_suffix('').parts)}.mp4"
        named = below.parts[0] if len(below.parts) > 1 else label
        sounds = [path for suffix in SOUNDS if (path := image.with_suffix(suffix)).is_file()]
        reason = _NO_CLASS if not named else ""
        if len(sounds) != 1:
            reason = f"{len(sounds)} sounds of the same name, allowed: one of {', '.join(SOUNDS)} beside it"
        if named and not reason:
            yield Pair(image=image, audio=sounds[0], label=named, out=out, seed=seed)
        else:
            audio = " ".join(map(str, sounds))
            yield Refusal(video=out, image=str(image), audio=audio, label=named or "", reason=f"{image}: {reason}")


def _from_csv(path: Path, label: str | None, seed: int) -> Iterator[Pair | Refusal]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            missing = [name for name in NEEDED if name not in columns]
            unknown = [name for name in columns if name not in KNOWN]
            if missing or unknown:
                raise InputError(
                    f"{path}: got columns {', '.join(columns)}; needed: image, audio; known: {', '.join(KNOWN)}"
                )
            for row in reader:
                try:
                    yield _from_row(path.parent, row, label, seed)
                except ValueError as error:
                    image, audio, named, out = (row.get(name) or "" for name in ("image", "audio", "label", "out"))
                    reason = f"{path}, line {reader.line_num}: {error}"
                    yield Refusal(video=out, image=image, audio=audio, label=named, reason=reason)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a CSV ({error})") from error


def _from_row(folder: Path, row: Mapping[str, str | None], label: str | None, seed: int) -> Pair:
    """Raises `ValueError` for a row that says too little."""
    if None in row or None in row.values() or not row["image"] or not row["audio"]:
        raise ValueError("has other columns than the first line, or an empty image or audio")
    if any("\0" in str(value) for value in row.values()):
        raise ValueError("holds a NUL character")
    image, audio = folder / str(row["image"]), folder / str(row["audio"])
    out = row.get("out") or f"{image.stem}-{audio.stem}"
    if Path(out).is_absolute() or ".." in Path(out).parts:
        raise ValueError(f"out {out!r} leads out of the folder of the videos; give a file name")
    named, number = row.get("label") or label, row.get("seed") or str(seed)
    if not named:
        raise ValueError(_NO_CLASS)
    if not number.isdecimal() or int(number) > MAX_SEED:
        raise ValueError(f"seed {number!r}, allowed: whole numbers from 0 to {MAX_SEED}")
    path = PurePosixPath(out if out.endswith(".mp4") else f"{out}.mp4")
    if any(len(part.encode()) > MAX_NAME_BYTES for part in path.parts):
        raise ValueError(f"out of more than {MAX_NAME_BYTES} bytes; give a shorter name")
    return Pair(image=image, audio=audio, label=named, out=str(path), seed=int(number))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Ready:
    """The inputs of one video."""

    pair: Pair
    picture_HWC: NDArray[np.uint8]
    sound_N: NDArray[np.float32]
    sound_rate_hz: int
    mels_TMU: NDArray[np.float32]
    label_index: int


def generate_pairs(
    generator: LoadedGenerator,
    wanted: Wanted,
    out: Path,
    *,
    frame_rate: Fraction | None = None,
    scale: int | None = None,
    max_batch: int = 8,
) -> Made:
    """Make every video, `max_batch` at a time; each is what it would be alone.

    Writes videos.csv into `out` after each batch, and rejections.csv if a pair could not be used; the others are made
    all the same. A video that is there, and that videos.csv says was made of the same inputs, is kept.

    Args:
        frame_rate, scale: as in `cssgan.inference.generate.generate_video`.

    Raises:
        InputError: `out` cannot be written.
    """
    rate, size = frame_rate or generator.frame_rate, generator.config.data.size
    scale = scale or max(256 // size, 1)
    made_by = f"{generator.digest()} {rate} {scale}"
    made_of = {pair.out: _digest(pair, made_by) for pair in wanted.pairs}
    lines = {
        line["video"]: line
        for line in _earlier(out / MADE)
        if made_of.get(line["video"], "") == line["made_of"] and (out / line["video"]).is_file()
    }
    num_kept = len(lines)
    _write_csv(out / MADE, _COLUMNS, [lines[pair.out] for pair in wanted.pairs if pair.out in lines])
    refused = list(wanted.refused)
    waiting = iter([pair for pair in wanted.pairs if pair.out not in lines])
    while batch := list(islice(waiting, max_batch)):
        ready: list[_Ready] = []
        for pair in batch:
            try:
                ready.append(_prepare(generator, pair, rate))
            except PhonicsDataError as error:
                refused.append(_refusal(pair, str(error)))
        for one, video_THWC in zip(ready, _videos(generator, ready), strict=True):
            mp4.write_mp4(out / one.pair.out, video_THWC, rate, one.sound_N, one.sound_rate_hz, scale=scale)
            pair = one.pair
            values = (pair.out, pair.image, pair.audio, pair.label, pair.seed, len(video_THWC), rate, made_of[pair.out])
            lines[pair.out] = dict(zip(_COLUMNS, map(str, values), strict=True))
        _write_csv(out / MADE, _COLUMNS, [lines[pair.out] for pair in wanted.pairs if pair.out in lines])
    if refused:
        _write_csv(out / REFUSED, [field.name for field in fields(Refusal)], [asdict(one) for one in refused])
    else:
        (out / REFUSED).unlink(missing_ok=True)
    videos = tuple(out / pair.out for pair in wanted.pairs if pair.out in lines)
    return Made(videos=videos, refused=tuple(refused), num_kept=num_kept)


def _digest(pair: Pair, made_by: str) -> str:
    """A short name for all that a video depends on; of files that cannot be read, for their names."""
    total = hashlib.sha256(f"{made_by} {pair.label} {pair.seed}".encode())
    for path in (pair.image, pair.audio):
        try:
            total.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            total.update(str(path).encode())
    return total.hexdigest()[:16]


def _earlier(path: Path) -> list[dict[str, str]]:
    """The lines of an earlier videos.csv; none where there is none that this program wrote."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            return list(reader) if tuple(reader.fieldnames or ()) == _COLUMNS else []
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _prepare(generator: LoadedGenerator, pair: Pair, rate: Fraction) -> _Ready:
    label_index = generator.label_set.index(pair.label)
    sound_N, sound_rate_hz = mp4.read_sound(pair.audio)
    num_frames = round(Fraction(len(sound_N), sound_rate_hz) * rate)
    if num_frames < 1:
        raise InputError(
            f"{pair.audio}: lasts {len(sound_N) / sound_rate_hz:.3f} s, less than one frame at {rate} frames/s"
        )
    raw_mels = mel_segments(windowing.raw_mel(sound_N, sound_rate_hz, resident.MEL_SPEC), num_frames, rate)
    return _Ready(
        pair=pair,
        picture_HWC=mp4.read_picture(pair.image, generator.config.data.size),
        sound_N=sound_N,
        sound_rate_hz=sound_rate_hz,
        mels_TMU=generator.standardize(raw_mels),
        label_index=label_index,
    )


def _videos(generator: LoadedGenerator, ready: Sequence[_Ready]) -> list[NDArray[np.uint8]]:
    """Videos of different lengths in one batch: short ones go on in silence, which is cut off again."""
    if not ready:
        return []
    longest = max(len(one.mels_TMU) for one in ready)
    silence = float(generator.standardize(np.full(1, resident.MEL_SPEC.silence, np.float32))[0])
    mels = np.full((len(ready), longest, *ready[0].mels_TMU.shape[1:]), silence, np.float32)
    for row, one in zip(mels, ready, strict=True):
        row[: len(one.mels_TMU)] = one.mels_TMU
    video = generator.generate(
        pictures(np.stack([one.picture_HWC for one in ready])[:, None], torch.device("cpu"))[:, :, 0],
        torch.from_numpy(mels),
        torch.tensor([one.label_index for one in ready]),
        seed=[one.pair.seed for one in ready],
        max_batch=len(ready),
    )
    return [frames[: len(one.mels_TMU)] for frames, one in zip(to_uint8(video), ready, strict=True)]


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, header)
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
    finally:
        temporary.unlink(missing_ok=True)
