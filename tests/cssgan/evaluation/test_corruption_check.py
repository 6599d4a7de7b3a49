"""Metrics order the corruptions as expected, on clips with known class, synchrony and order."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cssgan.cli import app
from cssgan.data import resident
from cssgan.evaluation import corruption_check
from cssgan.evaluators import sampling, train
from cssgan.metrics.corruptions import NAMES, corruption_table
from cssgan.types import EvalWindows
from tests.cssgan.evaluators.toy_clips import SPEC, dataset
from tests.cssgan.metrics import toy_scenes


@pytest.fixture(scope="module", name="shards")
def _shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("corruptions") / "dataset")


@pytest.fixture(name="data")
def _data(shards: Path) -> EvalWindows:
    return sampling.real_windows(resident.load(shards, "test", 16), SPEC, max_clips=100)


def corrupt(name: str, data: EvalWindows) -> list[np.ndarray]:
    same = [corruption for corruption in corruption_table() if corruption.name == name]
    rng = np.random.default_rng
    return [one.corrupt(data.video_NTHWC, np.full(len(data), 25.0), rng(0)) for one in same if one.corrupt is not None]


@pytest.mark.parametrize("name", ["blur", "noise", "freeze", "shuffle", "late", "stride", "flash"])
def test_stronger_corruptions_change_videos_more(name: str, data: EvalWindows) -> None:
    distance = [np.abs(fake.astype(int) - data.video_NTHWC).mean() for fake in corrupt(name, data)]
    assert len(distance) == 3
    assert np.all(np.diff([0.0, *distance]) > 0)


def test_shuffle_keeps_all_frames_and_freeze_the_first_ones(data: EvalWindows) -> None:
    for fake in corrupt("shuffle", data):
        sums = [np.sort(videos.sum(axis=(2, 3, 4), dtype=np.int64), axis=1) for videos in (fake, data.video_NTHWC)]
        assert np.array_equal(*sums)
    frozen = corrupt("freeze", data)
    for fake in frozen:
        assert np.array_equal(fake[:, 0], data.video_NTHWC[:, 0])
    assert np.array_equal(frozen[0][:, :12], data.video_NTHWC[:, :12])
    assert (frozen[2] == frozen[2][:, :1]).all()


def test_stride_holds_every_kth_frame(data: EvalWindows) -> None:
    for frames, fake in zip((2, 3, 4), corrupt("stride", data), strict=True):
        for t in range(fake.shape[1]):
            assert np.array_equal(fake[:, t], data.video_NTHWC[:, t - t % frames])


def test_exchanged_clips_are_of_the_same_song(data: EvalWindows) -> None:
    for name in ("wrong class", "wrong audio"):
        exchanged: list[int] = []
        for one in (one for one in corruption_table() if one.name == name):
            assert one.exchange is not None
            others = one.exchange(data.labels_N, data.video_ids, np.random.default_rng(0))
            rows = np.flatnonzero(others != np.arange(len(data)))
            exchanged.append(len(rows))
            assert [data.video_ids[n] for n in others] == list(data.video_ids)
            if name == "wrong class":
                assert (data.labels_N[others[rows]] != data.labels_N[rows]).all()
            else:
                assert sorted(others) == list(range(len(data)))
        assert 0 < exchanged[0] < exchanged[1] < exchanged[2]


def test_metrics_without_evaluators_order_as_expected() -> None:
    scene = toy_scenes.make(24, frames=16, seed=2, size=32)
    data = bench_windows(scene)
    lines: list[str] = []
    rows = {row.metric: row for row in corruption_check.check_corruptions(data, on_progress=lines.append)}
    assert lines[0] == "real clips: 24"
    assert len(lines) == 1 + len(corruption_table())
    for metric, expected in corruption_check.EXPECTED.items():
        for name in expected:
            if rows[metric].real is not None:
                assert rows[metric].ordered(name), f"{metric}, {name}: {rows[metric]}"
    assert rows["class_accuracy"].real is None
    assert rows["l1"].real == rows["rfd_3d_fd64"].real == 0.0
    for name in ("wrong class", "wrong audio"):  # the set of videos is unchanged
        assert rows["rfd_3d_fd64"].values[name] == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)
    assert rows["l1"].values["wrong audio"] == (0.0, 0.0, 0.0)
    assert rows["class_accuracy"].values["blur"] == (None, None, None)


def bench_windows(scene: toy_scenes.Scenes) -> EvalWindows:
    from fractions import Fraction

    from phonics_data.contract.labels import LETTERS

    n = len(scene.videos_NTHWC)
    return EvalWindows(
        keys=tuple(map(str, range(n))), video_ids=tuple(f"song-{k // 12}" for k in range(n)), label_set=LETTERS,
        labels_N=np.arange(n) % 26, video_NTHWC=scene.videos_NTHWC, raw_mels_NTMU=scene.mels_NTMU,
        mels_NTMU=scene.mels_NTMU, num_valid_N=scene.num_valid_N, frame_rates=(Fraction(25),) * n,
        start_seconds=(0.0,) * n, object_words=("",) * n,
    )  # fmt: skip


@pytest.mark.slow
def test_evaluators_order_as_expected(shards: Path, data: EvalWindows, tmp_path: Path) -> None:
    evaluators = train.train(shards, tmp_path / "evaluators", SPEC, on_progress=lambda line: None)
    # Weak corruptions can leave all of the eighteen clips unchanged, so only the strongest is tested.
    names = ("freeze", "shuffle", "wrong class", "wrong audio")
    found = corruption_check.check_corruptions(data, evaluators, names=names, on_progress=lambda line: None)
    rows = {row.metric: row for row in found}
    for metric, name in (
        ("class_accuracy", "wrong class"), ("syncnet_auc", "wrong audio"), ("syncnet_auc", "freeze"),
        ("syncnet_confidence", "wrong audio"), ("order_pairs", "shuffle"),
    ):  # fmt: skip
        real, strongest = rows[metric].real, rows[metric].values[name][-1]
        assert real is not None
        assert strongest is not None
        assert strongest < real - 0.1, f"{metric}, {name}: {rows[metric]}"
    assert rows["order_pairs"].values["freeze"][-1] == 0.5
    assert rows["syncnet_auc"].values["freeze"][-1] == 0.5
    assert rows["class_accuracy"].values["wrong audio"] == (rows["class_accuracy"].real,) * 3


def row(*values: float | None, metric: str = "sync_auc", real: float | None = 0.9) -> corruption_check.Row:
    return corruption_check.Row(metric=metric, real=real, values=dict.fromkeys(NAMES, values))


def test_a_measure_that_does_not_know_real_clips_need_not_order_anything() -> None:
    assert row(0.6, 0.4, 0.5, real=0.53).ordered("wrong audio") is None
    assert row(0.6, 0.4, 0.5, real=0.7).ordered("wrong audio") is False
    assert row(0.6, 0.4, 0.5, metric="l1", real=0.53).ordered("blur") is False


def test_ordered_requires_monotonic_change() -> None:
    assert row(0.8, 0.7, 0.5).ordered("wrong audio") is True
    assert row(0.9, 0.9, 0.5).ordered("wrong audio") is True
    assert row(0.8, 0.85, 0.5).ordered("wrong audio") is False
    assert row(0.9, 0.9, 0.9).ordered("wrong audio") is False
    assert row(0.95, 0.99, 1.0).ordered("wrong audio") is False
    assert row(0.8, 0.7, 0.5).ordered("blur") is None
    assert row(0.8, None, 0.5).ordered("wrong audio") is None
    assert row(None, None, None, real=None).ordered("wrong audio") is None
    assert (
        corruption_check.failures([row(0.8, 0.85, 0.5)])[-1]
        == "sync_auc does not order wrong audio: 0.9, then 0.8, 0.85, 0.5"
    )


def test_the_table_marks_ordered_and_unordered_values() -> None:
    text = corruption_check.markdown([row(0.8, 0.7, 0.5), row(0.8, 0.85, 0.5), row(0.9, 0.9, 0.9, metric="ba_max")])
    assert "wrong audio 25 / 50 / 100 %" in text
    lines = text.splitlines()
    assert len(lines) == 5
    assert "**0.8 / 0.7 / 0.5**" in lines[2]
    assert "0.8 / 0.85 / 0.5 †" in lines[3]
    assert lines[4] == "| ba_max | 0.9 |" + " = |" * len(NAMES)


def test_from_the_command_line(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cssgan", "metrics", "corruptions", *arguments])
        with pytest.raises(SystemExit) as end:
            app.main()
        return (int(end.value.code or 0), *capsys.readouterr())

    rows = [replace(corruption_check.Row(metric="l1", real=0.0, values=dict.fromkeys(NAMES, (1.0, 2.0, 3.0))))]
    monkeypatch.setattr(corruption_check, "check_corruptions", lambda data, evaluators, on_progress: rows)
    options = ("--shards", str(shards), "--size", "16")
    code, out, _ = run(*options, "--out", str(tmp_path / "table.md"))
    assert code == 0
    assert out.strip() == (tmp_path / "table.md").read_text().strip()
    rows[0] = replace(rows[0], values=dict.fromkeys(NAMES, (3.0, 2.0, 1.0)))
    code, _, err = run(*options)
    assert code == 1
    assert "l1 does not order blur: 0, then 3, 2, 1" in err
    assert run(*options, "--split", "tests")[0] == 2
