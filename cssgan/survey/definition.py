"""A survey folder: survey.json (texts, videos, numbers of trials) and media/ (the videos under random names)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phonics_data.contract.files import write_bytes
from phonics_data.contract.records import from_plain
from phonics_data.contract.untrusted import read_json_object
from phonics_data.errors import InputError

SCHEMA_VERSION = 1
SURVEY_FILE, MEDIA_FOLDER, RESULTS_FILE = "survey.json", "media", "results.sqlite"
SINGLE_QUESTIONS = ("synchrony",)
PAIR_QUESTIONS = ("quality", "association", "naturalness")
SCALE_MAX = {"single": 9, "pair": 7}
"""Answers are 1..9 for a single video and 1..7 for a pair."""
NO_DIFFERENCE = 4
"""The middle of the scale for pairs."""
REAL = "real"
"""Model name of the real videos."""

QUESTION_TEXTS: Mapping[str, str] = {
    "synchrony": "How well does what moves in the video follow the sound?",
    "quality": "Which video has the better picture quality?",
    "association": "Which video goes better with the music?",
    "naturalness": "Which video moves more naturally?",
}
SCALE_ENDS: Mapping[str, tuple[str, str]] = {
    "single": ("not at all", "perfectly"),
    "pair": ("video A, clearly", "video B, clearly"),
}
CONSENT_TEXT = (
    "You will see short videos with sound, made by computer programs, and rate them. Please use headphones or "
    "loudspeakers.",
    "Taking part is voluntary. You may stop at any time, continue later in the same browser, or withdraw, which deletes "
    "all your answers.",
    "What is stored: your answers, their times, and a number. No name, no address and nothing about your device is "
    "stored. The answers may be published in this form.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Video:
    """One video of one model for one item (a start image with its audio).

    Args:
        file: name in media/; random, because raters can see it.
    """

    model: str
    item: str
    file: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """Content of survey.json.

    Args:
        reference: the model that every other model is compared with in pairs.
        models: names, the reference first.
        videos: one for each model and item.
        singles, pairs, checks: trials per rater; the checks are additional.
        seed: seed of orders, sides and checks.
        texts: question -> wording.
        ends: single and pair -> labels of the low and the high end of the scale.
        consent: paragraphs of the consent text.
        made_from: origin of the videos, for the record.
    """

    title: str
    lang: str
    reference: str
    models: tuple[str, ...]
    videos: tuple[Video, ...]
    singles: int
    pairs: int
    checks: int
    seed: int
    texts: Mapping[str, str]
    ends: Mapping[str, tuple[str, str]]
    consent: tuple[str, ...]
    contact: str
    made_from: Mapping[str, Any]
    schema_version: int = SCHEMA_VERSION

    @property
    def items(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(video.item for video in self.videos))

    def video(self, model: str, item: str) -> Video:
        return next(video for video in self.videos if (video.model, video.item) == (model, item))

    def digest(self) -> str:
        """16 hex digits that identify the survey; answers belong to one digest."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def questions(kind: str) -> tuple[str, ...]:
    """The questions about a single video (``single``) or a pair (``pair``)."""
    return SINGLE_QUESTIONS if kind == "single" else PAIR_QUESTIONS


def write_survey(folder: Path, survey: Survey) -> Path:
    """Write survey.json atomically. Returns its path."""
    path = folder / SURVEY_FILE
    write_bytes(path, (json.dumps(asdict(survey), indent=1, ensure_ascii=False) + "\n").encode())
    return path


def read_survey(folder: Path) -> Survey:
    """Read and check the survey of a folder.

    Raises:
        InputError: survey.json is missing, damaged, of another schema version, or a video is missing.
    """
    path = folder / SURVEY_FILE
    try:
        data = read_json_object(path)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: contains no {SURVEY_FILE}; run `cssgan survey build`") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); undo the last edit or build the survey again") from error
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: got schema_version {version!r}, allowed: {SCHEMA_VERSION}; build the survey again")
    try:
        survey = _parse(data)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: a field is missing or has a wrong type ({error!r}); build the survey again"
        ) from error
    _check(path, survey)
    return survey


def _parse(data: dict[str, Any]) -> Survey:
    numbers = {name: data[name] for name in ("singles", "pairs", "checks", "seed")}
    if not all(type(number) is int and number >= 0 for number in numbers.values()):
        raise ValueError(f"{numbers}: allowed: integers from 0")
    return Survey(
        title=str(data["title"]),
        lang=str(data["lang"]),
        reference=str(data["reference"]),
        models=tuple(str(name) for name in data["models"]),
        videos=tuple(from_plain(Video, video) for video in data["videos"]),
        texts={name: str(data["texts"][name]) for name in (*SINGLE_QUESTIONS, *PAIR_QUESTIONS)},
        ends={kind: (str(data["ends"][kind][0]), str(data["ends"][kind][1])) for kind in SCALE_MAX},
        consent=tuple(str(part) for part in data["consent"]),
        contact=str(data["contact"]),
        made_from=dict(data["made_from"]),
        **numbers,
    )


def _check(path: Path, survey: Survey) -> None:
    cells = [(video.model, video.item) for video in survey.videos]
    expected = {(model, item) for model in survey.models for item in survey.items}
    if len(cells) != len(set(cells)) or set(cells) != expected or not cells:
        raise InputError(f"{path}: videos must be one for each model and item; build the survey again")
    if survey.reference != survey.models[0]:
        raise InputError(
            f"{path}: reference is {survey.reference!r}, allowed: the first of models, {survey.models[0]!r}"
        )
    media = path.parent / MEDIA_FOLDER
    for video in survey.videos:
        # A name with a slash could be outside the folder.
        if Path(video.file).name != video.file or not (media / video.file).is_file():
            raise InputError(f"{media}: the video {video.file!r} of survey.json is missing; build the survey again")
