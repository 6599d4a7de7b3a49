"""Doing the runs of a study: each trained and evaluated by the commands that a user has, resumable, whatever fails.

Every run is a process of its own, so a crash, a full memory or a diverged loss ends one run and not the study. What was
done is known from the run's own folder: the same study goes on where it stopped.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from cssgan.storage.files import make_folder
from cssgan.study.job_list import Budget, Job
from cssgan.training.checkpoint import MANIFEST, folders, write_synced

log = logging.getLogger("cssgan")
STATE = "study.json"
Status = Literal["done", "failed", "stopped"]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What all runs of a study share.

    Args:
        folder: the study's; a run lies in runs/KEY below it.
        shards: dataset folder.
        evaluate: further arguments of `cssgan evaluate`, such as paths of weights.
        evaluators: folder of the trained evaluators that evaluator every run, and the digest of their weights; None: no evaluators.
    """

    folder: Path
    shards: Path
    split: str
    budget: Budget
    evaluate: tuple[str, ...] = ()
    evaluators: tuple[Path, str] | None = None

    def run(self, job: Job) -> Path:
        return self.folder / "runs" / job.key


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a run stands. `reason` says why it failed, in the last words of its program."""

    key: str
    status: Status
    reason: str = ""


@dataclass(kw_only=True, slots=True)
class _Children:
    """The processes at work; `stop` ends them in good order and lets no new one begin."""

    stopped: threading.Event = field(default_factory=threading.Event)
    alive: set[subprocess.Popen[bytes]] = field(default_factory=set[subprocess.Popen[bytes]])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self) -> None:
        with self.lock:
            self.stopped.set()
            for child in self.alive:
                child.terminate()


def run_all(
    jobs: Sequence[Job], work: Work, *, workers: int = 1, devices: Sequence[str] = (), say: Say = log.info
) -> list[Outcome]:
    """Train and evaluate every job that is not done yet; gives how each stands, in the order of `jobs`.

    Args:
        workers: runs at a time.
        devices: numbers of GPUs that the workers take turns at; empty: what the environment shows.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came; the runs at work have saved themselves.
    """
    children = _Children()
    free: SimpleQueue[str] = SimpleQueue()
    for number in range(workers):
        free.put(devices[number % len(devices)] if devices else "")
    started, total = time.monotonic(), len(jobs)

    def one(number: int, job: Job) -> Outcome:
        device = free.get()
        try:
            outcome = _one(job, work, device, children)
        finally:
            free.put(device)
        minutes = (time.monotonic() - started) / 60
        reason = f": {outcome.reason}" if outcome.reason else ""
        say(f"[{number}/{total}] {job.key}: {outcome.status}{reason} ({minutes:.1f} minutes since the start)")
        return outcome

    with _stopping(children), ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(one, range(1, total + 1), jobs))
    if children.stopped.is_set():
        raise KeyboardInterrupt
    return outcomes


class _stopping:  # noqa: N801 - used like a function
    """Within, SIGINT and SIGTERM stop the children; outside of the main thread nothing is changed."""

    def __init__(self, children: _Children) -> None:
        self.children = children
        self.before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, lambda *_: self.children.stop())

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def _one(job: Job, work: Work, device: str, children: _Children) -> Outcome:
    run = work.run(job)
    make_folder(run)
    asked = wanted(job, work)
    if is_done(run, asked):
        return Outcome(key=job.key, status="done")
    (run / STATE).unlink(missing_ok=True)
    train = ["train", "--shards", str(work.shards), "--run-folder", str(run), "--preset", job.preset]
    train += [word for setting in job.settings for word in ("--set", setting)]
    evaluate = ["evaluate", "--run", str(run), "--shards", str(work.shards), "--split", work.split, "--each-video"]
    if work.budget.num_evaluated is not None:
        evaluate += ["--num-videos", str(work.budget.num_evaluated)]
    if work.evaluators is not None:
        evaluate += ["--evaluators", str(work.evaluators[0])]
    for name, arguments in (("train", train), ("evaluate", [*evaluate, *work.evaluate])):
        limit = _seconds_left(run, work.budget) if name == "train" else None
        if limit is not None and limit <= 0:
            continue
        code = _call(arguments, run / f"{name}.log", device, children, limit)
        if children.stopped.is_set():
            return Outcome(key=job.key, status="stopped")
        if code:
            reason = f"{name} ended with exit code {code}: {_last_line(run / f'{name}.log')}"
            _record(run, {"status": "failed", "reason": reason, "wanted": asked})
            return Outcome(key=job.key, status="failed", reason=reason)
    _record(run, {"status": "done", "wanted": asked})
    return Outcome(key=job.key, status="done")


def wanted(job: Job, work: Work) -> dict[str, Any]:
    """What a run must have been done with to count as done."""
    own = {name: value for name, value in asdict(work.budget).items() if name in ("num_evaluated", "minutes")}
    if work.evaluators is not None:
        own["evaluators"] = work.evaluators[1]
    return {
        "preset": job.preset, "settings": list(job.settings), "split": work.split, "evaluate": list(work.evaluate), **own,
    }  # fmt: skip


def is_done(run: Path, asked: dict[str, Any]) -> bool:
    """Whether the run in this folder was trained and evaluated in just this way, and all of it is still there."""
    state = state_of(run)
    there = all((run / name).is_file() for name in ("evaluation.json", "videos.parquet"))
    return there and state.get("status") == "done" and state.get("wanted") == asked


def state_of(run: Path) -> dict[str, Any]:
    """What the queue noted of a run; empty where it noted nothing that can be read."""
    try:
        return json.loads((run / STATE).read_text())
    except (OSError, ValueError):
        return {}


def _record(run: Path, state: dict[str, Any]) -> None:
    temporary = run / f".{STATE}"
    write_synced(temporary, json.dumps(state, indent=1).encode())
    temporary.replace(run / STATE)


def seconds_trained(run: Path) -> float:
    """Training time of the newest checkpoint, over all starts of the run; 0 without one."""
    for folder in folders(run):
        try:
            return float(json.loads((folder / MANIFEST).read_text())["progress"]["wall_seconds"])
        except (OSError, ValueError, KeyError):
            continue
    return 0.0


def _seconds_left(run: Path, budget: Budget) -> float | None:
    return None if budget.minutes is None else budget.minutes * 60 - seconds_trained(run)


def _call(arguments: list[str], output: Path, device: str, children: _Children, limit: float | None) -> int:
    """One command of ours; its exit code, or 0 where `limit` seconds were over and it saved itself."""
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    if device:
        environment["CUDA_VISIBLE_DEVICES"] = device
    with output.open("ab") as file:
        with children.lock:
            if children.stopped.is_set():
                return 0
            # A session of its own: a Ctrl-C reaches the queue alone, which then stops each child once.
            child = subprocess.Popen(
                [sys.executable, "-m", "cssgan", *arguments],
                stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=environment, start_new_session=True,
            )  # fmt: skip
            children.alive.add(child)
        try:
            return child.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            child.terminate()
            code = child.wait()
            return 0 if code == 128 + signal.SIGTERM else code
        finally:
            children.alive.discard(child)


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
