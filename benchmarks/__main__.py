"""Command line of the benchmarks: `python -m benchmarks COMMAND` in the repository; `make bench-*` calls it."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.options import EvaluatorsOption, SetOption, SplitOption, parse_split
from phonics_data.cli.options import Workers
from phonics_data.errors import OptionError, PhonicsDataError

app = typer.Typer(
    name="benchmarks",
    help="Measure speed, memory and accuracy on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command("shard")
def bench_shard(
    sources: Annotated[int, typer.Option(min=2, help="Number of copies of the source to cut.")] = 6,
    source: Annotated[
        Path | None, typer.Option(help="Video to cut; default: two minutes of a fractal at 360p.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Repetitions; the minimum is reported.")] = 2,
    long_minutes: Annotated[
        int, typer.Option(min=0, help="Also measure memory with a source of this length at 720p.")
    ] = 0,
) -> None:
    """Measure what cutting and storing cost compared with decoding alone.

    Example: python -m benchmarks shard --sources 6 --long-minutes 60
    """
    from benchmarks.shard import benchmark_shard as run
    from phonics_data.cli.progress import print_table

    found = run(sources, source=source, rounds=rounds, long_minutes=long_minutes)
    print_table(f"{found.num_clips} clips from {sources} sources", found.rows())
    if not found.within_limits:
        raise PhonicsDataError("benchmarks shard: a limit in the table above was exceeded")


@app.command("fetch")
def bench_fetch(
    videos: Annotated[int, typer.Option(min=10, help="Number of small songs to fetch from this machine.")] = 200,
) -> None:
    """Measure the CPU time of fetching in addition to that of yt-dlp, and the growth of memory.

    Example: python -m benchmarks fetch --videos 50
    """
    from benchmarks.fetch import MAX_GROWTH_BYTES, MAX_OWN_CPU_SECONDS
    from benchmarks.fetch import benchmark_fetch as run
    from phonics_data.cli.progress import print_table

    found = run(videos)
    print_table(
        f"{videos} videos from this machine, per video",
        [
            ("yt-dlp alone", f"{found.ytdlp_cpu_seconds:.3f} s CPU", ""),
            ("fetch", f"{found.fetch_cpu_seconds:.3f} s CPU, {found.wall_seconds:.2f} s wall", ""),
            ("in addition to yt-dlp", f"{found.own_cpu_seconds:.3f} s CPU", f"at most {MAX_OWN_CPU_SECONDS} s"),
            (
                "growth of memory, total",
                f"{found.growth_bytes / 1e6:.1f} MB",
                f"at most {MAX_GROWTH_BYTES / 1e6:.0f} MB",
            ),
        ],
    )
    if not found.within_limits:
        raise PhonicsDataError("benchmarks fetch: a limit in the table above was exceeded")


@app.command("odd-media")
def bench_odd_media(
    folder: Annotated[
        Path, typer.Argument(help="Folder for the generated files and the results; continued if it exists.")
    ],
    real: Annotated[Path | None, typer.Option(help="Folder of further files.")] = None,
) -> None:
    """Measure time and memory of unusual and hostile files in fetch, transcribe, import and shard.

    Example: python -m benchmarks odd-media odd --real videos
    """
    from benchmarks.odd_media import MAX_PEAK_BYTES, benchmark_odd_media
    from phonics_data.cli.progress import print_table

    found = benchmark_odd_media(folder / "files", folder / "work", real=real, out=folder / "results.jsonl")
    print_table(
        f"{len(found)} files",
        [
            (
                one.name,
                f"{one.num_bytes / 1e6:.2f} MB",
                f"{one.wall_seconds:.1f} s",
                f"{one.cpu_seconds:.1f} s CPU",
                f"{one.peak_bytes / 1024**2:.0f} MiB",
                "; ".join(f"{stage}: {outcome}" for stage, outcome in one.outcomes.items()),
            )
            for one in sorted(found, key=lambda one: -one.cpu_seconds)
        ],
    )
    for one in found:
        if one.defect:
            typer.echo(f"{one.name}: {one.defect}", err=True)
    if not all(one.is_within_limits for one in found):
        raise PhonicsDataError(
            f"benchmarks odd-media: a file needs over {MAX_PEAK_BYTES / 1024**3:g} GiB or too long, or its error is not that of a user"
        )


@app.command("near-duplicates")
def bench_near_duplicates(
    clips: Annotated[int, typer.Option(min=1, help="Number of clips.")] = 52_000,
    material: Annotated[
        str, typer.Option(help="Hashes: songs, or a worst case: one-label, near-black, one-sound, equal.")
    ] = "songs",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the hashes.")] = 1,
) -> None:
    """Measure time and memory of the search for near duplicates, on synthetic hashes.

    Example: python -m benchmarks near-duplicates --clips 1000000
    """
    from benchmarks.near_duplicates import measure_search
    from phonics_data.cli.progress import print_table

    found = measure_search(clips, material, seed)
    print_table(
        f"{clips} clips of {material}, seed {seed}",
        [
            ("near duplicates", str(found.num_duplicates)),
            ("groups of sources", str(found.num_groups)),
            ("search and groups", f"{found.cpu_seconds:.2f} s CPU"),
            ("peak memory of the process", f"{found.peak_bytes / 1e6:.0f} MB"),
        ],
    )


@app.command("workspace-items")
def bench_workspace_items(
    folder: Annotated[Path, typer.Argument(help="New folder for the workspace; delete it afterwards.")],
    items: Annotated[int, typer.Option(min=1, help="Number of finished items.")] = 1_000_000,
) -> None:
    """Measure how long the finished items of a large workspace take to list and to read.

    Example: python -m benchmarks workspace-items /scratch/items --items 1000000
    """
    from benchmarks.workspace_items import MAX_LIST_SECONDS_PER_MILLION, measure_items
    from phonics_data.cli.progress import print_table

    found = measure_items(folder, items)
    print_table(
        f"{items} finished items",
        [
            ("written, without waiting for the disk", f"{found.write_seconds:.1f} s", ""),
            (
                "listed",
                f"{found.list_seconds:.1f} s, {found.list_cpu_seconds:.1f} s CPU",
                f"at most {MAX_LIST_SECONDS_PER_MILLION:.0f} s a million",
            ),
            ("read", f"{found.read_seconds:.1f} s, {found.read_cpu_seconds:.1f} s CPU", ""),
            ("search for incomplete files", f"{found.leftovers_seconds:.1f} s", ""),
            ("peak memory of the process", f"{found.peak_bytes / 1e6:.0f} MB", ""),
        ],
    )
    if not found.within_limits:
        raise PhonicsDataError("benchmarks workspace-items: a limit in the table above was exceeded")


@app.command("executors")
def bench_executors(
    folder: Annotated[Path, typer.Argument(help="New folder for the workspaces; delete it afterwards.")],
    items: Annotated[int, typer.Option(min=1, help="Number of items.")] = 100,
    ray: Annotated[bool, typer.Option(help="Measure Ray too, on a cluster of two nodes on this machine.")] = True,
) -> None:
    """Measure the overhead of an item in one process, in parts, and on a Ray cluster.

    Example: python -m benchmarks executors /scratch/overhead --items 1000
    """
    from benchmarks.executors import measure_overhead
    from phonics_data.cli.progress import print_table

    print_table(
        f"{items} items that do nothing",
        [
            (
                one.way,
                f"{one.wall_seconds:.2f} s",
                f"{one.wall_milliseconds_per_item:.1f} ms",
                f"{one.cpu_seconds:.2f} s",
            )
            for one in measure_overhead(folder, items, with_ray=ray)
        ],
        headings=("way", "wall clock", "an item", "CPU, without Ray's"),
    )


@app.command("coverage")
def bench_coverage(
    simulations: Annotated[
        int, typer.Option(min=10, help="Simulations per measure and design; half for distances and conclusions.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulations.")] = 0,
    out: Annotated[Path | None, typer.Option("--json", help="JSON file for all results.")] = None,
    tables: Annotated[Path | None, typer.Option("--markdown", help="File for the tables as in docs/study.md.")] = None,
) -> None:
    """Simulate evaluations with a known difference: how often the intervals of `cssgan study` contain it.

    Example: python -m benchmarks coverage --simulations 1000 --json coverage.json
    """
    from benchmarks.coverage import run_coverage_benchmark as run

    found = run(simulations, seed, on_progress=lambda line: typer.echo(line, err=True))
    typer.echo(found.markdown())
    if out is not None:
        out.write_text(json.dumps(found.as_json(), indent=1) + "\n")
    if tables is not None:
        tables.write_text(found.markdown())
    if not found.within_targets:
        raise PhonicsDataError("benchmarks coverage: a target was missed, see the tables above")


@app.command("segmentation")
def bench_segmentation(
    songs: Annotated[int, typer.Option(min=0, help="Number of songs to render.")] = 60,
    negatives: Annotated[int, typer.Option(min=0, help="Number of videos without letters to render.")] = 20,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the rendered videos; no parameter was fitted on 4242.")
    ] = 4242,
    folder: Annotated[
        list[Path] | None,
        typer.Option(help="Videos, each with a ground truth file of the same name (.tsv: letter, start, end)."),
    ] = None,
    evidence: Annotated[
        list[str] | None, typer.Option(help="Measure only this combination, named as in the table.")
    ] = None,
    cache: Annotated[
        Path, typer.Option(help="Folder for rendered videos and OCR results, reused by later runs.")
    ] = Path("bench-segmentation"),
    out: Annotated[Path | None, typer.Option("--json", help="JSON file for all results.")] = None,
    workers: Workers = 2,
) -> None:
    """Measure precision and recall of segments, by evidence and by kind of song.

    Example: python -m benchmarks segmentation --songs 12 --negatives 4 --folder my-videos --json letters.json
    """
    from benchmarks.segmentation import HEADINGS, SegmentationBenchmarkOptions, as_plain, table
    from benchmarks.segmentation import run_segmentation_benchmark as run
    from phonics_data.cli.progress import print_table, progress
    from phonics_data.storage.workspace import write_json

    options = SegmentationBenchmarkOptions(
        num_songs=songs,
        num_negatives=negatives,
        seed=seed,
        folders=tuple(folder or ()),
        evidence=tuple(evidence or ()),
        workers=workers,
    )
    with progress() as on_progress:
        found = run(cache, options, on_progress=on_progress)
    print_table("By kind of song, display of letters, and folder", table(found), HEADINGS)
    print_table(f"{songs} rendered songs of seed {seed}", table(found, "all"), HEADINGS)
    for name, video_id, number in found.false_segments:
        typer.echo(f"{video_id} contains no letter; from {name}: {number} segments")
    typer.echo(
        f"{found.num_without_letters} videos without letters; false segments in {len(found.false_segments)} cases"
    )
    typer.echo(f"OCR: {found.screen_cpu_ratio:.3f} CPU seconds per second of video, including decoding")
    if out is not None:
        write_json(out, as_plain(found, options))
    if not found.within_targets:
        raise PhonicsDataError("benchmarks segmentation: a target in the table above was missed")


@app.command("segmentation-real")
def bench_segmentation_real(
    negatives: Annotated[int, typer.Option(min=0, help="Number of rendered videos without letters.")] = 20,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Speech model, a name or a folder; can be repeated; the first one decides the targets."),
    ] = None,
    cache: Annotated[
        Path, typer.Option(help="Folder for OCR results, recognized words and workspaces, reused by later runs.")
    ] = Path("bench-segmentation"),
    out: Annotated[Path | None, typer.Option("--json", help="JSON file for all results.")] = None,
    tables: Annotated[
        Path | None, typer.Option("--markdown", help="File for the tables as in docs/segmentation.md.")
    ] = None,
    workers: Workers = 2,
) -> None:
    """Measure segmentation on real videos that are not part of the project, against the targets.

    The videos are read from the folder in PHONICS_SHARED_DATA.

    Example: python -m benchmarks segmentation-real --cache bench-segmentation --json real.json
    """
    from benchmarks.segmentation_real import (
        SONG_HEADINGS,
        TARGET_HEADINGS,
        RealBenchmarkOptions,
        as_plain,
        markdown,
        notes,
        song_table,
        target_table,
    )
    from benchmarks.segmentation_real import run_real_benchmark as run
    from phonics_data.cli.progress import print_table, progress
    from phonics_data.storage.workspace import write_json

    defaults = RealBenchmarkOptions()
    options = RealBenchmarkOptions(
        models=tuple(model) if model else defaults.models, num_negatives=negatives, workers=workers
    )
    with progress() as on_progress:
        found = run(cache, options, on_progress=on_progress)
    print_table("Real songs without captions", song_table(found.songs), SONG_HEADINGS)
    print_table("Captions with cue times", song_table(found.captions), SONG_HEADINGS)
    print_table("Targets", target_table(found), TARGET_HEADINGS)
    for line in notes(found):
        typer.echo(line)
    if out is not None:
        write_json(out, as_plain(found))
    if tables is not None:
        tables.write_text(markdown(found))
    if not found.within_targets:
        raise PhonicsDataError("benchmarks segmentation-real: a target in the table above was missed")


@app.command("segmentation-sheets")
def bench_segmentation_sheets(
    song: Annotated[
        list[str] | None, typer.Option(help="Song of which clips are shown, named as in the table; can be repeated.")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Number of clips on the contact sheet.")] = 40,
    cache: Annotated[
        Path,
        typer.Option(help="Folder for OCR results, recognized words and workspaces; the images go into its sheets/."),
    ] = Path("bench-segmentation"),
    workers: Workers = 2,
) -> None:
    """Draw timelines of the real songs, and a contact sheet of clips that the pipeline makes of three of them.

    The songs are read from the folder in PHONICS_SHARED_DATA.

    Example: python -m benchmarks segmentation-sheets --clips 40
    """
    from benchmarks.segmentation_sheets import CLIP_SONGS, write_sheets
    from phonics_data.cli.progress import progress

    with progress() as on_progress:
        paths = write_sheets(
            cache,
            songs=tuple(song) if song else CLIP_SONGS,
            num_clips=clips,
            workers=workers,
            on_progress=on_progress,
        )
    for path in paths:
        typer.echo(path)


@app.command("fit-segmentation")
def bench_fit_segmentation(
    out: Annotated[Path, typer.Option("--json", help="JSON file for the record of the fit.")],
    seed: Annotated[
        list[int] | None, typer.Option(min=0, help="Seed of the rendered videos to fit on; can be repeated.")
    ] = None,
    songs: Annotated[int, typer.Option(min=1, help="Number of songs per seed.")] = 12,
    negatives: Annotated[int, typer.Option(min=0, help="Number of videos without letters per seed.")] = 5,
    held_out: Annotated[int, typer.Option(min=0, help="Seed of the held-out songs.")] = 9100,
    calibration_only: Annotated[
        bool,
        typer.Option("--calibration-only", help="Fit only the calibration (minutes); keep the rest of the record."),
    ] = False,
    model: Annotated[
        list[str] | None, typer.Option(help="Speech model for the real songs, a name or a folder; can be repeated.")
    ] = None,
    cache: Annotated[
        Path, typer.Option(help="Folder for rendered videos and OCR results, reused by later runs.")
    ] = Path("bench-segmentation"),
    work: Annotated[
        list[Path] | None,
        typer.Option(help="Workspace with completed reviews, whose songs are fitted too; can be repeated."),
    ] = None,
    workers: Workers = 2,
) -> None:
    """Fit the parameters of segmentation on rendered songs and its calibration on rendered and real songs.

    No code is changed: the defaults are set by hand, and a test compares them with benchmarks/segmentation-fit.json. The real
    songs are read from the folder in PHONICS_SHARED_DATA.

    Example: python -m benchmarks fit-segmentation --calibration-only --json benchmarks/segmentation-fit.json
    """
    from benchmarks.fit_calibration import CURVE_HEADINGS, SONG_HEADINGS, CalibrationFitOptions, curve_table, song_table
    from benchmarks.fit_calibration import run_calibration_fit as fit_calibration
    from benchmarks.fit_segmentation import SegmentationFitOptions, run_fit, table
    from benchmarks.reviewed_songs import reviewed_videos
    from phonics_data.cli.progress import print_table, progress
    from phonics_data.storage.workspace import write_json

    defaults = CalibrationFitOptions()
    calibration_options = CalibrationFitOptions(models=tuple(model) if model else defaults.models, workers=workers)
    if calibration_only:
        record: dict[str, object] = json.loads(out.read_bytes())
    else:
        options = SegmentationFitOptions(
            seeds=tuple(seed or (31, 700)),
            num_songs=songs,
            num_negatives=negatives,
            held_out_seed=held_out,
            workers=workers,
        )
        reviewed = [reviewed_videos(one) for one in work or ()]
        for line in (line for _, unused in reviewed for line in unused):
            typer.echo(f"not used: {line}", err=True)
        with progress() as on_progress:
            songs_of_people = [video for videos, _ in reviewed for video in videos]
            found = run_fit(cache, options, reviewed=songs_of_people, on_progress=on_progress)
        print_table("Parameters", table(found), ("parameter", "before", "fitted", "gain"))
        for margin in found.thresholds:
            typer.echo(
                f"{margin.name} {margin.threshold:g}: songs from {margin.lowest_of_songs:g}, without letters up to "
                f"{margin.highest_without_letters}"
            )
        typer.echo(f"objective on the fit's songs {found.before:.4f} -> {found.after:.4f}")
        typer.echo(f"objective on held-out songs {found.held_out_before:.4f} -> {found.held_out_after:.4f}")
        record = found.as_plain(options)
    with progress() as on_progress:
        calibration = fit_calibration(cache, calibration_options, on_progress=on_progress)
    print_table("Calibration: each real song with weights fitted without it", song_table(calibration), SONG_HEADINGS)
    print_table("Minimum confidence, over the real songs", curve_table(calibration), CURVE_HEADINGS)
    for name, value in dataclasses.asdict(calibration.calibration).items():
        typer.echo(f"    {name}: float = {value}")
    for margin in calibration.thresholds:
        typer.echo(
            f"{margin.name} {margin.threshold:g}: songs from {margin.lowest_of_songs:g}, without letters up to "
            f"{margin.highest_without_letters}"
        )
    typer.echo(
        f"{calibration.num_segments} segments, {calibration.num_real_segments} of them of real songs; proposed minimum "
        f"confidence {calibration.proposed_min_confidence:g}"
    )
    write_json(out, calibration.merged_into(record))


@app.command("step")
def bench_step(
    preset: Annotated[
        str | None,
        typer.Option(help="Measure only this preset; default: a table of presets and options."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    batch: Annotated[
        int | None, typer.Option(help="Videos per step; default: that of the preset on a GPU, 8 or 2 on a CPU.", min=1)
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Approximate duration of each measurement, in seconds.", min=0.0)
    ] = 20.0,
    set_: SetOption = [],  # noqa: B006 - as in train
    out: Annotated[Path | None, typer.Option(help="Write all rows as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: one object with --preset, else a list.")] = False,
) -> None:
    """Measure a training step.

    Reports step time, videos per second, TFLOP/s and their fraction of a matrix product's, memory, and time waiting for
    data; the first step (with compilation) and warm-up are separate. Without --preset, presets and options are measured
    and compared with the project's targets; rows that need a GPU are listed as unmeasured if there is none.

    Example: python -m benchmarks step --preset tiny --device cpu --json
    """
    from cssgan.config import override
    from cssgan.presets import preset as preset_by_name

    base = None if preset is None else override(preset_by_name(preset), set_)
    from benchmarks import report, step, targets
    from cssgan.training.device import parse_device

    where = parse_device(device)
    cases = step.table() if base is None else [(str(preset), base, "as configured")]
    rows: list[tuple[str, ...]] = []
    measured: list[step.Measurement] = []
    for name, config, variant in cases:
        if base is None and name in step.GPU_PRESETS and where.type == "cpu":
            rows.append(report.unmeasured(name, variant, "needs a GPU"))
            continue
        size = batch or step.default_batch(config, where)
        config = override(config, [f"train.batch_size={size}"])
        measured.append(step.measure(config, name=name, variant=variant, device=where, seconds=seconds))
        rows.append(report.row(measured[-1]))
    if out is not None:
        report.write(out, measured)
    if as_json:
        typer.echo(json.dumps(measured[0].to_json() if base is not None else [m.to_json() for m in measured], indent=1))
    else:
        typer.echo(report.table(rows))
        if base is None:
            typer.echo("\n" + report.targets(targets.rows(measured, where, seconds=seconds)))


@app.command("rendered-clips")
def rendered_clips(
    songs: Annotated[Path, typer.Argument(help="Folder written by `phonics-data render`.")],
    out: Annotated[Path, typer.Argument(help="PNG file to write.")],
    clips: Annotated[int, typer.Option(min=1, help="Number of clips, each of another style.")] = 10,
) -> None:
    """Draw clips of rendered songs as rows of frames, one clip of each style.

    Example: python -m benchmarks rendered-clips songs docs/images/rendered-clips.png
    """
    from benchmarks.rendered_clips import draw_rendered_clips
    from phonics_data.contract.files import atomic_path

    if out.suffix.lower() != ".png":
        raise OptionError("OUT", str(out), "a file name that ends with .png")
    with atomic_path(out) as temporary:
        draw_rendered_clips(songs, num_clips=clips).quantize(128).save(temporary, format="PNG", optimize=True)


@app.command("evaluation")
def bench_evaluation(
    num_videos: Annotated[int, typer.Argument(metavar="N", help="Number of synthetic videos.", min=16)],
    size: Annotated[int, typer.Option(help="Height and width of the frames.", min=16)] = 64,
    evaluators: EvaluatorsOption = None,
    out: Annotated[Path | None, typer.Option(help="Write the result as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure time and memory of evaluating N videos of 32 frames with all metrics that need no download.

    Example: python -m benchmarks evaluation 256 --json
    """
    from benchmarks.evaluation import measure
    from cssgan.evaluators import checkpoint
    from cssgan.training.device import keep_freed_memory

    keep_freed_memory()
    cost = measure(num_videos, size=size, evaluators=None if evaluators is None else checkpoint.load(evaluators))
    if out is not None:
        out.write_text(json.dumps([cost.to_json()], indent=1) + "\n")
    typer.echo(json.dumps(cost.to_json(), indent=1) if as_json else cost.summary())


