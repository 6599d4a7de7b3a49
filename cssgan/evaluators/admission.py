"""Admission: an evaluator is used only if it exceeds a stated accuracy on real clips that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
from torch import nn

from cssgan.evaluators import inference
from cssgan.evaluators.networks import FrameClassifier, OrderClassifier, SyncNet
from cssgan.evaluators.spec import EvaluatorKind
from cssgan.metrics import synchrony
from cssgan.metrics.result import format_number
from cssgan.types import EvalWindows, MelStats

ADMISSION_METRIC: dict[EvaluatorKind, str] = {"classes": "accuracy", "sync": "auc", "order": "pairs"}


def chance_level(kind: EvaluatorKind, num_classes: int) -> float:
    """The value of the admission metric for random guesses."""
    return 1.0 / num_classes if kind == "classes" else 0.5


def required_level(kind: EvaluatorKind, num_classes: int) -> float:
    """The value of the admission metric that is required: half-way from the chance level to 1.

    Below it, more than half of the differences that the evaluator reports would be its own errors.
    """
    return (1.0 + chance_level(kind, num_classes)) / 2.0


def real_accuracy(kind: EvaluatorKind, network: nn.Module, data: EvalWindows, stats: MelStats) -> dict[str, float]:
    """Accuracy of an evaluator on real windows; empty if it cannot be computed for them.

    * classes: ``accuracy``, share of frames that are classified correctly.
    * sync: ``auc``, own audio against that of other clips of the song; ``auc_shifted``, own audio against itself shifted
      by 3 to 8 frames; ``offset_within_1``, share of videos whose best shift is at most one frame.
    * order: ``pairs``, share of pairs of chunks in the true order; ``accuracy``, share of videos whose order is found
      among the 24.
    """
    if kind == "classes":
        extractor = inference.FrameClassifierExtractor(network=cast("FrameClassifier", network))
        logits, groups = inference.class_logits(extractor, data.video_NTHWC, data.num_valid_N)
        return {"accuracy": float(inference.class_accuracy(logits, groups, data.labels_N).mean())}
    if kind == "sync":
        if len(data) < 2:
            return {}
        sync = cast("SyncNet", network)
        videos = inference.embed_videos(sync, data.video_NTHWC, data.num_valid_N)
        audio = inference.embed_audio(sync, data.raw_mels_NTMU, data.num_valid_N, stats)
        shifted = inference.shifted_correlations(videos, audio)
        wins = synchrony.pairwise_wins(inference.correlations(videos, audio))
        return {
            "auc": float(synchrony.auc(wins, synchrony.negatives(data.video_ids))[0]),
            "auc_shifted": float(inference.shift_wins(shifted).mean()),
            "offset_within_1": float((np.abs(inference.offsets(shifted)) <= 1).mean()),
        }
    order = inference.predict_order(cast("OrderClassifier", network), data.video_NTHWC, data.num_valid_N)
    if np.isnan(order.pairs_N).all():
        return {}
    return {"pairs": float(np.nanmean(order.pairs_N)), "accuracy": float(np.nanmean(order.accuracy_N))}


def refusal_reason(
    kind: EvaluatorKind, held_out: Mapping[str, float], num_held_out: int, real: Mapping[str, float], num_classes: int
) -> str:
    """Why an evaluator is not used; empty if it is admitted.

    Args:
        held_out, num_held_out: `real_accuracy` on held-out clips after training, and their number.
        real: `real_accuracy` on the real clips of the evaluation; empty if it cannot be computed.
    """
    metric, required = ADMISSION_METRIC[kind], required_level(kind, num_classes)
    for clips, value in (
        (f"{num_held_out} held-out real clips", held_out[metric]),
        ("the real clips of this set", real.get(metric)),
    ):
        if value is None:
            return f"{clips} are too few or too short to test the evaluator"
        if value < required:
            return (
                f"the evaluator of {kind} reaches {metric} {format_number(value)} on {clips}; allowed: "
                f"{format_number(required)} or more. Train it longer or on more songs"
            )
    return ""
