"""Outputs of the evaluators for uint8 videos and raw log-mel segments, a few videos at a time. Arrays in, arrays out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cssgan.data import windowing
from cssgan.evaluators.networks import (
    ORDERS,
    FrameClassifier,
    OrderClassifier,
    SyncNet,
    correlation,
    downscale,
    inner_frames,
    shifted_correlation,
    split_into_chunks,
)
from cssgan.evaluators.spec import MAX_SHIFT, NUM_CHUNKS
from cssgan.metrics import feature_extraction
from cssgan.metrics.videos import Floats, Ints, Videos, blocks, hold_last_valid_frame
from cssgan.types import MelStats

SHIFTS = tuple(range(-MAX_SHIFT, MAX_SHIFT + 1))
MIN_WRONG_SHIFT = 3
"""Audio that is shifted by at least this many frames is wrong; a syllable lasts about as long."""
WRONG_SHIFTS = tuple(shift for shift in SHIFTS if abs(shift) >= MIN_WRONG_SHIFT)
FRAME_STEP = 8
"""Frames 4, 12, 20, 28 are classified."""
TIE = 1e-6
"""Logits that differ by less are equal: rounding must not give a static video an order."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Embeddings:
    """Embeddings of the synchrony evaluator for videos or audio.

    Args:
        embeddings_NTD: float32 (N, T, D).
        use_NT: float 0 or 1, frames that count.
    """

    embeddings_NTD: Tensor
    use_NT: Tensor

    def __len__(self) -> int:
        return len(self.embeddings_NTD)

    def rows(self, index: slice) -> Embeddings:
        """A view of some rows."""
        return Embeddings(embeddings_NTD=self.embeddings_NTD[index], use_NT=self.use_NT[index])