@app.command("real-phonics")
def real_phonics(
    out: Annotated[Path, typer.Argument(help="Dataset folder to write.")],
    work: Annotated[Path | None, typer.Option(help="Workspace to write; default: OUT-work, beside OUT.")] = None,
    size: Annotated[int, typer.Option(min=8, help="Width and height of the clips.")] = 64,
) -> None:
    """Build a dataset of the 30 real phonics clips in PHONICS_SHARED_DATA, each at its source's frame rate.

    Example: PHONICS_SHARED_DATA=data python -m benchmarks real-phonics real
    """
    from benchmarks import real_phonics

    # Beside the dataset: a folder in the current one could be committed by mistake, and the material has no licence.
    work = work or out.with_name(f"{out.name}-work")
    typer.echo(f"dataset: {real_phonics.build(real_phonics.shared_folder(), work, out, size=size)}")


@app.command("published-clips")
def bench_published_clips(
    out: Annotated[Path, typer.Argument(help="Folder for the dataset and the run; the same command resumes.")],
    num_videos: Annotated[
        int, typer.Option("--videos", min=8, help="Videos to train on, repetitions included.")
    ] = 64_000,
    set_: SetOption = [],  # noqa: B006 - typer reads the default, nothing changes it
    strip: Annotated[Path | None, typer.Option(help="PNG file: real and generated frames, for your own use.")] = None,
) -> None:
    """Train on the ten published clips in PHONICS_SHARED_DATA, roll out each from its first frame, and print the table.

    Example: PHONICS_SHARED_DATA=data python -m benchmarks published-clips ten --videos 64000
    """
    from benchmarks import published_clips, real_phonics

    measured = published_clips.train_and_measure(
        real_phonics.shared_folder(), out, published_clips.configuration(num_videos, *set_), strip=strip
    )
    typer.echo(published_clips.table(measured))


