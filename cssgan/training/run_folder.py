"""The run folder: its configuration record, and signals that stop a run."""

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
from phonics_data.contract.files import write_bytes

CONFIG_FILE = "config.json"


def claim(run: Path, config: Config, shards: str) -> None:
    """Write config.json before training, or compare with the existing one.

    Raises:
        CheckpointError: config.json is missing, and no checkpoint is valid.
        RunError: the folder belongs to a run with another configuration or other shards.
    """
    check(run, config, shards)
    record = {"config": configs.to_json(config), "train_shards": shards}
    write_bytes(run / CONFIG_FILE, json.dumps(record, indent=1).encode())


def check(run: Path, config: Config, shards: str) -> None:
    """Raise as `claim`, but write nothing."""
    record = _read_record(run)
    old, old_shards = record or (config, shards)
    if record is None and checkpoint.folders(run):  # checkpoints hold the configuration too
        newest = checkpoint.load_newest(run)
        old, old_shards = newest.config, newest.train_shards or shards
    if changed := configs.differences(old, config, ignore=RESUMABLE):
        raise RunError(
            f"{run}: belongs to a run with another configuration; it differs in {'; '.join(changed)}. "
            "Train into a new folder, or use the same options"
        )
    if old_shards != shards:
        raise RunError(f"{run}: belongs to a run with other training shards; train into a new folder")


def read_config(run: Path) -> Config | None:
    """The configuration that `claim` wrote; None if there is none. Raises `RunError` if it cannot be read."""
    record = _read_record(run)
    return None if record is None else record[0]


def _read_record(run: Path) -> tuple[Config, str] | None:
    path = run / CONFIG_FILE
    try:
        record = json.loads(path.read_text())
        return configs.from_json(record["config"]), str(record["train_shards"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise RunError(
            f"{path}: not the configuration of a run ({error}); delete it if the checkpoints beside it are of this run, or "
            "train into a new folder"
        ) from error


@contextmanager
def stop_signals() -> Generator[list[int]]:
    """Context in which SIGTERM, SIGINT and SIGHUP append their number to the list; a second one has its usual effect.

    Signals that are ignored already (`nohup`) stay ignored. Outside the main thread this does nothing.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, previous[signal.Signals(number)])

    numbers = [n for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
