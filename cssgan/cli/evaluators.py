"""`cssgan judges`: networks trained on real clips, which then judge generated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JudgesOption = Annotated[
    Path | None,
    typer.Option("--judges", help="Folder of `cssgan judges train`: class, synchrony and order are judged as well."),
]
judges_app = typer.Typer(
    name="judges",
    help="Judges of class, synchrony and order, trained on real clips.\n\nExample: cssgan judges train --shards data/letters --out judges",
    no_args_is_help=True,
)


@judges_app.callback()
def _judges() -> None:
    """Keeps `train` a command of its own."""


@judges_app.command("train")
def train(
    shards: Annotated[
        str, typer.Option("--shards", help="Dataset: its training clips teach, its others are held out.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the judges; the same command goes on where it stopped.")],
    size: Annotated[int, typer.Option(help="Height and width of the frames that the models make.", min=16)] = 64,
    frames: Annotated[int, typer.Option(help="Frames of a window.", min=16)] = 32,
    steps: Annotated[int | None, typer.Option(help="Steps of each judge, instead of the recipe's.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of weights and draws.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train a frame classifier, a SyncNet and an order judge on real clips, and try each on clips that were held out.

    Prints what each reaches. One that stays below its bound, half-way from guessing to certainty, will judge nothing, and
    `cssgan evaluate --judges` says so.

    Example: cssgan judges train --shards data/letters --out judges
    """
    from dataclasses import replace

    from cssgan.data.shards import as_dataset
    from cssgan.evaluators.spec import JudgesSpec
    from cssgan.evaluators.train import told
    from cssgan.evaluators.train import train as train_judges
    from cssgan.training.device import device_named, keep_freed_memory

    spec = JudgesSpec(size=size, num_frames=frames, seed=seed)
    if steps is not None:
        spec = replace(spec, class_steps=steps, sync_steps=steps, order_steps=steps)
    where = str(device_named(device))
    keep_freed_memory()
    judges = train_judges(as_dataset(shards), out, spec, device=where, say=lambda line: typer.echo(line, err=True))
    for kind, judge in judges.judges.items():
        typer.echo(told(kind, judge, len(judges.label_set)))
    for kind, reason in judges.missing.items():
        typer.echo(f"{kind}: {reason}")
