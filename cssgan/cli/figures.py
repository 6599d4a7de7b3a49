"""`cssgan figures`: the paper's figures 4 to 7."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from cssgan.cli.options import SplitName, parse_named_runs
from cssgan.errors import missing_package
from phonics_data.contract.console import say
from phonics_data.errors import OptionError


def figures(
    shards: Annotated[Path, typer.Option("--shards", help="Dataset folder with the clips to show.")],
    out: Annotated[Path, typer.Option(help="Folder for images, videos and index.html.")],
    run: Annotated[
        list[str], typer.Option("--run", metavar="NAME=RUN", help="A model of figures 4 to 6; can be repeated.")
    ] = [],  # noqa: B006 - typer reads the default, nothing changes it
    ablation: Annotated[
        list[str], typer.Option("--ablation", metavar="NAME=RUN", help="An ablation step of figure 7; can be repeated.")
    ] = [],  # noqa: B006 - as above
    split: Annotated[SplitName, typer.Option(help="Split of the clips.")] = "test",
    items: Annotated[int, typer.Option(help="Number of clips.", min=1, max=20)] = 3,
    steps: Annotated[str, typer.Option(help="Frames to show, counted from 1.")] = "1,5,9,13,17,21,25,29,32",
    audio_plot: Annotated[Literal["waveform", "mel"], typer.Option(help="Plot below the frames.")] = "waveform",
    seed: Annotated[int, typer.Option(help="Seed of the noise.", min=0)] = 0,
) -> None:
    """Draw strips of frames above their audio: model comparison, exchanged images, exchanged audio, ablation steps.

    Writes each figure as PNG and SVG, the videos as mp4, and index.html, which plays them.

    Example: cssgan figures --run cssgan=runs/a --run imaginator=runs/b --shards data/letters --out figures
    """
    runs, ablation_runs = parse_named_runs(run), parse_named_runs(ablation, "--ablation")
    if not runs and not ablation_runs:
        raise OptionError("--run", None, "NAME=RUN at least once, or --ablation")
    if not re.fullmatch(r"\d{1,3}(,\d{1,3})*", steps, re.ASCII):
        raise OptionError("--steps", steps, "integers separated by commas, such as 1,8,16,24,32")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # building its font cache is no warning to a user
    try:
        from cssgan.figures.paper_figures import FigureOptions, make_figures
    except ImportError as error:
        raise missing_package(error, "figures", "figures") from error

    options = FigureOptions(
        split=split, num_items=items, steps=tuple(map(int, steps.split(","))), audio_plot=audio_plot, seed=seed
    )
    for path in make_figures(runs, shards, out, ablation=ablation_runs, options=options):
        say(path)
