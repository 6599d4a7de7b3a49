"""uint8 videos and raw sounds -> what the evaluators say of them, a few at a time. Pure: arrays in, arrays out."""

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
    cut_into_segments,
    inner_frames,
    shifted_correlation,
    small,
)
from cssgan.evaluators.spec import MAX_SHIFT, SEGMENTS
from cssgan.metrics import feature_extraction
from cssgan.metrics.videos import Floats, Ints, Videos, blocks, held_after_valid
from cssgan.types import MelStats

SHIFTS = tuple(range(-MAX_SHIFT, MAX_SHIFT + 1))
NEAR_SHIFT = 3
"""Frames by which a sound must be moved to be a wrong one: one syllable lasts about as long."""
WRONG_SHIFTS = tuple(shift for shift in SHIFTS if abs(shift) >= NEAR_SHIFT)
FRAME_STEP = 8
"""The class is asked of frames 4, 12, 20, 28."""
TIE = 1e-6
"""Logits nearer than this are equal: a still video has no order, and rounding shall not give it one."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Embeddings:
    """What the synchrony evaluator makes of some videos or sounds: codes (N, T, D), and the frames that count (N, T)."""

    embeddings_NTD: Tensor
    use_NT: Tensor

    def __len__(self) -> int:
        return len(self.embeddings_NTD)

    def rows(self, index: slice) -> Embeddings:
        """A part, in the same memory."""
        return Embeddings(embeddings_NTD=self.embeddings_NTD[index], use_NT=self.use_NT[index])


def no_embeddings(num_items: int, num_frames: int) -> Embeddings:
    """Room for the codes of so many videos or sounds.

    It is taken before they are made: small results that stay between large ones that go would keep the heap from shrinking.
    """
    return Embeddings(
        embeddings_NTD=torch.zeros(num_items, num_frames, SyncNet.CODE), use_NT=torch.zeros(num_items, num_frames)
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassReader:
    """The frame classifier as an `Extractor`: uint8 frames -> logits."""

    network: FrameClassifier
    name: str
    kind: str = "frame"
    frames_at_once: int = 64

    def __call__(self, items: NDArray[np.uint8]) -> Floats:
        with torch.inference_mode():
            device = next(self.network.parameters()).device
            frames = torch.from_numpy(np.ascontiguousarray(items)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
            return self.network(frames).double().cpu().numpy()


def class_logits(reader: ClassReader, videos_NTHWC: Videos, num_valid_N: Ints) -> tuple[Floats, Ints]:
    """Logits of the chosen frames (M, K), and the video of each (M,)."""
    features, groups = feature_extraction.of_frames(
        reader, videos_NTHWC, num_valid_N, feature_extraction.every(FRAME_STEP)
    )
    return features.values_ND, groups


def right_classes(logits_MK: Floats, groups_M: Ints, labels_N: Ints) -> Floats:
    """Share of each video's frames that show its class, float64 (N,)."""
    right = logits_MK.argmax(axis=1) == labels_N[groups_M]
    return np.bincount(groups_M, right, minlength=len(labels_N)) / np.bincount(groups_M, minlength=len(labels_N))


def embed_videos(
    network: SyncNet, videos_NTHWC: Videos, num_valid_N: Ints, into: Embeddings | None = None
) -> Embeddings:  # fmt: skip
    """What the synchrony evaluator sees in videos.

    Args:
        into: room for it, from `no_codes`.
    """
    out = into or no_embeddings(*videos_NTHWC.shape[:2])
    device = next(network.parameters()).device
    with torch.inference_mode():
        for rows in blocks(len(videos_NTHWC), 16, videos_NTHWC):
            shown = _tensor(held_after_valid(videos_NTHWC[rows], num_valid_N[rows]), device)
            out.use_NT[rows] = inner_frames(torch.from_numpy(num_valid_N[rows]), shown.shape[1])
            out.embeddings_NTD[rows] = network.embed_video(small(shown)).cpu()
    return out


def embed_sounds(
    network: SyncNet, raw_mels_NTMU: NDArray[np.float32], num_valid_N: Ints, stats: MelStats
) -> Embeddings:
    """What it hears in sounds."""
    out = no_embeddings(*raw_mels_NTMU.shape[:2])
    device = next(network.parameters()).device
    with torch.inference_mode():
        for rows in blocks(len(raw_mels_NTMU), 64, raw_mels_NTMU):
            mels = torch.from_numpy(windowing.standardize(raw_mels_NTMU[rows], stats)).to(device)
            out.use_NT[rows] = inner_frames(torch.from_numpy(num_valid_N[rows]), mels.shape[1])
            out.embeddings_NTD[rows] = network.embed_sound(mels).cpu()
    return out


def correlations(videos: Embeddings, sounds: Embeddings) -> Floats:
    """Of every video with every sound, float64 (N, M), -1..1."""
    parts = [
        correlation(videos.embeddings_NTD[rows], videos.use_NT[rows], sounds.embeddings_NTD, sounds.use_NT)
        for rows in blocks(len(videos), 128)
    ]
    return torch.cat(parts).double().numpy()


