"""Checkpoints: complete or refused with the name of the damaged file."""

from __future__ import annotations

import json
import logging
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from cssgan.config import replace
from cssgan.errors import CheckpointError
from cssgan.training import checkpoint
from cssgan.types import MelStats, Progress
from phonics_data.contract.labels import LETTERS, LabelSet
from tests.cssgan.toy_dataset import tiny_config

pytestmark = pytest.mark.dependencies


def save(run: Path, step: int, *, keep: int = 3) -> Path:
    torch.manual_seed(step)
    return checkpoint.save(
        run,
        weights={
            checkpoint.GENERATOR: {"a.weight": torch.randn(3, 4).t(), "steps": torch.tensor(step)},
            checkpoint.DISCRIMINATORS: {"b": torch.randn(5)},
        },
        state={
            "g_optim": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1, "betas": (0.5, 0.9)}]}
        },
        config=tiny_config(f"train.keep_checkpoints={keep}"),
        label_set=LETTERS,
        mel_stats=MelStats(mean=-5.5, std=2.25, clamp=4.0),
        frame_rate=Fraction(30000, 1001),
        progress=Progress(num_videos=3 * step, num_steps=step, wall_seconds=1.5),
    )


def test_load_restores_everything_that_was_saved(tmp_path: Path) -> None:
    folder = save(tmp_path, 7)

    out = checkpoint.load_newest(tmp_path)

    torch.manual_seed(7)
    assert torch.equal(out.generator_weights()["a.weight"], torch.randn(3, 4).t())
    assert out.folder == folder
    assert out.config == tiny_config("train.keep_checkpoints=3")
    assert out.label_set == LETTERS
    assert out.mel_stats == MelStats(mean=-5.5, std=2.25, clamp=4.0)
    assert out.frame_rate == Fraction(30000, 1001)
    assert out.progress == Progress(num_videos=21, num_steps=7, wall_seconds=1.5)
    assert out.state()["g_optim"]["param_groups"] == [{"lr": 0.1, "betas": (0.5, 0.9)}]


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 9, 10):
        save(tmp_path, step, keep=2)

    assert [folder.name for folder in checkpoint.folders(tmp_path)] == ["step-00000010", "step-00000009"]


@pytest.mark.parametrize("name", [checkpoint.GENERATOR, checkpoint.STATE, checkpoint.MANIFEST])
@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_a_damaged_checkpoint_is_logged_and_the_previous_one_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    save(tmp_path, 1)
    damaged = save(tmp_path, 2) / name
    data = damaged.read_bytes()
    if damage == "missing":
        damaged.unlink()
    else:
        damaged.write_bytes(data[: len(data) // 2] if damage == "truncated" else b"\x00" + data[1:])

    with caplog.at_level(logging.WARNING, logger="cssgan"):
        out = checkpoint.load_newest(tmp_path)

    assert out.progress.num_steps == 1
    assert "step-00000002" in caplog.text
    assert name in caplog.text


def test_a_checkpoint_of_another_run_is_logged_and_the_previous_one_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = save(tmp_path / "run", 1)
    renamed = own.with_name("step-00000004")
    shutil.copytree(save(tmp_path / "other", 2), renamed)
    shutil.copytree(save(tmp_path / "third", 3, keep=4), own.with_name("step-00000003"))
    requested = replace(tiny_config("train.keep_checkpoints=3"), {"loss.l1_weight": 7.0})

    with pytest.raises(
        CheckpointError,
        match=r"00004: is of step 2, not of the step in its name.*00003: of another run; it differs in loss.l1_weight",
    ):
        checkpoint.load_newest(tmp_path / "run", config=requested)
    with pytest.raises(CheckpointError, match=r"00003: of another run, with label set 'letters'"):
        checkpoint.load_newest(tmp_path / "run", label_set=LabelSet("shapes", ("round", "square")))
    assert (
        checkpoint.load_newest(tmp_path / "run", config=tiny_config()).progress.num_steps == 3
    )  # train.keep_checkpoints may change
    shutil.rmtree(own.with_name("step-00000003"))
    with caplog.at_level(logging.WARNING, logger="cssgan"):
        assert checkpoint.load_newest(tmp_path / "run").folder == own
    assert "step-00000004: is of step 2" in caplog.text


def test_without_a_valid_checkpoint_the_error_lists_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint in it; train first"):
        checkpoint.load_newest(tmp_path)

    path = save(tmp_path, 1) / checkpoint.GENERATOR
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(CheckpointError, match=r"no valid checkpoint \(.*generator.safetensors: truncated"):
        checkpoint.load_newest(tmp_path)


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, 1) / checkpoint.MANIFEST
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "format": 99}))

    with pytest.raises(CheckpointError, match="checkpoint format 99, this program reads 1"):
        checkpoint.open_checkpoint(path.parent)

    path.write_text(json.dumps({**manifest, "config": {"loss": {"unknown": 1}}}))
    with pytest.raises(CheckpointError, match=r"not a checkpoint that this program reads \(loss.unknown"):
        checkpoint.open_checkpoint(path.parent)


def test_averaged_weights_must_exist(tmp_path: Path) -> None:
    save(tmp_path, 1)

    with pytest.raises(CheckpointError, match="no averaged weights"):
        checkpoint.load_newest(tmp_path).generator_weights("ema")


def test_a_failed_write_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, 1)
    # A file at the path of the temporary folder fails like a full or read-only disk, also for root.
    (tmp_path / "checkpoints" / ".writing-step-00000002").write_text("a file")

    with pytest.raises(CheckpointError, match=r"step-00000002: cannot be written .* are kept"):
        save(tmp_path, 2)

    assert checkpoint.load_newest(tmp_path).progress.num_steps == 1
