"""Metrics of the evaluators as `MetricResult`s; unavailable where an evaluator is missing or was not admitted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch

from cssgan.evaluators import admission, inference
from cssgan.evaluators.checkpoint import Evaluator, TrainedEvaluators
from cssgan.evaluators.inference import Embeddings, FrameClassifierExtractor, OrderPrediction
from cssgan.evaluators.networks import ORDERS, FrameClassifier, OrderClassifier, SyncNet
from cssgan.evaluators.spec import EvaluatorKind
from cssgan.metrics import synchrony
from cssgan.metrics.controls import ControlVideos, flash, other_clips
from cssgan.metrics.distances import inception_score
from cssgan.metrics.result import Better, ControlName, MetricResult, ProtocolValue, format_number, unavailable
from cssgan.metrics.statistics import bootstrap_mean, bootstrap_weights, percentile_interval
from cssgan.metrics.synchrony_results import MISMATCHED_DRAWS, audio_swap_result
from cssgan.metrics.videos import Floats, Ints, ReadVideos, VideoPairs, Videos, blocks, hold_first_frame
from cssgan.types import EvalWindows

METRICS: Mapping[EvaluatorKind, tuple[tuple[str, Better], ...]] = {
    "classes": (("class_accuracy", "higher"), ("domain_is", "higher")),
    "sync": (
        ("syncnet_auc", "higher"), ("syncnet_auc_shifted", "higher"), ("syncnet_audio_swap_auc", "higher"),
        ("syncnet_confidence", "higher"), ("syncnet_offset", "lower"), ("syncnet_top1", "higher"),
    ),
    "order": (("order_pairs", "neither"), ("order_accuracy", "neither")),
}  # fmt: skip
RETRIEVAL_CANDIDATES = 32
NO_EVALUATORS = (
    "no evaluators; train them with `cssgan evaluators train --shards DATASET --out FOLDER`, then use "
    "--evaluators FOLDER"
)
PerVideo = dict[str, Floats]
"""Metric -> float64 (N,), NaN where it is not defined."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SwappedVideos:
    """Videos generated from the audio of other videos.

    Args:
        embeddings: of the synchrony evaluator.
        other_N: the video whose audio each was generated from.
    """

    embeddings: Embeddings
    other_N: Ints


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EvaluatorResults:
    """Metrics of the set and of each video."""

    results: tuple[MetricResult, ...]
    per_video: PerVideo


def evaluator_results(
    trained: TrainedEvaluators | None,
    pairs: VideoPairs,
    data: EvalWindows,
    *,
    swapped: SwappedVideos | None = None,
    controls: ControlVideos | None = None,
    caution: str = "",
    seed: int = 0,
) -> EvaluatorResults:
    """Class, synchrony and order of generated videos, with the values of the real ones as controls.

    The metrics of an evaluator are available if its admission metric reaches `admission.required_level` both on the
    clips that were held out in its training and on the real videos of this set. Otherwise the reason is given.

    Args:
        trained: None: all metrics are unavailable.
        data: the real windows with their audio and classes; its videos are those of `pairs`.
        swapped: None: no audio swap test.
        controls: those of `data`, evaluated by the synchrony evaluator; None: its figures have no controls, so that none of
            them is found to be saturated.
        caution: added to all results.
        seed: of the bootstrap.
    """
    n = len(data)
    if trained is None:
        everything = [metric for metrics in METRICS.values() for metric in metrics]
        return EvaluatorResults(results=_all_unavailable(everything, NO_EVALUATORS, n), per_video={})
    results: list[MetricResult] = []
    per_video: PerVideo = {}
    for kind, metrics in METRICS.items():
        evaluator = trained.evaluators.get(kind)
        if evaluator is None:
            results += _all_unavailable(metrics, trained.missing[kind], n)
            continue
        required = admission.required_level(kind, len(trained.label_set))
        real = admission.real_accuracy(kind, evaluator.network, data, trained.mel_stats)
        if reason := admission.refusal_reason(
            kind, evaluator.held_out, evaluator.num_held_out, real, len(trained.label_set)
        ):
            results += _all_unavailable(metrics, reason, n)
            continue
        metric = admission.ADMISSION_METRIC[kind]
        protocol: dict[str, ProtocolValue] = {
            "evaluator": evaluator.name,
            "evaluator_admitted_by": f"{metric} of {format_number(required)} or more on real clips",
            "evaluator_held_out": evaluator.held_out[metric], "evaluator_held_out_clips": evaluator.num_held_out,
            "evaluator_on_these_real_clips": real[metric],
            "chance_level": admission.chance_level(kind, len(trained.label_set)),
        }  # fmt: skip
        if kind == "classes":
            found, values = _class_results(evaluator, pairs, data, seed)
        elif kind == "sync":
            found, values = _sync_results(evaluator, trained, pairs, data, swapped, controls, seed)
        else:
            found, values = _order_results(evaluator, pairs, seed)
        results += [result.with_protocol(protocol) for result in found]
        per_video |= values
    return EvaluatorResults(results=tuple(_add_caution(result, caution) for result in results), per_video=per_video)


