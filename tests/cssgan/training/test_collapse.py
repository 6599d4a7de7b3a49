"""A game that is over is noticed after its patience, and not before; the checkpoint of before it stays."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from cssgan.config import Config
from cssgan.errors import DivergenceError
from cssgan.training import checkpoint, collapse, loop, step
from cssgan.training.collapse import CollapseWatch
from tests.cssgan.toy_dataset import tiny_config
from tests.cssgan.training.test_loop import stats

ALIVE = {"d_image": 0.9, "d_video": 0.005, "g_grad_norm": 1.0, "d_grad_norm": 0.1}
SATURATED = {**ALIVE, "d_image": 0.001, "d_video": 0.002}


def test_trouble_must_last() -> None:
    guard = CollapseWatch(patience=30)
    said = [
        guard.look(terms, step=10 * (n + 1), steps=10)
        for n, terms in enumerate((SATURATED, SATURATED, ALIVE, SATURATED, SATURATED))
    ]
    assert said == [None] * 5
    assert guard.since == 30
    assert (
        guard.look(SATURATED, step=60, steps=10)
        == "the discriminators have won (d_image 0.001, d_video 0.002) for 30 steps"
    )


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({**ALIVE, "d_grad_norm": 0.0}, "the discriminators stood still (d_grad_norm 0) for 10 steps"),
        ({"g_l1": 0.1, "g_grad_norm": 0.0}, "the generator stood still (g_grad_norm 0) for 10 steps"),
        ({"g_l1": 0.1, "g_grad_norm": 0.2}, None),  # before loss.adv_start there is no game
    ],
)
def test_what_counts_as_trouble(terms: dict[str, float], words: str | None) -> None:
    assert CollapseWatch(patience=10).look(terms, step=10, steps=10) == words
    assert CollapseWatch(patience=0).look(terms, step=10, steps=10) is None


def train(config: Config, dataset: Path, run: Path) -> None:
    loop.train(config, dataset, run, console=Console(file=io.StringIO()))


def test_a_collapse_stops_the_run_at_the_checkpoint_before_it(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("train.num_videos=90", "train.checkpoint_every=1", "train.keep_checkpoints=1", "train.collapse_steps=4")
    train(tiny_config(*settings, "train.num_videos=9"), dataset, tmp_path / "run")
    # From now on every loss counts as that of discriminators that have won.
    monkeypatch.setattr(collapse, "SATURATED", 100.0)

    train(tiny_config(*settings, "train.num_videos=15"), dataset, tmp_path / "run")

    with pytest.raises(DivergenceError) as caught:  # what was seen before a stop counts
        train(tiny_config(*settings), dataset, tmp_path / "run")

    assert "collapse: the discriminators have won (d_image" in str(caught.value)
    assert "for 4 steps, until step 7; the last good checkpoint is" in str(caught.value)
    assert "step-00000003" in str(caught.value)
    assert stats(tmp_path / "run")[-1]["step"] == 6
    assert [checkpoint.step_of(folder) for folder in checkpoint.folders(tmp_path / "run")] == [6, 3]
    train(tiny_config(*settings, "train.num_videos=21", "train.collapse_steps=0"), dataset, tmp_path / "run")


def test_discriminators_whose_gradient_vanishes_stop_the_run(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = step.discriminator_losses

    def flat(*arguments: object) -> tuple[object, object]:
        total, terms = original(*arguments)  # type: ignore[arg-type]
        return total * 0.0, terms

    monkeypatch.setattr(step, "discriminator_losses", flat)

    with pytest.raises(DivergenceError, match=r"the discriminators stood still \(d_grad_norm 0\) for 3 steps"):
        train(tiny_config("train.collapse_steps=3"), dataset, tmp_path / "run")
