"""Measures of any folder of videos with sound: no model, no real pair of each video.

Without pairs, a measure is worth what it says about controls made of the same videos:

* ``held``: the first frame, held;
* ``flash``: the first frame, brighter by the onsets of the audio;
* ``mismatched``: the videos with each other's audio.

Files may differ in length, size and frame rate; all tolerances are in seconds. Videos without sound are measured without
the measures of sound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cssgan.errors import InputError
from cssgan.metrics import events, feature_extraction, synchrony
from cssgan.metrics.controls import flash
from cssgan.metrics.distances import frechet_distance, kernel_distance
from cssgan.metrics.features import Features, moments, real_scale
from cssgan.metrics.motion import motion_curves, seam_ratio
from cssgan.metrics.networks import lite2
from cssgan.metrics.networks.random_features import rand2d
from cssgan.metrics.result import MetricResult, format_number, markdown_table, unavailable
from cssgan.metrics.screen_text import (
    LAST_FRAMES,
    MIN_WORD_LETTERS,
    ReadLine,
    read_last_frames,
    read_text,
    shows_letter,
    shows_word,
    words,
)
from cssgan.metrics.statistics import bootstrap_mean, bootstrap_weights, percentile_interval
from cssgan.metrics.videos import CLIP_FRAMES, Floats, Mask, Videos, hold_first_frame
from cssgan.storage.media_files import VideoFile, read_video
from phonics_data.contract.change import ChangeSummary, summarize
from phonics_data.contract.csv_table import read_csv
from phonics_data.contract.logmel import LogMelSpec, log_mel, mel_segments

PERCENTILES = (10, 25, 50, 75, 90)
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg")
LAG_SECONDS = 0.08
"""Motion may be this much earlier or later than its sound; own and other sounds are compared at the same lags."""
FRAME_STEP = 8
"""Every eighth frame enters a distance."""
MIN_REAL = 100
"""Real clips below which a distance carries a caution."""
_SPLITS = 20
_PAIRINGS = 10
_LETTER_IN_NAME = re.compile(r"(?:^|[^a-z])letter[_-]?([a-z])$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ExternalVideo:
    """One video of the folder.

    Args:
        name: its path in the folder.
        letter, word: what it should show by the table of labels or its name; empty if unknown.
    """

    name: str
    file: VideoFile
    letter: str = ""
    word: str = ""

    @property
    def frames_per_second(self) -> float:
        return float(self.file.frame_rate)


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectedFile:
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueRow:
    """Distribution of one value over the videos.

    Args:
        percentiles: at `PERCENTILES`; empty if the value is defined on no video.
        controls: median of the control videos by name.
        num_undefined: videos on which the value is not defined; left out.
    """

    name: str
    percentiles: tuple[float, ...]
    controls: Mapping[str, float]
    num_undefined: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ExternalReport:
    """All measures of one folder.

    Args:
        per_video: one dictionary per video, with its values, the times of its events and the text that is read.
    """

    num_videos: int
    num_silent: int
    frame_rates: Mapping[str, int]
    rows: tuple[ValueRow, ...]
    results: tuple[MetricResult, ...]
    per_video: tuple[dict[str, Any], ...]
    rejected: tuple[RejectedFile, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "num_videos": self.num_videos,
            "num_silent": self.num_silent,
            "frame_rates": dict(self.frame_rates),
            "percentiles": PERCENTILES,
            "rows": [asdict(row) for row in self.rows],
            "results": [result.as_json() for result in self.results],
            "videos": list(self.per_video),
            "rejected": [asdict(one) for one in self.rejected],
        }

    def markdown(self) -> str:
        """The tables for the terminal or a page."""
        rates = ", ".join(f"{count} at {rate}" for rate, count in self.frame_rates.items())
        lines = [f"{self.num_videos} videos ({rates} frames/s; {self.num_silent} without sound).", ""]
        lines += ["| value | 10 | 25 | 50 | 75 | 90 % | median of controls | undefined |", "|" + " --- |" * 8]
        for row in self.rows:
            cells = [format_number(value) for value in row.percentiles] or [""] * len(PERCENTILES)
            controls = ", ".join(f"{name} {format_number(value)}" for name, value in row.controls.items())
            lines.append(f"| {row.name} | {' | '.join(cells)} | {controls} | {row.num_undefined or ''} |")
        lines += ["", markdown_table(list(self.results))]
        lines += ["| video | frames | frames/s | events, s | text of the last frames |", "|" + " --- |" * 5]
        for video in self.per_video:
            times = " ".join(f"{time:.2f}" for time in video["event_seconds"])
            text = ", ".join(line["text"].replace("|", "/") for line in video["text"] or [])
            rate = format_number(video["frames_per_second"])
            lines.append(f"| {video['name']} | {video['frames']:.0f} | {rate} | {times} | {text} |")
        lines.append("")
        if self.rejected:
            lines += ["Rejected:", "", *(f"* {one.name}: {one.reason}" for one in self.rejected), ""]
        return "\n".join(lines)


def read_labels(path: Path) -> dict[str, tuple[str, str]]:
    """A CSV with the columns file, letter and optionally word -> (letter, word) by file name.

    Raises:
        InputError: as `read_csv`; or a letter that is not A to Z.
    """
    labels: dict[str, tuple[str, str]] = {}
    for row in read_csv("--labels", path, ("file", "letter")):
        letter = row.cells["letter"].upper()
        if not re.fullmatch("[A-Z]", letter):
            raise InputError(
                f"--labels {path}, line {row.line}: letter: got {row.cells['letter'][:40]!r}, allowed: A to Z"
            )
        labels[row.cells["file"]] = (letter, row.cells.get("word", ""))
    return labels


def letter_of_name(name: str) -> str:
    """The letter that a file name or its folder states: ``..._lettere.mp4``, ``e.mp4``, ``E/....mp4``; else empty."""
    path = Path(name)
    if match := _LETTER_IN_NAME.search(path.stem):
        return match[1].upper()
    return next((text.upper() for text in (path.stem, path.parent.name) if re.fullmatch("[A-Za-z]", text)), "")


def read_folder(
    folder: Path, size: int, labels: Mapping[str, tuple[str, str]] | None = None
) -> tuple[list[ExternalVideo], list[RejectedFile]]:
    """Every video file below `folder` at size x size, and the files that cannot be measured.

    Raises:
        InputError: no such folder, or no video in it that can be measured.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of video files")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    videos, rejected = list[ExternalVideo](), list[RejectedFile]()
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            file = read_video(path, size, LogMelSpec().rate_hz)
            if len(file.frames_THWC) < 2:
                raise InputError(f"{path}: 1 frame, allowed: 2 or more")
        except InputError as error:
            rejected.append(RejectedFile(name=name, reason=str(error)))
            continue
        letter, word = (labels or {}).get(name) or (labels or {}).get(path.name) or (letter_of_name(name), "")
        videos.append(ExternalVideo(name=name, file=file, letter=letter, word=word))
    if not videos:
        what = (
            f"none of {len(paths)} files can be measured; the first: {rejected[0].reason}"
            if paths
            else "no video in it"
        )
        raise InputError(f"{folder}: {what}; allowed: {', '.join(VIDEO_SUFFIXES)}")
    return videos, rejected


