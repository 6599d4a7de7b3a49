"""The command `phonics-data show`: the timeline of a video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonics_data.cli.options import Work
from phonics_data.contract.console import say
from phonics_data.errors import InputError

if TYPE_CHECKING:
    from phonics_data.types import TrueSegment


def show(
    video_id: Annotated[str, typer.Argument(help="Id of a video in WORK.")],
    work: Work = Path("work"),
    out: Annotated[Path | None, typer.Option(help="Folder for the image and the page. Default: WORK/show.")] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="Ground truth: truth.parquet of rendered songs, or lines with letter, start, end."),
    ] = None,
    start: Annotated[float, typer.Option("--from", min=0, help="First second to draw.")] = 0.0,
    end: Annotated[float | None, typer.Option("--to", help="Last second to draw; default: the end.")] = None,
) -> None:
    """Draw the words, screen letters, audio and segments of a video, with the reason of each boundary (PNG and HTML).

    Example: phonics-data show song-0003 --work work --truth songs/truth.parquet
    """
    from phonics_data.show import show as run
    from phonics_data.storage.workspace import Workspace

    workspace = Workspace(work, must_exist=True)
    known = _read_truth(truth, video_id) if truth is not None else None
    files = run(workspace, video_id, out or work / "show", truth=known, start_seconds=start, end_seconds=end)
    for path in files:
        say(path)


def _read_truth(path: Path, video_id: str) -> list[TrueSegment]:
    if path.suffix.lower() == ".parquet":
        from phonics_data.sources.synthetic.render import read_truth

        return read_truth(path)
    if not path.is_file():
        raise InputError(f"--truth {path}: no such file; give truth.parquet, or a table with letter, start and end")
    from phonics_data.segmentation.scoring import read_truth_table

    return read_truth_table(path, video_id)
