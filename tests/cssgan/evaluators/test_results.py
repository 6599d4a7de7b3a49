"""Evaluators that are trained on toy clips distinguish corrupted from real videos; training, admission, checkpoints, command line."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cssgan.cli import app
from cssgan.data import resident
from cssgan.errors import EvaluatorError
from cssgan.evaluation.evaluate import evaluate
from cssgan.evaluators import checkpoint, sampling, train
from cssgan.evaluators.checkpoint import TrainedEvaluators
from cssgan.evaluators.results import evaluator_results, retrieval_top1
from cssgan.metrics import synchrony
from cssgan.metrics.result import MetricResult
from cssgan.metrics.videos import VideoPairs, hold_first_frame
from cssgan.types import EvalWindows
from phonics_data.contract.labels import LETTERS
from phonics_data.errors import DatasetError, OptionError
from tests.cssgan.evaluation.test_evaluate import save_run
from tests.cssgan.evaluators.toy_clips import SPEC, clip, dataset
from tests.cssgan.toy_dataset import write_shard


@pytest.fixture(scope="module", name="shards")
def _shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("evaluators") / "dataset")


@pytest.fixture(scope="module", name="folder")
def _folder(shards: Path) -> Path:
    out = shards.parent / "evaluators"
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CSSGAN_CACHE", str(shards.parent / "cache"))
        train.train(shards, out, SPEC, on_progress=lines.append)
    assert sum(": admitted" in line for line in lines) == 3, lines
    return out


@pytest.fixture(name="evaluators")
def _evaluators(folder: Path) -> TrainedEvaluators:
    return checkpoint.load(folder)


@pytest.fixture(name="data")
def _data(shards: Path) -> EvalWindows:
    return sampling.real_windows(resident.load(shards, "test", 16), SPEC, max_clips=100)


def ignore(line: str) -> None:
    pass


def results_by_name(
    evaluators: TrainedEvaluators | None, data: EvalWindows, fake: NDArray[np.uint8] | None = None, caution: str = ""
) -> dict[str, MetricResult]:
    real = data.video_NTHWC
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=real if fake is None else fake, num_valid_N=data.num_valid_N)
    return {result.name: result for result in evaluator_results(evaluators, pairs, data, caution=caution).results}


def test_real_videos_as_generated_videos_have_the_values_of_real_videos(
    evaluators: TrainedEvaluators, data: EvalWindows
) -> None:
    found = results_by_name(evaluators, data)
    for name in (
        "class_accuracy",
        "syncnet_auc",
        "syncnet_auc_shifted",
        "syncnet_top1",
        "order_pairs",
        "order_accuracy",
    ):
        assert found[name].value == found[name].controls["real"], name
    assert (found["class_accuracy"].value or 0.0) > 0.9
    assert (found["syncnet_auc"].value or 0.0) > 0.85
    assert (found["order_pairs"].value or 0.0) > 0.9
    assert 1.0 < (found["domain_is"].value or 0.0) <= 26.0
    assert found["class_accuracy"].protocol["evaluator_held_out_clips"] == 18
    for result in found.values():
        json.dumps(result.as_json(), allow_nan=False)


def test_videos_of_another_class_lower_the_class_accuracy_only(
    evaluators: TrainedEvaluators, data: EvalWindows
) -> None:
    other = np.roll(data.video_NTHWC, 1, axis=0)  # neighbours are of other classes
    found = results_by_name(evaluators, data, other)
    assert (found["class_accuracy"].value or 0.0) < 0.1
    assert found["domain_is"].value == pytest.approx(found["domain_is"].controls["real"], rel=0.2)
    assert found["order_pairs"].value == found["order_pairs"].controls["real"]


def test_videos_of_another_clip_do_not_follow_the_audio(evaluators: TrainedEvaluators, data: EvalWindows) -> None:
    found = results_by_name(evaluators, data, np.roll(data.video_NTHWC, 1, axis=0))
    assert (found["syncnet_auc"].value or 0.0) < found["syncnet_auc"].controls["real"] - 0.25
    assert (found["syncnet_offset"].value or 0.0) > found["syncnet_offset"].controls["real"]
    assert (found["syncnet_confidence"].value or 0.0) < found["syncnet_confidence"].controls["real"]


def test_retrieval_agrees_with_simulation_and_ties_have_chance_level() -> None:
    n = 40
    flat = synchrony.pairwise_wins(np.zeros((n, n)))
    assert retrieval_top1(flat) == pytest.approx(1.0 / 32.0)
    assert retrieval_top1(synchrony.pairwise_wins(np.eye(n))) == 1.0
    rng = np.random.default_rng(0)
    score = rng.random((n, n)) + np.eye(n) * 0.3
    found = [
        score[row, row] > score[row, rng.permutation(np.delete(np.arange(n), row))[:31]].max()
        for row in range(n)
        for _ in range(200)
    ]
    assert retrieval_top1(synchrony.pairwise_wins(score)) == pytest.approx(np.mean(found), abs=0.02)


def test_chunks_in_another_order_are_detected(evaluators: TrainedEvaluators, data: EvalWindows) -> None:
    shuffled = np.concatenate([data.video_NTHWC[:, 4 * k : 4 * k + 4] for k in (3, 1, 0, 2)], axis=1)
    found = results_by_name(evaluators, data, shuffled)
    assert (found["order_pairs"].value or 0.0) < 0.5
    assert (
        found["order_pairs"].controls["by_boundary_change"] < found["order_pairs"].controls["real_by_boundary_change"]
    )
    assert found["class_accuracy"].value == pytest.approx(found["class_accuracy"].controls["real"], abs=0.1)


def test_static_videos_have_a_class_but_neither_order_nor_synchrony(
    evaluators: TrainedEvaluators, data: EvalWindows
) -> None:
    found = results_by_name(evaluators, data, hold_first_frame(data.video_NTHWC))
    assert found["order_pairs"].value == 0.5
    assert found["syncnet_auc"].value == 0.5
    assert found["syncnet_auc"].num_undefined == len(data)
    assert found["class_accuracy"].value == found["class_accuracy"].controls["copy_first"]


def test_an_untrained_evaluator_is_not_admitted_and_reports_its_accuracy(shards: Path, data: EvalWindows) -> None:
    lines: list[str] = []
    spec = replace(SPEC, class_steps=1, sync_steps=1, order_steps=1)
    untrained = train.train(shards, shards.parent / "untrained", spec, on_progress=lines.append)
    found = results_by_name(untrained, data)
    assert any("not admitted" in line for line in lines)
    assert found["class_accuracy"].value is None
    assert "the evaluator of classes reaches accuracy" in found["class_accuracy"].unavailable
    assert "allowed: 0.5192 or more" in found["domain_is"].unavailable


def test_without_evaluators_results_are_unavailable(data: EvalWindows) -> None:
    found = results_by_name(None, data)
    assert all(result.value is None for result in found.values())
    assert "cssgan evaluators train" in found["syncnet_auc"].unavailable
    assert "--evaluators" in found["order_pairs"].unavailable


def test_audio_swap_of_an_audio_conditioned_and_an_unconditional_generator(
    evaluators: TrainedEvaluators, data: EvalWindows
) -> None:
    """One returns the real video of its audio for every image, the other one ignores the audio."""
    by_audio = {data.mels_NTMU[n].tobytes(): data.video_NTHWC[n] for n in range(len(data))}

    def conditioned(
        images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        return np.stack([by_audio[mel.tobytes()] for mel in mels])

    def unconditional(
        images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        return np.stack([data.video_NTHWC[int(image.sum()) % len(data)] for image in images])

    swap_auc = {}
    for name, generate in (("conditioned", conditioned), ("unconditional", unconditional)):
        evaluation = evaluate(generate, data, evaluators=evaluators)
        found = {result.name: result for result in evaluation.results}
        swap_auc[name] = found["syncnet_audio_swap_auc"].value
        assert {"class_accuracy", "syncnet_auc", "order_pairs", "order_deviation"} <= set(evaluation.per_video)
        assert "fake_from_other_audio" in found["syncnet_auc"].controls
    assert swap_auc["conditioned"] > 0.85
    assert swap_auc["unconditional"] == 0.5


def test_a_resumed_training_is_bit_equal(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "SAVE_EVERY", 4)
    spec = replace(SPEC, class_steps=6, sync_steps=6, order_steps=6)
    whole = train.train(shards, tmp_path / "whole", spec, on_progress=ignore)

    stops = iter(range(100))

    def stop(line: str) -> None:
        if "step 4 of 6" in line and next(stops) < 3:
            raise KeyboardInterrupt

    for _ in range(3):  # once in each evaluator
        with pytest.raises(KeyboardInterrupt):
            train.train(shards, tmp_path / "stopped", spec, on_progress=stop)
    lines: list[str] = []
    again = train.train(shards, tmp_path / "stopped", spec, on_progress=lines.append)

    assert any("resumes at step" in line for line in lines)
    assert {kind: evaluator.name for kind, evaluator in again.evaluators.items()} == {
        kind: evaluator.name for kind, evaluator in whole.evaluators.items()
    }
    assert (tmp_path / "whole/evaluators.json").read_bytes() == (tmp_path / "stopped/evaluators.json").read_bytes()
    assert not list((tmp_path / "stopped").glob("*.state.pt"))
    # A finished training is not repeated.
    assert train.train(shards, tmp_path / "stopped", spec, on_progress=pytest.fail).digest == whole.digest


def test_loaded_evaluators_are_those_that_were_trained(folder: Path, evaluators: TrainedEvaluators) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    again = checkpoint.load(folder)
    assert torch.equal(torch.random.get_rng_state(), before)
    for kind, evaluator in evaluators.evaluators.items():
        for name, tensor in evaluator.network.state_dict().items():
            assert torch.equal(tensor, again.evaluators[kind].network.state_dict()[name])
    assert again.digest == evaluators.digest


def test_training_clips_and_other_datasets_give_a_caution(
    evaluators: TrainedEvaluators, shards: Path, data: EvalWindows, tmp_path: Path
) -> None:
    other = dataset(tmp_path / "other", num_frames=20)
    assert evaluators.caution(shards, "test") == ""
    assert evaluators.caution(shards, "train") == "the evaluators were trained on these clips"
    assert evaluators.caution(other, "test") == "the evaluators were trained on another dataset"
    found = results_by_name(evaluators, data, caution="trained on these clips")
    assert all("trained on these clips" in result.caution for result in found.values() if result.value is not None)


def test_incomplete_and_damaged_folders_are_refused(folder: Path, shards: Path, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        out = tmp_path / name
        out.mkdir()
        for path in folder.iterdir():
            if path.is_file():
                (out / path.name).write_bytes(path.read_bytes())
        return out

    with pytest.raises(EvaluatorError, match=r"no complete folder of evaluators .*cssgan evaluators train"):
        checkpoint.load(tmp_path / "nothing")
    truncated = copy("truncated")
    (truncated / "sync.safetensors").write_bytes((truncated / "sync.safetensors").read_bytes()[:-9])
    with pytest.raises(EvaluatorError, match=r"sync\.safetensors: truncated, or changed"):
        checkpoint.load(truncated)
    without = copy("without")
    (without / "order.safetensors").unlink()
    with pytest.raises(EvaluatorError, match=r"order\.safetensors: missing"):
        checkpoint.load(without)
    garbled = copy("garbled")
    (garbled / "evaluators.json").write_text('{"format": 1, "mel_spec": ')
    with pytest.raises(EvaluatorError, match="not a folder of evaluators that this program reads"):
        checkpoint.load(garbled)
    with pytest.raises(EvaluatorError, match=r"other class_steps 60 \(now 7\)"):
        train.train(shards, folder, replace(SPEC, class_steps=7), on_progress=ignore)
    with pytest.raises(EvaluatorError, match="other train shards"):
        train.train(dataset(tmp_path / "other", num_frames=20), folder, SPEC, on_progress=ignore)


def test_a_dataset_without_held_out_clips_and_bad_options_are_refused(tmp_path: Path) -> None:
    alone = dataset(tmp_path / "alone", held_out=False)
    with pytest.raises(EvaluatorError, match=r"no validation-\*\.tar or test-\*\.tar"):
        train.train(alone, tmp_path / "evaluators", SPEC, on_progress=ignore)
    with pytest.raises(DatasetError, match=r"no such dataset folder"):
        train.train(tmp_path / "none", tmp_path / "evaluators", SPEC, on_progress=ignore)
    with pytest.raises(OptionError, match="--frames: got 18"):
        replace(SPEC, num_frames=18)
    with pytest.raises(OptionError, match="--size: got 8"):
        replace(SPEC, size=8)


def test_no_order_evaluator_for_clips_shorter_than_a_window(tmp_path: Path) -> None:
    shards = dataset(tmp_path / "short", num_frames=14)
    evaluators = train.train(
        shards,
        tmp_path / "evaluators",
        replace(SPEC, class_steps=2, sync_steps=2, order_steps=2),
        on_progress=ignore,
    )
    data = sampling.real_windows(resident.load(shards, "test", 16), SPEC, max_clips=100)
    assert evaluators.missing == {"order": "no training clip lasts 16 frames"}
    assert checkpoint.load(tmp_path / "evaluators").missing == evaluators.missing
    assert results_by_name(evaluators, data)["order_pairs"].unavailable == "no training clip lasts 16 frames"


def test_videos_of_another_size_and_length_are_refused(evaluators: TrainedEvaluators) -> None:
    evaluators.check(size=16, num_frames=16, label_set=LETTERS)
    with pytest.raises(EvaluatorError, match=r"16 frames of 16x16 .* 32 frames of 32x32 .* --size 32 --frames 32"):
        evaluators.check(size=32, num_frames=32, label_set=LETTERS)


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cssgan", *arguments])
    with pytest.raises(SystemExit) as end:
        app.main()
    return int(end.value.code or 0)


def test_from_the_command_line_to_the_report(
    shards: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "evaluators"
    options = ("--size", "16", "--frames", "16", "--steps", "2")
    assert run_cli(monkeypatch, "evaluators", "train", "--shards", str(shards), "--out", str(out), *options) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in printed] == ["classes", "sync", "order"]
    assert all("held-out clips; needs" in line for line in printed)

    run = save_run(tmp_path / "run")
    arguments = ("evaluate", "--run", str(run), "--shards", str(shards), "--evaluators", str(folder), "--per-video")
    assert run_cli(monkeypatch, *arguments) == 0
    report = json.loads((run / "evaluation.json").read_text())["metrics"]
    assert report["class_accuracy"]["value"] is not None
    assert report["syncnet_auc"]["protocol"]["evaluator"].startswith("sync-")
    assert (run / "videos.parquet").exists()

    other = save_run(tmp_path / "other", "data.num_frames=32")
    assert (
        run_cli(monkeypatch, "evaluate", "--run", str(other), "--shards", str(shards), "--evaluators", str(folder)) == 1
    )
    assert "the model generates 32 frames of 16x16" in capsys.readouterr().err


def test_a_held_out_class_can_be_missing_in_training(tmp_path: Path) -> None:
    shards = dataset(tmp_path / "dataset")
    write_shard(shards / "validation-000000.tar", [replace(clip(900, song="song-9"), label="Q")])
    evaluators = train.train(
        shards,
        tmp_path / "evaluators",
        replace(SPEC, class_steps=1, sync_steps=1, order_steps=1),
        on_progress=ignore,
    )
    assert evaluators.evaluators["classes"].num_held_out == 19
