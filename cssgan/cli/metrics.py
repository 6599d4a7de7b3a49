"""`cssgan metrics`: checks of the metrics themselves, and measures of any folder of videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.options import EvaluatorsOption, ShardsOption, SplitOption, parse_split
from phonics_data.contract.console import say

metrics_app = typer.Typer(
    name="metrics",
    help="Checks of the metrics on corrupted real clips, and measures of any folder of videos.\n\n"
    "Example: cssgan metrics corruptions --shards data/letters",
    no_args_is_help=True,
)


@metrics_app.command()
def corruptions(
    shards: ShardsOption,
    split: SplitOption = "test",
    size: Annotated[int, typer.Option(help="Height and width of the frames, in pixels.", min=16)] = 64,
    num_videos: Annotated[int | None, typer.Option(help="Maximum number of clips; default: all.", min=16)] = None,
    evaluators: EvaluatorsOption = None,
    out: Annotated[Path | None, typer.Option(help="Also write the table to this file (Markdown).")] = None,
) -> None:
    """Corrupt real clips at known strengths and print which metrics rank the strengths correctly (Markdown table).

    Corruptions: blur, noise, freezing, shuffling, videos of another class, audio of another clip. Bold: the metric is
    required to rank the corruption and does. Dagger: it is required to and does not; these are also listed on stderr,
    and the exit code is 1.

    Example: cssgan metrics corruptions --shards data/letters --evaluators evaluators
    """
    split_name = parse_split(split)
    from cssgan.data import resident
    from cssgan.data.shards import as_dataset
    from cssgan.errors import MetricError
    from cssgan.evaluation import corruption_check
    from cssgan.evaluators import checkpoint, sampling
    from cssgan.evaluators.spec import EvaluatorSpec

    trained = None if evaluators is None else checkpoint.load(evaluators)
    spec = EvaluatorSpec(size=size) if trained is None else trained.spec
    clips = resident.load(as_dataset(shards), split_name, size)
    if trained is not None:
        trained.check(size=size, num_frames=spec.num_frames, label_set=clips.label_set)
    data = sampling.real_windows(clips, spec, max_clips=num_videos or len(clips.clips))
    rows = corruption_check.check_corruptions(data, trained, on_progress=lambda line: say(line, err=True))
    text = corruption_check.markdown(rows)
    say(*text.rstrip("\n").split("\n"))
    if out is not None:
        out.write_text(text)
    if failures := corruption_check.failures(rows):
        raise MetricError(f"{len(failures)} corruptions are not ranked correctly: {'; '.join(failures)}")


@metrics_app.command()
def external(
    folder: Annotated[Path, typer.Argument(help="Folder of video files, with sound or without.")],
    real: Annotated[
        Path | None, typer.Option(help="Folder of real clips: adds distances in features of frames.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV with file, letter and optionally word; default: letters of the file names.")
    ] = None,
    read: Annotated[bool, typer.Option(help="Read the letter and the word by OCR.")] = True,
    size: Annotated[int, typer.Option(help="Height and width to which frames are squashed.", min=16)] = 64,
    seed: Annotated[int, typer.Option(help="Of the bootstrap and of random halves.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Also write the tables to this file (Markdown).")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all values, also per video, to this file.")
    ] = None,
) -> None:
    """Measure any folder of videos, without a model and without pairs; print the values with their controls (Markdown).

    Length, change, events, seams, motion against sound, persistence of events, letters and words read on the last frames.
    Files of several sizes, lengths and frame rates are allowed; files that cannot be read are listed and left out.

    Example: cssgan metrics external generated --real clips --labels labels.csv
    """
    import json

    from cssgan.evaluation import external as library
    from phonics_data.contract.files import write_bytes

    table = None if labels is None else library.read_labels(labels)
    videos, rejected = library.read_folder(folder, size, table)
    real_videos = [] if real is None else library.read_folder(real, size)[0]
    report = library.measure(
        videos,
        rejected=rejected,
        real=real_videos,
        read=read,
        seed=seed,
        on_progress=lambda line: say(line, err=True),
    )
    say(*report.markdown().rstrip("\n").split("\n"))
    if out is not None:
        write_bytes(out, report.markdown().encode())
    if json_file is not None:
        write_bytes(json_file, f"{json.dumps(report.as_json(), indent=1)}\n".encode())
