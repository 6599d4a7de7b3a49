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
from cssgan.errors import RunError
from cssgan.training import checkpoint


def claim(run: Path, config: Config, shards: str) -> None:
    """Write config.json before any work, or compare with the one that is there.

    Raises:
        RunError: the folder holds a run of another configuration or of other shards.
    """
    path = run / "config.json"
    if path.exists():
        try:
            record = json.loads(path.read_text())
            old = configs.from_json(record["config"])
        except (ValueError, KeyError) as error:
            raise RunError(f"{path}: not a run's configuration ({error}); train into a new folder") from error
        if changed := configs.differences(old, config, ignore=RESUMABLE):
            raise RunError(
                f"{run}: holds a run of another configuration; it differs in {'; '.join(changed)}. "
                "Train into a new folder, or give the same options"
            )
        if record["train_shards"] != shards:
            raise RunError(f"{run}: holds a run on other training shards; train into a new folder")
    record = {"config": configs.to_json(config), "train_shards": shards}
    temporary = path.with_suffix(".tmp")
    checkpoint.write_synced(temporary, json.dumps(record, indent=1).encode())
    temporary.replace(path)


@contextmanager
def stop_signals() -> Generator[list[int]]:
    """Within, SIGTERM and SIGINT put their number into the list instead of killing; a second one kills as ever."""
    got: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield got
        return

    def note(number: int, frame: FrameType | None) -> None:
        got.append(number)
        signal.signal(number, before[signal.Signals(number)])

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield got
    finally:
        for number in numbers:
            signal.signal(number, before[number])
