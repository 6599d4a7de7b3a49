"""Collapse is detected after `patience` steps; the checkpoint before the collapse is kept."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from cssgan.config import Config
from cssgan.errors import DivergenceError
from cssgan.training import checkpoint, collapse, loop, step
from cssgan.training.collapse import CollapseDetector
from tests.cssgan.toy_dataset import tiny_config
from tests.cssgan.training.test_loop import stats

HEALTHY = {"d_image": 0.9, "d_video": 0.005, "g_grad_norm": 1.0, "d_grad_norm": 0.1}
SATURATED = {**HEALTHY, "d_image": 0.001, "d_video": 0.002}


def test_a_collapse_is_reported_only_after_patience_steps() -> None:
    detector = CollapseDetector(patience=30)
    reports = [
        detector.update(terms, step=10 * (n + 1), num_steps=10)
        for n, terms in enumerate((SATURATED, SATURATED, HEALTHY, SATURATED, SATURATED))
    ]
    assert reports == [None] * 5
    assert detector.since == 30
    assert (
        detector.update(SATURATED, step=60, num_steps=10)
        == "the discriminators were saturated (d_image 0.001, d_video 0.002) for 30 steps"
    )


@pytest.mark.parametrize(
    ("terms", "report"),
    [
        ({**HEALTHY, "d_grad_norm": 0.0}, "the discriminators received no gradient (d_grad_norm 0) for 10 steps"),
        ({"g_l1": 0.1, "g_grad_norm": 0.0}, "the generator received no gradient (g_grad_norm 0) for 10 steps"),
        ({"g_l1": 0.1, "g_grad_norm": 0.2}, None),  # before loss.adv_start there are no discriminator losses
    ],
)
def test_conditions_of_a_collapse(terms: dict[str, float], report: str | None) -> None:
    assert CollapseDetector(patience=10).update(terms, step=10, num_steps=10) == report
    assert CollapseDetector(patience=0).update(terms, step=10, num_steps=10) is None


def train(config: Config, dataset: Path, run: Path) -> None:
    loop.train(config, dataset, run, console=Console(file=io.StringIO()))


def test_a_collapse_stops_the_run_and_keeps_the_checkpoint_before_it(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("train.num_videos=90", "train.checkpoint_every=1", "train.keep_checkpoints=1", "train.collapse_steps=4")
    train(tiny_config(*settings, "train.num_videos=9"), dataset, tmp_path / "run")
    # From here on all losses count as saturated.
    monkeypatch.setattr(collapse, "SATURATION_THRESHOLD", 100.0)

    train(tiny_config(*settings, "train.num_videos=15"), dataset, tmp_path / "run")

    with pytest.raises(DivergenceError) as caught:  # steps before the interruption count
        train(tiny_config(*settings), dataset, tmp_path / "run")

    assert "collapse: the discriminators were saturated (d_image" in str(caught.value)
    assert "for 4 steps, until step 7; the last good checkpoint is" in str(caught.value)
    assert "step-00000003" in str(caught.value)
    assert stats(tmp_path / "run")[-1]["step"] == 6
    assert [checkpoint.step_of(folder) for folder in checkpoint.folders(tmp_path / "run")] == [6, 3]
    train(tiny_config(*settings, "train.num_videos=21", "train.collapse_steps=0"), dataset, tmp_path / "run")


def test_discriminators_whose_gradient_vanishes_stop_the_run(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = step.discriminator_losses

    def flat(*arguments: object, **keywords: object) -> tuple[object, object]:
        total, terms = original(*arguments, **keywords)  # type: ignore[arg-type]
        return total * 0.0, terms

    monkeypatch.setattr(step, "discriminator_losses", flat)

    with pytest.raises(DivergenceError, match=r"the discriminators received no gradient \(d_grad_norm 0\) for 3 steps"):
        train(tiny_config("train.collapse_steps=3"), dataset, tmp_path / "run")
