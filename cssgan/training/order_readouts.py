"""Accuracy of the order predictor on real windows that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cssgan import clip_permutations
from cssgan.config import Config
from cssgan.data.batches import to_video
from cssgan.models.interface import Discriminators
from cssgan.types import EvalWindows

TRIALS = 4
"""Orders in which the clips of each window are presented: others for the next window, and all equally often."""
_BLOCK = 16
"""Windows in one forward pass."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OrderAccuracy:
    """Correctness of the predicted order, mean over `TRIALS` orders of presentation of each window.

    Args:
        accuracy_N: share of the trials in which the order is predicted; chance level 1 / number of orders.
        pairs_N: share of the pairs of clips whose sequence in time is predicted; chance level 1/2.
    """

    accuracy_N: NDArray[np.float64]
    pairs_N: NDArray[np.float64]


@torch.no_grad()
def order_accuracy(
    discriminators: Discriminators, windows: EvalWindows, config: Config, device: torch.device
) -> OrderAccuracy:
    """Apply the order predictor (equation 3) to the real clips of windows without held frames; others are left out."""
    whole = windows.select(np.flatnonzero(windows.num_valid_N == windows.video_NTHWC.shape[1]))
    num_clips, max_orders, stride = config.model.num_clips, config.order.max_orders, config.data.frame_stride
    table = clip_permutations.permutations(num_clips, max_orders)
    first, second = np.triu_indices(num_clips, 1)
    in_sequence = table[:, first] < table[:, second]  # (orders, pairs of places)
    accuracy, pairs = np.zeros((TRIALS, len(whole))), np.zeros((TRIALS, len(whole)))
    for start in range(0, len(whole), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(whole)))
        block = whole.select(rows)
        video = to_video(block.video_NTHWC[:, ::stride], device).unflatten(2, (num_clips, -1)).transpose(1, 2)
        classes = torch.from_numpy(block.labels_N)
        output = discriminators(
            video,
            torch.nn.functional.one_hot(classes, len(block.label_set)).float().to(device),
            torch.zeros(len(rows), config.discriminator_frames[0], dtype=torch.long, device=device),
            torch.from_numpy(block.mels_NTMU[:, ::stride]).to(device).unflatten(1, (num_clips, -1)),
        )
        for trial in range(TRIALS):
            order_B = (rows + trial * len(table) // TRIALS) % len(table)
            logits_BP = discriminators.predict_order(output, torch.from_numpy(table[order_B]).to(device))
            if logits_BP is None:
                raise ValueError("discriminators without an order predictor (order.shuffle=none)")
            found_B = logits_BP.float().argmax(dim=1).cpu().numpy()
            accuracy[trial, rows] = found_B == order_B
            pairs[trial, rows] = (in_sequence[found_B] == in_sequence[order_B]).mean(axis=1)
    return OrderAccuracy(accuracy_N=accuracy.mean(axis=0), pairs_N=pairs.mean(axis=0))


def of_real_windows(
    discriminators: Discriminators, windows: EvalWindows, config: Config, device: torch.device
) -> dict[str, float]:
    """``val_order_acc`` and ``val_order_pairs``; empty if every window has held frames."""
    found = order_accuracy(discriminators, windows, config, device)
    if not len(found.accuracy_N):
        return {}
    return {"val_order_acc": float(found.accuracy_N.mean()), "val_order_pairs": float(found.pairs_N.mean())}
