"""`cssgan figures`: the paper's figures 4 to 7 from runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from cssgan.cli.survey import named_runs
from phonics_data.errors import DependencyError, OptionError


def figures(
    shards: Annotated[Path, typer.Option("--shards", help="Dataset folder whose clips are shown.")],
    out: Annotated[Path, typer.Option(help="Folder for pictures, videos and index.html.")],
    run: Annotated[
        list[str], typer.Option("--run", metavar="NAME=RUN", help="A model of figures 4 to 6; may be repeated.")
    ] = [],  # noqa: B006 - typer reads the default, nothing changes it
    ablation: Annotated[
        list[str], typer.Option("--ablation", metavar="NAME=RUN", help="A step of figure 7; may be repeated.")
    ] = [],  # noqa: B006 - as above
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option(help="Which split the clips are of.")
    ] = "test",
    items: Annotated[int, typer.Option(help="So many clips (pictures, sounds).", min=1, max=20)] = 3,
    steps: Annotated[str, typer.Option(help="Frames to show, from 1, by commas.")] = "1,5,9,13,17,21,25,29,32",
    sound: Annotated[Literal["waveform", "mel"], typer.Option(help="What stands below the frames.")] = "waveform",
    seed: Annotated[int, typer.Option(help="Of the noise, in models that have any.", min=0)] = 0,
) -> None:
    """Draw strips of frames above their sound: models side by side, pictures and sounds exchanged, ablation steps.

    PNG and SVG of each, the videos as mp4, and index.html on which they play.

    Example: cssgan figures --run cssgan=runs/a --run imaginator=runs/b --shards data/letters --out figures
    """
    runs, ablations = named_runs(run), named_runs(ablation, "--ablation")
    if not runs and not ablations:
        raise OptionError("--run", None, "NAME=RUN at least once, or --ablation")
    if not re.fullmatch(r"\d{1,3}(,\d{1,3})*", steps, re.ASCII):
        raise OptionError("--steps", steps, "whole numbers by commas, such as 1,8,16,24,32")
    try:
        from cssgan.figures.paper_figures import FigureOptions, make_figures
    except ImportError as error:
        raise DependencyError(f"figures needs {error.name}; pip install 'phonics-cssgan[figures]'") from error

    options = FigureOptions(
        split=split, num_items=items, steps=tuple(map(int, steps.split(","))), sound=sound, seed=seed
    )
    for path in make_figures(runs, shards, out, ablation=ablations, options=options):
        typer.echo(path)
