"""The commands `phonics-data import ...`: datasets from labelled videos on this machine."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonics_data.cli.option_groups import option_groups
from phonics_data.cli.options import ExecutorArguments, Out, ReviewsFile, ShardArguments, Work, Workers, read_decisions
from phonics_data.contract.console import say
from phonics_data.errors import InputError, OptionError

if TYPE_CHECKING:
    from phonics_data.executors.executor import Executor
    from phonics_data.sources.importer import LabelledFile
    from phonics_data.stages.shard.options import ShardOptions
    from phonics_data.storage.workspace import Workspace
    from phonics_data.types import LabelSource

import_app = typer.Typer(no_args_is_help=True, help="Build a dataset from labelled videos on this machine.")


def _import_and_shard(
    workspace: Workspace,
    files: list[LabelledFile],
    out: Path,
    options: ShardOptions,
    *,
    evidence: LabelSource,
    workers: int,
    executor: Executor,
    reviews: str = "none",
) -> None:
    """Import, apply the decisions of people, shard.

    Args:
        reviews: `ReviewsFile`; decisions name letters, so only imports of letters have them.
    """
    from phonics_data.cli.progress import print_counts, print_dataset, progress
    from phonics_data.segmentation.length import LengthLimits
    from phonics_data.sources.importer import import_files
    from phonics_data.stages.reviewed_segments import review_given_segments, workspace_reviews
    from phonics_data.stages.shard.stage import locked_folder, shard

    def limits(source_rate: Fraction) -> LengthLimits:
        """Given clips may have any length, so those of decisions may too."""
        return LengthLimits(frame_rate=options.clip_rate(source_rate), min_frames=1, max_frames=1_000_000)

    decisions = read_decisions(reviews)
    if options.label_set != "letters":
        if decisions is not None and decisions.rows:
            raise OptionError("--reviews", reviews, "only with the label set letters")
        reviews = "none"
    with locked_folder(out), progress() as on_progress:
        count = import_files(
            workspace, files, evidence=evidence, workers=workers, on_progress=on_progress, executor=executor
        )
        if reviews != "none":
            decisions = workspace_reviews(workspace) if decisions is None else decisions
            count = replace(count, notes=review_given_segments(workspace, decisions, limits))
        print_counts([count])  # at once: the second one may keep nothing
        print_counts([shard(workspace, out, options, workers=workers, on_progress=on_progress, executor=executor)])
    print_dataset(out)


@import_app.command("folder")
@option_groups
def import_folder(
    *,
    folder: Annotated[Path, typer.Argument(help="Folder with one subfolder of videos per class.")],
    work: Work = Path("work"),
    out: Out = Path("dataset"),
    workers: Workers = 1,
    reviews: ReviewsFile = "",
    where: ExecutorArguments,
    arguments: ShardArguments,
    table: Annotated[
        Path | None, typer.Option("--csv", help="CSV with path, label, and optionally start, end, object_word.")
    ] = None,
    label_set: Annotated[
        str | None, typer.Option(help="Name of the label set; `letters` for A to Z. Default: name of the folder.")
    ] = None,
) -> None:
    """Import videos from subfolders (one per class), or from the rows of a CSV.

    Example: phonics-data import folder clips --label-set animals --work work --out dataset
    """
    from phonics_data.sources.folder import files_by_csv, files_by_subfolder
    from phonics_data.storage.workspace import Workspace

    options = arguments.options(label_set or folder.absolute().name)
    files = files_by_csv(folder, table) if table is not None else files_by_subfolder(folder)
    executor = where.executor_of(work)
    workspace = Workspace(work)
    with workspace.lock():
        evidence: LabelSource = "folder" if table is None else "csv"
        _import_and_shard(
            workspace, files, out, options, evidence=evidence, workers=workers, executor=executor, reviews=reviews
        )


@import_app.command("grid")
@option_groups
def import_grid(
    *,
    folder: Annotated[Path, typer.Argument(help="Folder with the files <speaker>/<sentence>.mpg.")],
    work: Work = Path("work"),
    out: Out = Path("dataset"),
    workers: Workers = 1,
    reviews: ReviewsFile = "",
    where: ExecutorArguments,
    arguments: ShardArguments,
    label: Annotated[
        str, typer.Option(help="speaker (whole sentences), or letter (only the seconds of the sentence's letter).")
    ] = "speaker",
    min_frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Only for --label letter: minimum length of a clip, in frames; the sentence around the letter fills it. "
            "Default: 14.",
        ),
    ] = None,
) -> None:
    """Import the GRID corpus. The letters need its alignments (.align).

    Example: phonics-data import grid GRID --label letter --work work --out dataset
    """
    from typing import cast, get_args

    from phonics_data.sources.grid import GridLabel, grid_files
    from phonics_data.storage.workspace import Workspace

    if label not in get_args(GridLabel):
        raise OptionError("--label", label, ", ".join(get_args(GridLabel)))
    if min_frames is not None and label != "letter":
        raise OptionError("--min-frames", min_frames, "only --label letter; a whole sentence is one clip of any length")
    options = arguments.options("letters" if label == "letter" else "grid", near_duplicates=False)
    files = grid_files(folder, cast("GridLabel", label), frame_rate=options.frame_rate, min_frames=min_frames or 14)
    executor = where.executor_of(work)
    workspace = Workspace(work)
    with workspace.lock():
        _import_and_shard(
            workspace, files, out, options, evidence="grid", workers=workers, executor=executor, reviews=reviews
        )


@import_app.command("phonics")
@option_groups
def import_phonics(
    *,
    folder: Annotated[Path, typer.Argument(help="Folder with the files <source>_<clip>.mp4.")],
    work: Work = Path("work"),
    out: Out = Path("dataset"),
    workers: Workers = 1,
    reviews: ReviewsFile = "",
    where: ExecutorArguments,
    arguments: ShardArguments,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV with file, letter, word. Default: letter and word are read from the screen."),
    ] = None,
) -> None:
    """Import clips of the Phonics dataset as its authors published them, and videos that their model made.

    Each file is one clip. All clips of one source are in one split.

    Example: phonics-data import phonics clips --labels labels.csv --frame-rate source --work work --out dataset
    """
    from phonics_data.cli.progress import progress
    from phonics_data.sources.phonics import phonics_files
    from phonics_data.storage.workspace import Workspace

    options = arguments.options("letters")
    executor = where.executor_of(work)
    workspace = Workspace(work)
    with workspace.lock():
        with progress() as on_progress:
            files = phonics_files(
                folder, labels, workspace=workspace, workers=workers, on_progress=on_progress, executor=executor
            )
        _import_and_shard(
            workspace, files, out, options, evidence="csv", workers=workers, executor=executor, reviews=reviews
        )


@import_app.command("vidtimit")
@option_groups
def import_vidtimit(
    *,
    folder: Annotated[Path, typer.Argument(help="Folder with fadg0, faks0, ...; created by --download.")],
    work: Work = Path("work"),
    out: Out = Path("dataset"),
    workers: Workers = 1,
    where: ExecutorArguments,
    arguments: ShardArguments,
    download: Annotated[
        bool, typer.Option("--download", help="First download missing files from the public record. Resumable.")
    ] = False,
) -> None:
    """Import VidTIMIT: 43 speakers with ten sentences each. First read its terms: https://conradsanderson.id.au/vidtimit/

    Every split contains all speakers; --split-ratios 1,0,0 puts all clips in one split.

    Example: phonics-data import vidtimit vidtimit --download --work work --out dataset
    """
    from phonics_data.cli.progress import progress
    from phonics_data.sources.vidtimit import EXPECTED_CLIPS, vidtimit_files
    from phonics_data.sources.vidtimit import download as run_download
    from phonics_data.storage.workspace import Workspace

    options = arguments.options("vidtimit", near_duplicates=False)
    if download:
        with progress() as on_progress:
            run_download(folder, on_progress=on_progress)
    executor = where.executor_of(work)
    workspace = Workspace(work)
    with workspace.lock():
        with progress() as on_progress:
            files = vidtimit_files(workspace, folder, on_progress=on_progress)
        second_copies = sum(file.fault is not None and file.fault.reason == "near_duplicate" for file in files)
        if (num_found := len(files) - second_copies) != EXPECTED_CLIPS:
            say(f"{folder}: contains {num_found} of the {EXPECTED_CLIPS} sentences of the corpus", err=True)
        _import_and_shard(workspace, files, out, options, evidence="vidtimit", workers=workers, executor=executor)


@import_app.command("labels")
def import_labels(
    files: Annotated[
        list[Path], typer.Argument(help="Label files: .txt (Audacity), .eaf (ELAN), .TextGrid (Praat), .csv.")
    ],
    work: Work = Path("work"),
    video: Annotated[str, typer.Option(help="With one file: id of its video. Default: the file name.")] = "",
    tier: Annotated[str, typer.Option(help="Tier of the letters in ELAN and Praat files.")] = "letters",
    partial: Annotated[
        bool, typer.Option("--partial", help="The files lack letters: keep automatic segments without a label.")
    ] = False,
    reviewer: Annotated[str, typer.Option(help="Name in reviews.csv; default: the user of this machine.")] = "",
) -> None:
    """Import labels from other programs as decisions about the segments of WORK (reviews.csv). Run `segment`, or the import of WORK, afterwards.

    A label is a letter, or a letter and its object word: "A apple". The labels replace all decisions about their video. Needs the extra
    `review` for ELAN and Praat files. `phonics-data export-labels` writes the same formats.

    Example: phonics-data import labels song-0003.TextGrid song-0004.TextGrid --work work
    """
    from phonics_data.review.label_exchange import import_labels as run
    from phonics_data.review.serve import checked_reviewer
    from phonics_data.review.store import ReviewStore
    from phonics_data.storage.workspace import Workspace

    if video and len(files) > 1:
        raise OptionError("--video", video, "only with one file; name several files as their videos")
    reviewer = checked_reviewer(reviewer)
    store = ReviewStore(Workspace(work, must_exist=True))
    is_import = False
    faults: list[str] = []
    with store.locked():
        for path in files:
            video_id = video or path.stem
            try:
                number, replaced = run(store, path, video_id, tier=tier, reviewer=reviewer, is_complete=not partial)
            except InputError as error:
                faults.append(str(error))
                continue
            say(f"{video_id}: {number} labels, {replaced} of them about an automatic segment")
            is_import = store.is_import(video_id)
    if len(faults) == len(files) == 1:
        raise InputError(faults[0])
    for fault in faults:
        say(fault, err=True)
    if len(faults) < len(files):
        say("next: the same `phonics-data import` again" if is_import else f"next: phonics-data segment --work {work}")
    if faults:
        raise InputError(
            f"import labels: {len(faults)} of {len(files)} files were not imported; the reasons are listed above"
        )