@app.command("model-options")
def bench_model_options(
    dataset: Annotated[Path, typer.Argument(help="Dataset with the splits train and validation.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs; the same command resumes.")],
    num_videos: Annotated[int, typer.Option("--videos", min=4, help="Training videos per run.")] = 3_200,
    seeds: Annotated[int, typer.Option(min=1, help="Runs per option.")] = 3,
    evaluated: Annotated[int, typer.Option(min=2, help="Maximum number of evaluated videos.")] = 48,
    only: Annotated[list[str], typer.Option(help="Only this option; can be repeated. Default: all.")] = [],  # noqa: B006
    set_: SetOption = [],  # noqa: B006 - typer reads the default, nothing changes it
    jobs: Annotated[int, typer.Option(min=1, help="Parallel runs.")] = 1,
) -> None:
    """Compare each option of the preset tuned-tiny alone with the preset, on validation.

    Example: python -m benchmarks model-options dataset --out options --set data.frame_stride=2 --jobs 2
    """
    from benchmarks import model_options
    from benchmarks.report import markdown_table

    rows = model_options.compare_options(
        dataset,
        out,
        num_videos=num_videos,
        num_seeds=seeds,
        num_evaluated=evaluated,
        settings=tuple(set_),
        only=only,
        workers=jobs,
        on_progress=lambda line: typer.echo(line, err=True),
    )
    typer.echo(markdown_table(model_options.columns(), rows))


