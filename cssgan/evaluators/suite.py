"""What trained evaluators say of generated videos, as `MetricResult`s; unavailable where a evaluator learned too little to say it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from cssgan.evaluators import admission, inference
from cssgan.evaluators.checkpoint import Evaluator, TrainedEvaluators
from cssgan.evaluators.inference import ClassReader, Embeddings
from cssgan.evaluators.networks import FrameClassifier, OrderClassifier, SyncNet
from cssgan.evaluators.spec import EvaluatorName
from cssgan.metrics import synchrony
from cssgan.metrics.result import Better, MetricResult, ProtocolValue, number, unavailable
from cssgan.metrics.scores import inception_score
from cssgan.metrics.suite import bootstrap_mean
from cssgan.metrics.videos import Floats, Ints, VideoPairs, Videos, blocks, first_frame_held
from cssgan.types import EvalWindows

MEASURES: Mapping[EvaluatorName, tuple[tuple[str, Better], ...]] = {
    "classes": (("class_accuracy", "higher"), ("domain_is", "higher")),
    "sync": (
        ("syncnet_auc", "higher"), ("syncnet_auc_shifted", "higher"), ("syncnet_heard_auc", "higher"),
        ("syncnet_confidence", "higher"), ("syncnet_offset", "lower"), ("syncnet_top1", "higher"),
    ),
    "order": (("order_pairs", "neither"), ("order_accuracy", "neither")),
}  # fmt: skip
RETRIEVED_FROM = 32
NO_EVALUATORS = "no evaluators; train them with `cssgan evaluators train --shards DATASET --out FOLDER`, then give --evaluators FOLDER"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Swapped:
    """What the synchrony evaluator sees in videos made from other videos' sounds.

    Args:
        other_N: whose sound each was made from.
    """

    codes: Embeddings
    other_N: Ints


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EvaluatorResults:
    """All that the evaluators say: results of the set, and the values of each video, float64 (N,), NaN where undefined."""

    results: tuple[MetricResult, ...]
    each: Mapping[str, Floats]


def evaluator_results(
    evaluators: TrainedEvaluators | None,
    pairs: VideoPairs,
    data: EvalWindows,
    *,
    swapped: Swapped | None = None,
    caution: str = "",
    seed: int = 0,
) -> EvaluatorResults:
    """Class, synchrony and order of generated videos, each with the same of the real ones.

    A evaluator speaks where its admitting figure reaches `cssgan.evaluators.admission.bound` both on the clips that were held out when it
    was trained and on the real videos of this set; elsewhere its measures are unavailable and say what it reached.

    Args:
        evaluators: None: every measure is unavailable.
        data: the real windows with their sounds and classes; its videos are those of `pairs`.
        caution: goes into every result.
    """
    n = len(data)
    if evaluators is None:
        everything = [measure for measures in MEASURES.values() for measure in measures]
        return EvaluatorResults(results=tuple(_silent(measure, NO_EVALUATORS, n) for measure in everything), each={})
    results: list[MetricResult] = []
    each: dict[str, Floats] = {}
    for kind in MEASURES:
        evaluator = evaluators.evaluators.get(kind)
        if evaluator is None:
            results += [_silent(measure, evaluators.missing[kind], n) for measure in MEASURES[kind]]
            continue
        least, guess = (
            admission.bound(kind, len(evaluators.label_set)),
            admission.chance_level(kind, len(evaluators.label_set)),
        )
        real = admission.figures(kind, evaluator.network, data, evaluators.mel_stats)
        if refusal := _refusal(kind, evaluator, real, least):
            results += [_silent(measure, refusal, n) for measure in MEASURES[kind]]
            continue
        figure = admission.ADMITTED_BY[kind]
        protocol: dict[str, ProtocolValue] = {
            "evaluator": evaluator.name, "evaluator_admitted_by": f"{figure} of {number(least)} or more on real clips",
            "evaluator_held_out": evaluator.held_out[figure], "evaluator_held_out_clips": evaluator.num_held_out,
            "evaluator_on_these_real_clips": real[figure], "guessing": guess,
        }  # fmt: skip
        if kind == "classes":
            found, of_each = _classes(evaluator, pairs, data, seed)
        elif kind == "sync":
            found, of_each = _sync(evaluator, evaluators, pairs, data, swapped, seed)
        else:
            found, of_each = _order(evaluator, pairs, seed)
        results += [result.under(protocol) for result in found]
        each |= of_each
    cautious = tuple(_with(result, caution) for result in results)
    return EvaluatorResults(results=cautious, each=each)


def _silent(measure: tuple[str, Better], reason: str, n: int) -> MetricResult:
    return unavailable(measure[0], reason, better=measure[1], n_real=n, n_fake=n)


def _refusal(kind: EvaluatorName, evaluator: Evaluator, real: Mapping[str, float], least: float) -> str:
    figure = admission.ADMITTED_BY[kind]
    for clips, value in ((f"{evaluator.num_held_out} held-out real clips", evaluator.held_out[figure]),
                         ("the real clips of this set", real.get(figure))):  # fmt: skip
        if value is None:
            return f"{clips} are too few or too short to try the evaluator on"
        if value < least:
            return (
                f"the evaluator of {kind} reaches {figure} {number(value)} on {clips}; allowed: {number(least)} or more. "
                "Train it longer or on more songs"
            )
    return ""


def _with(result: MetricResult, caution: str) -> MetricResult:
    if not caution or result.value is None:
        return result
    return replace(result, caution=f"{result.caution}; {caution}" if result.caution else caution)


def _classes(
    evaluator: Evaluator, pairs: VideoPairs, data: EvalWindows, seed: int
) -> tuple[list[MetricResult], dict[str, Floats]]:  # fmt: skip
    n, valid = len(data), pairs.num_valid_N
    reader = ClassReader(network=cast("FrameClassifier", evaluator.network), name=evaluator.name)
    logits: dict[str, Floats] = {}
    groups = np.zeros(0, np.int64)
    for name, videos in (("fake", pairs.fake_NTHWC), ("real", pairs.real_NTHWC)):
        logits[name], groups = inference.class_logits(reader, videos, valid)
    still = np.concatenate([
        inference.class_logits(reader, first_frame_held(pairs.real_NTHWC[rows]), valid[rows])[0] for rows in blocks(n, 32, pairs.real_NTHWC)
    ])  # fmt: skip
    right = {
        name: inference.right_classes(rows, groups, data.labels_N) for name, rows in (*logits.items(), ("copy", still))
    }
    score, of_real = (inception_score(logits[name], groups) for name in ("fake", "real"))
    protocol: dict[str, ProtocolValue] = {"frames": f"every {inference.FRAME_STEP}th of a video's valid ones"}
    accuracy = MetricResult(
        name="class_accuracy", value=float(right["fake"].mean()), better="higher", n_real=n, n_fake=n,
        controls={"real": float(right["real"].mean()), "copy_first": float(right["copy"].mean())},
        interval=bootstrap_mean(right["fake"], seed),
        protocol={**protocol, "reduction": "share of frames that show the video's class, mean over videos"},
    )  # fmt: skip
    domain = MetricResult(
        name="domain_is", value=score.mean, better="higher", n_real=n, n_fake=n,
        controls={"real": of_real.mean, "deviation_of_splits": score.deviation},
        protocol={**protocol, "splits": f"{score.num_parts}, by video", "formula": "exp(mean KL(p(y|x) || p(y)))"},
        caution="an Inception Score by this dataset's own classes: comparable with no other",
    )  # fmt: skip
    return [accuracy, domain], {"class_accuracy": right["fake"]}


def _sync(
    evaluator: Evaluator,
    evaluators: TrainedEvaluators,
    pairs: VideoPairs,
    data: EvalWindows,
    swapped: Swapped | None,
    seed: int,
) -> tuple[list[MetricResult], dict[str, Floats]]:
    n, valid = len(data), pairs.num_valid_N
    network = cast("SyncNet", evaluator.network)
    sounds = inference.embed_sounds(network, data.raw_mels_NTMU, valid, evaluators.mel_stats)
    videos = {name: inference.embed_videos(network, shown, valid)
              for name, shown in (("fake", pairs.fake_NTHWC), ("real", pairs.real_NTHWC))}  # fmt: skip
    score = {name: inference.correlations(codes, sounds) for name, codes in videos.items()}
    moved = {name: inference.shifted(codes, sounds) for name, codes in videos.items()}
    negatives_NN, everyone = synchrony.negatives(data.video_ids), ~np.eye(n, dtype=np.bool_)
    won = {name: synchrony.pairwise_wins(matrix) for name, matrix in score.items()}
    auc = {name: float(synchrony.auc(matrix, negatives_NN)[0]) for name, matrix in won.items()}
    weights = synchrony.resample_weights(n, 1000, np.random.default_rng(seed))
    undefined = int((np.diag(score["fake"]) == 0.0).sum())

    def result(name: str, value: float, better: Better, controls: dict[str, float], values: Floats | None = None,
               unit: str = "", **protocol: ProtocolValue) -> MetricResult:  # fmt: skip
        return MetricResult(
            name=name, value=value, better=better, unit=unit, n_real=n, n_fake=n, controls=controls, protocol=protocol,
            interval=None if values is None else bootstrap_mean(values, seed), num_undefined=undefined,
        )  # fmt: skip

    controls = {"real": auc["real"]}
    if swapped is not None:
        other = synchrony.pairwise_wins(inference.correlations(swapped.codes, sounds))
        controls["fake_from_other_sounds"] = float(synchrony.auc(other, negatives_NN)[0])
    for name, matrix in won.items():
        controls[f"{name}_against_all"] = float(synchrony.auc(matrix, everyone)[0])
    confidence = {name: inference.confidences(values) for name, values in moved.items()}
    offset = {name: inference.offsets(values).astype(np.float64) for name, values in moved.items()}
    beaten = {name: inference.beats_shifted(values) for name, values in moved.items()}
    own = _share_won(won["fake"], negatives_NN)
    results = [
        MetricResult(
            name="syncnet_auc", value=auc["fake"], better="higher", n_real=n, n_fake=n, controls=controls,
            num_undefined=undefined, interval=synchrony.interval(synchrony.auc(won["fake"], negatives_NN, weights)),
            protocol={"mismatched": "other clips of the same source video; all others for a clip that is alone of its source",
                      "undefined": "still videos: they agree with no sound, a tie"},
        ),
        result("syncnet_auc_shifted", float(beaten["fake"].mean()), "higher", {"real": float(beaten["real"].mean())},
               beaten["fake"], mismatched=f"its own sound, moved by {inference.NEAR_SHIFT} to {max(inference.SHIFTS)} frames"),
        _heard(score["fake"], swapped, sounds, n, seed),
        result("syncnet_confidence", float(confidence["fake"].mean()), "higher",
               {"real": float(confidence["real"].mean())}, confidence["fake"],
               formula="best agreement over the shifts less their median, mean over videos",
               shifts=f"-{max(inference.SHIFTS)}..{max(inference.SHIFTS)} frames"),
        result("syncnet_offset", float(np.abs(offset["fake"]).mean()), "lower",
               {"real": float(np.abs(offset["real"]).mean()), "median": float(np.median(offset["fake"])),
                "real_median": float(np.median(offset["real"])),
                "within_1": float((np.abs(offset["fake"]) <= 1).mean()),
                "real_within_1": float((np.abs(offset["real"]) <= 1).mean())},
               np.abs(offset["fake"]), unit="frames, away from the sound",
               note="medians are signed: above 0, motion comes after the sound"),
        result("syncnet_top1", top1(won["fake"]), "higher",
               {"real": top1(won["real"]), "guessing": 1.0 / min(n, RETRIEVED_FROM)},
               retrieval=f"a video's own sound among {min(n, RETRIEVED_FROM)} of all songs, expected over all draws"),
    ]  # fmt: skip
    return results, {"syncnet_auc": own}


def _share_won(won_NN: Floats, negatives_NN: np.ndarray) -> Floats:
    counts = negatives_NN.sum(axis=1)
    return np.where(counts > 0, (won_NN * negatives_NN).sum(axis=1) / np.maximum(counts, 1), np.nan)


def top1(won_NN: Floats) -> float:
    """Chance that a video's own sound is the best of `RETRIEVED_FROM`, the others drawn from all without replacement.

    A video that beats w of its n - 1 rivals beats all of k drawn ones with probability C(w, k) / C(n - 1, k). Among ties its
    place is random: with t of them, it beats w to w + t rivals, each as likely; a still video guesses.

    Args:
        won_NN: `synchrony.wins`.
    """
    n = len(won_NN)
    drawn = min(n, RETRIEVED_FROM) - 1
    ways = math.comb(n - 1, drawn)
    chances: list[float] = []
    for row in won_NN:
        beaten, ties = int((row == 1.0).sum()), int((row == 0.5).sum())
        # The sum of C(w, k) .. C(w + t, k).
        places = math.comb(beaten + ties + 1, drawn + 1) - math.comb(beaten, drawn + 1)
        chances.append(places / (ways * (ties + 1)))
    return float(np.mean(chances))


def _heard(fake_NN: Floats, swapped: Swapped | None, sounds: Embeddings, n: int, seed: int) -> MetricResult:
    name = "syncnet_heard_auc"
    if swapped is None:
        return unavailable(name, "no videos were generated from other sounds", better="higher", n_real=n, n_fake=n)
    values = synchrony.heard(fake_NN, inference.correlations(swapped.codes, sounds), swapped.other_N)
    return MetricResult(
        name=name, value=float(values.mean()), better="higher", n_real=0, n_fake=2 * n, controls={"deaf": 0.5},
        interval=bootstrap_mean(values, seed),
        protocol={"videos": "each picture with its own sound and with that of another video",
                  "won": "the video agrees more with the sound it was given than with the other one"},
    )  # fmt: skip


def _order(evaluator: Evaluator, pairs: VideoPairs, seed: int) -> tuple[list[MetricResult], dict[str, Floats]]:
    network, n = cast("OrderClassifier", evaluator.network), len(pairs.real_NTHWC)

    def of(videos: Videos) -> inference.Order:
        return inference.order(network, videos, pairs.num_valid_N)

    fake, real = of(pairs.fake_NTHWC), of(pairs.real_NTHWC)
    cuts = {name: inference.order_by_cuts(videos, pairs.num_valid_N)
            for name, videos in (("by_cuts", pairs.fake_NTHWC), ("real_by_cuts", pairs.real_NTHWC))}  # fmt: skip
    held = int(np.isnan(fake.pairs_N).sum())
    protocol: dict[str, ProtocolValue] = {
        "segments": f"4 of {pairs.real_NTHWC.shape[1] // 4} frames, independent of the model's own order predictor",
        "undefined": "videos with held frames; left out",
        "by_cuts": "the order with the least change across its cuts, by no evaluator",
        "note": "to be held against real: little happens in some real clips, and a steady drift has more order than they have",
    }  # fmt: skip
    results = [
        MetricResult(
            name=name, value=float(np.nanmean(values)), better="neither", n_real=n, n_fake=n, num_undefined=held,
            controls={"real": float(np.nanmean(of_real)), "guessing": guess, **by_cuts}, interval=bootstrap_mean(values, seed),
            protocol=protocol,
        )
        for name, values, of_real, guess, by_cuts in (
            ("order_pairs", fake.pairs_N, real.pairs_N, 0.5,
             {key: float(np.nanmean(said.pairs_N)) for key, said in cuts.items()}),
            ("order_accuracy", fake.right_N, real.right_N, admission.chance_of_orders(),
             {key: float(np.nanmean(said.right_N)) for key, said in cuts.items()}),
        )
    ]  # fmt: skip
    return results, {"order_pairs": fake.pairs_N}
