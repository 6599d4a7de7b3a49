"""Whole runs: resuming, finished runs, and errors."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
import weakref
from pathlib import Path

import filelock
import pytest
import torch
from rich.console import Console

from cssgan.config import Config
from cssgan.data.prefetch import PrefetchLoader
from cssgan.errors import CheckpointError, DivergenceError, MemoryFullError, RunError
from cssgan.training import checkpoint, loop
from cssgan.training.run_folder import stop_signals
from cssgan.training.summary import describe
from cssgan.types import Batch
from phonics_data.errors import DatasetError, DependencyError, InputError, OptionError, WorkspaceLockedError
from tests.cssgan.toy_dataset import TINY, make_sample, tiny_config, write_dataset


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train(config: Config, dataset: Path, run: Path) -> tuple[loop.TrainResult, str]:
    text = io.StringIO()
    result = loop.train(config, dataset, run, console=Console(file=text, width=200))
    return result, text.getvalue()


def stats(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]


def same_weights(a: Path, b: Path) -> bool:
    checkpoints = [checkpoint.load_newest(run) for run in (a, b)]
    pairs = [(x.generator_weights(), x.discriminator_weights()) for x in checkpoints]
    return all(
        one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
        for one, other in zip(*pairs, strict=True)
    )


def test_a_run_writes_its_documented_files(dataset: Path, tmp_path: Path) -> None:
    config = tiny_config("train.sample_every=4", "train.ema_half_life=10", "train.log_every=2")

    result, text = train(config, dataset, tmp_path / "run")

    assert (result.status, result.progress.num_steps, result.progress.num_videos) == ("finished", 4, 12)
    assert json.loads((tmp_path / "run/config.json").read_text())["config"]["train"]["batch_size"] == 3
    kinds = [(line["step"], line["kind"]) for line in stats(tmp_path / "run")]
    assert kinds == [(2, "train"), (4, "train"), (4, "sample")]
    assert {"val_l1", "val_motion_ratio", "val_seam_ratio"} <= set(stats(tmp_path / "run")[-1])
    assert (tmp_path / "run/samples/step-00000004.png").stat().st_size > 100
    assert list((tmp_path / "run/tensorboard").glob("events*"))
    assert "7 training clips of 3 classes" in text
    assert "steps/s" in text
    assert (checkpoint.load_newest(tmp_path / "run").folder / checkpoint.AVERAGE).exists()


@pytest.mark.parametrize(
    "options",
    [
        (),
        (
            *("discriminator.d_audio=true", "loss.mismatch_weight=1", "discriminator.seam_clips=true"),
            *("order.p_in_order=0.5", "model.audio_inject=film", "loss.r1_gamma=1", "loss.penalty_every=2"),
        ),
    ],
)
def test_a_resumed_run_is_bit_equal_to_an_uninterrupted_one(
    dataset: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    settings = ("train.num_videos=18", "train.log_every=3", "train.ema_half_life=6", "model.z_dim=2", *options)
    train(tiny_config(*settings), dataset, tmp_path / "whole")

    # Stopped after 4 of 6 steps, between two lines of the log.
    train(tiny_config(*settings, "train.num_videos=12"), dataset, tmp_path / "stopped")
    at_stop = stats(tmp_path / "stopped")
    result, text = train(tiny_config(*settings), dataset, tmp_path / "stopped")

    assert [(line["step"], line["kind"]) for line in at_stop] == [(3, "train"), (4, "last")]
    assert result.progress.num_steps == 6
    assert "resuming after step 4" in text
    assert stats(tmp_path / "stopped") == stats(tmp_path / "whole")
    assert same_weights(tmp_path / "stopped", tmp_path / "whole")


def test_a_killed_run_resumes_bit_equal_from_its_checkpoint(dataset: Path, tmp_path: Path) -> None:
    config = tiny_config("train.num_videos=18")
    train(config, dataset, tmp_path / "whole")
    killed = tmp_path / "killed"
    train(tiny_config("train.num_videos=15"), dataset, killed)
    # As if killed in step 6 with a damaged last checkpoint: step 4 is the newest valid checkpoint, the log has later
    # lines, and its last line is truncated.
    (killed / "checkpoints/step-00000005/state.pt").write_bytes(b"PK")
    with (killed / "stats.jsonl").open("a") as file:
        file.write('{"step": 6, "vid')

    train(config, dataset, killed)

    assert stats(killed) == stats(tmp_path / "whole")
    assert same_weights(killed, tmp_path / "whole")


def test_a_finished_run_is_reported_and_unchanged(dataset: Path, tmp_path: Path) -> None:
    config, run = tiny_config(), tmp_path / "run"
    train(config, dataset, run)
    before = (run / "stats.jsonl").read_bytes()

    result, text = train(config, dataset, run)

    assert result.status == "already_finished"
    assert "finished, 12 videos seen" in text
    assert (run / "stats.jsonl").read_bytes() == before


def test_another_configuration_is_refused_with_the_differences(dataset: Path, tmp_path: Path) -> None:
    train(tiny_config(), dataset, tmp_path)

    with pytest.raises(RunError, match=r"differs in optim\.g_lr: 0\.001 -> 0\.01; train\.seed: 0 -> 1\."):
        train(tiny_config("optim.g_lr=0.01", "train.seed=1"), dataset, tmp_path)


def test_without_config_json_the_checkpoints_identify_the_run(dataset: Path, tmp_path: Path) -> None:
    train(tiny_config(), dataset, tmp_path)
    (tmp_path / "config.json").unlink()

    with pytest.raises(RunError, match=r"differs in loss\.l1_weight: "):
        train(tiny_config("loss.l1_weight=1"), dataset, tmp_path)

    assert not (tmp_path / "config.json").exists()
    assert train(tiny_config(), dataset, tmp_path)[0].status == "already_finished"
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json: not the configuration of a run .* delete it if the checkpoints"):
        train(tiny_config(), dataset, tmp_path)


def test_checkpoints_of_another_run_are_neither_counted_nor_deleted(dataset: Path, tmp_path: Path) -> None:
    settings = ("train.checkpoint_every=2", "train.keep_checkpoints=1", "train.sample_every=2")
    train(tiny_config(*settings), dataset, tmp_path / "run")
    train(tiny_config(*settings, "train.seed=5", "train.num_videos=60"), dataset, tmp_path / "other")
    for folder in checkpoint.folders(tmp_path / "other"):
        shutil.copytree(folder, tmp_path / "run/checkpoints" / folder.name, dirs_exist_ok=True)
    foreign = {folder.name for folder in checkpoint.folders(tmp_path / "other")}
    assert max(foreign) == "step-00000020"

    result, _ = train(tiny_config(*settings, "train.num_videos=24"), dataset, tmp_path / "run")

    assert result.progress.num_steps == 8
    assert (tmp_path / "run/checkpoints/step-00000008").exists()
    again, _ = train(tiny_config(*settings, "train.num_videos=24"), dataset, tmp_path / "run")
    assert again.status == "already_finished"
    assert (tmp_path / "run/checkpoints/step-00000020").exists()


def test_a_checkpoint_with_other_shards_is_refused(dataset: Path, tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "other-set", train=[make_sample(9), make_sample(8), make_sample(7)])
    train(tiny_config(), dataset, tmp_path / "run")
    train(tiny_config("train.num_videos=18"), other, tmp_path / "other")
    shutil.copytree(tmp_path / "other/checkpoints/step-00000006", tmp_path / "run/checkpoints/step-00000006")

    _, text = train(tiny_config("train.num_videos=15"), dataset, tmp_path / "run")

    assert "resuming after step 4" in text
    (tmp_path / "run/config.json").unlink()
    shutil.rmtree(tmp_path / "run/checkpoints/step-00000006")
    with pytest.raises(RunError, match="other training shards"):
        train(tiny_config("train.num_videos=24"), other, tmp_path / "run")


def endless_command(dataset: Path, run: Path) -> list[str]:
    """The command of a run that does not end by itself and saves only when it is stopped."""
    sets = [f"--set={setting}" for setting in (*TINY, "train.num_videos=100000", "train.checkpoint_every=100000")]
    command = [sys.executable, "-m", "cssgan", "train", "--shards", str(dataset), "--run", str(run)]
    return [*command, "--preset", "tiny", *sets]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_closed_pipe_does_not_stop_training(dataset: Path, tmp_path: Path, number: int) -> None:
    with subprocess.Popen(
        endless_command(dataset, tmp_path / "run"),
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    ) as child:
        assert child.stderr is not None
        assert any(b"step 2/" in line for line in iter(child.stderr.readline, b""))
        child.stderr.close()
        before = len(stats(tmp_path / "run"))
        while len(stats(tmp_path / "run")) < before + 3:  # training continues without a reader
            assert child.poll() is None
            time.sleep(0.02)
        child.send_signal(number)

    assert child.returncode == 128 + number
    assert checkpoint.load_newest(tmp_path / "run").progress.num_steps >= before + 3


def test_other_training_shards_are_refused(dataset: Path, tmp_path: Path) -> None:
    train(tiny_config(), dataset, tmp_path / "run")
    other = write_dataset(tmp_path / "other", train=[make_sample(9), make_sample(8)])

    with pytest.raises(RunError, match="other training shards"):
        train(tiny_config(), other, tmp_path / "run")


def test_without_a_valid_checkpoint_training_does_not_restart(dataset: Path, tmp_path: Path) -> None:
    train(tiny_config(), dataset, tmp_path)
    for folder in checkpoint.folders(tmp_path):
        (folder / checkpoint.GENERATOR).write_bytes(b"")

    with pytest.raises(CheckpointError, match="no valid checkpoint"):
        train(tiny_config(), dataset, tmp_path)


def test_a_second_process_in_the_folder_is_refused(dataset: Path, tmp_path: Path) -> None:
    with filelock.FileLock(tmp_path / ".lock"), pytest.raises(WorkspaceLockedError, match="another process trains"):
        train(tiny_config(), dataset, tmp_path)


def test_divergence_names_the_tensor_and_keeps_the_last_good_checkpoint(dataset: Path, tmp_path: Path) -> None:
    train(tiny_config("train.num_videos=6"), dataset, tmp_path)
    good = checkpoint.load_newest(tmp_path)
    weights = good.generator_weights()
    weights["decoder.blocks.1.spatial.weight"][0] = float("nan")
    checkpoint.save(
        tmp_path,
        weights={checkpoint.GENERATOR: weights, checkpoint.DISCRIMINATORS: good.discriminator_weights()},
        state=good.state(),
        config=good.config,
        label_set=good.label_set,
        mel_stats=good.mel_stats,
        frame_rate=good.frame_rate,
        progress=good.progress,
    )

    with pytest.raises(
        DivergenceError, match=r"is no longer finite at step 3; the last good checkpoint is .*step-00000002"
    ):
        train(tiny_config("train.num_videos=60"), dataset, tmp_path)

    assert [folder.name for folder in checkpoint.folders(tmp_path)] == ["step-00000002"]


def test_training_clips_of_one_class_cause_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = write_dataset(tmp_path / "data", train=[make_sample(seed, label="Q") for seed in range(3)])

    with caplog.at_level(logging.WARNING, logger="cssgan"):
        train(tiny_config("train.num_videos=3"), dataset, tmp_path / "run")

    assert "all training clips are of class Q" in caplog.text


def test_missing_shards_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(DatasetError, match="found no shards"):
        train(tiny_config(), tmp_path / "empty", tmp_path / "run")

    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"train\.device"):
        train(tiny_config("train.device=cuda"), dataset, tmp_path / "run")


def test_the_control_run_trains_with_other_audio(dataset: Path, tmp_path: Path) -> None:
    train(tiny_config(), dataset, tmp_path / "true")
    train(tiny_config("data.shuffle_audio=true"), dataset, tmp_path / "control")

    assert not same_weights(tmp_path / "true", tmp_path / "control")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_and_exits_and_the_run_can_be_resumed(dataset: Path, tmp_path: Path, number: int) -> None:
    settings = ["train.num_videos=100000", "train.checkpoint_every=100000", "train.threads=1"]
    config = tiny_config(*settings)
    code = (
        "import sys; from pathlib import Path; from cssgan.training import loop; from cssgan.config import from_json; "
        "import json; result = loop.train(from_json(json.loads(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])); "
        "sys.exit(128 + result.signal_number)"
    )
    from cssgan.config import to_json

    run = tmp_path / "run"
    arguments = [sys.executable, "-c", code, json.dumps(to_json(config)), str(dataset), str(run)]
    with subprocess.Popen(
        arguments,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # under nohup the child would ignore SIGHUP
    ) as child:
        assert child.stderr is not None
        lines = iter(child.stderr.readline, "")
        assert any("step 2/" in line for line in lines)
        child.send_signal(number)
        rest = "".join(lines)

    assert child.returncode == 128 + number
    assert f"stopped by {signal.Signals(number).name}" in rest
    stopped_at = checkpoint.load_newest(run).progress
    assert stopped_at.num_steps >= 2
    more = tiny_config(*settings, f"train.num_videos={stopped_at.num_videos + 3}")
    result, text = train(more, dataset, run)
    assert f"resuming after step {stopped_at.num_steps}" in text
    assert result.progress.num_steps == stopped_at.num_steps + 1


def test_under_nohup_sighup_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals() as received:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert received == [signal.SIGTERM]


def test_a_closed_terminal_saves_and_exits(dataset: Path, tmp_path: Path) -> None:
    terminal, child_terminal = pty.openpty()
    with subprocess.Popen(
        endless_command(dataset, tmp_path / "run"),
        stdin=child_terminal,
        stdout=child_terminal,
        stderr=child_terminal,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "300"},
        start_new_session=True,
        preexec_fn=lambda: (
            signal.signal(signal.SIGHUP, signal.SIG_DFL),
            fcntl.ioctl(child_terminal, termios.TIOCSCTTY, 0),
        ),
    ) as child:
        os.close(child_terminal)
        output = b""
        while not re.search(rb" ([2-9]|\d\d+)/33334 steps", output):  # a path may hold 3/ as well
            output += os.read(terminal, 4096)
        os.close(terminal)

    assert child.returncode == 128 + signal.SIGHUP
    assert checkpoint.load_newest(tmp_path / "run").progress.num_steps >= 2


def test_describe_describes_the_run_and_writes_nothing(dataset: Path) -> None:
    text = "\n".join(describe(tiny_config(), dataset))

    assert "4 steps of 3 videos on cpu" in text
    assert re.search(r"[\d.]+ GFLOP per step, \S+ PFLOP in total; about [\d.]+ GB: weights", text)
    assert "1 training shard(s), 0.00 GB: resident loader" in text
    assert "mels_BTMU (3, 16, 64, 20)" in text
    assert "video_BCTHW (3, 3, 16, 16, 16), cut into 4 clips of 4 frames; 4 stream(s) of 4 frames" in text
    assert "may not be enough" not in text
    huge = describe(tiny_config("train.batch_size=100000000"), dataset)
    assert re.search(r"^cpu has [\d.]+ GB free, which may not be enough: --set train.accumulate=2 ", huge[-1])


def test_describe_raises_the_errors_of_train(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, file = tmp_path / "run", tmp_path / "file"
    train(tiny_config(), dataset, run)
    file.write_text("")
    other = write_dataset(tmp_path / "other", train=[make_sample(9), make_sample(8)])
    monkeypatch.setitem(sys.modules, "trackio", None)

    assert describe(tiny_config("train.num_videos=24"), dataset, run)
    for start in (lambda *a: train(*a), describe):
        with pytest.raises(RunError, match=r"differs in train\.seed: 0 -> 1"):
            start(tiny_config("train.seed=1"), dataset, run)
        with pytest.raises(RunError, match="other training shards"):
            start(tiny_config(), other, run)
        with pytest.raises(DependencyError, match=r"train\.tracker=trackio: not installed"):
            start(tiny_config("train.tracker=trackio"), dataset, tmp_path / "new")
        with pytest.raises(InputError, match=r"File name too long; choose another folder"):
            start(tiny_config(), dataset, tmp_path / ("x" * 300))
        with pytest.raises(InputError, match=r"file/run: .*file is a file; choose another folder"):
            start(tiny_config(), dataset, file / "run")
    for at in checkpoint.folders(run):
        (at / checkpoint.GENERATOR).write_bytes(b"")
    with pytest.raises(CheckpointError, match="no valid checkpoint"):
        describe(tiny_config("train.num_videos=24"), dataset, run)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match=r"a multiple of processes x train\.accumulate \(2\)"):
        describe(tiny_config(), dataset, tmp_path / "new")


def test_samples_of_training_clips_cause_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = write_dataset(tmp_path / "dataset", train=[make_sample(1), make_sample(2)], num_validation=0)

    train(tiny_config("train.sample_every=3"), dataset, tmp_path / "run")

    assert "no validation split; samples, val_l1 and the best checkpoint are of training clips" in caplog.text
    steps = [line["step"] for line in stats(tmp_path / "run") if line["kind"] == "sample"]
    assert steps == [3, 4], "and one at the end"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_eight_clips_can_be_overfitted(tmp_path: Path) -> None:
    from cssgan.config import override
    from cssgan.presets import preset

    samples = [make_sample(seed, num_frames=32, size=32) for seed in range(8)]
    dataset = write_dataset(tmp_path / "data", train=samples, num_validation=0)
    settings = ("train.num_videos=4800", "train.threads=1", "train.sample_every=600", "train.log_every=100")
    train(override(preset("tiny"), settings), dataset, tmp_path / "run")

    lines = stats(tmp_path / "run")
    samples_of_run = [line for line in lines if line["kind"] == "sample"]
    losses = [line for line in lines if line["kind"] == "train"]
    assert samples_of_run[-1]["val_l1"] < 0.03
    assert losses[-1]["g_l1"] < 0.5 * losses[0]["g_l1"]


def test_the_loop_requests_batches_without_gaps(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    positions: list[int] = []
    original = PrefetchLoader.batch

    def recording(self: PrefetchLoader, position: int) -> Batch:
        positions.append(position)
        return original(self, position)

    monkeypatch.setattr(PrefetchLoader, "batch", recording)
    train(tiny_config(), dataset, tmp_path / "run")

    assert positions == [0, 3, 6, 9]


def test_a_batch_is_freed_before_the_next_is_requested(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Freed later, the loader's thread would run before the training step."""
    batches: list[weakref.ref[torch.Tensor]] = []
    original = PrefetchLoader.batch

    def recording(self: PrefetchLoader, position: int) -> Batch:
        assert all(ref() is None for ref in batches)
        batch = original(self, position)
        batches.append(weakref.ref(batch.video_BCTHW))
        return batch

    monkeypatch.setattr(PrefetchLoader, "batch", recording)
    train(tiny_config(), dataset, tmp_path / "run")

    assert len(batches) == 4


