"""The run folder: its configuration record, and signals that stop a run."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from cssgan import config as configs
from cssgan.config import RESUMABLE, Config
from cssgan.errors import ConfigError, RunError
from cssgan.training import checkpoint
from phonics_data.contract.files import write_bytes
from phonics_data.contract.untrusted import read_json_object

CONFIG_FILE = "config.json"


def claim(run: Path, config: Config, shards: str, init: Mapping[str, Any] | None = None) -> None:
    """Write config.json before training, or compare with the existing one.

    Args:
        init: `cssgan.training.initial_weights.InitialWeights.record`; of a run that resumes, its ``source`` suffices; None: the
            run starts with new weights.

    Raises:
        CheckpointError: config.json is missing, and no checkpoint is valid.
        RunError: the folder belongs to a run with another configuration, other shards or other initial weights.
    """
    check(run, config, shards, init)
    record = {"config": configs.to_json(config), "train_shards": shards}
    if init is not None:
        record["init"] = {**(read_init(run) or {}), **init}
    write_bytes(run / CONFIG_FILE, json.dumps(record, indent=1).encode())


def check(run: Path, config: Config, shards: str, init: Mapping[str, Any] | None = None) -> None:
    """Raise as `claim`, but write nothing."""
    record = _read_record(run)
    old, old_shards = (configs.from_json(record["config"]), record["train_shards"]) if record else (config, shards)
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
    if record is not None:
        _check_init(run, record.get("init"), init)


def _check_init(run: Path, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> None:
    """Raise `RunError` if a run that started from `old` is resumed with other initial weights."""
    old_source, new_source = (None if init is None else init["source"] for init in (old, new))
    if old_source != new_source:
        began = "without --init" if old_source is None else f"with --init {old_source}"
        raise RunError(f"{run}: belongs to a run that began {began}; use the same option, or train into a new folder")
    if old and new and None not in (old.get("digest"), new.get("digest")) and old["digest"] != new["digest"]:
        raise RunError(
            f"{run}: the weights of --init {new_source} changed since this run began; train into a new folder"
        )


def read_config(run: Path) -> Config | None:
    """The configuration that `claim` wrote; None if there is none. Raises `RunError` if it cannot be read."""
    record = _read_record(run)
    return None if record is None else configs.from_json(record["config"])


def read_init(run: Path) -> dict[str, Any] | None:
    """What `claim` wrote about the initial weights; None if the run began without them or has no readable record."""
    try:
        record = _read_record(run)
    except RunError:
        return None
    return None if record is None else record.get("init")


def _read_record(run: Path) -> dict[str, Any] | None:
    path = run / CONFIG_FILE
    try:
        record = read_json_object(path, any_numbers=True)
        configs.from_json(record["config"])
        init = record.get("init")
        if not isinstance(record["train_shards"], str) or (init is not None and not isinstance(init["source"], str)):
            raise ValueError("train_shards and init.source must be text")
        return record
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
