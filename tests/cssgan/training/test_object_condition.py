"""Training with `model.object_condition`: the right object, resumability, and models that do not have it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from cssgan.config import override
from cssgan.data.object_pictures import fit, to_input
from cssgan.errors import ConfigError
from cssgan.models import factory
from cssgan.models.interface import WindowInputs
from cssgan.models.object_picture import placing_loss
from cssgan.presets import preset
from cssgan.training.cost import synthetic_batch
from cssgan.training.step import new_train_state, train_step
from cssgan.types import Batch
from tests.cssgan.data.test_object_pictures import square
from tests.cssgan.toy_dataset import tiny_config

CPU = torch.device("cpu")
OBJECT_FRAME, PLACE = 8, slice(6, 14)


def two_clips(settings: tuple[str, ...]) -> Batch:
    """Two clips with equal first frame, audio and class. From frame 8 on each shows its own object at the same place."""
    torch.manual_seed(0)
    batch = synthetic_batch(tiny_config(*settings), 2, num_classes=5, device=CPU)
    pictures = np.stack([fit(square(colour), 8) for colour in ((255, 20, 20), (20, 20, 255))])
    object_BCHW = to_input(torch.from_numpy(pictures))
    video = torch.full_like(batch.video_BCTHW, -0.2)
    video[:, :, OBJECT_FRAME:, PLACE, PLACE] = object_BCHW[:, :3, None]
    return replace(
        batch,
        video_BCTHW=video,
        mels_BTMU=batch.mels_BTMU[:1].expand(2, -1, -1, -1).contiguous(),
        label_BK=batch.label_BK[:1].expand(2, -1).contiguous(),
        order_B=torch.zeros(2, dtype=torch.long),
        object_BCHW=object_BCHW,
    )


def test_a_model_draws_the_object_that_it_is_given() -> None:
    settings = (
        "model.object_condition=true", "model.g_output=warp", "model.norm=group", "loss.adv_start=1000000",
        "loss.l1_weight=20", "loss.l2_weight=150", "optim.g_lr=2e-3", "optim.max_grad_norm=10", "train.batch_size=2", "train.num_videos=100000",
        "order.p_in_order=1", "model.audio_context=window",
    )  # fmt: skip
    config = override(tiny_config(*settings), [])
    batch = two_clips(settings)
    torch.manual_seed(0)
    state = new_train_state(
        config, factory.generator(config, num_classes=5), factory.discriminators(config, num_classes=5)
    )
    for number in range(200):
        train_step(state, batch, config, num_steps=number, num_videos=2 * number)

    generator = state.generator.eval()

    def generate(object_BCHW: Tensor | None) -> Tensor:
        with torch.no_grad():
            return generator.rollout(
                batch.video_BCTHW[:, :, 0], batch.mels_BTMU, batch.label_BK, batch.noise_BZ,
                window=WindowInputs(object_BCHW=object_BCHW),
            )  # fmt: skip

    assert batch.object_BCHW is not None
    real = batch.video_BCTHW[:, :, -1]
    right, other = generate(batch.object_BCHW)[:, :, -1], generate(batch.object_BCHW.flip(0))[:, :, -1]
    between = float((real[0] - real[1]).square().mean())
    for n in (0, 1):
        assert float((right[n] - real[n]).square().mean()) < 0.2 * between
        assert float((other[n] - real[1 - n]).square().mean()) < 0.2 * between
    before = generate(batch.object_BCHW)[:, :, OBJECT_FRAME - 4]
    assert float((before - batch.video_BCTHW[:, :, 0]).square().mean()) < 0.2 * between


def test_boxes_teach_the_place_of_a_picture_that_starts_beside_it() -> None:
    """A small object in a corner, which the picture in the middle of the frame does not touch."""
    settings = (
        "model.object_condition=true", "model.object_dropout=0", "model.g_output=warp", "model.norm=group",
        "loss.adv_start=1000000", "loss.l1_weight=1", "optim.g_lr=5e-3", "train.batch_size=2",
        "train.num_videos=100000", "order.p_in_order=0.5", "model.audio_context=window", "model.shuffled_starts=real",
    )  # fmt: skip
    distances: dict[str, float] = {}
    for weight in ("0", "10"):
        config = tiny_config(*settings, f"loss.place_weight={weight}")
        batch = two_clips(settings)
        boxes = torch.tensor([0.0625, 0.0625, 0.1875, 0.1875]).expand(2, batch.video_BCTHW.shape[2], 4).clone()
        boxes[:, :OBJECT_FRAME] = 0.0
        batch = replace(batch, boxes_BT4=boxes if weight != "0" else None)
        torch.manual_seed(0)
        state = new_train_state(
            config, factory.generator(config, num_classes=5), factory.discriminators(config, num_classes=5)
        )
        terms = [train_step(state, batch, config, num_steps=n, num_videos=2 * n) for n in range(60)][-1]
        assert ("g_place" in terms) == ("g_presence" in terms) == (weight != "0")
        placings = list[Tensor]()
        state.generator.eval().requires_grad_(False)(
            batch.video_BCTHW[:, :, 0],
            batch.mels_BTMU.unflatten(1, (4, -1)),
            batch.label_BK,
            batch.noise_BZ,
            WindowInputs(object_BCHW=batch.object_BCHW, placings=placings),
        )
        placing = torch.cat(placings, dim=1)
        assert batch.object_BCHW is not None
        distances[weight] = float(placing_loss(placing, batch.object_BCHW, boxes, torch.ones(boxes.shape[:2]))[0])
    assert distances["10"] < 0.3 * distances["0"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [("model.object_condition=false", "0 without model.object_condition=true"),
     ("model.cascade_order=chrono", "0 with model.cascade_order=chrono")],
)  # fmt: skip
def test_boxes_without_a_use_are_refused(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"loss.place_weight: got 1.0, allowed: {message}"):
        tiny_config("model.object_condition=true", "loss.place_weight=1", setting)


@pytest.mark.parametrize("kind", ["mocogan", "g3an", "imaginator", "phonicsgan_like"])
@pytest.mark.parametrize("setting", ["model.object_condition=true", "model.word_dim=8", "model.object_dropout=0.1"])
def test_baselines_refuse_objects(kind: str, setting: str) -> None:
    with pytest.raises(ConfigError, match=f"{setting.partition('=')[0]}: got .* with model.kind={kind}"):
        override(preset(f"{kind}-tiny"), [setting])


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("model.streams=1", "model.cascade=false", "order.shuffle=none"),
        ("model.cascade_order=chrono",),
        ("order.shuffle=disc", "model.z_dim=2"),
        ("model.shuffled_starts=real", "train.accumulate=2", "train.batch_size=2"),
    ],
)
def test_every_kind_of_step_gets_the_object(settings: tuple[str, ...]) -> None:
    config = tiny_config("model.object_condition=true", "model.word_dim=4", "train.batch_size=2", *settings)
    batch = synthetic_batch(config, 2, num_classes=5, device=CPU)
    torch.manual_seed(0)
    state = new_train_state(
        config, factory.generator(config, num_classes=5), factory.discriminators(config, num_classes=5)
    )

    terms = train_step(state, batch, config, num_steps=0, num_videos=0)

    assert all(bool(torch.isfinite(value)) for value in terms.values())
    for name, parameter in state.generator.named_parameters():
        if name.startswith("object_"):
            assert parameter.grad is not None, name
            assert float(parameter.grad.abs().sum()) > 0, name
