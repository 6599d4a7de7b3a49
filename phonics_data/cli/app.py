"""The command `phonics-data`: parses options, calls the library, prints results.

Heavy libraries are imported inside the commands, so that ``--help`` is fast.
"""

from __future__ import annotations

import dataclasses
import logging
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from phonics_data import __version__
from phonics_data.cli.bench import bench_app
from phonics_data.cli.config_file import ConfigFile, open_workspace
from phonics_data.cli.import_ import import_app
from phonics_data.cli.manifest import manifest_app
from phonics_data.cli.option_groups import option_groups
from phonics_data.cli.options import (
    AnyDataset,
    AsJson,
    Dataset,
    ExecutorArguments,
    FetchArguments,
    FetchWorkers,
    Manifest,
    Out,
    PartOption,
    SegmentArguments,
    ShardArguments,
    TranscribeArguments,
    Work,
    Workers,
    parse_part,
)
from phonics_data.cli.push import push
from phonics_data.cli.review import export_labels, review
from phonics_data.cli.show import show
from phonics_data.contract.address import is_address, local_path, shown
from phonics_data.contract.console import printable_json, say
from phonics_data.contract.program import PrintableGroup, set_up_console
from phonics_data.errors import UNUSABLE_PATH, InputError, OptionError, PhonicsDataError, UsageError, check_platform

if TYPE_CHECKING:
    from phonics_data.sources.synthetic.song_plan import Family

