from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phonics_data.errors import ItemError, MediaError
from phonics_data.executors.local import map_items


def square(number: int) -> int:
    if number == 13:
        raise MediaError("not_a_video", "thirteen is no video", measured=13.0)
    if number == 99:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 7000:
        raise ZeroDivisionError("a defect")
    return number * number


@pytest.mark.parametrize("workers", [1, 2])
def test_item_errors_are_results(workers: int) -> None:
    results = dict(map_items(square, [3, 13, 5], workers=workers))
    assert (results[3], results[5]) == (9, 25)
    error = results[13]
    assert isinstance(error, MediaError)
    assert (error.reason, error.detail, error.measured) == ("not_a_video", "thirteen is no video", 13.0)


def test_death_of_a_worker_fails_only_its_item() -> None:
    results = dict(map_items(square, [1, 2, 99, 3, 4, 5], workers=2))
    error = results.pop(99)
    assert isinstance(error, ItemError)
    assert error.reason == "worker_died"
    assert results == {1: 1, 2: 4, 3: 9, 4: 16, 5: 25}


def wait_for_long(path: Path) -> None:
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(300)


def pids(path: Path, number: int) -> list[int]:
    """The ids in `path`, as soon as there are `number`."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = path.read_text().split() if path.exists() else []
        if len(found) == number:
            return [int(one) for one in found]
        time.sleep(0.05)
    raise AssertionError("the workers did not start")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_worker_that_dies_while_the_next_one_starts_blocks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ProcessPoolExecutor

    start, killed = ProcessPoolExecutor._spawn_process, list[int | None]()  # type: ignore[attr-defined]

    def start_slowly(pool: ProcessPoolExecutor) -> None:
        first = next(iter(pool._processes.values()), None)  # type: ignore[attr-defined]
        if first is not None and not killed:
            killed.append(first.pid)
            first.kill()
            first.join()
            time.sleep(0.5)  # the executor notices the death meanwhile
        start(pool)

    monkeypatch.setattr(ProcessPoolExecutor, "_spawn_process", start_slowly)
    found = map_items(abs, [-1, -2, -3], workers=2)
    assert sorted(result for _, result in found if isinstance(result, int)) == [1, 2, 3]
    assert killed
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_workers_end_soon_after_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import signal; from pathlib import Path; from phonics_data.executors.local import map_items\n"
        "from tests.phonics_data.executors.test_local import wait_for_long\n"
        "def interrupt(*_): raise KeyboardInterrupt\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGTERM, interrupt)\n"
        f"    list(map_items(wait_for_long, [Path({str(tmp_path / 'pids')!r})] * 4, workers=2))\n"
    )
    (tmp_path / "main.py").write_text(program)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, tmp_path / "main.py"], env=environment, stderr=subprocess.PIPE)
    workers = pids(tmp_path / "pids", 2)
    parent.send_signal(number)
    started = time.monotonic()
    _, messages = parent.communicate(timeout=60)
    while any(map(is_running, workers)) and time.monotonic() < started + 30:
        time.sleep(0.1)
    assert not any(map(is_running, workers))
    assert time.monotonic() - started < 20
    assert messages.count(b"Traceback") <= (number != signal.SIGKILL), "a worker printed a traceback"


@pytest.mark.parametrize("workers", [1, 2])
def test_defects_end_the_map(workers: int) -> None:
    with pytest.raises(ZeroDivisionError, match="a defect"):
        list(map_items(square, [1, 7000, 2], workers=workers))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.4])
def test_signals_while_workers_start_print_no_traceback_of_a_worker(
    tmp_path: Path, number: signal.Signals, seconds: float
) -> None:
    program = (
        "import signal, sys\nfrom pathlib import Path\nfrom phonics_data.executors.local import map_items\n"
        "from tests.phonics_data.executors.test_local import wait_for_long\n"
        "def interrupt(*_): raise KeyboardInterrupt\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGTERM, interrupt)\n"
        "    print('ready', flush=True)\n"
        "    try:\n"
        f"        list(map_items(wait_for_long, [Path({str(tmp_path / 'pids')!r})] * 4, workers=2))\n"
        "    except KeyboardInterrupt:\n"
        "        sys.exit(130)\n"
    )
    (tmp_path / "main.py").write_text(program)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, tmp_path / "main.py"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        time.sleep(seconds)
        os.killpg(parent.pid, number)
        _, messages = parent.communicate(timeout=60)
    assert "Traceback" not in messages, messages
