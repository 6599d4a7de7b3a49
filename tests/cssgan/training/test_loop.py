"""Whole runs: the same command goes on, finished runs say so, broken ones stop with a name."""

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
    ours, theirs = (checkpoint.load_newest(run) for run in (a, b))
    pairs = [(x.generator_weights(), x.discriminator_weights()) for x in (ours, theirs)]
    return all(
        mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)
        for mine, other in zip(*pairs, strict=True)
    )


def test_a_run_leaves_what_it_says(dataset: Path, tmp_path: Path) -> None:
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


def test_a_stopped_and_resumed_run_equals_an_unbroken_one_bit_for_bit(dataset: Path, tmp_path: Path) -> None:
    settings = ("train.num_videos=18", "train.log_every=3", "train.ema_half_life=6", "model.z_dim=2")
    train(tiny_config(*settings), dataset, tmp_path / "whole")

    # Stopped after 4 of 6 steps, in the middle of a line of the log.
    train(tiny_config(*settings, "train.num_videos=12"), dataset, tmp_path / "broken")
    ended = stats(tmp_path / "broken")
    result, text = train(tiny_config(*settings), dataset, tmp_path / "broken")

    assert [(line["step"], line["kind"]) for line in ended] == [(3, "train"), (4, "last")]
    assert result.progress.num_steps == 6
    assert "going on after step 4" in text
    assert stats(tmp_path / "broken") == stats(tmp_path / "whole")
    assert same_weights(tmp_path / "broken", tmp_path / "whole")


def test_a_killed_run_goes_on_from_its_checkpoint_bit_for_bit(dataset: Path, tmp_path: Path) -> None:
    config = tiny_config("train.num_videos=18")
    train(config, dataset, tmp_path / "whole")
    killed = tmp_path / "killed"
    train(tiny_config("train.num_videos=15"), dataset, killed)
    # As if it had been killed in step 6 and its last checkpoint had never been finished: step 4 is the newest whole
    # one, the log is ahead of it, and its last line is cut.
    (killed / "checkpoints/step-00000005/state.pt").write_bytes(b"PK")
    with (killed / "stats.jsonl").open("a") as file:
        file.write('{"step": 6, "vid')

    train(config, dataset, killed)

    assert stats(killed) == stats(tmp_path / "whole")
    assert same_weights(killed, tmp_path / "whole")


def test_a_finished_run_says_so_and_returns(dataset: Path, tmp_path: Path) -> None:
    config, run = tiny_config(), tmp_path / "run"
    train(config, dataset, run)
    before = (run / "stats.jsonl").read_bytes()

    result, text = train(config, dataset, run)

    assert result.status == "was_finished"
    assert "finished, 12 videos seen" in text
    assert (run / "stats.jsonl").read_bytes() == before


def test_another_configuration_is_refused_with_what_differs(dataset: Path, tmp_path: Path) -> None:
    train(tiny_config(), dataset, tmp_path)

    with pytest.raises(RunError, match=r"differs in optim\.g_lr: 0\.001 -> 0\.01; train\.seed: 0 -> 1\."):
        train(tiny_config("optim.g_lr=0.01", "train.seed=1"), dataset, tmp_path)


def test_without_its_record_a_folder_is_known_by_its_checkpoints(dataset: Path, tmp_path: Path) -> None:
    train(tiny_config(), dataset, tmp_path)
    (tmp_path / "config.json").unlink()

    with pytest.raises(RunError, match=r"differs in loss\.l1_weight: "):
        train(tiny_config("loss.l1_weight=1"), dataset, tmp_path)

    assert not (tmp_path / "config.json").exists()
    assert train(tiny_config(), dataset, tmp_path)[0].status == "was_finished"
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json: not a run's configuration .* delete it if the checkpoints"):
        train(tiny_config(), dataset, tmp_path)


def test_checkpoints_of_another_run_cost_none_of_ones_own(dataset: Path, tmp_path: Path) -> None:
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
    assert again.status == "was_finished"
    assert (tmp_path / "run/checkpoints/step-00000020").exists()


def test_a_checkpoint_on_other_shards_is_refused(dataset: Path, tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "other-set", train=[make_sample(9), make_sample(8), make_sample(7)])
    train(tiny_config(), dataset, tmp_path / "run")
    train(tiny_config("train.num_videos=18"), other, tmp_path / "other")
    shutil.copytree(tmp_path / "other/checkpoints/step-00000006", tmp_path / "run/checkpoints/step-00000006")

    _, text = train(tiny_config("train.num_videos=15"), dataset, tmp_path / "run")

    assert "going on after step 4" in text
    (tmp_path / "run/config.json").unlink()
    shutil.rmtree(tmp_path / "run/checkpoints/step-00000006")
    with pytest.raises(RunError, match="other training shards"):
        train(tiny_config("train.num_videos=24"), other, tmp_path / "run")


