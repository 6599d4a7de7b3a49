"""The training check: the eight clips, the rows of the table, and that a second call repeats nothing."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from cssgan.data.shards import find_shards, read_samples
from cssgan.errors import StoppedError
from cssgan.evaluation.evaluate import SCHEMA_VERSION, GatesMissedError
from cssgan.evaluation.overfit_check import (
    TrainingCheckBounds,
    check_training,
    held_out_rows,
    order_accuracy,
    overfit_config,
    overfit_rows,
    preset_for,
    train_and_evaluate,
    write_overfit_dataset,
)
from cssgan.presets import preset
from cssgan.training import loop
from cssgan.types import Progress
from phonics_data.contract.change import change_curve
from phonics_data.contract.sample import num_audio_samples
from phonics_data.errors import DatasetError
from tests.cssgan.toy_dataset import make_sample, tiny_config, write_dataset, write_shard

ANYTHING = TrainingCheckBounds(
    overfit_l1_max=9.0, overfit_ssim_min=-1.0, overfit_event_f1_min=0.0, overfit_persistence_min=0.0,
    l1_over_copy_first_max=99.0, ssim_above_copy_first_min=-2.0, motion_ratio=(0.0, 999.0), seam_ratio_max=9999.0,
    event_match_min=0.0, event_f1_min=0.0, persistence_min=0.0, event_swap_auc_min=0.0, order_acc_real_min=0.0,
)  # fmt: skip


@pytest.fixture(name="songs_of_clips")
def _songs_of_clips(tmp_path: Path) -> Path:
    """Ten training clips, one of them shorter than a window, and four test clips."""
    dataset = write_dataset(tmp_path / "data", train=[make_sample(seed, num_frames=15 + seed) for seed in range(10)])
    write_shard(dataset / "test-000000.tar", [make_sample(50 + seed) for seed in range(4)])
    return dataset


def report(**values: float) -> dict[str, Any]:
    """The report of an evaluation that meets all bounds, except for `values`."""
    good = {
        "l1": 0.01, "ssim": 0.95, "l1_over_copy_first": 0.8, "motion_ratio": 1.0,
        "seam_ratio": 1.0, "event_match": 0.95, "event_f1": 0.95, "persistence": 0.95, "event_swap_auc": 0.9,
    }  # fmt: skip
    controls = {"ssim": {"copy_first": 0.9}}
    return {"metrics": {n: {"value": v, "controls": controls.get(n, {})} for n, v in (good | values).items()}}


def missed(found: dict[str, Any], order_acc: float | None = 0.3) -> list[str]:
    bounds = TrainingCheckBounds()
    rows = [*overfit_rows(found, bounds), *held_out_rows(found, order_acc, bounds)]
    return [row.name for row in rows if not row.passed]


def test_the_eight_clips_are_the_windows_of_training_clips_that_change_most(
    songs_of_clips: Path, tmp_path: Path
) -> None:
    eight = write_overfit_dataset(songs_of_clips, tmp_path / "eight", 16)

    taken = list(read_samples(find_shards(eight, "train")))
    whole = {sample.key: sample for sample in read_samples(find_shards(songs_of_clips, "train"))}
    assert len(taken) == 8
    assert "clip-0000" not in {sample.key for sample in taken}  # shorter than a window
    for sample in taken:
        assert sample.num_frames == 16
        clip = whole[sample.key]
        starts = range(clip.num_frames - 15)
        change = [float(change_curve(clip.frames_LHWC[start : start + 16]).sum()) for start in starts]
        start = next(
            start for start in starts if np.array_equal(sample.frames_LHWC, clip.frames_LHWC[start : start + 16])
        )
        assert change[start] == pytest.approx(max(change), rel=0.2)
        first = num_audio_samples(start, sample.frame_rate, sample.audio_rate_hz)
        assert np.array_equal(sample.audio_N, clip.audio_N[first : first + len(sample.audio_N)])


def test_the_eight_clips_are_reproducible(songs_of_clips: Path, tmp_path: Path) -> None:
    one, two = (write_overfit_dataset(songs_of_clips, tmp_path / name, 16) for name in ("one", "two"))

    assert (one / "train-000000.tar").read_bytes() == (two / "train-000000.tar").read_bytes()
    assert [path.name for path in one.iterdir()] == ["train-000000.tar"]


def test_too_few_long_clips_are_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"5 training clips have 16 frames or more, allowed: 8 or more"):
        write_overfit_dataset(dataset, tmp_path / "eight", 16)

    assert not (tmp_path / "eight").exists()


def test_a_good_report_misses_nothing() -> None:
    assert missed(report()) == []


@pytest.mark.parametrize(
    ("name", "value", "row"),
    [
        ("l1", 0.04, "overfit_l1"),
        ("ssim", 0.85, "overfit_ssim"),
        ("event_f1", 0.85, "overfit_event_f1"),
        ("persistence", 0.75, "overfit_persistence"),
        ("l1_over_copy_first", 1.0, "l1_over_copy_first"),
        ("motion_ratio", 0.6, "motion_ratio"),
        ("motion_ratio", 1.4, "motion_ratio"),
        ("seam_ratio", 1.5, "seam_ratio"),
        ("event_match", 0.5, "event_match"),
        ("event_f1", 0.4, "event_f1"),
        ("persistence", 0.4, "persistence"),
        ("event_swap_auc", 0.5, "event_swap_auc"),
    ],
)
def test_each_metric_can_miss_its_bound(name: str, value: float, row: str) -> None:
    assert row in missed(report(**{name: value}))


def test_order_accuracy_at_chance_level_misses_its_bound_and_can_be_missing() -> None:
    assert missed(report(), order_acc=1 / 24) == ["order_acc_real"]
    assert missed(report(), order_acc=None) == []


def test_an_unavailable_value_misses_its_bound() -> None:
    found = report()
    found["metrics"]["l1"] |= {"value": None, "controls": {}}
    assert missed(found) == ["overfit_l1"]


def test_the_order_accuracy_is_that_of_the_last_lines(tmp_path: Path) -> None:
    values = [0.9, *[0.2] * 10]
    lines = [{"step": n, "kind": "train", "order_acc_real": value} for n, value in enumerate(values)]
    rest = [{"step": 11, "kind": "last", "order_acc_real": 1.0}, {"step": 11, "kind": "sample", "val_l1": 0.1}]
    (tmp_path / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines, *rest]))

    assert order_accuracy(tmp_path) == pytest.approx(0.2)


def test_from_shards_to_a_table_and_a_second_call_repeats_nothing(songs_of_clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    quiet = Console(file=io.StringIO())
    with pytest.raises(GatesMissedError, match=r"bounds missed: overfit_l1 .*allowed <= 0\.03") as raised:
        check_training(tiny_config(), songs_of_clips, out, overfit_steps=2, console=quiet)
    assert "\n" not in str(raised.value)
    record = json.loads((out / "check_training.json").read_text())
    assert record["passed"] is False
    assert record["configurations"]["overfit/run"]["config"]["train"]["num_videos"] == 16
    assert record["configurations"]["run"]["config"]["train"]["num_videos"] == 12
    assert (out / "run/strip.png").exists()
    kept = ("overfit/run/evaluation.json", "run/stats.jsonl", "overfit/dataset/train-000000.tar")
    before = [(out / name).stat().st_mtime_ns for name in kept]

    text = io.StringIO()
    result = check_training(
        tiny_config(),
        songs_of_clips,
        out,
        overfit_steps=2,
        bounds=ANYTHING,
        allow_missed=True,
        console=Console(file=text, width=120),
    )

    assert [(out / name).stat().st_mtime_ns for name in kept] == before
    # A report of an earlier version lacks metrics that the bounds need, so it is written again.
    marker = out / "run/evaluated.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"schema_version": SCHEMA_VERSION - 1}))
    (out / "run/evaluation.json").write_text(json.dumps({"metrics": {}}))
    result = check_training(
        tiny_config(), songs_of_clips, out, overfit_steps=2, bounds=ANYTHING, allow_missed=True,
        console=Console(file=text, width=120),
    )  # fmt: skip
    names = [row.name for row in result.rows]
    # Nothing lasts in these clips, so there are no events to compare.
    assert {row.name for row in result.rows if not row.passed} <= {
        name for name in names if "event" in name or "persist" in name
    }
    assert [row["name"] for row in json.loads((out / "check_training.json").read_text())["rows"]] == names
    assert names[0] == "overfit_l1"
    assert "order_acc_real" in names
    assert all(name in text.getvalue() for name in names)

    check_training(
        tiny_config("train.num_videos=15"),
        songs_of_clips,
        out,
        overfit_steps=2,
        bounds=ANYTHING,
        allow_missed=True,
        console=quiet,
    )

    assert json.loads((out / "run/evaluation.json").read_text())["num_steps"] == 5


def test_no_test_clips_are_refused_before_training(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no test-\*\.tar"):
        check_training(tiny_config(), dataset, tmp_path / "out", overfit_steps=2)

    assert not (tmp_path / "out").exists()


def test_a_signal_is_reported_with_its_exit_code(
    songs_of_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> loop.TrainResult:
        return loop.TrainResult(status="interrupted", progress=Progress(num_steps=7), signal_number=15)

    monkeypatch.setattr(loop, "train", stopped)
    with pytest.raises(StoppedError, match="stopped after step 7, the state is saved") as raised:
        check_training(
            tiny_config(), songs_of_clips, tmp_path / "out", overfit_steps=2, console=Console(file=io.StringIO())
        )
    assert raised.value.exit_code == 143
    assert preset_for("cpu") == "small"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["overfit"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eight_rendered_clips_can_be_overfitted(songs: Path, tmp_path: Path) -> None:
    """Measured on 2026-11-30 on these songs of the family `letters`: L1 .028, SSIM .944, `event_f1` .952, `persistence` .903."""
    command = [sys.executable, "-m", "phonics_data", "build", str(songs / "manifest.csv"), "--split-ratios", "1,0,0"]
    command += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "data"), "--engine", "captions"]
    subprocess.run([*command, "--ocr", "never", "--fit", "crop"], check=True, capture_output=True)
    config = overfit_config(preset("small"), 4000)
    eight = write_overfit_dataset(tmp_path / "data", tmp_path / "eight", config.data.num_frames)

    result = train_and_evaluate(config, eight, tmp_path / "run", split="train")

    assert [row.name for row in overfit_rows(result, TrainingCheckBounds()) if not row.passed] == []
    lines = [json.loads(line) for line in (tmp_path / "run/stats.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["kind"] == "train"]
    # The order of eight clips is overfitted too. The losses of the image and clip discriminators have no lower limit here.
    assert train[-1]["g_l1"] < 0.3 * train[0]["g_l1"]
    assert train[-1]["d_order"] < 0.5 * train[0]["d_order"]
