"""The commands `phonics-data import ...`: other doors into the line, for media that lie on this machine already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonics_data.cli.options import (
    Fit,
    FrameRate,
    LabelSetName,
    Out,
    Seed,
    Size,
    SplitRatios,
    Work,
    Workers,
    print_counts,
    shard_options,
)
from phonics_data.errors import OptionError

if TYPE_CHECKING:
    from phonics_data.sources.collect import LabelledFile
    from phonics_data.stages.shard.options import ShardOptions
    from phonics_data.storage.workspace import Workspace

import_app = typer.Typer(no_args_is_help=True, help="Make a dataset of media that lie on this machine already.")


def _take_in(
    workspace: Workspace, files: list[LabelledFile], out: Path, options: ShardOptions, *, evidence: str, workers: int
) -> None:
    from phonics_data.cli.progress import progress
    from phonics_data.report import write_report
    from phonics_data.sources.collect import collect
    from phonics_data.stages.shard.stage import shard as run

    with progress() as on_progress:
        counts = [collect(workspace, files, evidence=evidence, workers=workers, on_progress=on_progress)]
        counts.append(run(workspace, out, options, workers=workers, on_progress=on_progress))
    print_counts(counts)
    typer.echo(f"dataset: {out}   page: {write_report(out)}")


@import_app.command("folder")
def import_folder(
    folder: Annotated[Path, typer.Argument(help="Folder with a subfolder of videos for each class.")],
    table: Annotated[
        Path | None, typer.Option("--csv", help="CSV with path, label, and perhaps start, end, object_word.")
    ] = None,
    label_set: LabelSetName = None,
    work: Work = Path("work"),
    out: Out = Path("dataset"),
    frame_rate: FrameRate = "25",
    size: Size = 64,
    fit: Fit = "crop",
    split_ratios: SplitRatios = "0.8,0.1,0.1",
    seed: Seed = 0,
    workers: Workers = 1,
) -> None:
    """Videos in subfolders (the subfolder is the class), or as a CSV says.

    Example: phonics-data import folder clips --label-set animals --work work --out dataset
    """
    from phonics_data.sources.folder import files_by_csv, files_by_subfolder
    from phonics_data.storage.workspace import Workspace

    name = label_set or folder.absolute().name
    options = shard_options(
        frame_rate=frame_rate, size=size, fit=fit, split_ratios=split_ratios, seed=seed, label_set=name
    )
    files = files_by_csv(folder, table) if table is not None else files_by_subfolder(folder)
    workspace = Workspace(work)
    with workspace.lock():
        _take_in(workspace, files, out, options, evidence="folder" if table is None else "csv", workers=workers)


@import_app.command("grid")
def import_grid(
    folder: Annotated[Path, typer.Argument(help="Folder with <speaker>/<sentence>.mpg below it.")],
    label: Annotated[str, typer.Option("--label", help="speaker, or letter (the one in the sentence).")] = "speaker",
    work: Work = Path("work"),
    out: Out = Path("dataset"),
    frame_rate: FrameRate = "25",
    size: Size = 64,
    split_ratios: SplitRatios = "0.8,0.1,0.1",
    seed: Seed = 0,
    workers: Workers = 1,
) -> None:
    """The GRID corpus.

    Example: phonics-data import grid GRID --label letter --work work --out dataset
    """
    from typing import cast, get_args

    from phonics_data.sources.grid import GridLabel, grid_files
    from phonics_data.storage.workspace import Workspace

    if label not in get_args(GridLabel):
        raise OptionError("--label", label, ", ".join(get_args(GridLabel)))
    options = shard_options(
        frame_rate=frame_rate, size=size, split_ratios=split_ratios, seed=seed, near_duplicates=False,
        label_set="letters" if label == "letter" else "grid",
    )  # fmt: skip
    files = grid_files(folder, cast("GridLabel", label))
    workspace = Workspace(work)
    with workspace.lock():
        _take_in(workspace, files, out, options, evidence="grid", workers=workers)


@import_app.command("vidtimit")
def import_vidtimit(
    folder: Annotated[Path, typer.Argument(help="Folder with fadg0, faks0, ... in it; made by --download.")],
    download: Annotated[
        bool, typer.Option("--download", help="First get what is missing from the public record; it resumes.")
    ] = False,
    work: Work = Path("work"),
    out: Out = Path("dataset"),
    size: Size = 64,
    split_ratios: SplitRatios = "0.8,0.1,0.1",
    seed: Seed = 0,
    workers: Workers = 1,
) -> None:
    """VidTIMIT: 43 speakers, ten sentences each. Read its terms at https://conradsanderson.id.au/vidtimit/ first.

    Every speaker comes into every split; --split-ratios 1,0,0 keeps the corpus whole.

    Example: phonics-data import vidtimit vidtimit --download --work work --out dataset
    """
    from phonics_data.cli.progress import progress
    from phonics_data.sources.vidtimit import EXPECTED_CLIPS, vidtimit_files
    from phonics_data.sources.vidtimit import download as get
    from phonics_data.storage.workspace import Workspace

    options = shard_options(
        size=size, split_ratios=split_ratios, seed=seed, near_duplicates=False, label_set="vidtimit"
    )
    if download:
        with progress() as on_progress:
            get(folder, on_progress=on_progress)
    workspace = Workspace(work)
    with workspace.lock():
        with progress() as on_progress:
            files = vidtimit_files(workspace, folder, on_progress=on_progress)
        if len(files) != EXPECTED_CLIPS:
            typer.echo(f"{folder}: holds {len(files)} sentences of the corpus's {EXPECTED_CLIPS}", err=True)
        _take_in(workspace, files, out, options, evidence="vidtimit", workers=workers)
