"""`cssgan evaluate`: generates one uint8 video for every window of a split and computes all metrics on these arrays.

`evaluate` is pure (a generate function and arrays). `evaluate_run` loads a run and its dataset, and writes the report.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from cssgan.data import object_pictures, resident, windowing
from cssgan.data.batches import to_uint8
from cssgan.data.shards import Dataset, available_splits, find_shards, shards_digest
from cssgan.evaluation.gates import gate_rows, missed
from cssgan.evaluation.report import Evaluation, show, write, write_per_video, write_side_by_side
from cssgan.evaluators import checkpoint
from cssgan.evaluators.checkpoint import TrainedEvaluators
from cssgan.evaluators.inference import embed_videos, empty_embeddings
from cssgan.evaluators.networks import SyncNet
from cssgan.evaluators.results import SwappedVideos, evaluator_results
from cssgan.inference.generate import LoadedGenerator, eval_windows, load_generator
from cssgan.metrics import region_truth, synchrony
from cssgan.metrics.conditions import Generate, ObjectGenerate, Objects, generate_rows
from cssgan.metrics.controls import ControlVideos, flash_generator
from cssgan.metrics.event_results import event_results
from cssgan.metrics.event_swap import SwappedEvents, event_swap_result, swap_partners, times_of
from cssgan.metrics.events import EventSpec, Times
from cssgan.metrics.image_quality import image_quality_results, l1_over_copy_first_result
from cssgan.metrics.motion import motion_curves, motion_results
from cssgan.metrics.networks.pretrained import PretrainedNetworks
from cssgan.metrics.object_swap import object_swap_result
from cssgan.metrics.pretrained_metrics import pretrained_network_results
from cssgan.metrics.random_feature_distance import random_feature_results
from cssgan.metrics.real_pool import RealPool
from cssgan.metrics.region_truth import RegionTruth
from cssgan.metrics.result import ControlName, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.sensitivity import sensitivity_results
from cssgan.metrics.synchrony import SynchronySpec
from cssgan.metrics.synchrony_results import Curves, control_curves, synchrony_results
from cssgan.metrics.videos import Floats, Ints, ReadVideos, VideoPairs, Videos, blocks
from cssgan.models import factory
from cssgan.storage import memmap
from cssgan.storage.memmap import release_pages
from cssgan.types import EvalWindows, Progress, Split, Window
from phonics_data.contract.untrusted import read_json_object
from phonics_data.errors import InputError, PhonicsDataError

SCHEMA_VERSION = 3
MAX_DECODED_BYTES = 4_000_000_000
"""Larger training splits are not decoded for the floor of distances."""
PHRASE_SECONDS = 4.0
"""Longest window of the event measures: real clips last 1.6 to 5.3 s, half of them less than 3.5 s."""
SWAP_VIDEOS = 6
"""Images and audio signals of the swap test: 36 videos."""
log = logging.getLogger("cssgan")


class GatesMissedError(PhonicsDataError):
    """The model misses a gate."""


def evaluate(
    generate: Generate,
    data: EvalWindows,
    *,
    phrases: EvalWindows | None = None,
    untrained: Generate | None = None,
    truth: RegionTruth | None = None,
    clip_frames: int = 8,
    stride: int = 1,
    protocol: Mapping[str, ProtocolValue] | None = None,
    header: Mapping[str, Any] | None = None,
    networks: PretrainedNetworks | None = None,
    evaluators: TrainedEvaluators | None = None,
    evaluators_caution: str = "",
    pool: RealPool | None = None,
    read_words: bool = True,
    seed: int = 0,
) -> Evaluation:
    """Compute all metrics. Those of pretrained networks and evaluators that are not given are unavailable.

    Args:
        generate: (first frames uint8 (n, H, W, 3), model-input mels (n, T, M, U), class indices) -> uint8 videos; an
            `ObjectGenerate` also gets the object of each clip.
        phrases: windows of the same clips in the same order that begin at the first frame of each clip and contain its
            whole phrase, for the event measures; None: `data` is used for these too.
        untrained: a generator of the same configuration with random weights, a control; None: without it.
        truth: events and regions of rendered songs; None: event measures of the whole frame only.
        clip_frames: frames of one clip of the cascade.
        stride: frames for which the model holds each generated frame (`data.frame_stride`).
        protocol: fields that are added to the protocol of every result.
        header: description of model and dataset for the report.
        evaluators_caution: caution for the results of the evaluators (`TrainedEvaluators.caution`).
        pool: other real windows for the floor of distances at the number of evaluated videos; None: no floor.
        read_words: False: `word_read` is unavailable; reading takes about a quarter of the time.
        seed: of mismatched pairings, bootstrap resamples and the halves of the real set.
    """
    n, real = len(data), data.video_NTHWC
    log.info("generating %d videos", n)
    images, model_mels = real[:, 0], data.mels_NTMU
    fake = _generate_all(generate, data)
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=fake, num_valid_N=data.num_valid_N)
    controls = ControlVideos(data=data, untrained=untrained, whole_clips=phrases, seed=seed)
    other: Ints | None = None
    swapped_curves: dict[str, Floats] = {}
    swapped: SwappedVideos | None = None
    if n >= 2:
        log.info("generating %d videos from the audio of other videos, a control of the synchrony metrics", n)
        other = synchrony.mismatched_pairing(n, np.random.default_rng(seed))
        swapped_curves, swapped = _generate_swapped(generate, untrained, data, other, evaluators)
    onset_NT = synchrony.window_onset_curves(data)
    log.info("computing the metrics")
    curves = Curves.of_videos(
        pairs, data, onset_NT, controls=control_curves(controls), swapped=swapped_curves, other_N=other
    )
    of_synchrony = synchrony_results(curves, SynchronySpec(seed=seed))
    of_events, event_values = _event_results(
        generate, data, phrases, fake=fake, untrained=untrained, truth=truth, clip_frames=clip_frames,
        read_words=read_words, seed=seed,
    )  # fmt: skip
    chosen, real_set = _swap_test_videos(data.num_valid_N), _shared_protocol(data)
    of_evaluators = evaluator_results(
        evaluators, pairs, data, swapped=swapped, controls=controls, caution=evaluators_caution, seed=seed
    )
    conditions = (images[chosen], model_mels[chosen], data.labels_N[chosen], data.num_valid_N[chosen])
    generators = {"flash": flash_generator(float(data.frame_rates[int(chosen[0])]))}
    generators |= {} if untrained is None else {"untrained": untrained}
    results = [
        *of_events,
        *image_quality_results(pairs, clip_frames, seed, {name: controls.reader(name) for name in controls.names}),
        *motion_results(pairs, clip_frames, seed, stride=stride),
        *of_synchrony.results,
        *sensitivity_results(generate, *conditions, objects_K=Objects.of(data, chosen), controls=generators),
        *random_feature_results(pairs, seed, pool),
        *pretrained_network_results(pairs, networks or PretrainedNetworks(), real_set, seed, pool),
        *of_evaluators.results,
    ]
    shared = {**real_set, **(protocol or {})}
    with_protocol = tuple(result.with_protocol(shared) for result in results)
    return Evaluation(
        results=with_protocol,
        gates=tuple(gate_rows(with_protocol)),
        header=header or {},
        pairs=pairs,
        onset_NT=onset_NT,
        per_video={**of_synchrony.per_video, **event_values, **of_evaluators.per_video},
    )


def _event_results(
    generate: Generate,
    data: EvalWindows,
    phrases: EvalWindows | None,
    *,
    fake: Videos,
    untrained: Generate | None,
    truth: RegionTruth | None,
    clip_frames: int,
    read_words: bool,
    seed: int,
) -> tuple[list[MetricResult], dict[str, Floats]]:
    """The event measures of whole phrases with their controls, and their values per video."""
    spec = EventSpec(seed=seed, read_words=read_words)
    if phrases is not None:
        log.info("generating %d whole phrases, %d frames each", len(data), phrases.video_NTHWC.shape[1])
        data, fake = phrases, _generate_all(generate, phrases)
    pairs = VideoPairs(real_NTHWC=data.video_NTHWC, fake_NTHWC=fake, num_valid_N=data.num_valid_N)
    controls = ControlVideos(data=data, untrained=untrained, seed=seed)
    readers = {name: controls.reader(name) for name in controls.names}
    found = event_results(pairs, data, readers, truth=truth, spec=spec)
    of_phrases = replace(l1_over_copy_first_result(pairs, clip_frames, seed, readers), name="phrase_l1_over_copy_first")
    seconds = float(max(count / rate for count, rate in zip(data.num_valid_N, data.frame_rates, strict=True)))
    protocol: dict[str, ProtocolValue] = {
        "window_start": "first frame of the clip", "frames": data.video_NTHWC.shape[1],
        "longest_seconds": round(seconds, 3),
    }  # fmt: skip
    swap, swap_N = event_swap(generate, untrained, data, fake, controls, spec)
    results, values = [*found.results, of_phrases, swap], {**found.per_video, swap.name: swap_N}
    if isinstance(generate, ObjectGenerate):
        log.info("generating whole phrases with the objects of other clips")
        result, value_N = object_swap_result(generate, untrained, data, spec)
        results, values = [*results, result], {**values, result.name: value_N}
    return [result.with_protocol(protocol) for result in results], values


def event_swap(
    generate: Generate,
    untrained: Generate | None,
    data: EvalWindows,
    fake: Videos,
    controls: ControlVideos,
    spec: EventSpec,
) -> tuple[MetricResult, Floats]:
    """The audio swap test of events (`cssgan.metrics.event_swap`) with the values per video.

    Args:
        data: whole phrases.
        fake: their generated videos; those from other audio are not kept.
        controls: those of `data`.
    """
    partner = swap_partners(data.video_ids, data.frame_rates, np.random.default_rng(spec.seed))
    chosen, value_N = np.flatnonzero(partner >= 0), np.full(len(data), np.nan)
    if not len(chosen):
        reason = "no two clips of a source video have the same frame rate"
        count = len(data)
        return unavailable("event_swap_auc", reason, better="higher", n_real=count, n_fake=2 * count), value_N
    log.info("generating %d whole phrases from the audio of other clips", len(chosen))
    everything = len(chosen) == len(data)
    some, other = data if everything else data.select(chosen), np.searchsorted(chosen, partner[chosen])
    shared_N = np.minimum(some.num_valid_N, some.num_valid_N[other])
    real_times = times_of(lambda rows: some.video_NTHWC[rows], some, some.num_valid_N, spec)

    def found(read: ReadVideos) -> list[Times]:
        return times_of(read, some, shared_N, spec)

    def from_other_audio(model: Generate) -> ReadVideos:
        return lambda rows: generate_rows(model, some, rows, audio=other[rows])

    def of_control(name: ControlName) -> ReadVideos:
        if everything:
            return controls.reader(name)
        return lambda rows: np.concatenate([controls.read(name, slice(n, n + 1)) for n in chosen[rows].tolist()])

    own = {"generated": found(lambda rows: fake[chosen[rows]]), "real": real_times}
    swapped = {"generated": found(from_other_audio(generate)), "real": [real_times[clip] for clip in other]}
    for name in controls.names:
        if name == "untrained" and untrained is None:
            continue
        own[name] = found(of_control(name))
        if name == "untrained" and untrained is not None:
            swapped[name] = found(from_other_audio(untrained))
        elif name == "flash":
            swapped[name] = found(lambda rows: _with_other_audio(some, rows, other).read("flash", slice(None)))
        else:
            swapped[name] = found(of_control(name))  # made of pictures alone
    result, value_N[chosen] = event_swap_result(
        SwappedEvents(own=own, swapped=swapped, other_N=other), some, spec,
        num_alone=len(data) - len(chosen),
    )  # fmt: skip
    return result, value_N


def _with_other_audio(data: EvalWindows, rows: slice, other_N: Ints) -> ControlVideos:
    """Controls of some windows with the audio of the windows `other_N` instead of their own."""
    block, audio = data.select(np.arange(len(data))[rows]), data.select(other_N[rows])
    return ControlVideos(
        data=replace(block, raw_mels_NTMU=audio.raw_mels_NTMU, mels_NTMU=audio.mels_NTMU, frame_rates=audio.frame_rates)
    )


def _generate_swapped(
    generate: Generate,
    untrained: Generate | None,
    data: EvalWindows,
    other_N: Ints,
    evaluators: TrainedEvaluators | None,
) -> tuple[dict[str, Floats], SwappedVideos | None]:
    """Motion curves and synchrony embeddings of the videos generated from the audio `other_N`, and curves of controls.

    The videos themselves are not kept.
    """
    evaluator = None if evaluators is None else evaluators.evaluators.get("sync")
    count, num_frames = data.video_NTHWC.shape[:2]
    # Allocated before the videos: small arrays between large ones that are freed would keep the heap from shrinking.
    names = ("fake", "flash", *(() if untrained is None else ("untrained",)))
    curves = {name: np.zeros((count, num_frames - 1)) for name in names}
    embeddings = empty_embeddings(count, num_frames)
    for rows in blocks(count, 32, data.video_NTHWC, data.mels_NTMU, data.raw_mels_NTMU):
        videos = generate_rows(generate, data, rows, audio=other_N[rows])
        curves["fake"][rows] = motion_curves(videos)
        if evaluator is not None:
            embed_videos(
                cast("SyncNet", evaluator.network), videos, data.num_valid_N[other_N[rows]], embeddings.rows(rows)
            )
        curves["flash"][rows] = motion_curves(_with_other_audio(data, rows, other_N).read("flash", slice(None)))
        if untrained is not None:
            curves["untrained"][rows] = motion_curves(generate_rows(untrained, data, rows, audio=other_N[rows]))
    return curves, None if evaluator is None else SwappedVideos(embeddings=embeddings, other_N=other_N)


def _generate_all(generate: Generate, data: EvalWindows) -> Videos:
    """Videos of all windows, a block at a time, so that only one block exists in float."""
    out: Videos | None = None
    for rows in blocks(len(data), 32, data.video_NTHWC[:, 0], data.mels_NTMU):
        videos = generate_rows(generate, data, rows)
        out = memmap.empty((len(data), *videos.shape[1:]), np.uint8) if out is None else out
        out[rows] = videos
        release_pages(out)
    assert out is not None
    return out


def _swap_test_videos(num_valid_N: Ints) -> Ints:
    """Indices of the videos of the swap test: the longest ones, evenly over the split."""
    longest = np.flatnonzero(num_valid_N == num_valid_N.max())
    if len(longest) < min(2, len(num_valid_N)):
        longest = np.sort(np.argsort(-num_valid_N, kind="stable")[:SWAP_VIDEOS])
    return longest[np.unique(np.linspace(0, len(longest) - 1, SWAP_VIDEOS).astype(np.int64))]


def _shared_protocol(data: EvalWindows) -> dict[str, ProtocolValue]:
    num_frames, height, width = data.video_NTHWC.shape[1:4]
    digest = hashlib.sha256()
    for array in (data.video_NTHWC, data.raw_mels_NTMU, data.num_valid_N, data.labels_N):
        for rows in blocks(len(array), 32, array):
            digest.update(np.ascontiguousarray(array[rows]).tobytes())
    return {
        "frames": num_frames,
        "size": f"{height}x{width}",
        "frame_rates": " ".join(sorted({str(rate) for rate in data.frame_rates})),
        "frame_stride": 1,
        "quantized": "uint8, round((x + 1) * 127.5)",
        "num_source_videos": len(set(data.video_ids)),
        "real_set_sha256": digest.hexdigest()[:16],
    }


def real_pool(
    shards: Dataset, split: Split, generator: LoadedGenerator, num_evaluated: int, *, seed: int = 0
) -> RealPool:
    """Windows of twice as many real clips as are evaluated, or of as many as there are, for the floor of distances.

    They are sampled from the evaluated split, and from the others if it has too few clips. Training clips are only used
    if their shards are small enough to be decoded for this purpose (`MAX_DECODED_BYTES`).
    """
    config, available = generator.config.data, available_splits(shards)
    num_frames = generator.config.source_frames
    clips: list[tuple[resident.ResidentSplit, resident.Clip]] = []
    used: list[str] = []
    others: tuple[Split, ...] = ("validation", "test", "train")
    names: list[Split] = [split, *(other for other in others if other != split)]
    for name in names:
        if len(clips) >= 2 * num_evaluated or name not in available:
            continue
        paths = find_shards(shards, name)
        if name == "train" != split and sum(path.num_bytes for path in paths) > MAX_DECODED_BYTES:
            continue
        store = resident.load(shards, name, config.size)
        clips += [(store, clip) for clip in store.clips]
        used.append(f"{name} {shards_digest(paths)}")
    order = np.random.default_rng(seed).permutation(len(clips))[: 2 * num_evaluated]

    def read(rows: slice) -> tuple[Videos, Ints]:
        parts: list[Window] = []
        for index in order[rows]:
            store, clip = clips[index]
            start = windowing.sampled_start(clip.key, clip.num_frames, num_frames, seed)
            parts.append(store.window(clip, start, num_frames))
            release_pages(store.frames_NHWC)
        valid = np.array([part.num_valid_frames for part in parts], np.int64)
        return np.stack([part.frames_THWC for part in parts]), valid

    return RealPool(count=len(order), name=f"{len(clips)} clips of {', '.join(used)}, seed {seed}", read=read)


def as_generate(generator: LoadedGenerator, seed: int = 0) -> Generate:
    """The generator as a function of NumPy arrays; an `ObjectGenerate` if its model takes objects or their words.

    Args:
        seed: of the noise.
    """

    model = generator.config.model

    def generate(
        images_NHWC: NDArray[np.uint8], mels_NTMU: NDArray[np.float32], labels_N: Ints, objects: Objects | None
    ) -> Videos:
        image_NCHW = torch.from_numpy(np.ascontiguousarray(images_NHWC)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        mels, labels = torch.from_numpy(np.ascontiguousarray(mels_NTMU)), torch.from_numpy(labels_N)
        picture = word = None
        if objects is not None:
            picture, word = object_pictures.model_inputs(
                generator.config, objects.pictures_NHWC, objects.words, torch.device("cpu")
            )
        video = generator.generate(image_NCHW, mels, labels, object_BCHW=picture, word_BE=word, seed=seed)
        return np.ascontiguousarray(to_uint8(video))

    if model.object_condition or model.word_dim:
        return ObjectGenerate(generate)
    return lambda images_NHWC, mels_NTMU, labels_N: generate(images_NHWC, mels_NTMU, labels_N, None)


def untrained_generator(generator: LoadedGenerator, seed: int = 0) -> LoadedGenerator:
    """A generator of the same configuration with random weights, a control of what needs no training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = factory.generator(generator.config, num_classes=len(generator.label_set))
    untrained = LoadedGenerator(
        network, config=generator.config, label_set=generator.label_set, mel_stats=generator.mel_stats,
        frame_rate=generator.frame_rate, progress=Progress(), which="last",
    )  # fmt: skip
    return untrained.to(generator.device)


