"""Soak test of the pipeline: builds from a faulty server that are killed, interrupted, and deprived of memory and disk space.

``make soak``, or ``python -m tests.soak [--songs N] [--faults N] [--seed N] [--workers N] [--json FILE]``. A build without
any fault is made first. Then the same command runs again and again in another workspace, each time with one fault, and in the
end once without: all files must be those of the first build. Exit code 1 if a check fails.

The small disks and the memory limit of a group need root; where they cannot be made, these faults are counted as skipped.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from phonics_data.errors import DatasetError
from phonics_data.report.verify import verify
from tests.phonics_data.stages.fetch.fake_youtube import FakeYouTube
from tests.soak_client import GROUPS, command
from tests.soak_files import ROOMY, contents, differences, remount, small_disks
from tests.soak_processes import MAX_RUN_SECONDS, TOKEN, Build, command_line, send_signal
from tests.soak_songs import make_songs

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = ("--engine", "captions", "--ocr", "never", "--no-object-pictures", "--size", "32", "--shard-bytes", "500000")
STAGES = ("fetch", "transcribe", "segment", "shard", "pack")
"""The stages of the pipeline; ``pack`` is the end of `shard`, which writes the dataset."""
INTERRUPTED = 130
MAX_END_SECONDS = 20.0
"""How long a process may take to end after SIGTERM, and its workers after the end of their parent: a few seconds on an idle
machine."""
_CGROUP = Path("/sys/fs/cgroup/memory")


@dataclass
class Soak:
    """The state of one soak test.

    Args:
        disks: WORK and OUT are on small disks of their own, which can be full.
    """

    server: FakeYouTube
    folder: Path
    manifest: Path
    rng: random.Random
    workers: int
    disks: bool
    counts: dict[str, int]
    """Number of file changes of a whole build by group of `GROUPS`."""
    num_runs: int = 0
    exit_codes: Counter[str] = field(default_factory=Counter[str])
    by_fault: Counter[str] = field(default_factory=Counter[str])
    not_reached: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])
    end_seconds: list[float] = field(default_factory=list[float])
    leftover_seconds: list[float] = field(default_factory=list[float])
    log: list[str] = field(default_factory=list[str])

    @property
    def work(self) -> Path:
        return self.folder / "work-disk" / "work"

    @property
    def out(self) -> Path:
        return self.folder / "out-disk" / "dataset"

    # --- runs --------------------------------------------------------------------------------------------------------

    def start(
        self,
        *extra: str,
        environment: dict[str, str] | None = None,
        before_start: Callable[[], None] | None = None,
    ) -> Build:
        self.num_runs += 1
        token = f"{os.getpid()}-{self.num_runs}"
        arguments = ["build", self.manifest, "--work", self.work, "--out", self.out, "--workers", self.workers]
        process = subprocess.Popen(
            command(self.server.port, *arguments, *OPTIONS, "--fetch-workers", 2, *extra),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", TOKEN: token, **(environment or {})},
            start_new_session=True,
            preexec_fn=before_start,
        )
        build = Build(process, token, {stage: threading.Event() for stage in ("start", *STAGES)})
        build.begun["start"].set()
        build.reader = threading.Thread(target=self._read_progress, args=(build,), daemon=True)
        build.reader.start()
        return build

    def _read_progress(self, build: Build) -> None:
        assert build.process.stderr is not None
        with build.process.stderr as lines:
            for line in lines:
                build.stderr.append(line)
                if (found := re.match(r"(\w+): (\d+)/(\d+)$", line)) and found[1] in build.begun:
                    build.begun[found[1]].set()
                    if found[1] == "shard" and found[2] == found[3]:
                        build.begun["pack"].set()

    def finish(self, build: Build, what: str, *, allowed: Sequence[int] | None) -> int:
        """Wait for the end of a run and check its exit code, its messages, its processes, and the marker of OUT.

        Args:
            allowed: exit codes; None does not check them, nor the messages.
        """
        try:
            code = build.process.wait(timeout=MAX_RUN_SECONDS)
        except subprocess.TimeoutExpired:
            self.fail(f"{what}: did not end within {MAX_RUN_SECONDS:.0f} s")
            code = 0
            for pid in build.leftover_processes():
                send_signal(pid, signal.SIGKILL)
            build.process.wait()
        ended = time.monotonic()
        while (left := build.leftover_processes()) and time.monotonic() - ended < MAX_END_SECONDS:
            time.sleep(0.05)
        self.leftover_seconds.append(time.monotonic() - ended)
        if left:
            self.fail(f"{what}: {len(left)} processes remain: {[command_line(pid)[-200:] for pid in left]}")
            for pid in left:
                send_signal(pid, signal.SIGKILL)
        assert build.reader is not None
        build.reader.join(MAX_END_SECONDS)
        text = "".join(build.stderr)
        self.exit_codes[str(code)] += 1
        last_line = text.strip().rpartition("\n")[2]
        self.log.append(f"{what}: exit code {code}; {last_line}")
        sys.stderr.write(f"{self.num_runs:3} {self.log[-1]}\n")
        if allowed is not None and code not in allowed and not (code == 1 and "fetching stopped" in text):
            self.fail(f"{what}: exit code {code}, allowed {list(allowed)}: {text[-2000:]}")
        if allowed is not None and code in (1, 2) and not last_line.startswith("phonics-data: "):
            self.fail(f"{what}: exit code {code} without a message: {text[-2000:]}")
        # A worker of `multiprocessing` that is starting when its parent is killed reports the end of its pipe.
        if allowed is not None and "Traceback" in text and code != -signal.SIGKILL:
            self.fail(f"{what}: prints a traceback: {text[-3000:]}")
        self._check_marker(what)
        return code

    def _check_marker(self, what: str) -> None:
        """A folder with a dataset.json must be complete."""
        if not (self.out / "dataset.json").exists():
            return
        try:
            faults = verify(self.out).faults
        except DatasetError as error:
            faults = (str(error),)
        if faults:
            self.fail(f"{what}: OUT has a dataset.json but is not a finished dataset: {faults[:3]}")

    def fail(self, message: str) -> None:
        self.failures.append(message)
        sys.stderr.write(f"FAILED {message}\n")

    def complete(self) -> None:
        """Run the command without a fault until it succeeds; a bot check of the server stops some runs."""
        for _ in range(4):
            if self.finish(self.start(), "run without a fault", allowed=(0,)) == 0:
                return
        self.fail("the run without a fault does not succeed")

    # --- faults ------------------------------------------------------------------------------------------------------

    def run_with_fault(self, fault: str, stage: str) -> None:
        """One run with one fault, and the checks after it."""
        self.rewind(stage)
        what = f"{fault}, {stage}"
        reached = getattr(self, f"_{fault.lower().replace(' ', '_')}")(what, stage)
        self.by_fault[fault] += 1
        self.not_reached[fault] += not reached

    def _pause(self) -> float:
        return self.rng.choice((0.0, self.rng.uniform(0, 0.3), self.rng.uniform(0, 2.0)))

    def _other_options(self, stage: str) -> tuple[str, ...]:
        """Options that change what the dataset contains, for some runs that are killed while they write it."""
        if stage != "pack":
            return ()
        return self.rng.choice(((), ("--seed", "1"), ("--shard-bytes", "200000"), ("--split-ratios", "0.6,0.2,0.2")))

    def _kill(self, what: str, stage: str) -> bool:
        build = self.start(*self._other_options(stage))
        build.wait_for(stage)
        time.sleep(self._pause())
        reached = build.is_running and send_signal(build.process.pid, signal.SIGKILL)
        self.finish(build, what, allowed=(0, -signal.SIGKILL))
        return reached

    def _kill_at_a_change(self, what: str, stage: str) -> bool:
        group = "rejections" if stage == "start" else stage
        # A run after another one has fewer changes than the unbroken build.
        share = {"fetch": 6, "shard": 2}.get(stage, 1)
        number = self.rng.randrange(1, max(2, self.counts[group] // share))
        environment = {"SOAK_KILL": f"{number} {GROUPS[group]}"}
        build = self.start(*self._other_options(stage), environment=environment)
        code = self.finish(build, f"{what}, number {number}", allowed=(0, -signal.SIGKILL))
        return code == -signal.SIGKILL

    def _kill_a_worker(self, what: str, stage: str) -> bool:
        """As for lack of memory: one process dies. The same run repeats its item and loses nothing."""
        build = self.start()
        build.wait_for(stage)
        time.sleep(self._pause() / 4)
        killed = False
        deadline = time.monotonic() + 3.0
        while build.is_running and not killed and time.monotonic() < deadline:
            workers = build.workers()
            killed = bool(workers) and send_signal(self.rng.choice(workers), signal.SIGKILL)
        self.finish(build, what, allowed=(0,))
        return killed

    def _kill_all_workers(self, what: str, stage: str) -> bool:
        """As for lack of memory that lasts: every process is killed again and again, so that items are given up."""
        build = self.start()
        build.wait_for(stage)
        num_killed = 0
        deadline = time.monotonic() + self.rng.uniform(1.0, 5.0)
        while build.is_running and time.monotonic() < deadline:
            num_killed += sum(send_signal(pid, signal.SIGKILL) for pid in build.workers())
            time.sleep(0.1)
        self.finish(build, what, allowed=(0, 1))
        return num_killed > 0

    def _terminate(self, what: str, stage: str) -> bool:
        return self._interrupt(what, stage, lambda build: send_signal(build.process.pid, signal.SIGTERM))

    def _terminate_the_group(self, what: str, stage: str) -> bool:
        """As a service manager does: all processes get the signal."""

        def send(build: Build) -> bool:
            pids = (build.process.pid, *build.workers())
            return sum(send_signal(pid, signal.SIGTERM) for pid in pids) > 0

        return self._interrupt(what, stage, send)

    def _interrupt(self, what: str, stage: str, send: Callable[[Build], bool]) -> bool:
        build = self.start(*self._other_options(stage))
        build.wait_for(stage)
        time.sleep(self._pause())
        if stage == "start":
            time.sleep(self.rng.uniform(0.5, 3.0))
        reached = build.is_running and send(build)
        sent = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            build.process.wait(timeout=MAX_END_SECONDS)
            self.end_seconds.append(time.monotonic() - sent)
        if build.is_running:
            self.fail(f"{what}: did not end within {MAX_END_SECONDS:.0f} s after SIGTERM")
        # Before the program has installed its handler, SIGTERM ends it as it ends all programs.
        self.finish(build, what, allowed=(0, INTERRUPTED, -signal.SIGTERM))
        return reached

    def _full_disk_of_work(self, what: str, stage: str) -> bool:
        return self._full_disk(what, stage, self.work.parent)

    def _full_disk_of_out(self, what: str, stage: str) -> bool:
        return self._full_disk(what, "pack", self.out.parent)

    def _full_disk(self, what: str, stage: str, disk: Path) -> bool:
        """Little space is left when a stage begins; after the run there is space again."""
        build = self.start(*(self._other_options("pack") if disk == self.out.parent else ()))
        build.wait_for("segment" if stage == "pack" else stage)
        used = shutil.disk_usage(disk).used
        left = self.rng.choice((0, self.rng.randrange(4, 100), self.rng.randrange(100, 500))) * 1024
        remount(disk, f"size={max(used + left, 4096)}")  # 0 is no limit
        try:
            code = self.finish(build, what, allowed=(0, 1))
        finally:
            remount(disk, ROOMY)
        text = "".join(build.stderr)
        if code == 1:
            if "space" not in text.strip().splitlines()[-1]:
                self.fail(f"{what}: the message does not name the full disk: {text[-1000:]}")
            # A worker that is killed with the run can leave one; the next run deletes it.
            self.check_no_partial_files(what, allowed=self.workers)
        return code == 1

    def _little_memory_for_all(self, what: str, stage: str) -> bool:
        """A control group with a limit: the system kills processes of it."""
        group = _CGROUP / f"soak-{os.getpid()}"
        group.mkdir(exist_ok=True)
        try:
            (group / "memory.limit_in_bytes").write_text(f"{self.rng.randrange(30, 150)}m")

            def enter() -> None:
                (group / "cgroup.procs").write_text(str(os.getpid()))

            build = self.start(before_start=enter)
            code = self.finish(build, what, allowed=(0, 1, -signal.SIGKILL))
        finally:
            with contextlib.suppress(OSError):
                group.rmdir()
        return code != 0

    def _little_address_space(self, what: str, stage: str) -> bool:
        limit = self.rng.randrange(300, 1500) << 20

        def limit_memory() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

        build = self.start(before_start=limit_memory)
        # Libraries end the process in ways of their own where no memory is left for them.
        code = self.finish(build, f"{what}, {limit >> 20} MiB", allowed=None)
        return code != 0

    # --- between the runs --------------------------------------------------------------------------------------------

    def rewind(self, stage: str) -> None:
        """Delete results of a stage if it is finished, so that it has work in the next run."""
        if stage == "start" or not self.work.is_dir():
            return
        if stage == "pack":
            if self.out.is_dir() and self.rng.random() < 0.3:
                (self.out / "dataset.json").unlink(missing_ok=True)  # what this test deletes is no finished dataset
                for shard in self.rng.sample(sorted(self.out.glob("*.tar")), k=len(list(self.out.glob("*.tar"))) // 2):
                    shard.unlink()
            return
        items = sorted((self.work / "items" / stage).glob("*.json"))
        finished = [path for path in items if not path.name.startswith(".")]
        if len(finished) < len(self.server.songs) * (0.7 if stage == "fetch" else 0.6):
            return
        for path in self.rng.sample(finished, k=len(finished) * (1 if stage == "fetch" else 3) // 4):
            path.unlink()
            if stage == "fetch":
                shutil.rmtree(self.work / "media" / path.stem, ignore_errors=True)

    def check_no_partial_files(self, what: str, *, allowed: int = 0) -> None:
        partial = [path for folder in (self.work, self.out) for path in folder.rglob("*.partial*")]
        files = [str(path) for path in partial if path.is_file()]
        if len(files) > allowed:
            self.fail(f"{what}: partial files remain: {files[:5]}")


# --- the test --------------------------------------------------------------------------------------------------------

PLAN: tuple[tuple[str, tuple[str, ...], int], ...] = (
    # fault, stages, weight
    ("kill", STAGES, 2),
    ("kill at a change", ("start", *STAGES, "pack", "pack"), 3),
    ("kill a worker", STAGES[:4], 2),
    ("kill all workers", STAGES[:4], 1),
    ("terminate", ("start", *STAGES), 1),
    ("terminate the group", STAGES, 1),
    ("full disk of WORK", ("start", *STAGES[:4]), 1),
    ("full disk of OUT", ("pack", "pack"), 1),
    ("little memory for all", ("start",), 2),
    ("little address space", ("start",), 1),
)


def plan_faults(number: int, rng: random.Random, *, disks: bool, groups: bool) -> list[tuple[str, str]]:
    """(fault, stage) of each run, those of fetch first, since the later stages need its videos."""
    pool = [
        (fault, stage)
        for fault, stages, weight in PLAN
        for stage in stages
        for _ in range(weight)
        if (disks or "disk" not in fault) and (groups or fault != "little memory for all")
    ]
    chosen: list[tuple[str, str]] = []
    while len(chosen) < number:
        chosen += rng.sample(pool, k=min(len(pool), number - len(chosen)))
    return sorted(chosen, key=lambda one: one[1] not in ("fetch", "start"))


def run_soak(
    folder: Path, *, songs: int, faults: Sequence[tuple[str, str]] | int, seed: int, workers: int
) -> tuple[dict[str, Any], list[str]]:
    """(figures, failed checks) of one soak test in the empty folder `folder`."""
    started = time.monotonic()
    rng = random.Random(seed)
    media: dict[str, dict[str, bytes]] = {}
    manifest = folder / "songs.csv"
    unbroken = make_songs(songs, seed=seed, with_temporary_faults=False, media=media)
    manifest.write_text(unbroken.manifest)
    rendered = time.monotonic()
    (folder / "unbroken").mkdir()
    with FakeYouTube(*unbroken.songs) as server:
        first = Soak(server, folder / "unbroken", manifest, rng, workers, disks=False, counts={})
        counts_file = folder / "counts.json"
        build = first.start(environment={"SOAK_COUNTS": str(counts_file)})
        first.finish(build, "the unbroken build", allowed=(0,))
        if first.failures:
            return {}, first.failures
        counts = json.loads(counts_file.read_text())
        expected = contents(first.work, first.out)
    built = time.monotonic()
    broken = make_songs(songs, seed=seed, with_temporary_faults=True, media=media)
    groups = os.access(_CGROUP, os.W_OK)
    with FakeYouTube(*broken.songs) as server, small_disks(folder) as disks:
        planned = plan_faults(faults, rng, disks=disks, groups=groups) if isinstance(faults, int) else list(faults)
        soak = Soak(server, folder, manifest, rng, workers, disks=disks, counts=counts)
        for number, (fault, stage) in enumerate(planned):
            soak.run_with_fault(fault, stage)
            # Now and then the build is completed, so that later faults meet a finished dataset, too.
            if number % 12 == 11 or number == len(planned) - 1:
                soak.complete()
                # What the server has never sent completely is a part of a video, and no partial file of ours.
                soak.failures += [
                    f"run {soak.num_runs}: {one}" for one in differences(contents(soak.work, soak.out), expected)
                ]
                soak.check_no_partial_files(f"run {soak.num_runs}")
    figures = {
        "songs": songs,
        "clips": len(pq.read_table(folder / "unbroken" / "out-disk" / "dataset" / "metadata.parquet")),
        "shards": sum(name.endswith(".tar") for name in expected if name.startswith("OUT/")),
        "faults": dict(sorted(soak.by_fault.items())),
        "faults after the end of their stage": dict(sorted((+soak.not_reached).items())),
        "runs": soak.num_runs,
        "exit codes": dict(sorted(soak.exit_codes.items())),
        "slowest end after SIGTERM, seconds": round(max(soak.end_seconds, default=0.0), 1),
        "slowest end of the workers, seconds": round(max(soak.leftover_seconds, default=0.0), 1),
        "failed checks": len(soak.failures),
        "seconds of rendering, unbroken build, all": [
            round(one - started) for one in (rendered, built, time.monotonic())
        ],
        "workers": workers,
        "seed": seed,
    }
    (folder / "log.txt").write_text("\n".join(soak.log))
    return figures, soak.failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--songs", type=int, default=60)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--log", type=Path, help="write one line about each run to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as temporary:
        figures, failures = run_soak(
            Path(temporary), songs=options.songs, faults=options.faults, seed=options.seed, workers=options.workers
        )
        if options.log and (log := Path(temporary) / "log.txt").exists():
            shutil.copy(log, options.log)
    for failure in failures:
        print("FAILED", failure)
    print(json.dumps(figures, indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
