"""The scripts of examples/slurm on a real Slurm: slurmctld and two slurmd on this machine."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from phonics_data.storage.locks import running_parts
from tests.phonics_data.test_equal_builds import contents
from tests.phonics_data.test_parts import OPTIONS, write_songs

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(
        os.geteuid() != 0 or any(shutil.which(name) is None for name in PROGRAMS),
        reason="needs Slurm and munge (Debian: slurm-wlm), and root, which starts them",
    ),
]

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=1,sched_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=20
JobRequeue=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=16000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""

WRAPPER = """#!/bin/bash
# phonics-data of the jobs, with the faults of the test.
if [[ -e {folder}/fail && "$*" == *"--part 2/3"* ]]; then echo "failed on purpose" >&2; exit 1; fi
if [[ -e {folder}/hang && ${{SLURM_RESTART_COUNT:-0}} == 0 && $SLURMD_NODENAME == n2 ]]; then
    exec {python} -c "$(cat {folder}/holder.py)" "${{@: -1}}"
fi
exec {python} -m phonics_data "$@"
"""

HOLDER = """
import sys, time
from pathlib import Path
from phonics_data.storage.parts import Part
from phonics_data.storage.workspace import Workspace
with Workspace(Path("work")).lock("shard", Part.parse(sys.argv[1])):
    Path("held").write_text(sys.argv[1])
    time.sleep(600)
"""


@dataclass(frozen=True)
class Slurm:
    folder: Path
    environment: dict[str, str]

    def run(self, *command: str | Path) -> str:
        done = subprocess.run(
            list(map(str, command)), cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def submit(self, stage: str, parts: int, *options: str) -> str:
        return self.run(ROOT / "examples/slurm/submit.sh", str(parts), stage, *options)

    def wait(self, seconds: float = 400) -> None:
        """Until no job is left."""
        wait_until(lambda: not self.run("squeue", "--noheader").strip(), seconds, self.logs)

    def logs(self) -> str:
        found = [f"{path.name}:\n{path.read_text()}" for path in sorted(self.folder.glob("slurm/logs/*.log"))]
        return "\n".join(found) + self.run("squeue")


def wait_until(is_done: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < deadline, what()
        time.sleep(1)


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def daemons(folder: Path) -> Generator[Slurm]:
    """slurmctld, two slurmd and munged, in the foreground as children of this process."""
    (folder / "state").mkdir(parents=True)
    conf = folder / "slurm.conf"
    conf.write_text(CONFIGURATION.format(host=socket.gethostname(), folder=folder, ports=free_ports(3)))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    programs = folder / "bin"
    programs.mkdir()
    wrapper = programs / "phonics-data"
    wrapper.write_text(WRAPPER.format(folder=folder, python=sys.executable))
    wrapper.chmod(0o755)
    (folder / "holder.py").write_text(HOLDER)
    environment = os.environ | {
        "SLURM_CONF": str(conf),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PHONICS_SLURM_CPUS": "1",
    }
    munged = ["munged", "--force", "--foreground", f"--socket={folder}/munge.socket", f"--key-file={key}"]
    munged += [f"--{name}-file={folder}/munged.{name}" for name in ("log", "pid", "seed")]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in (munged, ["slurmctld", "-D"], ["slurmd", "-D", "-N", "n1"], ["slurmd", "-D", "-N", "n2"]):
            started.append(
                subprocess.Popen(
                    command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
                )
            )
            time.sleep(1)
        slurm = Slurm(folder, environment)
        wait_until(
            lambda: "idle" in (text := slurm.run("sinfo", "--noheader")) and "n[1-2]" in text,
            120,
            lambda: "\n".join(path.read_text() for path in folder.glob("*.log")),
        )
        yield slurm
    finally:
        for pid in [*processes_of_node("n1", folder), *processes_of_node("n2", folder)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in reversed(started):
            process.kill()
            process.wait()


def processes_of_node(node: str, folder: Path) -> Iterator[int]:
    """Jobs on the node and what watches over them, of the Slurm of `folder` only."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (path / "environ").read_bytes().split(b"\0")
            command = (path / "cmdline").read_bytes()
            is_here = f"SLURM_CONF={folder}/slurm.conf".encode() in environment
            if is_here and (f"SLURMD_NODENAME={node}".encode() in environment or b"slurmstepd" in command):
                yield int(path.name)


def test_parts_gathering_resubmission_and_a_lost_node(tmp_path: Path) -> None:
    with daemons(tmp_path) as slurm:
        write_songs(tmp_path)
        said = slurm.submit("fetch", 3, *OPTIONS["fetch"], "--work", "work")
        assert re.search(r"parts of fetch: job \d+, array 1-3\ngathering of fetch: job \d+", said), said
        slurm.wait()
        assert (tmp_path / "work" / "videos.parquet").exists(), slurm.logs()

        # Part 2 fails: its gathering is cancelled, and the same command submits part 2 alone.
        (tmp_path / "fail").touch()
        command = (*OPTIONS["transcribe"], "--work", "work")
        slurm.submit("transcribe", 3, *command)
        slurm.wait()
        assert not (tmp_path / "work" / "words.parquet").exists()
        (tmp_path / "fail").unlink()
        said = slurm.submit("transcribe", 3, *command)
        assert re.search(r"parts of transcribe: job \d+, array 2\n", said), said
        slurm.wait()
        assert (tmp_path / "work" / "words.parquet").exists(), slurm.logs()
        slurm.run("phonics-data", "segment", "--work", "work")

        # The node of a part that has its lock is lost: Slurm starts the part again on the other node.
        (tmp_path / "hang").touch()
        command = (*OPTIONS["shard"], "--work", "work", "--out", "dataset")
        slurm.submit("shard", 2, *command)
        wait_until((tmp_path / "held").exists, 200, slurm.logs)
        assert (tmp_path / "held").read_text() in {str(part) for _, part, _ in running_parts(tmp_path / "work")}
        os.kill(int((tmp_path / "slurmd-n2.pid").read_text()), signal.SIGKILL)
        for pid in processes_of_node("n2", tmp_path):
            os.kill(pid, signal.SIGKILL)
        slurm.wait()
        assert "start 2" in slurm.logs(), slurm.logs()
        assert (tmp_path / "dataset" / "dataset.json").exists(), slurm.logs()

    (tmp_path / "work").rename(tmp_path / "slurm-work")
    for stage in OPTIONS:
        out = ("--out", "one") if stage == "shard" else ()
        command = [sys.executable, "-m", "phonics_data", stage, *OPTIONS[stage], "--work", "work", *out]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert contents(tmp_path / "one") == contents(tmp_path / "dataset")


def test_wrong_arguments_print_the_usage() -> None:
    for arguments in ((), ("three", "fetch"), ("0", "fetch")):
        done = subprocess.run(
            [ROOT / "examples/slurm/submit.sh", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "examples/slurm/submit.sh PARTS STAGE" in done.stderr
