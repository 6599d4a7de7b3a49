"""`cssgan check-training`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.options import SetOption


def check_training(
    shards: Annotated[Path, typer.Option("--shards", help="Dataset folder.")],
    out: Annotated[Path, typer.Option(help="Folder for both runs, their evaluations and check_training.json.")],
    preset: Annotated[
        str | None, typer.Option(help="A preset of `cssgan show-config`; default: paper on a GPU, small on a CPU.")
    ] = None,
    overfit_steps: Annotated[int, typer.Option(help="Training steps of the overfit test.", min=1)] = 5000,
    allow_missed_gates: Annotated[
        bool, typer.Option("--allow-missed-gates", help="Exit with 0 although a bound is missed; the table names it.")
    ] = False,
    set_: SetOption = [],  # noqa: B006 - as in train
) -> None:
    """Check that the model learns: an overfit test on eight clips, then a test on songs outside the train split.

    Prints values and bounds; the exit code is 1 if a bound is missed, unless --allow-missed-gates is given. The same command resumes a stopped check.

    Example: cssgan check-training --shards check-training/dataset --out check-training/cssgan
    """
    from cssgan.config import override
    from cssgan.evaluation import overfit_check
    from cssgan.presets import preset as load_preset

    config = override(load_preset(preset or overfit_check.preset_for()), set_)
    overfit_check.check_training(config, shards, out, overfit_steps=overfit_steps, allow_missed=allow_missed_gates)