def shifted(videos: Embeddings, sounds: Embeddings) -> Floats:
    """Of every video with its own sound at each of `SHIFTS`, float64 (N, S)."""
    use = videos.use_NT * sounds.use_NT
    return shifted_correlation(videos.embeddings_NTD, sounds.embeddings_NTD, use, SHIFTS).double().numpy()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Order:
    """What the order evaluator says of each video; NaN where a video has held frames.

    Args:
        pairs_N: share of its 6 pairs of segments that it puts in their true sequence; a tie is half a pair.
        right_N: 1 where it finds the true order of the 24, 1 / n where n orders are equally good; else 0.
    """

    pairs_N: Floats
    right_N: Floats


def order(network: OrderClassifier, videos_NTHWC: Videos, num_valid_N: Ints) -> Order:
    """The order evaluator on each video's segments."""
    device = next(network.parameters()).device
    pairs, right = np.full(len(videos_NTHWC), np.nan), np.full(len(videos_NTHWC), np.nan)
    with torch.inference_mode():
        for rows in blocks(len(videos_NTHWC), 16, videos_NTHWC):
            segments = cut_into_segments(small(_tensor(videos_NTHWC[rows], device)))
            logits = network(segments).double().cpu().numpy()
            pairs[rows], right[rows] = predict_orders(logits)
    held = num_valid_N < videos_NTHWC.shape[1]
    pairs[held] = right[held] = np.nan
    return Order(pairs_N=pairs, right_N=right)


def order_by_cuts(videos_NTHWC: Videos, num_valid_N: Ints) -> Order:
    """The same by no evaluator: the best order is that with the least change across its cuts, mean |first frame - last frame|.

    It stands beside what the evaluator says, for a evaluator may be put off by pictures unlike those it was trained on.
    """
    pairs, right = np.full(len(videos_NTHWC), np.nan), np.full(len(videos_NTHWC), np.nan)
    length = videos_NTHWC.shape[1] // SEGMENTS
    for rows in blocks(len(videos_NTHWC), 32, videos_NTHWC):
        start = videos_NTHWC[rows, ::length].astype(np.int16)
        end = videos_NTHWC[rows, length - 1 :: length].astype(np.int16)
        change = np.stack([np.abs(start - end[:, a, None]).mean(axis=(2, 3, 4)) for a in range(SEGMENTS)], axis=1)
        total = np.stack([sum(change[:, a, b] for a, b in itertools.pairwise(ranking)) for ranking in ORDERS], axis=1)
        # So cold that the best orders alone count, and equally good ones equally.
        pairs[rows], right[rows] = predict_orders(-1e3 * total)
    held = num_valid_N < videos_NTHWC.shape[1]
    pairs[held] = right[held] = np.nan
    return Order(pairs_N=pairs, right_N=right)


_BEFORE = np.array([
    [1.0 if ranking.index(a) < ranking.index(b) else 0.0 for a in range(len(ranking)) for b in range(a + 1, len(ranking))]
    for ranking in ORDERS
])  # fmt: skip
"""(orders, pairs): 1 where an order has the pair in its true sequence."""


def predict_orders(logits_BP: Floats) -> tuple[Floats, Floats]:
    """Logits of `ORDERS` -> (share of pairs in true sequence, whether the true order is found): `Order`'s two, (B,) each."""
    p = np.exp(logits_BP - logits_BP.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    sequence = p @ _BEFORE
    tie = np.abs(sequence - 0.5) <= TIE
    pairs = np.where(tie, 0.5, sequence > 0.5).mean(axis=1)
    best = logits_BP >= logits_BP.max(axis=1, keepdims=True) - TIE
    return pairs, np.where(best[:, 0], 1.0 / best.sum(axis=1), 0.0)


def _tensor(videos_BTHWC: Videos, device: torch.device) -> Tensor:
    whole = torch.from_numpy(np.ascontiguousarray(videos_BTHWC)).to(device)
    return whole.permute(0, 1, 4, 2, 3).float() / 127.5 - 1.0


def beats_shifted(agreement_NS: Floats) -> Floats:
    """Share of the wrong shifts that a video's own sound in place beats (a tie counts half), float64 (N,)."""
    place = agreement_NS[:, SHIFTS.index(0), None]
    wrong = agreement_NS[:, [SHIFTS.index(shift) for shift in WRONG_SHIFTS]]
    return ((place > wrong) + 0.5 * (place == wrong)).mean(axis=1)


def offsets(agreement_NS: Floats) -> Ints:
    """The shift at which each video fits its sound best, in frames by which motion comes after it; of equal ones the
    smallest."""
    nearest_first = sorted(range(len(SHIFTS)), key=lambda index: abs(SHIFTS[index]))
    best = agreement_NS[:, nearest_first].argmax(axis=1)
    return np.array(SHIFTS)[nearest_first][best]


def confidences(agreement_NS: Floats) -> Floats:
    """Best agreement over the shifts less the median, float64 (N,): SyncNet's confidence (Chung & Zisserman 2016)."""
    return agreement_NS.max(axis=1) - np.median(agreement_NS, axis=1)
