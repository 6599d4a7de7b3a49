"""N processes compute the same training as one; their number may change between starts."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from rich.console import Console

from cssgan.data import resident
from cssgan.data.batches import ResidentLoader
from cssgan.training import loop
from cssgan.training.distributed import CpuSyncBatchNorm2d, check_world_size, store_of_this_start
from cssgan.types import MelStats
from phonics_data.errors import OptionError
from tests.cssgan.toy_dataset import TINY, tiny_config, tiny_version

SETTINGS = ("train.batch_size=4", "order.p_in_order=0.5", "train.num_videos=24", "train.ema_half_life=8")


def stats(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]


def torchrun(
    processes: int, dataset: Path, run: Path, *settings: str, preset: str = "tiny"
) -> subprocess.CompletedProcess[str]:
    sets = [word for setting in (*TINY, *settings) for word in ("--set", setting)]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"),
        *("-m", "cssgan", "train", "--shards", str(dataset), "--run-folder", str(run), "--preset", preset),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([*command, *sets], env=environment, capture_output=True, text=True, timeout=280, check=False)


def test_two_processes_and_then_one_have_the_losses_of_one(dataset: Path, tmp_path: Path) -> None:
    done = torchrun(2, dataset, tmp_path / "two", *SETTINGS, "train.num_videos=16")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("trained 4 steps") == 1  # only the main process prints

    for run in ("one", "two"):  # the second resumes the run of two processes
        loop.train(tiny_config(*SETTINGS), dataset, tmp_path / run, console=Console(file=io.StringIO()))

    single, distributed = stats(tmp_path / "one"), stats(tmp_path / "two")
    assert [line["step"] for line in distributed] == [1, 2, 3, 4, 5, 6]
    for expected, got in zip(single, distributed, strict=True):
        for name in ("g_l1", "g_image", "g_video", "g_order", "d_image", "d_video", "d_order", "g_grad_norm"):
            assert got[name] == pytest.approx(expected[name], rel=0.01), (expected["step"], name)


@pytest.mark.slow
def test_discriminators_with_batch_norm_use_the_global_batch(dataset: Path, tmp_path: Path) -> None:
    settings = ("train.batch_size=4", "train.num_videos=16")
    done = torchrun(2, dataset, tmp_path / "two", *settings, preset="mocogan-tiny")
    assert done.returncode == 0, done.stderr[-2000:]

    config = tiny_version("mocogan-tiny", *settings)
    loop.train(config, dataset, tmp_path / "one", console=Console(file=io.StringIO()))

    for expected, got in zip(stats(tmp_path / "one"), stats(tmp_path / "two"), strict=True):
        for name in ("g_image", "g_video", "g_class", "d_image", "d_video", "d_class", "g_grad_norm", "d_grad_norm"):
            assert got[name] == pytest.approx(expected[name], rel=0.01), (expected["step"], name)


def test_the_rows_of_all_processes_are_the_global_batch(dataset: Path) -> None:
    config = tiny_config("train.batch_size=6", "order.p_in_order=0.5", "discriminator.augment=all", "model.z_dim=2")
    data = resident.load(dataset, "train", config.data.size)
    stats_ = MelStats(mean=data.mean, std=data.std, clamp=4.0)

    def loader(rank: int, world: int) -> ResidentLoader:
        return ResidentLoader(
            data=data, config=config, mel_stats=stats_, device=torch.device("cpu"), rank=rank, world=world
        )

    whole, parts = loader(0, 1).batch(6), [loader(rank, 3).batch(6) for rank in range(3)]

    assert sum((part.keys for part in parts), ()) == whole.keys
    for name in ("video_BCTHW", "mels_BTMU", "order_B", "frame_index_BS", "noise_BZ", "augment_BUA", "num_valid_B"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    for part in parts:
        assert float(part.l1_denominator) * 3 == pytest.approx(float(whole.num_valid_B.sum()))


def test_a_batch_that_is_not_divisible_is_refused() -> None:
    with pytest.raises(OptionError, match=r"train\.batch_size: got 3, allowed: a multiple of processes"):
        check_world_size(tiny_config(), 2)
    with pytest.raises(OptionError, match="more than one process"):
        check_world_size(tiny_config("train.batch_size=4", "compute.cuda_graph=true"), 2)
    wrong_sounds = ("discriminator.d_audio=true", "loss.mismatch_weight=1")
    with pytest.raises(OptionError, match=r"train\.batch_size: got 4, allowed: at least 8 with loss\.mismatch_weight"):
        check_world_size(tiny_config("train.batch_size=4", *wrong_sounds), 4)
    check_world_size(tiny_config("train.batch_size=4", *wrong_sounds), 2)


def _normalize(rank: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    saved = torch.load(f"{folder}/in.pt", weights_only=True)
    norm = CpuSyncBatchNorm2d(3)
    norm.load_state_dict(saved["state"])
    x = saved["x"][rank * 2 : rank * 2 + 2].requires_grad_()
    out = norm(x)
    (out * saved["probe"][rank * 2 : rank * 2 + 2]).sum().backward()
    assert norm.weight.grad is not None
    torch.save(
        {"out": out.detach(), "grad": x.grad, "weight": norm.weight.grad, "var": norm.running_var},
        f"{folder}/{rank}.pt",
    )
    dist.destroy_process_group()


def test_synchronized_batch_norm_equals_batch_norm_on_the_global_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = torch.nn.BatchNorm2d(3)
    torch.nn.init.normal_(plain.weight)
    x, probe = torch.randn(4, 3, 5, 5) * 3 + 1, torch.randn(4, 3, 5, 5)
    torch.save({"state": plain.state_dict(), "x": x, "probe": probe}, tmp_path / "in.pt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    mp.spawn(_normalize, (port, str(tmp_path)), nprocs=2)  # type: ignore[attr-defined]

    whole = x.clone().requires_grad_()
    out = plain(whole)
    (out * probe).sum().backward()
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    torch.testing.assert_close(torch.cat([part["out"] for part in parts]), out.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.cat([part["grad"] for part in parts]), whole.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts[0]["weight"] + parts[1]["weight"], plain.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(parts[0]["var"], plain.running_var, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_four_processes_have_the_losses_of_one(dataset: Path, tmp_path: Path) -> None:
    done = torchrun(4, dataset, tmp_path / "four", *SETTINGS, "train.num_videos=16", "data.loader=streaming")
    assert done.returncode == 0, done.stderr[-2000:]

    config = tiny_config(*SETTINGS, "train.num_videos=16", "data.loader=streaming", "data.workers=0")
    loop.train(config, dataset, tmp_path / "one", console=Console(file=io.StringIO()))

    for expected, got in zip(stats(tmp_path / "one"), stats(tmp_path / "four"), strict=True):
        for name in ("g_l1", "g_video", "d_image", "d_video", "d_order", "g_grad_norm"):
            assert got[name] == pytest.approx(expected[name], rel=0.01), (expected["step"], name)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_restart_ignores_the_store_entries_of_earlier_starts(first: int) -> None:
    server = dist.TCPStore("127.0.0.1", 0, None, is_master=True, wait_for_workers=False)

    def start(rank: int) -> str:
        own = store_of_this_start(dist.TCPStore("127.0.0.1", server.port, None, is_master=False), rank, 3)
        if own.check([f"address/{rank}"]):
            return "old"
        own.set(f"address/{rank}", "new")
        return own.underlying_store.get("start").decode()

    with ThreadPoolExecutor(3) as pool:
        one = set(pool.map(start, range(3)))
        early = pool.submit(start, first)  # reads the entries of the last start, unless it is rank 0
        time.sleep(0.2)
        others = [pool.submit(start, rank) for rank in range(3) if rank != first]
        two = {future.result() for future in (early, *others)}

    assert len(one) == len(two) == 1
    assert one.isdisjoint(two)
    assert "old" not in one | two


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find the processes to kill")
@pytest.mark.parametrize(("victim", "loader"), [(0, "streaming"), (1, "resident")])
def test_a_killed_process_is_restarted_and_the_run_resumes(
    dataset: Path, tmp_path: Path, victim: int, loader: str
) -> None:
    settings = (*TINY, *SETTINGS, "train.num_videos=240", "train.checkpoint_every=4", f"data.loader={loader}")
    sets = [word for setting in settings for word in ("--set", setting)]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=2"),
        *("-m", "cssgan", "train", "--shards", str(dataset), "--run-folder", str(tmp_path / "run"), "--preset", "tiny"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([*command, *sets], env=environment, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        seen = ""
        for line in iter(child.stderr.readline, ""):
            seen += line
            if line.startswith("step 9/"):
                break
        os.kill(children(child.pid)[victim], signal.SIGKILL)
        seen += child.stderr.read()
    assert child.returncode == 0, seen[-3000:]
    assert "resuming after step" in seen

    single = tiny_config(*SETTINGS, "train.num_videos=240", "train.checkpoint_every=4", f"data.loader={loader}")
    loop.train(single, dataset, tmp_path / "one", console=Console(file=io.StringIO()))
    expected, got = stats(tmp_path / "one"), stats(tmp_path / "run")
    assert [line["step"] for line in got] == [line["step"] for line in expected]
    for name in ("g_l1", "d_image", "d_video"):
        assert got[9][name] == pytest.approx(expected[9][name], rel=0.02)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find the process to kill")
def test_two_nodes_restart_together(dataset: Path, tmp_path: Path) -> None:
    """Two torchrun that meet at one address, as on two machines; a process of the second one is killed."""
    settings = (*TINY, *SETTINGS, "train.num_videos=240", "train.checkpoint_every=4")
    sets = [word for setting in settings for word in ("--set", setting)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--max-restarts=3"),
        *("--rdzv-backend=c10d", "--rdzv-id=two", f"--rdzv-endpoint=127.0.0.1:{port}", "--local-addr=127.0.0.1"),
        *("-m", "cssgan", "train", "--shards", str(dataset), "--run-folder", str(tmp_path / "run"), "--preset", "tiny"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    logs = [tmp_path / "first.txt", tmp_path / "second.txt"]
    with contextlib.ExitStack() as stack:
        nodes = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, *sets],
                    env=environment,
                    stdout=stack.enter_context(log.open("w")),
                    stderr=subprocess.STDOUT,
                )
            )
            for log in logs
        ]
        for node in nodes:
            stack.callback(node.kill)
        deadline = time.monotonic() + 500
        while not any("step 9/" in log.read_text() for log in logs):
            assert time.monotonic() < deadline, [log.read_text()[-2000:] for log in logs]
            assert [node.poll() for node in nodes] == [None, None], [log.read_text()[-2000:] for log in logs]
            time.sleep(0.2)
        os.kill(children(nodes[1].pid)[0], signal.SIGKILL)
        codes = [node.wait(500) for node in nodes]
    said = "\n".join(log.read_text() for log in logs)
    assert codes == [0, 0], said[-4000:]
    assert "resuming after step" in said

    single = tiny_config(*SETTINGS, "train.num_videos=240", "train.checkpoint_every=4")
    loop.train(single, dataset, tmp_path / "one", console=Console(file=io.StringIO()))
    expected, got = stats(tmp_path / "one"), stats(tmp_path / "run")
    assert [line["step"] for line in got] == [line["step"] for line in expected]
    for name in ("g_l1", "d_image", "d_video"):
        assert got[9][name] == pytest.approx(expected[9][name], rel=0.02)
