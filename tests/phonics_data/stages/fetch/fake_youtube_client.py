"""Fetching from a `FakeYouTube` in a separate process, which a test can kill.

``python -m tests.phonics_data.stages.fetch.fake_youtube_client PORT fetch songs.csv --work work`` is the command `phonics-data`;
``... PORT quick songs.csv work WORKERS`` is the same with pauses of hundredths of a second, and exit code 3 when the
queue was stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
STOPPED = 3


def command(port: int, *arguments: object) -> list[str]:
    """The command line; run it with ``cwd=ROOT``."""
    return [
        sys.executable,
        "-m",
        "tests.phonics_data.stages.fetch.fake_youtube_client",
        str(port),
        *map(str, arguments),
    ]


def _fetch_quickly(manifest: str, work: Path, workers: int) -> int:
    from phonics_data.stages.fetch.stage import BackOff, FetchOptions, FetchStoppedError, fetch
    from phonics_data.storage.manifest import read_manifest
    from phonics_data.storage.workspace import Workspace

    back_off = BackOff(first_seconds=0.02, max_seconds=0.05, outage_seconds=1.0)
    options = FetchOptions(sleep_seconds=(0.0, 0.0), back_off=back_off, workers=workers)
    workspace = Workspace(work)
    with workspace.lock():
        try:
            fetch(workspace, read_manifest(manifest), options, manifest=manifest)
        except FetchStoppedError as error:
            sys.stderr.write(f"{error}\n")
            return STOPPED
    return 0


def _main(port: int, arguments: list[str]) -> int:
    from phonics_data.cli import app
    from tests.phonics_data.stages.fetch.fake_youtube import route_to_fake_youtube

    with route_to_fake_youtube(port):
        if arguments[0] == "quick":
            return _fetch_quickly(arguments[1], Path(arguments[2]), int(arguments[3]))
        sys.argv = ["phonics-data", *arguments]
        app.main()
    return 0


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), sys.argv[2:]))