def test_the_best_checkpoint_is_kept(dataset: Path, tmp_path: Path) -> None:
    settings = ("train.sample_every=2", "train.checkpoint_every=2", "train.keep_checkpoints=1", "optim.g_lr=0.5")

    train(tiny_config("train.num_videos=30", *settings), dataset, tmp_path)

    measured = {line["step"]: line["val_l1"] for line in stats(tmp_path) if line["kind"] == "sample"}
    best = min(measured, key=measured.__getitem__)
    assert (
        checkpoint.best(checkpoint.folders(tmp_path), tiny_config(*settings))
        == tmp_path / f"checkpoints/step-{best:08d}"
    )
    assert {folder.name for folder in checkpoint.folders(tmp_path)} == {f"step-{n:08d}" for n in {best, 10}}


def test_empty_shards_leave_no_run_folder(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", train=[], num_validation=0)

    with pytest.raises(DatasetError, match="hold no samples"):
        train(tiny_config(), dataset, tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_clips_shorter_than_one_model_clip_can_be_trained_on(tmp_path: Path) -> None:
    short = write_dataset(tmp_path / "data", train=[make_sample(seed, num_frames=3) for seed in range(3)])

    result, _ = train(tiny_config("train.num_videos=6"), short, tmp_path / "run")

    assert result.status == "finished"


def test_out_of_memory_errors_name_options_that_help(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny_config("train.num_videos=6"), dataset, tmp_path)

    def full(self: PrefetchLoader, position: int) -> Batch:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")

    monkeypatch.setattr(PrefetchLoader, "batch", full)
    with pytest.raises(MemoryFullError) as caught:
        train(tiny_config("train.num_videos=60"), dataset, tmp_path)

    assert "out of memory at step 2" in str(caught.value)
    assert "train.accumulate=2" in str(caught.value)
    assert checkpoint.folders(tmp_path)[0].name in str(caught.value)


def test_sampling_does_not_change_the_training(dataset: Path, tmp_path: Path) -> None:
    train(tiny_config("train.sample_every=2"), dataset, tmp_path / "sampled")
    train(tiny_config(), dataset, tmp_path / "unsampled")

    assert "val_l1_batch_norm_gap" in next(line for line in stats(tmp_path / "sampled") if line["kind"] == "sample")
    assert same_weights(tmp_path / "sampled", tmp_path / "unsampled")