def phrase_windows(
    shards: Dataset,
    split: Split,
    generator: LoadedGenerator,
    *,
    num_videos: int | None = None,
    seconds: float = PHRASE_SECONDS,
) -> EvalWindows:
    """`resident.phrase_windows` of the clips of `eval_windows`.

    Their length is a multiple of the frames that the model's stream spans. A model generates them by a rollout
    (`VideoGenerator.rollout`), past the length that it was trained with.
    """
    config = generator.config
    return resident.phrase_windows(
        resident.load(shards, split, config.data.size), seconds=seconds, multiple=config.source_frames_per_stream,
        label_set=generator.label_set, mel_stats=generator.mel_stats, num_videos=num_videos,
        clip_frames=config.context_frames,
    )  # fmt: skip


def evaluate_run(
    run: Path,
    shards: Dataset,
    *,
    split: Split = "test",
    out: Path | None = None,
    num_videos: int | None = None,
    gates: bool = False,
    which: Literal["last", "ema"] = "last",
    networks: PretrainedNetworks | None = None,
    evaluators: Path | None = None,
    truth: Path | None = None,
    per_video: bool = False,
    read_words: bool = True,
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluate the newest checkpoint of `run` on a split of `shards`, write the report, print it to stderr.

    Args:
        out: JSON file, default RUN/evaluation.json; the table (.md) and images (strip.png, curves.png, moving.webp) are
            written beside it.
        num_videos: maximum number of videos, evenly over the split.
        gates: fail if a bound of `GateBounds` is missed.
        which: weights of the last step or their exponential moving average.
        networks: pretrained networks; None: their metrics are unavailable.
        evaluators: folder of `cssgan evaluators train`; None: their metrics are unavailable.
        truth: folder of rendered songs with events.parquet and regions.parquet; None: no event measures by region.
        read_words: False: `word_read` is unavailable.
        per_video: write videos.parquet beside the report, one row per video (`cssgan.metrics.per_video`).
        seed: of the noise and of everything that is sampled in the metrics.

    Returns:
        The content of the JSON file.

    Raises:
        GatesMissedError: with `gates`, after everything is written, if one is missed.
        CheckpointError, DatasetError: as `load_generator` and `eval_windows`.
        EvaluatorError: the evaluators cannot be read, or were trained on another size, length or label set.
        InputError: `truth` has no such tables.
    """
    started = time.monotonic()
    generator = load_generator(run, which=which, device=device)
    trained = None if evaluators is None else checkpoint.load(evaluators, device=device)
    if trained is not None:
        config = generator.config
        trained.check(size=config.data.size, num_frames=config.source_frames, label_set=generator.label_set)
    regions = None if truth is None else region_truth.read(truth)
    if truth is not None and regions is None:
        raise InputError(f"{truth}: has no events.parquet and regions.parquet; give a folder of `phonics-data render`")
    # Clips begin with the first syllable of their phrase. Windows from frame 0 have nearly equal onset curves, and no
    # metric can determine which audio a video follows (`cssgan.metrics.synchrony`). Events need the whole phrase.
    data = eval_windows(shards, split, generator, num_videos=num_videos, start="anywhere")
    phrases = phrase_windows(shards, split, generator, num_videos=num_videos)
    header = {
        "schema_version": SCHEMA_VERSION,
        "run": str(run),
        "weights": which,
        "num_steps": generator.progress.num_steps,
        "num_videos_seen": generator.progress.num_videos,
        "config_sha256": hashlib.sha256(repr(generator.config).encode()).hexdigest()[:16],
        "dataset": str(shards),
        "split": split,
        "num_evaluated": len(data),
        "seed": seed,
        "versions": {name: version(name) for name in ("numpy", "scipy", "torch")}
        | {"python": platform.python_version()},
    }
    stride = generator.config.data.frame_stride
    protocol: dict[str, ProtocolValue] = {
        "split": split,
        "weights": which,
        "window_start": "sampled with the clip's key",
        "seed_of_noise": seed,
        "generated_frames_held": stride,
    }
    clip_frames = generator.config.source_frames_per_clip
    pool = real_pool(shards, split, generator, len(data), seed=seed)
    evaluation = evaluate(
        as_generate(generator, seed), data, phrases=phrases,
        untrained=as_generate(untrained_generator(generator, seed), seed), truth=regions,
        clip_frames=clip_frames, stride=stride, protocol=protocol, header=header, networks=networks, evaluators=trained,
        evaluators_caution="" if trained is None else trained.caution(shards, split), pool=pool, read_words=read_words, seed=seed,
    )  # fmt: skip
    report = {**evaluation.as_json(), "wall_seconds": round(time.monotonic() - started, 1)}
    written = write(evaluation, data, report, out or run / "evaluation.json")
    if per_video:
        written.append(write_per_video(evaluation, data, written[0], clip_frames=clip_frames, stride=stride))
    show(evaluation, gates=gates)
    log.info("wrote %s", ", ".join(str(path) for path in written))
    if gates and not evaluation.passed:
        raise GatesMissedError(f"{run}: gates missed: {missed(evaluation.gates)}; train longer, or see {written[0]}")
    return report


def evaluate_splits(
    run: Path, shards: Dataset, splits: Sequence[Split], *, out: Path | None = None, gates: bool = False, **options: Any
) -> dict[Split, dict[str, Any]]:
    """`evaluate_run` for several splits, then a table with all of them side by side.

    The first split is written to `out` (default RUN/evaluation.json), every further one beside it as NAME-SPLIT.json; the
    table is appended to the Markdown file of the first split and printed.

    Args:
        gates: of the first split.
        options: as for `evaluate_run`.

    Returns:
        The contents of the JSON files by split.

    Raises:
        As `evaluate_run`.
    """
    first = out or run / "evaluation.json"
    paths: dict[Split, Path] = {
        split: first if split == splits[0] else first.with_name(f"{first.stem}-{split}{first.suffix}")
        for split in splits
    }
    missed_gates: GatesMissedError | None = None
    reports: dict[Split, dict[str, Any]] = {}
    for split, path in paths.items():
        try:
            reports[split] = evaluate_run(run, shards, split=split, out=path, gates=gates and path == first, **options)
        except GatesMissedError as error:  # the report is written; the other splits are evaluated too
            missed_gates, reports[split] = error, read_json_object(path, any_numbers=True)
    if len(reports) > 1:
        write_side_by_side(reports, first)
    if missed_gates is not None:
        raise missed_gates
    return reports