app = typer.Typer(
    name="phonics-data",
    cls=PrintableGroup,
    help="Build a dataset of short clips, each of one letter, from alphabet songs on the web.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)

app.add_typer(import_app, name="import")
app.add_typer(manifest_app, name="manifest")
app.add_typer(bench_app, name="bench")


@app.callback(invoke_without_command=True)
def common(
    ctx: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False
) -> None:
    if version:
        say(f"phonics-data {__version__}")
        raise typer.Exit


@app.command()
def render(
    out: Annotated[Path, typer.Argument(help="Folder to write the songs into.")],
    songs: Annotated[int, typer.Option(min=1, help="Number of songs.")] = 24,
    seed: Annotated[int, typer.Option(help="Random seed; equal seeds give equal songs.")] = 1,
    family: Annotated[
        str,
        typer.Option(
            help="phrases: songs in the styles of channels, a picture for each object word. "
            "letters: whole alphabets, letters that move with the syllables."
        ),
    ] = "phrases",
    test_songs: Annotated[
        int,
        typer.Option(min=0, help="Number of further songs for the split test. 0: test songs are chosen among --songs."),
    ] = 0,
    test_seed: Annotated[int | None, typer.Option(help="Random seed of the test songs, other than --seed.")] = None,
    unseen_style_songs: Annotated[
        int, typer.Option(min=0, help="Number of further songs for the split unseen-styles.")
    ] = 0,
    workers: Workers = 2,
) -> None:
    """Render alphabet songs with exact ground truth, for tests, benchmarks and demos without network.

    Example: phonics-data render songs --songs 60 --seed 1
    """
    from phonics_data.cli.progress import progress
    from phonics_data.sources.synthetic.render import render_songs

    with progress() as on_progress:
        render_songs(
            out,
            num_songs=songs,
            seed=seed,
            family=cast("Family", family),
            test_songs=test_songs,
            test_seed=test_seed,
            unseen_style_songs=unseen_style_songs,
            workers=workers,
            on_progress=on_progress,
        )
    num_all = songs + test_songs + unseen_style_songs
    say(f"{num_all} songs; manifest: {out}/manifest.csv   ground truth: {out}/truth.parquet")


@app.command()
def serve(
    songs: Annotated[Path, typer.Argument(help="Folder written by `phonics-data render`.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 selects a free port.")] = 8000,
) -> None:
    """Serve rendered songs on this machine, as web pages from which yt-dlp can fetch.

    Example: phonics-data serve songs, and in another terminal: phonics-data build http://127.0.0.1:8000/manifest.csv ...
    """
    from phonics_data.sources.synthetic.site import SongSite

    with SongSite(songs, port=port) as site:
        say(f"serving {site.url}/manifest.csv until Ctrl-C")
        site.wait()


@app.command()
@option_groups
def fetch(
    *,
    ctx: typer.Context,
    manifest: Manifest,
    config: ConfigFile,
    work: Work = Path("work"),
    workers: FetchWorkers = 1,
    part: PartOption = None,
    arguments: FetchArguments,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be fetched, and its estimated size.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")] = False,
) -> None:
    """Fetch the videos of a manifest with their captions, and check them. Resumable.

    Example: phonics-data fetch manifests/alphabet.csv --work work --dry-run
    """
    from phonics_data.cli.progress import check_kept, print_counts
    from phonics_data.stages.fetch.display import display, print_preview
    from phonics_data.stages.fetch.stage import fetch as run
    from phonics_data.storage.manifest import read_manifest

    options, chosen_part = arguments.options(workers), parse_part(part)
    videos = read_manifest(manifest)
    if dry_run:
        from phonics_data.stages.fetch.preview import preview_fetch

        print_preview(preview_fetch(work, videos, options, chosen_part), as_json=as_json)
        return
    with open_workspace(ctx, work, part=chosen_part) as workspace, display(as_json=as_json) as progress:
        count = run(workspace, videos, options, manifest=manifest, progress=progress, part=chosen_part)
    if as_json:
        say(printable_json({"event": "counted", **dataclasses.asdict(count)}))
    else:
        print_counts([count])
        if chosen_part is None and (excluded := len(videos) - count.num_in):
            say(f"{excluded} rows of the manifest were excluded by --only, --letters or --tier {options.max_tier}")
    if chosen_part is None:
        check_kept(count, workspace)


@app.command()
@option_groups
def transcribe(
    *,
    ctx: typer.Context,
    config: ConfigFile,
    work: Work = Path("work"),
    workers: Workers = 1,
    part: PartOption = None,
    where: ExecutorArguments,
    arguments: TranscribeArguments,
) -> None:
    """Get words with times from captions or speech recognition (words.parquet), and run OCR if they are uncertain.

    Example: phonics-data transcribe --work work --engine whisper --model small.en
    Example: phonics-data transcribe --work work --engine google --max-minutes 30
    """
    from phonics_data.cli.google_upload import confirm_upload, print_waiting_videos
    from phonics_data.cli.progress import check_kept, print_counts, progress
    from phonics_data.stages.transcribe import transcribe as run

    options, chosen_part, executor = arguments.options(), parse_part(part), where.executor_of(work)
    with open_workspace(ctx, work, must_exist=True, part=chosen_part) as workspace:
        options = confirm_upload(workspace, options, chosen_part)
        with progress() as on_progress:
            count = run(
                workspace, options, workers=workers, on_progress=on_progress, part=chosen_part, executor=executor
            )
        print_counts([count])
        if chosen_part is not None:
            return
        print_waiting_videos(workspace, options)
    check_kept(count, workspace)


@app.command()
@option_groups
def segment(
    *,
    ctx: typer.Context,
    config: ConfigFile,
    work: Work = Path("work"),
    workers: Workers = 1,
    arguments: SegmentArguments,
) -> None:
    """Find the interval of each letter in each video (segments.parquet), and apply the decisions of people.

    Example: phonics-data segment --work work --max-frames 120
    """
    from phonics_data.cli.progress import check_kept, print_counts, print_limits, progress
    from phonics_data.stages.segment import segment as run

    options, reviews = arguments.options(), arguments.decisions()
    with open_workspace(ctx, work, must_exist=True) as workspace, progress() as on_progress:
        count = run(workspace, options, workers=workers, on_progress=on_progress, reviews=reviews)
    print_counts([count])
    print_limits(workspace)
    check_kept(count, workspace)


@app.command()
@option_groups
def shard(
    *,
    ctx: typer.Context,
    config: ConfigFile,
    work: Work = Path("work"),
    out: Out = Path("dataset"),
    workers: Workers = 1,
    part: PartOption = None,
    where: ExecutorArguments,
    arguments: ShardArguments,
    label_set: Annotated[
        str, typer.Option(help="Name of the label set; for imported labels, the name given at import.")
    ] = "letters",
) -> None:
    """Cut the clips, filter and split them, and write the shards with their metadata.

    Example: phonics-data shard --work work --out dataset --size 64
    """
    from phonics_data.cli.progress import print_counts, print_dataset, progress
    from phonics_data.stages.shard.stage import shard as run

    options, chosen_part, executor = arguments.options(label_set), parse_part(part), where.executor_of(work)
    with open_workspace(ctx, work, must_exist=True, part=chosen_part) as workspace, progress() as on_progress:
        count = run(
            workspace, out, options, workers=workers, on_progress=on_progress, part=chosen_part, executor=executor
        )
    print_counts([count])
    if chosen_part is None:
        print_dataset(out)


@app.command()
@option_groups
def build(
    *,
    ctx: typer.Context,
    manifest: Manifest,
    config: ConfigFile,
    work: Work = Path("work"),
    out: Out = Path("dataset"),
    workers: Workers = 1,
    fetch_workers: FetchWorkers = 1,
    fetch: FetchArguments,
    transcribe: TranscribeArguments,
    segment: SegmentArguments,
    shard: ShardArguments,
) -> None:
    """Run fetch, transcribe, segment and shard in order. Resumable.

    Example: phonics-data build songs/manifest.csv --work work --out dataset --workers 2
    """
    from phonics_data.cli.google_upload import with_upload_messages
    from phonics_data.cli.progress import print_counts, print_dataset, progress, require_kept, with_limit_messages
    from phonics_data.stages.pipeline import BuildOptions
    from phonics_data.stages.pipeline import build as run
    from phonics_data.storage.manifest import read_manifest

    if transcribe.engine == "google" and not transcribe.yes:
        raise UsageError(
            "build --engine google sends audio without confirmation: add --yes, and limit the amount with --max-minutes; "
            "`phonics-data transcribe` prints the amount and asks for confirmation"
        )
    options = BuildOptions(
        fetch=fetch.options(fetch_workers),
        transcribe=transcribe.options(),
        segment=segment.options(),
        shard=shard.options(),
    )
    reviews = segment.decisions()
    videos = read_manifest(manifest)
    with open_workspace(ctx, work) as workspace, progress() as on_progress:
        stages = run(workspace, videos, out, options, workers=workers, on_progress=on_progress, reviews=reviews)
        with closing(stages):
            # Innermost, so that all messages about a stage are printed before its error.
            counts = require_kept(stages, workspace)
            print_counts(with_limit_messages(with_upload_messages(counts, workspace, options.transcribe), workspace))
    print_dataset(out)


@app.command()
def status(
    work: Work = Path("work"),
    videos: Annotated[bool, typer.Option("--videos", help="List all failed videos, not only the first ten.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the state of WORK, the rejections by reason, and the next command.

    Example: phonics-data status --work work
    """
    from phonics_data.cli.progress import print_table
    from phonics_data.stages.fetch.ledger import fetch_report
    from phonics_data.stages.pipeline import workspace_status
    from phonics_data.storage.workspace import Workspace

    workspace = Workspace(work, must_exist=True)
    state, report = workspace_status(workspace), fetch_report(workspace)
    if as_json:
        tables = [dataclasses.asdict(table) for table in state.tables]
        shown = {"work": str(work), "tables": tables, "next_command": state.next_command}
        _print_json({**shown, "fetch": dataclasses.asdict(report)})
        return
    print_table(f"{work}", state.rows, headings=("table", "rows", "rejections"))
    if state.nothing_kept:
        say(state.nothing_kept)
    say(f"next: {state.next_command}")
    if not report.by_status:
        return
    counts = ", ".join(f"{status} {number}" for status, number in sorted(report.by_status.items()))
    say("", f"fetch: {counts}")
    for line in report.lines if videos else report.lines[:10]:
        say(f"  {line}")
    if len(report.lines) > 10 and not videos:
        say(f"  and {len(report.lines) - 10} more (--videos lists all)")
    for command in report.next_commands:
        say(f"fetch again: {command}")


# One in 64 ids of YouTube begins with a dash; no option of this command has one letter.
app.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})(show)
app.command()(review)
app.command("export-labels")(export_labels)


@app.command()
def doctor(
    work: Work = Path("work"),
    cookies: Annotated[Path | None, typer.Option(help="Cookie file to check, in Netscape format.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that this machine has everything that is needed, in a sufficient version; print how to install the rest.

    Linux is tested, macOS is not; on Windows, use WSL2.

    Example: phonics-data doctor --cookies cookies.txt
    """
    from phonics_data.cli.doctor import examine
    from phonics_data.cli.progress import print_table

    checks = examine(work, cookies=cookies)
    missing = [check.name for check in checks if check.state == "missing"]
    if as_json:
        _print_json({"checks": [dataclasses.asdict(check) for check in checks], "missing": missing})
    else:
        print_table("Checks", [(check.state, check.name, check.found, check.advice) for check in checks])
    if missing:
        raise InputError(f"doctor: {', '.join(missing)} missing; see the last column for what to do")


@app.command()
def verify(
    dataset: AnyDataset,
    repair: Annotated[bool, typer.Option("--repair", help="Write damaged shards again from --work.")] = False,
    work: Work = Path("work"),
    as_json: AsJson = False,
) -> None:
    """Check a dataset: checksums, all samples, metadata against shards, no source in two splits.

    Of a dataset at an address, every file is copied once into a temporary folder, and shards one at a time.

    Example: phonics-data verify dataset --repair --work work
    Example: phonics-data verify s3://bucket/dataset
    """
    from phonics_data.report.verify import verify as run

    name = shown(dataset)
    rewritten: list[str] = []
    if repair:
        from phonics_data.cli.progress import progress
        from phonics_data.report import write_report
        from phonics_data.report.repair import repair as run_repair
        from phonics_data.storage.workspace import Workspace

        folder = local_path(dataset, "DATASET with --repair")
        workspace = Workspace(work, must_exist=True)
        with workspace.lock(), progress() as on_progress:
            repaired = run_repair(folder, workspace, on_progress=on_progress)
        write_report(folder)
        rewritten, result = list(repaired.rewritten), repaired.after
    else:
        result = run(dataset)
    if as_json:
        _print_json({"dataset": name, "rewritten": rewritten, **dataclasses.asdict(result)})
    else:
        if repair:
            say(f"{name}: written again: {', '.join(rewritten) or 'no shard'}")
        for fault in result.faults:
            say(fault)
    if result.faults:
        repaired_by = "`phonics-data push` of the whole dataset sends what differs again"
        if not is_address(dataset):
            repaired_by = f"`phonics-data verify {dataset} --repair --work WORK` repairs them"
        raise InputError(f"{name}: {len(result.faults)} faults; {repaired_by}")
    if not as_json:
        what = f"{result.num_samples} samples in {result.num_shards} shards"
        if not result.num_shards:
            what = f"tables of {result.num_rows} clips, published without the shards"
        say(f"{name}: {what}, no fault")


@app.command()
def stats(dataset: Dataset, as_json: AsJson = False) -> None:
    """Count the clips by class, split and evidence, and update report.html.

    Example: phonics-data stats dataset
    """
    from phonics_data.cli.progress import print_table
    from phonics_data.report import write_report
    from phonics_data.report.stats import stats as run

    tables = run(dataset)
    page = write_report(dataset)
    if as_json:
        plain = {table.key: table.as_plain() for table in tables}
        _print_json({"dataset": str(dataset), "page": str(page), **plain})
        return
    for table in tables:
        print_table(table.title, table.rows, headings=table.headings)
    say(f"page: {page}")


@app.command()
def export(
    dataset: Dataset,
    out: Annotated[Path, typer.Argument(help="Folder to write, empty or new.")],
    layout: Annotated[
        str, typer.Option(help="folder (mp4 and wav by split and class), or huggingface (a videofolder).")
    ] = "folder",
) -> None:
    """Write every clip as a plain file, and the metadata as CSV or JSON lines.

    Example: phonics-data export dataset clips --layout folder
    """
    from typing import get_args

    from phonics_data.cli.progress import progress
    from phonics_data.dataset.export import Layout
    from phonics_data.dataset.export import export as run

    if layout not in get_args(Layout):
        raise OptionError("--layout", layout, ", ".join(get_args(Layout)))
    with progress() as on_progress:
        number = run(dataset, out, cast("Layout", layout), on_progress=on_progress)
    say(f"{out}: {number} clips")


app.command()(push)


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder for all files of the demo.")] = Path("demo"),
    songs: Annotated[int, typer.Option(min=4, help="Number of songs to render.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of songs and training; rendered-64 has seen those of 1.")] = 2,
    workers: Workers = 2,
    shuffle_audio: Annotated[
        bool,
        typer.Option(
            "--shuffle-audio",
            help="Control: train from random weights, with audio of other clips; the gates must fail.",
        ),
    ] = False,
    allow_missed_gates: Annotated[
        bool,
        typer.Option("--allow-missed-gates", help="Exit with 0 although the model misses a gate; print the reasons."),
    ] = False,
) -> None:
    """The whole pipeline on rendered songs: render, fetch over HTTP, build, generate, train, evaluate.

    Example: phonics-data demo demo
    """
    from phonics_data.cli.demo import DemoOptions, run_demo

    run_demo(
        out,
        DemoOptions(
            num_songs=songs,
            seed=seed,
            workers=workers,
            shuffle_audio=shuffle_audio,
            allow_missed_gates=allow_missed_gates,
        ),
    )


def _print_json(value: dict[str, Any]) -> None:
    say(*printable_json(value, indent=1).split("\n"))


INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM, as in shells."""


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point. Prints every user error as one line; exit code 2 for usage errors, 1 for failures and if nothing is kept."""
    set_up_console(logging.WARNING)
    signal.signal(signal.SIGTERM, _interrupt)  # clean up after SIGTERM as after Ctrl-C
    try:
        check_platform()
        app()
    except PhonicsDataError as error:
        say(f"phonics-data: {error}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, SystemExit) as end:  # KeyboardInterrupt: before or after a command
        code = INTERRUPTED if isinstance(end, KeyboardInterrupt) else end.code
        if code == INTERRUPTED:
            say("phonics-data: interrupted; finished items are kept, run the same command to continue", err=True)
        sys.exit(code)
    except OSError as error:
        if error.errno not in UNUSABLE_PATH:
            raise
        where = error.filename or "the disk"
        say(
            f"phonics-data: {where}: {error.strerror}; free space or choose another folder, then run it again", err=True
        )
        sys.exit(1)
    except MemoryError:
        say(
            "phonics-data: out of memory; finished items are kept, run the same command with fewer --workers to continue",
            err=True,
        )
        sys.exit(1)
