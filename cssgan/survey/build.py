"""`cssgan survey build`: videos of several models for the same items -> a survey folder.

The videos come from files (`find_model_videos`) or are generated from runs (`generate_model_videos`).
"""

from __future__ import annotations

import logging
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cssgan.storage import media_files
from cssgan.survey.definition import (
    CONSENT_TEXT,
    MAX_LINE,
    MAX_SEED,
    MAX_TRIALS,
    MEDIA_FOLDER,
    QUESTION_TEXTS,
    REAL,
    SCALE_ENDS,
    SURVEY_FILE,
    Survey,
    Video,
    number_fault,
    survey_fault,
    text_fault,
    write_survey,
)
from phonics_data.contract.csv_table import read_csv
from phonics_data.contract.files import temporary_folder
from phonics_data.errors import InputError, OptionError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cssgan.types import Split
    from phonics_data.contract.sample import Sample

LENGTH_TOLERANCE_SECONDS = 0.25
log = logging.getLogger("cssgan")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelVideo:
    """A video file of one model for one item."""

    model: str
    item: str
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class SurveyOptions:
    """Options of `build_survey`; see `Survey` for those without a description.

    Args:
        reference: default: the first model.
        consent: text file whose paragraphs (separated by empty lines) replace the built-in text.

    Raises:
        UsageError: a number or a text is out of range.
    """

    reference: str | None = None
    title: str = "How well do videos match their sound?"
    lang: str = "en"
    contact: str = ""
    consent: Path | None = None
    singles: int = 12
    pairs: int = 12
    checks: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        faults = [
            *(number_fault(name, getattr(self, name), most) for name, most in {**MAX_TRIALS, "seed": MAX_SEED}.items()),
            *(text_fault(name, getattr(self, name), MAX_LINE) for name in ("title", "lang", "contact")),
        ]
        if fault := next((fault for fault in faults if fault), ""):
            raise UsageError(f"--{fault}")


def find_model_videos(videos: Path) -> list[ModelVideo]:
    """Videos of a folder (``MODEL/ITEM.mp4``) or of a CSV (columns model, item, path; paths relative to the CSV).

    Raises:
        InputError: as `read_csv`; missing values, or no video.
    """
    if videos.is_dir():
        paths = sorted(videos.glob("*/*.mp4"))
        if not paths:
            raise InputError(f"{videos}: contains no MODEL/ITEM.mp4; give a folder with one folder per model")
        return [ModelVideo(model=path.parent.name, item=path.stem, path=path) for path in paths]
    found: list[ModelVideo] = []
    for row in read_csv("--videos", videos, ("model", "item", "path")):
        model, item, path = (row.cells[name] for name in ("model", "item", "path"))
        if not (model and item and path):
            raise InputError(f"--videos {videos}: line {row.line}: model, item and path must not be empty")
        found.append(ModelVideo(model=model, item=item, path=videos.parent / path))
    return found


def generate_model_videos(
    runs: Mapping[str, Path],
    shards: Path,
    work: Path,
    *,
    split: Split = "test",
    num_items: int = 12,
    with_real: bool = False,
    seed: int = 0,
) -> list[ModelVideo]:
    """Generate videos with each run from the first frame, audio and class of the same clips; written to `work`.

    Raises:
        CheckpointError, DatasetError: see `load_generator`, `read_evenly_spaced` and `resize`.
        OptionError: a run is called ``real`` although the real videos are included.
    """
    from cssgan.data.shards import read_evenly_spaced, resize
    from cssgan.inference.generate import generate_from_clips, load_generator

    if with_real and REAL in runs:
        raise OptionError("--run", f"{REAL}={runs[REAL]}", f"any name but {REAL!r}, which names the real videos")
    samples = read_evenly_spaced(shards, split, num_items)
    videos: list[ModelVideo] = []
    max_size = 0
    for name, run in runs.items():
        generator = load_generator(run)
        max_size = max(max_size, generator.config.data.size)
        log.info("%s: generating %d videos", name, len(samples))
        for sample in samples:
            video_THWC = generate_from_clips(generator, sample, sample, sample.num_frames, seed=seed)
            videos.append(_write_video(work, name, video_THWC, sample))
    if with_real:
        videos += [_write_video(work, REAL, resize(sample, max_size), sample) for sample in samples]
    return videos