def endless(dataset: Path, run: Path) -> list[str]:
    """The command of a run that nobody waits for, and that saves only when it is stopped."""
    sets = [f"--set={setting}" for setting in (*TINY, "train.num_videos=100000", "train.checkpoint_every=100000")]
    command = [sys.executable, "-m", "cssgan", "train", "--shards", str(dataset), "--run", str(run)]
    return [*command, "--preset", "tiny", *sets]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_pipe_that_ends_costs_no_step(dataset: Path, tmp_path: Path, number: int) -> None:
    with subprocess.Popen(
        endless(dataset, tmp_path / "run"),
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    ) as child:
        assert child.stderr is not None
        assert any(b"step 2/" in line for line in iter(child.stderr.readline, b""))
        child.stderr.close()
        before = len(stats(tmp_path / "run"))
        while len(stats(tmp_path / "run")) < before + 3:  # it writes on to nobody
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


def test_all_checkpoints_broken_is_an_error_not_a_new_start(dataset: Path, tmp_path: Path) -> None:
    train(tiny_config(), dataset, tmp_path)
    for folder in checkpoint.folders(tmp_path):
        (folder / checkpoint.GENERATOR).write_bytes(b"")

    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        train(tiny_config(), dataset, tmp_path)


def test_two_trainers_in_one_folder_are_refused(dataset: Path, tmp_path: Path) -> None:
    with filelock.FileLock(tmp_path / ".lock"), pytest.raises(WorkspaceLockedError, match="another process trains"):
        train(tiny_config(), dataset, tmp_path)


def test_divergence_stops_with_a_name_and_keeps_the_last_good_checkpoint(dataset: Path, tmp_path: Path) -> None:
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


def test_one_class_only_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = write_dataset(tmp_path / "data", train=[make_sample(seed, label="Q") for seed in range(3)])

    with caplog.at_level(logging.WARNING, logger="cssgan"):
        train(tiny_config("train.num_videos=3"), dataset, tmp_path / "run")

    assert "all training clips are of class Q" in caplog.text


def test_no_shards_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(DatasetError, match="found no shards"):
        train(tiny_config(), tmp_path / "empty", tmp_path / "run")

    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"train\.device"):
        train(tiny_config("train.device=cuda"), dataset, tmp_path / "run")


def test_the_control_run_trains_on_other_sound(dataset: Path, tmp_path: Path) -> None:
    train(tiny_config(), dataset, tmp_path / "true")
    train(tiny_config("data.shuffle_audio=true"), dataset, tmp_path / "control")

    assert not same_weights(tmp_path / "true", tmp_path / "control")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_and_exits_and_the_same_command_goes_on(dataset: Path, tmp_path: Path, number: int) -> None:
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
    assert f"going on after step {stopped_at.num_steps}" in text
    assert result.progress.num_steps == stopped_at.num_steps + 1


def test_under_nohup_a_terminal_may_hang_up() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals() as got:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert got == [signal.SIGTERM]


def test_a_terminal_that_hangs_up_costs_no_step(dataset: Path, tmp_path: Path) -> None:
    ours, its = pty.openpty()
    with subprocess.Popen(
        endless(dataset, tmp_path / "run"),
        stdin=its,
        stdout=its,
        stderr=its,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "300"},
        start_new_session=True,
        preexec_fn=lambda: (signal.signal(signal.SIGHUP, signal.SIG_DFL), fcntl.ioctl(its, termios.TIOCSCTTY, 0)),
    ) as child:
        os.close(its)
        said = b""
        while not re.search(rb" ([2-9]|\d\d+)/33334 steps", said):  # a path may hold 3/ as well
            said += os.read(ours, 4096)
        os.close(ours)

    assert child.returncode == 128 + signal.SIGHUP
    assert checkpoint.load_newest(tmp_path / "run").progress.num_steps >= 2


