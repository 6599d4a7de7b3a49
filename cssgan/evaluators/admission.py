"""What the evaluators reach on real clips: each must show that it learned something before it may evaluator."""

from __future__ import annotations

from typing import cast

import numpy as np
from torch import nn

from cssgan.evaluators import inference
from cssgan.evaluators.networks import ORDERS, FrameClassifier, OrderClassifier, SyncNet
from cssgan.evaluators.spec import EvaluatorName, floor
from cssgan.metrics import synchrony
from cssgan.types import EvalWindows, MelStats

ADMITTED_BY: dict[EvaluatorName, str] = {"classes": "accuracy", "sync": "auc", "order": "pairs"}
"""The figure that must reach its floor."""


def chance_level(evaluator: EvaluatorName, num_classes: int) -> float:
    """What the admitting figure is for a evaluator that guesses."""
    return 1.0 / num_classes if evaluator == "classes" else 0.5


def bound(evaluator: EvaluatorName, num_classes: int) -> float:
    """What the admitting figure must reach on held-out real clips."""
    return floor(chance_level(evaluator, num_classes))


def figures(evaluator: EvaluatorName, network: nn.Module, data: EvalWindows, stats: MelStats) -> dict[str, float]:
    """What a evaluator reaches on real windows, the admitting figure first; empty where nothing can be asked of them.

    ``accuracy``: share of frames whose class is found. ``auc``: chance that a video fits its own sound better than that of
    another clip of its song; ``auc_shifted``: better than its own, moved by 3 to 8 frames; ``offset_within_1``: share of
    videos that fit best where they are, give or take a frame. ``pairs``: share of pairs of segments in true sequence;
    ``accuracy`` of order: share of videos whose order is found among the 24.
    """
    if evaluator == "classes":
        reader = inference.ClassReader(network=cast("FrameClassifier", network), name="classes")
        logits, groups = inference.class_logits(reader, data.video_NTHWC, data.num_valid_N)
        return {"accuracy": float(inference.right_classes(logits, groups, data.labels_N).mean())}
    if evaluator == "sync":
        if len(data) < 2:
            return {}
        sync = cast("SyncNet", network)
        videos = inference.embed_videos(sync, data.video_NTHWC, data.num_valid_N)
        sounds = inference.embed_sounds(sync, data.raw_mels_NTMU, data.num_valid_N, stats)
        shifted = inference.shifted(videos, sounds)
        won = synchrony.pairwise_wins(inference.correlations(videos, sounds))
        return {
            "auc": float(synchrony.auc(won, synchrony.negatives(data.video_ids))[0]),
            "auc_shifted": float(inference.beats_shifted(shifted).mean()),
            "offset_within_1": float((np.abs(inference.offsets(shifted)) <= 1).mean()),
        }
    said = inference.order(cast("OrderClassifier", network), data.video_NTHWC, data.num_valid_N)
    if np.isnan(said.pairs_N).all():
        return {}
    return {"pairs": float(np.nanmean(said.pairs_N)), "accuracy": float(np.nanmean(said.right_N))}


def chance_of_orders() -> float:
    return 1.0 / len(ORDERS)
