"""From a generate function and windows to a report on disk."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from cssgan.data.batches import to_uint8
from cssgan.evaluation.evaluate import GatesMissedError, evaluate, evaluate_run, real_pool
from cssgan.evaluation.report import Evaluation, show, write, write_per_video
from cssgan.inference.generate import eval_windows, load_generator
from cssgan.metrics import per_video, synchrony
from cssgan.metrics.distances import frechet_distance
from cssgan.metrics.features import Features, moments, real_scale
from cssgan.metrics.result import MetricResult
from cssgan.metrics.sensitivity import Generate
from cssgan.models import factory
from cssgan.training import checkpoint
from cssgan.types import EvalWindows, MelStats, Progress
from phonics_data.contract.labels import LETTERS
from tests.cssgan.metrics import toy_scenes
from tests.cssgan.toy_dataset import make_sample, tiny_config, write_dataset


def audio_conditioned(
    images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Shifts the image by some pixels at every onset: an audio-conditioned model without knowledge of later frames."""
    onset = synchrony.onset_curves(mels, np.full(len(mels), 4.0))
    jumps = np.cumsum(onset > 0.4 * onset.max(axis=1, keepdims=True), axis=1) * 5
    return np.stack(
        [[np.roll(image, jump, axis=0) for jump in row] for image, row in zip(images, jumps, strict=True)]
    )  # fmt: skip