def _all_unavailable(metrics: Iterable[tuple[str, Better]], reason: str, n: int) -> tuple[MetricResult, ...]:
    return tuple(unavailable(name, reason, better=better, n_real=n, n_fake=n) for name, better in metrics)


def _add_caution(result: MetricResult, caution: str) -> MetricResult:
    if not caution or result.value is None:
        return result
    return replace(result, caution=f"{result.caution}; {caution}" if result.caution else caution)


def _class_results(
    evaluator: Evaluator, pairs: VideoPairs, data: EvalWindows, seed: int
) -> tuple[list[MetricResult], PerVideo]:
    n, valid = len(data), pairs.num_valid_N
    extractor = FrameClassifierExtractor(network=cast("FrameClassifier", evaluator.network))
    fake, groups = inference.class_logits(extractor, pairs.fake_NTHWC, valid)
    real, _ = inference.class_logits(extractor, pairs.real_NTHWC, valid)
    copied = np.concatenate([
        inference.class_logits(extractor, hold_first_frame(pairs.real_NTHWC[rows]), valid[rows])[0]
        for rows in blocks(n, 32, pairs.real_NTHWC)
    ])  # fmt: skip
    accuracy = {
        name: inference.class_accuracy(logits, groups, data.labels_N)
        for name, logits in (("fake", fake), ("real", real), ("copy_first", copied))
    }
    score, real_score = (inception_score(logits, groups, seed=seed) for logits in (fake, real))
    protocol: dict[str, ProtocolValue] = {"frames": f"every {inference.FRAME_STEP}th of a video's valid ones"}
    return [
        MetricResult(
            name="class_accuracy", value=float(accuracy["fake"].mean()), better="higher", n_real=n, n_fake=n,
            controls={name: float(accuracy[name].mean()) for name in ("real", "copy_first")},
            interval=bootstrap_mean(accuracy["fake"], seed),
            protocol={**protocol, "reduction": "share of frames that show the video's class, mean over videos"},
        ),
        MetricResult(
            name="domain_is", value=score.mean, better="higher", n_real=n, n_fake=n,
            controls={"real": real_score.mean, "deviation_of_splits": score.deviation},
            protocol={**protocol, "splits": score.description(seed), "formula": "exp(mean KL(p(y|x) || p(y)))"},
            caution="an Inception Score with the classes of this dataset: not comparable with other values",
        ),
    ], {"class_accuracy": accuracy["fake"]}  # fmt: skip


