"""A trained run -> its measures: every window of a split is generated once, to uint8, and everything is computed on that.

`evaluate` is pure (a callable that generates, and arrays); `evaluate_run` loads, writes and prints.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cssgan.data import resident, windowing
from cssgan.data.shards import Dataset, digest, find, splits
from cssgan.evaluation.gates import GateBounds, gate_rows
from cssgan.evaluation.report import Evaluation, show, value_of, write, write_each
from cssgan.evaluators import checkpoint as evaluators_store
from cssgan.evaluators.checkpoint import TrainedEvaluators
from cssgan.evaluators.inference import embed_videos, no_embeddings
from cssgan.evaluators.networks import SyncNet
from cssgan.evaluators.suite import Swapped, evaluator_results
from cssgan.inference.generate import LoadedGenerator, load_generator, windows
from cssgan.metrics import feature_suite, suite, synchrony, synchrony_suite
from cssgan.metrics.motion import motion_curves, motion_mask
from cssgan.metrics.network_suite import Networks, pretrained_results
from cssgan.metrics.real_pool import RealPool
from cssgan.metrics.result import ProtocolValue
from cssgan.metrics.sensitivity import Generate
from cssgan.metrics.synchrony import SynchronySpec
from cssgan.metrics.synchrony_suite import Curves
from cssgan.metrics.videos import Floats, Ints, VideoPairs, Videos, blocks
from cssgan.storage import memmap
from cssgan.storage.memmap import release_pages
from cssgan.types import EvalWindows, Split, Window
from phonics_data.errors import PhonicsDataError

SCHEMA_VERSION = 1
MAX_DECODED_BYTES = 4_000_000_000
"""Training shards of more bytes are not decoded for the floor of distances."""
SWAP_VIDEOS = 6
"""Pictures and sounds of the swap test: 36 videos."""
log = logging.getLogger("cssgan")


class GatesMissedError(PhonicsDataError):
    """The model was measured and does not reach a gate."""


def evaluate(
    generate: Generate,
    data: EvalWindows,
    *,
    clip_frames: int = 8,
    protocol: Mapping[str, ProtocolValue] | None = None,
    header: Mapping[str, Any] | None = None,
    spec: SynchronySpec | None = None,
    bounds: GateBounds | None = None,
    networks: Networks | None = None,
    evaluators: TrainedEvaluators | None = None,
    evaluators_caution: str = "",
    pool: RealPool | None = None,
    seed: int = 0,
) -> Evaluation:
    """All measures; those of pretrained networks and of evaluators are unavailable where `networks` or `evaluators` lack theirs.

    Args:
        evaluators_caution: why what the evaluators say should be read with care (`TrainedEvaluators.caution`).
        generate: (first frames uint8 (n, H, W, 3), model-input mels (n, T, M, U), class indices) -> uint8 videos.
        protocol: fields that hold for every result; they are added to each.
        pool: other real windows, for the floor of distances at the number that is judged; None: it is not given.
        seed: of mismatched pairings, bootstrap resamples and the halves of the real set.
    """
    spec = spec or SynchronySpec(seed=seed)
    n, real = len(data), data.video_NTHWC
    log.info("generating %d videos", n)
    images, use_mels = real[:, 0], data.mels_NTMU
    fake = _in_blocks(generate, images, use_mels, data.labels_N)
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=fake, num_valid_N=data.num_valid_N)
    swapped_NK: Floats | None = None
    swapped: Swapped | None = None
    other: Ints | None = None
    if n >= 2:
        log.info("generating them again from other videos' sounds, the control of the synchrony measures")
        other = synchrony.mismatched(n, np.random.default_rng(seed))
        swapped_NK, swapped = _swapped(generate, data, other, evaluators)
    onset_NT = synchrony.onset_curves(
        data.raw_mels_NTMU, np.array([synchrony.hops_per_frame(rate) for rate in data.frame_rates])
    )
    log.info("measuring")
    chosen, real_set = _swap_choice(data.num_valid_N), _shared_protocol(data)
    results = [
        *suite.paired_results(pairs, clip_frames, seed),
        *suite.motion_results(pairs, clip_frames, seed),
        *synchrony_suite.synchrony_results(
            Curves(
                real_NK=motion_curves(real), fake_NK=motion_curves(fake), onset_NK=onset_NT[:, 1:],
                use_NK=motion_mask(pairs.valid), sources=data.video_ids, other_N=other,
                swapped_NK=swapped_NK,
                frames_per_second_N=np.array([float(rate) for rate in data.frame_rates]),
            ),
            spec,
        ),
        *suite.sensitivity_results(
            generate, images[chosen], use_mels[chosen], data.labels_N[chosen], data.num_valid_N[chosen]
        ),
        *feature_suite.feature_results(pairs, seed, pool),
        *pretrained_results(pairs, networks or Networks(), real_set, seed, pool),
    ]  # fmt: skip
    said = evaluator_results(evaluators, pairs, data, swapped=swapped, caution=evaluators_caution, seed=seed)
    results += said.results
    shared = {**real_set, **(protocol or {})}
    shared_results = tuple(result.under(shared) for result in results)
    return Evaluation(
        results=shared_results,
        gates=tuple(gate_rows(shared_results, bounds)),
        header=header or {},
        pairs=pairs,
        onset_NT=onset_NT,
        each=said.each,
    )


def _swapped(
    generate: Generate, data: EvalWindows, other_N: Ints, evaluators: TrainedEvaluators | None
) -> tuple[Floats, Swapped | None]:
    """Motion curves of the videos made from the sounds `other_N`, and what the synchrony evaluator sees in them.

    That is all that is needed: the videos themselves are let go block by block.
    """
    evaluator = None if evaluators is None else evaluators.evaluators.get("sync")
    count, num_frames = data.video_NTHWC.shape[:2]
    # Room is taken first: small arrays that stay between large ones that go would keep the heap from shrinking.
    curves, codes = np.zeros((count, num_frames - 1)), no_embeddings(count, num_frames)
    for rows in blocks(count, 32, data.video_NTHWC, data.mels_NTMU):
        videos = generate(data.video_NTHWC[rows, 0], data.mels_NTMU[other_N[rows]], data.labels_N[rows])
        curves[rows] = motion_curves(videos)
        if evaluator is not None:
            embed_videos(cast("SyncNet", evaluator.network), videos, data.num_valid_N[rows], codes.rows(rows))
    return curves, None if evaluator is None else Swapped(codes=codes, other_N=other_N)


def _in_blocks(
    generate: Generate, images: NDArray[np.uint8], mels: NDArray[np.float32], labels: Ints, block: int = 32
) -> Videos:
    """Videos of all conditions; a block at a time, so that floats of thousands of videos never exist at once."""
    out: Videos | None = None
    for rows in blocks(len(images), block, images, mels):
        videos = generate(images[rows], mels[rows], labels[rows])
        out = memmap.empty((len(images), *videos.shape[1:]), np.uint8) if out is None else out
        out[rows] = videos
        release_pages(out)
    assert out is not None
    return out


def _swap_choice(num_valid_N: Ints) -> Ints:
    """Indices of the videos of the swap test: the longest ones, spread evenly over the split."""
    longest = np.flatnonzero(num_valid_N == num_valid_N.max())
    if len(longest) < min(2, len(num_valid_N)):
        longest = np.sort(np.argsort(-num_valid_N, kind="stable")[:SWAP_VIDEOS])
    return longest[np.unique(np.linspace(0, len(longest) - 1, SWAP_VIDEOS).astype(np.int64))]


def _shared_protocol(data: EvalWindows) -> dict[str, ProtocolValue]:
    num_frames, height, width = data.video_NTHWC.shape[1:4]
    whole = hashlib.sha256()
    for array in (data.video_NTHWC, data.raw_mels_NTMU, data.num_valid_N, data.labels_N):
        for rows in blocks(len(array), 32, array):
            whole.update(np.ascontiguousarray(array[rows]).tobytes())
    return {
        "frames": num_frames,
        "size": f"{height}x{width}",
        "frame_rates": " ".join(sorted({str(rate) for rate in data.frame_rates})),
        "frame_stride": 1,
        "quantized": "uint8, round((x + 1) * 127.5)",
        "num_source_videos": len(set(data.video_ids)),
        "real_set_sha256": whole.hexdigest()[:16],
    }


def windows_anywhere(
    shards: Dataset, split: Split, generator: LoadedGenerator, *, num_videos: int | None = None, seed: int = 0
) -> EvalWindows:
    """One window of each short video, beginning anywhere in it, as in training; drawn from (seed, key) alone.

    Clips begin with the first syllable of their phrase. Windows from frame 0 therefore have nearly the same onset
    curve each, and no measure can tell whose sound a video follows (`cssgan.metrics.synchrony`).

    Raises:
        DatasetError: as `cssgan.inference.generate.windows`.
    """
    return windows(shards, split, generator, num_videos=num_videos, start="anywhere", seed=seed)


def real_pool(shards: Dataset, split: Split, generator: LoadedGenerator, num_judged: int, *, seed: int = 0) -> RealPool:
    """Windows of twice as many real clips as are judged, for the floor of distances, or of as many as there are.

    They are drawn from the judged split, and from the others where it has too few clips; from training clips only where
    their shards are small enough to be decoded for this (`MAX_DECODED_BYTES`).
    """
    config, have = generator.config.data, splits(shards)
    clips: list[tuple[resident.ResidentSplit, resident.Clip]] = []
    used: list[str] = []
    others: tuple[Split, ...] = ("validation", "test", "train")
    names: list[Split] = [split, *(other for other in others if other != split)]
    for name in names:
        if len(clips) >= 2 * num_judged or name not in have:
            continue
        parts = find(shards, name)
        if name == "train" != split and sum(part.num_bytes for part in parts) > MAX_DECODED_BYTES:
            continue
        store = resident.load(shards, name, config.size)
        clips += [(store, clip) for clip in store.clips]
        used.append(f"{name} {digest(parts)}")
    order = np.random.default_rng(seed).permutation(len(clips))[: 2 * num_judged]

    def read(rows: slice) -> tuple[Videos, Ints]:
        parts: list[Window] = []
        for index in order[rows]:
            store, clip = clips[index]
            start = windowing.drawn_start(clip.key, clip.num_frames, config.num_frames, seed)
            parts.append(store.window(clip, start, config.num_frames))
            release_pages(store.frames_NHWC)
        valid = np.array([part.num_valid_frames for part in parts], np.int64)
        return np.stack([part.frames_THWC for part in parts]), valid

    return RealPool(count=len(order), name=f"{len(clips)} clips of {', '.join(used)}, seed {seed}", read=read)


def to_uint8(video_BCTHW: Tensor) -> Videos:
    """float [-1, 1] (B, C, T, H, W) -> uint8 (B, T, H, W, C)."""
    levels = ((video_BCTHW + 1.0) * 127.5).round().clamp(0.0, 255.0).to(torch.uint8)
    return levels.permute(0, 2, 3, 4, 1).contiguous().cpu().numpy()


def as_generate(generator: LoadedGenerator, seed: int = 0) -> Generate:
    """The generator as the plain function on NumPy arrays that the measures take."""

    def generate(images_NHWC: NDArray[np.uint8], mels_NTMU: NDArray[np.float32], labels_N: Ints) -> Videos:
        image_NCHW = torch.from_numpy(np.ascontiguousarray(images_NHWC)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        mels, labels = torch.from_numpy(np.ascontiguousarray(mels_NTMU)), torch.from_numpy(labels_N)
        return to_uint8(generator.generate(image_NCHW, mels, labels, seed=seed))

    return generate


def evaluate_run(
    run: Path,
    shards: Dataset,
    *,
    split: Split = "test",
    out: Path | None = None,
    num_videos: int | None = None,
    gates: bool = False,
    which: Literal["last", "ema"] = "last",
    window_start: Literal["anywhere", "first"] = "anywhere",
    networks: Networks | None = None,
    evaluators: Path | None = None,
    each_video: bool = False,
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, Any]:
    """Measure the newest checkpoint of `run` on a split of `shards`, write the report, print it to stderr.

    Args:
        out: JSON file, default RUN/evaluation.json; table (.md) and pictures (strip.png, curves.png, moving.webp)
            go beside it.
        num_videos: at most so many, spread evenly over the split.
        gates: hold the results against `GateBounds`.
        networks: pretrained ones (`cssgan.inference.export.load`); None: their measures are unavailable.
        evaluators: folder of `cssgan evaluators train`; None: the measures of evaluators are unavailable.
        each_video: write videos.parquet beside the report, a row a video (`cssgan.metrics.per_video`).
        window_start: where in its clip a window begins; ``first``: at its first frame, see `windows_anywhere`.

    Returns:
        The content of the JSON file.

    Raises:
        GatesMissedError: with `gates`, after everything is written, if one is missed.
        CheckpointError, DatasetError: as `load_generator` and `windows`.
        EvaluatorError: the folder of evaluators cannot be read, or they were trained on videos of another kind.
    """
    started = time.monotonic()
    generator = load_generator(run, which=which, device=device)
    trained = None if evaluators is None else evaluators_store.load(evaluators, device=device)
    if trained is not None:
        made = generator.config.data
        trained.check(size=made.size, num_frames=made.num_frames, label_set=generator.label_set)
    choose = windows_anywhere if window_start == "anywhere" else windows
    data = choose(shards, split, generator, num_videos=num_videos)
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
    protocol: dict[str, ProtocolValue] = {
        "split": split,
        "weights": which,
        "window_start": "drawn from the clip's key" if window_start == "anywhere" else "first frame of the clip",
        "seed_of_noise": seed,
    }
    pool = real_pool(shards, split, generator, len(data), seed=seed)
    evaluation = evaluate(
        as_generate(generator, seed), data, clip_frames=generator.config.frames_per_clip, protocol=protocol,
        header=header, networks=networks, evaluators=trained,
        evaluators_caution="" if trained is None else trained.caution(shards, split), pool=pool, seed=seed,
    )  # fmt: skip
    report = {**evaluation.as_json(), "wall_seconds": round(time.monotonic() - started, 1)}
    written = write(evaluation, data, report, out or run / "evaluation.json")
    if each_video:
        written.append(
            write_each(evaluation, data, written[0], clip_frames=generator.config.frames_per_clip, seed=seed)
        )
    show(evaluation, gates=gates)
    log.info("wrote %s", ", ".join(str(path) for path in written))
    if gates and not evaluation.passed:
        missed = [f"{row.name} {value_of(row)} (allowed {row.bound})" for row in evaluation.gates if not row.passed]
        raise GatesMissedError(f"{run}: gates missed: {', '.join(missed)}; train longer, or see {written[0]}")
    return report
