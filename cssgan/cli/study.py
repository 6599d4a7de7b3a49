"""`cssgan study`: the paper's tables on one's own data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from phonics_data.errors import OptionError

What = Literal["table1", "table2", "table3", "all"]
SplitName = Literal["train", "validation", "test"]


def study(
    what: Annotated[What, typer.Argument(metavar="TABLE", help="table1, table2, table3, or all.")],
    shards: Annotated[Path, typer.Option("--shards", help="Dataset folder with {train,test}-*.tar.")],
    out: Annotated[Path, typer.Option(help="Folder of the study: runs, results.parquet, study.md, LaTeX tables.")],
    budget: Annotated[
        str,
        typer.Option(
            help="smoke (two CPU cores, half an hour), tiny (CPUs, many hours) or paper (GPUs, the paper's size)."
        ),
    ] = "paper",
    videos: Annotated[
        int | None, typer.Option(help="Videos that each run sees, instead of the budget's.", min=1)
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Train each run for so many minutes, instead of a number of videos.", min=0.1)
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Runs of each row, with seeds 0, 1, ...", min=1, max=100)] = None,
    num_videos: Annotated[int | None, typer.Option(help="Evaluator on at most so many videos.", min=2)] = None,
    split: Annotated[SplitName, typer.Option(help="Evaluator on this split.")] = "test",
    set_: Annotated[
        list[str], typer.Option("--set", metavar="FIELD=VALUE", help="For every run; may be repeated.")
    ] = [],  # noqa: B006 - typer reads the default, nothing changes it
    jobs: Annotated[int | None, typer.Option(help="Runs at a time; default: one a GPU, else 1.", min=1)] = None,
    gpus: Annotated[str, typer.Option(help="Numbers of the GPUs that runs take turns at, such as 0,1.")] = "",
    survey: Annotated[
        Path | None, typer.Option(help="For table2: folder (or analysis.json) of `cssgan survey analyse`.")
    ] = None,
    evaluate: Annotated[
        list[str],
        typer.Option(
            metavar="WORDS", help="Words for every `cssgan evaluate`, such as '--i3d i3d.pt'; may be repeated."
        ),
    ] = [],  # noqa: B006 - as above
    evaluators: Annotated[
        Path | None,
        typer.Option(help="Folder of `cssgan evaluators train`; default: trained into OUT/evaluators before the runs."),
    ] = None,
    no_evaluators: Annotated[
        bool, typer.Option("--no-evaluators", help="Neither train evaluators nor ask them.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs and stop.")] = False,
) -> None:
    """Train, evaluator and tabulate: the paper's Table 1 (models), Table 3 (ablation), Table 2 (a finished survey).

    Every run is trained and judged by the commands that you have yourself, under one rule (the same number of videos seen,
    or the same minutes); a run that fails stops no other, and the same command goes on where it stopped.

    Example: cssgan study all --shards data/letters --out study --budget smoke --jobs 2
    """
    import shlex

    from cssgan.study import job_list, run

    if what == "table2" and survey is None:
        raise OptionError("--survey", None, "the folder of `cssgan survey analyse`: no survey yet, nothing to tabulate")
    if no_evaluators and evaluators is not None:
        raise OptionError("--evaluators, --no-evaluators", "both", "one of them")
    chosen = job_list.budget(budget, num_videos=videos, num_seeds=seeds, num_evaluated=num_videos, minutes=minutes)
    run.check_settings(set_, chosen)
    devices = run.devices(gpus)
    options = run.StudyOptions(
        what=what,
        budget=chosen,
        settings=tuple(set_),
        split=split,
        workers=jobs or max(len(devices), 1),
        devices=devices,
        evaluate=tuple(word for words in evaluate for word in shlex.split(words)),
        survey=survey,
        evaluators=None if no_evaluators else evaluators or "train",
    )
    if dry_run:
        for line in run.describe(options):
            typer.echo(line)
        return
    for path in run.study(options, shards, out, say=lambda line: typer.echo(line, err=True)):
        typer.echo(str(path))