def _write_video(work: Path, model: str, video_THWC: NDArray[np.uint8], sample: Sample) -> ModelVideo:
    from cssgan.inference.generate import default_scale

    path = work / model / f"{sample.key}.mp4"
    scale = default_scale(video_THWC.shape[1])
    media_files.write_mp4(path, video_THWC, sample.frame_rate, sample.audio_N, sample.audio_rate_hz, scale=scale)
    return ModelVideo(model=model, item=sample.key, path=path)


def build_survey(
    model_videos: Sequence[ModelVideo], out: Path, options: SurveyOptions, *, made_from: Mapping[str, Any] | None = None
) -> Survey:
    """Copy the videos under random names and write survey.json. The folder appears only when it is complete.

    Args:
        made_from: origin of the videos, for the record.

    Raises:
        InputError: `out` exists; a video is missing, has no audio or cannot be played by browsers; the models have
            different items; the lengths of one item differ.
        OptionError: an option does not fit the videos.
    """
    if out.exists():
        raise InputError(f"{out}: exists already; choose another folder, because answers belong to one survey")
    models, items = _models_and_items(model_videos, options)
    consent = CONSENT_TEXT if options.consent is None else _paragraphs(options.consent)
    with temporary_folder(out) as temporary:
        (temporary / MEDIA_FOLDER).mkdir()
        by_cell = {(video.model, video.item): video for video in model_videos}
        videos = [_copy_video(by_cell[model, item], temporary / MEDIA_FOLDER) for item in items for model in models]
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
            ends=dict(SCALE_ENDS),
            consent=tuple(consent),
            contact=options.contact,
            made_from=dict(made_from or {}),
        )
        if fault := survey_fault(survey):
            raise InputError(f"survey: {fault}")
        write_survey(temporary, survey)
        temporary.rename(out)
    log.info("%s: %d videos of %d models, %s", out / SURVEY_FILE, len(videos), len(models), ", ".join(models))
    return survey


def _models_and_items(model_videos: Sequence[ModelVideo], options: SurveyOptions) -> tuple[list[str], list[str]]:
    models = list(dict.fromkeys(video.model for video in model_videos))
    if options.reference is not None:
        if options.reference not in models:
            raise OptionError("--reference", options.reference, ", ".join(models))
        models = [options.reference, *(model for model in models if model != options.reference)]
    items = list(dict.fromkeys(video.item for video in model_videos))
    cells = [(video.model, video.item) for video in model_videos]
    duplicates = sorted({cell for cell in cells if cells.count(cell) > 1})
    if duplicates:
        model, item = duplicates[0]
        raise InputError(f"item {item} of model {model} exists twice; give one video for each")
    missing = [(model, item) for model in models for item in items if (model, item) not in set(cells)]
    if missing:
        model, item = missing[0]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"model {model} has no video of item {item}{more}; models are compared on the same items")
    if options.singles + options.pairs == 0 or (len(models) == 1 and options.singles == 0):
        raise OptionError("--singles", options.singles, "at least 1 if there are no pairs")
    return models, items


def _copy_video(source: ModelVideo, media: Path) -> Video:
    info = media_files.probe(source.path)
    if info.browser_fault:
        raise InputError(f"{source.path}: {info.browser_fault}")
    # The name is random: raters who know a video could compute a digest of it.
    file = f"{secrets.token_hex(8)}.mp4"
    shutil.copyfile(source.path, media / file)
    return Video(model=source.model, item=source.item, file=file, seconds=round(info.seconds, 3))


def _check_lengths(videos: Iterable[Video]) -> None:
    """Videos of one item have the same audio, so their lengths are equal up to one audio packet."""
    first: dict[str, Video] = {}
    for video in videos:
        other = first.setdefault(video.item, video)
        if abs(video.seconds - other.seconds) > LENGTH_TOLERANCE_SECONDS:
            raise InputError(
                f"item {video.item}: {video.seconds:.2f} s of {video.model}, {other.seconds:.2f} s of {other.model}; "
                "allowed: the same audio, so the same length"
            )


def _paragraphs(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--consent {path}: cannot be read as UTF-8 text ({error})") from error
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
    if not paragraphs:
        raise InputError(f"--consent {path}: is empty; write the consent text")
    return paragraphs
