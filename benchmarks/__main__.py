"""Command line of the benchmarks: `python -m benchmarks COMMAND`, run from the repository (`make bench-*` calls it)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.app import SetOption
from cssgan.cli.evaluators import EvaluatorsOption
from phonics_data.cli.options import Workers
from phonics_data.errors import PhonicsDataError

app = typer.Typer(
    name="benchmarks",
    help="Measure what the work costs on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command("shard")
def bench_shard(
    sources: Annotated[int, typer.Option("--sources", min=2, help="How many copies of the source to cut.")] = 6,
    source: Annotated[
        Path | None, typer.Option("--source", help="Video to cut; by default two minutes of detail at 360p.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Repetitions, of which the least counts.")] = 2,
    long_minutes: Annotated[
        int, typer.Option("--long-minutes", min=0, help="Also measure the memory on so long a source at 720p.")
    ] = 0,
) -> None:
    """Measure what cutting and storing cost against bare decoding, and against one ffmpeg for each clip.

    Example: python -m benchmarks shard --sources 6 --long-minutes 60
    """
    from benchmarks.shard import bench_shard as run
    from phonics_data.cli.progress import print_table

    found = run(sources, source=source, rounds=rounds, long_minutes=long_minutes)
    print_table(f"{found.num_clips} clips out of {sources} sources", found.rows())
    if not found.within_limits:
        raise PhonicsDataError("bench shard: a limit of the table above was missed")


@app.command("fetch")
def bench_fetch(
    videos: Annotated[
        int, typer.Option("--videos", min=10, help="How many small songs to fetch from this machine.")
    ] = 200,
) -> None:
    """Measure the CPU that fetching costs over yt-dlp's own, and whether memory stays flat.

    Example: python -m benchmarks fetch --videos 50
    """
    from benchmarks.fetch import MAX_GROWTH_BYTES, MAX_OWN_CPU_SECONDS
    from benchmarks.fetch import bench_fetch as run
    from phonics_data.cli.progress import print_table

    found = run(videos)
    print_table(
        f"{videos} videos from this machine, a video",
        [
            ("yt-dlp alone", f"{found.ytdlp_cpu_seconds:.3f} s CPU", ""),
            ("fetch", f"{found.fetch_cpu_seconds:.3f} s CPU, {found.wall_seconds:.2f} s wall", ""),
            ("over yt-dlp", f"{found.own_cpu_seconds:.3f} s CPU", f"at most {MAX_OWN_CPU_SECONDS} s"),
            ("memory grown in all", f"{found.growth_bytes / 1e6:.1f} MB", f"at most {MAX_GROWTH_BYTES / 1e6:.0f} MB"),
        ],
    )
    if not found.within_limits:
        raise PhonicsDataError("bench fetch: a limit of the table above was missed")


@app.command("segmentation")
def bench_letters(
    songs: Annotated[int, typer.Option("--songs", min=0, help="How many songs to render.")] = 60,
    without: Annotated[int, typer.Option("--without", min=0, help="How many videos without letters to render.")] = 20,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Of the rendered videos; nothing was fitted on 4242.")
    ] = 4242,
    folder: Annotated[
        list[Path] | None,
        typer.Option("--folder", help="Videos with a truth file (letter start end, .tsv) beside each."),
    ] = None,
    evidence: Annotated[
        list[str] | None, typer.Option("--evidence", help="Measure only this combination, named as in the table.")
    ] = None,
    cache: Annotated[Path, typer.Option("--cache", help="Folder for what is expensive, kept between runs.")] = Path(
        "bench-segmentation"
    ),
    out: Annotated[Path | None, typer.Option("--json", help="File to write all figures into.")] = None,
    workers: Workers = 2,
) -> None:
    """Measure how well letters are found, by evidence and by kind of song.

    Example: python -m benchmarks segmentation --songs 12 --without 4 --folder my-videos --json letters.json
    """
    from benchmarks.segmentation import HEADINGS, LettersBenchOptions, as_plain, table
    from benchmarks.segmentation import bench_letters as run
    from phonics_data.cli.progress import print_table, progress
    from phonics_data.storage.workspace import write_json

    options = LettersBenchOptions(
        num_songs=songs,
        num_negatives=without,
        seed=seed,
        folders=tuple(folder or ()),
        evidence=tuple(evidence or ()),
        workers=workers,
    )
    with progress() as on_progress:
        found = run(cache, options, on_progress=on_progress)
    print_table("By kind of song, way of showing letters, and folder", table(found), HEADINGS)
    print_table(f"{songs} rendered songs of seed {seed}", table(found, "all"), HEADINGS)
    for name, video_id, number in found.false_segments:
        typer.echo(f"{video_id} holds no letter; from {name}: {number} segments")
    typer.echo(
        f"{found.num_without_letters} videos without letters, segments in {len(found.false_segments)} decisions on them"
    )
    typer.echo(f"reading the screen: {found.screen_cpu_ratio:.3f} CPU-seconds a second of video, decoding included")
    if out is not None:
        write_json(out, as_plain(found, options))
    if not found.within_targets:
        raise PhonicsDataError("bench letters: a target of the table above was missed")


@app.command("fit-segmentation")
def bench_fit_letters(
    out: Annotated[Path, typer.Option("--json", help="File to write the record of the fit into.")],
    seed: Annotated[
        list[int] | None, typer.Option("--seed", min=0, help="Of the rendered videos to fit on; may be given again.")
    ] = None,
    songs: Annotated[int, typer.Option("--songs", min=1, help="How many songs of each seed.")] = 12,
    without: Annotated[int, typer.Option("--without", min=0, help="How many videos without letters of each.")] = 5,
    held_out: Annotated[
        int, typer.Option("--held-out", min=0, help="Seed of the songs that evaluator the fit.")
    ] = 9100,
    cache: Annotated[Path, typer.Option("--cache", help="Folder for what is expensive, kept between runs.")] = Path(
        "bench-segmentation"
    ),
    workers: Workers = 2,
) -> None:
    """Fit the numbers that letters are decided by on rendered songs, and record what was tried.

    It changes no code: the defaults are set by hand, and a test holds them to benchmarks/segmentation-fit.json.

    Example: python -m benchmarks fit-segmentation --json benchmarks/segmentation-fit.json
    """
    from benchmarks.fit_segmentation import LettersFitOptions, bench_fit, table
    from phonics_data.cli.progress import print_table, progress
    from phonics_data.storage.workspace import write_json

    options = LettersFitOptions(
        seeds=tuple(seed or (31, 700)), num_songs=songs, num_negatives=without, held_out=held_out, workers=workers
    )
    with progress() as on_progress:
        found = bench_fit(cache, options, on_progress=on_progress)
    print_table("Numbers", table(found), ("number", "before", "fitted", "gain"))
    for gate in found.gates:
        typer.echo(
            f"{gate.name} {gate.threshold:g}: songs from {gate.lowest_of_songs:g}, without letters up to "
            f"{gate.highest_without_letters:g}"
        )
    typer.echo(f"objective on the fit's songs {found.before:.4f} -> {found.after:.4f}")
    typer.echo(f"objective on held-out songs {found.held_out_before:.4f} -> {found.held_out_after:.4f}")
    typer.echo(
        f"calibration error on held-out songs {found.calibration_before:.3f} -> {found.calibration_after:.3f}, "
        f"fitted on {found.num_segments} segments"
    )
    write_json(out, found.as_plain(options))


@app.command("step")
def step_(
    preset: Annotated[
        str | None,
        typer.Option(help="Measure this preset as it is configured; default: a table of presets and options."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    batch: Annotated[
        int | None, typer.Option(help="Videos a step; default: the preset's on a GPU, 8 or 2 on a CPU.", min=1)
    ] = None,
    seconds: Annotated[float, typer.Option(help="Measure each row for about so long.", min=0.0)] = 20.0,
    set_: SetOption = [],  # noqa: B006 - as in train
    out: Annotated[Path | None, typer.Option(help="Write all rows as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: one object with --preset, else a list.")] = False,
) -> None:
    """Measure a training step, next to a plain float32 implementation of the same step.

    Step time, videos a second, TFLOP/s and their share of a matrix product's, memory, time waiting for data; the first
    step (with compilation) and warm-up are reported apart. Without --preset it goes through presets and options, and
    holds what was measured against the project's targets; what needs a GPU is listed as unmeasured where there is none.

    Example: python -m benchmarks step --preset tiny --device cpu --json
    """
    from cssgan.config import override
    from cssgan.presets import preset as named

    base = None if preset is None else override(named(preset), set_)
    from benchmarks import report, step, targets
    from cssgan.training.device import device_named

    where = device_named(device)
    wanted = step.table() if base is None else [(str(preset), base, "as configured")]
    rows: list[tuple[str, ...]] = []
    measured: list[step.Measurement] = []
    for name, config, variant in wanted:
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


@app.command("evaluation")
def bench_evaluation(
    num_videos: Annotated[int, typer.Argument(metavar="N", help="Number of synthetic videos.", min=16)],
    size: Annotated[int, typer.Option(help="Height and width of the frames.", min=16)] = 64,
    evaluators: EvaluatorsOption = None,
    out: Annotated[Path | None, typer.Option(help="Write the result as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure time and memory of evaluating N videos of 32 frames by all metrics that need no download.

    Example: python -m benchmarks evaluation 256 --json
    """
    from benchmarks.evaluation import measure
    from cssgan.evaluators import checkpoint
    from cssgan.training.device import keep_freed_memory

    keep_freed_memory()
    cost = measure(num_videos, size=size, evaluators=None if evaluators is None else checkpoint.load(evaluators))
    if out is not None:
        out.write_text(json.dumps([cost.as_json()], indent=1) + "\n")
    typer.echo(json.dumps(cost.as_json(), indent=1) if as_json else cost.told())


def main() -> None:
    """Run a benchmark; an error that a user can cause is one line on stderr."""
    try:
        app()
    except PhonicsDataError as error:
        typer.echo(f"benchmarks: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
