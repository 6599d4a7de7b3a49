"""Videos of several models for the same items -> a survey folder. They come from files, or are made from runs."""

from __future__ import annotations

import csv
import logging
import secrets
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cssgan.storage import mp4
from cssgan.survey.definition import (
    CONSENT,
    ENDS,
    FILE,
    MEDIA,
    QUESTION_TEXTS,
    REAL,
    Survey,
    Video,
    write_survey,
)
from phonics_data.errors import InputError, OptionError

if TYPE_CHECKING:
    from cssgan.types import Split

BROWSER_CODECS = (("h264", "vp9", "av1"), ("aac", "mp3", "opus"))
"""Of picture and sound, in an mp4, in the browsers of today."""
log = logging.getLogger("cssgan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One video file of one model."""

    model: str
    item: str
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class SurveyOptions:
    """What `build_survey` needs besides the videos; the meaning of each is that of `Survey`."""

    reference: str | None = None
    """Default: the model that comes first."""
    title: str = "How do videos go with their sound?"
    lang: str = "en"
    contact: str = ""
    consent: Path | None = None
    """Text file whose paragraphs (empty lines between) replace the built-in ones."""
    singles: int = 12
    pairs: int = 12
    checks: int = 2
    seed: int = 0


def sources_of(videos: Path) -> list[Source]:
    """The videos of a folder (``MODEL/ITEM.mp4``) or of a CSV (columns model, item, path; paths relative to the CSV).

    Raises:
        InputError: no such file or folder, none of the columns, or no video.
    """
    if videos.is_dir():
        found = [
            Source(model=folder.name, item=path.stem, path=path)
            for folder in sorted(videos.iterdir())
            if folder.is_dir()
            for path in sorted(folder.glob("*.mp4"))
        ]
        if not found:
            raise InputError(f"{videos}: no MODEL/ITEM.mp4 in it; give a folder with one folder for each model")
        return found
    try:
        with videos.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise InputError(f"{videos}: no such folder or CSV") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{videos}: cannot be read as CSV ({error})") from error
    if not rows or not {"model", "item", "path"} <= set(rows[0]):
        raise InputError(f"{videos}: got columns {list(rows[0]) if rows else []}, allowed: model, item, path")
    for number, row in enumerate(rows, start=2):
        if not all(row[name] for name in ("model", "item", "path")):
            raise InputError(f"{videos}: row {number}: model, item and path must not be empty")
    return [Source(model=row["model"], item=row["item"], path=videos.parent / row["path"]) for row in rows]


def sources_from_runs(
    runs: Mapping[str, Path],
    shards: Path,
    work: Path,
    *,
    split: Split = "test",
    num_items: int = 12,
    with_real: bool = False,
    seed: int = 0,
) -> list[Source]:
    """Each run's video of the same held-out clips (first frame, sound and class of each), written below `work`.

    Raises:
        CheckpointError, DatasetError: as `load_generator`, `chosen_samples` and `resize`.
        OptionError: a run is called ``real`` while the real videos take part.
    """
    from cssgan.data.shards import chosen_samples, resize
    from cssgan.inference.generate import load_generator, video_of

    if with_real and REAL in runs:
        raise OptionError("--run", f"{REAL}={runs[REAL]}", f"any name but {REAL!r}, which is that of the real videos")
    samples = chosen_samples(shards, split, num_items)
    sources: list[Source] = []
    size = 0
    for name, run in runs.items():
        generator = load_generator(run)
        size = max(size, generator.config.data.size)
        log.info("%s: making %d videos", name, len(samples))
        for sample in samples:
            video = video_of(
                generator, resize(sample, generator.config.data.size)[0], sample.audio_N, sample.audio_rate_hz,
                sample.label, sample.num_frames, frame_rate=sample.frame_rate, seed=seed,
            )  # fmt: skip
            sources.append(_write(work / name, name, sample.key, video, sample))
    if with_real:
        sources += [_write(work / REAL, REAL, sample.key, resize(sample, size), sample) for sample in samples]
    return sources


def _write(folder: Path, model: str, item: str, video_THWC: Any, sample: Any) -> Source:
    path = folder / f"{item}.mp4"
    scale = max(1, 256 // video_THWC.shape[1])
    mp4.write_mp4(path, video_THWC, sample.frame_rate, sample.audio_N, sample.audio_rate_hz, scale=scale)
    return Source(model=model, item=item, path=path)


def build_survey(
    sources: Sequence[Source], out: Path, options: SurveyOptions, *, made_from: Mapping[str, Any] | None = None
) -> Survey:
    """Copy the videos under blind names and write survey.json; the folder is whole or not there.

    Args:
        made_from: where the videos come from, for the record.

    Raises:
        InputError: `out` exists; a video is missing, has no sound or cannot be played by browsers; models have
            different items; lengths of one item differ.
        OptionError: an option that does not fit the videos.
    """
    if out.exists():
        raise InputError(f"{out}: exists already; choose another folder, for answers belong to one survey")
    models, items = _models_and_items(sources, options)
    consent = CONSENT if options.consent is None else _paragraphs(options.consent)
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    (temporary / MEDIA).mkdir(parents=True)
    try:
        by_cell = {(source.model, source.item): source for source in sources}
        videos = [_take(by_cell[model, item], temporary / MEDIA) for item in items for model in models]
        _check_lengths(videos)
        survey = Survey(
            title=options.title,
            lang=options.lang,
            reference=models[0],
            models=tuple(models),
            videos=tuple(videos),
            singles=options.singles,
            pairs=options.pairs if len(models) > 1 else 0,
            checks=options.checks,
            seed=options.seed,
            texts=dict(QUESTION_TEXTS),
            ends=dict(ENDS),
            consent=tuple(consent),
            contact=options.contact,
            made_from=dict(made_from or {}),
        )
        write_survey(temporary, survey)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    log.info("%s: %d videos of %d models, %s", out / FILE, len(videos), len(models), ", ".join(models))
    return survey


def _models_and_items(sources: Sequence[Source], options: SurveyOptions) -> tuple[list[str], list[str]]:
    models = list(dict.fromkeys(source.model for source in sources))
    if options.reference is not None:
        if options.reference not in models:
            raise OptionError("--reference", options.reference, ", ".join(models))
        models = [options.reference, *(model for model in models if model != options.reference)]
    items = list(dict.fromkeys(source.item for source in sources))
    cells = [(source.model, source.item) for source in sources]
    twice = sorted({cell for cell in cells if cells.count(cell) > 1})
    if twice:
        raise InputError(f"item {twice[0][1]} of model {twice[0][0]} is there twice; give one video for each")
    missing = [(model, item) for model in models for item in items if (model, item) not in set(cells)]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"model {missing[0][0]} has no video of item {missing[0][1]}{more}; models are compared on the same items"
        )
    if options.singles + options.pairs == 0 or (len(models) == 1 and options.singles == 0):
        raise OptionError("--singles", options.singles, "at least 1 where there are no pairs to show")
    return models, items


def _take(source: Source, media: Path) -> Video:
    info = mp4.probe(source.path)
    codecs = (info.video_codec, info.audio_codec)
    if any(codec not in allowed for codec, allowed in zip(codecs, BROWSER_CODECS, strict=True)):
        allowed = " or ".join("/".join(names) for names in BROWSER_CODECS)
        raise InputError(f"{source.path}: codecs {' and '.join(codecs)}, allowed: {allowed}; browsers play no others")
    # Random, not a digest: raters could compute that of a video they know.
    file = f"{secrets.token_hex(8)}.mp4"
    shutil.copyfile(source.path, media / file)
    return Video(model=source.model, item=source.item, file=file, seconds=round(info.seconds, 3))


def _check_lengths(videos: Iterable[Video]) -> None:
    """Videos of one item carry the same sound, so they last equally long (up to a packet of sound)."""
    first: dict[str, Video] = {}
    for video in videos:
        other = first.setdefault(video.item, video)
        if abs(video.seconds - other.seconds) > 0.25:
            raise InputError(
                f"item {video.item}: {video.seconds:.2f} s of {video.model}, {other.seconds:.2f} s of {other.model}; "
                "allowed: the same sound, so the same length"
            )


def _paragraphs(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--consent {path}: cannot be read as UTF-8 text ({error})") from error
    parts = [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
    if not parts:
        raise InputError(f"--consent {path}: is empty; write what raters agree to")
    return parts
