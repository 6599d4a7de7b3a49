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
from cssgan.metrics import per_video
from cssgan.metrics.conditions import Generate
from cssgan.metrics.controls import flash_generator, other_clips
from cssgan.metrics.distances import frechet_distance
from cssgan.metrics.features import Features, moments, real_scale
from cssgan.metrics.result import ControlName, MetricResult
from cssgan.models import factory
from cssgan.training import checkpoint
from cssgan.types import EvalWindows, MelStats, Progress
from phonics_data.contract.labels import LETTERS
from tests.cssgan.metrics import toy_phrases, toy_scenes
from tests.cssgan.toy_dataset import make_sample, tiny_config, write_dataset


def static(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.repeat(images[:, None], mels.shape[1], axis=1)


@pytest.fixture(scope="module", name="untrained")
def _untrained() -> Generate:
    torch.manual_seed(0)
    network = factory.generator(tiny_config(f"data.size={toy_phrases.SIZE}"), num_classes=26).eval()

    @torch.inference_mode()
    def generate(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        image_BCHW = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        label_BK = torch.nn.functional.one_hot(torch.from_numpy(labels), 26).float()
        mels_BTMU = torch.from_numpy(np.ascontiguousarray(mels))
        return to_uint8(network.rollout(image_BCHW, mels_BTMU, label_BK, torch.zeros(len(images), 0)))

    return generate


@pytest.fixture(scope="module", name="phrases")
def _phrases() -> tuple[toy_phrases.Phrases, EvalWindows]:
    return toy_phrases.make(num_songs=2, clips_per_song=11, seed=2)


@pytest.fixture(scope="module", name="data")
def _data(phrases: tuple[toy_phrases.Phrases, EvalWindows]) -> EvalWindows:
    return phrases[1]


@pytest.fixture(scope="module", name="ideal")
def _ideal(phrases: tuple[toy_phrases.Phrases, EvalWindows]) -> Generate:
    return toy_phrases.ideal(*phrases)


@pytest.fixture(scope="module", name="good")
def _good(data: EvalWindows, ideal: Generate, untrained: Generate) -> Evaluation:
    return evaluate(
        ideal, data, untrained=untrained, header={"run": "toy", "split": "test"}, protocol={"split": "test"}
    )


def found(evaluation: Evaluation) -> dict[str, MetricResult]:
    return {result.name: result for result in evaluation.results}


EVENT_GATES = {"event_match", "event_f1", "persistence", "event_swap_auc"}
EVERY_GATE = {"l1_over_copy_first", "phrase_l1_over_copy_first", *EVENT_GATES}


def test_real_events_pass_every_gate_with_a_margin(good: Evaluation) -> None:
    """The ideal model makes the real videos from their own audio."""
    assert good.passed
    assert {row.name for row in good.gates} == EVERY_GATE
    assert not [row.name for row in good.gates if row.saturated_by]
    for row in good.gates:
        assert row.value == pytest.approx(0.0 if "l1" in row.name else 1.0)
    results = found(good)
    assert results["event_swap_auc"].value == pytest.approx(1.0)
    assert (results["audio_sensitivity"].value or 0.0) > 0.02


@pytest.mark.parametrize(
    ("name", "missed"),
    [
        ("held", EVERY_GATE), ("flash", EVERY_GATE), ("untrained", EVERY_GATE),
        ("song_mean", EVENT_GATES), ("mismatched", EVENT_GATES),
    ],
)  # fmt: skip
def test_controls_as_generators_miss_the_gates(
    name: ControlName, missed: set[str], data: EvalWindows, untrained: Generate
) -> None:
    generator = flash_generator(toy_phrases.RATE) if name == "flash" else toy_phrases.control(data, name, untrained)
    evaluation = evaluate(generator, data, untrained=untrained)
    assert missed <= {row.name for row in evaluation.gates if not row.passed}
    assert not evaluation.passed
    swap = found(evaluation)["event_swap_auc"].value
    assert swap == (pytest.approx(0.5, abs=0.05) if name in {"flash", "untrained"} else 0.5)
    for result in evaluation.results:
        # The same videos give the same value as a control and as a generator. The control `mismatched` of synchrony
        # is a mean over several choices of the other clip.
        of_synchrony = (
            {"sync_auc", "motion_match_auc", "onset_motion_correlation"} if name != "mismatched" else set[str]()
        )
        if result.name in EVERY_GATE | of_synchrony:
            assert result.controls[name] == pytest.approx(result.value, abs=1e-6), result.name


def test_event_and_synchrony_figures_stand_beside_all_controls(good: Evaluation) -> None:
    results = found(good)
    for name in (*EVENT_GATES, "sync_auc", "audio_swap_auc", "motion_match_auc", "best_lag"):
        assert {"held", "flash", "untrained", "song_mean", "mismatched"} <= set(results[name].controls), name
    text = io.StringIO()
    show(good, gates=True, console=Console(file=text, width=200))
    assert "song_mean" in text.getvalue()
    # In these phrases the motion does not follow the onsets, so the onset-motion AUC does not know real videos.
    assert results["sync_auc"].saturated_by
    assert "saturated by" in text.getvalue()
    assert good.as_json()["metrics"]["sync_auc"]["saturated_by"] == results["sync_auc"].saturated_by


def test_the_same_model_with_the_audio_of_other_clips_misses_the_timing_gates(
    data: EvalWindows, ideal: Generate
) -> None:
    other = other_clips(data.video_ids, np.random.default_rng(3))

    def wrong_audio(
        images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        return ideal(images, data.mels_NTMU[other[toy_phrases.rows_of(data, labels, images)]], labels)

    missed = {row.name for row in evaluate(wrong_audio, data).gates if not row.passed}
    assert {"event_match", "event_f1", "event_swap_auc"} <= missed


def test_a_flash_that_follows_the_light_of_real_videos_saturates_the_synchrony_measures() -> None:
    """The control that fooled the earlier gates: in clips that flash with the sound, it is as good as real videos."""
    scene = toy_scenes.make(16, seed=3, size=16)
    still = scene.videos_NTHWC[:, :1].repeat(32, axis=1)
    light = 60 * scene.events_NT[:, :, None, None, None]
    data = EvalWindows(
        keys=tuple(f"clip-{n}" for n in range(16)), video_ids=tuple(f"song-{n % 3}" for n in range(16)),
        label_set=LETTERS, labels_N=np.arange(16), video_NTHWC=np.clip(still + light, 0, 255).astype(np.uint8),
        raw_mels_NTMU=scene.mels_NTMU, mels_NTMU=scene.mels_NTMU, num_valid_N=scene.num_valid_N,
        frame_rates=(Fraction(25),) * 16, start_seconds=(0.0,) * 16, object_words=("",) * 16,
    )  # fmt: skip
    evaluation = evaluate(flash_generator(25.0), data)
    results = found(evaluation)
    assert (results["sync_auc"].value or 0.0) > 0.9
    assert (results["audio_swap_auc"].value or 0.0) > 0.9
    for name in ("sync_auc", "audio_swap_auc", "onset_motion_correlation"):
        assert results[name].saturated_by == "flash", name
    assert not evaluation.passed


@pytest.mark.parametrize("num_videos", [1, 2])
@pytest.mark.parametrize("kind", ["ideal", "static"])
def test_few_videos_give_values_or_reasons(data: EvalWindows, ideal: Generate, kind: str, num_videos: int) -> None:
    few = data.select(np.arange(num_videos))
    evaluation = evaluate(static if kind == "static" else ideal, few)
    json.dumps(evaluation.as_json(), allow_nan=False)
    assert len(evaluation.results) > 10


def test_every_result_has_the_shared_protocol(good: Evaluation) -> None:
    for result in good.results:
        assert {"split", "frames", "size", "quantized", "real_set_sha256"} <= set(result.protocol)


def test_the_same_input_gives_the_same_report(
    data: EvalWindows, ideal: Generate, untrained: Generate, good: Evaluation
) -> None:
    again = evaluate(
        ideal, data, untrained=untrained, header={"run": "toy", "split": "test"}, protocol={"split": "test"}
    )
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
    assert text.count("| pass |\n") == len(EVERY_GATE) + 2  # each gate of the model; the model and real videos
    for path in paths[2:]:
        with Image.open(path) as image:
            assert np.asarray(image).std() > 10
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(path.name for path in paths)
    other = write(good, data, good.as_json(), tmp_path / "run" / "train.json")
    assert other[2].name == "train-strip.png"


def test_tables_in_the_terminal(good: Evaluation) -> None:
    text = io.StringIO()
    show(good, gates=True, console=Console(file=text, width=200))
    assert "event_match" in text.getvalue()
    assert "pass" in text.getvalue()
    gates, controls = text.getvalue().split("gates and controls")
    assert "MISS" not in gates
    lines = {line.split()[0]: line for line in controls.splitlines() if line.strip()}
    for name in ("model", "real"):
        assert lines[name].count(" pass") == len(EVERY_GATE) + 1, lines[name]
    for name in ("held", "flash", "untrained", "song_mean", "mismatched"):
        assert lines[name].rstrip().endswith("MISS")


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
    with pytest.raises(GatesMissedError, match=r"gates missed: .*event_f1") as raised:
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
    path = write_per_video(good, data, tmp_path / "evaluation.json", clip_frames=8)
    rows, results = per_video.read(path), found(good)

    assert path.name == "videos.parquet"
    assert (rows.keys, rows.sources) == (data.keys, data.video_ids)
    for name in (
        "l1", "ssim", "onset_motion_correlation", "sync_auc", "audio_swap_auc", "event_f1", "persistence", "event_swap_auc",
    ):  # fmt: skip
        assert float(np.nanmean(rows.values[name])) == pytest.approx(results[name].value), name
    wins, comparisons = (rows.values[f"event_match_{column}"] for column in ("wins", "comparisons"))
    assert float(np.nansum(wins) / np.nansum(comparisons)) == pytest.approx(results["event_match"].value)
    assert float(np.nanmedian(rows.values["seam_ratio"])) == pytest.approx(results["seam_ratio"].value)
    assert rows.real_ND.shape == rows.fake_ND.shape == (22, 64)
    assert rows.extractor == results["rfd_3d_fd64"].protocol["network"]
    fake, real = (Features(values_ND=side, extractor=rows.extractor) for side in (rows.fake_ND, rows.real_ND))
    scale = real_scale(real)
    distance = frechet_distance(moments(real.scaled(scale), ddof=1), moments(fake.scaled(scale), ddof=1))
    assert distance == pytest.approx(results["rfd_3d_fd64"].value)