def _sync_results(
    evaluator: Evaluator,
    trained: TrainedEvaluators,
    pairs: VideoPairs,
    data: EvalWindows,
    swapped: SwappedVideos | None,
    control_videos: ControlVideos | None,
    seed: int,
) -> tuple[list[MetricResult], PerVideo]:
    n, valid = len(data), pairs.num_valid_N
    network = cast("SyncNet", evaluator.network)
    audio = inference.embed_audio(network, data.raw_mels_NTMU, valid, trained.mel_stats)
    embeddings = {name: inference.embed_videos(network, videos, valid)
                  for name, videos in (("fake", pairs.fake_NTHWC), ("real", pairs.real_NTHWC))}  # fmt: skip
    score = {name: inference.correlations(videos, audio) for name, videos in embeddings.items()}
    shifted = {name: inference.shifted_correlations(videos, audio) for name, videos in embeddings.items()}
    negatives, all_others = synchrony.negatives(data.video_ids), ~np.eye(n, dtype=np.bool_)
    wins = {name: synchrony.pairwise_wins(matrix) for name, matrix in score.items()}
    auc = {name: float(synchrony.auc(matrix, negatives)[0]) for name, matrix in wins.items()}
    undefined = int((np.diag(score["fake"]) == 0.0).sum())

    def result(
        name: str,
        value: float,
        better: Better,
        controls: dict[str, float],
        values: Floats | None = None,
        unit: str = "",
        **protocol: ProtocolValue,
    ) -> MetricResult:
        return MetricResult(
            name=name, value=value, better=better, unit=unit, n_real=n, n_fake=n, controls=controls, protocol=protocol,
            interval=None if values is None else bootstrap_mean(values, seed), num_undefined=undefined,
        )  # fmt: skip

    controls = {"real": auc["real"], "chance_level": 0.5}
    controls["real_low"], controls["real_high"] = percentile_interval(
        synchrony.auc(wins["real"], negatives, bootstrap_weights(n, seed))
    )
    swapped_score = None if swapped is None else inference.correlations(swapped.embeddings, audio)
    if swapped_score is not None:
        controls["fake_from_other_audio"] = float(synchrony.auc(synchrony.pairwise_wins(swapped_score), negatives)[0])
    for name, matrix in wins.items():
        controls[f"{name}_against_all"] = float(synchrony.auc(matrix, all_others)[0])
    resampled = synchrony.auc(wins["fake"], negatives, bootstrap_weights(n, seed))
    confidence = {name: inference.confidences(values) for name, values in shifted.items()}
    offset = {name: inference.offsets(values).astype(np.float64) for name, values in shifted.items()}
    distance = {name: np.abs(values) for name, values in offset.items()}
    shift_wins = {name: inference.shift_wins(values) for name, values in shifted.items()}
    if swapped is None or swapped_score is None:
        swap_result = audio_swap_result("syncnet_audio_swap_auc", None, n, seed)
    else:
        other = swapped.other_N
        swap_result = audio_swap_result(
            "syncnet_audio_swap_auc", _swap_wins(score["fake"], swapped_score, other), n, seed,
            real_N=_swap_wins(score["real"], score["real"][other], other),
            controls={} if control_videos is None else _swap_controls(network, control_videos, audio, valid, other),
        )  # fmt: skip
    num_candidates, max_shift = min(n, RETRIEVAL_CANDIDATES), max(inference.SHIFTS)
    results = [
        replace(
            result(
                "syncnet_auc", auc["fake"], "higher", controls,
                negatives="other clips of the same source video; all others for the only clip of its source",
                undefined="static videos: correlation 0 with all audio, a tie",
            ),
            interval=percentile_interval(resampled),
        ),
        result("syncnet_auc_shifted", float(shift_wins["fake"].mean()), "higher",
               {"real": float(shift_wins["real"].mean())}, shift_wins["fake"],
               mismatched=f"its own audio, shifted by {inference.MIN_WRONG_SHIFT} to {max_shift} frames"),
        swap_result,
        result("syncnet_confidence", float(confidence["fake"].mean()), "higher",
               {"real": float(confidence["real"].mean())}, confidence["fake"],
               formula="highest correlation over the shifts minus their median, mean over videos",
               shifts=f"-{max_shift}..{max_shift} frames"),
        result("syncnet_offset", float(distance["fake"].mean()), "lower",
               {"real": float(distance["real"].mean()), "median": float(np.median(offset["fake"])),
                "real_median": float(np.median(offset["real"])),
                "within_1": float((distance["fake"] <= 1).mean()),
                "real_within_1": float((distance["real"] <= 1).mean())},
               distance["fake"], unit="frames between motion and audio",
               note="medians are signed: above 0, motion is later than audio"),
        result("syncnet_top1", retrieval_top1(wins["fake"]), "higher",
               {"real": retrieval_top1(wins["real"]), "chance_level": 1.0 / num_candidates},
               retrieval=f"a video's own audio among {num_candidates} of all songs, expectation over all samples"),
    ]  # fmt: skip
    of_controls = (
        {} if control_videos is None else _sync_controls(network, control_videos, embeddings["real"], audio, seed)
    )
    return [_with_sync_controls(one, of_controls) for one in results], {
        "syncnet_auc": synchrony.win_rates(wins["fake"], negatives)
    }