def measure(
    videos: Sequence[ExternalVideo],
    *,
    rejected: Sequence[RejectedFile] = (),
    real: Sequence[ExternalVideo] = (),
    read: bool = True,
    seed: int = 0,
    on_progress: Callable[[str], None] | None = None,
) -> ExternalReport:
    """All measures of a set of videos.

    Args:
        real: real clips for distances in features; none: no distances.
        read: read text with OCR, about .5 s of CPU time a video.
        seed: of the bootstrap and of random splits.
    """
    report = on_progress or (lambda _: None)
    report("sound and change")
    sounds = _Sounds(videos)
    own = [video.file.frames_THWC for video in videos]
    sets: dict[str, Sequence[Videos | None]] = {
        "": own,
        "held": [hold_first_frame(frames[None])[0] for frames in own],
        "flash": [sounds.flash(n) for n in range(len(videos))],
    }
    report("events")
    measured = {
        name: [_values(frames, video) for frames, video in zip(set_, videos, strict=True)]
        for name, set_ in sets.items()
    }
    texts: list[_Text] = []
    if read:
        for done, video in enumerate(videos):
            report(f"text {done + 1}/{len(videos)}")
            texts.append(_Text(_last_text(video), read_text(video.file.frames_THWC[0])))
    results = [
        _sync_result(sets, sounds, np.array([video.frames_per_second for video in videos]), seed),
        _seam_result(own, seed),
        _persistence_result(measured, seed),
        *_reading_results(videos, texts, seed),
    ]
    if real:
        report("distances")
        results += _distance_results(videos, real, seed)
    rates = [f"{video.frames_per_second:.4g}" for video in videos]
    return ExternalReport(
        num_videos=len(videos),
        num_silent=sum(curve is None for curve in sounds.curves),
        frame_rates={rate: rates.count(rate) for rate in sorted(set(rates))},
        rows=tuple(_row(name, measured) for name in ROWS),
        results=tuple(results),
        per_video=tuple(
            {
                "name": video.name, "letter": video.letter, "word": video.word,
                "frames_per_second": video.frames_per_second,
                **{name: _finite(values.numbers[name]) for name in ROWS},
                "event_seconds": [round(float(time), 3) for time in values.times],
                "text": [asdict(line) for line in texts[n].last] if read else None,
                "text_of_first_frame": [asdict(line) for line in texts[n].first] if read else None,
            }
            for n, (video, values) in enumerate(zip(videos, measured[""], strict=True))
            if values is not None
        ),
        rejected=tuple(rejected),
    )  # fmt: skip