@app.command("object-times")
def bench_object_times(
    dataset: Annotated[str, typer.Argument(help="Dataset of rendered songs: splits train and --split.")],
    split: SplitOption = "test",
    num_windows: Annotated[int, typer.Option("--windows", min=4, help="Training windows per network.")] = 12_000,
    seeds: Annotated[int, typer.Option(min=1, help="Networks per encoder.")] = 3,
) -> None:
    """Share of the objects that each audio encoder expects at their time, on songs that it was not trained on.

    Example: python -m benchmarks object-times dataset --seeds 3
    """
    split_name = parse_split(split)
    from benchmarks import object_times
    from benchmarks.report import markdown_table
    from cssgan.data import resident, shards

    training, held_out = (
        resident.load(shards.as_dataset(dataset), name, object_times.SIZE) for name in ("train", split_name)
    )
    rows = list(object_times.compare(training, held_out, num_windows=num_windows, seeds=range(seeds)))
    typer.echo(markdown_table(object_times.COLUMNS, rows))


@app.command("events")
def bench_events(
    dataset: Annotated[Path, typer.Argument(help="Dataset of real clips or of rendered songs.")],
    split: SplitOption = "test",
    truth: Annotated[
        Path | None, typer.Option(help="Folder of rendered songs (events.parquet, regions.parquet): also by region.")
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="events.csv of the published clips: print only how many of its events are found, and false ones."
        ),
    ] = None,
    size: Annotated[int, typer.Option(help="Width and height of the frames, in pixels.", min=16)] = 64,
    num_videos: Annotated[int | None, typer.Option(help="Maximum number of clips; default: all.", min=2)] = None,
    read: Annotated[bool, typer.Option(help="Read the object words by OCR.")] = True,
) -> None:
    """Measure events of real clips, of controls and of corruptions of these clips; print a Markdown table.

    Example: python -m benchmarks events real --split train --annotations data/paper/dataset-samples/events.csv
    """
    split_name = parse_split(split)
    from benchmarks import events
    from cssgan.data import resident
    from cssgan.metrics import region_truth
    from cssgan.training.device import keep_freed_memory

    keep_freed_memory()
    if annotations is not None:
        found = events.read_annotations(annotations)
        typer.echo(events.detection_table(resident.load(dataset, split_name, size), found))
        return
    regions = None if truth is None else region_truth.read(truth)
    if truth is not None and regions is None:
        raise OptionError("--truth", str(truth), "a folder of `phonics-data render`")
    clips = events.read_clips(dataset, split_name, size=size, num_videos=num_videos, read_words=read)
    typer.echo(f"{len(clips.phrases)} clips of {len(set(clips.phrases.video_ids))} sources", err=True)
    typer.echo(events.control_table(clips, regions, lambda line: typer.echo(line, err=True)))


