"""`cssgan metrics`: checks of the metrics themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.options import EvaluatorsOption, ShardsOption, SplitOption, parse_split

metrics_app = typer.Typer(
    name="metrics",
    help="Checks of the metrics on corrupted real clips.\n\nExample: cssgan metrics corruptions --shards data/letters",
    no_args_is_help=True,
)


@metrics_app.callback()
def _metrics() -> None:
    """Without a callback, typer would replace the group by its only command."""


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
    rows = corruption_check.check_corruptions(data, trained, on_progress=lambda line: typer.echo(line, err=True))
    text = corruption_check.markdown(rows)
    typer.echo(text)
    if out is not None:
        out.write_text(text)
    if failures := corruption_check.failures(rows):
        raise MetricError(f"{len(failures)} corruptions are not ranked correctly: {'; '.join(failures)}")
