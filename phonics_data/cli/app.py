"""The command `phonics-data`: parses, builds options, calls the library, prints. Nothing is decided here.

Heavy imports stand inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from phonics_data import __version__
from phonics_data.cli.import_ import import_app
from phonics_data.cli.options import (
    Align,
    Browser,
    BucketName,
    CookieFile,
    Device,
    DropStatic,
    Engine,
    FetchWorkers,
    FiltersFile,
    Fit,
    FrameRate,
    FramesForm,
    GoogleApi,
    GoogleLocation,
    GoogleModel,
    GoogleProject,
    LimitRate,
    Manifest,
    MaxFrames,
    MaxHeight,
    MaxMinutes,
    MinFrames,
    Model,
    Ocr,
    Out,
    Proxy,
    Seed,
    ShardBytes,
    ShardLabelSet,
    Size,
    Sleep,
    SplitRatios,
    Tier,
    Work,
    Workers,
    Yes,
    google_options,
    parse_frame_rate,
    print_counts,
    print_waiting,
    shard_options,
    told_before_sending,
    transcribe_options,
    with_leave,
)
from phonics_data.cli.show import show
from phonics_data.errors import InputError, OptionError, PhonicsDataError, UsageError

app = typer.Typer(
    name="phonics-data",
    help="From alphabet songs on the web to a dataset of short videos, one letter each.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)

app.add_typer(import_app, name="import")


@app.callback(invoke_without_command=True)
def common(
    ctx: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False
) -> None:
    if version:
        typer.echo(f"phonics-data {__version__}")
        raise typer.Exit


@app.command()
def render(
    out: Annotated[Path, typer.Argument(help="Folder to write the songs into.")],
    songs: Annotated[int, typer.Option("--songs", min=1, help="How many songs.")] = 24,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same songs.")] = 1,
    workers: Workers = 2,
) -> None:
    """Render alphabet songs with exact truth: the offline default, test bed and benchmark.

    Example: phonics-data render songs --songs 60 --seed 1
    """
    from phonics_data.cli.progress import progress
    from phonics_data.sources.synthetic.render import render_songs

    with progress() as on_progress:
        render_songs(out, num_songs=songs, seed=seed, workers=workers, on_progress=on_progress)
    typer.echo(f"{out}/manifest.csv names {songs} songs, {out}/truth.parquet what they hold")


@app.command()
def serve(
    songs: Annotated[Path, typer.Argument(help="Folder that `phonics-data render` wrote.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
) -> None:
    """Serve rendered songs on this machine, as pages that yt-dlp can fetch from.

    Example: phonics-data serve songs, and elsewhere: phonics-data build http://127.0.0.1:8000/manifest.csv ...
    """
    from phonics_data.sources.synthetic.site import SongSite

    with SongSite(songs, port=port) as site:
        typer.echo(f"serving {site.url}/manifest.csv until Ctrl-C")
        site.wait()


@app.command()
def fetch(
    manifest: Manifest,
    work: Work = Path("work"),
    size: Size = 64,
    max_height: MaxHeight = None,
    cookies: CookieFile = None,
    cookies_from_browser: Browser = "",
    proxy: Proxy = "",
    limit_rate: LimitRate = "",
    sleep: Sleep = (5.0, 10.0),
    workers: FetchWorkers = 1,
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this video id; may be repeated.")] = None,
    letters: Annotated[str, typer.Option("--letters", help="Only rows that hold one of these, e.g. ABC.")] = "",
    tier: Tier = 2,
    retry: Annotated[
        str, typer.Option("--retry", help="Try again what an earlier run could not get: failed, gone, all.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be fetched, and about how large.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")] = False,
) -> None:
    """Get every video of a manifest with its captions, checked, into WORK; run it again to go on.

    Example: phonics-data fetch manifests/alphabet.csv --work work --dry-run
    """
    from phonics_data.stages.fetch.display import display, print_preview
    from phonics_data.stages.fetch.options import default_max_height, parse_rate, parse_retry
    from phonics_data.stages.fetch.stage import FetchOptions
    from phonics_data.stages.fetch.stage import fetch as run
    from phonics_data.storage.manifest import read_manifest
    from phonics_data.storage.workspace import Workspace

    options = FetchOptions(
        max_height=default_max_height(size) if max_height is None else max_height,
        cookies=cookies,
        cookies_from_browser=cookies_from_browser,
        proxy=proxy,
        limit_rate=parse_rate(limit_rate) if limit_rate else 0,
        sleep_seconds=sleep,
        workers=workers,
        only=tuple(only or ()),
        letters=letters,
        max_tier=tier,
        retry=parse_retry(retry),
    )
    videos = read_manifest(manifest)
    if dry_run:
        from phonics_data.stages.fetch.preview import preview

        print_preview(preview(work, videos, options), as_json=as_json)
        return
    workspace = Workspace(work)
    with workspace.lock(), display(as_json=as_json) as watch:
        count = run(workspace, videos, options, manifest=manifest, watch=watch)
    if as_json:
        typer.echo(json.dumps({"event": "counted", **dataclasses.asdict(count)}))
    else:
        print_counts([count])
        if left_out := len(videos) - count.num_in:
            typer.echo(f"{left_out} rows of the manifest were left out by --only, --letters or --tier {tier}")


@app.command()
def transcribe(
    work: Work = Path("work"),
    engine: Engine = "auto",
    model: Model = "tiny.en",
    device: Device = "auto",
    align: Align = "auto",
    ocr: Ocr = "auto",
    language: Annotated[str, typer.Option("--language", help="Language of the speech, e.g. en.")] = "en",
    ignore_captions: Annotated[
        bool, typer.Option("--ignore-captions", help="Take no words from captions, to see what the rest gives.")
    ] = False,
    yes: Yes = False,
    max_minutes: MaxMinutes = 60.0,
    google_api: GoogleApi = "v1",
    google_project: GoogleProject = "",
    google_location: GoogleLocation = "global",
    google_model: GoogleModel = "",
    bucket: BucketName = "",
    workers: Workers = 1,
) -> None:
    """Turn captions, else speech, into words with times (words.parquet), and read the screen where they leave doubt.

    Example: phonics-data transcribe --work work --engine whisper --model small.en
    Example: phonics-data transcribe --work work --engine google --max-minutes 30
    """
    from phonics_data.cli.progress import progress
    from phonics_data.stages.transcribe import transcribe as run
    from phonics_data.storage.workspace import Workspace

    options = transcribe_options(
        engine=engine, model=model, device=device, align=align, ocr=ocr, language=language,
        ignore_captions=ignore_captions,
        google=google_options(
            yes=yes, max_minutes=max_minutes, api=google_api, project=google_project, location=google_location,
            model=google_model, bucket=bucket,
        ),
    )  # fmt: skip
    workspace = Workspace(work, must_exist=True)
    with workspace.lock():
        options = with_leave(workspace, options)
        with progress() as on_progress:
            count = run(workspace, options, workers=workers, on_progress=on_progress)
        print_counts([count])
        print_waiting(workspace, options)


@app.command()
def segment(
    work: Work = Path("work"),
    frame_rate: FrameRate = "25",
    min_frames: MinFrames = 14,
    max_frames: MaxFrames = 100,
    workers: Workers = 1,
) -> None:
    """Find which seconds of each video belong to which letter (segments.parquet).

    Example: phonics-data segment --work work --max-frames 120
    """
    from phonics_data.cli.progress import progress
    from phonics_data.stages.segment import SegmentOptions
    from phonics_data.stages.segment import segment as run
    from phonics_data.storage.workspace import Workspace

    options = SegmentOptions(frame_rate=parse_frame_rate(frame_rate), min_frames=min_frames, max_frames=max_frames)
    workspace = Workspace(work, must_exist=True)
    with workspace.lock(), progress() as on_progress:
        count = run(workspace, options, workers=workers, on_progress=on_progress)
    print_counts([count])


@app.command()
def shard(
    work: Work = Path("work"),
    out: Out = Path("dataset"),
    frame_rate: FrameRate = "25",
    size: Size = 64,
    fit: Fit = "crop",
    frames: FramesForm = "npy",
    filters: FiltersFile = None,
    drop_static: DropStatic = False,
    split_ratios: SplitRatios = "0.8,0.1,0.1",
    shard_bytes: ShardBytes = 100_000_000,
    label_set: ShardLabelSet = "letters",
    seed: Seed = 0,
    workers: Workers = 1,
) -> None:
    """Cut the clips, filter and split them, and write the shards with their metadata.

    Example: phonics-data shard --work work --out dataset --size 64
    """
    from phonics_data.cli.progress import progress
    from phonics_data.report import write_report
    from phonics_data.stages.shard.stage import shard as run
    from phonics_data.storage.workspace import Workspace

    options = shard_options(
        frame_rate=frame_rate, size=size, fit=fit, filters=filters, drop_static=drop_static,
        split_ratios=split_ratios, shard_bytes=shard_bytes, seed=seed, frames=frames, label_set=label_set,
    )  # fmt: skip
    workspace = Workspace(work, must_exist=True)
    with workspace.lock(), progress() as on_progress:
        count = run(workspace, out, options, workers=workers, on_progress=on_progress)
    print_counts([count])
    typer.echo(f"dataset: {out}   page: {write_report(out)}")


@app.command()
def build(
    manifest: Manifest,
    work: Work = Path("work"),
    out: Out = Path("dataset"),
    max_height: MaxHeight = None,
    tier: Tier = 2,
    engine: Engine = "auto",
    model: Model = "tiny.en",
    device: Device = "auto",
    align: Align = "auto",
    ocr: Ocr = "auto",
    yes: Yes = False,
    max_minutes: MaxMinutes = 60.0,
    google_api: GoogleApi = "v1",
    google_project: GoogleProject = "",
    google_location: GoogleLocation = "global",
    google_model: GoogleModel = "",
    bucket: BucketName = "",
    frame_rate: FrameRate = "25",
    min_frames: MinFrames = 14,
    max_frames: MaxFrames = 100,
    size: Size = 64,
    fit: Fit = "crop",
    frames: FramesForm = "npy",
    filters: FiltersFile = None,
    drop_static: DropStatic = False,
    split_ratios: SplitRatios = "0.8,0.1,0.1",
    shard_bytes: ShardBytes = 100_000_000,
    seed: Seed = 0,
    workers: Workers = 1,
) -> None:
    """Run fetch, transcribe, segment and shard in order; run it again to go on where it stopped.

    Example: phonics-data build songs/manifest.csv --work work --out dataset --workers 2
    """
    from phonics_data.cli.progress import progress
    from phonics_data.report import write_report
    from phonics_data.stages.fetch.options import default_max_height
    from phonics_data.stages.fetch.stage import FetchOptions
    from phonics_data.stages.pipeline import BuildOptions
    from phonics_data.stages.pipeline import build as run
    from phonics_data.stages.segment import SegmentOptions
    from phonics_data.storage.manifest import read_manifest
    from phonics_data.storage.workspace import Workspace

    if engine == "google" and not yes:
        raise UsageError(
            "build --engine google sends sound without a question: say --yes, and how much with --max-minutes; "
            "`phonics-data transcribe` says what it would send and asks"
        )
    rate = parse_frame_rate(frame_rate)
    options = BuildOptions(
        fetch=FetchOptions(max_height=default_max_height(size) if max_height is None else max_height, max_tier=tier),
        transcribe=transcribe_options(
            engine=engine,
            model=model,
            device=device,
            align=align,
            ocr=ocr,
            google=google_options(
                yes=yes,
                max_minutes=max_minutes,
                api=google_api,
                project=google_project,
                location=google_location,
                model=google_model,
                bucket=bucket,
            ),
        ),
        segment=SegmentOptions(frame_rate=rate, min_frames=min_frames, max_frames=max_frames),
        shard=shard_options(
            frame_rate=frame_rate,
            size=size,
            fit=fit,
            filters=filters,
            drop_static=drop_static,
            split_ratios=split_ratios,
            shard_bytes=shard_bytes,
            seed=seed,
            frames=frames,
        ),
    )
    videos = read_manifest(manifest)
    workspace = Workspace(work)
    with workspace.lock(), progress() as on_progress:
        counts = run(workspace, videos, out, options, workers=workers, on_progress=on_progress)
        print_counts(told_before_sending(counts, workspace, options.transcribe))
    typer.echo(f"dataset: {out}   page: {write_report(out)}")


@app.command()
def status(
    work: Work = Path("work"),
    videos: Annotated[bool, typer.Option("--videos", help="Every video that is not ok, not the first ten.")] = False,
) -> None:
    """Say what is in WORK, what was left out and why, and which command goes on.

    Example: phonics-data status --work work
    """
    from phonics_data.cli.progress import print_table
    from phonics_data.stages.fetch.ledger import fetch_report
    from phonics_data.stages.pipeline import stage_status
    from phonics_data.storage.workspace import Workspace

    workspace = Workspace(work, must_exist=True)
    state = stage_status(workspace)
    print_table(f"{work}", state.rows, headings=("table", "rows", "rejections"))
    typer.echo(f"next: {state.next_command}")
    report = fetch_report(workspace)
    if not report.by_status:
        return
    counts = ", ".join(f"{status} {number}" for status, number in sorted(report.by_status.items()))
    typer.echo(f"\nfetch: {counts}")
    for line in report.lines if videos else report.lines[:10]:
        typer.echo(f"  {line}")
    if len(report.lines) > 10 and not videos:
        typer.echo(f"  and {len(report.lines) - 10} more (--videos shows all)")
    for command in report.next_commands:
        typer.echo(f"fetch again: {command}")


app.command()(show)


@app.command()
def doctor(
    work: Work = Path("work"),
    cookies: CookieFile = None,
) -> None:
    """Say what this machine lacks for the work, or has in too old a version, and how to mend it.

    Example: phonics-data doctor --cookies cookies.txt
    """
    from phonics_data.cli.doctor import examine
    from phonics_data.cli.progress import print_table

    checks = examine(work, cookies=cookies)
    print_table(
        "What this machine has", [(check.state, check.name, check.found, check.advice) for check in checks]
    )  # fmt: skip
    missing = [check.name for check in checks if check.state == "missing"]
    if missing:
        raise InputError(f"doctor: {', '.join(missing)} missing; the last column says what to do")


manifest_app = typer.Typer(
    name="manifest", help="Check, extend, compare and lock manifests.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(manifest_app)


@manifest_app.command("check")
def manifest_check(manifest: Manifest) -> None:
    """Name every fault of a manifest with its row and column.

    Example: phonics-data manifest check manifests/alphabet.csv
    """
    from phonics_data.storage.manifest import check_manifest

    faults = check_manifest(manifest)
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise InputError(f"{manifest}: {len(faults)} faults; correct the rows named above")
    typer.echo(f"{manifest}: no fault")


@manifest_app.command("add")
def manifest_add(
    urls: Annotated[list[str], typer.Argument(help="Pages of the videos.")],
    to: Annotated[Path, typer.Option("--to", help="CSV manifest to add to; made when it does not exist.")],
    cookies: CookieFile = None,
    cookies_from_browser: Browser = "",
    proxy: Proxy = "",
    sleep: Sleep = (1.0, 3.0),
) -> None:
    """Add rows from the videos' own pages, without downloading them; look over kind and letters afterwards.

    Example: phonics-data manifest add "https://www.youtube.com/watch?v=hq3yfQnllfQ" --to my.csv
    """
    from phonics_data.stages.fetch.describe import describe_urls
    from phonics_data.stages.fetch.options import FetchOptions
    from phonics_data.storage.manifest import add_rows
    from phonics_data.types import SourceVideo

    options = FetchOptions(cookies=cookies, cookies_from_browser=cookies_from_browser, proxy=proxy, sleep_seconds=sleep)
    num_failed = 0
    for found in describe_urls(urls, options):
        if isinstance(found, SourceVideo):
            added = add_rows(to, [found])
            state = "added" if added else "stands there already"
            typer.echo(f"{found.video_id}  {found.kind} {found.letters}  {found.title}  {state}")
        else:
            num_failed += 1
            typer.echo(f"{found[0]}: {found[1]}", err=True)
    if num_failed:
        raise InputError(f"manifest add: {num_failed} of {len(urls)} addresses gave no row; the reasons stand above")


@manifest_app.command("lock")
def manifest_lock(
    work: Work = Path("work"),
    out: Annotated[Path, typer.Option("--out", help="CSV file to write.")] = Path("alphabet.lock.csv"),
) -> None:
    """Write which bytes lie in WORK (id, sha256, duration, format, date): what a paper cites.

    Example: phonics-data manifest lock --work work --out alphabet.lock.csv
    """
    from phonics_data.stages.fetch.lockfile import write_lock
    from phonics_data.storage.workspace import Workspace

    typer.echo(f"{out}: {write_lock(Workspace(work, must_exist=True), out)} videos")


@manifest_app.command("diff")
def manifest_diff(
    old: Annotated[str, typer.Argument(help="Manifest or lock file.")],
    new: Annotated[str, typer.Argument(help="Manifest or lock file.")],
) -> None:
    """Say which rows came, went and changed from one manifest or lock file to another.

    Example: phonics-data manifest diff alphabet.lock.csv other.lock.csv
    """
    from phonics_data.storage.manifest import diff_manifests

    lines = diff_manifests(old, new)
    for line in lines:
        typer.echo(line)
    if not lines:
        typer.echo("no difference")


@app.command()
def verify(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
    repair: Annotated[bool, typer.Option("--repair", help="Write what is bad again, from --work.")] = False,
    work: Work = Path("work"),
) -> None:
    """Check a dataset: checksums, every sample, metadata against shards, no leaks between the splits.

    Example: phonics-data verify dataset --repair --work work
    """
    from phonics_data.report.verify import verify as run

    if repair:
        from phonics_data.cli.progress import progress
        from phonics_data.report import write_report
        from phonics_data.report.repair import repair as mend
        from phonics_data.storage.workspace import Workspace

        workspace = Workspace(work, must_exist=True)
        with workspace.lock(), progress() as on_progress:
            repaired = mend(dataset, workspace, on_progress=on_progress)
        write_report(dataset)
        typer.echo(f"{dataset}: written again: {', '.join(repaired.rewritten) or 'no shard'}")
        result = repaired.after
    else:
        result = run(dataset)
    for fault in result.faults:
        typer.echo(fault)
    if result.faults:
        raise InputError(
            f"{dataset}: {len(result.faults)} faults; `phonics-data verify {dataset} --repair --work WORK` mends it"
        )
    typer.echo(f"{dataset}: {result.num_samples} samples in {result.num_shards} shards, no fault")


@app.command()
def stats(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
) -> None:
    """Count a dataset by class, split and evidence, and write its page (report.html) anew.

    Example: phonics-data stats dataset
    """
    from phonics_data.cli.progress import print_table
    from phonics_data.report import write_report
    from phonics_data.report.stats import stats as run

    for table in run(dataset):
        print_table(table.title, table.rows, headings=table.headings)
    typer.echo(f"page: {write_report(dataset)}")


@app.command()
def export(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
    out: Annotated[Path, typer.Argument(help="Folder to write, empty or new.")],
    layout: Annotated[
        str, typer.Option("--layout", help="folder (mp4 and wav by split and class), or huggingface (a videofolder).")
    ] = "folder",
) -> None:
    """Write every clip as a plain file with a CSV of the metadata.

    Example: phonics-data export dataset clips --layout folder
    """
    from typing import cast, get_args

    from phonics_data.cli.progress import progress
    from phonics_data.dataset.export import Layout
    from phonics_data.dataset.export import export as run

    if layout not in get_args(Layout):
        raise OptionError("--layout", layout, ", ".join(get_args(Layout)))
    with progress() as on_progress:
        number = run(dataset, out, cast("Layout", layout), on_progress=on_progress)
    typer.echo(f"{out}: {number} clips")


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder for everything the demo makes.")] = Path("demo"),
    songs: Annotated[int, typer.Option("--songs", min=3, help="How many songs to render.")] = 20,
    seed: Annotated[int, typer.Option("--seed", help="Seed of songs and training.")] = 1,
    workers: Workers = 2,
    shuffle_audio: Annotated[
        bool, typer.Option("--shuffle-audio", help="Control: train on sound of other clips; the gates must fail.")
    ] = False,
) -> None:
    """The whole line on rendered songs: render, fetch over HTTP, build, train, generate, evaluate.

    Example: phonics-data demo demo
    """
    from phonics_data.cli.demo import DemoOptions, run_demo

    run_demo(out, DemoOptions(num_songs=songs, seed=seed, workers=workers, shuffle_audio=shuffle_audio))


INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM, as shells count it."""


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: one line for every error that a user can cause, exit code 2 for usage and 1 for failure."""
    signal.signal(signal.SIGTERM, _interrupt)  # what ends a job should end it as gently as Ctrl-C does
    try:
        app()
    except PhonicsDataError as error:
        typer.echo(f"phonics-data: {error}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            typer.echo("phonics-data: interrupted; what was finished is kept, the same command goes on", err=True)
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise
        where = error.filename or "the disk"
        typer.echo(
            f"phonics-data: {where}: {error.strerror}; make room or choose another folder, then run it again", err=True
        )
        sys.exit(1)
