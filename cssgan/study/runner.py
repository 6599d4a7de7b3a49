"""Run the jobs of a study: each job is `cssgan train` and `cssgan evaluate` in a process of its own.

A crash, lack of memory or a diverged loss ends one run only. The status of each run is stored in its run folder, so that
the same study can be resumed.
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
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from cssgan.evaluation.evaluate import SCHEMA_VERSION
from cssgan.metrics import per_video
from cssgan.storage.files import make_folder
from cssgan.study.job_list import Budget, Job
from cssgan.training.checkpoint import MANIFEST, folders
from cssgan.types import Split
from phonics_data.contract.files import write_bytes
from phonics_data.contract.untrusted import number_of_json, read_json_object

log = logging.getLogger("cssgan")
STATUS_FILE = "job.json"
MAX_TRAINING_VIDEOS = 2_048
"""Training clips that are evaluated, evenly over the split, unless the budget sets a number."""
Status = Literal["done", "failed", "stopped"]
OnProgress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobContext:
    """Values that all runs of a study share.

    Args:
        folder: folder of the study; the run folders are runs/KEY.
        shards: dataset folder.
        splits: evaluated splits.
        evaluate: additional arguments of `cssgan evaluate`, such as paths of weights.
        evaluators: folder of trained evaluators and the digest of their weights; None: no evaluators.
    """

    folder: Path
    shards: Path
    splits: tuple[Split, ...]
    budget: Budget
    evaluate: tuple[str, ...] = ()
    evaluators: tuple[Path, str] | None = None

    def run_folder(self, job: Job) -> Path:
        return self.folder / "runs" / job.key


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOutcome:
    """Status of a job; `reason` of a failure contains the last line of the log."""

    key: str
    status: Status
    reason: str = ""


@dataclass(kw_only=True, slots=True)
class _ChildProcesses:
    """The running processes. `stop` sends SIGTERM to all, and no new one is started afterwards."""

    stopped: threading.Event = field(default_factory=threading.Event)
    running: set[subprocess.Popen[bytes]] = field(default_factory=set[subprocess.Popen[bytes]])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self) -> None:
        with self.lock:
            self.stopped.set()
            for child in self.running:
                child.terminate()


def run_jobs(
    jobs: Sequence[Job],
    context: JobContext,
    *,
    workers: int = 1,
    devices: Sequence[str] = (),
    on_progress: OnProgress = log.info,
) -> list[JobOutcome]:
    """Train and evaluate every job that is not done. Returns the outcomes in the order of `jobs`.

    Args:
        workers: number of jobs that run at the same time.
        devices: GPU indices, assigned to the workers in turn; empty: those that the environment makes visible.
        on_progress: called with one line of text per job.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM was received; the running jobs have saved a checkpoint.
    """
    children = _ChildProcesses()
    free_devices: SimpleQueue[str] = SimpleQueue()
    for number in range(workers):
        free_devices.put(devices[number % len(devices)] if devices else "")
    started = time.monotonic()

    def run_numbered(number: int, job: Job) -> JobOutcome:
        device = free_devices.get()
        try:
            outcome = _run_job(job, context, device, children)
        finally:
            free_devices.put(device)
        minutes = (time.monotonic() - started) / 60
        reason = f": {outcome.reason}" if outcome.reason else ""
        on_progress(
            f"[{number}/{len(jobs)}] {job.key}: {outcome.status}{reason} ({minutes:.1f} minutes since the start)"
        )
        return outcome

    with _stop_on_signal(children), ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(run_numbered, range(1, len(jobs) + 1), jobs))
    if children.stopped.is_set():
        raise KeyboardInterrupt
    return outcomes


@contextmanager
def _stop_on_signal(children: _ChildProcesses) -> Generator[None]:
    """In the main thread, SIGINT and SIGTERM stop the children; in another thread, nothing changes."""
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers[number] = signal.signal(number, lambda *_: children.stop())
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _run_job(job: Job, context: JobContext, device: str, children: _ChildProcesses) -> JobOutcome:
    run = context.run_folder(job)
    make_folder(run)
    spec = job_spec(job, context)
    if is_done(run, spec):
        return JobOutcome(key=job.key, status="done")
    (run / STATUS_FILE).unlink(missing_ok=True)
    train = ["train", "--shards", str(context.shards), "--run-folder", str(run), "--preset", job.preset]
    train += [word for setting in job.settings for word in ("--set", setting)]
    evaluations = {f"evaluate-{split}": _evaluate(run, job, context, split) for split in context.splits}
    commands = {"train": train} | evaluations
    for name, arguments in commands.items():
        time_limit = _seconds_left(run, context.budget) if name == "train" else None
        if time_limit is not None and time_limit <= 0:
            continue
        code = _run_command(arguments, run / f"{name}.log", device, children, time_limit)
        if children.stopped.is_set():
            return JobOutcome(key=job.key, status="stopped")
        if code:
            reason = f"{name} ended with exit code {code}: {_last_line(run / f'{name}.log')}"
            _write_status(run, {"status": "failed", "reason": reason, "spec": spec})
            return JobOutcome(key=job.key, status="failed", reason=reason)
    _write_status(run, {"status": "done", "spec": spec})
    return JobOutcome(key=job.key, status="done")


def _evaluate(run: Path, job: Job, context: JobContext, split: Split) -> list[str]:
    arguments = ["evaluate", "--run", str(run), "--shards", str(context.shards), "--split", split, "--per-video"]
    arguments += ["--out", str(evaluation_file(run, split))]
    num_videos = context.budget.num_evaluated or (MAX_TRAINING_VIDEOS if split == "train" else None)
    if num_videos is not None:
        arguments += ["--num-videos", str(num_videos)]
    if context.evaluators is not None:
        arguments += ["--evaluators", str(context.evaluators[0])]
    if job.config.train.ema_half_life and "--weights" not in context.evaluate:
        arguments += ["--weights", "ema"]
    return [*arguments, *context.evaluate]


def evaluation_file(run: Path, split: Split) -> Path:
    """The report of one split; the values per video are in `videos_file`."""
    return run / f"evaluation-{split}.json"


def videos_file(run: Path, split: Split) -> Path:
    return run / f"evaluation-{split}-videos.parquet"


def job_spec(job: Job, context: JobContext) -> dict[str, Any]:
    """Everything that a finished run must have been made with; otherwise it is repeated.

    It contains the versions of the files, so that evaluations of an older version are computed again.
    """
    spec: dict[str, Any] = {
        "preset": job.preset,
        "settings": list(job.settings),
        "splits": list(context.splits),
        "formats": [SCHEMA_VERSION, per_video.FORMAT],
        "evaluate": list(context.evaluate),
        "num_evaluated": context.budget.num_evaluated,
        "minutes": context.budget.minutes,
    }
    if context.evaluators is not None:
        spec["evaluators"] = context.evaluators[1]
    return spec


def is_done(run: Path, spec: dict[str, Any]) -> bool:
    """Whether the run was trained and evaluated with this spec, and its evaluation still exists."""
    status = read_status(run)
    splits: list[Split] = spec["splits"]
    exists = all(path.is_file() for split in splits for path in (evaluation_file(run, split), videos_file(run, split)))
    return exists and status.get("status") == "done" and status.get("spec") == spec


def read_status(run: Path) -> dict[str, Any]:
    """The status file of a run; empty if it is missing or cannot be read."""
    try:
        return read_json_object(run / STATUS_FILE, any_numbers=True)
    except (OSError, ValueError):
        return {}


def _write_status(run: Path, status: dict[str, Any]) -> None:
    write_bytes(run / STATUS_FILE, json.dumps(status, indent=1).encode())


def seconds_trained(run: Path) -> float:
    """Training time of the newest checkpoint, summed over all starts of the run; 0 without a checkpoint."""
    for folder in folders(run):
        try:
            return number_of_json(read_json_object(folder / MANIFEST, any_numbers=True)["progress"]["wall_seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return 0.0


def _seconds_left(run: Path, budget: Budget) -> float | None:
    return None if budget.minutes is None else budget.minutes * 60 - seconds_trained(run)


def _run_command(
    arguments: list[str], output: Path, device: str, children: _ChildProcesses, time_limit: float | None
) -> int:
    """Run a `cssgan` command. Returns its exit code; 0 if `time_limit` (seconds) ended it and it saved a checkpoint."""
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    if device:
        environment["CUDA_VISIBLE_DEVICES"] = device
    with output.open("ab") as file:
        with children.lock:
            if children.stopped.is_set():
                return 0
            # With a session of its own, the child does not receive Ctrl-C of the terminal; `stop` sends SIGTERM once.
            child = subprocess.Popen(
                [sys.executable, "-m", "cssgan", *arguments],
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
            children.running.add(child)
        try:
            return child.wait(timeout=time_limit)
        except subprocess.TimeoutExpired:
            child.terminate()
            code = child.wait()
            return 0 if code == 128 + signal.SIGTERM else code
        finally:
            children.running.discard(child)


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "the log is empty"
