"""The commands `phonics-data bench ...`: rendered songs against real material, automatic segments against reviews."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonics_data.cli.options import Work, Workers
from phonics_data.contract.console import say
from phonics_data.errors import InputError, OptionError

if TYPE_CHECKING:
    from phonics_data.report.likeness import LikenessRow, Measured

bench_app = typer.Typer(
    no_args_is_help=True, help="Measure rendered songs against real material, and segments against reviews."
)


@bench_app.command()
def likeness(
    real: Annotated[Path, typer.Option(help="Folder of real clips: video files, each one clip.")],
    songs: Annotated[Path | None, typer.Option(help="Folder of `phonics-data render`. Default: render songs.")] = None,
    num_songs: Annotated[int, typer.Option(min=1, help="Songs to render without --songs.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the songs, the bootstrap and the clips of the sheet.")] = 1,
    frame_rate: Annotated[str, typer.Option(help="Of the rendered clips: frames a second, or source.")] = "25",
    size: Annotated[int, typer.Option(min=16, max=1024, help="Height and width to which frames are squashed.")] = 64,
    sheet: Annotated[Path | None, typer.Option(help="Write real beside rendered clips to this PNG file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all values to this JSON file.")] = None,
    workers: Workers = 1,
) -> None:
    """Compare how much real clips and phrases of rendered songs change, and how long they are.

    Prints five values of `phonics_data.contract.change` and the length at the 10th, 25th, 50th, 75th and 90th percentile. The
    exit code is 1 if a rendered median lies outside the 10th to 90th percentile of the real clips, or the median
    of the frames of a clip outside 60 to 100.

    Example: phonics-data bench likeness --real clips --songs songs --sheet sheet.png
    """
    from phonics_data.cli.options import parse_frame_rate
    from phonics_data.cli.progress import print_table, progress
    from phonics_data.contract.files import atomic_path, write_bytes
    from phonics_data.report import likeness as library
    from phonics_data.sources.synthetic.render import render_songs

    if sheet is not None and sheet.suffix.lower() != ".png":
        raise OptionError("--sheet", str(sheet), "a file name that ends with .png")
    rate = parse_frame_rate(frame_rate)
    with ExitStack() as opened:
        on_progress = opened.enter_context(progress())
        measured_real = library.measure_clips(real, size=size, on_progress=on_progress)
        if songs is None:
            songs = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            render_songs(songs, num_songs=num_songs, seed=seed, workers=workers, on_progress=on_progress)
        rendered = library.measure_songs(songs, size=size, frame_rate=rate, workers=workers, on_progress=on_progress)
    rows = library.compare(measured_real.clips, rendered.clips, seed)
    for side, measured in (("real", measured_real), ("rendered", rendered)):
        for skipped in measured.skipped:
            say(f"not measured ({side}): {skipped.name}: {skipped.reason}", err=True)
    if len(measured_real.clips) == 1:
        say(f"{real}: one clip, so each allowed range is one value; give more clips", err=True)
    print_table(_title(measured_real, rendered), [_cells(row) for row in rows], headings=_HEADINGS)
    if json_file is not None:
        text = json.dumps(library.as_json(measured_real, rendered, rows), indent=1)
        write_bytes(json_file, f"{text}\n".encode())
    if sheet is not None:
        with atomic_path(sheet) as temporary:
            library.draw_sheet(measured_real.clips, rendered.clips, seed=seed).save(temporary, format="PNG")
    if outside := [row.name for row in rows if not row.is_within]:
        raise InputError(
            f"likeness: the rendered median is out of bounds or not defined: {', '.join(outside)}; see the last column"
        )


@bench_app.command()
def letters(
    work: Work = Path("work"),
    reviews: Annotated[Path | None, typer.Option(help="Decisions of people; default: WORK/reviews.csv.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all values to this JSON file.")] = None,
) -> None:
    """Measure the automatic segments of WORK against the decisions of people, in videos that are complete.

    F1 counts a segment as right if its letter is right and its IoU with the true one is at least 0.5, or 0.75.

    Example: phonics-data bench letters --work work --reviews reviews.csv
    """
    from phonics_data.cli.progress import print_table
    from phonics_data.contract.files import write_bytes
    from phonics_data.report import letters as library
    from phonics_data.stages.reviewed_segments import REVIEWS_FILE
    from phonics_data.storage.reviews import read_reviews
    from phonics_data.storage.workspace import Workspace

    workspace = Workspace(work, must_exist=True)
    found = library.measure_letters(workspace, read_reviews(reviews or work / REVIEWS_FILE))
    print_table(f"{len(found.rows)} reviewed videos", library.table(found), headings=library.HEADINGS)
    for line in found.not_measured:
        say(f"not measured: {line}", err=True)
    if json_file is not None:
        write_bytes(json_file, f"{json.dumps(dataclasses.asdict(found), indent=1)}\n".encode())


_HEADINGS = (
    "value",
    "real: 10 25 50 75 90 %",
    "95 % of real median",
    "rendered: 10 25 50 75 90 %",
    "undefined",
    "allowed",
)


def _title(real: Measured, rendered: Measured) -> str:
    return (
        f"{len(real.clips)} real clips, {len(rendered.clips)} phrases of "
        f"{len({clip.source for clip in rendered.clips})} rendered songs"
    )


def _cells(row: LikenessRow) -> tuple[str, ...]:
    undefined = "" if row.num_undefined == (0, 0) else f"{row.num_undefined[0]} real, {row.num_undefined[1]} rendered"
    allowed = ""
    if not row.real or not row.rendered:
        allowed = f"not defined on any {'real' if not row.real else 'rendered'} clip"
    elif row.allowed is not None:
        allowed = f"{_numbers(row.allowed, ' to ')}: {'within' if row.is_within else 'OUTSIDE'}"
    return (
        row.name,
        _numbers(row.real),
        _numbers(row.real_median_interval or (), " to "),
        _numbers(row.rendered),
        undefined,
        allowed,
    )


def _numbers(values: tuple[float, ...], separator: str = " ") -> str:
    return separator.join(f"{value:.3g}" for value in values)
