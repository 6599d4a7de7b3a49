"""Configurations are validated; errors name the field and its allowed values."""

from __future__ import annotations

import json

import pytest

from cssgan.config import RESUMABLE, Config, ModelConfig, differences, from_json, options, override, to_json
from cssgan.errors import ConfigError
from cssgan.presets import SETTINGS, preset
from phonics_data.errors import OptionError


@pytest.mark.parametrize("name", SETTINGS)
def test_json_round_trip_of_presets(name: str) -> None:
    config = preset(name)

    assert from_json(json.loads(json.dumps(to_json(config)))) == config


def test_paper_is_the_default_and_has_the_papers_values() -> None:
    config = preset("paper")

    assert config == Config()
    assert (config.data.size, config.data.num_frames, config.num_orders, config.frames_per_clip) == (64, 32, 24, 8)
    assert (config.model.g_output, config.model.z_dim, config.order.p_in_order) == ("direct", 0, 0.0)
    assert (config.train.batch_size, config.optim.g_lr, config.optim.d_lr) == (32, 2e-4, 2e-4)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(OptionError, match=r"--preset: got 'papr', allowed: .*lean.*did you mean paper"):
        preset("papr")


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("loss.order_weight=0.5", "loss.order_weight", 0.5),
        ("loss.order_weight=2", "loss.order_weight", 2.0),
        ("train.num_videos=1_000", "train.num_videos", 1000),
        ("model.cascade=false", "model.cascade", False),
        ("order.shuffle=disc", "order.shuffle", "disc"),
        (" optim.g_lr = 1e-3", "optim.g_lr", 1e-3),
    ],
)
def test_override_sets_one_field(setting: str, field: str, value: object) -> None:
    changed = override(Config(), [setting])

    assert {o.name: o.value for o in options(changed)}[field] == value
    assert [d.split(":")[0] for d in differences(Config(), changed)] == [field]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("loss.order_weight=-1", "loss.order_weight: got -1.0, allowed: number >= 0"),
        ("loss.order_weight=nan", "loss.order_weight: got nan, allowed: number >= 0"),
        ("loss.order_weight=much", "loss.order_weight: got 'much', allowed: number >= 0"),
        ("train.batch_size=1.5", "train.batch_size: got '1.5', allowed: whole number >= 1"),
        ("model.cascade=maybe", "model.cascade: got 'maybe', allowed: true or false"),
        ("order.shuffle=both", "order.shuffle: got 'both', allowed: none | disc | gen"),
        ("optim.g_lr=0", "optim.g_lr: got 0.0, allowed: number > 0 and <= 1"),
        ("loss.order_wieght=1", "loss.order_wieght: got '1', allowed: a field that `cssgan show-config` lists"),
        ("loss.order_weight", "allowed: section.field=value"),
        ("data.size=48", "data.size: got 48, allowed: a power of two"),
        ("data.num_frames=24", "data.num_frames: got 24"),
        ("data.frame_stride=0", "data.frame_stride: got 0, allowed: whole number >= 1 and <= 8"),
        ("data.frame_stride=9", "data.frame_stride: got 9, allowed: whole number >= 1 and <= 8"),
        ("data.frame_stride=2.5", "data.frame_stride: got '2.5', allowed: whole number >= 1 and <= 8"),
        ("loss.mismatch_weight=1", "loss.mismatch_weight: got 1.0, allowed: 0 without discriminator.d_audio=true"),
        (
            "discriminator.seam_clips=true",
            "discriminator.seam_clips: got True, allowed: false with order.p_in_order=0: no window is in time order",
        ),
        ("loss.penalty_every=4", "loss.penalty_every: got 4, allowed: 1 without loss.r1_gamma or loss.r2_gamma"),
        ("loss.l1_late_fraction=0.3", "loss.l1_late_fraction: got 0.3, allowed: 0 without loss.l2_weight"),
        ("loss.l1_late_fraction=2", "loss.l1_late_fraction: got 2.0, allowed: number >= 0 and <= 1"),
        ("model.audio_inject=gate", "model.audio_inject: got 'gate', allowed: every | bottleneck |"),
        ("model.streams=2", "model.streams: got 2, allowed: 1 or model.num_clips (4)"),
    ],
)
def test_invalid_settings_are_refused_with_field_and_range(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(Config(), [setting])

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stride", [1, 2, 8])
def test_a_window_spans_the_stride_times_its_frames(stride: int) -> None:
    config = override(Config(), [f"data.frame_stride={stride}", "data.segment_context=clip"])

    assert (config.source_frames, config.source_frames_per_clip) == (32 * stride, 8 * stride)
    assert (config.source_frames_per_stream, config.context_frames) == (8 * stride, 8 * stride)
    assert (config.data.num_frames, config.frames_per_clip, config.frames_per_stream) == (32, 8, 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ("discriminator.d_audio=true", "loss.mismatch_weight=1", "train.batch_size=4", "train.accumulate=4"),
            "loss.mismatch_weight: got 1.0, allowed: 0 with one video per process and part",
        ),
        (
            ("discriminator.d_audio=true", "loss.mismatch_weight=1", "discriminator.video_d=whole"),
            "loss.mismatch_weight: got 1.0, allowed: 0 or false with discriminator.video_d=whole",
        ),
        (
            ("loss.r1_gamma=1", "loss.penalty_every=4", "compute.cuda_graph=true"),
            "compute.cuda_graph: got True, allowed: false with loss.penalty_every > 1",
        ),
        (
            ("model.shuffled_starts=real", "order.shuffle=disc", "model.streams=1"),
            "model.shuffled_starts: got 'real', allowed: cascade without a cascade in shuffled order",
        ),
        (
            ("model.shuffled_starts=real", "model.cascade=false"),
            "model.shuffled_starts: got 'real', allowed: cascade without a cascade in shuffled order",
        ),
        (
            ("model.object_dropout=0.1",),
            "model.object_dropout: got 0.1, allowed: 0.5 without model.object_condition and model.word_dim",
        ),
    ],
)
def test_options_that_exclude_each_other_are_refused(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(Config(), settings)

    assert message in str(caught.value)


def test_an_unknown_field_suggests_similar_ones() -> None:
    with pytest.raises(ConfigError, match=r"loss\.order_weight"):
        override(Config(), ["loss.order_wieght=1"])


def test_a_directly_constructed_config_is_validated() -> None:
    with pytest.raises(ConfigError, match=r"model\.width: got 0"):
        Config(model=ModelConfig(width=0))


def test_only_duration_logging_and_speed_may_change_in_a_run() -> None:
    longer = override(Config(), ["train.num_videos=5", "train.log_every=1"])

    assert differences(Config(), longer, ignore=RESUMABLE) == []
    assert differences(Config(), override(longer, ["train.seed=1"]), ignore=RESUMABLE) == ["train.seed: 0 -> 1"]


def test_every_field_has_help_and_a_range() -> None:
    for option in options(Config()):
        assert option.help
        assert option.allowed


def test_an_unknown_field_has_no_advice_to_set_it() -> None:
    with pytest.raises(ConfigError) as caught:
        override(Config(), ["loss.ordr_weight=1"])
    assert "such as loss.order_weight" in str(caught.value)
    assert "change it with" not in str(caught.value)


def test_an_integer_too_large_for_json_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"train.batch_size: got 10{20}, allowed: whole number >= 1 and at most 9007199254740992"
    ):
        override(Config(), [f"train.batch_size={10**20}"])