def empty_embeddings(num_items: int, num_frames: int) -> Embeddings:
    """Memory for the embeddings of some videos or audio signals.

    It is allocated before the large temporary arrays: small arrays allocated between large ones that are freed later
    would keep the heap from shrinking.
    """
    shape = (num_items, num_frames)
    return Embeddings(embeddings_NTD=torch.zeros(*shape, SyncNet.EMBEDDING_DIM), use_NT=torch.zeros(shape))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameClassifierExtractor:
    """The frame classifier as an `Extractor`: uint8 frames -> logits."""

    network: FrameClassifier
    name: str = "classes"
    frames_at_once: int = 64

    def __call__(self, items: NDArray[np.uint8]) -> Floats:
        with torch.inference_mode():
            device = next(self.network.parameters()).device
            frames = torch.from_numpy(np.ascontiguousarray(items)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
            return self.network(frames).double().cpu().numpy()


def class_logits(extractor: FrameClassifierExtractor, videos_NTHWC: Videos, num_valid_N: Ints) -> tuple[Floats, Ints]:
    """Logits of the selected frames (M, K), and the video of each (M,)."""
    select = feature_extraction.every_nth_frame(FRAME_STEP)
    features, groups = feature_extraction.frame_features(extractor, videos_NTHWC, num_valid_N, select)
    return features.values_ND, groups


def class_accuracy(logits_MK: Floats, groups_M: Ints, labels_N: Ints) -> Floats:
    """Share of each video's frames that are classified as its class, float64 (N,)."""
    correct = logits_MK.argmax(axis=1) == labels_N[groups_M]
    return np.bincount(groups_M, correct, minlength=len(labels_N)) / np.bincount(groups_M, minlength=len(labels_N))


def embed_videos(
    network: SyncNet, videos_NTHWC: Videos, num_valid_N: Ints, out: Embeddings | None = None
) -> Embeddings:
    """Embeddings of videos.

    Args:
        out: memory for the result, from `empty_embeddings`.
    """
    out = out or empty_embeddings(*videos_NTHWC.shape[:2])
    device = next(network.parameters()).device
    with torch.inference_mode():
        for rows in blocks(len(videos_NTHWC), 16, videos_NTHWC):
            videos = _to_tensor(hold_last_valid_frame(videos_NTHWC[rows], num_valid_N[rows]), device)
            out.use_NT[rows] = inner_frames(torch.from_numpy(num_valid_N[rows]), videos.shape[1])
            out.embeddings_NTD[rows] = network.embed_video(downscale(videos)).cpu()
    return out


def embed_audio(network: SyncNet, raw_mels_NTMU: NDArray[np.float32], num_valid_N: Ints, stats: MelStats) -> Embeddings:
    """Embeddings of audio, given as raw log-mel segments."""
    out = empty_embeddings(*raw_mels_NTMU.shape[:2])
    device = next(network.parameters()).device
    with torch.inference_mode():
        for rows in blocks(len(raw_mels_NTMU), 64, raw_mels_NTMU):
            mels = torch.from_numpy(windowing.standardize(raw_mels_NTMU[rows], stats)).to(device)
            out.use_NT[rows] = inner_frames(torch.from_numpy(num_valid_N[rows]), mels.shape[1])
            out.embeddings_NTD[rows] = network.embed_audio(mels).cpu()
    return out


def correlations(videos: Embeddings, audio: Embeddings) -> Floats:
    """Of every video with every audio signal, float64 (N, M), -1..1."""
    parts = [
        correlation(videos.embeddings_NTD[rows], videos.use_NT[rows], audio.embeddings_NTD, audio.use_NT)
        for rows in blocks(len(videos), 128)
    ]
    return torch.cat(parts).double().numpy()


def shifted_correlations(videos: Embeddings, audio: Embeddings) -> Floats:
    """Of every video with its own audio at each of `SHIFTS`, float64 (N, S)."""
    use = videos.use_NT * audio.use_NT
    return shifted_correlation(videos.embeddings_NTD, audio.embeddings_NTD, use, SHIFTS).double().numpy()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OrderPrediction:
    """Correctness of the predicted chunk order of each video; NaN if the video has held frames.

    Args:
        pairs_N: share of the 6 pairs of chunks that are in the true order; a tie counts half.
        accuracy_N: 1 if the true order of the 24 is predicted, 1 / n if it is one of n equally good orders, else 0.
    """

    pairs_N: Floats
    accuracy_N: Floats


def predict_order(network: OrderClassifier, videos_NTHWC: Videos, num_valid_N: Ints) -> OrderPrediction:
    """The order evaluator on the chunks of each video."""
    device = next(network.parameters()).device

    def logits(rows: slice) -> Floats:
        chunks = split_into_chunks(downscale(_to_tensor(videos_NTHWC[rows], device)))
        return network(chunks).double().cpu().numpy()

    with torch.inference_mode():
        parts = [order_correctness(logits(rows)) for rows in blocks(len(videos_NTHWC), 16, videos_NTHWC)]
    return _order_prediction(parts, videos_NTHWC, num_valid_N)


def order_by_boundary_change(videos_NTHWC: Videos, num_valid_N: Ints) -> OrderPrediction:
    """The same without a network: the order with the least change at its boundaries, mean |first frame - last frame|.

    It is a control for the evaluator, which can fail on images unlike its training images.
    """
    length = videos_NTHWC.shape[1] // NUM_CHUNKS

    def logits(rows: slice) -> Floats:
        start = videos_NTHWC[rows, ::length].astype(np.int16)
        end = videos_NTHWC[rows, length - 1 :: length].astype(np.int16)
        change = np.stack([np.abs(start - end[:, a, None]).mean(axis=(2, 3, 4)) for a in range(NUM_CHUNKS)], axis=1)
        total = np.stack([sum(change[:, a, b] for a, b in itertools.pairwise(order)) for order in ORDERS], axis=1)
        # The factor is so large that only the best orders count, and equally good ones equally.
        return -1e3 * total

    parts = [order_correctness(logits(rows)) for rows in blocks(len(videos_NTHWC), 32, videos_NTHWC)]
    return _order_prediction(parts, videos_NTHWC, num_valid_N)


def _order_prediction(parts: list[tuple[Floats, Floats]], videos_NTHWC: Videos, num_valid_N: Ints) -> OrderPrediction:
    pairs, accuracy = (np.concatenate(values) for values in zip(*parts, strict=True))
    held = num_valid_N < videos_NTHWC.shape[1]
    pairs[held] = accuracy[held] = np.nan
    return OrderPrediction(pairs_N=pairs, accuracy_N=accuracy)


_BEFORE = np.array([
    [1.0 if order.index(a) < order.index(b) else 0.0 for a in range(len(order)) for b in range(a + 1, len(order))]
    for order in ORDERS
])  # fmt: skip
"""(orders, pairs): 1 where an order has the pair in its true sequence."""


def order_correctness(logits_BP: Floats) -> tuple[Floats, Floats]:
    """Logits of `ORDERS` -> the two fields of `OrderPrediction`, (B,) each."""
    p = np.exp(logits_BP - logits_BP.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    sequence = p @ _BEFORE
    tie = np.abs(sequence - 0.5) <= TIE
    pairs = np.where(tie, 0.5, sequence > 0.5).mean(axis=1)
    best = logits_BP >= logits_BP.max(axis=1, keepdims=True) - TIE
    return pairs, np.where(best[:, 0], 1.0 / best.sum(axis=1), 0.0)


def _to_tensor(videos_BTHWC: Videos, device: torch.device) -> Tensor:
    videos = torch.from_numpy(np.ascontiguousarray(videos_BTHWC)).to(device)
    return videos.permute(0, 1, 4, 2, 3).float() / 127.5 - 1.0


def shift_wins(shifted_NS: Floats) -> Floats:
    """Share of the wrong shifts that the unshifted audio beats (a tie counts half), float64 (N,).

    Args:
        shifted_NS: `shifted_correlations`, as in the functions below.
    """
    own = shifted_NS[:, SHIFTS.index(0), None]
    wrong = shifted_NS[:, [SHIFTS.index(shift) for shift in WRONG_SHIFTS]]
    return ((own > wrong) + 0.5 * (own == wrong)).mean(axis=1)


def offsets(shifted_NS: Floats) -> Ints:
    """The best shift of each video in frames; positive: motion is later than audio. Of equal ones the smallest."""
    nearest_first = sorted(range(len(SHIFTS)), key=lambda index: abs(SHIFTS[index]))
    best = shifted_NS[:, nearest_first].argmax(axis=1)
    return np.array(SHIFTS)[nearest_first][best]


def confidences(shifted_NS: Floats) -> Floats:
    """Highest correlation over the shifts minus the median, float64 (N,): as in SyncNet (Chung & Zisserman 2016)."""
    return shifted_NS.max(axis=1) - np.median(shifted_NS, axis=1)
