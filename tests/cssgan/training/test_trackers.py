"""Experiment trackers: TensorBoard's scalars, images and videos; wandb and trackio, offline."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import av
import pytest
from rich.console import Console

from cssgan.training import loop, trackers
from phonics_data.errors import DependencyError
from tests.cssgan.toy_dataset import TINY, tiny_config

pytestmark = pytest.mark.dependencies

SETTINGS = ("train.num_videos=6", "train.sample_every=2", "train.sample_videos=1")


def test_tensorboard_receives_scalars_images_videos_and_audio(dataset: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loop.train(tiny_config(*SETTINGS), dataset, tmp_path / "run", console=Console(file=io.StringIO()))

    events = EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    tags = events.Tags()
    named = {
        "train/image_logit_margin",
        "train/vote_acc_fake",
        "train/order_acc_real",
        "train/motion_ratio",
        "train/g_grad_norm",
    }
    assert named | {"sample/val_l1_batch_norm_gap", "timing/data_wait_share"} <= set(tags["scalars"])
    assert set(tags["images"]) == {"samples", "videos/clip-0100"}
    assert tags["audio"] == ["videos/clip-0100"]
    assert events.Images("videos/clip-0100")[0].encoded_image_string.startswith(b"GIF89a")
    (path,) = (tmp_path / "run/samples").glob("*.mp4")
    assert path.name == "step-00000002-clip-0100.mp4"
    with av.open(str(path)) as file:
        assert file.streams.audio[0].codec_context.name == "aac"
        assert (file.streams.video[0].width, file.streams.video[0].height) == (512, 256)  # real beside generated
        assert sum(1 for _ in file.decode(video=0)) == 16


def test_a_tracker_that_is_not_installed_is_refused_before_the_run(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)

    with pytest.raises(DependencyError, match=r"train.tracker=trackio: not installed .*phonics-cssgan\[trackio\]"):
        loop.train(tiny_config("train.tracker=trackio"), dataset, tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_a_run_keeps_its_tracker_id(tmp_path: Path) -> None:
    first = trackers._run_id(tmp_path)

    assert trackers._run_id(tmp_path) == first == json.loads((tmp_path / "tracker.json").read_text())["id"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_the_real_tracker_logs_a_run_and_its_continuation(dataset: Path, tmp_path: Path, name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install 'phonics-cssgan[{name}]'")
    sets = [word for setting in (*TINY, *SETTINGS, f"train.tracker={name}") for word in ("--set", setting)]
    command = [
        *(sys.executable, "-m", "cssgan", "train", "--shards", str(dataset), "--run", str(tmp_path / "run")),
        *("--preset", "tiny"),
    ]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "WANDB_MODE": "offline",
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    for videos in ("6", "12"):
        done = subprocess.run(
            [*command, *sets, "--set", f"train.num_videos={videos}"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]

    if name == "wandb":
        kept = list((tmp_path / "run/wandb").glob("offline-run-*/run-*.wandb"))
        assert len(kept) == 2
        assert {path.stem.removeprefix("run-") for path in kept} == {trackers._run_id(tmp_path / "run")}
    else:
        (database,) = (tmp_path / "trackio").rglob("*.db")
        with closing(sqlite3.connect(database)) as opened:
            rows = opened.execute("select run_name, step, metrics from metrics").fetchall()
        assert {row[0] for row in rows} == {f"run-{trackers._run_id(tmp_path / 'run')}"}
        steps = {step for _, step, metrics in rows if b"train/g_l1" in metrics}
        assert steps == {1, 2, 3, 4}, "the second start continues the same run"
        assert {path.suffix for path in (tmp_path / "trackio").rglob("*-*-*-*-*")} == {".png", ".mp4"}
