"""The run folder: whose it is, who works in it, and what stops the work from outside."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from cssgan import config as configs
from cssgan.config import RESUMABLE, Config
from cssgan.errors import ConfigError, RunError
from cssgan.training import checkpoint

RECORD = "config.json"


def claim(run: Path, config: Config, shards: str) -> None:
    """Write config.json before any work, or compare with the one that is there.

    Raises:
        CheckpointError: config.json is gone, and there are checkpoints none of which is whole.
        RunError: the folder holds a run of another configuration or of other shards.
    """
    check(run, config, shards)
    record = {"config": configs.to_json(config), "train_shards": shards}
    path = run / RECORD
    temporary = path.with_suffix(".tmp")
    checkpoint.write_synced(temporary, json.dumps(record, indent=1).encode())
    temporary.replace(path)


def check(run: Path, config: Config, shards: str) -> None:
    """Raises what `claim` raises, and writes nothing."""
    record = _record(run)
    old, old_shards = record or (config, shards)
    if record is None and checkpoint.folders(run):  # whose they are is written in them as well
        newest = checkpoint.load_newest(run)
        old, old_shards = newest.config, newest.train_shards or shards
    if changed := configs.differences(old, config, ignore=RESUMABLE):
        raise RunError(
            f"{run}: holds a run of another configuration; it differs in {'; '.join(changed)}. "
            "Train into a new folder, or give the same options"
        )
    if old_shards != shards:
        raise RunError(f"{run}: holds a run on other training shards; train into a new folder")


def configuration(run: Path) -> Config | None:
    """What `claim` wrote; None where it wrote nothing. Raises `RunError` if it cannot be read."""
    record = _record(run)
    return None if record is None else record[0]


def _record(run: Path) -> tuple[Config, str] | None:
    path = run / RECORD
    try:
        record = json.loads(path.read_text())
        return configs.from_json(record["config"]), str(record["train_shards"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise RunError(
            f"{path}: not a run's configuration ({error}); delete it if the checkpoints beside it are this run's, or "
            "train into a new folder"
        ) from error


@contextmanager
def stop_signals() -> Generator[list[int]]:
    """Within, SIGTERM, SIGINT and SIGHUP put their number into the list instead of killing; a second one kills as ever.

    A signal that the program was told to ignore (`nohup`) stays ignored.
    """
    got: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield got
        return

    def note(number: int, frame: FrameType | None) -> None:
        got.append(number)
        signal.signal(number, before[signal.Signals(number)])

    named = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    numbers = [number for number in named if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield got
    finally:
        for number in numbers:
            signal.signal(number, before[number])