ROWS = ("frames", "seconds", *ChangeSummary.names(), "events")


@dataclass(frozen=True, slots=True)
class _Values:
    """Values of one video by the names of `ROWS`, and its events."""

    numbers: Mapping[str, float]
    times: events.Times
    num_kept: int
    """Events whose change is still there at the end."""


def _values(frames_THWC: Videos | None, video: ExternalVideo) -> _Values | None:
    """The values of one video or control; None for a control that does not exist."""
    if frames_THWC is None:
        return None
    rate = video.frames_per_second
    changes = events.lasting_changes(events.VideoChange.of(frames_THWC, rate), events.EventSpec())
    numbers = asdict(summarize(frames_THWC, rate)) | {
        "frames": float(len(frames_THWC)),
        "seconds": len(frames_THWC) / rate,
        "events": float(len(changes.times)),
    }
    return _Values(numbers, changes.times, len(changes.where))


def _row(name: str, measured: Mapping[str, Sequence[_Values | None]]) -> ValueRow:
    def defined(values: Iterable[_Values | None]) -> Floats:
        numbers = np.array([one.numbers[name] for one in values if one is not None], np.float64)
        return numbers[np.isfinite(numbers)]

    own = defined(measured[""])
    controls = {key: defined(values) for key, values in measured.items() if key and name not in ("frames", "seconds")}
    return ValueRow(
        name=name,
        percentiles=tuple(map(float, np.percentile(own, PERCENTILES))) if own.size else (),
        controls={key: float(np.median(values)) for key, values in controls.items() if values.size},
        num_undefined=len(measured[""]) - own.size,
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


class _Sounds:
    """Onset curves of the audio of all videos, each at its own frame rate."""

    def __init__(self, videos: Sequence[ExternalVideo]) -> None:
        self.curves = [_onset_curve(video.file) for video in videos]
        self._videos = videos

    def flash(self, n: int) -> Videos | None:
        """The control ``flash`` of video n; None without sound."""
        curve_T = self.curves[n]
        return None if curve_T is None else flash(self._videos[n].file.frames_THWC[:1], curve_T[None])[0]


def _onset_curve(file: VideoFile) -> Floats | None:
    """(T,) onset curve of the audio at the frames; None without audio, or if it is silent."""
    if file.audio_N is None or not np.any(file.audio_N):
        return None
    segments_TMU = mel_segments(log_mel(file.audio_N), len(file.frames_THWC), file.frame_rate)
    return synchrony.onset_curves(segments_TMU[None], np.array([synchrony.hops_per_frame(file.frame_rate)]))[0]


def _sync_result(
    sets: Mapping[str, Sequence[Videos | None]], sounds: _Sounds, frames_per_second_N: Floats, seed: int
) -> MetricResult:
    """Onset against motion: is each video's motion closer to its own audio than to that of the other videos?"""
    rows = [n for n, curve in enumerate(sounds.curves) if curve is not None]
    n = len(rows)
    if n < 3:
        reason = f"{n} videos with sound, allowed: 3 or more"
        return unavailable("onset_motion_auc", reason, better="higher", n_real=0, n_fake=n)
    rates_N = frames_per_second_N[rows]
    curves = [curve[1:] for curve in sounds.curves if curve is not None]
    onset_NK, use_NK, rate = synchrony.at_common_rate(*_padded(curves), rates_N)
    lags = sorted(range(-round(LAG_SECONDS * rate), round(LAG_SECONDS * rate) + 1), key=abs)
    motion: dict[str, Floats] = {}
    for name, set_ in sets.items():
        shown = [video for video in (set_[row] for row in rows) if video is not None]
        motion[name], _, _ = synchrony.at_common_rate(
            *_padded([motion_curves(video[None])[0] for video in shown]), rates_N
        )
    wins = {
        name: synchrony.wins(synchrony.own_advantages(curve, onset_NK, use_NK, lags)) for name, curve in motion.items()
    }
    others: Mask = ~np.eye(n, dtype=np.bool_)
    value = {name: float(synchrony.auc(matrix, others)[0]) for name, matrix in wins.items()}
    rng = np.random.default_rng(seed)
    mismatched: list[float] = []
    for _ in range(_PAIRINGS):
        pairing = synchrony.mismatched_pairing(n, rng)
        both = use_NK & use_NK[pairing]
        advantage = synchrony.own_advantages(motion[""], onset_NK[pairing], both, lags)
        mismatched.append(float(synchrony.auc(synchrony.wins(advantage), others)[0]))
    value |= {"mismatched": float(np.mean(mismatched)), "mismatched_highest": max(mismatched)}
    resampled = synchrony.auc(wins[""], others, bootstrap_weights(n, seed))
    return MetricResult(
        name="onset_motion_auc", value=value.pop(""), better="higher", n_real=0, n_fake=n,
        controls={"chance_level": 0.5, **value}, interval=percentile_interval(resampled),
        protocol={"negatives": "audio of all other videos of the folder", "lag_seconds": LAG_SECONDS,
                  "mismatched": f"each video with the audio of another one as its own, {_PAIRINGS} random pairings",
                  "compared": "own and other audio on the frames that both have, at the lowest frame rate of the folder",
                  "onset": "half-wave-rectified flux of the log-mel bands"},
    )  # fmt: skip


def _padded(curves: Sequence[Floats]) -> tuple[Floats, Mask]:
    """Curves of different lengths as one array, and which of its entries count."""
    length = max(map(len, curves))
    use_NK = np.arange(length) < np.array([len(curve) for curve in curves])[:, None]
    return np.stack([np.pad(curve, (0, length - len(curve))) for curve in curves]), use_NK


def _seam_result(videos: Sequence[Videos], seed: int) -> MetricResult:
    """Motion into every eighth frame over motion elsewhere, against the same ratio at the other phases."""
    by_phase = np.stack([_seam_ratios(videos, phase) for phase in range(CLIP_FRAMES)])
    values = by_phase[0][~np.isnan(by_phase[0])]
    n = len(videos)
    if not values.size:
        reason = f"no video is longer than one clip of {CLIP_FRAMES} frames"
        return unavailable("seam_ratio", reason, better="near_one", n_real=0, n_fake=n)
    others = np.nanmedian(by_phase[1:], axis=1)
    resampled = np.median(np.random.default_rng(seed).choice(values, (1000, values.size)), axis=1)
    return MetricResult(
        name="seam_ratio", value=float(np.median(values)), better="near_one", unit="ratio", n_real=0, n_fake=n,
        num_undefined=n - values.size, interval=percentile_interval(resampled),
        controls={"lowest_other_phase": float(others.min()), "highest_other_phase": float(others.max())},
        protocol={"seams": f"every {CLIP_FRAMES} frames", "reduction": "median over videos"},
    )  # fmt: skip


def _seam_ratios(videos: Sequence[Videos], phase: int) -> Floats:
    ratios: list[float] = []
    for video in videos:
        motion_1K = motion_curves(video[None])[:, phase:]
        ratios.append(float(seam_ratio(motion_1K, np.ones(motion_1K.shape, np.bool_))[0]))
    return np.array(ratios)


def _persistence_result(measured: Mapping[str, Sequence[_Values | None]], seed: int) -> MetricResult:
    """Share of the events whose change is still there at the end of the video."""
    shares = {
        name: np.array(
            [one.num_kept / len(one.times) if len(one.times) else np.nan for one in values if one is not None]
        )
        for name, values in measured.items()
    }
    own = shares.pop("")
    undefined = int(np.isnan(own).sum())
    if undefined == own.size:
        reason = "no video has an event"
        return unavailable("event_persistence", reason, better="higher", n_real=0, n_fake=own.size)
    return MetricResult(
        name="event_persistence", value=float(np.nanmean(own)), better="higher", n_real=0, n_fake=own.size,
        num_undefined=undefined, interval=bootstrap_mean(own, seed),
        controls={name: float(np.nanmean(values)) for name, values in shares.items() if np.isfinite(values).any()},
        protocol={"event": "peak of the lasting change of the picture", "kept": f"at least {events.MIN_KEPT} of the change",
                  "undefined": "videos without an event; ignored"},
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Text:
    """Lines that are read in the last frames and in the first one."""

    last: list[ReadLine]
    first: list[ReadLine]


def _last_text(video: ExternalVideo) -> list[ReadLine]:
    """Text in the last frames, each text once."""
    lines = read_last_frames(video.file.frames_THWC, video.frames_per_second)
    return list({line.text: line for line in lines}.values())


def _reading_results(videos: Sequence[ExternalVideo], texts: Sequence[_Text], seed: int) -> list[MetricResult]:
    """Share of the videos in whose last frames the letter, and the word, are read by OCR."""
    results: list[MetricResult] = []
    cases: list[tuple[str, str, list[str], Callable[[list[ReadLine], str], bool]]] = [
        ("letter", "a line begins with it", [video.letter for video in videos], shows_letter),
        ("word", "a line contains it", [video.word for video in videos], shows_word),
    ]
    for what, definition, wanted, is_read in cases:
        name, rows = f"{what}_read", [n for n, text in enumerate(wanted) if text]
        if not texts or not rows:
            reason = "text was not read" if not texts else f"no file name or table states a {what}"
            results.append(unavailable(name, reason, better="higher", n_real=0, n_fake=len(rows)))
            continue
        own = np.array([is_read(texts[n].last, wanted[n]) for n in rows], np.float64)
        held = [is_read(texts[n].first, wanted[n]) for n in rows]
        others = [
            is_read(texts[n].last, wanted[m]) for n in rows for m in rows if wanted[m].upper() != wanted[n].upper()
        ]
        controls = {"held": float(np.mean(held))}
        if others:
            controls["mismatched"] = float(np.mean(others))
        results.append(
            MetricResult(
                name=name, value=float(own.mean()), better="higher", n_real=0, n_fake=len(rows),
                interval=bootstrap_mean(own, seed), controls=controls,
                protocol={"text": "rapidocr (PP-OCRv6 small) on frames enlarged to 640x360", "read": definition,
                          "frames": f"{LAST_FRAMES}; held: the first one",
                          "mismatched": f"the {what} of another video"},
            )
        )  # fmt: skip
    return [*results, _word_appears_result(texts, len(videos), seed)]


def _word_appears_result(texts: Sequence[_Text], num_videos: int, seed: int) -> MetricResult:
    """Share of the videos in whose last frames a word is read that is not read in the first one."""
    if not texts:
        reason = "text was not read"
        return unavailable("word_appears", reason, better="higher", n_real=0, n_fake=num_videos)
    appears = np.array([bool(words(text.last) - words(text.first)) for text in texts], np.float64)
    return MetricResult(
        name="word_appears", value=float(appears.mean()), better="higher", n_real=0, n_fake=len(texts),
        interval=bootstrap_mean(appears, seed), controls={"held": 0.0},
        protocol={"word": f"a line of at least {MIN_WORD_LETTERS} letters",
                  "held": "0 by definition: the last frame is the first one"},
    )  # fmt: skip


def _distance_results(videos: Sequence[ExternalVideo], real: Sequence[ExternalVideo], seed: int) -> list[MetricResult]:
    """Fréchet and kernel distance between frames of the videos and of real clips, with the distance between halves."""
    select = feature_extraction.every_nth_frame(FRAME_STEP)
    results: list[MetricResult] = []
    for prefix, network, is_scaled in extractors():

        def of(set_: Sequence[ExternalVideo], hold: bool = False, network: Any = network) -> _Set:
            frames = [
                video.file.frames_THWC[select(len(video.file.frames_THWC)) * (0 if hold else 1)] for video in set_
            ]
            values = np.concatenate([network(part) for part in frames])
            groups = np.repeat(np.arange(len(frames)), [len(part) for part in frames])
            return _Set(Features(values_ND=values, extractor=network.name), groups)

        first, second, held = of(real), of(videos), of(real, hold=True)
        scale = real_scale(first.features) if is_scaled else np.ones(first.features.values_ND.shape[1])
        first, second, held = (_Set(one.features.scaled(scale), one.groups) for one in (first, second, held))
        caution = (
            ""
            if len(real) >= MIN_REAL
            else (
                f"{len(real)} real clips are too few: compare with real_half_split, which is above 0 for the same reason"
            )
        )
        for suffix, distance in (("fd", _frechet), ("kd", _kernel)):
            results.append(
                MetricResult(
                    name=f"{prefix}_{suffix}", value=distance(second.features, first.features), better="lower",
                    n_real=first.features.count, n_fake=second.features.count, caution=caution,
                    controls={"real_half_split": first.half_split(distance, seed), "half_split": second.half_split(distance, seed),
                              "real_held": distance(held.features, first.features)},
                    protocol={"items": f"every {FRAME_STEP}th frame", "network": network.name,
                              "scale": "standard deviation of each feature over the real clips" if is_scaled else "none",
                              "half_split": f"two random halves of the clips of one set, mean of {_SPLITS} splits",
                              "real_held": "the first frames of the real clips, held"},
                )
            )  # fmt: skip
    return results


def extractors() -> list[tuple[str, Any, bool]]:
    """(prefix of the names, network, whether features are divided by their deviation) of frame networks that need no
    download: random weights, and ImageNet weights if their package is installed."""
    path = lite2.weights_path()
    return [("rfd_2d", rand2d(), True), *([] if path is None else [("imagenet_lite2", lite2.Lite2(path), False)])]


@dataclass(frozen=True, slots=True, eq=False)
class _Set:
    """Features of the frames of several videos, and the video of each row."""

    features: Features
    groups: np.ndarray

    def half_split(self, distance: Callable[[Features, Features], float], seed: int) -> float:
        """Mean distance between two random halves of the videos; frames of one video stay together."""
        names = np.unique(self.groups)
        values: list[float] = []
        for split in range(_SPLITS):
            order = np.random.default_rng([seed, split]).permutation(names)
            rows = np.isin(self.groups, order[: len(names) // 2])
            if min(rows.sum(), (~rows).sum()) > 1:
                values.append(
                    distance(self.features.rows(np.flatnonzero(rows)), self.features.rows(np.flatnonzero(~rows)))
                )
        return float(np.mean(values)) if values else 0.0


def _frechet(a: Features, b: Features) -> float:
    return frechet_distance(moments(a, ddof=1), moments(b, ddof=1))


def _kernel(a: Features, b: Features) -> float:
    return kernel_distance(a, b)
