"""Can the model show what the published clips show? Train it on the ten clips, roll each out from its first frame.

    measured = measure(generator, store, annotations)       # one value per set of videos: model and controls
    print(table(measured))

The question is one of capacity: the clips are those that it was trained on, as in the paper's own examples. The material has
no licence: it is measured here, and nothing made from it is published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmarks.events import ONCE
from benchmarks.real_phonics import import_and_shard
from cssgan.config import Config, override
from cssgan.data import resident
from cssgan.data.resident import Clip, ResidentSplit
from cssgan.errors import MetricError
from cssgan.evaluation.evaluate import as_generate, untrained_generator
from cssgan.inference.generate import LoadedGenerator, load_generator
from cssgan.metrics import events, word_reading
from cssgan.metrics.conditions import Objects, bound
from cssgan.metrics.events import EventSpec, Times
from cssgan.presets import preset
from cssgan.training import loop
from phonics_data.contract.files import atomic_path
from phonics_data.errors import InputError
from phonics_data.sources.phonics import phonics_files

SETTINGS = (
    "data.size=64",
    "model.g_output=warp",
    "model.norm=group",
    "model.width=16",
    "model.audio_context=window",
    "model.shuffled_starts=real",
    "order.p_in_order=0.5",
    "loss.l1_weight=20",
    "loss.l2_weight=150",
    "loss.adv_start=100000000",
    "optim.g_lr=2e-3",
    "optim.max_grad_norm=10",
    "optim.lr_decay_fraction=0.3",
    "train.batch_size=8",
    "train.ema_half_life=400",
    "train.threads=1",
    "train.sample_every=0",
    "train.keep_best=false",
    "train.checkpoint_every=500",
    "train.keep_checkpoints=1",
)
"""Changes to preset `tiny`: reconstruction alone, half of the samples a cascade in time order."""
NUM_VIDEOS = 64_000
"""Training videos, repetitions included, of the slow test."""
Video = NDArray[np.uint8]
RollOut = Callable[[Clip, Video], Video]
"""(clip, its real video) -> a video of the same length, uint8 (L, H, W, 3)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotatedEvent:
    """A row of `events.csv` that happens once, in seconds from the first frame of the clip."""

    kind: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One set of videos against the real clips.

    Args:
        l1_over_copy_first: sum of the mean absolute errors of the clips by that of their held first frames.
        found, annotated: events of the annotation with an event of the video within the tolerance, and all of them.
        false_events: events of the videos that are within the tolerance of no annotated event.
        words_read: clips whose object word is read in the last frames; of those whose real word is read. None: no reader.
    """

    l1_over_copy_first: float
    found: int
    annotated: int
    false_events: int
    words_read: int | None


def build(shared: Path, work: Path, out: Path, *, size: int = 64) -> Path:
    """Build the dataset `out` of the ten published clips, all in `train`, each at its own frame rate.

    Raises:
        InputError: as `benchmarks.real_phonics.build`.
    """
    samples = shared / "paper" / "dataset-samples"
    return import_and_shard(phonics_files(samples, samples / "events.csv"), samples, work, out, size=size)


def configuration(num_videos: int, *settings: str) -> Config:
    """The configuration of the training; `num_videos` with repetitions."""
    return override(preset("tiny"), (*SETTINGS, f"train.num_videos={num_videos}", *settings))


def train_and_measure(shared: Path, out: Path, config: Config, *, strip: Path | None = None) -> dict[str, Measured]:
    """Build the dataset in `out`, train or resume `config` in ``out/run``, and measure model and controls.

    Args:
        strip: PNG file to write: for each clip a row of real frames and below it one of generated frames.

    Raises:
        InputError: material is missing or cannot be read.
    """
    dataset = out / "dataset"
    if not (dataset / "dataset.json").exists():
        build(shared, out / "work", dataset, size=config.data.size)
    loop.train(config, dataset, out / "run")
    generator = load_generator(out / "run", which="ema")
    store = resident.load(dataset, "train", config.data.size)
    annotations = read_events(shared / "paper" / "dataset-samples" / "events.csv")
    sets = {"model": roll_out(generator, store), **controls(generator, store)}
    if strip is not None:
        _write_strip(strip, store, sets["model"])
    reads = can_read()
    return {title: measure(store, annotations, make, read_words=reads) for title, make in sets.items()}


def _write_strip(path: Path, store: ResidentSplit, make: RollOut, *, num_frames: int = 14) -> None:
    rows: list[Video] = []
    for clip in store.clips:
        real = store.window(clip, 0, clip.num_frames).frames_THWC
        chosen = np.linspace(0, len(real) - 1, num_frames).astype(int)
        rows += [np.concatenate(list(video[chosen]), axis=1) for video in (real, make(clip, real))]
    picture = Image.fromarray(np.concatenate(rows))
    with atomic_path(path) as temporary:
        picture.resize((picture.width * 2, picture.height * 2)).save(temporary, format="PNG")


def read_events(table: Path) -> dict[str, list[AnnotatedEvent]]:
    """The rows of `events.csv` that happen once (`benchmarks.events.ONCE`), by file name without its ending.

    Raises:
        InputError: the table cannot be read, or lacks a column.
    """
    try:
        rows = pd.read_csv(table)
        found: dict[str, list[AnnotatedEvent]] = {}
        for file, kind, first, last, rate in zip(
            *(rows[name] for name in ("file", "event", "first_frame", "last_frame", "frames_per_second")), strict=True
        ):
            if kind in ONCE:
                event = AnnotatedEvent(kind=str(kind), start_seconds=first / rate, end_seconds=last / rate)
                found.setdefault(Path(str(file)).stem, []).append(event)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{table}: cannot be read ({error}); give the events.csv of the published clips") from error
    return found


def roll_out(generator: LoadedGenerator, store: ResidentSplit, *, with_next_audio: bool = False) -> RollOut:
    """The generator from the first frame of a clip with the clip's audio and object, over its whole length.

    Args:
        with_next_audio: the audio is that of the next clip of `store`.
    """
    generate = as_generate(generator)
    place = {clip.key: index for index, clip in enumerate(store.clips)}

    def run(clip: Clip, real: Video) -> Video:
        audio_of = store.clips[(place[clip.key] + 1) % len(store.clips)] if with_next_audio else clip
        window = store.window(clip, 0, clip.num_frames, audio_of=audio_of)
        mels_NTMU = generator.standardize(window.raw_mels_TMU.copy())[None]
        objects = Objects(pictures_NHWC=store.objects_NHWC[[clip.object_row]], words=(clip.object_word,))
        labels_N = np.array([generator.label_set.index(clip.label)])
        return bound(generate, objects)(real[:1], mels_NTMU, labels_N)[0]

    return run


def controls(generator: LoadedGenerator, store: ResidentSplit) -> dict[str, RollOut]:
    """Solutions without a trained model: what they reach proves nothing."""

    def held(clip: Clip, real: Video) -> Video:
        return np.repeat(real[:1], len(real), axis=0)

    def flash(clip: Clip, real: Video) -> Video:
        out = held(clip, real).astype(np.int16)
        every = round(float(clip.frame_rate) / 3)
        out[every::every] += 40
        return np.clip(out, 0, 255).astype(np.uint8)

    return {
        "real": lambda clip, real: real,
        "held first frame": held,
        "flash, three a second": flash,
        "untrained network": roll_out(untrained_generator(generator), store),
        "the model with another clip's audio": roll_out(generator, store, with_next_audio=True),
    }


def measure(
    store: ResidentSplit, annotations: Mapping[str, list[AnnotatedEvent]], make: RollOut, *, read_words: bool = True
) -> Measured:
    """Roll out every clip and compare it with the real one."""
    spec = EventSpec()
    errors, copies = 0.0, 0.0
    found = annotated = false_events = words = 0
    for clip in store.clips:
        real = store.window(clip, 0, clip.num_frames).frames_THWC
        video, rate = make(clip, real), float(clip.frame_rate)
        errors += float(np.abs(video.astype(np.int16) - real).mean())
        copies += float(np.abs(real[:1].astype(np.int16) - real).mean())
        of_clip = annotations.get(clip.key.rpartition("-")[0], [])
        times = events.event_times(video, rate, spec)
        found += sum(bool(_near(times, event, spec.tolerance_seconds).any()) for event in of_clip)
        annotated += len(of_clip)
        near_any = np.zeros(len(times), bool)
        for event in of_clip:
            near_any |= _near(times, event, spec.tolerance_seconds)
        false_events += int((~near_any).sum())
        if read_words and clip.object_word and word_reading.shows(real, rate, clip.object_word):
            words += word_reading.shows(video, rate, clip.object_word)
    return Measured(
        l1_over_copy_first=errors / max(copies, 1e-9), found=found, annotated=annotated, false_events=false_events,
        words_read=words if read_words else None,
    )  # fmt: skip


def _near(times: Times, event: AnnotatedEvent, tolerance_seconds: float) -> NDArray[np.bool_]:
    return (times >= event.start_seconds - tolerance_seconds) & (times <= event.end_seconds + tolerance_seconds)


def can_read() -> bool:
    """Whether the reader of words is installed."""
    try:
        word_reading.shows(np.zeros((1, 64, 64, 3), np.uint8), 25.0, "word")
    except MetricError:
        return False
    return True


def table(measured: Mapping[str, Measured]) -> str:
    """Markdown: one row per set of videos."""
    lines = ["| videos | L1 over copy-first | events found | other events | words read |", "| --- " * 5 + "|"]
    for title, one in measured.items():
        words = "-" if one.words_read is None else one.words_read
        lines.append(
            f"| {title} | {one.l1_over_copy_first:.3f} | {one.found} of {one.annotated} | {one.false_events} | {words} |"
        )
    return "\n".join(lines) + "\n"
