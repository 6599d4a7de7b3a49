"""The tables of the order predictor on a toy dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import order
from benchmarks.__main__ import app
from cssgan.training import loop
from tests.cssgan.toy_dataset import TINY, make_sample, tiny_config, write_shard


@pytest.fixture(scope="module", name="dataset")
def _dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("order") / "dataset"
    folder.mkdir()
    for split, numbers in (("train", range(6)), ("test", range(6, 10))):
        write_shard(folder / f"{split}-000000.tar", [make_sample(number) for number in numbers])
    return folder


def test_the_table_has_a_row_for_each_head_and_split(dataset: Path) -> None:
    settings = [part for setting in TINY for part in ("--set", setting)]

    done = CliRunner().invoke(app, ["order", str(dataset), "--steps", "2", "--also", str(dataset), *settings])

    assert done.exit_code == 0, done.output
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    rows = [dict(zip(lines[0], cells, strict=False)) for cells in lines[2:]]
    assert {(row["head"], row["windows of"]) for row in rows if row["steps"] == "2"} == {
        (head, name) for head in ("concat", "seam") for name in ("train", "test", "dataset (train)", "dataset (test)")
    }
    assert {row["number"] for row in rows if row["windows of"] == "test"} == {"4"}
    assert all(0.0 <= float(row["accuracy"]) <= 1.0 for row in rows)


def test_the_proposed_weight_gives_the_wanted_share(dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = tiny_config("discriminator.order_head=seam")
    loop.train(config, str(dataset), run)

    done = CliRunner().invoke(app, ["order-gradient", str(run), "--shards", str(dataset), "--batches", "2"])

    assert done.exit_code == 0, done.output
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    norms = {cells[0]: float(cells[1]) for cells in lines[2:]}
    assert set(norms) == {"g_l1", "g_image", "g_video", "g_order", "reconstruction"}
    assert norms["g_l1"] == norms["reconstruction"]
    proposed = float(done.stdout.split("loss.order_weight=")[1].split()[0])
    share = proposed / config.loss.order_weight * norms["g_order"] / norms["reconstruction"]
    assert share == pytest.approx(0.1, rel=0.02)


def test_still_neighbours_are_two_clips_without_any_change() -> None:
    rng = np.random.default_rng(0)
    moving = rng.integers(0, 256, (1, 16, 8, 8, 3)).astype(np.uint8)
    one_still, two_still = moving.copy(), moving.copy()
    one_still[:, 4:8] = 7
    two_still[:, 4:12] = 7
    jump = two_still.copy()
    jump[:, 8:12] = 50

    found = [order.has_still_neighbours(video, 4).tolist() for video in (moving, one_still, two_still, jump)]

    assert found == [[False], [False], [True], [False]]
