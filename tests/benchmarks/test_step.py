"""The reference step computes the trainer's step; benchmarks of step, data loading and evaluation report their results."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import __main__ as command_line
from benchmarks import data_loading, targets
from benchmarks import evaluation as evaluating
from benchmarks import step as bench
from benchmarks.reference_step import Reference, unsupported
from cssgan.metrics import synchrony
from cssgan.metrics.motion import motion_curves
from cssgan.models import factory
from cssgan.models.blocks import SpectralConv
from cssgan.presets import SETTINGS, preset
from cssgan.training import step
from tests.cssgan.toy_dataset import tiny_config

CPU = torch.device("cpu")


def copy_weights(train_state: step.TrainState, reference: Reference) -> None:
    """Copy weights and singular vectors; the modules of both have the same order."""
    for own, other in zip(train_state.generator.parameters(), reference.generator.parameters(), strict=True):
        other.data.copy_(own.data.view_as(other))
    layers = [layer for layer in train_state.discriminators.modules() if isinstance(layer, SpectralConv)]
    normed = [
        layer for layer in reference.discriminators.modules() if isinstance(layer, (nn.Conv2d, nn.Conv3d, nn.Linear))
    ]
    for own, other in zip(layers, normed, strict=True):
        other.bias.data.copy_(own.bias.data)
        other.parametrizations.weight.original.data.copy_(own.weight.data)  # type: ignore[union-attr]
        power = other.parametrizations.weight[0]  # type: ignore[index]
        power._u.copy_(own.weight_u)
        power._v.copy_(own.weight_v)


@pytest.mark.parametrize(
    "settings",
    [(), ("model.g_output=direct",), ("discriminator.d_class=false", "model.audio_inject=bottleneck")],
)
def test_the_reference_computes_the_same_step(settings: tuple[str, ...]) -> None:
    config = tiny_config("order.p_in_order=0.5", "model.width=4", *settings)
    torch.manual_seed(0)
    train_state = step.new_train_state(
        config, factory.generator(config, num_classes=26), factory.discriminators(config, num_classes=26)
    )
    for network in (train_state.generator, train_state.discriminators):
        for parameter in network.parameters():  # larger than the initial 0.02, so that differences would show
            nn.init.normal_(parameter, 0.0, 0.2)
    step.iterate_spectral_norms(train_state.discriminators)
    reference = Reference(config, num_classes=26, device=CPU)
    copy_weights(train_state, reference)
    reference.discriminators.eval()  # no power iteration in the forward pass, unlike in training mode
    batch = bench.synthetic_loader(config, CPU).batch(0)

    part = step.micro_batch(batch, config)
    (fake,), terms = step.generator_step(train_state, [part], config, adversarial=True)
    terms |= step.discriminator_step(train_state, [part], [fake], config)
    expected = reference.step(batch)

    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=2e-4, atol=1e-6)
    grads = [other.grad for other in reference.generator.parameters() if other.grad is not None]
    # A bias before a normalization has no gradient but rounding errors of the others.
    rounding = 1e-6 * max(float(grad.abs().max()) for grad in grads)
    for own, other in zip(train_state.generator.parameters(), grads, strict=True):
        assert own.grad is not None
        scale = float(other.abs().max())
        torch.testing.assert_close(own.grad.view_as(other), other, rtol=1e-3, atol=1e-3 * scale + rounding)


@pytest.mark.parametrize("name", ["paper", "lean", "tiny", "small", "smoke"])
def test_the_reference_supports_the_presets_of_the_paper_model(name: str) -> None:
    assert unsupported(preset(name)) == []
    assert {field.partition("=")[0] for field in unsupported(preset("tuned-tiny"))} == {
        "model.norm", "model.audio_context", "model.shuffled_starts", "loss.l2_weight", "model.g_output",
    }  # fmt: skip
    assert unsupported(tiny_config("model.audio_encoder=conv")) == ["model.audio_encoder=conv"]
    assert unsupported(tiny_config("model.cascade=false", "loss.gan=rpgan")) == [
        "model.cascade=False",
        "loss.gan=rpgan",
    ]


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    with pytest.raises(SystemExit) as end:
        command_line.main()
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_bench_prints_one_json_object(monkeypatch, capsys, tmp_path: Path) -> None:
    settings = [word for setting in ("model.width=2", "data.size=16") for word in ("--set", setting)]
    arguments = ["--preset", "tiny", "--device", "cpu", "--batch", "2", "--seconds", "0", "--json", *settings]

    code, out, _ = run(monkeypatch, capsys, "step", *arguments, "--out", str(tmp_path / "bench.json"))

    assert code == 0
    row = json.loads(out)
    assert row["batch_size"] == 2
    assert row["videos_per_second"] == pytest.approx(2e3 / row["step_ms"])
    assert 0 < row["data_wait_share"] < 1
    assert row["step_gflop"] > 0
    assert json.loads((tmp_path / "bench.json").read_text()) == [row]


@pytest.mark.slow  # starts training processes
def test_without_a_preset_rows_that_need_a_gpu_are_listed_as_unmeasured(monkeypatch, capsys) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    monkeypatch.setitem(SETTINGS, "tiny", (*SETTINGS["tiny"], "model.width=2", "data.size=16", "discriminator.width=2"))

    code, out, _ = run(monkeypatch, capsys, "step", "--batch", "2", "--seconds", "0")

    assert code == 0
    assert out.count("not measured: needs a GPU") == 10
    assert "tiny" in out
    assert out.count("unmeasured: needs an H200") == 2
    results = {line.split("  ")[0]: line for line in out.partition("wanted")[2].splitlines()}
    for name in ("waiting for data, streaming", "host memory of the resident loader", "command to first step"):
        (line,) = (line for start, line in results.items() if start.startswith(name))
        assert "  met  " in line or "  missed  " in line


def measured(**changed: object) -> bench.Measurement:
    values: dict[str, object] = dict.fromkeys((field.name for field in dataclasses.fields(bench.Measurement)), 0.0) | {
        "preset": "paper",
        "variant": "bf16",
        "device": "cuda",
        "device_name": "NVIDIA H200",
        "batch_size": 32,
    }
    return bench.Measurement(**(values | changed))  # type: ignore[arg-type]


def test_targets_use_the_fastest_row_of_their_gpu(monkeypatch) -> None:
    for name in ("streaming_wait_share", "resident_memory_gb", "start_seconds"):  # tested below
        monkeypatch.setattr(data_loading, name, lambda *_, **__: None)
    rows = [
        measured(step_ms=20.0, variant="eager fp32"),
        measured(step_ms=12.0, data_wait_share=0.02),
        measured(step_ms=6.0, device_name="NVIDIA H100", batch_size=32),
        measured(preset="lean", step_ms=8.0, batch_size=16),
        measured(preset="tiny", device="cpu", device_name="a CPU", batch_size=8),
    ]

    got = [(row.value, row.status) for row in targets.rows(rows, CPU, seconds=0.0)]

    assert got[:3] == [(12.0, "met"), (None, "unmeasured"), (0.0, "met")]
    assert {status for value, status in got if value is None} == {"unmeasured"}
    slow = [measured(step_ms=14.0)]
    assert targets.rows(slow, CPU, seconds=0.0)[0].status == "missed"


def test_the_wait_for_the_streaming_loader_is_a_fraction_of_a_step() -> None:
    assert 0 < data_loading.streaming_wait_share(tiny_config("train.batch_size=2"), CPU, seconds=0.0) < 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux reports anonymous memory")
def test_memory_of_the_resident_loader_excludes_the_cache() -> None:
    config = tiny_config("data.size=64", "train.batch_size=2")

    memory_gb = data_loading.resident_memory_gb(config, num_clips=100, num_batches=3)

    assert memory_gb is not None
    assert 0 < memory_gb < 0.05  # the cache: 0.074


def test_an_unknown_device_is_refused(monkeypatch, capsys) -> None:
    code, _, err = run(monkeypatch, capsys, "step", "--preset", "tiny", "--device", "tpu")

    assert code == 2
    assert "--device: got 'tpu', allowed: auto, cpu, cuda" in err


def test_time_and_memory_of_an_evaluation_are_reported(monkeypatch, capsys, tmp_path: Path) -> None:
    arguments = ["evaluation", "16", "--size", "32", "--out", str(tmp_path / "cost.json")]

    code, out, _ = run(monkeypatch, capsys, *arguments)

    assert code == 0
    assert out.startswith("16 videos of 32 frames of 32x32, offline metrics: ")
    (cost,) = json.loads((tmp_path / "cost.json").read_text())
    assert cost["cpu_seconds"] > 0
    assert cost["peak_bytes"] > 50_000_000
    if sys.platform.startswith("linux"):
        assert 50_000_000 < cost["peak_anonymous_bytes"] < cost["peak_bytes"]


def test_synthetic_videos_are_synchronous_with_their_audio() -> None:
    data = evaluating.windows(24, 32, 32)
    shifted = evaluating.shifted_at_onsets(data.video_NTHWC[:, 0], data.mels_NTMU, data.labels_N)
    videos_by_kind = {"real": data.video_NTHWC, "generated": shifted}
    onset = synchrony.onset_curves(data.raw_mels_NTMU, np.full(24, 4.0))[:, 1:]
    for videos in videos_by_kind.values():
        motion = motion_curves(videos)
        score = synchrony.best_correlations(motion, onset, np.ones_like(motion, bool), (0,))[0]
        assert synchrony.auc(synchrony.pairwise_wins(score), synchrony.negatives(data.video_ids))[0] > 0.8
