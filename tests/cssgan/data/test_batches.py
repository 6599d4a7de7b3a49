"""Batches are a function of the seed and the position; their content matches the dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cssgan import clip_permutations
from cssgan.data import resident
from cssgan.data.batches import ResidentLoader, augment, cut_clips, to_uint8, to_video
from cssgan.data.sampler import derangement
from cssgan.types import Batch, MelStats
from tests.cssgan.toy_dataset import tiny_config


def loader(dataset: Path, *settings: str) -> ResidentLoader:
    config = tiny_config(*settings)
    data = resident.load(dataset, "train", config.data.size)
    stats = MelStats(mean=data.mean, std=data.std, clamp=config.data.mel_clamp)
    return ResidentLoader(data=data, config=config, mel_stats=stats, device=torch.device("cpu"))


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    values = {name: getattr(batch, name) for name in Batch.__slots__}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}


def test_a_batch_depends_only_on_seed_and_position(dataset: Path) -> None:
    first, second = loader(dataset), loader(dataset)
    for position in range(0, 30, 3):
        first.batch(position)  # the second loader does not prepare these

    for name, value in tensors(first.batch(30)).items():
        assert torch.equal(value, tensors(second.batch(30))[name]), name
    assert first.batch(30).keys != loader(dataset, "train.seed=1").batch(30).keys


def test_shapes_and_ranges(dataset: Path) -> None:
    batch = loader(dataset, "model.z_dim=5").batch(0)

    shapes = {name: tuple(value.shape) for name, value in tensors(batch).items()}
    assert shapes == {
        "video_BCTHW": (3, 3, 16, 16, 16),
        "mels_BTMU": (3, 16, 64, 20),
        "label_BK": (3, 26),
        "num_valid_B": (3,),
        "order_B": (3,),
        "order_mask_B": (3,),
        "in_order_B": (3,),
        "frame_index_BS": (3, 4),
        "noise_BZ": (3, 5),
    }
    assert float(batch.video_BCTHW.abs().max()) <= 1.0
    assert float(batch.mels_BTMU.abs().max()) <= 4.0
    assert torch.equal(batch.label_BK.sum(1), torch.ones(3))


def test_every_epoch_has_every_clip_once_in_a_new_order(dataset: Path) -> None:
    ours = loader(dataset, "train.batch_size=7")

    epochs = [ours.batch(7 * epoch).keys for epoch in range(3)]

    assert all(len(set(keys)) == 7 for keys in epochs)
    assert len(set(epochs)) == 3


def test_all_orders_occur_and_p_in_order_forces_time_order(dataset: Path) -> None:
    def sampled_orders(*settings: str) -> list[tuple[int, bool]]:
        ours = loader(dataset, "train.batch_size=50", *settings)
        batches = [ours.batch(50 * step) for step in range(4)]
        for batch in batches:
            counted = ~batch.in_order_B & (batch.num_valid_B == 16)
            assert torch.equal(batch.order_mask_B, counted.float())
        return [pair for b in batches for pair in zip(b.order_B.tolist(), b.in_order_B.tolist(), strict=True)]

    assert {rank for rank, _ in sampled_orders()} == set(range(24))
    assert not any(forced for _, forced in sampled_orders())
    half = sampled_orders("order.p_in_order=0.5")
    assert 0.35 < np.mean([forced for _, forced in half]) < 0.65
    assert all(rank == 0 for rank, forced in half if forced)
    assert set(sampled_orders("order.shuffle=none")) == {(0, False)}


def test_enumerated_orders_of_a_clip_are_consecutive(dataset: Path) -> None:
    batch = loader(dataset, "train.batch_size=48", "order.sampling=enumerate").batch(0)

    assert batch.order_B.tolist() == [*range(24), *range(24)]
    assert len(set(batch.keys[:24])) == len(set(batch.keys[24:])) == 1
    assert batch.keys[0] != batch.keys[24]


def test_shuffled_audio_gives_every_clip_the_audio_of_another(dataset: Path) -> None:
    plain, control = loader(dataset), loader(dataset, "data.shuffle_audio=true")

    ours, theirs = plain.batch(0), control.batch(0)

    assert torch.equal(ours.video_BCTHW, theirs.video_BCTHW)
    for mine, other in zip(ours.mels_BTMU, theirs.mels_BTMU, strict=True):
        assert not torch.equal(mine, other)


def test_augmentation_is_equal_in_all_frames_and_keeps_motion() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    frames[1] = frames[0]

    for seed in range(20):
        out = augment(frames, np.random.default_rng(seed), colour=True, shift=2)
        assert out.shape == frames.shape
        assert np.array_equal(out[0], out[1])
        assert not np.array_equal(out[0], out[2])
    still = augment(frames, np.random.default_rng(0), colour=False, shift=0)
    assert np.array_equal(still, frames)


def test_colour_augmentation_permutes_and_inverts_channels() -> None:
    frames = np.broadcast_to(np.array([10, 100, 200], np.uint8), (2, 4, 4, 3))

    seen = {tuple(augment(frames, np.random.default_rng(seed), colour=True, shift=0)[0, 0, 0]) for seed in range(300)}

    assert len(seen) == 48
    assert all(sorted(min(c, 255 - c) for c in map(int, pixel)) == [10, 55, 100] for pixel in seen)


def test_shifts_repeat_the_edge() -> None:
    ramp = np.broadcast_to(np.arange(8, dtype=np.uint8)[:, None, None], (1, 8, 8, 3))

    starts = {int(augment(ramp, np.random.default_rng(seed), colour=False, shift=2)[0, 4, 0, 0]) for seed in range(60)}

    assert starts == {2, 3, 4, 5, 6}


def test_augmented_batches_depend_only_on_seed_and_position(dataset: Path) -> None:
    settings = ("data.augment_colour=true", "data.augment_shift=2")

    first, second, plain = (
        loader(dataset, *settings).batch(9),
        loader(dataset, *settings).batch(9),
        loader(dataset).batch(9),
    )

    assert torch.equal(first.video_BCTHW, second.video_BCTHW)
    assert not torch.equal(first.video_BCTHW, plain.video_BCTHW)
    assert torch.equal(first.mels_BTMU, plain.mels_BTMU)


@pytest.mark.parametrize("count", [2, 3, 50])
def test_a_derangement_has_no_fixed_point(count: int) -> None:
    out = derangement(count, seed=3)

    assert sorted(out) == list(range(count))
    assert not (out == np.arange(count)).any()


def test_to_uint8_inverts_to_video() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4, 3), np.uint8)

    assert np.array_equal(to_uint8(to_video(frames, torch.device("cpu"))), frames)


def test_cut_clips_permutes_frames_audio_and_mask_equally(dataset: Path) -> None:
    batch = loader(dataset).batch(0)
    clip_at = clip_permutations.clip_at(torch.tensor([23, 0, 8]), 4)

    out = cut_clips(batch, 4, clip_at)

    for b in range(3):
        for k, clip in enumerate(clip_at[b].tolist()):
            frames = slice(4 * clip, 4 * clip + 4)
            assert torch.equal(out.clips_BSCFHW[b, k], batch.video_BCTHW[b, :, frames])
            assert torch.equal(out.mels_BSFMU[b, k], batch.mels_BTMU[b, frames])
            expected = (torch.arange(16)[frames] < batch.num_valid_B[b]).float()
            assert torch.equal(out.valid_BSF[b, k], expected)