def static(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.repeat(images[:, None], mels.shape[1], axis=1)


@pytest.fixture(scope="module", name="data")
def _data() -> EvalWindows:
    """Sixteen clips whose image shifts at every burst of their audio; the last two are short."""
    scene = toy_scenes.make(16, seed=3, size=32)
    valid = scene.num_valid_N.copy()
    valid[14:] = (20, 9)
    videos = audio_conditioned(scene.videos_NTHWC[:, 0], scene.mels_NTMU, np.zeros(16, np.int64))
    return EvalWindows(
        keys=tuple(f"clip-{n}" for n in range(16)), video_ids=tuple(f"song-{n % 3}" for n in range(16)),
        label_set=LETTERS, labels_N=np.arange(16), video_NTHWC=videos, raw_mels_NTMU=scene.mels_NTMU,
        mels_NTMU=((scene.mels_NTMU + 10.0) / 3.0).astype(np.float32), num_valid_N=valid,
        frame_rates=(Fraction(25),) * 16, start_seconds=(0.0,) * 16, object_words=("",) * 16,
    )  # fmt: skip


@pytest.fixture(scope="module", name="good")
def _good(data: EvalWindows) -> Evaluation:
    return evaluate(audio_conditioned, data, header={"run": "toy", "split": "test"}, protocol={"split": "test"})


def found(evaluation: Evaluation) -> dict[str, MetricResult]:
    return {result.name: result for result in evaluation.results}


def test_an_audio_conditioned_model_passes_the_gates(good: Evaluation) -> None:
    assert [row.name for row in good.gates if not row.passed] == []
    results = found(good)
    assert results["sync_auc"].controls["fake_from_other_audio"] < 0.65
    assert (results["audio_swap_auc"].value or 0.0) > 0.9
    assert (results["audio_sensitivity"].value or 0.0) > 0.2
    assert (results["swap_audio_over_image"].value or 0.0) > 0.4


def test_the_same_model_with_wrong_audio_misses_the_synchrony_gates(data: EvalWindows) -> None:
    """The same amount of motion, following the audio of other clips."""
    rng = np.random.default_rng(8)

    def wrong_audio(
        images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        return audio_conditioned(images, data.mels_NTMU[rng.permutation(16)[: len(images)]], labels)

    missed = [row.name for row in evaluate(wrong_audio, data).gates if not row.passed]
    assert {"sync_auc", "sync_auc_of_real"} <= set(missed)
    assert "motion_ratio" not in missed


def test_a_copied_image_misses_every_gate(data: EvalWindows) -> None:
    evaluation = evaluate(static, data)
    assert not any(row.passed for row in evaluation.gates)
    assert not evaluation.passed


@pytest.mark.parametrize("num_videos", [1, 2, 5])
@pytest.mark.parametrize("generate", [audio_conditioned, static])
def test_few_videos_give_values_or_reasons(data: EvalWindows, generate: Generate, num_videos: int) -> None:
    few = data.select(np.arange(num_videos))
    evaluation = evaluate(generate, few)
    json.dumps(evaluation.as_json(), allow_nan=False)
    assert len(evaluation.results) > 10


def test_every_result_has_the_shared_protocol(good: Evaluation) -> None:
    for result in good.results:
        assert {"split", "frames", "size", "quantized", "real_set_sha256"} <= set(result.protocol)


def test_the_same_input_gives_the_same_report(data: EvalWindows, good: Evaluation) -> None:
    again = evaluate(audio_conditioned, data, header={"run": "toy", "split": "test"}, protocol={"split": "test"})
    assert again.as_json() == good.as_json()


def test_report_table_and_images_are_written(data: EvalWindows, good: Evaluation, tmp_path: Path) -> None:
    paths = write(good, data, good.as_json(), tmp_path / "run" / "evaluation.json")
    assert [path.name for path in paths] == [
        "evaluation.json", "evaluation.md", "strip.png", "curves.png", "moving.webp",
    ]  # fmt: skip
    report = json.loads(paths[0].read_text())
    assert MetricResult.from_json(report["metrics"]["sync_auc"]) == found(good)["sync_auc"]
    assert report["gates_passed"] is True
    text = paths[1].read_text()
    assert "| sync_auc" in text
    assert "| l1_over_copy_first |" in text
    for path in paths[2:]:
        with Image.open(path) as image:
            assert np.asarray(image).std() > 10
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(path.name for path in paths)
    other = write(good, data, good.as_json(), tmp_path / "run" / "train.json")
    assert other[2].name == "train-strip.png"


def test_tables_in_the_terminal(good: Evaluation) -> None:
    text = io.StringIO()
    show(good, gates=True, console=Console(file=text, width=200))
    assert "sync_auc_of_real" in text.getvalue()
    assert "pass" in text.getvalue()
    assert "MISS" not in text.getvalue()


def test_quantization_rounds_and_clamps() -> None:
    video = torch.tensor([-2.0, -1.0, 0.0, 1.0, 1.5, 1 / 127.5]).reshape(1, 1, 6, 1, 1).expand(1, 3, 6, 1, 1)
    levels = to_uint8(video)
    assert levels.shape == (1, 6, 1, 1, 3)
    assert levels[0, :, 0, 0, 0].tolist() == [0, 0, 128, 255, 255, 128]


def save_run(run: Path, *settings: str) -> Path:
    """A run with one checkpoint of a generator of random weights."""
    config = tiny_config(*settings)
    torch.manual_seed(0)
    checkpoint.save(
        run,
        weights={checkpoint.GENERATOR: factory.generator(config, num_classes=26).state_dict()},
        state={}, config=config, label_set=LETTERS, mel_stats=MelStats(mean=-6.0, std=3.0, clamp=4.0),
        frame_rate=Fraction(25), progress=Progress(num_steps=5, num_videos=15),
    )  # fmt: skip
    return run


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> Path:
    return save_run(tmp_path / "run")


def test_a_run_is_evaluated_from_its_folder_to_its_report(run: Path, dataset: Path) -> None:
    report = evaluate_run(run, dataset, split="train")
    assert json.loads((run / "evaluation.json").read_text()) == report
    assert report["num_steps"] == 5
    assert report["num_evaluated"] == 7
    assert report["metrics"]["sync_auc"]["protocol"]["num_source_videos"] == 2
    assert "clip's key" in report["metrics"]["l1"]["protocol"]["window_start"]
    assert (run / "strip.png").exists()


def test_the_floor_uses_other_splits_if_the_evaluated_one_has_too_few_clips(run: Path, tmp_path: Path) -> None:
    shards = write_dataset(tmp_path / "more", train=[make_sample(n) for n in range(40)], num_validation=20)
    report = evaluate_run(run, shards, split="validation")
    text = report["metrics"]["rfd_3d_fd64"]["protocol"]["real_floor"]
    assert "two disjoint sets of 20 windows" in text
    assert "60 clips of validation " in text
    assert ", train " in text
    few = evaluate_run(run, shards, split="train", num_videos=18, out=tmp_path / "few.json")
    text = few["metrics"]["rfd_3d_fd64"]["protocol"]["real_floor"]
    assert "two disjoint sets of 18 windows" in text
    assert "40 clips of train" in text


def test_large_training_splits_are_not_decoded_for_the_floor(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cssgan.evaluation.evaluate.MAX_DECODED_BYTES", 10)
    shards = write_dataset(tmp_path / "more", train=[make_sample(n) for n in range(40)], num_validation=4)
    generator = load_generator(run)
    pool = real_pool(shards, "validation", generator, 4)
    assert pool.count == 4
    assert "train" not in pool.name


def test_missed_gates_are_an_error_after_the_report_is_written(
    run: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GatesMissedError, match=r"gates missed: .*sync_auc") as raised:
        evaluate_run(run, dataset, split="train", gates=True, out=run / "gates.json")
    assert raised.value.exit_code == 1
    assert "\n" not in str(raised.value)
    assert json.loads((run / "gates.json").read_text())["gates_passed"] is False
    output = capsys.readouterr()
    assert "MISS" in output.err
    assert output.out == ""


def test_start_anywhere_is_reproducible(run: Path, dataset: Path) -> None:
    generator = load_generator(run)
    first = eval_windows(dataset, "train", generator)
    some = eval_windows(dataset, "train", generator, start="anywhere")
    again = eval_windows(dataset, "train", generator, num_videos=3, start="anywhere")
    assert some.keys == first.keys
    shifted = [n for n in range(len(some)) if not np.array_equal(some.video_NTHWC[n], first.video_NTHWC[n])]
    assert shifted
    for n, key in enumerate(again.keys):
        assert np.array_equal(again.raw_mels_NTMU[n], some.raw_mels_NTMU[some.keys.index(key)])
    # Clips shorter than a window always begin at frame 0.
    short = [n for n in range(len(first)) if first.num_valid_N[n] < first.video_NTHWC.shape[1]]
    assert short
    assert not set(short) & set(shifted)
    assert np.array_equal(some.num_valid_N, first.num_valid_N)


def test_metrics_use_the_whole_audio_if_the_model_input_is_cut_into_clips(tmp_path: Path, dataset: Path) -> None:
    video = load_generator(save_run(tmp_path / "video"))
    clip = load_generator(save_run(tmp_path / "clip", "data.segment_context=clip"))
    a, b = (eval_windows(dataset, "train", generator, start="anywhere") for generator in (video, clip))
    assert np.array_equal(a.raw_mels_NTMU, b.raw_mels_NTMU)
    assert not np.array_equal(a.mels_NTMU, b.mels_NTMU)


def test_values_per_video_average_to_the_metrics_of_the_set(
    good: Evaluation, data: EvalWindows, tmp_path: Path
) -> None:
    path = write_per_video(good, data, tmp_path / "evaluation.json", clip_frames=8, seed=0)
    rows, results = per_video.read(path), found(good)

    assert path.name == "videos.parquet"
    assert (rows.keys, rows.sources) == (data.keys, data.video_ids)
    for name in ("l1", "ssim", "onset_motion_correlation", "sync_auc"):
        assert float(np.nanmean(rows.values[name])) == pytest.approx(results[name].value), name
    assert float(np.nanmedian(rows.values["seam_ratio"])) == pytest.approx(results["seam_ratio"].value)
    assert rows.real_ND.shape == rows.fake_ND.shape == (16, 64)
    assert rows.extractor == results["rfd_3d_fd64"].protocol["network"]
    fake, real = (Features(values_ND=side, extractor=rows.extractor) for side in (rows.fake_ND, rows.real_ND))
    scale = real_scale(real)
    distance = frechet_distance(moments(real.scaled(scale), ddof=1), moments(fake.scaled(scale), ddof=1))
    assert distance == pytest.approx(results["rfd_3d_fd64"].value)
