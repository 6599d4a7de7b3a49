"""Event measures on real clips, their controls and their corruptions: the tables of docs/metrics.md.

`control_table` reads any dataset: that of real clips (`benchmarks real-phonics`), or of rendered songs with their truth.
`detection_table` compares the events that are found with those that a person read from the frames.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cssgan.config import Config, override
from cssgan.data import resident
from cssgan.data.resident import ResidentSplit
from cssgan.data.shards import Dataset
from cssgan.evaluation.evaluate import PHRASE_SECONDS, as_generate, event_swap
from cssgan.evaluators.sampling import MEL_CLAMP
from cssgan.inference.generate import LoadedGenerator
from cssgan.metrics import events, synchrony
from cssgan.metrics.conditions import Generate
from cssgan.metrics.controls import ControlVideos
from cssgan.metrics.corruptions import corruption_table
from cssgan.metrics.event_results import event_results, pooled_interval
from cssgan.metrics.events import EventSpec, Times
from cssgan.metrics.motion import motion_curves
from cssgan.metrics.region_truth import RegionTruth
from cssgan.metrics.result import MetricResult
from cssgan.metrics.synchrony import SynchronySpec
from cssgan.metrics.synchrony_results import Curves, control_curves, synchrony_results
from cssgan.metrics.videos import ReadVideos, VideoPairs, Videos
from cssgan.models import factory
from cssgan.presets import preset
from cssgan.types import EvalWindows, MelStats, Progress, Split
from phonics_data.errors import InputError

SETS_AT_ONCE = 6
"""Sets of videos that are in memory together, 32 clips of each."""
MEASURES = ("event_match", "event_f1", "persistence", "object_similarity", "flicker_share")
OnProgress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipSet:
    """Windows of the clips of one split.

    Args:
        phrases: whole phrases from the first frame, for events, as in `cssgan evaluate`.
        windows: windows of the model's length at a sampled place, for motion and onsets.
        untrained: a generator of random weights.
    """

    phrases: EvalWindows
    windows: EvalWindows
    untrained: Generate


def read_clips(
    dataset: Dataset, split: Split, *, size: int = 64, num_videos: int | None = None, read_words: bool = True
) -> ClipSet:
    """The clips of a split, or `num_videos` of them, evenly over the split.

    Args:
        read_words: keep the object words of the clips, so that `word_read` is measured.

    Raises:
        DatasetError: as `resident.load`.
    """
    config = override(preset("smoke"), [f"data.size={size}"])
    store = resident.load(dataset, split, size)
    stats = MelStats(mean=store.mean, std=store.std, clamp=MEL_CLAMP)
    phrases = resident.phrase_windows(
        store, seconds=PHRASE_SECONDS, multiple=config.source_frames_per_stream, label_set=store.label_set, mel_stats=stats,
        num_videos=num_videos,
    )  # fmt: skip
    windows = resident.split_windows(
        store, num_frames=config.source_frames, label_set=store.label_set, mel_stats=stats, num_videos=num_videos,
        start="anywhere",
    )  # fmt: skip
    if not read_words:
        phrases = replace(phrases, object_words=("",) * len(phrases))
    return ClipSet(phrases=phrases, windows=windows, untrained=_untrained(config, store, stats))


def _untrained(config: Config, store: ResidentSplit, stats: MelStats) -> Generate:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = factory.generator(config, num_classes=len(store.label_set))
    return as_generate(
        LoadedGenerator(
            network, config=config, label_set=store.label_set, mel_stats=stats, frame_rate=store.frame_rate,
            progress=Progress(), which="last",
        )
    )  # fmt: skip


def control_table(clips: ClipSet, truth: RegionTruth | None, on_progress: OnProgress) -> str:
    """Markdown table: one row for real clips, for each control and for each corruption; below it, clips without comparison.

    Args:
        truth: of rendered songs: adds the measures by region.
    """
    phrases, spec = clips.phrases, EventSpec()
    measured, undefined = _event_cells(clips, truth, spec, on_progress)
    on_progress("motion and onsets")
    sync = _sync_auc(clips)
    on_progress("audio swap")
    controls = ControlVideos(data=phrases, untrained=clips.untrained)
    fake = controls.read("untrained", slice(0, len(phrases)))
    swap, _ = event_swap(clips.untrained, None, phrases, fake, controls, spec)
    swaps = {**swap.controls, **({} if swap.value is None else {"untrained": swap.value})}
    columns = [*dict.fromkeys(name for cells in measured.values() for name in cells), "event_swap_auc", "sync_auc"]
    lines = ["| videos | " + " | ".join(columns) + " |", "|" + " --- |" * (len(columns) + 1)]
    for title, cells in measured.items():
        row = {**cells, "event_swap_auc": _number(swaps.get(title)), "sync_auc": _number(sync.get(title))}
        lines.append("| " + " | ".join((title, *(row.get(name, "-") for name in columns))) + " |")
    lines += [
        "",
        f"Clips without events that tell them from their negatives (`event_match`): {undefined} of {len(phrases)}.",
    ]
    return "\n".join(lines) + "\n"


def _event_cells(
    clips: ClipSet, truth: RegionTruth | None, spec: EventSpec, on_progress: OnProgress
) -> tuple[dict[str, dict[str, str]], int]:
    """Set -> measure -> text of its cell, and the number of clips for which `event_match` is not defined."""
    data = clips.phrases
    sets = _sets(data, ControlVideos(data=data, untrained=clips.untrained))
    titles = list(sets)
    pairs = VideoPairs(real_NTHWC=data.video_NTHWC, fake_NTHWC=data.video_NTHWC, num_valid_N=data.num_valid_N)
    out: dict[str, dict[str, str]] = {}
    undefined = 0
    for first in range(0, len(titles), SETS_AT_ONCE):
        some = titles[first : first + SETS_AT_ONCE]
        on_progress(f"events: {', '.join(some)}")
        found = event_results(pairs, data, {title: sets[title] for title in some}, truth=truth, spec=spec)
        results = {result.name: result for result in found.results}
        undefined = results["event_match"].num_undefined
        regions = [""] if truth is None else ["", "_object", "_word"]
        names = [name + region for region in regions for name in MEASURES if not (region and name == "flicker_share")]
        names += ["word_read"] if results["word_read"].value is not None else []
        for title in ["real", *some] if first == 0 else some:
            out[title] = {name: _cell(results[name], found.of_controls, title, spec) for name in names}
    return out, undefined


def _cell(
    result: MetricResult, of_controls: Mapping[str, Mapping[str, np.ndarray]], title: str, spec: EventSpec
) -> str:
    text = _number(result.controls.get(title))
    if result.name == "event_match" and title in result.controls:
        wins, comparisons = (of_controls[f"event_match_{column}"][title] for column in ("wins", "comparisons"))
        text += " ({:.2f} to {:.2f})".format(*pooled_interval(wins, comparisons, spec.seed))
    return text


def _sets(data: EvalWindows, controls: ControlVideos) -> dict[str, ReadVideos]:
    """Controls and corruptions of the real clips; each corruption of a clip is the same in every call."""
    sets: dict[str, ReadVideos] = {name: controls.reader(name) for name in controls.names}
    rates_N = np.array([float(rate) for rate in data.frame_rates])

    def noisy_held(rows: slice) -> Videos:
        held = controls.read("held", rows)
        noise = np.random.default_rng([0, rows.start]).standard_normal(held.shape, np.float32)
        return np.clip(np.rint(held + 12.0 * noise), 0, 255).astype(np.uint8)

    sets["held, noise 12 grey levels"] = noisy_held
    for corruption in corruption_table():
        if (corrupt := corruption.corrupt) is not None:
            sets[corruption.title] = lambda rows, corrupt=corrupt: corrupt(
                data.video_NTHWC[rows], rates_N[rows], np.random.default_rng([0, rows.start])
            )
    return sets


def _sync_auc(clips: ClipSet) -> dict[str, float]:
    """`sync_auc` of each set, on the windows of `cssgan evaluate`."""
    data = clips.windows
    pairs = VideoPairs(real_NTHWC=data.video_NTHWC, fake_NTHWC=data.video_NTHWC, num_valid_N=data.num_valid_N)
    controls = ControlVideos(data=data, untrained=clips.untrained, whole_clips=clips.phrases)
    curves = control_curves(controls)
    whole = slice(0, len(data))
    curves |= {
        name: motion_curves(read(whole)) for name, read in _sets(data, controls).items() if name not in controls.names
    }
    of_all = Curves.of_videos(pairs, data, synchrony.window_onset_curves(data), controls=curves)
    found = {result.name: result for result in synchrony_results(of_all, SynchronySpec()).results}
    return dict(found["sync_auc"].controls)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


ONCE = frozenset({
    "word_completes", "letter_appears", "object_unrolls", "object_enters", "word_enters", "object_before_leaves",
    "object_leaves",
})  # fmt: skip
"""Events of `events.csv` that happen once and leave something changed."""
CHOICE = ("62_5", "156_7", "149_0", "102_2", "2_8")
"""Clips on which the parameters of the detection were chosen."""
Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotatedClip:
    """What a person read from the frames of one clip, in seconds from its first frame.

    Args:
        once: intervals of what happens once; those that touch within the tolerance are one.
        bends: intervals in which a letter bends.
    """

    once: tuple[Interval, ...]
    bends: tuple[Interval, ...]


def read_annotations(table: Path) -> dict[str, AnnotatedClip]:
    """The annotations of `events.csv`, by file name without its ending.

    Args:
        table: CSV with the columns file, event, first_frame, last_frame, frames_per_second.

    Raises:
        InputError: the table cannot be read, or lacks a column.
    """
    try:
        rows = pd.read_csv(table)
    except (OSError, ValueError) as error:
        raise InputError(f"{table}: cannot be read ({error}); give the events.csv of the published clips") from error
    needed = ("file", "event", "first_frame", "last_frame", "frames_per_second")
    if absent := [name for name in needed if name not in rows.columns]:
        raise InputError(f"{table}: lacks the columns {', '.join(absent)}; needed: {', '.join(needed)}")
    found: dict[str, list[tuple[str, float, float, float]]] = defaultdict(list)
    for file, event, first, last, rate in zip(*(rows[name] for name in needed), strict=True):
        found[Path(str(file)).stem].append((str(event), float(first) / rate, float(last) / rate, float(rate)))
    return {name: _annotated(events_of_clip) for name, events_of_clip in found.items()}


def _annotated(rows: Sequence[tuple[str, float, float, float]]) -> AnnotatedClip:
    kinds = {kind for kind, *_ in rows}
    once = [(start, end) for kind, start, end, _ in rows if kind in ONCE]
    if "scene_before" in kinds and "letter_appears" not in kinds:
        cut = max(end + 1 / rate for kind, _, end, rate in rows if kind == "scene_before")
        once.append((cut, cut))
    merged: list[Interval] = []
    for start, end in sorted(once):
        if merged and start <= merged[-1][1] + EventSpec().tolerance_seconds:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    bends = tuple((start, end) for kind, start, end, _ in rows if kind == "letter_bends")
    return AnnotatedClip(once=tuple(merged), bends=bends)


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Sums over clips. `hits` of `total` annotated events are found; `right` and `wrong` count the found ones."""

    hits: int = 0
    total: int = 0
    right: int = 0
    wrong: int = 0

    @property
    def recall(self) -> float:
        return self.hits / max(1, self.total)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)


