"""The command `phonics-data` for the soak test: videos are from a `FakeYouTube`, pauses are short, and the process can end
itself in the middle of its work.

``python -m tests.soak_client PORT build songs.csv ...``. Environment variables:

- ``SOAK_KILL``: ``N PATTERN``: SIGKILL of this process before its Nth change of a path that the pattern matches.
- ``SOAK_COUNTS``: a JSON file for the number of changes by group of `GROUPS`, written at the end.
"""

from __future__ import annotations

import atexit
import dataclasses
import json
import os
import re
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

GROUPS = {
    "fetch": r"/media/|/items/fetch|/videos\.|\.videos\.",
    "transcribe": r"/items/transcribe|words\.|screen_letters\.",
    "segment": r"/items/segment|segments\.",
    "shard": r"/items/shard|/clips",
    "pack": r"/dataset",
    "rejections": r"rejections\.",
}
"""Stage (``pack``: the files of the dataset) -> pattern of the paths that it changes."""

_CHANGES = frozenset(("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.rmtree"))


def command(port: int, *arguments: object) -> list[str]:
    """The command line; run it in the root of the repository."""
    return [sys.executable, "-m", "tests.soak_client", str(port), *map(str, arguments)]


def _changed_path(event: str, arguments: tuple[Any, ...]) -> str | None:
    """The path that an audit event is about to change; None for all other events."""
    if event == "open":
        path, mode, flags = arguments
        is_change = bool(set(mode or "") & set("wax+")) or bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        return os.fsdecode(path) if is_change and isinstance(path, str | bytes | os.PathLike) else None
    return os.fsdecode(arguments[0]) if event in _CHANGES and not isinstance(arguments[0], int) else None


def _watch_changes() -> None:
    """Count the changes of files in this process, and end it before the one that ``SOAK_KILL`` names."""
    number, _, pattern = os.environ.get("SOAK_KILL", "0 ").partition(" ")
    num_left = int(number)
    fatal = re.compile(pattern)
    groups = {name: re.compile(one) for name, one in GROUPS.items()}
    counts: Counter[str] = Counter()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal num_left
        if (path := _changed_path(event, arguments)) is None:
            return
        counts.update(name for name, one in groups.items() if one.search(path))
        if num_left and fatal.search(path):
            num_left -= 1
            if not num_left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    if counts_file := os.environ.get("SOAK_COUNTS"):
        parent = os.getpid()
        atexit.register(lambda: os.getpid() == parent and Path(counts_file).write_text(json.dumps(counts)))


def _with_short_pauses() -> None:
    from phonics_data.cli.options import FetchArguments
    from phonics_data.stages.fetch.options import BackOff, FetchOptions

    original = FetchArguments.options

    def options(self: FetchArguments, workers: int) -> FetchOptions:
        back_off = BackOff(first_seconds=0.02, max_seconds=0.05, outage_seconds=1.0)
        return dataclasses.replace(original(self, workers), back_off=back_off, sleep_seconds=(0.0, 0.0))

    FetchArguments.options = options


def _main(port: int, arguments: list[str]) -> None:
    from phonics_data.cli import app
    from tests.phonics_data.stages.fetch.fake_youtube import route_to_fake_youtube

    _with_short_pauses()
    _watch_changes()
    with route_to_fake_youtube(port):
        sys.argv = ["phonics-data", *arguments]
        app.main()


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
