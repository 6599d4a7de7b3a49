"""A survey folder: survey.json (texts, videos, numbers of trials) and media/ (the videos under random names)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phonics_data.contract.files import file_inside, write_bytes
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
MAX_FILE_BYTES, MAX_VIDEOS = 8_000_000, 2_000
MAX_TRIALS: Mapping[str, int] = {"singles": 500, "pairs": 500, "checks": 20}
"""Most trials of each kind per rater."""
MAX_SEED = 2**63 - 1
MAX_SECONDS = 600.0
"""Most seconds of one video: a rater watches it twice."""
MAX_NAME, MAX_LINE, MAX_PARAGRAPH, MAX_PARAGRAPHS = 200, 1_000, 10_000, 50
"""Most characters of a name, a text on one line and a paragraph of the consent, and most paragraphs."""
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
        InputError: survey.json is missing, damaged, of another schema version, or has values that are not allowed; a video is missing
            or a link that leads out of the folder.
    """
    path = folder / SURVEY_FILE
    try:
        data = read_json_object(path, max_bytes=MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: contains no {SURVEY_FILE}; run `cssgan survey build`") from error
    except (ValueError, RecursionError) as error:
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
    if fault := survey_fault(survey):
        raise InputError(f"{path}: {fault}; undo the last edit or build the survey again")
    _check_media(path.parent / MEDIA_FOLDER, survey)
    return survey


def _parse(data: dict[str, Any]) -> Survey:
    return Survey(
        title=_text(data["title"]),
        lang=_text(data["lang"]),
        reference=_text(data["reference"]),
        models=tuple(_text(name) for name in _list(data["models"])),
        videos=tuple(Video(**video) for video in _list(data["videos"])),
        texts={name: _text(data["texts"][name]) for name in (*SINGLE_QUESTIONS, *PAIR_QUESTIONS)},
        ends={kind: (_text(data["ends"][kind][0]), _text(data["ends"][kind][1])) for kind in SCALE_MAX},
        consent=tuple(_text(part) for part in _list(data["consent"])),
        contact=_text(data["contact"]),
        made_from=dict(data["made_from"]),
        **{name: data[name] for name in (*MAX_TRIALS, "seed")},
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:80]!r}: allowed: text")
    return value


def _list(value: object) -> list[Any]:
    # A text would be taken for a list of its characters.
    if not isinstance(value, list):
        raise TypeError(f"{str(value)[:80]!r}: allowed: a list")
    return value  # pyright: ignore[reportUnknownVariableType] - the elements are checked one by one


def survey_fault(survey: Survey) -> str:
    """What is not allowed in a survey: the field, what was got and what is allowed. Empty if all is well."""
    numbers = {**MAX_TRIALS, "seed": MAX_SEED}
    lines = {"title": survey.title, "lang": survey.lang, "contact": survey.contact, "reference": survey.reference}
    lines |= {f"texts {name}": text for name, text in survey.texts.items()}
    lines |= {f"ends {kind}": text for kind, ends in survey.ends.items() for text in ends}
    faults = [
        *(number_fault(name, getattr(survey, name), most) for name, most in numbers.items()),
        *(text_fault(name, text, MAX_LINE) for name, text in lines.items()),
        *(text_fault("models", name, MAX_NAME, least=1) for name in survey.models),
        *(text_fault("consent", part, MAX_PARAGRAPH) for part in survey.consent),
        *(_video_fault(video) for video in survey.videos[: MAX_VIDEOS + 1]),
    ]
    if not 0 < len(survey.videos) <= MAX_VIDEOS:
        faults.append(f"videos: got {len(survey.videos)}, allowed: 1 to {MAX_VIDEOS}")
    if len(survey.consent) > MAX_PARAGRAPHS:
        faults.append(f"consent: got {len(survey.consent)} paragraphs, allowed: up to {MAX_PARAGRAPHS}")
    found = next((fault for fault in faults if fault), "")
    return found or _cells_fault(survey)


def number_fault(name: str, value: object, most: int) -> str:
    """What is not allowed in an integer; empty if all is well."""
    if type(value) is int and 0 <= value <= most:
        return ""
    return f"{name}: got {str(value)[:40]}, allowed: integers from 0 to {most}"


def text_fault(name: str, value: object, most: int, *, least: int = 0) -> str:
    """What is not allowed in a text of `least` to `most` characters; empty if all is well."""
    if not isinstance(value, str):
        return f"{name}: got {str(value)[:80]!r}, allowed: text"
    if not least <= len(value) <= most:
        return f"{name}: got {len(value)} characters, allowed: {least} to {most}"
    if not value.isprintable() and not all(char.isprintable() or char in "\n\t" for char in value):
        return f"{name}: got {value[:80]!r}, allowed: characters that can be displayed"
    return ""


def _video_fault(video: Video) -> str:
    if not isinstance(video.seconds, int | float) or not 0 < video.seconds <= MAX_SECONDS:  # pyright: ignore[reportUnnecessaryIsInstance]
        return f"videos: got seconds {str(video.seconds)[:40]}, allowed: a number above 0, up to {MAX_SECONDS:g}"
    texts = {"model": video.model, "item": video.item, "file": video.file}
    faults = (text_fault(f"videos, {name}", text, MAX_NAME, least=1) for name, text in texts.items())
    return next((fault for fault in faults if fault), "")


def _cells_fault(survey: Survey) -> str:
    cells = {(video.model, video.item) for video in survey.videos}
    # The number is compared first: there may be many more products than videos.
    num_expected = len(set(survey.models)) * len(survey.items)
    expected = len(survey.videos) == len(cells) == num_expected and {model for model, _ in cells} == set(survey.models)
    if not expected or len(set(survey.models)) != len(survey.models):
        return "videos: allowed: one for each model and item, and each model once"
    if survey.reference != survey.models[0]:
        return f"reference is {survey.reference!r}, allowed: the first of models, {survey.models[0]!r}"
    if survey.singles + (survey.pairs if len(survey.models) > 1 else 0) == 0:
        return "singles: got 0, allowed: at least 1 if there are no pairs"
    return ""


def _check_media(media: Path, survey: Survey) -> None:
    for video in survey.videos:
        # A name with a slash could be outside the folder.
        path = media / video.file
        if Path(video.file).name != video.file or not path.is_file():
            raise InputError(f"{media}: the video {video.file!r} of survey.json is missing; build the survey again")
        if file_inside(path, media) is None:
            raise InputError(
                f"{path}: is a link that leads out of the folder, allowed: files in it; copy the video to its place"
            )