@app.command("features")
def bench_features(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEOS...", help="MP4 files, or folders with MP4 files.")],
    windows: Annotated[int, typer.Option(help="Maximum number of windows of 32 frames.", min=32)] = 128,
    draws: Annotated[int, typer.Option(help="Random sets of each number of windows.", min=2)] = 20,
    counts: Annotated[str, typer.Option(help="Numbers of windows of a set, separated by commas.")] = "32,64,128",
) -> None:
    """Measure which features order corruptions better: random networks, or EfficientNet-Lite2 of the extra `features`.

    Example: python -m benchmarks features songs --windows 128
    """
    from benchmarks.features import frame_order, markdown, order_table, read_windows

    numbers = [int(number) for number in counts.split(",")]
    read = read_windows(videos, windows)
    typer.echo(f"{len(read.sources)} windows of {len(set(read.sources))} videos")
    for metric, shares in frame_order(read).items():
        typer.echo(f"{metric}: {', '.join(f'{name} {share:.3f}' for name, share in shares.items())}")
    found = order_table(
        read, [n for n in numbers if n <= len(read.sources)], draws, lambda name: typer.echo(name, err=True)
    )
    typer.echo(markdown(found, [n for n in numbers if n <= len(read.sources)]))


@app.command("order")
def bench_order(
    shards: Annotated[str, typer.Argument(metavar="DATASET", help="Dataset of shards; its split train is trained on.")],
    heads: Annotated[
        str, typer.Option(help="Values of discriminator.order_head, separated by commas.")
    ] = "concat,seam",
    steps: Annotated[int, typer.Option(help="Training steps.", min=2)] = 1000,
    seeds: Annotated[int, typer.Option(help="Number of seeds, from train.seed on.", min=1)] = 1,
    also: Annotated[list[Path] | None, typer.Option(help="Another dataset to measure on; can be repeated.")] = None,
    preset_name: Annotated[str, typer.Option("--preset", help="Preset of the configuration.")] = "tiny",
    settings: SetOption = [],  # noqa: B006
) -> None:
    """Train the order predictor on real clips alone; print its accuracy on every split, and what is possible there.

    Example: python -m benchmarks order demo/dataset --steps 1000 --set optim.d_lr=1e-3
    """
    from benchmarks import order
    from benchmarks.report import markdown_table
    from cssgan import config as configs
    from cssgan.data import loaders
    from cssgan.presets import preset

    base = configs.override(preset(preset_name), settings)
    if base.order.shuffle == "none":
        raise OptionError("--preset", preset_name, "a preset with order.shuffle=disc or gen")
    training = loaders.open_training_data(base, shards)
    sets = order.held_out(base, training, shards, also or [])
    rows: list[tuple[str, ...]] = []
    for head in heads.split(","):
        for seed in range(base.train.seed, base.train.seed + seeds):
            config = configs.override(base, [f"discriminator.order_head={head}", f"train.seed={seed}"])
            for step, discriminators in order.train_alone(config, training, steps):
                for name, windows in sets.items():
                    measured = order.measure(name, discriminators, windows, config)
                    rows.append((head, str(seed), str(step), *measured.cells()))
                    typer.echo(" ".join(rows[-1]), err=True)
    typer.echo(markdown_table(("head", "seed", "steps", *order.COLUMNS), rows))


