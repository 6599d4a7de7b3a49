"""Crashes, hangs and excessive memory of an item affect its own process only."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from phonics_data.errors import ItemError, MediaError, WorkerDiedError
from phonics_data.executors.isolated import Limits, call_isolated, decoding_limits, interrupts_blocked, map_isolated


def misbehave(what: str) -> str:
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "null":
        ctypes.string_at(0)
    if what == "exit":
        os._exit(3)
    if what == "hang":
        ctypes.CDLL(None).pause()  # inside C code, where Python signal handlers do not run
    if what == "memory":
        return str(len(bytearray(4 * 1024**3)))
    if what == "reject":
        raise MediaError("not_a_video", "rejected", measured=1.0, threshold=2.0)
    if what == "bug":
        raise ZeroDivisionError("a defect")
    return what.upper()


def print_pid_and_wait(_: str) -> None:
    print(os.getpid(), flush=True)
    ctypes.CDLL(None).pause()


def run(items: list[str], workers: int = 2, seconds: float = 60.0) -> dict[str, str | ItemError]:
    limits = Limits(seconds=seconds, memory_bytes=1024**3)
    return dict(map_isolated(misbehave, items, workers=workers, limits=lambda _: limits))


@pytest.mark.parametrize("workers", [1, 3])
def test_valid_items_succeed_despite_invalid_ones(workers: int) -> None:
    results = run(["a", "crash", "b", "reject", "exit", "null", "c"], workers)
    assert {name: results[name] for name in "abc"} == {"a": "A", "b": "B", "c": "C"}
    rejected = results["reject"]
    assert isinstance(rejected, MediaError)
    assert (rejected.reason, rejected.measured, rejected.threshold) == ("not_a_video", 1.0, 2.0)
    for name, message in (("crash", "signal 11"), ("null", "signal 11"), ("exit", "exit code 3")):
        error = results[name]
        assert isinstance(error, ItemError)
        assert error.reason == "worker_died"
        assert message in str(error)


def die_while_others_run(task: tuple[Path, str]) -> str:
    """As if the system had ended the process of `task` for lack of memory while others ran."""
    folder, name = task
    tries = folder / name
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    if name == "large" and len(tries.read_text()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return name


@pytest.mark.parametrize("workers", [1, 2])
def test_items_whose_process_died_are_repeated_alone(tmp_path: Path, workers: int) -> None:
    tasks = [(tmp_path, name) for name in ("large", "a", "deadly", "b")]
    limits = Limits(seconds=60)
    found = {
        task[1]: value
        for task, value in map_isolated(die_while_others_run, tasks, workers=workers, limits=lambda _: limits)
    }
    assert {name: found[name] for name in ("large", "a", "b")} == {"large": "large", "a": "a", "b": "b"}
    assert isinstance(found["deadly"], WorkerDiedError)
    assert {name: len((tmp_path / name).read_text()) for _, name in tasks} == {"large": 2, "a": 1, "deadly": 3, "b": 1}


def test_hang_ends_at_the_time_limit() -> None:
    results = run(["hang", "a"], workers=1, seconds=1.5)
    assert "longer than its limit" in str(results["hang"])
    assert results["a"] == "A"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory limits are enforced on Linux")
def test_memory_limit() -> None:
    results = run(["memory", "a"])
    assert "needs more than 1024 MiB" in str(results["memory"])
    assert results["a"] == "A"


def test_defects_end_the_map() -> None:
    with pytest.raises(ZeroDivisionError, match="a defect") as caught:
        run(["a", "bug", "b"])
    assert "while working on 'bug'" in caught.value.__notes__[0]


def test_script_without_main_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        from phonics_data.executors.isolated import Limits, map_isolated
        print("started")
        print(list(map_isolated(len, ["ab"], workers=1, limits=lambda _: Limits(seconds=30))))
        """)
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout == "started\n[('ab', 2)]\n"
    assert done.stderr == ""


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        from phonics_data.executors.isolated import Limits, map_isolated
        from tests.phonics_data.executors.test_isolated import print_pid_and_wait
        list(map_isolated(print_pid_and_wait, ["a"], workers=1, limits=lambda _: Limits(seconds=3600)))
        """)
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) != parent.pid
        parent.kill()
        # The pipe is closed when the last process that has it open has ended.
        assert parent.stdout.read() == ""


def test_function_that_cannot_be_imported_is_a_defect() -> None:
    def inner(item: str) -> str:
        return item

    with pytest.raises(Exception, match="inner"):
        list(map_isolated(inner, ["a"], workers=1, limits=lambda _: Limits(seconds=30)))


def parent_process(_: str) -> int:
    return os.getppid()


def working_folder(_: str) -> Path:
    return Path.cwd()


def start_another_and_hang(path: Path) -> None:
    """As a function that starts ffmpeg."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    path.write_text(f"{child.pid}\n{os.getpid()}\n")
    child.wait()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_none_runs(pids: list[int]) -> None:
    until = time.monotonic() + 60
    while any(map(is_running, pids)):
        assert time.monotonic() < until, "a process remains"
        time.sleep(0.05)


