"""`cssgan study`: the tables of the paper on another dataset."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from cssgan.cli.options import SetOption, parse_split
from phonics_data.contract.console import say
from phonics_data.errors import OptionError

TableChoice = Literal["table1", "table2", "table3", "all"]


def study(
    table: Annotated[TableChoice, typer.Argument(metavar="TABLE", help="table1, table2, table3, or all.")],
    shards: Annotated[Path, typer.Option("--shards", help="Dataset folder with {train,test}-*.tar.")],
    out: Annotated[Path, typer.Option(help="Folder for runs, results.parquet, study.md and LaTeX tables.")],
    budget: Annotated[
        str, typer.Option(help="smoke (two CPU cores, half an hour), tiny (CPUs, many hours) or paper (GPUs).")
    ] = "paper",
    videos: Annotated[
        int | None, typer.Option(help="Training videos per run; default: that of the budget.", min=1)
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Minutes per run, instead of --videos.", min=0.1)] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Runs per row; default: that of the budget.", min=1, max=100)
    ] = None,
    num_videos: Annotated[int | None, typer.Option(help="Maximum number of videos per evaluation.", min=2)] = None,
    split: Annotated[
        list[str],
        typer.Option(
            help="Split for the evaluation; can be repeated. Claims are tested on each but validation, which is for choices."
        ),
    ] = ["test", "train"],  # noqa: B006 - typer reads the default, nothing changes it
    set_: SetOption = [],  # noqa: B006 - typer reads the default, nothing changes it
    jobs: Annotated[int | None, typer.Option(help="Parallel runs; default: one per GPU, else 1.", min=1)] = None,
    gpus: Annotated[str, typer.Option(help="Indices of the GPUs to use, such as 0,1.")] = "",
    survey: Annotated[Path | None, typer.Option(help="For table2: results of `cssgan survey analyse`.")] = None,
    evaluate: Annotated[
        list[str],
        typer.Option(
            metavar="ARGUMENTS", help="Arguments for `cssgan evaluate`, e.g. '--i3d i3d.pt'; can be repeated."
        ),
    ] = [],  # noqa: B006 - as above
    evaluators: Annotated[
        Path | None, typer.Option(help="Folder of `cssgan evaluators train`; default: trained into OUT/evaluators.")
    ] = None,
    no_evaluators: Annotated[bool, typer.Option("--no-evaluators", help="Neither train nor use evaluators.")] = False,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            help="First choose the learning rates of every model on the split validation, from 0.5, 1, 2 and 4 times those "
            "of its preset, each with a quarter of the budget.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs and stop.")] = False,
) -> None:
    """Train, evaluate and tabulate: the paper's Table 1 (models), Table 3 (ablation) and Table 2 (a finished survey).

    Every run uses `cssgan train` and `cssgan evaluate` under one budget: the same number of training videos or minutes.
    A failed run does not stop the others. The same command resumes a stopped study and repeats failed runs.

    Example: cssgan study all --shards data/letters --out study --budget smoke --jobs 2
    """
    from cssgan.study import job_list
    from cssgan.study import study as library

    if table == "table2" and survey is None:
        raise OptionError("--survey", None, "the folder of `cssgan survey analyse`; table2 needs a finished survey")
    if no_evaluators and evaluators is not None:
        raise OptionError("--evaluators, --no-evaluators", "both", "one of them")
    chosen = job_list.budget(budget, num_videos=videos, num_seeds=seeds, num_evaluated=num_videos, minutes=minutes)
    library.check_settings(set_, chosen, tune=tune)
    devices = library.parse_devices(gpus)
    options = library.StudyOptions(
        table=table,
        budget=chosen,
        settings=tuple(set_),
        splits=tuple(dict.fromkeys(parse_split(name) for name in split)),
        workers=jobs or max(len(devices), 1),
        devices=devices,
        evaluate=tuple(word for arguments in evaluate for word in shlex.split(arguments)),
        survey=survey,
        evaluators=None if no_evaluators else evaluators or "train",
        tune=tune,
    )
    if dry_run:
        for line in library.describe(options):
            say(line)
        return
    for path in library.run_study(options, shards, out, on_progress=lambda line: say(line, err=True)):
        say(str(path))