def test_describe_says_what_would_run_and_writes_no_run(dataset: Path) -> None:
    text = "\n".join(describe(tiny_config(), dataset))

    assert "4 steps of 3 videos on cpu" in text
    assert re.search(r"[\d.]+ GFLOP a step, \S+ PFLOP in all; about [\d.]+ GB: weights", text)
    assert "1 training shard(s), 0.00 GB: resident feed" in text
    assert "mels_BTMU (3, 16, 64, 20)" in text
    assert "video_BCTHW (3, 3, 16, 16, 16), cut into 4 clips of 4 frames; 4 stream(s) of 4 frames" in text
    assert "may be too little" not in text
    huge = describe(tiny_config("train.batch_size=100000000"), dataset)
    assert re.search(r"^cpu has [\d.]+ GB free, which may be too little: --set train.accumulate=2 ", huge[-1])


def test_describe_refuses_what_train_would_refuse(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, file = tmp_path / "run", tmp_path / "file"
    train(tiny_config(), dataset, run)
    file.write_text("")
    other = write_dataset(tmp_path / "other", train=[make_sample(9), make_sample(8)])
    monkeypatch.setitem(sys.modules, "trackio", None)

    assert describe(tiny_config("train.num_videos=24"), dataset, run)
    for begin in (lambda *a: train(*a), describe):
        with pytest.raises(RunError, match=r"differs in train\.seed: 0 -> 1"):
            begin(tiny_config("train.seed=1"), dataset, run)
        with pytest.raises(RunError, match="other training shards"):
            begin(tiny_config(), other, run)
        with pytest.raises(DependencyError, match=r"train\.tracker=trackio: not installed"):
            begin(tiny_config("train.tracker=trackio"), dataset, tmp_path / "new")
        with pytest.raises(InputError, match=r"File name too long; choose another folder"):
            begin(tiny_config(), dataset, tmp_path / ("x" * 300))
        with pytest.raises(InputError, match=r"file/run: .*file is a file; choose another folder"):
            begin(tiny_config(), dataset, file / "run")
    for at in checkpoint.folders(run):
        (at / checkpoint.GENERATOR).write_bytes(b"")
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        describe(tiny_config("train.num_videos=24"), dataset, run)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match=r"a multiple of processes x train\.accumulate \(2\)"):
        describe(tiny_config(), dataset, tmp_path / "new")


def test_samples_of_training_clips_are_called_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = write_dataset(tmp_path / "dataset", train=[make_sample(1), make_sample(2)], num_validation=0)

    train(tiny_config("train.sample_every=3"), dataset, tmp_path / "run")

    assert "no validation split; samples, val_l1 and the best checkpoint are of training clips" in caplog.text
    steps = [line["step"] for line in stats(tmp_path / "run") if line["kind"] == "sample"]
    assert steps == [3, 4], "and one of the end"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_eight_clips_can_be_learnt_overfit(tmp_path: Path) -> None:
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


def test_the_loop_walks_through_the_feed_without_gaps(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions: list[int] = []
    original = PrefetchLoader.batch

    def noting(self: PrefetchLoader, position: int) -> Batch:
        positions.append(position)
        return original(self, position)

    monkeypatch.setattr(PrefetchLoader, "batch", noting)
    train(tiny_config(), dataset, tmp_path / "run")

    assert positions == [0, 3, 6, 9]


def test_a_batch_is_let_go_before_the_next_is_asked_for(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Freed later, it would hand the interpreter to the thread that prepares the one after."""
    given: list[weakref.ref[torch.Tensor]] = []
    original = PrefetchLoader.batch

    def noting(self: PrefetchLoader, position: int) -> Batch:
        assert all(ref() is None for ref in given)
        batch = original(self, position)
        given.append(weakref.ref(batch.video_BCTHW))
        return batch

    monkeypatch.setattr(PrefetchLoader, "batch", noting)
    train(tiny_config(), dataset, tmp_path / "run")

    assert len(given) == 4


def test_the_best_checkpoint_outlives_newer_ones(dataset: Path, tmp_path: Path) -> None:
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


def test_clips_shorter_than_one_clip_of_the_puzzle_train(tmp_path: Path) -> None:
    short = write_dataset(tmp_path / "data", train=[make_sample(seed, num_frames=3) for seed in range(3)])

    result, _ = train(tiny_config("train.num_videos=6"), short, tmp_path / "run")

    assert result.status == "finished"


def test_memory_that_runs_out_says_which_options_help(
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


def test_the_readout_of_norms_leaves_the_run_as_it_is(dataset: Path, tmp_path: Path) -> None:
    train(tiny_config("train.sample_every=2"), dataset, tmp_path / "seen")
    train(tiny_config(), dataset, tmp_path / "unseen")

    assert "val_l1_batch_norm_gap" in next(line for line in stats(tmp_path / "seen") if line["kind"] == "sample")
    assert same_weights(tmp_path / "seen", tmp_path / "unseen")