def test_calls_use_one_worker_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(seconds=60)
    worker = call_isolated(parent_process, "a", limits)
    assert call_isolated(parent_process, "b", limits) == worker
    with pytest.raises(MediaError, match="rejected"):
        call_isolated(misbehave, "reject", limits)
    assert call_isolated(parent_process, "c", limits) == worker, "an error of an item does not end the worker"
    monkeypatch.chdir(tmp_path)
    assert call_isolated(working_folder, "d", limits) == tmp_path, "relative paths are those of the caller"


def test_calls_survive_the_death_of_their_worker() -> None:
    limits = Limits(seconds=60)
    worker = call_isolated(parent_process, "a", limits)
    os.kill(worker, signal.SIGKILL)
    assert call_isolated(parent_process, "b", limits) != worker
    with pytest.raises(WorkerDiedError, match="signal 11"):
        call_isolated(misbehave, "crash", limits)
    assert call_isolated(misbehave, "c", limits) == "C"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_time_limit_ends_all_that_an_item_has_started(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="longer than its limit"):
        call_isolated(start_another_and_hang, tmp_path / "pids", Limits(seconds=8))
    wait_until_none_runs([int(pid) for pid in (tmp_path / "pids").read_text().split()])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_death_of_the_parent_ends_all_that_an_item_has_started(tmp_path: Path) -> None:
    script, pids = tmp_path / "script.py", tmp_path / "pids"
    script.write_text(
        textwrap.dedent(f"""
        from pathlib import Path
        from phonics_data.executors.isolated import Limits, call_isolated
        from tests.phonics_data.executors.test_isolated import start_another_and_hang
        call_isolated(start_another_and_hang, Path({str(pids)!r}), Limits(seconds=3600))
        """)
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen([sys.executable, str(script)], env=environment) as parent:
        until = time.monotonic() + 60
        while not pids.exists() or pids.read_text().count("\n") < 2:
            assert time.monotonic() < until, "the item did not start"
            time.sleep(0.05)
        parent.kill()
    wait_until_none_runs([int(pid) for pid in pids.read_text().split()])


def test_interrupts_while_a_worker_starts_print_nothing() -> None:
    # Python itself takes some hundredths of a second until it can handle the signal, imports take longer.
    program = "import time; time.sleep(0.5); print('started')"
    with interrupts_blocked():
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    for _ in range(20):
        child.send_signal(signal.SIGINT)
        time.sleep(0.01)
    out, messages = child.communicate(timeout=60)
    assert (out, messages) == ("started\n", "")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def raise_native(what: str) -> None:
    if what == "opencv":
        import cv2
        import numpy as np

        cv2.resize(np.zeros((4, 4), np.uint8), (60_000, 60_000))
    if what == "errno":
        raise OSError(12, "Cannot allocate memory")
    raise RuntimeError("std::bad_alloc")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory limits are enforced on Linux")
@pytest.mark.parametrize("what", ["opencv", "errno", "runtime"])
def test_libraries_that_lack_memory_reject_the_item(what: str) -> None:
    with pytest.raises(ItemError, match="needs more than 1024 MiB") as caught:
        call_isolated(raise_native, what, Limits(seconds=60, memory_bytes=1024**3))
    assert caught.value.reason == "worker_died"


def unsendable(_: str) -> object:
    return lambda: None


def test_a_result_that_cannot_be_sent_is_a_defect() -> None:
    with pytest.raises(TypeError, match="cannot be sent"):
        call_isolated(unsendable, "a", Limits(seconds=60))


def test_the_time_for_a_file_is_limited_whatever_it_announces() -> None:
    assert decoding_limits(180.0).seconds == 600 + 1800
    assert decoding_limits(1e9).seconds == decoding_limits(1e12).seconds == 3 * 3600