def count(pairs: Sequence[tuple[Times, AnnotatedClip]], tolerance_seconds: float) -> Counts:
    """Events against annotations. An event while a letter bends is neither right nor wrong: it moves slowly and returns."""

    def near(time: float, intervals: Sequence[Interval]) -> bool:
        return any(start - tolerance_seconds <= time <= end + tolerance_seconds for start, end in intervals)

    hits = total = right = wrong = 0
    for times, clip in pairs:
        hits += sum(any(near(time, [interval]) for time in times) for interval in clip.once)
        total += len(clip.once)
        right += sum(near(time, clip.once) for time in times)
        wrong += sum(not near(time, clip.once) and not near(time, clip.bends) for time in times)
    return Counts(hits=hits, total=total, right=right, wrong=wrong)


def _file_of(key: str) -> str:
    """The name of the file that an imported clip is, without its ending: the key is that name and the clip's start."""
    return key.rpartition("-")[0]


def detection_table(store: ResidentSplit, annotations: Mapping[str, AnnotatedClip]) -> str:
    """Markdown table: recall and precision of the events of the annotated clips, with two controls.

    Raises:
        InputError: no clip of the split is annotated.
    """
    spec = EventSpec()
    clips = {clip.key: clip for clip in store.clips}
    names = {_file_of(key): key for key in clips if _file_of(key) in annotations}
    if not names:
        raise InputError(f"annotations of {', '.join(annotations)}: none is of a clip of the dataset")
    times: dict[str, Times] = {}
    seconds: dict[str, float] = {}
    for name, key in names.items():
        clip = clips[key]
        frames = store.window(clip, 0, clip.num_frames).frames_THWC
        times[name] = events.event_times(frames, float(clip.frame_rate), spec)
        seconds[name] = float(clip.num_frames / clip.frame_rate)
    even = events.evenly_placed(list(times.values()), np.array(list(seconds.values())))
    groups = {
        "clips of the choice": [(times[name], annotations[name]) for name in times if name in CHOICE],
        "other clips": [(times[name], annotations[name]) for name in times if name not in CHOICE],
        "all": [(times[name], annotations[name]) for name in times],
        "control: as many events, evenly placed": [
            (found, annotations[name]) for name, found in zip(times, even, strict=True)
        ],
        "control: events of each other clip": [
            (times[other], annotations[name]) for name in times for other in times if other != name
        ],
    }
    lines = ["| | recall | precision |", "| --- | --- | --- |"]
    for title, pairs in groups.items():
        found = count(pairs, spec.tolerance_seconds)
        recall, precision = (f"{found.hits} of {found.total}", f"{found.right} of {found.right + found.wrong}")
        lines.append(f"| {title} | {found.recall:.2f} ({recall}) | {found.precision:.2f} ({precision}) |")
    return "\n".join(lines) + "\n"
