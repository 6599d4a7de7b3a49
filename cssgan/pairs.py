"""Many videos at once: a CSV of pairs, or a folder with a picture and a sound of the same name for each."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cssgan import mp4
from cssgan.data import resident, window
from cssgan.data.batch import pictures, to_uint8
from cssgan.pretrained import LoadedGenerator
from phonics_data.contract.logmel import segments
from phonics_data.errors import InputError, PhonicsDataError

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
NEEDED, KNOWN = ("image", "audio"), ("image", "audio", "label", "out", "seed")
MADE, REFUSED = "videos.csv", "rejections.csv"


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
class Made:
    """What `generate_pairs` did: a line of videos.csv or of rejections.csv for every pair."""

    videos: tuple[Path, ...]
    refused: tuple[tuple[Pair, str], ...]
    """Pairs that could not be used, and why."""


def read_pairs(source: Path, *, label: str | None = None, seed: int = 0) -> list[Pair]:
    """The pairs of a CSV or of a folder.

    A CSV has the columns ``image`` and ``audio`` (paths, from the CSV's own folder), and may have ``label``, ``out``
    (file name) and ``seed``. In a folder, each picture goes with the sound of the same name; in folders below it, the
    folder's name is the class.

    Args:
        label: class of those that name none.
        seed: of the noise of those that name none.

    Raises:
        InputError: neither a CSV nor a folder, a column is missing or unknown, no pairs, a pair without a class, a
            picture without its sound, or two videos of one name.
    """
    pairs = list(_from_folder(source, label, seed) if source.is_dir() else _from_csv(source, label, seed))
    if not pairs:
        raise InputError(f"{source}: holds no pairs; give pictures and sounds of the same name, or a CSV with rows")
    names = [pair.out for pair in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{source}: two videos would be called {twice[0]}; name them in a column out")
    return pairs


def _from_folder(folder: Path, label: str | None, seed: int) -> Iterator[Pair]:
    for image in sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES):
        sounds = [path for suffix in SOUNDS if (path := image.with_suffix(suffix)).is_file()]
        if len(sounds) != 1:
            raise InputError(
                f"{image}: {len(sounds)} sounds of the same name, allowed: one of {', '.join(SOUNDS)} beside it"
            )
        below = image.relative_to(folder)
        name = "-".join(below.with_suffix("").parts)
        yield Pair(
            image=image,
            audio=sounds[0],
            label=_class(image, below.parts[0] if len(below.parts) > 1 else label),
            out=f"{name}.mp4",
            seed=seed,
        )


def _from_csv(path: Path, label: str | None, seed: int) -> Iterator[Pair]:
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
                where = f"{path}, line {reader.line_num}"
                if None in row or None in row.values() or not row["image"] or not row["audio"]:
                    raise InputError(f"{where}: got {len(columns)} columns in the first line and others here")
                image, audio = (path.parent / row[name] for name in NEEDED)
                out = row.get("out") or f"{image.stem}-{audio.stem}"
                if Path(out).is_absolute() or ".." in Path(out).parts:
                    raise InputError(f"{where}: out {out!r} leads out of the folder of the videos; give a file name")
                yield Pair(
                    image=image,
                    audio=audio,
                    label=_class(where, row.get("label") or label),
                    out=out if out.endswith(".mp4") else f"{out}.mp4",
                    seed=_seed(where, row.get("seed") or str(seed)),
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a CSV ({error})") from error


def _class(where: object, label: str | None) -> str:
    if not label:
        raise InputError(f"{where}: of no class; give --label, a column label, or folders named by their class")
    return label


def _seed(where: str, text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"{where}: seed {text!r}, allowed: whole numbers from 0")
    return int(text)


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
    pairs: Sequence[Pair],
    out: Path,
    *,
    frame_rate: Fraction | None = None,
    scale: int | None = None,
    max_batch: int = 8,
) -> Made:
    """Make every video, `max_batch` at a time; each is what it would be alone.

    Writes videos.csv into `out`, and rejections.csv if a pair could not be used; the others are made all the same.

    Args:
        frame_rate, scale: as in `cssgan.generate.generate_video`.

    Raises:
        InputError: `out` cannot be written.
    """
    rate, size = frame_rate or generator.frame_rate, generator.config.data.size
    made: list[tuple[Pair, Path, int]] = []
    refused: list[tuple[Pair, str]] = []
    waiting = iter(pairs)
    while batch := list(islice(waiting, max_batch)):
        ready: list[_Ready] = []
        for pair in batch:
            try:
                ready.append(_prepare(generator, pair, rate))
            except PhonicsDataError as error:
                refused.append((pair, str(error)))
        for one, video_THWC in zip(ready, _videos(generator, ready), strict=True):
            path = out / one.pair.out
            mp4.write_mp4(path, video_THWC, rate, one.sound_N, one.sound_rate_hz, scale=scale or max(256 // size, 1))
            made.append((one.pair, path, len(video_THWC)))
    _write_csv(
        out / MADE,
        ("video", "image", "audio", "label", "seed", "num_frames", "frame_rate"),
        [(p.out, p.image, p.audio, p.label, p.seed, frames, rate) for p, _, frames in made],
    )
    if refused:
        _write_csv(
            out / REFUSED,
            ("video", "image", "audio", "label", "reason"),
            [(p.out, p.image, p.audio, p.label, reason) for p, reason in refused],
        )
    else:
        (out / REFUSED).unlink(missing_ok=True)
    return Made(videos=tuple(path for _, path, _ in made), refused=tuple(refused))


def _prepare(generator: LoadedGenerator, pair: Pair, rate: Fraction) -> _Ready:
    label_index = generator.label_set.index(pair.label)
    sound_N, sound_rate_hz = mp4.read_sound(pair.audio)
    num_frames = round(Fraction(len(sound_N), sound_rate_hz) * rate)
    if num_frames < 1:
        raise InputError(
            f"{pair.audio}: lasts {len(sound_N) / sound_rate_hz:.3f} s, less than one frame at {rate} frames/s"
        )
    raw_mels = segments(window.raw_mel(sound_N, sound_rate_hz, resident.MEL_SPEC), num_frames, rate)
    return _Ready(
        pair=pair,
        picture_HWC=mp4.read_picture(pair.image, generator.config.data.size),
        sound_N=sound_N,
        sound_rate_hz=sound_rate_hz,
        mels_TMU=generator.standardise(raw_mels),
        label_index=label_index,
    )


def _videos(generator: LoadedGenerator, ready: Sequence[_Ready]) -> list[NDArray[np.uint8]]:
    """Videos of different lengths in one batch: short ones go on in silence, which is cut off again."""
    if not ready:
        return []
    longest = max(len(one.mels_TMU) for one in ready)
    silence = float(generator.standardise(np.full(1, resident.MEL_SPEC.silence, np.float32))[0])
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


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
    finally:
        temporary.unlink(missing_ok=True)