@app.command("order-gradient")
def bench_order_gradient(
    runs: Annotated[list[Path], typer.Argument(metavar="RUNS...", help="Run folders of `cssgan train`.")],
    shards: Annotated[str, typer.Option(help="Dataset that the runs were trained on.")],
    batches: Annotated[int, typer.Option(help="Training batches.", min=1)] = 20,
    share: Annotated[
        float, typer.Option(help="Wanted norm of the order's gradient relative to that of L1 and squared error.")
    ] = 0.1,
) -> None:
    """Gradients of the generator's losses at the generated clips, and the order weight that gives a wanted share.

    Example: python -m benchmarks order-gradient runs/first --shards demo/dataset
    """
    from benchmarks import order
    from benchmarks.report import markdown_table
    from cssgan.data import loaders

    for run in runs:
        config, state = order.load_state(run)
        loader = loaders.training_loader(loaders.open_training_data(config, shards), config, order.CPU)
        try:
            found = order.gradient_norms(
                state, [loader.batch(n * config.train.batch_size) for n in range(batches)], config
            )
        finally:
            loader.close()
        if found["reconstruction"] == 0:
            raise OptionError("RUNS", str(run), "runs with loss.l1_weight or loss.l2_weight above 0")
        rows = [(name, f"{norm:.3g}", f"{norm / found['reconstruction']:.4f}") for name, norm in found.items()]
        typer.echo(f"{run}: L2 norms of weighted gradients")
        typer.echo(markdown_table(("term", "norm", "of reconstruction"), rows))
        if "g_order" in found and found["g_order"] > 0:
            weight = config.loss.order_weight * share * found["reconstruction"] / found["g_order"]
            typer.echo(f"loss.order_weight={weight:.3g} would give the order a share of {share:g}")


def main() -> None:
    """Run a benchmark. User errors are printed as one line."""
    try:
        app()
    except PhonicsDataError as error:
        typer.echo(f"benchmarks: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
