"""One training step with sizes and numbers of clips, orders and classes beyond those of the presets."""

from __future__ import annotations

import math

import pytest
import torch

from cssgan.models import factory
from cssgan.training.cost import synthetic_batch
from cssgan.training.step import new_train_state, train_step
from tests.cssgan.toy_dataset import tiny_config


@pytest.mark.parametrize(
    ("settings", "num_classes", "num_orders"),
    [
        (("data.size=64",), 26, 24),
        (("data.size=128",), 43, 24),
        (("data.size=256",), 3, 24),
        (("data.num_frames=64", "model.num_clips=16", "model.streams=16", "order.max_orders=50"), 1, 50),
        (("data.num_frames=32", "model.num_clips=8", "model.streams=8"), 300, 24),
        (("data.num_frames=24", "model.num_clips=3", "model.streams=3"), 26, 6),
        (("data.num_frames=16", "model.num_clips=8", "model.streams=1"), 26, 24),
    ],
)
def test_a_step_at_every_scale(settings: tuple[str, ...], num_classes: int, num_orders: int) -> None:
    config = tiny_config("train.batch_size=2", *settings)
    torch.manual_seed(0)
    train_state = new_train_state(
        config,
        factory.generator(config, num_classes=num_classes),
        factory.discriminators(config, num_classes=num_classes),
    )
    batch = synthetic_batch(config, 2, num_classes=num_classes, device=torch.device("cpu"))

    terms = train_step(train_state, batch, config, num_steps=0, num_videos=0)

    assert config.num_orders == num_orders
    assert all(math.isfinite(float(value)) for value in terms.values())
    assert 0.5 * math.log(num_orders) < float(terms["d_order"]) < 2 * math.log(num_orders)
    with torch.no_grad():
        video = train_state.generator.rollout(
            batch.video_BCTHW[:, :, 0], batch.mels_BTMU, batch.label_BK, batch.noise_BZ
        )
    assert video.shape == batch.video_BCTHW.shape