def _swap_wins(own_NN: Floats, swapped_NN: Floats, other_N: Ints) -> Floats:
    """`synchrony.audio_swap_wins` of scores of every video with every audio signal."""
    row = np.arange(len(other_N))
    own_N, swapped_N = (score[row, row] - score[row, other_N] for score in (own_NN, swapped_NN))
    return synchrony.audio_swap_wins(own_N, swapped_N)


def _embedded(network: SyncNet, read: ReadVideos, videos_NTHWC: Videos, num_valid_N: Ints) -> Embeddings:
    """Embeddings of videos that are read a block at a time.

    Args:
        videos_NTHWC: of the shape of those that are read.
    """
    out = inference.empty_embeddings(*videos_NTHWC.shape[:2])
    for rows in blocks(len(videos_NTHWC), 32, videos_NTHWC):
        inference.embed_videos(network, read(rows), num_valid_N[rows], out.rows(rows))
    return out


def _swap_controls(
    network: SyncNet, controls: ControlVideos, audio: Embeddings, num_valid_N: Ints, other_N: Ints
) -> dict[str, float]:
    """The audio swap test of the controls. One that does not depend on the audio has exactly the chance level."""
    data, untrained = controls.data, controls.untrained
    hops_N = np.array([synchrony.hops_per_frame(rate) for rate in data.frame_rates])

    def flash_of_other(rows: slice) -> Videos:
        onsets = synchrony.onset_curves(data.raw_mels_NTMU[other_N[rows]], hops_N[other_N[rows]])
        return flash(data.video_NTHWC[rows, 0], onsets)

    def untrained_of_other(rows: slice) -> Videos:
        assert untrained is not None
        return untrained(data.video_NTHWC[rows, 0], data.mels_NTMU[other_N[rows]], data.labels_N[rows])

    from_other: dict[ControlName, ReadVideos] = {"flash": flash_of_other}
    if untrained is not None:
        from_other["untrained"] = untrained_of_other
    out: dict[str, float] = dict.fromkeys(controls.names, 0.5)
    for name, read in from_other.items():
        own = _embedded(network, controls.reader(name), data.video_NTHWC, num_valid_N)
        swapped = _embedded(network, read, data.video_NTHWC, num_valid_N[other_N])
        own_NN, swapped_NN = (inference.correlations(videos, audio) for videos in (own, swapped))
        out[name] = float(_swap_wins(own_NN, swapped_NN, other_N).mean())
    return out


def _sync_controls(
    network: SyncNet, controls: ControlVideos, real: Embeddings, audio: Embeddings, seed: int
) -> dict[str, dict[str, float]]:
    """Metric -> control -> value. Of ``mismatched`` the mean over `MISMATCHED_DRAWS` choices of the other clip."""
    data, rng = controls.data, np.random.default_rng(seed)
    negatives = synchrony.negatives(data.video_ids)

    def values(videos: Embeddings) -> dict[str, float]:
        wins = synchrony.pairwise_wins(inference.correlations(videos, audio))
        shifted = inference.shifted_correlations(videos, audio)
        return {
            "syncnet_auc": float(synchrony.auc(wins, negatives)[0]),
            "syncnet_auc_shifted": float(inference.shift_wins(shifted).mean()),
            "syncnet_confidence": float(inference.confidences(shifted).mean()),
            "syncnet_offset": float(np.abs(inference.offsets(shifted)).mean()),
            "syncnet_top1": retrieval_top1(wins),
        }

    out: dict[str, dict[str, float]] = {}
    for name in controls.names:
        if name == "mismatched":
            draws = [torch.from_numpy(other_clips(data.video_ids, rng)) for _ in range(MISMATCHED_DRAWS)]
            found = [
                values(Embeddings(embeddings_NTD=real.embeddings_NTD[other], use_NT=real.use_NT[other]))
                for other in draws
            ]
        else:
            found = [values(_embedded(network, controls.reader(name), data.video_NTHWC, data.num_valid_N))]
        for metric in found[0]:
            out.setdefault(metric, {})[name] = float(np.mean([each[metric] for each in found]))
    return out


