"""Accuracy of the order predictor on real windows: known values, and what it learns in a few steps."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from cssgan import clip_permutations
from cssgan.config import Config
from cssgan.models import factory
from cssgan.models.blocks import iterate_spectral_norms
from cssgan.models.interface import DiscriminatorOutput, Discriminators
from cssgan.training import losses, order_readouts
from cssgan.types import EvalWindows
from phonics_data.contract.labels import LabelSet
from tests.cssgan.toy_dataset import tiny_config

CPU = torch.device("cpu")


def moving_windows(count: int, seed: int, *, num_frames: int = 16, size: int = 16) -> np.ndarray:
    """Windows of a smooth random picture that moves to the right, another one for each window."""
    rng = np.random.default_rng(seed)
    wide = rng.integers(0, 256, (count, 4, (size + num_frames) // 4 + 1, 3)).repeat(4, axis=1).repeat(4, axis=2)
    frames = [wide[:, :, t : t + size] for t in range(num_frames)]
    return np.stack(frames, axis=1).astype(np.uint8)


def as_windows(video_NTHWC: np.ndarray, num_valid: int | None = None) -> EvalWindows:
    count, frames = video_NTHWC.shape[:2]
    mels = np.zeros((count, frames, 64, 20), np.float32)
    return EvalWindows(
        keys=tuple(map(str, range(count))),
        video_ids=("song",) * count,
        label_set=LabelSet("toy", ("A", "B")),
        labels_N=np.zeros(count, np.int64),
        video_NTHWC=video_NTHWC,
        raw_mels_NTMU=mels,
        mels_NTMU=mels,
        num_valid_N=np.full(count, num_valid or frames, np.int64),
        frame_rates=(Fraction(25),) * count,
        start_seconds=(0.0,) * count,
        object_words=("",) * count,
    )


class FixedPredictor(Discriminators):
    """Predicts the order from the brightness of each clip's first frame, or always the same order."""

    def __init__(self, *, knows: bool) -> None:
        super().__init__()
        self.knows = knows

    def forward(
        self, clips_BSCFHW: Tensor, label_BK: Tensor, frame_index_BS: Tensor, mels_BSFMU: Tensor | None = None
    ) -> DiscriminatorOutput:
        return DiscriminatorOutput(image_BS=label_BK, features_BSDHW=clips_BSCFHW[:, :, :, 0])

    def predict_order(self, output: DiscriminatorOutput, permutation_BS: Tensor) -> Tensor:
        table = torch.from_numpy(clip_permutations.permutations(4).copy())
        if not self.knows:
            return torch.eye(24)[torch.zeros(len(permutation_BS), dtype=torch.long)]
        assert output.features_BSDHW is not None
        brightness_BS = output.features_BSDHW.mean(dim=(2, 3, 4)).gather(1, permutation_BS)
        ranks_BS = brightness_BS.argsort(dim=1).argsort(dim=1)
        return (ranks_BS[:, None] == table[None]).float().mean(dim=2)


def test_a_predictor_that_knows_and_one_that_does_not() -> None:
    config = tiny_config()
    video = np.arange(16)[None, :, None, None, None] * 10 + np.zeros((24, 1, 16, 16, 3))
    windows = as_windows(video.astype(np.uint8))

    right = order_readouts.order_accuracy(FixedPredictor(knows=True), windows, config, CPU)
    constant = order_readouts.of_real_windows(FixedPredictor(knows=False), windows, config, CPU)

    assert right.accuracy_N.tolist() == right.pairs_N.tolist() == [1.0] * 24
    # Every order is presented equally often, so that a constant answer is at the chance level.
    assert constant == {"val_order_acc": pytest.approx(1 / 24), "val_order_pairs": pytest.approx(0.5)}


def test_windows_with_held_frames_have_no_order() -> None:
    windows = as_windows(moving_windows(3, 0), num_valid=15)

    assert order_readouts.of_real_windows(FixedPredictor(knows=True), windows, tiny_config(), CPU) == {}


def test_with_a_frame_stride_the_frames_of_the_model_are_compared() -> None:
    moving = moving_windows(3, 0)
    config = tiny_config("data.frame_stride=2")
    held = np.repeat(moving, 2, axis=1)
    windows = replace(as_windows(held), mels_NTMU=np.zeros((3, held.shape[1], 64, 20), np.float32))
    torch.manual_seed(0)
    discriminators = factory.discriminators(config, num_classes=2)
    strided = order_readouts.order_accuracy(discriminators, windows, config, CPU)
    plain = order_readouts.order_accuracy(discriminators, as_windows(moving), tiny_config(), CPU)
    assert np.array_equal(strided.accuracy_N, plain.accuracy_N)
    assert len(strided.pairs_N) == 3


def learned_accuracy(config: Config, num_steps: int) -> float:
    """Accuracy on other windows after so many steps of 8 windows with equation (3) alone."""
    torch.manual_seed(0)
    discriminators = factory.discriminators(config, num_classes=2)
    optim = torch.optim.Adam(discriminators.parameters(), lr=2e-3, betas=(0.5, 0.999))
    for step in range(num_steps):
        video = torch.from_numpy(moving_windows(8, 100 + step)).permute(0, 4, 1, 2, 3) / 127.5 - 1.0
        order_B = torch.from_numpy(np.random.default_rng(step).integers(24, size=8))
        clips = clip_permutations.permute(
            video.unflatten(2, (4, -1)).transpose(1, 2), clip_permutations.clip_at(order_B, 4)
        )
        iterate_spectral_norms(discriminators)
        output = discriminators(clips, torch.eye(2)[torch.zeros(8, dtype=torch.long)], torch.zeros(8, 4).long())
        in_time_BS = torch.arange(4).expand(8, 4)
        logits_BP = discriminators.predict_order(output, in_time_BS)
        assert logits_BP is not None
        optim.zero_grad()
        losses.order_loss(logits_BP, order_B, torch.ones(8)).backward()
        optim.step()
    found = order_readouts.order_accuracy(discriminators, as_windows(moving_windows(24, 1)), config, CPU)
    return float(found.accuracy_N.mean())


def test_with_the_frames_at_the_cuts_the_order_is_learned_in_a_hundred_steps() -> None:
    features, seams = (
        learned_accuracy(tiny_config("discriminator.width=8", f"discriminator.order_head={head}"), 100)
        for head in ("concat", "seam")
    )

    assert features < 0.2
    assert seams > 0.6
