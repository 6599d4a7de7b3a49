"""Presets of the baselines and of the ablation: their differences, and that each runs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from cssgan.config import differences
from cssgan.data import resident
from cssgan.data.batches import ResidentLoader
from cssgan.models import factory
from cssgan.presets import WITHOUT_L1, preset
from cssgan.training.step import new_train_state, train_step
from cssgan.types import MelStats
from tests.cssgan.toy_dataset import tiny_version

STEPS = {
    ("a0", "a1"): ["order.shuffle: none -> disc"],
    ("a1", "a1-streams"): ["model.streams: 1 -> 4"],
    ("a1-streams", "a2"): ["order.shuffle: disc -> gen"],
    ("a2", "a3"): ["discriminator.video_d: whole -> clips"],
    ("a3", "a4"): ["model.cascade: False -> True"],
}


@pytest.mark.parametrize("suffix", ["", "-tiny"])
@pytest.mark.parametrize("pair", STEPS)
def test_ablation_steps_differ_in_the_expected_fields(pair: tuple[str, str], suffix: str) -> None:
    before, after = (preset(name + suffix) for name in pair)

    assert differences(before, after) == STEPS[pair]


def test_the_last_ablation_step_is_the_full_model() -> None:
    assert preset("a4") == preset("paper")
    assert differences(preset("a4-tiny"), preset("tiny")) == ["model.audio_inject: bottleneck -> every"]


@pytest.mark.parametrize(
    "name", ["paper", "a0", "a1", "a2", "a3", "a4", "a0-tiny", "a4-tiny", "mocogan", "imaginator-tiny"]
)
def test_the_paper_and_its_ablation_have_audio_at_the_bottleneck_alone(name: str) -> None:
    assert preset(name).model.audio_inject == "bottleneck"


@pytest.mark.parametrize("suffix", ["", "-tiny"])
@pytest.mark.parametrize("name", WITHOUT_L1)
def test_the_variants_with_l1_have_the_weight_of_the_cssgan_and_differ_in_nothing_else(name: str, suffix: str) -> None:
    assert differences(preset(name + suffix), preset(f"{name}-l1{suffix}")) == ["loss.l1_weight: 0.0 -> 100.0"]
    assert preset(f"a4{suffix}").loss.l1_weight == preset(f"imaginator{suffix}").loss.l1_weight == 100.0


def test_tuned_presets_have_averaged_weights_which_the_study_evaluates() -> None:
    assert (preset("tuned").data.size, preset("tuned-tiny").data.size) == (64, 32)
    assert preset("tuned").train.ema_half_life > 0
    assert preset("tuned-tiny").train.ema_half_life > 0


@pytest.mark.parametrize("kind", ["mocogan", "g3an", "imaginator", "phonicsgan_like"])
def test_baselines_share_data_and_training_options(kind: str) -> None:
    for name, own in ((kind, preset("paper")), (f"{kind}-tiny", preset("a4-tiny"))):
        changed = {line.split(":")[0].split(".")[0] for line in differences(own, preset(name))}
        assert changed <= {"order", "model", "discriminator", "loss", "optim"}
        rates = {line for line in differences(own, preset(name)) if "_lr" in line}
        assert rates == set()


@pytest.mark.parametrize("step", ["a0", "a1", "a1-streams", "a2", "a3", "a4"])
def test_a_training_step_of_each_ablation_preset(dataset: Path, step: str) -> None:
    config = tiny_version(f"{step}-tiny")
    data = resident.load(dataset, "train", config.data.size)
    stats = MelStats(mean=data.mean, std=data.std, clamp=4.0)
    batch = ResidentLoader(data=data, config=config, mel_stats=stats, device=torch.device("cpu")).batch(0)
    torch.manual_seed(0)
    train_state = new_train_state(
        config, factory.generator(config, num_classes=26), factory.discriminators(config, num_classes=26)
    )

    terms = train_step(train_state, batch, config, num_steps=0, num_videos=0)

    assert all(math.isfinite(float(value)) for value in terms.values())
    assert ("g_order" in terms) == (step != "a0")
    assert ("vote_acc_real" in terms) == (step in ("a3", "a4"))