def _with_sync_controls(result: MetricResult, of_controls: Mapping[str, Mapping[str, float]]) -> MetricResult:
    if result.name not in of_controls:
        return result
    values = of_controls[result.name]
    if result.name == "syncnet_offset":  # frames: not between 0 and 1, so not checked for saturation
        return replace(result, controls={**result.controls, **values})
    return result.with_controls(values, scale=1.0)


def retrieval_top1(wins_NN: Floats) -> float:
    """Probability that a video's own audio ranks first among `RETRIEVAL_CANDIDATES`, with random other candidates.

    A video that beats w of n - 1 other audio signals beats k that are sampled without replacement with probability
    C(w, k) / C(n - 1, k). With t ties its rank is random: it beats w to w + t, all equally likely. So a static video
    has the chance level.

    Args:
        wins_NN: `synchrony.pairwise_wins`.
    """
    n = len(wins_NN)
    num_sampled = min(n, RETRIEVAL_CANDIDATES) - 1
    num_samples = math.comb(n - 1, num_sampled)
    probabilities: list[float] = []
    for row in wins_NN:
        beaten, ties = int((row == 1.0).sum()), int((row == 0.5).sum())
        # The sum of C(w, k) .. C(w + t, k).
        favourable = math.comb(beaten + ties + 1, num_sampled + 1) - math.comb(beaten, num_sampled + 1)
        probabilities.append(favourable / (num_samples * (ties + 1)))
    return float(np.mean(probabilities))


def _order_results(evaluator: Evaluator, pairs: VideoPairs, seed: int) -> tuple[list[MetricResult], PerVideo]:
    network, n, valid = cast("OrderClassifier", evaluator.network), len(pairs), pairs.num_valid_N
    fake = inference.predict_order(network, pairs.fake_NTHWC, valid)
    controls = {
        "real": inference.predict_order(network, pairs.real_NTHWC, valid),
        "by_boundary_change": inference.order_by_boundary_change(pairs.fake_NTHWC, valid),
        "real_by_boundary_change": inference.order_by_boundary_change(pairs.real_NTHWC, valid),
    }
    protocol: dict[str, ProtocolValue] = {
        "chunks": f"4 of {pairs.real_NTHWC.shape[1] // 4} frames, independent of the model's own order predictor",
        "undefined": "videos with held frames; ignored",
        "by_boundary_change": "the order with the least change at its boundaries, without an evaluator",
        "note": "compare with real: little happens in some real clips, and a steady drift has a clearer order than real clips",
    }  # fmt: skip

    def result(name: str, values_of: Callable[[OrderPrediction], Floats], chance_level: float) -> MetricResult:
        values = values_of(fake)
        return MetricResult(
            name=name, value=float(np.nanmean(values)), better="neither", n_real=n, n_fake=n,
            num_undefined=int(np.isnan(values).sum()), interval=bootstrap_mean(values, seed), protocol=protocol,
            controls={"chance_level": chance_level}
            | {key: float(np.nanmean(values_of(control))) for key, control in controls.items()},
        )  # fmt: skip

    results = [
        result("order_pairs", lambda order: order.pairs_N, 0.5),
        result("order_accuracy", lambda order: order.accuracy_N, 1.0 / len(ORDERS)),
    ]
    distance = np.abs(fake.pairs_N - controls["real"].pairs_N)
    return results, {"order_pairs": fake.pairs_N, "order_deviation": distance}
